/* CSV as ccsdspy reads it: one packet, its fields behind the CCSDS primary header.
 *
 *   name,data_type,bit_length[,bit_offset]      the packet is called as the file
 *   SHCOARSE,uint,32                            data_type is uint, int, float, str or fill; big-endian
 *   DATA,uint(4),16                             an array of 4, uint(2,3) of 2 rows, uint(N) of as many as N tells,
 *   REST,uint(expand),8                         uint(expand) to the end of the packet
 *
 * bit_offset counts from the beginning of the primary header (6 bytes), which is laid out by itself. What can fail:
 * mistakes in a line (the next is read all the same), memory. */
#include "base/text.h"
#include "decom/convert_internal.h"

#define COLUMNS_MAX 32
#define CELL_MAX    1024

enum { NAME, DATA_TYPE, BIT_LENGTH, BIT_OFFSET, COLUMN_KINDS };

struct csv {
    struct yd__source source;
    struct yd_def *def;
    struct yd_def_container *packet;
    size_t at;
    uint32_t line;
    struct yd_str cells[COLUMNS_MAX];
    struct yd_place places[COLUMNS_MAX];
    char room[COLUMNS_MAX * CELL_MAX];
    uint32_t count;
    int column[COLUMN_KINDS]; /* -1: there is none */
    int64_t end;              /* in bits; -1: something before goes to the end, or is of no fixed size */
    uint32_t fills;
};

static bool mistake(struct csv *csv, uint32_t cell, enum yd_def_code code, const char *format)
{
    return yd_def_error(csv->source.diagnostics, code, csv->places[cell], "", format,
                        (int)YD_MIN(csv->cells[cell].size, (size_t)80), csv->cells[cell].data);
}

static struct yd_str trimmed(struct yd_str text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) text.data++, text.size--;
    while (text.size && strchr(" \t\r", text.data[text.size - 1])) text.size--;
    return text;
}

/* The cells of the next line; quoted ones may hold commas. False: no line is left. */
static bool next_line(struct csv *csv)
{
    struct yd_str text = csv->source.text;
    csv->count = 0;
    if (csv->at >= text.size) return false;
    const char *newline = memchr(text.data + csv->at, '\n', text.size - csv->at);
    size_t i = csv->at, end = newline ? (size_t)(newline - text.data) : text.size, line = i;
    csv->at = end + 1;
    csv->line++;
    if (i == 0 && text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) i = 3;
    while (i <= end) {
        if (csv->count == COLUMNS_MAX) {
            mistake(csv, COLUMNS_MAX - 1, YD_D_LIMIT, "more columns than 32, behind '%.*s'");
            return true;
        }
        char *to = csv->room + (size_t)csv->count * CELL_MAX;
        size_t size = 0, begin = i;
        bool quoted = i < end && text.data[i] == '"', inside = quoted;
        i += quoted;
        for (; i < end && (inside || text.data[i] != ','); i++) {
            if (quoted && text.data[i] == '"') {
                inside = inside && i + 1 < end && text.data[i + 1] == '"';
                if (!inside) continue;
                i++;
            }
            if (size < CELL_MAX) to[size++] = text.data[i];
        }
        csv->cells[csv->count] = trimmed((struct yd_str){to, size});
        csv->places[csv->count++] = (struct yd_place){csv->source.file, csv->line, (uint32_t)(begin - line) + 1,
                                                      (uint32_t)YD_MAX(i - begin, (size_t)1)};
        if (size == CELL_MAX) {
            mistake(csv, csv->count - 1, YD_D_LIMIT, "'%.*s…' is too long for a cell");
            return true;
        }
        i++;
    }
    return true;
}

static struct yd_str cell(const struct csv *csv, int kind)
{
    int column = csv->column[kind];
    return column >= 0 && (uint32_t)column < csv->count ? csv->cells[column] : YD_STR("");
}

static uint32_t where(const struct csv *csv, int kind)
{
    int column = csv->column[kind];
    return column >= 0 && (uint32_t)column < csv->count ? (uint32_t)column : csv->count - 1;
}

