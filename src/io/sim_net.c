/* io/sim_net.c: the simulation's clock and events, its loops, and who is apart from whom.
 *
 * One heap of events for the network and the posts, one heap of timers in each loop; a step takes the earliest of all.
 * Among equal times events come before timers, in the order in which they were made: so a run is a function of the seed
 * and the calls. Nothing here reads a clock, a descriptor or an address of memory. */
#include <netinet/in.h>
#include <stdlib.h>

#include "io/sim_wire.h"

#define START_MONO     YD_NS_PER_S
#define START_WALL     (INT64_C(1700000000) * YD_NS_PER_S)
#define POST_DELAY_MAX (50 * YD_NS_PER_US)
#define FIRST_PORT     20000

/* ---- helpers ---- */

void *yd__sim_net_get(size_t size)
{
    void *memory = calloc(1, size);
    YD_ASSERT(memory);
    return memory;
}

static void *grow(void *array, uint32_t *capacity, uint32_t wanted, size_t element_size)
{
    if (wanted <= *capacity) return array;
    *capacity = YD_MAX(YD_MAX(*capacity * 2, wanted), 16);
    array = realloc(array, *capacity * element_size);
    YD_ASSERT(array);
    return array;
}

static char *copy_text(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    YD_ASSERT(copy || !text);
    return copy;
}

void yd__sim_net_mix(struct yd_sim *sim, uint64_t value)
{
    uint64_t mixed = (sim->trace ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    sim->trace = mixed ^ (mixed >> 29);
}

bool yd__sim_net_chance(struct yd_sim *sim, uint32_t one_in)
{
    return one_in && yd_rng_chance(&sim->rng, one_in);
}

int64_t yd__sim_delay(struct yd_sim *sim)
{
    int64_t spread = YD_MAX(sim->faults.delay_max_ns - sim->faults.delay_min_ns, 0);
    return sim->faults.delay_min_ns + (int64_t)yd_rng_below(&sim->rng, (uint64_t)spread + 1);
}

/* ---- events ---- */

static bool before(const struct yd__sim_event *a, const struct yd__sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

/* Puts an event at `index`, whose place is free, or where the order of the heap wants it instead. */
static void place(struct yd_sim *sim, uint32_t index, struct yd__sim_event event)
{
    for (; index && before(&event, &sim->events[(index - 1) / 2]); index = (index - 1) / 2)
        sim->events[index] = sim->events[(index - 1) / 2];
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= sim->event_count) break;
        if (child + 1 < sim->event_count && before(&sim->events[child + 1], &sim->events[child])) child++;
        if (!before(&sim->events[child], &event)) break;
        sim->events[index] = sim->events[child];
        index = child;
    }
    sim->events[index] = event;
}

static void add_event(struct yd_sim *sim, struct yd__sim_event event)
{
    event.at = YD_MAX(event.at, sim->now);
    event.seq = ++sim->seq;
    sim->events = grow(sim->events, &sim->event_capacity, sim->event_count + 1, sizeof *sim->events);
    sim->event_count++;
    place(sim, sim->event_count - 1, event);
}

void yd__sim_event(struct yd_sim *sim, int64_t at, void (*fn)(void *), void (*drop)(void *), void *arg)
{
    add_event(sim, (struct yd__sim_event){.at = at, .fn = fn, .drop = drop, .arg = arg});
}

static struct yd__sim_event take_event(struct yd_sim *sim, uint32_t index)
{
    struct yd__sim_event taken = sim->events[index], last = sim->events[--sim->event_count];
    if (index < sim->event_count) place(sim, index, last);
    return taken;
}

static struct yd__sim_loop *earliest_loop(const struct yd_sim *sim)
{
    struct yd__sim_loop *earliest = NULL;
    int64_t at = INT64_MAX;
    for (struct yd__sim_loop *loop = sim->loops; loop; loop = loop->next) {
        int64_t next = yd__loop_next_timer(&loop->loop);
        if (next >= at) continue;
        at = next;
        earliest = loop;
    }
    return earliest;
}

int64_t yd_sim_next(const struct yd_sim *sim)
{
    struct yd__sim_loop *loop = earliest_loop(sim);
    int64_t timer = loop ? YD_MAX(yd__loop_next_timer(&loop->loop), sim->now) : INT64_MAX;
    return sim->event_count ? YD_MIN(timer, sim->events[0].at) : timer;
}

static void move_clock(struct yd_sim *sim, int64_t to)
{
    if (to <= sim->now) return;
    sim->now = to;
    for (struct yd__sim_loop *loop = sim->loops; loop; loop = loop->next) loop->loop.stale = true;
}

