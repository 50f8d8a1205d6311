/* Damage that one comparison alone can notice: every other checksum over the same bytes is right.
 *
 *   two histories of one stream: same log_id, seqnos, sizes; other bytes   ─▶ a frame, a twin, an index of the other
 * one a word changed, and the checksum around it made right again            ─▶ only what it is compared with can tell
 */
#include "image.h"

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

/* Nor is it the footer that has to be readable for the frame to be given, in the twin. */
static void a_frame_is_healed_from_a_twin_whose_last_block_is_damaged(void **state)
{
    struct world *world = *state;
    struct making making = {.tag = "aa", .fill = 3000, .segment_size = 400 << 10, .compress_after = AGE};
    make_like(world, "d/s/0", &making);
    struct image raw = image_of(world, world->dir, 0, ".ylog");
    struct yd_header header;
    put_twin(world, 0, &raw, yd_crc32c(0, raw.bytes, raw.size));
    flip(world, 0, ".yzst", sizeof(struct yd__twin_head) + raw.size - 100); /* stored as it is: in the footer */
    flip(world, 0, ".ylog", frame_at(&raw, 2, &header) + 200);
    assert_given_all(world, "aa");
    free(raw.bytes);
}

/* A twin whose head or tables are damaged is made anew; not of a segment that has rotted, of which it has the frame. */
static void a_damaged_twin_is_not_replaced_by_one_of_a_rotten_segment(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/s/0", "aa", AGE, false);
    struct image raw = image_of(world, world->dir, 0, ".ylog"), twin = image_of(world, world->dir, 0, ".yzst");
    struct yd_header header;
    uint64_t frame = frame_at(&raw, 2, &header);
    flip(world, 0, ".yzst", 60);
    for (int rotten = 1; rotten >= 0; rotten--) {
        if (rotten) flip(world, 0, ".ylog", frame + 200);
        world->now += 2 * AGE; /* nor does it take the segment's place while it is damaged */
        struct yd_log *log = open_here(world, AGE * 100, false);
        settle(log);
        struct yd_log_position position;
        struct yd_log_stat stat;
        yd_log_position(log, &position);
        assert_int_equal(yd_log_stat_dir(world->fs, world->dir, &stat, NULL), 0);
        assert_int_equal(position.bytes, stat.bytes); /* the damaged one is counted too */
        assert_int_equal(world_close(world, log), 0);
        assert_true(there(world, 0, ".ylog"));
        assert_given_all(world, "aa");
        put_image(world, 0, ".ylog", &raw);
    }
    assert_whole(world);
    struct image now = image_of(world, world->dir, 0, ".yzst");
    assert_int_equal(now.size, twin.size);
    assert_memory_equal(now.bytes, twin.bytes, now.size);
    free(now.bytes);
    free(raw.bytes);
    free(twin.bytes);
}

/* A segment whose footer cannot be read any more, and a damaged twin that would be made anew of it: it is refused, and
 * the next one has its turn. */
static void a_segment_without_a_footer_does_not_hold_up_the_others(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/s/0", "aa", AGE, false);
    struct image raw = image_of(world, world->dir, 0, ".ylog");
    uint64_t *bases;
    uint32_t count;
    char path[512];
    assert_int_equal(yd__list_segments(world->fs, world->dir, &bases, &count), 0);
    assert_true(count > 2 && there(world, bases[1], ".yzst"));
    flip(world, 0, ".yzst", 60);
    path_in(world->dir, bases[1], ".yzst", path);
    assert_int_equal(yd_fs_unlink(world->fs, path), 0);
    struct yd_log *log = open_here(world, AGE * 100, false);
    flip(world, 0, ".ylog", raw.size - 20); /* while it is open */
    settle(log);
    assert_true(there(world, bases[1], ".yzst"));
    assert_int_equal(world_close(world, log), 0);
    put_image(world, 0, ".ylog", &raw);
    assert_given_all(world, "aa");
    free(bases);
    free(raw.bytes);
}

/* ---- name indexes ---- */

/* All lists empty, by a head whose counts are others and whose sums still fit: its own checksum is what tells. */
/* A segment that is cut short, or whose footer or head has rotted, does not look like its twin: that is why its twin
 * must stay. */
static void a_twin_stays_when_its_segment_no_longer_looks_like_it(void **state)
{
    struct world *world = *state;
    make_stream(world, "d/s/0", "aa", AGE, false);
    struct image good = image_of(world, world->dir, 0, ".ylog");
    assert_true(there(world, 0, ".yzst"));
    for (int damage = 0; damage < 4; damage++) {
        struct image bad = {.bytes = malloc(good.size), .size = good.size};
        memcpy(bad.bytes, good.bytes, good.size);
        if (damage == 0) bad.size = good.size / 2;
        if (damage == 1) bad.bytes[good.size - 20] ^= 1;
        if (damage == 2) bad.bytes[1] ^= 1, bad.bytes[good.size - 20] ^= 1;
        if (damage == 3) memset(bad.bytes, 0xa5, bad.size);
        put_image(world, 0, ".ylog", &bad);
        free(bad.bytes);
        for (int times = 0; times < 2; times++) {
            struct yd_log *log = open_here(world, AGE, false);
            settle(log);
            assert_int_equal(world_close(world, log), 0);
            assert_true(there(world, 0, ".yzst"));
        }
        struct yd_log_repair how = {.fs = world->fs, .dir = world->dir};
        struct yd_log_repair_report report;
        assert_int_equal(yd_log_repair_dir(&how, &report, NULL), 0);
        struct image now = image_of(world, world->dir, 0, ".ylog");
        struct yd_header header;
        uint64_t end = frame_at(&good, 2, &header) + header.size;
        assert_true(now.size >= end);
        assert_memory_equal(now.bytes, good.bytes, end);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), 0);
        free(now.bytes);
        put_image(world, 0, ".ylog", &good);
    }
    free(good.bytes);
}

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

