/* Wires: names become ports, and compounds' ports disappear.
 *
 * Each end is first looked up softly; what is wrong is said once per wire, with both ends where both matter. A wire
 * with a lost end stays in the drafts, so that what it would have reached is not called unwired as well. */
#include "flow/expand.h"

enum status { FOUND, LOST, NO_SUCH_PORT, WRONG_DIRECTION, WRONG_MODE, NO_PORT, IS_PORT };

struct found {
    enum status status;
    struct yd__tip tip;
    const struct yd__entity *entity; /* NULL when the name is unknown */
    const struct yd_element_class *class;
    enum yd_port_direction
        direction; /* of the port that is wanted of the entity: from inside a compound it is turned */
    /* What was found instead, for WRONG_…: of a class or of a compound. */
    enum yd_port_direction has_direction;
    enum yd_port_mode has_mode;
    bool other_mode; /* there is a port that fits the other arrow */
    bool bare;
};

static const char *const mode_words[] = {"push", "query"};
static const char *const arrows[] = {"->", "=>"};

bool yd__poisoned(struct yd__work *work, struct yd_str name)
{
    return work->names_lost || yd__map_find(&work->poisoned, name);
}

const char *yd__port_is(const struct yd_port_class *port)
{
    if (port->direction == YD_OUT) return port->mode == YD_PUSH ? "is a push output" : "is a query output";
    return port->mode == YD_PUSH ? "takes records" : "answers queries";
}

static const char *port_is(enum yd_port_direction direction, enum yd_port_mode mode)
{
    return yd__port_is(&(struct yd_port_class){.direction = direction, .mode = mode});
}

const char *yd__port_list(struct yd__work *work, const struct yd_element_class *class)
{
    const char *list = "";
    for (const struct yd_port_class *port = class->ports; port && port->name; port++)
        list = yd__printf(work, "%s%s%s (%s %s)", list, *list ? ", " : "", port->name, mode_words[port->mode],
                          port->direction == YD_IN ? "in" : "out");
    return *list ? list : "none";
}

/* ---- looking up ---- */

struct yd__entity *yd__entity_find(struct yd__plan *plan, struct yd__scope *scope, const struct yd__name *name)
{
    struct yd__work *work = plan->work;
    struct yd__entity *entity = yd__map_find(&scope->entities, name->text);
    if (entity || plan->stopped || yd__poisoned(work, name->text)) return entity;
    yd__report(work, YD_Y_NODE, name->place, "", "there is no element '%.*s'", YD_STR_FMT(name->text));
    bool is_class = yd__class_find(work, name->text) || yd__map_find(&work->compound_names, name->text);
    struct yd__choice choice;
    yd__choice_init(&choice, name->text);
    for (uint32_t i = 0; scope->entities.slots && i <= scope->entities.mask; i++)
        if (scope->entities.slots[i].value) yd__choice_add(work, &choice, scope->entities.slots[i].key);
    if (is_class)
        yd__help(work, "that is a class: make one with %.*s(…)", YD_STR_FMT(name->text));
    else if (choice.nearest_text.size)
        yd__choice_help(work, &choice, "", NULL);
    else if (scope->outer && yd__map_find(&scope->outer->entities, name->text))
        yd__help(work, "it is outside of '%.*s': give this element a port, and wire that",
                 YD_STR_FMT(scope->compound->name.text));
    else
        yd__help(work, "declare it: %.*s :: Class(…)", YD_STR_FMT(name->text));
    return NULL;
}

static void find_in_class(struct found *found, const struct yd_element_class *class, struct yd_str port_name,
                          enum yd_port_mode mode)
{
    found->class = class;
    bool any_named = false;
    for (const struct yd_port_class *port = class->ports; port && port->name; port++) {
        bool named = port_name.size && yd_str_eq(port_name, yd_str_of(port->name));
        if (port_name.size && !named) continue;
        bool direction = port->direction == found->direction;
        if (direction && port->mode == mode) {
            found->status = FOUND;
            found->tip.port = (unsigned)(port - class->ports);
            return;
        }
        found->other_mode |= direction;
        if (!any_named || (direction && found->has_direction != found->direction)) {
            found->has_direction = port->direction;
            found->has_mode = port->mode;
        }
        any_named = true;
    }
    if (!port_name.size)
        found->status = found->other_mode ? WRONG_MODE : NO_PORT;
    else
        found->status = !any_named ? NO_SUCH_PORT : found->other_mode ? WRONG_MODE : WRONG_DIRECTION;
}

