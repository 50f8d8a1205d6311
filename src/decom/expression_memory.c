/* What functions with a memory remember, and how it is saved.
 *
 * A rolling window is a queue of two stacks in a ring, so that nothing is ever subtracted: sums do not drift, and
 * minimum and maximum cost the same.
 *
 *   head                 head + front            head + size
 *    | v  v  v  v  v      | w  w  w  w            |          newest last
 *      <--- from: of this one and all to its right, within the front     back: of all w
 *
 *   all = from[head] and back. The oldest leaves: front - 1. The front is empty: all w become the front, once.
 *
 * A value is taken in once, when it is FRESH; without a value a memory stays as it is. Saved are the values and how
 * many of them are the front: the aggregates follow, to the last bit. */
#include "decom/expression_internal.h"

#include <math.h>

#define SAVED_FORM 1
#define LATE_MAX   10 /* so many in a row are not late: a clock was set back */

/* ---- windows ---- */

static union aggregate join(const struct memory_plan *plan, union aggregate a, union aggregate b)
{
    bool less;
    if (plan->kind == MEMORY_SUM || plan->kind == MEMORY_AVG) return (union aggregate){.f64 = a.f64 + b.f64};
    if (plan->type == YD_I64)
        less = a.i64 < b.i64;
    else if (plan->type == YD_U64)
        less = a.u64 < b.u64;
    else
        less = a.f64 < b.f64;
    return less == (plan->kind == MEMORY_MIN) ? a : b;
}

static struct entry *entry_at(const struct memory_plan *plan, struct memory *memory, uint32_t index)
{
    uint32_t at = memory->head + index; /* both below 2^17 */
    return &memory->entries[at >= plan->room ? at - plan->room : at];
}

static void fill_front(const struct memory_plan *plan, struct memory *memory)
{
    for (uint32_t i = memory->front; i-- > 0;) {
        struct entry *entry = entry_at(plan, memory, i);
        entry->from =
            i + 1 == memory->front ? entry->value : join(plan, entry->value, entry_at(plan, memory, i + 1)->from);
    }
}

static void fill_back(const struct memory_plan *plan, struct memory *memory)
{
    for (uint32_t i = memory->front; i < memory->size; i++) {
        union aggregate value = entry_at(plan, memory, i)->value;
        memory->back = i == memory->front ? value : join(plan, memory->back, value);
    }
}

void yd__expression_refill(const struct memory_plan *plan, struct memory *memory)
{
    fill_front(plan, memory);
    fill_back(plan, memory);
}

static void leave(const struct memory_plan *plan, struct memory *memory)
{
    if (memory->front == 0) {
        memory->front = memory->size;
        fill_front(plan, memory);
    }
    memory->head = memory->head + 1 == plan->room ? 0 : memory->head + 1;
    memory->front--;
    memory->size--;
}

static void enter(const struct memory_plan *plan, struct memory *memory, int64_t time_ns, union aggregate value)
{
    struct entry *entry = entry_at(plan, memory, memory->size);
    *entry = (struct entry){.time = time_ns, .value = value};
    memory->back = memory->size == memory->front ? value : join(plan, memory->back, value);
    memory->size++;
}

static struct yd_reading window_result(const struct memory_plan *plan, struct memory *memory, unsigned flags)
{
    union aggregate all = memory->back;
    if (memory->front) {
        all = entry_at(plan, memory, 0)->from;
        if (memory->front < memory->size) all = join(plan, all, memory->back);
    }
    if (plan->kind == MEMORY_MIN || plan->kind == MEMORY_MAX)
        return (struct yd_reading){.type = plan->type, .flags = (uint16_t)flags, .bits = all.bits};
    double result = plan->kind == MEMORY_AVG ? all.f64 / memory->size : all.f64;
    if (!isfinite(result)) return yd_reading_none(flags | YD_READING_OVERFLOW);
    return yd_reading_f64(result, flags);
}

static struct yd_reading window(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *x,
                                int64_t time_ns)
{
    unsigned flags = x->flags;
    if (plan->ns) {
        int64_t oldest;
        if (memory->known && time_ns < memory->time) return yd_reading_none(flags | YD_READING_LATE);
        if (__builtin_sub_overflow(time_ns, plan->ns, &oldest)) oldest = INT64_MIN;
        while (memory->size && entry_at(plan, memory, 0)->time <= oldest) leave(plan, memory);
    }
    if (memory->size == plan->room) {
        if (plan->ns && __builtin_add_overflow(entry_at(plan, memory, 0)->time, plan->ns, &memory->crowded_until))
            memory->crowded_until = INT64_MAX;
        leave(plan, memory);
    }
    enter(plan, memory, time_ns, (union aggregate){.bits = x->bits});
    memory->time = time_ns;
    memory->known = 1;
    if (plan->ns && time_ns < memory->crowded_until) flags |= YD_READING_CROWDED;
    return window_result(plan, memory, flags);
}

