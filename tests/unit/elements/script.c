/* Scripts shut in: what they may do, what ends them, and that `state` survives to the last bit. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "elements/script.h"

struct shut {
    struct yd_script *script;
    const struct yd_script_result *results;
    size_t count;
    char why[400];
};

static struct yd_script_options limits(void)
{
    return (struct yd_script_options){.memory_max = 1u << 20, .steps_max = 100000};
}

static int try_open(struct shut *t, const char *text, struct yd_str saved)
{
    struct yd_script_options options = limits();
    *t = (struct shut){0};
    return yd_script_open("s.lua", yd_str_of(text), &options, saved, t->why, sizeof t->why, &t->script);
}

static void open_shut(struct shut *t, const char *text)
{
    if (try_open(t, text, YD_STR("")) < 0) fail_msg("%s", t->why);
}

static enum yd_script_fault call(struct shut *t, double value, int64_t time)
{
    struct yd_reading reading = yd_reading_f64(value, 0);
    return yd_script_call(t->script, 0, &reading, time, YD_STR("x"), &t->results, &t->count);
}

static void expect_result(const struct shut *t, size_t index, const char *name, double value)
{
    assert_true(index < t->count);
    const struct yd_script_result *result = &t->results[index];
    double number = result->value.type == YD_I64 ? (double)result->value.i64 : result->value.f64;
    if (!yd_str_eq(result->name, yd_str_of(name)) || number != value)
        fail_msg("%.*s %.17g, wanted %s %.17g", YD_STR_FMT(result->name), number, name, value);
}

/* The text as the body of a handler of x fails with such a message, and the script goes on afterwards. */
static void expect_fault(const char *body, enum yd_script_fault fault, const char *why)
{
    struct shut t;
    char text[4096];
    snprintf(text, sizeof text,
             "local wrong = true\non('x', function(x, time)\nif wrong then wrong = false\n%s\nend\n"
             "return { ok = x } end)",
             body);
    open_shut(&t, text);
    assert_int_equal(call(&t, 1, 1), fault);
    assert_int_equal(t.count, 0);
    if (!strstr(yd_script_why(t.script), why)) fail_msg("'%s' is not in: %s", why, yd_script_why(t.script));
    assert_int_equal(call(&t, 2, 2), YD_SCRIPT_FINE);
    expect_result(&t, 0, "ok", 2);
    yd_script_destroy(t.script);
}

static void expect_unread(const char *text, const char *why)
{
    struct shut t;
    assert_int_equal(try_open(&t, text, YD_STR("")), YD_EFORMAT);
    if (!strstr(t.why, why)) fail_msg("'%s' is not in: %s", why, t.why);
}

static void results_are_typed_named_and_in_order(void **state)
{
    (void)state;
    struct shut t;
    open_shut(&t, "on('x', function(x, time) return { ['z k=1,a=2'] = x * 2, b = math.tointeger(x), c = x > 1, "
                  "d = 'text', e = 0/0, f = time } end)");
    assert_int_equal(call(&t, 3, 7), YD_SCRIPT_FINE);
    assert_int_equal(t.count, 6);
    expect_result(&t, 0, "b", 3);
    assert_int_equal(t.results[0].value.type, YD_I64);
    assert_int_equal(t.results[1].value.type, YD_BOOL);
    assert_int_equal(t.results[1].value.bits, 1);
    assert_int_equal(t.results[2].value.type, YD_TEXT);
    assert_memory_equal(t.results[2].value.text, "text", 4);
    assert_int_equal(t.results[3].value.type, YD_NIL); /* no number: no value */
    expect_result(&t, 4, "f", 7);
    expect_result(&t, 5, "z a=2,k=1", 6);
    yd_script_destroy(t.script);
}

