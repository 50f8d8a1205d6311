/* The ring and the triple buffer, both ends in one thread. */
#include "testing.h"

#include <sys/mman.h>

#include "live/ring_read.h"
#include "live/ring_write.h"
#include "live/triple_read.h"
#include "live/triple_write.h"

/* A value whose bytes tell its ordinal. */
static uint32_t make(struct yd_rng *rng, uint64_t ordinal, unsigned char *to, uint32_t most)
{
    uint32_t size = (uint32_t)yd_rng_below(rng, most + 1);
    for (uint32_t i = 0; i < size; i++) to[i] = (unsigned char)(ordinal * 31 + i * 7);
    return size;
}

static void a_ring_gives_all_in_order_or_says_exactly_what_is_missing(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int round = 0; round < 30; round++) {
        struct yd_live_ring ring;
        struct yd_live_mapping mapping;
        struct yd_live_ring_reader reader;
        struct yd_live_ring_options options = {.size = UINT64_C(4096) << yd_rng_below(&rng, 4), .id = 1};
        assert_int_equal(yd_live_ring_create(&options, &ring), 0);
        yd_live_ring_set_state(&ring, YD__LIVE_READY);
        assert_int_equal(yd_live_mapping_open(ring.region.fd, YD__LIVE_RING, &mapping), 0);
        assert_int_equal(yd_live_ring_reader_open(&mapping, NULL, &reader), 0);
        uint64_t put = 0, next = 0;
        unsigned char from[600], to[600];
        uint32_t most = round % 3 == 0 ? 8 : round % 3 == 1 ? 64 : 600;
        for (int step = 0; step < 3000; step++) {
            uint64_t more = yd_rng_below(&rng, yd_rng_chance(&rng, 20) ? 300 : 12);
            for (uint64_t i = 0; i < more; i++, put++) {
                uint32_t size = make(&rng, put, from, most);
                assert_int_equal(
                    yd_live_ring_put(&ring, (uint32_t)put, (int64_t)put * 5, YD_BLOB, (uint16_t)put, from, size), 0);
            }
            yd_live_ring_commit(&ring);
            for (uint64_t reads = yd_rng_below(&rng, 20); reads; reads--) {
                struct yd_live_event event;
                int got = yd_live_ring_next(&reader, to, sizeof to, &event);
                if (got == 0) assert_true(next <= put && !yd_live_ring_ready(&reader));
                if (got == 0) break;
                assert_int_equal(got, 1);
                assert_true(event.ordinal == next + event.lost && event.index == (uint32_t)event.ordinal);
                assert_true(event.time_ns == (int64_t)event.ordinal * 5 && event.flags == (uint16_t)event.ordinal);
                for (uint32_t i = 0; i < event.size; i++)
                    assert_int_equal(to[i], (unsigned char)(event.ordinal * 31 + i * 7));
                next = event.ordinal + 1;
            }
        }
        struct yd_live_event event;
        while (yd_live_ring_next(&reader, to, sizeof to, &event) == 1) next = event.ordinal + 1;
        assert_true(next == put); /* the newest is always given */
        yd_live_mapping_close(&mapping);
        yd_live_ring_destroy(&ring);
    }
}

static void a_ring_whose_writer_died_inside_a_commit_is_opened_and_counted_from_its_first_record(void **state)
{
    (void)state;
    struct yd_live_ring ring;
    struct yd_live_mapping mapping;
    struct yd_live_ring_reader reader;
    struct yd_live_event event;
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 4096}, &ring), 0);
    yd_live_ring_set_state(&ring, YD__LIVE_READY);
    assert_int_equal(yd_live_mapping_open(ring.region.fd, YD__LIVE_RING, &mapping), 0);
    for (uint64_t i = 0; i < 5; i++) assert_int_equal(yd_live_ring_put(&ring, 0, 0, YD_U64, 0, &i, 8), 0);
    yd_live_ring_commit(&ring);
    ring.shared->after--; /* it had not come to that store */
    assert_int_equal(yd_live_ring_reader_open(&mapping, NULL, &reader), 0);
    assert_int_equal(yd_live_ring_next(&reader, NULL, 0, &event), 0);
    for (uint64_t i = 5; i < 8; i++) assert_int_equal(yd_live_ring_put(&ring, 0, 0, YD_U64, 0, &i, 8), 0);
    yd_live_ring_commit(&ring);
    for (uint64_t i = 5; i < 8; i++) {
        assert_int_equal(yd_live_ring_next(&reader, NULL, 0, &event), 1);
        assert_true(event.ordinal == i && event.bits == i && event.lost == 0);
    }
    yd_live_mapping_close(&mapping);
    yd_live_ring_destroy(&ring);
}

