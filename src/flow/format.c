/* The canonical layout: two spaces a level, one blank line at most, spaces where the grammar's parts meet, `::` aligned
 * in runs of declarations. Works on tokens, not on the tree: comments and the reader's own line breaks stay, so
 * formatting twice changes nothing, and what is formatted means what it meant. */
#include "flow/grammar.h"
#include "flow/language.h"

struct piece { /* a token or comment as it will stand */
    uint32_t token;
    uint8_t newlines; /* before it: 0, 1, 2 (a blank line) */
    uint32_t indent;  /* after a newline */
    uint32_t pad;     /* spaces more behind it: aligned `::` */
    bool starts;      /* a statement */
};

struct format {
    struct yd__parse *parse;
    struct piece *pieces;
    uint32_t count;
};

static bool is_open(int type)
{
    return type == YD_TOK_OPEN || type == YD_TOK_LIST_OPEN || type == YD_TOK_BRACE_OPEN || type == YD_TOK_PUSH_OPEN ||
           type == YD_TOK_QUERY_OPEN;
}
static bool is_close(int type)
{
    return type == YD_TOK_CLOSE || type == YD_TOK_LIST_CLOSE || type == YD_TOK_BRACE_CLOSE ||
           type == YD_TOK_PUSH_CLOSE || type == YD_TOK_QUERY_CLOSE;
}
static bool is_wire(int type) /* on whose either side a statement goes on */
{
    return type == YD_TOK_PUSH_WIRE || type == YD_TOK_QUERY_WIRE;
}
static bool goes_on_behind(int type)
{
    return is_wire(type) || type == YD_TOK_PUSH_CLOSE || type == YD_TOK_QUERY_CLOSE || type == YD_TOK_COMMA;
}
static bool goes_on_with(int type)
{
    return is_wire(type) || type == YD_TOK_PUSH_OPEN || type == YD_TOK_QUERY_OPEN;
}

/* Which pieces there are, and where lines break. */
static void lay_out(struct format *it)
{
    const struct yd__parse *parse = it->parse;
    uint32_t blocks = 0, brackets = 0;
    int before = 0; /* the last token that is no comment */
    bool before_block = false, starts = true;
    uint8_t newlines = 0;
    for (uint32_t i = 0; i < parse->raw_count; i++) {
        const struct yd__token *token = &parse->tokens[i];
        int type = token->type;
        if (type == YD_RAW_NEWLINE) {
            newlines = YD_MIN(newlines + 1, 2);
            continue;
        }
        if (type == YD_RAW_SEMICOLON) {
            newlines = YD_MAX(newlines, 1);
            continue;
        }
        bool comment = type == YD_RAW_COMMENT, close_block = type == YD_TOK_BRACE_CLOSE && token->is_block;
        bool open_block = type == YD_TOK_BRACE_OPEN && token->is_block;
        bool first = it->count == 0, after_open_block = before == YD_TOK_BRACE_OPEN && before_block;
        bool after_comment = !first && parse->tokens[it->pieces[it->count - 1].token].type == YD_RAW_COMMENT;
        if (close_block) blocks--;
        if (close_block || (!comment && (after_open_block || (before == YD_TOK_BRACE_CLOSE && before_block))))
            newlines = YD_MAX(newlines, 1);
        if (close_block || (after_open_block && !after_comment)) newlines = YD_MIN(newlines, 1);
        if (open_block && !after_comment) newlines = 0;
        if (first) newlines = 0;
        if (!comment && newlines && brackets == 0)
            starts = !goes_on_behind(before) && !goes_on_with(type) && !close_block && !open_block;
        if (is_close(type) && !close_block) brackets--;
        uint32_t indent = 2 * blocks + 2 * brackets;
        bool continued =
            brackets == 0 && !is_close(type) && (goes_on_behind(before) || (!comment && goes_on_with(type)));
        if (continued) indent += 2;
        it->pieces[it->count++] =
            (struct piece){i, first ? 0 : newlines, indent, 0, !comment && starts && (first || newlines)};
        newlines = 0;
        if (comment) continue;
        if (is_open(type) && !open_block) brackets++;
        if (open_block) blocks++;
        before = type;
        before_block = token->is_block;
        starts = false;
    }
}

static int type_at(const struct format *it, uint32_t piece)
{
    return piece < it->count ? it->parse->tokens[it->pieces[piece].token].type : 0;
}

