/* cli/top_waits.c: `yarder top --waits`: where work waits: in queues before elements, for locks, for file threads, for
 * disks. Times of queues are by records, the others by wait.
 *
 * A lock is listed once somebody had to wait for it: one that is not here was never fought over. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cli/top.h"

json_t *top_find_wait(json_t *before, json_t *wait)
{
    size_t index;
    json_t *other;
    json_array_foreach (json_object_get(before, "waits"), index, other)
        if (strcmp(top_word(other, "what"), top_word(wait, "what")) == 0 &&
            strcmp(top_word(other, "of"), top_word(wait, "of")) == 0 &&
            strcmp(top_word(other, "part"), top_word(wait, "part")) == 0)
            return other;
    return NULL;
}

/* What has ended and what has not yet: the part of one under way that lay before is taken off again. */
double top_wait_ns(json_t *wait, json_t *was)
{
    double now = top_number(json_object_get(wait, "spent"), "sum_ns") + top_number(wait, "since_ns");
    return YD_MAX(now - top_number(json_object_get(was, "spent"), "sum_ns") - top_number(was, "since_ns"), 0);
}

static void print_spread(const char *name, const struct top_spread *spread, double ns)
{
    char text[4][16], count[24], total[16] = "";
    static const double shares[] = {0.5, 0.99, 1};
    top_put_count(count, sizeof count, (double)spread->total);
    if (ns >= 0) top_put_ns(total, sizeof total, ns);
    for (size_t i = 0; i < YD_COUNT(shares); i++) top_put_quantile(text[i], sizeof text[i], spread, shares[i]);
    printf("  %-46s %10s %9s %9s %9s %9s\n", name, count, total, text[0], text[1], text[2]);
}

static void print_title(bool *said, const char *title, const char *counted)
{
    if (!*said) printf("%s%-48s %10s %9s %9s %9s %9s\n", "", title, counted, "TOGETHER", "P50", "P99", "MOST");
    *said = true;
}

static void print_queues(json_t *status, json_t *before)
{
    size_t at, i;
    json_t *element, *input;
    bool said = false;
    json_array_foreach (json_object_get(status, "elements"), at, element) {
        json_t *was = before ? top_find(before, top_word(element, "name")) : NULL;
        json_array_foreach (json_object_get(element, "inputs"), i, input) {
            struct top_spread spread;
            char name[128];
            top_spread_of(json_object_get(input, "waited"),
                          json_object_get(json_array_get(json_object_get(was, "inputs"), i), "waited"), &spread);
            if (spread.total == 0) continue;
            print_title(&said, "BEFORE AN ELEMENT LOOKED AT IT", "RECORDS");
            snprintf(name, sizeof name, "%s.%s", top_word(element, "name"), top_word(input, "name"));
            print_spread(name, &spread, -1);
        }
    }
    if (said) printf("\n");
}

static void print_kind(json_t *status, json_t *before, const char *title, const char *counted, const char *const *whats,
                       const char *const *names)
{
    size_t index;
    json_t *wait;
    bool said = false;
    json_array_foreach (json_object_get(status, "waits"), index, wait) {
        unsigned what = 0;
        while (whats[what] && strcmp(whats[what], top_word(wait, "what")) != 0) what++;
        if (!whats[what]) continue;
        json_t *was = top_find_wait(before, wait);
        struct top_spread spread;
        char name[128], text[16];
        top_spread_of(json_object_get(wait, "spent"), json_object_get(was, "spent"), &spread);
        if (spread.total == 0 && top_number(wait, "since_ns") < 1e8) continue;
        print_title(&said, title, counted);
        const char *part = *names[what] ? names[what] : top_word(wait, "part");
        snprintf(name, sizeof name, "%s: %s", top_word(wait, "of"), part);
        print_spread(name, &spread, top_wait_ns(wait, was));
        if (top_number(wait, "since_ns") < 1e8) continue;
        top_put_ns(text, sizeof text, top_number(wait, "since_ns"));
        printf("    the one going on has taken %s so far\n", text);
    }
    if (!said) printf("%s: nobody\n", title);
    printf("\n");
}

void top_print_waits(json_t *status, json_t *before)
{
    static const char *const locks[] = {"lock", NULL}, *const lock_names[] = {""};
    static const char *const files[] = {"queue", "work", NULL}, *const file_names[] = {"before a thread began it",
                                                                                       "at work"};
    static const char *const disks[] = {"write", "sync", NULL}, *const disk_names[] = {"writing", "fdatasync"};
    print_queues(status, before);
    print_kind(status, before, "WAITED FOR A LOCK THAT WAS TAKEN", "TIMES", locks, lock_names);
    print_kind(status, before, "FILE THREADS", "JOBS", files, file_names);
    print_kind(status, before, "WAITED FOR A DISK", "TIMES", disks, disk_names);
}
