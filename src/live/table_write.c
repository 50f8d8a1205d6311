/* live/table_write.c: declaring names and publishing their values (table_format.h has the picture).
 *
 *   publish: slot BUSY ─ release fence ─ words ─ slot.seq = v, release ─ head = v, release ─▶ ring
 *
 * With N slots the one written is the oldest: head names a good one all the while, whatever moment we are killed at.
 * Readers are never looked at. What can fail: a value larger than its room, a directory that is full. */
#include "live/table_write.h"

#include "base/hash.h"
#include "live/atomic.h"
#include "live/table_read.h"

#define DEFAULT_CAPACITY 65536

/* What the writer knows of a measurement by itself: the shared page is written, never read. */
struct writer_cell {
    uint64_t *head;
    uint64_t seq;
    uint32_t slot_words, value_size;
    uint16_t slot_mask;
    uint8_t first; /* words from the head to the first slot */
    uint8_t bell;
};

/* Names by their hash: open addressing, at most three quarters full. The names themselves are in the region, which only
 * we write. */
struct name_slot {
    uint32_t tag; /* high half of the hash; the low half chose the slot */
    uint32_t index_plus;
};
#define NAME_SLOTS_MIN 64
#define NOT_THERE      UINT32_MAX

struct yd_live_table {
    struct writer_cell *cells;
    uint64_t rung; /* words to ring, a bit each */
    uint32_t count;
    uint32_t cell_count; /* as many, or none */
    uint32_t bell_count;
    struct yd_live_bell *bells[YD_LIVE_BELLS_MAX];
    struct yd__table *shared;
    struct yd__table_entry *directory;
    uint8_t *cells_at;
    struct yd_live_region region;
    struct yd_alloc *alloc;
    struct name_slot *names;
    uint32_t names_capacity; /* a power of two, or 0 */
    bool is_dense, is_names, is_unsearched;
    uint64_t names_used, cells_used;
    uint64_t chain;
    uint32_t cells_capacity, slots;
};

static bool options_make_sense(const struct yd_live_table_options *options)
{
    uint32_t slots = options->slots;
    if (slots && (slots < YD__TABLE_SLOTS_MIN || slots > YD__TABLE_SLOTS_MAX || (slots & (slots - 1)))) return false;
    return options->capacity <= YD__TABLE_CAPACITY_MAX && options->names_size <= UINT32_MAX &&
           options->cells_size <= (uint64_t)UINT32_MAX * yd__cell_unit(options->is_dense);
}

int yd_live_table_create(const struct yd_live_table_options *options, struct yd_alloc *alloc,
                         struct yd_live_table **ret_table)
{
    if (!options_make_sense(options)) return YD_EINVAL;
    uint64_t capacity = options->capacity ? options->capacity : DEFAULT_CAPACITY;
    uint64_t names_size = YD_ALIGN_UP(options->names_size ? options->names_size : capacity * 64, YD__LIVE_LINE);
    uint64_t cells_size = YD_ALIGN_UP(options->cells_size ? options->cells_size : capacity * 512, YD__LIVE_LINE);
    uint64_t directory_size = YD_ALIGN_UP(capacity * sizeof(struct yd__table_entry), YD__LIVE_LINE);
    uint64_t before = YD__LIVE_CONTENT + directory_size + names_size;
    /* All of its last page is room for cells. */
    cells_size = options->is_names ? 0 : YD_ALIGN_UP(before + cells_size, YD__LIVE_PAGE) - before;
    struct yd_live_table *table = yd_alloc_zero(alloc, sizeof *table);
    if (!table) return YD_ENOMEM;
    struct yd_live_region_options region = {.label = "yarder-table",
                                            .generation = options->generation,
                                            .size = before + cells_size,
                                            .id = options->id,
                                            .now_ns = options->now_ns,
                                            .kind = YD__LIVE_TABLE};
    int error = yd_live_region_create(&region, &table->region);
    if (error) {
        yd_alloc_put(alloc, table, sizeof *table);
        return error;
    }
    struct yd__table *shared = (struct yd__table *)table->region.header;
    shared->capacity = (uint32_t)capacity;
    shared->directory_offset = YD__LIVE_CONTENT;
    shared->names_offset = shared->directory_offset + directory_size;
    shared->names_size = names_size;
    shared->cells_offset = shared->names_offset + names_size;
    shared->cells_size = cells_size;
    table->shared = shared;
    table->directory = (struct yd__table_entry *)((uint8_t *)shared + shared->directory_offset);
    table->cells_at = (uint8_t *)shared + shared->cells_offset;
    table->alloc = alloc;
    table->chain = YD__LIVE_FNV_START;
    table->slots = options->slots ? options->slots : YD__TABLE_SLOTS;
    table->is_dense = options->is_dense;
    table->is_names = options->is_names;
    table->is_unsearched = options->is_unsearched;
    *ret_table = table;
    return 0;
}

