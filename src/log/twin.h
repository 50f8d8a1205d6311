/* log/twin.h: compressed twins: reading them, making them. twin_format.h has the bytes. */
#ifndef LOG_TWIN_H
#define LOG_TWIN_H

#include "log/internal.h"
#include "log/twin_format.h"

struct yd__twin_about {
    uint64_t log_id, base_seqno, raw_size;
    uint32_t block_size, raw_crc;
    uint64_t size; /* of the twin's file */
    bool damaged;  /* head, or one of the two tables with its footer: it can be read all the same */
};
/* A twin as a read-only file with the segment's bytes. YD_ECORRUPT: no table can be made out; YD_EVERSION. */
int yd__twin_open(struct yd_fs *fs, const char *path, struct yd__twin_about *ret_about, struct yd_file **ret_file);
/* Is the twin of the segment's file, as far as that can still tell: by the footers, where one of them is damaged by the
 * heads? One of another history, which a cut took back, is whole, and has other frames at the same seqnos. 1: yes.
 * 0: no. Else to be tried again. (files.c) */
int yd__twin_same_history(struct yd_file *file, struct yd_file *twin, uint64_t log_id);
uint32_t yd__twin_head_crc(const struct yd__twin_head *head);
uint32_t yd__twin_footer_crc(const struct yd__twin_footer *footer);

/* ---- compress.c ---- */
struct yd__compressor; /* of one log; one thread at a time */
int yd__compressor_create(struct yd_log *log);
void yd__compressor_destroy(struct yd_log *log);
/* Does some of what is to be done (a few MiB): 1: there is more; 0: nothing now; or why not, to be tried later. Blocks;
 * without locks held. */
int yd__compress_some(struct yd_log *log);
/* At opening, after the segments are known: which have twins; leftovers go. */
int yd__twins_load(struct yd_log *log);
void yd__compressor_leave(struct yd_log *log); /* the segment at hand; with twin_lock held */

#endif
