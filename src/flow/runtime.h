/* flow/runtime.h: what the files of the runtime share. README.md has the picture.
 *
 *   run.c              start, drain, finish, destroy; the supervisor process
 *   element_process.c  the wrapper around class->receive: what comes in, in which order, when
 *   life.c             an element's life: open, crash, back-off, END, drain, forced end
 *   out.c              what receive may say, and the flush
 *   wire.c             both ends of a push wire: credit, bounded queue, policies
 *   query.c            both ends of a query wire
 *   ticket.c           tickets
 *   state.c            STATEFUL: saves, positions, what is answered when
 *   stream.c           the log behind an element or a spill: its thread, who is told of progress
 *   cursor.c           reading a log under acknowledgement; cursor_wire.c: the process of one cursor wire
 *   spill.c            a wire's way by the disk
 *   pump.c             the half that touches the world
 *   park.c             poison, kept
 *   counts.c           snapshots, samples, lines for the operator
 *   tests_run.c        in-file tests
 *
 * Threads: everything in struct yd_element belongs to its process, but for what is marked. A wire's `out` end belongs
 * to the sender's process, its `in` end to the receiver's. Nothing else is shared but atomics and what has a mutex. */
#ifndef FLOW_RUNTIME_H
#define FLOW_RUNTIME_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <yarder/element.h>

#include "flow/run.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"

/* ---- envelopes; arg[0] first ---- */
enum yd__envelope {
    YD__ENV_BATCH = YD_ENV_USER, /* batch on a wire: see yd__batch_envelope */
    YD__ENV_END,                 /* wire: no more will come */
    YD__ENV_CREDIT,              /* wire, bytes, records, last (bool): the receiver knows of no want any more */
    YD__ENV_WANT,                /* wire: the sender waits for credit */
    YD__ENV_WORK,                /* to self: go on */
    YD__ENV_ACK,                 /* ticket: cookie, error, level, kind */
    YD__ENV_QUERY,               /* wire, question id, deadline; batch */
    YD__ENV_REPLY,               /* wire, question id, more; batch */
    YD__ENV_REFUSAL,             /* wire, question id, error; data: text */
    YD__ENV_TAKEN,               /* wire, question id, bytes: replies were taken */
    YD__ENV_ASK_END,             /* wire: the asker has ended */
    YD__ENV_APPEND_END,          /* an element of YD_CLASS_APPENDS has ended */
    YD__ENV_PUMP_BATCH,          /* port, incarnation; batch */
    YD__ENV_PUMP_TELL,           /* type, incarnation; batch, data */
    YD__ENV_PUMP_COUNTS,         /* look at the pump's counts */
    YD__ENV_PUMP_ENDED,          /* incarnation, which */
    YD__ENV_PUMP_STOPPED,        /* incarnation, which */
    YD__ENV_PUMP_STARTED,        /* incarnation; which << 32 | error */
    YD__ENV_MOVED,          /* key: the stream has got further. key: UINT32_MAX own stream, else the spill of a wire */
    YD__ENV_CURSOR_READ,    /* key: a cold read is done */
    YD__ENV_CURSOR_SAVED,   /* key */
    YD__ENV_SAVED,          /* error; generation */
    YD__ENV_PARKED,         /* error */
    YD__ENV_REOPENED,       /* error */
    YD__ENV_STREAM_DOWN,    /* to a cursor process: let go of the log */
    YD__ENV_STREAM_IS_DOWN, /* from it */
    YD__ENV_STREAM_UP,      /* to it: the logs are there again */
    YD__ENV_REBUILD,        /* to it: the reader has lost its state: from the oldest again */
    YD__ENV_STREAM_END,     /* to it: nothing will be appended any more; up (bool): the logs are there */
    YD__ENV_START,
    YD__ENV_DRAIN,        /* sources: stop */
    YD__ENV_STOP_READING, /* cursors: enough for this run */
    YD__ENV_FORCE,        /* end now */
    YD__ENV_SETTLE,       /* to elements that keep tickets: somebody waits */
    YD__ENV_STAT,         /* publish a snapshot */
    YD__ENV_FEED,         /* in-file tests: port; data: text; batch */
};
#define YD__OWN_STREAM UINT32_MAX
/* Timer ids of the wrapper; those of classes are below. A question's timer is YD__TIMER_QUESTION + its id. */
#define YD__TIMER_QUESTION (UINT64_C(1) << 63)
#define YD__TIMER_RESTART  (UINT64_C(1) << 62)
#define YD__TIMER_SAVE     ((UINT64_C(1) << 62) + 1)
#define YD__TIMER_CURSOR   ((UINT64_C(1) << 62) + 2) /* + wire */

