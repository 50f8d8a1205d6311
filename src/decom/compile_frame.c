/* A commutated frame into its tables: for each minor frame of a major one, which words hold what. */
#include <stdlib.h>

#include "decom/compile.h"
#include "decom/encode.h"
#include "decom/frame.h"

static bool refuse(struct yd__compiler *compiler, struct yd_place place, const char *what)
{
    return yd_def_error(compiler->diagnostics, YD_D_FRAME, place, "", "%s", what);
}

static bool check_frame(struct yd__compiler *compiler, const struct yd_def_container *container)
{
    struct yd_place place = container->place;
    if (container->parent || container->when) return refuse(compiler, place, "a frame has no parent and no condition");
    if (container->word_bits < 1 || container->word_bits > 64 || container->words < 1)
        return refuse(compiler, place, "a frame needs its words: minor 64 words of 8");
    if (container->sync_bits < 8 || container->sync_bits > 64) {
        refuse(compiler, place, "a frame needs a sync pattern of 8 to 64 bits");
        yd_def_help(compiler->diagnostics, "write  sync 0xFE6B2840");
        return false;
    }
    if ((uint64_t)container->words * container->word_bits > UINT32_MAX / 4 ||
        (uint64_t)container->words * container->word_bits < container->sync_bits)
        return refuse(compiler, place, "these words are no size for a minor frame");
    if (container->sync_errors * 4 > container->sync_bits || container->sync_errors_locked * 4 > container->sync_bits)
        return refuse(compiler, place, "with so many wrong bits anything is a sync pattern");
    if (container->sync_errors_locked && container->sync_errors_locked < container->sync_errors)
        return refuse(compiler, place, "a pattern that was good enough to lock is good enough to stay locked");
    if ((uint64_t)(container->sync_checks + container->flywheel + 2) * container->words * container->word_bits / 8 >
        YD__FRAMES_MAX)
        return refuse(compiler, place, "so many frames of this size would wait in more than 64 MiB");
    if (container->major > 1 && !container->counter.size)
        return refuse(compiler, place, "a major frame of several minor ones needs their counter: major 32 by sfid");
    return container->major <= 65536 || refuse(compiler, place, "a major frame has at most 65536 minor ones");
}

struct frames {
    struct yd__compiler *compiler;
    struct yd__info *info;
    struct yd__frame *frame;
    uint32_t capacity;
};

static bool check_slot(struct frames *frames, const struct yd_def_slot *slot)
{
    const struct yd__frame *frame = frames->frame;
    const struct yd_def_container *container = frame->container;
    if (slot->word < 1 || slot->word > container->words)
        return yd_def_error(frames->compiler->diagnostics, YD_D_PLACE, slot->place, "",
                            "the minor frame has words 1 to %u", container->words);
    if (slot->frame != UINT32_MAX && (slot->frame >= frame->major || slot->every > frame->major))
        return yd_def_error(frames->compiler->diagnostics, YD_D_PLACE, slot->place, "",
                            "the major frame has minor frames 0 to %u", frame->major - 1);
    return true;
}

/* The pieces of one sample, from `slot` on; *ret_next the slot behind them. */
static bool add_sample(struct frames *frames, const struct yd__frame_field *field, const struct yd_def_slot *slot,
                       const struct yd_def_slot **ret_next)
{
    struct yd__frame *frame = frames->frame;
    const struct yd_def_slot *end = slot->next;
    uint32_t count = 1;
    for (; end && end->joins; end = end->next) count++;
    *ret_next = end;
    uint64_t total = (uint64_t)count * frame->word_bits;
    bool number = yd__is_number(field->entry->type);
    if (number && total > 128)
        return refuse(frames->compiler, slot->place, "words joined to a number have at most 128 bits");
    if (total > YD__JOINED_MAX)
        return refuse(frames->compiler, slot->place, "words joined to a value have at most 1024 bytes");
    if (field->offset + field->bits > total || (field->entry->from != YD_DEF_START && field->bits != total)) {
        yd_def_error(frames->compiler->diagnostics, YD_D_SIZE, slot->place, "", "%u bits do not fill words of %u bits",
                     field->bits, (unsigned)total);
        yd_def_help(frames->compiler->diagnostics, "say where it begins in them: at bit 0 is their highest");
        return false;
    }
    struct yd__piece *pieces = yd__piece(frames->compiler, count * sizeof *pieces);
    struct yd__sample sample = {
        .field = field, .pieces = pieces, .piece_count = count, .frame = slot->frame, .every = slot->every};
    for (uint32_t i = 0; i < count; i++, slot = slot->next) {
        if (!check_slot(frames, slot)) return false;
        pieces[i].at = (slot->word - 1) * frame->word_bits;
        sample.end = YD_MAX(sample.end, pieces[i].at + frame->word_bits);
    }
    if (frame->sample_count == frames->capacity) {
        uint32_t more = frames->capacity ? frames->capacity * 2 : 32;
        struct yd__sample *samples = yd__piece(frames->compiler, more * sizeof *samples);
        if (frame->sample_count) memcpy(samples, frame->samples, frame->sample_count * sizeof *samples);
        frame->samples = samples;
        frames->capacity = more;
    }
    frame->samples[frame->sample_count++] = sample;
    return true;
}

