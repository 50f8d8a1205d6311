/* Limit clauses, read: words and ranges to struct yd_limit_clause. See limits.h for what may be written. What can fail:
 * every mistake a person can make, told with its place. */
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "decom/limits.h"
#include "decom/tokens.h"

struct reader {
    struct yd_tokens tokens;
    struct yd_token token;
    struct yd_mistake *mistake, lexical;
    struct yd_limit_clause *clause;
    size_t end; /* of the token before */
    bool part;
    int error;
    unsigned said; /* bits of words that stand once */
    struct yd_token hysteresis, set;
};
enum word { WORD_SET = 1, WORD_PERSIST = 2, WORD_HYSTERESIS = 4, WORD_STALE = 8 };

static int fail(struct reader *reader, int error, const struct yd_token *at, const char *message)
{
    bool end = at->type == YD_TOKEN_END;
    if (reader->error < 0) return reader->error;
    if (end && reader->lexical.error < 0 && reader->lexical.offset >= at->offset) {
        if (reader->mistake) *reader->mistake = reader->lexical;
        return reader->error = reader->lexical.error;
    }
    return reader->error = yd_mistake_say(reader->mistake, error, reader->tokens.text, end ? reader->end : at->offset,
                                          end ? 0 : at->size, "%s", message);
}

static void next(struct reader *reader)
{
    reader->end = reader->token.offset + reader->token.size;
    (void)yd_token_next(&reader->tokens, &reader->token, &reader->lexical); /* told when something else was needed */
}

static bool is_word(const struct reader *reader, const char *word)
{
    const struct yd_token *token = &reader->token;
    return reader->error == 0 && token->type == YD_TOKEN_NAME && !token->quoted &&
           yd_str_eq(token->text, yd_str_of(word));
}

static bool is_sign(const struct reader *reader, int sign)
{
    return reader->error == 0 && reader->token.type == YD_TOKEN_SIGN && reader->token.sign == sign;
}

/* ---- values ---- */

static bool number(struct reader *reader, double *ret)
{
    bool minus = is_sign(reader, '-');
    if (minus || is_sign(reader, '+')) next(reader);
    const struct yd_token *token = &reader->token;
    if (token->type != YD_TOKEN_INT && token->type != YD_TOKEN_FLOAT) {
        (void)fail(reader, YD_EFORMAT, token, "a number is missing here");
        return false;
    }
    *ret = token->type == YD_TOKEN_INT ? (double)token->u64 : token->f64;
    if (minus) *ret = -*ret;
    next(reader);
    return true;
}

static bool begins_number(const struct reader *reader)
{
    return reader->token.type == YD_TOKEN_INT || reader->token.type == YD_TOKEN_FLOAT || is_sign(reader, '-') ||
           is_sign(reader, '+');
}

static void range(struct reader *reader, struct yd_limit_range *range)
{
    struct yd_token first = reader->token;
    if (range->given) {
        (void)fail(reader, YD_EFORMAT, &first, "this range was given before");
        return;
    }
    *range = (struct yd_limit_range){-INFINITY, INFINITY, true};
    if (!begins_number(reader) && !is_sign(reader, YD_SIGN('.', '.'))) {
        (void)fail(reader, YD_EFORMAT, &first, "a range is missing here: 10..90, 10.. or ..90");
        return;
    }
    if (begins_number(reader) && !number(reader, &range->low)) return;
    if (!is_sign(reader, YD_SIGN('.', '.'))) {
        (void)fail(reader, YD_EFORMAT, &reader->token, "the dots of a range are missing here: 10..90");
        return;
    }
    next(reader);
    if (begins_number(reader) && !number(reader, &range->high)) return;
    first.size = reader->end - first.offset;
    if (isinf(range->low) && isinf(range->high))
        (void)fail(reader, YD_EINVAL, &first, "a range without ends limits nothing");
    else if (range->low > range->high)
        (void)fail(reader, YD_EINVAL, &first, "the lower end of this range is above the upper one");
}

static bool value(struct reader *reader, struct yd_reading *ret)
{
    const struct yd_token *token = &reader->token;
    double of_number;
    if (token->type == YD_TOKEN_TEXT && token->escaped) {
        (void)fail(reader, YD_EFORMAT, token, "texts of limits are without backslashes");
        return false;
    }
    if (token->type == YD_TOKEN_TEXT)
        *ret = yd_reading_text(token->text, 0);
    else if (is_word(reader, "true") || is_word(reader, "false"))
        *ret = yd_reading_bool(is_word(reader, "true"), 0);
    else if (begins_number(reader)) {
        if (!number(reader, &of_number)) return false;
        *ret = yd_reading_f64(of_number, 0);
        return true;
    } else {
        (void)fail(reader, YD_EFORMAT, token, "a value is missing here: a text in quotes, a number, true or false");
        return false;
    }
    next(reader);
    return true;
}

