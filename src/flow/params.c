/* Parameters: of the file (with --set), of compounds, of elements, and the options of `with`. Each list of `name:
 * value` is held against the list of what there is; unknown, doubled, missing and deprecated ones are said here, types
 * by values.c. */
#include <ctype.h>
#include <stdio.h>

#include "flow/expand.h"

/* ---- the file's ---- */

static struct yd__binding *declare(struct yd__work *work, struct yd__scope *scope, const struct yd__formal *formal)
{
    struct yd__binding *binding = yd__get(work, sizeof *binding);
    binding->name = formal->name;
    binding->formal = formal;
    struct yd__binding *first = yd__map_add(work, &scope->bindings, formal->name.text, binding);
    if (first) {
        yd__report(work, YD_Y_DECLARED_TWICE, formal->name.place, "", "the parameter '%.*s' is declared twice",
                   YD_STR_FMT(formal->name.text));
        yd__note(work, first->name.place, "first here");
        return NULL;
    }
    if (yd__type_of(formal->type.text, &binding->type)) return binding;
    yd__report(work, YD_Y_TYPE, formal->type.place, "", "there is no type '%.*s'", YD_STR_FMT(formal->type.text));
    static const char *const types[] = {"int", "float", "text", "bool", "duration", "size", "rate", "list", "map"};
    static const char *const others[][2] = {
        {"string", "text"},  {"str", "text"},      {"integer", "int"}, {"number", "float"}, {"double", "float"},
        {"boolean", "bool"}, {"time", "duration"}, {"bytes", "size"},  {"array", "list"},   {"object", "map"}};
    for (size_t i = 0; i < YD_COUNT(others); i++)
        if (yd_str_eq(formal->type.text, yd_str_of(others[i][0]))) {
            yd__help(work, "did you mean '%s'?", others[i][1]);
            binding->state = 2;
            return NULL;
        }
    struct yd__choice choice;
    yd__choice_init(&choice, formal->type.text);
    for (size_t i = 0; i < YD_COUNT(types); i++) yd__choice_add(work, &choice, yd_str_of(types[i]));
    yd__choice_help(work, &choice, "types are", NULL);
    binding->state = 2;
    return NULL;
}

static struct yd_param_class as_param(struct yd__work *work, const struct yd__binding *binding)
{
    return (struct yd_param_class){.name = yd__printf(work, "%.*s", YD_STR_FMT(binding->name.text)),
                                   .type = binding->type};
}

/* What the command line says, as a source of its own: its mistakes have a line and a caret like all others. */
static void apply_settings(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    const struct yd_load_options *options = work->options;
    if (!options->setting_count) return;
    const char *text = "";
    for (size_t i = 0; i < options->setting_count; i++)
        text = yd__printf(work, "%s--set %s=%s\n", text, options->settings[i].id, options->settings[i].value);
    uint32_t file = yd__source_add(work, "command line", yd_str_of(text));
    uint32_t line = 0;
    for (size_t i = 0; i < options->setting_count; i++) {
        struct yd_str id = yd_str_of(options->settings[i].id), value = yd_str_of(options->settings[i].value);
        struct yd_place at_id = {file, ++line, 7, (uint32_t)YD_MAX(id.size, 1u)};
        struct yd_place at_value = {file, line, 8 + (uint32_t)id.size, (uint32_t)YD_MAX(value.size, 1u)};
        for (size_t j = 0; j < value.size; j++) line += value.data[j] == '\n';
        struct yd__binding *binding = yd__map_find(&plan->file->bindings, id);
        if (!binding) {
            if (work->names_lost || yd__map_find(&work->poisoned, id)) continue;
            yd__report(work, YD_Y_SETTING, at_id, "", "no file declares the parameter '%.*s'", YD_STR_FMT(id));
            struct yd__choice choice;
            yd__choice_init(&choice, id);
            for (const struct yd__formal *formal = work->params; formal; formal = formal->next)
                yd__choice_add(work, &choice, formal->name.text);
            yd__choice_help(work, &choice, "parameters are", "the file has no 'param' at all");
            continue;
        }
        if (binding->state == 2 && !binding->ok) continue; /* of no type */
        int r = yd__typed_text(work, binding->type, value, &binding->arg);
        binding->ok = r == 0;
        binding->state = 2;
        if (r == 0) continue;
        yd__report(work, YD_Y_VALUE_TYPE, at_value, "", "'%.*s' takes %s, not '%.*s'", YD_STR_FMT(id),
                   yd__type_words[binding->type], YD_STR_FMT(value));
        yd__note(work, binding->formal->type.place, "declared as %.*s here", YD_STR_FMT(binding->formal->type.text));
        static const char *const examples[] = {"10",   "1.5",  "some text", "true",    "10s",
                                               "4MiB", "5k/s", "[1, 2]",    "{ a: 1 }"};
        yd__help(work, "%s is written like %s", yd__type_words[binding->type], examples[binding->type]);
    }
}