/* ---- tickets ---- */
struct yd__hub { /* where tickets are answered to; outlives the run while tickets are out */
    atomic_uint refs;
    _Atomic(struct yd_system *) system; /* NULL: nobody is there to be told any more */
};
enum yd__ticket_kind { YD__TICKET_ASKED, YD__TICKET_CURSOR, YD__TICKET_OUTPUT, YD__TICKET_SPILLED };
struct yd__ticket {
    atomic_uint refs;
    atomic_int error;
    atomic_uint level; /* lowest reached; UINT_MAX: nobody said */
    unsigned asked;    /* by it and all its parents */
    uint32_t incarnation;
    enum yd__ticket_kind kind;
    struct yd__hub *hub;
    yd_pid source;
    uint64_t cookie;
    struct yd__ticket *parent;
};
struct yd__hub *yd__hub_create(struct yd_system *system);
void yd__hub_close(struct yd__hub *hub);
/* Takes the reference to parent (may be NULL), in every case. NULL: out of memory; parent was failed then. */
struct yd__ticket *yd__ticket_new(struct yd__hub *hub, enum yd__ticket_kind kind, yd_pid source, uint64_t cookie,
                                  unsigned asked, uint32_t incarnation, struct yd__ticket *parent);
struct yd__ticket *yd__ticket_ref(struct yd__ticket *ticket); /* NULL is NULL */
void yd__ticket_unref(struct yd__ticket *ticket);             /* the last one answers */
void yd__ticket_answer(struct yd__ticket *ticket, int error,
                       unsigned level); /* worst wins; unrefs. level 0: none said */
void yd__ticket_lost(void *ticket);     /* data_release of envelopes: answered YD_ECANCELED */

/* ---- where a batch came from: which range of which cursor, by which way ---- */
struct yd__origin {
    uint64_t id; /* 0: none. Of the cursor and every wire since */
    uint64_t last;
    uint32_t epoch, span; /* first = last - span */
    uint32_t generation;  /* rises when the cursor goes back */
    int64_t born_ns;      /* when what it was made of came in; 0: of nothing that came in, as what a timer says */
    int64_t sent_ns;      /* when the wire got it */
};
static inline uint64_t yd__mix(uint64_t id, uint64_t with) /* never 0 */
{
    uint64_t x = (id ^ with) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return (x ^ (x >> 29)) | 1;
}

/* ---- items: what waits ---- */
enum yd__item_type {
    YD__ITEM_BATCH,      /* for receive */
    YD__ITEM_PUMP_BATCH, /* to be forwarded to `port` */
    YD__ITEM_TELL,       /* for receive, from the pump */
    YD__ITEM_END,        /* of wire */
    YD__ITEM_PUMP_END,
    YD__ITEM_FEED, /* text for class->feed */
    YD__ITEM_REPLY,
    YD__ITEM_REFUSAL,
    YD__ITEM_TIMER,
    YD__ITEM_ACK,
    YD__ITEM_MOVED,
    YD__ITEM_START,
    YD__ITEM_BLOCKED,
    YD__ITEM_SETTLE,
};
struct yd__item {
    uint8_t type;
    bool again, more, urgent;
    uint16_t port;
    uint32_t wire;
    uint32_t incarnation;
    uint32_t accounted; /* of its records: rejected or dropped already */
    struct yd_batch *batch;
    struct yd__ticket *ticket;
    struct yd__origin origin;
    uint64_t cookie;
    uint64_t hold; /* kept by the class beyond its turn: what it cost is settled at the release */
    int error;
    unsigned level;
    void *data;
    void (*release)(void *data);
};
struct yd__ring { /* a queue of items, first in, first out */
    struct yd__item *items;
    uint32_t first, count, capacity; /* power of two */
};
/* False: out of memory. Items move by copying. */
bool yd__ring_push(struct yd__ring *ring, const struct yd__item *item);
bool yd__ring_push_front(struct yd__ring *ring, const struct yd__item *item);
static inline struct yd__item *yd__ring_front(struct yd__ring *ring)
{
    return &ring->items[ring->first & (ring->capacity - 1)];
}
static inline void yd__ring_pop(struct yd__ring *ring)
{
    ring->first++;
    ring->count--;
}
void yd__ring_fini(struct yd__ring *ring); /* items must have been dealt with */

/* A map from u64 to u64 or a pointer: timers, questions, positions. Open addressing; keys are not 0. */
struct yd__dict {
    struct yd__dict_slot {
        uint64_t key;
        uint64_t value;
    } * slots;
    uint32_t count, capacity;
};
uint64_t *yd__dict_find(struct yd__dict *map, uint64_t key);
uint64_t *yd__dict_add(struct yd__dict *map, uint64_t key); /* finds or adds (value 0); NULL: out of memory */
bool yd__dict_remove(struct yd__dict *map, uint64_t key);
void yd__dict_clear(struct yd__dict *map);
void yd__dict_fini(struct yd__dict *map);

