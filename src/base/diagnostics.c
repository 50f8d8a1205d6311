/* Printing what is wrong: for people, with the lines and carets, and as JSON.
 *
 *   error[Y104]: a query port is wired with a push arrow
 *     --> site.yd:14:5
 *      |
 *   14 | web.ask -> history.query
 *      |     ^^^ 'ask' is a query output
 *      |                    ----- 'query' answers queries
 *      = help: write  web.ask => history.query
 *
 * Columns are characters, carets are as wide as what they point at: tabs are repeated, wide characters take two, marks
 * that combine none. Very long lines are cut around their carets. */
#include "base/diagnostics.h"

#include "base/large.h"
#include "base/text.h"

#define LINE_WIDTH_MAX 140
#define CONTEXT_WIDTH  40

void yd_diagnostics_init(struct yd_diagnostics *diagnostics, struct yd_alloc *alloc)
{
    *diagnostics = (struct yd_diagnostics){0};
    yd_arena_init(&diagnostics->arena, alloc ? alloc : yd_alloc_large());
}

void yd_diagnostics_fini(struct yd_diagnostics *diagnostics)
{
    if (!diagnostics) return;
    struct yd_alloc *alloc = diagnostics->arena.alloc;
    yd_arena_fini(&diagnostics->arena);
    yd_diagnostics_init(diagnostics, alloc);
}

struct style {
    const char *error, *warning, *bold, *gutter, *help, *off;
};
static const struct style plain = {"", "", "", "", "", ""};
static const struct style coloured = {"\033[1;31m", "\033[1;33m", "\033[1m", "\033[1;34m", "\033[1;36m", "\033[0m"};

/* ---- characters ---- */

/* One character at `p`: its bytes, and its code (U+FFFD for a byte that is none). */
static size_t decode(const char *p, const char *end, uint32_t *ret_code)
{
    unsigned char c = (unsigned char)*p;
    size_t size = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
    if (size == 0 || size > (size_t)(end - p) || !yd_text_utf8((struct yd_str){p, size})) return *ret_code = 0xfffd, 1;
    uint32_t code = size == 1 ? c : c & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) code = code << 6 | ((unsigned char)p[i] & 0x3f);
    *ret_code = code;
    return size;
}

static unsigned width_of(uint32_t c)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f},   {0x2e80, 0xa4cf},  {0xac00, 0xd7a3}, {0xf900, 0xfaff},
                                       {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
                                       {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) || c == 0xfeff) return 0;
    for (size_t i = 0; i < YD_COUNT(wide); i++)
        if (c >= wide[i][0] && c <= wide[i][1]) return 2;
    return 1;
}

/* Text of a message: whatever a file had in it, a terminal gets only what is printable. */
static void put_text(struct yd_buf *to, const char *text)
{
    const char *end = text + strlen(text);
    while (text < end) {
        uint32_t code;
        size_t size = decode(text, end, &code);
        if (code == 0xfffd && size == 1)
            yd_buf_cstr(to, "\xef\xbf\xbd");
        else if (code < 0x20 || code == 0x7f)
            yd_buf_char(to, '?');
        else
            yd_buf_add(to, text, size);
        text += size;
    }
}

/* ---- one line with its carets ---- */

static struct yd_str line_of(struct yd_str text, uint32_t line)
{
    size_t at = 0;
    for (uint32_t i = 1; i < line; i++) {
        const char *end = at < text.size ? memchr(text.data + at, '\n', text.size - at) : NULL;
        if (!end) return (struct yd_str){"", 0};
        at = (size_t)(end - text.data) + 1;
    }
    if (at >= text.size) return (struct yd_str){"", 0};
    if (line == 1 && text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) at = 3;
    const char *end = memchr(text.data + at, '\n', text.size - at);
    struct yd_str found = {text.data + at, (end ? (size_t)(end - text.data) : text.size) - at};
    while (found.size && found.data[found.size - 1] == '\r') found.size--;
    return found;
}

struct window { /* the characters of a line that are shown, from 1; last included */
    uint32_t first, last;
    bool cut_before, cut_after;
};

static struct window window_of(struct yd_str line, uint32_t column)
{
    uint32_t count = 0, code;
    for (size_t at = 0; at < line.size; count++) at += decode(line.data + at, line.data + line.size, &code);
    struct window window = {1, count, false, false};
    if (count <= LINE_WIDTH_MAX) return window;
    window.first = column > CONTEXT_WIDTH ? column - CONTEXT_WIDTH : 1;
    if (window.first + LINE_WIDTH_MAX - 1 > count) window.first = count - LINE_WIDTH_MAX + 1;
    window.last = window.first + LINE_WIDTH_MAX - 1;
    window.cut_before = window.first > 1;
    window.cut_after = window.last < count;
    return window;
}

