/* base/text.h: numbers, durations, sizes and times to and from text; the error trail; the JSON emitter.
 *
 * Parsers take a slice and want all of it; what is malformed is YD_EFORMAT, what does not fit YD_ERANGE. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/alloc.h"

int yd_text_i64(struct yd_str s, int64_t *ret);  /* -?digits, + allowed */
int yd_text_u64(struct yd_str s, uint64_t *ret); /* digits */
/* Decimal floating point: [+-] digits [. digits] [e[+-]digits], also ".5" and "5."; correctly rounded.
 * "nan", "inf" (any case) give YD_ERANGE unless `special`. A fast path for up to 19 digits and |exp| <= 22. */
int yd_text_f64(struct yd_str s, bool special, double *ret);
int yd_text_bool(struct yd_str s, bool *ret);           /* true, false */
int yd_text_duration(struct yd_str s, int64_t *ret_ns); /* 10s 5m 1h 30d 250ms 10us 5ns 1w; a number alone is refused */
int yd_text_size(struct yd_str s, uint64_t *ret);       /* 64KiB 4MiB 1GiB 10kB 5MB 100B; a number alone is bytes */
int yd_text_rate(struct yd_str s, double *ret_per_s);   /* 5k/s 100/m 2.5/s */

/* Shortest decimal that reads back as the same double; integers below 2^53 without exponent or ".0". No NUL
 * counted in the size; needs 32 bytes. NaN and infinities print as nan, inf, -inf. */
size_t yd_text_put_f64(char *to, double value);
size_t yd_text_put_i64(char *to, int64_t value); /* needs 21 bytes */
size_t yd_text_put_u64(char *to, uint64_t value);
size_t yd_text_put_duration(char *to, size_t size, int64_t ns); /* "1m30s", "250ms", "1.5us" */
size_t yd_text_put_size(char *to, size_t size, uint64_t bytes); /* "4MiB", "1.5KiB" */
/* UTC, RFC 3339 with as many of 0, 3, 6, 9 fraction digits as are needed: "2026-11-21T01:02:03.250Z". */
size_t yd_text_put_time(char *to, size_t size, int64_t time_ns);
/* RFC 3339, "YYYY-MM-DD[ T]HH:MM[:SS[.frac]][Z]" and "YYYY-MM-DD" in UTC, or seconds since 1970 (with fraction). */
int yd_text_time(struct yd_str s, int64_t *ret_ns);

bool yd_text_utf8(struct yd_str s); /* valid UTF-8 without NUL */
/* Edit distance with transpositions, at most `limit` (returns limit + 1 beyond): for "did you mean". */
unsigned yd_text_distance(struct yd_str a, struct yd_str b, unsigned limit);
/* Shell glob over bytes: * any run, ? one, [abc] [a-z] [!x] classes, {a,b} alternatives, \ escapes. Linear time
 * but for the braces, whose number is bounded. */
bool yd_text_glob(struct yd_str pattern, struct yd_str s);

/* Streaming JSON into a buffer. Commas and escapes are its business. Bytes that are not UTF-8 become U+FFFD.
 * Non-finite numbers become null. `pretty` indents by two. */
struct yd_json {
    struct yd_buf *buf;
    uint32_t depth;
    bool pretty, after_key, comma[64];
};
void yd_json_init(struct yd_json *json, struct yd_buf *buf, bool pretty);
void yd_json_object(struct yd_json *json); /* { */
void yd_json_object_end(struct yd_json *json);
void yd_json_array(struct yd_json *json);
void yd_json_array_end(struct yd_json *json);
void yd_json_key(struct yd_json *json, const char *key);
void yd_json_key_str(struct yd_json *json, struct yd_str key);
void yd_json_str(struct yd_json *json, struct yd_str value);
void yd_json_cstr(struct yd_json *json, const char *value); /* NULL becomes null */
void yd_json_i64(struct yd_json *json, int64_t value);
void yd_json_u64(struct yd_json *json, uint64_t value);
void yd_json_f64(struct yd_json *json, double value);
void yd_json_bool(struct yd_json *json, bool value);
void yd_json_null(struct yd_json *json);

#endif
