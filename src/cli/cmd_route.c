/* yarder route: where a name would go through a topology: which doors of Route and Filter, under which name after each
 * Relabel, and where it is dropped. Pure: nothing is started.
 *
 *   sources --> walk along push wires, the name in hand --> a line an element, indented by how far it came */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "elements/rename.h"

#define STEPS_MAX 10000 /* of one walk: a topology of many paths is cut short, and that is said */
#define DEPTH_MAX 64    /* beyond it the walk goes round through Logs */

struct walk {
    struct cli_args *args;
    const struct yd_topology *topology;
    struct yd_json json;
    struct yd_buf text;
    unsigned steps;
    bool failed, *visited; /* by node of the path at hand */
};

static bool is_class(const struct yd_node *node, const char *name)
{
    return strcmp(node->class->name, name) == 0;
}

/* A line, or an object: where the name is, what it is called there, what becomes of it. */
static void tell(struct walk *walk, const struct yd_node *node, unsigned depth, struct yd_str name, const char *fate)
{
    if (!walk->args->json) {
        printf("%*s%s (%s)  %.*s%s%s\n", (int)depth * 2, "", node->name, node->class->name, YD_STR_FMT(name),
               *fate ? "  " : "", fate);
        return;
    }
    yd_json_object(&walk->json);
    yd_json_key(&walk->json, "element");
    yd_json_cstr(&walk->json, node->name);
    yd_json_key(&walk->json, "class");
    yd_json_cstr(&walk->json, node->class->name);
    yd_json_key(&walk->json, "depth");
    yd_json_u64(&walk->json, depth);
    yd_json_key(&walk->json, "name");
    yd_json_str(&walk->json, name);
    yd_json_key(&walk->json, "fate");
    yd_json_cstr(&walk->json, fate);
    yd_json_object_end(&walk->json);
}

static unsigned port_named(const struct yd_node *node, const char *name)
{
    unsigned port = 0;
    while (node->class->ports[port].name && strcmp(node->class->ports[port].name, name) != 0) port++;
    return port;
}

/* The ports by which the name leaves, one bit each; `to` and *name when it is called otherwise from here on. */
static uint64_t ports_of(struct walk *walk, const struct yd_node *node, struct yd_str *name, char *to,
                         const char **fate)
{
    char why[200];
    if (is_class(node, "Relabel")) {
        struct yd_rename rename;
        size_t size = 0;
        int became = yd_rename_open(&rename, &node->args, why, sizeof why);
        if (became == 0) became = yd_rename_apply(&rename, *name, to, &size);
        yd_rename_close(&rename);
        if (became == YD_RENAMED) *name = (struct yd_str){to, size};
        *fate = became < 0 ? "rejected: not a name" : became == YD_RENAMED_AWAY ? "dropped" : "";
        return became < 0 || became == YD_RENAMED_AWAY ? 0 : UINT64_MAX;
    }
    if (is_class(node, "Route")) {
        struct yd_routes routes;
        walk->failed |= yd_routes_open(&routes, &node->args, why, sizeof why) < 0;
        uint32_t out = yd_routes_of(&routes, *name);
        yd_routes_close(&routes);
        unsigned first = port_named(node, "out0"), rest = port_named(node, "rest");
        *fate = out ? "" : "rest";
        return out ? (uint64_t)out << first : UINT64_C(1) << rest;
    }
    if (is_class(node, "Filter")) {
        struct yd_str match = yd_args_text(&node->args, "match");
        struct yd_pattern *pattern;
        bool negate = yd_args_bool(&node->args, "negate"), matches = true;
        bool more = yd_args_find(&node->args, "kinds") || yd_args_find(&node->args, "where") ||
                    yd_args_find(&node->args, "min") || yd_args_find(&node->args, "max");
        if (match.size && yd_pattern_compile(match, &pattern) == 0) {
            matches = yd_pattern_match(pattern, *name);
            yd_pattern_destroy(pattern);
        }
        if (more && matches) {
            *fate = "by kind or value";
            return UINT64_MAX;
        }
        *fate = matches != negate ? "" : "rest";
        return UINT64_C(1) << port_named(node, matches != negate ? "output" : "rest");
    }
    return UINT64_MAX;
}

