/* <yarder/log.h>: a stream partition: segments on disk, one writer with group commit, readers, cursors, retention,
 * followers. pkg-config: yarder-log; a program that links it needs libc, zstd and lz4, and no daemon.
 *
 *   append (any thread)        log thread                         readers (any thread)
 *   stamp header, queue  -->   write all that waits, one sync --> memory tail while caught up, else the files
 *        |                          |                                  up to their read level
 *        memory position            written, durable positions + progress callback
 *
 * The log does its I/O only in yd_log_flush (and open, retain, close), which blocks: its own thread calls it
 * (yd_log_start), or a simulation does. Every other call is short and never touches a disk, but for reading cold
 * batches, which says so beforehand (yd_log_reader_cold).
 * A failed sync is final: positions stop, appends are refused with YD_EREADONLY until the log is opened again.
 * No space when taking space is not that: appends stay queued up to queue_bytes_max, then YD_EFULL; it is retried. */
#ifndef YARDER_LOG_H
#define YARDER_LOG_H

#include <yarder/batch.h>
#include <yarder/error.h>

struct yd_fs; /* the disk: NULL everywhere below means the real one; io/file.h has the seam, for simulations */

enum yd_ack { YD_ACK_MEMORY = 1, YD_ACK_WRITTEN, YD_ACK_DURABLE, YD_ACK_REPLICATED };
const char *yd_ack_name(enum yd_ack level);

struct yd_log;

struct yd_log_options {
    struct yd_fs *fs;
    const char *dir;               /* the partition's folder; made when missing */
    const char *stream;            /* "metrics/0": kept in segment headers and checked */
    uint64_t (*random)(void *arg); /* for log_id; NULL: the kernel's */
    int64_t (*wall)(void *arg);    /* the server's clock, ns since 1970: append_time, retention; NULL: the kernel's */
    /* ns, never steps: bounds what a wall clock that steps ahead can make retention do. NULL: the kernel's; with a wall
     * clock of your own and none of these, nothing bounds it. */
    int64_t (*mono)(void *arg);
    void *clock_arg;
    uint64_t segment_size_min, segment_size_max; /* 0: 1 MiB, 256 MiB; grows with the stream's rate */
    uint64_t
        memory_bytes_max;     /* tail kept for readers that are behind; 0: 64 MiB. Of what they have taken: an eighth */
    uint64_t queue_bytes_max; /* appended and not yet written; 0: 64 MiB */
    int64_t retain_ns;        /* 0: for ever. By append time, whole segments */
    uint64_t retain_bytes;    /* 0: no limit */
    int64_t producer_expiry_ns; /* how long a silent producer is remembered; 0: 7 days */
    int64_t cursor_expiry_ns;   /* how long an unused cursor holds retention; 0: 7 days */
    bool readonly;              /* no lock, no recovery, nothing written: for tools */

    /* Retention also waits for these cursors, whether they were ever saved, and however old they are: names, NULL ends
     * the list. Kept by the log as a copy. */
    const char *const *hold;
    /* Given back to the file system when it is full, so that what is being written can be ended in order and retention
     * can run; taken again when there is room for it twice. 0: none. */
    uint64_t ballast_bytes;

    /* Compressed twins (twin_format.h): written behind the writer while the pages are warm; a raw file goes once its
     * twin was verified by decompressing it and its youngest record was appended this long ago. 0: no twins;
     * 1: as soon as it is sealed. */
    int64_t compress_after_ns;
    int compress_level; /* of zstd; 0: 3 */
    /* An index from name to seqnos for each sealed segment (keys_format.h), built in the background, disposable. */
    bool index_names;

    /* ---- replicas ---- */
    /* A follower: takes no appends of producers (YD_EPERM) but yd_log_follow_…; opening it never raises the epoch. */
    bool follower;
    /* Of a leader: how many followers must have a batch durably before it is `replicated`; 0: that is `durable`. */
    unsigned replicas;
    int64_t replica_lag_ns; /* a follower that is further behind leaves the set; 0: 10 s */
    unsigned member;        /* place in the declared order, 0 to 15: makes the epochs of a promotion its own */
};

struct yd_log_position {
    uint64_t first;   /* oldest seqno kept */
    uint64_t memory;  /* next seqno to be given: everything below is in memory at least */
    uint64_t written; /* everything below is with the kernel */
    uint64_t durable; /* everything below is on the device */
    uint32_t epoch;
    uint64_t log_id;
    int failed;     /* 0, or YD_EIO after a failed sync: final */
    bool no_space;  /* waiting for room on the device */
    uint64_t bytes; /* on disk */
    uint64_t segments;
    uint64_t queued_bytes;
    uint64_t rotten; /* damaged ranges that readers met since opening */
    uint64_t healed; /* damaged batches of a segment's file that readers were given from its twin, since opening */