bool yd_sim_step(struct yd_sim *sim)
{
    int64_t at = yd_sim_next(sim);
    if (at == INT64_MAX) return false;
    move_clock(sim, at);
    yd__sim_net_mix(sim, (uint64_t)at);
    if (sim->event_count && sim->events[0].at <= at) {
        struct yd__sim_event event = take_event(sim, 0);
        sim->counts.events++;
        yd__sim_net_mix(sim, event.owner ? yd__sim_loop(event.owner)->number : 0);
        if (event.owner) event.owner->callbacks++;
        event.fn(event.arg);
        return true;
    }
    struct yd__sim_loop *loop = earliest_loop(sim);
    sim->counts.timers++;
    yd__sim_net_mix(sim, loop->number);
    (void)yd_loop_mono(&loop->loop);
    yd__loop_fire_timers(&loop->loop);
    return true;
}

void yd_sim_run_until(struct yd_sim *sim, int64_t mono_ns)
{
    while (yd_sim_next(sim) <= mono_ns) (void)yd_sim_step(sim);
    move_clock(sim, mono_ns);
}

int64_t yd_sim_now(const struct yd_sim *sim)
{
    return sim->now;
}

/* ---- loops ---- */

/* For those who drive one loop themselves: the simulation goes on until something ran on this one. */
static int run(struct yd_loop *loop, int64_t timeout_ns)
{
    struct yd_sim *sim = yd__sim_loop(loop)->sim;
    uint64_t callbacks = loop->callbacks;
    int64_t until = timeout_ns < 0 || timeout_ns > INT64_MAX - 1 - sim->now ? INT64_MAX - 1 : sim->now + timeout_ns;
    while (loop->callbacks == callbacks && yd_sim_next(sim) <= until) (void)yd_sim_step(sim);
    if (loop->callbacks == callbacks && timeout_ns >= 0) move_clock(sim, until);
    return (int)(loop->callbacks - callbacks);
}

static void wake(struct yd_loop *loop)
{
    (void)loop;
} /* nobody sleeps here */

static int post(struct yd_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct yd__sim_loop *owner = yd__sim_loop(loop);
    struct yd_sim *sim = owner->sim;
    int64_t at = sim->now + (int64_t)yd_rng_below(&sim->rng, POST_DELAY_MAX);
    owner->last_post = YD_MAX(owner->last_post, at);
    add_event(sim, (struct yd__sim_event){.at = owner->last_post, .fn = fn, .arg = arg, .owner = loop});
    return 0;
}

static void run_at(struct yd_loop *loop, int64_t mono_ns, void (*fn)(void *arg), void *arg)
{
    add_event(yd__sim_loop(loop)->sim, (struct yd__sim_event){.at = mono_ns, .fn = fn, .arg = arg, .owner = loop});
}

static void read_clocks(struct yd_loop *loop)
{
    const struct yd__sim_loop *self = yd__sim_loop(loop);
    loop->mono = self->sim->now;
    loop->wall = self->sim->now - START_MONO + START_WALL + self->wall_ahead;
}

/* As the Linux loop does: what was posted runs, at the latest now. */
static void run_posts(struct yd_loop *loop)
{
    struct yd_sim *sim = yd__sim_loop(loop)->sim;
    for (;;) {
        uint32_t first = UINT32_MAX;
        for (uint32_t i = 0; i < sim->event_count; i++)
            if (sim->events[i].owner == loop && (first == UINT32_MAX || before(&sim->events[i], &sim->events[first])))
                first = i;
        if (first == UINT32_MAX) return;
        struct yd__sim_event event = take_event(sim, first);
        event.fn(event.arg);
    }
}

static void destroy(struct yd_loop *loop)
{
    struct yd__sim_loop *self = yd__sim_loop(loop), **at = &self->sim->loops;
    run_posts(loop);
    while (*at != self) at = &(*at)->next;
    *at = self->next;
    yd__loop_fini(loop);
    free(self->node);
    free(self);
}

int yd_sim_loop_create(struct yd_sim *sim, const char *node, struct yd_loop **ret_loop)
{
    struct yd__sim_loop *loop = yd__sim_net_get(sizeof *loop), **last = &sim->loops;
    yd__loop_init(&loop->loop, &yd__sim_loop_ops, yd_rng_next(&sim->rng));
    loop->sim = sim;
    loop->node = copy_text(node);
    loop->number = ++sim->loops_made;
    while (*last) last = &(*last)->next;
    *last = loop;
    *ret_loop = &loop->loop;
    return 0;
}

