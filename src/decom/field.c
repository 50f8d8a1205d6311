/* Bits into raw values: order, encoding, calibration, labels.
 *
 * Every encoding that definitions know is here once, plain and complete. What is frequent (integers and floats of fixed
 * place, with a line as calibration at most) does not come through here but through lanes.h; a test holds both against
 * each other.
 *
 * Sources: IEEE 754-2008 (binary16/32/64), MIL-STD-1750A 4.1.4 and 4.1.5, CCSDS 301.0-B-4 (CUC, CDS), IERS Bulletin C
 * (leap seconds). */
#include "decom/field.h"

#include <math.h>

#include "base/text.h"

/* ---- bits ---- */

uint64_t yd__bits_msb0(const uint8_t *data, uint64_t size, uint64_t at, uint32_t n)
{
    uint64_t byte = at >> 3, load;
    uint32_t skip = at & 7;
    if (byte + 8 <= size && skip + n <= 64) {
        memcpy(&load, data + byte, 8);
        return __builtin_bswap64(load) << skip >> (64 - n);
    }
    uint64_t value = data[byte] & (0xffu >> skip);
    uint32_t have = 8 - skip;
    if (have >= n) return value >> (have - n);
    for (n -= have; n >= 8; n -= 8) value = value << 8 | data[++byte];
    return n ? value << n | data[byte + 1] >> (8 - n) : value;
}

uint64_t yd__bits_lsb0(const uint8_t *data, uint64_t size, uint64_t at, uint32_t n)
{
    uint64_t byte = at >> 3, load;
    uint32_t skip = at & 7;
    if (byte + 8 <= size && skip + n <= 64) {
        memcpy(&load, data + byte, 8);
        return load << (64 - n - skip) >> (64 - n);
    }
    uint64_t value = data[byte] >> skip;
    for (uint32_t have = 8 - skip; have < n; have += 8) value |= (uint64_t)data[++byte] << have;
    return n < 64 ? value & ((UINT64_C(1) << n) - 1) : value;
}

static uint64_t reverse_bits(uint64_t value, uint32_t n)
{
    uint64_t result = 0;
    for (uint32_t i = 0; i < n; i++) result |= (value >> i & 1) << (n - 1 - i);
    return result;
}

uint64_t yd__field_bits(const struct yd__field *field, const uint8_t *data, uint64_t size, uint64_t at)
{
    uint32_t n = field->bits;
    uint64_t value = field->lsb0 ? yd__bits_lsb0(data, size, at, n) : yd__bits_msb0(data, size, at, n);
    if (field->swap == YD__SWAP_ALL) {
        value = __builtin_bswap64(value) >> (64 - n);
    } else if (field->swap == YD__SWAP_PERMUTED) {
        uint64_t sorted = 0;
        for (uint32_t i = 0; i < n / 8; i++) {
            uint32_t place = field->type->permutation[i];
            sorted = sorted << 8 | (value >> 8 * (field->lsb0 ? place : n / 8 - 1 - place) & 0xff);
        }
        value = sorted;
    }
    return field->reversed ? reverse_bits(value, n) : value;
}

/* ---- encodings ---- */