static void find_in_compound(struct yd__plan *plan, struct found *found, const struct yd__scope *inside,
                             struct yd_str port_name, enum yd_port_mode mode)
{
    bool any_named = false;
    for (const struct yd__port *port = inside->compound->body.ports; port; port = port->next) {
        if (port_name.size && !yd_str_eq(port_name, port->name.text)) continue;
        bool direction = port->direction == found->direction;
        const struct yd__entity *entity = yd__map_find(&inside->entities, port->name.text);
        if (direction && port->mode == mode && entity->type == YD__ENTITY_PORT) {
            found->status = FOUND;
            found->tip.junction = entity->junction;
            return;
        }
        found->other_mode |= direction;
        if (!any_named || direction) {
            found->has_direction = port->direction;
            found->has_mode = port->mode;
        }
        any_named = true;
    }
    (void)plan;
    if (inside->compound->broken)
        found->status = LOST;
    else if (!port_name.size)
        found->status = found->other_mode ? WRONG_MODE : NO_PORT;
    else
        found->status = !any_named ? NO_SUCH_PORT : found->other_mode ? WRONG_MODE : WRONG_DIRECTION;
}

/* `direction`: YD_OUT for the left end of a wire, YD_IN for the right one. */
static struct found find(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                         enum yd_port_direction direction, enum yd_port_mode mode)
{
    struct found found = {.status = LOST, .direction = direction, .bare = end->port.text.size == 0};
    found.tip = (struct yd__tip){.node = YD_NOWHERE, .junction = YD_NOWHERE};
    found.tip.node_name = end->node.text.size ? end->node.text : end->make ? end->make->class.text : end->node.text;
    found.tip.port_name = end->port.text;
    found.tip.place = end->port.text.size   ? end->port.place
                      : end->node.text.size ? end->node.place
                                            : end->make->class.place;
    found.entity = end->make ? scope->made[end->make->ordinal] : yd__entity_find(plan, scope, &end->node);
    if (!found.entity) return found;
    switch (found.entity->type) {
    case YD__ENTITY_LOST:
        break;
    case YD__ENTITY_NODE:
        found.tip.node = found.entity->node;
        find_in_class(&found, plan->nodes[found.entity->node].node.class, end->port.text, mode);
        break;
    case YD__ENTITY_COMPOUND:
        find_in_compound(plan, &found, found.entity->inside, end->port.text, mode);
        break;
    case YD__ENTITY_PORT: {
        const struct yd__port *port = plan->junctions[found.entity->junction].port;
        /* From inside, what comes in is where wires start. */
        found.direction = direction == YD_OUT ? YD_IN : YD_OUT;
        found.has_direction = port->direction;
        found.has_mode = port->mode;
        found.tip.junction = found.entity->junction;
        if (end->port.text.size)
            found.status = IS_PORT;
        else if (port->direction != found.direction)
            found.status = WRONG_DIRECTION;
        else
            found.status = port->mode == mode ? FOUND : WRONG_MODE;
        found.other_mode = found.status == WRONG_MODE;
        break;
    }
    }
    return found;
}

/* ---- what is wrong, in words ---- */

static const char *written(struct yd__work *work, const struct yd__tip *tip)
{
    return tip->port_name.size ? yd__printf(work, "%.*s.%.*s", YD_STR_FMT(tip->node_name), YD_STR_FMT(tip->port_name))
                               : yd__printf(work, "%.*s", YD_STR_FMT(tip->node_name));
}

