/* log/mend.h: mending a stream's files: salvage, repair, backup and restore, forgetting. For tools: blocking calls, any
 * process, on a live folder or on a copied one, all through struct yd_fs (NULL: the real disk).
 *
 *   yd_log_salvage_file   good batches out of any file          yd_log_backup_dir   a copy with a fixed end, and its
 * list yd_log_salvage_dir    … as a stream's folder                yd_log_restore_dir  checked before it gets its name
 *   yd_log_repair_dir     from another copy, what is damaged    yd_log_tombstone    "forgotten", appended like the rest
 *
 * None of them changes a byte that passes its checksum, and what is replaced is kept in quarantine/ first. */
#ifndef LOG_MEND_H
#define LOG_MEND_H

#include <yarder/log.h>
#include <yarder/name.h>

#include "io/file.h"

/* ---- salvage ---- */
struct yd_log_salvage {
    uint64_t log_id; /* only batches of this log; 0: of any */
    /* A good batch at that byte. Its reference is the salvage's. Non-zero ends the search and is returned. */
    int (*batch)(void *arg, uint64_t offset, const struct yd_batch *batch);
    void (*other)(void *arg, uint64_t from, uint64_t to); /* bytes that are no batch and not all zero; may be NULL */
    void *arg;
};
struct yd_log_salvage_report {
    uint64_t batches, records, bytes, other_bytes, unreadable_bytes;
};
/* Finds every batch in a file, at any offset, by its magic and both its checksums. */
int yd_log_salvage_file(struct yd_fs *fs, const char *path, const struct yd_log_salvage *how,
                        struct yd_log_salvage_report *ret, struct yd_trail *trail);
/* The same into a new stream folder `to` (which must not be there): batches in the order of their seqnos, each once,
 * gaps where some are missing. log_id 0: the one most of them are of. YD_ENOENT: not a single good batch. */
int yd_log_salvage_dir(struct yd_fs *fs, const char *path, uint64_t log_id, const char *to, const char *stream,
                       struct yd_log_salvage_report *ret, struct yd_trail *trail);

/* ---- repair ---- */
enum yd_log_mending {
    YD_MENDED, /* with dry_run: it could be */
    YD_LOST,   /* no copy has it: readers are told a gap */
    YD_LATER,  /* not by this call; `what` says what does it */
};
struct yd_log_mended {
    enum yd_log_mending result;
    const char *file;
    uint64_t from, to;    /* bytes */
    uint64_t first, next; /* records; equal: none */
    const char *what;
};
struct yd_log_repair {
    struct yd_fs *fs;
    const char *dir;
    const char *from_dir; /* another copy of this partition's folder, or NULL */
    /* Another source: the batch that holds this seqno, as the log stamped it. YD_ENOENT: it has none. NULL: no source
     */
    int (*fetch)(void *arg, uint64_t seqno, struct yd_batch **ret_batch);
    void *fetch_arg;
    bool dry_run;
    void (*told)(void *arg, const struct yd_log_mended *what);
    void *told_arg;
};
struct yd_log_repair_report {
    uint64_t segments, mended, mended_bytes, lost, lost_records, later;
    bool live; /* somebody writes it: only what he will not touch was looked at */
};
/* 0: nothing is damaged any more. YD_ECORRUPT: something remains (lost or later). YD_EIO, YD_ENOSPC… */
int yd_log_repair_dir(const struct yd_log_repair *how, struct yd_log_repair_report *ret, struct yd_trail *trail);

/* Every cursor's checksum. 0, or YD_ECORRUPT when `found` was told of one. */
int yd_log_verify_cursors(struct yd_fs *fs, const char *dir, uint64_t *ret_count,
                          void (*found)(void *arg, const char *file, uint64_t offset, const char *what), void *arg);

/* ---- backup ---- */
struct yd_log_backup_report {
    uint64_t first, next; /* the records in it */
    uint64_t files, copied, copied_bytes;
};
/* Copies a stream's folder up to what is durable now into `to`, also while it is written. Sealed segments that `to`
 * has already are not copied again; nothing in it is deleted. */
int yd_log_backup_dir(struct yd_fs *fs, const char *dir, const char *to, struct yd_log_backup_report *ret,
                      struct yd_trail *trail);
/* Makes `to` (which must not be there) from a backup. It gets its name when every checksum was right. */
int yd_log_restore_dir(struct yd_fs *fs, const char *from, const char *to, struct yd_log_backup_report *ret,
                       struct yd_trail *trail);

/* ---- looking for a name ---- */
/* yd_log_get_dir, which also tells the gaps in what it had to read; gap may be NULL. */
int yd__log_get(struct yd_fs *fs, const char *dir, struct yd_str name,
                int (*visit)(void *arg, const struct yd_batch *batch, uint32_t record),
                void (*gap)(void *arg, const struct yd_log_gap *gap), void *arg, struct yd_trail *trail);

/* ---- forgetting ---- */
#define YD_TOMBSTONE_NAME "yarder.tombstone"
struct yd_tombstone {
    struct yd_str names;  /* a pattern */
    uint32_t kinds;       /* YD_KIND_BITs: of these alone; 0: of all */
    uint64_t until_seqno; /* covers records below; UINT64_MAX: all before the tombstone itself */
    int64_t until_time;   /* and with times before; INT64_MAX: any */
    struct yd_str reason;
};
/* The batch to append: one ROW record of that name. */
int yd_tombstone_batch(const struct yd_tombstone *tombstone, int64_t now, struct yd_batch **ret_batch);

/* What the tombstones of a stream cover: for tools. */
struct yd_forgotten;
int yd_forgotten_create(struct yd_forgotten **ret_forgotten);
void yd_forgotten_destroy(struct yd_forgotten *forgotten);                           /* NULL is quiet */
int yd_forgotten_note(struct yd_forgotten *forgotten, const struct yd_batch *batch); /* its tombstones, if any */
int yd_forgotten_load(struct yd_forgotten *forgotten, struct yd_fs *fs, const char *dir,
                      struct yd_trail *trail); /* of all segments; skips those that cannot have one */
bool yd_forgotten_covers(const struct yd_forgotten *forgotten, const struct yd_batch *batch, uint32_t record);
uint32_t yd_forgotten_count(const struct yd_forgotten *forgotten);

/* The same of an open log, kept up while it is appended to (forgotten.c). Any thread. */
/* All tombstones at or above seqno `from` are known after it; those that were there before the log was opened are read
 * from its files, once. Blocks. */
int yd_log_hidden_load(struct yd_log *log, uint64_t from);
bool yd_log_may_hide(const struct yd_log *log, uint64_t seqno); /* false: nothing from there on; cheap */
/* Which of a batch's records are left out for readers at this level. *ret_keep: a byte a record, 0: left out; malloc'd,
 * or NULL when none is. YD_ENOMEM. */
int yd_log_hidden(struct yd_log *log, enum yd_ack level, const struct yd_batch *batch, uint8_t **ret_keep,
                  uint32_t *ret_hidden);

#endif
