/* Values: what was written becomes what a parameter wants. Text was parsed first; here it is put into typed leaves, so
 * that neither a `$name` nor the environment can ever turn into syntax.
 *
 * A value comes from the text, from a `$name` (typed where it was declared), from env(…) or from --set; what is wrong
 * is reported at its place in the file (or on the command line) with what to write instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yarder/name.h>

#include "flow/expand.h"
#include "io/loop.h"

const char *const yd__type_words[] = {
    [YD_PARAM_INT] = "a whole number", [YD_PARAM_FLOAT] = "a number",      [YD_PARAM_TEXT] = "a text",
    [YD_PARAM_BOOL] = "true or false", [YD_PARAM_DURATION] = "a duration", [YD_PARAM_SIZE] = "a size",
    [YD_PARAM_RATE] = "a rate",        [YD_PARAM_LIST] = "a list",         [YD_PARAM_MAP] = "a map",
};
static const char *const type_names[] = {"int", "float", "text", "bool", "duration", "size", "rate", "list", "map"};
static const char *const examples[] = {
    [YD_PARAM_INT] = "10",    [YD_PARAM_FLOAT] = "1.5",    [YD_PARAM_TEXT] = "\"text\"",
    [YD_PARAM_BOOL] = "true", [YD_PARAM_DURATION] = "10s", [YD_PARAM_SIZE] = "4MiB",
    [YD_PARAM_RATE] = "5k/s", [YD_PARAM_LIST] = "[1, 2]",  [YD_PARAM_MAP] = "{ a: 1 }",
};
static const char *const value_words[] = {
    [YD__BAD] = "",
    [YD__INT] = "a whole number",
    [YD__FLOAT] = "a number with a point",
    [YD__STRING] = "a text",
    [YD__BOOL] = "a bool",
    [YD__DURATION] = "a duration",
    [YD__SIZE] = "a size",
    [YD__RATE] = "a rate",
    [YD__WORD] = "a word",
    [YD__IN] = "a number in a duration",
    [YD__LIST] = "a list",
    [YD__MAP] = "a map",
    [YD__ENV] = "",
    [YD__REF] = "",
};

bool yd__type_of(struct yd_str word, enum yd_param_type *ret_type)
{
    for (size_t i = 0; i < YD_COUNT(type_names); i++) {
        if (!yd_str_eq(word, yd_str_of(type_names[i]))) continue;
        *ret_type = (enum yd_param_type)i;
        return true;
    }
    return false;
}

struct yd__binding *yd__binding_find(struct yd__scope *scope, struct yd_str name)
{
    for (; scope; scope = scope->outer) {
        struct yd__binding *binding = yd__map_find(&scope->bindings, name);
        if (binding) return binding;
    }
    return NULL;
}

/* ---- text from outside ---- */

static struct yd_arg natural(struct yd__work *work, const struct yd__value *value);

int yd__typed_text(struct yd__work *work, enum yd_param_type type, struct yd_str text, struct yd_arg *ret_arg)
{
    struct yd_arg arg = {.type = type};
    int r = 0;
    switch (type) {
    case YD_PARAM_INT:
        r = yd_text_i64(text, &arg.i64);
        break;
    case YD_PARAM_FLOAT:
        r = yd_text_f64(text, false, &arg.f64);
        break;
    case YD_PARAM_TEXT:
        if (memchr(text.data, 0, text.size) || !yd_text_utf8(text)) r = YD_EFORMAT;
        if (r == 0) arg.text = yd__keep_str(work, text);
        break;
    case YD_PARAM_BOOL:
        r = yd_text_bool(text, &arg.boolean);
        break;
    case YD_PARAM_DURATION:
        r = yd_text_duration(text, &arg.i64);
        break;
    case YD_PARAM_SIZE: {
        uint64_t size = 0;
        r = yd_text_size(text, &size);
        if (r == 0 && size > INT64_MAX) r = YD_ERANGE;
        arg.i64 = (int64_t)size;
        break;
    }
    case YD_PARAM_RATE:
        r = yd_text_rate(text, &arg.f64);
        break;
    case YD_PARAM_LIST:
    case YD_PARAM_MAP: {
        const struct yd__value *value = yd__parse_value(work, text, (struct yd_place){0});
        if (!value || value->type != (type == YD_PARAM_LIST ? YD__LIST : YD__MAP)) return YD_EFORMAT;
        bool silent = work->silent;
        work->silent = true;
        bool good = yd__untyped(work, NULL, value, &arg);
        work->silent = silent;
        if (!good) return YD_EFORMAT;
        break;
    }
    }
    if (r == 0) *ret_arg = arg;
    return r;
}

