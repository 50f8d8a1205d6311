#include "world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "elements/registry.h"
#include <yarder/log.h>

void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    (void)snprintf(w->data, sizeof w->data, "/tmp/yd_elements_XXXXXX");
    assert_non_null(mkdtemp(w->data));
    pthread_mutex_init(&w->lock, NULL);
}

static void said(void *arg, const struct yd_run_line *line)
{
    struct world *w = arg;
    pthread_mutex_lock(&w->lock);
    size_t at = strlen(w->said);
    (void)snprintf(w->said + at, sizeof w->said - at, "%s: %s\n", line->element, line->text);
    pthread_mutex_unlock(&w->lock);
}

static void listens(void *arg, const char *element, const char *what, const char *address)
{
    struct world *w = arg;
    pthread_mutex_lock(&w->lock);
    unsigned i = w->listen_count++;
    assert_true(i < 8);
    (void)snprintf(w->listens[i].element, sizeof w->listens[i].element, "%s", element);
    (void)snprintf(w->listens[i].what, sizeof w->listens[i].what, "%s", what);
    (void)snprintf(w->listens[i].address, sizeof w->listens[i].address, "%s", address);
    pthread_mutex_unlock(&w->lock);
}

static void finished(void *arg, int exit_code)
{
    struct world *w = arg;
    pthread_mutex_lock(&w->lock);
    w->exit_code = exit_code;
    pthread_mutex_unlock(&w->lock);
}

static int read_text(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    if (!strstr(path, ".yd") || strstr(path, ".ydm"))
        return YD_ENOENT; /* what a parameter names: opening it will tell */
    *ret_text = strdup(arg);
    *ret_size = strlen(arg);
    return 0;
}

void world_start(struct world *w, const char *text)
{
    struct yd_diagnostics diagnostics;
    struct yd_trail trail = {0};
    yd_diagnostics_init(&diagnostics, NULL);
    struct yd_load_options load = {
        .classes = yd_builtin_classes(), .read_file = read_text, .arg = (void *)(uintptr_t)text};
    int r = yd_topology_load("test.yd", &load, &w->topology, &diagnostics);
    if (r < 0) {
        struct yd_buf buf;
        yd_buf_init(&buf, NULL);
        yd_diagnostics_print(&diagnostics, false, &buf);
        fail_msg("%s", text_of(&buf));
    }
    yd_diagnostics_fini(&diagnostics);
    w->exit_code = -1;
    w->listen_count = 0;
    w->fs = yd_fs_linux();
    assert_int_equal(yd_pool_create(2, "test", &w->pool), 0);
    struct yd_system_options system = {.executors = 2, .compute = 1};
    assert_int_equal(yd_system_create(&system, &w->system), 0);
    assert_int_equal(yd_system_start(w->system), 0);
    struct yd_run_options options = {.system = w->system,
                                     .topology = w->topology,
                                     .data = w->data,
                                     .fs = w->fs,
                                     .pool = w->pool,
                                     .said = said,
                                     .listens = listens,
                                     .finished = finished,
                                     .callback_arg = w};
    if (yd_run_start(&options, &w->run, &trail) < 0) fail_msg("%s\n%s", yd_trail_text(&trail), w->said);
}

void world_stop(struct world *w)
{
    int code;
    yd_run_drain(w->run, 5 * YD_NS_PER_S);
    for (int i = 0; i < 10000 && !yd_run_finished(w->run, &code); i++) usleep(1000);
    if (!yd_run_finished(w->run, &code)) fail_msg("does not end: %s", w->said);
    yd_run_destroy(w->run);
    yd_system_stop(w->system);
    yd_system_destroy(w->system);
    yd_pool_destroy(w->pool);
    yd_topology_destroy(w->topology);
}

void world_close(struct world *w)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", w->data);
    assert_int_equal(system(command), 0);
    pthread_mutex_destroy(&w->lock);
}

int world_port(struct world *w, const char *element, const char *what)
{
    for (int tries = 0; tries < 5000; tries++) {
        pthread_mutex_lock(&w->lock);
        for (unsigned i = 0; i < w->listen_count; i++) {
            if (strcmp(w->listens[i].element, element) || !strstr(w->listens[i].what, what)) continue;
            int port = atoi(strrchr(w->listens[i].address, ':') + 1);
            pthread_mutex_unlock(&w->lock);
            return port;
        }
        pthread_mutex_unlock(&w->lock);
        usleep(1000);
    }
    fail_msg("%s does not listen: %s", element, w->said);
    return -1;
}

int world_dial(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void world_send_bytes(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size) {
        ssize_t sent = send(fd, p, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        p += sent, size -= (size_t)sent;
    }
}

void world_send(int fd, const char *text)
{
    world_send_bytes(fd, text, strlen(text));
}

char *world_receive(int fd, const char *until)
{
    size_t size = 0, capacity = 65536;
    char *text = malloc(capacity + 1);
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        text[size] = 0;
        if (until && strstr(text, until)) return text;
        if (poll(&poll_fd, 1, 10000) != 1) fail_msg("nothing more after: %s", text);
        ssize_t got = recv(fd, text + size, capacity - size, 0);
        if (got <= 0) return text;
        size += (size_t)got;
        if (size == capacity) text = realloc(text, (capacity *= 2) + 1);
    }
}

char *world_http(int port, const char *method, const char *path, const char *body)
{
    char head[1024];
    int fd = world_dial(port);
    (void)snprintf(head, sizeof head,
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", method,
                   path, body ? strlen(body) : 0);
    world_send(fd, head);
    if (body) world_send(fd, body);
    char *answer = world_receive(fd, NULL);
    close(fd);
    return answer;
}

char *world_http_until(int port, const char *method, const char *path, const char *body, const char *part)
{
    for (int i = 0;; i++) {
        char *answer = world_http(port, method, path, body);
        if (strstr(answer, part)) return answer;
        if (i == 500) fail_msg("'%s' is not in: %s", part, answer);
        free(answer);
        usleep(20000);
    }
}

const char *body_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    return body ? body + 4 : "";
}

struct find {
    const char *element, *name;
    struct world_counts counts;
    uint64_t reason;
};

static void visit(void *arg, const struct yd_element_stat *stat)
{
    struct find *find = arg;
    if (strcmp(stat->name, find->element)) return;
    for (size_t i = 0; i < stat->input_count; i++) {
        const struct yd_input_stat *in = &stat->inputs[i];
        if (!strcmp(in->name, find->name))
            find->counts = (struct world_counts){in->received, in->consumed, in->rejected, in->dropped, in->queued};
    }
    for (size_t i = 0; i < stat->reason_count; i++)
        if (!strcmp(stat->reasons[i].reason, find->name))
            find->reason = stat->reasons[i].rejected + stat->reasons[i].dropped;
}

static struct find look(struct world *w, const char *element, const char *name)
{
    struct find find = {.element = element, .name = name};
    const struct yd_run_stat_visit visits = {.element = visit, .arg = &find};
    assert_int_equal(yd_run_stat_wait(w->run, 5 * YD_NS_PER_S), 0);
    yd_run_stat(w->run, &visits);
    return find;
}

struct world_counts world_counts(struct world *w, const char *element, const char *input)
{
    return look(w, element, input).counts;
}

uint64_t world_reason(struct world *w, const char *element, const char *reason)
{
    return look(w, element, reason).reason;
}
