/* decom/encode.h: values into packets: the decoder's other direction, by the same plan.
 *
 *   yd_encode(packet) ──for each field──▶ value(ask) ──calibration backwards──▶ raw ──▶ bits ──▶ bytes
 *                          │                                                              └──▶ told(ask, raw, value)
 *                          └ not asked: constants, what tells this packet from others, sequence counters
 *
 * What a decoder makes of the bytes is what `told` says, to the last bit: the raw value that lies in the packet goes
 * through the decoder's own calibration. A value that does not fit saturates, as a sensor does, and is counted. What
 * cannot be computed backwards is asked for again as a raw value. Each packet is matched before it is handed out, so
 * none leaves that would be taken for another one.
 *
 * Of a commutated frame each packet is the next minor frame, and all together are one stream of bits.
 *
 * Cannot be encoded, and said so: what the definition itself calls unsupported, conditions that no
 * single values satisfy. The plan must have been compiled `closely`. One thread. */
#ifndef DECOM_ENCODE_H
#define DECOM_ENCODE_H

#include "base/text.h"
#include "decom/plan.h"

struct yd_encode_ask {
    struct yd_str name; /* as published; of a hidden field its path */
    bool published;
    bool raw; /* only a raw value will do: the calibration has no inverse here */
    const struct yd_def_entry *entry;
    const struct yd__field *field;
    bool counts; /* tells how many, or how long: between these */
    int64_t count_min, count_max;
    uint64_t room;            /* text and bytes: at most so many */
    uint32_t sample, samples; /* of one measurement in a minor frame; 0: it is alone */
    int64_t since_ns;         /* behind the frame's beginning, by its bit rate */
};
struct yd_encode_answer {
    struct yd_decom_value value; /* NIL: raw zero. Its bytes must stay until the packet is done */
    bool raw;
};
struct yd_encoder_options {
    void *arg;
    void (*value)(void *arg, const struct yd_encode_ask *ask, struct yd_encode_answer *answer);
    void (*told)(void *arg, const struct yd_encode_ask *ask, const struct yd_decom_value *raw,
                 const struct yd_decom_value *value); /* NULL: nobody wants to know */
};
struct yd_encoder;
int yd_encoder_create(const struct yd_plan *plan, const struct yd_encoder_options *options, struct yd_alloc *alloc,
                      struct yd_encoder **ret_encoder);
void yd_encoder_destroy(struct yd_encoder *encoder); /* NULL is quiet */
/* One packet of that kind, in memory of the encoder until the next one. YD_ENOTSUP, YD_ETOOBIG (over 64 KiB): see
 * yd_encoder_why. Sequence counters go on in either case. */
int yd_encode(struct yd_encoder *encoder, uint32_t packet, struct yd_str *ret_bytes);
const char *yd_encoder_why(const struct yd_encoder *encoder);
/* Bits of the last minor frame that did not fill a byte, filled up with zeros; at the end of the stream. */
struct yd_str yd_encoder_rest(struct yd_encoder *encoder);
uint64_t yd_encoder_saturated(const struct yd_encoder *encoder); /* values that did not fit */

/* encode_value.c */
/* Bits of a raw value; *ret_saturated is only ever set. YD_EFORMAT: no number can be. */
int yd__field_encode(const struct yd__field *field, struct yd_decom_value raw, uint64_t *ret_bits, bool *ret_saturated);
/* Of the integer that a field always is, as yd_def_entry has it. False: this field never is. */
bool yd__field_constant(const struct yd__field *field, uint64_t constant, uint64_t *ret_bits);
void yd__field_put(const struct yd__field *field, uint64_t bits, uint8_t *data, uint64_t at);
/* The raw value whose engineering value is this, or nearest to it. YD_ENOTSUP: nobody knows. */
int yd__field_raw(const struct yd__field *field, struct yd_decom_value value, const struct yd_decom_value *registers,
                  struct yd_decom_value *ret_raw);
void yd__field_put_time(const struct yd__field *field, int64_t time_ns, uint8_t *bytes); /* CUC, CDS */
void yd__field_range(const struct yd__field *field, double *ret_min, double *ret_max);   /* of raw values */

#endif