static const char *ports_of(struct yd__plan *plan, const struct found *found)
{
    if (found->class) return yd__port_list(plan->work, found->class);
    const char *list = "";
    const struct yd__scope *inside = found->entity->inside;
    for (const struct yd__port *port = inside->compound->body.ports; port; port = port->next)
        list = yd__printf(plan->work, "%s%s%.*s (%s %s)", list, *list ? ", " : "", YD_STR_FMT(port->name.text),
                          mode_words[port->mode], port->direction == YD_IN ? "in" : "out");
    return *list ? list : "none";
}

static struct yd_str class_of(const struct found *found)
{
    return found->class ? yd_str_of(found->class->name) : found->entity->inside->compound->name.text;
}

static void no_such_port(struct yd__plan *plan, const struct found *found)
{
    struct yd__work *work = plan->work;
    struct yd_str class = class_of(found);
    yd__report(work, YD_Y_PORT, found->tip.place, "", "'%.*s' has no port '%.*s'", YD_STR_FMT(class),
               YD_STR_FMT(found->tip.port_name));
    struct yd__choice choice;
    yd__choice_init(&choice, found->tip.port_name);
    if (found->class) {
        for (const struct yd_port_class *port = found->class->ports; port && port->name; port++)
            yd__choice_add(work, &choice, yd_str_of(port->name));
    } else {
        for (const struct yd__port *port = found->entity->inside->compound->body.ports; port; port = port->next)
            yd__choice_add(work, &choice, port->name.text);
    }
    if (choice.nearest_text.size)
        yd__choice_help(work, &choice, "", NULL);
    else
        yd__help(work, "ports of '%.*s': %s", YD_STR_FMT(class), ports_of(plan, found));
}

static void wrong_direction(struct yd__plan *plan, const struct found *found, bool left)
{
    struct yd__work *work = plan->work;
    bool inside = found->entity->type == YD__ENTITY_PORT;
    struct yd_str name = found->bare ? found->tip.node_name : found->tip.port_name;
    const char *is = inside ? (found->has_direction == YD_IN ? "is an input of this element: wires start at it"
                                                             : "is an output of this element: wires end at it")
                            : port_is(found->has_direction, found->has_mode);
    yd__report(work, YD_Y_DIRECTION, found->tip.place, yd__printf(work, "'%.*s' %s", YD_STR_FMT(name), is), "%s",
               left ? "a wire cannot start here" : "a wire cannot end here");
    if (!inside) yd__help(work, "ports of '%.*s': %s", YD_STR_FMT(class_of(found)), ports_of(plan, found));
}

/* An end by itself. true: reported. */
static bool wrong_alone(struct yd__plan *plan, const struct found *found, bool left)
{
    struct yd__work *work = plan->work;
    switch (found->status) {
    case NO_SUCH_PORT:
        no_such_port(plan, found);
        return true;
    case WRONG_DIRECTION:
        wrong_direction(plan, found, left);
        return true;
    case NO_PORT:
        yd__report(work, YD_Y_NO_PORT, found->tip.place, "", "'%.*s' has no %s: %s", YD_STR_FMT(class_of(found)),
                   left ? "output" : "input", left ? "no wire can start here" : "no wire can end here");
        yd__help(work, "ports of '%.*s': %s", YD_STR_FMT(class_of(found)), ports_of(plan, found));
        return true;
    case IS_PORT:
        yd__report(work, YD_Y_PORT, found->tip.place, "", "'%.*s' is a port itself, and has none",
                   YD_STR_FMT(found->tip.node_name));
        yd__help(work, "write %.*s alone", YD_STR_FMT(found->tip.node_name));
        return true;
    default:
        return false;
    }
}

/* "'ask' is a query output"; of a bare name what it lacks. */
static const char *end_words(struct yd__plan *plan, const struct found *found, enum yd_port_mode mode)
{
    struct yd__work *work = plan->work;
    struct yd_str name = found->tip.port_name.size ? found->tip.port_name : found->tip.node_name;
    if (found->status == WRONG_MODE && found->bare && found->entity->type != YD__ENTITY_PORT)
        return yd__printf(work, "'%.*s' has no %s %s", YD_STR_FMT(name), mode_words[mode],
                          found->direction == YD_OUT ? "output" : "input");
    if (found->status == WRONG_MODE)
        return yd__printf(work, "'%.*s' %s", YD_STR_FMT(name), port_is(found->direction, found->has_mode));
    return yd__printf(work, "'%.*s' %s", YD_STR_FMT(name), port_is(found->direction, mode));
}

