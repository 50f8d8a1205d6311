/* Steps: every field that is not in a lane, one function each, and the walk through the tree of containers.
 *
 * Each step finds its place, checks it against the packet, reads, keeps the raw value where somebody will ask for it,
 * and stages the engineering value. Staged values leave only when the whole packet has been read: a packet that turns
 * out to be damaged leaves nothing behind. */
#include "base/text.h"
#include "decom/plan_internal.h"

int yd__machine_init(struct yd__machine *machine, const struct yd_plan *plan, struct yd_alloc *alloc)
{
    *machine = (struct yd__machine){.plan = plan, .alloc = alloc};
    size_t registers = (plan->register_count + 1) * sizeof *machine->registers;
    machine->registers = yd_alloc_zero(alloc, registers);
    if (!machine->registers) return YD_ENOMEM;
    if (!plan->kept_size || (machine->kept = yd_alloc_get(alloc, plan->kept_size))) return 0;
    yd_alloc_put(alloc, machine->registers, registers);
    machine->registers = NULL;
    return YD_ENOMEM;
}

void yd__machine_fini(struct yd__machine *machine)
{
    if (machine->registers)
        yd_alloc_put(machine->alloc, machine->registers,
                     (machine->plan->register_count + 1) * sizeof *machine->registers);
    if (machine->kept) yd_alloc_put(machine->alloc, machine->kept, machine->plan->kept_size);
    yd_alloc_put(machine->alloc, machine->staged, machine->staged_capacity * sizeof *machine->staged);
    yd_alloc_put(machine->alloc, machine->text, machine->text_capacity);
    *machine = (struct yd__machine){0};
}

static int make_room(struct yd__machine *machine)
{
    if (YD_LIKELY(machine->staged_count < machine->staged_capacity)) return 0;
    if (machine->staged_count >= YD__STAGED_MAX) return 1 + YD_DECOM_TOO_MUCH;
    uint32_t capacity = machine->staged_capacity ? machine->staged_capacity * 2 : 64;
    void *grown = yd_alloc_resize(machine->alloc, machine->staged, machine->staged_capacity * sizeof *machine->staged,
                                  capacity * sizeof *machine->staged);
    if (!grown) return YD_ENOMEM;
    machine->staged = grown;
    machine->staged_capacity = capacity;
    return 0;
}

static int stage(struct yd__machine *machine, uint32_t name, struct yd_decom_value value)
{
    int r = make_room(machine);
    if (r == 0) machine->staged[machine->staged_count++] = (struct yd__staged){name, value};
    return r;
}

static bool place(const struct yd__machine *machine, const struct yd__step *step, uint64_t *ret_at)
{
    int64_t from = step->origin == YD__AFTER        ? (int64_t)machine->at
                   : step->origin == YD__BEFORE_END ? (int64_t)machine->size_bits
                   : step->in_group                 ? (int64_t)machine->group
                                                    : 0;
    int64_t at = from + step->offset;
    if (at < 0 || (uint64_t)at > machine->size_bits) return false;
    *ret_at = (uint64_t)at;
    return true;
}

/* How many: 1 + reason when the packet says too much. */
static int amount_of(const struct yd__machine *machine, const struct yd__amount *amount, uint64_t *ret)
{
    if (amount->reg == YD__NONE && !amount->choices) {
        *ret = (uint64_t)amount->offset;
        return 0;
    }
    __int128 value;
    int64_t chosen;
    if (amount->choices) {
        if (!yd__choose(amount, machine->registers, &chosen)) return 1 + YD_DECOM_COUNT;
        value = (__int128)chosen + amount->offset;
    } else {
        struct yd_decom_value told = machine->registers[amount->reg];
        value = told.type == YD_I64 ? told.i64 : told.type == YD_U64 ? (__int128)told.u64 : -1;
        if (value < 0) return 1 + YD_DECOM_COUNT;
        value = value * amount->scale + amount->offset;
    }
    if (value < 0 || value > amount->max) return 1 + YD_DECOM_COUNT;
    *ret = (uint64_t)value;
    return 0;
}

