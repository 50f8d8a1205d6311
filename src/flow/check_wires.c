/* Checks along wires: options (1, 6), kinds and schemas (3), cardinality (4), cursors (7). */
#include "flow/expand.h"

const char *const yd__kind_names[YD_KIND_COUNT] = {
    [YD_SAMPLE] = "sample", [YD_TALLY] = "tally", [YD_DELTA] = "delta",   [YD_STATE] = "state",
    [YD_EVENT] = "event",   [YD_FACT] = "fact",   [YD_PACKET] = "packet", [YD_ROW] = "row",
};

uint32_t yd__kind_bit(struct yd_str word)
{
    char lower[8];
    if (word.size > sizeof lower) return 0;
    for (size_t i = 0; i < word.size; i++) lower[i] = (char)(word.data[i] | 0x20);
    for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT; kind++)
        if (yd_str_eq((struct yd_str){lower, word.size}, yd_str_of(yd__kind_names[kind]))) return YD_KIND_BIT(kind);
    return 0;
}

const char *yd__kinds_words(struct yd__work *work, uint32_t kinds)
{
    if ((kinds & YD_KINDS_ALL) == YD_KINDS_ALL) return "any kind";
    const char *list = "";
    for (int kind = YD_SAMPLE; kind < YD_KIND_COUNT; kind++)
        if (kinds & YD_KIND_BIT(kind)) list = yd__printf(work, "%s%s%s", list, *list ? ", " : "", yd__kind_names[kind]);
    return *list ? list : "nothing";
}

const char *yd__shown(const struct yd__node *node)
{
    return node->node.anonymous ? node->node.class->name : node->node.name;
}

void yd__note_instance(struct yd__plan *plan, const struct yd__node *node)
{
    const struct yd__scope *scope = node->scope;
    if (!scope->compound || !scope->instance.line) return;
    yd__note(plan->work, scope->instance, "in this '%.*s'", YD_STR_FMT(scope->compound->name.text));
}

/* ---- options ---- */

static const char *const full_words[] = {"block", "drop_old", "drop_new", "spill", "spill_drop", NULL};
static const char *const read_words[] = {"memory", "written", "durable", NULL};
static const char *const option_names[] = {"queue", "records", "full", "timeout", "cursor", "from", "read", NULL};
enum { QUEUE, RECORDS, FULL, TIMEOUT, CURSOR, FROM, READ, OPTION_COUNT };
static const struct yd_param_class option_classes[] = {
    [QUEUE] = {.name = "queue", .type = YD_PARAM_SIZE, .min = 1024, .max = 1e15},
    [RECORDS] = {.name = "records", .type = YD_PARAM_INT, .min = 1, .max = 1e15},
    [FULL] = {.name = "full", .type = YD_PARAM_TEXT, .oneof = full_words},
    [TIMEOUT] = {.name = "timeout", .type = YD_PARAM_DURATION, .min = 1e6, .max = 1e18},
    [CURSOR] = {.name = "cursor", .type = YD_PARAM_TEXT},
    [FROM] = {.name = "from", .type = YD_PARAM_TEXT},
    [READ] = {.name = "read", .type = YD_PARAM_TEXT, .oneof = read_words},
};

struct chosen { /* an option of a link: of the wire it was written at */
    const struct yd__pair *pair;
    struct yd__scope *scope;
};

/* Of the parts that a wire through compounds is made of, the outermost decides: who uses a compound knows best. */
static struct chosen choose(struct yd__work *work, const struct yd__link *link, int option)
{
    struct chosen chosen = {0};
    for (size_t i = 0; i < link->path_count; i++) {
        const struct yd__draft *draft = link->path[i];
        const struct yd__pair *pair = yd__pair_find(work, draft->arrow->options, option_names[option]);
        if (pair && (!chosen.pair || draft->scope->depth < chosen.scope->depth))
            chosen = (struct chosen){pair, draft->scope};
    }
    return chosen;
}

static void misplaced(struct yd__work *work, const struct yd__pair *pair, const char *why, const char *help)
{
    yd__report(work, YD_Y_MISPLACED, pair->name.place, "", "'%.*s' means nothing here: %s", YD_STR_FMT(pair->name.text),
               why);
    if (help) yd__help(work, "%s", help);
}

static bool is_cursor_name(struct yd_str name)
{
    if (name.size == 0 || name.size > YD_FLOW_NAME_SIZE_MAX || name.data[0] == '.') return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                    c == '-' || c == '.';
        if (!good) return false;
    }
    return true;
}

