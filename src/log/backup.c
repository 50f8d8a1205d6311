/* log/backup.c: a copy of a stream's folder with a fixed end, and back.
 *
 *   STREAM'S FOLDER                        BACKUP
 *   cursors ──── read first ─────────────▶ manifest.json   files with size and CRC32C, cursors, where it ends
 *   durable position: the end              0…0.ylog        whole, when sealed
 *   sealed segments, whole ──────────────▶ 0…7.ylog        the last one: up to the end
 *   the active one, up to the end ───────▶
 *
 * Consistent while it is written: cursors are read before the end is taken, so none is ahead of it, and files only
 * grow. The manifest comes last and is replaced whole; the files that it names only ever grow, so a backup that is
 * killed leaves the one before, good. Copies are copies, never links: one bit that flips must not hurt both.
 * Restoring makes TO.restoring, checks every byte, and renames. The control page is made anew, as after a crash: the
 * first opening raises the epoch, so that readers that saw more than the backup has are moved back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"
#include "log/mend.h"

#define COPY_STEP     ((size_t)1 << 20)
#define MANIFEST_MAX  ((size_t)256 << 20)
#define MANIFEST_NAME "manifest.json"

static int copy_range(struct yd_fs *fs, struct yd_file *file, uint64_t from, uint64_t to, const char *path,
                      uint32_t *ret_crc, bool holes)
{
    char part[YD__PATH_SIZE + 256];
    struct yd_file *copy;
    (void)snprintf(part, sizeof part, "%s.part", path);
    int error = yd_fs_open(fs, part, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &copy);
    if (error) return error;
    struct yd__window window;
    yd__window_init(&window, file, COPY_STEP);
    uint32_t crc = 0;
    for (uint64_t at = from; at < to && !error;) {
        /* Windows begin at multiples of 64; what is copied need not. */
        uint64_t aligned = at & ~(uint64_t)(YD_BATCH_ALIGN - 1);
        const char *bytes;
        size_t have, skip = (size_t)(at - aligned);
        error = yd__window_get(&window, aligned, (size_t)YD_MIN(to - aligned, (uint64_t)COPY_STEP), &bytes, &have);
        if (!error && have <= skip) error = YD_EEOF;
        if (error == YD_EIO && holes) { /* zeros, which no frame is */
            at = YD_MIN(aligned + COPY_STEP, to);
            error = yd_file_truncate(copy, at - from);
            continue;
        }
        if (error) break;
        size_t size = (size_t)YD_MIN(have - skip, to - at);
        crc = yd_crc32c(crc, bytes + skip, size);
        error = yd_file_write(copy, bytes + skip, size, at - from);
        at += size;
    }
    yd__window_fini(&window);
    if (!error) error = yd_file_sync(copy);
    yd_file_close(copy);
    if (!error) error = yd_fs_rename(fs, part, path);
    if (ret_crc) *ret_crc = crc;
    return error;
}

int yd__copy_range(struct yd_fs *fs, struct yd_file *file, uint64_t from, uint64_t to, const char *path,
                   uint32_t *ret_crc)
{
    int error = copy_range(fs, file, from, to, path, ret_crc, ret_crc == NULL);
    char *parent = error ? NULL : yd_fs_parent(path);
    if (!error) error = parent ? yd_fs_sync_dir(fs, parent) : YD_ENOMEM;
    free(parent);
    return error;
}

/* ---- the manifest ---- */

struct entry {
    uint64_t base, size, next; /* next: behind its last record */
    uint32_t crc, seal;        /* seal: of its footer, which covers every byte of every batch; 0: not sealed */
};
struct manifest {
    struct yd__checkpoint checkpoint; /* how the control page will be */
    char stream[YD__STREAM_NAME_SIZE];
    struct entry *entries;
    uint32_t count;
    struct yd__cursor_known *cursors;
    uint32_t cursor_count;
};

static void manifest_fini(struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->cursor_count; i++) free(manifest->cursors[i].name);
    free(manifest->cursors);
    free(manifest->entries);
}

static int add_entry(struct manifest *manifest, const struct entry *entry)
{
    struct entry *all = realloc(manifest->entries, (manifest->count + (size_t)1) * sizeof *all);
    if (!all) return YD_ENOMEM;
    manifest->entries = all;
    all[manifest->count++] = *entry;
    return 0;
}