/* ---- push wires ---- */
struct yd__spill;
struct yd__wire_out {
    int64_t credit_bytes, credit_records;
    uint64_t queue_bytes, queue_records;         /* in `queue` */
    uint64_t queue_bytes_max, queue_records_max; /* drop policies: beyond which something goes */
    struct yd__ring queue;
    bool wanting;  /* a WANT is out and not answered for good */
    bool blocking; /* counted in the sender's blocked_by */
    bool ending, ended;
    bool cut; /* forced, or the receiver is gone for good: what comes is dropped */
    struct yd__spill *spill;
    struct yd_wire_stat stat;
};
struct yd__wire_in {
    uint64_t outstanding_bytes, outstanding_records; /* received, not consumed */
    uint64_t unreturned_bytes, unreturned_records;   /* consumed, credit not yet returned */
    bool want, ended;
    uint64_t outstanding_bytes_max;    /* for tests: the most there ever was */
    uint64_t seen_bytes, seen_records; /* unreturned, as published: under the receiving element's lock */
};
struct yd__flow_wire {
    const struct yd_wire *def;
    uint32_t index;
    yd_pid from_pid, to_pid;               /* from: the cursor's process for a cursor wire */
    uint64_t hash;                         /* of both ends' names and ports: stable over edits that keep them */
    uint64_t window_bytes, window_records; /* credit at the start */
    bool to_stream;                        /* the receiver keeps a Log: stamp producer_* */
    _Alignas(YD_CACHE_LINE) struct yd__wire_out out;
    _Alignas(YD_CACHE_LINE) struct yd__wire_in in;
    struct yd_wire_stat published; /* under the publishing element's lock */
};
struct yd_run;
void yd__wire_setup(struct yd__flow_wire *wire);
/* Takes batch and ticket. `now` unused otherwise than for statistics. Sets wire->out.blocking. */
void yd__wire_send(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                   struct yd__ticket *ticket, const struct yd__origin *origin);
bool yd__wire_may_send(const struct yd__flow_wire *wire, const struct yd_batch *batch);
void yd__wire_transmit(struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                       struct yd__ticket *ticket, const struct yd__origin *origin);
void yd__wire_want(struct yd__flow_wire *wire, struct yd_outbox *box);
bool yd__wire_can_send(const struct yd__flow_wire *wire); /* nothing waits and there is some credit: cursors pull */
void yd__wire_credit(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box,
                     const struct yd_envelope *e);
void yd__wire_drain_queue(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box);
void yd__wire_end(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box); /* END behind what waits */
uint64_t yd__wire_cut(struct yd_run *run, struct yd__flow_wire *wire, struct yd_outbox *box); /* drops all; records */
void yd__wire_fini(struct yd__flow_wire *wire);
/* The receiver's end. */
void yd__wire_arrived(struct yd__flow_wire *wire, const struct yd_batch *batch);
void yd__wire_consumed(struct yd__flow_wire *wire, struct yd_outbox *box, uint64_t bytes, uint64_t records);
void yd__wire_wanted(struct yd__flow_wire *wire, struct yd_outbox *box);

/* ---- streams: the logs behind an element, one for each partition, or behind a spill ---- */
struct yd__stream_sub {
    yd_pid pid;
    uint32_t key;
    unsigned level;
    atomic_bool told; /* an ENV_MOVED is on its way */
};
struct yd__stream {
    struct yd_run *run;
    struct yd_log *logs[YD_PARTITIONS_MAX];
    unsigned count; /* as it was first opened: it stays, what reads it counts on that */
    bool up;
    struct yd_lane *lane; /* simulated: where they are flushed */
    struct yd__stream_sub *subs;
    size_t sub_count;
    atomic_bool flushing;
    uint64_t memory_seen[YD_PARTITIONS_MAX];
    int64_t maintain_at;
};
/* Sets progress and starts them. */
int yd__stream_up(struct yd__stream *stream, struct yd_run *run, struct yd_log *const *logs, unsigned count);
void yd__stream_appended(struct yd__stream *stream); /* after a turn that may have appended */
void yd__stream_fini(struct yd__stream *stream);     /* the logs have been closed by their owner */
void yd__stream_took(struct yd__stream_sub *sub);    /* the ENV_MOVED has come */

