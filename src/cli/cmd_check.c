/* yarder check: all mistakes of a topology in one run; opens, binds and creates nothing. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"

static int run(struct cli_args *args)
{
    int worst = CLI_DONE;
    for (int i = 0; i < args->rest_count; i++) {
        struct yd_topology *topology;
        int code;
        if (cli_load(args, args->rest[i], &topology, &code) == 0) {
            if (!args->json)
                printf("%s: good: %zu elements, %zu wires, %zu tests\n", args->rest[i], topology->node_count,
                       topology->wire_count, topology->test_count);
            yd_topology_destroy(topology);
        }
        worst = YD_MAX(worst, code);
    }
    return worst;
}

static const struct cli_option options[] = {
    {"set", "ID=VALUE", "sets a parameter of the topology; again for more"},
    {"data", "DIR", "the data folder it will run on: its free space is checked against what is kept"},
    {"plugin", "FILE", "a plug-in .so with element classes"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_check = {
    .name = "check",
    .usage = "FILE... [--set ID=VALUE]...",
    .summary = "checks topologies without running them",
    .doc = "Shows every mistake at its place with what to write instead. With --json: one array of diagnostics a file.",
    .example = "  yarder check examples/quickstart.yd",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
    .run = run,
};
