/* io/sim_datagram.c: simulated datagrams: each makes its own way, and may be lost, doubled or overtaken.
 *
 * Who receives is looked up when a datagram arrives, not when it leaves: a socket that opened meanwhile gets it; of
 * those that share an address the one that the sender falls to. A paused socket keeps up to ROOM bytes (or what it
 * asked for), as the kernel does, then drops and counts. */
#include <stdlib.h>

#include "io/sim_wire.h"

#define ROOM         212992 /* Linux' default receive buffer */
#define DATAGRAM_MAX 65507  /* of a UDP datagram */
#define AT_ONCE      64

struct packet {
    struct packet *next;
    struct yd_sim *sim;
    char *from_node;
    struct yd_address from, to;
    int64_t time_ns;
    size_t size;
    char bytes[];
};

struct yd__sim_socket {
    struct yd_datagrams datagrams;
    struct yd__sim_socket *next;
    struct yd_address at;
    const struct yd_datagrams_ops *ops;
    void *arg;
    bool paused, closed;
    uint32_t refs; /* itself while open, and deliveries on their way */
    struct packet *first, **last;
    size_t waiting, room;
    uint64_t drops;
    enum yd_datagrams_share share;
    int64_t last_at; /* what is not reordered stays in order */
};

static void free_packet(void *arg)
{
    struct packet *packet = arg;
    free(packet->from_node);
    free(packet);
}

static void release(void *arg)
{
    struct yd__sim_socket *socket = arg;
    if (--socket->refs) return;
    while (socket->first) {
        struct packet *packet = socket->first;
        socket->first = packet->next;
        free_packet(packet);
    }
    free(socket);
}

static void deliver(struct yd__sim_socket *socket)
{
    struct yd_datagram datagrams[AT_ONCE];
    struct packet *packets[AT_ONCE];
    size_t count = 0;
    while (socket->first && count < AT_ONCE) {
        struct packet *packet = socket->first;
        socket->first = packet->next;
        socket->waiting -= packet->size;
        datagrams[count] = (struct yd_datagram){{packet->bytes, packet->size}, packet->from, packet->time_ns};
        packets[count++] = packet;
    }
    if (!socket->first) socket->last = &socket->first;
    if (!count) return;
    socket->datagrams.loop->callbacks++;
    socket->ops->received(socket->arg, datagrams, count, socket->drops);
    while (count) free_packet(packets[--count]);
}

static void deliver_now(void *arg)
{
    struct yd__sim_socket *socket = arg;
    bool any = false;
    for (; !socket->closed && !socket->paused && socket->first; any = true) deliver(socket);
    if (any && !socket->closed && socket->ops->turn_ends) socket->ops->turn_ends(socket->arg);
    release(socket);
}

/* Of those that fit alike, because they share the address, one by the sender. */
static struct yd__sim_socket *find_socket(struct yd_sim *sim, const struct packet *packet)
{
    struct yd__sim_socket *best = NULL;
    int best_fit = 0;
    uint64_t alike = 0, sender = yd_hash(&packet->from.storage, packet->from.size);
    for (struct yd__sim_socket *socket = sim->sockets; socket; socket = socket->next) {
        int fit = yd__sim_fit(&socket->at, yd__sim_loop(socket->datagrams.loop)->node, &packet->to, packet->from_node);
        if (fit < best_fit || fit == 0) continue;
        alike = fit > best_fit ? 1 : alike + 1;
        if (fit > best_fit || sender % alike == 0) best = socket;
        best_fit = fit;
    }
    return best;
}

static void packet_arrives(void *arg)
{
    struct packet *packet = arg;
    struct yd_sim *sim = packet->sim;
    struct yd__sim_socket *socket = find_socket(sim, packet);
    yd__sim_net_mix(sim, yd_crc32c(0, packet->bytes, packet->size));
    if (!socket || yd__sim_are_apart(sim, packet->from_node, yd__sim_loop(socket->datagrams.loop)->node)) {
        sim->counts.lost++;
        free_packet(packet);
        return;
    }
    if (socket->waiting + packet->size > socket->room) {
        sim->counts.overflowed++;
        socket->drops++;
        free_packet(packet);
        return;
    }
    packet->time_ns = yd_loop_wall(socket->datagrams.loop);
    packet->next = NULL;
    *socket->last = packet;
    socket->last = &packet->next;
    socket->waiting += packet->size;
    socket->refs++;
    deliver_now(socket);
}

