/* yarder top: what each element does with its time, and which one holds the others up.
 *
 * busy: inside its code; waiting for output: what it sends to is full; waiting for input: the rest. The bottleneck is
 * the busiest element that somebody waits for, never one that itself waits for output: that one is a victim. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#include "cli/cli.h"
#include "cli/commands.h"

static double number(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* The sum of a counter over an element's inputs or outputs. */
static double sum(json_t *element, const char *list, const char *key)
{
    double total = 0;
    size_t index;
    json_t *item;
    json_array_foreach (json_object_get(element, list), index, item) total += number(item, key);
    return total;
}

static json_t *find_element(json_t *status, const char *name)
{
    size_t index;
    json_t *element;
    json_array_foreach (json_object_get(status, "elements"), index, element) {
        const char *other = json_string_value(json_object_get(element, "name"));
        if (other && strcmp(other, name) == 0) return element;
    }
    return NULL;
}

struct shares {
    double busy, output, seconds;
};

/* Over the time since `before`, or since the start. */
static struct shares shares_of(json_t *element, json_t *before)
{
    static const char *const keys[] = {"busy_ns", "waiting_output_ns", "waiting_input_ns"};
    double ns[3], total = 0;
    for (size_t i = 0; i < 3; i++) {
        ns[i] = number(element, keys[i]) - (before ? number(before, keys[i]) : 0);
        total += ns[i];
    }
    if (total <= 0) return (struct shares){0, 0, 0};
    return (struct shares){ns[0] / total, ns[1] / total, total / 1e9};
}

static void put_count(char *to, size_t size, double value)
{
    if (value < 1e5)
        snprintf(to, size, "%.0f", value);
    else if (value < 1e8)
        snprintf(to, size, "%.1fk", value / 1e3);
    else
        snprintf(to, size, "%.1fM", value / 1e6);
}

static void print_element(json_t *element, json_t *before)
{
    struct shares shares = shares_of(element, before);
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
    for (size_t i = 0; i < YD_COUNT(values); i++) put_count(text[i], sizeof text[i], values[i]);
    printf("%-18s %-10s %-8s %5.1f %6.1f %6.1f %10s %10s %8s %8s %8s\n",
           json_string_value(json_object_get(element, "name")), json_string_value(json_object_get(element, "class")),
           json_is_true(json_object_get(element, "blocked")) ? "blocked"
           : life                                            ? life
                                                             : "?",
           shares.busy * 100, (1 - shares.busy - shares.output) * 100 * (shares.seconds > 0), shares.output * 100,
           text[0], text[1], text[2], text[3], text[4]);
}

/* ---- latency ---- */

#define BUCKETS_MAX 300

struct spread {
    json_int_t bounds[BUCKETS_MAX], counts[BUCKETS_MAX];
    size_t used;
    json_int_t total;
};

/* What was counted since `before`, or since the start. */
static void spread_of(json_t *histogram, json_t *before, struct spread *ret)
{
    json_t *now = json_object_get(histogram, "buckets"), *then = json_object_get(before, "buckets"), *bucket;
    size_t index, old = 0;
    ret->used = 0;
    ret->total = 0;
    json_array_foreach (now, index, bucket) {
        json_int_t bound = json_integer_value(json_array_get(bucket, 0));
        json_int_t count = json_integer_value(json_array_get(bucket, 1));
        json_t *was;
        while ((was = json_array_get(then, old)) && json_integer_value(json_array_get(was, 0)) < bound) old++;
        if (was && json_integer_value(json_array_get(was, 0)) == bound)
            count -= json_integer_value(json_array_get(was, 1));
        if (count <= 0 || ret->used == BUCKETS_MAX) continue;
        ret->bounds[ret->used] = bound;
        ret->counts[ret->used++] = count;
        ret->total += count;
    }
}

static void put_quantile(char *to, size_t size, const struct spread *spread, double share, json_int_t max)
{
    json_int_t below = 0, ns = 0;
    for (size_t i = 0; i < spread->used; i++) {
        below += spread->counts[i];
        ns = YD_MIN(spread->bounds[i], max);
        if ((double)below >= share * (double)spread->total) break;
    }
    double value = (double)ns;
    if (value < 1e6)
        snprintf(to, size, "%.0fus", value / 1e3);
    else if (value < 1e9)
        snprintf(to, size, "%.1fms", value / 1e6);
    else
        snprintf(to, size, "%.1fs", value / 1e9);
}

