/* The limit engine: readings and silence in, changes of state out. See limits.h.
 *
 *   rule: for each set a clause     item: state, the run that may change it, when it was last heard of
 *
 *   reading --> judge: range, rate, delta, values; the worst --> run: so many, or for so long? --> change
 *   heap of items by when silence is too long: looked at when its first one is due, moved only then
 *
 * An item is in the heap with the deadline it had when it was put there: a reading only notes when it came, and the
 * heap finds out when the old deadline is reached. So a reading costs no more for being watched. What can fail: memory,
 * when rules and items are made; never an update. */
#include "decom/limits.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"

#define SETS_MAX   64
#define NOWHERE    UINT32_MAX
#define SAVED_FORM 1
#define SET_BACK   (60 * YD_NS_PER_S)

struct limit {
    uint32_t set; /* 0: without one */
    size_t size;
    struct limit *next;
    struct yd_limit_clause clause; /* as many values as it has */
};
struct rule {
    struct limit *limits;
    const struct limit *in_use; /* NULL: none for this set */
    uint64_t hash;
};
struct cause {
    enum yd_limit_state state;
    enum yd_limit_reason reason;
    double bound, rate;
};
struct item {
    uint32_t rule, heap; /* its place in the heap, or NOWHERE; given up: the next free one */
    bool used, known, stale, has_number, other_set;
    int8_t run_direction;
    enum yd_limit_state state;
    uint32_t run;
    struct cause run_cause;
    int64_t run_since, time, since, heard, judged, due;
    double number;
};
struct yd_limits {
    struct yd_alloc *alloc;
    struct rule *rules;
    struct item *items;
    uint32_t *heap;
    uint32_t rule_count, rule_room, item_count, item_room, heap_count, heap_room, free_item;
    struct yd_str sets[SETS_MAX]; /* 0: none */
    uint32_t set_count, set;
};

const char *yd_limit_state_name(enum yd_limit_state state)
{
    static const char *const names[] = {"unknown", "green",   "yellow",   "yellow low", "yellow high",
                                        "red",     "red low", "red high", "?"};
    return names[(unsigned)state < YD_LIMIT_STATE_COUNT ? state : YD_LIMIT_STATE_COUNT];
}

static unsigned severity(enum yd_limit_state state)
{
    return state >= YD_LIMIT_RED ? 2 : state >= YD_LIMIT_YELLOW ? 1 : 0;
}

unsigned yd_limit_state_code(enum yd_limit_state state)
{
    return state == YD_LIMIT_UNKNOWN ? 3 : severity(state);
}

const char *yd_limit_reason_name(enum yd_limit_reason reason)
{
    static const char *const names[] = {"range", "rate", "delta", "value", "silence", "return", "set"};
    return (unsigned)reason < YD_COUNT(names) ? names[reason] : "?";
}

/* ---- rules ---- */

int yd_limits_create(struct yd_alloc *alloc, struct yd_limits **ret_limits)
{
    struct yd_limits *limits = yd_alloc_zero(alloc, sizeof *limits);
    if (!limits) return YD_ENOMEM;
    limits->alloc = alloc;
    limits->free_item = NOWHERE;
    limits->set_count = 1;
    *ret_limits = limits;
    return 0;
}

static void put_str(struct yd_alloc *alloc, const char *data, size_t size)
{
    if (data) yd_alloc_put(alloc, (char *)(uintptr_t)data, size);
}

static void put_limit(struct yd_limits *limits, struct limit *limit)
{
    for (uint32_t i = 0; i < limit->clause.value_count; i++)
        if (limit->clause.values[i].value.type == YD_TEXT)
            put_str(limits->alloc, limit->clause.values[i].value.text, limit->clause.values[i].value.size + 1u);
    yd_alloc_put(limits->alloc, limit, limit->size);
}

