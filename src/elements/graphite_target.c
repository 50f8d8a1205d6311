/* The grammar of targets: see graphite_target.h. It is that of graphite-web 1.1 ("render/grammar.py" describes it),
 * read by descent; a word is a number, a truth or a path by what it looks like and what follows it. */
#include "elements/graphite_target.h"

#define TEXT_MAX  65536
#define DEPTH_MAX 32
#define PARTS_MAX 1024

struct parser {
    const char *start, *at, *end;
    struct yd_arena *arena;
    struct yd_trail *trail;
    unsigned parts;
    int depth;
};

static int parse_target(struct parser *p, struct yd_gnode **ret);

static int refuse(struct parser *p, int error, const char *what)
{
    size_t at = (size_t)(p->at - p->start), size = YD_MIN((size_t)(p->end - p->start), (size_t)160);
    return yd_trail_add(p->trail, error, "%s at character %zu of '%.*s'", what, at + 1, (int)size, p->start);
}

static void skip_spaces(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')) p->at++;
}

static bool next_is(struct parser *p, char c)
{
    skip_spaces(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static struct yd_gnode *make(struct parser *p, enum yd_gkind kind, struct yd_str text)
{
    struct yd_gnode *node = ++p->parts <= PARTS_MAX ? yd_arena_zero(p->arena, sizeof *node) : NULL;
    if (node) *node = (struct yd_gnode){.kind = kind, .text = text};
    return node;
}

static int no_node(struct parser *p)
{
    return p->parts > PARTS_MAX ? refuse(p, YD_ETOOBIG, "more than 1024 parts") : YD_ENOMEM;
}

static bool is_word(struct yd_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '_' && !(i && c >= '0' && c <= '9')) return false;
    }
    return text.size != 0;
}

static bool same_word(struct yd_str text, const char *word)
{
    size_t size = strlen(word);
    if (text.size != size) return false;
    for (size_t i = 0; i < size; i++)
        if ((text.data[i] | 0x20) != word[i]) return false;
    return true;
}

/* ---- words ---- */

static int parse_string(struct parser *p, struct yd_gnode **ret)
{
    char quote = *p->at++;
    const char *from = p->at;
    const char *end = from;
    while (end < p->end && *end != quote) end += *end == '\\' && end + 1 < p->end ? 2 : 1;
    char *to = yd_arena_get(p->arena, (size_t)(end - from) + 1); /* no more than this string */
    size_t size = 0;
    if (!to) return YD_ENOMEM;
    while (p->at < p->end && *p->at != quote) {
        bool pair = *p->at == '\\' && p->at + 1 < p->end;
        if (pair && p->at[1] == quote)
            p->at++;
        else if (pair)
            to[size++] = *p->at++;
        to[size++] = *p->at++;
    }
    if (p->at == p->end) return refuse(p, YD_EINVAL, "a string that does not end");
    p->at++;
    *ret = make(p, YD_G_STRING, (struct yd_str){to, size});
    return *ret ? 0 : no_node(p);
}

/* A run of what paths are made of. key: up to an `=` behind a word, which names an argument. */
static struct yd_str run(struct parser *p, bool key)
{
    const char *from = p->at;
    int braces = 0;
    for (; p->at < p->end; p->at++) {
        char c = *p->at;
        if (c == '\\' && p->at + 1 < p->end) {
            p->at++;
            continue;
        }
        if (c == '{') braces++;
        if (c == '}') braces -= braces > 0;
        if (c == '\0' || strchr(" \t\r\n\"'()|", c) || (c == ',' && !braces)) break;
        if (key && c == '=' && is_word((struct yd_str){from, (size_t)(p->at - from)})) break;
    }
    return (struct yd_str){from, (size_t)(p->at - from)};
}

static int parse_arguments(struct parser *p, struct yd_gnode *call)
{
    struct yd_gnode **last = &call->first;
    while (*last) last = &(*last)->next;
    if (next_is(p, ')')) return 0;
    for (;;) {
        struct yd_str key = YD_STR("");
        struct yd_gnode *argument = NULL;
        skip_spaces(p);
        const char *from = p->at;
        struct yd_str word = run(p, true);
        if (p->at < p->end && *p->at == '=' && is_word(word)) {
            key = word;
            p->at++;
        } else {
            p->at = from;
        }
        int r = parse_target(p, &argument);
        if (r < 0) return r;
        argument->key = key;
        *last = argument;
        last = &argument->next;
        call->count++;
        if (next_is(p, ')')) return 0;
        if (!next_is(p, ',')) return refuse(p, YD_EINVAL, "a comma or ) is expected");
    }
}

