/* HTTP requests that bring records: see http_intake.h.
 *
 * Ids are generation << 16 | slot, so what comes for a request that was answered long ago finds nobody. What can fail:
 * no slot free (503), no memory (the batch is lost, said to the peer as an error and counted by whoever parsed it). */
#include "elements/http_intake.h"

#include <stdlib.h>

#include <yarder/log.h>

#define SLOTS 16384

struct slot {
    struct yd_intake_request request; /* id 0: free */
    bool waiting, writing;
};

struct yd_intake {
    struct yd_intake_options options;
    struct yd_loop *loop;
    struct yd_http *http;
    struct yd_listener *listener;
    struct yd_timer *timer;    /* of deadlines */
    struct slot *slots[SLOTS]; /* made when first needed */
    uint32_t slot_count, free_slots[SLOTS], free_count;
    uint64_t generation;
    struct yd_intake_request *waiting, **waiting_last; /* writes that wait for room */
    bool paused;
};

static struct slot *slot_of(struct yd_intake_request *request)
{
    return (struct slot *)request;
}

static size_t slot_size(const struct yd_intake *intake)
{
    return sizeof(struct slot) + intake->options.user_size;
}

/* ---- slots ---- */

static struct yd_intake_request *take_slot(struct yd_intake *intake, struct yd_http_request *http)
{
    uint32_t index;
    if (intake->free_count) {
        index = intake->free_slots[--intake->free_count];
    } else {
        if (intake->slot_count == SLOTS) return NULL;
        struct slot *slot = yd_alloc_zero(NULL, slot_size(intake));
        if (!slot) return NULL;
        index = intake->slot_count++;
        intake->slots[index] = slot;
    }
    struct slot *slot = intake->slots[index];
    memset(slot, 0, slot_size(intake));
    slot->request = (struct yd_intake_request){
        .intake = intake, .http = http, .id = ++intake->generation << 16 | index, .user = slot + 1};
    return &slot->request;
}

struct yd_intake_request *yd_intake_find(struct yd_intake *intake, uint64_t id)
{
    uint32_t index = (uint32_t)id & (SLOTS - 1);
    struct slot *slot = index < intake->slot_count ? intake->slots[index] : NULL;
    return slot && id && slot->request.id == id ? &slot->request : NULL;
}

void yd_intake_answered(struct yd_intake_request *request)
{
    struct yd_intake *intake = request->intake;
    if (intake->options.forget) intake->options.forget(request->user);
    intake->free_slots[intake->free_count++] = (uint32_t)request->id & (SLOTS - 1);
    request->id = 0;
}

void yd_intake_answer(struct yd_intake_request *request, unsigned status, const char *type, struct yd_str body)
{
    yd_http_answer(request->http, status, type, body);
    yd_intake_answered(request);
}

/* ---- writes ---- */

static void set_timer(struct yd_intake *intake)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < intake->slot_count; i++) {
        const struct yd_intake_request *request = &intake->slots[i]->request;
        if (request->id && request->deadline_ns && request->outstanding) first = YD_MIN(first, request->deadline_ns);
    }
    if (first == INT64_MAX)
        yd_timer_stop(intake->timer);
    else
        yd_timer_start(intake->timer, first);
}

static void on_timer(void *arg)
{
    struct yd_intake *intake = arg;
    int64_t now = yd_loop_mono(intake->loop);
    for (uint32_t i = 0; i < intake->slot_count; i++) {
        struct yd_intake_request *request = &intake->slots[i]->request;
        if (!request->id || !request->deadline_ns || !request->outstanding || request->deadline_ns > now) continue;
        request->deadline_ns = 0;
        intake->options.written(intake->options.arg, request, request->error, true);
    }
    set_timer(intake);
}

void yd_intake_batch(struct yd_intake_request *request, struct yd_batch *batch, uint64_t records)
{
    struct yd_intake *intake = request->intake;
    request->records += records;
    if (!request->sync) {
        intake->paused |= yd_pump_emit(intake->options.pump, intake->options.output, batch);
        return;
    }
    uint64_t *id = yd_alloc_get(NULL, sizeof *id);
    if (!id) {
        yd_batch_unref(batch);
        request->error = YD_ENOMEM;
        return;
    }
    *id = request->id;
    request->outstanding++;
    int r = yd_pump_tell(intake->options.pump, YD_INTAKE_TELL, batch, id, free);
    if (r < 0) {
        request->outstanding--;
        request->error = r;
    }
}

static void write_now(struct yd_intake_request *request)
{
    struct yd_intake *intake = request->intake;
    slot_of(request)->writing = true;
    uint64_t id = request->id;
    intake->options.write(intake->options.arg, request);
    if (request->id != id) return; /* answered in the middle: nothing was written */
    slot_of(request)->writing = false;
    if (request->outstanding == 0)
        intake->options.written(intake->options.arg, request, request->error, false);
    else if (request->deadline_ns)
        set_timer(intake);
}

static void write_waiting(struct yd_intake *intake)
{
    while (intake->waiting && !intake->paused) {
        struct yd_intake_request *request = intake->waiting;
        intake->waiting = request->next_waiting;
        if (!intake->waiting) intake->waiting_last = &intake->waiting;
        slot_of(request)->waiting = false;
        write_now(request);
    }
}

void yd_intake_write(struct yd_intake_request *request)
{
    struct yd_intake *intake = request->intake;
    slot_of(request)->waiting = true;
    *intake->waiting_last = request;
    intake->waiting_last = &request->next_waiting;
    write_waiting(intake);
}

