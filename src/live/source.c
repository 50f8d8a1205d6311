/* live/source.c: an event is in the ring before the table has its value.
 *
 *   put: ring {sequence, value} ─ commit ─ table ─ tabled
 *
 * In that order a feed that reads sequence s in the table, and then finds nothing more in the ring, knows that every
 * event up to s has been read or was lost: that is how losses are counted exactly (feed_run.c). And `tabled` tells it
 * whether the table has what an event told that it did not read. */
#include "live/source.h"

#include "live/ring_write.h"
#include "live/table_write.h"

#define SLOTS 2 /* feeds want the newest alone; one that is overtaken while it copies looks again */

struct yd_live_source {
    struct yd_live_source_options options;
    struct yd_live_table_view view;
    struct yd_live_mapping table_mapping, ring_mapping;
    /* the writer's */
    uint8_t *event; /* YD__SEQUENCE_SIZE + value_max */
    struct yd_live_table *table;
    struct yd_live_ring ring;
    uint64_t tabled; /* atomic: the table has the values of all events before this position of the ring */
};

bool yd_live_source_fits(uint32_t measurements, uint32_t value_max)
{
    uint64_t cell = yd_live_table_cell_size(YD__SEQUENCE_SIZE + value_max, SLOTS, true);
    return measurements <= YD__TABLE_CAPACITY_MAX && measurements * cell <= (uint64_t)UINT32_MAX * yd__cell_unit(true);
}

static int create_table(struct yd_live_source *source)
{
    const struct yd_live_source_options *options = &source->options;
    struct yd_live_table_options table = {.generation = options->generation,
                                          .id = options->id,
                                          .now_ns = options->now_ns,
                                          .capacity = options->measurements,
                                          .names_size = (uint64_t)options->measurements * 128,
                                          .cells_size = options->measurements *
                                                        yd_live_table_cell_size(options->value_max, SLOTS, true),
                                          .slots = SLOTS,
                                          .is_dense = true};
    int error = yd_live_table_create(&table, NULL, &source->table);
    if (error) return error;
    const struct yd_live_region *region = yd_live_table_region(source->table);
    source->table_mapping = (struct yd_live_mapping){region->header, region->size, false};
    yd_live_table_set_state(source->table, YD__LIVE_READY);
    return yd_live_table_view_open(&source->table_mapping, &source->view);
}

static int create_ring(struct yd_live_source *source)
{
    const struct yd_live_source_options *options = &source->options;
    struct yd_live_ring_options ring = {
        .generation = options->generation, .id = options->id, .now_ns = options->now_ns, .size = options->ring_size};
    int error = yd_live_ring_create(&ring, &source->ring);
    if (error) return error;
    source->ring_mapping = (struct yd_live_mapping){source->ring.region.header, source->ring.region.size, false};
    yd_live_ring_set_state(&source->ring, YD__LIVE_READY);
    return 0;
}

int yd_live_source_create(const struct yd_live_source_options *options, struct yd_live_source **ret_source)
{
    struct yd_live_source *source = yd_alloc_zero(NULL, sizeof *source);
    if (!source) return YD_ENOMEM;
    source->options = *options;
    source->event = yd_alloc_get(NULL, YD__SEQUENCE_SIZE + (size_t)options->value_max);
    int error = source->event ? create_table(source) : YD_ENOMEM;
    if (!error) error = create_ring(source);
    if (error) {
        yd_live_source_destroy(source);
        return error;
    }
    *ret_source = source;
    return 0;
}

void yd_live_source_destroy(struct yd_live_source *source)
{
    if (!source) return;
    yd_live_table_destroy(source->table);
    if (source->ring.shared) yd_live_ring_destroy(&source->ring);
    if (source->event) yd_alloc_put(NULL, source->event, YD__SEQUENCE_SIZE + (size_t)source->options.value_max);
    yd_alloc_put(NULL, source, sizeof *source);
}

int yd_live_source_declare(struct yd_live_source *source, struct yd_str name, enum yd_type type, uint32_t value_size,
                           uint32_t *ret_index)
{
    return yd_live_table_declare(source->table, name, type, value_size, ret_index);
}

int yd_live_source_find(const struct yd_live_source *source, struct yd_str name, uint32_t *ret_index)
{
    return yd_live_table_find(source->table, name, ret_index);
}

int yd__source_event(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size)
{
    struct yd_live_cell cell;
    if (size > 8) { /* 8 bytes fit everywhere */
        int error = yd_live_table_view_cell(&source->view, index, &cell);
        if (error) return error;
        if (size > cell.value_size || size > source->options.value_max) return YD_ETOOBIG;
    }
    uint64_t seq = yd_live_table_published(source->table, index) + 1;
    memcpy(source->event, &seq, YD__SEQUENCE_SIZE);
    memcpy(source->event + YD__SEQUENCE_SIZE, bytes, size);
    int error = yd_live_ring_put(&source->ring, index, time_ns, type, flags, source->event, YD__SEQUENCE_SIZE + size);
    if (!error) yd_live_ring_commit(&source->ring);
    return error;
}

int yd__source_value(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                     const void *bytes, uint32_t size)
{
    int error = yd_live_table_set(source->table, index, time_ns, type, flags, bytes, size);
    /* Pairs with the acquire in yd_live_source_is_tabled. */
    __atomic_store_n(&source->tabled, source->ring.committed, __ATOMIC_RELEASE);
    return error;
}

int yd_live_source_put(struct yd_live_source *source, uint32_t index, int64_t time_ns, enum yd_type type,
                       uint16_t flags, const void *bytes, uint32_t size)
{
    int error = yd__source_event(source, index, time_ns, type, flags, bytes, size);
    return error ? error : yd__source_value(source, index, time_ns, type, flags, bytes, size);
}

bool yd_live_source_is_tabled(const struct yd_live_source *source, uint64_t position)
{
    return __atomic_load_n(&source->tabled, __ATOMIC_ACQUIRE) >= position;
}

const struct yd_live_table_view *yd_live_source_view(const struct yd_live_source *source)
{
    return &source->view;
}

const struct yd_live_mapping *yd_live_source_ring(const struct yd_live_source *source)
{
    return &source->ring_mapping;
}

const struct yd_live_source_options *yd_live_source_options(const struct yd_live_source *source)
{
    return &source->options;
}
