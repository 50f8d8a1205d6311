/* Patterns: rules out of text, and the value of a measurement at a moment. */
#include "cli/sim_pattern.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"

#define PERIOD_NS (10 * YD_NS_PER_S)
#define TEXT_MAX  64

/* ---- reading ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

static bool cut(struct yd_str *text, char at, struct yd_str *ret)
{
    const char *found = text->size ? memchr(text->data, at, text->size) : NULL;
    if (!found) return false;
    *ret = (struct yd_str){text->data, (size_t)(found - text->data)};
    *text = (struct yd_str){found + 1, text->size - ret->size - 1};
    return true;
}

static int read_range(struct yd_str text, struct sim_rule *rule)
{
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] != '.' || text.data[i + 1] != '.') continue;
        rule->ranged = true;
        if (yd_text_f64((struct yd_str){text.data, i}, false, &rule->low) < 0) return YD_EFORMAT;
        return yd_text_f64((struct yd_str){text.data + i + 2, text.size - i - 2}, false, &rule->high);
    }
    return YD_EFORMAT;
}

static int read_rule(struct yd_str word, struct sim_rule *rule)
{
    static const char *const kinds[] = {"sine", "ramp", "square", "random", "const"};
    struct yd_str kind, rest = word, part;
    *rule = (struct sim_rule){.period_ns = PERIOD_NS};
    if (!cut(&rest, '=', &rule->name) || !rule->name.size) return YD_EFORMAT;
    bool more = cut(&rest, ':', &kind);
    if (!more) kind = rest;
    for (size_t i = 0;; i++) {
        if (i == YD_COUNT(kinds)) return YD_EFORMAT;
        rule->kind = (enum sim_kind)i;
        if (yd_str_eq(kind, yd_str_of(kinds[i]))) break;
    }
    if (rule->kind == SIM_CONST) {
        rule->text = more ? rest : YD_STR("");
        rule->ranged = more && yd_text_f64(rest, false, &rule->low) == 0;
        rule->high = rule->low;
        return 0;
    }
    for (; more; rest = more ? rest : YD_STR("")) {
        more = cut(&rest, ':', &part);
        if (!more) part = rest;
        if (read_range(part, rule) == 0) continue;
        if (rule->ranged && rule->low == 0 && rule->high == 0) return YD_EFORMAT;
        if (yd_text_duration(part, &rule->period_ns) < 0 || rule->period_ns <= 0) return YD_EFORMAT;
    }
    return 0;
}

int sim_patterns_read(struct sim_patterns *patterns, struct yd_str text, struct yd_str *ret_word)
{
    for (size_t i = 0; i < text.size;) {
        if (is_space(text.data[i])) {
            i++;
            continue;
        }
        size_t end = i;
        if (text.data[i] == '#') {
            while (i < text.size && text.data[i] != '\n') i++;
            continue;
        }
        while (end < text.size && !is_space(text.data[end])) end++;
        *ret_word = (struct yd_str){text.data + i, end - i};
        if (patterns->count == SIM_RULES_MAX) return YD_EFULL;
        if (read_rule(*ret_word, &patterns->rules[patterns->count]) < 0) return YD_EFORMAT;
        patterns->count++;
        i = end;
    }
    return 0;
}

/* ---- a value ---- */

double sim_chance(uint64_t seed, struct yd_str name, uint64_t number)
{
    uint64_t words[3] = {seed, yd_hash(name.data, name.size), number};
    return (double)(yd_hash(words, sizeof words) >> 11) * 0x1p-53;
}

/* The whole name, or what is behind one of its dots. */
static bool matches(const struct sim_rule *rule, struct yd_str name)
{
    if (yd_text_glob(rule->name, name)) return true;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '.' && yd_text_glob(rule->name, (struct yd_str){name.data + i + 1, name.size - i - 1}))
            return true;
    return false;
}

static struct sim_rule *rule_of(struct sim_patterns *patterns, struct yd_str name)
{
    struct sim_rule *other = &patterns->rules[SIM_RULES_MAX], *first = NULL;
    for (uint32_t i = 0; i < patterns->count; i++) {
        struct sim_rule *rule = &patterns->rules[i];
        if ((first && rule->used) || !matches(rule, name)) continue;
        rule->used = true; /* it means something, though another one may come before it */
        if (!first) first = rule;
    }
    if (first) return first;
    *other = (struct sim_rule){.period_ns = PERIOD_NS};
    return other;
}

/* Where between low and high, 0 to 1. What no rule is about begins somewhere in its period, so that not all is alike.
 */
static double share(const struct sim_patterns *patterns, const struct sim_rule *rule, struct yd_str name,
                    const struct sim_moment *moment)
{
    double phase = (double)(moment->since_ns % rule->period_ns) / (double)rule->period_ns;
    if (rule->kind == SIM_RANDOM) return sim_chance(patterns->seed, name, moment->number);
    if (rule->kind == SIM_CONST) return 0;
    if (rule == &patterns->rules[SIM_RULES_MAX]) {
        phase += sim_chance(patterns->seed, name, UINT64_MAX);
        phase -= floor(phase);
    }
    if (rule->kind == SIM_SINE) return (1 - cos(2 * M_PI * phase)) / 2;
    return rule->kind == SIM_RAMP ? phase : phase < 0.5 ? 0 : 1;
}

