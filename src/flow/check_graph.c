/* Checks of the graph as a whole: rings (5), reach (7), acknowledgement (8).
 *
 * An edge a -> b says: a waits for b. A push wire that blocks waits for room, a query for its answer. A wire that drops
 * or spills waits for nobody, nor does a cursor: what its reader does not take stays in the log. */
#include "flow/expand.h"

struct edges { /* by node: those that leave it, as indices of links */
    uint32_t *first, *next;
};

struct graph {
    struct yd__plan *plan;
    struct edges out;
    uint32_t *component; /* by node, of the last search */
    uint32_t component_count;
    bool *in_ring; /* by node: said already */
};

static bool is_waiting(const struct yd__link *link)
{
    return link->wire.mode == YD_QUERY || (link->wire.full == YD_FULL_BLOCK && !link->wire.is_cursor);
}
static bool any_query(const struct yd__link *link)
{
    return link->wire.mode == YD_QUERY;
}
static bool any_push(const struct yd__link *link)
{
    return link->wire.mode == YD_PUSH;
}

typedef bool wanted_cb(const struct yd__link *link);

/* Tarjan's components, with a stack of its own: a topology of one long chain must not overflow ours. */
static void components(struct graph *graph, wanted_cb *wanted)
{
    struct yd__plan *plan = graph->plan;
    uint32_t count = plan->node_count, time = 0, depth = 0, stacked = 0;
    uint32_t *seen = yd__get(plan->work, (count + 1) * sizeof *seen); /* 0: not yet */
    uint32_t *low = yd__get(plan->work, (count + 1) * sizeof *low), *at = yd__get(plan->work, (count + 1) * sizeof *at);
    uint32_t *calls = yd__get(plan->work, (count + 1) * sizeof *calls),
             *stack = yd__get(plan->work, (count + 1) * sizeof *stack);
    bool *on_stack = yd__get(plan->work, count + 1);
    graph->component_count = 0;
    for (uint32_t root = 0; root < count; root++) {
        if (seen[root]) continue;
        calls[depth++] = root;
        while (depth) {
            uint32_t node = calls[depth - 1];
            if (!seen[node]) {
                seen[node] = low[node] = ++time;
                stack[stacked++] = node;
                on_stack[node] = true;
                at[node] = graph->out.first[node];
            }
            bool deeper = false;
            while (at[node] != YD_NOWHERE && !deeper) {
                const struct yd__link *link = &plan->links[at[node]];
                uint32_t to = link->wire.to;
                if (wanted(link) && !seen[to]) {
                    calls[depth++] = to;
                    deeper = true; /* at[node] stays: seen[to] is set when we come back */
                    continue;
                }
                if (wanted(link) && on_stack[to]) low[node] = YD_MIN(low[node], low[to]);
                at[node] = graph->out.next[at[node]];
            }
            if (deeper) continue;
            if (low[node] == seen[node]) {
                uint32_t member;
                do {
                    member = stack[--stacked];
                    on_stack[member] = false;
                    graph->component[member] = graph->component_count;
                } while (member != node);
                graph->component_count++;
            }
            depth--;
        }
    }
}

static bool later(struct yd_place a, struct yd_place b)
{
    if (a.file != b.file) return a.file > b.file;
    return a.line != b.line ? a.line > b.line : a.column > b.column;
}

/* The shortest way back from the end of `closing` to its start, inside the component. Fills `ring`, closing one last.
 */
static size_t way_back(struct graph *graph, wanted_cb *wanted, uint32_t closing, uint32_t *ring)
{
    struct yd__plan *plan = graph->plan;
    uint32_t count = plan->node_count, head = 0, tail = 0, start = plan->links[closing].wire.to,
             goal = plan->links[closing].wire.from;
    uint32_t *queue = yd__get(plan->work, (count + 1) * sizeof *queue),
             *by = yd__get(plan->work, (count + 1) * sizeof *by);
    for (uint32_t i = 0; i < count; i++) by[i] = YD_NOWHERE;
    queue[tail++] = start;
    while (head < tail && goal != start && by[goal] == YD_NOWHERE) {
        uint32_t node = queue[head++];
        for (uint32_t edge = graph->out.first[node]; edge != YD_NOWHERE; edge = graph->out.next[edge]) {
            uint32_t to = plan->links[edge].wire.to;
            if (!wanted(&plan->links[edge]) || to == start || by[to] != YD_NOWHERE) continue;
            if (graph->component[to] != graph->component[start]) continue;
            by[to] = edge;
            queue[tail++] = to;
        }
    }
    size_t size = 0;
    for (uint32_t node = goal; node != start; node = plan->links[by[node]].wire.from) size++;
    size_t at = size;
    for (uint32_t node = goal; node != start; node = plan->links[by[node]].wire.from) ring[--at] = by[node];
    ring[size++] = closing;
    return size;
}

