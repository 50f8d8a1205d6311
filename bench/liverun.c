/* bench live: shared memory beside its floors, in one run: the cache line between two cores, the futex, ZeroMQ over
 * ipc://.
 *
 *   liverun [--rounds N]     LIBZMQ=path of libzmq.so.5 (bench/live.py unpacks it)
 *
 * Rounds in alternation, each short; the best and the median of them; ratios are of the best. On a machine whose cores
 * are shared only ratios of one run count. */
#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "live/atomic.h"
#include "live/bell_wait.h"
#include "live/ring_read.h"
#include "live/ring_write.h"
#include "live/table_read.h"
#include "live/table_write.h"
#include "live/triple_read.h"
#include "live/triple_write.h"

#define ROUNDS_MAX 101

static int rounds = 25;

/* What the processes of a measurement say to each other: lines of their own. */
static struct {
    uint64_t a, pad0[15], b, pad1[15], stop, pad2[15], count, pad3[15], ready, pad4[15];
} * shared;

static double now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The best round, where nobody else had the cores; and the one in the middle. */
static double best(double *values, bool more_is_better, double *ret_median)
{
    qsort(values, (size_t)rounds, sizeof *values, by_size);
    *ret_median = values[rounds / 2];
    return more_is_better ? values[rounds - 1] : values[0];
}

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* a hint */
}

static void must(int result, const char *what)
{
    if (result >= 0) return;
    fprintf(stderr, "bench live: %s: %d\n", what, result);
    exit(1);
}

static pid_t beside(void (*run)(void *), void *with)
{
    shared->stop = shared->ready = 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        run(with);
        _exit(0);
    }
    return pid;
}

static void wait_ready(uint64_t count)
{
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < count) usleep(100);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static struct yd_live_table *table;
static struct yd_live_bell bell;
static struct yd_live_mapping mapping, bell_mapping;
static struct yd_live_table_view view;
static struct yd_live_cell cell;
static uint64_t bytes[8];

static void make_table(void)
{
    uint32_t index;
    must(yd_live_table_create(&(struct yd_live_table_options){.capacity = 1024}, NULL, &table), "table");
    must(yd_live_table_declare(table, YD_STR("v"), YD_BLOB, 64, &index), "declare");
    must(yd_live_bell_create(0, 0, 0, &bell), "bell");
    must(yd_live_table_add_bell(table, &bell), "bell");
    yd_live_table_set_state(table, YD__LIVE_READY);
    must(yd_live_mapping_open(yd_live_table_region(table)->fd, YD__LIVE_TABLE, &mapping), "map");
    must(yd_live_mapping_open(bell.region.fd, YD__LIVE_BELL, &bell_mapping), "map");
    must(yd_live_table_view_open(&mapping, &view), "view");
    must(yd_live_table_view_cell(&view, 0, &cell), "cell");
}

static double publish_ns(uint64_t count)
{
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        bytes[0] = i;
        (void)yd_live_table_publish(table, 0, (int64_t)i, YD_BLOB, 0, bytes, 64);
    }
    return (now_ns() - began) / (double)count;
}

static double exchange_ns(uint64_t count)
{
    static uint64_t word[16];
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) (void)__atomic_exchange_n(word, i, __ATOMIC_ACQ_REL);
    return (now_ns() - began) / (double)count;
}

/* A line there and back, halved. */
static void echo_line(void *with)
{
    (void)with;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t seen = 0;;) {
        uint64_t at = __atomic_load_n(&shared->a, __ATOMIC_ACQUIRE);
        if (at == seen) continue;
        __atomic_store_n(&shared->b, seen = at, __ATOMIC_RELEASE);
    }
}

static double line_ns(uint64_t count)
{
    shared->a = shared->b = 0;
    pid_t pid = beside(echo_line, NULL);
    wait_ready(1);
    double began = now_ns();
    for (uint64_t i = 1; i <= count; i++) {
        __atomic_store_n(&shared->a, i, __ATOMIC_RELEASE);
        while (__atomic_load_n(&shared->b, __ATOMIC_ACQUIRE) != i) continue;
    }
    double took = (now_ns() - began) / (double)count / 2;
    end(pid);
    return took;
}

