/* log/internal.h: what the files of this floor share. Picture and promises are in log.h and README.md.
 *
 * Two locks. `io` is held through blocking I/O by whoever flushes, maintains or closes; it owns the active segment's
 * file, the written producers and the control page. `mutex` is held for moments; it owns the tail, the positions, the
 * appended producers, the list of segments and what is asked of the helper. Order: io before mutex. */
#ifndef LOG_INTERNAL_H
#define LOG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "log/control_format.h"
#include "log/cursor_format.h"
#include "log/footer_format.h"
#include "log/index_format.h"
#include <yarder/log.h>

#include "base/text.h"
#include "io/file.h"
#include "io/lock.h"
#include "log/segment_format.h"

#define YD__PATH_SIZE         4096
#define YD__GROUP_BYTES_MAX   (UINT64_C(8) << 20) /* written between two syncs */
#define YD__GROUP_BATCHES_MAX 32768
#define YD__CHECKPOINT_BYTES  (UINT64_C(16) << 20)  /* appended between two checkpoints: what recovery scans */
#define YD__GROUP_LARGE       (UINT64_C(512) << 10) /* average bytes between two syncs of a stream that is busy */
#define YD__PREPARED_NAME     "next.tmp"

/* Orderings that the simulator leaves out, one at a time, to prove that it would notice. Only the simulator's own build
 * of these sources has them; elsewhere YD__SKIPS is a constant false. */
enum yd__skip {
    YD__SKIP_DATA_SYNC = 1,         /* no sync after writing a group */
    YD__SKIP_DIR_SYNC = 2,          /* no sync of the folder after naming a segment */
    YD__SKIP_EPOCH_SYNC = 4,        /* a raised epoch is not made durable */
    YD__SKIP_ROLL_SYNC = 8,         /* the next segment is begun before the last one is durable */
    YD__SKIP_PUBLISH_LATE = 16,     /* durable is published before the sync */
    YD__SKIP_RECOVERY_SYNC = 32,    /* what recovery kept and what it zeroed is not synced before appending */
    YD__SKIP_REWRITE = 64,          /* what recovery read is taken to be on the device */
    YD__SKIP_CHAIN = 128,           /* a follower does not look at the chain, nor a leader at a follower's */
    YD__SKIP_FENCE = 256,           /* a follower takes batches of an older epoch, a leader appends though deposed */
    YD__SKIP_CUT_ORDER = 512,       /* what is cut is not kept */
    YD__SKIP_HEAD_SYNC = 1024,      /* a segment is named before its head is durable */
    YD__SKIP_EPOCH_TABLE = 2048,    /* a follower does not note the epochs of what it is given */
    YD__SKIP_RANK = 4096,           /* replicated counts followers that are not durable that far */
    YD__SKIP_FOLLOWED = 8192,       /* a follower says durable what is only written (the simulator's) */
    YD__SKIP_TWIN_SYNC = 16384,     /* a twin is not synced before the segment goes */
    YD__SKIP_TWIN_DIR_SYNC = 32768, /* nor its name */
    YD__SKIP_TWIN_CHECK = 65536,    /* nor is it read again */
    YD__SKIP_LAST_EPOCH = 131072,   /* the longest copy is promoted, whatever the epoch of its last batch */
    YD__SKIP_TERM = 262144,         /* batches of an earlier term are counted by themselves */
};
#ifdef YD_LOG_TEST_SKIP
extern unsigned yd__log_skips;
#define YD__SKIPS(bit) ((yd__log_skips & (bit)) != 0)
#else
#define YD__SKIPS(bit) ((void)(bit), false)
#endif

