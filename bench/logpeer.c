/* bench-logpeer: one measured run against a peer of the log: publish, latency or replay of messages of one size.
 *
 *   logpeer nats|redis HOST PORT, or sqlite FILE;  --size N --count N --mode single|pipelined|batch|latency|replay
 *
 * Speaks the peers' own protocols over a socket by itself (NATS' text protocol with JetStream acknowledgements, RESP),
 * so no client library's cost is theirs. Prints one JSON object. single: one message, its acknowledgement, the next.
 * pipelined: up to 10,000 in flight, each acknowledged by itself. batch: what the peer has of it: Redis: a transaction
 * (MULTI) of 100; SQLite: a transaction of 1,000; JetStream 2.9 has none. latency: from before publishing until a
 * second connection has received it. replay: everything that is stored, read by one consumer from the oldest. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 10000

static size_t size = 100, count = 100000;
static const char *mode = "pipelined";
static char *payload;

static double now_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

/* ---- a buffered connection ---- */

struct wire {
    int fd;
    char *in, *out;
    size_t in_at, in_end, in_size, out_end, out_size;
};

static void wire_open(struct wire *wire, const char *host, const char *port)
{
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(host, port, &hints, &found)) fail("no such host: %s", host);
    wire->fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(wire->fd, found->ai_addr, found->ai_addrlen)) fail("%s:%s: %s", host, port, strerror(errno));
    freeaddrinfo(found);
    int yes = 1;
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* slower without, not wrong */
    wire->in_size = wire->out_size = (size_t)4 << 20;
    wire->in = malloc(wire->in_size);
    wire->out = malloc(wire->out_size);
    wire->in_at = wire->in_end = wire->out_end = 0;
}

static void wire_flush(struct wire *wire)
{
    for (size_t at = 0; at < wire->out_end;) {
        ssize_t sent = send(wire->fd, wire->out + at, wire->out_end - at, MSG_NOSIGNAL);
        if (sent <= 0) fail("send: %s", strerror(errno));
        at += (size_t)sent;
    }
    wire->out_end = 0;
}

static void wire_put(struct wire *wire, const void *bytes, size_t bytes_size)
{
    if (wire->out_end + bytes_size > wire->out_size) wire_flush(wire);
    memcpy(wire->out + wire->out_end, bytes, bytes_size);
    wire->out_end += bytes_size;
}

__attribute__((format(printf, 2, 3))) static void wire_printf(struct wire *wire, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int made = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wire_put(wire, text, (size_t)made);
}

static bool wire_readable(struct wire *wire)
{
    struct pollfd poll_fd = {wire->fd, POLLIN, 0};
    return wire->in_at < wire->in_end || poll(&poll_fd, 1, 0) > 0;
}

static void wire_fill(struct wire *wire)
{
    if (wire->in_at > 0) {
        memmove(wire->in, wire->in + wire->in_at, wire->in_end - wire->in_at);
        wire->in_end -= wire->in_at;
        wire->in_at = 0;
    }
    if (wire->in_end == wire->in_size) {
        wire->in_size *= 2;
        wire->in = realloc(wire->in, wire->in_size);
    }
    ssize_t got = recv(wire->fd, wire->in + wire->in_end, wire->in_size - wire->in_end, 0);
    if (got <= 0) fail("the peer has ended: %s", got ? strerror(errno) : "end");
    wire->in_end += (size_t)got;
}

/* The next line without its CRLF; valid until the next read. */
static char *wire_line(struct wire *wire)
{
    for (size_t from = 0;;) {
        char *end = memchr(wire->in + wire->in_at + from, '\n', wire->in_end - wire->in_at - from);
        if (end) {
            char *line = wire->in + wire->in_at;
            wire->in_at = (size_t)(end + 1 - wire->in);
            end[-1] = 0;
            return line;
        }
        from = wire->in_end - wire->in_at;
        wire_fill(wire);
    }
}

static char *wire_bytes(struct wire *wire, size_t bytes_size)
{
    while (wire->in_end - wire->in_at < bytes_size) wire_fill(wire);
    char *bytes = wire->in + wire->in_at;
    wire->in_at += bytes_size;
    return bytes;
}

/* ---- what every mode tells ---- */

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

