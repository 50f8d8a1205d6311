/* COSMOS telemetry definitions: TELEMETRY packets and the lines of their items.
 *
 *   TELEMETRY INST HEALTH BIG_ENDIAN "doc"     packet INST.HEALTH
 *     APPEND_ID_ITEM ID 8 UINT 1               ─▶  ID u8 = 1
 *     APPEND_ITEM TEMP 16 INT "doc"                TEMP i16
 *       POLY_READ_CONVERSION -10 0.1                 poly(-10, 0.1)
 *
 * Places of little-endian bitfields are COSMOS's: the bit offset is that of the most significant bit, counted from the
 * left of its byte, and the field goes on towards the beginning of the packet. Integers of 8, 16, 32 or 64 bits at
 * whole bytes are plain little-endian; all else is a bitfield, 24 bits too. In our words such a field is counted lsb0,
 * from offset / 8 * 8 + 7 - offset % 8 - size + 1.
 *
 * What can fail: mistakes, ERB (refused), memory. Unknown keywords that change values are named and not applied. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "decom/convert_internal.h"

#define WORDS_MAX    64
#define SEGMENTS_MAX 64

struct word {
    struct yd_str text;
    struct yd_place place;
    bool quoted;
};
struct segment {
    double bound;
    struct yd_str polynomial;
};
struct cosmos {
    struct yd__source source;
    struct yd_def *def;
    size_t at;
    uint32_t line;
    struct word words[WORDS_MAX];
    uint32_t count;
    struct yd_def_container *packet;
    bool little, skips, generic; /* of the packet; lines of something else; inside of program text */
    int64_t end;                 /* bits that are laid out; -1: not known */
    int64_t last_end;            /* behind the item before, when the next can follow it; -1: it cannot */
    struct yd_def_entry *item;   /* NULL: what follows belongs to none */
    struct yd_def_calibration *segment;
    struct segment segments[SEGMENTS_MAX]; /* of it, by their lower bounds */
    uint32_t segment_count;
};

static bool mistake(struct cosmos *cosmos, const struct word *word, enum yd_def_code code, const char *format)
{
    return yd_def_error(cosmos->source.diagnostics, code, word->place, "", format,
                        (int)YD_MIN(word->text.size, (size_t)80), word->text.data);
}

static void unread(struct cosmos *cosmos, const struct word *word, const char *format)
{
    yd_def_warn(cosmos->source.diagnostics, YD_D_UNSUPPORTED, word->place, "", format,
                (int)YD_MIN(word->text.size, (size_t)80), word->text.data);
}

static uint32_t letters(struct yd_str text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.size; i++) count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* The words of the next line; false: there is none. */
static bool next_line(struct cosmos *cosmos)
{
    struct yd_str text = cosmos->source.text;
    cosmos->count = 0;
    if (cosmos->at >= text.size) return false;
    const char *newline = memchr(text.data + cosmos->at, '\n', text.size - cosmos->at);
    size_t begin = cosmos->at, end = newline ? (size_t)(newline - text.data) : text.size;
    cosmos->at = end + 1;
    cosmos->line++;
    uint32_t column = 1;
    for (size_t i = begin; i < end;) {
        char c = text.data[i];
        if (c == ' ' || c == '\t' || c == '\r') {
            i++, column++;
            continue;
        }
        if (c == '#') break;
        bool quoted = c == '"' || c == '\'';
        size_t first = i + quoted, last = first;
        while (last < end && (quoted ? text.data[last] != c
                                     : text.data[last] != ' ' && text.data[last] != '\t' && text.data[last] != '\r'))
            last++;
        struct yd_str inside = {text.data + first, last - first};
        struct word word = {
            inside, {cosmos->source.file, cosmos->line, column, YD_MAX(letters(inside) + 2u * quoted, 1u)}, quoted};
        column += letters(inside) + 2u * quoted;
        i = last + quoted;
        if (!quoted && memmem(inside.data, inside.size, "<%", 2)) {
            mistake(cosmos, &word, YD_D_SYNTAX, "'%.*s' is ERB, which is a program and is not run");
            yd_def_help(cosmos->source.diagnostics, "write out what it makes, or convert the text COSMOS made of it");
            cosmos->count = 0;
            return true;
        }
        if (quoted && last >= end) mistake(cosmos, &word, YD_D_STRING_END, "'%.*s' has no closing quote");
        if (cosmos->count == WORDS_MAX) {
            mistake(cosmos, &word, YD_D_LIMIT, "more words than a line has, from '%.*s' on");
            return true;
        }
        cosmos->words[cosmos->count++] = word;
    }
    return true;
}

