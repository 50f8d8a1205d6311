/* Expressions against a model: random trees, written as text and compiled, beside the same trees walked slowly: whole
 * numbers in 128 bits, windows as plain lists. Equal to the last bit, step after step, from a printed seed. */
#include "testing.h"

#include <math.h>

#include "decom/expression.h"

enum { X, Y, I, J, U, V, B, C, SLOTS };
static const char *const slot_names[SLOTS] = {"x", "y", "i", "j", "u", "v", "b", "c"};
static const enum yd_type slot_types[SLOTS] = {YD_F64, YD_F64, YD_I64, YD_I64, YD_U64, YD_U64, YD_BOOL, YD_BOOL};

static int find(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    (void)opaque;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!yd_str_eq(name, yd_str_of(slot_names[i]))) continue;
        *ret_slot = i;
        *ret_type = slot_types[i];
        return 0;
    }
    return YD_ENOENT;
}

/* ---- trees ---- */

enum node_kind {
    SLOT,
    LITERAL,
    ADD,
    SUB,
    MUL,
    REST,
    QUOTIENT,
    DIVIDE,
    MIN,
    MAX,
    MINUS,
    ABS,
    SQRT,
    FLOOR,
    TO_INT,
    TO_FLOAT,
    LESS,
    SAME,
    AND,
    OR,
    NOT,
    PRESENT,
    CHOOSE,
    DEFAULT,
    BITS,
    SHIFT,
    ROLLING_SUM,
    ROLLING_MIN,
    ROLLING_MAX,
    ROLLING_TIME,
    RATE,
    DELTA,
    PREVIOUS,
    INTEGRAL,
    COUNT,
    HELD,
    LAST,
};
struct value {
    enum yd_type type; /* NIL: none */
    bool fresh;
    __int128 whole; /* I64, U64, BOOL */
    double f;
};
struct node {
    enum node_kind kind;
    enum yd_type type;
    struct node *args[3];
    struct value literal, last, before;
    int slot, n;
    struct value *history; /* of a window */
    int64_t *times;
    size_t count;
    int64_t time;
    double sum;
};

static struct node *all_nodes[4096];
static size_t node_count;

static struct node *make(enum node_kind kind, enum yd_type type)
{
    struct node *node = calloc(1, sizeof *node);
    assert_non_null(node);
    assert_true(node_count < YD_COUNT(all_nodes));
    all_nodes[node_count++] = node;
    node->kind = kind;
    node->type = type;
    return node;
}

static struct node *leaf(struct yd_rng *rng, enum yd_type type, bool only_slot)
{
    if (only_slot || yd_rng_chance(rng, 2)) {
        struct node *node = make(SLOT, type);
        int first = type == YD_F64 ? X : type == YD_I64 ? I : type == YD_U64 ? U : B;
        node->slot = first + (int)yd_rng_below(rng, 2);
        return node;
    }
    struct node *node = make(LITERAL, type);
    node->literal = (struct value){.type = type};
    if (type == YD_F64)
        node->literal.f = (double)yd_rng_below(rng, 64) / 4;
    else if (type == YD_U64)
        node->literal.whole = (__int128)UINT64_MAX - yd_rng_below(rng, 9); /* only these are of that type */
    else
        node->literal.whole = (__int128)yd_rng_below(rng, type == YD_BOOL ? 2 : 70);
    return node;
}

static struct node *grow(struct yd_rng *rng, enum yd_type type, int depth);

static struct node *with(struct yd_rng *rng, enum node_kind kind, enum yd_type type, enum yd_type a, enum yd_type b,
                         int depth)
{
    struct node *node = make(kind, type);
    node->args[0] = grow(rng, a, depth);
    if (b) node->args[1] = grow(rng, b, depth);
    return node;
}

/* What windows take is exact in a double, so that sums do not depend on their order. */
static struct node *window(struct yd_rng *rng, enum node_kind kind, enum yd_type type, enum yd_type of)
{
    struct node *node = make(kind, type);
    node->args[0] = leaf(rng, of, true);
    node->n = 1 + (int)yd_rng_below(rng, 6);
    return node;
}

static enum yd_type any_number(struct yd_rng *rng)
{
    static const enum yd_type types[] = {YD_F64, YD_I64, YD_U64};
    return types[yd_rng_below(rng, 3)];
}

