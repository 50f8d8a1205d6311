/* Expressions: what each means, what each mistake says and where, and that what is remembered survives. */
#include "testing.h"

#include <math.h>

#include "decom/expression.h"

/* ---- measurements of the tests ---- */

enum { X, Y, I, J, U, V, B, T, ANY, OTHER, NAN_ONE, INF_ONE, NONE, SUSPECT, TAGGED, SLOTS };
static const struct {
    const char *name;
    enum yd_type type;
} known[SLOTS] = {
    [X] = {"x", YD_F64},
    [Y] = {"y", YD_F64},
    [I] = {"i", YD_I64},
    [J] = {"tank.level", YD_I64},
    [U] = {"u", YD_U64},
    [V] = {"counter", YD_U64},
    [B] = {"flag", YD_BOOL},
    [T] = {"mode", YD_TEXT},
    [ANY] = {"any", YD_NIL},
    [OTHER] = {"other", YD_NIL},
    [NAN_ONE] = {"bad", YD_F64},
    [INF_ONE] = {"endless", YD_F64},
    [NONE] = {"none", YD_F64},
    [SUSPECT] = {"doubtful", YD_F64},
    [TAGGED] = {"cpu.load host=a-1", YD_F64},
};

static int find(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    (void)opaque;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!yd_str_eq(name, yd_str_of(known[i].name))) continue;
        *ret_slot = i;
        *ret_type = known[i].type;
        return 0;
    }
    return YD_ENOENT;
}

static struct yd_str known_one(void *opaque, size_t index)
{
    (void)opaque;
    return index < SLOTS ? yd_str_of(known[index].name) : YD_STR("");
}

static const struct yd_expression_names names = {NULL, find, known_one};

static void values_of_tests(struct yd_reading *values)
{
    values[X] = yd_reading_f64(2.5, YD_READING_FRESH);
    values[Y] = yd_reading_f64(-4, YD_READING_FRESH);
    values[I] = yd_reading_i64(-7, YD_READING_FRESH);
    values[J] = yd_reading_i64(INT64_MAX, YD_READING_FRESH);
    values[U] = yd_reading_u64(6, YD_READING_FRESH);
    values[V] = yd_reading_u64(UINT64_MAX, YD_READING_FRESH);
    values[B] = yd_reading_bool(true, YD_READING_FRESH);
    values[T] = yd_reading_text(YD_STR("SAFE"), YD_READING_FRESH);
    values[ANY] = yd_reading_i64(3, YD_READING_FRESH);
    values[OTHER] = yd_reading_text(YD_STR("on"), YD_READING_FRESH);
    values[NAN_ONE] = yd_reading_f64(NAN, YD_READING_FRESH);
    values[INF_ONE] = yd_reading_f64(INFINITY, YD_READING_FRESH);
    values[NONE] = yd_reading_none(0);
    values[SUSPECT] = yd_reading_f64(1, YD_READING_FRESH | YD_READING_SUSPECT);
    values[TAGGED] = yd_reading_f64(0.75, YD_READING_FRESH);
}

/* "2.5", "7i", "7u", "true", "\"SAFE\"", "- overflow"; a value in doubt ends in "?". */
static const char *said(struct yd_reading reading)
{
    static char text[200];
    char number[40] = "";
    const char *doubt = reading.flags & YD_READING_SUSPECT ? "?" : "";
    switch (reading.type) {
    case YD_F64:
        assert_true(isfinite(reading.f64));
        number[yd_text_put_f64(number, reading.f64)] = 0;
        break;
    case YD_I64:
        (void)snprintf(number, sizeof number, "%lldi", (long long)reading.i64);
        break;
    case YD_U64:
        (void)snprintf(number, sizeof number, "%lluu", (unsigned long long)reading.u64);
        break;
    case YD_BOOL:
        assert_true(reading.bits <= 1);
        (void)snprintf(number, sizeof number, "%s", reading.bits ? "true" : "false");
        break;
    case YD_TEXT:
        (void)snprintf(number, sizeof number, "\"%.*s\"", (int)reading.size, reading.text);
        break;
    default:
        (void)snprintf(number, sizeof number, "-%s%s%s%s%s", reading.flags & YD_READING_OVERFLOW ? " overflow" : "",
                       reading.flags & YD_READING_ZERO ? " zero" : "",
                       reading.flags & YD_READING_DOMAIN ? " domain" : "",
                       reading.flags & YD_READING_TYPE ? " type" : "", reading.flags & YD_READING_LATE ? " late" : "");
        break;
    }
    (void)snprintf(text, sizeof text, "%s%s%s", number, doubt, reading.flags & YD_READING_CROWDED ? " crowded" : "");
    return text;
}

static struct yd_expression *compiled(const char *text)
{
    struct yd_expression *expression = NULL;
    struct yd_mistake mistake;
    int error = yd_expression_compile(yd_str_of(text), &names, NULL, NULL, &expression, &mistake);
    if (error < 0) fail_msg("%s: %u:%u: %s", text, mistake.line, mistake.column, mistake.message);
    return expression;
}