void yd_limits_destroy(struct yd_limits *limits)
{
    if (!limits) return;
    for (uint32_t i = 0; i < limits->rule_count; i++) {
        for (struct limit *next, *limit = limits->rules[i].limits; limit; limit = next) {
            next = limit->next;
            put_limit(limits, limit);
        }
    }
    for (uint32_t i = 1; i < limits->set_count; i++)
        put_str(limits->alloc, limits->sets[i].data, limits->sets[i].size + 1);
    yd_alloc_put(limits->alloc, limits->rules, limits->rule_room * sizeof *limits->rules);
    yd_alloc_put(limits->alloc, limits->items, limits->item_room * sizeof *limits->items);
    yd_alloc_put(limits->alloc, limits->heap, limits->heap_room * sizeof *limits->heap);
    yd_alloc_put(limits->alloc, limits, sizeof *limits);
}

static bool copy_str(struct yd_alloc *alloc, struct yd_str from, const char **ret)
{
    char *copy = yd_alloc_get(alloc, from.size + 1);
    if (!copy) return false;
    if (from.size) memcpy(copy, from.data, from.size);
    copy[from.size] = 0;
    *ret = copy;
    return true;
}

static int find_set(struct yd_limits *limits, struct yd_str name, bool add, uint32_t *ret_set)
{
    for (uint32_t i = 0; i < limits->set_count; i++) {
        if (!yd_str_eq(limits->sets[i], name)) continue;
        *ret_set = i;
        return 0;
    }
    if (!add) return YD_ENOENT;
    if (limits->set_count == SETS_MAX) return YD_EFULL;
    if (!copy_str(limits->alloc, name, &limits->sets[limits->set_count].data)) return YD_ENOMEM;
    limits->sets[limits->set_count].size = name.size;
    *ret_set = limits->set_count++;
    return 0;
}

static struct limit *copy_limit(struct yd_limits *limits, const struct yd_limit_clause *clause)
{
    size_t size = offsetof(struct limit, clause) + offsetof(struct yd_limit_clause, values) +
                  YD_MAX(clause->value_count, 1u) * sizeof clause->values[0];
    struct limit *limit = yd_alloc_zero(limits->alloc, YD_ALIGN_UP(size, 16));
    if (!limit) return NULL;
    memcpy(&limit->clause, clause, offsetof(struct yd_limit_clause, values));
    limit->size = YD_ALIGN_UP(size, 16);
    limit->clause.value_count = 0;
    limit->clause.set = (struct yd_str){0};
    for (uint32_t i = 0; i < clause->value_count; i++) {
        struct yd_limit_value value = clause->values[i];
        struct yd_str text = {value.value.text, value.value.size};
        if (value.value.type == YD_TEXT && !copy_str(limits->alloc, text, &value.value.text)) {
            put_limit(limits, limit);
            return NULL;
        }
        limit->clause.values[limit->clause.value_count++] = value;
    }
    return limit;
}

static uint64_t hash_of(uint64_t hash, const struct limit *limit, struct yd_str set)
{
    const struct yd_limit_clause *clause = &limit->clause;
    const struct yd_limit_range *ranges[] = {&clause->yellow,   &clause->red,          &clause->yellow_rate,
                                             &clause->red_rate, &clause->yellow_delta, &clause->red_delta};
    hash = yd_hash_id(hash) ^ yd_hash_str(set);
    for (size_t i = 0; i < YD_COUNT(ranges); i++) {
        const double ends[3] = {ranges[i]->given, ranges[i]->low, ranges[i]->high};
        hash = yd_hash_id(hash) ^ yd_hash(ends, sizeof ends);
    }
    const int64_t rest[] = {clause->persist, clause->persist_ns, clause->stale_ns, clause->stale_state,
                            clause->value_count};
    hash = yd_hash_id(hash) ^ yd_hash(rest, sizeof rest) ^ yd_hash(&clause->hysteresis, sizeof clause->hysteresis);
    for (uint32_t i = 0; i < clause->value_count; i++) {
        const struct yd_reading *value = &clause->values[i].value;
        uint64_t bits = value->type == YD_TEXT ? yd_hash(value->text, value->size) : value->bits;
        hash = yd_hash_id(hash) ^ bits ^ (uint64_t)value->type << 1 ^ clause->values[i].red;
    }
    return hash;
}

static void put_in_use(struct yd_limits *limits, struct rule *rule)
{
    rule->in_use = NULL;
    for (const struct limit *limit = rule->limits; limit; limit = limit->next)
        if (limit->set == limits->set || (limit->set == 0 && !rule->in_use)) rule->in_use = limit;
}