/* ---- the last value and this one ---- */

static double seconds(int64_t from, int64_t to)
{
    return (double)((__int128)to - from) * 1e-9;
}

/* How far a counter of so many bits has gone. More than half its range: it was not this counter any more. */
static uint64_t counted(uint64_t before, uint64_t now, unsigned bits)
{
    uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1, steps = (now - before) & mask;
    return now >= before ? now - before : steps > mask >> 1 ? now : steps;
}

static struct yd_reading difference(const struct memory_plan *plan, const struct memory *memory,
                                    const struct yd_reading *x, unsigned flags)
{
    int64_t i;
    if (plan->wrap_bits) {
        uint64_t steps = counted(memory->bits, x->u64, plan->wrap_bits);
        return steps > INT64_MAX ? yd_reading_none(flags | YD_READING_OVERFLOW) : yd_reading_i64((int64_t)steps, flags);
    }
    if (plan->type == YD_F64) {
        double before = (union aggregate){.bits = memory->bits}.f64, by = x->f64 - before;
        return isfinite(by) ? yd_reading_f64(by, flags) : yd_reading_none(flags | YD_READING_OVERFLOW);
    }
    bool over = plan->type == YD_I64 ? __builtin_sub_overflow(x->i64, (int64_t)memory->bits, &i)
                                     : __builtin_sub_overflow(x->u64, memory->bits, &i);
    return over ? yd_reading_none(flags | YD_READING_OVERFLOW) : yd_reading_i64(i, flags);
}

static struct yd_reading rate(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *x,
                              int64_t time_ns)
{
    struct yd_reading by = yd_reading_none(x->flags);
    if (memory->known && time_ns < memory->time) return yd_reading_none(x->flags | YD_READING_LATE);
    if (memory->known && time_ns > memory->time) {
        by = difference(plan, memory, x, x->flags);
        double change = by.type == YD_I64 ? (double)by.i64 : by.f64;
        if (!by.type && plan->type != YD_F64) { /* of whole numbers it is known even so */
            change = plan->type == YD_I64 ? (double)x->i64 - (double)(int64_t)memory->bits
                                          : (double)x->u64 - (double)memory->bits;
            if (plan->wrap_bits) change = (double)counted(memory->bits, x->u64, plan->wrap_bits);
            by = yd_reading_f64(0, x->flags);
        }
        change /= seconds(memory->time, time_ns);
        if (by.type)
            by = isfinite(change) ? yd_reading_f64(change, by.flags) : yd_reading_none(by.flags | YD_READING_OVERFLOW);
    }
    memory->bits = x->bits;
    memory->time = time_ns;
    memory->known = 1;
    return by;
}

static struct yd_reading integral(struct memory *memory, const struct yd_reading *x, int64_t time_ns)
{
    double before = (union aggregate){.bits = memory->bits}.f64;
    if (memory->known && time_ns < memory->time) return yd_reading_none(x->flags | YD_READING_LATE);
    if (memory->known) {
        double sum = memory->sum + (before / 2 + x->f64 / 2) * seconds(memory->time, time_ns);
        if (!isfinite(sum)) return yd_reading_none(x->flags | YD_READING_OVERFLOW); /* stays where it was */
        memory->sum = sum;
    }
    memory->bits = x->bits;
    memory->time = time_ns;
    memory->known = 1;
    return yd_reading_f64(memory->sum, x->flags);
}

static struct yd_reading ema(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *x,
                             int64_t time_ns)
{
    if (memory->known && time_ns < memory->time) return yd_reading_none(x->flags | YD_READING_LATE);
    double share = memory->known ? -expm1(-seconds(memory->time, time_ns) / ((double)plan->ns * 1e-9)) : 1;
    memory->sum = memory->known ? memory->sum * (1 - share) + x->f64 * share : x->f64; /* between the two: finite */
    memory->time = time_ns;
    memory->known = 1;
    return yd_reading_f64(memory->sum, x->flags);
}

static struct yd_reading previous(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *x)
{
    struct yd_reading result = yd_reading_none(x->flags);
    if (memory->known)
        result = plan->kind == MEMORY_DELTA
                     ? difference(plan, memory, x, x->flags)
                     : (struct yd_reading){.type = plan->type, .flags = x->flags, .bits = memory->bits};
    memory->bits = x->bits;
    memory->known = 1;
    return result;
}