/* The reader answers each value by a line of its own: value there, line back. */
static void echo_value(void *with)
{
    (void)with;
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t to[8];
    while (yd_live_cell_get(&cell, &cursor, to, 64, &value) == 1) continue;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;)
        if (yd_live_cell_get(&cell, &cursor, to, 64, &value) == 1)
            __atomic_store_n(&shared->b, to[0], __ATOMIC_RELEASE);
}

static double hand_off_ns(uint64_t count)
{
    shared->b = 0;
    pid_t pid = beside(echo_value, NULL);
    wait_ready(1);
    double began = now_ns();
    for (uint64_t i = 1; i <= count; i++) {
        bytes[0] = i;
        (void)yd_live_table_publish(table, 0, 0, YD_BLOB, 0, bytes, 64);
        while (__atomic_load_n(&shared->b, __ATOMIC_ACQUIRE) != i) continue;
    }
    double took = (now_ns() - began) / (double)count;
    end(pid);
    return took;
}

static void poll_value(void *with)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t to[8];
    (void)with;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        if (yd_live_cell_get(&cell, &cursor, to, 64, &value) != 1) yd__relax();
    }
}

static double polled_ns(uint64_t count)
{
    pid_t pid = beside(poll_value, NULL);
    wait_ready(1);
    double took = publish_ns(count);
    end(pid);
    return took;
}

/* Sleeps at a word that is not rung: another measurement's. */
static void sleep_elsewhere(void *with)
{
    (void)with;
    struct yd_live_sleep sleep = yd_live_bell_arm(&bell_mapping, cell.bell + 1u);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) (void)yd_live_bell_sleep(&sleep, 1, INT64_MAX);
}

static double slept_elsewhere_ns(uint64_t count)
{
    pid_t pids[32];
    shared->stop = 0;
    for (int i = 0; i < 32; i++) {
        pids[i] = beside(sleep_elsewhere, NULL);
        wait_ready(1);
    }
    usleep(20000);
    double took = publish_ns(count);
    for (int i = 0; i < 32; i++) end(pids[i]);
    return took;
}

static double unchanged_ns(uint64_t count)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t to[8], sum = 0;
    (void)yd_live_cell_get(&cell, &cursor, to, 64, &value);
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) sum += (uint64_t)yd_live_cell_get(&cell, &cursor, to, 64, &value);
    double took = (now_ns() - began) / (double)count;
    shared->count = sum;
    return took;
}

/* Each time as if it were new: what a copy costs where the line is here already. */
static double fresh_ns(uint64_t count)
{
    struct yd_live_value value;
    uint64_t to[8], sum = 0;
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        struct yd_live_cursor cursor = {0};
        sum += (uint64_t)yd_live_cell_get(&cell, &cursor, to, 64, &value);
    }
    double took = (now_ns() - began) / (double)count;
    shared->count = sum;
    return took;
}

static void futex(uint32_t *word, int what, uint32_t value)
{
    (void)syscall(SYS_futex, word, what, value, NULL, NULL, 0);
}

static void echo_futex(void *with)
{
    (void)with;
    uint32_t *a = (uint32_t *)&shared->a, *b = (uint32_t *)&shared->b;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint32_t seen = 0;; seen++) {
        while (__atomic_load_n(a, __ATOMIC_ACQUIRE) == seen) futex(a, FUTEX_WAIT, seen);
        __atomic_store_n(b, seen + 1, __ATOMIC_RELEASE);
        futex(b, FUTEX_WAKE, 1);
    }
}

static double futex_us(uint64_t count)
{
    shared->a = shared->b = 0;
    uint32_t *a = (uint32_t *)&shared->a, *b = (uint32_t *)&shared->b;
    pid_t pid = beside(echo_futex, NULL);
    wait_ready(1);
    double began = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        __atomic_store_n(a, i + 1, __ATOMIC_RELEASE);
        futex(a, FUTEX_WAKE, 1);
        while (__atomic_load_n(b, __ATOMIC_ACQUIRE) == i) futex(b, FUTEX_WAIT, i);
    }
    double took = (now_ns() - began) / (double)count / 1e3;
    end(pid);
    return took;
}

