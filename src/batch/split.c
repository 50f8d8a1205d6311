/* A batch in parts, one for each partition of a stream: where a record belongs is said by the hash of its name, which
 * the names table has. So a name is looked at once, however many records it has, and a batch whose names all belong
 * together is passed on as it is. */
#include "base/hash.h"
#include "batch/batch_internal.h"

/* The records of each partition, in their order, one partition behind the other in `list`; ends[p]: where those of p
 * end. Only records count: a name that merely stands in a cell belongs nowhere. */
static void sort(const struct yd_view *view, const uint32_t *of_name, uint32_t partitions, uint32_t *list,
                 uint32_t *ends)
{
    memset(ends, 0, partitions * sizeof *ends);
    for (uint32_t i = 0; i < view->count; i++) ends[of_name[view->records[i].name]]++;
    uint32_t at = 0;
    for (uint32_t p = 0; p < partitions; p++) { /* where each begins, for now */
        uint32_t count = ends[p];
        ends[p] = at;
        at += count;
    }
    for (uint32_t i = 0; i < view->count; i++) list[ends[of_name[view->records[i].name]]++] = i;
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
    size_t size = ((size_t)view->count + view->name_count + partitions) * sizeof(uint32_t);
    uint32_t *list = yd_alloc_get(alloc, size);
    if (!list) return YD_ENOMEM;
    uint32_t *of_name = list + view->count, *ends = of_name + view->name_count;
    for (uint32_t i = 0; i < view->name_count; i++) of_name[i] = yd_partition_of(view->names[i].hash, partitions);
    sort(view, of_name, partitions, list, ends);
    int error = split(batch, partitions, list, ends, to);
    for (uint32_t p = 0; error < 0 && p < partitions; p++) {
        yd_batch_unref(to[p]);
        to[p] = NULL;
    }
    yd_alloc_put(alloc, list, size);
    return error;
}
