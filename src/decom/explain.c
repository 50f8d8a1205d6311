/* One packet, looked at closely: which containers were tried and why they match or do not, each field with its place,
 * its raw and its engineering value, or precisely why there is none.
 *
 * The same machine runs as for a decoder, with a trace; the plan must have been compiled `closely`, so that every field
 * is a step. */
#include <inttypes.h>
#include <stdio.h>

#include "base/terminal.h"
#include "base/text.h"
#include "decom/frame.h"

struct explaining {
    struct yd__machine machine;
    struct yd_buf *to;
    struct yd_json json;
    const struct yd__program *program; /* NULL: a frame's, whose values are named as they are written */
    bool as_json;
    unsigned shown;
};

static void put_value(struct yd_buf *to, const struct yd_decom_value *value)
{
    char digits[32];
    switch (value->type) {
    case YD_BOOL:
        yd_buf_cstr(to, value->u64 ? "true" : "false");
        break;
    case YD_I64:
        yd_buf_add(to, digits, yd_text_put_i64(digits, value->i64));
        break;
    case YD_U64:
        yd_buf_add(to, digits, yd_text_put_u64(digits, value->u64));
        break;
    case YD_F64:
        yd_buf_add(to, digits, yd_text_put_f64(digits, value->f64));
        break;
    case YD_TEXT:
        yd_buf_char(to, '"');
        yd_buf_shown(to, (struct yd_str){value->bytes.data, YD_MIN(value->bytes.size, (size_t)200)});
        yd_buf_char(to, '"');
        break;
    case YD_BLOB:
        for (size_t i = 0; i < YD_MIN(value->bytes.size, (size_t)32); i++)
            yd_buf_printf(to, "%02x", (uint8_t)value->bytes.data[i]);
        if (value->bytes.size > 32) yd_buf_cstr(to, "…");
        break;
    default:
        yd_buf_cstr(to, "none");
        break;
    }
}

static void json_value(struct yd_json *json, const struct yd_decom_value *value)
{
    struct yd_buf text;
    switch (value->type) {
    case YD_BOOL:
        yd_json_bool(json, value->u64 != 0);
        break;
    case YD_I64:
        yd_json_i64(json, value->i64);
        break;
    case YD_U64:
        yd_json_u64(json, value->u64);
        break;
    case YD_F64:
        yd_json_f64(json, value->f64);
        break;
    case YD_TEXT:
        yd_json_str(json, value->bytes);
        break;
    case YD_BLOB:
        yd_buf_init(&text, NULL);
        for (size_t i = 0; i < value->bytes.size; i++) yd_buf_printf(&text, "%02x", (uint8_t)value->bytes.data[i]);
        yd_json_str(json, yd_buf_view(&text));
        yd_buf_fini(&text);
        break;
    default:
        yd_json_null(json);
        break;
    }
}

/* ---- conditions, with what their fields are ---- */

static void put_condition(const struct explaining *e, const struct yd__condition *c, struct yd_buf *to, unsigned depth)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    if (depth > 8) {
        yd_buf_cstr(to, "…");
        return;
    }
    if (c->logic == YD_DEF_NOT) {
        yd_buf_cstr(to, "not (");
        put_condition(e, c->a, to, depth + 1);
        yd_buf_char(to, ')');
        return;
    }
    if (c->logic != YD_DEF_COMPARE) {
        bool brackets = depth && c->logic == YD_DEF_OR;
        if (brackets) yd_buf_char(to, '(');
        put_condition(e, c->a, to, depth + 1);
        yd_buf_cstr(to, c->logic == YD_DEF_AND ? " and " : " or ");
        put_condition(e, c->b, to, depth + 1);
        if (brackets) yd_buf_char(to, ')');
        return;
    }
    struct yd_str name = c->source->field.name;
    yd_buf_printf(to, "%.*s %s ", YD_STR_FMT(name), ops[c->op]);
    if (c->other_field)
        yd_buf_str(to, c->source->other.name);
    else
        put_value(to, &c->value);
    const struct yd_decom_value *is = &e->machine.registers[c->reg];
    if (yd__condition_holds(c, e->machine.registers)) return;
    struct yd_decom_value shown = *is;
    if (c->label || c->calibrated) shown = yd__field_value(c->field, *is, e->machine.registers);
    yd_buf_cstr(to, " (it is ");
    put_value(to, &shown);
    yd_buf_char(to, ')');
}

static void on_node(void *arg, const struct yd__node *node, bool taken, bool loaded, const char *why)
{
    struct explaining *e = arg;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    if (node->when && loaded)
        put_condition(e, node->when, &text, 0);
    else
        yd_buf_cstr(&text, why);
    struct yd_str name = node->container->name;
    if (e->as_json) {
        yd_json_object(&e->json);
        yd_json_key(&e->json, "container");
        yd_json_str(&e->json, name);
        yd_json_key(&e->json, "matches");
        yd_json_bool(&e->json, taken);
        yd_json_key(&e->json, "why");
        yd_json_str(&e->json, yd_buf_view(&text));
        yd_json_object_end(&e->json);
    } else {
        yd_buf_printf(e->to, "  %s %-24.*s %.*s\n", taken ? "yes" : "no ", YD_STR_FMT(name),
                      YD_STR_FMT(yd_buf_view(&text)));
    }
    yd_buf_fini(&text);
}

