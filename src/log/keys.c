/* log/keys.c: asking the name index of a sealed segment.
 *
 *   open: head ─▶ bound to these frames? ─▶ table and heap, one checksum ─▶ every entry inside its bounds
 *   find: by halves ─▶ the list ─▶ its checksum ─▶ seqnos
 *
 * Nothing in the file is trusted: sizes are checked against the file's and the format's limits before anything is
 * allocated. Whatever is wrong is YD_ECORRUPT, and the one who asks reads the segment instead. */
#include "log/keys.h"

#include <stdlib.h>
#include <string.h>

uint32_t yd__keys_head_crc(const struct yd__keys_head *head)
{
    struct yd__keys_head copy = *head;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

void yd__keys_close(struct yd__keys *keys)
{
    if (!keys) return;
    yd_file_close(keys->file);
    free(keys->table);
    free(keys->heap);
    free(keys);
}

static int check_head(const struct yd__keys_head *head, uint64_t size, const struct yd__footer *footer)
{
    if (head->magic != YD__KEYS_MAGIC || yd__keys_head_crc(head) != head->crc) return YD_ECORRUPT;
    if (head->version != YD__KEYS_VERSION) return YD_EVERSION;
    if (head->log_id != footer->log_id || head->base_seqno != footer->base_seqno ||
        head->next_seqno != footer->next_seqno || head->headers_crc != footer->headers_crc)
        return YD_ECORRUPT;
    if (head->name_count > YD__KEYS_NAMES_MAX || head->heap_size > YD__KEYS_HEAP_MAX) return YD_ECORRUPT;
    uint64_t before = sizeof *head + head->name_count * sizeof(struct yd__keys_entry) + head->heap_size;
    return size >= before && size - before == head->postings_size ? 0 : YD_ECORRUPT;
}

static int read_exactly(struct yd_file *file, void *to, size_t size, uint64_t offset)
{
    size_t have = 0;
    int error = yd_file_read(file, to, size, offset, &have);
    if (error) return error == YD_ENOMEM ? error : YD_ECORRUPT; /* a bad sector costs the index, not more */
    return have == size ? 0 : YD_ECORRUPT;
}

/* Sorted, in bounds, the lists one behind the other. */
static int check_table(const struct yd__keys *keys)
{
    const struct yd__keys_head *head = &keys->head;
    uint64_t postings = 0;
    for (uint32_t i = 0; i < head->name_count; i++) {
        const struct yd__keys_entry *entry = &keys->table[i];
        if (entry->name > head->heap_size || entry->size > head->heap_size - entry->name || entry->count == 0 ||
            entry->postings < postings || entry->postings > head->postings_size)
            return YD_ECORRUPT;
        if (i == 0 && entry->postings != 0) return YD_ECORRUPT;
        if (i > 0 && yd_str_cmp(yd__keys_name(keys, i - 1), yd__keys_name(keys, i)) >= 0) return YD_ECORRUPT;
        postings = entry->postings;
    }
    return 0;
}

static int load(struct yd__keys *keys, const struct yd__footer *footer)
{
    struct yd_stat now;
    int error = yd_file_stat(keys->file, &now);
    if (!error && now.size < sizeof keys->head) error = YD_ECORRUPT;
    if (!error) error = read_exactly(keys->file, &keys->head, sizeof keys->head, 0);
    if (!error) error = check_head(&keys->head, now.size, footer);
    if (error) return error;
    size_t table_size = keys->head.name_count * sizeof *keys->table, heap_size = (size_t)keys->head.heap_size;
    keys->table = malloc(table_size + 1);
    keys->heap = malloc(heap_size + 1);
    if (!keys->table || !keys->heap) return YD_ENOMEM;
    error = read_exactly(keys->file, keys->table, table_size, sizeof keys->head);
    if (!error) error = read_exactly(keys->file, keys->heap, heap_size, sizeof keys->head + table_size);
    if (error) return error;
    uint32_t crc = yd_crc32c(yd_crc32c(0, keys->table, table_size), keys->heap, heap_size);
    keys->postings = sizeof keys->head + table_size + heap_size;
    return crc == keys->head.table_crc ? check_table(keys) : YD_ECORRUPT;
}

int yd__keys_open(struct yd_fs *fs, const char *dir, uint64_t base, const struct yd__footer *footer,
                  struct yd__keys **ret_keys)
{
    char path[YD__PATH_SIZE];
    struct yd__keys *keys = calloc(1, sizeof *keys);
    if (!keys) return YD_ENOMEM;
    yd__segment_path(path, sizeof path, dir, base, ".ykey");
    int error = yd_fs_open(fs, path, YD_OPEN_READ, &keys->file);
    if (!error) error = load(keys, footer);
    if (error) {
        yd__keys_close(keys);
        return error;
    }
    *ret_keys = keys;
    return 0;
}

bool yd__keys_find(const struct yd__keys *keys, struct yd_str name, uint32_t *ret_at)
{
    uint32_t low = 0, high = keys->head.name_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = yd_str_cmp(yd__keys_name(keys, middle), name);
        if (order == 0) {
            *ret_at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

int yd__postings_read(const struct yd__keys *keys, uint32_t at, struct yd__postings *ret)
{
    const struct yd__keys_entry *entry = &keys->table[at];
    uint64_t end = at + 1 < keys->head.name_count ? entry[1].postings : keys->head.postings_size;
    uint64_t size = end - entry->postings;
    if (size > YD__KEYS_LIST_MAX) return YD_ECORRUPT;
    *ret = (struct yd__postings){.bytes = malloc((size_t)size + 1),
                                 .size = (size_t)size,
                                 .seqno = keys->head.base_seqno,
                                 .end = keys->head.next_seqno,
                                 .left = entry->count,
                                 .first = true};
    if (!ret->bytes) return YD_ENOMEM;
    int error = read_exactly(keys->file, ret->bytes, ret->size, keys->postings + entry->postings);
    if (!error && yd_crc32c(0, ret->bytes, ret->size) != entry->crc) error = YD_ECORRUPT;
    if (error) yd__postings_fini(ret);
    return error;
}

void yd__postings_fini(struct yd__postings *postings)
{
    free(postings->bytes);
    postings->bytes = NULL;
}

int yd__postings_next(struct yd__postings *postings, uint64_t *ret_seqno)
{
    if (postings->left == 0) return postings->at == postings->size ? 0 : YD_ECORRUPT;
    uint64_t delta = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (postings->at == postings->size || shift > 63) return YD_ECORRUPT;
        unsigned char byte = postings->bytes[postings->at++];
        delta |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) break;
    }
    if ((delta == 0 && !postings->first) || delta >= postings->end - postings->seqno) return YD_ECORRUPT;
    postings->first = false;
    postings->seqno += delta;
    postings->left--;
    *ret_seqno = postings->seqno;
    return 1;
}
