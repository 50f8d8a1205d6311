/* log/keys_make.c: making the name index of a sealed segment, behind the writer.
 *
 *   walk 1: every frame checked ─▶ the names, how many bytes each one's list takes
 *   sorted ─▶ for as many names as fit 16 MiB of lists: walk again, fill, put ─▶ … ─▶ table, heap, head
 *   BASE.ykey.tmp ─▶ BASE.ykey
 *
 * Memory is bounded by the names (keys_format.h) and one slice of lists, whatever the segment's size. Synced before it
 * has its name, so that no crash leaves half of one. What fails here costs time of later reads, never data; it is not
 * tried again before the next opening. */
#include <stdlib.h>
#include <string.h>

#include "log/keys.h"

#define SLICE     ((size_t)16 << 20)
#define WALK_STEP ((size_t)256 << 10)

struct name {
    uint64_t last;  /* the seqno before */
    uint64_t bytes; /* its list takes */
    uint64_t to;    /* in the slice; UINT64_MAX: not of this one */
    uint32_t count;
};

struct maker {
    struct yd__keys_make *make;
    struct yd_intern intern;
    struct name *names; /* by id */
    uint32_t capacity;
    uint64_t heap_size;
    uint32_t *ids; /* of the batch's names, YD_INTERN_NONE: not looked up */
    uint32_t id_room;
    uint32_t *order; /* ids, sorted by name */
    struct yd__keys_entry *table;
    unsigned char *slice; /* NULL: the first walk */
};

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 128; value >>= 7) size++;
    return size;
}

static size_t put_varint(unsigned char *to, uint64_t value)
{
    size_t size = 0;
    for (; value >= 128; value >>= 7) to[size++] = (unsigned char)(value | 128);
    to[size++] = (unsigned char)value;
    return size;
}

static int id_of(struct maker *maker, const struct yd_view *view, uint32_t name, uint32_t *ret_id)
{
    struct yd_str text = yd_view_name(view, name);
    int added = yd_intern_add_hashed(&maker->intern, text, view->names[name].hash, ret_id);
    if (added < 0) return added == YD_EFULL ? YD_ETOOBIG : added;
    if (added == 0) return 0;
    if (maker->slice) return YD_ECORRUPT; /* what was read before is not what is read now */
    maker->heap_size += text.size;
    if (maker->heap_size > YD__KEYS_HEAP_MAX) return YD_ETOOBIG;
    if (*ret_id == maker->capacity) {
        uint32_t capacity = maker->capacity ? maker->capacity * 2 : 256;
        struct name *names = realloc(maker->names, capacity * sizeof *names);
        if (!names) return YD_ENOMEM;
        maker->names = names;
        maker->capacity = capacity;
    }
    maker->names[*ret_id] = (struct name){.last = maker->make->footer->base_seqno};
    return 0;
}

static int take_batch(struct maker *maker, const struct yd_view *view, uint64_t seqno)
{
    if (view->name_count > maker->id_room) {
        uint32_t *ids = realloc(maker->ids, view->name_count * sizeof *ids);
        if (!ids) return YD_ENOMEM;
        maker->ids = ids;
        maker->id_room = view->name_count;
    }
    memset(maker->ids, 0xff, view->name_count * sizeof *maker->ids); /* YD_INTERN_NONE */
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t *id = &maker->ids[view->records[i].name];
        int error = *id == YD_INTERN_NONE ? id_of(maker, view, view->records[i].name, id) : 0;
        if (error) return error;
        struct name *name = &maker->names[*id];
        uint64_t delta = seqno + i - name->last;
        name->last = seqno + i;
        if (!maker->slice) {
            name->bytes += varint_size(delta);
            name->count++;
        } else if (name->to != UINT64_MAX) {
            name->to += put_varint(maker->slice + name->to, delta);
        }
    }
    return 0;
}

