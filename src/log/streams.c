/* log/streams.c: the streams open in this process, by "name/partition": how a server finds what elements have opened.
 *
 *   who opens a log: yd_streams_put ──▶ | name ▸ log, a reference | ◀── yd_streams_find, a reference: server
 *   before he closes it: yd_streams_remove
 *
 * A small sorted list under one mutex: a process has tens of streams, and they are looked up once for each connection.
 * Whoever found a log keeps its memory, not its files: after it was closed it answers YD_ECLOSED. */
#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

struct entry {
    char *stream;
    struct yd_log *log;
};
struct yd_streams {
    struct yd_lock lock;
    struct entry *entries; /* by name */
    uint32_t count, capacity;
};

int yd_streams_create(struct yd_streams **ret_streams)
{
    struct yd_streams *streams = calloc(1, sizeof *streams);
    if (!streams) return YD_ENOMEM;
    yd_lock_init(&streams->lock);
    *ret_streams = streams;
    return 0;
}

static void free_entries(struct entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(entries[i].stream);
        yd_log_unref(entries[i].log);
    }
    free(entries);
}

void yd_streams_destroy(struct yd_streams *streams)
{
    if (!streams) return;
    free_entries(streams->entries, streams->count);
    yd_lock_fini(&streams->lock);
    free(streams);
}

/* The index of the name, or of where it would be. */
static uint32_t place(const struct yd_streams *streams, const char *stream, bool *ret_there)
{
    uint32_t low = 0, high = streams->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(streams->entries[middle].stream, stream) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = low < streams->count && strcmp(streams->entries[low].stream, stream) == 0;
    return low;
}

static int make_room(struct yd_streams *streams)
{
    if (streams->count < streams->capacity) return 0;
    uint32_t capacity = streams->capacity ? streams->capacity * 2 : 16;
    struct entry *entries = realloc(streams->entries, capacity * sizeof *entries);
    if (!entries) return YD_ENOMEM;
    streams->entries = entries;
    streams->capacity = capacity;
    return 0;
}

int yd_streams_put(struct yd_streams *streams, const char *stream, struct yd_log *log)
{
    char *copy = strdup(stream);
    if (!copy) return YD_ENOMEM;
    yd_lock_take(&streams->lock);
    bool there;
    uint32_t at = place(streams, stream, &there);
    int error = there ? YD_EEXIST : make_room(streams);
    if (!error) {
        memmove(&streams->entries[at + 1], &streams->entries[at], (streams->count - at) * sizeof *streams->entries);
        streams->entries[at] = (struct entry){copy, yd_log_ref(log)};
        streams->count++;
    }
    yd_lock_give(&streams->lock);
    if (error) free(copy);
    return error;
}

void yd_streams_remove(struct yd_streams *streams, const char *stream)
{
    struct entry gone = {0};
    yd_lock_take(&streams->lock);
    bool there;
    uint32_t at = place(streams, stream, &there);
    if (there) {
        gone = streams->entries[at];
        streams->count--;
        memmove(&streams->entries[at], &streams->entries[at + 1], (streams->count - at) * sizeof *streams->entries);
    }
    yd_lock_give(&streams->lock);
    free(gone.stream);
    yd_log_unref(gone.log); /* outside the lock: it may be the last one */
}

struct yd_log *yd_streams_find(struct yd_streams *streams, const char *stream)
{
    yd_lock_take(&streams->lock);
    bool there;
    uint32_t at = place(streams, stream, &there);
    struct yd_log *log = there ? yd_log_ref(streams->entries[at].log) : NULL;
    yd_lock_give(&streams->lock);
    return log;
}

int yd_streams_list(struct yd_streams *streams, int (*visit)(void *arg, const char *stream, struct yd_log *log),
                    void *arg)
{
    int error = 0;
    uint32_t count = 0;
    yd_lock_take(&streams->lock);
    struct entry *copy = calloc(streams->count ? streams->count : 1, sizeof *copy);
    for (uint32_t i = 0; copy && i < streams->count && !error; i++) {
        char *stream = strdup(streams->entries[i].stream);
        if (stream)
            copy[count++] = (struct entry){stream, yd_log_ref(streams->entries[i].log)};
        else
            error = YD_ENOMEM;
    }
    yd_lock_give(&streams->lock);
    if (!copy) return YD_ENOMEM;
    for (uint32_t i = 0; i < count && !error; i++) error = visit(arg, copy[i].stream, copy[i].log);
    free_entries(copy, count);
    return error;
}