static void each_operator_and_function_means_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } table[] = {
        {"1", "1i"},
        {"1.5", "1.5"},
        {"0x1F + 0b101", "36i"},
        {"18446744073709551615", "18446744073709551615u"},
        {"18446744073709551616", "18446744073709552000"},
        {".5 + 5.", "5.5"},
        {"1e3", "1000"},
        {"\"a\\\"b\"", "\"a\"b\""},
        {"true", "true"},
        {"pi", "3.141592653589793"},
        {"x", "2.5"},
        {"`cpu.load host=a-1` * 2", "1.5"},
        {"tank.level", "9223372036854775807i"},
        {"x + y", "-1.5"},
        {"x - y * 2", "10.5"},
        {"(x - y) * 2", "13"},
        {"i + 1", "-6i"},
        {"i * i", "49i"},
        {"i + x", "-4.5"},
        {"u + 1", "7u"},
        {"1 + u", "7u"},
        {"u + i", "-1i"},
        {"u - 7", "-1i"},
        {"u + 0.5", "6.5"},
        {"counter - 1", "- overflow"},
        {"counter - counter", "0i"},
        {"counter + 1", "- overflow"},
        {"counter + i", "- overflow"},
        {"tank.level + 1", "- overflow"},
        {"-tank.level - 1", "-9223372036854775808i"},
        {"-tank.level - 2", "- overflow"},
        {"tank.level * 2", "- overflow"},
        {"-9223372036854775808", "-9223372036854775808i"},
        {"i / 2", "-3.5"},
        {"1 / 4", "0.25"},
        {"x / 0", "- zero"},
        {"x / (x - 2.5)", "- zero"},
        {"i % 4", "-3i"},
        {"u % 4", "2u"},
        {"x % 2", "0.5"},
        {"i % 0", "- zero"},
        {"i % -1", "0i"},
        {"y % 0", "- zero"},
        {"div(i, 2)", "-3i"},
        {"div(u, 4)", "1u"},
        {"div(x, 2)", "1"},
        {"div(i, 0)", "- zero"},
        {"div(-tank.level - 1, -1)", "- overflow"},
        {"x ** 2", "6.25"},
        {"-x ** 2", "-6.25"},
        {"2 ** -1", "0.5"},
        {"2 ** 3 ** 2", "512"},
        {"y ** 0.5", "- domain"},
        {"(x - x) ** -1", "- zero"},
        {"x ** 1000", "- overflow"},
        {"pow(x, 2)", "6.25"},
        {"+x", "2.5"},
        {"-u", "-6i"},
        {"-counter", "- overflow"},
        {"!flag", "false"},
        {"~i", "6i"},
        {"~u", "18446744073709551609u"},
        {"u & 4", "4u"},
        {"i & 0xff", "249i"},
        {"u | 1", "7u"},
        {"u ^ 2", "4u"},
        {"u << 2", "24u"},
        {"u << 64", "- domain"},
        {"u << i", "- domain"},
        {"i >> 1", "-4i"},
        {"counter >> 60", "15u"},
        {"counter << 63", "9223372036854775808u"},
        {"u & 6 == 6", "true"},
        {"x > 2 && y < 0", "true"},
        {"(x > 2) == true", "true"},
        {"x < 2 || flag", "true"},
        {"flag && none > 1", "-"},
        {"!flag && none > 1", "false"},
        {"none > 1 && !flag", "false"},
        {"flag || none > 1", "true"},
        {"none > 1 || flag", "true"},
        {"x == 2.5", "true"},
        {"x != 2.5", "false"},
        {"x <= 2.5 && x >= 2.5", "true"},
        {"i < u", "true"},
        {"u > i", "true"},
        {"tank.level < counter", "true"},
        {"counter > tank.level", "true"},
        {"counter == i", "false"},
        {"u == 6", "true"},
        {"u > -1", "true"},
        {"i < 18446744073709551615", "true"},
        {"flag == true", "true"},
        {"mode == \"SAFE\"", "true"},
        {"mode < \"SAFER\" && mode > \"SAF\"", "true"},
        {"mode != \"OFF\"", "true"},
        {"flag ? 1 : 2", "1i"},
        {"!flag ? 1 : x", "2.5"},
        {"flag ? !flag ? 1 : 2 : 3", "2i"},
        {"!flag ? 1 : flag ? 2 : 3", "2i"},
        {"if(x > 9, \"high\", \"low\")", "\"low\""},
        {"if(flag, x, none)", "2.5"},
        {"if(flag, none, x)", "-"},
        {"none > 1 ? 1 : 2", "-"},
        {"abs(i)", "7i"},
        {"abs(y)", "4"},
        {"abs(u)", "6u"},
        {"abs(-tank.level - 1)", "- overflow"},
        {"min(3, 1, 2)", "1i"},
        {"max(x, i, u)", "6"},
        {"max(i, 3.0, 4.0, x)", "4"},
        {"min(u, 7)", "6u"},
        {"clamp(y, 0, 1)", "0"},
        {"clamp(x, 0, 1)", "1"},
        {"clamp(x, 0, 3)", "2.5"},
        {"clamp(u, 7, 9)", "7u"},
        {"clamp(i, 7, 9)", "7i"},
        {"clamp(x, 3, 0)", "- domain"},
        {"floor(y / 3)", "-2"},
        {"ceil(y / 3)", "-1"},
        {"round(x)", "3"},
        {"trunc(-x)", "-2"},
        {"round(i)", "-7i"},
        {"int(x)", "2i"},
        {"int(-x)", "-2i"},
        {"int(1e30 * x)", "- overflow"},
        {"int(counter)", "- overflow"},
        {"int(flag) + 1", "2i"},
        {"float(i)", "-7"},
        {"sqrt(x * 2.5)", "2.5"},
        {"sqrt(y)", "- domain"},
        {"exp(0)", "1"},
        {"exp(x * 1000)", "- overflow"},
        {"log(exp(x))", "2.5"},
        {"log(x - 2.5)", "- domain"},
        {"log10(x * 400)", "3"},
        {"log10(y)", "- domain"},
        {"round(sin(radians(90)) * 1000)", "1000"},
        {"cos(0)", "1"},
        {"tan(0)", "0"},
        {"degrees(asin(1))", "90"},
        {"degrees(acos(x - 2.5))", "90"},
        {"asin(x)", "- domain"},
        {"acos(x)", "- domain"},
        {"degrees(atan(1))", "45"},
        {"degrees(atan2(1, -1))", "135"},
        {"hypot(3, y)", "5"},
        {"isnan(bad)", "true"},
        {"isnan(x)", "false"},
        {"isnan(sqrt(y))", "true"},
        {"isnan(none)", "-"},
        {"bad", "- domain"},
        {"bad + 1", "- domain"},
        {"endless", "- domain"},
        {"1 / endless", "- domain"},
        {"x * 1e308", "- overflow"},
        {"1 / (x * 1e308)", "- overflow"},
        {"none + x / 0", "- zero"},
        {"none", "-"},
        {"default(none, 5)", "5"},
        {"default(x / 0, -1)", "-1"},
        {"default(x, none)", "2.5"},
        {"present(none)", "false"},
        {"present(x)", "true"},
        {"doubtful + 1", "2?"},
        {"flag ? x : doubtful", "2.5"},
        {"doubtful > 0 ? x : y", "2.5?"},
        {"doubtful > 0 || flag", "true?"},
        {"default(doubtful, 0)", "1?"},
        {"any + 1", "4"},
        {"any & 1", "1i"},
        {"any == 3", "true"},
        {"any / 2 == 1.5 && any > 2", "true"},
        {"any && flag", "true"},
        {"other == \"on\"", "true"},
        {"other", "- type"},
        {"if(other == \"on\", any, 0)", "3"},
        {"# a comment\n x # and another\n + 1", "3.5"},
    };
    struct yd_reading values[SLOTS];
    values_of_tests(values);
    for (size_t i = 0; i < YD_COUNT(table); i++) {
        struct yd_expression *expression = compiled(table[i].text);
        struct yd_reading result = yd_expression_eval(expression, values, 0, NULL);
        if (strcmp(said(result), table[i].value) != 0)
            fail_msg("%s is %s, not %s", table[i].text, said(result), table[i].value);
        if (result.type) assert_int_equal(result.type, yd_expression_type(expression));
        yd_expression_destroy(expression);
    }
}