int yd_limits_define(struct yd_limits *limits, uint32_t *rule, const struct yd_limit_clause *clause)
{
    uint32_t set = 0;
    int error = find_set(limits, clause->set, true, &set);
    if (error < 0) return error;
    if (*rule == YD_LIMIT_NEW && limits->rule_count == limits->rule_room) {
        uint32_t room = limits->rule_room ? limits->rule_room * 2 : 16;
        struct rule *rules =
            yd_alloc_resize(limits->alloc, limits->rules, limits->rule_room * sizeof *rules, room * sizeof *rules);
        if (!rules) return YD_ENOMEM;
        limits->rules = rules;
        limits->rule_room = room;
    }
    for (const struct limit *limit = *rule == YD_LIMIT_NEW ? NULL : limits->rules[*rule].limits; limit;
         limit = limit->next)
        if (limit->set == set) return YD_EEXIST;
    struct limit *limit = copy_limit(limits, clause);
    if (!limit) return YD_ENOMEM;
    if (*rule == YD_LIMIT_NEW) {
        *rule = limits->rule_count++;
        limits->rules[*rule] = (struct rule){0};
    }
    struct rule *to = &limits->rules[*rule];
    limit->set = set;
    limit->next = to->limits;
    to->limits = limit;
    to->hash = hash_of(to->hash, limit, limits->sets[set]);
    put_in_use(limits, to);
    return 0;
}

/* ---- silence: a heap by deadline ---- */

static const struct yd_limit_clause *clause_of(const struct yd_limits *limits, const struct item *item)
{
    const struct limit *limit = limits->rules[item->rule].in_use;
    return limit ? &limit->clause : NULL;
}

static int64_t deadline_of(const struct yd_limits *limits, const struct item *item)
{
    const struct yd_limit_clause *clause = clause_of(limits, item);
    int64_t deadline;
    if (!clause || !clause->stale_ns || !item->known || item->stale) return INT64_MAX;
    return __builtin_add_overflow(item->heard, clause->stale_ns, &deadline) ? INT64_MAX : deadline;
}

static bool before(const struct yd_limits *limits, uint32_t a, uint32_t b)
{
    return limits->items[a].due != limits->items[b].due ? limits->items[a].due < limits->items[b].due : a < b;
}

static void settle(struct yd_limits *limits, uint32_t at, uint32_t item)
{
    limits->heap[at] = item;
    limits->items[item].heap = at;
}

static void sift(struct yd_limits *limits, uint32_t at)
{
    uint32_t item = limits->heap[at];
    while (at > 0 && before(limits, item, limits->heap[(at - 1) / 2])) {
        settle(limits, at, limits->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = at * 2 + 1) < limits->heap_count; at = child) {
        if (child + 1 < limits->heap_count && before(limits, limits->heap[child + 1], limits->heap[child])) child++;
        if (!before(limits, limits->heap[child], item)) break;
        settle(limits, at, limits->heap[child]);
    }
    settle(limits, at, item);
}

static void remove_from_heap(struct yd_limits *limits, struct item *item)
{
    uint32_t at = item->heap, last;
    if (at == NOWHERE) return;
    item->heap = NOWHERE;
    last = limits->heap[--limits->heap_count];
    if (at == limits->heap_count) return;
    settle(limits, at, last);
    sift(limits, at);
}

static void schedule(struct yd_limits *limits, uint32_t index)
{
    struct item *item = &limits->items[index];
    int64_t due = deadline_of(limits, item);
    if (due == INT64_MAX) {
        remove_from_heap(limits, item);
        return;
    }
    item->due = due;
    if (item->heap == NOWHERE) settle(limits, limits->heap_count++, index);
    sift(limits, item->heap);
}

/* The one whose deadline is the next of all, or NOWHERE. Those that were heard of since move to where they belong. */
static uint32_t next_due(struct yd_limits *limits)
{
    while (limits->heap_count) {
        uint32_t first = limits->heap[0];
        struct item *item = &limits->items[first];
        if (item->due == deadline_of(limits, item)) return first;
        schedule(limits, first);
    }
    return NOWHERE;
}

/* ---- items ---- */

