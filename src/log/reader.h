/* log/reader.h: a reader's state, for reader.c and files.c. */
#ifndef LOG_READER_H
#define LOG_READER_H

#include "log/internal.h"

struct yd__match; /* what may be passed over (match.c) */

/* Which segments a folder has, as remembered (bases.c). */
struct yd__bases_stamp {
    bool live;
    uint32_t epoch;
    uint64_t segment, first, generation;
};
struct yd__bases {
    uint64_t *at; /* sorted */
    uint32_t count;
    bool listed;
    struct yd__bases_stamp stamp; /* what the control page said before it was listed */
};

struct yd_log_reader {
    struct yd_log *log;               /* NULL: of a folder */
    struct yd_log_reader *next, **at; /* among the log's readers; at: NULL when not in it */
    uint64_t cut_to;                  /* a follower was cut back to there since it last looked; UINT64_MAX: not */
    uint64_t taken;                   /* before this nothing is needed in memory; both under the log's mutex */
    struct yd_fs *fs;
    char *dir;
    uint64_t log_id;
    uint64_t seqno; /* of the next record to give */
    enum yd_ack level;
    bool by_time; /* still to be found */
    bool copy;    /* never map */
    int64_t time_ns;
    struct yd__match *match;   /* NULL: everything is given */
    struct yd_log_gap pending; /* with a reason: told by the next call */

    /* of a folder */
    struct yd_file *control_file;
    struct yd__control *control; /* mapped, read-only */
    uint64_t checked;            /* the last checkpoint: damage below is rot */
    uint64_t end;
    uint32_t epoch_seen; /* of the control page: when it rises, the end may have been cut */
    uint32_t event_seen, wakes, wakes_taken;
    struct yd__bases bases;
    uint64_t listings; /* how often the folder was listed */
    bool end_known;    /* a writer lives, or it was closed in order; else the end is where good frames end */

    /* the place in the files */
    struct yd_file *file; /* NULL: nowhere */
    uint64_t base;        /* its segment */
    uint64_t offset;      /* where the frame of place_seqno should be: the reader's own, or one on the way there */
    uint64_t place_seqno;
    struct yd__window window;
    uint64_t healed; /* damaged frames given from a twin */
};

void yd__reader_look(struct yd_log_reader *reader);                     /* how far may it go now? */
void yd__reader_leave(struct yd_log_reader *reader);                    /* the place in the files */
int yd__reader_go_to(struct yd_log_reader *reader, uint64_t *ret_next); /* the segment of its seqno, and near it */
int yd__reader_next_in_files(struct yd_log_reader *reader, uint64_t end, struct yd_batch **ret_batch,
                             struct yd_log_gap *ret_gap);
int yd__reader_find_time(struct yd_log_reader *reader); /* sets seqno */

void yd__bases_fini(struct yd__bases *bases);
void yd__bases_forget(struct yd__bases *bases); /* the next question lists */
/* The segment that holds a seqno, and the base behind it (UINT64_MAX: none). YD_ENOENT: it is before the oldest, which
 * *ret_next tells. */
int yd__bases_find(struct yd_log_reader *reader, uint64_t seqno, uint64_t *ret_base, uint64_t *ret_next);
/* The first segment with a base of `from` or above that may hold a record of this time or later. YD_ENOENT. */
int yd__bases_reaching(struct yd_log_reader *reader, uint64_t from, int64_t time_ns, uint64_t *ret_base);

int yd__match_create(const struct yd_log_start *start, struct yd__match **ret_match); /* NULL: nothing to pass over */
void yd__match_destroy(struct yd__match *match);                                      /* NULL is quiet */
bool yd__match_header(const struct yd__match *match, const struct yd_header *header); /* may it hold a match? */
bool yd__match_batch(const struct yd__match *match, const struct yd_batch *batch);
/* Is there nothing to match in the open segment, which reaches up to seqno `next`? Then the reader stands there. */
bool yd__match_passes_segment(struct yd_log_reader *reader, uint64_t next, uint64_t end);
/* Nor from the frame where the reader stands on, as its index says? Then it stands behind that. */
bool yd__match_passes_entries(struct yd_log_reader *reader);
uint64_t yd__match_passed(const struct yd__match *match); /* records; of NULL: 0 */

#endif