/* ---- reading a log under acknowledgement ---- */
struct yd__sent {
    uint64_t next;    /* seqno behind it */
    uint8_t answered; /* 0 no, 1 yes */
};
struct yd__cursor {
    struct yd_run *run;
    yd_pid owner;
    uint32_t key;
    const char *name; /* of the kept position; NULL: none is kept */
    uint64_t identity;
    struct yd_log_start start; /* where to begin when nothing is kept */
    struct yd_log *log;
    struct yd_log_reader *reader;
    struct yd_lane *lane;
    /* the cold read in flight: the lane has the reader while `reading` */
    bool reading, have, saving, save_again;
    int result;
    struct yd_batch *batch;
    struct yd_log_gap gap;
    /* what is out */
    struct yd__sent *sent;
    uint32_t sent_first, sent_count, sent_capacity, unanswered;
    uint64_t sent_base; /* cookie of sent_first */
    uint64_t acknowledged, saved, save_seqno;
    int save_error;
    bool last_save, unsaved; /* the one at the end: begun; and failed, for good */
    uint32_t generation;
    bool fresh;                   /* its reader has nothing: the kept position is not looked at */
    bool rewind, rebuild, closed; /* closed: its reader is stopped for good; the position stays for the next run */
    int64_t saved_at;
    uint64_t gaps, gap_records, rewinds;
    bool hide;          /* what tombstones cover is left out */
    uint64_t forgotten; /* records left out */
    uint64_t end, seen; /* of cursor wires: where the stream ends; where the reader last was, for statistics */
    unsigned level;
};
#define YD__CURSOR_SENT_MAX 65536
int yd__cursor_open(struct yd__cursor *cursor, struct yd_log *log); /* blocks: at the start, or on the lane */
/* The next batch with its ticket and origin. YD_EAGAIN: nothing now (told by MOVED or CURSOR_READ); YD_EBUSY: too much
 * is out; YD_EGAP: *ret_gap. YD_EIO. */
int yd__cursor_pull(struct yd__cursor *cursor, struct yd_batch **ret_batch, struct yd__ticket **ret_ticket,
                    struct yd__origin *ret_origin, struct yd_log_gap *ret_gap);
void yd__cursor_read_done(struct yd__cursor *cursor);
void yd__cursor_answered(struct yd__cursor *cursor, uint64_t cookie, int error);
bool yd__cursor_saves(struct yd__cursor *cursor, int64_t now, bool at_once); /* starts a save when one is due */
void yd__cursor_save_done(struct yd__cursor *cursor);
bool yd__cursor_idle(const struct yd__cursor *cursor); /* the lane does nothing for it */
void yd__cursor_close(struct yd__cursor *cursor);      /* idle, or nothing runs any more */

struct yd__cursor_wire { /* a process: reads for one wire out of a Log */
    struct yd_run *run;
    struct yd__flow_wire *wire;
    struct yd_element *from;
    yd_pid pid;
    const char *name; /* of the kept positions; NULL: none are kept */
    unsigned level;
    struct yd__cursor *cursors; /* one for each partition; a cursor's key is its index here */
    unsigned count, turn;
    struct yd__stream_sub *sub;
    bool going_down, ending, stopping, ended, save_timer, working;
    struct yd_lock lock; /* of wire->published */
    atomic_bool stat_wanted;
};
extern const struct yd_process_class yd__cursor_class;
void yd__cursor_wire_setup(struct yd__cursor_wire *cursor_wire, struct yd_run *run, struct yd__flow_wire *wire);
int yd__cursor_wire_open(struct yd__cursor_wire *cursor_wire); /* once its element is; blocks */
void yd__cursor_wire_fini(struct yd__cursor_wire *cursor_wire);

/* ---- spill ---- */
struct yd__spill {
    struct yd_run *run;
    struct yd__flow_wire *wire;
    struct yd_log *log;
    struct yd__stream stream;
    struct yd__stream_sub sub;
    struct yd__cursor cursor;
    bool active; /* everything goes by the disk until the cursor has caught up */
    bool have_pending, said_refused;
    struct yd__item pending; /* read, and waits for credit */
    bool save_timer;
    struct yd__ring waiting; /* tickets until their range is durable: cookie is the seqno behind it */
};
int yd__spill_open(struct yd_run *run, struct yd__flow_wire *wire, struct yd_trail *trail);
bool yd__spill_send(struct yd__flow_wire *wire, struct yd_outbox *box, struct yd_batch *batch,
                    struct yd__ticket *ticket, const struct yd__origin *origin); /* true: taken */
void yd__spill_go_on(struct yd__flow_wire *wire, struct yd_outbox *box);         /* credit came, or the log moved */
void yd__spill_envelope(struct yd__flow_wire *wire, struct yd_envelope *e, struct yd_outbox *box);
bool yd__spill_done(const struct yd__flow_wire *wire); /* nothing in it that has not been acknowledged */
void yd__spill_close(struct yd__flow_wire *wire);