void yd_live_table_destroy(struct yd_live_table *table)
{
    if (!table) return;
    yd_alloc_put(table->alloc, table->names, table->names_capacity * sizeof *table->names);
    yd_live_region_destroy(&table->region);
    yd_alloc_put(table->alloc, table->cells, table->cells_capacity * sizeof *table->cells);
    yd_alloc_put(table->alloc, table, sizeof *table);
}

int yd_live_table_add_bell(struct yd_live_table *table, struct yd_live_bell *bell)
{
    if (table->bell_count == YD_LIVE_BELLS_MAX) return YD_EFULL;
    table->bells[table->bell_count++] = bell;
    return 0;
}

void yd_live_table_remove_bell(struct yd_live_table *table, struct yd_live_bell *bell)
{
    for (uint32_t i = 0; i < table->bell_count; i++) {
        if (table->bells[i] != bell) continue;
        table->bells[i] = table->bells[--table->bell_count];
        return;
    }
}

/* ---- names ---- */

static struct yd_str name_of(const struct yd_live_table *table, uint32_t index)
{
    const struct yd__table_entry *entry = &table->directory[index];
    return (struct yd_str){(const char *)table->shared + table->shared->names_offset + entry->name_offset,
                           entry->name_size};
}

static uint32_t find_name(const struct yd_live_table *table, struct yd_str name, uint64_t hash)
{
    uint32_t mask = table->names_capacity - 1, tag = (uint32_t)(hash >> 32);
    if (table->names_capacity == 0) return NOT_THERE;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        struct name_slot slot = table->names[at];
        if (slot.index_plus == 0) return NOT_THERE;
        if (slot.tag == tag && yd_str_eq(name_of(table, slot.index_plus - 1), name)) return slot.index_plus - 1;
    }
}

static void put_name(struct name_slot *names, uint32_t capacity, uint64_t hash, uint32_t index)
{
    uint32_t at = (uint32_t)hash & (capacity - 1);
    while (names[at].index_plus) at = (at + 1) & (capacity - 1);
    names[at] = (struct name_slot){(uint32_t)(hash >> 32), index + 1};
}

static int reserve_name(struct yd_live_table *table)
{
    if (table->is_unsearched || (uint64_t)(table->count + 1) * 4 <= (uint64_t)table->names_capacity * 3) return 0;
    uint32_t capacity = table->names_capacity ? table->names_capacity * 2 : NAME_SLOTS_MIN;
    struct name_slot *names = yd_alloc_zero(table->alloc, capacity * sizeof *names);
    if (!names) return YD_ENOMEM;
    for (uint32_t i = 0; i < table->count; i++) put_name(names, capacity, yd_hash_str(name_of(table, i)), i);
    yd_alloc_put(table->alloc, table->names, table->names_capacity * sizeof *names);
    table->names = names;
    table->names_capacity = capacity;
    return 0;
}

/* Dense cells are many: of those the writer keeps nothing beside what is shared. It reads its own words there; nobody
 * else can write them. */
static inline struct writer_cell *cell_of(struct yd_live_table *table, uint32_t index, struct writer_cell *made)
{
    if (!table->is_dense) return &table->cells[index];
    const struct yd__table_entry *entry = &table->directory[index];
    uint64_t *head = (uint64_t *)(void *)(table->cells_at + (uint64_t)entry->cell * 8);
    *made = (struct writer_cell){.head = head,
                                 .seq = yd__load(head, RELAXED),
                                 .slot_words = yd__slot_size(entry->value_size, true) / 8,
                                 .value_size = entry->value_size,
                                 .slot_mask = (uint16_t)(table->slots - 1),
                                 .first = 1,
                                 .bell = table->bell_count ? (uint8_t)yd__bell_of(entry->name_hash) : 0};
    return made;
}

