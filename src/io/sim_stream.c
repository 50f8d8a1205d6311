/* io/sim_stream.c: simulated listeners and streams.
 *
 *      end 0 ── out ──(window)──▶ chunks on their way ──▶ bytes arrived ──▶ room(), data() of end 1
 *      end 1 ── out ──   ...the same way back...
 *
 * A connection is both ends and both ways; it stays until both ends are closed and no event of it is on its way
 * (`refs`). Everything an end has to say is said in one event of its own, `poke`, never from inside a call: connected,
 * data, ended, drained, in this order. Chunks keep their order because each arrival takes the oldest; between nodes
 * that are apart an arrival puts itself off. */
#include <stdlib.h>
#include <sys/un.h>

#include "io/sim_wire.h"

#define WINDOW_MIN      4096
#define WINDOW_SPREAD   (256 * 1024)
#define STALL           (50 * YD_NS_PER_MS) /* how often what is held up is tried again */
#define CONNECT_TIMEOUT (3 * YD_NS_PER_S)
#define READS_A_TURN    16

struct yd__sim_listener {
    struct yd_listener listener;
    struct yd__sim_listener *next;
    struct yd_address at;
    const struct yd_listener_ops *ops;
    void *arg;
    bool paused;
};

struct chunk {
    struct chunk *next;
    size_t size; /* 0: the end of what this side sends */
};

/* One way of a connection. */
struct way {
    char *bytes; /* sent: `arrived` of them may be read, from `from` on */
    size_t from, to, capacity, arrived, window;
    struct chunk *first, **last; /* on their way, with an event each */
    int64_t last_at;
    bool fin_sent, fin_arrived;
};

struct end {
    struct yd_stream stream; /* loop NULL: closed, or not accepted yet */
    struct yd__sim_connection *connection;
    const struct yd_stream_ops *ops;
    void *arg;
    void (*peeked)(void *arg, struct yd_str bytes, int error);
    void *peeked_arg;
    char *out;
    size_t out_from, out_to, out_capacity, limit;
    int error; /* why it ended, not said yet or said */
    bool open, connected, say_connected, started, paused, ended, shutdown, was_waiting, poked;
};

struct yd__sim_connection {
    struct yd_sim *sim;
    struct yd__sim_connection *prev, *next;
    uint32_t refs;
    struct yd_address to, from;
    int64_t give_up_at;
    char *nodes[2];
    struct end ends[2]; /* 0 connected, 1 accepted */
    struct way ways[2]; /* [i]: what end i sends */
};

static struct end *end_of(const struct yd_stream *stream)
{
    return (struct end *)(uintptr_t)stream;
}
static int number_of(const struct end *end)
{
    return end == &end->connection->ends[1];
}
static struct end *other_end(const struct end *end)
{
    return &end->connection->ends[!number_of(end)];
}
static struct way *way_out(const struct end *end)
{
    return &end->connection->ways[number_of(end)];
}
static struct way *way_in(const struct end *end)
{
    return &end->connection->ways[!number_of(end)];
}

static void release(void *arg)
{
    struct yd__sim_connection *connection = arg;
    if (--connection->refs) return;
    for (int i = 0; i < 2; i++) {
        while (connection->ways[i].first) {
            struct chunk *chunk = connection->ways[i].first;
            connection->ways[i].first = chunk->next;
            free(chunk);
        }
        free(connection->ways[i].bytes);
        free(connection->ends[i].out);
        free(connection->nodes[i]);
    }
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        connection->sim->connections = connection->next;
    if (connection->next) connection->next->prev = connection->prev;
    free(connection);
}

/* An event of the connection, which keeps it alive. */
static void later(struct yd__sim_connection *connection, int64_t delay, void (*fn)(void *), void (*drop)(void *),
                  void *arg)
{
    connection->refs++;
    yd__sim_event(connection->sim, connection->sim->now + delay, fn, drop, arg);
}

static void drop_end(void *arg)
{
    release(((struct end *)arg)->connection);
}

static void poke_now(void *arg);

static void poke_in(struct end *end, int64_t delay)
{
    if (end->poked || !end->open) return;
    end->poked = true;
    later(end->connection, delay, poke_now, drop_end, end);
}

static char *make_room(char *bytes, size_t *from, size_t *to, size_t *capacity, size_t size)
{
    if (*from && *capacity - *to < size) {
        memmove(bytes, bytes + *from, *to - *from);
        *to -= *from;
        *from = 0;
    }
    if (*capacity - *to >= size) return bytes;
    *capacity = YD_MAX(*capacity * 2, *to + size);
    bytes = realloc(bytes, *capacity);
    YD_ASSERT(bytes);
    return bytes;
}