static void apply_from(struct yd__plan *plan, struct yd__link *link, struct chosen chosen)
{
    struct yd__work *work = plan->work;
    struct yd_arg arg;
    const struct yd__value *value = chosen.pair->value;
    if (!yd__untyped(work, chosen.scope, value, &arg)) return;
    const struct yd_element_class *reader = plan->nodes[link->wire.to].node.class;
    bool oldest = arg.type == YD_PARAM_TEXT && yd_str_eq(arg.text, YD_STR("oldest"));
    if (oldest) return;
    if (reader->flags & YD_CLASS_REBUILDS) {
        misplaced(work, chosen.pair, yd__printf(work, "'%s' rebuilds itself from the whole stream", reader->name),
                  "leave it out");
        return;
    }
    if (arg.type == YD_PARAM_INT && arg.i64 >= 0) {
        link->wire.from_where = YD_WIRE_SEQNO;
        link->wire.from_seqno = (uint64_t)arg.i64;
    } else if (arg.type == YD_PARAM_TEXT && yd_str_eq(arg.text, YD_STR("tail"))) {
        link->wire.from_where = YD_WIRE_TAIL;
    } else if (arg.type == YD_PARAM_TEXT && value->type != YD__WORD &&
               yd_text_time(arg.text, &link->wire.from_time_ns) == 0) {
        link->wire.from_where = YD_WIRE_TIME;
    } else {
        yd__report(work, YD_Y_WORD, value->place, "", "'from' cannot be %.*s", YD_STR_FMT(value->written));
        struct yd__choice choice;
        yd__choice_init(&choice, arg.type == YD_PARAM_TEXT ? arg.text : YD_STR(""));
        yd__choice_add(work, &choice, YD_STR("oldest"));
        yd__choice_add(work, &choice, YD_STR("tail"));
        if (choice.nearest_text.size)
            yd__choice_help(work, &choice, "", NULL);
        else
            yd__help(work, "it is oldest, tail, a seqno (1000), or a time (\"2026-01-31 12:00\")");
    }
}

static void apply_cursor_options(struct yd__plan *plan, struct yd__link *link, const struct chosen chosen[OPTION_COUNT])
{
    struct yd__work *work = plan->work;
    struct yd_arg arg;
    if (chosen[CURSOR].pair &&
        yd__typed(work, chosen[CURSOR].scope, chosen[CURSOR].pair->value, &option_classes[CURSOR], &arg)) {
        const struct yd__value *value = chosen[CURSOR].pair->value;
        link->cursor_place = value->place;
        if (is_cursor_name(arg.text)) {
            link->wire.cursor = arg.text.data;
        } else {
            link->wire.cursor = "";
            yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%.*s' cannot be a cursor's name",
                       YD_STR_FMT(arg.text));
            yd__help(work, "it becomes a file's name: a-z A-Z 0-9 _ - . only, at most %d of them",
                     YD_FLOW_NAME_SIZE_MAX);
        }
    }
    if (chosen[FROM].pair) apply_from(plan, link, chosen[FROM]);
    link->wire.read_level = 3;
    if (chosen[READ].pair && yd__typed(work, chosen[READ].scope, chosen[READ].pair->value, &option_classes[READ], &arg))
        for (unsigned i = 0; read_words[i]; i++)
            if (yd_str_eq(arg.text, yd_str_of(read_words[i]))) link->wire.read_level = i + 1;
    if (chosen[FULL].pair && link->wire.full != YD_FULL_BLOCK)
        misplaced(work, chosen[FULL].pair, "a wire out of a stream reads on where it stopped",
                  "leave it out: a slow reader never holds up the stream, and loses nothing");
}

