/* Layout: raw tokens into the stream that bison reads. What a line-based language needs and a grammar says badly:
 *
 *   - where a statement ends: at a newline or `;`, but not inside brackets, behind a comma or a wire, or before a wire;
 *   - which words are keywords: only where they can be ones, so that `history.query` is a port and `in` may be a name;
 *   - brackets: each gets its partner. A forgotten one is found where the next statement begins (`name ::`, `a ->`,
 *     `param x` never stand in brackets), reported at the bracket that was left open, and closed, so that it is one
 *     mistake and not the rest of the file. */
#include "flow/grammar.h"
#include "flow/language.h"

struct open_bracket {
    uint32_t token;
    int opener; /* YD_TOK_OPEN …; for a block BRACE_OPEN with is_block */
    bool is_block, forgiven;
    int keyword; /* of a block: ELEMENT or TEST */
};

struct layout {
    struct yd__parse *parse;
    struct open_bracket stack[YD_FLOW_NESTING_MAX];
    uint32_t depth;
    uint32_t *significant; /* raw tokens without comments and newlines behind index i: see next_of */
    bool at_start;
    int keyword;   /* that began this statement; 0 */
    int before;    /* the type of the last token in the stream */
    int before2;   /* and of the one before it */
    uint32_t last; /* its index */
    bool line_cut; /* a text without its end swallowed the rest of this line */
    bool stopped;
};

static void stream_add(struct layout *it, uint32_t token)
{
    struct yd__parse *parse = it->parse;
    if (parse->stream_count == parse->stream_capacity) {
        uint32_t capacity = parse->stream_capacity ? parse->stream_capacity * 2 : 256;
        uint32_t *stream = yd__get(parse->work, capacity * sizeof *stream);
        if (parse->stream_count) memcpy(stream, parse->stream, parse->stream_count * sizeof *stream);
        parse->stream = stream;
        parse->stream_capacity = capacity;
    }
    parse->stream[parse->stream_count++] = token;
    it->before2 = it->before;
    it->before = parse->tokens[token].type;
    it->last = token;
}

/* A token that is not in the text: stands behind the last one. */
static void add_made(struct layout *it, int type)
{
    struct yd__parse *parse = it->parse;
    if (parse->token_count == parse->token_capacity) {
        uint32_t capacity = parse->token_capacity * 2;
        struct yd__token *tokens = yd__get(parse->work, capacity * sizeof *tokens);
        memcpy(tokens, parse->tokens, parse->token_count * sizeof *tokens);
        parse->tokens = tokens;
        parse->token_capacity = capacity;
    }
    struct yd__token made = {.type = type, .line = 1, .column = 1}; /* no length: several stand at one place */
    if (parse->stream_count) {
        const struct yd__token *last = &parse->tokens[it->last];
        made.line = last->line;
        made.column = last->column + last->length;
        made.offset = last->offset + last->size;
    }
    parse->tokens[parse->token_count] = made;
    stream_add(it, parse->token_count++);
}

static bool is_trivia(int type)
{
    return type == YD_RAW_NEWLINE || type == YD_RAW_COMMENT;
}

/* The nth token from `from` on (1: the next) that is neither newline nor comment; NULL behind the end. */
static const struct yd__token *ahead(const struct layout *it, uint32_t from, uint32_t raw_count, int nth)
{
    for (uint32_t i = from + 1; i < raw_count; i++) {
        if (is_trivia(it->parse->tokens[i].type)) continue;
        if (--nth == 0) return &it->parse->tokens[i];
    }
    return NULL;
}

static bool is_wire_start(int type)
{
    return type == YD_TOK_PUSH_WIRE || type == YD_TOK_QUERY_WIRE || type == YD_TOK_PUSH_OPEN ||
           type == YD_TOK_QUERY_OPEN;
}

static bool is_wire_end(int type)
{
    return type == YD_TOK_PUSH_WIRE || type == YD_TOK_QUERY_WIRE || type == YD_TOK_PUSH_CLOSE ||
           type == YD_TOK_QUERY_CLOSE;
}