/* ---- what receive may say ---- */
enum yd__op_type {
    YD__OP_EMIT,
    YD__OP_ASK,
    YD__OP_REPLY,
    YD__OP_REFUSE,
    YD__OP_KEEP,
    YD__OP_HOLD,
    YD__OP_RELEASE,
    YD__OP_TIMER,
    YD__OP_TIMER_OFF,
    YD__OP_COMMAND,
    YD__OP_END,
    YD__OP_CHANGED,
    YD__OP_REJECT,
    YD__OP_DROP,
    YD__OP_FOLD,
};
struct yd__op {
    uint8_t type;
    bool more;
    uint16_t port;
    int error;
    unsigned level;
    struct yd_batch *batch;
    uint64_t id, arg; /* cookie, handle, timer, reason … */
    int64_t time_ns;
    struct yd__ticket *ticket;
    void *data;
    void (*release)(void *data);
};
struct yd_out {
    struct yd_element *element;
    struct yd__op *ops;
    uint32_t count, capacity;
    bool failed;           /* out of memory: the turn counts as failed */
    struct yd__item *item; /* at hand, NULL: none (a query, drain) */
    uint64_t query;        /* at hand */
    int64_t mono_ns, wall_ns;
};
enum yd__hold_use { YD__HOLD_FREE, YD__HOLD_NEW, YD__HOLD_KEPT };
struct yd__hold {
    struct yd__ticket *ticket;
    uint64_t records, bytes; /* records: still counted as queued */
    int64_t born_ns;
    uint32_t wire, wire_records; /* credit goes back there; UINT32_MAX: none */
    uint16_t input;
    uint8_t use;
    uint32_t generation;
    uint32_t next_free;
};

/* ---- query wires ---- */
#define YD__REPLY_BYTES_MAX (8 << 20) /* on their way to an asker and not taken */
#define YD__QUESTIONS_MAX   4096      /* open on one query wire */
struct yd__question {                 /* ours, out */
    uint64_t id, cookie;
    yd_pid whom;
    uint64_t taken; /* bytes of replies not yet told */
};
struct yd__query { /* others', in; handle is its key */
    uint64_t handle, question;
    unsigned port;
    yd_pid asker;
    int64_t deadline_ns;
    struct yd_batch *batch;
    bool kept, active, again;
    int64_t untaken;               /* bytes of replies sent and not taken */
    struct yd__query *next, *prev; /* of the active ones */
};

/* ---- elements ---- */
struct yd__input { /* a push input port, or the pump */
    struct yd_input_stat stat;
};
struct yd__port {
    uint32_t *wires; /* out: push wires, or the query wire. in: push wires */
    uint32_t wire_count;
    uint16_t input, output; /* index into inputs / outputs; UINT16_MAX: none */
    uint64_t split;         /* REPEATS: the next number in the range of the batch at hand */
    bool split_begun;
};
enum yd__wait { YD__WAIT_TIMER = 1, YD__WAIT_PUMP = 2, YD__WAIT_STREAMS = 4, YD__WAIT_PARK = 8, YD__WAIT_OPEN = 16 };
enum yd__phase { YD__PHASE_RUN, YD__PHASE_DRAIN, YD__PHASE_SETTLE, YD__PHASE_PUMP, YD__PHASE_SAVE, YD__PHASE_ENDED };
struct yd_saver {
    struct yd_buf buf;
};
struct yd__place { /* in the range of an origin */
    uint64_t last;
    uint32_t epoch;
    bool known;
};
struct yd__position { /* how far the state is in one origin */
    uint64_t id;
    struct yd__place live, snapshot, saved;
    uint32_t generation; /* newest seen */
    bool refusing;       /* what was sent in `refuse_upto` or before is to be sent again */
    uint32_t refuse_upto;
};
struct yd__held_ticket {
    struct yd__ticket *ticket;
    uint64_t generation;
};
struct yd__state { /* STATEFUL */
    struct yd__position *positions;
    uint32_t position_count, position_capacity;
    struct yd__held_ticket *held;
    uint32_t held_count, held_capacity;
    uint64_t nonce;        /* of this life of the state: part of its outputs' origin */
    uint64_t output_seq;   /* numbers its outputs */
    uint64_t generation;   /* of what comes in and goes out now; the next snapshot's */
    uint64_t *outstanding; /* outputs not yet acknowledged, by generation from `first` */
    uint32_t outstanding_count, outstanding_capacity;
    uint64_t first;
    uint64_t once;             /* the newest generation with an input that nobody can send again */
    struct yd__origin *parked; /* by this run: known, should they come again */
    uint32_t parked_count;
    bool dirty, timer, storing, have_snapshot;
    uint64_t snapshot_generation;
    struct yd_buf snapshot; /* the file, whole; the lane's while `storing` */
    int result;
    char *path;
    char *loaded; /* the file as read on the lane, applied by the process */
    size_t loaded_size;
};
struct yd__sample {
    int64_t wall_ns;
    uint16_t reason;
    uint8_t text_size, peer_size;
    char text[200], peer[60];
};
#define YD__SAMPLES 100
struct yd__peer { /* what a pump rejected of one, for one reason */
    uint64_t rejected;
    uint16_t reason;
    uint8_t size;
    char name[53];
};
#define YD__PEERS 128 /* a power of two */
struct yd__published {
    struct yd_element_stat stat;
    struct yd_input_stat *inputs;
    struct yd_output_stat *outputs;
    struct yd_reason_stat *reasons;
    struct yd__sample *samples;
    struct yd__peer *peers; /* YD__PEERS; rejected 0: none */
    struct yd_pump_stat *pumps;
    struct yd_part_stat *parts; /* YD_PARTS_MAX and one for all others; NULL: the class has none */
};
struct yd_element {
    struct yd_run *run;
    const struct yd_node *node;
    const struct yd_element_class *class;
    uint32_t index;
    yd_pid pid;
    int executor;          /* its home */
    struct yd_outbox *box; /* of the turn at hand */
    void *state;
    bool opened; /* class->open has succeeded and close has not been called */
    uint32_t incarnation;
    char why[256]; /* from yd_element_fail */

