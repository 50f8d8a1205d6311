/* io/pool.h: file threads. What can block on a disk runs here; completions come back through a loop.
 *
 * One pool per disk (yd_pools_for finds or makes the one of the device below a path). A lane keeps the order of its
 * jobs and runs one at a time; different lanes run side by side on the pool's threads. In a simulation jobs run in the
 * same thread, after a seeded delay on the virtual clock. */
#ifndef IO_POOL_H
#define IO_POOL_H

#include "io/loop.h"

struct yd_pool;
struct yd_lane;

int yd_pool_create(unsigned threads, const char *name, struct yd_pool **ret_pool);
int yd_pool_create_sim(struct yd_loop *sim_loop, struct yd_pool **ret_pool);
void yd_pool_destroy(struct yd_pool *pool); /* after all lanes are closed */

int yd_lane_open(struct yd_pool *pool, struct yd_lane **ret_lane);
/* Runs work(arg) on a file thread, then, when `done` is given, done(arg) in loop's thread. Any thread may submit. */
int yd_lane_submit(struct yd_lane *lane, void (*work)(void *arg), struct yd_loop *loop, void (*done)(void *arg),
                   void *arg);
void yd_lane_close(struct yd_lane *lane); /* waits for its jobs */

#endif