static const char *environment(struct yd__work *work, struct yd_str name)
{
    const char *key = yd__printf(work, "%.*s", YD_STR_FMT(name));
    return work->options->getenv_ ? work->options->getenv_(work->options->arg, key) : getenv(key);
}

/* ---- untyped: lists, maps, and what stands in them ---- */

static struct yd_arg natural(struct yd__work *work, const struct yd__value *value)
{
    struct yd_arg arg = {0};
    switch (value->type) {
    case YD__INT:
        arg.type = YD_PARAM_INT, arg.i64 = value->i64;
        break;
    case YD__FLOAT:
        arg.type = YD_PARAM_FLOAT, arg.f64 = value->f64;
        break;
    case YD__BOOL:
        arg.type = YD_PARAM_BOOL, arg.boolean = value->i64 != 0;
        break;
    case YD__DURATION:
        arg.type = YD_PARAM_DURATION, arg.i64 = value->i64;
        break;
    case YD__SIZE:
        arg.type = YD_PARAM_SIZE, arg.i64 = value->i64;
        break;
    case YD__RATE:
        arg.type = YD_PARAM_RATE, arg.f64 = value->f64;
        break;
    default:
        arg.type = YD_PARAM_TEXT, arg.text = yd__keep_str(work, value->text);
        break;
    }
    return arg;
}

static bool untyped_list(struct yd__work *work, struct yd__scope *scope, const struct yd__value *list,
                         struct yd_arg *ret_arg)
{
    size_t count = 0;
    for (const struct yd__value *item = list->first; item; item = item->next) count++;
    struct yd_arg *items = yd__keep(work, (count + 1) * sizeof *items);
    bool good = true;
    size_t i = 0;
    for (const struct yd__value *item = list->first; item; item = item->next, i++)
        good &= yd__untyped(work, scope, item, &items[i]);
    *ret_arg = (struct yd_arg){.type = YD_PARAM_LIST, .list = {items, count}};
    return good;
}

static bool untyped_map(struct yd__work *work, struct yd__scope *scope, const struct yd__value *map,
                        struct yd_arg *ret_arg)
{
    size_t count = 0;
    for (const struct yd__pair *pair = map->pairs; pair; pair = pair->next) count++;
    struct yd_arg *items = yd__keep(work, (count + 1) * sizeof *items);
    struct yd__map seen = {0};
    bool good = true;
    size_t i = 0;
    for (const struct yd__pair *pair = map->pairs; pair; pair = pair->next, i++) {
        const struct yd__pair *first = yd__map_add(work, &seen, pair->name.text, (void *)pair);
        if (first) {
            yd__report(work, YD_Y_GIVEN_TWICE, pair->name.place, "", "the key '%.*s' is given twice",
                       YD_STR_FMT(pair->name.text));
            yd__note(work, first->name.place, "first here");
            good = false;
        }
        good &= yd__untyped(work, scope, pair->value, &items[i]);
        items[i].name = yd__keep_str(work, pair->name.text).data;
    }
    *ret_arg = (struct yd_arg){.type = YD_PARAM_MAP, .list = {items, count}};
    return good;
}

static struct yd__binding *referred(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value);

