/* Bodies of /api/put: the usual way and the one by tokens say the same, whatever comes; see elements/opentsdb_put.h. */
#include "elements/opentsdb_put.h"

#include "base/hash.h"
#include "testing.h"

#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

struct said {
    struct yd_put *put;
    struct yd_buf records, rejects;
    uint64_t count;
};

static void full(void *arg)
{
    struct said *said = arg;
    struct yd_batch *batch;
    struct yd_view view;
    if (yd_put_count(said->put) == 0) return;
    int r = yd_put_seal(said->put, &batch);
    if (r == YD_ENOMEM) return; /* an allocation that was to fail */
    assert_int_equal(r, 0);
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_printf(&said->records, " %lld %d %llx\n", (long long)record->time_ns, record->type,
                      (unsigned long long)record->value.u64);
        said->count++;
    }
    yd_batch_unref(batch);
}

static void rejected(void *arg, unsigned reason, struct yd_str point)
{
    struct said *said = arg;
    yd_buf_printf(&said->rejects, "%u: %.*s\n", reason, YD_STR_FMT(point));
}

static void open_said(struct said *said, struct yd_alloc *alloc, size_t cache)
{
    *said = (struct said){0};
    yd_buf_init(&said->records, NULL);
    yd_buf_init(&said->rejects, NULL);
    assert_int_equal(yd_put_create(alloc, 16384, cache, 7, &said->put), 0);
}

static void close_said(struct said *said)
{
    yd_put_destroy(said->put);
    yd_buf_fini(&said->records);
    yd_buf_fini(&said->rejects);
}

static void put(struct said *said, struct yd_str body, bool tokens, struct yd_put_result *result)
{
    const struct yd_put_options options = {
        .details = true, .tokens = tokens, .arg = said, .full = full, .rejected = rejected};
    yd_buf_clear(&said->records);
    yd_buf_clear(&said->rejects);
    said->count = 0;
    yd_opentsdb_put(said->put, body, &options, result);
    full(said);
}

static void assert_same(struct yd_str a, struct yd_str b, struct yd_str body)
{
    if (yd_str_eq(a, b)) return;
    fail_msg("of %.*s\nby tokens:\n%.*s\nthe usual way:\n%.*s", YD_STR_FMT(body), YD_STR_FMT(a), YD_STR_FMT(b));
}

static void compare(struct said *slow, struct said *fast, struct yd_str body)
{
    struct yd_put_result slowly, quickly;
    put(slow, body, true, &slowly);
    put(fast, body, false, &quickly);
    assert_same(yd_buf_view(&slow->records), yd_buf_view(&fast->records), body);
    assert_same(yd_buf_view(&slow->rejects), yd_buf_view(&fast->rejects), body);
    assert_same(yd_buf_view(&slowly.errors), yd_buf_view(&quickly.errors), body);
    assert_int_equal(slowly.success, quickly.success);
    assert_int_equal(slowly.failed, quickly.failed);
    assert_string_equal(slowly.fatal ? slowly.fatal : "", quickly.fatal ? quickly.fatal : "");
    yd_buf_fini(&slowly.errors);
    yd_buf_fini(&quickly.errors);
}

/* ---- bodies ---- */