static int counts_of(const struct yd__machine *machine, const struct yd__step *step, uint64_t *ret_total,
                     uint64_t *ret_columns)
{
    uint64_t rows = 1, columns = 1;
    int r = step->dimensions > 0 ? amount_of(machine, &step->dimension[0], &rows) : 0;
    if (r == 0 && step->dimensions > 1) r = amount_of(machine, &step->dimension[1], &columns);
    *ret_total = rows * columns;
    *ret_columns = columns;
    return r;
}

static void skipped(struct yd__machine *machine, const struct yd__step *step, uint64_t at, const char *why)
{
    if (machine->trace) machine->trace(machine->trace_arg, step, machine->element, at, 0, NULL, NULL, why);
}

/* A value has been read: to its register, to its names. */
static int take(struct yd__machine *machine, const struct yd__step *step, uint32_t shift, uint64_t at, uint64_t bits,
                struct yd_decom_value raw)
{
    if (step->reg != YD__NONE) machine->registers[step->reg] = raw;
    if (machine->quiet) return 0;
    struct yd_decom_value value = yd__field_value(&step->field, raw, machine->registers);
    machine->name_shift = shift;
    if (machine->trace) machine->trace(machine->trace_arg, step, machine->element, at, bits, &raw, &value, value.why);
    if (step->stamp && value.type == YD_I64) machine->time_ns = value.i64;
    int r = step->name == YD__NONE ? 0 : stage(machine, step->name + shift, value);
    if (r == 0 && step->raw_name != YD__NONE) r = stage(machine, step->raw_name + shift, raw);
    return r;
}

void yd__step_absent(struct yd__machine *machine, const struct yd__step *step)
{
    if (step->reg != YD__NONE) machine->registers[step->reg] = (struct yd_decom_value){0};
    for (uint32_t i = 0; i < step->child_count; i++) yd__step_absent(machine, &step->children[i]);
}

static bool is_off(struct yd__machine *machine, const struct yd__step *step)
{
    if (!step->only_if || yd__condition_holds(step->only_if, machine->registers)) return false;
    yd__step_absent(machine, step);
    if (step->skip_to >= 0) machine->at = (uint64_t)step->skip_to;
    skipped(machine, step, machine->at, "its condition does not hold");
    return true;
}

bool yd__check_value(const struct yd_def_check *check, const uint8_t *data, uint64_t size, uint64_t at, uint32_t *ret)
{
    uint64_t own = at / 8, behind = (at + yd_checksum_bits(check->kind) + 7) / 8, end = own;
    if (check->end == YD_DEF_CHECK_AT) end = check->to;
    if (check->end == YD_DEF_CHECK_END) end = size < check->to ? 0 : size - check->to;
    if (check->from > end || end > size) return false;
    static const uint8_t zeros[8] = {0};
    struct yd_checksumming sum = yd_checksum_begin(check->kind);
    uint64_t before = YD_MAX(check->from, YD_MIN(end, own)), after = YD_MIN(end, YD_MAX(behind, check->from));
    yd_checksum_add(&sum, data + check->from, before - check->from);
    if (after > before) yd_checksum_add(&sum, zeros, after - before);
    if (end > after) yd_checksum_add(&sum, data + after, end - after);
    *ret = yd_checksum_end(&sum);
    return true;
}

/* A checksum has been read: is it right? */
static int verify(struct yd__machine *machine, const struct yd__step *step, uint64_t at, uint64_t bits)
{
    if (!yd__check_value(&step->entry->check, machine->data, machine->size, at, &machine->checksum))
        return 1 + YD_DECOM_TRUNCATED;
    return bits == machine->checksum ? 0 : 1 + YD_DECOM_CHECKSUM;
}

/* Names in front of those of element i: rows have the room of their longest. */
static uint32_t names_before(const struct yd__step *step, uint64_t i, uint64_t columns)
{
    if (step->columns) i = i / columns * step->columns + i % columns;
    return (uint32_t)i * step->stride;
}

/* Elements of a list to the end: whole rows, of which the packet may say that they have no columns. */
static uint64_t rows_in(const struct yd__step *step, uint64_t room, uint64_t columns)
{
    return columns ? YD_MIN(room / columns, step->dimension[0].max) * columns : 0;
}