bool yd__untyped(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value, struct yd_arg *ret_arg)
{
    switch (value->type) {
    case YD__BAD:
        return false;
    case YD__LIST:
        return untyped_list(work, scope, value, ret_arg);
    case YD__MAP:
        return untyped_map(work, scope, value, ret_arg);
    case YD__IN:
        yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%.*s' is a value of the option 'restart' only",
                   YD_STR_FMT(value->written));
        return false;
    case YD__REF: {
        const struct yd__binding *binding = referred(work, scope, value);
        if (!binding || !binding->ok) return false;
        *ret_arg = binding->arg;
        ret_arg->name = NULL;
        return true;
    }
    case YD__ENV: {
        const char *text = environment(work, value->env.name);
        if (!text && value->env.fallback) return yd__untyped(work, scope, value->env.fallback, ret_arg);
        struct yd_param_class any = {.name = "", .type = YD_PARAM_TEXT};
        struct yd_arg like;
        if (text && value->env.fallback) {
            if (!yd__untyped(work, scope, value->env.fallback, &like)) return false;
            any.type = like.type;
        }
        return yd__typed(work, scope, value, &any, ret_arg);
    }
    default:
        *ret_arg = natural(work, value);
        return true;
    }
}

/* ---- $names ---- */

static struct yd__binding *referred(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value)
{
    struct yd__binding *binding = yd__binding_find(scope, value->text);
    if (!binding) {
        if (work->names_lost || yd__map_find(&work->poisoned, value->text)) return NULL;
        yd__report(work, YD_Y_REFERENCE, value->place, "", "nothing here is called '$%.*s'", YD_STR_FMT(value->text));
        struct yd__choice choice;
        yd__choice_init(&choice, value->text);
        for (struct yd__scope *at = scope; at; at = at->outer)
            for (uint32_t i = 0; at->bindings.slots && i <= at->bindings.mask; i++)
                if (at->bindings.slots[i].value) yd__choice_add(work, &choice, at->bindings.slots[i].key);
        if (choice.nearest_text.size)
            yd__help(work, "did you mean '$%.*s'?", YD_STR_FMT(choice.nearest_text));
        else
            yd__help(work, "declare it: param %.*s: int = …", YD_STR_FMT(value->text));
        return NULL;
    }
    if (binding->state == 1) {
        yd__report(work, YD_Y_SELF_VALUE, value->place, "", "'$%.*s' is made of itself", YD_STR_FMT(value->text));
        if (binding->name.place.line != value->place.line) yd__note(work, binding->name.place, "declared here");
        binding->ok = false;
        return NULL;
    }
    if (binding->state == 0 && binding->formal->initial) {
        /* A parameter of the file, used by one above it. */
        struct yd__scope *file = scope;
        while (file->outer) file = file->outer;
        struct yd_param_class param = {.name = yd__printf(work, "%.*s", YD_STR_FMT(binding->name.text)),
                                       .type = binding->type};
        binding->state = 1;
        bool good = yd__typed(work, file, binding->formal->initial, &param, &binding->arg);
        binding->ok = good && binding->state == 1;
        binding->state = 2;
    }
    return binding;
}

/* ---- one value for one parameter ---- */

static bool is_quantity(enum yd__value_type type)
{
    return type == YD__DURATION || type == YD__SIZE || type == YD__RATE;
}