/* Publishing, in all its forms: `put` queues one, `ack` waits for one acknowledgement. */
static void publish(struct wire *wire, void (*put)(struct wire *), void (*ack)(struct wire *), size_t in_flight)
{
    double *latencies = in_flight == 1 ? malloc(count * sizeof *latencies) : NULL;
    double started = now_s();
    size_t put_count = 0, ack_count = 0;
    while (ack_count < count) {
        double before = in_flight == 1 ? now_s() : 0;
        while (put_count < count && put_count - ack_count < in_flight) {
            put(wire);
            put_count++;
        }
        wire_flush(wire);
        size_t have = 0; /* answers that are here already are taken together: half a window at least */
        do {
            ack(wire);
            ack_count++;
            have++;
        } while (ack_count < put_count && (have < in_flight / 2 || wire_readable(wire)));
        if (latencies) latencies[ack_count - 1] = now_s() - before;
    }
    tell(now_s() - started, count, latencies, latencies ? count : 0);
}

/* ---- NATS JetStream ---- */

static struct wire nats_other;

static void nats_hello(struct wire *wire)
{
    (void)wire_line(wire); /* INFO */
    wire_printf(wire, "CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n");
    wire_flush(wire);
    while (strncmp(wire_line(wire), "PONG", 4) != 0) {
    }
}

/* The body of the next message, and its reply subject. */
static char *nats_message(struct wire *wire, size_t *ret_size)
{
    for (;;) {
        char *line = wire_line(wire);
        if (strncmp(line, "PING", 4) == 0) {
            wire_printf(wire, "PONG\r\n");
            wire_flush(wire);
            continue;
        }
        if (line[0] == '-') fail("nats: %s", line);
        if (strncmp(line, "MSG ", 4) != 0 && strncmp(line, "HMSG ", 5) != 0) continue;
        *ret_size = strtoull(strrchr(line, ' ') + 1, NULL, 10);
        char *bytes = wire_bytes(wire, *ret_size + 2);
        return bytes;
    }
}

static void nats_ask(struct wire *wire, const char *subject, const char *body)
{
    wire_printf(wire, "PUB %s _INBOX.ask%d %zu\r\n%s\r\n", subject, wire->fd, strlen(body), body);
    wire_flush(wire);
    size_t got;
    char *bytes = nats_message(wire, &got);
    if (memmem(bytes, got, "\"error\"", 7)) fail("%s: %.*s", subject, (int)got, bytes);
}

static void nats_put(struct wire *wire)
{
    wire_printf(wire, "PUB bench.m _INBOX.ack %zu\r\n", size);
    wire_put(wire, payload, size);
    wire_put(wire, "\r\n", 2);
}
static void nats_ack(struct wire *wire)
{
    size_t got;
    char *bytes = nats_message(wire, &got);
    if (!memmem(bytes, got, "\"seq\"", 5)) fail("not acknowledged: %.*s", (int)got, bytes);
}

static void nats_consumer(struct wire *wire, const char *policy)
{
    char body[512];
    wire_printf(wire, "SUB _INBOX.ask%d 1\r\nSUB deliver 2\r\n", wire->fd);
    (void)snprintf(body, sizeof body,
                   "{\"stream_name\":\"bench\",\"config\":{\"deliver_policy\":\"%s\",\"ack_policy\":\"none\","
                   "\"deliver_subject\":\"deliver\",\"max_deliver\":-1,\"replay_policy\":\"instant\"}}",
                   policy);
    nats_ask(wire, "$JS.API.CONSUMER.CREATE.bench", body);
}

static void run_nats(const char *host, const char *port)
{
    struct wire wire;
    wire_open(&wire, host, port);
    nats_hello(&wire);
    size_t got;
    if (strcmp(mode, "replay") == 0) {
        double started = now_s();
        nats_consumer(&wire, "all");
        for (size_t i = 0; i < count; i++) (void)nats_message(&wire, &got);
        tell(now_s() - started, count, NULL, 0);
        return;
    }
    wire_printf(&wire, "SUB _INBOX.ask%d 1\r\n", wire.fd); /* replies of one connection are its own */
    nats_ask(
        &wire, "$JS.API.STREAM.CREATE.bench",
        "{\"name\":\"bench\",\"subjects\":[\"bench.*\"],\"storage\":\"file\",\"num_replicas\":1,\"max_msg_size\":-1}");
    wire_printf(&wire, "UNSUB 1\r\nSUB _INBOX.ack 3\r\n");
    if (strcmp(mode, "latency") == 0) {
        wire_open(&nats_other, host, port);
        nats_hello(&nats_other);
        nats_consumer(&nats_other, "new");
        double *latencies = malloc(count * sizeof *latencies), started = now_s();
        for (size_t i = 0; i < count; i++) {
            double before = now_s();
            nats_put(&wire);
            wire_flush(&wire);
            (void)nats_message(&nats_other, &got);
            latencies[i] = now_s() - before;
            nats_ack(&wire);
        }
        tell(now_s() - started, count, latencies, count);
        return;
    }
    publish(&wire, nats_put, nats_ack, strcmp(mode, "single") == 0 ? 1 : IN_FLIGHT);
}

