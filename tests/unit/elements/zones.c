/* How time zones go on behind what their files list: rules beside the C library's own, and files that end with one. */
#include "testing.h"

#include <time.h>

#include "elements/calendar.h"

#define TEST(name) static void name(void **state)

static const char *const rules[] = {"UTC0",
                                    "CET-1CEST,M3.5.0,M10.5.0/3",
                                    "EST5EDT,M3.2.0,M11.1.0",
                                    "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                    "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                    "IST-1GMT0,M10.5.0,M3.5.0/1",
                                    "<-03>3",
                                    "<+0545>-5:45",
                                    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                    "NST3:30NDT,M3.2.0,M11.1.0",
                                    "EET-2EEST,M3.5.4/24,M10.5.4/25",
                                    "IST-2IDT,M3.4.4/26,M10.5.0",
                                    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                    "XXX3YYY,J60,J300",
                                    "XXX-4YYY,59,299/26",
                                    "XXX-4YYY-5:30:15,J3/0,J360/2",
                                    "ABC8DEF7,M1.2.1/0,M12.4.6/23"};

/* The C library reads the same text: at random moments of 600 years from 1970 (before, glibc takes 1970's changes), and
 * around each change of 40 of them. */
TEST(rules_say_what_the_c_librarys_say)
{
    uint64_t seed = test_seed();
    (void)state;
    for (size_t i = 0; i < YD_COUNT(rules); i++) {
        struct yd_zone_rule rule;
        long before = 0;
        if (yd_zone_rule_parse(yd_str_of(rules[i]), &rule) < 0) fail_msg("%s", rules[i]);
        assert_int_equal(setenv("TZ", rules[i], 1), 0);
        tzset();
        for (int k = 0; k < 60000; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            time_t at = k < 20000
                            ? (time_t)((int64_t)(seed >> 20) % (INT64_C(600) * 31556952))
                            : (time_t)(INT64_C(1893456000) + (k - 20000) * INT64_C(31557) + (int64_t)(seed >> 60));
            struct tm tm;
            assert_non_null(localtime_r(&at, &tm));
            if (yd_zone_rule_offset(&rule, at) != tm.tm_gmtoff)
                fail_msg("%s at %lld: %lld instead of %ld", rules[i], (long long)at,
                         (long long)yd_zone_rule_offset(&rule, at), tm.tm_gmtoff);
            if (k <= 20000 || tm.tm_gmtoff == before) {
                before = tm.tm_gmtoff;
                continue;
            }
            time_t low = at - 31600, high = at; /* to the second */
            while (high - low > 1) {
                time_t middle = low + (high - low) / 2;
                assert_non_null(localtime_r(&middle, &tm));
                if (tm.tm_gmtoff == before)
                    low = middle;
                else
                    high = middle;
            }
            if (yd_zone_rule_offset(&rule, low) != before || yd_zone_rule_offset(&rule, high) == before)
                fail_msg("%s changes at %lld", rules[i], (long long)high);
            assert_non_null(localtime_r(&at, &tm));
            before = tm.tm_gmtoff;
        }
    }
    assert_int_equal(unsetenv("TZ"), 0);
}

/* Where changes meet the new year: glibc takes the year of UTC, the standard that of the zone. */
TEST(a_year_is_the_zones_own)
{
    struct yd_zone_rule rule;
    (void)state;
    assert_int_equal(yd_zone_rule_parse(YD_STR("XXX3EDT4,0/0,J365/23"), &rule), 0); /* RFC 8536: summer for ever */
    for (int64_t at = 1893456000 - 86400; at < 1893456000 + 3 * 366 * 86400; at += 1800)
        assert_int_equal(yd_zone_rule_offset(&rule, at), -4 * 3600);
    assert_int_equal(yd_zone_rule_parse(YD_STR("XXX-4YYY-5,J1/0,J300/0"), &rule), 0);
    assert_int_equal(yd_zone_rule_offset(&rule, 1893456000 - 4 * 3600 - 1), 4 * 3600);
    assert_int_equal(yd_zone_rule_offset(&rule, 1893456000 - 4 * 3600), 5 * 3600);
}

