/* log/compress.c: compression as it goes: a reader behind the writer makes the twin while the pages are warm.
 *
 *   durable bytes of the oldest segment without a twin ─▶ blocks ─▶ BASE.yzst.tmp
 *   the segment is sealed: the rest, table, footer ─▶ sync ─▶ compared with the segment ─▶ BASE.yzst ─▶ sync the folder
 *   the segment is old enough: the twin is read once more, every frame checked ─▶ BASE.ylog goes ─▶ sync the folder
 *
 * At every moment one of the two is whole and named: the twin gets its name when it is durable and was compared, the
 * segment loses its own when the twin's name is durable and the twin was read again. What a crash leaves under the
 * temporary name goes at the next opening. Whatever fails here costs disk space, never data: the segment stays as it
 * is, and the stream goes on. One thread at a time: the compression thread (log.c), or maintenance when the log was not
 * started. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "log/keys.h"
#include "log/twin.h"

#define AT_ONCE (UINT64_C(4) << 20) /* compressed in one call: then somebody may have asked the thread to stop */

struct yd__compressor {
    struct yd__segment *segment; /* NULL: none at hand; else a reference */
    struct yd_file *raw, *out;
    char path[YD__PATH_SIZE]; /* of out */
    uint64_t done, out_size;  /* raw bytes that are in blocks; bytes written */
    uint32_t raw_crc;
    struct yd__twin_entry *table;
    uint32_t count, capacity;
    char *block, *stored;
    size_t stored_size;
    ZSTD_CCtx *zstd;
};

int yd__compressor_create(struct yd_log *log)
{
    if (log->options.compress_after_ns == 0) return 0;
    struct yd__compressor *compressor = calloc(1, sizeof *compressor);
    if (!compressor) return YD_ENOMEM;
    log->compressor = compressor;
    compressor->stored_size = ZSTD_compressBound(YD__TWIN_BLOCK);
    compressor->block = malloc(YD__TWIN_BLOCK);
    compressor->stored = malloc(compressor->stored_size);
    compressor->zstd = ZSTD_createCCtx();
    return compressor->block && compressor->stored && compressor->zstd ? 0 : YD_ENOMEM;
}

/* Lets go of the segment at hand, and of what was made of it under the temporary name. */
static void abandon(struct yd_log *log)
{
    struct yd__compressor *at = log->compressor;
    if (!at->segment) return;
    yd_file_close(at->raw);
    if (at->out) {
        yd_file_close(at->out);
        (void)yd_fs_unlink(log->fs, at->path); /* left there, the next opening removes it */
    }
    yd__segment_unref(at->segment);
    at->segment = NULL;
    at->raw = at->out = NULL;
    at->count = 0;
    at->done = at->out_size = 0;
    at->raw_crc = 0;
}

void yd__compressor_destroy(struct yd_log *log)
{
    struct yd__compressor *compressor = log->compressor;
    if (!compressor) return;
    abandon(log);
    free(compressor->table);
    free(compressor->block);
    free(compressor->stored);
    ZSTD_freeCCtx(compressor->zstd);
    free(compressor);
    log->compressor = NULL;
}

static void give_up(struct yd_log *log)
{
    struct yd__compressor *at = log->compressor;
    yd_lock_take(&log->mutex);
    at->segment->twin_refused = true; /* until the log is opened again */
    yd_lock_give(&log->mutex);
    abandon(log);
}

/* ---- making it ---- */

/* The oldest segment that wants a twin; referenced. */
static struct yd__segment *choose(struct yd_log *log)
{
    struct yd__segment *found = NULL;
    yd_lock_take(&log->mutex);
    for (uint32_t i = 0; i < log->segment_count && !found; i++) {
        struct yd__segment *segment = log->segments[i];
        if (segment->twin || segment->raw_gone || segment->twin_refused) continue;
        if (!segment->sealed && segment != log->active) break; /* its footer is on its way */
        found = segment;
    }
    if (found) atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    yd_lock_give(&log->mutex);
    return found;
}

static int write_head(struct yd_log *log, uint32_t blocks)
{
    struct yd__compressor *at = log->compressor;
    struct yd__twin_head head = {
        .magic = YD__TWIN_MAGIC,
        .version = YD__TWIN_VERSION,
        .level = (uint16_t)log->options.compress_level,
        .block_size = YD__TWIN_BLOCK,
        .log_id = log->log_id,
        .base_seqno = at->segment->base,
        .blocks = blocks,
    };
    head.crc = yd__twin_head_crc(&head);
    return yd_file_write(at->out, &head, sizeof head, 0);
}