static bool is(const struct word *word, const char *text)
{
    return !word->quoted && yd__source_same(word->text, text);
}

static bool want(struct cosmos *cosmos, uint32_t count, const char *what)
{
    if (cosmos->count >= count) return true;
    return yd_def_error(cosmos->source.diagnostics, YD_D_SYNTAX, cosmos->words[0].place, "",
                        "this line has too few words: %s", what);
}

static bool number(struct cosmos *cosmos, uint32_t index, int64_t *ret)
{
    return yd__source_i64(cosmos->words[index].text, ret) ||
           mistake(cosmos, &cosmos->words[index], YD_D_NUMBER, "'%.*s' is no whole number");
}

static bool real(struct cosmos *cosmos, uint32_t index, double *ret)
{
    return yd__source_f64(cosmos->words[index].text, ret) ||
           mistake(cosmos, &cosmos->words[index], YD_D_NUMBER, "'%.*s' is no number");
}

/* ---- packets and items ---- */

static void take_packet(struct cosmos *cosmos)
{
    cosmos->item = NULL;
    cosmos->skips = true;
    if (!want(cosmos, 4, "TELEMETRY TARGET PACKET BIG_ENDIAN \"description\"")) return;
    char *name = yd_arena_printf(&cosmos->def->arena, "%.*s.%.*s", YD_STR_FMT(cosmos->words[1].text),
                                 YD_STR_FMT(cosmos->words[2].text));
    if (!name) {
        cosmos->def->failed = true;
        return;
    }
    struct yd_str word = yd__source_word(cosmos->def, yd_str_of(name), true);
    if (yd_def_find_container(cosmos->def, word))
        mistake(cosmos, &cosmos->words[2], YD_D_DUPLICATE, "the packet '%.*s' is there already");
    struct yd_def_container *packet = yd_def_container(cosmos->def, word, cosmos->words[2].place);
    if (!packet) return;
    if (!is(&cosmos->words[3], "BIG_ENDIAN") && !is(&cosmos->words[3], "LITTLE_ENDIAN"))
        mistake(cosmos, &cosmos->words[3], YD_D_WORD, "an order is BIG_ENDIAN or LITTLE_ENDIAN, not '%.*s'");
    cosmos->packet = packet;
    packet->open = true;
    if (cosmos->count > 4) packet->doc = yd_def_text(cosmos->def, cosmos->words[4].text);
    cosmos->little = is(&cosmos->words[3], "LITTLE_ENDIAN");
    cosmos->skips = false;
    cosmos->end = cosmos->last_end = 0;
}

struct layout { /* what an item's line says */
    bool append, id, array, little;
    int64_t offset, bits, array_bits;
};

static bool take_type(struct cosmos *cosmos, const struct word *word, const struct layout *layout,
                      struct yd_def_type *type)
{
    int64_t bits = layout->bits;
    bool text = is(word, "STRING"), block = is(word, "BLOCK");
    if (text || block) {
        type->encoding = text ? YD_DEF_STRING : YD_DEF_BINARY;
        if (bits < 0 || bits % 8)
            return mistake(cosmos, word, YD_D_SIZE, "a '%.*s' is of whole bytes, or of 0 bits: to the end");
        type->extent = bits ? YD_DEF_FIXED : YD_DEF_REST;
        type->size.offset = bits / 8;
        return true;
    }
    bool real = is(word, "FLOAT"), is_signed = is(word, "INT");
    if (!real && !is_signed && !is(word, "UINT"))
        return mistake(cosmos, word, YD_D_TYPE, "there is no type '%.*s': INT, UINT, FLOAT, STRING, BLOCK, DERIVED");
    if (bits < 1 || bits > 64 || (real && bits != 32 && bits != 64) || (is_signed && bits < 2))
        return mistake(cosmos, word, YD_D_SIZE, "no '%.*s' has so many bits");
    type->encoding = real ? YD_DEF_IEEE : is_signed ? YD_DEF_TWOS : YD_DEF_UNSIGNED;
    type->bits = (uint32_t)bits;
    return true;
}

