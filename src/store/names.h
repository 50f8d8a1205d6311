/* store/names.h: files of ids and names of series. Of this floor only.
 *
 *   header, 32 bytes │ group │ group …      group: {u32 size, crc, kind, count}, then
 *       kind 0: {u32 id, u16 size, bytes} …, ids rising;   kind 1: u32 id …: gone, from whatever file they are
 *
 * A group is about 64 KiB and stands for itself: a damaged one costs the series in it. Little-endian. */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "base/alloc.h"
#include "io/file.h"

struct yd__names_visitor {
    int (*name)(void *arg, uint32_t id, struct yd_str name);
    int (*gone)(void *arg, uint32_t id);
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
bool yd__names_empty(const struct yd__names_writer *writer);
int yd__names_write(struct yd__names_writer *writer, struct yd_fs *fs, const char *path, uint64_t *ret_size);
void yd__names_end(struct yd__names_writer *writer); /* lets go of the memory */

#endif
