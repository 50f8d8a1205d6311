/* log/ranges.c: the least and the greatest name of a batch, an index entry, a segment.
 *
 *   names   cpu.idle host=a | cpu.user host=a | disk.free host=b
 *   entry   "cpu.idle host=a" ........ "disk.free host=b"          the first 16 bytes of each
 *   footer  "cpu.idle host=a" ........ "disk.free host=b"          the first 64
 *
 * Bytes are compared as unsigned, and what is shorter is padded with zeros (no name holds one): so of two names the
 * lesser one has not the greater prefix, and a name whose prefix is outside the range is not there. What was not looked
 * at (compressed batches, such of more than YD__INDEX_RANGE_MAX names, damaged ones) may hold any name: then the range
 * is from zeros to all ones. */
#include <string.h>

#include "log/internal.h"

struct yd__names yd__names_any(void)
{
    return (struct yd__names){.bits = UINT64_MAX};
}

/* The first 16 bytes as a number that compares as they do. */
static inline unsigned __int128 front(struct yd_str name)
{
    unsigned char bytes[16] = {0};
    uint64_t high, low;
    memcpy(bytes, name.data, YD_MIN(name.size, sizeof bytes));
    memcpy(&high, bytes, 8);
    memcpy(&low, bytes + 8, 8);
    return (unsigned __int128)__builtin_bswap64(high) << 64 | __builtin_bswap64(low);
}

struct yd__names yd__view_names(const struct yd_header *header, const struct yd_view *view)
{
    struct yd__names names = yd__names_any();
    if (header->codec != YD_CODEC_NONE || view->name_count == 0 || view->name_count > YD__INDEX_RANGE_MAX) return names;
    names.min = names.max = yd_view_name(view, 0);
    unsigned __int128 min = front(names.min), max = min;
    for (uint32_t i = 1; i < view->name_count; i++) {
        struct yd_str name = yd_view_name(view, i);
        unsigned __int128 at = front(name);
        if (at < min || (at == min && yd_str_cmp(name, names.min) < 0)) names.min = name, min = at;
        if (at > max || (at == max && yd_str_cmp(name, names.max) > 0)) names.max = name, max = at;
    }
    if (view->name_count > YD__INDEX_NAMES_MAX) return names;
    names.bits = 0;
    for (uint32_t i = 0; i < view->name_count; i++) names.bits |= UINT64_C(1) << (view->names[i].hash >> 58);
    return names;
}

struct yd__names yd__frame_names(struct yd__window *window, uint64_t offset, const struct yd_header *header)
{
    const char *bytes;
    size_t have;
    struct yd_view view;
    if (header->codec != YD_CODEC_NONE || header->names > YD__INDEX_RANGE_MAX) return yd__names_any();
    if (yd__window_get(window, offset, header->size, &bytes, &have) || have < sizeof *header + header->body_size ||
        yd_view_open(header, bytes + sizeof *header, true, &view))
        return yd__names_any(); /* it is damaged: readers tell */
    return yd__view_names(header, &view);
}

void yd__range_none(uint8_t *min, uint8_t *max, size_t size)
{
    memset(min, 0xff, size);
    memset(max, 0, size);
}

/* The first `size` bytes of a name beside a bound: below 0, 0, above. */
static int compare(struct yd_str name, const uint8_t *bound, size_t size)
{
    size_t common = YD_MIN(name.size, size);
    int order = memcmp(name.data, bound, common);
    if (order || common == size) return order;
    return bound[common] ? -1 : 0; /* zeros behind are the bound's padding: no name has any */
}

static void set(uint8_t *bound, size_t size, struct yd_str name)
{
    size_t common = YD_MIN(name.size, size);
    memcpy(bound, name.data, common);
    memset(bound + common, 0, size - common);
}

void yd__range_add(uint8_t *min, uint8_t *max, size_t size, const struct yd__names *names)
{
    if (!names->min.data) {
        memset(min, 0, size);
        memset(max, 0xff, size);
        return;
    }
    if (compare(names->min, min, size) < 0) set(min, size, names->min);
    if (compare(names->max, max, size) > 0) set(max, size, names->max);
}

void yd__range_join(uint8_t *min, uint8_t *max, size_t size, const uint8_t *other_min, const uint8_t *other_max)
{
    if (memcmp(other_min, min, size) < 0) memcpy(min, other_min, size);
    if (memcmp(other_max, max, size) > 0) memcpy(max, other_max, size);
}

bool yd__range_may_hold(const uint8_t *min, const uint8_t *max, size_t size, struct yd_str prefix)
{
    /* From the prefix itself, which stands for what is least behind it, to the prefix and anything. */
    size_t common = YD_MIN(prefix.size, size);
    return compare(prefix, max, size) <= 0 && memcmp(prefix.data, min, common) >= 0;
}

bool yd__range_known(const uint8_t *max, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (max[i] != 0xff) return true;
    return false;
}
