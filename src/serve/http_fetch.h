/* serve/http_fetch.h: asks an HTTP server again and again, on our loop: a GET, its answer whole, within a time.
 *
 *   yd_fetch_begin --a name? looked up on a file thread--> yd_connect --GET--> http_answer.h --inflated--> done
 *                       \------------ too late, refused, not HTTP, too large: done with an error -----------/
 *
 * A connection for each request (`Connection: close`): a server that was restarted is met like any other. Redirections
 * are followed to other paths of the same server only, a few times: what we say of ourselves is for nobody else; all
 * others are the answer. https: the server's certificate must be good for its name (io/tls.h). Sockets, time and names
 * by the loop, so that http runs simulated as well. One loop thread. */
#ifndef SERVE_HTTP_FETCH_H
#define SERVE_HTTP_FETCH_H

#include "io/loop.h"
#include "io/pool.h"
#include "io/tls.h"

#define YD_FETCH_REDIRECTS 5
#define YD_FETCH_SECRET    ((size_t)8192)

/* "HOST:PORT", "HOST", "http://HOST[:PORT][/path]", "https://…", "unix:PATH". */
struct yd_fetch_url {
    char address[300]; /* for yd_address_find: with a port */
    char host[270];    /* the Host header, as it was written: an instance's name */
    char path[512];    /* with its query, as it is asked for */
    char name[270];    /* the host alone: whom the certificate must be for */
    bool named;        /* the host has to be looked up */
    bool secure;       /* https */
};
int yd_fetch_url_parse(struct yd_str text, struct yd_str path, struct yd_fetch_url *ret, struct yd_trail *trail);

struct yd_fetched {
    int error;       /* 0: an answer came, whatever its status */
    const char *why; /* of an error, for people */
    unsigned status;
    const char *type;   /* Content-Type, perhaps "" */
    struct yd_str body; /* inflated; until `done` returns */
    int64_t took_ns;
};
struct yd_fetch_options {
    struct yd_loop *loop;
    struct yd_pool *pool;           /* for names and secrets */
    const struct yd_fetch_url *url; /* kept by the caller */
    struct yd_tls *tls;             /* of https; kept by the caller */
    const char *headers;            /* more of them, each with its line's end; kept by the caller */
    /* Still more, asked for before each request, on a file thread: up to YD_FETCH_SECRET bytes with the NUL. NULL:
     * none. They are wiped when the fetch is gone. An error ends the request with what the trail says. */
    int (*secret)(void *arg, char *to, struct yd_trail *trail);
    int64_t timeout_ns; /* of all of it */
    size_t body_max;    /* as it comes, and inflated */
    void (*done)(void *arg, const struct yd_fetched *fetched);
    void *arg;
};
struct yd_fetch;
int yd_fetch_create(const struct yd_fetch_options *options, struct yd_fetch **ret_fetch);
/* `done` is called later, once, never from inside this. false: the one before is still going on; nothing happens. */
bool yd_fetch_begin(struct yd_fetch *fetch);
/* What is going on ends without `done`. `gone` (may be NULL) is called when nothing of it is left, perhaps at once. */
void yd_fetch_destroy(struct yd_fetch *fetch, void (*gone)(void *arg), void *arg);

#endif