/* What the value is not; and what to write instead, where that is clear. */
static void wrong_type(struct yd__work *work, const struct yd__value *value, const struct yd_param_class *param)
{
    enum yd_param_type want = param->type;
    bool wants_unit = want == YD_PARAM_DURATION || want == YD_PARAM_SIZE || want == YD_PARAM_RATE;
    bool plain = value->type == YD__INT || value->type == YD__FLOAT;
    struct yd_str written = value->written;
    if (wants_unit && plain) {
        yd__report(work, YD_Y_UNIT, value->place, "", "'%s' takes %s: %.*s has no unit", param->name,
                   yd__type_words[want], YD_STR_FMT(written));
        if (want == YD_PARAM_DURATION)
            yd__help(work, "write %.*ss for seconds; units are ns us ms s m h d w", YD_STR_FMT(written));
        else if (want == YD_PARAM_SIZE)
            yd__help(work, "write %.*sB for bytes; units are B kB MB GB KiB MiB GiB", YD_STR_FMT(written));
        else
            yd__help(work, "write %.*s/s; units are /s /m /h", YD_STR_FMT(written));
        return;
    }
    if ((wants_unit || want == YD_PARAM_INT || want == YD_PARAM_FLOAT) && is_quantity(value->type)) {
        yd__report(work, YD_Y_UNIT, value->place, "", "'%s' takes %s: %.*s is %s", param->name, yd__type_words[want],
                   YD_STR_FMT(written), value_words[value->type]);
        size_t digits = 0;
        while (digits < written.size && (strchr("-.0123456789", written.data[digits]))) digits++;
        if (want == YD_PARAM_SIZE && written.data[written.size - 1] == 'm')
            yd__help(work, "m are minutes: write %.*sMB or %.*sMiB", (int)digits, written.data, (int)digits,
                     written.data);
        else if (wants_unit)
            yd__help(work, "%s is written like %s", yd__type_words[want], examples[want]);
        else
            yd__help(work, "write it without a unit");
        return;
    }
    yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%s' takes %s, not %s", param->name, yd__type_words[want],
               value_words[value->type]);
    struct yd_arg arg;
    if (want == YD_PARAM_TEXT && (plain || is_quantity(value->type) || value->type == YD__BOOL))
        yd__help(work, "a text stands in quotes: \"%.*s\"", YD_STR_FMT(written));
    else if (value->type == YD__STRING && want <= YD_PARAM_RATE && yd__typed_text(work, want, value->text, &arg) == 0)
        yd__help(work, "without quotes: %.*s", YD_STR_FMT(value->text));
    else if (value->type == YD__WORD && want == YD_PARAM_BOOL &&
             (yd_str_eq(value->text, YD_STR("yes")) || yd_str_eq(value->text, YD_STR("on"))))
        yd__help(work, "write true");
    else if (value->type == YD__WORD && want == YD_PARAM_BOOL &&
             (yd_str_eq(value->text, YD_STR("no")) || yd_str_eq(value->text, YD_STR("off"))))
        yd__help(work, "write false");
    else if (want == YD_PARAM_LIST)
        yd__help(work, "a list stands in brackets: [%.*s]", YD_STR_FMT(written));
    else if (want == YD_PARAM_INT && value->type == YD__FLOAT)
        yd__help(work, "write it without a point: %lld", (long long)value->f64);
    else
        yd__help(work, "%s is written like %s", yd__type_words[want], examples[want]);
}

/* Its natural type fits, or converts without losing anything. */
static bool fits(const struct yd__value *value, enum yd_param_type want)
{
    switch (want) {
    case YD_PARAM_INT:
        return value->type == YD__INT;
    case YD_PARAM_FLOAT:
        return value->type == YD__FLOAT || value->type == YD__INT;
    case YD_PARAM_TEXT:
        return value->type == YD__STRING || value->type == YD__WORD;
    case YD_PARAM_BOOL:
        return value->type == YD__BOOL;
    case YD_PARAM_DURATION:
        return value->type == YD__DURATION;
    case YD_PARAM_SIZE:
        return value->type == YD__SIZE;
    case YD_PARAM_RATE:
        return value->type == YD__RATE;
    case YD_PARAM_LIST:
        return value->type == YD__LIST;
    case YD_PARAM_MAP:
        return value->type == YD__MAP;
    }
    return false;
}

