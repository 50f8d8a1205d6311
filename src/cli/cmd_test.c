/* yarder test: runs the tests written in a topology, each in a simulated world of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "flow/run.h"

static int run(struct cli_args *args)
{
    struct yd_topology *topology;
    int code;
    size_t failed = 0;
    const char *seed_text = cli_value(args, "seed"), *only = cli_value(args, "only");
    uint64_t seed = 1;
    if (seed_text && yd_text_u64(yd_str_of(seed_text), &seed) < 0) return cli_usage(args, "--seed wants a number");
    if (cli_load(args, args->rest[0], &topology, &code) < 0) return code;
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, true);
    yd_json_array(&json);
    size_t ran = 0;
    for (size_t i = 0; i < topology->test_count; i++) {
        struct yd_test_result result = {0};
        if (only && !yd_text_glob(yd_str_of(only), yd_str_of(topology->tests[i].name))) continue;
        int error = yd_test_run(topology, i, seed, &result);
        bool passed = error == 0 && result.passed;
        ran++;
        failed += !passed;
        struct yd_str report = error < 0 ? yd_str_of(yd_error_text(error)) : yd_buf_view(&result.report);
        if (args->json) {
            yd_json_object(&json);
            yd_json_key(&json, "name");
            yd_json_cstr(&json, topology->tests[i].name);
            yd_json_key(&json, "passed");
            yd_json_bool(&json, passed);
            yd_json_key(&json, "report");
            yd_json_str(&json, report);
            yd_json_object_end(&json);
        } else {
            printf("%s  %s\n", passed ? "ok    " : "FAILED", topology->tests[i].name);
            if (!passed)
                printf("%.*s%s", YD_STR_FMT(report), report.size && report.data[report.size - 1] == '\n' ? "" : "\n");
        }
        yd_buf_fini(&result.report);
    }
    yd_json_array_end(&json);
    if (args->json)
        printf("%.*s\n", (int)text.size, text.data);
    else
        printf("%zu passed, %zu failed (seed %llu)\n", ran - failed, failed, (unsigned long long)seed);
    if (ran == 0)
        fprintf(stderr, "yarder test: %s has %s\n", args->rest[0], only ? "no test of that name" : "no tests");
    yd_buf_fini(&text);
    yd_topology_destroy(topology);
    return failed || (only && ran == 0) ? CLI_FAILED : CLI_DONE;
}

static const struct cli_option options[] = {
    {"seed", "N", "of the simulated world; default 1"},
    {"only", "GLOB", "only tests whose name matches"},
    {"set", "ID=VALUE", "sets a parameter of the topology; again for more"},
    {"plugin", "FILE", "a plug-in .so with element classes"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_test = {
    .name = "test",
    .usage = "FILE [--seed N] [--only GLOB]",
    .summary = "runs the tests in a topology file",
    .doc = "Each test starts the whole topology on a simulated disk and clock, with no sockets: `advance 1h` takes no "
           "time.",
    .example = "  yarder test examples/rejects.yd",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