static bool take_head(struct csv *csv)
{
    static const char *const names[] = {"name", "data_type", "bit_length", "bit_offset"};
    bool good = true;
    for (int kind = 0; kind < COLUMN_KINDS; kind++) {
        csv->column[kind] = -1;
        for (uint32_t i = 0; i < csv->count; i++)
            if (yd__source_same(csv->cells[i], names[kind])) csv->column[kind] = (int)i;
        if (csv->column[kind] < 0 && kind != BIT_OFFSET)
            good = yd_def_error(csv->source.diagnostics, YD_D_SYNTAX, csv->places[0], "",
                                "the first line names columns, and none is '%s'", names[kind]);
    }
    for (uint32_t i = 0; i < csv->count; i++) {
        bool known = false;
        for (int kind = 0; kind < COLUMN_KINDS; kind++) known |= csv->column[kind] == (int)i;
        if (!known)
            yd_def_warn(csv->source.diagnostics, YD_D_UNSUPPORTED, csv->places[i], "", "the column '%.*s' is not read",
                        (int)YD_MIN(csv->cells[i].size, (size_t)80), csv->cells[i].data);
    }
    return good;
}

static void put_header(struct csv *csv)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } fields[] = {{"CCSDS_VERSION_NUMBER", 3}, {"CCSDS_PACKET_TYPE", 1},   {"CCSDS_SECONDARY_FLAG", 1},
                  {"CCSDS_APID", 11},          {"CCSDS_SEQUENCE_FLAG", 2}, {"CCSDS_SEQUENCE_COUNT", 14},
                  {"CCSDS_PACKET_LENGTH", 16}};
    struct yd_place place = {csv->source.file, 1, 1, 1};
    for (size_t i = 0; i < YD_COUNT(fields); i++) {
        struct yd_def_entry *entry = yd_def_entry(csv->def, &csv->packet->entries, yd_str_of(fields[i].name), place);
        if (!entry || !(entry->type = yd_def_type(csv->def, YD_STR(""), place))) return;
        entry->type->bits = fields[i].bits;
        entry->hidden = true;
        entry->sequence = fields[i].bits == 14;
    }
    csv->end = 48;
}

/* uint, uint(4), uint(2,3), uint(N), uint(expand). */
static bool take_shape(struct csv *csv, struct yd_str shape, struct yd_def_entry *entry)
{
    uint32_t at = where(csv, DATA_TYPE);
    if (yd__source_same(shape, "expand")) {
        entry->dimensions = 1;
        return entry->to_end = true;
    }
    while (shape.size) {
        size_t size = 0;
        while (size < shape.size && shape.data[size] != ',') size++;
        struct yd_str part = trimmed((struct yd_str){shape.data, size});
        struct yd_def_amount *amount = &entry->dimension[entry->dimensions];
        int64_t count;
        if (entry->dimensions == 2) return mistake(csv, at, YD_D_LIMIT, "'%.*s' has more than two dimensions");
        if (yd__source_i64(part, &count)) {
            if (count < 1 || count > 1000000) return mistake(csv, at, YD_D_SIZE, "'%.*s' is no array there can be");
            amount->offset = count;
        } else if (part.size) {
            amount->field = (struct yd_def_ref){yd__source_word(csv->def, part, false), csv->places[at]};
            amount->scale = 1;
        } else {
            return mistake(csv, at, YD_D_SYNTAX, "'%.*s' has an empty dimension");
        }
        entry->dimensions++;
        size += size < shape.size;
        shape.data += size;
        shape.size -= size;
    }
    return entry->dimensions > 0 || mistake(csv, at, YD_D_SYNTAX, "'%.*s' has an empty shape");
}

static bool take_type(struct csv *csv, struct yd_def_entry *entry, int64_t bits)
{
    struct yd_str text = cell(csv, DATA_TYPE), shape = YD_STR("");
    struct yd_def_type *type = entry->type;
    uint32_t at = where(csv, DATA_TYPE), size_at = where(csv, BIT_LENGTH);
    const char *open = memchr(text.data, '(', text.size);
    if (open) {
        size_t size = (size_t)(open - text.data);
        if (text.data[text.size - 1] != ')') return mistake(csv, at, YD_D_BRACKET, "'%.*s' has no closing bracket");
        shape = (struct yd_str){open + 1, text.size - size - 2};
        text = trimmed((struct yd_str){text.data, size});
        if (!take_shape(csv, shape, entry)) return false;
    }
    bool fill = yd__source_same(text, "fill"), bytes = yd__source_same(text, "str"),
         real = yd__source_same(text, "float"), is_signed = yd__source_same(text, "int");
    if (!fill && !bytes && !real && !is_signed && !yd__source_same(text, "uint")) {
        mistake(csv, at, YD_D_TYPE, "there is no type '%.*s'");
        yd_def_help(csv->source.diagnostics,
                    "types are uint, int, float, str, fill, each perhaps with (4), (N), (expand)");
        return false;
    }
    if (bits < 1 || bits > INT32_MAX) return mistake(csv, size_at, YD_D_SIZE, "a field of '%.*s' bits");
    if (bytes) {
        type->encoding = YD_DEF_STRING;
        type->size.offset = bits / 8;
        return bits % 8 == 0 || mistake(csv, size_at, YD_D_SIZE, "'%.*s' bits are no whole bytes of text");
    }
    if (fill && bits > 64) {
        if (entry->dimensions) return mistake(csv, at, YD_D_TYPE, "'%.*s' is an array of nothing");
        entry->dimensions = 1;
        entry->dimension[0].offset = bits % 8 ? bits : bits / 8;
        bits = bits % 8 ? 1 : 8;
    }
    if (bits > 64 || (is_signed && bits < 2) || (real && bits != 16 && bits != 32 && bits != 64))
        return mistake(csv, size_at, YD_D_SIZE, "no number of this type has '%.*s' bits");
    type->encoding = real ? YD_DEF_IEEE : is_signed ? YD_DEF_TWOS : YD_DEF_UNSIGNED;
    type->bits = (uint32_t)bits;
    if (fill) entry->name = YD_STR("_");
    return true;
}