static void put_line(struct yd_buf *to, struct yd_str line, const struct window *window)
{
    uint32_t column = 1, code;
    if (window->cut_before) yd_buf_cstr(to, "…");
    for (size_t at = 0; at < line.size; column++) {
        size_t size = decode(line.data + at, line.data + line.size, &code);
        if (column >= window->first && column <= window->last) {
            if (code == '\t')
                yd_buf_char(to, '\t');
            else if (code < 0x20 || code == 0x7f)
                yd_buf_char(to, '?');
            else if (code == 0xfffd)
                yd_buf_cstr(to, "\xef\xbf\xbd");
            else
                yd_buf_add(to, line.data + at, size);
        }
        at += size;
    }
    if (window->cut_after) yd_buf_cstr(to, "…");
}

static void put_carets(struct yd_buf *to, struct yd_str line, const struct window *window, const struct yd_note *note,
                       char mark, const struct style *style, const char *colour)
{
    uint32_t column = 1, code, end = note->place.column + YD_MAX(note->place.length, 1u);
    if (window->cut_before) yd_buf_char(to, ' ');
    bool begun = false, marked = false;
    for (size_t at = 0; at < line.size && column < end; column++) {
        size_t size = decode(line.data + at, line.data + line.size, &code);
        at += size;
        if (column < window->first || column > window->last) continue;
        bool inside = column >= note->place.column;
        if (inside && !begun) yd_buf_cstr(to, colour), begun = true;
        unsigned width = code == '\t' ? 1 : width_of(code);
        for (unsigned i = 0; i < width; i++) yd_buf_char(to, inside ? mark : code == '\t' ? '\t' : ' ');
        marked |= inside && width;
    }
    /* Behind the end of the line: what is missing there. */
    for (; column < note->place.column && column <= window->last + 1; column++) yd_buf_char(to, ' ');
    if (!marked) yd_buf_printf(to, "%s%c", begun ? "" : colour, mark);
    if (*note->text) {
        yd_buf_char(to, ' ');
        put_text(to, note->text);
    }
    yd_buf_cstr(to, style->off);
    yd_buf_char(to, '\n');
}

/* ---- one diagnostic ---- */

static unsigned digits(uint32_t number)
{
    unsigned count = 1;
    while (number /= 10) count++;
    return count;
}

static void gutter(struct yd_buf *to, unsigned width, uint32_t line, const struct style *style)
{
    if (line)
        yd_buf_printf(to, "%s%*u |%s ", style->gutter, (int)width, line, style->off);
    else
        yd_buf_printf(to, "%s%*s |%s ", style->gutter, (int)width, "", style->off);
}

/* Lines without text end without a space. */
static void trim(struct yd_buf *to)
{
    while (to->size && !to->failed && to->data[to->size - 1] == ' ') to->size--;
    yd_buf_char(to, '\n');
}

/* All notes of `item` in `file`, line by line. */
static void put_file(const struct yd_diagnostics *diagnostics, const struct yd_diagnostic *item, uint32_t file,
                     unsigned width, const struct style *style, struct yd_buf *to)
{
    const char *primary = item->warning ? style->warning : style->error;
    struct yd_str text = diagnostics->sources[file].text;
    uint32_t line = 0;
    for (;;) {
        uint32_t next = UINT32_MAX;
        const struct yd_note *first = NULL;
        for (size_t i = 0; i < item->note_count; i++) {
            const struct yd_note *note = &item->notes[i];
            if (note->place.file != file || note->place.line <= line || note->place.line >= next) continue;
            next = note->place.line;
            first = note;
        }
        if (!first) return;
        if (line && next > line + 1) yd_buf_printf(to, "%s...%s\n", style->gutter, style->off);
        line = next;
        struct yd_str source = line_of(text, line);
        struct window window = window_of(source, first->place.column);
        gutter(to, width, line, style);
        put_line(to, source, &window);
        trim(to);
        for (size_t i = 0; i < item->note_count; i++) {
            const struct yd_note *note = &item->notes[i];
            if (note->place.file != file || note->place.line != line) continue;
            gutter(to, width, 0, style);
            put_carets(to, source, &window, note, i == 0 ? '^' : '-', style, i == 0 ? primary : style->gutter);
        }
    }
}

static void put_place(const struct yd_diagnostics *diagnostics, struct yd_place place, const char *arrow,
                      unsigned width, const struct style *style, struct yd_buf *to)
{
    yd_buf_printf(to, "%s%*s%s%s ", style->gutter, (int)width, "", arrow, style->off);
    put_text(to, diagnostics->sources[place.file].path);
    if (place.line) yd_buf_printf(to, ":%u:%u", place.line, place.column);
    yd_buf_char(to, '\n');
}