static int add_cursor(void *arg, const char *name, const struct yd_cursor *cursor)
{
    struct manifest *manifest = arg;
    struct yd__cursor_known *all = realloc(manifest->cursors, (manifest->cursor_count + (size_t)1) * sizeof *all);
    if (!all) return YD_ENOMEM;
    manifest->cursors = all;
    all[manifest->cursor_count] = (struct yd__cursor_known){strdup(name), *cursor};
    if (!all[manifest->cursor_count].name) return YD_ENOMEM;
    manifest->cursor_count++;
    return 0;
}

/* One thing a line, so that reading it needs no JSON; its own checksum at the end. */
static int manifest_write(struct yd_fs *fs, const char *to, const struct manifest *manifest)
{
    const struct yd__checkpoint *at = &manifest->checkpoint;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_printf(&text,
                  "{\n\"format\": \"yarder backup 1\",\n\"stream\": \"%s\",\n\"log_id\": \"%016" PRIx64
                  "\",\n\"epoch\": %u,\n\"first\": %" PRIu64 ",\n\"next\": %" PRIu64 ",\n\"segment\": %" PRIu64
                  ",\n\"offset\": %" PRIu64 ",\n\"generation\": %" PRIu64
                  ",\n\"last_crc\": %u,\n\"headers_crc\": %u,\n\"epochs\": [",
                  manifest->stream, at->log_id, at->epoch, at->first_seqno, at->durable_seqno, at->segment, at->offset,
                  at->generation, at->last_crc, at->headers_crc);
    for (uint32_t i = 0; i < at->epoch_count; i++)
        yd_buf_printf(&text, "%s\n{\"start\": %" PRIu64 ", \"epoch\": %u}", i ? "," : "", at->epochs[i].start_seqno,
                      at->epochs[i].epoch);
    yd_buf_cstr(&text, "],\n\"files\": [");
    for (uint32_t i = 0; i < manifest->count; i++) {
        const struct entry *entry = &manifest->entries[i];
        yd_buf_printf(&text,
                      "%s\n{\"name\": \"%020" PRIu64 ".ylog\", \"size\": %" PRIu64 ", \"next\": %" PRIu64
                      ", \"crc32c\": %u, \"seal\": %u}",
                      i ? "," : "", entry->base, entry->size, entry->next, entry->crc, entry->seal);
    }
    yd_buf_cstr(&text, "],\n\"cursors\": [");
    for (uint32_t i = 0; i < manifest->cursor_count; i++) {
        const struct yd__cursor_known *known = &manifest->cursors[i];
        yd_buf_printf(&text, "%s\n{\"seqno\": %" PRIu64 ", \"epoch\": %u, \"saved_at\": %" PRId64 ", \"name\": \"%s\"}",
                      i ? "," : "", known->cursor.seqno, known->cursor.epoch, known->cursor.saved_at, known->name);
    }
    yd_buf_cstr(&text, "],\n");
    yd_buf_printf(&text, "\"crc32c\": %u\n}\n", yd_crc32c(0, text.data, text.size));
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/" MANIFEST_NAME, to);
    int error = text.failed ? YD_ENOMEM : yd_fs_replace(fs, path, text.data, text.size);
    yd_buf_fini(&text);
    return error;
}

