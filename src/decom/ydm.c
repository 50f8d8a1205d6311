/* `.ydm` into a model: declarations, containers and the lines in them.
 *
 *   definition rocket                        tokens ──▶ lines by indent ──▶ declarations ──▶ model
 *   packet imu : header when id == 1                      │
 *     accel_x i16 scale 0.001 unit "g"                    └ a line with a mistake is left out; the next one is read
 *
 * What belongs to a line is indented deeper than it. Types are declared above their use; parents anywhere. What can
 * fail: mistakes of syntax and names, all reported in one run; memory. Whether it makes sense is the compiler's. */
#include "decom/ydm.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/text.h"
#include "decom/ydm_internal.h"

/* ---- tokens ---- */

bool yd__ydm_is_word(const struct yd__ydm *ydm, const char *word)
{
    return ydm->at->kind == YDM_WORD && !ydm->at->begins && yd_str_eq(ydm->at->text, yd_str_of(word));
}

bool yd__ydm_skip_mark(struct yd__ydm *ydm, unsigned mark)
{
    if (!yd__ydm_is_mark(ydm, mark)) return false;
    ydm->at++;
    return true;
}

bool yd__ydm_skip_word(struct yd__ydm *ydm, const char *word)
{
    if (!yd__ydm_is_word(ydm, word)) return false;
    ydm->at++;
    return true;
}

/* Just behind the token before: where something is missing at a line's end. */
static struct yd_place behind(const struct yd__ydm *ydm)
{
    if (ydm->at == ydm->tokens) return ydm->at->place;
    struct yd_place place = ydm->at[-1].place;
    place.column += place.length;
    place.length = 1;
    return place;
}

/* Is this token in a bracket that was never closed, on a later line? Then that has been said, and is why. */
static bool is_swallowed(const struct yd__ydm *ydm, const struct yd__ydm_token *token)
{
    for (size_t i = 0; i < ydm->diagnostics->count; i++) {
        const struct yd_diagnostic *item = &ydm->diagnostics->items[i];
        const struct yd__ydm_token *open = token;
        if (item->code != YD_D_BRACKET || item->notes[0].place.line >= token->place.line) continue;
        while (open > ydm->tokens && !open->begins) open--;
        if (open->place.line <= item->notes[0].place.line) return true;
    }
    return false;
}

bool yd__ydm_unexpected(struct yd__ydm *ydm, const char *expected)
{
    const struct yd__ydm_token *token = ydm->at;
    if (yd__ydm_more(ydm) && is_swallowed(ydm, token)) return false;
    if (!yd__ydm_more(ydm))
        return yd_def_error(ydm->diagnostics, YD_D_SYNTAX, behind(ydm), "", "expected %s, but the line ends", expected);
    return yd_def_error(ydm->diagnostics, YD_D_SYNTAX, token->place, "", "expected %s, not '%.*s'", expected,
                        (int)YD_MIN(token->text.size, (size_t)60), token->text.data);
}

bool yd__ydm_expect(struct yd__ydm *ydm, unsigned mark, const char *what)
{
    return yd__ydm_skip_mark(ydm, mark) || yd__ydm_unexpected(ydm, what);
}

bool yd__ydm_word(struct yd__ydm *ydm, const char *what, struct yd_str *ret)
{
    if (ydm->at->kind != YDM_WORD || !yd__ydm_more(ydm)) return yd__ydm_unexpected(ydm, what);
    *ret = (ydm->at++)->text;
    return true;
}

bool yd__ydm_string(struct yd__ydm *ydm, const char *what, struct yd_str *ret)
{
    if (ydm->at->kind != YDM_STRING || !yd__ydm_more(ydm)) return yd__ydm_unexpected(ydm, what);
    *ret = yd_def_text(ydm->def, (ydm->at++)->text);
    return true;
}

bool yd__ydm_u64(struct yd__ydm *ydm, const char *what, uint64_t max, uint64_t *ret)
{
    const struct yd__ydm_token *token = ydm->at;
    if (token->kind != YDM_INT || !yd__ydm_more(ydm)) return yd__ydm_unexpected(ydm, what);
    if (token->integer > max)
        return yd_def_error(ydm->diagnostics, YD_D_VALUE, token->place, "", "%.*s is too much: at most %llu here",
                            YD_STR_FMT(token->text), (unsigned long long)max);
    *ret = token->integer;
    ydm->at++;
    return true;
}