void yd_sim_step_wall(struct yd_loop *sim_loop, int64_t ns)
{
    yd__sim_loop(sim_loop)->wall_ahead += ns;
    sim_loop->stale = true;
}

/* ---- who reaches whom ---- */

bool yd__sim_are_apart(const struct yd_sim *sim, const char *one, const char *other)
{
    if (strcmp(one, other) == 0) return false;
    for (uint32_t i = 0; i < sim->apart_count; i++) {
        const struct yd__sim_apart *apart = &sim->aparts[i];
        if (apart->one_way) continue;
        if (strcmp(apart->a, one) == 0 && (!apart->b || strcmp(apart->b, other) == 0)) return true;
        if (strcmp(apart->a, other) == 0 && (!apart->b || strcmp(apart->b, one) == 0)) return true;
    }
    return false;
}

bool yd__sim_is_lost(const struct yd_sim *sim, const char *from, const char *to)
{
    for (uint32_t i = 0; i < sim->apart_count; i++) {
        const struct yd__sim_apart *apart = &sim->aparts[i];
        if (apart->one_way && strcmp(apart->a, from) == 0 && strcmp(apart->b, to) == 0) return true;
    }
    return yd__sim_are_apart(sim, from, to);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

void yd_sim_apart(struct yd_sim *sim, const char *a, const char *b, bool apart)
{
    for (uint32_t i = sim->apart_count; i-- > 0;) {
        struct yd__sim_apart *old = &sim->aparts[i];
        if (old->one_way) continue;
        bool same = same_text(old->a, a) && same_text(old->b, b);
        if (!same && !(b && same_text(old->a, b) && same_text(old->b, a))) continue;
        free(old->a);
        free(old->b);
        *old = sim->aparts[--sim->apart_count];
    }
    if (!apart) return;
    sim->aparts = grow(sim->aparts, &sim->apart_capacity, sim->apart_count + 1, sizeof *sim->aparts);
    sim->aparts[sim->apart_count++] = (struct yd__sim_apart){copy_text(a), copy_text(b), false};
}

void yd_sim_lose(struct yd_sim *sim, const char *from, const char *to, bool lost)
{
    for (uint32_t i = sim->apart_count; i-- > 0;) {
        struct yd__sim_apart *old = &sim->aparts[i];
        if (!old->one_way || strcmp(old->a, from) != 0 || strcmp(old->b, to) != 0) continue;
        free(old->a);
        free(old->b);
        *old = sim->aparts[--sim->apart_count];
    }
    if (!lost) return;
    sim->aparts = grow(sim->aparts, &sim->apart_capacity, sim->apart_count + 1, sizeof *sim->aparts);
    sim->aparts[sim->apart_count++] = (struct yd__sim_apart){copy_text(from), copy_text(to), true};
}

void yd_sim_cut(struct yd_sim *sim, const char *a, const char *b)
{
    yd__sim_cut_connections(sim, a, b);
}

static uint16_t port_of(const struct yd_address *address)
{
    return address->storage.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address->storage)->sin6_port
                                                  : ((const struct sockaddr_in *)&address->storage)->sin_port;
}

