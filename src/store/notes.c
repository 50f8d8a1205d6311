/* Annotations: see notes.h. One sorted array of pointers; what is looked up is a range of it. */
#include "store/notes.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/internal.h"

#define MAGIC   UINT32_C(0x544e4459)
#define VERSION 1

struct yd__note {
    int64_t start, end;
    uint64_t tsuid;
    uint32_t description, notes, custom; /* sizes */
    bool global;
    char bytes[];
};

struct file_header {
    uint32_t magic, version, count, crc; /* crc: of what stands before it */
};
struct file_note {
    uint32_t size, crc; /* of what follows, crc of that */
    int64_t start, end;
    uint64_t tsuid;
    uint32_t description, notes, custom, global;
};
#define FILE_NOTE_HEAD 8 /* size and crc are not counted by size */

/* ---- records ---- */

static size_t name_of(bool global, uint64_t tsuid, char to[64])
{
    int size = snprintf(to, 64, global ? YD_NOTE_NAME : YD_NOTE_NAME " tsuid=%016llX", (unsigned long long)tsuid);
    return (size_t)size;
}

bool yd_note_named(struct yd_str name)
{
    const struct yd_str own = YD_STR(YD_NOTE_NAME);
    return yd_str_starts(name, own) && (name.size == own.size || name.data[own.size] == ' ');
}

static int put_text(struct yd_builder *builder, const char *key, struct yd_str text, bool given)
{
    return given ? yd_builder_cell_bytes(builder, yd_str_of(key), YD_TEXT, text) : 0;
}
static int put_flag(struct yd_builder *builder, const char *key, bool given)
{
    return given ? yd_builder_cell(builder, yd_str_of(key), YD_BOOL, (union yd_value){.bits = 1}) : 0;
}

int yd_note_put(struct yd_builder *builder, struct yd_str name, const struct yd_note *note, unsigned given)
{
    char own[64];
    uint32_t index;
    if (name.size == 0) name = (struct yd_str){own, name_of(note->global, note->tsuid, own)};
    int r = yd_builder_name(builder, name, &index);
    if (r >= 0) r = yd_builder_begin(builder, note->start_ns, index, YD_EVENT, 0, YD_MAP);
    if (r >= 0 && !note->global)
        r = yd_builder_cell(builder, YD_STR("tsuid"), YD_U64, (union yd_value){.u64 = note->tsuid});
    if (r >= 0 && (given & (YD_NOTE_END | YD_NOTE_DELETE)))
        r = yd_builder_cell(builder, YD_STR("end"), YD_I64, (union yd_value){.i64 = note->end_ns});
    if (r >= 0) r = put_text(builder, "description", note->description, given & YD_NOTE_DESCRIPTION);
    if (r >= 0) r = put_text(builder, "notes", note->notes, given & YD_NOTE_NOTES);
    if (r >= 0) r = put_text(builder, "custom", note->custom, given & YD_NOTE_CUSTOM);
    if (r >= 0) r = put_flag(builder, "replace", given & YD_NOTE_REPLACE);
    if (r >= 0) r = put_flag(builder, "delete", given & YD_NOTE_DELETE);
    if (r >= 0) r = yd_builder_end(builder);
    return r;
}

static bool get_text(const struct yd_view *view, union yd_value map, const char *key, struct yd_str *ret)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(key));
    if (!cell || cell->type != YD_TEXT) return false;
    *ret = yd_view_bytes(view, cell->value);
    return true;
}
static bool get_flag(const struct yd_view *view, union yd_value map, const char *key)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(key));
    return cell && cell->type == YD_BOOL && cell->value.bits;
}

bool yd_note_read(const struct yd_view *view, uint32_t index, struct yd_note *ret_note, unsigned *ret_given)
{
    const struct yd_record *record = &view->records[index];
    struct yd_note note = {.global = true, .start_ns = record->time_ns};
    unsigned given = 0;
    if (record->kind != YD_EVENT || record->type != YD_MAP) return false;
    const struct yd_cell *tsuid = yd_view_find(view, record->value, YD_STR("tsuid"));
    const struct yd_cell *end = yd_view_find(view, record->value, YD_STR("end"));
    if (tsuid && tsuid->type != YD_U64) return false;
    if (tsuid) note.global = false, note.tsuid = tsuid->value.u64;
    if (end && end->type == YD_I64) note.end_ns = end->value.i64, given |= YD_NOTE_END;
    if (get_text(view, record->value, "description", &note.description)) given |= YD_NOTE_DESCRIPTION;
    if (get_text(view, record->value, "notes", &note.notes)) given |= YD_NOTE_NOTES;
    if (get_text(view, record->value, "custom", &note.custom)) given |= YD_NOTE_CUSTOM;
    if (get_flag(view, record->value, "replace")) given |= YD_NOTE_REPLACE;
    if (get_flag(view, record->value, "delete")) given |= YD_NOTE_DELETE;
    *ret_note = note;
    *ret_given = given;
    return true;
}

