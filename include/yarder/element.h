/* <yarder/element.h>: what an element class is. One `const struct yd_element_class` per class drives parsing, checking,
 * suggestions, `yarder elements NAME`, the reference page and shell completion: nothing is written twice.
 *
 * An element has two halves:
 *
 *   world --> pump: owns descriptors, pinned to one loop or to the file threads; bytes become batches
 *              |  yd_pump_emit, yd_pump_tell                 ^ yd_out_command
 *              v                                             |
 *   wires --> receive: pure; one input in, an outbox out; touches nothing but its own state --> wires
 *
 * `receive` never blocks and takes time, randomness and the rest from its input and outbox only. Whatever it puts into
 * the outbox leaves when it has returned DONE or MORE; on FAIL nothing leaves (but the lines said to the operator).
 * After FAIL the runtime stops the pump, closes the state, waits a little, opens a new one (zeroed, at the same
 * address; `load` if the class is STATEFUL), starts the pump, and gives the batch at hand once more. Timers, kept
 * queries (they are answered with an error), holds (answered YD_ECANCELED: "send it again") and own questions go with
 * the old state.
 *
 * Blocked: while an output wire with `full: block` is full, BATCH inputs wait and the pump is paused. Everything else
 * (QUERY, REPLY, ERROR, TIMER, ACK, MOVED, PUMP without a batch) is still received, and may emit from a reserve.
 * A class from a plug-in `.so` is the equal of ours: the object exports
 *   const struct yd_element_class *const yd_element_classes[];   (ending in NULL)
 *
 * Ownership: a batch given to a function that emits is taken over (in every case); a batch in an input belongs to the
 * runtime until receive returns, yd_batch_ref it to keep it. Times are ns. Text handed in is copied. */
#ifndef YARDER_ELEMENT_H
#define YARDER_ELEMENT_H

#include <yarder/batch.h>

#define YD_ELEMENT_ABI    1
#define YD_PARTITIONS_MAX 64 /* of the stream behind an element */

/* ---- the table: ports ---- */
enum yd_port_mode { YD_PUSH, YD_QUERY };
enum yd_port_direction { YD_IN, YD_OUT };
enum yd_port_flags {
    YD_PORT_REQUIRED = 1,  /* must be wired */
    YD_PORT_SINGLE = 2,    /* an input that takes one source only */
    YD_PORT_WANTS_ACK = 4, /* an input that asks its source for acknowledgement: not behind one that cannot replay */
    YD_PORT_CURSOR = 8,    /* an output whose wires are cursors of the element's stream (class->stream) */
    YD_PORT_PASSES = 16,   /* an output that carries the kinds its element's inputs bring, not more */
    YD_PORT_OPTIONAL_REJECTS = 32, /* an output that may stay unwired: what it says is counted anyway */
};
struct yd_port_class {
    const char *name; /* NULL ends the list */
    enum yd_port_direction direction;
    enum yd_port_mode mode;
    uint32_t kinds;     /* push: what it can carry (out) or take (in), YD_KIND_BITs */
    uint32_t needs;     /* push in: kinds without which it is useless: a wire that can carry none of them is an error */
    const char *schema; /* query: the op schemas it asks for (out) or answers (in), by comma: "series", "facts", "rows",
                           "log" */
    unsigned flags;
    const char *doc;
};

/* ---- the table: parameters ---- */
enum yd_param_type {
    YD_PARAM_INT,
    YD_PARAM_FLOAT,
    YD_PARAM_TEXT,
    YD_PARAM_BOOL,
    YD_PARAM_DURATION,
    YD_PARAM_SIZE,
    YD_PARAM_RATE,
    YD_PARAM_LIST,
    YD_PARAM_MAP,
};
enum yd_param_flags {
    YD_PARAM_REQUIRED = 1,
    YD_PARAM_DEPRECATED = 2,
    YD_PARAM_LISTENS = 4, /* an address: the same one twice in a topology is an error */
    YD_PARAM_STREAM = 8,  /* a stream's name: likewise */
    YD_PARAM_WRITES = 16, /* a path that is written: likewise */
    YD_PARAM_GLOB = 32,
    YD_PARAM_PATTERN = 64,           /* text checked as a glob or a name pattern */
    YD_PARAM_DISK = 128,             /* a size that is kept on disk, for check 10 */
    YD_PARAM_MEMORY = 256,           /* a size that is kept in memory, for check 10 */
    YD_PARAM_LISTENS_DATAGRAM = 512, /* as LISTENS, but UDP: may equal the address of a LISTENS */
    YD_PARAM_READS = 1024,           /* text: the path of a file that check_file reads */
};
struct yd_param_class {
    const char *name; /* NULL ends the list */
    enum yd_param_type type;
    const char *initial; /* the default, as written in a .yd file; NULL: none */
    unsigned flags;
    double min, max;          /* both 0: no range. In the type's unit: ns, bytes, per second */
    const char *const *oneof; /* text: the words allowed, ending in NULL; or NULL */
    const char *doc;
};

