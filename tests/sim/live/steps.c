/* steps: every execution of both ends of the shared memory, over the very code, in a memory that does whatever C
 * allows.
 *
 *   steps            all scenarios hold; then each order in the code is weakened, one half at a time: some scenario
 * must fail steps --plain [--first PART]    the scenarios alone: for sources that a mutant was put into (mutants.py)
 *
 * memory.c says how it works and what it covers. TAP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#include "live/bell_wait.h"
#include "live/ring_read.h"
#include "live/ring_write.h"
#include "live/table_read.h"
#include "live/table_write.c" /* what is private to it is put back before each execution */
#include "live/triple_read.h"
#include "live/triple_write.h"

static struct yd_live_table *table, *wide, *dense;
static struct yd_live_bell bell;
static struct yd_live_cell cell, wide_cell, dense_cell;
static struct yd_live_mapping bell_mapping;
static struct yd_live_triple triple_start, triple;
static struct yd_live_triple_reader triple_reader;
static struct yd_live_mapping triple_mapping, control_mapping;
static struct yd_live_ring ring_start, ring, lossless_start, lossless;
static struct yd_live_mapping ring_mapping;
static struct yd_live_ring_reader ring_reader_start, ring_reader, lossless_reader_start, lossless_reader;

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0) {                                                                                              \
            fprintf(stderr, "%s failed\n", #call);                                                                     \
            exit(2);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Value v: each word of it tells v. */
static void publish(uint64_t v)
{
    (void)yd_live_table_set_bits(table, 0, (int64_t)(v * 10 + 1), YD_U64, (uint16_t)v, v * 1000 + 7);
    yd_live_table_ring(table);
}

static void check_value(const struct yd_live_value *value)
{
    if (value->time_ns != (int64_t)(value->seq * 10 + 1) || value->flags != value->seq || value->size != 8 ||
        value->bits != value->seq * 1000 + 7)
        step_wrong("torn value");
}

static void reset_table(void)
{
    table = wide;
    cell = wide_cell;
    table->cells[0].seq = 0;
    table->rung = 0;
    table->bell_count = 0;
}

/* Two slots, as feeds and sources have them. */
static void reset_dense(void)
{
    table = dense;
    cell = dense_cell;
    table->rung = 0;
}

static void reset_bell(void)
{
    reset_table();
    table->bell_count = 1;
    memset(bell.sequences, 0, sizeof bell.sequences);
}

/* Enough for the writer to come round to a slot and once more. */
static void write_six(void)
{
    for (uint64_t v = 1; v <= 6; v++) publish(v);
}

static void write_three(void)
{
    for (uint64_t v = 1; v <= 3; v++) publish(v);
}

static void get_twice(void)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t last = 0;
    for (int i = 0; i < 2; i++) {
        int got = yd_live_cell_get(&cell, &cursor, NULL, 0, &value);
        if (got == YD_EAGAIN && last == 0) continue;
        if (got < 0) step_wrong("get failed");
        if (got == 0) continue;
        check_value(&value);
        if (value.seq <= last) step_wrong("backward value");
        if (value.missed != (last ? value.seq - last - 1 : 0)) step_wrong("missed is wrong");
        last = value.seq;
    }
}

static void next_twice(void)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t last = 0;
    for (int i = 0; i < 2; i++) {
        int got = yd_live_cell_next(&cell, &cursor, NULL, 0, &value);
        if (got == YD_EAGAIN && last == 0) continue;
        if (got < 0) step_wrong("next failed");
        if (got == 0) continue;
        check_value(&value);
        if (value.seq <= last) step_wrong("backward value");
        if (value.missed != (last ? value.seq - last - 1 : 0)) step_wrong("missed is wrong");
        last = value.seq;
    }
}

static uint64_t awaited;

static void write_awaited(void)
{
    for (uint64_t v = 1; v <= awaited; v++) publish(v);
}

/* As bell_wait.h says: look, arm, check, sleep. To look is the first load of a get: what it does with that is above. */
static bool is_there(void)
{
    return yd__load(cell.head, RELAXED) == awaited;
}

static void wait_for_last(void)
{
    while (!is_there()) {
        struct yd_live_sleep sleep = yd_live_bell_arm(&bell_mapping, cell.bell);
        if (is_there()) break;
        step_futex_wait(sleep.word, sleep.seen);
    }
}

static bool never(unsigned thread)
{
    (void)thread;
    return false;
}

/* Somebody armed and was killed: his bit stays. */
static void arm_and_die(void)
{
    (void)yd_live_bell_arm(&bell_mapping, cell.bell);
}

