/* What a definition derives and limits, as rules with whole names. */
#include "decom/rules.h"
#include "decoded.h"

static struct yd_plan *plan_of(const char *ydm)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan_options options = {.closely = true};
    struct yd_plan *plan = NULL;
    struct yd_buf said;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&said, NULL);
    int r = yd_plan_read("test.ydm", yd_str_of(ydm), &options, &diagnostics, &plan);
    yd_diagnostics_print(&diagnostics, false, &said);
    if (r < 0) print_message("%.*s\n", (int)said.size, said.data);
    assert_int_equal(r, 0);
    yd_buf_fini(&said);
    yd_diagnostics_fini(&diagnostics);
    return plan;
}

static void expect_rules(const char *ydm, const char *rules)
{
    struct yd_plan *plan = plan_of(ydm);
    struct yd_buf to;
    yd_buf_init(&to, NULL);
    assert_int_equal(yd_plan_derive_rules(plan, &to), 0);
    yd_buf_char(&to, 0);
    assert_string_equal(to.data, rules);
    yd_buf_fini(&to);
    yd_plan_destroy(plan);
}

static int on_limits(void *arg, struct yd_str pattern, const struct yd_limit_clause *clause)
{
    struct yd_buf *to = arg;
    yd_buf_printf(to, "%.*s ..%g\n", YD_STR_FMT(pattern), clause->red.high);
    return to->failed ? YD_ENOMEM : 0;
}

static void expect_limits(const char *ydm, const char *limits)
{
    struct yd_plan *plan = plan_of(ydm);
    struct yd_buf to;
    yd_buf_init(&to, NULL);
    assert_int_equal(yd_plan_each_limits(plan, on_limits, &to), 0);
    yd_buf_char(&to, 0);
    assert_string_equal(to.data, limits);
    yd_buf_fini(&to);
    yd_plan_destroy(plan);
}

static void derived_names_become_whole(void **state)
{
    (void)state;
    expect_rules("definition r\npacket p\n  a u8\n  rate u8\n"
                 "derive climb = rate(p.a)\n"
                 "derive far = climb > 3 && r.p.a < rolling_avg( climb , 1s ) + `p.rate`\n",
                 "`r.climb` = rate(`r.p.a`)\n"
                 "`r.far` = `r.climb` > 3 && r.p.a < rolling_avg( `r.climb` , 1s ) + `r.p.rate`\n");
    expect_rules("packet p\n  a u8\nderive b = p.a * 2\n", "`b` = p.a * 2\n");
    expect_rules("packet p\n  a u8\n", "");
}

/* Of each other without a mix-up of their types: each is inferred for itself. */
static void conditions_and_numbers_stand_side_by_side(void **state)
{
    (void)state;
    expect_rules(
        "packet p\n  n u8\n  on bool8\n  s text(2)\nderive a = p.n < 2 && p.on\nderive b = p.s == \"ON\" || p.on\n",
        "`a` = p.n < 2 && p.on\n`b` = p.s == \"ON\" || p.on\n");
}

static void limits_are_told_with_the_names_they_are_for(void **state)
{
    (void)state;
    expect_limits("definition r\n"
                  "container h\n  id u8\n  up u16 limits red ..1\n  same u8 as same limits red ..2\n"
                  "packet p : h when id == 1\n  x u8[2] limits red ..3\n  n u8\n"
                  "  list group[n, max 4]\n    k u8 limits red ..4\n  more u8[n, max 9] limits red ..5\n"
                  "packet q : h when id == 2\n  y u8\n"
                  "derive d = p.n * 2\n  limits red ..6\n"
                  "limits q.y red ..7\n",
                  "r.q.y ..7\nr.d ..6\n"
                  "r.p.up ..1\nr.same ..2\nr.p.x.0 ..3\nr.p.x.1 ..3\nr.p.list.*.k ..4\nr.p.more.* ..5\n"
                  "r.q.up ..1\n");
}

static void words_of_a_frame_have_limits_too(void **state)
{
    (void)state;
    expect_limits("definition r\nframe f\n  sync 0xEB90\n  minor 8 words of 8\n  x u8 word 3 limits red ..3\n"
                  "  v u8 word 4, 6 limits red ..4\n",
                  "r.f.x ..3\nr.f.v ..4\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derived_names_become_whole),
        cmocka_unit_test(conditions_and_numbers_stand_side_by_side),
        cmocka_unit_test(limits_are_told_with_the_names_they_are_for),
        cmocka_unit_test(words_of_a_frame_have_limits_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
