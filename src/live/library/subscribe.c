/* live/library/subscribe.c: what a broker sends to this program alone.
 *
 *   program's thread: subscribe ─ SUBSCRIBE ─▶ door       helper: SUBSCRIBED ─▶ grant pending, news
 *                     next ◀─ grant in use ◀─ taken over when the one before is read to its end
 *
 * What was asked for is kept: the helper asks again when it comes in at a successor's door. Each value begins with its
 * measurement's sequence (8 bytes), so what is missing of a name is known, wherever it was lost. What can fail: a
 * refusal (given back, or, of one that is asked again, as if nothing came), memory that is damaged. */
#include "live/library/internal.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "io/pass.h"

#define ANSWER_NS (INT64_C(5) * 1000000000)
#define VALUE_MAX (UINT32_C(1) << 20)
#define SEQUENCE  8 /* bytes before each value */

/* A measurement of a subscription, by its index in the subscription's table. */
struct measured {
    struct yd_live_cell cell;     /* latest */
    struct yd_live_cursor cursor; /* latest */
    uint64_t seq;                 /* of the value got last; 0: none yet */
};

struct yd_live_subscription {
    struct yd_live *live;
    struct yd_live_subscription *prev, *next;
    struct yd__door_subscribe question; /* its correlation names us */
    bool asked;                         /* at the door we are at */
    uint64_t granted;                   /* under lock: what that door calls it; 0: it has not answered yet */
    struct yd__grant *pending;          /* atomic; set under lock */
    struct yd__grant *current;          /* changed under lock */
    int error;                          /* under lock: refused */
    char text[YD__DOOR_TEXT];
    struct yd_live_counts told; /* under lock, by the answer to `counted` */
    uint64_t counted;           /* correlation of that question; 0: answered */
    int count_error;
    uint32_t rung; /* the waker's: sequence of the bell as seen last */
    uint64_t rung_id;
    /* the program's thread */
    struct measured *measured;
    uint32_t measured_count, measured_room, turn;
    uint8_t *value;
    uint32_t value_room;
    uint64_t got, lost; /* of the current grant */
};

/* ---- grants ---- */

static void put_away(struct yd__grant *grant)
{
    yd_live_mapping_close(&grant->table);
    yd_live_mapping_close(&grant->bell);
    yd_live_mapping_close(&grant->ring);
    yd_alloc_put(NULL, grant, sizeof *grant);
}

void yd__grant_unref(struct yd_live *live, struct yd__grant *grant)
{
    if (!grant) return;
    (void)pthread_mutex_lock(&live->lock);
    bool last = --grant->refs == 0;
    (void)pthread_mutex_unlock(&live->lock);
    if (last) put_away(grant);
}

static int grant_of(const struct yd__door_subscribed *message, const int *fds, unsigned count, struct yd__grant **ret)
{
    bool every = message->mode == YD__DOOR_EVERY;
    if (count != (every ? 3u : 2u) || message->word >= YD__BELL_WORDS) return YD_EFORMAT;
    struct yd__grant *grant = yd_alloc_zero(NULL, sizeof *grant);
    if (!grant) return YD_ENOMEM;
    grant->refs = 1;
    grant->id = message->id;
    grant->word = message->word;
    int error = yd_live_mapping_open(fds[0], YD__LIVE_TABLE, &grant->table);
    if (!error) error = yd_live_table_view_open(&grant->table, &grant->view);
    if (!error) error = yd_live_mapping_open(fds[1], YD__LIVE_BELL, &grant->bell);
    if (!error && grant->bell.size < YD__BELL_SIZE) error = YD_EFORMAT;
    if (!error && every) error = yd_live_mapping_open(fds[2], YD__LIVE_RING, &grant->ring);
    if (!error && every) error = yd_live_ring_reader_open(&grant->ring, NULL, &grant->reader);
    if (error) {
        put_away(grant);
        return error;
    }
    if (every) { /* its own from the first record on */
        grant->reader.position = grant->reader.head = 0;
        grant->reader.ordinal = 0;
        grant->reader.counted = 1; /* its first record is 0, wherever the writer stood when it was opened */
    }
    *ret = grant;
    return 0;
}

/* ---- with the door ---- */

static int say(const struct yd_live *live, enum yd__door_type type, uint64_t correlation, uint64_t id)
{
    struct yd__door_subscription message = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, (uint16_t)type, correlation},
                                            .id = id};
    int error = live->door >= 0 ? yd_pass_send(live->door, &message, sizeof message, NULL, 0) : YD_ECLOSED;
    return error == YD_ECONNRESET ? YD_ECLOSED : error;
}