static void values_of_each_type_come_as_such(void **state)
{
    (void)state;
    struct shut t;
    open_shut(&t, "on('a', 'b', 'c', 'd', function(a, b, c, d, time)\n"
                  "  return { kind = math.type(a) .. type(b) .. type(c) .. math.type(d), text = c .. '!' } end)");
    struct yd_reading values[] = {yd_reading_i64(INT64_MIN, 0), yd_reading_bool(true, 0),
                                  yd_reading_text(YD_STR("t"), 0), yd_reading_u64(UINT64_MAX, 0)};
    assert_int_equal(yd_script_call(t.script, 0, values, 1, YD_STR(""), &t.results, &t.count), YD_SCRIPT_FINE);
    assert_int_equal(t.count, 2);
    assert_memory_equal(t.results[0].value.text, "integerbooleanstringfloat", t.results[0].value.size);
    assert_memory_equal(t.results[1].value.text, "t!", 2);
    yd_script_destroy(t.script);
}

static void endless_work_ends_however_it_is_written(void **state)
{
    (void)state;
    expect_fault("while true do end", YD_SCRIPT_STEPS, "s.lua:4: more than 100000 steps in one call");
    expect_fault("local function f() return f() end f()", YD_SCRIPT_STEPS, "s.lua:4: more than 100000 steps");
    expect_fault("for i = 1, math.huge do end", YD_SCRIPT_STEPS, "s.lua:4: more than");
    expect_fault("string.rep('', math.maxinteger)", YD_SCRIPT_ERROR, "s.lua:4: a text of more than 65536 bytes");
    expect_fault("local s = string.rep('a', 3000); s:match('.-.-.-.-b')", YD_SCRIPT_STEPS, "s.lua:4: more than 100000");
    expect_fault("local s = string.rep('a', 60); s:match(string.rep('a?', 60) .. s)", YD_SCRIPT_STEPS, "s.lua:4: more");
    expect_fault("local s = string.rep('a', 60000); for i = 1, 1e6 do s:find(s .. 'b', 1, true) end", YD_SCRIPT_STEPS,
                 "s.lua:");
    expect_fault("local s = string.rep('x', 60000) for i = 1, 1e6 do local t = s .. i end", YD_SCRIPT_STEPS, "s.lua:");
    expect_fault("local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end", YD_SCRIPT_STEPS, "s.lua:4: more than");
    expect_fault("local t = {1} for i = 1, 1e9 do table.concat(t, ',', 1, 1) end", YD_SCRIPT_STEPS, "s.lua:4: more");
    expect_fault("local t = {} for i = 1, 5000 do t[i] = i end while true do table.sort(t) end", YD_SCRIPT_STEPS,
                 "s.lua:4: more than");
    expect_fault("local t = {} for i = 1, 5000 do t[i] = i end while true do for k in pairs(t) do break end end",
                 YD_SCRIPT_STEPS, "s.lua:4: more than");
    expect_fault("string.gsub(string.rep('a', 200), 'a', function() while true do end end)", YD_SCRIPT_STEPS,
                 "s.lua:4: more than");
}

static void memory_is_bounded_and_given_back(void **state)
{
    (void)state;
    expect_fault("local t = {} for i = 1, 1e9 do t[i] = {i, i, i, i, i, i, i, i, i, i} end", YD_SCRIPT_MEMORY,
                 "s.lua:2: more than 1048576 bytes");
    expect_fault("local s = string.rep('x', 65000) local t = {} for i = 1, 99 do t[i] = s .. i end", YD_SCRIPT_MEMORY,
                 "s.lua:2: more than 1048576 bytes");
    expect_fault("local s = 'x' while true do s = s .. s end", YD_SCRIPT_MEMORY, "s.lua:2: a text of more than 65536");
    expect_fault("string.rep('x', 1 << 40)", YD_SCRIPT_ERROR, "s.lua:4: a text of more than 65536 bytes");
    expect_fault("string.rep('x', 1 << 33, string.rep('y', 1 << 16))", YD_SCRIPT_ERROR, "s.lua:4: a text of more than");
    expect_fault("string.rep('abc', 65536)", YD_SCRIPT_ERROR, "s.lua:4: a text of more than 65536 bytes");
    expect_fault("local function f() return 1 + f() end f()", YD_SCRIPT_MEMORY, "s.lua:2: more than 1048576 bytes");
    expect_fault("table.unpack({}, 1, 1e8)", YD_SCRIPT_ERROR, "s.lua:4: table.unpack of more than 250 values");
    expect_fault("table.concat({}, 'x', 1, 1 << 40)", YD_SCRIPT_ERROR, "s.lua:4: a text of more than 65536 bytes");
    expect_fault("string.rep('x', 1000):gsub('x', string.rep('%0', 1000))", YD_SCRIPT_MEMORY,
                 "more than 1048576 bytes");
}

