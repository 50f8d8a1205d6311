/* The builder: names, scalar records, sealing. See builder_internal.h for what is where.
 * Full is an answer, not a failure: the caller seals and tries again. Out of memory leaves everything as it was. */
#include "base/hash.h"
#include "base/text.h"
#include "batch/builder_internal.h"

#define SIZE_DEFAULT (UINT32_C(1) << 20)
#define SIZE_MIN     UINT32_C(8192) /* one record with the longest name and some records reserved beside */
#define SLOTS_MIN    1024
#define STAMP_MAX    4095
#define BLOCK_MIN    4096
#define SCAN_RECORDS 512 /* 12 KiB at a time: checksum and scan share the cache */

/* A slot's parts. */
static inline uint64_t slot_key(uint64_t hash, uint32_t stamp)
{
    return hash >> 32 << 12 | stamp;
}
static inline uint32_t slot_stamp(uint64_t slot)
{
    return (uint32_t)(slot >> 20) & STAMP_MAX;
}
static inline uint32_t slot_name(uint64_t slot)
{
    return (uint32_t)slot & (YD__NAMES_MAX - 1);
}

int yd_builder_create(const struct yd_builder_options *options, struct yd_builder **ret_builder)
{
    static const struct yd_builder_options defaults;
    if (!options) options = &defaults;
    uint32_t size_max = options->size_max ? options->size_max : SIZE_DEFAULT;
    if (size_max > YD_BATCH_SIZE_MAX) return YD_ETOOBIG;
    size_max = YD_MAX(size_max, SIZE_MIN) & ~(uint32_t)(YD_BATCH_ALIGN - 1);
    struct yd_builder *builder = yd_alloc_zero(options->alloc, sizeof *builder);
    if (!builder) return YD_ENOMEM;
    builder->alloc = options->alloc;
    builder->body_max = builder->room = size_max - YD_BATCH_HEADER_SIZE;
    builder->records_max = options->records_max ? options->records_max : UINT32_MAX;
    builder->names_max = options->names_max && options->names_max < YD__NAMES_MAX ? options->names_max : YD__NAMES_MAX;
    builder->size_hint = BLOCK_MIN;
    builder->slot_capacity = SLOTS_MIN;
    builder->slot_mask = SLOTS_MIN - 1;
    builder->stamp = 1;
    builder->last = YD_NO_NAME;
    builder->slots = yd_alloc_zero(builder->alloc, SLOTS_MIN * sizeof *builder->slots);
    if (!builder->slots) {
        yd_alloc_put(builder->alloc, builder, sizeof *builder);
        return YD_ENOMEM;
    }
    *ret_builder = builder;
    return 0;
}

void yd_builder_destroy(struct yd_builder *builder)
{
    if (!builder) return;
    struct yd_alloc *alloc = builder->alloc;
    yd__block_destroy(builder->block);
    yd_alloc_put(alloc, builder->names, builder->name_capacity * sizeof *builder->names);
    yd_alloc_put(alloc, builder->slots, builder->slot_capacity * sizeof *builder->slots);
    yd_alloc_put(alloc, builder->heap, builder->heap_capacity);
    yd_alloc_put(alloc, builder->cells, builder->cell_capacity * sizeof *builder->cells);
    yd_alloc_put(alloc, builder->origin.runs, builder->origin.capacity * sizeof *builder->origin.runs);
    yd_alloc_put(alloc, builder, sizeof *builder);
}

int yd__builder_full(const struct yd_builder *builder, uint64_t size)
{
    /* The longest name beside it: then an emptied builder surely takes both, and trying again ends. */
    uint64_t with_name = size + sizeof(struct yd_name_entry) + yd__heap_up(YD_NAME_SIZE_MAX);
    return builder->count == 0 && with_name > builder->body_max ? YD_ETOOBIG : YD_EFULL;
}

void *yd__builder_grow(struct yd_builder *builder, void *array, uint32_t *capacity, uint64_t need, size_t item_size)
{
    if (need <= *capacity) return array;
    uint64_t count = YD_MAX(YD_MAX(need, (uint64_t)*capacity * 2), 256);
    if (count > UINT32_MAX) return NULL;
    void *grown = yd_alloc_resize(builder->alloc, array, *capacity * item_size, count * item_size);
    if (grown) *capacity = (uint32_t)count;
    return grown;
}

