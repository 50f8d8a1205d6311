/* The door of a Broker, as a client that lies sees it: whatever is said, in whatever order, the daemon's side stays
 * whole, answers or shows out, and what it counts adds up: published since = passed + paced + overrun + unplaced, in
 * one who subscribed before. In a simulated system.
 *
 * input: what to do 1, and what belongs to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elements/brokers.h"
#include "io/pass.h"
#include "io/sim_net.h"
#include "live/door_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct yd_sim *sim;
    struct yd_loop *loop;
    struct yd_system *system;
    struct yd_live_source *source;
    struct yd_broker *broker;
    struct yd_live_table *empty;
    struct yd_live_bell bell;
    struct yd_live_access access;
    struct yd_live_door *door;
    struct yd_broker_member *members[4];
    char path[64];
    int client; /* -1: shown out */
    uint64_t published;
};

static bool on_ask(void *arg, const struct yd_live_client *client, const void *message, size_t size)
{
    struct world *w = arg;
    struct yd_broker_member **member = &w->members[(uint32_t)client->id];
    if (!*member) *member = yd_broker_enter(w->broker, client, 0);
    return *member && yd_broker_ask(*member, message, size) == 0;
}

static void on_left(void *arg, uint64_t client_id)
{
    struct world *w = arg;
    struct yd_broker_member **member = &w->members[(uint32_t)client_id];
    if (*member) yd_broker_leave(*member);
    *member = NULL;
}

static void settle(struct world *w)
{
    for (int i = 0; i < 2; i++) { /* who is shut out by his process is noticed by the door */
        yd_live_door_run(w->door);
        while (yd_system_step(w->system) > 0) continue;
    }
}

static int come(struct world *w)
{
    struct yd__door_hello hello = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_HELLO, 0}};
    int fd;
    YD_ASSERT(yd_pass_connect(w->path, &fd) == 0);
    YD_ASSERT(yd_pass_send(fd, &hello, sizeof hello, NULL, 0) == 0);
    settle(w);
    return fd;
}

static void open_world(struct world *w)
{
    struct yd_trail trail = {0};
    snprintf(w->path, sizeof w->path, "/tmp/yarder-fuzz-door-%ld.sock", (long)getpid());
    YD_ASSERT(yd_sim_create(1, &w->sim) == 0 && yd_sim_loop_create(w->sim, "fuzz", &w->loop) == 0);
    struct yd_system_options system = {.executors = 1, .sim_loops = &w->loop, .sim_seed = 1};
    YD_ASSERT(yd_system_create(&system, &w->system) == 0);
    struct yd_live_source_options source = {
        .generation = 1, .id = 2, .now_ns = 1, .measurements = 16, .value_max = 16, .ring_size = 4096};
    YD_ASSERT(yd_live_source_create(&source, &w->source) == 0);
    w->broker = yd_broker_create(w->system, w->source);
    YD_ASSERT(w->broker && yd_broker_start(w->broker) == 0);
    struct yd_live_table_options empty = {.generation = 1, .id = 2, .now_ns = 1, .capacity = 16};
    YD_ASSERT(yd_live_table_create(&empty, NULL, &w->empty) == 0);
    yd_live_table_set_state(w->empty, YD__LIVE_READY);
    YD_ASSERT(yd_live_bell_create(2, 1, 1, &w->bell) == 0);
    w->access = (struct yd_live_access){.id = geteuid(), .bell = &w->bell};
    struct yd_live_door_options door = {.path = w->path,
                                        .access = &w->access,
                                        .access_count = 1,
                                        .clients_max = YD_COUNT(w->members),
                                        .table = yd_live_table_region(w->empty),
                                        .ask = on_ask,
                                        .left = on_left,
                                        .arg = w};
    YD_ASSERT(yd_live_door_open(&door, &w->door, &trail) == 0);
}

static void close_world(struct world *w)
{
    if (w->client >= 0) close(w->client);
    settle(w);
    yd_live_door_close(w->door);
    yd_broker_stop(w->broker);
    while (yd_system_step(w->system) > 0) continue;
    YD_ASSERT(atomic_load(&w->broker->count) == 0 && atomic_load(&w->broker->refs) == 1);
    yd_broker_unref(w->broker);
    yd_system_stop(w->system);
    yd_system_destroy(w->system);
    yd_loop_destroy(w->loop);
    yd_sim_destroy(w->sim);
    yd_live_table_destroy(w->empty);
    yd_live_bell_destroy(&w->bell);
}

