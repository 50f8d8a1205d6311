/* decom/frame.h: commutated frames: a stream of bits, in which minor frames of equal size follow each other.
 *
 *   chunks of bytes ──▶ bits ──search──▶ check ──▶ locked ──▶ minor frame ──▶ checksums, counter ──▶ its words' values
 *                        ▲                            │
 *                        └── more patterns missing than the flywheel has ──┘
 *
 * The counter (SFID) tells which minor frame of the major one it is, and so which subcommutated words are in it. */
#ifndef DECOM_FRAME_H
#define DECOM_FRAME_H

#include "decom/plan_internal.h"

struct yd__scope;
#define YD__JOINED_MAX  8192        /* bits of words joined to one value */
#define YD__FRAMES_MAX  (64u << 20) /* bytes that are kept until it is known what is in them */
#define YD__TEXT_GROWTH 3           /* bytes that one of a text becomes at most, converted */

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
    uint32_t bits;   /* of them, from there: a number's, a time's, a text's */
    uint32_t reg, name, raw_name;
    bool keeps; /* its register is a text, which outlives the frame: machine->kept has room for it from `kept` on */
    uint32_t kept;
    const struct yd__condition *only_if;
    const struct yd__scope *scope; /* the compiler's: its register */
    const char *path;
};
struct yd__frame {
    const struct yd_def_container *container;
    struct yd__program *program; /* its names */
    uint64_t sync, mask;         /* in the lowest sync_bits */
    uint32_t sync_bits;
    uint32_t errors, errors_locked; /* wrong bits that are tolerated: until locked, then */
    uint32_t check, flywheel;       /* patterns in a row that must follow the first; that may be missing */
    uint32_t bits, word_bits, major;
    struct yd__sample *samples; /* by their place */
    uint32_t sample_count;
    /* of each minor frame of the major one: which samples are in it */
    uint32_t **lists, *list_sizes;
    const struct yd__sample *counter; /* NULL: each is frame 0 */
    const struct yd__sample *stamp;   /* NULL: the time is that of the chunk */
    uint32_t counter_first;
    bool has_checks, has_checksum; /* constants, or the latter */
    bool has_registers;            /* words that others ask for */
    struct yd__sequence lost;      /* how missing frames are named */
    uint64_t rate;                 /* bits a second; 0: not known */
};

struct yd__frame_value {
    const struct yd__frame_field *field;
    const struct yd__sample *sample;
    struct yd_decom_value raw, value;
    bool is_there; /* its condition holds */
};
/* Where the words of a value are put together; texts point into it, until the next value is. */
struct yd__joined {
    uint8_t words[YD__JOINED_MAX / 8 + 8];
    char text[YD__JOINED_MAX / 8 * YD__TEXT_GROWTH];
};

/* Does the pattern stand at this bit, with so many wrong bits at most? The caller knows that it is inside. */
bool yd__frame_synced(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at, uint32_t errors);
/* The words of one value behind each other, from the first bit of `words` (of a struct yd__joined, or 24 bytes where
 * they are a number) on; and back to where they are. */
void yd__frame_join(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *data, uint64_t size,
                    uint64_t at, uint8_t *words);
void yd__frame_split(const struct yd__frame *frame, const struct yd__sample *sample, const uint8_t *words,
                     uint8_t *data);
/* Which minor frame this is; YD__NONE: its counter says one that there is not. */
uint32_t yd__frame_index(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at);
/* Are its checksums right, and what is always the same? 0, YD_FRAME_CHECKSUM or _CONSTANT. `copy` has room for the
 * frame: checksums are of bytes, and it may begin in the middle of one. */
int yd__frame_verify(const struct yd__frame *frame, uint32_t index, const uint8_t *data, uint64_t size, uint64_t at,
                     uint8_t *copy);
void yd__frame_copy(const struct yd__frame *frame, const uint8_t *data, uint64_t size, uint64_t at, uint8_t *copy);
/* Raw values that calibrations and conditions ask for, wherever they are in the frame, into the machine's registers. */
void yd__frame_load(const struct yd__frame *frame, uint32_t index, struct yd__machine *machine,
                    struct yd__joined *joined, const uint8_t *data, uint64_t size, uint64_t at);
struct yd__frame_value yd__frame_read(const struct yd__frame *frame, const struct yd__sample *sample,
                                      struct yd__machine *machine, struct yd__joined *joined, const uint8_t *data,
                                      uint64_t size, uint64_t at);

#endif
