/* Patterns over dotted names: see nodes.h.
 *
 *   pattern ─ split at the dots outside of braces ─► a node: LITERAL  the same bytes
 *                                                            ANY      `*`
 *                                                            WORDS    before{a,b,c}behind: a search in sorted words
 *                                                            GLOB     all else: yd_text_glob
 *
 * Before anything else the bytes up to the first special one are compared, which turns most names away. */
#include "store/nodes.h"

#include <stdlib.h>

#define PATTERN_MAX 65536 /* a few thousand hosts in braces */
#define GLOB_MAX    4096  /* of one node that is no plain list: yd_text_glob takes no more */
#define NODES_MAX   64

enum kind { LITERAL, ANY, WORDS, GLOB };

struct node {
    enum kind kind;
    struct yd_str text;           /* LITERAL, GLOB */
    struct yd_str before, behind; /* WORDS */
    struct yd_str *words;
    size_t word_count;
};

struct yd__nodes {
    struct yd_str prefix; /* what every text that matches begins with */
    size_t count;
    struct node nodes[];
};

static size_t special(struct yd_str text, const char *set)
{
    size_t i = 0;
    while (i < text.size && !strchr(set, text.data[i])) i++;
    return i;
}

static bool plain(struct yd_str text)
{
    return special(text, "*?[]{}\\,") == text.size && !memchr(text.data, 0, text.size);
}

/* Where the node at the front ends: the first dot outside of braces. */
static size_t node_size(struct yd_str text)
{
    int depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\')
            i++;
        else if (text.data[i] == '{')
            depth++;
        else if (text.data[i] == '}')
            depth -= depth > 0;
        else if (text.data[i] == '.' && !depth)
            return i;
    }
    return text.size;
}

static int by_text(const void *a, const void *b)
{
    return yd_str_cmp(*(const struct yd_str *)a, *(const struct yd_str *)b);
}

/* before{a,b}behind with nothing special in it; false: it is not of that kind. */
static int read_words(struct node *node, struct yd_str text, struct yd_arena *arena)
{
    size_t open = special(text, "{"), close = special(text, "}");
    if (open >= close || close == text.size) return 0;
    struct yd_str list = {text.data + open + 1, close - open - 1};
    struct yd_str before = {text.data, open}, behind = {text.data + close + 1, text.size - close - 1};
    if (!plain(before) || !plain(behind) || special(list, "*?[]{}\\") < list.size) return 0;
    size_t count = 1;
    for (size_t i = 0; i < list.size; i++) count += list.data[i] == ',';
    struct yd_str *words = yd_arena_get(arena, count * sizeof *words);
    if (!words) return YD_ENOMEM;
    for (size_t i = 0, at = 0; i < count; i++) {
        struct yd_str rest = {list.data + at, list.size - at};
        words[i] = (struct yd_str){rest.data, special(rest, ",")};
        at += words[i].size + 1;
    }
    qsort(words, count, sizeof *words, by_text);
    *node = (struct node){.kind = WORDS, .before = before, .behind = behind, .words = words, .word_count = count};
    return 1;
}

static int read_node(struct node *node, struct yd_str text, struct yd_arena *arena, struct yd_trail *trail)
{
    *node = (struct node){.kind = GLOB, .text = text};
    if (yd_str_eq(text, YD_STR("*"))) node->kind = ANY;
    if (plain(text)) node->kind = LITERAL;
    if (node->kind != GLOB) return 0;
    int r = read_words(node, text, arena);
    if (r < 0) return r;
    if (r == 0 && text.size > GLOB_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "a node of the pattern has more than %d bytes: make it shorter",
                            GLOB_MAX);
    return 0;
}

int yd__nodes_compile(struct yd_str pattern, struct yd_arena *arena, const struct yd__nodes **ret_nodes,
                      struct yd_trail *trail)
{
    if (pattern.size > PATTERN_MAX)
        return yd_trail_add(trail, YD_ETOOBIG, "the pattern has more than %d bytes: make it shorter", PATTERN_MAX);
    struct yd__nodes *made = yd_arena_zero(arena, sizeof *made + NODES_MAX * sizeof made->nodes[0]);
    struct yd_str rest = yd_arena_str(arena, pattern);
    if (!made || !rest.data) return YD_ENOMEM;
    made->prefix = (struct yd_str){rest.data, special(rest, "*?[]{}\\")};
    for (;;) {
        if (made->count == NODES_MAX)
            return yd_trail_add(trail, YD_ETOOBIG, "the pattern has more than %d nodes", NODES_MAX);
        size_t size = node_size(rest);
        int r = read_node(&made->nodes[made->count++], (struct yd_str){rest.data, size}, arena, trail);
        if (r < 0) return r;
        if (size == rest.size) break;
        rest = (struct yd_str){rest.data + size + 1, rest.size - size - 1};
    }
    *ret_nodes = made;
    return 0;
}

static bool match_words(const struct node *node, struct yd_str text)
{
    size_t around = node->before.size + node->behind.size;
    if (text.size < around || !yd_str_starts(text, node->before)) return false;
    struct yd_str word = {text.data + node->before.size, text.size - around};
    struct yd_str end = {word.data + word.size, node->behind.size};
    return yd_str_eq(end, node->behind) && bsearch(&word, node->words, node->word_count, sizeof word, by_text);
}

static bool match_node(const struct node *node, struct yd_str text)
{
    switch (node->kind) {
    case LITERAL:
        return yd_str_eq(node->text, text);
    case ANY:
        return true;
    case WORDS:
        return match_words(node, text);
    case GLOB:
        break;
    }
    return yd_text_glob(node->text, text);
}

bool yd__nodes_match(const struct yd__nodes *nodes, struct yd_str text, size_t *ret_end)
{
    if (!yd_str_starts(text, nodes->prefix)) return false;
    size_t at = 0;
    for (size_t i = 0; i < nodes->count; i++) {
        if (i && at == text.size) return false;
        at += i != 0; /* behind the dot */
        const char *dot = memchr(text.data + at, '.', text.size - at);
        size_t size = dot ? (size_t)(dot - text.data) - at : text.size - at;
        if (!match_node(&nodes->nodes[i], (struct yd_str){text.data + at, size})) return false;
        at += size;
    }
    *ret_end = at;
    return true;
}
