/* live/library/live.c: handles, items, reading. The rest of the library is around it: internal.h has the picture.
 *
 * An item finds its name in the table by the hash that the table's entry bears; an index of those is made as far as
 * names have come, and again for each generation. Reading is table_read.c. */
#include "live/library/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)128 << 10)

/* ---- the index ---- */

static void put(struct yd__live_index *index, uint64_t hash, uint32_t value)
{
    uint32_t mask = index->capacity - 1, at = (uint32_t)(hash ^ hash >> 32) & mask;
    while (index->slots[at].value) at = (at + 1) & mask;
    index->slots[at] = (struct yd__live_index_slot){hash, value};
    index->used++;
}

int yd__live_index_add(struct yd__live_index *index, uint64_t hash, uint32_t value)
{
    if (index->used * 2 >= index->capacity) {
        struct yd__live_index old = *index;
        uint32_t capacity = old.capacity ? old.capacity * 2 : 64;
        struct yd__live_index_slot *slots = yd_alloc_zero(NULL, capacity * sizeof *slots);
        if (!slots) return YD_ENOMEM;
        *index = (struct yd__live_index){slots, capacity, 0};
        for (uint32_t i = 0; i < old.capacity; i++)
            if (old.slots[i].value) put(index, old.slots[i].hash, old.slots[i].value);
        yd__live_index_fini(&old);
    }
    put(index, hash, value + 1);
    return 0;
}

uint32_t yd__live_index_next(const struct yd__live_index *index, uint64_t hash, uint32_t *at)
{
    if (index->capacity == 0) return UINT32_MAX;
    uint32_t mask = index->capacity - 1;
    for (*at = *at == UINT32_MAX ? (uint32_t)(hash ^ hash >> 32) & mask : (*at + 1) & mask; index->slots[*at].value;
         *at = (*at + 1) & mask)
        if (index->slots[*at].hash == hash) return index->slots[*at].value - 1;
    return UINT32_MAX;
}

void yd__live_index_fini(struct yd__live_index *index)
{
    yd_alloc_put(NULL, index->slots, index->capacity * sizeof *index->slots);
    *index = (struct yd__live_index){0};
}

/* ---- attachments ---- */

void yd__attachment_unref(struct yd_live *live, struct yd__attachment *attachment)
{
    if (!attachment) return;
    (void)pthread_mutex_lock(&live->lock); /* cannot fail: ours, not recursive */
    bool last = --attachment->refs == 0;
    (void)pthread_mutex_unlock(&live->lock);
    if (!last) return;
    yd_live_mapping_close(&attachment->table);
    yd_live_mapping_close(&attachment->bell);
    yd__live_index_fini(&attachment->names);
    yd_alloc_put(NULL, attachment, sizeof *attachment);
}

/* The entry of a name, by the index brought up to date. */
static bool find(struct yd_live_item *item)
{
    struct yd__attachment *attachment = item->live->current;
    if (!attachment) return false;
    uint32_t count = yd_live_table_view_count(&attachment->view), at = UINT32_MAX, entry;
    if (item->looked == count) return false;
    for (; attachment->indexed < count; attachment->indexed++)
        if (yd__live_index_add(&attachment->names, attachment->view.directory[attachment->indexed].name_hash,
                               attachment->indexed))
            return false;
    while ((entry = yd__live_index_next(&attachment->names, item->hash, &at)) != UINT32_MAX) {
        const char *name;
        uint32_t size;
        if (yd_live_table_view_name(&attachment->view, entry, &name, &size) || size != item->name_size ||
            memcmp(name, item->name, size) != 0)
            continue;
        item->found = yd_live_table_view_cell(&attachment->view, entry, &item->cell) == 0;
        return item->found;
    }
    item->looked = count;
    return false;
}

