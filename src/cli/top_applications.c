/* cli/top_applications.c: the programs that subscribed at a Broker, in `yarder top`: what each was given, read and
 * missed.
 *
 *   gone: was there in the picture before │ stopped: so says the kernel │ slow: missed values meanwhile
 *   silent: has unread values and read none meanwhile │ reads: all others      meanwhile: or ever, in a first picture
 *
 * What an application has read is its own word, and so may be anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cli/top.h"

#define SHOWN 20 /* all: --json */

/* Values that it will never get, but for those its rate left out. */
static double missed_by(json_t *application)
{
    return top_number(application, "lost") + top_number(application, "overrun") + top_number(application, "unplaced");
}

/* Both documents have them in the same order, but for those who came or went: *at is where it was found last. */
static json_t *find(json_t *status, json_t *application, size_t *at)
{
    json_t *all = json_object_get(status, "applications");
    size_t count = json_array_size(all);
    for (size_t i = 0; i < count; i++) {
        size_t index = (*at + i) % count;
        json_t *other = json_array_get(all, index);
        if (!json_equal(json_object_get(other, "id"), json_object_get(application, "id")) ||
            strcmp(top_word(other, "element"), top_word(application, "element")) != 0)
            continue;
        *at = index + 1;
        return other;
    }
    return NULL;
}

static const char *state_of(json_t *application, json_t *was)
{
    if (json_is_true(json_object_get(application, "stopped"))) return "stopped";
    if (missed_by(application) > missed_by(was)) return "slow";
    bool read = top_number(application, "got") > top_number(was, "got");
    return top_number(application, "unread") > 0 && !read ? "silent" : "reads";
}

void top_judge_applications(json_t *status, json_t *before)
{
    size_t index, at = 0;
    json_t *application, *all = json_object_get(status, "applications");
    json_array_foreach (all, index, application) {
        const char *state = state_of(application, find(before, application, &at));
        (void)json_object_set_new(application, "state", json_string(state)); /* without memory they are not in it */
        (void)json_object_set_new(application, "missed", json_integer((json_int_t)missed_by(application)));
    }
    at = 0;
    json_array_foreach (json_object_get(before, "applications"), index, application) {
        if (find(status, application, &at)) continue;
        json_t *gone = json_deep_copy(application);
        if (gone) (void)json_object_set_new(gone, "state", json_string("gone"));
        (void)json_array_append_new(all, gone); /* without memory it is not shown */
    }
}

void top_forget_gone(json_t *status)
{
    json_t *all = json_object_get(status, "applications");
    for (size_t i = json_array_size(all); i-- > 0;)
        if (strcmp(top_word(json_array_get(all, i), "state"), "gone") == 0) (void)json_array_remove(all, i);
}

/* ---- for people ---- */

struct row {
    json_t *application, *was;
    double missed; /* meanwhile */
};

static int by_missed(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    double by = other->missed - one->missed;
    if (by == 0) by = top_number(other->application, "passed") - top_number(one->application, "passed");
    if (by == 0) by = top_number(one->application, "id") - top_number(other->application, "id");
    return by > 0 ? 1 : by < 0 ? -1 : 0;
}

static void print_row(const struct row *row, double seconds)
{
    json_t *a = row->application;
    struct yd_buf name;
    char text[6][24];
    double values[] = {top_number(a, "passed"), top_number(a, "got"),  top_number(a, "unread"), missed_by(a),
                       top_number(a, "paced"),  top_number(a, "names")};
    if (seconds > 0) {
        values[0] = YD_MAX(values[0] - top_number(row->was, "passed"), 0) / seconds;
        values[1] = YD_MAX(values[1] - top_number(row->was, "got"), 0) / seconds;
    }
    for (size_t i = 0; i < YD_COUNT(values); i++) top_put_count(text[i], sizeof text[i], values[i]);
    snprintf(text[3], sizeof text[3], "%.0f", values[3]); /* exact */
    yd_buf_init(&name, NULL);
    top_put_shown(&name, json_object_get(a, "name"));
    printf("%-22.*s %-12s %8.0f %-8s %4.0f %4.0f %7s %10s %10s %8s %10s %8s\n", (int)name.size,
           name.size ? name.data : "", top_word(a, "element"), top_number(a, "process"), top_word(a, "state"),
           top_number(a, "priority"), top_number(a, "subscriptions"), text[5], text[0], text[1], text[2], text[3],
           text[4]);
    yd_buf_fini(&name);
}

static bool print_ended(json_t *status)
{
    size_t index;
    json_t *ended;
    bool said = false;
    json_array_foreach (json_object_get(status, "applications_ended"), index, ended) {
        if (top_number(ended, "count") == 0) continue;
        said = true;
        printf("%s: %.0f have left; they were given %.0f values, and missed %.0f.\n", top_word(ended, "element"),
               top_number(ended, "count"), top_number(ended, "passed"), missed_by(ended));
    }
    return said;
}

void top_print_applications(json_t *status, json_t *before)
{
    json_t *all = json_object_get(status, "applications");
    size_t count = json_array_size(all), at = 0;
    struct row *rows = calloc(count + 1, sizeof *rows);
    double seconds = before ? top_seconds(status, before) : 0;
    if (!rows) return;
    for (size_t i = 0; i < count; i++) {
        json_t *application = json_array_get(all, i), *was = find(before, application, &at);
        rows[i] = (struct row){application, was, missed_by(application) - missed_by(was)};
    }
    qsort(rows, count, sizeof *rows, by_missed);
    if (count)
        printf("%-22s %-12s %8s %-8s %4s %4s %7s %10s %10s %8s %10s %8s\n", "APPLICATION", "BROKER", "PROCESS", "STATE",
               "PRIO", "SUBS", "NAMES", before ? "GIVEN/s" : "GIVEN", before ? "READ/s" : "READ", "UNREAD", "MISSED",
               "PACED");
    for (size_t i = 0; i < count && i < SHOWN; i++) print_row(&rows[i], seconds);
    if (count > SHOWN) printf("… and %zu that miss no more than these; all: --json\n", count - SHOWN);
    bool ended = print_ended(status);
    if (count || ended) printf("\n");
    free(rows);
}
