/* Parameter types of XTCE and their encodings.
 *
 * A type is read when it is first needed, what it is based on before it. Whatever the model cannot say marks the type
 * as not supported, with the reason; its size stays known where it is, so that what follows it is decoded. */
#include <math.h>

#include "base/text.h"
#include "decom/xtce_internal.h"

#define TYPES_DEEP 64

static void refuse(struct yd_def_type *type, const char *why)
{
    if (!type->unsupported) type->unsupported = why;
}

static struct xtce_asks asks_of(struct xtce_type *type)
{
    return (struct xtce_asks){.system = type->system, .uses = &type->uses};
}

/* ---- encodings ---- */

static bool take_bits(struct xtce *xtce, const struct yd__xml *node, uint32_t otherwise, struct yd_def_type *type)
{
    struct yd_str text = xtce_attribute(node, "sizeInBits");
    int64_t bits = otherwise;
    if (text.size && !xtce_number(xtce, node, text, &bits)) return false;
    if (bits < 1 || bits > 65536)
        return yd_def_error(xtce->diagnostics, YD_D_SIZE, node->place, "", "a number of %lld bits", (long long)bits);
    type->bits = (uint32_t)bits;
    if (bits <= 64) return true;
    /* Its size is known all the same: what follows can be decoded. */
    refuse(type, xtce_why(xtce, node, "%lld bits are more than 64", (long long)bits));
    if (bits % 8 == 0) {
        type->encoding = YD_DEF_BINARY;
        type->size.offset = bits / 8;
    }
    return true;
}

/* significance[p]: of the byte at place p of the packet, 0 the least. */
static void take_significances(struct xtce *xtce, const struct yd__xml *node, const int64_t *significance,
                               uint32_t count, struct yd_def_type *type)
{
    unsigned seen = 0;
    for (uint32_t p = 0; p < count; p++) {
        if (significance[p] < 0 || significance[p] >= count) break;
        seen |= 1u << significance[p];
        type->permutation[count - 1 - (uint32_t)significance[p]] = (uint8_t)p;
    }
    if (!count || count * 8 != type->bits || seen != (1u << count) - 1) {
        yd_def_error(xtce->diagnostics, YD_D_ORDER, node->place, "",
                     "a byte order names each byte of %u bits once, 0 the least significant", type->bits);
        return;
    }
    type->order = YD_DEF_PERMUTED;
}

static void take_order(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *type)
{
    struct yd_str order = xtce_attribute(node, "byteOrder"), bits = xtce_attribute(node, "bitOrder");
    const struct yd__xml *list = xtce_child(node, XT_ByteOrderList);
    int64_t significance[8];
    uint32_t count = 0;
    type->reversed = yd_str_eq(bits, YD_STR("leastSignificantBitFirst"));
    if (bits.size && !type->reversed && !yd_str_eq(bits, YD_STR("mostSignificantBitFirst")))
        refuse(type, xtce_why(xtce, node, "the bit order '%.*s'", (int)YD_MIN(bits.size, (size_t)60), bits.data));
    if (list) {
        for (const struct yd__xml *byte = list->first; byte; byte = byte->next) {
            if (count == 8) {
                refuse(type, xtce_why(xtce, list, "an order of more than eight bytes"));
                return;
            }
            if (!xtce_number(xtce, byte, xtce_attribute(byte, "byteSignificance"), &significance[count++])) return;
        }
        take_significances(xtce, list, significance, count, type);
    } else if (yd_str_eq(order, YD_STR("leastSignificantByteFirst"))) {
        type->order = YD_DEF_LITTLE;
        if (type->bits > 8 && type->bits % 8)
            refuse(type,
                   xtce_why(xtce, node, "%u bits are no whole bytes and have no little-endian order", type->bits));
    } else if (order.size && !yd_str_eq(order, YD_STR("mostSignificantByteFirst"))) {
        struct yd_str rest = order;
        while (rest.size) {
            size_t size = 0;
            while (size < rest.size && rest.data[size] != ',') size++;
            if (count == 8) {
                refuse(type, xtce_why(xtce, node, "an order of more than eight bytes"));
                return;
            }
            if (!xtce_number(xtce, node, (struct yd_str){rest.data, size}, &significance[count++])) return;
            size += size < rest.size;
            rest.data += size;
            rest.size -= size;
        }
        take_significances(xtce, node, significance, count, type);
    }
}