static void print_latency(json_t *element, json_t *before, bool *said)
{
    size_t index;
    json_t *input;
    json_array_foreach (json_object_get(element, "inputs"), index, input) {
        json_t *was = json_array_get(json_object_get(before, "inputs"), index);
        struct spread since, waited;
        char name[64], text[5][16];
        spread_of(json_object_get(input, "latency"), json_object_get(was, "latency"), &since);
        spread_of(json_object_get(input, "waited"), json_object_get(was, "waited"), &waited);
        if (since.total == 0) continue;
        json_int_t since_max = json_integer_value(json_object_get(json_object_get(input, "latency"), "max_ns"));
        json_int_t waited_max = json_integer_value(json_object_get(json_object_get(input, "waited"), "max_ns"));
        put_quantile(text[0], sizeof text[0], &waited, 0.5, waited_max);
        put_quantile(text[1], sizeof text[1], &waited, 0.99, waited_max);
        put_quantile(text[2], sizeof text[2], &since, 0.5, since_max);
        put_quantile(text[3], sizeof text[3], &since, 0.99, since_max);
        put_quantile(text[4], sizeof text[4], &since, 1, since_max);
        if (!*said)
            printf("%-30s %19s %39s\n%-30s %9s %9s %9s %9s %9s  %s\n", "", "WAITED BEFORE IT", "SINCE IT CAME IN",
                   "INPUT", "P50", "P99", "P50", "P99", "MOST", "UNTIL");
        *said = true;
        const char *class = json_string_value(json_object_get(element, "class"));
        snprintf(name, sizeof name, "%s.%s", json_string_value(json_object_get(element, "name")),
                 json_string_value(json_object_get(input, "name")));
        printf("%-30s %9s %9s %9s %9s %9s  %s\n", name, text[0], text[1], text[2], text[3], text[4],
               class && strcmp(class, "Log") == 0       ? "durable"
               : class && strcmp(class, "History") == 0 ? "queries see it"
                                                        : "done with");
    }
}

/* ---- executors ---- */

struct executor {
    double turns, sockets, asleep; /* shares */
};

static struct executor executor_of(json_t *status, json_t *before, size_t i)
{
    static const char *const keys[] = {"turns_ns", "sockets_ns", "asleep_ns"};
    json_t *now = json_array_get(json_object_get(status, "executors"), i),
           *then = json_array_get(json_object_get(before, "executors"), i);
    double ns[3], total = 0;
    for (size_t k = 0; k < 3; k++) {
        ns[k] = YD_MAX(number(now, keys[k]) - number(then, keys[k]), 0);
        total += ns[k];
    }
    if (total <= 0) return (struct executor){0, 0, 1};
    return (struct executor){ns[0] / total, ns[1] / total, ns[2] / total};
}

static void print_executors(json_t *status, json_t *before)
{
    size_t count = json_array_size(json_object_get(status, "executors"));
    if (count) printf("%-18s %10s %10s %10s\n", "EXECUTOR", "ELEMENTS%", "SOCKETS%", "ASLEEP%");
    for (size_t i = 0; i < count; i++) {
        struct executor executor = executor_of(status, before, i);
        printf("%-18zu %10.1f %10.1f %10.1f\n", i, executor.turns * 100, executor.sockets * 100, executor.asleep * 100);
    }
    if (count) printf("\n");
}

/* Sources read and parse where sockets are looked at: no element is busy with that. */
static bool print_socket_bottleneck(json_t *status, json_t *before)
{
    size_t count = json_array_size(json_object_get(status, "executors"));
    for (size_t i = 0; i < count; i++) {
        struct executor executor = executor_of(status, before, i);
        if (executor.asleep > 0.1 || executor.sockets < executor.turns) continue;
        printf("Bottleneck: reading and parsing what comes in, %.0f %% of executor %zu's time.\n",
               executor.sockets * 100, i);
        return true;
    }
    return false;
}

static void print_bottleneck(json_t *status, json_t *before)
{
    const char *worst = NULL;
    double most = 0;
    bool waits = false;
    size_t index;
    json_t *element;
    json_array_foreach (json_object_get(status, "elements"), index, element) {
        const char *name = json_string_value(json_object_get(element, "name"));
        struct shares shares = shares_of(element, before ? find_element(before, name) : NULL);
        waits |= shares.output > 0.05;
        if (shares.output < 0.5 && shares.busy > most) most = shares.busy, worst = name;
    }
    if (most <= 0.8 && print_socket_bottleneck(status, before)) return;
    if (worst && most > 0.8)
        printf("Bottleneck: %s, busy %.0f %% of its time.\n", worst, most * 100);
    else if (worst && waits)
        printf("Held up: elements wait for output; the busiest behind them is %s (%.0f %%).\n", worst, most * 100);
    else
        printf("No bottleneck: everything waits for input.\n");
}

static void print_crashes(json_t *element)
{
    const char *name = json_string_value(json_object_get(element, "name"));
    double crashes = number(element, "crashes"), parked = number(element, "parked");
    if (crashes > 0) printf("%s has crashed %.0f times.\n", name, crashes);
    if (parked > 0)
        printf("%.0f records in batches that crashed it are kept: yarder log cat parked/%s\n", parked, name);
}

