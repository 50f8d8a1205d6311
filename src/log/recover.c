/* log/recover.c: opening what a crash left.
 *
 *   control's last checkpoint: "durable up to seqno S, at this offset of that segment"
 *        | frames behind it are read whole and checked: header, body, log_id, seqno, chain
 *        v
 *   frame frame frame X …      X: torn or rotten?
 *        evidence = the greatest durable position that any good header behind X knows of
 *        evidence >  X : it was durable once: rot. That range is quarantined, the frames behind it are kept
 *        evidence <= X : never acknowledged: a torn tail. Quarantined, zeroed; the stream goes on at X
 *
 * Then, in this order: the zeros and everything that was read behind the checkpoint are on the device (written again,
 * not only synced: after a failed sync the cache shows pages as clean that the device never got), the names are, and a
 * checkpoint with the new end and the raised epoch is, before the first append. A crash in between leaves the old
 * checkpoint, and all of this is done again. The epoch rises whenever the log was not closed in order, also when
 * nothing is cut here: what was only in memory is gone too, and readers may have seen it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

#define SCAN_STEP ((size_t)1 << 20)
#define WALK_STEP ((size_t)256 << 10)

struct recovery {
    struct yd_log *log;
    struct yd_log_recovery *report;
    struct yd_trail *trail;
    struct yd__window window;
    bool have_checkpoint, sure;
    bool full;          /* the last segment takes no more frames */
    bool unreadable;    /* the device refused something behind the checkpoint */
    bool followed;      /* a follower wrote it: what headers call durable was so at its leader */
    uint32_t epoch_max; /* seen anywhere */
    uint32_t index;     /* of the segment being scanned */
    uint64_t offset;    /* in it */
    uint64_t expected;  /* the next seqno */
    uint32_t chain;     /* header_crc of the frame before */
    bool chain_known;
    uint32_t first_scanned; /* index of the checkpoint's segment, and where in it the scan began */
    uint64_t first_offset;
};

/* ---- the folder ---- */

struct listing {
    uint64_t *bases;
    uint32_t count, capacity;
};

static int visit_name(void *arg, const char *name, enum yd_file_type node)
{
    struct listing *listing = arg;
    uint64_t base;
    if (node != YD_NODE_FILE || (!yd__segment_name(name, ".ylog", &base) && !yd__segment_name(name, ".yzst", &base)))
        return 0;
    if (listing->count == listing->capacity) {
        uint32_t capacity = listing->capacity ? listing->capacity * 2 : 64;
        uint64_t *bases = realloc(listing->bases, capacity * sizeof *bases);
        if (!bases) return YD_ENOMEM;
        listing->bases = bases;
        listing->capacity = capacity;
    }
    listing->bases[listing->count++] = base;
    return 0;
}

