/* One packet out of values: the walk over a plan's steps, writing where the decoder reads.
 *
 *   forced   what the conditions on the way to this packet want of fields (apid == 3), solved once for each packet
 *   steps    in the decoder's order: place, condition, counts out of what was written before, then each value
 *   ends     fields placed from the end of the packet, when it is known where that is
 *   counters sequence fields, when what tells counters apart has been written
 *   checks   checksums, over all that has been written */
#include <stdio.h>

#include "decom/encode_internal.h"

#define FORCED_MAX 64
#define DEPTH_MAX  64
#define TO_END     2 /* elements of a list that goes on to the end of the packet */

int yd__encode_refuse(struct yd_encoder *encoder, const char *path, const char *why)
{
    (void)snprintf(encoder->why, sizeof encoder->why, "%s%s%s", path, *path ? ": " : "", why);
    return YD_ENOTSUP;
}

int yd__encode_no_number(struct yd_encoder *encoder, const char *path, const struct yd__field *field,
                         struct yd_decom_value raw)
{
    char why[160];
    if (raw.type != YD_TEXT) return yd__encode_refuse(encoder, path, "no number that its encoding has");
    (void)snprintf(why, sizeof why, field->label_count ? "'%.*s' is none of its labels" : "'%.*s' is no number",
                   (int)YD_MIN(raw.bytes.size, (size_t)64), raw.bytes.data);
    return yd__encode_refuse(encoder, path, why);
}

/* ---- what a packet's conditions want ---- */

static void load(struct yd__machine *machine, const struct yd__load *loads, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct yd__load *item = &loads[i];
        if (item->at + item->field.bits > machine->size_bits) continue;
        machine->registers[item->reg] =
            yd__field_decode(&item->field, yd__field_bits(&item->field, machine->data, machine->size, item->at));
    }
}

/* A value for which `field op value` holds, or does not hold. */
static bool satisfying(struct yd_encoder *encoder, const struct yd__condition *condition, bool holds,
                       struct yd_decom_value *ret)
{
    static const enum yd_def_op opposite[] = {YD_DEF_NE, YD_DEF_EQ, YD_DEF_GE, YD_DEF_GT, YD_DEF_LE, YD_DEF_LT};
    enum yd_def_op op = holds ? condition->op : opposite[condition->op];
    struct yd_decom_value *registers = encoder->machine.registers, raw = condition->value;
    if ((condition->label || condition->calibrated) &&
        yd__field_raw(condition->field, condition->value, registers, &raw) < 0)
        return false;
    if (raw.type == YD_TEXT || raw.type == YD_BLOB) return *ret = raw, op == YD_DEF_EQ;
    static const int steps[][3] = {[YD_DEF_EQ] = {0, 0, 0},  [YD_DEF_NE] = {1, -1, 2}, [YD_DEF_LT] = {-1, -2, -1},
                                   [YD_DEF_LE] = {0, -1, 0}, [YD_DEF_GT] = {1, 2, 1},  [YD_DEF_GE] = {0, 1, 0}};
    for (int i = 0; i < 3; i++) {
        struct yd_decom_value tried = raw;
        uint64_t bits = 0;
        bool saturated = false;
        if (raw.type == YD_F64)
            tried.f64 += steps[op][i];
        else
            tried = (struct yd_decom_value){.type = YD_I64, .i64 = raw.i64 + steps[op][i]};
        if (raw.type == YD_U64 && raw.u64 > INT64_MAX) tried = raw;
        if (yd__field_encode(condition->field, tried, &bits, &saturated) < 0 || saturated) continue;
        registers[condition->reg] = yd__field_decode(condition->field, bits);
        if (yd__condition_holds(condition, registers) == holds) return *ret = tried, true;
    }
    return false;
}

