/* Raw values into bits, engineering values into raw ones: field.c backwards, encoding by encoding.
 *
 * Integers saturate at the ends of their encoding. A calibration is computed backwards in closed form where it is a
 * line, a table or steps; any other one by bisection between the ends of the raw range, which finds a value wherever
 * the curve is continuous, and refuses where what it found is not the value that was asked for. */
#include <math.h>

#include "decom/encode.h"

/* ---- bits ---- */

static uint64_t low_bits(uint32_t n)
{
    return n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static uint64_t reversed(uint64_t value, uint32_t n)
{
    uint64_t result = 0;
    for (uint32_t i = 0; i < n; i++) result |= (value >> i & 1) << (n - 1 - i);
    return result;
}

static void put_bit(uint8_t *data, uint64_t byte, uint32_t bit, uint64_t value)
{
    data[byte] = (uint8_t)((data[byte] & ~(1u << bit)) | (unsigned)(value & 1) << bit);
}

void yd__field_put(const struct yd__field *field, uint64_t bits, uint8_t *data, uint64_t at)
{
    uint32_t n = field->bits;
    if (field->reversed) bits = reversed(bits, n);
    if (field->swap == YD__SWAP_ALL) {
        bits = __builtin_bswap64(bits) >> (64 - n);
    } else if (field->swap == YD__SWAP_PERMUTED) {
        uint64_t placed = 0;
        for (uint32_t i = 0; i < n / 8; i++) {
            uint32_t place = field->type->permutation[i];
            placed |= (bits >> 8 * (n / 8 - 1 - i) & 0xff) << 8 * (field->lsb0 ? place : n / 8 - 1 - place);
        }
        bits = placed;
    }
    if (at % 8 == 0 && n % 8 == 0) {
        for (uint32_t i = 0; i < n / 8; i++)
            data[at / 8 + i] = (uint8_t)(bits >> 8 * (field->lsb0 ? i : n / 8 - 1 - i));
    } else if (field->lsb0) {
        for (uint32_t i = 0; i < n; i++) put_bit(data, (at + i) / 8, (at + i) % 8, bits >> i);
    } else {
        for (uint32_t i = 0; i < n; i++) put_bit(data, (at + i) / 8, 7 - (at + i) % 8, bits >> (n - 1 - i));
    }
}

/* ---- raw values ---- */

static double as_double(struct yd_decom_value value)
{
    return value.type == YD_F64 ? value.f64 : value.type == YD_I64 ? (double)value.i64 : (double)value.u64;
}

static uint64_t half(double value, bool *ret_saturated)
{
    uint64_t sign = signbit(value) ? 0x8000 : 0;
    double size = fabs(value);
    int exponent;
    if (isnan(value)) return 0x7e00;
    if (isinf(value)) return sign | 0x7c00;
    if (size >= 65520) return *ret_saturated = true, sign | 0x7bff;
    (void)frexp(size, &exponent);
    if (size < ldexp(1, -14)) return sign | (uint64_t)nearbyint(ldexp(size, 24)); /* 1024 of it is the least normal */
    uint64_t mantissa = (uint64_t)nearbyint(ldexp(size, 11 - exponent));          /* 1024 to 2048 */
    return sign | (((uint64_t)(exponent + 14) << 10) + (mantissa - 1024));
}

static uint64_t mil1750a(double value, uint32_t n, bool *ret_saturated)
{
    uint32_t wide = n == 32 ? 24 : 40;
    int exponent;
    double part = frexp(value, &exponent);
    if (!isfinite(value)) return 0;
    if (part == -0.5) part = -1, exponent--; /* the one that reaches as far as a fraction can */
    if (exponent < -128) part = ldexp(part, exponent + 128), exponent = -128; /* as small as it gets: not normalised */
    double scaled = nearbyint(ldexp(part, (int)wide - 1));
    if (scaled >= ldexp(1, (int)wide - 1)) scaled /= 2, exponent++;
    if (exponent > 127) {
        *ret_saturated = true;
        scaled = value < 0 ? -ldexp(1, (int)wide - 1) : ldexp(1, (int)wide - 1) - 1;
        exponent = 127;
    }
    if (scaled == 0) return 0;
    uint64_t mantissa = (uint64_t)(int64_t)scaled & low_bits(wide);
    uint64_t power = (uint8_t)(int8_t)exponent;
    return n == 32 ? mantissa << 8 | power : mantissa >> 16 << 24 | power << 16 | (mantissa & 0xffff);
}

/* Least and greatest integer of an encoding. */
static void integer_range(const struct yd__field *field, __int128 *ret_min, __int128 *ret_max)
{
    uint32_t n = field->bits;
    __int128 half_range = (__int128)1 << (n - 1), power = 1;
    *ret_min = 0;
    *ret_max = low_bits(n);
    switch (field->encoding) {
    case YD_DEF_TWOS:
        *ret_min = -half_range;
        *ret_max = half_range - 1;
        break;
    case YD_DEF_ONES:
    case YD_DEF_SIGN_MAGNITUDE:
        *ret_min = -(half_range - 1);
        *ret_max = half_range - 1;
        break;
    case YD_DEF_OFFSET_BINARY:
        *ret_min = -(field->type->signed_as_bias ? (__int128)field->type->bias : half_range);
        *ret_max += *ret_min;
        break;
    case YD_DEF_BCD:
        for (uint32_t i = 0; i < n / 4; i++) power *= 10;
        *ret_max = power * (1 << n % 4) - 1; /* the highest digit may have less than four bits */
        break;
    default:
        break;
    }
}

void yd__field_range(const struct yd__field *field, double *ret_min, double *ret_max)
{
    *ret_min = -1e9;
    *ret_max = 1e9;
    if (field->encoding == YD_DEF_IEEE && field->bits == 16) *ret_min = -65504, *ret_max = 65504;
    if (field->encoding >= YD_DEF_IEEE) return;
    __int128 min, max;
    integer_range(field, &min, &max);
    *ret_min = (double)min;
    *ret_max = (double)max;
}

int yd__field_encode(const struct yd__field *field, struct yd_decom_value raw, uint64_t *ret_bits, bool *ret_saturated)
{
    uint32_t n = field->bits;
    if (raw.type == YD_NIL || raw.type > YD_F64) return YD_EFORMAT;
    if (field->encoding == YD_DEF_IEEE) {
        double f64 = as_double(raw);
        float f32 = (float)f64;
        uint32_t low;
        memcpy(&low, &f32, 4);
        if (n == 64) memcpy(ret_bits, &f64, 8);
        if (n == 32) *ret_bits = low;
        if (n == 16) *ret_bits = half(f64, ret_saturated);
        return 0;
    }
    if (field->encoding == YD_DEF_MIL1750A) return *ret_bits = mil1750a(as_double(raw), n, ret_saturated), 0;
    __int128 value = raw.type == YD_I64 ? (__int128)raw.i64 : (__int128)raw.u64, min, max;
    if (raw.type == YD_F64) {
        if (isnan(raw.f64)) return YD_EFORMAT;
        value = (__int128)nearbyint(fmax(fmin(raw.f64, 1e20), -1e20));
    }
    integer_range(field, &min, &max);
    if (value < min || value > max) *ret_saturated = true;
    value = value < min ? min : value > max ? max : value;
    uint64_t sign = UINT64_C(1) << (n - 1), size = (uint64_t)(value < 0 ? -value : value), bits = 0;
    switch (field->encoding) {
    case YD_DEF_TWOS:
        *ret_bits = (uint64_t)(int64_t)value & low_bits(n);
        return 0;
    case YD_DEF_ONES:
        *ret_bits = value < 0 ? ~size & low_bits(n) : size;
        return 0;
    case YD_DEF_SIGN_MAGNITUDE:
        *ret_bits = value < 0 ? sign | size : size;
        return 0;
    case YD_DEF_OFFSET_BINARY:
        *ret_bits = (uint64_t)(value - min) & low_bits(n);
        return 0;
    case YD_DEF_BCD:
        for (uint32_t shift = 0; size; shift += 4, size /= 10) bits |= size % 10 << shift;
        *ret_bits = bits;
        return 0;
    case YD_DEF_GRAY:
        *ret_bits = size ^ size >> 1;
        return 0;
    default:
        *ret_bits = size;
        return 0;
    }
}

bool yd__field_constant(const struct yd__field *field, uint64_t constant, uint64_t *ret_bits)
{
    bool is_signed = field->encoding >= YD_DEF_TWOS && field->encoding <= YD_DEF_OFFSET_BINARY, saturated = false;
    struct yd_decom_value value = {.type = is_signed ? YD_I64 : YD_U64, .u64 = constant};
    return yd__field_encode(field, value, ret_bits, &saturated) == 0 && !saturated;
}

/* ---- time ---- */

static bool counts_leaps(const struct yd_def_type *type)
{
    if (type->encoding == YD_DEF_CDS) return false;
    if (type->epoch == YD_DEF_EPOCH_NONE) return type->encoding == YD_DEF_CUC;
    if (type->epoch == YD_DEF_EPOCH_DATE) return type->counts_leaps;
    return type->epoch != YD_DEF_EPOCH_UNIX;
}

/* ns since a moment that was `zero` in UTC. */
static __int128 since(const struct yd_def_type *type, int64_t zero, int64_t time_ns)
{
    __int128 ns = (__int128)time_ns - zero;
    return counts_leaps(type) ? ns + yd_leap_seconds_utc(time_ns) - yd_leap_seconds_utc(zero) : ns;
}

static void put_big_endian(uint8_t *to, uint32_t count, uint64_t value)
{
    for (uint32_t i = 0; i < count; i++) to[i] = (uint8_t)(count - 1 - i < 8 ? value >> 8 * (count - 1 - i) : 0);
}

void yd__field_put_time(const struct yd__field *field, int64_t time_ns, uint8_t *bytes)
{
    const struct yd_def_type *type = field->type;
    memset(bytes, 0, yd__time_bytes(type));
    struct yd_decom_value zero = yd__field_time(field, bytes);
    __int128 ns = zero.type == YD_I64 ? since(type, zero.i64, time_ns) : 0;
    if (ns < 0) ns = 0;
    if (type->encoding == YD_DEF_CUC) {
        uint32_t fine = YD_MIN(type->fine, 7);
        put_big_endian(bytes, type->coarse, (uint64_t)(ns / YD_NS_PER_S));
        uint64_t part = (uint64_t)(((__int128)(ns % YD_NS_PER_S) << 8 * fine) / YD_NS_PER_S);
        put_big_endian(bytes + type->coarse, fine, part);
        return;
    }
    __int128 day = 86400 * (__int128)YD_NS_PER_S;
    uint64_t within = (uint64_t)(ns % day), rest = within % YD_NS_PER_MS;
    put_big_endian(bytes, type->coarse, (uint64_t)(ns / day));
    put_big_endian(bytes + type->coarse, 4, within / YD_NS_PER_MS);
    put_big_endian(bytes + type->coarse + 4, type->fine, type->fine == 2 ? rest / 1000 : rest * 1000);
}

/* ---- engineering values ---- */

static int from_label(const struct yd__field *field, struct yd_str text, struct yd_decom_value *ret_raw)
{
    *ret_raw = (struct yd_decom_value){.type = YD_I64};
    for (uint32_t i = 0; i < field->label_count; i++)
        if (yd_str_eq(field->labels[i].text, text)) return ret_raw->i64 = field->labels[i].first, 0;
    if (!yd_str_eq(field->type->label_else, text)) return YD_ENOTSUP;
    /* The first value that has no label of its own. */
    for (uint32_t i = 0; i < field->label_count; i++)
        if (field->labels[i].first <= ret_raw->i64 && field->labels[i].last >= ret_raw->i64)
            ret_raw->i64 = field->labels[i].last + 1;
    return 0;
}

static bool number_at(const struct yd__field *field, double raw, const struct yd_decom_value *registers, double *ret)
{
    struct yd_decom_value value = {.type = YD_F64, .f64 = raw};
    if (field->encoding == YD_DEF_TWOS || (raw < 0 && field->encoding < YD_DEF_IEEE))
        value = (struct yd_decom_value){.type = YD_I64, .i64 = (int64_t)raw};
    else if (field->encoding < YD_DEF_IEEE)
        value = (struct yd_decom_value){.type = YD_U64, .u64 = (uint64_t)raw};
    value = yd__field_value(field, value, registers);
    if (value.type < YD_BOOL || value.type > YD_F64) return false;
    *ret = as_double(value);
    return isfinite(*ret);
}

static int bisect(const struct yd__field *field, double wanted, const struct yd_decom_value *registers, double *ret)
{
    bool whole = field->encoding < YD_DEF_IEEE;
    double low, high, at_low, at_high;
    yd__field_range(field, &low, &high);
    if (field->bits > 62 && whole) return YD_ENOTSUP; /* a double does not tell its neighbours apart */
    if (!number_at(field, low, registers, &at_low) || !number_at(field, high, registers, &at_high)) return YD_ENOTSUP;
    bool rising = at_high >= at_low;
    if (rising ? wanted <= at_low : wanted >= at_low) return *ret = low, 0;
    if (rising ? wanted >= at_high : wanted <= at_high) return *ret = high, 0;
    for (int i = 0; i < 200 && (!whole || high - low > 1); i++) {
        double middle = whole ? floor(low + (high - low) / 2) : low + (high - low) / 2, here;
        if (middle <= low || middle >= high) break;
        if (!number_at(field, middle, registers, &here)) return YD_ENOTSUP;
        if (rising ? here <= wanted : here >= wanted)
            low = middle, at_low = here;
        else
            high = middle, at_high = here;
    }
    /* Between neighbours: anything further away is a jump, and the value asked for is not there. */
    *ret = fabs(at_low - wanted) <= fabs(at_high - wanted) ? low : high;
    return 0;
}

static double nearest_point(const double *points, const double *values, uint32_t count, double wanted)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (fabs(values[i] - wanted) < fabs(values[best] - wanted)) best = i;
    return points[best];
}

