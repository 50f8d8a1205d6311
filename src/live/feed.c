/* live/feed.c: subscriptions come and go, and names are looked at once each.
 *
 *   subscribe ─▶ table, ring, sealed ─▶ names there are: match? ─▶ entry, from the sequence it has now
 *   run (feed_run.c) meets a name behind `scanned` ─▶ yd__feed_scan: match? ─▶ entry, from its first value
 *
 * Which names are wanted is a bit each, so that walking past what an application does not want costs a load. What can
 * fail: memory and descriptors (the subscription is refused; a name is looked at again later). */
#include "live/feed_internal.h"

#include <math.h>
#include <unistd.h>

#include "live/atomic.h"

#define NAMES_DEFAULT UINT32_C(65536)
#define RING_DEFAULT  (UINT64_C(64) << 10)
#define RING_MAX      (UINT64_C(1) << 30)
#define SECOND        INT64_C(1000000000)
#define SLOTS         2  /* of latest: who copies one and is overtaken copies the newer one */
#define ENTRIES_MIN   16 /* in a block */
#define ENTRIES_MAX   16384

/* ---- entries by measurement ---- */

static uint32_t place_of(const struct yd_live_feed *feed, uint32_t index)
{
    uint32_t mask = feed->slot_count - 1, at = (index * UINT32_C(2654435761)) & mask;
    while (feed->slots[at] && feed->slots[at]->index != index) at = (at + 1) & mask;
    return at;
}

struct yd__feed_entry *yd__feed_find(const struct yd_live_feed *feed, uint32_t index)
{
    return feed->slot_count ? feed->slots[place_of(feed, index)] : NULL;
}

/* Before those of lesser priority, behind its equals. */
static void put_entry(struct yd_live_feed *feed, struct yd__feed_entry *entry)
{
    struct yd__feed_entry **link = &feed->slots[place_of(feed, entry->index)];
    if (!*link) feed->slots_used++;
    while (*link && (*link)->subscription->priority >= entry->subscription->priority) link = &(*link)->next;
    entry->next = *link;
    *link = entry;
    feed->wanted[entry->index / YD__WANTED_PAGE][entry->index % YD__WANTED_PAGE / 64] |= UINT64_C(1)
                                                                                         << (entry->index % 64);
}

static int resize_slots(struct yd_live_feed *feed, uint32_t count)
{
    struct yd__feed_entry **slots = yd_alloc_zero(NULL, count * sizeof(struct yd__feed_entry *));
    if (!slots) return YD_ENOMEM;
    yd_alloc_put(NULL, feed->slots, feed->slot_count * sizeof *feed->slots);
    feed->slots = slots;
    feed->slot_count = count;
    return 0;
}

/* All entries anew: into more slots, or without those of a subscription that has ended. */
static void put_all(struct yd_live_feed *feed)
{
    memset(feed->slots, 0, feed->slot_count * sizeof *feed->slots);
    for (uint32_t i = 0; i < feed->wanted_pages; i++)
        if (feed->wanted[i]) memset(feed->wanted[i], 0, YD__WANTED_PAGE / 8);
    feed->slots_used = 0;
    for (struct yd__subscription *s = feed->subscriptions; s; s = s->next)
        for (struct yd__feed_block *block = s->blocks; block; block = block->next)
            for (uint32_t i = 0; i < block->used; i++) put_entry(feed, yd__entry_at(s, block, i));
}

/* So that yd__feed_wants may be asked about names below `count`. */
static int room_for_names(struct yd_live_feed *feed, uint32_t count)
{
    uint32_t pages = (count + YD__WANTED_PAGE - 1) / YD__WANTED_PAGE;
    if (pages <= feed->wanted_pages) return 0;
    uint64_t **wanted =
        yd_alloc_resize(NULL, feed->wanted, feed->wanted_pages * sizeof *wanted, pages * sizeof *wanted);
    if (!wanted) return YD_ENOMEM;
    memset(wanted + feed->wanted_pages, 0, (pages - feed->wanted_pages) * sizeof *wanted);
    feed->wanted = wanted;
    feed->wanted_pages = pages;
    return 0;
}

static int room_for_entry(struct yd_live_feed *feed, uint32_t index)
{
    int made = room_for_names(feed, index + 1);
    if (made) return made;
    uint64_t **page = &feed->wanted[index / YD__WANTED_PAGE];
    if (!*page) *page = yd_alloc_zero(NULL, YD__WANTED_PAGE / 8);
    if (!*page) return YD_ENOMEM;
    if ((feed->slots_used + 1) * 2 <= feed->slot_count) return 0;
    int error = resize_slots(feed, feed->slot_count ? feed->slot_count * 2 : 16);
    if (!error) put_all(feed);
    return error;
}