/* Two triple buffers, one each way, both sides asleep in between: there and back. */
static struct yd_live_triple there, back;

static void open_triple(const struct yd_live_triple *triple, struct yd_live_triple_reader *reader)
{
    struct yd_live_mapping buffers, control;
    must(yd_live_mapping_open(triple->region.fd, YD__LIVE_TRIPLE, &buffers), "map");
    must(yd_live_mapping_open(triple->control.fd, YD__LIVE_BELL, &control), "map");
    must(yd_live_triple_reader_open(&buffers, &control, reader), "reader");
}

static uint64_t take_asleep(struct yd_live_triple_reader *reader)
{
    const void *at;
    struct yd_live_value value;
    struct yd_live_sleep sleep;
    while (yd_live_triple_take(reader, &at, &value) != 1)
        if (yd_live_triple_arm(reader, &sleep) == 0) (void)yd_live_bell_sleep(&sleep, 1, INT64_MAX);
    return value.bits;
}

static void echo_triple(void *with)
{
    (void)with;
    struct yd_live_triple_reader reader;
    open_triple(&there, &reader);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t to[8];;) {
        to[0] = take_asleep(&reader);
        (void)yd_live_triple_put(&back, 0, YD_BLOB, 0, to, 64);
    }
}

static double asleep_us(uint64_t count)
{
    struct yd_live_triple_reader reader;
    must(yd_live_triple_create(64, 0, 0, 0, &there), "triple");
    must(yd_live_triple_create(64, 0, 0, 0, &back), "triple");
    yd_live_triple_set_state(&there, YD__LIVE_READY);
    yd_live_triple_set_state(&back, YD__LIVE_READY);
    pid_t pid = beside(echo_triple, NULL);
    open_triple(&back, &reader);
    wait_ready(1);
    double began = now_ns();
    for (uint64_t i = 1; i <= count; i++) {
        bytes[0] = i;
        (void)yd_live_triple_put(&there, 0, YD_BLOB, 0, bytes, 64);
        while (take_asleep(&reader) != i) continue;
    }
    double took = (now_ns() - began) / (double)count / 1e3;
    end(pid);
    yd_live_triple_destroy(&there);
    yd_live_triple_destroy(&back);
    return took;
}

/* A lossless ring: every value, in order, checked. */
static struct yd_live_ring ring;

static void read_stream(void *with)
{
    uint64_t count = *(uint64_t *)with, to[8], sum = 0;
    struct yd_live_mapping data, credit;
    struct yd_live_ring_reader reader;
    struct yd_live_event event;
    must(yd_live_mapping_open(ring.region.fd, YD__LIVE_RING, &data), "map");
    must(yd_live_mapping_open(ring.credit_region.fd, YD__LIVE_CREDIT, &credit), "map");
    must(yd_live_ring_reader_open(&data, &credit, &reader), "reader");
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < count;) {
        if (yd_live_ring_next(&reader, to, 64, &event) != 1) {
            yd_live_ring_credit(&reader);
            sched_yield();
            continue;
        }
        sum += to[0] != i++;
    }
    yd_live_ring_credit(&reader);
    __atomic_store_n(&shared->count, sum, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
}

static double stream_rate(uint64_t count)
{
    must(yd_live_ring_create(&(struct yd_live_ring_options){.size = 1 << 18, .lossless = true}, &ring), "ring");
    yd_live_ring_set_state(&ring, YD__LIVE_READY);
    pid_t pid = beside(read_stream, &count);
    wait_ready(1);
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        bytes[0] = i;
        while (yd_live_ring_put(&ring, 0, 0, YD_BLOB, 0, bytes, 64)) sched_yield();
        if (i % 64 == 63) yd_live_ring_commit(&ring);
    }
    yd_live_ring_commit(&ring);
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) sched_yield();
    double rate = (double)count / (now_ns() - began) * 1e3;
    if (shared->count) fprintf(stderr, "bench live: %llu values out of order\n", (unsigned long long)shared->count);
    end(pid);
    yd_live_ring_destroy(&ring);
    return rate;
}

