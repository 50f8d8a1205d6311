/* Mistakes of definitions: collected in the arena of the diagnostics, never printed here. Out of memory: the mistake is
 * counted all the same, so that nothing that has one passes. */
#include "decom/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

static const char *vprint(struct yd_diagnostics *diagnostics, const char *format, va_list args)
{
    char text[1024];
    int size = vsnprintf(text, sizeof text, format, args);
    size_t used = YD_MIN((size_t)YD_MAX(size, 0), sizeof text - 1);
    /* A cut may have split a character: the whole of it goes. */
    while (used && !yd_text_utf8((struct yd_str){text, used}) && size >= (int)sizeof text) used--;
    const char *copy = yd_arena_cstr(&diagnostics->arena, (struct yd_str){text, used});
    return copy ? copy : "";
}

/* A NULL item: muted, so that notes and help after it go nowhere. */
static struct yd_diagnostic *add(struct yd_diagnostics *diagnostics, unsigned code, struct yd_place place)
{
    diagnostics->muted = true;
    diagnostics->letter = 'D';
    for (size_t i = 0; i < diagnostics->count; i++) {
        struct yd_place other = diagnostics->items[i].notes[0].place;
        if (diagnostics->items[i].code == code && other.file == place.file && other.line == place.line &&
            other.column == place.column && place.line)
            return NULL;
    }
    if (diagnostics->count >= YD_DEF_ERRORS_MAX) return NULL;
    if (diagnostics->count == diagnostics->capacity) {
        size_t capacity = diagnostics->capacity ? diagnostics->capacity * 2 : 16;
        struct yd_diagnostic *items = yd_arena_get(&diagnostics->arena, capacity * sizeof *items);
        if (!items) return NULL;
        if (diagnostics->count) memcpy(items, diagnostics->items, diagnostics->count * sizeof *items);
        diagnostics->items = items;
        diagnostics->capacity = capacity;
    }
    diagnostics->muted = false;
    return &diagnostics->items[diagnostics->count++];
}

static void report(struct yd_diagnostics *diagnostics, bool warning, unsigned code, struct yd_place place,
                   const char *beside, const char *format, va_list args)
{
    if (!warning) diagnostics->errors++;
    struct yd_diagnostic *item = add(diagnostics, code, place);
    if (!item) return;
    *item = (struct yd_diagnostic){.warning = warning, .code = code, .note_count = 1};
    item->message = vprint(diagnostics, format, args);
    const char *words = yd_arena_cstr(&diagnostics->arena, yd_str_of(beside));
    item->notes[0] = (struct yd_note){place, words ? words : ""};
}

bool yd_def_error(struct yd_diagnostics *diagnostics, enum yd_def_code code, struct yd_place place, const char *beside,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(diagnostics, false, code, place, beside, format, args);
    va_end(args);
    return false;
}

bool yd_def_warn(struct yd_diagnostics *diagnostics, enum yd_def_code code, struct yd_place place, const char *beside,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(diagnostics, true, code, place, beside, format, args);
    va_end(args);
    return false;
}

void yd_def_note(struct yd_diagnostics *diagnostics, struct yd_place place, const char *format, ...)
{
    struct yd_diagnostic *item = diagnostics->count ? &diagnostics->items[diagnostics->count - 1] : NULL;
    if (!item || diagnostics->muted || item->note_count == YD_COUNT(item->notes) || !place.line) return;
    va_list args;
    va_start(args, format);
    item->notes[item->note_count++] = (struct yd_note){place, vprint(diagnostics, format, args)};
    va_end(args);
}

void yd_def_help(struct yd_diagnostics *diagnostics, const char *format, ...)
{
    if (diagnostics->muted || !diagnostics->count) return;
    va_list args;
    va_start(args, format);
    diagnostics->items[diagnostics->count - 1].help = vprint(diagnostics, format, args);
    va_end(args);
}

uint32_t yd_def_source(struct yd_diagnostics *diagnostics, const char *path, struct yd_str text)
{
    if (diagnostics->source_count == diagnostics->source_capacity) {
        size_t capacity = diagnostics->source_capacity ? diagnostics->source_capacity * 2 : 4;
        struct yd_source *sources = yd_arena_get(&diagnostics->arena, capacity * sizeof *sources);
        if (!sources) return UINT32_MAX;
        if (diagnostics->source_count)
            memcpy(sources, diagnostics->sources, diagnostics->source_count * sizeof *sources);
        diagnostics->sources = sources;
        diagnostics->source_capacity = capacity;
    }
    const char *name = yd_arena_cstr(&diagnostics->arena, yd_str_of(path));
    struct yd_str copy = yd_arena_str(&diagnostics->arena, text);
    if (!name || !copy.data) return UINT32_MAX;
    diagnostics->letter = 'D';
    diagnostics->sources[diagnostics->source_count] = (struct yd_source){name, copy};
    return (uint32_t)diagnostics->source_count++;
}

static int by_place(const void *left, const void *right)
{
    const struct yd_place *a = &((const struct yd_diagnostic *)left)->notes[0].place;
    const struct yd_place *b = &((const struct yd_diagnostic *)right)->notes[0].place;
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    if (a->column != b->column) return a->column < b->column ? -1 : 1;
    return (int)((const struct yd_diagnostic *)left)->code - (int)((const struct yd_diagnostic *)right)->code;
}

void yd_def_sort(struct yd_diagnostics *diagnostics)
{
    if (diagnostics->count) qsort(diagnostics->items, diagnostics->count, sizeof *diagnostics->items, by_place);
    diagnostics->muted = true;
}

/* ---- suggestions ---- */

void yd_nearest_init(struct yd_nearest *nearest, struct yd_str asked)
{
    *nearest = (struct yd_nearest){.asked = asked, .distance = UINT32_MAX};
}

static struct yd_str lower(struct yd_str s, char *to, size_t size)
{
    size_t used = YD_MIN(s.size, size);
    for (size_t i = 0; i < used; i++)
        to[i] = s.data[i] >= 'A' && s.data[i] <= 'Z' ? (char)(s.data[i] | 0x20) : s.data[i];
    return (struct yd_str){to, used};
}

void yd_nearest_add(struct yd_nearest *nearest, struct yd_str candidate)
{
    char a[256], b[256];
    if (!candidate.size || candidate.size > sizeof b || nearest->asked.size > sizeof a) return;
    unsigned limit = nearest->asked.size <= 1 ? 0 : nearest->asked.size <= 3 ? 1 : nearest->asked.size <= 7 ? 2 : 3;
    unsigned distance = yd_text_distance(lower(nearest->asked, a, sizeof a), lower(candidate, b, sizeof b), limit);
    if (distance > limit && nearest->asked.size >= 3 && yd_str_starts(candidate, nearest->asked)) distance = limit;
    if (distance > limit || distance >= nearest->distance) return;
    nearest->distance = distance;
    nearest->best = candidate;
}

void yd_nearest_help(const struct yd_nearest *nearest, struct yd_diagnostics *diagnostics, const char *otherwise)
{
    if (nearest->best.size)
        yd_def_help(diagnostics, "did you mean '%.*s'?", YD_STR_FMT(nearest->best));
    else if (otherwise)
        yd_def_help(diagnostics, "%s", otherwise);
}

const struct yd_def_code_row *yd_def_codes(size_t *ret_count)
{
    static const struct yd_def_code_row rows[] = {
#define YD_DEF_CODE_ROW(number, name, title, advice) {number, #name, title, advice},
        YD_DEF_CODES(YD_DEF_CODE_ROW)
#undef YD_DEF_CODE_ROW
    };
    *ret_count = YD_COUNT(rows);
    return rows;
}
