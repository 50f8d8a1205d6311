/* Streams whose bytes are known, and tests that change them: parts of a segment's file, what verify and readers say. */
#ifndef LOG_IMAGE_H
#define LOG_IMAGE_H

#include "log/keys.h"
#include "log/mend.h"
#include "log/twin.h"
#include "log_test.h"

#include <yarder/name.h>

#define BATCHES 60
#define RECORDS 10
#define AGE     (INT64_C(60) * YD_NS_PER_S)

/* ---- streams whose bytes are known ---- */

struct making {        /* zeros: as below */
    const char *tag;   /* begins all names, fills all bodies */
    const char *other; /* the tag of batches [other_from, other_to) */
    int other_from, other_to;
    size_t fill;            /* 300 bytes a record */
    uint64_t segment_size;  /* 32 KiB */
    int64_t compress_after; /* none */
    bool index;
};

static inline void append_tagged(struct yd_log *log, const struct making *making, int at)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    struct yd_batch *batch;
    struct yd_log_appended appended;
    bool other = making->other && at >= making->other_from && at < making->other_to;
    const char *tag = other ? making->other : making->tag;
    size_t fill = making->fill ? making->fill : 300;
    char text[32], *bytes = malloc(fill);
    memset(bytes, tag[0], fill);
    assert_int_equal(yd_builder_create(&options, &builder), 0);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t name;
        int length = snprintf(text, sizeof text, "%s%02d.%d", tag, at, i % 3);
        assert_int_equal(yd_builder_name(builder, (struct yd_str){text, (size_t)length}, &name), 0);
        assert_int_equal(yd_builder_add_bytes(builder, at, name, YD_EVENT, YD_TEXT, 0, (struct yd_str){bytes, fill}),
                         0);
    }
    free(bytes);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_flush(log), 0);
}

static inline struct yd_log *open_made(struct world *world, const struct making *making)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = making->segment_size ? making->segment_size : 32 << 10;
    options.compress_after_ns = making->compress_after;
    options.index_names = making->index;
    options.memory_bytes_max = 4096;
    return world_open(world, &options, NULL);
}

static inline struct yd_log *open_here(struct world *world, int64_t compress_after, bool index)
{
    struct making making = {.compress_after = compress_after, .index = index};
    return open_made(world, &making);
}

static inline void settle(struct yd_log *log)
{
    for (int i = 0; i < 100; i++) assert_int_equal(yd_log_maintain(log), 0);
}

/* In the world's folder from now on. Streams whose tags have one length differ in nothing but what is in the bodies,
 * and so in the chain from there on. */
static inline void make_like(struct world *world, const char *dir, const struct making *making)
{
    (void)snprintf(world->dir, sizeof world->dir, "%s", dir);
    yd_rng_init(&world->rng, 1);
    struct yd_log *log = open_made(world, making);
    for (int i = 0; i < BATCHES; i++) append_tagged(log, making, i);
    settle(log);
    assert_int_equal(world_close(world, log), 0);
}

static inline void make_stream(struct world *world, const char *dir, const char *tag, int64_t compress_after,
                               bool index)
{
    struct making making = {.tag = tag, .compress_after = compress_after, .index = index};
    make_like(world, dir, &making);
}

struct image {
    char *bytes;
    size_t size;
};

static inline void path_in(const char *dir, uint64_t base, const char *suffix, char path[512])
{
    (void)snprintf(path, 512, "%s/%020llu%s", dir, (unsigned long long)base, suffix);
}

static inline struct image image_of(struct world *world, const char *dir, uint64_t base, const char *suffix)
{
    struct image image;
    char path[512];
    path_in(dir, base, suffix, path);
    assert_int_equal(yd_fs_read_all(world->fs, path, 64 << 20, &image.bytes, &image.size), 0);
    return image;
}

static inline void put_image(struct world *world, uint64_t base, const char *suffix, const struct image *image)
{
    char path[512];
    struct yd_file *file;
    path_in(world->dir, base, suffix, path);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file), 0);
    assert_int_equal(yd_file_write(file, image->bytes, image->size, 0), 0);
    assert_int_equal(yd_file_sync(file), 0);
    yd_file_close(file);
}

static inline bool there(struct world *world, uint64_t base, const char *suffix)
{
    char path[512];
    struct yd_stat now;
    path_in(world->dir, base, suffix, path);
    return yd_fs_stat(world->fs, path, &now) == 0;
}

static inline void flip(struct world *world, uint64_t base, const char *suffix, uint64_t offset)
{
    struct image image = image_of(world, world->dir, base, suffix);
    assert_true(offset < image.size);
    image.bytes[offset] ^= 0x10;
    put_image(world, base, suffix, &image);
    free(image.bytes);
}

/* ---- parts of an image ---- */

static inline struct yd__footer footer_of(const struct image *image)
{
    struct yd__footer footer;
    memcpy(&footer, image->bytes + image->size - sizeof footer, sizeof footer);
    assert_int_equal(footer.magic, YD__FOOTER_MAGIC);
    return footer;
}

