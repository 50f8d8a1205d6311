/* Types and options of a `.ydm` text: all that stands behind a field's name.
 *
 *   TYPE  = u12 i16le f32 bool text(16) bytes(n) cuc(4, 2) group … | a declared one,   then [dimensions]
 *   OPTION = at … | scale … | unit … | { 0 SAFE, 1 ARMED } | …,   in any order */
#include <math.h>

#include "base/text.h"
#include "decom/ydm_internal.h"

/* ---- the type's word ---- */

static const struct shape {
    const char *word; /* in front of a number of bits; or alone */
    enum yd_def_encoding encoding;
    bool boolean;
    uint32_t bits; /* when no number follows; 0: one must */
} shapes[] = {
    {"u", YD_DEF_UNSIGNED, false, 0},
    {"i", YD_DEF_TWOS, false, 0},
    {"f", YD_DEF_IEEE, false, 0},
    {"bool", YD_DEF_UNSIGNED, true, 1},
    {"ones", YD_DEF_ONES, false, 0},
    {"sign", YD_DEF_SIGN_MAGNITUDE, false, 0},
    {"bias", YD_DEF_OFFSET_BINARY, false, 0},
    {"bcd", YD_DEF_BCD, false, 0},
    {"gray", YD_DEF_GRAY, false, 0},
    {"mil", YD_DEF_MIL1750A, false, 0},
};

/* "u16le" and its like; false (nothing said): it is none of these. */
static bool number_type(struct yd_str word, struct yd_def_type *type)
{
    enum yd_def_order order = YD_DEF_NATURAL;
    if (word.size > 2 && word.data[word.size - 1] == 'e' &&
        (word.data[word.size - 2] == 'l' || word.data[word.size - 2] == 'b') && word.data[0] != 't') {
        order = word.data[word.size - 2] == 'l' ? YD_DEF_LITTLE : YD_DEF_BIG;
        word.size -= 2;
    }
    size_t letters = 0;
    while (letters < word.size && (word.data[letters] < '0' || word.data[letters] > '9')) letters++;
    struct yd_str digits = {word.data + letters, word.size - letters};
    uint64_t bits = 0;
    if (digits.size && (digits.size > 4 || yd_text_u64(digits, &bits) < 0)) return false;
    for (size_t i = 0; i < YD_COUNT(shapes); i++) {
        if (!yd_str_eq((struct yd_str){word.data, letters}, yd_str_of(shapes[i].word))) continue;
        if (!digits.size && !shapes[i].bits) return false;
        type->encoding = shapes[i].encoding;
        type->boolean = shapes[i].boolean;
        type->bits = digits.size ? (uint32_t)bits : shapes[i].bits;
        if (order != YD_DEF_NATURAL) type->order = order;
        return true;
    }
    return false;
}

bool yd__ydm_amount(struct yd__ydm *ydm, struct yd_def_amount *amount)
{
    *amount = (struct yd_def_amount){0};
    uint64_t number;
    if (ydm->at->kind == YDM_INT) {
        if (!yd__ydm_u64(ydm, "a number", INT32_MAX, &number)) return false;
        amount->offset = (int64_t)number;
        if (yd__ydm_skip_mark(ydm, '*')) {
            amount->scale = (int64_t)number;
            amount->offset = 0;
            amount->field.place = ydm->at->place;
            if (!yd__ydm_word(ydm, "a field", &amount->field.name)) return false;
        }
    } else {
        amount->field.place = ydm->at->place;
        amount->scale = 1;
        if (!yd__ydm_word(ydm, "a number or a field that tells it", &amount->field.name)) return false;
        if (yd__ydm_skip_mark(ydm, '*')) {
            if (!yd__ydm_u64(ydm, "a number", INT32_MAX, &number)) return false;
            amount->scale = (int64_t)number;
        }
    }
    if (!amount->field.name.size) return true;
    amount->field.name = yd_def_text(ydm->def, amount->field.name);
    bool minus = yd__ydm_is_mark(ydm, '-');
    if (minus || yd__ydm_is_mark(ydm, '+')) {
        ydm->at++;
        if (!yd__ydm_u64(ydm, "a number", INT32_MAX, &number)) return false;
        amount->offset = minus ? -(int64_t)number : (int64_t)number;
    }
    return true;
}

static bool take_max(struct yd__ydm *ydm, struct yd_def_amount *amount)
{
    (void)yd__ydm_skip_mark(ydm, ',');
    if (!yd__ydm_skip_word(ydm, "max")) return true;
    return yd__ydm_u64(ydm, "the most there can be", UINT32_MAX, &amount->max);
}

