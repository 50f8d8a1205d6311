/* Parts of a batch as a batch of its own. Two walks: the first finds what is kept and how large it is, the second
 * writes it into a block of exactly that size. Names are renumbered in order of first use. A part is never larger
 * than the whole, because no entry of a checked heap is shared. */
#include "base/hash.h"
#include "batch/batch_internal.h"

struct plan {
    const struct yd_view *view;
    const uint8_t *keep;  /* by record; NULL: all of the range */
    const uint32_t *list; /* the records, in order; NULL: those of the range */
    uint32_t first, end;  /* of the list, or of the records */
    uint32_t *names;      /* by old index: the new one, or YD_NO_NAME */
    uint32_t name_count, count;
    uint64_t heap_size;
    struct yd_record *to_records;
    struct yd_name_entry *to_names;
    char *to_heap;
    uint64_t cursor; /* of to_heap */
};

static inline bool is_kept(const struct plan *plan, uint32_t index)
{
    return !plan->keep || plan->keep[index];
}

static inline const struct yd_record *record_at(const struct plan *plan, uint32_t index)
{
    return &plan->view->records[plan->list ? plan->list[index] : index];
}

static void count_name(struct plan *plan, uint32_t name)
{
    if (plan->names[name] != YD_NO_NAME) return;
    plan->names[name] = plan->name_count++;
    plan->heap_size += yd__heap_up(plan->view->names[name].size);
}

static void count_value(struct plan *plan, unsigned type, union yd_value value)
{
    if (!(YD__HEAP_TYPES >> type & 1)) return;
    plan->heap_size += yd__heap_up(value.heap.size);
    if (type != YD_LIST && type != YD_MAP) return;
    const struct yd_cells *cells = yd_view_cells(plan->view, value);
    for (uint32_t i = 0; i < cells->count; i++) {
        if (cells->cell[i].name != YD_NO_NAME) count_name(plan, cells->cell[i].name);
        count_value(plan, cells->cell[i].type, cells->cell[i].value);
    }
}

static uint32_t put(struct plan *plan, uint32_t from, uint32_t size)
{
    if (size == 0) return 0;
    uint64_t at = plan->cursor, padded = yd__heap_up(size);
    memcpy(plan->to_heap + at, plan->view->heap + from, padded); /* the padding is zero there too */
    plan->cursor += padded;
    return (uint32_t)at;
}

static union yd_value move_value(struct plan *plan, unsigned type, union yd_value value)
{
    if (!(YD__HEAP_TYPES >> type & 1)) return value;
    value.heap.offset = put(plan, value.heap.offset, value.heap.size);
    if (type != YD_LIST && type != YD_MAP) return value;
    struct yd_cells *cells = (void *)(plan->to_heap + value.heap.offset);
    for (uint32_t i = 0; i < cells->count; i++) {
        struct yd_cell *cell = &cells->cell[i];
        if (cell->name != YD_NO_NAME) cell->name = plan->names[cell->name];
        cell->value = move_value(plan, cell->type, cell->value);
    }
    return value;
}

static void write_all(struct plan *plan)
{
    const struct yd_view *view = plan->view;
    for (uint32_t i = 0; i < view->name_count; i++) {
        if (plan->names[i] == YD_NO_NAME) continue;
        struct yd_name_entry entry = view->names[i];
        entry.offset = put(plan, entry.offset, entry.size);
        plan->to_names[plan->names[i]] = entry;
    }
    struct yd_record *to = plan->to_records;
    for (uint32_t i = plan->first; i < plan->end; i++) {
        if (!is_kept(plan, i)) continue;
        struct yd_record record = *record_at(plan, i);
        record.name = plan->names[record.name];
        record.value = move_value(plan, record.type, record.value);
        *to++ = record;
    }
}

static int extract(const struct yd_batch *batch, struct plan *plan, struct yd_batch **ret_batch)
{
    struct yd_alloc *alloc = YD_CONTAINER(batch, const struct yd__box, batch)->alloc;
    size_t map_size = plan->view->name_count * sizeof *plan->names;
    int r = YD_ENOMEM;
    plan->names = yd_alloc_get(alloc, map_size);
    if (!plan->names) return r;
    memset(plan->names, 0xff, map_size); /* YD_NO_NAME */
    for (uint32_t i = plan->first; i < plan->end; i++) {
        if (!is_kept(plan, i)) continue;
        plan->count++;
        const struct yd_record *record = record_at(plan, i);
        count_name(plan, record->name);
        count_value(plan, record->type, record->value);
    }
    r = YD_EAGAIN;
    if (plan->count == 0) goto out;
    size_t records_size = plan->count * sizeof(struct yd_record);
    size_t size = records_size + plan->name_count * sizeof(struct yd_name_entry) + plan->heap_size;
    struct yd__block *block = yd__block_create(alloc, size);
    r = YD_ENOMEM;
    if (!block) goto out;
    char *data = yd__block_data(block);
    block->body.size = (uint32_t)size;
    plan->to_records = (void *)data;
    plan->to_names = (void *)(data + records_size);
    plan->to_heap = (char *)(plan->to_names + plan->name_count);
    write_all(plan);

    struct yd__facts facts = YD__FACTS_EMPTY;
    yd__facts_add(&facts, plan->to_records, plan->count, plan->name_count);
    YD_ASSERT(!facts.bad && plan->cursor == plan->heap_size);
    struct yd_header header;
    yd__header_fill(&header, &facts, plan->count, plan->name_count, (uint32_t)size, yd_crc32c(0, data, size));
    if (plan->list) {
        header.producer_id = batch->header.producer_id;
        header.producer_seq = batch->header.producer_seq;
        header.producer_epoch = batch->header.producer_epoch;
        header.header_crc = yd_header_crc(&header);
    } else if (!plan->keep) {
        header.base_seqno = batch->header.base_seqno + plan->first;
        header.log_id = batch->header.log_id;
        header.epoch = batch->header.epoch;
        header.append_time = batch->header.append_time;
        header.header_crc = yd_header_crc(&header);
    }
    struct yd_view view = yd__view_of(data, plan->count, plan->name_count, (uint32_t)plan->heap_size);
    r = yd__batch_wrap(alloc, &header, &block->body, &view, ret_batch);
    if (r < 0)
        yd__block_destroy(block);
    else if (plan->keep)
        yd__origins_select(batch, plan->names, plan->name_count, *ret_batch);
out:
    yd_alloc_put(alloc, plan->names, map_size);
    return r;
}

int yd_batch_slice(const struct yd_batch *batch, uint32_t first, uint32_t count, struct yd_batch **ret_batch)
{
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP;
    if (first > batch->view.count || count > batch->view.count - first) return YD_ERANGE;
    struct plan plan = {.view = &batch->view, .first = first, .end = first + count};
    return extract(batch, &plan, ret_batch);
}

int yd__batch_pick(const struct yd_batch *batch, const uint32_t *list, uint32_t count, struct yd_batch **ret_batch)
{
    struct plan plan = {.view = &batch->view, .list = list, .end = count};
    return extract(batch, &plan, ret_batch);
}

int yd_batch_select(const struct yd_batch *batch, const uint8_t *keep, struct yd_batch **ret_batch)
{
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP;
    struct plan plan = {.view = &batch->view, .keep = keep, .end = batch->view.count};
    return extract(batch, &plan, ret_batch);
}
