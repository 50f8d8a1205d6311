/* log/log.c: the life of a log: opening, closing, its two threads, waiting, positions.
 *
 * The log's thread commits (flush.c) and, about once a second, maintains (maintain.c). The helper takes space for the
 * next segment and writes footers, which both would make a commit wait. Without yd_log_start the caller does all that
 * by yd_log_flush and yd_log_maintain: a simulation in one thread, a tool, or a waiter who leads (yd_log_wait). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/drd.h"
#include "log/keys.h"
#include "log/tombs.h"
#include "log/twin.h"

#define MAINTAIN_EVERY YD_NS_PER_S
#define MAINTAIN_IDLE  (10 * YD_NS_PER_S) /* when nothing was appended since */
#define NO_SPACE_RETRY (200 * YD_NS_PER_MS)
#define STAGING_SIZE   ((size_t)1 << 20)
#define PARTS_MAX      1024

const char *yd_ack_name(enum yd_ack level)
{
    static const char *const names[] = {"?", "memory", "written", "durable", "replicated"};
    return (unsigned)level < YD_COUNT(names) ? names[level] : names[0];
}

int yd__log_add_segment(struct yd_log *log, struct yd__segment *segment)
{
    if (log->segment_count == log->segment_capacity) {
        uint32_t capacity = log->segment_capacity ? log->segment_capacity * 2 : 16;
        struct yd__segment **segments = realloc(log->segments, capacity * sizeof *segments);
        if (!segments) return YD_ENOMEM;
        log->segments = segments;
        log->segment_capacity = capacity;
    }
    log->segments[log->segment_count++] = segment;
    log->bytes += segment->file_size;
    return 0;
}

int yd__log_find(const struct yd_log *log, uint64_t seqno)
{
    if (log->segment_count == 0 || seqno < log->segments[0]->base) return -1;
    uint32_t low = 0, high = log->segment_count; /* the last one with base <= seqno */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base <= seqno)
            low = middle;
        else
            high = middle;
    }
    return (int)low;
}

static int check_options(const struct yd_log_options *options, struct yd_trail *trail)
{
    if (!options->dir || !options->stream) return yd_trail_add(trail, YD_EINVAL, "a log needs dir and stream");
    if (strlen(options->dir) + 64 > YD__PATH_SIZE)
        return yd_trail_add(trail, YD_ETOOBIG, "the folder's name is too long");
    if (options->stream[0] == '\0' || strlen(options->stream) >= YD__STREAM_NAME_SIZE)
        return yd_trail_add(trail, YD_EINVAL, "a stream's name has 1 to %d bytes", YD__STREAM_NAME_SIZE - 1);
    if (options->segment_size_min % YD__SEGMENT_ALIGN || options->segment_size_max % YD__SEGMENT_ALIGN)
        return yd_trail_add(trail, YD_EINVAL, "segment sizes are multiples of 4 KiB");
    return 0;
}

static int64_t monotonic_now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * YD_NS_PER_S + at.tv_nsec;
}

static int64_t kernel_mono(void *arg)
{
    (void)arg;
    return monotonic_now();
}

static uint64_t kernel_random(void *arg)
{
    uint64_t value;
    (void)arg;
    if (getrandom(&value, sizeof value, 0) != sizeof value)
        value = (uint64_t)monotonic_now() * UINT64_C(0x9e3779b97f4a7c15);
    return value;
}

static int64_t kernel_wall(void *arg)
{
    struct timespec at;
    (void)arg;
    clock_gettime(CLOCK_REALTIME, &at);
    return at.tv_sec * YD_NS_PER_S + at.tv_nsec;
}