static int compare_bases(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int yd__list_segments(struct yd_fs *fs, const char *dir, uint64_t **ret_bases, uint32_t *ret_count)
{
    struct listing listing = {0};
    int error = yd_fs_list(fs, dir, visit_name, &listing);
    if (error) {
        free(listing.bases);
        return error;
    }
    if (listing.count) qsort(listing.bases, listing.count, sizeof *listing.bases, compare_bases);
    uint32_t kept = 0; /* a segment and its twin are one */
    for (uint32_t i = 0; i < listing.count; i++)
        if (kept == 0 || listing.bases[kept - 1] != listing.bases[i]) listing.bases[kept++] = listing.bases[i];
    *ret_bases = listing.bases;
    *ret_count = kept;
    return 0;
}

static int open_file(struct yd_log *log, struct yd__segment *segment)
{
    if (segment->file) return 0;
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
    int error = yd_fs_open(log->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &segment->file);
    if (error != YD_ENOENT) return error;
    segment->raw_gone = true;
    return yd__segment_open(log->fs, log->dir, segment->base, &segment->file);
}

/* A damaged head: is the segment's first frame where it usually is? Then it can be read all the same. */
static int probe(struct yd_log *log, struct yd__segment *segment)
{
    struct yd__window window;
    yd__window_init(&window, segment->file, YD__SEGMENT_ALIGN);
    struct yd_header header;
    int found = log->log_id ? yd__frame_at(&window, YD__SEGMENT_ALIGN, log->log_id, true, &header) : YD__FOUND_BAD;
    segment->unreadable = found != YD__FOUND_FRAME && window.unreadable;
    yd__window_fini(&window);
    if (found == YD__FOUND_FRAME && header.base_seqno == segment->base) {
        segment->data_start = YD__SEGMENT_ALIGN;
        segment->prev_crc = header.prev_crc;
        segment->epoch = header.epoch;
    }
    if (found == YD_EIO) segment->unreadable = true;
    return found < 0 && found != YD_EIO ? found : 0;
}

/* What the head says of a segment; 0 also when the head is damaged: then data_start is a guess, or 0. */
static int read_head(struct recovery *recovery, struct yd__segment *segment, struct yd__segment_head **ret_head)
{
    struct yd_log *log = recovery->log;
    struct yd__segment_head *head;
    *ret_head = NULL;
    int error = yd__head_read(segment->file, &head);
    if (error == YD_ECORRUPT || error == YD_EIO) {
        int probed = probe(log, segment);
        segment->unreadable |= error == YD_EIO && segment->data_start == 0;
        return probed;
    }
    if (error == YD_EVERSION)
        return yd_trail_add(recovery->trail, error,
                            "segment %020llu of %s is of a version that this program does not know",
                            (unsigned long long)segment->base, log->dir);
    if (error) return error;
    if (log->log_id == 0) log->log_id = head->log_id;
    if (head->base_seqno != segment->base || head->log_id != log->log_id || strcmp(head->stream, log->stream) != 0) {
        bool other = head->log_id != log->log_id || strcmp(head->stream, log->stream) != 0;
        if (other)
            error = yd_trail_add(recovery->trail, YD_ECORRUPT, "segment %020llu of %s belongs to stream %s, log %llx",
                                 (unsigned long long)segment->base, log->dir, head->stream,
                                 (unsigned long long)head->log_id);
        free(head);
        return error;
    }
    segment->head_good = true;
    segment->data_start = head->data_start;
    segment->generation = head->generation;
    segment->prev_crc = head->prev_crc;
    segment->begun_at = head->created_at;
    segment->epoch = head->epoch;
    recovery->epoch_max = YD_MAX(recovery->epoch_max, head->epoch);
    *ret_head = head;
    return 0;
}

static int load_segments(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    uint64_t *bases;
    uint32_t count;
    int error = yd__list_segments(log->fs, log->dir, &bases, &count);
    if (error) return yd_trail_add(recovery->trail, error, "cannot list %s: %s", log->dir, yd_error_text(error));
    for (uint32_t i = 0; i < count && !error; i++) {
        struct yd__segment *segment = yd__segment_create(bases[i]);
        struct yd_stat now;
        error = segment ? open_file(log, segment) : YD_ENOMEM;
        bool lost = error == YD_ECORRUPT; /* a twin that cannot be opened: readers are told a gap */
        if (lost) error = 0;
        if (!error && !lost) error = yd_file_stat(segment->file, &now);
        if (!error) {
            segment->file_size = lost ? 0 : now.size;
            error = yd__log_add_segment(log, segment);
        }
        if (!error && lost) {
            segment->sealed = true;
            segment->next = i + 1 < count ? bases[i + 1] : bases[i];
            segment->append_max = yd__log_now(log);
            continue;
        }
        struct yd__segment_head *head = NULL;
        if (error)
            yd__segment_unref(segment);
        else
            error = read_head(recovery, segment, &head);
        free(head);
        if (!error && i + 1 < count) {
            segment->next = bases[i + 1];
            struct yd__footer footer;
            int sealed = yd__footer_read(segment->file, log->log_id, &footer, NULL);
            if (sealed == 0 && footer.base_seqno == segment->base) {
                yd__segment_from_footer(segment, &footer);
                yd_file_close(segment->file);
                segment->file = NULL;
            } else if (sealed != 0 && sealed != YD_ENOENT && !segment->raw_gone) {
                error = sealed;
            }
            if (segment->raw_gone && !segment->sealed) { /* its footer cannot be had: its frames perhaps can */
                segment->sealed = true;
                segment->append_max = now.mtime_ns;
                yd_file_close(segment->file);
                segment->file = NULL;
            }
        }
    }
    free(bases);
    return error;
}

/* ---- what lies before the checkpoint: only counted, by headers or from the saved index ---- */

static bool index_fits(const struct yd__index_head *head, size_t size, const struct yd__segment *segment,
                       uint64_t log_id, uint64_t offset)
{
    return head->magic == YD__INDEX_MAGIC && head->version == YD__INDEX_VERSION && head->log_id == log_id &&
           head->base_seqno == segment->base && head->covered <= offset && head->covered >= segment->data_end &&
           size == sizeof *head + head->count * sizeof(struct yd__index_entry) +
                       head->producer_count * sizeof(struct yd__producer_entry);
}

static int take_index(struct yd_log *log, struct yd__segment *segment, char *bytes)
{
    const struct yd__index_head *head = (const void *)bytes;
    const struct yd__index_entry *entries = (const void *)(head + 1);
    const struct yd__producer_entry *producers = (const void *)(entries + head->count);
    struct yd__index_entry *copy = malloc((head->count + (size_t)1) * sizeof *copy);
    if (!copy) return YD_ENOMEM;
    memcpy(copy, entries, head->count * sizeof *copy);
    free(segment->index.entries);
    segment->index = (struct yd__index){copy, head->count, head->count + 1};
    segment->next = head->covered_seqno;
    segment->data_end = head->covered;
    segment->last_crc = head->covered_crc;
    segment->headers_crc = head->headers_crc;
    segment->batches = head->batches;
    if (head->count) segment->time_max = entries[head->count - 1].time_max;
    segment->time_min = head->time_min;
    segment->append_min = head->append_min;
    segment->append_max = head->append_max;
    segment->names = head->names;
    segment->kinds = head->kinds;
    memcpy(segment->name_min, head->name_min, sizeof segment->name_min);
    memcpy(segment->name_max, head->name_max, sizeof segment->name_max);
    yd__producers_clear(&log->written_producers);
    int error = 0;
    for (uint32_t i = 0; i < head->producer_count && !error; i++)
        error = yd__producers_put(&log->written_producers, &producers[i]);
    return error;
}

/* The saved index, if there is a good one that does not go beyond `offset`. */
static int load_index(struct yd_log *log, struct yd__segment *segment, uint64_t offset)
{
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".yidx");
    char *bytes;
    size_t size;
    int error = yd_fs_read_all(log->fs, path, (size_t)64 << 20, &bytes, &size);
    if (error == YD_ENOMEM) return error;
    if (error) return 0; /* a cache */
    struct yd__index_head *head = (void *)bytes;
    bool good = size >= sizeof *head && index_fits(head, size, segment, log->log_id, offset);
    if (good) {
        uint32_t crc = head->crc;
        head->crc = 0;
        good = yd_crc32c(0, bytes, size) == crc;
    }
    if (good) error = take_index(log, segment, bytes);
    free(bytes);
    return good ? error : 0;
}

