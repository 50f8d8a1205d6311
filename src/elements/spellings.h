/* elements/spellings.h: from a name as it was sent to its index in the batch being built: a builder with a memory.
 *
 *   (first, second), hashed --raw_names.h: known?--> entry --of this batch?--> index
 *                                 | no                  | no: the builder is asked, without comparing where it can be
 *                                 v
 *                     options.canonical: sorted, escaped, checked; remembered
 *
 * For parsers that look a name up for every value: the line engine, Influx, StatsD, remote write. One thread. */
#ifndef ELEMENTS_SPELLINGS_H
#define ELEMENTS_SPELLINGS_H

#include <yarder/batch.h>

#include "elements/raw_names.h"

struct yd_spellings {
    struct yd_raw_names names;
    struct yd_builder *builder;
    uint32_t generation; /* of the batch being built */
    /* The canonical name of first and second into `to` (YD_NAME_SIZE_MAX bytes): 0, or a number below 0 that says why
     * not, given back by yd_spellings_name as *ret_refused. */
    int (*canonical)(void *arg, struct yd_str first, struct yd_str second, char *to, size_t *ret_size);
    void *arg;
};

/* canonical and arg are the caller's to set. batch_bytes: of a sealed frame. */
int yd_spellings_init(struct yd_spellings *spellings, struct yd_alloc *alloc, size_t batch_bytes, size_t cache_bytes,
                      uint64_t seed);
void yd_spellings_fini(struct yd_spellings *spellings);

/* 0; YD_EFULL: seal first; YD_ENOMEM, YD_ETOOBIG as of yd_builder_name. *ret_refused (0 else): canonical said no.
 * hash: yd_raw_names_hash of both. */
int yd_spellings_name(struct yd_spellings *spellings, struct yd_str first, struct yd_str second, uint64_t hash,
                      uint32_t *ret_index, int *ret_refused);
/* The exact entry is known. Here, because it is on the way of every line: 4 % of it. */
static inline int yd__spellings_known(struct yd_spellings *spellings, struct yd_raw_name *entry, uint32_t *ret_index)
{
    if (entry->generation != spellings->generation) {
        struct yd_str name = yd_raw_name_canonical(entry);
        int r = YD_UNLIKELY(entry->shared)
                    ? yd_builder_name_hashed(spellings->builder, name, entry->name_hash, &entry->index)
                    : yd_builder_name_fresh(spellings->builder, name, entry->name_hash, &entry->index);
        if (r < 0) return r;
        entry->generation = spellings->generation;
    }
    *ret_index = entry->index;
    return 0;
}
/* There is none. */
int yd__spellings_learn(struct yd_spellings *spellings, struct yd_str first, struct yd_str second, uint64_t hash,
                        uint32_t *ret_index, int *ret_refused);

/* Seals the batch, as yd_builder_seal; names are new then. */
int yd_spellings_seal(struct yd_spellings *spellings, struct yd_batch **ret_batch);
void yd_spellings_abandon(struct yd_spellings *spellings); /* forgets what is in the batch */

#endif