/* ---- names ---- */

/* In the subscription's own table; beyond names_max: known, and counted, but not placed. */
static int declare_own(struct yd__subscription *s, struct yd_str name, uint32_t room, uint32_t *ret_own)
{
    *ret_own = YD__NOT_PLACED;
    if (s->counts.names >= s->names_max) return 0;
    int error = yd_live_table_declare(s->table, name, YD_BLOB, YD__SEQUENCE_SIZE + room, ret_own);
    if (error == YD_EFULL) return 0;
    return error < 0 ? error : 0;
}

/* A free entry at the front of s->blocks; used counts it once it is filled. */
static struct yd__feed_entry *room_in_block(struct yd__subscription *s)
{
    struct yd__feed_block *block = s->blocks;
    if (block && block->used < block->room) return yd__entry_at(s, block, block->used);
    uint64_t room = s->counts.names / 2 < ENTRIES_MIN ? ENTRIES_MIN : s->counts.names / 2;
    if (room > ENTRIES_MAX) room = ENTRIES_MAX;
    block = yd_alloc_get(NULL, sizeof *block + room * yd__entry_size(s));
    if (!block) return NULL;
    *block = (struct yd__feed_block){.next = s->blocks, .room = (uint32_t)room};
    s->blocks = block;
    return yd__entry_at(s, block, 0);
}

static int add_name(struct yd_live_feed *feed, struct yd__subscription *s, uint32_t index, bool existed)
{
    const struct yd_live_table_view *view = yd_live_source_view(feed->source);
    struct yd_str name;
    struct yd_live_cell cell;
    uint32_t size, own;
    if (yd_live_table_view_name(view, index, &name.data, &size) || yd_live_table_view_cell(view, index, &cell))
        return 0;
    name.size = size;
    if (!yd_pattern_match(s->pattern, name) || (s->allowed && !yd_pattern_match(s->allowed, name))) return 0;
    int error = room_for_entry(feed, index);
    if (error) return error;
    struct yd__feed_entry *entry = room_in_block(s);
    if (!entry) return YD_ENOMEM;
    error = declare_own(s, name, cell.value_size, &own);
    if (error) return error;
    /* Pairs with the release of head in end_slot (table_write.c): events up to here are in the source's ring. */
    uint64_t seq = existed ? __atomic_load_n(cell.head, __ATOMIC_ACQUIRE) : 0;
    if (!s->every && seq) seq--; /* the newest that is there is its own */
    *entry = (struct yd__feed_entry){.subscription = s, .index = index, .own = own, .seq = seq};
    if (yd__has_rate(s)) *yd__paced(entry) = (struct yd__feed_paced){.entry = *entry, .since = INT64_MIN / 2};
    s->blocks->used++;
    s->counts.names++;
    put_entry(feed, entry);
    return 0;
}

int yd__feed_scan(struct yd_live_feed *feed)
{
    uint32_t count = yd_live_table_view_count(yd_live_source_view(feed->source));
    for (; feed->scanned < count; feed->scanned++) {
        int error = room_for_names(feed, feed->scanned + 1);
        struct yd__subscription *s = feed->subscriptions;
        const struct yd__feed_entry *first = yd__feed_find(feed, feed->scanned); /* of a scan that memory cut short */
        for (; s && !error; s = s->next) {
            const struct yd__feed_entry *entry = first;
            while (entry && entry->subscription != s) entry = entry->next;
            if (!entry) error = add_name(feed, s, feed->scanned, false);
        }
        if (error) return error;
    }
    return 0;
}

/* ---- life ---- */

int yd_live_feed_create(struct yd_live_source *source, uint64_t id, struct yd_live_feed **ret_feed)
{
    const struct yd_live_source_options *options = yd_live_source_options(source);
    struct yd_live_feed *feed = yd_alloc_zero(NULL, sizeof *feed);
    if (!feed) return YD_ENOMEM;
    feed->source = source;
    feed->id = id;
    feed->bell.region.fd = -1;
    feed->value_room = YD__SEQUENCE_SIZE + YD_ALIGN_UP((size_t)options->value_max, 8);
    feed->value = yd_alloc_zero(NULL, feed->value_room);
    feed->newest = yd_alloc_zero(NULL, feed->value_room);
    int error = feed->value && feed->newest ? yd_live_bell_create(id, options->generation, options->now_ns, &feed->bell)
                                            : YD_ENOMEM;
    if (error) {
        yd_live_feed_destroy(feed);
        return error;
    }
    *ret_feed = feed;
    return 0;
}

