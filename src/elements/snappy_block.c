/* A block of Snappy: see snappy_block.h. */
#include "elements/snappy_block.h"

/* A varint of up to 32 bits at the front of *block, taken off. */
static int take_size(struct yd_str *block, size_t *ret_size)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < 5 && i < block->size; i++) {
        unsigned char byte = (unsigned char)block->data[i];
        size |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        if (size > UINT32_MAX) return YD_EFORMAT;
        *ret_size = (size_t)size;
        block->data += i + 1;
        block->size -= i + 1;
        return 0;
    }
    return YD_EFORMAT;
}

/* Three bytes make 64 at most: who says more would have memory asked for that nothing fills. */
int yd_snappy_size(struct yd_str block, size_t *ret_size)
{
    int r = take_size(&block, ret_size);
    return r == 0 && *ret_size > 22 * block.size ? YD_EFORMAT : r;
}

static size_t little_endian(const char *from, size_t size)
{
    size_t number = 0;
    for (size_t i = size; i-- > 0;) number = number << 8 | (unsigned char)from[i];
    return number;
}

static void copy(char *to, size_t offset, size_t size)
{
    const char *from = to - offset;
    if (offset >= size)
        memcpy(to, from, size);
    else /* what is copied is being made: a pattern again and again */
        for (size_t i = 0; i < size; i++) to[i] = from[i];
}

int yd_snappy_inflate(struct yd_str block, char *to, size_t size)
{
    size_t said, made = 0;
    if (take_size(&block, &said) < 0 || said != size) return YD_EFORMAT;
    const char *at = block.data, *end = block.data + block.size;
    while (at < end) {
        unsigned char tag = (unsigned char)*at++;
        size_t length = (size_t)(tag >> 2) + 1, offset, more;
        if ((tag & 3) == 0) {
            more = length > 60 ? length - 60 : 0;
            if (more > (size_t)(end - at)) return YD_EFORMAT;
            if (more) length = little_endian(at, more) + 1;
            at += more;
            if (length > (size_t)(end - at) || length > size - made) return YD_EFORMAT;
            memcpy(to + made, at, length);
            at += length;
        } else {
            more = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;
            if (more > (size_t)(end - at)) return YD_EFORMAT;
            offset = little_endian(at, more);
            if (more == 1) {
                length = (size_t)(tag >> 2 & 7) + 4;
                offset |= (size_t)(tag >> 5) << 8;
            }
            at += more;
            if (offset == 0 || offset > made || length > size - made) return YD_EFORMAT;
            copy(to + made, offset, length);
        }
        made += length;
    }
    return made == size ? 0 : YD_EFORMAT;
}
