/* bench-decom: packets into measurements, on one core, batches sealed and checksummed as they leave.
 *
 *   what is measured     packets ─▶ yd_decoder_take ─▶ records in a batch ─▶ sealed (names, checksum) ─▶ dropped
 *   the floor beside it  the same records by memcpy from a template, and the checksum over them: what no decoder gets
 * below
 *
 * Each figure is the best of several rounds, in processor time: what else runs on the machine is not counted. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "decom/plan.h"

#define PACKETS 4096
#define ROUNDS  7

static const struct layout {
    const char *name, *ydm;
    unsigned size, fields;
} layouts[] = {
    {"20 fields, big-endian, aligned",
     "packet p\n  id u16 = 1 hidden\n"
     "  a u16[8]\n  b i16[4] scale 0.1\n  c u32[4]\n  d f32[2]\n  e u8\n  f f64\n  ...\n",
     64, 20},
    {"20 fields, any bits, half of them calibrated",
     "packet p\n  id u16 = 1 hidden\n"
     "  a u12[4]\n  b i11[4] scale 0.25 offset -10\n  c u3[2]\n  d bool[2]\n  e u24[4] scale 2\n  f i32[4]\n  "
     "...\n",
     64, 20},
    {"20 fields, little-endian bitfields",
     "bits lsb0\npacket p\n  id u16be = 1 hidden\n  a u12[8]\n  b i20[4]\n  c u5[4] scale 0.5\n  d u1[4]\n  ...\n", 64,
     20},
    {"20 fields, 4 of them enumerations",
     "packet p\n  id u16 = 1 hidden\n  a u16[8]\n  b i16[8] scale 0.1\n"
     "  m u8 at 40 { 0..63 SAFE, 64..127 ARMED, 128..255 BOOST }\n  n u8 { 0..99 SAFE, else ARMED }\n"
     "  o u8 { 0..63 SAFE, 64..127 ARMED, 128..255 BOOST }\n  q u8 { 0..99 SAFE, else ARMED }\n  ...\n",
     64, 20},
    {"a count, and so many groups of two (10)",
     "packet p\n  id u16 = 1 hidden\n  n u8 hidden\n  g group[n, max 10]\n    a u16\n    b i16 scale 0.1\n  ...\n", 64,
     20},
    {"200 fields", "packet p\n  id u16 = 1 hidden\n  a u16[100]\n  b i32[50] scale 0.1\n  c f32[50]\n  ...\n", 602,
     200},
};

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void drop(void *arg, struct yd_batch *batch)
{
    *(uint64_t *)arg += batch->view.count;
    yd_batch_unref(batch);
}

static int measure(const struct layout *layout, const char *all, double floor)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan *plan;
    struct yd_decoder *decoder;
    uint64_t values = 0;
    yd_diagnostics_init(&diagnostics, NULL);
    if (yd_plan_read(layout->name, yd_str_of(layout->ydm), NULL, &diagnostics, &plan) < 0) {
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        yd_diagnostics_print(&diagnostics, false, &text);
        fprintf(stderr, "%.*s\n", (int)text.size, text.data);
        return 1;
    }
    struct yd_decoder_options options = {.arg = &values, .batch = drop};
    if (yd_decoder_create(plan, &options, NULL, &decoder) < 0) return 1;
    double best = 1e9;
    uint64_t each = 0;
    for (int round = 0; round < ROUNDS; round++) {
        values = 0;
        double begin = now();
        for (int turn = 0; turn < 16; turn++)
            for (int i = 0; i < PACKETS; i++)
                if (yd_decoder_take(decoder, i, (struct yd_str){all + (size_t)i * layout->size, layout->size}))
                    return 1;
        if (yd_decoder_flush(decoder) < 0) return 1;
        double took = now() - begin;
        if (took < best) best = took;
        each = values;
    }
    double packets = 16.0 * PACKETS;
    printf("%-46s %6.2f M packets/s %8.1f M values/s %6.1f ns/value   floor %5.1f ns/value\n", layout->name,
           packets / best / 1e6, (double)each / best / 1e6, best / (double)each * 1e9, floor);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
    yd_diagnostics_fini(&diagnostics);
    return 0;
}

/* Copying finished records of 24 bytes into a fresh megabyte, and their checksum. */
static double floor_ns(void)
{
    enum { COUNT = 43000 };
    static struct yd_record template[1000];
    double best = 1e9;
    uint32_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = now();
        for (int turn = 0; turn < 20; turn++) {
            struct yd_record *to = malloc(COUNT * sizeof *to);
            if (!to) return 0;
            for (int i = 0; i < COUNT / 1000; i++) memcpy(to + i * 1000, template, sizeof template);
            sum += yd_crc32c(0, to, COUNT * sizeof *to);
            free(to);
        }
        double took = (now() - begin) / 20 / COUNT * 1e9;
        if (took < best) best = took;
    }
    if (sum == 1) puts("");
    return best;
}

/* A definition of 100 packets of 100 fields, read, checked, compiled. */
static int measure_load(void)
{
    struct yd_buf text;
    double best = 1e9;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "definition big\ncontainer h\n  id u16\n");
    for (int i = 0; i < 100; i++) {
        yd_buf_printf(&text, "packet p%d : h when id == %d\n", i, i);
        for (int j = 0; j < 100; j++)
            yd_buf_printf(&text, "  f%d u12 %s unit \"V\"\n", j, j % 2 ? "{ 0 OFF, 1 ON, else ODD }" : "scale 0.5");
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct yd_diagnostics diagnostics;
        struct yd_plan *plan;
        yd_diagnostics_init(&diagnostics, NULL);
        double begin = now();
        if (yd_plan_read("big", yd_buf_view(&text), NULL, &diagnostics, &plan) < 0) return 1;
        double took = now() - begin;
        if (took < best) best = took;
        yd_plan_destroy(plan);
        yd_diagnostics_fini(&diagnostics);
    }
    yd_buf_fini(&text);
    printf("%-46s %6.1f ms\n", "a .ydm of 10,000 parameters, to a plan", best * 1e3);
    return 0;
}

int main(void)
{
    double floor = floor_ns();
    int failed = 0;
    printf(
        "decom: one core, batches of 1 MiB sealed and dropped; the floor is memcpy and checksum of the same records\n");
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        char *all = malloc((size_t)PACKETS * layouts[i].size);
        if (!all) return 1;
        uint32_t seed = 1;
        for (size_t j = 0; j < (size_t)PACKETS * layouts[i].size; j++)
            all[j] = (char)((seed = seed * 1103515245 + 12345) >> 16);
        for (size_t j = 0; j < PACKETS; j++) {
            all[j * layouts[i].size] = 0;
            all[j * layouts[i].size + 1] = 1;
            all[j * layouts[i].size + 2] = 10;
        }
        failed |= measure(&layouts[i], all, floor);
        free(all);
    }
    failed |= measure_load();
    printf("goals: 40 M values/s, 2.5 M packets/s of 20 fields, 10,000 parameters in 50 ms\n");
    return failed;
}