static void take_integer(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    static const struct {
        const char *word;
        enum yd_def_encoding encoding;
    } words[] = {
        {"", YD_DEF_UNSIGNED},           {"unsigned", YD_DEF_UNSIGNED},   {"signMagnitude", YD_DEF_SIGN_MAGNITUDE},
        {"twosComplement", YD_DEF_TWOS}, {"twosCompliment", YD_DEF_TWOS}, /* 1.0, 1.1 */
        {"onesComplement", YD_DEF_ONES}, {"onesCompliment", YD_DEF_ONES}, {"packedBCD", YD_DEF_BCD}};
    struct yd_str word = xtce_attribute(node, "encoding");
    struct yd_def_type *to = type->type;
    bool known = false;
    for (size_t i = 0; i < YD_COUNT(words); i++)
        if (yd_str_eq(word, yd_str_of(words[i].word))) {
            to->encoding = words[i].encoding;
            known = true;
        }
    if (!take_bits(xtce, node, 8, to)) return;
    if (!known) refuse(to, xtce_why(xtce, node, "the encoding '%.*s'", (int)YD_MIN(word.size, (size_t)60), word.data));
    if (to->bits == 1 && to->encoding != YD_DEF_UNSIGNED && to->encoding != YD_DEF_BCD)
        refuse(to, xtce_why(xtce, node, "a signed number of one bit"));
    if (to->bits <= 64) take_order(xtce, node, to);
    struct xtce_asks asks = asks_of(type);
    xtce_calibrators(xtce, &asks, node, to);
}

static void take_float(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    struct yd_str word = xtce_attribute(node, "encoding");
    struct yd_def_type *to = type->type;
    bool mil = yd_str_eq(word, YD_STR("MILSTD_1750A"));
    bool ieee = !word.size || yd_str_eq(word, YD_STR("IEEE754_1985")) || yd_str_eq(word, YD_STR("IEEE754"));
    if (!take_bits(xtce, node, 32, to)) return;
    if (to->bits > 64) return;
    to->encoding = mil ? YD_DEF_MIL1750A : YD_DEF_IEEE;
    bool size = mil ? to->bits == 32 || to->bits == 48 : to->bits == 16 || to->bits == 32 || to->bits == 64;
    if (!mil && !ieee)
        refuse(to, xtce_why(xtce, node, "the encoding '%.*s'", (int)YD_MIN(word.size, (size_t)60), word.data));
    else if (!size)
        refuse(to, xtce_why(xtce, node, "%u bits of %s", to->bits, mil ? "MIL-STD-1750A" : "IEEE 754"));
    take_order(xtce, node, to);
    struct xtce_asks asks = asks_of(type);
    xtce_calibrators(xtce, &asks, node, to);
}

/* Bits, as XTCE counts sizes, to bytes. */
static bool to_bytes(struct xtce *xtce, const struct yd__xml *node, struct yd_def_amount *amount, const char **ret_why)
{
    int64_t scale = amount->field.name.size ? (amount->scale ? amount->scale : 1) : 0;
    bool odd = false;
    for (struct yd_def_choice *choice = amount->choices; choice; choice = choice->next) {
        odd |= choice->value % 8 != 0 || choice->value < 0;
        choice->value /= 8;
    }
    if (scale % 8 || amount->offset % 8 || odd) {
        *ret_why = xtce_why(xtce, node, "a size that is not of whole bytes");
        return false;
    }
    amount->scale = scale / 8;
    amount->offset /= 8;
    if (amount->field.name.size && amount->scale == 0) {
        *ret_why = xtce_why(xtce, node, "a size that does not depend on its field");
        return false;
    }
    if (!yd_def_is_told(amount) && (amount->offset < 1 || amount->offset > INT32_MAX / 8)) {
        *ret_why = xtce_why(xtce, node, "a size of %lld bytes", (long long)amount->offset);
        return false;
    }
    return true;
}

static void take_size(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    const char *why = NULL;
    struct xtce_asks asks = asks_of(type);
    if (!xtce_amount(xtce, &asks, node, &type->type->size, &why) || !to_bytes(xtce, node, &type->type->size, &why))
        refuse(type->type, why);
}