/* ---- what opening believes ---- */

static struct yd_batch *make_sent(void)
{
    return with_producer(make_batch(0, 3, 0, 1), 7, 1, 50);
}

/* The index that is saved while a segment is written: what of it were wrong would get into the footer, and into what is
 * known of producers. */
static void a_flipped_byte_of_a_saved_index_gets_nowhere(void **state)
{
    struct world *world = *state;
    struct making making = {.tag = "aa", .fill = 3000, .segment_size = 400 << 10};
    struct yd_log *log = open_made(world, &making);
    struct yd_batch *sent = make_sent();
    struct yd_log_appended appended;
    assert_int_equal(yd_log_append(log, sent, 0, UINT64_MAX, &appended), 0);
    for (int i = 0; i < 10; i++) append_tagged(log, &making, i);
    assert_int_equal(yd_log_maintain(log), 0);
    yd_sim_fs_kill(world->fs);
    (void)world_close(world, log);
    struct image index = image_of(world, world->dir, 0, ".yidx");
    assert_true(index.size > sizeof(struct yd__index_head) + 3 * sizeof(struct yd__index_entry));
    struct yd_fs *before = world->fs;
    for (size_t at = 0; at < index.size; at++) {
        assert_int_equal(yd_sim_fs_clone(before, at, &world->fs), 0);
        flip(world, 0, ".yidx", at);
        log = open_made(world, &making);
        assert_int_equal(yd_log_append(log, sent, 0, UINT64_MAX, &appended), 0);
        if (!appended.duplicate) print_message("# byte %zu\n", at);
        assert_true(appended.duplicate);
        for (int i = 10; i < 16; i++) append_tagged(log, &making, i);
        assert_int_equal(yd_log_maintain(log), 0);
        assert_int_equal(world_close(world, log), 0);
        struct image sealed = image_of(world, world->dir, 0, ".ylog");
        assert_int_equal(footer_of(&sealed).base_seqno, 0);
        free(sealed.bytes);
        if (yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL)) print_message("# byte %zu\n", at);
        assert_whole(world);
        yd_sim_fs_destroy(world->fs);
    }
    world->fs = before;
    yd_batch_unref(sent);
    free(index.bytes);
}

/* Whether the writer named in a control page lives: one of that number and start, and of this boot. */
static void a_writer_of_an_earlier_boot_is_not_taken_for_alive(void **state)
{
    struct world *world = *state;
    struct yd_log *log = world_open(world, NULL, NULL);
    append(log, 3, 0);
    assert_int_equal(yd_log_flush(log), 0);
    char path[512], *page;
    size_t size;
    (void)snprintf(path, sizeof path, "%s/control", world->dir);
    assert_int_equal(yd_fs_read_all(world->fs, path, YD__CONTROL_SIZE, &page, &size), 0);
    assert_int_equal(yd_fs_make_dirs(world->fs, "d/boot/0"), 0);
    static const size_t words[] = {offsetof(struct yd__control, reserved0), offsetof(struct yd__control, boot_id),
                                   offsetof(struct yd__control, boot_id) + 15,
                                   offsetof(struct yd__control, writer_start)};
    for (size_t i = 0; i < YD_COUNT(words); i++) {
        struct yd_file *file;
        struct yd_log_stat stat;
        page[words[i]] ^= 1;
        assert_int_equal(yd_fs_open(world->fs, "d/boot/0/control", YD_OPEN_WRITE | YD_OPEN_CREATE, &file), 0);
        assert_int_equal(yd_file_write(file, page, size, 0), 0);
        yd_file_close(file);
        assert_int_equal(yd_log_stat_dir(world->fs, "d/boot/0", &stat, NULL), 0);
        assert_int_equal(stat.live, i == 0); /* the first is nobody's */
        page[words[i]] ^= 1;
    }
    free(page);
    assert_int_equal(world_close(world, log), 0);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(a_block_that_was_read_wrongly_does_not_get_into_a_twin),
        SIM(a_segment_does_not_go_for_a_twin_that_has_other_frames),
        SIM(verify_tells_a_twin_that_is_not_its_segment),
        SIM(nothing_is_healed_from_a_twin_of_another_history),
        SIM(a_frame_is_healed_from_a_twin_whose_last_block_is_damaged),
        SIM(a_damaged_twin_is_not_replaced_by_one_of_a_rotten_segment),
        SIM(a_twin_stays_when_its_segment_no_longer_looks_like_it),
        SIM(a_segment_without_a_footer_does_not_hold_up_the_others),
        SIM(an_index_with_a_forged_head_is_not_used),
        SIM(an_index_of_another_history_is_not_used),
        SIM(an_index_is_not_made_of_frames_that_are_not_the_footers),
        SIM(verify_tells_an_index_whose_lists_lie),
        SIM(a_flipped_byte_of_a_saved_index_gets_nowhere),
        SIM(a_writer_of_an_earlier_boot_is_not_taken_for_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
