/* yarder top: what each element does with its time, and which one holds the others up.
 *
 * busy: inside its code; waiting for output: what it sends to is full; waiting for input: the rest.
 *
 *   top_times.c: what passed between two status documents ─▶ here: tables, rejects
 *                                                         ─▶ top_applications.c: who subscribed at a Broker
 *                                                         ─▶ top_waits.c: locks, queues, disks; top_bottleneck.c */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/terminal.h"

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/top.h"

/* The sum of a counter over an element's inputs or outputs. */
static double sum(json_t *element, const char *list, const char *key)
{
    double total = 0;
    size_t index;
    json_t *item;
    json_array_foreach (json_object_get(element, list), index, item) total += top_number(item, key);
    return total;
}

static void print_element(json_t *element, json_t *before)
{
    struct top_shares shares = top_shares_of(element, before);
    const char *life = json_string_value(json_object_get(element, "life"));
    double seconds = shares.seconds > 0 ? shares.seconds : 1;
    double in = sum(element, "inputs", "received"), out = sum(element, "outputs", "records");
    double values[] = {in, out, sum(element, "inputs", "queued"), sum(element, "inputs", "rejected"),
                       sum(element, "inputs", "dropped")};
    char text[YD_COUNT(values)][24];
    if (before) {
        values[0] = (in - sum(before, "inputs", "received")) / seconds;
        values[1] = (out - sum(before, "outputs", "records")) / seconds;
    }
    for (size_t i = 0; i < YD_COUNT(values); i++) top_put_count(text[i], sizeof text[i], values[i]);
    printf("%-18s %-10s %-8s %5.1f %6.1f %6.1f %10s %10s %8s %8s %8s\n",
           json_string_value(json_object_get(element, "name")), json_string_value(json_object_get(element, "class")),
           json_is_true(json_object_get(element, "blocked")) ? "blocked"
           : life                                            ? life
                                                             : "?",
           shares.busy * 100, (1 - shares.busy - shares.output) * 100 * (shares.seconds > 0), shares.output * 100,
           text[0], text[1], text[2], text[3], text[4]);
}

/* ---- latency ---- */

static void print_latency(json_t *element, json_t *before, bool *said)
{
    size_t index;
    json_t *input;
    json_array_foreach (json_object_get(element, "inputs"), index, input) {
        json_t *was = json_array_get(json_object_get(before, "inputs"), index);
        struct top_spread since, waited;
        char name[64], text[6][16];
        static const double shares[] = {0.5, 0.99, 1};
        top_spread_of(json_object_get(input, "latency"), json_object_get(was, "latency"), &since);
        top_spread_of(json_object_get(input, "waited"), json_object_get(was, "waited"), &waited);
        if (since.total == 0) continue;
        for (size_t i = 0; i < YD_COUNT(shares); i++) {
            top_put_quantile(text[i], sizeof text[i], &waited, shares[i]);
            top_put_quantile(text[3 + i], sizeof text[i], &since, shares[i]);
        }
        if (!*said)
            printf("%-30s %29s %29s\n%-30s %9s %9s %9s %9s %9s %9s  %s\n", "", "WAITED BEFORE IT", "SINCE IT CAME IN",
                   "INPUT", "P50", "P99", "MOST", "P50", "P99", "MOST", "UNTIL");
        *said = true;
        const char *class = top_word(element, "class");
        snprintf(name, sizeof name, "%s.%s", top_word(element, "name"), top_word(input, "name"));
        printf("%-30s %9s %9s %9s %9s %9s %9s  %s\n", name, text[0], text[1], text[2], text[3], text[4], text[5],
               strcmp(class, "Log") == 0       ? "durable"
               : strcmp(class, "History") == 0 ? "queries see it"
                                               : "done with");
    }
}

/* ---- executors ---- */

static void print_executors(json_t *status, json_t *before)
{
    size_t count = json_array_size(json_object_get(status, "executors"));
    if (count) printf("%-18s %10s %10s %10s\n", "EXECUTOR", "ELEMENTS%", "SOCKETS%", "ASLEEP%");
    for (size_t i = 0; i < count; i++) {
        struct top_executor executor = top_executor_of(status, before, i);
        printf("%-18zu %10.1f %10.1f %10.1f\n", i, executor.turns * 100, executor.sockets * 100, executor.asleep * 100);
    }
    if (count) printf("\n");
}

