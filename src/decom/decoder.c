/* The decoder: packets through a plan into batches.
 *
 *   packet ──match──▶ program ──size, once──▶ steps (staged) ──▶ lanes straight into reserved records ──▶ staged values
 *
 * A name is interned once a batch: each program keeps the heads of its records (name, kind, type), which are copied. A
 * packet whose bytes turn out wrong has left nothing. Room is made before a packet's first value is written, so a batch
 * that becomes full is given away between packets; only a packet larger than a batch is cut. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "decom/decoder_internal.h"
#include "decom/frame.h"

#define SEQUENCES_MAX 65536
#define SIZE_DEFAULT  (1u << 20)

/* Records and names of its lanes; half a batch is what always fits into an empty one. */
static bool is_wide(const struct yd__program *program, size_t batch_size)
{
    enum { RECORD = 160 };
    size_t size = 0;
    for (uint32_t i = 0; i < program->lanes.count; i++) size += RECORD + program->names[program->lanes.names[i]].size;
    return size > batch_size / 2;
}

int yd_decoder_create(const struct yd_plan *plan, const struct yd_decoder_options *options, struct yd_alloc *alloc,
                      struct yd_decoder **ret_decoder)
{
    struct yd_decoder *decoder = yd_alloc_zero(alloc, sizeof *decoder);
    if (!decoder) return YD_ENOMEM;
    *decoder = (struct yd_decoder){.plan = plan, .options = *options, .alloc = alloc, .stamp = 1};
    uint32_t size_max = options->size_max ? options->size_max : SIZE_DEFAULT;
    decoder->value_max = size_max - size_max / 8;
    struct yd_builder_options builder = {.size_max = size_max, .alloc = alloc};
    int r = yd_builder_create(&builder, &decoder->builder);
    if (r == 0) r = yd__machine_init(&decoder->machine, plan, alloc);
    size_t heads = (plan->packet_count + 1) * sizeof *decoder->heads;
    if (r == 0 && !(decoder->heads = yd_alloc_zero(alloc, heads))) r = YD_ENOMEM;
    for (uint32_t i = 0; r == 0 && i < plan->packet_count; i++) {
        const struct yd__program *program = plan->packets[i];
        decoder->heads[i].lanes = yd_alloc_zero(alloc, (program->lanes.count + 1) * sizeof(uint64_t));
        decoder->heads[i].names = yd_alloc_zero(alloc, (program->name_count + 1) * sizeof(uint32_t));
        if (!decoder->heads[i].lanes || !decoder->heads[i].names) r = YD_ENOMEM;
        decoder->heads[i].wide = is_wide(program, size_max);
        if (decoder->heads[i].wide) decoder->wide_count = YD_MAX(decoder->wide_count, program->lanes.count);
    }
    size_t copy = plan->frame && plan->frame->has_checks ? yd_plan_frame_bits(plan) / 8 + 8 : 0;
    if (r == 0 && copy && !(decoder->stream.copy = yd_alloc_get(alloc, copy))) r = YD_ENOMEM;
    if (r == 0 && decoder->wide_count &&
        !(decoder->wide = yd_alloc_zero(alloc, decoder->wide_count * sizeof *decoder->wide)))
        r = YD_ENOMEM;
    if (r < 0)
        yd_decoder_destroy(decoder);
    else
        *ret_decoder = decoder;
    return r;
}

void yd_decoder_destroy(struct yd_decoder *decoder)
{
    if (!decoder) return;
    const struct yd_plan *plan = decoder->plan;
    for (uint32_t i = 0; decoder->heads && i < plan->packet_count; i++) {
        yd_alloc_put(decoder->alloc, decoder->heads[i].lanes, (plan->packets[i]->lanes.count + 1) * sizeof(uint64_t));
        yd_alloc_put(decoder->alloc, decoder->heads[i].names, (plan->packets[i]->name_count + 1) * sizeof(uint32_t));
    }
    yd_alloc_put(decoder->alloc, decoder->heads, (plan->packet_count + 1) * sizeof *decoder->heads);
    yd_alloc_put(decoder->alloc, decoder->wide, decoder->wide_count * sizeof *decoder->wide);
    yd_alloc_put(decoder->alloc, decoder->stream.data, decoder->stream.capacity);
    if (plan->frame) yd_alloc_put(decoder->alloc, decoder->stream.copy, yd_plan_frame_bits(plan) / 8 + 8);
    yd_alloc_put(decoder->alloc, decoder->counters, decoder->counter_capacity * sizeof *decoder->counters);
    if (decoder->machine.plan) yd__machine_fini(&decoder->machine);
    yd_builder_destroy(decoder->builder);
    yd_alloc_put(decoder->alloc, decoder, sizeof *decoder);
}