static bool convert(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value,
                    const struct yd_param_class *param, struct yd_arg *ret_arg)
{
    if (value->type == YD__REF) {
        const struct yd__binding *binding = referred(work, scope, value);
        if (!binding || !binding->ok) return false;
        *ret_arg = binding->arg;
        ret_arg->name = NULL;
        if (binding->type == param->type) return true;
        if (param->type == YD_PARAM_FLOAT && binding->type == YD_PARAM_INT) {
            *ret_arg = (struct yd_arg){.type = YD_PARAM_FLOAT, .f64 = (double)binding->arg.i64};
            return true;
        }
        yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%s' takes %s: '$%.*s' is %s", param->name,
                   yd__type_words[param->type], YD_STR_FMT(value->text), yd__type_words[binding->type]);
        yd__note(work, binding->formal->type.place, "declared as %.*s here", YD_STR_FMT(binding->formal->type.text));
        yd__help(work, "declare it as %s, or give another value", type_names[param->type]);
        return false;
    }
    if (value->type == YD__ENV) {
        const char *text = environment(work, value->env.name);
        if (!text && value->env.fallback) return convert(work, scope, value->env.fallback, param, ret_arg);
        if (!text) {
            yd__report(work, YD_Y_ENVIRONMENT, value->place, "",
                       "the environment has no '%.*s', and there is no default", YD_STR_FMT(value->env.name));
            yd__help(work, "set it, or write a default: env(\"%.*s\", %s)", YD_STR_FMT(value->env.name),
                     examples[param->type]);
            return false;
        }
        if (yd__typed_text(work, param->type, yd_str_of(text), ret_arg) == 0) return true;
        yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%s' takes %s: the environment has %.*s=%.80s",
                   param->name, yd__type_words[param->type], YD_STR_FMT(value->env.name), text);
        yd__help(work, "%s is written like %s", yd__type_words[param->type],
                 param->type == YD_PARAM_TEXT ? "text" : examples[param->type]);
        return false;
    }
    if (!fits(value, param->type)) {
        wrong_type(work, value, param);
        return false;
    }
    if (value->type == YD__LIST || value->type == YD__MAP) return yd__untyped(work, scope, value, ret_arg);
    *ret_arg = natural(work, value);
    if (param->type == YD_PARAM_FLOAT && value->type == YD__INT)
        *ret_arg = (struct yd_arg){.type = YD_PARAM_FLOAT, .f64 = (double)value->i64};
    if (param->type != YD_PARAM_TEXT) return true;
    if (memchr(ret_arg->text.data, 0, ret_arg->text.size) || !yd_text_utf8(ret_arg->text)) {
        yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%s' takes a text: these bytes are none", param->name);
        yd__help(work, "\\xNN for bytes that are not UTF-8 text, and \\x00, are for feeds in tests");
        return false;
    }
    return true;
}

/* ---- what a parameter says about its values ---- */

static const char *quantity(struct yd__work *work, enum yd_param_type type, double value)
{
    char text[64];
    size_t size;
    if (type == YD_PARAM_DURATION)
        size = yd_text_put_duration(text, sizeof text, (int64_t)value);
    else if (type == YD_PARAM_SIZE)
        size = yd_text_put_size(text, sizeof text, (uint64_t)value);
    else
        size = yd_text_put_f64(text, value);
    return yd__printf(work, "%.*s%s", (int)size, text, type == YD_PARAM_RATE ? "/s" : "");
}

static bool check_range(struct yd__work *work, const struct yd__value *value, const struct yd_param_class *param,
                        const struct yd_arg *arg)
{
    if (param->min == 0 && param->max == 0) return true;
    double number;
    if (arg->type == YD_PARAM_FLOAT || arg->type == YD_PARAM_RATE)
        number = arg->f64;
    else if (arg->type == YD_PARAM_INT || arg->type == YD_PARAM_DURATION || arg->type == YD_PARAM_SIZE)
        number = (double)arg->i64;
    else
        return true;
    bool upper = param->max >= param->min && isfinite(param->max);
    if (number >= param->min && (!upper || number <= param->max)) return true;
    const char *least = quantity(work, param->type, param->min);
    yd__report(work, YD_Y_RANGE, value->place, "", "'%s' is out of range: %s", param->name,
               quantity(work, param->type, number));
    if (upper)
        yd__help(work, "it must be from %s to %s", least, quantity(work, param->type, param->max));
    else
        yd__help(work, "it must be at least %s", least);
    return false;
}

static bool check_word(struct yd__work *work, const struct yd__value *value, const struct yd_param_class *param,
                       const struct yd_arg *arg)
{
    if (!param->oneof || arg->type != YD_PARAM_TEXT) return true;
    for (const char *const *word = param->oneof; *word; word++)
        if (yd_str_eq(arg->text, yd_str_of(*word))) return true;
    yd__report(work, YD_Y_WORD, value->place, "", "'%s' cannot be '%.*s'", param->name, YD_STR_FMT(arg->text));
    struct yd__choice choice;
    yd__choice_init(&choice, arg->text);
    for (const char *const *word = param->oneof; *word; word++) yd__choice_add(work, &choice, yd_str_of(*word));
    yd__choice_help(work, &choice, "it is one of", NULL);
    return false;
}

