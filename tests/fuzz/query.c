/* Questions of OpenTSDB all the way: planned, through their row, answered by a history, written as JSON. The first byte
 * says which: a body or arguments of /api/query with a time zone's file behind them, /api/query/last, lookup. The
 * history has times at both ends of what there is, gaps, all types, numbers that are none, names with anything in them.
 * Checked: what is answered is JSON; what is refused says why; nothing runs over, and no question without end. */
#include <math.h>

#include "elements/ask.h"
#include "elements/opentsdb_answer.h"
#include "elements/opentsdb_last.h"
#include "elements/opentsdb_query.h"
#include "serve/json_in.h"
#include "store/notes.h"

#define NOW       (INT64_C(1700000000) * YD_NS_PER_S)
#define STEPS_MAX 100000

static struct yd_history *history;

static void add(struct yd_builder *builder, const char *name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    uint32_t index;
    YD_ASSERT(yd_builder_name(builder, yd_str_of(name), &index) >= 0);
    YD_ASSERT(yd_builder_add(builder, time_ns, index, YD_SAMPLE, type, 0, value) >= 0);
}

/* Once: it does not change. */
static void fill(void)
{
    static const char *const names[] = {"m",       "m host=a",     "m host=b,dc=eu", "m host=A,dc=us",
                                        "m dc=eu", "n host=a\\,b", "n x=\"\\\\",     "m\xc3\xa4 k=v"};
    static const double odd[] = {0, -0.0, 1.5, NAN, INFINITY, -INFINITY, 1e308, 5e-324};
    struct yd_builder *builder;
    struct yd_batch *batch;
    YD_ASSERT(yd_history_create(&(struct yd_history_options){0}, &history) == 0);
    YD_ASSERT(yd_builder_create(NULL, &builder) == 0);
    for (unsigned i = 0; i < YD_COUNT(names); i++) {
        for (int64_t k = -20; k <= 0; k++)
            add(builder, names[i], NOW + k * (7 + i) * YD_NS_PER_S + i, i % 2 ? YD_F64 : YD_I64,
                i % 2 ? (union yd_value){.f64 = odd[k & 7]} : (union yd_value){.i64 = INT64_MAX - k * k * 1000});
        add(builder, names[i], INT64_MAX - i, YD_F64, (union yd_value){.f64 = 1});
        add(builder, names[i], INT64_MIN + 1 + i, YD_U64, (union yd_value){.u64 = UINT64_MAX});
        add(builder, names[i], 0, YD_BOOL, (union yd_value){.u64 = 1});
    }
    YD_ASSERT(yd_builder_seal(builder, &batch) == 0);
    YD_ASSERT(yd_history_fold(history, batch, 0, NULL) == 0);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    for (unsigned i = 0; i < YD_COUNT(names); i++) {
        struct yd_note note = {.tsuid = yd_history_tsuid(yd_str_of(names[i])),
                               .start_ns = NOW - i * YD_NS_PER_S,
                               .description = YD_STR("\"quoted\""),
                               .custom = YD_STR("{\"a\":\"b\"}")};
        YD_ASSERT(yd_history_note(history, &note, YD_NOTE_DESCRIPTION | YD_NOTE_CUSTOM) == 0);
    }
}

static bool is_json(struct yd_str text)
{
    struct yd_arena arena;
    struct yd_json_value *value;
    yd_arena_init(&arena, NULL);
    bool good = yd_json_read(text, &arena, &value, NULL) == 0;
    yd_arena_fini(&arena);
    return good;
}

/* As it is after its way through a row; small answers only. */
static int run(const struct yd_tsdb_sub *sub, struct yd_tsdb_answer *answer)
{
    struct yd_ask ask = {.op = YD_ASK_SERIES, .series = sub->query}, back;
    struct yd_trail trail = {0};
    struct yd_arena arena;
    struct yd_batch *row, *batch;
    struct yd_query_run *query;
    unsigned steps = 0;
    ask.series.points_max = 5000;
    ask.series.read_max = 100000;
    int r = yd_ask_encode(&ask, &row);
    if (r < 0) return r;
    yd_arena_init(&arena, NULL);
    YD_ASSERT(yd_ask_decode(row, &arena, &back, &trail) == 0);
    yd_tsdb_answer_sub(answer, sub);
    r = yd_query_start(history, &back.series, &query, &trail);
    if (r == 0) {
        do {
            batch = NULL;
            r = yd_query_step(query, &batch, &trail);
            if (batch) yd_tsdb_answer_add(answer, batch);
            yd_batch_unref(batch);
            YD_ASSERT(++steps < STEPS_MAX);
        } while (r > 0);
        yd_query_destroy(query);
    }
    YD_ASSERT(r == 0 || *yd_trail_text(&trail));
    yd_arena_fini(&arena);
    yd_batch_unref(row);
    return r;
}

