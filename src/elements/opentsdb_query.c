/* OpenTSDB's questions: see opentsdb_query.h. Two spellings, JSON and `m=…`, of one thing: yd_series_query. */
#include "elements/opentsdb_query.h"

#include "elements/ask.h"
#include "serve/json_in.h"

#define SUBS_MAX     256
#define CALENDAR_MAX 50000

static int refuse(struct yd_trail *trail, const char *what, struct yd_str text)
{
    return yd_trail_add(trail, YD_EINVAL, "%s%.*s", what, (int)YD_MIN(text.size, (size_t)200), text.data);
}

static struct yd_str trimmed(struct yd_str text)
{
    while (text.size && text.data[0] == ' ') text.data++, text.size--;
    while (text.size && text.data[text.size - 1] == ' ') text.size--;
    return text;
}

/* Up to the separator; the rest behind it. False: there was none, all of it. */
static bool cut(struct yd_str *rest, char separator, struct yd_str *ret)
{
    const char *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    *ret = (struct yd_str){rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = ret->size + (at != NULL);
    rest->data += used, rest->size -= used;
    return at != NULL;
}

/* ---- times ---- */

int yd_tsdb_duration(struct yd_str text, int64_t *ret_ns)
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {{"ms", YD_NS_PER_MS},
                 {"s", YD_NS_PER_S},
                 {"m", 60 * YD_NS_PER_S},
                 {"h", 3600 * YD_NS_PER_S},
                 {"d", 86400 * YD_NS_PER_S},
                 {"w", 7 * 86400 * YD_NS_PER_S},
                 {"n", 30 * 86400 * YD_NS_PER_S},
                 {"y", 365 * 86400 * YD_NS_PER_S}};
    size_t digits = 0;
    uint64_t count;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    struct yd_str unit = {text.data + digits, text.size - digits};
    if (yd_text_u64((struct yd_str){text.data, digits}, &count) < 0 || count == 0) return YD_EINVAL;
    for (size_t i = 0; i < YD_COUNT(units); i++) {
        if (!yd_str_eq(unit, yd_str_of(units[i].unit))) continue;
        if (count > (uint64_t)(INT64_MAX / units[i].ns)) return YD_ERANGE;
        *ret_ns = (int64_t)count * units[i].ns;
        return 0;
    }
    return YD_EINVAL;
}

/* yyyy/MM/dd[-HH:mm[:ss]], UTC: as RFC 3339 wants it. */
static int slashed_time(struct yd_str text, int64_t *ret_ns)
{
    char iso[32];
    if (text.size < 10 || text.size > 19 || text.data[4] != '/' || text.data[7] != '/') return YD_EINVAL;
    memcpy(iso, text.data, text.size);
    iso[4] = iso[7] = '-';
    if (text.size > 10 && (iso[10] == '-' || iso[10] == ' ')) iso[10] = 'T';
    return yd_text_time((struct yd_str){iso, text.size}, ret_ns);
}

int yd_tsdb_time(struct yd_str text, int64_t now_ns, int64_t *ret_ns)
{
    int64_t value;
    text = trimmed(text);
    if (yd_str_eq(text, YD_STR("now"))) {
        *ret_ns = now_ns;
        return 0;
    }
    if (text.size > 4 && memcmp(text.data + text.size - 4, "-ago", 4) == 0) {
        int r = yd_tsdb_duration((struct yd_str){text.data, text.size - 4}, &value);
        if (r == 0 && __builtin_sub_overflow(now_ns, value, ret_ns)) *ret_ns = INT64_MIN;
        return r;
    }
    bool milliseconds = text.size > 2 && memcmp(text.data + text.size - 2, "ms", 2) == 0;
    if (milliseconds) text.size -= 2;
    if (text.size && memchr(text.data, '/', text.size)) return slashed_time(text, ret_ns);
    double seconds;
    if (!milliseconds && text.size && memchr(text.data, '.', text.size)) { /* 1234567890.123; JSON's 1.5e12 too */
        if (yd_text_f64(text, false, &seconds) < 0) return YD_EINVAL;
        if (seconds > 1e10) seconds /= 1000;
        if (!(seconds >= -9.2e9 && seconds <= 9.2e9)) return YD_ERANGE;
        *ret_ns = (int64_t)(seconds * 1000 + (seconds < 0 ? -0.5 : 0.5)) * YD_NS_PER_MS;
        return 0;
    }
    if (yd_text_i64(text, &value) < 0) return YD_EINVAL;
    milliseconds |= value > INT64_C(9999999999) || value < -INT64_C(9999999999);
    return __builtin_mul_overflow(value, milliseconds ? YD_NS_PER_MS : YD_NS_PER_S, ret_ns) ? YD_ERANGE : 0;
}