void yd__live_ask_all(struct yd_live *live)
{
    for (struct yd_live_subscription *s = live->subscriptions; s; s = s->next)
        if (!s->asked && live->door >= 0)
            s->asked = yd_pass_send(live->door, &s->question, sizeof s->question, NULL, 0) == 0;
}

void yd__live_ask_again(struct yd_live *live)
{
    for (struct yd_live_subscription *s = live->subscriptions; s; s = s->next) {
        s->asked = false;
        s->granted = 0;
        if (s->counted) s->count_error = YD_ECLOSED;
        s->counted = 0;
    }
    if (live->looking) live->look_error = YD_ECLOSED;
    live->looking = 0;
}

/* Something that a program's thread may be waiting for: `news` is slept on. */
static void tell(struct yd_live *live)
{
    (void)__atomic_fetch_add(&live->news, 1, __ATOMIC_RELEASE); /* pairs with the acquires in wait.c and await */
    yd__futex_wake_all(&live->news);
}

static void granted(struct yd_live *live, struct yd_live_subscription *s, const struct yd__door_subscribed *message,
                    const int *fds, unsigned count)
{
    struct yd__grant *grant = NULL;
    int error = grant_of(message, fds, count, &grant);
    if (error) {
        s->error = error;
        (void)snprintf(s->text, sizeof s->text, "what the door handed out: %s", yd_error_text(error));
        (void)say(live, YD__DOOR_UNSUBSCRIBE, 0, message->id);
        return;
    }
    struct yd__grant *replaced = s->pending;
    s->error = 0;
    s->granted = grant->id;
    yd__store(&s->pending, grant, RELEASE); /* pairs with the acquire in look_for_grant */
    if (replaced && --replaced->refs == 0) put_away(replaced);
}

static void looked(struct yd_live *live, const union yd__door_message *message)
{
    const struct yd__door_looked *looked = &message->looked;
    live->looking = 0;
    live->look_error = message->head.type == YD__DOOR_LOOKED ? 0 : YD_ENOTSUP;
    live->readers = (struct yd_live_readers){looked->clients, looked->welcomed, looked->refused, looked->shown_out};
}

void yd__live_answered(struct yd_live *live, const union yd__door_message *message, const int *fds, unsigned count)
{
    uint64_t correlation = message->head.correlation;
    (void)pthread_mutex_lock(&live->lock);
    if (live->looking == correlation) looked(live, message);
    struct yd_live_subscription *s = live->subscriptions;
    while (s && s->question.head.correlation != correlation && s->counted != correlation) s = s->next;
    bool of_count = s && s->counted == correlation;
    if (message->head.type == YD__DOOR_SUBSCRIBED) {
        if (s && !of_count)
            granted(live, s, &message->subscribed, fds, count);
        else
            (void)say(live, YD__DOOR_UNSUBSCRIBE, 0, message->subscribed.id); /* given up meanwhile */
    } else if (s && message->head.type == YD__DOOR_REFUSED) {
        int error = message->refused.error < 0 ? message->refused.error : YD_EPERM;
        if (of_count) {
            s->count_error = error;
        } else {
            s->error = error;
            (void)snprintf(s->text, sizeof s->text, "%.*s", (int)sizeof message->refused.text - 1,
                           message->refused.text);
        }
    } else if (of_count && message->head.type == YD__DOOR_COUNTS) {
        const struct yd__door_counts *counts = &message->counts;
        s->count_error = 0;
        s->told = (struct yd_live_counts){.names = counts->names,
                                          .passed = counts->passed,
                                          .paced = counts->paced,
                                          .overrun = counts->overrun,
                                          .unplaced = counts->unplaced};
    }
    if (of_count) s->counted = 0;
    (void)pthread_mutex_unlock(&live->lock);
    while (count) (void)close(fds[--count]);
    tell(live);
}

static int64_t mono_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail for this clock */
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

