/* live/atomic.h: the only door to memory that two processes share.
 *
 * Everything that both ends touch goes through these, so that the proofs can compile the very same sources with each
 * step under their control: tests/live/steps defines YD_LIVE_STEPS and brings definitions of its own. Orders are
 * spelled out at each place; a comment there names what it pairs with. Words only: a copy is a run of relaxed 64-bit
 * atomics, never a memcpy, since the other side may be writing. libc only. */
#ifndef LIVE_ATOMIC_H
#define LIVE_ATOMIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef YD_LIVE_STEPS
#include YD_LIVE_STEPS
#else
#define RELAXED __ATOMIC_RELAXED
#define ACQUIRE __ATOMIC_ACQUIRE
#define RELEASE __ATOMIC_RELEASE
#define ACQ_REL __ATOMIC_ACQ_REL

#define yd__load(from, order)              __atomic_load_n(from, order)
#define yd__store(to, value, order)        __atomic_store_n(to, value, order)
#define yd__exchange(word, value, order)   __atomic_exchange_n(word, value, order)
#define yd__fetch_or(word, value, order)   __atomic_fetch_or(word, value, order)
#define yd__fence(order)                   __atomic_thread_fence(order)
/* Bytes that one side owns at a time, handed over by an exchange: plain copies. */
#define yd__plain_copy_out(to, from, size) memcpy(to, from, size)
#define yd__plain_copy_in(to, from, size)  memcpy(to, from, size)
#endif

/* Copies what does not change any more, whole words. A writer that lies may change it anyway: then what was checked is
 * still what is used, which a plain copy does not promise, since a compiler may read it twice. */
static inline void yd__copy_once(void *to, const void *from, size_t size)
{
    const uint64_t *words = (const uint64_t *)from;
    unsigned char *bytes = (unsigned char *)to;
    for (; size; size -= 8, bytes += 8, words++) {
        uint64_t word = __atomic_load_n(words, __ATOMIC_RELAXED);
        memcpy(bytes, &word, 8);
    }
}

/* Words that nobody reads before much more was written: past this core's cache, so that the reader's core has not to
 * fetch them out of it. Release does not order them (x86's streaming stores): behind a release fence that they must not
 * overtake, and before the release that gives them away, stands a yd__stream_fence. So they are relaxed stores as C has
 * them, and to the proofs; machines without them do just those. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define YD__NO_STREAM 1
#endif
#endif
#if defined(__x86_64__) && !defined(YD_LIVE_STEPS) && !defined(__SANITIZE_THREAD__) && !defined(YD__NO_STREAM)
#include <emmintrin.h>
static inline void yd__stream(uint64_t *to, uint64_t value)
{
    _mm_stream_si64((long long *)(void *)to, (long long)value);
}
static inline void yd__stream_fence(void)
{
    _mm_sfence();
}
#else
static inline void yd__stream(uint64_t *to, uint64_t value)
{
    yd__store(to, value, RELAXED);
}
static inline void yd__stream_fence(void) {}
#endif

/* What waits in a loop for another core. */
static inline void yd__relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Bytes into shared words: the last one is filled up with zeros. `to` is 8-byte aligned with room for whole words. */
static inline void yd__words_in(uint64_t *to, const void *from, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)from;
    uint64_t word;
    for (; size >= 8; size -= 8, bytes += 8, to++) {
        memcpy(&word, bytes, 8);
        yd__store(to, word, RELAXED);
    }
    if (size > 0) {
        word = 0;
        memcpy(&word, bytes, size);
        yd__store(to, word, RELAXED);
    }
}

/* Shared words into bytes. */
static inline void yd__words_out(void *to, const uint64_t *from, size_t size)
{
    unsigned char *bytes = (unsigned char *)to;
    uint64_t word;
    for (; size >= 8; size -= 8, bytes += 8, from++) {
        word = yd__load(from, RELAXED);
        memcpy(bytes, &word, 8);
    }
    if (size > 0) {
        word = yd__load(from, RELAXED);
        memcpy(bytes, &word, size);
    }
}

#endif