/* 1dc, 2wc: false: no such. Seconds and minutes are the same in every zone; days, too, where there is none. */
static bool calendar_of(struct yd_str interval, struct yd_calendar *ret)
{
    uint64_t count;
    if (interval.size < 2) return false;
    char unit = interval.data[interval.size - 1];
    if (!memchr("hdwny", unit, 5)) return memchr("sm", unit, 2) != NULL;
    if (yd_text_u64((struct yd_str){interval.data, interval.size - 1}, &count) < 0 || !count || count > 1000)
        return false;
    *ret = (struct yd_calendar){unit, (uint32_t)count};
    return true;
}

int yd_tsdb_downsample(struct yd_str text, bool use_calendar, struct yd_downsample *ret,
                       struct yd_calendar *ret_calendar, struct yd_trail *trail)
{
    *ret_calendar = (struct yd_calendar){0};
    struct yd_str rest = text, interval, aggregator, fill = YD_STR("");
    struct yd_downsample made = {0};
    static const char *const fills[] = {"none", "nan", "null", "zero"};
    (void)cut(&rest, '-', &interval);
    if (cut(&rest, '-', &aggregator)) fill = rest;
    bool all = yd_str_eq(interval, YD_STR("0all"));
    if (interval.size > 1 && interval.data[interval.size - 1] == 'c') {
        interval.size--;
        use_calendar = true;
    }
    if (use_calendar && !all && !calendar_of(interval, ret_calendar))
        return refuse(trail, "Invalid calendar interval: ", text);
    if (all)
        made.interval_ns = INT64_MAX;
    else if (yd_tsdb_duration(interval, &made.interval_ns) < 0)
        return refuse(trail, "Invalid downsampling interval: ", text);
    if (yd_aggregator_find(aggregator, &made.aggregator) < 0)
        return refuse(trail, "No such downsampling function: ", aggregator);
    if (fill.size) {
        size_t i = 0;
        while (i < YD_COUNT(fills) && !yd_str_eq(fill, yd_str_of(fills[i]))) i++;
        if (i == YD_COUNT(fills)) return refuse(trail, "No such fill policy: ", fill);
        made.fill = (enum yd_fill)i;
    }
    *ret = made;
    return 0;
}

/* ---- filters ---- */

int yd_tsdb_tag_filter(struct yd_str key, struct yd_str value, struct yd_filter *ret, struct yd_trail *trail)
{
    *ret = (struct yd_filter){.type = YD_FILTER_LITERAL_OR, .key = key, .expression = value, .group_by = true};
    const char *bracket = value.size ? memchr(value.data, '(', value.size) : NULL;
    if (bracket && value.data[value.size - 1] == ')') {
        struct yd_str type = {value.data, (size_t)(bracket - value.data)};
        if (yd_filter_type_find(type, &ret->type) < 0) return refuse(trail, "Unable to find a filter named: ", type);
        ret->expression = (struct yd_str){bracket + 1, (size_t)(value.data + value.size - bracket - 2)};
    } else if (value.size && memchr(value.data, '*', value.size)) {
        ret->type = YD_FILTER_IWILDCARD; /* globs in tags do not mind case */
    }
    return key.size ? 0 : refuse(trail, "A tag without a key: ", value);
}

struct filters {
    struct yd_filter *items;
    size_t count, capacity;
};