static bool take_sign(struct yd__ydm *ydm)
{
    if (yd__ydm_skip_mark(ydm, '-')) return true;
    (void)yd__ydm_skip_mark(ydm, '+');
    return false;
}

bool yd__ydm_i64(struct yd__ydm *ydm, const char *what, int64_t *ret)
{
    bool minus = take_sign(ydm);
    uint64_t value, max = minus ? UINT64_C(1) << 63 : INT64_MAX;
    if (!yd__ydm_u64(ydm, what, max, &value)) return false;
    *ret = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool yd__ydm_f64(struct yd__ydm *ydm, const char *what, double *ret)
{
    bool minus = take_sign(ydm);
    const struct yd__ydm_token *token = ydm->at;
    if ((token->kind != YDM_INT && token->kind != YDM_FLOAT) || !yd__ydm_more(ydm))
        return yd__ydm_unexpected(ydm, what);
    *ret = minus ? -token->number : token->number;
    ydm->at++;
    return true;
}

/* To the next line that is indented no deeper than `indent`: the rest of a broken one goes with what belongs to it. */
static void skip_line(struct yd__ydm *ydm, const struct yd__ydm_token *line, uint32_t indent)
{
    if (ydm->at == line && line->kind != YDM_END) ydm->at++;
    while (ydm->at->kind != YDM_END && !(ydm->at->begins && ydm->at->indent <= indent)) ydm->at++;
}

static void skip_rest(struct yd__ydm *ydm)
{
    while (yd__ydm_more(ydm)) ydm->at++;
}

/* ---- entries ---- */

/* `when COND: …` and `otherwise: …` below a field, and further options of it. */
static bool take_below(struct yd__ydm *ydm, struct yd__ydm_options *options, uint32_t indent)
{
    bool good = true;
    while (ydm->at->kind != YDM_END && ydm->at->begins && ydm->at->indent > indent) {
        struct yd__ydm_token *line = ydm->at;
        uint32_t own = line->indent;
        bool when = line->kind == YDM_WORD && yd_str_eq(line->text, YD_STR("when"));
        bool otherwise = line->kind == YDM_WORD && yd_str_eq(line->text, YD_STR("otherwise"));
        line->begins = false; /* read as if it went on */
        bool fine;
        if (when || otherwise) {
            ydm->at++;
            struct yd__ydm_options context = {.type = options->type, .entry = options->entry, .in_context = true};
            fine = otherwise || (context.context = yd__ydm_condition(ydm)) != NULL;
            fine = fine && yd__ydm_expect(ydm, ':', "':' and a calibration") && yd__ydm_options(ydm, &context) &&
                   yd__ydm_options_end(ydm, &context);
        } else {
            fine = yd__ydm_options(ydm, options);
        }
        if (!fine) skip_line(ydm, line, own);
        good &= fine;
    }
    return good;
}

static void take_entries(struct yd__ydm *ydm, struct yd_def_entries *to, struct yd_def_container *container,
                         uint32_t indent);

/* The fields of one container by their names, so that ten thousand cost no more than each. */
struct names {
    struct yd_def_entry **slots;
    uint32_t count, capacity;
};

/* The slot of that name: the field that has it, or NULL in it. NULL: no memory. */
static struct yd_def_entry **find_name(struct yd__ydm *ydm, struct names *names, struct yd_str name)
{
    if (names->count * 2 >= names->capacity) {
        uint32_t capacity = names->capacity ? names->capacity * 2 : 32;
        struct yd_def_entry **slots = yd_arena_zero(&ydm->def->arena, capacity * sizeof *slots);
        if (!slots) return ydm->def->failed = true, NULL;
        for (uint32_t i = 0; i < names->capacity; i++) {
            if (!names->slots[i]) continue;
            uint32_t at = (uint32_t)yd_hash_str(names->slots[i]->name) & (capacity - 1);
            while (slots[at]) at = (at + 1) & (capacity - 1);
            slots[at] = names->slots[i];
        }
        names->slots = slots;
        names->capacity = capacity;
    }
    uint32_t at = (uint32_t)yd_hash_str(name) & (names->capacity - 1);
    while (names->slots[at] && !yd_str_eq(names->slots[at]->name, name)) at = (at + 1) & (names->capacity - 1);
    return &names->slots[at];
}

static bool take_entry(struct yd__ydm *ydm, struct yd_def_entries *to, struct names *names)
{
    struct yd__ydm_token *line = ydm->at;
    uint32_t indent = line->indent;
    if (line->kind != YDM_WORD) {
        line->begins = false;
        return yd__ydm_unexpected(ydm, "a field: its name, its type, its options");
    }
    struct yd_def_entry **seen = find_name(ydm, names, line->text);
    if (!seen) return false;
    if (*seen) {
        yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, line->place, "", "'%.*s' is a field already",
                     YD_STR_FMT(line->text));
        yd_def_note(ydm->diagnostics, (*seen)->place, "here");
    }
    ydm->at++;
    struct yd_def_entry *entry = yd_def_entry(ydm->def, to, line->text, line->place);
    if (entry && !*seen && !yd_str_eq(line->text, YD_STR("_"))) {
        *seen = entry;
        names->count++;
    }
    struct yd__ydm_options options = {.entry = entry};
    if (!entry || !yd__ydm_type(ydm, &options) || !yd__ydm_options(ydm, &options)) return false;
    if (options.type->encoding == YD_DEF_GROUP) {
        bool inside = ydm->at->kind != YDM_END && ydm->at->begins && ydm->at->indent > indent;
        if (inside && options.type->entries.first)
            return yd_def_error(ydm->diagnostics, YD_D_INDENT, ydm->at->place, "",
                                "this group has its fields from its type");
        if (++ydm->depth > YD_YDM_DEPTH_MAX)
            return yd_def_error(ydm->diagnostics, YD_D_LIMIT, line->place, "", "too many groups in each other");
        if (inside) take_entries(ydm, &options.type->entries, NULL, indent);
        ydm->depth--;
        if (!options.type->entries.first)
            return yd_def_error(ydm->diagnostics, YD_D_EMPTY, line->place, "", "a group without fields");
        return true;
    }
    return take_below(ydm, &options, indent) && yd__ydm_options_end(ydm, &options);
}

