/* Prometheus' exposition formats: see exposition.h.
 *
 * The bytes of a line's metric and of what stands between its braces are its spelling: they are looked up as they
 * stand, and taken apart only when they are new. Names outside quotes have the letters that the format allows, so that
 * a page of HTML is no series. A backslash escapes a quote, a backslash and `n`; before anything else it stands for
 * itself, as Prometheus has it. Lines of a metric stand together behind their TYPE, which both formats demand: a line
 * that does not is a SAMPLE. Times of OpenMetrics are read exactly to the nanosecond. */
#include "elements/exposition.h"

#include <math.h>

#include "base/text.h"
#include "elements/lines.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)16 << 20)

const char *const yd_exposition_reasons[] = {
#define YD_EXPOSITION_TEXT(name, text) text,
    YD_EXPOSITION_REASONS(YD_EXPOSITION_TEXT)
#undef YD_EXPOSITION_TEXT
        NULL};

enum family { FAMILY_OTHER, FAMILY_COUNTER, FAMILY_HISTOGRAM, FAMILY_SUMMARY };

struct yd_exposition {
    struct yd_exposition_options options;
    struct yd_spellings spellings;
    struct yd_buf scratch; /* labels without their escapes */
    bool openmetrics;
    int64_t now_ns;
    struct yd_str family_name; /* of the last TYPE */
    enum family family;
};

static int refuse(enum yd_exposition_reason reason)
{
    return -1 - (int)reason;
}

static void reject(struct yd_exposition *exposition, int refused, struct yd_str line)
{
    exposition->options.sink.reject(exposition->options.sink.arg, (enum yd_exposition_reason)(-1 - refused), line);
}

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct yd_str *text)
{
    while (text->size && is_blank(*text->data)) text->data++, text->size--;
}

static struct yd_str take(struct yd_str *text, size_t size)
{
    struct yd_str taken = {text->data, size};
    text->data += size;
    text->size -= size;
    return taken;
}

/* What stands before the next blank, blanks before it passed over. */
static struct yd_str take_word(struct yd_str *text)
{
    size_t size = 0;
    skip_blanks(text);
    while (size < text->size && !is_blank(text->data[size])) size++;
    return take(text, size);
}

/* A quoted string with its quotes at the front of `text`: its size, 0 when it is not closed. */
static size_t quoted_size(struct yd_str text)
{
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '"') return i + 1;
        if (text.data[i] == '\\') i++;
    }
    return 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* How many bytes a name outside quotes has. */
static size_t bare_size(struct yd_str text, bool colons)
{
    size_t size = 0;
    for (; size < text.size; size++) {
        char c = text.data[size];
        if (!is_letter(c) && !(c == ':' && colons) && (size == 0 || c < '0' || c > '9')) break;
    }
    return size;
}

/* ---- names ---- */

/* Into scratch, which has room. `quoted` has its quotes. */
static struct yd_str unescape(struct yd_buf *scratch, struct yd_str quoted)
{
    char *to = scratch->data + scratch->size;
    size_t size = 0;
    for (size_t i = 1; i + 1 < quoted.size; i++) {
        char c = quoted.data[i];
        if (c == '\\' && i + 2 < quoted.size && memchr("\\\"n", quoted.data[i + 1], 3)) {
            c = quoted.data[++i];
            if (c == 'n') c = '\n';
        }
        to[size++] = c;
    }
    scratch->size += size;
    return (struct yd_str){to, size};
}

static const struct yd_tag *own_label(const struct yd_exposition *exposition, struct yd_str key)
{
    for (size_t i = 0; i < exposition->options.label_count; i++)
        if (yd_str_eq(exposition->options.labels[i].key, key)) return &exposition->options.labels[i];
    return NULL;
}

/* The target has a label of that name already. */
static struct yd_str exported(struct yd_buf *scratch, struct yd_str key)
{
    char *to = scratch->data + scratch->size;
    memcpy(to, "exported_", 9);
    memcpy(to + 9, key.data, key.size);
    scratch->size += 9 + key.size;
    return (struct yd_str){to, 9 + key.size};
}