static void say_ring(struct graph *graph, const uint32_t *ring, size_t size, unsigned code)
{
    struct yd__plan *plan = graph->plan;
    struct yd__work *work = plan->work;
    /* The wire that stands last in the text is probably the one that closed it. */
    size_t last = 0;
    for (size_t i = 1; i < size; i++)
        if (later(plan->links[ring[i]].wire.place, plan->links[ring[last]].wire.place)) last = i;
    const char *path = "";
    for (size_t i = 0; i < size; i++) {
        const struct yd_wire *wire = &plan->links[ring[(last + 1 + i) % size]].wire;
        if (i == 0) path = plan->nodes[wire->from].node.name;
        if (size > 10 && i == 8) path = yd__printf(work, "%s … %zu more …", path, size - 9);
        if (size <= 10 || i < 8 || i + 1 == size)
            path = yd__printf(work, "%s %s %s", path, wire->mode == YD_PUSH ? "->" : "=>",
                              plan->nodes[wire->to].node.name);
        graph->in_ring[wire->from] = true;
    }
    struct yd_place place = plan->links[ring[last]].wire.place;
    if (code == YD_Y_RING)
        yd__report(work, code, place, "this wire closes it", "a ring of wires that can block each other: %s", path);
    else if (code == YD_Y_QUERY_RING)
        yd__report(work, code, place, "this wire closes it", "a ring of queries, each waiting for the next: %s", path);
    else
        yd__warn(work, code, place, "this wire closes it", "what goes round here comes back: %s", path);
    for (size_t i = 0; i + 1 < size; i++)
        yd__note(work, plan->links[ring[(last + 1 + i) % size]].wire.place, "part of the ring");
    if (code == YD_Y_RING)
        yd__help(work, "let one of them give way: -[full: drop_old]-> or -[full: spill]->");
    else if (code == YD_Y_QUERY_RING)
        yd__help(work, "no answer can ever come: take one of them away");
    else
        yd__help(work, "make sure that something in it drops or folds records");
}

/* One ring per component that has an edge of the sort asked for. */
static void check_rings(struct graph *graph, wanted_cb *wanted, wanted_cb *must, unsigned code)
{
    struct yd__plan *plan = graph->plan;
    components(graph, wanted);
    bool *said = yd__get(plan->work, graph->component_count + 1);
    uint32_t *ring = yd__get(plan->work, (plan->node_count + 1) * sizeof *ring);
    for (uint32_t i = 0; i < plan->link_count; i++) {
        const struct yd__link *link = &plan->links[i];
        uint32_t component = graph->component[link->wire.from];
        if (link->dry || !wanted(link) || !must(link) || said[component] ||
            component != graph->component[link->wire.to])
            continue;
        if (code == YD_Y_FEEDBACK && graph->in_ring[link->wire.from]) continue;
        said[component] = true;
        size_t size = way_back(graph, wanted, i, ring);
        say_ring(graph, ring, size, code);
    }
}

/* ---- reach ---- */

static bool makes_records(const struct yd_element_class *class)
{
    if (class->flags & YD_CLASS_SOURCE) return true;
    bool inputs = false, any = false;
    for (const struct yd_port_class *port = class->ports; port && port->name; port++) {
        inputs |= port->direction == YD_IN;
        any = true;
    }
    return !inputs || !any;
}

static bool has_outputs(const struct yd_element_class *class)
{
    for (const struct yd_port_class *port = class->ports; port && port->name; port++)
        if (port->direction == YD_OUT) return true;
    return false;
}

static void check_reach(struct graph *graph)
{
    struct yd__plan *plan = graph->plan;
    struct yd__work *work = plan->work;
    uint32_t *queue = yd__get(work, (plan->node_count + 1) * sizeof *queue), head = 0, tail = 0;
    bool *unreached_before = yd__get(work, plan->node_count + 1);
    bool appended = false;
    for (uint32_t i = 0; i < plan->node_count; i++)
        appended |= (plan->nodes[i].node.class->flags & YD_CLASS_APPENDS) != 0;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        struct yd__node *node = &plan->nodes[i];
        node->reached = makes_records(node->node.class) || (appended && node->node.class->stream) || node->lost_in ||
                        graph->in_ring[i] || node->scope->dry ||
                        (!node->scope->compound && yd__poisoned(work, yd_str_of(node->node.name)));
        if (node->reached) queue[tail++] = i;
    }
    while (head < tail) {
        for (uint32_t edge = graph->out.first[queue[head++]]; edge != YD_NOWHERE; edge = graph->out.next[edge]) {
            uint32_t to = plan->links[edge].wire.to;
            if (plan->nodes[to].reached) continue;
            plan->nodes[to].reached = true;
            queue[tail++] = to;
        }
    }
    for (uint32_t i = 0; i < plan->link_count; i++)
        if (!plan->nodes[plan->links[i].wire.from].reached) unreached_before[plan->links[i].wire.to] = true;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        struct yd__node *node = &plan->nodes[i];
        const char *name = node->node.anonymous ? node->node.class->name : node->node.name;
        if (node->scope->dry || node->node.class->flags & YD_CLASS_PLANNED || work->names_lost) continue;
        if (!node->reached && !unreached_before[i]) {
            yd__report(work, YD_Y_UNREACHED, node->node.place, "", "nothing reaches '%s'", name);
            yd__note_instance(plan, node);
            yd__help(work, "wire a source to it, or take it away");
        } else if (node->reached && !node->wired && !node->lost_in && !node->lost_out &&
                   has_outputs(node->node.class) && !yd__poisoned(work, yd_str_of(node->node.name))) {
            yd__report(work, YD_Y_UNREACHED, node->node.place, "", "'%s' is not wired to anything", name);
            yd__note_instance(plan, node);
            yd__help(work, "wire it: %s%s -> …, or take it away", name, node->node.anonymous ? "(…)" : "");
        }
    }
}