static int note_rot(struct recovery *recovery, struct yd__segment *segment, uint64_t from, uint64_t to)
{
    recovery->report->rotten_batches++;
    return yd__quarantine(recovery->log, segment->file, segment->base, from, to, "rotten");
}

/* Counts the frames of [data_end, end), up to seqno `next`, by their headers. */
static int walk(struct recovery *recovery, struct yd__segment *segment, uint64_t end, uint64_t next)
{
    struct yd_log *log = recovery->log;
    struct yd__window window;
    yd__window_init(&window, segment->file, WALK_STEP);
    uint64_t offset = segment->data_end;
    int error = 0;
    while (offset < end && segment->next < next && !error) {
        struct yd_header header;
        uint64_t from = offset;
        int found = yd__frame_at(&window, offset, log->log_id, false, &header);
        if (found < 0)
            error = found;
        else if (found != YD__FOUND_FRAME || header.base_seqno < segment->next || header.base_seqno >= next) {
            error = yd__frame_resync(&window, offset + YD_BATCH_ALIGN, end, log->log_id, segment->next + 1, next,
                                     &offset, &header);
            uint64_t to = error == YD_ENOENT ? end : offset;
            if (error == 0 || error == YD_ENOENT) {
                int noted = note_rot(recovery, segment, from, to);
                if (noted) error = noted;
            }
        }
        if (error) break;
        struct yd__names names = yd__frame_names(&window, offset, &header);
        error = yd__segment_account(segment, &header, offset, &names);
        if (!error) yd__segment_digest(segment, &header);
        if (!error) error = yd__producers_note(&log->written_producers, &header);
        recovery->epoch_max = YD_MAX(recovery->epoch_max, header.epoch);
        offset += header.size;
    }
    yd__window_fini(&window);
    return error == YD_ENOENT ? 0 : error;
}

/* Only for its producers: what is counted on the way is thrown away. */
static int walk_for_producers(struct recovery *recovery, struct yd__segment *segment, uint64_t next)
{
    struct yd__segment *scratch = yd__segment_create(segment->base);
    if (!scratch) return YD_ENOMEM;
    scratch->data_start = segment->data_start;
    scratch->file = segment->file;
    yd__segment_reset(scratch);
    int error = walk(recovery, scratch, segment->sealed ? segment->data_end : segment->file_size, next);
    scratch->file = NULL; /* was borrowed */
    yd__segment_unref(scratch);
    return error;
}

/* The producers as of a segment's begin: by its head, or by the last good head before it and the frames since. */
static int load_producers(struct recovery *recovery, uint32_t index)
{
    struct yd_log *log = recovery->log;
    uint32_t from = index;
    while (from > 0 && !log->segments[from]->head_good) from--;
    for (uint32_t i = from; i <= index; i++) {
        struct yd__segment *segment = log->segments[i];
        struct yd__segment_head *head = NULL;
        int error = open_file(log, segment);
        if (!error && i == from) error = read_head(recovery, segment, &head);
        if (error) return error;
        for (uint32_t p = 0; head && p < head->producer_count && !error; p++)
            error = yd__producers_put(&log->written_producers, &head->producers[p]);
        free(head);
        if (!error && i < index) error = walk_for_producers(recovery, segment, log->segments[i + 1]->base);
        if (error) return error;
    }
    return 0;
}

/* ---- behind the checkpoint: read whole ---- */

/* The greatest position that anything behind (index, offset) proves to have been durable. */
static int find_evidence(struct recovery *recovery, uint64_t *ret_durable)
{
    struct yd_log *log = recovery->log;
    uint64_t durable = 0;
    for (uint32_t i = recovery->index; i < log->segment_count; i++) {
        struct yd__segment *segment = log->segments[i];
        uint64_t offset = recovery->offset + YD_BATCH_ALIGN;
        if (i > recovery->index) {
            if (segment->data_start != 0)
                durable = YD_MAX(durable, segment->base); /* begun when all before was durable */
            offset = segment->data_start ? segment->data_start : YD__SEGMENT_ALIGN;
        }
        struct yd__window window;
        int error = open_file(log, segment);
        if (error) return error;
        yd__window_init(&window, segment->file, SCAN_STEP);
        struct yd_header header;
        while (!error) {
            error = yd__frame_resync(&window, offset, segment->file_size, log->log_id, recovery->expected, UINT64_MAX,
                                     &offset, &header);
            if (error) break;
            if (!recovery->followed) durable = YD_MAX(durable, header.durable_seqno); /* else its leader's */
            recovery->epoch_max = YD_MAX(recovery->epoch_max, header.epoch);
            offset += header.size;
        }
        recovery->unreadable |= window.unreadable;
        yd__window_fini(&window);
        if (error != YD_ENOENT) return error;
    }
    *ret_durable = durable;
    return 0;
}