int yd__step_number(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    uint64_t at, count, columns;
    if (is_off(machine, step)) return 0;
    int r = counts_of(machine, step, &count, &columns);
    if (r) return r;
    if (!place(machine, step, &at)) return 1 + YD_DECOM_TRUNCATED;
    uint32_t bits = step->field.bits;
    uint64_t room = (machine->size_bits - at) / bits;
    if (step->to_end) count = rows_in(step, room, columns);
    if (count > room) return 1 + YD_DECOM_TRUNCATED;
    for (uint64_t i = 0; i < count; i++, at += bits) {
        machine->element = (uint32_t)i;
        uint64_t read = yd__field_bits(&step->field, machine->data, machine->size, at);
        r = take(machine, step, shift + names_before(step, i, columns), at, bits, yd__field_decode(&step->field, read));
        if (r == 0 && YD_UNLIKELY(step->checks) && !machine->quiet) r = verify(machine, step, at, read);
        if (r) return r;
    }
    machine->at = at;
    return 0;
}

/* Integers without labels, ranges and contexts, with a polynomial at most. The same comes out as above: values are
 * written where they stay and not handed on, since copies of what has just been written in parts wait for it. */
int yd__step_plain(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    const struct yd__field *field = &step->field;
    const struct yd__calibration *c = field->calibrations;
    uint64_t at, count = 1, columns = 1;
    uint32_t bits = field->bits;
    if (machine->trace) return yd__step_number(machine, step, shift);
    if (is_off(machine, step)) return 0;
    int r = step->dimensions ? counts_of(machine, step, &count, &columns) : 0;
    if (r) return r;
    if (!place(machine, step, &at)) return 1 + YD_DECOM_TRUNCATED;
    if (step->to_end) count = rows_in(step, (machine->size_bits - at) / bits, columns);
    if (count > 1 ? count > (machine->size_bits - at) / bits : count && machine->size_bits - at < bits)
        return 1 + YD_DECOM_TRUNCATED;
    enum yd_type type = field->encoding == YD_DEF_TWOS ? YD_I64 : YD_U64;
    for (uint64_t i = 0; i < count; i++, at += bits) {
        uint64_t raw = yd__field_bits(field, machine->data, machine->size, at);
        if (type == YD_I64) raw = (uint64_t)((int64_t)(raw << (64 - bits)) >> (64 - bits));
        if (step->reg != YD__NONE) machine->registers[step->reg] = (struct yd_decom_value){.type = type, .u64 = raw};
        if (machine->quiet) continue;
        uint32_t name = shift + (step->dimensions ? names_before(step, i, columns) : 0);
        if (step->name != YD__NONE) {
            if ((r = make_room(machine))) return r;
            struct yd__staged *staged = &machine->staged[machine->staged_count++];
            staged->name = step->name + name;
            staged->value.suspect = false;
            staged->value.bytes = (struct yd_str){0};
            staged->value.why = NULL;
            if (c) {
                staged->value.type = YD_F64;
                staged->value.f64 =
                    yd__polynomial(c->a, c->a_count, type == YD_I64 ? (double)(int64_t)raw : (double)raw);
            } else {
                staged->value.type = field->boolean ? YD_BOOL : type;
                staged->value.u64 = field->boolean ? raw != 0 : raw;
            }
        }
        if (step->raw_name == YD__NONE) continue;
        r = stage(machine, step->raw_name + name, (struct yd_decom_value){.type = type, .u64 = raw});
        if (r) return r;
    }
    machine->at = at;
    return 0;
}

/* An unsigned number with labels, one of its kind: the commonest of what is in no lane. The same comes out as above;
 * values are written where they stay and not handed on. */
int yd__step_label(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    uint64_t at;
    uint32_t bits = step->field.bits;
    if (machine->trace) return yd__step_number(machine, step, shift);
    if (is_off(machine, step)) return 0;
    if (!place(machine, step, &at) || machine->size_bits - at < bits) return 1 + YD_DECOM_TRUNCATED;
    uint64_t raw = yd__field_bits(&step->field, machine->data, machine->size, at);
    machine->at = at + bits;
    if (step->reg != YD__NONE) machine->registers[step->reg] = (struct yd_decom_value){.type = YD_U64, .u64 = raw};
    if (machine->quiet) return 0;
    int r = step->name == YD__NONE ? 0 : make_room(machine);
    if (r) return r;
    if (step->name != YD__NONE) {
        struct yd_str text = yd__field_label(&step->field, raw, false);
        struct yd__staged *staged = &machine->staged[machine->staged_count++];
        staged->name = step->name + shift;
        staged->value.type = text.data ? YD_TEXT : YD_U64;
        staged->value.suspect = !text.data;
        staged->value.u64 = raw;
        staged->value.bytes = text;
        staged->value.why = text.data ? NULL : yd__no_label;
    }
    if (step->raw_name == YD__NONE) return 0;
    return stage(machine, step->raw_name + shift, (struct yd_decom_value){.type = YD_U64, .u64 = raw});
}

