#include <pthread.h>

#include "classes.h"

static struct seen *all[32];
static uint32_t all_count;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

struct seen *seen_of(const char *name)
{
    pthread_mutex_lock(&all_lock);
    for (uint32_t i = 0; i < all_count; i++) {
        if (strcmp(all[i]->name, name)) continue;
        pthread_mutex_unlock(&all_lock);
        return all[i];
    }
    struct seen *seen = all[all_count++] = calloc(1, sizeof *seen);
    snprintf(seen->name, sizeof seen->name, "%s", name);
    pthread_mutex_unlock(&all_lock);
    return seen;
}

void seen_clear(void)
{
    for (uint32_t i = 0; i < all_count; i++) free(all[i]);
    all_count = 0;
}

struct base {
    struct yd_element *element;
    const struct yd_args *args;
    struct seen *seen;
    int64_t made;
    uint64_t count;
    int64_t total, last;
    bool blocked;
};

static int open_base(struct yd_element *element, void *state)
{
    struct base *b = state;
    b->element = element;
    b->args = yd_element_args(element);
    b->seen = seen_of(yd_element_name(element));
    b->seen->opens++;
    b->last = -1;
    return 0;
}

static void take(struct base *b, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->header.count; i++) {
        int64_t value = world_value(batch, i);
        if (b->seen->count < SEEN_VALUES) b->seen->values[b->seen->count] = value;
        b->seen->count++;
        b->seen->total += value;
        if (value <= b->last) b->seen->out_of_order = true;
        b->last = value;
    }
    b->seen->batches++;
}

static bool must_fail(struct base *b, const struct yd_batch *batch)
{
    const struct yd_arg *at = yd_args_find(b->args, "fail_at");
    if (!at || world_value(batch, 0) != at->i64) return false;
    uint64_t fails = (uint64_t)yd_args_int(b->args, "fails");
    if (fails && b->seen->fails >= fails) return false;
    b->seen->fails++;
    return true;
}

/* ---- source ---- */

static enum yd_turn_result source_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct base *b = state;
    int64_t batches = yd_args_int(b->args, "batches"), records = yd_args_int(b->args, "records");
    int64_t every = yd_args_int(b->args, "every");
    unsigned level = (unsigned)yd_args_int(b->args, "level");
    if (input->type == YD_INPUT_ACK) {
        if (input->error)
            b->seen->acks_failed++;
        else
            b->seen->acks++;
        if (input->error) b->seen->last_error = input->error;
        return YD_DONE;
    }
    if (input->type == YD_INPUT_BLOCKED) {
        b->blocked = input->error != 0;
        if (b->blocked)
            b->seen->blocked++;
        else
            b->seen->unblocked++;
        if (b->blocked) return YD_DONE;
        yd_timer_at(out, 1, input->mono_ns);
        return YD_DONE;
    }
    if (input->type == YD_INPUT_START) b->seen->starts++;
    if (b->blocked) return YD_DONE;
    if (b->made < batches) {
        struct yd_batch *batch = world_batch(b->made * records, (uint32_t)records);
        int error = level ? yd_emit_asking(out, 0, batch, level, (uint64_t)b->made + 1) : yd_emit(out, 0, batch);
        if (error == 0)
            b->made++;
        else
            b->seen->last_error = error;
    }
    if (b->made < batches) {
        if (every) yd_timer_at(out, 1, input->mono_ns + every);
        return every ? YD_DONE : YD_MORE;
    }
    if (!yd_args_int(b->args, "endless")) yd_end(out);
    return YD_DONE;
}

static const struct yd_port_class source_ports[] = {
    {.name = "out", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL}, {0}};
const struct yd_element_class source_class = {.abi = YD_ELEMENT_ABI,
                                              .flags = YD_CLASS_SOURCE | YD_CLASS_WATCHES,
                                              .name = "Source",
                                              .ports = source_ports,
                                              .state_size = sizeof(struct base),
                                              .open = open_base,
                                              .receive = source_receive};

/* ---- pass, halves ---- */

static enum yd_turn_result pass_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct base *b = state;
    if (input->type == YD_INPUT_START) b->seen->starts++;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    if (must_fail(b, input->batch)) return YD_FAIL;
    take(b, input->batch);
    (void)yd_emit(out, 1, yd_batch_ref(input->batch));
    return YD_DONE;
}