static int parse_line(struct manifest *manifest, const char *line)
{
    struct yd__checkpoint *at = &manifest->checkpoint;
    struct entry entry;
    struct yd_cursor cursor;
    uint64_t start;
    uint32_t epoch;
    char name[256];
    if (sscanf(line, "\"stream\": \"%255[^\"]", manifest->stream) == 1) return 0;
    if (sscanf(line, "\"log_id\": \"%" SCNx64, &at->log_id) == 1) return 0;
    if (sscanf(line, "\"epoch\": %" SCNu32, &at->epoch) == 1) return 0;
    if (sscanf(line, "\"first\": %" SCNu64, &at->first_seqno) == 1) return 0;
    if (sscanf(line, "\"next\": %" SCNu64, &at->durable_seqno) == 1) return 0;
    if (sscanf(line, "\"segment\": %" SCNu64, &at->segment) == 1) return 0;
    if (sscanf(line, "\"offset\": %" SCNu64, &at->offset) == 1) return 0;
    if (sscanf(line, "\"generation\": %" SCNu64, &at->generation) == 1) return 0;
    if (sscanf(line, "\"last_crc\": %" SCNu32, &at->last_crc) == 1) return 0;
    if (sscanf(line, "\"headers_crc\": %" SCNu32, &at->headers_crc) == 1) return 0;
    if (sscanf(line, "{\"start\": %" SCNu64 ", \"epoch\": %" SCNu32, &start, &epoch) == 2) {
        if (at->epoch_count == YD__EPOCHS_MAX) return YD_EFORMAT;
        at->epochs[at->epoch_count++] = (struct yd__epoch_entry){.start_seqno = start, .epoch = epoch};
        return 0;
    }
    if (sscanf(line,
               "{\"name\": \"%" SCNu64 ".ylog\", \"size\": %" SCNu64 ", \"next\": %" SCNu64 ", \"crc32c\": %" SCNu32
               ", \"seal\": %" SCNu32,
               &entry.base, &entry.size, &entry.next, &entry.crc, &entry.seal) == 5)
        return add_entry(manifest, &entry);
    if (sscanf(line,
               "{\"seqno\": %" SCNu64 ", \"epoch\": %" SCNu32 ", \"saved_at\": %" SCNd64 ", \"name\": \"%255[^\"]",
               &cursor.seqno, &cursor.epoch, &cursor.saved_at, name) == 4)
        return strchr(name, '/') || name[0] == '.' ? YD_EFORMAT : add_cursor(manifest, name, &cursor);
    return 0;
}

static int manifest_read(struct yd_fs *fs, const char *from, struct manifest *ret)
{
    char path[YD__PATH_SIZE], *text;
    size_t size;
    (void)snprintf(path, sizeof path, "%s/" MANIFEST_NAME, from);
    int error = yd_fs_read_all(fs, path, MANIFEST_MAX, &text, &size);
    if (error) return error;
    struct manifest manifest = {.checkpoint = {.epoch = 0}};
    static const char mark[] = "\n\"crc32c\": ", first[] = "{\n\"format\": \"yarder backup 1\"";
    char *last = NULL;
    for (char *at = strstr(text, mark); at; at = strstr(at + 1, mark)) last = at;
    unsigned crc;
    if (strncmp(text, first, sizeof first - 1) != 0 || !last || sscanf(last + sizeof mark - 1, "%u", &crc) != 1 ||
        yd_crc32c(0, text, (size_t)(last + 1 - text)) != crc)
        error = YD_ECORRUPT;
    char *rest = text;
    for (char *line; !error && (line = strsep(&rest, "\n")) && line <= last;) error = parse_line(&manifest, line);
    free(text);
    if (error) {
        manifest_fini(&manifest);
        return error;
    }
    *ret = manifest;
    return 0;
}

/* ---- backup ---- */

struct backup {
    struct yd_fs *fs;
    const char *dir, *to;
    struct manifest before, now;
    struct yd_log_backup_report *report;
    uint64_t end;   /* records below are in it; UINT64_MAX: all good ones that chain */
    uint64_t known; /* so many at least */
};

/* How far the segment goes below the end: by its frames' headers. */
static int walk_to_end(struct backup *backup, struct yd_file *file, struct yd__segment *walked)
{
    struct yd__window window;
    yd__window_init(&window, file, 256 << 10);
    int error = 0;
    while (walked->next < backup->end && !error) {
        struct yd_header header;
        int found =
            yd__frame_at(&window, walked->data_end, backup->now.checkpoint.log_id, backup->end == UINT64_MAX, &header);
        if (found < 0) error = found;
        if (found != YD__FOUND_FRAME && walked->next < backup->known && !error) { /* damage: goes along as it is */
            uint64_t offset;
            struct yd_stat now;
            error = yd_file_stat(file, &now);
            if (!error)
                error =
                    yd__frame_resync(&window, walked->data_end + YD_BATCH_ALIGN, now.size,
                                     backup->now.checkpoint.log_id, walked->next + 1, backup->end, &offset, &header);
            if (!error) walked->data_end = offset;
            if (error == YD_ENOENT) error = YD_ECORRUPT;
            if (!error) found = YD__FOUND_FRAME;
        }
        if (error || found != YD__FOUND_FRAME || header.base_seqno < walked->next || header.base_seqno >= backup->end)
            break;
        struct yd__names names = yd__frame_names(&window, walked->data_end, &header);
        error = yd__segment_account(walked, &header, walked->data_end, &names);
        if (!error) yd__segment_digest(walked, &header);
    }
    yd__window_fini(&window);
    return error;
}