/* ---- Redis Streams ---- */

static size_t redis_in_transaction;

static void redis_put(struct wire *wire)
{
    wire_printf(wire, "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\nd\r\n$%zu\r\n", size);
    wire_put(wire, payload, size);
    wire_put(wire, "\r\n", 2);
}

/* Reads one reply whole; how many bulk strings of the payload's size were in it. */
static size_t redis_reply(struct wire *wire)
{
    char *line = wire_line(wire);
    size_t found = 0;
    long long number = strtoll(line + 1, NULL, 10);
    switch (line[0]) {
    case '-':
        fail("redis: %s", line);
    case '$':
        if (number >= 0) (void)wire_bytes(wire, (size_t)number + 2);
        return (size_t)number == size;
    case '*':
        for (long long i = 0; i < number; i++) found += redis_reply(wire);
        return found;
    default:
        return 0;
    }
}
static void redis_ack(struct wire *wire)
{
    (void)redis_reply(wire);
}
static void redis_put_many(struct wire *wire)
{
    wire_printf(wire, "*1\r\n$5\r\nMULTI\r\n");
    for (size_t i = 0; i < redis_in_transaction; i++) redis_put(wire);
    wire_printf(wire, "*1\r\n$4\r\nEXEC\r\n");
}
static void redis_ack_many(struct wire *wire)
{
    for (size_t i = 0; i < redis_in_transaction + 2; i++) (void)redis_reply(wire);
}

static void redis_replay(struct wire *wire)
{
    double started = now_s();
    char last[64] = "-";
    for (size_t done = 0; done < count;) {
        wire_printf(wire, "*6\r\n$6\r\nXRANGE\r\n$5\r\nbench\r\n$%zu\r\n%s\r\n$1\r\n+\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n",
                    strlen(last), last);
        wire_flush(wire);
        long long entries = strtoll(wire_line(wire) + 1, NULL, 10);
        if (entries <= 0) fail("redis has %zu messages only", done);
        for (long long i = 0; i < entries; i++) {
            (void)wire_line(wire); /* *2 */
            size_t id_size = strtoull(wire_line(wire) + 1, NULL, 10);
            char *id = wire_bytes(wire, id_size + 2);
            (void)snprintf(last, sizeof last, "(%.*s", (int)id_size, id);
            (void)redis_reply(wire);
        }
        done += (size_t)entries;
    }
    tell(now_s() - started, count, NULL, 0);
}

static void run_redis(const char *host, const char *port)
{
    struct wire wire, other;
    wire_open(&wire, host, port);
    if (strcmp(mode, "replay") == 0) {
        redis_replay(&wire);
    } else if (strcmp(mode, "latency") == 0) {
        wire_open(&other, host, port);
        double *latencies = malloc(count * sizeof *latencies), started = now_s();
        for (size_t i = 0; i < count; i++) {
            wire_printf(&other,
                        "*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$7\r\nSTREAMS\r\n$5\r\nbench\r\n$1\r\n$\r\n");
            wire_flush(&other);
            struct timespec settle = {0, 200000}; /* it must be blocked there before */
            nanosleep(&settle, NULL);
            double before = now_s();
            redis_put(&wire);
            wire_flush(&wire);
            (void)redis_reply(&other);
            latencies[i] = now_s() - before;
            redis_ack(&wire);
        }
        tell(now_s() - started, count, latencies, count);
    } else if (strcmp(mode, "batch") == 0) {
        redis_in_transaction = 100;
        size_t messages = count;
        count /= redis_in_transaction;
        double started = now_s();
        size_t put = 0, acked = 0;
        while (acked < count) {
            while (put < count && put - acked < 10) redis_put_many(&wire), put++;
            wire_flush(&wire);
            redis_ack_many(&wire);
            acked++;
        }
        tell(now_s() - started, messages, NULL, 0);
    } else {
        publish(&wire, redis_put, redis_ack, strcmp(mode, "single") == 0 ? 1 : IN_FLIGHT);
    }
}