static const struct yd_port_class pass_ports[] = {
    {.name = "in", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {.name = "out", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {0}};
const struct yd_element_class pass_class = {.abi = YD_ELEMENT_ABI,
                                            .flags = YD_CLASS_REPEATS,
                                            .name = "Pass",
                                            .ports = pass_ports,
                                            .state_size = sizeof(struct base),
                                            .open = open_base,
                                            .receive = pass_receive};

static enum yd_turn_result halves_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct base *b = state;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    uint32_t count = input->batch->header.count, half = count / 2;
    struct yd_batch *part;
    if (!input->again && half) {
        assert_int_equal(yd_batch_slice(input->batch, 0, half, &part), 0);
        (void)yd_emit(out, 1, part);
        if (b->made++ % 2) return YD_MORE; /* now in one turn, now in two */
    }
    assert_int_equal(yd_batch_slice(input->batch, half, count - half, &part), 0);
    (void)yd_emit(out, 1, part);
    return YD_DONE;
}

const struct yd_element_class halves_class = {.abi = YD_ELEMENT_ABI,
                                              .flags = YD_CLASS_REPEATS,
                                              .name = "Halves",
                                              .ports = pass_ports,
                                              .state_size = sizeof(struct base),
                                              .open = open_base,
                                              .receive = halves_receive};

/* ---- sink ---- */

static enum yd_turn_result sink_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct base *b = state;
    int64_t hold = yd_args_int(b->args, "hold");
    switch (input->type) {
    case YD_INPUT_START:
        b->seen->starts++;
        break;
    case YD_INPUT_BATCH:
        if (must_fail(b, input->batch)) return YD_FAIL;
        take(b, input->batch);
        if (hold) yd_timer_at(out, yd_hold(out), input->mono_ns + hold);
        if (yd_args_find(b->args, "reject")) {
            yd_count_rejected(out, 0, (uint64_t)yd_args_int(b->args, "reject"), YD_STR("bad bytes"));
            yd_count_dropped(out, 1, 1);
            yd_count_folded(out, 1);
        }
        break;
    case YD_INPUT_TIMER:
        b->seen->timers++;
        if (yd_args_find(b->args, "asides")) {
            (void)yd_reply(out, input->cookie, NULL, true);
            break;
        }
        yd_release(out, input->cookie, (int)yd_args_int(b->args, "error"), 3);
        break;
    case YD_INPUT_QUERY:
        if (yd_args_find(b->args, "silent")) return YD_DONE;
        if (yd_args_find(b->args, "deaf")) {
            (void)yd_keep_query(out);
            return YD_DONE;
        }
        if (yd_args_find(b->args, "asides") && (int64_t)b->count < yd_args_int(b->args, "asides")) {
            assert_true(input->again == (b->count > 0));
            b->count++;
            yd_timer_at(out, yd_keep_query(out), input->mono_ns + YD_NS_PER_MS);
            return YD_DONE;
        }
        if (yd_args_find(b->args, "until")) { /* has something to do until so many batches have come */
            bool late = b->seen->batches < (uint64_t)yd_args_int(b->args, "until");
            if (late && b->count++ < 1000000) return YD_MORE;
            b->seen->fails += late;
        }
        b->seen->answered++;
        if (yd_args_find(b->args, "batches")) { /* a long answer, in slices */
            b->count++;
            bool more = (int64_t)b->count < yd_args_int(b->args, "batches");
            (void)yd_reply(out, 0, world_batch((int64_t)b->count, (uint32_t)yd_args_int(b->args, "records")), more);
            if (!more) b->count = 0;
            return more ? YD_MORE : YD_DONE;
        }
        (void)yd_reply(out, 0, world_batch((int64_t)b->seen->count, 1), false);
        break;
    default:
        break;
    }
    return YD_DONE;
}

static const char *const sink_reasons[] = {"bad", "full", NULL};
static const struct yd_port_class sink_ports[] = {
    {.name = "in", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {.name = "query", .direction = YD_IN, .mode = YD_QUERY, .schema = "rows"},
    {0}};
const struct yd_element_class sink_class = {.abi = YD_ELEMENT_ABI,
                                            .name = "Sink",
                                            .ports = sink_ports,
                                            .reasons = sink_reasons,
                                            .state_size = sizeof(struct base),
                                            .open = open_base,
                                            .receive = sink_receive};

/* ---- asker ---- */

static enum yd_turn_result asker_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct base *b = state;
    int64_t every = yd_args_int(b->args, "every");
    switch (input->type) {
    case YD_INPUT_START:
        yd_timer_at(out, 7, input->mono_ns + every);
        break;
    case YD_INPUT_TIMER:
        b->seen->timers++;
        (void)yd_ask(out, 0, world_batch(1, 1), ++b->count, yd_args_int(b->args, "timeout"));
        if ((int64_t)b->count < yd_args_int(b->args, "questions"))
            yd_timer_at(out, 7, input->mono_ns + every);
        else
            yd_end(out);
        break;
    case YD_INPUT_REPLY:
        if (input->batch) b->seen->count += input->batch->header.count;
        if (!input->more) b->seen->replies++;
        break;
    case YD_INPUT_ERROR:
        b->seen->errors++;
        b->seen->last_error = input->error;
        break;
    case YD_INPUT_BATCH:
        (void)yd_emit(out, 1, yd_batch_ref(input->batch));
        break;
    default:
        break;
    }
    return YD_DONE;
}

