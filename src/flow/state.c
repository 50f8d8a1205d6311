/* STATEFUL elements: the state and the position in the input it was made from are saved together, and tickets are held
 * until they are.
 *
 *   batches (generation g) --> state, outputs (generation g)
 *   every interval: save() --> snapshot of g, g + 1 begins
 *   all outputs of g acknowledged? --> file, atomically --> tickets of g are answered: durable
 *
 * A file is only written once everything that was emitted on the way to it has arrived for good: else a crash between
 * the two would skip the input and never have sent its result. A crash goes back to the file: tickets that were held
 * are answered "send it again", and what is still on its way from before is refused until the cursor has gone back
 * (generation). What comes again and is in the state already is skipped. So nothing is lost and nothing counts twice.
 *
 * File: magic, version, crc of the rest, positions, then what the class saved. Little-endian. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "flow/runtime.h"

#define MAGIC    UINT32_C(0x54534459) /* "YDST" */
#define VERSION  1
#define RETRY_NS YD_NS_PER_S

struct file_header {
    uint32_t magic, version, crc, positions;
    uint64_t generation;              /* 0: the class has not saved anything yet */
    uint64_t nonce, output_seq, size; /* size: of what the class saved */
};
struct file_position {
    uint64_t id, last;
    uint32_t epoch, reserved;
};
_Static_assert(sizeof(struct file_header) == 48 && sizeof(struct file_position) == 24, "the state file's layout");

void yd_save_bytes(struct yd_saver *saver, const void *data, size_t size)
{
    yd_buf_add(&saver->buf, data, size);
}

int yd_run_saved(int (*save)(const void *state, uint32_t key_group, struct yd_saver *saver), const void *state,
                 struct yd_buf *to)
{
    struct yd_saver saver = {*to};
    int error = save(state, 0, &saver);
    *to = saver.buf;
    return error < 0 ? error : to->failed ? YD_ENOMEM : 0;
}

int yd__state_setup(struct yd_element *e)
{
    yd_buf_init(&e->keep.snapshot, NULL);
    if (!(e->class->flags & YD_CLASS_STATEFUL)) return 0;
    if (asprintf(&e->keep.path, "%s/state/%s.state", e->run->data, e->node->name) < 0) return YD_ENOMEM;
    e->keep.generation = e->keep.first = 1;
    return 0;
}

/* ---- loading ---- */

static int check_file(const char *data, size_t size)
{
    struct file_header header;
    if (size < sizeof header) return YD_ECORRUPT;
    memcpy(&header, data, sizeof header);
    if (header.magic != MAGIC) return YD_ECORRUPT;
    if (header.version != VERSION) return YD_EVERSION;
    uint64_t positions = (uint64_t)header.positions * sizeof(struct file_position);
    if (size - sizeof header < positions || size - sizeof header - positions != header.size) return YD_ECORRUPT;
    size_t from = offsetof(struct file_header, positions);
    return yd_crc32c(0, data + from, size - from) == header.crc ? 0 : YD_ECORRUPT;
}

int yd_state_check(struct yd_fs *fs, const char *path)
{
    char *data;
    size_t size;
    int error = yd_fs_read_all(fs, path, SIZE_MAX / 2, &data, &size);
    if (error) return error;
    error = check_file(data, size);
    free(data);
    return error;
}

/* The nonce must be on the disk before the first output is: a crash before the first save begins again with the same
 * one, so that what is emitted again is known behind it. */
static int store_first(struct yd_element *e)
{
    struct file_header header = {.magic = MAGIC, .version = VERSION, .nonce = yd__run_random(e->run)};
    size_t from = offsetof(struct file_header, positions);
    header.crc = yd_crc32c(0, (const char *)&header + from, sizeof header - from);
    int error = yd_fs_replace(e->run->options.fs, e->keep.path, &header, sizeof header);
    e->keep.nonce = header.nonce;
    return error < 0 ? yd_element_fail(e, error, "cannot write %s: %s", e->keep.path, yd_error_text(error)) : 0;
}

int yd__state_load(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    free(keep->loaded);
    keep->loaded = NULL;
    keep->loaded_size = 0;
    char *data;
    size_t size;
    int error = yd_fs_read_all(e->run->options.fs, keep->path, SIZE_MAX / 2, &data, &size);
    if (error == YD_ENOENT) return store_first(e);
    if (error < 0) return yd_element_fail(e, error, "cannot read %s: %s", keep->path, yd_error_text(error));
    error = check_file(data, size);
    if (error < 0) {
        free(data);
        return yd_element_fail(e, error, "%s: %s. Move it away to begin with an empty state", keep->path,
                               yd_error_text(error));
    }
    struct file_header header;
    memcpy(&header, data, sizeof header);
    struct yd_str saved = {data + size - header.size, header.size};
    error = e->class->load && header.generation ? e->class->load(e->state, 0, saved) : 0;
    if (error < 0) {
        free(data);
        return yd_element_fail(e, error,
                               "%s: the state in it was not accepted: %s. Move it away to begin with an empty one",
                               keep->path, yd_error_text(error));
    }
    keep->loaded = data;
    keep->loaded_size = size;
    return 0;
}

