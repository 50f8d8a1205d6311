/* A batch in parts, one for each partition of a stream: where a record belongs is said by the hash of its name, which
 * the names table has. So a name is looked at once, however many records it has, and a batch whose names all belong
 * together is passed on as it is. */
#include "base/hash.h"
#include "batch/batch_internal.h"

/* Only records count: a name that merely stands in a cell belongs nowhere. `of` has room for one number per record.
 * Returns how many parts there are, and in *ret_any one of them. */
static uint32_t place(const struct yd_view *view, uint32_t partitions, uint32_t *of, struct yd_batch **to,
                      struct yd_batch *seen, uint32_t *ret_any)
{
    uint32_t parts = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        of[i] = yd_partition_of(view->names[view->records[i].name].hash, partitions);
        if (to[of[i]]) continue;
        to[of[i]] = seen; /* a mark, nothing is held */
        *ret_any = of[i];
        parts++;
    }
    return parts;
}

static int part(const struct yd_batch *batch, const uint8_t *keep, struct yd_batch **ret)
{
    const struct yd_header *whole = &batch->header;
    struct yd_batch *selected;
    int error = yd_batch_select(batch, keep, &selected);
    if (error < 0) return error;
    if (!whole->producer_id) {
        *ret = selected;
        return 0;
    }
    struct yd_header header = selected->header;
    header.producer_id = whole->producer_id;
    header.producer_seq = whole->producer_seq;
    header.producer_epoch = whole->producer_epoch;
    error = yd_batch_restamp(selected, &header, ret);
    yd_batch_unref(selected);
    return error;
}

int yd_batch_split(struct yd_batch *batch, uint32_t partitions, struct yd_batch **to)
{
    const struct yd_view *view = &batch->view;
    struct yd_alloc *alloc = YD_CONTAINER(batch, struct yd__box, batch)->alloc;
    memset(to, 0, partitions * sizeof *to);
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP;
    size_t size = view->count * (sizeof(uint32_t) + 1);
    uint32_t *of = yd_alloc_get(alloc, size), any = 0;
    if (!of) return YD_ENOMEM;
    uint8_t *keep = (uint8_t *)(of + view->count);
    int error = 0;
    if (place(view, partitions, of, to, batch, &any) == 1) {
        to[any] = yd_batch_ref(batch);
    } else {
        for (uint32_t p = 0; p < partitions; p++) {
            if (!to[p]) continue;
            to[p] = NULL;
            if (error < 0) continue;
            for (uint32_t i = 0; i < view->count; i++) keep[i] = of[i] == p;
            error = part(batch, keep, &to[p]);
        }
    }
    for (uint32_t p = 0; error < 0 && p < partitions; p++) {
        yd_batch_unref(to[p]);
        to[p] = NULL;
    }
    yd_alloc_put(alloc, of, size);
    return error;
}
