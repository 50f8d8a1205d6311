/* log/repair.c: a damaged stream's bytes, had back from another copy of it.
 *
 *   segment:   good | good | BAD ……… BAD | good | …          another copy, or a replica:
 *                          ▲ from        ▲ to                 the batches with those seqnos
 *                          └── same size, same chain at both ends, both checksums right ──┘
 *
 * Only ranges that fail their checksums, or stand where they do not belong, are written. First their old bytes go to
 * quarantine/, durably; then the new ones are written and synced. Killed in between, the range still fails its
 * checksums and the next run does it again. What no copy has stays as it is: readers are told a gap.
 * On a folder that somebody writes only the segments behind him are touched, where nobody writes any more; what needs
 * the log to stand still is told as "later". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/mend.h"
#include "log/twin.h"

#define REPAIR_STEP ((size_t)1 << 20)

struct repair {
    const struct yd_log_repair *how;
    struct yd_log_repair_report *report;
    struct yd_fs *fs;
    uint64_t log_id, end; /* end: UINT64_MAX when not known */
    uint64_t first;       /* oldest that should be there */
    uint64_t checked;     /* what a checkpoint says was durable: damage below is damage, not a torn end */
    uint32_t checked_crc; /* header_crc of the last batch before that */
    bool checked_known;
    uint64_t live_segment;
    struct yd_log_reader *reader; /* of from_dir */
    uint64_t reader_seqno;
    char file[64];
    /* the segment at hand */
    struct yd_file *at;
    struct yd__window window;
    uint64_t size;
    uint32_t chain;
    bool chain_known, whole;
    bool probing;             /* looks only, tells nothing */
    struct yd_file *twin;     /* its own compressed twin, when that is there beside it */
    struct yd__window beside; /* of it */
};

static void tell(struct repair *repair, enum yd_log_mending result, uint64_t from, uint64_t to, uint64_t first,
                 uint64_t next, const char *what)
{
    struct yd_log_repair_report *report = repair->report;
    if (result == YD_MENDED) {
        report->mended++;
        report->mended_bytes += to - from;
    } else if (result == YD_LOST) {
        report->lost++;
        report->lost_records += next - first;
    } else {
        report->later++;
    }
    if (repair->probing) return;
    struct yd_log_mended mended = {result, repair->file, from, to, first, next, what};
    if (repair->how->told) repair->how->told(repair->how->told_arg, &mended);
}

/* ---- writing ---- */

/* The old bytes of a range, kept. A name that is there already is of an earlier damage, or of a run that was killed. */
static int keep_old(struct repair *repair, const char *name, struct yd_file *file, uint64_t from, uint64_t to)
{
    char path[YD__PATH_SIZE + 160];
    struct yd_stat now;
    (void)snprintf(path, sizeof path, "%s/quarantine", repair->how->dir);
    int error = yd_fs_make_dirs(repair->fs, path);
    for (unsigned number = 1; !error && number < 1000; number++) {
        (void)snprintf(path, sizeof path, "%s/quarantine/%s-%010" PRIu64 "-replaced-%u", repair->how->dir, name, from,
                       number);
        error = yd_fs_stat(repair->fs, path, &now);
        if (error == YD_ENOENT) return yd__copy_range(repair->fs, file, from, to, path, NULL);
    }
    return error ? error : YD_EFULL;
}

/* Nothing here may be good: the caller has seen that it is not. */
static int put(struct repair *repair, uint64_t base, uint64_t from, const void *bytes, size_t size)
{
    char name[32];
    if (repair->how->dry_run || repair->probing) return 0;
    (void)snprintf(name, sizeof name, "%020" PRIu64, base);
    uint64_t to = YD_MIN(from + size, repair->size);
    int error = to > from ? keep_old(repair, name, repair->at, from, to) : 0;
    if (!error) error = yd_file_write(repair->at, bytes, size, from);
    if (!error) error = yd_file_sync(repair->at);
    repair->size = YD_MAX(repair->size, from + size);
    yd__window_forget(&repair->window);
    return error;
}

/* ---- sources ---- */

/* The batch that holds a seqno, from the other folder. */
static int fetch_dir(struct repair *repair, uint64_t seqno, struct yd_batch **ret_batch)
{
    if (!repair->how->from_dir) return YD_ENOENT;
    if (!repair->reader || repair->reader_seqno != seqno) {
        yd_log_reader_close(repair->reader);
        repair->reader = NULL;
        struct yd_log_start start = {.from = YD_FROM_SEQNO, .seqno = seqno, .level = YD_ACK_WRITTEN};
        int error = yd_log_reader_open_dir(repair->fs, repair->how->from_dir, &start, &repair->reader, NULL);
        if (error) return YD_ENOENT;
    }
    struct yd_log_gap gap;
    int error = yd_log_reader_next(repair->reader, ret_batch, &gap);
    repair->reader_seqno = error ? UINT64_MAX : (*ret_batch)->header.base_seqno + (*ret_batch)->header.count;
    return error == YD_ENOMEM ? error : error ? YD_ENOENT : 0;
}