static void put_away(struct yd__subscription *s)
{
    while (s->blocks) {
        struct yd__feed_block *block = s->blocks;
        s->blocks = block->next;
        yd_alloc_put(NULL, block, sizeof *block + block->room * yd__entry_size(s));
    }
    if (s->table) yd_live_table_set_state(s->table, YD__LIVE_CLOSED);
    if (s->ring.shared) {
        yd_live_ring_set_state(&s->ring, YD__LIVE_CLOSED);
        yd_live_ring_destroy(&s->ring);
    }
    yd_live_table_destroy(s->table);
    yd_pattern_destroy(s->pattern);
    yd_alloc_put(NULL, s, sizeof *s);
}

void yd_live_feed_destroy(struct yd_live_feed *feed)
{
    if (!feed) return;
    while (feed->subscriptions) {
        struct yd__subscription *s = feed->subscriptions;
        feed->subscriptions = s->next;
        put_away(s);
    }
    if (feed->bell.page) {
        yd_live_bell_ring_all(&feed->bell); /* who sleeps sees that it is closed */
        yd_live_bell_destroy(&feed->bell);
    }
    yd_alloc_put(NULL, feed->slots, feed->slot_count * sizeof *feed->slots);
    for (uint32_t i = 0; i < feed->wanted_pages; i++) yd_alloc_put(NULL, feed->wanted[i], YD__WANTED_PAGE / 8);
    yd_alloc_put(NULL, feed->wanted, feed->wanted_pages * sizeof *feed->wanted);
    yd_alloc_put(NULL, feed->value, feed->value_room);
    yd_alloc_put(NULL, feed->newest, feed->value_room);
    yd_alloc_put(NULL, feed, sizeof *feed);
}

/* ---- subscribing ---- */

static void set_rate(struct yd__subscription *s, double rate)
{
    if (rate <= 0) return;
    s->span = rate >= 1 && s->every ? SECOND : (int64_t)((double)SECOND / rate);
    if (s->span < 1) s->span = 1;
    s->in_span = !s->every || rate < 1 ? 1 : rate >= UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
}

static int make_memory(const struct yd_live_feed *feed, struct yd__subscription *s, uint64_t ring_size, int64_t wall_ns)
{
    const struct yd_live_source_options *source = yd_live_source_options(feed->source);
    uint64_t cell = yd_live_table_cell_size(YD__SEQUENCE_SIZE + source->value_max, SLOTS, true);
    struct yd_live_table_options table = {.generation = source->generation,
                                          .id = s->id,
                                          .now_ns = wall_ns,
                                          .capacity = s->names_max,
                                          .is_unsearched = true,
                                          .names_size = (uint64_t)s->names_max * 128,
                                          .cells_size = s->every ? 0 : cell * s->names_max,
                                          .slots = SLOTS,
                                          .is_dense = true,
                                          .is_names = s->every};
    int error = yd_live_table_create(&table, NULL, &s->table);
    if (!error) yd_live_table_set_state(s->table, YD__LIVE_READY);
    if (error || !s->every) return error;
    uint64_t size = YD__RING_SIZE_MIN, least = 4 * (YD__RING_RECORD_HEADER + (uint64_t)feed->value_room + 8);
    if (ring_size == 0) ring_size = RING_DEFAULT;
    if (ring_size > RING_MAX) ring_size = RING_MAX;
    while (size < ring_size || size < least) size *= 2;
    struct yd_live_ring_options ring = {
        .generation = source->generation, .id = s->id, .now_ns = wall_ns, .size = size, .sparse = true};
    error = yd_live_ring_create(&ring, &s->ring);
    if (!error) yd_live_ring_set_state(&s->ring, YD__LIVE_READY);
    return error;
}