static bool refuse_field(struct frames *frames, const struct yd_def_entry *entry, const char *why, const char *help)
{
    struct yd_diagnostics *diagnostics = frames->compiler->diagnostics;
    yd_def_error(diagnostics, YD_D_OPTION, entry->place, "", "'%.*s': %s", YD_STR_FMT(entry->name), why);
    if (help) yd_def_help(diagnostics, "%s", help);
    return false;
}

/* What a field may be in words, and how many bits of them it has. */
static bool fits_words(struct frames *frames, const struct yd_def_entry *entry, uint32_t *ret_bits)
{
    const struct yd_def_type *type = entry->type;
    if (type->encoding == YD_DEF_GROUP || entry->dimensions)
        return refuse_field(frames, entry, "in a frame there are neither groups nor arrays",
                            "several words of one measurement are word 16, 32, 48; other measurements have names");
    if (type->numbering == YD_DEF_LSB0)
        return refuse_field(frames, entry, "words have their highest bit first; `lsb0` is of bytes", NULL);
    if (entry->sequence) return refuse_field(frames, entry, "frames are counted by `major … by`", NULL);
    if (!entry->slots) {
        yd_def_error(frames->compiler->diagnostics, YD_D_FRAME, entry->place, "",
                     "'%.*s' does not say in which word it is", YD_STR_FMT(entry->name));
        yd_def_help(frames->compiler->diagnostics, "word 5 — or word 7 frame 4 when it is not in each minor frame");
        return false;
    }
    if (type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS) {
        *ret_bits = yd__time_bytes(type) * 8;
    } else if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        if (type->extent != YD_DEF_FIXED || type->size.field.name.size || type->size.offset < 1 ||
            type->size.offset > YD__JOINED_MAX / 8)
            return refuse_field(frames, entry, "words have a size: text(8) is as long as they are", NULL);
        *ret_bits = (uint32_t)type->size.offset * 8;
    } else {
        *ret_bits = type->bits;
    }
    return true;
}

static bool is_in_each(const struct frames *frames, uint32_t first)
{
    return frames->frame->sample_count == first + 1 && frames->frame->samples[first].frame == UINT32_MAX;
}

/* The counter, a stamp, checksums: words of their own in each minor frame. `first`: its first sample. */
static void take_duties(struct frames *frames, const struct yd_def_entry *entry, uint32_t first)
{
    struct yd__compiler *compiler = frames->compiler;
    struct yd__frame *frame = frames->frame;
    const struct yd__sample *sample = &frame->samples[first];
    if (yd_str_eq(entry->name, frame->container->counter)) {
        if (!is_in_each(frames, first) || entry->type->encoding != YD_DEF_UNSIGNED)
            refuse(compiler, entry->place, "the counter is one unsigned word of each minor frame");
        else if (sample->field->bits < 32 && (frame->major - 1 + (uint64_t)frame->counter_first) >> sample->field->bits)
            refuse(compiler, entry->place, "the counter cannot count to the last minor frame");
        else
            frame->counter = sample;
    }
    if (entry->stamp) {
        const struct yd_def_type *type = entry->type;
        if (type->encoding != YD_DEF_CUC && type->encoding != YD_DEF_CDS && type->epoch == YD_DEF_EPOCH_NONE)
            yd_def_error(compiler->diagnostics, YD_D_TIME, entry->place, "",
                         "'%.*s' is no time: it cannot stamp the frame", YD_STR_FMT(entry->name));
        else if (!is_in_each(frames, first) || frame->stamp)
            refuse(compiler, entry->place, "a stamp is in each minor frame, once");
        else
            frame->stamp = sample;
    }
    if (entry->check.kind) {
        bool joined = sample->pieces[0].at % 8 == 0;
        for (uint32_t i = 1; i < sample->piece_count; i++)
            joined &= sample->pieces[i].at == sample->pieces[i - 1].at + frame->word_bits;
        uint32_t errors = compiler->diagnostics->errors;
        yd__compile_check(compiler, entry, sample->pieces[0].at);
        if (compiler->diagnostics->errors == errors && (!is_in_each(frames, first) || !joined || entry->only_if ||
                                                        sample->end - sample->pieces[0].at != sample->field->bits))
            refuse(compiler, entry->place,
                   "a checksum is in each minor frame, in whole words behind each other, from a whole byte on");
    }
    uint64_t bits;
    if (entry->has_constant && (!yd__is_number(entry->type) || entry->type->encoding >= YD_DEF_IEEE))
        yd_def_error(compiler->diagnostics, YD_D_PLACE, entry->place, "",
                     "only an integer can be told to be always the same");
    else if (entry->has_constant && !yd__field_constant(&sample->field->field, entry->constant, &bits))
        yd_def_error(compiler->diagnostics, YD_D_VALUE, entry->place, "",
                     "'%.*s' has %u bits and is never what it should always be", YD_STR_FMT(entry->name),
                     entry->type->bits);
    frame->has_checksum |= entry->check.kind != YD_CHECKSUM_NONE;
    frame->has_checks |= entry->check.kind || entry->has_constant;
}

