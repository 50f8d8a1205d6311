/* elements/rejects.h: what was not taken, for whoever wires the `rejects` port: what all that take bytes from outside
 * share.
 *
 *   bad line --yd_reject--> counted by its reason and peer, a sample kept
 *                    `-----> ROW {reason, peer, line} --yd_rejects_send--> rejects port
 *
 * Bounded: a batch is given out when it is full; without memory a reject is counted, not kept. One thread. */
#ifndef ELEMENTS_REJECTS_H
#define ELEMENTS_REJECTS_H

#include <yarder/element.h>

/* `what`: "Lines that were not understood". */
#define YD_REJECTS_PORT(what)                                                                                          \
    {                                                                                                                  \
        .name = "rejects", .direction = YD_OUT, .mode = YD_PUSH, .kinds = YD_KIND_BIT(YD_ROW),                         \
        .flags = YD_PORT_OPTIONAL_REJECTS,                                                                             \
        .doc = what ": rows of `reason`, `peer` and `line` (up to 4096 bytes of it)."                                  \
    }

/* The rejects as records: ROW {reason, peer, line}. */
struct yd_rejects;
int yd_rejects_create(const char *element, struct yd_rejects **ret_rejects);
void yd_rejects_destroy(struct yd_rejects *rejects);
/* Adds one; returns a full batch to be emitted, or NULL. */
struct yd_batch *yd_rejects_add(struct yd_rejects *rejects, int64_t wall_ns, const char *reason, struct yd_str peer,
                                struct yd_str line);
struct yd_batch *yd_rejects_take(struct yd_rejects *rejects); /* what there is, or NULL */

/* `records` of a reason, of a peer: a datagram's or, likewise, a request's. rejects NULL: counted only. */
void yd_reject(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port, unsigned reason, const char *text,
               struct yd_str sample, struct yd_str peer);
/* What rejects were gathered goes on. NULL is quiet. */
void yd_rejects_send(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port);

#endif
