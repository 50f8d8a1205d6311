/* The lexer: text into tokens, comments and newlines included (the formatter wants them, layout.c takes them away).
 * It never stops: what it cannot read is reported once, replaced by what was probably meant, and marked `bad`. */
#include "flow/grammar.h"
#include "flow/language.h"

struct lexer {
    struct yd__parse *parse;
    const char *start, *line_start; /* of the text, of the line */
    uint32_t line;
    const char *counted; /* characters of this line up to here … */
    uint32_t column;     /* … are column - 1 */
};

static uint32_t characters(const char *from, const char *to)
{
    uint32_t count = 0;
    for (; from < to; from++) count += ((unsigned char)*from & 0xc0) != 0x80;
    return count;
}

static struct yd__token *push(struct lexer *lexer, int type, const char *from, const char *to)
{
    struct yd__parse *parse = lexer->parse;
    if (parse->token_count == parse->token_capacity) {
        uint32_t capacity = parse->token_capacity ? parse->token_capacity * 2 : 256;
        struct yd__token *tokens = yd__get(parse->work, capacity * sizeof *tokens);
        if (parse->token_count) memcpy(tokens, parse->tokens, parse->token_count * sizeof *tokens);
        parse->tokens = tokens;
        parse->token_capacity = capacity;
    }
    lexer->column += characters(lexer->counted, from);
    lexer->counted = from;
    struct yd__token *token = &parse->tokens[parse->token_count++];
    *token = (struct yd__token){.type = type,
                                .offset = (uint32_t)(from - lexer->start),
                                .size = (uint32_t)(to - from),
                                .line = lexer->line,
                                .column = lexer->column,
                                .length = characters(from, to)};
    return token;
}

static struct yd_place place_at(struct lexer *lexer, const char *from, const char *to)
{
    return (struct yd_place){lexer->parse->file, lexer->line, lexer->column + characters(lexer->counted, from),
                             YD_MAX(characters(from, to), 1u)};
}