static struct yd_filter *new_filter(struct filters *filters, struct yd_arena *arena)
{
    if (filters->count == filters->capacity) {
        size_t capacity = filters->capacity ? filters->capacity * 2 : 8;
        struct yd_filter *items = yd_arena_zero(arena, capacity * sizeof *items);
        if (!items) return NULL;
        if (filters->count) memcpy(items, filters->items, filters->count * sizeof *items);
        filters->items = items;
        filters->capacity = capacity;
    }
    return &filters->items[filters->count++];
}

/* {key=value,key=value}, the braces gone. */
static int brace_filters(struct yd_str text, bool group_by, struct filters *filters, struct yd_arena *arena,
                         struct yd_trail *trail)
{
    while (text.size) {
        /* Commas inside brackets belong to the expression. */
        size_t size = 0, depth = 0;
        for (; size < text.size && (depth || text.data[size] != ','); size++)
            depth += text.data[size] == '(' ? 1 : text.data[size] == ')' && depth ? (size_t)-1 : 0;
        struct yd_str rest = {text.data, size}, key;
        size += size < text.size;
        text.data += size, text.size -= size;
        if (rest.size == 0) continue;
        if (!cut(&rest, '=', &key)) return refuse(trail, "invalid tag: ", key);
        struct yd_filter *filter = new_filter(filters, arena);
        if (!filter) return YD_ENOMEM;
        int r = yd_tsdb_tag_filter(trimmed(key), trimmed(rest), filter, trail);
        if (r < 0) return r;
        filter->group_by = group_by;
    }
    return 0;
}

/* metric{…}{…}: what groups, then what only filters. */
static int metric_and_filters(struct yd_str text, bool first_groups, struct yd_arena *arena,
                              struct yd_series_query *query, struct yd_trail *trail)
{
    struct filters filters = {0};
    const char *brace = text.size ? memchr(text.data, '{', text.size) : NULL;
    query->metric = (struct yd_str){text.data, brace ? (size_t)(brace - text.data) : text.size};
    struct yd_str rest = {text.data + query->metric.size, text.size - query->metric.size};
    for (bool group_by = first_groups; rest.size; group_by = false) {
        const char *end = *rest.data == '{' ? memchr(rest.data, '}', rest.size) : NULL;
        if (!end) return refuse(trail, "Missing '}' in: ", text);
        int r = brace_filters((struct yd_str){rest.data + 1, (size_t)(end - rest.data - 1)}, group_by, &filters, arena,
                              trail);
        if (r < 0) return r;
        rest.size -= (size_t)(end + 1 - rest.data);
        rest.data = end + 1;
    }
    query->filters = filters.items;
    query->filter_count = filters.count;
    return 0;
}

int yd_tsdb_lookup(struct yd_str text, struct yd_arena *arena, struct yd_series_query *ret, struct yd_trail *trail)
{
    *ret = (struct yd_series_query){0};
    int r = metric_and_filters(trimmed(text), false, arena, ret, trail);
    if (r < 0) return r;
    if (yd_str_eq(ret->metric, YD_STR("*"))) ret->metric = YD_STR("");
    return 0;
}

/* ---- tsuids ---- */

int yd_tsdb_tsuid(struct yd_str text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.size != 16) return YD_EINVAL;
    for (size_t i = 0; i < 16; i++) {
        char c = text.data[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            value = value << 4 | (uint64_t)(low - 'a' + 10);
        else
            return YD_EINVAL;
    }
    *ret = value;
    return 0;
}

int yd_tsdb_tsuids(struct yd_str text, struct yd_arena *arena, struct yd_series_query *to, struct yd_trail *trail)
{
    uint64_t *tsuids = yd_arena_get(arena, (text.size / 16 + 1) * sizeof *tsuids);
    size_t count = 0;
    struct yd_str one;
    bool more = text.size != 0;
    if (!tsuids) return YD_ENOMEM;
    while (more) {
        more = cut(&text, ',', &one);
        one = trimmed(one);
        if (yd_tsdb_tsuid(one, &tsuids[count++]) < 0) return refuse(trail, "Invalid TSUID: ", one);
    }
    if (!count) return refuse(trail, "Missing TSUIDs", YD_STR(""));
    to->tsuids = tsuids;
    to->tsuid_count = count;
    return 0;
}