static int hand_out(struct yd_live_feed *feed, struct yd__subscription *s, struct yd_live_feed_grant *ret)
{
    *ret = (struct yd_live_feed_grant){.id = s->id,
                                       .generation = yd_live_source_options(feed->source)->generation,
                                       .word = s->word,
                                       .table_fd = -1,
                                       .bell_fd = -1,
                                       .ring_fd = -1};
    int error = yd_live_region_reader_fd(yd_live_table_region(s->table), &ret->table_fd);
    if (!error) error = yd_live_region_reader_fd(&feed->bell.region, &ret->bell_fd);
    if (!error && s->every) error = yd_live_region_reader_fd(&s->ring.region, &ret->ring_fd);
    if (!error) {
        yd_live_table_forget_fd(s->table);
        if (s->every) yd_live_region_forget_fd(&s->ring.region);
        return 0;
    }
    int *fds[] = {&ret->table_fd, &ret->bell_fd, &ret->ring_fd};
    for (int i = 0; i < 3; i++)
        if (*fds[i] >= 0) (void)close(*fds[i]);
    return error;
}

/* The names there are, from where they stand: of `latest` the newest values are handed on at once. */
static int begin(struct yd_live_feed *feed, struct yd__subscription *s, int64_t mono_ns)
{
    int error = 0;
    if (!feed->walking) {
        error = yd__feed_start(feed); /* before their sequences are read: nothing in between is missed */
        feed->scanned = yd_live_table_view_count(yd_live_source_view(feed->source));
    }
    if (!error) error = room_for_names(feed, feed->scanned);
    for (uint32_t index = 0; index < feed->scanned && !error; index++) error = add_name(feed, s, index, true);
    if (error) return error;
    /* An event whose value the table did not have may lie behind where we read already. */
    s->is_new = !s->every;
    feed->has_new |= s->is_new;
    for (struct yd__feed_block *block = s->every ? NULL : s->blocks; block; block = block->next)
        for (uint32_t i = 0; i < block->used; i++)
            (void)yd__feed_send_newest(feed, yd__entry_at(s, block, i), mono_ns); /* or never had a value */
    yd__feed_flush(feed);
    return 0;
}

static void unlink_subscription(struct yd_live_feed *feed, struct yd__subscription *s)
{
    struct yd__subscription **link = &feed->subscriptions;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    feed->count--;
    if (feed->count == 0) feed->walking = false; /* the next one begins with what comes then */
    if (feed->slot_count) put_all(feed);
}

static uint64_t words_of(const struct yd_live_feed *feed, bool every_alone)
{
    uint64_t words = 0;
    for (const struct yd__subscription *s = feed->subscriptions; s; s = s->next)
        if (s->every || !every_alone) words |= UINT64_C(1) << s->word;
    return words;
}

/* One of its own, while there are as many; the library does not ask for more. */
static uint32_t word_for(const struct yd_live_feed *feed, uint64_t id)
{
    uint64_t free = ~words_of(feed, false);
    uint32_t word = free ? (uint32_t)__builtin_ctzll(free) : (uint32_t)(id % YD__BELL_WORDS);
    struct yd__bell_said *said = &feed->bell.page->said[word];
    yd__store(&said->got, 0, RELAXED); /* of who had it before */
    yd__store(&said->lost, 0, RELAXED);
    return word;
}

/* Before those of lesser priority: when a turn's budget is short, theirs is what waits. */
static void put_subscription(struct yd_live_feed *feed, struct yd__subscription *s)
{
    struct yd__subscription **link = &feed->subscriptions;
    while (*link && (*link)->priority >= s->priority) link = &(*link)->next;
    s->next = *link;
    *link = s;
    feed->count++;
}

int yd_live_feed_subscribe(struct yd_live_feed *feed, const struct yd_live_feed_request *request, int64_t mono_ns,
                           int64_t wall_ns, struct yd_live_feed_grant *ret_grant)
{
    if (feed->count == YD_LIVE_SUBSCRIPTIONS_MAX) return YD_EFULL;
    if (!(request->rate >= 0 && isfinite(request->rate)) || request->priority >= YD_LIVE_PRIORITIES) return YD_EINVAL;
    if (request->rate > 0 && request->rate < 1e-6) return YD_EINVAL;
    struct yd__subscription *s = yd_alloc_zero(NULL, sizeof *s);
    if (!s) return YD_ENOMEM;
    uint32_t capacity = yd_live_source_options(feed->source)->measurements;
    s->id = ++feed->next_id;
    s->word = word_for(feed, s->id);
    s->every = request->every;
    s->priority = request->priority;
    s->allowed = request->allowed;
    s->names_max = request->names_max ? request->names_max : NAMES_DEFAULT;
    if (s->names_max > capacity) s->names_max = capacity;
    s->cooling_end = &s->cooling;
    set_rate(s, request->rate);
    int error = yd_pattern_compile(request->pattern, &s->pattern);
    if (!error) error = make_memory(feed, s, request->ring_size, wall_ns);
    if (error) {
        put_away(s);
        return error;
    }
    put_subscription(feed, s);
    error = begin(feed, s, mono_ns);
    if (!error) error = hand_out(feed, s, ret_grant);
    if (error) {
        unlink_subscription(feed, s);
        put_away(s);
    }
    return error;
}

