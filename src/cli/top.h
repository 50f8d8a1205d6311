/* cli/top.h: what `yarder top` reads out of two status documents: what passed between them. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include <jansson.h>

#include "base/text.h"

double top_number(json_t *object, const char *key);    /* 0: not there */
const char *top_word(json_t *object, const char *key); /* "": not there */
json_t *top_find(json_t *status, const char *element); /* NULL: there is none of this name */
double top_seconds(json_t *status, json_t *before);    /* between the two; without `before`: since the start */

/* Of an element's time; `before` may be NULL everywhere: since the start. */
struct top_shares {
    double busy, output, seconds;
};
struct top_shares top_shares_of(json_t *element, json_t *before);

struct top_executor {
    double turns, sockets, asleep; /* shares */
};
struct top_executor top_executor_of(json_t *status, json_t *before, size_t i);

#define TOP_BUCKETS_MAX 300
struct top_spread {
    json_int_t bounds[TOP_BUCKETS_MAX], counts[TOP_BUCKETS_MAX], max; /* max: of all, since the start */
    size_t used;
    json_int_t total;
};
void top_spread_of(json_t *histogram, json_t *before, struct top_spread *ret);
void top_put_quantile(char *to, size_t size, const struct top_spread *spread, double share);
void top_put_ns(char *to, size_t size, double ns);
void top_put_count(char *to, size_t size, double value);

/* The wait of the same name in `before`; NULL: nobody had waited. */
json_t *top_find_wait(json_t *before, json_t *wait);
/* ns spent in it between the two, with what is going on. */
double top_wait_ns(json_t *wait, json_t *was);
void top_print_waits(json_t *status, json_t *before);

/* Programs that are served: each gets a `state`, and those of `before` that are not there any more are put in, as
 * "gone". After that they are printed, those that miss most first. */
void top_judge_applications(json_t *status, json_t *before);
void top_forget_gone(json_t *status); /* before it is somebody's `before` */
void top_print_applications(json_t *status, json_t *before);
/* What a stranger sent, on a terminal: nothing of it is obeyed. */
void top_put_shown(struct yd_buf *to, json_t *text);

/* What holds the others up. `what`: "element", "disk", "sockets", "held up", "none". */
struct top_bottleneck {
    const char *what;
    char name[200], text[400];
};
void top_bottleneck_of(json_t *status, json_t *before, struct top_bottleneck *ret);

#endif
