/* Conditions, amounts, calibrators and alarms of XTCE.
 *
 * Each says false or NULL with a reason when the model has no word for it: whoever asked is then not decoded. */
#include <math.h>

#include "base/text.h"
#include "decom/xtce_internal.h"

#define CONDITIONS_DEEP 16
#define POINTS_MAX      4096
#define TERMS_MAX       64

/* ---- references ---- */

static const struct yd_def_type *member_of(const struct yd_def_type *type, struct yd_str path)
{
    while (type && path.size) {
        size_t size = 0;
        while (size < path.size && path.data[size] != '.' && path.data[size] != '/') size++;
        const struct yd_def_type *found = NULL;
        for (const struct yd_def_entry *entry = type->entries.first; entry; entry = entry->next)
            if (yd_str_eq(entry->name, (struct yd_str){path.data, size}) && !entry->dimensions) found = entry->type;
        type = found;
        size += size < path.size;
        path.data += size;
        path.size -= size;
    }
    return type;
}

bool xtce_reference(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                    struct yd_def_ref *ret_ref, const struct xtce_parameter **ret_parameter,
                    const struct yd_def_type **ret_type, const char **ret_why)
{
    struct yd_str name = xtce_attribute(node, "parameterRef"), instance = xtce_attribute(node, "instance"), rest;
    const struct xtce_parameter *found =
        name.size ? xtce_resolve(xtce, XTCE_PARAMETER, asks->system, name, &rest) : NULL;
    if (!found) {
        yd_def_error(xtce->diagnostics, YD_D_FIELD, node->place, "", "there is no parameter '%.*s'", YD_STR_FMT(name));
        *ret_why = xtce_why(xtce, node, "a parameter that is not there");
        return false;
    }
    if (instance.size && !yd_str_eq(instance, YD_STR("0"))) {
        *ret_why = xtce_why(xtce, node, "another instance than the one of the packet");
        return false;
    }
    struct yd_str field = found->field;
    if (asks->container) {
        field = xtce_path(xtce, asks->container, found);
        if (!field.size) {
            *ret_why = xtce_why(xtce, node, "'%.*s' is not in the packet before it", (int)YD_MIN(name.size, (size_t)80),
                                name.data);
            return false;
        }
    } else if (asks->uses) {
        struct xtce_uses *use = xtce_piece(xtce, sizeof *use);
        *use = (struct xtce_uses){*asks->uses, found};
        *asks->uses = use;
    }
    if (!field.size) field = xtce_attribute(found->node, "name"); /* a parameter that is read later */
    const char *path = rest.size ? yd_arena_printf(&xtce->arena, "%.*s.%.*s", YD_STR_FMT(field), YD_STR_FMT(rest))
                                 : yd_arena_cstr(&xtce->arena, field);
    xtce_check(xtce, path);
    *ret_ref = (struct yd_def_ref){yd_def_text(xtce->def, yd_str_of(path)), node->place};
    if (ret_parameter) *ret_parameter = found;
    struct xtce_type *type = NULL;
    if (found->type)
        type = found->type;
    else if ((type =
                  xtce_resolve(xtce, XTCE_TYPE, found->system, xtce_attribute(found->node, "parameterTypeRef"), NULL)))
        type = type->state == XTCE_NEW ? xtce_type(xtce, type) : type->type ? type : NULL;
    const struct yd_def_type *of = type && !type->dimensions ? member_of(type->type, rest) : NULL;
    if (!of) {
        *ret_why = xtce_why(xtce, node, "'%.*s' is not one value", (int)YD_MIN(name.size, (size_t)80), name.data);
        return false;
    }
    if (of->unsupported) {
        *ret_why = of->unsupported;
        return false;
    }
    if (ret_type) *ret_type = of;
    return true;
}

/* ---- conditions ---- */

static bool same_word(struct yd_str a, struct yd_str b)
{
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        char x = a.data[i], y = b.data[i];
        if (x >= 'A' && x <= 'Z') x = (char)(x | 0x20);
        if (y >= 'A' && y <= 'Z') y = (char)(y | 0x20);
        if (x != y) return false;
    }
    return true;
}