static struct yd__position *position_of(struct yd_element *e, uint64_t id)
{
    struct yd__state *keep = &e->keep;
    for (uint32_t i = 0; i < keep->position_count; i++)
        if (keep->positions[i].id == id) return &keep->positions[i];
    if (keep->position_count == keep->position_capacity) {
        uint32_t capacity = keep->position_capacity ? keep->position_capacity * 2 : 4;
        struct yd__position *positions = realloc(keep->positions, capacity * sizeof *positions);
        if (!positions) return NULL;
        keep->positions = positions;
        keep->position_capacity = capacity;
    }
    struct yd__position *position = &keep->positions[keep->position_count++];
    *position = (struct yd__position){.id = id};
    return position;
}

void yd__state_loaded(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    for (uint32_t i = 0; i < keep->position_count; i++)
        keep->positions[i].live = keep->positions[i].saved = (struct yd__place){0};
    keep->output_seq = 0;
    if (!keep->loaded) return; /* just begun */
    struct file_header header;
    memcpy(&header, keep->loaded, sizeof header);
    keep->nonce = header.nonce;
    keep->output_seq = header.output_seq;
    for (uint32_t i = 0; i < header.positions; i++) {
        struct file_position stored;
        memcpy(&stored, keep->loaded + sizeof header + i * sizeof stored, sizeof stored);
        struct yd__position *position = position_of(e, stored.id);
        if (position) position->live = position->saved = (struct yd__place){stored.last, stored.epoch, true};
    }
    free(keep->loaded);
    keep->loaded = NULL;
}

/* ---- coming in ---- */

static bool behind(const struct yd__place *place, const struct yd__origin *origin)
{
    if (!place->known) return false;
    return origin->epoch < place->epoch || (origin->epoch == place->epoch && origin->last <= place->last);
}

bool yd__state_refuses(struct yd_element *e, struct yd__item *item)
{
    if (!item->origin.id) return false;
    struct yd__position *position = position_of(e, item->origin.id);
    if (!position) return false;
    if (item->origin.generation > position->generation) position->generation = item->origin.generation;
    if (!position->refusing) return false;
    if (item->origin.generation > position->refuse_upto) {
        position->refusing = false;
        return false;
    }
    yd__item_drop(e, item, YD_ECANCELED, false);
    return true;
}

static bool was_parked(const struct yd_element *e, const struct yd__origin *origin)
{
    for (uint32_t i = 0; i < e->keep.parked_count; i++)
        if (e->keep.parked[i].id == origin->id && e->keep.parked[i].last == origin->last &&
            e->keep.parked[i].epoch == origin->epoch)
            return true;
    return false;
}

/* The batches before it may have to be sent again, and it with them: without this it would crash the element for ever.
 */
void yd__state_parked(struct yd_element *e, const struct yd__item *item)
{
    if (!item->origin.id) return;
    struct yd__origin *parked = realloc(e->keep.parked, (e->keep.parked_count + 1) * sizeof *parked);
    if (!parked) return;
    e->keep.parked = parked;
    parked[e->keep.parked_count++] = item->origin;
}

bool yd__state_skips(struct yd_element *e, struct yd__item *item)
{
    struct yd__position *position = item->origin.id ? position_of(e, item->origin.id) : NULL;
    if (!position) return false;
    bool parked = was_parked(e, &item->origin);
    if (!parked && !behind(&position->live, &item->origin)) return false;
    struct yd_input_stat *stat = &e->inputs[e->ports[item->port].input].stat;
    uint32_t count = item->batch->header.count;
    stat->received -= count;
    stat->queued -= count;
    stat->skipped += count;
    item->accounted = count;
    if (parked || behind(&position->saved, &item->origin)) {
        yd__ticket_answer(item->ticket, parked ? YD_EFAIL : 0, YD_ACK_DURABLE);
        item->ticket = NULL;
    }
    return true;
}

static void arm(struct yd_element *e, int64_t after)
{
    if (e->keep.timer) return;
    e->keep.timer = true;
    yd_out_timer(e->box, YD__TIMER_SAVE, yd_out_mono(e->box) + after);
}

void yd__state_touched(struct yd_element *e, bool is_once)
{
    if (is_once) e->keep.once = e->keep.generation;
    e->keep.dirty = true;
    arm(e, e->run->save_interval_ns);
}