/* ---- the batch at hand ---- */

static void commit(struct yd_decoder *decoder)
{
    yd_builder_commit(decoder->builder, decoder->room_used);
    decoder->room = NULL;
    decoder->room_size = decoder->room_used = 0;
}

int yd_decoder_flush(struct yd_decoder *decoder)
{
    struct yd_batch *batch;
    commit(decoder);
    int r = yd_builder_seal(decoder->builder, &batch);
    decoder->stamp++;
    if (r == YD_EAGAIN) return 0;
    if (r < 0) return r;
    decoder->options.batch(decoder->options.arg, batch);
    return 0;
}

/* Index of a name of this program in the batch at hand. */
static int name_index(struct yd_decoder *decoder, const struct yd__program *program, uint32_t name, uint32_t *ret)
{
    struct yd__heads *heads = &decoder->heads[program->index];
    if (heads->names_stamp != decoder->stamp) {
        memset(heads->names, 0xff, program->name_count * sizeof *heads->names);
        heads->names_stamp = decoder->stamp;
    }
    if (heads->names[name] == YD__NONE) {
        int r = yd_builder_name(decoder->builder, program->names[name], &heads->names[name]);
        if (r < 0) return heads->names[name] = YD__NONE, r;
    }
    *ret = heads->names[name];
    return 0;
}

static uint64_t head_of(uint32_t name, enum yd_kind kind, unsigned type, unsigned flags)
{
    return name | (uint64_t)kind << 32 | (uint64_t)type << 40 | (uint64_t)flags << 48;
}

static int make_heads(struct yd_decoder *decoder, const struct yd__program *program)
{
    struct yd__heads *heads = &decoder->heads[program->index];
    for (uint32_t i = 0; i < program->lanes.count; i++) {
        uint32_t name = program->lanes.names[i], index;
        int r = name_index(decoder, program, name, &index);
        if (r < 0) return r;
        heads->lanes[i] = head_of(index, YD_SAMPLE, program->types[name] & ~YD__RAW_NAME, 0);
    }
    heads->stamp = decoder->stamp;
    return 0;
}

/* Room for `count` records in a row. YD_EFULL: the batch has none. */
static int make_room(struct yd_decoder *decoder, uint32_t count)
{
    enum { AHEAD = 2048 };
    if (decoder->room && decoder->room_size - decoder->room_used >= count) return 0;
    commit(decoder);
    int r = yd_builder_reserve(decoder->builder, YD_MAX(count, AHEAD), &decoder->room, &decoder->room_size);
    if (r < 0) return decoder->room = NULL, decoder->room_size = 0, r;
    return decoder->room_size < count ? YD_EFULL : 0;
}

/* To `records` of lanes->count, their values alone. */
static void run_lanes(const struct yd_decoder *decoder, const struct yd__lanes *lanes, struct yd_record *records)
{
    const struct yd__machine *machine = &decoder->machine;
    if (YD_LIKELY(machine->size >= lanes->least)) {
        yd__lanes_run(lanes, machine->data, records);
        return;
    }
    uint8_t copy[8] = {0}; /* only a packet of less than eight bytes comes here */
    memcpy(copy, machine->data, machine->size);
    yd__lanes_run(lanes, copy, records);
}

/* More than a batch holds: value by value, a batch that is full goes out in between. */
static int write_wide(struct yd_decoder *decoder, const struct yd__program *program)
{
    const struct yd__lanes *lanes = &program->lanes;
    run_lanes(decoder, lanes, decoder->wide);
    for (uint32_t i = 0; i < lanes->count; i++) {
        uint32_t name = lanes->names[i];
        struct yd__staged staged = {name, {.type = (enum yd_type)(program->types[name] & ~YD__RAW_NAME)}};
        staged.value.u64 = decoder->wide[i].value.u64;
        int r = yd__decoder_write(decoder, program, &staged);
        if (r < 0) return r;
    }
    return 0;
}

