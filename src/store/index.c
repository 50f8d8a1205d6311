/* The index: names to ids, metrics and tags to lists of ids.
 *
 *   slots:   tag = high half of the name's hash; its top bits choose the slot, linear probing, at most 5/8 full
 *   metric → ids;  (key, value) = pair → ids;  key → pairs.  Lists rise, because ids only ever grow.
 *
 * Adding reserves everything first and then commits, so a failed allocation leaves nothing behind but room.
 * A series that is gone leaves its id in the lists; when those are many, all lists are swept once. Words of the
 * dictionaries stay. */
#include "store/internal.h"

static inline uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

void yd__index_init(struct yd__index *index, struct yd_alloc *alloc)
{
    *index = (struct yd__index){.alloc = alloc, .recent.metric = YD__NONE};
    yd_intern_init(&index->metrics, alloc, 0);
    yd_intern_init(&index->keys, alloc, 0);
    yd_intern_init(&index->values, alloc, 0);
}

static void postings_free(struct yd__index *index, struct yd__posting *lists, uint32_t count, uint32_t room)
{
    for (uint32_t i = 0; i < count; i++) yd_alloc_put(index->alloc, lists[i].ids, lists[i].room * sizeof *lists[i].ids);
    yd_alloc_put(index->alloc, lists, room * sizeof *lists);
}

void yd__index_fini(struct yd__index *index)
{
    if (index->slots) yd_alloc_put(index->alloc, index->slots, sizeof *index->slots << index->slot_bits);
    postings_free(index, index->metric_series, index->metric_room, index->metric_room);
    postings_free(index, index->key_pairs, index->key_room, index->key_room);
    for (uint32_t i = 0; i < index->pair_count; i++) {
        struct yd__posting *list = &index->pairs[i].series;
        yd_alloc_put(index->alloc, list->ids, list->room * sizeof *list->ids);
    }
    yd_alloc_put(index->alloc, index->pairs, index->pair_room * sizeof *index->pairs);
    if (index->pair_slots) yd_alloc_put(index->alloc, index->pair_slots, sizeof *index->pair_slots << index->pair_bits);
    yd_intern_fini(&index->metrics);
    yd_intern_fini(&index->keys);
    yd_intern_fini(&index->values);
    yd__index_init(index, index->alloc);
}

/* ---- names ---- */

uint32_t yd__index_find(const struct yd_history *history, struct yd_str name, uint64_t hash)
{
    const struct yd__index *index = &history->index;
    if (!index->slots) return YD__NONE;
    uint32_t tag = tag_of(hash), mask = (UINT32_C(1) << index->slot_bits) - 1;
    for (uint32_t at = tag >> (32 - index->slot_bits);; at = (at + 1) & mask) {
        struct yd__slot slot = index->slots[at];
        if (!slot.id_plus) return YD__NONE;
        if (slot.tag == tag && yd_str_eq(yd__label_name(yd__series_at(history, slot.id_plus - 1)->label), name))
            return slot.id_plus - 1;
    }
}

uint32_t yd__index_find_hash(const struct yd_history *history, uint64_t hash)
{
    const struct yd__index *index = &history->index;
    if (!index->slots) return YD__NONE;
    uint32_t tag = tag_of(hash), mask = (UINT32_C(1) << index->slot_bits) - 1;
    for (uint32_t at = tag >> (32 - index->slot_bits);; at = (at + 1) & mask) {
        struct yd__slot slot = index->slots[at];
        if (!slot.id_plus) return YD__NONE;
        if (slot.tag == tag && yd_hash_str(yd__label_name(yd__series_at(history, slot.id_plus - 1)->label)) == hash)
            return slot.id_plus - 1;
    }
}

static int slots_reserve(struct yd__index *index, uint32_t live)
{
    unsigned bits = index->slots ? index->slot_bits : 6;
    if (index->slots && ((uint64_t)live + 1) * 8 <= (UINT64_C(5) << bits)) return YD_OK;
    if (index->slots) bits++;
    struct yd__slot *slots = yd_alloc_zero(index->alloc, sizeof *slots << bits);
    if (!slots) return YD_ENOMEM;
    uint32_t mask = (UINT32_C(1) << bits) - 1;
    for (uint32_t i = 0; index->slots && i < UINT32_C(1) << index->slot_bits; i++) {
        if (!index->slots[i].id_plus) continue;
        uint32_t at = index->slots[i].tag >> (32 - bits);
        while (slots[at].id_plus) at = (at + 1) & mask;
        slots[at] = index->slots[i];
    }
    if (index->slots) yd_alloc_put(index->alloc, index->slots, sizeof *slots << index->slot_bits);
    index->slots = slots;
    index->slot_bits = bits;
    return YD_OK;
}

