/* io/pool.c: file threads and their lanes.
 *
 *   submit ─▶ lane: job, job, job ─▶ ready lanes ─▶ a thread takes one job of the first lane, runs it,
 *                                        ▲           and puts the lane behind the others if it has more
 *                                        └───────────┘                       └─▶ done(), through the job's loop
 *
 * A lane is in the ready queue or with a thread, never both: that is what keeps its order. One mutex per pool: a job is
 * a disk operation, beside which a lock is nothing. The completion is a part of the job, so once a job is submitted
 * nothing on its way can run out of memory.
 *
 * In a simulation there are no threads: a job runs after a seeded delay on the virtual clock, its done after another.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/drd.h"
#include "io/loop_inner.h"
#include "io/pool.h"

#define THREADS_MAX   64
#define SIM_DELAY_MAX (2 * YD_NS_PER_MS)

struct job {
    struct job *next;
    int64_t submitted; /* not simulated */
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    struct yd_loop *loop;
    struct yd__post post;
};

struct yd_lane {
    struct yd_pool *pool;
    struct yd_lane *next; /* ready */
    struct job *first, **last;
    bool busy;            /* ready, or a thread runs a job of it */
    int64_t sim_free_at;  /* simulation: when its last job will be done */
    uint32_t sim_running; /* simulation: run events on their way; the lane's memory stays for them */
    bool closed;
};

struct yd_pool {
    struct yd_lock lock;
    pthread_cond_t work, idle;
    struct yd_lane *ready, **last_ready;
    uint32_t lanes, thread_count;
    bool stopping;
    struct yd_loop *sim; /* NULL: real */
    pthread_t threads[THREADS_MAX];
    char title[16];
    struct yd_histogram queued, worked; /* under lock; read by anyone */
};

static void complete(void *arg)
{
    struct job *job = arg;
    void (*done)(void *arg) = job->done;
    void *done_arg = job->arg;
    free(job);
    done(done_arg);
}

static struct job *take_job(struct yd_lane *lane)
{
    struct job *job = lane->first;
    lane->first = job->next;
    if (!lane->first) lane->last = &lane->first;
    return job;
}

static void put_ready(struct yd_pool *pool, struct yd_lane *lane)
{
    lane->next = NULL;
    *pool->last_ready = lane;
    pool->last_ready = &lane->next;
}

static void *run_thread(void *arg)
{
    struct yd_pool *pool = arg;
    yd_lock_take(&pool->lock);
    for (;;) {
        while (!pool->ready && !pool->stopping) pthread_cond_wait(&pool->work, &pool->lock.mutex);
        if (!pool->ready) break;
        struct yd_lane *lane = pool->ready;
        pool->ready = lane->next;
        if (!pool->ready) pool->last_ready = &pool->ready;
        struct job *job = take_job(lane);
        int64_t begun = yd_clock_mono();
        yd_histogram_add_shared(&pool->queued, begun - job->submitted);
        yd_lock_give(&pool->lock);

        job->work(job->arg);
        job->post = (struct yd__post){.fn = complete, .arg = job};
        if (job->done)
            yd__loop_post_own(job->loop, &job->post); /* from here on the job is the loop's */
        else
            free(job);

        int64_t ended = yd_clock_mono();
        yd_lock_take(&pool->lock);
        yd_histogram_add_shared(&pool->worked, ended - begun);
        if (lane->first) {
            put_ready(pool, lane);
        } else {
            lane->busy = false;
            pthread_cond_broadcast(&pool->idle);
        }
    }
    yd_lock_give(&pool->lock);
    return NULL;
}

/* Signals are for the program's loop, not for file threads. */
static int start_threads(struct yd_pool *pool, unsigned threads)
{
    sigset_t all, before;
    int error = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->thread_count < threads && !error) {
        error = pthread_create(&pool->threads[pool->thread_count], NULL, run_thread, pool);
        if (error) break;
        (void)pthread_setname_np(pool->threads[pool->thread_count], pool->title); /* for people only */
        pool->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? YD_ENOMEM : 0; /* EAGAIN: no resources for a thread */
}

