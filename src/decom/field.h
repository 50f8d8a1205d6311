/* decom/field.h: one value out of bits: compiled from a type, run many times.
 *
 *   bytes ──extract──▶ bits ──order──▶ ──decode──▶ raw value ──calibrate──▶ engineering value
 *
 * Nothing here reads outside of the packet: the place is checked against its size, once per value. */
#ifndef DECOM_FIELD_H
#define DECOM_FIELD_H

#include <yarder/batch.h>

#include "decom/expression.h"
#include "decom/model.h"

/* A raw or an engineering value. */
struct yd_decom_value {
    enum yd_type type; /* BOOL, I64, U64, F64, TEXT, BLOB; NIL: there is none, `why` tells */
    bool suspect;      /* outside of what was declared as valid, or beyond a calibration */
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
    };
    struct yd_str bytes; /* TEXT, BLOB: of the packet or of the plan */
    const char *why;     /* suspect or NIL; static text or of the plan */
};

enum yd__swap { YD__SWAP_NONE, YD__SWAP_ALL, YD__SWAP_PERMUTED };
struct yd__condition;
struct yd__calibration {
    struct yd__calibration *next;
    const struct yd__condition *when;
    enum yd_def_calibrator kind;
    const double *a, *b;
    uint32_t a_count, b_count;
    bool extrapolate;
    const struct yd_expression *expression; /* slot 0 is x, the others are these registers */
    const uint32_t *slots;
    uint32_t slot_count;
};
struct yd__label {
    int64_t first, last;
    struct yd_str text;
};
struct yd__field {
    const struct yd_def_type *type;
    enum yd_def_encoding encoding;
    uint32_t bits; /* STRING, BINARY: 0 */
    bool lsb0, reversed, boolean;
    enum yd__swap swap;
    const struct yd__calibration *calibrations;
    const struct yd__label *labels; /* sorted */
    uint32_t label_count;
    /* labels of 0 … dense_count - 1, data NULL: none */
    const struct yd_str *dense;
    uint32_t dense_count;
};

/* n bits (1 to 64) from bit `at` of data; the caller knows that they are inside of `size` bytes. */
uint64_t yd__bits_msb0(const uint8_t *data, uint64_t size, uint64_t at, uint32_t n);
uint64_t yd__bits_lsb0(const uint8_t *data, uint64_t size, uint64_t at, uint32_t n);
/* With the byte order and bit order of the field. */
uint64_t yd__field_bits(const struct yd__field *field, const uint8_t *data, uint64_t size, uint64_t at);
/* What these bits mean, before any calibration. Numbers only. */
struct yd_decom_value yd__field_decode(const struct yd__field *field, uint64_t bits);
/* Text or bytes with their charset and padding dealt with; text that is not in its charset becomes a BLOB, suspect.
 * `room` takes text that had to be converted: it must have 3 bytes for each one. */
struct yd_decom_value yd__field_text(const struct yd__field *field, struct yd_str bytes, char *room);
/* CUC and CDS at `bytes` (which has their size) as ns since 1970 UTC. */
struct yd_decom_value yd__field_time(const struct yd__field *field, const uint8_t *bytes);
uint32_t yd__time_bytes(const struct yd_def_type *type);

bool yd__condition_holds(const struct yd__condition *condition, const struct yd_decom_value *registers);
/* Engineering value of a raw one. */
struct yd_decom_value yd__field_value(const struct yd__field *field, struct yd_decom_value raw,
                                      const struct yd_decom_value *registers);

double yd__polynomial(const double *a, uint32_t count, double x);
/* Its label; data NULL: it has none, and why. */
struct yd_str yd__field_label(const struct yd__field *field, uint64_t raw, bool is_signed);
#define yd__no_label "no label for this value"

#define YD__NO_REGISTER UINT32_MAX
struct yd__condition {
    enum yd_def_logic logic;
    const struct yd__condition *a, *b;
    uint32_t reg;
    const struct yd__field *field; /* of the register */
    enum yd_def_op op;
    bool calibrated, label; /* label: compare with the label's text */
    struct yd_decom_value value;
    uint32_t other; /* register to compare with instead of `value`, if there is other_field */
    const struct yd__field *other_field;
    bool other_calibrated;
    const struct yd_def_condition *source;
};

/* Seconds that TAI is ahead of UTC at a moment of UTC, and of TAI counted from 1970; both in ns. Table up to 2017. */
int64_t yd_leap_seconds_utc(int64_t utc_ns);
int64_t yd_leap_seconds_tai(int64_t tai_ns);

#endif