static void print_crashes(json_t *element)
{
    const char *name = json_string_value(json_object_get(element, "name"));
    double crashes = top_number(element, "crashes"), parked = top_number(element, "parked");
    if (crashes > 0) printf("%s has crashed %.0f times.\n", name, crashes);
    if (parked > 0)
        printf("%.0f records in batches that crashed it are kept: yarder log cat parked/%s\n", parked, name);
}

/* What a wire's policy dropped is counted here and at no element. */
static void print_wire(json_t *wire)
{
    const char *from = json_string_value(json_object_get(wire, "from"));
    const char *to = json_string_value(json_object_get(wire, "to"));
    double lag = top_number(wire, "end") - top_number(wire, "acknowledged"), waits = top_number(wire, "queued_records");
    if (json_object_get(wire, "cursor") && lag > 0)
        printf("%s -> %s: %.0f records are not acknowledged yet.\n", from, to, lag);
    if (top_number(wire, "dropped") > 0)
        printf("%s -> %s has dropped %.0f records.\n", from, to, top_number(wire, "dropped"));
    if (waits > 0) printf("%s -> %s is full, %.0f records wait before it.\n", from, to, waits);
    if (top_number(wire, "gap_records") > 0)
        printf("%s -> %s found %.0f records missing in its stream.\n", from, to, top_number(wire, "gap_records"));
}

#define PARTS_SHOWN 12 /* of each element, those with most; all: --json */

static double count_of(json_t *element, const char *name)
{
    size_t index;
    json_t *part;
    json_array_foreach (json_object_get(json_object_get(element, "parts"), "counts"), index, part)
        if (strcmp(top_word(part, "name"), name) == 0) return top_number(part, "count");
    return 0;
}

/* What an element counts by name, since the start or a second: the packets of a Decom. */
static void print_parts(json_t *element, json_t *before, double seconds)
{
    json_t *parts = json_object_get(element, "parts"), *counts = json_object_get(parts, "counts");
    size_t count = json_array_size(counts), shown[PARTS_SHOWN + 1], used = 0;
    double values[PARTS_SHOWN + 1], rest = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = top_word(json_array_get(counts, i), "name");
        double value = top_number(json_array_get(counts, i), "count") - (before ? count_of(before, name) : 0);
        size_t at = used;
        for (; at > 0 && values[at - 1] < value; at--) {
            values[at] = values[at - 1];
            shown[at] = shown[at - 1];
        }
        values[at] = value;
        shown[at] = i;
        if (used < PARTS_SHOWN)
            used++;
        else
            rest += values[PARTS_SHOWN];
    }
    for (size_t i = 0; i < used; i++) {
        printf("%-18s %-10s ", top_word(element, "name"), top_word(parts, "of"));
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        top_put_shown(&text, json_object_get(json_array_get(counts, shown[i]), "name"));
        printf("%-30.*s %14.0f\n", (int)text.size, text.size ? text.data : "",
               before ? values[i] / seconds : values[i]);
        yd_buf_fini(&text);
    }
    if (count > used)
        printf("%-18s %-10s %-30s %14.0f\n", top_word(element, "name"), top_word(parts, "of"), "(others)",
               before ? rest / seconds : rest);
}

static void print_all_parts(json_t *status, json_t *before)
{
    size_t index;
    json_t *element;
    bool said = false;
    double seconds = before ? YD_MAX(top_seconds(status, before), 1e-3) : 1;
    json_array_foreach (json_object_get(status, "elements"), index, element) {
        if (!json_object_get(element, "parts")) continue;
        if (!said) printf("%-18s %-10s %-30s %14s\n", "ELEMENT", "OF", "NAME", before ? "COUNT/s" : "COUNT");
        said = true;
        print_parts(element, before ? top_find(before, top_word(element, "name")) : NULL, seconds);
    }
    if (said) printf("\n");
}

