/* bench/client.c: the client library against a running daemon: how many messages a second, how long each takes.
 *
 *   bench-client --mode single|pipelined|batch|latency|replay|direct [--address A] [--stream S] [--size BYTES] [--count
 * N]
 *                [--batch N] [--level memory|written|durable] [--json]
 *
 *   single     one message, its acknowledgement, the next one
 *   pipelined  each message a batch of its own, as many under way as in_flight_bytes allows
 *   batch      --batch messages a batch, pipelined
 *   latency    another process subscribes; from before the append to the callback there, one message at a time
 *   replay     reads what is there, from the oldest record on
 *   direct     the same from the files (yd_client_reader), every batch checked as replay's are
 *
 * A message is a PACKET record of --size bytes. CPU seconds are this process' own, not the daemon's. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <yarder/client.h>

#include "base/text.h"

static struct {
    const char *mode, *address, *stream;
    uint64_t size, count, batch;
    enum yd_ack level;
    bool json;
} o = {.mode = "pipelined", .stream = "bench", .size = 100, .count = 0, .batch = 0, .level = YD_ACK_DURABLE};

static const char *const levels[] = {NULL, "memory", "written", "durable", "replicated"};
static struct yd_client *client;
static struct yd_client_stream *stream;
static uint64_t refused, told;

static _Noreturn void die(const char *what, int error)
{
    const char *why = client ? yd_client_trouble(client) : "";
    fprintf(stderr, "bench-client: %s: %s%s%s\n", what, yd_error_text(error), *why ? ": " : "", why);
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * YD_NS_PER_S + now.tv_nsec;
}

static double cpu_s(void)
{
    return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

static void connect_to(void)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    const struct yd_client_options options = {.address = o.address, .name = "bench-client", .create = true};
    int error = yd_client_open(&options, &client, &trail);
    if (error) die(yd_trail_text(&trail), error);
    if ((error = yd_client_stream(client, o.stream, &stream))) die("opening the stream", error);
}

/* The next message; YD_EFULL: seal first. */
static int add(struct yd_builder *builder, int64_t time_ns, const char *bytes)
{
    uint32_t name;
    int error = yd_builder_name(builder, YD_STR("message"), &name);
    return error ? error
                 : yd_builder_add_bytes(builder, time_ns, name, YD_PACKET, YD_BLOB, 0, (struct yd_str){bytes, o.size});
}

static struct yd_batch *seal(struct yd_builder *builder)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(builder, &batch);
    if (error) die("sealing", error);
    return batch;
}

static struct yd_builder *builder_of(uint64_t messages)
{
    struct yd_builder *builder;
    uint64_t size = YD_MAX(messages * (o.size + 64) + 8192, UINT64_C(8192));
    int error = yd_builder_create(&(struct yd_builder_options){.size_max = (uint32_t)YD_MIN(size, YD_BATCH_SIZE_MAX)},
                                  &builder);
    if (error) die("a builder", error);
    return builder;
}

static void note(void *arg, int error, const struct yd_client_appended *appended)
{
    (void)arg;
    (void)appended;
    told++;
    refused += error != 0;
}

static void append(struct yd_batch *batch)
{
    const struct yd_client_append_options options = {.level = o.level};
    int error;
    while ((error = yd_client_append_async(stream, batch, &options, note, NULL)) == YD_EFULL)
        if ((error = yd_client_run(client, -1)) < 0) die("running", error);
    if (error) die("appending", error);
    yd_batch_unref(batch);
}

static void report(const char *extra, int64_t began, double cpu, uint64_t count, uint64_t bytes)
{
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
    cpu = cpu_s() - cpu;
    double rate = (double)count / seconds, mib = (double)bytes / seconds / 1048576;
    if (o.json)
        printf("{\"mode\":\"%s\",\"address\":\"%s\",\"size\":%llu,\"count\":%llu,\"batch\":%llu,\"level\":\"%s\","
               "\"seconds\":%.6f,\"msgs_per_s\":%.1f,\"mib_per_s\":%.2f,\"cpu_s\":%.4f,\"refused\":%llu%s}\n",
               o.mode, o.address ? o.address : "", (unsigned long long)o.size, (unsigned long long)count,
               (unsigned long long)o.batch, levels[o.level], seconds, rate, mib, cpu, (unsigned long long)refused,
               extra);
    else
        printf("%-9s %8llu x %6llu bytes, %s: %12.0f messages/s %9.1f MiB/s, %.2f s, %.3f CPU-s%s%s\n", o.mode,
               (unsigned long long)count, (unsigned long long)o.size, levels[o.level], rate, mib, seconds, cpu,
               *extra ? "\n          " : "", extra);
}