static void each_mistake_is_told_with_its_place_and_what_to_write(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        unsigned line, column, size;
        const char *message, *help;
    } table[] = {
        {"", YD_EFORMAT, 1, 1, 0, "a value is missing here", ""},
        {"x +", YD_EFORMAT, 1, 4, 0, "a value is missing here", ""},
        {"x +\n\n  * 2", YD_EFORMAT, 3, 3, 1, "a value is missing before '*'", ""},
        {"x y", YD_EFORMAT, 1, 3, 1, "an operator is missing before 'y'", ""},
        {"(x", YD_EFORMAT, 1, 3, 0, "a closing bracket is missing here", ""},
        {"x)", YD_EFORMAT, 1, 2, 1, "an operator is missing before ')'", ""},
        {"x ? 1", YD_EFORMAT, 1, 6, 0, "the ':' of a choice", ""},
        {"z + 1", YD_ENOENT, 1, 1, 1, "no measurement is called 'z'", "did you mean 'x'?"},
        {"1 + tank.levle", YD_ENOENT, 1, 5, 10, "no measurement is called 'tank.levle'", "did you mean 'tank.level'?"},
        {"1 + entirely.else", YD_ENOENT, 1, 5, 13, "no measurement is called", ""},
        {"sqrt + 1", YD_ENOENT, 1, 1, 4, "no measurement is called 'sqrt'", "sqrt is a function"},
        {"sqrtt(x)", YD_ENOENT, 1, 1, 5, "no function is called 'sqrtt'", "did you mean 'sqrt'?"},
        {"wholly_unknown(x)", YD_ENOENT, 1, 1, 14, "no function is called", ""},
        {"é + zz.é", YD_ENOENT, 1, 1, 2, "no measurement is called 'é'", ""},
        {"\"é\" == zzzzzz", YD_ENOENT, 1, 8, 6, "no measurement is called 'zzzzzz'", ""},
        {"x & 1", YD_EINVAL, 1, 1, 1, "& wants whole numbers, this is a number", "int("},
        {"u << x", YD_EINVAL, 1, 6, 1, "<< wants whole numbers", ""},
        {"~x", YD_EINVAL, 1, 2, 1, "~ wants a whole number", ""},
        {"!x", YD_EINVAL, 1, 2, 1, "! wants a condition, this is a number", "!= 0"},
        {"-flag", YD_EINVAL, 1, 2, 4, "- wants a number, this is true or false", "int("},
        {"x + mode", YD_EINVAL, 1, 5, 4, "+ wants a number, this is a text", ""},
        {"flag * 2", YD_EINVAL, 1, 1, 4, "* wants a number", ""},
        {"x && flag", YD_EINVAL, 1, 1, 1, "&& wants a condition", ""},
        {"mode == 1", YD_EINVAL, 1, 1, 9, "a text cannot be compared with a whole number", ""},
        {"flag < true", YD_EINVAL, 1, 1, 11, "true and false have no order", ""},
        {"1 < x < 3", YD_EFORMAT, 1, 7, 1, "comparisons do not go on", "a < b && b < c"},
        {"x ? 1 : 2", YD_EINVAL, 1, 1, 1, "a choice wants a condition", "!= 0"},
        {"flag ? 1 : \"a\"", YD_EINVAL, 1, 8, 7, "if: one side is a whole number, the other a text", ""},
        {"10s + 1", YD_EINVAL, 1, 1, 3, "a duration stands only as an argument", "seconds"},
        {"10parsec", YD_EFORMAT, 1, 1, 8, "neither a number nor a duration", "250ms"},
        {"0xg", YD_EFORMAT, 1, 1, 3, "not a number to the base 16", ""},
        {"0x12345678901234567", YD_EFORMAT, 1, 1, 19, "more than 64 bits", ""},
        {"0b102", YD_EFORMAT, 1, 1, 5, "not a number to the base 2", ""},
        {"1e999", YD_EFORMAT, 1, 1, 5, "beyond what a float holds", ""},
        {"\"abc", YD_EFORMAT, 1, 1, 4, "this text is not closed", ""},
        {"`abc\n`", YD_EFORMAT, 1, 1, 4, "this name is not closed", ""},
        {"``", YD_EFORMAT, 1, 1, 2, "a name has at least one letter", ""},
        {"\"a\\q\"", YD_EFORMAT, 1, 3, 2, "a backslash in a text", ""},
        {"x @ y", YD_EFORMAT, 1, 3, 1, "'@' means nothing here", ""},
        {"x \x01", YD_EFORMAT, 1, 3, 1, "a byte 0x01", ""},
        {"\"\xff\"", YD_EFORMAT, 1, 1, 3, "not UTF-8", ""},
        {"\xff", YD_EFORMAT, 1, 1, 1, "not UTF-8", ""},
        {"1 / 0", YD_EINVAL, 1, 1, 5, "this never has a value: division by zero", ""},
        {"x + sqrt(-1)", YD_EINVAL, 1, 5, 8, "this never has a value: it is not a number", ""},
        {"9223372036854775807 + 1", YD_EINVAL, 1, 1, 23, "larger than its type", ""},
        {"sqrt()", YD_EINVAL, 1, 1, 6, "sqrt takes 1 argument, not 0", "sqrt(x)"},
        {"sqrt(x, y)", YD_EINVAL, 1, 1, 10, "sqrt takes 1 argument, not 2", ""},
        {"min(x)", YD_EINVAL, 1, 1, 6, "min takes 2 or more arguments, not 1", ""},
        {"min(x, )", YD_EFORMAT, 1, 8, 1, "an argument is missing", ""},
        {"min(x y)", YD_EFORMAT, 1, 7, 1, "a comma or a closing bracket is missing", ""},
        {"min(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)", YD_ETOOBIG, 1, 44, 2, "more than 16 arguments", ""},
        {"sqrt(mode)", YD_EINVAL, 1, 6, 4, "sqrt wants a number, this is a text", ""},
        {"sqrt(10s)", YD_EINVAL, 1, 6, 3, "a duration is of no use here", ""},
        {"rolling_avg(x)", YD_EINVAL, 1, 1, 14, "rolling_avg takes 2 or 3 arguments, not 1", ""},
        {"rolling_avg(x, 0)", YD_EINVAL, 1, 16, 1, "a whole number from 1 to 65536", "rolling_avg(x, 10)"},
        {"rolling_avg(x, 65537)", YD_EINVAL, 1, 16, 5, "a whole number from 1 to 65536", ""},
        {"rolling_avg(x, u)", YD_EINVAL, 1, 16, 1, "a whole number from 1 to 65536", ""},
        {"rolling_avg(x, 2.5)", YD_EINVAL, 1, 16, 3, "a whole number from 1 to 65536", ""},
        {"rolling_avg(x, 10, 20)", YD_EINVAL, 1, 20, 2, "is asked of durations only", ""},
        {"rolling_avg(x, 0s)", YD_EINVAL, 1, 16, 2, "to be a duration", ""},
        {"rolling_avg(5, 10)", YD_EINVAL, 1, 13, 1, "no measurement is in it", ""},
        {"rolling_min(mode, 10)", YD_EINVAL, 1, 13, 4, "rolling_min wants a number", ""},
        {"rate(x, 32)", YD_EINVAL, 1, 6, 1, "a whole number, this is none", "rate(x, bits)"},
        {"rate(u, 65)", YD_EINVAL, 1, 9, 2, "a whole number from 2 to 64", ""},
        {"ema(x, 5)", YD_EINVAL, 1, 8, 1, "to be a duration", "ema(x, 10s)"},
        {"held(x, 5s)", YD_EINVAL, 1, 6, 1, "held wants a condition", ""},
        {"held(flag, 5)", YD_EINVAL, 1, 12, 1, "to be a duration", ""},
        {"last(mode, \"x\")", YD_EINVAL, 1, 6, 4, "texts are not remembered", ""},
        {"last(x, \"x\")", YD_EINVAL, 1, 9, 3, "both are to be of one type", ""},
        {"default(x, \"x\")", YD_EINVAL, 1, 12, 3, "both are to be of one type", ""},
        {"any + 1 == any && any == \"a\"", YD_EINVAL, 1, 19, 10, "a number cannot be compared with a text", ""},
        {"18446744073709551615 + i", YD_EINVAL, 1, 1, 20, "too large beside one with a sign", ""},
        {"rolling_avg(x,65536) + rolling_avg(x,65536) + rolling_avg(x,65536)", YD_ETOOBIG, 1, 59, 1,
         "the windows take more than 4096 KiB", ""},
    };
    for (size_t i = 0; i < YD_COUNT(table); i++) {
        struct yd_expression *expression = NULL;
        struct yd_mistake mistake;
        int error = yd_expression_compile(yd_str_of(table[i].text), &names, NULL, NULL, &expression, &mistake);
        if (error == 0) fail_msg("%s was understood", table[i].text);
        if (error != table[i].error || mistake.error != error || mistake.line != table[i].line ||
            mistake.column != table[i].column || mistake.size != table[i].size ||
            !strstr(mistake.message, table[i].message) || !strstr(mistake.help, table[i].help))
            fail_msg("%s: %s %u:%u +%u %s (%s)", table[i].text, yd_error_name(error), mistake.line, mistake.column,
                     mistake.size, mistake.message, mistake.help);
        assert_int_equal(yd_expression_compile(yd_str_of(table[i].text), &names, NULL, NULL, &expression, NULL), error);
    }
}

