/* log/log.h: a stream partition: segments on disk, one writer with group commit, readers, cursors, retention.
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
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <yarder/batch.h>

#include "base/text.h"
#include "io/file.h"

enum yd_ack { YD_ACK_MEMORY = 1, YD_ACK_WRITTEN, YD_ACK_DURABLE, YD_ACK_REPLICATED };
const char *yd_ack_name(enum yd_ack level);

struct yd_log;

struct yd_log_options {
    struct yd_fs *fs;
    const char *dir;               /* the partition's folder; made when missing */
    const char *stream;            /* "metrics/0": kept in segment headers and checked */
    uint64_t (*random)(void *arg); /* for log_id */
    int64_t (*wall)(void *arg);    /* the server's clock: append_time, retention by age */
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
/* Flushes what is queued when it can, seals nothing, checkpoints, closes. Returns the flush's result. */
int yd_log_close(struct yd_log *log);

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

/* Called after written, durable, failed or no_space changed, in the thread that flushed, which may hold the log's I/O:
 * it must not flush, maintain, wait or close. Set before the first append and before yd_log_start. */
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

/* ---- tools: on a live folder or a copied one, from any process ---- */
struct yd_log_stat {
    char stream[256];
    uint64_t first, written, durable, bytes, segments, log_id;
    uint32_t epoch;
    int64_t time_min, time_max;
    bool live; /* somebody writes it now */
    int64_t writer_pid;
};
int yd_log_stat_dir(struct yd_fs *fs, const char *dir, struct yd_log_stat *ret, struct yd_trail *trail);
struct yd_log_verify_report {
    uint64_t segments, batches, records, bytes, bad_batches, gaps, index_errors;
};
/* Reads every byte up to what is committed; `found` is told each fault. 0, or YD_ECORRUPT when anything is wrong. */
int yd_log_verify_dir(struct yd_fs *fs, const char *dir, struct yd_log_verify_report *ret,
                      void (*found)(void *arg, const char *file, uint64_t offset, const char *what), void *arg);

#endif