/* All slots free at once. */
static void empty_slots(struct yd_builder *builder)
{
    if (++builder->stamp <= STAMP_MAX) return;
    memset(builder->slots, 0, builder->slot_capacity * sizeof *builder->slots);
    builder->stamp = 1;
}

static void insert_slot(struct yd_builder *builder, uint64_t hash, uint32_t name)
{
    uint32_t i = (uint32_t)hash & builder->slot_mask;
    while (slot_stamp(builder->slots[i]) == builder->stamp) i = (i + 1) & builder->slot_mask;
    builder->slots[i] = slot_key(hash, builder->stamp) << 20 | name;
}

/* Uses at least twice as many slots as now and as names: in the memory there is, or in more. Names that went in without
 * looking (yd_builder_name_fresh) may be many times those that the slots knew of, and get theirs now. */
static bool grow_slots(struct yd_builder *builder)
{
    uint32_t count = (builder->slot_mask + 1) * 2;
    while (count < (builder->name_count + 1) * 2) count *= 2;
    if (count > builder->slot_capacity) {
        uint64_t *slots = yd_alloc_zero(builder->alloc, count * sizeof *slots);
        if (!slots) return false;
        yd_alloc_put(builder->alloc, builder->slots, builder->slot_capacity * sizeof *slots);
        builder->slots = slots;
        builder->slot_capacity = count;
    }
    builder->slot_mask = count - 1;
    empty_slots(builder);
    for (uint32_t i = 0; i < builder->name_count; i++) insert_slot(builder, builder->names[i].hash, i);
    return true;
}

static inline uint64_t load(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* memcmp's call costs more than these few words do. */
static inline bool same_bytes(const char *a, const char *b, size_t size)
{
    if (size < 8) {
        for (size_t i = 0; i < size; i++)
            if (a[i] != b[i]) return false;
        return true;
    }
    for (size_t i = 0; i + 8 < size; i += 8)
        if (load(a + i) != load(b + i)) return false;
    return load(a + size - 8) == load(b + size - 8);
}

int yd__builder_put(struct yd_builder *builder, const void *data, uint32_t size, union yd_value *ret_value)
{
    uint32_t padded = (uint32_t)yd__heap_up(size), offset = builder->heap_size;
    if (size == 0) {
        ret_value->bits = 0;
        return 0;
    }
    char *heap = yd__builder_grow(builder, builder->heap, &builder->heap_capacity, (uint64_t)offset + padded, 1);
    if (!heap) return YD_ENOMEM;
    builder->heap = heap;
    memset(heap + offset + padded - 8, 0, 8);
    memcpy(heap + offset, data, size);
    builder->heap_size += padded;
    builder->room -= padded;
    ret_value->heap.offset = offset;
    ret_value->heap.size = size;
    return 0;
}

/* Copies a name to aligned room, zero-padded, word by word. Whether all of it is ASCII without NUL. */
static inline bool copy_name(char *to, const char *from, size_t size)
{
    const uint64_t highs = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    uint64_t odd = 0, word = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        word = load(from + i);
        odd |= word | (word - ones); /* a high bit: there, or borrowed by a zero */
        memcpy(to + i, &word, 8);
    }
    if (i < size) {
        size_t rest = size - i;
        if (size >= 8) {
            word = load(from + size - 8);
            odd |= word | (word - ones);
            word >>= 8 * (8 - rest);
        } else {
            word = 0;
            memcpy(&word, from, rest);
            odd |= highs; /* the padding looks like NULs: let the other one look at it */
        }
        memcpy(to + i, &word, 8);
    }
    return (odd & highs) == 0;
}

/* An entry and its bytes behind the others. is_checked: the caller knows that it is UTF-8. */
static inline int append_name(struct yd_builder *builder, struct yd_str name, uint64_t hash, bool is_checked,
                              uint32_t *ret_name)
{
    if (YD_UNLIKELY(name.size > YD_NAME_SIZE_MAX)) return YD_ETOOBIG;
    uint32_t padded = (uint32_t)yd__heap_up(name.size), need = (uint32_t)sizeof(struct yd_name_entry) + padded;
    uint32_t index = builder->name_count, offset = builder->heap_size;
    if (YD_UNLIKELY(need > builder->room || index >= builder->names_max)) return YD_EFULL;
    if (YD_UNLIKELY(index == builder->name_capacity)) {
        struct yd_name_entry *names =
            yd__builder_grow(builder, builder->names, &builder->name_capacity, (uint64_t)index + 1, sizeof *names);
        if (!names) return YD_ENOMEM;
        builder->names = names;
    }
    if (YD_UNLIKELY(builder->heap_capacity - offset < padded)) {
        char *heap = yd__builder_grow(builder, builder->heap, &builder->heap_capacity, (uint64_t)offset + padded, 1);
        if (!heap) return YD_ENOMEM;
        builder->heap = heap;
    }
    bool is_ascii = copy_name(builder->heap + offset, name.data, name.size);
    if (YD_UNLIKELY(!is_ascii && !is_checked) && !yd_text_utf8(name))
        return YD_EFORMAT; /* nothing counts what was copied */
    builder->names[index] = (struct yd_name_entry){name.size ? offset : 0, (uint32_t)name.size, hash};
    builder->name_count++;
    builder->heap_size += padded;
    builder->room -= need;
    *ret_name = index;
    return 0;
}

