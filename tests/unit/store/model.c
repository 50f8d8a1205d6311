/* Queries beside a plain model of OpenTSDB: arrays of points, every step written as its definition reads, no
 * cleverness. Random series, random queries, from a printed seed. */
#include "../sparse.h"
#include "answers.h"

#include "store/history.h"

#define HOSTS 12

struct point {
    int64_t time;
    double value;
};
struct series {
    char name[64], metric[8], dc[8], host[8]; /* dc "": none */
    struct point *points;
    size_t count;
};

static int64_t floor_to(int64_t time, int64_t interval)
{
    int64_t rest = ((time % interval) + interval) % interval;
    return time - rest;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The aggregator by name over the values, NaN where it says so. */
static double aggregate(const char *name, const double *all, size_t all_count)
{
    double values[4096], sum = 0, squares = 0, product = 1, mean = 0;
    size_t count = 0;
    for (size_t i = 0; i < all_count; i++) {
        product *= all[i];
        if (!isnan(all[i])) values[count++] = all[i];
    }
    if (!strcmp(name, "mult")) return all_count ? product : NAN;
    if (!strcmp(name, "first")) return all_count ? all[0] : NAN;
    if (!strcmp(name, "last") || !strcmp(name, "none")) return all_count ? all[all_count - 1] : NAN;
    if (!strcmp(name, "count")) return (double)count;
    if (!count) return NAN;
    double first = values[0], last = values[count - 1];
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
        squares += values[i] * values[i];
    }
    mean = sum / (double)count;
    if (strstr(name, "sum")) return sum; /* sum, zimsum, pfsum */
    if (!strcmp(name, "squareSum")) return squares;
    if (!strcmp(name, "avg")) return mean;
    if (!strcmp(name, "diff")) return last - first;
    if (!strcmp(name, "dev")) {
        double deviation = 0;
        for (size_t i = 0; i < count; i++) deviation += (values[i] - mean) * (values[i] - mean);
        return sqrt(deviation / (double)count);
    }
    qsort(values, count, sizeof values[0], by_value);
    if (strstr(name, "min")) return values[0];
    if (strstr(name, "max")) return values[count - 1];
    if (!strcmp(name, "median")) return values[count / 2];
    /* percentiles */
    double p = !strncmp(name, "ep", 2) ? strtod(name + 2, NULL) : strtod(name + 1, NULL), at;
    p /= p > 100 ? 1000 : 100;
    size_t length = strlen(name);
    if (name[0] == 'p')
        at = p * (double)(count + 1);
    else if (!strcmp(name + length - 2, "r3"))
        at = rint(p * (double)count);
    else
        at = 1 + p * (double)(count - 1);
    if (at < 1) return values[0];
    if (at >= (double)count) return values[count - 1];
    size_t below = (size_t)at;
    return values[below - 1] + (at - (double)below) * (values[below] - values[below - 1]);
}

static const char *squeeze(const char *name)
{
    return !strcmp(name, "count") || !strcmp(name, "dev") || !strcmp(name, "diff") || !strcmp(name, "squareSum") ? "avg"
                                                                                                                 : name;
}

struct wish {
    struct yd_series_query query;
    const char *aggregator, *down;
};