static void a_lossless_ring_refuses_without_credit_and_loses_nothing(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_live_ring ring;
    struct yd_live_mapping mapping, credit;
    struct yd_live_ring_reader reader;
    struct yd_live_ring_options options = {.size = 8192, .lossless = true};
    assert_int_equal(yd_live_ring_create(&options, &ring), 0);
    yd_live_ring_set_state(&ring, YD__LIVE_READY);
    assert_int_equal(yd_live_mapping_open(ring.region.fd, YD__LIVE_RING, &mapping), 0);
    assert_int_equal(yd_live_mapping_open(ring.credit_region.fd, YD__LIVE_CREDIT, &credit), 0);
    assert_int_equal(yd_live_ring_reader_open(&mapping, NULL, &reader), YD_EFORMAT);
    assert_int_equal(yd_live_ring_reader_open(&mapping, &credit, &reader), 0);
    uint64_t put = 0, next = 0, refused = 0;
    unsigned char from[200], to[200];
    for (int step = 0; step < 20000; step++) {
        for (uint64_t more = yd_rng_below(&rng, 80); more; more--) {
            uint32_t size = make(&rng, put, from, 200);
            int error = yd_live_ring_put(&ring, 1, 0, YD_BLOB, 0, from, size);
            if (error) {
                assert_int_equal(error, YD_EAGAIN);
                refused++;
                uint32_t seen, *word = yd_live_ring_arm(&ring, &seen);
                assert_true(*word == seen && (seen & 1));
                break;
            }
            put++;
        }
        yd_live_ring_commit(&ring);
        struct yd_live_event event;
        for (uint64_t reads = yd_rng_below(&rng, 80); reads; reads--) {
            if (yd_live_ring_next(&reader, to, sizeof to, &event) != 1) break;
            assert_true(event.ordinal == next && event.lost == 0);
            for (uint32_t i = 0; i < event.size; i++) assert_int_equal(to[i], (unsigned char)(next * 31 + i * 7));
            next++;
        }
        if (yd_rng_chance(&rng, 5)) {
            yd_live_ring_credit(&reader);
            /* The reader was restarted: it goes on where its credit stands. */
            assert_int_equal(yd_live_ring_reader_open(&mapping, &credit, &reader), 0);
        }
    }
    assert_true(refused > 100 && put > 10000);
    /* A credit that nobody can have given is not taken. */
    uint64_t *consumed = &((struct yd__credit *)(uintptr_t)credit.header)->consumed;
    static const uint64_t impossible[] = {8, UINT64_C(1) << 20, UINT64_C(1) << 62};
    uint64_t before = ring.position;
    for (int i = 0; i < 3; i++) {
        *consumed = ring.committed + impossible[i];
        while (yd_live_ring_put(&ring, 1, 0, YD_BLOB, 0, from, 200) == 0)
            assert_true(ring.position - before <= ring.size);
    }
    yd_live_mapping_close(&mapping);
    yd_live_mapping_close(&credit);
    yd_live_ring_destroy(&ring);
}

static void rings_and_records_of_impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct yd_live_ring ring;
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 5000}, &ring), YD_EINVAL);
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 2048}, &ring), YD_EINVAL);
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 4096}, &ring), 0);
    char large[2048] = "";
    assert_int_equal(yd_live_ring_put(&ring, 0, 0, YD_BLOB, 0, large, 1024 - 32), 0);
    assert_int_equal(yd_live_ring_put(&ring, 0, 0, YD_BLOB, 0, large, 1024 - 31), YD_ETOOBIG);
    assert_int_equal(yd_live_ring_put(&ring, 0, 0, YD_BLOB, 0, large, UINT32_MAX), YD_ETOOBIG);
    yd_live_ring_destroy(&ring);
}

