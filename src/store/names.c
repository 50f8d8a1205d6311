/* Files of names; see names.h. */
#include <stdio.h>
#include <stdlib.h>

#include <yarder/name.h>

#include "base/hash.h"
#include "store/names.h"

#define MAGIC   UINT32_C(0x4d4e4459) /* "YDNM" */
#define VERSION 1
#define GROUP   (64 << 10)

enum { NAMES, GONE, CUTS };

struct file_header {
    uint32_t magic, version, crc; /* of what follows */
    uint32_t reserved[5];
};
struct group_header {
    uint32_t size, crc, kind, count; /* size: without this; crc: of kind, count and the bytes */
};
_Static_assert(sizeof(struct file_header) == 32 && sizeof(struct group_header) == 16, "the layout of files of names");

static uint32_t group_crc(const struct group_header *group, const void *bytes)
{
    uint32_t crc = yd_crc32c(0, &group->kind, sizeof group->kind + sizeof group->count);
    return yd_crc32c(crc, bytes, group->size);
}

/* ---- reading ---- */

static int visit(const struct group_header *group, const char *at, const struct yd__names_visitor *visitor)
{
    const char *end = at + group->size;
    int error = 0;
    for (uint32_t i = 0; i < group->count && error >= 0; i++) {
        uint32_t id;
        uint16_t size;
        struct yd__cut cut;
        if (group->kind == CUTS) {
            if ((size_t)(end - at) < sizeof cut) return YD_ECORRUPT;
            memcpy(&cut, at, sizeof cut);
            at += sizeof cut;
            error = visitor->cut(visitor->arg, &cut);
            continue;
        }
        if ((size_t)(end - at) < sizeof id) return YD_ECORRUPT;
        memcpy(&id, at, sizeof id);
        at += sizeof id;
        if (group->kind == GONE) {
            error = visitor->gone(visitor->arg, id);
            continue;
        }
        if ((size_t)(end - at) < sizeof size) return YD_ECORRUPT;
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        if ((size_t)(end - at) < size || size > YD_NAME_SIZE_MAX) return YD_ECORRUPT;
        error = visitor->name(visitor->arg, id, (struct yd_str){at, size});
        at += size;
    }
    return error;
}

static int read_groups(const char *data, size_t size, const struct yd__names_visitor *visitor, uint32_t *ret_damaged)
{
    size_t at = sizeof(struct file_header);
    while (size - at >= sizeof(struct group_header)) {
        struct group_header group;
        memcpy(&group, data + at, sizeof group);
        if (group.size > size - at - sizeof group) break; /* where the next one begins is not known any more */
        at += sizeof group;
        int error = group_crc(&group, data + at) == group.crc && group.kind <= CUTS ? visit(&group, data + at, visitor)
                                                                                    : YD_ECORRUPT;
        if (error == YD_ECORRUPT)
            ++*ret_damaged;
        else if (error < 0)
            return error;
        at += group.size;
    }
    *ret_damaged += at != size;
    return YD_OK;
}

int yd__names_read(struct yd_fs *fs, const char *path, const struct yd__names_visitor *visitor, uint32_t *ret_damaged)
{
    struct file_header head;
    char *data;
    size_t size;
    *ret_damaged = 0;
    int error = yd_fs_read_all(fs, path, SIZE_MAX / 2, &data, &size);
    if (error < 0) return error;
    if (size < sizeof head) {
        error = YD_ECORRUPT;
    } else {
        memcpy(&head, data, sizeof head);
        if (head.magic != MAGIC || yd_crc32c(0, head.reserved, sizeof head.reserved) != head.crc)
            error = YD_ECORRUPT;
        else if (head.version != VERSION)
            error = YD_EVERSION;
        else
            error = read_groups(data, size, visitor, ret_damaged);
    }
    free(data);
    return error;
}

/* ---- writing ---- */

void yd__names_begin(struct yd__names_writer *w, struct yd_alloc *alloc)
{
    struct file_header head = {.magic = MAGIC, .version = VERSION};
    *w = (struct yd__names_writer){0};
    yd_buf_init(&w->file, alloc);
    head.crc = yd_crc32c(0, head.reserved, sizeof head.reserved);
    yd_buf_add(&w->file, &head, sizeof head);
}

static void close_group(struct yd__names_writer *w)
{
    if (w->group && !w->file.failed) {
        size_t from = w->group + sizeof(struct group_header);
        struct group_header group = {.size = (uint32_t)(w->file.size - from), .kind = w->kind, .count = w->count};
        group.crc = group_crc(&group, w->file.data + from);
        memcpy(w->file.data + w->group, &group, sizeof group);
    }
    w->group = 0;
}

static void open_group(struct yd__names_writer *w, uint32_t kind)
{
    struct group_header none = {0};
    if (w->group && w->kind == kind && w->file.size - w->group < GROUP) return;
    close_group(w);
    w->group = w->file.size;
    w->kind = kind;
    w->count = 0;
    yd_buf_add(&w->file, &none, sizeof none);
}

void yd__names_add(struct yd__names_writer *w, uint32_t id, struct yd_str name)
{
    uint16_t size = (uint16_t)name.size;
    open_group(w, NAMES);
    yd_buf_add(&w->file, &id, sizeof id);
    yd_buf_add(&w->file, &size, sizeof size);
    yd_buf_str(&w->file, name);
    w->count++;
}

void yd__names_add_gone(struct yd__names_writer *w, uint32_t id)
{
    open_group(w, GONE);
    yd_buf_add(&w->file, &id, sizeof id);
    w->count++;
}

void yd__names_add_cut(struct yd__names_writer *w, const struct yd__cut *cut)
{
    open_group(w, CUTS);
    yd_buf_add(&w->file, cut, sizeof *cut);
    w->count++;
}

bool yd__names_empty(const struct yd__names_writer *w)
{
    return w->file.size <= sizeof(struct file_header);
}

int yd__names_write(struct yd__names_writer *w, struct yd_fs *fs, const char *path, uint64_t *ret_size)
{
    close_group(w);
    if (w->file.failed) return YD_ENOMEM;
    *ret_size = w->file.size;
    return yd_fs_replace(fs, path, w->file.data, w->file.size);
}

void yd__names_end(struct yd__names_writer *w)
{
    yd_buf_fini(&w->file);
}
