/* Reading: everything that a reader relies on is checked once, here, before the first record is handed out.
 *
 *   1. the body's checksum                          (damage)
 *   2. one tight pass over the records, no branches (names, kinds, types, flags, scalars, times)
 *   3. the names: place, text, hash
 *   4. only if there are any: values on the heap, cells to the bottom
 *
 * All entries together, each rounded up to 8, must be exactly as large as the heap. So bytes cannot hide between
 * entries, and entries cannot be shared: what a reader walks is never more than what he was sent, however lists are
 * nested, and no selection of a batch is larger than the batch. */
#include "base/hash.h"
#include "base/text.h"
#include "batch/batch_internal.h"

/* Types that a kind may have. Readers may go by the kind alone: a PACKET has bytes and a ROW has cells, or nothing. */
#define TYPES_ALL ((1u << YD_TYPE_COUNT) - 1)
static const uint16_t types_of_kind[16] = {
    [YD_SAMPLE] = TYPES_ALL,
    [YD_TALLY] = TYPES_ALL,
    [YD_DELTA] = TYPES_ALL,
    [YD_STATE] = TYPES_ALL,
    [YD_EVENT] = TYPES_ALL,
    [YD_FACT] = TYPES_ALL,
    [YD_PACKET] = 1u << YD_NIL | 1u << YD_BLOB,
    [YD_ROW] = 1u << YD_NIL | 1u << YD_MAP,
};
static const uint64_t bits_max[16] = {
    [YD_NIL] = 0,           [YD_BOOL] = 1,          [YD_I64] = UINT64_MAX,
    [YD_U64] = UINT64_MAX,  [YD_F64] = UINT64_MAX,  [YD_TEXT] = UINT64_MAX,
    [YD_BLOB] = UINT64_MAX, [YD_LIST] = UINT64_MAX, [YD_MAP] = UINT64_MAX,
};
#define RECORD_FLAGS                                                                                                   \
    (YD_RECORD_CODE_MASK | YD_RECORD_STALE | YD_RECORD_TRANSITION | YD_RECORD_ROLLOVER | YD_RECORD_QUALITY |           \
     YD_RECORD_TOMBSTONE)

/* What differs from record to record, one by one. */
static void add_mixed(struct yd__facts *facts, const struct yd_record *records, uint32_t count)
{
    uint32_t kinds = 0, types = 0, bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct yd_record *r = &records[i];
        unsigned kind = r->kind, type = r->type;
        bad |= ((kind | type) & 0xf0) | (r->flags & ~RECORD_FLAGS);
        bad |= (types_of_kind[kind & 15] >> (type & 15) & 1) ^ 1;
        bad |= r->value.bits > bits_max[type & 15];
        kinds |= 1u << (kind & 15);
        types |= 1u << (type & 15);
    }
    facts->kinds |= kinds;
    facts->types |= types;
    facts->bad |= bad != 0;
}

bool yd__record_is_bad(const struct yd_record *record, uint32_t name_count)
{
    unsigned kind = record->kind, type = record->type;
    return record->name >= name_count || ((kind | type) & 0xf0) || (record->flags & ~RECORD_FLAGS) ||
           !(types_of_kind[kind & 15] >> (type & 15) & 1) || record->value.bits > bits_max[type & 15];
}

static void add_unsorted(struct yd__facts *facts, const struct yd_record *records, uint32_t count)
{
    int64_t min = facts->time_min, max = facts->time_max;
    for (uint32_t i = 0; i < count; i++) {
        min = YD_MIN(min, records[i].time_ns);
        max = YD_MAX(max, records[i].time_ns);
    }
    facts->time_min = min;
    facts->time_max = max;
    facts->unsorted = true;
}

/* Kind, type and flags in one word. */
static inline uint32_t traits_of(const struct yd_record *record)
{
    uint32_t traits;
    memcpy(&traits, &record->kind, sizeof traits);
    return traits;
}
_Static_assert(offsetof(struct yd_record, kind) + 4 == offsetof(struct yd_record, value), "traits are one word");

