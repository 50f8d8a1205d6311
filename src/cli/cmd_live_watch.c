/* yarder live watch: values as they come: a table on a terminal, a line a value elsewhere.
 *
 *   terminal: every 250 ms ─▶ the newest of all that changed ─▶ live_table.c
 *   else:     asleep on the library's descriptor and on signals ─▶ newest, or each one in order ─▶ lines
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/live_table.h"
#include "io/loop.h"

#define INTERVAL_NS (250 * YD_NS_PER_MS)

struct watching {
    struct cli_args *args;
    struct yd_live *live;
    struct yd_live_set *set;
    const char *pattern;
    bool every;
    int64_t interval_ns; /* 0: as they come */
    uint64_t left;       /* values to be printed */
    uint64_t missed;
    struct cli_live_writer writer;
    struct yd_buf text;
    char *room;
    int signals;
};

static void put_line(struct watching *w, const struct cli_live_value *value)
{
    char time[40];
    const char *word = cli_live_word(value->value.flags);
    if (w->args->json) {
        cli_live_json(&w->text, value);
        return;
    }
    yd_buf_add(&w->text, time, yd_text_put_time(time, sizeof time, value->value.time_ns));
    yd_buf_char(&w->text, ' ');
    yd_buf_shown(&w->text, yd_str_of(value->name));
    yd_buf_char(&w->text, ' ');
    cli_live_text(&w->text, value);
    if (*word) yd_buf_printf(&w->text, " (%s)", word);
    if (w->every && value->value.missed)
        yd_buf_printf(&w->text, " (%llu missed before)", (unsigned long long)value->value.missed);
    yd_buf_char(&w->text, '\n');
}

/* What has come. false: enough, or nobody reads any more. */
static bool print_new(struct watching *w, int *ret_error)
{
    struct yd_live_item *const *items;
    size_t count = yd_live_set_items(w->set, &items);
    yd_buf_clear(&w->text);
    for (size_t i = 0; i < count && w->left; i++) {
        struct cli_live_value value;
        int got;
        /* Of one at a time at most what its table keeps: it may be written faster than we read. */
        for (int most = 1024; w->left && (got = cli_live_take(w->live, items[i], w->every, w->room, &value)) == 1;) {
            w->missed += value.value.missed;
            w->left--;
            put_line(w, &value);
            if (!w->every || --most == 0) break;
        }
    }
    if (w->text.failed) *ret_error = YD_ENOMEM;
    bool written = fwrite(w->text.data, 1, w->text.size, stdout) == w->text.size && fflush(stdout) == 0;
    return written && w->left > 0 && *ret_error == 0;
}

static int watch_lines(struct watching *w)
{
    int fd, error = yd_live_descriptor(w->live, &fd);
    struct pollfd polls[2] = {{w->signals, POLLIN, 0}, {error ? -1 : fd, POLLIN, 0}};
    while (error == 0) {
        (void)cli_live_tell(w->args, w->live, &w->writer, false);
        if (!print_new(w, &error)) break;
        if (poll(polls, 2, -1) < 0) continue;
        if (cli_live_ended(w->signals, NULL)) break;
        if (w->interval_ns && poll(polls, 1, (int)(w->interval_ns / YD_NS_PER_MS)) > 0) continue;
        yd_live_woken(w->live);
    }
    if (w->every && w->missed)
        (void)cli_fail(w->args, "%llu values were overwritten before they were read", (unsigned long long)w->missed);
    return error ? cli_fail(w->args, "%s", yd_error_text(error)) : CLI_DONE;
}

static int watch_table(struct watching *w)
{
    struct live_table *table;
    int64_t drawn = 0;
    bool resized = true, changed;
    int error = live_table_create(!getenv("NO_COLOR"), &table);
    if (error) return cli_fail(w->args, "%s", yd_error_text(error));
    for (;;) {
        struct pollfd signals = {w->signals, POLLIN, 0};
        bool told = cli_live_tell(w->args, w->live, &w->writer, true);
        error = live_table_update(table, w->live, w->set, &changed);
        if (error) break;
        if (changed || told || resized || yd_clock_mono() - drawn >= YD_NS_PER_S) {
            live_table_draw(table, w->live, w->pattern);
            drawn = yd_clock_mono();
        }
        resized = false;
        (void)poll(&signals, 1, (int)(w->interval_ns / YD_NS_PER_MS));
        if (cli_live_ended(w->signals, &resized)) break;
    }
    live_table_destroy(table);
    return error ? cli_fail(w->args, "%s", yd_error_text(error)) : CLI_DONE;
}

static int run(struct cli_args *args)
{
    struct watching w = {.args = args, .pattern = args->rest_count ? args->rest[0] : NULL, .left = UINT64_MAX};
    const char *interval = cli_value(args, "interval"), *count = cli_value(args, "count");
    bool table = !args->json && isatty(STDOUT_FILENO) && !cli_given(args, "every") && !count;
    w.every = cli_given(args, "every");
    w.interval_ns = table ? INTERVAL_NS : 0;
    if (interval && (yd_text_duration(yd_str_of(interval), &w.interval_ns) < 0 || w.interval_ns < 10 * YD_NS_PER_MS ||
                     w.interval_ns > 3600 * YD_NS_PER_S))
        return cli_usage(args, "--interval wants a time of 10ms to 1h");
    if (count && (yd_text_u64(yd_str_of(count), &w.left) < 0 || w.left == 0))
        return cli_usage(args, "--count wants a number above 0");
    w.signals = cli_live_signals(); /* before the library has threads */
    if (w.signals < 0) return cli_fail(args, "cannot take signals");
    int code = cli_live_open(args, true, &w.live);
    if (code == CLI_DONE) code = cli_live_follow(args, w.live, w.pattern, &w.set);
    if (code == CLI_DONE && !(w.room = malloc(CLI_LIVE_ROOM))) code = cli_fail(args, "out of memory");
    yd_buf_init(&w.text, NULL);
    if (code == CLI_DONE) {
        w.writer = (struct cli_live_writer){yd_live_attached(w.live), yd_live_generation(w.live)};
        if (!w.writer.attached && !table) (void)cli_fail(args, "nobody is there yet: waiting");
        code = table ? watch_table(&w) : watch_lines(&w);
    }
    free(w.room);
    yd_buf_fini(&w.text);
    yd_live_close(w.live);
    close(w.signals);
    return code;
}

static const struct cli_option options[] = {
    CLI_LIVE_OPTIONS,
    {"every", NULL, "each value in order, and how many were missed; otherwise the newest ones"},
    {"interval", "TIME", "looks this often; default 250ms on a terminal, elsewhere as values come"},
    {"count", "N", "ends after so many values"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_live_watch = {
    .name = "live watch",
    .usage = "[PATTERN] [--every] [--interval TIME] [--count N] [--data DIR] [--live NAME | --socket PATH]",
    .summary = "shows values as they come: a table, or a line each",
    .doc = "On a terminal a table that redraws: the newest value, how old it is, how many come a second, the state of "
           "its\n"
           "limits, and how it went. Into a pipe, with --every or with --json: a line each. Ends at Ctrl-C. When the\n"
           "daemon dies the values stay, and it goes over to its successor by itself, saying so.",
    .example = "  yarder live watch 'engine.*'\n  yarder live watch --every --json 'altitude' | jq .value",
    .options = options,
    .rest_max = 1,
    .run = run,
};