static struct node *choose(struct yd_rng *rng, enum yd_type type, int depth)
{
    struct node *node = make(CHOOSE, type);
    node->args[0] = grow(rng, YD_BOOL, depth);
    node->args[1] = grow(rng, type, depth);
    node->args[2] = grow(rng, type, depth);
    return node;
}

static struct node *grow_f64(struct yd_rng *rng, int depth)
{
    switch (yd_rng_below(rng, 14)) {
    case 0:
        return with(rng, ADD, YD_F64, YD_F64, any_number(rng), depth);
    case 1:
        return with(rng, SUB, YD_F64, any_number(rng), YD_F64, depth);
    case 2:
        return with(rng, MUL, YD_F64, YD_F64, YD_F64, depth);
    case 3:
        return with(rng, DIVIDE, YD_F64, any_number(rng), any_number(rng), depth);
    case 4:
        return with(rng, MIN, YD_F64, YD_F64, YD_F64, depth);
    case 5:
        return with(rng, SQRT, YD_F64, any_number(rng), YD_NIL, depth);
    case 6:
        return with(rng, FLOOR, YD_F64, YD_F64, YD_NIL, depth);
    case 7:
        return with(rng, TO_FLOAT, YD_F64, any_number(rng), YD_NIL, depth);
    case 8:
        return with(rng, DEFAULT, YD_F64, YD_F64, YD_F64, depth);
    case 9:
        return window(rng, ROLLING_SUM, YD_F64, YD_F64);
    case 10:
        return window(rng, ROLLING_TIME, YD_F64, YD_F64);
    case 11:
        return with(rng, RATE, YD_F64, YD_F64, YD_NIL, 0);
    case 12:
        return with(rng, INTEGRAL, YD_F64, YD_F64, YD_NIL, 0);
    default:
        return choose(rng, YD_F64, depth);
    }
}

static struct node *grow_i64(struct yd_rng *rng, int depth)
{
    switch (yd_rng_below(rng, 13)) {
    case 0:
        return with(rng, ADD, YD_I64, YD_I64, YD_I64, depth);
    case 1:
        return with(rng, SUB, YD_I64, YD_U64, YD_U64, depth);
    case 2:
        return with(rng, MUL, YD_I64, YD_I64, YD_I64, depth);
    case 3:
        return with(rng, REST, YD_I64, YD_I64, YD_I64, depth);
    case 4:
        return with(rng, QUOTIENT, YD_I64, YD_I64, YD_I64, depth);
    case 5:
        return with(rng, ABS, YD_I64, YD_I64, YD_NIL, depth);
    case 6:
        return with(rng, TO_INT, YD_I64, any_number(rng), YD_NIL, depth);
    case 7:
        return with(rng, COUNT, YD_I64, YD_F64, YD_NIL, depth);
    case 8:
        return with(rng, DELTA, YD_I64, YD_I64, YD_NIL, depth);
    case 9:
        return window(rng, ROLLING_MIN, YD_I64, YD_I64);
    case 10:
        return with(rng, BITS, YD_I64, YD_I64, YD_I64, depth);
    case 11:
        return with(rng, MINUS, YD_I64, YD_I64, YD_NIL, depth);
    default:
        return with(rng, LAST, YD_I64, YD_I64, YD_I64, depth);
    }
}

static struct node *grow_u64(struct yd_rng *rng, int depth)
{
    switch (yd_rng_below(rng, 7)) {
    case 0:
        return with(rng, ADD, YD_U64, YD_U64, YD_U64, depth);
    case 1:
        return with(rng, MUL, YD_U64, YD_U64, YD_U64, depth);
    case 2:
        return with(rng, REST, YD_U64, YD_U64, YD_U64, depth);
    case 3:
        return with(rng, SHIFT, YD_U64, YD_U64, YD_I64, depth);
    case 4:
        return window(rng, ROLLING_MAX, YD_U64, YD_U64);
    case 5:
        return with(rng, PREVIOUS, YD_U64, YD_U64, YD_NIL, depth);
    default:
        return with(rng, MAX, YD_U64, YD_U64, YD_U64, depth);
    }
}

