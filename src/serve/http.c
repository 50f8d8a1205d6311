/* The HTTP server: see http.h.
 *
 *   MHD's epoll readable, or its timeout --> run: MHD_run
 *      access(): first call: limits; then pieces of the body; last call: the whole request goes to the taker
 *      no answer yet: the connection is suspended, and resumed by the answer
 *      in pieces: reader() gives what there is; nothing there: suspended again (a reader that returns 0 unsuspended
 * spins)
 *
 * A request has two owners, libmicrohttpd until `completed` and the taker until he has answered; the later one frees
 * it. What can fail: memory (500, or the connection is closed), limits (413, 503), encodings (400, 415). */
#include "serve/http.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "serve/inflate.h"

#define CONNECTION_MEMORY ((size_t)32 << 10) /* request line and headers must fit: else 431 */
#define PIECE             ((size_t)32 << 10)

struct yd_http {
    struct yd_http_options options;
    struct MHD_Daemon *daemon;
    struct yd_watch *watch;
    struct yd_timer *timer;
    struct yd_http_request *requests; /* the taker's */
    unsigned request_count;
    size_t bodies; /* bytes held */
    bool running, stopping;
};

struct yd_http_request {
    struct yd_http *http;
    struct MHD_Connection *connection; /* NULL: gone */
    struct yd_http_request *next, *prev;
    char *method, *path; /* one piece of memory */
    char peer[96];
    struct yd_buf body;
    size_t swallowed; /* of a body that is too large */
    unsigned refusal; /* a status that was decided before the taker saw it */
    const char *why;
    void *user;
    struct MHD_Response *response;
    unsigned status;
    bool taken, answered, suspended, streaming, ended, broken;
    struct {
        const char *name;
        char value[128];
    } headers[4];
    unsigned header_count;
    struct yd_buf out; /* pieces */
    size_t out_from;
    void (*drained)(void *arg, struct yd_http_request *request);
    void *drained_arg;
};

/* ---- running ---- */

static void run(struct yd_http *http)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (http->running) return;
    http->running = true;
    (void)MHD_run(http->daemon);
    http->running = false;
    if (http->stopping) return;
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        yd_timer_start(http->timer, yd_loop_mono(http->options.loop) + (int64_t)YD_MIN(ms, 60000) * YD_NS_PER_MS);
    else
        yd_timer_stop(http->timer);
}

static void on_ready(void *arg)
{
    run(arg);
}

static void suspend(struct yd_http_request *request)
{
    if (request->suspended) return;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

static void wake(struct yd_http_request *request)
{
    if (!request->connection) return;
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->connection);
    }
    run(request->http);
}

/* ---- a request's life ---- */

static void free_request(struct yd_http_request *request)
{
    struct yd_http *http = request->http;
    http->bodies -= request->body.capacity;
    yd_buf_fini(&request->body);
    yd_buf_fini(&request->out);
    if (request->response) MHD_destroy_response(request->response);
    yd_alloc_put(NULL, request->method, strlen(request->method) + strlen(request->path) + 2);
    yd_alloc_put(NULL, request, sizeof *request);
}

static void take(struct yd_http_request *request)
{
    struct yd_http *http = request->http;
    request->taken = true;
    request->next = http->requests;
    if (request->next) request->next->prev = request;
    http->requests = request;
    http->request_count++;
}

/* The taker is done with it. */
static void give_back(struct yd_http_request *request)
{
    struct yd_http *http = request->http;
    if (request->next) request->next->prev = request->prev;
    if (request->prev)
        request->prev->next = request->next;
    else
        http->requests = request->next;
    http->request_count--;
    request->taken = false;
    if (!request->connection) free_request(request);
}

static void put_peer(struct MHD_Connection *connection, char *to, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    to[0] = 0;
    if (!info || !info->client_addr) return;
    struct yd_address address = {0};
    address.size = info->client_addr->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                   : info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                              : sizeof(sa_family_t);
    memcpy(&address.storage, info->client_addr, address.size);
    (void)yd_address_put(&address, to, size);
}

static struct yd_http_request *new_request(struct yd_http *http, struct MHD_Connection *connection, const char *method,
                                           const char *path)
{
    size_t method_size = strlen(method) + 1, path_size = strlen(path) + 1;
    struct yd_http_request *request = yd_alloc_zero(NULL, sizeof *request);
    char *text = request ? yd_alloc_get(NULL, method_size + path_size) : NULL;
    if (!text) {
        yd_alloc_put(NULL, request, sizeof *request);
        return NULL;
    }
    request->http = http;
    request->connection = connection;
    request->method = memcpy(text, method, method_size);
    request->path = memcpy(text + method_size, path, path_size);
    yd_buf_init(&request->body, NULL);
    yd_buf_init(&request->out, NULL);
    put_peer(connection, request->peer, sizeof request->peer);
    return request;
}

