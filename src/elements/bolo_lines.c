/* bolo's stream: see bolo_lines.h. Each line is gone through twice: looked through, so that a bad word in it rejects
 * all of it, and then taken. A whole number stays one, up to 64 bits. */
#include "elements/bolo_lines.h"

#include <math.h>
#include <strings.h>

#include "base/text.h"

#define LINE_BYTES  ((size_t)64 << 10)
#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)16 << 20)

struct yd_bolo {
    struct yd_bolo_options options;
    struct yd_spellings spellings;
    int64_t now_ns;
};

/* What a line is made of, once it has been looked through. */
struct line {
    enum yd_kind kind;
    uint16_t flags;
    int64_t time_ns;
    struct yd_str name, rest; /* rest: values, text, or keys */
};

static int refuse(enum yd_line_reason reason)
{
    return yd__line_reason(reason);
}

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct yd_str trim(struct yd_str text)
{
    while (text.size && is_blank(*text.data)) text.data++, text.size--;
    while (text.size && (is_blank(text.data[text.size - 1]) || text.data[text.size - 1] == '\r')) text.size--;
    return text;
}

static struct yd_str take_word(struct yd_str *text)
{
    *text = trim(*text);
    struct yd_str word = {text->data, 0};
    while (word.size < text->size && !is_blank(word.data[word.size])) word.size++;
    text->data += word.size;
    text->size -= word.size;
    return word;
}

static bool is_word(struct yd_str text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* ---- names, numbers ---- */

/* "name;key=value;key=value" */
static int canonical(void *arg, struct yd_str text, struct yd_str none, char *to, size_t *ret_size)
{
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    size_t count = 0;
    (void)arg, (void)none;
    const char *semicolon = memchr(text.data, ';', text.size);
    struct yd_str metric = {text.data, semicolon ? (size_t)(semicolon - text.data) : text.size};
    struct yd_str rest = {text.data + metric.size, text.size - metric.size};
    while (rest.size) {
        rest.data++, rest.size--;
        const char *end = memchr(rest.data, ';', rest.size);
        struct yd_str part = {rest.data, end ? (size_t)(end - rest.data) : rest.size};
        rest.data += part.size;
        rest.size -= part.size;
        if (part.size == 0) continue;
        const char *equals = memchr(part.data, '=', part.size);
        if (!equals) return refuse(YD_LINE_BAD_TAG);
        if (count == YD_COUNT(tags)) return refuse(YD_LINE_NAME_TOO_LONG);
        size_t size = (size_t)(equals - part.data);
        tags[count++] = (struct yd_tag){{part.data, size}, {equals + 1, part.size - size - 1}};
    }
    return yd__line_name(metric, tags, count, to, ret_size);
}

static int take_number(struct yd_str text, enum yd_type *ret_type, union yd_value *ret)
{
    if (text.size == 0) return refuse(YD_LINE_NO_VALUE);
    if (yd_text_i64(text, &ret->i64) == 0) {
        *ret_type = YD_I64;
    } else if (yd_text_u64(text, &ret->u64) == 0) {
        *ret_type = YD_U64;
    } else {
        *ret_type = YD_F64;
        return yd__line_f64(text, &ret->f64);
    }
    return 0;
}

/* ---- looking through ---- */

static uint16_t code_of(struct yd_str word)
{
    static const char *const codes[3][3] = {{"0", "ok", "okay"}, {"1", "warn", "warning"}, {"2", "crit", "critical"}};
    for (uint16_t code = 0; code < 3; code++)
        for (size_t i = 0; i < 3; i++)
            if (is_word(word, codes[code][i])) return code;
    return 3;
}

static int look_at_values(struct yd_str rest, bool needed, bool several)
{
    union yd_value value;
    enum yd_type type;
    struct yd_str word = take_word(&rest);
    if (word.size == 0 && !needed) return 0;
    do {
        int r = take_number(word, &type, &value);
        if (r < 0) return r;
        word = take_word(&rest);
        if (word.size && !several) return refuse(YD_LINE_BAD_VALUE);
    } while (word.size);
    return 0;
}

static struct yd_str key_of(struct yd_str word, struct yd_str *ret_value)
{
    const char *equals = memchr(word.data, '=', word.size);
    struct yd_str key = {word.data, equals ? (size_t)(equals - word.data) : word.size};
    *ret_value = equals ? (struct yd_str){equals + 1, word.size - key.size - 1} : YD_STR("1");
    return key;
}

static int look_at_keys(struct yd_str rest)
{
    char name[YD_NAME_SIZE_MAX];
    size_t size;
    struct yd_str value, word = take_word(&rest);
    if (word.size == 0) return refuse(YD_LINE_NO_VALUE);
    for (; word.size; word = take_word(&rest)) {
        int r = yd__line_name(key_of(word, &value), NULL, 0, name, &size);
        if (r < 0) return r;
        if (!yd_text_utf8(value)) return refuse(YD_LINE_NOT_UTF8);
    }
    return 0;
}

static int look(struct yd_bolo *bolo, struct yd_str text, struct line *line)
{
    struct yd_str verb = take_word(&text), time, code;
    *line = (struct line){.time_ns = bolo->now_ns};
    if (is_word(verb, "KEY") || is_word(verb, "KEYS") || is_word(verb, "SET.KEYS")) {
        line->kind = YD_FACT;
        line->rest = trim(text);
        return look_at_keys(line->rest);
    }
    line->kind = is_word(verb, "STATE")     ? YD_STATE
                 : is_word(verb, "COUNTER") ? YD_TALLY
                 : is_word(verb, "SAMPLE")  ? YD_SAMPLE
                 : is_word(verb, "RATE")    ? YD_DELTA
                 : is_word(verb, "EVENT")   ? YD_EVENT
                                            : YD_KIND_COUNT;
    if (line->kind == YD_KIND_COUNT) return refuse(YD_LINE_COMMAND);
    time = take_word(&text);
    line->name = take_word(&text);
    if (time.size == 0) return refuse(YD_LINE_BAD_TIMESTAMP);
    if (!is_word(time, "now") && yd__line_seconds(time, &line->time_ns) < 0) return refuse(YD_LINE_BAD_TIMESTAMP);
    if (line->name.size == 0) return refuse(YD_LINE_BAD_NAME);
    if (line->kind == YD_STATE) {
        code = take_word(&text);
        if (code.size == 0) return refuse(YD_LINE_NO_VALUE);
        line->flags = code_of(code);
    }
    line->rest = trim(text);
    if (line->kind == YD_STATE || line->kind == YD_EVENT)
        return yd_text_utf8(line->rest) ? 0 : refuse(YD_LINE_NOT_UTF8);
    return look_at_values(line->rest, line->kind != YD_TALLY, line->kind == YD_SAMPLE);
}

/* ---- taking ---- */

void yd_bolo_flush(struct yd_bolo *bolo)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(bolo->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&bolo->spellings, &batch) == 0) {
        bolo->options.sink.batch(bolo->options.sink.arg, batch, records);
        return;
    }
    for (uint32_t i = 0; i < records; i++)
        bolo->options.sink.reject(bolo->options.sink.arg, YD_LINE_NO_MEMORY, YD_STR(""));
}