static bool solve(struct yd_encoder *encoder, struct yd__target *target, const struct yd__condition *condition,
                  bool holds)
{
    if (condition->logic == YD_DEF_NOT) return solve(encoder, target, condition->a, !holds);
    if (condition->logic != YD_DEF_COMPARE) {
        bool both = (condition->logic == YD_DEF_AND) == holds;
        uint32_t before = target->forced_count;
        if (both) return solve(encoder, target, condition->a, holds) && solve(encoder, target, condition->b, holds);
        if (solve(encoder, target, condition->a, holds)) return true;
        target->forced_count = before;
        return solve(encoder, target, condition->b, holds);
    }
    if (condition->other_field) return false; /* two unknowns */
    struct yd_decom_value *registers = encoder->machine.registers;
    for (uint32_t i = 0; i < target->forced_count; i++) {
        uint64_t bits = 0;
        bool saturated = false;
        if (target->forced[i].reg != condition->reg) continue;
        if (yd__field_encode(condition->field, target->forced[i].raw, &bits, &saturated) < 0) return false;
        registers[condition->reg] = yd__field_decode(condition->field, bits);
        return yd__condition_holds(condition, registers) == holds;
    }
    if (target->forced_count == FORCED_MAX) return false;
    struct yd__forced *forced = &target->forced[target->forced_count];
    *forced = (struct yd__forced){.reg = condition->reg, .field = condition->field};
    if (!satisfying(encoder, condition, holds, &forced->raw)) return false;
    target->forced_count++;
    return true;
}

static uint32_t path_to(const struct yd__node *node, const struct yd__program *program, const struct yd__node **path,
                        uint32_t depth)
{
    if (depth == DEPTH_MAX) return 0;
    path[depth] = node;
    if (node->program == program) return depth + 1;
    for (uint32_t i = 0; i < node->child_count; i++) {
        uint32_t found = path_to(node->children[i], program, path, depth + 1);
        if (found) return found;
    }
    return 0;
}

static int aim(struct yd_encoder *encoder, struct yd__target *target, const struct yd__program *program)
{
    const struct yd__node *path[DEPTH_MAX];
    target->program = program;
    target->why = program->unsupported;
    target->forced = yd_alloc_zero(encoder->alloc, FORCED_MAX * sizeof *target->forced);
    if (!target->forced) return YD_ENOMEM;
    uint32_t depth = path_to(&encoder->plan->root, program, path, 0);
    for (uint32_t i = 0; i < depth && !target->why; i++)
        if (path[i]->when && !solve(encoder, target, path[i]->when, true))
            target->why = "no values are known for which it could be told from others";
    for (uint32_t i = 0; i < depth; i++)
        for (uint32_t j = 0; j < path[i]->load_count; j++)
            for (uint32_t k = 0; k < target->forced_count; k++)
                if (target->forced[k].reg == path[i]->loads[j].reg) {
                    target->forced[k].placed = true;
                    target->forced[k].at = path[i]->loads[j].at;
                }
    return 0;
}

static const struct yd__forced *forced_at(const struct yd_encoder *encoder, const struct yd__step *step, uint64_t at)
{
    const struct yd__target *target = encoder->target;
    for (uint32_t i = 0; i < target->forced_count; i++) {
        const struct yd__forced *forced = &target->forced[i];
        if (forced->placed ? forced->at == at && forced->field->bits == step->field.bits : forced->reg == step->reg)
            return forced;
    }
    return NULL;
}

/* ---- what tells how many ---- */

static void bound(const struct yd__amount *amount, uint32_t reg, struct yd_encode_ask *ask)
{
    if (reg == YD__NONE || amount->reg != reg || amount->scale <= 0) return;
    int64_t least = amount->offset < 0 ? (-amount->offset + amount->scale - 1) / amount->scale : 0;
    int64_t most = ((int64_t)YD_MIN(amount->max, (uint64_t)INT32_MAX) - amount->offset) / amount->scale;
    ask->count_min = ask->counts ? YD_MAX(ask->count_min, least) : least;
    ask->count_max = ask->counts ? YD_MIN(ask->count_max, most) : most;
    ask->counts = true;
}