/* What stands at the same byte of its own twin. */
static int fetch_twin(struct repair *repair, uint64_t offset, struct yd_batch **ret_batch)
{
    struct yd_header header;
    const char *bytes;
    size_t have;
    if (!repair->twin) return YD_ENOENT;
    if (yd__frame_at(&repair->beside, offset, repair->log_id, true, &header) != YD__FOUND_FRAME) return YD_ENOENT;
    if (yd__window_get(&repair->beside, offset, header.size, &bytes, &have) || have < header.size) return YD_ENOENT;
    int error = yd_batch_from_bytes(bytes, have, ret_batch);
    return error == YD_ENOMEM ? error : error ? YD_ENOENT : 0;
}

/* Exactly the next batch of this log's chain, from whoever has it. */
static int fetch(struct repair *repair, uint64_t offset, uint64_t seqno, uint64_t bound, struct yd_batch **ret_batch)
{
    for (int source = 0; source < 3; source++) {
        struct yd_batch *batch;
        int error = YD_ENOENT;
        if (source == 0)
            error = fetch_twin(repair, offset, &batch);
        else if (source == 1)
            error = fetch_dir(repair, seqno, &batch);
        else if (repair->how->fetch)
            error = repair->how->fetch(repair->how->fetch_arg, seqno, &batch);
        if (error == YD_ENOENT) continue;
        if (error) return error;
        const struct yd_header *header = &batch->header;
        if (header->log_id == repair->log_id && header->base_seqno == seqno && header->count <= bound - seqno &&
            (!repair->chain_known || header->prev_crc == repair->chain) &&
            yd_header_crc(header) == header->header_crc) {
            *ret_batch = batch;
            return 0;
        }
        yd_batch_unref(batch);
    }
    return YD_ENOENT;
}

/* The same segment elsewhere, whole in the eyes of `fits`: its own twin, or the other folder's; or NULL. To be closed.
 */
static struct yd_file *other_segment(struct repair *repair, uint64_t base,
                                     bool (*fits)(struct repair *repair, struct yd_file *file, void *arg), void *arg)
{
    char path[YD__PATH_SIZE];
    struct yd_file *file;
    struct yd__twin_about about;
    yd__segment_path(path, sizeof path, repair->how->dir, base, ".yzst");
    if (repair->twin && yd__twin_open(repair->fs, path, &about, &file) == 0) {
        if (fits(repair, file, arg)) return file;
        yd_file_close(file);
    }
    if (!repair->how->from_dir || yd__segment_open(repair->fs, repair->how->from_dir, base, &file)) return NULL;
    if (fits(repair, file, arg)) return file;
    yd_file_close(file);
    return NULL;
}

/* ---- one damaged range of frames ---- */

struct damage {
    uint64_t from, to;    /* bytes; to: 0 when nothing good lies behind */
    uint64_t first, next; /* seqnos */
    uint32_t next_prev;   /* header_crc that the last one has: the good frame behind says so, or the next segment */
    bool end_known;       /* next_prev is */
};

static int mend_frames(struct repair *repair, uint64_t base, const struct damage *damage, uint64_t *ret_end)
{
    uint64_t seqno = damage->first, at = damage->from, limit = damage->to ? damage->to : UINT64_MAX;
    char *bytes = NULL;
    size_t used = 0;
    int error = 0;
    while (seqno < damage->next) {
        struct yd_batch *batch;
        error = fetch(repair, at, seqno, damage->next, &batch);
        if (error) break;
        char *larger = batch->header.size <= limit - at ? realloc(bytes, used + batch->header.size) : NULL;
        if (!larger) {
            error = batch->header.size <= limit - at ? YD_ENOMEM : YD_ENOENT;
            yd_batch_unref(batch);
            break;
        }
        bytes = larger;
        yd_batch_to_bytes(batch, bytes + used);
        used += batch->header.size;
        at += batch->header.size;
        seqno = batch->header.base_seqno + batch->header.count;
        repair->chain = batch->header.header_crc;
        repair->chain_known = true;
        yd_batch_unref(batch);
    }
    if (error && error != YD_ENOENT) {
        free(bytes);
        return error;
    }
    bool all = seqno == damage->next;
    bool fits =
        !all || ((!damage->to || at == damage->to) && (!damage->end_known || repair->chain == damage->next_prev));
    if (!fits) seqno = damage->first, used = 0; /* another history: nothing of it is taken */
    error = used ? put(repair, base, damage->from, bytes, used) : 0;
    free(bytes);
    if (error) return error;
    if (used) tell(repair, YD_MENDED, damage->from, damage->from + used, damage->first, seqno, "from another copy");
    if (seqno < damage->next) {
        repair->whole = repair->chain_known = false;
        tell(repair, YD_LOST, damage->from + used, damage->to ? damage->to : repair->size, seqno, damage->next,
             fits ? "no copy has it: readers are told a gap" : "the other copy is of another history");
    }
    *ret_end = damage->to ? damage->to : damage->from + used;
    return 0;
}

