/* log/match.c: what a reader need not read: where nothing can match its pattern and kinds.
 *
 *   segment: footer.kinds, the names of its index (keys_format.h)      ─▶ never read
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
    *ret_match = match;
    return 0;
}

void yd__match_destroy(struct yd__match *match)
{
    if (!match) return;
    yd_pattern_destroy(match->pattern);
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

bool yd__match_passes_segment(struct yd_log_reader *reader, uint64_t next, uint64_t end)
{
    struct yd__footer footer;
    if (next == UINT64_MAX || next > end) return false;
    if (yd__footer_read(reader->file, reader->log_id, &footer, NULL)) return false;
    if (footer.base_seqno != reader->base || footer.next_seqno != next) return false;
    bool any = (footer.kinds & reader->match->kinds) != 0;
    if (any && reader->match->pattern) any = keys_match(reader, &footer);
    if (any) return false;
    yd__reader_leave(reader);
    reader->seqno = reader->place_seqno = next;
    return true;
}