static void enter(struct recovery *recovery, uint32_t index, uint64_t offset)
{
    yd__window_fini(&recovery->window);
    recovery->index = index;
    recovery->offset = offset;
    yd__window_init(&recovery->window, recovery->log->segments[index]->file, SCAN_STEP);
}

/* A crash may leave a segment's frames and not its head, which no sync had covered yet: it is made anew. Its producers
 * are those known at its first frame: now. */
static int repair_head(struct recovery *recovery, struct yd__segment *segment, uint64_t generation)
{
    struct yd_log *log = recovery->log;
    if (log->options.follower) return 0; /* its head is its leader's, or is damaged */
    struct yd__head_what what = {.base = segment->base,
                                 .log_id = log->log_id,
                                 .generation = generation,
                                 .epoch = segment->epoch,
                                 .prev_crc = segment->prev_crc,
                                 .now = yd__log_now(log),
                                 .stream = log->stream};
    char *head;
    uint32_t size;
    int error = yd__head_make(&what, &log->written_producers, &head, &size);
    if (error) return error;
    if (size == segment->data_start && !segment->raw_gone) {
        error = yd_file_write(segment->file, head, size, 0); /* synced with the rest: make_durable */
        segment->head_good = !error;
        segment->generation = generation;
        segment->begun_at = what.now;
    }
    free(head);
    return error;
}

/* The next segment is the continuation: its head is good and it begins where we are. */
static int try_next_segment(struct recovery *recovery, bool gap_allowed, bool *ret_entered)
{
    struct yd_log *log = recovery->log;
    *ret_entered = false;
    uint32_t index = recovery->index + 1;
    while (gap_allowed && index < log->segment_count && log->segments[index]->data_start == 0) index++;
    if (index >= log->segment_count) return 0;
    struct yd__segment *next = log->segments[index];
    if (next->data_start == 0 || (gap_allowed ? next->base < recovery->expected : next->base != recovery->expected))
        return 0;
    for (uint32_t i = recovery->index; i < index; i++) {
        if (gap_allowed) yd__segment_unknown(log->segments[i]);
        log->segments[i]->next = log->segments[i + 1]->base;
        log->segments[i]->accounted = true;
    }
    int error = open_file(log, next);
    if (!error && !next->head_good) error = repair_head(recovery, next, log->segments[recovery->index]->generation + 1);
    if (error) return error;
    yd__segment_reset(next);
    recovery->expected = next->base;
    if (gap_allowed) recovery->chain_known = false;
    enter(recovery, index, next->data_start);
    *ret_entered = true;
    return 0;
}

/* Something that is not the next frame. *ret_end: the stream ends here; else the scan goes on behind the damage. */
static int judge(struct recovery *recovery, int found, bool *ret_end)
{
    struct yd_log *log = recovery->log;
    struct yd__segment *segment = log->segments[recovery->index];
    *ret_end = false;
    bool entered;
    /* A next segment that begins right here: this one is complete, and what follows is its footer or zeros. */
    uint64_t here = recovery->offset;
    int error = try_next_segment(recovery, false, &entered);
    if (error) return error;
    if (entered) {
        segment->data_end = here;
        /* A good footer stays as it is: made anew it may say less, and followers have this one. */
        struct yd__footer footer;
        error = yd__footer_read(segment->file, log->log_id, &footer, NULL);
        if (error == 0 && footer.data_end == here && footer.next_seqno == recovery->expected)
            yd__segment_from_footer(segment, &footer);
        return error == YD_ENOENT ? 0 : error;
    }
    uint64_t durable;
    error = find_evidence(recovery, &durable);
    if (error) return error;
    if (durable <= recovery->expected) {
        /* What cannot be read now may be good: it is not cut. */
        bool unreadable = recovery->unreadable || recovery->window.unreadable;
        for (uint32_t i = recovery->index + 1; i < log->segment_count; i++) unreadable |= log->segments[i]->unreadable;
        if (unreadable) return YD_EIO;
        *ret_end = true;
        return 0;
    }
    /* Rot. The frames behind it are kept, but for those that were not durable either. */
    recovery->unreadable = recovery->window.unreadable = false;
    uint64_t offset;
    struct yd_header header;
    error = yd__frame_resync(&recovery->window, recovery->offset + YD_BATCH_ALIGN, segment->file_size, log->log_id,
                             recovery->expected + 1, UINT64_MAX, &offset, &header);
    if (error && error != YD_ENOENT) return error;
    if (error == 0 && header.base_seqno <= durable) {
        error = note_rot(recovery, segment, recovery->offset, offset);
        recovery->expected = header.base_seqno;
        recovery->offset = offset;
        recovery->chain_known = false;
        return error;
    }
    if (error == YD_ENOENT) {
        uint64_t from = recovery->offset;
        error = try_next_segment(recovery, true, &entered);
        if (error || entered) {
            segment->data_end = segment->file_size & ~(uint64_t)(YD_BATCH_ALIGN - 1);
            if (entered && found != YD__FOUND_ZERO)
                error = note_rot(recovery, segment, from, segment->file_size);
            else if (entered)
                recovery->report->rotten_batches++;
            return error;
        }
    }
    recovery->report->rotten_batches++;
    yd__segment_unknown(segment);
    recovery->expected = durable; /* what was durable is a gap; the stream goes on behind it */
    recovery->chain_known = false;
    *ret_end = true;
    return 0;
}

