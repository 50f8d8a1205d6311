/* log/files.c: a reader's half that reads segments.
 *
 *   which segment -> its index (footer, or the active one's in memory) -> the frame -> checked -> a batch that shares
 *                                                                          | the bytes read
 *                                                                          v bad: read once more (what was read ahead
 *                                                                            may be old), then a gap up to the next
 *                                                                            good frame, and a copy for quarantine
 *
 * Readers of a folder map segments, with every page faulted in by a call that can fail (scan.c); the writer's own
 * readers copy, and so does everybody off local file systems. Either way a bad sector is an error and not a signal.
 * Sequential reading opens each file once and never looks at an index. */
#include <stdlib.h>
#include <string.h>

#include "log/reader.h"
#include "log/twin.h"

#define READ_STEP ((size_t)256 << 10)

void yd__reader_leave(struct yd_log_reader *reader)
{
    if (!reader->file) return;
    yd__window_fini(&reader->window);
    yd_file_close(reader->file);
    reader->file = NULL;
}

/* The segment that holds a seqno: its base, and where the one behind it begins (UINT64_MAX: it is the last). */
static int find_segment(struct yd_log_reader *reader, uint64_t seqno, uint64_t *ret_base, uint64_t *ret_next)
{
    struct yd_log *log = reader->log;
    if (log) {
        yd_lock_take(&log->mutex);
        int index = yd__log_find(log, seqno);
        if (index >= 0) *ret_base = log->segments[index]->base;
        uint32_t behind = (uint32_t)(index + 1);
        *ret_next = behind < log->segment_count ? log->segments[behind]->base : UINT64_MAX;
        yd_lock_give(&log->mutex);
        return index >= 0 ? 0 : YD_ENOENT;
    }
    return yd__bases_find(reader, seqno, ret_base, ret_next);
}

static int open_segment(struct yd_log_reader *reader, uint64_t base)
{
    struct yd_file *file;
    int error = yd__segment_open(reader->fs, reader->dir, base, &file);
    if (error) return error;
    yd__reader_leave(reader);
    reader->file = file;
    reader->base = base;
    yd__window_init(&reader->window, file, READ_STEP);
    reader->window.map = !reader->copy;
    return 0;
}

/* Where the frames of the open segment begin. A damaged head: the first good frame will be searched. */
static int data_start(struct yd_log_reader *reader, uint64_t *ret_offset)
{
    struct yd__segment_head *head;
    int error = yd__head_read(reader->file, &head);
    *ret_offset = YD__SEGMENT_ALIGN;
    if (error == YD_ECORRUPT || error == YD_EIO) return 0;
    if (error) return error;
    *ret_offset = head->data_start;
    free(head);
    return 0;
}

/* The last entry whose seqno is not above; false when there is none. */
static bool floor_entry(const struct yd__index_entry *entries, uint32_t count, uint64_t seqno, uint64_t *ret_offset,
                        uint64_t *ret_seqno)
{
    if (count == 0 || entries[0].seqno > seqno) return false;
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].seqno <= seqno)
            low = middle;
        else
            high = middle;
    }
    *ret_offset = entries[low].offset;
    *ret_seqno = entries[low].seqno;
    return true;
}

/* The first entry whose range reaches a time. */
static bool time_entry(const struct yd__index_entry *entries, uint32_t count, int64_t time_ns, uint64_t *ret_offset,
                       uint64_t *ret_seqno)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle].time_max < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count) return false;
    *ret_offset = entries[low].offset;
    *ret_seqno = entries[low].seqno;
    return true;
}