/* ---- SQLite, in this process; its library is loaded from where LD_LIBRARY_PATH says ---- */

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
static int (*db_open)(const char *, sqlite3 **);
static int (*db_exec)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
static int (*db_prepare)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
static int (*db_bind)(sqlite3_stmt *, int, const void *, int, void (*)(void *));
static int (*db_step)(sqlite3_stmt *);
static int (*db_reset)(sqlite3_stmt *);
static const void *(*db_blob)(sqlite3_stmt *, int);
static const char *(*db_text)(sqlite3 *);
static int (*db_finalize)(sqlite3_stmt *);
static int (*db_close)(sqlite3 *);

static void load_sqlite(void)
{
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
    if (!library) fail("%s", dlerror());
    const struct {
        const char *name;
        void *to;
    } symbols[] = {{"sqlite3_open", &db_open},        {"sqlite3_exec", &db_exec},   {"sqlite3_prepare_v2", &db_prepare},
                   {"sqlite3_bind_blob", &db_bind},   {"sqlite3_step", &db_step},   {"sqlite3_reset", &db_reset},
                   {"sqlite3_column_blob", &db_blob}, {"sqlite3_errmsg", &db_text}, {"sqlite3_finalize", &db_finalize},
                   {"sqlite3_close", &db_close}};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol) fail("%s", dlerror());
        memcpy(symbols[i].to, &symbol, sizeof symbol);
    }
}

static void run_sqlite(const char *file)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    load_sqlite();
    if (db_open(file, &db)) fail("%s: %s", file, db_text(db));
    (void)db_exec(db, "pragma journal_mode=WAL", NULL, NULL, NULL);
    (void)db_exec(db, "pragma synchronous=FULL", NULL, NULL, NULL);
    (void)db_exec(db, "create table if not exists log(seqno integer primary key, data blob)", NULL, NULL, NULL);
    double started = now_s();
    if (strcmp(mode, "replay") == 0) {
        size_t found = 0;
        uint64_t sum = 0;
        if (db_prepare(db, "select data from log order by seqno", -1, &statement, NULL)) fail("%s", db_text(db));
        while (found < count && db_step(statement) == 100) {
            uint64_t word = 0;
            memcpy(&word, db_blob(statement, 0), size < 8 ? size : 8);
            sum += word;
            found++;
        }
        if (sum == 1) fail("that cannot be");
        tell(now_s() - started, found, NULL, 0);
        (void)db_finalize(statement);
        (void)db_close(db);
        return;
    }
    if (strcmp(mode, "latency") == 0) fail("sqlite tells nobody of what was written");
    size_t together = strcmp(mode, "batch") == 0 ? 1000 : 1; /* pipelined: it has no such thing: as single */
    double *latencies = together == 1 ? malloc(count * sizeof *latencies) : NULL;
    if (db_prepare(db, "insert into log(data) values(?)", -1, &statement, NULL)) fail("%s", db_text(db));
    for (size_t i = 0; i < count; i++) {
        double before = together == 1 ? now_s() : 0;
        if (i % together == 0 && together > 1) (void)db_exec(db, "begin", NULL, NULL, NULL);
        (void)db_bind(statement, 1, payload, (int)size, NULL);
        if (db_step(statement) != 101) fail("%s", db_text(db));
        (void)db_reset(statement);
        if (together > 1 && (i % together == together - 1 || i + 1 == count) && db_exec(db, "commit", NULL, NULL, NULL))
            fail("%s", db_text(db));
        if (latencies) latencies[i] = now_s() - before;
    }
    tell(now_s() - started, count, latencies, latencies ? count : 0);
    (void)db_finalize(statement);
    (void)db_close(db);
}

int main(int argc, char **argv)
{
    if (argc < 3) fail("logpeer nats|redis HOST PORT | sqlite FILE  --size N --count N --mode MODE");
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--size") == 0) size = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--mode") == 0) mode = argv[i + 1];
    }
    payload = malloc(size);
    for (size_t i = 0; i < size; i++) payload[i] = "telemetry 0123456789 "[(i * 7 + i / 13) % 21];
    if (strcmp(argv[1], "nats") == 0)
        run_nats(argv[2], argv[3]);
    else if (strcmp(argv[1], "redis") == 0)
        run_redis(argv[2], argv[3]);
    else if (strcmp(argv[1], "sqlite") == 0)
        run_sqlite(argv[2]);
    else
        fail("who is %s?", argv[1]);
    return 0;
}
