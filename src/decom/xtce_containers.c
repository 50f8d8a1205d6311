/* Containers of XTCE: what follows what.
 *
 *   SequenceContainer ──▶ packet or container; BaseContainer ──▶ its parent; RestrictionCriteria ──▶ its condition
 *   ParameterRefEntry ──▶ a field;  ContainerRefEntry ──▶ its fields in place, or a group when it repeats
 *
 * XTCE does not say that a packet ends where its fields do: all are open. A container that others include is a part,
 * not a packet. What can fail: names that are not there, containers in themselves, what is not supported. */
#include "base/text.h"
#include "decom/xtce_internal.h"

#define CONTAINERS_DEEP 64
#define ENTRIES_MAX     (1u << 20)

static struct xtce_container *read_container(struct xtce *xtce, struct xtce_container *container);

struct yd_str xtce_path(struct xtce *xtce, const struct xtce_container *container,
                        const struct xtce_parameter *parameter)
{
    for (unsigned depth = 0; container && depth < CONTAINERS_DEEP; container = container->parent, depth++) {
        const struct xtce_named *named = xtce_find(xtce, XTCE_HAS, container, parameter->field, false);
        if (named) return yd_str_of(named->what);
    }
    return YD_STR("");
}

/* path: terminated. */
static void remember(struct xtce *xtce, const struct xtce_container *container, struct yd_str field, struct yd_str path)
{
    struct xtce_named *named = xtce_find(xtce, XTCE_HAS, container, field, true);
    if (!named->what) named->what = (void *)(uintptr_t)path.data; /* the first one counts */
}

/* ---- where an entry is ---- */

static const char *take_location(struct xtce *xtce, const struct yd__xml *node, struct yd_def_entry *entry)
{
    struct yd_str from = xtce_attribute(node, "referenceLocation");
    const struct yd__xml *fixed = xtce_child(node, XT_FixedValue);
    int64_t bits;
    if (!fixed) return xtce_why(xtce, node, "a place that is not fixed");
    if (!xtce_number(xtce, fixed, fixed->text, &bits) || bits > INT32_MAX || bits < INT32_MIN)
        return xtce_why(xtce, node, "a place that cannot be");
    if (!from.size || yd_str_eq(from, YD_STR("previousEntry"))) {
        entry->from = YD_DEF_PREVIOUS;
    } else if (yd_str_eq(from, YD_STR("containerStart"))) {
        entry->from = YD_DEF_START;
    } else if (yd_str_eq(from, YD_STR("containerEnd"))) {
        /* From the end it is the end of the entry that lies there. */
        const struct yd_def_type *type = entry->type;
        int64_t size = !type || entry->dimensions       ? 0
                       : type->encoding < YD_DEF_STRING ? type->bits
                       : type->encoding < YD_DEF_CUC && !type->extent && !type->size.field.name.size
                           ? type->size.offset * 8
                           : 0;
        if (!size) return xtce_why(xtce, node, "a place before the end, of an entry whose size is not fixed");
        entry->from = YD_DEF_END;
        entry->offset_bits = -bits - size;
        return NULL;
    } else {
        return xtce_why(xtce, node, "the reference location '%.*s'", (int)YD_MIN(from.size, (size_t)60), from.data);
    }
    entry->offset_bits = bits;
    return NULL;
}

static const char *take_repeat(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                               struct yd_def_entry *entry)
{
    const struct yd__xml *count = xtce_child(node, XT_Count), *offset = xtce_child(node, XT_Offset);
    const struct yd__xml *apart = offset ? xtce_child(offset, XT_FixedValue) : NULL;
    const char *why = NULL;
    struct yd_def_amount amount;
    if (offset && !(apart && yd_str_eq(apart->text, YD_STR("0"))))
        return xtce_why(xtce, node, "a repetition with room between");
    if (!count || entry->dimensions == 2) return xtce_why(xtce, node, "a repetition that is not read");
    if (!xtce_amount(xtce, asks, count, &amount, &why)) return why;
    if (!yd_def_is_told(&amount) && (amount.offset < 0 || amount.offset > INT32_MAX))
        return xtce_why(xtce, node, "a repetition that cannot be");
    entry->dimension[1] = entry->dimension[0];
    entry->dimension[0] = amount;
    entry->dimensions++;
    return NULL;
}