static int reserve_cell(struct yd_live_table *table)
{
    if (table->is_names || table->is_dense || table->count < table->cells_capacity) return 0;
    size_t old = table->cells_capacity, capacity = old ? old * 2 : 64;
    void *cells =
        yd_alloc_resize(table->alloc, table->cells, old * sizeof *table->cells, capacity * sizeof *table->cells);
    if (!cells) return YD_ENOMEM;
    table->cells = cells;
    table->cells_capacity = (uint32_t)capacity;
    return 0;
}

/* What the writer needs of the new cell, and its pages: they come now, so that publishing takes no page fault. */
static void make_cell(struct yd_live_table *table, struct yd__table_entry *entry, uint64_t size)
{
    uint8_t *at = table->cells_at + table->cells_used;
    uint32_t unit = yd__cell_unit(table->is_dense);
    memset(at, 0, size);
    entry->cell = (uint32_t)(table->cells_used / unit);
    entry->shape = (uint8_t)((unsigned)__builtin_ctz(table->slots) | (table->is_dense ? YD__SHAPE_DENSE : 0));
    table->cells_used += size;
    uint32_t index = table->cell_count++;
    if (table->is_dense) return;
    table->cells[index] = (struct writer_cell){.head = (uint64_t *)(void *)at,
                                               .slot_words = yd__slot_size(entry->value_size, table->is_dense) / 8,
                                               .slot_mask = (uint16_t)(table->slots - 1),
                                               .value_size = entry->value_size,
                                               .first = (uint8_t)(unit / 8),
                                               .bell = (uint8_t)yd__bell_of(entry->name_hash)};
}

static void write_entry(struct yd_live_table *table, struct yd_str name, enum yd_type type, uint32_t value_size,
                        uint64_t cell_size)
{
    struct yd__table *shared = table->shared;
    memcpy((uint8_t *)shared + shared->names_offset + table->names_used, name.data, name.size);
    table->chain = yd__live_fnv(yd__live_fnv(table->chain, name.data, name.size), "", 1);
    struct yd__table_entry entry = {.name_hash = yd__live_fnv(YD__LIVE_FNV_START, name.data, name.size),
                                    .chain = table->chain,
                                    .name_offset = (uint32_t)table->names_used,
                                    .value_size = value_size,
                                    .name_size = (uint16_t)name.size,
                                    .type = (uint8_t)type};
    if (!table->is_names) make_cell(table, &entry, cell_size);
    table->directory[table->count++] = entry;
    table->names_used += name.size;
    /* Pairs with the acquire in yd_live_table_view_count: whoever sees the count sees the entry, its name and its cell.
     */
    yd__store(&shared->count, table->count, RELEASE);
    table->rung |= UINT64_C(1) << YD__BELL_NAMES; /* with the next values: a name alone wakes nobody */
}

int yd_live_table_declare(struct yd_live_table *table, struct yd_str name, enum yd_type type, uint32_t value_size,
                          uint32_t *ret_index)
{
    if (name.size == 0 || name.size > YD__TABLE_NAME_MAX || type >= YD_TYPE_COUNT) return YD_EINVAL;
    if (value_size > YD__TABLE_VALUE_MAX) return YD_ETOOBIG;
    if (type == YD_BOOL || type == YD_I64 || type == YD_U64 || type == YD_F64 || value_size < 8) value_size = 8;
    if (table->is_names) value_size = 0;
    uint64_t hash = table->is_unsearched ? 0 : yd_hash_str(name);
    uint32_t index = find_name(table, name, hash);
    if (index != NOT_THERE) {
        if (table->directory[index].value_size < value_size) return YD_EINVAL;
        *ret_index = index;
        return 0;
    }
    const struct yd__table *shared = table->shared;
    uint64_t cell_size =
        yd__cell_unit(table->is_dense) + (uint64_t)yd__slot_size(value_size, table->is_dense) * table->slots;
    if (table->count == shared->capacity || table->names_used + name.size > shared->names_size ||
        (!table->is_names && table->cells_used + cell_size > shared->cells_size))
        return YD_EFULL;
    int error = reserve_cell(table);
    if (!error) error = reserve_name(table);
    if (error) return error;
    if (!table->is_unsearched) put_name(table->names, table->names_capacity, hash, table->count);
    write_entry(table, name, type, value_size, cell_size);
    *ret_index = table->count - 1;
    return 1;
}

void yd_live_table_set_copied(struct yd_live_table *table, uint64_t generation)
{
    table->shared->copied_from = generation; /* seen with READY */
    table->shared->copied = table->count;
}

