/* Reading JSON: see json_in.h. A hand-written automaton over RFC 8259, with Java's NaN and Infinity besides. */
#include "serve/json_in.h"

enum expect { VALUE, FIRST_KEY, KEY, COLON_VALUE, FIRST_ITEM, AFTER, DONE, DEAD };

void yd_json_open(struct yd_json_in *in, struct yd_str text, struct yd_arena *arena)
{
    *in = (struct yd_json_in){.start = text.data, .at = text.data, .end = text.data + text.size, .arena = arena};
}

static enum yd_json_type fail(struct yd_json_in *in, struct yd_json_token *token, const char *why)
{
    if (in->expect != DEAD) in->why = why;
    in->expect = DEAD;
    return token->type = YD_JSON_ERROR;
}

static void skip_space(struct yd_json_in *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r')) in->at++;
}

static int hex4(const char *p)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) return to[0] = (char)c, 1;
    if (c < 0x800) return to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return to[0] = (char)(0xe0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63)), 3;
    to[0] = (char)(0xf0 | c >> 18), to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63)), to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* \uXXXX at p (behind the u), perhaps a pair. Returns the bytes used, 0 when it is none. */
static size_t unescape_u(const char *p, const char *end, uint32_t *ret)
{
    int high = end - p >= 4 ? hex4(p) : -1;
    if (high < 0 || (high >= 0xdc00 && high < 0xe000)) return 0;
    *ret = (uint32_t)high;
    if (high < 0xd800 || high >= 0xdc00) return 4;
    int low = end - p >= 10 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6) : -1;
    if (low < 0xdc00 || low >= 0xe000) return 0;
    *ret = 0x10000 + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
    return 10;
}

static const char *unescape(struct yd_json_in *in, const char *from, const char *to, struct yd_str *ret)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *out = yd_arena_get(in->arena, (size_t)(to - from)), *at = out;
    if (!out) return "out of memory";
    for (const char *p = from; p < to;) {
        if (*p != '\\') {
            *at++ = *p++;
            continue;
        }
        p++;
        const char *letter = p < to && *p ? strchr(letters, *p) : NULL;
        if (letter) {
            *at++ = meant[letter - letters];
            p++;
            continue;
        }
        uint32_t c;
        size_t used = p < to && *p == 'u' ? unescape_u(p + 1, to, &c) : 0;
        if (!used) return "a bad escape in a string";
        at += put_utf8(at, c);
        p += 1 + used;
    }
    *ret = (struct yd_str){out, (size_t)(at - out)};
    return NULL;
}

/* A string, in->at on its opening quote. NULL, or why not. */
static const char *take_string(struct yd_json_in *in, struct yd_str *ret)
{
    const char *from = ++in->at;
    bool escaped = false, high = false;
    for (; in->at < in->end && *in->at != '"'; in->at++) {
        if ((unsigned char)*in->at < 0x20) return "a control character in a string";
        high |= (unsigned char)*in->at >= 0x80;
        if (*in->at != '\\') continue;
        escaped = true;
        if (++in->at == in->end) break;
    }
    if (in->at >= in->end) return "a string without an end";
    *ret = (struct yd_str){from, (size_t)(in->at - from)};
    in->at++;
    if (high && !yd_text_utf8(*ret)) return "a string that is not UTF-8";
    return escaped ? unescape(in, from, from + ret->size, ret) : NULL;
}

static bool take_word(struct yd_json_in *in, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size)) return false;
    in->at += size;
    return true;
}

/* A number by its grammar, NaN, Infinity, -Infinity. */
static bool take_number(struct yd_json_in *in, struct yd_str *ret)
{
    const char *from = in->at;
    in->at += *in->at == '-';
    if (!take_word(in, "NaN") && !take_word(in, "Infinity")) {
        const char *digits = in->at;
        while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
        if (in->at == digits || (*digits == '0' && in->at - digits > 1)) return false;
        if (in->at < in->end && *in->at == '.') {
            digits = ++in->at;
            while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
            if (in->at == digits) return false;
        }
        if (in->at < in->end && (*in->at | 0x20) == 'e') {
            in->at++;
            in->at += in->at < in->end && (*in->at == '+' || *in->at == '-');
            digits = in->at;
            while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
            if (in->at == digits) return false;
        }
    }
    *ret = (struct yd_str){from, (size_t)(in->at - from)};
    return true;
}

static enum yd_json_type close_(struct yd_json_in *in, struct yd_json_token *token, bool array)
{
    bool is_array = in->arrays >> in->depth & 1;
    if (in->depth == 0 || is_array != array) return fail(in, token, "a bracket that closes nothing");
    in->at++;
    in->depth--;
    in->expect = in->depth ? AFTER : DONE;
    return token->type = array ? YD_JSON_ARRAY_END : YD_JSON_OBJECT_END;
}

static enum yd_json_type open_(struct yd_json_in *in, struct yd_json_token *token, bool array)
{
    if (in->depth + 1 >= YD_JSON_DEPTH_MAX) return fail(in, token, "nested too deeply");
    in->at++;
    in->depth++;
    in->arrays = (in->arrays & ~(UINT64_C(1) << in->depth)) | (uint64_t)array << in->depth;
    in->expect = array ? FIRST_ITEM : FIRST_KEY;
    return token->type = array ? YD_JSON_ARRAY : YD_JSON_OBJECT;
}