static bool take_value(struct xtce *xtce, const struct yd__xml *node, const struct xtce_parameter *parameter,
                       const struct yd_def_type *type, struct yd_str text, bool *calibrated, struct yd_def_value *ret,
                       const char **ret_why)
{
    int64_t whole;
    if (type->encoding == YD_DEF_STRING) {
        *ret = (struct yd_def_value){.type = YD_DEF_TEXT, .text = text};
        *calibrated = false;
        return true;
    }
    if (type->encoding > YD_DEF_MIL1750A || type->epoch != YD_DEF_EPOCH_NONE) {
        *ret_why = xtce_why(xtce, node, "a comparison with bytes or a time");
        return false;
    }
    if (type->labels && *calibrated) {
        *ret = (struct yd_def_value){.type = YD_DEF_TEXT, .text = text};
        return true;
    }
    if (type->boolean) {
        const struct xtce_type *of = parameter->type;
        bool one = same_word(text, of ? of->one : YD_STR("true")),
             zero = same_word(text, of ? of->zero : YD_STR("false"));
        if ((*calibrated || !text.size || text.data[0] > '9') && (one || zero)) {
            *ret = yd_def_u64(one);
            *calibrated = false;
            return true;
        }
    }
    *calibrated = *calibrated && type->calibrations;
    bool fraction = false;
    for (size_t i = 0; i < text.size; i++)
        fraction |=
            text.data[i] == '.' || (((text.data[i] | 0x20) == 'e') && !(text.size > 1 && (text.data[1] | 0x20) == 'x'));
    if (fraction || type->encoding >= YD_DEF_IEEE) {
        double real;
        *ret_why = xtce_why(xtce, node, "a value that is no number");
        if (!xtce_real(xtce, node, text, &real)) return false;
        *ret = yd_def_f64(real);
        *ret_why = NULL;
        return true;
    }
    *ret_why = xtce_why(xtce, node, "a value that is no number");
    if (!xtce_number(xtce, node, text, &whole)) return false;
    *ret_why = NULL;
    *ret = whole < 0 ? yd_def_i64(whole) : yd_def_u64((uint64_t)whole);
    return true;
}

static bool take_operator(struct xtce *xtce, const struct yd__xml *node, struct yd_str word, enum yd_def_op *ret)
{
    static const char *const words[] = {"==", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < YD_COUNT(words); i++)
        if (yd_str_eq(word, yd_str_of(words[i]))) return *ret = (enum yd_def_op)i, true;
    return yd_def_error(xtce->diagnostics, YD_D_SYNTAX, node->place, "", "'%.*s' compares nothing",
                        (int)YD_MIN(word.size, (size_t)40), word.data);
}

static struct yd_def_condition *compare(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                        const struct yd__xml *asked, struct yd_str word, struct yd_str text,
                                        const char **ret_why)
{
    const struct xtce_parameter *parameter;
    const struct yd_def_type *type;
    struct yd_def_ref ref;
    struct yd_def_value value;
    enum yd_def_op op = YD_DEF_EQ;
    bool calibrated = xtce_flag(xtce, asked, "useCalibratedValue", true);
    if (!xtce_reference(xtce, asks, asked, &ref, &parameter, &type, ret_why)) return NULL;
    if (word.size && !take_operator(xtce, node, word, &op)) {
        *ret_why = xtce_why(xtce, node, "an operator that is not known");
        return NULL;
    }
    if (!take_value(xtce, node, parameter, type, text, &calibrated, &value, ret_why)) return NULL;
    struct yd_def_condition *made = yd_def_compare(xtce->def, ref.name, op, value, node->place);
    xtce_check(xtce, made);
    made->calibrated = calibrated;
    return made;
}

