/* Patterns over qualified names.
 *
 * Each component compiles to what is cheapest: anything, equal bytes, a prefix, or a real glob. Literals are kept as a
 * name would write them, so that they compare with the escaped name directly; globs walk the name's characters, an
 * escape being one. Name and pattern both have their tags sorted, so matching them is one walk over both. */
#include "base/alloc.h"
#include "base/text.h"
#include "batch/name_internal.h"

enum match { ANY, EQUAL, PREFIX, GLOB };

struct part {
    enum match match;
    struct yd_str text;
};

struct yd_pattern {
    struct part metric;
    uint32_t tag_count;
    bool exact; /* no tags but these */
    size_t size;
    struct {
        struct yd_str key;
        struct part value;
    } tags[]; /* as many as there are '='; behind them the text that the parts point into */
};

struct source {
    struct yd_str text;
    size_t at;
    char *to; /* room in the pattern's text */
};

static bool take(struct source *source, char c)
{
    if (source->at == source->text.size || source->text.data[source->at] != c) return false;
    source->at++;
    return true;
}

static void skip_spaces(struct source *source)
{
    while (take(source, ' ')) continue;
}

/* One component: literal characters escaped as in names, but for '?' which a name does not escape; wildcards bare. */
static int compile_part(struct source *source, bool is_glob_allowed, struct part *ret_part)
{
    const struct yd_str text = source->text;
    size_t i = source->at, stars = 0, wild = 0, literals = 0;
    char *to = source->to, *start = to;
    bool star_last = false;
    /* First as a literal, counting wildcards; a glob is then taken as it was written. */
    for (; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20) return YD_EFORMAT;
        if (c == '\\') {
            if (++i == text.size) return YD_EFORMAT;
            c = (unsigned char)text.data[i];
            if (!yd__name_is_special(c) && c != '?') return YD_EFORMAT;
            if (c != '?') *to++ = '\\';
            *to++ = (char)c;
            literals++;
            star_last = false;
        } else if (c == '*' || c == '?') {
            stars += c == '*';
            wild++;
            star_last = c == '*';
        } else if (c == ' ' || c == ',' || c == '=') {
            break;
        } else {
            *to++ = (char)c;
            literals++;
            star_last = false;
        }
    }
    if (wild && !is_glob_allowed) return YD_EFORMAT;
    struct yd_str written = {text.data ? text.data + source->at : NULL, i - source->at};
    source->at = i;
    if (wild && wild == stars && !literals) {
        ret_part->match = ANY;
        to = start;
    } else if (!wild) {
        ret_part->match = EQUAL;
    } else if (wild == 1 && star_last) {
        ret_part->match = PREFIX;
    } else {
        ret_part->match = GLOB;
        memcpy(start, written.data, written.size);
        to = start + written.size;
    }
    ret_part->text = (struct yd_str){start, (size_t)(to - start)};
    source->to = to;
    return 0;
}

static int compile_tags(struct source *source, struct yd_pattern *pattern)
{
    for (;;) {
        skip_spaces(source);
        if (take(source, '!')) {
            pattern->exact = true;
            skip_spaces(source);
            return source->at == source->text.size ? 0 : YD_EFORMAT;
        }
        if (take(source, '*')) { /* any tags: says nothing, and is often written */
            skip_spaces(source);
        } else {
            struct part key, value;
            int r = compile_part(source, false, &key);
            if (r < 0) return r;
            if (key.text.size == 0) return YD_EFORMAT;
            skip_spaces(source);
            if (!take(source, '=')) return YD_EFORMAT;
            skip_spaces(source);
            r = compile_part(source, true, &value);
            if (r < 0) return r;
            if (pattern->tag_count == YD_NAME_TAGS_MAX) return YD_ETOOBIG;
            uint32_t at = pattern->tag_count;
            while (at > 0 && yd_str_cmp(pattern->tags[at - 1].key, key.text) >= 0) at--;
            if (at < pattern->tag_count && yd_str_eq(pattern->tags[at].key, key.text)) return YD_EDUP;
            memmove(&pattern->tags[at + 1], &pattern->tags[at], (pattern->tag_count - at) * sizeof pattern->tags[0]);
            pattern->tags[at].key = key.text;
            pattern->tags[at].value = value;
            pattern->tag_count++;
            skip_spaces(source);
        }
        if (source->at == source->text.size) return 0;
        if (!take(source, ',')) return YD_EFORMAT;
    }
}

static int compile(struct source *source, struct yd_pattern *pattern)
{
    skip_spaces(source);
    size_t before = source->at;
    int r = compile_part(source, true, &pattern->metric);
    if (r < 0) return r;
    if (source->at == before) return YD_EFORMAT;
    if (source->at == source->text.size) return 0;
    if (!take(source, ' ')) return YD_EFORMAT;
    skip_spaces(source);
    return source->at == source->text.size ? 0 : compile_tags(source, pattern);
}

