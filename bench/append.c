/* bench-append: durable appends beside the raw floor of the same device, interleaved: ours, floor, ours, floor.
 *
 *   floor: pwrite + fdatasync of the same size, one after the other, into space that was zero-written (or fallocated)
 *          and synced before.
 *   ours:  yd_log_append, `depth` batches in flight, each called done when its durable position is there.
 *
 *   bench-append [FOLDER] [ROUNDS] [64k | 1m | records | messages]     FOLDER on the device to measure, default "."
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

#define ROUNDS_MAX 31

struct measure {
    double seconds[ROUNDS_MAX], cpu[ROUNDS_MAX];
    int count;
};

static double clock_s(clockid_t id)
{
    struct timespec at;
    clock_gettime(id, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static double started, cpu_started;
static void begin(void)
{
    started = clock_s(CLOCK_MONOTONIC);
    cpu_started = clock_s(CLOCK_PROCESS_CPUTIME_ID);
}
static void end(struct measure *measure)
{
    measure->seconds[measure->count] = clock_s(CLOCK_MONOTONIC) - started;
    measure->cpu[measure->count++] = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_started;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(const double *values, int count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, sizeof *values * (size_t)count);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return sorted[count / 2];
}

_Noreturn static void die(const char *what, int error)
{
    fprintf(stderr, "bench-append: %s: %s\n", what, yd_error_text(error));
    exit(1);
}

/* ---- the floor ---- */

static void floor_run(const char *folder, bool zeros, size_t size, uint64_t count, struct measure *measure)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/floor", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) die("open", YD_EIO);
    static char block[1 << 20];
    uint64_t bytes = (size * count + sizeof block - 1) / sizeof block * sizeof block;
    memset(block, 0, sizeof block);
    if (zeros)
        for (uint64_t at = 0; at < bytes; at += sizeof block)
            if (pwrite(fd, block, sizeof block, (off_t)at) != (ssize_t)sizeof block) die("zeros", YD_EIO);
    if (!zeros && fallocate(fd, 0, 0, (off_t)bytes)) die("fallocate", YD_EIO);
    if (fsync(fd)) die("fsync", YD_EIO);
    char *data = malloc(size);
    memset(data, 'x', size);
    begin();
    for (uint64_t i = 0; i < count; i++) {
        if (pwrite(fd, data, size, (off_t)(i * size)) != (ssize_t)size || fdatasync(fd)) die("floor", YD_EIO);
    }
    end(measure);
    free(data);
    close(fd);
    unlink(path);
}

/* ---- ours ---- */

static uint64_t random_id(void *arg)
{
    (void)arg;
    return 42;
}
static int64_t wall(void *arg)
{
    (void)arg;
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return at.tv_sec * YD_NS_PER_S + at.tv_nsec;
}

static struct yd_log *open_log(const char *folder, bool threads, uint64_t bytes)
{
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/log", folder);
    struct yd_log_options options = {
        .fs = yd_fs_linux(), .dir = dir, .stream = "bench/0", .random = random_id, .wall = wall, .retain_bytes = bytes};
    struct yd_log *log;
    struct yd_trail trail = {0};
    int error = yd_log_open(&options, &log, NULL, &trail);
    if (error) die(yd_trail_text(&trail), error);
    if (threads && (error = yd_log_start(log))) die("start", error);
    return log;
}

static void close_log(struct yd_log *log, const char *folder)
{
    int error = yd_log_close(log);
    if (error) die("close", error);
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s/log'", folder);
    if (system(command) != 0) die("rm", YD_EIO);
}

/* `records` events of 76 bytes of text: 100 bytes each with the record. */
static struct yd_batch *make_batch(uint32_t records, size_t text_size)
{
    static struct yd_builder *builder;
    int error = 0;
    if (!builder) error = yd_builder_create(&(struct yd_builder_options){.size_max = 16 << 20}, &builder);
    uint32_t name;
    if (!error) error = yd_builder_name(builder, YD_STR("bench"), &name);
    char *text = malloc(text_size);
    memset(text, 'x', text_size);
    for (uint32_t i = 0; i < records && !error; i++)
        error = yd_builder_add_bytes(builder, i, name, YD_EVENT, YD_TEXT, 0, (struct yd_str){text, text_size});
    free(text);
    struct yd_batch *batch;
    if (!error) error = yd_builder_seal(builder, &batch);
    if (error) die("batch", error);
    return batch;
}

/* One batch whose frame has just this size. */
static struct yd_batch *sized_batch(size_t size)
{
    struct yd_batch *batch = make_batch(1, size - 256);
    size_t over = batch->header.size;
    yd_batch_unref(batch);
    batch = make_batch(1, size - 256 - (over > size ? over - size : 0) + (over < size ? size - over : 0));
    if (batch->header.size != size) die("frame size", YD_EFAIL);
    return batch;
}

static void ours_run(const char *folder, bool threads, const struct yd_batch *batch, uint64_t count, uint32_t depth,
                     bool build, struct measure *measure)
{
    /* Warm: the segment size has found the rate, as in a stream that runs. */
    struct yd_log *log = open_log(folder, threads, 0);
    struct yd_log_appended appended = {0};
    uint64_t next[65536] = {0}, warm = count / 4 + 1;
    int error = 0;
    for (uint64_t i = 0; i < warm + count && !error; i++) {
        if (i == warm) begin();
        const struct yd_batch *one = build ? make_batch(1000, 76) : batch;
        while ((error = yd_log_append(log, one, -1, UINT64_MAX, &appended)) == YD_EFULL)
            if ((error = yd_log_wait(log, next[(i + 1 - depth / 2) % depth], YD_ACK_DURABLE))) break;
        if (build) yd_batch_unref((struct yd_batch *)one);
        next[i % depth] = appended.next;
        if (!error && i + 1 >= depth && (i + 1) % (depth > 64 ? depth / 4 : 1) == 0)
            error = yd_log_wait(log, next[(i + 1) % depth], YD_ACK_DURABLE);
    }
    if (!error) error = yd_log_wait(log, appended.next, YD_ACK_DURABLE);
    if (error) die("append", error);
    end(measure);
    close_log(log, folder);
}

