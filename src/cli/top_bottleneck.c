/* cli/top_bottleneck.c: who holds the others up.
 *
 *   a stream's disk is busy, and what writes to it waits for output ──▶ the disk
 *   an element is busy and waits for nobody                         ──▶ the element
 *   a thread is at its sockets all the time                         ──▶ reading and parsing
 *   somebody waits for output, nobody is busy                       ──▶ the busiest behind them
 *
 * Never an element that itself waits for output: that one is a victim. A disk that is busy though nobody is blocked by
 * it is named too, but as what acknowledgements wait for: group commit takes in whatever comes meanwhile. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cli/top.h"

#define BUSY   0.8 /* of the time */
#define VICTIM 0.5 /* waiting for output */
#define WAITS  0.05

/* The share of time that the stream's disk was written and synced. */
struct disk {
    const char *of, *element;
    double share;
    struct top_spread sync;
};

static void busiest_disk(json_t *status, json_t *before, struct disk *ret)
{
    size_t index, other;
    json_t *wait, *write;
    *ret = (struct disk){.of = NULL};
    json_array_foreach (json_object_get(status, "waits"), index, wait) {
        if (strcmp(top_word(wait, "what"), "sync") != 0) continue;
        double ns = top_wait_ns(wait, top_find_wait(before, wait));
        json_array_foreach (json_object_get(status, "waits"), other, write)
            if (strcmp(top_word(write, "what"), "write") == 0 &&
                strcmp(top_word(write, "of"), top_word(wait, "of")) == 0)
                ns += top_wait_ns(write, top_find_wait(before, write));
        double share = YD_MIN(ns / 1e9 / top_seconds(status, before), 1);
        if (share <= ret->share) continue;
        *ret = (struct disk){.of = top_word(wait, "of"), .element = top_word(wait, "element"), .share = share};
        top_spread_of(json_object_get(wait, "spent"), json_object_get(top_find_wait(before, wait), "spent"),
                      &ret->sync);
    }
}

static double output_share(json_t *status, json_t *before, const char *name)
{
    json_t *element = top_find(status, name);
    return element ? top_shares_of(element, before ? top_find(before, name) : NULL).output : 0;
}

/* The most that any element wired to this one waits for output. */
static double waits_before(json_t *status, json_t *before, const char *element)
{
    size_t index, size = strlen(element);
    json_t *wire;
    double most = 0;
    json_array_foreach (json_object_get(status, "wires"), index, wire) {
        const char *to = top_word(wire, "to"), *from = top_word(wire, "from"), *dot = strrchr(from, '.');
        char name[128];
        if (size == 0 || strncmp(to, element, size) != 0 || to[size] != '.' || !dot) continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - from), from);
        most = YD_MAX(most, output_share(status, before, name));
    }
    return most;
}

static void name_it(struct top_bottleneck *ret, const char *what, const char *name)
{
    ret->what = what;
    snprintf(ret->name, sizeof ret->name, "%s", name);
}

static bool is_disk(json_t *status, json_t *before, const struct disk *disk, struct top_bottleneck *ret)
{
    char sync[16];
    if (!disk->of || disk->share < BUSY || waits_before(status, before, disk->element) < VICTIM) return false;
    top_put_quantile(sync, sizeof sync, &disk->sync, 0.5);
    name_it(ret, "disk", disk->of);
    snprintf(ret->text, sizeof ret->text,
             "Bottleneck: the disk of %s (element %s), written and synced %.0f %% of the time; half of the syncs take "
             "%s or more.",
             disk->of, disk->element, disk->share * 100, sync);
    return true;
}

/* Sources read and parse where sockets are looked at: no element is busy with that. */
static bool is_sockets(json_t *status, json_t *before, struct top_bottleneck *ret)
{
    size_t count = json_array_size(json_object_get(status, "executors"));
    for (size_t i = 0; i < count; i++) {
        struct top_executor executor = top_executor_of(status, before, i);
        char name[32];
        if (executor.asleep > 0.1 || executor.sockets < executor.turns) continue;
        snprintf(name, sizeof name, "executor %zu", i);
        name_it(ret, "sockets", name);
        snprintf(ret->text, sizeof ret->text,
                 "Bottleneck: reading and parsing what comes in, %.0f %% of executor %zu's time.",
                 executor.sockets * 100, i);
        return true;
    }
    return false;
}

void top_bottleneck_of(json_t *status, json_t *before, struct top_bottleneck *ret)
{
    const char *worst = NULL;
    double most = 0;
    bool waits = false;
    size_t index;
    json_t *element;
    struct disk disk;
    *ret = (struct top_bottleneck){.what = "none"};
    json_array_foreach (json_object_get(status, "elements"), index, element) {
        const char *name = top_word(element, "name");
        struct top_shares shares = top_shares_of(element, before ? top_find(before, name) : NULL);
        waits |= shares.output > WAITS;
        if (shares.output < VICTIM && shares.busy > most) most = shares.busy, worst = name;
    }
    busiest_disk(status, before, &disk);
    if (is_disk(status, before, &disk, ret)) return;
    if (worst && most > BUSY) {
        name_it(ret, "element", worst);
        snprintf(ret->text, sizeof ret->text, "Bottleneck: %s, busy %.0f %% of its time.", worst, most * 100);
        return;
    }
    if (is_sockets(status, before, ret)) return;
    if (worst && waits) {
        name_it(ret, "held up", worst);
        snprintf(ret->text, sizeof ret->text,
                 "Held up: elements wait for output; the busiest behind them is %s (%.0f %%).", worst, most * 100);
        return;
    }
    snprintf(ret->text, sizeof ret->text, "No bottleneck: everything waits for input.");
    if (disk.of && disk.share > BUSY) {
        size_t size = strlen(ret->text);
        snprintf(ret->text + size, sizeof ret->text - size,
                 "\nThe disk of %s is written and synced %.0f %% of the time: acknowledgements wait for that.", disk.of,
                 disk.share * 100);
    }
}
