/* serve/status.h: what a running daemon tells about itself, through DATA/status.sock.
 *
 * The socket speaks no protocol: whoever connects is sent one JSON document and the end of the stream, so that
 * `socat - UNIX:data/status.sock` shows it, too. Only the daemon's own user and root are answered.
 *
 *   { "version", "pid", "data", "topology", "state", "started", "listens": [{element, what, address}],
 *     "uptime_ns", "executors": [{turns_ns, sockets_ns, asleep_ns, …}], "waits": [{what: lock | queue | work | write |
 * sync, of, part, element, since_ns, spent: histogram}], "applications": [{element, name, id, process, user, stopped,
 * priority, subscriptions, names, passed, paced, overrun, unplaced, got, lost, unread}], "applications_ended":
 * [{element, count, passed, …}], "elements": [{name, class, life, blocked, busy_ns,
 * waiting_input_ns, waiting_output_ns, …, inputs: [{name, received, consumed, rejected, dropped, queued, …}], outputs,
 * reasons, peers, samples}], "wires": [{from, to, …}] } */
#ifndef SERVE_STATUS_H
#define SERVE_STATUS_H

#include "flow/run.h"

struct yd_status;
struct yd_status_options {
    struct yd_loop *loop; /* not an executor's: a snapshot is waited for, up to a quarter of a second */
    struct yd_run *run;
    const char *path; /* of the socket */
    const char *data, *topology;
};
int yd_status_open(const struct yd_status_options *options, struct yd_status **ret_status, struct yd_trail *trail);
void yd_status_listens(struct yd_status *status, const char *element, const char *what, const char *address);
void yd_status_draining(struct yd_status *status);
void yd_status_close(struct yd_status *status); /* removes the socket; NULL is quiet */

/* The document's elements and wires, for others to embed. */
void yd_status_write(struct yd_run *run, struct yd_json *json);

#endif