/* A parameter's value, typed. Arguments live as long as the element. */
struct yd_arg {
    const char *name; /* in a map; NULL in a list */
    enum yd_param_type type;
    union {
        int64_t i64; /* INT; DURATION in ns; SIZE in bytes */
        double f64;  /* FLOAT; RATE per second */
        bool boolean;
        struct yd_str text;
        struct {
            const struct yd_arg *items;
            size_t count;
        } list; /* LIST and MAP */
    };
};
struct yd_args {
    const struct yd_arg *items; /* every parameter that was given or has a default */
    size_t count;
};
const struct yd_arg *yd_args_find(const struct yd_args *args, const char *name); /* NULL: not given, no default */
int64_t yd_args_int(const struct yd_args *args, const char *name);  /* INT, DURATION, SIZE; 0 when absent */
double yd_args_float(const struct yd_args *args, const char *name); /* FLOAT, RATE */
bool yd_args_bool(const struct yd_args *args, const char *name);
struct yd_str yd_args_text(const struct yd_args *args, const char *name); /* terminated; size 0 when absent */

/* ---- inputs of receive ---- */
enum yd_input_type {
    YD_INPUT_START, /* once, before anything else, also after a restart: set timers, ask the pump */
    YD_INPUT_BATCH, /* a push input: port, batch */
    YD_INPUT_QUERY, /* a query input: port, batch (one ROW {op, …}); to be answered with yd_reply… in the end */
    YD_INPUT_REPLY, /* an answer to an own query: cookie, batch, more (others follow) */
    YD_INPUT_ERROR, /* the query `cookie` failed: error, batch may hold the reason as TEXT (YD_ETIMEOUT, YD_EBUSY …) */
    YD_INPUT_TIMER,   /* cookie: the id */
    YD_INPUT_ACK,     /* all that was emitted with this cookie has been answered: error 0 and level, or why not */
    YD_INPUT_PUMP,    /* from the own pump: cookie: its type; data, batch */
    YD_INPUT_MOVED,   /* the stream that class->stream gives has got further (written, durable) or failed. Coalesced */
    YD_INPUT_SETTLE,  /* somebody waits for what is kept (yd_keep) before he can end. Only with YD_CLASS_KEEPS */
    YD_INPUT_BLOCKED, /* this element's outputs are full: error 1, or no longer: 0. Only with YD_CLASS_WATCHES */
};
struct yd_input {
    enum yd_input_type type;
    unsigned port; /* index into class->ports */
    struct yd_batch *batch;
    uint64_t cookie;
    int error;
    unsigned level;   /* ACK: reached; BATCH: the highest that its tickets ask for, 0: nobody asks.
                         As in log/log.h: 1 memory, 2 written, 3 durable */
    bool more, again; /* again: this input once more, after MORE */
    int64_t mono_ns, wall_ns;
    int64_t born_ns; /* BATCH: when it, or what it was made of, came in from outside (mono_ns then); 0: not known */
    void *data;      /* PUMP: as told; goes with the input unless taken by setting it to NULL */
    uint64_t from;   /* BATCH: which wire brought it: the same number in every run, for telling senders apart */
    const void *private_;
};

enum yd_turn_result { YD_DONE, YD_MORE, YD_STOP, YD_FAIL }; /* MORE: call me again with this input after others */

/* ---- what receive, drain and open may say ---- */
struct yd_out;
/* A batch on an output port. It inherits the tickets of the input at hand. An unwired port swallows it, counted. */
int yd_emit(struct yd_out *out, unsigned port, struct yd_batch *batch);
/* A source that wants to know: YD_INPUT_ACK with cookie comes once everything derived from it has been dealt with. Its
 * `level` is the lowest that anybody reached who keeps it (less than was asked, if he cannot do better: look at it), or
 * what was asked if nobody had a say; its `error` is the worst: YD_ECANCELED: lost in a crash, to be sent again; others
 * are final (YD_EFULL: dropped by a wire's policy, YD_EFAIL: parked, YD_EUNDELIVERABLE: the element that should have it
 * is stopped). */