int yd__field_raw(const struct yd__field *field, struct yd_decom_value value, const struct yd_decom_value *registers,
                  struct yd_decom_value *ret_raw)
{
    const struct yd_def_type *type = field->type;
    *ret_raw = value;
    if (value.type == YD_TEXT) {
        if (field->label_count) return from_label(field, value.bytes, ret_raw);
        if (!field->boolean) return YD_ENOTSUP;
        *ret_raw = (struct yd_decom_value){.type = YD_U64, .u64 = yd_str_eq(value.bytes, YD_STR("true"))};
        return 0;
    }
    if (value.type < YD_BOOL || value.type > YD_F64) return YD_ENOTSUP;
    if (value.type == YD_BOOL) ret_raw->type = YD_U64;
    if (field->label_count) return 0;
    if (field->boolean) return *ret_raw = (struct yd_decom_value){.type = YD_U64, .u64 = as_double(value) != 0}, 0;
    if (type->epoch != YD_DEF_EPOCH_NONE) {
        struct yd_decom_value zero = yd__field_value(field, (struct yd_decom_value){.type = YD_U64}, registers);
        int64_t tick = type->tick_ns ? type->tick_ns : YD_NS_PER_S;
        if (zero.type != YD_I64) return YD_ENOTSUP;
        int64_t time_ns = value.type == YD_F64 ? (int64_t)value.f64 : value.i64;
        __int128 ns = since(type, zero.i64, time_ns);
        *ret_raw = field->encoding == YD_DEF_IEEE
                       ? (struct yd_decom_value){.type = YD_F64, .f64 = (double)ns / (double)tick}
                       : (struct yd_decom_value){.type = YD_I64, .i64 = (int64_t)(ns / tick)};
        return 0;
    }
    const struct yd__calibration *c = field->calibrations;
    while (c && c->when && !yd__condition_holds(c->when, registers)) c = c->next;
    if (!c) return 0;
    double wanted = as_double(value), found = 0;
    int r = 0;
    if (c->kind == YD_DEF_POLYNOMIAL && c->a_count == 2 && c->a[1] != 0)
        found = (wanted - c->a[0]) / c->a[1];
    else if (c->kind == YD_DEF_TABLE || c->kind == YD_DEF_STEPS)
        found = nearest_point(c->a, c->b, c->a_count, wanted);
    else
        r = bisect(field, wanted, registers, &found);
    *ret_raw = (struct yd_decom_value){.type = YD_F64, .f64 = found};
    return r;
}