static bool could(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end,
                  enum yd_port_direction direction, enum yd_port_mode mode)
{
    return find(plan, scope, end, direction, mode).status == FOUND;
}

static void wrong_arrow(struct yd__plan *plan, struct yd__scope *scope, const struct found *left,
                        const struct found *right, const struct yd__end *from, const struct yd__end *to,
                        enum yd_port_mode mode)
{
    struct yd__work *work = plan->work;
    enum yd_port_mode other = mode == YD_PUSH ? YD_QUERY : YD_PUSH;
    bool left_wrong = left->status == WRONG_MODE;
    const struct found *first = left_wrong ? left : right, *second = left_wrong ? right : left;
    yd__report(work, YD_Y_ARROW, first->tip.place, end_words(plan, first, mode), "a %s port is wired with a %s arrow",
               mode_words[other], mode_words[mode]);
    if (second->status == FOUND || second->status == WRONG_MODE)
        yd__note(work, second->tip.place, "%s", end_words(plan, second, mode));
    if (could(plan, scope, from, YD_OUT, other) && could(plan, scope, to, YD_IN, other))
        yd__help(work, "write  %s %s %s", written(work, &left->tip), arrows[other], written(work, &right->tip));
    else if (second->entity && second->entity->type != YD__ENTITY_PORT && second->entity->type != YD__ENTITY_LOST)
        yd__help(work, "'%.*s' has no %s %s to go with it; its ports: %s", YD_STR_FMT(second->tip.node_name),
                 mode_words[other], second == left ? "output" : "input", ports_of(plan, second));
}

/* ---- one wire ---- */

/* What a failed wire meant to reach is neither unwired nor unreached. */
static void mark_meant(struct yd__plan *plan, struct yd__scope *scope, const struct found *found)
{
    if (found->entity && found->entity->type == YD__ENTITY_COMPOUND) {
        const struct yd__scope *inside = found->entity->inside;
        for (const struct yd__port *port = inside->compound->body.ports; port; port = port->next) {
            const struct yd__entity *entity = yd__map_find(&inside->entities, port->name.text);
            if (entity->type == YD__ENTITY_PORT && port->direction == found->direction)
                plan->junctions[entity->junction].wired_outside = true;
        }
    }
    if (found->tip.junction != YD_NOWHERE) {
        struct yd__junction *junction = &plan->junctions[found->tip.junction];
        if (junction->scope == scope)
            junction->wired_inside = true;
        else
            junction->wired_outside = true;
    }
    if (found->tip.node == YD_NOWHERE) return;
    struct yd__node *node = &plan->nodes[found->tip.node];
    if (found->direction == YD_IN)
        node->lost_in = true;
    else
        node->lost_out = true;
    unsigned index = 0;
    bool exact = found->status == FOUND && !found->bare;
    bool either = found->status == NO_PORT || found->status == WRONG_DIRECTION;
    if (either) node->lost_in = node->lost_out = true;
    for (const struct yd_port_class *port = node->node.class->ports; port && port->name; port++, index++)
        if (exact ? index == found->tip.port : either || port->direction == found->direction)
            node->wired |= UINT64_C(1) << index;
}

static bool is_turned(const struct found *found)
{
    return found->status == WRONG_DIRECTION || found->status == NO_PORT;
}

