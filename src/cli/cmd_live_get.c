/* yarder live get: the newest values of some names. */
#include <stdio.h>
#include <stdlib.h>

#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/live_cli.h"
#include "io/loop.h"

static void print(struct cli_args *args, struct yd_buf *text, const struct cli_live_value *value)
{
    char time[40];
    yd_buf_clear(text);
    if (args->json) {
        cli_live_json(text, value);
    } else {
        const char *word = cli_live_word(value->value.flags);
        yd_buf_shown(text, yd_str_of(value->name));
        yd_buf_char(text, ' ');
        cli_live_text(text, value);
        yd_buf_char(text, ' ');
        yd_buf_add(text, time, yd_text_put_time(time, sizeof time, value->value.time_ns));
        yd_buf_printf(text, " seq %llu%s%s\n", (unsigned long long)value->value.seq, *word ? " " : "", word);
    }
    (void)fwrite(text->data, 1, text->size, stdout);
}

/* The value there is, or the first that comes within wait_ns. */
static int get(struct yd_live *live, struct yd_live_item *item, int64_t wait_ns, char *room,
               struct cli_live_value *ret_value)
{
    int64_t until = yd_clock_mono() + wait_ns;
    for (;;) {
        int got = cli_live_take(live, item, false, room, ret_value);
        int64_t left = until - yd_clock_mono();
        if (got != YD_EAGAIN || wait_ns == 0 || left <= 0) return got;
        int waited = yd_live_wait(item, left);
        if (waited != 1 && waited != YD_ECLOSED) return waited == YD_ETIMEOUT ? YD_EAGAIN : waited;
    }
}

/* `altitude` of somebody who means rocket.flight.altitude: the first name that ends so. */
static int never(struct cli_args *args, struct yd_live *live, const char *name)
{
    struct yd_str asked = yd_str_of(name), other;
    uint32_t position = 0;
    while (yd_live_names(live, NULL, &position, &other) == 1) {
        size_t front = other.size > asked.size ? other.size - asked.size : 0;
        if (!front || other.data[front - 1] != '.' || memcmp(other.data + front, asked.data, asked.size) != 0) continue;
        struct yd_buf shown;
        yd_buf_init(&shown, NULL);
        yd_buf_shown(&shown, other);
        int code = cli_fail(args, "%s never had a value; did you mean '%.*s'?", name, (int)shown.size, shown.data);
        yd_buf_fini(&shown);
        return code;
    }
    return cli_fail(args, "%s never had a value; `yarder live ls` lists what has", name);
}

static int run(struct cli_args *args)
{
    struct yd_live *live = NULL;
    struct cli_live_value value;
    struct yd_buf text;
    const char *wait = cli_value(args, "wait");
    int64_t wait_ns = 0;
    if (wait && yd_text_duration(yd_str_of(wait), &wait_ns) < 0) return cli_usage(args, "--wait wants a time, like 5s");
    int code = cli_live_open(args, wait_ns > 0, &live);
    if (code) return code;
    yd_buf_init(&text, NULL);
    char *room = malloc(CLI_LIVE_ROOM);
    if (!room) code = cli_fail(args, "out of memory");
    for (int i = 0; room && i < args->rest_count && code != CLI_USAGE; i++) {
        struct yd_live_item *item;
        int error = yd_live_follow(live, args->rest[i], &item);
        if (error) {
            code = cli_usage(args, "'%s' is not a name: %s", args->rest[i], yd_error_text(error));
            break;
        }
        int got = get(live, item, wait_ns, room, &value);
        if (got == 1)
            print(args, &text, &value);
        else if (got == YD_EAGAIN)
            code = never(args, live, args->rest[i]);
        else
            code = cli_fail(args, "%s %s", args->rest[i], yd_error_text(got));
    }
    free(room);
    yd_buf_fini(&text);
    yd_live_close(live);
    return code;
}

static const struct cli_option options[] = {
    CLI_LIVE_OPTIONS,
    {"wait", "TIME", "for a name that has no value yet, or a daemon that is not there yet, so long"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_live_get = {
    .name = "live get",
    .usage = "NAME... [--wait TIME] [--data DIR] [--live NAME | --socket PATH]",
    .summary = "prints the newest values of measurements",
    .doc = "Name, value, time, and its number of this generation. Exit code 1 when one of them never had a value.\n"
           "A name is given whole, with its tags: 'cpu.load host=web1'.",
    .example = "  yarder live get engine.temperature\n  yarder live get altitude --wait 10s --json | jq .value",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
    .run = run,
};