static void publish(struct world *w, unsigned which, uint64_t bits)
{
    static const char *const names[] = {"a", "b", "engine.rpm", "engine.oil"};
    uint32_t index;
    YD_ASSERT(yd_live_source_declare(w->source, yd_str_of(names[which % 4]), YD_U64, 8, &index) >= 0);
    YD_ASSERT(yd_live_source_put(w->source, index, 1, YD_U64, 0, &bits, 8) == 0);
    w->published++;
    if (yd_broker_is_asleep(w->broker)) yd_broker_call(w->broker);
}

/* What was answered; false: shown out. */
static bool listen_to(int fd)
{
    for (;;) {
        char message[YD__DOOR_MESSAGE_MAX];
        int fds[3];
        size_t size;
        unsigned count = 0;
        int error = yd_pass_recv(fd, message, sizeof message, &size, fds, 3, &count);
        if (error) return error == YD_EAGAIN;
        YD_ASSERT(size >= sizeof(struct yd__door_head));
        while (count) close(fds[--count]);
    }
}

/* The next bytes of the input, zeros behind its end. */
static void fill(const uint8_t **data, size_t *size, void *to, size_t want)
{
    size_t have = *size < want ? *size : want;
    memset(to, 0, want);
    memcpy(to, *data, have);
    *data += have;
    *size -= have;
}

static size_t compose(uint8_t what, const uint8_t **data, size_t *size, void *to)
{
    static const uint16_t types[] = {YD__DOOR_UNSUBSCRIBE, YD__DOOR_COUNT, YD__DOOR_LOOK, YD__DOOR_HELLO};
    struct yd__door_subscribe subscribe = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, what}};
    struct yd__door_subscription other = {.head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, types[what % 4], what}};
    uint8_t small;
    switch (what % 8) {
    case 0: /* as it comes */
        fill(data, size, &small, 1);
        fill(data, size, to, small);
        return small ? small : 1;
    case 1: /* a head, then as it comes */
        fill(data, size, &small, 1);
        other.head.type = small % 16;
        memcpy(to, &other.head, sizeof other.head);
        fill(data, size, &small, 1);
        fill(data, size, (char *)to + sizeof other.head, small);
        return sizeof other.head + small;
    case 2:
    case 3: /* anything, in the right size */
        fill(data, size, (char *)&subscribe + sizeof subscribe.head, 40);
        break;
    case 4: /* what can be */
        fill(data, size, &small, 1);
        subscribe.mode = small & 1;
        subscribe.priority = small >> 1 & 7;
        subscribe.rate = (small >> 4 & 3) * 10;
        subscribe.names_max = small >> 6;
        strcpy(subscribe.pattern, small & 8 ? "*" : "engine.*");
        break;
    default:
        fill(data, size, &small, 1);
        other.id = small % 8;
        memcpy(to, &other, sizeof other);
        return sizeof other;
    }
    memcpy(to, &subscribe, sizeof subscribe);
    return sizeof subscribe;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t raw[YD__DOOR_MESSAGE_MAX / 8];
    struct yd__door_subscribe question = {
        .head = {YD__DOOR_MAGIC, YD__DOOR_VERSION, YD__DOOR_SUBSCRIBE, 1}, .mode = YD__DOOR_EVERY, .pattern = "*"};
    struct world w = {.client = -1};
    open_world(&w);
    int witness = come(&w);
    YD_ASSERT(yd_pass_send(witness, &question, sizeof question, NULL, 0) == 0);
    settle(&w);
    w.client = come(&w);
    while (size) {
        uint8_t what;
        fill(&data, &size, &what, 1);
        if (what & 0x80) {
            publish(&w, what, what);
            if (what & 0x40) settle(&w);
            continue;
        }
        if (w.client < 0) w.client = come(&w);
        size_t length = compose(what, &data, &size, raw);
        (void)yd_pass_send(w.client, raw, length, NULL, 0);
        if (what & 0x40) continue; /* more at once, and not listening */
        settle(&w);
        if (listen_to(w.client)) continue;
        close(w.client);
        w.client = -1;
    }
    settle(&w);
    YD_ASSERT(listen_to(witness)); /* he is there, and has lost nothing uncounted */
    uint64_t dealt = 0;
    for (const struct yd_broker_member *m = w.broker->members; m; m = m->next)
        if (!m->next) dealt = m->passed + m->paced + m->overrun + m->unplaced; /* who came first is the last */
    YD_ASSERT(dealt == w.published);
    close(witness);
    close_world(&w);
    return 0;
}