/* ---- in memory ---- */

static size_t size_of(const struct yd__note *note)
{
    return sizeof *note + note->description + note->notes + note->custom;
}

static struct yd_note view_of(const struct yd__note *note)
{
    const char *text = note->bytes;
    return (struct yd_note){.global = note->global,
                            .tsuid = note->tsuid,
                            .start_ns = note->start,
                            .end_ns = note->end,
                            .description = {text, note->description},
                            .notes = {text + note->description, note->notes},
                            .custom = {text + note->description + note->notes, note->custom}};
}

static struct yd__note *make(struct yd_history *history, const struct yd_note *from)
{
    size_t size = from->description.size + from->notes.size + from->custom.size;
    struct yd__note *note = yd_alloc_zero(history->options.alloc, sizeof *note + size);
    if (!note) return NULL;
    *note = (struct yd__note){.start = from->start_ns,
                              .end = from->end_ns,
                              .tsuid = from->global ? 0 : from->tsuid,
                              .description = (uint32_t)from->description.size,
                              .notes = (uint32_t)from->notes.size,
                              .custom = (uint32_t)from->custom.size,
                              .global = from->global};
    char *to = note->bytes;
    const struct yd_str parts[] = {from->description, from->notes, from->custom};
    for (size_t i = 0; i < YD_COUNT(parts); i++) {
        if (parts[i].size) memcpy(to, parts[i].data, parts[i].size);
        to += parts[i].size;
    }
    return note;
}

/* The first that does not stand before (global, tsuid, start). Global ones come first. */
static uint32_t find(const struct yd__notes *all, bool global, uint64_t tsuid, int64_t start)
{
    uint32_t low = 0, high = all->count;
    if (global) tsuid = 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct yd__note *note = all->items[middle];
        bool before = note->global != global ? note->global
                      : note->tsuid != tsuid ? note->tsuid < tsuid
                                             : note->start < start;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is(const struct yd__notes *all, uint32_t at, bool global, uint64_t tsuid, int64_t to)
{
    if (at >= all->count) return false;
    const struct yd__note *note = all->items[at];
    return note->global == global && (global || note->tsuid == tsuid) && note->start <= to;
}

static void take_out(struct yd_history *history, uint32_t at, uint32_t count)
{
    struct yd__notes *all = &history->notes;
    for (uint32_t i = at; i < at + count; i++) {
        all->bytes -= size_of(all->items[i]);
        yd_alloc_put(history->options.alloc, all->items[i], size_of(all->items[i]));
    }
    all->count -= count;
    memmove(all->items + at, all->items + at + count, (all->count - at) * sizeof(struct yd__note *));
    all->changed = true;
}

static void push_out(struct yd_history *history)
{
    struct yd__notes *all = &history->notes;
    while (all->count > YD_NOTES_MAX || all->bytes > YD_NOTES_BYTES) {
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < all->count; i++)
            if (all->items[i]->start < all->items[oldest]->start) oldest = i;
        take_out(history, oldest, 1);
        all->lost++;
    }
}

static int put_in(struct yd_history *history, uint32_t at, struct yd__note *note)
{
    struct yd__notes *all = &history->notes;
    if (all->count == all->room) {
        uint32_t room = all->room ? all->room * 2 : 64;
        struct yd__note **items =
            yd_alloc_resize(history->options.alloc, all->items, all->room * sizeof(*items), room * sizeof(*items));
        if (!items) return YD_ENOMEM;
        all->items = items;
        all->room = room;
    }
    memmove(all->items + at + 1, all->items + at, (all->count - at) * sizeof(struct yd__note *));
    all->items[at] = note;
    all->count++;
    return YD_OK;
}