static void take_terminator(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *to)
{
    struct yd_str hex = node->text.size ? node->text : YD_STR("00");
    uint32_t value = 0;
    bool good = hex.size == 2 || hex.size == 4;
    for (size_t i = 0; good && i < hex.size; i++) {
        int c = hex.data[i] | 0x20;
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        good = digit || letter;
        value = value << 4 | (uint32_t)(digit ? c - '0' : c - 'a' + 10);
    }
    if (!good) {
        refuse(to, xtce_why(xtce, node, "a terminator is one byte or two in hex"));
        return;
    }
    to->extent = YD_DEF_TERMINATED;
    to->terminator_size = (uint8_t)(hex.size / 2);
    to->terminator[0] = (uint8_t)(hex.size == 4 ? value >> 8 : value);
    to->terminator[1] = (uint8_t)value;
}

static void take_leading(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *to)
{
    struct yd_str text = xtce_attribute(node, "sizeInBitsOfSizeTag");
    int64_t bits = 16;
    if (text.size && !xtce_number(xtce, node, text, &bits)) return;
    if (bits != 8 && bits != 16 && bits != 32) {
        refuse(to, xtce_why(xtce, node, "a size tag of %lld bits, not 8, 16 or 32", (long long)bits));
        return;
    }
    to->extent = YD_DEF_PREFIXED;
    to->prefix_bits = (uint32_t)bits;
}

static void take_charset(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *to)
{
    static const struct {
        const char *word;
        enum yd_def_charset charset;
    } words[] = {{"", YD_DEF_UTF8},
                 {"UTF-8", YD_DEF_UTF8},
                 {"US-ASCII", YD_DEF_ASCII},
                 {"ISO-8859-1", YD_DEF_LATIN1},
                 {"UTF-16BE", YD_DEF_UTF16BE},
                 {"UTF-16LE", YD_DEF_UTF16LE}};
    struct yd_str word = xtce_attribute(node, "encoding");
    for (size_t i = 0; i < YD_COUNT(words); i++)
        if (yd_str_eq(word, yd_str_of(words[i].word))) {
            to->charset = words[i].charset;
            return;
        }
    refuse(to, xtce_why(xtce, node, "the charset '%.*s'", (int)YD_MIN(word.size, (size_t)60), word.data));
}

static void take_string(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    struct yd_def_type *to = type->type;
    to->encoding = YD_DEF_STRING;
    take_charset(xtce, node, to);
    bool sized = false;
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        bool variable = child->tag == XT_Variable;
        if (child->foreign || (child->tag != XT_SizeInBits && !variable)) {
            if (!xtce_is_aside(xtce, child)) refuse(to, xtce_why(xtce, child, "a text that is told this way"));
            continue;
        }
        const struct yd__xml *fixed = xtce_child(child, XT_Fixed), *end = xtce_child(child, XT_TerminationChar),
                             *leading = xtce_child(child, XT_LeadingSize);
        struct yd_str max = xtce_attribute(child, "maxSizeInBits");
        int64_t most;
        sized = true;
        if (leading) {
            take_leading(xtce, leading, to);
        } else if (fixed) {
            take_size(xtce, type, fixed); /* a terminator inside of it: trailing zeros go in any case */
            if (end && !yd_str_eq(end->text, YD_STR("00")) && end->text.size)
                refuse(to, xtce_why(xtce, end, "a terminator in a text of fixed size"));
        } else if (end && !xtce_child(child, XT_DynamicValue) && !xtce_child(child, XT_DiscreteLookupList)) {
            take_terminator(xtce, end, to);
        } else {
            take_size(xtce, type, child);
        }
        if (max.size && xtce_number(xtce, child, max, &most)) to->size.max = (uint64_t)YD_MAX(most / 8, INT64_C(1));
    }
    if (!sized) refuse(to, xtce_why(xtce, node, "a text without size"));
}

static void take_binary(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    const struct yd__xml *size = xtce_child(node, XT_SizeInBits);
    const struct yd__xml *algorithm = xtce_child(node, XT_FromBinaryTransformAlgorithm);
    type->type->encoding = YD_DEF_BINARY;
    if (size)
        take_size(xtce, type, size);
    else
        refuse(type->type, xtce_why(xtce, node, "bytes without size"));
    if (algorithm) refuse(type->type, xtce_why(xtce, algorithm, "bytes that a program turns into something else"));
    take_order(xtce, node, type->type);
    if (type->type->order == YD_DEF_LITTLE || type->type->reversed)
        refuse(type->type, xtce_why(xtce, node, "bytes in another order"));
}

