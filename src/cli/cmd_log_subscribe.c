/* yarder log subscribe: a stream of a running daemon, as it comes, in the form of `log cat`. */
#include <stdio.h>
#include <stdlib.h>

#include <yarder/name.h>

#include "cli/commands.h"
#include "cli/remote.h"
#include "io/loop.h"

#define SAVE_EVERY YD_NS_PER_S

struct printing {
    struct cli_args *args;
    struct yd_client *client;
    struct yd_subscription *sub;
    struct yd_pattern *pattern;
    struct yd_subscribe_options options;
    const char *cursor;
    uint64_t left;  /* records to print */
    uint64_t next;  /* everything below is printed */
    uint64_t saved; /* by the cursor */
    int64_t saved_at;
    struct yd_buf text;
};

static bool wanted(const struct printing *p, const struct yd_view *view, uint32_t index)
{
    const struct yd_record *record = &view->records[index];
    uint32_t kinds = p->options.start.kinds;
    if (kinds && !(kinds & YD_KIND_BIT(record->kind))) return false;
    return !p->pattern || yd_pattern_match(p->pattern, yd_view_name(view, record->name));
}

static bool write_out(struct printing *p)
{
    bool written = fwrite(p->text.data, 1, p->text.size, stdout) == p->text.size;
    yd_buf_clear(&p->text);
    return written;
}

/* Batches come whole, with their seqnos; what is not meant is left out here. */
static bool print_batch(struct printing *p, const struct yd_batch *batch)
{
    const struct yd_header *header = &batch->header;
    uint32_t i;
    for (i = 0; i < batch->view.count && p->left; i++) {
        uint64_t seqno = header->base_seqno + i;
        if (seqno < p->next) continue;
        if (p->options.until && seqno >= p->options.until) break;
        if (!wanted(p, &batch->view, i)) continue;
        cli_put_record(&p->text, p->args->json, &batch->view, i, seqno);
        p->left--;
    }
    p->next = YD_MAX(p->next, header->base_seqno + i);
    return write_out(p);
}

static bool print_position(struct printing *p, const struct yd_received *got)
{
    const char *form = p->args->json ? "{\"first\":%llu,\"written\":%llu,\"durable\":%llu,\"replicated\":%llu}\n"
                                     : "first %llu written %llu durable %llu replicated %llu\n";
    return printf(form, (unsigned long long)got->first, (unsigned long long)got->written,
                  (unsigned long long)got->durable, (unsigned long long)got->replicated) > 0;
}

static int save(struct printing *p)
{
    if (!p->cursor || p->saved == p->next) return CLI_DONE;
    if (fflush(stdout) != 0) return CLI_DONE; /* not printed: not acknowledged */
    int error = yd_subscription_save(p->sub, p->cursor, p->next);
    p->saved_at = yd_clock_mono();
    if (error == YD_ECONNRESET) return CLI_DONE; /* the next one */
    if (error) return cli_client_failed(p->args, p->client, error);
    p->saved = p->next;
    return CLI_DONE;
}

static int print_all(struct printing *p)
{
    struct yd_received got;
    int code = CLI_DONE;
    bool open = true;
    while (code == CLI_DONE && open && p->left) {
        int error = yd_subscription_next(p->sub, 0, &got);
        if (error == YD_EAGAIN) { /* nothing more for now: what is printed shall be seen */
            if (fflush(stdout) != 0) break;
            if (p->cursor && p->saved != p->next && yd_clock_mono() - p->saved_at >= SAVE_EVERY) code = save(p);
            if (code == CLI_DONE) error = yd_subscription_next(p->sub, p->cursor ? SAVE_EVERY : -1, &got);
            if (code || error == YD_ETIMEOUT) continue;
        }
        if (error) return error == YD_EEOF ? code : cli_client_failed(p->args, p->client, error);
        if (got.batch) {
            p->next = YD_MAX(p->next, got.from);
            open = print_batch(p, got.batch);
            yd_batch_unref(got.batch);
        } else if (got.gap.reason) {
            fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)got.gap.from,
                    (unsigned long long)got.gap.to, got.gap.reason);
            p->next = got.gap.to;
        } else if (got.position) {
            open = print_position(p, &got);
        } else if (got.ended) {
            p->next = YD_MAX(p->next, p->left ? got.next : 0);
            if (got.error) code = cli_client_failed(p->args, p->client, got.error);
            break;
        }
    }
    int saved = save(p);
    fflush(stdout);
    return code ? code : saved;
}

