/* Readers with a pattern leave unread what footers and index entries say cannot match: with any byte of these wrong
 * they miss nothing in silence. */
#include "../sparse.h"
#include "image.h"

#define FILL 3000 /* some index entries in each segment */

static const char *const patterns[] = {"aa0*", "aa05.1", "aa1*", "aa59.2", "aa?3.*", "zz*"};

static void make_ranged(struct world *world)
{
    struct making making = {.tag = "aa", .fill = FILL, .segment_size = 400 << 10};
    make_like(world, "d/s/0", &making);
}

struct answers {
    uint64_t given[YD_COUNT(patterns)], missing[YD_COUNT(patterns)], got;
};

static int count_record(void *arg, const struct yd_batch *batch, uint32_t record)
{
    (void)batch, (void)record;
    ++*(uint64_t *)arg;
    return 0;
}

/* What readers of the folder and yd_log_get_dir are given, and the gaps that are told. */
static void ask(struct world *world, struct answers *ret)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < YD_COUNT(patterns); i++) ret->given[i] = given(world, patterns[i], "aa", &ret->missing[i]);
    assert_int_equal(yd_log_get_dir(world->fs, world->dir, YD_STR("aa05.1"), count_record, &ret->got, NULL), 0);
}

/* Footer and index entries of the first segment: a flipped byte, its checksums as they were, or made right again. */
static void flip_sealed(struct image *image, size_t at, unsigned bit, bool right)
{
    struct yd__footer footer;
    memcpy(&footer, image->bytes + image->size - sizeof footer, sizeof footer);
    image->bytes[at] = (char)(image->bytes[at] ^ 1 << bit);
    if (!right) return;
    struct yd__footer now;
    memcpy(&now, image->bytes + image->size - sizeof now, sizeof now);
    if (at < image->size - sizeof now)
        now.index_crc =
            yd_crc32c(0, image->bytes + footer.data_end, footer.index_count * sizeof(struct yd__index_entry));
    now.crc = 0;
    now.crc = yd_crc32c(0, &now, sizeof now);
    memcpy(image->bytes + image->size - sizeof now, &now, sizeof now);
}

static void every_flipped_byte_of_footer_and_index_costs_readers_with_a_pattern_nothing(void **state)
{
    struct world *world = *state;
    make_ranged(world);
    struct answers good, now;
    ask(world, &good);
    for (size_t i = 0; i < YD_COUNT(patterns); i++) assert_int_equal(good.missing[i], 0);
    assert_true(good.given[0] == 10 * RECORDS && good.given[1] > 0 && good.given[5] == 0 && good.got == good.given[1]);
    struct image image = image_of(world, world->dir, 0, ".ylog");
    struct yd__footer footer = footer_of(&image);
    assert_true(footer.index_count >= 3 && footer.batches >= 10);
    struct yd_fs *before = world->fs;
    for (size_t at = footer.data_end; at < image.size; at += UNIT_SPARSE) {
        assert_int_equal(yd_sim_fs_clone(before, at, &world->fs), 0);
        flip_sealed(&image, at, at % 8, false);
        put_image(world, 0, ".ylog", &image);
        flip_sealed(&image, at, at % 8, false);
        ask(world, &now);
        if (memcmp(&good, &now, sizeof good) != 0) print_message("# byte %zu\n", at - (size_t)footer.data_end);
        assert_memory_equal(&good, &now, sizeof good);
        assert_int_equal(yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL), YD_ECORRUPT);
        if (at % 7 == 0) { /* and opened, and mended: of the frames themselves */
            struct making making = {.segment_size = 400 << 10};
            struct yd_log *log = open_made(world, &making);
            settle(log);
            ask(world, &now);
            assert_memory_equal(&good, &now, sizeof good);
            assert_int_equal(world_close(world, log), 0);
            struct yd_log_repair how = {.fs = world->fs, .dir = world->dir};
            assert_int_equal(yd_log_repair_dir(&how, NULL, NULL), 0);
            assert_whole(world);
            struct image mended = image_of(world, world->dir, 0, ".ylog");
            assert_int_equal(mended.size, image.size);
            assert_memory_equal(mended.bytes, image.bytes, image.size);
            free(mended.bytes);
        }
        yd_sim_fs_destroy(world->fs);
    }
    world->fs = before;
    free(image.bytes);
}