    uint64_t replicated; /* everything below is durable here and on `replicas` followers; with none: durable */
    unsigned in_sync;    /* followers in the set now. Fewer than `replicas`: nobody should wait for `replicated` */
    unsigned replicas;
    bool follower, closed;
    bool deposed; /* somebody was promoted over us: read-only until opened as a follower */

    /* The cursor for whose sake more is kept than `retain_…` says, at the last look; empty: none. Cut to fit. */
    char held_by[64];
    uint64_t ballast; /* bytes set aside now; 0: none, or given back */
    /* The segment, by its first seqno, and the place in it where `written` ends: for who has the files. 0, 0: none. */
    uint64_t segment, offset;
};

/* What opening found and did. */
struct yd_log_recovery {
    uint64_t batches_checked, torn_bytes, rotten_batches;
    bool clean;        /* closed in order the last time */
    bool epoch_raised; /* the end was cut: readers that were ahead are moved back */
    uint64_t cut_to;   /* the seqno at which the stream goes on */
};

int yd_log_open(const struct yd_log_options *options, struct yd_log **ret_log, struct yd_log_recovery *ret_recovery,
                struct yd_trail *trail); /* YD_ELOCKED, YD_ECORRUPT, YD_EVERSION, YD_EIO… */
/* Flushes what is queued when it can, seals nothing, checkpoints, closes. Returns the flush's result. With other
 * references out, appends and readers answer YD_ECLOSED from now on, and the memory goes with the last of them. */
int yd_log_close(struct yd_log *log);
/* For who uses a log that another closes: the server. A reference keeps the memory, not the files. Readers have one. */
struct yd_log *yd_log_ref(struct yd_log *log);
void yd_log_unref(struct yd_log *log); /* NULL is quiet */

int yd_log_start(struct yd_log *log); /* the log's own thread; stopped by close */
/* One round of group commit: writes all that waits (up to 8 MiB), syncs once, publishes the positions, calls progress.
 * Returns 0, YD_ENOSPC (to be tried again), or YD_EREADONLY for good. Any thread that may block; rounds exclude each
 * other. */
int yd_log_flush(struct yd_log *log);
/* Blocks until everything below `seqno` has the level (DURABLE or WRITTEN), flushing by itself when nobody else does:
 * many waiters share one sync. 0, YD_EREADONLY, YD_ENOSPC (still queued), YD_EAGAIN (seqno was not appended yet). */
int yd_log_wait(struct yd_log *log, uint64_t seqno, enum yd_ack level);
/* Checkpoint when idle, retention, sealing leftovers: about once a second. Blocks. The log's thread does it by itself.
 */
int yd_log_maintain(struct yd_log *log);

/* `moved` is called after written, durable, replicated, failed, no_space or closed changed, in the thread that flushed,
 * which may hold the log's I/O: it must not flush, maintain, wait, close, watch or unwatch. Any number; any thread, any
 * time. After yd_log_unwatch returns no call is under way or will come. */
struct yd_log_watch;
int yd_log_watch(struct yd_log *log, void (*moved)(void *arg), void *arg, struct yd_log_watch **ret_watch);
void yd_log_unwatch(struct yd_log_watch *watch); /* NULL is quiet; before the last yd_log_unref */
/* The one who runs the log, as a watch that lives as long. Set before the first append and before yd_log_start. */
void yd_log_on_progress(struct yd_log *log, void (*progress)(void *arg), void *arg);
void yd_log_position(struct yd_log *log, struct yd_log_position *ret); /* any thread */

struct yd_log_appended {
    uint64_t first, next; /* its records have [first, next) */
    bool duplicate;       /* a re-sent range that is in the stream already: first, next tell where its producer is */
};
/* Appends; the log takes its own reference, the caller keeps his. In memory on return; written and durable when the
 * positions pass `next`. header.producer_{id,epoch,seq}, when id != 0: a range known already is a duplicate (returns 0,
 * nothing written), an older producer epoch is YD_EEPOCH. With expect_prev_seq >= 0, the producer's last seq must be
 * exactly that (0 for one that is not known), else YD_EGAP. A producer's seq goes on across its epochs: the epoch only
 * fences older incarnations. A duplicate returns where the producer's last known batch is. expect_seqno: what a sole
 * producer says the first seqno must be, UINT64_MAX for "any"; YD_EGAP otherwise. YD_EFULL: the queue is full.
 * YD_EREADONLY. Any thread. */
