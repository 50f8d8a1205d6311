/* Slices: a pointer and a size into memory that somebody else owns. Text is UTF-8, never terminated. */
#ifndef YARDER_BYTES_H
#define YARDER_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct yd_str {
    const char *data;
    size_t size;
};

#define YD_STR(literal) ((struct yd_str){(literal), sizeof(literal) - 1})
#define YD_STR_FMT(s)   (int)(s).size, (s).data /* for "%.*s" */

static inline struct yd_str yd_str_of(const char *terminated)
{
    return (struct yd_str){terminated, terminated ? strlen(terminated) : 0};
}
static inline bool yd_str_eq(struct yd_str a, struct yd_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* Order of bytes, the shorter first among equals: <0, 0, >0. */
static inline int yd_str_cmp(struct yd_str a, struct yd_str b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}
static inline bool yd_str_starts(struct yd_str s, struct yd_str prefix)
{
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

#endif
