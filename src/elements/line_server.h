/* elements/line_server.h: sockets that bring lines: what the pumps of Graphite and OpenTsdb share.
 *
 *   listener --> connections --room, data--> yd_lines --batch--> yd_pump_emit
 *   datagrams --------------------------------^    \--reject--> counter, sample, ROW on the rejects port
 *
 * All connections read into one buffer and fill one batch; it is sealed when full, else once per turn of the loop, so
 * that many slow peers make few batches. A paused server reads nothing: the peers' kernels wait. One loop thread; where
 * the element is spread over executors each of its pumps has one, and the first one deals the connections out. */
#ifndef ELEMENTS_LINE_SERVER_H
#define ELEMENTS_LINE_SERVER_H

#include <yarder/element.h>

#include "elements/lines.h"
#include "elements/rejects.h"
#include "elements/spread.h"
#include "io/loop.h"

struct yd_line_server;

/* A connection. `stream` may be written to by the hooks below. */
struct yd_line_peer {
    struct yd_line_server *server;
    struct yd_stream *stream;
    struct yd_lines_tail tail;
    struct yd_line_peer *next, *prev;
    int64_t last_ns; /* of its last bytes */
    struct yd_address from;
    char name[64]; /* the same, as text */
    bool fresh;    /* its first byte is awaited */
    bool closing;  /* its turn is over: closed as soon as it has read its last words */
    bool dead;     /* without them */
};

struct yd_line_server_options {
    struct yd_pump *pump;
    struct yd_spread *spread; /* what it shares with the servers of the element's other pumps */
    size_t receive_buffer;    /* of datagrams */
    const struct yd_lines_format *format;
    struct yd_str listen, udp; /* "": none */
    const char *what;          /* "Graphite lines": what is said to listen */
    size_t line_max;
    unsigned connections_max; /* of all together */
    int64_t idle_ns;          /* 0: for ever */
    unsigned output, rejects; /* ports */
    bool rejects_wired;
    /* reasons of the class: the lines' own come first, then these two */
    unsigned reason_refused, reason_kernel;
    /* A bad line: may answer on peer->stream, may set peer->closing. peer NULL: a datagram. May be NULL. */
    void (*rejected)(void *arg, struct yd_line_peer *peer, enum yd_line_reason reason, struct yd_str line);
    void (*command)(void *arg, struct yd_line_peer *peer, struct yd_str line);
    /* A fresh connection whose first bytes are HTTP's: takes the stream. NULL: nobody looks at first bytes. */
    void (*http)(void *arg, struct yd_stream *stream, const struct yd_address *peer);
    void *arg;
};

int yd_line_server_start(const struct yd_line_server_options *options, struct yd_line_server **ret_server);
void yd_line_server_pause(struct yd_line_server *server, bool paused);
bool yd_line_server_paused(const struct yd_line_server *server);
/* Closes all, sends on what there is, and calls `stopped` once nothing of it will run any more; then it is gone. */
void yd_line_server_stop(struct yd_line_server *server, void (*stopped)(void *arg), void *arg);
/* To the peer; one that does not read what it is told is closed. */
void yd_line_peer_write(struct yd_line_peer *peer, struct yd_str text);
uint64_t yd_line_server_lines(struct yd_line_server *server);       /* of all together */
unsigned yd_line_server_connections(struct yd_line_server *server); /* likewise */
void yd_line_server_address(const struct yd_line_server *server, struct yd_address *ret);

#endif
