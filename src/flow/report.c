/* Reporting: mistakes are collected, never printed here. Each is said once, however often a compound is expanded; the
 * suggestion beside it is the nearest name, or the list of what there is. */
#include <stdio.h>
#include <stdlib.h>

#include "flow/language.h"

const struct yd_code *yd_diagnostics_codes(size_t *ret_count)
{
    static const struct yd_code codes[] = {
#define YD_CODE_ROW(number, name, title, advice) {number, #name, title, advice},
        YD_CODES(YD_CODE_ROW)
#undef YD_CODE_ROW
    };
    *ret_count = YD_COUNT(codes);
    return codes;
}

/* Of the diagnostics' arena; out of memory as elsewhere. */
static void *piece(struct yd__work *work, size_t size)
{
    void *got = yd_arena_zero(&work->diagnostics->arena, size);
    if (got) return got;
    if (!work->in_bison) longjmp(work->out_of_memory, 1);
    work->failed = true;
    return NULL;
}

static char *vprint(struct yd__work *work, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = piece(work, (size_t)size + 1);
    if (text) (void)vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

static struct yd_diagnostic *last(struct yd__work *work)
{
    struct yd_diagnostics *diagnostics = work->diagnostics;
    return work->muted || work->silent || work->failed ? NULL : &diagnostics->items[diagnostics->count - 1];
}

static bool same_place(struct yd_place a, struct yd_place b)
{
    return a.file == b.file && a.line == b.line && a.column == b.column;
}

static struct yd_diagnostic *add(struct yd__work *work, unsigned code, struct yd_place place)
{
    struct yd_diagnostics *diagnostics = work->diagnostics;
    work->muted = true;
    if (work->failed) return NULL;
    if (work->silent) return work->tried++, NULL;
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->items[i].code == code && same_place(diagnostics->items[i].notes[0].place, place)) return NULL;
    if (diagnostics->errors >= YD_FLOW_ERRORS_MAX) {
        work->too_many = true;
        return NULL;
    }
    if (diagnostics->count == diagnostics->capacity) {
        size_t capacity = diagnostics->capacity ? diagnostics->capacity * 2 : 16;
        struct yd_diagnostic *items = piece(work, capacity * sizeof *items);
        if (!items) return NULL;
        if (diagnostics->count) memcpy(items, diagnostics->items, diagnostics->count * sizeof *items);
        diagnostics->items = items;
        diagnostics->capacity = capacity;
    }
    work->muted = false;
    return &diagnostics->items[diagnostics->count++];
}

static void report(struct yd__work *work, bool warning, unsigned code, struct yd_place place, const char *beside,
                   const char *format, va_list args)
{
    struct yd_diagnostic *item = add(work, code, place);
    if (!item) return;
    *item = (struct yd_diagnostic){.warning = warning, .code = code, .message = "", .note_count = 1};
    item->notes[0] = (struct yd_note){place, ""};
    if (!warning) work->diagnostics->errors++;
    char *message = vprint(work, format, args), *words = piece(work, strlen(beside) + 1);
    if (message) item->message = message;
    if (words) item->notes[0].text = strcpy(words, beside);
}

void yd__report(struct yd__work *work, unsigned code, struct yd_place place, const char *beside, const char *format,
                ...)
{
    va_list args;
    va_start(args, format);
    report(work, false, code, place, beside, format, args);
    va_end(args);
}

void yd__warn(struct yd__work *work, unsigned code, struct yd_place place, const char *beside, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(work, true, code, place, beside, format, args);
    va_end(args);
}

void yd__note(struct yd__work *work, struct yd_place place, const char *format, ...)
{
    struct yd_diagnostic *item = last(work);
    if (!item || item->note_count == YD_COUNT(item->notes)) return;
    va_list args;
    va_start(args, format);
    char *text = vprint(work, format, args);
    va_end(args);
    if (text) item->notes[item->note_count++] = (struct yd_note){place, text};
}

void yd__help(struct yd__work *work, const char *format, ...)
{
    struct yd_diagnostic *item = last(work);
    if (!item) return;
    va_list args;
    va_start(args, format);
    item->help = vprint(work, format, args);
    va_end(args);
}

/* ---- suggestions ---- */

void yd__choice_init(struct yd__choice *choice, struct yd_str asked)
{
    *choice = (struct yd__choice){.asked = asked, .distance = UINT32_MAX};
}

