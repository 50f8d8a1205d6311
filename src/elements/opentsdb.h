/* elements/opentsdb.h: the two halves of OpenTsdb, and what they say to each other.
 *
 *   pump (opentsdb_pump.c): port, telnet, HTTP, put            receive (opentsdb.c): questions to a History
 *       TELL_ASK {request}                        -->          parse, ask; reply by reply to JSON
 *       <--  COMMAND_PIECE, _END, _ANSWER {id, bytes}
 *       <--  COMMAND_WRITE {id, batch, bytes}                 the batch goes out as a put's would, then the answer
 *       puts with `sync` go as http_intake.h says
 *
 * A request is known by its id, never by a pointer: either half may have forgotten it. */
#ifndef ELEMENTS_OPENTSDB_H
#define ELEMENTS_OPENTSDB_H

#include <stdatomic.h>
#include <yarder/element.h>

#include "elements/opentsdb_query.h"
#include "elements/spread.h"

enum { YD_TSDB_OUTPUT, YD_TSDB_REJECTS, YD_TSDB_ASK };
enum { YD_TSDB_TELL_ASK = 1 };
enum { YD_TSDB_ANSWER = 1, YD_TSDB_PIECE, YD_TSDB_END, YD_TSDB_WRITE };

/* A question as it came, copied. */
struct yd_tsdb_request {
    struct yd_arena arena;
    uint64_t id;
    unsigned method;    /* enum yd_tsdb_method */
    bool graphite;      /* a path of graphite_web.h, else of OpenTSDB */
    struct yd_str path; /* behind "/api/", "query" */
    struct yd_str body;
    struct yd_str zone; /* the file of the time zone that is asked for */
    struct yd_tsdb_argument *arguments;
    size_t argument_count;
};
void yd_tsdb_request_free(void *request);

/* What a command carries. */
struct yd_tsdb_reply {
    unsigned status;        /* ANSWER, WRITE, and the first PIECE */
    bool text;              /* ANSWER: plain text, not JSON */
    int error;              /* END: not 0, the answer is cut off */
    struct yd_batch *batch; /* WRITE */
    struct yd_buf buf;
};
void yd_tsdb_reply_free(void *reply);

extern const struct yd_pump_class yd_tsdb_pump;
enum { YD_TSDB_REASON_REFUSED = 14, YD_TSDB_REASON_KERNEL };

/* What the pumps have of receive's half, and share. */
struct yd_tsdb_wiring {
    bool rejects, ask;
    struct yd_spread spread;
    atomic_ullong puts_http, questions; /* for `stats`, whichever pump is asked */
};

#endif