/* The next label at the front of *labels; or a name in quotes alone, the metric's: then *tag has no key. */
static int take_label(struct yd_exposition *exposition, struct yd_str *labels, struct yd_tag *tag)
{
    struct yd_buf *scratch = &exposition->scratch;
    bool quoted = *labels->data == '"';
    size_t size = quoted ? quoted_size(*labels) : bare_size(*labels, false);
    if (size == 0) return refuse(YD_EXPOSITION_BAD_LABEL);
    *tag = (struct yd_tag){.key = take(labels, size)};
    if (quoted) tag->key = unescape(scratch, tag->key);
    skip_blanks(labels);
    if (quoted && (labels->size == 0 || *labels->data == ',')) {
        *tag = (struct yd_tag){.key = YD_STR(""), .value = tag->key};
    } else {
        if (labels->size == 0 || *labels->data != '=') return refuse(YD_EXPOSITION_BAD_LABEL);
        (void)take(labels, 1);
        skip_blanks(labels);
        size = labels->size && *labels->data == '"' ? quoted_size(*labels) : 0;
        if (size == 0 || tag->key.size == 0) return refuse(YD_EXPOSITION_BAD_LABEL);
        tag->value = unescape(scratch, take(labels, size));
        skip_blanks(labels);
    }
    if (labels->size && *labels->data != ',') return refuse(YD_EXPOSITION_BAD_LABEL);
    if (labels->size) (void)take(labels, 1);
    skip_blanks(labels);
    return 0;
}

static int canonical(void *arg, struct yd_str metric, struct yd_str labels, char *to, size_t *ret_size)
{
    struct yd_exposition *exposition = arg;
    const struct yd_exposition_options *options = &exposition->options;
    struct yd_tag tags[YD_LINE_TAGS_MAX], tag;
    size_t count = 0;
    if (bare_size(metric, true) != metric.size) return refuse(YD_EXPOSITION_BAD_NAME);
    yd_buf_clear(&exposition->scratch);
    if (!yd_buf_reserve(&exposition->scratch, 2 * labels.size + 9 * YD_COUNT(tags)))
        return refuse(YD_EXPOSITION_NO_MEMORY);
    skip_blanks(&labels);
    while (labels.size) {
        int r = take_label(exposition, &labels, &tag);
        if (r < 0) return r;
        if (tag.key.size == 0) {
            if (metric.size) return refuse(YD_EXPOSITION_BAD_LABEL);
            metric = tag.value;
            continue;
        }
        if (tag.value.size == 0) continue; /* the same as none */
        if (count == YD_COUNT(tags)) return refuse(YD_EXPOSITION_NAME_TOO_LONG);
        if (!options->honor_labels && own_label(exposition, tag.key)) tag.key = exported(&exposition->scratch, tag.key);
        tags[count++] = tag;
    }
    size_t given = count;
    for (size_t i = 0; i < options->label_count; i++) {
        bool has = false;
        for (size_t k = 0; k < given; k++) has |= yd_str_eq(tags[k].key, options->labels[i].key);
        if (has) continue;
        if (count == YD_COUNT(tags)) return refuse(YD_EXPOSITION_NAME_TOO_LONG);
        tags[count++] = options->labels[i];
    }
    int r = yd__line_name(metric, tags, count, to, ret_size);
    return r == 0                                        ? 0
           : r == yd__line_reason(YD_LINE_NOT_UTF8)      ? refuse(YD_EXPOSITION_NOT_UTF8)
           : r == yd__line_reason(YD_LINE_DUPLICATE_TAG) ? refuse(YD_EXPOSITION_DUPLICATE_LABEL)
           : r == yd__line_reason(YD_LINE_NAME_TOO_LONG) ? refuse(YD_EXPOSITION_NAME_TOO_LONG)
           : r == yd__line_reason(YD_LINE_BAD_TAG)       ? refuse(YD_EXPOSITION_BAD_LABEL)
                                                         : refuse(YD_EXPOSITION_BAD_NAME);
}

/* ---- families ---- */