/* text(16)  text(n - 1, max 64)  text(until 0)  text(prefix u16le)  text(rest) */
static bool take_extent(struct yd__ydm *ydm, struct yd_def_type *type)
{
    if (!yd__ydm_expect(ydm, '(', "'(' and how long it is: (16), (until 0), (prefix u8), (rest)")) return false;
    if (yd__ydm_skip_word(ydm, "rest")) {
        type->extent = YD_DEF_REST;
    } else if (yd__ydm_skip_word(ydm, "until")) {
        uint64_t terminator;
        struct yd_place place = ydm->at->place;
        const struct yd__ydm_token *token = ydm->at;
        if (token->kind == YDM_STRING && (token->text.size == 1 || token->text.size == 2)) {
            memcpy(type->terminator, token->text.data, token->text.size);
            type->terminator_size = (uint8_t)token->text.size;
            ydm->at++;
        } else {
            if (!yd__ydm_u64(ydm, "the byte that ends it, as 0 or \"\\n\"", 0xffff, &terminator)) return false;
            bool two = terminator > 0xff || (token->text.size > 4 && place.line);
            type->terminator[0] = (uint8_t)(two ? terminator >> 8 : terminator);
            type->terminator[1] = (uint8_t)terminator;
            type->terminator_size = two ? 2 : 1;
        }
        type->extent = YD_DEF_TERMINATED;
    } else if (yd__ydm_skip_word(ydm, "prefix")) {
        struct yd_str word;
        struct yd_def_type prefix = {.order = type->order};
        struct yd_place place = ydm->at->place;
        if (!yd__ydm_word(ydm, "the type of the size: u8, u16 or u32", &word)) return false;
        if (!number_type(word, &prefix) || prefix.encoding != YD_DEF_UNSIGNED ||
            (prefix.bits != 8 && prefix.bits != 16 && prefix.bits != 32)) {
            yd_def_error(ydm->diagnostics, YD_D_SIZE, place, "",
                         "a size in front is a u8, u16 or u32 (perhaps with le)");
            return false;
        }
        type->prefix_bits = prefix.bits;
        type->order = prefix.order;
        type->extent = YD_DEF_PREFIXED;
    } else {
        if (!yd__ydm_amount(ydm, &type->size)) return false;
    }
    return take_max(ydm, &type->size) && yd__ydm_expect(ydm, ')', "')'");
}

static bool take_time_sizes(struct yd__ydm *ydm, struct yd_def_type *type)
{
    uint64_t coarse, fine = 0;
    if (!yd__ydm_expect(ydm, '(', "'(' and how many bytes")) return false;
    if (!yd__ydm_u64(ydm, "how many bytes", 8, &coarse)) return false;
    if (yd__ydm_skip_mark(ydm, ',') && !yd__ydm_u64(ydm, "how many bytes", 10, &fine)) return false;
    type->coarse = (uint8_t)coarse;
    type->fine = (uint8_t)fine;
    return yd__ydm_expect(ydm, ')', "')'");
}

static bool take_dimensions(struct yd__ydm *ydm, struct yd_def_entry *entry)
{
    while (yd__ydm_is_mark(ydm, '[')) {
        struct yd_place place = (ydm->at++)->place;
        if (!entry)
            return yd_def_error(ydm->diagnostics, YD_D_OPTION, place, "",
                                "a type is of one value: the field says how many");
        if (entry->dimensions == 2)
            return yd_def_error(ydm->diagnostics, YD_D_LIMIT, place, "", "an array has at most two dimensions");
        if (entry->dimensions == 0 && yd__ydm_skip_mark(ydm, '*')) {
            entry->to_end = true;
            entry->dimension[0].max = 0;
        } else if (!yd__ydm_amount(ydm, &entry->dimension[entry->dimensions])) {
            return false;
        }
        if (!take_max(ydm, &entry->dimension[entry->dimensions])) return false;
        entry->dimensions++;
        if (!yd__ydm_expect(ydm, ']', "']'")) return false;
    }
    return true;
}