int yd_emit_asking(struct yd_out *out, unsigned port, struct yd_batch *batch, unsigned level, uint64_t cookie);
/* A query out of a query port; the answer comes as REPLY… or ERROR with this cookie. timeout 0: the wire's own. */
int yd_ask(struct yd_out *out, unsigned port, struct yd_batch *query, uint64_t cookie, int64_t timeout_ns);
/* Answers to the query at hand (query 0), or to one kept by yd_keep_query. The last one has more = false. batch may be
 * NULL then. A query that is neither kept nor answered when receive returns DONE is answered with YD_EFAIL.
 * YD_ENOENT: the asker has gone or timed out, stop working on it. YD_EFULL (kept ones only): the asker does not take
 * what it was sent: wait. With MORE instead of keeping, the runtime waits by itself. No batch and more = true, to a
 * kept one: it is no longer kept, and is given again (`again`, without its batch) as if MORE had been returned. */
int yd_reply(struct yd_out *out, uint64_t query, struct yd_batch *batch, bool more);
int yd_reply_error(struct yd_out *out, uint64_t query, int error, const char *format, ...);
uint64_t yd_keep_query(struct yd_out *out); /* the handle of the query at hand, for answering in a later turn */
/* Keeps the tickets of the input at hand beyond this turn, and answers them later: 0 and a level reached, or why not.
 * Level 0: no say in it, as of one who discards on purpose. What an input's records cost stays counted as queued until
 * then. */
uint64_t yd_hold(struct yd_out *out);
void yd_release(struct yd_out *out, uint64_t hold, int error, unsigned level);
/* As yd_hold, but the input counts as consumed and its credit goes back: for who keeps many for long. Released by
 * yd_release. 0: out of memory, the turn counts as failed. */
uint64_t yd_keep(struct yd_out *out);
void yd_timer_at(struct yd_out *out, uint64_t id, int64_t mono_ns); /* the same id again: moves it. id < 2^62 */
void yd_timer_off(struct yd_out *out, uint64_t id);
/* A word to the own pump. Takes batch and data (released by `release` if the pump is gone). */
int yd_out_command(struct yd_out *out, unsigned type, uint64_t arg, struct yd_batch *batch, void *data,
                   void (*release)(void *));
/* STATEFUL: the state has changed by something that is not a batch (a question, say) and is to be saved. What a timer
 * emits says so by itself. */
void yd_state_changed(struct yd_out *out);
void yd_end(struct yd_out *out); /* a source without a pump: exhausted */
uint64_t yd_random(struct yd_out *out);
struct yd_element *yd_out_element(struct yd_out *out);
int64_t yd_now_mono(const struct yd_out *out); /* as in the input at hand; for drain, which has none */
int64_t yd_now_wall(const struct yd_out *out);
/* Counting, in records: of the records of the batch at hand those not passed on. `reason` is one of class->reasons;
 * `sample`: bytes to show a person (the runtime keeps the last hundred). What is neither rejected nor dropped is
 * consumed. Without a batch at hand they count as received (by the pump) as well. */
void yd_count_rejected(struct yd_out *out, unsigned reason, uint64_t records, struct yd_str sample);
void yd_count_dropped(struct yd_out *out, unsigned reason, uint64_t records);
void yd_count_folded(struct yd_out *out, uint64_t records); /* filtered out or folded on purpose */
/* Of a class with YD_CLASS_LATE: only now is it done with so many records of a push input that came in at born_ns. */
void yd_count_latency(struct yd_out *out, unsigned port, int64_t born_ns, uint64_t records);
/* A line for the operator: what, where, what to do. level: 0 note, 1 warning, 2 error. Rate-limited by the runtime. */
void yd_say(struct yd_out *out, int level, const char *format, ...);