static inline uint64_t frame_at(const struct image *image, unsigned number, struct yd_header *ret)
{
    struct yd__segment_head head;
    memcpy(&head, image->bytes, sizeof head);
    uint64_t offset = head.data_start;
    memcpy(ret, image->bytes + offset, sizeof *ret);
    while (number-- > 0) {
        offset += ret->size;
        memcpy(ret, image->bytes + offset, sizeof *ret);
    }
    assert_int_equal(yd_header_crc(ret), ret->header_crc);
    return offset;
}

/* The frame as the other history has it. */
static inline void take_frame(struct image *to, const struct image *from, unsigned number)
{
    struct yd_header ours, theirs;
    uint64_t offset = frame_at(to, number, &ours);
    assert_int_equal(frame_at(from, number, &theirs), offset);
    assert_int_equal(ours.size, theirs.size);
    assert_int_equal(ours.base_seqno, theirs.base_seqno);
    assert_true(ours.header_crc != theirs.header_crc);
    memcpy(to->bytes + offset, from->bytes + offset, ours.size);
}

/* A twin of these bytes, stored as they are, each of its checksums right. */
static inline void put_twin(struct world *world, uint64_t base, const struct image *raw, uint32_t raw_crc)
{
    uint32_t block = YD__TWIN_BLOCK_MIN, blocks = (uint32_t)((raw->size + block - 1) / block);
    size_t table_size = blocks * sizeof(struct yd__twin_entry);
    struct image twin = {.size = sizeof(struct yd__twin_head) + raw->size +
                                 2 * (table_size + sizeof(struct yd__twin_footer))};
    twin.bytes = calloc(1, twin.size);
    struct yd__twin_head head = {.magic = YD__TWIN_MAGIC,
                                 .version = YD__TWIN_VERSION,
                                 .block_size = block,
                                 .log_id = footer_of(raw).log_id,
                                 .base_seqno = base,
                                 .blocks = blocks};
    head.crc = yd__twin_head_crc(&head);
    memcpy(twin.bytes, &head, sizeof head);
    memcpy(twin.bytes + sizeof head, raw->bytes, raw->size);
    struct yd__twin_entry *table = calloc(blocks, sizeof *table);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t size = (uint32_t)YD_MIN((size_t)block, raw->size - (size_t)i * block);
        table[i] = (struct yd__twin_entry){sizeof head + (uint64_t)i * block, size,
                                           yd_crc32c(0, raw->bytes + (size_t)i * block, size)};
    }
    size_t at = sizeof head + raw->size;
    for (int copy = 0; copy < 2; copy++) {
        struct yd__twin_footer footer = {.magic = YD__TWIN_FOOTER_MAGIC,
                                         .table = at,
                                         .raw_size = raw->size,
                                         .blocks = blocks,
                                         .table_crc = yd_crc32c(0, table, table_size),
                                         .raw_crc = raw_crc,
                                         .block_size = block,
                                         .log_id = head.log_id,
                                         .base_seqno = base};
        footer.crc = yd__twin_footer_crc(&footer);
        memcpy(twin.bytes + at, table, table_size);
        memcpy(twin.bytes + at + table_size, &footer, sizeof footer);
        at += table_size + sizeof footer;
    }
    put_image(world, base, ".yzst", &twin);
    free(table);
    free(twin.bytes);
}

/* ---- what is told ---- */

struct told {
    const char *wanted;
    unsigned wanted_times, others;
};

static inline void hear(void *arg, const char *file, uint64_t offset, const char *what)
{
    struct told *told = arg;
    (void)file, (void)offset;
    if (strstr(what, told->wanted))
        told->wanted_times++;
    else
        told->others++;
}

/* Verify tells this, and nothing else. */
static inline void assert_told(struct world *world, const char *wanted)
{
    struct told told = {.wanted = wanted};
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, hear, &told), YD_ECORRUPT);
    if (!told.wanted_times) fail_msg("nobody said: %s", wanted);
    assert_int_equal(told.others, 0);
}

static inline void assert_whole(struct world *world)
{
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

/* How many records whose names match the folder's readers are given; all bodies are the tag's. */
static inline uint64_t given(struct world *world, const char *names, const char *tag, uint64_t *ret_missing)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST, .names = names};
    struct yd_log_reader *reader;
    struct yd_pattern *pattern = NULL;
    uint64_t count = 0;
    *ret_missing = 0;
    if (names) assert_int_equal(yd_pattern_compile(yd_str_of(names), &pattern), 0);
    assert_int_equal(yd_log_reader_open_dir(world->fs, world->dir, &start, &reader, NULL), 0);
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) break;
        if (error == YD_EGAP) {
            *ret_missing += gap.to - gap.from;
            continue;
        }
        assert_int_equal(error, 0);
        for (uint32_t i = 0; i < batch->view.count; i++) {
            struct yd_str name = yd_view_name(&batch->view, batch->view.records[i].name);
            if (tag) assert_memory_equal(name.data, tag, strlen(tag));
            count += !pattern || yd_pattern_match(pattern, name);
        }
        yd_batch_unref(batch);
    }
    yd_log_reader_close(reader);
    yd_pattern_destroy(pattern);
    return count;
}

static inline void assert_given_all(struct world *world, const char *tag)
{
    uint64_t missing;
    assert_int_equal(given(world, NULL, tag, &missing), BATCHES * RECORDS);
    assert_int_equal(missing, 0);
}

#endif
