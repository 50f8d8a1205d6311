/* Built-in classes in a simulated world: a topology as text, its loop, disk and clock simulated, pumps and all. What
 * elements emit is written down, a line a record: `element.port KIND name value`. Nothing waits: time is stepped. */
#ifndef TESTS_ELEMENTS_TESTED_H
#define TESTS_ELEMENTS_TESTED_H

#include "testing.h"

#include <yarder/name.h>

#include "batch/record_text.h"
#include "elements/registry.h"
#include "flow/run.h"
#include "io/sim_file.h"
#include "io/sim_net.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

struct tested {
    uint64_t seed;
    struct yd_fs *fs;
    struct yd_sim *sim;
    struct yd_loop *loop;
    struct yd_pool *pool;
    struct yd_system *system;
    struct yd_topology *topology;
    struct yd_run *run;
    char said[8192];
    struct yd_buf out;
    const char *listen_to;             /* only what this element emits is written down; NULL: all */
    const struct yd_batch *last_input; /* the last batch that an element took in; for comparing only */
    uint32_t passed_whole;             /* batches that were emitted just as they had come in */
    uint64_t emitted;                  /* batches */
    bool finished;
    int exit_code;
};

extern const struct yd_classes *tested_classes;        /* NULL: the built-in ones */
void tested_open(struct tested *t);                    /* an empty disk */
void tested_close(struct tested *t);                   /* ends the run, too */
void tested_start(struct tested *t, const char *text); /* a topology; fails the test when it cannot be run */
int tested_try(struct tested *t, const char *text, struct yd_trail *trail);
void tested_run(struct tested *t, int64_t ns); /* so much virtual time */
void tested_end(struct tested *t);             /* until all has ended; fails when it does not within an hour */
void tested_drain(struct tested *t);           /* as SIGTERM */
void tested_stop(struct tested *t);            /* the disk stays */
void tested_crash(struct tested *t);           /* as a power cut; the disk stays */

void tested_feed(struct tested *t, const char *element, struct yd_batch *batch); /* into its first push input */
void tested_text(struct tested *t, const char *element, const char *text);       /* by class->feed */
/* `count` SAMPLEs of that name, values from `first` on, I64. */
struct yd_batch *samples(const char *name, int64_t first, uint32_t count);
/* ROWs of one text cell each; values end with NULL. */
struct yd_batch *rows(const char *key, const char *const *values);

/* What was written down since the last call; belongs to the world. */
const char *tested_out(struct tested *t);
void expect_out(struct tested *t, const char *text);
void expect_said(struct tested *t, const char *part);

void put_file(struct tested *t, const char *path, const char *text); /* durable, name and all; replaces */
void add_file(struct tested *t, const char *path, const char *text); /* to its end */
void expect_file(struct tested *t, const char *path, const char *text);
bool has_file(struct tested *t, const char *path);

struct yd_input_stat input_of(struct tested *t, const char *element, const char *input);
uint64_t reason_of(struct tested *t, const char *element, const char *reason); /* rejected and dropped */

/* ---- the language's own tests ---- */

/* The text's in-file tests all pass. */
void expect_passes(const char *text);
/* It is refused, and the diagnostics hold `part`. */
void expect_refused(const char *text, const char *part);

#endif