static int write_lanes(struct yd_decoder *decoder, const struct yd__program *program)
{
    const struct yd__machine *machine = &decoder->machine;
    const struct yd__lanes *lanes = &program->lanes;
    struct yd__heads *heads = &decoder->heads[program->index];
    if (!lanes->count) return 0;
    if (heads->wide) return write_wide(decoder, program);
    for (int turn = 0;; turn++) {
        int r = heads->stamp == decoder->stamp ? 0 : make_heads(decoder, program);
        if (r == 0) r = make_room(decoder, lanes->count);
        if (r == 0) break;
        if (r != YD_EFULL || turn) return r == YD_EFULL ? YD_ETOOBIG : r;
        if ((r = yd_decoder_flush(decoder)) < 0) return r;
    }
    struct yd_record *records = decoder->room + decoder->room_used;
    for (uint32_t i = 0; i < lanes->count; i++) {
        records[i].time_ns = machine->time_ns;
        memcpy(&records[i].name, &heads->lanes[i], 8);
    }
    run_lanes(decoder, lanes, records);
    decoder->room_used += lanes->count;
    return 0;
}

_Static_assert(offsetof(struct yd_record, name) == 8 && offsetof(struct yd_record, kind) == 12 &&
                   offsetof(struct yd_record, type) == 13 && offsetof(struct yd_record, flags) == 14,
               "head_of is these eight bytes");

int yd__decoder_write(struct yd_decoder *decoder, const struct yd__program *program, const struct yd__staged *staged)
{
    const struct yd_decom_value *value = &staged->value;
    unsigned flags = value->suspect || value->type == YD_NIL ? YD_RECORD_QUALITY : 0;
    int64_t time_ns = decoder->machine.time_ns;
    for (int turn = 0;; turn++) {
        uint32_t name;
        int r = name_index(decoder, program, staged->name, &name);
        if (r == 0 && (value->type == YD_TEXT || value->type == YD_BLOB)) {
            commit(decoder);
            r = yd_builder_add_bytes(decoder->builder, time_ns, name, YD_SAMPLE, value->type, (uint16_t)flags,
                                     value->bytes);
        } else if (r == 0 && (r = make_room(decoder, 1)) == 0) {
            decoder->room[decoder->room_used++] = (struct yd_record){
                time_ns, name, YD_SAMPLE, (uint8_t)value->type, (uint16_t)flags, {.u64 = value->u64}};
        }
        if (r != YD_EFULL || turn) return r == YD_EFULL ? YD_ETOOBIG : r;
        if ((r = yd_decoder_flush(decoder)) < 0) return r;
    }
}

/* ---- sequence counters ---- */

static int write_tally(struct yd_decoder *decoder, struct yd_str text, uint64_t value)
{
    for (int turn = 0;; turn++) {
        uint32_t name;
        commit(decoder);
        int r = yd_builder_name(decoder->builder, text, &name);
        if (r == 0)
            r = yd_builder_add(decoder->builder, decoder->machine.time_ns, name, YD_TALLY, YD_U64, 0,
                               (union yd_value){.u64 = value});
        if (r != YD_EFULL || turn) return r;
        if ((r = yd_decoder_flush(decoder)) < 0) return r;
    }
}

static int name_tally(const struct yd_decoder *decoder, const char *name, struct yd_str label, char text[512])
{
    struct yd_str prefix = decoder->plan->def->name;
    return snprintf(text, 512, "%.*s%s%s %.*s", (int)YD_MIN(prefix.size, (size_t)200), prefix.data,
                    prefix.size ? "." : "", name, (int)YD_MIN(label.size, (size_t)200), label.data);
}

int yd__decoder_tally(struct yd_decoder *decoder, const char *name, struct yd_str label, const char *what,
                      uint64_t value)
{
    char text[512];
    int size = name_tally(decoder, name, label, text);
    size += snprintf(text + size, sizeof text - (size_t)size, " what=%s", what);
    return write_tally(decoder, (struct yd_str){text, (size_t)size}, value);
}

int yd__decoder_lost(struct yd_decoder *decoder, const struct yd__sequence *sequence, uint64_t by, uint64_t lost)
{
    char text[512];
    int size = name_tally(decoder, "lost", sequence->label, text);
    if (sequence->by != YD__NONE)
        size += snprintf(text + size, sizeof text - (size_t)size, "%llu", (unsigned long long)by);
    return write_tally(decoder, (struct yd_str){text, (size_t)size}, lost);
}

