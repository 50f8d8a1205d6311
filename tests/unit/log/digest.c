/* Damage that one comparison alone can notice: every other checksum over the same bytes is right.
 *
 *   two histories of one stream: same log_id, seqnos, sizes; other bytes   ─▶ a frame, a twin, an index of the other one
 *   a word changed, and the checksum around it made right again            ─▶ only what it is compared with can tell
 */
#include "log/keys.h"
#include "log/mend.h"
#include "log/twin.h"
#include "log_test.h"

#include <yarder/name.h>

#define BATCHES 60
#define RECORDS 10
#define AGE     (INT64_C(60) * YD_NS_PER_S)

/* ---- streams whose bytes are known ---- */

static void append_tagged(struct yd_log *log, const char *tag, int at)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    struct yd_batch *batch;
    struct yd_log_appended appended;
    char text[32], fill[300];
    memset(fill, tag[0], sizeof fill);
    assert_int_equal(yd_builder_create(&options, &builder), 0);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t name;
        int length = snprintf(text, sizeof text, "%s%02d.%d", tag, at, i % 3);
        assert_int_equal(yd_builder_name(builder, (struct yd_str){text, (size_t)length}, &name), 0);
        assert_int_equal(yd_builder_add_bytes(builder, at, name, YD_EVENT, YD_TEXT, 0,
                                              (struct yd_str){fill, sizeof fill}),
                         0);
    }
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_builder_destroy(builder);
    assert_int_equal(yd_log_append(log, batch, -1, UINT64_MAX, &appended), 0);
    yd_batch_unref(batch);
    assert_int_equal(yd_log_flush(log), 0);
}

static struct yd_log *open_here(struct world *world, int64_t compress_after, bool index)
{
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 32 << 10;
    options.compress_after_ns = compress_after;
    options.index_names = index;
    options.memory_bytes_max = 4096;
    return world_open(world, &options, NULL);
}

static void settle(struct yd_log *log)
{
    for (int i = 0; i < 100; i++) assert_int_equal(yd_log_maintain(log), 0);
}

/* In the world's folder from now on. Streams of two tags of one length differ in nothing but what is in the bodies. */
static void make_stream(struct world *world, const char *dir, const char *tag, int64_t compress_after, bool index)
{
    (void)snprintf(world->dir, sizeof world->dir, "%s", dir);
    yd_rng_init(&world->rng, 1);
    struct yd_log *log = open_here(world, compress_after, index);
    for (int i = 0; i < BATCHES; i++) append_tagged(log, tag, i);
    settle(log);
    assert_int_equal(world_close(world, log), 0);
}

struct image {
    char *bytes;
    size_t size;
};

static void path_in(const char *dir, uint64_t base, const char *suffix, char path[512])
{
    (void)snprintf(path, 512, "%s/%020llu%s", dir, (unsigned long long)base, suffix);
}

static struct image image_of(struct world *world, const char *dir, uint64_t base, const char *suffix)
{
    struct image image;
    char path[512];
    path_in(dir, base, suffix, path);
    assert_int_equal(yd_fs_read_all(world->fs, path, 64 << 20, &image.bytes, &image.size), 0);
    return image;
}

static void put_image(struct world *world, uint64_t base, const char *suffix, const struct image *image)
{
    char path[512];
    struct yd_file *file;
    path_in(world->dir, base, suffix, path);
    assert_int_equal(yd_fs_open(world->fs, path, YD_OPEN_WRITE | YD_OPEN_CREATE | YD_OPEN_TRUNCATE, &file), 0);
    assert_int_equal(yd_file_write(file, image->bytes, image->size, 0), 0);
    assert_int_equal(yd_file_sync(file), 0);
    yd_file_close(file);
}

static bool there(struct world *world, uint64_t base, const char *suffix)
{
    char path[512];
    struct yd_stat now;
    path_in(world->dir, base, suffix, path);
    return yd_fs_stat(world->fs, path, &now) == 0;
}

static void flip(struct world *world, uint64_t base, const char *suffix, uint64_t offset)
{
    struct image image = image_of(world, world->dir, base, suffix);
    assert_true(offset < image.size);
    image.bytes[offset] ^= 0x10;
    put_image(world, base, suffix, &image);
    free(image.bytes);
}

/* ---- parts of an image ---- */

static struct yd__footer footer_of(const struct image *image)
{
    struct yd__footer footer;
    memcpy(&footer, image->bytes + image->size - sizeof footer, sizeof footer);
    assert_int_equal(footer.magic, YD__FOOTER_MAGIC);
    return footer;
}

static uint64_t frame_at(const struct image *image, unsigned number, struct yd_header *ret)
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
static void take_frame(struct image *to, const struct image *from, unsigned number)
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
static void put_twin(struct world *world, uint64_t base, const struct image *raw, uint32_t raw_crc)
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

static void hear(void *arg, const char *file, uint64_t offset, const char *what)
{
    struct told *told = arg;
    (void)file, (void)offset;
    if (strstr(what, told->wanted))
        told->wanted_times++;
    else
        told->others++;
}

