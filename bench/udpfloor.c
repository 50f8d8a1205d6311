/* bench-udpfloor: datagrams as fast as the kernel gives and takes them, for bench/udp.py.
 *
 *   bench-udpfloor send PORT SIZE SECONDS RATE SENDER
 *                                             sendmmsg of messages that the kernel cuts into datagrams (UDP_SEGMENT),
 * so that sending costs a fraction of receiving; RATE a second, 0: as fast as it goes; each begins with its number and
 * SENDER. Prints how many it sent bench-udpfloor receive PORT               recvmmsg of 64 with time stamps; at a line
 * or the end of standard input prints how many came and how many the kernel dropped */
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define ROOM    65536

static char bytes[AT_ONCE][ROOM];
static char control[AT_ONCE][128];
static struct mmsghdr messages[AT_ONCE];
static struct iovec parts[AT_ONCE];

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct sockaddr_in address_of(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* Messages of at most 64 datagrams (the kernel's bound) and 60,000 bytes. Without UDP_SEGMENT each is one. */
static int run_send(const char *port, size_t size, double seconds, double rate, uint64_t sender)
{
    enum { MESSAGES = 4, SEGMENTS_MAX = 64 };
    struct sockaddr_in to = address_of(port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), segment = (int)size;
    uint64_t sent = 0, each = 60000 / size < SEGMENTS_MAX ? 60000 / size : SEGMENTS_MAX;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return 1;
    if (each < 2 || setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) each = 1;
    int at_once = each > 1 ? MESSAGES : AT_ONCE;
    if (rate > 0 && rate / ((double)each * at_once) < 1000) at_once = 1; /* a millisecond's worth at most */
    for (int i = 0; i < at_once; i++) {
        parts[i] = (struct iovec){bytes[i], size * each};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        for (uint64_t j = 0; j < each; j++) memcpy(bytes[i] + j * size + 8, &sender, sizeof sender);
    }
    double began = seconds_now(), now = began;
    while (now < began + seconds) {
        for (uint64_t i = 0; i < (uint64_t)at_once * each; i++) {
            uint64_t number = sent + i;
            memcpy(bytes[i / each] + i % each * size, &number, sizeof number);
        }
        int count = sendmmsg(fd, messages, (unsigned)at_once, 0);
        if (count > 0) sent += (uint64_t)count * each;
        now = seconds_now();
        double ahead = rate > 0 ? began + (double)sent / rate - now : 0;
        if (ahead > 50e-6) {
            struct timespec wait = {(time_t)ahead, (long)((ahead - (double)(time_t)ahead) * 1e9)};
            nanosleep(&wait, NULL);
            now = seconds_now();
        }
    }
    printf("%llu\n", (unsigned long long)sent);
    return 0;
}

static uint64_t receive_all(int fd)
{
    uint64_t got = 0;
    for (;;) {
        for (int i = 0; i < AT_ONCE; i++) messages[i].msg_hdr.msg_controllen = sizeof control[i];
        int count = recvmmsg(fd, messages, AT_ONCE, MSG_DONTWAIT, NULL);
        if (count <= 0) return got;
        got += (uint64_t)count;
    }
}

static int run_receive(const char *port)
{
    struct sockaddr_in at = address_of(port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, room = 32 << 20;
    uint64_t got = 0;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) return 1;
    for (int i = 0; i < AT_ONCE; i++) {
        parts[i] = (struct iovec){bytes[i], ROOM};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = control[i]};
    }
    puts("ready");
    fflush(stdout);
    struct pollfd polls[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    while (poll(polls, 2, -1) >= 0 && !polls[1].revents)
        if (polls[0].revents) got += receive_all(fd);
    got += receive_all(fd);
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;
    getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size);
    printf("%llu %u\n", (unsigned long long)got, info[SK_MEMINFO_DROPS]);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "send") == 0) {
        size_t size = (size_t)atoi(argv[3]);
        return run_send(argv[2],
                        size < 16      ? 16
                        : size > 60000 ? 60000
                                       : size,
                        atof(argv[4]), atof(argv[5]), (uint64_t)atoi(argv[6]));
    }
    if (argc == 3 && strcmp(argv[1], "receive") == 0) return run_receive(argv[2]);
    fprintf(stderr, "usage: bench-udpfloor send PORT SIZE SECONDS RATE SENDER | receive PORT\n");
    return 2;
}