/* "Operand1 operator Operand2" (ComparisonCheckType), each calibrated or raw as it says for itself. */
static struct yd_def_condition *compare_two(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                            const struct yd__xml *one, const struct yd__xml *other, struct yd_str word,
                                            const char **ret_why)
{
    const struct yd__xml *nodes[2] = {one, other};
    const struct yd_def_type *types[2];
    struct yd_def_ref refs[2];
    bool calibrated[2];
    enum yd_def_op op = YD_DEF_EQ;
    for (int i = 0; i < 2; i++) {
        calibrated[i] = xtce_flag(xtce, nodes[i], "useCalibratedValue", true);
        if (!xtce_reference(xtce, asks, nodes[i], &refs[i], NULL, &types[i], ret_why)) return NULL;
        *ret_why = xtce_why(xtce, nodes[i], "a comparison of what is no number");
        if (types[i]->encoding > YD_DEF_MIL1750A || types[i]->epoch != YD_DEF_EPOCH_NONE) return NULL;
        calibrated[i] = calibrated[i] && (types[i]->calibrations || types[i]->labels);
    }
    *ret_why = xtce_why(xtce, node, "a label that is compared with a number");
    if ((types[0]->labels && calibrated[0]) != (types[1]->labels && calibrated[1])) return NULL;
    *ret_why = xtce_why(xtce, node, "an operator that is not known");
    if (!take_operator(xtce, node, word, &op)) return NULL;
    struct yd_def_condition *made = yd_def_compare(xtce->def, refs[0].name, op, yd_def_u64(0), node->place);
    xtce_check(xtce, made);
    made->calibrated = calibrated[0];
    made->other = refs[1];
    made->other_calibrated = calibrated[1];
    *ret_why = NULL;
    return made;
}

static struct yd_def_condition *take_condition(struct xtce *xtce, const struct xtce_asks *asks,
                                               const struct yd__xml *node, unsigned depth, const char **ret_why);

static struct yd_def_condition *take_all(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                         enum yd_def_logic logic, unsigned depth, const char **ret_why)
{
    struct yd_def_condition *all = NULL;
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        struct yd_def_condition *one = take_condition(xtce, asks, child, depth + 1, ret_why);
        if (!one) return NULL;
        all = yd_def_logic(xtce->def, logic, all, one, child->place);
        xtce_check(xtce, all);
    }
    if (!all) *ret_why = xtce_why(xtce, node, "no condition at all");
    return all;
}

static struct yd_def_condition *take_condition(struct xtce *xtce, const struct xtce_asks *asks,
                                               const struct yd__xml *node, unsigned depth, const char **ret_why)
{
    if (depth > CONDITIONS_DEEP) {
        *ret_why = xtce_why(xtce, node, "too many conditions in each other");
        return NULL;
    }
    switch (node->foreign ? XT_OTHER : (enum xtce_tag)node->tag) {
    case XT_Comparison:
        return compare(xtce, asks, node, node, xtce_attribute(node, "comparisonOperator"),
                       xtce_attribute(node, "value"), ret_why);
    case XT_ComparisonList:
    case XT_ANDedConditions:
        return take_all(xtce, asks, node, YD_DEF_AND, depth, ret_why);
    case XT_ORedConditions:
        return take_all(xtce, asks, node, YD_DEF_OR, depth, ret_why);
    case XT_BooleanExpression:
        return take_all(xtce, asks, node, YD_DEF_AND, depth, ret_why); /* there is one child */
    case XT_Condition: {
        const struct yd__xml *asked = xtce_child(node, XT_ParameterInstanceRef),
                             *operator= xtce_child(node, XT_ComparisonOperator), *value = xtce_child(node, XT_Value);
        const struct yd__xml *other = asked ? asked->next : NULL;
        while (other && (other->foreign || other->tag != XT_ParameterInstanceRef)) other = other->next;
        if (asked && operator&& value && !other)
            return compare(xtce, asks, node, asked, operator->text, value->text, ret_why);
        if (asked && operator&& other && !value)
            return compare_two(xtce, asks, node, asked, other, operator->text, ret_why);
        *ret_why = xtce_why(xtce, node, "a comparison that is not read");
        return NULL;
    }
    default:
        *ret_why = xtce_why(xtce, node, "a condition that is not read");
        return NULL;
    }
}

struct yd_def_condition *xtce_match(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                    const char **ret_why)
{
    for (const struct yd__xml *child = node->first; child; child = child->next)
        if (child->tag != XT_NextContainer && child->tag != XT_LongDescription && child->tag != XT_AncillaryDataSet)
            return take_condition(xtce, asks, child, 0, ret_why);
    *ret_why = xtce_why(xtce, node, "no condition at all");
    return NULL;
}

/* ---- amounts ---- */

/* "The value that is returned if the match evaluates to true" (schema of 1.2, DiscreteLookupType): the first one
 * counts, as with calibrators in contexts. `defaultValue` is of 1.3. */