/* Is value `a` of one cell, time, flags and all its bytes, value `b` of the other? false where one is not there. */
static bool is_same(const struct yd_live_cell *one, uint64_t a, const struct yd_live_cell *other, uint64_t b)
{
    const uint64_t *left = one->slots + (size_t)(a & one->slot_mask) * one->slot_words;
    const uint64_t *right = other->slots + (size_t)(b & other->slot_mask) * other->slot_words;
    /* Pairs with the release of seq in end_slot (table_write.c): the words of those values are there. */
    if (yd__load(&left[YD__SLOT_SEQ], ACQUIRE) != a || yd__load(&right[YD__SLOT_SEQ], ACQUIRE) != b) return false;
    uint64_t meta = yd__load(&left[YD__SLOT_META], RELAXED);
    uint32_t size = YD__META_SIZE(meta);
    if (size > one->value_size || size > other->value_size) return false;
    for (uint32_t word = YD__SLOT_TIME; word < YD__SLOT_VALUE + (size + 7) / 8; word++)
        if (yd__load(&left[word], RELAXED) != yd__load(&right[word], RELAXED)) return false;
    /* Pairs with the release fence in begin_slot, as in copy_slot (table_read.c). */
    yd__fence(ACQUIRE);
    return yd__load(&left[YD__SLOT_SEQ], RELAXED) == a && yd__load(&right[YD__SLOT_SEQ], RELAXED) == b;
}

/* Goes over from memory that is not used any more: nobody writes there now. `copied`: the new one is a later table of
 * the same writer, whose first entries began with the newest values of the table before it. If that is the old one,
 * value 1 is the newest that was there. If tables came and went in between nobody knows but by looking at it: a value
 * that was published in one of those is new to us. A name that was left out begins anew. Who was shown out and came
 * back may also be given the same table once more. */
static void carry(struct yd_live_item *item, const struct yd__attachment *old, bool copied)
{
    bool was_found = item->found && item->has_last;
    struct yd_live_cell cell = item->cell;
    uint64_t seq = item->cursor.seq;
    item->found = false;
    item->looked = 0;
    item->cursor = (struct yd_live_cursor){0};
    if (!was_found) return;
    const struct yd__attachment *current = item->live->current;
    if (copied && current->generation == old->generation) {
        if (find(item)) item->cursor.seq = seq;
        return;
    }
    /* Pairs with the release in end_slot (table_write.c): all that was published. */
    uint64_t head = yd__load(cell.head, ACQUIRE);
    item->before = true;
    item->left += head - seq;
    if (!copied || head == 0 || !find(item) || item->cell.index >= current->view.copied) return;
    if (current->view.copied_from != old->generation && !is_same(&cell, head, &item->cell, 1)) return;
    if (head == seq)
        item->cursor.seq = 1; /* was got */
    else
        item->left--; /* comes again, as the first one there */
}

static bool same_writer(const struct yd__attachment *a, const struct yd__attachment *b)
{
    const struct yd__live_header *one = a->table.header, *other = b->table.header;
    return one->id == other->id && one->writer_pid == other->writer_pid && one->writer_start == other->writer_start;
}

void yd__live_adopt(struct yd_live *live)
{
    for (struct yd_live_item *item = live->items; item;
         item = item->next) /* what was not looked for since the last time */
        if (!item->found && item->has_last) (void)find(item);
    (void)pthread_mutex_lock(&live->lock);
    struct yd__attachment *old = live->current;
    live->current = live->pending;
    yd__store(&live->pending, NULL, RELAXED); /* by us, under the lock */
    (void)pthread_mutex_unlock(&live->lock);
    bool copied = old && same_writer(old, live->current);
    live->told = false;
    for (struct yd_live_item *item = live->items; item; item = item->next) carry(item, old, copied);
    yd__attachment_unref(live, old);
    for (struct yd_live_set *set = live->sets; set;) set = yd__live_set_next_generation(set);
}

/* ---- life ---- */

int yd__live_thread(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) return YD_ENOMEM;
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE); /* refused: the default one */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the program's */
    int error = pthread_create(ret_thread, &attributes, body, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return error ? yd_error_from_errno(error) : 0;
}

static int prepare(struct yd_live *live, const char *address, const struct yd_live_options *options)
{
    const char *application = options && options->application ? options->application : program_invocation_short_name;
    live->stop = live->door = live->bell_fd = -1;
    live->process = getpid();
    live->address_size = strlen(address) + 1;
    live->address = yd_alloc_get(NULL, live->address_size);
    if (!live->address) return YD_ENOMEM;
    memcpy(live->address, address, live->address_size);
    (void)snprintf(live->application, sizeof live->application, "%s", application); /* cut: for people */
    live->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return live->stop < 0 ? yd_error_from_errno(errno) : 0;
}