static struct yd_str lower(struct yd_str s, char *to, size_t size)
{
    size_t used = YD_MIN(s.size, size);
    for (size_t i = 0; i < used; i++)
        to[i] = s.data[i] >= 'A' && s.data[i] <= 'Z' ? (char)(s.data[i] | 0x20) : s.data[i];
    return (struct yd_str){to, used};
}

void yd__choice_add(struct yd__work *work, struct yd__choice *choice, struct yd_str candidate)
{
    if (candidate.size == 0 || work->muted || work->silent) return; /* nobody will read it */
    char a[YD_FLOW_NAME_SIZE_MAX], b[YD_FLOW_NAME_SIZE_MAX];
    unsigned limit = choice->asked.size <= 3 ? 1 : choice->asked.size <= 7 ? 2 : 3;
    if (choice->asked.size <= sizeof a && candidate.size <= sizeof b) {
        /* Upper and lower case are near, but not the same. */
        unsigned distance = yd_text_distance(lower(choice->asked, a, sizeof a), lower(candidate, b, sizeof b), limit);
        bool prefix = choice->asked.size >= 3 && yd_str_starts(candidate, choice->asked);
        if (prefix && distance > limit) distance = limit;
        if (distance <= limit && distance < choice->distance) {
            choice->distance = distance;
            choice->nearest_text = candidate;
        }
    }
    choice->count++;
    if (choice->list_size > 400) return;
    choice->list = choice->list ? yd__printf(work, "%s, %.*s", choice->list, YD_STR_FMT(candidate))
                                : yd__printf(work, "%.*s", YD_STR_FMT(candidate));
    choice->list_size = strlen(choice->list);
    if (choice->list_size > 400) choice->list = yd__printf(work, "%s, …", choice->list);
}

void yd__choice_help(struct yd__work *work, struct yd__choice *choice, const char *what, const char *otherwise)
{
    if (choice->nearest_text.size)
        yd__help(work, "did you mean '%.*s'?", YD_STR_FMT(choice->nearest_text));
    else if (choice->list && what)
        yd__help(work, "%s: %s", what, choice->list);
    else if (otherwise)
        yd__help(work, "%s", otherwise);
}

bool yd__complained_before(const struct yd__work *work, struct yd_place place)
{
    const struct yd_diagnostics *diagnostics = work->diagnostics;
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct yd_diagnostic *item = &diagnostics->items[i];
        struct yd_place at = item->notes[0].place;
        bool lexer = item->code == YD_Y_CHARACTER || item->code == YD_Y_NUMBER || item->code == YD_Y_STRING_END;
        if (lexer && at.file == place.file && at.line == place.line && at.column <= place.column) return true;
    }
    return false;
}

/* ---- sources, order ---- */

uint32_t yd__source_add(struct yd__work *work, const char *path, struct yd_str text)
{
    struct yd_diagnostics *diagnostics = work->diagnostics;
    if (diagnostics->source_count == diagnostics->source_capacity) {
        size_t capacity = diagnostics->source_capacity ? diagnostics->source_capacity * 2 : 8;
        struct yd_source *sources = piece(work, capacity * sizeof *sources);
        if (diagnostics->source_count)
            memcpy(sources, diagnostics->sources, diagnostics->source_count * sizeof *sources);
        diagnostics->sources = sources;
        diagnostics->source_capacity = capacity;
    }
    char *path_copy = piece(work, strlen(path) + 1), *text_copy = piece(work, text.size + 1);
    strcpy(path_copy, path);
    if (text.size) memcpy(text_copy, text.data, text.size);
    diagnostics->sources[diagnostics->source_count] = (struct yd_source){path_copy, {text_copy, text.size}};
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

void yd__diagnostics_sort(struct yd__work *work)
{
    struct yd_diagnostics *diagnostics = work->diagnostics;
    if (diagnostics->count) qsort(diagnostics->items, diagnostics->count, sizeof *diagnostics->items, by_place);
    if (!work->too_many || diagnostics->count == diagnostics->capacity) return;
    struct yd_place nowhere = {0};
    struct yd_diagnostic *item = &diagnostics->items[diagnostics->count++];
    *item = (struct yd_diagnostic){.code = YD_Y_LIMIT, .note_count = 1, .notes = {{nowhere, ""}}};
    item->message = "there are more mistakes than these 200: they are shown when these are gone";
    diagnostics->errors++;
}
