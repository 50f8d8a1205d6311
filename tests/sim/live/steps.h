/* What live/atomic.h and live/futex.h become in the step-by-step proof: each access to shared memory is a call. */
#ifndef LIVE_STEPS_H
#define LIVE_STEPS_H

#include <stddef.h>
#include <stdint.h>

enum step_order { RELAXED = 0, ACQUIRE = 1, RELEASE = 2, ACQ_REL = 3 };

uint64_t step_load(const void *at, size_t size, int order, const char *file, int line);
void step_store(void *at, size_t size, uint64_t value, int order, const char *file, int line);
enum step_change { STEP_EXCHANGE, STEP_OR };
uint64_t step_change(void *at, size_t size, uint64_t value, enum step_change how, int order, const char *file,
                     int line);
void step_fence(int order, const char *file, int line);
void step_plain_in(void *to, const void *from, size_t size, const char *file, int line);
void step_plain_out(void *to, const void *from, size_t size, const char *file, int line);
void yd__futex_wake_all(uint32_t *word);

#define yd__load(from, order)       ((__typeof__(*(from) + 0))step_load(from, sizeof *(from), order, __FILE__, __LINE__))
#define yd__store(to, value, order) step_store(to, sizeof *(to), (uint64_t)(value), order, __FILE__, __LINE__)
#define yd__exchange(word, value, order)                                                                               \
    ((__typeof__(*(word) + 0))step_change(word, sizeof *(word), value, STEP_EXCHANGE, order, __FILE__, __LINE__))
#define yd__fetch_or(word, value, order)                                                                               \
    ((__typeof__(*(word) + 0))step_change(word, sizeof *(word), value, STEP_OR, order, __FILE__, __LINE__))
#define yd__fence(order)                   step_fence(order, __FILE__, __LINE__)
#define yd__plain_copy_in(to, from, size)  step_plain_in(to, from, size, __FILE__, __LINE__)
#define yd__plain_copy_out(to, from, size) step_plain_out(to, from, size, __FILE__, __LINE__)

#endif
