/* bench live: shared memory beside its floors, in one run: the cache line between two cores, the futex, ZeroMQ over
 * ipc://.
 *
 *   liverun [--rounds N]     LIBZMQ=path of libzmq.so.5 (bench/live.py unpacks it)
 *
 * Rounds in alternation, of many short samples; the best and the median of them, smaller is better; ratios are of the
 * best. The two ends are pinned to two cores. On a machine whose cores are shared only ratios of one run count: the
 * best samples are those that nobody interrupted. CPU time tells what a value costs even there, but for waiting. */
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "live.h"
#include "live/atomic.h"
#include "live/bell_wait.h"
#include "live/table_read.h"
#include "live/table_write.h"
#include "live/triple_read.h"
#include "live/triple_write.h"

struct bench_shared *shared;

double now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

long sleeps(void)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_add(struct series *to, double value)
{
    if (to->count < SAMPLES_MAX) to->values[to->count++] = value;
}

/* The best sample, where nobody else had the cores; and the one in the middle. */
static void settle(struct series *series)
{
    if (series->count == 0) return;
    qsort(series->values, (size_t)series->count, sizeof *series->values, by_size);
    series->median = series->values[series->count / 2];
    series->best = series->values[0];
}

static double at_share(const struct series *series, double share)
{
    return series->count ? series->values[(int)((series->count - 1) * share)] : 0;
}

void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* a hint */
}

void unpin(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int core = 0; core < (int)sysconf(_SC_NPROCESSORS_ONLN); core++) CPU_SET(core, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

void must(int result, const char *what)
{
    if (result >= 0) return;
    fprintf(stderr, "bench live: %s: %d\n", what, result);
    exit(1);
}

pid_t beside(void (*run)(void *), void *with)
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

void wait_ready(uint64_t count)
{
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < count) usleep(100);
}

