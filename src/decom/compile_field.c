/* Types into fields: what each encoding allows is checked here, for definitions of every source. */
#include <math.h>
#include <stdlib.h>

#include "decom/compile.h"

bool yd__is_number(const struct yd_def_type *type)
{
    return type->encoding < YD_DEF_STRING;
}

/* Elements of an array dimension when it is fixed. */
static bool fixed_amount(const struct yd_def_amount *amount, uint64_t *ret)
{
    if (yd_def_is_told(amount) || amount->offset < 0) return false;
    *ret = (uint64_t)amount->offset;
    return true;
}

bool yd__type_bits(const struct yd_def_type *type, uint64_t *ret_bits)
{
    uint64_t bytes, bits, total = 0;
    if (yd__is_number(type)) return *ret_bits = type->bits, type->bits > 0;
    switch (type->encoding) {
    case YD_DEF_CUC:
    case YD_DEF_CDS:
        return *ret_bits = yd__time_bytes(type) * UINT64_C(8), true;
    case YD_DEF_GROUP:
        for (const struct yd_def_entry *entry = type->entries.first; entry; entry = entry->next) {
            if (entry->from != YD_DEF_PREVIOUS || !yd__entry_bits(entry, &bits)) return false;
            if ((int64_t)total + entry->offset_bits < 0) return false;
            total += bits + (uint64_t)entry->offset_bits;
            if (total > UINT32_MAX) return false;
        }
        return *ret_bits = total, true;
    default:
        if (type->extent != YD_DEF_FIXED || !fixed_amount(&type->size, &bytes)) return false;
        return *ret_bits = bytes * 8, true;
    }
}

bool yd__entry_bits(const struct yd_def_entry *entry, uint64_t *ret_bits)
{
    uint64_t bits, count;
    if (!entry->type || entry->only_if || entry->to_end || !yd__type_bits(entry->type, &bits)) return false;
    for (uint32_t i = 0; i < entry->dimensions; i++) {
        if (!fixed_amount(&entry->dimension[i], &count)) return false;
        if (count && bits > UINT64_C(0xffffffff) * 8 / count) return false;
        bits *= count;
    }
    return *ret_bits = bits, true;
}

/* ---- numbers ---- */

static bool check_bits(struct yd__compiler *compiler, const struct yd_def_type *type)
{
    const char *name = yd_def_encoding_name(type->encoding);
    uint32_t bits = type->bits;
    bool good = bits >= 1 && bits <= 64;
    const char *sizes = "1 to 64";
    if (type->encoding == YD_DEF_IEEE) {
        good = bits == 16 || bits == 32 || bits == 64;
        sizes = "16, 32 or 64";
    } else if (type->encoding == YD_DEF_MIL1750A) {
        good = bits == 32 || bits == 48;
        sizes = "32 or 48";
    } else if (type->encoding == YD_DEF_TWOS || type->encoding == YD_DEF_ONES ||
               type->encoding == YD_DEF_SIGN_MAGNITUDE) {
        good = bits >= 2 && bits <= 64;
        sizes = "2 to 64";
    }
    return good ||
           yd_def_error(compiler->diagnostics, YD_D_SIZE, type->place, "", "%s has %s bits, not %u", name, sizes, bits);
}

static bool check_order(struct yd__compiler *compiler, const struct yd_def_type *type, struct yd__field *field)
{
    bool foreign = (type->order == YD_DEF_LITTLE && type->numbering == YD_DEF_MSB0) ||
                   (type->order == YD_DEF_BIG && type->numbering == YD_DEF_LSB0);
    if (type->bits <= 8 || (!foreign && type->order != YD_DEF_PERMUTED)) return true;
    if (type->bits % 8) {
        yd_def_error(compiler->diagnostics, YD_D_ORDER, type->place, "",
                     "%u bits are no whole bytes: they have no %s order", type->bits,
                     type->order == YD_DEF_LITTLE ? "little-endian"
                     : type->order == YD_DEF_BIG  ? "big-endian"
                                                  : "other");
        yd_def_help(
            compiler->diagnostics,
            type->order == YD_DEF_LITTLE
                ? "bitfields of a little-endian compiler are counted from the lowest bit: add lsb0"
            : type->order == YD_DEF_BIG
                ? "take the byte order out; below `order big`: declare a type of it above that line, and name it here"
                : "take the byte order out, or change the size");
        return false;
    }
    field->swap = type->order == YD_DEF_PERMUTED ? YD__SWAP_PERMUTED : YD__SWAP_ALL;
    unsigned seen = 0;
    for (uint32_t i = 0; type->order == YD_DEF_PERMUTED && i < type->bits / 8; i++)
        seen |= type->permutation[i] < 8 ? 1u << type->permutation[i] : 0;
    return type->order != YD_DEF_PERMUTED || seen == (1u << type->bits / 8) - 1 ||
           yd_def_error(compiler->diagnostics, YD_D_ORDER, type->place, "", "a byte order names each byte once");
}