static int walk(struct maker *maker)
{
    const struct yd__keys_make *make = maker->make;
    const struct yd__footer *footer = make->footer;
    struct yd__segment_head *head;
    int error = yd__head_read(make->file, &head);
    if (error) return error;
    struct yd__window window;
    uint64_t offset = head->data_start, expected = footer->base_seqno;
    uint32_t digest = 0, frames = 0;
    free(head);
    yd__window_init(&window, make->file, WALK_STEP);
    while (offset < footer->data_end && !error) {
        struct yd_header header;
        const char *bytes;
        size_t have;
        struct yd_view view;
        int found = yd__frame_at(&window, offset, make->log_id, true, &header);
        if (found < 0)
            error = found;
        else if (found != YD__FOUND_FRAME || header.base_seqno != expected ||
                 header.count > footer->next_seqno - expected)
            error = YD_ECORRUPT;
        else if (header.codec != YD_CODEC_NONE)
            error = YD_ENOTSUP;
        if (!error) error = yd__window_get(&window, offset, header.size, &bytes, &have);
        if (!error && yd_view_open(&header, bytes + sizeof header, false, &view) != 0) error = YD_ECORRUPT;
        if (!error) error = take_batch(maker, &view, header.base_seqno);
        if (!error && ++frames % 16 == 0 && make->stop && make->stop(make->arg)) error = YD_ECANCELED;
        if (error) break;
        digest = yd__digest(digest, &header);
        expected += header.count;
        offset += header.size;
    }
    yd__window_fini(&window);
    if (!error && (digest != footer->headers_crc || expected != footer->next_seqno)) error = YD_ECORRUPT;
    return error;
}

static int by_name(const void *a, const void *b, void *arg)
{
    const struct maker *maker = arg;
    return yd_str_cmp(maker->intern.strings[*(const uint32_t *)a], maker->intern.strings[*(const uint32_t *)b]);
}

/* The order and the table, but for the lists' checksums; *ret_postings: bytes of all lists. */
static int lay_out(struct maker *maker, uint64_t *ret_postings)
{
    uint32_t count = maker->intern.count;
    uint64_t heap = 0, postings = 0;
    maker->order = malloc(count * sizeof *maker->order + 1);
    maker->table = calloc(count + 1, sizeof *maker->table);
    if (!maker->order || !maker->table) return YD_ENOMEM;
    for (uint32_t i = 0; i < count; i++) maker->order[i] = i;
    qsort_r(maker->order, count, sizeof *maker->order, by_name, maker);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = maker->order[i];
        struct yd_str text = maker->intern.strings[id];
        if (maker->names[id].bytes > YD__KEYS_LIST_MAX) return YD_ETOOBIG;
        maker->table[i] = (struct yd__keys_entry){.hash = maker->intern.hashes[id],
                                                  .name = (uint32_t)heap,
                                                  .size = (uint32_t)text.size,
                                                  .postings = postings,
                                                  .count = maker->names[id].count};
        heap += text.size;
        postings += maker->names[id].bytes;
    }
    *ret_postings = postings;
    return 0;
}

/* The lists of order[from, to). */
static int make_slice(struct maker *maker, uint32_t from, uint32_t to, uint64_t size, uint64_t offset)
{
    uint32_t count = maker->intern.count;
    uint64_t first = maker->table[from].postings;
    maker->slice = malloc((size_t)size + 1);
    if (!maker->slice) return YD_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct name *name = &maker->names[maker->order[i]];
        name->last = maker->make->footer->base_seqno;
        name->to = i >= from && i < to ? maker->table[i].postings - first : UINT64_MAX;
    }
    int error = walk(maker);
    for (uint32_t i = from; i < to && !error; i++) {
        uint64_t begin = maker->table[i].postings - first, bytes = maker->names[maker->order[i]].bytes;
        if (maker->names[maker->order[i]].to != begin + bytes) error = YD_ECORRUPT;
        maker->table[i].crc = yd_crc32c(0, maker->slice + begin, (size_t)bytes);
    }
    if (!error) error = maker->make->put(maker->make->arg, offset + first, maker->slice, (size_t)size);
    free(maker->slice);
    maker->slice = NULL;
    return error;
}

static int make_lists(struct maker *maker, uint64_t offset)
{
    uint32_t count = maker->intern.count, from = 0;
    size_t room = maker->make->slice ? maker->make->slice : SLICE;
    int error = 0;
    while (from < count && !error) {
        uint32_t to = from;
        uint64_t size = 0;
        while (to < count && (to == from || size + maker->names[maker->order[to]].bytes <= room))
            size += maker->names[maker->order[to++]].bytes;
        error = make_slice(maker, from, to, size, offset);
        from = to;
    }
    return error;
}