TEST(what_is_no_rule_is_refused)
{
    static const char *const bad[] = {"",
                                      "U0",
                                      "UTC",
                                      "UTC0 ",
                                      "UTC25",
                                      "<UTC0",
                                      "<U>0",
                                      "UTC0:60",
                                      "UTC0:",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.0.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,M3.5,M10.5.0",
                                      "CET-1CEST,J0,J3",
                                      "CET-1CEST,J366,J3",
                                      "CET-1CEST,366,3",
                                      "CET-1CEST,1/168,3",
                                      "CET-1CEST,1/,3",
                                      "CET-1CEST,1,3x",
                                      "CET-1CEST,1,3,4",
                                      "CET-1CE,1,3",
                                      "CET-99999999999",
                                      "CET-1CEST,1,00003"};
    struct yd_zone_rule rule = {.standard = 77};
    (void)state;
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        if (yd_zone_rule_parse(yd_str_of(bad[i]), &rule) != YD_EFORMAT) fail_msg("%s", bad[i]);
        assert_int_equal(rule.standard, 77);
    }
    for (size_t i = 0; i < YD_COUNT(rules); i++) /* never beyond the text: the sanitizer sees it */
        for (size_t size = 0; size < strlen(rules[i]); size++) {
            char *exact = malloc(size + !size);
            memcpy(exact, rules[i], size);
            (void)yd_zone_rule_parse((struct yd_str){exact, size}, &rule);
            free(exact);
        }
}

/* A file of one type, changes that set it, and a rule: as `zic -b slim` writes them. */
static struct yd_str slim(char *to, uint32_t changes, int64_t first, const char *rule)
{
    static const char empty[44] = "TZif2";
    char *p = to;
    memcpy(p, empty, sizeof empty);
    p[39] = 1, p[43] = 4;
    p += 44;
    memset(p, 0, 10), p += 10;
    memcpy(p, empty, sizeof empty);
    p[35] = (char)changes, p[39] = 1, p[43] = 4;
    p += 44;
    for (uint32_t i = 0; i < changes; i++)
        for (int b = 0; b < 8; b++) *p++ = (char)((uint64_t)(first + i * 1000) >> (56 - 8 * b));
    memset(p, 0, changes), p += changes;
    *p++ = 0, *p++ = 0, *p++ = 0x1c, *p++ = 0x20, *p++ = 0, *p++ = 0; /* two hours east */
    memset(p, 0, 4), p += 4;
    p += sprintf(p, "\n%s\n", rule);
    return (struct yd_str){to, (size_t)(p - to)};
}

TEST(the_rule_holds_behind_the_last_change_and_the_list_before)
{
    char bytes[256];
    struct yd_zone zone;
    (void)state;
    assert_int_equal(yd_zone_open(slim(bytes, 2, 1700000000, "CET-1CEST,M3.5.0,M10.5.0/3"), &zone), 0);
    assert_int_equal(yd_zone_offset(&zone, 1600000000), 7200); /* in September */
    assert_int_equal(yd_zone_offset(&zone, 1700000999), 7200); /* in November, but listed */
    assert_int_equal(yd_zone_offset(&zone, 1700001000), 3600);
    assert_int_equal(yd_zone_offset(&zone, 4090000000), 7200); /* August 2099 */
    assert_int_equal(yd_zone_offset(&zone, 4102444800), 3600); /* 2100 */
    assert_int_equal(yd_zone_to_utc(&zone, 4102444800), 4102444800 - 3600);
    assert_int_equal(yd_zone_open(slim(bytes, 0, 0, "EST5"), &zone), 0); /* it says all there is */
    assert_int_equal(yd_zone_offset(&zone, -5), -5 * 3600);
    assert_int_equal(yd_zone_offset(&zone, 4102444800), -5 * 3600);
    assert_int_equal(yd_zone_open(slim(bytes, 1, 1700000000, ""), &zone), 0);
    assert_int_equal(yd_zone_offset(&zone, 4102444800), 7200);
    assert_int_equal(yd_zone_open(slim(bytes, 1, 1700000000, "nonsense"), &zone), YD_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_say_what_the_c_librarys_say),
        cmocka_unit_test(a_year_is_the_zones_own),
        cmocka_unit_test(what_is_no_rule_is_refused),
        cmocka_unit_test(the_rule_holds_behind_the_last_change_and_the_list_before),
    };
    return cmocka_run_group_tests_name("elements / zones", tests, NULL, NULL);
}
