/* Cuts a `.ydm` text into tokens.
 *
 *   imu_x  i16le  scale 0.001  unit "g"     # words, numbers, texts, marks; a comment goes
 *
 * Columns are characters. Inside of brackets a line's end means nothing; a bracket left open ends where a line begins
 * with a word that only begins declarations, so that one forgotten bracket does not eat the file. */
#include "decom/ydm_tokens.h"

#include "base/text.h"

struct lexer {
    struct yd_str text;
    size_t at, line_start;
    uint32_t file, line, indent;
    bool begins;
    uint32_t depth;
    struct yd_place open; /* the outermost open bracket */
    struct yd_arena *arena;
    struct yd_diagnostics *diagnostics;
    struct yd__ydm_token *tokens;
    size_t count, capacity;
    /* where columns have been counted up to: lines can be long */
    size_t counted_at;
    uint32_t counted;
};

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int peek(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->text.size ? (unsigned char)lexer->text.data[lexer->at + ahead] : -1;
}

static uint32_t characters(struct yd_str text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.size; i++) count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static struct yd_place place_of(struct lexer *lexer, size_t first, size_t last)
{
    if (first < lexer->counted_at) lexer->counted_at = lexer->line_start, lexer->counted = 0;
    lexer->counted += characters((struct yd_str){lexer->text.data + lexer->counted_at, first - lexer->counted_at});
    lexer->counted_at = first;
    uint32_t length = characters((struct yd_str){lexer->text.data + first, last - first});
    return (struct yd_place){lexer->file, lexer->line, lexer->counted + 1, YD_MAX(length, 1u)};
}

static struct yd__ydm_token *push(struct lexer *lexer, enum yd__ydm_kind kind, size_t first)
{
    if (lexer->count == lexer->capacity) {
        size_t capacity = lexer->capacity ? lexer->capacity * 2 : 256;
        struct yd__ydm_token *tokens = yd_arena_get(lexer->arena, capacity * sizeof *tokens);
        if (!tokens) return NULL;
        if (lexer->count) memcpy(tokens, lexer->tokens, lexer->count * sizeof *tokens);
        lexer->tokens = tokens;
        lexer->capacity = capacity;
    }
    struct yd__ydm_token *token = &lexer->tokens[lexer->count];
    *token = (struct yd__ydm_token){.kind = kind,
                                    .begins = lexer->begins && (lexer->depth == 0 || kind == YDM_END),
                                    .indent = lexer->indent,
                                    .place = place_of(lexer, first, lexer->at),
                                    .text = {lexer->text.data + first, lexer->at - first},
                                    .first = (uint32_t)first,
                                    .last = (uint32_t)lexer->at};
    token->joined = lexer->count && !token->begins && lexer->tokens[lexer->count - 1].last == first;
    lexer->count++;
    lexer->begins = false;
    return token;
}

static void unclosed(struct lexer *lexer)
{
    yd_def_error(lexer->diagnostics, YD_D_BRACKET, lexer->open, "opened here", "this bracket is not closed");
    lexer->depth = 0;
}

