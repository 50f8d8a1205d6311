/* The topology shown: as text, for Graphviz, as JSON. */
#include "flow/graph.h"

#include "base/text.h"

static const char *port_name(const struct yd_node *node, unsigned port)
{
    return node->class->ports[port].name;
}

/* ---- options of a wire, as they would be written ---- */

static void put_option(struct yd_buf *to, bool *any, const char *name, const char *value, size_t size)
{
    yd_buf_printf(to, "%s%s: %.*s", *any ? ", " : "", name, (int)size, value);
    *any = true;
}

static void put_options(const struct yd_wire *wire, struct yd_buf *to)
{
    static const char *const full[] = {"block", "drop_old", "drop_new", "spill", "spill_drop"};
    static const char *const read[] = {"", "memory", "written", "durable"};
    char text[64];
    bool any = false;
    if (wire->queue_bytes) put_option(to, &any, "queue", text, yd_text_put_size(text, sizeof text, wire->queue_bytes));
    if (wire->queue_records) put_option(to, &any, "records", text, yd_text_put_u64(text, wire->queue_records));
    if (wire->full != YD_FULL_BLOCK) put_option(to, &any, "full", full[wire->full], strlen(full[wire->full]));
    if (wire->timeout_ns)
        put_option(to, &any, "timeout", text, yd_text_put_duration(text, sizeof text, wire->timeout_ns));
    if (!wire->is_cursor) return;
    yd_buf_printf(to, "%scursor: \"%s\"", any ? ", " : "", wire->cursor);
    any = true;
    if (wire->from_where == YD_WIRE_TAIL) put_option(to, &any, "from", "tail", 4);
    if (wire->from_where == YD_WIRE_SEQNO) put_option(to, &any, "from", text, yd_text_put_u64(text, wire->from_seqno));
    if (wire->from_where == YD_WIRE_TIME) {
        size_t size = yd_text_put_time(text, sizeof text, wire->from_time_ns);
        yd_buf_printf(to, ", from: \"%.*s\"", (int)size, text);
    }
    if (wire->read_level && wire->read_level < 3)
        put_option(to, &any, "read", read[wire->read_level], strlen(read[wire->read_level]));
}

static void put_arrow(const struct yd_wire *wire, struct yd_buf *to)
{
    bool plain = !wire->queue_bytes && !wire->queue_records && wire->full == YD_FULL_BLOCK && !wire->timeout_ns &&
                 !wire->is_cursor;
    bool push = wire->mode == YD_PUSH;
    if (plain) {
        yd_buf_cstr(to, push ? "->" : "=>");
        return;
    }
    yd_buf_cstr(to, push ? "-[" : "=[");
    put_options(wire, to);
    yd_buf_cstr(to, push ? "]->" : "]=>");
}

/* ---- text ---- */

static void graph_text(const struct yd_topology *topology, struct yd_buf *to)
{
    size_t width = 0;
    for (size_t i = 0; i < topology->node_count; i++) width = YD_MAX(width, strlen(topology->nodes[i].name));
    for (size_t i = 0; i < topology->node_count; i++) {
        const struct yd_node *node = &topology->nodes[i];
        yd_buf_printf(to, "%-*s  %s\n", (int)width, node->name, node->class->name);
        for (size_t j = 0; j < topology->wire_count; j++) {
            const struct yd_wire *wire = &topology->wires[j];
            if (wire->from != i) continue;
            const struct yd_node *other = &topology->nodes[wire->to];
            yd_buf_printf(to, "  .%s ", port_name(node, wire->from_port));
            put_arrow(wire, to);
            yd_buf_printf(to, " %s.%s\n", other->name, port_name(other, wire->to_port));
        }
    }
}

/* ---- dot ---- */

static void dot_quoted(struct yd_buf *to, const char *text)
{
    yd_buf_char(to, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') yd_buf_char(to, '\\');
        yd_buf_char(to, *text);
    }
    yd_buf_char(to, '"');
}

static void graph_dot(const struct yd_topology *topology, struct yd_buf *to)
{
    yd_buf_cstr(to, "digraph topology {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
                    "  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (size_t i = 0; i < topology->node_count; i++) {
        const struct yd_node *node = &topology->nodes[i];
        yd_buf_cstr(to, "  ");
        dot_quoted(to, node->name);
        /* Both are names or made of them: no quotes inside. */
        if (node->anonymous)
            yd_buf_printf(to, " [label=\"%s\"];\n", node->class->name);
        else
            yd_buf_printf(to, " [label=\"%s\\n%s\"];\n", node->name, node->class->name);
    }
    for (size_t i = 0; i < topology->wire_count; i++) {
        const struct yd_wire *wire = &topology->wires[i];
        const struct yd_node *from = &topology->nodes[wire->from], *target = &topology->nodes[wire->to];
        yd_buf_cstr(to, "  ");
        dot_quoted(to, from->name);
        yd_buf_cstr(to, " -> ");
        dot_quoted(to, target->name);
        struct yd_buf label;
        yd_buf_init(&label, to->alloc);
        /* Ports are shown where a bare name would not mean them. */
        for (unsigned port = 0; port < wire->from_port; port++) {
            const struct yd_port_class *other = &from->class->ports[port];
            if (other->direction != YD_OUT || other->mode != wire->mode) continue;
            yd_buf_cstr(&label, port_name(from, wire->from_port));
            yd_buf_char(&label, ' ');
            break;
        }
        put_options(wire, &label);
        yd_buf_char(&label, 0);
        yd_buf_cstr(to, " [");
        if (wire->mode == YD_QUERY) yd_buf_cstr(to, "style=dashed, ");
        if (wire->is_cursor) yd_buf_cstr(to, "dir=both, arrowtail=dot, ");
        yd_buf_cstr(to, "label=");
        dot_quoted(to, label.failed ? "" : label.data);
        yd_buf_cstr(to, "];\n");
        yd_buf_fini(&label);
    }
    yd_buf_cstr(to, "}\n");
}