static void add_field(struct frames *frames, const struct yd_def_entry *entry)
{
    struct yd__compiler *compiler = frames->compiler;
    struct yd__program *program = frames->frame->program;
    const char *why = entry->unsupported ? entry->unsupported : entry->type->unsupported;
    uint32_t bits;
    if (why) {
        yd_def_warn(compiler->diagnostics, YD_D_UNSUPPORTED, entry->place, "", "'%.*s' is not decoded: %s",
                    YD_STR_FMT(entry->name), why);
        return;
    }
    if (!fits_words(frames, entry, &bits)) return;
    const struct yd__field *shared = yd__compile_field(compiler, entry->type);
    if (!shared) return;
    struct yd__frame_field *field = yd__piece(compiler, sizeof *field);
    *field = (struct yd__frame_field){
        .entry = entry, .field = *shared, .bits = bits, .reg = YD__NONE, .name = YD__NONE, .raw_name = YD__NONE};
    for (struct yd__scope *item = frames->info->scope; item; item = item->next) {
        if (item->entry != entry) continue;
        if (entry->type->calibrations) yd__compile_calibrations(compiler, frames->info, item, &field->field);
        if (entry->only_if) field->only_if = yd__compile_condition(compiler, frames->info, entry->only_if, item);
        field->scope = item;
    }
    if (entry->from == YD_DEF_START) field->offset = (uint32_t)YD_MIN(YD_MAX(entry->offset_bits, 0), YD__JOINED_MAX);
    const char *prefix = yd__path(compiler, yd__path(compiler, "", compiler->def->name), program->container->name);
    field->path = yd__path(compiler, prefix, entry->name);
    if (!entry->hidden && !yd_str_eq(entry->name, YD_STR("_"))) {
        bool has_raw = compiler->plan->raw && yd__is_number(entry->type) &&
                       (entry->type->calibrations || entry->type->labels || entry->type->boolean ||
                        entry->type->epoch != YD_DEF_EPOCH_NONE);
        const char *named = field->path;
        if (entry->published.size)
            named = yd__path(compiler, yd__path(compiler, "", compiler->def->name), entry->published);
        field->name = program->name_count;
        program->sources[program->name_count] = entry;
        program->names[program->name_count++] = yd_str_of(named);
        if (has_raw) {
            field->raw_name = program->name_count;
            program->sources[program->name_count] = entry;
            program->types[program->name_count] = YD__RAW_NAME;
            program->names[program->name_count++] = yd_str_of(yd__path(compiler, named, YD_STR("raw")));
        }
    }
    uint32_t first = frames->frame->sample_count;
    for (const struct yd_def_slot *slot = entry->slots; slot;)
        if (!add_sample(frames, field, slot, &slot)) return;
    take_duties(frames, entry, first);
}

static int by_end(const void *left, const void *right)
{
    const struct yd__sample *a = left, *b = right;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return (a->field->name > b->field->name) - (a->field->name < b->field->name);
}

static bool is_in(const struct yd__sample *sample, uint32_t index)
{
    if (sample->frame == UINT32_MAX) return true;
    return sample->every ? index >= sample->frame && (index - sample->frame) % sample->every == 0
                         : index == sample->frame;
}

