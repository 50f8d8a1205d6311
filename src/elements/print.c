/* Print: records to standard output, for eyes and pipes. */
#include "elements/text_sink.h"
#include "io/stdio.h"

enum { PORT_INPUT };

struct print_pump {
    struct yd_pump *pump;
    enum yd_text_form form;
    struct yd_buf text;
    bool said;
};

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct print_pump *print = state;
    (void)element_state;
    print->pump = pump;
    print->form = yd_text_form_of(yd_args_text(yd_pump_args(pump), "format"));
    yd_buf_init(&print->text, NULL);
    return 0;
}

static void stop(void *state)
{
    struct print_pump *print = state;
    yd_buf_fini(&print->text);
    yd_pump_stopped(print->pump);
}

static void command(void *state, struct yd_command *command)
{
    struct print_pump *print = state;
    if (command->type != YD_SINK_WRITE) return;
    yd_buf_clear(&print->text);
    yd_text_form_batch(print->form, command->batch, &print->text);
    int error = print->text.failed ? YD_ENOMEM : yd_stdout_write(print->text.data, print->text.size);
    if (error < 0 && !print->said) {
        yd_pump_say(print->pump, 2, "standard output: %s; what cannot be printed is dropped", yd_error_text(error));
        print->said = true;
    }
    /* Level 0: Print keeps nothing, so it has no say in how durable a batch is. */
    yd_text_sink_tell(print->pump, command->arg, error, 0);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct print_pump),
    .files = true,
    .start = start,
    .stop = stop,
    .command = command,
};

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "format",
     .type = YD_PARAM_TEXT,
     .initial = "\"line\"",
     .oneof = yd_text_forms,
     .doc = "`line`: time, name and value; `json`: one object a line; `value`: the value alone."},
    {.name = NULL},
};

const struct yd_element_class yd_class_print = {
    .abi = YD_ELEMENT_ABI,
    .name = "Print",
    .summary = "prints records on standard output",
    .doc = "One line a record. A reader of the pipe that is slow holds the topology back; one that is gone is said "
           "once, and "
           "its records are answered as failed.",
    .example = "metrics -> Filter(match: \"cpu.*\") -> Print(format: \"json\")",
    .ports = ports,
    .params = params,
    .receive = yd_text_sink_receive,
    .pump = &pump_class,
};