/* ---- the pump ---- */
struct yd_pump;
struct yd_loop;
struct yd_lane;
struct yd_fs;
struct yd_command {
    unsigned type;
    uint64_t arg;
    struct yd_batch *batch; /* taken by setting to NULL */
    void *data;             /* likewise */
};
struct yd_pump_class {
    size_t state_size;
    bool files; /* false: called in an executor's loop thread. true: called on a file thread, may block */
    int (*start)(struct yd_pump *pump, void *state, void *element_state); /* an error: return yd_pump_fail(…) */
    /* Called until everything is closed: must call yd_pump_stopped once that is so. No more emits after it. */
    void (*stop)(void *state);
    void (*command)(void *state, struct yd_command *command);
    /* true: the element is blocked or does not keep up: stop reading sockets; then false: go on. In turns, never twice
     * alike. Not for files pumps: those are just not run meanwhile. */
    void (*pause)(void *state, bool paused);
    /* On how many executors, 0: on all; NULL: one. The element has so many pumps then, each with a state of its own in
     * the loop of its own executor. They are started one after the other, so what the first one has found out (a port,
     * say) the others find in the element's state; words from receive go to the first one. Not for files pumps. */
    unsigned (*spread)(const struct yd_args *args);
    void (*run)(void *state); /* files: called again and again while not paused, until yd_pump_end or YD_EAGAIN via
                                 yd_pump_sleep */
};
const struct yd_args *yd_pump_args(struct yd_pump *pump);
struct yd_loop *yd_pump_loop(struct yd_pump *pump);
struct yd_fs *yd_pump_fs(struct yd_pump *pump);
unsigned yd_pump_index(struct yd_pump *pump);                               /* of the element's, from 0 */
unsigned yd_pump_count(struct yd_pump *pump);                               /* how many it has */
const char *yd_pump_element(struct yd_pump *pump);                          /* its name in the topology */
int yd_pump_fail(struct yd_pump *pump, int error, const char *format, ...); /* from start: why; returns error */
/* A batch straight to an output port, as if receive had emitted it; its records count as received (and as consumed once
 * they are on the wire). true: enough, the element does not keep up: stop reading now; `pause` comes in any case, and
 * then its end. */
bool yd_pump_emit(struct yd_pump *pump, unsigned port, struct yd_batch *batch);
/* To receive, as YD_INPUT_PUMP. With a batch it is data: its records count as received, and it waits while the element
 * is blocked; unless type has YD_TELL_URGENT (receive sees the type without it): then, as without a batch, it is
 * control, is not counted, and is received even so. */
#define YD_TELL_URGENT 0x80000000u
int yd_pump_tell(struct yd_pump *pump, unsigned type, struct yd_batch *batch, void *data, void (*release)(void *));
/* files: from `run`: again after this time. From `command`: as soon as the commands that wait have been served. */
void yd_pump_sleep(struct yd_pump *pump, int64_t ns);
void yd_pump_end(struct yd_pump *pump); /* the source is exhausted */
void yd_pump_stopped(struct yd_pump *pump);
void yd_pump_listens(struct yd_pump *pump, const char *what,
                     const char *address); /* "Graphite lines", "127.0.0.1:2003" */
/* Rejected and dropped ones count as received, too: do not count them twice. count_received is for records that came in
 * and are dealt with otherwise (neither emitted nor told with a batch). */
void yd_pump_count_received(struct yd_pump *pump, uint64_t records);
void yd_pump_count_rejected(struct yd_pump *pump, unsigned reason, uint64_t records, struct yd_str sample,
                            struct yd_str peer);
void yd_pump_count_dropped(struct yd_pump *pump, unsigned reason, uint64_t records);
void yd_pump_say(struct yd_pump *pump, int level, const char *format, ...);
int64_t yd_pump_mono(struct yd_pump *pump);
int64_t yd_pump_wall(struct yd_pump *pump);

/* ---- state that outlives a crash ---- */
struct yd_saver; /* a growing buffer */
void yd_save_bytes(struct yd_saver *saver, const void *data, size_t size);

/* ---- the class ---- */
struct yd_element; /* the runtime's side of an instance */
const struct yd_args *yd_element_args(struct yd_element *element);
const char *yd_element_name(struct yd_element *element);
int yd_element_fail(struct yd_element *element, int error, const char *format, ...); /* from open: why; returns error */
bool yd_element_wired(struct yd_element *element, unsigned port);
/* The world, for open and close (which may block) and for pumps. */
struct yd_fs *yd_element_fs(struct yd_element *element);
const char *yd_element_data(struct yd_element *element); /* the data folder: streams are DATA/streams/NAME/0 */
uint64_t yd_element_random(struct yd_element *element);  /* any thread */
int64_t yd_element_wall(struct yd_element *element);     /* any thread */
bool yd_element_simulated(struct yd_element *element);   /* no threads, no real sockets */