/* Sleeps, with the lock given up meanwhile, until is_there. YD_ETIMEOUT. */
static int await(struct yd_live *live, bool (*is_there)(const void *arg), const void *arg)
{
    int64_t until = mono_ns() + ANSWER_NS;
    while (!is_there(arg)) {
        if (mono_ns() >= until) return YD_ETIMEOUT;
        struct yd_live_sleep word = {&live->news, yd__load(&live->news, ACQUIRE)};
        (void)pthread_mutex_unlock(&live->lock);
        (void)yd_live_bell_sleep(&word, 1, until); /* whatever ended it: looks again */
        (void)pthread_mutex_lock(&live->lock);
    }
    return 0;
}

/* ---- life ---- */

static bool is_answered(const void *arg)
{
    const struct yd_live_subscription *s = arg;
    return s->pending || s->error || !s->asked; /* not asked: nobody is there */
}

static int make(struct yd_live *live, const char *pattern, const struct yd_live_subscribe_options *options,
                struct yd_live_subscription **ret)
{
    static const struct yd_live_subscribe_options none = {0};
    struct yd_pattern *compiled;
    if (!options) options = &none;
    if (strlen(pattern) >= YD__DOOR_PATTERN) return YD_ETOOBIG;
    int error = yd_pattern_compile((struct yd_str){pattern, strlen(pattern)}, &compiled);
    if (error) return error;
    yd_pattern_destroy(compiled);
    if (options->priority > UINT16_MAX) return YD_EINVAL;
    struct yd_live_subscription *s = yd_alloc_zero(NULL, sizeof *s);
    if (!s) return YD_ENOMEM;
    s->live = live;
    s->question =
        (struct yd__door_subscribe){.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, ++live->correlation},
                                    .rate = options->rate,
                                    .ring_size = options->ring_size,
                                    .names_max = options->names_max,
                                    .mode = options->every ? YD__DOOR_EVERY : YD__DOOR_LATEST,
                                    .priority = (uint16_t)options->priority};
    (void)snprintf(s->question.pattern, sizeof s->question.pattern, "%s", pattern);
    *ret = s;
    return 0;
}

int yd_live_subscribe(struct yd_live *live, const char *pattern, const struct yd_live_subscribe_options *options,
                      struct yd_live_subscription **ret_subscription, struct yd_trail *trail)
{
    struct yd_live_subscription *s;
    if (live->subscription_count == YD_LIVE_SUBSCRIPTIONS) return YD_EFULL;
    int error = make(live, pattern, options, &s);
    if (error) return yd_trail_add(trail, error, "'%s': %s", pattern, yd_error_text(error));
    (void)pthread_mutex_lock(&live->lock);
    s->next = live->subscriptions;
    if (s->next) s->next->prev = s;
    live->subscriptions = s;
    live->subscription_count++;
    yd__live_ask_all(live);
    error = live->door >= 0 && !s->asked ? YD_EBUSY : await(live, is_answered, s);
    if (!error) error = s->error;
    char text[YD__DOOR_TEXT];
    (void)snprintf(text, sizeof text, "%s", s->text[0] ? s->text : "does not answer");
    (void)pthread_mutex_unlock(&live->lock);
    tell(live); /* the waker looks at it, too */
    if (!error) {
        *ret_subscription = s;
        return 0;
    }
    yd_live_unsubscribe(s);
    return yd_trail_add(trail, error, "%s: %s", live->address, text);
}

void yd_live_unsubscribe(struct yd_live_subscription *s)
{
    if (!s) return;
    struct yd_live *live = s->live;
    (void)pthread_mutex_lock(&live->lock);
    /* Not by the number of a door before: here that is another one's. What is not answered yet is given up then. */
    if (s->granted) (void)say(live, YD__DOOR_UNSUBSCRIBE, 0, s->granted);
    if (s->prev)
        s->prev->next = s->next;
    else
        live->subscriptions = s->next;
    if (s->next) s->next->prev = s->prev;
    live->subscription_count--;
    struct yd__grant *pending = s->pending, *current = s->current;
    (void)pthread_mutex_unlock(&live->lock);
    yd__grant_unref(live, pending);
    yd__grant_unref(live, current);
    yd_alloc_put(NULL, s->measured, s->measured_room * sizeof *s->measured);
    yd_alloc_put(NULL, s->value, s->value_room);
    yd_alloc_put(NULL, s, sizeof *s);
}

/* ---- reading ---- */

static int adopt(struct yd_live_subscription *s)
{
    struct yd_live *live = s->live;
    (void)pthread_mutex_lock(&live->lock);
    struct yd__grant *old = s->current;
    s->current = s->pending;
    yd__store(&s->pending, NULL, RELAXED); /* by us, under the lock */
    (void)pthread_mutex_unlock(&live->lock);
    yd__grant_unref(live, old);
    s->measured_count = s->turn = 0;
    s->got = s->lost = 0;
    return 0;
}