static const struct yd_port_class asker_ports[] = {
    {.name = "ask", .direction = YD_OUT, .mode = YD_QUERY, .schema = "rows"},
    {.name = "out", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {.name = "in", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {0}};
const struct yd_element_class asker_class = {.abi = YD_ELEMENT_ABI,
                                             .flags = YD_CLASS_SOURCE,
                                             .name = "Asker",
                                             .ports = asker_ports,
                                             .state_size = sizeof(struct base),
                                             .open = open_base,
                                             .receive = asker_receive};

/* ---- counter ---- */

struct counter {
    struct base base;
    int64_t saved[2]; /* count, total */
};

static enum yd_turn_result counter_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct counter *c = state;
    if (input->type == YD_INPUT_START) c->base.seen->starts++;
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    if (must_fail(&c->base, input->batch)) return YD_FAIL;
    take(&c->base, input->batch);
    for (uint32_t i = 0; i < input->batch->header.count; i++) {
        c->saved[0]++;
        c->saved[1] += world_value(input->batch, i);
    }
    c->base.seen->answered = (uint64_t)c->saved[0];
    c->base.seen->total = c->saved[1];
    (void)yd_emit(out, 1, world_batch(c->saved[0], 1));
    return YD_DONE;
}

static int counter_save(const void *state, uint32_t group, struct yd_saver *saver)
{
    const struct counter *c = state;
    (void)group;
    yd_save_bytes(saver, c->saved, sizeof c->saved);
    return 0;
}

static int counter_load(void *state, uint32_t group, struct yd_str saved)
{
    struct counter *c = state;
    (void)group;
    if (saved.size != sizeof c->saved) return YD_ECORRUPT;
    memcpy(c->saved, saved.data, saved.size);
    return 0;
}

const struct yd_element_class counter_class = {.abi = YD_ELEMENT_ABI,
                                               .flags = YD_CLASS_STATEFUL | YD_CLASS_REPEATS,
                                               .name = "Counter",
                                               .ports = pass_ports,
                                               .state_size = sizeof(struct counter),
                                               .open = open_base,
                                               .receive = counter_receive,
                                               .save = counter_save,
                                               .load = counter_load};

/* ---- log ---- */

struct log_state {
    struct base base;
    struct yd_log *log;
    struct {
        uint64_t hold, next;
    } held[65536];
    uint32_t first, last;
};

static uint64_t log_random(void *arg)
{
    return yd_element_random(arg);
}

static int64_t log_wall(void *arg)
{
    return yd_element_wall(arg);
}

static int log_open(struct yd_element *element, void *state)
{
    struct log_state *l = state;
    (void)open_base(element, state);
    int64_t reopen_fails = yd_args_int(l->base.args, "reopen_fails");
    if (l->base.seen->opens > 1 && l->base.seen->opens <= 1 + (uint64_t)reopen_fails)
        return yd_element_fail(element, YD_EIO, "not now");
    char dir[256];
    snprintf(dir, sizeof dir, "%s/streams/%s/0", yd_element_data(element), yd_element_name(element));
    struct yd_log_options options = {.fs = yd_element_fs(element),
                                     .dir = dir,
                                     .stream = yd_element_name(element),
                                     .random = log_random,
                                     .wall = log_wall,
                                     .clock_arg = element};
    struct yd_log_recovery recovery;
    int error = yd_log_open(&options, &l->log, &recovery, NULL);
    return error < 0 ? yd_element_fail(element, error, "cannot open %s: %s", dir, yd_error_text(error)) : 0;
}

static void log_close(void *state)
{
    struct log_state *l = state;
    (void)yd_log_close(l->log);
}

static void *log_stream(void *state, unsigned partition)
{
    return partition ? NULL : ((struct log_state *)state)->log;
}

static enum yd_turn_result log_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct log_state *l = state;
    struct yd_log_appended appended;
    struct yd_log_position position;
    if (input->type == YD_INPUT_BATCH) {
        if (must_fail(&l->base, input->batch)) return YD_FAIL;
        int error = yd_log_append(l->log, input->batch, -1, UINT64_MAX, &appended);
        if (error < 0) {
            l->base.seen->last_error = error;
            yd_release(out, yd_hold(out), error, 0);
            return YD_DONE;
        }
        if (appended.duplicate) l->base.seen->acks_failed++;
        l->held[l->last % 65536].hold = yd_hold(out);
        l->held[l->last++ % 65536].next = appended.next;
    }
    yd_log_position(l->log, &position);
    while (l->first != l->last) {
        if (l->held[l->first % 65536].next > position.durable && !position.failed) break;
        yd_release(out, l->held[l->first % 65536].hold, l->held[l->first % 65536].next > position.durable ? YD_EIO : 0,
                   3);
        l->first++;
    }
    return YD_DONE;
}