int yd__step_time(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    uint64_t at, count, columns;
    if (is_off(machine, step)) return 0;
    int r = counts_of(machine, step, &count, &columns);
    if (r) return r;
    if (!place(machine, step, &at)) return 1 + YD_DECOM_TRUNCATED;
    uint32_t bytes = yd__time_bytes(step->field.type);
    uint64_t room = (machine->size_bits - at) / 8 / bytes;
    if (step->to_end) count = rows_in(step, room, columns);
    if (count > room) return 1 + YD_DECOM_TRUNCATED;
    for (uint64_t i = 0; i < count; i++, at += bytes * 8) {
        uint8_t copy[24];
        for (uint32_t j = 0; j < bytes; j++)
            copy[j] = (uint8_t)yd__bits_msb0(machine->data, machine->size, at + j * 8, 8);
        machine->element = (uint32_t)i;
        r = take(machine, step, shift + names_before(step, i, columns), at, bytes * 8,
                 yd__field_time(&step->field, copy));
        if (r) return r;
    }
    machine->at = at;
    return 0;
}

/* Where the content is and where the whole field ends, in bytes from `at`. */
static int extent_of(struct yd__machine *machine, const struct yd__step *step, uint64_t at, uint64_t *ret_skip,
                     uint64_t *ret_size, uint64_t *ret_whole)
{
    const struct yd_def_type *type = step->field.type;
    uint64_t left = (machine->size_bits - at) / 8, size = left;
    *ret_skip = 0;
    if (type->extent == YD_DEF_FIXED) {
        int r = amount_of(machine, &step->size, &size);
        if (r) return r;
    } else if (type->extent == YD_DEF_PREFIXED) {
        uint32_t bytes = type->prefix_bits / 8;
        if (left < bytes) return 1 + YD_DECOM_TRUNCATED;
        size = yd__bits_msb0(machine->data, machine->size, at, type->prefix_bits);
        if (type->order == YD_DEF_LITTLE) size = __builtin_bswap64(size) >> (64 - type->prefix_bits);
        if (size > step->size.max) return 1 + YD_DECOM_COUNT;
        *ret_skip = bytes;
    } else if (type->extent == YD_DEF_TERMINATED) {
        /* Two bytes of UTF-16 end it where a character begins; any other two, anywhere. */
        bool wide = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE;
        uint32_t width = type->terminator_size;
        uint64_t most = YD_MIN(left, step->size.max + width), i = 0;
        for (;; i += wide ? 2 : 1) {
            if (i + width > most) return 1 + (left < step->size.max + width ? YD_DECOM_TRUNCATED : YD_DECOM_TERMINATOR);
            bool ends = true;
            for (uint32_t j = 0; j < width; j++)
                ends &= yd__bits_msb0(machine->data, machine->size, at + (i + j) * 8, 8) == type->terminator[j];
            if (ends) break;
        }
        *ret_size = i;
        *ret_whole = i + width;
        return 0;
    } else if (size > step->size.max) {
        return 1 + YD_DECOM_COUNT;
    }
    if (*ret_skip + size > left) return 1 + YD_DECOM_TRUNCATED;
    *ret_size = size;
    *ret_whole = *ret_skip + size;
    return 0;
}

/* Room for text of this packet; it does not move until the packet is done. NULL: no memory, or too much. */
static char *text_room(struct yd__machine *machine, size_t size)
{
    if (machine->text_capacity - machine->text_size < size) return NULL;
    char *room = machine->text + machine->text_size;
    machine->text_size += size;
    return room;
}

