/* bench-blast: sends prebuilt Graphite lines over TCP as fast as the other side takes them.
 *
 *   bench-blast HOST PORT SERIES ROUNDS [CONNECTIONS]
 *
 * Builds SERIES × ROUNDS lines in memory first (tags, seeded values, one second a round, ending now), then sends them
 * in writes of 64 KiB, series spread over the connections, shuts down, and waits until the other side has closed.
 * Prints `ready` once the lines are built, and at the end one JSON object: lines, bytes, when it began
 * (CLOCK_MONOTONIC), seconds from the first write to the last, and its own CPU seconds. */
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

struct part {
    struct sockaddr_in to;
    struct yd_buf lines;
    uint64_t from, until, rounds;
    int64_t end_time;
    int failed;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Nine metrics of a core, as agents send them: a metric, three tags, a value with two decimals, a time in seconds. */
static void build(struct part *part)
{
    static const char *const metrics[] = {"user", "system",  "idle",  "nice", "iowait",
                                          "irq",  "softirq", "steal", "guest"};
    struct yd_rng rng;
    yd_rng_init(&rng, part->from + 1);
    for (uint64_t round = 0; round < part->rounds; round++)
        for (uint64_t series = part->from; series < part->until; series++) {
            char *to = yd_buf_reserve(&part->lines, 128);
            if (!to) exit(1);
            uint64_t core = series / YD_COUNT(metrics);
            int size = sprintf(to, "cpu.usage_%s;host=web%05llu;core=%llu;dc=eu %llu.%02llu %lld\n",
                               metrics[series % YD_COUNT(metrics)], (unsigned long long)(core / 8),
                               (unsigned long long)(core % 8), (unsigned long long)yd_rng_below(&rng, 100),
                               (unsigned long long)yd_rng_below(&rng, 100),
                               (long long)(part->end_time - (int64_t)(part->rounds - round)));
            part->lines.size += (size_t)size;
        }
}

static void *send_all(void *arg)
{
    struct part *part = arg;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    part->failed = connect(fd, (struct sockaddr *)&part->to, sizeof part->to) < 0;
    for (size_t at = 0; !part->failed && at < part->lines.size;) {
        ssize_t sent = send(fd, part->lines.data + at, YD_MIN(part->lines.size - at, 65536), MSG_NOSIGNAL);
        part->failed = sent < 0;
        if (sent > 0) at += (size_t)sent;
    }
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
        fprintf(stderr, "usage: bench-blast HOST PORT SERIES ROUNDS [CONNECTIONS]\n");
        return 2;
    }
    uint64_t series = strtoull(argv[3], NULL, 10), rounds = strtoull(argv[4], NULL, 10);
    int connections = argc > 5 ? atoi(argv[5]) : 1, failed = 0;
    uint64_t bytes = 0;
    struct rusage usage, built;
    if (connections < 1 || connections > CONNECTIONS_MAX) return 2;
    for (int i = 0; i < connections; i++) {
        struct part *part = &parts[i];
        *part = (struct part){.from = series * (uint64_t)i / (uint64_t)connections,
                              .until = series * (uint64_t)(i + 1) / (uint64_t)connections,
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
    printf("{\"lines\":%llu,\"bytes\":%llu,\"began\":%.6f,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"failed\":%d}\n",
           (unsigned long long)(series * rounds), (unsigned long long)bytes, began, took, cpu, failed);
    return failed;
}