/* ---- those that look at each evaluation ---- */

/* What goes by time begins anew where a clock was set back. What it has summed up stays. */
static void set_back(struct memory *memory, int64_t time_ns)
{
    memory->late = memory->known && time_ns < memory->time ? memory->late + 1 : 0;
    if (memory->late < LATE_MAX) return;
    memory->late = 0;
    memory->known = 0;
    memory->head = memory->size = memory->front = 0;
    memory->crowded_until = 0;
}

static struct yd_reading held(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *condition,
                              int64_t time_ns)
{
    unsigned flags = condition->flags & (YD_READING_FRESH | YD_READING_SUSPECT | YD_READING_CROWDED);
    int64_t since;
    if (!condition->type || !condition->bits) {
        memory->known = 0;
        return yd_reading_bool(false, flags);
    }
    set_back(memory, time_ns);
    if (!memory->known) memory->time = time_ns;
    memory->known = 1;
    return yd_reading_bool(!__builtin_sub_overflow(time_ns, plan->ns, &since) && memory->time <= since, flags);
}

static struct yd_reading last(const struct memory_plan *plan, struct memory *memory, const struct yd_reading *args)
{
    struct yd_reading result = args[0].type ? args[0] : args[1];
    if (args[0].type) {
        memory->bits = args[0].bits;
        memory->known = 1;
    } else if (memory->known) {
        result = (struct yd_reading){.type = plan->type, .bits = memory->bits};
    }
    result.flags |= (uint16_t)((args[0].flags | args[1].flags) & YD_READING_FRESH);
    return result;
}

static struct yd_reading count(struct memory *memory, const struct yd_reading *x)
{
    if (x->type && x->flags & YD_READING_FRESH && memory->count < INT64_MAX) memory->count++;
    return yd_reading_i64(memory->count, x->flags & (YD_READING_FRESH | YD_READING_SUSPECT));
}

struct yd_reading yd__expression_remember(const struct memory_plan *plan, struct memory *memory,
                                          const struct yd_reading *args, int64_t time_ns)
{
    struct yd_reading result;
    switch ((enum memory_kind)plan->kind) {
    case MEMORY_HELD:
        return held(plan, memory, args, time_ns);
    case MEMORY_LAST:
        return last(plan, memory, args);
    case MEMORY_COUNT:
        return count(memory, args);
    default:
        break;
    }
    if (!(args->flags & YD_READING_FRESH)) return memory->last;
    bool by_time = plan->ns || plan->kind == MEMORY_RATE || plan->kind == MEMORY_INTEGRAL;
    if (args->type && by_time) set_back(memory, time_ns);
    if (!args->type)
        result = *args;
    else if (is_window(plan))
        result = window(plan, memory, args, time_ns);
    else if (plan->kind == MEMORY_RATE)
        result = rate(plan, memory, args, time_ns);
    else if (plan->kind == MEMORY_INTEGRAL)
        result = integral(memory, args, time_ns);
    else if (plan->kind == MEMORY_EMA)
        result = ema(plan, memory, args, time_ns);
    else
        result = previous(plan, memory, args);
    memory->last = result;
    memory->last.flags &= (uint16_t)~YD_READING_FRESH;
    return result;
}

/* ---- states ---- */

int yd_expression_state_create(const struct yd_expression *expression, struct yd_alloc *alloc,
                               struct yd_expression_state **ret_state)
{
    struct yd_expression_state *state = yd_alloc_zero(alloc, sizeof *state + expression->state_size);
    if (!state) return YD_ENOMEM;
    state->expression = expression;
    state->alloc = alloc;
    state->size = sizeof *state + expression->state_size;
    *ret_state = state;
    return 0;
}

void yd_expression_state_destroy(struct yd_expression_state *state)
{
    if (state) yd_alloc_put(state->alloc, state, state->size);
}

void yd_expression_state_reset(struct yd_expression_state *state)
{
    memset(state->memories, 0, state->size - sizeof *state);
}

struct saved_head {
    uint32_t form, memories;
    uint64_t hash;
};
struct saved_memory {
    int64_t time;
    uint64_t bits;
    double sum;
    int64_t count, crowded_until;
    uint64_t last_bits;
    uint32_t size, front, known;
    uint16_t last_flags;
    uint8_t last_type, late;
};
struct saved_entry {
    int64_t time;
    uint64_t bits;
};

