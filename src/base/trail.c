/* The error trail. Who fails deepest writes first; every caller puts his own line before it. */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

void yd_trail_clear(struct yd_trail *trail)
{
    if (!trail) return;
    trail->size = 0;
    trail->text[0] = 0;
}

int yd_trail_add(struct yd_trail *trail, int error, const char *format, ...)
{
    if (!trail) return error;
    const size_t capacity = sizeof trail->text - 1;
    char line[sizeof trail->text];
    va_list args;
    va_start(args, format);
    int printed = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (printed <= 0) return error;
    size_t joint = trail->size ? 2 : 0, size = YD_MIN((size_t)printed, capacity);
    if (trail->size + joint >= capacity) return error; /* full: what came first says most */
    size = YD_MIN(size, capacity - trail->size - joint);
    while (size && ((unsigned char)line[size] & 0xc0) == 0x80) size--; /* no half character at the cut */
    if (size == 0) return error;
    memmove(trail->text + size + joint, trail->text, trail->size);
    memcpy(trail->text, line, size);
    memcpy(trail->text + size, ": ", joint);
    trail->size += size + joint;
    trail->text[trail->size] = 0;
    return error;
}

const char *yd_trail_text(const struct yd_trail *trail)
{
    return trail && trail->size ? trail->text : "";
}