static void bounds(const struct yd__step *steps, uint32_t count, uint32_t reg, struct yd_encode_ask *ask)
{
    for (uint32_t i = 0; i < count; i++) {
        bound(&steps[i].dimension[0], reg, ask);
        bound(&steps[i].dimension[1], reg, ask);
        bound(&steps[i].size, reg, ask);
        bounds(steps[i].children, steps[i].child_count, reg, ask);
    }
}

static int amount_of(struct yd_encoder *encoder, const struct yd__step *step, const struct yd__amount *amount,
                     uint64_t *ret)
{
    if (amount->reg == YD__NONE && !amount->choices) return *ret = (uint64_t)amount->offset, 0;
    __int128 value = -1;
    int64_t chosen;
    if (!amount->choices) {
        struct yd_decom_value told = encoder->machine.registers[amount->reg];
        value = told.type == YD_I64 ? told.i64 : told.type == YD_U64 ? (__int128)told.u64 : -1;
        value = value * amount->scale + amount->offset;
    } else if (yd__choose(amount, encoder->machine.registers, &chosen)) {
        value = (__int128)chosen + amount->offset;
    }
    if (value < 0 || value > amount->max)
        return yd__encode_refuse(encoder, step->path, "the count before it cannot be");
    *ret = (uint64_t)value;
    return 0;
}

static int counts_of(struct yd_encoder *encoder, const struct yd__step *step, uint64_t *ret_total,
                     uint64_t *ret_columns)
{
    uint64_t rows = 1, columns = 1;
    int r = step->dimensions > 0 ? amount_of(encoder, step, &step->dimension[0], &rows) : 0;
    if (r == 0 && step->dimensions > 1) r = amount_of(encoder, step, &step->dimension[1], &columns);
    if (step->to_end) rows = YD_MIN(step->dimension[0].max, (uint64_t)TO_END);
    *ret_total = rows * columns;
    *ret_columns = columns;
    return r;
}

/* ---- values ---- */

static struct yd_encode_ask ask_for(const struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift)
{
    const struct yd__program *program = encoder->target->program;
    struct yd_encode_ask ask = {.entry = step->entry, .field = &step->field, .name = yd_str_of(step->path)};
    ask.published = step->name != YD__NONE;
    if (ask.published) ask.name = program->names[step->name + shift];
    bounds(program->steps, program->step_count, step->reg, &ask);
    bounds(program->dynamic, program->dynamic_count, step->reg, &ask);
    return ask;
}

static void ask_value(struct yd_encoder *encoder, const struct yd_encode_ask *ask, struct yd_encode_answer *answer)
{
    *answer = (struct yd_encode_answer){0};
    encoder->options.value(encoder->options.arg, ask, answer);
}

struct yd_decom_value yd__encode_raw(struct yd_encoder *encoder, const struct yd__field *field,
                                     struct yd_encode_ask *ask)
{
    struct yd_encode_answer answer;
    ask_value(encoder, ask, &answer);
    if (!answer.raw && answer.value.type != YD_NIL &&
        yd__field_raw(field, answer.value, encoder->machine.registers, &answer.value) < 0) {
        ask->raw = true;
        ask_value(encoder, ask, &answer);
        ask->raw = false;
    }
    if (answer.value.type == YD_NIL) return (struct yd_decom_value){.type = YD_U64};
    if (ask->counts && answer.value.type == YD_F64)
        return (struct yd_decom_value){.type = YD_I64, .i64 = (int64_t)answer.value.f64};
    return answer.value;
}

static void tell(struct yd_encoder *encoder, const struct yd__step *step, const struct yd_encode_ask *ask,
                 struct yd_decom_value raw)
{
    struct yd_decom_value *registers = encoder->machine.registers;
    if (step->reg != YD__NONE) registers[step->reg] = raw;
    if (!encoder->options.told) return;
    struct yd_decom_value value = yd__field_value(&step->field, raw, registers);
    encoder->options.told(encoder->options.arg, ask, &raw, &value);
}

