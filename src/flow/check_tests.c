/* In-file tests, checked: the elements and ports they name exist, records are records. They run elsewhere. */
#include "flow/expand.h"

/* Where a feed or an expectation looks: a node and a port of it. */
struct target {
    uint32_t node;
    unsigned port;
};

static unsigned first_push(const struct yd_element_class *class, enum yd_port_direction direction)
{
    for (const struct yd_port_class *port = class->ports; port && port->name; port++)
        if (port->mode == YD_PUSH && port->direction == direction) return (unsigned)(port - class->ports);
    return UINT32_MAX;
}

/* A compound's port stands for the one port of an element inside that it leads to or comes from. */
static bool through_compound(struct yd__plan *plan, const struct yd__name *name, uint32_t junction, struct target *ret)
{
    uint32_t count = 0;
    for (int hops = 0; hops < YD_FLOW_COMPOUND_MAX; hops++) {
        const struct yd__junction *at = &plan->junctions[junction];
        bool in = at->port->direction == YD_IN;
        uint32_t next = YD_NOWHERE;
        count = 0;
        for (uint32_t i = 0; i < plan->draft_count; i++) {
            const struct yd__draft *draft = &plan->drafts[i];
            const struct yd__tip *near = in ? &draft->from : &draft->to, *far = in ? &draft->to : &draft->from;
            if (near->junction != junction || draft->scope != at->scope) continue;
            count++;
            if (far->node != YD_NOWHERE) *ret = (struct target){far->node, far->port};
            next = far->node != YD_NOWHERE ? YD_NOWHERE : far->junction;
            if (far->node == YD_NOWHERE && far->junction == YD_NOWHERE) return false; /* reported */
        }
        if (count == 1 && next == YD_NOWHERE) return true;
        if (count != 1) break;
        junction = next;
    }
    if (count) {
        yd__report(plan->work, YD_Y_FEED, name->place, "", "'%.*s' stands for %u ports inside: a test needs one",
                   YD_STR_FMT(name->text), count);
        yd__help(plan->work, "test the elements around it");
    }
    return false;
}

static bool compound_target(struct yd__plan *plan, const struct yd__step *step, const struct yd__scope *inside,
                            struct target *ret)
{
    struct yd__work *work = plan->work;
    const struct yd__port *found = NULL;
    enum yd_port_direction wanted = step->type == YD_STEP_FEED ? YD_IN : YD_OUT;
    for (const struct yd__port *port = inside->compound->body.ports; port; port = port->next) {
        if (port->mode != YD_PUSH) continue;
        bool named = step->port.text.size && yd_str_eq(port->name.text, step->port.text);
        bool fits = !step->port.text.size && (!found || (found->direction != wanted && port->direction == wanted));
        if (named || fits) found = port;
    }
    if (inside->compound->broken) return false;
    if (!found) {
        const struct yd__name *at = step->port.text.size ? &step->port : &step->node;
        yd__report(work, YD_Y_PORT, at->place, "", "'%.*s' has no port '%.*s'", YD_STR_FMT(inside->compound->name.text),
                   YD_STR_FMT(step->port.text.size ? step->port.text : YD_STR("push")));
        struct yd__choice choice;
        yd__choice_init(&choice, step->port.text);
        for (const struct yd__port *port = inside->compound->body.ports; port; port = port->next)
            if (port->mode == YD_PUSH) yd__choice_add(work, &choice, port->name.text);
        yd__choice_help(work, &choice, "its ports are", "it has no push ports");
        return false;
    }
    const struct yd__entity *entity = yd__map_find(&inside->entities, found->name.text);
    if (entity->type != YD__ENTITY_PORT) return false;
    return through_compound(plan, &step->node, entity->junction, ret);
}

