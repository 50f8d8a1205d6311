/* bench-blast: sends prebuilt points over TCP as fast as the other side takes them.
 *
 *   bench-blast HOST PORT SERIES ROUNDS [CONNECTIONS [FORMAT]]
 *
 * FORMAT: graphite, put (OpenTSDB telnet), statsd (counters, gauges and timers in turn), influx (POST /write) or tsdb
 * (POST /api/put). Builds SERIES × ROUNDS points
 * in memory first (tags, seeded values, one second a round, ending now), series spread over the connections. Lines go
 * in writes of 64 KiB, and at the end the sender waits until the other side has closed; requests go one after another
 * on their connection, each answered before the next. Prints `ready` once all is built, and at the end one JSON object:
 * points, bytes, when it began (CLOCK_MONOTONIC), seconds from the first write to the last, its own CPU seconds. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"

#define CONNECTIONS_MAX 16

#define METRICS     9
#define BODY_POINTS 10000 /* of a request */
#define JSON_POINTS 1000

struct part {
    struct sockaddr_in to;
    const struct format *format;
    struct yd_buf lines;
    size_t *bodies; /* where they end in lines, the last one too */
    size_t body_count;
    uint64_t from, until, rounds;
    int64_t end_time;
    int failed;
};

/* A point, or with `whole` the points of a core's metrics at once. */
struct point {
    uint64_t core, metric;
    double values[METRICS];
    long long time_s;
};

struct format {
    const char *name, *path; /* path: by HTTP */
    bool whole;
    unsigned body_points;
    int (*put)(char *to, const struct point *point, bool first);
    const char *open, *close; /* of a body */
};

static const char *const metrics[METRICS] = {"user", "system",  "idle",  "nice", "iowait",
                                             "irq",  "softirq", "steal", "guest"};

static int put_graphite(char *to, const struct point *point, bool first)
{
    (void)first;
    return sprintf(to, "cpu.usage_%s;host=web%05llu;core=%llu;dc=eu %.2f %lld\n", metrics[point->metric],
                   (unsigned long long)(point->core / 8), (unsigned long long)(point->core % 8), point->values[0],
                   point->time_s);
}

static int put_telnet(char *to, const struct point *point, bool first)
{
    (void)first;
    return sprintf(to, "put cpu.usage_%s %lld %.2f host=web%05llu core=%llu dc=eu\n", metrics[point->metric],
                   point->time_s, point->values[0], (unsigned long long)(point->core / 8),
                   (unsigned long long)(point->core % 8));
}

static int put_tsdb(char *to, const struct point *point, bool first)
{
    return sprintf(to,
                   "%s{\"metric\":\"cpu.usage_%s\",\"timestamp\":%lld,\"value\":%.2f,\"tags\":{\"host\":\"web%05llu\","
                   "\"core\":\"%llu\",\"dc\":\"eu\"}}",
                   first ? "" : ",", metrics[point->metric], point->time_s, point->values[0],
                   (unsigned long long)(point->core / 8), (unsigned long long)(point->core % 8));
}

static int put_influx(char *to, const struct point *point, bool first)
{
    (void)first;
    int size = sprintf(to, "cpu,host=web%05llu,core=%llu,dc=eu ", (unsigned long long)(point->core / 8),
                       (unsigned long long)(point->core % 8));
    for (int i = 0; i < METRICS; i++)
        size += sprintf(to + size, "%susage_%s=%.2f", i ? "," : "", metrics[i], point->values[i]);
    return size + sprintf(to + size, " %lld000000000\n", point->time_s);
}

/* Names without tags: statsd itself has those only in one dialect. */
static int put_statsd(char *to, const struct point *point, bool first)
{
    static const char *const types[] = {"c", "g", "ms"};
    (void)first;
    return sprintf(to, "cpu.usage_%s.web%05llu.%llu:%.2f|%s\n", metrics[point->metric],
                   (unsigned long long)(point->core / 8), (unsigned long long)(point->core % 8), point->values[0],
                   types[point->metric % 3]);
}