static bool take_choices(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *list,
                         struct yd_def_amount *to, const char **ret_why)
{
    struct yd_def_choice **last = &to->choices;
    struct yd_str otherwise = xtce_attribute(list, "defaultValue");
    for (const struct yd__xml *item = list->first;; item = item->next) {
        if (!item && !otherwise.size) break;
        if (item && (item->tag != XT_DiscreteLookup || item->foreign)) {
            if (xtce_is_aside(xtce, item)) continue;
            return *ret_why = xtce_why(xtce, item, "a choice that is not read"), false;
        }
        struct yd_def_choice *made = yd_arena_zero(&xtce->def->arena, sizeof *made);
        xtce_check(xtce, made);
        struct yd_str value = item ? xtce_attribute(item, "value") : otherwise;
        if (!xtce_number(xtce, item ? item : list, value, &made->value) || made->value > INT32_MAX ||
            made->value < INT32_MIN)
            return *ret_why = xtce_why(xtce, item ? item : list, "a choice without a value that can be"), false;
        if (item && !(made->when = xtce_match(xtce, asks, item, ret_why))) return false;
        *last = made;
        last = &made->next;
        if (!item) break;
    }
    if (!to->choices) *ret_why = xtce_why(xtce, list, "a list without choices");
    return to->choices != NULL;
}

bool xtce_amount(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                 struct yd_def_amount *ret_amount, const char **ret_why)
{
    const struct yd__xml *fixed = xtce_child(node, XT_FixedValue), *dynamic = xtce_child(node, XT_DynamicValue),
                         *list = xtce_child(node, XT_DiscreteLookupList);
    const struct yd__xml *asked = dynamic ? xtce_child(dynamic, XT_ParameterInstanceRef) : NULL,
                         *linear = dynamic ? xtce_child(dynamic, XT_LinearAdjustment) : NULL;
    const struct yd_def_type *type;
    *ret_amount = (struct yd_def_amount){0};
    if (fixed && xtce_number(xtce, fixed, fixed->text, &ret_amount->offset)) return true;
    if (list && !fixed && !dynamic) return take_choices(xtce, asks, list, ret_amount, ret_why);
    if (fixed || !asked) {
        *ret_why = xtce_why(xtce, node, "an amount that is neither fixed nor told by a field");
        return false;
    }
    ret_amount->scale = 1;
    if (!xtce_reference(xtce, asks, asked, &ret_amount->field, NULL, &type, ret_why)) return false;
    if (type->encoding >= YD_DEF_IEEE || (type->calibrations && xtce_flag(xtce, asked, "useCalibratedValue", true))) {
        *ret_why = xtce_why(xtce, asked, "an amount that is told by no plain integer");
        return false;
    }
    if (!linear) return true;
    struct yd_str slope = xtce_attribute(linear, "slope"), intercept = xtce_attribute(linear, "intercept");
    double by = 1, more = 0;
    bool read = (!slope.size || xtce_real(xtce, linear, slope, &by)) &&
                (!intercept.size || xtce_real(xtce, linear, intercept, &more));
    if (!read || !(fabs(by) <= 1e9) || !(fabs(more) <= 1e9) || by != floor(by) || more != floor(more) || by == 0) {
        *ret_why = xtce_why(xtce, linear, "an adjustment that is not of whole numbers");
        return false;
    }
    ret_amount->scale = (int64_t)by;
    ret_amount->offset = (int64_t)more;
    return true;
}

/* ---- calibrators ---- */

static struct yd_def_calibration *made_of(struct xtce *xtce, struct yd_def_type *type, const struct yd__xml *node,
                                          enum yd_def_calibrator kind, const double *a, const double *b, uint32_t count)
{
    struct yd_def_calibration *made = yd_def_calibration(xtce->def, type, kind, count, b ? count : 0, node->place);
    xtce_check(xtce, made);
    memcpy(made->a, a, count * sizeof *a);
    if (b) memcpy(made->b, b, count * sizeof *b);
    return made;
}

