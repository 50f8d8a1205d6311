/* A world for the classes' tests: a topology as text, run on real executors with real sockets in an own folder. Clients
 * are plain blocking sockets of the test's thread. */
#ifndef TESTS_ELEMENTS_WORLD_H
#define TESTS_ELEMENTS_WORLD_H

#include <pthread.h>

#include "testing.h"

#include "flow/run.h"
#include "io/file.h"
#include "io/loop.h"
#include <yarder/log.h>

struct world {
    char data[64];
    struct yd_topology *topology;
    struct yd_fs *fs;
    struct yd_pool *pool;
    struct yd_system *system;
    struct yd_run *run;
    pthread_mutex_t lock;
    char said[16384];
    struct {
        char element[64], what[64], address[128];
    } listens[8];
    unsigned listen_count;
    int exit_code; /* -1: still running */
};

void world_open(struct world *w);                    /* a folder */
void world_start(struct world *w, const char *text); /* a topology */
void world_stop(struct world *w);                    /* drains; the folder stays */
void world_close(struct world *w);

/* The port that an element listens on; UDP when `what` says so. */
int world_port(struct world *w, const char *element, const char *what);
int world_dial(int port);
void world_send(int fd, const char *text);
void world_send_bytes(int fd, const void *data, size_t size);
/* What comes until the peer ends or `until` is in it (NULL: only the end). malloc'd, terminated. */
char *world_receive(int fd, const char *until);
/* One request with Connection: close; the whole answer, head and body. malloc'd. */
char *world_http(int port, const char *method, const char *path, const char *body);
/* Asks again and again, until `part` is in the answer (at most ten seconds); the last answer. */
char *world_http_until(int port, const char *method, const char *path, const char *body, const char *part);
const char *body_of(const char *answer);

struct world_counts {
    uint64_t received, consumed, rejected, dropped, queued;
};
/* Of an element's input by name ("pump", "input"). */
struct world_counts world_counts(struct world *w, const char *element, const char *input);
uint64_t world_reason(struct world *w, const char *element, const char *reason);

#endif
