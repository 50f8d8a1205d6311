/* Shared by the files of base's text room only. */
#ifndef BASE_TEXT_INTERNAL_H
#define BASE_TEXT_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the valid UTF-8 character that starts here, 0 if there is none (or it is NUL). size > 0. */
size_t yd__text_utf8_size(const char *data, size_t size);

#endif