/* ---- on the way ---- */

static void break_off(struct end *end, int error)
{
    if (!end->open || end->error || end->ended) return;
    end->error = error;
    poke_in(end, 0);
}

static void reset_by_peer(void *arg)
{
    struct end *end = arg;
    struct yd__sim_connection *connection = end->connection;
    if (end->open && yd__sim_are_apart(connection->sim, connection->nodes[0], connection->nodes[1])) {
        yd__sim_event(connection->sim, connection->sim->now + STALL, reset_by_peer, drop_end,
                      end); /* keeps its reference */
        return;
    }
    break_off(end, YD_ECONNRESET);
    release(connection);
}

static void reset_both(struct yd__sim_connection *connection)
{
    connection->sim->counts.cuts++;
    for (int i = 0; i < 2; i++) break_off(&connection->ends[i], YD_ECONNRESET);
}

static void chunk_arrives(void *arg)
{
    struct end *from = arg, *to = other_end(from);
    struct yd__sim_connection *connection = from->connection;
    struct yd_sim *sim = connection->sim;
    struct way *way = way_out(from);
    unsigned sender = from == &connection->ends[1];
    if ((to->open || from->open) && yd__sim_is_lost(sim, connection->nodes[sender], connection->nodes[!sender])) {
        sim->counts.stalls++;
        yd__sim_event(sim, sim->now + STALL, chunk_arrives, drop_end, from); /* keeps its reference */
        return;
    }
    struct chunk *chunk = way->first;
    way->first = chunk->next;
    if (!way->first) way->last = &way->first;
    size_t size = chunk->size;
    free(chunk);
    yd__sim_net_mix(sim, size);
    if (size) yd__sim_net_mix(sim, yd_crc32c(0, way->bytes + way->from + way->arrived, size));
    way->arrived += size;
    sim->counts.stream_bytes += size;
    if (!size) way->fin_arrived = true;
    if (size && yd__sim_net_chance(sim, sim->faults.cut)) {
        reset_both(connection);
    } else if (!to->open) { /* nobody is there any more to read it */
        if (size && from->open) later(connection, yd__sim_delay(sim), reset_by_peer, drop_end, from);
    } else {
        poke_in(to, 0);
    }
    release(connection);
}

static void send_chunk(struct end *end, size_t size)
{
    struct way *way = way_out(end);
    struct yd_sim *sim = end->connection->sim;
    struct chunk *chunk = yd__sim_net_get(sizeof *chunk);
    chunk->size = size;
    *way->last = chunk;
    way->last = &chunk->next;
    int64_t at = sim->now + yd__sim_delay(sim);
    way->last_at = YD_MAX(way->last_at, at);
    later(end->connection, way->last_at - sim->now, chunk_arrives, drop_end, end);
}

/* Moves what was written onto the way, as far as the other side's window is open. */
static void send_out(struct end *end)
{
    struct way *way = way_out(end);
    while (end->connected && !end->error && end->out_from < end->out_to && way->to - way->from < way->window) {
        size_t size = YD_MIN(end->out_to - end->out_from, way->window - (way->to - way->from));
        size_t piece = 1 + yd_rng_below(&end->connection->sim->rng, 65536);
        size = YD_MIN(size, piece);
        way->bytes = make_room(way->bytes, &way->from, &way->to, &way->capacity, size);
        memcpy(way->bytes + way->to, end->out + end->out_from, size);
        way->to += size;
        end->out_from += size;
        send_chunk(end, size);
    }
    if (end->error) end->out_from = end->out_to;
    if (end->out_from == end->out_to) end->out_from = end->out_to = 0;
    if (end->shutdown && end->connected && !end->error && !end->out_to && !way->fin_sent) {
        way->fin_sent = true;
        send_chunk(end, 0);
    }
}

/* ---- what an end says ---- */

static void called(struct end *end)
{
    end->stream.loop->callbacks++;
}

static void say_ended(struct end *end, int error)
{
    if (end->ended) return;
    end->error = error == YD_EEOF ? end->error : error;
    if (end->peeked) {
        void (*peeked)(void *arg, struct yd_str bytes, int why) = end->peeked;
        end->peeked = NULL;
        called(end);
        peeked(end->peeked_arg, (struct yd_str){NULL, 0}, error);
        return;
    }
    if (!end->started) return; /* said when it is started */
    end->ended = true;
    called(end);
    end->ops->ended(end->arg, error);
}