static void publish(uint64_t per_batch)
{
    char *bytes = calloc(1, o.size + 1);
    struct yd_builder *builder = builder_of(per_batch);
    int64_t began = clock_ns(CLOCK_MONOTONIC), now = clock_ns(CLOCK_REALTIME);
    double cpu = cpu_s();
    for (uint64_t sent = 0; sent < o.count;) {
        uint64_t end = YD_MIN(sent + per_batch, o.count);
        for (; sent < end; sent++) {
            memcpy(bytes, &sent, YD_MIN(sizeof sent, o.size));
            int error = add(builder, now, bytes);
            if (error) die("a message", error);
        }
        append(seal(builder));
        if (sent / per_batch % 256 == 0) {
            int error = yd_client_run(client, 0);
            if (error < 0) die("running", error);
        }
    }
    int error = yd_client_flush(client);
    if (error) die("flushing", error);
    report("", began, cpu, o.count, o.count * o.size);
    yd_builder_destroy(builder);
    free(bytes);
}

/* ---- times of single messages ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void percentiles(int64_t *times, uint64_t count, char *to, size_t size)
{
    qsort(times, count, sizeof *times, by_value);
    const double p50 = (double)times[count / 2] / 1e3, p99 = (double)times[count * 99 / 100] / 1e3,
                 most = (double)times[count - 1] / 1e3;
    if (o.json)
        snprintf(to, size, ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f", p50, p99, most);
    else
        snprintf(to, size, "p50 %.1f µs, p99 %.1f µs, most %.1f µs", p50, p99, most);
}

static void single(void)
{
    char *bytes = calloc(1, o.size + 1), extra[160];
    int64_t *times = malloc(o.count * sizeof *times);
    struct yd_builder *builder = builder_of(1);
    const struct yd_client_append_options options = {.level = o.level};
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    double cpu = cpu_s();
    for (uint64_t i = 0; i < o.count; i++) {
        int64_t before = clock_ns(CLOCK_MONOTONIC);
        int error = add(builder, before, bytes);
        struct yd_batch *batch = seal(builder);
        if (!error) error = yd_client_append(stream, batch, &options, NULL);
        if (error) die("appending", error);
        yd_batch_unref(batch);
        times[i] = clock_ns(CLOCK_MONOTONIC) - before;
    }
    percentiles(times, o.count, extra, sizeof extra);
    report(extra, began, cpu, o.count, o.count * o.size);
    yd_builder_destroy(builder);
    free(times);
    free(bytes);
}

struct shared {
    volatile uint64_t ready, heard;
    int64_t times[];
};

static void hear(void *arg, struct yd_received *what)
{
    struct shared *shared = arg;
    if (!what->batch) return;
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < what->batch->view.count && shared->heard < o.count; i++) {
        shared->times[shared->heard] = now - what->batch->view.records[i].time_ns;
        shared->heard++;
    }
    yd_batch_unref(what->batch);
}

static void listen_for(struct shared *shared)
{
    struct yd_subscription *sub;
    connect_to();
    const struct yd_subscribe_options options = {.start = {.from = YD_FROM_TAIL, .level = o.level}};
    int error = yd_client_subscribe(stream, &options, hear, shared, &sub);
    if (error) die("subscribing", error);
    (void)yd_client_run(client, 300 * YD_NS_PER_MS); /* the subscription stands */
    shared->ready = 1;
    while (shared->heard < o.count)
        if ((error = yd_client_run(client, YD_NS_PER_S)) < 0) die("running", error);
    yd_client_close(client);
    exit(0);
}

static void latency(void)
{
    size_t size = sizeof(struct shared) + o.count * sizeof(int64_t);
    struct shared *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *bytes = calloc(1, o.size + 1), extra[160];
    if (shared == MAP_FAILED) die("memory", YD_ENOMEM);
    pid_t child = fork();
    if (child == 0) listen_for(shared);
    connect_to();
    while (!shared->ready) usleep(1000);
    struct yd_builder *builder = builder_of(1);
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    double cpu = cpu_s();
    for (uint64_t i = 0; i < o.count; i++) {
        int error = add(builder, clock_ns(CLOCK_MONOTONIC), bytes);
        if (error) die("a message", error);
        append(seal(builder));
        if ((error = yd_client_flush(client))) die("appending", error);
        for (int waited = 0; shared->heard <= i && waited < 20000; waited++) usleep(50);
    }
    int status;
    waitpid(child, &status, 0);
    percentiles(shared->times, o.count, extra, sizeof extra);
    report(extra, began, cpu, o.count, o.count * o.size);
    yd_builder_destroy(builder);
    munmap(shared, size);
    free(bytes);
}