static int begin(struct yd_log *log, struct yd__segment *segment)
{
    struct yd__compressor *at = log->compressor;
    char path[YD__PATH_SIZE];
    at->segment = segment;
    yd__segment_path(at->path, sizeof at->path, log->dir, segment->base, ".yzst.tmp");
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
    int error = yd_fs_open(log->fs, path, YD_OPEN_READ, &at->raw);
    if (!error)
        error =
            yd_fs_open(log->fs, at->path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &at->out);
    at->out_size = sizeof(struct yd__twin_head); /* which is written last: it says how many blocks there are */
    return error;
}

static int add_block(struct yd_log *log, uint32_t size)
{
    struct yd__compressor *at = log->compressor;
    size_t have;
    int error = yd_file_read(at->raw, at->block, size, at->done, &have);
    if (error) return error;
    if (have != size) return YD_EIO;
    if (at->count == at->capacity) {
        uint32_t capacity = at->capacity ? at->capacity * 2 : 64;
        struct yd__twin_entry *table = realloc(at->table, capacity * sizeof *table);
        if (!table) return YD_ENOMEM;
        at->table = table;
        at->capacity = capacity;
    }
    const char *bytes = at->stored;
    size_t made =
        ZSTD_compressCCtx(at->zstd, at->stored, at->stored_size, at->block, size, log->options.compress_level);
    if (ZSTD_isError(made) || made >= size) {
        bytes = at->block;
        made = size;
    }
    error = yd_file_write(at->out, bytes, made, at->out_size);
    if (error) return error;
    at->table[at->count++] = (struct yd__twin_entry){at->out_size, (uint32_t)made, yd_crc32c(0, bytes, made)};
    at->raw_crc = yd_crc32c(at->raw_crc, at->block, size);
    at->out_size += made;
    at->done += size;
    return 0;
}

static int end_file(struct yd_log *log)
{
    struct yd__compressor *at = log->compressor;
    size_t table_size = at->count * sizeof *at->table;
    struct yd__twin_footer footer = {
        .magic = YD__TWIN_FOOTER_MAGIC,
        .table = at->out_size,
        .raw_size = at->done,
        .blocks = at->count,
        .table_crc = yd_crc32c(0, at->table, table_size),
        .raw_crc = at->raw_crc,
        .block_size = YD__TWIN_BLOCK,
        .log_id = log->log_id,
        .base_seqno = at->segment->base,
    };
    footer.crc = yd__twin_footer_crc(&footer);
    struct yd__twin_footer again = footer; /* a twin without a table is nothing: there are two */
    again.table += table_size + sizeof footer;
    again.crc = yd__twin_footer_crc(&again);
    struct iovec parts[4] = {
        {at->table, table_size}, {&footer, sizeof footer}, {at->table, table_size}, {&again, sizeof again}};
    int error = yd_file_writev(at->out, parts, 4, at->out_size);
    at->out_size += 2 * (table_size + sizeof footer);
    if (!error) error = write_head(log, at->count);
    if (!error && !YD__SKIPS(YD__SKIP_TWIN_SYNC)) error = yd_file_sync(at->out);
    return error;
}

/* Is what the twin gives, decompressed, the segment? */
static int compare(struct yd_log *log, struct yd_file *twin, struct yd_file *raw, uint64_t size)
{
    struct yd__compressor *at = log->compressor;
    for (uint64_t offset = 0; offset < size;) {
        size_t part = (size_t)YD_MIN(size - offset, (uint64_t)YD__TWIN_BLOCK), have, have_raw;
        int error = yd_file_read(twin, at->stored, part, offset, &have);
        if (!error) error = yd_file_read(raw, at->block, part, offset, &have_raw);
        if (error) return error;
        if (have != part || have_raw != part || memcmp(at->stored, at->block, part) != 0) return YD_ECORRUPT;
        offset += part;
    }
    return 0;
}

/* Every frame of the twin, up to what its footer says, which has to be what the segment's says: a twin may be whole and
 * of another history, that a cut took back. */