/* ---- fields ---- */

static void put_place(const struct explaining *e, struct yd_buf *to, const struct yd__step *step, uint64_t at,
                      uint64_t bits)
{
    (void)e;
    char text[64];
    int size = at % 8 == 0 && bits % 8 == 0 ? snprintf(text, sizeof text, "%" PRIu64 "+%" PRIu64, at / 8, bits / 8)
                                            : snprintf(text, sizeof text, "%" PRIu64 " bit %" PRIu64 " +%" PRIu64 "b%s",
                                                       at / 8, at % 8, bits, step->field.lsb0 ? " lsb0" : "");
    yd_buf_printf(to, "%-17.*s ", size, text);
}

static void on_value(void *arg, const struct yd__step *step, uint32_t index, uint64_t at, uint64_t bits,
                     const struct yd_decom_value *raw, const struct yd_decom_value *value, const char *why)
{
    struct explaining *e = arg;
    bool numbered = step->dimensions > 0;
    bool same = raw && value && raw->type == value->type &&
                (raw->type == YD_TEXT || raw->type == YD_BLOB || raw->u64 == value->u64);
    struct yd_str unit = step->entry->type->unit;
    e->shown++;
    struct yd_str published = YD_STR("");
    if (raw && e->program && step->name != YD__NONE) published = e->program->names[step->name + e->machine.name_shift];
    if (e->as_json) {
        yd_json_object(&e->json);
        yd_json_key(&e->json, "field");
        yd_json_cstr(&e->json, step->path);
        if (numbered) {
            yd_json_key(&e->json, "index");
            yd_json_u64(&e->json, index);
        }
        if (published.size && !yd_str_eq(published, yd_str_of(step->path))) { /* of this element */
            yd_json_key(&e->json, "name");
            yd_json_str(&e->json, published);
        }
        yd_json_key(&e->json, "bit");
        yd_json_u64(&e->json, at);
        yd_json_key(&e->json, "bits");
        yd_json_u64(&e->json, bits);
        if (raw) {
            yd_json_key(&e->json, "raw");
            json_value(&e->json, raw);
            yd_json_key(&e->json, "value");
            json_value(&e->json, value);
        }
        if (unit.size) {
            yd_json_key(&e->json, "unit");
            yd_json_str(&e->json, unit);
        }
        if (why) {
            yd_json_key(&e->json, "why");
            yd_json_cstr(&e->json, why);
        }
        yd_json_object_end(&e->json);
        return;
    }
    yd_buf_cstr(e->to, "  ");
    put_place(e, e->to, step, at, bits);
    char name[160];
    if (published.size)
        (void)snprintf(name, sizeof name, "%.*s", YD_STR_FMT(published));
    else
        (void)snprintf(name, sizeof name, numbered ? "%s[%u]" : "%s", step->path, index);
    yd_buf_printf(e->to, "%-32s ", name);
    if (raw) {
        put_value(e->to, raw);
        if (!same) {
            yd_buf_cstr(e->to, " → ");
            put_value(e->to, value);
        }
        if (unit.size) yd_buf_printf(e->to, " %.*s", YD_STR_FMT(unit));
    }
    if (why) yd_buf_printf(e->to, "%s%s", raw ? "   # " : "not there: ", why);
    yd_buf_char(e->to, '\n');
}

/* ---- commutated frames ---- */

/* The minor frames that begin with the pattern, wherever they begin; one alone is believed here. Returns how many. */
static uint32_t explain_frames(struct explaining *e)
{
    const struct yd__frame *frame = e->machine.plan->frame;
    struct yd__machine *machine = &e->machine;
    uint32_t found = 0;
    struct yd__joined joined;
    uint8_t *copy = frame->has_checks ? yd_alloc_get(machine->alloc, frame->bits / 8 + 8) : NULL;
    for (uint64_t at = 0; at + frame->bits <= machine->size_bits; at++) {
        if (!yd__frame_synced(frame, machine->data, machine->size, at, frame->errors)) continue;
        uint32_t index = yd__frame_index(frame, machine->data, machine->size, at);
        found++;
        if (!e->as_json && index == YD__NONE)
            yd_buf_printf(e->to, "sync at bit %" PRIu64 ": its counter says a frame that there is not\n", at);
        else if (!e->as_json)
            yd_buf_printf(e->to, "sync at bit %" PRIu64 ": minor frame %u\n", at, index);
        int why = !copy ? 0 : yd__frame_verify(frame, index, machine->data, machine->size, at, copy);
        if (why && !e->as_json)
            yd_buf_printf(e->to, "  it is refused: %s\n",
                          why == YD_FRAME_CHECKSUM ? "its checksum is wrong" : "a word is not what it always is");
        if (index != YD__NONE) yd__frame_load(frame, index, machine, &joined, machine->data, machine->size, at);
        for (uint32_t i = 0; index != YD__NONE && i < frame->list_sizes[index]; i++) {
            const struct yd__sample *sample = &frame->samples[frame->lists[index][i]];
            struct yd__frame_value read =
                yd__frame_read(frame, sample, machine, &joined, machine->data, machine->size, at);
            struct yd__step step = {.entry = read.field->entry, .field = read.field->field, .path = read.field->path};
            on_value(e, &step, 0, at + sample->pieces[0].at, (uint64_t)sample->piece_count * frame->word_bits,
                     read.is_there ? &read.raw : NULL, read.is_there ? &read.value : NULL,
                     read.is_there ? read.value.why : "its condition does not hold");
        }
        at += frame->bits - 1;
    }
    yd_alloc_put(machine->alloc, copy, frame->bits / 8 + 8);
    return found;
}

