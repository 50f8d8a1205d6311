/* yarder decom check: all mistakes of definitions in one run; nothing else is touched. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/decom_cli.h"

static int run(struct cli_args *args)
{
    int worst = CLI_DONE;
    for (int i = 0; i < args->rest_count; i++) {
        struct yd_plan *plan;
        int code;
        if (cli_decom_load(args, args->rest[i], false, &plan, &code) == 0) {
            uint64_t measurements = 0;
            uint32_t packets = yd_plan_packet_count(plan);
            for (uint32_t j = 0; j < packets; j++) measurements += yd_plan_measurement_count(plan, j);
            if (!args->json)
                printf("%s: good: %u packets, %llu measurements\n", args->rest[i], packets,
                       (unsigned long long)measurements);
            yd_plan_destroy(plan);
        }
        worst = YD_MAX(worst, code);
    }
    return worst;
}

const struct cli_command cmd_decom_check = {
    .name = "decom check",
    .usage = "FILE...",
    .summary = "checks definitions of packets",
    .doc =
        "Shows every mistake at its place with what to write instead, and what is known but not decoded. With --json: "
        "an object a file, with its diagnostics.",
    .example = "  yarder decom check examples/rocket.ydm",
    .rest_min = 1,
    .rest_max = -1,
    .run = run,
};