    struct yd__port *ports;
    size_t port_count;
    struct yd__input *inputs; /* the last one is the pump's */
    size_t input_count;
    struct yd_output_stat *outputs;
    size_t output_count;
    struct yd_reason_stat *reasons;
    size_t reason_count;

    struct yd_out out;
    struct yd__ring fifo;    /* push inputs */
    struct yd__ring control; /* control inputs not yet received: before START, or made within a flush */
    struct yd__ring again;   /* control inputs that said MORE: go on when the element is not blocked */
    bool working;            /* an ENV_WORK is on its way */
    bool look;               /* life_step has something to look at */
    bool begun;              /* START has come */
    bool called;             /* receive ran in this turn */
    uint32_t blocked_by;
    bool told_blocked;
    int64_t blocked_since, started_at, waiting_output_ns;

    struct yd__dict timers;    /* active ones of the class: id + 1 -> 1 */
    struct yd__dict questions; /* id -> struct yd__question * */
    uint64_t question_last;
    struct yd__dict queries; /* handle -> struct yd__query * */
    uint64_t query_last;
    struct yd__query *active; /* a ring of those that said MORE */
    struct yd__hold *holds;
    uint32_t hold_count, hold_capacity, hold_free;

    enum yd_element_life life;
    enum yd__phase phase;
    uint32_t push_open, ask_open; /* wires that have not ended */
    uint32_t append_open;         /* of a stream: elements through which programs append to it */
    uint32_t push_wires;          /* that come in */
    uint64_t identity;            /* of its name */
    bool is_source, source_open, drain_asked, forced;
    bool no_more_input; /* said STOP: what still comes is dropped */
    unsigned waits_for; /* before it is opened again: YD__WAIT_… */
    uint32_t streams_to_go_down;
    int64_t *crash_times; /* the last restart_max + 1 */
    uint32_t crash_times_count;
    struct yd_lane *lane; /* opening again, saving, parking */
    uint64_t crashes, parked, saves, asked, answered, failed_questions;

    struct yd__state keep;
    struct yd__stream stream;
    struct yd_pump *pump;
    struct yd_log *park_log;
    struct yd__item park_item;
    int park_error;

    struct yd__sample *samples;
    uint32_t sample_count, sample_next;
    int64_t say_window;
    uint32_t said, unsaid;

    atomic_bool stat_wanted; /* any thread */
    struct yd_lock lock;     /* of published and of the published halves of its wires */
    struct yd__published published;
};
extern const struct yd_process_class yd__element_class, yd__element_compute_class;

