/* A model as `.ydm`.
 *
 *   container, entries, types ──▶ one line a field, types written in place, every byte order said
 *
 * What is long or of its own language (contexts, limits) stands on lines below its field. What can fail: memory, which
 * the buffer remembers. */
#include "decom/ydm_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "decom/compile.h"

struct writer {
    struct yd_buf *to;
    unsigned left_out;
};

static void put(struct writer *writer, const char *text)
{
    yd_buf_cstr(writer->to, text);
}

static void put_str(struct writer *writer, struct yd_str text)
{
    yd_buf_str(writer->to, text);
}

static void put_quoted(struct writer *writer, struct yd_str text)
{
    yd_buf_char(writer->to, '"');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\\') yd_buf_char(writer->to, '\\');
        if (c == '\n' || c == '\t' || c == '\r')
            put(writer, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else
            yd_buf_char(writer->to, c);
    }
    yd_buf_char(writer->to, '"');
}

/* What comes from elsewhere, in a comment: on its line it stays. */
static void put_comment(struct writer *writer, unsigned indent, struct yd_str name, const char *why)
{
    yd_buf_printf(writer->to, "%*s# %.*s is not decoded: ", (int)indent, "", YD_STR_FMT(name));
    for (; *why; why++) yd_buf_char(writer->to, (unsigned char)*why < ' ' ? ' ' : *why);
    yd_buf_char(writer->to, '\n');
    writer->left_out++;
}

static void put_f64(struct writer *writer, double value, bool fraction)
{
    char digits[40];
    size_t size = yd_text_put_f64(digits, value);
    digits[size] = 0;
    put(writer, digits);
    if (fraction && !strpbrk(digits, ".eE")) put(writer, ".0");
}

/* ---- conditions and amounts ---- */

static void put_value(struct writer *writer, const struct yd_def_value *value)
{
    switch (value->type) {
    case YD_DEF_U64:
        yd_buf_printf(writer->to, "%llu", (unsigned long long)value->u64);
        break;
    case YD_DEF_I64:
        yd_buf_printf(writer->to, "%lld", (long long)value->i64);
        break;
    case YD_DEF_F64:
        put_f64(writer, value->f64, true);
        break;
    default:
        put_quoted(writer, value->text);
    }
}

static void put_condition(struct writer *writer, const struct yd_def_condition *condition, int within)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    int own = condition->logic == YD_DEF_OR ? 0 : condition->logic == YD_DEF_AND ? 1 : 2;
    if (own < within) put(writer, "(");
    if (condition->logic == YD_DEF_COMPARE) {
        yd_buf_printf(writer->to, condition->calibrated ? "value(%.*s) %s " : "%.*s %s ",
                      YD_STR_FMT(condition->field.name), ops[condition->op]);
        put_value(writer, &condition->value);
    } else if (condition->logic == YD_DEF_NOT) {
        put(writer, "not ");
        put_condition(writer, condition->a, 3);
    } else {
        put_condition(writer, condition->a, own);
        put(writer, own ? " and " : " or ");
        put_condition(writer, condition->b, own + 1);
    }
    if (own < within) put(writer, ")");
}

static void put_amount(struct writer *writer, const struct yd_def_amount *amount)
{
    if (!amount->field.name.size) {
        yd_buf_printf(writer->to, "%lld", (long long)amount->offset);
        return;
    }
    put_str(writer, amount->field.name);
    if (amount->scale > 1) yd_buf_printf(writer->to, " * %lld", (long long)amount->scale);
    if (amount->offset)
        yd_buf_printf(writer->to, " %c %lld", amount->offset < 0 ? '-' : '+', (long long)llabs(amount->offset));
}

static void put_max(struct writer *writer, const struct yd_def_amount *amount)
{
    if (amount->max) yd_buf_printf(writer->to, ", max %llu", (unsigned long long)amount->max);
}

/* ---- types ---- */