static void apply_options(struct yd__plan *plan, struct yd__link *link)
{
    struct yd__work *work = plan->work;
    struct yd_wire *wire = &link->wire;
    const struct yd_port_class *from = &plan->nodes[wire->from].node.class->ports[wire->from_port];
    wire->is_cursor = from->flags & YD_PORT_CURSOR && wire->mode == YD_PUSH;
    struct chosen chosen[OPTION_COUNT];
    for (int i = 0; i < OPTION_COUNT; i++) chosen[i] = choose(work, link, i);
    struct yd_arg arg;
    for (int i = QUEUE; i <= TIMEOUT; i++) {
        if (!chosen[i].pair) continue;
        if (wire->mode == YD_QUERY && i != TIMEOUT) {
            misplaced(work, chosen[i].pair, "a query wire keeps nothing", "options of a query wire are: timeout");
            continue;
        }
        if (wire->mode == YD_PUSH && i == TIMEOUT) {
            misplaced(work, chosen[i].pair, "only queries time out",
                      "options of a push wire are: queue, records, full");
            continue;
        }
        if (!yd__typed(work, chosen[i].scope, chosen[i].pair->value, &option_classes[i], &arg)) continue;
        if (i == QUEUE) wire->queue_bytes = (uint64_t)arg.i64;
        if (i == RECORDS) wire->queue_records = (uint64_t)arg.i64;
        if (i == TIMEOUT) wire->timeout_ns = arg.i64;
        for (int word = 0; i == FULL && full_words[word]; word++)
            if (yd_str_eq(arg.text, yd_str_of(full_words[word]))) wire->full = (enum yd_full)word;
    }
    if (wire->is_cursor) {
        apply_cursor_options(plan, link, chosen);
        return;
    }
    for (int i = CURSOR; i < OPTION_COUNT; i++)
        if (chosen[i].pair)
            misplaced(work, chosen[i].pair,
                      yd__printf(work, "'%.*s' keeps no stream to read from", YD_STR_FMT(link->from.node_name)),
                      "it is an option of wires out of a Log");
}

/* ---- kinds ---- */

static uint32_t kinds_of(const struct yd_port_class *port)
{
    return port->kinds ? port->kinds : YD_KINDS_ALL;
}

static uint32_t through(struct yd__plan *plan, const struct yd__link *link)
{
    uint32_t kinds = YD_KINDS_ALL;
    for (size_t i = 0; i + 1 < link->path_count; i++) kinds &= plan->junctions[link->path[i]->to.junction].kinds;
    return kinds;
}

static void carry(struct yd__plan *plan)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        struct yd__node *node = &plan->nodes[i];
        unsigned index = 0;
        bool fed = false;
        for (const struct yd_port_class *port = node->node.class->ports; port && port->name; port++, index++)
            fed |= port->direction == YD_IN && port->mode == YD_PUSH && node->linked >> index & 1;
        index = 0;
        for (const struct yd_port_class *port = node->node.class->ports; port && port->name; port++, index++) {
            bool waits = port->flags & YD_PORT_PASSES && fed && !node->lost_in;
            if (port->direction == YD_OUT) node->carried[index] = waits ? 0 : kinds_of(port);
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < plan->link_count; i++) {
            const struct yd__link *link = &plan->links[i];
            if (link->wire.mode != YD_PUSH) continue;
            struct yd__node *to = &plan->nodes[link->wire.to];
            uint64_t brought = plan->nodes[link->wire.from].carried[link->wire.from_port] & through(plan, link) &
                               kinds_of(&to->node.class->ports[link->wire.to_port]);
            unsigned index = 0;
            for (const struct yd_port_class *port = to->node.class->ports; port->name; port++, index++) {
                if (port->direction != YD_OUT || !(port->flags & YD_PORT_PASSES)) continue;
                uint64_t now = to->carried[index] | (brought & kinds_of(port));
                changed |= now != to->carried[index];
                to->carried[index] = now;
            }
        }
    }
}

static void check_kinds(struct yd__plan *plan, const struct yd__link *link)
{
    struct yd__work *work = plan->work;
    const struct yd__node *from = &plan->nodes[link->wire.from], *to = &plan->nodes[link->wire.to];
    const struct yd_port_class *out = &from->node.class->ports[link->wire.from_port];
    const struct yd_port_class *in = &to->node.class->ports[link->wire.to_port];
    uint32_t carried = (uint32_t)from->carried[link->wire.from_port];
    if (!carried) return; /* what comes before it is wrong, and said */
    const char *sends = yd__printf(work, "'%s' sends %s", out->name, yd__kinds_words(work, carried));
    for (size_t i = 0; i + 1 < link->path_count; i++) {
        const struct yd__junction *junction = &plan->junctions[link->path[i]->to.junction];
        if (carried & junction->kinds) continue;
        yd__report(work, YD_Y_KINDS, link->path[i]->to.place,
                   yd__printf(work, "'%.*s' takes %s", YD_STR_FMT(junction->port->name.text),
                              yd__kinds_words(work, junction->kinds)),
                   "this wire can carry nothing");
        yd__note(work, link->from.place, "%s", sends);
        return;
    }
    carried &= through(plan, link);
    if (!(carried & kinds_of(in))) {
        yd__report(work, YD_Y_KINDS, link->to.place,
                   yd__printf(work, "'%s' takes %s", in->name, yd__kinds_words(work, kinds_of(in))),
                   "this wire can carry nothing");
        yd__note(work, link->from.place, "%s", sends);
    } else if (in->needs && !(carried & in->needs)) {
        yd__report(work, YD_Y_NEEDS, link->to.place,
                   yd__printf(work, "'%s' needs %s", in->name, yd__kinds_words(work, in->needs)),
                   "this wire never carries what '%s' needs", to->node.class->name);
        yd__note(work, link->from.place, "%s", sends);
    } else {
        return;
    }
    yd__help(work, "an element that makes %s has to stand between",
             yd__kinds_words(work, in->needs ? in->needs : kinds_of(in)));
}