/* lock [check 2] [flywheel 3] [errors 4], in any order */
static bool take_lock(struct yd__ydm *ydm, struct yd_def_container *frame)
{
    do {
        bool check = yd__ydm_skip_word(ydm, "check"), flywheel = !check && yd__ydm_skip_word(ydm, "flywheel");
        uint64_t number;
        if (!check && !flywheel && !yd__ydm_skip_word(ydm, "errors"))
            return yd__ydm_unexpected(ydm, "check, flywheel or errors");
        if (!yd__ydm_u64(ydm, "how many", check ? 16 : flywheel ? 64 : 16, &number)) return false;
        if (check && !number)
            return yd_def_error(ydm->diagnostics, YD_D_VALUE, ydm->at[-1].place, "",
                                "one pattern alone is not believed: at least 1");
        *(check ? &frame->sync_checks : flywheel ? &frame->flywheel : &frame->sync_errors_locked) = (uint32_t)number;
    } while (yd__ydm_more(ydm));
    return true;
}

/* sync 0xFE6B2840 [mask 0xFFFFFFFF] [errors 2]   minor 64 words of 8   major 32 by sfid [from 0]   rate 1000000 */
static bool take_frame_line(struct yd__ydm *ydm, struct yd_def_container *frame, bool *ret_taken)
{
    struct yd__ydm_token *line = ydm->at;
    bool sync = yd_str_eq(line->text, YD_STR("sync")), minor = yd_str_eq(line->text, YD_STR("minor")),
         major = yd_str_eq(line->text, YD_STR("major")), rate = yd_str_eq(line->text, YD_STR("rate"));
    const struct yd__ydm_token *next = &ydm->at[1];
    if (line->kind == YDM_WORD && yd_str_eq(line->text, YD_STR("lock")) && next->kind == YDM_WORD && !next->begins &&
        (yd_str_eq(next->text, YD_STR("check")) || yd_str_eq(next->text, YD_STR("flywheel")) ||
         yd_str_eq(next->text, YD_STR("errors")))) {
        ydm->at++;
        return *ret_taken = true, take_lock(ydm, frame);
    }
    *ret_taken =
        line->kind == YDM_WORD && (sync || minor || major || rate) && ydm->at[1].kind == YDM_INT && !ydm->at[1].begins;
    if (!*ret_taken) return true;
    uint64_t number, bits;
    ydm->at++;
    if (sync) {
        const struct yd__ydm_token *pattern = ydm->at;
        if (!yd__ydm_u64(ydm, "the pattern", UINT64_MAX, &frame->sync)) return false;
        bool hex = pattern->text.size > 2 && (pattern->text.data[1] | 0x20) == 'x';
        bool binary = pattern->text.size > 2 && (pattern->text.data[1] | 0x20) == 'b';
        uint32_t digits = 0;
        for (size_t i = 2; i < pattern->text.size; i++) digits += pattern->text.data[i] != '_';
        if (!hex && !binary)
            return yd_def_error(ydm->diagnostics, YD_D_FRAME, pattern->place, "",
                                "a sync pattern is written in hex or binary: its digits tell how many bits it has");
        frame->sync_bits = digits * (hex ? 4 : 1);
        if (yd__ydm_skip_word(ydm, "mask") && !yd__ydm_u64(ydm, "the bits that count", UINT64_MAX, &frame->sync_mask))
            return false;
        if (yd__ydm_skip_word(ydm, "errors")) {
            if (!yd__ydm_u64(ydm, "how many bits may be wrong", 16, &number)) return false;
            frame->sync_errors = (uint32_t)number;
        }
    } else if (rate) {
        if (!yd__ydm_u64(ydm, "how many bits a second", UINT32_MAX, &frame->bit_rate)) return false;
    } else if (minor) {
        if (!yd__ydm_u64(ydm, "how many words", 1u << 20, &number)) return false;
        if (!yd__ydm_skip_word(ydm, "words") || !yd__ydm_skip_word(ydm, "of"))
            return yd__ydm_unexpected(ydm, "words of and how many bits");
        if (!yd__ydm_u64(ydm, "how many bits", 64, &bits)) return false;
        (void)yd__ydm_skip_word(ydm, "bits");
        frame->words = (uint32_t)number;
        frame->word_bits = (uint32_t)bits;
    } else {
        if (!yd__ydm_u64(ydm, "how many minor frames", 1u << 20, &number)) return false;
        frame->major = (uint32_t)number;
        (void)yd__ydm_skip_word(ydm, "frames");
        if (!yd__ydm_skip_word(ydm, "by")) return yd__ydm_unexpected(ydm, "by and the field that counts minor frames");
        if (!yd__ydm_word(ydm, "a field", &frame->counter)) return false;
        frame->counter = yd_def_text(ydm->def, frame->counter);
        if (yd__ydm_skip_word(ydm, "from")) {
            if (!yd__ydm_u64(ydm, "its first number", 1u << 20, &number)) return false;
            frame->counter_first = (uint32_t)number;
        }
    }
    return !yd__ydm_more(ydm) || yd__ydm_unexpected(ydm, "the end of the line");
}