enum yd_class_flags {
    YD_CLASS_LATE = 4096,    /* is done with records later than the runtime can see, and says so: yd_count_latency */
    YD_CLASS_KEEPS = 1024,   /* keeps tickets for long (yd_keep), and is told YD_INPUT_SETTLE */
    YD_CLASS_APPENDS = 2048, /* programs append through it to the streams of the run: a Log needs no other source */
    YD_CLASS_COMPUTE = 1,    /* receive runs on the compute pool */
    YD_CLASS_SOURCE = 2,     /* makes records out of nothing or out of the world */
    YD_CLASS_REPLAYS = 4,    /* a source that can replay: acknowledgement behind it makes sense */
    YD_CLASS_REBUILDS =
        8, /* its state is rebuilt from the stream: a cursor wire into it starts at the oldest, always */
    YD_CLASS_STATEFUL = 16, /* has save and load: tickets are held until a save is stored */
    YD_CLASS_WATCHES = 32,  /* wants YD_INPUT_BLOCKED */
    YD_CLASS_PLANNED = 64,  /* known to the language, refused by name: "not yet" */
    YD_CLASS_REPEATS = 128, /* what it emits while it receives a batch depends on that batch alone (STATEFUL: and on the
                               state): not on clock, randomness, timers or queries. The same batch again gives the same
                               batches, so a Log behind it can drop what a restarted cursor sends twice */
};
struct yd_grow_cost {
    uint64_t bytes;
    int64_t add_ns, undo_ns;
    const char *refusal; /* or why not at all */
};
#define YD_PARTS_MAX 256
typedef void yd_part_visit(void *arg, struct yd_str name, uint64_t count);
struct yd_element_class {
    uint32_t abi; /* YD_ELEMENT_ABI */
    unsigned flags;
    const char *name, *summary;
    const char *doc;     /* the reference page's text, Markdown */
    const char *example; /* a line or more of .yd */
    const struct yd_port_class *ports;
    const struct yd_param_class *params;
    const char *const *reasons; /* of rejects and drops, ending in NULL; indices are given to the counters */
    size_t state_size;          /* zeroed before open */
    int (*check)(const struct yd_args *args, char *why, size_t why_size); /* pure: parameters against each other */
    int (*open)(struct yd_element *element, void *state);
    void (*close)(void *state);
    /* NULL: a source that does all in its pump. */
    enum yd_turn_result (*receive)(void *state, struct yd_input *input, struct yd_out *out);
    enum yd_turn_result (*drain)(void *state, struct yd_out *out); /* no more input will come; MORE: call again */
    /* Bytes as they would have come from the world, through the same parser as the pump's: for tests and replays. */
    int (*feed)(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns);
    /* STATEFUL: the whole state is key group 0 while nothing shards it. save is called between turns, must not change
     * anything; load comes after open and before anything else. */
    int (*save)(const void *state, uint32_t key_group, struct yd_saver *saver);
    int (*load)(void *state, uint32_t key_group, struct yd_str saved);
    void (*drop)(void *state, uint32_t key_group);
    int (*grow_cost)(const void *state, struct yd_grow_cost *ret);
    const struct yd_pump_class *pump;
    /* For YD_PORT_CURSOR outputs: the stream behind this element: the log of each partition (struct yd_log *), NULL
     * behind the last; opened by `open`, as many each time, closed by `close`. The runtime does the rest: it sets the
     * logs' progress callbacks, starts their threads (or flushes them, simulated), gives YD_INPUT_MOVED, stamps
     * producer_* into the headers of the batches that come in (append them as they are, or split by yd_batch_split),
     * and reads the cursors of the wires: a cursor has a position in each partition. */
    void *(*stream)(void *state, unsigned partition);
    /* After `open`: true: it has nothing, the cursors of wires into it begin where the wire says, whatever they had
     * acknowledged to an earlier state. */
    bool (*fresh)(void *state);
    /* With a parameter that has YD_PARAM_READS: what is wrong with the text of its file, as `check`, before anything
     * opens. *why: LINE:COLUMN: MESSAGE, or as much of it as is known. A file that is not there, or is none, is left to
     * open. */
    int (*check_file)(const struct yd_args *args, const char *param, struct yd_str text, char *why, size_t why_size);
    /* What it counts beside its records, each under a name of its own: so many of each `part` ("packet") since it
     * began. Walked between two turns, for the status and for Self; those beyond the first YD_PARTS_MAX are shown as
     * one. Not of COMPUTE classes. */
    const char *part;
    void (*parts)(const void *state, yd_part_visit *visit, void *arg);
};

#endif