static void completed(void *arg, struct MHD_Connection *connection, void **memory, enum MHD_RequestTerminationCode code)
{
    (void)arg, (void)connection, (void)code;
    struct yd_http_request *request = *memory;
    *memory = NULL;
    if (!request) return;
    request->connection = NULL;
    request->suspended = false;
    if (!request->taken) free_request(request);
}

/* ---- answers ---- */

static void add_headers(struct yd_http_request *request, const char *type)
{
    const char *cors = request->http->options.cors;
    if (type) (void)MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (cors && *cors) {
        (void)MHD_add_response_header(request->response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, cors);
        (void)MHD_add_response_header(request->response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
        (void)MHD_add_response_header(request->response, "Access-Control-Allow-Headers", "Content-Type");
    }
    for (unsigned i = 0; i < request->header_count; i++)
        (void)MHD_add_response_header(request->response, request->headers[i].name, request->headers[i].value);
}

static void prepare(struct yd_http_request *request, unsigned status, const char *type, struct yd_str body)
{
    request->status = status;
    request->response = MHD_create_response_from_buffer(body.size, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    if (request->response) add_headers(request, type);
    request->answered = true;
}

static void prepare_refusal(struct yd_http_request *request)
{
    char text[256];
    int size =
        snprintf(text, sizeof text, "{\"error\":{\"code\":%u,\"message\":\"%s\"}}", request->refusal, request->why);
    prepare(request, request->refusal, "application/json; charset=UTF-8", (struct yd_str){text, (size_t)size});
}

void yd_http_add_header(struct yd_http_request *request, const char *name, const char *value)
{
    if (request->header_count == YD_COUNT(request->headers)) return;
    request->headers[request->header_count].name = name;
    (void)snprintf(request->headers[request->header_count].value, sizeof request->headers[0].value, "%s", value);
    request->header_count++;
}

void yd_http_answer(struct yd_http_request *request, unsigned status, const char *type, struct yd_str body)
{
    YD_ASSERT(!request->answered);
    if (request->connection) prepare(request, status, type, body);
    request->answered = true;
    wake(request); /* from the taker's `request` callback: queued when that returns */
    give_back(request);
}

static ssize_t reader(void *arg, uint64_t position, char *to, size_t size)
{
    struct yd_http_request *request = arg;
    (void)position;
    if (request->out_from == request->out.size) {
        yd_buf_clear(&request->out);
        request->out_from = 0;
        if (!request->ended && request->drained) request->drained(request->drained_arg, request);
    }
    size_t there = request->out.size - request->out_from;
    if (there == 0 && request->broken) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (there == 0 && request->ended) return MHD_CONTENT_READER_END_OF_STREAM;
    if (there == 0) {
        suspend(request);
        return 0;
    }
    if (size > there) size = there;
    memcpy(to, request->out.data + request->out_from, size);
    request->out_from += size;
    return (ssize_t)size;
}

void yd_http_begin(struct yd_http_request *request, unsigned status, const char *type)
{
    YD_ASSERT(!request->answered);
    request->streaming = request->answered = true;
    if (!request->connection) return;
    request->status = status;
    request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, reader, request, NULL);
    if (request->response) add_headers(request, type);
    wake(request);
}

int64_t yd_http_piece(struct yd_http_request *request, struct yd_buf *piece)
{
    YD_ASSERT(request->streaming && !request->ended);
    if (!request->connection) {
        yd_buf_clear(piece);
        return YD_ECLOSED;
    }
    if (request->out_from == request->out.size) {
        struct yd_buf empty = request->out;
        request->out = *piece;
        *piece = empty;
        request->out_from = 0;
    } else {
        yd_buf_add(&request->out, piece->data, piece->size);
        request->broken |= request->out.failed; /* no memory: the peer must see that something is missing */
    }
    yd_buf_clear(piece);
    wake(request);
    return request->connection ? (int64_t)(request->out.size - request->out_from) : YD_ECLOSED;
}

void yd_http_end(struct yd_http_request *request, bool broken)
{
    request->ended = true;
    request->broken |= broken;
    request->drained = NULL;
    wake(request);
    give_back(request);
}

void yd_http_on_drained(struct yd_http_request *request, void (*drained)(void *arg, struct yd_http_request *request),
                        void *arg)
{
    request->drained = drained;
    request->drained_arg = arg;
}

/* ---- from libmicrohttpd ---- */

static void refuse(struct yd_http_request *request, unsigned status, const char *why)
{
    if (request->refusal) return;
    request->refusal = status;
    request->why = why;
}

/* Decides before the body comes. True: it is not even worth reading to the end so that the peer gets to see the answer
 * (a connection closed with bytes unread is reset, and what was said before is lost to many peers). */
static bool check_length(struct yd_http_request *request)
{
    const struct yd_http_options *options = &request->http->options;
    const char *text =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t length = 0;
    if (text && yd_text_u64(yd_str_of(text), &length) < 0) length = UINT64_MAX;
    if (length > options->body_max) refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "The request is too large");
    if (request->http->bodies > options->bodies_max)
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many requests at once, try again");
    return length > 2 * options->body_max + PIECE;
}

