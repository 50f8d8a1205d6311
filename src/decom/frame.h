/* decom/frame.h: commutated frames: a stream of bits, in which minor frames of equal size follow each other.
 *
 *   chunks of bytes ──▶ bits ──find sync, see it again a frame later──▶ locked ──▶ minor frame ──▶ its words' values
 *                        ▲                                              │
 *                        └───────── a sync pattern that is not there ───┘
 *
 * The counter (SFID) tells which minor frame of the major one it is, and so which subcommutated words are in it. */
#ifndef DECOM_FRAME_H
#define DECOM_FRAME_H

#include "decom/plan_internal.h"

struct yd__piece {
    uint32_t at; /* bit of the minor frame */
};
struct yd__sample { /* one value in a minor frame */
    const struct yd__frame_field *field;
    const struct yd__piece *pieces;
    uint32_t piece_count;
    uint32_t end;   /* bit behind its last piece */
    uint32_t frame; /* YD__NONE: in each */
    uint32_t every; /* 0: in that one only */
};
struct yd__frame_field {
    const struct yd_def_entry *entry;
    struct yd__field field;
    uint32_t offset; /* bits into the joined words */
    uint32_t reg, name, raw_name;
    const char *path;
};
struct yd__frame {
    const struct yd_def_container *container;
    struct yd__program *program; /* its names */
    uint64_t sync, mask;         /* in the lowest sync_bits */
    uint32_t sync_bits, sync_errors;
    uint32_t bits, word_bits, major;
    struct yd__sample *samples; /* by their place */
    uint32_t sample_count;
    /* of each minor frame of the major one: which samples are in it */
    uint32_t **lists, *list_sizes;
    const struct yd__sample *counter; /* NULL: each is frame 0 */
    uint32_t counter_first;
    struct yd__sequence lost; /* how missing frames are named */
    uint64_t rate;            /* bits a second; 0: not known */
};

struct yd__frame_value {
    const struct yd__frame_field *field;
    const struct yd__sample *sample;
    struct yd_decom_value raw, value;
};
/* Does the pattern stand at this bit? The caller knows that it is inside. */
bool yd__frame_synced(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at);
/* Which minor frame this is; YD__NONE: its counter says one that there is not. */
uint32_t yd__frame_index(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at);
struct yd__frame_value yd__frame_read(const struct yd__frame *frame, const struct yd__sample *sample,
                                      struct yd_decom_value *registers, const uint8_t *data, uint64_t size,
                                      uint64_t at);

#endif