static bool take_number(struct lexer *lexer)
{
    size_t first = lexer->at;
    bool is_float = false, bad = false;
    unsigned base = 10;
    uint64_t value = 0;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) | 0x20) == 'x') base = 16;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) | 0x20) == 'b') base = 2;
    if (base != 10) {
        size_t digits = 0;
        for (lexer->at += 2;; lexer->at++) {
            int c = peek(lexer, 0);
            if (c == '_') continue;
            unsigned digit = is_digit(c)                              ? (unsigned)(c - '0')
                             : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10)
                                                                      : 99;
            if (c < 0 || digit >= base) break;
            bad |= value > (UINT64_MAX - digit) / base;
            value = value * base + digit;
            digits++;
        }
        bad |= digits == 0 || is_word(peek(lexer, 0)) || is_digit(peek(lexer, 0));
        while (is_word(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->at++;
    } else {
        while (is_digit(peek(lexer, 0)) || (peek(lexer, 0) == '_' && is_digit(peek(lexer, 1)))) {
            unsigned digit = (unsigned)(peek(lexer, 0) - '0');
            if (peek(lexer, 0) != '_') {
                bad |= value > (UINT64_MAX - digit) / 10;
                value = value * 10 + digit;
            }
            lexer->at++;
        }
        if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) {
            is_float = true;
            for (lexer->at++; is_digit(peek(lexer, 0));) lexer->at++;
            while (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1)))
                for (bad = true, lexer->at++; is_digit(peek(lexer, 0));) lexer->at++;
        }
        if ((peek(lexer, 0) | 0x20) == 'e' &&
            (is_digit(peek(lexer, 1)) ||
             ((peek(lexer, 1) == '-' || peek(lexer, 1) == '+') && is_digit(peek(lexer, 2))))) {
            is_float = true;
            for (lexer->at += 2; is_digit(peek(lexer, 0));) lexer->at++;
        }
    }
    struct yd__ydm_token *token = push(lexer, is_float ? YDM_FLOAT : YDM_INT, first);
    if (!token) return false;
    token->integer = value;
    token->number = (double)value;
    if (is_float) bad |= yd_text_f64(token->text, false, &token->number) < 0;
    if (bad)
        yd_def_error(lexer->diagnostics, YD_D_NUMBER, token->place, "",
                     "'%.*s' is no number, or none that fits 64 bits", (int)YD_MIN(token->text.size, (size_t)60),
                     token->text.data);
    return true;
}

static bool take_string(struct lexer *lexer)
{
    size_t first = lexer->at++;
    struct yd_buf value;
    yd_buf_init(&value, NULL);
    bool closed = false, bad = false;
    size_t bad_at = 0;
    while (lexer->at < lexer->text.size && peek(lexer, 0) != '\n') {
        int c = peek(lexer, 0);
        lexer->at++;
        if (c == '"') {
            closed = true;
            break;
        }
        if (c != '\\') {
            yd_buf_char(&value, (char)c);
            continue;
        }
        int escaped = peek(lexer, 0);
        lexer->at += escaped >= 0 && escaped != '\n';
        if (escaped == 'n' || escaped == 't' || escaped == 'r')
            yd_buf_char(&value, escaped == 'n' ? '\n' : escaped == 't' ? '\t' : '\r');
        else if (escaped == '"' || escaped == '\\')
            yd_buf_char(&value, (char)escaped);
        else if (!bad)
            bad = true, bad_at = lexer->at;
    }
    struct yd__ydm_token *token = push(lexer, YDM_STRING, first);
    bool kept = token && !value.failed;
    if (kept && !closed)
        yd_def_error(lexer->diagnostics, YD_D_STRING_END, place_of(lexer, first, first + 1), "begins here",
                     "this text has no closing quote");
    if (kept && bad) {
        yd_def_error(lexer->diagnostics, YD_D_CHARACTER, place_of(lexer, YD_MAX(bad_at, first + 2) - 2, bad_at), "",
                     "no such escape in a text");
        yd_def_help(lexer->diagnostics, "there are \\n \\t \\r \\\" and \\\\");
    }
    if (kept) token->text = yd_arena_str(lexer->arena, yd_buf_view(&value));
    kept = kept && token->text.data;
    yd_buf_fini(&value);
    return kept;
}

static bool take_word(struct lexer *lexer)
{
    size_t first = lexer->at;
    while (is_word(peek(lexer, 0)) || is_digit(peek(lexer, 0)) ||
           (peek(lexer, 0) == '.' && (is_word(peek(lexer, 1)) || is_digit(peek(lexer, 1)))))
        lexer->at++;
    if (lexer->depth && lexer->begins && lexer->indent == 0) {
        static const char *const heads[] = {"packet", "container", "frame", "type", "derive", "definition"};
        struct yd_str word = {lexer->text.data + first, lexer->at - first};
        for (size_t i = 0; i < YD_COUNT(heads); i++)
            if (yd_str_eq(word, yd_str_of(heads[i]))) {
                unclosed(lexer);
                break;
            }
    }
    return push(lexer, YDM_WORD, first) != NULL;
}