static bool word_is(const struct yd__token *token, const char *word)
{
    return token && token->type == YD_TOK_ID && yd_str_eq(token->text, yd_str_of(word));
}

static bool type_is(const struct yd__token *token, int type)
{
    return token && token->type == type;
}

/* Does a statement begin behind raw token `from`? Asked inside brackets, where none can. */
static bool statement_begins(const struct layout *it, uint32_t from, uint32_t raw_count)
{
    const struct yd__token *one = ahead(it, from, raw_count, 1), *two = ahead(it, from, raw_count, 2);
    if (!one || !two) return false;
    if (one->type != YD_TOK_ID) return false;
    if (two->type == YD_TOK_DECLARE || is_wire_start(two->type)) return true;
    const struct yd__token *three = ahead(it, from, raw_count, 3);
    if (two->type == YD_TOK_DOT) return type_is(three, YD_TOK_ID);
    if (two->type == YD_TOK_STRING) return word_is(one, "include") || word_is(one, "test");
    if (two->type != YD_TOK_ID) return false;
    if (word_is(one, "param")) return type_is(three, YD_TOK_COLON);
    if (word_is(one, "element")) return type_is(three, YD_TOK_OPEN) || type_is(three, YD_TOK_BRACE_OPEN);
    if (word_is(one, "in") || word_is(one, "out")) return word_is(two, "push") || word_is(two, "query");
    return word_is(one, "feed") || word_is(one, "expect");
}

static int closer_of(int opener)
{
    switch (opener) {
    case YD_TOK_OPEN:
        return YD_TOK_CLOSE;
    case YD_TOK_LIST_OPEN:
        return YD_TOK_LIST_CLOSE;
    case YD_TOK_PUSH_OPEN:
        return YD_TOK_PUSH_CLOSE;
    case YD_TOK_QUERY_OPEN:
        return YD_TOK_QUERY_CLOSE;
    default:
        return YD_TOK_BRACE_CLOSE;
    }
}

static const char *closer_text(int opener)
{
    switch (opener) {
    case YD_TOK_OPEN:
        return ")";
    case YD_TOK_LIST_OPEN:
        return "]";
    case YD_TOK_PUSH_OPEN:
        return "]->";
    case YD_TOK_QUERY_OPEN:
        return "]=>";
    default:
        return "}";
    }
}

static struct open_bracket *top(struct layout *it)
{
    return it->depth ? &it->stack[it->depth - 1] : NULL;
}
static bool in_brackets(struct layout *it)
{
    return it->depth && !top(it)->is_block;
}

static void end_statement(struct layout *it)
{
    if (!it->at_start) add_made(it, YD_TOK_END);
    it->at_start = true;
    it->keyword = 0;
}

/* The innermost bracket is closed although its partner is not there. */
static void close_missing(struct layout *it)
{
    struct open_bracket *open = top(it);
    const struct yd__token *opener = &it->parse->tokens[open->token];
    if (!open->forgiven) {
        it->parse->errors++;
        yd__report(it->parse->work, YD_Y_BRACKET, yd__token_place(it->parse, open->token), "", "'%.*s' is never closed",
                   (int)opener->size, it->parse->text.data + opener->offset);
        const struct yd__token *last = &it->parse->tokens[it->last];
        if (!open->is_block)
            yd__help(it->parse->work, "write '%s' behind line %u column %u", closer_text(open->opener), last->line,
                     last->column + last->length - 1);
        else
            yd__help(it->parse->work, "the end of the file came first: write '}' where the %s ends",
                     open->keyword == YD_TOK_TEST ? "test" : "element");
    }
    if (open->is_block) end_statement(it);
    int closer = closer_of(open->opener);
    it->depth--;
    add_made(it, closer);
    it->at_start = it->depth == 0 || top(it)->is_block ? it->at_start : false;
}

static void close_brackets(struct layout *it)
{
    bool first = true;
    while (in_brackets(it)) {
        /* An inner one left open leaves the outer ones open too: said once. */
        if (!first || it->line_cut) top(it)->forgiven = true;
        first = false;
        close_missing(it);
    }
}