/* "# TYPE name type"; other comments say nothing about values. */
static int take_comment(struct yd_exposition *exposition, struct yd_str line)
{
    static const struct {
        const char *word;
        enum family family;
    } types[] = {{"counter", FAMILY_COUNTER}, {"gauge", FAMILY_OTHER},    {"histogram", FAMILY_HISTOGRAM},
                 {"summary", FAMILY_SUMMARY}, {"untyped", FAMILY_OTHER},  {"unknown", FAMILY_OTHER},
                 {"info", FAMILY_OTHER},      {"stateset", FAMILY_OTHER}, {"gaugehistogram", FAMILY_OTHER}};
    (void)take(&line, 1);
    if (!yd_str_eq(take_word(&line), YD_STR("TYPE"))) return 0;
    skip_blanks(&line);
    size_t size = line.size && *line.data == '"' ? quoted_size(line) : bare_size(line, true);
    struct yd_str name = take(&line, size), type = take_word(&line);
    skip_blanks(&line);
    exposition->family = FAMILY_OTHER;
    if (size && *name.data == '"') name = (struct yd_str){name.data + 1, name.size - 2};
    exposition->family_name = name;
    for (size_t i = 0; i < YD_COUNT(types) && name.size && line.size == 0; i++) {
        if (!yd_str_eq(type, yd_str_of(types[i].word))) continue;
        exposition->family = types[i].family;
        return 0;
    }
    return refuse(YD_EXPOSITION_BAD_TYPE);
}

static enum yd_kind kind_of(const struct yd_exposition *exposition, struct yd_str metric, struct yd_str labels)
{
    static const char *const suffixes[][3] = {[FAMILY_COUNTER] = {"", "_total", ""},
                                              [FAMILY_HISTOGRAM] = {"_bucket", "_count", "_sum"},
                                              [FAMILY_SUMMARY] = {"_count", "_sum", "_sum"}};
    struct yd_str family = exposition->family_name;
    if (exposition->family == FAMILY_OTHER) return YD_SAMPLE;
    if (metric.size == 0) { /* it stands in quotes among the labels, first by custom */
        skip_blanks(&labels);
        size_t size = labels.size && *labels.data == '"' ? quoted_size(labels) : 0;
        metric = size ? (struct yd_str){labels.data + 1, size - 2} : YD_STR("");
    }
    if (!yd_str_starts(metric, family)) return YD_SAMPLE;
    struct yd_str rest = {metric.data + family.size, metric.size - family.size};
    for (size_t i = 0; i < 3; i++)
        if (yd_str_eq(rest, yd_str_of(suffixes[exposition->family][i]))) return YD_DELTA;
    return YD_SAMPLE;
}

/* ---- numbers ---- */

static int take_value(struct yd_str text, double *ret)
{
    if (text.size == 0) return refuse(YD_EXPOSITION_NO_VALUE);
    int r = yd_text_f64(text, true, ret);
    if (r < 0) return refuse(r == YD_ERANGE ? YD_EXPOSITION_NOT_FINITE : YD_EXPOSITION_BAD_VALUE);
    return isfinite(*ret) ? 0 : refuse(YD_EXPOSITION_NOT_FINITE);
}

static int take_time(const struct yd_exposition *exposition, struct yd_str text, int64_t *ret_ns)
{
    int64_t time_ms;
    int r = 0;
    if (exposition->openmetrics)
        r = yd__line_seconds(text, ret_ns) < 0 ? refuse(YD_EXPOSITION_BAD_TIMESTAMP) : 0;
    else if (yd_text_i64(text, &time_ms) < 0 || __builtin_mul_overflow(time_ms, YD_NS_PER_MS, ret_ns))
        r = refuse(YD_EXPOSITION_BAD_TIMESTAMP);
    if (exposition->options.ignore_times) *ret_ns = exposition->now_ns;
    return r;
}

/* ---- records ---- */

void yd_exposition_flush(struct yd_exposition *exposition)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(exposition->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&exposition->spellings, &batch) == 0) {
        exposition->options.sink.batch(exposition->options.sink.arg, batch, records);
        return;
    }
    for (uint32_t i = 0; i < records; i++) reject(exposition, refuse(YD_EXPOSITION_NO_MEMORY), YD_STR(""));
}

struct sample {
    struct yd_str metric, labels;
    double value;
    int64_t time_ns;
};

static int add(struct yd_exposition *exposition, const struct sample *sample, enum yd_kind kind)
{
    struct yd_spellings *spellings = &exposition->spellings;
    uint64_t hash = yd_raw_names_hash(&spellings->names, sample->metric, sample->labels);
    uint32_t index;
    int refused = 0;
    for (int try = 0;; try++) {
        int r = yd_spellings_name(spellings, sample->metric, sample->labels, hash, &index, &refused);
        if (refused) return refused;
        if (r == 0)
            r = yd_builder_add(spellings->builder, sample->time_ns, index, kind, YD_F64, 0,
                               (union yd_value){.f64 = sample->value});
        if (r == 0) return 0;
        if (r != YD_EFULL || try) return refuse(r == YD_ENOMEM ? YD_EXPOSITION_NO_MEMORY : YD_EXPOSITION_NAME_TOO_LONG);
        yd_exposition_flush(exposition);
    }
}