/* ---- tail.c: the recent batches in memory, in order; what is not written yet is its end ---- */
struct yd__tail {
    struct yd_batch **slots; /* a ring; the capacity is a power of two */
    uint64_t mask;
    uint64_t begin, unwritten, end; /* counters; slot = counter & mask */
    uint64_t bytes, queued_bytes;   /* kept in all; of those not written */
    uint64_t next_seqno;            /* of the batch to be pushed next */
};
int yd__tail_init(struct yd__tail *tail, uint64_t next_seqno);
void yd__tail_fini(struct yd__tail *tail);
int yd__tail_room(struct yd__tail *tail);                          /* room for one more push, or YD_ENOMEM */
void yd__tail_push(struct yd__tail *tail, struct yd_batch *batch); /* takes the reference */
uint64_t yd__tail_first(const struct yd__tail *tail);              /* oldest seqno kept; next_seqno when empty */
struct yd_batch *yd__tail_find(const struct yd__tail *tail, uint64_t seqno); /* the batch that holds it, or NULL */
struct yd_batch *yd__tail_find_time(const struct yd__tail *tail, int64_t time_ns, uint64_t from_seqno);
void yd__tail_written(struct yd__tail *tail, uint64_t count); /* the first `count` unwritten ones are written now */
/* Takes what is written and over the limit off the old end into `dropped` (at most `room`), for release outside the
 * lock. What all readers have taken (seqnos below `taken`) has a limit of its own: an eighth. */
uint32_t yd__tail_evict(struct yd__tail *tail, uint64_t bytes_max, uint64_t taken, struct yd_batch **dropped,
                        uint32_t room);

/* ---- producers.c: id -> last known ---- */
struct yd__producers {
    struct yd__producer_entry *slots; /* open addressing; id 0 is free */
    uint32_t mask, count;
};
int yd__producers_init(struct yd__producers *producers);
void yd__producers_fini(struct yd__producers *producers);
struct yd__producer_entry *yd__producers_find(const struct yd__producers *producers, uint64_t id);
int yd__producers_put(struct yd__producers *producers, const struct yd__producer_entry *entry); /* adds or replaces */
int yd__producers_room(
    struct yd__producers *producers); /* the next put will not fail; at the limit forgets the oldest */
/* Room for what these batches say: noting it cannot fail then. */
int yd__producers_reserve(struct yd__producers *producers, struct yd_batch *const *group, uint32_t count);
int yd__producers_note(struct yd__producers *producers, const struct yd_header *header); /* what a batch says */
void yd__producers_expire(struct yd__producers *producers, int64_t before);
uint32_t yd__producers_list(const struct yd__producers *producers, struct yd__producer_entry *to, uint32_t room);
int yd__producers_copy(struct yd__producers *to, const struct yd__producers *from);
void yd__producers_clear(struct yd__producers *producers);

/* ---- segment.c: one segment: its accounting, its head, its footer ---- */
struct yd__index {
    struct yd__index_entry *entries;
    uint32_t count, capacity;
};
/* ---- ranges.c: which names are in a batch, an index entry, a segment; and what that rules out ---- */

/* Pointers into the batch. */
struct yd__names {
    uint64_t bits;          /* (hash >> 58) of each; all ones: not looked at */
    struct yd_str min, max; /* data NULL: not looked at */
};
struct yd__names yd__names_any(void); /* nobody looked */
struct yd__names yd__view_names(const struct yd_header *header, const struct yd_view *view);
/* The same of a frame in a file: a footer must say the same whoever makes it, on whichever node. Points into the
 * window: until the next look through it. */
struct yd__window;
struct yd__names yd__frame_names(struct yd__window *window, uint64_t offset, const struct yd_header *header);
/* size bytes each: of nothing yet; and with more names. */
void yd__range_none(uint8_t *min, uint8_t *max, size_t size);
void yd__range_add(uint8_t *min, uint8_t *max, size_t size, const struct yd__names *names);
void yd__range_join(uint8_t *min, uint8_t *max, size_t size, const uint8_t *other_min, const uint8_t *other_max);
/* May a name that begins with `prefix` be between them? */
bool yd__range_may_hold(const uint8_t *min, const uint8_t *max, size_t size, struct yd_str prefix);
bool yd__range_known(const uint8_t *max, size_t size); /* else min and max say nothing */