static void slot_add(struct yd__index *index, uint32_t tag, uint32_t id)
{
    uint32_t mask = (UINT32_C(1) << index->slot_bits) - 1, at = tag >> (32 - index->slot_bits);
    while (index->slots[at].id_plus) at = (at + 1) & mask;
    index->slots[at] = (struct yd__slot){tag, id + 1};
}

/* Takes the entry out and moves back those behind it that would no longer be found. */
static void slot_remove(struct yd__index *index, uint32_t tag, uint32_t id)
{
    uint32_t mask = (UINT32_C(1) << index->slot_bits) - 1, hole = tag >> (32 - index->slot_bits);
    while (index->slots[hole].id_plus != id + 1) hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; index->slots[at].id_plus; at = (at + 1) & mask) {
        uint32_t home = index->slots[at].tag >> (32 - index->slot_bits);
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        index->slots[hole] = index->slots[at];
        hole = at;
    }
    index->slots[hole] = (struct yd__slot){0};
}

/* ---- lists ---- */

static int list_reserve(struct yd_alloc *alloc, struct yd__posting *list)
{
    if (list->count < list->room) return YD_OK;
    uint32_t room = list->room < 16 ? YD_MAX(list->room * 2, 1) : list->room + list->room / 4;
    uint32_t *ids = yd_alloc_resize(alloc, list->ids, list->room * sizeof *ids, room * sizeof *ids);
    if (!ids) return YD_ENOMEM;
    list->ids = ids;
    list->room = room;
    return YD_OK;
}

/* Lists by number: room for number `at`, zeroed. */
static int lists_reserve(struct yd_alloc *alloc, struct yd__posting **lists, uint32_t *room, uint32_t at)
{
    if (at < *room) return YD_OK;
    uint32_t more = YD_MAX(*room * 2, 16);
    struct yd__posting *grown = yd_alloc_resize(alloc, *lists, *room * sizeof *grown, more * sizeof *grown);
    if (!grown) return YD_ENOMEM;
    memset(grown + *room, 0, (more - *room) * sizeof *grown);
    *lists = grown;
    *room = more;
    return YD_OK;
}

/* ---- pairs ---- */