static void put_away(struct yd_live *live)
{
    if (live->door >= 0) (void)close(live->door);
    if (live->bell_fd >= 0) (void)close(live->bell_fd);
    if (live->stop >= 0) (void)close(live->stop);
    yd__attachment_unref(live, live->pending);
    yd__attachment_unref(live, live->current);
    (void)pthread_mutex_destroy(&live->lock);
    yd_alloc_put(NULL, live->address, live->address_size);
    yd_alloc_put(NULL, live, sizeof *live);
}

int yd_live_open(const char *address, const struct yd_live_options *options, struct yd_live **ret_live,
                 struct yd_trail *trail)
{
    struct yd_live *live = yd_alloc_zero(NULL, sizeof *live);
    if (!live) return YD_ENOMEM;
    (void)pthread_mutex_init(&live->lock, NULL); /* cannot fail with these attributes */
    int error = prepare(live, address, options);
    if (!error) error = yd__live_attach(live, trail);
    if (error && options && options->absent && (error == YD_ENOENT || error == YD_ECONNREFUSED)) {
        yd_trail_clear(trail);
        live->gone = 1;
        live->told = true; /* he knows that nobody may be there */
        error = 0;
    }
    if (!error) error = yd__live_help(live);
    if (error) {
        put_away(live);
        return error;
    }
    yd__live_look(live);
    *ret_live = live;
    return 0;
}

/* In a child of the process that opened it the threads are not there, and what one of them held is held for ever; the
 * socket and the eventfd are the parent's as well: nothing is said there. */
static void leave_to_parent(struct yd_live *live)
{
    (void)pthread_mutex_init(&live->lock, NULL);
    if (live->door >= 0) (void)close(live->door);
    live->door = -1;
    yd__live_wake_leave(live);
}

void yd_live_close(struct yd_live *live)
{
    if (!live) return;
    uint64_t one = 1;
    if (live->process != getpid()) {
        leave_to_parent(live);
    } else {
        yd__live_wake_end(live);
        (void)!write(live->stop, &one, sizeof one); /* an empty counter takes it */
        (void)pthread_join(live->helper, NULL);
    }
    while (live->subscriptions) yd_live_unsubscribe(live->subscriptions);
    while (live->sets) yd_live_unfollow_set(live->sets);
    while (live->items) yd_live_unfollow(live->items);
    put_away(live);
}

bool yd_live_attached(struct yd_live *live)
{
    yd__live_look(live);
    return !yd__load(&live->gone, ACQUIRE); /* pairs with the release in attach.c */
}

uint64_t yd_live_generation(struct yd_live *live)
{
    yd__live_look(live);
    return live->current ? live->current->generation : 0;
}

int yd_live_about(struct yd_live *live, struct yd_live_about *ret)
{
    yd__live_look(live);
    if (!live->current) return YD_EAGAIN;
    const struct yd__live_header *header = live->current->table.header;
    *ret = (struct yd_live_about){.generation = live->current->generation,
                                  .bytes = live->current->table.size,
                                  .writer_pid = header->writer_pid,
                                  .created_ns = header->created_ns,
                                  .names = yd_live_table_view_count(&live->current->view),
                                  .names_max = live->current->view.capacity};
    return 0;
}

/* ---- items ---- */

void yd__live_widen(struct yd_live *live, uint16_t bell)
{
    uint64_t bit = UINT64_C(1) << bell;
    if (live->mask & bit) return;
    (void)yd__fetch_or(&live->mask, bit, RELEASE); /* pairs with the acquire in wake.c */
    (void)__atomic_fetch_add(&live->news, 1, __ATOMIC_RELEASE);
    yd__futex_wake_all(&live->news);
}