enum yd__keys_state { YD__KEYS_UNKNOWN, YD__KEYS_THERE, YD__KEYS_REFUSED }; /* refused: until the next opening */
struct yd__segment {
    atomic_uint refs; /* the list has one, each reader inside has one */
    uint64_t base;    /* first seqno, the file's name */
    /* Under log->mutex from here. What a footer will say, kept up while frames are added. */
    uint64_t next, data_end, batches;
    uint64_t generation, file_size;
    uint32_t data_start, epoch, prev_crc;
    uint64_t forgotten; /* the page cache need not keep what is before; of the flush alone */
    int64_t time_min, time_max, append_min, append_max, begun_at;
    uint64_t names, kinds;
    uint8_t name_min[YD__RANGE_NAME_SIZE], name_max[YD__RANGE_NAME_SIZE];
    uint32_t last_crc, headers_crc;
    bool head_good;           /* else data_start is a guess, or 0: no frame where the first should be */
    bool unreadable;          /* the device refused to show whether there is anything */
    bool sealed;              /* it has its footer */
    bool accounted;           /* the above is known: from a footer, or by walking it */
    bool busy;                /* being sealed by the helper, or losing its raw file: retention waits */
    bool twin;                /* a compressed twin is there, */
    bool raw_gone;            /* and is all there is */
    bool twin_refused;        /* making or checking it failed: not before the next opening */
    bool retired;             /* no longer in the list */
    enum yd__keys_state keys; /* its name index */
    uint64_t twin_size;       /* on disk, also of a damaged one that is to be made anew; 0: there is none */
    uint64_t keys_size;       /* of the name index's file; 0: none */
    uint64_t durable_end;     /* bytes of the active file that are on the device */
    struct yd__index index;   /* until it is sealed */
    struct yd_file *file;     /* until it is sealed */
};
/* What its files take of log->bytes. */
static inline uint64_t yd__segment_bytes(const struct yd__segment *segment)
{
    return (segment->raw_gone ? 0 : segment->file_size) + segment->twin_size + segment->keys_size;
}
struct yd__segment *yd__segment_create(uint64_t base);
void yd__segment_unref(struct yd__segment *segment);
void yd__segment_reset(struct yd__segment *segment); /* before it is counted anew, from its first frame */
void yd__segment_path(char *to, size_t size, const char *dir, uint64_t base, const char *suffix);
bool yd__segment_name(const char *name, const char *suffix, uint64_t *ret_base); /* does this name have the form? */
/* Records are missing behind what is counted: any name and any kind may have been there. Telling it goes by itself
 * where the next batch to be counted does not begin there. */
void yd__segment_unknown(struct yd__segment *segment);
/* Counts a frame at the end of the segment; names: which are in it. Only YD_ENOMEM, of the index; then nothing changed.
 */
int yd__segment_account(struct yd__segment *segment, const struct yd_header *header, uint64_t offset,
                        const struct yd__names *names);
uint32_t yd__digest(uint32_t digest, const struct yd_header *header); /* of all headers: what a footer holds */
/* Room in the index for so many more frames: counting them cannot fail then. Under mutex. */
int yd__segment_room(struct yd__segment *segment, uint32_t count, uint64_t bytes);
void yd__segment_digest(struct yd__segment *segment, const struct yd_header *header); /* goes with it; under io alone */
struct yd__head_what {
    uint64_t base, log_id, generation;
    uint32_t epoch, prev_crc;
    int64_t now;
    const char *stream;
};
/* The head's bytes, malloc'd, a multiple of 4 KiB. */
int yd__head_make(const struct yd__head_what *what, const struct yd__producers *producers, char **ret_bytes,
                  uint32_t *ret_size);
