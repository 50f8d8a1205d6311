/* live/library/attach.c: the door: coming in, noticing that the writer is gone, coming in again.
 *
 *   attach ─▶ offer ─▶ sleep on the socket ─┬─ REPLACED: map the new table, offer
 *      ▲                                     └─ hang-up: gone ─▶ sleep until the socket's name appears ─┐
 *      └────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * The folder is watched (inotify) before each attempt, so a writer that comes back is noticed at once: its socket gets
 * its name when it listens, by a rename. Where it cannot be watched it is tried every second. Whatever is offered
 * raises `news` and rings the words that the program's own threads may sleep on: those of the bells it has, and `news`
 * itself. */
#include "live/library/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "io/pass.h"
#include "live/door_format.h"

#define ANSWER_MS 5000 /* for the door to answer */
#define FDS_MAX   3    /* with one message */
#define AGAIN_MS  1000 /* where nothing tells of a comer; and once in a while where it does */

static int64_t mono_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail for this clock */
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* ---- what is found is offered ---- */

/* How far we move a word: the writer counts by itself, from where it was, so a step like its own would make its next
 * ring look like ours; and others who ring at the same time must not move it back. */
static uint32_t jump(const struct yd_live *live)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail for this clock */
    uint64_t mixed = (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec + (uintptr_t)live + (uint64_t)getpid();
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return ((UINT32_C(1) << 24) + (uint32_t)((mixed >> 32) % (UINT32_MAX - (UINT32_C(1) << 25)))) & ~YD__BELL_WAITER;
}

static void ring(const struct yd__attachment *attachment, uint32_t by)
{
    if (!attachment) return;
    for (uint32_t i = 0; i < YD__BELL_WORDS; i++) {
        uint32_t *word = yd_live_bell_word(&attachment->bell, i);
        uint32_t next = (yd__load(word, RELAXED) & ~YD__BELL_WAITER) + by;
        /* Pairs as a writer's ring does: who arms before is revealed, who arms after sees the news. */
        if (yd__exchange(word, next, ACQ_REL) & YD__BELL_WAITER) yd__futex_wake_all(word);
    }
}

/* `found` NULL: the writer is gone. */
static void offer(struct yd_live *live, struct yd__attachment *found)
{
    (void)pthread_mutex_lock(&live->lock);
    struct yd__attachment *replaced = found ? live->pending : NULL;
    /* Pairs with the acquire in yd__live_look. */
    if (found) yd__store(&live->pending, found, RELEASE);
    yd__store(&live->gone, (uint32_t)!found, RELEASE);          /* pairs with the acquires in live.c and wait.c */
    (void)__atomic_fetch_add(&live->news, 1, __ATOMIC_RELEASE); /* pairs with the acquires in wait.c and wake.c */
    uint32_t by = jump(live);
    ring(live->current, by);
    if (live->pending != found) ring(live->pending, by);
    (void)pthread_mutex_unlock(&live->lock);
    yd__futex_wake_all(&live->news);
    yd__attachment_unref(live, replaced);
}

static int attachment_of(int table_fd, int bell_fd, struct yd__attachment **ret)
{
    struct yd__attachment *attachment = yd_alloc_zero(NULL, sizeof *attachment);
    if (!attachment) return YD_ENOMEM;
    attachment->refs = 1;
    int error = yd_live_mapping_open(table_fd, YD__LIVE_TABLE, &attachment->table);
    if (!error) error = yd_live_mapping_open(bell_fd, YD__LIVE_BELL, &attachment->bell);
    if (!error && attachment->bell.size < YD__BELL_SIZE) error = YD_EFORMAT;
    if (!error) error = yd_live_table_view_open(&attachment->table, &attachment->view);
    if (error) {
        yd_live_mapping_close(&attachment->table);
        yd_live_mapping_close(&attachment->bell);
        yd_alloc_put(NULL, attachment, sizeof *attachment);
        return error;
    }
    attachment->generation = attachment->table.header->generation;
    *ret = attachment;
    return 0;
}

/* ---- one conversation ---- */