/* Runs of `name :: …` on neighbouring lines, each of one line, get their `::` below one another. */
static void align(struct format *it)
{
    for (uint32_t i = 0; i < it->count;) {
        uint32_t width = 0, end = i, next = i;
        for (;;) {
            bool declares = end < it->count && it->pieces[end].starts && type_at(it, end) == YD_TOK_ID &&
                            type_at(it, end + 1) == YD_TOK_DECLARE && it->pieces[end + 1].newlines == 0;
            if (!declares || (end > i && it->pieces[end].newlines != 1)) break;
            width = YD_MAX(width, it->parse->tokens[it->pieces[end].token].length);
            next = end + 1;
            while (next < it->count && it->pieces[next].newlines == 0) next++;
            bool one_line = next == it->count || it->pieces[next].starts;
            end = next;
            if (!one_line) break;
        }
        for (uint32_t at = i; at < end; at++)
            if (it->pieces[at].starts) it->pieces[at].pad = width - it->parse->tokens[it->pieces[at].token].length;
        i = end > i ? end : i + 1;
    }
}

static bool spaced(const struct yd__token *left, const struct yd__token *right)
{
    int a = left->type, b = right->type;
    if (a == YD_TOK_BRACE_OPEN && b == YD_TOK_BRACE_CLOSE) return false;
    if (a == YD_TOK_LIST_OPEN) return b == YD_TOK_BRACE_OPEN;
    if (b == YD_TOK_LIST_CLOSE) return a == YD_TOK_BRACE_CLOSE;
    if (a == YD_TOK_OPEN || a == YD_TOK_DOT || a == YD_TOK_PUSH_OPEN || a == YD_TOK_QUERY_OPEN) return false;
    return b != YD_TOK_OPEN && b != YD_TOK_CLOSE && b != YD_TOK_COMMA && b != YD_TOK_DOT && b != YD_TOK_COLON &&
           b != YD_TOK_PUSH_CLOSE && b != YD_TOK_QUERY_CLOSE;
}

static void put(struct format *it, struct yd_buf *to)
{
    const struct yd__parse *parse = it->parse;
    for (uint32_t i = 0; i < it->count; i++) {
        const struct piece *piece = &it->pieces[i];
        const struct yd__token *token = &parse->tokens[piece->token];
        bool comment = token->type == YD_RAW_COMMENT;
        for (uint8_t newline = 0; newline < piece->newlines; newline++) yd_buf_char(to, '\n');
        if (i == 0 || piece->newlines)
            for (uint32_t space = 0; space < piece->indent; space++) yd_buf_char(to, ' ');
        else if (comment)
            yd_buf_cstr(to, "  ");
        else if (spaced(&parse->tokens[it->pieces[i - 1].token], token))
            yd_buf_char(to, ' ');
        size_t size = token->size;
        while (comment && size && (unsigned char)parse->text.data[token->offset + size - 1] <= ' ') size--;
        yd_buf_add(to, parse->text.data + token->offset, size);
        for (uint32_t space = 0; space < piece->pad; space++) yd_buf_char(to, ' ');
    }
    if (it->count) yd_buf_char(to, '\n');
}

static int format(struct yd__work *work, const char *path, struct yd_str text, struct yd_buf *to)
{
    uint32_t file = yd__source_add(work, path, text);
    struct yd__parse parse;
    yd__parse_file(&parse, work, file, text);
    yd__diagnostics_sort(work);
    if (work->diagnostics->errors) return YD_EFORMAT;
    struct format it = {.parse = &parse};
    it.pieces = yd__get(work, (parse.raw_count + 1) * sizeof *it.pieces);
    lay_out(&it);
    align(&it);
    put(&it, to);
    return to->failed ? YD_ENOMEM : 0;
}

int yd_topology_format(const char *path, struct yd_str text, struct yd_buf *to, struct yd_diagnostics *diagnostics)
{
    struct yd_alloc *alloc = diagnostics->arena.alloc;
    struct yd__work *work = yd_alloc_zero(alloc, sizeof *work);
    if (!work) return YD_ENOMEM;
    yd_arena_init(&work->arena, alloc);
    work->diagnostics = diagnostics;
    int r = YD_ENOMEM;
    if (setjmp(work->out_of_memory) == 0) {
        if (text.size > YD_FLOW_FILE_SIZE_MAX) {
            uint32_t file = yd__source_add(work, path, YD_STR(""));
            yd__report(work, YD_Y_FILE_SIZE, (struct yd_place){.file = file}, "", "'%s' is larger than 1MiB", path);
            r = YD_EFORMAT;
        } else {
            r = format(work, path, text, to);
        }
    }
    yd_arena_fini(&work->arena);
    yd_alloc_put(alloc, work, sizeof *work);
    return r;
}