/* Reads and checks a head, malloc'd. YD_ECORRUPT: no good head there; YD_EVERSION. */
int yd__head_read(struct yd_file *file, struct yd__segment_head **ret_head);
/* The footer at the file's very end; with its entries when ret_entries is given (malloc'd). YD_ENOENT: not sealed. */
int yd__footer_read(struct yd_file *file, uint64_t log_id, struct yd__footer *ret,
                    struct yd__index_entry **ret_entries);
void yd__footer_make(const struct yd__segment *segment, uint64_t log_id, struct yd__footer *ret);
void yd__segment_from_footer(struct yd__segment *segment, const struct yd__footer *footer);

/* The segment's bytes, for reading: its file, or else its compressed twin (twin.c). YD_ECORRUPT: the twin is all there
 * is, and nothing of it can be read. */
int yd__segment_open(struct yd_fs *fs, const char *dir, uint64_t base, struct yd_file **ret_file);

/* ---- scan.c: reading frames out of a file that nobody vouches for ---- */
struct yd__chunk {
    atomic_uint refs;
    uint64_t offset;
    size_t size, room;    /* room: of memory of ours */
    char *data;           /* 64-byte aligned, so that frames in it are */
    struct yd_fs *mapped; /* data is the file itself, mapped: no memory of ours */
};
void yd__chunk_unref(struct yd__chunk *chunk); /* NULL is quiet */
struct yd__window {
    struct yd_file *file;
    size_t step; /* bytes to read at least */
    struct yd__chunk *chunk;
    bool map;        /* mapped instead of read: only inside what positions cover */
    bool unreadable; /* some block read as zeros because the device refused it */
};
void yd__window_init(struct yd__window *window, struct yd_file *file, size_t step);
void yd__window_fini(struct yd__window *window);
void yd__window_forget(struct yd__window *window); /* what was read may be old */
/* The bytes at `offset`, a multiple of 64; fewer than `size` only at the end of the file. Blocks that the device
 * refuses read as zeros, which no frame is, unless it refuses all of them: YD_EIO. */
int yd__window_get(struct yd__window *window, uint64_t offset, size_t size, const char **ret_bytes, size_t *ret_size);

enum yd__found {
    YD__FOUND_FRAME,
    YD__FOUND_BAD_BODY, /* the header is good: how far it goes is known */
    YD__FOUND_BAD,      /* also: what follows the last frame of a sealed segment */
    YD__FOUND_ZERO,     /* also: the end of the file */
};
/* What is at `offset`? Checks the header, its log_id and, when check_body, the body's checksum. Returns an enum
 * yd__found, or an error of reading. The header is copied to *ret_header for FRAME and BAD_BODY. */
int yd__frame_at(struct yd__window *window, uint64_t offset, uint64_t log_id, bool check_body,
                 struct yd_header *ret_header);
/* The next good frame at or behind `offset` and below `end` with seqno_min <= base_seqno < seqno_max: 0, or YD_ENOENT.
 */
int yd__frame_resync(struct yd__window *window, uint64_t offset, uint64_t end, uint64_t log_id, uint64_t seqno_min,
                     uint64_t seqno_max, uint64_t *ret_offset, struct yd_header *ret_header);
bool yd__all_zero(const void *bytes, size_t size);

/* ---- control.c: the control page ---- */
int yd__control_open(struct yd_log *log, bool *ret_new, struct yd_trail *trail);
void yd__control_close(struct yd_log *log);
/* The latest good checkpoint of a page; *ret_sure: the other slot proves that it is the latest. YD_ENOENT: none. */
int yd__control_latest(const struct yd__control *control, struct yd__checkpoint *ret, bool *ret_sure);
int yd__control_checkpoint(struct yd_log *log, unsigned flags); /* of log->checkpoint, numbered and stamped; synced */
void yd__control_ring(struct yd_log *log);                      /* wakes whoever sleeps on the page */
void yd__control_publish(struct yd_log *log);                   /* the live words, from the positions; under mutex */
/* A page for files that somebody put there: up to this checkpoint, not closed in order, nobody's. */
int yd__control_make(struct yd_fs *fs, const char *dir, const struct yd__checkpoint *what);
void yd__writer_identity(int64_t *ret_pid, uint64_t *ret_start, uint8_t boot_id[16]);
bool yd__writer_alive(const struct yd__control *control);

