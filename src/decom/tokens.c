/* Words of expressions and limit clauses. See tokens.h. What can fail: a quote that is not closed, a number that does
 * not fit, a letter that begins nothing. */
#include "decom/tokens.h"

#include <math.h>

#include "base/text.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static char at(const struct yd_tokens *tokens, size_t offset)
{
    return offset < tokens->text.size ? tokens->text.data[offset] : 0;
}

static bool skip_blank(struct yd_tokens *tokens)
{
    bool newline = false;
    for (char c; (c = at(tokens, tokens->at)) != 0 || tokens->at < tokens->text.size;) {
        if (c == '#')
            while (tokens->at < tokens->text.size && at(tokens, tokens->at) != '\n') tokens->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            newline |= tokens->text.data[tokens->at++] == '\n';
        else
            break;
    }
    return newline;
}

static int with_base(struct yd_tokens *tokens, struct yd_token *token, unsigned bits, struct yd_mistake *mistake)
{
    size_t end = token->offset + 2;
    token->type = YD_TOKEN_INT;
    for (;; end++) {
        char c = at(tokens, end), low = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
        unsigned digit = is_digit(low)              ? (unsigned)(low - '0')
                         : low >= 'a' && low <= 'f' ? (unsigned)(low - 'a') + 10
                                                    : 99;
        if (digit >= 1u << bits) break;
        if (token->u64 >> (64 - bits))
            return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, end + 1 - token->offset,
                                  "this number has more than 64 bits");
        token->u64 = token->u64 << bits | digit;
    }
    if (end == token->offset + 2 || is_letter(at(tokens, end)) || is_digit(at(tokens, end)))
        return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, end + 1 - token->offset,
                              "this is not a number to the base %u", 1u << bits);
    token->size = end - token->offset;
    return 0;
}

/* `1..2` is 1 and 2 with dots between them, as ranges are written. */
static int number(struct yd_tokens *tokens, struct yd_token *token, struct yd_mistake *mistake)
{
    size_t begin = token->offset, end = begin;
    bool whole = true;
    if (at(tokens, begin) == '0' && (at(tokens, begin + 1) | 32) == 'x') return with_base(tokens, token, 4, mistake);
    if (at(tokens, begin) == '0' && (at(tokens, begin + 1) | 32) == 'b') return with_base(tokens, token, 1, mistake);
    while (is_digit(at(tokens, end))) end++;
    if (at(tokens, end) == '.' && at(tokens, end + 1) != '.') {
        whole = false;
        for (end++; is_digit(at(tokens, end));) end++;
    }
    if ((at(tokens, end) | 32) == 'e') {
        size_t digits = end + 1;
        if (at(tokens, digits) == '+' || at(tokens, digits) == '-') digits++;
        if (is_digit(at(tokens, digits))) {
            whole = false;
            for (end = digits; is_digit(at(tokens, end));) end++;
        }
    }
    size_t number_end = end;
    while (is_letter(at(tokens, end)) || is_digit(at(tokens, end))) end++;
    struct yd_str all = {tokens->text.data + begin, end - begin};
    token->size = all.size;
    if (end > number_end) {
        token->type = YD_TOKEN_DURATION;
        if (yd_text_duration(all, &token->i64) == 0) return 0;
        yd_mistake_say(mistake, YD_EFORMAT, tokens->text, begin, all.size, "'%.*s' is neither a number nor a duration",
                       YD_STR_FMT(all));
        if (mistake) (void)strcpy(mistake->help, "durations end in ns, us, ms, s, m, h, d or w: 250ms, 10s");
        return YD_EFORMAT;
    }
    token->type = whole ? YD_TOKEN_INT : YD_TOKEN_FLOAT;
    if (whole && yd_text_u64(all, &token->u64) == 0) return 0;
    token->type = YD_TOKEN_FLOAT; /* larger than 64 bits: as near as a double comes */
    if (yd_text_f64(all, false, &token->f64) == 0 && isfinite(token->f64)) return 0;
    return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, begin, all.size,
                          "this number is beyond what a float holds");
}

static int check_utf8(const struct yd_tokens *tokens, const struct yd_token *token, struct yd_mistake *mistake)
{
    if (yd_text_utf8(token->text)) return 0;
    return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, token->size, "this is not UTF-8 text");
}