static void a_mistake_is_shown_with_its_line_and_a_caret(void **state)
{
    (void)state;
    struct yd_expression *expression = NULL;
    struct yd_mistake mistake;
    struct yd_buf to;
    struct yd_str text = YD_STR("x +\n\té + altitud * 2\n");
    yd_buf_init(&to, NULL);
    assert_int_equal(
        yd_expression_compile(YD_STR("x +\n\t2 + tank.lvel * 2\n"), &names, NULL, NULL, &expression, &mistake),
        YD_ENOENT);
    yd_mistake_show(&mistake, YD_STR("x +\n\t2 + tank.lvel * 2\n"), "rules.txt", 10, &to);
    yd_buf_char(&to, 0);
    assert_string_equal(to.data, "rules.txt:11:6: no measurement is called 'tank.lvel'\n"
                                 "   11 | \t2 + tank.lvel * 2\n"
                                 "      | \t    ^^^^^^^^^\n"
                                 "      = help: did you mean 'tank.level'?\n");
    yd_buf_clear(&to);
    (void)yd_mistake_say(&mistake, YD_EFORMAT, text, text.size, 0, "missing");
    yd_mistake_show(&mistake, text, "", 0, &to);
    yd_buf_char(&to, 0);
    assert_string_equal(to.data, "3:1: missing\n    3 | \n      | ^\n");
    yd_buf_fini(&to);
}