/* Dimensions that the entry gives, as 1.0 and 1.1 do. */
static const char *take_dimensions(struct xtce *xtce, const struct yd__xml *list, const struct yd_def_entry *entry)
{
    uint32_t at = 0;
    for (const struct yd__xml *item = list->first; item; item = item->next, at++) {
        const struct yd__xml *first = xtce_child(item, XT_StartingIndex), *last = xtce_child(item, XT_EndingIndex),
                             *a = first ? xtce_child(first, XT_FixedValue) : NULL,
                             *b = last ? xtce_child(last, XT_FixedValue) : NULL;
        int64_t from = 0, to = 0;
        if (!b || (first && !a)) return xtce_why(xtce, item, "a part of an array that is told by a field");
        if ((a && !xtce_number(xtce, a, a->text, &from)) || !xtce_number(xtce, b, b->text, &to))
            return xtce_why(xtce, item, "a dimension that is none");
        const struct yd_def_amount *of = &entry->dimension[at < 2 ? at : 0];
        if (at >= entry->dimensions || yd_def_is_told(of) || from != 0 || to != of->offset - 1)
            return xtce_why(xtce, item, "a part of an array");
    }
    return NULL;
}

static const char *take_details(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                struct yd_def_entry *entry)
{
    const char *why = NULL, *first = NULL;
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        why = NULL;
        if (child->tag == XT_IncludeCondition && !child->foreign)
            entry->only_if = xtce_match(xtce, asks, child, &why);
        else if (child->tag == XT_RepeatEntry && !child->foreign)
            why = take_repeat(xtce, asks, child, entry);
        else if (child->tag == XT_LocationInContainerInBits && !child->foreign)
            why = take_location(xtce, child, entry);
        else if (child->tag == XT_DimensionList && node->tag == XT_ArrayParameterRefEntry && !child->foreign)
            why = take_dimensions(xtce, child, entry);
        else if (!xtce_is_aside(xtce, child))
            why = xtce_why(xtce, child, "an entry that is told this way");
        if (child->tag == XT_IncludeCondition && entry->only_if) why = NULL;
        if (!first) first = why;
    }
    return first;
}

/* ---- entries ---- */

/* Something of unknown size and content: what is behind it is not decoded either. */
static void put_unknown(struct xtce *xtce, struct yd_def_entries *to, const struct yd__xml *node, const char *why)
{
    struct yd_def_entry *entry = yd_def_entry(xtce->def, to, YD_STR("_"), node->place);
    xtce_check(xtce, entry);
    entry->type = yd_def_type(xtce->def, YD_STR(""), node->place);
    xtce_check(xtce, entry->type);
    entry->type->encoding = YD_DEF_BINARY;
    entry->type->extent = YD_DEF_REST;
    entry->unsupported = why;
}

static void put_parameter(struct xtce *xtce, struct xtce_container *container, const struct yd__xml *node)
{
    struct yd_str name = xtce_attribute(node, "parameterRef");
    struct xtce_parameter *parameter =
        name.size ? xtce_resolve(xtce, XTCE_PARAMETER, container->system, name, NULL) : NULL;
    struct yd_def_entries *to = &container->container->entries;
    struct xtce_asks asks = {.system = container->system, .container = container};
    if (!parameter) {
        yd_def_error(xtce->diagnostics, YD_D_FIELD, node->place, "", "there is no parameter '%.*s'", YD_STR_FMT(name));
        return;
    }
    if (!parameter->type) return; /* said */
    struct yd_str field = parameter->field;
    struct xtce_named *named = xtce_find(xtce, XTCE_HAS, container, field, false);
    if (named) { /* once more in one container: another word, the same measurement */
        char *again = NULL;
        for (unsigned i = 2; named; i++) {
            again = yd_arena_printf(&xtce->arena, "%.*s__%u", YD_STR_FMT(field), i);
            xtce_check(xtce, again);
            named = xtce_find(xtce, XTCE_HAS, container, yd_str_of(again), false);
        }
        field = yd_str_of(again);
    }
    struct yd_def_entry *entry = yd_def_entry(xtce->def, to, field, node->place);
    xtce_check(xtce, entry);
    const struct xtce_type *type = parameter->type;
    entry->type = type->type;
    entry->dimensions = type->dimensions;
    memcpy(entry->dimension, type->dimension, sizeof entry->dimension);
    entry->published = yd_def_text(xtce->def, parameter->published);
    struct yd_str doc = xtce_attribute(parameter->node, "shortDescription");
    if (doc.size) entry->doc = yd_def_text(xtce->def, doc);
    for (const struct xtce_uses *use = type->uses; use && !entry->unsupported; use = use->next)
        if (!xtce_path(xtce, container, use->parameter).size) {
            entry->unsupported =
                xtce_why(xtce, type->node, "it depends on '%.*s', which is not in the packet before it",
                         YD_STR_FMT(use->parameter->field));
        }
    const char *why = take_details(xtce, &asks, node, entry);
    if (!entry->unsupported) entry->unsupported = why;
    entry->limits = type->limits; /* shared: a clause is large, and nobody adds to it */
    entry->limits_last = type->limits_last;
    remember(xtce, container, field, entry->name);
}

