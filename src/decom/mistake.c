/* Mistakes in texts that people write: where, what, and what to write instead. See mistake.h. */
#include "decom/mistake.h"

#include <stdarg.h>
#include <stdio.h>

static bool begins_letter(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

int yd_mistake_at(struct yd_mistake *mistake, int error, struct yd_str text, size_t offset, size_t size)
{
    if (!mistake) return error;
    if (offset > text.size) offset = text.size;
    if (size > text.size - offset) size = text.size - offset;
    *mistake =
        (struct yd_mistake){.error = error, .offset = (uint32_t)offset, .size = (uint32_t)size, .line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (text.data[i] == '\n') {
            mistake->line++;
            mistake->column = 1;
        } else {
            mistake->column += begins_letter(text.data[i]);
        }
    }
    return error;
}

void yd_mistake_move(struct yd_mistake *mistake, struct yd_str text, size_t offset)
{
    struct yd_mistake moved;
    (void)yd_mistake_at(&moved, mistake->error, text, offset, mistake->size);
    mistake->offset = moved.offset;
    mistake->size = moved.size;
    mistake->line = moved.line;
    mistake->column = moved.column;
}

int yd_mistake_say(struct yd_mistake *mistake, int error, struct yd_str text, size_t offset, size_t size,
                   const char *format, ...)
{
    va_list args;
    if (!mistake) return error;
    (void)yd_mistake_at(mistake, error, text, offset, size);
    va_start(args, format);
    (void)vsnprintf(mistake->message, sizeof mistake->message, format, args);
    va_end(args);
    return error;
}

void yd_mistake_line(const struct yd_mistake *mistake, char *to, size_t size)
{
    (void)snprintf(to, size, "%u:%u: %s%s%s%s", mistake->line, mistake->column, mistake->message,
                   *mistake->help ? " (" : "", mistake->help, *mistake->help ? ")" : "");
}

void yd_mistake_show(const struct yd_mistake *mistake, struct yd_str text, const char *path, uint32_t line_first,
                     struct yd_buf *to)
{
    uint32_t line = mistake->line + (line_first ? line_first - 1 : 0);
    size_t begin = mistake->offset, end = mistake->offset;
    while (begin > 0 && text.data[begin - 1] != '\n') begin--;
    while (end < text.size && text.data[end] != '\n') end++;
    yd_buf_printf(to, "%s%s%u:%u: %s\n", path, *path ? ":" : "", line, mistake->column, mistake->message);
    yd_buf_printf(to, "%5u | %.*s\n      | ", line, (int)(end - begin), text.data + begin);
    for (size_t i = begin; i < mistake->offset; i++) /* a tab stays one, so that the caret stands below */
        if (begins_letter(text.data[i])) yd_buf_char(to, text.data[i] == '\t' ? '\t' : ' ');
    uint32_t carets = 0;
    for (size_t i = mistake->offset; i < mistake->offset + mistake->size && i < end; i++)
        carets += begins_letter(text.data[i]);
    for (uint32_t i = 0; i < (carets ? carets : 1); i++) yd_buf_char(to, '^');
    yd_buf_char(to, '\n');
    if (*mistake->help) yd_buf_printf(to, "      = help: %s\n", mistake->help);
}