/* The next message; what cannot be understood is YD_EFORMAT. YD_ECANCELED: we are to end. */
static int hear(struct yd_live *live, int door, int64_t until_ms, union yd__door_message *message, int *fds,
                unsigned *ret_fds)
{
    memset(message, 0, sizeof *message); /* a shorter one reads as zeros */
    for (bool reset = false;;) {
        size_t size;
        int error = yd_pass_recv(door, message->bytes, sizeof *message, &size, fds, FDS_MAX, ret_fds);
        if (error == 0) {
            if (size >= sizeof message->head && message->head.magic == YD__DOOR_MAGIC) return 0;
            while (*ret_fds) (void)close(fds[--*ret_fds]);
            return YD_EFORMAT;
        }
        if (error == YD_ECONNRESET && !reset) { /* he did not hear us out; but what he said comes behind that error */
            reset = true;
            continue;
        }
        if (error != YD_EAGAIN) return error;
        int64_t left = until_ms < 0 ? -1 : until_ms - mono_ms();
        if (until_ms >= 0 && left <= 0) return YD_ETIMEOUT;
        struct pollfd polls[2] = {{door, POLLIN, 0}, {live->stop, POLLIN, 0}};
        (void)poll(polls, 2, (int)left); /* EINTR: looks again */
        if (polls[1].revents) return YD_ECANCELED;
    }
}

static int introduce(struct yd_live *live, int door, struct yd__attachment **ret, int *ret_bell, struct yd_trail *trail)
{
    struct yd__door_hello hello = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_HELLO, 0}};
    union yd__door_message message;
    int fds[FDS_MAX];
    unsigned count = 0;
    memcpy(hello.application, live->application, sizeof hello.application);
    int error = yd_pass_send(door, &hello, sizeof hello, NULL, 0);
    /* Refused before we spoke: then the reason lies there already. */
    int heard = hear(live, door, mono_ms() + ANSWER_MS, &message, fds, &count);
    if (heard) {
        const char *why = heard == YD_ETIMEOUT ? "does not answer" : "hung up";
        return yd_trail_add(trail, heard == YD_EEOF && error ? error : heard, "%s: %s", live->address, why);
    }
    if (message.head.type == YD__DOOR_WELCOME && count == 2) {
        error = attachment_of(fds[0], fds[1], ret);
        if (error) {
            (void)close(fds[1]);
            (void)yd_trail_add(trail, error, "%s: what it handed out: %s", live->address, yd_error_text(error));
        } else {
            *ret_bell = fds[1];
        }
        (void)close(fds[0]);
        return error;
    }
    while (count) (void)close(fds[--count]);
    if (message.head.type != YD__DOOR_REFUSED)
        return yd_trail_add(trail, YD_EFORMAT, "%s: an answer that no door of ours gives", live->address);
    message.refused.text[sizeof message.refused.text - 1] = 0;
    error = message.refused.error < 0 ? message.refused.error : YD_EPERM;
    return yd_trail_add(trail, error, "%s: %s", live->address, message.refused.text);
}

/* When many come at once the door's queue may be full for a moment, which no descriptor tells of. */
static int connect_patiently(struct yd_live *live, int *ret_door)
{
    int64_t until = mono_ms() + ANSWER_MS;
    for (;;) {
        int error = yd_pass_connect(live->address, ret_door);
        if (error != YD_EAGAIN) return error;
        if (mono_ms() >= until) return YD_ETIMEOUT;
        struct pollfd stop = {live->stop, POLLIN, 0};
        if (poll(&stop, 1, 2) > 0) return YD_ECANCELED;
    }
}

int yd__live_attach(struct yd_live *live, struct yd_trail *trail)
{
    struct yd__attachment *attachment = NULL;
    int door = -1, bell = -1;
    int error = connect_patiently(live, &door);
    if (error)
        return yd_trail_add(trail, error, "%s: %s", live->address,
                            error == YD_ENOENT || error == YD_ECONNREFUSED
                                ? "nobody is there; is the daemon running, and has it a Live element?"
                                : yd_error_text(error));
    error = introduce(live, door, &attachment, &bell, trail);
    if (error) {
        (void)close(door);
        return error;
    }
    (void)pthread_mutex_lock(&live->lock);
    live->door = door;
    yd__live_ask_all(live);
    (void)pthread_mutex_unlock(&live->lock);
    if (live->bell_fd >= 0) (void)close(live->bell_fd);
    live->bell_fd = bell;
    offer(live, attachment);
    return 0;
}

