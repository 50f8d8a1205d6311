/* Records as JSON and as lines: see record_text.h. Views are checked before, so nothing here is trusted twice. */
#include "batch/record_text.h"

#include <math.h>

static const char *const state_codes[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static void hex(const struct yd_view *view, union yd_value value, struct yd_buf *to)
{
    static const char digits[] = "0123456789abcdef";
    struct yd_str bytes = yd_view_bytes(view, value);
    char *at = yd_buf_reserve(to, bytes.size * 2);
    if (!at) return;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    to->size += bytes.size * 2;
}

static void cells_json(const struct yd_view *view, enum yd_type type, union yd_value value, struct yd_json *json)
{
    const struct yd_cells *cells = yd_view_cells(view, value);
    if (type == YD_MAP)
        yd_json_object(json);
    else
        yd_json_array(json);
    for (uint32_t i = 0; i < cells->count; i++) {
        const struct yd_cell *cell = &cells->cell[i];
        if (type == YD_MAP) yd_json_key_str(json, yd_view_name(view, cell->name));
        yd_value_json(view, cell->type, cell->value, json);
    }
    if (type == YD_MAP)
        yd_json_object_end(json);
    else
        yd_json_array_end(json);
}

void yd_value_json(const struct yd_view *view, enum yd_type type, union yd_value value, struct yd_json *json)
{
    switch (type) {
    case YD_BOOL:
        yd_json_bool(json, value.u64 != 0);
        return;
    case YD_I64:
        yd_json_i64(json, value.i64);
        return;
    case YD_U64:
        yd_json_u64(json, value.u64);
        return;
    case YD_F64:
        yd_json_f64(json, value.f64);
        return;
    case YD_TEXT:
        yd_json_str(json, yd_view_bytes(view, value));
        return;
    case YD_BLOB: {
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        hex(view, value, &text);
        yd_json_str(json, yd_buf_view(&text));
        yd_buf_fini(&text);
        return;
    }
    case YD_LIST:
    case YD_MAP:
        cells_json(view, type, value, json);
        return;
    case YD_NIL:
    case YD_TYPE_COUNT:
        break;
    }
    yd_json_null(json);
}

void yd_record_json(const struct yd_view *view, uint32_t index, uint64_t seqno, struct yd_json *json)
{
    const struct yd_record *record = &view->records[index];
    char time[40];
    yd_json_object(json);
    if (seqno != YD_NO_SEQNO) {
        yd_json_key(json, "seqno");
        yd_json_u64(json, seqno);
    }
    yd_json_key(json, "time");
    yd_json_str(json, (struct yd_str){time, yd_text_put_time(time, sizeof time, record->time_ns)});
    yd_json_key(json, "name");
    yd_json_str(json, yd_view_name(view, record->name));
    yd_json_key(json, "kind");
    yd_json_cstr(json, yd_kind_name(record->kind));
    if (record->kind == YD_STATE) {
        yd_json_key(json, "code");
        yd_json_cstr(json, state_codes[record->flags & YD_RECORD_CODE_MASK]);
    }
    static const struct {
        uint16_t flag;
        const char *key;
    } flags[] = {{YD_RECORD_STALE, "stale"},
                 {YD_RECORD_TRANSITION, "transition"},
                 {YD_RECORD_ROLLOVER, "rollover"},
                 {YD_RECORD_QUALITY, "suspect"},
                 {YD_RECORD_TOMBSTONE, "tombstone"}};
    for (size_t i = 0; i < YD_COUNT(flags); i++)
        if (record->flags & flags[i].flag) {
            yd_json_key(json, flags[i].key);
            yd_json_bool(json, true);
        }
    yd_json_key(json, record->type == YD_BLOB ? "blob" : "value");
    yd_value_json(view, record->type, record->value, json);
    yd_json_object_end(json);
}

int yd_record_to_json(const struct yd_view *view, uint32_t index, uint64_t seqno, char *to, size_t size)
{
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, false);
    yd_record_json(view, index, seqno, &json);
    bool whole = !text.failed;
    size_t made = text.size, part = size ? YD_MIN(made, size - 1) : 0;
    if (part) memcpy(to, text.data, part);
    if (size) to[part] = '\0';
    yd_buf_fini(&text);
    return whole ? (int)made : YD_ENOMEM;
}

void yd_value_text(const struct yd_view *view, enum yd_type type, union yd_value value, struct yd_buf *to)
{
    char number[32];
    switch (type) {
    case YD_BOOL:
        yd_buf_cstr(to, value.u64 ? "true" : "false");
        return;
    case YD_I64:
        yd_buf_add(to, number, yd_text_put_i64(number, value.i64));
        return;
    case YD_U64:
        yd_buf_add(to, number, yd_text_put_u64(number, value.u64));
        return;
    case YD_F64:
        yd_buf_add(to, number, yd_text_put_f64(number, value.f64));
        return;
    case YD_TEXT:
        yd_buf_str(to, yd_view_bytes(view, value));
        return;
    case YD_BLOB:
        hex(view, value, to);
        return;
    default:
        break;
    }
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_value_json(view, type, value, &json);
}

void yd_record_line(const struct yd_view *view, uint32_t index, struct yd_buf *to)
{
    const struct yd_record *record = &view->records[index];
    char time[40];
    yd_buf_add(to, time, yd_text_put_time(time, sizeof time, record->time_ns));
    yd_buf_char(to, ' ');
    yd_buf_str(to, yd_view_name(view, record->name));
    yd_buf_char(to, ' ');
    if (record->kind == YD_STATE) yd_buf_printf(to, "%s ", state_codes[record->flags & YD_RECORD_CODE_MASK]);
    yd_value_text(view, record->type, record->value, to);
    yd_buf_char(to, '\n');
}