static bool have_already(const struct backup *backup, const struct entry *entry, uint32_t *ret_crc)
{
    char path[YD__PATH_SIZE];
    struct yd_stat now;
    if (backup->before.checkpoint.log_id != backup->now.checkpoint.log_id || !entry->seal) return false;
    for (uint32_t i = 0; i < backup->before.count; i++) {
        const struct entry *old = &backup->before.entries[i];
        if (old->base != entry->base || old->seal != entry->seal || old->size != entry->size) continue;
        yd__segment_path(path, sizeof path, backup->to, entry->base, ".ylog");
        *ret_crc = old->crc;
        return yd_fs_stat(backup->fs, path, &now) == 0 && now.size == old->size;
    }
    return false;
}

static int copy_segment(struct backup *backup, uint64_t base, uint64_t next)
{
    char path[YD__PATH_SIZE];
    struct yd_file *file;
    struct yd__segment_head *head = NULL;
    int error = yd__segment_open(backup->fs, backup->dir, base, &file); /* of a twin: the segment's own bytes */
    if (error == YD_ENOENT && backup->now.count == 0) return 0;         /* retention was sooner */
    if (error) return error;
    struct yd__segment *walked = yd__segment_create(base);
    struct yd_stat now = {.size = 0};
    error = walked ? yd_file_stat(file, &now) : YD_ENOMEM;
    struct yd__footer footer;
    int sealed = error ? error : yd__footer_read(file, backup->now.checkpoint.log_id, &footer, NULL);
    int headed = error ? error : yd__head_read(file, &head);
    if (!error && headed && headed != YD_ECORRUPT && headed != YD_EIO) error = headed;
    struct entry entry = {.base = base, .size = now.size, .next = next};
    if (!error && headed == 0) {
        (void)snprintf(backup->now.stream, sizeof backup->now.stream, "%s", head->stream);
        walked->data_end = walked->data_start = head->data_start;
        walked->prev_crc = walked->last_crc = head->prev_crc;
        walked->generation = head->generation;
    } else if (!error) {
        walked->data_end = YD__SEGMENT_ALIGN;
    }
    if (!error && sealed == 0 && footer.next_seqno <= backup->end) {
        entry.seal = footer.crc;
        entry.next = footer.next_seqno;
        yd__segment_from_footer(walked, &footer);
    } else if (!error) {
        error = walk_to_end(backup, file, walked);
        entry.next = walked->next;
        entry.size = walked->data_end;
    }
    bool worth = !error && (entry.next > base || backup->now.count == 0);
    if (worth && !have_already(backup, &entry, &entry.crc)) {
        yd__segment_path(path, sizeof path, backup->to, base, ".ylog");
        error = yd__copy_range(backup->fs, file, 0, entry.size, path, &entry.crc);
        backup->report->copied++;
        backup->report->copied_bytes += entry.size;
    }
    if (worth && !error) error = add_entry(&backup->now, &entry);
    if (worth && !error) {
        struct yd__checkpoint *at = &backup->now.checkpoint;
        at->durable_seqno = entry.next;
        at->segment = base;
        at->offset = walked->data_end;
        at->generation = walked->generation;
        at->last_crc = walked->last_crc;
        at->headers_crc = walked->headers_crc;
    }

    free(head);
    yd__segment_unref(walked);
    yd_file_close(file);
    return error;
}

/* Takes the cursors, then the end. */
static int fix_end(struct backup *backup, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE], *bytes = NULL;
    size_t size;
    int error = yd_log_cursor_list(backup->fs, backup->dir, add_cursor, &backup->now);
    if (error) return yd_trail_add(trail, error, "%s/cursors: %s", backup->dir, yd_error_text(error));
    (void)snprintf(path, sizeof path, "%s/control", backup->dir);
    error = yd_fs_read_all(backup->fs, path, YD__CONTROL_SIZE, &bytes, &size);
    struct yd__control control;
    bool sure;
    if (!error && size != sizeof control) error = YD_ECORRUPT;
    if (!error) {
        memcpy(&control, bytes, sizeof control);
        error = yd__control_latest(&control, &backup->now.checkpoint, &sure) ? YD_ECORRUPT : 0;
    }
    free(bytes);
    if (error == YD_ECORRUPT)
        return yd_trail_add(trail, error, "%s holds no good checkpoint: `yarder run` once makes it anew", path);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    bool live = yd__writer_alive(&control), closed = control.state == YD__STATE_CLOSED;
    backup->known = live ? control.durable_seqno : backup->now.checkpoint.durable_seqno;
    backup->end = live || closed ? backup->known : UINT64_MAX;
    return 0;
}