static bool take_encoding(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    bool number = node->tag == XT_IntegerDataEncoding || node->tag == XT_FloatDataEncoding,
         text = node->tag == XT_StringDataEncoding, bytes = node->tag == XT_BinaryDataEncoding;
    if (!number && !text && !bytes) return false;
    struct yd_def_type *to = type->type;
    /* What a base type said about bits does not count any more. */
    to->unsupported = NULL;
    to->calibrations = to->calibrations_last = NULL;
    to->order = YD_DEF_NATURAL;
    to->size = (struct yd_def_amount){0};
    to->extent = YD_DEF_FIXED;
    if (node->tag == XT_IntegerDataEncoding)
        take_integer(xtce, type, node);
    else if (number)
        take_float(xtce, type, node);
    else if (text)
        take_string(xtce, type, node);
    else
        take_binary(xtce, type, node);
    return true;
}

/* ---- what types add ---- */

static void take_units(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *to)
{
    struct yd_buf unit;
    yd_buf_init(&unit, xtce->arena.alloc);
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        if (child->tag != XT_Unit) continue;
        struct yd_str power = xtce_attribute(child, "power");
        struct yd_str text = child->text.size ? child->text : xtce_attribute(child, "description");
        if (!text.size) continue;
        if (unit.size) yd_buf_char(&unit, ' ');
        yd_buf_str(&unit, text);
        if (power.size && !yd_str_eq(power, YD_STR("1"))) yd_buf_printf(&unit, "^%.*s", YD_STR_FMT(power));
    }
    if (unit.size) to->unit = yd_def_text(xtce->def, yd_buf_view(&unit));
    yd_buf_fini(&unit);
}

static void take_labels(struct xtce *xtce, const struct yd__xml *list, struct yd_def_type *to)
{
    to->labels = to->labels_last = NULL;
    for (const struct yd__xml *item = list->first; item; item = item->next) {
        struct yd_str max = xtce_attribute(item, "maxValue"), label = xtce_attribute(item, "label");
        int64_t first, last;
        if (item->tag != XT_Enumeration) {
            (void)xtce_is_aside(xtce, item);
            continue;
        }
        if (!xtce_number(xtce, item, xtce_attribute(item, "value"), &first)) continue;
        last = first;
        if (max.size && !xtce_number(xtce, item, max, &last)) continue;
        xtce_check(xtce, yd_def_label(xtce->def, to, first, last, label, item->place));
    }
}

static void take_valid(struct xtce *xtce, const struct yd__xml *node, struct yd_def_type *to)
{
    static const char *const names[] = {"minInclusive", "minExclusive", "maxInclusive", "maxExclusive"};
    double low = -INFINITY, high = INFINITY, value;
    bool any = false;
    /* The default is true in the schema of 1.2 (20180204), false in those before it. */
    to->valid_raw = !xtce_flag(xtce, node, "validRangeAppliesToCalibrated", !xtce->is_older);
    for (unsigned i = 0; i < YD_COUNT(names); i++) {
        struct yd_str text = xtce_attribute(node, names[i]);
        if (!text.size || !xtce_real(xtce, node, text, &value)) continue;
        any = true;
        if (i < 2)
            low = i == 1 ? nextafter(value, INFINITY) : value;
        else
            high = i == 3 ? nextafter(value, -INFINITY) : value;
    }
    to->has_valid = any;
    to->valid_min = low;
    to->valid_max = high;
}

/* ---- times ---- */

/* ns that a unit of `scale` is worth; 0: it is no whole number of them. */
static int64_t tick_of(struct yd_str units, double scale)
{
    double ns = !units.size || yd_str_eq(units, YD_STR("seconds")) ? 1e9
                : yd_str_eq(units, YD_STR("picoSeconds"))          ? 1e-3
                : yd_str_eq(units, YD_STR("minutes"))              ? 60e9
                : yd_str_eq(units, YD_STR("hours"))                ? 3600e9
                : yd_str_eq(units, YD_STR("days"))                 ? 86400e9
                                                                   : NAN;
    double tick = ns * scale, whole = round(tick);
    return whole >= 1 && whole < 9e18 && fabs(tick - whole) <= whole * 1e-12 ? (int64_t)whole : 0;
}