/* A good place to begin walking the open segment towards a seqno or a time (by_time). Without an index: its begin. */
static int look_up(struct yd_log_reader *reader, bool by_time, uint64_t seqno, uint64_t *ret_offset,
                   uint64_t *ret_seqno)
{
    bool found = false, active = false;
    if (reader->log) {
        yd_lock_take(&reader->log->mutex);
        int index = yd__log_find(reader->log, reader->base);
        const struct yd__segment *segment = index >= 0 ? reader->log->segments[index] : NULL;
        active = segment && segment->base == reader->base && !segment->sealed;
        if (active)
            found = by_time ? time_entry(segment->index.entries, segment->index.count, reader->time_ns, ret_offset,
                                         ret_seqno)
                            : floor_entry(segment->index.entries, segment->index.count, seqno, ret_offset, ret_seqno);
        yd_lock_give(&reader->log->mutex);
    }
    if (!active) {
        struct yd__footer footer;
        struct yd__index_entry *entries;
        int error = yd__footer_read(reader->file, reader->log_id, &footer, &entries);
        if (error == 0) {
            found = by_time ? time_entry(entries, footer.index_count, reader->time_ns, ret_offset, ret_seqno)
                            : floor_entry(entries, footer.index_count, seqno, ret_offset, ret_seqno);
            free(entries);
        } else if (error != YD_ENOENT) {
            return error;
        }
    }
    if (found && *ret_offset % YD_BATCH_ALIGN == 0) {
        /* An index is a hint: it is followed only when the frame is there. */
        struct yd_header header;
        int at = yd__frame_at(&reader->window, *ret_offset, reader->log_id, false, &header);
        if (at < 0) return at;
        if (at == YD__FOUND_FRAME && header.base_seqno == *ret_seqno) return 0;
    }
    *ret_seqno = reader->base;
    return data_start(reader, ret_offset);
}

/* Opens the segment that holds the reader's seqno and goes near it. */
int yd__reader_go_to(struct yd_log_reader *reader, uint64_t *ret_next)
{
    uint64_t base = 0;
    int error = find_segment(reader, reader->seqno, &base, ret_next);
    if (error) return error;
    bool same = reader->file && reader->base == base;
    if (!same) error = open_segment(reader, base);
    if (error == YD_ENOENT && !reader->log) { /* what is remembered of the folder is old */
        yd__bases_forget(&reader->bases);
        error = find_segment(reader, reader->seqno, &base, ret_next);
        if (!error) error = open_segment(reader, base);
    }
    if (error) return error;
    uint64_t seqno;
    if (reader->seqno == base) {
        error = data_start(reader, &reader->offset);
        seqno = base;
    } else {
        error = look_up(reader, false, reader->seqno, &reader->offset, &seqno);
    }
    reader->place_seqno = seqno;
    if (error) yd__reader_leave(reader);
    return error;
}

/* A body that shares the bytes read. */
struct shared_body {
    struct yd_body body;
    struct yd__chunk *chunk;
};

static void release_body(struct yd_body *body)
{
    struct shared_body *shared = YD_CONTAINER(body, struct shared_body, body);
    yd__chunk_unref(shared->chunk);
    free(shared);
}

/* The frame at the place as a batch; its body is checked here, once. YD_ECORRUPT, YD_EFORMAT: it is damaged. */
static int make_batch(struct yd__window *window, uint64_t offset, const struct yd_header *header,
                      struct yd_batch **ret_batch)
{
    const char *bytes;
    size_t have;
    int error = yd__window_get(window, offset, header->size, &bytes, &have);
    if (error) return error;
    if (have < sizeof *header + header->body_size) return YD_ECORRUPT;
    struct shared_body *shared = malloc(sizeof *shared);
    if (!shared) return YD_ENOMEM;
    shared->body =
        (struct yd_body){.refs = 1, .size = header->body_size, .data = bytes + sizeof *header, .release = release_body};
    shared->chunk = window->chunk;
    atomic_fetch_add_explicit(&shared->chunk->refs, 1, memory_order_relaxed); /* we hold one: it cannot go meanwhile */
    error = yd_batch_from_body(header, &shared->body, true, ret_batch);
    yd_body_unref(&shared->body);
    return error;
}

