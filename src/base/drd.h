/* base/drd.h: says to valgrind's DRD what C11 atomics order, which it cannot see. Nothing unless built with -DYD_DRD.
 *
 * DRD knows mutexes and threads, but not that an acquire load that reads a release store orders what lies around them.
 * Name the atomic variable on both sides: BEFORE the store, AFTER the load. IGNORE once, when the variable is made: its
 * own accesses are atomic and never a race; IGNORE_TO for several that lie side by side. A push onto a stack names it
 * BEFORE each try: what it writes into its node until then is covered. (TSan understands atomics and needs none of
 * this.) */
#ifndef BASE_DRD_H
#define BASE_DRD_H

#ifdef YD_DRD
#include <valgrind/drd.h>
#define YD_DRD_BEFORE(variable) ANNOTATE_HAPPENS_BEFORE(variable)
#define YD_DRD_AFTER(variable)  ANNOTATE_HAPPENS_AFTER(variable)
#define YD_DRD_IGNORE(variable) DRD_IGNORE_VAR(*(variable))
#define YD_DRD_IGNORE_TO(first, last)                                                                                  \
    ANNOTATE_BENIGN_RACE_SIZED(first, (const char *)((last) + 1) - (const char *)(first), "atomics")
#else
#define YD_DRD_BEFORE(variable)       ((void)0)
#define YD_DRD_AFTER(variable)        ((void)0)
#define YD_DRD_IGNORE(variable)       ((void)0)
#define YD_DRD_IGNORE_TO(first, last) ((void)0)
#endif

#endif