/* A good frame behind the checkpoint: counted, and written once more as it was read. */
static int keep_frame(struct recovery *recovery, struct yd__segment *segment, const struct yd_header *header)
{
    const char *bytes;
    size_t have;
    int error = yd__window_get(&recovery->window, recovery->offset, header->size, &bytes, &have);
    bool rewrite =
        !segment->raw_gone && !YD__SKIPS(YD__SKIP_REWRITE); /* a twin was durable before it was all there was */
    if (!error && rewrite) error = yd_file_write(segment->file, bytes, have, recovery->offset);
    struct yd__names names = error ? yd__names_any() : yd__frame_names(&recovery->window, recovery->offset, header);
    if (!error) error = yd__segment_account(segment, header, recovery->offset, &names);
    if (!error) yd__segment_digest(segment, header);
    if (!error) error = yd__producers_note(&recovery->log->written_producers, header);
    if (!error && recovery->log->options.follower && !YD__SKIPS(YD__SKIP_EPOCH_TABLE))
        yd__epoch_note(&recovery->log->checkpoint, header->epoch, header->base_seqno);
    return error;
}

static int scan(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    for (;;) {
        struct yd__segment *segment = log->segments[recovery->index];
        struct yd_header header;
        int found = yd__frame_at(&recovery->window, recovery->offset, log->log_id, true, &header);
        if (found < 0) return found;
        if (found == YD__FOUND_FRAME && header.base_seqno == recovery->expected &&
            (!recovery->chain_known || header.prev_crc == recovery->chain)) {
            int error = keep_frame(recovery, segment, &header);
            if (error) return error;
            recovery->expected = header.base_seqno + header.count;
            recovery->chain = header.header_crc;
            recovery->chain_known = true;
            recovery->offset += header.size;
            recovery->epoch_max = YD_MAX(recovery->epoch_max, header.epoch);
            recovery->report->batches_checked++;
            continue;
        }
        bool end;
        int error = judge(recovery, found, &end);
        if (error || end) return error;
    }
}

/* ---- the end ---- */

static int last_nonzero(struct yd_file *file, uint64_t from, uint64_t *ret_end)
{
    struct yd__window window;
    yd__window_init(&window, file, SCAN_STEP);
    int error = 0;
    *ret_end = from;
    for (uint64_t at = from;;) {
        const char *bytes;
        size_t have;
        error = yd__window_get(&window, at, SCAN_STEP, &bytes, &have);
        if (error || have == 0) break;
        if (!yd__all_zero(bytes, have)) {
            while (bytes[have - 1] == 0) have--;
            *ret_end = at + have;
        }
        at += have;
        if (have < SCAN_STEP && at % YD_BATCH_ALIGN != 0) at = YD_ALIGN_UP(at, YD_BATCH_ALIGN);
    }
    if (!error && window.unreadable) error = YD_EIO; /* what cannot be seen cannot be said to be zeros */
    yd__window_fini(&window);
    return error;
}

static int write_zeros(struct yd_file *file, uint64_t from, uint64_t to)
{
    static const char zeros[64 << 10];
    int error = 0;
    for (uint64_t at = from; at < to && !error; at += sizeof zeros)
        error = yd_file_write(file, zeros, YD_MIN(sizeof zeros, to - at), at);
    return error; /* synced with the rest: make_durable */
}

/* Cuts the tail of the segment in which the stream ends: a copy to quarantine, then zeros. */
static int cut_tail(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    struct yd__segment *segment = log->segments[recovery->index];
    uint64_t end;
    if (segment->raw_gone) return 0;
    int error = last_nonzero(segment->file, recovery->offset, &end);
    if (error || end == recovery->offset) return error;
    char why[32];
    (void)snprintf(why, sizeof why, "torn-%u", log->epoch);
    error = yd__quarantine(log, segment->file, segment->base, recovery->offset, end, why);
    if (!error) error = write_zeros(segment->file, recovery->offset, end);
    recovery->report->torn_bytes += end - recovery->offset;
    return error;
}

/* Segments behind the end: begun and never finished. What comes back, of the power, is dropped again. */
static int drop_segments(struct recovery *recovery, uint32_t from)
{
    struct yd_log *log = recovery->log;
    int error = 0;
    while (log->segment_count > from && !error) {
        struct yd__segment *segment = log->segments[log->segment_count - 1];
        char path[YD__PATH_SIZE];
        yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
        uint64_t end = 0;
        error = open_file(log, segment);
        if (!error) error = last_nonzero(segment->file, 0, &end);
        if (!error && end > 0) {
            char why[32];
            (void)snprintf(why, sizeof why, "torn-%u", log->epoch);
            error = yd__quarantine(log, segment->file, segment->base, 0, end, why);
            recovery->report->torn_bytes += end;
        }
        if (!error) error = yd_fs_unlink(log->fs, path);
        if (error) break;
        yd__segment_path(path, sizeof path, log->dir, segment->base, ".yzst");
        (void)yd_fs_unlink(log->fs, path); /* mostly there is none */
        yd__segment_path(path, sizeof path, log->dir, segment->base, ".ykey");
        (void)yd_fs_unlink(log->fs, path); /* nor this */
        log->bytes -= segment->file_size;
        log->segment_count--;
        yd__segment_unref(segment);
    }
    return error;
}

