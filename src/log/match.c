/* log/match.c: what a reader need not read: where nothing can match its pattern and kinds.
 *
 *   segment: footer.kinds, its least and greatest name, its name index ─▶ never read
 *   entry:   the least and the greatest name of its 64 KiB             ─▶ never read
 *   batch:   header.kinds                                              ─▶ its body is not read
 *            its table of names                                        ─▶ read, not given
 *
 * Only what certainly holds no match is passed over: a segment by a footer and an index that are good and its own, and
 * that reach up to where the next segment begins. What is given may hold other records too. Passing over is no gap. */
#include <stdlib.h>
#include <string.h>

#include <yarder/name.h>

#include "log/keys.h"
#include "log/reader.h"

struct yd__match {
    struct yd_pattern *pattern; /* NULL: any name */
    uint32_t kinds;
    struct yd_str prefix; /* of all names that match, the pattern's */
    /* The index of the open segment, when it is sealed and there is something to pass over by it. */
    struct yd__index_entry *entries;
    uint32_t count, at;  /* at: the entry that the reader is in */
    uint64_t base, next; /* the segment, and behind its last entry */
    uint64_t passed;     /* records, counted */
};

int yd__match_create(const struct yd_log_start *start, struct yd__match **ret_match)
{
    bool kinds = start->kinds != 0 && (start->kinds & YD_KINDS_ALL) != YD_KINDS_ALL;
    const char *names = start->names && start->names[0] ? start->names : NULL;
    *ret_match = NULL;
    if (!kinds && !names) return 0;
    struct yd__match *match = calloc(1, sizeof *match);
    if (!match) return YD_ENOMEM;
    match->kinds = kinds ? start->kinds : UINT32_MAX;
    int error = names ? yd_pattern_compile((struct yd_str){names, strlen(names)}, &match->pattern) : 0;
    if (error) {
        free(match);
        return error;
    }
    if (names) match->prefix = yd_pattern_prefix(match->pattern);
    *ret_match = match;
    return 0;
}

void yd__match_destroy(struct yd__match *match)
{
    if (!match) return;
    yd_pattern_destroy(match->pattern);
    free(match->entries);
    free(match);
}

bool yd__match_header(const struct yd__match *match, const struct yd_header *header)
{
    return (header->kinds & match->kinds) != 0;
}

bool yd__match_batch(const struct yd__match *match, const struct yd_batch *batch)
{
    if (!yd__match_header(match, &batch->header)) return false;
    if (!match->pattern || batch->header.codec != YD_CODEC_NONE) return true;
    for (uint32_t i = 0; i < batch->view.name_count; i++)
        if (yd_pattern_match(match->pattern, yd_view_name(&batch->view, i))) return true;
    return false;
}

static bool keys_match(const struct yd_log_reader *reader, const struct yd__footer *footer)
{
    struct yd__keys *keys;
    if (yd__keys_open(reader->fs, reader->dir, reader->base, footer, &keys)) return true;
    bool any = false;
    for (uint32_t i = 0; i < keys->head.name_count && !any; i++)
        any = yd_pattern_match(reader->match->pattern, yd__keys_name(keys, i));
    yd__keys_close(keys);
    return any;
}

/* The first record of an entry's end: where the next one begins. */
static uint64_t entry_end(const struct yd__match *match, uint32_t at)
{
    return at + 1 < match->count ? match->entries[at + 1].seqno : match->next;
}

static bool entry_matches(const struct yd__match *match, uint32_t at)
{
    const struct yd__index_entry *entry = &match->entries[at];
    return yd__range_may_hold(entry->name_min, entry->name_max, YD__INDEX_NAME_SIZE, match->prefix);
}

static void forget_entries(struct yd__match *match)
{
    free(match->entries);
    match->entries = NULL;
    match->count = match->at = 0;
}

/* The open segment's entries, worth having only where they can rule something out. */
static void take_entries(struct yd_log_reader *reader, uint64_t next)
{
    struct yd__match *match = reader->match;
    struct yd__footer footer;
    struct yd__index_entry *entries;
    forget_entries(match);
    if (!match->pattern || match->prefix.size == 0) return;
    if (yd__footer_read(reader->file, reader->log_id, &footer, &entries)) return;
    if (footer.index_count == 0 || entries[0].seqno != reader->base || footer.next_seqno != next) {
        free(entries);
        return;
    }
    match->entries = entries;
    match->count = footer.index_count;
    match->base = reader->base;
    match->next = footer.next_seqno;
}

bool yd__match_passes_segment(struct yd_log_reader *reader, uint64_t next, uint64_t end)
{
    struct yd__match *match = reader->match;
    struct yd__footer footer;
    forget_entries(match);
    if (next == UINT64_MAX || next > end) return false;
    if (yd__footer_read(reader->file, reader->log_id, &footer, NULL)) return false;
    if (footer.base_seqno != reader->base || footer.next_seqno != next) return false;
    bool any = (footer.kinds & match->kinds) != 0;
    if (any && match->pattern)
        any = yd__range_may_hold(footer.name_min, footer.name_max, YD__RANGE_NAME_SIZE, match->prefix) &&
              keys_match(reader, &footer);
    if (any) {
        take_entries(reader, next);
        return false;
    }
    yd__reader_leave(reader);
    match->passed += next - reader->seqno;
    reader->seqno = reader->place_seqno = next;
    return true;
}

bool yd__match_passes_entries(struct yd_log_reader *reader)
{
    struct yd__match *match = reader->match;
    if (!match->entries || match->base != reader->base || reader->place_seqno != reader->seqno) return false;
    while (match->at + 1 < match->count && match->entries[match->at + 1].seqno <= reader->seqno) match->at++;
    uint32_t to = match->at;
    while (to < match->count && !entry_matches(match, to)) to++;
    if (to == match->at) return false;
    uint64_t seqno = entry_end(match, to - 1);
    if (seqno <= reader->seqno) return false;
    match->passed += seqno - reader->seqno;
    reader->seqno = reader->place_seqno = seqno;
    if (to < match->count) {
        reader->offset = match->entries[to].offset;
        match->at = to;
    } else {
        forget_entries(match);
        yd__reader_leave(reader);
    }
    return true;
}

uint64_t yd__match_passed(const struct yd__match *match)
{
    return match ? match->passed : 0;
}