/* Where it lies, and in which order. */
static bool place(struct cosmos *cosmos, const struct word *word, const struct layout *layout,
                  struct yd_def_entry *entry)
{
    struct yd_def_type *type = entry->type;
    int64_t offset = layout->append ? cosmos->end : layout->offset, bits = layout->bits, in_all = bits;
    bool is_number = type->encoding < YD_DEF_STRING;
    bool plain = offset % 8 == 0 && (bits == 8 || bits == 16 || bits == 32 || bits == 64);
    if (layout->append && cosmos->end < 0)
        return mistake(cosmos, word, YD_D_PLACE, "'%.*s' cannot be appended to what goes to the end of the packet");
    if (layout->array) {
        in_all = layout->array_bits;
        entry->dimensions = 1;
        entry->to_end = in_all == 0;
        if (!bits || in_all < 0 || (in_all && in_all % bits))
            return mistake(cosmos, word, YD_D_SIZE, "the array '%.*s' is not of whole items");
        entry->dimension[0].offset = in_all / bits;
        if (layout->little && is_number && !plain)
            return mistake(cosmos, word, YD_D_ORDER,
                           "'%.*s' is an array of little-endian bitfields: which bits of "
                           "which bytes they are is not told");
    }
    bool fills = (type->extent == YD_DEF_REST && !is_number) || entry->to_end;
    if (is_number && layout->little && !plain) {
        if (offset < 0) return mistake(cosmos, word, YD_D_PLACE, "'%.*s' is a little-endian bitfield before the end");
        type->numbering = YD_DEF_LSB0;
        entry->from = YD_DEF_START;
        entry->offset_bits = offset / 8 * 8 + 7 - offset % 8 - bits + 1;
        if (entry->offset_bits < 0) {
            mistake(cosmos, word, YD_D_PLACE, "the little-endian bitfield '%.*s' begins before the packet");
            yd_def_help(cosmos->source.diagnostics,
                        "its bit offset is that of its most significant bit, in its last byte: ITEM NAME OFFSET …");
            return false;
        }
        cosmos->last_end = -1;
        cosmos->end = YD_MAX(cosmos->end, offset + bits);
        return true;
    }
    if (is_number && layout->little && bits > 8) type->order = YD_DEF_LITTLE;
    if (offset < 0) {
        entry->from = YD_DEF_END;
        entry->offset_bits = offset;
        cosmos->last_end = -1;
        if (layout->append) cosmos->end = -1;
        return true;
    }
    if (offset != cosmos->last_end) {
        entry->from = YD_DEF_START;
        entry->offset_bits = offset;
    }
    cosmos->last_end = fills ? -1 : offset + in_all;
    cosmos->end = fills || cosmos->end < 0 ? -1 : YD_MAX(cosmos->end, offset + in_all);
    return true;
}

/* [APPEND_][ID_|ARRAY_]ITEM NAME [OFFSET] BITS TYPE [ID|ARRAY_BITS] ["description" [ENDIAN]] */
static void take_item(struct cosmos *cosmos, struct layout layout)
{
    struct yd__source *source = &cosmos->source;
    cosmos->item = NULL;
    cosmos->segment = NULL;
    uint32_t at = 2;
    if (!want(cosmos, 4u + !layout.append + (layout.id || layout.array),
              "NAME [OFFSET unless appended] BITS TYPE [ID or bits of the array] \"description\""))
        return;
    if (!layout.append && !number(cosmos, at++, &layout.offset)) return;
    if (!number(cosmos, at++, &layout.bits)) return;
    const struct word *type = &cosmos->words[at++], *value = NULL;
    if (layout.id || layout.array) value = &cosmos->words[at++];
    if (layout.array && !yd__source_i64(value->text, &layout.array_bits)) {
        mistake(cosmos, value, YD_D_NUMBER, "'%.*s' is no number of bits");
        return;
    }
    const int64_t most = INT64_C(1) << 32;
    if (llabs(layout.offset) > most || llabs(layout.bits) > most || llabs(layout.array_bits) > most) {
        mistake(cosmos, &cosmos->words[1], YD_D_LIMIT, "'%.*s' is larger than any packet");
        return;
    }
    layout.little = cosmos->little;
    if (cosmos->count > at + 1 &&
        (is(&cosmos->words[at + 1], "LITTLE_ENDIAN") || is(&cosmos->words[at + 1], "BIG_ENDIAN")))
        layout.little = is(&cosmos->words[at + 1], "LITTLE_ENDIAN");
    if (is(type, "DERIVED")) {
        unread(cosmos, &cosmos->words[1], "'%.*s' is DERIVED: a program computes it; write a `derive` for it");
        return;
    }
    struct yd_str name = yd__source_word(cosmos->def, cosmos->words[1].text, false);
    for (const struct yd_def_entry *other = cosmos->packet->entries.first; other; other = other->next)
        if (yd_str_eq(other->name, name)) {
            mistake(cosmos, &cosmos->words[1], YD_D_DUPLICATE, "'%.*s' is an item of this packet already");
            return;
        }
    struct yd_def_type *made = yd_def_type(cosmos->def, YD_STR(""), cosmos->words[1].place);
    struct yd_def_entry entry = {.type = made}, *added;
    if (!made || !take_type(cosmos, type, &layout, made) || !place(cosmos, &cosmos->words[1], &layout, &entry)) return;
    if (!(added = yd_def_entry(cosmos->def, &cosmos->packet->entries, name, cosmos->words[1].place))) return;
    entry.name = added->name;
    entry.place = added->place;
    *added = entry;
    added->doc = cosmos->count > at ? yd_def_text(cosmos->def, cosmos->words[at].text) : YD_STR("");
    added->published = YD_STR("");
    cosmos->item = added;
    if (!layout.id) return;
    int64_t id;
    if (made->encoding >= YD_DEF_IEEE || !yd__source_i64(value->text, &id))
        yd_def_error(source->diagnostics, YD_D_VALUE, value->place, "", "what tells a packet is a whole number here");
    else
        added->has_constant = true, added->constant = (uint64_t)id;
}