static void a_triple_buffer_gives_the_latest_and_counts_what_it_overwrote(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_live_triple triple;
    struct yd_live_mapping buffers, control;
    struct yd_live_triple_reader reader;
    assert_int_equal(yd_live_triple_create(100, 1, 2, 3, &triple), 0);
    yd_live_triple_set_state(&triple, YD__LIVE_READY);
    assert_int_equal(yd_live_mapping_open(triple.region.fd, YD__LIVE_TRIPLE, &buffers), 0);
    assert_int_equal(yd_live_mapping_open(triple.control.fd, YD__LIVE_BELL, &control), 0);
    assert_int_equal(yd_live_triple_reader_open(&buffers, &control, &reader), 0);
    uint64_t put = 0, seen = 0, missed = 0;
    const void *bytes = NULL;
    struct yd_live_value value;
    for (int step = 0; step < 100000; step++) {
        if (yd_rng_chance(&rng, 2)) {
            unsigned char from[100];
            put++;
            memset(from, (int)put, sizeof from);
            assert_int_equal(yd_live_triple_put(&triple, (int64_t)put, YD_BLOB, 0, from, (uint32_t)(put % 101)), 0);
        } else {
            int got = yd_live_triple_take(&reader, &bytes, &value);
            assert_int_equal(got, put > seen);
            if (!got) continue;
            assert_true(value.seq == put && value.missed == put - seen - 1 && value.size == put % 101);
            missed += value.missed;
            seen = put;
        }
        for (uint32_t i = 0; seen && i < value.size; i++)
            assert_int_equal(((const unsigned char *)bytes)[i], (uint8_t)seen);
    }
    assert_true(triple.overwritten == missed + (put > seen ? put - seen - 1 : 0));
    assert_int_equal(yd_live_triple_put(&triple, 0, YD_BLOB, 0, "", 101), YD_ETOOBIG);
    while (yd_live_triple_take(&reader, &bytes, &value)) continue;
    /* Armed with nothing there, rung by what comes, not armed when something is there. */
    struct yd_live_sleep sleep;
    assert_int_equal(yd_live_triple_arm(&reader, &sleep), 0);
    assert_int_equal(*sleep.word, sleep.seen);
    assert_int_equal(yd_live_triple_put(&triple, 0, YD_BLOB, 0, "", 0), 0);
    assert_int_equal(triple.wakes, 1);
    assert_int_equal(yd_live_bell_sleep(&sleep, 1, INT64_MAX), 0);
    assert_int_equal(yd_live_triple_arm(&reader, &sleep), YD_EAGAIN);
    /* Whatever a reader scribbles, the writer keeps writing into buffers. */
    for (uint32_t scribble = 0; scribble < 64; scribble++) {
        *triple.word = scribble << (scribble % 28);
        assert_int_equal(yd_live_triple_put(&triple, 0, YD_BLOB, 0, "abc", 3), 0);
        assert_true(triple.mine <= 2 && (*triple.word & 3) != triple.mine);
    }
    assert_true(triple.damaged > 0);
    yd_live_mapping_close(&buffers);
    yd_live_mapping_close(&control);
    yd_live_triple_destroy(&triple);
}

/* Whatever lies in the memory: a reader refuses, or reads something, and never leaves it. Behind it is a page that
 * nobody may touch. */
