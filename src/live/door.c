/* live/door.c: who comes in gets read-only memory and a bell; who goes is noticed by his hang-up.
 *
 *   listener ─▶ accept, credentials ─▶ on the list? ─ HELLO ─▶ WELCOME + descriptors ─▶ inside until he hangs up
 *                                        └─ no: REFUSED with the reason, closed
 *
 * Descriptors are kept in one epoll, so the owner watches a single one. Clients are found by slot and serial number: an
 * event of one who has gone since means nobody. What can fail: too many clients (refused, counted), memory, a client
 * that does not read (shown out, counted). */
#include "live/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "io/pass.h"
#include "live/door_format.h"

#define CLIENTS_DEFAULT 4096
#define EVENTS          64
#define ACCEPTS_MAX     64 /* in one run: others are served in between */
#define LISTENER        UINT64_MAX

struct client {
    int fd; /* -1: nobody */
    uint32_t serial;
    uint32_t next_free;
    const struct yd_live_access *access;
    bool inside; /* was welcomed */
    uint32_t uid;
    int32_t pid;
    char application[YD__DOOR_APPLICATION];
};

struct yd_live_door {
    char *path;
    struct yd_pass_listener listener;
    int epoll, table_fd;
    int spare; /* given up for a moment when descriptors run out, to turn one away instead of spinning */
    uint64_t generation, id;
    struct yd_live_access *access;
    unsigned access_count, clients_max;
    struct client *clients;
    uint32_t used, free; /* slots that were ever used; first of the free ones, or clients_max */
    struct yd_live_door_counts counts;
    void (*say)(void *arg, const char *text);
    bool (*ask)(void *arg, const struct yd_live_client *client, const void *message, size_t size);
    void (*left)(void *arg, uint64_t client_id);
    void *arg;
};

/* ---- life ---- */

static int allocate(struct yd_live_door *door, const struct yd_live_door_options *options)
{
    size_t path = strlen(options->path) + 1;
    door->clients_max = options->clients_max ? options->clients_max : CLIENTS_DEFAULT;
    door->access_count = options->access_count;
    door->path = yd_alloc_get(NULL, path);
    if (door->path)
        memcpy(door->path, options->path, path); /* whole before anything fails: it is measured at the end */
    door->access = yd_alloc_zero(NULL, options->access_count * sizeof *door->access + 1);
    door->clients = yd_alloc_zero(NULL, door->clients_max * sizeof *door->clients);
    if (!door->path || !door->access || !door->clients) return YD_ENOMEM;
    memcpy(door->access, options->access, options->access_count * sizeof *door->access);
    door->free = door->clients_max;
    return 0;
}

int yd_live_door_open(const struct yd_live_door_options *options, struct yd_live_door **ret_door,
                      struct yd_trail *trail)
{
    struct yd_live_door *door = yd_alloc_zero(NULL, sizeof *door);
    if (!door) return YD_ENOMEM;
    door->listener.fd = door->epoll = door->table_fd = -1;
    door->spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    door->generation = options->table->header->generation;
    door->id = options->table->header->id;
    door->say = options->say;
    door->ask = options->ask;
    door->left = options->left;
    door->arg = options->arg;
    int error = allocate(door, options);
    if (!error) error = yd_live_region_reader_fd(options->table, &door->table_fd);
    if (!error) {
        door->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (door->epoll < 0) error = yd_error_from_errno(errno);
    }
    if (!error) error = yd_pass_listen(options->path, options->access_count > 1 ? 0666 : 0600, &door->listener, trail);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = LISTENER};
    if (!error && epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->listener.fd, &event)) error = yd_error_from_errno(errno);
    if (error) {
        yd_live_door_close(door);
        return error;
    }
    *ret_door = door;
    return 0;
}

static uint64_t id_of(const struct yd_live_door *door, const struct client *client)
{
    return (uint64_t)client->serial << 32 | (uint64_t)(client - door->clients);
}

static void leave(struct yd_live_door *door, uint32_t slot)
{
    struct client *client = &door->clients[slot];
    if (client->inside && door->left) door->left(door->arg, id_of(door, client));
    (void)close(client->fd); /* takes it out of the epoll as well */
    client->fd = -1;
    client->serial++;
    client->next_free = door->free;
    door->free = slot;
    door->counts.clients--;
}

