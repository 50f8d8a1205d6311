/* Expansion: statements become nodes, wires and, for compounds, the same again inside. Everything is declared first and
 * wired afterwards, so that a name may be used above its declaration.
 *
 *   scope "": metrics, clean ──> scope "clean.": input, Filter@21 …
 *
 * Bounded in depth, number and size; a compound that contains itself is refused. Compounds that nobody uses are
 * expanded once, dry, so that their mistakes are found too. */
#include "flow/expand.h"

const struct yd_element_class *yd__class_find(struct yd__work *work, struct yd_str name)
{
    const struct yd_classes *classes = work->options->classes;
    for (size_t i = 0; classes && i < classes->count; i++)
        if (yd_str_eq(name, yd_str_of(classes->items[i]->name))) return classes->items[i];
    return NULL;
}

static bool planned(struct yd_str name)
{
    return yd_str_eq(name, YD_STR("External"));
}

static void unknown_class(struct yd__work *work, const struct yd__name *class)
{
    if (planned(class->text)) {
        yd__report(work, YD_Y_NOT_YET, class->place, "", "'%.*s' is not there yet", YD_STR_FMT(class->text));
        yd__help(work, "a class of your own can be loaded from a plug-in .so: see <yarder/element.h>");
        return;
    }
    if (work->names_lost || yd__map_find(&work->poisoned, class->text)) return;
    yd__report(work, YD_Y_CLASS, class->place, "", "there is no element class '%.*s'", YD_STR_FMT(class->text));
    struct yd__choice choice;
    yd__choice_init(&choice, class->text);
    const struct yd_classes *classes = work->options->classes;
    for (size_t i = 0; classes && i < classes->count; i++)
        yd__choice_add(work, &choice, yd_str_of(classes->items[i]->name));
    for (const struct yd__compound *compound = work->compounds; compound; compound = compound->next)
        yd__choice_add(work, &choice, compound->name.text);
    yd__choice_help(work, &choice, "classes are", "no classes are known at all");
}

/* ---- names ---- */

static const char *full_name(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                             bool *ret_anonymous)
{
    struct yd__work *work = plan->work;
    *ret_anonymous = end->node.text.size == 0;
    const char *name = *ret_anonymous ? yd__keepf(work, "%s%.*s@%u", scope->prefix, YD_STR_FMT(end->make->class.text),
                                                  end->make->class.place.line)
                                      : yd__keepf(work, "%s%.*s", scope->prefix, YD_STR_FMT(end->node.text));
    const char *unique = name;
    for (int again = 2; yd__map_add(work, &plan->full_names, yd_str_of(unique), plan); again++)
        unique = yd__keepf(work, "%s#%d", name, again);
    return unique;
}

static bool limit(struct yd__plan *plan, struct yd_place place, const char *what, unsigned max)
{
    plan->stopped = true;
    yd__report(plan->work, YD_Y_LIMIT, place, "", "there are more than %u %s", max, what);
    return false;
}

/* ---- making ---- */

static struct yd__entity *expand_compound(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                                          struct yd__compound *compound);

static void make_node(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                      struct yd__entity *entity, const struct yd_element_class *class)
{
    struct yd__work *work = plan->work;
    if (plan->node_count == YD_FLOW_NODES_MAX) {
        (void)limit(plan, end->place, "elements", YD_FLOW_NODES_MAX);
        return;
    }
    YD__ROOM(plan, plan->nodes, plan->node_count, plan->node_capacity);
    struct yd__node *node = &plan->nodes[plan->node_count];
    node->make = end->make;
    node->scope = scope;
    node->node.class = class;
    node->node.place = end->make->class.place;
    node->node.name = full_name(plan, scope, end, &node->node.anonymous);
    entity->type = YD__ENTITY_NODE;
    entity->node = plan->node_count++;
    size_t ports = 0;
    for (const struct yd_port_class *port = class->ports; port && port->name; port++) ports++;
    YD_ASSERT(ports <= 64);
    node->carried = yd__get(work, (ports + 1) * sizeof *node->carried);
    if (class->flags & YD_CLASS_PLANNED) {
        yd__report(work, YD_Y_NOT_YET, end->make->class.place, "", "'%s' is not there yet", class->name);
        yd__help(work, "leave it out for now");
    }
    if (end->make->is_shard) {
        yd__report(work, YD_Y_NOT_YET, end->make->shard_place, "", "'shard' is not there yet");
        yd__help(work, "write %s(…) alone: one instance of it", class->name);
    }
    yd__node_args(plan, node);
    yd__node_options(plan, node);
}