/* ZeroMQ, by its library where it was unpacked. */
static struct {
    void *(*ctx_new)(void);
    void *(*socket)(void *, int);
    int (*bind)(void *, const char *), (*connect)(void *, const char *),
        (*setsockopt)(void *, int, const void *, size_t);
    int (*send)(void *, const void *, size_t, int), (*recv)(void *, void *, size_t, int);
} zmq;
enum { ZMQ_PAIR = 0, ZMQ_PULL = 7, ZMQ_PUSH = 8, ZMQ_SNDHWM = 23, ZMQ_RCVHWM = 24 };
static char zmq_at[100];

static bool load_zmq(void)
{
    const char *path = getenv("LIBZMQ");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    if (!library) return false;
    *(void **)&zmq.ctx_new = dlsym(library, "zmq_ctx_new");
    *(void **)&zmq.socket = dlsym(library, "zmq_socket");
    *(void **)&zmq.bind = dlsym(library, "zmq_bind");
    *(void **)&zmq.connect = dlsym(library, "zmq_connect");
    *(void **)&zmq.setsockopt = dlsym(library, "zmq_setsockopt");
    *(void **)&zmq.send = dlsym(library, "zmq_send");
    *(void **)&zmq.recv = dlsym(library, "zmq_recv");
    snprintf(zmq_at, sizeof zmq_at, "ipc:///tmp/yarder-bench-%d", (int)getpid());
    return zmq.ctx_new && zmq.socket && zmq.bind && zmq.connect && zmq.setsockopt && zmq.send && zmq.recv;
}

static void *zmq_open(int type, bool binds)
{
    void *socket = zmq.socket(zmq.ctx_new(), type);
    int mark = 100000; /* the default of 1,000 would only slow it */
    (void)zmq.setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
    (void)zmq.setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
    must(binds ? zmq.bind(socket, zmq_at) : zmq.connect(socket, zmq_at), "zmq");
    return socket;
}

static void zmq_read(void *with)
{
    uint64_t count = *(uint64_t *)with, to[8];
    void *socket = zmq_open(ZMQ_PULL, true);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < count; i++) (void)zmq.recv(socket, to, 64, 0);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    pause();
}

/* The writer is a process too: a context does not survive a fork. */
static void zmq_write(void *with)
{
    uint64_t count = *(uint64_t *)with;
    void *socket = zmq_open(ZMQ_PUSH, false);
    for (uint64_t i = 0; i < count; i++) {
        bytes[0] = i;
        (void)zmq.send(socket, bytes, 64, 0);
    }
    pause();
}

static void zmq_echo(void *with)
{
    (void)with;
    void *socket = zmq_open(ZMQ_PAIR, true);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t to[8];;) {
        (void)zmq.recv(socket, to, 64, 0);
        (void)zmq.send(socket, to, 64, 0);
    }
}

static void zmq_ask(void *with)
{
    uint64_t count = *(uint64_t *)with, to[8];
    void *socket = zmq_open(ZMQ_PAIR, false);
    double began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        (void)zmq.send(socket, bytes, 64, 0);
        (void)zmq.recv(socket, to, 64, 0);
    }
    shared->count = (uint64_t)(now_ns() - began);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    pause();
}

static double zmq_both(void (*server)(void *), void (*client)(void *), uint64_t count)
{
    pid_t one = beside(server, &count);
    wait_ready(1);
    double began = now_ns();
    pid_t other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0);
        client(&count);
        _exit(0);
    }
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) usleep(200);
    double took = now_ns() - began;
    end(other);
    end(one);
    (void)unlink(zmq_at + 6);
    return took;
}

static double zmq_rate(uint64_t count)
{
    return (double)count / zmq_both(zmq_read, zmq_write, count) * 1e3;
}

static double zmq_round_us(uint64_t count)
{
    (void)zmq_both(zmq_echo, zmq_ask, count);
    return (double)shared->count / (double)count / 1e3;
}

