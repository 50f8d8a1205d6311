/* serve/http.h: an HTTP/1.1 server on one of our loops, on libmicrohttpd.
 *
 *   our listener --first byte says HTTP--> yd_http_take(stream) --descriptor--> libmicrohttpd, its epoll watched by us
 *        <-- request(whole: method, path, arguments, headers, body)        answered now, or later, whole or in pieces
 *
 * A request is given out once its body is there, inflated and within limits; what breaks a limit is answered here.
 * Until its answer is complete a request is the taker's; it is never taken back: if the peer goes, answering does
 * nothing. Everything in the loop's thread. YD_ENOTSUP on a simulated loop. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include "io/loop.h"

struct yd_http;
struct yd_http_request;

struct yd_http_options {
    struct yd_loop *loop;
    size_t body_max;          /* of a request, inflated; 0: 16 MiB */
    size_t bodies_max;        /* of all requests together; over it: 503. 0: 256 MiB */
    unsigned connections_max; /* 0: 1024 */
    int64_t idle_ns;          /* of a connection between and inside requests; 0: 75 s */
    const char *cors;         /* Access-Control-Allow-Origin; NULL or "": no such header, OPTIONS is 405 */
    const char *raw_encoding; /* bodies of this Content-Encoding are given as they came; NULL: none */
    void (*request)(void *arg, struct yd_http_request *request);
    void *arg;
};
int yd_http_create(const struct yd_http_options *options, struct yd_http **ret_http);
/* What is not answered yet gets 503. Then every connection is closed. */
void yd_http_destroy(struct yd_http *http);
/* Takes a fresh stream of which nothing was read (yd_stream_peek is allowed), in every case. */
int yd_http_take(struct yd_http *http, struct yd_stream *stream, const struct yd_address *peer);
unsigned yd_http_requests(const struct yd_http *http); /* not answered yet */

/* ---- a request ---- */
struct yd_str yd_http_method(const struct yd_http_request *request);
struct yd_str yd_http_path(const struct yd_http_request *request); /* unescaped, without arguments */
struct yd_str yd_http_body(const struct yd_http_request *request);
struct yd_str yd_http_peer(const struct yd_http_request *request);
/* A header's value; data NULL when there is none. Case of the name does not matter. */
struct yd_str yd_http_header(const struct yd_http_request *request, const char *name);
/* A URL argument, unescaped: the first of that name; data NULL when there is none ("" for `?sync`). Or all of them, in
 * order, with visit returning false to stop. */
struct yd_str yd_http_argument(const struct yd_http_request *request, const char *name);
void yd_http_arguments(const struct yd_http_request *request,
                       bool (*visit)(void *arg, struct yd_str name, struct yd_str value), void *arg);
/* For the taker: what it likes to remember. */
void yd_http_set_user(struct yd_http_request *request, void *user);
void *yd_http_user(const struct yd_http_request *request);

/* ---- its answer ---- */
/* Whole. `body` is copied. type: "application/json; charset=UTF-8"; NULL: no body (204). */
void yd_http_answer(struct yd_http_request *request, unsigned status, const char *type, struct yd_str body);
/* Before the answer: another header of it. */
void yd_http_add_header(struct yd_http_request *request, const char *name, const char *value);
/* In pieces: begin, pieces, end. */
void yd_http_begin(struct yd_http_request *request, unsigned status, const char *type);
/* Takes the bytes of `piece` (which is empty afterwards). Returns the bytes not yet with the kernel: the taker slows
 * down by them; YD_ECLOSED when the peer is gone (go on to the end, or end at once). */
int64_t yd_http_piece(struct yd_http_request *request, struct yd_buf *piece);
/* broken: the connection is cut, so that the peer sees that something is missing. */
void yd_http_end(struct yd_http_request *request, bool broken);
/* Called whenever the kernel has taken all pieces. */
void yd_http_on_drained(struct yd_http_request *request, void (*drained)(void *arg, struct yd_http_request *request),
                        void *arg);

#endif
