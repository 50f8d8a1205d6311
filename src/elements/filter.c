/* Filter: passes the records that match, sends the rest to its other port.
 *
 * A name is judged once per batch, however many records bear it. A batch that matches whole goes on as it is: a
 * reference moves, nothing is copied. What is filtered out on purpose is counted as folded. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "batch/record_text.h"

enum { PORT_INPUT, PORT_OUTPUT, PORT_REST };
#define CELLS_MAX 8

struct filter {
    struct yd_pattern *pattern; /* NULL: any name */
    bool negate, has_rest;
    uint32_t kinds;
    double min, max; /* NaN: no bound */
    size_t cell_count;
    struct {
        struct yd_str key, glob;
    } cells[CELLS_MAX];
    struct yd_buf names; /* one byte a name of the batch at hand: matches or not */
    struct yd_buf keep;  /* one byte a record */
};

static int kind_of(struct yd_str text)
{
    for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT; kind++)
        if (strlen(yd_kind_name(kind)) == text.size && strncasecmp(yd_kind_name(kind), text.data, text.size) == 0)
            return kind;
    return 0;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *kinds = yd_args_find(args, "kinds"), *where = yd_args_find(args, "where");
    for (size_t i = 0; kinds && i < kinds->list.count; i++) {
        const struct yd_arg *item = &kinds->list.items[i];
        if (item->type != YD_PARAM_TEXT || !kind_of(item->text)) {
            snprintf(why, why_size, "kinds: a list of sample, tally, delta, state, event, fact, packet, row");
            return YD_EINVAL;
        }
    }
    if (where && where->list.count > CELLS_MAX) {
        snprintf(why, why_size, "where: at most %d cells", CELLS_MAX);
        return YD_EINVAL;
    }
    for (size_t i = 0; where && i < where->list.count; i++)
        if (where->list.items[i].type != YD_PARAM_TEXT) {
            snprintf(why, why_size, "where: %s wants a glob in quotes", where->list.items[i].name);
            return YD_EINVAL;
        }
    if (yd_args_find(args, "min") && yd_args_find(args, "max") &&
        yd_args_float(args, "min") > yd_args_float(args, "max")) {
        snprintf(why, why_size, "min is above max: no number is between them");
        return YD_EINVAL;
    }
    return 0;
}

static int open_filter(struct yd_element *element, void *state)
{
    struct filter *filter = state;
    const struct yd_args *args = yd_element_args(element);
    const struct yd_arg *kinds = yd_args_find(args, "kinds"), *where = yd_args_find(args, "where");
    struct yd_str match = yd_args_text(args, "match");
    yd_buf_init(&filter->names, NULL);
    yd_buf_init(&filter->keep, NULL);
    if (match.size && yd_pattern_compile(match, &filter->pattern) < 0)
        return yd_element_fail(element, YD_EFORMAT, "match: '%.*s' is not a name pattern", YD_STR_FMT(match));
    filter->negate = yd_args_bool(args, "negate");
    filter->has_rest = yd_element_wired(element, PORT_REST);
    filter->kinds = kinds && kinds->list.count ? 0 : YD_KINDS_ALL;
    for (size_t i = 0; kinds && i < kinds->list.count; i++)
        filter->kinds |= YD_KIND_BIT(kind_of(kinds->list.items[i].text));
    filter->min = yd_args_find(args, "min") ? yd_args_float(args, "min") : NAN;
    filter->max = yd_args_find(args, "max") ? yd_args_float(args, "max") : NAN;
    for (size_t i = 0; where && i < where->list.count; i++) {
        filter->cells[i].key = yd_str_of(where->list.items[i].name);
        filter->cells[i].glob = where->list.items[i].text;
    }
    filter->cell_count = where ? where->list.count : 0;
    return 0;
}

static void close_filter(void *state)
{
    struct filter *filter = state;
    yd_pattern_destroy(filter->pattern);
    yd_buf_fini(&filter->names);
    yd_buf_fini(&filter->keep);
}

static bool cells_match(const struct filter *filter, const struct yd_view *view, const struct yd_record *record)
{
    if (filter->cell_count == 0) return true;
    if (record->type != YD_MAP) return false;
    bool match = true;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    for (size_t i = 0; match && i < filter->cell_count; i++) {
        const struct yd_cell *cell = yd_view_find(view, record->value, filter->cells[i].key);
        yd_buf_clear(&text);
        if (cell) yd_value_text(view, (enum yd_type)cell->type, cell->value, &text);
        match = cell && yd_text_glob(filter->cells[i].glob, yd_buf_view(&text));
    }
    yd_buf_fini(&text);
    return match;
}