static int room_for(struct yd_encoder *encoder, const struct yd__step *step, uint64_t at, uint64_t bits)
{
    if (at + bits > YD__ENCODE_ROOM * 8u) return yd__encode_refuse(encoder, step->path, "beyond 64 KiB"), YD_ETOOBIG;
    encoder->furthest = YD_MAX(encoder->furthest, at + bits);
    return 0;
}

static int put_number(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift, uint64_t at)
{
    const struct yd_def_entry *entry = step->entry;
    const struct yd__forced *forced = forced_at(encoder, step, at);
    struct yd_encode_ask ask = ask_for(encoder, step, shift);
    struct yd_decom_value raw = {.type = YD_U64};
    uint64_t bits = 0;
    bool saturated = false;
    if (entry->sequence && !forced) {
        if (encoder->sequence_count == YD__ENCODE_PENDING)
            return yd__encode_refuse(encoder, step->path, "too many sequence counters");
        encoder->sequences[encoder->sequence_count++] = (struct yd__pending){step, at, 0};
        return 0;
    }
    if (step->checks) {
        if (encoder->check_count == YD__ENCODE_PENDING)
            return yd__encode_refuse(encoder, step->path, "too many checksums");
        encoder->checks[encoder->check_count++] = (struct yd__pending){step, at, shift};
        return 0;
    }
    if (entry->has_constant) {
        if (!yd__field_constant(&step->field, entry->constant, &bits))
            return yd__encode_refuse(encoder, step->path, "it is never what it should always be");
    } else if (forced) {
        raw = forced->raw;
    } else {
        raw = yd__encode_raw(encoder, &step->field, &ask);
    }
    if (!entry->has_constant && yd__field_encode(&step->field, raw, &bits, &saturated) < 0)
        return yd__encode_no_number(encoder, step->path, &step->field, raw);
    encoder->saturated += saturated;
    yd__field_put(&step->field, bits, encoder->room, at);
    tell(encoder, step, &ask, yd__field_decode(&step->field, bits));
    return 0;
}

static int run(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift);

static int put_time(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift, uint64_t at)
{
    struct yd_encode_ask ask = ask_for(encoder, step, shift);
    struct yd_encode_answer answer;
    uint8_t bytes[24];
    const struct yd__field byte = {.bits = 8};
    ask_value(encoder, &ask, &answer);
    yd__field_put_time(&step->field, answer.value.type == YD_F64 ? (int64_t)answer.value.f64 : answer.value.i64, bytes);
    for (uint32_t i = 0; i < yd__time_bytes(step->field.type); i++)
        yd__field_put(&byte, bytes[i], encoder->room, at + i * 8);
    tell(encoder, step, &ask, yd__field_time(&step->field, bytes));
    return 0;
}

/* ---- text and bytes ---- */

size_t yd__encode_text(const struct yd_def_type *type, struct yd_str text, char *to, uint64_t room)
{
    bool wide = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE;
    size_t used = 0;
    for (size_t i = 0; i < text.size;) {
        const uint8_t *p = (const uint8_t *)text.data + i;
        size_t size = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
        if (type->encoding == YD_DEF_BINARY) size = 1;
        if (i + size > text.size) break;
        uint32_t code = size == 1 ? p[0] : p[0] & (0x7fu >> size);
        for (size_t j = 1; j < size; j++) code = code << 6 | (p[j] & 63);
        i += size;
        if (wide) {
            uint32_t units[2] = {code, 0}, count = 1;
            if (code >= 0x10000) {
                units[0] = 0xd800 + ((code - 0x10000) >> 10);
                units[1] = 0xdc00 + ((code - 0x10000) & 0x3ff);
                count = 2;
            }
            if (used + 2 * count > room) break;
            for (uint32_t j = 0; j < count; j++) {
                to[used++] = (char)(type->charset == YD_DEF_UTF16BE ? units[j] >> 8 : units[j]);
                to[used++] = (char)(type->charset == YD_DEF_UTF16BE ? units[j] : units[j] >> 8);
            }
            continue;
        }
        bool plain = type->encoding == YD_DEF_BINARY || type->charset == YD_DEF_UTF8;
        size_t step = plain ? size : 1;
        if (used + step > room) break;
        if (plain)
            memcpy(to + used, p, step);
        else
            to[used] = (char)(code < (type->charset == YD_DEF_ASCII ? 0x80u : 0x100u) ? code : '?');
        used += step;
    }
    return used;
}

