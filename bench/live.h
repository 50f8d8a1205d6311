/* bench/live.h: what the measurements of shared memory (liverun.c) and of ZeroMQ beside it (livezmq.c) share. */
#ifndef BENCH_LIVE_H
#define BENCH_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SAMPLES_MAX 4096

/* Samples are short, so that some fit between the turns of others who want the cores. Smaller is better. */
struct series {
    double values[SAMPLES_MAX];
    int count;
    double best, median;
};
void bench_add(struct series *to, double value);

/* What the processes of a measurement say to each other: lines of their own. */
struct bench_shared {
    uint64_t a, pad0[15], b, pad1[15], stop, pad2[15], count, pad3[15], ready, pad4[15];
};
extern struct bench_shared *shared;

/* A sample: as many round trips; and samples in a round. */
#define SPUN          200
#define SPUN_SAMPLES  25
#define SLEPT         20
#define SLEPT_SAMPLES 20

double now_ns(void);
long sleeps(
    void); /* how often this process gave its core away to wait: a sample of sleeping is one in which it slept */
void pin(int core);
void unpin(void);
void must(int result, const char *what);
pid_t beside(void (*run)(void *), void *with); /* a process on the other core; clears stop and ready */
void wait_ready(uint64_t count);
double end(pid_t pid); /* CPU time that it took, ns */

/* livedoor.c, us: from the moment a successor listens to its first value in the reader; from the kill to being told. */
void door_us(struct series *to, struct series *told);

/* livewake.c: the call that publishes to 32 sleepers, and a bare wake of as many, us; a value in a Broker's source, ns.
 */
void wake_us(struct series *ours, struct series *raw);
void source_ns(struct series *alone, struct series *subscribed);

/* livering.c: a value in order through a lossless ring of `size`; there and back, by readers that spin (ns) or sleep
 * (us); or as a program waits: a few looks, then asleep (us). */
enum bench_waiting { SPINNING, ASLEEP_AT_ONCE, LOOKING };
void stream_ns(struct series *to, struct series *cpu, uint64_t size);
void ring_round(struct series *to, enum bench_waiting waiting);

/* livezmq.c. LIBZMQ=path of libzmq.so.5 */
bool zmq_load(void);
void zmq_stream_ns(struct series *to, struct series *cpu); /* a value */
void zmq_round_us(struct series *to);

#endif
