/* elements/graphite_web.h: Graphite's questions, answered from a History: find, expand, tags, render. Pure: what is to
 * be asked is said, what came back is given, until there is an answer.
 *
 *   request ─ yd_gweb_start ─► ask ─► replies: yd_gweb_add… ─ yd_gweb_next ─► ask again … │ 0: yd_gweb_write: the
 * answer
 *
 * How names are seen: a metric's name is a path, its dots part nodes; a series with tags is `metric;key=value;…`,
 * sorted by key. A path means every series of that metric, with tags or without. */
#ifndef ELEMENTS_GRAPHITE_WEB_H
#define ELEMENTS_GRAPHITE_WEB_H

#include "elements/ask.h"
#include "elements/opentsdb.h"

/* The path of a request as one of ours, without what stands before it ("metrics/find"); false: it is none. */
bool yd_gweb_path(struct yd_str path, struct yd_str *ret_path);
/* What needs no History; false: it does. type as in Content-Type. */
bool yd_gweb_constant(struct yd_str path, struct yd_buf *to, unsigned *ret_status, const char **ret_type);

struct yd_gweb;
/* The request lives at least as long. 1: ask; 0: the answer is there; negative: refused, the trail says why.
 * values: how many values all requests hold together, at first 0. */
int yd_gweb_start(struct yd_tsdb_request *request, int64_t now_ns, uint64_t *values, struct yd_gweb **ret_web,
                  struct yd_ask *ret_ask, struct yd_trail *trail);
void yd_gweb_destroy(struct yd_gweb *web); /* NULL is quiet */
int yd_gweb_add(struct yd_gweb *web, const struct yd_batch *batch, struct yd_trail *trail);
/* The reply is over. As yd_gweb_start. */
int yd_gweb_next(struct yd_gweb *web, struct yd_ask *ret_ask, struct yd_trail *trail);
/* The answer, about `size` bytes at a time; true: there is more. */
bool yd_gweb_write(struct yd_gweb *web, struct yd_buf *to, size_t size);

#endif