/* ---- labels ---- */

static int by_first(const void *left, const void *right)
{
    const struct yd__label *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

/* A label of raw values that so many bits never have. */
static void doubt_label(struct yd__compiler *compiler, const struct yd_def_type *type, const struct yd_def_label *label)
{
    bool is_signed = type->encoding == YD_DEF_TWOS;
    if (compiler->partial || (type->encoding != YD_DEF_UNSIGNED && !is_signed) || !type->bits || type->bits > 62)
        return;
    int64_t low = is_signed ? -(INT64_C(1) << (type->bits - 1)) : 0;
    int64_t high = is_signed ? -(low + 1) : (INT64_C(1) << type->bits) - 1;
    if (label->first > label->last || (label->first <= high && label->last >= low)) return;
    yd_def_warn(compiler->diagnostics, YD_D_LABEL, label->place, "", "no value is ever %lld", (long long)label->first);
    yd_def_help(compiler->diagnostics, "its %u bits hold %lld to %lld", type->bits, (long long)low, (long long)high);
}

static bool compile_labels(struct yd__compiler *compiler, struct yd_def_type *type, struct yd__field *field)
{
    enum { DENSE_MAX = 256 };
    uint32_t count = 0;
    if (!type->labels && type->label_else.size) { /* one label for all */
        bool minus = type->encoding == YD_DEF_TWOS || type->encoding == YD_DEF_ONES ||
                     type->encoding == YD_DEF_SIGN_MAGNITUDE || type->encoding == YD_DEF_OFFSET_BINARY;
        if (!yd_def_label(compiler->def, type, minus ? INT64_MIN : 0, INT64_MAX, type->label_else, type->place))
            longjmp(compiler->out_of_memory, 1);
    }
    for (const struct yd_def_label *label = type->labels; label; label = label->next) count++;
    if (!count) return true;
    if (!yd__is_number(type) || type->encoding == YD_DEF_IEEE || type->encoding == YD_DEF_MIL1750A)
        return yd_def_error(compiler->diagnostics, YD_D_OPTION, type->labels->place, "", "labels belong to integers");
    struct yd__label *labels = yd__piece(compiler, count * sizeof *labels);
    const struct yd_def_label **sources = yd__piece(compiler, count * sizeof *sources);
    bool good = true;
    count = 0;
    for (const struct yd_def_label *label = type->labels; label; label = label->next) {
        if (label->first > label->last)
            good = yd_def_error(compiler->diagnostics, YD_D_LABEL, label->place, "",
                                "this range is empty: its end is below its begin");
        doubt_label(compiler, type, label);
        sources[count] = label;
        labels[count++] = (struct yd__label){label->first, label->last, label->text};
    }
    qsort(labels, count, sizeof *labels, by_first);
    for (uint32_t i = 1; good && i < count; i++)
        if (labels[i].first <= labels[i - 1].last) {
            const struct yd_def_label *second = NULL, *first = NULL;
            for (uint32_t j = 0; j < count; j++) {
                if (sources[j]->first > labels[i].last || sources[j]->last < labels[i].first) continue;
                if (!first)
                    first = sources[j];
                else
                    second = sources[j];
            }
            good = yd_def_error(compiler->diagnostics, YD_D_LABEL, second ? second->place : type->place, "",
                                "%lld has two labels", (long long)labels[i].first);
            if (first) yd_def_note(compiler->diagnostics, first->place, "the other one");
        }
    field->labels = labels;
    field->label_count = count;
    int64_t top = labels[count - 1].last;
    if (labels[0].first >= 0 && top < DENSE_MAX) {
        struct yd_str *dense = yd__piece(compiler, (size_t)(top + 1) * sizeof *dense);
        for (uint32_t i = 0; i < count; i++)
            for (int64_t value = labels[i].first; value <= labels[i].last; value++) dense[value] = labels[i].text;
        field->dense = dense;
        field->dense_count = (uint32_t)top + 1;
    }
    return good;
}

/* ---- calibrations ---- */

static bool check_calibration(struct yd__compiler *compiler, const struct yd_def_type *type,
                              const struct yd_def_calibration *c)
{
    struct yd_diagnostics *diagnostics = compiler->diagnostics;
    if (c->unsupported)
        return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "this calibration is not supported: %s",
                            c->unsupported);
    if (!yd__is_number(type))
        return yd_def_error(diagnostics, YD_D_OPTION, c->place, "", "%s has no calibration",
                            yd_def_encoding_name(type->encoding));
    if (type->labels || type->boolean)
        return yd_def_error(diagnostics, YD_D_OPTION, c->place, "", "a value with labels has no other calibration");
    if (type->epoch != YD_DEF_EPOCH_NONE)
        return yd_def_error(diagnostics, YD_D_OPTION, c->place, "", "a time has no calibration: its tick is its scale");
    for (uint32_t i = 0; i < c->a_count; i++)
        if (!isfinite(c->a[i]))
            return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "a coefficient that is no finite number");
    for (uint32_t i = 0; i < c->b_count; i++)
        if (!isfinite(c->b[i]))
            return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "a coefficient that is no finite number");
    if (c->kind == YD_DEF_EXPRESSION) return true;
    if (c->a_count == 0) return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "nothing to compute with");
    bool points = c->kind == YD_DEF_STEPS || c->kind == YD_DEF_SPLINE || c->kind == YD_DEF_TABLE;
    if (points && c->a_count != c->b_count)
        return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "",
                            "points are pairs of raw and engineering value");
    for (uint32_t i = 1; points && i < c->a_count; i++)
        if (!(c->a[i] > c->a[i - 1]))
            return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "",
                                "raw values of points rise: %g comes after %g", c->a[i], c->a[i - 1]);
    bool divides = c->kind != YD_DEF_RATIONAL;
    for (uint32_t i = 0; i < c->b_count; i++) divides |= c->b[i] != 0;
    if (!divides && c->b_count)
        return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "this divides by zero, whatever comes");
    if (c->kind == YD_DEF_RATIONAL && c->b_count == 0)
        return yd_def_error(diagnostics, YD_D_CALIBRATION, c->place, "", "a rational needs something to divide by");
    return true;
}