void yd_live_door_close(struct yd_live_door *door)
{
    if (!door) return;
    for (uint32_t slot = 0; slot < door->used; slot++)
        if (door->clients[slot].fd >= 0) leave(door, slot);
    if (door->listener.fd >= 0) yd_pass_unlisten(door->path, &door->listener);
    if (door->epoll >= 0) (void)close(door->epoll);
    if (door->spare >= 0) (void)close(door->spare);
    if (door->table_fd >= 0) (void)close(door->table_fd);
    if (door->path) yd_alloc_put(NULL, door->path, strlen(door->path) + 1);
    yd_alloc_put(NULL, door->access, door->access_count * sizeof *door->access + 1);
    yd_alloc_put(NULL, door->clients, door->clients_max * sizeof *door->clients);
    yd_alloc_put(NULL, door, sizeof *door);
}

int yd_live_door_fd(const struct yd_live_door *door)
{
    return door->epoll;
}

struct yd_live_door_counts yd_live_door_counts(const struct yd_live_door *door)
{
    return door->counts;
}

/* ---- who comes ---- */

static void refuse(struct yd_live_door *door, int fd, const struct yd_pass_peer *peer, int error, const char *text)
{
    struct yd__door_refused message = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_REFUSED, 0}, .error = error};
    char told[256];
    (void)snprintf(message.text, sizeof message.text, "%s", text);
    (void)yd_pass_send(fd, &message, sizeof message, NULL, 0); /* who does not read it will see the hang-up */
    (void)close(fd);
    door->counts.refused++;
    if (!door->say) return;
    (void)snprintf(told, sizeof told, "process %ld of user %lu: %s", (long)peer->pid, (unsigned long)peer->uid, text);
    door->say(door->arg, told);
}

static const struct yd_live_access *access_of(const struct yd_live_door *door, int fd, const struct yd_pass_peer *peer)
{
    for (unsigned i = 0; i < door->access_count; i++) {
        const struct yd_live_access *access = &door->access[i];
        if (access->group ? yd_pass_in_group(fd, peer, access->id) : peer->uid == access->id) return access;
    }
    return NULL;
}

static uint32_t free_slot(struct yd_live_door *door)
{
    uint32_t slot = door->free;
    if (slot < door->clients_max) {
        door->free = door->clients[slot].next_free;
        return slot;
    }
    return door->used < door->clients_max ? door->used++ : UINT32_MAX;
}

static void come_in(struct yd_live_door *door, int fd, const struct yd_pass_peer *peer)
{
    const struct yd_live_access *access = access_of(door, fd, peer);
    if (!access) {
        refuse(door, fd, peer, YD_EPERM, "not on the list of those who may read live values (access: of the element)");
        return;
    }
    uint32_t slot = free_slot(door);
    if (slot == UINT32_MAX) {
        refuse(door, fd, peer, YD_EFULL,
               "as many programs as may read live values are reading (clients: of the element)");
        return;
    }
    struct client *client = &door->clients[slot];
    client->fd = fd;
    client->access = access;
    client->inside = false;
    client->uid = peer->uid;
    client->pid = peer->pid;
    door->counts.clients++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = id_of(door, client)};
    if (epoll_ctl(door->epoll, EPOLL_CTL_ADD, fd, &event)) leave(door, slot);
}

static void accept_all(struct yd_live_door *door)
{
    struct yd_pass_peer peer;
    int fd;
    for (int accepted = 0; accepted < ACCEPTS_MAX; accepted++) {
        int error = yd_pass_accept(door->listener.fd, &fd, &peer);
        if (error == YD_EAGAIN) return;
        if (error == 0) {
            come_in(door, fd, &peer);
            continue;
        }
        /* No descriptor for him: he would wait, and keep us awake, for ever. */
        if (door->spare >= 0) (void)close(door->spare);
        if (yd_pass_accept(door->listener.fd, &fd, &peer) == 0)
            refuse(door, fd, &peer, YD_EFULL, "no descriptors are left (ulimit -n)");
        door->spare = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        return;
    }
}

/* ---- who is there ---- */

static int say_regions(struct yd_live_door *door, const struct client *client, enum yd__door_type type)
{
    struct yd__door_regions message = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, (uint16_t)type, 0}, .generation = door->generation, .id = door->id};
    int fds[2] = {door->table_fd, -1};
    if (type == YD__DOOR_REPLACED) return yd_pass_send(client->fd, &message, sizeof message, fds, 1);
    int error = yd_live_region_reader_fd(&client->access->bell->region, &fds[1]);
    if (error) return error;
    error = yd_pass_send(client->fd, &message, sizeof message, fds, 2);
    (void)close(fds[1]);
    return error;
}