static void make_lists(struct yd__compiler *compiler, struct yd__frame *frame)
{
    /* Registers are given when somebody asks, which may be behind the one that is asked for. */
    for (uint32_t i = 0; i < frame->sample_count; i++) {
        struct yd__frame_field *field = (struct yd__frame_field *)(uintptr_t)frame->samples[i].field;
        if (field->scope) field->reg = field->scope->reg;
        frame->has_registers |= field->reg != YD__NONE;
        bool is_text = field->field.encoding == YD_DEF_STRING || field->field.encoding == YD_DEF_BINARY;
        if (!is_text || field->reg == YD__NONE || field->keeps) continue;
        field->keeps = true;
        field->kept = compiler->plan->kept_size;
        compiler->plan->kept_size += field->bits / 8 * YD__TEXT_GROWTH;
    }
    if (frame->sample_count) qsort(frame->samples, frame->sample_count, sizeof *frame->samples, by_end);
    frame->lists = yd__piece(compiler, frame->major * sizeof *frame->lists);
    frame->list_sizes = yd__piece(compiler, frame->major * sizeof *frame->list_sizes);
    frame->counter = frame->stamp = NULL; /* where they are now */
    for (uint32_t i = 0; i < frame->sample_count; i++) {
        const struct yd_def_entry *entry = frame->samples[i].field->entry;
        if (yd_str_eq(entry->name, frame->container->counter)) frame->counter = &frame->samples[i];
        if (entry->stamp) frame->stamp = &frame->samples[i];
    }
    for (uint32_t index = 0; index < frame->major; index++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < frame->sample_count; i++) count += is_in(&frame->samples[i], index);
        frame->lists[index] = yd__piece(compiler, (count + 1) * sizeof(uint32_t));
        for (uint32_t i = 0; i < frame->sample_count; i++)
            if (is_in(&frame->samples[i], index)) frame->lists[index][frame->list_sizes[index]++] = i;
    }
}

void yd__compile_frame(struct yd__compiler *compiler, struct yd__info *info)
{
    const struct yd_def_container *container = info->container;
    struct yd_plan *plan = compiler->plan;
    if (plan->frame || compiler->info_count > 1) {
        refuse(compiler, container->place,
               "a definition has one frame, or packets: each stream has its own definition");
        return;
    }
    if (!check_frame(compiler, container)) return;
    struct yd__frame *frame = yd__piece(compiler, sizeof *frame);
    struct yd__program *program = yd__piece(compiler, sizeof *program);
    uint64_t low = container->sync_bits == 64 ? UINT64_MAX : (UINT64_C(1) << container->sync_bits) - 1;
    *program = (struct yd__program){.container = container, .open = true};
    *frame = (struct yd__frame){.container = container,
                                .program = program,
                                .sync = container->sync & low,
                                .mask = container->sync_mask ? container->sync_mask & low : low,
                                .sync_bits = container->sync_bits,
                                .errors = container->sync_errors,
                                .errors_locked = YD_MAX(container->sync_errors, container->sync_errors_locked),
                                .check = YD_MAX(container->sync_checks, 1u),
                                .flywheel = container->flywheel,
                                .bits = container->words * container->word_bits,
                                .word_bits = container->word_bits,
                                .major = YD_MAX(container->major, 1u),
                                .counter_first = container->counter_first,
                                .rate = container->bit_rate,
                                .lost = {.by = YD__NONE}};
    uint32_t count = 0;
    for (const struct yd_def_entry *entry = container->entries.first; entry; entry = entry->next) count++;
    program->names = yd__piece(compiler, (2 * count + 1) * sizeof *program->names);
    program->types = yd__piece(compiler, 2 * count + 1);
    program->sources = yd__piece(compiler, (2 * count + 1) * sizeof *program->sources);
    program->sources = yd__piece(compiler, (2 * count + 1) * sizeof *program->sources);
    struct frames frames = {.compiler = compiler, .info = info, .frame = frame};
    for (const struct yd_def_entry *entry = container->entries.first; entry; entry = entry->next)
        if (entry->type) add_field(&frames, entry);
    if (container->counter.size && !frame->counter && !compiler->diagnostics->errors)
        yd_def_error(compiler->diagnostics, YD_D_FIELD, container->place, "",
                     "the frame has no field '%.*s' to count by", YD_STR_FMT(container->counter));
    make_lists(compiler, frame);
    char *label = yd_arena_printf(compiler->arena, "packet=%.*s", YD_STR_FMT(container->name));
    if (!label) longjmp(compiler->out_of_memory, 1);
    frame->lost.label = yd_str_of(label);
    program->index = plan->packet_count;
    plan->packets[plan->packet_count++] = program;
    plan->frame = frame;
}
