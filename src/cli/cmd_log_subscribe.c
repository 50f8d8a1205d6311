/* yarder log subscribe: a stream of a running daemon, as it comes, in the form of `log cat`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yarder/name.h>

#include "cli/commands.h"
#include "cli/remote.h"
#include "io/loop.h"

#define SAVE_EVERY YD_NS_PER_S

struct target { /* a partition, or the stream when it has one */
    struct yd_subscription *sub;
    int partition;  /* -1: there is one, or one was named */
    uint64_t next;  /* everything below is printed */
    uint64_t saved; /* by the cursor */
    struct printing *printing;
};
struct printing {
    struct cli_args *args;
    struct yd_client *client;
    struct target *targets;
    uint32_t target_count, ended_count;
    bool open; /* stdout is read */
    int code;
    struct yd_pattern *pattern;
    struct yd_subscribe_options options;
    const char *cursor;
    uint64_t from; /* seqno to begin with */
    uint64_t left; /* records to print */
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
static bool print_batch(struct printing *p, struct target *target, const struct yd_batch *batch)
{
    const struct yd_header *header = &batch->header;
    uint32_t i;
    for (i = 0; i < batch->view.count && p->left; i++) {
        uint64_t seqno = header->base_seqno + i;
        if (seqno < target->next) continue;
        if (p->options.until && seqno >= p->options.until) break;
        if (!wanted(p, &batch->view, i)) continue;
        cli_put_record(&p->text, p->args->json, &batch->view, i, target->partition, seqno);
        p->left--;
    }
    target->next = YD_MAX(target->next, header->base_seqno + i);
    return write_out(p);
}

static bool print_position(struct printing *p, const struct target *target, const struct yd_received *got)
{
    const char *form = p->args->json ? "{%s\"first\":%llu,\"written\":%llu,\"durable\":%llu,\"replicated\":%llu}\n"
                                     : "%sfirst %llu written %llu durable %llu replicated %llu\n";
    char partition[32] = "";
    if (target->partition >= 0)
        (void)snprintf(partition, sizeof partition, p->args->json ? "\"partition\":%d," : "%d/", target->partition);
    return printf(form, partition, (unsigned long long)got->first, (unsigned long long)got->written,
                  (unsigned long long)got->durable, (unsigned long long)got->replicated) > 0;
}

static int save(struct printing *p)
{
    if (!p->cursor || fflush(stdout) != 0) return CLI_DONE; /* not printed: not acknowledged */
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct target *target = &p->targets[i];
        if (target->saved == target->next) continue;
        int error = yd_subscription_save(target->sub, p->cursor, target->next);
        if (error == YD_ECONNRESET) continue; /* the next one */
        if (error) return cli_client_failed(p->args, p->client, error);
        target->saved = target->next;
    }
    p->saved_at = yd_clock_mono();
    return CLI_DONE;
}

static bool unsaved(const struct printing *p)
{
    bool unsaved = false;
    for (uint32_t i = 0; i < p->target_count; i++) unsaved |= p->targets[i].saved != p->targets[i].next;
    return unsaved && p->cursor;
}

static void tell_gap(const struct target *target, const struct yd_log_gap *gap)
{
    char partition[32] = "";
    if (target->partition >= 0) (void)snprintf(partition, sizeof partition, "%d/", target->partition);
    fprintf(stderr, "gap: records %s%llu to %s%llu are not there (%s)\n", partition, (unsigned long long)gap->from,
            partition, (unsigned long long)gap->to, gap->reason);
}

/* A callback of the client: as each partition has something. */
static void received(void *arg, struct yd_received *got)
{
    struct target *target = arg;
    struct printing *p = target->printing;
    bool open = true;
    if (got->batch) {
        target->next = YD_MAX(target->next, got->from);
        if (p->open && p->left) open = print_batch(p, target, got->batch);
        yd_batch_unref(got->batch);
    } else if (got->gap.reason) {
        tell_gap(target, &got->gap);
        target->next = got->gap.to;
    } else if (got->position) {
        open = print_position(p, target, got);
    } else if (got->ended) {
        target->next = YD_MAX(target->next, p->left ? got->next : 0);
        p->ended_count++;
        if (got->error) p->code = cli_client_failed(p->args, p->client, got->error);
    }
    if (!open || p->code) p->open = false;
}