int yd_tsdb_tsuids_json(const struct yd_json_value *list, struct yd_arena *arena, struct yd_series_query *to,
                        struct yd_trail *trail)
{
    if (!list || list->type != YD_JSON_ARRAY || !list->count) return 0;
    uint64_t *tsuids = yd_arena_get(arena, list->count * sizeof *tsuids);
    size_t count = 0;
    if (!tsuids) return YD_ENOMEM;
    for (const struct yd_json_value *item = list->first; item; item = item->next)
        if (yd_tsdb_tsuid(yd_json_text(item), &tsuids[count++]) < 0)
            return refuse(trail, "Invalid TSUID: ", yd_json_text(item));
    to->tsuids = tsuids;
    to->tsuid_count = count;
    return 0;
}

/* ---- plans ---- */

struct planner {
    struct yd_arena *arena;
    struct yd_trail *trail;
    struct yd_tsdb_plan *plan;
    struct yd_series_query base; /* times and resolution */
    size_t capacity;
    uint32_t distinct;
};

static bool same_filters(const struct yd_series_query *a, const struct yd_series_query *b)
{
    if (a->filter_count != b->filter_count) return false;
    for (size_t i = 0; i < a->filter_count; i++) {
        const struct yd_filter *x = &a->filters[i], *y = &b->filters[i];
        if (x->type != y->type || x->group_by != y->group_by || !yd_str_eq(x->key, y->key) ||
            !yd_str_eq(x->expression, y->expression))
            return false;
    }
    return true;
}

static bool same_query(const struct yd_tsdb_sub *a, const struct yd_tsdb_sub *b)
{
    const struct yd_series_query *x = &a->query, *y = &b->query;
    return yd_str_eq(x->metric, y->metric) && x->aggregator == y->aggregator && x->none == y->none &&
           x->rate == y->rate && x->rate_options.counter == y->rate_options.counter &&
           x->rate_options.drop_resets == y->rate_options.drop_resets &&
           x->rate_options.counter_max == y->rate_options.counter_max &&
           x->rate_options.reset_value == y->rate_options.reset_value && x->explicit_tags == y->explicit_tags &&
           yd_str_eq(a->downsample, b->downsample) && same_filters(x, y) && x->tsuid_count == y->tsuid_count &&
           (!x->tsuid_count || memcmp(x->tsuids, y->tsuids, x->tsuid_count * sizeof *x->tsuids) == 0);
}

static int append_sub(struct planner *planner, const struct yd_tsdb_sub *sub)
{
    struct yd_tsdb_plan *plan = planner->plan;
    if (plan->sub_count == SUBS_MAX) return refuse(planner->trail, "Too many sub queries", YD_STR(""));
    if (plan->sub_count == planner->capacity) {
        size_t capacity = planner->capacity ? planner->capacity * 2 : 8;
        struct yd_tsdb_sub *subs = yd_arena_get(planner->arena, capacity * sizeof *subs);
        if (!subs) return YD_ENOMEM;
        if (plan->sub_count) memcpy(subs, plan->subs, plan->sub_count * sizeof *subs);
        plan->subs = subs;
        planner->capacity = capacity;
    }
    plan->subs[plan->sub_count++] = *sub;
    return 0;
}

