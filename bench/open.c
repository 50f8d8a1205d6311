/* bench-open: what opening, seeking, verifying and compressing a stream cost, beside the raw floor of each.
 *
 *   segments [N]      N (10,000) segments: readers opened and placed; floor: opendir and readdir of the folder
 *
 *   recover [MIB]     a stream of so many MiB (10,240), its writer killed; opening it again; then verify beside reading
 *                     the same files, page cache warm and cold (posix_fadvise DONTNEED)
 *
 *   compress [MIB]    ingest of the same batches with and without twins, and the ratio they reach
 *
 * DIR is made anew below the folder given, on a real disk, and removed. */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <yarder/log.h>

#include "base/base.h"

#define SECOND INT64_C(1000000000)

static char dir[4096];

static double now_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void check(int error, const char *what)
{
    if (error >= 0) return;
    fprintf(stderr, "%s: %s\n", what, yd_error_text(error));
    exit(1);
}

static void clean(void)
{
    char command[4200];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) exit(1);
}

static long rss_kib(void)
{
    long pages = 0, skipped;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &skipped, &pages) != 2) pages = 0;
    if (file) (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static struct yd_log *open_log(struct yd_log_options options)
{
    struct yd_trail trail = {0};
    struct yd_log *log;
    options.dir = dir;
    options.stream = "bench/0";
    if (yd_log_open(&options, &log, NULL, &trail) < 0) {
        fprintf(stderr, "%s\n", yd_trail_text(&trail));
        exit(1);
    }
    return log;
}

/* `records` samples of `names` names, walking values: what a metrics stream looks like. */
static struct yd_batch *make(struct yd_builder *builder, uint64_t mark, uint32_t records, uint32_t names,
                             int64_t time_ns)
{
    struct yd_batch *batch;
    for (uint32_t i = 0; i < records; i++) {
        char text[64];
        uint32_t name;
        int size = snprintf(text, sizeof text, "servers.host%03u.cpu.user", (unsigned)((mark + i) % names));
        union yd_value value = {.f64 = (double)((mark * 7 + i * 13) % 1000) / 8};
        check(yd_builder_name(builder, (struct yd_str){text, (size_t)size}, &name), "a name");
        check(yd_builder_add(builder, time_ns + i, name, YD_SAMPLE, YD_F64, 0, value), "adding");
    }
    check(yd_builder_seal(builder, &batch), "sealing");
    return batch;
}

static uint64_t append(struct yd_log *log, const struct yd_batch *batch)
{
    struct yd_log_appended appended;
    int error;
    while ((error = yd_log_append(log, batch, -1, UINT64_MAX, &appended)) == YD_EFULL) {
        struct yd_log_position position;
        yd_log_position(log, &position);
        check(yd_log_wait(log, position.written + 1, YD_ACK_WRITTEN), "waiting for room");
    }
    check(error, "appending");
    return appended.next;
}

static struct yd_log_reader *open_reader(struct yd_log *log, struct yd_log_start start)
{
    struct yd_log_reader *reader;
    check(log ? yd_log_reader_open(log, &start, &reader) : yd_log_reader_open_dir(NULL, dir, &start, &reader, NULL),
          "a reader");
    return reader;
}

/* Opens a reader at a start and takes its first batch. */
static void place(const char *what, struct yd_log *log, struct yd_log_start start, int rounds)
{
    double started = now_s();
    for (int i = 0; i < rounds; i++) {
        struct yd_log_reader *reader = open_reader(log, start);
        struct yd_batch *batch;
        if (yd_log_reader_next(reader, &batch, NULL) == 0) yd_batch_unref(batch);
        yd_log_reader_close(reader);
    }
    printf("%-44s %10.1f us\n", what, (now_s() - started) / rounds * 1e6);
}

static void floor_of_listing(void)
{
    double started = now_s();
    int found = 0;
    for (int i = 0; i < 20; i++) {
        DIR *folder = opendir(dir);
        while (folder && readdir(folder)) found++;
        if (folder) closedir(folder);
    }
    printf("%-44s %10.1f us (%d entries)\n", "floor: opendir, readdir", (now_s() - started) / 20 * 1e6, found / 20);
}

static void segments(uint64_t wanted)
{
    struct yd_builder *builder;
    struct yd_log_position position;
    check(yd_builder_create(NULL, &builder), "a builder");
    struct yd_log *log = open_log(
        (struct yd_log_options){.segment_size_min = 64 << 10, .segment_size_max = 64 << 10, .index_names = true});
    uint64_t next = 0, mark = 0;
    do {
        struct yd_batch *batch = make(builder, mark, 2000, 100, (int64_t)(mark + 1) * SECOND);
        next = append(log, batch);
        check(yd_log_flush(log), "flushing");
        yd_batch_unref(batch);
        if (++mark % 200 == 0) check(yd_log_maintain(log), "maintaining");
        yd_log_position(log, &position);
    } while (position.segments < wanted);
    check(yd_log_close(log), "closing");
    yd_builder_destroy(builder);
    printf("%llu segments, %llu records\n", (unsigned long long)position.segments, (unsigned long long)next);
    floor_of_listing();
    long before = rss_kib();
    double started = now_s();
    log = open_log((struct yd_log_options){.index_names = true});
    printf("%-44s %10.1f us\n", "open the log", (now_s() - started) * 1e6);
    printf("%-44s %10ld KiB\n", "memory of the open log", rss_kib() - before);
    for (int by_log = 0; by_log < 2; by_log++) {
        struct yd_log *of = by_log ? log : NULL;
        printf("%s\n", by_log ? "the writer's own reader:" : "a reader of the folder:");
        place("  open, the oldest", of, (struct yd_log_start){.from = YD_FROM_OLDEST}, 50);
        place("  open, a seqno in the middle", of, (struct yd_log_start){.from = YD_FROM_SEQNO, .seqno = next / 2}, 50);
        place("  open, a time in the middle", of,
              (struct yd_log_start){.from = YD_FROM_TIME, .time_ns = (int64_t)(mark / 2) * SECOND}, 5);
        place("  open, a time at the end", of,
              (struct yd_log_start){.from = YD_FROM_TIME, .time_ns = (int64_t)mark * SECOND}, 5);
        place("  open, a name that is nowhere, to the end", of,
              (struct yd_log_start){.from = YD_FROM_OLDEST, .names = "no.such.name"}, 1);
        struct yd_log_reader *readers[100];
        before = rss_kib();
        for (int i = 0; i < 100; i++) {
            struct yd_batch *batch;
            readers[i] =
                open_reader(of, (struct yd_log_start){.from = YD_FROM_SEQNO, .seqno = next / 100 * (uint64_t)i});
            if (yd_log_reader_next(readers[i], &batch, NULL) == 0) yd_batch_unref(batch);
        }
        printf("%-44s %10.1f KiB\n", "  memory of a reader in the files", (double)(rss_kib() - before) / 100);
        for (int i = 0; i < 100; i++) yd_log_reader_close(readers[i]);
    }
    check(yd_log_close(log), "closing");
}

/* ---- recovery, verify ---- */

static void write_and_die(uint64_t mib)
{
    struct yd_builder *builder;
    struct yd_builder_options big = {.size_max = YD_BATCH_SIZE_MAX};
    check(yd_builder_create(&big, &builder), "a builder");
    struct yd_log *log = open_log((struct yd_log_options){0});
    check(yd_log_start(log), "starting");
    struct yd_batch *batch = make(builder, 1, (1 << 20) / 24 - 200, 100, SECOND);
    uint64_t next = 0;
    for (uint64_t i = 0; i < mib; i++) next = append(log, batch);
    check(yd_log_wait(log, next, YD_ACK_DURABLE), "waiting");
    (void)kill(getpid(), SIGKILL);
}

static double read_files(bool cold, uint64_t *ret_bytes)
{
    static char buffer[1 << 20];
    glob_t files;
    char pattern[4200];
    (void)snprintf(pattern, sizeof pattern, "%s/*.ylog", dir);
    if (glob(pattern, 0, NULL, &files)) exit(1);
    for (int pass = 0; pass < 2; pass++) { /* the pages go first, of all; then time counts */
        double started = now_s();
        *ret_bytes = 0;
        for (size_t i = 0; i < files.gl_pathc; i++) {
            int fd = open(files.gl_pathv[i], O_RDONLY | O_CLOEXEC);
            if (pass == 0 && cold) (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            for (ssize_t have; pass == 1 && (have = read(fd, buffer, sizeof buffer)) > 0;) *ret_bytes += (uint64_t)have;
            (void)close(fd);
        }
        if (pass == 1) {
            globfree(&files);
            return now_s() - started;
        }
    }
    return 0;
}

static void drop_pages(void)
{
    glob_t files;
    char pattern[4200];
    (void)snprintf(pattern, sizeof pattern, "%s/*.ylog", dir);
    if (glob(pattern, 0, NULL, &files)) exit(1);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        int fd = open(files.gl_pathv[i], O_RDONLY | O_CLOEXEC);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
    globfree(&files);
}

static void recover(uint64_t mib)
{
    pid_t child = fork();
    if (child == 0) write_and_die(mib);
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) exit(1);
    for (int cold = 0; cold < 2; cold++) {
        if (cold) { /* as the crash left it: the first opening mended the page, so the second is of a writer killed idle
                     */
            child = fork();
            if (child == 0) write_and_die(64);
            if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) exit(1);
            drop_pages();
        }
        double started = now_s();
        struct yd_log *log = open_log((struct yd_log_options){0});
        double took = now_s() - started;
        struct yd_log_position position;
        yd_log_position(log, &position);
        printf("recovery after kill -9, pages %s: %.3f s, %.2f GiB, %llu segments\n", cold ? "cold" : "warm", took,
               (double)position.bytes / (double)(UINT64_C(1) << 30), (unsigned long long)position.segments);
        check(yd_log_close(log), "closing");
    }
    for (int cold = 0; cold < 2; cold++) {
        uint64_t bytes;
        if (!cold) (void)read_files(false, &bytes);
        double raw = read_files(cold, &bytes);
        if (cold) drop_pages();
        double started = now_s();
        check(yd_log_verify_dir(NULL, dir, NULL, NULL, NULL), "verifying");
        double ours = now_s() - started;
        printf("pages %s: read %.2f GB/s, verify %.2f GB/s, share %.2f\n", cold ? "cold" : "warm",
               (double)bytes / raw / 1e9, (double)bytes / ours / 1e9, raw / ours);
    }
}

