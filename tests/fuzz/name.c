/* Names and patterns from anywhere: input is a name, a line feed, a pattern. */
#include <stdlib.h>

#include <yarder/name.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

/* A name as a pattern for itself: only '?' is written otherwise. */
static void match_itself(struct yd_str name)
{
    char text[2 * YD_NAME_SIZE_MAX];
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '?') text[size++] = '\\';
        text[size++] = name.data[i];
    }
    struct yd_pattern *pattern;
    if (size + 2 > YD_NAME_SIZE_MAX) return;
    memcpy(text + size, ",!", 2);
    struct yd_name parsed;
    must(yd_name_parse(name, &parsed, NULL) == 0 && parsed.sorted);
    /* A '!' at the start of a key means something in a pattern. */
    for (uint32_t i = 0; i < parsed.tag_count; i++)
        if (parsed.tags[i].key.data[0] == '!') return;
    if (parsed.tag_count) size += 2;
    must(yd_pattern_compile((struct yd_str){text, size}, &pattern) == 0);
    must(yd_pattern_match(pattern, name));
    yd_pattern_destroy(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yd_str text = {(const char *)data, size}, pattern_text = {0};
    const char *line = size ? memchr(data, '\n', size) : NULL;
    if (line) {
        text.size = (size_t)(line - text.data);
        pattern_text = (struct yd_str){line + 1, size - text.size - 1};
    }
    char canonical[YD_NAME_SIZE_MAX], again[YD_NAME_SIZE_MAX];
    size_t canonical_size, again_size, offset = SIZE_MAX;
    struct yd_name name;
    if (yd_name_parse(text, &name, &offset) < 0) must(offset <= text.size);
    struct yd_pattern *pattern = NULL;
    if (yd_pattern_compile(pattern_text, &pattern) < 0) pattern = NULL;
    if (pattern) (void)yd_pattern_match(pattern, text); /* names come canonical, but nothing bad may happen */
    if (yd_name_canonical(text, canonical, &canonical_size) == 0) {
        struct yd_str one = {canonical, canonical_size};
        must(yd_name_canonical(one, again, &again_size) == 0 && yd_str_eq(one, (struct yd_str){again, again_size}));
        match_itself(one);
        if (pattern) (void)yd_pattern_match(pattern, one);
    }
    yd_pattern_destroy(pattern);
    char escaped[256], back[256];
    struct yd_str part = {text.data, text.size < 128 ? text.size : 128};
    size_t escaped_size = yd_name_escape(part, escaped);
    must(yd_str_eq(part, (struct yd_str){back, yd_name_unescape((struct yd_str){escaped, escaped_size}, back)}));
    (void)yd_text_glob(pattern_text, part);
    return 0;
}