/* ---- pumps ---- */
struct yd__pump_count {
    uint64_t received, folded, *rejected, *dropped;
};
struct yd_pump {
    struct yd_element *element;
    struct yd_pump *first, *next; /* of the element's, where it is spread over executors */
    unsigned index, executor;
    const struct yd_pump_class *class;
    void *state;
    struct yd_loop *loop;
    struct yd_lane *lane;
    struct yd_timer *timer;
    uint32_t incarnation;        /* of the element when it was started */
    bool direct;                 /* the wrapper runs in the loop's thread */
    atomic_bool enough;          /* the first one's, of all: emit has said so since the last look */
    atomic_llong unforwarded;    /* the first one's, of all: bytes emitted or told, not yet on a wire or received */
    bool told_paused, stop_told; /* the wrapper's */
    bool running;                /* the wrapper's: started and not known to have stopped */
    bool told_end;               /* the wrapper's: it is exhausted */
    atomic_bool is_up;           /* started and not stopped; for those who wait */
    /* files: */
    atomic_bool paused, halted; /* told by the wrapper */
    atomic_bool scheduled;      /* a run is on the lane or its timer is set */
    atomic_bool starved;        /* stopped running because too much is unforwarded */
    atomic_bool napping;        /* scheduled by its timer; whoever clears it schedules it */
    atomic_bool has_napped, timer_gone;
    atomic_llong nap_ns; /* how long, for the loop that sets the timer */
    int64_t sleep_ns;    /* the lane's */
    bool ended;
    struct yd_trail trail;
    /* counts, from the pump's thread to the wrapper */
    struct yd_lock lock;
    struct yd__pump_count counts;
    struct yd__sample samples[YD__SAMPLES]; /* a ring: the last ones */
    uint32_t sample_count, sample_next;
    struct yd__peer peers[YD__PEERS]; /* by hash; they stay */
    bool counts_told;
    uint64_t handed;       /* records emitted or told; under the lock */
    int64_t say_window;    /* the pump's own thread: when this second of its lines began */
    unsigned said, unsaid; /* in it */
};
#define YD__PUMP_BYTES_MAX (4 << 20)
#define YD__LINES_PER_S    10 /* of an element, and of each of its pumps; more are counted */
/* All of these for all pumps of the element, but where one is given. */
int yd__pump_create(struct yd_element *e, struct yd_trail *trail);
int yd__pump_start_now(struct yd_element *e, struct yd_trail *trail); /* at the start of the run: waits */
void yd__pump_start(struct yd_pump *pump);                            /* after a crash: ENV_PUMP_STARTED comes */
struct yd_pump *yd__pump_at(struct yd_element *e, uint64_t index);    /* NULL: there is none */
bool yd__pump_runs(const struct yd_element *e);                       /* any */
bool yd__pump_ended(struct yd_element *e, uint64_t index);            /* this one is exhausted; true: all are */
void yd__pump_stop(struct yd_element *e);                             /* ENV_PUMP_STOPPED of each comes */
int yd__pump_stop_now(struct yd_element *e);                          /* waits; not from an executor */
void yd__pump_fed(struct yd_element *e);                              /* files: less is unforwarded now */
void yd__pump_pause(struct yd_pump *pump, bool paused);
void yd__pump_command(struct yd_element *e, struct yd__op *op); /* takes what is in it */
void yd__pump_take_counts(struct yd_element *e);
void yd__pump_peers(struct yd_element *e, struct yd__peer to[YD__PEERS]); /* a copy */
void yd__pump_stats(struct yd_element *e, struct yd_pump_stat *to);       /* of each */
void yd__pump_destroy(struct yd_element *e);

/* ---- element_process.c ---- */
enum yd_turn_result yd__element_call(struct yd_element *e, struct yd_input *input, struct yd__item *item,
                                     uint64_t query);
void yd__item_forget(struct yd__item *item); /* control: nothing was counted */
void yd__item_drop(struct yd_element *e, struct yd__item *item, int error,
                   bool count); /* not received: tickets, credit */
void yd__item_done(struct yd_element *e, struct yd__item *item);
void yd__element_consumed(struct yd_element *e, uint32_t wire, uint64_t bytes, uint64_t records);
void yd__element_took(struct yd_element *e, struct yd_input_stat *stat, int64_t born_ns, uint64_t records);
void yd__element_blocked(struct yd_element *e); /* recounts who is full, after sends */
static inline bool yd__element_serves(const struct yd_element *e)
{
    return e->life == YD_LIFE_UP && e->begun && e->blocked_by == 0;
}
static inline bool yd__element_up(const struct yd_element *e)
{
    return e->begun && (e->life == YD_LIFE_UP || e->life == YD_LIFE_ENDED);
}
void yd__element_control(struct yd_element *e, struct yd__item *item);

/* ---- out.c ---- */
void yd__out_begin(struct yd_out *out, struct yd__item *item, uint64_t query);
void yd__out_flush(struct yd_out *out, bool done);
void yd__out_discard(struct yd_out *out);
/* Takes batch and ticket. */
void yd__emit_now(struct yd_element *e, unsigned port, struct yd_batch *batch, struct yd__ticket *ticket,
                  const struct yd__origin *origin);
void yd__count_lost(struct yd_element *e, struct yd__item *item, uint64_t records); /* queued -> dropped */
void yd__holds_cancel(struct yd_element *e, struct yd__item *poison);

/* ---- query.c ---- */
void yd__query_ask(struct yd_element *e, struct yd__op *op);
void yd__query_send_reply(struct yd_element *e, uint64_t handle, struct yd_batch *batch, bool more);
void yd__query_send_error(struct yd_element *e, uint64_t handle, int error, const char *text);
void yd__query_came(struct yd_element *e, struct yd_envelope *envelope);
void yd__query_answer_came(struct yd_element *e, struct yd_envelope *envelope);
void yd__query_taken(struct yd_element *e, struct yd_envelope *envelope);
void yd__query_timed_out(struct yd_element *e, uint64_t question);
void yd__query_run(struct yd_element *e, struct yd__query *query);
void yd__query_step(struct yd_element *e); /* one step of one active query */
bool yd__query_steps(const struct yd_element *e);
void yd__query_refuse_all(struct yd_element *e, int error, const char *text); /* and forget own questions */
void yd__query_fini(struct yd_element *e);