static bool push(struct layout *it, uint32_t token, int opener, bool is_block)
{
    if (it->depth == YD_FLOW_NESTING_MAX) {
        it->parse->errors++;
        yd__report(it->parse->work, YD_Y_NESTING, yd__token_place(it->parse, token), "",
                   "brackets are nested more than %d deep", YD_FLOW_NESTING_MAX);
        it->parse->hopeless = it->stopped = true;
        return false;
    }
    it->stack[it->depth++] = (struct open_bracket){token, opener, is_block, false, it->keyword};
    return true;
}

/* A word: a keyword, true, false, or a name. `raw` is its index. */
static int classify(struct layout *it, uint32_t raw, uint32_t raw_count)
{
    static const struct {
        const char *word;
        int type, block;  /* block: the keyword of the block it may stand in; 0: the file */
        bool before_text; /* a text follows, else a name */
    } starters[] = {
        {"param", YD_TOK_PARAM, 0, false},
        {"include", YD_TOK_INCLUDE, 0, true},
        {"element", YD_TOK_ELEMENT, 0, false},
        {"test", YD_TOK_TEST, 0, true},
        {"in", YD_TOK_KW_IN, YD_TOK_ELEMENT, false},
        {"out", YD_TOK_KW_OUT, YD_TOK_ELEMENT, false},
        {"feed", YD_TOK_FEED, YD_TOK_TEST, false},
        {"expect", YD_TOK_EXPECT, YD_TOK_TEST, false},
        {"advance", YD_TOK_ADVANCE, YD_TOK_TEST, true},
    };
    const struct yd__token *token = &it->parse->tokens[raw], *next = ahead(it, raw, raw_count, 1);
    int after = next ? next->type : 0;
    bool brackets = in_brackets(it);
    if (it->at_start && !brackets) {
        int block = it->depth ? top(it)->keyword : 0;
        bool is_name = after == YD_TOK_DECLARE || after == YD_TOK_DOT || after == YD_TOK_COMMA ||
                       after == YD_TOK_OPEN || is_wire_start(after);
        for (size_t i = 0; !is_name && i < YD_COUNT(starters); i++)
            if (starters[i].block == block && word_is(token, starters[i].word)) return it->keyword = starters[i].type;
        /* Two names, or a name and a text, begin no statement: a misspelt keyword. Taken as what was meant. */
        unsigned best = 3;
        size_t nearest = 0;
        for (size_t i = 0; (after == YD_TOK_ID || after == YD_TOK_STRING) && i < YD_COUNT(starters); i++) {
            struct yd_str word = yd_str_of(starters[i].word);
            bool fits = starters[i].block == block && (after == YD_TOK_STRING) == starters[i].before_text;
            unsigned limit = word.size <= 3 ? 1 : 2, distance = yd_text_distance(token->text, word, limit);
            if (fits && distance <= limit && distance < best) best = distance, nearest = i;
        }
        if (best < 3) {
            it->parse->errors++;
            yd__report(it->parse->work, YD_Y_SYNTAX, yd__token_place(it->parse, raw), "",
                       "no statement begins with '%.*s'", YD_STR_FMT(token->text));
            yd__help(it->parse->work, "did you mean '%s'?", starters[nearest].word);
            return it->keyword = starters[nearest].type;
        }
    }
    if (!brackets) {
        if ((it->before == YD_TOK_KW_IN || it->before == YD_TOK_KW_OUT) && it->keyword == it->before) {
            if (word_is(token, "push")) return YD_TOK_KW_PUSH;
            if (word_is(token, "query")) return YD_TOK_KW_QUERY;
        }
        if (it->before == YD_TOK_CLOSE && word_is(token, "of")) return YD_TOK_OF;
        if (it->before == YD_TOK_CLOSE && word_is(token, "with")) return YD_TOK_WITH;
        if (after == YD_TOK_OPEN && word_is(token, "shard")) return YD_TOK_SHARD;
        if (it->keyword == YD_TOK_EXPECT && it->before == YD_TOK_ID) {
            if (word_is(token, "count")) return YD_TOK_COUNT;
            if (word_is(token, "empty")) return YD_TOK_EMPTY;
        }
    }
    if (it->before == YD_TOK_INT && word_is(token, "in")) return YD_TOK_KW_IN;
    bool value = it->before == YD_TOK_EQUALS || it->before == YD_TOK_VALUE_START ||
                 (brackets && (it->before == YD_TOK_COLON || it->before == YD_TOK_COMMA ||
                               it->before == YD_TOK_LIST_OPEN || it->before == YD_TOK_OPEN));
    if (!value) return YD_TOK_ID;
    if (after == YD_TOK_OPEN && word_is(token, "env")) return YD_TOK_ENV;
    if (after == YD_TOK_COLON) return YD_TOK_ID;
    if (word_is(token, "true")) return YD_TOK_TRUE;
    if (word_is(token, "false")) return YD_TOK_FALSE;
    return YD_TOK_ID;
}