static void copy_entries(struct xtce *xtce, const struct xtce_container *from, struct xtce_container *into,
                         struct yd_def_entries *to, struct yd_str group)
{
    if (from->parent) copy_entries(xtce, from->parent, into, to, group);
    for (const struct yd_def_entry *entry = from->container->entries.first; entry; entry = entry->next) {
        struct yd_def_entry *copy = yd_def_entry(xtce->def, to, entry->name, entry->place);
        xtce_check(xtce, copy);
        *copy = *entry;
        copy->next = NULL;
        if (xtce->table_count > ENTRIES_MAX * 4) longjmp(xtce->out_of_memory, 1);
        if (group.size) {
            copy->published = YD_STR("");
            remember(xtce, into, entry->name, xtce_join(xtce, group, entry->name));
        } else {
            if (xtce_find(xtce, XTCE_HAS, into, entry->name, false) && !yd_str_eq(entry->name, YD_STR("_")))
                yd_def_error(xtce->diagnostics, YD_D_DUPLICATE, entry->place, "",
                             "'%.*s' is in the packet twice, by way of another container", YD_STR_FMT(entry->name));
            remember(xtce, into, entry->name, entry->name);
        }
    }
}

static void put_container(struct xtce *xtce, struct xtce_container *container, const struct yd__xml *node)
{
    struct yd_str name = xtce_attribute(node, "containerRef");
    struct xtce_container *found = name.size ? xtce_resolve(xtce, XTCE_CONTAINER, container->system, name, NULL) : NULL;
    struct yd_def_entries *to = &container->container->entries;
    struct xtce_asks asks = {.system = container->system, .container = container};
    if (!found) {
        yd_def_error(xtce->diagnostics, YD_D_PARENT, node->place, "", "there is no container '%.*s'", YD_STR_FMT(name));
        return;
    }
    if (!read_container(xtce, found)) return;
    const char *why = NULL;
    bool placed = false;
    for (const struct xtce_container *up = found; up; up = up->parent) {
        if (up->container->when) why = xtce_why(xtce, node, "a container in it that has a condition");
        if (up->container->unsupported) why = up->container->unsupported;
        for (const struct yd_def_entry *entry = up->container->entries.first; entry; entry = entry->next) {
            placed |= entry->from != YD_DEF_PREVIOUS;
            if (entry->from == YD_DEF_END) why = xtce_why(xtce, node, "a container in it with places before its end");
        }
    }
    if (found->has_children) why = xtce_why(xtce, node, "a container in it that others continue");
    if (why) {
        put_unknown(xtce, to, node, why);
        return;
    }
    bool alone = true;
    for (const struct yd__xml *child = node->first; child; child = child->next)
        alone &= child->tag == XT_LongDescription || child->tag == XT_AncillaryDataSet || child->tag == XT_AliasSet;
    if (alone && !placed) {
        copy_entries(xtce, found, container, to, YD_STR(""));
        return;
    }
    struct yd_str word = xtce_word(xtce, XTCE_FIELD_NAME, found->container->name);
    struct yd_def_entry *entry = yd_def_entry(xtce->def, to, word, node->place);
    xtce_check(xtce, entry);
    entry->type = yd_def_type(xtce->def, YD_STR(""), node->place);
    xtce_check(xtce, entry->type);
    entry->type->encoding = YD_DEF_GROUP;
    struct yd_str outer = xtce_join(xtce, found->system->path, found->container->name);
    entry->published = yd_def_text(xtce->def, xtce_word(xtce, XTCE_OUTER_NAME, outer));
    copy_entries(xtce, found, container, &entry->type->entries, entry->name);
    entry->unsupported = take_details(xtce, &asks, node, entry);
    if (!entry->type->entries.first)
        yd_def_error(xtce->diagnostics, YD_D_EMPTY, node->place, "", "a container without entries");
}