/* ---- what belongs to an item ---- */

static void take_state(struct cosmos *cosmos)
{
    struct yd_def_type *type = cosmos->item->type;
    int64_t value = 0;
    if (!want(cosmos, 3, "STATE NAME VALUE [colour]")) return;
    if (type->encoding >= YD_DEF_IEEE) {
        unread(cosmos, &cosmos->words[1], "the state '%.*s' of something that is no integer is not read");
        return;
    }
    if (is(&cosmos->words[2], "ANY")) {
        type->label_else = yd_def_text(cosmos->def, cosmos->words[1].text);
    } else if (number(cosmos, 2, &value)) {
        (void)yd_def_label(cosmos->def, type, value, value, cosmos->words[1].text, cosmos->words[1].place);
    } else {
        return;
    }
    bool red = cosmos->count > 3 && is(&cosmos->words[3], "RED");
    if (!red && !(cosmos->count > 3 && is(&cosmos->words[3], "YELLOW"))) return;
    struct yd_def_limits *limits = cosmos->item->limits;
    if (!limits && !(limits = yd_def_limits(cosmos->def, cosmos->item, cosmos->words[0].place))) return;
    if (limits->clause.value_count == YD_LIMIT_VALUES_MAX) {
        unread(cosmos, &cosmos->words[1], "'%.*s' alarms, but more than 32 states do");
        return;
    }
    limits->clause.values[limits->clause.value_count++] =
        (struct yd_limit_value){yd_reading_text(yd_def_text(cosmos->def, cosmos->words[1].text), 0), red};
}

static void take_limits(struct cosmos *cosmos)
{
    double bound[4];
    int64_t persistence;
    if (!want(cosmos, 8, "LIMITS SET PERSISTENCE ENABLED RED_LOW YELLOW_LOW YELLOW_HIGH RED_HIGH")) return;
    if (!number(cosmos, 2, &persistence)) return;
    for (uint32_t i = 0; i < 4; i++)
        if (!real(cosmos, 4 + i, &bound[i])) return;
    if (!is(&cosmos->words[3], "ENABLED")) {
        unread(cosmos, &cosmos->words[3], "limits that are '%.*s' are left out");
        return;
    }
    if (!(bound[0] <= bound[1] && bound[1] <= bound[2] && bound[2] <= bound[3])) {
        mistake(cosmos, &cosmos->words[4], YD_D_LIMITS,
                "limits rise from red low to red high, these from '%.*s' do not");
        return;
    }
    struct yd_def_limits *limits = yd_def_limits(cosmos->def, cosmos->item, cosmos->words[0].place);
    if (!limits) return;
    limits->clause.red = (struct yd_limit_range){bound[0], bound[3], true};
    limits->clause.yellow = (struct yd_limit_range){bound[1], bound[2], true};
    limits->clause.persist = (uint32_t)YD_MIN(YD_MAX(persistence, INT64_C(1)), INT64_C(100000));
    if (!is(&cosmos->words[1], "DEFAULT"))
        limits->clause.set = yd__source_word(cosmos->def, cosmos->words[1].text, false);
}