/* What is known of the table's names, as far as there are any now. */
static int look_at_names(struct yd_live_subscription *s)
{
    uint32_t count = yd_live_table_view_count(&s->current->view);
    if (count > s->measured_room) {
        uint32_t room = count + s->measured_room / 2;
        struct measured *measured =
            yd_alloc_resize(NULL, s->measured, s->measured_room * sizeof *measured, room * sizeof *measured);
        if (!measured) return YD_ENOMEM;
        s->measured = measured;
        s->measured_room = room;
    }
    for (; s->measured_count < count; s->measured_count++) {
        struct measured *measured = &s->measured[s->measured_count];
        memset(measured, 0, sizeof *measured);
        if (s->current->ring.header) continue; /* its values come there, names alone are here */
        int error = yd_live_table_view_cell(&s->current->view, s->measured_count, &measured->cell);
        if (error) return error;
    }
    return 0;
}

static int make_room(struct yd_live_subscription *s, uint64_t room)
{
    if (room > VALUE_MAX + SEQUENCE) room = VALUE_MAX + SEQUENCE;
    if (s->value_room >= room) return 0;
    uint8_t *value = yd_alloc_resize(NULL, s->value, s->value_room, room);
    if (!value) return YD_ENOMEM;
    s->value = value;
    s->value_room = (uint32_t)room;
    return 0;
}

/* What lies in s->value, whole. */
static int give(struct yd_live_subscription *s, uint32_t index, struct yd_live_update *update, void *to, size_t room)
{
    struct measured *measured = &s->measured[index];
    struct yd_live_value *value = &update->value;
    uint32_t name_size;
    if (value->size < SEQUENCE || value->size > s->value_room) return YD_EFORMAT;
    int error = yd_live_table_view_name(&s->current->view, index, &update->name.data, &name_size);
    if (error) return error;
    update->name.size = name_size;
    value->size -= SEQUENCE;
    memcpy(&value->seq, s->value, SEQUENCE);
    value->bits = 0;
    memcpy(&value->bits, s->value + SEQUENCE, value->size < 8 ? value->size : 8);
    value->missed = measured->seq ? value->seq - measured->seq - 1 : 0;
    measured->seq = value->seq;
    if (to) memcpy(to, s->value + SEQUENCE, value->size < room ? value->size : room);
    s->got++;
    struct yd__bell_said *said = yd_live_bell_said(&s->current->bell, s->current->word);
    yd__store(&said->got, s->got, RELAXED); /* for who looks at the daemon */
    yd__store(&said->lost, s->lost, RELAXED);
    return 1;
}

static int next_of_ring(struct yd_live_subscription *s, void *to, size_t room, struct yd_live_update *update)
{
    struct yd_live_event event;
    int error = make_room(s, s->current->reader.size / 4);
    if (error) return error;
    int got = yd_live_ring_next(&s->current->reader, s->value, s->value_room, &event);
    if (got != 1) return got == YD_EBUSY ? 0 : got;
    if (event.index >= s->measured_count) {
        error = look_at_names(s);
        if (error) return error;
        if (event.index >= s->measured_count) return YD_EFORMAT;
    }
    *update = (struct yd_live_update){
        .value = {.time_ns = event.time_ns, .size = event.size, .flags = event.flags, .type = event.type},
        .lost = event.lost};
    s->lost += event.lost;
    return give(s, event.index, update, to, room);
}

static int next_of_table(struct yd_live_subscription *s, void *to, size_t room, struct yd_live_update *update)
{
    int error = look_at_names(s);
    if (error) return error;
    for (uint32_t i = 0; i < s->measured_count; i++) {
        uint32_t at = s->turn + i;
        if (at >= s->measured_count) at -= s->measured_count;
        struct measured *measured = &s->measured[at];
        if (!yd_live_cell_changed(&measured->cell, &measured->cursor)) continue;
        error = make_room(s, measured->cell.value_size);
        if (error) return error;
        *update = (struct yd_live_update){0};
        int got = yd_live_cell_get(&measured->cell, &measured->cursor, s->value, s->value_room, &update->value);
        if (got != 1 && got != 0 && got != YD_EAGAIN && got != YD_EBUSY) return got;
        if (got != 1) continue;
        s->turn = at + 1 < s->measured_count ? at + 1 : 0;
        return give(s, at, update, to, room);
    }
    return 0;
}

