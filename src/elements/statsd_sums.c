/* StatsD's sums: see statsd_sums.h. What can fail: memory, and the limits; then a value is refused, never changed. */
#include "elements/statsd_sums.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include <yarder/name.h>

#define PEERS_MAX 65536

struct peer {
    struct yd_table_item head;
    uint64_t series; /* that it brought first; it goes with the last of them */
};
struct series {
    struct yd_table_item head;
    struct peer *peer;                     /* NULL: not known */
    int64_t last_ns;                       /* something came */
    bool fresh;                            /* since the last flush */
    double value;                          /* counter: the sum; gauge: it */
    double weight, sum, squares, min, max; /* timer */
    double *values;                        /* timer: the first values_max */
    uint32_t count, capacity;
    uint64_t more; /* values beyond */
    struct yd_table members;
};

void yd_statsd_sums_init(struct yd_statsd_sums *sums, const struct yd_statsd_sums_options *options)
{
    *sums = (struct yd_statsd_sums){.options = *options};
    for (unsigned kind = 0; kind < YD_STATSD_KINDS; kind++)
        yd_table_init(&sums->tables[kind], options->alloc, sizeof(struct series), options->series_max);
    yd_table_init(&sums->peers, options->alloc, sizeof(struct peer), PEERS_MAX);
}

static void empty(struct yd_statsd_sums *sums, struct series *series)
{
    yd_alloc_put(sums->options.alloc, series->values, series->capacity * sizeof *series->values);
    series->values = NULL;
    series->capacity = series->count = 0;
    if (series->members.item_size) yd_table_fini(&series->members);
    series->members = (struct yd_table){0};
}

void yd_statsd_sums_fini(struct yd_statsd_sums *sums)
{
    for (unsigned kind = 0; kind < YD_STATSD_KINDS; kind++) {
        struct yd_table *table = &sums->tables[kind];
        for (uint32_t i = 0; i < table->count; i++) empty(sums, (struct series *)table->items[i]);
        if (table->item_size) yd_table_fini(table);
    }
    if (sums->peers.item_size) yd_table_fini(&sums->peers);
}

/* ---- adding ---- */

static int add_timer(struct yd_statsd_sums *sums, struct series *series, double value, double weight)
{
    if (series->count < sums->options.values_max && series->count == series->capacity) {
        uint32_t capacity = YD_MIN(YD_MAX(2 * series->capacity, 16u), sums->options.values_max);
        double *values = yd_alloc_resize(sums->options.alloc, series->values, series->capacity * sizeof *values,
                                         capacity * sizeof *values);
        if (!values) return YD_ENOMEM;
        series->values = values;
        series->capacity = capacity;
    }
    if (series->count < series->capacity) {
        series->values[series->count++] = value;
    } else {
        series->more++;
        sums->over++;
    }
    bool first = series->weight == 0;
    series->min = first ? value : fmin(series->min, value);
    series->max = first ? value : fmax(series->max, value);
    series->weight += weight;
    series->sum += value;
    series->squares += value * value;
    return 0;
}

static int add_member(struct yd_statsd_sums *sums, struct series *series, struct yd_str member)
{
    void *item;
    if (!series->members.item_size)
        yd_table_init(&series->members, sums->options.alloc, sizeof(struct yd_table_item), sums->options.members_max);
    int r = yd_table_add(&series->members, member, yd_hash_str(member), &item);
    if (r == YD_EFULL) {
        sums->over++;
        r = 0;
    }
    return r < 0 ? r : 0;
}

static bool kind_of(const struct yd_record *record, enum yd_statsd_kind *ret)
{
    switch ((enum yd_kind)record->kind) {
    case YD_TALLY:
        *ret = YD_STATSD_COUNTER;
        return record->type == YD_F64;
    case YD_DELTA:
        *ret = YD_STATSD_GAUGE;
        return record->type == YD_F64;
    case YD_SAMPLE:
        *ret = record->type == YD_LIST ? YD_STATSD_TIMER : YD_STATSD_GAUGE;
        return record->type == YD_LIST || record->type == YD_F64;
    case YD_FACT:
        *ret = YD_STATSD_SET;
        return record->type == YD_TEXT;
    default:
        return false;
    }
}

