/* Questions to elements that remember, and tombstones: see rows.h. Pure: a question in, ROWs out. */
#include "elements/rows.h"

#include <stdio.h>

#include "base/base.h"
#include "base/text.h"

static const struct yd_cell *cell_of(const struct yd_batch *query, const char *key)
{
    const struct yd_view *view = &query->view;
    if (view->count == 0 || view->records[0].type != YD_MAP) return NULL;
    return yd_view_find(view, view->records[0].value, yd_str_of(key));
}

struct yd_str yd_rows_text(const struct yd_batch *query, const char *key)
{
    const struct yd_cell *cell = cell_of(query, key);
    return cell && cell->type == YD_TEXT ? yd_view_bytes(&query->view, cell->value) : YD_STR("");
}

uint64_t yd_rows_number(const struct yd_batch *query, const char *key, uint64_t otherwise)
{
    const struct yd_cell *cell = cell_of(query, key);
    if (!cell || (cell->type != YD_U64 && cell->type != YD_I64 && cell->type != YD_BOOL)) return otherwise;
    return cell->type == YD_I64 && cell->value.i64 < 0 ? otherwise : cell->value.u64;
}

bool yd_rows_op(const struct yd_batch *query, const char *op)
{
    return yd_str_eq(yd_rows_text(query, "op"), yd_str_of(op));
}

void yd_rows_begin(struct yd_rows *rows, struct yd_input *input, struct yd_out *out)
{
    struct yd_str match = yd_rows_text(input->batch, "match");
    *rows = (struct yd_rows){.out = out, .max = yd_rows_number(input->batch, "max", YD_ROWS_MAX)};
    if (rows->max == 0 || rows->max > YD_ROWS_MAX) rows->max = YD_ROWS_MAX;
    if (match.size) rows->error = yd_pattern_compile(match, &rows->pattern);
    if (rows->error == 0) rows->error = yd_builder_create(NULL, &rows->builder);
}

bool yd_rows_match(const struct yd_rows *rows, struct yd_str name)
{
    return rows->error == 0 && (!rows->pattern || yd_pattern_match(rows->pattern, name));
}

void yd_rows_refuse(struct yd_rows *rows, int error, const char *why)
{
    if (rows->error == 0) rows->why = why;
    yd_rows_fail(rows, error);
}

void yd_rows_fail(struct yd_rows *rows, int error)
{
    if (rows->error == 0) rows->error = error;
}

static int add_once(struct yd_rows *rows, struct yd_str name, int64_t time_ns, yd_rows_fill *fill, const void *item)
{
    uint32_t index;
    int error = yd_builder_name(rows->builder, name, &index);
    if (error == 0) error = yd_builder_begin(rows->builder, time_ns, index, YD_ROW, 0, YD_MAP);
    if (error == 0) error = fill(rows->builder, item);
    return error < 0 ? error : yd_builder_end(rows->builder);
}

static void send(struct yd_rows *rows, bool more)
{
    struct yd_batch *batch = NULL;
    int error = yd_builder_seal(rows->builder, &batch);
    if (error < 0 && error != YD_EAGAIN) rows->error = error;
    if (rows->error == 0 && (batch || !more))
        (void)yd_reply(rows->out, 0, batch, more); /* the asker may have gone */
    else
        yd_batch_unref(batch);
}

void yd_rows_add(struct yd_rows *rows, struct yd_str name, int64_t time_ns, yd_rows_fill *fill, const void *item)
{
    if (rows->error < 0) return;
    if (rows->count == rows->max) {
        rows->error = YD_ETOOBIG;
        return;
    }
    int error = add_once(rows, name, time_ns, fill, item);
    if (error == YD_EFULL) {
        send(rows, true);
        error = rows->error < 0 ? rows->error : add_once(rows, name, time_ns, fill, item);
    }
    rows->error = error;
    rows->count++;
}

enum yd_turn_result yd_rows_end(struct yd_rows *rows)
{
    if (rows->error == 0) send(rows, false);
    if (rows->error == YD_ETOOBIG)
        (void)yd_reply_error(rows->out, 0, YD_ETOOBIG, "more than %llu match: narrow `match`",
                             (unsigned long long)rows->max);
    else if (rows->error < 0)
        (void)yd_reply_error(rows->out, 0, rows->error, "%s", rows->why ? rows->why : yd_error_text(rows->error));
    yd_builder_destroy(rows->builder);
    yd_pattern_destroy(rows->pattern);
    return YD_DONE;
}

enum yd_turn_result yd_rows_unknown(struct yd_input *input, struct yd_out *out, const char *known)
{
    struct yd_str op = yd_rows_text(input->batch, "op");
    if (op.size > 64) op.size = 64;
    (void)yd_reply_error(out, 0, YD_EINVAL, "there is no question '%.*s' here: there is %s", YD_STR_FMT(op), known);
    return YD_DONE;
}

/* ---- forgetting ---- */

int yd_tombstone_read(const struct yd_view *view, uint32_t index, struct yd_pattern **ret_pattern, uint32_t *ret_kinds)
{
    const struct yd_record *record = &view->records[index];
    *ret_pattern = NULL;
    if (record->flags & YD_RECORD_TOMBSTONE) {
        *ret_kinds = YD_KIND_BIT(record->kind);
        return 1;
    }
    if (record->kind != YD_ROW || record->type != YD_MAP) return 0;
    if (!yd_str_eq(yd_view_name(view, record->name), YD_STR("yarder.tombstone"))) return 0;
    const struct yd_cell *names = yd_view_find(view, record->value, YD_STR("names"));
    const struct yd_cell *kinds = yd_view_find(view, record->value, YD_STR("kinds"));
    if (!names || names->type != YD_TEXT) return 0;
    *ret_kinds = kinds && kinds->type == YD_TEXT ? yd_kinds_parse(yd_view_bytes(view, kinds->value)) : YD_KINDS_ALL;
    if (*ret_kinds == 0) return 0;
    int error = yd_pattern_compile(yd_view_bytes(view, names->value), ret_pattern);
    return error == YD_ENOMEM ? error : error == 0;
}

bool yd_tombstone_until(const struct yd_view *view, uint32_t index, int64_t *ret_time, bool *ret_seqno)
{
    const struct yd_record *record = &view->records[index];
    *ret_time = INT64_MAX;
    *ret_seqno = false;
    if (record->type != YD_MAP) return true; /* by its flag: its own name, all of it */
    const struct yd_cell *time = yd_view_find(view, record->value, YD_STR("until_time"));
    const struct yd_cell *until = yd_view_find(view, record->value, YD_STR("until"));
    *ret_seqno = until != NULL;
    if (time)
        *ret_time = time->type == YD_U64 ? (int64_t)YD_MIN(time->value.u64, (uint64_t)INT64_MAX) : time->value.i64;
    return (!time || time->type == YD_U64 || time->type == YD_I64) &&
           (!until || until->type == YD_U64 || until->type == YD_I64);
}
