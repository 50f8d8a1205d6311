/* log/verify.c: looking at a stream's folder from outside, live or stopped: what is there, and is every byte good?
 *
 * Verifying walks each segment in order up to what is committed: heads, frames with both checksums, padding, seqnos
 * without gaps, the chain from each frame to the one before (also across files), footers and their indexes. It repairs
 * nothing and writes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/keys.h"
#include "log/twin.h"

#define VERIFY_STEP ((size_t)1 << 20)

struct verify {
    struct yd_fs *fs;
    const char *dir;
    struct yd_log_verify_report *report;
    void (*found)(void *arg, const char *file, uint64_t offset, const char *what);
    void *arg;
    uint64_t log_id, end; /* committed */
    bool end_known;       /* else the last segment ends where good frames end, behind `checked` */
    uint64_t checked;
    uint64_t expected;
    uint32_t chain;
    bool chain_known, any;
    char file[64];
    bool twin_good; /* of the segment at hand, and what the footer inside says */
    struct yd__footer twin;
};

static void fault(struct verify *verify, uint64_t offset, const char *what)
{
    verify->any = true;
    if (verify->found) verify->found(verify->arg, verify->file, offset, what);
}

static int read_control(struct yd_fs *fs, const char *dir, struct yd__control *ret,
                        struct yd__checkpoint *ret_checkpoint, bool *ret_sure, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE], *bytes;
    size_t size;
    if (strlen(dir) + 64 > sizeof path) return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    (void)snprintf(path, sizeof path, "%s/control", dir);
    int error = yd_fs_read_all(fs, path, YD__CONTROL_SIZE, &bytes, &size);
    if (error == YD_ENOENT)
        return yd_trail_add(trail, error, "%s is not a stream's folder: it has no control page", dir);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    if (size == sizeof *ret) memcpy(ret, bytes, sizeof *ret);
    free(bytes);
    if (size != sizeof *ret) return yd_trail_add(trail, YD_ECORRUPT, "%s has %zu bytes", path, size);
    error = yd__control_latest(ret, ret_checkpoint, ret_sure);
    if (error) return yd_trail_add(trail, YD_ECORRUPT, "%s holds no good checkpoint", path);
    return 0;
}

/* ---- verify ---- */

static void check_footer(struct verify *verify, struct yd_file *file, const struct yd__segment *walked, bool whole)
{
    struct yd__footer footer;
    struct yd__index_entry *entries;
    int error = yd__footer_read(file, verify->log_id, &footer, &entries);
    if (error) {
        verify->report->index_errors++;
        fault(verify, walked->data_end, "the footer or its index is damaged");
        return;
    }
    free(entries); /* the footer has their checksum */
    struct yd__footer own;
    yd__footer_make(walked, verify->log_id, &own);
    if (!whole || memcmp(&own, &footer, sizeof own) == 0) return;
    bool frames = footer.headers_crc == own.headers_crc && footer.last_crc == own.last_crc;
    verify->report->index_errors++;
    fault(verify, footer.data_end,
          frames ? "the index does not fit the frames" : "the whole-file checksum does not fit");
}

static int check_frame(struct verify *verify, struct yd__window *window, uint64_t offset,
                       const struct yd_header *header, struct yd__names *ret_names)
{
    const char *bytes;
    size_t have;
    int error = yd__window_get(window, offset, header->size, &bytes, &have);
    if (error) return error;
    size_t used = sizeof *header + header->body_size;
    if (have < header->size || !yd__all_zero(bytes + used, header->size - used)) {
        verify->report->bad_batches++;
        fault(verify, offset + used, "padding is not zero");
    }
    if (verify->chain_known && header->prev_crc != verify->chain) {
        verify->report->bad_batches++;
        fault(verify, offset, "the chain to the batch before is broken");
    }
    struct yd_view view;
    int viewed = header->codec == YD_CODEC_NONE ? yd_view_open(header, bytes + sizeof *header, false, &view) : 0;
    if (viewed) {
        verify->report->bad_batches++;
        fault(verify, offset, "the body's checksum is right and its content is malformed");
    }
    *ret_names = viewed || header->codec != YD_CODEC_NONE ? yd__names_any() : yd__view_names(header, &view);
    verify->report->batches++;
    verify->report->records += header->count;
    verify->report->bytes += header->size;
    return 0;
}