static bool take_epoch(const struct yd__xml *reference, struct yd_def_type *to)
{
    static const struct {
        const char *word;
        enum yd_def_epoch epoch;
    } words[] = {{"TAI", YD_DEF_EPOCH_TAI},
                 {"J2000", YD_DEF_EPOCH_J2000},
                 {"UNIX", YD_DEF_EPOCH_UNIX},
                 {"POSIX", YD_DEF_EPOCH_UNIX},
                 {"GPS", YD_DEF_EPOCH_GPS}};
    const struct yd__xml *epoch = reference ? xtce_child(reference, XT_Epoch) : NULL;
    if (!epoch) return false;
    for (size_t i = 0; i < YD_COUNT(words); i++)
        if (yd_str_eq(epoch->text, yd_str_of(words[i].word))) return to->epoch = words[i].epoch, true;
    if (yd_text_time(epoch->text, &to->epoch_ns) < 0) return false;
    to->epoch = YD_DEF_EPOCH_DATE;
    return true;
}

static void take_time(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    struct yd_def_type *to = type->type;
    const struct yd__xml *encoding = xtce_child(node, XT_Encoding);
    bool absolute = node->tag == XT_AbsoluteTimeParameterType;
    double scale = 1, offset = 0;
    struct yd_str units = YD_STR("");
    if (encoding) {
        struct yd_str text = xtce_attribute(encoding, "scale");
        units = xtce_attribute(encoding, "units");
        if (text.size && !xtce_real(xtce, encoding, text, &scale)) return;
        text = xtce_attribute(encoding, "offset");
        if (text.size && !xtce_real(xtce, encoding, text, &offset)) return;
        for (const struct yd__xml *child = encoding->first; child; child = child->next)
            if (!take_encoding(xtce, type, child)) (void)xtce_is_aside(xtce, child);
    }
    if (to->unsupported || !encoding) return;
    if (to->encoding >= YD_DEF_STRING || to->calibrations) {
        refuse(to, xtce_why(xtce, encoding, "a time that is no plain number"));
        return;
    }
    int64_t tick = tick_of(units, scale);
    if (absolute) {
        bool whole = tick && fabs(offset) * (double)tick / scale < 9e18;
        if (!take_epoch(xtce_child(node, XT_ReferenceTime), to))
            refuse(to, xtce_why(xtce, node, "an absolute time whose epoch is not TAI, J2000, UNIX, GPS or a date"));
        else if (!whole)
            refuse(to, xtce_why(xtce, encoding, "a time that does not count whole nanoseconds"));
        else if (offset != 0 && to->epoch != YD_DEF_EPOCH_UNIX && to->epoch != YD_DEF_EPOCH_DATE)
            refuse(to, xtce_why(xtce, encoding, "an offset to an epoch that counts leap seconds"));
        if (offset != 0 && !to->unsupported) {
            to->epoch = YD_DEF_EPOCH_DATE; /* what is counted begins so much later */
            if (__builtin_add_overflow(to->epoch_ns, (int64_t)(offset * ((double)tick / scale)), &to->epoch_ns))
                refuse(to, xtce_why(xtce, encoding, "an epoch out of range"));
        }
        to->tick_ns = tick;
        return;
    }
    if (!to->unit.size) to->unit = yd_def_text(xtce->def, units.size ? units : YD_STR("seconds"));
    if (scale == 1 && offset == 0) return;
    struct yd_def_calibration *made = yd_def_calibration(xtce->def, to, YD_DEF_POLYNOMIAL, 2, 0, encoding->place);
    xtce_check(xtce, made);
    made->a[0] = offset;
    made->a[1] = scale;
}

/* ---- arrays and aggregates ---- */

static struct xtce_type *type_of(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node,
                                 const char *attribute)
{
    struct yd_str name = xtce_attribute(node, attribute);
    struct xtce_type *found = name.size ? xtce_resolve(xtce, XTCE_TYPE, type->system, name, NULL) : NULL;
    if (!found) {
        yd_def_error(xtce->diagnostics, YD_D_TYPE, node->place, "", "there is no type '%.*s'", YD_STR_FMT(name));
        return NULL;
    }
    return xtce_type(xtce, found);
}

static void share(struct xtce *xtce, struct xtce_type *from, struct xtce_type *to)
{
    for (const struct xtce_uses *use = from->uses; use; use = use->next) {
        struct xtce_uses *copy = xtce_piece(xtce, sizeof *copy);
        *copy = (struct xtce_uses){to->uses, use->parameter};
        to->uses = copy;
    }
}