static bool record_matches(const struct filter *filter, const struct yd_view *view, const struct yd_record *record)
{
    double value;
    if (!(filter->kinds & YD_KIND_BIT(record->kind))) return false;
    if (filter->pattern && !filter->names.data[record->name]) return false;
    if (!isnan(filter->min) || !isnan(filter->max)) {
        if (!yd_value_number(record->type, record->value, &value)) return false;
        if (value < filter->min || value > filter->max || isnan(value)) return false;
    }
    return cells_match(filter, view, record);
}

/* Fills names and keep; returns how many records are kept, negative when out of memory. */
static int64_t judge(struct filter *filter, const struct yd_view *view)
{
    yd_buf_clear(&filter->names);
    yd_buf_clear(&filter->keep);
    char *names = yd_buf_reserve(&filter->names, view->name_count + 1);
    char *keep = yd_buf_reserve(&filter->keep, view->count + 1);
    if (!names || !keep) return YD_ENOMEM;
    for (uint32_t i = 0; filter->pattern && i < view->name_count; i++)
        names[i] = yd_pattern_match(filter->pattern, yd_view_name(view, i));
    int64_t kept = 0;
    for (uint32_t i = 0; i < view->count; i++)
        kept += keep[i] = record_matches(filter, view, &view->records[i]) != filter->negate;
    return kept;
}

static int emit_selection(struct filter *filter, struct yd_batch *batch, unsigned port, struct yd_out *out)
{
    struct yd_batch *part;
    int error = yd_batch_select(batch, (const uint8_t *)filter->keep.data, &part);
    return error < 0 ? error : yd_emit(out, port, part);
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct filter *filter = state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    struct yd_batch *batch = input->batch;
    uint32_t count = batch->view.count;
    int64_t kept = judge(filter, &batch->view);
    if (kept < 0) return YD_FAIL;
    if (kept == count) return yd_emit(out, PORT_OUTPUT, yd_batch_ref(batch)) < 0 ? YD_FAIL : YD_DONE;
    if (kept > 0 && emit_selection(filter, batch, PORT_OUTPUT, out) < 0) return YD_FAIL;
    if (!filter->has_rest) {
        yd_count_folded(out, count - (uint64_t)kept);
        return YD_DONE;
    }
    if (kept == 0) return yd_emit(out, PORT_REST, yd_batch_ref(batch)) < 0 ? YD_FAIL : YD_DONE;
    for (uint32_t i = 0; i < count; i++) filter->keep.data[i] = !filter->keep.data[i];
    return emit_selection(filter, batch, PORT_REST, out) < 0 ? YD_FAIL : YD_DONE;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "Records of any kind."},
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KINDS_ALL,
                     .flags = YD_PORT_REQUIRED | YD_PORT_PASSES,
                     .doc = "Those that match, in their order."},
    [PORT_REST] = {.name = "rest",
                   .direction = YD_OUT,
                   .mode = YD_PUSH,
                   .kinds = YD_KINDS_ALL,
                   .flags = YD_PORT_PASSES | YD_PORT_OPTIONAL_REJECTS,
                   .doc = "Those that do not match. Unwired, they are counted as filtered out."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "match",
     .type = YD_PARAM_TEXT,
     .flags = YD_PARAM_PATTERN,
     .doc = "A name pattern: `metric-glob tag=glob,…`. Without it every name matches."},
    {.name = "kinds", .type = YD_PARAM_LIST, .doc = "Only these kinds: `[sample, state]`."},
    {.name = "where",
     .type = YD_PARAM_MAP,
     .doc = "For ROWs: globs for cells as they are printed, all of which must match: `{type: \"*.c\", ok: \"true\"}`."},
    {.name = "min", .type = YD_PARAM_FLOAT, .doc = "Only numbers of at least this."},
    {.name = "max", .type = YD_PARAM_FLOAT, .doc = "Only numbers of at most this."},
    {.name = "negate", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Pass what does not match instead."},
    {.name = NULL},
};

const struct yd_element_class yd_class_filter = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_REPEATS,
    .name = "Filter",
    .summary = "passes the records that match",
    .doc =
        "All conditions given must hold. A record that does not fit them goes to `rest`, or is counted as filtered out "
        "when nothing is wired there. Order is kept on each port.",
    .example = "metrics -> Filter(match: \"cpu.* host=web*\", min: 0) -> Print()",
    .ports = ports,
    .params = params,
    .state_size = sizeof(struct filter),
    .check = check,
    .open = open_filter,
    .close = close_filter,
    .receive = receive,
};