/* What a wire's policy dropped is counted here and at no element. */
static void print_wire(json_t *wire)
{
    const char *from = json_string_value(json_object_get(wire, "from"));
    const char *to = json_string_value(json_object_get(wire, "to"));
    double lag = number(wire, "end") - number(wire, "acknowledged"), waits = number(wire, "queued_records");
    if (json_object_get(wire, "cursor") && lag > 0)
        printf("%s -> %s: %.0f records are not acknowledged yet.\n", from, to, lag);
    if (number(wire, "dropped") > 0) printf("%s -> %s has dropped %.0f records.\n", from, to, number(wire, "dropped"));
    if (waits > 0) printf("%s -> %s is full, %.0f records wait before it.\n", from, to, waits);
    if (number(wire, "gap_records") > 0)
        printf("%s -> %s found %.0f records missing in its stream.\n", from, to, number(wire, "gap_records"));
}

static void print_table(json_t *status, json_t *before)
{
    size_t index;
    json_t *element, *wire;
    printf("yarder %s, process %.0f, %s, %s, data %s\n\n", json_string_value(json_object_get(status, "version")),
           number(status, "pid"), json_string_value(json_object_get(status, "topology")),
           json_string_value(json_object_get(status, "state")), json_string_value(json_object_get(status, "data")));
    printf("%-18s %-10s %-8s %5s %6s %6s %10s %10s %8s %8s %8s\n", "ELEMENT", "CLASS", "LIFE", "BUSY%", "INPUT%",
           "OUTPT%", before ? "IN/s" : "IN", before ? "OUT/s" : "OUT", "QUEUED", "REJECTED", "DROPPED");
    json_array_foreach (json_object_get(status, "elements"), index, element)
        print_element(element,
                      before ? find_element(before, json_string_value(json_object_get(element, "name"))) : NULL);
    printf("\n");
    print_executors(status, before);
    bool said = false;
    json_array_foreach (json_object_get(status, "elements"), index, element)
        print_latency(element,
                      before ? find_element(before, json_string_value(json_object_get(element, "name"))) : NULL, &said);
    if (said) printf("\n");
    json_array_foreach (json_object_get(status, "elements"), index, element) print_crashes(element);
    json_array_foreach (json_object_get(status, "wires"), index, wire) print_wire(wire);
    print_bottleneck(status, before);
}

/* ---- rejects ---- */

#define SAMPLES_SHOWN 10 /* of each element, the newest; all hundred: --json */
#define PEERS_SHOWN   10 /* of each reason, those with most */

static const char *word(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What a stranger sent, on a terminal: nothing of it is obeyed. */
static void put_shown(struct yd_buf *to, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool control = *c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0);
        if (control)
            yd_buf_printf(to, "\\x%02x", *c);
        else
            yd_buf_char(to, (char)*c);
    }
}

static void print_samples(json_t *samples)
{
    size_t count = json_array_size(samples), from = count > SAMPLES_SHOWN ? count - SAMPLES_SHOWN : 0;
    for (size_t i = from; i < count; i++) {
        json_t *sample = json_array_get(samples, i);
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        put_shown(&text, word(sample, "text"));
        printf("  %s  %s  %s: %.*s\n", word(sample, "time"), word(sample, "peer"), word(sample, "reason"),
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
        double rejected = number(reason, "rejected"), dropped = number(reason, "dropped"), by_peers = 0;
        if (rejected + dropped == 0) continue;
        if (!some) printf("%s (%s)\n", word(element, "name"), word(element, "class"));
        some = true;
        printf("  %12.0f rejected %12.0f dropped  %s\n", rejected, dropped, word(reason, "reason"));
        int shown = 0;
        json_array_foreach (json_object_get(element, "peers"), inner, peer) {
            if (strcmp(word(peer, "reason"), word(reason, "reason")) != 0 || shown++ >= PEERS_SHOWN) continue;
            printf("  %12.0f   from %s\n", number(peer, "rejected"), word(peer, "peer"));
            by_peers += number(peer, "rejected");
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
    *ret_status = json_loadb(text->data, text->size, 0, NULL);
    return *ret_status ? CLI_DONE
                       : cli_fail(args, "the daemon on %s answers in another form; is it another version?", data);
}

static int run(struct cli_args *args)
{
    const char *data = cli_value(args, "data");
    bool rejects = cli_given(args, "rejects"), once = rejects || cli_given(args, "once") || !isatty(STDOUT_FILENO);
    json_t *status = NULL, *before = NULL;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    int code = fetch(args, data ? data : "./data", &text, &status);
    while (code == CLI_DONE) {
        if (args->json) {
            printf("%.*s", (int)text.size, text.data);
            fflush(stdout);
        } else if (rejects) {
            print_all_rejects(status);
        } else {
            if (!once) printf("\x1b[H\x1b[2J");
            print_table(status, before);
            fflush(stdout);
        }
        if (once) break;
        sleep(1);
        json_decref(before);
        before = status;
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
    {"data", "DIR", "the daemon's data folder; default ./data"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_top = {
    .name = "top",
    .usage = "[--once | --rejects] [--data DIR]",
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
        "Executors are the threads: the time they spent in elements, at sockets (reading and parsing is there), "
        "or\n"
        "asleep.\n"
        "With --json: the whole status document, a line each.",
    .example = "  yarder top\n  yarder top --rejects\n  yarder top --once --json | jq '.elements[] | {name, inputs}'",
    .options = options,
    .run = run,
};
