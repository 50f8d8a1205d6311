/* base/base.h: what every floor may use without thinking. See README.md for the rooms. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yarder/bytes.h>
#include <yarder/error.h>

#define YD_LIKELY(x)                    __builtin_expect(!!(x), 1)
#define YD_UNLIKELY(x)                  __builtin_expect(!!(x), 0)
#define YD_COUNT(array)                 (sizeof(array) / sizeof((array)[0]))
#define YD_ALIGN_UP(x, a)               (((x) + ((a)-1)) & ~(uintptr_t)((a)-1))
#define YD_MIN(a, b)                    ((a) < (b) ? (a) : (b))
#define YD_MAX(a, b)                    ((a) > (b) ? (a) : (b))
#define YD_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define YD_PRINTF(format_at, args_at)   __attribute__((format(printf, format_at, args_at)))
#define YD_CACHE_LINE                   128 /* two lines of 64: adjacent lines are prefetched together */

#define YD_NS_PER_S  INT64_C(1000000000)
#define YD_NS_PER_MS INT64_C(1000000)
#define YD_NS_PER_US INT64_C(1000)

/* Always on, cheap, for our own mistakes only: never for bytes from outside. Prints where and aborts. */
#define YD_ASSERT(condition) (YD_LIKELY(condition) ? (void)0 : yd_assert_failed(#condition, __FILE__, __LINE__))
#ifdef YD_DEBUG
#define YD_DEBUG_ASSERT(condition) YD_ASSERT(condition)
#else
#define YD_DEBUG_ASSERT(condition) ((void)0)
#endif
_Noreturn void yd_assert_failed(const char *condition, const char *file, int line);

#endif
