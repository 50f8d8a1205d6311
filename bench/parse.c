/* bench-parse: metric lines in memory to sealed batches, one core.
 *
 * Graphite lines and OpenTSDB's telnet put, 1 k and 100 k names in random order, in reads of 256 KiB as a socket would
 * bring them. Beside each, in the same run and in turn with it, the raw floor: memchr over the same bytes.
 * Usage: bench-parse [SECONDS PER CELL] [BATCH KiB]. A cell is the median of its rounds; spread is (max - min) /
 * median. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "elements/lines.h"

#define LINES      400000
#define ROUNDS_MAX 201
#define READ       (256 << 10)

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct sums {
    uint64_t records, bytes, batches, rejects;
};

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct sums *sums = arg;
    sums->records += batch->header.count;
    sums->bytes += batch->header.size;
    sums->batches++;
    yd_batch_unref(batch);
}

static void on_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    (void)reason, (void)line;
    ((struct sums *)arg)->rejects++;
}

static void on_command(void *arg, struct yd_str line)
{
    on_reject(arg, YD_LINE_COMMAND, line);
}

/* The whole text, padded so that reading around a line near its ends is allowed. */
static char *make_text(bool graphite, uint32_t names, size_t *ret_size)
{
    struct yd_rng rng;
    yd_rng_init(&rng, 42);
    char *text = malloc((size_t)LINES * 128 + 2 * YD_LINE_PAD), *p = text + YD_LINE_PAD;
    for (uint32_t i = 0; i < LINES; i++) {
        uint32_t name = (uint32_t)yd_rng_below(&rng, names);
        unsigned whole = (unsigned)yd_rng_below(&rng, 1000), part = (unsigned)yd_rng_below(&rng, 100);
        unsigned time = 1700000000u + i / 10000;
        if (graphite)
            p += sprintf(p, "servers.web%05u.cpu%u.load_%u %u.%02u %u\n", name / 10, name % 10, name % 7, whole, part,
                         time);
        else
            p += sprintf(p, "put sys.cpu.load_%u %u %u.%02u host=web%05u cpu=%u\n", name % 7, time, whole, part,
                         name / 10, name % 10);
    }
    *ret_size = (size_t)(p - text) - YD_LINE_PAD;
    return text;
}

static uint64_t scan(const char *data, size_t size)
{
    uint64_t lines = 0;
    for (const char *p = data, *end = data + size; p < end; lines++) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p) break;
        p++;
    }
    return lines;
}

static void parse(struct yd_lines *lines, const char *data, size_t size)
{
    while (size) {
        size_t used = yd_lines_parse(lines, data, YD_MIN(size, (size_t)READ));
        data += used, size -= used;
    }
    yd_lines_flush(lines);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, double *rounds, size_t count, double cpu)
{
    qsort(rounds, count, sizeof *rounds, by_value);
    double median = rounds[count / 2];
    printf("  %-28s %7.2f M lines/s   %6.2f ns a line   spread %4.1f %%   %zu rounds   %.2f CPU s\n", what,
           LINES / median / 1e6, median / LINES * 1e9, (rounds[count - 1] - rounds[0]) / median * 100, count, cpu);
}

static void cell(bool graphite, uint32_t names, double seconds, size_t batch_bytes)
{
    size_t size;
    char *text = make_text(graphite, names, &size);
    struct sums sums = {0};
    struct yd_lines_options options = {.format = graphite ? &yd_graphite_format : &yd_opentsdb_format,
                                       .sink = {&sums, on_batch, on_reject, on_command},
                                       .batch_bytes = batch_bytes,
                                       .seed = 7};
    struct yd_lines *lines;
    if (yd_lines_create(&options, &lines) < 0) abort();
    yd_lines_set_now(lines, 1);
    static double ours[ROUNDS_MAX], floors[ROUNDS_MAX];
    double cpu_ours = 0, cpu_floor = 0, end = now(CLOCK_MONOTONIC) + seconds;
    size_t count = 0;
    parse(lines, text + YD_LINE_PAD, size); /* the names are learned */
    sums = (struct sums){0};
    for (; count < ROUNDS_MAX && (count < 3 || now(CLOCK_MONOTONIC) < end); count++) {
        double t = now(CLOCK_MONOTONIC), c = now(CLOCK_THREAD_CPUTIME_ID);
        parse(lines, text + YD_LINE_PAD, size);
        ours[count] = now(CLOCK_MONOTONIC) - t, cpu_ours += now(CLOCK_THREAD_CPUTIME_ID) - c;
        t = now(CLOCK_MONOTONIC), c = now(CLOCK_THREAD_CPUTIME_ID);
        if (scan(text + YD_LINE_PAD, size) != LINES) abort();
        floors[count] = now(CLOCK_MONOTONIC) - t, cpu_floor += now(CLOCK_THREAD_CPUTIME_ID) - c;
    }
    if (sums.records != (uint64_t)LINES * count || sums.rejects) {
        fprintf(stderr, "bench-parse: %llu records of %llu\n", (unsigned long long)sums.records,
                (unsigned long long)LINES * count);
        exit(1);
    }
    printf("%s, %u names: %.1f bytes a line, %.1f bytes a record in %.0f KiB batches\n",
           graphite ? "graphite" : "telnet put", names, (double)size / LINES, (double)sums.bytes / (double)sums.records,
           (double)sums.bytes / (double)sums.batches / 1024);
    report("lines to sealed batches", ours, count, cpu_ours);
    report("floor: memchr over them", floors, count, cpu_floor);
    yd_lines_destroy(lines);
    free(text);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1.5;
    size_t batch_bytes = (argc > 2 ? (size_t)atoi(argv[2]) : 1024) << 10;
    for (int graphite = 1; graphite >= 0; graphite--)
        for (uint32_t names = 1000; names <= 100000; names *= 100) cell(graphite, names, seconds, batch_bytes);
    return 0;
}