/* How the chain ends where the segment of that base begins, which its head says. */
static bool chain_at(struct repair *repair, uint64_t base, uint32_t *ret_crc)
{
    struct yd_file *file;
    struct yd__segment_head *head;
    if (base == repair->checked && repair->checked_known) {
        *ret_crc = repair->checked_crc;
        return true;
    }
    if (base == UINT64_MAX || yd__segment_open(repair->fs, repair->how->dir, base, &file)) return false;
    bool known = yd__head_read(file, &head) == 0;
    if (known) {
        known = head->log_id == repair->log_id && head->base_seqno == base;
        *ret_crc = head->prev_crc;
        free(head);
    }
    yd_file_close(file);
    return known;
}

/* What stands at `offset` is not the frame that should be there: what is the damage? YD_ENOENT: the end. */
static int find_damage(struct repair *repair, uint64_t offset, uint64_t expected, uint64_t bound, bool last, int found,
                       const struct yd_header *header, struct damage *ret)
{
    struct yd_header behind;
    *ret = (struct damage){.from = offset, .first = expected};
    if (found == YD__FOUND_BAD_BODY && header->base_seqno == expected && header->base_seqno + header->count <= bound) {
        /* Its header is good: exactly this one. */
        ret->to = offset + header->size;
        ret->next = expected + header->count;
        ret->next_prev = header->header_crc;
        ret->end_known = true;
        return 0;
    }
    int error = yd__frame_resync(&repair->window, offset + YD_BATCH_ALIGN, repair->size, repair->log_id, expected + 1,
                                 bound, &ret->to, &behind);
    if (error == 0) {
        ret->next = behind.base_seqno;
        ret->next_prev = behind.prev_crc;
        ret->end_known = true;
        return 0;
    }
    if (error != YD_ENOENT) return error;
    ret->to = 0;
    ret->next = last && bound == UINT64_MAX ? repair->checked : bound;
    ret->end_known = chain_at(repair, ret->next, &ret->next_prev);
    return ret->next > expected ? 0 : YD_ENOENT;
}

static int check_padding(struct repair *repair, uint64_t base, uint64_t offset, const struct yd_header *header)
{
    static const char zeros[YD_BATCH_ALIGN];
    const char *bytes;
    size_t have, used = sizeof *header + header->body_size;
    int error = yd__window_get(&repair->window, offset, header->size, &bytes, &have);
    if (error || have < header->size || yd__all_zero(bytes + used, header->size - used)) return error;
    error = put(repair, base, offset + used, zeros, header->size - used);
    if (!error)
        tell(repair, YD_MENDED, offset + used, offset + header->size, header->base_seqno, header->base_seqno,
             "padding: zeros");
    return error;
}

struct before {
    uint64_t offset, size, seqno; /* size 0: there is none */
    uint32_t chain;
    bool chain_known;
};

/* A good frame whose chain does not end at the one before: then that one is not the one that stood there when this was
 * written, but an older block. */
static int mend_before(struct repair *repair, uint64_t base, const struct before *before, uint64_t offset,
                       const struct yd_header *header)
{
    struct yd_batch *batch = NULL;
    int error = YD_ENOENT;
    if (before->size) {
        repair->chain = before->chain;
        repair->chain_known = before->chain_known;
        error = fetch(repair, before->offset, before->seqno, header->base_seqno, &batch);
    }
    if (error && error != YD_ENOENT) return error;
    bool fits = error == 0 && batch->header.header_crc == header->prev_crc && batch->header.size == before->size &&
                batch->header.count == header->base_seqno - before->seqno;
    yd_batch_unref(batch);
    if (fits) {
        struct damage damage = {before->offset, offset, before->seqno, header->base_seqno, header->prev_crc, true};
        uint64_t end;
        error = mend_frames(repair, base, &damage, &end);
        if (error) return error;
    } else {
        tell(repair, YD_LOST, before->size ? before->offset : 0, offset, 0, 0,
             "the chain breaks here: what stands before is older than what follows, and no copy has the newer");
    }
    repair->whole = false;
    repair->chain = header->prev_crc;
    repair->chain_known = true;
    return 0;
}

/* All frames of the open segment, up to seqno `bound`; accounts what is good in the end. */
static int walk_frames(struct repair *repair, struct yd__segment *walked, uint64_t offset, uint64_t bound, bool last)
{
    uint64_t expected = walked->base, written = UINT64_MAX;
    struct before before = {.size = 0};
    while (expected < bound) {
        struct yd_header header;
        int found = yd__frame_at(&repair->window, offset, repair->log_id, true, &header);
        if (found < 0 && found != YD_EIO) return found;
        bool good = found == YD__FOUND_FRAME && header.base_seqno == expected &&
                    (!repair->chain_known || header.prev_crc == repair->chain) && header.count <= bound - expected;
        if (good) {
            int error = check_padding(repair, walked->base, offset, &header);
            struct yd__names names = error ? yd__names_any() : yd__frame_names(&repair->window, offset, &header);
            if (!error) error = yd__segment_account(walked, &header, offset, &names);
            if (error) return error;
            yd__segment_digest(walked, &header);
            before = (struct before){offset, header.size, expected, repair->chain, repair->chain_known};
            expected += header.count;
            offset += header.size;
            repair->chain = header.header_crc;
            repair->chain_known = true;
            continue;
        }
        if (found == YD__FOUND_FRAME && header.base_seqno == expected && header.count <= bound - expected) {
            int error = mend_before(repair, walked->base, &before, offset, &header);
            if (error) return error;
            continue;
        }
        struct damage damage;
        int error = find_damage(repair, offset, expected, bound, last, found, &header, &damage);
        if (error == YD_ENOENT) return 0;
        if (error) return error;
        if (damage.from == written) return YD_EIO; /* what was written there does not stay */
        uint64_t end, mended = repair->report->mended;
        error = mend_frames(repair, walked->base, &damage, &end);
        if (error) return error;
        if (!repair->how->dry_run && repair->whole && repair->report->mended > mended) {
            /* Once more from here: what was written is looked at like everything else. */
            written = damage.from;
            repair->chain = walked->batches ? walked->last_crc : walked->prev_crc;
            repair->chain_known = walked->batches > 0 || walked->head_good;
            continue;
        }
        if (!damage.to) return 0;
        repair->whole = false;
        offset = end;
        expected = damage.next;
    }
    return 0;
}

