/* Forms, times, names and tag expressions of Graphite: see graphite_form.h.
 *
 *   time := "now" | "" | epoch | day [offset…] | offset…
 *   offset := ( "+" | "-" ) digits unit
 *   day  := [ HH:MM "_" | "midnight" | "noon" | "teatime" ] ( "today" | "yesterday" | "tomorrow" | YYYYMMDD |
 * MM/DD/YY[YY] )
 *
 * The forms are those of graphite-web's "render API", section "from / until". */
#include "elements/graphite_form.h"

#define FIELDS_MAX  4096
#define SECONDS_MAX INT64_C(9000000000) /* as nanoseconds they fit */

static int refuse(struct yd_trail *trail, const char *what, struct yd_str text)
{
    return yd_trail_add(trail, YD_EINVAL, "%s: '%.*s'", what, (int)YD_MIN(text.size, (size_t)200), text.data);
}

/* ---- forms ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct yd_str unescaped(struct yd_str text, struct yd_arena *arena)
{
    char *to = yd_arena_get(arena, text.size + 1);
    size_t size = 0;
    if (!to) return (struct yd_str){NULL, 0};
    for (size_t i = 0; i < text.size; i++) {
        int high = -1, low = -1;
        if (text.data[i] == '%' && i + 2 < text.size) high = hex(text.data[i + 1]), low = hex(text.data[i + 2]);
        if (high >= 0 && low >= 0) {
            to[size++] = (char)(high << 4 | low);
            i += 2;
        } else {
            to[size++] = text.data[i] == '+' ? ' ' : text.data[i];
        }
    }
    return (struct yd_str){to, size};
}

static struct yd_str cut(struct yd_str *rest, char separator)
{
    const char *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    struct yd_str part = {rest->data, at ? (size_t)(at - rest->data) : rest->size};
    size_t used = part.size + (at != NULL);
    *rest = (struct yd_str){rest->data + used, rest->size - used};
    return part;
}

int yd_graphite_form(const struct yd_tsdb_argument *arguments, size_t count, struct yd_str body, struct yd_arena *arena,
                     struct yd_graphite_form *ret, struct yd_trail *trail)
{
    size_t more = body.size != 0;
    for (size_t i = 0; i < body.size; i++) more += body.data[i] == '&';
    if (count + more > FIELDS_MAX) return yd_trail_add(trail, YD_ETOOBIG, "more than %d fields", FIELDS_MAX);
    struct yd_tsdb_argument *items = yd_arena_get(arena, (count + more + 1) * sizeof *items);
    if (!items) return YD_ENOMEM;
    for (size_t i = 0; i < count; i++) items[i] = arguments[i];
    while (body.size) {
        struct yd_str value = cut(&body, '&');
        if (!value.size) continue;
        struct yd_str name = cut(&value, '=');
        struct yd_tsdb_argument item = {unescaped(name, arena), unescaped(value, arena)};
        if (!item.name.data || !item.value.data) return YD_ENOMEM;
        items[count++] = item;
    }
    *ret = (struct yd_graphite_form){items, count};
    return 0;
}

struct yd_str yd_graphite_field(const struct yd_graphite_form *form, const char *name)
{
    for (size_t i = form->count; i-- > 0;)
        if (yd_str_eq(form->items[i].name, yd_str_of(name))) return form->items[i].value;
    return YD_STR("");
}

int yd_graphite_fields(const struct yd_graphite_form *form, const char *name, const char *other, struct yd_arena *arena,
                       struct yd_str **ret, size_t *ret_count)
{
    struct yd_str *found = yd_arena_get(arena, (form->count + 1) * sizeof *found);
    size_t count = 0;
    if (!found) return YD_ENOMEM;
    for (size_t i = 0; i < form->count; i++)
        if (yd_str_eq(form->items[i].name, yd_str_of(name)) || yd_str_eq(form->items[i].name, yd_str_of(other)))
            found[count++] = form->items[i].value;
    *ret = found;
    *ret_count = count;
    return 0;
}

/* ---- times ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits_at(struct yd_str text)
{
    size_t i = 0;
    while (i < text.size && is_digit(text.data[i])) i++;
    return i;
}

static struct yd_str behind(struct yd_str text, size_t size)
{
    return (struct yd_str){text.data + size, text.size - size};
}

/* How many bytes of the text are a unit, and its seconds; 0: none. Longer spellings come first. */
static size_t unit_at(struct yd_str text, int64_t *ret_s)
{
    static const struct {
        const char *name;
        int64_t s;
    } units[] = {{"seconds", 1},     {"second", 1},    {"secs", 1},         {"sec", 1},         {"s", 1},
                 {"minutes", 60},    {"minute", 60},   {"mins", 60},        {"min", 60},        {"months", 2592000},
                 {"month", 2592000}, {"mon", 2592000}, {"m", 60},           {"hours", 3600},    {"hour", 3600},
                 {"h", 3600},        {"days", 86400},  {"day", 86400},      {"d", 86400},       {"weeks", 604800},
                 {"week", 604800},   {"w", 604800},    {"years", 31536000}, {"year", 31536000}, {"y", 31536000}};
    for (size_t i = 0; i < YD_COUNT(units); i++) {
        if (!yd_str_starts(text, yd_str_of(units[i].name))) continue;
        *ret_s = units[i].s;
        return strlen(units[i].name);
    }
    return 0;
}