static bool same(const struct yd_reading *a, const struct yd_reading *b)
{
    if (a->type != b->type) return false;
    return a->type == YD_TEXT  ? yd_str_eq((struct yd_str){a->text, a->size}, (struct yd_str){b->text, b->size})
           : a->type == YD_F64 ? a->f64 == b->f64
                               : a->bits == b->bits;
}

static void values(struct reader *reader, bool red)
{
    struct yd_limit_clause *clause = reader->clause;
    do {
        struct yd_token at = reader->token;
        struct yd_reading one;
        if (is_sign(reader, ',')) next(reader);
        at = reader->token;
        if (!value(reader, &one)) return;
        for (uint32_t i = 0; i < clause->value_count; i++)
            if (same(&clause->values[i].value, &one))
                (void)fail(reader, YD_EINVAL, &at, "this value stands there twice");
        if (clause->value_count == YD_LIMIT_VALUES_MAX)
            (void)fail(reader, YD_ETOOBIG, &at, "more than 32 values");
        else
            clause->values[clause->value_count++] = (struct yd_limit_value){one, red};
    } while (is_sign(reader, ','));
}

/* ---- words ---- */

static void colour(struct reader *reader, bool red)
{
    struct yd_limit_clause *clause = reader->clause;
    next(reader);
    if (is_word(reader, "is")) {
        next(reader);
        values(reader, red);
    } else if (is_word(reader, "rate")) {
        next(reader);
        range(reader, red ? &clause->red_rate : &clause->yellow_rate);
    } else if (is_word(reader, "delta")) {
        next(reader);
        range(reader, red ? &clause->red_delta : &clause->yellow_delta);
    } else {
        range(reader, red ? &clause->red : &clause->yellow);
    }
}

static void once(struct reader *reader, enum word word)
{
    if (reader->said & (unsigned)word) (void)fail(reader, YD_EFORMAT, &reader->token, "this stands there twice");
    reader->said |= (unsigned)word;
    next(reader);
}

static void persist(struct reader *reader)
{
    once(reader, WORD_PERSIST);
    const struct yd_token *token = &reader->token;
    if (token->type == YD_TOKEN_DURATION && token->i64 > 0)
        reader->clause->persist_ns = token->i64;
    else if (token->type == YD_TOKEN_INT && token->u64 >= 1 && token->u64 <= 1000000)
        reader->clause->persist = (uint32_t)token->u64;
    else
        (void)fail(reader, YD_EFORMAT, token, "how many values, or how long, is missing here: persist 3, persist 5s");
    next(reader);
}

static void stale(struct reader *reader)
{
    once(reader, WORD_STALE);
    if (reader->token.type != YD_TOKEN_DURATION || reader->token.i64 <= 0)
        (void)fail(reader, YD_EFORMAT, &reader->token, "a duration is missing here: stale 10s");
    reader->clause->stale_ns = reader->token.i64;
    next(reader);
    bool yellow = is_word(reader, "yellow"), red = is_word(reader, "red");
    if (!yellow && !red) return;
    /* `stale 10s red 0..100`: the colour begins what follows if a range, rate, delta or values do */
    struct yd_tokens tokens = reader->tokens;
    struct yd_token after;
    if (yd_token_next(&tokens, &after, NULL) == 0) {
        bool range_follows = after.type == YD_TOKEN_INT || after.type == YD_TOKEN_FLOAT ||
                             (after.type == YD_TOKEN_SIGN &&
                              (after.sign == '-' || after.sign == '+' || after.sign == YD_SIGN('.', '.')));
        bool word_follows = after.type == YD_TOKEN_NAME &&
                            (yd_str_eq(after.text, YD_STR("is")) || yd_str_eq(after.text, YD_STR("rate")) ||
                             yd_str_eq(after.text, YD_STR("delta")));
        if (range_follows || word_follows) return;
    }
    reader->clause->stale_state = red ? YD_LIMIT_RED : YD_LIMIT_YELLOW;
    next(reader);
}

/* False: this word is none of ours. */
static bool item(struct reader *reader)
{
    struct yd_token at = reader->token;
    if (is_word(reader, "yellow") || is_word(reader, "red")) {
        colour(reader, is_word(reader, "red"));
    } else if (is_word(reader, "persist")) {
        persist(reader);
    } else if (is_word(reader, "stale")) {
        stale(reader);
    } else if (is_word(reader, "hysteresis")) {
        once(reader, WORD_HYSTERESIS);
        if (number(reader, &reader->clause->hysteresis) && !(reader->clause->hysteresis >= 0))
            (void)fail(reader, YD_EINVAL, &at, "hysteresis is not negative");
        at.size = reader->end - at.offset;
        reader->hysteresis = at;
    } else if (is_word(reader, "set")) {
        once(reader, WORD_SET);
        if (reader->token.type != YD_TOKEN_NAME)
            (void)fail(reader, YD_EFORMAT, &reader->token, "the name of the set is missing here");
        reader->clause->set = reader->token.text;
        reader->set = reader->token;
        next(reader);
    } else {
        return false;
    }
    return true;
}