int yd__live_follow(struct yd_live *live, struct yd_str name, struct yd_live_item **ret_item)
{
    struct yd_live_item *item = yd_alloc_zero(NULL, sizeof *item + name.size + 1);
    if (!item) return YD_ENOMEM;
    memcpy(item->name, name.data, name.size);
    item->name_size = (uint32_t)name.size;
    item->hash = yd__live_fnv(YD__LIVE_FNV_START, name.data, name.size);
    item->bell = yd__bell_of(item->hash);
    item->looked = UINT32_MAX;
    item->live = live;
    item->next = live->items;
    if (item->next) item->next->prev = item;
    live->items = item;
    yd__live_widen(live, item->bell);
    yd__live_look(live);
    (void)find(item); /* not there yet: looked for again */
    *ret_item = item;
    return 0;
}

int yd_live_follow(struct yd_live *live, const char *name, struct yd_live_item **ret_item)
{
    char canonical[YD_NAME_SIZE_MAX];
    size_t size;
    int error = yd_name_canonical((struct yd_str){name, strlen(name)}, canonical, &size);
    return error ? error : yd__live_follow(live, (struct yd_str){canonical, size}, ret_item);
}

void yd_live_unfollow(struct yd_live_item *item)
{
    if (!item) return;
    if (item->prev)
        item->prev->next = item->next;
    else
        item->live->items = item->next;
    if (item->next) item->next->prev = item->prev;
    yd_alloc_put(NULL, item->text, item->text_room);
    yd_alloc_put(NULL, item, sizeof *item + item->name_size + 1);
}

const char *yd_live_name(const struct yd_live_item *item)
{
    return item->name;
}

bool yd__live_changed(struct yd_live_item *item)
{
    if (!item->found && !find(item)) return false;
    return yd_live_cell_changed(&item->cell, &item->cursor);
}

/* ---- reading ---- */

typedef int read_fn(const struct yd_live_cell *, struct yd_live_cursor *, void *, uint32_t, struct yd_live_value *);

static inline int read_value(struct yd_live_item *item, read_fn *read, void *to, size_t room,
                             struct yd_live_value *ret_value)
{
    yd__live_look(item->live);
    if (YD_UNLIKELY(!item->found) && !find(item)) return item->has_last ? 0 : YD_EAGAIN;
    if (!yd_live_cell_changed(&item->cell, &item->cursor)) return item->has_last ? 0 : YD_EAGAIN;
    bool first = item->cursor.seq == 0;
    int got = read(&item->cell, &item->cursor, to, room > UINT32_MAX ? UINT32_MAX : (uint32_t)room, ret_value);
    if (got == 1) {
        if (YD_UNLIKELY(item->before)) { /* the first one since other memory is in use */
            ret_value->missed += item->left + (first ? ret_value->seq - 1 : 0);
            item->left = 0;
            item->before = false;
        }
        item->last = *ret_value;
        item->has_last = true;
    }
    return got;
}

int yd_live_get(struct yd_live_item *item, void *to, size_t room, struct yd_live_value *ret_value)
{
    return read_value(item, yd_live_cell_get, to, room, ret_value);
}

int yd_live_next(struct yd_live_item *item, void *to, size_t room, struct yd_live_value *ret_value)
{
    return read_value(item, yd_live_cell_next, to, room, ret_value);
}

/* The newest value, kept whether it is new or not. */
static int newest(struct yd_live_item *item, union yd_value *ret_value)
{
    struct yd_live_value value;
    int got = yd_live_get(item, NULL, 0, &value);
    if (got < 0) return got;
    ret_value->bits = item->last.bits;
    return 0;
}

int yd_live_get_f64(struct yd_live_item *item, double *ret)
{
    union yd_value value;
    int error = newest(item, &value);
    if (error) return error;
    return yd_value_number((enum yd_type)item->last.type, value, ret) ? 0 : YD_EINVAL;
}

int yd_live_get_i64(struct yd_live_item *item, int64_t *ret)
{
    union yd_value value;
    int error = newest(item, &value);
    if (error) return error;
    switch ((enum yd_type)item->last.type) {
    case YD_BOOL:
    case YD_I64:
        *ret = value.i64;
        return 0;
    case YD_U64:
        if (value.u64 > INT64_MAX) return YD_ERANGE;
        *ret = value.i64;
        return 0;
    case YD_F64:
        if (!(value.f64 >= -0x1p63 && value.f64 < 0x1p63) || (double)(int64_t)value.f64 != value.f64) return YD_ERANGE;
        *ret = (int64_t)value.f64;
        return 0;
    default:
        return YD_EINVAL;
    }
}