/* NULL: no memory, or too many: what these lose is not known. */
static struct yd__counter *counter_of(struct yd_decoder *decoder, uint64_t key, uint64_t by)
{
    if ((decoder->counter_count + 1) * 2 > decoder->counter_capacity) {
        uint32_t capacity = decoder->counter_capacity ? decoder->counter_capacity * 2 : 64,
                 old = decoder->counter_capacity;
        struct yd__counter *more =
            capacity > SEQUENCES_MAX * 2 ? NULL : yd_alloc_zero(decoder->alloc, capacity * sizeof *more);
        if (!more) return NULL;
        struct yd__counter *before = decoder->counters;
        decoder->counters = more;
        decoder->counter_capacity = capacity;
        decoder->counter_count = 0;
        for (uint32_t i = 0; i < old; i++)
            if (before[i].used) *counter_of(decoder, before[i].key, before[i].by) = before[i];
        yd_alloc_put(decoder->alloc, before, old * sizeof *before);
    }
    uint64_t words[2] = {key, by};
    uint32_t mask = decoder->counter_capacity - 1;
    for (uint32_t i = (uint32_t)yd_hash(words, sizeof words) & mask;; i = (i + 1) & mask) {
        struct yd__counter *counter = &decoder->counters[i];
        if (counter->used && (counter->key != key || counter->by != by)) continue;
        if (!counter->used) decoder->counter_count++;
        if (!counter->used) *counter = (struct yd__counter){.key = key, .by = by};
        counter->used = true;
        return counter;
    }
}

/* Counters go up by one and wrap. One that goes back less than half of its range is late or doubled; that is no loss.
 * When it goes on from there, far from where it was, its source has begun anew, and is followed there (as RFC 3550 A.1
 * does); what was lost between is not known. */
#define LATE_MAX 100
static int follow(struct yd_decoder *decoder, const struct yd__sequence *sequence)
{
    const struct yd_decom_value *registers = decoder->machine.registers;
    uint64_t now = registers[sequence->reg].u64, by = sequence->by == YD__NONE ? 0 : registers[sequence->by].u64;
    struct yd__counter *counter = counter_of(decoder, sequence->key, by);
    if (!counter) return 0;
    uint64_t mask = sequence->bits == 64 ? UINT64_MAX : (UINT64_C(1) << sequence->bits) - 1;
    uint64_t last = counter->last, step = (now - last) & mask;
    if (!counter->primed) {
        counter->primed = true;
        counter->last = now;
        return 0;
    }
    if (step == 0 || step > mask / 2 + 1) {
        bool goes_on = counter->went_back && ((now - counter->back) & mask) == 1;
        counter->went_back = step && mask - step + 1 > LATE_MAX;
        counter->back = now;
        if (goes_on && counter->went_back) {
            counter->went_back = false;
            counter->last = now;
        } else {
            decoder->counts.repeated++;
        }
        return 0;
    }
    counter->went_back = false;
    counter->last = now;
    if (step == 1) return 0;
    decoder->counts.lost += step - 1;
    return yd__decoder_lost(decoder, sequence, by, step - 1);
}

/* ---- another plan ---- */

/* Counters of two plans: by the old key (a container's place) the one by which it goes on in the new plan. What tells
 * a counter is the name of its container, its label and its range, not where it stands. */
struct matched {
    struct yd_alloc *alloc;
    struct yd_intern names; /* of the new plan's counters */
    struct yd_buf name;
    uint32_t *news, *olds; /* keys, by the name's number; and by the old key: the new one, NONE: it does not go on */
    uint32_t new_count, old_count;
};

static uint32_t container_count(const struct yd_plan *plan)
{
    uint32_t count = 0;
    for (const struct yd_def_container *c = plan->def->containers; c; c = c->next) count++;
    return count;
}

static uint32_t sequence_count(const struct yd_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->packet_count; i++) count += plan->packets[i]->sequence_count;
    return count;
}

static struct yd_str counter_name(struct yd_buf *to, const struct yd__sequence *sequence,
                                  const struct yd_def_container *const *containers)
{
    yd_buf_clear(to);
    yd_buf_printf(to, "%u%c", sequence->bits, sequence->by == YD__NONE ? '.' : '+');
    yd_buf_str(to, sequence->label);
    yd_buf_char(to, '\n');
    yd_buf_str(to, containers[sequence->key]->name);
    return yd_buf_view(to);
}