/* What stands between the braces; the rest stays in *line. */
static bool take_braces(struct yd_str *line, struct yd_str *ret_labels)
{
    for (size_t i = 1; i < line->size; i++) {
        char c = line->data[i];
        if (c == '}') {
            *ret_labels = (struct yd_str){line->data + 1, i - 1};
            (void)take(line, i + 1);
            return true;
        }
        if (c != '"') continue;
        size_t size = quoted_size((struct yd_str){line->data + i, line->size - i});
        if (size == 0) return false;
        i += size - 1;
    }
    return false;
}

static int take_sample(struct yd_exposition *exposition, struct yd_str line)
{
    struct sample sample = {.time_ns = exposition->now_ns};
    size_t size = 0;
    while (size < line.size && line.data[size] != '{' && !is_blank(line.data[size])) size++;
    sample.metric = take(&line, size);
    skip_blanks(&line);
    if (line.size && *line.data == '{' && !take_braces(&line, &sample.labels)) return refuse(YD_EXPOSITION_BAD_LABEL);
    int r = take_value(take_word(&line), &sample.value);
    if (r < 0) return r;
    skip_blanks(&line);
    if (line.size && *line.data != '#') r = take_time(exposition, take_word(&line), &sample.time_ns);
    skip_blanks(&line);
    if (r == 0 && line.size && *line.data != '#') r = refuse(YD_EXPOSITION_BAD_LINE);
    return r < 0 ? r : add(exposition, &sample, kind_of(exposition, sample.metric, sample.labels));
}

bool yd_exposition_whole(struct yd_str text)
{
    struct yd_str end = YD_STR("# EOF");
    if (text.size && text.data[text.size - 1] == '\n') text.size--;
    if (text.size < end.size || memcmp(text.data + text.size - end.size, end.data, end.size) != 0) return false;
    return text.size == end.size || text.data[text.size - end.size - 1] == '\n';
}

uint64_t yd_exposition_parse(struct yd_exposition *exposition, struct yd_str text, bool openmetrics, int64_t now_ns)
{
    uint64_t samples = 0;
    exposition->openmetrics = openmetrics;
    exposition->now_ns = now_ns;
    exposition->family = FAMILY_OTHER;
    exposition->family_name = YD_STR("");
    while (text.size) {
        const char *end = memchr(text.data, '\n', text.size);
        struct yd_str line = take(&text, end ? (size_t)(end - text.data) : text.size), whole = line;
        if (end) (void)take(&text, 1);
        if (line.size && line.data[line.size - 1] == '\r') line.size--;
        skip_blanks(&line);
        if (line.size == 0) continue;
        bool comment = *line.data == '#';
        int r = comment ? take_comment(exposition, line) : take_sample(exposition, line);
        samples += !comment;
        if (r < 0) reject(exposition, r, whole);
    }
    exposition->family_name = YD_STR(""); /* it stood in the text */
    return samples;
}

/* ---- life ---- */

int yd_exposition_create(const struct yd_exposition_options *options, struct yd_exposition **ret_exposition)
{
    struct yd_exposition *exposition = yd_alloc_zero(options->alloc, sizeof *exposition);
    if (!exposition) return YD_ENOMEM;
    exposition->options = *options;
    int r = yd_spellings_init(&exposition->spellings, options->alloc,
                              options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                              options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, exposition, sizeof *exposition);
        return r;
    }
    exposition->spellings.canonical = canonical;
    exposition->spellings.arg = exposition;
    yd_buf_init(&exposition->scratch, options->alloc);
    *ret_exposition = exposition;
    return 0;
}

void yd_exposition_destroy(struct yd_exposition *exposition)
{
    if (!exposition) return;
    yd_spellings_fini(&exposition->spellings);
    yd_buf_fini(&exposition->scratch);
    yd_alloc_put(exposition->options.alloc, exposition, sizeof *exposition);
}