static int print_all(struct printing *p)
{
    while (p->open && p->left && p->ended_count < p->target_count) {
        if (fflush(stdout) != 0) break; /* what is printed shall be seen */
        if (unsaved(p) && yd_clock_mono() - p->saved_at >= SAVE_EVERY && !p->code) p->code = save(p);
        if (p->code) break;
        int error = yd_client_run(p->client, p->cursor ? SAVE_EVERY : -1);
        if (error < 0) return cli_client_failed(p->args, p->client, error);
    }
    int saved = save(p);
    fflush(stdout);
    return p->code ? p->code : saved;
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
    p->options.forgotten = cli_given(args, "forgotten");
    p->options.cursor = p->cursor = cli_value(args, "cursor");
    start->from = YD_FROM_TAIL;
    if ((!from && p->cursor) || (from && strcmp(from, "oldest") == 0))
        start->from = YD_FROM_OLDEST;
    else if (from && yd_text_u64(yd_str_of(from), &start->seqno) == 0)
        start->from = YD_FROM_SEQNO, p->from = start->seqno;
    else if (from && strcmp(from, "tail") != 0 && yd_text_time(yd_str_of(from), &start->time_ns) == 0)
        start->from = YD_FROM_TIME;
    else if (from && strcmp(from, "tail") != 0)
        return cli_usage(args, "--from wants a seqno, a time (2026-11-21T01:02:03Z), oldest or tail");
    if (p->cursor) p->from = 0; /* the daemon knows where it stands */
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

static int subscribe(struct printing *p, uint32_t index, struct yd_client_stream *stream)
{
    p->targets[index].next = p->from;
    p->targets[index].printing = p;
    return yd_client_subscribe(stream, &p->options, received, &p->targets[index], &p->targets[index].sub);
}

/* The one that was named, or all. */
static int subscribe_all(struct printing *p)
{
    const char *name = p->args->rest[0];
    struct yd_client_stream *stream;
    struct yd_client_info info;
    int error = yd_client_stream(p->client, name, &stream);
    if (error) return cli_client_failed(p->args, p->client, error);
    yd_client_info(stream, &info);
    const bool several = info.partitions > 1 && info.partitions <= 1024 && !strchr(name, '/');
    if (several && (p->options.until || p->options.start.from == YD_FROM_SEQNO))
        return cli_usage(p->args, "--from and --until: a seqno is of one partition: name it, like %s/0", name);
    p->targets = calloc(several ? info.partitions : 1, sizeof *p->targets);
    if (!p->targets) return cli_fail(p->args, "out of memory");
    p->target_count = several ? info.partitions : 1;
    p->targets[0].partition = -1;
    if (!several) error = subscribe(p, 0, stream);
    for (uint32_t i = 0; several && !error && i < p->target_count; i++) {
        char partition[300];
        (void)snprintf(partition, sizeof partition, "%.256s/%" PRIu32, name, i);
        p->targets[i].partition = (int)i;
        error = yd_client_stream(p->client, partition, &stream);
        if (!error) error = subscribe(p, i, stream);
    }
    return error ? cli_client_failed(p->args, p->client, error) : CLI_DONE;
}

static int run(struct cli_args *args)
{
    struct printing p = {.args = args, .open = true};
    const struct yd_client_options options = {0};
    int code = parse(&p);
    if (code == CLI_DONE) code = cli_client_open(args, &options, &p.client);
    if (code) {
        yd_pattern_destroy(p.pattern);
        return code;
    }
    yd_buf_init(&p.text, NULL);
    code = subscribe_all(&p);
    if (code == CLI_DONE) code = print_all(&p);
    yd_client_close(p.client);
    free(p.targets);
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
    {"forgotten", NULL, "also what tombstones cover"},
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
           "saved about once a second and at the end: what was printed in the last second before a crash comes again.\n"
           "Of a stream with several partitions it prints all, as PARTITION/SEQNO, each in its order, with a place in "
           "each.",
    .example = "  yarder log subscribe metrics\n  yarder log subscribe metrics --from oldest --stop --json\n"
               "  yarder log subscribe metrics --cursor nightly --stop",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
