/* yarder ask: a question to an element that remembers: State, Facts, Events, Window, Forget, Cardinality, Broker,
 * Decom. */
#include <stdio.h>
#include <stdlib.h>

#include "batch/record_text.h"
#include "cli/commands.h"
#include "cli/remote.h"

#define CELLS_MAX 24

struct answers {
    struct cli_args *args;
    struct yd_buf text;
    size_t count;
};

/* NAME key=value … with texts as JSON has them; or all of it as JSON. */
static int print_row(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct answers *answers = arg;
    struct yd_buf *text = &answers->text;
    const struct yd_cells *cells = yd_view_cells(view, map);
    yd_buf_clear(text);
    answers->count++;
    if (answers->args->json) {
        if (cli_row_json(text, view, name, "name", map)) printf("%.*s\n", (int)text->size, text->data);
        return 0;
    }
    yd_buf_str(text, name);
    for (uint32_t i = 0; i < cells->count; i++) {
        struct yd_str key = yd_view_name(view, cells->cell[i].name);
        enum yd_type type = (enum yd_type)cells->cell[i].type;
        bool time =
            type == YD_I64 && cells->cell[i].value.i64 > YD_NS_PER_S &&
            (yd_str_eq(key, YD_STR("time")) || yd_str_eq(key, YD_STR("since")) || yd_str_eq(key, YD_STR("start")));
        yd_buf_printf(text, "  %.*s=", YD_STR_FMT(key));
        if (time) {
            char at[40];
            yd_buf_str(text, (struct yd_str){at, yd_text_put_time(at, sizeof at, cells->cell[i].value.i64)});
        } else {
            struct yd_json json;
            yd_json_init(&json, text, false);
            yd_value_json(view, type, cells->cell[i].value, &json);
        }
    }
    printf("%.*s\n", (int)text->size, text->data);
    return text->failed ? YD_ENOMEM : 0;
}

/* true, false, whole numbers, other numbers; else a text. Quotes make a text of anything. */
static void read_value(char *text, struct cli_cell *cell)
{
    size_t size = strlen(text);
    struct yd_str s = {text, size};
    if (size >= 2 && *text == '"' && text[size - 1] == '"') {
        text[size - 1] = '\0';
        cell->text = text + 1;
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        cell->type = YD_BOOL;
        cell->value.u64 = *text == 't';
    } else if (yd_text_u64(s, &cell->value.u64) == 0) {
        cell->type = YD_U64;
    } else if (yd_text_i64(s, &cell->value.i64) == 0) {
        cell->type = YD_I64;
    } else if (yd_text_f64(s, false, &cell->value.f64) == 0) {
        cell->type = YD_F64;
    } else {
        cell->text = text;
    }
}

static int read_cells(struct cli_args *args, struct cli_cell *cells)
{
    size_t count = 0;
    cells[count++] = (struct cli_cell){.key = "op", .text = args->rest_count > 1 ? args->rest[1] : "elements"};
    if (args->rest_count > 0) cells[count++] = (struct cli_cell){.key = "element", .text = args->rest[0]};
    for (int i = 2; i < args->rest_count; i++) {
        char *equals = strchr(args->rest[i], '=');
        if (!equals || equals == args->rest[i])
            return cli_usage(args, "'%s' is not KEY=VALUE, like match='db.*'", args->rest[i]);
        if (count == CELLS_MAX) return cli_usage(args, "at most %d KEY=VALUE", CELLS_MAX - 2);
        *equals = '\0';
        cells[count] = (struct cli_cell){.key = args->rest[i]};
        read_value(equals + 1, &cells[count++]);
    }
    return CLI_DONE;
}

static int run(struct cli_args *args)
{
    struct cli_cell cells[CELLS_MAX + 1] = {0};
    if (args->rest_count == 1)
        return cli_usage(args, "what is asked of %s? `yarder ask` alone lists the elements and what they answer",
                         args->rest[0]);
    int code = read_cells(args, cells);
    struct yd_client *client;
    const struct yd_client_options options = {0};
    if (!code) code = cli_client_open(args, &options, &client);
    if (code) return code;
    struct answers answers = {.args = args};
    yd_buf_init(&answers.text, NULL);
    code = cli_ask(args, client, cells, print_row, &answers);
    if (code == CLI_DONE && args->rest_count == 0 && answers.count == 0)
        fprintf(stderr,
                "yarder ask: no element of this topology answers questions; a State, Window, Facts or Events would\n");
    yd_buf_fini(&answers.text);
    yd_client_close(client);
    return code;
}

static const struct cli_option options[] = {CLI_REMOTE_OPTIONS, {NULL, NULL, NULL}};

const struct cli_command cmd_ask = {
    .name = "ask",
    .usage = "[ELEMENT OP [KEY=VALUE…]] [--at ADDRESS]",
    .summary = "asks an element of a running daemon what it knows: states, facts, events, open windows",
    .doc =
        "The daemon's topology must have a Native. Without arguments: which elements can be asked, and what. The\n"
        "questions of a class are on its page, `yarder elements State`. Most take match=PATTERN and max=N. Of VALUE,\n"
        "true, false and numbers are what they look like; quotes make a text of anything: value='\"17\"'.\n"
        "One line for each answer; with --json an object a line.",
    .example = "  yarder ask\n  yarder ask facts facts match='site.*'\n"
               "  yarder ask facts fact_set name=site.owner value=ops\n  yarder ask events events max=10",
    .options = options,
    .rest_min = 0,
    .rest_max = -1,
    .run = run,
};
