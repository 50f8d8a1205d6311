/* bench-tsbs: sends a metric of many hosts, as TSBS's cpu-only has it, to whoever takes OpenTSDB's telnet puts.
 *
 *   bench-tsbs HOST PORT SERIES POINTS STEP_S END_S SEED [CONNECTIONS]
 *
 * A series a host: cpu.usage_user, ten tags, an integer that walks between 0 and 100. Points are STEP_S apart, the last
 * one at END_S - STEP_S; all hosts of a time, then the next time, hosts spread over the connections. The lines are made
 * while they are sent, so a day of ten thousand hosts needs no memory. Ends when the other side has closed; prints one
 * JSON object. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"

#define CONNECTIONS_MAX 16
#define WRITE           65536
#define LINE_MAX_       512

struct part {
    struct sockaddr_in to;
    uint64_t from, until, points, seed;
    long long step_s, end_s;
    int failed;
};

/* What of a series never changes, and where it is. */
struct host {
    char tags[LINE_MAX_ - 64];
    int tags_size;
    double level;
    struct yd_rng rng;
};

static const char *const regions[] = {"us-east-1",      "us-west-1",      "us-west-2",      "eu-west-1", "eu-central-1",
                                      "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1"};
static const char *const systems[] = {"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"};
static const char *const teams[] = {"SF", "NYC", "LON", "CHI"};
static const char *const environments[] = {"production", "staging", "test"};

static const char *choose(struct yd_rng *rng, const char *const *from, size_t count)
{
    return from[yd_rng_below(rng, count)];
}

static void host_init(struct host *host, uint64_t number, uint64_t seed)
{
    struct yd_rng *rng = &host->rng;
    yd_rng_init(rng, seed * 1000003 + number);
    const char *region = choose(rng, regions, YD_COUNT(regions));
    host->tags_size = snprintf(
        host->tags, sizeof host->tags,
        " host=host_%llu region=%s datacenter=%s%c rack=%u os=%s arch=%s team=%s service=%u service_version=%u"
        " service_environment=%s\n",
        (unsigned long long)number, region, region, (char)('a' + yd_rng_below(rng, 3)),
        (unsigned)yd_rng_below(rng, 100), choose(rng, systems, YD_COUNT(systems)), yd_rng_below(rng, 2) ? "x64" : "x86",
        choose(rng, teams, YD_COUNT(teams)), (unsigned)yd_rng_below(rng, 20), (unsigned)yd_rng_below(rng, 2),
        choose(rng, environments, YD_COUNT(environments)));
    host->level = (double)yd_rng_below(rng, 10000) / 100;
}

/* A step of about the normal distribution: the sum of four even ones. */
static int host_walk(struct host *host)
{
    uint64_t random = yd_rng_next(&host->rng);
    double sum = 0;
    for (int i = 0; i < 4; i++) sum += (double)(random >> 16 * i & 0xffff) / 65536 - 0.5;
    host->level += sum * 1.7320508;
    if (host->level < 0) host->level = 0;
    if (host->level > 100) host->level = 100;
    return (int)host->level;
}

static bool send_bytes(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) return false;
        data += sent, size -= (size_t)sent;
    }
    return true;
}

static bool send_points(const struct part *part, int fd, struct host *hosts, char *buffer)
{
    size_t size = 0;
    for (uint64_t point = 0; point < part->points; point++) {
        char head[64];
        long long time = part->end_s - (long long)(part->points - point) * part->step_s;
        int head_size = snprintf(head, sizeof head, "put cpu.usage_user %lld ", time);
        for (uint64_t i = 0; i < part->until - part->from; i++) {
            struct host *host = &hosts[i];
            memcpy(buffer + size, head, (size_t)head_size);
            size += (size_t)head_size;
            size += yd_text_put_i64(buffer + size, host_walk(host));
            memcpy(buffer + size, host->tags, (size_t)host->tags_size);
            size += (size_t)host->tags_size;
            if (size < WRITE) continue;
            if (!send_bytes(fd, buffer, size)) return false;
            size = 0;
        }
    }
    return send_bytes(fd, buffer, size);
}

static void *send_part(void *arg)
{
    struct part *part = arg;
    struct host *hosts = calloc(part->until - part->from + 1, sizeof *hosts);
    char *buffer = malloc(WRITE + LINE_MAX_), ignored[256];
    if (!hosts || !buffer) exit(1);
    for (uint64_t i = part->from; i < part->until; i++) host_init(&hosts[i - part->from], i, part->seed);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    part->failed =
        connect(fd, (struct sockaddr *)&part->to, sizeof part->to) < 0 || !send_points(part, fd, hosts, buffer);
    if (!part->failed) {
        shutdown(fd, SHUT_WR);
        while (recv(fd, ignored, sizeof ignored, 0) > 0) {
        }
    }
    close(fd);
    free(buffer);
    free(hosts);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct part parts[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    int connections = argc > 8 ? atoi(argv[8]) : 1, failed = 0;
    if (argc < 8 || connections < 1 || connections > CONNECTIONS_MAX) {
        (void)fprintf(stderr, "usage: bench-tsbs HOST PORT SERIES POINTS STEP_S END_S SEED [CONNECTIONS]\n");
        return 2;
    }
    uint64_t series = strtoull(argv[3], NULL, 10), points = strtoull(argv[4], NULL, 10);
    for (int i = 0; i < connections; i++) {
        struct part *part = &parts[i];
        *part = (struct part){.from = series * (uint64_t)i / (uint64_t)connections,
                              .until = series * (uint64_t)(i + 1) / (uint64_t)connections,
                              .points = points,
                              .seed = strtoull(argv[7], NULL, 10),
                              .step_s = atoll(argv[5]),
                              .end_s = atoll(argv[6])};
        part->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
        inet_pton(AF_INET, argv[1], &part->to.sin_addr);
        pthread_create(&threads[i], NULL, send_part, part);
    }
    for (int i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        failed |= parts[i].failed;
    }
    printf("{\"points\":%llu,\"failed\":%d}\n", (unsigned long long)(series * points), failed);
    return failed;
}
