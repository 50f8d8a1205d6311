/* Decom: packets in, measurements out, by a definition (docs/ydm.md).
 *
 *   PACKET records ──decom/decoder.h──▶ one SAMPLE per field ──▶ output
 *          └── those that do not decode ──▶ counted by reason, and rows on `rejects`
 *
 * A number is a SAMPLE with a number; an enumeration, a text, a boolean a SAMPLE with TEXT or BOOL; bytes a BLOB. STATE
 * is left to those who judge (Limits): one name has one kind. The time is the packet's (its receive stamp), or what a
 * field marked `stamp` says. What a sequence counter misses is a TALLY. What can fail: the definition (said at the
 * start, with its place); memory, which fails the turn. Bytes never do. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/classes.h"
#include "elements/redefine.h"
#include "elements/rows.h"

enum { INPUT, OUTPUT, REJECTS, QUERY };
enum { REASON_KIND = YD_DECOM_REASON_COUNT };
#define REJECT_BYTES_MAX 4096 /* of a packet in a row */

struct state {
    struct yd_element *element;
    struct yd_plan *plan;
    struct yd_decoder *decoder;
    struct yd_builder *rejects; /* NULL: nobody listens */
    struct yd_out *out;         /* of the turn at hand */
    int error;                  /* of an emit */
    uint64_t lost_said;
    /* The definition, read again: who asked, what was read, how many of the others have not answered. */
    uint64_t asked;
    struct yd_redefinition *next;
    unsigned waiting, others;
    bool is_reading, is_back, ended; /* is_back: the others go back */
    char *whom;                      /* by the other's number: it has the new one, or may have it */
    char refused[200];               /* by one of them */
    struct yd_buf gone, wider;       /* names of theirs, to be told with ours */
    struct yd_str text;           /* of the definition in use, for those who must go back; none: there are no others */
    struct yd_redefine_late late; /* ROWs for those behind */
};

static const char *const reasons[] = {
#define REASON(name, text) text,
    YD_DECOM_REASONS(REASON)
#undef REASON
        "not a packet",
    NULL};

static const struct yd_port_class ports[] = {
    [INPUT] = {.name = "input",
               .direction = YD_IN,
               .mode = YD_PUSH,
               .kinds = YD_KIND_BIT(YD_PACKET),
               .needs = YD_KIND_BIT(YD_PACKET),
               .flags = YD_PORT_REQUIRED,
               .doc = "Packets, one a record."},
    [OUTPUT] = {.name = "output",
                .direction = YD_OUT,
                .mode = YD_PUSH,
                .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_TALLY) | YD_KIND_BIT(YD_ROW),
                .flags = YD_PORT_REQUIRED,
                .doc = "A SAMPLE per field: number, boolean, text (labels too) or bytes; a TALLY `….lost` where a "
                       "sequence counter skips, `….frames` of what went wrong with commutated frames; a ROW "
                       "`yarder.definition` where another definition begins."},
    [REJECTS] = {.name = "rejects",
                 .direction = YD_OUT,
                 .mode = YD_PUSH,
                 .kinds = YD_KIND_BIT(YD_ROW),
                 .flags = YD_PORT_OPTIONAL_REJECTS,
                 .doc = "Packets that do not decode: rows of `reason`, `size` and `packet` (up to 4096 bytes of it)."},
    [QUERY] = {.name = "query",
               .direction = YD_IN,
               .mode = YD_QUERY,
               .schema = "rows",
               .doc =
                   "Takes `reload` (the definition is read again), answers `packets`: how many of each were decoded."},
    {.name = NULL}};

static const struct yd_param_class params[] = {
    {.name = "definition",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_REQUIRED | YD_PARAM_READS,
     .doc = "The file that says what lies in the packets: `.ydm`, or XTCE (`.xml`)."},
    {.name = "raw",
     .type = YD_PARAM_BOOL,
     .initial = "false",
     .doc = "Publish raw values too, as `NAME.raw`, where the engineering value is another."},
    {.name = NULL}};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    if (yd_args_text(args, "definition").size) return 0;
    (void)snprintf(why, why_size, "`definition` is empty: which file says what lies in the packets?");
    return YD_EINVAL;
}

static int check_file(const struct yd_args *args, const char *param, struct yd_str text, char *why, size_t why_size)
{
    const struct yd_plan_options options = {.raw = yd_args_bool(args, "raw")};
    char words[YD_DEFINITION_WHY];
    struct yd_plan *plan;
    (void)param;
    int r = yd_definition_read(yd_args_text(args, "definition").data, text, &options, words, &plan);
    if (r < 0)
        (void)snprintf(why, why_size, "%s", words);
    else
        yd_plan_destroy(plan);
    return r;
}