static struct node *grow_bool(struct yd_rng *rng, int depth)
{
    switch (yd_rng_below(rng, 7)) {
    case 0:
        return with(rng, LESS, YD_BOOL, any_number(rng), any_number(rng), depth);
    case 1:
        return with(rng, SAME, YD_BOOL, any_number(rng), any_number(rng), depth);
    case 2:
        return with(rng, AND, YD_BOOL, YD_BOOL, YD_BOOL, depth);
    case 3:
        return with(rng, OR, YD_BOOL, YD_BOOL, YD_BOOL, depth);
    case 4:
        return with(rng, NOT, YD_BOOL, YD_BOOL, YD_NIL, depth);
    case 5:
        return with(rng, HELD, YD_BOOL, YD_BOOL, YD_NIL, depth);
    default:
        return with(rng, PRESENT, YD_BOOL, any_number(rng), YD_NIL, depth);
    }
}

static struct node *grow(struct yd_rng *rng, enum yd_type type, int depth)
{
    if (depth <= 0) return leaf(rng, type, type == YD_U64); /* whole literals are I64 unless huge */
    switch (type) {
    case YD_F64:
        return grow_f64(rng, depth - 1);
    case YD_I64:
        return grow_i64(rng, depth - 1);
    case YD_U64:
        return grow_u64(rng, depth - 1);
    default:
        return grow_bool(rng, depth - 1);
    }
}

/* ---- as text ---- */

static void write_out(const struct node *node, struct yd_buf *to)
{
    static const char *const infix[] = {
        [ADD] = "+",   [SUB] = "-",  [MUL] = "*", [REST] = "%", [DIVIDE] = "/", [LESS] = "<",
        [SAME] = "==", [AND] = "&&", [OR] = "||", [BITS] = "&", [SHIFT] = "<<"};
    static const char *const called[] = {[QUOTIENT] = "div",
                                         [MIN] = "min",
                                         [MAX] = "max",
                                         [ABS] = "abs",
                                         [SQRT] = "sqrt",
                                         [FLOOR] = "floor",
                                         [TO_INT] = "int",
                                         [TO_FLOAT] = "float",
                                         [PRESENT] = "present",
                                         [DEFAULT] = "default",
                                         [RATE] = "rate",
                                         [DELTA] = "delta",
                                         [PREVIOUS] = "previous",
                                         [INTEGRAL] = "integral",
                                         [COUNT] = "count",
                                         [LAST] = "last",
                                         [ROLLING_SUM] = "rolling_sum",
                                         [ROLLING_MIN] = "rolling_min",
                                         [ROLLING_MAX] = "rolling_max",
                                         [ROLLING_TIME] = "rolling_sum",
                                         [HELD] = "held"};
    char number[40];
    if (node->kind == SLOT) {
        yd_buf_cstr(to, slot_names[node->slot]);
    } else if (node->kind == LITERAL && node->type == YD_F64) {
        (void)snprintf(number, sizeof number, "%.2f", node->literal.f);
        yd_buf_cstr(to, number);
    } else if (node->kind == LITERAL && node->type == YD_BOOL) {
        yd_buf_cstr(to, node->literal.whole ? "true" : "false");
    } else if (node->kind == LITERAL) {
        yd_buf_printf(to, "%llu", (unsigned long long)node->literal.whole);
    } else if (node->kind == CHOOSE) {
        yd_buf_char(to, '(');
        for (int i = 0; i < 3; i++) {
            if (i) yd_buf_cstr(to, i == 1 ? " ? " : " : ");
            write_out(node->args[i], to);
        }
        yd_buf_char(to, ')');
    } else if (node->kind == MINUS || node->kind == NOT) {
        yd_buf_cstr(to, node->kind == NOT ? "!(" : "-(");
        write_out(node->args[0], to);
        yd_buf_char(to, ')');
    } else if (node->kind < YD_COUNT(infix) && infix[node->kind]) {
        yd_buf_char(to, '(');
        write_out(node->args[0], to);
        yd_buf_printf(to, " %s ", infix[node->kind]);
        write_out(node->args[1], to);
        yd_buf_char(to, ')');
    } else {
        yd_buf_printf(to, "%s(", called[node->kind]);
        for (int i = 0; i < 2 && node->args[i]; i++) {
            if (i) yd_buf_cstr(to, ", ");
            write_out(node->args[i], to);
        }
        if (node->kind == ROLLING_TIME || node->kind == HELD)
            yd_buf_printf(to, ", %ds", node->n ? node->n : 2);
        else if (node->n)
            yd_buf_printf(to, ", %d", node->n);
        yd_buf_char(to, ')');
    }
}

