/* base/alloc.h: the injected allocator, an arena on top of it, a growing buffer.
 *
 * Whoever holds memory for long takes a `struct yd_alloc *` (NULL means the C library's), so that tests
 * can fail the nth call. Thread safety is the allocator's: the default one is safe anywhere. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include "base/base.h"

struct yd_alloc {
    /* new_size 0 frees and returns NULL. ptr NULL allocates. NULL on failure leaves ptr as it was. */
    void *(*resize)(struct yd_alloc *self, void *ptr, size_t old_size, size_t new_size);
};

struct yd_alloc *yd_alloc_default(void);
void *yd_alloc_get(struct yd_alloc *alloc, size_t size);  /* not zeroed; NULL when out of memory */
void *yd_alloc_zero(struct yd_alloc *alloc, size_t size); /* zeroed */
void *yd_alloc_resize(struct yd_alloc *alloc, void *ptr, size_t old_size, size_t new_size);
void yd_alloc_put(struct yd_alloc *alloc, void *ptr, size_t size); /* NULL is quiet */

/* For tests: fails the nth call (counted from 1; 0 never) and every one after it, and counts what is out. */
struct yd_alloc_failing {
    struct yd_alloc alloc;
    uint64_t calls, fail_at;
    int64_t bytes_out;
};
void yd_alloc_failing_init(struct yd_alloc_failing *failing, uint64_t fail_at);

/* Arena: many small pieces that die together. Pieces are 16-byte aligned. One thread. */
struct yd_arena_chunk;
struct yd_arena {
    struct yd_alloc *alloc;
    struct yd_arena_chunk *chunks;
    char *next, *end;
    size_t bytes; /* taken from the allocator */
};
void yd_arena_init(struct yd_arena *arena, struct yd_alloc *alloc);
void yd_arena_fini(struct yd_arena *arena);
void yd_arena_reset(struct yd_arena *arena);             /* forgets all pieces, keeps the largest chunk */
void *yd_arena_get(struct yd_arena *arena, size_t size); /* not zeroed */
void *yd_arena_zero(struct yd_arena *arena, size_t size);
struct yd_str yd_arena_str(struct yd_arena *arena, struct yd_str s); /* copy, terminated; data NULL on ENOMEM */
char *yd_arena_cstr(struct yd_arena *arena, struct yd_str s);
char *yd_arena_printf(struct yd_arena *arena, const char *format, ...) YD_PRINTF(2, 3);

/* Buffer: bytes that grow. `failed` sticks after ENOMEM or size_max, so a run of adds is checked once. */
struct yd_buf {
    struct yd_alloc *alloc;
    char *data;
    size_t size, capacity, size_max; /* size_max 0: no limit */
    bool failed;
};
void yd_buf_init(struct yd_buf *buf, struct yd_alloc *alloc);
void yd_buf_fini(struct yd_buf *buf);
void yd_buf_clear(struct yd_buf *buf);                 /* size 0, failed false, memory kept */
char *yd_buf_reserve(struct yd_buf *buf, size_t size); /* room at the end; NULL: failed. size unchanged */
void yd_buf_add(struct yd_buf *buf, const void *data, size_t size);
void yd_buf_str(struct yd_buf *buf, struct yd_str s);
void yd_buf_cstr(struct yd_buf *buf, const char *text);
void yd_buf_char(struct yd_buf *buf, char c);
void yd_buf_printf(struct yd_buf *buf, const char *format, ...) YD_PRINTF(2, 3);
void yd_buf_consume(struct yd_buf *buf, size_t size); /* drops bytes at the front */
static inline struct yd_str yd_buf_view(const struct yd_buf *buf)
{
    return (struct yd_str){buf->data, buf->size};
}

#endif