/* ---- the element ---- */

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct state *state = arg;
    int r = yd_emit(state->out, OUTPUT, batch);
    if (r < 0) state->error = r;
}

static void close_decom(void *opaque)
{
    struct state *state = opaque;
    yd_decoder_destroy(state->decoder);
    yd_plan_destroy(state->plan);
    yd_builder_destroy(state->rejects);
    yd_redefinition_free(state->next);
    yd_buf_fini(&state->gone);
    yd_buf_fini(&state->wider);
    yd_redefine_late_cut(&state->late, 0);
    free((char *)(uintptr_t)state->text.data);
    free(state->whom);
    state->text = (struct yd_str){0};
    state->whom = NULL;
    state->next = NULL;
    state->decoder = NULL;
    state->plan = NULL;
    state->rejects = NULL;
}

/* Takes it. */
static void keep_text(struct state *state, struct yd_str text)
{
    char *before = (char *)(uintptr_t)state->text.data;
    if (state->others) {
        state->text = text;
    } else {
        before = (char *)(uintptr_t)text.data;
    }
    free(before);
}

static int open_decom(struct yd_element *element, void *opaque)
{
    struct state *state = opaque;
    state->element = element;
    yd_buf_init(&state->gone, NULL);
    yd_buf_init(&state->wider, NULL);
    const struct yd_args *args = yd_element_args(element);
    const struct yd_plan_options plan = {.raw = yd_args_bool(args, "raw")};
    char why[YD_DEFINITION_WHY];
    struct yd_str text;
    int r = yd_definition_open_text(yd_element_fs(element), yd_args_text(args, "definition").data, &plan, why,
                                    &state->plan, &text);
    if (r < 0) return yd_element_fail(element, r, "definition: %s", why);
    state->others = yd_redefine_other_count(element);
    keep_text(state, text);
    state->whom = malloc(state->others + 1u);
    if (!state->whom) r = yd_element_fail(element, YD_ENOMEM, "%s", yd_error_text(YD_ENOMEM));
    struct yd_decoder_options options = {.arg = state, .batch = on_batch};
    if (r == 0) {
        r = yd_decoder_create(state->plan, &options, NULL, &state->decoder);
        if (r == 0 && yd_element_wired(element, REJECTS)) r = yd_builder_create(NULL, &state->rejects);
        if (r < 0) r = yd_element_fail(element, r, "%s", yd_error_text(r));
    }
    if (r < 0) close_decom(state);
    return r;
}

/* ---- rejects ---- */

static int send_rejects(struct state *state)
{
    struct yd_batch *batch;
    int r = yd_builder_seal(state->rejects, &batch);
    if (r == YD_EAGAIN) return 0;
    return r < 0 ? r : yd_emit(state->out, REJECTS, batch);
}

static int add_row(struct state *state, int64_t time_ns, struct yd_str name, const char *reason, struct yd_str packet)
{
    struct yd_builder *builder = state->rejects;
    struct yd_str shown = {packet.data, YD_MIN(packet.size, (size_t)REJECT_BYTES_MAX)};
    uint32_t index;
    int r = yd_builder_name(builder, name, &index);
    if (r == 0) r = yd_builder_begin(builder, time_ns, index, YD_ROW, 0, YD_MAP);
    if (r < 0) return r;
    r = yd_builder_cell_bytes(builder, YD_STR("reason"), YD_TEXT, yd_str_of(reason));
    if (r == 0) r = yd_builder_cell(builder, YD_STR("size"), YD_U64, (union yd_value){.u64 = packet.size});
    if (r == 0) r = yd_builder_cell_bytes(builder, YD_STR("packet"), YD_BLOB, shown);
    return r < 0 ? r : yd_builder_end(builder);
}

static int reject(struct state *state, const struct yd_view *view, const struct yd_record *record, unsigned reason)
{
    struct yd_str bytes = record->type == YD_BLOB ? yd_view_bytes(view, record->value) : YD_STR("");
    struct yd_str name = yd_view_name(view, record->name);
    yd_count_rejected(state->out, reason, 1, bytes);
    if (!state->rejects) return 0;
    int r = add_row(state, record->time_ns, name, reasons[reason], bytes);
    if (r != YD_EFULL) return r;
    r = send_rejects(state);
    return r < 0 ? r : add_row(state, record->time_ns, name, reasons[reason], bytes);
}

