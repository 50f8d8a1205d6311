/* Targets of /render, and the other texts of Graphite's requests. The first byte says which. Checked: what is parsed is
 * within its bounds; what is planned is evaluated over small series or refused; nothing stays counted. */
#include <math.h>

#include "elements/graphite_form.h"
#include "elements/graphite_functions.h"

static unsigned depth_of(const struct yd_gnode *node)
{
    unsigned most = 0;
    for (const struct yd_gnode *argument = node->first; argument; argument = argument->next) {
        unsigned depth = depth_of(argument); /* once: YD_MAX looks twice */
        most = YD_MAX(most, depth);
    }
    return most + 1;
}

static int fetch(struct yd_gpool *pool, const struct yd_gfetch *what, unsigned shape, struct yd_glist *list)
{
    struct yd_gseries *series;
    for (unsigned i = 0; i <= shape % 3; i++) {
        int r =
            yd_gseries_make(pool, what->from - (int64_t)(shape % 5), 1 + (int64_t)(shape + i) % 7, shape % 40, &series);
        if (r < 0) return r;
        for (size_t k = 0; k < series->count; k++) series->values[k] = k % 4 == 1 ? (double)NAN : (double)k - 3;
        series->name = series->path = what->node->text;
        series->fold = what->fold;
        r = yd_glist_add(pool, list, series);
        if (r < 0) return r;
    }
    return 0;
}

static void draw(struct yd_str text, unsigned shape)
{
    static struct yd_gplan plan;
    static struct yd_glist fetched[YD_GFETCHES_MAX];
    struct yd_arena arena;
    struct yd_gpool pool;
    struct yd_trail trail = {0};
    struct yd_gnode *node;
    struct yd_glist results = {0};
    uint64_t all = 0;
    memset(fetched, 0, sizeof fetched);
    yd_arena_init(&arena, NULL);
    yd_gpool_init(&pool, &arena, &all);
    pool.trail = &trail;
    yd_gplan_init(&plan, 1000, 1000 + (int64_t)shape * 50 + 1, shape % 2 ? shape : 0);
    int r = yd_gtarget_parse(text, &arena, &node, &trail);
    if (r == 0) YD_ASSERT(depth_of(node) <= 64);
    if (r == 0) r = yd_gplan_target(&plan, node, &trail);
    for (uint32_t i = 0; r == 0 && i < plan.fetch_count; i++) r = fetch(&pool, &plan.fetches[i], shape, &fetched[i]);
    struct yd_geval eval = {.pool = &pool, .trail = &trail, .plan = &plan, .fetched = fetched};
    if (r == 0) r = yd_geval(&eval, node, &results);
    for (size_t i = 0; r == 0 && i < results.count; i++)
        YD_ASSERT(results.items[i]->step > 0 && results.items[i]->name.data);
    YD_ASSERT(r == 0 || *yd_trail_text(&trail) || r == YD_ENOMEM);
    yd_gpool_fini(&pool);
    YD_ASSERT(all == 0);
    yd_arena_fini(&arena);
}

static void others(struct yd_str text)
{
    struct yd_arena arena;
    struct yd_graphite_form form;
    struct yd_filter filter;
    bool needs;
    int64_t time;
    yd_arena_init(&arena, NULL);
    if (yd_graphite_time(text, 1700000000, &time) == 0)
        YD_ASSERT(time >= -INT64_C(9000000000) && time <= INT64_C(9000000000));
    if (yd_graphite_duration(text, &time) == 0) YD_ASSERT(time > 0);
    if (yd_graphite_tag_expression(text, &arena, &filter, &needs, NULL) == 0) YD_ASSERT(filter.key.size);
    if (yd_graphite_form(NULL, 0, text, &arena, &form, NULL) == 0) (void)yd_graphite_field(&form, "target");
    yd_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct yd_str text = {(const char *)data + 1, size - 1};
    if (data[0] % 4 == 0)
        others(text);
    else
        draw(text, data[0]);
    return 0;
}