static void wire(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *from, const struct yd__end *to,
                 const struct yd__arrow *arrow)
{
    struct found left = find(plan, scope, from, YD_OUT, arrow->mode), right = find(plan, scope, to, YD_IN, arrow->mode);
    bool turned = is_turned(&left) && is_turned(&right) && could(plan, scope, to, YD_OUT, arrow->mode) &&
                  could(plan, scope, from, YD_IN, arrow->mode);
    bool reported = turned;
    if (turned) {
        yd__report(plan->work, YD_Y_DIRECTION, arrow->place, "", "this wire is the wrong way round");
        yd__help(plan->work, "write  %s %s %s", written(plan->work, &right.tip), arrows[arrow->mode],
                 written(plan->work, &left.tip));
    } else {
        reported = wrong_alone(plan, &left, true);
        reported |= wrong_alone(plan, &right, false);
    }
    if (!reported && (left.status == WRONG_MODE || right.status == WRONG_MODE))
        wrong_arrow(plan, scope, &left, &right, from, to, arrow->mode);
    bool both = left.status == FOUND && right.status == FOUND;
    if (!both) {
        mark_meant(plan, scope, &left);
        mark_meant(plan, scope, &right);
        if (left.status != FOUND) left.tip.node = left.tip.junction = YD_NOWHERE;
        if (right.status != FOUND) right.tip.node = right.tip.junction = YD_NOWHERE;
    }
    if (plan->draft_count == YD_FLOW_WIRES_MAX) {
        if (!plan->stopped)
            yd__report(plan->work, YD_Y_LIMIT, arrow->place, "", "there are more than %d wires", YD_FLOW_WIRES_MAX);
        plan->stopped = true;
        return;
    }
    YD__ROOM(plan, plan->drafts, plan->draft_count, plan->draft_capacity);
    plan->drafts[plan->draft_count++] = (struct yd__draft){left.tip, right.tip, arrow, scope};
}

/* ---- statements ---- */

/* All about this end is in doubt: its statement cannot be made sense of. */
static void mark_end(struct yd__plan *plan, struct yd__scope *scope, const struct yd__end *end)
{
    const struct yd__entity *entity =
        end->make ? scope->made[end->make->ordinal] : yd__entity_find(plan, scope, &end->node);
    if (!entity) return;
    if (entity->type == YD__ENTITY_COMPOUND)
        for (const struct yd__port *port = entity->inside->compound->body.ports; port; port = port->next) {
            const struct yd__entity *inner = yd__map_find(&entity->inside->entities, port->name.text);
            if (inner->type == YD__ENTITY_PORT) plan->junctions[inner->junction].wired_outside = true;
        }
    if (entity->type == YD__ENTITY_PORT) plan->junctions[entity->junction].wired_inside = true;
    if (entity->type != YD__ENTITY_NODE) return;
    struct yd__node *node = &plan->nodes[entity->node];
    node->wired = UINT64_MAX;
    node->lost_in = node->lost_out = true;
}

static void no_effect(struct yd__plan *plan, struct yd__scope *scope, const struct yd__statement *statement)
{
    struct yd__work *work = plan->work;
    const struct yd__group *group = statement->groups;
    bool declares = group->end_count == 1 && group->ends->make && group->ends->node.text.size;
    if (declares) return;
    for (const struct yd__end *end = group->ends; end; end = end->next) mark_end(plan, scope, end);
    yd__report(work, YD_Y_NO_EFFECT, statement->place, "", "this statement does nothing");
    if (group->end_count > 1)
        yd__help(work, "declare one element in a statement, or wire them: … -> a, b");
    else if (group->ends->make)
        yd__help(work, "name it (x :: %.*s(…)) to use it elsewhere, or wire it",
                 YD_STR_FMT(group->ends->make->class.text));
    else
        yd__help(work, "wire it: %.*s -> …",
                 YD_STR_FMT(group->ends->node.text.size ? group->ends->node.text : group->ends->make->class.text));
}

