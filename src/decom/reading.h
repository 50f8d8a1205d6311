/* decom/reading.h: the value of a measurement as it is now, for expressions and limits: 16 bytes, owns nothing.
 *
 * Without a value (type YD_NIL) its flags say why. Flags travel with values through an expression: what a result was
 * made of decides about its flags, what was not chosen does not. */
#ifndef DECOM_READING_H
#define DECOM_READING_H

#include <yarder/batch.h>

#define YD_READING_FRESH    0x0001 /* new since the last evaluation: the caller sets it and clears it afterwards */
#define YD_READING_SUSPECT  0x0002 /* what it was measured from is in doubt */
#define YD_READING_OVERFLOW 0x0004 /* no value, or in doubt, because: a result does not fit its type */
#define YD_READING_ZERO     0x0008 /* … division by zero */
#define YD_READING_DOMAIN   0x0010 /* … not a number: the root of -1, a shift by 70, NaN measured */
#define YD_READING_TYPE     0x0020 /* … what came has another type than the expression was compiled for */
#define YD_READING_LATE     0x0040 /* … its time is before that of what a function remembers */
#define YD_READING_CROWDED                                                                                             \
    0x0080 /* more values within a duration than its window has room for: the oldest left early */
#define YD_READING_FAULTS 0x007c

struct yd_reading {
    union {
        struct {
            uint8_t type; /* enum yd_type: NIL (no value), BOOL, I64, U64, F64, TEXT */
            uint8_t reserved;
            uint16_t flags;
            uint32_t size; /* TEXT: bytes */
        };
        uint64_t head; /* all of that in one store: what follows reads it whole or in parts without waiting */
    };
    union {
        uint64_t bits; /* BOOL: 0 or 1 */
        int64_t i64;
        uint64_t u64;
        double f64;
        const char *text;
    };
};
_Static_assert(sizeof(struct yd_reading) == 16, "two words: fits two registers");

static inline struct yd_reading yd_reading_none(unsigned flags)
{
    return (struct yd_reading){.head = YD_NIL | (uint64_t)(uint16_t)flags << 16};
}
static inline struct yd_reading yd_reading_bool(bool value, unsigned flags)
{
    return (struct yd_reading){.head = YD_BOOL | (uint64_t)(uint16_t)flags << 16, .bits = value};
}
static inline struct yd_reading yd_reading_i64(int64_t value, unsigned flags)
{
    return (struct yd_reading){.head = YD_I64 | (uint64_t)(uint16_t)flags << 16, .i64 = value};
}
static inline struct yd_reading yd_reading_u64(uint64_t value, unsigned flags)
{
    return (struct yd_reading){.head = YD_U64 | (uint64_t)(uint16_t)flags << 16, .u64 = value};
}
static inline struct yd_reading yd_reading_f64(double value, unsigned flags)
{
    return (struct yd_reading){.head = YD_F64 | (uint64_t)(uint16_t)flags << 16, .f64 = value};
}
static inline struct yd_reading yd_reading_text(struct yd_str value, unsigned flags)
{
    return (struct yd_reading){
        .type = YD_TEXT, .flags = (uint16_t)flags, .size = (uint32_t)value.size, .text = value.data};
}

#endif
