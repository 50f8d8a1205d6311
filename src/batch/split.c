/* A batch in parts, one for each partition of a stream: where a record belongs is said by the hash of its name, which
 * the names table has. So a name is looked at once, however many records it has, and a batch whose names all belong
 * together is passed on as it is. A tombstone belongs to each partition: it may cover names in any. */
#include "base/hash.h"
#include "batch/batch_internal.h"

#define EVERY UINT32_MAX /* of_name: of a tombstone */

static bool is_every(const struct yd_record *record, const uint32_t *of_name)
{
    return of_name[record->name] == EVERY;
}

/* The records of each partition, in their order, one partition behind the other in `list`; ends[p]: where those of p
 * end. Only records count: a name that merely stands in a cell belongs nowhere. */
static void sort(const struct yd_view *view, const uint32_t *of_name, uint32_t partitions, uint32_t *list,
                 uint32_t *ends)
{
    memset(ends, 0, partitions * sizeof *ends);
    for (uint32_t i = 0; i < view->count; i++) {
        for (uint32_t p = 0; is_every(&view->records[i], of_name) && p < partitions; p++) ends[p]++;
        if (!is_every(&view->records[i], of_name)) ends[of_name[view->records[i].name]]++;
    }
    uint32_t at = 0;
    for (uint32_t p = 0; p < partitions; p++) { /* where each begins, for now */
        uint32_t count = ends[p];
        ends[p] = at;
        at += count;
    }
    for (uint32_t i = 0; i < view->count; i++) {
        for (uint32_t p = 0; is_every(&view->records[i], of_name) && p < partitions; p++) list[ends[p]++] = i;
        if (!is_every(&view->records[i], of_name)) list[ends[of_name[view->records[i].name]]++] = i;
    }
}

/* Which records are tombstones (all of that name, whatever their kind). Returns how many. */
static uint32_t count_tombstones(const struct yd_view *view)
{
    const struct yd_str name = YD_STR("yarder.tombstone");
    const uint64_t hash = yd_hash_str(name);
    bool any = false;
    for (uint32_t i = 0; i < view->name_count; i++)
        any |= view->names[i].hash == hash && yd_str_eq(yd_view_name(view, i), name);
    uint32_t count = 0;
    for (uint32_t i = 0; any && i < view->count; i++) count += view->names[view->records[i].name].hash == hash;
    return count;
}

static int split(struct yd_batch *batch, uint32_t partitions, const uint32_t *list, const uint32_t *ends,
                 struct yd_batch **to)
{
    int error = 0;
    for (uint32_t p = 0, first = 0; p < partitions && error == 0; first = ends[p++]) {
        uint32_t count = ends[p] - first;
        if (count == 0) continue;
        if (count == batch->view.count)
            to[p] = yd_batch_ref(batch);
        else
            error = yd__batch_pick(batch, list + first, count, &to[p]);
    }
    return error;
}

int yd_batch_split(struct yd_batch *batch, uint32_t partitions, struct yd_batch **to)
{
    const struct yd_view *view = &batch->view;
    struct yd_alloc *alloc = YD_CONTAINER(batch, struct yd__box, batch)->alloc;
    memset(to, 0, partitions * sizeof *to);
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP;
    const uint32_t tombstones = count_tombstones(view);
    const size_t listed = view->count + (size_t)tombstones * (partitions - 1);
    size_t size = (listed + view->name_count + partitions) * sizeof(uint32_t);
    uint32_t *list = yd_alloc_get(alloc, size);
    if (!list) return YD_ENOMEM;
    uint32_t *of_name = list + listed, *ends = of_name + view->name_count;
    const uint64_t hash = yd_hash_str(YD_STR("yarder.tombstone"));
    for (uint32_t i = 0; i < view->name_count; i++)
        of_name[i] =
            tombstones && view->names[i].hash == hash ? EVERY : yd_partition_of(view->names[i].hash, partitions);
    sort(view, of_name, partitions, list, ends);
    int error = split(batch, partitions, list, ends, to);
    for (uint32_t p = 0; error < 0 && p < partitions; p++) {
        yd_batch_unref(to[p]);
        to[p] = NULL;
    }
    yd_alloc_put(alloc, list, size);
    return error;
}