static void note_gap(struct verify *verify, uint64_t offset, uint64_t to)
{
    char what[128];
    (void)snprintf(what, sizeof what, "records %" PRIu64 " to %" PRIu64 " are missing", verify->expected, to - 1);
    verify->report->gaps++;
    fault(verify, offset, what);
    verify->expected = to;
    verify->chain_known = false;
}

/* The frames of one segment, up to seqno `next`. */
static int check_frames(struct verify *verify, struct yd_file *file, struct yd__segment *walked, uint64_t next,
                        bool last)
{
    struct yd__window window;
    yd__window_init(&window, file, VERIFY_STEP);
    uint64_t offset = walked->data_end, bound = YD_MIN(next, verify->end);
    int error = 0;
    while (verify->expected < bound && !error) {
        struct yd_header header;
        int found = yd__frame_at(&window, offset, verify->log_id, true, &header);
        if (found < 0) {
            error = found;
            break;
        }
        if (found != YD__FOUND_FRAME || header.base_seqno < verify->expected || header.base_seqno >= bound) {
            if (last && !verify->end_known && verify->expected >= verify->checked) break;
            if (found != YD__FOUND_ZERO) {
                verify->report->bad_batches++;
                fault(verify, offset,
                      found == YD__FOUND_BAD_BODY ? "the body's checksum is wrong" : "no good batch header");
            }
            error = yd__frame_resync(&window, offset + YD_BATCH_ALIGN, walked->file_size, verify->log_id,
                                     verify->expected + 1, bound, &offset, &header);
            if (error == YD_ENOENT) { /* nothing good behind it in this file */
                note_gap(verify, offset, bound);
                walked->next = bound;
                error = 0;
                break;
            }
            if (error) break;
        }
        if (header.base_seqno > verify->expected) note_gap(verify, offset, header.base_seqno);
        struct yd__names names;
        error = check_frame(verify, &window, offset, &header, &names);
        if (!error) error = yd__segment_account(walked, &header, offset, &names);
        if (!error) yd__segment_digest(walked, &header);
        verify->expected = header.base_seqno + header.count;
        verify->chain = header.header_crc;
        verify->chain_known = true;
        offset += header.size;
    }
    yd__window_fini(&window);
    return error;
}

/* Is the name index what the frames say? Only asked where all of them are good. */
static int check_keys(struct verify *verify, uint64_t base, struct yd_file *file)
{
    struct yd__footer footer;
    if (yd__footer_read(file, verify->log_id, &footer, NULL)) return 0; /* told already */
    int error = yd__keys_verify(verify->fs, verify->dir, base, file, &footer);
    if (error != YD_ECORRUPT) return error == YD_ENOMEM ? error : 0;
    (void)snprintf(verify->file, sizeof verify->file, "%020" PRIu64 ".ykey", base);
    verify->report->index_errors++;
    fault(verify, 0, "the name index is damaged, or does not fit the segment; it is not used, and made anew");
    return 0;
}

/* Does the twin, decompressed, give what its checksum says? */
static int check_twin(struct verify *verify, uint64_t base, bool raw)
{
    verify->twin_good = false;
    (void)snprintf(verify->file, sizeof verify->file, "%020" PRIu64 ".yzst", base);
    char path[YD__PATH_SIZE];
    struct yd__twin_about about;
    struct yd_file *twin;
    yd__segment_path(path, sizeof path, verify->dir, base, ".yzst");
    int error = yd__twin_open(verify->fs, path, &about, &twin);
    if (error == YD_ENOENT) return 0;
    verify->report->twins++;
    if (error == YD_ECORRUPT || error == YD_EVERSION) {
        verify->report->bad_twins++;
        fault(verify, 0,
              raw ? "the compressed twin is damaged; the segment itself is there"
                  : "the compressed twin is damaged, and it is all there is of the segment");
        return 0;
    }
    if (error) return error;
    if (about.damaged) {
        verify->report->bad_twins++;
        fault(verify, 0, "the compressed twin's head, or one of its two tables, is damaged; it is read by the other");
    }
    char *block = malloc(about.block_size);
    uint32_t crc = 0;
    uint64_t offset = 0;
    error = block ? 0 : YD_ENOMEM;
    while (!error && offset < about.raw_size) {
        size_t have;
        error = yd_file_read(twin, block, about.block_size, offset, &have);
        if (error == YD_EIO) break;
        if (!error) crc = yd_crc32c(crc, block, have);
        offset += about.block_size;
    }
    free(block);
    if (error == YD_EIO || (!error && crc != about.raw_crc)) {
        verify->report->bad_twins++;
        fault(verify, offset, "a block of the compressed twin is damaged (the offset is in the segment)");
        error = 0;
    } else if (!error && raw) {
        verify->twin_good = true;
        if (yd__footer_read(twin, verify->log_id, &verify->twin, NULL)) verify->twin = (struct yd__footer){0};
    }
    yd_file_close(twin);
    return error;
}