static void on_newline(struct layout *it, uint32_t raw, uint32_t raw_count)
{
    if (in_brackets(it)) {
        if (!it->line_cut && !statement_begins(it, raw, raw_count)) return;
        close_brackets(it);
    }
    it->line_cut = false;
    if (it->at_start) return;
    const struct yd__token *next = ahead(it, raw, raw_count, 1);
    if (it->before == YD_TOK_COMMA || is_wire_end(it->before)) return;
    if (next && is_wire_start(next->type)) return;
    if (it->keyword == YD_TOK_ELEMENT || it->keyword == YD_TOK_TEST) {
        if (type_is(next, YD_TOK_BRACE_OPEN)) return;
        /* A head without its body: the brace is what is missing. */
        bool complete = it->before == YD_TOK_CLOSE || it->before == YD_TOK_STRING || it->before2 == YD_TOK_ELEMENT;
        if (complete) {
            const struct yd__token *last = &it->parse->tokens[it->last];
            struct yd_place place = {it->parse->file, last->line, last->column + last->length, 1};
            it->parse->errors++;
            yd__report(it->parse->work, YD_Y_SYNTAX, place, "", "the end of the line is unexpected here: expected '{'");
        }
        add_made(it, YD_TOK_BRACE_OPEN);
        if (!push(it, it->last, YD_TOK_BRACE_OPEN, true)) return;
        top(it)->forgiven = true;
        it->at_start = true;
        it->keyword = 0;
        return;
    }
    end_statement(it);
}

static void on_open(struct layout *it, uint32_t raw)
{
    int type = it->parse->tokens[raw].type;
    bool is_block = false;
    if (type == YD_TOK_BRACE_OPEN) {
        bool is_map = in_brackets(it) || it->before == YD_TOK_COLON || it->before == YD_TOK_EQUALS ||
                      it->before == YD_TOK_WITH || it->before == YD_TOK_IS || it->before == YD_TOK_VALUE_START;
        is_block = !is_map && (it->keyword == YD_TOK_ELEMENT || it->keyword == YD_TOK_TEST);
    }
    it->parse->tokens[raw].is_block = is_block;
    stream_add(it, raw);
    if (!push(it, raw, type, is_block)) return;
    it->at_start = is_block;
    if (is_block) it->keyword = 0;
}

static void stray(struct layout *it, uint32_t raw)
{
    const struct yd__token *token = &it->parse->tokens[raw];
    it->parse->errors++;
    yd__report(it->parse->work, YD_Y_BRACKET, yd__token_place(it->parse, raw), "", "'%.*s' closes nothing",
               (int)token->size, it->parse->text.data + token->offset);
}

static bool matches(const struct open_bracket *open, int closer)
{
    bool wire = open->opener == YD_TOK_PUSH_OPEN || open->opener == YD_TOK_QUERY_OPEN;
    return closer_of(open->opener) == closer || (wire && (closer == YD_TOK_PUSH_CLOSE || closer == YD_TOK_QUERY_CLOSE));
}

/* It does not fit the innermost bracket, but one around it, in this statement or the block itself. */
static bool closes_outer(struct layout *it, int closer)
{
    if (matches(top(it), closer)) return false;
    for (uint32_t i = it->depth - 1; i-- > 0;) {
        if (matches(&it->stack[i], closer)) return true;
        if (it->stack[i].is_block) return false;
    }
    return false;
}

