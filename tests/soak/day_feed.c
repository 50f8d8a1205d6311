/* day_feed: a value each second for each of many series, as Influx line protocol, until all of it is acknowledged.
 *
 *   day_feed PORT SERIES START_S SECONDS CONNECTIONS
 *
 * A request is one second of all series, and is sent again until it is answered 204 (durable), over new connections
 * when an old one breaks. Series s at second t has the value (31 s + 7 (t mod 3600) + 13 (t / 3600)) mod 1000, t from
 * START_S: whoever reads can tell what must be there. Prints how many seconds are acknowledged, a line each time that
 * changes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    uint16_t port;
    uint64_t series, start, seconds;
    unsigned connections;
} plan;
static atomic_uint_fast64_t next_second, acknowledged, again;

static char *put_number(char *to, uint64_t number, unsigned width)
{
    char digits[20];
    unsigned count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) || count < width);
    while (count) *to++ = digits[--count];
    return to;
}

static char *put_second(char *to, uint64_t second)
{
    uint64_t add = 7 * (second % 3600) + 13 * (second / 3600);
    for (uint64_t s = 0; s < plan.series; s++) {
        memcpy(to, "day,s=", 6);
        to = put_number(to + 6, s, 5);
        memcpy(to, " v=", 3);
        to = put_number(to + 3, (31 * s + add) % 1000, 1);
        *to++ = 'i';
        *to++ = ' ';
        to = put_number(to, plan.start + second, 1);
        *to++ = '\n';
    }
    return to;
}

static int connect_to(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(plan.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

static int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

/* The status of an answer without a body; 0: none came. */
static int answer(int fd)
{
    char bytes[2048];
    size_t size = 0;
    while (size < sizeof bytes - 1) {
        ssize_t got = recv(fd, bytes + size, sizeof bytes - 1 - size, 0);
        if (got <= 0) return 0;
        size += (size_t)got;
        bytes[size] = '\0';
        if (strstr(bytes, "\r\n\r\n")) return atoi(bytes + 9);
    }
    return 0;
}

static void *run(void *arg)
{
    (void)arg;
    char *request = malloc(256 + plan.series * 64), head[256];
    if (!request) abort();
    int fd = -1;
    for (uint64_t second; (second = atomic_fetch_add(&next_second, 1)) < plan.seconds;) {
        char *body = request + 256, *end = put_second(body, second);
        int head_size =
            snprintf(head, sizeof head, "POST /write?precision=s HTTP/1.1\r\nHost: day\r\nContent-Length: %zu\r\n\r\n",
                     (size_t)(end - body));
        char *from = body - head_size;
        memcpy(from, head, (size_t)head_size);
        for (int status = 0; status != 204;) {
            if (fd < 0) fd = connect_to();
            status = fd >= 0 && send_all(fd, from, (size_t)(end - from)) == 0 ? answer(fd) : 0;
            if (status == 204) break;
            atomic_fetch_add(&again, 1);
            if (fd >= 0) close(fd); /* also after a refusal: what follows in it is not looked at */
            fd = -1;
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        }
        atomic_fetch_add(&acknowledged, 1);
    }
    if (fd >= 0) close(fd);
    free(request);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: day_feed PORT SERIES START_S SECONDS CONNECTIONS\n");
        return 2;
    }
    plan.port = (uint16_t)atoi(argv[1]);
    plan.series = strtoull(argv[2], NULL, 10);
    plan.start = strtoull(argv[3], NULL, 10);
    plan.seconds = strtoull(argv[4], NULL, 10);
    plan.connections = (unsigned)atoi(argv[5]);
    pthread_t threads[16];
    if (plan.connections == 0 || plan.connections > 16) return 2;
    for (unsigned i = 0; i < plan.connections; i++)
        if (pthread_create(&threads[i], NULL, run, NULL)) return 1;
    for (uint64_t told = 0, now = 0; now < plan.seconds;) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        now = atomic_load(&acknowledged);
        if (now != told) printf("%llu %llu\n", (unsigned long long)now, (unsigned long long)atomic_load(&again));
        (void)fflush(stdout);
        told = now;
    }
    for (unsigned i = 0; i < plan.connections; i++) (void)pthread_join(threads[i], NULL);
    return 0;
}