void yd__compile_calibrations(struct yd__compiler *compiler, struct yd__info *info, const struct yd__scope *scope,
                              struct yd__field *field)
{
    struct yd__calibration *last = NULL;
    const struct yd_def_type *type = scope->entry->type;
    bool always = false;
    for (const struct yd_def_calibration *c = type->calibrations; c; c = c->next) {
        if (!check_calibration(compiler, type, c)) return;
        if (always) {
            yd_def_error(compiler->diagnostics, YD_D_CALIBRATION, c->place, "",
                         "this calibration is never used: one before it always holds");
            return;
        }
        struct yd__calibration *made = yd__piece(compiler, sizeof *made);
        *made = (struct yd__calibration){.kind = c->kind,
                                         .a = c->a,
                                         .b = c->b,
                                         .a_count = c->a_count,
                                         .b_count = c->b_count,
                                         .extrapolate = c->extrapolate};
        if (c->when && !(made->when = yd__compile_condition(compiler, info, c->when, scope))) return;
        if (c->kind == YD_DEF_EXPRESSION && !yd__compile_expression(compiler, info, scope, c, made)) return;
        always = !c->when;
        if (last)
            last->next = made;
        else
            field->calibrations = made;
        last = made;
    }
}

/* ---- the rest ---- */

static bool check_time(struct yd__compiler *compiler, const struct yd_def_type *type)
{
    struct yd_diagnostics *diagnostics = compiler->diagnostics;
    if (type->encoding == YD_DEF_CUC && (type->coarse < 1 || type->coarse > 7 || type->fine > 10))
        return yd_def_error(diagnostics, YD_D_TIME, type->place, "",
                            "a CUC time has 1 to 7 bytes of seconds and 0 to 10 of fraction");
    if (type->encoding == YD_DEF_CDS &&
        ((type->coarse != 2 && type->coarse != 3) || (type->fine != 0 && type->fine != 2 && type->fine != 4)))
        return yd_def_error(diagnostics, YD_D_TIME, type->place, "",
                            "a CDS time has 2 or 3 bytes of days and 0, 2 or 4 below the millisecond");
    return true;
}

