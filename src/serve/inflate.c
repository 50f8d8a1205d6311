/* Inflating in steps, so that the limit is met before the memory is taken. */
#include "serve/inflate.h"

#include <zlib.h>

#define STEP ((size_t)64 << 10)

int yd_inflate(struct yd_str packed, size_t size_max, struct yd_buf *to)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed.data, .avail_in = (uInt)packed.size};
    size_t start = to->size;
    if (packed.size > UINT32_MAX) return YD_ETOOBIG;
    if (inflateInit2(&stream, 15 + 32) != Z_OK) return YD_ENOMEM; /* 32: gzip or zlib, by its header */
    int r = 0, z = Z_OK;
    while (z != Z_STREAM_END) {
        size_t room = YD_MIN(STEP, size_max - (to->size - start) + 1);
        char *at = yd_buf_reserve(to, room);
        if (!at) {
            r = YD_ENOMEM;
            break;
        }
        stream.next_out = (Bytef *)at;
        stream.avail_out = (uInt)room;
        z = inflate(&stream, Z_NO_FLUSH);
        if (z != Z_OK && z != Z_STREAM_END) {
            r = z == Z_MEM_ERROR ? YD_ENOMEM : YD_EFORMAT; /* Z_BUF_ERROR: the end is missing */
            break;
        }
        to->size += room - stream.avail_out;
        if (to->size - start > size_max) {
            r = YD_ETOOBIG;
            break;
        }
        if (z == Z_STREAM_END && stream.avail_in) { /* members one after the other are one body */
            if (inflateReset(&stream) != Z_OK) r = YD_EFORMAT;
            if (r < 0) break;
            z = Z_OK;
        }
    }
    (void)inflateEnd(&stream);
    return r;
}

int yd_deflate_gzip(struct yd_str plain, struct yd_buf *to)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)plain.data, .avail_in = (uInt)plain.size};
    if (plain.size > UINT32_MAX) return YD_ETOOBIG;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return YD_ENOMEM;
    size_t room = deflateBound(&stream, plain.size);
    char *at = yd_buf_reserve(to, room);
    int r = at ? 0 : YD_ENOMEM;
    if (at) {
        stream.next_out = (Bytef *)at;
        stream.avail_out = (uInt)room;
        if (deflate(&stream, Z_FINISH) != Z_STREAM_END) r = YD_EFAIL;
        to->size += room - stream.avail_out;
    }
    (void)deflateEnd(&stream);
    return r;
}