static enum yd_turn_result on_packets(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = &input->batch->view;
    state->out = out;
    state->error = 0;
    int r = yd_redefine_late_emit(&state->late, out, OUTPUT);
    for (uint32_t i = 0; i < view->count && r >= 0; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind != YD_PACKET || record->type != YD_BLOB) {
            r = reject(state, view, record, REASON_KIND);
            continue;
        }
        r = yd_decoder_take(state->decoder, record->time_ns, yd_view_bytes(view, record->value));
        if (r > 0) r = reject(state, view, record, (unsigned)r - 1);
    }
    if (r >= 0) r = yd_decoder_flush(state->decoder);
    if (r >= 0 && state->rejects) r = send_rejects(state);
    if (r >= 0) r = state->error;
    if (r < 0) {
        yd_say(out, 2, "%s", yd_error_text(r));
        return YD_FAIL;
    }
    struct yd_decoder_counts counts;
    yd_decoder_counts(state->decoder, &counts);
    if (counts.lost > state->lost_said) {
        yd_say(out, 1, "%llu packets are missing, as sequence counters tell",
               (unsigned long long)(counts.lost - state->lost_said));
        state->lost_said = counts.lost;
    }
    return YD_DONE;
}

/* ---- another definition ---- */

struct changes {
    struct yd_redefine_mark *mark; /* NULL: only counted */
    uint64_t gone, wider;
};

static int note_change(void *arg, struct yd_str name, bool is_gone)
{
    struct changes *changes = arg;
    *(is_gone ? &changes->gone : &changes->wider) += 1;
    if (!changes->mark) return 0;
    yd_redefine_mark_add(changes->mark, name, is_gone);
    return changes->mark->error;
}

/* The ROWs for those behind, with what is gone of the others, if we asked them; on an error none is left. */
static int add_mark(struct state *state, const struct yd_plan *plan, bool asked, struct yd_input *input,
                    struct yd_out *out, struct changes *changes)
{
    struct yd_redefine_mark mark;
    uint32_t before = state->late.count;
    struct yd_str gone = YD_STR(""), wider = YD_STR(""), name;
    if (asked) {
        gone = yd_buf_view(&state->gone);
        wider = yd_buf_view(&state->wider);
    }
    *changes = (struct changes){.mark = &mark};
    int r = yd_redefine_mark_begin(&mark, out, &state->late, input->wall_ns);
    if (r == 0 && plan) r = yd_plan_each_changed(state->plan, plan, note_change, changes);
    if (mark.error == 0) mark.error = r;
    while (yd_redefine_next(&gone, &name)) yd_redefine_mark_add(&mark, name, true);
    while (yd_redefine_next(&wider, &name)) yd_redefine_mark_add(&mark, name, false);
    r = yd_redefine_mark_end(&mark);
    if (r < 0) yd_redefine_late_cut(&state->late, before);
    return r;
}

/* From the next packet on. All that was decoded has gone out, or waits to; the ROW stands behind it. Takes plan and
 * text out of `made`; on an error nothing has changed. */
static int swap(struct state *state, struct yd_redefinition *made, bool asked, struct yd_input *input,
                struct yd_out *out, struct changes *ret_gone, struct changes *ret_new)
{
    struct yd_decoder_options options = {.arg = state, .batch = on_batch};
    struct yd_decoder *decoder = NULL;
    *ret_new = (struct changes){0};
    int r = yd_decoder_create(made->plan, &options, NULL, &decoder);
    if (r == 0) r = yd_decoder_take_over(decoder, state->decoder);
    if (r == 0) r = add_mark(state, made->plan, asked, input, out, ret_gone);
    if (r < 0) {
        yd_decoder_destroy(decoder);
        return r;
    }
    (void)yd_plan_each_changed(made->plan, state->plan, note_change, ret_new);
    yd_decoder_destroy(state->decoder);
    yd_plan_destroy(state->plan);
    state->decoder = decoder;
    state->plan = made->plan;
    keep_text(state, made->text);
    made->plan = NULL;
    made->text = (struct yd_str){0};
    return 0;
}

static const char *path_of(struct yd_out *out)
{
    return yd_args_text(yd_element_args(yd_out_element(out)), "definition").data;
}

struct redefined {
    uint64_t packets, measurements, new, gone, others;
};