static struct yd_def_calibration *take_polynomial(struct xtce *xtce, struct yd_def_type *type,
                                                  const struct yd__xml *node, const char **ret_why)
{
    double terms[TERMS_MAX] = {0};
    uint32_t count = 0;
    for (const struct yd__xml *term = node->first; term; term = term->next) {
        double coefficient;
        int64_t exponent;
        if (term->tag != XT_Term) {
            (void)xtce_is_aside(xtce, term);
            continue;
        }
        if (!xtce_real(xtce, term, xtce_attribute(term, "coefficient"), &coefficient) ||
            !xtce_number(xtce, term, xtce_attribute(term, "exponent"), &exponent) || exponent < 0 ||
            exponent >= TERMS_MAX) {
            *ret_why = xtce_why(xtce, term, "a term that cannot be computed");
            return NULL;
        }
        terms[exponent] += coefficient;
        count = YD_MAX(count, (uint32_t)exponent + 1);
    }
    *ret_why = xtce_why(xtce, node, "a polynomial without terms");
    return count ? made_of(xtce, type, node, YD_DEF_POLYNOMIAL, terms, NULL, count) : NULL;
}

static struct yd_def_calibration *take_spline(struct xtce *xtce, struct yd_def_type *type, const struct yd__xml *node,
                                              const char **ret_why)
{
    uint32_t count = 0, capacity = 0;
    for (const struct yd__xml *point = node->first; point; point = point->next) capacity++;
    *ret_why = xtce_why(xtce, node, "a spline without points");
    if (!capacity) return NULL;
    double *a = xtce_piece(xtce, capacity * sizeof *a), *b = xtce_piece(xtce, capacity * sizeof *b);
    struct yd_str text = xtce_attribute(node, "order");
    int64_t order = 1;
    if (text.size && !xtce_number(xtce, node, text, &order)) return NULL;
    *ret_why = xtce_why(xtce, node, "a spline of order %lld, or of %u points", (long long)order, capacity);
    if (order < 0 || order > 1 || capacity > POINTS_MAX) return NULL;
    for (const struct yd__xml *point = node->first; point; point = point->next) {
        *ret_why = xtce_why(xtce, point, "a point that is none");
        if (point->tag != XT_SplinePoint) return NULL;
        if (!xtce_real(xtce, point, xtce_attribute(point, "raw"), &a[count]) ||
            !xtce_real(xtce, point, xtce_attribute(point, "calibrated"), &b[count]))
            return NULL;
        *ret_why = xtce_why(xtce, point, "raw values of points do not rise");
        if (count && !(a[count] > a[count - 1])) return NULL;
        count++;
    }
    struct yd_def_calibration *made = made_of(xtce, type, node, order ? YD_DEF_SPLINE : YD_DEF_STEPS, a, b, count);
    made->extrapolate = xtce_flag(xtce, node, "extrapolate", false);
    return made;
}