/* ---- recover.c, flush.c, space.c, maintain.c ---- */
int yd__recover(struct yd_log *log, bool fresh, struct yd_log_recovery *ret, struct yd_trail *trail);
int yd__list_segments(struct yd_fs *fs, const char *dir, uint64_t **ret_bases,
                      uint32_t *ret_count); /* sorted, malloc'd */
/* A copy of a file's bytes, synced, under its own name. Without ret_crc, what cannot be read becomes zeros. */
int yd__copy_range(struct yd_fs *fs, struct yd_file *file, uint64_t from, uint64_t to, const char *path,
                   uint32_t *ret_crc);
int yd__quarantine(struct yd_log *log, struct yd_file *file, uint64_t base, uint64_t from, uint64_t to,
                   const char *why);
int yd__flush_round(struct yd_log *log, bool *ret_changed); /* with io held */
void yd__evict(struct yd_log *log);                         /* releases what memory keeps beyond its limits */
uint64_t yd__readers_taken(const struct yd_log *log); /* what all readers in this process have passed; under mutex */
int yd__checkpoint_now(struct yd_log *log, unsigned flags); /* with io held, nothing dirty */
void yd__fail(struct yd_log *log, int error);               /* final: without mutex */
void yd__moved(struct yd_log *log); /* positions moved, or it failed: tells the runner and all watches; without mutex */
int yd__prepare(struct yd_log *log); /* makes the next segment's space, when none is there */
/* Space for a segment, still called next.tmp; whatever comes of it, yd__space_named must follow. */
int yd__take_space(struct yd_log *log, uint64_t size_min, struct yd_file **ret_file, uint64_t *ret_size);
void yd__space_named(struct yd_log *log);
int yd__seal_leftovers(struct yd_log *log);
int yd__retain(struct yd_log *log); /* with io held */
void yd__ballast_open(struct yd_log *log);
void yd__ballast_take(struct yd_log *log); /* when there is room for it twice; with io held */
bool yd__ballast_give(struct yd_log *log); /* true: there is more room now; any thread */
int yd__index_save(struct yd_log *log);    /* NAME.yidx of the active segment; with io held */
int yd__maintain_round(struct yd_log *log);
void yd__report_rot(const struct yd_log_reader *reader, uint64_t from, uint64_t to);

uint64_t yd__log_end(const struct yd_log *log, enum yd_ack level); /* of a reader at this level; under mutex */

/* ---- forgotten.c: under mutex ---- */
struct yd__tomb;
void yd__tombs_note(struct yd_log *log, struct yd__tomb *tombs, uint64_t base); /* takes the list over */
void yd__tombs_cut(struct yd_log *log, uint64_t seqno);                         /* from there on nothing is there */
/* Without mutex: may one cover something of a batch with this header; and, by the names in its body, which nobody has
 * checked? And yd_log_hidden, of a view. */
bool yd__tombs_reach(struct yd_log *log, enum yd_ack level, const struct yd_header *header);
bool yd__tombs_match(struct yd_log *log, enum yd_ack level, const struct yd_header *header, const char *body);
int yd__tombs_hidden(struct yd_log *log, enum yd_ack level, const struct yd_header *header, const struct yd_view *view,
                     uint8_t **ret_keep, uint32_t *ret_hidden);

/* ---- cursor.c ---- */
int yd__cursor_read(struct yd_fs *fs, const char *dir, const char *name, struct yd__cursor_file *ret);
uint32_t yd__cursor_crc(const struct yd__cursor_file *cursor);
struct yd__cursor_known {
    char *name;
    struct yd_cursor cursor;
};
int yd__cursors_load(struct yd_log *log);
/* The lowest that still holds retention, and whose it is; UINT64_MAX, NULL: nobody's. Under mutex. */
uint64_t yd__cursors_oldest(struct yd_log *log, int64_t now, const char **ret_who);