static int parse_kinds(struct cli_args *args, const char *text, uint32_t *ret)
{
    char copy[128], *rest = copy, *word;
    if (strlen(text) >= sizeof copy) return cli_usage(args, "--kinds is too long");
    strcpy(copy, text);
    while ((word = strsep(&rest, ",")) != NULL) {
        int kind = YD_SAMPLE;
        while (kind < YD_KIND_COUNT && strcasecmp(yd_kind_name((enum yd_kind)kind), word) != 0) kind++;
        if (kind == YD_KIND_COUNT) return cli_usage(args, "--kinds: '%s' is no kind of record", word);
        *ret |= YD_KIND_BIT(kind);
    }
    return CLI_DONE;
}

static int parse(struct printing *p)
{
    struct cli_args *args = p->args;
    const char *from = cli_value(args, "from"), *until = cli_value(args, "until"), *count = cli_value(args, "count"),
               *match = cli_value(args, "match"), *kinds = cli_value(args, "kinds");
    struct yd_log_start *start = &p->options.start;
    p->left = UINT64_MAX;
    p->options.whole = true;
    p->options.stop = cli_given(args, "stop");
    p->options.notify = cli_given(args, "notify");
    p->options.cursor = p->cursor = cli_value(args, "cursor");
    start->from = YD_FROM_TAIL;
    if ((!from && p->cursor) || (from && strcmp(from, "oldest") == 0))
        start->from = YD_FROM_OLDEST;
    else if (from && yd_text_u64(yd_str_of(from), &start->seqno) == 0)
        start->from = YD_FROM_SEQNO, p->next = start->seqno;
    else if (from && strcmp(from, "tail") != 0 && yd_text_time(yd_str_of(from), &start->time_ns) == 0)
        start->from = YD_FROM_TIME;
    else if (from && strcmp(from, "tail") != 0)
        return cli_usage(args, "--from wants a seqno, a time (2026-11-21T01:02:03Z), oldest or tail");
    if (p->cursor) p->next = 0; /* the daemon knows where it stands */
    if (until && (yd_text_u64(yd_str_of(until), &p->options.until) < 0 || p->options.until == 0))
        return cli_usage(args, "--until wants a seqno above 0");
    if (count && (yd_text_u64(yd_str_of(count), &p->left) < 0 || p->left == 0))
        return cli_usage(args, "--count wants a number above 0");
    if (count) p->options.count = p->left;
    if (match && yd_pattern_compile(yd_str_of(match), &p->pattern) < 0)
        return cli_usage(args, "--match: '%s' is not a name pattern", match);
    start->names = match;
    int code = kinds ? parse_kinds(args, kinds, &start->kinds) : CLI_DONE;
    return code ? code : cli_level(args, "level", cli_value(args, "level"), &start->level);
}

static int run(struct cli_args *args)
{
    struct printing p = {.args = args};
    struct yd_client_stream *stream;
    const struct yd_client_options options = {0};
    int code = parse(&p), error;
    if (code == CLI_DONE) code = cli_client_open(args, &options, &p.client);
    if (code) {
        yd_pattern_destroy(p.pattern);
        return code;
    }
    yd_buf_init(&p.text, NULL);
    error = yd_client_stream(p.client, args->rest[0], &stream);
    if (!error) error = yd_client_subscribe(stream, &p.options, NULL, NULL, &p.sub);
    code = error ? cli_client_failed(args, p.client, error) : print_all(&p);
    yd_client_close(p.client);
    yd_pattern_destroy(p.pattern);
    yd_buf_fini(&p.text);
    return code;
}

static const struct cli_option options[] = {
    CLI_REMOTE_OPTIONS,
    {"from", "WHERE", "a seqno, a time (2026-11-21T01:02:03Z), oldest or tail (default)"},
    {"until", "SEQNO", "stop before this one"},
    {"count", "N", "stop after so many records"},
    {"stop", NULL, "stop at what is there now"},
    {"match", "PATTERN", "only names that match, like 'cpu.* host=web*'"},
    {"kinds", "KIND,…", "only these kinds: sample, tally, delta, state, event, fact, packet, row"},
    {"level", "LEVEL", "what is given: durable (default), or memory, written, replicated"},
    {"notify", NULL, "positions only, no records"},
    {"cursor", "NAME", "go on at this cursor of the daemon, and save it behind what was printed"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_subscribe = {
    .name = "log subscribe",
    .usage = "STREAM [--at ADDRESS] [--from WHERE] [--stop] [--match PATTERN]",
    .summary = "prints the records of a stream of a running daemon as they come",
    .doc = "The form is that of log cat; gaps are told on standard error. A daemon that is gone for a while is waited "
           "for,\n"
           "and nothing is printed twice or left out. With --cursor (from the oldest at first) the daemon keeps the "
           "place,\n"
           "saved about once a second and at the end: what was printed in the last second before a crash comes again.",
    .example = "  yarder log subscribe metrics\n  yarder log subscribe metrics --from oldest --stop --json\n"
               "  yarder log subscribe metrics --cursor nightly --stop",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
