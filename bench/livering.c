/* bench live: records in order, from process to process: what a value costs in a stream, and there and back. */
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "live.h"
#include "live/atomic.h"
#include "live/bell_wait.h"
#include "live/ring_read.h"
#include "live/ring_write.h"

static double cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* Rings: every value, in order, checked. */
static struct yd_live_ring ring, ring_back;
static struct yd_live_bell bell;
static struct yd_live_mapping bell_mapping;
static uint64_t bytes[8];

static void make_ring(uint64_t size, bool lossless, struct yd_live_ring *to)
{
    must(yd_live_ring_create(&(struct yd_live_ring_options){.size = size, .lossless = lossless}, to), "ring");
    yd_live_ring_set_state(to, YD__LIVE_READY);
}

static void open_ring(const struct yd_live_ring *from, struct yd_live_ring_reader *reader)
{
    struct yd_live_mapping data, credit;
    must(yd_live_mapping_open(from->region.fd, YD__LIVE_RING, &data), "map");
    if (from->credit) must(yd_live_mapping_open(from->credit_region.fd, YD__LIVE_CREDIT, &credit), "map");
    must(yd_live_ring_reader_open(&data, from->credit ? &credit : NULL, reader), "reader");
}

#define LOOKS 64 /* as SPINS in src/live/library/wait.c */

/* Nothing to do: a few looks before the core is given away. */
static void idle(unsigned *looks)
{
    if (++*looks % 256 == 0)
        sched_yield();
    else
        yd__relax();
}

static void read_stream(void *with)
{
    uint64_t count = *(uint64_t *)with, to[8], wrong = 0;
    unsigned looks = 0;
    struct yd_live_ring_reader reader;
    struct yd_live_event event;
    open_ring(&ring, &reader);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < count;) {
        if (yd_live_ring_next(&reader, to, 64, &event) != 1) {
            yd_live_ring_credit(&reader);
            idle(&looks);
            continue;
        }
        wrong += to[0] != i++;
    }
    yd_live_ring_credit(&reader);
    __atomic_store_n(&shared->count, wrong, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
}

/* A value: timed where it is written, over eight times what the ring holds, so that it cannot hide much. */
void stream_ns(struct series *to, struct series *cpu, uint64_t size)
{
    make_ring(size, true, &ring);
    uint64_t each = 8 * (size / 96), samples = size < 1 << 20 ? 40 : 8, count = each * samples, i = 0;
    unsigned looks = 0;
    pid_t pid = beside(read_stream, &count);
    wait_ready(1);
    double used = cpu_ns();
    for (uint64_t sample = 0; sample < samples; sample++) {
        double began = now_ns();
        for (uint64_t last = i + each; i < last; i++) {
            bytes[0] = i;
            while (yd_live_ring_put(&ring, 0, 0, YD_BLOB, 0, bytes, 64)) idle(&looks);
            if (i % 64 == 63) yd_live_ring_commit(&ring);
        }
        bench_add(to, (now_ns() - began) / (double)each);
    }
    yd_live_ring_commit(&ring);
    used = cpu_ns() - used;
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) sched_yield();
    if (shared->count) fprintf(stderr, "bench live: %llu values out of order\n", (unsigned long long)shared->count);
    used += end(pid);
    if (cpu) bench_add(cpu, used / (double)count);
    yd_live_ring_destroy(&ring);
}

/* As the library does it (wait.c): so many looks, then asleep. */
static uint64_t next_asleep(struct yd_live_ring_reader *reader, uint32_t word, unsigned looks)
{
    struct yd_live_event event;
    while (yd_live_ring_next(reader, NULL, 0, &event) != 1) {
        unsigned spin = 0;
        while (spin < looks && !yd_live_ring_ready(reader)) spin++, yd__relax();
        if (spin < looks) continue;
        struct yd_live_sleep sleep = yd_live_bell_arm(&bell_mapping, word);
        if (!yd_live_ring_ready(reader)) (void)yd_live_bell_sleep(&sleep, 1, INT64_MAX);
    }
    return event.bits;
}

static uint64_t next_spinning(struct yd_live_ring_reader *reader)
{
    struct yd_live_event event;
    while (yd_live_ring_next(reader, NULL, 0, &event) != 1) continue;
    return event.bits;
}

static void put(struct yd_live_ring *to, uint64_t value)
{
    bytes[0] = value;
    (void)yd_live_ring_put(to, 0, 0, YD_BLOB, 0, bytes, 64);
    yd_live_ring_commit(to);
}

static const enum bench_waiting waitings[] = {SPINNING, ASLEEP_AT_ONCE, LOOKING};

static uint64_t next_value(struct yd_live_ring_reader *reader, uint32_t word, enum bench_waiting waiting)
{
    return waiting == SPINNING ? next_spinning(reader) : next_asleep(reader, word, waiting == LOOKING ? LOOKS : 0);
}

static void echo_ring(void *with)
{
    enum bench_waiting waiting = *(const enum bench_waiting *)with;
    struct yd_live_ring_reader reader;
    open_ring(&ring, &reader);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    for (;;) {
        put(&ring_back, next_value(&reader, 1, waiting));
        if (waiting != SPINNING) yd_live_bell_ring(&bell, 2);
    }
}

/* There and back through two rings, by readers that spin, sleep, or do as a program does. */
void ring_round(struct series *to, enum bench_waiting waiting)
{
    bool asleep = waiting == ASLEEP_AT_ONCE;
    struct yd_live_ring_reader reader;
    if (!bell.page) {
        must(yd_live_bell_create(0, 0, 0, &bell), "bell");
        must(yd_live_mapping_open(bell.region.fd, YD__LIVE_BELL, &bell_mapping), "map");
    }
    make_ring(1 << 16, false, &ring);
    make_ring(1 << 16, false, &ring_back);
    pid_t pid = beside(echo_ring, (void *)(uintptr_t)&waitings[waiting]);
    open_ring(&ring_back, &reader);
    wait_ready(1);
    uint64_t i = 0, each = asleep ? SLEPT : SPUN;
    for (int sample = 0; sample < (asleep ? SLEPT_SAMPLES : SPUN_SAMPLES); sample++) {
        long before = sleeps();
        double began = now_ns();
        for (uint64_t last = i + each; i < last;) {
            put(&ring, ++i);
            if (waiting != SPINNING) yd_live_bell_ring(&bell, 1);
            uint64_t got = next_value(&reader, 2, waiting);
            if (got != i) must(-1, "a value out of order");
        }
        if (!asleep || sleeps() - before >= SLEPT)
            bench_add(to, (now_ns() - began) / (double)each / (waiting == SPINNING ? 1 : 1e3));
    }
    (void)end(pid);
    yd_live_ring_destroy(&ring);
    yd_live_ring_destroy(&ring_back);
}