static void take_field(struct csv *csv)
{
    struct yd_str name = cell(csv, NAME), offset_text = cell(csv, BIT_OFFSET);
    int64_t bits, offset;
    if (csv->count == 1 && !csv->cells[0].size) return;
    if (!name.size) {
        mistake(csv, where(csv, NAME), YD_D_SYNTAX, "a field without a name%.*s");
        return;
    }
    if (!yd__source_i64(cell(csv, BIT_LENGTH), &bits)) {
        mistake(csv, where(csv, BIT_LENGTH), YD_D_NUMBER, "'%.*s' is no number of bits");
        return;
    }
    struct yd_str word = yd__source_word(csv->def, name, false);
    for (const struct yd_def_entry *other = csv->packet->entries.first; other; other = other->next)
        if (yd_str_eq(other->name, word)) {
            mistake(csv, where(csv, NAME), YD_D_DUPLICATE, "'%.*s' is there already");
            return;
        }
    struct yd_place place = csv->places[where(csv, NAME)];
    struct yd_def_entry entry = {.name = word, .place = place}, *added;
    entry.published = entry.doc = YD_STR("");
    if (!(entry.type = yd_def_type(csv->def, YD_STR(""), place)) || !take_type(csv, &entry, bits)) return;
    if (offset_text.size) {
        if (!yd__source_i64(offset_text, &offset) || offset < 0 || offset > INT32_MAX) {
            mistake(csv, where(csv, BIT_OFFSET), YD_D_PLACE, "'%.*s' is no place in a packet");
            return;
        }
        if (offset != csv->end) {
            entry.from = YD_DEF_START;
            entry.offset_bits = offset;
            csv->end = offset;
        }
    }
    if (csv->fills && entry.from == YD_DEF_PREVIOUS) {
        mistake(csv, where(csv, NAME), YD_D_PLACE, "'%.*s' follows what goes to the end of the packet");
        return;
    }
    bool told = entry.to_end || entry.dimension[0].field.name.size || entry.dimension[1].field.name.size;
    csv->fills |= entry.to_end;
    if (told || csv->end < 0) {
        csv->end = -1;
    } else {
        uint64_t size =
            entry.type->encoding == YD_DEF_STRING ? (uint64_t)entry.type->size.offset * 8 : entry.type->bits;
        for (uint32_t i = 0; i < entry.dimensions; i++) size *= (uint64_t)entry.dimension[i].offset;
        csv->end = size > INT32_MAX ? -1 : csv->end + (int64_t)size;
    }
    if (!(added = yd_def_entry(csv->def, &csv->packet->entries, entry.name, place))) return;
    entry.name = added->name;
    *added = entry;
}

int yd_csv_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                struct yd_def **ret_def)
{
    struct csv *csv = yd_alloc_zero(alloc, sizeof *csv);
    *ret_def = NULL;
    if (!csv) return YD_ENOMEM;
    int r = yd__source_begin(&csv->source, path, text, alloc, diagnostics);
    if (r == 0) {
        struct yd_place top = {csv->source.file, 1, 1, 1};
        csv->def = csv->source.def;
        csv->packet = yd_def_container(csv->def, yd__source_word(csv->def, yd__source_stem(path), false), top);
        if (!next_line(csv))
            yd_def_error(diagnostics, YD_D_EMPTY, top, "", "there is nothing in it");
        else if (csv->packet && take_head(csv)) {
            put_header(csv);
            while (!csv->def->failed && next_line(csv)) take_field(csv);
        }
        r = yd__source_end(&csv->source, ret_def);
    }
    yd_alloc_put(alloc, csv, sizeof *csv);
    return r;
}
