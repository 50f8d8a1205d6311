/* log/segment.c: one segment: what is counted about it, its head, its footer.
 *
 * A segment's struct is made from a footer (sealed), or by walking its frames (recovery), or empty (begun by a flush),
 * and then counted on frame by frame, so that the footer is ready the moment the segment is full. Shared by
 * reference between the list and the readers inside. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/drd.h"
#include "log/internal.h"

struct yd__segment *yd__segment_create(uint64_t base)
{
    struct yd__segment *segment = calloc(1, sizeof *segment);
    if (!segment) return NULL;
    atomic_init(&segment->refs, 1);
    YD_DRD_IGNORE(&segment->refs);
    segment->base = segment->next = base;
    segment->time_min = segment->append_min = INT64_MAX;
    segment->time_max = segment->append_max = INT64_MIN;
    yd__range_none(segment->name_min, segment->name_max, YD__RANGE_NAME_SIZE);
    return segment;
}

void yd__segment_unref(struct yd__segment *segment)
{
    /* acq_rel: pairs with the other holders' decrements. */
    if (!segment) return;
    YD_DRD_BEFORE(&segment->refs);
    if (atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) != 1) return;
    YD_DRD_AFTER(&segment->refs);
    yd_file_close(segment->file);
    free(segment->index.entries);
    free(segment);
}

void yd__segment_reset(struct yd__segment *segment)
{
    segment->index.count = 0;
    segment->next = segment->base;
    segment->batches = 0;
    segment->time_min = segment->append_min = INT64_MAX;
    segment->time_max = segment->append_max = INT64_MIN;
    segment->names = segment->kinds = 0;
    yd__range_none(segment->name_min, segment->name_max, YD__RANGE_NAME_SIZE);
    segment->headers_crc = 0;
    segment->last_crc = segment->prev_crc;
    segment->sealed = segment->accounted = false;
    segment->data_end = segment->data_start ? segment->data_start : YD__SEGMENT_ALIGN;
}

void yd__segment_path(char *to, size_t size, const char *dir, uint64_t base, const char *suffix)
{
    int length = snprintf(to, size, "%s/%020" PRIu64 "%s", dir, base, suffix);
    YD_ASSERT(length > 0 && (size_t)length < size); /* the folder's length was checked when it was opened */
}

bool yd__segment_name(const char *name, const char *suffix, uint64_t *ret_base)
{
    uint64_t base = 0;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        uint64_t digit = (uint64_t)(name[i] - '0');
        if (base > (UINT64_MAX - digit) / 10) return false;
        base = base * 10 + digit;
    }
    if (strcmp(name + 20, suffix) != 0) return false;
    *ret_base = base;
    return true;
}

static int index_room(struct yd__index *index, uint32_t more)
{
    uint32_t capacity = index->capacity ? index->capacity : 16;
    if (index->count + more <= index->capacity) return 0;
    while (capacity < index->count + more) capacity *= 2;
    struct yd__index_entry *entries = realloc(index->entries, capacity * sizeof *entries);
    if (!entries) return YD_ENOMEM;
    index->entries = entries;
    index->capacity = capacity;
    return 0;
}

int yd__segment_room(struct yd__segment *segment, uint32_t count, uint64_t bytes)
{
    /* Of two entries in a row, the frames between begin and end take a step at least. */
    return index_room(&segment->index, (uint32_t)YD_MIN((uint64_t)count, 2 * (bytes / YD__INDEX_STEP) + 2));
}

void yd__segment_unknown(struct yd__segment *segment)
{
    const struct yd__names any = yd__names_any();
    if (segment->index.count) {
        struct yd__index_entry *entry = &segment->index.entries[segment->index.count - 1];
        entry->names |= any.bits;
        yd__range_add(entry->name_min, entry->name_max, YD__INDEX_NAME_SIZE, &any);
    }
    segment->names |= any.bits;
    yd__range_add(segment->name_min, segment->name_max, YD__RANGE_NAME_SIZE, &any);
    segment->kinds |= YD_KINDS_ALL;
}