static void say(const char *what, double value, double median, const char *unit, const char *floor, double ratio)
{
    printf("%-54s %8.1f %8.1f %-4s", what, value, median, unit);
    if (floor) printf("  %6.2f x %s", ratio, floor);
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) rounds = YD_MIN(YD_MAX(atoi(argv[2]), 1), ROUNDS_MAX);
    enum {
        EXCHANGE,
        PUBLISH,
        POLLED,
        ELSEWHERE,
        UNCHANGED,
        FRESH,
        LINE,
        HAND_OFF,
        FUTEX,
        ASLEEP,
        STREAM,
        ZMQ,
        ZMQ_ROUND,
        KINDS
    };
    static double all[KINDS][ROUNDS_MAX];
    double m[KINDS], middle[KINDS];
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool has_zmq = load_zmq();
    pin(0);
    make_table();
    (void)publish_ns(100000);
    for (int i = 0; i < rounds; i++) {
        all[EXCHANGE][i] = exchange_ns(100000);
        all[PUBLISH][i] = publish_ns(100000);
        all[ELSEWHERE][i] = slept_elsewhere_ns(100000);
        all[UNCHANGED][i] = unchanged_ns(200000);
        all[FRESH][i] = fresh_ns(100000);
        all[LINE][i] = line_ns(5000);
        all[POLLED][i] = polled_ns(20000);
        all[HAND_OFF][i] = hand_off_ns(5000);
        all[FUTEX][i] = futex_us(200);
        all[ASLEEP][i] = asleep_us(200);
        all[STREAM][i] = stream_rate(300000);
        if (has_zmq) all[ZMQ][i] = zmq_rate(100000);
        if (has_zmq) all[ZMQ_ROUND][i] = zmq_round_us(200);
    }
    for (int i = 0; i < KINDS; i++) m[i] = best(all[i], i == STREAM || i == ZMQ, &middle[i]);
    printf("%-54s %8s %8s\n", "", "best", "median");
    say("floor: one exchange", m[EXCHANGE], middle[EXCHANGE], "ns", NULL, 0);
    say("publish 64 bytes, a bell, nobody waits", m[PUBLISH], middle[PUBLISH], "ns", "an exchange",
        m[PUBLISH] / m[EXCHANGE]);
    say("the same, 32 asleep at other words", m[ELSEWHERE], middle[ELSEWHERE], "ns", "nobody",
        m[ELSEWHERE] / m[PUBLISH]);
    say("read, unchanged", m[UNCHANGED], middle[UNCHANGED], "ns", NULL, 0);
    say("read, fresh, 64 bytes, lines here", m[FRESH], middle[FRESH], "ns", NULL, 0);
    say("floor: a line from core to core, one way", m[LINE], middle[LINE], "ns", NULL, 0);
    say("publish 64 bytes under one polling reader", m[POLLED], middle[POLLED], "ns", "publish + 2 lines",
        m[POLLED] / (m[PUBLISH] + 2 * m[LINE]));
    say("64 bytes there and a line back, spinning", m[HAND_OFF], middle[HAND_OFF], "ns", "a line there and back",
        m[HAND_OFF] / m[LINE] / 2);
    say("floor: futex, there and back", m[FUTEX], middle[FUTEX], "us", NULL, 0);
    say("triple buffers of 64 bytes, asleep, there and back", m[ASLEEP], middle[ASLEEP], "us", "futex",
        m[ASLEEP] / m[FUTEX]);
    say("in order, 64 bytes, lossless, commits of 64", m[STREAM], middle[STREAM], "M/s", NULL, 0);
    if (!has_zmq) {
        printf("ZeroMQ is not there (run ./dev bench live)\n");
        return 0;
    }
    say("peer: ZeroMQ PUSH-PULL over ipc://", m[ZMQ], middle[ZMQ], "M/s", "theirs is ours", m[STREAM] / m[ZMQ]);
    say("peer: ZeroMQ PAIR over ipc://, there and back", m[ZMQ_ROUND], middle[ZMQ_ROUND], "us", "of it is ours",
        m[ASLEEP] / m[ZMQ_ROUND]);
    return 0;
}