static bool add_body(struct yd_http_request *request, const char *data, size_t size)
{
    struct yd_http *http = request->http;
    if (request->body.size + size > http->options.body_max)
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "The request is too large");
    if (http->bodies + size > http->options.bodies_max)
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many requests at once, try again");
    if (request->refusal) {
        request->swallowed += size; /* so that the peer gets to read why; but not for ever: as far as check_length */
        return request->body.size + request->swallowed <= 2 * http->options.body_max + PIECE;
    }
    size_t before = request->body.capacity;
    yd_buf_add(&request->body, data, size);
    http->bodies += request->body.capacity - before;
    if (request->body.failed) refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory");
    return true;
}

static void inflate_body(struct yd_http_request *request)
{
    struct yd_http *http = request->http;
    struct yd_str encoding = yd_http_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (!encoding.size || !strcasecmp(encoding.data, "identity")) return;
    if (http->options.raw_encoding && !strcasecmp(encoding.data, http->options.raw_encoding)) return;
    if (strcasecmp(encoding.data, "gzip") && strcasecmp(encoding.data, "x-gzip") &&
        strcasecmp(encoding.data, "deflate")) {
        refuse(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "This content encoding is not known: gzip and deflate are");
        return;
    }
    struct yd_buf plain;
    yd_buf_init(&plain, NULL);
    int r = yd_inflate(yd_buf_view(&request->body), http->options.body_max, &plain);
    if (r == YD_ETOOBIG) refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "The request is too large once inflated");
    if (r == YD_EFORMAT) refuse(request, MHD_HTTP_BAD_REQUEST, "The compressed body is damaged");
    if (r == YD_ENOMEM) refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory");
    if (r < 0) {
        yd_buf_fini(&plain);
        return;
    }
    http->bodies += plain.capacity;
    http->bodies -= request->body.capacity;
    yd_buf_fini(&request->body);
    request->body = plain;
}

static bool wants_cors(const struct yd_http_request *request)
{
    return request->http->options.cors && *request->http->options.cors && !strcmp(request->method, "OPTIONS");
}

static enum MHD_Result queue(struct yd_http_request *request)
{
    return request->response ? MHD_queue_response(request->connection, request->status, request->response) : MHD_NO;
}

