/* serve/json_in.h: reading JSON that strangers sent.
 *
 * Pull: yd_json_next gives one token after the other; nothing is allocated but unescaped strings, in the arena. Tree:
 * yd_json_read builds values in the arena. Numbers stay text: who needs 64-bit integers exactly parses them himself.
 * Bare NaN and Infinity are taken as numbers, as Java's parsers do: what to think of them is the reader's decision.
 * Depth is bounded. Strings come out as valid UTF-8 or not at all. */
#ifndef SERVE_JSON_IN_H
#define SERVE_JSON_IN_H

#include "base/text.h"

#define YD_JSON_DEPTH_MAX 64

enum yd_json_type {
    YD_JSON_ERROR,
    YD_JSON_END,
    YD_JSON_OBJECT,
    YD_JSON_OBJECT_END,
    YD_JSON_ARRAY,
    YD_JSON_ARRAY_END,
    YD_JSON_KEY,
    YD_JSON_STRING,
    YD_JSON_NUMBER,
    YD_JSON_TRUE,
    YD_JSON_FALSE,
    YD_JSON_NULL,
};

struct yd_json_in {
    const char *start, *at, *end;
    struct yd_arena *arena;
    uint32_t depth;
    uint8_t expect;  /* inner */
    uint64_t arrays; /* a bit per depth: 1 array, 0 object */
    const char *why; /* after ERROR */
};
struct yd_json_token {
    enum yd_json_type type;
    struct yd_str text; /* KEY, STRING: unescaped; NUMBER: as written */
    const char *from;   /* where the token begins */
};
void yd_json_open(struct yd_json_in *in, struct yd_str text, struct yd_arena *arena);
enum yd_json_type yd_json_next(struct yd_json_in *in, struct yd_json_token *ret);
/* Skips what belongs to the value whose first token was `token`. False: damaged. */
bool yd_json_skip(struct yd_json_in *in, const struct yd_json_token *token);

struct yd_json_value {
    enum yd_json_type type;             /* OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE, NULL */
    struct yd_str key;                  /* in an object */
    struct yd_str text;                 /* STRING, NUMBER */
    struct yd_str raw;                  /* OBJECT, ARRAY: as written */
    struct yd_json_value *first, *next; /* children, in order */
    uint32_t count;
};
/* The whole text is one value. YD_EFORMAT with where and why in the trail, YD_ENOMEM. */
int yd_json_read(struct yd_str text, struct yd_arena *arena, struct yd_json_value **ret_value, struct yd_trail *trail);
/* The member of that name (the last one given counts), or NULL; NULL in is NULL out. */
const struct yd_json_value *yd_json_get(const struct yd_json_value *object, const char *key);
/* Strings and numbers as their text; others as "". */
struct yd_str yd_json_text(const struct yd_json_value *value);
bool yd_json_true(const struct yd_json_value *value); /* true, "true" */

#endif