static void take_entries(struct xtce *xtce, struct xtce_container *container, const struct yd__xml *list)
{
    for (const struct yd__xml *node = list->first; node; node = node->next) {
        if (node->foreign || node->tag == XT_LongDescription || node->tag == XT_AncillaryDataSet)
            (void)xtce_is_aside(xtce, node);
        else if (node->tag == XT_ParameterRefEntry || node->tag == XT_ArrayParameterRefEntry)
            put_parameter(xtce, container, node);
        else if (node->tag == XT_ContainerRefEntry)
            put_container(xtce, container, node);
        else
            put_unknown(xtce, &container->container->entries, node, xtce_why(xtce, node, "an entry of another kind"));
    }
}

/* ---- containers ---- */

static struct xtce_container *read_container(struct xtce *xtce, struct xtce_container *container)
{
    const struct yd__xml *node = container->node, *base = xtce_child(node, XT_BaseContainer);
    if (container->state == XTCE_C_DONE) return container;
    if (container->state == XTCE_C_BEGUN || xtce->depth == CONTAINERS_DEEP) {
        if (!container->complained)
            yd_def_error(xtce->diagnostics, YD_D_RING, node->place, "", "this container is made of itself in the end");
        container->complained = true;
        return NULL;
    }
    container->state = XTCE_C_BEGUN;
    xtce->depth++;
    struct yd_def_container *made = container->container;
    if (base) {
        struct yd_str name = xtce_attribute(base, "containerRef");
        struct xtce_container *parent =
            name.size ? xtce_resolve(xtce, XTCE_CONTAINER, container->system, name, NULL) : NULL;
        if (!parent)
            yd_def_error(xtce->diagnostics, YD_D_PARENT, base->place, "", "there is no container '%.*s'",
                         YD_STR_FMT(name));
        else if (read_container(xtce, parent))
            container->parent = parent;
        if (container->parent) made->parent = container->parent->container;
        const struct yd__xml *when = xtce_child(base, XT_RestrictionCriteria);
        struct xtce_asks asks = {.system = container->system, .container = container};
        const char *why = NULL;
        if (when && !(made->when = xtce_match(xtce, &asks, when, &why))) made->unsupported = why;
        if (when && xtce_child(when, XT_NextContainer))
            yd_def_warn(xtce->diagnostics, YD_D_UNSUPPORTED, when->place, "",
                        "which container is next is not looked at");
    }
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        if (child->tag == XT_EntryList && !child->foreign)
            take_entries(xtce, container, child);
        else if (child->tag != XT_BaseContainer && child->tag != XT_BinaryEncoding)
            (void)xtce_is_aside(xtce, child);
    }
    xtce->depth--;
    container->state = XTCE_C_DONE;
    return container;
}

/* Who is a parent, and who a part of others, before any is read. */
static void look_ahead(struct xtce *xtce, struct xtce_container *container)
{
    const struct yd__xml *base = xtce_child(container->node, XT_BaseContainer),
                         *list = xtce_child(container->node, XT_EntryList);
    struct xtce_container *found;
    if (base &&
        (found = xtce_resolve(xtce, XTCE_CONTAINER, container->system, xtce_attribute(base, "containerRef"), NULL)))
        found->has_children = true;
    for (const struct yd__xml *entry = list ? list->first : NULL; entry; entry = entry->next)
        if (entry->tag == XT_ContainerRefEntry && (found = xtce_resolve(xtce, XTCE_CONTAINER, container->system,
                                                                        xtce_attribute(entry, "containerRef"), NULL)))
            found->included = true;
}

void xtce_containers(struct xtce *xtce)
{
    for (struct xtce_container *item = xtce->containers; item; item = item->next) look_ahead(xtce, item);
    for (struct xtce_container *item = xtce->containers; item; item = item->next) {
        const struct yd__xml *node = item->node;
        struct yd_str doc = xtce_attribute(node, "shortDescription");
        struct yd_str name = xtce_word(xtce, XTCE_CONTAINER, xtce_attribute(node, "name"));
        /* What is only a part of others is no packet: it stays outside of the model. */
        bool part = item->included && !xtce_child(node, XT_BaseContainer);
        item->container = part && !item->has_children ? xtce_piece(xtce, sizeof *item->container)
                                                      : yd_def_container(xtce->def, name, node->place);
        xtce_check(xtce, item->container);
        item->container->name = yd_def_text(xtce->def, name);
        item->container->abstract = xtce_flag(xtce, node, "abstract", false) || part;
        item->container->open = true;
        if (doc.size) item->container->doc = yd_def_text(xtce->def, doc);
    }
    for (struct xtce_container *item = xtce->containers; item; item = item->next) (void)read_container(xtce, item);
}