bool yd__ydm_type(struct yd__ydm *ydm, struct yd__ydm_options *options)
{
    struct yd_str word;
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_word(ydm, "a type: u16, i8, f32, bool, text(8), …", &word)) return false;
    const struct yd_def_type *named = yd_def_find_type(ydm->def, word);
    struct yd_def_type *type =
        named ? yd_def_type_copy(ydm->def, named, place) : yd_def_type(ydm->def, YD_STR(""), place);
    if (!type) return false;
    options->type = type;
    if (options->entry) options->entry->type = type;
    if (named) return take_dimensions(ydm, options->entry);
    type->order = ydm->order;
    type->numbering = ydm->numbering;
    bool good = true;
    if (yd_str_eq(word, YD_STR("text")) || yd_str_eq(word, YD_STR("bytes"))) {
        type->encoding = word.data[0] == 't' ? YD_DEF_STRING : YD_DEF_BINARY;
        good = take_extent(ydm, type);
    } else if (yd_str_eq(word, YD_STR("cuc")) || yd_str_eq(word, YD_STR("cds"))) {
        type->encoding = word.data[1] == 'u' ? YD_DEF_CUC : YD_DEF_CDS;
        good = take_time_sizes(ydm, type);
    } else if (yd_str_eq(word, YD_STR("group"))) {
        type->encoding = YD_DEF_GROUP;
    } else if (!number_type(word, type)) {
        yd_def_error(ydm->diagnostics, YD_D_TYPE, place, "", "there is no type '%.*s'", YD_STR_FMT(word));
        static const char *const built_in[] = {
            "u8",   "u16",   "u32", "u64", "i8",    "i16",    "i32",    "i64",    "f16",   "f32",    "f64",   "bool",
            "text", "bytes", "cuc", "cds", "group", "ones16", "sign16", "bias16", "bcd16", "gray16", "mil32", "mil48"};
        struct yd_nearest nearest;
        yd_nearest_init(&nearest, word);
        for (size_t i = 0; i < YD_COUNT(built_in); i++) yd_nearest_add(&nearest, yd_str_of(built_in[i]));
        for (const struct yd_def_type *other = ydm->def->types; other; other = other->next)
            yd_nearest_add(&nearest, other->name);
        yd_nearest_help(
            &nearest, ydm->diagnostics,
            "numbers are u, i, f, bool, ones, sign, bias, bcd, gray, mil with their bits; then text, bytes, "
            "cuc, cds, group and what `type` declares above");
        return false;
    }
    return good && take_dimensions(ydm, options->entry);
}

/* ---- options ---- */

/* at 4   at 4 bit 3   at bit 35   at end - 2   at + 1   at - 2 */
static bool take_at(struct yd__ydm *ydm, struct yd__ydm_options *options)
{
    struct yd_def_entry *entry = options->entry;
    uint64_t bytes = 0, bit = 0;
    bool minus = false, any = false;
    entry->from = YD_DEF_START;
    if (yd__ydm_skip_word(ydm, "end")) {
        entry->from = YD_DEF_END;
        if (!yd__ydm_expect(ydm, '-', "'-' and how many bytes before the end")) return false;
        minus = true;
    } else if (yd__ydm_is_mark(ydm, '+') || yd__ydm_is_mark(ydm, '-')) {
        minus = yd__ydm_is_mark(ydm, '-');
        ydm->at++;
        entry->from = YD_DEF_PREVIOUS;
    }
    if (ydm->at->kind == YDM_INT && yd__ydm_more(ydm)) {
        if (!yd__ydm_u64(ydm, "a byte", UINT32_MAX, &bytes)) return false;
        any = true;
    }
    if (yd__ydm_skip_word(ydm, "bit")) {
        if (!yd__ydm_u64(ydm, "a bit", any ? 7 : UINT32_MAX, &bit)) return false;
        any = true;
    }
    if (!any) return yd__ydm_unexpected(ydm, "a byte (from 0), or bit and a number");
    int64_t offset = (int64_t)(bytes * 8 + bit);
    /* "end - 2 bit 3": two bytes before the end, there bit 3. */
    if (minus) offset = entry->from == YD_DEF_END ? (int64_t)bit - (int64_t)bytes * 8 : -offset;
    entry->offset_bits = offset;
    return true;
}

static bool take_order(struct yd__ydm *ydm, struct yd_def_type *type)
{
    struct yd_place place = ydm->at->place;
    if (!yd__ydm_expect(ydm, '(', "'(' and the bytes' places, the most significant first: order(2, 1, 4, 3)"))
        return false;
    unsigned count = 0, seen = 0;
    do {
        uint64_t byte;
        if (count == 8)
            return yd_def_error(ydm->diagnostics, YD_D_ORDER, place, "", "at most eight bytes have an order");
        if (!yd__ydm_u64(ydm, "the place of a byte, from 1", 8, &byte)) return false;
        if (byte == 0 || (seen & (1u << byte)))
            return yd_def_error(ydm->diagnostics, YD_D_ORDER, ydm->at[-1].place, "",
                                "an order names each byte once, counted from 1");
        seen |= 1u << byte;
        type->permutation[count++] = (uint8_t)(byte - 1);
        (void)yd__ydm_skip_mark(ydm, ',');
    } while (!yd__ydm_is_mark(ydm, ')') && yd__ydm_more(ydm));
    if (count * 8 != type->bits || seen != ((1u << count) - 1) << 1)
        return yd_def_error(ydm->diagnostics, YD_D_ORDER, place, "",
                            "%u bits are bytes 1 to %u: the order names %u of them", type->bits, type->bits / 8, count);
    type->order = YD_DEF_PERMUTED;
    return yd__ydm_expect(ydm, ')', "')'");
}