/* A field whose line is wrong keeps its name, so that others may say it, and is looked at no more. */
static void give_up(struct yd__ydm *ydm, struct yd_def_entry *entry, const struct yd__ydm_token *line)
{
    if (!entry || entry->place.line != line->place.line) return;
    entry->unsupported = "its line is not understood";
    if (!entry->type) entry->type = yd_def_type(ydm->def, YD_STR(""), entry->place);
}

static void take_entries(struct yd__ydm *ydm, struct yd_def_entries *to, struct yd_def_container *container,
                         uint32_t indent)
{
    uint32_t own = ydm->at->indent;
    struct names names = {0};
    while (ydm->at->kind != YDM_END && ydm->at->begins && ydm->at->indent > indent) {
        struct yd__ydm_token *line = ydm->at;
        bool taken = false;
        if (line->indent != own) {
            yd_def_error(ydm->diagnostics, YD_D_INDENT, line->place, "",
                         "this line is indented differently from those before it");
            yd_def_help(ydm->diagnostics, "the fields of one %s begin in one column, here column %u",
                        container ? "container" : "group", own + 1);
        }
        if (container && line->kind == YDM_MARK && line->mark == (YDM_MARK2('.', '.') << 8 | '.')) {
            container->open = true;
            ydm->at++;
            if (yd__ydm_more(ydm)) {
                yd__ydm_unexpected(ydm, "the end of the line");
                skip_rest(ydm);
            }
            continue;
        }
        if (container && ydm->in_frame && !take_frame_line(ydm, container, &taken)) {
            skip_line(ydm, line, line->indent);
            continue;
        }
        if (!taken && !take_entry(ydm, to, &names)) {
            give_up(ydm, to->last, line);
            skip_line(ydm, line, line->indent);
        }
    }
}