/* ---- slowly ---- */

static struct value values_now[SLOTS];
static int64_t now;

static struct value none(bool fresh)
{
    return (struct value){.fresh = fresh};
}
static struct value of_f64(double f, bool fresh)
{
    return isfinite(f) ? (struct value){.type = YD_F64, .fresh = fresh, .f = f} : none(fresh);
}
static struct value of_whole(enum yd_type type, __int128 whole, bool fresh)
{
    bool fits = type == YD_U64 ? whole >= 0 && whole <= UINT64_MAX : whole >= INT64_MIN && whole <= INT64_MAX;
    return fits ? (struct value){.type = type, .fresh = fresh, .whole = whole} : none(fresh);
}
static double number_of(struct value v)
{
    if (v.type == YD_F64) return v.f;
    return v.type == YD_U64 ? (double)(uint64_t)v.whole : (double)(int64_t)v.whole;
}
static struct value truth(bool yes, bool fresh)
{
    return (struct value){.type = YD_BOOL, .fresh = fresh, .whole = yes};
}

static struct value of_two(const struct node *node, struct value a, struct value b, bool fresh)
{
    bool floats = a.type == YD_F64 || b.type == YD_F64;
    double x = number_of(a), y = number_of(b);
    switch (node->kind) {
    case ADD:
        return floats ? of_f64(x + y, fresh) : of_whole(node->type, a.whole + b.whole, fresh);
    case SUB:
        return floats ? of_f64(x - y, fresh) : of_whole(node->type, a.whole - b.whole, fresh);
    case MUL: {
        __int128 product;
        if (floats) return of_f64(x * y, fresh);
        if (__builtin_mul_overflow(a.whole, b.whole, &product)) return none(fresh);
        return of_whole(node->type, product, fresh);
    }
    case REST:
        return b.whole == 0 ? none(fresh) : of_whole(node->type, a.whole % b.whole, fresh);
    case QUOTIENT:
        return b.whole == 0 ? none(fresh) : of_whole(node->type, a.whole / b.whole, fresh);
    case DIVIDE:
        return y == 0 ? none(fresh) : of_f64(x / y, fresh);
    case MIN:
        return floats ? of_f64(x < y ? x : y, fresh)
                      : of_whole(node->type, a.whole < b.whole ? a.whole : b.whole, fresh);
    case MAX:
        return of_whole(node->type, a.whole > b.whole ? a.whole : b.whole, fresh);
    case LESS:
        return truth(floats ? x < y : a.whole < b.whole, fresh);
    case SAME:
        return truth(floats ? x == y : a.whole == b.whole, fresh);
    case BITS:
        return of_whole(YD_I64, (int64_t)a.whole & (int64_t)b.whole, fresh);
    default: /* SHIFT */
        if (b.whole < 0 || b.whole > 63) return none(fresh);
        return of_whole(YD_U64, (uint64_t)a.whole << (int)b.whole, fresh);
    }
}

static struct value of_one(const struct node *node, struct value a)
{
    switch (node->kind) {
    case MINUS:
        return of_whole(YD_I64, -a.whole, a.fresh);
    case ABS:
        return of_whole(YD_I64, a.whole < 0 ? -a.whole : a.whole, a.fresh);
    case SQRT:
        return number_of(a) < 0 ? none(a.fresh) : of_f64(sqrt(number_of(a)), a.fresh);
    case FLOOR:
        return of_f64(floor(a.f), a.fresh);
    case TO_FLOAT:
        return of_f64(number_of(a), a.fresh);
    case TO_INT:
        if (a.type == YD_F64 && !(fabs(a.f) < 0x1p64)) return none(a.fresh);
        return of_whole(YD_I64, a.type == YD_F64 ? (__int128)a.f : a.whole, a.fresh);
    default: /* NOT */
        return truth(!a.whole, a.fresh);
    }
}