static void put_extent(struct writer *writer, const struct yd_def_type *type)
{
    bool wide = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE;
    put(writer, type->encoding == YD_DEF_STRING ? "text(" : "bytes(");
    switch (type->extent) {
    case YD_DEF_FIXED:
        put_amount(writer, &type->size);
        break;
    case YD_DEF_REST:
        put(writer, "rest");
        break;
    case YD_DEF_PREFIXED:
        yd_buf_printf(writer->to, "prefix u%u%s", type->prefix_bits,
                      type->order == YD_DEF_LITTLE && type->prefix_bits > 8 ? "le" : "");
        break;
    case YD_DEF_TERMINATED:
        if (type->terminator_size == 2 || (!type->terminator_size && wide))
            yd_buf_printf(writer->to, "until 0x%02x%02x", type->terminator[0], type->terminator[1]);
        else
            yd_buf_printf(writer->to, "until %u", type->terminator[0]);
        break;
    }
    put_max(writer, &type->size);
    put(writer, ")");
}

static void put_type(struct writer *writer, const struct yd_def_type *type)
{
    static const char *const words[YD_DEF_ENCODING_COUNT] = {
        [YD_DEF_UNSIGNED] = "u",         [YD_DEF_TWOS] = "i",  [YD_DEF_ONES] = "ones", [YD_DEF_SIGN_MAGNITUDE] = "sign",
        [YD_DEF_OFFSET_BINARY] = "bias", [YD_DEF_BCD] = "bcd", [YD_DEF_GRAY] = "gray", [YD_DEF_IEEE] = "f",
        [YD_DEF_MIL1750A] = "mil"};
    if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        put_extent(writer, type);
    } else if (type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS) {
        yd_buf_printf(writer->to, "%s(%u, %u)", type->encoding == YD_DEF_CUC ? "cuc" : "cds", type->coarse, type->fine);
    } else if (type->encoding == YD_DEF_GROUP) {
        put(writer, "group");
    } else {
        yd_buf_printf(writer->to, "%s%u%s", type->boolean ? "bool" : words[type->encoding], type->bits,
                      type->bits <= 8                ? ""
                      : type->order == YD_DEF_LITTLE ? "le"
                      : type->order == YD_DEF_BIG    ? "be"
                                                     : "");
    }
}

static void put_epoch(struct writer *writer, const struct yd_def_type *type)
{
    static const char *const words[] = {[YD_DEF_EPOCH_UNIX] = "unix",
                                        [YD_DEF_EPOCH_TAI] = "tai",
                                        [YD_DEF_EPOCH_GPS] = "gps",
                                        [YD_DEF_EPOCH_J2000] = "j2000"};
    int64_t tick = type->tick_ns;
    if (type->epoch == YD_DEF_EPOCH_NONE) return;
    if (type->encoding < YD_DEF_STRING && tick && tick != YD_NS_PER_S)
        put(writer, tick == 1 ? " ns" : tick == YD_NS_PER_US ? " us" : " ms");
    put(writer, " since ");
    if (type->epoch != YD_DEF_EPOCH_DATE) {
        put(writer, words[type->epoch]);
        return;
    }
    char text[64];
    text[yd_text_put_time(text, sizeof text - 1, type->epoch_ns)] = 0;
    yd_buf_printf(writer->to, "\"%s\"%s", text, type->counts_leaps ? " tai" : "");
}

static void put_calibration(struct writer *writer, const struct yd_def_calibration *calibration)
{
    static const char *const words[] = {"poly", "rational", "steps", "spline", "table", "calc"};
    bool points =
        calibration->kind == YD_DEF_STEPS || calibration->kind == YD_DEF_SPLINE || calibration->kind == YD_DEF_TABLE;
    yd_buf_printf(writer->to, "%s(", words[calibration->kind]);
    if (calibration->kind == YD_DEF_EXPRESSION) put_str(writer, calibration->text);
    for (uint32_t i = 0; i < calibration->a_count; i++) {
        if (i) put(writer, ", ");
        put_f64(writer, calibration->a[i], false);
        if (points) yd_buf_char(writer->to, ' '), put_f64(writer, calibration->b[i], false);
    }
    for (uint32_t i = 0; calibration->kind == YD_DEF_RATIONAL && i < calibration->b_count; i++) {
        put(writer, i ? ", " : " / ");
        put_f64(writer, calibration->b[i], false);
    }
    put(writer, calibration->extrapolate ? ") extrapolate" : ")");
}