static int create(unsigned threads, const char *name, struct yd_loop *sim, struct yd_pool **ret_pool)
{
    if (!sim && (threads == 0 || threads > THREADS_MAX)) return YD_EINVAL;
    struct yd_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return YD_ENOMEM;
    yd_lock_init(&pool->lock);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->last_ready = &pool->ready;
    pool->sim = sim;
    YD_DRD_IGNORE(&pool->queued);
    YD_DRD_IGNORE(&pool->worked);
    snprintf(pool->title, sizeof pool->title, "%.15s", name);
    int error = sim ? 0 : start_threads(pool, threads);
    if (error) {
        yd_pool_destroy(pool);
        return error;
    }
    *ret_pool = pool;
    return 0;
}

int yd_pool_create(unsigned threads, const char *name, struct yd_pool **ret_pool)
{
    return create(threads, name, NULL, ret_pool);
}
int yd_pool_create_sim(struct yd_loop *sim_loop, struct yd_pool **ret_pool)
{
    return sim_loop->ops->is_sim ? create(0, "", sim_loop, ret_pool) : YD_EINVAL;
}

void yd_pool_destroy(struct yd_pool *pool)
{
    if (!pool) return;
    yd_lock_take(&pool->lock);
    YD_ASSERT(pool->lanes == 0);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    yd_lock_give(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
    yd_lock_fini(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->idle);
    free(pool);
}

void yd_pool_waits(const struct yd_pool *pool, const struct yd_wait_visit *visit)
{
    char of[40];
    snprintf(of, sizeof of, "file threads \"%s\"", pool->title);
    yd_wait_tell(visit, YD_WAIT_QUEUE, of, "", &pool->queued, 0);
    yd_wait_tell(visit, YD_WAIT_WORK, of, "", &pool->worked, 0);
    yd_wait_lock(visit, of, "queue", &pool->lock);
}

/* ---- lanes ---- */

int yd_lane_open(struct yd_pool *pool, struct yd_lane **ret_lane)
{
    struct yd_lane *lane = calloc(1, sizeof *lane);
    if (!lane) return YD_ENOMEM;
    lane->pool = pool;
    lane->last = &lane->first;
    yd_lock_take(&pool->lock);
    pool->lanes++;
    yd_lock_give(&pool->lock);
    *ret_lane = lane;
    return 0;
}

/* Simulation: runs the lane's next job, whose done comes a little later. */
static void sim_run_one(struct yd_lane *lane)
{
    struct job *job = take_job(lane);
    job->work(job->arg);
    if (!job->done) {
        free(job);
        return;
    }
    struct yd_loop *loop = job->loop;
    int64_t delay = 1 + (int64_t)yd_rng_below(&loop->rng, SIM_DELAY_MAX / 8);
    loop->ops->at(loop, yd_loop_mono(loop) + delay, complete, job);
}

static void sim_job_due(void *arg)
{
    struct yd_lane *lane = arg;
    lane->sim_running--;
    if (lane->first) sim_run_one(lane);
    if (lane->closed && !lane->sim_running) free(lane);
}

static void sim_submit(struct yd_lane *lane)
{
    struct yd_loop *loop = lane->pool->sim;
    int64_t now = yd_loop_mono(loop);
    lane->sim_free_at = YD_MAX(lane->sim_free_at, now) + 1 + (int64_t)yd_rng_below(&loop->rng, SIM_DELAY_MAX);
    lane->sim_running++;
    loop->ops->at(loop, lane->sim_free_at, sim_job_due, lane);
}

int yd_lane_submit(struct yd_lane *lane, void (*work)(void *arg), struct yd_loop *loop, void (*done)(void *arg),
                   void *arg)
{
    struct yd_pool *pool = lane->pool;
    struct job *job = malloc(sizeof *job);
    if (!job) return YD_ENOMEM;
    *job = (struct job){.work = work, .done = done, .arg = arg, .loop = loop};
    if (!pool->sim) job->submitted = yd_clock_mono();
    yd_lock_take(&pool->lock);
    *lane->last = job;
    lane->last = &job->next;
    if (!pool->sim && !lane->busy) {
        lane->busy = true;
        put_ready(pool, lane);
        pthread_cond_signal(&pool->work);
    }
    yd_lock_give(&pool->lock);
    if (pool->sim) sim_submit(lane);
    return 0;
}

void yd_lane_close(struct yd_lane *lane)
{
    if (!lane) return;
    struct yd_pool *pool = lane->pool;
    if (pool->sim)
        while (lane->first) sim_run_one(lane);
    yd_lock_take(&pool->lock);
    while (lane->busy) pthread_cond_wait(&pool->idle, &pool->lock.mutex);
    pool->lanes--;
    yd_lock_give(&pool->lock);
    lane->closed = true;
    if (!lane->sim_running) free(lane);
}

/* ---- one pool per disk ---- */

struct disk {
    struct disk *next;
    uint64_t device;
    struct yd_pool *pool;
};

struct yd_pools {
    pthread_mutex_t lock;
    unsigned threads_each;
    struct yd_loop *sim;
    struct disk *disks;
};

static int create_pools(unsigned threads_each, struct yd_loop *sim, struct yd_pools **ret_pools)
{
    struct yd_pools *pools = calloc(1, sizeof *pools);
    if (!pools) return YD_ENOMEM;
    pthread_mutex_init(&pools->lock, NULL);
    pools->threads_each = threads_each;
    pools->sim = sim;
    *ret_pools = pools;
    return 0;
}
int yd_pools_create(unsigned threads_each, struct yd_pools **ret_pools)
{
    return create_pools(threads_each, NULL, ret_pools);
}
int yd_pools_create_sim(struct yd_loop *sim_loop, struct yd_pools **ret_pools)
{
    return create_pools(1, sim_loop, ret_pools);
}

static int device_below(struct yd_fs *fs, const char *path, uint64_t *ret_device)
{
    struct yd_stat now;
    char *at = strdup(path);
    int error = at ? yd_fs_stat(fs, at, &now) : YD_ENOMEM;
    while (error == YD_ENOENT && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
        char *parent = yd_fs_parent(at);
        free(at);
        at = parent;
        error = at ? yd_fs_stat(fs, at, &now) : YD_ENOMEM;
    }
    free(at);
    if (!error) *ret_device = now.device;
    return error;
}

static int add_disk(struct yd_pools *pools, uint64_t device, struct yd_pool **ret_pool)
{
    char name[16];
    struct disk *disk = malloc(sizeof *disk);
    if (!disk) return YD_ENOMEM;
    snprintf(name, sizeof name, "disk-%llx", (unsigned long long)device);
    int error = create(pools->threads_each, name, pools->sim, &disk->pool);
    if (error) {
        free(disk);
        return error;
    }
    disk->device = device;
    disk->next = pools->disks;
    pools->disks = disk;
    *ret_pool = disk->pool;
    return 0;
}

int yd_pools_for(struct yd_pools *pools, struct yd_fs *fs, const char *path, struct yd_pool **ret_pool)
{
    uint64_t device = 0;
    int error = pools->sim ? 0 : device_below(fs, path, &device);
    if (error) return error;
    pthread_mutex_lock(&pools->lock);
    struct disk *disk = pools->disks;
    while (disk && disk->device != device) disk = disk->next;
    if (disk)
        *ret_pool = disk->pool;
    else
        error = add_disk(pools, device, ret_pool);
    pthread_mutex_unlock(&pools->lock);
    return error;
}

void yd_pools_destroy(struct yd_pools *pools)
{
    if (!pools) return;
    while (pools->disks) {
        struct disk *disk = pools->disks;
        pools->disks = disk->next;
        yd_pool_destroy(disk->pool);
        free(disk);
    }
    pthread_mutex_destroy(&pools->lock);
    free(pools);
}