/* One series' line: read, collapse or downsample, rate. */
static size_t line_of(const struct series *series, const struct wish *wish, struct point *line)
{
    const struct yd_series_query *query = &wish->query;
    int64_t interval = query->downsample.interval_ns, hour = 3600 * SECOND;
    int64_t start = query->milliseconds ? query->start_ns : floor_to(query->start_ns, SECOND);
    const char *reducer = wish->down;
    if (interval && interval != INT64_MAX && !query->milliseconds && interval < SECOND) interval = SECOND;
    if (!interval && !query->milliseconds) {
        interval = SECOND;
        reducer = squeeze(wish->aggregator);
    }
    bool filling = query->downsample.interval_ns && interval != INT64_MAX && query->downsample.fill != YD_FILL_NONE;
    int64_t grid = query->downsample.interval_ns && interval != INT64_MAX ? interval : SECOND;
    int64_t from = floor_to(floor_to(floor_to(start, SECOND), grid), hour);
    int64_t to = floor_to(floor_to(query->end_ns, SECOND), grid) + grid;
    to = floor_to(to - 1, hour) + hour - 1;
    if (interval == INT64_MAX) {
        from = start;
        to = query->end_ns;
    }
    size_t count = 0, any = 0;
    for (size_t i = 0; i < series->count;) {
        double values[4096];
        size_t value_count = 0;
        int64_t time = series->points[i].time, bucket = time;
        if (time < from || time > to) {
            i++;
            continue;
        }
        any++;
        if (interval == INT64_MAX)
            bucket = start;
        else if (interval)
            bucket = floor_to(time, interval);
        for (; i < series->count && series->points[i].time <= to; i++) {
            int64_t other = series->points[i].time;
            if (interval != INT64_MAX && (interval ? floor_to(other, interval) : other) != bucket) break;
            values[value_count++] = series->points[i].value;
        }
        double value = interval ? aggregate(reducer, values, value_count) : values[0];
        line[count++] = (struct point){bucket, value};
    }
    if (filling && any) {
        struct point *filled = malloc(sizeof *filled * 20000);
        size_t filled_count = 0, i = 0;
        for (int64_t time = floor_to(start, interval) - interval; time <= floor_to(query->end_ns, interval) + interval;
             time += interval) {
            while (i < count && line[i].time < time) i++;
            bool there = i < count && line[i].time == time;
            filled[filled_count++] = (struct point){time, there                                    ? line[i].value
                                                          : query->downsample.fill == YD_FILL_ZERO ? 0.0
                                                                                                   : NAN};
        }
        for (; i < count; i++) /* what was read beyond the grid carries what stands between points */
            if (line[i].time > filled[filled_count - 1].time) filled[filled_count++] = line[i];
        memcpy(line, filled, filled_count * sizeof *line);
        count = filled_count;
        free(filled);
    }
    if (!query->rate) return count;
    const struct yd_rate_options *options = &query->rate_options;
    size_t rates = 0;
    for (size_t i = 1; i < count; i++) {
        double change = line[i].value - line[i - 1].value, seconds = (double)(line[i].time - line[i - 1].time) / 1e9;
        struct point rate = {line[i].time, change / seconds};
        if (options->counter && change < 0) {
            if (options->drop_resets) continue;
            double max = options->counter_max != 0 ? options->counter_max : 0x1p63;
            rate.value = (max - line[i - 1].value + line[i].value) / seconds;
            if (options->reset_value > 0 && rate.value > options->reset_value) rate.value = 0;
        }
        line[rates++] = rate; /* behind what is still to be read: rates < i */
    }
    return rates;
}