/* A footer whose checksums are right is believed; verify compares all of it with the frames. */
static void verify_tells_every_flipped_byte_of_footer_and_index_also_with_right_checksums(void **state)
{
    struct world *world = *state;
    make_ranged(world);
    assert_whole(world);
    struct image image = image_of(world, world->dir, 0, ".ylog"), changed = image;
    struct yd__footer footer = footer_of(&image);
    changed.bytes = malloc(image.size);
    for (size_t at = footer.data_end; at < image.size; at += UNIT_SPARSE) {
        memcpy(changed.bytes, image.bytes, image.size);
        flip_sealed(&changed, at, at % 8, true);
        if (memcmp(changed.bytes, image.bytes, image.size) == 0) continue; /* the checksums themselves */
        put_image(world, 0, ".ylog", &changed);
        int error = yd_log_verify_dir(world->fs, world->dir, NULL, NULL, NULL);
        if (error != YD_ECORRUPT) print_message("# byte %zu\n", at - (size_t)footer.data_end);
        assert_int_equal(error, YD_ECORRUPT);
        struct answers now; /* whatever it says: no crash, and nothing that was not there */
        ask(world, &now);
        if (at % 5) continue;
        struct yd_log_repair how = {.fs = world->fs, .dir = world->dir}; /* and repair makes it of the frames */
        assert_int_equal(yd_log_repair_dir(&how, NULL, NULL), 0);
        struct image mended = image_of(world, world->dir, 0, ".ylog");
        assert_int_equal(mended.size, image.size);
        assert_memory_equal(mended.bytes, image.bytes, image.size);
        free(mended.bytes);
    }
    put_image(world, 0, ".ylog", &image);
    assert_whole(world);
    free(changed.bytes);
    free(image.bytes);
}

/* A segment that has lost its footer is sealed again: of what has rotted in it nobody knows the names. */
static void what_rotted_before_a_footer_was_made_anew_is_told_to_readers_with_a_pattern(void **state)
{
    struct world *world = *state;
    make_ranged(world);
    struct image image = image_of(world, world->dir, 0, ".ylog");
    struct yd__footer footer = footer_of(&image);
    struct yd_header header;
    struct yd_fs *before = world->fs;
    for (unsigned number = 0; number < footer.batches; number++) {
        uint64_t frame = frame_at(&image, number, &header), missing;
        for (int body = 0; body < 2; body++) {
            assert_int_equal(yd_sim_fs_clone(before, number, &world->fs), 0);
            flip(world, 0, ".ylog", frame + (body ? 300 : 40));
            flip(world, 0, ".ylog", image.size - 20);
            struct making making = {.segment_size = 400 << 10};
            struct yd_log *log = open_made(world, &making);
            settle(log);
            assert_int_equal(world_close(world, log), 0);
            for (int kinds = 0; kinds < 2; kinds++) {
                uint64_t records = given(world, kinds ? "zz*" : patterns[0], "aa", &missing);
                assert_int_equal(missing, RECORDS);
                if (!kinds) assert_int_equal(records, (number < 10 ? 9 : 10) * RECORDS);
            }
            yd_sim_fs_destroy(world->fs);
        }
    }
    world->fs = before;
    free(image.bytes);
}

#define SIM(test) cmocka_unit_test_setup_teardown(test, world_setup_sim, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM(every_flipped_byte_of_footer_and_index_costs_readers_with_a_pattern_nothing),
        SIM(verify_tells_every_flipped_byte_of_footer_and_index_also_with_right_checksums),
        SIM(what_rotted_before_a_footer_was_made_anew_is_told_to_readers_with_a_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
