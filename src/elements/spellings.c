/* Names as sent to their indices in a batch: see spellings.h. */
#include "elements/spellings.h"

int yd_spellings_init(struct yd_spellings *spellings, struct yd_alloc *alloc, size_t batch_bytes, size_t cache_bytes,
                      uint64_t seed)
{
    struct yd_builder_options building = {.size_max = (uint32_t)batch_bytes, .alloc = alloc};
    spellings->generation = 1;
    int r = yd_builder_create(&building, &spellings->builder);
    if (r < 0) return r;
    r = yd_raw_names_init(&spellings->names, alloc, cache_bytes, seed);
    if (r < 0) {
        yd_builder_destroy(spellings->builder);
        spellings->builder = NULL;
    }
    return r;
}

void yd_spellings_fini(struct yd_spellings *spellings)
{
    if (!spellings->builder) return;
    yd_raw_names_fini(&spellings->names);
    yd_builder_destroy(spellings->builder);
    spellings->builder = NULL;
}

static void start_batch_anew(struct yd_spellings *spellings)
{
    if (++spellings->generation) return;
    yd_raw_names_forget(&spellings->names); /* an entry of four milliards of batches ago must not look current */
    spellings->generation = 1;
}

int yd_spellings_seal(struct yd_spellings *spellings, struct yd_batch **ret_batch)
{
    int r = yd_builder_seal(spellings->builder, ret_batch);
    start_batch_anew(spellings);
    return r;
}

void yd_spellings_abandon(struct yd_spellings *spellings)
{
    yd_builder_abandon(spellings->builder);
    start_batch_anew(spellings);
}

int yd__spellings_learn(struct yd_spellings *spellings, struct yd_str first, struct yd_str second, uint64_t hash,
                        uint32_t *ret_index, int *ret_refused)
{
    char canonical[YD_NAME_SIZE_MAX];
    struct yd_str name = {canonical, 0};
    struct yd_raw_name *entry, *other;
    *ret_refused = spellings->canonical(spellings->arg, first, second, canonical, &name.size);
    if (*ret_refused) return 0;
    uint64_t name_hash = yd_hash_str(name);
    entry = yd_raw_names_add(&spellings->names, hash, first, second, name, name_hash, &other);
    if (!entry) {
        /* Not remembered, and perhaps in the batch already by another spelling that is. */
        other = yd_raw_names_find_name(&spellings->names, name, name_hash);
        if (!other) return yd_builder_name_hashed(spellings->builder, name, name_hash, ret_index);
        other->shared = true;
    }
    if (other && other->generation == spellings->generation) {
        *ret_index = other->index;
    } else {
        int r = yd_builder_name_hashed(spellings->builder, name, name_hash, ret_index);
        if (r < 0) return r;
    }
    if (entry) {
        entry->generation = spellings->generation;
        entry->index = *ret_index;
    }
    return 0;
}

int yd_spellings_name(struct yd_spellings *spellings, struct yd_str first, struct yd_str second, uint64_t hash,
                      uint32_t *ret_index, int *ret_refused)
{
    struct yd_raw_name *entry = yd_raw_names_find(&spellings->names, hash, first, second);
    *ret_refused = 0;
    return entry ? yd__spellings_known(spellings, entry, ret_index)
                 : yd__spellings_learn(spellings, first, second, hash, ret_index, ret_refused);
}
