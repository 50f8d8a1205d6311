/* client/client.c: a client from opening to closing, and how it is run.
 *
 *   yd_client_run, or a call that waits
 *        └▶ round ─▶ connection step ─▶ fill ─▶ send ─▶ receive ─▶ frames ─▶ callbacks
 *             └▶ nothing happened: poll until something can
 *
 * Waiting calls are the callback machine, run until what they wait for is told. Deadlines belong to what waits, not to
 * the connection: a connection that is made again takes none of them away. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/internal.h"

#define IN_FLIGHT_DEFAULT ((size_t)16 << 20)

int yd__trouble(struct yd_client *client, int error, const char *format, ...)
{
    char text[600];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (char *at = text; *at; at++) /* what a server says is shown to people, on terminals */
        if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
    client->troubles++;
    yd_trail_clear(&client->trouble);
    return yd_trail_add(&client->trouble, error, "%s", text);
}

const char *yd_client_trouble(struct yd_client *client)
{
    return client->trouble.size ? yd_trail_text(&client->trouble) : "";
}

static char *copy(struct yd_alloc *alloc, const char *text)
{
    size_t size = strlen(text) + 1;
    char *to = yd_alloc_get(alloc, size);
    if (to) memcpy(to, text, size);
    return to;
}

static void put_text(struct yd_alloc *alloc, char *text)
{
    if (text) yd_alloc_put(alloc, text, strlen(text) + 1);
}

/* "tls:host:port" and "host" are more than the socket seam knows. */
static int set_address(struct yd_client *client, const char *address, bool *ret_tls, struct yd_trail *trail)
{
    char full[4200];
    if (!address) address = "127.0.0.1";
    *ret_tls = strncmp(address, "tls:", 4) == 0;
    if (*ret_tls) address += 4;
    const char *colon = strrchr(address, ':'), *bracket = strrchr(address, ']');
    bool with_port = colon && (!bracket || colon > bracket);
    int size = with_port ? snprintf(full, sizeof full, "%s", address)
                         : snprintf(full, sizeof full, "%s:%d", address, YD_PROTOCOL_PORT);
    if (!*address || size >= (int)sizeof full) return yd_trail_add(trail, YD_EINVAL, "'%s' is no address", address);
    if (*ret_tls && strncmp(full, "unix:", 5) == 0)
        return yd_trail_add(trail, YD_EINVAL, "'%s': a Unix socket needs no TLS", address);
    client->address = copy(client->alloc, full);
    if (!client->address) return YD_ENOMEM;
    if (!*ret_tls) return 0;
    char *end = strrchr(full, ':'), *host = full;
    *end = 0;
    if (*host == '[' && end[-1] == ']') host++, end[-1] = 0;
    client->host = copy(client->alloc, host);
    return client->host ? 0 : YD_ENOMEM;
}

static int set_texts(struct yd_client *client, const struct yd_client_options *options, struct yd_trail *trail)
{
    const char *name = options->name ? options->name : program_invocation_short_name;
    if (strlen(name) > YD_PROTOCOL_TEXT_MAX || (options->token && strlen(options->token) > YD_PROTOCOL_TEXT_MAX))
        return yd_trail_add(trail, YD_ETOOBIG, "name and token have at most %d bytes", YD_PROTOCOL_TEXT_MAX);
    client->name = copy(client->alloc, name);
    client->token = copy(client->alloc, options->token ? options->token : "");
    return client->name && client->token ? 0 : YD_ENOMEM;
}

int yd__client_open(const struct yd_client_options *options, struct yd_net *net, struct yd_alloc *alloc,
                    struct yd_client **ret_client, struct yd_trail *trail)
{
    static const struct yd_client_options defaults;
    if (!options) options = &defaults;
    if (!alloc) alloc = yd_alloc_default();
    struct yd_client *client = yd_alloc_zero(alloc, sizeof *client);
    if (!client) return YD_ENOMEM;
    bool tls;
    client->net = net;
    client->alloc = alloc;
    client->fd = -1;
    client->timeout_ns = options->timeout_ns == 0 ? 30 * YD_NS_PER_S : options->timeout_ns;
    client->in_flight_max = options->in_flight_bytes ? options->in_flight_bytes : IN_FLIGHT_DEFAULT;
    client->once = options->once;
    client->create = options->create;
    client->producer_id = options->producer_id;
    client->producer_epoch = options->producer_epoch;
    while (client->producer_id == 0) client->producer_id = net->ops->random(net);
    client->request_first = client->request_end = 1;
    yd_buf_init(&client->in, alloc);
    yd_buf_init(&client->out, alloc);
    int error = set_address(client, options->address, &tls, trail);
    if (!error) error = set_texts(client, options, trail);
    if (!error && tls) error = yd__tls_create(options, &client->tls, trail);
    if (error) {
        yd_client_close(client);
        return error;
    }
    *ret_client = client;
    return 0;
}

int yd_client_open(const struct yd_client_options *options, struct yd_client **ret_client, struct yd_trail *trail)
{
    return yd__client_open(options, yd_net_linux(), NULL, ret_client, trail);
}

void yd__client_fail_all(struct yd_client *client, int error)
{
    for (struct yd_client_stream *stream = client->streams; stream; stream = stream->next) {
        if (stream->wanted) stream->refused = error, stream->wanted = false, stream->settled = true;
        yd__append_fail(stream, error);
    }
    for (struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next) yd__subscription_end(sub, error);
    yd__call_end(client, error);
}