static void fill_defaults(struct yd_log_options *options)
{
    if (!options->fs) options->fs = yd_fs_linux();
    if (!options->random) options->random = kernel_random;
    if (!options->wall && !options->mono) options->mono = kernel_mono;
    if (!options->wall) options->wall = kernel_wall;
    const int64_t week = INT64_C(7) * 24 * 3600 * YD_NS_PER_S;
    if (!options->segment_size_min) options->segment_size_min = UINT64_C(1) << 20;
    if (!options->segment_size_max) options->segment_size_max = UINT64_C(256) << 20;
    options->segment_size_max = YD_MAX(options->segment_size_max, options->segment_size_min);
    if (!options->memory_bytes_max) options->memory_bytes_max = UINT64_C(64) << 20;
    if (!options->queue_bytes_max) options->queue_bytes_max = UINT64_C(64) << 20;
    if (!options->producer_expiry_ns) options->producer_expiry_ns = week;
    if (!options->replica_lag_ns) options->replica_lag_ns = 10 * YD_NS_PER_S;
    if (!options->compress_level) options->compress_level = 3;
    if (!options->cursor_expiry_ns) options->cursor_expiry_ns = week;
}

/* What closing ends: files, and the batches in memory with them. References find an empty log. With io held. */
static void let_go_of_files(struct yd_log *log)
{
    yd_lock_take(&log->mutex);
    struct yd__segment **segments = log->segments;
    uint32_t count = log->segment_count;
    log->segments = NULL;
    log->segment_count = log->segment_capacity = 0;
    log->active = NULL;
    log->closed = log->gone = true;
    if (log->waiters) pthread_cond_broadcast(&log->moved);
    yd_lock_give(&log->mutex);
    yd_lock_take(&log->twin_lock);
    yd__compressor_leave(log); /* not with the last reference: whoever opens next makes twins under the same names */
    yd_lock_give(&log->twin_lock);
    for (uint32_t i = 0; i < count; i++) yd__segment_unref(segments[i]);
    free(segments);
    yd__control_close(log);
    yd_file_close(log->prepared);
    log->prepared = NULL;
}

static void destroy(struct yd_log *log)
{
    YD_ASSERT(!log->readers && !log->watches);
    yd__compressor_destroy(log);
    yd__control_close(log);
    yd__tail_fini(&log->tail);
    yd__producers_fini(&log->producers);
    yd__producers_fini(&log->written_producers);
    yd__tombs_free(atomic_load_explicit(&log->tombs, memory_order_relaxed)); /* the last reference */
    for (uint32_t i = 0; i < log->segment_count; i++) yd__segment_unref(log->segments[i]);
    free(log->segments);
    for (uint32_t i = 0; i < log->cursor_count; i++) free(log->cursors[i].name);
    free(log->cursors);
    yd_file_close(log->prepared);
    free(log->staging);
    free(log->group);
    free(log->group_names);
    free(log->parts);
    for (char **name = (char **)(uintptr_t)log->options.hold; name && *name; name++) free(*name);
    free((void *)(uintptr_t)log->options.hold);
    free(log->dir);
    free(log->stream);
    yd_lock_fini(&log->mutex);
    yd_lock_fini(&log->io);
    yd_lock_fini(&log->twin_lock);
    yd_lock_fini(&log->watch_lock);
    yd_lock_fini(&log->tomb_lock);
    yd_lock_fini(&log->cursor_lock);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->moved);
    pthread_cond_destroy(&log->chores);
    pthread_cond_destroy(&log->squeeze);
    log->magic = 0;
    free(log);
}

static int copy_hold(struct yd_log *log, const char *const *names)
{
    size_t count = 0;
    log->options.hold = NULL;
    while (names && names[count]) count++;
    if (count == 0) return 0;
    char **copy = calloc(count + 1, sizeof *copy);
    if (!copy) return YD_ENOMEM;
    log->options.hold = (const char *const *)copy;
    for (size_t i = 0; i < count; i++)
        if (!(copy[i] = strdup(names[i]))) return YD_ENOMEM;
    return 0;
}