static bool schemas_meet(const char *asked, const char *answered)
{
    if (!asked || !answered) return true;
    while (*asked) {
        size_t size = strcspn(asked, ",");
        for (const char *at = answered; *at;) {
            size_t other = strcspn(at, ",");
            if (size == other && memcmp(asked, at, size) == 0) return true;
            at += other;
            at += strspn(at, ", ");
        }
        asked += size;
        asked += strspn(asked, ", ");
    }
    return false;
}

static void check_schema(struct yd__plan *plan, const struct yd__link *link)
{
    const struct yd_port_class *out = &plan->nodes[link->wire.from].node.class->ports[link->wire.from_port];
    const struct yd_port_class *in = &plan->nodes[link->wire.to].node.class->ports[link->wire.to_port];
    if (schemas_meet(out->schema, in->schema)) return;
    struct yd__work *work = plan->work;
    yd__report(work, YD_Y_SCHEMA, link->to.place, yd__printf(work, "'%s' answers %s", in->name, in->schema),
               "'%s' cannot answer what it is asked", plan->nodes[link->wire.to].node.class->name);
    yd__note(work, link->from.place, "'%s' asks for %s", out->name, out->schema);
    yd__help(work, "wire it to an element that answers %s", out->schema);
}

/* ---- cardinality ---- */

static const struct yd__link *first_link(struct yd__plan *plan, struct yd__map *seen, const char *key,
                                         const struct yd__link *link)
{
    return yd__map_add(plan->work, seen, yd_str_of(key), (void *)link);
}

static void check_doubles(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    struct yd__map same = {0}, into = {0}, asks = {0};
    for (uint32_t i = 0; i < plan->link_count; i++) {
        const struct yd__link *link = &plan->links[i], *first;
        const struct yd_wire *wire = &link->wire;
        const char *key = yd__printf(work, "%u.%u %u.%u", wire->from, wire->from_port, wire->to, wire->to_port);
        if ((first = first_link(plan, &same, key, link))) {
            yd__report(work, YD_Y_WIRE_TWICE, wire->place, "", "'%s' and '%s' are wired twice",
                       yd__shown(&plan->nodes[wire->from]), yd__shown(&plan->nodes[wire->to]));
            yd__note(work, first->wire.place, "first here");
            yd__help(work, "take one of them away: everything would arrive twice");
            continue;
        }
        const struct yd_port_class *in = &plan->nodes[wire->to].node.class->ports[wire->to_port];
        if (in->flags & YD_PORT_SINGLE &&
            (first = first_link(plan, &into, yd__printf(work, "%u.%u", wire->to, wire->to_port), link))) {
            yd__report(work, YD_Y_SINGLE, link->from.place, "the second wire", "'%s' of '%s' takes one wire", in->name,
                       yd__shown(&plan->nodes[wire->to]));
            yd__note(work, first->from.place, "the first one");
        }
        if (wire->mode == YD_QUERY &&
            (first = first_link(plan, &asks, yd__printf(work, "%u.%u", wire->from, wire->from_port), link))) {
            const struct yd_port_class *out = &plan->nodes[wire->from].node.class->ports[wire->from_port];
            yd__report(work, YD_Y_ASKS_TWICE, link->from.place, "", "'%s' of '%s' asks two answerers", out->name,
                       yd__shown(&plan->nodes[wire->from]));
            yd__note(work, first->from.place, "the first one");
            yd__help(work, "an answer comes from one place: keep one of the wires");
        }
    }
}

