/* yarder live record: every value of some measurements into a stream's files, in order.
 *
 *   asleep on the library's descriptor ─▶ a sweep: next of each, until none has more ─▶ by time, each one's own order
 *   kept ─▶ a batch ─▶ yd_log_append (its thread writes)
 *
 * What could not be kept is in the stream where it is missing, as a ROW `yarder.live.missed` {name, missed, seq,
 * generation}; a writer that goes or comes as a ROW `yarder.live.writer` {attached, generation}. Values become SAMPLEs,
 * whatever their type. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/live_cli.h"
#include "cli/live_record.h"
#include "cli/log_cli.h"
#include "io/loop.h"

#define SWEEP_MAX  65536             /* values that are put in order together */
#define SWEEP_TEXT ((size_t)8 << 20) /* and bytes of those that have any */
#define RETRY_NS   YD_NS_PER_MS

struct one {
    struct yd_live_item *item;
    struct yd_live_value value;
    int64_t order; /* its time, and not before the one before it of the same name */
    uint32_t place;
    uint32_t text; /* where its bytes begin */
};

struct recording {
    struct cli_args *args;
    struct yd_live *live;
    struct yd_live_set *set;
    struct yd_log *log;
    struct yd_builder *builder;
    struct one *sweep;
    uint32_t sweep_count;
    struct yd_buf text;
    uint8_t *begun; /* of each item: it had a value */
    size_t begun_count, at_first;
    char *room;
    uint64_t values, missed, left;
    uint64_t first, next;
    struct cli_live_writer writer;
    int signals;
};

static int write_batch(struct recording *r)
{
    struct yd_batch *batch;
    struct yd_log_appended appended;
    int error = yd_builder_seal(r->builder, &batch);
    if (error) return error == YD_EAGAIN ? 0 : error;
    const struct timespec pause = {0, RETRY_NS};
    while ((error = yd_log_append(r->log, batch, -1, UINT64_MAX, &appended)) == YD_EFULL)
        nanosleep(&pause, NULL); /* the disk is slower than the values: what goes by meanwhile is counted */
    yd_batch_unref(batch);
    if (error) return error;
    r->first = YD_MIN(r->first, appended.first);
    r->next = appended.next;
    return 0;
}

/* ---- records ---- */

static int add_row(struct recording *r, const char *name, const char *about, uint64_t missed, uint64_t seq)
{
    uint32_t index;
    int error = yd_builder_name(r->builder, yd_str_of(name), &index);
    if (!error) error = yd_builder_begin(r->builder, yd_clock_wall(), index, YD_ROW, 0, YD_MAP);
    if (!error && about) error = yd_builder_cell_bytes(r->builder, YD_STR("name"), YD_TEXT, yd_str_of(about));
    if (!error && about) error = yd_builder_cell(r->builder, YD_STR("missed"), YD_U64, (union yd_value){.u64 = missed});
    if (!error && about) error = yd_builder_cell(r->builder, YD_STR("seq"), YD_U64, (union yd_value){.u64 = seq});
    if (!error && !about)
        error = yd_builder_cell(r->builder, YD_STR("attached"), YD_BOOL, (union yd_value){.u64 = r->writer.attached});
    if (!error)
        error = yd_builder_cell(r->builder, YD_STR("generation"), YD_U64,
                                (union yd_value){.u64 = yd_live_generation(r->live)});
    return error ? error : yd_builder_end(r->builder);
}

/* The state of its limits is kept as a record's code. */
static uint16_t flags_of(uint16_t flags)
{
    static const uint16_t codes[] = {0, 0, 1, 1, 2, 2};
    unsigned limit = (flags & YD_LIVE_LIMIT_MASK) >> YD_LIVE_LIMIT_SHIFT;
    uint16_t kept = flags & (YD_RECORD_CODE_MASK | YD_RECORD_STALE | YD_RECORD_TRANSITION | YD_RECORD_ROLLOVER |
                             YD_RECORD_QUALITY | YD_RECORD_TOMBSTONE);
    return kept & YD_RECORD_CODE_MASK || limit >= YD_COUNT(codes) ? kept : kept | codes[limit];
}