static int create(const struct yd_log_options *options, struct yd_log **ret_log)
{
    struct yd_log *log = calloc(1, sizeof *log);
    if (!log) return YD_ENOMEM;
    YD_DRD_IGNORE(&log->failed);
    YD_DRD_IGNORE(&log->queued_hint);
    YD_DRD_IGNORE(&log->tombs);
    log->magic = YD__LOG_MAGIC;
    atomic_init(&log->refs, 1);
    YD_DRD_IGNORE(&log->refs);
    log->options = *options;
    fill_defaults(&log->options);
    log->fs = log->options.fs;
    log->segment_size = log->options.segment_size_min;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    yd_lock_init(&log->mutex);
    yd_lock_init(&log->io);
    yd_lock_init(&log->twin_lock);
    yd_lock_init(&log->watch_lock);
    yd_lock_init(&log->tomb_lock);
    yd_lock_init(&log->cursor_lock);
    atomic_init(&log->tombs, NULL);
    pthread_cond_init(&log->work, &monotonic);
    pthread_cond_init(&log->moved, &monotonic);
    pthread_cond_init(&log->chores, &monotonic);
    pthread_cond_init(&log->squeeze, &monotonic);
    pthread_condattr_destroy(&monotonic);
    log->dir = strdup(options->dir);
    log->stream = strdup(options->stream);
    log->staging = malloc(STAGING_SIZE);
    log->group = calloc(YD__GROUP_BATCHES_MAX, sizeof(struct yd_batch *));
    log->group_names = calloc(YD__GROUP_BATCHES_MAX, sizeof *log->group_names);
    log->parts = calloc(PARTS_MAX, sizeof *log->parts);
    int error = log->dir && log->stream && log->staging && log->group && log->group_names && log->parts ? 0 : YD_ENOMEM;
    int copied = copy_hold(log, options->hold);
    if (!error) error = copied;
    if (!error) error = yd__producers_init(&log->producers);
    if (!error) error = yd__producers_init(&log->written_producers);
    if (error) {
        destroy(log);
        return error;
    }
    *ret_log = log;
    return 0;
}

static int open_for_writing(struct yd_log *log, struct yd_log_recovery *report, struct yd_trail *trail)
{
    int error = yd_fs_make_dirs(log->fs, log->dir);
    if (error) return yd_trail_add(trail, error, "cannot make %s: %s", log->dir, yd_error_text(error));
    bool fresh;
    error = yd__control_open(log, &fresh, trail);
    if (!error) error = yd__recover(log, fresh, report, trail);
    if (!error) {
        error = yd__cursors_load(log);
        if (error) yd_trail_add(trail, error, "reading the cursors of %s: %s", log->dir, yd_error_text(error));
    }
    if (!error) error = yd__tail_init(&log->tail, log->written);
    if (error) return error;
    log->tombs_from = log->written; /* from here on they are noted as they come */
    struct yd__control *control = log->control;
    control->version = YD__CONTROL_VERSION;
    control->log_id = log->log_id;
    control->epoch = log->epoch;
    yd__writer_identity(&control->writer_pid, &control->writer_start, control->boot_id);
    control->state = YD__STATE_OPEN;
    /* Pairs with the acquire of direct readers: whoever sees the magic sees the identity. */
    __atomic_store_n(&control->magic, YD__CONTROL_MAGIC, __ATOMIC_RELEASE);
    yd__control_publish(log);
    yd__ballast_open(log);
    error = yd__seal_leftovers(log); /* those that a crash left half done */
    if (error == YD_ENOSPC && yd__ballast_give(log)) error = yd__seal_leftovers(log);
    if (!error) yd__ballast_take(log);
    if (error && error != YD_ENOSPC) return error;
    error = yd__twins_load(log);
    return error ? error : yd__compressor_create(log);
}

static int open_for_reading(struct yd_log *log, struct yd_trail *trail)
{
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(log->fs, log->dir, &stat, trail);
    if (error) return error;
    log->first = stat.first;
    log->written = stat.written;
    log->durable = stat.durable;
    log->bytes = stat.bytes;
    log->epoch = stat.epoch;
    log->log_id = stat.log_id;
    return yd__tail_init(&log->tail, log->written);
}