/* What the backup has of before, and retention has taken from the stream since: it stays part of the backup. */
static int keep_older(struct backup *backup)
{
    uint64_t first = backup->now.count ? backup->now.entries[0].base : UINT64_MAX;
    if (backup->before.checkpoint.log_id != backup->now.checkpoint.log_id || backup->now.count == 0) return 0;
    uint32_t keep = 0;
    while (keep < backup->before.count && backup->before.entries[keep].base < first) keep++;
    if (keep == 0 || backup->before.entries[keep - 1].next != first) return 0; /* a hole between: of no use */
    struct entry *all = malloc((keep + (size_t)backup->now.count) * sizeof *all);
    if (!all) return YD_ENOMEM;
    memcpy(all, backup->before.entries, keep * sizeof *all);
    memcpy(all + keep, backup->now.entries, backup->now.count * sizeof *all);
    free(backup->now.entries);
    backup->now.entries = all;
    backup->now.count += keep;
    return 0;
}

int yd_log_backup_dir(struct yd_fs *fs, const char *dir, const char *to, struct yd_log_backup_report *ret,
                      struct yd_trail *trail)
{
    struct yd_log_backup_report report = {0};
    struct backup backup = {.fs = fs ? fs : yd_fs_linux(), .dir = dir, .to = to, .report = &report};
    if (strlen(dir) + 64 > YD__PATH_SIZE || strlen(to) + 64 > YD__PATH_SIZE)
        return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    int error = fix_end(&backup, trail);
    if (error) {
        manifest_fini(&backup.now);
        return error;
    }
    error = manifest_read(backup.fs, to, &backup.before);
    if (error == YD_ENOENT || error == YD_ECORRUPT) error = 0; /* then everything is copied */
    if (!error && backup.before.count && backup.before.checkpoint.log_id != backup.now.checkpoint.log_id)
        error = yd_trail_add(trail, YD_EEXIST, "%s holds a backup of another stream", to);
    if (!error) error = yd_fs_make_dirs(backup.fs, to);
    uint64_t *bases = NULL;
    uint32_t count = 0;
    if (!error) error = yd__list_segments(backup.fs, dir, &bases, &count);
    for (uint32_t i = 0; i < count && !error && bases[i] < backup.end; i++)
        error = copy_segment(&backup, bases[i], i + 1 < count ? bases[i + 1] : UINT64_MAX);
    struct yd__checkpoint *at = &backup.now.checkpoint;
    if (!error && backup.now.count == 0) at->segment = YD__NO_SEGMENT;
    if (!error) error = keep_older(&backup);
    if (!error) at->first_seqno = backup.now.count ? backup.now.entries[0].base : at->durable_seqno;
    if (!error && at->durable_seqno < backup.known)
        error = yd_trail_add(trail, YD_ECORRUPT,
                             "records %" PRIu64 " to %" PRIu64 " are not there: `yarder log repair` first",
                             at->durable_seqno, backup.known - 1);
    /* Not for restoring: so that the backup can be read, and repaired from, like any copy of a folder. */
    if (!error) error = yd__control_make(backup.fs, to, at);
    if (!error) error = manifest_write(backup.fs, to, &backup.now);
    report.first = at->first_seqno;
    report.next = at->durable_seqno;
    report.files = backup.now.count;
    free(bases);
    manifest_fini(&backup.before);
    manifest_fini(&backup.now);
    if (error) return yd_trail_add(trail, error, "backing up %s to %s: %s", dir, to, yd_error_text(error));
    if (ret) *ret = report;
    return 0;
}

/* ---- restore ---- */