static int grow_items(struct yd_limits *limits)
{
    uint32_t room = limits->item_room ? limits->item_room * 2 : 64;
    if (limits->item_room > NOWHERE / 4) return YD_EFULL;
    struct item *items =
        yd_alloc_resize(limits->alloc, limits->items, limits->item_room * sizeof *items, room * sizeof *items);
    if (!items) return YD_ENOMEM;
    limits->items = items;
    limits->item_room = room;
    return 0;
}

/* As many as there can be items: putting one in needs no memory then. */
static int grow_heap(struct yd_limits *limits)
{
    uint32_t room = limits->item_room;
    uint32_t *heap =
        yd_alloc_resize(limits->alloc, limits->heap, limits->heap_room * sizeof *heap, room * sizeof *heap);
    if (!heap) return YD_ENOMEM;
    limits->heap = heap;
    limits->heap_room = room;
    return 0;
}

int yd_limits_watch(struct yd_limits *limits, uint32_t rule, uint32_t *ret_item)
{
    uint32_t at = limits->free_item;
    YD_ASSERT(rule < limits->rule_count);
    if (at != NOWHERE) {
        limits->free_item = limits->items[at].heap;
    } else {
        int error = limits->item_count == limits->item_room ? grow_items(limits) : 0;
        if (error == 0 && limits->heap_room < limits->item_room) error = grow_heap(limits);
        if (error < 0) return error;
        at = limits->item_count++;
    }
    limits->items[at] = (struct item){.rule = rule, .heap = NOWHERE, .used = true};
    *ret_item = at;
    return 0;
}

void yd_limits_unwatch(struct yd_limits *limits, uint32_t item)
{
    YD_ASSERT(item < limits->item_count && limits->items[item].used);
    remove_from_heap(limits, &limits->items[item]);
    limits->items[item] = (struct item){.heap = limits->free_item};
    limits->free_item = item;
}

bool yd_limits_use(struct yd_limits *limits, struct yd_str set)
{
    uint32_t index;
    if (find_set(limits, set, false, &index) < 0) return false;
    if (index == limits->set) return true;
    limits->set = index;
    for (uint32_t i = 0; i < limits->rule_count; i++) put_in_use(limits, &limits->rules[i]);
    for (uint32_t i = 0; i < limits->item_count; i++) {
        struct item *item = &limits->items[i];
        if (!item->used) continue;
        item->other_set = item->known;
        item->run = 0;
        schedule(limits, i);
    }
    return true;
}

struct yd_str yd_limits_set(const struct yd_limits *limits)
{
    return limits->sets[limits->set];
}

/* ---- judging ---- */

static bool number_of(const struct yd_reading *reading, double *ret)
{
    switch (reading->type) {
    case YD_BOOL:
    case YD_U64:
        *ret = (double)reading->u64;
        return true;
    case YD_I64:
        *ret = (double)reading->i64;
        return true;
    case YD_F64:
        *ret = reading->f64;
        return true;
    default:
        return false;
    }
}

static void worst(struct cause *cause, struct cause other)
{
    if (severity(other.state) > severity(cause->state)) *cause = other;
}

/* Above the upper end or below the lower one; who was out on that side must come in by the hysteresis. */
static void by_range(const struct yd_limit_range *range, double x, double hysteresis, bool was_low, bool was_high,
                     enum yd_limit_state low, enum yd_limit_state high, struct cause *cause)
{
    if (!range->given) return;
    if (x > range->high - (was_high ? hysteresis : 0))
        worst(cause, (struct cause){high, YD_LIMIT_BY_RANGE, range->high, 0});
    if (x < range->low + (was_low ? hysteresis : 0))
        worst(cause, (struct cause){low, YD_LIMIT_BY_RANGE, range->low, 0});
}

static void by_change(const struct yd_limit_range *range, double change, enum yd_limit_state state,
                      enum yd_limit_reason reason, struct cause *cause)
{
    if (!range->given || (change >= range->low && change <= range->high)) return;
    worst(cause, (struct cause){state, reason, change < range->low ? range->low : range->high, change});
}

static bool is_value(const struct yd_reading *value, const struct yd_reading *reading)
{
    double a, b;
    if (value->type == YD_TEXT || reading->type == YD_TEXT)
        return value->type == reading->type &&
               yd_str_eq((struct yd_str){value->text, value->size}, (struct yd_str){reading->text, reading->size});
    return number_of(value, &a) && number_of(reading, &b) && a == b;
}