struct yd__rot {
    uint64_t base, from, to;
};

/* ---- follow.c, replica.c, cut.c, promote.c ---- */
/* A folder that nobody has open; as a follower its epoch is not raised. fs is not NULL. */
int yd__log_open_quiet(struct yd_fs *fs, const char *dir, bool follower, struct yd_log **ret_log,
                       struct yd_trail *trail);
int yd__head_check(const void *bytes, size_t size, struct yd__segment_head **ret_head); /* malloc'd, as yd__head_read */
int yd__begin_with(struct yd_log *log, const struct yd__segment_head *head, uint64_t size_min); /* flush.c; under io */
void yd__drop_empty(struct yd_log *log);
int yd__grow_active(struct yd_log *log, uint64_t size); /* the active segment's file has room for so much more; io */
void yd__epoch_add(struct yd__checkpoint *checkpoint, uint32_t epoch, uint64_t start);
void yd__epoch_note(struct yd__checkpoint *checkpoint, uint32_t epoch, uint64_t start);
uint64_t yd__epoch_start(const struct yd__checkpoint *checkpoint, uint32_t epoch); /* UINT64_MAX: not in it */
uint32_t yd__epoch_at(const struct yd__checkpoint *checkpoint, uint64_t end);      /* of the batch that ends there */
struct yd_log_replica {
    struct yd_log *log;
    struct yd_log_replica *next, **at; /* under mutex from here */
    uint64_t durable;                  /* everything below is on its device */
    uint64_t target;                   /* our durable position at target_at */
    int64_t target_at, caught_up_at;   /* it had all that we had then */
    bool in_sync;
    bool gone; /* the same copy has joined again */
    uint32_t copy;
    char id[64];
};
int yd__flush_all(struct yd_log *log); /* follow.c: with io held: all that was queued is durable */
int yd__source_file(struct yd_log *log, uint64_t base, struct yd_file **ret_file);
bool yd__replicas_update(struct yd_log *log); /* under mutex: true when something about them changed */

/* One of those who want to know that positions moved (log.c). */
struct yd_log_watch {
    struct yd_log *log;
    void (*moved)(void *arg);
    void *arg;
    struct yd_log_watch *next, **at;
};

struct yd_log {
    uint32_t magic;
    atomic_uint refs;              /* the opener has one, each reader has one; the registry, servers */
    struct yd_log_options options; /* defaults filled in; dir and stream are ours */
    struct yd_fs *fs;
    char *dir, *stream;

    struct yd_lock mutex, io;
    pthread_cond_t work;    /* the log's thread sleeps on it */
    pthread_cond_t moved;   /* yd_log_wait */
    pthread_cond_t chores;  /* the helper */
    pthread_cond_t squeeze; /* the compression thread */
    uint32_t waiters;
    bool leading; /* a waiter flushes for all */

    /* under mutex */
    struct yd__tail tail;
    struct yd_log_reader *readers;  /* in this process: what they have not taken is kept in memory the longest */
    struct yd__producers producers; /* as appended */
    uint64_t first, written, durable;
    uint64_t log_id;
    uint32_t epoch, last_crc; /* chain as appended */
    uint32_t last_epoch;      /* of the last batch as appended */
    bool deposed;             /* somebody was promoted over us */
    uint32_t fence;           /* the newest epoch heard of */
    uint32_t leader_epoch;    /* of a follower: of the one who sends now */
    struct yd_log_replica *replicas;
    uint64_t replicated;
    unsigned in_sync;
    _Atomic int failed; /* 0, then an error for good */
    bool no_space;
    bool closed;                   /* takes and gives nothing more */
    bool cutting;                  /* a follower is being cut back: what its files show is no rot */
    bool gone;                     /* the files are closed too; also under io */
    struct yd__segment **segments; /* oldest first */
    uint32_t segment_count, segment_capacity;
    struct yd__segment *active; /* the last one, when it takes frames; NULL: the next flush begins one */
    uint64_t bytes;             /* of all segments' files, twins and name indexes too */
    uint64_t checkpointed;      /* the segment of the latest checkpoint: recovery begins there */
    struct yd__cursor_known *cursors;
    uint32_t cursor_count;
    struct yd_lock cursor_lock; /* before mutex: held while one is saved or removed */
    struct yd__rot rots[64];    /* told by readers, to be copied to quarantine */
    uint32_t rot_count;
    uint64_t rotten_batches;
    uint64_t healed; /* damaged frames that readers were given from a twin */