/* Runs of records are mostly alike: same kind, type and flags, times rising. Then a handful of instructions each will
 * do; runs that are not are walked again. */
void yd__facts_add(struct yd__facts *facts, const struct yd_record *records, uint32_t count, uint32_t name_count)
{
    enum { RUN = 256 }; /* 6 KiB: still in the first cache when walked again */
    while (count) {
        uint32_t run = YD_MIN(count, RUN), name = 0, differs = 0, unsorted = 0, first = traits_of(records);
        int64_t last = facts->time_last;
        for (uint32_t i = 0; i < run; i++) {
            const struct yd_record *r = &records[i];
            name = YD_MAX(name, r->name);
            differs |= traits_of(r) ^ first;
            unsorted |= r->time_ns < last;
            last = r->time_ns;
        }
        facts->bad |= name >= name_count;
        facts->time_last = last;
        if (YD_UNLIKELY(unsorted)) {
            add_unsorted(facts, records, run);
        } else { /* rising from where the run before ended, but that one may have been unsorted */
            facts->time_min = YD_MIN(facts->time_min, records[0].time_ns);
            facts->time_max = YD_MAX(facts->time_max, last);
        }
        /* NIL and BOOL have values to look at. */
        add_mixed(facts, records, differs || records->type <= YD_BOOL ? run : 1);
        records += run;
        count -= run;
    }
}

struct check {
    const char *heap;
    uint64_t heap_size, used; /* used: by the entries seen so far */
    uint32_t name_count;
};

/* An entry: in the heap, aligned, zero-padded; an empty one stands at 0. */
static bool entry_is_fine(struct check *check, uint32_t offset, uint32_t size)
{
    uint64_t end = yd__heap_up((uint64_t)offset + size);
    if (offset % YD__HEAP_ALIGN || end > check->heap_size || (size == 0 && offset)) return false;
    check->used += yd__heap_up(size);
    if (size % 8 == 0) return true;
    uint64_t word;
    memcpy(&word, check->heap + end - 8, sizeof word);
    return word >> (size % 8 * 8) == 0;
}

static bool value_is_fine(struct check *check, unsigned type, union yd_value value, unsigned depth);

static bool cells_are_fine(struct check *check, bool map, union yd_value value, unsigned depth)
{
    uint32_t size = value.heap.size;
    if (depth >= YD_BATCH_DEPTH_MAX || size < sizeof(struct yd_cells)) return false;
    /* Checked here rather than at the end: entries that are shared could make this walk exponentially long. */
    if (!entry_is_fine(check, value.heap.offset, size) || check->used > check->heap_size) return false;
    const struct yd_cells *cells = (const void *)(check->heap + value.heap.offset);
    if (cells->reserved || (size - sizeof *cells) / sizeof *cells->cell != cells->count || size % 16 != 8) return false;
    for (uint32_t i = 0; i < cells->count; i++) {
        const struct yd_cell *cell = &cells->cell[i];
        if (cell->reserved[0] | cell->reserved[1] | cell->reserved[2]) return false;
        if (map ? cell->name >= check->name_count : cell->name != YD_NO_NAME) return false;
        if (!value_is_fine(check, cell->type, cell->value, depth + 1)) return false;
    }
    return true;
}

static bool value_is_fine(struct check *check, unsigned type, union yd_value value, unsigned depth)
{
    switch (type) {
    case YD_NIL:
    case YD_BOOL:
        return value.bits <= bits_max[type];
    case YD_I64:
    case YD_U64:
    case YD_F64:
        return true;
    case YD_TEXT:
        return entry_is_fine(check, value.heap.offset, value.heap.size) &&
               yd_text_utf8((struct yd_str){check->heap + value.heap.offset, value.heap.size});
    case YD_BLOB:
        return entry_is_fine(check, value.heap.offset, value.heap.size);
    case YD_LIST:
    case YD_MAP:
        return cells_are_fine(check, type == YD_MAP, value, depth);
    default:
        return false;
    }
}