static struct cause judge(const struct yd_limit_clause *clause, const struct item *item,
                          const struct yd_reading *reading, int64_t time_ns)
{
    struct cause cause = {YD_LIMIT_GREEN, YD_LIMIT_BY_RANGE, NAN, 0};
    enum yd_limit_state was = item->other_set || item->stale ? YD_LIMIT_GREEN : item->state;
    double x, h = clause->hysteresis;
    if (number_of(reading, &x)) {
        bool red_low = was == YD_LIMIT_RED_LOW, red_high = was == YD_LIMIT_RED_HIGH;
        by_range(&clause->red, x, h, red_low, red_high, YD_LIMIT_RED_LOW, YD_LIMIT_RED_HIGH, &cause);
        by_range(&clause->yellow, x, h, red_low || was == YD_LIMIT_YELLOW_LOW, red_high || was == YD_LIMIT_YELLOW_HIGH,
                 YD_LIMIT_YELLOW_LOW, YD_LIMIT_YELLOW_HIGH, &cause);
        if (item->has_number) {
            double change = x - item->number;
            if (time_ns > item->time) {
                double rate = change / ((double)((__int128)time_ns - item->time) * 1e-9);
                by_change(&clause->red_rate, rate, YD_LIMIT_RED, YD_LIMIT_BY_RATE, &cause);
                by_change(&clause->yellow_rate, rate, YD_LIMIT_YELLOW, YD_LIMIT_BY_RATE, &cause);
            }
            by_change(&clause->red_delta, change, YD_LIMIT_RED, YD_LIMIT_BY_DELTA, &cause);
            by_change(&clause->yellow_delta, change, YD_LIMIT_YELLOW, YD_LIMIT_BY_DELTA, &cause);
        }
    }
    for (uint32_t i = 0; i < clause->value_count; i++)
        if (is_value(&clause->values[i].value, reading))
            worst(&cause,
                  (struct cause){clause->values[i].red ? YD_LIMIT_RED : YD_LIMIT_YELLOW, YD_LIMIT_BY_VALUE, NAN, 0});
    return cause;
}

/* A judgement that differs from the state, once more: true when it has lasted. */
static bool lasts(const struct yd_limit_clause *clause, struct item *item, struct cause cause, int64_t time_ns)
{
    int now = (int)severity(cause.state), was = (int)severity(item->state);
    int8_t direction = (int8_t)((now > was) - (now < was));
    if (item->run == 0 || item->run_direction != direction) {
        item->run = 0;
        item->run_since = time_ns;
        item->run_direction = direction;
        item->run_cause = cause;
    }
    int of_run = (int)severity(item->run_cause.state);
    if (direction == 0 || now == of_run || (direction > 0 ? now < of_run : now > of_run)) item->run_cause = cause;
    if (item->run < UINT32_MAX) item->run++;
    if (clause->persist_ns) return (__int128)time_ns - item->run_since >= clause->persist_ns;
    return item->run >= YD_MAX(clause->persist, 1u);
}

static void change(struct item *item, uint32_t index, const struct cause *cause, const struct yd_reading *reading,
                   int64_t time_ns, struct yd_limit_change *ret)
{
    *ret = (struct yd_limit_change){.item = index,
                                    .old_state = item->state,
                                    .state = cause->state,
                                    .was_stale = item->stale,
                                    .first = !item->known,
                                    .reason = cause->reason,
                                    .value = *reading,
                                    .rate = cause->rate,
                                    .bound = cause->bound,
                                    .time_ns = time_ns};
    if (cause->state == YD_LIMIT_GREEN && (ret->first || ret->was_stale)) ret->reason = YD_LIMIT_BY_RETURN;
    if (cause->state == YD_LIMIT_GREEN && item->other_set) ret->reason = YD_LIMIT_BY_SET;
    item->state = cause->state;
    item->since = time_ns;
    item->run = 0;
}