static inline uint32_t pair_hash(uint32_t key, uint32_t value)
{
    uint64_t h = ((uint64_t)key << 32 | value) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

static uint32_t pair_probe(const struct yd__index *index, uint32_t key, uint32_t value)
{
    uint32_t mask = (UINT32_C(1) << index->pair_bits) - 1;
    uint32_t at = pair_hash(key, value) & mask;
    for (; index->pair_slots[at]; at = (at + 1) & mask) {
        const struct yd__pair *pair = &index->pairs[index->pair_slots[at] - 1];
        if (pair->key == key && pair->value == value) break;
    }
    return at;
}

uint32_t yd__index_pair(const struct yd__index *index, uint32_t key, uint32_t value)
{
    return index->pair_slots ? index->pair_slots[pair_probe(index, key, value)] - 1 : YD__NONE;
}

static int pairs_reserve(struct yd__index *index)
{
    if (index->pair_count == index->pair_room) {
        uint32_t room = YD_MAX(index->pair_room + index->pair_room / 2, 32);
        struct yd__pair *pairs =
            yd_alloc_resize(index->alloc, index->pairs, index->pair_room * sizeof *pairs, room * sizeof *pairs);
        if (!pairs) return YD_ENOMEM;
        index->pairs = pairs;
        index->pair_room = room;
    }
    if (index->pair_slots && ((uint64_t)index->pair_count + 1) * 4 <= (UINT64_C(3) << index->pair_bits)) return YD_OK;
    unsigned bits = index->pair_slots ? index->pair_bits + 1 : 6;
    uint32_t *slots = yd_alloc_zero(index->alloc, sizeof *slots << bits);
    if (!slots) return YD_ENOMEM;
    if (index->pair_slots) yd_alloc_put(index->alloc, index->pair_slots, sizeof *slots << index->pair_bits);
    index->pair_slots = slots;
    index->pair_bits = bits;
    for (uint32_t i = 0; i < index->pair_count; i++)
        slots[pair_probe(index, index->pairs[i].key, index->pairs[i].value)] = i + 1;
    return YD_OK;
}

/* `like`: a pair that stood at this place in the name before, or YD__NONE. Names come in order, so mostly the key is
 * the same and often the value: then nothing is searched. */
static int pair_intern(struct yd__index *index, struct yd_str key, struct yd_str value, uint32_t like,
                       uint32_t *ret_pair)
{
    uint32_t key_id, value_id, pair = YD__NONE;
    int error = YD_OK;
    if (like != YD__NONE && yd_str_eq(index->keys.strings[index->pairs[like].key], key)) {
        key_id = index->pairs[like].key;
        if (yd_str_eq(yd__pair_value(index, like), value)) {
            *ret_pair = like;
            return list_reserve(index->alloc, &index->pairs[like].series);
        }
    } else {
        error = yd_intern_add(&index->keys, key, &key_id);
    }
    if (error >= 0) error = yd_intern_add(&index->values, value, &value_id);
    if (error < 0) return error;
    pair = yd__index_pair(index, key_id, value_id);
    if (pair == YD__NONE) {
        error = lists_reserve(index->alloc, &index->key_pairs, &index->key_room, key_id);
        if (!error) error = list_reserve(index->alloc, &index->key_pairs[key_id]);
        if (!error) error = pairs_reserve(index);
        if (error) return error;
        struct yd__posting *list = &index->key_pairs[key_id];
        pair = index->pair_count++;
        index->pairs[pair] = (struct yd__pair){.key = key_id, .value = value_id, .ordinal = list->count};
        index->pair_slots[pair_probe(index, key_id, value_id)] = pair + 1;
        list->ids[list->count++] = pair;
    }
    *ret_pair = pair;
    return list_reserve(index->alloc, &index->pairs[pair].series);
}

/* ---- series ---- */

static struct yd_str plain(struct yd_str escaped, char *to)
{
    if (!memchr(escaped.data, '\\', escaped.size)) return escaped;
    return (struct yd_str){to, yd_name_unescape(escaped, to)};
}

static int page_add(struct yd_history *history, uint32_t id)
{
    struct yd_alloc *alloc = &history->index_meter.alloc;
    uint32_t page = history->page_count;
    if (page == history->page_room) {
        uint32_t room = YD_MAX(history->page_room * 2, 8);
        struct yd__series **pages =
            yd_alloc_resize(alloc, history->pages, history->page_room * sizeof *pages, room * sizeof *pages);
        if (!pages) return YD_ENOMEM;
        history->pages = pages;
        uint16_t *live =
            yd_alloc_resize(alloc, history->page_live, history->page_room * sizeof *live, room * sizeof *live);
        if (!live) { /* the first array stays larger than page_room says: give it its old size back */
            pages = yd_alloc_resize(alloc, history->pages, room * sizeof *pages, history->page_room * sizeof *pages);
            if (pages || !history->page_room) history->pages = pages;
            return YD_ENOMEM;
        }
        history->page_live = live;
        history->page_room = room;
    }
    struct yd__series *series = NULL;
    if (id / YD__PAGE == page) { /* else: a page of ids that are all gone */
        series = yd_alloc_zero(alloc, YD__PAGE * sizeof *series);
        if (!series) return YD_ENOMEM;
    }
    history->pages[page] = series;
    history->page_live[page] = 0;
    history->page_count++;
    return YD_OK;
}

static int pages_reserve(struct yd_history *history, uint32_t id)
{
    int error = YD_OK;
    while (!error && id / YD__PAGE >= history->page_count) error = page_add(history, id);
    return error;
}

static size_t label_size(const struct yd__label *label)
{
    return sizeof *label + label->tag_count * sizeof label->pairs[0] + label->name_size;
}

int yd__index_add(struct yd_history *history, const struct yd_name *name, struct yd_str text, uint64_t hash,
                  uint32_t id)
{
    struct yd__index *index = &history->index;
    struct yd__recent *recent = &index->recent;
    uint32_t pairs[YD_NAME_TAGS_MAX], metric = recent->metric;
    char scratch[2][YD_NAME_SIZE_MAX + 1];
    bool escaped = memchr(text.data, '\\', text.size) != NULL;
    if (id == UINT32_MAX - 1) return YD_EFULL;

    /* Reserve, so that nothing after this fails. */
    int error = YD_OK;
    struct yd_str word = escaped ? plain(name->metric, scratch[0]) : name->metric;
    if (metric == YD__NONE || !yd_str_eq(index->metrics.strings[metric], word))
        error = yd_intern_add(&index->metrics, word, &metric);
    if (error < 0) return error;
    error = lists_reserve(index->alloc, &index->metric_series, &index->metric_room, metric);
    if (!error) error = list_reserve(index->alloc, &index->metric_series[metric]);
    for (uint32_t i = 0; !error && i < name->tag_count; i++) {
        const struct yd_tag *tag = &name->tags[i];
        error = pair_intern(index, escaped ? plain(tag->key, scratch[0]) : tag->key,
                            escaped ? plain(tag->value, scratch[1]) : tag->value,
                            i < recent->count ? recent->pairs[i] : YD__NONE, &pairs[i]);
    }
    if (!error) error = slots_reserve(index, history->live);
    if (!error) error = pages_reserve(history, id);
    if (error) return error;
    struct yd__label head = {.metric = metric,
                             .tag_count = (uint16_t)name->tag_count,
                             .name_size = (uint16_t)text.size,
                             .hash = tag_of(hash),
                             .id = id};
    struct yd__label *label = yd_alloc_get(index->alloc, label_size(&head));
    if (!label) return YD_ENOMEM;

    *label = head;
    memcpy(label->pairs, pairs, name->tag_count * sizeof pairs[0]);
    memcpy(label->pairs + name->tag_count, text.data, text.size);
    struct yd__posting *list = &index->metric_series[metric];
    list->ids[list->count++] = id;
    for (uint32_t i = 0; i < name->tag_count; i++) {
        list = &index->pairs[pairs[i]].series;
        list->ids[list->count++] = id;
    }
    recent->metric = metric;
    recent->count = YD_MIN(name->tag_count, (uint32_t)YD_COUNT(recent->pairs));
    memcpy(recent->pairs, pairs, recent->count * sizeof pairs[0]);
    slot_add(index, label->hash, id);
    struct yd__series *series = yd__series_at(history, id);
    *series = (struct yd__series){.label = label, .stream.time = INT64_MIN, .stream.spare = (uint8_t)label->hash};
    history->page_live[id / YD__PAGE]++;
    history->id_count = id + 1;
    history->live++;
    return YD_OK;
}

int yd__index_restore(struct yd_history *history, struct yd_str text, uint32_t id)
{
    struct yd_name name;
    if (text.size > YD_NAME_SIZE_MAX || yd_name_parse(text, &name, NULL) < 0 || !name.sorted) return YD_EFORMAT;
    return yd__index_add(history, &name, text, yd_hash_str(text), id);
}

static void sweep(const struct yd_history *history, struct yd__posting *list)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t id = list->ids[i];
        if (history->pages[id / YD__PAGE] && yd__series_at(history, id)->label) list->ids[kept++] = id;
    }
    list->count = kept;
}

void yd__index_remove(struct yd_history *history, uint32_t id)
{
    struct yd__index *index = &history->index;
    struct yd__series *series = yd__series_at(history, id);
    uint32_t page = id / YD__PAGE;
    slot_remove(index, series->label->hash, id);
    yd__flush_gone(history, id);
    yd__series_clear(history, series);
    yd_alloc_put(index->alloc, series->label, label_size(series->label));
    *series = (struct yd__series){0};
    history->live--;
    history->generation++;
    index->dead++;
    if (--history->page_live[page] == 0 && page + 1 < history->page_count) {
        yd_alloc_put(index->alloc, history->pages[page], YD__PAGE * sizeof *series);
        history->pages[page] = NULL;
    }
    if (index->dead < YD__PAGE || index->dead < history->live / 2) return;
    for (uint32_t i = 0; i < index->metrics.count && i < index->metric_room; i++)
        sweep(history, &index->metric_series[i]);
    for (uint32_t i = 0; i < index->pair_count; i++) sweep(history, &index->pairs[i].series);
    index->dead = 0;
}