/* Verify tells this, and nothing else. */
static void assert_told(struct world *world, const char *wanted)
{
    struct told told = {.wanted = wanted};
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, hear, &told), YD_ECORRUPT);
    if (!told.wanted_times) fail_msg("nobody said: %s", wanted);
    assert_int_equal(told.others, 0);
}

static void assert_whole(struct world *world)
{
    assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
}

/* How many records whose names match the folder's readers are given; all bodies are the tag's. */
static uint64_t given(struct world *world, const char *names, const char *tag, uint64_t *ret_missing)
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

static void assert_given_all(struct world *world, const char *tag)
{
    uint64_t missing;
    assert_int_equal(given(world, NULL, tag, &missing), BATCHES * RECORDS);
    assert_int_equal(missing, 0);
}

/* ---- twins ---- */

/* The first blocks are compressed while the segment still grows: one that was read wrongly then is found before the
 * twin gets its name. */
static void a_block_that_was_read_wrongly_does_not_get_into_a_twin(void **state)
{
    struct world *world = *state;
    struct yd_log_options options = world_options(world);
    options.segment_size_min = options.segment_size_max = 1 << 20;
    options.compress_after_ns = 1;
    struct yd_log *log = world_open(world, &options, NULL);
    for (int i = 0; i < 12; i++) {
        append(log, 20, 30000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    flip(world, 0, ".ylog", 10000);
    settle(log);
    assert_true(there(world, 0, ".yzst.tmp"));
    flip(world, 0, ".ylog", 10000);
    uint64_t records = 12 * 20;
    for (int i = 0; i < 80; i++, records += 20) {
        append(log, 20, 30000);
        assert_int_equal(yd_log_flush(log), 0);
    }
    settle(log);
    assert_false(there(world, 0, ".yzst"));
    assert_false(there(world, 0, ".yzst.tmp"));
    assert_true(there(world, 0, ".ylog"));
    uint64_t missing, *bases;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count > 2 && there(world, bases[1], ".yzst")); /* the others get theirs */
    free(bases);
    assert_int_equal(read_from_oldest(log, &missing), records);
    assert_int_equal(missing, 0);
    assert_int_equal(world_close(world, log), 0);
    assert_whole(world);
}

/* With the twin that is there: its segment does not go, and is served. */
static void assert_segment_stays(struct world *world, const char *tag)
{
    world->now += 2 * AGE;
    struct yd_log *log = open_here(world, AGE, false);
    settle(log);
    assert_true(there(world, 0, ".ylog"));
    assert_int_equal(world_close(world, log), 0);
    assert_given_all(world, tag);
}

static void a_segment_does_not_go_for_a_twin_that_has_other_frames(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "bb", 0, false);
    make_stream(world, "d/s/0", "aa", AGE, false);
    assert_true(there(world, 0, ".ylog") && there(world, 0, ".yzst"));
    struct image good = image_of(world, world->dir, 0, ".ylog");
    struct image other = image_of(world, "d/other/0", 0, ".ylog"), mixed = image_of(world, world->dir, 0, ".ylog");
    assert_int_equal(good.size, other.size);
    /* A frame of another history, which only the whole-file checksum knows not to belong there. */
    take_frame(&mixed, &other, 2);
    put_twin(world, 0, &mixed, yd_crc32c(0, mixed.bytes, mixed.size));
    assert_segment_stays(world, "aa");
    /* All of another history, in which everything fits. */
    put_twin(world, 0, &other, yd_crc32c(0, other.bytes, other.size));
    assert_segment_stays(world, "aa");
    /* And the same bytes: then it goes. */
    put_twin(world, 0, &good, yd_crc32c(0, good.bytes, good.size));
    struct yd_log *log = open_here(world, AGE, false);
    settle(log);
    assert_false(there(world, 0, ".ylog"));
    assert_int_equal(world_close(world, log), 0);
    assert_given_all(world, "aa");
    assert_whole(world);
    free(good.bytes);
    free(other.bytes);
    free(mixed.bytes);
}

static void verify_tells_a_twin_that_is_not_its_segment(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "bb", 0, false);
    make_stream(world, "d/s/0", "aa", AGE, false);
    assert_whole(world);
    struct image good = image_of(world, world->dir, 0, ".ylog"), other = image_of(world, "d/other/0", 0, ".ylog");
    uint32_t crc = yd_crc32c(0, good.bytes, good.size);
    put_twin(world, 0, &good, crc ^ 1);
    assert_told(world, "a block of the compressed twin is damaged");
    put_twin(world, 0, &other, yd_crc32c(0, other.bytes, other.size));
    assert_told(world, "the compressed twin is not of this segment");
    put_twin(world, 0, &good, crc);
    assert_whole(world);
    free(good.bytes);
    free(other.bytes);
}

/* A rotten frame is given from the twin only when that is of the same frames: by the footers, and where ours is rotten
 * too, by the heads. */