/* ---- the whole ---- */

/* Loads what stands on the way to a container, as matching would have done. */
static bool find(struct explaining *e, const struct yd__node *node, struct yd_str name, const struct yd__program **ret)
{
    if (node->container) (void)yd__load_node(&e->machine, node);
    if (node->container && node->program && yd_str_eq(node->container->name, name)) return *ret = node->program, true;
    for (uint32_t i = 0; i < node->child_count; i++)
        if (find(e, node->children[i], name, ret)) return true;
    return false;
}

static void section(struct explaining *e, const char *key)
{
    yd_json_key(&e->json, key);
    yd_json_array(&e->json);
}

int yd_plan_explain(const struct yd_plan *plan, struct yd_str packet, struct yd_str container, bool json,
                    struct yd_buf *to)
{
    struct explaining e = {.to = to, .as_json = json};
    const struct yd__program *program = NULL;
    struct yd__machine *machine = &e.machine;
    int r = yd__machine_init(machine, plan, NULL);
    if (r < 0) return r;
    machine->data = (const uint8_t *)packet.data;
    machine->size = packet.size;
    machine->size_bits = (uint64_t)packet.size * 8;
    machine->trace_arg = &e;
    if (json) {
        yd_json_init(&e.json, to, true);
        yd_json_object(&e.json);
        yd_json_key(&e.json, "size");
        yd_json_u64(&e.json, packet.size);
        section(&e, "containers");
    } else {
        yd_buf_printf(to, "a packet of %zu bytes\n", packet.size);
    }
    if (!packet.size) {
        r = 1 + YD_DECOM_NOT_BYTES;
    } else if (plan->frame) {
        program = plan->frame->program;
    } else if (container.size) {
        r = find(&e, &plan->root, container, &program) ? 0 : YD_ENOENT;
    } else {
        machine->trace_node = on_node;
        r = yd__match(machine, &program);
        machine->trace_node = NULL;
    }
    if (json) {
        yd_json_array_end(&e.json);
        yd_json_key(&e.json, "packet");
        if (program)
            yd_json_str(&e.json, program->container->name);
        else
            yd_json_null(&e.json);
        section(&e, "fields");
    } else if (program) {
        yd_buf_printf(to, "%.*s%s\n", YD_STR_FMT(program->container->name),
                      container.size && !plan->frame ? ", as was asked" : "");
    }
    bool ran = r == 0 && !plan->frame;
    if (ran) e.program = program;
    if (r == 0 && plan->frame && !explain_frames(&e)) r = 1 + YD_DECOM_NO_SYNC;
    int size = ran ? yd__check_size(machine, program) : 0;
    machine->trace = on_value;
    if (ran) r = yd__run_steps(machine, program);
    /* A decoder looks at the size before anything else. The steps have been run even so: what there is can be seen. */
    if (size && r >= 0 && r != size) {
        r = size;
        machine->failed = NULL;
    }
    if (json) {
        yd_json_array_end(&e.json);
        yd_json_key(&e.json, "decoded");
        yd_json_bool(&e.json, r == 0);
        if (r > 0) {
            yd_json_key(&e.json, "why");
            yd_json_cstr(&e.json, yd_decom_reason_text((enum yd_decom_reason)(r - 1)));
            if (machine->failed) {
                yd_json_key(&e.json, "at");
                yd_json_cstr(&e.json, machine->failed->path);
            }
        }
        yd_json_object_end(&e.json);
        yd_buf_char(to, '\n');
    } else if (r > 0) {
        yd_buf_printf(to, "not decoded: %s", yd_decom_reason_text((enum yd_decom_reason)(r - 1)));
        if (machine->failed) yd_buf_printf(to, ", at '%s'", machine->failed->path);
        if (program && r == 1 + YD_DECOM_TRUNCATED && program->least_bits > machine->size_bits)
            yd_buf_printf(to, ": at least %" PRIu64 " bytes are wanted", (program->least_bits + 7) / 8);
        if (program && r == 1 + YD_DECOM_TOO_LONG && !program->is_dynamic)
            yd_buf_printf(to, ": %" PRIu64 " bytes are wanted", (program->least_bits + 7) / 8);
        if (r == 1 + YD_DECOM_CHECKSUM) yd_buf_printf(to, ": the bytes give %u", machine->checksum);
        yd_buf_char(to, '\n');
    }
    yd__machine_fini(machine);
    return r;
}
