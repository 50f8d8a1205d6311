/* elements/http_intake.h: HTTP requests that bring records: what the pumps of OpenTsdb, Influx and their like share.
 *
 *   listener or a stream handed in --> serve/http.h --whole request--> options.request
 *        answers at once ......................................... yd_intake_answer
 *        or has something to write: yd_intake_write, and then, in order, when there is room:
 *             options.write: body -> yd_intake_batch… --> the output port, asking for durable if `sync`
 *             options.written: everything is stored, or not, or the time is over --> yd_intake_answer
 *        or somebody else answers later: by the request's id
 *
 * A request waits in a slot, known by an id that is never given twice, until its answer is complete. Writes that come
 * while what follows is full wait, in order; other requests do not. One loop thread, but for yd_intake_receive. */
#ifndef ELEMENTS_HTTP_INTAKE_H
#define ELEMENTS_HTTP_INTAKE_H

#include <yarder/element.h>

#include "serve/http.h"

struct yd_intake;

struct yd_intake_request {
    struct yd_intake *intake;
    struct yd_http_request *http; /* valid until answered */
    uint64_t id;
    bool sync;           /* written is called when it is durable; set before yd_intake_write */
    int64_t deadline_ns; /* 0: none; monotonic: written is called then at the latest. Set before yd_intake_write */
    uint64_t records;    /* given to yd_intake_batch */
    unsigned outstanding;
    int error; /* the first that a batch met */
    struct yd_intake_request *next_waiting;
    void *user; /* options.user_size bytes, zeroed when the request comes */
};

struct yd_intake_options {
    struct yd_pump *pump;
    struct yd_str listen; /* "": streams come by yd_intake_take only */
    const char *what;     /* "Influx HTTP": what is said to listen */
    size_t body_max;      /* inflated; beyond it: 413 */
    unsigned connections_max;
    const char *cors;
    const char *raw_encoding; /* as in serve/http.h */
    size_t user_size;
    unsigned output;
    void (*request)(void *arg, struct yd_intake_request *request);
    void (*write)(void *arg, struct yd_intake_request *request);
    /* error: of what was to be stored. late: the deadline has passed, what is outstanding may be stored yet. */
    void (*written)(void *arg, struct yd_intake_request *request, int error, bool late);
    void (*forget)(void *user); /* what the taker keeps in `user` goes; may be NULL */
    void *arg;
};
/* YD_ENOTSUP: a simulated loop has no HTTP. Errors of the address are said by yd_pump_fail. */
int yd_intake_create(const struct yd_intake_options *options, struct yd_intake **ret_intake);
/* What is not answered yet gets 503; late words about it find nobody. NULL is quiet. */
void yd_intake_destroy(struct yd_intake *intake);
void yd_intake_take(struct yd_intake *intake, struct yd_stream *stream, const struct yd_address *peer);
void yd_intake_pause(struct yd_intake *intake, bool paused);
bool yd_intake_paused(const struct yd_intake *intake);
struct yd_intake_request *yd_intake_find(struct yd_intake *intake, uint64_t id); /* NULL: answered, or never was */

void yd_intake_write(struct yd_intake_request *request);
/* From options.write: takes the batch. When the element is full, intake pauses itself until yd_intake_pause(false). */
void yd_intake_batch(struct yd_intake_request *request, struct yd_batch *batch, uint64_t records);
/* Whole; the request is gone. body copied, type NULL: none. */
void yd_intake_answer(struct yd_intake_request *request, unsigned status, const char *type, struct yd_str body);
/* The request has been answered by yd_http_… itself: gone. */
void yd_intake_answered(struct yd_intake_request *request);

/* ---- receive's half, in the element ---- */
#define YD_INTAKE_TELL    0x40000001u /* pump to receive: a batch, asking for durable */
#define YD_INTAKE_COMMAND 0x40000002u /* receive to pump: it is stored, or not */
/* Does what there is to do with an input of the intake; false: it is not one. output: the port. Only inputs of
 * yd_intake_batch are asked about: a class that asks by itself uses cookies of its own below 1 << 16. */
bool yd_intake_receive(struct yd_input *input, struct yd_out *out, unsigned output);
/* In pump->command: false: it is not one of the intake. */
bool yd_intake_command(struct yd_intake *intake, struct yd_command *command);

#endif