/* The head of a segment that was begun behind the checkpoint, written once more like the frames. */
static int keep_head(struct yd__segment *segment)
{
    struct yd__segment_head *head;
    int error = yd__head_read(segment->file, &head);
    if (error) return error == YD_ECORRUPT ? 0 : error;
    if (!YD__SKIPS(YD__SKIP_REWRITE)) error = yd_file_write(segment->file, head, head->data_start, 0);
    free(head);
    return error;
}

/* Everything read behind the checkpoint goes to the device, whatever the cache believes. */
static int make_durable(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    int error = 0;
    for (uint32_t i = recovery->first_scanned; i < log->segment_count && !error; i++) {
        struct yd__segment *segment = log->segments[i];
        if (segment->raw_gone) continue;
        error = open_file(log, segment);
        if (!error && (i > recovery->first_scanned || recovery->first_offset == 0)) error = keep_head(segment);
        if (!error && !YD__SKIPS(YD__SKIP_RECOVERY_SYNC)) error = yd_file_sync(segment->file);
    }
    if (!error) error = yd_fs_sync_dir(log->fs, log->dir);
    return error;
}

/* A batch of this epoch begins there: does the table know? */
void yd__epoch_note(struct yd__checkpoint *checkpoint, uint32_t epoch, uint64_t start)
{
    uint32_t count = checkpoint->epoch_count;
    /* What begins here or behind has no batch: who led in it wrote nothing, and this one's leader need not know him. */
    while (count > 0 && checkpoint->epochs[count - 1].start_seqno >= start) count--;
    if (count > 0 && checkpoint->epochs[count - 1].epoch >= epoch)
        checkpoint->epoch_count = count;
    else
        yd__epoch_add(checkpoint, epoch, start);
}

uint32_t yd__epoch_at(const struct yd__checkpoint *checkpoint, uint64_t end)
{
    uint32_t epoch = 0;
    for (uint32_t i = 0; i < checkpoint->epoch_count && checkpoint->epochs[i].start_seqno < end; i++)
        epoch = checkpoint->epochs[i].epoch;
    return epoch;
}

void yd__epoch_add(struct yd__checkpoint *checkpoint, uint32_t epoch, uint64_t start)
{
    struct yd__epoch_entry *entries = checkpoint->epochs;
    uint32_t count = checkpoint->epoch_count;
    /* Nothing of the last one is left: this one stands for both. */
    while (count > 0 && entries[count - 1].start_seqno >= start) count--;
    if (count == YD__EPOCHS_MAX) memmove(entries, entries + 1, --count * sizeof *entries);
    entries[count] = (struct yd__epoch_entry){start, epoch, 0};
    checkpoint->epoch_count = count + 1;
}

uint64_t yd__epoch_start(const struct yd__checkpoint *checkpoint, uint32_t epoch)
{
    for (uint32_t i = 0; i < checkpoint->epoch_count; i++)
        if (checkpoint->epochs[i].epoch == epoch) return checkpoint->epochs[i].start_seqno;
    return UINT64_MAX;
}

uint64_t yd__epoch_end(const struct yd__checkpoint *checkpoint, uint32_t epoch)
{
    for (uint32_t i = 0; i < checkpoint->epoch_count; i++)
        if (checkpoint->epochs[i].epoch > epoch) return checkpoint->epochs[i].start_seqno;
    return UINT64_MAX;
}

/* The last segment goes on being written, when it can. An empty one that cannot makes room for the next of its name. */
static int resume(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    if (log->segment_count == 0) return 0;
    struct yd__segment *last = log->segments[log->segment_count - 1];
    last->accounted = true;
    if (last->raw_gone) last->sealed = true;
    bool room = last->data_end + YD__SEGMENT_ALIGN <= last->file_size || log->options.follower; /* it grows */
    bool full = recovery->full && !log->options.follower;
    if (!full && last->head_good && !last->sealed && room)
        log->active = last;
    else if (last->base == recovery->expected)
        return drop_segments(recovery, log->segment_count - 1);
    return 0;
}

static int begin_fresh(struct yd_log *log)
{
    log->checkpoint = (struct yd__checkpoint){.segment = YD__NO_SEGMENT, .copy = log->checkpoint.copy};
    if (!log->options.follower) {                                      /* else its leader says */
        log->log_id = log->options.random(log->options.clock_arg) | 1; /* never 0: that is "not known" */
        log->epoch = log->last_epoch = 1;
        yd__epoch_add(&log->checkpoint, 1, 0);
    }
    int error = yd__control_checkpoint(log, 0);
    return error ? error : yd__control_checkpoint(log, 0); /* both slots, so that the later one can be believed */
}