static void nothing_leads_out(void **state)
{
    (void)state;
    static const char *const gone[] = {"io",           "os",           "debug",     "package",  "require",
                                       "load",         "loadstring",   "dofile",    "loadfile", "collectgarbage",
                                       "pcall",        "xpcall",       "coroutine", "print",    "warn",
                                       "setmetatable", "getmetatable", "rawset",    "rawget",   "next",
                                       "_G",           "utf8"};
    char body[200], why[200];
    for (size_t i = 0; i < YD_COUNT(gone); i++) {
        snprintf(body, sizeof body, "local y = %s", gone[i]);
        snprintf(why, sizeof why, "s.lua:4: there is no '%s' for scripts", gone[i]);
        expect_fault(body, YD_SCRIPT_ERROR, why);
    }
    expect_fault("string.dump(function() end)", YD_SCRIPT_ERROR, "s.lua:4: attempt to call a nil value (field 'dump')");
    expect_fault("math.random()", YD_SCRIPT_ERROR, "s.lua:4: attempt to call a nil value (field 'random')");
    expect_fault("(''):dump()", YD_SCRIPT_ERROR, "s.lua:4: attempt to call a nil value (method 'dump')");
    expect_fault("math.randomseed(1)", YD_SCRIPT_ERROR, "attempt to call a nil value");
    expect_fault("local e = _ENV; e.y = 1", YD_SCRIPT_ERROR, "s.lua:4: 'y' would be a global");
    expect_fault("n = 1", YD_SCRIPT_ERROR, "s.lua:4: 'n' would be a global, which is lost when yarder restarts");
    expect_fault("return { ok = tostring({}) }", YD_SCRIPT_ERROR, "s.lua:4: a table is no text");
    expect_fault("return { ok = string.format('%-5p', '') }", YD_SCRIPT_ERROR, "s.lua:4: %p: an address");
    expect_fault("return { ok = string.format('%s', on) }", YD_SCRIPT_ERROR, "s.lua:4: a function is no text");
    expect_fault("on('y', function() end)", YD_SCRIPT_ERROR, "s.lua:4: handlers are declared once");
    expect_fault("local s <close> = {}", YD_SCRIPT_ERROR, "non-closable value");
}

static void bytecode_is_no_script(void **state)
{
    (void)state;
    struct shut t;
    struct yd_script_options options = limits();
    static const char code[] = "\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08xV\x00\x00\x00";
    int error = yd_script_open("s.lua", (struct yd_str){code, sizeof code - 1}, &options, YD_STR(""), t.why,
                               sizeof t.why, &t.script);
    assert_int_equal(error, YD_EFORMAT);
    if (!strstr(t.why, "attempt to load a binary chunk")) fail_msg("%s", t.why);
}

static void errors_say_file_and_line_and_cost_one_call(void **state)
{
    (void)state;
    expect_fault("local y = nil + 1", YD_SCRIPT_ERROR, "s.lua:4: attempt to perform arithmetic on a nil value");
    expect_fault("error('mine')", YD_SCRIPT_ERROR, "s.lua:4: mine");
    expect_fault("error({})", YD_SCRIPT_ERROR, "s.lua:4: error with a table");
    expect_fault("error()", YD_SCRIPT_ERROR, "s.lua:4: error with a nil");
    expect_fault("assert(false)", YD_SCRIPT_ERROR, "s.lua:4: assertion failed!");
    expect_fault("string.format('%d', 1.5)", YD_SCRIPT_ERROR, "s.lua:4: bad argument #2 to 'format'");
    expect_fault("return 5", YD_SCRIPT_RESULT, "a handler returns a table of results or nothing, not a number");
    expect_fault("return { a = {} }", YD_SCRIPT_RESULT, "result 'a' is neither number, text nor boolean");
    expect_fault("return { [1] = 2 }", YD_SCRIPT_RESULT, "the name of a result is a number, not a text");
    expect_fault("return { [''] = 2 }", YD_SCRIPT_RESULT, "result '': not a name of a measurement");
    expect_fault("return { ['a b=1,c=2'] = 1, ['a c=2,b=1'] = 2 }", YD_SCRIPT_RESULT, "twice, spelled differently");
    expect_fault("return { a = '\\255' }", YD_SCRIPT_RESULT, "result 'a': a text that is not UTF-8");
    expect_fault("return { a = string.rep('x', 5000) }", YD_SCRIPT_RESULT,
                 "result 'a': a text of more than 4096 bytes");
    expect_fault("local t = {} for i = 1, 1025 do t['r' .. i] = i end return t", YD_SCRIPT_RESULT, "more than 1024");
    expect_fault("table.sort({3, 'x', 1})", YD_SCRIPT_ERROR, "s.lua:4: attempt to compare");
    expect_fault("for k in pairs({[{}] = 1}) do end", YD_SCRIPT_ERROR, "s.lua:4: a key is a table");
}