    /* space ahead: under mutex; the helper or a flush fills it */
    struct yd_lock twin_lock;          /* behind io: held while something is compressed */
    struct yd__compressor *compressor; /* NULL: no twins */
    struct yd_file *prepared;
    uint64_t prepared_size;
    bool preparing, prepare_wanted;
    uint64_t segment_size;  /* of the next one */
    uint64_t group_average; /* bytes, decides zero-writing or fallocate */
    bool ballast;           /* the file is there, whole */
    bool ballast_moves;     /* somebody makes it or takes it away */
    char held_by[64];       /* who keeps retention from what is over; empty: nobody */
    bool held_told;         /* under io: somebody, as watches were told the last time */

    /* what readers leave out (forgotten.c) */
    struct yd__tomb *_Atomic tombs; /* newest noted first; grows under mutex, is walked without */
    uint64_t tombs_from;            /* under mutex: all at or above this seqno are in it */
    struct yd_lock tomb_lock;       /* before mutex: held while files are searched for them */

    /* under io */
    struct yd__producers written_producers; /* as in the files: what heads and indexes may say */
    bool dirty;                             /* the active file has writes that are not synced */
    struct yd_file *control_file;
    struct yd__control *control;
    struct yd__checkpoint checkpoint; /* the latest */
    uint64_t checkpoint_bytes;        /* written since */
    uint64_t index_saved;             /* data_end of the last saved index */
    char *staging;
    struct yd_batch **group;
    struct yd__names *group_names;
    struct iovec *parts;

    /* threads */
    pthread_t thread, helper, squeezer;
    atomic_bool started; /* asked without the lock, too: a round of another thread may outlive the log's own */
    bool stopping, sleeping, helping, squeezing;
    atomic_uint queued_hint; /* appends since; lets the log's thread look before it sleeps */

    void (*progress)(void *arg);
    void *progress_arg;

    int64_t age, age_mono; /* with io: the time that age is judged by, and when that was; 0: not looked at yet */

    struct yd_lock watch_lock; /* held while they are called: behind io, before mutex */
    struct yd_log_watch *watches;

    /* under io; read by anyone (waits.c) */
    struct yd_histogram writes, syncs;
    _Atomic int64_t disk_since;
};

#define YD__LOG_MAGIC UINT32_C(0x59444c47)

static inline int64_t yd__log_now(struct yd_log *log)
{
    return log->options.wall(log->options.clock_arg);
}

/* The time that lies `ns` before: at the end of time no further, as durations of centuries may be given. */
static inline int64_t yd__log_ago(int64_t now, int64_t ns)
{
    int64_t then;
    return __builtin_sub_overflow(now, ns, &then) ? INT64_MIN : then;
}
int yd__log_find(const struct yd_log *log, uint64_t seqno); /* with mutex: index of the segment that holds it, or -1 */
void yd__disk_begin(struct yd_log *log);                    /* with io: around what waits for the disk */
void yd__disk_end(struct yd_log *log, struct yd_histogram *spent);
int yd__log_add_segment(struct yd_log *log, struct yd__segment *segment);
uint64_t yd__epoch_end(const struct yd__checkpoint *checkpoint, uint32_t epoch); /* where it was cut; UINT64_MAX */

#endif