/* A twin that is good may be of another history: asked where every frame of the segment itself is good. */
static void compare_twin(struct verify *verify, const struct yd__segment *walked)
{
    const struct yd__footer *twin = &verify->twin;
    if (!verify->twin_good || (twin->last_crc == walked->last_crc && twin->next_seqno == walked->next)) return;
    (void)snprintf(verify->file, sizeof verify->file, "%020" PRIu64 ".yzst", walked->base);
    verify->report->bad_twins++;
    fault(verify, 0, "the compressed twin is not of this segment: it has other frames");
}

static int check_segment(struct verify *verify, uint64_t base, uint64_t next, bool last)
{
    char path[YD__PATH_SIZE];
    struct yd_stat raw;
    yd__segment_path(path, sizeof path, verify->dir, base, ".ylog");
    bool raw_gone = yd_fs_stat(verify->fs, path, &raw) == YD_ENOENT;
    int error = check_twin(verify, base, !raw_gone);
    if (error) return error;
    (void)snprintf(verify->file, sizeof verify->file, "%020" PRIu64 "%s", base, raw_gone ? ".yzst" : ".ylog");
    struct yd_file *file;
    error = yd__segment_open(verify->fs, verify->dir, base, &file);
    if (error == YD_ENOENT) return 0; /* retention was sooner */
    if (error == YD_ECORRUPT) {       /* told above */
        note_gap(verify, 0, YD_MIN(next, verify->end));
        return 0;
    }
    if (error) return error;
    struct yd__segment *walked = yd__segment_create(base);
    struct yd_stat now;
    error = walked ? yd_file_stat(file, &now) : YD_ENOMEM;
    struct yd__segment_head *head = NULL;
    if (!error) {
        walked->file_size = now.size;
        walked->data_end = YD__SEGMENT_ALIGN;
        int read = yd__head_read(file, &head);
        if (read == 0) {
            walked->data_end = head->data_start;
            if (head->log_id != verify->log_id)
                fault(verify, 0, "the segment belongs to another log");
            else if (head->base_seqno != base)
                fault(verify, 0, "the segment's name is not its first seqno");
        } else if (read == YD_ECORRUPT || read == YD_EIO) {
            if (base < verify->end) {
                verify->report->bad_batches++;
                fault(verify, 0, "the segment's head is damaged");
            }
        } else {
            error = read;
        }
        verify->report->segments++;
    }
    if (!error && base > verify->expected) note_gap(verify, 0, base);
    uint64_t faults_before = verify->report->bad_batches + verify->report->gaps;
    if (!error) error = check_frames(verify, file, walked, next, last);
    bool whole = faults_before == verify->report->bad_batches + verify->report->gaps;
    /* Cut to its footer's end: it is sealed. Else it is still to be. */
    uint64_t sealed_size =
        walked ? walked->data_end + walked->index.count * sizeof(struct yd__index_entry) + sizeof(struct yd__footer)
               : 0;
    if (!error && now.size == sealed_size) check_footer(verify, file, walked, whole);
    if (!error && now.size == sealed_size && whole) error = check_keys(verify, base, file);
    if (!error && now.size == sealed_size && whole) compare_twin(verify, walked);
    free(head);
    yd__segment_unref(walked);
    yd_file_close(file);
    return error;
}