/* A new name, into the free slot where the search for it ended. */
static __attribute__((noinline)) int add_name(struct yd_builder *builder, struct yd_str name, uint64_t hash,
                                              uint32_t free_slot, uint32_t *ret_name)
{
    bool moves = (builder->name_count + 1) * 2 > builder->slot_mask;
    uint32_t index;
    if (YD_UNLIKELY(moves) && !grow_slots(builder)) return YD_ENOMEM;
    int r = append_name(builder, name, hash, false, &index);
    if (r < 0) return r;
    if (YD_UNLIKELY(moves))
        insert_slot(builder, hash, index);
    else
        builder->slots[free_slot] = slot_key(hash, builder->stamp) << 20 | index;
    *ret_name = index;
    return 0;
}

int yd_builder_name_hashed(struct yd_builder *builder, struct yd_str name, uint64_t hash, uint32_t *ret_name)
{
    uint64_t key = slot_key(hash, builder->stamp);
    for (uint32_t i = (uint32_t)hash & builder->slot_mask;; i = (i + 1) & builder->slot_mask) {
        uint64_t slot = builder->slots[i];
        if (YD_LIKELY(slot >> 20 == key)) {
            const struct yd_name_entry *entry = &builder->names[slot_name(slot)];
            if (YD_LIKELY(entry->size == name.size &&
                          same_bytes(builder->heap + entry->offset, name.data, name.size))) {
                *ret_name = slot_name(slot);
                return 0;
            }
        } else if (slot_stamp(slot) != builder->stamp) {
            return add_name(builder, name, hash, i, ret_name);
        }
    }
}

/* Who sends by the clock sends the same names in the same order. So first see whether this is the name that followed
 * the last one before: that spares the hash and the search. Not where it keeps failing: then once in a while. */
static inline bool guess(struct yd_builder *builder, struct yd_str name)
{
    enum { LUCK_MAX = 8, PAUSE = 64 };
    if (builder->luck > LUCK_MAX) {
        builder->luck--;
        return false;
    }
    uint32_t next = builder->last + 1;
    if (next >= builder->name_count) next = 0;
    if (next < builder->name_count) {
        const struct yd_name_entry *entry = &builder->names[next];
        if (entry->size == name.size && same_bytes(builder->heap + entry->offset, name.data, name.size)) {
            builder->last = next;
            builder->luck = 0;
            return true;
        }
    }
    if (++builder->luck > LUCK_MAX) builder->luck += PAUSE;
    return false;
}

int yd_builder_name_fresh(struct yd_builder *builder, struct yd_str name, uint64_t hash, uint32_t *ret_name)
{
    return append_name(builder, name, hash, true, ret_name);
}

int yd_builder_name(struct yd_builder *builder, struct yd_str name, uint32_t *ret_name)
{
    if (guess(builder, name)) {
        *ret_name = builder->last;
        return 0;
    }
    int r = yd_builder_name_hashed(builder, name, yd_hash_str(name), ret_name);
    if (r == 0) builder->last = *ret_name;
    return r;
}

void yd_builder_prefetch(const struct yd_builder *builder, uint64_t hash)
{
    __builtin_prefetch(&builder->slots[(uint32_t)hash & builder->slot_mask]);
}

void yd__builder_back(struct yd_builder *builder, uint32_t name_count, uint32_t heap_size)
{
    /* Youngest first: nothing younger was ever placed behind a name in its run of slots, so its slot just goes free. */
    while (builder->name_count > name_count) {
        const struct yd_name_entry *entry = &builder->names[--builder->name_count];
        uint64_t slot = slot_key(entry->hash, builder->stamp) << 20 | builder->name_count;
        uint32_t i = (uint32_t)entry->hash & builder->slot_mask;
        /* One that went in without looking has no slot. */
        while (builder->slots[i] != slot && slot_stamp(builder->slots[i]) == builder->stamp)
            i = (i + 1) & builder->slot_mask;
        builder->slots[i] = 0;
        builder->room += (uint32_t)sizeof *entry;
    }
    builder->room += builder->heap_size - heap_size;
    builder->heap_size = heap_size;
}