static uint64_t wakes_before;
static void reset_killed(void)
{
    reset_bell();
    awaited = 3;
    wakes_before = bell.wakes;
}
static bool one_wake_at_most(void)
{
    return bell.wakes - wakes_before <= 1;
}
static void reset_wait_once(void)
{
    reset_bell();
    awaited = 1;
}
static void reset_wait_thrice(void)
{
    reset_bell();
    awaited = 3;
}

static void reset_triple(void)
{
    triple = triple_start;
    memset(&triple_reader, 0, sizeof triple_reader);
    MUST(yd_live_triple_reader_open(&triple_mapping, &control_mapping, &triple_reader));
}

static void put_triple(uint64_t v)
{
    uint64_t bits = v * 1000 + 7;
    (void)yd_live_triple_put(&triple, (int64_t)(v * 10 + 1), YD_U64, (uint16_t)v, &bits, 8);
}

static void put_four(void)
{
    for (uint64_t v = 1; v <= 4; v++) put_triple(v);
}

static bool take_one(void)
{
    const void *bytes;
    struct yd_live_value value;
    uint64_t last = triple_reader.seq, bits;
    int got = yd_live_triple_take(&triple_reader, &bytes, &value);
    if (got < 0) step_wrong("take failed");
    if (got == 0) return false;
    yd__plain_copy_out(&bits, bytes, 8);
    check_value(&value);
    if (bits != value.bits) step_wrong("torn value");
    if (value.seq <= last) step_wrong("backward value");
    if (value.missed != value.seq - last - 1) step_wrong("missed is wrong");
    return true;
}

static void take_four(void)
{
    for (int i = 0; i < 4; i++) (void)take_one();
}

/* {writer's, middle, reader's} are three, and what the middle says of news is true. */
static bool a_permutation(void)
{
    uint32_t word = (uint32_t)step_newest(triple.word, 4);
    unsigned mask = 1u << triple.mine | 1u << (word & YD__TRIPLE_INDEX) | 1u << triple_reader.mine;
    bool newer = triple.seq != triple_reader.seq;
    return mask == 7 && newer == ((word & YD__TRIPLE_DIRTY) != 0);
}

static void put_three(void)
{
    for (uint64_t v = 1; v <= 3; v++) put_triple(v);
}

static void take_until_third(void)
{
    while (triple_reader.seq != 3) {
        struct yd_live_sleep sleep;
        if (take_one() || yd_live_triple_arm(&triple_reader, &sleep)) continue;
        step_futex_wait(sleep.word, sleep.seen);
    }
}

static void reset_ring(void)
{
    ring = ring_start;
    ring_reader = ring_reader_start;
}

/* Records of 64 bytes, of which a reader that wants no more takes the first word. */
static int put_record(struct yd_live_ring *to, uint64_t ordinal)
{
    uint64_t words[4] = {ordinal * 1000 + 7};
    return yd_live_ring_put(to, (uint32_t)ordinal + 1, (int64_t)ordinal * 10, YD_BLOB, (uint16_t)(ordinal + 3), words,
                            32);
}

static void check_event(const struct yd_live_event *event)
{
    uint64_t n = event->ordinal;
    if (event->index != (uint32_t)n + 1 || event->time_ns != (int64_t)n * 10 || event->flags != (uint16_t)(n + 3) ||
        event->bits != n * 1000 + 7)
        step_wrong("torn record");
}

/* The ring has room for four. */
static void put_six(void)
{
    for (uint64_t i = 0; i < 6; i++) {
        (void)put_record(&ring, i);
        yd_live_ring_commit(&ring);
    }
}

static void read_two(void)
{
    uint64_t expected = 0;
    for (int i = 0; i < 2; i++) {
        struct yd_live_event event;
        int got = yd_live_ring_next(&ring_reader, NULL, 0, &event);
        if (got < 0) step_wrong("next failed");
        if (got == 0) continue;
        check_event(&event);
        if (event.ordinal < expected) step_wrong("backward record");
        if (event.lost != event.ordinal - expected) step_wrong("lost is wrong");
        expected = event.ordinal + 1;
    }
}

static void open_and_read(void)
{
    if (yd_live_ring_reader_open(&ring_mapping, NULL, &ring_reader)) step_wrong("open failed");
    struct yd_live_event event;
    ring_reader.size = ring.size, ring_reader.mask = ring.mask;
    uint64_t expected = ring_reader.ordinal;
    if (!ring_reader.counted) expected = ring_reader.position / 64;
    if (expected * 64 != ring_reader.position) step_wrong("the ordinal does not belong to the place");
    int got = yd_live_ring_next(&ring_reader, NULL, 0, &event);
    if (got < 0) step_wrong("next failed");
    if (got == 0) return;
    check_event(&event);
    if (event.lost != event.ordinal - expected) step_wrong("lost is wrong");
}

static void put_two(void)
{
    for (uint64_t i = 0; i < 2; i++) {
        (void)put_record(&ring, i);
        yd_live_ring_commit(&ring);
    }
}