int yd__segment_account(struct yd__segment *segment, const struct yd_header *header, uint64_t offset,
                        const struct yd__names *names)
{
    struct yd__index *index = &segment->index;
    if (header->base_seqno > segment->next) yd__segment_unknown(segment);
    bool entry_due =
        index->count == 0 || offset + header->size > index->entries[index->count - 1].offset + YD__INDEX_STEP;
    if (entry_due) {
        int error = index_room(index, 1);
        if (error) return error;
        int64_t before = index->count ? index->entries[index->count - 1].time_max : INT64_MIN;
        struct yd__index_entry *fresh = &index->entries[index->count++];
        *fresh = (struct yd__index_entry){.seqno = header->base_seqno,
                                          .offset = offset,
                                          .time_max = before,
                                          .time_low = INT64_MAX,
                                          .time_high = INT64_MIN};
        yd__range_none(fresh->name_min, fresh->name_max, YD__INDEX_NAME_SIZE);
    }
    struct yd__index_entry *entry = &index->entries[index->count - 1];
    entry->time_max = YD_MAX(entry->time_max, header->time_max);
    entry->time_low = YD_MIN(entry->time_low, header->time_min);
    entry->time_high = YD_MAX(entry->time_high, header->time_max);
    entry->names |= names->bits;
    yd__range_add(entry->name_min, entry->name_max, YD__INDEX_NAME_SIZE, names);
    segment->next = header->base_seqno + header->count;
    segment->data_end = offset + header->size;
    segment->batches++;
    segment->epoch = header->epoch;
    segment->time_min = YD_MIN(segment->time_min, header->time_min);
    segment->time_max = YD_MAX(segment->time_max, header->time_max);
    segment->append_min = YD_MIN(segment->append_min, header->append_time);
    segment->append_max = YD_MAX(segment->append_max, header->append_time);
    segment->names |= names->bits;
    yd__range_add(segment->name_min, segment->name_max, YD__RANGE_NAME_SIZE, names);
    segment->kinds |= header->kinds;
    segment->last_crc = header->header_crc;
    return 0;
}

uint32_t yd__digest(uint32_t digest, const struct yd_header *header)
{
    return yd_crc32c(digest, header, sizeof *header);
}

void yd__segment_digest(struct yd__segment *segment, const struct yd_header *header)
{
    segment->headers_crc = yd__digest(segment->headers_crc, header);
}

static uint32_t head_crc(const struct yd__segment_head *head)
{
    static const uint32_t zero;
    uint32_t crc = yd_crc32c(0, head, offsetof(struct yd__segment_head, crc));
    crc = yd_crc32c(crc, &zero, sizeof zero);
    size_t after = offsetof(struct yd__segment_head, crc) + sizeof zero;
    return yd_crc32c(crc, (const char *)head + after, head->data_start - after);
}

int yd__head_make(const struct yd__head_what *what, const struct yd__producers *producers, char **ret_bytes,
                  uint32_t *ret_size)
{
    uint32_t count = YD_MIN(producers->count, (uint32_t)YD__PRODUCERS_MAX);
    uint32_t size = (uint32_t)YD_ALIGN_UP(sizeof(struct yd__segment_head) + count * sizeof(struct yd__producer_entry),
                                          YD__SEGMENT_ALIGN);
    struct yd__segment_head *head = calloc(1, size);
    if (!head) return YD_ENOMEM;
    head->magic = YD__SEGMENT_MAGIC;
    head->version = YD__SEGMENT_VERSION;
    head->epoch = what->epoch;
    head->base_seqno = what->base;
    head->log_id = what->log_id;
    head->generation = what->generation;
    head->prev_crc = what->prev_crc;
    head->data_start = size;
    head->created_at = what->now;
    (void)snprintf(head->stream, sizeof head->stream, "%s", what->stream);
    head->producer_count = yd__producers_list(producers, head->producers, count);
    head->crc = head_crc(head);
    *ret_bytes = (char *)head;
    *ret_size = size;
    return 0;
}

int yd__head_check(const void *bytes, size_t size, struct yd__segment_head **ret_head)
{
    struct yd__segment_head *head = NULL;
    if (size < YD__SEGMENT_ALIGN || size > YD__SEGMENT_HEAD_MAX || size % YD__SEGMENT_ALIGN != 0) return YD_ECORRUPT;
    head = malloc(size);
    if (!head) return YD_ENOMEM;
    memcpy(head, bytes, size);
    int error = 0;
    if (head->magic != YD__SEGMENT_MAGIC || head->data_start != size || head_crc(head) != head->crc)
        error = YD_ECORRUPT;
    else if (head->version != YD__SEGMENT_VERSION)
        error = YD_EVERSION;
    else if (head->producer_count > (size - sizeof *head) / sizeof(struct yd__producer_entry) ||
             memchr(head->stream, 0, sizeof head->stream) == NULL)
        error = YD_ECORRUPT;
    if (error) {
        free(head);
        return error;
    }
    *ret_head = head;
    return 0;
}