/* Numbers with their unit in one word, so that `10sec` is one mistake about a unit and not two tokens. */
static void number(struct lexer *lexer, const char *from, const char *to)
{
    struct yd_str word = {from, (size_t)(to - from)};
    struct yd_place place = place_at(lexer, from, to);
    struct yd__token *token = push(lexer, YD_TOK_INT, from, to);
    bool negative = *from == '-';
    struct yd_str bare = {from + negative, word.size - negative};
    bool digits = true, rate = memchr(from, '/', word.size) != NULL;
    for (size_t i = 0; i < bare.size; i++) digits &= bare.data[i] >= '0' && bare.data[i] <= '9';
    int r;
    if (digits) {
        r = yd_text_i64(word, &token->i64);
    } else if (rate) {
        token->type = YD_TOK_RATE;
        r = yd_text_rate(word, &token->f64);
    } else if ((r = yd_text_f64(word, false, &token->f64)) != YD_EFORMAT) {
        token->type = YD_TOK_FLOAT;
    } else if ((r = yd_text_duration(word, &token->i64)) != YD_EFORMAT) {
        token->type = YD_TOK_DURATION;
    } else {
        uint64_t size = 0;
        token->type = YD_TOK_SIZE;
        r = yd_text_size(bare, &size);
        if (r == 0 && size > INT64_MAX) r = YD_ERANGE;
        token->i64 = negative ? -(int64_t)size : (int64_t)size;
    }
    if (r == 0) return;
    token->bad = true;
    if (r == YD_ERANGE) {
        yd__report(lexer->parse->work, YD_Y_NUMBER, place, "", "'%.*s' does not fit into 64 bits", YD_STR_FMT(word));
        return;
    }
    size_t unit = 0;
    while (unit < bare.size && ((bare.data[unit] >= '0' && bare.data[unit] <= '9') || bare.data[unit] == '.')) unit++;
    struct yd_str rest = {bare.data + unit, bare.size - unit};
    yd__report(lexer->parse->work, YD_Y_NUMBER, place, "", "'%.*s' is not a number, nor a number with a unit",
               YD_STR_FMT(word));
    static const struct {
        const char *meant, *write;
    } known[] = {{"sec", "s"},  {"secs", "s"},   {"second", "s"}, {"seconds", "s"}, {"S", "s"},     {"min", "m"},
                 {"mins", "m"}, {"minute", "m"}, {"minutes", "m"}, {"hour", "h"},    {"hours", "h"}, {"H", "h"},
                 {"day", "d"},  {"days", "d"},   {"D", "d"},      {"week", "w"},    {"weeks", "w"}, {"msec", "ms"},
                 {"usec", "us"}, {"K", "KiB"},   {"k", "kB"},     {"kb", "kB"},     {"KB", "kB"},   {"Kb", "kB"},
                 {"kib", "KiB"}, {"M", "MiB"},   {"mb", "MB"},    {"Mb", "MB"},     {"mib", "MiB"}, {"Mib", "MiB"},
                 {"G", "GiB"},  {"g", "GiB"},    {"gb", "GB"},    {"Gb", "GB"},     {"gib", "GiB"}, {"T", "TiB"},
                 {"tb", "TB"},  {"tib", "TiB"},  {"b", "B"},      {"y", NULL}};
    for (size_t i = 0; i < YD_COUNT(known); i++) {
        if (!known[i].meant || !yd_str_eq(rest, yd_str_of(known[i].meant))) continue;
        if (known[i].write) {
            yd__help(lexer->parse->work, "write %.*s%s", (int)(word.size - rest.size), word.data, known[i].write);
            return;
        }
    }
    if (rate)
        yd__help(lexer->parse->work, "a rate is a number, perhaps k, M or G, and /s, /m or /h: 5k/s, 100/m");
    else
        yd__help(lexer->parse->work, "durations end in ns us ms s m h d w, sizes in B kB MB GB TB KiB MiB GiB TiB, "
                                     "rates in /s /m /h; a name begins with a letter");
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) return to[0] = (char)c, 1;
    if (c < 0x800) return to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return to[0] = (char)(0xe0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63)), 3;
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* One escape at `p` (behind the backslash) into `to`; returns the bytes read, 0 when it is none. */
static size_t unescape(const char *p, const char *end, char *to, size_t *put)
{
    static const char plain[] = "n\nt\tr\r\"\"\\\\";
    *put = 1;
    for (const char *pair = plain; *pair; pair += 2) {
        if (*p != *pair) continue;
        *to = pair[1];
        return 1;
    }
    if (*p == 'x' && end - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
        *to = (char)(hex(p[1]) * 16 + hex(p[2]));
        return 3;
    }
    if (*p == 'u' && end - p > 3 && p[1] == '{') {
        uint32_t c = 0;
        const char *q = p + 2;
        for (; q < end && q < p + 8 && hex(*q) >= 0; q++) c = c * 16 + (uint32_t)hex(*q);
        bool valid = q > p + 2 && q < end && *q == '}' && c > 0 && c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000);
        if (!valid) return 0;
        *put = put_utf8(to, c);
        return (size_t)(q + 1 - p);
    }
    return 0;
}

/* Where what was meant as an escape ends: `\u{110000}` and `\xg1` are shown whole. */
static const char *escape_end(const char *p, const char *end)
{
    if (p >= end) return end;
    if (*p == 'u' && end - p > 1 && p[1] == '{') {
        const char *close = memchr(p, '}', (size_t)(end - p));
        if (close && close - p <= 12) return close + 1;
    }
    if (*p == 'x') return p + YD_MIN(end - p, 3);
    for (p++; p < end && ((unsigned char)*p & 0xc0) == 0x80;) p++;
    return p;
}

/* `from` at the quote, `to` behind the closing one (or at the end of the line when there is none). */
static void string(struct lexer *lexer, const char *from, const char *to, bool closed)
{
    struct yd__work *work = lexer->parse->work;
    const char *p = from + 1, *end = closed ? to - 1 : to;
    char *text = yd__get(work, (size_t)(end - p) + 1);
    size_t size = 0;
    bool bad = !closed;
    while (p < end) {
        if (*p != '\\') {
            text[size++] = *p++;
            continue;
        }
        size_t put = 0, read = p + 1 < end ? unescape(p + 1, end, text + size, &put) : 0;
        if (read == 0) {
            const char *after = escape_end(p + 1, end);
            if (closed) {
                yd__report(work, YD_Y_ESCAPE, place_at(lexer, p, after), "", "'%.*s' is not an escape",
                           (int)(after - p), p);
                yd__help(work, "escapes are \\n \\t \\r \\\" \\\\ \\xNN \\u{NNNN}; a backslash itself is \\\\");
            }
            bad = true;
            p = after;
            continue;
        }
        size += put;
        p += 1 + read;
    }
    if (!closed) {
        yd__report(work, YD_Y_STRING_END, place_at(lexer, from, from + 1), "it begins here",
                   "the text has no closing quote on its line");
        yd__help(work, "close it with \"; a newline in a text is written \\n, a quote \\\"");
    }
    struct yd__token *token = push(lexer, YD_TOK_STRING, from, to);
    token->text = (struct yd_str){text, size};
    token->bad = bad;
}

