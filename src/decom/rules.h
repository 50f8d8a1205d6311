/* decom/rules.h: what a definition says beyond its packets, for the elements that do it.
 *
 *   derive climb = rate(flight.altitude)   ──▶ `rocket.climb` = rate(`rocket.flight.altitude`)    a rule of a Derive
 *   battery u16 … limits red 6.6..9.0      ──▶ rocket.housekeeping.battery, its clause            a rule of a Limits
 *
 * The plan must have been compiled `closely`: only so each field still knows where it comes from. */
#ifndef DECOM_RULES_H
#define DECOM_RULES_H

#include "decom/plan.h"

#define YD_RULES_MAX 4096 /* derived values of a definition, rules of a Derive */

/* A line for each derived measurement, all names whole. YD_ENOMEM. */
int yd_plan_derive_rules(const struct yd_plan *plan, struct yd_buf *to);
/* Each clause with the name it is for; of the elements of a list that may be of any length, a pattern. What visit
 * returns, if it is not 0, ends it. */
typedef int yd_plan_limits_visit(void *arg, struct yd_str pattern, const struct yd_limit_clause *clause);
int yd_plan_each_limits(const struct yd_plan *plan, yd_plan_limits_visit *visit, void *arg);

#endif