static void put_bytes(struct yd_encoder *encoder, uint64_t at, const void *bytes, size_t size)
{
    const struct yd__field byte = {.bits = 8};
    for (size_t i = 0; i < size; i++) yd__field_put(&byte, ((const uint8_t *)bytes)[i], encoder->room, at + i * 8);
}

/* Others ask for it later, when this text's room has another one. */
static int keep_text(struct yd_encoder *encoder, const struct yd__step *step, struct yd_decom_value *raw)
{
    if (step->reg == YD__NONE || (raw->type != YD_TEXT && raw->type != YD_BLOB)) return 0;
    if (!encoder->texts && !(encoder->texts = yd_alloc_get(encoder->alloc, YD__ENCODE_TEXTS))) return YD_ENOMEM;
    if (raw->bytes.size > YD__ENCODE_TEXTS - encoder->text_size)
        return yd__encode_refuse(encoder, step->path, "too much text that others ask for");
    char *room = encoder->texts + encoder->text_size;
    if (raw->bytes.size) memcpy(room, raw->bytes.data, raw->bytes.size);
    encoder->text_size += raw->bytes.size;
    raw->bytes.data = room;
    return 0;
}

static int put_text(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift, uint64_t *at)
{
    const struct yd_def_type *type = step->field.type;
    struct yd_encode_ask ask = ask_for(encoder, step, shift);
    struct yd_encode_answer answer;
    uint64_t most = step->size.max, whole;
    uint32_t prefix = type->extent == YD_DEF_PREFIXED ? type->prefix_bits / 8 : 0;
    char content[4096], converted[4096 * 3];
    int r = type->extent == YD_DEF_FIXED ? amount_of(encoder, step, &step->size, &most) : 0;
    if (r) return r;
    if (prefix == 1) most = YD_MIN(most, UINT64_C(255));
    ask.room = YD_MIN(most, (uint64_t)sizeof content);
    ask_value(encoder, &ask, &answer);
    size_t size = 0;
    if (answer.value.type == YD_TEXT || answer.value.type == YD_BLOB)
        size = yd__encode_text(type, answer.value.bytes, content, ask.room);
    whole = type->extent == YD_DEF_FIXED ? most : size + prefix;
    uint32_t width = type->extent == YD_DEF_TERMINATED ? type->terminator_size : 0;
    bool wide = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE;
    for (size_t i = 0; width && i + width <= size; i += wide ? 2 : 1)
        if (memcmp(content + i, type->terminator, width) == 0) size = i; /* it would end there */
    if (width) whole = size + width;
    if ((r = room_for(encoder, step, *at, whole * 8))) return r;
    if (prefix) {
        uint64_t told = type->order == YD_DEF_LITTLE ? __builtin_bswap64(size) >> (64 - prefix * 8) : size;
        const struct yd__field number = {.bits = prefix * 8};
        yd__field_put(&number, told, encoder->room, *at);
    }
    put_bytes(encoder, *at + prefix * 8, content, size);
    if (width) put_bytes(encoder, *at + size * 8, type->terminator, width);
    memset(content + size, 0, sizeof content - size);
    size_t read = type->extent == YD_DEF_FIXED ? YD_MIN(most, (uint64_t)sizeof content) : size;
    struct yd_decom_value raw = yd__field_text(&step->field, (struct yd_str){content, read}, converted);
    if ((r = keep_text(encoder, step, &raw))) return r;
    tell(encoder, step, &ask, raw);
    *at += whole * 8;
    return 0;
}

/* ---- the walk ---- */

static uint32_t names_before(const struct yd__step *step, uint64_t i, uint64_t columns)
{
    if (step->columns) i = i / columns * step->columns + i % columns;
    return (uint32_t)i * step->stride;
}