static void what_is_wrong_is_found_when_it_is_read(void **state)
{
    (void)state;
    expect_unread("on('x', function(x)\n  return { a = x +\nend)", "s.lua:3: unexpected symbol near 'end'");
    expect_unread("", "s.lua:1: nothing is declared");
    expect_unread("\non('x')", "s.lua:2: write on(\"name\", …, function)");
    expect_unread("on('', function() end)", "s.lua:1: '' is not a name of a measurement");
    expect_unread("on('x', 5)", "s.lua:1: bad argument #2 to 'on' (function expected, got number)");
    expect_unread("each('a b', function() end)", "s.lua:1: 'a b' is not a name pattern");
    expect_unread("each('a')", "s.lua:1: bad argument #2 to 'each'");
    expect_unread("forgotten(1)", "s.lua:1: bad argument #1 to 'forgotten'");
    expect_unread("while true do end", "s.lua:1: more than 100000 steps");
    expect_unread("local t = {} for i = 1, 1e9 do t[i] = {i, i, i, i, i, i, i, i, i, i} end",
                  "s.lua:1: more than 1048576 bytes of memory");
    expect_unread("for i = 1, 2000 do on('x', function() end) end", "s.lua:1: more than 1024 handlers");
    expect_unread("for i = 1, 64 do each('x', function() end) end", "s.lua:1: more than 63 patterns");
    expect_unread("error('of mine')", "s.lua:1: of mine");
}

/* ---- state ---- */

static struct yd_str save(struct shut *t, struct yd_buf *to)
{
    yd_buf_init(to, NULL);
    yd_script_save(t->script, to);
    assert_false(to->failed);
    return yd_buf_view(to);
}

#define STATEFUL                                                                                                       \
    "state.n = state.n or 0  state.list = state.list or {}  state.by = state.by or {}\n"                               \
    "local list = state.list\n"                                                                                        \
    "on('x', function(x, time)\n"                                                                                      \
    "  state.n = state.n + 1\n"                                                                                        \
    "  list[#list + 1] = x / 3\n"                                                                                      \
    "  if #list > 7 then table.remove(list, 1) end\n"                                                                  \
    "  state.by['k' .. state.n % 13] = math.sin(x) * time\n"                                                           \
    "  state.by[state.n % 5] = x  state.by[x > 0] = { x, { deep = x / 7 } }\n"                                         \
    "  local sum = 0.1\n"                                                                                              \
    "  for key, value in pairs(state.by) do if type(value) == 'number' then sum = sum * 1.1 + value end end\n"         \
    "  table.sort(list, function(a, b) return math.floor(a) < math.floor(b) end)\n"                                    \
    "  return { n = state.n, sum = sum, first = list[1], count = #list }\n"                                            \
    "end)"