/* Reverse Polish to what expressions are written in: a stack of texts. */
static struct yd_def_calibration *take_math(struct xtce *xtce, const struct xtce_asks *asks, struct yd_def_type *type,
                                            const struct yd__xml *node, const char **ret_why)
{
    static const struct {
        const char *word, *format;
        unsigned takes;
    } operators[] = {
        {"+", "(%s + %s)", 2},   {"-", "(%s - %s)", 2},   {"*", "(%s * %s)", 2},        {"/", "(%s / %s)", 2},
        {"%", "(%s %% %s)", 2},  {"^", "pow(%s, %s)", 2}, {"y^x", "pow(%s, %s)", 2},    {"ln", "log(%s)", 1},
        {"log", "log10(%s)", 1}, {"e^x", "exp(%s)", 1},   {"1/x", "(1.0 / %s)", 1},     {"abs", "abs(%s)", 1},
        {"sin", "sin(%s)", 1},   {"cos", "cos(%s)", 1},   {"tan", "tan(%s)", 1},        {"atan", "atan(%s)", 1},
        {"asin", "asin(%s)", 1}, {"acos", "acos(%s)", 1}, {"atan2", "atan2(%s, %s)", 2}};
    enum { DEEP = 32, LENGTH_MAX = 4096 };
    const char *stack[DEEP];
    unsigned depth = 0;
    for (const struct yd__xml *item = node->first; item; item = item->next) {
        struct yd_def_ref ref;
        double value;
        *ret_why = xtce_why(xtce, item, "a calculation that is not read");
        if (depth == DEEP) return NULL;
        if (item->tag == XT_ValueOperand) {
            char digits[40];
            if (!xtce_real(xtce, item, item->text, &value) || !isfinite(value)) return NULL;
            digits[yd_text_put_f64(digits, value)] = 0;
            /* Never a whole number: 1 / 2 is a half here. */
            bool whole = !strpbrk(digits, ".eE");
            stack[depth++] = yd_arena_printf(&xtce->arena, value < 0 ? "(%s%s)" : "%s%s", digits, whole ? ".0" : "");
        } else if (item->tag == XT_ThisParameterOperand) {
            stack[depth++] = "float(x)";
        } else if (item->tag == XT_ParameterInstanceRefOperand) {
            const struct yd_def_type *of;
            if (!xtce_reference(xtce, asks, item, &ref, NULL, &of, ret_why)) return NULL;
            *ret_why = xtce_why(xtce, item, "a calculation with no plain number");
            bool other = of->calibrations || of->labels || of->epoch != YD_DEF_EPOCH_NONE;
            if (of->encoding >= YD_DEF_STRING || (other && xtce_flag(xtce, item, "useCalibratedValue", true)))
                return NULL;
            stack[depth++] = yd_arena_printf(&xtce->arena, "float(%s)", ref.name.data);
        } else if (item->tag == XT_Operator) {
            size_t which = 0;
            while (which < YD_COUNT(operators) && !yd_str_eq(item->text, yd_str_of(operators[which].word))) which++;
            if (which == YD_COUNT(operators) || depth < operators[which].takes) return NULL;
            depth -= operators[which].takes;
            const char *a = stack[depth], *b = operators[which].takes == 2 ? stack[depth + 1] : "";
            if (strlen(a) + strlen(b) > LENGTH_MAX) return NULL;
            struct yd_buf made;
            yd_buf_init(&made, xtce->arena.alloc);
            for (const char *f = operators[which].format, *next = a; *f; f++) {
                if (f[0] == '%' && f[1] == 's') {
                    yd_buf_cstr(&made, next);
                    next = b;
                    f++;
                } else {
                    f += f[0] == '%';
                    yd_buf_char(&made, *f);
                }
            }
            stack[depth++] = yd_arena_cstr(&xtce->arena, yd_buf_view(&made));
            yd_buf_fini(&made);
        } else {
            return NULL;
        }
        xtce_check(xtce, stack[depth - 1]);
    }
    *ret_why = xtce_why(xtce, node, "a calculation that leaves not one value");
    if (depth != 1) return NULL;
    struct yd_def_calibration *made = yd_def_calibration(xtce->def, type, YD_DEF_EXPRESSION, 0, 0, node->place);
    xtce_check(xtce, made);
    made->text = yd_def_text(xtce->def, yd_str_of(stack[0]));
    return made;
}

static struct yd_def_calibration *take_calibrator(struct xtce *xtce, const struct xtce_asks *asks,
                                                  struct yd_def_type *type, const struct yd__xml *node,
                                                  const char **ret_why)
{
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        if (child->tag == XT_PolynomialCalibrator) return take_polynomial(xtce, type, child, ret_why);
        if (child->tag == XT_SplineCalibrator) return take_spline(xtce, type, child, ret_why);
        if (child->tag == XT_MathOperationCalibrator) return take_math(xtce, asks, type, child, ret_why);
    }
    *ret_why = xtce_why(xtce, node, "a calibrator that is not read");
    return NULL;
}

void xtce_calibrators(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *encoding,
                      struct yd_def_type *type)
{
    const struct yd__xml *always = NULL;
    const char *why = NULL;
    for (const struct yd__xml *child = encoding->first; child && !why; child = child->next) {
        if (child->tag == XT_DefaultCalibrator) {
            always = child;
        } else if (child->tag == XT_ContextCalibratorList) {
            for (const struct yd__xml *item = child->first; item && !why; item = item->next) {
                const struct yd__xml *match = xtce_child(item, XT_ContextMatch),
                                     *calibrator = xtce_child(item, XT_Calibrator);
                struct yd_def_condition *when = NULL;
                if (!match || !calibrator)
                    why = xtce_why(xtce, item, "a context that is not read");
                else
                    when = xtce_match(xtce, asks, match, &why);
                if (!when) break;
                struct yd_def_calibration *made = take_calibrator(xtce, asks, type, calibrator, &why);
                if (made) made->when = when, why = NULL;
            }
        } else if (child->tag != XT_ByteOrderList) {
            (void)xtce_is_aside(xtce, child);
        }
    }
    if (always && !why && take_calibrator(xtce, asks, type, always, &why)) why = NULL;
    if (why && !type->unsupported) type->unsupported = why;
}

