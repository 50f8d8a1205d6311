/* decom/encode_internal.h: an encoder's inside, shared by its files. */
#ifndef DECOM_ENCODE_INTERNAL_H
#define DECOM_ENCODE_INTERNAL_H

#include "decom/encode.h"
#include "decom/plan_internal.h"

#define YD__ENCODE_ROOM    (64u << 10)
#define YD__ENCODE_PENDING 16
#define YD__ENCODE_TEXTS   (4 * YD__ENCODE_ROOM) /* texts of a packet that others ask for, converted */

struct yd__forced { /* what a condition on the way to a packet wants of a field */
    uint32_t reg;
    const struct yd__field *field;
    bool placed; /* `at` is its bit */
    uint64_t at;
    struct yd_decom_value raw;
};
struct yd__target { /* a packet of the plan */
    const struct yd__program *program;
    const char *why; /* it cannot be made */
    struct yd__forced *forced;
    uint32_t forced_count;
};
struct yd__counting { /* of a sequence */
    uint64_t key, by, next;
};
struct yd__pending { /* a field that is written when the others are */
    const struct yd__step *step;
    uint64_t at;
    uint32_t shift;
};
struct yd_encoder {
    const struct yd_plan *plan;
    struct yd_encoder_options options;
    struct yd_alloc *alloc;
    struct yd__machine machine;
    uint8_t *room;
    char *texts; /* that registers point to; NULL: not yet needed */
    size_t text_size;
    struct yd__target *targets;
    const struct yd__target *target;
    struct yd__counting *counters;
    uint32_t counter_count, counter_capacity;
    struct yd__pending ends[YD__ENCODE_PENDING], sequences[YD__ENCODE_PENDING], checks[YD__ENCODE_PENDING];
    uint32_t end_count, sequence_count, check_count;
    uint64_t furthest, saturated;
    uint8_t *out; /* of frames: the last one, behind the bits that were left over */
    uint32_t frame_index, rest_bits;
    uint8_t rest;
    char why[256];
};

int yd__encode_refuse(struct yd_encoder *encoder, const char *path, const char *why); /* YD_ENOTSUP */
int yd__encode_no_number(struct yd_encoder *encoder, const char *path, const struct yd__field *field,
                         struct yd_decom_value raw); /* likewise */
/* Asks for a value, and once more for a raw one when it has no inverse. */
struct yd_decom_value yd__encode_raw(struct yd_encoder *encoder, const struct yd__field *field,
                                     struct yd_encode_ask *ask);
/* UTF-8 in the charset of the type, at most `room` bytes, no character cut. */
size_t yd__encode_text(const struct yd_def_type *type, struct yd_str text, char *to, uint64_t room);
/* encode_frame.c */
int yd__encode_frame(struct yd_encoder *encoder, struct yd_str *ret_bytes);

#endif