static void limits_hold_whatever_the_text(void **state)
{
    (void)state;
    struct yd_buf text;
    struct yd_expression *expression = NULL;
    struct yd_mistake mistake;
    yd_buf_init(&text, NULL);
    for (int kind = 0; kind < 8; kind++) {
        static const char *const parts[] = {"(", "-", "2**", "x+", "true?1:", "abs(", "min(x,", "!"};
        yd_buf_clear(&text);
        for (int i = 0; i < 8000; i++) yd_buf_cstr(&text, parts[kind]);
        yd_buf_char(&text, 'x');
        assert_int_equal(yd_expression_compile(yd_buf_view(&text), &names, NULL, NULL, &expression, &mistake),
                         YD_ETOOBIG);
        assert_true(mistake.message[0]);
    }
    yd_buf_clear(&text);
    for (int i = 0; i < 40000; i++) yd_buf_cstr(&text, "  ");
    assert_int_equal(yd_expression_compile(yd_buf_view(&text), &names, NULL, NULL, &expression, &mistake), YD_ETOOBIG);
    yd_buf_clear(&text); /* what fits does work */
    yd_buf_cstr(&text, "x");
    for (int i = 0; i < 500; i++) yd_buf_cstr(&text, "+x");
    assert_int_equal(yd_expression_compile(yd_buf_view(&text), &names, NULL, NULL, &expression, &mistake), 0);
    struct yd_reading values[SLOTS];
    values_of_tests(values);
    assert_string_equal(said(yd_expression_eval(expression, values, 0, NULL)), "1252.5");
    yd_expression_destroy(expression);
    yd_buf_fini(&text);
}

static void a_part_of_a_longer_text_ends_where_it_cannot_go_on(void **state)
{
    (void)state;
    static const struct {
        const char *text, *rest;
    } table[] = {
        {"x + 1 unit \"m\"", "unit \"m\""},
        {"x + 1\n- y", "- y"},
        {"x +\n1 unit", "unit"},
        {"(x\n+ 1)\nlimits", "limits"},
        {"x }", "}"},
        {"x; y", "; y"},
        {"x # comment\n  y", "y"},
        {"min(x,\n 1) @", "@"},
        {"flag ? x : y, 5", ", 5"},
        {"x ) y", ") y"},
        {"x `unclosed", "`unclosed"},
    };
    for (size_t i = 0; i < YD_COUNT(table); i++) {
        struct yd_expression *expression = NULL;
        struct yd_mistake mistake;
        size_t used = 0;
        int error = yd_expression_compile(yd_str_of(table[i].text), &names, NULL, &used, &expression, &mistake);
        if (error < 0) fail_msg("%s: %s", table[i].text, mistake.message);
        assert_string_equal(table[i].text + used, table[i].rest);
        yd_expression_destroy(expression);
    }
    static const char *const wrong[] = {"x +\n", "x + }", "", "\n", "min(x,\n}", "x + `unclosed", "(x\n\n"};
    for (size_t i = 0; i < YD_COUNT(wrong); i++) {
        struct yd_expression *expression = NULL;
        struct yd_mistake mistake;
        size_t used = 0;
        assert_int_equal(yd_expression_compile(yd_str_of(wrong[i]), &names, NULL, &used, &expression, &mistake),
                         YD_EFORMAT);
        assert_true(mistake.message[0]);
    }
}