static void unknown(struct reader *reader)
{
    static const char *const words[] = {"set", "yellow", "red", "persist", "hysteresis", "stale"};
    char message[120];
    const char *near = NULL;
    struct yd_str text = reader->token.text;
    if (reader->token.type != YD_TOKEN_NAME) {
        (void)fail(reader, YD_EFORMAT, &reader->token,
                   "set, yellow, red, persist, hysteresis or stale is missing here");
        return;
    }
    for (size_t i = 0; i < YD_COUNT(words) && text.size < 20; i++)
        if (yd_text_distance(text, yd_str_of(words[i]), 2) <= 2) near = words[i];
    (void)snprintf(message, sizeof message, "'%.*s' is no word of limits", (int)YD_MIN(text.size, (size_t)60),
                   text.data);
    (void)fail(reader, YD_EFORMAT, &reader->token, message);
    if (!reader->mistake) return;
    if (near)
        (void)snprintf(reader->mistake->help, sizeof reader->mistake->help, "did you mean '%s'?", near);
    else
        (void)snprintf(reader->mistake->help, sizeof reader->mistake->help,
                       "there are set, yellow, red, persist, hysteresis and stale");
}

/* ---- whole ---- */

static void agree(struct reader *reader, const struct yd_limit_range *yellow, const struct yd_limit_range *red,
                  const struct yd_token *all)
{
    if (yellow->given && red->given && (yellow->low < red->low || yellow->high > red->high))
        (void)fail(reader, YD_EINVAL, all, "the yellow range reaches beyond the red one: it lies inside");
}

/* Half of the narrowest range, or it never becomes better. */
static void check(struct reader *reader, const struct yd_token *all)
{
    const struct yd_limit_clause *clause = reader->clause;
    const struct yd_limit_range *ranges[] = {&clause->yellow, &clause->red};
    agree(reader, &clause->yellow, &clause->red, all);
    agree(reader, &clause->yellow_rate, &clause->red_rate, all);
    agree(reader, &clause->yellow_delta, &clause->red_delta, all);
    for (size_t i = 0; i < YD_COUNT(ranges); i++)
        if (ranges[i]->given && clause->hysteresis > (ranges[i]->high - ranges[i]->low) / 2)
            (void)fail(reader, YD_EINVAL, &reader->hysteresis, "more than half of a range: it would never get better");
    if (clause->hysteresis > 0 && !clause->yellow.given && !clause->red.given)
        (void)fail(reader, YD_EINVAL, &reader->hysteresis, "hysteresis without a range has no effect");
    if (!clause->yellow.given && !clause->red.given && !clause->yellow_rate.given && !clause->red_rate.given &&
        !clause->yellow_delta.given && !clause->red_delta.given && !clause->value_count && !clause->stale_ns)
        (void)fail(reader, YD_EINVAL, all, "nothing is limited: give a yellow or red range, values, or stale");
}

int yd_limit_parse(struct yd_str text, size_t *ret_used, struct yd_limit_clause *ret_clause, struct yd_mistake *mistake)
{
    struct yd_limit_clause clause = {.stale_state = YD_LIMIT_UNKNOWN};
    struct reader reader = {.tokens = {.text = text}, .mistake = mistake, .clause = &clause, .part = ret_used != NULL};
    if (mistake) *mistake = (struct yd_mistake){0};
    if (text.size > UINT32_MAX / 2) return YD_ETOOBIG;
    next(&reader);
    reader.end = 0;
    struct yd_token all = reader.token;
    if (is_word(&reader, "limits")) {
        next(&reader);
        all.after_newline = false;
    }
    for (bool first = true; reader.error == 0; first = false) {
        if (reader.token.type == YD_TOKEN_END && (reader.part || reader.lexical.error == 0)) break;
        if (!first && reader.part && reader.token.after_newline) break;
        if (item(&reader)) continue;
        if (reader.part) break;
        unknown(&reader);
    }
    all.size = reader.end > all.offset ? reader.end - all.offset : 0;
    if (reader.error == 0) check(&reader, &all);
    if (reader.error < 0) return reader.error;
    if (ret_used) *ret_used = reader.token.offset;
    *ret_clause = clause;
    return 0;
}
