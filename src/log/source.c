/* log/source.c: a leader's files as a follower wants them: head, frames, seal; head, frames, seal; …
 *
 *   place ─▶ inside a segment? its frames from there on, whole, as far as they are written
 *         ─▶ at its end, and another was begun? what stands behind its frames, once it is sealed
 *         ─▶ then the head of the next one, once it has a frame (an empty one may yet be replaced)
 *
 * Read from the files, also what is still in the memory of the writer: it is in the page cache then. Headers are
 * checked, because frames are cut by them; bodies are checked by the follower. */
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

#define STEP ((size_t)1 << 20)

struct yd_log_source {
    struct yd_log *log;
    uint64_t base; /* of the segment; YD__NO_SEGMENT: the next one begins with `seqno` */
    uint64_t seqno, offset;
    struct yd_file *file;
    struct yd__window window;
    char *bytes; /* a head, a seal */
};

int yd__source_file(struct yd_log *log, uint64_t base, struct yd_file **ret_file)
{
    return yd__segment_open(log->fs, log->dir, base, ret_file);
}

static void leave(struct yd_log_source *source)
{
    if (!source->file) return;
    yd__window_fini(&source->window);
    yd_file_close(source->file);
    source->file = NULL;
}

int yd_log_source_open(struct yd_log *log, const struct yd_log_place *place, struct yd_log_source **ret_source)
{
    struct yd_log_source *source = calloc(1, sizeof *source);
    if (!source) return YD_ENOMEM;
    source->log = yd_log_ref(log);
    source->base = place->log_id ? place->segment : YD__NO_SEGMENT;
    source->seqno = place->seqno;
    source->offset = place->offset;
    if (!place->log_id) {
        yd_lock_take(&log->mutex);
        source->seqno = log->first;
        yd_lock_give(&log->mutex);
    }
    *ret_source = source;
    return 0;
}

void yd_log_source_close(struct yd_log_source *source)
{
    if (!source) return;
    leave(source);
    free(source->bytes);
    yd_log_unref(source->log);
    free(source);
}

struct look { /* at the source's segment, of one moment */
    bool there, sealed, last, retired, failed;
    uint64_t data_start, data_end, file_size;
};

static int look(struct yd_log_source *source, struct look *ret)
{
    struct yd_log *log = source->log;
    *ret = (struct look){0};
    yd_lock_take(&log->mutex);
    int error = log->closed ? YD_ECLOSED : 0;
    uint64_t at = source->base == YD__NO_SEGMENT ? source->seqno : source->base;
    int index = yd__log_find(log, at);
    if (!error && index >= 0 && log->segments[index]->base == at) {
        const struct yd__segment *segment = log->segments[index];
        *ret = (struct look){
            .there = true,
            .sealed = segment->sealed,
            .last = (uint32_t)index + 1 == log->segment_count,
            .data_start = segment->data_start,
            .data_end = segment->data_end,
            .file_size = segment->file_size,
        };
    } else if (!error) {
        ret->retired = at < log->first;
    }
    yd_lock_give(&log->mutex);
    return error;
}

static int enter(struct yd_log_source *source, uint64_t base)
{
    if (source->file) return 0;
    int error = yd__source_file(source->log, base, &source->file);
    if (!error) yd__window_init(&source->window, source->file, STEP);
    return error;
}

static int read_part(struct yd_log_source *source, uint64_t from, uint64_t to, const void **ret_bytes, size_t *ret_size)
{
    free(source->bytes);
    size_t size = (size_t)(to - from), have = 0;
    source->bytes = malloc(size);
    if (!source->bytes) return YD_ENOMEM;
    int error = yd_file_read(source->file, source->bytes, size, from, &have);
    if (!error && have < size) error = YD_ECORRUPT;
    *ret_bytes = source->bytes;
    *ret_size = size;
    return error;
}