int yd_pattern_compile(struct yd_str text, struct yd_pattern **ret_pattern)
{
    if (text.size > YD_NAME_SIZE_MAX) return YD_ETOOBIG;
    if (!yd_text_utf8(text)) return YD_EFORMAT;
    size_t tags = 0; /* at most: each has its '=' */
    for (size_t i = 0; i < text.size && tags < YD_NAME_TAGS_MAX; i++) tags += text.data[i] == '=';
    size_t before = sizeof(struct yd_pattern) + tags * sizeof((struct yd_pattern *)NULL)->tags[0];
    size_t size = before + text.size; /* no part is longer than it was written */
    struct yd_pattern *pattern = yd_alloc_zero(NULL, size);
    if (!pattern) return YD_ENOMEM;
    pattern->size = size;
    struct source source = {.text = text, .to = (char *)pattern + before};
    int r = compile(&source, pattern);
    if (r < 0) {
        yd_pattern_destroy(pattern);
        return r;
    }
    *ret_pattern = pattern;
    return 0;
}

void yd_pattern_destroy(struct yd_pattern *pattern)
{
    if (pattern) yd_alloc_put(NULL, pattern, pattern->size);
}

struct yd_str yd_pattern_prefix(const struct yd_pattern *pattern)
{
    struct yd_str text = pattern->metric.text;
    size_t size = 0;
    if (pattern->metric.match == ANY) return (struct yd_str){text.data, 0};
    if (pattern->metric.match != GLOB) return text;
    /* An escape may stand for a character that a name writes without one. */
    while (size < text.size && text.data[size] != '*' && text.data[size] != '?' && text.data[size] != '\\') size++;
    return (struct yd_str){text.data, size};
}

/* Bytes of the character at the front: an escape is one, and so is what UTF-8 spreads over several. */
static size_t character_size(struct yd_str s)
{
    unsigned char c = (unsigned char)s.data[0];
    size_t size = c == '\\' ? 2 : c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return YD_MIN(size, s.size);
}

/* At a mismatch the last star takes one character more; no earlier one needs to. */
static bool match_glob(struct yd_str pattern, struct yd_str s)
{
    size_t at = 0, i = 0, star = SIZE_MAX, star_i = 0;
    while (i < s.size) {
        struct yd_str rest = {s.data + i, s.size - i};
        size_t size = character_size(rest), taken = 0;
        if (at < pattern.size && pattern.data[at] == '*') {
            star = ++at;
            star_i = i;
            continue;
        }
        if (at < pattern.size && pattern.data[at] == '?') {
            taken = 1;
        } else if (at < pattern.size) {
            struct yd_str literal = {pattern.data + at, pattern.size - at};
            taken = character_size(literal);
            literal.size = taken;
            if (taken == 2 && literal.data[0] == '\\' && literal.data[1] == '?') literal = YD_STR("?");
            if (literal.size != size || memcmp(literal.data, rest.data, size) != 0) taken = 0;
        }
        if (taken) {
            at += taken;
            i += size;
        } else if (star != SIZE_MAX) {
            at = star;
            star_i += character_size((struct yd_str){s.data + star_i, s.size - star_i});
            i = star_i;
        } else {
            return false;
        }
    }
    while (at < pattern.size && pattern.data[at] == '*') at++;
    return at == pattern.size;
}

static bool match_part(const struct part *part, struct yd_str s)
{
    switch (part->match) {
    case ANY:
        return true;
    case EQUAL:
        return yd_str_eq(part->text, s);
    case PREFIX:
        return yd_str_starts(s, part->text);
    default:
        return match_glob(part->text, s);
    }
}

/* Takes what stands before `end` (not escaped) off the front, and `end` with it. */
static struct yd_str take_until(struct yd_str *s, char end)
{
    size_t i = 0;
    while (i < s->size && s->data[i] != end) i += s->data[i] == '\\' ? 2 : 1;
    struct yd_str taken = {s->data, YD_MIN(i, s->size)};
    size_t past = YD_MIN(i + 1, s->size);
    *s = (struct yd_str){s->data + past, s->size - past};
    return taken;
}

bool yd_pattern_match(const struct yd_pattern *pattern, struct yd_str canonical_name)
{
    struct yd_str rest = canonical_name, metric;
    if (pattern->metric.match == ANY && pattern->tag_count == 0 && !pattern->exact) return true;
    metric = take_until(&rest, ' ');
    if (!match_part(&pattern->metric, metric)) return false;
    uint32_t matched = 0;
    if (pattern->tag_count == 0) return !pattern->exact || rest.size == 0;
    while (rest.size) {
        struct yd_str key = take_until(&rest, '='), value = take_until(&rest, ',');
        int order = matched < pattern->tag_count ? yd_str_cmp(key, pattern->tags[matched].key) : -1;
        if (order > 0) return false; /* sorted: that key will not come any more */
        if (order < 0 && pattern->exact) return false;
        if (order < 0) continue;
        if (!match_part(&pattern->tags[matched].value, value)) return false;
        matched++;
        if (matched == pattern->tag_count && !pattern->exact) return true;
    }
    return matched == pattern->tag_count;
}