static int check_frames(struct yd_file *twin, uint64_t log_id, const struct yd__segment *segment)
{
    struct yd__segment_head *head;
    struct yd__footer footer;
    struct yd__window window;
    int error = yd__footer_read(twin, log_id, &footer, NULL);
    if (error == YD_ENOENT) error = YD_ECORRUPT; /* rotten since; "not there" would mean a file that retention took */
    if (!error && (footer.last_crc != segment->last_crc || footer.next_seqno != segment->next)) error = YD_ECORRUPT;
    if (!error) error = yd__head_read(twin, &head);
    if (error) return error;
    uint64_t offset = head->data_start;
    uint32_t digest = 0;
    free(head);
    yd__window_init(&window, twin, YD__TWIN_BLOCK);
    while (offset < footer.data_end && !error) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, log_id, true, &header);
        if (found != YD__FOUND_FRAME)
            error = found < 0 ? found : YD_ECORRUPT;
        else
            offset += header.size, digest = yd__digest(digest, &header);
    }
    yd__window_fini(&window);
    return error ? error : digest == footer.headers_crc ? 0 : YD_ECORRUPT;
}

/* The segment is sealed and all in blocks: the twin gets its name. */
static int finish(struct yd_log *log)
{
    struct yd__compressor *at = log->compressor;
    struct yd__twin_about about;
    struct yd_file *twin;
    char path[YD__PATH_SIZE];
    int error = end_file(log);
    if (!error) error = yd__twin_open(log->fs, at->path, &about, &twin);
    if (error) return error;
    error = compare(log, twin, at->raw, at->done);
    /* The one that is there may have what has rotted in the segment: only a good one takes its place. */
    uint64_t before = at->segment->twin_size;
    if (!error && before) error = check_frames(twin, log->log_id, at->segment);
    yd_file_close(twin);
    yd__segment_path(path, sizeof path, log->dir, at->segment->base, ".yzst");
    if (!error) error = yd_fs_rename(log->fs, at->path, path);
    if (error) return error;
    yd_file_close(at->out);
    at->out = NULL; /* the name is made durable by whoever is to do without the segment: drop_old */
    yd_lock_take(&log->mutex);
    bool there = !at->segment->retired;
    if (there) {
        at->segment->twin = true;
        at->segment->twin_size = about.size;
        log->bytes += about.size - before;
    }
    yd_lock_give(&log->mutex);
    if (!there) (void)yd_fs_unlink(log->fs, path); /* retention was sooner; left there, it goes at the next opening */
    abandon(log);
    return 0;
}

/* How far the segment at hand may be compressed now, in whole blocks until it is sealed. YD_ENOENT: it is gone. */
static int limit(struct yd_log *log, uint64_t *ret_limit, bool *ret_sealed)
{
    const struct yd__segment *segment = log->compressor->segment;
    yd_lock_take(&log->mutex);
    bool gone = segment->retired || log->failed;
    *ret_sealed = segment->sealed;
    *ret_limit = segment->sealed ? segment->file_size : segment->durable_end / YD__TWIN_BLOCK * YD__TWIN_BLOCK;
    yd_lock_give(&log->mutex);
    return gone ? YD_ENOENT : 0;
}

static int go_on(struct yd_log *log, bool *ret_more)
{
    struct yd__compressor *at = log->compressor;
    uint64_t end, from = at->done;
    bool sealed;
    int error = limit(log, &end, &sealed);
    while (!error && at->done < end && at->done - from < AT_ONCE)
        error = add_block(log, (uint32_t)YD_MIN(end - at->done, (uint64_t)YD__TWIN_BLOCK));
    if (error) return error;
    *ret_more = at->done < end;
    if (*ret_more || !sealed) return 0;
    *ret_more = true; /* there may be others */
    return finish(log);
}

/* ---- the segment goes ---- */

static struct yd__segment *choose_old(struct yd_log *log, int64_t now)
{
    struct yd__segment *found = NULL;
    int64_t after = log->options.compress_after_ns;
    yd_lock_take(&log->mutex);
    for (uint32_t i = 0; i < log->segment_count && !found; i++) {
        struct yd__segment *segment = log->segments[i];
        if (!segment->twin || segment->raw_gone || !segment->sealed || segment->busy || segment->twin_refused) continue;
        /* Recovery begins in the checkpoint's segment, and writes from there on. */
        if (log->checkpointed == YD__NO_SEGMENT || segment->base >= log->checkpointed) continue;
        if (after == 1 || segment->append_max < yd__log_ago(now, after)) found = segment;
    }
    if (found) {
        found->busy = true; /* retention waits */
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    }
    yd_lock_give(&log->mutex);
    return found;
}