/* digits unit at the front, spaces between; returns its size, 0: it is none. */
static size_t span_at(struct yd_str text, int64_t *ret_s)
{
    uint64_t count;
    int64_t unit;
    size_t size = digits_at(text);
    if (!size || yd_text_u64((struct yd_str){text.data, size}, &count) < 0 || count > UINT32_MAX) return 0;
    while (size < text.size && text.data[size] == ' ') size++;
    size_t unit_size = unit_at(behind(text, size), &unit);
    *ret_s = unit_size ? (int64_t)count * unit : 0;
    return unit_size ? size + unit_size : 0;
}

int yd_graphite_duration(struct yd_str text, int64_t *ret_s)
{
    if (text.size && (*text.data == '-' || *text.data == '+')) text = behind(text, 1);
    if (!text.size || span_at(text, ret_s) != text.size) return YD_EINVAL;
    return *ret_s > 0 && *ret_s <= SECONDS_MAX ? 0 : YD_EINVAL;
}

/* Days since 1970 of a date, by the civil calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t number(struct yd_str text, size_t at, size_t size)
{
    int64_t value = 0;
    for (size_t i = at; i < at + size; i++) value = value * 10 + (text.data[i] - '0');
    return value;
}

static bool good_date(int64_t month, int64_t day)
{
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* YYYYMMDD, MM/DD/YY, MM/DD/YYYY at the front; returns its size, 0: it is none. */
static size_t date_at(struct yd_str text, int64_t *ret_s)
{
    if (digits_at(text) == 8 && good_date(number(text, 4, 2), number(text, 6, 2))) {
        *ret_s = days_of(number(text, 0, 4), number(text, 4, 2), number(text, 6, 2)) * 86400;
        return 8;
    }
    if (text.size < 8 || digits_at(text) != 2 || text.data[2] != '/' || digits_at(behind(text, 3)) != 2 ||
        text.data[5] != '/')
        return 0;
    size_t size = digits_at(behind(text, 6));
    if ((size != 2 && size != 4) || !good_date(number(text, 0, 2), number(text, 3, 2))) return 0;
    int64_t year = number(text, 6, size);
    if (size == 2) year += year < 70 ? 2000 : 1900;
    *ret_s = days_of(year, number(text, 0, 2), number(text, 3, 2)) * 86400;
    return 6 + size;
}

/* A word and what it adds to the day; returns its size. */
struct word {
    const char *name;
    int64_t s;
};
static size_t word_at(struct yd_str text, const struct word *words, size_t count, int64_t *ret_s)
{
    for (size_t i = 0; i < count; i++) {
        if (!yd_str_starts(text, yd_str_of(words[i].name))) continue;
        *ret_s = words[i].s;
        return strlen(words[i].name);
    }
    return 0;
}

static size_t clock_at(struct yd_str text, int64_t *ret_s)
{
    static const struct word words[] = {{"midnight", 0}, {"noon", 43200}, {"teatime", 57600}};
    size_t hours = digits_at(text);
    if ((hours == 1 || hours == 2) && text.size >= hours + 3 && text.data[hours] == ':' &&
        digits_at(behind(text, hours + 1)) >= 2) {
        int64_t h = number(text, 0, hours), m = number(text, hours + 1, 2);
        size_t size = hours + 3;
        *ret_s = h * 3600 + m * 60;
        if (size + 2 <= text.size && text.data[size] == 'p' && text.data[size + 1] == 'm') *ret_s += h < 12 ? 43200 : 0;
        if (size + 2 <= text.size && text.data[size + 1] == 'm' && strchr("ap", text.data[size])) size += 2;
        return h < 24 && m < 60 ? size : 0;
    }
    return word_at(text, words, YD_COUNT(words), ret_s);
}

/* A day or a time of day, or both; returns its size, 0: neither. */
static size_t reference_at(struct yd_str text, int64_t now_s, int64_t *ret_s)
{
    static const struct word words[] = {{"today", 0}, {"yesterday", -86400}, {"tomorrow", 86400}};
    int64_t today = now_s - ((now_s % 86400) + 86400) % 86400, clock = 0, day = 0;
    size_t size = clock_at(text, &clock);
    if (size < text.size && size && strchr("_ ", text.data[size])) size++;
    struct yd_str rest = behind(text, size);
    size_t of_day = word_at(rest, words, YD_COUNT(words), &day);
    day += today;
    if (!of_day) of_day = date_at(rest, &day);
    if (size + of_day) *ret_s = day + clock;
    return size + of_day;
}