static void replay(void)
{
    struct yd_subscription *sub;
    struct yd_received got;
    const struct yd_subscribe_options options = {
        .start = {.level = o.level}, .stop = true, .whole = true, .credit_bytes = 16 << 20};
    uint64_t count = 0, bytes = 0;
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    double cpu = cpu_s();
    int error = yd_client_subscribe(stream, &options, NULL, NULL, &sub);
    while (!error && (error = yd_subscription_next(sub, -1, &got)) == 0) {
        if (got.ended) {
            error = got.error;
            break;
        }
        if (!got.batch) continue;
        count += got.batch->header.count;
        bytes += got.batch->header.size;
        yd_batch_unref(got.batch);
    }
    if (error) die("subscribing", error);
    report("", began, cpu, count, bytes);
    yd_subscription_close(sub);
}

static void direct(void)
{
    struct yd_log_reader *reader;
    struct yd_batch *batch;
    struct yd_log_gap gap;
    struct yd_trail trail;
    const struct yd_log_start start = {.level = o.level};
    uint64_t count = 0, bytes = 0;
    int64_t began = clock_ns(CLOCK_MONOTONIC);
    double cpu = cpu_s();
    yd_trail_clear(&trail);
    int error = yd_client_reader(stream, &start, &reader, &trail);
    if (error) die(yd_trail_text(&trail), error);
    while ((error = yd_log_reader_next(reader, &batch, &gap)) == 0 || error == YD_EGAP) {
        if (error) continue;
        count += batch->header.count;
        bytes += batch->header.size;
        yd_batch_unref(batch);
    }
    report("", began, cpu, count, bytes);
    yd_log_reader_close(reader);
}

static void usage(void)
{
    fprintf(stderr, "usage: bench-client [--mode single|pipelined|batch|latency|replay|direct] [--address ADDRESS]\n"
                    "         [--stream NAME] [--size BYTES] [--count N] [--batch N] [--level LEVEL] [--json]\n"
                    "a daemon must be running; streams that are not there are made if it allows that\n");
    exit(2);
}

int main(int argc, char **argv)
{
    enum { ADDRESS = 1, STREAM, SIZE, COUNT, BATCH, LEVEL, MODE, JSON };
    static const struct option options[] = {
        {"address", 1, NULL, ADDRESS}, {"stream", 1, NULL, STREAM}, {"size", 1, NULL, SIZE},
        {"count", 1, NULL, COUNT},     {"batch", 1, NULL, BATCH},   {"level", 1, NULL, LEVEL},
        {"mode", 1, NULL, MODE},       {"json", 0, NULL, JSON},     {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        struct yd_str value = yd_str_of(optarg);
        bool good = true;
        if (option == ADDRESS)
            o.address = optarg;
        else if (option == STREAM)
            o.stream = optarg;
        else if (option == SIZE)
            good = yd_text_size(value, &o.size) == 0 && o.size <= 32 << 20;
        else if (option == COUNT)
            good = yd_text_u64(value, &o.count) == 0;
        else if (option == BATCH)
            good = yd_text_u64(value, &o.batch) == 0;
        else if (option == MODE)
            o.mode = optarg;
        else if (option == JSON)
            o.json = true;
        else if (option != LEVEL)
            good = false;
        else {
            for (o.level = YD_ACK_MEMORY; o.level < YD_ACK_REPLICATED; o.level++)
                if (strcmp(optarg, levels[o.level]) == 0) break;
        }
        if (!good) usage();
    }
    if (o.count == 0) o.count = strcmp(o.mode, "single") == 0 || strcmp(o.mode, "latency") == 0 ? 2000 : 1000000;
    if (o.batch == 0) o.batch = YD_MAX(UINT64_C(65536) / (o.size + 24), UINT64_C(1));
    if (strcmp(o.mode, "latency") == 0) { /* each process has a connection of its own */
        latency();
        return 0;
    }
    connect_to();
    if (strcmp(o.mode, "single") == 0)
        single();
    else if (strcmp(o.mode, "pipelined") == 0)
        o.batch = 1, publish(1);
    else if (strcmp(o.mode, "batch") == 0)
        publish(o.batch);
    else if (strcmp(o.mode, "replay") == 0)
        replay();
    else if (strcmp(o.mode, "direct") == 0)
        direct();
    else
        usage();
    yd_client_close(client);
    return 0;
}