static const char *one_of(struct yd_rng *rng, const char *const *from, size_t count)
{
    return from[yd_rng_below(rng, count)];
}
#define ONE_OF(rng, ...)                                                                                               \
    one_of(rng, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void space(struct yd_buf *to, struct yd_rng *rng)
{
    if (yd_rng_chance(rng, 12)) yd_buf_cstr(to, ONE_OF(rng, " ", "  ", "\n", "\t", " \r\n"));
}

/* Mostly what a client would send; now and then everything that JSON can be and some that it cannot. */
static void add_tags(struct yd_buf *to, struct yd_rng *rng)
{
    uint64_t count = yd_rng_chance(rng, 30) ? 0 : 1 + yd_rng_below(rng, 4);
    yd_buf_char(to, '{');
    for (uint64_t i = 0; i < count; i++) {
        if (i) yd_buf_char(to, ',');
        space(to, rng);
        yd_buf_cstr(to, ONE_OF(rng, "\"host\"", "\"dc\"", "\"k\"", "\"core\""));
        space(to, rng);
        yd_buf_char(to, ':');
        space(to, rng);
        if (!yd_rng_chance(rng, 25))
            yd_buf_cstr(to, ONE_OF(rng, "\"a\"", "\"web01\"", "\"b c\"", "7", "-1.50"));
        else
            yd_buf_cstr(to, ONE_OF(rng, "\"}\"", "\"a}b\"", "\"\\u0041\"", "\"\\\"\"", "\"\xc3\xa9\"", "\"\xff\"",
                                   "null", "true", "{}", "[1]", "\"\"", "\"\x01\"", "01", ""));
    }
    space(to, rng);
    yd_buf_char(to, '}');
}

static void add_member(struct yd_buf *to, struct yd_rng *rng, uint64_t which)
{
    space(to, rng);
    yd_buf_cstr(to, (const char *const[]){"\"metric\"", "\"timestamp\"", "\"value\"", "\"tags\"", "\"other\"",
                                          "\"metri\\u0063\"", "metric"}[which]);
    space(to, rng);
    yd_buf_char(to, ':');
    space(to, rng);
    bool odd = yd_rng_chance(rng, 25);
    if (which == 3 && !odd)
        add_tags(to, rng);
    else if (which == 0 && !odd)
        yd_buf_cstr(to, ONE_OF(rng, "\"cpu\"", "\"sys.cpu.user\"", "\"m\"", "\"a b\""));
    else if (which == 1 && !odd)
        yd_buf_cstr(to, ONE_OF(rng, "1700000000", "1700000001000", "\"1700000002\"", "1700000003.5", "0", "-1",
                               "4294967295", "4294967296", "99999999999999999999", "1e9"));
    else if (which == 2 && !odd)
        yd_buf_cstr(to,
                    ONE_OF(rng, "1", "-3", "0", "-0", "-0.0", "1.5", "0.1", "123456789012345", "1234567890123456",
                           "0.123456789012345", "-99.99", "1e3", "2.5E-3", "9223372036854775807", "9223372036854775808",
                           "\"42\"", "\"4.25\"", "\"x\"", "\"\"", "\"NaN\"", "3.14159265358979323846"));
    else
        yd_buf_cstr(to, ONE_OF(rng, "null", "true", "[]", "{}", "[1,{\"a\":2}]", "\"\"", "\"\\n\"", "NaN", "-Infinity",
                               "01", "1.", "+1", ".5", "1e", "\"\xc3\xa9\"", "\"\xc3\"", "", "\"open"));
}

static void add_point(struct yd_buf *to, struct yd_rng *rng)
{
    uint64_t order[4] = {0, 1, 2, 3};
    if (yd_rng_chance(rng, 40)) {
        yd_buf_cstr(to, ONE_OF(rng, "7", "\"x\"", "null", "{}", "[]", "[{}]", "", "{", "]"));
        return;
    }
    for (uint64_t i = 0; i < 4 && yd_rng_chance(rng, 2); i++) {
        uint64_t other = yd_rng_below(rng, 4), swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    yd_buf_char(to, '{');
    bool any = false;
    for (uint64_t i = 0; i < 4; i++) {
        if (yd_rng_chance(rng, 50)) continue; /* missing */
        if (any) yd_buf_char(to, ',');
        any = true;
        add_member(to, rng, order[i]);
        if (!yd_rng_chance(rng, 50)) continue;
        yd_buf_char(to, ',');
        add_member(to, rng, yd_rng_below(rng, 7)); /* unknown, or twice */
    }
    space(to, rng);
    yd_buf_char(to, '}');
}

static void add_body(struct yd_buf *to, struct yd_rng *rng)
{
    uint64_t count = yd_rng_chance(rng, 20) ? yd_rng_below(rng, 400) : yd_rng_below(rng, 20);
    space(to, rng);
    yd_buf_char(to, '[');
    for (uint64_t i = 0; i < count; i++) {
        space(to, rng);
        if (i) yd_buf_char(to, ',');
        space(to, rng);
        add_point(to, rng);
    }
    space(to, rng);
    if (!yd_rng_chance(rng, 40)) yd_buf_char(to, ']');
    if (yd_rng_chance(rng, 40)) yd_buf_cstr(to, ONE_OF(rng, " ", "]", ",", "x", "[]"));
    if (yd_rng_chance(rng, 30) && to->size) to->size = yd_rng_below(rng, to->size); /* cut short */
}

/* ---- sentences ---- */

TEST(generated_bodies_are_taken_alike_by_tokens_and_the_usual_way)
{
    UNUSED;
    const size_t caches[] = {1 << 20, 4096}; /* the second one forgets all the time */
    uint64_t seed = test_seed(), taken = 0, refused = 0;
    for (size_t c = 0; c < YD_COUNT(caches); c++) {
        struct said slow, fast;
        struct yd_rng rng;
        struct yd_buf body;
        yd_rng_init(&rng, seed);
        open_said(&slow, NULL, caches[c]);
        open_said(&fast, NULL, caches[c]);
        yd_buf_init(&body, NULL);
        for (int i = 0; i < 4000; i++) {
            yd_buf_clear(&body);
            add_body(&body, &rng);
            compare(&slow, &fast, yd_buf_view(&body));
            taken += fast.count;
            refused += fast.rejects.size != 0;
        }
        yd_buf_fini(&body);
        close_said(&slow);
        close_said(&fast);
    }
    assert_true(taken > 2000);
    assert_true(refused > 500);
}

TEST(a_body_damaged_at_its_end_stores_nothing_of_its_beginning)
{
    UNUSED;
    static const char good[] = "{\"metric\":\"m\",\"timestamp\":1700000000,\"value\":1.25,\"tags\":{\"host\":\"a\"}}";
    static const char *const ends[] = {"",   ",",      "]]",   ",]",         "]x",
                                       ",{", ",{\"x]", ",1]1", ",\"\\x\"] ", ",{\"metric\":\"\xff\"}]"};
    struct said said;
    open_said(&said, NULL, 1 << 20);
    for (size_t i = 0; i <= YD_COUNT(ends); i++) {
        struct yd_buf body;
        struct yd_put_result result;
        yd_buf_init(&body, NULL);
        yd_buf_char(&body, '[');
        for (int k = 0; k < 1000; k++) yd_buf_printf(&body, "%s%s", k ? "," : "", good);
        yd_buf_cstr(&body, i < YD_COUNT(ends) ? ends[i] : "]");
        put(&said, yd_buf_view(&body), false, &result);
        bool whole = i == YD_COUNT(ends);
        assert_int_equal(result.success, whole ? 1000 : 0);
        assert_int_equal(said.count, whole ? 1000 : 0);
        if (whole)
            assert_null(result.fatal);
        else
            assert_string_equal(result.fatal, "Unable to parse the given JSON");
        yd_buf_fini(&result.errors);
        yd_buf_fini(&body);
    }
    close_said(&said);
}

TEST(a_bracket_within_a_tags_value_ends_nothing)
{
    UNUSED;
    struct said said;
    struct yd_put_result result;
    open_said(&said, NULL, 1 << 20);
    put(&said,
        YD_STR("[{\"tags\":{\"a\":\"}\",\"b\":\"x\"},\"metric\":\"m\",\"timestamp\":1700000000,\"value\":1},"
               "{\"metric\":\"m\",\"timestamp\":1700000001,\"value\":2,\"tags\":{\"a\":\"y\"}}]"),
        false, &result);
    yd_buf_char(&said.records, 0);
    assert_string_equal(said.records.data, "m a=},b=x 1700000000000000000 2 1\nm a=y 1700000001000000000 2 2\n");
    assert_int_equal(result.success, 2);
    yd_buf_fini(&result.errors);
    close_said(&said);
}

TEST(an_allocation_that_fails_costs_points_that_are_counted)
{
    UNUSED;
    struct yd_buf body;
    yd_buf_init(&body, NULL);
    for (int i = 0; i < 1500; i++)
        yd_buf_printf(&body, "%c{\"metric\":\"m%d\",\"timestamp\":1700000000,\"value\":%d,\"tags\":{\"host\":\"a\"}}",
                      i ? ',' : '[', i % 50, i);
    yd_buf_char(&body, ']');
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct yd_alloc_failing failing;
        struct said said = {0};
        yd_alloc_failing_init(&failing, nth);
        if (yd_put_create(&failing.alloc, 16384, 1 << 16, 7, &said.put) == 0) {
            struct yd_put_result result;
            yd_buf_init(&said.records, NULL);
            yd_buf_init(&said.rejects, NULL);
            put(&said, yd_buf_view(&body), false, &result);
            assert_null(result.fatal);
            assert_int_equal(result.success + result.failed, 1500);
            yd_buf_fini(&result.errors);
            put(&said, yd_buf_view(&body), false, &result); /* and once more */
            assert_int_equal(result.success + result.failed, 1500);
            yd_buf_fini(&result.errors);
            close_said(&said);
        }
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) break;
    }
    yd_buf_fini(&body);
}

