/* bench-parse: metric lines in memory to sealed batches, one core.
 *
 * Graphite lines and OpenTSDB's telnet put, 1 k and 100 k names in random order, in reads of 256 KiB as a socket would
 * bring them. Beside each, in the same run and in turn with it, the raw floor: memchr over the same bytes.
 * Usage: bench-parse [--json] [--core N] [--format graphite|put] [--names N] [SECONDS PER CELL] [BATCH KiB]
 * Runs on one core, the last there is unless told. Rounds are timed in CPU time of the thread, kernel's included, so
 * that who else wants the core does not count; "wall" is the median by the clock on the wall. A cell is the median of
 * its rounds, and beside it the best of them: what the code can do when the machine is left alone. Spread is from the
 * 10th to the 90th percentile, in percent of the median. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

struct figures {
    double median, best, spread; /* seconds a round; percent */
    double wall;                 /* seconds a round */
    size_t rounds;
};

struct rounds {
    double cpu[ROUNDS_MAX], wall[ROUNDS_MAX], cpu_start, wall_start;
    size_t count;
};

static void round_start(struct rounds *rounds)
{
    rounds->wall_start = now(CLOCK_MONOTONIC);
    rounds->cpu_start = now(CLOCK_THREAD_CPUTIME_ID);
}

static void round_end(struct rounds *rounds)
{
    rounds->cpu[rounds->count] = now(CLOCK_THREAD_CPUTIME_ID) - rounds->cpu_start;
    rounds->wall[rounds->count++] = now(CLOCK_MONOTONIC) - rounds->wall_start;
}

static struct figures figures_of(struct rounds *rounds)
{
    size_t count = rounds->count;
    double *cpu = rounds->cpu, *wall = rounds->wall;
    qsort(cpu, count, sizeof *cpu, by_value);
    qsort(wall, count, sizeof *wall, by_value);
    double median = cpu[count / 2], spread = (cpu[count - 1 - count / 10] - cpu[count / 10]) / median * 100;
    return (struct figures){median, cpu[0], spread, wall[count / 2], count};
}

static void report(const char *what, const struct figures *figures)
{
    printf("  %-24s %7.2f M lines/s   best %7.2f   %6.2f ns a line   spread %5.1f %%   wall %7.2f   %zu rounds\n", what,
           LINES / figures->median / 1e6, LINES / figures->best / 1e6, figures->median / LINES * 1e9, figures->spread,
           LINES / figures->wall / 1e6, figures->rounds);
}

static void report_json(const char *what, const struct figures *figures)
{
    printf("\"%s\": {\"lines_per_s\": %.0f, \"best_lines_per_s\": %.0f, \"wall_lines_per_s\": %.0f, "
           "\"spread_percent\": %.1f, \"rounds\": %zu}",
           what, LINES / figures->median, LINES / figures->best, LINES / figures->wall, figures->spread,
           figures->rounds);
}

static void cell(bool graphite, uint32_t names, double seconds, size_t batch_bytes, bool json)
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
    static struct rounds ours, floors;
    ours.count = floors.count = 0;
    double end = now(CLOCK_MONOTONIC) + seconds;
    parse(lines, text + YD_LINE_PAD, size); /* the names are learned */
    sums = (struct sums){0};
    while (ours.count < ROUNDS_MAX && (ours.count < 3 || now(CLOCK_MONOTONIC) < end)) {
        round_start(&ours);
        parse(lines, text + YD_LINE_PAD, size);
        round_end(&ours);
        round_start(&floors);
        if (scan(text + YD_LINE_PAD, size) != LINES) abort();
        round_end(&floors);
    }
    size_t count = ours.count;
    if (sums.records != (uint64_t)LINES * count || sums.rejects) {
        fprintf(stderr, "bench-parse: %llu records of %llu\n", (unsigned long long)sums.records,
                (unsigned long long)LINES * count);
        exit(1);
    }
    const char *format = graphite ? "graphite" : "telnet put";
    double line_bytes = (double)size / LINES, record_bytes = (double)sums.bytes / (double)sums.records;
    double batch = (double)sums.bytes / (double)sums.batches;
    struct figures our = figures_of(&ours), floor = figures_of(&floors);
    if (json) {
        printf("{\"format\": \"%s\", \"names\": %u, \"bytes_per_line\": %.2f, \"bytes_per_record\": %.2f, "
               "\"bytes_per_batch\": %.0f, ",
               format, names, line_bytes, record_bytes, batch);
        report_json("parse", &our);
        printf(", ");
        report_json("memchr", &floor);
        printf("}");
    } else {
        printf("%s, %u names: %.1f bytes a line, %.1f bytes a record in %.0f KiB batches\n", format, names, line_bytes,
               record_bytes, batch / 1024);
        report("lines to sealed batches", &our);
        report("floor: memchr over them", &floor);
    }
    fflush(stdout);
    yd_lines_destroy(lines);
    free(text);
}

/* A thread that wanders between cores leaves its caches behind. */
static void pin(int core)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return;
    for (int i = 0; core < 0 && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(CPU_SETSIZE - 1 - i, &allowed)) core = CPU_SETSIZE - 1 - i;
    CPU_ZERO(&one);
    if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &one);
    if (sched_setaffinity(0, sizeof one, &one) < 0) fprintf(stderr, "bench-parse: not pinned to core %d\n", core);
}

int main(int argc, char **argv)
{
    bool json = false;
    int core = -1, i = 1;
    const char *only_format = NULL;
    uint32_t only_names = 0;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--core") == 0 && i + 1 < argc) {
            core = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--format") == 0 && i + 1 < argc) {
            only_format = argv[++i];
        } else if (strcmp(argv[i], "--names") == 0 && i + 1 < argc) {
            only_names = (uint32_t)atoi(argv[++i]);
        } else {
            fprintf(stderr,
                    "usage: bench-parse [--json] [--core N] [--format graphite|put] [--names N] [SECONDS PER CELL] "
                    "[BATCH KiB]\n");
            return 2;
        }
    }
    double seconds = i < argc ? atof(argv[i]) : 1.5;
    size_t batch_bytes = (i + 1 < argc ? (size_t)atoi(argv[i + 1]) : 1024) << 10;
    pin(core);
    const char *separator = "[";
    for (int graphite = 1; graphite >= 0; graphite--) {
        if (only_format && strcmp(only_format, graphite ? "graphite" : "put") != 0) continue;
        for (uint32_t names = only_names ? only_names : 1000; names <= YD_MAX(only_names, 100000u); names *= 100) {
            if (only_names && names != only_names) break;
            if (json) printf("%s", separator);
            separator = ",\n ";
            cell(graphite, names, seconds, batch_bytes, json);
        }
    }
    if (json) printf("]\n");
    return 0;
}