/* The finite ends of what a definition says is good; one that is open is as far from the other as that from zero. */
static bool good_range(const struct yd_def_limits *limits, double *ret_low, double *ret_high)
{
    for (; limits; limits = limits->next) {
        const struct yd_limit_range *ranges[] = {&limits->clause.yellow, &limits->clause.red};
        for (size_t i = 0; i < YD_COUNT(ranges); i++) {
            double low = ranges[i]->low, high = ranges[i]->high;
            if (limits->clause.set.size || !ranges[i]->given) continue;
            if (!isfinite(low)) low = high - fabs(high);
            if (!isfinite(high)) high = low + fabs(low);
            if (!(low < high)) continue;
            *ret_low = low;
            *ret_high = high;
            return true;
        }
    }
    return false;
}

/* False: nothing is known but what its bits can hold; the range is one of raw values then. */
static bool range_of(const struct yd_def *def, const struct yd_encode_ask *ask, double *ret_low, double *ret_high)
{
    const struct yd_def_type *type = ask->field->type;
    if (!ask->raw && type->has_valid && !(type->valid_raw && type->calibrations) && isfinite(type->valid_min) &&
        isfinite(type->valid_max)) {
        *ret_low = type->valid_min;
        *ret_high = type->valid_max;
        return true;
    }
    if (!ask->raw && good_range(ask->entry->limits, ret_low, ret_high)) return true;
    for (const struct yd_def_limits *l = ask->raw ? NULL : def->limits; l; l = l->next)
        if (yd_str_eq(l->measurement, ask->name) && good_range(l, ret_low, ret_high)) return true;
    yd__field_range(ask->field, ret_low, ret_high);
    if (type->encoding >= YD_DEF_IEEE) *ret_low = -1, *ret_high = 1;
    return false;
}

static struct yd_decom_value real(double value)
{
    return (struct yd_decom_value){.type = YD_F64, .f64 = value};
}

static void label_value(const struct sim_rule *rule, const struct yd_encode_ask *ask, double at,
                        struct yd_encode_answer *answer)
{
    const struct yd__field *field = ask->field;
    if (rule->kind == SIM_CONST && rule->text.size && !rule->ranged) {
        answer->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = rule->text};
        return;
    }
    answer->raw = true;
    if (rule->ranged) {
        answer->value = real(floor(rule->low + at * (rule->high - rule->low) + 0.5));
        return;
    }
    uint32_t index = (uint32_t)(at * field->label_count);
    if (index >= field->label_count) index = field->label_count - 1;
    answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = field->labels[index].first};
}

void sim_patterns_value(struct sim_patterns *patterns, const struct yd_def *def, const struct yd_encode_ask *ask,
                        const struct sim_moment *moment, char *text, struct yd_encode_answer *answer)
{
    struct sim_rule *rule = rule_of(patterns, ask->name);
    const struct yd_def_type *type = ask->field->type;
    double low, high, at = share(patterns, rule, ask->name, moment);
    *answer = (struct yd_encode_answer){0};
    if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        struct yd_str shown = rule->text;
        if (rule->kind != SIM_CONST)
            shown =
                (struct yd_str){text, (size_t)snprintf(text, TEXT_MAX, "n%llu", (unsigned long long)moment->number)};
        answer->value = (struct yd_decom_value){.type = YD_TEXT, .bytes = shown};
    } else if (type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS ||
               (type->epoch != YD_DEF_EPOCH_NONE && !ask->raw)) {
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = moment->wall_ns};
    } else if (ask->counts) {
        int64_t span = YD_MIN(ask->count_max - ask->count_min, INT64_C(3)) + 1;
        int64_t count = rule->ranged ? (int64_t)(rule->low + at * (rule->high - rule->low) + 0.5)
                                     : ask->count_min + (int64_t)(moment->number % (uint64_t)YD_MAX(span, INT64_C(1)));
        count = YD_MAX(ask->count_min, YD_MIN(count, ask->count_max));
        answer->raw = true;
        answer->value = (struct yd_decom_value){.type = YD_I64, .i64 = count};
    } else if (ask->field->label_count) {
        label_value(rule, ask, at, answer);
    } else if (ask->field->boolean) {
        bool on = rule->kind == SIM_CONST ? rule->low != 0 || yd_str_eq(rule->text, YD_STR("true")) : at >= 0.5;
        answer->value = (struct yd_decom_value){.type = YD_BOOL, .u64 = on};
    } else {
        bool known = range_of(def, ask, &low, &high);
        answer->raw = !known && !rule->ranged;
        if (rule->ranged && !ask->raw) low = rule->low, high = rule->high;
        answer->value = real(low + at * (high - low));
        if (type->encoding < YD_DEF_IEEE && !ask->field->calibrations) answer->value.f64 = nearbyint(answer->value.f64);
    }
}