static void reset_lossless(void)
{
    lossless = lossless_start;
    lossless_reader = lossless_reader_start;
}

/* Four are there, and no room for more: the writer must wait for credit. */
static void put_one_waiting(void)
{
    for (uint64_t i = 4; i < 5; i++) {
        while (put_record(&lossless, i)) {
            uint32_t seen, *word = yd_live_ring_arm(&lossless, &seen);
            if (put_record(&lossless, i) == 0) break;
            step_futex_wait(word, seen);
        }
        yd_live_ring_commit(&lossless);
    }
}

static void read_one_crediting(void)
{
    for (uint64_t expected = 0; expected < 1; expected++) {
        struct yd_live_event event;
        if (yd_live_ring_next(&lossless_reader, NULL, 0, &event) != 1) step_wrong("next failed");
        check_event(&event);
        if (event.ordinal != expected || event.lost) step_wrong("lossless lost something");
        yd_live_ring_credit(&lossless_reader);
    }
}

static bool five_are_there(void)
{
    return step_newest(&lossless.shared->head, 8) == 5 * 64;
}

static const struct scenario scenarios[] = {
    {"slots: six published, two got", "table_", reset_table, {write_six, get_twice}, NULL, NULL, 24, 40000000},
    {"slots, dense, two of them: three published, two got",
     "table_",
     reset_dense,
     {write_three, get_twice},
     NULL,
     NULL,
     24,
     40000000},
    {"slots: six published, two asked for in turn",
     "table_",
     reset_table,
     {write_six, next_twice},
     NULL,
     NULL,
     15,
     40000000},
    {"bell: one published, two wait",
     "bell",
     reset_wait_once,
     {write_awaited, wait_for_last, wait_for_last},
     never,
     NULL,
     60,
     40000000},
    {"bell: three published, one waits",
     "bell",
     reset_wait_thrice,
     {write_awaited, wait_for_last},
     never,
     NULL,
     60,
     40000000},
    {"bell: a killed waiter costs one wake",
     "bell",
     reset_killed,
     {write_awaited, arm_and_die},
     NULL,
     one_wake_at_most,
     60,
     40000000},
    {"triple: four put, four taken", "triple", reset_triple, {put_four, take_four}, NULL, a_permutation, 60, 40000000},
    {"triple: the reader sleeps until the third",
     "triple",
     reset_triple,
     {put_three, take_until_third},
     never,
     a_permutation,
     60,
     40000000},
    {"ring: six put into room for four, two read", "ring", reset_ring, {put_six, read_two}, NULL, NULL, 40, 40000000},
    {"ring: opened while two are put", "ring", reset_ring, {put_two, open_and_read}, NULL, NULL, 30, 40000000},
    {"ring, lossless: one waits for room",
     "ring",
     reset_lossless,
     {put_one_waiting, read_one_crediting},
     never,
     five_are_there,
     60,
     40000000},
};

/* Orders without which nothing goes wrong: in this file, what the line has, which half, and why it is there. */
static const struct {
    const char *file, *text;
    int order;
    const char *why;
} unneeded[] = {
    {"table_write.c", "slot[YD__SLOT_SEQ], seq", RELEASE,
     "head's release covers the words too; mutants.py takes both away"},
    {"table_write.c", "cell->head, seq", RELEASE, "the slot's release covers the words; mutants.py takes both away"},
    {"table_read.c", "slot[YD__SLOT_SEQ], ACQUIRE", ACQUIRE,
     "head's acquire covers the words too; mutants.py takes both away"},
    {"table_read.c", "yd__load(cell->head, ACQUIRE)", ACQUIRE,
     "the slot's acquire covers the words; mutants.py takes both away"},
    {"ring_write.c", "ring->credit->consumed, ACQUIRE", ACQUIRE,
     "keeps loads before stores: this memory puts off no load"},
    {"ring_read.c", "reader->credit->consumed, reader", RELEASE,
     "keeps loads before stores: this memory puts off no load"},
    {NULL, NULL, 0, NULL},
};

static void open_mapping(const struct yd_live_region *region, enum yd__live_kind kind, struct yd_live_mapping *to)
{
    MUST(yd_live_mapping_open(region->fd, kind, to));
    step_alias(to->header, region->header, region->size);
}

/* Small enough to be seen whole: room for four records. */
static void make_ring(bool lossless_one, struct yd_live_ring *to, struct yd_live_ring_reader *reader)
{
    struct yd_live_mapping mapping, credit;
    MUST(yd_live_ring_create(&(struct yd_live_ring_options){.size = 4096, .lossless = lossless_one}, to));
    yd_live_ring_set_state(to, YD__LIVE_READY);
    to->size = to->limit = 256;
    to->mask = 255;
    to->segment_shift = 2;
    open_mapping(&to->region, YD__LIVE_RING, &mapping);
    if (lossless_one) open_mapping(&to->credit_region, YD__LIVE_CREDIT, &credit);
    MUST(yd_live_ring_reader_open(&mapping, lossless_one ? &credit : NULL, reader));
    reader->size = 256, reader->mask = 255;
    if (!lossless_one) ring_mapping = mapping;
}

