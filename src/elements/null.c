/* Null: the deliberate discard. A wire that goes nowhere on purpose says so here. */
#include <yarder/element.h>

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_BATCH) yd_count_folded(out, input->batch->view.count);
    return YD_DONE;
}

static const struct yd_port_class ports[] = {
    {.name = "input",
     .direction = YD_IN,
     .mode = YD_PUSH,
     .kinds = YD_KINDS_ALL,
     .flags = YD_PORT_REQUIRED,
     .doc = "Anything."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {{.name = NULL}};

const struct yd_element_class yd_class_null = {
    .abi = YD_ELEMENT_ABI,
    .name = "Null",
    .summary = "discards on purpose, counted",
    .doc = "What arrives is counted and forgotten; whoever waits for an acknowledgement of it gets one.",
    .example = "metrics -> Filter(match: \"debug.*\") -> Null()",
    .ports = ports,
    .params = params,
    .receive = receive,
};