/* With its name and key. */
static int each_counter(struct matched *matched, const struct yd_plan *plan,
                        int (*visit)(struct matched *matched, struct yd_str name, uint32_t key))
{
    uint32_t count = container_count(plan), at = 0;
    size_t size = (count + 1u) * sizeof(struct yd_def_container *);
    const struct yd_def_container **containers = yd_alloc_get(matched->alloc, size);
    int error = containers ? 0 : YD_ENOMEM;
    for (const struct yd_def_container *c = plan->def->containers; c && error == 0; c = c->next) containers[at++] = c;
    for (uint32_t i = 0; i < plan->packet_count && error == 0; i++)
        for (uint32_t j = 0; j < plan->packets[i]->sequence_count && error == 0; j++) {
            const struct yd__sequence *sequence = &plan->packets[i]->sequences[j];
            struct yd_str name = counter_name(&matched->name, sequence, containers);
            error = matched->name.failed ? YD_ENOMEM : visit(matched, name, sequence->key);
        }
    yd_alloc_put(matched->alloc, containers, size);
    return error;
}

static int add_new(struct matched *matched, struct yd_str name, uint32_t key)
{
    uint32_t id;
    int error = yd_intern_add(&matched->names, name, &id);
    if (error == 1) matched->news[id] = key;
    return error < 0 ? error : 0;
}

static int add_old(struct matched *matched, struct yd_str name, uint32_t key)
{
    uint32_t id = yd_intern_find(&matched->names, name);
    if (id != YD_INTERN_NONE && matched->olds[key] == YD__NONE) matched->olds[key] = matched->news[id];
    return 0;
}

static void matched_fini(struct matched *matched)
{
    yd_alloc_put(matched->alloc, matched->news, matched->new_count * sizeof *matched->news);
    yd_alloc_put(matched->alloc, matched->olds, matched->old_count * sizeof *matched->olds);
    yd_intern_fini(&matched->names);
    yd_buf_fini(&matched->name);
}

static int match_counters(struct matched *matched, struct yd_alloc *alloc, const struct yd_plan *before,
                          const struct yd_plan *now)
{
    *matched = (struct matched){
        .alloc = alloc, .new_count = sequence_count(now) + 1, .old_count = container_count(before) + 1};
    yd_intern_init(&matched->names, alloc, 0);
    yd_buf_init(&matched->name, alloc);
    matched->news = yd_alloc_get(alloc, matched->new_count * sizeof *matched->news);
    matched->olds = yd_alloc_get(alloc, matched->old_count * sizeof *matched->olds);
    if (!matched->news || !matched->olds) return YD_ENOMEM;
    for (uint32_t i = 0; i < matched->old_count; i++) matched->olds[i] = YD__NONE;
    int error = each_counter(matched, now, add_new);
    return error < 0 ? error : each_counter(matched, before, add_old);
}

static int take_counters(struct yd_decoder *decoder, const struct yd_decoder *before)
{
    struct matched matched;
    int error = match_counters(&matched, decoder->alloc, before->plan, decoder->plan);
    for (uint32_t i = 0; i < before->counter_capacity && error == 0; i++) {
        const struct yd__counter *counter = &before->counters[i];
        uint32_t key = counter->used && counter->key < matched.old_count ? matched.olds[counter->key] : YD__NONE;
        if (key == YD__NONE) continue;
        struct yd__counter *own = counter_of(decoder, key, counter->by);
        if (!own) {
            error = YD_ENOMEM;
            break;
        }
        *own = *counter;
        own->key = key;
    }
    matched_fini(&matched);
    return error;
}

/* By their names. */
static int take_packet_counts(struct yd_decoder *decoder, const struct yd_decoder *before)
{
    const struct yd_plan *now = decoder->plan, *was = before->plan;
    struct yd_intern names;
    size_t size = (was->packet_count + 1u) * sizeof(uint64_t);
    uint64_t *counts = yd_alloc_get(decoder->alloc, size); /* by the name's number */
    int error = counts ? 0 : YD_ENOMEM;
    uint32_t id;
    yd_intern_init(&names, decoder->alloc, 0);
    for (uint32_t i = 0; i < was->packet_count && error >= 0; i++) {
        error = yd_intern_add(&names, yd_plan_packet_name(was, i), &id);
        if (error >= 0) counts[id] = before->heads[i].packets;
    }
    for (uint32_t i = 0; i < now->packet_count && error >= 0; i++) {
        id = yd_intern_find(&names, yd_plan_packet_name(now, i));
        if (id != YD_INTERN_NONE) decoder->heads[i].packets = counts[id];
    }
    yd_intern_fini(&names);
    yd_alloc_put(decoder->alloc, counts, size);
    return error < 0 ? error : 0;
}