void yd__wire_statement(struct yd__plan *plan, struct yd__scope *scope, const struct yd__statement *statement)
{
    struct yd__work *work = plan->work;
    const struct yd__group *group = statement->groups;
    if (!group->arrow) {
        no_effect(plan, scope, statement);
        return;
    }
    const struct yd__arrow *query = NULL;
    size_t groups = 0, ends = 0;
    for (const struct yd__group *at = group; at; at = at->next) {
        if (!query && at->arrow && at->arrow->mode == YD_QUERY) query = at->arrow;
        groups++;
        ends += at->end_count;
    }
    if (query && (groups > 2 || ends > 2)) {
        yd__report(work, YD_Y_QUERY_CHAIN, query->place, "", "a query wire joins one who asks and one who answers");
        yd__help(work, "write it as a statement of its own: asker => answerer");
        for (const struct yd__group *at = group; at; at = at->next)
            for (const struct yd__end *end = at->ends; end; end = end->next) mark_end(plan, scope, end);
        return;
    }
    for (; group->arrow && !plan->stopped; group = group->next)
        for (const struct yd__end *from = group->ends; from && !plan->stopped; from = from->next)
            for (const struct yd__end *to = group->next->ends; to && !plan->stopped; to = to->next)
                wire(plan, scope, group->arrow->reversed ? to : from, group->arrow->reversed ? from : to, group->arrow);
}

/* ---- compounds' ports away ---- */

static void junction_add(struct yd__plan *plan, struct yd__junction *junction, uint32_t draft)
{
    YD__ROOM(plan, junction->out, junction->out_count, junction->out_capacity);
    junction->out[junction->out_count++] = draft;
}

struct walk {
    struct yd__plan *plan;
    const struct yd__draft *path[YD_FLOW_COMPOUND_MAX * 2 + 1];
    size_t count;
    bool dry;
};

static void arrive(struct walk *walk)
{
    struct yd__plan *plan = walk->plan;
    const struct yd__tip *from = &walk->path[0]->from, *to = &walk->path[walk->count - 1]->to;
    bool from_node = from->node != YD_NOWHERE, to_node = to->node != YD_NOWHERE;
    struct yd__node *source = from_node ? &plan->nodes[from->node] : NULL,
                    *sink = to_node ? &plan->nodes[to->node] : NULL;
    if (from_node) source->wired |= UINT64_C(1) << from->port;
    if (to_node) sink->wired |= UINT64_C(1) << to->port;
    if (from_node && !to_node) source->lost_out = true;
    if (to_node && !from_node) sink->lost_in = true;
    if (!from_node || !to_node) return;
    source->linked |= UINT64_C(1) << from->port;
    sink->linked |= UINT64_C(1) << to->port;
    if (plan->link_count == YD_FLOW_WIRES_MAX) {
        plan->stopped = true;
        yd__report(plan->work, YD_Y_LIMIT, walk->path[0]->arrow->place, "",
                   "there are more than %d wires once compounds are expanded", YD_FLOW_WIRES_MAX);
        return;
    }
    YD__ROOM(plan, plan->links, plan->link_count, plan->link_capacity);
    struct yd__link *link = &plan->links[plan->link_count++];
    *link = (struct yd__link){.from = *from, .to = *to, .path_count = walk->count, .dry = walk->dry};
    memcpy(link->path, walk->path, walk->count * sizeof walk->path[0]);
    const struct yd__draft *outer = walk->path[0];
    for (size_t i = 1; i < walk->count; i++)
        if (walk->path[i]->scope->depth < outer->scope->depth) outer = walk->path[i];
    link->wire = (struct yd_wire){.from = from->node,
                                  .to = to->node,
                                  .from_port = from->port,
                                  .to_port = to->port,
                                  .mode = outer->arrow->mode,
                                  .place = outer->arrow->place};
}

static void follow(struct walk *walk, const struct yd__draft *draft)
{
    struct yd__plan *plan = walk->plan;
    if (plan->stopped) return;
    if (walk->count == YD_COUNT(walk->path) || ++plan->steps > 16 * YD_FLOW_WIRES_MAX) {
        plan->stopped = true;
        yd__report(plan->work, YD_Y_LIMIT, draft->arrow->place, "", "this wire goes through too many compounds");
        return;
    }
    walk->path[walk->count++] = draft;
    if (draft->to.junction == YD_NOWHERE) {
        arrive(walk);
    } else {
        struct yd__junction *junction = &plan->junctions[draft->to.junction];
        if (junction->on_path) {
            yd__report(plan->work, YD_Y_RING, draft->arrow->place, "",
                       "this wire only goes round, through ports of elements");
        } else if (junction->out_count == 0) {
            /* Unwired on its far side: said there, if it must be. From here it is no wire at all. */
            if (junction->failed && walk->path[0]->from.node != YD_NOWHERE) {
                struct yd__node *source = &plan->nodes[walk->path[0]->from.node];
                source->wired |= UINT64_C(1) << walk->path[0]->from.port;
                source->lost_out = true;
            }
        }
        junction->on_path = true;
        for (uint32_t i = 0; i < junction->out_count && !plan->stopped; i++)
            follow(walk, &plan->drafts[junction->out[i]]);
        junction->on_path = false;
    }
    walk->count--;
}