/* Whole frames from the source's place on. */
static int frames(struct yd_log_source *source, uint64_t data_end, const void **ret_bytes, size_t *ret_size)
{
    const char *bytes;
    size_t have, size = 0;
    uint64_t left = data_end - source->offset, seqno = source->seqno;
    struct yd__window *window = &source->window;
    const struct yd__chunk *chunk = window->chunk;
    /* What was read ahead may be from before it was written. */
    if (chunk && chunk->offset + chunk->size < source->offset + YD_MIN(left, STEP)) yd__window_forget(window);
    int error = 0;
    for (bool again = false;;) {
        error = yd__window_get(window, source->offset, (size_t)YD_MIN(left, STEP), &bytes, &have);
        struct yd_header header;
        if (!error && have >= sizeof header) {
            memcpy(&header, bytes, sizeof header);
            if (yd_header_check(&header, SIZE_MAX) == 0 && header.size > have && header.size <= left)
                error = yd__window_get(window, source->offset, header.size, &bytes, &have);
        }
        while (!error && size + sizeof header <= have && size < left) {
            memcpy(&header, bytes + size, sizeof header);
            if (yd_header_check(&header, SIZE_MAX) != 0 || header.base_seqno != seqno ||
                header.log_id != source->log->log_id || header.size > have - size)
                break;
            size += header.size;
            seqno += header.count;
        }
        if (error || size > 0 || again) break;
        yd__window_forget(window);
        again = true;
    }
    if (error) return error;
    if (size == 0) return YD_ECORRUPT; /* rot: told by the readers */
    *ret_bytes = bytes;
    *ret_size = size;
    source->offset += size;
    source->seqno = seqno;
    return 0;
}

int yd_log_source_next(struct yd_log_source *source, enum yd_log_part *ret_part, uint64_t *ret_base,
                       uint64_t *ret_segment_size, const void **ret_bytes, size_t *ret_size)
{
    struct look now;
    int error = look(source, &now);
    if (error) return error;
    if (!now.there && source->file && now.retired) return YD_ENOENT;
    if (!now.there) return now.retired ? YD_ENOENT : YD_EAGAIN;
    if (source->base == YD__NO_SEGMENT) {
        if (now.data_end <= now.data_start) return YD_EAGAIN;
        leave(source);
        error = enter(source, source->seqno);
        if (!error) error = read_part(source, 0, now.data_start, ret_bytes, ret_size);
        if (error) return error;
        source->base = source->seqno;
        source->offset = now.data_start;
        *ret_part = YD_LOG_HEAD;
    } else if (source->offset < now.data_end) {
        error = enter(source, source->base);
        if (!error) error = frames(source, now.data_end, ret_bytes, ret_size);
        if (error) return error;
        *ret_part = YD_LOG_FRAMES;
    } else {
        if (!now.sealed) return YD_EAGAIN;
        leave(source);
        error = enter(source, source->base);
        if (!error) error = read_part(source, now.data_end, now.file_size, ret_bytes, ret_size);
        if (error) return error;
        *ret_part = YD_LOG_SEAL;
    }
    *ret_base = source->base;
    *ret_segment_size = now.file_size;
    if (*ret_part == YD_LOG_SEAL) source->base = YD__NO_SEGMENT; /* the next one begins where this one ended */
    return 0;
}

bool yd_log_source_cold(struct yd_log_source *source)
{
    struct look now;
    if (look(source, &now) || !now.there) return false;
    if (source->base == YD__NO_SEGMENT) return now.data_end > now.data_start;
    if (source->offset >= now.data_end) return now.sealed;
    const struct yd__chunk *chunk = source->file ? source->window.chunk : NULL;
    if (!source->file) return true;
    if (chunk && source->offset >= chunk->offset && source->offset < chunk->offset + chunk->size) return false;
    bool resident = false;
    size_t size = (size_t)YD_MIN(now.data_end - source->offset, STEP);
    return yd_file_resident(source->file, source->offset, size, &resident) != 0 || !resident;
}
