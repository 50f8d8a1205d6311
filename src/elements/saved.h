/* elements/saved.h: what elements write into their saved state and take out of it again. Numbers as they lie in memory
 * (little-endian), texts as {size u32, bytes}. Taking is bounded by what is there: false, and nothing was taken. */
#ifndef ELEMENTS_SAVED_H
#define ELEMENTS_SAVED_H

#include <string.h>
#include <yarder/element.h>

static inline void yd_save_text(struct yd_saver *saver, struct yd_str text)
{
    uint32_t size = (uint32_t)text.size;
    yd_save_bytes(saver, &size, sizeof size);
    if (size) yd_save_bytes(saver, text.data, size);
}

static inline bool yd_saved_bytes(struct yd_str *saved, void *to, size_t size)
{
    if (saved->size < size) return false;
    memcpy(to, saved->data, size);
    saved->data += size;
    saved->size -= size;
    return true;
}

static inline bool yd_saved_text(struct yd_str *saved, struct yd_str *ret)
{
    uint32_t size;
    if (saved->size < sizeof size) return false;
    memcpy(&size, saved->data, sizeof size);
    if (size > saved->size - sizeof size) return false;
    *ret = (struct yd_str){saved->data + sizeof size, size};
    saved->data += sizeof size + size;
    saved->size -= sizeof size + size;
    return true;
}

#endif
