/* The status socket: see status.h. One short-lived connection after the other; each gets a snapshot of its own. */
#include "serve/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LISTENS_MAX 256

struct yd_status {
    struct yd_status_options options;
    struct yd_listener *listener;
    char *path, *data, *topology;
    int64_t started_ns, started_mono_ns;
    bool draining;
    size_t listen_count;
    struct {
        char element[64], what[64], address[128];
    } listens[LISTENS_MAX];
};

/* ---- the document ---- */

static void key_u64(struct yd_json *json, const char *key, uint64_t value)
{
    yd_json_key(json, key);
    yd_json_u64(json, value);
}

static void key_i64(struct yd_json *json, const char *key, int64_t value)
{
    yd_json_key(json, key);
    yd_json_i64(json, value);
}

static void key_text(struct yd_json *json, const char *key, const char *value)
{
    yd_json_key(json, key);
    yd_json_cstr(json, value);
}

/* With every bucket that is not empty, so that who asks twice can tell what was between. */
static void write_histogram(struct yd_json *json, const char *key, const struct yd_histogram *histogram)
{
    static const struct {
        const char *key;
        double share;
    } quantiles[] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}};
    if (histogram->total == 0) return;
    yd_json_key(json, key);
    yd_json_object(json);
    key_u64(json, "count", histogram->total);
    for (size_t i = 0; i < YD_COUNT(quantiles); i++)
        key_i64(json, quantiles[i].key, yd_histogram_quantile_ns(histogram, quantiles[i].share));
    key_i64(json, "max_ns", histogram->max_ns);
    key_i64(json, "sum_ns", (int64_t)YD_MIN(histogram->sum_ns, 9e18));
    yd_json_key(json, "buckets"); /* [what is shorter than this, how many] */
    yd_json_array(json);
    for (unsigned i = 0; i < YD_HISTOGRAM_BUCKETS; i++) {
        if (histogram->counts[i] == 0) continue;
        yd_json_array(json);
        yd_json_i64(json, yd_histogram_bound_ns(i));
        yd_json_u64(json, histogram->counts[i]);
        yd_json_array_end(json);
    }
    yd_json_array_end(json);
    yd_json_object_end(json);
}

static void write_input(struct yd_json *json, const struct yd_input_stat *input)
{
    yd_json_object(json);
    key_text(json, "name", input->name);
    key_u64(json, "received", input->received);
    key_u64(json, "consumed", input->consumed);
    key_u64(json, "rejected", input->rejected);
    key_u64(json, "dropped", input->dropped);
    key_u64(json, "queued", input->queued);
    key_u64(json, "folded", input->folded);
    key_u64(json, "skipped", input->skipped);
    key_u64(json, "batches", input->batches);
    key_u64(json, "bytes", input->bytes);
    write_histogram(json, "latency", &input->latency);
    write_histogram(json, "waited", &input->waited);
    yd_json_object_end(json);
}

static void write_output(struct yd_json *json, const struct yd_output_stat *output)
{
    yd_json_object(json);
    key_text(json, "name", output->name);
    key_u64(json, "records", output->records);
    key_u64(json, "batches", output->batches);
    key_u64(json, "bytes", output->bytes);
    key_u64(json, "unwired", output->unwired);
    yd_json_object_end(json);
}