static void a_damaged_ring_or_triple_buffer_is_never_left(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct yd_live_ring ring;
    struct yd_live_triple triple;
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 4096}, &ring), 0);
    yd_live_ring_set_state(&ring, YD__LIVE_READY);
    assert_int_equal(yd_live_triple_create(100, 1, 2, 3, &triple), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(yd_live_ring_put(&ring, 1, 1, YD_BLOB, 0, "0123456789abcdef0123456789", 26), 0);
    yd_live_ring_commit(&ring);
    uint64_t size = YD_MAX(ring.region.size, triple.region.size);
    uint8_t *room = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + size, 4096, PROT_NONE), 0);
    static unsigned char to[8192];
    unsigned got = 0;
    for (int round = 0; round < 3000; round++) {
        struct yd_live_event event;
        struct yd_live_ring_reader reader;
        uint64_t used = sizeof(struct yd__ring) + 4096; /* without what is left of the last page */
        uint8_t *at = room + size - used;
        memcpy(at, ring.region.header, used);
        struct yd_live_mapping mapping = {(const struct yd__live_header *)(const void *)at, used, false};
        if (round % 3 == 0) /* its parameters */
            at[YD__LIVE_PARAMETERS + yd_rng_below(&rng, 24)] =
                (uint8_t)(yd_rng_chance(&rng, 3) ? 0xff : yd_rng_next(&rng));
        if (yd_live_ring_reader_open(&mapping, NULL, &reader)) continue;
        assert_true(reader.data >= at && reader.data + reader.size <= room + size);
        reader.position = 0;
        for (int k = 0; k < 40; k++)
            at[sizeof(struct yd__ring) + yd_rng_below(&rng, 4096)] =
                (uint8_t)(yd_rng_chance(&rng, 3) ? 0xff : yd_rng_next(&rng));
        ((struct yd__ring *)(void *)at)->head = yd_rng_chance(&rng, 4) ? yd_rng_next(&rng) : 4096;
        if (yd_rng_chance(&rng, 4)) ((struct yd__ring *)(void *)at)->marks[63] = yd_rng_next(&rng);
        reader.position = yd_rng_chance(&rng, 2) ? 4096 - 32 : 0;
        *(uint64_t *)(void *)(at + sizeof(struct yd__ring) + 4096 - 32) =
            YD__RECORD_WORD(32 + 8 * yd_rng_below(&rng, 4), 1);
        for (int reads = 0; reads < 50 && yd_live_ring_next(&reader, to, sizeof to, &event) == 1; reads++) got++;
    }
    assert_true(got > 0);
    /* A last record that says it goes on behind the end of the data, where the forbidden page is. */
    uint8_t *last = room + size - 4096 - sizeof(struct yd__ring);
    memcpy(last, ring.region.header, sizeof(struct yd__ring) + 4096);
    struct yd_live_mapping end = {(const struct yd__live_header *)(const void *)last, sizeof(struct yd__ring) + 4096,
                                  false};
    struct yd_live_ring_reader behind;
    struct yd_live_event nothing;
    ((struct yd__ring *)(void *)last)->head = 4096 + 64;
    ((struct yd__ring *)(void *)last)->claimed = 4096 + 64;
    assert_int_equal(yd_live_ring_reader_open(&end, NULL, &behind), 0);
    behind.position = 4096 - 32;
    ((uint64_t *)(void *)(room + size - 32))[0] = YD__RECORD_WORD(64, 1);
    ((uint64_t *)(void *)(room + size - 32))[3] = YD__META(32, YD_BLOB, 0);
    assert_int_equal(yd_live_ring_next(&behind, to, sizeof to, &nothing), YD_EFORMAT);
    for (uint32_t word = 0; word < 16; word++) { /* every index, those too that are none */
        struct yd_live_triple_reader reader;
        struct yd_live_mapping control = {triple.control.header, triple.control.size, true};
        const void *bytes;
        struct yd_live_value value;
        uint8_t *at = room + size - triple.region.size;
        memcpy(at, triple.region.header, triple.region.size);
        struct yd_live_mapping buffers = {(const struct yd__live_header *)(const void *)at, triple.region.size, false};
        assert_int_equal(yd_live_triple_reader_open(&buffers, &control, &reader), 0);
        *triple.word = word | YD__TRIPLE_DIRTY;
        int taken = yd_live_triple_take(&reader, &bytes, &value);
        assert_int_equal(taken, (word & 3) == 3 ? YD_EFORMAT : 1);
        if (taken == 1) assert_true((const uint8_t *)bytes + 100 <= room + size);
    }
    assert_int_equal(munmap(room, size + 4096), 0);
    yd_live_ring_destroy(&ring);
    yd_live_triple_destroy(&triple);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_gives_all_in_order_or_says_exactly_what_is_missing),
        cmocka_unit_test(a_ring_whose_writer_died_inside_a_commit_is_opened_and_counted_from_its_first_record),
        cmocka_unit_test(a_lossless_ring_refuses_without_credit_and_loses_nothing),
        cmocka_unit_test(rings_and_records_of_impossible_sizes_are_refused),
        cmocka_unit_test(a_damaged_ring_or_triple_buffer_is_never_left),
        cmocka_unit_test(a_triple_buffer_gives_the_latest_and_counts_what_it_overwrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