/* Where the checkpoint says that recovery begins; without one, at the oldest segment. */
static int find_start(struct recovery *recovery)
{
    struct yd_log *log = recovery->log;
    const struct yd__checkpoint *checkpoint = &log->checkpoint;
    uint32_t index = log->segment_count;
    if (recovery->have_checkpoint)
        for (index = 0; index < log->segment_count && log->segments[index]->base != checkpoint->segment; index++)
            continue;
    bool exact = index < log->segment_count;
    if (!exact) {
        /* The checkpoint's segment is gone, or there is no checkpoint: begin with the first that may go on from it. */
        index = 0;
        while (index < log->segment_count && recovery->have_checkpoint &&
               log->segments[index]->base < checkpoint->durable_seqno)
            index++;
        if (index == log->segment_count) {
            recovery->expected = checkpoint->durable_seqno;
            recovery->chain = checkpoint->last_crc;
            return YD_ENOENT;
        }
    }
    struct yd__segment *segment = log->segments[index];
    int error = open_file(log, segment);
    if (!error) error = load_producers(recovery, index);
    if (error) return error;
    yd__segment_reset(segment);
    recovery->first_scanned = index;
    if (!exact) {
        recovery->expected = segment->base;
        recovery->first_offset = 0;
        /* Should it hold no frame: what the first one is chained to, as the head says that a leader sent. */
        if (segment->head_good) recovery->chain = segment->prev_crc;
        bool first_ever = recovery->have_checkpoint && checkpoint->segment == YD__NO_SEGMENT;
        if (first_ever && !segment->head_good && segment->data_start != 0) error = repair_head(recovery, segment, 1);
        enter(recovery, index, segment->data_end);
        return error;
    }
    /* An empty one may since have been replaced by a larger one of its name. */
    bool empty = checkpoint->durable_seqno == segment->base && segment->head_good;
    uint64_t offset = empty ? segment->data_end : checkpoint->offset;
    error = load_index(log, segment, offset);
    if (!error) error = walk(recovery, segment, offset, checkpoint->durable_seqno);
    if (error) return error;
    if (segment->next < checkpoint->durable_seqno) yd__segment_unknown(segment);
    segment->next = checkpoint->durable_seqno;
    segment->data_end = offset;
    segment->headers_crc = checkpoint->headers_crc;
    segment->last_crc = checkpoint->last_crc;
    /* Of the last batch, which a saved index does not say. */
    if (segment->batches > 0 && checkpoint->epoch_count > 0)
        segment->epoch = yd__epoch_at(checkpoint, checkpoint->durable_seqno);
    recovery->expected = checkpoint->durable_seqno;
    recovery->chain = checkpoint->last_crc;
    recovery->chain_known = true;
    recovery->first_offset = offset;
    enter(recovery, index, offset);
    return 0;
}

/* Does the segment's own footer stand exactly where the stream ends? */
static int sealed_here(struct recovery *recovery, bool *ret_sealed)
{
    struct yd__segment *segment = recovery->log->segments[recovery->index];
    struct yd__footer footer;
    int error = yd__footer_read(segment->file, recovery->log->log_id, &footer, NULL);
    *ret_sealed = error == 0 && footer.data_end == recovery->offset && footer.next_seqno == recovery->expected;
    if (*ret_sealed) yd__segment_from_footer(segment, &footer);
    return error == YD_ENOENT ? 0 : error;
}

/* Closed in order: nothing may lie behind the checkpoint. Believed only after a look. */
static int check_clean(struct recovery *recovery, bool *ret_clean)
{
    struct yd_log *log = recovery->log;
    *ret_clean = false;
    if (!recovery->sure || !(log->checkpoint.flags & YD__CHECKPOINT_CLEAN)) return 0;
    if (log->segment_count == 0) {
        *ret_clean = log->checkpoint.segment == YD__NO_SEGMENT;
        return 0;
    }
    if (recovery->index + 1 != log->segment_count || log->segments[recovery->index]->base != log->checkpoint.segment)
        return 0;
    struct yd_header header;
    int found = yd__frame_at(&recovery->window, recovery->offset, log->log_id, false, &header);
    if (found < 0) return found;
    *ret_clean = found == YD__FOUND_ZERO || found == YD__FOUND_BAD;
    bool sealed = false;
    int error = found == YD__FOUND_BAD ? sealed_here(recovery, &sealed) : 0;
    if (log->options.follower && found == YD__FOUND_BAD && !sealed) *ret_clean = false; /* it goes on in this one */
    recovery->full = found == YD__FOUND_BAD;                                            /* a footer, or a part of one */
    return error;
}

/* What a cut moved away stays away: killed before its sync, the power could still bring the old names back. The
 * stream's own folder was synced when the control page was opened. */