#define LIST_MAX 4096
/* Numbers up to `end`, perhaps with commas. */
static bool take_numbers(struct yd__ydm *ydm, unsigned end, double *to, uint32_t *ret_count)
{
    uint32_t count = 0;
    while (!yd__ydm_is_mark(ydm, end) && yd__ydm_more(ydm)) {
        if (count == LIST_MAX)
            return yd_def_error(ydm->diagnostics, YD_D_LIMIT, ydm->at->place, "", "more than %d numbers", LIST_MAX);
        if (!yd__ydm_f64(ydm, "a number", &to[count])) return false;
        count++;
        (void)yd__ydm_skip_mark(ydm, ',');
    }
    *ret_count = count;
    return yd__ydm_expect(ydm, end, end == '/' ? "'/'" : "')'");
}

static bool take_calibrator(struct yd__ydm *ydm, struct yd__ydm_options *options, enum yd_def_calibrator kind)
{
    struct yd_place place = ydm->at[-1].place;
    struct yd_def *def = ydm->def;
    if (!yd__ydm_expect(ydm, '(', "'('")) return false;
    struct yd_def_calibration *made = NULL;
    if (kind == YD_DEF_EXPRESSION) {
        uint32_t first = ydm->at->first, depth = 0;
        struct yd_place begins = ydm->at->place;
        for (; yd__ydm_more(ydm); ydm->at++) {
            if (yd__ydm_is_mark(ydm, '(')) depth++;
            if (yd__ydm_is_mark(ydm, ')') && depth-- == 0) break;
        }
        struct yd_str text = {ydm->text.data + first, ydm->at->first - first};
        if (!yd__ydm_expect(ydm, ')', "')'")) return false;
        if (!(made = yd_def_calibration(def, options->type, kind, 0, 0, begins))) return false;
        made->text = yd_def_text(def, text);
    } else {
        static _Thread_local double a[LIST_MAX], b[LIST_MAX];
        uint32_t a_count, b_count = 0;
        if (!take_numbers(ydm, kind == YD_DEF_RATIONAL ? '/' : ')', a, &a_count)) return false;
        if (kind == YD_DEF_RATIONAL && !take_numbers(ydm, ')', b, &b_count)) return false;
        bool points = kind == YD_DEF_STEPS || kind == YD_DEF_SPLINE || kind == YD_DEF_TABLE;
        if (points && a_count % 2)
            return yd_def_error(ydm->diagnostics, YD_D_CALIBRATION, place, "",
                                "points are pairs: raw value, engineering value");
        if (a_count == 0 || (kind == YD_DEF_RATIONAL && b_count == 0))
            return yd_def_error(ydm->diagnostics, YD_D_CALIBRATION, place, "", "nothing to compute with");
        uint32_t count = points ? a_count / 2 : a_count;
        if (!(made = yd_def_calibration(def, options->type, kind, count, points ? count : b_count, place)))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            made->a[i] = points ? a[2 * i] : a[i];
            if (points) made->b[i] = a[2 * i + 1];
        }
        for (uint32_t i = 0; i < b_count; i++) made->b[i] = b[i];
    }
    made->when = options->context;
    options->last = made;
    return true;
}

/* { 0 SAFE, 1 ARMED, 2..9 BOOST, else UNKNOWN } */
static bool take_labels(struct yd__ydm *ydm, struct yd_def_type *type)
{
    ydm->at++;
    while (!yd__ydm_is_mark(ydm, '}')) {
        if (!yd__ydm_more(ydm)) return yd__ydm_unexpected(ydm, "a raw value and its label, as  0 SAFE");
        struct yd_place place = ydm->at->place;
        bool other = yd__ydm_skip_word(ydm, "else");
        int64_t first = 0, last = 0;
        if (!other && !yd__ydm_i64(ydm, "a raw value and its label, as  0 SAFE", &first)) return false;
        last = first;
        if (!other && yd__ydm_skip_mark(ydm, YDM_MARK2('.', '.')) &&
            !yd__ydm_i64(ydm, "the last of these values", &last))
            return false;
        (void)yd__ydm_skip_mark(ydm, '=');
        if (!yd__ydm_more(ydm) || (ydm->at->kind != YDM_WORD && ydm->at->kind != YDM_STRING))
            return yd__ydm_unexpected(ydm, "a label: a word, or a text in quotes");
        struct yd_str label = (ydm->at++)->text;
        if (other)
            type->label_else = yd_def_text(ydm->def, label);
        else if (!yd_def_label(ydm->def, type, first, last, label, place))
            return false;
        (void)yd__ydm_skip_mark(ydm, ',');
    }
    return yd__ydm_expect(ydm, '}', "'}'");
}