/* Doubles are left out; several metrics joined by `|` are several questions with one index. */
static int add_sub(struct planner *planner, const struct yd_tsdb_sub *sub)
{
    struct yd_tsdb_sub one = *sub;
    struct yd_str rest = sub->query.metric;
    if (one.query.tsuid_count) one.query.metric = rest = YD_STR("");
    if (rest.size == 0 && !one.query.tsuid_count)
        return refuse(planner->trail, "Missing the metric or tsuids, provide at least one", YD_STR(""));
    one.query.index = planner->distinct;
    one.query.show_tsuids = planner->plan->show_tsuids;
    one.query.show_notes = !planner->plan->no_notes;
    one.joined = rest.size && memchr(rest.data, '|', rest.size) != NULL;
    bool more = true, added = false;
    while (more) {
        more = cut(&rest, '|', &one.query.metric);
        if (one.query.metric.size == 0 && !one.query.tsuid_count) continue;
        bool known = false;
        for (size_t i = 0; i < planner->plan->sub_count && !known; i++)
            known = same_query(&planner->plan->subs[i], &one);
        int r = known ? 0 : append_sub(planner, &one);
        if (r < 0) return r;
        added |= !known;
    }
    planner->distinct += added;
    return 0;
}

static bool is_date(struct yd_str text)
{
    return text.size && memchr(text.data, '/', text.size);
}

static int set_times(struct planner *planner, struct yd_str start, struct yd_str end, int64_t now_ns)
{
    if (start.size == 0) return refuse(planner->trail, "Missing start time", YD_STR(""));
    if (yd_tsdb_time(start, now_ns, &planner->base.start_ns) < 0)
        return refuse(planner->trail, "Unable to parse the start time: ", start);
    planner->base.end_ns = now_ns;
    planner->plan->local_start = is_date(start);
    planner->plan->local_end = is_date(end);
    if (end.size && yd_tsdb_time(end, now_ns, &planner->base.end_ns) < 0)
        return refuse(planner->trail, "Unable to parse the end time: ", end);
    if (planner->base.end_ns < planner->base.start_ns)
        return refuse(planner->trail, "End time must be greater than the start time", YD_STR(""));
    return 0;
}

static int calendar_sub(struct yd_tsdb_sub *sub, const struct yd_zone *zone, struct yd_arena *arena,
                        struct yd_trail *trail)
{
    struct yd_series_query *query = &sub->query;
    struct yd_calendar calendar = sub->calendar;
    if (!calendar.unit) return 0;
    if (!zone->type_count && (calendar.unit == 'h' || calendar.unit == 'd') && calendar.count == 1) return 0;
    int64_t *edges;
    int r = yd_calendar_edges(zone, calendar, query->start_ns, query->end_ns, CALENDAR_MAX, arena, &edges,
                              &query->downsample.edge_count);
    query->downsample.edges = edges;
    if (r == YD_ETOOBIG)
        return yd_trail_add(trail, r, "More than %d calendar intervals: shorten the time range, or take longer ones",
                            CALENDAR_MAX);
    if (r == YD_ERANGE) return refuse(trail, "Too far away for calendar intervals", YD_STR(""));
    return r;
}

int yd_tsdb_plan_calendar(struct yd_tsdb_plan *plan, struct yd_str zone_file, struct yd_arena *arena,
                          struct yd_trail *trail)
{
    struct yd_zone zone = {0};
    if (plan->timezone.size && yd_zone_open(zone_file, &zone) < 0)
        return refuse(trail, "Unknown time zone: ", plan->timezone);
    for (size_t i = 0; i < plan->sub_count; i++) {
        struct yd_series_query *query = &plan->subs[i].query;
        int64_t *times[] = {plan->local_start ? &query->start_ns : NULL, plan->local_end ? &query->end_ns : NULL};
        for (unsigned k = 0; k < 2 && zone.type_count; k++)
            if (times[k] &&
                __builtin_mul_overflow(yd_zone_to_utc(&zone, *times[k] / YD_NS_PER_S), YD_NS_PER_S, times[k]))
                return refuse(trail, "A date that is too far away", YD_STR(""));
        if (query->end_ns < query->start_ns)
            return refuse(trail, "End time must be greater than the start time", YD_STR(""));
        int r = calendar_sub(&plan->subs[i], &zone, arena, trail);
        if (r < 0) return r;
    }
    return 0;
}