/* ---- head and footer ---- */

struct wanted_head {
    uint64_t base, bound;
    struct yd__segment_head *head;
};

static bool head_fits(struct repair *repair, struct yd_file *file, void *arg)
{
    struct wanted_head *wanted = arg;
    struct yd__segment_head *head;
    if (yd__head_read(file, &head)) return false;
    if (head->log_id == repair->log_id && head->base_seqno == wanted->base &&
        (!repair->chain_known || head->prev_crc == repair->chain)) {
        wanted->head = head;
        return true;
    }
    free(head);
    return false;
}

/* The same of a whole file: it also leads to where the next segment begins. */
static bool segment_fits(struct repair *repair, struct yd_file *file, void *arg)
{
    struct wanted_head *wanted = arg;
    struct yd__footer footer;
    uint32_t crc;
    if (yd__footer_read(file, repair->log_id, &footer, NULL) == 0) {
        if (footer.next_seqno > wanted->bound) return false;
        if (footer.next_seqno == wanted->bound && chain_at(repair, wanted->bound, &crc) && footer.last_crc != crc)
            return false;
    }
    return head_fits(repair, file, arg);
}

static int mend_head(struct repair *repair, uint64_t base, uint64_t *ret_start)
{
    struct yd__segment_head *head = NULL;
    int error = yd__head_read(repair->at, &head);
    if (error == 0 && head->log_id == repair->log_id && head->base_seqno == base) {
        if (repair->chain_known && head->prev_crc != repair->chain) {
            tell(repair, YD_LOST, 0, head->data_start, base, base,
                 "the chain breaks here: this segment is of another history than the one before");
            repair->whole = false;
        }
        *ret_start = head->data_start;
        repair->chain = head->prev_crc;
        repair->chain_known = true;
        free(head);
        return 0;
    }
    free(head);
    if (error && error != YD_ECORRUPT && error != YD_EIO) return error;
    struct wanted_head wanted = {.base = base};
    struct yd_file *other = other_segment(repair, base, head_fits, &wanted);
    head = wanted.head;
    if (other) {
        *ret_start = head->data_start;
        repair->chain = head->prev_crc;
        repair->chain_known = true;
        error = put(repair, base, 0, head, head->data_start);
        if (!error) tell(repair, YD_MENDED, 0, head->data_start, base, base, "the head, from another copy");
    } else {
        error = 0;
        struct yd_header header;
        *ret_start = YD__SEGMENT_ALIGN;
        if (yd__frame_resync(&repair->window, YD__SEGMENT_ALIGN, repair->size, repair->log_id, base, base + 1,
                             ret_start, &header) != 0)
            *ret_start = YD__SEGMENT_ALIGN;
        tell(repair, YD_LOST, 0, *ret_start, base, base,
             "the head: readers do without; which producers were known, no copy tells");
        repair->chain_known = false;
        repair->whole = false;
    }
    free(head);
    yd_file_close(other);
    return error;
}

/* Is the file's footer, with its index, what the frames say? */
static bool footer_fits(const struct repair *repair, const struct yd__footer *wanted)
{
    struct yd__footer footer;
    struct yd__index_entry *entries;
    if (yd__footer_read(repair->at, repair->log_id, &footer, &entries)) return false;
    free(entries); /* the footer has their checksum */
    return memcmp(&footer, wanted, sizeof footer) == 0;
}

/* What stands behind the footer, which has to be the end: kept, unless it is zeros of space taken ahead; then cut. */
static int cut_behind(struct repair *repair, uint64_t base, uint64_t end)
{
    uint64_t nonzero = end;
    char name[32];
    int error = 0;
    for (uint64_t at = end; at < repair->size && !error;) {
        uint64_t aligned = at & ~(uint64_t)(YD_BATCH_ALIGN - 1);
        const char *bytes;
        size_t have, skip = (size_t)(at - aligned);
        error = yd__window_get(&repair->window, aligned, REPAIR_STEP, &bytes, &have);
        if (error || have <= skip) break;
        if (!yd__all_zero(bytes + skip, have - skip)) nonzero = aligned + have;
        at = aligned + have;
    }
    if (error == YD_EIO) nonzero = repair->size, error = 0; /* what cannot be read is copied as far as it can be */
    (void)snprintf(name, sizeof name, "%020" PRIu64, base);
    if (!error && nonzero > end) error = keep_old(repair, name, repair->at, end, nonzero);
    if (!error) error = yd_file_truncate(repair->at, end);
    if (!error) error = yd_file_sync(repair->at);
    repair->size = end;
    yd__window_forget(&repair->window);
    return error;
}