/* ms since gps   s since "2000-01-01" tai */
static bool take_epoch(struct yd__ydm *ydm, struct yd_def_type *type)
{
    static const struct {
        const char *word;
        enum yd_def_epoch epoch;
    } epochs[] = {{"unix", YD_DEF_EPOCH_UNIX},
                  {"tai", YD_DEF_EPOCH_TAI},
                  {"gps", YD_DEF_EPOCH_GPS},
                  {"j2000", YD_DEF_EPOCH_J2000}};
    struct yd_place place = ydm->at->place;
    if (ydm->at->kind == YDM_STRING && yd__ydm_more(ydm)) {
        struct yd_str text = (ydm->at++)->text;
        if (yd_text_time(text, &type->epoch_ns) < 0)
            return yd_def_error(ydm->diagnostics, YD_D_TIME, place, "",
                                "'%.*s' is no date: write \"2000-01-01\" or "
                                "\"2000-01-01T12:00:00Z\"",
                                YD_STR_FMT(text));
        type->epoch = YD_DEF_EPOCH_DATE;
        type->counts_leaps = yd__ydm_skip_word(ydm, "tai");
        return true;
    }
    struct yd_str word;
    struct yd_nearest nearest;
    if (!yd__ydm_word(ydm, "unix, gps, tai, j2000 or a date in quotes", &word)) return false;
    yd_nearest_init(&nearest, word);
    for (size_t i = 0; i < YD_COUNT(epochs); i++) {
        yd_nearest_add(&nearest, yd_str_of(epochs[i].word));
        if (!yd_str_eq(word, yd_str_of(epochs[i].word))) continue;
        type->epoch = epochs[i].epoch;
        return true;
    }
    yd_def_error(ydm->diagnostics, YD_D_TIME, place, "", "there is no epoch '%.*s'", YD_STR_FMT(word));
    yd_nearest_help(&nearest, ydm->diagnostics, "epochs are unix, gps, tai, j2000, or a date in quotes");
    return false;
}

/* word 5   word 7 frame 4   word 8, 24, 40   word 9 + 10   word 12 frame 2 every 8 */
static bool take_words(struct yd__ydm *ydm, struct yd_def_entry *entry)
{
    bool joins = false;
    struct yd_def_slot *first = NULL;
    for (;;) {
        uint64_t word;
        struct yd_place place = ydm->at->place;
        if (!yd__ydm_u64(ydm, "a word of the minor frame, from 1", 1u << 20, &word)) return false;
        struct yd_def_slot *slot = yd_def_slot(ydm->def, entry, (uint32_t)word, place);
        if (!slot) return false;
        slot->joins = joins;
        if (!first) first = slot;
        if (yd__ydm_skip_mark(ydm, '+'))
            joins = true;
        else if (yd__ydm_skip_mark(ydm, ','))
            joins = false;
        else
            break;
    }
    uint64_t frame, every = 0;
    if (!yd__ydm_skip_word(ydm, "frame")) return true;
    if (!yd__ydm_u64(ydm, "a minor frame, from 0", 1u << 20, &frame)) return false;
    if (yd__ydm_skip_word(ydm, "every") && !yd__ydm_u64(ydm, "a number of minor frames", 1u << 20, &every))
        return false;
    for (struct yd_def_slot *slot = first; slot; slot = slot->next) {
        slot->frame = (uint32_t)frame;
        slot->every = (uint32_t)every;
    }
    return true;
}

/* check crc16_ccitt   check crc32 from 4   check sum8 from 2 to 10   check crc32c from 8 to end - 4 */
static bool take_check(struct yd__ydm *ydm, struct yd_def_check *check)
{
    struct yd_place place = ydm->at->place;
    struct yd_str word;
    struct yd_nearest nearest;
    uint64_t number = 0;
    if (!yd__ydm_word(ydm, "the name of a checksum, as crc16_ccitt", &word)) return false;
    *check = (struct yd_def_check){.kind = yd_checksum_find(word), .place = place};
    if (check->kind == YD_CHECKSUM_NONE) {
        yd_def_error(ydm->diagnostics, YD_D_WORD, place, "", "there is no checksum '%.*s'", YD_STR_FMT(word));
        yd_nearest_init(&nearest, word);
        for (int i = 1; i < YD_CHECKSUM_COUNT; i++)
            yd_nearest_add(&nearest, yd_str_of(yd_checksum_word((enum yd_checksum)i)));
        yd_nearest_help(&nearest, ydm->diagnostics,
                        "there are crc8, crc16_ccitt, crc16_xmodem, crc16_x25, crc16_modbus, crc16_arc, crc32, crc32c, "
                        "sum8, sum16, xor8, fletcher16, adler32 and more");
        return false;
    }
    if (yd__ydm_skip_word(ydm, "from")) {
        if (!yd__ydm_u64(ydm, "its first byte", UINT32_MAX / 2, &number)) return false;
        check->from = (uint32_t)number;
    }
    if (!yd__ydm_skip_word(ydm, "to")) return true;
    check->end = yd__ydm_skip_word(ydm, "end") ? YD_DEF_CHECK_END : YD_DEF_CHECK_AT;
    if (check->end == YD_DEF_CHECK_END && !yd__ydm_skip_mark(ydm, '-')) return true;
    if (!yd__ydm_u64(ydm, "a byte: up to there, and without it", UINT32_MAX / 2, &number)) return false;
    check->to = (uint32_t)number;
    return true;
}