static int set_aggregator(struct planner *planner, struct yd_str name, struct yd_series_query *query)
{
    if (name.size == 0) return refuse(planner->trail, "Missing the aggregation function", YD_STR(""));
    query->none = yd_str_eq(name, YD_STR("none"));
    if (query->none || yd_aggregator_find(name, &query->aggregator) == 0) return 0;
    return refuse(planner->trail, "No such aggregation function: ", name);
}

static int set_downsample(struct planner *planner, struct yd_str text, struct yd_tsdb_sub *sub)
{
    sub->downsample = text;
    if (text.size == 0) return 0;
    return yd_tsdb_downsample(text, planner->plan->use_calendar, &sub->query.downsample, &sub->calendar,
                              planner->trail);
}

static struct yd_str zone_name(struct yd_str text)
{
    return yd_str_eq(text, YD_STR("UTC")) ? YD_STR("") : text;
}

/* ---- JSON ---- */

static double number_of(const struct yd_json_value *value)
{
    double number = 0;
    struct yd_str text = yd_json_text(value);
    return text.size && yd_text_f64(text, false, &number) == 0 ? number : 0;
}

static void json_rate(const struct yd_json_value *query, struct yd_series_query *to)
{
    const struct yd_json_value *options = yd_json_get(query, "rateOptions");
    to->rate = yd_json_true(yd_json_get(query, "rate"));
    to->rate_options.counter = yd_json_true(yd_json_get(options, "counter"));
    to->rate_options.drop_resets = yd_json_true(yd_json_get(options, "dropResets"));
    to->rate_options.counter_max = number_of(yd_json_get(options, "counterMax"));
    to->rate_options.reset_value = number_of(yd_json_get(options, "resetValue"));
}

static int json_filters(struct planner *planner, const struct yd_json_value *query, struct yd_series_query *to)
{
    struct filters filters = {0};
    const struct yd_json_value *tags = yd_json_get(query, "tags"), *list = yd_json_get(query, "filters");
    if (tags && tags->type == YD_JSON_OBJECT) {
        for (const struct yd_json_value *tag = tags->first; tag; tag = tag->next) {
            struct yd_filter *filter = new_filter(&filters, planner->arena);
            if (!filter) return YD_ENOMEM;
            int r = yd_tsdb_tag_filter(tag->key, yd_json_text(tag), filter, planner->trail);
            if (r < 0) return r;
        }
    }
    for (const struct yd_json_value *item = list && list->type == YD_JSON_ARRAY ? list->first : NULL; item;
         item = item->next) {
        struct yd_filter *filter = new_filter(&filters, planner->arena);
        if (!filter) return YD_ENOMEM;
        struct yd_str type = yd_json_text(yd_json_get(item, "type"));
        *filter = (struct yd_filter){.key = yd_json_text(yd_json_get(item, "tagk")),
                                     .expression = yd_json_text(yd_json_get(item, "filter")),
                                     .group_by = yd_json_true(yd_json_get(item, "groupBy"))};
        if (filter->key.size == 0) return refuse(planner->trail, "Missing tagk in a filter", YD_STR(""));
        if (yd_filter_type_find(type, &filter->type) < 0)
            return refuse(planner->trail, "Unable to find a filter named: ", type);
    }
    to->filters = filters.items;
    to->filter_count = filters.count;
    return 0;
}

static int json_sub(struct planner *planner, const struct yd_json_value *query)
{
    struct yd_tsdb_sub sub = {.query = planner->base, .downsample = YD_STR("")};
    if (query->type != YD_JSON_OBJECT) return refuse(planner->trail, "A sub query must be an object", YD_STR(""));
    sub.query.metric = yd_json_text(yd_json_get(query, "metric"));
    sub.query.explicit_tags = yd_json_true(yd_json_get(query, "explicitTags"));
    json_rate(query, &sub.query);
    int r = set_aggregator(planner, yd_json_text(yd_json_get(query, "aggregator")), &sub.query);
    if (r == 0) r = set_downsample(planner, yd_json_text(yd_json_get(query, "downsample")), &sub);
    if (r == 0) r = json_filters(planner, query, &sub.query);
    if (r == 0) r = yd_tsdb_tsuids_json(yd_json_get(query, "tsuids"), planner->arena, &sub.query, planner->trail);
    return r < 0 ? r : add_sub(planner, &sub);
}