static bool node_target(struct yd__plan *plan, const struct yd__step *step, uint32_t node, struct target *ret)
{
    struct yd__work *work = plan->work;
    const struct yd_element_class *class = plan->nodes[node].node.class;
    ret->node = node;
    if (!step->port.text.size) {
        unsigned in = first_push(class, YD_IN), out = first_push(class, YD_OUT);
        bool feed = step->type == YD_STEP_FEED;
        ret->port = feed ? (in != UINT32_MAX ? in : out) : (out != UINT32_MAX ? out : in);
        if (ret->port != UINT32_MAX) return true;
        yd__report(work, YD_Y_FEED, step->node.place, "", "'%s' has no push ports: nothing to %s", class->name,
                   feed ? "feed" : "expect");
        yd__help(work, "ports of '%s': %s", class->name, yd__port_list(work, class));
        return false;
    }
    for (const struct yd_port_class *port = class->ports; port && port->name; port++) {
        if (!yd_str_eq(step->port.text, yd_str_of(port->name))) continue;
        if (port->mode == YD_QUERY) {
            yd__report(work, YD_Y_FEED, step->port.place, "", "'%s' is a query port: tests see push ports", port->name);
            yd__help(work, "ports of '%s': %s", class->name, yd__port_list(work, class));
            return false;
        }
        ret->port = (unsigned)(port - class->ports);
        return true;
    }
    yd__report(work, YD_Y_PORT, step->port.place, "", "'%s' has no port '%.*s'", class->name,
               YD_STR_FMT(step->port.text));
    struct yd__choice choice;
    yd__choice_init(&choice, step->port.text);
    for (const struct yd_port_class *port = class->ports; port && port->name; port++)
        yd__choice_add(work, &choice, yd_str_of(port->name));
    if (choice.nearest_text.size)
        yd__choice_help(work, &choice, "", NULL);
    else
        yd__help(work, "ports of '%s': %s", class->name, yd__port_list(work, class));
    return false;
}

static bool find_target(struct yd__plan *plan, const struct yd__step *step, struct target *ret)
{
    const struct yd__entity *entity = yd__entity_find(plan, plan->file, &step->node);
    if (!entity) return false;
    switch (entity->type) {
    case YD__ENTITY_NODE:
        return node_target(plan, step, entity->node, ret);
    case YD__ENTITY_COMPOUND:
        return compound_target(plan, step, entity->inside, ret);
    default:
        return false;
    }
}

/* ---- records ---- */

static bool check_key(struct yd__work *work, const struct yd__pair *pair, bool is_name, bool is_kind, bool is_time)
{
    const struct yd__value *value = pair->value;
    if (value->type == YD__BAD || value->type == YD__REF || value->type == YD__ENV) return value->type != YD__BAD;
    if (is_name && value->type != YD__STRING) {
        yd__report(work, YD_Y_RECORD, value->place, "", "a record's name is a text in quotes");
        return false;
    }
    if (is_kind && !(value->type == YD__WORD && yd__kind_bit(value->text))) {
        yd__report(work, YD_Y_RECORD, value->place, "", "there is no kind %.*s", YD_STR_FMT(value->written));
        struct yd__choice choice;
        yd__choice_init(&choice, value->type == YD__WORD ? value->text : YD_STR(""));
        for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT; kind++)
            yd__choice_add(work, &choice, yd_str_of(yd__kind_names[kind]));
        yd__choice_help(work, &choice, "kinds are", NULL);
        return false;
    }
    int64_t time;
    bool is_moment = value->type == YD__INT || value->type == YD__FLOAT ||
                     (value->type == YD__STRING && yd_text_time(value->text, &time) == 0);
    if (is_time && !is_moment) {
        yd__report(work, YD_Y_RECORD, value->place, "",
                   "a record's time is seconds since 1970, or a text like "
                   "\"2026-01-31 12:00\"");
        return false;
    }
    return true;
}

/* The flags of a record: a state's code by its word, the others true or false. */
static bool check_flag(struct yd__work *work, const struct yd__pair *pair, bool is_code)
{
    const struct yd__value *value = pair->value;
    if (value->type == YD__BAD || value->type == YD__REF || value->type == YD__ENV) return value->type != YD__BAD;
    if (!is_code && value->type == YD__BOOL) return true;
    if (is_code && value->type == YD__WORD && yd_test_code(value->text) >= 0) return true;
    yd__report(work, YD_Y_RECORD, value->place, "", "%s: %.*s", is_code ? "there is no state's code" : "not a bool",
               YD_STR_FMT(value->written));
    yd__help(work, is_code ? "codes are ok, warning, critical, unknown" : "write true or false");
    return false;
}