static bool value_at(const struct point *line, size_t count, int64_t time, const struct wish *wish, double *ret)
{
    const char *name = wish->aggregator;
    if (!count || time < line[0].time || time > line[count - 1].time) return false;
    size_t i = 0;
    while (i + 1 < count && line[i + 1].time <= time) i++;
    *ret = line[i].value;
    if (line[i].time == time || wish->query.rate || !strcmp(name, "pfsum")) return true;
    *ret = 0;
    if (!strcmp(name, "zimsum") || !strcmp(name, "count") || !strcmp(name, "first") || !strcmp(name, "last") ||
        !strcmp(name, "squareSum"))
        return true;
    if (!strcmp(name, "mimmin") || !strcmp(name, "mimmax")) return false;
    *ret = line[i].value + (double)(time - line[i].time) * (line[i + 1].value - line[i].value) /
                               (double)(line[i + 1].time - line[i].time);
    return true;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The answer for a group of series. */
static size_t model_answer(const struct series *const *members, size_t member_count, const struct wish *wish,
                           struct point *ret)
{
    const struct yd_series_query *query = &wish->query;
    int64_t start = query->milliseconds ? query->start_ns : floor_to(query->start_ns, SECOND);
    struct point *lines[HOSTS];
    size_t counts[HOSTS], time_count = 0, count = 0;
    int64_t *times = malloc(sizeof *times * 20000 * HOSTS);
    for (size_t m = 0; m < member_count; m++) {
        lines[m] = malloc(sizeof *lines[m] * 20000);
        counts[m] = line_of(members[m], wish, lines[m]);
        for (size_t i = 0; i < counts[m]; i++)
            if (lines[m][i].time >= start && lines[m][i].time <= query->end_ns) times[time_count++] = lines[m][i].time;
    }
    qsort(times, time_count, sizeof *times, by_time);
    for (size_t t = 0; t < time_count; t++) {
        if (t && times[t] == times[t - 1]) continue;
        double values[HOSTS];
        size_t value_count = 0;
        for (size_t m = 0; m < member_count; m++)
            value_count += value_at(lines[m], counts[m], times[t], wish, &values[value_count]);
        ret[count++] = (struct point){query->milliseconds ? times[t] : floor_to(times[t], SECOND),
                                      aggregate(wish->aggregator, values, value_count)};
    }
    for (size_t m = 0; m < member_count; m++) free(lines[m]);
    free(times);
    return count;
}

static bool close_enough(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= 1e-6 * /* deviations of huge products cancel */ fmax(fabs(a), fmax(fabs(b), 1));
}

static const char *any_aggregator(struct yd_rng *rng)
{
    size_t count = 0;
    while (yd_aggregators[count]) count++;
    const char *name;
    do name = yd_aggregators[yd_rng_below(rng, count)];
    while (!strcmp(name, "none"));
    return name;
}

static struct wish any_wish(struct yd_rng *rng, int64_t from, int64_t to)
{
    static const int64_t intervals[] = {0, 0, 0, 7 * SECOND, 60 * SECOND, 600 * SECOND, 250 * YD_NS_PER_MS, INT64_MAX};
    struct wish wish = {.aggregator = any_aggregator(rng), .down = any_aggregator(rng)};
    struct yd_series_query *query = &wish.query;
    uint64_t width = (uint64_t)(to - from);
    int64_t a = from + (int64_t)yd_rng_below(rng, width), b = from + (int64_t)yd_rng_below(rng, width);
    query->start_ns = YD_MIN(a, b);
    query->end_ns = YD_MAX(a, b);
    if (yd_rng_chance(rng, 4)) query->start_ns = from - 100 * SECOND;
    if (yd_rng_chance(rng, 4)) query->end_ns = to + 100 * SECOND;
    if (yd_rng_chance(rng, 2)) query->start_ns = floor_to(query->start_ns, 60 * SECOND);
    query->metric = YD_STR("m");
    query->aggregator = aggregator(wish.aggregator);
    query->rate = yd_rng_chance(rng, 3);
    query->rate_options.counter = yd_rng_chance(rng, 2);
    query->rate_options.drop_resets = yd_rng_chance(rng, 3);
    query->rate_options.counter_max = yd_rng_chance(rng, 2) ? 1000 : 0;
    query->rate_options.reset_value = yd_rng_chance(rng, 3) ? 50 : 0;
    query->milliseconds = yd_rng_chance(rng, 2);
    query->downsample.interval_ns = intervals[yd_rng_below(rng, YD_COUNT(intervals))];
    query->downsample.aggregator = aggregator(wish.down);
    query->downsample.fill = (enum yd_fill)yd_rng_below(rng, 4);
    /* a fine grid over hours is right but slow in the model */
    if (query->downsample.interval_ns && query->downsample.interval_ns < SECOND) query->downsample.fill = YD_FILL_NONE;
    return wish;
}

static void check_query(struct yd_history *history, const struct series *all, struct wish *wish, struct yd_rng *rng)
{
    int grouping = (int)yd_rng_below(rng, 4); /* all in one; by dc; one host; each */
    struct yd_filter filter = {YD_FILTER_WILDCARD, YD_STR("dc"), YD_STR("*"), true};
    wish->query.filters = &filter;
    wish->query.filter_count = grouping == 1 || grouping == 2;
    wish->query.none = grouping == 3;
    if (grouping == 2) {
        filter.type = YD_FILTER_LITERAL_OR;
        filter.key = YD_STR("host");
        filter.expression = yd_str_of(all[yd_rng_below(rng, HOSTS)].host);
    }
    struct answer answer = answer_of(history, &wish->query);
    assert_int_equal(answer.error, 0);
    struct point *want = malloc(sizeof *want * 20000 * HOSTS);
    bool done[HOSTS] = {false};
    size_t groups = 0;
    for (size_t i = 0; i < HOSTS; i++) {
        const struct series *members[HOSTS];
        size_t member_count = 0;
        if (done[i] || (grouping == 1 && !all[i].dc[0])) continue;
        if (grouping == 2 && !yd_str_eq(yd_str_of(all[i].host), filter.expression)) continue;
        for (size_t k = i; k < HOSTS; k++) {
            bool same = k == i || grouping == 0 || (grouping == 1 && !strcmp(all[k].dc, all[i].dc)) ||
                        (grouping == 2 && !strcmp(all[k].host, all[i].host));
            if (!same) continue;
            members[member_count++] = &all[k];
            done[k] = true;
        }
        struct wish each = *wish;
        if (grouping == 3) each.aggregator = "sum"; /* of one series: itself */
        size_t count = model_answer(members, member_count, &each, want);
        if (grouping == 3 && !wish->query.downsample.interval_ns && !wish->query.milliseconds) {
            each.aggregator = wish->aggregator; /* but points of one second collapse by the query's */
            struct point *line = malloc(sizeof *line * 20000);
            size_t line_count = line_of(members[0], &each, line);
            count = 0;
            for (size_t p = 0; p < line_count; p++)
                if (line[p].time >= floor_to(each.query.start_ns, SECOND) && line[p].time <= each.query.end_ns)
                    want[count++] = line[p];
            free(line);
        }
        if (!count) continue;
        char prefix[80];
        (void)snprintf(prefix, sizeof prefix, "m dc=%s", all[i].dc);
        const struct answer_group *got = NULL;
        for (size_t g = 0; g < answer.count && !got; g++) {
            const char *name = answer.groups[g].name;
            bool same = grouping == 3   ? !strcmp(name, all[i].name)
                        : grouping == 1 ? !strncmp(name, prefix, strlen(prefix))
                                        : true;
            if (same) got = &answer.groups[g];
        }
        assert_non_null(got);
        groups++;
        assert_int_equal(got->count, count);
        for (size_t p = 0; p < count; p++) {
            assert_true(got->points[p].time == want[p].time);
            double number = answer_number(&got->points[p]);
            if (!close_enough(number, want[p].value)) {
                printf("# %s of %s%s at %lld: got %.17g, want %.17g\n", wish->aggregator, wish->down,
                       wish->query.rate ? ", rate" : "", (long long)want[p].time, number, want[p].value);
                fail();
            }
        }
    }
    assert_int_equal(groups, answer.count);
    free(want);
    answer_free(&answer);
}

static void queries_answer_as_the_plain_model_does(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    const char *rounds_text = getenv("YD_TEST_ROUNDS");
    int rounds = rounds_text ? atoi(rounds_text) : YD_MAX(12 / UNIT_SPARSE, 3);
    for (int round = 0; round < rounds; round++) {
        struct yd_history *history = test_history(&(struct yd_history_options){0});
        struct yd_builder *builder = test_builder();
        struct series all[HOSTS] = {0};
        int64_t base = 1700000000 * SECOND + (int64_t)yd_rng_below(&rng, 7200) * SECOND, last = base;
        for (int i = 0; i < HOSTS; i++) {
            struct series *series = &all[i];
            (void)snprintf(series->host, sizeof series->host, "h%d", i);
            if (i % 5 != 4) (void)snprintf(series->dc, sizeof series->dc, "dc%d", i % 3);
            (void)snprintf(series->name, sizeof series->name, "m %s%s%shost=%s", series->dc[0] ? "dc=" : "", series->dc,
                           series->dc[0] ? "," : "", series->host);
            series->count = 1 + yd_rng_below(&rng, 700);
            series->points = calloc(series->count, sizeof *series->points);
            int steps = (int)yd_rng_below(&rng, 3);
            int64_t time = base + (int64_t)yd_rng_below(&rng, 600) * SECOND;
            for (size_t k = 0; k < series->count; k++) {
                double value = (double)yd_rng_below(&rng, 1000) / (i % 2 ? 1 : 8);
                series->points[k] = (struct point){time, value};
                time += steps == 0   ? 10 * SECOND
                        : steps == 1 ? (1 + (int64_t)yd_rng_below(&rng, 40)) * SECOND
                                     : 100 * YD_NS_PER_MS + (int64_t)yd_rng_below(&rng, 3000) * YD_NS_PER_MS;
            }
            last = YD_MAX(last, time);
        }
        /* In turn, now and then late: what was skipped comes after the next. */
        for (size_t k = 0; k < 700; k++)
            for (int i = 0; i < HOSTS; i++) {
                size_t at = i % 4 == 3 ? (k ^ 1) : k;
                if (i % 4 == 3 && (k | 1) >= all[i].count) at = k;
                if (at >= all[i].count) continue;
                const struct point *point = &all[i].points[at];
                if (i % 2 && yd_rng_chance(&rng, 2))
                    test_i64(builder, all[i].name, point->time, (int64_t)point->value);
                else
                    test_f64(builder, all[i].name, point->time, point->value);
            }
        test_fold(history, builder);
        for (int q = 0; q < 60; q++) {
            struct wish wish = any_wish(&rng, base, last);
            check_query(history, all, &wish, &rng);
        }
        for (int i = 0; i < HOSTS; i++) free(all[i].points);
        yd_builder_destroy(builder);
        yd_history_destroy(history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(queries_answer_as_the_plain_model_does)};
    return cmocka_run_group_tests_name("store/model", tests, NULL, NULL);
}