static void stored(struct yd_intake *intake, uint64_t id, int error)
{
    struct yd_intake_request *request = yd_intake_find(intake, id);
    if (!request || !request->outstanding) return;
    if (error && !request->error) request->error = error;
    if (--request->outstanding == 0 && !slot_of(request)->writing)
        intake->options.written(intake->options.arg, request, request->error, false);
}

/* ---- between the halves ---- */

static void tell_stored(struct yd_out *out, uint64_t id, int error)
{
    int *reply = yd_alloc_get(NULL, sizeof *reply);
    if (!reply) return; /* the peer waits until it gives up: there is no memory to tell it so */
    *reply = error;
    (void)yd_out_command(out, YD_INTAKE_COMMAND, id, NULL, reply, free); /* a pump that is gone has no peers */
}

bool yd_intake_receive(struct yd_input *input, struct yd_out *out, unsigned output)
{
    if (input->type == YD_INPUT_PUMP && input->cookie == YD_INTAKE_TELL && input->batch) {
        uint64_t id = *(const uint64_t *)input->data;
        int r = yd_emit_asking(out, output, yd_batch_ref(input->batch), YD_ACK_DURABLE, id);
        if (r < 0) tell_stored(out, id, r);
        return true;
    }
    if (input->type == YD_INPUT_ACK && input->cookie >> 16) {
        /* What was written but would not outlive the machine is no success. */
        tell_stored(out, input->cookie, input->error ? input->error : input->level < YD_ACK_DURABLE ? YD_ENOTSUP : 0);
        return true;
    }
    return false;
}

bool yd_intake_command(struct yd_intake *intake, struct yd_command *command)
{
    if (command->type != YD_INTAKE_COMMAND) return false;
    if (intake && command->data) stored(intake, command->arg, *(const int *)command->data);
    return true;
}

/* ---- life ---- */

static void on_request(void *arg, struct yd_http_request *http)
{
    struct yd_intake *intake = arg;
    struct yd_intake_request *request = take_slot(intake, http);
    if (!request)
        yd_http_answer(http, 503, NULL, YD_STR(""));
    else
        intake->options.request(intake->options.arg, request);
}

static void on_accept(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    yd_intake_take(arg, stream, peer);
}

void yd_intake_take(struct yd_intake *intake, struct yd_stream *stream, const struct yd_address *peer)
{
    (void)yd_http_take(intake->http, stream, peer); /* too many: it is closed */
}

void yd_intake_pause(struct yd_intake *intake, bool paused)
{
    intake->paused = paused;
    if (!paused) write_waiting(intake);
}
bool yd_intake_paused(const struct yd_intake *intake)
{
    return intake->paused;
}

static int start_listening(struct yd_intake *intake, struct yd_trail *trail)
{
    static const struct yd_listener_ops ops = {.accept = on_accept};
    struct yd_address at;
    char text[128];
    int r = yd_address_parse(intake->options.listen, &at, trail);
    if (r == 0) r = yd_listen(intake->loop, &at, &ops, intake, &intake->listener, trail);
    if (r < 0) return r;
    yd_listener_address(intake->listener, &at);
    (void)yd_address_put(&at, text, sizeof text);
    yd_pump_listens(intake->options.pump, intake->options.what, text);
    return 0;
}

int yd_intake_create(const struct yd_intake_options *options, struct yd_intake **ret_intake)
{
    struct yd_trail trail = {0};
    struct yd_intake *intake = yd_alloc_zero(NULL, sizeof *intake);
    if (!intake) return yd_pump_fail(options->pump, YD_ENOMEM, "out of memory");
    intake->options = *options;
    intake->loop = yd_pump_loop(options->pump);
    intake->waiting_last = &intake->waiting;
    struct yd_http_options http = {.loop = intake->loop,
                                   .body_max = options->body_max,
                                   .bodies_max = YD_MAX((size_t)256 << 20, 2 * options->body_max),
                                   .connections_max = options->connections_max,
                                   .cors = options->cors,
                                   .raw_encoding = options->raw_encoding,
                                   .request = on_request,
                                   .arg = intake};
    int r = yd_timer_create(intake->loop, on_timer, intake, &intake->timer);
    if (r == 0) r = yd_http_create(&http, &intake->http);
    if (r == 0 && options->listen.size) r = start_listening(intake, &trail);
    if (r == 0) {
        *ret_intake = intake;
        return 0;
    }
    yd_intake_destroy(intake);
    if (r == YD_ENOTSUP) return r;
    return yd_pump_fail(options->pump, r, "cannot start the HTTP server: %s",
                        *yd_trail_text(&trail) ? yd_trail_text(&trail) : yd_error_text(r));
}

void yd_intake_destroy(struct yd_intake *intake)
{
    if (!intake) return;
    if (intake->listener) yd_listener_close(intake->listener);
    if (intake->http) yd_http_destroy(intake->http); /* what is open is answered 503 */
    yd_timer_close(intake->timer);
    for (uint32_t i = 0; i < intake->slot_count; i++) {
        if (intake->slots[i]->request.id && intake->options.forget)
            intake->options.forget(intake->slots[i]->request.user);
        yd_alloc_put(NULL, intake->slots[i], slot_size(intake));
    }
    yd_alloc_put(NULL, intake, sizeof *intake);
}
