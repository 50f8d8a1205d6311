/* What the readers of other people's definitions share: beginning, ending, words and numbers. */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "decom/convert_internal.h"

int yd__source_begin(struct yd__source *source, const char *path, struct yd_str text, struct yd_alloc *alloc,
                     struct yd_diagnostics *diagnostics)
{
    *source = (struct yd__source){.diagnostics = diagnostics, .text = text, .errors = diagnostics->errors};
    bool good = text.size <= YD_CONVERT_SIZE_MAX && yd_text_utf8(text);
    source->file = yd_def_source(diagnostics, path, good ? text : YD_STR(""));
    if (source->file == UINT32_MAX) return YD_ENOMEM;
    int r = yd_def_create(alloc, &source->def);
    if (r < 0) return r;
    if (good) return 0;
    struct yd_place top = {.file = source->file};
    yd_def_error(diagnostics, YD_D_FILE, top, "", "this is no UTF-8 text of at most %u MiB", YD_CONVERT_SIZE_MAX >> 20);
    yd_def_destroy(source->def);
    return YD_EFORMAT;
}

int yd__source_end(struct yd__source *source, struct yd_def **ret_def)
{
    yd_def_sort(source->diagnostics);
    int r = source->def->failed ? YD_ENOMEM : source->diagnostics->errors > source->errors ? YD_EFORMAT : 0;
    if (r < 0)
        yd_def_destroy(source->def);
    else
        *ret_def = source->def;
    return r;
}

struct yd_str yd__source_word(struct yd_def *def, struct yd_str name, bool dots)
{
    static const char *const reserved[] = {"_", "x", "not", "and", "or", "in", "true", "false"};
    char *word = yd_arena_get(&def->arena, name.size * 2 + 3);
    size_t size = 0;
    if (!word) {
        def->failed = true;
        return YD_STR("_");
    }
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool begins = size == 0 || word[size - 1] == '.';
        if (digit && begins) word[size++] = '_';
        word[size++] = digit || letter || (dots && c == '.' && !begins && i + 1 < name.size) ? c : '_';
    }
    if (!size) word[size++] = '_';
    for (size_t i = 0; i < YD_COUNT(reserved); i++)
        if (yd_str_eq((struct yd_str){word, size}, yd_str_of(reserved[i]))) {
            word[size++] = '_';
            break;
        }
    word[size] = 0;
    return (struct yd_str){word, size};
}

bool yd__source_i64(struct yd_str text, int64_t *ret)
{
    char digits[70], *end;
    size_t size = 0;
    bool minus = text.size && text.data[0] == '-';
    if (text.size && (text.data[0] == '-' || text.data[0] == '+')) text.data++, text.size--;
    int base = 10;
    if (text.size > 2 && text.data[0] == '0') {
        int letter = text.data[1] | 0x20;
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : letter == 'o' ? 8 : 10;
        if (base != 10) text.data += 2, text.size -= 2;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '_' && i) continue;
        bool fits = (text.data[i] >= '0' && text.data[i] <= '9') ||
                    ((text.data[i] | 0x20) >= 'a' && (text.data[i] | 0x20) <= 'f');
        if (!fits || size + 1 == sizeof digits) return false;
        digits[size++] = text.data[i];
    }
    if (!size) return false;
    digits[size] = 0;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, base);
    if (*end || errno || value > (uint64_t)INT64_MAX + minus) return false;
    *ret = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool yd__source_f64(struct yd_str text, double *ret)
{
    int64_t whole;
    if (text.size && text.data[0] == '+') text.data++, text.size--;
    if (yd_text_f64(text, false, ret) == 0) return true;
    if (!yd__source_i64(text, &whole)) return false;
    *ret = (double)whole;
    return true;
}

bool yd__source_same(struct yd_str a, const char *b)
{
    if (a.size != strlen(b)) return false;
    for (size_t i = 0; i < a.size; i++) {
        char x = a.data[i], y = b[i];
        if (x >= 'A' && x <= 'Z') x = (char)(x | 0x20);
        if (y >= 'A' && y <= 'Z') y = (char)(y | 0x20);
        if (x != y) return false;
    }
    return true;
}

struct yd_str yd__source_stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct yd_str name = yd_str_of(slash ? slash + 1 : path);
    for (size_t i = name.size; i > 1; i--)
        if (name.data[i - 1] == '.') return (struct yd_str){name.data, i - 1};
    return name;
}