static bool check_text(struct yd__compiler *compiler, const struct yd_def_type *type)
{
    struct yd_diagnostics *diagnostics = compiler->diagnostics;
    bool prefix = type->prefix_bits == 8 || type->prefix_bits == 16 || type->prefix_bits == 32;
    if (type->extent == YD_DEF_PREFIXED && !prefix)
        return yd_def_error(diagnostics, YD_D_SIZE, type->place, "", "the size in front has 8, 16 or 32 bits");
    if (type->terminator_size > 2)
        return yd_def_error(diagnostics, YD_D_SIZE, type->place, "", "a terminator has one byte or two");
    if (type->extent == YD_DEF_FIXED && !yd_def_is_told(&type->size) &&
        (type->size.offset < 1 || type->size.offset > (int64_t)UINT32_MAX / 8))
        return yd_def_error(diagnostics, YD_D_SIZE, type->place, "", "a size of %lld bytes",
                            (long long)type->size.offset);
    if (type->reversed || type->boolean || type->order == YD_DEF_PERMUTED)
        return yd_def_error(diagnostics, YD_D_OPTION, type->place, "", "%s has no bit order",
                            yd_def_encoding_name(type->encoding));
    return true;
}

const struct yd__field *yd__compile_field(struct yd__compiler *compiler, struct yd_def_type *type)
{
    static const struct yd__field broken;
    if (type->compiled) return type->compiled == &broken ? NULL : type->compiled;
    struct yd__field *field = yd__piece(compiler, sizeof *field);
    *field = (struct yd__field){.type = type,
                                .encoding = type->encoding,
                                .lsb0 = type->numbering == YD_DEF_LSB0,
                                .reversed = type->reversed,
                                .boolean = type->boolean};
    bool good;
    if (yd__is_number(type)) {
        field->bits = type->bits;
        good =
            check_bits(compiler, type) && check_order(compiler, type, field) && compile_labels(compiler, type, field);
        if (good && type->boolean && type->encoding != YD_DEF_UNSIGNED)
            good = yd_def_error(compiler->diagnostics, YD_D_OPTION, type->place, "", "a boolean is unsigned");
    } else if (type->encoding == YD_DEF_STRING || type->encoding == YD_DEF_BINARY) {
        good = check_text(compiler, type) && compile_labels(compiler, type, field);
        /* A terminator that was not said: a zero, as wide as a character. */
        if (type->extent == YD_DEF_TERMINATED && !type->terminator_size)
            type->terminator_size = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE ? 2 : 1;
    } else {
        good = check_time(compiler, type) && compile_labels(compiler, type, field);
    }
    if (good && type->has_valid && !(type->valid_min <= type->valid_max))
        good = yd_def_error(compiler->diagnostics, YD_D_VALUE, type->place, "",
                            "no value is valid: the lowest is above the highest");
    if (good && !yd__is_number(type) && type->calibrations)
        good = check_calibration(compiler, type, type->calibrations);
    type->compiled = good ? field : (void *)(uintptr_t)&broken;
    return good ? field : NULL;
}

void yd__compile_check(struct yd__compiler *compiler, const struct yd_def_entry *entry, uint64_t at)
{
    const struct yd_def_check *check = &entry->check;
    uint32_t bits = yd_checksum_bits(check->kind);
    const struct yd_def_type *type = entry->type;
    if (type->encoding != YD_DEF_UNSIGNED || type->bits != bits || type->calibrations || entry->dimensions ||
        entry->sequence || entry->has_constant || type->labels)
        yd_def_error(compiler->diagnostics, YD_D_OPTION, check->place, "", "%s is one plain number of %u bits",
                     yd_checksum_word(check->kind), bits);
    else if ((check->end == YD_DEF_CHECK_FIELD && at != UINT64_MAX && check->from >= at / 8) ||
             (check->end == YD_DEF_CHECK_AT && check->from >= check->to))
        yd_def_error(compiler->diagnostics, YD_D_PLACE, check->place, "", "a checksum of no bytes");
}