void yd_expression_state_save(const struct yd_expression_state *state, struct yd_buf *to)
{
    const struct yd_expression *expression = state->expression;
    const struct saved_head head = {SAVED_FORM, (uint32_t)expression->memory_count, expression->hash};
    yd_buf_add(to, &head, sizeof head);
    for (size_t i = 0; i < expression->memory_count; i++) {
        const struct memory_plan *plan = memory_plan(expression, i);
        struct memory *memory = memory_of(state, plan);
        const struct saved_memory saved = {.time = memory->time,
                                           .bits = memory->bits,
                                           .sum = memory->sum,
                                           .count = memory->count,
                                           .crowded_until = memory->crowded_until,
                                           .last_bits = memory->last.bits,
                                           .size = memory->size,
                                           .front = memory->front,
                                           .known = memory->known,
                                           .last_flags = memory->last.flags,
                                           .last_type = memory->last.type,
                                           .late = (uint8_t)memory->late};
        yd_buf_add(to, &saved, sizeof saved);
        for (uint32_t e = 0; e < memory->size; e++) {
            const struct entry *entry = entry_at(plan, memory, e);
            const struct saved_entry bytes = {entry->time, entry->value.bits};
            yd_buf_add(to, &bytes, sizeof bytes);
        }
    }
}

static bool take(struct yd_str *from, void *to, size_t size)
{
    if (from->size < size) return false;
    memcpy(to, from->data, size);
    from->data += size;
    from->size -= size;
    return true;
}

static bool is_finite(uint64_t bits)
{
    return isfinite((union aggregate){.bits = bits}.f64);
}

static enum yd_type result_type(const struct memory_plan *plan)
{
    switch ((enum memory_kind)plan->kind) {
    case MEMORY_MIN:
    case MEMORY_MAX:
    case MEMORY_PREVIOUS:
        return (enum yd_type)plan->type;
    case MEMORY_DELTA:
        return plan->type == YD_F64 ? YD_F64 : YD_I64;
    default:
        return YD_F64;
    }
}

/* Only what a run can have left there. */
static bool load_memory(const struct memory_plan *plan, struct memory *memory, struct yd_str *from)
{
    struct saved_memory saved;
    if (!take(from, &saved, sizeof saved)) return false;
    if (saved.known > 1 || saved.late >= LATE_MAX || saved.size > plan->room || saved.front > saved.size ||
        saved.count < 0 || !isfinite(saved.sum) || saved.last_flags & ~0xfeu)
        return false;
    if (saved.last_type != YD_NIL && saved.last_type != result_type(plan)) return false;
    if (saved.last_type == YD_F64 && !is_finite(saved.last_bits)) return false;
    if (saved.known && plan->type == YD_F64 && !is_finite(saved.bits)) return false;
    if (plan->type == YD_BOOL && saved.bits > 1) return false;
    *memory = (struct memory){.time = saved.time,
                              .bits = saved.bits,
                              .sum = saved.sum,
                              .count = saved.count,
                              .crowded_until = saved.crowded_until,
                              .last = {.type = saved.last_type, .flags = saved.last_flags, .bits = saved.last_bits},
                              .size = saved.size,
                              .front = saved.front,
                              .known = saved.known,
                              .late = saved.late};
    int64_t before = INT64_MIN;
    for (uint32_t i = 0; i < saved.size; i++) {
        struct saved_entry entry;
        if (!take(from, &entry, sizeof entry) || (plan->type == YD_F64 && !is_finite(entry.bits))) return false;
        if (plan->ns && (entry.time < before || entry.time > saved.time)) return false;
        before = entry.time;
        memory->entries[i] = (struct entry){.time = entry.time, .value = {.bits = entry.bits}};
    }
    yd__expression_refill(plan, memory);
    return true;
}

int yd_expression_state_load(struct yd_expression_state *state, struct yd_str saved)
{
    const struct yd_expression *expression = state->expression;
    struct saved_head head;
    yd_expression_state_reset(state);
    if (!take(&saved, &head, sizeof head) || head.form != SAVED_FORM) return YD_EFORMAT;
    if (head.hash != expression->hash || head.memories != expression->memory_count) return YD_EINVAL;
    for (size_t i = 0; i < expression->memory_count; i++) {
        const struct memory_plan *plan = memory_plan(expression, i);
        if (load_memory(plan, memory_of(state, plan), &saved)) continue;
        yd_expression_state_reset(state);
        return YD_EFORMAT;
    }
    if (saved.size == 0) return 0;
    yd_expression_state_reset(state);
    return YD_EFORMAT;
}