static int make_heap(struct maker *maker, uint64_t offset, uint32_t *crc)
{
    char *heap = malloc((size_t)maker->heap_size + 1), *at = heap;
    if (!heap) return YD_ENOMEM;
    for (uint32_t i = 0; i < maker->intern.count; i++) {
        struct yd_str text = maker->intern.strings[maker->order[i]];
        if (text.size) memcpy(at, text.data, text.size);
        at += text.size;
    }
    *crc = yd_crc32c(*crc, heap, (size_t)maker->heap_size);
    int error = maker->make->put(maker->make->arg, offset, heap, (size_t)maker->heap_size);
    free(heap);
    return error;
}

static int make_all(struct maker *maker)
{
    struct yd__keys_make *make = maker->make;
    uint64_t postings;
    int error = walk(maker);
    if (!error) error = lay_out(maker, &postings);
    if (error) return error;
    size_t table_size = maker->intern.count * sizeof *maker->table;
    uint64_t before = sizeof(struct yd__keys_head) + table_size + maker->heap_size;
    error = make_lists(maker, before);
    uint32_t crc = yd_crc32c(0, maker->table, table_size);
    if (!error) error = make->put(make->arg, sizeof(struct yd__keys_head), maker->table, table_size);
    if (!error) error = make_heap(maker, sizeof(struct yd__keys_head) + table_size, &crc);
    struct yd__keys_head head = {
        .magic = YD__KEYS_MAGIC,
        .version = YD__KEYS_VERSION,
        .table_crc = crc,
        .log_id = make->log_id,
        .base_seqno = make->footer->base_seqno,
        .next_seqno = make->footer->next_seqno,
        .headers_crc = make->footer->headers_crc,
        .name_count = maker->intern.count,
        .heap_size = maker->heap_size,
        .postings_size = postings,
    };
    head.crc = yd__keys_head_crc(&head);
    make->size = before + postings;
    return error ? error : make->put(make->arg, 0, &head, sizeof head);
}

int yd__keys_make(struct yd__keys_make *make)
{
    struct maker maker = {.make = make};
    yd_intern_init(&maker.intern, NULL, YD__KEYS_NAMES_MAX);
    int error = make_all(&maker);
    yd_intern_fini(&maker.intern);
    free(maker.names);
    free(maker.ids);
    free(maker.order);
    free(maker.table);
    return error;
}

/* ---- is it true? ---- */

static int compare(void *arg, uint64_t offset, const void *bytes, size_t size)
{
    struct yd_file *file = arg;
    char part[4096];
    for (size_t at = 0; at < size;) {
        size_t want = YD_MIN(sizeof part, size - at), have = 0;
        int error = yd_file_read(file, part, want, offset + at, &have);
        if (error || have != want || memcmp(part, (const char *)bytes + at, want) != 0) return YD_ECORRUPT;
        at += want;
    }
    return 0;
}

int yd__keys_verify(struct yd_fs *fs, const char *dir, uint64_t base, struct yd_file *file,
                    const struct yd__footer *footer)
{
    char path[YD__PATH_SIZE];
    struct yd_file *index;
    struct yd_stat now;
    yd__segment_path(path, sizeof path, dir, base, ".ykey");
    int error = yd_fs_open(fs, path, YD_OPEN_READ, &index);
    if (error) return error;
    struct yd__keys_make make = {
        .file = file, .log_id = footer->log_id, .footer = footer, .put = compare, .arg = index};
    error = yd__keys_make(&make);
    if (!error) error = yd_file_stat(index, &now);
    if (!error && now.size != make.size) error = YD_ECORRUPT;
    yd_file_close(index);
    return error && error != YD_ENOMEM ? YD_ECORRUPT : error;
}

/* ---- behind the writer ---- */

struct job {
    struct yd_log *log;
    struct yd__segment *segment;
    struct yd_file *out;
};

static int put(void *arg, uint64_t offset, const void *bytes, size_t size)
{
    const struct job *job = arg;
    return yd_file_write(job->out, bytes, size, offset);
}

