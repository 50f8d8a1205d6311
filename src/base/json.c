/* The JSON emitter: a stack of "a comma is due", and escapes. Misuse (an end too many, nesting over 63) fails the
 * buffer, so it shows where the buffer is checked. */
#include "base/text.h"
#include "text_internal.h"

void yd_json_init(struct yd_json *json, struct yd_buf *buf, bool pretty)
{
    *json = (struct yd_json){.buf = buf, .pretty = pretty};
}

static void indent(struct yd_json *json)
{
    yd_buf_char(json->buf, '\n');
    for (uint32_t i = 0; i < json->depth; i++) yd_buf_add(json->buf, "  ", 2);
}

/* Before a value or a key. comma[depth]: something precedes at this level. A value after its key clears it again. */
static void lead(struct yd_json *json)
{
    if (json->comma[json->depth]) yd_buf_char(json->buf, ',');
    if (json->pretty && json->depth && !json->after_key) indent(json);
    json->comma[json->depth] = true;
    json->after_key = false;
}

static void open(struct yd_json *json, char bracket)
{
    lead(json);
    yd_buf_char(json->buf, bracket);
    if (json->depth + 1 >= YD_COUNT(json->comma)) {
        json->buf->failed = true;
        return;
    }
    json->comma[++json->depth] = false;
}

static void end(struct yd_json *json, char bracket)
{
    if (json->depth == 0) {
        json->buf->failed = true;
        return;
    }
    bool any = json->comma[json->depth--];
    if (json->pretty && any) indent(json);
    yd_buf_char(json->buf, bracket);
}

void yd_json_object(struct yd_json *json)
{
    open(json, '{');
}

void yd_json_object_end(struct yd_json *json)
{
    end(json, '}');
}

void yd_json_array(struct yd_json *json)
{
    open(json, '[');
}

void yd_json_array_end(struct yd_json *json)
{
    end(json, ']');
}

static void escape(struct yd_buf *buf, unsigned char c)
{
    static const char short_form[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\";
    const char *found = c ? strchr(short_form, c) : NULL;
    if (found)
        yd_buf_add(buf, (char[]){'\\', letter[found - short_form]}, 2);
    else
        yd_buf_printf(buf, "\\u%04x", c);
}

static void quoted(struct yd_buf *buf, struct yd_str s)
{
    yd_buf_char(buf, '"');
    size_t plain = 0, i = 0;
    while (i < s.size) {
        unsigned char c = (unsigned char)s.data[i];
        if (YD_LIKELY(c >= 0x20 && c < 0x80 && c != '"' && c != '\\')) {
            i++;
            continue;
        }
        size_t size = c < 0x80 ? 0 : yd__text_utf8_size(s.data + i, s.size - i);
        if (size) {
            i += size;
            continue;
        }
        yd_buf_add(buf, s.data + plain, i - plain);
        if (c < 0x80)
            escape(buf, c);
        else
            yd_buf_add(buf, "\xef\xbf\xbd", 3);
        plain = ++i;
    }
    if (i > plain) yd_buf_add(buf, s.data + plain, i - plain);
    yd_buf_char(buf, '"');
}

void yd_json_key_str(struct yd_json *json, struct yd_str key)
{
    lead(json);
    quoted(json->buf, key);
    yd_buf_add(json->buf, ": ", json->pretty ? 2 : 1);
    json->comma[json->depth] = false; /* its value follows without one */
    json->after_key = true;
}

void yd_json_key(struct yd_json *json, const char *key)
{
    yd_json_key_str(json, yd_str_of(key));
}

void yd_json_str(struct yd_json *json, struct yd_str value)
{
    lead(json);
    quoted(json->buf, value);
}

void yd_json_cstr(struct yd_json *json, const char *value)
{
    if (value)
        yd_json_str(json, yd_str_of(value));
    else
        yd_json_null(json);
}

static void bare(struct yd_json *json, const char *text, size_t size)
{
    lead(json);
    yd_buf_add(json->buf, text, size);
}

void yd_json_i64(struct yd_json *json, int64_t value)
{
    char text[24];
    bare(json, text, yd_text_put_i64(text, value));
}

void yd_json_u64(struct yd_json *json, uint64_t value)
{
    char text[24];
    bare(json, text, yd_text_put_u64(text, value));
}

void yd_json_f64(struct yd_json *json, double value)
{
    char text[32];
    if (value - value == 0)
        bare(json, text, yd_text_put_f64(text, value));
    else
        yd_json_null(json);
}

void yd_json_bool(struct yd_json *json, bool value)
{
    bare(json, value ? "true" : "false", value ? 4 : 5);
}

void yd_json_null(struct yd_json *json)
{
    bare(json, "null", 4);
}