static void it_lists_what_it_reads_once_with_the_type_that_was_decided(void **state)
{
    (void)state;
    struct yd_expression *expression = compiled("any & 1 == 0 && (x > any || other == \"on\") && any < x");
    size_t count;
    const struct yd_expression_slot *slots = yd_expression_slots(expression, &count);
    assert_int_equal(count, 3);
    assert_int_equal(slots[0].slot, ANY);
    assert_int_equal(slots[0].type, YD_I64);
    assert_int_equal(slots[1].slot, X);
    assert_int_equal(slots[1].type, YD_F64);
    assert_int_equal(slots[2].slot, OTHER);
    assert_int_equal(slots[2].type, YD_TEXT);
    assert_int_equal(slots[1].offset, 17);
    assert_int_equal(yd_expression_state_size(expression), 0);
    yd_expression_destroy(expression);
    expression = compiled("2 * 3 + 4 * -5");
    assert_int_equal(yd_expression_code_count(expression), 1); /* constants are folded */
    yd_expression_destroy(expression);
    expression = compiled("(x - 1) * 2");
    assert_int_equal(yd_expression_code_count(expression), 3);
    yd_expression_destroy(expression);
}

/* ---- functions with a memory ---- */

struct step {
    double seconds, value; /* NAN: without a value */
    const char *result;
};

static void steps(const char *text, unsigned slot, const struct step *list)
{
    struct yd_expression *expression = compiled(text);
    struct yd_expression_state *memory;
    struct yd_reading values[SLOTS] = {0};
    assert_int_equal(yd_expression_state_create(expression, NULL, &memory), 0);
    for (size_t i = 0; list[i].result; i++) {
        double value = list[i].value;
        if (isnan(value))
            values[slot] = yd_reading_none(YD_READING_FRESH);
        else if (known[slot].type == YD_F64)
            values[slot] = yd_reading_f64(value, YD_READING_FRESH);
        else if (known[slot].type == YD_I64)
            values[slot] = yd_reading_i64((int64_t)value, YD_READING_FRESH);
        else if (known[slot].type == YD_U64)
            values[slot] = yd_reading_u64((uint64_t)value, YD_READING_FRESH);
        else
            values[slot] = yd_reading_bool(value != 0, YD_READING_FRESH);
        struct yd_reading result = yd_expression_eval(expression, values, (int64_t)(list[i].seconds * 1e9), memory);
        if (strcmp(said(result), list[i].result) != 0)
            fail_msg("%s, step %zu: %s, not %s", text, i, said(result), list[i].result);
    }
    yd_expression_state_destroy(memory);
    yd_expression_destroy(expression);
}
#define STEPS(text, slot, ...) steps(text, slot, (const struct step[]){__VA_ARGS__, {0, 0, NULL}})

static void rolling_windows_hold_the_last_values_or_those_of_a_duration(void **state)
{
    (void)state;
    STEPS("rolling_avg(x, 3)", X, {0, 1, "1"}, {0, 2, "1.5"}, {0, 3, "2"}, {0, 10, "5"}, {0, NAN, "-"}, {0, 5, "6"});
    STEPS("rolling_sum(x, 2)", X, {0, 1e300, "1e300"}, {0, 1, "1e300"}, {0, 2, "3"}, {0, 4, "6"});
    STEPS("rolling_min(i, 2)", I, {0, 5, "5i"}, {0, 7, "5i"}, {0, 9, "7i"}, {0, -1, "-1i"});
    STEPS("rolling_max(u, 2)", U, {0, 5, "5u"}, {0, 3, "5u"}, {0, 2, "3u"}, {0, 9, "9u"});
    STEPS("rolling_sum(x, 10s)", X, {0, 1, "1"}, {5, 2, "3"}, {9.5, 4, "7"}, {10, 8, "14"}, {15, 16, "28"},
          {14, 1, "- late"}, {100, 1, "1"});
    STEPS("rolling_max(x, 10s)", X, {0, 9, "9"}, {5, 2, "9"}, {10, 4, "4"}, {14, 3, "4"}, {20, 1, "3"});
    STEPS("rolling_sum(x, 10s, 2)", X, {0, 1, "1"}, {1, 2, "3"}, {2, 4, "6 crowded"}, {9, 8, "12 crowded"},
          {12.5, 16, "24"});
    STEPS("rolling_sum(x, 3)", X, {0, 1e308, "1e308"}, {0, 1e308, "- overflow"}, {0, 1, "- overflow"}, {0, 2, "1e308"},
          {0, 3, "6"});
}

static void rates_are_per_second_by_the_time_of_the_records(void **state)
{
    (void)state;
    STEPS("rate(x)", X, {0, 10, "-"}, {2, 14, "2"}, {3, 4, "-10"}, {3, 9, "-"}, {2, 0, "- late"}, {4, 10, "1"},
          {5, NAN, "-"}, {6, 20, "5"});
    STEPS("rate(u)", U, {0, 100, "-"}, {1, 50, "-50"});
    STEPS("rate(u, 8)", U, {0, 250, "-"}, {1, 4, "10"}, {2, 200, "196"}, {3, 100, "100"}, {4, 101, "1"});
    STEPS("delta(u, 8)", U, {0, 250, "-"}, {1, 4, "10i"}, {2, 200, "196i"}, {3, 100, "100i"});
    STEPS("delta(i)", I, {0, 5, "-"}, {0, 2, "-3i"}, {0, 2, "0i"});
    STEPS("delta(u)", U, {0, 5, "-"}, {0, 2, "-3i"});
    STEPS("delta(x)", X, {0, 5, "-"}, {0, 2.5, "-2.5"});
    STEPS("previous(x)", X, {0, 5, "-"}, {0, 6, "5"}, {0, NAN, "-"}, {0, 7, "6"});
    STEPS("x - previous(x)", X, {0, 5, "-"}, {0, 6, "1"});
}

