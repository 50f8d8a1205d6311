/* bench-logrun: one measured run of our log in this process, with the modes and the output of logpeer.c.
 *
 *   bench-logrun DIR  --size N --count N --mode single|pipelined|batch|latency|replay [--read map|copy]
 *
 * Each message is one BLOB record. Everything counts when it is durable. pipelined: a batch a message, up to 10,000 in
 * flight, as if each came alone; batch: frames of up to 64 KiB (a message larger than that has its own). latency: from
 * before the append until a direct reader, sleeping on the control page in another thread with no other connection to
 * us than the files, holds the batch. replay: a direct reader from the oldest, every record's bytes looked at. floor:
 * the same by a bare loop over the mapped files that checks each body's checksum and believes everything else. */
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <yarder/log.h>

#include "base/hash.h"

#define IN_FLIGHT 10000

static size_t size = 100, count = 100000;
static const char *mode = "pipelined", *dir;
static char *payload;
static bool copy;

static double now_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void check(int error, const char *what)
{
    if (error >= 0) return;
    fprintf(stderr, "%s: %s\n", what, yd_error_text(error));
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(double seconds, size_t messages, double *latencies, size_t latency_count)
{
    printf("{\"mode\":\"%s\",\"size\":%zu,\"messages\":%zu,\"seconds\":%.6f,\"per_s\":%.0f", mode, size, messages,
           seconds, (double)messages / seconds);
    if (latency_count) {
        qsort(latencies, latency_count, sizeof *latencies, by_value);
        printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", latencies[latency_count / 2] * 1e6,
               latencies[latency_count * 99 / 100] * 1e6);
    }
    printf("}\n");
}

static struct yd_log *open_log(void)
{
    struct yd_log_options options = {.dir = dir, .stream = "bench/0"};
    struct yd_trail trail = {0};
    struct yd_log *log;
    if (yd_log_open(&options, &log, NULL, &trail) < 0) {
        fprintf(stderr, "%s\n", yd_trail_text(&trail));
        exit(1);
    }
    check(yd_log_start(log), "starting");
    return log;
}

static void add(struct yd_builder *builder)
{
    uint32_t name;
    int error = yd_builder_name(builder, YD_STR("bench.m"), &name);
    if (!error)
        error = yd_builder_add_bytes(builder, INT64_C(1700000000000000000), name, YD_PACKET, YD_BLOB, 0,
                                     (struct yd_str){payload, size});
    check(error, "building");
}

static uint64_t append(struct yd_log *log, struct yd_builder *builder)
{
    struct yd_batch *batch;
    struct yd_log_appended appended;
    check(yd_builder_seal(builder, &batch), "sealing");
    int error;
    while ((error = yd_log_append(log, batch, -1, UINT64_MAX, &appended)) == YD_EFULL) {
        struct yd_log_position position;
        yd_log_position(log, &position);
        check(yd_log_wait(log, position.written + 1, YD_ACK_WRITTEN), "waiting for room");
    }
    check(error, "appending");
    yd_batch_unref(batch);
    return appended.next;
}

/* in_flight: messages that may be without acknowledgement; 1: each is waited for. */
static void publish(struct yd_builder *builder, size_t per_batch, uint64_t in_flight)
{
    struct yd_log *log = open_log();
    double *latencies = in_flight == 1 ? malloc(count * sizeof *latencies) : NULL, started = now_s();
    uint64_t next = 0, durable = 0;
    for (size_t done = 0; done < count;) {
        double before = latencies ? now_s() : 0;
        for (size_t i = 0; i < per_batch && done < count; i++, done++) add(builder);
        next = append(log, builder);
        if (in_flight == 1) {
            check(yd_log_wait(log, next, YD_ACK_DURABLE), "waiting");
        } else if (next - durable > in_flight) { /* half the window at once: a wait is not for each message */
            check(yd_log_wait(log, next - in_flight / 2, YD_ACK_DURABLE), "waiting");
            struct yd_log_position position;
            yd_log_position(log, &position);
            durable = position.durable;
        }
        if (latencies) latencies[done - 1] = now_s() - before;
    }
    check(yd_log_wait(log, next, YD_ACK_DURABLE), "waiting");
    tell(now_s() - started, count, latencies, latencies ? count : 0);
    free(latencies);
    check(yd_log_close(log), "closing");
}

static uint64_t touch(const struct yd_batch *batch)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < batch->view.count; i++) {
        uint64_t word = 0;
        struct yd_str bytes = yd_view_bytes(&batch->view, batch->view.records[i].value);
        memcpy(&word, bytes.data, bytes.size < 8 ? bytes.size : 8);
        sum += word;
    }
    return sum;
}

static struct yd_log_reader *open_reader(enum yd_log_from from)
{
    struct yd_trail trail = {0};
    struct yd_log_reader *reader;
    struct yd_log_start start = {.from = from, .copy = copy};
    if (yd_log_reader_open_dir(NULL, dir, &start, &reader, &trail) < 0) {
        fprintf(stderr, "%s\n", yd_trail_text(&trail));
        exit(1);
    }
    return reader;
}