/* ---- the helper ---- */

/* Until the writer hangs up (true) or we are to end. */
static bool stay(struct yd_live *live)
{
    for (;;) {
        union yd__door_message message;
        struct yd__attachment *attachment;
        int fds[FDS_MAX];
        unsigned count = 0;
        int error = hear(live, live->door, -1, &message, fds, &count);
        if (error == YD_ECANCELED) return false;
        if (error == YD_EFORMAT || error == YD_ETOOBIG) continue; /* of a later version */
        if (error) return true;
        if (message.head.type == YD__DOOR_REPLACED && count == 1 &&
            attachment_of(fds[0], live->bell_fd, &attachment) == 0)
            offer(live, attachment);
        if (message.head.correlation) {
            yd__live_answered(live, &message, fds, count);
            count = 0;
        }
        while (count) (void)close(fds[--count]);
    }
}

/* Does one of the events that wait tell of our name, or (*ret_over) that the folder is watched no more? */
static bool named(int watch, const char *name, bool *ret_over)
{
    _Alignas(struct inotify_event) char events[4096];
    bool told = false;
    ssize_t size;
    while ((size = read(watch, events, sizeof events)) > 0) {
        const struct inotify_event *event;
        for (const char *at = events; at < events + size; at += sizeof *event + event->len) {
            event = (const struct inotify_event *)(const void *)at;
            *ret_over |= event->len == 0; /* the folder itself, or too many events */
            told |= event->len == 0 || strcmp(event->name, name) == 0;
        }
    }
    return told;
}

/* A watch on the folder in which the socket's name appears; -1: not possible now. */
static int watch_folder(const struct yd_live *live, const char **ret_name)
{
    char folder[4096];
    const char *slash = strrchr(live->address, '/');
    int size = slash ? (int)(slash - live->address) : 1;
    *ret_name = slash ? slash + 1 : live->address;
    if (snprintf(folder, sizeof folder, "%.*s", size ? size : 1, slash ? live->address : ".") >= (int)sizeof folder)
        return -1;
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch < 0) return -1;
    if (inotify_add_watch(watch, folder, IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0) return watch;
    (void)close(watch);
    return -1;
}

/* Until somebody is at the address again (true) or we are to end. */
static bool seek(struct yd_live *live)
{
    const char *name = "";
    int watch = -1;
    for (;;) {
        if (watch < 0) watch = watch_folder(live, &name); /* before the attempt: nobody comes unnoticed in between */
        bool end = false, over = false, again = yd__live_attach(live, NULL) == 0;
        int64_t until = mono_ms() + AGAIN_MS;
        while (!again && !end) {
            int64_t left = until - mono_ms();
            struct pollfd polls[2] = {{live->stop, POLLIN, 0}, {watch, POLLIN, 0}};
            if (left <= 0) over = true; /* another folder may have got that name */
            if (left <= 0) break;
            (void)poll(polls, 2, (int)left); /* a watch of -1 is passed over */
            end = polls[0].revents != 0;
            if (watch >= 0 && polls[1].revents && named(watch, name, &over)) break;
        }
        if (watch >= 0 && (again || end || over)) {
            (void)close(watch);
            watch = -1;
        }
        if (again || end) return again;
    }
}

static void *help(void *arg)
{
    struct yd_live *live = arg;
    for (;;) {
        if (live->door >= 0) {
            if (!stay(live)) return NULL;
            (void)pthread_mutex_lock(&live->lock);
            (void)close(live->door);
            live->door = -1;
            yd__live_ask_again(live);
            (void)pthread_mutex_unlock(&live->lock);
            offer(live, NULL);
        }
        if (!seek(live)) return NULL;
    }
}

int yd__live_help(struct yd_live *live)
{
    return yd__live_thread(&live->helper, help, live);
}
