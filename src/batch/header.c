/* The header: what can be said of a frame before its body is looked at. */
#include <stdio.h>
#include <strings.h>

#include "base/hash.h"
#include "batch/batch_internal.h"

const char *yd_kind_name(enum yd_kind kind)
{
    static const char *const names[] = {"?", "SAMPLE", "TALLY", "DELTA", "STATE", "EVENT", "FACT", "PACKET", "ROW"};
    _Static_assert(YD_COUNT(names) == YD_KIND_COUNT, "a name for every kind");
    return (unsigned)kind < YD_KIND_COUNT ? names[kind] : "?";
}

uint32_t yd_kinds_parse(struct yd_str text)
{
    uint32_t kinds = 0;
    for (size_t at = 0; at <= text.size;) {
        size_t end = at;
        while (end < text.size && text.data[end] != ',') end++;
        struct yd_str word = {text.data + at, end - at};
        while (word.size && word.data[0] == ' ') word.data++, word.size--;
        while (word.size && word.data[word.size - 1] == ' ') word.size--;
        uint32_t bit = 0;
        for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT; kind++) {
            const char *name = yd_kind_name((enum yd_kind)kind);
            if (strlen(name) == word.size && strncasecmp(name, word.data, word.size) == 0) bit = YD_KIND_BIT(kind);
        }
        if (!bit) return 0;
        kinds |= bit;
        at = end + 1;
    }
    return kinds;
}

size_t yd_kinds_format(uint32_t kinds, char *to, size_t size)
{
    size_t at = 0;
    to[0] = 0;
    for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT && at < size; kind++)
        if (kinds & YD_KIND_BIT(kind))
            at += (size_t)snprintf(to + at, size - at, "%s%s", at ? "," : "", yd_kind_name((enum yd_kind)kind));
    return YD_MIN(at, size - 1);
}

const char *yd_type_name(enum yd_type type)
{
    static const char *const names[] = {"NIL", "BOOL", "I64", "U64", "F64", "TEXT", "BLOB", "LIST", "MAP"};
    _Static_assert(YD_COUNT(names) == YD_TYPE_COUNT, "a name for every type");
    return (unsigned)type < YD_TYPE_COUNT ? names[type] : "?";
}

uint32_t yd_header_crc(const struct yd_header *header)
{
    /* The field itself counts as zero. */
    static const uint32_t zero;
    const size_t at = offsetof(struct yd_header, header_crc), after = at + sizeof zero;
    uint32_t crc = yd_crc32c(0, header, at);
    crc = yd_crc32c(crc, &zero, sizeof zero);
    return yd_crc32c(crc, (const char *)header + after, sizeof *header - after);
}

/* Sizes that must agree with each other before anything is computed from them. */
static bool sizes_agree(const struct yd_header *h)
{
    uint64_t frame = YD_BATCH_HEADER_SIZE + (uint64_t)h->body_size;
    uint64_t tables = (uint64_t)h->count * sizeof(struct yd_record) + (uint64_t)h->names * sizeof(struct yd_name_entry);
    if (h->size != ((frame + YD_BATCH_ALIGN - 1) & ~(uint64_t)(YD_BATCH_ALIGN - 1))) return false;
    if (h->codec == YD_CODEC_NONE && h->raw_size != h->body_size) return false;
    return h->codec == YD_CODEC_FOREIGN || tables <= h->raw_size;
}

int yd_header_check(const struct yd_header *header, size_t size)
{
    if (size < sizeof *header) return YD_EAGAIN;
    struct yd_header h; /* a copy: the bytes may be in memory that somebody writes */
    memcpy(&h, header, sizeof h);
    if (h.magic != YD_BATCH_MAGIC) return YD_EFORMAT;
    if (h.version != YD_BATCH_VERSION) return YD_EVERSION;
    /* Before any other field: a damaged size must not make us wait for bytes that never come. */
    if (yd_header_crc(&h) != h.header_crc) return YD_ECORRUPT;
    if (h.size > YD_BATCH_SIZE_MAX || h.raw_size > YD_BATCH_SIZE_MAX - YD_BATCH_HEADER_SIZE) return YD_ETOOBIG;
    static const uint8_t zero[sizeof h.reserved];
    if (h.codec > YD_CODEC_FOREIGN || (h.flags & ~YD_FLAG_SORTED) || memcmp(h.reserved, zero, sizeof zero) != 0 ||
        h.count == 0 || h.base_seqno > UINT64_MAX - h.count || h.kinds == 0 || (h.kinds & ~YD_KINDS_ALL) ||
        h.time_min > h.time_max || !sizes_agree(&h))
        return YD_EFORMAT;
    return size < h.size ? YD_EAGAIN : 0;
}

void yd__header_fill(struct yd_header *header, const struct yd__facts *facts, uint32_t count, uint32_t names,
                     uint32_t body_size, uint32_t body_crc)
{
    uint32_t size = (YD_BATCH_HEADER_SIZE + body_size + YD_BATCH_ALIGN - 1) & ~(uint32_t)(YD_BATCH_ALIGN - 1);
    *header = (struct yd_header){.magic = YD_BATCH_MAGIC,
                                 .version = YD_BATCH_VERSION,
                                 .codec = YD_CODEC_NONE,
                                 .flags = facts->unsorted ? 0 : YD_FLAG_SORTED,
                                 .size = size,
                                 .count = count,
                                 .body_crc = body_crc,
                                 .body_size = body_size,
                                 .raw_size = body_size,
                                 .time_min = facts->time_min,
                                 .time_max = facts->time_max,
                                 .kinds = facts->kinds,
                                 .names = names};
    header->header_crc = yd_header_crc(header);
}
