/* flow/applications.c: the programs that elements serve, told in one walk.
 *
 *   an element's open: yd_run_tell_applications ─▶ the run's list ─▶ yd_run_applications: each one's walk ─▶ visit
 *
 * The list's lock is held while they are walked, so an element that closes waits for who looks at it. */
#include "flow/runtime.h"

void yd_run_tell_applications(struct yd_run *run, struct yd_applications *of)
{
    yd_lock_take(&run->applications_lock);
    of->next = run->applications;
    run->applications = of;
    yd_lock_give(&run->applications_lock);
}

void yd_run_forget_applications(struct yd_run *run, struct yd_applications *of)
{
    yd_lock_take(&run->applications_lock);
    struct yd_applications **link = &run->applications;
    while (*link && *link != of) link = &(*link)->next;
    if (*link) *link = of->next;
    yd_lock_give(&run->applications_lock);
}

void yd_run_applications(struct yd_run *run, const struct yd_application_visit *visit)
{
    yd_lock_take(&run->applications_lock);
    for (const struct yd_applications *of = run->applications; of; of = of->next) of->walk(of->arg, visit);
    yd_lock_give(&run->applications_lock);
}