static bool stop(void *arg)
{
    const struct job *job = arg;
    yd_lock_take(&job->log->mutex);
    bool over = job->log->stopping || job->log->failed || job->segment->retired;
    yd_lock_give(&job->log->mutex);
    return over;
}

/* The oldest sealed segment of which nothing is known; referenced. */
static struct yd__segment *choose(struct yd_log *log)
{
    struct yd__segment *found = NULL;
    yd_lock_take(&log->mutex);
    for (uint32_t i = 0; i < log->segment_count && !found && !log->failed; i++)
        if (log->segments[i]->sealed && !log->segments[i]->busy && log->segments[i]->keys == YD__KEYS_UNKNOWN)
            found = log->segments[i];
    if (found) atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    yd_lock_give(&log->mutex);
    return found;
}

static int make_file(struct job *job, struct yd_file *file, const struct yd__footer *footer)
{
    struct yd_log *log = job->log;
    char path[YD__PATH_SIZE], temporary[YD__PATH_SIZE];
    yd__segment_path(path, sizeof path, log->dir, job->segment->base, ".ykey");
    yd__segment_path(temporary, sizeof temporary, log->dir, job->segment->base, ".ykey.tmp");
    int error = yd_fs_open(log->fs, temporary, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &job->out);
    if (error) return error;
    struct yd__keys_make make = {
        .file = file, .log_id = log->log_id, .footer = footer, .put = put, .stop = stop, .arg = job};
    error = yd__keys_make(&make);
    /* Before it has its name: its lists are only checked when they are asked for, a torn one would stay. */
    if (!error) error = yd_file_sync(job->out);
    yd_file_close(job->out);
    if (!error) error = yd_fs_rename(log->fs, temporary, path);
    if (error) (void)yd_fs_unlink(log->fs, temporary); /* left there, the next opening removes it */
    if (!error && stop(job)) {
        yd_lock_take(&log->mutex);
        bool retired = job->segment->retired;
        yd_lock_give(&log->mutex);
        if (retired) (void)yd_fs_unlink(log->fs, path); /* retention was sooner */
    }
    return error;
}

void yd__keys_count(struct yd_log *log, struct yd__segment *segment)
{
    char path[YD__PATH_SIZE];
    struct yd_stat now;
    yd__segment_path(path, sizeof path, log->dir, segment->base, ".ykey");
    int error = yd_fs_stat(log->fs, path, &now);
    if (error && error != YD_ENOENT) return; /* as it was */
    uint64_t size = error ? 0 : now.size;
    yd_lock_take(&log->mutex);
    if (!segment->retired) { /* else its bytes are off the log's already */
        log->bytes += size - segment->keys_size;
        segment->keys_size = size;
    }
    yd_lock_give(&log->mutex);
}

static int index_one(struct yd_log *log, struct yd__segment *segment)
{
    struct job job = {.log = log, .segment = segment};
    struct yd_file *file;
    struct yd__footer footer;
    struct yd__keys *keys;
    int error = yd__segment_open(log->fs, log->dir, segment->base, &file);
    if (error) return error;
    error = yd__footer_read(file, log->log_id, &footer, NULL);
    if (!error) error = yd__keys_open(log->fs, log->dir, segment->base, &footer, &keys);
    if (!error)
        yd__keys_close(keys); /* of an earlier life */
    else if (error != YD_ENOMEM)
        error = make_file(&job, file, &footer);
    yd_file_close(file);
    yd__keys_count(log, segment);
    return error;
}

int yd__keys_some(struct yd_log *log)
{
    if (!log->options.index_names) return 0;
    yd_lock_take(&log->twin_lock); /* a follower may be cut back meanwhile */
    struct yd__segment *segment = choose(log);
    if (segment) {
        int error = index_one(log, segment);
        yd_lock_take(&log->mutex);
        if (error != YD_ECANCELED || segment->retired) segment->keys = error ? YD__KEYS_REFUSED : YD__KEYS_THERE;
        bool over = log->stopping;
        yd_lock_give(&log->mutex);
        yd__segment_unref(segment);
        if (over) segment = NULL;
    }
    yd_lock_give(&log->twin_lock);
    return segment != NULL;
}