/* Every frame is good: they say what the index and the footer are, no copy is needed. */
static int mend_footer(struct repair *repair, struct yd__segment *walked, uint64_t bound)
{
    struct yd__footer footer;
    struct yd_header header;
    if (!repair->whole || walked->next != bound) return 0;
    /* A frame that goes on: the bound is no end of this segment, whoever said so. */
    int found = yd__frame_at(&repair->window, walked->data_end, repair->log_id, false, &header);
    if (found < 0 && found != YD_EIO) return found;
    if (found == YD__FOUND_FRAME && header.base_seqno == bound) return 0;
    yd__footer_make(walked, repair->log_id, &footer);
    if (footer_fits(repair, &footer)) return 0;
    size_t index_size = walked->index.count * sizeof *walked->index.entries, size = index_size + sizeof footer;
    char *bytes = malloc(size);
    if (!bytes) return YD_ENOMEM;
    memcpy(bytes, walked->index.entries, index_size);
    memcpy(bytes + index_size, &footer, sizeof footer);
    /* A footer that is believed has its index: it comes second, as in maintain.c. */
    int error = index_size ? put(repair, walked->base, walked->data_end, bytes, index_size) : 0;
    if (!error) error = put(repair, walked->base, walked->data_end + index_size, bytes + index_size, sizeof footer);
    free(bytes);
    uint64_t end = walked->data_end + size;
    if (!error && !repair->how->dry_run && !repair->probing && repair->size > end)
        error = cut_behind(repair, walked->base, end);
    if (!error) tell(repair, YD_MENDED, walked->data_end, end, bound, bound, "the index, made of the frames");
    return error;
}

/* ---- segments ---- */

/* A whole file that is not there. */
static int bring_segment(struct repair *repair, uint64_t base, uint64_t bound, const char *path)
{
    struct wanted_head wanted = {.base = base, .bound = bound};
    struct yd_file *other = other_segment(repair, base, segment_fits, &wanted);
    struct yd_stat now;
    char kept[YD__PATH_SIZE + 8];
    int error = other ? 0 : YD_ENOENT;
    if (!error) error = yd_file_stat(other, &now);
    if (!error && !repair->how->dry_run) {
        (void)snprintf(kept, sizeof kept, "%s.tmp", path);
        error = yd__copy_range(repair->fs, other, 0, now.size, kept, NULL);
        if (!error) error = yd_fs_rename(repair->fs, kept, path);
        if (!error) error = yd_fs_sync_dir(repair->fs, repair->how->dir);
    }
    if (!error) tell(repair, YD_MENDED, 0, now.size, base, bound, "the whole file, from another copy");
    free(wanted.head);
    yd_file_close(other);
    return error;
}

/* Walks the open file and mends what it can. */
static int mend_open(struct repair *repair, uint64_t base, uint64_t next, bool last)
{
    struct yd_stat now;
    struct yd__segment *walked = yd__segment_create(base);
    int error = walked ? yd_file_stat(repair->at, &now) : YD_ENOMEM;
    uint64_t start = 0;
    repair->whole = true;
    if (!error) {
        repair->size = now.size;
        yd__window_init(&repair->window, repair->at, REPAIR_STEP);
        error = mend_head(repair, base, &start);
        walked->head_good = repair->chain_known;
        walked->prev_crc = repair->chain;
        walked->data_end = start;
        if (!error) error = walk_frames(repair, walked, start, YD_MIN(next, repair->end), last);
        if (!error && !last && !repair->report->live) error = mend_footer(repair, walked, next);
        yd__window_fini(&repair->window);
    }
    yd__segment_unref(walked);
    return error;
}

/* A twin that is damaged goes to quarantine/, once the segment itself is whole: a daemon makes it anew. A rename from
 * one folder to another is durable with both. */