static bool only_in_fields(struct yd__ydm *ydm, const struct yd__ydm_options *options, const struct yd__ydm_token *word)
{
    if (options->entry && !options->in_context) return true;
    return yd_def_error(ydm->diagnostics, YD_D_OPTION, word->place, "", "'%.*s' belongs to a field, not to a %s",
                        YD_STR_FMT(word->text), options->in_context ? "calibration" : "type");
}

static const char *const option_words[] = {
    "at",    "order",   "msb0",        "lsb0",  "reversed", "scale", "offset", "poly", "rational", "spline",   "steps",
    "table", "calc",    "extrapolate", "unit",  "doc",      "as",    "hidden", "if",   "stamp",    "sequence", "limits",
    "valid", "charset", "untrimmed",   "since", "bias",     "word",  "ns",     "us",   "ms",       "s",        "check"};

static bool unknown_option(struct yd__ydm *ydm, const struct yd__ydm_token *token)
{
    yd_def_error(ydm->diagnostics, YD_D_WORD, token->place, "", "there is no option '%.*s'", YD_STR_FMT(token->text));
    struct yd_nearest nearest;
    yd_nearest_init(&nearest, token->text);
    for (size_t i = 0; i < YD_COUNT(option_words); i++) yd_nearest_add(&nearest, yd_str_of(option_words[i]));
    yd_nearest_help(
        &nearest, ydm->diagnostics,
        "options are at, scale, offset, unit, poly, spline, steps, table, rational, calc, limits, valid, if, as, "
        "hidden, stamp, sequence, check, since, order, reversed, charset, doc");
    return false;
}

static bool take_charset(struct yd__ydm *ydm, struct yd_def_type *type)
{
    static const char *const names[] = {"utf8", "ascii", "latin1", "utf16be", "utf16le"};
    struct yd_place place = ydm->at->place;
    struct yd_str word;
    struct yd_nearest nearest;
    if (!yd__ydm_word(ydm, "utf8, ascii, latin1, utf16be or utf16le", &word)) return false;
    yd_nearest_init(&nearest, word);
    for (size_t i = 0; i < YD_COUNT(names); i++) {
        yd_nearest_add(&nearest, yd_str_of(names[i]));
        if (!yd_str_eq(word, yd_str_of(names[i]))) continue;
        type->charset = (enum yd_def_charset)i;
        return true;
    }
    yd_def_error(ydm->diagnostics, YD_D_WORD, place, "", "there is no charset '%.*s'", YD_STR_FMT(word));
    yd_nearest_help(&nearest, ydm->diagnostics, "charsets are utf8, ascii, latin1, utf16be, utf16le");
    return false;
}

/* Words of which one field has one each: what is said twice is a mistake somewhere. False: it has been said. */
static bool is_first(struct yd__ydm *ydm, struct yd__ydm_options *options, struct yd_str word)
{
    static const char *const once[] = {"scale", "offset", "unit", "order", "charset", "since", "bias",
                                       "valid", "at",     "as",   "if",    "=",       "doc",   "sequence"};
    for (size_t i = 0; i < YD_COUNT(once); i++) {
        if (!yd_str_eq(word, yd_str_of(once[i]))) continue;
        if (options->given & 1u << i) {
            yd_def_error(ydm->diagnostics, YD_D_DUPLICATE, ydm->at[-1].place, "", "'%s' is given twice", once[i]);
            yd_def_help(ydm->diagnostics, "take one of them out");
            return false;
        }
        options->given |= 1u << i;
    }
    return true;
}

/* An option that says nothing about such a type. */
static bool fits(struct yd__ydm *ydm, bool fits, const char *word, const char *belongs)
{
    return fits || yd_def_error(ydm->diagnostics, YD_D_OPTION, ydm->at[-1].place, "", "'%s' is for %s", word, belongs);
}

