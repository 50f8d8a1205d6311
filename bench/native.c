/* bench/native.c: reading a stream through the native server, beside a bare sendfile loop over the same files.
 *
 *   bench-native --address HOST:PORT|unix:/path --stream NAME --dir FOLDER [--rounds N]
 *
 * Each round: SUBSCRIBE from the oldest record to what is there now with credit without end, bytes received and thrown
 * away; then a thread of this program that sends the same files by sendfile over a connection of the same kind to the
 * same loop of recv. The first round warms the page cache and does not count. How the library reads: bench-client. */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include <yarder/protocol.h>

#define PIECE ((size_t)1 << 20)

static char buffer[PIECE];

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static socklen_t address_of(const char *text, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *at = (void *)to;
        at->sun_family = AF_UNIX;
        (void)snprintf(at->sun_path, sizeof at->sun_path, "%s", text + 5);
        return sizeof *at;
    }
    struct sockaddr_in *at = (void *)to;
    const char *colon = strrchr(text, ':');
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at->sin_port = htons((uint16_t)(colon ? atoi(colon + 1) : YD_PROTOCOL_PORT));
    return sizeof *at;
}

static void take(int fd, void *to, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = recv(fd, (char *)to + have, size - have, 0);
        if (got <= 0) die("recv");
        have += (size_t)got;
    }
}

static void give(int fd, unsigned type, uint64_t correlation, const void *body, size_t body_size, struct yd_str text)
{
    char bytes[512] = {0};
    size_t size = (sizeof(struct yd_frame) + body_size + text.size + 7) & ~(size_t)7;
    struct yd_frame frame = {(uint32_t)size, (uint16_t)type, 0, correlation};
    memcpy(bytes, &frame, sizeof frame);
    memcpy(bytes + sizeof frame, body, body_size);
    if (text.size) memcpy(bytes + sizeof frame + body_size, text.data, text.size);
    if (send(fd, bytes, size, 0) != (ssize_t)size) die("send");
}

static void expect(int fd, unsigned type, void *body, size_t body_size)
{
    struct yd_frame frame;
    take(fd, &frame, sizeof frame);
    if (frame.type != type) {
        fprintf(stderr, "a frame of type %u came instead of %u\n", frame.type, type);
        exit(1);
    }
    size_t size = frame.size - sizeof frame;
    take(fd, buffer, size);
    memcpy(body, buffer, YD_MIN(size, body_size));
}

/* Bytes a second of a subscription to what is there. */
static double subscribe(const char *address, const char *stream, uint64_t *ret_bytes)
{
    struct sockaddr_storage at;
    socklen_t size = address_of(address, &at);
    int fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, size)) die(address);
    struct yd_msg_hello hello = {.magic = YD_PROTOCOL_MAGIC, .version_min = 1, .version_max = 1};
    struct yd_msg_welcome welcome;
    struct yd_msg_open open = {.stream_size = (uint16_t)strlen(stream)};
    struct yd_msg_opened opened;
    give(fd, YD_MSG_HELLO, 1, &hello, sizeof hello, (struct yd_str){0});
    expect(fd, YD_MSG_WELCOME, &welcome, sizeof welcome);
    give(fd, YD_MSG_OPEN, 2, &open, sizeof open, yd_str_of(stream));
    expect(fd, YD_MSG_OPENED, &opened, sizeof opened);
    struct yd_msg_subscribe message = {.handle = opened.handle,
                                       .level = 3,
                                       .flags = YD_SUBSCRIBE_STOP,
                                       .until = UINT64_MAX,
                                       .count = UINT64_MAX,
                                       .credit = UINT64_C(1) << 60};
    double began = now_s();
    uint64_t bytes = 0;
    give(fd, YD_MSG_SUBSCRIBE, 3, &message, sizeof message, (struct yd_str){0});
    for (;;) {
        struct yd_frame frame;
        take(fd, &frame, sizeof frame);
        for (size_t left = frame.size - sizeof frame; left > 0;) {
            ssize_t got = recv(fd, buffer, YD_MIN(left, sizeof buffer), 0);
            if (got <= 0) die("recv");
            left -= (size_t)got;
        }
        if (frame.type == YD_MSG_END) break;
        bytes += frame.size;
    }
    double seconds = now_s() - began;
    close(fd);
    *ret_bytes = bytes;
    return (double)bytes / seconds;
}

