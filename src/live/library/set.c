/* live/library/set.c: all measurements that match a pattern, those too that come later.
 *
 * Names are looked at once, in the order in which they come, as far as there are any; with a new generation again from
 * the first, and those that are known already are not followed twice. */
#include "live/library/internal.h"

struct yd_live_set {
    struct yd_live *live;
    struct yd_live_set *prev, *next;
    struct yd_pattern *pattern;
    struct yd_live_item **items;
    size_t count, capacity;
    struct yd__live_index names;
    uint32_t position; /* of the first name not looked at */
    size_t turn;
    uint64_t mask;
    bool failed; /* no memory for a name: told by the next call */
};

struct yd_live_set *yd__live_set_next_generation(struct yd_live_set *set)
{
    set->position = 0;
    return set->next;
}

static bool known(const struct yd_live_set *set, struct yd_str name, uint64_t hash)
{
    uint32_t at = UINT32_MAX, item;
    while ((item = yd__live_index_next(&set->names, hash, &at)) != UINT32_MAX)
        if (yd_str_eq((struct yd_str){set->items[item]->name, set->items[item]->name_size}, name)) return true;
    return false;
}

static int add(struct yd_live_set *set, struct yd_str name)
{
    uint64_t hash = yd__live_fnv(YD__LIVE_FNV_START, name.data, name.size);
    if (known(set, name, hash)) return 0;
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 16;
        void *items =
            yd_alloc_resize(NULL, set->items, set->capacity * sizeof *set->items, capacity * sizeof *set->items);
        if (!items) return YD_ENOMEM;
        set->items = items;
        set->capacity = capacity;
    }
    struct yd_live_item *item;
    int error = yd__live_follow(set->live, name, &item);
    if (error) return error;
    error = yd__live_index_add(&set->names, hash, (uint32_t)set->count);
    if (error) {
        yd_live_unfollow(item);
        return error;
    }
    set->mask |= UINT64_C(1) << item->bell;
    set->items[set->count++] = item;
    return 0;
}

/* What has come since. Each look may go over to other memory, where `position` is 0 again (next_generation). */
static int refresh(struct yd_live_set *set)
{
    struct yd_str name;
    while (yd_live_names(set->live, set->pattern, &set->position, &name) == 1) {
        int error = add(set, name);
        if (!error) continue;
        if (set->position) set->position--; /* this one again */
        return error;
    }
    return 0;
}

int yd_live_follow_matching(struct yd_live *live, const char *pattern, struct yd_live_set **ret_set)
{
    struct yd_live_set *set = yd_alloc_zero(NULL, sizeof *set);
    if (!set) return YD_ENOMEM;
    int error = yd_pattern_compile((struct yd_str){pattern, strlen(pattern)}, &set->pattern);
    if (error) {
        yd_alloc_put(NULL, set, sizeof *set);
        return error;
    }
    set->live = live;
    set->mask = UINT64_C(1) << YD__BELL_NAMES;
    set->next = live->sets;
    if (set->next) set->next->prev = set;
    live->sets = set;
    yd__live_widen(live, YD__BELL_NAMES);
    error = refresh(set);
    if (error) {
        yd_live_unfollow_set(set);
        return error;
    }
    *ret_set = set;
    return 0;
}

void yd_live_unfollow_set(struct yd_live_set *set)
{
    if (!set) return;
    if (set->prev)
        set->prev->next = set->next;
    else
        set->live->sets = set->next;
    if (set->next) set->next->prev = set->prev;
    while (set->count) yd_live_unfollow(set->items[--set->count]);
    yd_alloc_put(NULL, set->items, set->capacity * sizeof *set->items);
    yd__live_index_fini(&set->names);
    yd_pattern_destroy(set->pattern);
    yd_alloc_put(NULL, set, sizeof *set);
}

size_t yd_live_set_items(struct yd_live_set *set, struct yd_live_item *const **ret_items)
{
    (void)refresh(set); /* what there is no memory for is tried again by the next call */
    *ret_items = set->items;
    return set->count;
}

static bool look(void *arg)
{
    struct yd_live_set *set = arg;
    size_t before = set->count;
    set->failed = refresh(set) != 0;
    if (set->failed || set->count != before) return true;
    for (size_t i = 0; i < set->count; i++)
        if (yd__live_changed(set->items[i])) return true;
    return false;
}

int yd_live_set_ready(struct yd_live_set *set, struct yd_live_item **ret_item)
{
    int error = refresh(set);
    if (error) return error;
    for (size_t i = 0; i < set->count; i++) {
        size_t at = (set->turn + i) % set->count;
        if (!yd__live_changed(set->items[at])) continue;
        set->turn = at + 1;
        *ret_item = set->items[at];
        return 1;
    }
    return 0;
}

int yd_live_set_wait(struct yd_live_set *set, int64_t timeout_ns)
{
    /* The mask grows while it sleeps only by what wakes it: new names. */
    int result = yd__live_sleep(set->live, look, set, set->mask, timeout_ns);
    return result == 1 && set->failed ? YD_ENOMEM : result;
}