int yd_live_get_u64(struct yd_live_item *item, uint64_t *ret)
{
    union yd_value value;
    int error = newest(item, &value);
    if (error) return error;
    switch ((enum yd_type)item->last.type) {
    case YD_BOOL:
    case YD_U64:
        *ret = value.u64;
        return 0;
    case YD_I64:
        if (value.i64 < 0) return YD_ERANGE;
        *ret = value.u64;
        return 0;
    case YD_F64:
        if (!(value.f64 >= 0 && value.f64 < 0x1p64) || (double)(uint64_t)value.f64 != value.f64) return YD_ERANGE;
        *ret = (uint64_t)value.f64;
        return 0;
    default:
        return YD_EINVAL;
    }
}

int yd_live_get_bool(struct yd_live_item *item, bool *ret)
{
    double number;
    int error = yd_live_get_f64(item, &number);
    if (!error) *ret = number != 0;
    return error;
}

/* The newest TEXT or BLOB into the item's own room, once for each value. */
static int keep_text(struct yd_live_item *item)
{
    struct yd_live_value value;
    struct yd_live_cursor cursor = {0};
    if (!item->found) return item->text ? 0 : YD_EAGAIN; /* after a new beginning: as it was */
    if (item->text_room < item->cell.value_size) {
        char *text = yd_alloc_resize(NULL, item->text, item->text_room, item->cell.value_size);
        if (!text) return YD_ENOMEM;
        item->text = text;
        item->text_room = item->cell.value_size;
    }
    int got = yd_live_cell_get(&item->cell, &cursor, item->text, item->text_room, &value);
    if (got == YD_EAGAIN) return item->text_size ? 0 : YD_EAGAIN;
    if (got < 0) return got;
    item->cursor = cursor;
    item->last = value;
    item->has_last = true;
    item->text_size = value.size;
    return 0;
}

static size_t write_number(const struct yd_live_value *last, char *to, size_t size)
{
    union yd_value value = {.bits = last->bits};
    switch ((enum yd_type)last->type) {
    case YD_BOOL:
        return (size_t)snprintf(to, size, "%s", value.bits ? "true" : "false");
    case YD_I64:
        return (size_t)snprintf(to, size, "%lld", (long long)value.i64);
    case YD_U64:
        return (size_t)snprintf(to, size, "%llu", (unsigned long long)value.u64);
    case YD_F64:
        return (size_t)snprintf(to, size, "%.17g", value.f64);
    default:
        return (size_t)snprintf(to, size, "%s", "");
    }
}

int yd_live_get_text(struct yd_live_item *item, char *to, size_t size)
{
    union yd_value value;
    int error = newest(item, &value);
    if (error) return error;
    if (size == 0) return YD_EINVAL;
    if (item->last.type != YD_TEXT && item->last.type != YD_BLOB) {
        (void)write_number(&item->last, to, size); /* cut to fit, as said */
        return 0;
    }
    error = keep_text(item);
    if (error) return error;
    size_t bytes = item->text_size < size ? item->text_size : size - 1;
    memcpy(to, item->text, bytes);
    to[bytes] = 0;
    return 0;
}

/* ---- names ---- */

uint32_t yd_live_count(struct yd_live *live)
{
    yd__live_look(live);
    return live->current ? yd_live_table_view_count(&live->current->view) : 0;
}

int yd_live_names(struct yd_live *live, const struct yd_pattern *pattern, uint32_t *position, struct yd_str *ret_name)
{
    uint32_t count = yd_live_count(live);
    while (*position < count) {
        const char *name;
        uint32_t size;
        if (yd_live_table_view_name(&live->current->view, (*position)++, &name, &size)) continue; /* damaged: itself */
        if (pattern && !yd_pattern_match(pattern, (struct yd_str){name, size})) continue;
        *ret_name = (struct yd_str){name, size};
        return 1;
    }
    return 0;
}