static int keep_away(const struct yd_log *log)
{
    char dir[YD__PATH_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/quarantine", log->dir);
    int error = yd_fs_sync_dir(log->fs, dir);
    return error == YD_ENOENT ? 0 : error;
}

static int recover_dirty(struct recovery *recovery, bool begun)
{
    struct yd_log *log = recovery->log;
    int error = keep_away(log);
    if (error) return error;
    if (begun) {
        error = scan(recovery);
        struct yd__segment *segment = log->segments[recovery->index];
        if (!error) {
            segment->data_end = recovery->offset;
            segment->next = recovery->expected;
        }
    }
    /* When the latest checkpoint may have rotted away, it may have raised the epoch once more than we can see. */
    uint32_t seen = YD_MAX(log->checkpoint.epoch, recovery->epoch_max);
    bool raise = !log->options.follower; /* a follower's epochs are its leader's */
    log->epoch = raise ? seen + (recovery->sure ? 1 : 2) : seen;
    recovery->report->epoch_raised = raise;
    if (!error) error = drop_segments(recovery, begun ? recovery->index + 1 : log->segment_count);
    bool sealed = false;
    if (!error && begun) error = sealed_here(recovery, &sealed);
    if (!error && begun && !sealed) error = cut_tail(recovery);
    if (!error && begun) error = make_durable(recovery);
    if (error) return error;
    if (raise) yd__epoch_add(&log->checkpoint, log->epoch, recovery->expected);
    return 0;
}

/* Who followed does not lead before somebody says so; who was deposed does not go on as if he knew nothing. */
static int check_role(const struct yd_log *log, struct yd_trail *trail)
{
    unsigned flags = log->checkpoint.flags;
    if (flags & YD__CHECKPOINT_FOLLOWER)
        return yd_trail_add(trail, YD_EPERM,
                            "%s is a follower's copy of stream %s: follow its leader again, or make it the leader "
                            "with `yarder log promote %s`",
                            log->dir, log->stream, log->stream);
    if (flags & YD__CHECKPOINT_DEPOSED)
        return yd_trail_add(trail, YD_EEPOCH,
                            "%s was deposed, epoch %u leads stream %s elsewhere: follow that leader (`yarder log "
                            "follow`), or promote this copy with `yarder log promote %s`",
                            log->dir, log->checkpoint.epoch, log->stream, log->stream);
    return 0;
}

int yd__recover(struct yd_log *log, bool fresh, struct yd_log_recovery *report, struct yd_trail *trail)
{
    struct recovery recovery = {.log = log, .report = report, .trail = trail};
    *report = (struct yd_log_recovery){.clean = true};
    recovery.have_checkpoint = !fresh && yd__control_latest(log->control, &log->checkpoint, &recovery.sure) == 0;
    if (!recovery.have_checkpoint) log->checkpoint = (struct yd__checkpoint){.segment = YD__NO_SEGMENT};
    if (log->options.follower && !log->checkpoint.copy)
        log->checkpoint.copy = (uint32_t)log->options.random(log->options.clock_arg) | 1;
    log->log_id = log->checkpoint.log_id;
    log->epoch = log->checkpoint.epoch;
    recovery.followed =
        log->options.follower && (!recovery.have_checkpoint || log->checkpoint.flags & YD__CHECKPOINT_FOLLOWER);
    if (recovery.have_checkpoint && !log->options.follower) {
        int refused = check_role(log, trail);
        if (refused) return refused;
    }
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/" YD__PREPARED_NAME, log->dir);
    (void)yd_fs_unlink(log->fs, path); /* space that was never named; on a full disk this is the room to go on */
    int error = load_segments(&recovery);
    if (error) return error;
    if (!recovery.have_checkpoint && log->segment_count == 0) return begin_fresh(log);
    if (log->log_id == 0 && (!log->options.follower || log->segment_count > 0))
        return yd_trail_add(trail, YD_ECORRUPT, "%s: neither the control page nor any segment's head can be read",
                            log->dir);

    error = find_start(&recovery);
    bool begun = error == 0;
    if (error == YD_ENOENT) error = 0;
    if (!error) error = check_clean(&recovery, &report->clean);
    if (!error && !report->clean) error = recover_dirty(&recovery, begun);
    if (!error) error = resume(&recovery);
    if (!error) {
        log->first = log->segment_count ? log->segments[0]->base : recovery.expected;
        log->written = log->durable = report->cut_to = recovery.expected;
        log->last_crc = recovery.chain;
        log->last_epoch = yd__epoch_at(&log->checkpoint, recovery.expected);
        log->replicated = log->first;
        /* All that was in the last segment has rotted: what comes next is chained to what was there, and the next
         * checkpoint must say the same. */
        struct yd__segment *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
        if (last && last->batches == 0) last->prev_crc = recovery.chain;
        for (uint32_t i = 0; i < log->segment_count; i++)
            if (log->segments[i]->raw_gone) log->segments[i]->sealed = log->segments[i]->accounted = true;
        for (uint32_t i = 0; i < log->segment_count; i++) /* only those to be written or sealed keep their file */
            if (log->segments[i]->sealed) {
                yd_file_close(log->segments[i]->file);
                log->segments[i]->file = NULL;
            }
        error = yd__producers_copy(&log->producers, &log->written_producers);
    }
    yd__window_fini(&recovery.window);
    if (error) return yd_trail_add(trail, error, "recovering %s: %s", log->dir, yd_error_text(error));
    /* Not clean from now on, and durably so before the first append. */
    error = YD__SKIPS(YD__SKIP_EPOCH_SYNC) ? 0 : yd__checkpoint_now(log, 0);
    /* A slot has rotted: with both new, the next one to rot cannot hide how far the epoch was raised. */
    if (!error && !recovery.sure) error = yd__checkpoint_now(log, 0);
    return error ? yd_trail_add(trail, YD_EIO, "%s: the checkpoint cannot be written", log->dir) : 0;
}
