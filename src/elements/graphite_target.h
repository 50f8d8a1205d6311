/* elements/graphite_target.h: a target of /render as a tree. Pure.
 *
 *   target := part { "|" call }                         x|f(a) is f(x,a)
 *   part   := call | path
 *   call   := word "(" [ argument { "," argument } ] ")"
 *   argument := [ word "=" ] ( target | number | string | "true" | "false" | "None" )
 *   string := "…" or '…'; a backslash before the quote takes it, all others stay
 *   path   := any run but spaces, quotes, ( ) | and, outside of braces, the comma; \ takes the next character
 *
 * Bounded: 64 KiB of text, 32 deep, 1024 parts. */
#ifndef ELEMENTS_GRAPHITE_TARGET_H
#define ELEMENTS_GRAPHITE_TARGET_H

#include "base/text.h"

enum yd_gkind { YD_G_PATH, YD_G_CALL, YD_G_NUMBER, YD_G_STRING, YD_G_BOOL, YD_G_NONE };
struct yd_gnode {
    enum yd_gkind kind;
    struct yd_str text; /* as written: the path, the function's name, the number; the string's content */
    struct yd_str key;  /* as an argument: its name, or empty */
    double number;      /* NUMBER; BOOL: 0, 1 */
    struct yd_gnode *first, *next;
    uint32_t count;  /* of arguments */
    uint32_t fetch;  /* for who evaluates: which of its fetches */
    bool summarized; /* likewise: what is fetched is summarized already */
};
/* Lives in the arena and in the text. YD_EINVAL, YD_ETOOBIG with the place in the trail. */
int yd_gtarget_parse(struct yd_str text, struct yd_arena *arena, struct yd_gnode **ret, struct yd_trail *trail);
/* The first path in it, depth first; of `f(a.b,g(c))` `a.b`. NULL: there is none. */
const struct yd_gnode *yd_gtarget_first_path(const struct yd_gnode *node);
/* The argument by its place, or by its name; NULL. */
const struct yd_gnode *yd_gtarget_argument(const struct yd_gnode *call, uint32_t place, const char *key);

#endif