/* [1,1,1,…]: what is kept of a body is bounded, and every item is counted. */
static void a_body_of_very_many_items_keeps_little(void **state)
{
    (void)state;
    enum { ITEMS = 1 << 20 };
    struct yd_alloc_failing counting;
    struct said said = {0};
    struct yd_put_result result;
    struct yd_buf body;
    yd_alloc_failing_init(&counting, 0);
    yd_buf_init(&body, NULL);
    yd_buf_char(&body, '[');
    for (unsigned i = 0; i < ITEMS; i++) yd_buf_cstr(&body, i ? ",1" : "1");
    yd_buf_char(&body, ']');
    assert_int_equal(yd_put_create(&counting.alloc, 16384, 1 << 16, 7, &said.put), 0);
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.rejects, NULL);
    put(&said, yd_buf_view(&body), false, &result);
    assert_null(result.fatal);
    assert_int_equal(result.failed, ITEMS);
    assert_true(counting.bytes_out < 32 << 20);
    yd_buf_fini(&result.errors);
    close_said(&said);
    assert_int_equal(counting.bytes_out, 0);
    yd_buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_bodies_are_taken_alike_by_tokens_and_the_usual_way),
        cmocka_unit_test(a_body_damaged_at_its_end_stores_nothing_of_its_beginning),
        cmocka_unit_test(a_bracket_within_a_tags_value_ends_nothing),
        cmocka_unit_test(a_body_of_very_many_items_keeps_little),
        cmocka_unit_test(an_allocation_that_fails_costs_points_that_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
