#include "elements/text_sink.h"

#include <stdlib.h>

#include "batch/record_text.h"

const char *const yd_text_forms[] = {"line", "json", "value", NULL};

enum yd_text_form yd_text_form_of(struct yd_str word)
{
    for (int form = 0; yd_text_forms[form]; form++)
        if (yd_str_eq(word, yd_str_of(yd_text_forms[form]))) return (enum yd_text_form)form;
    return YD_FORM_LINE;
}

void yd_text_form_batch(enum yd_text_form form, const struct yd_batch *batch, struct yd_buf *to)
{
    const struct yd_view *view = &batch->view;
    struct yd_json json;
    for (uint32_t i = 0; i < view->count; i++) {
        switch (form) {
        case YD_FORM_LINE:
            yd_record_line(view, i, to);
            break;
        case YD_FORM_JSON:
            yd_json_init(&json, to, false);
            yd_record_json(view, i, YD_NO_SEQNO, &json);
            yd_buf_char(to, '\n');
            break;
        case YD_FORM_VALUE:
            yd_value_text(view, view->records[i].type, view->records[i].value, to);
            yd_buf_char(to, '\n');
            break;
        }
    }
}

enum yd_turn_result yd_text_sink_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    if (input->type == YD_INPUT_BATCH) {
        uint64_t hold = yd_hold(out);
        return yd_out_command(out, YD_SINK_WRITE, hold, yd_batch_ref(input->batch), NULL, NULL) < 0 ? YD_FAIL : YD_DONE;
    }
    if (input->type == YD_INPUT_PUMP && input->cookie == YD_SINK_WRITTEN) {
        const struct yd_written *written = input->data;
        yd_release(out, written->hold, written->error, written->level);
    }
    return YD_DONE;
}

void yd_text_sink_tell(struct yd_pump *pump, uint64_t hold, int error, unsigned level)
{
    struct yd_written *written = malloc(sizeof *written);
    if (!written) {
        yd_pump_say(pump, 2, "out of memory: a written batch stays unacknowledged");
        return;
    }
    *written = (struct yd_written){hold, error, level};
    (void)yd_pump_tell(pump, YD_SINK_WRITTEN, NULL, written, free); /* fails only when the element is gone */
}
