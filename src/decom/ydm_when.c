/* Conditions of a `.ydm` text, and the text of limits, which go to the end of their line.
 *
 *   when apid == 3 and (mode == BOOST or not armed)
 *   limits yellow -20..70 red -40..85 persist 3 hysteresis 2 stale 10s */
#include "decom/ydm_internal.h"

/* A value to compare with: a number, a text, or a label written as a word. */
static bool take_value(struct yd__ydm *ydm, struct yd_def_value *ret)
{
    const struct yd__ydm_token *token = ydm->at;
    if (yd__ydm_more(ydm) && (token->kind == YDM_WORD || token->kind == YDM_STRING)) {
        ydm->at++;
        if (token->kind == YDM_WORD &&
            (yd_str_eq(token->text, YD_STR("true")) || yd_str_eq(token->text, YD_STR("false"))))
            *ret = yd_def_u64(token->text.data[0] == 't');
        else
            *ret = (struct yd_def_value){.type = YD_DEF_TEXT, .text = token->text};
        return true;
    }
    if (yd__ydm_more(ydm) && token->kind == YDM_INT) {
        ydm->at++;
        *ret = yd_def_u64(token->integer);
        return true;
    }
    bool minus = yd__ydm_is_mark(ydm, '-');
    if (minus && ydm->at[1].kind == YDM_INT) {
        int64_t value;
        if (!yd__ydm_i64(ydm, "a number", &value)) return false;
        *ret = yd_def_i64(value);
        return true;
    }
    double number;
    if (minus || token->kind == YDM_FLOAT) {
        if (!yd__ydm_f64(ydm, "a number", &number)) return false;
        *ret = yd_def_f64(number);
        return true;
    }
    return yd__ydm_unexpected(ydm, "a value: a number, a label or a text");
}

static struct yd_def_condition *compare(struct yd__ydm *ydm, struct yd_str field, enum yd_def_op op,
                                        struct yd_place place, bool calibrated)
{
    struct yd_def_value value;
    if (!take_value(ydm, &value)) return NULL;
    struct yd_def_condition *condition = yd_def_compare(ydm->def, field, op, value, place);
    if (condition) condition->calibrated = calibrated;
    return condition;
}

static bool is_above(const struct yd_def_value *low, const struct yd_def_value *high)
{
    if (low->type == YD_DEF_U64 && high->type == YD_DEF_U64) return low->u64 > high->u64;
    if (low->type == YD_DEF_I64 && high->type == YD_DEF_I64) return low->i64 > high->i64;
    if (low->type == YD_DEF_F64 && high->type == YD_DEF_F64) return low->f64 > high->f64;
    return low->type == YD_DEF_U64 && high->type == YD_DEF_I64; /* below zero */
}

static struct yd_def_condition *take_or(struct yd__ydm *ydm);