/* The first and the last index of a dimension as how many there are. */
static bool take_dimension(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                           struct yd_def_amount *to, const char **ret_why)
{
    const struct yd__xml *first = xtce_child(node, XT_StartingIndex), *last = xtce_child(node, XT_EndingIndex);
    struct yd_def_amount from = {0};
    if (first && !xtce_amount(xtce, asks, first, &from, ret_why)) return false;
    if (!last || yd_def_is_told(&from)) {
        *ret_why = xtce_why(xtce, node, "a dimension without a fixed first and a last index");
        return false;
    }
    if (!xtce_amount(xtce, asks, last, to, ret_why)) return false;
    if (__builtin_add_overflow(to->offset, 1, &to->offset) ||
        __builtin_sub_overflow(to->offset, from.offset, &to->offset) ||
        (!yd_def_is_told(to) && (to->offset < 0 || to->offset > INT32_MAX))) {
        *ret_why = xtce_why(xtce, node, "a dimension that cannot be");
        return false;
    }
    return true;
}

static void take_array(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    const struct yd__xml *list = xtce_child(node, XT_DimensionList);
    struct xtce_type *of = type_of(xtce, type, node, "arrayTypeRef");
    struct xtce_asks asks = asks_of(type);
    const char *why = NULL;
    if (!of) return;
    type->type = of->type;
    share(xtce, of, type);
    type->limits = of->limits;
    type->limits_last = of->limits_last;
    if (of->dimensions) why = xtce_why(xtce, node, "an array of arrays");
    for (const struct yd__xml *item = list ? list->first : NULL; item && !why; item = item->next) {
        if (item->tag != XT_Dimension) continue;
        if (type->dimensions == 2)
            why = xtce_why(xtce, list, "more than two dimensions");
        else if (take_dimension(xtce, &asks, item, &type->dimension[type->dimensions], &why))
            type->dimensions++;
    }
    if (!why) return;
    type->type = yd_def_type_copy(xtce->def, of->type, node->place);
    xtce_check(xtce, type->type);
    type->type->bits = 0; /* how large it is in all is not known */
    type->type->unsupported = why;
    if (type->type->encoding < YD_DEF_STRING || type->type->encoding == YD_DEF_GROUP)
        type->type->encoding = YD_DEF_BINARY;
    type->type->extent = YD_DEF_REST;
}

static void take_members(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *list)
{
    struct yd_def_type *to = type->type;
    to->encoding = YD_DEF_GROUP;
    to->entries = (struct yd_def_entries){0};
    for (const struct yd__xml *item = list->first; item; item = item->next) {
        if (item->tag != XT_Member) {
            (void)xtce_is_aside(xtce, item);
            continue;
        }
        struct xtce_type *of = type_of(xtce, type, item, "typeRef");
        if (!of || !of->type) continue;
        struct yd_str name = xtce_attribute(item, "name");
        struct xtce_named *named = xtce_find(xtce, XTCE_HAS, type, name, true);
        if (named->what || !name.size) {
            yd_def_error(xtce->diagnostics, YD_D_DUPLICATE, item->place, "", "a member needs a name of its own");
            continue;
        }
        /* Letters that the model does not have become _, as everywhere. */
        char *word = yd_arena_cstr(&xtce->arena, name);
        xtce_check(xtce, word);
        for (char *c = word; *c; c++)
            if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9' && c != word)))
                *c = '_';
        struct yd_def_entry *entry = yd_def_entry(xtce->def, &to->entries, yd_str_of(word), item->place);
        xtce_check(xtce, entry);
        named->what = entry;
        entry->type = of->type;
        entry->dimensions = of->dimensions;
        memcpy(entry->dimension, of->dimension, sizeof entry->dimension);
        share(xtce, of, type);
    }
    if (!to->entries.first)
        yd_def_error(xtce->diagnostics, YD_D_EMPTY, type->node->place, "", "an aggregate without members");
}

/* ---- a type ---- */

static void take_child(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *child, bool *encoded)
{
    if (take_encoding(xtce, type, child)) {
        *encoded = true;
        return;
    }
    switch ((enum xtce_tag)child->tag) {
    case XT_UnitSet:
        take_units(xtce, child, type->type);
        break;
    case XT_EnumerationList:
        take_labels(xtce, child, type->type);
        break;
    case XT_ValidRange:
    case XT_DefaultAlarm:
    case XT_ContextAlarmList: /* when the rest is known */
    case XT_Encoding:
    case XT_ReferenceTime:
        break;
    case XT_MemberList:
        take_members(xtce, type, child);
        *encoded = true;
        break;
    default:
        (void)xtce_is_aside(xtce, child);
    }
}