void yd__file_params(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    for (const struct yd__formal *formal = work->params; formal; formal = formal->next)
        (void)declare(work, plan->file, formal);
    apply_settings(plan);
    for (const struct yd__formal *formal = work->params; formal; formal = formal->next) {
        struct yd__binding *binding = yd__map_find(&plan->file->bindings, formal->name.text);
        if (!binding || binding->formal != formal || binding->state == 2) continue;
        if (!formal->initial) {
            binding->state = 2;
            yd__report(work, YD_Y_NO_VALUE, formal->name.place, "", "the parameter '%.*s' has no value",
                       YD_STR_FMT(formal->name.text));
            yd__help(work, "start with --set %.*s=…, or give it a default: param %.*s: %.*s = …",
                     YD_STR_FMT(formal->name.text), YD_STR_FMT(formal->name.text), YD_STR_FMT(formal->type.text));
            continue;
        }
        struct yd_param_class param = as_param(work, binding);
        binding->state = 1;
        bool good = yd__typed(work, plan->file, formal->initial, &param, &binding->arg);
        binding->ok = good && binding->state == 1;
        binding->state = 2;
    }
}

/* ---- a list of `name: value` against what there is ---- */

const struct yd__pair *yd__pair_find(struct yd__work *work, const struct yd__pair *pairs, const char *name)
{
    const struct yd__pair *found = NULL;
    for (const struct yd__pair *pair = pairs; pair; pair = pair->next) {
        if (!yd_str_eq(pair->name.text, yd_str_of(name))) continue;
        if (!found) {
            found = pair;
            continue;
        }
        yd__report(work, YD_Y_GIVEN_TWICE, pair->name.place, "", "'%.*s' is given twice", YD_STR_FMT(pair->name.text));
        yd__note(work, found->name.place, "first here");
    }
    return found;
}

void yd__pairs_unknown(struct yd__work *work, const struct yd__pair *pairs, const char *const *known, unsigned code,
                       const char *what, const char *list_words, const char *none)
{
    for (const struct yd__pair *pair = pairs; pair; pair = pair->next) {
        bool is_known = false;
        for (size_t i = 0; known[i]; i++) is_known |= yd_str_eq(pair->name.text, yd_str_of(known[i]));
        if (is_known) continue;
        yd__report(work, code, pair->name.place, "", "%s '%.*s'", what, YD_STR_FMT(pair->name.text));
        struct yd__choice choice;
        yd__choice_init(&choice, pair->name.text);
        for (size_t i = 0; known[i]; i++) yd__choice_add(work, &choice, yd_str_of(known[i]));
        yd__choice_help(work, &choice, list_words, none);
    }
}

/* ---- an element's ---- */

static void add_arg(struct yd__node *node, const char *name, struct yd_arg arg, struct yd_place place)
{
    struct yd_args *args = &node->node.args;
    arg.name = name;
    node->arg_places[args->count] = place;
    ((struct yd_arg *)args->items)[args->count++] = arg; /* the array is ours, const for its readers */
}