static void integrals_and_averages_weigh_by_time(void **state)
{
    (void)state;
    STEPS("integral(x)", X, {0, 2, "0"}, {1, 2, "2"}, {3, 4, "8"}, {2, 9, "- late"}, {3, 9, "8"}, {4, 1, "13"});
    STEPS("integral(u)", U, {0, 2, "0"}, {0.5, 2, "1"});
    STEPS("round(ema(x, 10s) * 1000)", X, {0, 0, "0"}, {10, 1, "632"}, {20, 1, "865"}, {20, 50, "865"});
    STEPS("count(x)", X, {0, 1, "1i"}, {0, NAN, "1i"}, {0, 4, "2i"});
    STEPS("count(flag)", B, {0, 1, "1i"}, {0, 0, "2i"});
    STEPS("held(x > 5, 10s)", X, {0, 6, "false"}, {9, 6, "false"}, {10, 7, "true"}, {11, 5, "false"}, {20, 6, "false"},
          {29, NAN, "false"}, {40, 6, "false"}, {50, 6, "true"});
    STEPS("last(x, -1)", X, {0, NAN, "-1"}, {0, 4, "4"}, {0, NAN, "4"});
    STEPS("last(i, -1)", I, {0, NAN, "-1i"}, {0, 4, "4i"}, {0, NAN, "4i"});
}

static void a_clock_that_was_set_back_is_followed_after_ten_values(void **state)
{
    (void)state;
#define LATE9(y)                                                                                                       \
    {1, y, "- late"}, {2, y, "- late"}, {3, y, "- late"}, {4, y, "- late"}, {5, y, "- late"}, {6, y, "- late"},        \
        {7, y, "- late"}, {8, y, "- late"}, {9, y, "- late"}
    STEPS("rate(x)", X, {9000, 10, "-"}, {9004, 18, "2"}, LATE9(4), {10, 4, "-"}, {12, 8, "2"});
    STEPS("rate(x)", X, {9000, 14, "-"}, LATE9(4), {9001, 4, "-10"}, LATE9(4), {9002, 5, "1"}); /* not in a row */
    STEPS("integral(x)", X, {8999, 2, "0"}, {9000, 2, "2"}, LATE9(4), {10, 4, "2"}, {12, 4, "10"});
    STEPS("rolling_avg(x, 5s)", X, {9000, 14, "14"}, LATE9(4), {10, 4, "4"}, {12, 8, "6"});
    STEPS("round(ema(x, 10s))", X, {9000, 14, "14"}, LATE9(4), {10, 4, "4"});
    STEPS("held(x > 5, 2s)", X, {9000, 6, "false"}, {1, 6, "false"}, {2, 6, "false"}, {3, 6, "false"}, {4, 6, "false"},
          {5, 6, "false"}, {6, 6, "false"}, {7, 6, "false"}, {8, 6, "false"}, {9, 6, "false"}, {10, 6, "false"},
          {12, 6, "true"});
}

static void a_memory_takes_a_value_in_once_though_others_cause_evaluations(void **state)
{
    (void)state;
    struct yd_expression *expression = compiled("rolling_sum(x, 10) + y * 1000 + count(x) * 1000000");
    struct yd_expression_state *memory;
    struct yd_reading values[SLOTS] = {0};
    assert_int_equal(yd_expression_state_create(expression, NULL, &memory), 0);
    values[X] = yd_reading_f64(5, YD_READING_FRESH);
    values[Y] = yd_reading_f64(1, 0);
    assert_string_equal(said(yd_expression_eval(expression, values, 0, memory)), "1001005");
    values[X].flags = 0;
    values[Y] = yd_reading_f64(2, YD_READING_FRESH);
    struct yd_reading result = yd_expression_eval(expression, values, 0, memory);
    assert_string_equal(said(result), "1002005");
    assert_true(result.flags & YD_READING_FRESH);
    values[Y].flags = 0;
    assert_false(yd_expression_eval(expression, values, 0, memory).flags & YD_READING_FRESH);
    yd_expression_state_destroy(memory);
    yd_expression_destroy(expression);
}

static void both_branches_of_a_choice_see_every_value(void **state)
{
    (void)state;
    STEPS("x > 2 ? rolling_sum(x, 10) : count(x) * 1.0", X, {0, 1, "1"}, {0, 2, "2"}, {0, 3, "6"}, {0, 1, "4"});
}

/* ---- saved and loaded ---- */

static const char *const remembering[] = {
    "rolling_avg(x, 5)",        "rolling_min(x, 3) + rolling_max(x, 7s)",
    "rolling_sum(x, 4s, 3)",    "rate(x) + integral(x)",
    "ema(x, 3s) - previous(x)", "count(x) + last(x, 0) + delta(x)",
    "held(x > 3, 2s)",          "rate(u, 16) + rolling_min(u, 4)",
};

static void a_saved_state_goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 400; round++) {
        struct yd_expression *expression = compiled(remembering[round % YD_COUNT(remembering)]);
        struct yd_expression_state *one, *other;
        struct yd_reading values[SLOTS] = {0};
        struct yd_buf saved;
        int64_t now = 0;
        yd_buf_init(&saved, NULL);
        assert_int_equal(yd_expression_state_create(expression, NULL, &one), 0);
        assert_int_equal(yd_expression_state_create(expression, NULL, &other), 0);
        for (int i = 0; i < 60; i++) {
            now += (int64_t)yd_rng_below(&rng, 2000000000) - (yd_rng_chance(&rng, 20) ? 2000000000 : 0);
            values[X] = yd_reading_f64((double)yd_rng_below(&rng, 1000) / 7, YD_READING_FRESH);
            values[U] = yd_reading_u64(yd_rng_below(&rng, 65536), yd_rng_chance(&rng, 2) ? YD_READING_FRESH : 0);
            if (yd_rng_chance(&rng, 10)) values[X] = yd_reading_none(YD_READING_FRESH);
            struct yd_reading a = yd_expression_eval(expression, values, now, one),
                              b = yd_expression_eval(expression, values, now, other);
            assert_memory_equal(&a, &b, sizeof a); /* to the last bit */
            if (!yd_rng_chance(&rng, 4)) continue;
            yd_buf_clear(&saved);
            yd_expression_state_save(one, &saved);
            yd_expression_state_destroy(other);
            assert_int_equal(yd_expression_state_create(expression, NULL, &other), 0);
            assert_int_equal(yd_expression_state_load(other, yd_buf_view(&saved)), 0);
        }
        yd_expression_state_destroy(one);
        yd_expression_state_destroy(other);
        yd_expression_destroy(expression);
        yd_buf_fini(&saved);
    }
}