static struct yd_def_condition *take_one(struct yd__ydm *ydm)
{
    static const struct {
        unsigned mark;
        enum yd_def_op op;
    } ops[] = {{YDM_MARK2('=', '='), YD_DEF_EQ},
               {YDM_MARK2('!', '='), YD_DEF_NE},
               {'<', YD_DEF_LT},
               {YDM_MARK2('<', '='), YD_DEF_LE},
               {'>', YD_DEF_GT},
               {YDM_MARK2('>', '='), YD_DEF_GE}};
    struct yd_place place = ydm->at->place;
    if (yd__ydm_skip_word(ydm, "not")) {
        if (++ydm->depth > YD_YDM_DEPTH_MAX) {
            yd_def_error(ydm->diagnostics, YD_D_LIMIT, place, "", "too many conditions in each other");
            return NULL;
        }
        struct yd_def_condition *inner = take_one(ydm);
        ydm->depth--;
        return inner ? yd_def_logic(ydm->def, YD_DEF_NOT, inner, NULL, place) : NULL;
    }
    if (yd__ydm_skip_mark(ydm, '(')) {
        if (++ydm->depth > YD_YDM_DEPTH_MAX) {
            yd_def_error(ydm->diagnostics, YD_D_LIMIT, place, "", "too many brackets in each other");
            return NULL;
        }
        struct yd_def_condition *inner = take_or(ydm);
        ydm->depth--;
        return inner && yd__ydm_expect(ydm, ')', "')'") ? inner : NULL;
    }
    struct yd_str field;
    if (!yd__ydm_word(ydm, "a field", &field)) return NULL;
    bool calibrated = false;
    if (yd_str_eq(field, YD_STR("value")) && yd__ydm_skip_mark(ydm, '(')) {
        calibrated = true;
        place = ydm->at->place;
        if (!yd__ydm_word(ydm, "a field", &field) || !yd__ydm_expect(ydm, ')', "')'")) return NULL;
    }
    if (yd__ydm_skip_word(ydm, "in")) {
        struct yd_def_condition *from = compare(ydm, field, YD_DEF_GE, place, calibrated);
        if (!from || !yd__ydm_expect(ydm, YDM_MARK2('.', '.'), "'..' and the last value")) return NULL;
        struct yd_def_condition *to = compare(ydm, field, YD_DEF_LE, place, calibrated);
        if (to && is_above(&from->value, &to->value)) {
            yd_def_error(ydm->diagnostics, YD_D_VALUE, place, "",
                         "nothing is in this range: its first value is above its last");
            yd_def_help(ydm->diagnostics, "write the lower one first:  %.*s in 2..9", YD_STR_FMT(field));
            return NULL;
        }
        return to ? yd_def_logic(ydm->def, YD_DEF_AND, from, to, place) : NULL;
    }
    for (size_t i = 0; i < YD_COUNT(ops); i++)
        if (yd__ydm_skip_mark(ydm, ops[i].mark)) return compare(ydm, field, ops[i].op, place, calibrated);
    if (yd__ydm_is_mark(ydm, '=')) {
        yd_def_error(ydm->diagnostics, YD_D_SYNTAX, ydm->at->place, "", "a comparison has two equal signs");
        yd_def_help(ydm->diagnostics, "write  %.*s == …", YD_STR_FMT(field));
        return NULL;
    }
    /* A field alone: it is not zero. */
    struct yd_def_condition *condition = yd_def_compare(ydm->def, field, YD_DEF_NE, yd_def_u64(0), place);
    if (condition) condition->calibrated = calibrated;
    return condition;
}

static struct yd_def_condition *take_and(struct yd__ydm *ydm)
{
    struct yd_def_condition *left = take_one(ydm);
    while (left && yd__ydm_is_word(ydm, "and")) {
        struct yd_place place = (ydm->at++)->place;
        struct yd_def_condition *right = take_one(ydm);
        left = right ? yd_def_logic(ydm->def, YD_DEF_AND, left, right, place) : NULL;
    }
    return left;
}

static struct yd_def_condition *take_or(struct yd__ydm *ydm)
{
    struct yd_def_condition *left = take_and(ydm);
    while (left && yd__ydm_is_word(ydm, "or")) {
        struct yd_place place = (ydm->at++)->place;
        struct yd_def_condition *right = take_and(ydm);
        left = right ? yd_def_logic(ydm->def, YD_DEF_OR, left, right, place) : NULL;
    }
    return left;
}

struct yd_def_condition *yd__ydm_condition(struct yd__ydm *ydm)
{
    return take_or(ydm);
}

/* ---- limits ---- */

bool yd__ydm_limits(struct yd__ydm *ydm, struct yd_def_limits *limits)
{
    if (!yd__ydm_more(ydm))
        return yd__ydm_unexpected(ydm, "limits: yellow -20..70 red -40..85, red is \"FAULT\", stale 10s");
    limits->place = ydm->at->place;
    uint32_t first = ydm->at->first, last = first;
    for (; yd__ydm_more(ydm); ydm->at++) last = ydm->at->last;
    limits->text = yd_def_text(ydm->def, (struct yd_str){ydm->text.data + first, last - first});
    return true;
}
