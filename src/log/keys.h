/* log/keys.h: name indexes of sealed segments: making them, asking them. keys_format.h has the bytes. */
#ifndef LOG_KEYS_H
#define LOG_KEYS_H

#include "log/internal.h"
#include "log/keys_format.h"

/* ---- keys.c: asking ---- */
struct yd__keys {
    struct yd__keys_head head;
    struct yd__keys_entry *table;
    char *heap;
    struct yd_file *file;
    uint64_t postings; /* where they begin in the file */
};
/* The index of exactly these frames, checked whole but for its lists. YD_ENOENT: none; YD_ECORRUPT: damaged, or of
 * other frames; YD_EVERSION. */
int yd__keys_open(struct yd_fs *fs, const char *dir, uint64_t base, const struct yd__footer *footer,
                  struct yd__keys **ret_keys);
void yd__keys_close(struct yd__keys *keys); /* NULL is quiet */
static inline struct yd_str yd__keys_name(const struct yd__keys *keys, uint32_t at)
{
    return (struct yd_str){keys->heap + keys->table[at].name, keys->table[at].size};
}
bool yd__keys_find(const struct yd__keys *keys, struct yd_str name, uint32_t *ret_at);
/* A list's bytes, checked; malloc'd. */
struct yd__postings {
    unsigned char *bytes;
    size_t size, at;
    uint64_t seqno, end;
    uint32_t left;
    bool first;
};
int yd__postings_read(const struct yd__keys *keys, uint32_t at, struct yd__postings *ret);
void yd__postings_fini(struct yd__postings *postings);
/* 1: the next seqno; 0: the end; YD_ECORRUPT: no list. */
int yd__postings_next(struct yd__postings *postings, uint64_t *ret_seqno);
uint32_t yd__keys_head_crc(const struct yd__keys_head *head);

/* ---- keys_make.c: making ---- */
struct yd__keys_make {
    struct yd_file *file; /* the segment, or its twin */
    uint64_t log_id;
    const struct yd__footer *footer;
    /* Given each part of the index once, in any order: writes it, or compares. Non-zero ends it. */
    int (*put)(void *arg, uint64_t offset, const void *bytes, size_t size);
    bool (*stop)(void *arg); /* now and then; NULL: never. Then YD_ECANCELED */
    void *arg;
    uint64_t size; /* of the index, when it was made */
    size_t slice;  /* bytes of postings made at a time; 0: 16 MiB */
};
/* YD_ECORRUPT: the frames are not those of the footer; YD_ENOTSUP: some are compressed; YD_ETOOBIG. */
int yd__keys_make(struct yd__keys_make *make);
/* Is the index of this segment what its frames say? 0, YD_ENOENT: there is none; YD_ECORRUPT. */
int yd__keys_verify(struct yd_fs *fs, const char *dir, uint64_t base, struct yd_file *file,
                    const struct yd__footer *footer);
/* Makes an index that is missing. 1: did something, there may be more; 0: nothing to do. Blocks; without locks held. */
int yd__keys_some(struct yd_log *log);
/* Counts the index's file, whatever is in it, in log->bytes. Without log->mutex. */
void yd__keys_count(struct yd_log *log, struct yd__segment *segment);

#endif
