/* store/names.h: files of ids and names of series. Of this floor only.
 *
 *   header, 32 bytes │ group │ group …      group: {u32 size, crc, kind, count}, then
 *       kind 0: {u32 id, u16 size, bytes} …, ids rising;   kind 1: u32 id …: gone, from whatever file they are
 *       kind 2: struct yd__cut …: what of a series in blocks is forgotten (cuts.h)
 *
 * A group is about 64 KiB and stands for itself: a damaged one costs the series in it. Little-endian. */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "base/alloc.h"
#include "io/file.h"
#include "store/cuts.h"

struct yd__names_visitor {
    int (*name)(void *arg, uint32_t id, struct yd_str name);
    int (*gone)(void *arg, uint32_t id);
    int (*cut)(void *arg, const struct yd__cut *cut);
    void *arg;
};
/* YD_ECORRUPT: not such a file; then nothing was visited. *ret_damaged: groups that were passed over. */
int yd__names_read(struct yd_fs *fs, const char *path, const struct yd__names_visitor *visitor, uint32_t *ret_damaged);

/* A file in the making: in memory, then written beside, synced, renamed. */
struct yd__names_writer {
    struct yd_buf file;
    size_t group; /* where the group's header is; 0: none is open */
    uint32_t kind, count;
};
void yd__names_begin(struct yd__names_writer *writer, struct yd_alloc *alloc);
void yd__names_add(struct yd__names_writer *writer, uint32_t id, struct yd_str name);
void yd__names_add_gone(struct yd__names_writer *writer, uint32_t id);
void yd__names_add_cut(struct yd__names_writer *writer, const struct yd__cut *cut);
bool yd__names_empty(const struct yd__names_writer *writer);
int yd__names_write(struct yd__names_writer *writer, struct yd_fs *fs, const char *path, uint64_t *ret_size);
void yd__names_end(struct yd__names_writer *writer); /* lets go of the memory */

#endif