static void say_peeked(struct end *end)
{
    struct way *way = way_in(end);
    void (*peeked)(void *arg, struct yd_str bytes, int error) = end->peeked;
    size_t size = YD_MIN(way->arrived, YD__PEEK_SIZE);
    if (yd__sim_net_chance(end->connection->sim, end->connection->sim->faults.small_read)) size = 1;
    end->peeked = NULL;
    called(end);
    peeked(end->peeked_arg, (struct yd_str){way->bytes + way->from, size}, 0);
}

static void read_arrived(struct end *end)
{
    struct way *way = way_in(end);
    struct yd_sim *sim = end->connection->sim;
    for (int i = 0; i < READS_A_TURN && end->open && end->started && !end->paused && !end->ended && way->arrived; i++) {
        char *to = NULL;
        size_t size = 0;
        end->ops->room(end->arg, &to, &size);
        if (!end->open || end->paused) return;
        if (!to || !size) {
            end->paused = true;
            return;
        }
        size = YD_MIN(size, way->arrived);
        if (yd__sim_net_chance(sim, sim->faults.small_read)) {
            size_t piece = 1 + yd_rng_below(&sim->rng, 16);
            size = YD_MIN(size, piece);
            sim->counts.small_reads++;
        }
        memcpy(to, way->bytes + way->from, size);
        way->from += size, way->arrived -= size;
        poke_in(other_end(end), yd__sim_delay(sim)); /* the window is open again */
        called(end);
        end->ops->data(end->arg, size);
    }
    if (end->open && end->started && !end->paused && !end->ended && way->arrived) poke_in(end, 1);
}

static void poke(struct end *end)
{
    if (end->error) {
        say_ended(end, end->error);
        return;
    }
    if (end->say_connected) {
        end->say_connected = false;
        called(end);
        if (end->ops->connected) end->ops->connected(end->arg);
        if (!end->open || end->error) return;
    }
    send_out(end);
    if (end->peeked && way_in(end)->arrived) say_peeked(end);
    if (!end->open) return;
    read_arrived(end);
    if (!end->open) return;
    if (way_in(end)->fin_arrived && !way_in(end)->arrived && !end->paused) say_ended(end, YD_EEOF);
    if (!end->open || end->error) return;
    if (!end->was_waiting || end->out_to || !end->connected) return;
    end->was_waiting = false;
    if (!end->ops || !end->ops->drained) return;
    called(end);
    end->ops->drained(end->arg);
}

static void poke_now(void *arg)
{
    struct end *end = arg;
    end->poked = false;
    if (end->open) poke(end);
    release(end->connection);
}

/* ---- connecting ---- */

static struct yd__sim_listener *find_listener(struct yd_sim *sim, const struct yd_address *to, const char *from_node)
{
    struct yd__sim_listener *best = NULL;
    int best_fit = 0;
    for (struct yd__sim_listener *listener = sim->listeners; listener; listener = listener->next) {
        int fit = yd__sim_fit(&listener->at, yd__sim_loop(listener->listener.loop)->node, to, from_node);
        if (fit <= best_fit) continue;
        best_fit = fit;
        best = listener;
    }
    return best;
}

static void connect_failed(struct yd__sim_connection *connection, int error)
{
    connection->sim->counts.connects_failed++;
    break_off(&connection->ends[0], error);
}

static void connected_at_last(void *arg)
{
    struct end *end = arg;
    if (end->open && !end->error) {
        end->connected = end->say_connected = true;
        poke_in(end, 0);
    }
    release(end->connection);
}

static void accept_end(struct yd__sim_connection *connection, struct yd__sim_listener *listener)
{
    struct end *end = &connection->ends[1];
    struct yd__sim_loop *loop = yd__sim_loop(listener->listener.loop);
    connection->refs++;
    end->stream.loop = &loop->loop;
    end->stream.ops = loop->loop.ops;
    end->open = end->connected = true;
    connection->sim->counts.connects++;
    later(connection, yd__sim_delay(connection->sim), connected_at_last, drop_end, &connection->ends[0]);
    called(end);
    listener->ops->accept(listener->arg, &end->stream, &connection->from);
}