static void replay(void)
{
    struct yd_log_reader *reader = open_reader(YD_FROM_OLDEST);
    struct yd_batch *batch;
    size_t found = 0;
    uint64_t sum = 0;
    double started = now_s();
    while (found < count && yd_log_reader_next(reader, &batch, NULL) == 0) {
        found += batch->view.count;
        sum += touch(batch);
        yd_batch_unref(batch);
    }
    if (sum == 1) fputs("that cannot be\n", stderr);
    tell(now_s() - started, found, NULL, 0);
    yd_log_reader_close(reader);
}

/* ---- the floor of replay: a loop that knows where frames are, checks each body and touches each record ---- */

static uint64_t touch_file(const char *path, size_t *found)
{
    struct stat now;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    check(fd < 0 || fstat(fd, &now) ? YD_EIO : 0, path);
    const char *bytes = mmap(NULL, (size_t)now.st_size, PROT_READ, MAP_SHARED, fd, 0);
    check(bytes == MAP_FAILED ? YD_EIO : 0, path);
    uint64_t sum = 0;
    for (size_t at = 4096; at + sizeof(struct yd_header) <= (size_t)now.st_size;) {
        const struct yd_header *header = (const void *)(bytes + at);
        if (header->magic != YD_BATCH_MAGIC) break;
        const struct yd_record *records = (const void *)(header + 1);
        if (yd_crc32c(0, records, header->body_size) != header->body_crc) check(YD_ECORRUPT, path);
        const char *heap = (const char *)(records + header->count) + header->names * sizeof(struct yd_name_entry);
        for (uint32_t i = 0; i < header->count; i++) {
            uint64_t word;
            memcpy(&word, heap + records[i].value.heap.offset, sizeof word);
            sum += word;
        }
        *found += header->count;
        at += header->size;
    }
    (void)munmap((void *)(uintptr_t)bytes, (size_t)now.st_size);
    (void)close(fd);
    return sum;
}

static void replay_floor(void)
{
    size_t found = 0;
    uint64_t sum = 0;
    glob_t files;
    char pattern[4096];
    (void)snprintf(pattern, sizeof pattern, "%s/*.ylog", dir);
    double started = now_s();
    check(glob(pattern, 0, NULL, &files) ? YD_ENOENT : 0, dir);
    for (size_t i = 0; i < files.gl_pathc; i++) sum += touch_file(files.gl_pathv[i], &found);
    if (sum == 1) fputs("that cannot be\n", stderr);
    tell(now_s() - started, found, NULL, 0);
    globfree(&files);
}

/* ---- latency ---- */

static double *received;

static void *receive(void *arg)
{
    struct yd_log_reader *reader = arg;
    for (size_t i = 0; i < count;) {
        struct yd_batch *batch;
        int error = yd_log_reader_next(reader, &batch, NULL);
        if (error == YD_EAGAIN) {
            error = yd_log_reader_wait(reader, -1);
            check(error, "waiting");
            continue;
        }
        check(error, "reading");
        double at = now_s();
        __atomic_store(&received[i++], &at, __ATOMIC_RELEASE); /* pairs with the acquire below */
        yd_batch_unref(batch);
    }
    return NULL;
}

static void latency(struct yd_builder *builder)
{
    struct yd_log *log = open_log();
    received = calloc(count, sizeof *received);
    double *latencies = calloc(count, sizeof *latencies), started = now_s();
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, open_reader(YD_FROM_TAIL))) check(YD_ENOMEM, "a thread");
    for (size_t i = 0; i < count; i++) {
        struct timespec pause = {0, 50000}; /* the reader sleeps again */
        nanosleep(&pause, NULL);
        double before = now_s(), at;
        add(builder);
        check(yd_log_wait(log, append(log, builder), YD_ACK_DURABLE), "waiting");
        do __atomic_load(&received[i], &at, __ATOMIC_ACQUIRE);
        while (at == 0);
        latencies[i] = at - before;
    }
    pthread_join(thread, NULL);
    tell(now_s() - started, count, latencies, count);
    check(yd_log_close(log), "closing");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("bench-logrun DIR --size N --count N --mode single|pipelined|batch|latency|replay\n", stderr);
        return 2;
    }
    dir = argv[1];
    for (int i = 2; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--size") == 0) size = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--mode") == 0) mode = argv[i + 1];
        if (strcmp(argv[i], "--read") == 0) copy = strcmp(argv[i + 1], "copy") == 0;
    }
    payload = malloc(size);
    for (size_t i = 0; i < size; i++) payload[i] = "telemetry 0123456789 "[(i * 7 + i / 13) % 21];
    struct yd_builder *builder;
    check(yd_builder_create(NULL, &builder), "a builder");
    if (strcmp(mode, "replay") == 0)
        replay();
    else if (strcmp(mode, "floor") == 0)
        replay_floor();
    else if (strcmp(mode, "latency") == 0)
        latency(builder);
    else if (strcmp(mode, "single") == 0)
        publish(builder, 1, 1);
    else if (strcmp(mode, "pipelined") == 0)
        publish(builder, 1, IN_FLIGHT);
    else
        publish(builder, size < 65536 ? 65536 / (size + 40) : 1, 1 << 20);
    yd_builder_destroy(builder);
    return 0;
}