static int parse_word(struct parser *p, struct yd_gnode **ret)
{
    const char *from = p->at;
    struct yd_str text = run(p, false);
    double number;
    if (!text.size) return refuse(p, YD_EINVAL, "a path, a function or a value is expected");
    if (p->at < p->end && *p->at == '(') {
        if (!is_word(text)) return p->at = from, refuse(p, YD_EINVAL, "no function has this name");
        p->at++;
        *ret = make(p, YD_G_CALL, text);
        return *ret ? parse_arguments(p, *ret) : no_node(p);
    }
    enum yd_gkind kind = YD_G_PATH;
    if (yd_text_f64(text, false, &number) == 0) kind = YD_G_NUMBER;
    if (same_word(text, "true") || same_word(text, "false")) kind = YD_G_BOOL;
    if (same_word(text, "none")) kind = YD_G_NONE;
    *ret = make(p, kind, text);
    if (!*ret) return no_node(p);
    (*ret)->number = kind == YD_G_NUMBER ? number : kind == YD_G_BOOL && same_word(text, "true");
    return 0;
}

/* ---- all of it ---- */

static int parse_pipe(struct parser *p, struct yd_gnode **left)
{
    struct yd_gnode *call = NULL;
    skip_spaces(p);
    const char *from = p->at;
    struct yd_str name = run(p, false);
    if (!is_word(name) || p->at == p->end || *p->at != '(') {
        p->at = from;
        return refuse(p, YD_EINVAL, "a function is expected behind |");
    }
    p->at++;
    call = make(p, YD_G_CALL, name);
    if (!call) return no_node(p);
    call->first = *left;
    call->count = 1;
    *left = call;
    return parse_arguments(p, call);
}

static int parse_target(struct parser *p, struct yd_gnode **ret)
{
    int pipes = 0;
    if (++p->depth > DEPTH_MAX) return refuse(p, YD_ETOOBIG, "more than 32 functions within each other");
    skip_spaces(p);
    int r = p->at < p->end && (*p->at == '"' || *p->at == '\'') ? parse_string(p, ret) : parse_word(p, ret);
    while (r == 0 && next_is(p, '|')) {
        if (++pipes + p->depth > DEPTH_MAX) return refuse(p, YD_ETOOBIG, "more than 32 functions within each other");
        r = parse_pipe(p, ret);
    }
    p->depth--;
    return r;
}

static int depth_of(const struct yd_gnode *node)
{
    int most = 0;
    for (const struct yd_gnode *argument = node->first; argument; argument = argument->next) {
        int depth = depth_of(argument); /* once: YD_MAX looks twice */
        most = YD_MAX(most, depth);
    }
    return most + 1;
}

int yd_gtarget_parse(struct yd_str text, struct yd_arena *arena, struct yd_gnode **ret, struct yd_trail *trail)
{
    struct parser p = {
        .start = text.data, .at = text.data, .end = text.data + text.size, .arena = arena, .trail = trail};
    *ret = NULL;
    if (text.size > TEXT_MAX) return yd_trail_add(trail, YD_ETOOBIG, "a target of more than %d bytes", TEXT_MAX);
    int r = parse_target(&p, ret);
    if (r < 0) return r;
    skip_spaces(&p);
    if (p.at < p.end) return refuse(&p, YD_EINVAL, "nothing more is expected");
    /* Pipes within pipes: each level is bounded, their sum is looked at here. */
    if (depth_of(*ret) > 2 * DEPTH_MAX) return refuse(&p, YD_ETOOBIG, "too many functions within each other");
    return 0;
}

const struct yd_gnode *yd_gtarget_first_path(const struct yd_gnode *node)
{
    if (node->kind == YD_G_PATH) return node;
    for (const struct yd_gnode *argument = node->first; argument; argument = argument->next) {
        const struct yd_gnode *found = yd_gtarget_first_path(argument);
        if (found) return found;
    }
    return NULL;
}

const struct yd_gnode *yd_gtarget_argument(const struct yd_gnode *call, uint32_t place, const char *key)
{
    uint32_t at = 0;
    for (const struct yd_gnode *argument = call->first; argument; argument = argument->next, at++) {
        if (argument->key.size ? yd_str_eq(argument->key, yd_str_of(key)) : at == place) return argument;
    }
    return NULL;
}
