/* elements/history_pump.h: the keeper's thread of a History, and what the element and it say to each other.
 *
 *   history.c: samples, questions                  history_pump.c: a file thread, with the keeper (store/keeper.h)
 *       PIECE … COMMIT {newest, annotations}  -->      block, names, manifest, each synced
 *            <-- TOLD_COMMIT {told}                    with the blocks that the element installs
 *            <-- TOLD_CHANGE {told}                    merged, or gone by age or size: likewise
 *       RETIRE {change}                       -->      it is installed: what it replaced goes
 *       WARM {warm}                           -->      reads what a question needs
 *            <-- TOLD_WARM {warm}
 *
 * What is sent is the receiver's; what could not be sent frees itself. */
#ifndef ELEMENTS_HISTORY_PUMP_H
#define ELEMENTS_HISTORY_PUMP_H

#include <yarder/element.h>

#include "store/keeper.h"

/* A History's state begins with it: all of the state that its pump touches. */
struct yd_history_disk {
    struct yd_element *element;
    struct yd_keeper *keeper; /* made and closed by the element; the pump's while it runs */
    char *notes_path;         /* of annotations' file */
    uint64_t memory;          /* as many bytes of blocks are read beforehand */
    struct yd_pump *pump;     /* NULL: it has not started */
};
extern const struct yd_pump_class yd_history_pump;

enum { YD_HISTORY_PIECE, YD_HISTORY_COMMIT, YD_HISTORY_RETIRE, YD_HISTORY_WARM }; /* to the pump */
enum { YD_HISTORY_TOLD_COMMIT, YD_HISTORY_TOLD_CHANGE, YD_HISTORY_TOLD_WARM };    /* by it */

/* What became of a flush, or of merging. */
struct yd_history_told {
    struct yd_history_told *next; /* the element's: it could not be dealt with at once */
    bool commit;
    int error; /* of the flush, and what to say of it */
    struct yd_store_change *change;
    char text[256];
};
void yd_history_told_free(void *told);

/* A query that waits until the pump has read what it needs. */
struct yd_history_warm {
    uint64_t handle;
    struct yd_warming *warming;
};
void yd_history_warm_free(void *warm);

/* All annotations, as their file will be: a struct yd_buf. NULL is quiet. */
void yd_history_saved_notes_free(void *notes);

#endif