static void write_rejects(struct yd_json *json, const struct yd_element_stat *stat)
{
    char time[40];
    yd_json_key(json, "reasons");
    yd_json_array(json);
    for (size_t i = 0; i < stat->reason_count; i++) {
        yd_json_object(json);
        key_text(json, "reason", stat->reasons[i].reason);
        key_u64(json, "rejected", stat->reasons[i].rejected);
        key_u64(json, "dropped", stat->reasons[i].dropped);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
    yd_json_key(json, "peers");
    yd_json_array(json);
    for (size_t i = 0; i < stat->peer_count; i++) {
        yd_json_object(json);
        yd_json_key(json, "peer");
        yd_json_str(json, stat->peers[i].peer);
        key_text(json, "reason", stat->peers[i].reason);
        key_u64(json, "rejected", stat->peers[i].rejected);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
    yd_json_key(json, "samples");
    yd_json_array(json);
    for (size_t i = 0; i < stat->sample_count; i++) {
        const struct yd_reject_sample *sample = &stat->samples[i];
        yd_json_object(json);
        yd_json_key(json, "time");
        yd_json_str(json, (struct yd_str){time, yd_text_put_time(time, sizeof time, sample->wall_ns)});
        key_text(json, "reason", sample->reason);
        yd_json_key(json, "peer");
        yd_json_str(json, sample->peer);
        yd_json_key(json, "text");
        yd_json_str(json, sample->text);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
}

/* "parts": {"of": "packet", "counts": [{"name": "flight", "count": 1200}, …]} */
static void write_parts(struct yd_json *json, const struct yd_element_stat *stat)
{
    if (!stat->part_count) return;
    yd_json_key(json, "parts");
    yd_json_object(json);
    key_text(json, "of", stat->part);
    yd_json_key(json, "counts");
    yd_json_array(json);
    for (size_t i = 0; i < stat->part_count; i++) {
        yd_json_object(json);
        key_text(json, "name", *stat->parts[i].name ? stat->parts[i].name : "others");
        key_u64(json, "count", stat->parts[i].count);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
    yd_json_object_end(json);
}

static void write_pumps(struct yd_json *json, const struct yd_element_stat *stat)
{
    if (!stat->pump_count) return;
    yd_json_key(json, "pumps");
    yd_json_array(json);
    for (size_t i = 0; i < stat->pump_count; i++) {
        yd_json_object(json);
        key_u64(json, "executor", stat->pumps[i].executor);
        key_u64(json, "records", stat->pumps[i].records);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
}

static void write_element(void *arg, const struct yd_element_stat *stat)
{
    static const char *const lives[] = {
        [YD_LIFE_UP] = "up", [YD_LIFE_CRASHED] = "crashed", [YD_LIFE_STOPPED] = "stopped", [YD_LIFE_ENDED] = "ended"};
    struct yd_json *json = arg;
    yd_json_object(json);
    key_text(json, "name", stat->name);
    key_text(json, "class", stat->class_name);
    key_text(json, "life", lives[stat->life]);
    yd_json_key(json, "blocked");
    yd_json_bool(json, stat->blocked);
    key_i64(json, "busy_ns", stat->busy_ns);
    key_i64(json, "waiting_input_ns", stat->waiting_input_ns);
    key_i64(json, "waiting_output_ns", stat->waiting_output_ns);
    key_i64(json, "taken_at_ns", stat->taken_at_ns);
    key_u64(json, "crashes", stat->crashes);
    key_u64(json, "parked", stat->parked);
    key_u64(json, "saves", stat->saves);
    key_u64(json, "queries_asked", stat->queries_asked);
    key_u64(json, "queries_answered", stat->queries_answered);
    key_u64(json, "queries_failed", stat->queries_failed);
    yd_json_key(json, "inputs");
    yd_json_array(json);
    for (size_t i = 0; i < stat->input_count; i++) write_input(json, &stat->inputs[i]);
    yd_json_array_end(json);
    yd_json_key(json, "outputs");
    yd_json_array(json);
    for (size_t i = 0; i < stat->output_count; i++) write_output(json, &stat->outputs[i]);
    yd_json_array_end(json);
    write_parts(json, stat);
    write_pumps(json, stat);
    write_rejects(json, stat);
    yd_json_object_end(json);
}

struct wires {
    struct yd_json *json;
    const struct yd_topology *topology;
};

static void write_end(struct wires *wires, const char *key, uint32_t node, unsigned port)
{
    char text[256];
    snprintf(text, sizeof text, "%s.%s", wires->topology->nodes[node].name,
             wires->topology->nodes[node].class->ports[port].name);
    key_text(wires->json, key, text);
}

static void write_wire(void *arg, const struct yd_wire_stat *stat)
{
    struct wires *wires = arg;
    struct yd_json *json = wires->json;
    const struct yd_wire *wire = &wires->topology->wires[stat->wire];
    yd_json_object(json);
    write_end(wires, "from", wire->from, wire->from_port);
    write_end(wires, "to", wire->to, wire->to_port);
    key_u64(json, "records", stat->records);
    key_u64(json, "batches", stat->batches);
    key_u64(json, "bytes", stat->bytes);
    key_u64(json, "dropped", stat->dropped);
    key_u64(json, "queued_records", stat->queued_records);
    key_u64(json, "queued_bytes", stat->queued_bytes);
    key_u64(json, "in_flight_records", stat->in_flight_records);
    key_u64(json, "spilled", stat->spilled);
    if (stat->is_cursor) {
        key_text(json, "cursor", wire->cursor);
        key_u64(json, "read", stat->read);
        key_u64(json, "acknowledged", stat->acknowledged);
        key_u64(json, "saved", stat->saved);
        key_u64(json, "end", stat->end);
        key_u64(json, "gaps", stat->gaps);
        key_u64(json, "gap_records", stat->gap_records);
        key_u64(json, "forgotten", stat->forgotten);
        key_u64(json, "rewinds", stat->rewinds);
    }
    yd_json_object_end(json);
}

void yd_status_write(struct yd_run *run, struct yd_json *json)
{
    struct wires wires = {json, yd_run_topology(run)};
    yd_json_key(json, "elements");
    yd_json_array(json);
    yd_run_stat(run, &(struct yd_run_stat_visit){.element = write_element, .arg = json});
    yd_json_array_end(json);
    yd_json_key(json, "wires");
    yd_json_array(json);
    yd_run_stat(run, &(struct yd_run_stat_visit){.wire = write_wire, .arg = &wires});
    yd_json_array_end(json);
}

static void write_executors(struct yd_json *json, struct yd_system *system)
{
    yd_json_key(json, "executors");
    yd_json_array(json);
    for (unsigned i = 0; i < yd_system_executors(system); i++) {
        struct yd_executor_stat stat;
        yd_executor_stat(system, i, &stat);
        yd_json_object(json);
        key_i64(json, "turns_ns", stat.busy_ns);
        key_i64(json, "sockets_ns", stat.polling_ns);
        key_i64(json, "asleep_ns", stat.parked_ns);
        key_u64(json, "turns", stat.turns);
        key_u64(json, "wakes", stat.wakes);
        key_u64(json, "steals", stat.steals);
        yd_json_object_end(json);
    }
    yd_json_array_end(json);
}

/* What nobody has waited for yet is not shown. */
static void write_wait(void *arg, const struct yd_wait *wait)
{
    static const char *const words[] = {[YD_WAIT_LOCK] = "lock",
                                        [YD_WAIT_QUEUE] = "queue",
                                        [YD_WAIT_WORK] = "work",
                                        [YD_WAIT_WRITE] = "write",
                                        [YD_WAIT_SYNC] = "sync"};
    struct yd_json *json = arg;
    if (wait->spent->total == 0 && wait->since_ns == 0) return;
    yd_json_object(json);
    key_text(json, "what", words[wait->what]);
    key_text(json, "of", wait->of);
    key_text(json, "part", wait->part);
    if (wait->element) key_text(json, "element", wait->element);
    key_i64(json, "since_ns", wait->since_ns);
    write_histogram(json, "spent", wait->spent);
    yd_json_object_end(json);
}

static void write_application_counts(struct yd_json *json, const struct yd_application_counts *counts)
{
    key_u64(json, "passed", counts->passed);
    key_u64(json, "paced", counts->paced);
    key_u64(json, "overrun", counts->overrun);
    key_u64(json, "unplaced", counts->unplaced);
    key_u64(json, "got", counts->got);
    key_u64(json, "lost", counts->lost);
}

static void write_application(void *arg, const struct yd_application_stat *stat)
{
    struct yd_json *json = arg;
    yd_json_object(json);
    key_text(json, "element", stat->element);
    key_text(json, "name", stat->name);
    key_u64(json, "id", stat->id);
    key_i64(json, "process", stat->process);
    key_u64(json, "user", stat->user);
    yd_json_key(json, "stopped");
    yd_json_bool(json, stat->is_stopped);
    key_u64(json, "priority", stat->priority);
    key_u64(json, "subscriptions", stat->subscriptions);
    key_u64(json, "names", stat->names);
    write_application_counts(json, &stat->counts);
    key_u64(json, "unread", stat->unread);
    yd_json_object_end(json);
}

static void write_ended(void *arg, const struct yd_ended_stat *stat)
{
    struct yd_json *json = arg;
    yd_json_object(json);
    key_text(json, "element", stat->element);
    key_u64(json, "count", stat->count);
    write_application_counts(json, &stat->counts);
    yd_json_object_end(json);
}

static void write_applications(struct yd_json *json, struct yd_run *run)
{
    yd_json_key(json, "applications");
    yd_json_array(json);
    yd_run_applications(run, &(struct yd_application_visit){.application = write_application, .arg = json});
    yd_json_array_end(json);
    yd_json_key(json, "applications_ended");
    yd_json_array(json);
    yd_run_applications(run, &(struct yd_application_visit){.ended = write_ended, .arg = json});
    yd_json_array_end(json);
}

static void write_document(struct yd_status *status, struct yd_buf *to)
{
    struct yd_json json;
    char time[40];
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    key_text(&json, "version", YARDER_VERSION);
    key_u64(&json, "pid", (uint64_t)getpid());
    key_text(&json, "data", status->data);
    key_text(&json, "topology", status->topology);
    key_text(&json, "state", status->draining ? "draining" : "running");
    yd_json_key(&json, "started");
    yd_json_str(&json, (struct yd_str){time, yd_text_put_time(time, sizeof time, status->started_ns)});
    yd_json_key(&json, "listens");
    yd_json_array(&json);
    for (size_t i = 0; i < status->listen_count; i++) {
        yd_json_object(&json);
        key_text(&json, "element", status->listens[i].element);
        key_text(&json, "what", status->listens[i].what);
        key_text(&json, "address", status->listens[i].address);
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    key_i64(&json, "uptime_ns", yd_clock_mono() - status->started_mono_ns);
    write_executors(&json, yd_run_system(status->options.run));
    yd_json_key(&json, "waits");
    yd_json_array(&json);
    yd_run_waits(status->options.run, &(struct yd_wait_visit){write_wait, &json});
    yd_json_array_end(&json);
    write_applications(&json, status->options.run);
    yd_status_write(status->options.run, &json);
    yd_json_object_end(&json);
    yd_buf_char(to, '\n');
}

/* ---- the socket ---- */

struct visitor {
    struct yd_stream *stream;
    char room[64]; /* what a visitor says is read and ignored */
};

static void room(void *arg, char **ret_to, size_t *ret_size)
{
    struct visitor *visitor = arg;
    *ret_to = visitor->room;
    *ret_size = sizeof visitor->room;
}

static void ignore(void *arg, size_t size)
{
    (void)arg;
    (void)size;
}

static void ended(void *arg, int error)
{
    struct visitor *visitor = arg;
    (void)error; /* either way the visitor has gone */
    yd_stream_close(visitor->stream);
    free(visitor);
}

static const struct yd_stream_ops visitor_ops = {.room = room, .data = ignore, .ended = ended};

static void accept_visitor(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    struct yd_status *status = arg;
    struct visitor *visitor = malloc(sizeof *visitor);
    uint32_t uid;
    struct yd_buf text;
    (void)peer;
    if (!visitor || !yd_stream_peer_user(stream, &uid) || (uid != 0 && uid != geteuid())) {
        free(visitor);
        yd_stream_close(stream);
        return;
    }
    visitor->stream = stream;
    yd_buf_init(&text, NULL);
    (void)yd_run_stat_wait(status->options.run, 250 * YD_NS_PER_MS); /* late: the last snapshots are shown */
    write_document(status, &text);
    yd_stream_limit(stream, text.size + 1);
    yd_stream_start(stream, &visitor_ops, visitor);
    if (text.failed || yd_stream_write(stream, yd_buf_view(&text)) < 0)
        ended(visitor, YD_ENOMEM);
    else
        yd_stream_shutdown(stream);
    yd_buf_fini(&text);
}

int yd_status_open(const struct yd_status_options *options, struct yd_status **ret_status, struct yd_trail *trail)
{
    static const struct yd_listener_ops ops = {.accept = accept_visitor};
    struct yd_status *status = calloc(1, sizeof *status);
    struct yd_address address;
    char text[sizeof "unix:" + 108];
    if (!status) return YD_ENOMEM;
    *status =
        (struct yd_status){.options = *options, .started_ns = yd_clock_wall(), .started_mono_ns = yd_clock_mono()};
    status->path = strdup(options->path);
    status->data = strdup(options->data);
    status->topology = strdup(options->topology);
    int error = YD_ENOMEM;
    if (status->path && status->data && status->topology) {
        if (strlen(options->path) > 107)
            error = yd_trail_add(trail, YD_ETOOBIG,
                                 "%s: a socket's path has at most 107 bytes; use a shorter data folder", options->path);
        else {
            snprintf(text, sizeof text, "unix:%s", options->path);
            error = yd_address_parse(yd_str_of(text), &address, trail);
        }
    }
    if (error == 0) error = yd_listen(options->loop, &address, &ops, status, &status->listener, trail);
    if (error < 0) {
        yd_status_close(status);
        return error;
    }
    *ret_status = status;
    return 0;
}

void yd_status_listens(struct yd_status *status, const char *element, const char *what, const char *address)
{
    if (status->listen_count == LISTENS_MAX) return;
    size_t at = status->listen_count++;
    snprintf(status->listens[at].element, sizeof status->listens[at].element, "%s", element);
    snprintf(status->listens[at].what, sizeof status->listens[at].what, "%s", what);
    snprintf(status->listens[at].address, sizeof status->listens[at].address, "%s", address);
}

void yd_status_draining(struct yd_status *status)
{
    status->draining = true;
}

void yd_status_close(struct yd_status *status)
{
    if (!status) return;
    if (status->listener) {
        yd_listener_close(status->listener);
        (void)unlink(status->path); /* gone already is as good */
    }
    free(status->path);
    free(status->data);
    free(status->topology);
    free(status);
}