/* ---- acknowledgement ---- */

/* Upstream of a reader that asks: the first source that cannot say it again. A log in between can. */
static uint32_t cannot_replay(struct graph *graph, const struct edges *in, uint32_t from)
{
    struct yd__plan *plan = graph->plan;
    bool *seen = yd__get(plan->work, plan->node_count + 1);
    uint32_t *queue = yd__get(plan->work, (plan->node_count + 1) * sizeof *queue), head = 0, tail = 0;
    queue[tail++] = from;
    seen[from] = true;
    while (head < tail) {
        uint32_t node = queue[head++];
        unsigned flags = plan->nodes[node].node.class->flags;
        if (flags & YD_CLASS_REPLAYS) continue;
        if (flags & YD_CLASS_SOURCE) return node;
        for (uint32_t edge = in->first[node]; edge != YD_NOWHERE; edge = in->next[edge]) {
            const struct yd_wire *wire = &plan->links[edge].wire;
            if (wire->mode != YD_PUSH || wire->is_cursor || seen[wire->from]) continue;
            seen[wire->from] = true;
            queue[tail++] = wire->from;
        }
    }
    return YD_NOWHERE;
}

static void check_acknowledgement(struct graph *graph, const struct edges *in)
{
    struct yd__plan *plan = graph->plan;
    struct yd__work *work = plan->work;
    for (uint32_t i = 0; i < plan->link_count; i++) {
        const struct yd__link *link = &plan->links[i];
        const struct yd_element_class *reader = plan->nodes[link->wire.to].node.class;
        if (link->wire.is_cursor || !(reader->ports[link->wire.to_port].flags & YD_PORT_WANTS_ACK)) continue;
        uint32_t source = cannot_replay(graph, in, link->wire.from);
        if (source == YD_NOWHERE) continue;
        const struct yd_node *node = &plan->nodes[source].node;
        yd__report(work, YD_Y_ACKNOWLEDGE, link->to.place, "acknowledges what it has, so that the rest comes again",
                   "'%s' asks for acknowledgement, but '%s' cannot say anything again",
                   plan->nodes[link->wire.to].node.name, node->anonymous ? node->class->name : node->name);
        yd__note(work, node->place, "cannot replay");
        const struct yd_node *asks = &plan->nodes[link->wire.to].node;
        yd__help(work, "put a Log between them: … -> Log(stream: \"…\") -> %s%s",
                 asks->anonymous ? asks->class->name : asks->name, asks->anonymous ? "(…)" : "");
    }
}

void yd__check_graph(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    struct edges in;
    struct graph graph = {.plan = plan};
    size_t nodes = (plan->node_count + 1) * sizeof(uint32_t), links = (plan->link_count + 1) * sizeof(uint32_t);
    graph.out = (struct edges){yd__get(work, nodes), yd__get(work, links)};
    in = (struct edges){yd__get(work, nodes), yd__get(work, links)};
    graph.component = yd__get(work, nodes);
    graph.in_ring = yd__get(work, plan->node_count + 1);
    for (uint32_t i = 0; i < plan->node_count; i++) graph.out.first[i] = in.first[i] = YD_NOWHERE;
    for (uint32_t i = plan->link_count; i-- > 0;) {
        const struct yd_wire *wire = &plan->links[i].wire;
        graph.out.next[i] = graph.out.first[wire->from];
        graph.out.first[wire->from] = i;
        in.next[i] = in.first[wire->to];
        in.first[wire->to] = i;
    }
    check_rings(&graph, any_query, any_query, YD_Y_QUERY_RING);
    check_rings(&graph, is_waiting, any_push, YD_Y_RING);
    check_rings(&graph, any_push, any_push, YD_Y_FEEDBACK);
    check_reach(&graph);
    check_acknowledgement(&graph, &in);
}