bool yd_limits_update(struct yd_limits *limits, uint32_t index, const struct yd_reading *reading, int64_t time_ns,
                      int64_t heard_ns, struct yd_limit_change *ret_change)
{
    struct item *item = &limits->items[index];
    const struct yd_limit_clause *clause = clause_of(limits, item);
    bool changed = false, at_once = !item->known || item->stale || item->other_set;
    bool nothing_said = !clause && !(item->known && item->other_set);
    if (reading->type == YD_NIL || (reading->type == YD_F64 && !isfinite(reading->f64))) return false;
    if (heard_ns > item->heard || !item->known) item->heard = heard_ns;
    if (nothing_said) return false;
    if (item->known && time_ns < item->time) {
        if ((__int128)heard_ns - item->judged < SET_BACK) return false;
        item->has_number = false; /* its clock was set back: from here on */
        item->run = 0;
    }
    item->judged = heard_ns;
    /* Without limits in this set nothing is wrong by them any more. */
    struct cause cause =
        clause ? judge(clause, item, reading, time_ns) : (struct cause){YD_LIMIT_GREEN, YD_LIMIT_BY_SET, NAN, 0};
    if (at_once) {
        changed = !item->known || item->stale || cause.state != item->state;
        if (changed) change(item, index, &cause, reading, time_ns, ret_change);
        item->run = 0;
    } else if (cause.state == item->state) {
        item->run = 0;
    } else if (lasts(clause, item, cause, time_ns)) {
        struct cause of_run = item->run_cause;
        change(item, index, &of_run, reading, time_ns, ret_change);
        changed = true;
    }
    item->has_number = number_of(reading, &item->number);
    item->time = time_ns;
    item->known = true;
    item->stale = item->other_set = false;
    if (at_once) schedule(limits, index);
    return changed;
}

bool yd_limits_silent(struct yd_limits *limits, int64_t now_ns, struct yd_limit_change *ret_change)
{
    static const struct yd_reading nothing = {0};
    uint32_t index = next_due(limits);
    if (index == NOWHERE || limits->items[index].due > now_ns) return false;
    struct item *item = &limits->items[index];
    const struct yd_limit_clause *clause = clause_of(limits, item);
    const struct cause cause = {clause->stale_state, YD_LIMIT_BY_SILENCE, NAN, 0};
    item->other_set = false;
    change(item, index, &cause, &nothing, item->due, ret_change);
    ret_change->stale = item->stale = true;
    item->has_number = false; /* the way from before the silence says nothing about how fast it changes */
    schedule(limits, index);
    return true;
}

int64_t yd_limits_deadline(struct yd_limits *limits)
{
    uint32_t first = next_due(limits);
    return first == NOWHERE ? INT64_MAX : limits->items[first].due;
}

void yd_limits_status(const struct yd_limits *limits, uint32_t index, struct yd_limit_status *ret_status)
{
    const struct item *item = &limits->items[index];
    *ret_status = (struct yd_limit_status){item->state, item->stale, item->known, item->time, item->since};
}

/* ---- words ---- */

static void put_value(char *to, size_t size, const struct yd_reading *reading)
{
    char number[40];
    double x;
    if (reading->type == YD_TEXT) {
        (void)snprintf(to, size, "\"%.*s\"", (int)YD_MIN(reading->size, 200u), reading->text);
        return;
    }
    if (reading->type == YD_BOOL)
        (void)snprintf(number, sizeof number, "%s", reading->bits ? "true" : "false");
    else if (number_of(reading, &x))
        number[yd_text_put_f64(number, x)] = 0;
    else
        (void)snprintf(number, sizeof number, "no value");
    (void)snprintf(to, size, "%s", number);
}