/* One option about the value itself: of types and of fields. 1: it was one, 0: it was none, -1: it was wrong. */
static int take_type_option(struct yd__ydm *ydm, struct yd__ydm_options *options, struct yd_str word)
{
    static const struct {
        const char *word;
        enum yd_def_calibrator kind;
    } calibrators[] = {{"poly", YD_DEF_POLYNOMIAL}, {"rational", YD_DEF_RATIONAL}, {"spline", YD_DEF_SPLINE},
                       {"steps", YD_DEF_STEPS},     {"table", YD_DEF_TABLE},       {"calc", YD_DEF_EXPRESSION}};
    static const struct {
        const char *word;
        int64_t ns;
    } ticks[] = {{"ns", 1}, {"us", YD_NS_PER_US}, {"ms", YD_NS_PER_MS}, {"s", YD_NS_PER_S}};
    struct yd_def_type *type = options->type;
    for (size_t i = 0; i < YD_COUNT(calibrators); i++)
        if (yd_str_eq(word, yd_str_of(calibrators[i].word)))
            return take_calibrator(ydm, options, calibrators[i].kind) ? 1 : -1;
    for (size_t i = 0; i < YD_COUNT(ticks); i++)
        if (yd_str_eq(word, yd_str_of(ticks[i].word)) && yd__ydm_is_word(ydm, "since")) {
            type->tick_ns = ticks[i].ns;
            return 1;
        }
    bool good = true;
    if (yd_str_eq(word, YD_STR("scale")) || yd_str_eq(word, YD_STR("offset"))) {
        bool scale = word.data[0] == 's';
        options->scale_place = ydm->at[-1].place;
        *(scale ? &options->has_scale : &options->has_offset) = true;
        good = yd__ydm_f64(ydm, "a number", scale ? &options->scale : &options->offset);
    } else if (yd_str_eq(word, YD_STR("extrapolate"))) {
        if (!options->last)
            return yd_def_error(ydm->diagnostics, YD_D_OPTION, ydm->at[-1].place, "", "'extrapolate' follows a spline"),
                   -1;
        options->last->extrapolate = true;
    } else if (yd_str_eq(word, YD_STR("unit"))) {
        if (yd__ydm_more(ydm) && ydm->at->kind == YDM_WORD)
            type->unit = yd_def_text(ydm->def, (ydm->at++)->text);
        else
            good = yd__ydm_string(ydm, "a unit in quotes, as \"m/s\"", &type->unit);
    } else if (yd_str_eq(word, YD_STR("order"))) {
        good = take_order(ydm, type);
    } else if (yd_str_eq(word, YD_STR("msb0")) || yd_str_eq(word, YD_STR("lsb0"))) {
        type->numbering = word.data[0] == 'm' ? YD_DEF_MSB0 : YD_DEF_LSB0;
    } else if (yd_str_eq(word, YD_STR("reversed"))) {
        type->reversed = true;
    } else if (yd_str_eq(word, YD_STR("untrimmed"))) {
        good = fits(ydm, type->encoding == YD_DEF_STRING, "untrimmed", "texts");
        type->trim_off = true;
    } else if (yd_str_eq(word, YD_STR("charset"))) {
        good = fits(ydm, type->encoding == YD_DEF_STRING, "charset", "texts") && take_charset(ydm, type);
    } else if (yd_str_eq(word, YD_STR("since"))) {
        good = fits(ydm, type->encoding < YD_DEF_STRING || type->encoding == YD_DEF_CUC || type->encoding == YD_DEF_CDS,
                    "since", "numbers and times") &&
               take_epoch(ydm, type);
    } else if (yd_str_eq(word, YD_STR("bias"))) {
        type->signed_as_bias = true;
        good = fits(ydm, type->encoding == YD_DEF_OFFSET_BINARY, "bias", "offset binary: bias16") &&
               yd__ydm_i64(ydm, "what is taken away", &type->bias);
    } else if (yd_str_eq(word, YD_STR("valid"))) {
        type->has_valid = true;
        good = yd__ydm_f64(ydm, "the lowest valid value", &type->valid_min) &&
               yd__ydm_expect(ydm, YDM_MARK2('.', '.'), "'..' and the highest valid value") &&
               yd__ydm_f64(ydm, "the highest valid value", &type->valid_max);
    } else {
        return 0;
    }
    return good ? 1 : -1;
}

