/* Derived measurements and limits of a definition, by the whole names under which measurements are published. */
#include "decom/rules.h"

#include "base/text.h"
#include "decom/frame.h"
#include "decom/tokens.h"

/* ---- names ---- */

/* With the definition's name in front, where that makes a measurement of it. */
static void put_whole(const struct yd_plan *plan, struct yd_str name, struct yd_buf *to)
{
    const struct yd__measured *found = yd__measured_find(plan, name);
    yd_buf_str(to, found ? found->name : name);
}

/* ---- derived measurements ---- */

static int put_expression(const struct yd_plan *plan, struct yd_str text, struct yd_buf *to)
{
    struct yd_tokens tokens = {.text = text};
    struct yd_token token;
    size_t done = 0;
    for (;;) {
        int r = yd_token_next(&tokens, &token, NULL);
        if (r < 0) return r;
        if (token.type == YD_TOKEN_END) break;
        size_t next = tokens.at;
        while (next < text.size && text.data[next] == ' ') next++;
        bool is_function = next < text.size && text.data[next] == '(';
        if (token.type != YD_TOKEN_NAME || is_function) continue;
        struct yd_buf whole;
        yd_buf_init(&whole, NULL);
        put_whole(plan, token.text, &whole);
        yd_buf_str(to, (struct yd_str){text.data + done, token.offset - done});
        bool quoted = token.quoted || !yd_str_eq(yd_buf_view(&whole), token.text);
        yd_buf_printf(to, quoted ? "`%.*s`" : "%.*s", YD_STR_FMT(yd_buf_view(&whole)));
        done = token.offset + token.size;
        to->failed |= whole.failed;
        yd_buf_fini(&whole);
    }
    yd_buf_str(to, (struct yd_str){text.data + done, text.size - done});
    return to->failed ? YD_ENOMEM : 0;
}

int yd_plan_derive_rules(const struct yd_plan *plan, struct yd_buf *to)
{
    struct yd_str prefix = plan->def->name;
    for (const struct yd_def_derived *derived = plan->def->derived; derived; derived = derived->next) {
        if (derived->unsupported) continue;
        yd_buf_printf(to, "`%.*s%s%.*s` = ", YD_STR_FMT(prefix), prefix.size ? "." : "", YD_STR_FMT(derived->name));
        int r = put_expression(plan, derived->text, to);
        if (r < 0) return r;
        yd_buf_char(to, '\n');
    }
    return to->failed ? YD_ENOMEM : 0;
}

/* ---- limits ---- */

struct walk {
    const struct yd_plan *plan;
    yd_plan_limits_visit *visit;
    void *arg;
};

static int visit_all(const struct walk *walk, const struct yd_def_limits *limits, struct yd_str pattern)
{
    int r = 0;
    for (; limits && r == 0; limits = limits->next)
        if (!limits->unsupported) r = walk->visit(walk->arg, pattern, &limits->clause);
    return r;
}

/* `as NAME` in a header: one measurement of several packets. */
static bool was_before(const struct yd_plan *plan, uint32_t packet, struct yd_str name)
{
    for (uint32_t i = 0; i < packet; i++)
        for (uint32_t j = 0; j < plan->packets[i]->name_count; j++)
            if (yd_str_eq(plan->packets[i]->names[j], name)) return true;
    return false;
}

static int walk_step(const struct walk *walk, uint32_t packet, const struct yd__step *step, struct yd_str prefix)
{
    const struct yd__program *program = walk->plan->packets[packet];
    struct yd_str path = yd_str_of(step->path);
    struct yd_buf pattern;
    int r = 0;
    yd_buf_init(&pattern, NULL);
    if (prefix.size)
        yd_buf_printf(&pattern, "%.*s.%.*s", YD_STR_FMT(prefix), YD_STR_FMT(step->entry->name));
    else if (step->name != YD__NONE && !step->dimensions)
        yd_buf_str(&pattern, program->names[step->name]);
    else
        yd_buf_str(&pattern, path);
    for (uint32_t i = 0; i < step->dimensions; i++) yd_buf_cstr(&pattern, ".*");
    if (pattern.failed) r = YD_ENOMEM;
    struct yd_str shown = yd_buf_view(&pattern);
    bool again = step->entry->published.size && was_before(walk->plan, packet, shown);
    if (r == 0 && step->entry->limits && step->name != YD__NONE && !again)
        r = visit_all(walk, step->entry->limits, shown);
    for (uint32_t i = 0; i < step->child_count && r == 0; i++) r = walk_step(walk, packet, &step->children[i], shown);
    yd_buf_fini(&pattern);
    return r;
}

static int walk_frame(const struct walk *walk, const struct yd__frame *frame)
{
    int r = 0;
    for (uint32_t i = 0; i < frame->sample_count && r == 0; i++) {
        const struct yd__frame_field *field = frame->samples[i].field;
        bool again = field->name == YD__NONE;
        for (uint32_t j = 0; j < i && !again; j++) again = frame->samples[j].field == field;
        if (!again) r = visit_all(walk, field->entry->limits, frame->program->names[field->name]);
    }
    return r;
}

int yd_plan_each_limits(const struct yd_plan *plan, yd_plan_limits_visit *visit, void *arg)
{
    const struct walk walk = {plan, visit, arg};
    struct yd_str prefix = plan->def->name;
    struct yd_buf name;
    int r = 0;
    yd_buf_init(&name, NULL);
    for (const struct yd_def_limits *limits = plan->def->limits; limits && r == 0; limits = limits->next) {
        yd_buf_clear(&name);
        put_whole(plan, limits->measurement, &name);
        r = name.failed ? YD_ENOMEM : limits->unsupported ? 0 : visit(arg, yd_buf_view(&name), &limits->clause);
    }
    for (const struct yd_def_derived *derived = plan->def->derived; derived && r == 0; derived = derived->next) {
        yd_buf_clear(&name);
        yd_buf_printf(&name, "%.*s%s%.*s", YD_STR_FMT(prefix), prefix.size ? "." : "", YD_STR_FMT(derived->name));
        r = name.failed ? YD_ENOMEM : visit_all(&walk, derived->limits, yd_buf_view(&name));
    }
    yd_buf_fini(&name);
    if (plan->frame) return r == 0 ? walk_frame(&walk, plan->frame) : r;
    for (uint32_t i = 0; i < plan->packet_count; i++) {
        const struct yd__program *program = plan->packets[i];
        for (uint32_t j = 0; j < program->step_count && r == 0; j++)
            r = walk_step(&walk, i, &program->steps[j], YD_STR(""));
        for (uint32_t j = 0; j < program->dynamic_count && r == 0; j++)
            r = walk_step(&walk, i, &program->dynamic[j], YD_STR(""));
    }
    return r;
}