int yd_log_open(const struct yd_log_options *options, struct yd_log **ret_log, struct yd_log_recovery *ret_recovery,
                struct yd_trail *trail)
{
    int error = check_options(options, trail);
    if (error) return error;
    struct yd_log *log;
    error = create(options, &log);
    if (error) return error;
    struct yd_log_recovery report = {.clean = true};
    error = options->readonly ? open_for_reading(log, trail) : open_for_writing(log, &report, trail);
    if (error) {
        destroy(log);
        return error;
    }
    if (ret_recovery) *ret_recovery = report;
    *ret_log = log;
    return 0;
}

/* ---- threads ---- */

static struct timespec deadline(int64_t ns)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ns / YD_NS_PER_S;
    at.tv_nsec += ns % YD_NS_PER_S;
    if (at.tv_nsec >= YD_NS_PER_S) {
        at.tv_sec++;
        at.tv_nsec -= YD_NS_PER_S;
    }
    return at;
}

static bool has_work(const struct yd_log *log)
{
    return log->tail.unwritten != log->tail.end && !log->failed;
}

static void *run_log(void *arg)
{
    struct yd_log *log = arg;
    int64_t next_maintain = monotonic_now() + MAINTAIN_EVERY;
    unsigned seen = 0;
    int error = 0;
    yd_lock_take(&log->mutex);
    while (!log->stopping) {
        bool work = has_work(log);
        if (!work || error == YD_ENOSPC || error == YD_ENOMEM) {
            unsigned hint = atomic_load_explicit(&log->queued_hint, memory_order_relaxed);
            int64_t wait = next_maintain - monotonic_now();
            /* A follower that is silent has to leave the set while somebody may wait for it. */
            bool waits = log->in_sync > 0 && log->replicated < log->durable;
            if (!work && hint == seen && log->rot_count == 0 && !waits) wait += MAINTAIN_IDLE - MAINTAIN_EVERY;
            if (work) wait = YD_MIN(wait, NO_SPACE_RETRY);
            struct timespec until = deadline(YD_MAX(wait, 0));
            log->sleeping = !work;
            if (wait > 0) (void)pthread_cond_timedwait(&log->work, &log->mutex.mutex, &until);
            log->sleeping = false;
            if (log->stopping) break;
            work = has_work(log);
        }
        yd_lock_give(&log->mutex);
        error = work ? yd_log_flush(log) : 0;
        if (monotonic_now() >= next_maintain) {
            seen = atomic_load_explicit(&log->queued_hint, memory_order_relaxed);
            (void)yd_log_maintain(log); /* what fails for good has been published */
            next_maintain = monotonic_now() + MAINTAIN_EVERY;
        }
        yd_lock_take(&log->mutex);
    }
    yd_lock_give(&log->mutex);
    return NULL;
}

static void *run_helper(void *arg)
{
    struct yd_log *log = arg;
    yd_lock_take(&log->mutex);
    while (!log->stopping) {
        bool seal = false;
        for (uint32_t i = 0; i < log->segment_count && !seal; i++)
            seal = !log->segments[i]->sealed && log->segments[i] != log->active && !log->segments[i]->busy &&
                   !(log->options.follower && i + 1 == log->segment_count);
        bool prepare = log->prepare_wanted;
        if (log->failed || (!seal && !prepare)) {
            pthread_cond_wait(&log->chores, &log->mutex.mutex);
            continue;
        }
        yd_lock_give(&log->mutex);
        int error = 0;
        if (prepare) (void)yd__prepare(log); /* the flush that needs it tries again, and tells */
        if (seal) error = yd__seal_leftovers(log);
        if (error == YD_ENOSPC && yd__ballast_give(log)) error = yd__seal_leftovers(log);
        if (error == YD_EIO) yd__fail(log, error);
        yd_lock_take(&log->mutex);
        if (error && !log->stopping) { /* no space for a footer: later */
            struct timespec until = deadline(YD_NS_PER_S);
            (void)pthread_cond_timedwait(&log->chores, &log->mutex.mutex, &until);
        }
    }
    yd_lock_give(&log->mutex);
    return NULL;
}