/* ---- alarms ---- */

static void narrow(struct yd_limit_range *range, double low, double high)
{
    if (!range->given) *range = (struct yd_limit_range){-INFINITY, INFINITY, true};
    range->low = YD_MAX(range->low, low);
    range->high = YD_MIN(range->high, high);
}

/* 1.2 (AlarmRangesType) says rangeForm 'outside' of ranges around what is good, and means that by default; 1.1 said
 * alarmForm 'inside' of the same. */
static const char *take_ranges(struct xtce *xtce, const struct yd__xml *node, struct yd_limit_range *to_yellow,
                               struct yd_limit_range *to_red)
{
    static const char *const names[] = {"minInclusive", "minExclusive", "maxInclusive", "maxExclusive"};
    struct yd_str of_all = xtce_attribute(node, "rangeForm"), older = xtce_attribute(node, "alarmForm");
    if ((of_all.size && !yd_str_eq(of_all, YD_STR("outside"))) || (older.size && !yd_str_eq(older, YD_STR("inside"))))
        return xtce_why(xtce, node, "ranges around what is bad");
    for (const struct yd__xml *range = node->first; range; range = range->next) {
        bool yellow = range->tag >= XT_WatchRange && range->tag <= XT_DistressRange,
             red = range->tag == XT_CriticalRange || range->tag == XT_SevereRange;
        double low = -INFINITY, high = INFINITY, value;
        struct yd_str form = xtce_attribute(range, "rangeForm");
        if (range->foreign || (!yellow && !red) || (form.size && !yd_str_eq(form, YD_STR("outside"))))
            return xtce_why(xtce, range, "a range of alarm that is not read");
        bool any = false;
        for (unsigned i = 0; i < YD_COUNT(names); i++) {
            struct yd_str text = xtce_attribute(range, names[i]);
            if (!text.size) continue;
            if (!xtce_real(xtce, range, text, &value)) return xtce_why(xtce, range, "a bound that is no number");
            any = true;
            /* XTCE names what is good: at minExclusive it alarms, at minInclusive it does not. */
            if (i < 2)
                low = i == 1 ? nextafter(value, INFINITY) : value;
            else
                high = i == 3 ? nextafter(value, -INFINITY) : value;
        }
        if (any) narrow(red ? to_red : to_yellow, low, high);
    }
    return NULL;
}

/* From one value to the next, or a second: what limits call delta and rate. */
static const char *take_changes(struct xtce *xtce, const struct yd__xml *node, struct yd_limit_clause *clause)
{
    struct yd_str basis = xtce_attribute(node, "changeBasis"), type = xtce_attribute(node, "changeType"),
                  samples = xtce_attribute(node, "spanOfInterestInSamples"),
                  seconds = xtce_attribute(node, "spanOfInterestInSeconds");
    int64_t count = 1;
    double span = 0;
    bool each = yd_str_eq(type, YD_STR("changePerSample"));
    if ((samples.size && !xtce_number(xtce, node, samples, &count)) ||
        (seconds.size && !xtce_real(xtce, node, seconds, &span)))
        return xtce_why(xtce, node, "a span that is no number");
    if (basis.size && !yd_str_eq(basis, YD_STR("absoluteChange")))
        return xtce_why(xtce, node, "changes that are not absolute");
    if (type.size && !each && !yd_str_eq(type, YD_STR("changePerSecond")))
        return xtce_why(xtce, node, "changes neither for each second nor for each sample");
    if (each ? count != 1 : span != 0) return xtce_why(xtce, node, "changes over a longer span");
    return each ? take_ranges(xtce, node, &clause->yellow_delta, &clause->red_delta)
                : take_ranges(xtce, node, &clause->yellow_rate, &clause->red_rate);
}