static void answer_plan(struct yd_tsdb_plan *plan, struct yd_str zone, unsigned way, struct yd_arena *arena)
{
    struct yd_tsdb_answer answer;
    struct yd_trail trail = {0};
    if (yd_tsdb_plan_calendar(plan, zone, arena, &trail) < 0) {
        YD_ASSERT(*yd_trail_text(&trail));
        return;
    }
    plan->nan = (enum yd_tsdb_nan)(way % 3);
    yd_tsdb_answer_begin(&answer, plan);
    int r = 0;
    for (size_t i = 0; i < plan->sub_count && i < 3 && r == 0; i++) r = run(&plan->subs[i], &answer);
    if (r == 0) {
        yd_tsdb_answer_end(&answer);
        YD_ASSERT(answer.buf.failed || is_json(yd_buf_view(&answer.buf)));
    }
    yd_tsdb_answer_fini(&answer);
}

struct found {
    struct yd_builder *builder;
    unsigned count;
};

static bool on_name(void *arg, struct yd_str name, int64_t time_ns, enum yd_type type, union yd_value value)
{
    struct found *found = arg;
    uint32_t index;
    YD_ASSERT(yd_builder_name(found->builder, name, &index) >= 0);
    YD_ASSERT(yd_builder_add(found->builder, time_ns, index, type == YD_NIL ? YD_FACT : YD_SAMPLE, type, 0, value) >=
              0);
    found->count++;
    return found->count < 20;
}

static void names_of(const struct yd_series_query *query, bool newest, bool resolve)
{
    struct found found = {0};
    struct yd_names_run *names;
    struct yd_trail trail = {0};
    struct yd_buf buf;
    struct yd_batch *batch = NULL;
    uint64_t total = 0;
    bool any = false;
    int r = newest ? yd_last_start(history, query, &names, &trail) : yd_lookup_start(history, query, &names, &trail);
    if (r < 0) return;
    YD_ASSERT(yd_builder_create(NULL, &found.builder) == 0);
    while ((r = yd_names_step(names, on_name, &found, &trail)) > 0) {
    }
    yd_names_destroy(names);
    yd_buf_init(&buf, NULL);
    if (r == 0 && yd_builder_seal(found.builder, &batch) == 0) {
        if (newest) {
            yd_tsdb_last_add(&buf, &any, resolve, batch);
            YD_ASSERT(any);
            yd_buf_char(&buf, ']');
        } else {
            yd_tsdb_lookup_begin(&buf, query, 7);
            yd_tsdb_lookup_add(&buf, &any, &total, batch);
            yd_tsdb_lookup_end(&buf, found.count);
        }
        YD_ASSERT(buf.failed || is_json(yd_buf_view(&buf)));
    }
    yd_batch_unref(batch);
    yd_buf_fini(&buf);
    yd_builder_destroy(found.builder);
}

static void last(struct yd_str text, bool as_body, struct yd_arena *arena)
{
    const struct yd_tsdb_argument arguments[] = {{YD_STR("timeseries"), text}};
    struct yd_tsdb_last plan;
    struct yd_trail trail = {0};
    int r = as_body ? yd_tsdb_last_plan(text, NULL, 0, NOW, arena, &plan, &trail)
                    : yd_tsdb_last_plan(YD_STR(""), arguments, 1, NOW, arena, &plan, &trail);
    YD_ASSERT(r == 0 || r == YD_ENOMEM || *yd_trail_text(&trail));
    for (size_t i = 0; r == 0 && i < plan.count && i < 5; i++) names_of(&plan.queries[i], true, plan.resolve);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands before the first byte 1 is the question, what behind it a zone's file; arguments by lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_arena arena;
    struct yd_tsdb_plan plan;
    struct yd_trail trail = {0};
    if (size < 2) return 0;
    if (!history) fill();
    const char *text = (const char *)data + 1, *behind = memchr(text, 1, size - 1);
    struct yd_str rest = {text, behind ? (size_t)(behind - text) : size - 1};
    struct yd_str zone = {behind ? behind + 1 : text, behind ? size - 2 - rest.size : 0};
    yd_arena_init(&arena, NULL);
    if (data[0] % 4 == 0) {
        if (yd_tsdb_plan_json(rest, NOW, &arena, &plan, &trail) == 0) answer_plan(&plan, zone, data[0] >> 2, &arena);
    } else if (data[0] % 4 == 1) {
        struct yd_tsdb_argument arguments[8];
        size_t count = 0;
        while (rest.size && count < YD_COUNT(arguments)) { /* name=value */
            const char *line = memchr(rest.data, '\n', rest.size);
            struct yd_str one = {rest.data, line ? (size_t)(line - rest.data) : rest.size};
            const char *equals = one.size ? memchr(one.data, '=', one.size) : NULL;
            size_t name = equals ? (size_t)(equals - one.data) : one.size;
            arguments[count++] = (struct yd_tsdb_argument){
                {one.data, name}, equals ? (struct yd_str){equals + 1, one.size - name - 1} : YD_STR("")};
            rest.data += one.size + (line != NULL), rest.size -= one.size + (line != NULL);
        }
        if (yd_tsdb_plan_url(arguments, count, NOW, &arena, &plan, &trail) == 0)
            answer_plan(&plan, zone, data[0] >> 2, &arena);
    } else if (data[0] % 4 == 2) {
        last(rest, data[0] & 0x80, &arena);
    } else {
        struct yd_series_query query;
        if (yd_tsdb_lookup(rest, &arena, &query, &trail) == 0) names_of(&query, false, false);
    }
    yd_arena_fini(&arena);
    return 0;
}
