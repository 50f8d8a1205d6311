/* Loops over every byte, bit, call or allocation prove what they prove where each step is quick. Under a sanitizer a
 * step takes many times as long, and what is looked for there (memory, undefined behaviour, races) depends on the kind
 * of place and not on each of them: there such a loop takes every so many-th place. A prime that divides no loop's own
 * steps. */
#ifndef UNIT_SPARSE_H
#define UNIT_SPARSE_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SPARSE 11
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNIT_SPARSE 11
#endif
#endif
#ifndef UNIT_SPARSE
#define UNIT_SPARSE 1
#endif

#endif