static struct yd__subscription *find_subscription(const struct yd_live_feed *feed, uint64_t id)
{
    struct yd__subscription *s = feed->subscriptions;
    while (s && s->id != id) s = s->next;
    return s;
}

static void add_counts(struct yd_live_feed_counts *to, const struct yd_live_feed_counts *counts)
{
    to->passed += counts->passed;
    to->paced += counts->paced;
    to->overrun += counts->overrun;
    to->unplaced += counts->unplaced;
}

/* Anything may stand there: what is made of it stays a number that every reader of JSON takes. */
static struct yd_live_feed_said said_in(const struct yd__bell_page *page, uint32_t word)
{
    uint64_t got = yd__load(&page->said[word].got, RELAXED); /* figures alone: nothing is behind them */
    uint64_t lost = yd__load(&page->said[word].lost, RELAXED);
    return (struct yd_live_feed_said){.got = YD_MIN(got, YD_LIVE_SAID_MAX), .lost = YD_MIN(lost, YD_LIVE_SAID_MAX)};
}

int yd_live_feed_unsubscribe(struct yd_live_feed *feed, uint64_t id)
{
    struct yd__subscription *s = find_subscription(feed, id);
    if (!s) return YD_ENOENT;
    unlink_subscription(feed, s);
    add_counts(&feed->ended, &s->counts);
    uint32_t word = s->word;
    struct yd_live_feed_said said = said_in(feed->bell.page, word);
    feed->ended_got += YD_MIN(said.got, s->counts.passed); /* what stays is not more than there was */
    feed->ended_lost += YD_MIN(said.lost, s->counts.passed);
    put_away(s);
    yd_live_bell_ring(&feed->bell, word);
    return 0;
}

/* ---- looking ---- */

int yd_live_feed_counts(const struct yd_live_feed *feed, uint64_t id, struct yd_live_feed_counts *ret)
{
    const struct yd__subscription *s = find_subscription(feed, id);
    if (!s) return YD_ENOENT;
    *ret = s->counts;
    return 0;
}

struct yd_live_feed_counts yd_live_feed_total(const struct yd_live_feed *feed)
{
    struct yd_live_feed_counts total = feed->ended;
    for (const struct yd__subscription *s = feed->subscriptions; s; s = s->next) {
        add_counts(&total, &s->counts);
        total.names += s->counts.names;
        if (s->every) total.ordered += s->counts.passed;
    }
    return total;
}

size_t yd_live_feed_size(const struct yd_live_feed *feed)
{
    return feed->count;
}

unsigned yd_live_feed_priority(const struct yd_live_feed *feed)
{
    unsigned priority = 0;
    for (const struct yd__subscription *s = feed->subscriptions; s; s = s->next)
        if (s->priority > priority) priority = s->priority;
    return priority;
}

struct yd_live_feed_watch yd_live_feed_watch(const struct yd_live_feed *feed)
{
    return (struct yd_live_feed_watch){.page = feed->bell.page,
                                       .words = words_of(feed, false),
                                       .ordered_words = words_of(feed, true),
                                       .ended_got = feed->ended_got,
                                       .ended_lost = feed->ended_lost};
}

struct yd_live_feed_said yd_live_feed_said(const struct yd_live_feed_watch *watch)
{
    struct yd_live_feed_said said = {.got = watch->ended_got, .lost = watch->ended_lost};
    for (uint64_t words = watch->words; words; words &= words - 1) {
        unsigned word = (unsigned)__builtin_ctzll(words);
        struct yd_live_feed_said one = said_in(watch->page, word);
        said.got += one.got; /* of 64 words: far from an overflow */
        said.lost += one.lost;
        if (watch->ordered_words >> word & 1) said.ordered += one.got + one.lost;
    }
    said.got = YD_MIN(said.got, YD_LIVE_SAID_MAX);
    said.lost = YD_MIN(said.lost, YD_LIVE_SAID_MAX);
    return said;
}