static void connection_arrives(void *arg)
{
    struct yd__sim_connection *connection = arg;
    struct yd_sim *sim = connection->sim;
    struct yd__sim_listener *listener = find_listener(sim, &connection->to, connection->nodes[0]);
    if (!connection->ends[0].open) {
        release(connection);
        return;
    }
    bool apart = false;
    if (listener) {
        const char *node = yd__sim_loop(listener->listener.loop)->node;
        if (!connection->nodes[1] || strcmp(connection->nodes[1], node) != 0) {
            free(connection->nodes[1]);
            connection->nodes[1] = strdup(node);
            YD_ASSERT(connection->nodes[1]);
        }
        apart = yd__sim_are_apart(sim, connection->nodes[0], node);
    }
    if (listener && (apart || listener->paused)) {
        sim->counts.stalls++;
        if (apart && sim->now >= connection->give_up_at) {
            connect_failed(connection, YD_ETIMEOUT);
            release(connection);
            return;
        }
        yd__sim_event(sim, sim->now + STALL, connection_arrives, release, connection); /* keeps its reference */
        return;
    }
    if (!listener)
        connect_failed(connection, connection->to.storage.ss_family == AF_UNIX ? YD_ENOENT : YD_ECONNREFUSED);
    else if (yd__sim_net_chance(sim, sim->faults.refuse))
        connect_failed(connection, YD_ECONNREFUSED);
    else
        accept_end(connection, listener);
    release(connection);
}

int yd__sim_connect(struct yd_loop *loop, const struct yd_address *to, const struct yd_stream_ops *ops, void *arg,
                    struct yd_stream **ret_stream, struct yd_trail *trail)
{
    struct yd__sim_loop *self = yd__sim_loop(loop);
    struct yd_sim *sim = self->sim;
    struct yd__sim_connection *connection = yd__sim_net_get(sizeof *connection);
    (void)trail;
    *connection = (struct yd__sim_connection){.sim = sim, .refs = 1, .to = *to, .next = sim->connections};
    if (sim->connections) sim->connections->prev = connection;
    sim->connections = connection;
    connection->nodes[0] = strdup(self->node);
    YD_ASSERT(connection->nodes[0]);
    connection->give_up_at = sim->now + CONNECT_TIMEOUT;
    (void)yd_address_parse(YD_STR("127.0.0.1:0"), &connection->from, NULL);
    yd__sim_take_port(sim, &connection->from);
    if (to->storage.ss_family == AF_UNIX)
        connection->from = (struct yd_address){.storage.ss_family = AF_UNIX, .size = 2};
    for (int i = 0; i < 2; i++) {
        connection->ends[i].connection = connection;
        connection->ends[i].limit = YD__STREAM_LIMIT;
        connection->ways[i].last = &connection->ways[i].first;
        connection->ways[i].window = WINDOW_MIN + yd_rng_below(&sim->rng, WINDOW_SPREAD);
    }
    struct end *end = &connection->ends[0];
    end->stream.loop = loop;
    end->stream.ops = loop->ops;
    end->ops = ops, end->arg = arg;
    end->open = end->started = true;
    later(connection, yd__sim_delay(sim), connection_arrives, release, connection);
    *ret_stream = &end->stream;
    return 0;
}

/* ---- streams ---- */

void yd__sim_stream_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg)
{
    struct end *end = end_of(stream);
    end->ops = ops, end->arg = arg;
    end->started = true;
    poke_in(end, 0);
}

void yd__sim_stream_pause(struct yd_stream *stream, bool paused)
{
    end_of(stream)->paused = paused;
    if (!paused) poke_in(end_of(stream), 0);
}

int yd__sim_stream_write(struct yd_stream *stream, struct yd_str bytes)
{
    struct end *end = end_of(stream);
    size_t waiting = end->out_to - end->out_from;
    if (end->error || end->shutdown) return YD_ECLOSED;
    if (waiting && (waiting > end->limit || bytes.size > end->limit - waiting)) return YD_EFULL;
    if (bytes.size == 0) return 0;
    end->out = make_room(end->out, &end->out_from, &end->out_to, &end->out_capacity, bytes.size);
    memcpy(end->out + end->out_to, bytes.data, bytes.size);
    end->out_to += bytes.size;
    end->was_waiting = true;
    poke_in(end, 0);
    return 0;
}

size_t yd__sim_stream_backlog(const struct yd_stream *stream)
{
    return end_of(stream)->out_to - end_of(stream)->out_from;
}
void yd__sim_stream_limit(struct yd_stream *stream, size_t bytes)
{
    end_of(stream)->limit = bytes;
}

void yd__sim_stream_shutdown(struct yd_stream *stream)
{
    end_of(stream)->shutdown = true;
    poke_in(end_of(stream), 0);
}