static int restore_files(struct yd_fs *fs, const char *from, const char *to, const struct manifest *manifest,
                         struct yd_log_backup_report *report, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE + 256];
    for (uint32_t i = 0; i < manifest->count; i++) {
        const struct entry *entry = &manifest->entries[i];
        struct yd_file *file;
        uint32_t crc = 0;
        yd__segment_path(path, YD__PATH_SIZE, from, entry->base, ".ylog");
        int error = yd_fs_open(fs, path, YD_OPEN_READ, &file);
        if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
        yd__segment_path(path, YD__PATH_SIZE, to, entry->base, ".ylog");
        error = yd__copy_range(fs, file, 0, entry->size, path, &crc);
        yd_file_close(file);
        if (!error && crc != entry->crc) error = YD_ECORRUPT;
        if (error == YD_EEOF) error = YD_ECORRUPT;
        if (error)
            return yd_trail_add(trail, error, "%s/%020" PRIu64 ".ylog: %s", from, entry->base, yd_error_text(error));
        report->copied++;
        report->copied_bytes += entry->size;
    }
    for (uint32_t i = 0; i < manifest->cursor_count; i++) {
        const struct yd__cursor_known *known = &manifest->cursors[i];
        struct yd__cursor_file cursor = {.magic = YD__CURSOR_MAGIC,
                                         .version = YD__CURSOR_VERSION,
                                         .epoch = known->cursor.epoch,
                                         .seqno = known->cursor.seqno,
                                         .log_id = manifest->checkpoint.log_id,
                                         .saved_at = known->cursor.saved_at};
        cursor.crc = yd__cursor_crc(&cursor);
        (void)snprintf(path, sizeof path, "%s/cursors", to);
        int error = yd_fs_make_dirs(fs, path);
        (void)snprintf(path, sizeof path, "%s/cursors/%s", to, known->name);
        if (!error) error = yd_fs_replace(fs, path, &cursor, sizeof cursor);
        if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    }
    int error = yd__control_make(fs, to, &manifest->checkpoint);
    return error ? yd_trail_add(trail, error, "%s: %s", to, yd_error_text(error)) : 0;
}

static int remove_visit(void *arg, const char *name, enum yd_file_type node)
{
    struct backup *at = arg;
    char path[YD__PATH_SIZE + 512];
    if (node == YD_NODE_DIR) return 0;
    (void)snprintf(path, sizeof path, "%s/%s", at->dir, name);
    return yd_fs_unlink(at->fs, path);
}

/* What a restore that was killed left. */
static void remove_rest(struct yd_fs *fs, const char *dir)
{
    char cursors[YD__PATH_SIZE + 64];
    struct backup at = {.fs = fs, .dir = cursors};
    (void)snprintf(cursors, sizeof cursors, "%s/cursors", dir);
    (void)yd_fs_list(fs, cursors, remove_visit, &at);
    (void)yd_fs_rmdir(fs, cursors);
    at.dir = dir;
    (void)yd_fs_list(fs, dir, remove_visit, &at);
    (void)yd_fs_rmdir(fs, dir);
}

int yd_log_restore_dir(struct yd_fs *fs, const char *from, const char *to, struct yd_log_backup_report *ret,
                       struct yd_trail *trail)
{
    if (!fs) fs = yd_fs_linux();
    if (strlen(from) + 64 > YD__PATH_SIZE || strlen(to) + 64 > YD__PATH_SIZE)
        return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    struct yd_stat now;
    if (yd_fs_stat(fs, to, &now) != YD_ENOENT)
        return yd_trail_add(trail, YD_EEXIST, "%s is there already: move it away first", to);
    struct manifest manifest = {.count = 0};
    int error = manifest_read(fs, from, &manifest);
    if (error) return yd_trail_add(trail, error, "%s/" MANIFEST_NAME ": %s", from, yd_error_text(error));
    char work[YD__PATH_SIZE + 16];
    struct yd_log_backup_report report = {
        .first = manifest.checkpoint.first_seqno, .next = manifest.checkpoint.durable_seqno, .files = manifest.count};
    (void)snprintf(work, sizeof work, "%s.restoring", to);
    remove_rest(fs, work);
    error = yd_fs_make_dirs(fs, work);
    if (error) error = yd_trail_add(trail, error, "%s: %s", work, yd_error_text(error));
    if (!error) error = restore_files(fs, from, work, &manifest, &report, trail);
    /* Its names are durable: the control page came last, with its sync. */
    if (!error) error = yd_fs_rename(fs, work, to);
    char *parent = error ? NULL : yd_fs_parent(to);
    if (!error) error = parent ? yd_fs_sync_dir(fs, parent) : YD_ENOMEM;
    free(parent);
    manifest_fini(&manifest);
    if (!error && ret) *ret = report;
    return error;
}