static const struct yd_port_class log_ports[] = {
    {.name = "in", .direction = YD_IN, .mode = YD_PUSH, .kinds = YD_KINDS_ALL},
    {.name = "out", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KINDS_ALL, .flags = YD_PORT_CURSOR},
    {0}};
const struct yd_element_class log_class = {.abi = YD_ELEMENT_ABI,
                                           .name = "Log",
                                           .ports = log_ports,
                                           .state_size = sizeof(struct log_state),
                                           .open = log_open,
                                           .close = log_close,
                                           .receive = log_receive,
                                           .stream = log_stream};

/* ---- pumps ---- */

struct pumped {
    struct yd_pump *pump;
    struct yd_timer *timer;
    int64_t made;
    bool paused, enough;
    struct seen *seen;
};

static void pump_tick(void *arg)
{
    struct pumped *p = arg;
    const struct yd_args *args = yd_pump_args(p->pump);
    int64_t records = yd_args_int(args, "records");
    bool burst = yd_args_int(args, "burst") != 0; /* all at once, until it is told enough */
    while (!p->paused && !p->enough && p->made < yd_args_int(args, "batches")) {
        if (yd_pump_emit(p->pump, 0, world_batch(p->made * records, (uint32_t)records))) {
            p->seen->blocked++;
            p->enough = burst;
        }
        yd_pump_count_rejected(p->pump, 0, 2, YD_STR("junk"), YD_STR("peer"));
        if (++p->made == yd_args_int(args, "batches") && !yd_args_int(args, "endless")) yd_pump_end(p->pump);
        if (!burst) break;
    }
    yd_timer_start(p->timer, yd_pump_mono(p->pump) + yd_args_int(args, "every"));
}

static int pumped_start(struct yd_pump *pump, void *state, void *element_state)
{
    struct pumped *p = state;
    (void)element_state;
    p->pump = pump;
    p->seen = seen_of(yd_pump_element(pump));
    p->seen->starts++;
    if (yd_args_find(yd_pump_args(pump), "refuse")) return yd_pump_fail(pump, YD_EADDRINUSE, "port 1 is taken");
    yd_pump_listens(pump, "test lines", "nowhere");
    int error = yd_timer_create(yd_pump_loop(pump), pump_tick, p, &p->timer);
    if (error >= 0) yd_timer_start(p->timer, yd_pump_mono(pump));
    return error;
}

static void pumped_stop(void *state)
{
    struct pumped *p = state;
    yd_timer_close(p->timer);
    p->timer = NULL;
    yd_pump_stopped(p->pump);
}

static void pumped_pause(void *state, bool paused)
{
    struct pumped *p = state;
    if (p->paused == paused) p->seen->out_of_order = true;
    p->paused = paused;
    if (!paused) p->enough = false;
    if (!paused) p->seen->unblocked++;
}

static enum yd_turn_result ignore(void *state, struct yd_input *input, struct yd_out *out)
{
    (void)state;
    (void)input;
    (void)out;
    return YD_DONE;
}

static const struct yd_pump_class loop_pump = {
    .state_size = sizeof(struct pumped), .start = pumped_start, .stop = pumped_stop, .pause = pumped_pause};
static const char *const pumped_reasons[] = {"malformed", NULL};
const struct yd_element_class pumped_class = {.abi = YD_ELEMENT_ABI,
                                              .flags = YD_CLASS_SOURCE,
                                              .name = "Pumped",
                                              .ports = source_ports,
                                              .reasons = pumped_reasons,
                                              .state_size = sizeof(struct base),
                                              .open = open_base,
                                              .receive = ignore,
                                              .pump = &loop_pump};

static int file_start(struct yd_pump *pump, void *state, void *element_state)
{
    struct pumped *p = state;
    (void)element_state;
    p->pump = pump;
    p->seen = seen_of(yd_pump_element(pump));
    return 0;
}

static void file_stop(void *state)
{
    struct pumped *p = state;
    yd_pump_stopped(p->pump);
}