int yd_tsdb_plan_json(struct yd_str body, int64_t now_ns, struct yd_arena *arena, struct yd_tsdb_plan *ret,
                      struct yd_trail *trail)
{
    struct yd_json_value *root;
    struct planner planner = {.arena = arena, .trail = trail, .plan = ret};
    *ret = (struct yd_tsdb_plan){0};
    int r = yd_json_read(body, arena, &root, trail);
    if (r < 0) return r == YD_EFORMAT ? yd_trail_add(trail, YD_EINVAL, "Unable to parse the given JSON") : r;
    if (root->type != YD_JSON_OBJECT) return refuse(trail, "Unable to parse the given JSON: not an object", YD_STR(""));
    ret->milliseconds = yd_json_true(yd_json_get(root, "msResolution")) || yd_json_true(yd_json_get(root, "ms"));
    ret->arrays = yd_json_true(yd_json_get(root, "arrays"));
    ret->show_query = yd_json_true(yd_json_get(root, "showQuery"));
    ret->show_summary = yd_json_true(yd_json_get(root, "showSummary"));
    ret->show_tsuids = yd_json_true(yd_json_get(root, "showTSUIDs"));
    ret->show_stats = yd_json_true(yd_json_get(root, "showStats"));
    ret->timezone = zone_name(yd_json_text(yd_json_get(root, "timezone")));
    ret->use_calendar = yd_json_true(yd_json_get(root, "useCalendar"));
    ret->no_notes = yd_json_true(yd_json_get(root, "noAnnotations"));
    ret->global_notes = yd_json_true(yd_json_get(root, "globalAnnotations"));
    planner.base.milliseconds = ret->milliseconds;
    if (yd_json_true(yd_json_get(root, "delete")))
        return refuse(trail, "Deleting data is not enabled; tombstones of a Forget do that", YD_STR(""));
    r = set_times(&planner, yd_json_text(yd_json_get(root, "start")), yd_json_text(yd_json_get(root, "end")), now_ns);
    if (r < 0) return r;
    const struct yd_json_value *queries = yd_json_get(root, "queries");
    if (!queries || queries->type != YD_JSON_ARRAY || queries->count == 0)
        return refuse(trail, "Missing queries", YD_STR(""));
    for (const struct yd_json_value *query = queries->first; query && r == 0; query = query->next)
        r = json_sub(&planner, query);
    return r;
}

/* ---- URL ---- */

/* rate{counter,max,reset} */
static int url_rate(struct planner *planner, struct yd_str text, struct yd_series_query *to)
{
    to->rate = true;
    if (text.size <= 4) return 0;
    if (text.data[4] != '{' || text.data[text.size - 1] != '}')
        return refuse(planner->trail, "Invalid rate options: ", text);
    struct yd_str rest = {text.data + 5, text.size - 6}, word;
    bool more = cut(&rest, ',', &word);
    to->rate_options.counter = yd_str_eq(word, YD_STR("counter")) || yd_str_eq(word, YD_STR("dropcounter"));
    to->rate_options.drop_resets = yd_str_eq(word, YD_STR("dropcounter"));
    double *numbers[] = {&to->rate_options.counter_max, &to->rate_options.reset_value};
    for (size_t i = 0; i < 2 && more; i++) {
        more = cut(&rest, ',', &word);
        if (word.size && yd_text_f64(word, false, numbers[i]) < 0)
            return refuse(planner->trail, "Invalid rate options: ", text);
    }
    return 0;
}

/* agg:[interval-agg[-fill]:][rate[{…}]:][explicit_tags:]metric[{…}[{…}]] : colons inside braces do not count */
static bool cut_part(struct yd_str *rest, struct yd_str *ret)
{
    size_t at = 0, depth = 0;
    for (; at < rest->size; at++) {
        depth += rest->data[at] == '{' ? 1 : rest->data[at] == '}' && depth ? (size_t)-1 : 0;
        if (rest->data[at] == ':' && depth == 0) break;
    }
    if (at == rest->size) return false;
    *ret = (struct yd_str){rest->data, at};
    rest->data += at + 1, rest->size -= at + 1;
    return true;
}