int yd_graphite_time(struct yd_str text, int64_t now_s, int64_t *ret_s)
{
    int64_t time = now_s, span;
    while (text.size && *text.data == ' ') text = behind(text, 1);
    while (text.size && text.data[text.size - 1] == ' ') text.size--;
    size_t used = digits_at(text);
    if (used && used == text.size && used != 8) {
        if (yd_text_i64(text, ret_s) < 0 || *ret_s > SECONDS_MAX) return YD_EINVAL;
        return 0;
    }
    if (used == text.size && used == 8 && reference_at(text, now_s, ret_s) == 0) return yd_text_i64(text, ret_s);
    used = yd_str_starts(text, YD_STR("now")) ? 3 : reference_at(text, now_s, &time);
    text = behind(text, used);
    while (text.size) {
        char sign = *text.data;
        if (sign == ' ') sign = '+'; /* a plus that nobody escaped */
        if (sign != '+' && sign != '-') return YD_EINVAL;
        size_t size = span_at(behind(text, 1), &span);
        if (!size) return YD_EINVAL;
        if (__builtin_add_overflow(time, sign == '-' ? -span : span, &time)) return YD_EINVAL;
        text = behind(text, size + 1);
    }
    *ret_s = time;
    return time >= -SECONDS_MAX && time <= SECONDS_MAX ? 0 : YD_EINVAL;
}

/* ---- tags ---- */

/* As a regular expression that matches this text and no other. */
static struct yd_str quoted(struct yd_str text, struct yd_arena *arena)
{
    char *to = yd_arena_get(arena, text.size * 2 + 3);
    size_t size = 0;
    if (!to) return (struct yd_str){NULL, 0};
    to[size++] = '^';
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool word = (unsigned char)c >= 0x80 || is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!word) to[size++] = '\\';
        to[size++] = c;
    }
    to[size++] = '\\';
    to[size++] = 'z';
    return (struct yd_str){to, size};
}

static int equal(struct yd_filter *filter, bool inverted, struct yd_str value, struct yd_arena *arena)
{
    if (!value.size) { /* key= : it has no such tag; key!= : it has */
        *filter = (struct yd_filter){.type = inverted ? YD_FILTER_WILDCARD : YD_FILTER_NOT_KEY,
                                     .key = filter->key,
                                     .expression = inverted ? YD_STR("*") : YD_STR(""),
                                     .of_metric = filter->of_metric};
        return 0;
    }
    filter->type = inverted ? YD_FILTER_NOT_LITERAL_OR : YD_FILTER_LITERAL_OR;
    filter->expression = value;
    if (!memchr(value.data, '|', value.size)) return 0;
    filter->type = inverted ? YD_FILTER_NOT_REGEXP : YD_FILTER_REGEXP;
    filter->expression = quoted(value, arena);
    return filter->expression.data ? 0 : YD_ENOMEM;
}

int yd_graphite_tag_expression(struct yd_str text, struct yd_arena *arena, struct yd_filter *ret, bool *ret_needs,
                               struct yd_trail *trail)
{
    const char *equals = text.size ? memchr(text.data, '=', text.size) : NULL;
    size_t key = equals ? (size_t)(equals - text.data) : 0;
    bool inverted = key && text.data[key - 1] == '!';
    struct yd_str value = equals ? behind(text, key + 1) : YD_STR("");
    bool regexp = value.size && *value.data == '~';
    *ret = (struct yd_filter){.key = {text.data, key - inverted}};
    if (!equals || !ret->key.size) return refuse(trail, "Invalid tagspec, KEY=VALUE, !=, =~ or !=~ is expected", text);
    ret->of_metric = yd_str_eq(ret->key, YD_STR("name"));
    *ret_needs = !inverted && value.size > regexp;
    if (!regexp) return equal(ret, inverted, value, arena);
    value = behind(value, 1);
    char *anchored = yd_arena_get(arena, value.size + 5);
    if (!anchored) return YD_ENOMEM;
    memcpy(anchored, "^(?:", 4);
    if (value.size) memcpy(anchored + 4, value.data, value.size);
    anchored[value.size + 4] = ')';
    ret->type = inverted ? YD_FILTER_NOT_REGEXP : YD_FILTER_REGEXP;
    ret->expression = (struct yd_str){anchored, value.size + 5};
    return 0;
}

/* ---- names ---- */

static void put_plain(struct yd_buf *to, struct yd_str text)
{
    char plain[2 * YD_NAME_SIZE_MAX];
    if (text.size > YD_NAME_SIZE_MAX) text.size = YD_NAME_SIZE_MAX;
    yd_buf_str(to, (struct yd_str){plain, yd_name_unescape(text, plain)});
}

void yd_graphite_put_name(struct yd_buf *to, struct yd_str canonical)
{
    struct yd_name name;
    if (yd_name_parse(canonical, &name, NULL) < 0) name = (struct yd_name){.metric = canonical};
    put_plain(to, name.metric);
    for (uint32_t i = 0; i < name.tag_count; i++) {
        yd_buf_char(to, ';');
        put_plain(to, name.tags[i].key);
        yd_buf_char(to, '=');
        put_plain(to, name.tags[i].value);
    }
}
