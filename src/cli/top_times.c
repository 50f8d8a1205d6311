/* cli/top_times.c: times and counts out of status documents, between two of them or since the start. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cli/top.h"

double top_number(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

const char *top_word(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_t *top_find(json_t *status, const char *name)
{
    size_t index;
    json_t *element;
    json_array_foreach (json_object_get(status, "elements"), index, element) {
        const char *other = json_string_value(json_object_get(element, "name"));
        if (other && strcmp(other, name) == 0) return element;
    }
    return NULL;
}

double top_seconds(json_t *status, json_t *before)
{
    return YD_MAX(top_number(status, "uptime_ns") - top_number(before, "uptime_ns"), 1) / 1e9;
}

/* Over the time since `before`, or since the start. */
struct top_shares top_shares_of(json_t *element, json_t *before)
{
    static const char *const keys[] = {"busy_ns", "waiting_output_ns", "waiting_input_ns"};
    double ns[3], total = 0;
    for (size_t i = 0; i < 3; i++) {
        ns[i] = top_number(element, keys[i]) - (before ? top_number(before, keys[i]) : 0);
        total += ns[i];
    }
    if (total <= 0) return (struct top_shares){0, 0, 0};
    return (struct top_shares){ns[0] / total, ns[1] / total, total / 1e9};
}

struct top_executor top_executor_of(json_t *status, json_t *before, size_t i)
{
    static const char *const keys[] = {"turns_ns", "sockets_ns", "asleep_ns"};
    json_t *now = json_array_get(json_object_get(status, "executors"), i),
           *then = json_array_get(json_object_get(before, "executors"), i);
    double ns[3], total = 0;
    for (size_t k = 0; k < 3; k++) {
        ns[k] = YD_MAX(top_number(now, keys[k]) - top_number(then, keys[k]), 0);
        total += ns[k];
    }
    if (total <= 0) return (struct top_executor){0, 0, 1};
    return (struct top_executor){ns[0] / total, ns[1] / total, ns[2] / total};
}

void top_put_count(char *to, size_t size, double value)
{
    if (value < 1e5)
        snprintf(to, size, "%.0f", value);
    else if (value < 1e8)
        snprintf(to, size, "%.1fk", value / 1e3);
    else
        snprintf(to, size, "%.1fM", value / 1e6);
}

void top_put_ns(char *to, size_t size, double ns)
{
    if (ns < 1e6)
        snprintf(to, size, "%.0fus", ns / 1e3);
    else if (ns < 1e9)
        snprintf(to, size, "%.1fms", ns / 1e6);
    else
        snprintf(to, size, "%.1fs", ns / 1e9);
}

/* What was counted since `before`, or since the start. */
void top_spread_of(json_t *histogram, json_t *before, struct top_spread *ret)
{
    json_t *now = json_object_get(histogram, "buckets"), *then = json_object_get(before, "buckets"), *bucket;
    size_t index, old = 0;
    ret->used = 0;
    ret->total = 0;
    ret->max = json_integer_value(json_object_get(histogram, "max_ns"));
    json_array_foreach (now, index, bucket) {
        json_int_t bound = json_integer_value(json_array_get(bucket, 0));
        json_int_t count = json_integer_value(json_array_get(bucket, 1));
        json_t *was;
        while ((was = json_array_get(then, old)) && json_integer_value(json_array_get(was, 0)) < bound) old++;
        if (was && json_integer_value(json_array_get(was, 0)) == bound)
            count -= json_integer_value(json_array_get(was, 1));
        if (count <= 0 || ret->used == TOP_BUCKETS_MAX) continue;
        ret->bounds[ret->used] = bound;
        ret->counts[ret->used++] = count;
        ret->total += count;
    }
}

void top_put_quantile(char *to, size_t size, const struct top_spread *spread, double share)
{
    json_int_t below = 0, ns = 0;
    for (size_t i = 0; i < spread->used; i++) {
        below += spread->counts[i];
        ns = YD_MIN(spread->bounds[i], spread->max);
        if ((double)below >= share * (double)spread->total) break;
    }
    top_put_ns(to, size, (double)ns);
}