static void almost(struct lexer *lexer, int type, const char *from, const char *to, const char *message,
                   const char *help)
{
    yd__report(lexer->parse->work, YD_Y_CHARACTER, place_at(lexer, from, to), "", message, (int)(to - from), from);
    yd__help(lexer->parse->work, "%s", help);
    if (type) push(lexer, type, from, to)->bad = true;
}

static void newline(struct lexer *lexer, const char *from, const char *to)
{
    push(lexer, YD_RAW_NEWLINE, from, to);
    lexer->line++;
    lexer->line_start = lexer->counted = to;
    lexer->column = 1;
}

void yd__lex(struct yd__parse *parse)
{
    /* re2c reads up to the sentinel, a NUL that parse.c has put behind the text. */
    const char *YYCURSOR = parse->text.data, *YYLIMIT = parse->text.data + parse->text.size, *YYMARKER;
    struct lexer it = {parse, YYCURSOR, YYCURSOR, 1, YYCURSOR, 1}, *lexer = &it;
    if (parse->text.size >= 3 && memcmp(YYCURSOR, "\xef\xbb\xbf", 3) == 0) it.counted = YYCURSOR += 3;
    for (;;) {
        const char *from = YYCURSOR;
        /*!re2c
        re2c:define:YYCTYPE = "unsigned char";
        re2c:api:style = free-form;
        re2c:define:YYPEEK = "*(const unsigned char *)YYCURSOR";
        re2c:yyfill:enable = 0;

        nul = [\x00];
        letter = [A-Za-z_];
        digit = [0-9];
        other = [\xc0-\xff] [\x80-\xbf]*;
        inside = [^"\\\r\n\x00] | "\\" [^\r\n\x00];
        single = [^'\\\r\n\x00] | "\\" [^\r\n\x00];

        nul {
            if (from >= YYLIMIT) {
                push(lexer, YD_TOK_YYEOF, YYLIMIT, YYLIMIT);
                return;
            }
            continue; /* parse.c has refused a text with a NUL in it */
        }
        [ \t\r\v\f]+ { continue; }
        "\r"? "\n" { newline(lexer, from, YYCURSOR); continue; }
        "#" [^\r\n\x00]* { push(lexer, YD_RAW_COMMENT, from, YYCURSOR); continue; }
        ";" { push(lexer, YD_RAW_SEMICOLON, from, YYCURSOR); continue; }

        letter (letter | digit)* {
            push(lexer, YD_TOK_ID, from, YYCURSOR)->text = (struct yd_str){from, (size_t)(YYCURSOR - from)};
            continue;
        }
        "-"? digit (letter | digit | "." digit | [eE] [+-] digit)* ("/" letter+)? {
            number(lexer, from, YYCURSOR);
            continue;
        }
        ["] inside* ["] { string(lexer, from, YYCURSOR, true); continue; }
        ["] inside* "\\"? { string(lexer, from, YYCURSOR, false); continue; }
        ['] single* ['] {
            almost(lexer, 0, from, YYCURSOR, "text is written in double quotes, not in '", "write \"…\"");
            push(lexer, YD_TOK_STRING, from, YYCURSOR)->text =
                (struct yd_str){from + 1, (size_t)(YYCURSOR - from) - 2};
            continue;
        }

        "::" { push(lexer, YD_TOK_DECLARE, from, YYCURSOR); continue; }
        ":" { push(lexer, YD_TOK_COLON, from, YYCURSOR); continue; }
        "," { push(lexer, YD_TOK_COMMA, from, YYCURSOR); continue; }
        "." { push(lexer, YD_TOK_DOT, from, YYCURSOR); continue; }
        "(" { push(lexer, YD_TOK_OPEN, from, YYCURSOR); continue; }
        ")" { push(lexer, YD_TOK_CLOSE, from, YYCURSOR); continue; }
        "[" { push(lexer, YD_TOK_LIST_OPEN, from, YYCURSOR); continue; }
        "]" { push(lexer, YD_TOK_LIST_CLOSE, from, YYCURSOR); continue; }
        "{" { push(lexer, YD_TOK_BRACE_OPEN, from, YYCURSOR); continue; }
        "}" { push(lexer, YD_TOK_BRACE_CLOSE, from, YYCURSOR); continue; }
        "->" { push(lexer, YD_TOK_PUSH_WIRE, from, YYCURSOR); continue; }
        "=>" { push(lexer, YD_TOK_QUERY_WIRE, from, YYCURSOR); continue; }
        "-[" { push(lexer, YD_TOK_PUSH_OPEN, from, YYCURSOR); continue; }
        "]->" { push(lexer, YD_TOK_PUSH_CLOSE, from, YYCURSOR); continue; }
        "=[" { push(lexer, YD_TOK_QUERY_OPEN, from, YYCURSOR); continue; }
        "]=>" { push(lexer, YD_TOK_QUERY_CLOSE, from, YYCURSOR); continue; }
        "=" { push(lexer, YD_TOK_EQUALS, from, YYCURSOR); continue; }
        "==" { push(lexer, YD_TOK_IS, from, YYCURSOR); continue; }
        "$" letter (letter | digit)* {
            push(lexer, YD_TOK_REF, from, YYCURSOR)->text = (struct yd_str){from + 1, (size_t)(YYCURSOR - from) - 1};
            continue;
        }

        "-" "-"+ ">" | "->" ">"+ | "\xe2\x86\x92" | "~>" {
            almost(lexer, YD_TOK_PUSH_WIRE, from, YYCURSOR, "'%.*s' is not a wire", "a push wire is ->");
            continue;
        }
        "=" "="+ ">" | "=>" ">"+ | "\xe2\x87\x92" {
            almost(lexer, YD_TOK_QUERY_WIRE, from, YYCURSOR, "'%.*s' is not a wire", "a query wire is =>");
            continue;
        }
        "<" "-"+ ">"? | "<" "="+ ">"? {
            almost(lexer, YD_TOK_PUSH_WIRE, from, YYCURSOR, "'%.*s' is not a wire", "wires point to the right: a -> b");
            continue;
        }
        ":=" {
            almost(lexer, YD_TOK_DECLARE, from, YYCURSOR, "'%.*s' declares nothing", "an element is declared with ::");
            continue;
        }
        "//" [^\r\n\x00]* {
            almost(lexer, 0, from, from + 2, "'%.*s' does not begin a comment", "comments begin with #");
            continue;
        }
        "/*" {
            almost(lexer, 0, from, YYCURSOR, "'%.*s' does not begin a comment", "comments begin with #, on every line");
            while (YYCURSOR < YYLIMIT && *YYCURSOR != '\n' && *YYCURSOR != '\r') YYCURSOR++;
            continue;
        }
        "$" {
            almost(lexer, 0, from, YYCURSOR, "'%.*s' without a name", "a parameter is used as $name");
            continue;
        }
        [\x01-\x7f] {
            struct yd_place place = place_at(lexer, from, YYCURSOR);
            if (*from > ' ' && *from < 0x7f)
                yd__report(parse->work, YD_Y_CHARACTER, place, "", "'%c' means nothing here", *from);
            else
                yd__report(parse->work, YD_Y_CHARACTER, place, "", "the control character \\x%02x means nothing here",
                           (unsigned char)*from);
            continue;
        }
        (letter | other) (letter | digit | other)* {
            /* A word of another script: a name it is, only not one of ours. Said where it stands first. */
            struct yd_str word = {from, (size_t)(YYCURSOR - from)};
            struct yd_place place = place_at(lexer, from, YYCURSOR);
            struct yd__token *token = push(lexer, YD_TOK_ID, from, YYCURSOR);
            token->text = word;
            if (yd__map_add(parse->work, &parse->work->bad_words, word, parse)) continue;
            yd__report(parse->work, YD_Y_CHARACTER, place, "", "'%.*s' is not a name", YD_STR_FMT(word));
            yd__help(parse->work, "names are of a-z A-Z 0-9 _; any other text stands in double quotes");
            continue;
        }
        * { continue; }
        */
    }
}