void yd_client_close(struct yd_client *client)
{
    if (!client) return;
    client->running = true; /* callbacks may not run us any more */
    client->fatal = YD_ECANCELED;
    if (client->state == YD__READY) yd__connection_send(client); /* a credit, a cancel: as far as it goes */
    yd__connection_drop(client, YD_ECANCELED);
    yd__client_fail_all(client, YD_ECANCELED);
    for (struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next) sub->closed = true;
    yd__subscriptions_bury(client);
    while (client->streams) {
        struct yd_client_stream *stream = client->streams;
        client->streams = stream->next;
        yd__stream_destroy(stream);
    }
    yd_alloc_put(client->alloc, client->slots, client->slot_count * sizeof *client->slots);
    if (client->requests)
        yd_alloc_put(client->alloc, client->requests, (client->requests_mask + 1) * sizeof *client->requests);
    yd_buf_fini(&client->in);
    yd_buf_fini(&client->out);
    yd__tls_destroy(client->tls);
    put_text(client->alloc, client->address);
    put_text(client->alloc, client->host);
    put_text(client->alloc, client->name);
    put_text(client->alloc, client->token);
    yd_alloc_put(client->alloc, client, sizeof *client);
}

/* ---- running ---- */

bool yd__client_wanted(const struct yd_client *client)
{
    if (client->call) return true;
    for (const struct yd_client_stream *stream = client->streams; stream; stream = stream->next)
        if (stream->wanted || stream->first != stream->end) return true;
    for (const struct yd_subscription *sub = client->subscriptions; sub; sub = sub->next)
        if (sub->state != YD__SUB_ENDED && !sub->closed) return true;
    return false;
}

int64_t yd__client_by(struct yd_client *client)
{
    client->now = client->net->ops->mono(client->net);
    return client->timeout_ns < 0 ? INT64_MAX : client->now + client->timeout_ns;
}

static bool expire(struct yd_client *client)
{
    bool any = false;
    for (struct yd_client_stream *stream = client->streams; stream; stream = stream->next)
        any |= yd__append_expire(stream);
    return any;
}

static bool run_round(struct yd_client *client)
{
    client->running = true;
    client->now = client->net->ops->mono(client->net);
    bool moved = yd__connection_round(client);
    moved |= expire(client);
    client->running = false;
    yd__subscriptions_bury(client);
    return moved;
}

/* Waits until the connection can move, or something is due. */
static int wait_for_more(struct yd_client *client, int64_t deadline)
{
    short events;
    int64_t due = yd_client_deadline(client);
    deadline = YD_MIN(deadline, due);
    if (deadline != INT64_MAX && deadline <= client->now) return 0;
    int64_t wait = deadline == INT64_MAX ? -1 : deadline - client->now;
    if (wait < 0 && client->fd < 0) return YD_EAGAIN; /* nothing can ever happen */
    return client->net->ops->poll(client->net, client->fd, yd__connection_events(client), wait, &events);
}

int yd__client_wait(struct yd_client *client, const bool *done, int64_t deadline, const char *what)
{
    if (client->running) return YD_EBUSY;
    while (!*done) {
        bool moved = run_round(client);
        if (*done) break;
        if (client->fatal) return client->fatal;
        if (client->now >= deadline) {
            char before[400];
            snprintf(before, sizeof before, "%s", yd_client_trouble(client));
            return yd__trouble(client, YD_ETIMEOUT, "%s%s%s%s", what, *before ? " (" : "", before, *before ? ")" : "");
        }
        if (moved) continue;
        int error = wait_for_more(client, deadline);
        if (error) return error;
    }
    return 0;
}

int yd_client_run(struct yd_client *client, int64_t timeout_ns)
{
    if (client->running) return YD_EBUSY;
    client->callbacks = 0;
    client->now = client->net->ops->mono(client->net);
    int64_t deadline = timeout_ns < 0 ? INT64_MAX : client->now + timeout_ns;
    for (unsigned rounds = 0;; rounds++) {
        bool moved = run_round(client);
        if (client->callbacks && (!moved || rounds >= 16)) break;
        if (client->fatal) return client->fatal;
        if (moved && (timeout_ns || rounds < 64)) continue;
        if (client->callbacks || client->now >= deadline) break;
        int error = wait_for_more(client, deadline);
        if (error == YD_EAGAIN) break;
        if (error) return error;
    }
    return (int)YD_MIN(client->callbacks, (unsigned)INT32_MAX);
}

int yd_client_fd(struct yd_client *client)
{
    return client->fd;
}

short yd_client_events(struct yd_client *client)
{
    return client->fd < 0 ? 0 : yd__connection_events(client);
}

int64_t yd_client_deadline(struct yd_client *client)
{
    int64_t due = yd__connection_deadline(client);
    for (const struct yd_client_stream *stream = client->streams; stream; stream = stream->next) {
        if (stream->first != stream->end) due = YD_MIN(due, stream->ring[stream->first & stream->mask].deadline);
        if (stream->retry_at > client->now && (stream->wanted || stream->first != stream->end))
            due = YD_MIN(due, stream->retry_at);
    }
    return due;
}

int yd_client_flush(struct yd_client *client)
{
    if (client->running) return YD_EBUSY;
    for (;;) {
        bool any = false;
        for (const struct yd_client_stream *stream = client->streams; stream; stream = stream->next)
            any |= stream->first != stream->end;
        if (!any || client->fatal) break;
        if (run_round(client)) continue;
        int error = wait_for_more(client, INT64_MAX); /* each append has a deadline of its own */
        if (error) return error;
    }
    int worst = client->worst ? client->worst : client->fatal;
    client->worst = 0;
    return worst;
}