static int fill_redefined(struct yd_builder *builder, const void *arg)
{
    const struct redefined *redefined = arg;
    int error = yd_rows_cell_u64(builder, "packets", redefined->packets);
    if (error == 0) error = yd_rows_cell_u64(builder, "measurements", redefined->measurements);
    if (error == 0) error = yd_rows_cell_u64(builder, "new", redefined->new);
    if (error == 0) error = yd_rows_cell_u64(builder, "gone", redefined->gone);
    return error < 0 ? error : yd_rows_cell_u64(builder, "others", redefined->others);
}

/* To who asked for it, perhaps turns ago. */
static void answer_kept(struct state *state, struct yd_out *out, const struct redefined *redefined)
{
    struct yd_builder *builder;
    struct yd_batch *batch = NULL;
    uint32_t name;
    int error = yd_builder_create(NULL, &builder);
    if (error == 0) {
        error = yd_builder_name(builder, yd_str_of(path_of(out)), &name);
        if (error == 0) error = yd_builder_begin(builder, yd_now_wall(out), name, YD_ROW, 0, YD_MAP);
        if (error == 0) error = fill_redefined(builder, redefined);
        if (error == 0) error = yd_builder_end(builder);
        if (error == 0) error = yd_builder_seal(builder, &batch);
        yd_builder_destroy(builder);
    }
    (void)yd_reply(out, state->asked, batch, false); /* the asker may have gone */
}

#define ENDED "nothing comes any more, this element has ended"

/* Done with it, in one way or the other. */
static void give_up(struct state *state, struct yd_out *out, const char *why)
{
    yd_say(out, 1, "not read again, the definition in use goes on: %s", why);
    (void)yd_reply_error(out, state->asked, YD_EINVAL, "the definition in use goes on: %s", why);
    yd_redefinition_free(state->next);
    state->next = NULL;
    state->waiting = 0;
}

static enum yd_turn_result gone_back(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct changes changes;
    int r = 0;
    state->is_back = false;
    if (state->gone.size || state->wider.size) r = add_mark(state, NULL, true, input, out, &changes);
    if (r == 0) r = yd_redefine_late_emit(&state->late, out, OUTPUT);
    if (r < 0) return YD_FAIL;
    give_up(state, out, state->refused);
    return YD_DONE;
}

/* Not everybody could: those who have it are given the text before. What they made meanwhile is gone then. */
static enum yd_turn_result go_back(struct state *state, struct yd_input *input, struct yd_out *out)
{
    unsigned count = 0;
    state->is_back = true;
    yd_buf_clear(&state->gone);
    yd_buf_clear(&state->wider);
    if (state->text.data && yd_redefine_others(out, state->text, state->whom, &count) < 0) return YD_FAIL;
    state->waiting = count;
    return count ? YD_DONE : gone_back(state, input, out);
}

/* Everybody else has it by now. */
static enum yd_turn_result finish(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct changes gone, new;
    int r = swap(state, state->next, true, input, out, &gone, &new);
    if (r < 0) {
        (void)snprintf(state->refused, sizeof state->refused, "%s", yd_error_text(r));
        return go_back(state, input, out);
    }
    yd_redefinition_free(state->next);
    state->next = NULL;
    const struct redefined redefined = {yd_plan_packet_count(state->plan), yd_plan_measurements(state->plan), new.gone,
                                        gone.gone, state->others};
    yd_say(out, 0, "%s: read again: %llu packets, %llu measurements: %llu are new, %llu are gone", path_of(out),
           (unsigned long long)redefined.packets, (unsigned long long)redefined.measurements,
           (unsigned long long)redefined.new, (unsigned long long)redefined.gone);
    answer_kept(state, out, &redefined);
    return yd_redefine_late_emit(&state->late, out, OUTPUT) < 0 ? YD_FAIL : YD_DONE;
}

static enum yd_turn_result on_read(struct state *state, struct yd_input *input, struct yd_out *out)
{
    unsigned others;
    state->is_reading = false;
    state->next = input->data;
    input->data = NULL;
    if (!state->next->plan || state->ended) {
        give_up(state, out, state->ended ? ENDED : state->next->why);
        return YD_DONE;
    }
    int r = yd_redefine_others(out, state->next->text, NULL, &others);
    if (r < 0) {
        give_up(state, out, yd_error_text(r));
        return YD_DONE;
    }
    state->waiting = others;
    memset(state->whom, 1, state->others);
    yd_buf_clear(&state->gone);
    yd_buf_clear(&state->wider);
    *state->refused = '\0';
    return others ? YD_DONE : finish(state, input, out);
}

