/* serve/http_answer.h: the answer to one HTTP/1.1 request, as it comes in pieces. Pure.
 *
 *   status line and headers (16 KiB at most) --> body: chunked, of the length said, or up to the connection's end
 *
 * For what we ask of others: the answer to a GET with `Connection: close`. Interim answers (1xx) are passed over. Sizes
 * are judged before memory is taken. What does not add up is an error, never a body cut short. Source: RFC 9112. */
#ifndef SERVE_HTTP_ANSWER_H
#define SERVE_HTTP_ANSWER_H

#include "base/alloc.h"

#define YD_HTTP_ANSWER_HEAD_MAX ((size_t)16 << 10)

struct yd_http_answer {
    unsigned phase;
    unsigned status;
    size_t body_max;
    bool chunked, has_length, gzip;
    uint64_t left;      /* of the chunk or the body */
    size_t lines;       /* bytes of the head, of a chunk's size line, of the trailers */
    struct yd_buf head; /* also a chunk's size line */
    struct yd_buf body; /* as it came: see gzip */
    char type[128];     /* Content-Type, cut; "": none */
    char location[512]; /* Location; "": none, or too long */
    const char *why;    /* of an error */
};
/* 0: goes on; 1: it is whole; YD_EFORMAT, YD_ETOOBIG, YD_ENOTSUP (an encoding), YD_ENOMEM: `why` tells. */
void yd_http_answer_begin(struct yd_http_answer *answer, size_t body_max, struct yd_alloc *alloc);
int yd_http_answer_take(struct yd_http_answer *answer, struct yd_str bytes);
int yd_http_answer_ended(struct yd_http_answer *answer); /* the peer has ended: 1, or YD_EFORMAT: it was cut short */
void yd_http_answer_fini(struct yd_http_answer *answer);

#endif
