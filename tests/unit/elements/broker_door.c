/* A Broker's door under what strangers say, at random; the fuzzer's harness with other bytes. */
#include "testing.h"

#include "../../fuzz/live_door.c"

static void whatever_is_said_at_the_door_harms_nobody_and_all_is_counted(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 500; round++) {
        uint8_t bytes[300];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407) >> 56);
        (void)LLVMFuzzerTestOneInput(bytes, seed >> 20 & 255);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_said_at_the_door_harms_nobody_and_all_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