int yd__step_bytes(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    uint64_t at, count, columns;
    if (is_off(machine, step)) return 0;
    int r = counts_of(machine, step, &count, &columns);
    if (r) return r;
    if (!place(machine, step, &at)) return 1 + YD_DECOM_TRUNCATED;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t skip, size, whole;
        if (step->to_end && i % columns == 0 && at + 8 > machine->size_bits) break;
        if ((r = extent_of(machine, step, at, &skip, &size, &whole))) return r;
        struct yd_str bytes = {(const char *)machine->data + at / 8 + skip, size};
        char *room = NULL;
        bool converts = step->field.type->charset >= YD_DEF_LATIN1 && step->field.encoding == YD_DEF_STRING;
        if (at % 8 || converts) {
            /* Three bytes for each: the most that a character of two bytes, or of one, becomes. */
            if (!(room = text_room(machine, size * (at % 8 ? 4 : 3)))) return 1 + YD_DECOM_TOO_MUCH;
            if (at % 8) {
                for (uint64_t j = 0; j < size; j++)
                    room[j] = (char)yd__bits_msb0(machine->data, machine->size, at + (skip + j) * 8, 8);
                bytes.data = room;
                room += size;
            }
        }
        machine->element = (uint32_t)i;
        r = take(machine, step, shift + names_before(step, i, columns), at, whole * 8,
                 yd__field_text(&step->field, bytes, room));
        if (r) return r;
        at += whole * 8;
    }
    machine->at = at;
    return 0;
}

int yd__step_group(struct yd__machine *machine, const struct yd__step *step, uint32_t shift)
{
    uint64_t at, count, columns, outer = machine->group;
    if (is_off(machine, step)) return 0;
    int r = counts_of(machine, step, &count, &columns);
    if (r) return r;
    if (!place(machine, step, &at)) return 1 + YD_DECOM_TRUNCATED;
    if (step->to_end) count = step->dimension[0].max * columns;
    machine->at = at;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = machine->at;
        if (step->to_end && i % columns == 0 && before >= machine->size_bits) break;
        if (++machine->work > YD__WORK_MAX) return 1 + YD_DECOM_TOO_MUCH;
        machine->group = before;
        for (uint32_t j = 0; j < step->child_count; j++) {
            const struct yd__step *child = &step->children[j];
            if ((r = child->run(machine, child, shift + names_before(step, i, columns)))) {
                if (!machine->failed) machine->failed = child;
                return r;
            }
        }
        /* A group may place its fields as it likes: its end is its furthest, but it never goes back. */
        if (machine->at < before) machine->at = before;
        if (step->to_end && machine->at == before) break;
    }
    machine->group = outer;
    return 0;
}

/* ---- a whole packet ---- */

int yd__check_size(const struct yd__machine *machine, const struct yd__program *program)
{
    if (machine->size_bits < program->least_bits) return 1 + YD_DECOM_TRUNCATED;
    if (!program->open && !program->is_dynamic && machine->size > (program->least_bits + 7) / 8)
        return 1 + YD_DECOM_TOO_LONG;
    return 0;
}

static int failed(struct yd__machine *machine, const struct yd__step *step, int result)
{
    if (!machine->failed) machine->failed = step;
    return result;
}

int yd__run_steps(struct yd__machine *machine, const struct yd__program *program)
{
    machine->staged_count = 0;
    machine->text_size = 0;
    machine->group = 0;
    machine->work = 0;
    machine->failed = NULL;
    for (uint32_t i = 0; i < program->load_count; i++) {
        const struct yd__load *load = &program->loads[i];
        if (load->at + load->field.bits > machine->size_bits) return 1 + YD_DECOM_TRUNCATED;
        machine->registers[load->reg] =
            yd__field_decode(&load->field, yd__field_bits(&load->field, machine->data, machine->size, load->at));
    }
    if (program->step_count + program->dynamic_count == 0) return 0;
    /* All text of a packet together, converted and shifted, is at most four times its size for each time that it is
     * read; overlapping fields may read it more often, and then it is too much. */
    size_t want = machine->size * 8 + 64;
    if (machine->text_capacity < want) {
        void *grown = yd_alloc_resize(machine->alloc, machine->text, machine->text_capacity, want);
        if (!grown) return YD_ENOMEM;
        machine->text = grown;
        machine->text_capacity = want;
    }
    for (uint32_t i = 0; i < program->step_count; i++) {
        int r = program->steps[i].run(machine, &program->steps[i], 0);
        if (r) return failed(machine, &program->steps[i], r);
    }
    uint64_t furthest = program->least_bits;
    for (uint32_t i = 0; i < program->dynamic_count; i++) {
        int r = program->dynamic[i].run(machine, &program->dynamic[i], 0);
        if (r) return failed(machine, &program->dynamic[i], r);
        furthest = YD_MAX(furthest, machine->at);
    }
    if (program->is_dynamic && !program->open && !machine->quiet && (furthest + 7) / 8 < machine->size)
        return 1 + YD_DECOM_TOO_LONG;
    return 0;
}