static void put_labels(struct writer *writer, const struct yd_def_type *type)
{
    if (!type->labels && !type->label_else.size) return;
    put(writer, " {");
    const char *comma = " ";
    for (const struct yd_def_label *label = type->labels; label; label = label->next, comma = ", ") {
        yd_buf_printf(writer->to, label->last == label->first ? "%s%lld " : "%s%lld..%lld ", comma,
                      (long long)label->first, (long long)label->last);
        put_quoted(writer, label->text);
    }
    if (type->label_else.size) {
        yd_buf_printf(writer->to, "%selse ", comma);
        put_quoted(writer, type->label_else);
    }
    put(writer, " }");
}

/* What is valid is said of raw values that are not the engineering ones. */
static bool is_of_raw(const struct yd_def_type *type)
{
    return type->valid_raw && type->calibrations;
}

static void put_type_options(struct writer *writer, const struct yd_def_type *type)
{
    static const char *const charsets[] = {"utf8", "ascii", "latin1", "utf16be", "utf16le"};
    bool number = type->encoding < YD_DEF_STRING;
    if (type->numbering == YD_DEF_LSB0) put(writer, " lsb0");
    if (number && type->order == YD_DEF_PERMUTED) {
        put(writer, " order(");
        for (uint32_t i = 0; i < type->bits / 8 && i < 8; i++)
            yd_buf_printf(writer->to, "%s%u", i ? ", " : "", type->permutation[i] + 1u);
        put(writer, ")");
    }
    if (type->reversed) put(writer, " reversed");
    if (type->signed_as_bias) yd_buf_printf(writer->to, " bias %lld", (long long)type->bias);
    if (type->encoding == YD_DEF_STRING && type->charset != YD_DEF_UTF8)
        yd_buf_printf(writer->to, " charset %s", charsets[type->charset]);
    if (type->trim_off) put(writer, " untrimmed");
    put_epoch(writer, type);
    put_labels(writer, type);
    if (type->unit.size) put(writer, " unit "), put_quoted(writer, type->unit);
    if (type->has_valid && !is_of_raw(type)) {
        put(writer, " valid ");
        put_f64(writer, isfinite(type->valid_min) ? type->valid_min : -1.7976931348623157e308, false);
        put(writer, "..");
        put_f64(writer, isfinite(type->valid_max) ? type->valid_max : 1.7976931348623157e308, false);
    }
    const struct yd_def_calibration *only = type->calibrations;
    if (!only || only->next || only->when) return;
    if (only->kind == YD_DEF_POLYNOMIAL && only->a_count == 2) {
        put(writer, " scale ");
        put_f64(writer, only->a[1], false);
        if (only->a[0] != 0) put(writer, " offset "), put_f64(writer, only->a[0], false);
        return;
    }
    put(writer, " ");
    put_calibration(writer, only);
}

/* ---- limits ---- */

static void put_range(struct writer *writer, const char *word, const struct yd_limit_range *range)
{
    if (!range->given) return;
    yd_buf_printf(writer->to, " %s ", word);
    if (range->low > -INFINITY) put_f64(writer, range->low, false);
    put(writer, "..");
    if (range->high < INFINITY) put_f64(writer, range->high, false);
}

static void put_duration(struct writer *writer, const char *word, int64_t ns)
{
    char text[64];
    text[yd_text_put_duration(text, sizeof text - 1, ns)] = 0;
    yd_buf_printf(writer->to, " %s %s", word, text);
}

