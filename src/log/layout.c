/* log/layout.c: stream.json: {"partitions": 4, "by": "name", "keep_ns": 0, "size_bytes": 0}, one line, replaced whole.
 *
 * Small enough to be read without a JSON library, which this floor has none of: four keys, in any order. */
#include "log/layout.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define PATH_MAX_SIZE 4096

const char *yd_layout_by_name(enum yd_layout_by by)
{
    return by == YD_LAYOUT_BY_PRODUCER ? "producer" : "name";
}

static int path_of(char path[PATH_MAX_SIZE], const char *data, const char *name, const char *file)
{
    int size = snprintf(path, PATH_MAX_SIZE, "%s/streams/%s%s", data, name, file);
    return size < PATH_MAX_SIZE ? 0 : YD_ETOOBIG;
}

/* The text behind "key":, or NULL. */
static const char *value_of(const char *text, const char *key)
{
    char quoted[32];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(text, quoted);
    if (!at) return NULL;
    at += strlen(quoted);
    at += strspn(at, " \t\r\n");
    if (*at++ != ':') return NULL;
    return at + strspn(at, " \t\r\n");
}

static bool number_of(const char *text, const char *key, uint64_t most, uint64_t *value)
{
    const char *at = value_of(text, key);
    if (!at) return true; /* as it was */
    char *end;
    *value = strtoull(at, &end, 10);
    return end > at && *at >= '0' && *at <= '9' && *value <= most && strchr(",} \t\r\n", *end);
}

int yd_layout_load(struct yd_fs *fs, const char *data, const char *name, struct yd_layout *ret)
{
    char path[PATH_MAX_SIZE], *text;
    size_t size;
    int error = path_of(path, data, name, "/stream.json");
    if (!error) error = yd_fs_read_all(fs, path, 4096, &text, &size);
    if (error) return error == YD_ETOOBIG ? YD_ECORRUPT : error;
    uint64_t partitions = 1, keep = 0, bytes = 0;
    const char *by = value_of(text, "by");
    bool good = *text == '{' && number_of(text, "partitions", YD_LAYOUT_PARTITIONS_MAX, &partitions) &&
                partitions > 0 && number_of(text, "keep_ns", INT64_MAX, &keep) &&
                number_of(text, "size_bytes", UINT64_MAX, &bytes);
    bool by_producer = by && strncmp(by, "\"producer\"", 10) == 0;
    if (by && !by_producer && strncmp(by, "\"name\"", 6) != 0) good = false;
    free(text);
    if (!good) return YD_ECORRUPT;
    *ret = (struct yd_layout){.partitions = (uint32_t)partitions,
                              .by = by_producer ? YD_LAYOUT_BY_PRODUCER : YD_LAYOUT_BY_NAME,
                              .keep_ns = (int64_t)keep,
                              .size_bytes = bytes};
    return 0;
}

int yd_layout_save(struct yd_fs *fs, const char *data, const char *name, const struct yd_layout *layout)
{
    char path[PATH_MAX_SIZE], text[256];
    int error = path_of(path, data, name, "");
    if (!error) error = yd_fs_make_dirs(fs, path);
    if (!error) error = path_of(path, data, name, "/stream.json");
    if (error) return error;
    int size =
        snprintf(text, sizeof text, "{\"partitions\": %u, \"by\": \"%s\", \"keep_ns\": %lld, \"size_bytes\": %llu}\n",
                 layout->partitions, yd_layout_by_name(layout->by), (long long)layout->keep_ns,
                 (unsigned long long)layout->size_bytes);
    return yd_fs_replace(fs, path, text, (size_t)size);
}

uint32_t yd_layout_of_name(const struct yd_layout *layout, uint64_t name_hash)
{
    return yd_partition_of(name_hash, layout->partitions);
}

uint32_t yd_layout_of_producer(const struct yd_layout *layout, uint64_t producer_id)
{
    return yd_partition_of(yd_hash_id(producer_id), layout->partitions);
}
