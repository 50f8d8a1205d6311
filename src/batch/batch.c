/* Bodies and batches: who owns the bytes, and for how long.
 *
 *   batch (header, view) ----\
 *   batch (another header) ---+--> body (refs) --> bytes: a heap block, a mapped segment, a socket buffer
 *
 * Both are counted. The last to leave a body calls its release, in whatever thread that is. */
#include "base/drd.h"
#include "base/hash.h"
#include "base/large.h"
#include "batch/batch_internal.h"

void yd_body_ref(struct yd_body *body)
{
    (void)__atomic_fetch_add(&body->refs, 1, __ATOMIC_RELAXED); /* whoever has one may hand out another */
}

/* The release half publishes what this thread did with the bytes; the acquire half of the last one sees it all. */
void yd_body_unref(struct yd_body *body)
{
    if (!body) return;
    YD_DRD_BEFORE(&body->refs);
    if (__atomic_fetch_sub(&body->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    YD_DRD_AFTER(&body->refs);
    body->release(body);
}

static void release_block(struct yd_body *body)
{
    yd__block_destroy(YD_CONTAINER(body, struct yd__block, body));
}

struct yd__block *yd__block_create(struct yd_alloc *alloc, size_t capacity)
{
    if (!alloc) alloc = yd_alloc_large();
    struct yd__block *block = yd_alloc_get(alloc, sizeof *block + capacity);
    if (!block) return NULL;
    *block = (struct yd__block){
        .body = {.refs = 1, .data = block + 1, .release = release_block}, .alloc = alloc, .capacity = capacity};
    YD_DRD_IGNORE(&block->body.refs);
    return block;
}

struct yd__block *yd__block_resize(struct yd__block *block, size_t capacity)
{
    block = yd_alloc_resize(block->alloc, block, sizeof *block + block->capacity, sizeof *block + capacity);
    if (!block) return NULL;
    block->capacity = capacity;
    block->body.data = block + 1;
    YD_DRD_IGNORE(&block->body.refs);
    return block;
}

void yd__block_destroy(struct yd__block *block)
{
    if (block) yd_alloc_put(block->alloc, block, sizeof *block + block->capacity);
}

int yd__batch_wrap(struct yd_alloc *alloc, const struct yd_header *header, struct yd_body *body,
                   const struct yd_view *view, struct yd_batch **ret_batch)
{
    struct yd__box *box = yd_alloc_get(alloc, sizeof *box);
    if (!box) return YD_ENOMEM;
    *box = (struct yd__box){.batch = {.header = *header, .body = body, .refs = 1}, .alloc = alloc};
    YD_DRD_IGNORE(&box->batch.refs);
    if (view) box->batch.view = *view;
    *ret_batch = &box->batch;
    return 0;
}

int yd_batch_from_body(const struct yd_header *header, struct yd_body *body, bool check_crc,
                       struct yd_batch **ret_batch)
{
    struct yd_view view = {0};
    int r = yd_header_check(header, SIZE_MAX);
    if (r < 0) return r;
    if (body->size < header->body_size) return YD_EFORMAT;
    if (header->codec == YD_CODEC_NONE)
        r = yd_view_open(header, body->data, check_crc, &view);
    else if (check_crc && yd_crc32c(0, body->data, header->body_size) != header->body_crc)
        r = YD_ECORRUPT;
    if (r < 0) return r;
    r = yd__batch_wrap(NULL, header, body, &view, ret_batch);
    if (r == 0) yd_body_ref(body);
    return r;
}

int yd_batch_from_bytes(const void *frame, size_t size, struct yd_batch **ret_batch)
{
    struct yd_header header;
    if (size < sizeof header) return YD_EAGAIN;
    memcpy(&header, frame, sizeof header);
    int r = yd_header_check(&header, size);
    if (r < 0) return r;
    const char *body = (const char *)frame + sizeof header, *end = (const char *)frame + header.size;
    for (const char *p = body + header.body_size; p < end; p++)
        if (*p) return YD_ECORRUPT; /* padding that no checksum covers */
    struct yd__block *block = yd__block_create(NULL, header.body_size);
    if (!block) return YD_ENOMEM;
    block->body.size = header.body_size;
    if (yd_crc32c_copy(0, yd__block_data(block), body, header.body_size) != header.body_crc)
        r = YD_ECORRUPT;
    else
        r = yd_batch_from_body(&header, &block->body, false, ret_batch);
    yd_body_unref(&block->body); /* the batch has its own */
    return r;
}

int yd_batch_restamp(const struct yd_batch *batch, const struct yd_header *header, struct yd_batch **ret_batch)
{
    const struct yd__box *box = YD_CONTAINER(batch, const struct yd__box, batch);
    struct yd_header stamped = *header;
    stamped.header_crc = yd_header_crc(&stamped);
    int r = yd__batch_wrap(box->alloc, &stamped, batch->body, &batch->view, ret_batch);
    if (r == 0) yd_body_ref(batch->body);
    return r;
}

struct yd_batch *yd_batch_ref(struct yd_batch *batch)
{
    (void)__atomic_fetch_add(&batch->refs, 1, __ATOMIC_RELAXED);
    return batch;
}

void yd_batch_unref(struct yd_batch *batch)
{
    /* As for bodies: release what this thread did, acquire what the others did. */
    if (!batch) return;
    YD_DRD_BEFORE(&batch->refs);
    if (__atomic_fetch_sub(&batch->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    YD_DRD_AFTER(&batch->refs);
    struct yd__box *box = YD_CONTAINER(batch, struct yd__box, batch);
    yd_body_unref(batch->body);
    yd__origins_destroy(batch->origins);
    yd_alloc_put(box->alloc, box, sizeof *box);
}

void yd_batch_to_bytes(const struct yd_batch *batch, void *to)
{
    char *p = to;
    memcpy(p, &batch->header, sizeof batch->header);
    p += sizeof batch->header;
    memcpy(p, batch->body->data, batch->header.body_size);
    p += batch->header.body_size;
    memset(p, 0, (size_t)((char *)to + batch->header.size - p));
}