static struct yd__entity *make(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end)
{
    struct yd__work *work = plan->work;
    struct yd__compound *compound = yd__map_find(&work->compound_names, end->make->class.text);
    if (compound) return expand_compound(plan, scope, end, compound);
    struct yd__entity *entity = yd__get(work, sizeof *entity);
    entity->type = YD__ENTITY_LOST;
    const struct yd_element_class *class = yd__class_find(work, end->make->class.text);
    if (class)
        make_node(plan, scope, end, entity, class);
    else
        unknown_class(work, &end->make->class);
    return entity;
}

static void declare_made(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end)
{
    struct yd__work *work = plan->work;
    if (end->node.text.size > YD_FLOW_NAME_SIZE_MAX)
        yd__report(work, YD_Y_LIMIT, end->node.place, "", "a name has at most %d characters", YD_FLOW_NAME_SIZE_MAX);
    const struct yd__entity *first = end->node.text.size ? yd__map_find(&scope->entities, end->node.text) : NULL;
    struct yd__entity *entity = make(plan, scope, end);
    entity->name = end->node;
    scope->made[end->make->ordinal] = entity;
    if (end->node.text.size == 0) return;
    if (first) {
        const char *what = first->type == YD__ENTITY_PORT ? "a port of this element has this name" : "first here";
        yd__report(work, YD_Y_DECLARED_TWICE, end->node.place, "", "'%.*s' is declared twice",
                   YD_STR_FMT(end->node.text));
        yd__note(work, first->name.place, "%s", what);
        /* Neither is unwired for certain: the wires may have meant either. */
        if (entity->type == YD__ENTITY_NODE) plan->nodes[entity->node].wired = UINT64_MAX;
        if (entity->type == YD__ENTITY_NODE)
            plan->nodes[entity->node].lost_in = plan->nodes[entity->node].lost_out = true;
        return;
    }
    (void)yd__map_add(work, &scope->entities, end->node.text, entity);
}

/* ---- bodies ---- */

static const char *const schemas[] = {"series", "facts", "rows", "log"};

static bool is_schema(struct yd_str word)
{
    for (size_t i = 0; i < YD_COUNT(schemas); i++)
        if (yd_str_eq(word, yd_str_of(schemas[i]))) return true;
    return false;
}

static void unknown_kind(struct yd__work *work, enum yd_port_mode mode, const struct yd__name *kind)
{
    bool push = mode == YD_PUSH;
    yd__report(work, YD_Y_KIND, kind->place, "", "there is no %s '%.*s'", push ? "kind" : "schema",
               YD_STR_FMT(kind->text));
    struct yd__choice choice;
    yd__choice_init(&choice, kind->text);
    for (int i = YD_SAMPLE; push && i < YD_KIND_COUNT; i++) yd__choice_add(work, &choice, yd_str_of(yd__kind_names[i]));
    for (size_t i = 0; !push && i < YD_COUNT(schemas); i++) yd__choice_add(work, &choice, yd_str_of(schemas[i]));
    yd__choice_help(work, &choice, push ? "kinds are" : "schemas are", NULL);
}

static void declare_ports(struct yd__plan *plan, struct yd__scope *scope, const struct yd__body *body)
{
    struct yd__work *work = plan->work;
    for (const struct yd__port *port = body->ports; port; port = port->next) {
        uint32_t kinds = port->kinds && port->mode == YD_PUSH ? 0 : YD_KINDS_ALL;
        for (const struct yd__name *kind = port->kinds; kind; kind = kind->next) {
            uint32_t bit = port->mode == YD_PUSH ? yd__kind_bit(kind->text) : 0;
            kinds |= bit;
            if (bit || (port->mode == YD_QUERY && is_schema(kind->text))) continue;
            kinds = YD_KINDS_ALL;
            unknown_kind(work, port->mode, kind);
        }
        struct yd__entity *entity = yd__get(work, sizeof *entity);
        *entity = (struct yd__entity){YD__ENTITY_PORT, port->name, YD_NOWHERE, scope, plan->junction_count};
        const struct yd__entity *first = yd__map_add(work, &scope->entities, port->name.text, entity);
        if (first) {
            yd__report(work, YD_Y_DECLARED_TWICE, port->name.place, "", "the port '%.*s' is declared twice",
                       YD_STR_FMT(port->name.text));
            yd__note(work, first->name.place, "first here");
            continue;
        }
        YD__ROOM(plan, plan->junctions, plan->junction_count, plan->junction_capacity);
        plan->junctions[plan->junction_count++] = (struct yd__junction){.port = port, .scope = scope, .kinds = kinds};
    }
}