static void make_table(const struct yd_live_table_options *options, struct yd_live_table **to,
                       struct yd_live_cell *to_cell)
{
    uint32_t index;
    struct yd_live_mapping mapping;
    struct yd_live_table_view view;
    MUST(yd_live_table_create(options, NULL, to));
    MUST(yd_live_table_declare(*to, YD_STR("n"), YD_U64, 0, &index));
    yd_live_region_set_state(&(*to)->region, YD__LIVE_READY);
    open_mapping(&(*to)->region, YD__LIVE_TABLE, &mapping);
    MUST(yd_live_table_view_open(&mapping, &view));
    MUST(yd_live_table_view_cell(&view, 0, to_cell));
}

static void make_all(void)
{
    make_table(&(struct yd_live_table_options){.capacity = 1}, &wide, &wide_cell);
    make_table(&(struct yd_live_table_options){.capacity = 1, .slots = 2, .is_dense = true}, &dense, &dense_cell);
    MUST(yd_live_bell_create(0, 0, 0, &bell));
    MUST(yd_live_table_add_bell(wide, &bell));
    open_mapping(&bell.region, YD__LIVE_BELL, &bell_mapping);
    MUST(yd_live_triple_create(8, 0, 0, 0, &triple_start));
    yd_live_region_set_state(&triple_start.region, YD__LIVE_READY);
    open_mapping(&triple_start.region, YD__LIVE_TRIPLE, &triple_mapping);
    open_mapping(&triple_start.control, YD__LIVE_BELL, &control_mapping);
    make_ring(false, &ring_start, &ring_reader_start);
    make_ring(true, &lossless_start, &lossless_reader_start);
    for (uint64_t i = 0; i < 4; i++) MUST(put_record(&lossless_start, i));
    yd_live_ring_commit(&lossless_start);
    step_settle();
}

static unsigned told; /* lines of TAP */

/* file: only scenarios of what it belongs to; NULL: all. */
static const char *run_all(bool tell, const char *file)
{
    const char *first = NULL;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (file && !strstr(file, scenarios[i].of)) continue;
        uint64_t executions, cuts;
        const char *wrong = explore(&scenarios[i], &executions, &cuts);
        if (tell) {
            told++;
            printf("%sok - %s: %llu executions, %llu cut%s%s\n", wrong ? "not " : "", scenarios[i].name,
                   (unsigned long long)executions, (unsigned long long)cuts, wrong ? ": " : "", wrong ? wrong : "");
            fflush(stdout);
        }
        if (wrong && !first) first = wrong;
        if (wrong && !tell) return wrong;
    }
    return first;
}

static void read_line(const char *file, int line, char *to, size_t size)
{
    FILE *from = fopen(file, "r");
    *to = 0;
    for (int i = 0; from && i < line && fgets(to, (int)size, from); i++) continue;
    if (from) fclose(from);
    to[strcspn(to, "\n")] = 0;
}

static const char *reason(const char *file, const char *text, int order)
{
    for (size_t i = 0; unneeded[i].file; i++)
        if (strstr(file, unneeded[i].file) && strstr(text, unneeded[i].text) && unneeded[i].order == order)
            return unneeded[i].why;
    return NULL;
}

/* Each order in the code is there for a reason: without it something goes wrong. */
static int weaken_each(void)
{
    int bad = 0, line, order;
    const char *file;
    for (unsigned number = 0; weaken(number, &file, &line, &order); number++) {
        char text[300];
        read_line(file, line, text, sizeof text);
        const char *wrong = run_all(false, file), *why = reason(file, text, order);
        bad += !wrong == !why;
        told++;
        const char *name = strrchr(file, '/');
        printf("%sok - without %s in %s:%d (%s): %s\n", !wrong == !why ? "not " : "",
               order == ACQUIRE ? "acquire" : "release", name ? name + 1 : file, line, text + strspn(text, " "),
               wrong ? wrong
               : why ? why
                     : "nothing went wrong");
        fflush(stdout);
    }
    return bad;
}

int main(int argc, char **argv)
{
    make_all();
    forget_sites();
    if (argc == 4) return run_all(true, strcmp(argv[3], "slots") == 0 ? "table_" : argv[3]) != NULL;
    bool bad = run_all(true, NULL) != NULL;
    if (argc < 2) bad |= weaken_each() > 0;
    printf("1..%u\n", told);
    return bad;
}