static void nothing_is_healed_from_a_twin_of_another_history(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "bb", 0, false);
    make_stream(world, "d/s/0", "aa", AGE, false);
    uint64_t *bases, missing;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count > 2 && there(world, bases[1], ".yzst")); /* the second: its head knows of the first */
    uint64_t base = bases[1];
    free(bases);
    struct image good = image_of(world, world->dir, base, ".ylog"), other = image_of(world, "d/other/0", base, ".ylog");
    struct yd_header header;
    uint64_t frame = frame_at(&good, 2, &header);
    for (int damage = 0; damage < 4; damage++) { /* in its header, in its body; and in our footer */
        flip(world, base, ".ylog", frame + (damage & 1 ? 200 : 40));
        if (damage & 2) flip(world, base, ".ylog", good.size - 20);
        put_twin(world, base, &other, yd_crc32c(0, other.bytes, other.size));
        assert_int_equal(given(world, NULL, "aa", &missing), (BATCHES - 1) * RECORDS);
        assert_int_equal(missing, RECORDS);
        put_twin(world, base, &good, yd_crc32c(0, good.bytes, good.size));
        assert_given_all(world, "aa");
        put_image(world, base, ".ylog", &good);
    }
    free(good.bytes);
    free(other.bytes);
}

/* ---- name indexes ---- */

/* All lists empty, by a head whose counts are others and whose sums still fit: its own checksum is what tells. */
static void an_index_with_a_forged_head_is_not_used(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/s/0", "aa", 0, true);
    uint64_t missing, all = given(world, "aa0*", "aa", &missing);
    struct image index = image_of(world, world->dir, 0, ".ykey");
    struct yd__keys_head head;
    memcpy(&head, index.bytes, sizeof head);
    assert_true(head.name_count > 3);
    head.heap_size += head.name_count * sizeof(struct yd__keys_entry);
    head.name_count = 0;
    memcpy(index.bytes, &head, sizeof head);
    put_image(world, 0, ".ykey", &index);
    assert_true(all > 0);
    assert_int_equal(given(world, "aa0*", "aa", &missing), all);
    assert_told(world, "the name index is damaged");
    free(index.bytes);
}

static void an_index_of_another_history_is_not_used(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "bb", 0, true);
    make_stream(world, "d/s/0", "aa", 0, true);
    uint64_t missing, all = given(world, "aa0*", "aa", &missing);
    struct image index = image_of(world, "d/other/0", 0, ".ykey");
    put_image(world, 0, ".ykey", &index);
    assert_true(all > 0);
    assert_int_equal(given(world, "aa0*", "aa", &missing), all);
    assert_told(world, "the name index is damaged");
    free(index.bytes);
}

static void an_index_is_not_made_of_frames_that_are_not_the_footers(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/other/0", "bb", 0, false);
    make_stream(world, "d/s/0", "aa", 0, false);
    struct image mixed = image_of(world, world->dir, 0, ".ylog"), other = image_of(world, "d/other/0", 0, ".ylog");
    take_frame(&mixed, &other, 2);
    put_image(world, 0, ".ylog", &mixed);
    struct yd_log *log = open_here(world, 0, true);
    settle(log);
    assert_false(there(world, 0, ".ykey"));
    uint64_t *bases;
    uint32_t count;
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count > 2 && there(world, bases[1], ".ykey"));
    free(bases);
    assert_int_equal(world_close(world, log), 0);
    free(mixed.bytes);
    free(other.bytes);
}

/* A list that says another record than the segment, each checksum in the index right. */
static void verify_tells_an_index_whose_lists_lie(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/s/0", "aa", 0, true);
    assert_whole(world);
    struct image index = image_of(world, world->dir, 0, ".ykey");
    struct yd__keys_head head;
    struct yd__keys_entry entries[2];
    memcpy(&head, index.bytes, sizeof head);
    memcpy(entries, index.bytes + sizeof head, sizeof entries);
    size_t lists = sizeof head + head.name_count * sizeof *entries + head.heap_size;
    size_t size = entries[1].postings;
    index.bytes[lists + size - 1] ^= 1;
    entries[0].crc = yd_crc32c(0, index.bytes + lists, size);
    memcpy(index.bytes + sizeof head, entries, sizeof *entries);
    head.table_crc = yd_crc32c(0, index.bytes + sizeof head, lists - sizeof head);
    head.crc = yd__keys_head_crc(&head);
    memcpy(index.bytes, &head, sizeof head);
    put_image(world, 0, ".ykey", &index);
    assert_told(world, "the name index is damaged");
    free(index.bytes);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(a_block_that_was_read_wrongly_does_not_get_into_a_twin),
        SIM(a_segment_does_not_go_for_a_twin_that_has_other_frames),
        SIM(verify_tells_a_twin_that_is_not_its_segment),
        SIM(nothing_is_healed_from_a_twin_of_another_history),
        SIM(an_index_with_a_forged_head_is_not_used),
        SIM(an_index_of_another_history_is_not_used),
        SIM(an_index_is_not_made_of_frames_that_are_not_the_footers),
        SIM(verify_tells_an_index_whose_lists_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
