/* decom/tokens.h: the words that expressions and limit clauses are made of.
 *
 * Numbers (12, 0x1f, 0b101, 1.5, .5, 1e-3), durations (250ms, 10s), names (letters, digits, _ and dots; anything
 * between backticks), texts in double quotes (\" \\ \n \t), and signs. `#` begins a comment to the end of its line. */
#ifndef DECOM_TOKENS_H
#define DECOM_TOKENS_H

#include "decom/mistake.h"

enum yd_token_type {
    YD_TOKEN_END,
    YD_TOKEN_INT,      /* u64 */
    YD_TOKEN_FLOAT,    /* f64 */
    YD_TOKEN_DURATION, /* i64, ns */
    YD_TOKEN_NAME,     /* text */
    YD_TOKEN_TEXT,     /* text: between the quotes, escapes as they are written */
    YD_TOKEN_SIGN,     /* sign: one of those below */
};
#define YD_SIGN(a, b) ((a) << 8 | (b)) /* of two letters: YD_SIGN('*', '*'); of one: the letter */

struct yd_token {
    enum yd_token_type type;
    bool after_newline, quoted, escaped; /* quoted: a name between backticks; escaped: a text with backslashes */
    int sign;
    size_t offset, size;
    struct yd_str text;
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
    };
};
struct yd_tokens {
    struct yd_str text;
    size_t at;
};
/* The next one, from tokens->at on, which goes behind it. YD_EFORMAT and a mistake (may be NULL): no token begins
 * there, and *ret_token is the end. */
int yd_token_next(struct yd_tokens *tokens, struct yd_token *ret_token, struct yd_mistake *mistake);
/* A text without its escapes; `to` holds token->text.size bytes. Returns the size. */
size_t yd_token_unescape(const struct yd_token *token, char *to);

#endif
