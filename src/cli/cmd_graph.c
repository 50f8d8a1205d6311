/* yarder graph: a picture of a topology. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"

static int run(struct cli_args *args)
{
    struct yd_topology *topology;
    struct yd_buf text;
    int code;
    if (cli_load(args, args->rest[0], &topology, &code) < 0) return code;
    yd_buf_init(&text, NULL);
    yd_topology_graph(topology,
                      args->json               ? YD_GRAPH_JSON
                      : cli_given(args, "dot") ? YD_GRAPH_DOT
                                               : YD_GRAPH_TEXT,
                      &text);
    fwrite(text.data, 1, text.size, stdout);
    yd_buf_fini(&text);
    yd_topology_destroy(topology);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"dot", NULL, "for Graphviz"},
    {"set", "ID=VALUE", "sets a parameter of the topology; again for more"},
    {"plugin", "FILE", "a plug-in .so with element classes"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_graph = {
    .name = "graph",
    .usage = "FILE [--dot | --json]",
    .summary = "draws a topology",
    .doc = "Compound elements are shown expanded, as they run.",
    .example = "  yarder graph examples/quickstart.yd\n  yarder graph --dot site.yd | dot -Tsvg > site.svg",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