static struct value of_window(struct node *node, struct value a)
{
    struct value result = {0};
    node->history = realloc(node->history, (node->count + 1) * sizeof *node->history);
    node->times = realloc(node->times, (node->count + 1) * sizeof *node->times);
    assert_true(node->history && node->times);
    node->history[node->count] = a;
    node->times[node->count++] = now;
    bool first = true;
    for (size_t i = 0; i < node->count; i++) {
        bool in = node->kind == ROLLING_TIME ? node->times[i] > now - node->n * YD_NS_PER_S
                                             : i + (size_t)node->n >= node->count;
        if (!in) continue;
        struct value one = node->history[i];
        if (first)
            result = one;
        else if (node->kind == ROLLING_MIN)
            result.whole = one.whole < result.whole ? one.whole : result.whole;
        else if (node->kind == ROLLING_MAX)
            result.whole = one.whole > result.whole ? one.whole : result.whole;
        else
            result.f += one.f;
        first = false;
    }
    result.fresh = true;
    return result;
}

static struct value of_memory(struct node *node, struct value a)
{
    struct value before = node->before, result = none(true);
    double dt = (double)(now - node->time) * 1e-9;
    if (node->kind == COUNT) {
        node->sum += a.type && a.fresh;
        return of_whole(YD_I64, (__int128)node->sum, a.fresh);
    }
    if (node->kind == HELD) {
        bool yes = a.type && a.whole;
        if (!yes) node->before.type = YD_NIL;
        if (!yes) return truth(false, a.fresh);
        if (!before.type) node->time = now;
        node->before = a;
        return truth(node->time <= now - 2 * YD_NS_PER_S, a.fresh);
    }
    if (!a.fresh) {
        result = node->last;
        result.fresh = false;
        return result;
    }
    if (!a.type) {
        node->last = a;
        return a;
    }
    if (node->kind >= ROLLING_SUM && node->kind <= ROLLING_TIME) {
        result = of_window(node, a);
    } else {
        if (node->kind == DELTA && before.type) result = of_whole(YD_I64, a.whole - before.whole, true);
        if (node->kind == PREVIOUS && before.type) result = before;
        if (node->kind == RATE && before.type && dt > 0) {
            result = of_f64(a.f - before.f, true);
            if (result.type) result = of_f64(result.f / dt, true);
        }
        bool stays = false;
        if (node->kind == INTEGRAL) {
            double sum = before.type ? node->sum + (before.f / 2 + a.f / 2) * dt : 0;
            result = of_f64(sum, true);
            stays = !result.type;
            if (!stays) node->sum = sum;
        }
        if (!stays) {
            node->before = a;
            node->time = now;
        }
        result.fresh = true;
    }
    node->last = result;
    return result;
}

static struct value walk(struct node *node)
{
    struct value args[3] = {{0}};
    bool fresh = false;
    if (node->kind == SLOT) return values_now[node->slot];
    if (node->kind == LITERAL) return node->literal;
    for (int i = 0; i < 3 && node->args[i]; i++) {
        args[i] = walk(node->args[i]);
        fresh |= args[i].fresh;
    }
    switch (node->kind) {
    case CHOOSE:
        args[0] = !args[0].type ? none(fresh) : args[0].whole ? args[1] : args[2];
        args[0].fresh = fresh;
        return args[0];
    case DEFAULT:
        if (!args[0].type) args[0] = args[1];
        args[0].fresh = fresh;
        return args[0];
    case LAST:
        if (args[0].type) node->before = args[0];
        if (!args[0].type) args[0] = node->before.type ? node->before : args[1];
        args[0].fresh = fresh;
        return args[0];
    case PRESENT:
        return truth(args[0].type != YD_NIL, fresh);
    case AND:
    case OR: {
        bool is_or = node->kind == OR;
        for (int i = 0; i < 2; i++)
            if (args[i].type && (args[i].whole != 0) == is_or) return truth(is_or, fresh);
        return args[0].type && args[1].type ? truth(!is_or, fresh) : none(fresh);
    }
    case ROLLING_SUM:
    case ROLLING_MIN:
    case ROLLING_MAX:
    case ROLLING_TIME:
    case RATE:
    case DELTA:
    case PREVIOUS:
    case INTEGRAL:
    case COUNT:
    case HELD:
        return of_memory(node, args[0]);
    default:
        break;
    }
    if (!args[0].type || (node->args[1] && !args[1].type)) return none(fresh);
    return node->args[1] ? of_two(node, args[0], args[1], fresh) : of_one(node, args[0]);
}