static bool may_calibrate(struct cosmos *cosmos)
{
    const struct yd_def_type *type = cosmos->item->type;
    if (type->encoding < YD_DEF_STRING && !type->labels && !type->calibrations) return true;
    if (cosmos->segment && type->calibrations == cosmos->segment) return true;
    unread(cosmos, &cosmos->words[0], "'%.*s' of something that has states, another conversion or no number");
    return false;
}

static void take_poly(struct cosmos *cosmos)
{
    double terms[WORDS_MAX];
    uint32_t count = cosmos->count - 1;
    if (!want(cosmos, 2, "POLY_READ_CONVERSION C0 C1 …") || !may_calibrate(cosmos)) return;
    for (uint32_t i = 0; i < count; i++)
        if (!real(cosmos, i + 1, &terms[i])) return;
    struct yd_def_calibration *made =
        yd_def_calibration(cosmos->def, cosmos->item->type, YD_DEF_POLYNOMIAL, count, 0, cosmos->words[0].place);
    if (made) memcpy(made->a, terms, count * sizeof *terms);
}

static void put_number(struct yd_buf *to, double value)
{
    char digits[40];
    digits[yd_text_put_f64(digits, value)] = 0;
    yd_buf_printf(to, signbit(value) ? "(%s%s)" : "%s%s", digits, strpbrk(digits, ".eE") ? "" : ".0");
}

/* if(x >= the highest bound, its polynomial, if(x >= the next one, …)). Below all of them the lowest one counts. The
 * order of the lines says nothing, as in COSMOS. */
static void put_segments(const struct cosmos *cosmos, struct yd_buf *to)
{
    uint32_t count = cosmos->segment_count;
    for (uint32_t i = count; i-- > 1;) {
        yd_buf_cstr(to, "if(float(x) >= ");
        put_number(to, cosmos->segments[i].bound);
        yd_buf_printf(to, ", %.*s, ", YD_STR_FMT(cosmos->segments[i].polynomial));
    }
    yd_buf_str(to, cosmos->segments[0].polynomial);
    for (uint32_t i = 1; i < count; i++) yd_buf_char(to, ')');
}

static bool put_polynomial(struct cosmos *cosmos, struct yd_buf *to)
{
    double term;
    for (uint32_t i = 2; i < cosmos->count; i++) {
        if (!real(cosmos, i, &term)) return false;
        put_number(to, term);
        if (i + 1 < cosmos->count) yd_buf_cstr(to, " + float(x) * (");
    }
    for (uint32_t i = 3; i < cosmos->count; i++) yd_buf_char(to, ')');
    return true;
}

static bool add_segment(struct cosmos *cosmos, double bound, struct yd_str polynomial)
{
    uint32_t at = cosmos->segment_count;
    while (at && cosmos->segments[at - 1].bound > bound) at--;
    if (at && cosmos->segments[at - 1].bound == bound)
        return mistake(cosmos, &cosmos->words[1], YD_D_CALIBRATION, "two segments begin at '%.*s'");
    memmove(cosmos->segments + at + 1, cosmos->segments + at, (cosmos->segment_count - at) * sizeof *cosmos->segments);
    cosmos->segments[at] = (struct segment){bound, yd_def_text(cosmos->def, polynomial)};
    cosmos->segment_count++;
    return true;
}

static void take_segment(struct cosmos *cosmos)
{
    double bound;
    if (!want(cosmos, 3, "SEG_POLY_READ_CONVERSION LOWER_BOUND C0 C1 …") || !may_calibrate(cosmos)) return;
    if (!real(cosmos, 1, &bound)) return;
    if (!cosmos->segment) cosmos->segment_count = 0;
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    bool good = put_polynomial(cosmos, &text);
    if (good && cosmos->segment_count == SEGMENTS_MAX) {
        good = mistake(cosmos, &cosmos->words[0], YD_D_LIMIT, "more of '%.*s' than can be computed");
    } else if (good && (good = add_segment(cosmos, bound, yd_buf_view(&text)))) {
        yd_buf_clear(&text);
        put_segments(cosmos, &text);
        if (text.size > 3000)
            good = mistake(cosmos, &cosmos->words[0], YD_D_LIMIT, "more of '%.*s' than can be computed");
    }
    if (good && !cosmos->segment)
        cosmos->segment =
            yd_def_calibration(cosmos->def, cosmos->item->type, YD_DEF_EXPRESSION, 0, 0, cosmos->words[0].place);
    if (good && cosmos->segment) cosmos->segment->text = yd_def_text(cosmos->def, yd_buf_view(&text));
    if (text.failed) cosmos->def->failed = true;
    yd_buf_fini(&text);
}