int yd__twin_same_history(struct yd_file *file, struct yd_file *twin, uint64_t log_id)
{
    struct yd__footer ours, theirs;
    int error = yd__footer_read(file, log_id, &ours, NULL);
    if (!error) error = yd__footer_read(twin, log_id, &theirs, NULL);
    if (!error) return ours.last_crc == theirs.last_crc && ours.next_seqno == theirs.next_seqno;
    if (error != YD_ENOENT) return error;
    struct yd__segment_head *head, *other;
    error = yd__head_read(file, &head);
    if (error == YD_ECORRUPT || error == YD_EIO || error == YD_EVERSION) return 1; /* nothing speaks against it */
    if (error) return error;
    error = yd__head_read(twin, &other);
    int same = error == YD_ECORRUPT || error == YD_EIO || error == YD_EVERSION ? 0 : error;
    if (!error) {
        same = head->crc == other->crc;
        free(other);
    }
    free(head);
    return same;
}

/* Why a twin gives nothing: 0 when that will stay so, and a gap is to be told; else to be tried again. */
static int twin_gives_nothing(int error)
{
    bool stays = error >= 0 || error == YD_ENOENT || error == YD_ECORRUPT || error == YD_EVERSION ||
                 error == YD_EFORMAT || error == YD_EIO; /* a bad sector */
    return stays ? 0 : error;
}

/* The frame that should be at the place, out of the segment's twin, which has the same bytes at the same offsets. 1: it
 * is good there; *ret_batch is NULL when it is one on the way to the reader's seqno. */
static int from_twin(struct yd_log_reader *reader, struct yd_batch **ret_batch)
{
    char path[YD__PATH_SIZE];
    struct yd_file *twin;
    yd__segment_path(path, sizeof path, reader->dir, reader->base, ".yzst");
    int error = yd__twin_open(reader->fs, path, NULL, &twin);
    if (error) return twin_gives_nothing(error);
    int same = yd__twin_same_history(reader->file, twin, reader->log_id);
    if (same <= 0) {
        yd_file_close(twin);
        return same;
    }
    struct yd__window window;
    struct yd_header header;
    *ret_batch = NULL;
    yd__window_init(&window, twin, YD__SEGMENT_ALIGN);
    int found = yd__frame_at(&window, reader->offset, reader->log_id, true, &header);
    bool good =
        found == YD__FOUND_FRAME && header.base_seqno <= reader->seqno && header.base_seqno >= reader->place_seqno;
    if (good && header.base_seqno + header.count > reader->seqno) {
        error = make_batch(&window, reader->offset, &header, ret_batch);
        good = error == 0;
    }
    yd__window_fini(&window);
    yd_file_close(twin);
    if (!good) return twin_gives_nothing(found < 0 ? found : error);
    reader->offset += header.size;
    reader->place_seqno = header.base_seqno + header.count;
    if (*ret_batch) reader->seqno = reader->place_seqno;
    reader->healed++;
    if (reader->log) {
        yd_lock_take(&reader->log->mutex);
        reader->log->healed++;
        yd_lock_give(&reader->log->mutex);
    }
    return 1;
}

/* May the reader, not of a live or closed stream, take what is here for its end? */
static bool at_open_end(const struct yd_log_reader *reader, uint64_t next)
{
    return !reader->log && !reader->end_known && reader->seqno >= reader->checked && next == UINT64_MAX;
}

static int gap_to(struct yd_log_reader *reader, uint64_t to, const char *reason, struct yd_log_gap *ret_gap)
{
    *ret_gap = (struct yd_log_gap){reader->seqno, to, reason};
    reader->seqno = reader->place_seqno = to;
    return YD_EGAP;
}

/* What stands at the place is not the frame that should be there. Finds the next good one: 0 when that is still on the
 * way to the reader's seqno, else it tells the gap. */
static int skip_damage(struct yd_log_reader *reader, uint64_t next, uint64_t end, struct yd_log_gap *ret_gap)
{
    uint64_t offset, bound = YD_MIN(next, end);
    struct yd_header header;
    struct yd_stat now;
    int error = yd_file_stat(reader->file, &now);
    if (error) return error;
    bool map = reader->window.map; /* a look beyond what positions cover: there a file may be cut when it is sealed */
    reader->window.map = false;
    yd__window_forget(&reader->window);
    error = yd__frame_resync(&reader->window, reader->offset + YD_BATCH_ALIGN, now.size, reader->log_id,
                             reader->place_seqno + 1, bound, &offset, &header);
    reader->window.map = map;
    if (error && error != YD_ENOENT) return error;
    yd__report_rot(reader, reader->offset, error == YD_ENOENT ? now.size : offset);
    if (error == YD_ENOENT) {
        yd__reader_leave(reader);
        return gap_to(reader, bound, "rotten", ret_gap);
    }
    reader->offset = offset;
    reader->place_seqno = header.base_seqno;
    return header.base_seqno > reader->seqno ? gap_to(reader, header.base_seqno, "rotten", ret_gap) : 0;
}