void yd__sim_stream_close(struct yd_stream *stream)
{
    struct end *end = end_of(stream), *other = other_end(end);
    struct yd__sim_connection *connection = end->connection;
    end->shutdown = true;
    send_out(end);
    end->open = false;
    /* Bytes nobody read, or bytes that did not leave any more: the other side learns that something is missing. */
    bool missing = way_in(end)->arrived || !way_out(end)->fin_sent;
    if (missing && other->open) later(connection, yd__sim_delay(connection->sim), reset_by_peer, drop_end, other);
    release(connection);
}

int yd__sim_stream_peek(struct yd_stream *stream, void (*peeked)(void *, struct yd_str, int), void *arg)
{
    struct end *end = end_of(stream);
    if (end->started || end->peeked) return YD_EINVAL;
    end->peeked = peeked, end->peeked_arg = arg;
    poke_in(end, 0);
    return 0;
}

struct move {
    struct yd_stream *stream;
    struct yd_loop *to;
    void (*moved)(void *arg, struct yd_stream *stream);
    void *arg;
};

static void arrives(void *arg)
{
    struct move move = *(struct move *)arg;
    free(arg);
    move.stream->loop = move.to;
    move.to->callbacks++;
    move.moved(move.arg, move.stream);
}

int yd__sim_stream_move(struct yd_stream *stream, struct yd_loop *to, void (*moved)(void *, struct yd_stream *),
                        void *arg)
{
    if (end_of(stream)->started) return YD_EINVAL;
    struct move *move = yd__sim_net_get(sizeof *move);
    *move = (struct move){stream, to, moved, arg};
    return yd_loop_post(to, arrives, move);
}

int yd__sim_stream_detach(struct yd_stream *stream, int *ret_fd)
{
    (void)stream, (void)ret_fd;
    return YD_ENOTSUP;
}

bool yd__sim_stream_peer_user(struct yd_stream *stream, uint32_t *ret_uid)
{
    if (end_of(stream)->connection->to.storage.ss_family != AF_UNIX) return false;
    *ret_uid = 0;
    return true;
}

void yd__sim_cut_connections(struct yd_sim *sim, const char *a, const char *b)
{
    for (struct yd__sim_connection *connection = sim->connections; connection; connection = connection->next) {
        const char *one = connection->nodes[0], *two = connection->nodes[1];
        if (!two) continue;
        bool hit = (strcmp(one, a) == 0 && (!b || strcmp(two, b) == 0)) ||
                   (strcmp(two, a) == 0 && (!b || strcmp(one, b) == 0));
        if (hit && strcmp(one, two) != 0) reset_both(connection);
    }
}

void yd__sim_drop_connections(struct yd_sim *sim)
{
    YD_ASSERT(!sim->connections);
}

/* ---- listeners ---- */

int yd__sim_listen(struct yd_loop *loop, const struct yd_address *at, const struct yd_listener_ops *ops, void *arg,
                   struct yd_listener **ret_listener, struct yd_trail *trail)
{
    struct yd__sim_loop *self = yd__sim_loop(loop);
    struct yd_address address = *at;
    yd__sim_take_port(self->sim, &address);
    for (struct yd__sim_listener *old = self->sim->listeners; old; old = old->next) {
        if (yd__sim_fit(&old->at, yd__sim_loop(old->listener.loop)->node, &address, self->node) < 2) continue;
        char text[160];
        yd_address_put(&address, text, sizeof text);
        return yd_trail_add(trail, YD_EADDRINUSE, "cannot listen on %s: %s", text, yd_error_text(YD_EADDRINUSE));
    }
    struct yd__sim_listener *listener = yd__sim_net_get(sizeof *listener);
    *listener = (struct yd__sim_listener){{loop}, self->sim->listeners, address, ops, arg, false};
    self->sim->listeners = listener;
    *ret_listener = &listener->listener;
    return 0;
}

void yd__sim_listener_address(struct yd_listener *listener, struct yd_address *ret)
{
    *ret = ((struct yd__sim_listener *)listener)->at;
}

void yd__sim_listener_pause(struct yd_listener *listener, bool paused)
{
    ((struct yd__sim_listener *)listener)->paused = paused;
}

void yd__sim_listener_close(struct yd_listener *public)
{
    struct yd__sim_listener *listener = (struct yd__sim_listener *)public, **at;
    at = &yd__sim_loop(public->loop)->sim->listeners;
    while (*at != listener) at = &(*at)->next;
    *at = listener->next;
    free(listener);
}
