/* store/nodes.h: Graphite's patterns over dotted names, `servers.web[0-9]*.{cpu,load}`. Of this floor only.
 *
 * A name is nodes between dots; a pattern has one glob for each: * any run, ? one, [a-z] [!x] classes, {a,b}
 * alternatives, \ escapes; none of them crosses a dot. Compiled once, so that a list of five hundred hosts in braces
 * costs a name one search in sorted words. */
#ifndef STORE_NODES_H
#define STORE_NODES_H

#include "base/text.h"

struct yd__nodes;
/* Lives in the arena; copies what it needs. YD_ETOOBIG: too long or too many nodes. */
int yd__nodes_compile(struct yd_str pattern, struct yd_arena *arena, const struct yd__nodes **ret_nodes,
                      struct yd_trail *trail);
/* Whether the text's first nodes are as many as the pattern's and match; *ret_end is where they end in the text: its
 * size, or the place of the next dot. */
bool yd__nodes_match(const struct yd__nodes *nodes, struct yd_str text, size_t *ret_end);

#endif