/* Brackets and braces closed, nothing escaped at the end. */
static const char *glob_mistake(struct yd_str glob)
{
    bool class = false;
    int braces = 0;
    for (size_t i = 0; i < glob.size; i++) {
        char c = glob.data[i];
        if (c == '\\') {
            if (++i == glob.size) return "a \\ at its end escapes nothing";
        } else if (class) {
            class = c != ']' || glob.data[i - 1] == '[';
        } else if (c == '[') {
            class = true;
        } else if (c == '{') {
            if (++braces > 8) return "too many { in one another";
        } else if (c == '}') {
            if (--braces < 0) return "a } without its {";
        }
    }
    if (class) return "a [ without its ]";
    return braces ? "a { without its }" : NULL;
}

static bool check_pattern(struct yd__work *work, const struct yd__value *value, const struct yd_param_class *param,
                          struct yd_str text)
{
    if (param->flags & YD_PARAM_GLOB) {
        const char *mistake = glob_mistake(text);
        if (!mistake) return true;
        yd__report(work, YD_Y_PATTERN, value->place, "", "'%s' is not a glob: %s", param->name, mistake);
        yd__help(work, "* any run, ? one character, [a-z] one of, {a,b} either, \\ escapes");
        return false;
    }
    if (!(param->flags & YD_PARAM_PATTERN)) return true;
    struct yd_pattern *pattern = NULL;
    int r = yd_pattern_compile(text, &pattern);
    if (r == YD_ENOMEM) longjmp(work->out_of_memory, 1);
    yd_pattern_destroy(pattern);
    if (r == 0) return true;
    yd__report(work, YD_Y_PATTERN, value->place, "", "'%s' is not a name pattern: %s", param->name,
               r == YD_ETOOBIG ? "it is too long" : "it is malformed");
    yd__help(work, "a metric and perhaps tags: \"cpu.* host=web*,core=?\"; * any run, ? one character");
    return false;
}

/* What a listener would refuse at the start. "": it does not listen. */
static bool check_address(struct yd__work *work, const struct yd__value *value, const struct yd_param_class *param,
                          struct yd_str text)
{
    struct yd_address address;
    struct yd_trail trail = {0};
    if (!(param->flags & (YD_PARAM_LISTENS | YD_PARAM_LISTENS_DATAGRAM)) || text.size == 0 ||
        yd_address_parse(text, &address, &trail) == 0)
        return true;
    yd__report(work, YD_Y_VALUE_TYPE, value->place, "", "'%s': %s", param->name, yd_trail_text(&trail));
    return false;
}

bool yd__typed(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value,
               const struct yd_param_class *param, struct yd_arg *ret_arg)
{
    struct yd_arg arg;
    if (value->type == YD__BAD || !convert(work, scope, value, param, &arg)) return false;
    if (!check_range(work, value, param, &arg) || !check_word(work, value, param, &arg)) return false;
    if (arg.type == YD_PARAM_TEXT &&
        (!check_pattern(work, value, param, arg.text) || !check_address(work, value, param, arg.text)))
        return false;
    const struct yd__value *item = value->type == YD__LIST ? value->first : NULL;
    for (size_t i = 0; arg.type == YD_PARAM_LIST && i < arg.list.count; i++, item = item ? item->next : NULL)
        if (arg.list.items[i].type == YD_PARAM_TEXT &&
            !check_pattern(work, item ? item : value, param, arg.list.items[i].text))
            return false;
    *ret_arg = arg;
    return true;
}

bool yd__typed_initial(struct yd__work *work, const struct yd_param_class *param, struct yd_arg *ret_arg)
{
    struct yd__value *value = yd__parse_value(work, yd_str_of(param->initial), (struct yd_place){0});
    if (!value) return false;
    bool silent = work->silent;
    work->silent = true;
    /* Only its type: a default outside the range of what may be given ("0: off") is the class's business. */
    bool good = convert(work, NULL, value, param, ret_arg);
    work->silent = silent;
    return good;
}