static bool same_frame(const struct yd__frame *a, const struct yd__frame *b)
{
    return a && b && a->sync == b->sync && a->mask == b->mask && a->sync_bits == b->sync_bits && a->bits == b->bits &&
           a->word_bits == b->word_bits && a->major == b->major && a->counter_first == b->counter_first;
}

int yd_decoder_take_over(struct yd_decoder *decoder, const struct yd_decoder *before)
{
    const struct yd_plan *plan = decoder->plan;
    if (same_frame(plan->frame, before->plan->frame) && before->stream.capacity) {
        uint8_t *data = yd_alloc_get(decoder->alloc, before->stream.capacity), *copy = decoder->stream.copy;
        if (!data) return YD_ENOMEM;
        memcpy(data, before->stream.data, before->stream.size);
        decoder->stream = before->stream;
        decoder->stream.data = data;
        decoder->stream.copy = copy;
    }
    int error = take_counters(decoder, before);
    if (error < 0) return error;
    error = take_packet_counts(decoder, before);
    if (error < 0) return error;
    decoder->counts = before->counts;
    decoder->stream.told = before->stream.told;                 /* also from one that had no chunk of its own */
    if (before->stream.capacity && !decoder->stream.capacity) { /* other frames: what waited is of no use to them */
        decoder->counts.frames.skipped_bits += before->counts.frames.waiting_bits;
        decoder->counts.frames.waiting_bits = 0;
        decoder->counts.frames.major_partial += before->stream.seen > 0 && before->plan->frame->major > 1;
    }
    if (!decoder->stream.capacity)
        decoder->stream.skipped = decoder->stream.skipped_before = decoder->counts.frames.skipped_bits;
    return 0;
}

/* ---- a packet ---- */

static int reject(struct yd_decoder *decoder, int result)
{
    decoder->counts.rejected++;
    decoder->counts.reasons[result - 1]++;
    return result;
}

/* A text that no batch can hold. */
static bool all_fit(const struct yd_decoder *decoder)
{
    const struct yd__machine *machine = &decoder->machine;
    if (YD_LIKELY(machine->size <= decoder->value_max / 4))
        return true; /* texts grow when converted, fourfold at most */
    for (uint32_t i = 0; i < machine->staged_count; i++) {
        const struct yd_decom_value *value = &machine->staged[i].value;
        bool bytes = value->type == YD_TEXT || value->type == YD_BLOB;
        if (bytes && value->bytes.size > decoder->value_max) return false;
    }
    return true;
}

int yd_decoder_take(struct yd_decoder *decoder, int64_t time_ns, struct yd_str packet)
{
    struct yd__machine *machine = &decoder->machine;
    const struct yd__program *program;
    machine->data = (const uint8_t *)packet.data;
    machine->size = packet.size;
    machine->size_bits = (uint64_t)packet.size * 8;
    machine->time_ns = time_ns;
    machine->staged_count = 0;
    if (!packet.size) return reject(decoder, 1 + YD_DECOM_NOT_BYTES);
    if (decoder->plan->frame) return yd__decoder_take_chunk(decoder, time_ns, packet);
    int r = yd__match(machine, &program);
    machine->staged_count = 0;
    if (r == 0) r = yd__check_size(machine, program);
    if (r == 0) r = yd__run_steps(machine, program);
    if (r == 0 && !all_fit(decoder)) r = 1 + YD_DECOM_COUNT;
    if (r > 0) return reject(decoder, r);
    if (r < 0) return r;
    for (uint32_t i = 0; r == 0 && i < program->sequence_count; i++) r = follow(decoder, &program->sequences[i]);
    if (r == 0) r = write_lanes(decoder, program);
    for (uint32_t i = 0; r == 0 && i < machine->staged_count; i++)
        r = yd__decoder_write(decoder, program, &machine->staged[i]);
    if (r < 0) return r;
    yd__decoder_count(decoder, program);
    decoder->counts.values += program->lanes.count + machine->staged_count;
    return 0;
}

void yd__decoder_count(struct yd_decoder *decoder, const struct yd__program *program)
{
    decoder->counts.packets++;
    decoder->heads[program->index].packets++;
}

void yd_decoder_counts(const struct yd_decoder *decoder, struct yd_decoder_counts *ret)
{
    *ret = decoder->counts;
}

uint64_t yd_decoder_packet_count(const struct yd_decoder *decoder, uint32_t packet)
{
    return decoder->heads[packet].packets;
}