static void a_saved_state_goes_on_as_if_nothing_had_been_to_the_last_bit(void **state)
{
    (void)state;
    struct shut whole, broken;
    struct yd_buf saved, other;
    uint64_t random = 88172645463325252u;
    open_shut(&whole, STATEFUL);
    open_shut(&broken, STATEFUL);
    for (int i = 0; i < 300; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double x = (double)(int64_t)random / 1e17;
        assert_int_equal(call(&whole, x, i * 1000), YD_SCRIPT_FINE);
        assert_int_equal(call(&broken, x, i * 1000), YD_SCRIPT_FINE);
        assert_int_equal(whole.count, broken.count);
        for (size_t r = 0; r < whole.count; r++) {
            assert_true(yd_str_eq(whole.results[r].name, broken.results[r].name));
            assert_true(whole.results[r].value.bits == broken.results[r].value.bits);
        }
        struct yd_str bytes = save(&broken, &saved), same = save(&whole, &other);
        assert_true(yd_str_eq(bytes, same)); /* however the tables came about */
        yd_script_destroy(broken.script);
        assert_int_equal(try_open(&broken, STATEFUL, bytes), 0);
        yd_buf_fini(&saved);
        yd_buf_fini(&other);
    }
    yd_script_destroy(whole.script);
    yd_script_destroy(broken.script);
}

static void what_cannot_be_kept_is_named_and_the_rest_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *text, *left;
    } cases[] = {
        {"state.a = 1 state.f = function() end", "state.f: function cannot be kept"},
        {"state.a = 1 state.t = { [2] = { g = on } }", "state.t[2].g: function cannot be kept"},
        {"state.a = 1 state.own = state", "in itself, cannot be kept"},
    };
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        struct shut t;
        struct yd_buf saved;
        char text[300];
        snprintf(text, sizeof text, "if not state.a then %s end on('x', function() return { a = state.a } end)",
                 cases[i].text);
        open_shut(&t, text);
        (void)save(&t, &saved);
        const char *left = yd_script_unsaved(t.script);
        if (!left || !strstr(left, cases[i].left)) fail_msg("%s", left ? left : "nothing was left out");
        assert_null(yd_script_unsaved(t.script)); /* told once */
        yd_script_destroy(t.script);
        assert_int_equal(try_open(&t, text, yd_buf_view(&saved)), 0);
        assert_int_equal(call(&t, 1, 1), YD_SCRIPT_FINE);
        expect_result(&t, 0, "a", 1);
        yd_buf_fini(&saved);
        yd_script_destroy(t.script);
    }
}

static void saved_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    struct shut t;
    struct yd_buf saved;
    open_shut(&t, STATEFUL);
    for (int i = 0; i < 30; i++) assert_int_equal(call(&t, i, i), YD_SCRIPT_FINE);
    struct yd_str bytes = save(&t, &saved);
    yd_script_destroy(t.script);
    for (size_t size = 1; size < bytes.size; size++) {
        if (try_open(&t, STATEFUL, (struct yd_str){bytes.data, size}) == 0)
            fail_msg("%zu of %zu bytes", size, bytes.size);
        assert_null(t.script);
    }
    for (size_t at = 0; at < bytes.size; at++) { /* any other byte: refused, or a state of some kind */
        saved.data[at] = (char)(saved.data[at] ^ 0x55);
        if (try_open(&t, STATEFUL, bytes) == 0) (void)call(&t, 1, 1);
        yd_script_destroy(t.script);
        saved.data[at] = (char)(saved.data[at] ^ 0x55);
    }
    yd_buf_fini(&saved);
}

static void lists_sort_stably_and_tables_go_by_their_keys(void **state)
{
    (void)state;
    struct shut t;
    open_shut(&t, "on('x', function()\n"
                  "  local t, s = {}, '' for i = 1, 200 do t[i] = { i % 3, i } end\n"
                  "  table.sort(t, function(a, b) return a[1] < b[1] end)\n"
                  "  for i = 2, 200 do if t[i-1][1] > t[i][1] or (t[i-1][1] == t[i][1] and t[i-1][2] > t[i][2]) then "
                  "error('order') end end\n"
                  "  for k in pairs({ b = 1, a = 2, [3] = 1, [1.5] = 1, [-1] = 1, [true] = 1, ab = 1 }) do s = s .. "
                  "tostring(k) .. ' ' end\n"
                  "  local few = {} for k, v in pairs({ 1, 2, 3 }) do few[#few + 1] = v end\n"
                  "  return { s = s, few = #few } end)");
    if (call(&t, 1, 1) != YD_SCRIPT_FINE) fail_msg("%s", yd_script_why(t.script));
    expect_result(&t, 0, "few", 3);
    assert_memory_equal(t.results[1].value.text, "true -1 1.5 3 a ab b ", t.results[1].value.size);
    yd_script_destroy(t.script);
}