void yd__state_took(struct yd_element *e, struct yd__item *item, struct yd__ticket *ticket)
{
    struct yd__state *keep = &e->keep;
    struct yd__position *position = item->origin.id ? position_of(e, item->origin.id) : NULL;
    if (position && !behind(&position->live, &item->origin))
        position->live = (struct yd__place){item->origin.last, item->origin.epoch, true};
    if (!item->origin.id) keep->once = keep->generation;
    keep->dirty = true;
    arm(e, e->run->save_interval_ns);
    if (!ticket) return;
    if (keep->held_count == keep->held_capacity) {
        uint32_t capacity = keep->held_capacity ? keep->held_capacity * 2 : 64;
        struct yd__held_ticket *held = realloc(keep->held, capacity * sizeof *held);
        if (!held) {
            yd__ticket_answer(ticket, YD_ECANCELED, 0);
            return;
        }
        keep->held = held;
        keep->held_capacity = capacity;
    }
    keep->held[keep->held_count++] = (struct yd__held_ticket){ticket, keep->generation};
}

/* ---- going out ---- */

struct yd__ticket *yd__state_output(struct yd_element *e, struct yd__ticket *parent)
{
    struct yd__state *keep = &e->keep;
    uint64_t at = keep->generation - keep->first;
    if (at >= keep->outstanding_capacity) {
        uint32_t capacity = (uint32_t)at + 8;
        uint64_t *outstanding = realloc(keep->outstanding, capacity * sizeof *outstanding);
        if (!outstanding) return parent; /* this one will not be waited for */
        keep->outstanding = outstanding;
        keep->outstanding_capacity = capacity;
    }
    while (keep->outstanding_count <= at) keep->outstanding[keep->outstanding_count++] = 0;
    struct yd__ticket *ticket = yd__ticket_new(e->run->hub, YD__TICKET_OUTPUT, e->pid, keep->generation, YD_ACK_DURABLE,
                                               e->incarnation, parent);
    if (ticket) keep->outstanding[at]++;
    return ticket;
}

static bool outputs_arrived(const struct yd__state *keep, uint64_t generation)
{
    for (uint32_t i = 0; i < keep->outstanding_count && keep->first + i <= generation; i++)
        if (keep->outstanding[i]) return false;
    return true;
}

static void store(void *arg)
{
    struct yd_element *e = arg;
    struct yd_buf *file = &e->keep.snapshot;
    int error = yd_fs_replace(e->run->options.fs, e->keep.path, file->data, file->size);
    yd__tell(e->run, e->pid, YD__ENV_SAVED, (uint64_t)(int64_t)error, 0);
}

static void try_store(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    if (!keep->have_snapshot || keep->storing || !outputs_arrived(keep, keep->snapshot_generation)) return;
    int error = yd_lane_submit(e->lane, store, NULL, NULL, e);
    if (error < 0) {
        arm(e, RETRY_NS);
        return;
    }
    keep->storing = true;
}

void yd__state_output_answered(struct yd_element *e, uint64_t generation, int error)
{
    struct yd__state *keep = &e->keep;
    uint64_t at = generation - keep->first;
    if (generation >= keep->first && at < keep->outstanding_count && keep->outstanding[at]) keep->outstanding[at]--;
    /* The result was lost on its way. It can only be had again by going back to the last save, and only if all that
     * came since can be sent again: else going back would lose that as well. */
    if (error == YD_ECANCELED && !e->forced && keep->once < keep->first) {
        yd__life_roll_back(e);
        return;
    }
    try_store(e);
    if (e->phase == YD__PHASE_SAVE) e->look = true;
}

static int take_snapshot(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    struct yd_buf *file = &keep->snapshot;
    struct file_header header = {.magic = MAGIC,
                                 .version = VERSION,
                                 .generation = keep->generation,
                                 .nonce = keep->nonce,
                                 .output_seq = keep->output_seq};
    yd_buf_clear(file);
    yd_buf_add(file, &header, sizeof header);
    for (uint32_t i = 0; i < keep->position_count; i++) {
        struct yd__position *position = &keep->positions[i];
        position->snapshot = position->live;
        if (!position->live.known) continue;
        struct file_position stored = {position->id, position->live.last, position->live.epoch, 0};
        yd_buf_add(file, &stored, sizeof stored);
        header.positions++;
    }
    size_t before = file->size;
    struct yd_saver saver = {*file};
    int error = e->class->save ? e->class->save(e->state, 0, &saver) : 0;
    *file = saver.buf;
    if (error < 0) return error;
    if (file->failed) return YD_ENOMEM;
    header.size = file->size - before;
    memcpy(file->data, &header, sizeof header);
    size_t from = offsetof(struct file_header, positions);
    header.crc = yd_crc32c(0, file->data + from, file->size - from);
    memcpy(file->data, &header, sizeof header);
    keep->snapshot_generation = keep->generation++;
    keep->have_snapshot = true;
    keep->dirty = false;
    return 0;
}