void yd_live_table_set_state(struct yd_live_table *table, enum yd__live_state state)
{
    if (state == YD__LIVE_READY) table->shared->header.dictionary_hash = table->count ? table->chain : 0;
    yd_live_region_set_state(&table->region, state);
    for (uint32_t i = 0; i < table->bell_count; i++) yd_live_bell_ring_all(table->bells[i]);
}

/* The slot of the next value, marked as being written. */
static inline uint64_t *begin_slot(struct writer_cell *cell, int64_t time_ns, uint64_t meta)
{
    uint64_t *slot = cell->head + cell->first + (size_t)((cell->seq + 1) & cell->slot_mask) * cell->slot_words;
    yd__store(&slot[YD__SLOT_SEQ], YD__SLOT_BUSY, RELAXED);
    /* Pairs with the acquire fence in copy_slot (table_read.c): who reads a word stored below, and then looks at seq
     * again, sees BUSY or later. */
    yd__fence(RELEASE);
    yd__store(&slot[YD__SLOT_TIME], (uint64_t)time_ns, RELAXED);
    yd__store(&slot[YD__SLOT_META], meta, RELAXED);
    return slot;
}

static inline void end_slot(struct writer_cell *cell, uint64_t *slot)
{
    uint64_t seq = ++cell->seq;
    yd__store(&slot[YD__SLOT_SEQ], seq, RELEASE); /* pairs with the acquire of seq in copy_slot: the words are there */
    yd__store(cell->head, seq, RELEASE);          /* pairs with the acquire of head in get and next: so is the slot */
}

int yd_live_table_set(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type, uint16_t flags,
                      const void *bytes, uint32_t size)
{
    if (YD_UNLIKELY(index >= table->cell_count)) return YD_EINVAL;
    struct writer_cell made, *cell = cell_of(table, index, &made);
    if (YD_UNLIKELY(size > cell->value_size)) return YD_ETOOBIG;
    uint64_t *slot = begin_slot(cell, time_ns, YD__META(size, type, flags));
    yd__words_in(slot + YD__SLOT_VALUE, bytes, size);
    end_slot(cell, slot);
    table->rung |= UINT64_C(1) << cell->bell;
    return 0;
}

int yd_live_table_set_bits(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type,
                           uint16_t flags, uint64_t bits)
{
    if (YD_UNLIKELY(index >= table->cell_count)) return YD_EINVAL;
    struct writer_cell made, *cell = cell_of(table, index, &made);
    uint64_t *slot = begin_slot(cell, time_ns, YD__META(8, type, flags));
    yd__store(&slot[YD__SLOT_VALUE], bits, RELAXED);
    end_slot(cell, slot);
    table->rung |= UINT64_C(1) << cell->bell;
    return 0;
}

void yd_live_table_ring(struct yd_live_table *table)
{
    uint64_t rung = table->rung;
    table->rung = 0;
    if (table->bell_count == 0) return;
    for (; rung; rung &= rung - 1) {
        uint32_t word = (uint32_t)__builtin_ctzll(rung);
        for (uint32_t i = 0; i < table->bell_count; i++) yd_live_bell_ring(table->bells[i], word);
    }
}

int yd_live_table_publish(struct yd_live_table *table, uint32_t index, int64_t time_ns, enum yd_type type,
                          uint16_t flags, const void *bytes, uint32_t size)
{
    int error = yd_live_table_set(table, index, time_ns, type, flags, bytes, size);
    if (YD_UNLIKELY(error)) return error;
    yd_live_table_ring(table);
    return 0;
}

const struct yd_live_region *yd_live_table_region(const struct yd_live_table *table)
{
    return &table->region;
}

void yd_live_table_forget_fd(struct yd_live_table *table)
{
    yd_live_region_forget_fd(&table->region);
}

uint32_t yd_live_table_count(const struct yd_live_table *table)
{
    return table->count;
}

int yd_live_table_find(const struct yd_live_table *table, struct yd_str name, uint32_t *ret_index)
{
    uint32_t index = find_name(table, name, yd_hash_str(name));
    if (index == NOT_THERE) return YD_ENOENT;
    *ret_index = index;
    return 0;
}

uint64_t yd_live_table_published(const struct yd_live_table *table, uint32_t index)
{
    if (index >= table->cell_count) return 0;
    struct writer_cell made;
    return cell_of((struct yd_live_table *)(uintptr_t)table, index, &made)->seq;
}
