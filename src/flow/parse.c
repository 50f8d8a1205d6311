/* Text to syntax tree: drives lexer, layout and grammar over one file or one value, and holds what they share: memory
 * that jumps when it is out, places, the words for a token, and the names that a broken statement takes with it. */
#include <stdio.h>

#include "flow/grammar.h"
#include "flow/language.h"

/* ---- memory ---- */

static void *from_arena(struct yd__work *work, struct yd_arena *arena, size_t size)
{
    void *piece = yd_arena_zero(arena, size);
    if (piece) return piece;
    if (!work->in_bison) longjmp(work->out_of_memory, 1);
    /* Everything that grammar.y makes fits; what it writes there is never read, the load fails behind it. */
    YD_ASSERT(size <= sizeof work->dummy);
    work->failed = true;
    return memset(work->dummy, 0, sizeof work->dummy);
}

void *yd__get(struct yd__work *work, size_t size)
{
    return from_arena(work, &work->arena, size);
}

void *yd__keep(struct yd__work *work, size_t size)
{
    return from_arena(work, &work->topology->arena, size);
}

static char *print(struct yd__work *work, struct yd_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = yd_arena_get(arena, (size_t)size + 1);
    if (text) (void)vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    if (text) return text;
    if (!work->in_bison) longjmp(work->out_of_memory, 1);
    work->failed = true;
    return memset(work->dummy, 0, sizeof work->dummy);
}

char *yd__printf(struct yd__work *work, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = print(work, &work->arena, format, args);
    va_end(args);
    return text;
}

char *yd__keepf(struct yd__work *work, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = print(work, &work->topology->arena, format, args);
    va_end(args);
    return text;
}

struct yd_str yd__keep_str(struct yd__work *work, struct yd_str s)
{
    char *text = yd__keep(work, s.size + 1);
    if (s.size) memcpy(text, s.data, s.size);
    return (struct yd_str){text, s.size};
}

/* ---- the map ---- */

static struct yd__map_slot *slot_of(const struct yd__map *map, struct yd_str key)
{
    /* FNV-1a: names are short, and this floor's maps are small. */
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.size; i++) hash = (hash ^ (unsigned char)key.data[i]) * 16777619u;
    uint32_t at = hash & map->mask;
    while (map->slots[at].value && !yd_str_eq(map->slots[at].key, key)) at = (at + 1) & map->mask;
    return &map->slots[at];
}

void *yd__map_find(const struct yd__map *map, struct yd_str key)
{
    return map->slots ? slot_of(map, key)->value : NULL;
}

void *yd__map_add(struct yd__work *work, struct yd__map *map, struct yd_str key, void *value)
{
    if (!map->slots || map->count * 2 > map->mask) {
        struct yd__map larger = {.mask = map->slots ? map->mask * 2 + 1 : 15};
        larger.slots = yd__get(work, (larger.mask + 1) * sizeof *larger.slots);
        for (uint32_t i = 0; map->slots && i <= map->mask; i++)
            if (map->slots[i].value) *slot_of(&larger, map->slots[i].key) = map->slots[i];
        larger.count = map->count;
        *map = larger;
    }
    struct yd__map_slot *slot = slot_of(map, key);
    if (slot->value) return slot->value;
    *slot = (struct yd__map_slot){key, value};
    map->count++;
    return NULL;
}

/* ---- places ---- */

struct yd_place yd__token_place(const struct yd__parse *parse, uint32_t index)
{
    const struct yd__token *token = &parse->tokens[index];
    return (struct yd_place){parse->file, token->line, token->column, YD_MAX(token->length, 1u)};
}

struct yd_place yd__span_place(const struct yd__parse *parse, struct yd__span span)
{
    struct yd_place place = yd__token_place(parse, span.first);
    const struct yd__token *first = &parse->tokens[span.first], *last = &parse->tokens[span.last];
    if (last->line == first->line && last->column >= first->column)
        place.length = YD_MAX(last->column + last->length - first->column, 1u);
    return place;
}

struct yd_str yd__span_text(const struct yd__parse *parse, struct yd__span span)
{
    const struct yd__token *first = &parse->tokens[span.first], *last = &parse->tokens[span.last];
    if (last->offset + last->size < first->offset) return (struct yd_str){"", 0};
    return (struct yd_str){parse->text.data + first->offset, last->offset + last->size - first->offset};
}