/* 1: one went, there may be more. */
static int drop_old(struct yd_log *log)
{
    struct yd__segment *segment = choose_old(log, yd__log_now(log));
    if (!segment) return 0;
    char path[YD__PATH_SIZE];
    struct yd__twin_about about;
    struct yd_file *twin;
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".yzst");
    int error = yd__twin_open(log->fs, path, &about, &twin);
    if (!error) {
        if (about.damaged) error = YD_ECORRUPT;
        if (!error && !YD__SKIPS(YD__SKIP_TWIN_CHECK)) error = check_frames(twin, log->log_id, segment);
        yd_file_close(twin);
    }
    bool bad = error != 0;
    /* Its name is only now needed to last. */
    if (!bad && !YD__SKIPS(YD__SKIP_TWIN_DIR_SYNC)) error = yd_fs_sync_dir(log->fs, log->dir);
    bad |= error != 0;
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".ylog");
    if (!bad) error = yd_fs_unlink(log->fs, path); /* back after a crash, it goes again */
    yd_lock_take(&log->mutex);
    segment->busy = false;
    if (bad) segment->twin_refused = true; /* the segment stays; repair looks at both */
    if (!bad) {
        segment->raw_gone = true;
        log->bytes -= segment->file_size;
    }
    yd_lock_give(&log->mutex);
    yd__segment_unref(segment);
    return error && !bad ? error : 1;
}

static int compress_some(struct yd_log *log)
{
    struct yd__compressor *at = log->compressor;
    if (!at || log->failed) return 0;
    int dropped = drop_old(log);
    if (dropped) return dropped;
    bool more = false;
    int error = 0;
    if (!at->segment) {
        struct yd__segment *segment = choose(log);
        if (!segment) return 0;
        error = begin(log, segment);
    }
    if (!error) error = go_on(log, &more);
    if (error == YD_ENOENT || error == YD_ENOSPC || error == YD_ENOMEM) {
        abandon(log); /* gone, or to be tried again when there is room */
        return error == YD_ENOENT ? 1 : error;
    }
    if (error) give_up(log);
    return error ? 1 : more;
}

int yd__compress_some(struct yd_log *log)
{
    yd_lock_take(&log->twin_lock); /* a follower may be cut back meanwhile */
    int result = compress_some(log);
    yd_lock_give(&log->twin_lock);
    return result;
}

void yd__compressor_leave(struct yd_log *log)
{
    if (log->compressor) abandon(log);
}

/* ---- at opening ---- */

struct leftover {
    struct yd_log *log;
    char names[64][64];
    uint32_t count;
};

static int visit_leftover(void *arg, const char *name, enum yd_file_type node)
{
    struct leftover *leftover = arg;
    uint64_t base;
    bool ours = yd__segment_name(name, ".yzst.tmp", &base) || yd__segment_name(name, ".ykey.tmp", &base);
    if (node == YD_NODE_FILE && ours && leftover->count < 64)
        (void)snprintf(leftover->names[leftover->count++], 64, "%s", name);
    return 0;
}

int yd__twins_load(struct yd_log *log)
{
    struct leftover leftover = {.log = log};
    char path[YD__PATH_SIZE];
    (void)yd_fs_list(log->fs, log->dir, visit_leftover, &leftover); /* what is not found now goes another time */
    for (uint32_t i = 0; i < leftover.count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", log->dir, leftover.names[i]);
        (void)yd_fs_unlink(log->fs, path); /* as above */
    }
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct yd__segment *segment = log->segments[i];
        struct yd__twin_about about;
        struct yd_file *twin;
        yd__keys_count(log, segment); /* also of a log that makes none any more */
        yd__segment_path(path, sizeof path, log->dir, segment->base, ".yzst");
        int error = yd__twin_open(log->fs, path, &about, &twin);
        if (error == YD_ENOENT) continue;
        if (!error) yd_file_close(twin);
        bool ours = !error && about.log_id == log->log_id && about.base_seqno == segment->base;
        bool alike = segment->sealed && about.raw_size == segment->file_size;
        if (ours) { /* one that is damaged, or not like its segment, is made anew, and goes when that is good */
            segment->twin = segment->raw_gone || (alike && !about.damaged);
            segment->twin_size = about.size;
            log->bytes += about.size;
        } else if (!segment->raw_gone && (!error || error == YD_ECORRUPT)) {
            (void)yd_fs_unlink(log->fs, path); /* of no use; the segment is there */
        } else if (!segment->raw_gone) {
            segment->twin_refused = true; /* cannot be read now: it may have what rotted in the segment */
        }
        if (segment->raw_gone) log->bytes -= segment->file_size;
    }
    return 0;
}