/* ---- beside each other ---- */

static void draw_values(struct yd_rng *rng, struct yd_reading *readings)
{
    for (int i = 0; i < SLOTS; i++) {
        struct value *value = &values_now[i];
        value->fresh = !yd_rng_chance(rng, 3);
        if (value->fresh) {
            uint64_t bits = yd_rng_next(rng);
            value->type = yd_rng_chance(rng, 12) ? YD_NIL : slot_types[i];
            value->f = (double)(int64_t)(bits % 401) / 4 - 50;
            value->whole = slot_types[i] == YD_BOOL ? (__int128)(bits & 1)
                           : yd_rng_chance(rng, 4)
                               ? (slot_types[i] == YD_I64 ? (__int128)(int64_t)bits : (__int128)bits)
                           : slot_types[i] == YD_I64 ? (__int128)(bits % 41) - 20
                                                     : (__int128)(bits % 41);
        }
        readings[i] = (struct yd_reading){.type = (uint8_t)value->type, .flags = value->fresh ? YD_READING_FRESH : 0};
        if (value->type == YD_F64)
            readings[i].f64 = value->f;
        else if (value->type)
            readings[i].bits = (uint64_t)value->whole;
    }
}

static void compare(const char *text, struct value slow, struct yd_reading fast)
{
    bool same = slow.type == (enum yd_type)fast.type && slow.fresh == ((fast.flags & YD_READING_FRESH) != 0);
    if (same && slow.type == YD_F64)
        same = memcmp(&slow.f, &fast.f64, sizeof slow.f) == 0 || (slow.f == 0 && fast.f64 == 0);
    else if (same && slow.type)
        same = (uint64_t)slow.whole == fast.bits;
    if (!same)
        fail_msg("%s: slowly %s %g %lld%s, compiled %s %g %lld%s", text, yd_type_name(slow.type), slow.f,
                 (long long)slow.whole, slow.fresh ? " fresh" : "", yd_type_name((enum yd_type)fast.type), fast.f64,
                 (long long)fast.i64, fast.flags & YD_READING_FRESH ? " fresh" : "");
}

static void random_expressions_are_as_a_slow_walk_of_their_tree_says(void **state)
{
    (void)state;
    static const enum yd_type types[] = {YD_F64, YD_I64, YD_U64, YD_BOOL};
    static const struct yd_expression_names names = {NULL, find, NULL};
    struct yd_rng rng;
    int compiled = 0, refused = 0;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 3000; round++) {
        struct yd_reading readings[SLOTS];
        struct yd_expression *expression = NULL;
        struct yd_expression_state *memory = NULL;
        struct yd_mistake mistake;
        struct yd_buf text;
        node_count = 0;
        memset(values_now, 0, sizeof values_now);
        struct node *root = grow(&rng, types[yd_rng_below(&rng, 4)], 1 + (int)yd_rng_below(&rng, 4));
        yd_buf_init(&text, NULL);
        write_out(root, &text);
        yd_buf_char(&text, 0);
        int error = yd_expression_compile(yd_str_of(text.data), &names, NULL, NULL, &expression, &mistake);
        if (error == 0) {
            compiled++;
            assert_int_equal(yd_expression_state_create(expression, NULL, &memory), 0);
            now = 0;
            for (int step = 0; step < 30; step++) {
                draw_values(&rng, readings);
                now += (int64_t)yd_rng_below(&rng, 1500) * YD_NS_PER_MS;
                struct yd_reading fast = yd_expression_eval(expression, readings, now, memory);
                struct value slow = walk(root);
                compare(text.data, slow, fast);
            }
        } else { /* constants that never have a value, and memories of constants, are refused */
            if (!strstr(mistake.message, "never has a value") && !strstr(mistake.message, "no measurement is in it") &&
                !strstr(mistake.message, "too large beside"))
                fail_msg("%s: %s", text.data, mistake.message);
            refused++;
        }
        yd_expression_state_destroy(memory);
        yd_expression_destroy(expression);
        yd_buf_fini(&text);
        for (size_t i = 0; i < node_count; i++) {
            free(all_nodes[i]->history);
            free(all_nodes[i]->times);
            free(all_nodes[i]);
        }
    }
    assert_true(compiled > 4 * refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions_are_as_a_slow_walk_of_their_tree_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