/* One who crashes, or has, reads the file when he comes back; one who is stopped does nothing any more. */
static bool is_away(int error)
{
    return error == YD_EFAIL || error == YD_EBUSY || error == YD_EUNDELIVERABLE;
}

/* The text had been held against him: memory can have failed, or he had no time, and may have it or not. */
static void on_refusal(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const char *name = yd_redefine_other_name(state->element, input->cookie), *why = yd_error_text(input->error);
    if (input->cookie < state->others && input->error != YD_ETIMEOUT) state->whom[input->cookie] = 0;
    if (is_away(input->error)) return;
    if (state->is_back)
        yd_say(out, 2, "%.100s may go on by the definition that was refused (%s): mend the file, `reload` again", name,
               why);
    else
        (void)snprintf(state->refused, sizeof state->refused, "%.100s, which works by it: %s", name, why);
}

/* One of the others has it, or not. */
static enum yd_turn_result on_answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_view *view = input->batch ? &input->batch->view : NULL;
    for (uint32_t i = 0; input->type == YD_INPUT_REPLY && view && i < view->count; i++) {
        struct yd_str gone, wider;
        if (!yd_redefine_mark_read(view, i, &gone, &wider)) continue;
        yd_buf_str(&state->gone, gone);
        yd_buf_str(&state->wider, wider);
    }
    if (input->more || !state->next || !state->waiting) return YD_DONE;
    if (input->type == YD_INPUT_ERROR) on_refusal(state, input, out);
    if (--state->waiting) return YD_DONE;
    if (state->gone.failed || state->wider.failed) return YD_FAIL;
    if (state->is_back) return gone_back(state, input, out);
    return *state->refused ? go_back(state, input, out) : finish(state, input, out);
}

static struct yd_redefinition *copy_text(struct yd_str text)
{
    struct yd_redefinition *made = calloc(1, sizeof *made);
    char *copy = made ? malloc(text.size + 1) : NULL;
    if (!copy) {
        free(made);
        return NULL;
    }
    if (text.size) memcpy(copy, text.data, text.size);
    made->text = (struct yd_str){copy, text.size};
    return made;
}

/* Another Decom has read the file, and found it good for us. */
static enum yd_turn_result redefine(struct state *state, struct yd_input *input, struct yd_out *out)
{
    const struct yd_plan_options options = {.raw = yd_args_bool(yd_element_args(state->element), "raw")};
    struct yd_redefinition *made = copy_text(yd_redefine_text(input->batch));
    struct changes gone, new;
    struct yd_rows rows;
    int r = YD_ENOMEM;
    if (made) (void)snprintf(made->why, sizeof made->why, "%s", yd_error_text(r));
    if (made) r = yd_definition_read(path_of(out), made->text, &options, made->why, &made->plan);
    if (r == 0) r = swap(state, made, false, input, out, &gone, &new);
    if (r < 0) {
        (void)yd_reply_error(out, 0, r, "%s", yd_error_text(r));
        yd_redefinition_free(made);
        return YD_DONE;
    }
    yd_redefinition_free(made);
    yd_say(out, 0, "%s: another definition: %llu measurements, %llu are gone", path_of(out),
           (unsigned long long)yd_plan_measurements(state->plan), (unsigned long long)gone.gone);
    yd_rows_begin(&rows, input, out);
    (void)yd_rows_end(&rows);
    return yd_redefine_late_emit(&state->late, out, OUTPUT) < 0 ? YD_FAIL : YD_DONE;
}

struct decoded {
    uint64_t count;
};

static int fill_decoded(struct yd_builder *builder, const void *arg)
{
    return yd_rows_cell_u64(builder, "decoded", ((const struct decoded *)arg)->count);
}

static void each_part(const void *opaque, yd_part_visit *visit, void *arg)
{
    const struct state *state = opaque;
    for (uint32_t i = 0; i < yd_plan_packet_count(state->plan); i++)
        visit(arg, yd_plan_packet_name(state->plan, i), yd_decoder_packet_count(state->decoder, i));
}