static int check_twin(struct repair *repair, const char *path, bool damaged)
{
    struct yd__twin_about about;
    struct yd_file *twin;
    struct yd_stat now;
    int error = yd__twin_open(repair->fs, path, &about, &twin);
    if (error == YD_ENOENT) return 0;
    if (error && error != YD_ECORRUPT) return error;
    char *block = error ? NULL : malloc(REPAIR_STEP);
    damaged = damaged || error != 0 || about.damaged;
    if (!error && !block) error = YD_ENOMEM;
    for (uint64_t at = 0; !error && !damaged;) {
        size_t have = 0;
        damaged = yd_file_read(twin, block, REPAIR_STEP, at, &have) != 0;
        if (have == 0) break;
        at += have;
    }
    free(block);
    if (error == 0) yd_file_close(twin);
    if (!damaged) return error == YD_ECORRUPT ? 0 : error;
    error = yd_fs_stat(repair->fs, path, &now);
    const char *name = strrchr(path, '/') + 1;
    (void)snprintf(repair->file, sizeof repair->file, "%.60s", name);
    if (repair->report->live || !repair->whole) {
        if (repair->report->live)
            tell(repair, YD_LATER, 0, now.size, 0, 0, "the compressed twin: stop the daemon, then run this again");
        return error;
    }
    char kept[YD__PATH_SIZE + 160];
    for (unsigned number = 1; !error && !repair->how->dry_run && number < 1000; number++) {
        struct yd_stat there;
        (void)snprintf(kept, sizeof kept, "%s/quarantine", repair->how->dir);
        error = yd_fs_make_dirs(repair->fs, kept); /* syncs our folder, too: the segment made of the twin lasts */
        (void)snprintf(kept, sizeof kept, "%s/quarantine/%.60s-replaced-%u", repair->how->dir, name, number);
        if (error || yd_fs_stat(repair->fs, kept, &there) != YD_ENOENT) continue;
        error = yd_fs_rename(repair->fs, path, kept);
        (void)snprintf(kept, sizeof kept, "%s/quarantine", repair->how->dir);
        if (!error) error = yd_fs_sync_dir(repair->fs, kept);
        if (!error) error = yd_fs_sync_dir(repair->fs, repair->how->dir);
        break;
    }
    if (!error)
        tell(repair, YD_MENDED, 0, now.size, 0, 0, "the compressed twin: in quarantine/; a daemon makes it anew");
    return error;
}

/* All there is of the segment is its twin. When that is damaged, the segment is made of what it still gives. */
static int unpack(struct repair *repair, uint64_t base, uint64_t next, bool last, const char *path, const char *twin,
                  bool *ret_unpacked)
{
    char made[YD__PATH_SIZE + 8];
    struct yd__twin_about about;
    struct yd_stat now;
    struct yd_log_repair_report before = *repair->report;
    uint32_t chain = repair->chain;
    bool known = repair->chain_known;
    *ret_unpacked = false;
    int error = yd__twin_open(repair->fs, twin, &about, &repair->at);
    if (error) return error == YD_ECORRUPT ? YD_ENOENT : error;
    repair->probing = !repair->how->dry_run;
    error = mend_open(repair, base, next, last);
    bool damaged = repair->report->mended != before.mended || repair->report->lost != before.lost ||
                   repair->report->later != before.later || about.damaged;
    if (repair->probing) *repair->report = before;
    repair->probing = false;
    if (error == YD_EIO) damaged = true, error = 0; /* a block of the twin is damaged */
    if (damaged && repair->how->dry_run && repair->report->mended == before.mended)
        tell(repair, YD_LATER, 0, 0, base, next,
             "damaged inside its compressed twin: only trying it shows what can be mended");
    if (!error && damaged && before.live && !repair->how->dry_run) {
        tell(repair, YD_LATER, 0, 0, base, next,
             "damaged inside its compressed twin: stop the daemon, then run this again");
    } else if (!error && damaged && !repair->how->dry_run) {
        error = yd_file_stat(repair->at, &now);
        (void)snprintf(made, sizeof made, "%s.tmp", path);
        if (!error) error = yd__copy_range(repair->fs, repair->at, 0, now.size, made, NULL);
        if (!error) error = yd_fs_rename(repair->fs, made, path); /* lasts before the twin goes: check_twin */
        *ret_unpacked = error == 0;
        repair->chain = chain;
        repair->chain_known = known;
    }
    yd_file_close(repair->at);
    repair->at = NULL;
    return error;
}

static int repair_segment(struct repair *repair, uint64_t base, uint64_t next, bool last)
{
    char path[YD__PATH_SIZE], twin[YD__PATH_SIZE];
    struct yd__twin_about about;
    bool unpacked = false;
    (void)snprintf(repair->file, sizeof repair->file, "%020" PRIu64 ".ylog", base);
    yd__segment_path(path, sizeof path, repair->how->dir, base, ".ylog");
    yd__segment_path(twin, sizeof twin, repair->how->dir, base, ".yzst");
    unsigned flags = repair->how->dry_run ? YD_OPEN_READ : YD_OPEN_READ | YD_OPEN_WRITE;
    int error = yd_fs_open(repair->fs, path, flags, &repair->at);
    uint64_t bound = YD_MIN(next, repair->end);
    if (error == YD_ENOENT) {
        error = unpack(repair, base, next, last, path, twin, &unpacked);
        if (error == 0 && !unpacked) {
            repair->report->segments++;
            return 0;
        }
        if (error == 0) error = yd_fs_open(repair->fs, path, flags, &repair->at);
    }
    if (error == YD_ENOENT) {
        bool known = repair->chain_known;
        repair->chain_known = false;                                /* of what comes behind it */
        if (repair->report->live && base < repair->first) return 0; /* retention was sooner */
        if (repair->report->live) {
            tell(repair, YD_LATER, 0, 0, base, bound, "a whole file is missing: stop the daemon, then run this again");
            return 0;
        }
        repair->chain_known = known;
        error = bring_segment(repair, base, bound, path);
        if (error || repair->how->dry_run) repair->chain_known = false;
        if (error == YD_ENOENT) {
            tell(repair, YD_LOST, 0, 0, base, bound == UINT64_MAX ? base : bound, "the whole file: no copy has it");
            return 0;
        }
        if (error || repair->how->dry_run) return error;
        error = yd_fs_open(repair->fs, path, flags, &repair->at);
    }
    if (error) return error;
    repair->report->segments++;
    if (!unpacked && yd__twin_open(repair->fs, twin, &about, &repair->twin) == 0)
        yd__window_init(&repair->beside, repair->twin, REPAIR_STEP);
    error = mend_open(repair, base, next, last);
    if (repair->twin) yd__window_fini(&repair->beside);
    yd_file_close(repair->twin);
    repair->twin = NULL;
    yd_file_close(repair->at);
    repair->at = NULL;
    return error ? error : check_twin(repair, twin, unpacked);
}

