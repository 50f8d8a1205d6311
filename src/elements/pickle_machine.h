/* elements/pickle_machine.h: pickle's stack machine, for data alone. Pure; what it knows is in pickle_frames.h.
 *
 * Everything it makes is a node; lists and tuples are chains of cells. Nodes, cells, stack and memo grow with the bytes
 * of the pickle and never beyond a few times its size, as each byte makes at most one of each. Lists may hold
 * themselves: who walks them keeps to the depth he wants. */
#ifndef ELEMENTS_PICKLE_MACHINE_H
#define ELEMENTS_PICKLE_MACHINE_H

#include "base/alloc.h"
#include "base/text.h"

#define YD_PICKLE_NONE UINT32_MAX

enum yd_pickle_type { YD_PICKLE_MARK, YD_PICKLE_NIL, YD_PICKLE_NUMBER, YD_PICKLE_TEXT, YD_PICKLE_SEQUENCE };
struct yd_pickle_node {
    enum yd_pickle_type type;
    union {
        double number;
        struct yd_str text; /* in the pickle, or in the machine's texts */
        struct {
            uint32_t first, last; /* cells, or YD_PICKLE_NONE */
            bool mutable;         /* a list */
        } sequence;
    };
};
struct yd_pickle_cell {
    uint32_t node, next;
};
struct yd_pickle_array {
    void *items;
    size_t count, capacity;
};
struct yd_pickle_machine {
    struct yd_alloc *alloc;
    struct yd_pickle_array nodes, cells, stack, memo;
    struct yd_buf texts; /* what had escapes */
};

enum yd_pickle_end { YD_PICKLE_OK, YD_PICKLE_HAS_CODE, YD_PICKLE_MALFORMED, YD_PICKLE_OUT_OF_MEMORY };

void yd__pickle_init(struct yd_pickle_machine *machine, struct yd_alloc *alloc);
void yd__pickle_fini(struct yd_pickle_machine *machine);
/* Runs a pickle to its STOP. *ret_root is good until the next run, and as long as `text` is. */
enum yd_pickle_end yd__pickle_run(struct yd_pickle_machine *machine, struct yd_str text, uint32_t *ret_root);

static inline const struct yd_pickle_node *yd__pickle_node(const struct yd_pickle_machine *machine, uint32_t node)
{
    return (const struct yd_pickle_node *)machine->nodes.items + node;
}
static inline const struct yd_pickle_cell *yd__pickle_cell(const struct yd_pickle_machine *machine, uint32_t cell)
{
    return (const struct yd_pickle_cell *)machine->cells.items + cell;
}

#endif