/* ---- JSON ---- */

static void json_arg(struct yd_json *json, const struct yd_arg *arg)
{
    switch (arg->type) {
    case YD_PARAM_INT:
    case YD_PARAM_SIZE:
        yd_json_i64(json, arg->i64);
        break;
    case YD_PARAM_DURATION:
        yd_json_f64(json, (double)arg->i64 / 1e9);
        break;
    case YD_PARAM_FLOAT:
    case YD_PARAM_RATE:
        yd_json_f64(json, arg->f64);
        break;
    case YD_PARAM_TEXT:
        yd_json_str(json, arg->text);
        break;
    case YD_PARAM_BOOL:
        yd_json_bool(json, arg->boolean);
        break;
    case YD_PARAM_LIST:
        yd_json_array(json);
        for (size_t i = 0; i < arg->list.count; i++) json_arg(json, &arg->list.items[i]);
        yd_json_array_end(json);
        break;
    case YD_PARAM_MAP:
        yd_json_object(json);
        for (size_t i = 0; i < arg->list.count; i++) {
            yd_json_key(json, arg->list.items[i].name);
            json_arg(json, &arg->list.items[i]);
        }
        yd_json_object_end(json);
        break;
    }
}

static void json_node(const struct yd_topology *topology, const struct yd_node *node, struct yd_json *json)
{
    yd_json_object(json);
    yd_json_key(json, "name");
    yd_json_cstr(json, node->name);
    yd_json_key(json, "class");
    yd_json_cstr(json, node->class->name);
    yd_json_key(json, "file");
    yd_json_cstr(json, topology->files[node->place.file]);
    yd_json_key(json, "line");
    yd_json_u64(json, node->place.line);
    yd_json_key(json, "parameters");
    yd_json_object(json);
    for (size_t i = 0; i < node->args.count; i++) {
        yd_json_key(json, node->args.items[i].name);
        json_arg(json, &node->args.items[i]);
    }
    yd_json_object_end(json);
    yd_json_object_end(json);
}

static void json_end(const struct yd_topology *topology, struct yd_json *json, const char *key, uint32_t node,
                     unsigned port)
{
    yd_json_key(json, key);
    yd_json_object(json);
    yd_json_key(json, "element");
    yd_json_cstr(json, topology->nodes[node].name);
    yd_json_key(json, "port");
    yd_json_cstr(json, port_name(&topology->nodes[node], port));
    yd_json_object_end(json);
}

static void graph_json(const struct yd_topology *topology, struct yd_buf *to)
{
    struct yd_json json;
    yd_json_init(&json, to, true);
    yd_json_object(&json);
    yd_json_key(&json, "elements");
    yd_json_array(&json);
    for (size_t i = 0; i < topology->node_count; i++) json_node(topology, &topology->nodes[i], &json);
    yd_json_array_end(&json);
    yd_json_key(&json, "wires");
    yd_json_array(&json);
    for (size_t i = 0; i < topology->wire_count; i++) {
        const struct yd_wire *wire = &topology->wires[i];
        struct yd_buf options;
        yd_buf_init(&options, to->alloc);
        put_options(wire, &options);
        yd_json_object(&json);
        json_end(topology, &json, "from", wire->from, wire->from_port);
        json_end(topology, &json, "to", wire->to, wire->to_port);
        yd_json_key(&json, "mode");
        yd_json_cstr(&json, wire->mode == YD_PUSH ? "push" : "query");
        yd_json_key(&json, "options");
        yd_json_str(&json, options.size ? yd_buf_view(&options) : YD_STR(""));
        yd_json_object_end(&json);
        yd_buf_fini(&options);
    }
    yd_json_array_end(&json);
    yd_json_object_end(&json);
    yd_buf_char(to, '\n');
}

void yd_topology_graph(const struct yd_topology *topology, enum yd_graph_form form, struct yd_buf *to)
{
    if (form == YD_GRAPH_DOT)
        graph_dot(topology, to);
    else if (form == YD_GRAPH_TEXT)
        graph_text(topology, to);
    else
        graph_json(topology, to);
}