static void print(const char *what, const struct measure *measure, double count, double bytes, double *ret_median)
{
    double middle = median(measure->seconds, measure->count), low = middle, high = middle;
    for (int i = 0; i < measure->count; i++) {
        low = measure->seconds[i] < low ? measure->seconds[i] : low;
        high = measure->seconds[i] > high ? measure->seconds[i] : high;
    }
    printf("  %-34s %9.1f us each  %8.1f MB/s  %11.0f records/s   spread %.2f..%.2f   cpu %.3f s\n", what,
           middle / count * 1e6, bytes / middle / 1e6, count / middle, low / middle, high / middle,
           median(measure->cpu, measure->count));
    *ret_median = middle;
}

static void throughput(const char *folder, int rounds, size_t size, uint64_t count)
{
    struct yd_batch *batch = sized_batch(size);
    struct measure zeros = {0}, allocated = {0}, piped = {0}, single = {0};
    for (int i = 0; i < rounds; i++) {
        ours_run(folder, true, batch, count, 16, false, &piped);
        floor_run(folder, true, size, count, &zeros);
        ours_run(folder, true, batch, count, 1, false, &single);
        floor_run(folder, false, size, count, &allocated);
    }
    double z, a, p, s, bytes = (double)size * (double)count;
    printf("batches of %zu KiB, durable, %llu a round\n", size >> 10, (unsigned long long)count);
    print("ours, 16 in flight", &piped, (double)count, bytes, &p);
    print("ours, one in flight", &single, (double)count, bytes, &s);
    print("floor, zero-written space", &zeros, (double)count, bytes, &z);
    print("floor, fallocated space", &allocated, (double)count, bytes, &a);
    printf("  ratio of rates, 16 in flight: %.2f of zero-written, %.2f of fallocated; one in flight: %.2f, %.2f\n\n",
           z / p, a / p, z / s, a / s);
    yd_batch_unref(batch);
}

static void records(const char *folder, int rounds)
{
    const uint32_t per_batch = 1000;
    const uint64_t batches = 8000;
    struct yd_batch *batch = make_batch(per_batch, 76);
    struct measure prebuilt = {0}, built = {0};
    for (int i = 0; i < rounds; i++) {
        ours_run(folder, true, batch, batches, 512, false, &prebuilt);
        ours_run(folder, true, batch, batches, 512, true, &built);
    }
    double bytes = (double)batch->header.size * (double)batches, unused;
    printf("records of 100 bytes in batches of %u, durable, 512 batches in flight\n", per_batch);
    print("ours, batches prebuilt", &prebuilt, (double)batches * per_batch, bytes, &unused);
    print("ours, batches built in the loop", &built, (double)batches * per_batch, bytes, &unused);
    printf("\n");
    yd_batch_unref(batch);
}

static void messages(const char *folder, int rounds)
{
    const uint64_t many = 2000000, few = 3000;
    struct yd_batch *batch = make_batch(1, 76);
    struct measure piped = {0}, single = {0}, threaded = {0}, floor = {0};
    for (int i = 0; i < rounds; i++) {
        ours_run(folder, true, batch, many, 65536, false, &piped);
        ours_run(folder, false, batch, few, 1, false, &single);
        floor_run(folder, true, batch->header.size, few, &floor);
        ours_run(folder, true, batch, few, 1, false, &threaded);
    }
    double s, t, f, unused, size = batch->header.size;
    printf("messages of 100 bytes, each a batch of its own (%u bytes)\n", batch->header.size);
    print("ours, 65536 in flight", &piped, (double)many, size * (double)many, &unused);
    print("ours, one at a time", &single, (double)few, size * (double)few, &s);
    print("ours, one at a time, log's thread", &threaded, (double)few, size * (double)few, &t);
    print("floor, zero-written space", &floor, (double)few, size * (double)few, &f);
    printf("  one at a time takes %.2f of the device's time, with the log's thread %.2f\n\n", s / f, t / f);
    yd_batch_unref(batch);
}

int main(int argc, char **argv)
{
    const char *base = argc > 1 ? argv[1] : ".";
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    if (rounds < 1 || rounds > ROUNDS_MAX) return 2;
    char folder[400];
    (void)snprintf(folder, sizeof folder, "%s/bench-append-XXXXXX", base);
    if (!mkdtemp(folder)) die(base, YD_EIO);
    printf("bench-append in %s, %d rounds, interleaved; medians. A record's bytes are counted with its frame.\n\n",
           base, rounds);
    const char *only = argc > 3 ? argv[3] : NULL;
    if (!only || !strcmp(only, "64k")) throughput(folder, rounds, 64 << 10, 2000);
    if (!only || !strcmp(only, "1m")) throughput(folder, rounds, 1 << 20, 300);
    if (!only || !strcmp(only, "records")) records(folder, rounds);
    if (!only || !strcmp(only, "messages")) messages(folder, rounds);
    rmdir(folder);
    return 0;
}