static int run_elements(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift, uint64_t at)
{
    struct yd__machine *machine = &encoder->machine;
    uint64_t count, columns, outer = machine->group;
    int r = counts_of(encoder, step, &count, &columns);
    bool text = step->run == yd__step_bytes, group = step->run == yd__step_group, time = step->run == yd__step_time;
    uint64_t one = text || group ? 0 : time ? yd__time_bytes(step->field.type) * 8u : step->field.bits;
    machine->at = at;
    for (uint64_t i = 0; i < count && r == 0; i++, at += one) {
        uint32_t names = shift + names_before(step, i, columns);
        if ((r = room_for(encoder, step, at, one))) break;
        if (group) {
            machine->group = at;
            for (uint32_t j = 0; j < step->child_count && r == 0; j++) r = run(encoder, &step->children[j], names);
            at = YD_MAX(at, machine->at);
        } else if (text) {
            r = put_text(encoder, step, names, &at);
        } else {
            r = time ? put_time(encoder, step, names, at) : put_number(encoder, step, names, at);
        }
        machine->at = at + one;
    }
    machine->group = outer;
    return r;
}

static int run(struct yd_encoder *encoder, const struct yd__step *step, uint32_t shift)
{
    struct yd__machine *machine = &encoder->machine;
    const struct yd__program *program = encoder->target->program;
    load(machine, program->loads, program->load_count);
    if (step->only_if && !yd__condition_holds(step->only_if, machine->registers)) {
        yd__step_absent(machine, step);
        if (step->skip_to >= 0) machine->at = (uint64_t)step->skip_to;
        return 0;
    }
    if (step->origin == YD__BEFORE_END) {
        if (encoder->end_count == YD__ENCODE_PENDING || shift)
            return yd__encode_refuse(encoder, step->path, "placed from the end, and too many of them");
        encoder->ends[encoder->end_count++] = (struct yd__pending){step, 0, 0};
        return 0;
    }
    int64_t from = step->origin == YD__AFTER ? (int64_t)machine->at : step->in_group ? (int64_t)machine->group : 0;
    if (from + step->offset < 0) return yd__encode_refuse(encoder, step->path, "in front of the packet");
    return run_elements(encoder, step, shift, (uint64_t)(from + step->offset));
}

/* The packet ends where its furthest field does, with room for those that are placed from its end. */
static int run_ends(struct yd_encoder *encoder, uint64_t *ret_bits)
{
    uint64_t room = 0, most = encoder->furthest;
    for (uint32_t i = 0; i < encoder->end_count; i++) {
        int64_t offset = encoder->ends[i].step->offset;
        if (offset >= 0) return yd__encode_refuse(encoder, encoder->ends[i].step->path, "behind the packet");
        room = YD_MAX(room, (uint64_t)-offset);
    }
    *ret_bits = ((most + 7) / 8 + (room + 7) / 8) * 8;
    for (uint32_t i = 0; i < encoder->end_count; i++) {
        const struct yd__step *step = encoder->ends[i].step;
        int r = run_elements(encoder, step, 0, *ret_bits - (uint64_t)-step->offset);
        if (r) return r;
        if (encoder->furthest > *ret_bits)
            return yd__encode_refuse(encoder, step->path, "longer than its place from the end");
    }
    return 0;
}

/* ---- sequence counters ---- */

static int next_of(struct yd_encoder *encoder, uint64_t key, uint64_t by, uint64_t *ret)
{
    for (uint32_t i = 0; i < encoder->counter_count; i++)
        if (encoder->counters[i].key == key && encoder->counters[i].by == by)
            return *ret = encoder->counters[i].next++, 0;
    if (encoder->counter_count == encoder->counter_capacity) {
        uint32_t capacity = encoder->counter_capacity ? encoder->counter_capacity * 2 : 16;
        void *grown =
            yd_alloc_resize(encoder->alloc, encoder->counters, encoder->counter_capacity * sizeof *encoder->counters,
                            capacity * sizeof *encoder->counters);
        if (!grown) return YD_ENOMEM;
        encoder->counters = grown;
        encoder->counter_capacity = capacity;
    }
    encoder->counters[encoder->counter_count++] = (struct yd__counting){key, by, 1};
    return *ret = 0, 0;
}