/* ---- the floor ---- */

struct floor {
    int fd;
    const char *dir;
    uint64_t bytes;
};

static void *send_files(void *arg)
{
    struct floor *floor = arg;
    struct dirent **names;
    int count = scandir(floor->dir, &names, NULL, alphasort);
    if (count < 0) die(floor->dir);
    uint64_t left = floor->bytes;
    for (int i = 0; i < count; i++) {
        char path[4096];
        size_t size = strlen(names[i]->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", floor->dir, names[i]->d_name);
        int file = size > 5 && strcmp(names[i]->d_name + size - 5, ".ylog") == 0 ? open(path, O_RDONLY) : -1;
        free(names[i]);
        if (file < 0) continue;
        struct stat stat;
        if (fstat(file, &stat)) die(path);
        for (off_t at = 0; at < stat.st_size && left > 0;) {
            ssize_t sent = sendfile(floor->fd, file, &at, YD_MIN(YD_MIN(PIECE, (size_t)(stat.st_size - at)), left));
            if (sent <= 0) die("sendfile");
            left -= (uint64_t)sent;
        }
        close(file);
    }
    free(names);
    shutdown(floor->fd, SHUT_WR);
    return NULL;
}

static void connected_pair(bool unix_socket, int fds[2])
{
    if (unix_socket) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) die("socketpair");
        return;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &size) || connect(fds[0], (struct sockaddr *)&at, size))
        die("a pair of sockets");
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
}

static double bare(const char *dir, uint64_t bytes, bool unix_socket)
{
    int fds[2];
    pthread_t thread;
    connected_pair(unix_socket, fds);
    struct floor floor = {.fd = fds[1], .dir = dir, .bytes = bytes};
    double began = now_s();
    uint64_t got_all = 0;
    if (pthread_create(&thread, NULL, send_files, &floor)) die("a thread");
    for (;;) {
        ssize_t got = recv(fds[0], buffer, sizeof buffer, 0);
        if (got < 0) die("recv");
        if (got == 0) break;
        got_all += (uint64_t)got;
    }
    double seconds = now_s() - began;
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    return (double)got_all / seconds;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", 1, NULL, 'a'}, {"stream", 1, NULL, 's'}, {"dir", 1, NULL, 'd'}, {"rounds", 1, NULL, 'r'}, {0}};
    const char *address = "127.0.0.1:4280", *stream = "bench", *dir = NULL;
    int rounds = 5, option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a') address = optarg;
        if (option == 's') stream = optarg;
        if (option == 'd') dir = optarg;
        if (option == 'r') rounds = atoi(optarg);
        if (option == '?') return 2;
    }
    if (!dir || rounds < 1 || rounds > 100) {
        fprintf(stderr, "usage: bench-native --address A --stream S --dir DATA/streams/S/0 [--rounds N]\n");
        return 2;
    }
    double served[100], floor[100];
    uint64_t bytes;
    bool unix_socket = strncmp(address, "unix:", 5) == 0;
    for (int i = -1; i < rounds; i++) {
        double rate = subscribe(address, stream, &bytes), raw = bare(dir, bytes, unix_socket);
        if (i < 0) continue;
        served[i] = rate;
        floor[i] = raw;
    }
    qsort(served, (size_t)rounds, sizeof *served, compare);
    qsort(floor, (size_t)rounds, sizeof *floor, compare);
    double rate = served[rounds / 2] / 1048576, raw = floor[rounds / 2] / 1048576;
    printf("subscribe %s: %.0f MiB of files: %.0f MiB/s, bare sendfile %.0f MiB/s, ratio %.2f\n", address,
           (double)bytes / 1048576, rate, raw, rate / raw);
    return 0;
}
