/* log/waits.h: what a stream is waited for: its locks, its disk. */
#ifndef LOG_WAITS_H
#define LOG_WAITS_H

#include <yarder/log.h>

#include "io/lock.h"

/* Tells the locks of the log and what its disk takes, as those of `of`. Any thread; waits for nothing. Writes and syncs
 * are timed when the log has threads of its own (yd_log_start). */
void yd_log_waits(const struct yd_log *log, const char *of, const struct yd_wait_visit *visit);

#endif