int yd_log_append(struct yd_log *log, const struct yd_batch *batch, int64_t expect_prev_seq, uint64_t expect_seqno,
                  struct yd_log_appended *ret);
/* The last {epoch, seq} known of a producer: YD_ENOENT when unknown or expired. */
int yd_log_producer(struct yd_log *log, uint64_t id, uint32_t *ret_epoch, uint64_t *ret_seq);

/* ---- reading ---- */
enum yd_log_from { YD_FROM_OLDEST, YD_FROM_TAIL, YD_FROM_SEQNO, YD_FROM_TIME };
struct yd_log_start {
    enum yd_log_from from;
    uint64_t seqno;    /* FROM_SEQNO */
    int64_t time_ns;   /* FROM_TIME: the first batch that may hold a record of this time or later */
    uint32_t epoch;    /* with FROM_SEQNO from a cursor: of the cursor; 0: not checked */
    enum yd_ack level; /* read level; 0: DURABLE */
    /* Skips what cannot hold a match: segments by their footer and name index, batches by their header and names. What
     * is given may still hold records that do not match. Skipping is no gap. */
    const char *names; /* a pattern, <yarder/name.h>; NULL: all. Copied */
    uint32_t kinds;    /* YD_KIND_BITs; 0: all */
    bool copy;         /* read with pread always: off local file systems, where mapping is not safe. Found out by itself
                          for NFS, FUSE (sshfs), CIFS and 9p */
};
struct yd_log_gap {
    uint64_t from, to;  /* records [from, to) are not there: rot, or retention passed the reader */
    const char *reason; /* "rotten", "retention", "cut back" (to < from: the reader was ahead of a cut end) */
};
struct yd_log_reader;
int yd_log_reader_open(struct yd_log *log, const struct yd_log_start *start, struct yd_log_reader **ret_reader);
/* The files alone, without the writer's memory: of a stopped stream, or of another process' live one (up to what its
 * control page says is committed; level WRITTEN or DURABLE). */
int yd_log_reader_open_dir(struct yd_fs *fs, const char *dir, const struct yd_log_start *start,
                           struct yd_log_reader **ret_reader, struct yd_trail *trail);
void yd_log_reader_close(struct yd_log_reader *reader);
/* The next whole batch (its reference is the caller's). If the start seqno lies inside a batch, that whole batch comes
 * first: skip by base_seqno. YD_EAGAIN: nothing more at this level yet. YD_EGAP: *ret_gap tells, the next call goes on
 * behind it. YD_EIO. One thread per reader. */
int yd_log_reader_next(struct yd_log_reader *reader, struct yd_batch **ret_batch, struct yd_log_gap *ret_gap);
bool yd_log_reader_cold(struct yd_log_reader *reader); /* would `next` touch a file? then call it on a file thread */
/* Sleeps until `next` may have something, without polling: on the futex word of the control page, for a folder as for
 * an open log. 0: look again; YD_ETIMEOUT; YD_ECANCELED: yd_log_reader_wake was called. timeout_ns < 0: for ever. A
 * writer that dies and comes back is followed: a wait is bounded inside by 30 s, and looks for it then. */
int yd_log_reader_wait(struct yd_log_reader *reader, int64_t timeout_ns);
void yd_log_reader_wake(struct yd_log_reader *reader); /* any thread, a signal handler too */
/* Records that were passed over unread, because nothing in them can match start->names and start->kinds. */
uint64_t yd_log_reader_passed(const struct yd_log_reader *reader);
uint64_t yd_log_reader_seqno(const struct yd_log_reader *reader); /* of the next record it would give; FROM_TIME:
                                                                   * known after the first `next` */

/* ---- cursors: a reader's acknowledged position, kept durably (cursors/NAME) ---- */
struct yd_cursor {
    uint64_t seqno; /* everything below is acknowledged */
    uint32_t epoch;
    int64_t saved_at;
};
int yd_log_cursor_load(struct yd_log *log, const char *name, struct yd_cursor *ret); /* YD_ENOENT */
/* Saves min(seqno, durable) with the epoch. Blocks: from a file thread. */
int yd_log_cursor_save(struct yd_log *log, const char *name, uint64_t seqno);
int yd_log_cursor_remove(struct yd_log *log, const char *name);
int yd_log_cursor_list(struct yd_fs *fs, const char *dir,
                       int (*visit)(void *arg, const char *name, const struct yd_cursor *cursor), void *arg);

