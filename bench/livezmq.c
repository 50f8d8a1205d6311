/* bench live's peer: ZeroMQ over ipc://, both ends processes, by its library where bench/live.py unpacked it. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "live.h"

#define ROUND_SAMPLES  20
#define STREAM_EACH    20000
#define STREAM_SAMPLES 5
static double *samples; /* shared: those of one run */

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

bool zmq_load(void)
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
    samples = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (samples == MAP_FAILED) return false;
    snprintf(zmq_at, sizeof zmq_at, "ipc:///tmp/yarder-bench-%d", (int)getpid());
    return zmq.ctx_new && zmq.socket && zmq.bind && zmq.connect && zmq.setsockopt && zmq.send && zmq.recv;
}

static void *zmq_open(int type, bool binds)
{
    void *socket = zmq.socket(zmq.ctx_new(), type);
    int mark = 1000; /* the default: larger queues would let the reader catch up within a sample */
    (void)zmq.setsockopt(socket, ZMQ_SNDHWM, &mark, sizeof mark);
    (void)zmq.setsockopt(socket, ZMQ_RCVHWM, &mark, sizeof mark);
    must(binds ? zmq.bind(socket, zmq_at) : zmq.connect(socket, zmq_at), "zmq");
    return socket;
}

/* Timed where it is read: what waits in the queues (2,000 and the socket's) counts in its favour. */
static void zmq_read(void *with)
{
    uint64_t to[8], wrong = 0, i = 0;
    void *socket = zmq_open(ZMQ_PULL, true);
    (void)with;
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
    while (i < STREAM_EACH) (void)zmq.recv(socket, to, 64, 0), wrong += to[0] != i++;
    for (int sample = 0; sample < STREAM_SAMPLES; sample++) {
        double began = now_ns();
        for (uint64_t last = i + STREAM_EACH; i < last; i++) {
            (void)zmq.recv(socket, to, 64, 0);
            wrong += to[0] != i;
        }
        samples[sample] = (now_ns() - began) / STREAM_EACH;
    }
    if (wrong) fprintf(stderr, "bench live: ZeroMQ: %llu values out of order\n", (unsigned long long)wrong);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    pause();
}

/* The writer is a process too: a context does not survive a fork. */
static void zmq_write(void *with)
{
    uint64_t count = *(uint64_t *)with, bytes[8] = {0};
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
    uint64_t count = *(uint64_t *)with, to[8], bytes[8] = {0};
    void *socket = zmq_open(ZMQ_PAIR, false);
    for (int sample = 0; sample < ROUND_SAMPLES; sample++) {
        long before = sleeps();
        double began = now_ns();
        for (uint64_t i = 0; i < count; i++) {
            (void)zmq.send(socket, bytes, 64, 0);
            (void)zmq.recv(socket, to, 64, 0);
        }
        samples[sample] = sleeps() - before >= (long)count ? (now_ns() - began) / (double)count / 1e3 : 0;
    }
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    pause();
}

/* CPU time of both processes, ns. */
static double zmq_both(void (*server)(void *), void (*client)(void *), uint64_t count)
{
    pid_t one = beside(server, &count);
    wait_ready(1);
    pid_t other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0);
        client(&count);
        _exit(0);
    }
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) usleep(200);
    double cpu = end(other) + end(one);
    (void)unlink(zmq_at + 6);
    return cpu;
}

void zmq_stream_ns(struct series *to, struct series *cpu)
{
    uint64_t count = STREAM_EACH * (STREAM_SAMPLES + 1);
    double used = zmq_both(zmq_read, zmq_write, count);
    for (int sample = 0; sample < STREAM_SAMPLES; sample++) bench_add(to, samples[sample]);
    bench_add(cpu, used / (double)count);
}

void zmq_round_us(struct series *to)
{
    (void)zmq_both(zmq_echo, zmq_ask, SLEPT);
    for (int sample = 0; sample < ROUND_SAMPLES; sample++)
        if (samples[sample] > 0) bench_add(to, samples[sample]);
}