/* ---- state.c ---- */
int yd__state_setup(struct yd_element *e);
int yd__state_load(struct yd_element *e);    /* blocks: on the lane, or at the start */
void yd__state_loaded(struct yd_element *e); /* then, in the process */
/* True: the batch is in the state already, or must be sent again: it has been dealt with. */
bool yd__state_skips(struct yd_element *e, struct yd__item *item);
bool yd__state_refuses(struct yd_element *e, struct yd__item *item); /* on arrival */
void yd__state_parked(struct yd_element *e, const struct yd__item *item);
/* The state has changed by something that is no batch: a timer, a question (which nobody asks again: is_once). */
void yd__state_touched(struct yd_element *e, bool is_once);
void yd__state_took(struct yd_element *e, struct yd__item *item, struct yd__ticket *ticket); /* holds the ticket */
struct yd__ticket *yd__state_output(struct yd_element *e, struct yd__ticket *parent);
void yd__state_output_answered(struct yd_element *e, uint64_t generation, int error);
void yd__state_due(struct yd_element *e); /* the timer */
void yd__state_stored(struct yd_element *e, int error);
bool yd__state_final(struct yd_element *e); /* at the end: true when all is stored */
void yd__state_lost(struct yd_element *e);  /* crashed: everything since the last save is sent again */
void yd__state_fini(struct yd_element *e);

/* ---- life.c ---- */
int yd__element_open(struct yd_element *e, struct yd_trail *trail); /* blocks: open, load, stream */
void yd__element_close(struct yd_element *e);
void yd__life_started(struct yd_element *e);
void yd__life_crashed(struct yd_element *e, struct yd__item *poison);
void yd__life_roll_back(struct yd_element *e);
void yd__life_reopened(struct yd_element *e, int error);
void yd__life_restart_timer(struct yd_element *e);
void yd__life_parked(struct yd_element *e, int error);
void yd__life_pump_stopped(struct yd_element *e, struct yd_pump *pump);
void yd__life_pump_started(struct yd_element *e, struct yd_pump *pump, int error);
void yd__life_stream_is_down(struct yd_element *e);
void yd__life_drain(struct yd_element *e);
void yd__life_force(struct yd_element *e);
void yd__life_stopped(struct yd_element *e); /* said YD_STOP */
void yd__life_step(struct yd_element *e);

/* ---- park.c ---- */
void yd__park(struct yd_element *e, struct yd__item *item); /* ENV_PARKED comes; takes the item */

/* ---- counts.c ---- */
void yd__say(struct yd_run *run, const char *element, int level, const char *format, ...) YD_PRINTF(4, 5);
void yd__element_say(struct yd_element *e, int level, const char *format, ...) YD_PRINTF(3, 4);
void yd__element_say_v(struct yd_element *e, int64_t mono_ns, int level, const char *format, va_list args);
void yd__sample_keep(struct yd_element *e, int64_t wall_ns, unsigned reason, struct yd_str text, struct yd_str peer);
int yd__counts_setup(struct yd_element *e);
void yd__counts_publish(struct yd_element *e, int64_t mono_ns);
void yd__counts_fini(struct yd_element *e);

/* ---- the run ---- */
struct yd_run {
    struct yd_run_options options;
    const struct yd_topology *topology;
    struct yd__hub *hub;
    struct yd_element *elements;
    uint32_t element_count;
    struct yd__flow_wire *wires;
    uint32_t wire_count;
    struct yd__cursor_wire *cursors;
    uint32_t cursor_count;
    yd_pid supervisor;
    char *data;
    struct yd_streams *streams; /* open now, by name/partition: elements put theirs, servers find them */
    int64_t save_interval_ns;
    atomic_uint unfinished, alive;
    atomic_bool finished, bad, draining;
    uint64_t (*world_random)(void *run); /* for the logs of the runtime's own; arg: the run */
    int64_t (*world_wall)(void *run);
    struct yd_lock say_lock;
    struct yd_lock applications_lock;
    struct yd_applications *applications; /* under that */
    atomic_uint stat_waits;
};
void yd__run_one_ended(struct yd_run *run); /* an element or a cursor wire */
void yd__run_bad(struct yd_run *run);       /* the exit code will be 1 */
int64_t yd__run_mono(struct yd_run *run);   /* uncached; for the pump's clock in files threads */
int64_t yd__run_wall(struct yd_run *run);
uint64_t yd__run_random(struct yd_run *run);
struct yd_envelope *yd__env(struct yd_run *run, yd_pid to, enum yd__envelope type, uint64_t arg); /* to yd_send */
int yd__tell(struct yd_run *run, yd_pid to, enum yd__envelope type, uint64_t arg0, uint64_t arg1);

#endif