static void expand_body(struct yd__plan *plan, struct yd__scope *scope, const struct yd__body *body)
{
    scope->made = yd__get(plan->work, (body->make_count + 1) * sizeof *scope->made);
    declare_ports(plan, scope, body);
    for (const struct yd__statement *statement = body->statements; statement && !plan->stopped;
         statement = statement->next)
        for (const struct yd__group *group = statement->groups; group; group = group->next)
            for (const struct yd__end *end = group->ends; end && !plan->stopped; end = end->next)
                if (end->make) declare_made(plan, scope, end);
    for (const struct yd__statement *statement = body->statements; statement && !plan->stopped;
         statement = statement->next)
        yd__wire_statement(plan, scope, statement);
}

static struct yd__entity *expand_compound(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                                          struct yd__compound *compound)
{
    struct yd__work *work = plan->work;
    struct yd__entity *entity = yd__get(work, sizeof *entity);
    entity->type = YD__ENTITY_LOST;
    if (compound->expanding) {
        yd__report(work, YD_Y_RECURSION, end->make->class.place, "", "'%.*s' contains itself",
                   YD_STR_FMT(compound->name.text));
        if (scope->compound != compound && scope->compound)
            yd__note(work, scope->compound->name.place, "'%.*s' is part of it", YD_STR_FMT(scope->compound->name.text));
        yd__help(work, "compounds are expanded before anything runs: there is no end to this one");
        return entity;
    }
    if (scope->depth == YD_FLOW_COMPOUND_MAX) {
        (void)limit(plan, end->make->class.place, "compounds in one another", YD_FLOW_COMPOUND_MAX);
        return entity;
    }
    if (++plan->instances > YD_FLOW_INSTANCES_MAX) {
        (void)limit(plan, end->make->class.place, "instances of compounds", YD_FLOW_INSTANCES_MAX);
        return entity;
    }
    if (end->make->is_shard) {
        yd__report(work, YD_Y_NOT_YET, end->make->shard_place, "", "'shard' is not there yet");
        yd__help(work, "write %.*s(…) alone: one instance of it", YD_STR_FMT(compound->name.text));
    }
    bool anonymous;
    struct yd__scope *inside = yd__get(work, sizeof *inside);
    inside->outer = plan->file;
    inside->compound = compound;
    inside->prefix = yd__keepf(work, "%s.", full_name(plan, scope, end, &anonymous));
    inside->with = end->make->with;
    inside->with_scope = scope;
    inside->instance = end->make->class.place;
    inside->depth = scope->depth + 1;
    inside->dry = scope->dry;
    yd__compound_args(plan, scope, inside, end->make, end->make->class.place);
    entity->type = YD__ENTITY_COMPOUND;
    entity->inside = inside;
    compound->expanding = compound->used = true;
    expand_body(plan, inside, &compound->body);
    compound->expanding = false;
    return entity;
}

/* ---- all of it ---- */

static void declare_compounds(struct yd__work *work)
{
    for (struct yd__compound *compound = work->compounds; compound; compound = compound->next) {
        if (compound->name.text.size == 0) continue; /* its head was broken */
        const struct yd_element_class *class = yd__class_find(work, compound->name.text);
        if (class || planned(compound->name.text)) {
            yd__report(work, YD_Y_DECLARED_TWICE, compound->name.place, "", "'%.*s' is an element class already",
                       YD_STR_FMT(compound->name.text));
            yd__help(work, "give the compound another name");
        }
        const struct yd__compound *first = yd__map_add(work, &work->compound_names, compound->name.text, compound);
        if (!first) continue;
        yd__report(work, YD_Y_DECLARED_TWICE, compound->name.place, "", "the element '%.*s' is declared twice",
                   YD_STR_FMT(compound->name.text));
        yd__note(work, first->name.place, "first here");
    }
}

void yd__expand(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    plan->file = yd__get(work, sizeof *plan->file);
    plan->file->prefix = "";
    declare_compounds(work);
    yd__file_params(plan);
    expand_body(plan, plan->file, &work->body);
    for (struct yd__compound *compound = work->compounds; compound && !plan->stopped; compound = compound->next) {
        if (compound->used) continue;
        struct yd__scope *dry = yd__get(work, sizeof *dry);
        dry->outer = plan->file;
        dry->compound = compound;
        dry->with_scope = plan->file;
        dry->prefix = yd__keepf(work, "%.*s.", YD_STR_FMT(compound->name.text));
        dry->depth = 1;
        dry->dry = true;
        yd__compound_args(plan, plan->file, dry, NULL, compound->name.place);
        compound->expanding = true;
        expand_body(plan, dry, &compound->body);
        compound->expanding = false;
    }
}