/* by_tsuid: the last part is a list of tsuids, not a metric. */
static int url_sub(struct planner *planner, struct yd_str text, bool by_tsuid)
{
    struct yd_tsdb_sub sub = {.query = planner->base, .downsample = YD_STR("")};
    const char *wrong = by_tsuid ? "Invalid parameter tsuid=" : "Invalid parameter m=";
    struct yd_str rest = text, part;
    if (!cut_part(&rest, &part)) return refuse(planner->trail, wrong, text);
    int r = set_aggregator(planner, part, &sub.query);
    while (r == 0 && cut_part(&rest, &part)) {
        if (yd_str_starts(part, YD_STR("rate")))
            r = url_rate(planner, part, &sub.query);
        else if (yd_str_eq(part, YD_STR("explicit_tags")))
            sub.query.explicit_tags = true;
        else if (part.size && part.data[0] >= '0' && part.data[0] <= '9')
            r = set_downsample(planner, part, &sub);
        else
            r = refuse(planner->trail, wrong, text);
    }
    if (r == 0 && by_tsuid) r = yd_tsdb_tsuids(rest, planner->arena, &sub.query, planner->trail);
    if (r == 0 && !by_tsuid) r = metric_and_filters(rest, true, planner->arena, &sub.query, planner->trail);
    return r < 0 ? r : add_sub(planner, &sub);
}

static const struct yd_str *argument(const struct yd_tsdb_argument *arguments, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (yd_str_eq(arguments[i].name, yd_str_of(name))) return &arguments[i].value;
    return NULL;
}

/* `?ms`, `?ms=true`: there, unless it says false. */
static bool flag(const struct yd_tsdb_argument *arguments, size_t count, const char *name)
{
    const struct yd_str *value = argument(arguments, count, name);
    return value && !yd_str_eq(*value, YD_STR("false"));
}

int yd_tsdb_plan_url(const struct yd_tsdb_argument *arguments, size_t count, int64_t now_ns, struct yd_arena *arena,
                     struct yd_tsdb_plan *ret, struct yd_trail *trail)
{
    struct planner planner = {.arena = arena, .trail = trail, .plan = ret};
    const struct yd_str none = YD_STR(""), *start = argument(arguments, count, "start"),
                        *end = argument(arguments, count, "end");
    *ret = (struct yd_tsdb_plan){0};
    ret->milliseconds = flag(arguments, count, "ms") || flag(arguments, count, "msResolution");
    ret->arrays = flag(arguments, count, "arrays");
    ret->show_query = flag(arguments, count, "show_query");
    ret->show_summary = flag(arguments, count, "show_summary");
    ret->show_tsuids = flag(arguments, count, "show_tsuids");
    const struct yd_str *zone = argument(arguments, count, "tz");
    ret->show_stats = flag(arguments, count, "show_stats");
    ret->timezone = zone ? zone_name(*zone) : none;
    ret->use_calendar = flag(arguments, count, "use_calendar");
    ret->no_notes = flag(arguments, count, "no_annotations");
    ret->global_notes = flag(arguments, count, "global_annotations");
    planner.base.milliseconds = ret->milliseconds;
    int r = set_times(&planner, start ? *start : none, end ? *end : none, now_ns);
    for (size_t i = 0; i < count && r == 0; i++) {
        bool by_tsuid = yd_str_eq(arguments[i].name, YD_STR("tsuid")) || yd_str_eq(arguments[i].name, YD_STR("tsuids"));
        if (by_tsuid || yd_str_eq(arguments[i].name, YD_STR("m"))) r = url_sub(&planner, arguments[i].value, by_tsuid);
    }
    if (r == 0 && ret->sub_count == 0) return refuse(trail, "Missing sub queries: m= or tsuid=", YD_STR(""));
    return r;
}