/* bytes, or else value. */
static int add(struct yd_bolo *bolo, const struct line *line, struct yd_str name, enum yd_type type,
               union yd_value value, struct yd_str bytes)
{
    struct yd_spellings *spellings = &bolo->spellings;
    uint64_t hash = yd_raw_names_hash(&spellings->names, name, (struct yd_str){0});
    uint32_t index;
    int refused = 0;
    for (int try = 0;; try++) {
        int r = yd_spellings_name(spellings, name, (struct yd_str){0}, hash, &index, &refused);
        if (refused) return refused;
        if (r == 0 && type == YD_TEXT)
            r = yd_builder_add_bytes(spellings->builder, line->time_ns, index, line->kind, type, line->flags, bytes);
        else if (r == 0)
            r = yd_builder_add(spellings->builder, line->time_ns, index, line->kind, type, line->flags, value);
        if (r == 0) return 0;
        if (r != YD_EFULL || try) return refuse(r == YD_ENOMEM ? YD_LINE_NO_MEMORY : YD_LINE_TOO_LONG);
        yd_bolo_flush(bolo);
    }
}

static int take_keys(struct yd_bolo *bolo, const struct line *line)
{
    struct yd_str rest = line->rest, word, value;
    int r = 0;
    while (r == 0 && (word = take_word(&rest)).size) {
        struct yd_str key = key_of(word, &value);
        r = add(bolo, line, key, YD_TEXT, (union yd_value){0}, value);
    }
    return r;
}

static int take_values(struct yd_bolo *bolo, const struct line *line)
{
    struct yd_str rest = line->rest, word = take_word(&rest);
    union yd_value value = {.i64 = 1};
    enum yd_type type = YD_I64;
    int r;
    do {
        if (word.size) (void)take_number(word, &type, &value); /* it was looked at */
        r = add(bolo, line, line->name, type, value, (struct yd_str){0});
        word = take_word(&rest);
    } while (r == 0 && word.size);
    return r;
}

static int take_line(struct yd_bolo *bolo, struct yd_str text)
{
    struct line line;
    size_t most = bolo->options.line_max ? bolo->options.line_max : LINE_BYTES;
    if (text.size > most) return refuse(YD_LINE_TOO_LONG);
    int r = look(bolo, text, &line);
    if (r < 0) return r;
    if (line.kind == YD_FACT) return take_keys(bolo, &line);
    if (line.kind == YD_STATE || line.kind == YD_EVENT)
        return add(bolo, &line, line.name, YD_TEXT, (union yd_value){0}, line.rest);
    return take_values(bolo, &line);
}

uint64_t yd_bolo_parse(struct yd_bolo *bolo, struct yd_str text, int64_t now_ns)
{
    uint64_t lines = 0;
    bolo->now_ns = now_ns;
    while (text.size) {
        const char *end = memchr(text.data, '\n', text.size);
        struct yd_str line = {text.data, end ? (size_t)(end - text.data) : text.size};
        text.data += line.size + (end != NULL);
        text.size -= line.size + (end != NULL);
        line = trim(line);
        if (line.size == 0 || *line.data == '#') continue;
        lines++;
        int r = take_line(bolo, line);
        if (r < 0) bolo->options.sink.reject(bolo->options.sink.arg, (enum yd_line_reason)(-1 - r), line);
    }
    return lines;
}

/* ---- life ---- */

int yd_bolo_create(const struct yd_bolo_options *options, struct yd_bolo **ret_bolo)
{
    struct yd_bolo *bolo = yd_alloc_zero(options->alloc, sizeof *bolo);
    if (!bolo) return YD_ENOMEM;
    bolo->options = *options;
    int r =
        yd_spellings_init(&bolo->spellings, options->alloc, options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                          options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, bolo, sizeof *bolo);
        return r;
    }
    bolo->spellings.canonical = canonical;
    *ret_bolo = bolo;
    return 0;
}

void yd_bolo_destroy(struct yd_bolo *bolo)
{
    if (!bolo) return;
    yd_spellings_fini(&bolo->spellings);
    yd_alloc_put(bolo->options.alloc, bolo, sizeof *bolo);
}