int yd__reader_next_in_files(struct yd_log_reader *reader, uint64_t end, struct yd_batch **ret_batch,
                             struct yd_log_gap *ret_gap)
{
    uint64_t next = UINT64_MAX;
    bool fresh = false; /* what is in the window was read in this call */
    for (;;) {
        if (!reader->file || reader->place_seqno > reader->seqno) {
            int error = yd__reader_go_to(reader, &next);
            if (error == YD_ENOENT && next != UINT64_MAX) return gap_to(reader, next, "retention", ret_gap);
            if (error == YD_ECORRUPT && next != UINT64_MAX) return gap_to(reader, next, "rotten", ret_gap);
            if (error == YD_ENOENT) return reader->log ? YD_EIO : YD_EAGAIN;
            if (error) return error;
            if (reader->match && yd__match_passes_segment(reader, next, end)) return YD_EAGAIN; /* and looks again */
        }
        if (reader->match && yd__match_passes_entries(reader)) return YD_EAGAIN;
        struct yd_header header;
        int found = yd__frame_at(&reader->window, reader->offset, reader->log_id, false, &header);
        if (found < 0) return found;
        if (found == YD__FOUND_FRAME && header.base_seqno + header.count <= reader->seqno) {
            reader->offset += header.size; /* on the way there */
            reader->place_seqno = header.base_seqno + header.count;
            continue;
        }
        if (found == YD__FOUND_FRAME && header.base_seqno > reader->seqno && header.base_seqno < end)
            return at_open_end(reader, UINT64_MAX) ? YD_EAGAIN : gap_to(reader, header.base_seqno, "rotten", ret_gap);
        int error = 0;
        if (found == YD__FOUND_FRAME && header.base_seqno <= reader->seqno) {
            if (reader->match && !yd__match_header(reader->match, &header)) {
                reader->offset += header.size;
                reader->seqno = reader->place_seqno = header.base_seqno + header.count;
                return YD_EAGAIN;
            }
            error = make_batch(&reader->window, reader->offset, &header, ret_batch);
            if (error == 0) {
                reader->offset += header.size;
                reader->seqno = reader->place_seqno = header.base_seqno + header.count;
                return 0;
            }
            if (error == YD_ENOMEM || error == YD_EIO) return error;
        }
        /* The end of this segment? */
        uint64_t base = 0;
        error = find_segment(reader, reader->seqno, &base, &next);
        if (error && error != YD_ENOENT) return error;
        if (error == 0 && base != reader->base) {
            yd__reader_leave(reader);
            continue;
        }
        if (error == YD_ENOENT) { /* retention was sooner */
            yd__reader_leave(reader);
            continue;
        }
        if (!fresh) {
            yd__window_forget(&reader->window);
            yd__bases_forget(&reader->bases);
            fresh = true;
            continue;
        }
        if (at_open_end(reader, next)) return YD_EAGAIN;
        error = from_twin(reader, ret_batch);
        if (error < 0 || (error == 1 && *ret_batch)) return YD_MIN(error, 0);
        if (error == 1) continue;
        if (found == YD__FOUND_FRAME && header.base_seqno <= reader->seqno) {
            /* The header is good: exactly this batch is lost. */
            yd__report_rot(reader, reader->offset, reader->offset + header.size);
            reader->offset += header.size;
            return gap_to(reader, header.base_seqno + header.count, "rotten", ret_gap);
        }
        error = skip_damage(reader, next, end, ret_gap);
        if (error) return error;
    }
}

/* ---- by time ---- */