static const struct format formats[] = {
    {"graphite", NULL, false, 0, put_graphite, "", ""},
    {"put", NULL, false, 0, put_telnet, "", ""},
    {"statsd", NULL, false, 0, put_statsd, "", ""},
    {"influx", "/write?db=bench", true, BODY_POINTS, put_influx, "", ""},
    {"tsdb", "/api/put", false, JSON_POINTS, put_tsdb, "[", "]"},
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void end_body(struct part *part)
{
    yd_buf_cstr(&part->lines, part->format->close);
    part->bodies = realloc(part->bodies, (part->body_count + 1) * sizeof *part->bodies);
    if (!part->bodies) exit(1);
    part->bodies[part->body_count++] = part->lines.size;
}

/* Nine metrics of a core, as agents send them: a metric, three tags, a value with two decimals, a time in seconds. */
static void build(struct part *part)
{
    const struct format *format = part->format;
    struct yd_rng rng;
    uint64_t in_body = 0;
    yd_rng_init(&rng, part->from + 1);
    for (uint64_t round = 0; round < part->rounds; round++)
        for (uint64_t series = part->from; series < part->until;) {
            struct point point = {.core = series / METRICS,
                                  .metric = series % METRICS,
                                  .time_s = part->end_time - (long long)(part->rounds - round)};
            uint64_t points = format->whole ? METRICS : 1;
            for (uint64_t i = 0; i < points; i++) point.values[i] = (double)yd_rng_below(&rng, 10000) / 100;
            if (in_body == 0) yd_buf_cstr(&part->lines, format->open);
            char *to = yd_buf_reserve(&part->lines, 512);
            if (!to) exit(1);
            part->lines.size += (size_t)format->put(to, &point, in_body == 0);
            series += points;
            in_body += points;
            if (format->path && in_body >= format->body_points) {
                end_body(part);
                in_body = 0;
            }
        }
    if (in_body) end_body(part);
}

static bool send_bytes(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, YD_MIN(size, (size_t)65536), MSG_NOSIGNAL);
        if (sent < 0) return false;
        data += sent, size -= (size_t)sent;
    }
    return true;
}

/* Status 200 or 204, and nothing behind its head but a short body that came with it. */
static bool answered(int fd)
{
    char text[4096];
    size_t size = 0;
    while (size + 1 < sizeof text) {
        ssize_t got = recv(fd, text + size, sizeof text - 1 - size, 0);
        if (got <= 0) return false;
        size += (size_t)got;
        text[size] = 0;
        if (strstr(text, "\r\n\r\n")) return strncmp(text, "HTTP/1.1 20", 11) == 0;
    }
    return false;
}

static void post_all(struct part *part, int fd)
{
    size_t at = 0;
    for (size_t i = 0; i < part->body_count && !part->failed; i++) {
        char head[256];
        int size = sprintf(head, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %zu\r\n\r\n", part->format->path,
                           part->bodies[i] - at);
        part->failed = !send_bytes(fd, head, (size_t)size) ||
                       !send_bytes(fd, part->lines.data + at, part->bodies[i] - at) || !answered(fd);
        at = part->bodies[i];
    }
}

static void *send_all(void *arg)
{
    struct part *part = arg;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    part->failed = connect(fd, (struct sockaddr *)&part->to, sizeof part->to) < 0;
    if (!part->failed && part->format->path)
        post_all(part, fd);
    else if (!part->failed)
        part->failed = !send_bytes(fd, part->lines.data, part->lines.size);
    char ignored[256];
    if (!part->failed) {
        shutdown(fd, SHUT_WR);
        while (recv(fd, ignored, sizeof ignored, 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct part parts[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    if (argc < 5) {
        fprintf(stderr, "usage: bench-blast HOST PORT SERIES ROUNDS [CONNECTIONS [FORMAT]]\n");
        return 2;
    }
    uint64_t series = strtoull(argv[3], NULL, 10), rounds = strtoull(argv[4], NULL, 10);
    int connections = argc > 5 ? atoi(argv[5]) : 1, failed = 0;
    const struct format *format = NULL;
    for (size_t i = 0; i < YD_COUNT(formats); i++)
        if (strcmp(argc > 6 ? argv[6] : "graphite", formats[i].name) == 0) format = &formats[i];
    uint64_t bytes = 0;
    struct rusage usage, built;
    if (connections < 1 || connections > CONNECTIONS_MAX || !format) return 2;
    uint64_t cores = format->whole ? METRICS : 1; /* a core's metrics stay together */
    series -= series % cores;
    for (int i = 0; i < connections; i++) {
        struct part *part = &parts[i];
        *part = (struct part){.format = format,
                              .from = series / cores * (uint64_t)i / (uint64_t)connections * cores,
                              .until = series / cores * (uint64_t)(i + 1) / (uint64_t)connections * cores,
                              .rounds = rounds,
                              .end_time = time(NULL)};
        part->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
        inet_pton(AF_INET, argv[1], &part->to.sin_addr);
        yd_buf_init(&part->lines, NULL);
        build(part);
        bytes += part->lines.size;
    }
    puts("ready");
    fflush(stdout);
    struct timespec moment = {0, 20000000}; /* for whoever starts his clocks by it */
    nanosleep(&moment, NULL);
    getrusage(RUSAGE_SELF, &built);
    double began = seconds();
    for (int i = 0; i < connections; i++) pthread_create(&threads[i], NULL, send_all, &parts[i]);
    for (int i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        failed |= parts[i].failed;
    }
    double took = seconds() - began;
    getrusage(RUSAGE_SELF, &usage);
    double cpu =
        (double)(usage.ru_utime.tv_sec - built.ru_utime.tv_sec + usage.ru_stime.tv_sec - built.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec - built.ru_utime.tv_usec + usage.ru_stime.tv_usec - built.ru_stime.tv_usec) /
            1e6;
    printf("{\"points\":%llu,\"bytes\":%llu,\"began\":%.6f,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"failed\":%d}\n",
           (unsigned long long)(series * rounds), (unsigned long long)bytes, began, took, cpu, failed);
    return failed;
}