static void print_table(json_t *status, json_t *before)
{
    size_t index;
    json_t *element, *wire;
    printf("yarder %s, process %.0f, %s, %s, data %s\n\n", json_string_value(json_object_get(status, "version")),
           top_number(status, "pid"), json_string_value(json_object_get(status, "topology")),
           json_string_value(json_object_get(status, "state")), json_string_value(json_object_get(status, "data")));
    printf("%-18s %-10s %-8s %5s %6s %6s %10s %10s %8s %8s %8s\n", "ELEMENT", "CLASS", "LIFE", "BUSY%", "INPUT%",
           "OUTPT%", before ? "IN/s" : "IN", before ? "OUT/s" : "OUT", "QUEUED", "REJECTED", "DROPPED");
    json_array_foreach (json_object_get(status, "elements"), index, element)
        print_element(element, before ? top_find(before, json_string_value(json_object_get(element, "name"))) : NULL);
    printf("\n");
    print_executors(status, before);
    bool said = false;
    json_array_foreach (json_object_get(status, "elements"), index, element)
        print_latency(element, before ? top_find(before, json_string_value(json_object_get(element, "name"))) : NULL,
                      &said);
    if (said) printf("\n");
    print_all_parts(status, before);
    top_print_applications(status, before);
    json_array_foreach (json_object_get(status, "elements"), index, element) print_crashes(element);
    json_array_foreach (json_object_get(status, "wires"), index, wire) print_wire(wire);
    struct top_bottleneck bottleneck;
    top_bottleneck_of(status, before, &bottleneck);
    printf("%s\n", bottleneck.text);
}

/* ---- rejects ---- */

#define SAMPLES_SHOWN 10 /* of each element, the newest; all hundred: --json */
#define PEERS_SHOWN   10 /* of each reason, those with most */

void top_put_shown(struct yd_buf *to, json_t *text)
{
    if (json_is_string(text)) yd_buf_shown(to, (struct yd_str){json_string_value(text), json_string_length(text)});
}

static void print_samples(json_t *samples)
{
    size_t count = json_array_size(samples), from = count > SAMPLES_SHOWN ? count - SAMPLES_SHOWN : 0;
    for (size_t i = from; i < count; i++) {
        json_t *sample = json_array_get(samples, i);
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        top_put_shown(&text, json_object_get(sample, "text"));
        printf("  %s  %s  %s: %.*s\n", top_word(sample, "time"), top_word(sample, "peer"), top_word(sample, "reason"),
               (int)text.size, text.size ? text.data : "");
        yd_buf_fini(&text);
    }
}

/* By element, reason and peer. Peers with few are forgotten when there are many: "others". */
static bool print_rejects(json_t *element)
{
    size_t index, inner;
    json_t *reason, *peer;
    bool some = false;
    json_array_foreach (json_object_get(element, "reasons"), index, reason) {
        double rejected = top_number(reason, "rejected"), dropped = top_number(reason, "dropped"), by_peers = 0;
        if (rejected + dropped == 0) continue;
        if (!some) printf("%s (%s)\n", top_word(element, "name"), top_word(element, "class"));
        some = true;
        printf("  %12.0f rejected %12.0f dropped  %s\n", rejected, dropped, top_word(reason, "reason"));
        int shown = 0;
        json_array_foreach (json_object_get(element, "peers"), inner, peer) {
            if (strcmp(top_word(peer, "reason"), top_word(reason, "reason")) != 0 || shown++ >= PEERS_SHOWN) continue;
            printf("  %12.0f   from %s\n", top_number(peer, "rejected"), top_word(peer, "peer"));
            by_peers += top_number(peer, "rejected");
        }
        if (by_peers > 0 && by_peers < rejected) printf("  %12.0f   from others\n", rejected - by_peers);
    }
    if (some) print_samples(json_object_get(element, "samples"));
    return some;
}

static void print_all_rejects(json_t *status)
{
    size_t index;
    json_t *element;
    bool some = false;
    json_array_foreach (json_object_get(status, "elements"), index, element) some |= print_rejects(element);
    if (!some) printf("Nothing has been rejected or dropped.\n");
}