static int add_value(struct recording *r, const struct one *one)
{
    const struct yd_live_value *value = &one->value;
    const struct yd_str bytes = {r->text.data + one->text, value->size};
    uint32_t name;
    int error = yd_builder_name(r->builder, yd_str_of(yd_live_name(one->item)), &name);
    if (error) return error;
    if (value->type == YD_TEXT || value->type == YD_BLOB)
        return yd_builder_add_bytes(r->builder, value->time_ns, name, YD_SAMPLE, (enum yd_type)value->type,
                                    flags_of(value->flags), bytes);
    return yd_builder_add(r->builder, value->time_ns, name, YD_SAMPLE, (enum yd_type)value->type,
                          flags_of(value->flags), (union yd_value){.bits = value->bits});
}

/* What is full is written, and then there is room. */
static int add_one(struct recording *r, const struct one *one)
{
    int error = 0;
    if (one->value.missed) {
        const char *name = yd_live_name(one->item);
        error = add_row(r, YD_LIVE_RECORD_MISSED, name, one->value.missed, one->value.seq);
        if (error == YD_EFULL && !(error = write_batch(r)))
            error = add_row(r, YD_LIVE_RECORD_MISSED, name, one->value.missed, one->value.seq);
        if (error) return error;
    }
    error = add_value(r, one);
    if (error == YD_EFULL && !(error = write_batch(r))) error = add_value(r, one);
    return error;
}

static int add_writer(struct recording *r)
{
    int error = add_row(r, YD_LIVE_RECORD_WRITER, NULL, 0, 0);
    if (error == YD_EFULL && !(error = write_batch(r))) error = add_row(r, YD_LIVE_RECORD_WRITER, NULL, 0, 0);
    return error;
}

/* ---- sweeps ---- */

static int in_order(const void *left, const void *right)
{
    const struct one *a = left, *b = right;
    if (a->order != b->order) return a->order < b->order ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int write_sweep(struct recording *r)
{
    int error = 0;
    qsort(r->sweep, r->sweep_count, sizeof *r->sweep, in_order);
    for (uint32_t i = 0; i < r->sweep_count && !error; i++) {
        error = add_one(r, &r->sweep[i]);
        r->values++;
        r->missed += r->sweep[i].value.missed;
    }
    r->sweep_count = 0;
    yd_buf_clear(&r->text);
    return error ? error : write_batch(r);
}

static int grow_begun(struct recording *r, size_t count)
{
    if (count <= r->begun_count) return 0;
    size_t room = YD_MAX(count, r->begun_count * 2);
    uint8_t *begun = realloc(r->begun, room);
    if (!begun) return YD_ENOMEM;
    memset(begun + r->begun_count, 0, room - r->begun_count);
    r->begun = begun;
    r->begun_count = room;
    return 0;
}

/* All that one has now. */
static int sweep_item(struct recording *r, struct yd_live_item *item, size_t index)
{
    int64_t order = INT64_MIN;
    struct yd_live_value value;
    int got = 0;
    while (r->left && r->sweep_count < SWEEP_MAX && r->text.size < SWEEP_TEXT &&
           (got = yd_live_next(item, r->room, CLI_LIVE_ROOM, &value)) == 1) {
        /* A name that came while we were there: its first values were to be had, too. */
        if (!r->begun[index] && index >= r->at_first) value.missed += value.seq - 1;
        r->begun[index] = 1;
        order = YD_MAX(order, value.time_ns);
        r->sweep[r->sweep_count] = (struct one){item, value, order, r->sweep_count, (uint32_t)r->text.size};
        if (value.type == YD_TEXT || value.type == YD_BLOB) yd_buf_add(&r->text, r->room, value.size);
        r->sweep_count++;
        r->left--;
    }
    if (r->text.failed) return YD_ENOMEM;
    return got < 0 && got != YD_EAGAIN ? got : 0;
}

/* Everything there is now. */
static int sweep(struct recording *r)
{
    bool more = true;
    int error = 0;
    while (more && !error && r->left) {
        struct yd_live_item *const *items;
        size_t count = yd_live_set_items(r->set, &items);
        error = grow_begun(r, count);
        for (size_t i = 0; i < count && !error; i++) error = sweep_item(r, items[i], i);
        more = r->sweep_count == SWEEP_MAX || r->text.size >= SWEEP_TEXT;
        if (!error && r->sweep_count) error = write_sweep(r);
    }
    return error;
}

static int record(struct recording *r)
{
    int fd, error = yd_live_descriptor(r->live, &fd);
    struct pollfd polls[2] = {{r->signals, POLLIN, 0}, {error ? -1 : fd, POLLIN, 0}};
    while (!error && r->left) {
        if (cli_live_tell(r->args, r->live, &r->writer, false)) error = add_writer(r);
        if (!error) error = sweep(r);
        if (error || !r->left || poll(polls, 2, -1) < 0) continue;
        if (cli_live_ended(r->signals, NULL)) {
            error = sweep(r); /* what came before the signal */
            break;
        }
        yd_live_woken(r->live);
    }
    if (!error) error = write_batch(r);
    return error;
}

static void report(const struct recording *r)
{
    uint64_t first = r->next ? r->first : 0;
    if (r->args->json)
        printf("{\"values\":%llu,\"missed\":%llu,\"first\":%llu,\"next\":%llu}\n", (unsigned long long)r->values,
               (unsigned long long)r->missed, (unsigned long long)first, (unsigned long long)r->next);
    else if (r->next)
        printf("%llu values recorded, %llu missed; seqnos %llu to %llu\n", (unsigned long long)r->values,
               (unsigned long long)r->missed, (unsigned long long)first, (unsigned long long)r->next - 1);
    else
        printf("nothing came\n");
}

static int open_log(struct recording *r, const char *dir)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    const struct yd_log_options options = {.dir = dir, .stream = "recording/0"};
    int error = yd_log_open(&options, &r->log, NULL, &trail);
    if (!error) error = yd_log_start(r->log);
    if (!error) return CLI_DONE;
    return cli_fail(r->args, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(error));
}

