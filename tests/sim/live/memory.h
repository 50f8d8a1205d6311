/* The step-by-step proof: memory.c says how. */
#ifndef LIVE_MEMORY_H
#define LIVE_MEMORY_H

#include <stdbool.h>

#include "steps.h"

struct scenario {
    const char *name, *of;              /* of: part of the names of the files it is about */
    void (*reset)(void);                /* everything that is private to the sides */
    void (*threads[4])(void);           /* up to three, then NULL */
    bool (*may_sleep)(unsigned thread); /* of one that sleeps at the end; NULL: any may */
    bool (*at_end)(void);               /* NULL: nothing more to look at */
    unsigned loads_max;                 /* of a thread in one execution: what only goes round is cut there */
    uint64_t executions_max;
};

/* What went wrong, or NULL: in every execution nothing did. */
const char *explore(const struct scenario *scenario, uint64_t *ret_executions, uint64_t *ret_cut);
/* Called by a scenario's threads: this must never be. */
_Noreturn void step_wrong(const char *why);
uint64_t step_newest(const void *at, size_t size);
void step_alias(const void *mapping, const void *original, size_t size); /* the same memory, mapped again */
void step_settle(void); /* before the first execution: what was stored becomes what is there */
void step_futex_wait(const uint32_t *word, uint32_t seen);

/* From now on the number'th half of an order (acquire, release) that was met is not there. False: there are no more. */
bool weaken(unsigned number, const char **ret_file, int *ret_line, int *ret_order);
void forget_sites(void);

#endif