static int fetch(struct cli_args *args, const char *data, struct yd_buf *text, json_t **ret_status)
{
    struct yd_trail trail;
    yd_trail_clear(&trail);
    yd_buf_clear(text);
    if (cli_status(data, text, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    *ret_status = json_loadb(text->data, text->size, JSON_ALLOW_NUL, NULL); /* in samples of what was rejected */
    return *ret_status ? CLI_DONE
                       : cli_fail(args, "the daemon on %s answers in another form; is it another version?", data);
}

/* The status document, a line, with what this command makes of it. */
static void print_json(json_t *status, json_t *before)
{
    struct top_bottleneck bottleneck;
    top_bottleneck_of(status, before, &bottleneck);
    (void)json_object_set_new(
        status, "bottleneck", /* without memory it is not in it */
        json_pack("{s:s, s:s, s:s}", "what", bottleneck.what, "name", bottleneck.name, "text", bottleneck.text));
    (void)json_dumpf(status, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("\n");
}

static void print(struct cli_args *args, json_t *status, json_t *before, bool clears)
{
    if (clears && !args->json) printf("\x1b[H\x1b[2J");
    top_judge_applications(status, before);
    if (args->json)
        print_json(status, before);
    else if (cli_given(args, "rejects"))
        print_all_rejects(status);
    else if (cli_given(args, "waits"))
        top_print_waits(status, before);
    else
        print_table(status, before);
    fflush(stdout);
}

static int run(struct cli_args *args)
{
    const char *data = cli_value(args, "data"), *over = cli_value(args, "over");
    int64_t over_ns = 0;
    if (over && (yd_text_duration(yd_str_of(over), &over_ns) < 0 || over_ns <= 0))
        return cli_usage(args, "--over '%s' is not a duration, like 5s", over);
    bool once = over || cli_given(args, "rejects") || cli_given(args, "once") || !isatty(STDOUT_FILENO);
    json_t *status = NULL, *before = NULL;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    int code = fetch(args, data ? data : "./data", &text, &status);
    while (code == CLI_DONE) {
        if (!over || before) print(args, status, before, !once);
        if (once && (!over || before)) break;
        const struct timespec pause = {.tv_sec = over ? over_ns / YD_NS_PER_S : 1, .tv_nsec = over_ns % YD_NS_PER_S};
        nanosleep(&pause, NULL);
        json_decref(before);
        before = status;
        top_forget_gone(before);
        status = NULL;
        code = fetch(args, data ? data : "./data", &text, &status);
    }
    json_decref(status);
    json_decref(before);
    yd_buf_fini(&text);
    return code;
}

static const struct cli_option options[] = {
    {"once", NULL, "one picture of the totals since the start, then exit"},
    {"rejects", NULL, "what was rejected and dropped, by element, reason and peer, with the last samples, then exit"},
    {"waits", NULL, "where work waits: queues before elements, locks, file threads, disks"},
    {"over", "DURATION", "one picture of what happens in that time, then exit"},
    {"data", "DIR", "the daemon's data folder; default ./data"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_top = {
    .name = "top",
    .usage = "[--once | --over DURATION] [--waits | --rejects] [--data DIR]",
    .summary = "shows what each element does, and names the bottleneck",
    .doc =
        "Every second: how much of its time each element was busy, waited for input, and waited for output; records in "
        "and\n"
        "out; what is queued, rejected and dropped. At every input received = consumed + rejected + dropped + queued.\n"
        "Below, for each input: how long batches waited before the element looked at them, and how long it was since "
        "they\n"
        "came in from outside until it was done with them: until a Log had them durable, until queries to a History "
        "see\n"
        "them (behind a Log: since they were appended), by records.\n"
        "A Decom's packets are counted by kind, those with most are shown; all of them: --json.\n"
        "Applications are the programs that subscribed at a Broker: what they were given, read, have not read yet, "
        "and\n"
        "missed: each value that was lost to them, wherever (in the memory they did not read in time, or before it).\n"
        "Their state: reads; slow: misses values; silent: does not read what is there; stopped, by a signal or a\n"
        "debugger; gone. What their rate leaves out is no loss: PACED.\n"
        "Executors are the threads: the time they spent in elements, at sockets (reading and parsing is there), "
        "or\n"
        "asleep.\n"
        "--waits: for each input how long batches waited before the element looked at them; each lock that somebody\n"
        "found taken, how often and how long (one that is not listed was never fought over); how long jobs waited for\n"
        "a file thread and took; how long streams' disks were written and synced.\n"
        "With --json: the whole status document, a line each, with the bottleneck and the state of each application.",
    .example = "  yarder top\n  yarder top --waits\n  yarder top --over 5s\n  yarder top --rejects\n  yarder top "
               "--once --json | jq '.elements[] | {name, inputs}'",
    .options = options,
    .run = run,
};