/* ---- declarations ---- */

static bool take_container(struct yd__ydm *ydm, const struct yd__ydm_token *head)
{
    struct yd_str name;
    struct yd_place place = ydm->at->place;
    bool frame = yd_str_eq(head->text, YD_STR("frame"));
    if (!yd__ydm_word(ydm, "a name", &name)) return false;
    const struct yd_def_container *other = yd_def_find_container(ydm->def, name);
    if (other) {
        yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, place, "", "'%.*s' is declared already", YD_STR_FMT(name));
        yd_def_note(ydm->diagnostics, other->place, "here");
    }
    struct yd_def_container *container = yd_def_container(ydm->def, name, place);
    if (!container) return false;
    container->abstract = yd_str_eq(head->text, YD_STR("container"));
    if (frame) container->word_bits = 8;
    bool good = true;
    if (yd__ydm_skip_mark(ydm, ':')) {
        struct yd__ydm_name *use = yd_arena_zero(&ydm->def->arena, sizeof *use);
        if (!use) return ydm->def->failed = true, false;
        *use = (struct yd__ydm_name){.next = ydm->parents, .place = ydm->at->place, .child = container};
        good = yd__ydm_word(ydm, "the container that it continues", &use->name);
        if (good) ydm->parents = use;
    }
    if (good && yd__ydm_skip_word(ydm, "when")) good = (container->when = yd__ydm_condition(ydm)) != NULL;
    if (good && yd__ydm_skip_word(ydm, "doc")) good = yd__ydm_string(ydm, "a text in quotes", &container->doc);
    if (good && yd__ydm_more(ydm))
        good = yd__ydm_unexpected(ydm, "':' and a parent, when and a condition, or the end of the line");
    skip_rest(ydm); /* its fields are read even so */
    ydm->in_frame = frame;
    if (ydm->at->begins && ydm->at->indent > head->indent)
        take_entries(ydm, &container->entries, container, head->indent);
    ydm->in_frame = false;
    return true;
}

static bool take_type_declaration(struct yd__ydm *ydm, const struct yd__ydm_token *head)
{
    struct yd_str name;
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_word(ydm, "a name for the type", &name)) return false;
    const struct yd_def_type *other = yd_def_find_type(ydm->def, name);
    if (other) {
        yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, place, "", "the type '%.*s' is declared already",
                     YD_STR_FMT(name));
        yd_def_note(ydm->diagnostics, other->place, "here");
    }
    struct yd__ydm_options options = {0};
    if (!yd__ydm_type(ydm, &options)) return false;
    /* Named at the end: it cannot contain itself. */
    if (!yd__ydm_options(ydm, &options)) return false;
    bool inside = ydm->at->kind != YDM_END && ydm->at->begins && ydm->at->indent > head->indent;
    bool good = true;
    if (options.type->encoding == YD_DEF_GROUP && inside && !options.type->entries.first)
        take_entries(ydm, &options.type->entries, NULL, head->indent);
    else
        good = take_below(ydm, &options, head->indent) && yd__ydm_options_end(ydm, &options);
    yd_def_type_name(ydm->def, options.type, name);
    options.type->place = place;
    return good;
}

/* The rest of the line as text: an expression is read by who computes it. */
static struct yd_str rest_of_line(struct yd__ydm *ydm)
{
    uint32_t first = ydm->at->first, last = first;
    for (; yd__ydm_more(ydm); ydm->at++) last = ydm->at->last;
    return (struct yd_str){ydm->text.data + first, last - first};
}