static void check_required(struct yd__plan *plan, struct yd__node *node)
{
    struct yd__work *work = plan->work;
    unsigned index = 0, firsts[2][2] = {{UINT32_MAX, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
    for (const struct yd_port_class *port = node->node.class->ports; port && port->name; port++, index++) {
        if (firsts[port->direction][port->mode] == UINT32_MAX) firsts[port->direction][port->mode] = index;
        if (!(port->flags & YD_PORT_REQUIRED) || node->wired >> index & 1) continue;
        node->wired |= UINT64_C(1) << index; /* said: not unreached as well */
        node->lost_in |= port->direction == YD_IN;
        node->lost_out |= port->direction == YD_OUT;
        const char *name = node->node.anonymous ? yd__printf(work, "%s(…)", node->node.class->name) : node->node.name;
        const char *arrow = port->mode == YD_PUSH ? "->" : "=>";
        if (firsts[port->direction][port->mode] != index)
            name = yd__printf(work, "%s.%s", node->node.anonymous ? "name" : name, port->name);
        yd__report(work, YD_Y_UNWIRED, node->node.place, "", "the port '%s' of '%s' is not wired", port->name,
                   node->node.anonymous ? node->node.class->name : node->node.name);
        yd__note_instance(plan, node);
        if (port->direction == YD_IN)
            yd__help(work, "write … %s %s", arrow, name);
        else if (port->mode == YD_PUSH)
            yd__help(work, "write %s -> …; to discard it on purpose, %s -> Null()", name, name);
        else
            yd__help(work, "write %s => …", name);
    }
}

/* ---- cursors ---- */

static void name_cursors(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    struct yd__map given = {0};
    for (uint32_t i = 0; i < plan->link_count; i++) {
        struct yd__link *link = &plan->links[i];
        if (!link->wire.is_cursor || !link->wire.cursor || !*link->wire.cursor || link->dry) continue;
        const char *key = yd__printf(work, "%u %s", link->wire.from, link->wire.cursor);
        const struct yd__link *first = first_link(plan, &given, key, link);
        if (!first) continue;
        yd__report(work, YD_Y_CURSOR_TWICE, link->cursor_place, "", "the cursor \"%s\" has two readers, '%s' and '%s'",
                   link->wire.cursor, yd__shown(&plan->nodes[first->wire.to]), yd__shown(&plan->nodes[link->wire.to]));
        if (first->cursor_place.line != link->cursor_place.line) yd__note(work, first->cursor_place, "first here");
        yd__help(work, "a cursor is one reader's position: name them apart, or leave the names to yarder");
    }
    for (uint32_t i = 0; i < plan->link_count; i++) {
        struct yd__link *link = &plan->links[i];
        if (!link->wire.is_cursor || link->wire.cursor) continue;
        /* Of both ends' names; of an anonymous end its class, not its line: lines move when a file is edited. */
        const struct yd_node *ends[2] = {&plan->nodes[link->wire.from].node, &plan->nodes[link->wire.to].node};
        const char *names[2];
        for (int end = 0; end < 2; end++) {
            const char *at = ends[end]->anonymous ? strrchr(ends[end]->name, '@') : NULL;
            names[end] = at ? yd__printf(work, "%.*s", (int)(at - ends[end]->name), ends[end]->name) : ends[end]->name;
        }
        const char *name = yd__keepf(work, "%s-%s", names[0], names[1]), *unique = name;
        for (int again = 2; first_link(plan, &given, yd__printf(work, "%u %s", link->wire.from, unique), link); again++)
            unique = yd__keepf(work, "%s-%d", name, again);
        link->wire.cursor = unique;
    }
}

/* The options of a wire as it was written, whether or not it led anywhere. */
static void check_written(struct yd__plan *plan, const struct yd__draft *draft)
{
    struct yd__work *work = plan->work;
    const struct yd__pair *options = draft->arrow->options;
    yd__pairs_unknown(work, options, option_names, YD_Y_OPTION, "a wire has no option", NULL,
                      draft->arrow->mode == YD_PUSH
                          ? "a push wire has queue, records, full; out of a Log also cursor, from, read"
                          : "a query wire has timeout");
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct yd__pair *pair = i == FROM ? NULL : yd__pair_find(work, options, option_names[i]);
        struct yd_arg arg;
        if (pair) (void)yd__typed(work, draft->scope, pair->value, &option_classes[i], &arg); /* only what it reports */
    }
}

void yd__check_wires(struct yd__plan *plan)
{
    for (uint32_t i = 0; i < plan->draft_count; i++) check_written(plan, &plan->drafts[i]);
    for (uint32_t i = 0; i < plan->link_count; i++) apply_options(plan, &plan->links[i]);
    carry(plan);
    for (uint32_t i = 0; i < plan->link_count; i++) {
        if (plan->links[i].wire.mode == YD_PUSH)
            check_kinds(plan, &plan->links[i]);
        else
            check_schema(plan, &plan->links[i]);
    }
    check_doubles(plan);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        struct yd__node *node = &plan->nodes[i];
        if (!node->scope->dry && !(node->node.class->flags & YD_CLASS_PLANNED)) check_required(plan, node);
    }
    name_cursors(plan);
}
