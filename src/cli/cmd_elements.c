/* yarder elements: the element classes, and the reference page of each, out of the classes' own tables. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"

static const char *const type_words[] = {
    [YD_PARAM_INT] = "int",   [YD_PARAM_FLOAT] = "float",       [YD_PARAM_TEXT] = "text",
    [YD_PARAM_BOOL] = "bool", [YD_PARAM_DURATION] = "duration", [YD_PARAM_SIZE] = "size",
    [YD_PARAM_RATE] = "rate", [YD_PARAM_LIST] = "list",         [YD_PARAM_MAP] = "map"};

static void put_range_end(enum yd_param_type type, double value)
{
    char text[40];
    if (type == YD_PARAM_DURATION)
        text[yd_text_put_duration(text, sizeof text - 1, (int64_t)value)] = 0;
    else if (type == YD_PARAM_SIZE)
        text[yd_text_put_size(text, sizeof text - 1, (uint64_t)value)] = 0;
    else
        text[yd_text_put_f64(text, value)] = 0;
    fputs(text, stdout);
}

static void print_param(const struct yd_param_class *param)
{
    printf("- `%s: %s`", param->name, type_words[param->type]);
    if (param->initial) printf(" = `%s`", param->initial);
    if (param->flags & YD_PARAM_REQUIRED) printf(" (required)");
    if (param->flags & YD_PARAM_DEPRECATED) printf(" (deprecated)");
    if (param->min != 0 || param->max != 0) {
        printf(" (");
        put_range_end(param->type, param->min);
        printf(" to ");
        put_range_end(param->type, param->max);
        printf(")");
    }
    for (size_t i = 0; param->oneof && param->oneof[i]; i++) printf("%s`%s`", i ? ", " : ": one of ", param->oneof[i]);
    printf("  \n  %s\n", param->doc ? param->doc : "");
}

static void print_kinds(uint32_t kinds)
{
    if (kinds == YD_KINDS_ALL) {
        printf("any kind");
        return;
    }
    for (int kind = YD_SAMPLE, first = 1; kind < YD_KIND_COUNT; kind++)
        if (kinds & YD_KIND_BIT(kind)) printf("%s%s", first ? "" : ", ", yd_kind_name(kind)), first = 0;
}

static void print_port(const struct yd_port_class *port)
{
    printf("- `%s`: %s %s", port->name, port->mode == YD_PUSH ? "push" : "query",
           port->direction == YD_IN ? "in" : "out");
    printf(" (");
    if (port->mode == YD_PUSH)
        print_kinds(port->kinds);
    else
        printf("%s", port->schema ? port->schema : "any");
    if (port->flags & YD_PORT_REQUIRED) printf("; required");
    if (port->flags & YD_PORT_SINGLE) printf("; one source");
    if (port->flags & YD_PORT_CURSOR) printf("; a cursor");
    printf(")  \n  %s\n", port->doc ? port->doc : "");
}

/* Markdown: what people read in a terminal and what docs/elements is made of. */
static void print_page(const struct yd_element_class *class)
{
    printf("# %s\n\n%s.\n\n", class->name, class->summary);
    if (class->flags & YD_CLASS_PLANNED) printf("Not there yet: a topology that uses it is refused.\n\n");
    if (class->doc) printf("%s\n\n", class->doc);
    if (class->example) printf("```\n%s\n```\n\n", class->example);
    printf("## Ports\n\n");
    for (size_t i = 0; class->ports && class->ports[i].name; i++) print_port(&class->ports[i]);
    printf("\n## Parameters\n\n");
    if (!class->params || !class->params[0].name) printf("None.\n");
    for (size_t i = 0; class->params && class->params[i].name; i++) print_param(&class->params[i]);
    if (class->reasons && class->reasons[0]) {
        printf("\n## Rejects and drops are counted by\n\n");
        for (size_t i = 0; class->reasons[i]; i++) printf("- %s\n", class->reasons[i]);
    }
}

static void json_params(const struct yd_element_class *class, struct yd_json *json)
{
    yd_json_key(json, "params");
    yd_json_array(json);
    for (size_t i = 0; class->params && class->params[i].name; i++) {
        const struct yd_param_class *param = &class->params[i];
        yd_json_object(json);
        yd_json_key(json, "name");
        yd_json_cstr(json, param->name);
        yd_json_key(json, "type");
        yd_json_cstr(json, type_words[param->type]);
        yd_json_key(json, "default");
        yd_json_cstr(json, param->initial);
        yd_json_key(json, "required");
        yd_json_bool(json, param->flags & YD_PARAM_REQUIRED);
        yd_json_key(json, "doc");
        yd_json_cstr(json, param->doc);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
}

static void json_class(const struct yd_element_class *class, struct yd_json *json)
{
    yd_json_object(json);
    yd_json_key(json, "name");
    yd_json_cstr(json, class->name);
    yd_json_key(json, "summary");
    yd_json_cstr(json, class->summary);
    yd_json_key(json, "ports");
    yd_json_array(json);
    for (size_t i = 0; class->ports && class->ports[i].name; i++) {
        yd_json_object(json);
        yd_json_key(json, "name");
        yd_json_cstr(json, class->ports[i].name);
        yd_json_key(json, "direction");
        yd_json_cstr(json, class->ports[i].direction == YD_IN ? "in" : "out");
        yd_json_key(json, "mode");
        yd_json_cstr(json, class->ports[i].mode == YD_PUSH ? "push" : "query");
        yd_json_key(json, "doc");
        yd_json_cstr(json, class->ports[i].doc);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
    json_params(class, json);
    yd_json_object_end(json);
}

static int print_json(const struct yd_classes *classes, const struct yd_element_class *only)
{
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, true);
    yd_json_array(&json);
    for (size_t i = 0; i < classes->count; i++)
        if (!only || only == classes->items[i]) json_class(classes->items[i], &json);
    yd_json_array_end(&json);
    yd_buf_char(&text, '\n');
    fwrite(text.data, 1, text.size, stdout);
    yd_buf_fini(&text);
    return CLI_DONE;
}

static int run(struct cli_args *args)
{
    struct yd_classes classes;
    struct yd_trail trail;
    const struct yd_element_class *found = NULL;
    const char *nearest = NULL;
    unsigned nearest_distance = 4;
    yd_trail_clear(&trail);
    if (cli_classes(args, &classes, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    for (size_t i = 0; args->rest_count && i < classes.count; i++) {
        const char *name = classes.items[i]->name;
        unsigned distance = yd_text_distance(yd_str_of(name), yd_str_of(args->rest[0]), 3);
        if (strcasecmp(name, args->rest[0]) == 0) found = classes.items[i];
        if (distance < nearest_distance) nearest_distance = distance, nearest = name;
    }
    if (args->rest_count && !found)
        return cli_fail(args, "no element class '%s'%s%s%s; `yarder elements` lists them", args->rest[0],
                        nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    if (args->json) return print_json(&classes, found);
    if (found)
        print_page(found);
    else
        for (size_t i = 0; i < classes.count; i++)
            printf("%-12s %s%s\n", classes.items[i]->name, classes.items[i]->summary,
                   classes.items[i]->flags & YD_CLASS_PLANNED ? " (not yet)" : "");
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {"plugin", "FILE", "a plug-in .so whose classes are shown, too"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_elements = {
    .name = "elements",
    .usage = "[NAME]",
    .summary = "lists the element classes, or shows one's ports and parameters",
    .example = "  yarder elements\n  yarder elements Graphite",
    .options = options,
    .rest_max = 1,
    .run = run,
};
