/* yarder live ls: which measurements there are. */
#include <stdio.h>
#include <stdlib.h>

#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/live_cli.h"

static void put(struct yd_buf *to, struct cli_args *args, const char *name, const struct cli_live_value *value)
{
    if (args->json) {
        struct yd_json json;
        yd_json_init(&json, to, false);
        yd_json_object(&json);
        yd_json_key(&json, "name");
        yd_json_cstr(&json, name);
        yd_json_key(&json, "type");
        yd_json_cstr(&json, value->generation ? yd_type_name((enum yd_type)value->value.type) : NULL);
        yd_json_key(&json, "seq");
        yd_json_u64(&json, value->generation ? value->value.seq : 0);
        yd_json_key(&json, "generation");
        yd_json_u64(&json, value->generation);
        yd_json_object_end(&json);
        yd_buf_char(to, '\n');
        return;
    }
    yd_buf_printf(to, "%-5s %10llu  ", value->generation ? yd_type_name((enum yd_type)value->value.type) : "-",
                  value->generation ? (unsigned long long)value->value.seq : 0);
    yd_buf_shown(to, yd_str_of(name));
    yd_buf_char(to, '\n');
}

static int run(struct cli_args *args)
{
    struct yd_live *live = NULL;
    struct yd_live_set *set;
    struct yd_live_item *const *items;
    struct yd_buf text;
    struct cli_live_value value;
    char *room = NULL;
    yd_buf_init(&text, NULL);
    int code = cli_live_open(args, false, &live);
    if (code == CLI_DONE) code = cli_live_follow(args, live, args->rest_count ? args->rest[0] : NULL, &set);
    if (code == CLI_DONE && !(room = malloc(CLI_LIVE_ROOM))) code = cli_fail(args, "out of memory");
    size_t count = code == CLI_DONE ? yd_live_set_items(set, &items) : 0;
    if (count && !args->json) printf("%-5s %10s  NAME\n", "TYPE", "SEQ");
    for (size_t i = 0; i < count; i++) {
        value.generation = 0;
        (void)cli_live_take(live, items[i], false, room, &value); /* none: said as such */
        yd_buf_clear(&text);
        put(&text, args, yd_live_name(items[i]), &value);
        (void)fwrite(text.data, 1, text.size, stdout);
    }
    if (code == CLI_DONE && !args->json)
        printf("%zu names, generation %llu\n", count, (unsigned long long)yd_live_generation(live));
    free(room);
    yd_buf_fini(&text);
    yd_live_close(live);
    return code;
}

static const struct cli_option options[] = {
    CLI_LIVE_OPTIONS,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_live_ls = {
    .name = "live ls",
    .usage = "[PATTERN] [--data DIR] [--live NAME | --socket PATH]",
    .summary = "lists the measurements that a Live element has values of",
    .doc =
        "Each with the type of its newest value and how many it had in this generation: one is the life of a daemon's\n"
        "memory. PATTERN as everywhere: 'engine.*', 'cpu.load host=web*'.",
    .example = "  yarder live ls\n  yarder live ls 'engine.*' --json",
    .options = options,
    .rest_max = 1,
    .run = run,
};