static enum yd_json_type take_value(struct yd_json_in *in, struct yd_json_token *token)
{
    char c = *in->at;
    if (c == '{' || c == '[') return open_(in, token, c == '[');
    in->expect = in->depth ? AFTER : DONE;
    if (c == '"') {
        const char *why = take_string(in, &token->text);
        return why ? fail(in, token, why) : (token->type = YD_JSON_STRING);
    }
    if (take_word(in, "true")) return token->type = YD_JSON_TRUE;
    if (take_word(in, "false")) return token->type = YD_JSON_FALSE;
    if (take_word(in, "null")) return token->type = YD_JSON_NULL;
    if (take_number(in, &token->text)) return token->type = YD_JSON_NUMBER;
    return fail(in, token, "a value is missing here");
}

static enum yd_json_type take_key(struct yd_json_in *in, struct yd_json_token *token)
{
    if (*in->at != '"') return fail(in, token, "a key is missing here");
    const char *why = take_string(in, &token->text);
    if (why) return fail(in, token, why);
    skip_space(in);
    if (in->at == in->end || *in->at != ':') return fail(in, token, "a colon is missing here");
    in->at++;
    in->expect = COLON_VALUE;
    return token->type = YD_JSON_KEY;
}

enum yd_json_type yd_json_next(struct yd_json_in *in, struct yd_json_token *token)
{
    *token = (struct yd_json_token){.text = YD_STR("")};
    if (in->expect == DEAD) return fail(in, token, in->why);
    skip_space(in);
    token->from = in->at;
    if (in->at == in->end)
        return in->expect == DONE ? (token->type = YD_JSON_END) : fail(in, token, "the end is missing");
    bool in_array = in->arrays >> in->depth & 1;
    char c = *in->at;
    switch ((enum expect)in->expect) {
    case DONE:
        return fail(in, token, "something follows the end");
    case FIRST_KEY:
        return c == '}' ? close_(in, token, false) : take_key(in, token);
    case KEY:
        return take_key(in, token);
    case FIRST_ITEM:
        if (c == ']') return close_(in, token, true);
        break;
    case AFTER:
        if (c == '}' || c == ']') return close_(in, token, c == ']');
        if (c != ',') return fail(in, token, "a comma is missing here");
        in->at++;
        skip_space(in);
        token->from = in->at;
        if (in->at == in->end) return fail(in, token, "the end is missing");
        if (!in_array) return take_key(in, token);
        break;
    case VALUE:
    case COLON_VALUE:
    case DEAD:
        break;
    }
    return take_value(in, token);
}

bool yd_json_skip(struct yd_json_in *in, const struct yd_json_token *token)
{
    struct yd_json_token inner;
    if (token->type != YD_JSON_OBJECT && token->type != YD_JSON_ARRAY) return token->type != YD_JSON_ERROR;
    for (uint32_t depth = in->depth - 1; in->depth > depth;)
        if (yd_json_next(in, &inner) == YD_JSON_ERROR) return false;
    return true;
}

/* ---- trees ---- */

int yd_json_read(struct yd_str text, struct yd_arena *arena, struct yd_json_value **ret_value, struct yd_trail *trail)
{
    struct yd_json_in in;
    struct yd_json_token token;
    struct yd_json_value *open[YD_JSON_DEPTH_MAX] = {0}, *last[YD_JSON_DEPTH_MAX] = {0}, *root = NULL;
    struct yd_str key = YD_STR("");
    uint32_t depth = 0;
    yd_json_open(&in, text, arena);
    for (;;) {
        enum yd_json_type type = yd_json_next(&in, &token);
        if (type == YD_JSON_END) break;
        if (type == YD_JSON_ERROR)
            return yd_trail_add(trail, YD_EFORMAT, "at byte %zu: %s", (size_t)(in.at - in.start), in.why);
        if (type == YD_JSON_KEY) {
            key = token.text;
            continue;
        }
        if (type == YD_JSON_OBJECT_END || type == YD_JSON_ARRAY_END) {
            open[depth]->raw.size = (size_t)(in.at - open[depth]->raw.data);
            depth--;
            continue;
        }
        struct yd_json_value *value = yd_arena_zero(arena, sizeof *value);
        if (!value) return YD_ENOMEM;
        *value = (struct yd_json_value){.type = type, .key = key, .text = token.text, .raw = {token.from, 0}};
        key = YD_STR("");
        if (!root) root = value;
        if (depth) {
            open[depth]->count++;
            *(last[depth] ? &last[depth]->next : &open[depth]->first) = value;
            last[depth] = value;
        }
        if (type == YD_JSON_OBJECT || type == YD_JSON_ARRAY) {
            open[++depth] = value;
            last[depth] = NULL;
        }
    }
    *ret_value = root;
    return 0;
}

const struct yd_json_value *yd_json_get(const struct yd_json_value *object, const char *key)
{
    const struct yd_json_value *found = NULL;
    if (!object || object->type != YD_JSON_OBJECT) return NULL;
    for (const struct yd_json_value *value = object->first; value; value = value->next)
        if (yd_str_eq(value->key, yd_str_of(key))) found = value;
    return found;
}

struct yd_str yd_json_text(const struct yd_json_value *value)
{
    bool has = value && (value->type == YD_JSON_STRING || value->type == YD_JSON_NUMBER);
    return has ? value->text : YD_STR("");
}

bool yd_json_true(const struct yd_json_value *value)
{
    return value &&
           (value->type == YD_JSON_TRUE || (value->type == YD_JSON_STRING && yd_str_eq(value->text, YD_STR("true"))));
}