static void a_damaged_or_foreign_state_is_refused_and_leaves_a_new_one(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_expression *expression = compiled("rolling_avg(x, 5) + rate(x)"), *other = compiled("rolling_avg(x, 6)");
    struct yd_expression_state *memory, *fresh, *foreign;
    struct yd_reading values[SLOTS] = {0};
    struct yd_buf saved, now;
    yd_buf_init(&saved, NULL);
    yd_buf_init(&now, NULL);
    assert_int_equal(yd_expression_state_create(expression, NULL, &memory), 0);
    assert_int_equal(yd_expression_state_create(expression, NULL, &fresh), 0);
    assert_int_equal(yd_expression_state_create(other, NULL, &foreign), 0);
    for (int i = 0; i < 9; i++) {
        values[X] = yd_reading_f64(i, YD_READING_FRESH);
        (void)yd_expression_eval(expression, values, i, memory);
    }
    yd_expression_state_save(memory, &saved);
    assert_int_equal(yd_expression_state_load(foreign, yd_buf_view(&saved)), YD_EINVAL);
    for (size_t size = 0; size < saved.size; size++)
        assert_int_equal(yd_expression_state_load(fresh, (struct yd_str){saved.data, size}), YD_EFORMAT);
    yd_buf_char(&saved, 0);
    assert_int_equal(yd_expression_state_load(fresh, yd_buf_view(&saved)), YD_EFORMAT);
    struct yd_expression_state *empty;
    assert_int_equal(yd_expression_state_create(expression, NULL, &empty), 0);
    yd_expression_state_save(empty, &now);
    struct yd_buf after;
    yd_buf_init(&after, NULL);
    yd_expression_state_save(fresh, &after);
    assert_int_equal(after.size, now.size);
    assert_memory_equal(after.data, now.data, now.size);
    for (int i = 0; i < 3000; i++) { /* whatever is in it: no crash, and what is taken can be used */
        saved.size--;
        char *at = saved.data + yd_rng_below(&rng, saved.size), was = *at;
        *at = (char)yd_rng_next(&rng);
        if (yd_expression_state_load(fresh, yd_buf_view(&saved)) == 0)
            (void)said(yd_expression_eval(expression, values, 100, fresh));
        *at = was;
        saved.size++;
    }
    yd_buf_fini(&saved);
    yd_buf_fini(&now);
    yd_buf_fini(&after);
    yd_expression_state_destroy(memory);
    yd_expression_state_destroy(fresh);
    yd_expression_state_destroy(foreign);
    yd_expression_state_destroy(empty);
    yd_expression_destroy(expression);
    yd_expression_destroy(other);
}

static void without_memory_it_says_so_and_leaves_nothing_behind(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t at = 1;; at++) {
        struct yd_alloc_failing failing;
        struct yd_expression *expression = NULL;
        struct yd_expression_state *memory = NULL;
        struct yd_mistake mistake;
        yd_alloc_failing_init(&failing, at);
        int error = yd_expression_compile(YD_STR("if(mode == \"a\", rolling_avg(x, 3), min(y, 1, 2)) + rate(u, 9)"),
                                          &names, &failing.alloc, NULL, &expression, &mistake);
        if (error == 0) error = yd_expression_state_create(expression, &failing.alloc, &memory);
        yd_expression_state_destroy(memory);
        if (expression) yd_expression_destroy(expression);
        assert_int_equal(failing.bytes_out, 0);
        if (error == 0) break;
        assert_int_equal(error, YD_ENOMEM);
        failures++;
    }
    assert_true(failures >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operator_and_function_means_what_it_says),
        cmocka_unit_test(each_mistake_is_told_with_its_place_and_what_to_write),
        cmocka_unit_test(a_mistake_is_shown_with_its_line_and_a_caret),
        cmocka_unit_test(limits_hold_whatever_the_text),
        cmocka_unit_test(a_part_of_a_longer_text_ends_where_it_cannot_go_on),
        cmocka_unit_test(it_lists_what_it_reads_once_with_the_type_that_was_decided),
        cmocka_unit_test(rolling_windows_hold_the_last_values_or_those_of_a_duration),
        cmocka_unit_test(rates_are_per_second_by_the_time_of_the_records),
        cmocka_unit_test(integrals_and_averages_weigh_by_time),
        cmocka_unit_test(a_clock_that_was_set_back_is_followed_after_ten_values),
        cmocka_unit_test(a_memory_takes_a_value_in_once_though_others_cause_evaluations),
        cmocka_unit_test(both_branches_of_a_choice_see_every_value),
        cmocka_unit_test(a_saved_state_goes_on_as_if_nothing_had_been),
        cmocka_unit_test(a_damaged_or_foreign_state_is_refused_and_leaves_a_new_one),
        cmocka_unit_test(without_memory_it_says_so_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