static void send_one(struct yd__sim_socket *socket, const struct yd_address *to, struct yd_str bytes)
{
    struct yd__sim_loop *loop = yd__sim_loop(socket->datagrams.loop);
    struct yd_sim *sim = loop->sim;
    struct packet *packet = yd__sim_net_get(sizeof *packet + bytes.size);
    *packet = (struct packet){.sim = sim, .from = socket->at, .to = *to, .size = bytes.size};
    packet->from_node = strdup(loop->node);
    YD_ASSERT(packet->from_node);
    if (bytes.size) memcpy(packet->bytes, bytes.data, bytes.size);
    int64_t at = sim->now + yd__sim_delay(sim);
    if (yd__sim_net_chance(sim, sim->faults.reorder)) {
        sim->counts.reordered++;
        at += (int64_t)yd_rng_below(&sim->rng, 8) * (sim->faults.delay_max_ns + 1);
    } else {
        at = socket->last_at = YD_MAX(at, socket->last_at);
    }
    yd__sim_event(sim, at, packet_arrives, free_packet, packet);
}

int yd__sim_datagrams_send(struct yd_datagrams *datagrams, const struct yd_address *to, struct yd_str bytes)
{
    struct yd__sim_socket *socket = (struct yd__sim_socket *)datagrams;
    struct yd_sim *sim = yd__sim_loop(datagrams->loop)->sim;
    if (bytes.size > DATAGRAM_MAX) return YD_ETOOBIG;
    sim->counts.datagrams++;
    if (yd__sim_net_chance(sim, sim->faults.lose)) {
        sim->counts.lost++;
        return 0;
    }
    send_one(socket, to, bytes);
    if (!yd__sim_net_chance(sim, sim->faults.duplicate)) return 0;
    sim->counts.duplicated++;
    send_one(socket, to, bytes);
    return 0;
}

int yd__sim_datagrams_open(struct yd_loop *loop, const struct yd_address *at,
                           const struct yd_datagrams_options *options, const struct yd_datagrams_ops *ops, void *arg,
                           struct yd_datagrams **ret, struct yd_trail *trail)
{
    if (yd_address_multicast(at)) return yd_trail_add(trail, YD_ENOTSUP, "multicast is not simulated");
    struct yd__sim_loop *self = yd__sim_loop(loop);
    struct yd_address address = *at;
    yd__sim_take_port(self->sim, &address);
    for (struct yd__sim_socket *old = self->sim->sockets; old; old = old->next) {
        if (yd__sim_fit(&old->at, yd__sim_loop(old->datagrams.loop)->node, &address, self->node) < 2) continue;
        if (options->share == YD_DATAGRAMS_JOIN && old->share != YD_DATAGRAMS_ALONE) continue;
        char text[160];
        yd_address_put(&address, text, sizeof text);
        return yd_trail_add(trail, YD_EADDRINUSE, "cannot listen on %s: %s", text, yd_error_text(YD_EADDRINUSE));
    }
    struct yd__sim_socket *socket = yd__sim_net_get(sizeof *socket);
    *socket = (struct yd__sim_socket){{loop}, self->sim->sockets, address, ops, arg, .refs = 1};
    socket->share = options->share;
    socket->room = options->receive_buffer ? options->receive_buffer : ROOM;
    socket->last = &socket->first;
    self->sim->sockets = socket;
    *ret = &socket->datagrams;
    return 0;
}

void yd__sim_datagrams_address(struct yd_datagrams *datagrams, struct yd_address *ret)
{
    *ret = ((struct yd__sim_socket *)datagrams)->at;
}

void yd__sim_datagrams_pause(struct yd_datagrams *datagrams, bool paused)
{
    struct yd__sim_socket *socket = (struct yd__sim_socket *)datagrams;
    socket->paused = paused;
    if (paused || !socket->first) return;
    socket->refs++;
    struct yd_sim *sim = yd__sim_loop(datagrams->loop)->sim;
    yd__sim_event(sim, sim->now, deliver_now, release, socket);
}

uint64_t yd__sim_datagrams_drops(struct yd_datagrams *datagrams)
{
    return ((struct yd__sim_socket *)datagrams)->drops;
}

size_t yd__sim_datagrams_buffer(struct yd_datagrams *datagrams)
{
    return ((struct yd__sim_socket *)datagrams)->room;
}

/* Within one event nothing else arrives, so what is there is all. */
void yd__sim_datagrams_finish(struct yd_datagrams *datagrams)
{
    struct yd__sim_socket *socket = (struct yd__sim_socket *)datagrams;
    socket->paused = false;
    socket->refs++;
    deliver_now(socket);
}

void yd__sim_datagrams_close(struct yd_datagrams *datagrams)
{
    struct yd__sim_socket *socket = (struct yd__sim_socket *)datagrams, **at;
    at = &yd__sim_loop(datagrams->loop)->sim->sockets;
    while (*at != socket) at = &(*at)->next;
    *at = socket->next;
    socket->closed = true;
    release(socket);
}
