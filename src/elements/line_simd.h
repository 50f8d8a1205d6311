/* elements/line_simd.h: fields of up to 15 characters by 16-byte steps (AVX2 machines; callers ask first).
 *
 * A field is loaded so that its last character is the last of the 16 bytes:
 *
 *      . . . . . x - 1 2 . 5 0                      byte 15 = last character
 *      drop what is before it, close the gap of the point, and three multiply-adds give the integer 1250.
 *
 * So neither the field's size nor the place of its point costs a branch. Up to 15 digits are below 2^53 and powers of
 * ten up to 10^22 are exact: the one division rounds correctly. The 16 bytes before the field's end must be readable.
 */
#ifndef ELEMENTS_LINE_SIMD_H
#define ELEMENTS_LINE_SIMD_H

#if defined(__x86_64__)
#define YD_LINE_SIMD   1
#define YD_LINE_TARGET __attribute__((target("avx2,bmi,popcnt")))

#include <immintrin.h>

#include "base/base.h"

struct yd_field {
    __m128i bytes; /* the 16 bytes that end with it */
    const char *start;
    unsigned before; /* how many of the 16 do not belong to it: 1..15 */
    uint64_t whole;  /* yd_field_digits */
};

/* The field that ends before `end`, after a space. False: empty, or longer than 15. */
YD_LINE_TARGET static inline bool yd_field_before(const char *end, struct yd_field *field)
{
    field->bytes = _mm_loadu_si128((const void *)(end - 16));
    unsigned spaces = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(field->bytes, _mm_set1_epi8(' ')));
    field->before = 31 - (unsigned)__builtin_clz(spaces << 1 | 1); /* the last space's place and one */
    field->start = end - 16 + field->before;
    return field->before - 1 < 15; /* 0: no space; 16: nothing after it */
}

/* Bytes before `count` to zero. */
YD_LINE_TARGET static inline __m128i yd__field_cut(__m128i bytes, unsigned count)
{
    static const uint8_t slide[32] = {[16] = 255, 255, 255, 255, 255, 255, 255, 255,
                                      255,        255, 255, 255, 255, 255, 255, 255};
    return _mm_and_si128(bytes, _mm_loadu_si128((const void *)(slide + 16 - count)));
}

/* Bytes from `count` on to zero, all others ones. */
YD_LINE_TARGET static inline __m128i yd_field_first(unsigned count)
{
    const __m128i places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_cmplt_epi8(places, _mm_set1_epi8((char)count));
}

/* 16 digits, most significant first, each a byte 0..9. */
YD_LINE_TARGET static inline uint64_t yd__field_sum(__m128i digits)
{
    __m128i twos = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
    __m128i fours = _mm_madd_epi16(twos, _mm_set1_epi32(0x00010064));
    __m128i packed = _mm_packus_epi32(fours, fours);
    uint64_t eights = (uint64_t)_mm_cvtsi128_si64(_mm_madd_epi16(packed, _mm_set1_epi32(0x00012710)));
    return (eights & UINT32_MAX) * 100000000 + (eights >> 32);
}

YD_LINE_TARGET static inline unsigned yd__field_others(__m128i digits) /* which are above 9 */
{
    __m128i limited = _mm_min_epu8(digits, _mm_set1_epi8(9));
    return ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(limited, digits)) & 0xffff;
}

/* Digits only? Then `whole`. */
YD_LINE_TARGET static inline bool yd_field_digits(struct yd_field *field)
{
    __m128i digits = yd__field_cut(_mm_sub_epi8(field->bytes, _mm_set1_epi8('0')), field->before);
    field->whole = yd__field_sum(digits);
    return yd__field_others(digits) == 0;
}

/* Neighbouring lines most often have the same timestamp: the last one's bytes, its spaces with them, are compared
 * before anything is computed. What follows then does not wait for where this field starts or ends, either. Together
 * with values in a pass of their own: graphite 10 %, put 15 % at 1 k names. */
struct yd_last_time {
    __m128i bytes, mask;
    uint64_t whole;
    unsigned size;
};
YD_LINE_TARGET static inline struct yd_last_time yd_last_time_none(void)
{
    return (struct yd_last_time){.bytes = _mm_set1_epi8(1), .mask = _mm_setzero_si128()};
}
YD_LINE_TARGET static inline bool yd_last_time_again(const struct yd_last_time *last, __m128i bytes)
{
    __m128i same = _mm_cmpeq_epi8(_mm_and_si128(bytes, last->mask), last->bytes);
    return _mm_movemask_epi8(same) == 0xffff;
}

/* [+-] digits [. digits], at least one digit? Then the value, and whether it had a point. */
struct yd_decimal {
    int64_t sum; /* digits without the point, signed */
    double value;
    bool pointed;
};
YD_LINE_TARGET static inline bool yd_field_decimal(const struct yd_field *field, struct yd_decimal *ret)
{
    static const double powers[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const __m128i places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    char sign = *field->start;
    unsigned before = field->before + (sign == '-' || sign == '+');
    __m128i digits = yd__field_cut(_mm_sub_epi8(field->bytes, _mm_set1_epi8('0')), before);
    unsigned others = yd__field_others(digits);
    unsigned points = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_set1_epi8('.' - '0')));
    if (before + (points != 0) >= 16 || others != points || (points & (points - 1))) return false;
    /* Bytes up to the point move one on, over it. */
    unsigned point = _tzcnt_u32(points | 0x10000);
    __m128i moved = _mm_cmplt_epi8(places, _mm_set1_epi8((char)(points ? point + 1 : 0)));
    digits = _mm_shuffle_epi8(digits, _mm_add_epi8(places, moved)); /* -1, the first's place then, gives zero */
    uint64_t sum = yd__field_sum(digits);
    double value = (double)(int64_t)sum / powers[points ? 15 - point : 0];
    ret->value = sign == '-' ? -value : value;
    ret->sum = sign == '-' ? -(int64_t)sum : (int64_t)sum;
    ret->pointed = points != 0;
    return true;
}

/* The field of `size`, 1 to 15, that ends before `end`. */
YD_LINE_TARGET static inline void yd_field_at(const char *end, unsigned size, struct yd_field *field)
{
    field->start = end - size;
    field->before = 16 - size;
    field->bytes = _mm_loadu_si128((const void *)(end - 16));
}

/* Where the first space is at or after p; `end` or anything behind it when there is none before. */
YD_LINE_TARGET static inline const char *yd_space_after(const char *p, const char *end)
{
    for (; p < end; p += 32) {
        __m256i bytes = _mm256_loadu_si256((const void *)p);
        unsigned spaces = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(' ')));
        if (spaces) return p + _tzcnt_u32(spaces);
    }
    return end;
}

#endif
#endif