int yd__head_read(struct yd_file *file, struct yd__segment_head **ret_head)
{
    size_t size = YD__SEGMENT_ALIGN, have = 0;
    struct yd__segment_head *head = malloc(size);
    if (!head) return YD_ENOMEM;
    int error = yd_file_read(file, head, size, 0, &have);
    if (!error && (have < size || head->magic != YD__SEGMENT_MAGIC || head->data_start < size ||
                   head->data_start > YD__SEGMENT_HEAD_MAX || head->data_start % YD__SEGMENT_ALIGN != 0))
        error = YD_ECORRUPT;
    if (!error && head->data_start > size) {
        size = head->data_start;
        free(head);
        head = malloc(size);
        if (!head) return YD_ENOMEM;
        error = yd_file_read(file, head, size, 0, &have);
        if (!error && (have < size || head->data_start != size)) error = YD_ECORRUPT;
    }
    if (!error && head_crc(head) != head->crc) error = YD_ECORRUPT;
    if (!error && head->version != YD__SEGMENT_VERSION) error = YD_EVERSION;
    if (!error && (head->producer_count > (size - sizeof *head) / sizeof(struct yd__producer_entry) ||
                   memchr(head->stream, 0, sizeof head->stream) == NULL))
        error = YD_ECORRUPT;
    if (error) {
        free(head);
        return error;
    }
    *ret_head = head;
    return 0;
}

static uint32_t footer_crc(const struct yd__footer *footer)
{
    struct yd__footer copy = *footer;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

void yd__footer_make(const struct yd__segment *segment, uint64_t log_id, struct yd__footer *ret)
{
    *ret = (struct yd__footer){
        .magic = YD__FOOTER_MAGIC,
        .version = YD__FOOTER_VERSION,
        .index_crc = yd_crc32c(0, segment->index.entries, segment->index.count * sizeof *segment->index.entries),
        .index_count = segment->index.count,
        .epoch = segment->epoch,
        .log_id = log_id,
        .base_seqno = segment->base,
        .next_seqno = segment->next,
        .data_end = segment->data_end,
        .batches = segment->batches,
        .time_min = segment->time_min,
        .time_max = segment->time_max,
        .append_min = segment->append_min,
        .append_max = segment->append_max,
        .last_crc = segment->last_crc,
        .headers_crc = segment->headers_crc,
        .names = segment->names,
        .kinds = segment->kinds,
    };
    memcpy(ret->name_min, segment->name_min, sizeof ret->name_min);
    memcpy(ret->name_max, segment->name_max, sizeof ret->name_max);
    ret->crc = footer_crc(ret);
}

void yd__segment_from_footer(struct yd__segment *segment, const struct yd__footer *footer)
{
    segment->next = footer->next_seqno;
    segment->data_end = footer->data_end;
    segment->batches = footer->batches;
    segment->epoch = footer->epoch;
    segment->time_min = footer->time_min;
    segment->time_max = footer->time_max;
    segment->append_min = footer->append_min;
    segment->append_max = footer->append_max;
    segment->names = footer->names;
    segment->kinds = footer->kinds;
    memcpy(segment->name_min, footer->name_min, sizeof segment->name_min);
    memcpy(segment->name_max, footer->name_max, sizeof segment->name_max);
    segment->last_crc = footer->last_crc;
    segment->headers_crc = footer->headers_crc;
    segment->sealed = segment->accounted = true;
}

int yd__footer_read(struct yd_file *file, uint64_t log_id, struct yd__footer *ret, struct yd__index_entry **ret_entries)
{
    struct yd_stat now;
    int error = yd_file_stat(file, &now);
    if (error) return error;
    struct yd__footer footer;
    if (now.size < YD__SEGMENT_ALIGN + sizeof footer) return YD_ENOENT;
    size_t have;
    error = yd_file_read(file, &footer, sizeof footer, now.size - sizeof footer, &have);
    if (error) return error == YD_EIO ? YD_ENOENT : error; /* a bad sector there costs the footer, not the segment */
    uint64_t index_size = footer.index_count * sizeof(struct yd__index_entry);
    if (have < sizeof footer || footer.data_end > now.size || footer.magic != YD__FOOTER_MAGIC ||
        footer_crc(&footer) != footer.crc || footer.version != YD__FOOTER_VERSION || footer.log_id != log_id ||
        footer.data_end + index_size + sizeof footer != now.size)
        return YD_ENOENT;
    if (ret_entries) {
        struct yd__index_entry *entries = malloc(index_size + 1);
        if (!entries) return YD_ENOMEM;
        error = yd_file_read(file, entries, index_size, footer.data_end, &have);
        if (error || have < index_size || yd_crc32c(0, entries, index_size) != footer.index_crc) {
            free(entries);
            return error && error != YD_EIO ? error : YD_ENOENT;
        }
        *ret_entries = entries;
    }
    *ret = footer;
    return 0;
}