size_t yd_limit_change_text(const struct yd_limits *limits, const struct yd_limit_change *said, char *to, size_t size)
{
    char value[256], bound[40] = "", rate[40] = "", time[40];
    const char *state = yd_limit_state_name(said->state);
    const struct yd_limit_clause *clause = clause_of(limits, &limits->items[said->item]);
    put_value(value, sizeof value, &said->value);
    if (isfinite(said->bound)) bound[yd_text_put_f64(bound, said->bound)] = 0;
    rate[yd_text_put_f64(rate, said->rate)] = 0;
    bool high = said->state == YD_LIMIT_RED_HIGH || said->state == YD_LIMIT_YELLOW_HIGH;
    int written;
    if (said->reason == YD_LIMIT_BY_SILENCE) {
        time[yd_text_put_duration(time, sizeof time - 1, clause ? clause->stale_ns : 0)] = 0;
        written = snprintf(to, size, "%s: no value for more than %s", state, time);
    } else if (said->state == YD_LIMIT_GREEN || said->reason == YD_LIMIT_BY_VALUE) {
        written = snprintf(to, size, "%s: %s", state, value);
    } else if (said->reason == YD_LIMIT_BY_RATE) {
        written = snprintf(to, size, "%s: %s a second, %s %s", state, rate,
                           said->rate > said->bound ? "above" : "below", bound);
    } else if (said->reason == YD_LIMIT_BY_DELTA) {
        written = snprintf(to, size, "%s: changed by %s, %s %s", state, rate,
                           said->rate > said->bound ? "above" : "below", bound);
    } else {
        written = snprintf(to, size, "%s: %s, limit %s %s", state, value, high ? "above" : "below", bound);
    }
    if (written < 0) written = 0;
    size_t used = (size_t)written < size ? (size_t)written : size ? size - 1 : 0;
    while (used && !yd_text_utf8((struct yd_str){to, used})) used--; /* cut within a letter */
    if (size) to[used] = 0;
    return used;
}

/* ---- saved and loaded ---- */

struct saved_item {
    uint32_t form, run;
    uint64_t hash;
    int64_t run_since, time, since, heard;
    double number, bound, rate;
    uint8_t known, stale, has_number, other_set, state, run_state, run_reason;
    int8_t run_direction;
};

void yd_limits_save(const struct yd_limits *limits, uint32_t index, struct yd_buf *to)
{
    const struct item *item = &limits->items[index];
    const struct saved_item saved = {.form = SAVED_FORM,
                                     .run = item->run,
                                     .hash = limits->rules[item->rule].hash,
                                     .run_since = item->run_since,
                                     .time = item->time,
                                     .since = item->since,
                                     .heard = item->heard,
                                     .number = item->number,
                                     .bound = item->run_cause.bound,
                                     .rate = item->run_cause.rate,
                                     .known = item->known,
                                     .stale = item->stale,
                                     .has_number = item->has_number,
                                     .other_set = item->other_set,
                                     .state = (uint8_t)item->state,
                                     .run_state = (uint8_t)item->run_cause.state,
                                     .run_reason = (uint8_t)item->run_cause.reason,
                                     .run_direction = item->run_direction};
    yd_buf_add(to, &saved, sizeof saved);
}

int yd_limits_load(struct yd_limits *limits, uint32_t index, struct yd_str from)
{
    struct item *item = &limits->items[index];
    struct saved_item saved;
    if (from.size != sizeof saved) return YD_EFORMAT;
    memcpy(&saved, from.data, sizeof saved);
    if (saved.form != SAVED_FORM || saved.known > 1 || saved.stale > 1 || saved.has_number > 1 || saved.other_set > 1 ||
        saved.state >= YD_LIMIT_STATE_COUNT || saved.run_state >= YD_LIMIT_STATE_COUNT ||
        saved.run_reason > YD_LIMIT_BY_SET || saved.run_direction < -1 || saved.run_direction > 1 ||
        !isfinite(saved.number))
        return YD_EFORMAT;
    if (saved.hash != limits->rules[item->rule].hash) return YD_EINVAL;
    remove_from_heap(limits, item);
    *item = (struct item){.rule = item->rule,
                          .heap = NOWHERE,
                          .used = true,
                          .known = saved.known,
                          .stale = saved.stale,
                          .has_number = saved.has_number,
                          .other_set = saved.other_set,
                          .run_direction = saved.run_direction,
                          .state = (enum yd_limit_state)saved.state,
                          .run = saved.run,
                          .run_cause = {(enum yd_limit_state)saved.run_state, (enum yd_limit_reason)saved.run_reason,
                                        saved.bound, saved.rate},
                          .run_since = saved.run_since,
                          .time = saved.time,
                          .since = saved.since,
                          .heard = saved.heard,
                          .judged = saved.heard,
                          .number = saved.number};
    schedule(limits, index);
    return 0;
}