/* The hash is checked so that it can be trusted: a wrong one would give one name two places in somebody's table. */
static bool names_are_fine(struct check *check, const struct yd_view *view)
{
    for (uint32_t i = 0; i < view->name_count; i++) {
        const struct yd_name_entry *entry = &view->names[i];
        if (entry->size > YD_NAME_SIZE_MAX || !entry_is_fine(check, entry->offset, entry->size)) return false;
        struct yd_str name = {view->heap + entry->offset, entry->size};
        if (!yd_text_utf8(name) || yd_hash_str(name) != entry->hash) return false;
    }
    return true;
}

/* As entry_is_fine of each, for records that are all BLOBs: what streams of messages are made of. Without a branch but
 * for the padding, so that several are looked at at once: a tenth of what reading such a stream costs. */
static bool blobs_are_fine(struct check *check, const struct yd_view *view)
{
    uint64_t used = 0, bad = 0;
    for (uint32_t i = 0; i < view->count; i++) {
        uint32_t offset = view->records[i].value.heap.offset, size = view->records[i].value.heap.size;
        uint64_t taken = yd__heap_up(size), end = offset + taken, word = 0;
        bad |= (uint64_t)(offset % YD__HEAP_ALIGN) | (uint64_t)(end > check->heap_size) | (uint64_t)(!size & !!offset);
        used += taken;
        if (size % 8 && end <= check->heap_size) memcpy(&word, check->heap + end - 8, sizeof word);
        bad |= word >> (size % 8 * 8); /* size % 8 is 0: the word is */
    }
    check->used += used;
    return bad == 0;
}

int yd_view_open(const struct yd_header *header, const void *body, bool check_crc, struct yd_view *ret_view)
{
    if (header->codec != YD_CODEC_NONE) return YD_ENOTSUP;
    if ((uintptr_t)body % YD__HEAP_ALIGN) return YD_EINVAL;
    uint64_t names_at = (uint64_t)header->count * sizeof(struct yd_record);
    uint64_t heap_at = names_at + (uint64_t)header->names * sizeof(struct yd_name_entry);
    if (header->count == 0 || heap_at > header->body_size) return YD_EFORMAT;
    if (check_crc && yd_crc32c(0, body, header->body_size) != header->body_crc) return YD_ECORRUPT;

    struct yd_view view = yd__view_of(body, header->count, header->names, (uint32_t)(header->body_size - heap_at));
    struct yd__facts facts = YD__FACTS_EMPTY;
    yd__facts_add(&facts, view.records, view.count, view.name_count);
    if (facts.bad || facts.kinds != header->kinds || facts.time_min != header->time_min ||
        facts.time_max != header->time_max || (facts.unsorted && (header->flags & YD_FLAG_SORTED)))
        return YD_EFORMAT;

    struct check check = {.heap = view.heap, .heap_size = view.heap_size, .name_count = view.name_count};
    if (!names_are_fine(&check, &view)) return YD_EFORMAT;
    if (facts.types == UINT32_C(1) << YD_BLOB) {
        if (!blobs_are_fine(&check, &view)) return YD_EFORMAT;
    } else if (facts.types & YD__HEAP_TYPES) {
        for (uint32_t i = 0; i < view.count; i++) {
            const struct yd_record *record = &view.records[i];
            if ((YD__HEAP_TYPES >> record->type & 1) && !value_is_fine(&check, record->type, record->value, 0))
                return YD_EFORMAT;
        }
    }
    if (check.used != check.heap_size) return YD_EFORMAT;
    *ret_view = view;
    return 0;
}

const struct yd_cell *yd_view_find(const struct yd_view *view, union yd_value map, struct yd_str name)
{
    const struct yd_cells *cells = yd_view_cells(view, map);
    for (uint32_t i = 0; i < cells->count; i++)
        if (yd_str_eq(yd_view_name(view, cells->cell[i].name), name)) return &cells->cell[i];
    return NULL;
}

bool yd_value_number(enum yd_type type, union yd_value value, double *ret)
{
    switch (type) {
    case YD_BOOL:
    case YD_U64:
        *ret = (double)value.u64;
        return true;
    case YD_I64:
        *ret = (double)value.i64;
        return true;
    case YD_F64:
        *ret = value.f64;
        return true;
    default:
        return false;
    }
}