/* Memory for `count` more records. */
static bool grow_records(struct yd_builder *builder, uint32_t count)
{
    uint64_t need = ((uint64_t)builder->count + count) * sizeof(struct yd_record);
    uint64_t size =
        builder->block ? YD_MAX(need, (uint64_t)builder->block->capacity * 2) : YD_MAX(need, builder->size_hint);
    size = YD_MAX(YD_MIN(size, builder->body_max), need);
    struct yd__block *block =
        builder->block ? yd__block_resize(builder->block, size) : yd__block_create(builder->alloc, size);
    if (!block) return false;
    builder->block = block;
    builder->records = (struct yd_record *)(void *)yd__block_data(block);
    builder->capacity = (uint32_t)(size / sizeof(struct yd_record));
    return true;
}

int yd__builder_ready(struct yd_builder *builder)
{
    if (YD_UNLIKELY(builder->room < sizeof(struct yd_record) || builder->count >= builder->records_max))
        return YD_EFULL;
    if (YD_UNLIKELY(builder->count >= builder->capacity) && !grow_records(builder, 1)) return YD_ENOMEM;
    return 0;
}

void yd__builder_push(struct yd_builder *builder, const struct yd_record *record)
{
    builder->records[builder->count++] = *record;
    builder->room -= (uint32_t)sizeof *record;
}

int yd_builder_add(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind, enum yd_type type,
                   uint16_t flags, union yd_value value)
{
    if (YD_UNLIKELY((unsigned)type > YD_F64 || builder->depth || builder->reserved)) return YD_EINVAL;
    int r = yd__builder_ready(builder);
    if (r < 0) return r;
    struct yd_record record = {time_ns, name, (uint8_t)kind, (uint8_t)type, flags, value};
    if (YD_UNLIKELY(yd__record_is_bad(&record, builder->name_count))) return YD_EINVAL;
    yd__builder_push(builder, &record);
    return 0;
}

int yd_builder_add_bytes(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind,
                         enum yd_type type, uint16_t flags, struct yd_str bytes)
{
    if ((type != YD_TEXT && type != YD_BLOB) || builder->depth || builder->reserved) return YD_EINVAL;
    uint64_t need = sizeof(struct yd_record) + yd__heap_up(bytes.size);
    if (bytes.size > YD_BATCH_SIZE_MAX) return YD_ETOOBIG;
    if (need > builder->room) return yd__builder_full(builder, need);
    struct yd_record record = {time_ns, name, (uint8_t)kind, (uint8_t)type, flags, .value.bits = 0};
    if (YD_UNLIKELY(yd__record_is_bad(&record, builder->name_count))) return YD_EINVAL;
    if (type == YD_TEXT && !yd_text_utf8(bytes)) return YD_EFORMAT;
    int r = yd__builder_ready(builder);
    if (r == 0) r = yd__builder_put(builder, bytes.data, (uint32_t)bytes.size, &record.value);
    if (r < 0) return r;
    yd__builder_push(builder, &record);
    return 0;
}

int yd_builder_reserve(struct yd_builder *builder, uint32_t want, struct yd_record **ret_records, uint32_t *ret_room)
{
    /* Each may come with a new name: leave room for ordinary ones. The last record may take what is left. */
    enum { WITH_NAME = sizeof(struct yd_record) + sizeof(struct yd_name_entry) + 48 };
    if (builder->depth) return YD_EINVAL;
    yd_builder_commit(builder, 0);
    uint32_t fit = builder->room / WITH_NAME;
    if (fit == 0) fit = builder->room >= sizeof(struct yd_record);
    fit = YD_MIN(YD_MIN(want, fit), builder->records_max - builder->count);
    if (fit == 0) return YD_EFULL;
    if (builder->capacity - builder->count < fit && !grow_records(builder, fit)) return YD_ENOMEM;
    builder->reserved = fit;
    builder->room -= fit * (uint32_t)sizeof(struct yd_record);
    *ret_records = builder->records + builder->count;
    *ret_room = fit;
    return 0;
}