static enum yd_turn_result answer(struct state *state, struct yd_input *input, struct yd_out *out)
{
    struct yd_rows rows;
    if (yd_rows_op(input->batch, YD_REDEFINE_OP)) return redefine(state, input, out);
    if (yd_rows_op(input->batch, "reload")) {
        if (state->is_reading || state->next || state->ended) {
            (void)yd_reply_error(out, 0, state->ended ? YD_ECLOSED : YD_EBUSY, "%s",
                                 state->ended ? ENDED : "it is being read again already");
            return YD_DONE;
        }
        struct yd_redefinition *made = calloc(1, sizeof *made);
        if (!made) return YD_FAIL;
        state->asked = yd_keep_query(out);
        state->is_reading = true;
        return yd_out_command(out, YD_REDEFINE_READ, 0, NULL, made, yd_redefinition_free) < 0 ? YD_FAIL : YD_DONE;
    }
    if (!yd_rows_op(input->batch, "packets")) return yd_rows_unknown(input, out, "packets, reload");
    yd_rows_begin(&rows, input, out);
    for (uint32_t i = 0; i < yd_plan_packet_count(state->plan) && rows.error == 0; i++) {
        const struct decoded decoded = {yd_decoder_packet_count(state->decoder, i)};
        struct yd_str name = yd_plan_packet_name(state->plan, i);
        if (yd_rows_match(&rows, name)) yd_rows_add(&rows, name, input->wall_ns, fill_decoded, &decoded);
    }
    return yd_rows_end(&rows);
}

static enum yd_turn_result receive(void *opaque, struct yd_input *input, struct yd_out *out)
{
    struct state *state = opaque;
    switch (input->type) {
    case YD_INPUT_BATCH:
        return on_packets(state, input, out);
    case YD_INPUT_QUERY:
        return answer(state, input, out);
    case YD_INPUT_PUMP:
        return on_read(state, input, out);
    case YD_INPUT_REPLY:
    case YD_INPUT_ERROR:
        return on_answer(state, input, out);
    case YD_INPUT_BLOCKED:
        if (input->error) return YD_DONE;
        return yd_redefine_late_emit(&state->late, out, OUTPUT) < 0 ? YD_FAIL : YD_DONE;
    default:
        return YD_DONE;
    }
}

static enum yd_turn_result drain(void *opaque, struct yd_out *out)
{
    struct state *state = opaque;
    state->out = out;
    state->error = 0;
    state->ended = true; /* the pump goes next: nothing is read again */
    int r = yd_redefine_late_emit(&state->late, out, OUTPUT);
    if (r >= 0) r = yd_decoder_end(state->decoder);
    if (r >= 0) r = yd_decoder_flush(state->decoder);
    if (r >= 0) r = state->error;
    if (r < 0) yd_say(out, 2, "%s", yd_error_text(r));
    return r < 0 ? YD_FAIL : YD_DONE;
}

const struct yd_element_class yd_class_decom = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_WATCHES,
    .name = "Decom",
    .summary = "cuts measurements out of packets by a definition",
    .doc =
        "The definition (docs/ydm.md) says which packets there are, what tells them apart and which fields they have.\n"
        "It is compiled when the element starts; mistakes in it are said with their place.\n\n"
        "- Each field becomes a SAMPLE named `DEFINITION.PACKET.FIELD`: a number, a boolean, a text (labels of an\n"
        "  enumeration, strings), or bytes. A value that is not valid has the quality flag; one that cannot be has\n"
        "  no value at all, and the flag.\n"
        "- The time is the packet's, which is when it was received; or what a field marked `stamp` says.\n"
        "- Packets that do not decode are counted by reason, and come out of `rejects`. A packet decodes whole or not\n"
        "  at all.\n"
        "- Where a `sequence` counter skips, a TALLY `DEFINITION.lost` says how many are missing, with the counter's\n"
        "  key as tag.\n"
        "- `yarder ask NAME reload` reads a definition that was changed: it is compiled and held against every "
        "Derive,\n"
        "  Limits and Decom of the same file first. Wrong: refused with its first mistake, the one in use goes on. "
        "Right:\n"
        "  it is in use from the next packet on, by all of them; nothing is lost, counters go on.\n"
        "- How many packets of each kind were decoded: in the status and `yarder top`, as `yarder.packets` of a Self, "
        "and\n"
        "  by `yarder ask NAME packets`.\n",
    .example = "udp :: Udp(listen: \"127.0.0.1:5000\") -> decom :: Decom(definition: \"rocket.ydm\") -> Print()\n"
               "decom.rejects -> File(path: \"rejects.txt\")\n",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct state),
    .check = check,
    .check_file = check_file,
    .open = open_decom,
    .close = close_decom,
    .receive = receive,
    .pump = &yd_redefine_pump,
    .drain = drain,
    .part = "packet",
    .parts = each_part,
};