int yd_history_note(struct yd_history *history, const struct yd_note *note, unsigned given)
{
    struct yd__notes *all = &history->notes;
    uint32_t at = find(all, note->global, note->tsuid, note->start_ns), count = 0;
    if (given & YD_NOTE_DELETE) {
        while (is(all, at + count, note->global, note->tsuid, note->end_ns)) count++;
        if (count) take_out(history, at, count);
        return YD_OK;
    }
    bool known = is(all, at, note->global, note->tsuid, note->start_ns);
    struct yd_note whole = {.global = note->global, .tsuid = note->tsuid, .start_ns = note->start_ns};
    if (known && !(given & YD_NOTE_REPLACE)) whole = view_of(all->items[at]);
    if (given & YD_NOTE_END) whole.end_ns = note->end_ns;
    if (given & YD_NOTE_DESCRIPTION) whole.description = note->description;
    if (given & YD_NOTE_NOTES) whole.notes = note->notes;
    if (given & YD_NOTE_CUSTOM) whole.custom = note->custom;
    if (whole.description.size + whole.notes.size + whole.custom.size > YD_NOTE_SIZE_MAX) return YD_ETOOBIG;
    struct yd__note *made = make(history, &whole);
    if (!made) return YD_ENOMEM;
    if (known) {
        all->bytes -= size_of(all->items[at]);
        yd_alloc_put(history->options.alloc, all->items[at], size_of(all->items[at]));
        all->items[at] = made;
    } else if (put_in(history, at, made) < 0) {
        yd_alloc_put(history->options.alloc, made, size_of(made));
        return YD_ENOMEM;
    }
    all->bytes += size_of(made);
    all->changed = true;
    push_out(history);
    return YD_OK;
}

void yd_history_notes(struct yd_history *history, bool global, uint64_t tsuid, int64_t from, int64_t to,
                      void (*visit)(void *arg, const struct yd_note *note), void *arg)
{
    const struct yd__notes *all = &history->notes;
    for (uint32_t at = find(all, global, tsuid, from); is(all, at, global, tsuid, to); at++) {
        struct yd_note note = view_of(all->items[at]);
        visit(arg, &note);
    }
}

uint64_t yd_history_notes_lost(const struct yd_history *history)
{
    return history->notes.lost;
}

void yd_history_notes_forget(struct yd_history *history, const struct yd_pattern *pattern)
{
    struct yd__notes *all = &history->notes;
    for (uint32_t at = all->count; at-- > 0;) {
        char name[64];
        size_t size = name_of(all->items[at]->global, all->items[at]->tsuid, name);
        if (yd_pattern_match(pattern, (struct yd_str){name, size})) take_out(history, at, 1);
    }
}

void yd__notes_cut(struct yd_history *history, uint64_t tsuid, int64_t until)
{
    struct yd__notes *all = &history->notes;
    uint32_t at = find(all, false, tsuid, INT64_MIN), count = 0;
    while (until > INT64_MIN && is(all, at + count, false, tsuid, until == INT64_MAX ? INT64_MAX : until - 1)) count++;
    if (count) take_out(history, at, count);
}

void yd__notes_fini(struct yd_history *history)
{
    struct yd__notes *all = &history->notes;
    if (all->count) take_out(history, 0, all->count);
    yd_alloc_put(history->options.alloc, all->items, all->room * sizeof(struct yd__note *));
    *all = (struct yd__notes){0};
}

/* ---- of a query's group ---- */

static int by_start(const void *a, const void *b)
{
    const struct yd__note *x = *(struct yd__note *const *)a, *y = *(struct yd__note *const *)b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    return (x->tsuid > y->tsuid) - (x->tsuid < y->tsuid);
}

int yd__notes_of(struct yd_history *history, const uint32_t *ids, const uint32_t *joined, uint32_t count, int64_t from,
                 int64_t to, struct yd__note ***ret_notes, uint32_t *ret_count)
{
    const struct yd__notes *all = &history->notes;
    struct yd__note **found = NULL;
    uint32_t kept = 0, room = 0;
    *ret_notes = NULL;
    *ret_count = 0;
    for (uint32_t i = 0; i < count && all->count; i++) {
        const struct yd__series *series = joined[i] ? yd__series_get(history, ids[i]) : NULL;
        if (!series) continue;
        uint64_t tsuid = yd_history_tsuid(yd__label_name(series->label));
        for (uint32_t at = find(all, false, tsuid, from); is(all, at, false, tsuid, to); at++) {
            if (kept == room) {
                uint32_t more = room ? room * 2 : 16;
                struct yd__note **grown =
                    yd_alloc_resize(history->options.alloc, found, room * sizeof(*grown), more * sizeof(*grown));
                if (!grown) {
                    yd_alloc_put(history->options.alloc, found, room * sizeof(*found));
                    return YD_ENOMEM;
                }
                found = grown;
                room = more;
            }
            found[kept++] = all->items[at];
        }
    }
    if (kept) qsort(found, kept, sizeof(*found), by_start);
    *ret_notes = found;
    *ret_count = kept;
    if (found && kept < room) { /* exactly as large as is said, for whoever puts it back */
        struct yd__note **exact =
            yd_alloc_resize(history->options.alloc, found, room * sizeof(*exact), kept * sizeof(*exact));
        if (!exact) {
            yd_alloc_put(history->options.alloc, found, room * sizeof(*found));
            return YD_ENOMEM;
        }
        *ret_notes = exact;
    }
    return YD_OK;
}