static void ask_class(struct yd__work *work, struct yd__node *node)
{
    const struct yd_element_class *class = node->node.class;
    char why[256] = "";
    if (!class->check || class->check(&node->node.args, why, sizeof why) >= 0) return;
    why[sizeof why - 1] = 0;
    node->args_ok = false;
    yd__report(work, YD_Y_TOGETHER, node->make->class.place, "", "'%s': %s", class->name,
               why[0] ? why : "its parameters do not go together");
}

/* The place that `why` begins with, LINE:COLUMN, shown in the file itself: as far as a word goes there. */
static void show_place(struct yd__work *work, const char *path, struct yd_str text, const char *why)
{
    unsigned line, column, length = 0;
    if (sscanf(why, "%u:%u:", &line, &column) != 2 || line == 0 || column == 0) return;
    struct yd_diagnostics *diagnostics = work->diagnostics;
    uint32_t file = 0;
    while (file < diagnostics->source_count && strcmp(diagnostics->sources[file].path, path) != 0) file++;
    if (file == diagnostics->source_count) file = yd__source_add(work, path, text);
    const char *at = text.data, *end = text.data + text.size;
    for (unsigned i = 1; i < line && at; i++) at = (at = memchr(at, '\n', (size_t)(end - at))) ? at + 1 : NULL;
    for (unsigned i = 1; i < column && at && at < end && *at != '\n'; i++) /* columns are characters */
        for (at++; at < end && (*at & 0xc0) == 0x80;) at++;
    while (at && at + length < end && (isalnum((unsigned char)at[length]) || at[length] == '_' || at[length] == '.'))
        length++;
    yd__note(work, (struct yd_place){file, line, column, length ? length : 1}, "here");
}

/* Elements that work by the same file: its mistake is said once. */
static bool was_said(const struct yd__work *work, const char *message)
{
    for (size_t i = 0; i < work->diagnostics->count; i++)
        if (work->diagnostics->items[i].code == YD_Y_FILE_WRONG &&
            strcmp(work->diagnostics->items[i].message, message) == 0)
            return true;
    return false;
}

/* What its files hold. Where they cannot be read is not where it will run, perhaps: opening them will tell. */
static void ask_files(struct yd__work *work, struct yd__node *node)
{
    const struct yd_element_class *class = node->node.class;
    const struct yd_args *args = &node->node.args;
    for (const struct yd_param_class *param = class->params; param && param->name; param++) {
        char why[512] = "";
        struct yd_str text;
        if (!(param->flags & YD_PARAM_READS) || !class->check_file) continue;
        size_t at = 0;
        while (at < args->count && strcmp(args->items[at].name, param->name) != 0) at++;
        if (at == args->count || yd__read_beside(work, args->items[at].text.data, &text) < 0) continue;
        int error = class->check_file(args, param->name, text, why, sizeof why);
        if (error >= 0 || error == YD_ENOMEM) continue;
        why[sizeof why - 1] = 0;
        node->args_ok = false;
        const char *path = args->items[at].text.data, *message = yd__printf(work, "%s:%s", path, why);
        if (was_said(work, message)) continue;
        yd__report(work, YD_Y_FILE_WRONG, node->arg_places[at], "", "%s", message);
        show_place(work, path, text, why);
    }
}

/* An unknown parameter that was probably meant to be this one: one mistake, not an unknown and a missing one. */
static bool nearly_given(const struct yd__pair *given, const char *const *known, const char *name)
{
    for (; given; given = given->next) {
        bool is_known = false;
        for (size_t i = 0; known[i]; i++) is_known |= yd_str_eq(given->name.text, yd_str_of(known[i]));
        if (!is_known && yd_text_distance(given->name.text, yd_str_of(name), 2) <= 2) return true;
    }
    return false;
}

