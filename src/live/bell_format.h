/* live/bell_format.h: a page that one group of clients may write: how they sleep and are woken.
 *
 *   0            1024                    2048                   4096
 *   | header, …  | 64 × | got 8 | lost 8 | 64 words, half a line each |
 *
 *   word: bits 31..1 sequence of rings, bit 0: somebody waits (or did when he was killed)
 *
 * A value belongs to word (hash of its name mod 63), so a ring wakes only those who wait for it or one of its few
 * neighbours, and one may wait for a name that is not there yet. The last word is rung when names have come. The
 * writer replaces the whole word by one exchange: that publishes the ring and reveals the waiter in one step, and mends
 * whatever a client scribbled there. The truth is in the sealed region: a bell is a hint. Its region is sealed against
 * shrinking, growing and further seals only; its header is the writer's word to whoever opens it, and nothing the
 * writer reads. In a triple buffer's control region the same page carries the control word (triple_format.h). */
#ifndef LIVE_BELL_FORMAT_H
#define LIVE_BELL_FORMAT_H

#include "live/region_format.h"

#define YD__BELL_WORDS  64
#define YD__BELL_NAMES  (YD__BELL_WORDS - 1) /* the directory has grown */
#define YD__BELL_WAITER UINT32_C(1)
#define YD__BELL_STEP   UINT32_C(2)

static inline uint16_t yd__bell_of(uint64_t name_hash)
{
    return (uint16_t)(name_hash % (YD__BELL_WORDS - 1));
}

struct yd__bell_word {
    uint32_t word;
    uint8_t reserved[28];
};

/* What the reader behind a word says of itself, where the page is of one application: values it has read, and that were
 * overwritten before it read them. Shown to people, and believed by nobody. */
struct yd__bell_said {
    uint64_t got, lost;
};

struct yd__bell_page {
    struct yd__live_header header;
    uint8_t reserved[1024 - sizeof(struct yd__live_header)];
    struct yd__bell_said said[YD__BELL_WORDS];
    struct yd__bell_word words[YD__BELL_WORDS];
};

#define YD__BELL_SIZE (2048 + YD__BELL_WORDS * 32)

_Static_assert(sizeof(struct yd__bell_page) == YD__BELL_SIZE && YD__BELL_SIZE == YD__LIVE_PAGE &&
                   offsetof(struct yd__bell_page, said) == 1024 && offsetof(struct yd__bell_page, words) == 2048,
               "the bell's layout is the format");

#endif