static bool has_no_host(const struct yd_address *address)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    if (address->storage.ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr, &any, sizeof any) == 0;
    return ((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr == 0;
}

void yd__sim_take_port(struct yd_sim *sim, struct yd_address *address)
{
    if (address->storage.ss_family == AF_UNIX || port_of(address)) return;
    uint16_t port = htons((uint16_t)(FIRST_PORT + sim->next_port++ % 40000));
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = port;
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = port;
}

int yd__sim_fit(const struct yd_address *listening, const char *listening_node, const struct yd_address *to,
                const char *from_node)
{
    bool same_node = strcmp(listening_node, from_node) == 0;
    bool exact = listening->size == to->size && memcmp(&listening->storage, &to->storage, to->size) == 0;
    bool is_unix = to->storage.ss_family == AF_UNIX, local = is_unix || yd_address_loopback(to) || has_no_host(to);
    if (local && !same_node) return 0;
    if (exact) return 2 + same_node;
    if (is_unix || listening->storage.ss_family == AF_UNIX || port_of(listening) != port_of(to)) return 0;
    /* Listening on all interfaces takes what comes for the port, from its own node by any name of itself. */
    return same_node && (has_no_host(listening) || has_no_host(to)) ? 1 : 0;
}

/* ---- names of hosts ---- */

struct yd__sim_host {
    struct yd__sim_host *next;
    char *name;
    struct yd_address address;
};

void yd_sim_host(struct yd_sim *sim, const char *host, const char *address)
{
    struct yd__sim_host **at = &sim->hosts;
    while (*at) {
        struct yd__sim_host *one = *at;
        if (address || strcmp(one->name, host) != 0) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        free(one->name);
        free(one);
    }
    if (!address) return;
    *at = yd__sim_net_get(sizeof **at);
    (*at)->name = copy_text(host);
    YD_ASSERT(yd_address_parse(yd_str_of(address), &(*at)->address, NULL) == 0);
}

static int find_host(struct yd_loop *loop, const char *host, unsigned attempt, struct yd_address *ret,
                     struct yd_trail *trail)
{
    const struct yd_sim *sim = yd__sim_loop(loop)->sim;
    unsigned count = 0;
    for (const struct yd__sim_host *at = sim->hosts; at; at = at->next) count += strcmp(at->name, host) == 0;
    if (!count) return yd_trail_add(trail, YD_ENOENT, "looking up %s: nobody has that name", host);
    unsigned skip = attempt % count;
    for (const struct yd__sim_host *at = sim->hosts; at; at = at->next)
        if (strcmp(at->name, host) == 0 && skip-- == 0) *ret = at->address;
    return 0;
}

/* ---- life of a simulation ---- */

int yd_sim_create(uint64_t seed, struct yd_sim **ret_sim)
{
    struct yd_sim *sim = yd__sim_net_get(sizeof *sim);
    yd_rng_init(&sim->rng, seed);
    sim->now = START_MONO;
    sim->faults = (struct yd_sim_net_faults){.delay_min_ns = 20 * YD_NS_PER_US, .delay_max_ns = 2 * YD_NS_PER_MS};
    *ret_sim = sim;
    return 0;
}

void yd_sim_destroy(struct yd_sim *sim)
{
    if (!sim) return;
    YD_ASSERT(!sim->loops && !sim->listeners && !sim->sockets);
    for (uint32_t i = 0; i < sim->event_count; i++)
        if (sim->events[i].drop) sim->events[i].drop(sim->events[i].arg);
    free(sim->events);
    yd__sim_drop_connections(sim);
    for (uint32_t i = 0; i < sim->apart_count; i++) free(sim->aparts[i].a), free(sim->aparts[i].b);
    free(sim->aparts);
    while (sim->hosts) {
        struct yd__sim_host *host = sim->hosts;
        sim->hosts = host->next;
        free(host->name);
        free(host);
    }
    free(sim);
}

struct yd_sim_net_faults *yd_sim_net_faults(struct yd_sim *sim)
{
    return &sim->faults;
}
const struct yd_sim_net_counts *yd_sim_net_counts(const struct yd_sim *sim)
{
    return &sim->counts;
}
uint64_t yd_sim_trace(const struct yd_sim *sim)
{
    return sim->trace;
}

const struct yd__loop_ops yd__sim_loop_ops = {
    .destroy = destroy,
    .run = run,
    .wake = wake,
    .post = post,
    .clocks = read_clocks,
    .listen = yd__sim_listen,
    .listener_address = yd__sim_listener_address,
    .listener_pause = yd__sim_listener_pause,
    .listener_close = yd__sim_listener_close,
    .find_host = find_host,
    .connect = yd__sim_connect,
    .stream_start = yd__sim_stream_start,
    .stream_pause = yd__sim_stream_pause,
    .stream_write = yd__sim_stream_write,
    .stream_backlog = yd__sim_stream_backlog,
    .stream_limit = yd__sim_stream_limit,
    .stream_shutdown = yd__sim_stream_shutdown,
    .stream_close = yd__sim_stream_close,
    .stream_peek = yd__sim_stream_peek,
    .stream_move = yd__sim_stream_move,
    .stream_detach = yd__sim_stream_detach,
    .stream_peer_user = yd__sim_stream_peer_user,
    .datagrams_open = yd__sim_datagrams_open,
    .datagrams_address = yd__sim_datagrams_address,
    .datagrams_pause = yd__sim_datagrams_pause,
    .datagrams_send = yd__sim_datagrams_send,
    .datagrams_drops = yd__sim_datagrams_drops,
    .datagrams_buffer = yd__sim_datagrams_buffer,
    .datagrams_finish = yd__sim_datagrams_finish,
    .datagrams_close = yd__sim_datagrams_close,
    .at = run_at,
    .is_sim = true,
};