static void put_clause(struct writer *writer, const struct yd_limit_clause *clause)
{
    if (clause->set.size) yd_buf_printf(writer->to, " set %.*s", YD_STR_FMT(clause->set));
    put_range(writer, "yellow", &clause->yellow);
    put_range(writer, "red", &clause->red);
    put_range(writer, "yellow rate", &clause->yellow_rate);
    put_range(writer, "red rate", &clause->red_rate);
    put_range(writer, "yellow delta", &clause->yellow_delta);
    put_range(writer, "red delta", &clause->red_delta);
    for (int red = 0; red < 2; red++) {
        const char *before = red ? " red is " : " yellow is ";
        for (uint32_t i = 0; i < clause->value_count; i++) {
            const struct yd_limit_value *item = &clause->values[i];
            if (item->red != red) continue;
            put(writer, before);
            before = ", ";
            if (item->value.type == YD_TEXT)
                put_quoted(writer, (struct yd_str){item->value.text, item->value.size});
            else if (item->value.type == YD_BOOL)
                put(writer, item->value.bits ? "true" : "false");
            else if (item->value.type == YD_F64)
                put_f64(writer, item->value.f64, true);
            else
                yd_buf_printf(writer->to, "%lld", (long long)item->value.i64);
        }
    }
    if (clause->persist > 1) yd_buf_printf(writer->to, " persist %u", clause->persist);
    if (clause->persist_ns) put_duration(writer, "persist", clause->persist_ns);
    if (clause->hysteresis != 0) put(writer, " hysteresis "), put_f64(writer, clause->hysteresis, false);
    if (clause->stale_ns) put_duration(writer, "stale", clause->stale_ns);
    if (clause->stale_ns && clause->stale_state == YD_LIMIT_YELLOW) put(writer, " yellow");
    if (clause->stale_ns && clause->stale_state == YD_LIMIT_RED) put(writer, " red");
}

static void put_limits(struct writer *writer, const struct yd_def_limits *limits, unsigned indent, struct yd_str name)
{
    for (; limits; limits = limits->next) {
        if (limits->unsupported) {
            put_comment(writer, indent, name, limits->unsupported);
            continue;
        }
        yd_buf_printf(writer->to, "%*slimits", (int)indent, "");
        if (limits->measurement.size) yd_buf_printf(writer->to, " %.*s", YD_STR_FMT(limits->measurement));
        if (limits->text.size)
            put(writer, " "), put_str(writer, limits->text);
        else
            put_clause(writer, &limits->clause);
        put(writer, "\n");
    }
}

/* ---- entries ---- */

static bool compares_fields(const struct yd_def_condition *condition)
{
    if (!condition) return false;
    if (condition->logic == YD_DEF_COMPARE) return condition->other.name.size > 0;
    return compares_fields(condition->a) || compares_fields(condition->b);
}

/* What `.ydm` has no words for. */
static const char *cannot(const struct yd_def_entry *entry)
{
    const struct yd_def_type *type = entry->type;
    int64_t tick = type->tick_ns;
    if (entry->unsupported) return entry->unsupported;
    if (type->unsupported) return type->unsupported;
    if (entry->slots) return "words of commutated frames are not written";
    if (type->epoch != YD_DEF_EPOCH_NONE && type->encoding < YD_DEF_STRING && tick && tick != 1 &&
        tick != YD_NS_PER_US && tick != YD_NS_PER_MS && tick != YD_NS_PER_S)
        return "a time that counts neither ns, us, ms nor s";
    bool compares = compares_fields(entry->only_if);
    for (const struct yd_def_calibration *item = type->calibrations; item; item = item->next)
        compares |= compares_fields(item->when);
    if (compares) return "a comparison of two fields";
    const struct yd_def_amount *amounts[] = {&type->size, &entry->dimension[0], &entry->dimension[1]};
    for (size_t i = 0; i < YD_COUNT(amounts); i++)
        if (amounts[i]->choices)
            return "a size that is looked up";
        else if (amounts[i]->field.name.size && amounts[i]->scale < 0)
            return "a size that falls where its field rises";
    return NULL;
}

static void put_place(struct writer *writer, const struct yd_def_entry *entry)
{
    int64_t offset = entry->offset_bits;
    uint64_t size = (uint64_t)llabs(offset);
    if (entry->from == YD_DEF_PREVIOUS) {
        if (!offset) return;
        yd_buf_printf(writer->to, " at %c %llu", offset < 0 ? '-' : '+', (unsigned long long)(size / 8));
        size %= 8;
    } else if (entry->from == YD_DEF_END) {
        uint64_t bytes = offset < 0 ? (size + 7) / 8 : 0;
        yd_buf_printf(writer->to, " at end - %llu", (unsigned long long)bytes);
        size = (uint64_t)(offset + (int64_t)bytes * 8);
    } else {
        yd_buf_printf(writer->to, " at %llu", (unsigned long long)(size / 8));
        size %= 8;
    }
    if (size) yd_buf_printf(writer->to, " bit %llu", (unsigned long long)size);
}

static void put_entries(struct writer *writer, const struct yd_def_entries *entries, unsigned indent, bool *cut);