static void take_line(struct cosmos *cosmos)
{
    static const struct {
        const char *word;
        struct layout layout;
    } items[] = {{"ITEM", {0}},
                 {"ID_ITEM", {.id = true}},
                 {"ARRAY_ITEM", {.array = true}},
                 {"APPEND_ITEM", {.append = true}},
                 {"APPEND_ID_ITEM", {.append = true, .id = true}},
                 {"APPEND_ARRAY_ITEM", {.append = true, .array = true}},
                 {"APPEND", {.append = true}}};
    static const char *const aside[] = {
        "FORMAT_STRING", "DESCRIPTION",       "META",      "OVERLAP",      "HIDDEN",
        "KEY",           "VARIABLE_BIT_SIZE", "OBFUSCATE", "LIMITS_GROUP", "LIMITS_GROUP_ITEM"};
    const struct word *head = &cosmos->words[0];
    if (cosmos->generic) {
        cosmos->generic = !is(head, "GENERIC_READ_CONVERSION_END");
        return;
    }
    if (is(head, "TELEMETRY")) {
        take_packet(cosmos);
        return;
    }
    if (is(head, "COMMAND") || is(head, "SELECT_COMMAND") || is(head, "SELECT_TELEMETRY")) {
        unread(cosmos, head, "%.*s and what belongs to it is not read");
        cosmos->skips = true;
        cosmos->item = NULL;
        return;
    }
    if (is(head, "GENERIC_READ_CONVERSION_START")) {
        if (!cosmos->skips) unread(cosmos, head, "%.*s is a program, which is not run: the item stays raw");
        cosmos->generic = true;
        return;
    }
    if (cosmos->skips && cosmos->packet) return;
    if (!cosmos->packet) {
        mistake(cosmos, head, YD_D_WORD, "'%.*s' belongs to no packet: the first line is TELEMETRY …");
        cosmos->skips = true;
        return;
    }
    for (size_t i = 0; i < YD_COUNT(items); i++)
        if (is(head, items[i].word)) {
            take_item(cosmos, items[i].layout);
            return;
        }
    for (size_t i = 0; i < YD_COUNT(aside); i++)
        if (is(head, aside[i])) return; /* nothing of it changes a value */
    bool state = is(head, "STATE"), units = is(head, "UNITS"), limits = is(head, "LIMITS"),
         poly = is(head, "POLY_READ_CONVERSION"), segment = is(head, "SEG_POLY_READ_CONVERSION");
    if (!state && !units && !limits && !poly && !segment) {
        unread(cosmos, head, "%.*s is not read");
        return;
    }
    if (!cosmos->item) return; /* of an item that was left out, which has been said */
    if (state) take_state(cosmos);
    if (limits) take_limits(cosmos);
    if (poly) take_poly(cosmos);
    if (segment) take_segment(cosmos);
    if (units && want(cosmos, 3, "UNITS NAME ABBREVIATION"))
        cosmos->item->type->unit = yd_def_text(cosmos->def, cosmos->words[2].text);
}

int yd_cosmos_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                   struct yd_def **ret_def)
{
    struct cosmos cosmos = {0};
    *ret_def = NULL;
    int r = yd__source_begin(&cosmos.source, path, text, alloc, diagnostics);
    if (r < 0) return r;
    cosmos.def = cosmos.source.def;
    while (next_line(&cosmos) && !cosmos.def->failed)
        if (cosmos.count) take_line(&cosmos);
    struct yd_place top = {.file = cosmos.source.file, .line = 1, .column = 1, .length = 1};
    if (!cosmos.def->containers && diagnostics->errors == cosmos.source.errors)
        yd_def_error(diagnostics, YD_D_EMPTY, top, "", "there is no TELEMETRY packet in it");
    return yd__source_end(&cosmos.source, ret_def);
}