void yd_builder_commit(struct yd_builder *builder, uint32_t count)
{
    YD_ASSERT(count <= builder->reserved);
    unsigned on_heap = 0; /* the one thing that sealing cannot tell: such a record would read where it likes */
    for (uint32_t i = 0; i < count; i++) on_heap |= builder->records[builder->count + i].type > YD_F64;
    YD_ASSERT(!on_heap);
    builder->room += (builder->reserved - count) * (uint32_t)sizeof(struct yd_record);
    builder->count += count;
    builder->reserved = 0;
}

uint32_t yd_builder_count(const struct yd_builder *builder)
{
    return builder->count;
}

size_t yd_builder_size(const struct yd_builder *builder)
{
    size_t body = builder->count * sizeof(struct yd_record) + builder->name_count * sizeof(struct yd_name_entry) +
                  builder->heap_size;
    return YD_ALIGN_UP(YD_BATCH_HEADER_SIZE + body, YD_BATCH_ALIGN);
}

/* Empty, with the memory kept: as many slots as the names of this batch would have liked. */
static void reset(struct yd_builder *builder)
{
    uint32_t slots = SLOTS_MIN;
    while (slots < builder->name_count * 4 && slots < builder->slot_capacity) slots *= 2;
    builder->slot_mask = slots - 1;
    empty_slots(builder);
    builder->count = builder->reserved = 0;
    builder->name_count = builder->heap_size = 0;
    builder->last = YD_NO_NAME; /* so that its successor is the first */
    builder->cell_count = builder->depth = 0;
    builder->room = builder->body_max;
    builder->origin.count = builder->origin.first = 0;
    builder->origin.lost = false;
}

void yd_builder_abandon(struct yd_builder *builder)
{
    reset(builder);
}

/* The block at its final size: grown for names and heap if needed, shrunk if much of it would be kept for nothing. */
static bool fit_block(struct yd_builder *builder, size_t size)
{
    size_t capacity = builder->block->capacity;
    if (capacity >= size && capacity - size <= size / 8) return true;
    struct yd__block *block = yd__block_resize(builder->block, size);
    if (!block) return capacity >= size; /* not given back: no harm */
    builder->block = block;
    builder->records = (struct yd_record *)(void *)yd__block_data(block);
    builder->capacity = (uint32_t)(size / sizeof(struct yd_record));
    return true;
}

static int seal(struct yd_builder *builder, struct yd_batch **ret_batch)
{
    if (builder->depth || builder->reserved) return YD_EINVAL;
    if (builder->count == 0) return YD_EAGAIN;
    size_t records_size = builder->count * sizeof(struct yd_record);
    size_t names_size = builder->name_count * sizeof(struct yd_name_entry);
    size_t size = records_size + names_size + builder->heap_size;
    if (!fit_block(builder, size)) return YD_ENOMEM;
    builder->size_hint = YD_MIN(size + size / 16 + 64, builder->body_max);

    uint32_t crc = 0;
    struct yd__facts facts = YD__FACTS_EMPTY;
    for (uint32_t at = 0, chunk; at < builder->count; at += chunk) {
        chunk = YD_MIN(builder->count - at, SCAN_RECORDS);
        crc = yd_crc32c(crc, builder->records + at, chunk * sizeof(struct yd_record));
        yd__facts_add(&facts, builder->records + at, chunk, builder->name_count);
    }
    if (facts.bad) return YD_EINVAL; /* what a caller wrote into the room he reserved */
    char *to = yd__block_data(builder->block) + records_size;
    crc = yd_crc32c_copy(crc, to, builder->names, names_size);
    crc = yd_crc32c_copy(crc, to + names_size, builder->heap, builder->heap_size);

    struct yd_header header;
    yd__header_fill(&header, &facts, builder->count, builder->name_count, (uint32_t)size, crc);
    struct yd_view view = yd__view_of(builder->records, builder->count, builder->name_count, builder->heap_size);
    builder->block->body.size = (uint32_t)size;
    int r = yd__batch_wrap(builder->alloc, &header, &builder->block->body, &view, ret_batch);
    if (r < 0) return r;
    if (builder->origin.count || builder->origin.size) yd__builder_origins(builder, *ret_batch);
    builder->block = NULL; /* the batch's now */
    builder->records = NULL;
    builder->capacity = 0;
    return 0;
}

int yd_builder_seal(struct yd_builder *builder, struct yd_batch **ret_batch)
{
    int r = seal(builder, ret_batch);
    reset(builder);
    return r;
}