/* ---- compression ---- */

/* Of segments that have both: the files' bytes over their twins'. */
static double ratio(void)
{
    glob_t files;
    char pattern[4200];
    double raw = 0, small = 0;
    (void)snprintf(pattern, sizeof pattern, "%s/*.yzst", dir);
    if (glob(pattern, 0, NULL, &files)) return 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char path[4200];
        struct stat twin, segment;
        size_t size = strlen(files.gl_pathv[i]);
        (void)snprintf(path, sizeof path, "%.*s.ylog", (int)size - 5, files.gl_pathv[i]);
        if (stat(files.gl_pathv[i], &twin) || stat(path, &segment)) continue;
        raw += (double)segment.st_size;
        small += (double)twin.st_size;
    }
    globfree(&files);
    return small > 0 ? raw / small : 0;
}

static void compress(uint64_t mib)
{
    struct yd_builder *builder;
    struct yd_builder_options big = {.size_max = 1 << 20};
    check(yd_builder_create(&big, &builder), "a builder");
    static struct yd_batch *batches[64];
    for (uint64_t i = 0; i < YD_COUNT(batches); i++)
        batches[i] = make(builder, i * 977, 2500, 100, (int64_t)i * SECOND);
    for (int round = 0; round < 6; round++) {
        bool twins = round % 2;
        clean();
        struct yd_log_options options = {.compress_after_ns = twins ? INT64_C(3600) * SECOND : 0,
                                         .segment_size_min = 8 << 20};
        struct yd_log *log = open_log(options);
        check(yd_log_start(log), "starting");
        double started = now_s(), cpu = cpu_s();
        uint64_t next = 0, bytes = 0;
        for (uint64_t i = 0; bytes < mib << 20; i++) {
            next = append(log, batches[i % YD_COUNT(batches)]);
            bytes += batches[i % YD_COUNT(batches)]->header.size;
        }
        check(yd_log_wait(log, next, YD_ACK_DURABLE), "waiting");
        double took = now_s() - started;
        printf("ingest, twins %s: %.0f MB/s durable", twins ? "on" : "off", (double)bytes / took / 1e6);
        struct yd_log_stat stat = {0}, before = {0};
        double last = now_s();
        while (twins && now_s() - last < 4) { /* until nothing more is made */
            struct timespec pause = {0, 50000000};
            check(yd_log_stat_dir(NULL, dir, &stat, NULL), "a look");
            if (stat.twins != before.twins) last = now_s();
            before = stat;
            nanosleep(&pause, NULL);
        }
        if (twins)
            printf("; twins of %llu of %llu segments %.1f s after the begin, CPU %.1f s in all, ratio %.2f",
                   (unsigned long long)stat.twins, (unsigned long long)stat.segments, last - started, cpu_s() - cpu,
                   ratio());
        else
            printf("; CPU %.1f s", cpu_s() - cpu);
        printf("\n");
        check(yd_log_close(log), "closing");
    }
    for (uint64_t i = 0; i < YD_COUNT(batches); i++) yd_batch_unref(batches[i]);
    yd_builder_destroy(builder);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "segments";
    uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    (void)snprintf(dir, sizeof dir, "%s/bench-open-stream/0", argc > 1 ? argv[1] : "/var/tmp");
    clean();
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "segments") == 0)
        segments(number ? number : 10000);
    else if (strcmp(what, "recover") == 0)
        recover(number ? number : 10240);
    else
        compress(number ? number : 1024);
    clean();
    return 0;
}