static bool check_record(struct yd__work *work, const struct yd__value *record, bool feed)
{
    static const char *const keys[] = {"name",       "kind",     "time",    "value",     "code", "stale",
                                       "transition", "rollover", "suspect", "tombstone", NULL};
    if (record->type == YD__BAD) return false;
    if (record->type != YD__MAP) {
        yd__report(work, YD_Y_RECORD, record->place, "", "a record is a map in braces");
        yd__help(work, "write { name: \"cpu\", value: 1.5 }");
        return false;
    }
    size_t errors = work->diagnostics->errors;
    yd__pairs_unknown(work, record->pairs, keys, YD_Y_RECORD, "a record has no", "a record has", NULL);
    bool good = work->diagnostics->errors == errors;
    for (int i = 0; keys[i]; i++) {
        const struct yd__pair *pair = yd__pair_find(work, record->pairs, keys[i]);
        if (pair)
            good &= i < 4 ? check_key(work, pair, i == 0, i == 1, i == 2) : check_flag(work, pair, i == 4);
        else if (i == 0 && feed && good) {
            yd__report(work, YD_Y_RECORD, record->place, "", "a record that is fed needs a name");
            yd__help(work, "write { name: \"cpu\", … }");
            good = false;
        }
    }
    return good;
}

static bool check_records(struct yd__plan *plan, const struct yd__step *step, struct yd_step *to)
{
    struct yd__work *work = plan->work;
    bool good = true;
    for (const struct yd__value *record = step->value->first; record; record = record->next)
        good &= check_record(work, record, step->type == YD_STEP_FEED);
    if (!good) return false;
    struct yd_arg list;
    if (!yd__untyped(work, plan->file, step->value, &list)) return false;
    struct yd_arg *records = yd__keep(work, sizeof *records);
    *records = list;
    to->records = records;
    return true;
}

/* ---- steps ---- */

static bool check_feed_text(struct yd__plan *plan, const struct yd__step *step, const struct target *target)
{
    const struct yd_element_class *class = plan->nodes[target->node].node.class;
    if (class->feed) return true;
    yd__report(plan->work, YD_Y_FEED, step->value->place, "", "'%s' does not read text", class->name);
    yd__help(plan->work, "feed it records: feed %.*s [ { name: \"cpu\", value: 1.5 } ]", YD_STR_FMT(step->node.text));
    return false;
}

static void check_step(struct yd__plan *plan, const struct yd__step *step, struct yd_step *to)
{
    struct yd__work *work = plan->work;
    *to = (struct yd_step){.type = step->type, .place = step->place, .has_port = step->port.text.size != 0};
    if (step->value && step->value->type == YD__BAD) return;
    if (step->type == YD_STEP_ADVANCE) {
        to->advance_ns = step->value->i64;
        if (to->advance_ns > 0) return;
        yd__report(work, YD_Y_RANGE, step->value->place, "", "time only goes forward: %.*s",
                   YD_STR_FMT(step->value->written));
        return;
    }
    struct target target = {0};
    bool found = find_target(plan, step, &target);
    to->node = target.node;
    to->port = target.port;
    if (step->type == YD_STEP_FEED) {
        to->is_text = step->value->type == YD__STRING;
        if (!to->is_text)
            (void)check_records(plan, step, to);
        else if (found && check_feed_text(plan, step, &target))
            to->text = yd__keep_str(work, step->value->text);
        return;
    }
    to->expect = step->expect;
    if (step->expect == YD_EXPECT_EQUAL) (void)check_records(plan, step, to);
    if (step->expect != YD_EXPECT_COUNT) return;
    to->count = (uint64_t)step->value->i64;
    if (step->value->i64 < 0)
        yd__report(work, YD_Y_RANGE, step->value->place, "", "a count is not negative: %.*s",
                   YD_STR_FMT(step->value->written));
}

void yd__check_tests(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    struct yd_topology *topology = work->topology;
    topology->tests = yd__keep(work, (work->test_count + 1) * sizeof *topology->tests);
    for (const struct yd__test *test = work->tests; test; test = test->next) {
        struct yd_test *to = &topology->tests[topology->test_count++];
        struct yd_step *steps = yd__keep(work, (test->step_count + 1) * sizeof *steps);
        to->name = yd__keep_str(work, test->name->text).data;
        to->place = test->name->place;
        to->steps = steps;
        for (const struct yd__step *step = test->steps; step; step = step->next)
            check_step(plan, step, &steps[to->step_count++]);
    }
}