/* ---- which container ---- */

bool yd__load_node(struct yd__machine *machine, const struct yd__node *node)
{
    for (uint32_t i = 0; i < node->load_count; i++) {
        const struct yd__load *load = &node->loads[i];
        if (load->at + load->field.bits > machine->size_bits) return false;
        machine->registers[load->reg] =
            yd__field_decode(&load->field, yd__field_bits(&load->field, machine->data, machine->size, load->at));
    }
    return true;
}

static void say(struct yd__machine *machine, const struct yd__node *node, bool taken, bool loaded, const char *why)
{
    if (machine->trace_node) machine->trace_node(machine->trace_arg, node, taken, loaded, why);
}

static bool holds(struct yd__machine *machine, const struct yd__node *node, bool *short_)
{
    if (node->program && node->program->unsupported && !node->when && !node->child_count) {
        say(machine, node, false, false, node->program->unsupported);
        return false;
    }
    if (!yd__load_node(machine, node)) {
        *short_ = true;
        say(machine, node, false, false, "the packet ends before the fields that tell");
        return false;
    }
    bool taken = !node->when || yd__condition_holds(node->when, machine->registers);
    say(machine, node, taken, true,
        taken ? (node->when ? "its condition holds" : "it has no condition") : "its condition does not hold");
    return taken;
}

static const struct yd__node *child_of(struct yd__machine *machine, const struct yd__node *node, bool *short_)
{
    if (node->case_count && !machine->trace_node) {
        /* All cases compare one field: loading for one is loading for all. */
        const struct yd__node *any = node->children[node->cases[0].child];
        if (yd__load_node(machine, any)) {
            struct yd_decom_value value = machine->registers[node->switch_reg];
            uint32_t low = 0, high = node->case_count;
            while (low < high) {
                uint32_t middle = (low + high) / 2;
                if (node->cases[middle].value < value.u64)
                    low = middle + 1;
                else
                    high = middle;
            }
            for (; low < node->case_count && node->cases[low].value == value.u64; low++) {
                const struct yd__node *child = node->children[node->cases[low].child];
                if (holds(machine, child, short_)) return child;
            }
        } else {
            *short_ = true;
        }
        for (uint32_t i = 0; i < node->other_count; i++)
            if (holds(machine, node->children[node->others[i]], short_)) return node->children[node->others[i]];
        return NULL;
    }
    for (uint32_t i = 0; i < node->child_count; i++)
        if (holds(machine, node->children[i], short_)) return node->children[i];
    return NULL;
}

int yd__match(struct yd__machine *machine, const struct yd__program **ret_program)
{
    const struct yd__node *node = &machine->plan->root;
    bool short_ = false;
    for (;;) {
        if (node->walk) {
            machine->quiet = true;
            void (*trace)(void *, const struct yd__step *, uint32_t, uint64_t, uint64_t, const struct yd_decom_value *,
                          const struct yd_decom_value *, const char *) = machine->trace;
            machine->trace = NULL;
            int r = yd__run_steps(machine, node->program);
            machine->trace = trace;
            machine->quiet = false;
            if (r) return r;
        }
        const struct yd__node *child = node->child_count ? child_of(machine, node, &short_) : NULL;
        if (!child) break;
        node = child;
    }
    if (!node->container || node->container->abstract) return 1 + (short_ ? YD_DECOM_TRUNCATED : YD_DECOM_UNKNOWN);
    *ret_program = node->program;
    return node->program->unsupported ? 1 + YD_DECOM_UNSUPPORTED : 0;
}

const char *yd_decom_reason_text(enum yd_decom_reason reason)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        YD_DECOM_REASONS(TEXT)
#undef TEXT
    };
    return (unsigned)reason < YD_DECOM_REASON_COUNT ? texts[reason] : "?";
}
