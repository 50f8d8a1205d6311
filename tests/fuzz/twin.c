/* Any bytes as a compressed twin: opening and reading must neither crash, nor believe a size, nor go on for ever. With
 * the first bit set the checksums of head and last footer are made right, so that what they say is looked at. */
#include <stdlib.h>
#include <string.h>

#include "io/sim_file.h"
#include "log/twin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_right(char *bytes, size_t size)
{
    struct yd__twin_head head;
    struct yd__twin_footer footer;
    if (size < sizeof head + sizeof footer) return;
    memcpy(&head, bytes, sizeof head);
    head.magic = YD__TWIN_MAGIC;
    head.version = YD__TWIN_VERSION;
    head.crc = yd__twin_head_crc(&head);
    memcpy(bytes, &head, sizeof head);
    memcpy(&footer, bytes + size - sizeof footer, sizeof footer);
    footer.magic = YD__TWIN_FOOTER_MAGIC;
    uint64_t table_size = (uint64_t)footer.blocks * sizeof(struct yd__twin_entry);
    if (table_size <= size - sizeof head - sizeof footer) {
        footer.table = size - sizeof footer - table_size;
        footer.table_crc = yd_crc32c(0, bytes + footer.table, (size_t)table_size);
    }
    footer.crc = yd__twin_footer_crc(&footer);
    memcpy(bytes + size - sizeof footer, &footer, sizeof footer);
}

static void read_through(struct yd_file *file)
{
    static char bytes[300000];
    struct yd_stat now;
    size_t have;
    if (yd_file_stat(file, &now)) abort();
    /* A raw size may be anything that its blocks allow: its begin, its end, and what is behind it. */
    const uint64_t places[] = {0, 1, 65535, now.size / 2, now.size - 1, now.size, UINT64_MAX - 5};
    for (size_t i = 0; i < YD_COUNT(places); i++) {
        int error = yd_file_read(file, bytes, sizeof bytes, places[i], &have);
        if (error && error != YD_EIO) abort();
        if (!error && places[i] >= now.size && have != 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_fs *fs;
    struct yd_file *file;
    if (size < 2 || yd_sim_fs_create(1, &fs)) return 0;
    char *bytes = malloc(size);
    if (!bytes) abort();
    memcpy(bytes, data, size);
    if (data[0] & 1) make_right(bytes + 1, size - 1);
    if (yd_fs_open(fs, "t.yzst", YD_OPEN_WRITE | YD_OPEN_CREATE, &file)) abort();
    if (yd_file_write(file, bytes + 1, size - 1, 0)) abort();
    yd_file_close(file);
    free(bytes);
    struct yd__twin_about about;
    for (int asked = 0; asked < 2; asked++) {
        if (yd__twin_open(fs, "t.yzst", asked ? &about : NULL, &file)) continue;
        read_through(file);
        yd_file_close(file);
    }
    yd_sim_fs_destroy(fs);
    return 0;
}
