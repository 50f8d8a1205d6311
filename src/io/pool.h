/* io/pool.h: file threads. What can block on a disk runs here; completions come back through a loop.
 *
 * One pool per disk (yd_pools_for finds or makes the one of the device below a path). A lane keeps the order of its
 * jobs and runs one at a time; different lanes run side by side on the pool's threads. In a simulation jobs run in the
 * same thread, after a seeded delay on the virtual clock. */
#ifndef IO_POOL_H
#define IO_POOL_H

#include "io/file.h"
#include "io/lock.h"
#include "io/loop.h"

struct yd_pool;
struct yd_lane;

int yd_pool_create(unsigned threads, const char *name, struct yd_pool **ret_pool); /* name: of its threads, 15 bytes */
int yd_pool_create_sim(struct yd_loop *sim_loop, struct yd_pool **ret_pool);
void yd_pool_destroy(struct yd_pool *pool); /* after all lanes are closed */
/* How long jobs waited for a thread, and what they took; its lock. Any thread. Simulated: nothing. */
void yd_pool_waits(const struct yd_pool *pool, const struct yd_wait_visit *visit);

int yd_lane_open(struct yd_pool *pool, struct yd_lane **ret_lane);
/* Runs work(arg) on a file thread, then, when `done` is given, done(arg) in loop's thread, which must outlive it. Any
 * thread may submit. YD_ENOMEM: nothing will run. Once submitted a job cannot fail to complete. */
int yd_lane_submit(struct yd_lane *lane, void (*work)(void *arg), struct yd_loop *loop, void (*done)(void *arg),
                   void *arg);
/* Waits for its jobs (their `done` may come later); in a simulation runs what is left of them. NULL is quiet. */
void yd_lane_close(struct yd_lane *lane);

/* The pools of a program, one per disk. */
struct yd_pools;
int yd_pools_create(unsigned threads_each, struct yd_pools **ret_pools);
int yd_pools_create_sim(struct yd_loop *sim_loop, struct yd_pools **ret_pools); /* one pool for all */
/* The pool of the device below a path, made when it is new; of a path that is not there yet, of the nearest folder
 * above that is. Lives as long as `pools`. Any thread. */
int yd_pools_for(struct yd_pools *pools, struct yd_fs *fs, const char *path, struct yd_pool **ret_pool);
void yd_pools_destroy(struct yd_pools *pools); /* after all lanes are closed; NULL is quiet */

#endif
