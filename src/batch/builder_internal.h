/* The builder's inside, shared by its two files.
 *
 *   records   straight into the block that becomes the body: a store, and no copy at the end
 *   names     entries, and slots that find them by hash; both kept from batch to batch
 *   heap      names' bytes and values, in an array of its own
 *   cells     of LISTs and MAPs that are still open, innermost last
 *
 * Sealing puts names and heap behind the records while it computes their checksum, and hands the block over.
 *
 * A slot is a word: 32 bits of the hash, 12 bits of stamp, 20 bits of name index. A slot with another stamp is free:
 * emptying the table between batches is one increment. */
#ifndef BATCH_BUILDER_INTERNAL_H
#define BATCH_BUILDER_INTERNAL_H

#include "batch/batch_internal.h"

#define YD__NAMES_MAX (UINT32_C(1) << 20)

struct yd_builder {
    struct yd_alloc *alloc;
    uint32_t body_max, records_max, names_max;
    uint32_t room; /* bytes that the body may still grow by */

    struct yd__block *block; /* NULL until the first record */
    struct yd_record *records;
    uint32_t count, reserved, capacity; /* records; reserved ones follow the counted ones */
    size_t size_hint;                   /* bytes of the next block: a little more than the last body had */

    struct yd_name_entry *names;
    uint32_t name_count, name_capacity;
    uint64_t *slots;
    uint32_t slot_mask, slot_capacity, stamp;
    uint32_t last; /* the name asked for before this one */
    uint32_t luck; /* misses in a row; beyond a limit, names until it is worth another try */

    char *heap;
    uint32_t heap_size, heap_capacity;

    struct yd_cell *cells; /* open ones */
    uint32_t cell_count, cell_capacity;
    uint32_t depth;
    struct {
        uint32_t first; /* its first cell */
        uint32_t name;  /* of itself, in the one around it */
        uint8_t type;
    } open[YD_BATCH_DEPTH_MAX];
    struct yd_record pending; /* the record that the outermost end adds */
    uint32_t mark_names, mark_heap;

    struct yd__origin_work { /* who brings the names: origin.c */
        struct yd__origin_run *runs;
        uint32_t count, capacity;
        uint32_t first; /* name of the one that goes on */
        bool lost;      /* no room: nobody is known */
        uint8_t size;
        char text[62];
    } origin;
};
void yd__builder_origins(struct yd_builder *builder, struct yd_batch *batch); /* into what was sealed */

/* Not enough room for `size`: what to say. Only what would not fit an empty batch is too big. */
int yd__builder_full(const struct yd_builder *builder, uint64_t size);
int yd__builder_ready(struct yd_builder *builder); /* room and memory for one more record */
/* Copies bytes to the heap; the room was checked. */
int yd__builder_put(struct yd_builder *builder, const void *data, uint32_t size, union yd_value *ret_value);
void yd__builder_push(struct yd_builder *builder, const struct yd_record *record); /* after ready */
/* Takes back names and heap beyond the marks. */
void yd__builder_back(struct yd_builder *builder, uint32_t name_count, uint32_t heap_size);
void *yd__builder_grow(struct yd_builder *builder, void *array, uint32_t *capacity, uint64_t need, size_t item_size);

#endif