static void print_one(const struct yd_diagnostics *diagnostics, const struct yd_diagnostic *item,
                      const struct style *style, struct yd_buf *to)
{
    yd_buf_printf(to, "%s%s[%c%03u]%s: %s", item->warning ? style->warning : style->error,
                  item->warning ? "warning" : "error", diagnostics->letter ? diagnostics->letter : 'Y', item->code,
                  style->off, style->bold);
    put_text(to, item->message);
    yd_buf_printf(to, "%s\n", style->off);
    struct yd_place place = item->notes[0].place;
    unsigned width = 1;
    for (size_t i = 0; i < item->note_count; i++) width = YD_MAX(width, digits(item->notes[i].place.line));
    bool has_source = place.file < diagnostics->source_count;
    if (has_source) put_place(diagnostics, place, "-->", width, style, to);
    if (has_source && place.line) {
        gutter(to, width, 0, style);
        trim(to);
        put_file(diagnostics, item, place.file, width, style, to);
        for (size_t i = 1; i < item->note_count; i++) {
            struct yd_place other = item->notes[i].place;
            bool before = other.file == place.file || other.file >= diagnostics->source_count || !other.line;
            for (size_t j = 1; j < i; j++) before |= item->notes[j].place.file == other.file;
            if (before) continue;
            put_place(diagnostics, other, ":::", width, style, to);
            gutter(to, width, 0, style);
            trim(to);
            put_file(diagnostics, item, other.file, width, style, to);
        }
    }
    if (!item->help) return;
    yd_buf_printf(to, "%s%*s =%s %shelp:%s ", style->gutter, (int)width, "", style->off, style->help, style->off);
    put_text(to, item->help);
    yd_buf_char(to, '\n');
}

void yd_diagnostics_print(const struct yd_diagnostics *diagnostics, bool colour, struct yd_buf *to)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        if (i) yd_buf_char(to, '\n');
        print_one(diagnostics, &diagnostics->items[i], colour ? &coloured : &plain, to);
    }
}

/* ---- JSON ---- */

static void json_place(const struct yd_diagnostics *diagnostics, struct yd_place place, struct yd_json *json)
{
    bool known = place.file < diagnostics->source_count;
    yd_json_key(json, "file");
    yd_json_cstr(json, known ? diagnostics->sources[place.file].path : NULL);
    if (!known || !place.line) return;
    yd_json_key(json, "line");
    yd_json_u64(json, place.line);
    yd_json_key(json, "column");
    yd_json_u64(json, place.column);
    yd_json_key(json, "length");
    yd_json_u64(json, place.length);
}

void yd_diagnostics_json(const struct yd_diagnostics *diagnostics, struct yd_buf *to)
{
    struct yd_json json;
    /* Of those that stand below: an error that was found twice at one place, or behind the last one kept, is counted
     * in `errors` and is no item. */
    size_t warnings = 0;
    for (size_t i = 0; i < diagnostics->count; i++) warnings += diagnostics->items[i].warning;
    yd_json_init(&json, to, true);
    yd_json_object(&json);
    yd_json_key(&json, "errors");
    yd_json_u64(&json, diagnostics->count > warnings ? diagnostics->count - warnings : diagnostics->errors);
    yd_json_key(&json, "warnings");
    yd_json_u64(&json, warnings);
    yd_json_key(&json, "diagnostics");
    yd_json_array(&json);
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct yd_diagnostic *item = &diagnostics->items[i];
        char code[16] = {diagnostics->letter ? diagnostics->letter : 'Y', (char)('0' + item->code / 100 % 10),
                         (char)('0' + item->code / 10 % 10), (char)('0' + item->code % 10)};
        yd_json_object(&json);
        yd_json_key(&json, "code");
        yd_json_cstr(&json, code);
        yd_json_key(&json, "severity");
        yd_json_cstr(&json, item->warning ? "warning" : "error");
        yd_json_key(&json, "message");
        yd_json_cstr(&json, item->message);
        json_place(diagnostics, item->notes[0].place, &json);
        yd_json_key(&json, "notes");
        yd_json_array(&json);
        for (size_t j = 0; j < item->note_count; j++) {
            if (j == 0 && !*item->notes[0].text) continue;
            yd_json_object(&json);
            yd_json_key(&json, "text");
            yd_json_cstr(&json, item->notes[j].text);
            json_place(diagnostics, item->notes[j].place, &json);
            yd_json_object_end(&json);
        }
        yd_json_array_end(&json);
        yd_json_key(&json, "help");
        yd_json_cstr(&json, item->help);
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    yd_json_object_end(&json);
    yd_buf_char(to, '\n');
}