static int run_sequences(struct yd_encoder *encoder)
{
    const struct yd__program *program = encoder->target->program;
    struct yd__machine *machine = &encoder->machine;
    load(machine, program->loads, program->load_count);
    for (uint32_t i = 0; i < encoder->sequence_count; i++) {
        const struct yd__step *step = encoder->sequences[i].step;
        struct yd_encode_ask ask = ask_for(encoder, step, 0);
        uint64_t number = 0;
        int r = 0;
        for (uint32_t j = 0; j < program->sequence_count && r == 0; j++) {
            const struct yd__sequence *sequence = &program->sequences[j];
            if (sequence->reg != step->reg) continue;
            uint64_t by = sequence->by == YD__NONE ? 0 : machine->registers[sequence->by].u64;
            r = next_of(encoder, sequence->key, by, &number);
        }
        if (r) return r;
        uint32_t n = step->field.bits;
        struct yd_decom_value raw = {.type = YD_U64, .u64 = n == 64 ? number : number & ((UINT64_C(1) << n) - 1)};
        uint64_t bits = 0;
        bool saturated = false;
        (void)yd__field_encode(&step->field, raw, &bits, &saturated);
        yd__field_put(&step->field, bits, encoder->room, encoder->sequences[i].at);
        tell(encoder, step, &ask, yd__field_decode(&step->field, bits));
    }
    return 0;
}

/* ---- checksums ---- */

/* One may be of bytes that another one is among: as many rounds as there are make all of them right, unless two are of
 * each other. */
static int run_checks(struct yd_encoder *encoder, uint64_t size)
{
    uint32_t value = 0, changed = 1;
    for (uint32_t round = 0; changed; round++) {
        changed = 0;
        for (uint32_t i = 0; i < encoder->check_count; i++) {
            const struct yd__step *step = encoder->checks[i].step;
            uint64_t at = encoder->checks[i].at;
            if (!yd__check_value(&step->entry->check, encoder->room, size, at, &value))
                return yd__encode_refuse(encoder, step->path, "a checksum of bytes that are not there");
            changed += yd__field_bits(&step->field, encoder->room, size, at) != value;
            yd__field_put(&step->field, value, encoder->room, at);
        }
        if (round > encoder->check_count) return yd__encode_refuse(encoder, "", "its checksums are of each other");
    }
    for (uint32_t i = 0; i < encoder->check_count; i++) {
        const struct yd__pending *check = &encoder->checks[i];
        struct yd_encode_ask ask = ask_for(encoder, check->step, check->shift);
        uint64_t bits = yd__field_bits(&check->step->field, encoder->room, size, check->at);
        tell(encoder, check->step, &ask, yd__field_decode(&check->step->field, bits));
    }
    return 0;
}

/* ---- a packet ---- */