static bool take_derive(struct yd__ydm *ydm, const struct yd__ydm_token *head)
{
    struct yd_str name;
    struct yd_place place = ydm->at->place, text_place;
    if (!yd__ydm_word(ydm, "a name for what is derived", &name) || !yd__ydm_expect(ydm, '=', "'=' and an expression"))
        return false;
    if (!yd__ydm_more(ydm)) return yd__ydm_unexpected(ydm, "an expression");
    for (const struct yd_def_derived *other = ydm->def->derived; other; other = other->next)
        if (yd_str_eq(other->name, name)) {
            yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, place, "", "'%.*s' is derived already", YD_STR_FMT(name));
            yd_def_note(ydm->diagnostics, other->place, "here");
        }
    struct yd_str front = ydm->def->name;
    if (front.size && name.size > front.size + 1 && yd_str_starts(name, front) && name.data[front.size] == '.') {
        yd_def_error(ydm->diagnostics, YD_D_DERIVED, place, "", "'%.*s' comes in front by itself", YD_STR_FMT(front));
        yd_def_help(ydm->diagnostics, "write  derive %.*s", (int)(name.size - front.size - 1),
                    name.data + front.size + 1);
        return false;
    }
    text_place = ydm->at->place;
    struct yd_def_derived *derived = yd_def_derived(ydm->def, name, rest_of_line(ydm), place);
    if (!derived) return false;
    derived->text_place = text_place;
    while (ydm->at->kind != YDM_END && ydm->at->begins && ydm->at->indent > head->indent) {
        struct yd__ydm_token *line = ydm->at;
        bool good = true;
        line->begins = false;
        while (good && yd__ydm_more(ydm)) {
            if (yd__ydm_skip_word(ydm, "unit")) {
                if (ydm->at->kind == YDM_WORD && yd__ydm_more(ydm))
                    derived->unit = yd_def_text(ydm->def, (ydm->at++)->text);
                else
                    good = yd__ydm_string(ydm, "a unit in quotes", &derived->unit);
            } else if (yd__ydm_skip_word(ydm, "doc")) {
                good = yd__ydm_string(ydm, "a text in quotes", &derived->doc);
            } else if (yd__ydm_skip_word(ydm, "limits")) {
                struct yd_def_limits *limits = yd_arena_zero(&ydm->def->arena, sizeof *limits);
                if (!limits) return ydm->def->failed = true, false;
                if (derived->limits_last)
                    derived->limits_last->next = limits;
                else
                    derived->limits = limits;
                derived->limits_last = limits;
                good = yd__ydm_limits(ydm, limits);
            } else {
                good = yd__ydm_unexpected(ydm, "unit, limits or doc");
            }
        }
        if (!good) skip_line(ydm, line, line->indent);
    }
    return true;
}

static bool take_limits_declaration(struct yd__ydm *ydm)
{
    struct yd_str name;
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_word(ydm, "the measurement", &name)) return false;
    struct yd_def_limits *limits = yd_def_limits(ydm->def, NULL, place);
    if (!limits) return false;
    limits->measurement = yd_def_text(ydm->def, name);
    limits->name_place = place;
    if (!yd__ydm_limits(ydm, limits)) return false;
    return !yd__ydm_more(ydm) || yd__ydm_unexpected(ydm, "the end of the line");
}

static bool take_setting(struct yd__ydm *ydm, const struct yd__ydm_token *head)
{
    struct yd_str word;
    bool order = yd_str_eq(head->text, YD_STR("order"));
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_word(ydm, order ? "big or little" : "msb0 or lsb0", &word)) return false;
    if (order && (yd_str_eq(word, YD_STR("big")) || yd_str_eq(word, YD_STR("little"))))
        ydm->order = word.data[0] == 'b' ? YD_DEF_BIG : YD_DEF_LITTLE;
    else if (!order && (yd_str_eq(word, YD_STR("msb0")) || yd_str_eq(word, YD_STR("lsb0"))))
        ydm->numbering = word.data[0] == 'm' ? YD_DEF_MSB0 : YD_DEF_LSB0;
    else
        return yd_def_error(ydm->diagnostics, YD_D_WORD, place, "", "%s, not '%.*s'",
                            order ? "an order is big or little" : "bits are counted as msb0 or lsb0", YD_STR_FMT(word));
    return !yd__ydm_more(ydm) || yd__ydm_unexpected(ydm, "the end of the line");
}

static bool take_definition(struct yd__ydm *ydm)
{
    struct yd_str name;
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_word(ydm, "a name: it comes in front of every measurement's", &name)) return false;
    if (ydm->def->name.size) {
        yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, place, "", "the definition is called '%.*s' already",
                     YD_STR_FMT(ydm->def->name));
        yd_def_help(ydm->diagnostics, "a file has one definition: split it, or take one of the lines out");
        return false;
    }
    ydm->def->name = yd_def_text(ydm->def, name);
    if (yd__ydm_skip_word(ydm, "doc") && !yd__ydm_string(ydm, "a text in quotes", &ydm->def->doc)) return false;
    return !yd__ydm_more(ydm) || yd__ydm_unexpected(ydm, "the end of the line");
}