int yd_log_verify_dir(struct yd_fs *fs, const char *dir, struct yd_log_verify_report *ret,
                      void (*found)(void *arg, const char *file, uint64_t offset, const char *what), void *arg)
{
    if (!fs) fs = yd_fs_linux();
    struct yd__control control;
    struct yd__checkpoint checkpoint;
    bool sure;
    struct yd_log_verify_report report = {0};
    struct verify verify = {.fs = fs, .dir = dir, .report = &report, .found = found, .arg = arg};
    int error = read_control(fs, dir, &control, &checkpoint, &sure, NULL);
    (void)snprintf(verify.file, sizeof verify.file, "control");
    if (error == YD_ECORRUPT) fault(&verify, 0, "no good checkpoint");
    if (error) return error;
    bool live = yd__writer_alive(&control), closed = control.state == YD__STATE_CLOSED;
    verify.log_id = checkpoint.log_id;
    verify.checked = checkpoint.durable_seqno;
    verify.end_known = live || closed;
    verify.end = live ? control.written_seqno : closed ? checkpoint.durable_seqno : UINT64_MAX;
    uint64_t *bases;
    uint32_t count;
    error = yd__list_segments(fs, dir, &bases, &count);
    if (error) return error;
    /* What should be the oldest: retention says so in the live words before it removes a file. */
    uint64_t first = control.log_id == checkpoint.log_id ? YD_MAX(checkpoint.first_seqno, control.first_seqno)
                                                         : checkpoint.first_seqno;
    verify.expected = count ? YD_MIN(bases[0], first) : YD_MIN(first, verify.checked);
    for (uint32_t i = 0; i < count && !error; i++) {
        if (live && bases[i] >= verify.end) break; /* begun a moment ago */
        error = check_segment(&verify, bases[i], i + 1 < count ? bases[i + 1] : UINT64_MAX, i + 1 == count);
    }
    free(bases);
    if (error) return error;
    uint64_t must = verify.end_known ? verify.end : verify.checked;
    if (verify.expected < must) note_gap(&verify, 0, must);
    if (ret) *ret = report;
    return verify.any ? YD_ECORRUPT : 0;
}

/* ---- stat ---- */

#define RATE_NS (60 * YD_NS_PER_S)

/* Appends by their times, for the rate of the last minute: of the segment that is being written. */
struct rate {
    struct {
        int64_t time;
        uint64_t records, bytes;
    } seconds[60]; /* by their number modulo 60 */
    int64_t last;
};

static void rate_note(struct rate *rate, const struct yd_header *header)
{
    int64_t second = header->append_time / YD_NS_PER_S;
    size_t slot = (size_t)((uint64_t)second % YD_COUNT(rate->seconds));
    if (rate->seconds[slot].time != second) {
        rate->seconds[slot].time = second;
        rate->seconds[slot].records = rate->seconds[slot].bytes = 0;
    }
    rate->seconds[slot].records += header->count;
    rate->seconds[slot].bytes += header->size;
    rate->last = YD_MAX(rate->last, second);
}

static void rate_end(const struct rate *rate, struct yd_log_stat *stat)
{
    uint64_t records = 0, bytes = 0;
    int64_t first = rate->last;
    for (size_t i = 0; i < YD_COUNT(rate->seconds); i++) {
        if (!rate->seconds[i].time || rate->seconds[i].time <= rate->last - RATE_NS / YD_NS_PER_S) continue;
        records += rate->seconds[i].records;
        bytes += rate->seconds[i].bytes;
        first = YD_MIN(first, rate->seconds[i].time);
    }
    double span = (double)(rate->last - first + 1);
    stat->records_per_s = (double)records / span;
    stat->bytes_per_s = (double)bytes / span;
}

struct range {
    uint8_t min[YD__RANGE_NAME_SIZE], max[YD__RANGE_NAME_SIZE];
};