int yd_encode(struct yd_encoder *encoder, uint32_t packet, struct yd_str *ret_bytes)
{
    if (encoder->plan->frame) return yd__encode_frame(encoder, ret_bytes);
    const struct yd__target *target = encoder->target = &encoder->targets[packet];
    const struct yd__program *program = target->program, *matched = NULL;
    struct yd__machine *machine = &encoder->machine;
    uint64_t bits = 0;
    if (target->why) return yd__encode_refuse(encoder, "", target->why);
    memset(encoder->room, 0, (encoder->furthest + 7) / 8 + 64);
    encoder->furthest = program->least_bits;
    encoder->end_count = encoder->sequence_count = encoder->check_count = 0;
    encoder->text_size = 0;
    machine->size = YD__ENCODE_ROOM;
    machine->size_bits = YD__ENCODE_ROOM * 8u;
    machine->data = encoder->room;
    machine->at = machine->group = 0;
    if (program->least_bits > YD__ENCODE_ROOM * 8u)
        return yd__encode_refuse(encoder, "", "longer than 64 KiB"), YD_ETOOBIG;
    int r = 0;
    for (uint32_t i = 0; i < program->step_count && r == 0; i++) r = run(encoder, &program->steps[i], 0);
    for (uint32_t i = 0; i < program->dynamic_count && r == 0; i++) r = run(encoder, &program->dynamic[i], 0);
    if (r == 0) r = run_ends(encoder, &bits);
    if (r == 0) r = run_sequences(encoder);
    if (r) return r;
    if (!bits) return yd__encode_refuse(encoder, "", "it has no bytes");
    if ((r = run_checks(encoder, bits / 8))) return r;
    machine->size = bits / 8;
    machine->size_bits = bits;
    machine->quiet = false;
    r = yd__match(machine, &matched);
    encoder->furthest = YD_MAX(encoder->furthest, bits);
    if (r < 0) return r;
    if (r > 0 || matched != program) {
        (void)snprintf(encoder->why, sizeof encoder->why, "its bytes would be taken for %s%.*s%s", r ? "none" : "'",
                       r ? 0 : (int)YD_MIN(matched->container->name.size, (size_t)100),
                       r ? "" : matched->container->name.data, r ? "" : "'");
        return YD_ENOTSUP;
    }
    *ret_bytes = (struct yd_str){(const char *)encoder->room, bits / 8};
    return 0;
}

const char *yd_encoder_why(const struct yd_encoder *encoder)
{
    return encoder->why;
}

uint64_t yd_encoder_saturated(const struct yd_encoder *encoder)
{
    return encoder->saturated;
}

/* ---- life ---- */

int yd_encoder_create(const struct yd_plan *plan, const struct yd_encoder_options *options, struct yd_alloc *alloc,
                      struct yd_encoder **ret_encoder)
{
    struct yd_encoder *encoder = yd_alloc_zero(alloc, sizeof *encoder);
    if (!encoder) return YD_ENOMEM;
    *encoder = (struct yd_encoder){.plan = plan, .options = *options, .alloc = alloc};
    int r = yd__machine_init(&encoder->machine, plan, alloc);
    encoder->room = yd_alloc_zero(alloc, YD__ENCODE_ROOM + 64);
    encoder->targets = yd_alloc_zero(alloc, (plan->packet_count + 1) * sizeof *encoder->targets);
    if (r == 0 && (!encoder->room || !encoder->targets)) r = YD_ENOMEM;
    if (r == 0 && plan->frame && !(encoder->out = yd_alloc_zero(alloc, YD__ENCODE_ROOM + 64))) r = YD_ENOMEM;
    for (uint32_t i = 0; r == 0 && !plan->frame && i < plan->packet_count; i++)
        r = aim(encoder, &encoder->targets[i], plan->packets[i]);
    if (r < 0)
        yd_encoder_destroy(encoder);
    else
        *ret_encoder = encoder;
    return r;
}

void yd_encoder_destroy(struct yd_encoder *encoder)
{
    if (!encoder) return;
    const struct yd_plan *plan = encoder->plan;
    for (uint32_t i = 0; encoder->targets && i < plan->packet_count; i++)
        yd_alloc_put(encoder->alloc, encoder->targets[i].forced, FORCED_MAX * sizeof *encoder->targets[i].forced);
    yd_alloc_put(encoder->alloc, encoder->targets, (plan->packet_count + 1) * sizeof *encoder->targets);
    yd_alloc_put(encoder->alloc, encoder->room, YD__ENCODE_ROOM + 64);
    if (encoder->texts) yd_alloc_put(encoder->alloc, encoder->texts, YD__ENCODE_TEXTS);
    yd_alloc_put(encoder->alloc, encoder->out, YD__ENCODE_ROOM + 64);
    yd_alloc_put(encoder->alloc, encoder->counters, encoder->counter_capacity * sizeof *encoder->counters);
    if (encoder->machine.plan) yd__machine_fini(&encoder->machine);
    yd_alloc_put(encoder->alloc, encoder, sizeof *encoder);
}