/* Compresses, and makes name indexes, when nothing else wants the core. */
static void *run_squeezer(void *arg)
{
    struct yd_log *log = arg;
    struct sched_param idle = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &idle); /* where that is not allowed it is as others */
    yd_lock_take(&log->mutex);
    while (!log->stopping) {
        yd_lock_give(&log->mutex);
        int more = yd__compress_some(log);
        if (more <= 0) more = yd__keys_some(log);
        yd_lock_take(&log->mutex);
        if (more > 0 || log->stopping) continue;
        struct timespec until = deadline(YD_NS_PER_S); /* segments grow old without a sync */
        if (log->active && log->active->data_end == log->active->durable_end) until = deadline(10 * YD_NS_PER_S);
        (void)pthread_cond_timedwait(&log->squeeze, &log->mutex.mutex, &until);
    }
    yd_lock_give(&log->mutex);
    return NULL;
}

static void stop_threads(struct yd_log *log)
{
    if (!log->started) return;
    yd_lock_take(&log->mutex);
    log->stopping = true;
    pthread_cond_broadcast(&log->work);
    pthread_cond_broadcast(&log->chores);
    pthread_cond_broadcast(&log->squeeze);
    yd_lock_give(&log->mutex);
    pthread_join(log->thread, NULL);
    if (log->helping) pthread_join(log->helper, NULL);
    if (log->squeezing) pthread_join(log->squeezer, NULL);
    log->started = log->helping = log->squeezing = log->stopping = false;
}

int yd_log_start(struct yd_log *log)
{
    if (log->options.readonly) return YD_EPERM;
    if (log->started) return YD_EEXIST;
    log->started = true;
    if (pthread_create(&log->thread, NULL, run_log, log) != 0) {
        log->started = false;
        return YD_ENOMEM;
    }
    log->helping = pthread_create(&log->helper, NULL, run_helper, log) == 0;
    bool squeeze = log->compressor || log->options.index_names;
    if (log->helping && squeeze) log->squeezing = pthread_create(&log->squeezer, NULL, run_squeezer, log) == 0;
    if (log->helping && (log->squeezing || !squeeze)) return 0;
    stop_threads(log);
    return YD_ENOMEM;
}

static void tell_watches(struct yd_log *log)
{
    yd_lock_take(&log->watch_lock);
    for (struct yd_log_watch *watch = log->watches; watch; watch = watch->next) watch->moved(watch->arg);
    yd_lock_give(&log->watch_lock);
}

int yd_log_close(struct yd_log *log)
{
    if (!log) return 0;
    YD_ASSERT(log->magic == YD__LOG_MAGIC);
    stop_threads(log);
    int error = 0;
    if (!log->options.readonly) {
        yd_lock_take(&log->io);
        bool changed = true;
        yd_lock_take(&log->mutex);
        log->closed = true; /* before the last flush: what it does not write was not taken */
        yd_lock_give(&log->mutex);
        while (!error && changed && log->tail.unwritten != log->tail.end) error = yd__flush_round(log, &changed);
        if (!error && log->failed) error = YD_EREADONLY;
        if (log->prepared && !log->failed) {
            char path[YD__PATH_SIZE];
            (void)snprintf(path, sizeof path, "%s/" YD__PREPARED_NAME, log->dir);
            (void)yd_fs_unlink(log->fs, path); /* left there, the next opening removes it */
        }
        if (!error) {
            (void)yd__index_save(log); /* a cache */
            error = yd__checkpoint_now(log, YD__CHECKPOINT_CLEAN);
        }
        if (!log->failed) __atomic_store_n(&log->control->state, YD__STATE_CLOSED, __ATOMIC_RELEASE);
        yd__control_ring(log);
    } else {
        yd_lock_take(&log->io);
    }
    let_go_of_files(log);
    yd_lock_give(&log->io);
    tell_watches(log);
    yd_log_unref(log);
    return error;
}

struct yd_log *yd_log_ref(struct yd_log *log)
{
    YD_ASSERT(log->magic == YD__LOG_MAGIC);
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed); /* the caller has one: it cannot go meanwhile */
    return log;
}