static int take_field_option(struct yd__ydm *ydm, struct yd__ydm_options *options, struct yd_str word)
{
    struct yd_def_entry *entry = options->entry;
    const struct yd__ydm_token *token = &ydm->at[-1];
    static const char *const words[] = {"at", "as", "hidden", "if", "stamp", "sequence", "limits", "word", "check"};
    bool known = false, good = true;
    for (size_t i = 0; i < YD_COUNT(words); i++) known |= yd_str_eq(word, yd_str_of(words[i]));
    if (!known) return 0;
    if (!only_in_fields(ydm, options, token)) return -1;
    if (yd_str_eq(word, YD_STR("at"))) {
        good = take_at(ydm, options);
    } else if (yd_str_eq(word, YD_STR("as"))) {
        if (yd__ydm_more(ydm) && ydm->at->kind == YDM_STRING)
            entry->published = yd_def_text(ydm->def, (ydm->at++)->text);
        else if ((good = yd__ydm_word(ydm, "a name", &entry->published)))
            entry->published = yd_def_text(ydm->def, entry->published);
    } else if (yd_str_eq(word, YD_STR("hidden"))) {
        entry->hidden = true;
    } else if (yd_str_eq(word, YD_STR("if"))) {
        good = (entry->only_if = yd__ydm_condition(ydm)) != NULL;
    } else if (yd_str_eq(word, YD_STR("stamp"))) {
        entry->stamp = true;
    } else if (yd_str_eq(word, YD_STR("sequence"))) {
        entry->sequence = true;
        if (yd__ydm_skip_word(ydm, "by")) {
            entry->sequence_by.place = ydm->at->place;
            if ((good = yd__ydm_word(ydm, "a field", &entry->sequence_by.name)))
                entry->sequence_by.name = yd_def_text(ydm->def, entry->sequence_by.name);
        }
    } else if (yd_str_eq(word, YD_STR("check"))) {
        good = take_check(ydm, &entry->check);
    } else if (yd_str_eq(word, YD_STR("limits"))) {
        struct yd_def_limits *limits = yd_def_limits(ydm->def, entry, token->place);
        good = limits && yd__ydm_limits(ydm, limits);
    } else {
        good = fits(ydm, ydm->in_frame, "word", "fields of a frame") && take_words(ydm, entry);
    }
    return good ? 1 : -1;
}

static bool take_constant(struct yd__ydm *ydm, struct yd__ydm_options *options)
{
    const struct yd__ydm_token *mark = ydm->at++;
    if (!only_in_fields(ydm, options, mark) || !is_first(ydm, options, YD_STR("="))) return false;
    int64_t value = 0;
    if (ydm->at->kind == YDM_INT && yd__ydm_more(ydm))
        options->entry->constant = (ydm->at++)->integer;
    else if (!yd__ydm_i64(ydm, "the number that it always is", &value))
        return false;
    else
        options->entry->constant = (uint64_t)value;
    options->entry->has_constant = true;
    return true;
}

bool yd__ydm_options(struct yd__ydm *ydm, struct yd__ydm_options *options)
{
    while (yd__ydm_more(ydm)) {
        const struct yd__ydm_token *token = ydm->at;
        if (yd__ydm_is_mark(ydm, '{')) {
            if (!take_labels(ydm, options->type)) return false;
        } else if (yd__ydm_is_mark(ydm, '=')) {
            if (!take_constant(ydm, options)) return false;
        } else if (yd__ydm_is_mark(ydm, ',')) {
            ydm->at++;
        } else if (token->kind == YDM_WORD) {
            ydm->at++;
            int found;
            if (yd_str_eq(token->text, YD_STR("doc"))) {
                struct yd_str doc;
                if (!yd__ydm_string(ydm, "a text in quotes", &doc)) return false;
                *(options->entry ? &options->entry->doc : &options->type->doc) = doc;
                continue;
            }
            if (!is_first(ydm, options, token->text)) return false;
            if ((found = take_type_option(ydm, options, token->text)) < 0) return false;
            if (!found && (found = take_field_option(ydm, options, token->text)) < 0) return false;
            if (!found) return unknown_option(ydm, token);
        } else {
            return yd__ydm_unexpected(ydm, "an option, or the end of the line");
        }
    }
    return true;
}

bool yd__ydm_options_end(struct yd__ydm *ydm, struct yd__ydm_options *options)
{
    if (!options->has_scale && !options->has_offset) return true;
    if (options->last)
        return yd_def_error(ydm->diagnostics, YD_D_CALIBRATION, options->scale_place, "",
                            "scale and offset cannot stand beside another calibration");
    struct yd_def_calibration *made =
        yd_def_calibration(ydm->def, options->type, YD_DEF_POLYNOMIAL, 2, 0, options->scale_place);
    if (!made) return false;
    made->a[0] = options->has_offset ? options->offset : 0;
    made->a[1] = options->has_scale ? options->scale : 1;
    made->when = options->context;
    options->has_scale = options->has_offset = false;
    options->scale = options->offset = 0;
    return true;
}