/* ---- following: one leader's bytes, again, here (a log opened with options.follower) ----
 *
 * The follower's files are the leader's, byte for byte: the head of each segment, every frame as stamped there, and
 * what sealing puts behind. The one who calls (serve/follower.c) moves the bytes; this half checks them all. */
struct yd_log_place {         /* where a log ends; with last_crc two logs that agree here agree on everything before */
    uint64_t log_id;          /* 0: nothing yet */
    uint64_t seqno;           /* the next one */
    uint64_t segment, offset; /* in which it will be, and where; segment UINT64_MAX: none was begun */
    uint32_t epoch, last_crc; /* of the last batch */
    uint32_t known_epoch;     /* the newest heard of, also by being fenced */
    uint32_t copy;            /* a random number of this copy's own, kept in its folder; 0: none */
    uint64_t epoch_start;     /* where batches of `epoch` begin here; UINT64_MAX: not known */
};
void yd_log_place(struct yd_log *log, struct yd_log_place *ret); /* any thread; of what is queued too */
/* The leader of this epoch sends from now on. YD_EEPOCH: a newer one is known; he is deposed. Blocks. */
int yd_log_follow_leader(struct yd_log *log, uint32_t epoch);
/* The next segment begins with these head bytes and has room for `size` bytes. The log_id is taken from the first. */
int yd_log_follow_segment(struct yd_log *log, const void *head, size_t head_size, uint64_t size);
/* The next batch as the leader stamped it: checked against the chain, seqno, log_id and epoch. YD_EGAP, YD_ECORRUPT,
 * YD_EEPOCH (older than what is here: from a deposed leader), YD_EFULL (flush first). Durable when the position says.
 */
int yd_log_follow_batch(struct yd_log *log, const struct yd_batch *batch);
/* What the leader's sealing put behind the frames of the last segment: index, footer and all. Blocks. */
int yd_log_follow_seal(struct yd_log *log, uint64_t base, const void *bytes, size_t size);
/* Told to cut back, or to begin anew (what comes next is retired there): as the two for folders below, while it is
 * open. Positions go back; readers that were further get a gap "cut back". Blocks. */
int yd_log_follow_cut(struct yd_log *log, uint64_t seqno, uint64_t *ret_seqno);
int yd_log_follow_anew(struct yd_log *log);
/* The leader's half: bytes of a segment from `offset` on, at most to what is written, frames whole; which part of the
 * file they are. YD_EAGAIN: nothing more yet. YD_ENOENT: retired. Blocks when cold. */
enum yd_log_part { YD_LOG_HEAD, YD_LOG_FRAMES, YD_LOG_SEAL };
struct yd_log_source; /* one for each follower; one thread */
int yd_log_source_open(struct yd_log *log, const struct yd_log_place *place, struct yd_log_source **ret_source);
int yd_log_source_next(struct yd_log_source *source, enum yd_log_part *ret_part, uint64_t *ret_base,
                       uint64_t *ret_segment_size, const void **ret_bytes, size_t *ret_size); /* until the next call */
bool yd_log_source_cold(struct yd_log_source *source);
void yd_log_source_close(struct yd_log_source *source);
/* Is the follower's place on this log's chain? 0; YD_EGAP: it diverged, *ret_common is the seqno to cut back to before
 * it asks again; YD_ENOENT: what comes next was retired, *ret_common is the oldest seqno; YD_EEPOCH: its epoch is newer
 * than ours: we are deposed. */
int yd_log_follow_check(struct yd_log *log, const struct yd_log_place *place, uint64_t *ret_common);

/* A follower as the leader sees it: joins the set when it has caught up, leaves it when it is replica_lag_ns behind. Of
 * one copy (yd_log_place; 0: of one id) only the one that joined last counts: a connection may outlive its follower. */
struct yd_log_replica;
int yd_log_replica_join(struct yd_log *log, const char *id, uint32_t copy, struct yd_log_replica **ret_replica);
void yd_log_replica_durable(struct yd_log_replica *replica, uint64_t seqno); /* everything below is durable there */
void yd_log_replica_leave(struct yd_log_replica *replica);
/* Somebody with this epoch was promoted, or is about to be: when it is newer, appends end with YD_EEPOCH and `deposed`
 * is set, and a follower takes nothing of an older leader any more. 0 only when that outlives a crash; else it holds in
 * memory, and why: YD_EREADONLY, YD_ENOSPC, YD_ECLOSED, YD_EPERM (opened for reading). Blocks. */
int yd_log_fence(struct yd_log *log, uint32_t epoch);