const char *yd__token_words(struct yd__parse *parse, uint32_t index)
{
    const struct yd__token *token = &parse->tokens[index];
    if (token->type == YD_TOK_YYEOF) return "the end of the file";
    if (token->type == YD_TOK_END) {
        /* A made token: is it at the end of the file, the line, or before a `;` or `}`? */
        const char *p = parse->text.data + token->offset, *end = parse->text.data + parse->text.size;
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) p++;
        const char *rest = p;
        while (rest < end && (*rest == ' ' || *rest == '\t' || *rest == '\r' || *rest == '\n')) rest++;
        if (rest == end) return "the end of the file";
        if (*p == ';') return "';'";
        if (*p == '}') return "'}'";
        return "the end of the line";
    }
    if (token->size == 0) return "something missing";
    uint32_t size = token->size, limit = 32;
    const char *text = parse->text.data + token->offset;
    if (token->type == YD_TOK_STRING) {
        if (size <= limit) return yd__printf(parse->work, "the text %.*s", (int)size, text);
        while (limit > 24 && ((unsigned char)text[limit - 4] & 0xc0) == 0x80) limit--;
        return yd__printf(parse->work, "the text %.*s…\"", (int)limit - 4, text);
    }
    if (size <= limit) return yd__printf(parse->work, "'%.*s'", (int)size, text);
    return yd__printf(parse->work, "'%.*s…'", (int)limit - 4, text);
}

/* A lost statement takes its names with it: whatever it declared or wired is neither unknown nor unwired elsewhere. */
void yd__parse_broken(struct yd__parse *parse, struct yd__span span)
{
    struct yd__work *work = parse->work;
    if (work->failed) return;
    if (parse->tokens[span.first].type == YD_TOK_INCLUDE) work->names_lost = true;
    work->in_bison = false; /* the map may grow beyond the dummy; bison holds no memory of its own */
    for (uint32_t i = parse->stream_next; i-- > 0;) {
        const struct yd__token *token = &parse->tokens[parse->stream[i]];
        if (token->offset < parse->tokens[span.first].offset) break; /* the stream is in the order of the text */
        if (token->type != YD_TOK_ID) continue;
        (void)yd__map_add(work, &work->poisoned, token->text, (void *)token);
    }
    work->in_bison = true;
}

/* ---- driving ---- */

static bool is_text(struct yd__parse *parse)
{
    const char *data = parse->text.data;
    size_t size = parse->text.size;
    if (yd_text_utf8(parse->text)) return true;
    /* Where: the first line with a byte that is none. Characters before it are counted as the lexer would. */
    struct yd_place place = {parse->file, 1, 1, 1};
    size_t line = 0;
    while (line < size) {
        const char *end = memchr(data + line, '\n', size - line);
        size_t next = end ? (size_t)(end - data) + 1 : size;
        if (!yd_text_utf8((struct yd_str){data + line, next - line})) break;
        place.line++;
        line = next;
    }
    size_t good = line, at = line;
    while (at < size) {
        /* One character, of 1 to 4 bytes. */
        size_t length = 1;
        while (length <= 4 && at + length <= size && !yd_text_utf8((struct yd_str){data + at, length})) length++;
        if (length > 4 || at + length > size) break;
        at += length;
        place.column++;
    }
    good = at;
    parse->errors++;
    unsigned char byte = good < size ? (unsigned char)data[good] : 0;
    yd__report(parse->work, YD_Y_NOT_TEXT, place, "",
               byte ? "the byte \\x%02x here is not UTF-8 text" : "the byte \\x%02x here has no place in a text file",
               byte);
    yd__help(parse->work, "save the file as UTF-8; in a text in quotes, bytes are written \\xNN");
    return false;
}

/* The lexer needs a NUL behind the text: it gets a copy that lives as long as the tree. */
static void run(struct yd__parse *parse, struct yd_str text)
{
    struct yd__work *work = parse->work;
    uint32_t before = work->silent ? work->tried : (uint32_t)work->diagnostics->errors;
    char *copy = yd__get(work, text.size + 1);
    if (text.size) memcpy(copy, text.data, text.size);
    parse->text = (struct yd_str){copy, text.size};
    parse->items_end = &parse->items;
    parse->body = &work->body;
    if (!is_text(parse)) {
        work->names_lost = true;
        return;
    }
    yd__lex(parse);
    yd__layout(parse);
    if (parse->hopeless) {
        work->names_lost = true;
        return;
    }
    work->in_bison = true;
    int r = yd__flow_parse(parse);
    work->in_bison = false;
    if (work->failed) longjmp(work->out_of_memory, 1);
    if (r != 0) {
        work->names_lost = true;
        parse->hopeless = true;
    }
    uint32_t after = work->silent ? work->tried : (uint32_t)work->diagnostics->errors;
    parse->errors = after - before;
}

void yd__parse_file(struct yd__parse *parse, struct yd__work *work, uint32_t file, struct yd_str text)
{
    *parse = (struct yd__parse){.work = work, .file = file};
    run(parse, text);
}

struct yd__value *yd__parse_value(struct yd__work *work, struct yd_str text, struct yd_place place)
{
    struct yd__parse parse = {.work = work, .file = place.file, .only_value = true};
    bool names_lost = work->names_lost, silent = work->silent;
    work->silent = true;
    run(&parse, text);
    work->silent = silent;
    work->names_lost = names_lost;
    return parse.errors == 0 && !parse.hopeless ? parse.value : NULL;
}
