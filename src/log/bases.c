/* log/bases.c: which segments a folder has, as one reader remembers it.
 *
 *   0   4096   8192   …   last         listed when first needed, sorted; asked by binary search
 *
 * A folder is listed once, not for each step: with 10,000 segments that costs milliseconds. The list is believed where
 * it has a segment behind the one asked for, since a segment's range never changes but by a cut, which a reader hears
 * of (epoch) or finds (the file is gone: yd__bases_forget). For the last one it is believed while the control page of a
 * living writer says that nothing was begun, retired or cut since. Of a stopped stream the last is always looked for
 * anew. */
#include <stdlib.h>
#include <string.h>

#include "log/reader.h"

void yd__bases_fini(struct yd__bases *bases)
{
    free(bases->at);
    *bases = (struct yd__bases){0};
}

void yd__bases_forget(struct yd__bases *bases)
{
    bases->listed = false;
}

/* The last one whose base is not above; -1: all are. */
static int64_t find(const struct yd__bases *bases, uint64_t seqno)
{
    uint32_t low = 0, high = bases->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bases->at[middle] <= seqno)
            low = middle + 1;
        else
            high = middle;
    }
    return (int64_t)low - 1;
}

static struct yd__bases_stamp look(const struct yd__control *control)
{
    struct yd__bases_stamp stamp = {0};
    if (!control || !yd__writer_alive(control)) return stamp;
    /* Acquire: pairs with the writer's releases in yd__control_publish: what they speak of is in the folder. */
    stamp.live = true;
    stamp.epoch = __atomic_load_n(&control->epoch, __ATOMIC_ACQUIRE);
    stamp.segment = __atomic_load_n(&control->segment, __ATOMIC_ACQUIRE);
    stamp.first = __atomic_load_n(&control->first_seqno, __ATOMIC_ACQUIRE);
    stamp.generation = __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE);
    return stamp;
}

static bool same(const struct yd__bases_stamp *a, const struct yd__bases_stamp *b)
{
    return a->live && b->live && a->epoch == b->epoch && a->segment == b->segment && a->first == b->first &&
           a->generation == b->generation;
}

static int list(struct yd_log_reader *reader)
{
    struct yd__bases *bases = &reader->bases;
    struct yd__bases_stamp stamp = look(reader->control); /* before listing: what changes meanwhile is seen then */
    uint64_t *at;
    uint32_t count;
    int error = yd__list_segments(reader->fs, reader->dir, &at, &count);
    if (error) return error;
    yd__bases_fini(bases);
    *bases = (struct yd__bases){.at = at, .count = count, .stamp = stamp, .listed = true};
    reader->listings++;
    return 0;
}

int yd__bases_find(struct yd_log_reader *reader, uint64_t seqno, uint64_t *ret_base, uint64_t *ret_next)
{
    struct yd__bases *bases = &reader->bases;
    int64_t index = bases->listed ? find(bases, seqno) : -1;
    bool sure = index >= 0 && index + 1 < (int64_t)bases->count;
    if (!sure && index >= 0) {
        struct yd__bases_stamp stamp = look(reader->control);
        sure = same(&stamp, &bases->stamp);
    }
    if (!sure) {
        int error = list(reader);
        if (error) return error;
        index = find(bases, seqno);
    }
    *ret_next = index + 1 < (int64_t)bases->count ? bases->at[index + 1] : UINT64_MAX;
    if (index < 0) return YD_ENOENT; /* *ret_next tells where the oldest is */
    *ret_base = bases->at[index];
    return 0;
}

/* May a segment hold a record of this time or later? By its footer; without one: yes. */
static bool may_reach(struct yd_log_reader *reader, uint64_t base, int64_t time_ns)
{
    struct yd_file *file;
    struct yd__footer footer;
    if (yd__segment_open(reader->fs, reader->dir, base, &file)) return true; /* who reads it says why */
    int error = yd__footer_read(file, reader->log_id, &footer, NULL);
    yd_file_close(file);
    return error || footer.time_max >= time_ns;
}

/* One footer after the other: records may be older than those before them, so nothing can be left out. */
int yd__bases_reaching(struct yd_log_reader *reader, uint64_t from, int64_t time_ns, uint64_t *ret_base)
{
    const struct yd__bases *bases = &reader->bases;
    if (from == 0 || !bases->listed) {
        struct yd__bases_stamp stamp = look(reader->control);
        int error = bases->listed && same(&stamp, &bases->stamp) ? 0 : list(reader);
        if (error) return error;
    }
    uint32_t i = from == 0 ? 0 : (uint32_t)(find(bases, from - 1) + 1);
    for (; i < bases->count; i++) {
        if (!may_reach(reader, bases->at[i], time_ns)) continue;
        *ret_base = bases->at[i];
        return 0;
    }
    return YD_ENOENT;
}