void yd__node_args(struct yd__plan *plan, struct yd__node *node)
{
    struct yd__work *work = plan->work;
    const struct yd_element_class *class = node->node.class;
    const struct yd__pair *given = node->make->args;
    size_t count = 0;
    for (const struct yd_param_class *param = class->params; param && param->name; param++) count++;
    const char **known = yd__get(work, (count + 1) * sizeof *known);
    for (size_t i = 0; i < count; i++) known[i] = class->params[i].name;
    node->node.args.items = yd__keep(work, (count + 1) * sizeof *node->node.args.items);
    node->arg_places = yd__get(work, (count + 1) * sizeof *node->arg_places);
    size_t errors = work->diagnostics->errors;
    yd__pairs_unknown(work, given, known, YD_Y_PARAMETER, yd__printf(work, "'%s' has no parameter", class->name),
                      yd__printf(work, "parameters of '%s'", class->name), "it takes no parameters");
    node->args_ok = work->diagnostics->errors == errors;
    for (size_t i = 0; i < count; i++) {
        const struct yd_param_class *param = &class->params[i];
        const struct yd__pair *pair = yd__pair_find(work, given, param->name);
        struct yd_arg arg;
        if (pair) {
            if (param->flags & YD_PARAM_DEPRECATED) {
                yd__warn(work, YD_Y_DEPRECATED, pair->name.place, "", "'%s' of '%s' is deprecated", param->name,
                         class->name);
                if (param->doc) yd__help(work, "%s", param->doc);
            }
            if (yd__typed(work, node->scope, pair->value, param, &arg))
                add_arg(node, param->name, arg, pair->value->place);
            else
                node->args_ok = false;
        } else if (param->flags & YD_PARAM_REQUIRED && nearly_given(given, known, param->name)) {
            node->args_ok = false; /* said as an unknown one */
        } else if (param->flags & YD_PARAM_REQUIRED) {
            yd__report(work, YD_Y_MISSING, node->make->class.place, "", "'%s' needs the parameter '%s'", class->name,
                       param->name);
            static const char *const examples[] = {"10", "1.5", "\"…\"", "true", "10s", "4MiB", "5k/s", "[…]", "{ … }"};
            bool dots = given || (count > 1 && class->params[1].flags & YD_PARAM_REQUIRED);
            yd__help(work, "write %s(%s: %s%s)", class->name, param->name, examples[param->type], dots ? ", …" : "");
            node->args_ok = false;
        } else if (param->initial) {
            if (yd__typed_initial(work, param, &arg))
                add_arg(node, param->name, arg, (struct yd_place){0});
            else
                YD_ASSERT(!"a class's default is not of its type");
        }
    }
    if (node->args_ok && work->diagnostics->errors == errors) ask_class(work, node);
    if (node->args_ok && work->diagnostics->errors == errors) ask_files(work, node);
}

/* ---- a compound's ---- */

void yd__compound_args(struct yd__plan *plan, struct yd__scope *scope, struct yd__scope *inside,
                       const struct yd__make *make, struct yd_place place)
{
    struct yd__work *work = plan->work;
    const struct yd__compound *compound = inside->compound;
    size_t count = 0;
    for (const struct yd__formal *formal = compound->formals; formal; formal = formal->next) count++;
    const char **known = yd__get(work, (count + 1) * sizeof *known);
    size_t i = 0;
    for (const struct yd__formal *formal = compound->formals; formal; formal = formal->next)
        known[i++] = yd__printf(work, "%.*s", YD_STR_FMT(formal->name.text));
    if (make && !compound->broken)
        yd__pairs_unknown(work, make->args, known, YD_Y_PARAMETER,
                          yd__printf(work, "'%.*s' has no parameter", YD_STR_FMT(compound->name.text)),
                          yd__printf(work, "parameters of '%.*s'", YD_STR_FMT(compound->name.text)),
                          "it takes no parameters");
    i = 0;
    for (const struct yd__formal *formal = compound->formals; formal; formal = formal->next, i++) {
        struct yd__binding *binding = declare(work, inside, formal);
        if (!binding) continue;
        struct yd_param_class param = {.name = known[i], .type = binding->type};
        const struct yd__pair *pair = make ? yd__pair_find(work, make->args, known[i]) : NULL;
        if (pair) {
            binding->ok = yd__typed(work, scope, pair->value, &param, &binding->arg);
        } else if (formal->initial) {
            /* A default is written among the file's names, not among those of who uses the compound. */
            binding->ok = yd__typed(work, plan->file, formal->initial, &param, &binding->arg);
        } else if (make) {
            yd__report(work, YD_Y_MISSING, place, "", "'%.*s' needs the parameter '%s'",
                       YD_STR_FMT(compound->name.text), known[i]);
            yd__note(work, formal->name.place, "declared without a default here");
            yd__help(work, "write %.*s(%s: …)", YD_STR_FMT(compound->name.text), known[i]);
        }
        binding->state = 2;
    }
}