static void walk_from(struct walk *walk, uint32_t at, unsigned depth, struct yd_str name)
{
    const struct yd_node *node = &walk->topology->nodes[at];
    const char *fate = "";
    char *to = malloc(YD_NAME_SIZE_MAX + 1);
    if (!to || walk->steps++ >= STEPS_MAX || depth > DEPTH_MAX || walk->visited[at]) {
        walk->failed |= !to || walk->steps > STEPS_MAX;
        free(to);
        return;
    }
    uint64_t ports = ports_of(walk, node, &name, to, &fate);
    bool goes_on = false;
    for (size_t w = 0; w < walk->topology->wire_count; w++) {
        const struct yd_wire *wire = &walk->topology->wires[w];
        goes_on |= wire->from == at && wire->mode == YD_PUSH && ports >> wire->from_port & 1;
    }
    if (!goes_on && strcmp(fate, "rest") == 0) fate = "dropped";
    tell(walk, node, depth, name, fate);
    walk->visited[at] = true;
    for (size_t w = 0; w < walk->topology->wire_count; w++) {
        const struct yd_wire *wire = &walk->topology->wires[w];
        const struct yd_port_class *port = &node->class->ports[wire->from == at ? wire->from_port : 0];
        if (wire->from != at || wire->mode != YD_PUSH || !(ports >> wire->from_port & 1)) continue;
        if (strcmp(port->name, "rejects") == 0) continue; /* what is refused there has no name */
        walk_from(walk, wire->to, depth + 1, name);
    }
    walk->visited[at] = false;
    free(to);
}

static bool is_source(const struct yd_topology *topology, uint32_t node)
{
    bool sends = false;
    for (size_t w = 0; w < topology->wire_count; w++) {
        if (topology->wires[w].mode != YD_PUSH) continue;
        if (topology->wires[w].to == node) return false;
        sends |= topology->wires[w].from == node;
    }
    return sends;
}

static int run(struct cli_args *args)
{
    struct walk walk = {.args = args};
    struct yd_topology *topology;
    char name[YD_NAME_SIZE_MAX + 1];
    size_t size;
    int code;
    if (yd_name_canonical(yd_str_of(args->rest[1]), name, &size) < 0)
        return cli_usage(args, "'%s' is not a name", args->rest[1]);
    if (cli_load(args, args->rest[0], &topology, &code) < 0) return code;
    walk.topology = topology;
    walk.visited = calloc(topology->node_count + 1, sizeof *walk.visited);
    yd_buf_init(&walk.text, NULL);
    yd_json_init(&walk.json, &walk.text, false);
    if (args->json) yd_json_array(&walk.json);
    for (uint32_t i = 0; walk.visited && i < topology->node_count; i++)
        if (is_source(topology, i)) walk_from(&walk, i, 0, (struct yd_str){name, size});
    if (args->json) {
        yd_json_array_end(&walk.json);
        printf("%.*s\n", (int)walk.text.size, walk.text.data);
    }
    bool failed = walk.failed || !walk.visited || walk.text.failed;
    free(walk.visited);
    yd_buf_fini(&walk.text);
    yd_topology_destroy(topology);
    return failed ? cli_fail(args, "there are too many ways to show, or not enough memory") : CLI_DONE;
}

static const struct cli_option options[] = {
    {"set", "ID=VALUE", "sets a parameter of the topology; again for more"},
    {"plugin", "FILE", "a plug-in .so with element classes"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_route = {
    .name = "route",
    .usage = "FILE NAME [--json]",
    .summary = "tells where a name would go through a topology",
    .doc = "From each source along the wires: the element, what the name is there after Relabel, and whether it ends "
           "there.\n"
           "Filter and Route are asked by name; what depends on kinds or values goes on, and that is said.",
    .example = "  yarder route examples/bolo.yd 'site.cpu.load host=web1'",
    .options = options,
    .rest_min = 2,
    .rest_max = 2,
    .run = run,
};