/* ---- cursors ---- */

static int visit_cursor(void *arg, const char *name, enum yd_file_type node)
{
    struct repair *repair = arg;
    struct yd__cursor_file cursor;
    char path[YD__PATH_SIZE + 300], quarantined[300];
    if (node != YD_NODE_FILE || strchr(name, '.')) return 0;
    int error = yd__cursor_read(repair->fs, repair->how->dir, name, &cursor);
    if (error != YD_ECORRUPT) return error == YD_ENOENT || error == YD_EVERSION ? 0 : error;
    (void)snprintf(repair->file, sizeof repair->file, "cursors/%.50s", name);
    if (!repair->how->from_dir || yd__cursor_read(repair->fs, repair->how->from_dir, name, &cursor) != 0 ||
        cursor.log_id != repair->log_id) {
        tell(repair, YD_LATER, 0, sizeof cursor, 0, 0,
             "a damaged cursor: remove the file to begin where its reader says `from`");
        return 0;
    }
    error = 0;
    if (!repair->how->dry_run) {
        struct yd_file *file;
        struct yd_stat now;
        (void)snprintf(path, sizeof path, "%s/cursors/%s", repair->how->dir, name);
        (void)snprintf(quarantined, sizeof quarantined, "cursor-%s", name);
        error = yd_fs_open(repair->fs, path, YD_OPEN_READ, &file);
        if (error) return error;
        error = yd_file_stat(file, &now);
        if (!error) error = keep_old(repair, quarantined, file, 0, now.size);
        yd_file_close(file);
        if (!error) error = yd_fs_replace(repair->fs, path, &cursor, sizeof cursor);
    }
    if (!error) tell(repair, YD_MENDED, 0, sizeof cursor, 0, 0, "the cursor as the other copy has it");
    return error;
}

/* ---- the whole ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* How far one of our segments goes, below `bound`: as its footer says, or else its frames, damage between them or not.
 */
static int goes_to(struct repair *repair, uint64_t base, uint64_t bound, uint64_t *ret_end)
{
    struct yd_file *file;
    struct yd__footer footer;
    struct yd__window window;
    struct yd_header header;
    struct yd_stat now;
    uint64_t at = YD__SEGMENT_ALIGN;
    *ret_end = base;
    int error = yd__segment_open(repair->fs, repair->how->dir, base, &file);
    if (error) return error == YD_ENOENT || error == YD_ECORRUPT ? 0 : error;
    if (yd__footer_read(file, repair->log_id, &footer, NULL) == 0) {
        *ret_end = YD_MIN(footer.next_seqno, bound);
        yd_file_close(file);
        return 0;
    }
    yd__window_init(&window, file, REPAIR_STEP);
    error = yd_file_stat(file, &now);
    while (!error && !(error = yd__frame_resync(&window, at, now.size, repair->log_id, base, bound, &at, &header))) {
        *ret_end = YD_MAX(*ret_end, header.base_seqno + header.count);
        at += header.size;
    }
    yd__window_fini(&window);
    yd_file_close(file);
    return error == YD_ENOENT || error == YD_EIO ? 0 : error;
}

/* Does theirs begin inside one of ours? It is no edge of our stream then: a leader of the past may have sealed there.
 */
static int is_inside(struct repair *repair, const uint64_t *ours, uint32_t count, uint64_t theirs, bool *ret_inside)
{
    uint32_t i = count;
    uint64_t end;
    *ret_inside = false;
    while (i > 0 && ours[i - 1] > theirs) i--;
    if (i == 0 || ours[i - 1] == theirs) return 0;
    int error = goes_to(repair, ours[i - 1], i < count ? ours[i] : UINT64_MAX, &end);
    *ret_inside = theirs < end;
    return error;
}

/* The segments that should be there: ours, and those the other copy has in between. */
static int list_both(struct repair *repair, uint64_t **ret_bases, uint32_t *ret_count)
{
    uint64_t *ours, *theirs = NULL;
    uint32_t count, more = 0;
    int error = yd__list_segments(repair->fs, repair->how->dir, &ours, &count);
    if (error) return error;
    if (repair->how->from_dir) error = yd__list_segments(repair->fs, repair->how->from_dir, &theirs, &more);
    uint64_t *all = error ? NULL : malloc(((size_t)count + more + 1) * sizeof *all);
    if (!error && !all) error = YD_ENOMEM;
    uint32_t total = 0;
    for (uint32_t i = 0; i < count && !error; i++) all[total++] = ours[i];
    for (uint32_t i = 0; i < more && !error; i++) {
        if (theirs[i] < repair->first || theirs[i] >= YD_MIN(repair->end, repair->checked)) continue;
        bool inside;
        error = is_inside(repair, ours, count, theirs[i], &inside);
        if (!inside) all[total++] = theirs[i];
    }
    if (!error && total) qsort(all, total, sizeof *all, compare_u64);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < total; i++)
        if (kept == 0 || all[kept - 1] != all[i]) all[kept++] = all[i];
    free(ours);
    free(theirs);
    if (error) {
        free(all);
        return error;
    }
    *ret_bases = all;
    *ret_count = kept;
    return 0;
}

