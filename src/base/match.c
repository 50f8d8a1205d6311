/* UTF-8, likeness and globs. */
#include "base/text.h"
#include "text_internal.h"

size_t yd__text_utf8_size(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    if (p[0] < 0x80) return p[0] != 0;
    if (p[0] < 0xc2) return 0; /* a lone continuation, or two bytes for what fits one */
    size_t need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (need == 0 || size < need) return 0;
    /* Overlong forms, surrogates and what lies above U+10FFFF show in the second byte. */
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return need;
}

/* All of 1 to 7 bytes in a word, some of them twice, and letters where there are none. */
static uint64_t few_bytes(const char *data, size_t size)
{
    uint32_t low, high;
    if (size < 4)
        return UINT64_C(0x6161616161000000) | (uint8_t)data[0] | (uint32_t)(uint8_t)data[size / 2] << 8 |
               (uint32_t)(uint8_t)data[size - 1] << 16;
    memcpy(&low, data, 4);
    memcpy(&high, data + size - 4, 4);
    return (uint64_t)high << 32 | low;
}

bool yd_text_utf8(struct yd_str s)
{
    const uint64_t highs = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    if (s.size && s.size < 8) { /* labels, units: most are this short */
        uint64_t word = few_bytes(s.data, s.size);
        if (((word | (word - ones)) & highs) == 0) return true;
    }
    for (size_t i = 0; i < s.size;) {
        uint64_t word;
        if (s.size - i >= sizeof word) {
            memcpy(&word, s.data + i, sizeof word);
            /* No byte has its high bit, and none is zero (or it would borrow into its high bit). */
            if (((word | (word - ones)) & highs) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t size = yd__text_utf8_size(s.data + i, s.size - i);
        if (size == 0) return false;
        i += size;
    }
    return true;
}

unsigned yd_text_distance(struct yd_str a, struct yd_str b, unsigned limit)
{
    enum { SIZE_MAX_HERE = 255 }; /* names that people mistype; longer ones are alike only when equal */
    if (yd_str_eq(a, b)) return 0;
    size_t apart = a.size > b.size ? a.size - b.size : b.size - a.size;
    if (apart > limit || a.size > SIZE_MAX_HERE || b.size > SIZE_MAX_HERE) return limit + 1;
    /* Three rows of the table: two steps back are needed for transpositions. */
    uint16_t rows[3][SIZE_MAX_HERE + 1];
    for (size_t j = 0; j <= b.size; j++) rows[0][j] = (uint16_t)j;
    for (size_t i = 1; i <= a.size; i++) {
        uint16_t *now = rows[i % 3], *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        now[0] = (uint16_t)i;
        for (size_t j = 1; j <= b.size; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];
            unsigned best = YD_MIN(YD_MIN(one[j] + 1u, now[j - 1] + 1u), one[j - 1] + (same ? 0u : 1u));
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                best = YD_MIN(best, two[j - 2] + 1u);
            now[j] = (uint16_t)best;
        }
    }
    unsigned distance = rows[a.size % 3][b.size];
    return distance <= limit ? distance : limit + 1;
}

/* Globs. Without braces: walk both; at a mismatch go back to the last star and give it one byte more. Going back to an
 * earlier star can never help, so there is no explosion. Braces are written out first, one alternative after another,
 * with a bound on how many. */
#define GLOB_SIZE_MAX   4096
#define GLOB_BRACES_MAX 8
#define GLOB_WORDS_MAX  1024

/* Size of the [class] at the front and whether it holds c; 0 when it is not closed (then [ is itself). */
static size_t match_class(struct yd_str p, unsigned char c, bool *ret_match)
{
    size_t i = 1;
    bool not = i < p.size && (p.data[i] == '!' || p.data[i] == '^'), found = false;
    i += not ;
    for (bool first = true; i < p.size; first = false) {
        if (p.data[i] == ']' && !first) {
            *ret_match = found != not ;
            return i + 1;
        }
        if (p.data[i] == '\\' && i + 1 < p.size) i++;
        unsigned char low = (unsigned char)p.data[i++], high = low;
        if (i + 1 < p.size && p.data[i] == '-' && p.data[i + 1] != ']') {
            i++;
            if (p.data[i] == '\\' && i + 1 < p.size) i++;
            high = (unsigned char)p.data[i++];
        }
        found |= c >= low && c <= high;
    }
    return 0;
}

/* Size of the pattern's element at the front if it matches c, else 0. */
static size_t match_one(struct yd_str p, unsigned char c)
{
    bool match;
    switch (p.data[0]) {
    case '?':
        return 1;
    case '[': {
        size_t size = match_class(p, c, &match);
        if (size) return match ? size : 0;
        return c == '[';
    }
    case '\\':
        if (p.size > 1) return (unsigned char)p.data[1] == c ? 2 : 0;
        return c == '\\';
    default:
        return (unsigned char)p.data[0] == c;
    }
}

static bool match_plain(struct yd_str p, struct yd_str s)
{
    size_t at = 0, i = 0, star = SIZE_MAX, star_i = 0;
    while (i < s.size) {
        if (at < p.size && p.data[at] == '*') {
            star = ++at;
            star_i = i;
            if (star == p.size) return true;
            continue;
        }
        size_t step = at < p.size ? match_one((struct yd_str){p.data + at, p.size - at}, (unsigned char)s.data[i]) : 0;
        if (step) {
            at += step;
            i++;
        } else if (star != SIZE_MAX) {
            at = star;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (at < p.size && p.data[at] == '*') at++;
    return at == p.size;
}

/* Where the first brace that is closed begins and ends; false if there is none. */
static bool find_braces(struct yd_str p, size_t *ret_open, size_t *ret_close)
{
    for (size_t i = 0; i < p.size; i++) {
        if (p.data[i] == '\\') {
            i++;
            continue;
        }
        if (p.data[i] != '{') continue;
        int depth = 0;
        for (size_t j = i; j < p.size; j++) {
            if (p.data[j] == '\\')
                j++;
            else if (p.data[j] == '{')
                depth++;
            else if (p.data[j] == '}' && --depth == 0) {
                *ret_open = i;
                *ret_close = j;
                return true;
            }
        }
    }
    return false;
}

static bool match_braces(struct yd_str p, struct yd_str s, int depth, int *words)
{
    size_t open, close;
    if (!memchr(p.data, '{', p.size) || !find_braces(p, &open, &close)) return --*words >= 0 && match_plain(p, s);
    if (depth == GLOB_BRACES_MAX || p.size > GLOB_SIZE_MAX) return false;
    char text[GLOB_SIZE_MAX];
    memcpy(text, p.data, open);
    int nest = 0;
    for (size_t start = open + 1, i = start; i <= close; i++) {
        if (p.data[i] == '\\') {
            i++;
            continue;
        }
        if (p.data[i] == '{') nest++;
        if (p.data[i] == '}' && i < close) nest--;
        if (i < close && (p.data[i] != ',' || nest)) continue;
        size_t size = open;
        memcpy(text + size, p.data + start, i - start);
        size += i - start;
        memcpy(text + size, p.data + close + 1, p.size - close - 1);
        size += p.size - close - 1;
        if (match_braces((struct yd_str){text, size}, s, depth + 1, words)) return true;
        if (*words < 0) return false;
        start = i + 1;
    }
    return false;
}

bool yd_text_glob(struct yd_str pattern, struct yd_str s)
{
    int words = GLOB_WORDS_MAX;
    if (pattern.size == 0) return s.size == 0;
    return match_braces(pattern, s, 0, &words);
}
