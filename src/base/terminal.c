/* Texts of others on a terminal. See terminal.h. */
#include "base/terminal.h"

void yd_buf_shown(struct yd_buf *buf, struct yd_str s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        unsigned char next = i + 1 < s.size ? (unsigned char)s.data[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            yd_buf_printf(buf, "\\x%02x\\x%02x", c, (unsigned char)s.data[++i]);
        else if (c < 0x20 || c == 0x7f)
            yd_buf_printf(buf, "\\x%02x", c);
        else
            yd_buf_char(buf, (char)c);
    }
}