/* How far a copy is: what is promoted must be no nearer than any other, or what was `replicated` may be lost. */
struct yd_log_end {
    uint64_t log_id;
    uint64_t durable;     /* the seqno behind the last durable record */
    uint32_t last_epoch;  /* of the last durable batch; 0: it has none */
    uint32_t known_epoch; /* the newest heard of, also by being fenced: the epoch of a promotion must be above it */
};
void yd_log_end(struct yd_log *log, struct yd_log_end *ret); /* any thread */
/* Below 0: b is further, has more of what was replicated; 0: as far; above 0: a is further. Copies of one log_id. */
int yd_log_end_compare(const struct yd_log_end *a, const struct yd_log_end *b);
uint32_t yd_log_next_epoch(uint32_t known, unsigned member); /* (term + 1) << 16 | member << 12 */

/* On the folder of a log that nobody has open: */
/* Cuts back to a seqno at a batch's edge at or below it; what is cut is kept in quarantine/. *ret_seqno: the edge. */
int yd_log_cut_dir(struct yd_fs *fs, const char *dir, uint64_t seqno, uint64_t *ret_seqno, struct yd_trail *trail);
/* Begins anew: all that is there goes to quarantine/, and the folder is a follower's that has nothing yet. For one
 * whose next batches its leader has retired. */
int yd_log_anew_dir(struct yd_fs *fs, const char *dir, struct yd_trail *trail);
/* Recovers it as the next opening would, so that its end is exact also after a crash. YD_EBUSY: somebody has it open.
 */
int yd_log_end_dir(struct yd_fs *fs, const char *dir, struct yd_log_end *ret, struct yd_trail *trail);
/* Makes it the leader's, with an epoch above all it has seen and above `above`, the newest that any other copy knows
 * (0: none); durable on return. */
int yd_log_promote_dir(struct yd_fs *fs, const char *dir, uint32_t above, unsigned member, uint32_t *ret_epoch,
                       struct yd_trail *trail);

/* ---- the streams open in this process, by "name/partition": how a server finds them ---- */
struct yd_streams;
int yd_streams_create(struct yd_streams **ret_streams);
void yd_streams_destroy(struct yd_streams *streams);                                    /* NULL is quiet */
int yd_streams_put(struct yd_streams *streams, const char *stream, struct yd_log *log); /* YD_EEXIST */
void yd_streams_remove(struct yd_streams *streams, const char *stream); /* before it is closed; unknown is quiet */
struct yd_log *yd_streams_find(struct yd_streams *streams, const char *stream); /* a reference, or NULL. Any thread */
int yd_streams_list(struct yd_streams *streams, int (*visit)(void *arg, const char *stream, struct yd_log *log),
                    void *arg); /* a copy is visited, outside the lock */

/* ---- tools: on a live folder or a copied one, from any process ---- */
struct yd_log_stat {
    char stream[256];
    uint64_t first, written, durable, bytes, segments, log_id;
    uint32_t epoch;      /* the newest heard of */
    uint32_t last_epoch; /* of the last durable batch */
    bool exact;          /* `durable` and `last_epoch` are so: nobody writes it, and it was closed cleanly */
    enum yd_log_role { YD_LOG_LEADER, YD_LOG_FOLLOWER, YD_LOG_DEPOSED } role;
    int64_t time_min, time_max;
    bool live; /* somebody writes it now */
    int64_t writer_pid;
    uint64_t twins, twin_bytes;        /* compressed twins, and what they take of `bytes` */
    char key_min[256], key_max[256];   /* least and greatest name inside, by bytes, the first 64 of each;
                                          empty: not known, as with batches of more than 1,024 names */
    double records_per_s, bytes_per_s; /* over the last minute of appends, by append times; 0 when unknown */
};
int yd_log_stat_dir(struct yd_fs *fs, const char *dir, struct yd_log_stat *ret, struct yd_trail *trail);
struct yd_log_verify_report {
    uint64_t segments, batches, records, bytes, bad_batches, gaps, index_errors, twins, bad_twins;
};
/* Reads every byte up to what is committed; `found` is told each fault. 0, or YD_ECORRUPT when anything is wrong. */
int yd_log_verify_dir(struct yd_fs *fs, const char *dir, struct yd_log_verify_report *ret,
                      void (*found)(void *arg, const char *file, uint64_t offset, const char *what), void *arg);

/* Names → seqnos by the name indexes, and by reading where there is none: visits every record of exactly that name, in
 * order, with its batch. visit returns non-zero to stop, which is returned. */
int yd_log_get_dir(struct yd_fs *fs, const char *dir, struct yd_str name,
                   int (*visit)(void *arg, const struct yd_batch *batch, uint32_t record), void *arg,
                   struct yd_trail *trail);

#endif
