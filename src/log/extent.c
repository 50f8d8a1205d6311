/* log/extent.c: runs of frames as they lie in the files: see extent.h.
 *
 *   reader's seqno ─▶ its segment, its offset (files.c) ─▶ header, header, header … ─▶ [offset, size), next seqno
 *
 * A walk over headers only (and over names where a tombstone may reach), as long as each is the one that must come
 * next. Whatever else is found ends the walk, and the ordinary reader says what it is. What is not in the page cache is
 * read here, and checked, because rot comes from the device; what is there was written by us or checked when it came.
 */
#include "log/extent.h"

#include <stdlib.h>

#include "log/reader.h"

#define STEP_FAR  4096 /* large frames: a header, and then it is far to the next one */
#define STEP_NEAR 65536

struct walk {
    struct yd_log_reader *reader;
    struct yd__window *window;
    bool hide;
    uint64_t end; /* of what may be given */
    uint64_t offset, seqno;
};

/* How far the reader may go now. YD_EAGAIN: not by files. */
static int bounds(struct yd_log_reader *reader, uint64_t *ret_end)
{
    struct yd_log *log = reader->log;
    if (!log || reader->pending.reason || reader->by_time) return YD_EAGAIN;
    yd_lock_take(&log->mutex);
    uint64_t end = YD_MIN(reader->level <= YD_ACK_WRITTEN ? log->written : log->durable, log->written);
    bool there = !log->closed && reader->cut_to >= reader->seqno && reader->seqno < end &&
                 reader->seqno >= log->first && reader->seqno < yd__tail_first(&log->tail);
    reader->taken = reader->seqno;
    yd_lock_give(&log->mutex);
    *ret_end = end;
    return there ? 0 : YD_EAGAIN;
}

/* The frame at the walk's place, when it is the one that must be there. */
static int frame(struct walk *walk, bool check_body, struct yd_header *ret)
{
    struct yd_log_reader *reader = walk->reader;
    int found = yd__frame_at(walk->window, walk->offset, reader->log_id, check_body, ret);
    if (found < 0) return found;
    bool good = found == YD__FOUND_FRAME && ret->base_seqno == walk->seqno && ret->base_seqno + ret->count <= walk->end;
    return good ? 0 : YD_EAGAIN;
}

static void step(struct walk *walk, const struct yd_header *header)
{
    walk->offset += header->size;
    walk->seqno += header->count;
    walk->window->step = header->size >= STEP_NEAR / 4 ? STEP_FAR : STEP_NEAR;
}

/* To the frame that holds the reader's seqno. */
static int go_near(struct walk *walk)
{
    struct yd_log_reader *reader = walk->reader;
    uint64_t next;
    int error = 0;
    if (!reader->file || reader->place_seqno > reader->seqno) error = yd__reader_go_to(reader, &next);
    if (error) return YD_EAGAIN;
    yd__window_init(walk->window, reader->file, STEP_FAR);
    walk->offset = reader->offset;
    walk->seqno = reader->place_seqno;
    struct yd_header header;
    while ((error = frame(walk, false, &header)) == 0 && walk->seqno + header.count <= reader->seqno)
        step(walk, &header);
    return error;
}

/* Is there something in this frame, which was found good, that a tombstone covers? Only where one may reach it is its
 * body looked at. */
static bool has_hidden(struct walk *walk, const struct yd_header *header)
{
    struct yd_log_reader *reader = walk->reader;
    const char *bytes;
    size_t have;
    struct yd_view view;
    uint8_t *keep;
    uint32_t hidden;
    if (!walk->hide || !yd__tombs_reach(reader->log, reader->level, header)) return false;
    if (yd__window_get(walk->window, walk->offset, header->size, &bytes, &have) || have < header->size) return true;
    if (!yd__tombs_match(reader->log, reader->level, header, bytes + sizeof *header)) return false; /* most of all */
    if (yd_view_open(header, bytes + sizeof *header, false, &view)) return true; /* the reader tells */
    if (yd__tombs_hidden(reader->log, reader->level, header, &view, &keep, &hidden)) return true;
    free(keep);
    return hidden > 0;
}

static int collect(struct walk *walk, bool check_bodies, uint64_t bytes_max, uint64_t until, struct yd_log_extent *ret)
{
    struct yd_header header;
    int error = 0;
    ret->offset = walk->offset;
    ret->first = walk->seqno;
    ret->size = ret->records = 0;
    while (walk->seqno < until && (error = frame(walk, check_bodies, &header)) == 0) {
        if ((ret->size > 0 && ret->size + header.size > bytes_max) || has_hidden(walk, &header)) break;
        step(walk, &header);
        ret->size += header.size;
        ret->records += header.count;
    }
    ret->next = walk->seqno;
    return ret->size > 0 ? 0 : error ? error : YD_EAGAIN;
}

static int find(struct walk *walk, uint64_t bytes_max, uint64_t until, struct yd_log_extent *ret)
{
    struct yd_log_reader *reader = walk->reader;
    struct yd_log_extent extent = {0};
    int error = go_near(walk);
    struct walk start = *walk;
    if (!error) error = collect(walk, false, bytes_max, until, &extent);
    if (error) return YD_EAGAIN; /* whatever it was: the reader meets it again, and tells */
    char path[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, reader->dir, reader->base, ".ylog");
    if (yd_fs_open(reader->fs, path, YD_OPEN_READ, &extent.file)) return YD_ENOTSUP;
    bool resident = false;
    error = yd_file_resident(extent.file, extent.offset, extent.size, &resident);
    if (!error && !resident) {
        *walk = start;
        error = collect(walk, true, bytes_max, until, &extent);
    }
    if (error) {
        yd_file_close(extent.file);
        return error == YD_ENOTSUP ? error : YD_EAGAIN;
    }
    reader->offset = walk->offset;
    reader->seqno = reader->place_seqno = walk->seqno;
    *ret = extent;
    return 0;
}

int yd_log_reader_extent(struct yd_log_reader *reader, uint64_t bytes_max, uint64_t until, bool hide,
                         struct yd_log_extent *ret)
{
    struct yd__window window; /* of its own: headers alone are a small part of what the reader's reads at once */
    struct walk walk = {.reader = reader, .window = &window, .hide = hide};
    int error = bounds(reader, &walk.end);
    if (error) return error;
    yd__window_init(&window, NULL, STEP_FAR);
    error = find(&walk, bytes_max, until, ret);
    yd__window_fini(&window);
    return error;
}