void yd_log_unref(struct yd_log *log)
{
    if (!log) return;
    YD_ASSERT(log->magic == YD__LOG_MAGIC); /* while our reference lasts */
    YD_DRD_BEFORE(&log->refs);
    /* Release, and acquire in the last one: it sees all that the others did before they let go. */
    unsigned before = atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel);
    YD_ASSERT(before > 0);
    if (before > 1) return;
    YD_DRD_AFTER(&log->refs);
    destroy(log);
}

/* ---- being told ---- */

int yd_log_watch(struct yd_log *log, void (*moved)(void *arg), void *arg, struct yd_log_watch **ret_watch)
{
    struct yd_log_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return YD_ENOMEM;
    *watch = (struct yd_log_watch){.log = log, .moved = moved, .arg = arg, .at = &log->watches};
    yd_lock_take(&log->watch_lock);
    watch->next = log->watches;
    if (watch->next) watch->next->at = &watch->next;
    log->watches = watch;
    yd_lock_give(&log->watch_lock);
    *ret_watch = watch;
    return 0;
}

void yd_log_unwatch(struct yd_log_watch *watch)
{
    if (!watch) return;
    struct yd_log *log = watch->log;
    yd_lock_take(&log->watch_lock); /* waits for calls under way */
    *watch->at = watch->next;
    if (watch->next) watch->next->at = watch->at;
    yd_lock_give(&log->watch_lock);
    free(watch);
}

void yd__moved(struct yd_log *log)
{
    if (log->progress) log->progress(log->progress_arg);
    tell_watches(log);
}

/* ---- positions ---- */

void yd_log_on_progress(struct yd_log *log, void (*progress)(void *arg), void *arg)
{
    log->progress = progress;
    log->progress_arg = arg;
}

void yd_log_position(struct yd_log *log, struct yd_log_position *ret)
{
    yd_lock_take(&log->mutex);
    *ret = (struct yd_log_position){
        .first = log->first,
        .memory = log->tail.next_seqno,
        .written = log->written,
        .durable = log->durable,
        .epoch = log->epoch,
        .log_id = log->log_id,
        .failed = log->failed,
        .no_space = log->no_space,
        .bytes = log->bytes,
        .segments = log->segment_count,
        .queued_bytes = log->tail.queued_bytes,
        .rotten = log->rotten_batches,
        .healed = log->healed,
        .replicated = log->options.replicas ? log->replicated : log->durable,
        .in_sync = log->in_sync,
        .replicas = log->options.replicas,
        .follower = log->options.follower,
        .deposed = log->deposed,
        .ballast = log->ballast ? log->options.ballast_bytes : 0,
        .closed = log->closed,
    };
    memcpy(ret->held_by, log->held_by, sizeof ret->held_by);
    const struct yd__segment *last = log->segment_count ? log->segments[log->segment_count - 1] : NULL;
    if (last) ret->segment = last->base, ret->offset = last->data_end;
    yd_lock_give(&log->mutex);
}

static uint64_t position_of(const struct yd_log *log, enum yd_ack level)
{
    return level == YD_ACK_MEMORY ? log->tail.next_seqno : level == YD_ACK_WRITTEN ? log->written : log->durable;
}

int yd_log_wait(struct yd_log *log, uint64_t seqno, enum yd_ack level)
{
    int error = 0;
    yd_lock_take(&log->mutex);
    while (position_of(log, level) < seqno && !error) {
        if (log->failed) {
            error = YD_EREADONLY;
        } else if (log->gone) {
            error = YD_ECLOSED;
        } else if (seqno > log->tail.next_seqno) {
            error = YD_EAGAIN;
        } else if (!log->leading) {
            /* Nobody waits with a flush under way: this thread writes for all. */
            log->leading = true;
            yd_lock_give(&log->mutex);
            error = yd_log_flush(log);
            yd_lock_take(&log->mutex);
            log->leading = false;
            if (log->waiters) pthread_cond_broadcast(&log->moved);
        } else {
            log->waiters++;
            pthread_cond_wait(&log->moved, &log->mutex.mutex);
            log->waiters--;
        }
    }
    if (position_of(log, level) >= seqno) error = 0;
    yd_lock_give(&log->mutex);
    return error;
}