static bool has_grant(const struct yd_live_subscription *s)
{
    return yd__load(&s->pending, ACQUIRE) != NULL; /* pairs with the release in granted */
}

int yd_live_subscription_next(struct yd_live_subscription *s, void *to, size_t room, struct yd_live_update *ret_update)
{
    yd__live_look(s->live);
    for (;;) {
        int got = 0;
        if (s->current)
            got = s->current->ring.header ? next_of_ring(s, to, room, ret_update)
                                          : next_of_table(s, to, room, ret_update);
        if (got != 0 || !has_grant(s)) return got;
        (void)adopt(s); /* the one before is read to its end */
    }
}

/* ---- waiting ---- */

static bool is_ready(void *arg)
{
    struct yd_live_subscription *s = arg;
    if (has_grant(s)) return true;
    if (!s->current) return false;
    if (s->current->ring.header) return yd_live_ring_ready(&s->current->reader);
    if (look_at_names(s)) return true; /* next will say why */
    for (uint32_t i = 0; i < s->measured_count; i++)
        if (yd_live_cell_changed(&s->measured[i].cell, &s->measured[i].cursor)) return true;
    return false;
}

static unsigned arm(void *arg, struct yd_live_sleep *words)
{
    const struct yd_live_subscription *s = arg;
    unsigned count = 0;
    words[count++] = (struct yd_live_sleep){&s->live->news, yd__load(&s->live->news, ACQUIRE)};
    if (s->current) words[count++] = yd_live_bell_arm(&s->current->bell, s->current->word);
    return count;
}

int yd_live_subscription_wait(struct yd_live_subscription *s, int64_t timeout_ns)
{
    return yd__live_sleep_on(s->live, is_ready, arm, s, timeout_ns);
}

unsigned yd__live_arm_subscriptions(struct yd_live *live, struct yd_live_sleep *words, struct yd__grant **held,
                                    bool *changed)
{
    unsigned count = 0;
    (void)pthread_mutex_lock(&live->lock);
    for (struct yd_live_subscription *s = live->subscriptions; s && count < YD_LIVE_SUBSCRIPTIONS; s = s->next) {
        struct yd__grant *grant = s->pending ? s->pending : s->current;
        if (!grant) continue;
        grant->refs++;
        held[count] = grant;
        words[count] = yd_live_bell_arm(&grant->bell, grant->word);
        uint32_t rung = words[count++].seen & ~YD__BELL_WAITER;
        *changed |= rung != s->rung || s->rung_id != grant->id;
        s->rung = rung;
        s->rung_id = grant->id;
    }
    (void)pthread_mutex_unlock(&live->lock);
    return count;
}

/* ---- counts ---- */

static bool is_counted(const void *arg)
{
    const struct yd_live_subscription *s = arg;
    return s->counted == 0;
}

int yd_live_subscription_counts(struct yd_live_subscription *s, struct yd_live_counts *ret_counts)
{
    struct yd_live *live = s->live;
    (void)pthread_mutex_lock(&live->lock);
    int error = s->granted ? 0 : YD_ECLOSED;
    s->count_error = 0;
    s->counted = error ? 0 : ++live->correlation;
    if (!error) error = say(live, YD__DOOR_COUNT, s->counted, s->granted);
    if (!error) error = await(live, is_counted, s);
    if (!error) error = s->count_error;
    s->counted = 0;
    *ret_counts = s->told;
    (void)pthread_mutex_unlock(&live->lock);
    ret_counts->got = s->got;
    ret_counts->lost = s->lost;
    return error;
}

static bool is_looked(const void *arg)
{
    const struct yd_live *live = arg;
    return live->looking == 0;
}

int yd_live_readers(struct yd_live *live, struct yd_live_readers *ret)
{
    (void)pthread_mutex_lock(&live->lock);
    int error = live->door >= 0 ? 0 : YD_ECLOSED;
    live->look_error = 0;
    live->looking = error ? 0 : ++live->correlation;
    if (!error) error = say(live, YD__DOOR_LOOK, live->looking, 0);
    if (!error) error = await(live, is_looked, live);
    if (!error) error = live->look_error;
    live->looking = 0;
    *ret = live->readers;
    (void)pthread_mutex_unlock(&live->lock);
    return error;
}
