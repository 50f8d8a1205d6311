/* yarder state: what the States and Limits of a running daemon say now, the worst first. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/remote.h"

static const char *const codes[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
static const unsigned ranks[] = {0, 1, 3, 2}; /* how bad */
static const char *const colours[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[35m"};

struct one {
    char *name, *summary;
    int64_t time, since;
    unsigned code;
    bool stale;
};
struct states {
    struct cli_args *args;
    struct one *all;
    size_t count, capacity;
    char elements[16][128]; /* that are States or Limits */
    size_t element_count;
    uint64_t of_code[4], stale;
    int error;
};

static int take_element(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct states *states = arg;
    const struct yd_cell *class = yd_view_find(view, map, YD_STR("class"));
    struct yd_str is = class && class->type == YD_TEXT ? yd_view_bytes(view, class->value) : YD_STR("");
    if (!yd_str_eq(is, YD_STR("State")) && !yd_str_eq(is, YD_STR("Limits"))) return 0;
    if (states->element_count == YD_COUNT(states->elements) || name.size >= sizeof states->elements[0]) return 0;
    (void)snprintf(states->elements[states->element_count++], sizeof states->elements[0], "%.*s", YD_STR_FMT(name));
    return 0;
}

static struct yd_str text_of(const struct yd_view *view, union yd_value map, const char *key)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(key));
    return cell && cell->type == YD_TEXT ? yd_view_bytes(view, cell->value) : YD_STR("");
}

static int take_state(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct states *states = arg;
    struct yd_str code = text_of(view, map, "code"), summary = text_of(view, map, "summary");
    struct one one = {.time = (int64_t)cli_row_number(view, map, "time"),
                      .since = (int64_t)cli_row_number(view, map, "since"),
                      .code = 3,
                      .stale = cli_row_number(view, map, "stale") != 0};
    for (unsigned i = 0; i < YD_COUNT(codes); i++)
        if (yd_str_eq(code, yd_str_of(codes[i]))) one.code = i;
    states->of_code[one.code]++;
    states->stale += one.stale;
    if (cli_given(states->args, "bad") && one.code == 0 && !one.stale) return 0;
    if (states->args->json) {
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        if (cli_row_json(&text, view, name, "name", map)) printf("%.*s\n", (int)text.size, text.data);
        yd_buf_fini(&text);
        return 0;
    }
    if (states->count == states->capacity) {
        size_t capacity = states->capacity ? states->capacity * 2 : 64;
        struct one *all = realloc(states->all, capacity * sizeof *all);
        if (!all) return YD_ENOMEM;
        states->all = all;
        states->capacity = capacity;
    }
    one.name = strndup(name.data, name.size);
    one.summary = strndup(summary.data, summary.size);
    if (!one.name || !one.summary) {
        free(one.name);
        free(one.summary);
        return YD_ENOMEM;
    }
    states->all[states->count++] = one;
    return 0;
}

static int worst_first(const void *left, const void *right)
{
    const struct one *a = left, *b = right;
    if (a->code != b->code) return (int)ranks[b->code] - (int)ranks[a->code];
    if (a->stale != b->stale) return b->stale - a->stale;
    return strcmp(a->name, b->name);
}

static void print_table(const struct states *states)
{
    int width = 4;
    for (size_t i = 0; i < states->count; i++)
        width = YD_MAX(width, (int)YD_MIN(strlen(states->all[i].name), (size_t)48));
    if (states->count) printf("%-*s  %-8s  %-20s  %-20s  %s\n", width, "NAME", "STATE", "SINCE", "LAST", "SUMMARY");
    for (size_t i = 0; i < states->count; i++) {
        const struct one *one = &states->all[i];
        char since[40], time[40];
        since[yd_text_put_time(since, sizeof since - 1, one->since / YD_NS_PER_S * YD_NS_PER_S)] = '\0';
        time[yd_text_put_time(time, sizeof time - 1, one->time / YD_NS_PER_S * YD_NS_PER_S)] = '\0';
        bool colour = states->args->colour;
        printf("%-*s  %s%-8s%s  %-20s  %-20s  %s%s\n", width, one->name, colour ? colours[one->code] : "",
               codes[one->code], colour ? "\x1b[0m" : "", since, time, one->stale ? "(stale) " : "", one->summary);
    }
    printf("%llu OK, %llu WARNING, %llu CRITICAL, %llu UNKNOWN; %llu stale\n", (unsigned long long)states->of_code[0],
           (unsigned long long)states->of_code[1], (unsigned long long)states->of_code[2],
           (unsigned long long)states->of_code[3], (unsigned long long)states->stale);
}

static int ask_all(struct cli_args *args, struct yd_client *client, struct states *states)
{
    const char *element = cli_value(args, "element");
    const struct cli_cell list[] = {{.key = "op", .text = "elements"}, {.key = NULL}};
    int code = CLI_DONE;
    if (element)
        (void)snprintf(states->elements[states->element_count++], sizeof states->elements[0], "%s", element);
    else
        code = cli_ask(args, client, list, take_element, states);
    if (!code && states->element_count == 0)
        return cli_fail(args, "no State is in the daemon's topology: see `yarder elements State`");
    for (size_t i = 0; i < states->element_count && !code; i++) {
        const struct cli_cell cells[] = {
            {.key = "op", .text = "states"},
            {.key = "element", .text = states->elements[i]},
            {.key = "match", .text = args->rest_count ? args->rest[0] : "", .absent = !args->rest_count},
            {.key = NULL}};
        code = cli_ask(args, client, cells, take_state, states);
    }
    return code;
}

static int run(struct cli_args *args)
{
    struct states states = {.args = args};
    struct yd_client *client;
    const struct yd_client_options options = {0};
    int code = cli_client_open(args, &options, &client);
    if (code) return code;
    code = ask_all(args, client, &states);
    yd_client_close(client);
    if (states.count) qsort(states.all, states.count, sizeof *states.all, worst_first);
    if (!code && !args->json) print_table(&states);
    for (size_t i = 0; i < states.count; i++) {
        free(states.all[i].name);
        free(states.all[i].summary);
    }
    free(states.all);
    if (!code && cli_given(args, "check") && states.of_code[1] + states.of_code[2] + states.of_code[3])
        code = CLI_FAILED;
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"bad", NULL, "only those that are not OK, or stale"},
    {"check", NULL, "exit with 1 when one is not OK"},
    {"element", "NAME", "of this State or Limits only; default: of all that the topology has"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_state = {
    .name = "state",
    .usage = "[PATTERN] [--bad] [--check] [--element NAME] [--at ADDRESS]",
    .summary = "shows the states of a running daemon, the worst first",
    .doc = "The daemon's topology must have a Native, and a State or Limits. PATTERN is one over names, like\n"
           "'db.*'. SINCE is the last transition, LAST the last result; a stale one was not heard of for longer\n"
           "than it should be. With --json an object a line, as they come.",
    .example = "  yarder state\n  yarder state 'db.*' --bad",
    .options = options,
    .rest_min = 0,
    .rest_max = 1,
    .run = run,
};
