/* The growing buffer. Doubles, so adding is constant time on average; the failure sticks, so a run of adds is
 * checked once at its end. */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"

#define CAPACITY_MIN 64

void yd_buf_init(struct yd_buf *buf, struct yd_alloc *alloc)
{
    *buf = (struct yd_buf){.alloc = alloc};
}

void yd_buf_fini(struct yd_buf *buf)
{
    yd_alloc_put(buf->alloc, buf->data, buf->capacity);
    yd_buf_init(buf, buf->alloc);
}

void yd_buf_clear(struct yd_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

static bool grow(struct yd_buf *buf, size_t size)
{
    size_t limit = buf->size_max ? buf->size_max : SIZE_MAX / 4;
    if (size > limit || buf->size > limit - size) return false;
    size_t capacity = YD_MAX(YD_MAX(buf->capacity * 2, buf->size + size), CAPACITY_MIN);
    if (buf->size_max && capacity > buf->size_max) capacity = YD_MAX(buf->size_max, CAPACITY_MIN);
    char *data = yd_alloc_resize(buf->alloc, buf->data, buf->capacity, capacity);
    if (!data) return false;
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *yd_buf_reserve(struct yd_buf *buf, size_t size)
{
    if (YD_UNLIKELY(buf->failed)) return NULL;
    bool over = buf->size_max && (size > buf->size_max || buf->size > buf->size_max - size);
    if (YD_UNLIKELY(over || !buf->data || buf->capacity - buf->size < size) && (over || !grow(buf, size))) {
        buf->failed = true;
        return NULL;
    }
    return buf->data + buf->size;
}

void yd_buf_add(struct yd_buf *buf, const void *data, size_t size)
{
    if (size == 0) return;
    char *to = yd_buf_reserve(buf, size);
    if (!to) return;
    memcpy(to, data, size);
    buf->size += size;
}

void yd_buf_str(struct yd_buf *buf, struct yd_str s)
{
    yd_buf_add(buf, s.data, s.size);
}

void yd_buf_cstr(struct yd_buf *buf, const char *text)
{
    yd_buf_add(buf, text, strlen(text));
}

void yd_buf_char(struct yd_buf *buf, char c)
{
    char *to = yd_buf_reserve(buf, 1);
    if (!to) return;
    *to = c;
    buf->size++;
}

void yd_buf_printf(struct yd_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(small, sizeof small, format, args);
    if (size < 0) {
        buf->failed = true;
    } else if ((size_t)size < sizeof small) {
        yd_buf_add(buf, small, (size_t)size);
    } else {
        /* vsnprintf insists on writing a NUL: room for one byte more than counts. */
        char *to = yd_buf_reserve(buf, (size_t)size + 1);
        if (to) {
            (void)vsnprintf(to, (size_t)size + 1, format, again); /* as measured above */
            buf->size += (size_t)size;
        }
    }
    va_end(again);
    va_end(args);
}

void yd_buf_consume(struct yd_buf *buf, size_t size)
{
    YD_ASSERT(size <= buf->size);
    buf->size -= size;
    if (size && buf->size) memmove(buf->data, buf->data + size, buf->size);
}
