/* Host names: what is one, the real resolver as far as a machine without a network has one, the simulated one. */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "io/loop.h"
#include "io/sim_net.h"

static void what_is_an_address_and_what_a_name_is_known_without_asking(void **state)
{
    static const struct {
        const char *text;
        bool good, named;
    } cases[] = {
        {"127.0.0.1:1", true, false},    {"[::1]:1", true, false},
        {"localhost:1", true, false},    {":1", true, false},
        {"unix:/a", true, false},        {"leader:4280", true, true},
        {"a.b-c.d_e:65535", true, true}, {"4u.example:1", true, true},
        {"leader", false, false},        {"leader:", false, false},
        {"leader:65536", false, false},  {"leader:x", false, false},
        {"lea der:1", false, false},     {"-leader:1", false, false},
        {".leader:1", false, false},     {"127.0.0.256:1", false, false},
        {"1.2.3:1", false, false},       {"unix:", false, false},
        {"a/b:1", false, false},         {"", false, false},
        {"[::g]:1", false, false},
    };
    (void)state;
    for (size_t i = 0; i < YD_COUNT(cases); i++) {
        bool named = true;
        struct yd_trail trail = {0};
        int error = yd_address_check(yd_str_of(cases[i].text), &named, &trail);
        if ((error == 0) != cases[i].good || named != cases[i].named) fail_msg("%s", cases[i].text);
        assert_true(error == 0 || trail.size > 0);
    }
    char longest[300];
    bool named;
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 290, ":1", 3);
    assert_true(yd_address_check(yd_str_of(longest), &named, NULL) < 0);
}

static void a_simulated_host_has_the_addresses_it_was_given_in_turn(void **state)
{
    struct yd_sim *sim;
    struct yd_loop *loop;
    struct yd_address found;
    struct yd_trail trail = {0};
    char text[64];
    (void)state;
    assert_int_equal(yd_sim_create(1, &sim), 0);
    assert_int_equal(yd_sim_loop_create(sim, "a", &loop), 0);
    assert_int_equal(yd_address_find(loop, YD_STR("leader:7"), 0, &found, &trail), YD_ENOENT);
    assert_non_null(strstr(yd_trail_text(&trail), "leader"));
    yd_sim_host(sim, "leader", "10.0.0.1:0");
    yd_sim_host(sim, "other", "10.0.0.9:0");
    yd_sim_host(sim, "leader", "[fd00::2]:0");
    static const char *const want[] = {"10.0.0.1:7", "[fd00::2]:7", "10.0.0.1:7"};
    for (unsigned i = 0; i < YD_COUNT(want); i++) {
        assert_int_equal(yd_address_find(loop, YD_STR("leader:7"), i, &found, NULL), 0);
        (void)yd_address_put(&found, text, sizeof text);
        assert_string_equal(text, want[i]);
    }
    yd_sim_host(sim, "leader", NULL);
    assert_int_equal(yd_address_find(loop, YD_STR("leader:7"), 0, &found, NULL), YD_ENOENT);
    assert_int_equal(yd_address_find(loop, YD_STR("other:7"), 0, &found, NULL), 0);
    assert_int_equal(yd_address_find(loop, YD_STR("10.0.0.3:8"), 5, &found, NULL), 0);
    (void)yd_address_put(&found, text, sizeof text);
    assert_string_equal(text, "10.0.0.3:8");
    yd_loop_destroy(loop);
    yd_sim_destroy(sim);
}

static void the_machine_looks_up_names_and_says_which_it_does_not_know(void **state)
{
    struct yd_loop *loop;
    struct yd_address found;
    struct yd_trail trail = {0};
    struct addrinfo *known;
    (void)state;
    assert_int_equal(yd_loop_create_uv(&loop), 0);
    /* Reserved: nobody ever has it. Without a network nobody answers. */
    int error = yd_address_find(loop, YD_STR("nobody.invalid:1"), 0, &found, &trail);
    assert_true(error == YD_ENOENT || error == YD_ETIMEOUT);
    assert_non_null(strstr(yd_trail_text(&trail), "nobody.invalid"));
    if (getaddrinfo("ip6-localhost", NULL, NULL, &known) == 0) { /* in the hosts file of many */
        freeaddrinfo(known);
        assert_int_equal(yd_address_find(loop, YD_STR("ip6-localhost:9"), 0, &found, NULL), 0);
        assert_true(yd_address_loopback(&found));
    }
    yd_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_an_address_and_what_a_name_is_known_without_asking),
        cmocka_unit_test(a_simulated_host_has_the_addresses_it_was_given_in_turn),
        cmocka_unit_test(the_machine_looks_up_names_and_says_which_it_does_not_know),
    };
    return cmocka_run_group_tests_name("io / names", tests, NULL, NULL);
}