/* From a junction that nobody feeds: what is behind it is not unwired, the junction is. */
static void unfed(struct yd__plan *plan, struct yd__junction *junction)
{
    struct yd__work *work = plan->work;
    const struct yd__port *port = junction->port;
    const struct yd__scope *scope = junction->scope;
    bool required = port->direction == YD_IN && port->mode == YD_PUSH && !junction->wired_outside && !scope->dry &&
                    !scope->compound->broken;
    if (required) {
        yd__report(work, YD_Y_UNWIRED, scope->instance, "", "the port '%.*s' of this element is not wired",
                   YD_STR_FMT(port->name.text));
        yd__note(work, port->name.place, "declared here");
        struct yd_str name = scope->compound->name.text;
        yd__help(work, "write … -> %.*s(…), or name it and wire name.%.*s", YD_STR_FMT(name),
                 YD_STR_FMT(port->name.text));
    }
    static const struct yd__arrow nowhere = {0};
    struct yd__draft lost = {.from = {.node = YD_NOWHERE, .junction = YD_NOWHERE},
                             .to = {.node = YD_NOWHERE},
                             .arrow = &nowhere,
                             .scope = junction->scope};
    lost.to.junction = (uint32_t)(junction - plan->junctions);
    struct walk walk = {.plan = plan, .dry = scope->dry};
    follow(&walk, &lost);
}

void yd__wire_through(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    for (uint32_t i = 0; i < plan->draft_count; i++) {
        const struct yd__draft *draft = &plan->drafts[i];
        if (draft->from.junction != YD_NOWHERE) {
            struct yd__junction *junction = &plan->junctions[draft->from.junction];
            junction_add(plan, junction, i);
            if (draft->scope == junction->scope)
                junction->wired_inside = true;
            else
                junction->wired_outside = true;
        }
        if (draft->to.junction != YD_NOWHERE) {
            struct yd__junction *junction = &plan->junctions[draft->to.junction];
            junction->fed = true;
            if (draft->scope == junction->scope)
                junction->wired_inside = true;
            else
                junction->wired_outside = true;
        }
    }
    for (uint32_t i = 0; i < plan->junction_count; i++) {
        struct yd__junction *junction = &plan->junctions[i];
        const struct yd__port *port = junction->port;
        junction->failed = !junction->wired_inside || junction->scope->dry;
        if (junction->wired_inside || junction->scope->compound->broken) continue;
        yd__report(work, YD_Y_COMPOUND_PORT, port->name.place, "", "the port '%.*s' of '%.*s' leads nowhere inside",
                   YD_STR_FMT(port->name.text), YD_STR_FMT(junction->scope->compound->name.text));
        if (port->direction == YD_IN)
            yd__help(work, "wire it in the body: %.*s %s …", YD_STR_FMT(port->name.text), arrows[port->mode]);
        else
            yd__help(work, "wire it in the body: … %s %.*s", arrows[port->mode], YD_STR_FMT(port->name.text));
    }
    for (uint32_t i = 0; i < plan->draft_count && !plan->stopped; i++) {
        if (plan->drafts[i].from.junction != YD_NOWHERE) continue;
        struct walk walk = {.plan = plan, .dry = plan->drafts[i].scope->dry};
        follow(&walk, &plan->drafts[i]);
    }
    for (uint32_t i = 0; i < plan->junction_count && !plan->stopped; i++)
        if (!plan->junctions[i].fed) unfed(plan, &plan->junctions[i]);
}
