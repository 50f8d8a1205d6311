/* Any bytes as a name index: opening and asking it must neither crash, nor believe a size, nor give a seqno outside the
 * segment. With the first bit set its checksums are made right, so that what it says is looked at. */
#include <stdlib.h>
#include <string.h>

#include "io/sim_file.h"
#include "log/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct yd__footer footer = {.log_id = 7, .base_seqno = 100, .next_seqno = 100000, .headers_crc = 5};

static void make_right(char *bytes, size_t size)
{
    struct yd__keys_head head;
    if (size < sizeof head) return;
    memcpy(&head, bytes, sizeof head);
    head.magic = YD__KEYS_MAGIC;
    head.version = YD__KEYS_VERSION;
    head.log_id = footer.log_id;
    head.base_seqno = footer.base_seqno;
    head.next_seqno = footer.next_seqno;
    head.headers_crc = footer.headers_crc;
    size_t rest = size - sizeof head, table = head.name_count % 5 * sizeof(struct yd__keys_entry);
    if (table <= rest) {
        head.name_count %= 5;
        head.heap_size %= rest - table + 1;
        head.postings_size = rest - table - head.heap_size;
        head.table_crc = yd_crc32c(0, bytes + sizeof head, table + (size_t)head.heap_size);
    }
    head.crc = yd__keys_head_crc(&head);
    memcpy(bytes, &head, sizeof head);
}

static void ask(struct yd__keys *keys)
{
    for (uint32_t i = 0; i < keys->head.name_count; i++) {
        uint32_t at;
        struct yd__postings postings;
        uint64_t seqno, before = 0;
        if (!yd__keys_find(keys, yd__keys_name(keys, i), &at) || at != i) abort(); /* they are sorted */
        keys->table[i].crc = 0;                                                    /* of an empty list, at least */
        if (yd__postings_read(keys, i, &postings)) continue;
        while (yd__postings_next(&postings, &seqno) == 1) {
            if (seqno < footer.base_seqno || seqno >= footer.next_seqno || seqno <= before) abort();
            before = seqno;
        }
        yd__postings_fini(&postings);
    }
}

/* The bytes as a list. */
static void walk(const uint8_t *data, size_t size)
{
    struct yd__postings postings = {
        .bytes = malloc(size), .size = size, .seqno = 100, .end = 100000, .left = UINT32_MAX, .first = true};
    uint64_t seqno, before = 0;
    if (!postings.bytes) abort();
    memcpy(postings.bytes, data, size);
    while (yd__postings_next(&postings, &seqno) == 1) {
        if (seqno < 100 || seqno >= 100000 || seqno <= before) abort();
        before = seqno;
    }
    yd__postings_fini(&postings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_fs *fs;
    struct yd_file *file;
    struct yd__keys *keys;
    if (size < 2 || yd_sim_fs_create(1, &fs)) return 0;
    walk(data, size);
    char *bytes = malloc(size);
    if (!bytes || yd_fs_make_dirs(fs, "d")) abort();
    memcpy(bytes, data, size);
    if (data[0] & 1) make_right(bytes + 1, size - 1);
    if (yd_fs_open(fs, "d/00000000000000000100.ykey", YD_OPEN_WRITE | YD_OPEN_CREATE, &file)) abort();
    if (yd_file_write(file, bytes + 1, size - 1, 0)) abort();
    yd_file_close(file);
    free(bytes);
    if (yd__keys_open(fs, "d", 100, &footer, &keys) == 0) {
        ask(keys);
        yd__keys_close(keys);
    }
    yd_sim_fs_destroy(fs);
    return 0;
}