static bool take_mark(struct lexer *lexer)
{
    static const char pairs[][3] = {"==", "!=", "<=", ">=", ".."};
    size_t first = lexer->at;
    int c = peek(lexer, 0);
    unsigned mark = 0;
    if (c == '.' && peek(lexer, 1) == '.' && peek(lexer, 2) == '.') {
        mark = YDM_MARK2('.', '.') << 8 | '.';
        lexer->at += 3;
    }
    for (size_t i = 0; !mark && i < YD_COUNT(pairs); i++)
        if (c == pairs[i][0] && peek(lexer, 1) == pairs[i][1]) {
            mark = YDM_MARK2((unsigned)c, (unsigned)pairs[i][1]);
            lexer->at += 2;
        }
    if (!mark && c > 0 && strchr("()[]{},:=<>+-*/%^!&|?~`", c)) {
        mark = (unsigned)c;
        lexer->at++;
    }
    if (!mark) {
        for (lexer->at++; lexer->at < lexer->text.size && ((unsigned char)lexer->text.data[lexer->at] & 0xc0) == 0x80;)
            lexer->at++;
        bool shown = c >= 0x20 && c != 0x7f;
        yd_def_error(lexer->diagnostics, YD_D_CHARACTER, place_of(lexer, first, lexer->at), "",
                     shown ? "'%.*s' means nothing here" : "a control character means nothing here",
                     (int)(lexer->at - first), lexer->text.data + first);
        lexer->begins = false;
        return true;
    }
    if (strchr("([{", (int)(mark & 0xff)) && mark < 0x100) {
        struct yd_place place = place_of(lexer, first, lexer->at);
        struct yd__ydm_token *token = push(lexer, YDM_MARK, first);
        if (!token) return false;
        token->mark = mark;
        if (lexer->depth++ == 0) lexer->open = place;
        return true;
    }
    if (strchr(")]}", (int)(mark & 0xff)) && mark < 0x100) {
        if (lexer->depth == 0) {
            yd_def_error(lexer->diagnostics, YD_D_BRACKET, place_of(lexer, first, lexer->at), "",
                         "this bracket closes nothing");
            return true;
        }
        lexer->depth--;
    }
    struct yd__ydm_token *token = push(lexer, YDM_MARK, first);
    if (token) token->mark = mark;
    return token != NULL;
}

static void line_ends(struct lexer *lexer)
{
    lexer->line++;
    lexer->line_start = lexer->counted_at = lexer->at;
    lexer->counted = 0;
    lexer->begins = true;
    lexer->indent = 0;
    for (size_t i = lexer->at; i < lexer->text.size; i++) {
        if (lexer->text.data[i] == '\t')
            lexer->indent = (lexer->indent + 8) / 8 * 8;
        else if (lexer->text.data[i] == ' ')
            lexer->indent++;
        else
            break;
    }
}

struct yd__ydm_token *yd__ydm_tokens(struct yd_str text, uint32_t file, struct yd_arena *arena,
                                     struct yd_diagnostics *diagnostics)
{
    struct lexer lexer = {.text = text, .file = file, .arena = arena, .diagnostics = diagnostics};
    if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) lexer.at = 3;
    line_ends(&lexer);
    bool good = true;
    while (good && lexer.at < text.size) {
        int c = peek(&lexer, 0);
        if (c == '\n') {
            lexer.at++;
            line_ends(&lexer);
        } else if (c == ' ' || c == '\t' || c == '\r') {
            lexer.at++;
        } else if (c == '#') {
            while (lexer.at < text.size && text.data[lexer.at] != '\n') lexer.at++;
        } else if (is_word(c)) {
            good = take_word(&lexer);
        } else if (is_digit(c)) {
            good = take_number(&lexer);
        } else if (c == '"') {
            good = take_string(&lexer);
        } else {
            good = take_mark(&lexer);
        }
    }
    if (good && lexer.depth) unclosed(&lexer);
    lexer.begins = true;
    lexer.indent = 0;
    good = good && push(&lexer, YDM_END, lexer.at);
    return good ? lexer.tokens : NULL;
}