static enum MHD_Result access_(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                               const char *version, const char *data, size_t *size, void **memory)
{
    struct yd_http *http = arg;
    struct yd_http_request *request = *memory;
    (void)version;
    if (!request) {
        request = *memory = new_request(http, connection, method, url);
        if (!request) return MHD_NO;
        if (!check_length(request)) return MHD_YES;
        prepare_refusal(request);
        return queue(request);
    }
    if (*size) {
        bool go_on = add_body(request, data, *size);
        *size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (request->answered) return queue(request); /* resumed */
    if (!request->refusal) inflate_body(request);
    if (request->refusal || http->stopping) {
        if (!request->refusal) refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Stopping");
        prepare_refusal(request);
        return queue(request);
    }
    if (wants_cors(request)) {
        prepare(request, MHD_HTTP_NO_CONTENT, NULL, (struct yd_str){"", 0});
        return queue(request);
    }
    take(request);
    http->options.request(http->options.arg, request);
    if (request->answered) return queue(request);
    suspend(request);
    return MHD_YES;
}

/* ---- what a request holds ---- */

struct yd_str yd_http_method(const struct yd_http_request *request)
{
    return yd_str_of(request->method);
}
struct yd_str yd_http_path(const struct yd_http_request *request)
{
    return yd_str_of(request->path);
}
struct yd_str yd_http_body(const struct yd_http_request *request)
{
    return yd_buf_view(&request->body);
}
struct yd_str yd_http_peer(const struct yd_http_request *request)
{
    return yd_str_of(request->peer);
}
void yd_http_set_user(struct yd_http_request *request, void *user)
{
    request->user = user;
}
void *yd_http_user(const struct yd_http_request *request)
{
    return request->user;
}

static struct yd_str lookup(const struct yd_http_request *request, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t size = 0;
    if (!request->connection ||
        MHD_lookup_connection_value_n(request->connection, kind, name, strlen(name), &value, &size) != MHD_YES)
        return (struct yd_str){NULL, 0};
    return value ? (struct yd_str){value, size} : YD_STR("");
}

struct yd_str yd_http_header(const struct yd_http_request *request, const char *name)
{
    return lookup(request, MHD_HEADER_KIND, name);
}

struct yd_str yd_http_argument(const struct yd_http_request *request, const char *name)
{
    return lookup(request, MHD_GET_ARGUMENT_KIND, name);
}

struct visit {
    bool (*visit)(void *arg, struct yd_str name, struct yd_str value);
    void *arg;
};

static enum MHD_Result visit_one(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size)
{
    struct visit *visit = arg;
    (void)kind;
    return visit->visit(visit->arg, (struct yd_str){name, name_size},
                        value ? (struct yd_str){value, value_size} : YD_STR(""))
               ? MHD_YES
               : MHD_NO;
}

void yd_http_arguments(const struct yd_http_request *request,
                       bool (*visit)(void *arg, struct yd_str name, struct yd_str value), void *arg)
{
    struct visit all = {visit, arg};
    if (request->connection)
        (void)MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, visit_one, &all);
}

/* ---- life of the server ---- */

static void no_log(void *arg, const char *format, va_list args)
{
    (void)arg, (void)format, (void)args;
}

int yd_http_create(const struct yd_http_options *options, struct yd_http **ret_http)
{
    struct yd_http *http = yd_alloc_zero(NULL, sizeof *http);
    if (!http) return YD_ENOMEM;
    http->options = *options;
    if (!http->options.body_max) http->options.body_max = 16 << 20;
    if (!http->options.bodies_max) http->options.bodies_max = 256 << 20;
    if (!http->options.connections_max) http->options.connections_max = 1024;
    if (!http->options.idle_ns) http->options.idle_ns = 75 * YD_NS_PER_S;
    int r = yd_timer_create(options->loop, on_ready, http, &http->timer);
    if (r < 0) goto fail;
    http->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, access_,
                         http, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, http,
                         MHD_OPTION_CONNECTION_LIMIT, http->options.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)((http->options.idle_ns + YD_NS_PER_S - 1) / YD_NS_PER_S), MHD_OPTION_END);
    r = YD_ENOMEM;
    if (!http->daemon) goto fail;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = info ? yd_watch_open(options->loop, info->epoll_fd, on_ready, http, &http->watch) : YD_ENOTSUP;
    if (r < 0) goto fail;
    *ret_http = http;
    return 0;
fail:
    if (http->daemon) MHD_stop_daemon(http->daemon);
    yd_timer_close(http->timer);
    yd_alloc_put(NULL, http, sizeof *http);
    return r;
}

void yd_http_destroy(struct yd_http *http)
{
    if (!http) return;
    http->stopping = true;
    while (http->requests) {
        struct yd_http_request *request = http->requests;
        if (request->streaming) {
            yd_http_end(request, true);
        } else {
            refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Stopping");
            if (request->connection) prepare_refusal(request);
            request->answered = true;
            wake(request);
            give_back(request);
        }
    }
    run(http); /* what was resumed is sent, as far as the kernel takes it now */
    MHD_stop_daemon(http->daemon);
    yd_watch_close(http->watch);
    yd_timer_close(http->timer);
    yd_alloc_put(NULL, http, sizeof *http);
}

int yd_http_take(struct yd_http *http, struct yd_stream *stream, const struct yd_address *peer)
{
    int fd, r = yd_stream_detach(stream, &fd);
    if (r < 0) {
        yd_stream_close(stream);
        return r;
    }
    /* It closes the descriptor if it fails. */
    if (MHD_add_connection(http->daemon, fd, (const struct sockaddr *)&peer->storage, peer->size) != MHD_YES)
        return YD_EFULL;
    run(http);
    return 0;
}

unsigned yd_http_requests(const struct yd_http *http)
{
    return http->request_count;
}