/* ---- `with { … }` ---- */

static const char *const crash_words[] = {"park", "stop", "exit", NULL};
static const char *const isolate_words[] = {"process", NULL};
static const char *const with_known[] = {"restart", "on_crash", "group", "isolate", "at", NULL};
static const struct yd_param_class with_classes[] = {
    {.name = "on_crash", .type = YD_PARAM_TEXT, .oneof = crash_words},
    {.name = "group", .type = YD_PARAM_TEXT},
    {.name = "isolate", .type = YD_PARAM_TEXT, .oneof = isolate_words},
    {.name = "at", .type = YD_PARAM_TEXT},
};

static void apply_restart(struct yd__work *work, const struct yd__pair *pair, struct yd_node_options *options)
{
    if (!pair || pair->value->type == YD__BAD) return;
    const struct yd__value *value = pair->value;
    if (value->type != YD__IN) {
        yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'restart' takes a number in a duration");
        yd__help(work, "write %s in 1m",
                 value->type == YD__INT ? yd__printf(work, "%.*s", YD_STR_FMT(value->written)) : "5");
        return;
    }
    if (value->in.count < 1 || value->in.count > 1000000 || value->in.window_ns < 1) {
        yd__report(work, YD_Y_RANGE, value->place, "", "'restart' is out of range: %.*s", YD_STR_FMT(value->written));
        yd__help(work, "from 1 to 1000000 restarts, in more than no time: 5 in 1m");
        return;
    }
    options->restart_max = (uint32_t)value->in.count;
    options->restart_window_ns = value->in.window_ns;
}

static void apply_with(struct yd__work *work, struct yd__scope *scope, const struct yd__pair *with,
                       struct yd_node_options *options)
{
    yd__pairs_unknown(work, with, with_known, YD_Y_OPTION, "there is no option", "options of an element are", NULL);
    apply_restart(work, yd__pair_find(work, with, "restart"), options);
    for (size_t i = 0; i < YD_COUNT(with_classes); i++) {
        const struct yd__pair *pair = yd__pair_find(work, with, with_classes[i].name);
        struct yd_arg arg;
        if (!pair || !yd__typed(work, scope, pair->value, &with_classes[i], &arg)) continue;
        if (i == 0) {
            for (int word = 0; crash_words[word]; word++)
                if (yd_str_eq(arg.text, yd_str_of(crash_words[word]))) options->on_crash = (enum yd_on_crash)word;
        } else if (i == 1) {
            options->group = arg.text.data;
        } else {
            options->isolate |= i == 2;
            if (i == 3) options->at = arg.text.data;
            yd__report(work, YD_Y_NOT_YET, pair->name.place, "", "'%s' is not there yet", with_classes[i].name);
            yd__help(work, i == 2 ? "leave it out: the element runs inside the daemon"
                                  : "leave it out: every element runs on this node");
        }
    }
}

void yd__node_options(struct yd__plan *plan, struct yd__node *node)
{
    /* The compounds' first, outermost first: what is nearer to the element wins. */
    const struct yd__scope *chain[YD_FLOW_COMPOUND_MAX + 2];
    size_t count = 0;
    for (const struct yd__scope *scope = node->scope; scope && scope->compound; scope = scope->with_scope)
        if (count < YD_COUNT(chain)) chain[count++] = scope;
    while (count--) apply_with(plan->work, chain[count]->with_scope, chain[count]->with, &node->node.options);
    apply_with(plan->work, node->scope, node->make->with, &node->node.options);
}