static int stat_segment(struct yd_fs *fs, const char *dir, uint64_t base, struct yd_log_stat *stat, struct range *range)
{
    char path[YD__PATH_SIZE];
    struct yd_stat now;
    yd__segment_path(path, sizeof path, dir, base, ".ylog");
    if (yd_fs_stat(fs, path, &now) == 0) stat->bytes += now.size;
    yd__segment_path(path, sizeof path, dir, base, ".yzst");
    if (yd_fs_stat(fs, path, &now) == 0) {
        stat->twins++;
        stat->twin_bytes += now.size;
        stat->bytes += now.size;
    }
    yd__segment_path(path, sizeof path, dir, base, ".ykey");
    if (yd_fs_stat(fs, path, &now) == 0) stat->bytes += now.size;
    struct yd_file *file;
    int error = yd__segment_open(fs, dir, base, &file);
    if (error == YD_ENOENT || error == YD_ECORRUPT) return 0;
    if (error) return error;
    struct yd__segment_head *head;
    if (!error && stat->stream[0] == '\0' && yd__head_read(file, &head) == 0) {
        memcpy(stat->stream, head->stream, sizeof stat->stream);
        free(head);
    }
    struct yd__footer footer;
    if (!error && yd__footer_read(file, stat->log_id, &footer, NULL) == 0) {
        stat->time_min = YD_MIN(stat->time_min, footer.time_min);
        stat->time_max = YD_MAX(stat->time_max, footer.time_max);
        yd__range_join(range->min, range->max, YD__RANGE_NAME_SIZE, footer.name_min, footer.name_max);
    } else if (!error) {
        /* Not sealed yet: by its headers. */
        struct yd__window window;
        yd__window_init(&window, file, 64 << 10);
        uint64_t offset = YD__SEGMENT_ALIGN;
        if (yd__head_read(file, &head) == 0) {
            offset = head->data_start;
            free(head);
        }
        struct yd_header header;
        struct rate rate = {.last = 0};
        while (yd__frame_at(&window, offset, stat->log_id, false, &header) == YD__FOUND_FRAME) {
            rate_note(&rate, &header);
            stat->time_min = YD_MIN(stat->time_min, header.time_min);
            stat->time_max = YD_MAX(stat->time_max, header.time_max);
            struct yd__names names = yd__frame_names(&window, offset, &header);
            yd__range_add(range->min, range->max, YD__RANGE_NAME_SIZE, &names);
            offset += header.size;
        }
        if (rate.last) rate_end(&rate, stat);
        yd__window_fini(&window);
    }
    yd_file_close(file);
    return error;
}

int yd_log_stat_dir(struct yd_fs *fs, const char *dir, struct yd_log_stat *ret, struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    struct yd__control control;
    struct yd__checkpoint checkpoint;
    bool sure;
    int error = read_control(fs, dir, &control, &checkpoint, &sure, trail);
    if (error) return error;
    uint64_t *bases;
    uint32_t count;
    error = yd__list_segments(fs, dir, &bases, &count);
    if (error) return yd_trail_add(trail, error, "cannot list %s: %s", dir, yd_error_text(error));
    bool live = yd__writer_alive(&control);
    struct yd_log_stat stat = {
        .first = count ? bases[0] : checkpoint.durable_seqno,
        .written = live ? control.written_seqno : checkpoint.durable_seqno,
        .durable = live ? control.durable_seqno : checkpoint.durable_seqno,
        .segments = count,
        .log_id = checkpoint.log_id,
        .epoch = checkpoint.epoch,
        .last_epoch = yd__epoch_at(&checkpoint, checkpoint.durable_seqno),
        .exact = !live && sure && checkpoint.flags & YD__CHECKPOINT_CLEAN && control.state == YD__STATE_CLOSED,
        .role = checkpoint.flags & YD__CHECKPOINT_FOLLOWER  ? YD_LOG_FOLLOWER
                : checkpoint.flags & YD__CHECKPOINT_DEPOSED ? YD_LOG_DEPOSED
                                                            : YD_LOG_LEADER,
        .time_min = INT64_MAX,
        .time_max = INT64_MIN,
        .live = live,
        .writer_pid = live ? control.writer_pid : 0,
    };
    struct range range;
    yd__range_none(range.min, range.max, YD__RANGE_NAME_SIZE);
    for (uint32_t i = 0; i < count && !error; i++) error = stat_segment(fs, dir, bases[i], &stat, &range);
    if (yd__range_known(range.max, YD__RANGE_NAME_SIZE) && range.max[0]) {
        memcpy(stat.key_min, range.min, YD__RANGE_NAME_SIZE);
        memcpy(stat.key_max, range.max, YD__RANGE_NAME_SIZE);
    }
    free(bases);
    if (error) return yd_trail_add(trail, error, "reading %s: %s", dir, yd_error_text(error));
    *ret = stat;
    return 0;
}