/* Walks the open segment from its index's hint to the first frame that reaches the time. 1: found, *ret_seqno. */
static int walk_to_time(struct yd_log_reader *reader, uint64_t data_end, uint64_t end, uint64_t *ret_seqno)
{
    uint64_t offset, seqno;
    int error = look_up(reader, true, 0, &offset, &seqno);
    if (error) return error;
    while (offset < data_end) {
        struct yd_header header;
        int found = yd__frame_at(&reader->window, offset, reader->log_id, false, &header);
        if (found < 0) return found;
        if (found != YD__FOUND_FRAME) {
            error = yd__frame_resync(&reader->window, offset + YD_BATCH_ALIGN, data_end, reader->log_id, seqno, end,
                                     &offset, &header);
            if (error == YD_ENOENT) return 0;
            if (error) return error;
        }
        if (header.base_seqno >= end) return 0;
        if (header.time_max >= reader->time_ns) {
            *ret_seqno = header.base_seqno;
            return 1;
        }
        seqno = header.base_seqno + header.count;
        offset += header.size;
    }
    return 0;
}

static int find_time_in(struct yd_log_reader *reader, uint64_t base, uint64_t end, bool *ret_found)
{
    int error = open_segment(reader, base);
    reader->window.map = false; /* it walks beyond what positions cover; the file is left afterwards */
    if (error == YD_ENOENT || error == YD_ECORRUPT)
        return 0; /* retention was sooner; nothing of its twin can be read */
    if (error) return error;
    struct yd__footer footer;
    int sealed = yd__footer_read(reader->file, reader->log_id, &footer, NULL);
    if (sealed == 0 && footer.time_max < reader->time_ns) return 0;
    struct yd_stat now;
    if (sealed != 0) {
        error = sealed == YD_ENOENT ? yd_file_stat(reader->file, &now) : sealed;
        if (error) return error;
    }
    uint64_t seqno = 0;
    int found = walk_to_time(reader, sealed == 0 ? footer.data_end : now.size, end, &seqno);
    if (found < 0) return found;
    *ret_found = found == 1;
    if (found == 1) reader->seqno = seqno;
    return 0;
}

/* The first segment, of those from `from` on, that may reach the time. */
static int reaching(struct yd_log_reader *reader, uint64_t from, uint64_t *ret_base)
{
    struct yd_log *log = reader->log;
    if (!log) return yd__bases_reaching(reader, from, reader->time_ns, ret_base);
    int error = YD_ENOENT;
    yd_lock_take(&log->mutex);
    int at = yd__log_find(log, from);
    for (uint32_t i = at < 0 ? 0 : (uint32_t)at; i < log->segment_count && error; i++) {
        const struct yd__segment *segment = log->segments[i];
        if (segment->base < from || (segment->sealed && segment->accounted && segment->time_max < reader->time_ns))
            continue;
        *ret_base = segment->base;
        error = 0;
    }
    yd_lock_give(&log->mutex);
    return error;
}

int yd__reader_find_time(struct yd_log_reader *reader)
{
    uint64_t end = UINT64_MAX, behind = 0;
    if (reader->log) {
        yd_lock_take(&reader->log->mutex);
        end = reader->log->written;
        yd_lock_give(&reader->log->mutex);
    } else {
        yd__reader_look(reader);
        end = reader->end;
        behind = reader->end_known ? end : reader->checked;
    }
    bool found = false;
    int error = 0;
    for (uint64_t from = 0, base; !error && !found && !(error = reaching(reader, from, &base)); from = base + 1)
        error = find_time_in(reader, base, end, &found);
    if (error == YD_ENOENT) error = 0;
    yd__reader_leave(reader);
    if (error || found) return error;
    if (reader->log) {
        yd_lock_take(&reader->log->mutex);
        const struct yd_batch *batch = yd__tail_find_time(&reader->log->tail, reader->time_ns, end);
        behind = batch ? batch->header.base_seqno : reader->log->tail.next_seqno;
        yd_lock_give(&reader->log->mutex);
    }
    reader->seqno = behind;
    return 0;
}