static struct peer *peer_of(struct yd_statsd_sums *sums, struct yd_str name)
{
    struct peer *peer;
    if (!name.size || yd_table_add(&sums->peers, name, yd_hash_str(name), &peer) < 0) return NULL;
    peer->series++;
    return peer;
}

int yd_statsd_sums_add(struct yd_statsd_sums *sums, const struct yd_batch *batch, uint32_t index, int64_t now_ns)
{
    const struct yd_view *view = &batch->view;
    const struct yd_record *record = &view->records[index];
    enum yd_statsd_kind kind;
    struct series *series;
    if (!kind_of(record, &kind)) return YD_EINVAL;
    int r =
        yd_table_add(&sums->tables[kind], yd_view_name(view, record->name), view->names[record->name].hash, &series);
    if (r < 0) return r;
    if (r > 0) series->peer = peer_of(sums, yd_batch_origin(batch, record->name));
    series->last_ns = now_ns;
    series->fresh = true;
    switch (kind) {
    case YD_STATSD_COUNTER:
        series->value += record->value.f64;
        return 0;
    case YD_STATSD_GAUGE:
        series->value = record->value.f64 + (record->kind == YD_DELTA ? series->value : 0);
        return 0;
    case YD_STATSD_SET:
        return add_member(sums, series, yd_view_bytes(view, record->value));
    default: {
        const struct yd_cells *cells = yd_view_cells(view, record->value);
        if (cells->count != 2) return YD_EINVAL;
        return add_timer(sums, series, cells->cell[0].value.f64, cells->cell[1].value.f64);
    }
    }
}

/* ---- flushing ---- */

struct saying {
    struct yd_statsd_sums *sums;
    void (*say)(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind, double value);
    void *arg;
    struct yd_str name, peer;
    const char *prefix;
};