static void put_dimensions(struct writer *writer, const struct yd_def_entry *entry)
{
    for (uint32_t i = 0; i < entry->dimensions; i++) {
        put(writer, "[");
        if (i == 0 && entry->to_end)
            put(writer, "*");
        else
            put_amount(writer, &entry->dimension[i]);
        put_max(writer, &entry->dimension[i]);
        put(writer, "]");
    }
}

static void put_contexts(struct writer *writer, const struct yd_def_type *type, unsigned indent)
{
    const struct yd_def_calibration *first = type->calibrations;
    if (!first || (!first->next && !first->when)) return;
    for (const struct yd_def_calibration *item = first; item; item = item->next) {
        yd_buf_printf(writer->to, "%*s", (int)indent, "");
        put(writer, item->when ? "when " : "otherwise");
        if (item->when) put_condition(writer, item->when, 0);
        put(writer, ": ");
        put_calibration(writer, item);
        put(writer, "\n");
    }
}

static void put_entry(struct writer *writer, const struct yd_def_entry *entry, unsigned indent)
{
    const struct yd_def_type *type = entry->type;
    struct yd_str doc = entry->doc.size ? entry->doc : type->doc;
    if (type->has_valid && is_of_raw(type))
        yd_buf_printf(writer->to, "%*s# %.*s: what raw values are valid is not written\n", (int)indent, "",
                      YD_STR_FMT(entry->name));
    yd_buf_printf(writer->to, "%*s%.*s ", (int)indent, "", YD_STR_FMT(entry->name));
    put_type(writer, type);
    put_dimensions(writer, entry);
    if (entry->has_constant)
        yd_buf_printf(writer->to,
                      type->encoding == YD_DEF_UNSIGNED || type->encoding == YD_DEF_BCD || type->encoding == YD_DEF_GRAY
                          ? " = %llu"
                          : " = %lld",
                      (unsigned long long)entry->constant);
    put_place(writer, entry);
    put_type_options(writer, type);
    if (entry->only_if) put(writer, " if "), put_condition(writer, entry->only_if, 0);
    if (entry->hidden) put(writer, " hidden");
    if (entry->stamp) put(writer, " stamp");
    if (entry->sequence) put(writer, " sequence");
    if (entry->sequence && entry->sequence_by.name.size)
        yd_buf_printf(writer->to, " by %.*s", YD_STR_FMT(entry->sequence_by.name));
    if (entry->check.kind) {
        yd_buf_printf(writer->to, " check %s", yd_checksum_word(entry->check.kind));
        if (entry->check.from) yd_buf_printf(writer->to, " from %u", entry->check.from);
        if (entry->check.end == YD_DEF_CHECK_AT) yd_buf_printf(writer->to, " to %u", entry->check.to);
        if (entry->check.end == YD_DEF_CHECK_END) put(writer, " to end");
        if (entry->check.end == YD_DEF_CHECK_END && entry->check.to)
            yd_buf_printf(writer->to, " - %u", entry->check.to);
    }
    if (entry->published.size) put(writer, " as "), put_quoted(writer, entry->published);
    if (doc.size) put(writer, " doc "), put_quoted(writer, doc);
    put(writer, "\n");
    put_contexts(writer, type, indent + 2);
    if (type->encoding != YD_DEF_GROUP) put_limits(writer, entry->limits, indent + 2, entry->name);
    bool cut = false;
    if (type->encoding == YD_DEF_GROUP) put_entries(writer, &type->entries, indent + 2, &cut);
}

static bool has_unsupported(const struct yd_def_entry *entry, unsigned depth)
{
    if (depth > 32 || cannot(entry)) return true;
    for (const struct yd_def_entry *child = entry->type->entries.first; child; child = child->next)
        if (has_unsupported(child, depth + 1)) return true;
    return false;
}