static void check_kind(struct xtce *xtce, struct xtce_type *type, const struct yd__xml *node)
{
    struct yd_def_type *to = type->type;
    bool integer = to->encoding < YD_DEF_IEEE, number = to->encoding < YD_DEF_STRING;
    const char *told = NULL;
    switch ((enum xtce_tag)node->tag) {
    case XT_EnumeratedParameterType:
        told = integer && !to->calibrations ? NULL : "an enumeration that is no plain integer";
        if (!told && !to->labels)
            yd_def_error(xtce->diagnostics, YD_D_EMPTY, node->place, "", "an enumeration without labels");
        break;
    case XT_BooleanParameterType:
        told = to->encoding == YD_DEF_UNSIGNED && !to->calibrations ? NULL : "a boolean that is no unsigned integer";
        to->boolean = !told;
        break;
    case XT_IntegerParameterType:
    case XT_FloatParameterType:
        told = number ? NULL : "a number that is written as text or bytes";
        break;
    case XT_StringParameterType:
        told = to->encoding == YD_DEF_STRING ? NULL : "a text that is a number or bytes";
        break;
    case XT_BinaryParameterType:
        told = to->encoding == YD_DEF_BINARY ? NULL : "bytes that are a number or text";
        break;
    default:
        break;
    }
    if (told) refuse(to, xtce_why(xtce, node, "%s", told));
}

static void read_type(struct xtce *xtce, struct xtce_type *type)
{
    const struct yd__xml *node = type->node;
    struct yd_str name = xtce_attribute(node, "name");
    bool encoded = false;
    type->one = YD_STR("True");
    type->zero = YD_STR("False");
    if (node->tag == XT_ArrayParameterType) {
        take_array(xtce, type, node);
        return;
    }
    if (xtce_attribute(node, "baseType").size) {
        struct xtce_type *base = type_of(xtce, type, node, "baseType");
        if (!base || !base->type) return;
        type->type = yd_def_type_copy(xtce->def, base->type, node->place);
        type->uses = base->uses;
        type->limits = base->limits;
        type->limits_last = base->limits_last;
        type->one = base->one;
        type->zero = base->zero;
        encoded = true;
    } else {
        type->type = yd_def_type(xtce->def, YD_STR(""), node->place);
    }
    xtce_check(xtce, type->type);
    struct yd_str one = xtce_attribute(node, "oneStringValue"), zero = xtce_attribute(node, "zeroStringValue"),
                  doc = xtce_attribute(node, "shortDescription");
    if (one.size) type->one = one;
    if (zero.size) type->zero = zero;
    if (doc.size) type->type->doc = yd_def_text(xtce->def, doc);
    for (const struct yd__xml *child = node->first; child; child = child->next) take_child(xtce, type, child, &encoded);
    if (node->tag == XT_AbsoluteTimeParameterType || node->tag == XT_RelativeTimeParameterType) {
        take_time(xtce, type, node);
        encoded |= xtce_child(node, XT_Encoding) != NULL;
    }
    const struct yd__xml *valid = xtce_child(node, XT_ValidRange);
    if (valid) take_valid(xtce, valid, type->type);
    if (!encoded) {
        refuse(type->type,
               xtce_why(xtce, node, "'%.*s' has no encoding", (int)YD_MIN(name.size, (size_t)80), name.data));
        type->type->encoding = YD_DEF_BINARY;
        type->type->extent = YD_DEF_REST;
    } else if (type->type->encoding != YD_DEF_GROUP) {
        check_kind(xtce, type, node);
    }
    xtce_alarms(xtce, type);
}

struct xtce_type *xtce_type(struct xtce *xtce, struct xtce_type *type)
{
    if (type->state == XTCE_DONE) return type->type ? type : NULL;
    if (type->state == XTCE_BEGUN || xtce->depth == TYPES_DEEP) {
        yd_def_error(xtce->diagnostics, YD_D_RING, type->node->place, "", "this type is made of itself in the end");
        return NULL;
    }
    type->state = XTCE_BEGUN;
    xtce->depth++;
    read_type(xtce, type);
    xtce->depth--;
    type->state = XTCE_DONE;
    return type->type ? type : NULL;
}