static int run(struct cli_args *args)
{
    struct recording r = {.args = args, .left = UINT64_MAX, .first = UINT64_MAX};
    struct yd_live_item *const *items;
    const char *to = cli_value(args, "to"), *count = cli_value(args, "count");
    if (!to || !*to) return cli_usage(args, "--to wants a folder: it becomes a stream's");
    if (count && (yd_text_u64(yd_str_of(count), &r.left) < 0 || r.left == 0))
        return cli_usage(args, "--count wants a number above 0");
    r.signals = cli_live_signals(); /* before there are threads */
    if (r.signals < 0) return cli_fail(args, "cannot take signals");
    int code = cli_live_open(args, true, &r.live);
    if (!code) code = cli_live_follow(args, r.live, args->rest_count ? args->rest[0] : NULL, &r.set);
    if (!code) code = open_log(&r, to);
    r.room = malloc(CLI_LIVE_ROOM);
    r.sweep = malloc(SWEEP_MAX * sizeof *r.sweep);
    yd_buf_init(&r.text, NULL);
    if (!code && (!r.room || !r.sweep || yd_builder_create(&(struct yd_builder_options){0}, &r.builder)))
        code = cli_fail(args, "out of memory");
    if (!code) {
        r.writer = (struct cli_live_writer){yd_live_attached(r.live), yd_live_generation(r.live)};
        r.at_first = yd_live_set_items(r.set, &items);
        fprintf(stderr, "recording %zu measurements, and those that come, into %s\n", r.at_first, to);
        int error = record(&r);
        int closed = error ? 0 : yd_log_wait(r.log, r.next, YD_ACK_DURABLE);
        if (r.next == 0) closed = 0;
        if (error || closed) code = cli_fail(args, "%s: %s", to, yd_error_text(error ? error : closed));
        report(&r);
    }
    if (r.log && yd_log_close(r.log) < 0 && !code) code = cli_fail(args, "%s: it could not be written", to);
    yd_builder_destroy(r.builder);
    yd_buf_fini(&r.text);
    free(r.begun);
    free(r.sweep);
    free(r.room);
    yd_live_close(r.live);
    close(r.signals);
    return code;
}

static const struct cli_option options[] = {
    CLI_LIVE_OPTIONS,
    {"to", "DIR", "the stream's folder; made when missing, appended to when there"},
    {"count", "N", "ends after so many values"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_live_record = {
    .name = "live record",
    .usage = "[PATTERN] --to DIR [--count N] [--data DIR] [--live NAME | --socket PATH]",
    .summary = "records every value of a Live into a stream's files",
    .doc =
        "Each value once, in order, until Ctrl-C, over restarts of the daemon. Values that were overwritten before "
        "they\n"
        "were read are counted exactly, and a record yarder.live.missed stands where they are missing: who must have\n"
        "each one wires a Log. `yarder log cat DIR` reads it, `yarder replay DIR` plays it again.",
    .example = "  yarder live record 'engine.*' --to flight1\n  yarder replay flight1 --speed 10",
    .options = options,
    .rest_max = 1,
    .run = run,
};