/* prefix METRIC suffix TAGS. What is too long for a name, or no number, is not said, and counted. */
static void say(const struct saying *saying, enum yd_kind kind, double value, const char *suffix, const char *more)
{
    char text[YD_NAME_SIZE_MAX + 1];
    struct yd_str name = saying->name;
    size_t metric = 0;
    while (metric < name.size && name.data[metric] != ' ') metric += 1 + (name.data[metric] == '\\');
    metric = YD_MIN(metric, name.size);
    int size = snprintf(text, sizeof text, "%s%.*s%s%s%.*s", saying->prefix, (int)metric, name.data, suffix, more,
                        (int)(name.size - metric), name.data + metric);
    if (size < 0 || (size_t)size >= sizeof text || value - value != 0) {
        saying->sums->unsaid++;
        return;
    }
    saying->say(saying->arg, (struct yd_str){text, (size_t)size}, saying->peer, kind, value);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void say_percentiles(const struct saying *saying, const struct series *series, const double *sums)
{
    const struct yd_statsd_sums_options *options = &saying->sums->options;
    uint32_t count = series->count;
    for (uint32_t i = 0; i < options->percentile_count; i++) {
        double percent = options->percentiles[i].percent;
        const char *suffix = options->percentiles[i].suffix;
        uint32_t within = count;
        double sum = sums[count - 1], bound = percent > 0 ? series->values[count - 1] : series->values[0];
        if (count > 1) {
            within = (uint32_t)floor(fabs(percent) / 100 * count + 0.5);
            if (within == 0) continue;
            within = YD_MIN(within, count);
            bound = percent > 0 ? series->values[within - 1] : series->values[count - within];
            sum = percent > 0      ? sums[within - 1]
                  : within < count ? sums[count - 1] - sums[count - within - 1]
                                   : sums[count - 1];
        }
        say(saying, YD_SAMPLE, within, ".count_", suffix);
        say(saying, YD_SAMPLE, sum / within, ".mean_", suffix);
        say(saying, YD_SAMPLE, bound, percent > 0 ? ".upper_" : ".lower_", suffix);
        say(saying, YD_SAMPLE, sum, ".sum_", suffix);
    }
}

static void say_timer(const struct saying *saying, struct series *series, double seconds)
{
    uint32_t count = series->count;
    double n = (double)count + (double)series->more;
    say(saying, YD_SAMPLE, series->weight, ".count", "");
    say(saying, YD_SAMPLE, series->weight / seconds, ".count_ps", "");
    if (count == 0) return;
    qsort(series->values, count, sizeof *series->values, by_value);
    double mean = series->sum / n, squared = 0, *sums = yd_alloc_get(saying->sums->options.alloc, count * sizeof *sums);
    double total = 0;
    for (uint32_t i = 0; i < count; i++) {
        double off = series->values[i] - mean;
        squared += off * off;
        total += series->values[i];
        if (sums) sums[i] = total;
    }
    uint32_t middle = count / 2;
    double median = count % 2 ? series->values[middle] : (series->values[middle - 1] + series->values[middle]) / 2;
    say(saying, YD_SAMPLE, series->min, ".lower", "");
    say(saying, YD_SAMPLE, series->max, ".upper", "");
    say(saying, YD_SAMPLE, series->sum, ".sum", "");
    say(saying, YD_SAMPLE, series->squares, ".sum_squares", "");
    say(saying, YD_SAMPLE, mean, ".mean", "");
    say(saying, YD_SAMPLE, median, ".median", "");
    /* Of the values at hand, exactly; of more than those, by the sums of all. */
    double variance = series->more ? fmax(series->squares / n - mean * mean, 0) : squared / count;
    say(saying, YD_SAMPLE, sqrt(variance), ".std", "");
    if (sums) say_percentiles(saying, series, sums); /* no memory: those alone are missing in this flush */
    yd_alloc_put(saying->sums->options.alloc, sums, count * sizeof *sums);
}

static void say_series(const struct saying *saying, enum yd_statsd_kind kind, struct series *series, double seconds)
{
    switch (kind) {
    case YD_STATSD_COUNTER:
        say(saying, YD_TALLY, series->value, ".count", "");
        say(saying, YD_SAMPLE, series->value / seconds, ".rate", "");
        series->value = 0;
        break;
    case YD_STATSD_GAUGE:
        say(saying, YD_SAMPLE, series->value, "", "");
        break;
    case YD_STATSD_TIMER:
        say_timer(saying, series, seconds);
        series->weight = series->sum = series->squares = series->min = series->max = 0;
        series->more = 0;
        break;
    default:
        say(saying, YD_SAMPLE, series->members.count, ".count", "");
        break;
    }
    empty(saying->sums, series);
    series->fresh = false;
}

void yd_statsd_sums_flush(struct yd_statsd_sums *sums, double seconds, int64_t now_ns,
                          void (*say_)(void *arg, struct yd_str name, struct yd_str peer, enum yd_kind kind,
                                       double value),
                          void *arg)
{
    for (unsigned kind = 0; kind < YD_STATSD_KINDS; kind++) {
        struct yd_table *table = &sums->tables[kind];
        struct saying saying = {.sums = sums, .say = say_, .arg = arg, .prefix = sums->options.prefixes[kind]};
        for (uint32_t i = table->count; i-- > 0;) { /* from the end: removing moves the last one */
            struct series *series = (struct series *)table->items[i];
            saying.name = series->head.name;
            saying.peer = series->peer ? series->peer->head.name : YD_STR("");
            if (series->fresh || sums->options.send_idle)
                say_series(&saying, (enum yd_statsd_kind)kind, series, seconds);
            if (now_ns - series->last_ns >= sums->options.forget_ns) {
                if (series->peer && --series->peer->series == 0) yd_table_remove(&sums->peers, series->peer);
                empty(sums, series);
                yd_table_remove(table, series);
            }
        }
    }
}
