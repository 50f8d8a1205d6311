/* Who brought a name: kept beside a batch in memory, never stored, never sent.
 *
 *   builder: origin "a" ─ names 0…4 ─ origin "b" ─ names 5, 6 ─ seal ─▶ runs: 0 ▸ "a", 5 ▸ "b"
 *   batch:   name 5 ─ the last run that begins at or before it ─▶ "b"
 *
 * By name, not by record: a name that two bring in one batch is his who brought it first. So a change of peers costs
 * nothing per record and splits no batch, and who only sends names that are there already leaves no trace. What does
 * not fit is not known, which is an answer, too: never somebody else's. */
#include "batch/builder_internal.h"

#define RUNS_MAX 65536

/* Not ours to fail: without room for them, nobody is known for this batch. */
static void end_run(struct yd_builder *builder)
{
    struct yd__origin_work *work = &builder->origin;
    uint32_t from = YD_MIN(work->first, builder->name_count);
    work->first = builder->name_count;
    if (from == builder->name_count || work->lost) return;
    if (work->count == 0 && work->size == 0) return; /* nobody, and nobody before */
    struct yd__origin_run *runs =
        work->count < RUNS_MAX
            ? yd__builder_grow(builder, work->runs, &work->capacity, (uint64_t)work->count + 1, sizeof *work->runs)
            : NULL;
    if (!runs) {
        work->lost = true;
        return;
    }
    work->runs = runs;
    runs[work->count] = (struct yd__origin_run){.first = from, .size = work->size};
    memcpy(runs[work->count++].text, work->text, work->size);
}

void yd_builder_origin(struct yd_builder *builder, struct yd_str origin)
{
    struct yd__origin_work *work = &builder->origin;
    size_t size = YD_MIN(origin.size, sizeof work->text);
    if (size == work->size && memcmp(work->text, origin.data, size) == 0) return;
    end_run(builder);
    memcpy(work->text, origin.data, size);
    work->size = (uint8_t)size;
}

struct yd_origins *yd__origins_create(struct yd_alloc *alloc, const struct yd__origin_run *runs, uint32_t count)
{
    struct yd_origins *origins = yd_alloc_get(alloc, sizeof *origins + count * sizeof *runs);
    if (!origins) return NULL;
    *origins = (struct yd_origins){.alloc = alloc, .count = count};
    memcpy(origins->runs, runs, count * sizeof *runs);
    return origins;
}

void yd__origins_destroy(struct yd_origins *origins)
{
    if (origins) yd_alloc_put(origins->alloc, origins, sizeof *origins + origins->count * sizeof *origins->runs);
}

void yd__builder_origins(struct yd_builder *builder, struct yd_batch *batch)
{
    struct yd__origin_work *work = &builder->origin;
    end_run(builder);
    if (work->count && !work->lost) batch->origins = yd__origins_create(builder->alloc, work->runs, work->count);
}

struct yd_str yd_batch_origin(const struct yd_batch *batch, uint32_t name)
{
    const struct yd_origins *origins = batch->origins;
    if (!origins || name < origins->runs[0].first) return YD_STR("");
    uint32_t low = 0, high = origins->count; /* the last one at or before it lies in [low, high) */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (origins->runs[middle].first <= name)
            low = middle;
        else
            high = middle;
    }
    return (struct yd_str){origins->runs[low].text, origins->runs[low].size};
}

void yd__origins_select(const struct yd_batch *batch, const uint32_t *names, uint32_t count, struct yd_batch *part)
{
    struct yd_alloc *alloc = YD_CONTAINER(batch, const struct yd__box, batch)->alloc;
    if (!batch->origins || count > RUNS_MAX) return;
    struct yd__origin_run *runs = yd_alloc_zero(alloc, count * sizeof *runs);
    if (!runs) return; /* not known, then */
    for (uint32_t i = 0; i < batch->view.name_count; i++) {
        if (names[i] == YD_NO_NAME) continue;
        struct yd_str origin = yd_batch_origin(batch, i);
        struct yd__origin_run *run = &runs[names[i]];
        run->size = (uint8_t)origin.size;
        memcpy(run->text, origin.data, origin.size);
    }
    uint32_t kept = 0; /* names by one peer become one run */
    for (uint32_t i = 0; i < count; i++) {
        if (kept && runs[kept - 1].size == runs[i].size && memcmp(runs[kept - 1].text, runs[i].text, runs[i].size) == 0)
            continue;
        runs[kept] = runs[i];
        runs[kept++].first = i;
    }
    if (kept) part->origins = yd__origins_create(alloc, runs, kept);
    yd_alloc_put(alloc, runs, count * sizeof *runs);
}
