/* Route: sends each record out by the first pattern that its name matches, or by all of them.
 *
 * A name is judged once per batch; a batch that goes whole goes as it is. */
#include <stdio.h>

#include "base/base.h"
#include "elements/rename.h"

enum { PORT_INPUT, PORT_OUT0, PORT_REST = PORT_OUT0 + YD_ROUTES_MAX };

struct route {
    struct yd_routes routes;
    bool has_rest;
    struct yd_buf names, keep; /* uint32_t by name: its ports; one byte a record */
};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    struct yd_routes routes;
    int error = yd_routes_open(&routes, args, why, why_size);
    yd_routes_close(&routes);
    return error;
}

static int open_route(struct yd_element *element, void *state)
{
    struct route *route = state;
    char why[200] = "";
    yd_buf_init(&route->names, NULL);
    yd_buf_init(&route->keep, NULL);
    route->has_rest = yd_element_wired(element, PORT_REST);
    int error = yd_routes_open(&route->routes, yd_element_args(element), why, sizeof why);
    return error < 0 ? yd_element_fail(element, error, "%s", why) : 0;
}

static void close_route(void *state)
{
    struct route *route = state;
    yd_routes_close(&route->routes);
    yd_buf_fini(&route->names);
    yd_buf_fini(&route->keep);
}

static int emit_part(struct route *route, struct yd_batch *batch, uint64_t kept, unsigned port, struct yd_out *out)
{
    struct yd_batch *part;
    if (kept == 0) return 0;
    if (kept == batch->view.count) return yd_emit(out, port, yd_batch_ref(batch));
    int error = yd_batch_select(batch, (const uint8_t *)route->keep.data, &part);
    return error < 0 ? error : yd_emit(out, port, part);
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct route *route = state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    const struct yd_view *view = &input->batch->view;
    yd_buf_clear(&route->names);
    yd_buf_clear(&route->keep);
    uint32_t *names = (uint32_t *)(void *)yd_buf_reserve(&route->names, (view->name_count + 1) * sizeof *names);
    char *keep = yd_buf_reserve(&route->keep, view->count + 1);
    if (!names || !keep) return YD_FAIL;
    for (uint32_t i = 0; i < view->name_count; i++) names[i] = yd_routes_of(&route->routes, yd_view_name(view, i));
    for (unsigned r = 0; r <= route->routes.count; r++) {
        bool is_rest = r == route->routes.count;
        uint64_t kept = 0;
        for (uint32_t i = 0; i < view->count; i++) {
            uint32_t to = names[view->records[i].name];
            kept += keep[i] = is_rest ? to == 0 : (to >> r & 1);
        }
        if (is_rest && !route->has_rest) {
            if (kept) yd_count_folded(out, kept);
        } else if (emit_part(route, input->batch, kept, is_rest ? PORT_REST : PORT_OUT0 + r, out) < 0) {
            return YD_FAIL;
        }
    }
    return YD_DONE;
}

#define OUT(n)                                                                                                         \
    [PORT_OUT0 + (n)] = {.name = "out" #n,                                                                             \
                         .direction = YD_OUT,                                                                          \
                         .mode = YD_PUSH,                                                                              \
                         .kinds = YD_KINDS_ALL,                                                                        \
                         .flags = YD_PORT_PASSES,                                                                      \
                         .doc = "What matches number " #n " of `routes`, counted from 0."}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    OUT(0),
    OUT(1),
    OUT(2),
    OUT(3),
    OUT(4),
    OUT(5),
    OUT(6),
    OUT(7),
    OUT(8),
    OUT(9),
    OUT(10),
    OUT(11),
    OUT(12),
    OUT(13),
    OUT(14),
    OUT(15),
    [PORT_REST] = {.name = "rest",
                   .direction = YD_OUT,
                   .mode = YD_PUSH,
                   .kinds = YD_KINDS_ALL,
                   .flags = YD_PORT_PASSES | YD_PORT_OPTIONAL_REJECTS,
                   .doc = "What matches none. Unwired, it is counted as filtered out."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "routes",
     .type = YD_PARAM_LIST,
     .flags = YD_PARAM_REQUIRED,
     .doc = "Name patterns, `[\"cpu.*\", \"* dc=eu\"]`: the first is `out0`, at most 16."},
    {.name = "all",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Send a record out by every pattern it matches, not by the first alone."},
    {.name = NULL},
};

const struct yd_element_class yd_class_route = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_REPEATS,
    .name = "Route",
    .summary = "sends records out by the pattern their names match",
    .doc = "Order is kept on each port. `yarder route FILE NAME` tells where a name would go. What matches a pattern "
           "whose "
           "port is not wired is counted there as unwired.",
    .example = "by_name :: Route(routes: [\"cpu.*\", \"db.* dc=eu\"])\nmetrics -> by_name\nby_name.out0 -> "
               "Print()\nby_name.out1 -> Null()",
    .ports = ports,
    .params = params,
    .state_size = sizeof(struct route),
    .check = check,
    .open = open_route,
    .close = close_route,
    .receive = receive,
};