void yd__state_due(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    keep->timer = false;
    if (e->life != YD_LIFE_UP && e->life != YD_LIFE_ENDED) return;
    if (keep->have_snapshot) {
        try_store(e);
        return;
    }
    if (!keep->dirty && keep->held_count == 0) return;
    /* Between two batches, never within one. */
    bool within = e->fifo.count && yd__ring_front(&e->fifo)->again;
    int error = within || keep->storing ? YD_EAGAIN : take_snapshot(e);
    if (error < 0) {
        if (error != YD_EAGAIN)
            yd__element_say(e, 2, "its state cannot be saved: %s. It is tried again", yd_error_text(error));
        arm(e, error == YD_EAGAIN ? YD_NS_PER_MS : RETRY_NS);
        return;
    }
    try_store(e);
}

static void forget_generations(struct yd__state *keep)
{
    uint32_t gone = 0;
    while (gone < keep->outstanding_count && keep->first + gone <= keep->snapshot_generation) gone++;
    if (gone)
        memmove(keep->outstanding, keep->outstanding + gone,
                (keep->outstanding_count - gone) * sizeof *keep->outstanding);
    keep->outstanding_count -= gone;
    keep->first = keep->snapshot_generation + 1;
}

void yd__state_stored(struct yd_element *e, int error)
{
    struct yd__state *keep = &e->keep;
    keep->storing = false;
    if (!keep->have_snapshot) { /* crashed meanwhile */
        if (e->phase == YD__PHASE_SAVE) e->look = true;
        return;
    }
    if (error < 0) {
        yd__element_say(e, 2, "cannot write %s: %s. It is tried again; until then nothing is acknowledged", keep->path,
                        yd_error_text(error));
        arm(e, RETRY_NS);
        return;
    }
    e->saves++;
    keep->have_snapshot = false;
    for (uint32_t i = 0; i < keep->position_count; i++) keep->positions[i].saved = keep->positions[i].snapshot;
    forget_generations(keep);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < keep->held_count; i++) {
        if (keep->held[i].generation <= keep->snapshot_generation) {
            yd__ticket_answer(keep->held[i].ticket, 0, YD_ACK_DURABLE);
        } else {
            keep->held[kept++] = keep->held[i];
        }
    }
    keep->held_count = kept;
    if (keep->dirty || kept) arm(e, e->phase == YD__PHASE_SAVE ? 0 : e->run->save_interval_ns);
    if (e->phase == YD__PHASE_SAVE) e->look = true;
}

bool yd__state_final(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    if (!(e->class->flags & YD_CLASS_STATEFUL)) return true;
    if (!keep->dirty && !keep->have_snapshot && !keep->storing && keep->held_count == 0) return true;
    if (!keep->have_snapshot && !keep->storing) yd__state_due(e);
    return false;
}

static void cancel_held(struct yd__state *keep)
{
    for (uint32_t i = 0; i < keep->held_count; i++) yd__ticket_answer(keep->held[i].ticket, YD_ECANCELED, 0);
    keep->held_count = 0;
}

/* Everything since the last save is gone with the state. */
void yd__state_lost(struct yd_element *e)
{
    struct yd__state *keep = &e->keep;
    if (!(e->class->flags & YD_CLASS_STATEFUL)) return;
    for (uint32_t i = 0; i < keep->position_count; i++) {
        keep->positions[i].refusing = true;
        keep->positions[i].refuse_upto = keep->positions[i].generation;
    }
    keep->have_snapshot = keep->dirty = false;
    keep->outstanding_count = 0;
    keep->first = ++keep->generation;
    cancel_held(keep);
    /* What waits and will come again must not be taken before what was lost. */
    for (uint32_t i = e->fifo.count; i > 0; i--) {
        struct yd__item item = *yd__ring_front(&e->fifo);
        yd__ring_pop(&e->fifo);
        if (item.type == YD__ITEM_BATCH && item.origin.id) {
            yd__item_drop(e, &item, YD_ECANCELED, false);
        } else {
            (void)yd__ring_push(&e->fifo, &item); /* its place has just become free */
        }
    }
}

void yd__state_fini(struct yd_element *e)
{
    cancel_held(&e->keep);
    free(e->keep.positions);
    free(e->keep.parked);
    free(e->keep.held);
    free(e->keep.outstanding);
    free(e->keep.path);
    free(e->keep.loaded);
    yd_buf_fini(&e->keep.snapshot);
}