double end(pid_t pid)
{
    struct rusage used = {0};
    kill(pid, SIGKILL);
    (void)wait4(pid, NULL, 0, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
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

static void line_ns(struct series *to)
{
    shared->a = shared->b = 0;
    pid_t pid = beside(echo_line, NULL);
    wait_ready(1);
    uint64_t i = 0;
    for (int sample = 0; sample < SPUN_SAMPLES; sample++) {
        double began = now_ns();
        for (uint64_t last = i + SPUN; i < last;) {
            __atomic_store_n(&shared->a, ++i, __ATOMIC_RELEASE);
            while (__atomic_load_n(&shared->b, __ATOMIC_ACQUIRE) != i) continue;
        }
        bench_add(to, (now_ns() - began) / SPUN / 2);
    }
    (void)end(pid);
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

static void hand_off_ns(struct series *to)
{
    shared->b = 0;
    pid_t pid = beside(echo_value, NULL);
    wait_ready(1);
    uint64_t i = 0;
    for (int sample = 0; sample < SPUN_SAMPLES; sample++) {
        double began = now_ns();
        for (uint64_t last = i + SPUN; i < last;) {
            bytes[0] = ++i;
            (void)yd_live_table_publish(table, 0, 0, YD_BLOB, 0, bytes, 64);
            while (__atomic_load_n(&shared->b, __ATOMIC_ACQUIRE) != i) continue;
        }
        bench_add(to, (now_ns() - began) / SPUN);
    }
    (void)end(pid);
}

/* Says in a line of its own how many values it got. */
static void poll_value(void *with)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t to[8], got = 0;
    (void)with;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        if (yd_live_cell_get(&cell, &cursor, to, 64, &value) == 1)
            __atomic_store_n(&shared->count, ++got, __ATOMIC_RELAXED);
        else
            yd__relax();
    }
}

/* Only samples during which the reader was there: it got at least one value of eight. */
static void polled_ns(struct series *to)
{
    shared->count = 0;
    pid_t pid = beside(poll_value, NULL);
    wait_ready(1);
    for (int sample = 0; sample < SPUN_SAMPLES; sample++) {
        uint64_t before = __atomic_load_n(&shared->count, __ATOMIC_RELAXED);
        double took = publish_ns(4000);
        if (__atomic_load_n(&shared->count, __ATOMIC_RELAXED) - before >= 500) bench_add(to, took);
    }
    (void)end(pid);
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
    for (int i = 0; i < 32; i++) (void)end(pids[i]);
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

static void futex_us(struct series *to)
{
    shared->a = shared->b = 0;
    uint32_t *a = (uint32_t *)&shared->a, *b = (uint32_t *)&shared->b;
    pid_t pid = beside(echo_futex, NULL);
    wait_ready(1);
    uint32_t i = 0;
    for (int sample = 0; sample < SLEPT_SAMPLES; sample++) {
        long before = sleeps();
        double began = now_ns();
        for (uint32_t last = i + SLEPT; i < last; i++) {
            __atomic_store_n(a, i + 1, __ATOMIC_RELEASE);
            futex(a, FUTEX_WAKE, 1);
            while (__atomic_load_n(b, __ATOMIC_ACQUIRE) == i) futex(b, FUTEX_WAIT, i);
        }
        if (sleeps() - before >= SLEPT) bench_add(to, (now_ns() - began) / SLEPT / 1e3);
    }
    (void)end(pid);
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

static void asleep_us(struct series *to)
{
    struct yd_live_triple_reader reader;
    must(yd_live_triple_create(64, 0, 0, 0, &there), "triple");
    must(yd_live_triple_create(64, 0, 0, 0, &back), "triple");
    yd_live_triple_set_state(&there, YD__LIVE_READY);
    yd_live_triple_set_state(&back, YD__LIVE_READY);
    pid_t pid = beside(echo_triple, NULL);
    open_triple(&back, &reader);
    wait_ready(1);
    uint64_t i = 0;
    for (int sample = 0; sample < SLEPT_SAMPLES; sample++) {
        long before = sleeps();
        double began = now_ns();
        for (uint64_t last = i + SLEPT; i < last;) {
            bytes[0] = ++i;
            (void)yd_live_triple_put(&there, 0, YD_BLOB, 0, bytes, 64);
            while (take_asleep(&reader) != i) continue;
        }
        if (sleeps() - before >= SLEPT) bench_add(to, (now_ns() - began) / SLEPT / 1e3);
    }
    (void)end(pid);
    yd_live_triple_destroy(&there);
    yd_live_triple_destroy(&back);
}

enum kind {
    EXCHANGE,
    PUBLISH,
    POLLED,
    ELSEWHERE,
    WAKE,
    WAKE_RAW,
    SOURCE,
    SOURCE_FEEDS,
    DOOR,
    TOLD,
    UNCHANGED,
    FRESH,
    LINE,
    HAND_OFF,
    RING_SPUN,
    FUTEX,
    ASLEEP,
    RING_ASLEEP,
    RING_LOOKING,
    STREAM,
    STREAM_LARGE,
    STREAM_LARGE_CPU,
    ZMQ,
    ZMQ_CPU,
    ZMQ_ROUND,
    KINDS
};
static struct series all[KINDS];

static void say(const char *what, enum kind kind, const char *unit, const char *floor, double ratio)
{
    if (all[kind].count == 0) return;
    printf("%-58s %8.1f %8.1f %-3s", what, all[kind].best, all[kind].median, unit);
    if (floor) printf("  %6.2f x %s", ratio, floor);
    printf("\n");
}

static void measure(bool has_zmq)
{
    bench_add(&all[EXCHANGE], exchange_ns(100000));
    bench_add(&all[PUBLISH], publish_ns(100000));
    bench_add(&all[ELSEWHERE], slept_elsewhere_ns(100000));
    bench_add(&all[UNCHANGED], unchanged_ns(200000));
    bench_add(&all[FRESH], fresh_ns(100000));
    line_ns(&all[LINE]);
    polled_ns(&all[POLLED]);
    hand_off_ns(&all[HAND_OFF]);
    ring_round(&all[RING_SPUN], SPINNING);
    futex_us(&all[FUTEX]);
    asleep_us(&all[ASLEEP]);
    ring_round(&all[RING_ASLEEP], ASLEEP_AT_ONCE);
    ring_round(&all[RING_LOOKING], LOOKING);
    wake_us(&all[WAKE], &all[WAKE_RAW]);
    source_ns(&all[SOURCE], &all[SOURCE_FEEDS]);
    door_us(&all[DOOR], &all[TOLD]);
    stream_ns(&all[STREAM], NULL, 1 << 18);
    stream_ns(&all[STREAM_LARGE], &all[STREAM_LARGE_CPU], 1 << 22);
    if (!has_zmq) return;
    zmq_stream_ns(&all[ZMQ], &all[ZMQ_CPU]);
    zmq_round_us(&all[ZMQ_ROUND]);
}

int main(int argc, char **argv)
{
    int rounds = argc == 3 && strcmp(argv[1], "--rounds") == 0 ? YD_MIN(YD_MAX(atoi(argv[2]), 1), 100) : 25;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool has_zmq = zmq_load();
    pin(0);
    make_table();
    (void)publish_ns(100000);
    for (int i = 0; i < rounds; i++) measure(has_zmq);
    double m[KINDS];
    for (int i = 0; i < KINDS; i++) {
        settle(&all[i]);
        m[i] = all[i].best;
    }
    printf("%-58s %8s %8s\n", "", "best", "median");
    say("floor: one exchange", EXCHANGE, "ns", NULL, 0);
    say("publish 64 bytes, a bell, nobody waits", PUBLISH, "ns", "an exchange", m[PUBLISH] / m[EXCHANGE]);
    say("the same, 32 asleep at other words", ELSEWHERE, "ns", "nobody", m[ELSEWHERE] / m[PUBLISH]);
    say("floor: a bare wake of 32", WAKE_RAW, "us", NULL, 0);
    say("publish 64 bytes, 32 asleep at this word", WAKE, "us", "the bare wake", m[WAKE] / m[WAKE_RAW]);
    say("64 bytes into a Broker's source: event and value", SOURCE, "ns", "publish", m[SOURCE] / m[PUBLISH]);
    say("the same, 200 have subscribed to it", SOURCE_FEEDS, "ns", "nobody", m[SOURCE_FEEDS] / m[SOURCE]);
    say("read, unchanged", UNCHANGED, "ns", NULL, 0);
    say("read, fresh, 64 bytes, lines here", FRESH, "ns", NULL, 0);
    say("floor: a line from core to core, one way", LINE, "ns", NULL, 0);
    say("publish 64 bytes under one polling reader", POLLED, "ns", "publish + 2 lines",
        m[POLLED] / (m[PUBLISH] + 2 * m[LINE]));
    say("64 bytes there and a line back, spinning", HAND_OFF, "ns", "a line there and back", m[HAND_OFF] / m[LINE] / 2);
    say("64 bytes there and back in order (rings), spinning", RING_SPUN, "ns", "a line there and back",
        m[RING_SPUN] / m[LINE] / 2);
    say("floor: futex, there and back", FUTEX, "us", NULL, 0);
    say("64 bytes there and back, triple buffers, asleep", ASLEEP, "us", "futex", m[ASLEEP] / m[FUTEX]);
    say("64 bytes there and back in order (rings), asleep", RING_ASLEEP, "us", "futex", m[RING_ASLEEP] / m[FUTEX]);
    say("the same, 64 looks and then asleep", RING_LOOKING, "us", "futex", m[RING_LOOKING] / m[FUTEX]);
    say("kill -9 to being told", TOLD, "us", NULL, 0);
    say("a successor listens, to its first value in the reader", DOOR, "us", "futex", m[DOOR] / m[FUTEX]);
    if (all[DOOR].count)
        printf("%-58s %8.1f %8.1f ms\n", "  nine of ten of these, and 99 of 100, within",
               at_share(&all[DOOR], 0.9) / 1e3, at_share(&all[DOOR], 0.99) / 1e3);
    say("64 bytes in order, lossless, ring of 256 KiB", STREAM, "ns", "a line", m[STREAM] / m[LINE]);
    say("64 bytes in order, lossless, ring of 4 MiB", STREAM_LARGE, "ns", "a line", m[STREAM_LARGE] / m[LINE]);
    say("  CPU time of both ends", STREAM_LARGE_CPU, "ns", NULL, 0);
    if (!has_zmq) {
        printf("ZeroMQ is not there (run ./dev bench live)\n");
        return 0;
    }
    say("peer: ZeroMQ PUSH-PULL over ipc://", ZMQ, "ns", "ours, 256 KiB", m[ZMQ] / m[STREAM]);
    printf("%-80s %6.2f x ours, 4 MiB\n", "", m[ZMQ] / m[STREAM_LARGE]);
    say("  CPU time of both ends", ZMQ_CPU, "ns", "ours, 4 MiB", m[ZMQ_CPU] / m[STREAM_LARGE_CPU]);
    say("peer: ZeroMQ PAIR over ipc://, there and back", ZMQ_ROUND, "us", "ours in order, asleep",
        m[ZMQ_ROUND] / m[RING_ASLEEP]);
    printf("%-80s %6.1f x ours, 64 looks and then asleep\n", "", m[ZMQ_ROUND] / m[RING_LOOKING]);
    return 0;
}