static const char *take_words(struct xtce *xtce, const struct yd__xml *node, struct yd_limit_clause *clause)
{
    for (const struct yd__xml *item = node->first; item; item = item->next) {
        struct yd_str label = xtce_attribute(item, "enumerationLabel"), level = xtce_attribute(item, "alarmLevel");
        if (!label.size) label = xtce_attribute(item, "enumerationValue");
        if (item->tag != XT_EnumerationAlarm || !label.size) return xtce_why(xtce, item, "an alarm that is not read");
        bool red = same_word(level, YD_STR("critical")) || same_word(level, YD_STR("severe"));
        if (same_word(level, YD_STR("normal"))) continue;
        if (clause->value_count == YD_LIMIT_VALUES_MAX) return xtce_why(xtce, item, "more alarms than 32");
        clause->values[clause->value_count++] =
            (struct yd_limit_value){yd_reading_text(yd_def_text(xtce->def, label), 0), red};
    }
    return NULL;
}

static bool is_inside_out(const struct yd_limit_range *yellow, const struct yd_limit_range *red)
{
    return yellow->given && red->given && (yellow->low < red->low || yellow->high > red->high);
}

static const char *take_alarm(struct xtce *xtce, const struct yd__xml *node, struct yd_limit_clause *clause)
{
    struct yd_str violations = xtce_attribute(node, "minViolations"),
                  otherwise = xtce_attribute(node, "defaultAlarmLevel"),
                  returning = xtce_attribute(node, "minConformance");
    int64_t count = 1;
    if (returning.size && !yd_str_eq(returning, YD_STR("1")))
        return xtce_why(xtce, node, "an alarm that ends only after several good values");
    if (violations.size && !xtce_number(xtce, node, violations, &count)) return "an alarm that is not read";
    clause->persist = (uint32_t)YD_MAX(YD_MIN(count, INT64_C(1000000)), INT64_C(1));
    if (otherwise.size && !same_word(otherwise, YD_STR("normal")))
        return xtce_why(xtce, node, "an alarm for what has none of its own");
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        const char *why = NULL;
        if (child->tag == XT_StaticAlarmRanges)
            why = take_ranges(xtce, child, &clause->yellow, &clause->red);
        else if (child->tag == XT_ChangeAlarmRanges)
            why = take_changes(xtce, child, clause);
        else if (child->tag == XT_EnumerationAlarmList)
            why = take_words(xtce, child, clause);
        else if (child->tag != XT_LongDescription && child->tag != XT_AncillaryDataSet)
            why = xtce_why(xtce, child, "an alarm that is not read");
        if (why) return why;
    }
    if (is_inside_out(&clause->yellow, &clause->red) || is_inside_out(&clause->yellow_rate, &clause->red_rate) ||
        is_inside_out(&clause->yellow_delta, &clause->red_delta))
        return xtce_why(xtce, node, "red inside of yellow");
    return NULL;
}

static void add_limits(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node,
                       const struct yd_limit_clause *clause, const char *why)
{
    struct yd_def_limits *limits = yd_arena_get(&xtce->def->arena, sizeof *limits);
    xtce_check(xtce, limits);
    *limits = (struct yd_def_limits){.place = node->place, .unsupported = why};
    limits->measurement = limits->text = YD_STR("");
    if (clause) limits->clause = *clause;
    if (type->limits_last)
        type->limits_last->next = limits;
    else
        type->limits = limits;
    type->limits_last = limits;
}

void xtce_alarms(struct xtce *xtce, struct xtce_type *type)
{
    const struct yd__xml *usual = xtce_child(type->node, XT_DefaultAlarm),
                         *context = xtce_child(type->node, XT_ContextAlarmList);
    if (usual || context) type->limits = type->limits_last = NULL;
    if (usual) {
        struct yd_limit_clause clause = {0};
        const char *why = take_alarm(xtce, usual, &clause);
        bool any = clause.yellow.given || clause.red.given || clause.yellow_rate.given || clause.red_rate.given ||
                   clause.yellow_delta.given || clause.red_delta.given || clause.value_count;
        if (why || any) add_limits(xtce, type, usual, &clause, why);
    }
    if (context)
        add_limits(xtce, type, context, NULL,
                   xtce_why(xtce, context, "alarms in contexts; those that it has without one are judged always"));
}