static void welcome(struct client *client, const struct yd__door_hello *hello, size_t size)
{
    size_t room =
        size > offsetof(struct yd__door_hello, application) ? size - offsetof(struct yd__door_hello, application) : 0;
    if (room > sizeof client->application) room = sizeof client->application;
    memcpy(client->application, hello->application, room);
    client->application[room < sizeof client->application ? room : sizeof client->application - 1] = 0;
    client->inside = true;
}

/* As all are welcomed by their uid or group alone, how many there are is no secret among them. */
static bool tell_counts(const struct yd_live_door *door, const struct client *client, uint64_t correlation)
{
    struct yd__door_looked looked = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_LOOKED, correlation},
                                     .clients = door->counts.clients,
                                     .welcomed = door->counts.welcomed,
                                     .refused = door->counts.refused,
                                     .shown_out = door->counts.shown_out};
    return yd_pass_send(client->fd, &looked, sizeof looked, NULL, 0) == 0;
}

/* What the door itself does not answer. */
static bool ask(struct yd_live_door *door, const struct client *client, const void *message, size_t size)
{
    struct yd_live_client who = {.id = id_of(door, client),
                                 .fd = client->fd,
                                 .uid = client->uid,
                                 .pid = client->pid,
                                 .access = client->access,
                                 .application = client->application};
    const struct yd__door_head *head = message;
    if (head->type == YD__DOOR_LOOK) return tell_counts(door, client, head->correlation);
    if (door->ask) return door->ask(door->arg, &who, message, size);
    if (head->type != YD__DOOR_SUBSCRIBE) return true; /* of a later minor version */
    struct yd__door_refused refused = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_REFUSED, head->correlation},
                                       .error = YD_ENOTSUP};
    (void)snprintf(refused.text, sizeof refused.text, "this is the door of current values: subscribe at a Broker's");
    return yd_pass_send(client->fd, &refused, sizeof refused, NULL, 0) == 0;
}

/* What he says; false: he is to go. */
static bool hear(struct yd_live_door *door, struct client *client)
{
    union {
        struct yd__door_head head;
        struct yd__door_hello hello;
        char bytes[YD__DOOR_MESSAGE_MAX];
    } message;
    size_t size;
    unsigned fds = 0;
    for (int messages = 0; messages < 16; messages++) {
        int error = yd_pass_recv(client->fd, message.bytes, sizeof message, &size, NULL, 0, &fds);
        if (error == YD_EAGAIN) return true;
        if (error) return false;
        if (size < sizeof message.head || message.head.magic != YD__DOOR_MAGIC) {
            door->counts.refused++;
            return false;
        }
        if (message.head.version != YD__DOOR_VERSION) {
            struct yd__door_refused refused = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_REFUSED, 0},
                                               .error = YD_EVERSION};
            (void)snprintf(refused.text, sizeof refused.text, "version %u of the door is not known here: %u is",
                           message.head.version, YD__DOOR_VERSION);
            (void)yd_pass_send(client->fd, &refused, sizeof refused, NULL, 0); /* he is shown out anyway */
            door->counts.refused++;
            return false;
        }
        if (message.head.type != YD__DOOR_HELLO || client->inside) { /* others are of a later minor version */
            if (client->inside && !ask(door, client, message.bytes, size)) {
                door->counts.shown_out++;
                return false;
            }
            continue;
        }
        if (say_regions(door, client, YD__DOOR_WELCOME)) {
            door->counts.shown_out++;
            return false;
        }
        welcome(client, &message.hello, size);
        door->counts.welcomed++;
    }
    return true; /* the rest at the next run: level-triggered */
}

void yd_live_door_run(struct yd_live_door *door)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(door->epoll, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == LISTENER) {
            accept_all(door);
            continue;
        }
        uint32_t slot = (uint32_t)events[i].data.u64;
        struct client *client = &door->clients[slot];
        if (client->fd < 0 || client->serial != (uint32_t)(events[i].data.u64 >> 32)) continue; /* gone meanwhile */
        if (!hear(door, client) || (events[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0) leave(door, slot);
    }
}

void yd_live_door_replace(struct yd_live_door *door, int table_fd, uint64_t generation, uint64_t id)
{
    (void)close(door->table_fd);
    door->table_fd = table_fd;
    door->generation = generation;
    door->id = id;
    for (uint32_t slot = 0; slot < door->used; slot++) {
        struct client *client = &door->clients[slot];
        if (client->fd < 0 || !client->inside || say_regions(door, client, YD__DOOR_REPLACED) == 0) continue;
        door->counts.shown_out++; /* he attaches anew, and gets the new table then */
        leave(door, slot);
    }
}