static double half(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double mantissa = (double)(bits & 1023), value;
    if (exponent == 31)
        value = mantissa > 0 ? NAN : INFINITY;
    else
        value = exponent ? ldexp(mantissa + 1024, exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -value : value;
}

/* Two's complement fraction and exponent: 32 bits are MMMMMMEE; 48 are MMMMMMEEMMMM, the last 16 the low end of the
 * mantissa. */
static double mil1750a(uint64_t bits, uint32_t n)
{
    int exponent = n == 32 ? (int8_t)bits : (int8_t)(bits >> 16);
    uint64_t mantissa = n == 32 ? bits >> 8 & 0xffffff : (bits >> 24 & 0xffffff) << 16 | (bits & 0xffff);
    uint32_t wide = n == 32 ? 24 : 40;
    int64_t fraction = (int64_t)(mantissa << (64 - wide)) >> (64 - wide);
    return ldexp((double)fraction, exponent - (int)(wide - 1));
}

static struct yd_decom_value decimal(uint64_t bits, uint32_t n)
{
    uint64_t value = 0;
    for (uint32_t left = (n + 3) / 4; left-- > 0;) {
        uint64_t digit = bits >> 4 * left & 15;
        if (digit > 9) return (struct yd_decom_value){.why = "a BCD digit above 9"};
        value = value * 10 + digit; /* 16 digits at most: it fits */
    }
    return (struct yd_decom_value){.type = YD_U64, .u64 = value};
}

static struct yd_decom_value number(int64_t value)
{
    return (struct yd_decom_value){.type = YD_I64, .i64 = value};
}

static struct yd_decom_value real(double value)
{
    return (struct yd_decom_value){.type = YD_F64, .f64 = value};
}

struct yd_decom_value yd__field_decode(const struct yd__field *field, uint64_t bits)
{
    uint32_t n = field->bits;
    uint64_t sign = UINT64_C(1) << (n - 1);
    switch (field->encoding) {
    case YD_DEF_TWOS:
        return number((int64_t)(bits << (64 - n)) >> (64 - n));
    /* All ones is minus zero: zero. */
    case YD_DEF_ONES:
        return number(bits & sign ? -(int64_t)(~bits & (sign - 1)) : (int64_t)bits);
    case YD_DEF_SIGN_MAGNITUDE:
        return number(bits & sign ? -(int64_t)(bits & (sign - 1)) : (int64_t)bits);
    case YD_DEF_OFFSET_BINARY:
        return number((int64_t)(bits - (field->type->signed_as_bias ? (uint64_t)field->type->bias : sign)));
    case YD_DEF_BCD:
        return decimal(bits, n);
    case YD_DEF_GRAY:
        for (uint32_t shift = 1; shift < 64; shift *= 2) bits ^= bits >> shift;
        break;
    case YD_DEF_IEEE: {
        float f32;
        double f64;
        uint32_t low = (uint32_t)bits;
        if (n == 16) return real(half(bits));
        memcpy(&f32, &low, 4);
        memcpy(&f64, &bits, 8);
        return real(n == 32 ? (double)f32 : f64);
    }
    case YD_DEF_MIL1750A:
        return real(mil1750a(bits, n));
    default:
        break;
    }
    return (struct yd_decom_value){.type = YD_U64, .u64 = bits};
}

/* ---- text ---- */

static size_t put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) return to[0] = (char)code, 1;
    if (code < 0x800) return to[0] = (char)(0xc0 | code >> 6), to[1] = (char)(0x80 | (code & 63)), 2;
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 63));
        to[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 63));
    to[2] = (char)(0x80 | (code >> 6 & 63));
    to[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* 0 when it is no text of that charset. */
static bool from_utf16(struct yd_str bytes, bool little, char *room, size_t *ret_size)
{
    size_t used = 0;
    if (bytes.size % 2) return false;
    for (size_t i = 0; i < bytes.size; i += 2) {
        const uint8_t *p = (const uint8_t *)bytes.data + i;
        uint32_t code = little ? p[0] | (uint32_t)p[1] << 8 : p[1] | (uint32_t)p[0] << 8;
        if (code >= 0xd800 && code < 0xdc00 && i + 3 < bytes.size) {
            uint32_t low = little ? p[2] | (uint32_t)p[3] << 8 : p[3] | (uint32_t)p[2] << 8;
            if (low < 0xdc00 || low > 0xdfff) return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        } else if ((code >= 0xd800 && code < 0xe000) || code == 0) {
            return false;
        }
        used += put_utf8(room + used, code);
    }
    *ret_size = used;
    return true;
}

static struct yd_str trimmed(const struct yd_def_type *type, struct yd_str bytes)
{
    bool wide = type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE;
    if (type->trim_off || type->extent != YD_DEF_FIXED) return bytes;
    if (wide) {
        uint32_t at = type->charset == YD_DEF_UTF16LE ? 0 : 1;
        while (bytes.size >= 2) {
            const char *last = bytes.data + bytes.size - 2;
            if (last[1 - at] != 0 || (last[at] != 0 && last[at] != ' ')) break;
            bytes.size -= 2;
        }
        return bytes;
    }
    /* A fixed room holds a C string, or is filled up with spaces. */
    const char *zero = bytes.size ? memchr(bytes.data, 0, bytes.size) : NULL;
    if (zero) bytes.size = (size_t)(zero - bytes.data);
    while (bytes.size && bytes.data[bytes.size - 1] == ' ') bytes.size--;
    return bytes;
}

struct yd_decom_value yd__field_text(const struct yd__field *field, struct yd_str bytes, char *room)
{
    const struct yd_def_type *type = field->type;
    if (field->encoding == YD_DEF_BINARY) return (struct yd_decom_value){.type = YD_BLOB, .bytes = bytes};
    bytes = trimmed(type, bytes);
    struct yd_decom_value value = {.type = YD_TEXT, .bytes = bytes};
    bool good = true;
    if (type->charset == YD_DEF_LATIN1) {
        size_t used = 0;
        for (size_t i = 0; i < bytes.size && good; i++) {
            good = bytes.data[i] != 0;
            used += put_utf8(room + used, (uint8_t)bytes.data[i]);
        }
        value.bytes = (struct yd_str){room, used};
    } else if (type->charset == YD_DEF_UTF16BE || type->charset == YD_DEF_UTF16LE) {
        size_t used = 0;
        good = from_utf16(bytes, type->charset == YD_DEF_UTF16LE, room, &used);
        value.bytes = (struct yd_str){room, used};
    } else {
        for (size_t i = 0; type->charset == YD_DEF_ASCII && i < bytes.size; i++) good &= (uint8_t)bytes.data[i] < 0x80;
        good = good && yd_text_utf8(bytes);
    }
    if (good) return value;
    return (struct yd_decom_value){
        .type = YD_BLOB, .bytes = bytes, .suspect = true, .why = "not a text of its charset"};
}

/* ---- time ---- */

/* UTC seconds since 1970 from which on TAI is ahead by 10, 11, … seconds. Before 1972: 10. */
static const int64_t leaps[] = {63072000,  78796800,  94694400,   126230400,  157766400,  189302400,  220924800,
                                252460800, 283996800, 315532800,  362793600,  394329600,  425865600,  489024000,
                                567993600, 631152000, 662688000,  709948800,  741484800,  773020800,  820454400,
                                867715200, 915148800, 1136073600, 1230768000, 1341100800, 1435708800, 1483228800};

int64_t yd_leap_seconds_utc(int64_t utc_ns)
{
    int64_t ahead = 10;
    for (size_t i = 1; i < YD_COUNT(leaps) && utc_ns >= leaps[i] * YD_NS_PER_S; i++) ahead++;
    return ahead * YD_NS_PER_S;
}

int64_t yd_leap_seconds_tai(int64_t tai_ns)
{
    int64_t ahead = 10;
    for (size_t i = 1; i < YD_COUNT(leaps) && tai_ns >= (leaps[i] + ahead + 1) * YD_NS_PER_S; i++) ahead++;
    return ahead * YD_NS_PER_S;
}

#define DAY_NS      (86400 * YD_NS_PER_S)
#define TAI_1958_NS (-4383 * DAY_NS)

/* When the epoch was: of UTC, or of TAI counted from 1970 where every second counts. */
static int64_t epoch_of(const struct yd_def_type *type, bool *ret_tai)
{
    *ret_tai = true;
    switch (type->epoch) {
    case YD_DEF_EPOCH_TAI:
        return TAI_1958_NS;
    case YD_DEF_EPOCH_GPS:
        return (315964800 + 19) * YD_NS_PER_S;
    case YD_DEF_EPOCH_J2000:
        return 946728000 * YD_NS_PER_S - 32184 * YD_NS_PER_MS;
    case YD_DEF_EPOCH_DATE:
        *ret_tai = type->counts_leaps;
        return type->counts_leaps ? type->epoch_ns + yd_leap_seconds_utc(type->epoch_ns) : type->epoch_ns;
    default:
        *ret_tai = false;
        return 0;
    }
}

static struct yd_decom_value when(const struct yd_def_type *type, __int128 since_ns)
{
    bool tai;
    __int128 at = since_ns + epoch_of(type, &tai);
    if (at >= INT64_MIN / 2 && at <= INT64_MAX && tai) at -= yd_leap_seconds_tai((int64_t)at);
    if (at < INT64_MIN || at > INT64_MAX) return (struct yd_decom_value){.why = "a time outside of 1677 to 2262"};
    return number((int64_t)at);
}

static uint64_t big_endian(const uint8_t *bytes, uint32_t count)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

uint32_t yd__time_bytes(const struct yd_def_type *type)
{
    return type->encoding == YD_DEF_CDS ? type->coarse + 4u + type->fine : (uint32_t)type->coarse + type->fine;
}

struct yd_decom_value yd__field_time(const struct yd__field *field, const uint8_t *bytes)
{
    struct yd_def_type type = *field->type;
    uint64_t coarse = big_endian(bytes, type.coarse);
    if (type.encoding == YD_DEF_CUC) {
        if (type.epoch == YD_DEF_EPOCH_NONE) type.epoch = YD_DEF_EPOCH_TAI;
        /* More than seven bytes of fraction are less than a femtosecond: they do not show. */
        uint32_t fine = YD_MIN(type.fine, 7);
        uint64_t part = big_endian(bytes + type.coarse, fine);
        __int128 ns = ((__int128)part * YD_NS_PER_S) >> (8 * fine);
        return when(&type, (__int128)coarse * YD_NS_PER_S + ns);
    }
    /* CDS counts days of UTC: no leap second is counted, whatever the epoch. */
    uint64_t ms = big_endian(bytes + type.coarse, 4), fine = big_endian(bytes + type.coarse + 4, type.fine);
    bool tai;
    int64_t epoch =
        type.epoch == YD_DEF_EPOCH_NONE || type.epoch == YD_DEF_EPOCH_TAI ? TAI_1958_NS : epoch_of(&type, &tai);
    if (type.epoch == YD_DEF_EPOCH_GPS) epoch = 315964800 * YD_NS_PER_S;
    if (type.epoch == YD_DEF_EPOCH_DATE) epoch = type.epoch_ns;
    __int128 at = (__int128)coarse * DAY_NS + (__int128)ms * YD_NS_PER_MS + epoch;
    at += type.fine == 2 ? (__int128)fine * 1000 : (__int128)fine / 1000;
    if (at < INT64_MIN || at > INT64_MAX) return (struct yd_decom_value){.why = "a time outside of 1677 to 2262"};
    struct yd_decom_value value = number((int64_t)at);
    value.suspect = ms >= 86401000;
    value.why = value.suspect ? "more milliseconds than a day has" : NULL;
    return value;
}

/* ---- engineering values ---- */

static double as_double(struct yd_decom_value value)
{
    return value.type == YD_F64 ? value.f64 : value.type == YD_I64 ? (double)value.i64 : (double)value.u64;
}

double yd__polynomial(const double *a, uint32_t count, double x)
{
    double y = a[count - 1];
    for (uint32_t i = count - 1; i-- > 0;) y = y * x + a[i];
    return y;
}

static struct yd_decom_value interpolate(const struct yd__calibration *c, double x)
{
    uint32_t low = 0, high = c->a_count;
    while (low < high) { /* the first point above x */
        uint32_t middle = (low + high) / 2;
        if (c->a[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    if (c->kind == YD_DEF_TABLE) {
        if (low && c->a[low - 1] == x) return real(c->b[low - 1]);
        return (struct yd_decom_value){.why = "not in its table"};
    }
    if (isnan(x)) return real(x);
    bool outside = low == 0 || (low == c->a_count && x > c->a[c->a_count - 1]);
    struct yd_decom_value value;
    uint32_t at = low ? low - 1 : 0;
    if (c->kind == YD_DEF_STEPS || c->a_count == 1 || (outside && !c->extrapolate)) {
        value = real(c->b[at]);
    } else {
        if (at + 1 == c->a_count) at--;
        double share = (x - c->a[at]) / (c->a[at + 1] - c->a[at]);
        value = real(c->b[at] + share * (c->b[at + 1] - c->b[at]));
    }
    value.suspect = outside && !c->extrapolate;
    value.why = value.suspect ? "beyond its calibration" : NULL;
    return value;
}

static struct yd_reading reading_of(struct yd_decom_value value)
{
    switch (value.type) {
    case YD_BOOL:
        return yd_reading_bool(value.u64, YD_READING_FRESH);
    case YD_I64:
        return yd_reading_i64(value.i64, YD_READING_FRESH);
    case YD_U64:
        return yd_reading_u64(value.u64, YD_READING_FRESH);
    case YD_F64:
        return yd_reading_f64(value.f64, YD_READING_FRESH);
    case YD_TEXT:
        return yd_reading_text(value.bytes, YD_READING_FRESH);
    default:
        return yd_reading_none(0);
    }
}

static struct yd_decom_value evaluate(const struct yd__calibration *c, struct yd_decom_value x,
                                      const struct yd_decom_value *registers)
{
    struct yd_reading values[YD_EXPRESSION_SLOTS_MAX + 1];
    values[0] = reading_of(x);
    for (uint32_t i = 0; i < c->slot_count; i++) values[i + 1] = reading_of(registers[c->slots[i]]);
    struct yd_reading result = yd_expression_eval(c->expression, values, 0, NULL);
    struct yd_decom_value value = {.type = (enum yd_type)result.type, .u64 = result.bits};
    if (result.type == YD_TEXT) value.bytes = (struct yd_str){result.text, result.size};
    if (result.type == YD_NIL) value.why = "its expression has no value here";
    return value;
}

static struct yd_decom_value calibrate(const struct yd__calibration *c, double x)
{
    double below;
    switch (c->kind) {
    case YD_DEF_POLYNOMIAL:
        return real(yd__polynomial(c->a, c->a_count, x));
    case YD_DEF_RATIONAL:
        below = yd__polynomial(c->b, c->b_count, x);
        if (below == 0) return (struct yd_decom_value){.why = "its calibration divides by zero here"};
        return real(yd__polynomial(c->a, c->a_count, x) / below);
    default:
        return interpolate(c, x);
    }
}

struct yd_str yd__field_label(const struct yd__field *field, uint64_t raw, bool is_signed)
{
    struct yd_str text = {0};
    int64_t value = (int64_t)raw;
    if (!is_signed && raw < field->dense_count) {
        text = field->dense[raw];
    } else if (is_signed || raw <= INT64_MAX) {
        uint32_t low = 0, high = field->label_count;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (field->labels[middle].last < value)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < field->label_count && field->labels[low].first <= value) text = field->labels[low].text;
    }
    return !text.data && field->type->label_else.size ? field->type->label_else : text;
}

static struct yd_decom_value label(const struct yd__field *field, struct yd_decom_value raw)
{
    struct yd_str text = yd__field_label(field, raw.u64, raw.type != YD_U64);
    if (text.data) return (struct yd_decom_value){.type = YD_TEXT, .bytes = text};
    raw.suspect = true;
    raw.why = yd__no_label;
    return raw;
}

struct yd_decom_value yd__field_value(const struct yd__field *field, struct yd_decom_value raw,
                                      const struct yd_decom_value *registers)
{
    if (raw.type != YD_U64 && raw.type != YD_I64 && raw.type != YD_F64) return raw;
    if (field->label_count && raw.type != YD_F64) return label(field, raw);
    if (field->boolean) return (struct yd_decom_value){.type = YD_BOOL, .u64 = raw.u64 != 0};
    const struct yd_def_type *type = field->type;
    if (type->epoch != YD_DEF_EPOCH_NONE && type->encoding < YD_DEF_STRING) {
        int64_t tick = type->tick_ns ? type->tick_ns : YD_NS_PER_S;
        if (raw.type != YD_F64) return when(type, (raw.type == YD_U64 ? (__int128)raw.u64 : (__int128)raw.i64) * tick);
        double ns = raw.f64 * (double)tick;
        if (!(fabs(ns) < 9e18)) return (struct yd_decom_value){.why = "a time outside of 1677 to 2262"};
        return when(type, (__int128)nearbyint(ns));
    }
    struct yd_decom_value value = raw;
    for (const struct yd__calibration *c = field->calibrations; c; c = c->next)
        if (!c->when || yd__condition_holds(c->when, registers)) {
            value = c->expression ? evaluate(c, raw, registers) : calibrate(c, as_double(raw));
            break;
        }
    if (type->has_valid && value.type >= YD_BOOL && value.type <= YD_F64 && !value.suspect) {
        double x = as_double(type->valid_raw ? raw : value);
        value.suspect = !(x >= type->valid_min && x <= type->valid_max);
        value.why = value.suspect ? "outside of what is valid" : NULL;
    }
    return value;
}

/* ---- conditions ---- */

/* <0, 0, >0; 2: they cannot be compared. Exact between integers. */
static int order_of(struct yd_decom_value a, struct yd_decom_value b)
{
    if (a.type == YD_TEXT || a.type == YD_BLOB || b.type == YD_TEXT || b.type == YD_BLOB) {
        bool both = (a.type == YD_TEXT || a.type == YD_BLOB) && (b.type == YD_TEXT || b.type == YD_BLOB);
        int order = both ? yd_str_cmp(a.bytes, b.bytes) : 2;
        return both ? (order > 0) - (order < 0) : 2;
    }
    if (a.type == YD_NIL || b.type == YD_NIL) return 2;
    if (a.type == YD_F64 || b.type == YD_F64) {
        double x = as_double(a), y = as_double(b);
        return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
    }
    bool a_minus = a.type == YD_I64 && a.i64 < 0, b_minus = b.type == YD_I64 && b.i64 < 0;
    if (a_minus != b_minus) return a_minus ? -1 : 1;
    if (a_minus) return (a.i64 > b.i64) - (a.i64 < b.i64);
    return (a.u64 > b.u64) - (a.u64 < b.u64);
}

bool yd__condition_holds(const struct yd__condition *condition, const struct yd_decom_value *registers)
{
    switch (condition->logic) {
    case YD_DEF_AND:
        return yd__condition_holds(condition->a, registers) && yd__condition_holds(condition->b, registers);
    case YD_DEF_OR:
        return yd__condition_holds(condition->a, registers) || yd__condition_holds(condition->b, registers);
    case YD_DEF_NOT:
        return !yd__condition_holds(condition->a, registers);
    default:
        break;
    }
    struct yd_decom_value value = registers[condition->reg];
    if (condition->label || condition->calibrated) value = yd__field_value(condition->field, value, registers);
    struct yd_decom_value with = condition->value;
    if (condition->other_field) {
        with = registers[condition->other];
        if (condition->other_calibrated) with = yd__field_value(condition->other_field, with, registers);
    }
    int order = order_of(value, with);
    switch (condition->op) {
    case YD_DEF_EQ:
        return order == 0;
    case YD_DEF_NE:
        return order != 0;
    case YD_DEF_LT:
        return order == -1;
    case YD_DEF_LE:
        return order == -1 || order == 0;
    case YD_DEF_GT:
        return order == 1;
    default:
        return order == 1 || order == 0;
    }
}