struct yd_note yd__note_view(const struct yd__note *note)
{
    return view_of(note);
}

/* ---- the file ---- */

bool yd_history_notes_changed(const struct yd_history *history)
{
    return history->notes.changed;
}

void yd_history_notes_touch(struct yd_history *history)
{
    history->notes.changed = true;
}

int yd_history_notes_save(struct yd_history *history, int64_t from, struct yd_buf *to)
{
    struct yd__notes *all = &history->notes;
    for (uint32_t at = all->count; at-- > 0;)
        if (all->items[at]->start < from) take_out(history, at, 1);
    struct file_header head = {.magic = MAGIC, .version = VERSION, .count = all->count};
    head.crc = yd_crc32c(0, &head, offsetof(struct file_header, crc));
    yd_buf_add(to, &head, sizeof head);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct yd__note *note = all->items[i];
        size_t text = size_of(note) - sizeof *note;
        struct file_note entry = {.size = (uint32_t)(sizeof entry - FILE_NOTE_HEAD + text),
                                  .start = note->start,
                                  .end = note->end,
                                  .tsuid = note->tsuid,
                                  .description = note->description,
                                  .notes = note->notes,
                                  .custom = note->custom,
                                  .global = note->global};
        entry.crc = yd_crc32c(0, (const char *)&entry + FILE_NOTE_HEAD, sizeof entry - FILE_NOTE_HEAD);
        entry.crc = yd_crc32c(entry.crc, note->bytes, text);
        yd_buf_add(to, &entry, sizeof entry);
        yd_buf_add(to, note->bytes, text);
    }
    if (to->failed) return YD_ENOMEM;
    all->changed = false;
    return YD_OK;
}

static bool load_one(const struct file_note *entry, const char *text, struct yd_note *ret)
{
    uint64_t size = (uint64_t)entry->description + entry->notes + entry->custom;
    if (entry->size != sizeof *entry - FILE_NOTE_HEAD + size || size > YD_NOTE_SIZE_MAX) return false;
    uint32_t crc = yd_crc32c(0, (const char *)entry + FILE_NOTE_HEAD, sizeof *entry - FILE_NOTE_HEAD);
    if (yd_crc32c(crc, text, size) != entry->crc) return false;
    *ret = (struct yd_note){.global = entry->global != 0,
                            .tsuid = entry->tsuid,
                            .start_ns = entry->start,
                            .end_ns = entry->end,
                            .description = {text, entry->description},
                            .notes = {text + entry->description, entry->notes},
                            .custom = {text + entry->description + entry->notes, entry->custom}};
    return true;
}

int yd_history_notes_load(struct yd_history *history, struct yd_str file, uint32_t *ret_damaged)
{
    const unsigned all = YD_NOTE_END | YD_NOTE_DESCRIPTION | YD_NOTE_NOTES | YD_NOTE_CUSTOM | YD_NOTE_REPLACE;
    struct file_header head;
    uint32_t good = 0;
    *ret_damaged = 0;
    if (file.size < sizeof head) return YD_EFORMAT;
    memcpy(&head, file.data, sizeof head);
    if (head.magic != MAGIC || head.crc != yd_crc32c(0, &head, offsetof(struct file_header, crc))) return YD_EFORMAT;
    if (head.version != VERSION) return YD_EVERSION;
    file.data += sizeof head, file.size -= sizeof head;
    while (file.size >= sizeof(struct file_note)) {
        struct file_note entry;
        struct yd_note note;
        memcpy(&entry, file.data, sizeof entry);
        uint64_t size = (uint64_t)entry.size + FILE_NOTE_HEAD;
        if (size < sizeof entry || size > file.size) break; /* where the next one begins is not known */
        if (load_one(&entry, file.data + sizeof entry, &note)) {
            int r = yd_history_note(history, &note, all);
            if (r < 0) return r;
            good++;
        }
        file.data += size, file.size -= size;
    }
    *ret_damaged = head.count > good ? head.count - good : 0;
    history->notes.changed = *ret_damaged != 0;
    return YD_OK;
}
