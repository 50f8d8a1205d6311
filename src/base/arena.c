/* Arenas: pieces are cut from chunks that double in size, so that a million strings cost a few dozen allocations.
 * A piece that is large for the current chunk gets a chunk of its own size and the rest of the old one is wasted. */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"

#define ALIGN     16
#define CHUNK_MIN 4096
#define CHUNK_MAX (2u << 20) /* a huge page, where the allocator gives such */

struct yd_arena_chunk {
    struct yd_arena_chunk *next;
    size_t size; /* of the whole chunk, this header included; the header is a multiple of ALIGN */
};
_Static_assert(sizeof(struct yd_arena_chunk) % ALIGN == 0, "the first piece is aligned");

void yd_arena_init(struct yd_arena *arena, struct yd_alloc *alloc)
{
    *arena = (struct yd_arena){.alloc = alloc};
}

void yd_arena_fini(struct yd_arena *arena)
{
    struct yd_arena_chunk *next;
    for (struct yd_arena_chunk *chunk = arena->chunks; chunk; chunk = next) {
        next = chunk->next;
        yd_alloc_put(arena->alloc, chunk, chunk->size);
    }
    yd_arena_init(arena, arena->alloc);
}

static void enter(struct yd_arena *arena, struct yd_arena_chunk *chunk)
{
    arena->next = (char *)(chunk + 1);
    arena->end = (char *)chunk + chunk->size;
}

void yd_arena_reset(struct yd_arena *arena)
{
    struct yd_arena_chunk *largest = arena->chunks, *next;
    if (!largest) return;
    for (struct yd_arena_chunk *chunk = largest->next; chunk; chunk = chunk->next)
        if (chunk->size > largest->size) largest = chunk;
    for (struct yd_arena_chunk *chunk = arena->chunks; chunk; chunk = next) {
        next = chunk->next;
        if (chunk != largest) yd_alloc_put(arena->alloc, chunk, chunk->size);
    }
    largest->next = NULL;
    arena->chunks = largest;
    arena->bytes = largest->size;
    enter(arena, largest);
}

static bool grow(struct yd_arena *arena, size_t size)
{
    size_t chunk_size = arena->bytes < CHUNK_MIN ? CHUNK_MIN : YD_MIN(arena->bytes, CHUNK_MAX);
    if (size > SIZE_MAX / 2) return false;
    chunk_size = YD_MAX(chunk_size, size + sizeof(struct yd_arena_chunk));
    struct yd_arena_chunk *chunk = yd_alloc_get(arena->alloc, chunk_size);
    if (!chunk) return false;
    chunk->next = arena->chunks;
    chunk->size = chunk_size;
    arena->chunks = chunk;
    arena->bytes += chunk_size;
    enter(arena, chunk);
    return true;
}

void *yd_arena_get(struct yd_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size = size ? YD_ALIGN_UP(size, ALIGN) : ALIGN;
    if ((size_t)(arena->end - arena->next) < size && !grow(arena, size)) return NULL;
    void *piece = arena->next;
    /* The end of an odd-sized chunk may be unaligned: step no further than it. */
    arena->next = (size_t)(arena->end - arena->next) < size ? arena->end : arena->next + size;
    return piece;
}

void *yd_arena_zero(struct yd_arena *arena, size_t size)
{
    void *piece = yd_arena_get(arena, size);
    return piece ? memset(piece, 0, size) : NULL;
}

struct yd_str yd_arena_str(struct yd_arena *arena, struct yd_str s)
{
    char *copy = s.size < SIZE_MAX ? yd_arena_get(arena, s.size + 1) : NULL;
    if (!copy) return (struct yd_str){0};
    if (s.size) memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return (struct yd_str){copy, s.size};
}

char *yd_arena_cstr(struct yd_arena *arena, struct yd_str s)
{
    return (char *)(uintptr_t)yd_arena_str(arena, s).data; /* our own copy: it may be written */
}

char *yd_arena_printf(struct yd_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    char *text = size < 0 ? NULL : yd_arena_get(arena, (size_t)size + 1);
    if (text) (void)vsnprintf(text, (size_t)size + 1, format, again); /* the same text as was measured */
    va_end(again);
    va_end(args);
    return text;
}