static int quoted(struct yd_tokens *tokens, struct yd_token *token, char quote, struct yd_mistake *mistake)
{
    size_t end = token->offset + 1;
    while (end < tokens->text.size && at(tokens, end) != quote && at(tokens, end) != '\n') {
        if (quote == '"' && at(tokens, end) == '\\') {
            char escape = at(tokens, end + 1);
            if (escape != '"' && escape != '\\' && escape != 'n' && escape != 't')
                return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, end, 2,
                                      "a backslash in a text goes before \", \\, n or t");
            token->escaped = true;
            end++;
        }
        end++;
    }
    if (at(tokens, end) != quote)
        return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, end - token->offset,
                              "this %s is not closed on its line", quote == '"' ? "text" : "name");
    token->type = quote == '"' ? YD_TOKEN_TEXT : YD_TOKEN_NAME;
    token->quoted = quote != '"';
    token->text = (struct yd_str){tokens->text.data + token->offset + 1, end - token->offset - 1};
    token->size = end + 1 - token->offset;
    if (token->quoted && token->text.size == 0)
        return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, 2, "a name has at least one letter");
    return check_utf8(tokens, token, mistake);
}

/* A dot joins letters only: `a..b` and `a.` end the name before it. */
static int name(struct yd_tokens *tokens, struct yd_token *token, struct yd_mistake *mistake)
{
    size_t end = token->offset;
    for (;;) {
        while (is_letter(at(tokens, end)) || is_digit(at(tokens, end))) end++;
        if (at(tokens, end) != '.' || !(is_letter(at(tokens, end + 1)) || is_digit(at(tokens, end + 1)))) break;
        end++;
    }
    token->type = YD_TOKEN_NAME;
    token->size = end - token->offset;
    token->text = (struct yd_str){tokens->text.data + token->offset, token->size};
    return check_utf8(tokens, token, mistake);
}

static int sign(struct yd_tokens *tokens, struct yd_token *token, struct yd_mistake *mistake)
{
    static const char pairs[][3] = {"**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", ".."};
    char first = at(tokens, token->offset), second = at(tokens, token->offset + 1);
    token->type = YD_TOKEN_SIGN;
    for (size_t i = 0; i < YD_COUNT(pairs); i++) {
        if (pairs[i][0] != first || pairs[i][1] != second) continue;
        token->sign = YD_SIGN(first, second);
        token->size = 2;
        return 0;
    }
    if (first && strchr("+-*/%!~&|^<>?:(),=", first)) {
        token->sign = first;
        token->size = 1;
        return 0;
    }
    if ((unsigned char)first < 0x20)
        return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, 1, "a byte 0x%02x in the text",
                              (unsigned char)first);
    return yd_mistake_say(mistake, YD_EFORMAT, tokens->text, token->offset, 1, "'%c' means nothing here", first);
}

int yd_token_next(struct yd_tokens *tokens, struct yd_token *ret_token, struct yd_mistake *mistake)
{
    struct yd_token token = {.after_newline = skip_blank(tokens)};
    int error = 0;
    char c = at(tokens, tokens->at);
    token.offset = tokens->at;
    if (tokens->at >= tokens->text.size)
        token.type = YD_TOKEN_END;
    else if (is_digit(c) || (c == '.' && is_digit(at(tokens, tokens->at + 1))))
        error = number(tokens, &token, mistake);
    else if (c == '"' || c == '`')
        error = quoted(tokens, &token, c, mistake);
    else if (is_letter(c))
        error = name(tokens, &token, mistake);
    else
        error = sign(tokens, &token, mistake);
    if (error < 0) {
        *ret_token = (struct yd_token){.offset = token.offset, .after_newline = token.after_newline};
        return error;
    }
    tokens->at += token.size;
    *ret_token = token;
    return 0;
}

size_t yd_token_unescape(const struct yd_token *token, char *to)
{
    size_t size = 0;
    for (size_t i = 0; i < token->text.size; i++) {
        char c = token->text.data[i];
        if (c == '\\') {
            c = token->text.data[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[size++] = c;
    }
    return size;
}