static void put_entries(struct writer *writer, const struct yd_def_entries *entries, unsigned indent, bool *cut)
{
    for (const struct yd_def_entry *entry = entries->first; entry; entry = entry->next) {
        uint64_t bits;
        if (!entry->type) continue;
        if (entry->from != YD_DEF_PREVIOUS) *cut = false;
        if (*cut) {
            put_comment(writer, indent, entry->name, "it follows what is of unknown size");
            continue;
        }
        const char *why = cannot(entry);
        if (!why && entry->type->encoding == YD_DEF_GROUP && has_unsupported(entry, 0))
            why = "something in it is not supported";
        if (!why) {
            put_entry(writer, entry, indent);
            continue;
        }
        put_comment(writer, indent, entry->name, why);
        *cut = !yd__entry_bits(entry, &bits) || !bits;
        if (*cut) continue;
        yd_buf_printf(writer->to, "%*s_ ", (int)indent, "");
        if (bits <= 64)
            yd_buf_printf(writer->to, "u%u", (unsigned)bits);
        else if (bits % 8 == 0)
            yd_buf_printf(writer->to, "u8[%llu]", (unsigned long long)bits / 8);
        else
            yd_buf_printf(writer->to, "u1[%llu]", (unsigned long long)bits);
        put_place(writer, entry);
        put(writer, "\n");
    }
}

/* ---- declarations ---- */

static const char *why_not(const struct yd_def_container *container)
{
    for (unsigned depth = 0; container && depth < 256; container = container->parent, depth++) {
        if (container->unsupported) return container->unsupported;
        if (compares_fields(container->when)) return "a comparison of two fields";
        if (container->word_bits) return "commutated frames are not written";
    }
    return NULL;
}

/* Does what follows these entries have no known place? */
static bool cut_behind(const struct yd_def_entries *entries, bool cut)
{
    for (const struct yd_def_entry *entry = entries->first; entry; entry = entry->next) {
        uint64_t bits;
        if (!entry->type) continue;
        if (entry->from != YD_DEF_PREVIOUS) cut = false;
        if (!cut && (cannot(entry) || has_unsupported(entry, 0))) cut = !yd__entry_bits(entry, &bits) || !bits;
    }
    return cut;
}

static bool cut_by_parents(const struct yd_def_container *container, unsigned depth)
{
    return container && depth < 256 && cut_behind(&container->entries, cut_by_parents(container->parent, depth + 1));
}

static void put_container(struct writer *writer, const struct yd_def_container *container)
{
    const char *why = why_not(container);
    put(writer, "\n");
    if (why) {
        put_comment(writer, 0, container->name, why);
        return;
    }
    yd_buf_printf(writer->to, "%s %.*s", container->abstract ? "container" : "packet", YD_STR_FMT(container->name));
    if (container->parent) yd_buf_printf(writer->to, " : %.*s", YD_STR_FMT(container->parent->name));
    if (container->when) put(writer, " when "), put_condition(writer, container->when, 0);
    if (container->doc.size) put(writer, " doc "), put_quoted(writer, container->doc);
    put(writer, "\n");
    bool cut = cut_by_parents(container->parent, 0);
    put_entries(writer, &container->entries, 2, &cut);
    if (container->open || cut) put(writer, "  ...\n");
}

static void put_derived(struct writer *writer, const struct yd_def_derived *derived)
{
    if (derived->unsupported) {
        put_comment(writer, 0, derived->name, derived->unsupported);
        return;
    }
    yd_buf_printf(writer->to, "\nderive %.*s = %.*s\n", YD_STR_FMT(derived->name), YD_STR_FMT(derived->text));
    if (derived->unit.size) put(writer, "  unit "), put_quoted(writer, derived->unit), put(writer, "\n");
    if (derived->doc.size) put(writer, "  doc "), put_quoted(writer, derived->doc), put(writer, "\n");
    put_limits(writer, derived->limits, 2, derived->name);
}

unsigned yd_ydm_write(const struct yd_def *def, struct yd_buf *to)
{
    struct writer writer = {.to = to};
    if (def->name.size) {
        yd_buf_printf(to, "definition %.*s", YD_STR_FMT(def->name));
        if (def->doc.size) put(&writer, " doc "), put_quoted(&writer, def->doc);
        put(&writer, "\n");
    }
    for (const struct yd_def_container *item = def->containers; item; item = item->next) put_container(&writer, item);
    for (const struct yd_def_derived *item = def->derived; item; item = item->next) put_derived(&writer, item);
    if (def->limits) put(&writer, "\n");
    put_limits(&writer, def->limits, 0, YD_STR("a limit"));
    return writer.left_out;
}