static void file_run(void *state)
{
    struct pumped *p = state;
    const struct yd_args *args = yd_pump_args(p->pump);
    int64_t records = yd_args_int(args, "records");
    if (p->made == yd_args_int(args, "batches")) {
        yd_pump_end(p->pump);
        return;
    }
    (void)yd_pump_emit(p->pump, 0, world_batch(p->made++ * records, (uint32_t)records));
    if (p->made % 100 == 0) yd_pump_sleep(p->pump, YD_NS_PER_MS);
}

static const struct yd_pump_class file_pump = {
    .state_size = sizeof(struct pumped), .files = true, .start = file_start, .stop = file_stop, .run = file_run};
const struct yd_element_class file_pumped_class = {.abi = YD_ELEMENT_ABI,
                                                   .flags = YD_CLASS_SOURCE,
                                                   .name = "FilePumped",
                                                   .ports = source_ports,
                                                   .reasons = pumped_reasons,
                                                   .state_size = sizeof(struct base),
                                                   .open = open_base,
                                                   .receive = ignore,
                                                   .pump = &file_pump};

/* ---- a pump on each executor ---- */

struct spread_seen spread_seen;

struct spread {
    struct yd_pump *pump;
    struct yd_timer *timer;
    int64_t made;
    bool paused;
};

static void spread_tick(void *arg)
{
    struct spread *p = arg;
    const struct yd_args *args = yd_pump_args(p->pump);
    int64_t records = yd_args_int(args, "records"), batches = yd_args_int(args, "batches");
    if (!p->paused && p->made < batches) {
        (void)yd_pump_emit(p->pump, 0, world_batch(p->made * records, (uint32_t)records));
        yd_pump_count_rejected(p->pump, 0, 1, YD_STR("junk"), YD_STR("10.0.0.1:5"));
        if (++p->made == batches) yd_pump_end(p->pump);
    }
    yd_timer_start(p->timer, yd_pump_mono(p->pump) + YD_NS_PER_MS / 10);
}

static int spread_start(struct yd_pump *pump, void *state, void *element_state)
{
    struct spread *p = state;
    (void)element_state;
    p->pump = pump;
    atomic_fetch_add(&spread_seen.starts, 1);
    const struct yd_arg *refuse = yd_args_find(yd_pump_args(pump), "refuse");
    if (refuse && refuse->i64 == yd_pump_index(pump)) return yd_pump_fail(pump, YD_EADDRINUSE, "its port is taken");
    int error = yd_timer_create(yd_pump_loop(pump), spread_tick, p, &p->timer);
    if (error >= 0) yd_timer_start(p->timer, yd_pump_mono(pump));
    return error;
}

static void spread_stop(void *state)
{
    struct spread *p = state;
    yd_timer_close(p->timer);
    p->timer = NULL;
    atomic_fetch_add(&spread_seen.stops, 1);
    yd_pump_stopped(p->pump);
}

static void spread_pause(void *state, bool paused)
{
    struct spread *p = state;
    if (p->paused == paused) atomic_fetch_add(&spread_seen.wrong, 1);
    p->paused = paused;
    atomic_fetch_add(&spread_seen.pauses, paused);
}

static unsigned spread_wanted(const struct yd_args *args)
{
    return (unsigned)yd_args_int(args, "spread");
}

struct spread_state {
    struct base base;
    const struct yd_args *args;
};

static int spread_open(struct yd_element *element, void *state)
{
    ((struct spread_state *)state)->args = yd_element_args(element);
    return open_base(element, state);
}

static enum yd_turn_result spread_receive(void *state, struct yd_input *input, struct yd_out *out)
{
    int64_t crash = yd_args_int(((struct spread_state *)state)->args, "crash");
    bool first = atomic_load(&spread_seen.stops) == 0;
    if (input->type == YD_INPUT_START && crash && first) yd_timer_at(out, 1, input->mono_ns + crash);
    return input->type == YD_INPUT_TIMER ? YD_FAIL : YD_DONE;
}

static const struct yd_pump_class spread_pump = {.state_size = sizeof(struct spread),
                                                 .start = spread_start,
                                                 .stop = spread_stop,
                                                 .pause = spread_pause,
                                                 .spread = spread_wanted};
const struct yd_element_class spread_class = {.abi = YD_ELEMENT_ABI,
                                              .flags = YD_CLASS_SOURCE,
                                              .name = "Spread",
                                              .ports = source_ports,
                                              .reasons = pumped_reasons,
                                              .state_size = sizeof(struct spread_state),
                                              .open = spread_open,
                                              .receive = spread_receive,
                                              .pump = &spread_pump};
