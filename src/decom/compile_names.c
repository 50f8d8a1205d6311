/* All measurements of a definition by their whole names: those of packets, then those derived.
 *
 *   rocket.flight.altitude ──▶ its field          rocket.climb ──▶ its expression
 *
 * A name stands for one thing. In one packet two fields may share a name only when both say so (`as`): then it has two
 * values a packet. Packets may share names by `as`. A derived one may have the name of no field: what Derive makes is
 * not taken from packets. What can fail: those mistakes, said at their places; memory. */
#include "base/hash.h"
#include "decom/compile.h"

static struct yd__measured *find(const struct yd_plan *plan, struct yd_str name, uint32_t *ret_slot)
{
    const struct yd__measurements *all = &plan->measurements;
    if (!all->slots) return NULL;
    uint32_t slot = (uint32_t)yd_hash_str(name) & all->mask;
    for (; all->slots[slot]; slot = (slot + 1) & all->mask)
        if (yd_str_eq(all->items[all->slots[slot] - 1].name, name)) return &all->items[all->slots[slot] - 1];
    *ret_slot = slot;
    return NULL;
}

struct yd__measured *yd__measured_find(const struct yd_plan *plan, struct yd_str name)
{
    char whole[YD_NAME_SIZE_MAX + 1];
    struct yd_str prefix = plan->def->name;
    uint32_t slot;
    struct yd__measured *found = find(plan, name, &slot);
    if (found || !prefix.size || prefix.size + 1 + name.size > sizeof whole) return found;
    memcpy(whole, prefix.data, prefix.size);
    whole[prefix.size] = '.';
    if (name.size) memcpy(whole + prefix.size + 1, name.data, name.size);
    return find(plan, (struct yd_str){whole, prefix.size + 1 + name.size}, &slot);
}

static bool needs_room(const struct yd__measured *measured)
{
    const struct yd_def_type *type = measured->entry->type;
    bool bytes = type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY;
    return !measured->is_raw && (bytes || type->labels);
}

int yd_plan_each_changed(const struct yd_plan *before, const struct yd_plan *now, yd_plan_changed_visit *visit,
                         void *arg)
{
    int r = 0;
    for (uint32_t i = 0; i < before->measurements.count && r == 0; i++) {
        const struct yd__measured *old = &before->measurements.items[i];
        uint32_t slot;
        const struct yd__measured *found = find(now, old->name, &slot);
        if (!old->entry) continue;
        if (!found || !found->entry)
            r = visit(arg, old->name, true);
        else if (needs_room(found) && !needs_room(old))
            r = visit(arg, old->name, false);
    }
    return r;
}

uint32_t yd_plan_measurements(const struct yd_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->measurements.count; i++) count += plan->measurements.items[i].entry != NULL;
    return count;
}

static void add(struct yd_plan *plan, uint32_t slot, struct yd__measured measured)
{
    struct yd__measurements *all = &plan->measurements;
    all->items[all->count] = measured;
    all->slots[slot] = ++all->count;
}

static void add_field(struct yd__compiler *compiler, const struct yd__program *program, uint32_t index)
{
    struct yd_str name = program->names[index];
    const struct yd_def_entry *entry = program->sources[index];
    uint32_t slot = 0;
    struct yd__measured *other = find(compiler->plan, name, &slot);
    if (!other) {
        bool is_raw = program->types[index] & YD__RAW_NAME;
        add(compiler->plan, slot,
            (struct yd__measured){.name = name, .entry = entry, .program = program, .is_raw = is_raw});
        return;
    }
    if (other->program != program || (entry->published.size && other->entry->published.size)) return;
    if (compiler->partial) return;
    yd_def_error(compiler->diagnostics, YD_D_DUPLICATE, entry->place, "",
                 "two fields of '%.*s' are published as '%.*s'", YD_STR_FMT(program->container->name),
                 YD_STR_FMT(name));
    yd_def_note(compiler->diagnostics, other->entry->place, "the other one");
    yd_def_help(compiler->diagnostics, "rename one of them, publish it `as` another name, or make it `hidden`");
}

static void add_derived(struct yd__compiler *compiler, const struct yd_def_derived *derived)
{
    struct yd_str prefix = compiler->def->name;
    uint32_t slot = 0;
    struct yd_str name =
        yd_str_of(yd__path(compiler, prefix.size ? yd__path(compiler, "", prefix) : "", derived->name));
    const struct yd__measured *other = find(compiler->plan, name, &slot);
    if (!other) {
        add(compiler->plan, slot, (struct yd__measured){.name = name, .derived = derived});
        return;
    }
    if (!other->entry) return; /* derived twice: the source of the definition says it */
    yd_def_error(compiler->diagnostics, YD_D_DUPLICATE, derived->place, "",
                 "'%.*s' is a field already, and comes from packets", YD_STR_FMT(name));
    yd_def_note(compiler->diagnostics, other->entry->place, "this field");
    yd_def_help(compiler->diagnostics, "give what is derived another name, or make the field `hidden`");
}

void yd__compile_names(struct yd__compiler *compiler)
{
    struct yd_plan *plan = compiler->plan;
    struct yd__measurements *all = &plan->measurements;
    uint32_t count = 0, size = 16;
    for (uint32_t i = 0; i < plan->packet_count; i++) count += plan->packets[i]->name_count;
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next) count++;
    while (size < count * 2) size *= 2;
    all->items = yd__piece(compiler, (count + 1) * sizeof *all->items);
    all->slots = yd__piece(compiler, size * sizeof *all->slots);
    all->mask = size - 1;
    for (uint32_t i = 0; i < plan->packet_count; i++)
        for (uint32_t j = 0; j < plan->packets[i]->name_count; j++) add_field(compiler, plan->packets[i], j);
    for (const struct yd_def_derived *derived = compiler->def->derived; derived; derived = derived->next)
        add_derived(compiler, derived);
}