/* Takes the log's lock, or finds that somebody has it, and reads how far the stream goes. */
static int look(struct repair *repair, struct yd_file **ret_lock, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE];
    struct yd__control control = {0};
    struct yd__checkpoint checkpoint;
    size_t have = 0;
    bool sure;
    (void)snprintf(path, sizeof path, "%s/control", repair->how->dir);
    (void)snprintf(repair->file, sizeof repair->file, "control");
    repair->end = UINT64_MAX;
    repair->live_segment = UINT64_MAX;
    struct yd_file *file = NULL;
    int error = yd_fs_open(repair->fs, path, YD_OPEN_READ | YD_OPEN_WRITE, &file);
    if (!error) error = yd_file_lock(file);
    if (error == YD_ELOCKED) repair->report->live = true, error = 0;
    if (!error) error = yd_file_read(file, &control, sizeof control, 0, &have);
    if (error && error != YD_ENOENT) {
        yd_file_close(file);
        return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    }
    *ret_lock = file;
    if (have == sizeof control && yd__control_latest(&control, &checkpoint, &sure) == 0) {
        repair->log_id = checkpoint.log_id;
        repair->first = checkpoint.first_seqno;
        repair->checked = checkpoint.durable_seqno;
        repair->checked_crc = checkpoint.last_crc;
        repair->checked_known = checkpoint.segment != YD__NO_SEGMENT;
        if (control.state == YD__STATE_CLOSED) repair->end = checkpoint.durable_seqno;
        if (repair->report->live) {
            repair->live_segment = control.segment;
            repair->first = control.first_seqno;
        }
        return 0;
    }
    if (repair->report->live)
        return yd_trail_add(trail, YD_ECORRUPT, "%s is damaged while it is in use: stop the daemon first", path);
    /* Without a control page: what the heads say. */
    uint64_t *bases;
    uint32_t count;
    error = yd__list_segments(repair->fs, repair->how->dir, &bases, &count);
    if (error) return yd_trail_add(trail, error, "%s: %s", repair->how->dir, yd_error_text(error));
    for (uint32_t i = 0; i < count; i++) {
        struct yd__segment_head *head;
        struct yd_file *segment;
        yd__segment_path(path, sizeof path, repair->how->dir, bases[i], ".ylog");
        if (yd_fs_open(repair->fs, path, YD_OPEN_READ, &segment)) continue;
        if (yd__head_read(segment, &head) == 0) {
            repair->log_id = head->log_id;
            free(head);
        }
        yd_file_close(segment);
    }
    repair->first = repair->checked = count ? bases[0] : 0;
    if (count) repair->checked = bases[count - 1];
    free(bases);
    if (!repair->log_id)
        return yd_trail_add(trail, YD_ECORRUPT, "%s: neither a control page nor a segment's head can be read",
                            repair->how->dir);
    tell(repair, YD_LATER, 0, sizeof control, 0, 0, "the control page: opening the stream makes it anew");
    return 0;
}

int yd_log_repair_dir(const struct yd_log_repair *how, struct yd_log_repair_report *ret, struct yd_trail *trail)
{
    struct yd_log_repair_report report = {0};
    struct repair repair = {
        .how = how, .report = &report, .fs = how->fs ? how->fs : yd_fs_linux(), .reader_seqno = UINT64_MAX};
    struct yd_file *lock = NULL;
    uint64_t *bases = NULL;
    uint32_t count = 0;
    if (strlen(how->dir) + 64 > YD__PATH_SIZE || (how->from_dir && strlen(how->from_dir) + 64 > YD__PATH_SIZE))
        return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    int error = look(&repair, &lock, trail);
    if (error) {
        yd_file_close(lock);
        return error;
    }
    error = list_both(&repair, &bases, &count);
    for (uint32_t i = 0; i < count && !error; i++) {
        if (report.live && bases[i] >= repair.live_segment) break;
        error = repair_segment(&repair, bases[i], i + 1 < count ? bases[i + 1] : UINT64_MAX, i + 1 == count);
    }
    char path[YD__PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/cursors", how->dir);
    int listed = error ? 0 : yd_fs_list(repair.fs, path, visit_cursor, &repair);
    if (listed != YD_ENOENT && !error) error = listed;
    free(bases);
    yd_log_reader_close(repair.reader);
    yd_file_close(lock);
    if (ret) *ret = report;
    if (error) return yd_trail_add(trail, error, "repairing %s: %s: %s", how->dir, repair.file, yd_error_text(error));
    return report.lost || report.later ? YD_ECORRUPT : 0;
}