static bool take_declaration(struct yd__ydm *ydm)
{
    static const char *const heads[] = {"definition", "order", "bits",   "type",  "container",
                                        "packet",     "frame", "derive", "limits"};
    struct yd__ydm_token *head = ydm->at;
    struct yd_str word = head->kind == YDM_WORD ? head->text : YD_STR("");
    if (head->indent) {
        yd_def_error(ydm->diagnostics, YD_D_INDENT, head->place, "",
                     "an indented line belongs to the line before, and none takes it");
        yd_def_help(ydm->diagnostics, "fields stand below a packet, container, frame or group");
        return false;
    }
    ydm->at++;
    if (yd_str_eq(word, YD_STR("definition"))) return take_definition(ydm);
    if (yd_str_eq(word, YD_STR("order")) || yd_str_eq(word, YD_STR("bits"))) return take_setting(ydm, head);
    if (yd_str_eq(word, YD_STR("type"))) return take_type_declaration(ydm, head);
    if (yd_str_eq(word, YD_STR("container")) || yd_str_eq(word, YD_STR("packet")) || yd_str_eq(word, YD_STR("frame")))
        return take_container(ydm, head);
    if (yd_str_eq(word, YD_STR("derive"))) return take_derive(ydm, head);
    if (yd_str_eq(word, YD_STR("limits"))) return take_limits_declaration(ydm);
    struct yd_nearest nearest;
    yd_nearest_init(&nearest, word);
    for (size_t i = 0; i < YD_COUNT(heads); i++) yd_nearest_add(&nearest, yd_str_of(heads[i]));
    yd_def_error(ydm->diagnostics, YD_D_WORD, head->place, "", "no declaration begins with '%.*s'",
                 (int)YD_MIN(head->text.size, (size_t)60), head->text.data);
    yd_nearest_help(
        &nearest, ydm->diagnostics,
        "declarations are definition, order, bits, type, container, packet, frame, derive, limits; fields are "
        "indented below theirs");
    return false;
}

static void find_parents(struct yd__ydm *ydm)
{
    for (struct yd__ydm_name *use = ydm->parents; use; use = use->next) {
        use->child->parent = yd_def_find_container(ydm->def, use->name);
        if (use->child->parent) continue;
        struct yd_nearest nearest;
        yd_nearest_init(&nearest, use->name);
        for (const struct yd_def_container *other = ydm->def->containers; other; other = other->next)
            if (other != use->child) yd_nearest_add(&nearest, other->name);
        yd_def_error(ydm->diagnostics, YD_D_PARENT, use->place, "", "there is no container '%.*s'",
                     YD_STR_FMT(use->name));
        yd_nearest_help(&nearest, ydm->diagnostics, NULL);
    }
}

int yd_ydm_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def)
{
    struct yd_def *def;
    *ret_def = NULL;
    struct yd_place top = {.file = (uint32_t)diagnostics->source_count};
    size_t errors = diagnostics->errors;
    bool shown = text.size <= YD_YDM_SIZE_MAX && yd_text_utf8(text);
    uint32_t file = yd_def_source(diagnostics, path, shown ? text : YD_STR(""));
    if (file == UINT32_MAX || yd_def_create(alloc, &def) < 0) return YD_ENOMEM;
    if (!shown) {
        yd_def_error(diagnostics, YD_D_FILE, top, "",
                     text.size > YD_YDM_SIZE_MAX ? "the file is larger than 16 MiB" : "the file is not UTF-8 text");
        yd_def_destroy(def);
        return YD_EFORMAT;
    }
    struct yd__ydm ydm = {.def = def, .diagnostics = diagnostics, .text = text};
    ydm.tokens = ydm.at = yd__ydm_tokens(text, file, &def->arena, diagnostics);
    if (!ydm.tokens) {
        yd_def_destroy(def);
        return YD_ENOMEM;
    }
    while (ydm.at->kind != YDM_END) {
        struct yd__ydm_token *line = ydm.at;
        ydm.depth = 0;
        if (!take_declaration(&ydm)) skip_line(&ydm, line, line->indent);
        skip_rest(&ydm);
    }
    find_parents(&ydm);
    yd_def_sort(diagnostics);
    int result = def->failed ? YD_ENOMEM : diagnostics->errors > errors ? YD_EFORMAT : 0;
    if (result == YD_ENOMEM)
        yd_def_destroy(def);
    else
        *ret_def = def;
    return result;
}