static void on_close(struct layout *it, uint32_t raw)
{
    struct yd__token *token = &it->parse->tokens[raw];
    struct open_bracket *open = top(it);
    if (in_brackets(it) && closes_outer(it, token->type)) {
        /* Of a bracket further out, or of the block: what is inside was left open. */
        close_missing(it);
        while (!matches(top(it), token->type)) top(it)->forgiven = true, close_missing(it);
        token = &it->parse->tokens[raw]; /* the array may have moved */
        open = top(it);
    }
    if (!open || (open->is_block && token->type != YD_TOK_BRACE_CLOSE)) {
        stray(it, raw);
        return;
    }
    if (open->is_block) {
        end_statement(it);
        it->depth--;
        it->parse->tokens[raw].is_block = true; /* the array may have moved: not by `token` */
        stream_add(it, raw);
        it->at_start = true;
        it->keyword = 0;
        return;
    }
    int expected = closer_of(open->opener);
    bool wire = open->opener == YD_TOK_PUSH_OPEN || open->opener == YD_TOK_QUERY_OPEN;
    bool swapped = wire && (token->type == YD_TOK_PUSH_CLOSE || token->type == YD_TOK_QUERY_CLOSE);
    if (token->type != expected && !(wire && token->type == YD_TOK_LIST_CLOSE)) {
        const struct yd__token *opener = &it->parse->tokens[open->token];
        it->parse->errors++;
        yd__report(it->parse->work, YD_Y_BRACKET, yd__token_place(it->parse, raw), "", "'%.*s' does not close '%.*s'",
                   (int)token->size, it->parse->text.data + token->offset, (int)opener->size,
                   it->parse->text.data + opener->offset);
        yd__note(it->parse->work, yd__token_place(it->parse, open->token), "opened here");
        if (swapped)
            yd__help(it->parse->work, "a push wire is -[…]->, a query wire =[…]=>");
        else
            yd__help(it->parse->work, "write '%s'", closer_text(open->opener));
        token->type = expected;
    }
    it->depth--;
    stream_add(it, raw);
}

static void on_token(struct layout *it, uint32_t raw, uint32_t raw_count)
{
    struct yd__token *token = &it->parse->tokens[raw];
    switch (token->type) {
    case YD_RAW_COMMENT:
        return;
    case YD_RAW_NEWLINE:
        on_newline(it, raw, raw_count);
        return;
    case YD_RAW_SEMICOLON:
        if (in_brackets(it)) close_brackets(it);
        end_statement(it);
        return;
    case YD_TOK_OPEN:
    case YD_TOK_LIST_OPEN:
    case YD_TOK_PUSH_OPEN:
    case YD_TOK_QUERY_OPEN:
    case YD_TOK_BRACE_OPEN:
        on_open(it, raw);
        return;
    case YD_TOK_CLOSE:
    case YD_TOK_LIST_CLOSE:
    case YD_TOK_PUSH_CLOSE:
    case YD_TOK_QUERY_CLOSE:
    case YD_TOK_BRACE_CLOSE:
        on_close(it, raw);
        return;
    case YD_TOK_ID:
        token->type = classify(it, raw, raw_count);
        break;
    case YD_TOK_STRING:
        if (token->bad && (token->size == 1 || it->parse->text.data[token->offset + token->size - 1] != '"'))
            it->line_cut = true;
        break;
    default:
        break;
    }
    stream_add(it, raw);
    it->at_start = false;
}

void yd__layout(struct yd__parse *parse)
{
    struct layout layout = {.parse = parse, .at_start = true}, *it = &layout;
    uint32_t raw_count = parse->token_count - 1; /* the last one is the end of the file */
    parse->raw_count = raw_count;
    add_made(it, parse->only_value ? YD_TOK_VALUE_START : YD_TOK_FILE_START);
    for (uint32_t i = 0; i < raw_count && !it->stopped; i++) on_token(it, i, raw_count);
    if (it->stopped) return;
    if (in_brackets(it)) close_brackets(it);
    end_statement(it);
    while (it->depth) close_missing(it);
    add_made(it, YD_TOK_YYEOF);
}