static void what_is_forgotten_is_asked_by_name_or_pattern(void **state)
{
    (void)state;
    struct shut t;
    struct yd_pattern *pattern;
    open_shut(&t,
              "state.of = {}\neach('t.*', function(x, time, name) state.of[name] = x\n"
              "  local n = 0 for _ in pairs(state.of) do n = n + 1 end return { n = n } end)\n"
              "forgotten(function(matches) for name in pairs(state.of) do if matches(name) then state.of[name] = nil "
              "end end end)");
    struct yd_reading value = yd_reading_f64(1, 0);
    const char *names[] = {"t.a", "t.b", "t.c x=1"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(yd_script_call(t.script, 0, &value, 1, yd_str_of(names[i]), &t.results, &t.count), 0);
    expect_result(&t, 0, "n", 3);
    assert_int_equal(yd_script_forget(t.script, NULL, YD_STR("t.a")), YD_SCRIPT_FINE);
    assert_int_equal(yd_pattern_compile(YD_STR("t.c"), &pattern), 0);
    assert_int_equal(yd_script_forget(t.script, pattern, YD_STR("")), YD_SCRIPT_FINE);
    yd_pattern_destroy(pattern);
    assert_int_equal(yd_script_call(t.script, 0, &value, 1, YD_STR("t.d"), &t.results, &t.count), 0);
    expect_result(&t, 0, "n", 2);
    yd_script_destroy(t.script);
}

static void every_failing_allocation_is_survived_and_nothing_leaks(void **state)
{
    (void)state;
    struct yd_reading value = yd_reading_f64(1, 0);
    for (uint64_t at = 1;; at += at < 400 ? 1 : 7) {
        struct yd_alloc_failing failing;
        struct yd_script *script = NULL;
        struct yd_buf saved;
        char why[400];
        bool done = false;
        yd_alloc_failing_init(&failing, at);
        yd_buf_init(&saved, &failing.alloc);
        struct yd_script_options options = limits();
        options.alloc = &failing.alloc;
        int error = yd_script_open("s.lua", YD_STR(STATEFUL), &options, YD_STR(""), why, sizeof why, &script);
        if (error == 0) {
            const struct yd_script_result *results;
            size_t count;
            enum yd_script_fault fault = YD_SCRIPT_FINE;
            for (int i = 0; i < 20 && fault == YD_SCRIPT_FINE; i++)
                fault = yd_script_call(script, 0, &value, i, YD_STR(""), &results, &count);
            if (fault != YD_SCRIPT_FINE) assert_int_equal(fault, YD_SCRIPT_MEMORY);
            if (fault != YD_SCRIPT_FINE) assert_true(yd_script_starved(script)); /* the turn is done again */
            yd_script_save(script, &saved);
            done = fault == YD_SCRIPT_FINE && !saved.failed;
        } else if (error != YD_ENOMEM) {
            fail_msg("%s: %s", yd_error_text(error), why);
        }
        yd_script_destroy(script);
        yd_buf_fini(&saved);
        assert_int_equal(failing.bytes_out, 0);
        if (done) break;
        assert_true(at < 20000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_typed_named_and_in_order),
        cmocka_unit_test(values_of_each_type_come_as_such),
        cmocka_unit_test(endless_work_ends_however_it_is_written),
        cmocka_unit_test(memory_is_bounded_and_given_back),
        cmocka_unit_test(nothing_leads_out),
        cmocka_unit_test(bytecode_is_no_script),
        cmocka_unit_test(errors_say_file_and_line_and_cost_one_call),
        cmocka_unit_test(what_is_wrong_is_found_when_it_is_read),
        cmocka_unit_test(a_saved_state_goes_on_as_if_nothing_had_been_to_the_last_bit),
        cmocka_unit_test(what_cannot_be_kept_is_named_and_the_rest_is_kept),
        cmocka_unit_test(saved_bytes_that_are_none_are_refused),
        cmocka_unit_test(lists_sort_stably_and_tables_go_by_their_keys),
        cmocka_unit_test(what_is_forgotten_is_asked_by_name_or_pattern),
        cmocka_unit_test(every_failing_allocation_is_survived_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
