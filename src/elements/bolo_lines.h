/* elements/bolo_lines.h: the lines of bolo's stream in memory to batches. Pure.
 *
 *   STATE ts name code [text…]      a STATE: code 0 ok okay, 1 warn warning, 2 crit critical, anything else: unknown
 *   COUNTER ts name [n]             a TALLY of n, or of 1
 *   SAMPLE ts name value…           a SAMPLE of each value
 *   RATE ts name value              a DELTA: a counter that grows
 *   EVENT ts name [text…]           an EVENT
 *   KEY key=value key…              a FACT of each, of now; without a value it is "1"
 *
 * Words are parted by blanks; the first and codes in any case. ts is seconds since 1970, with a fraction or without, or
 * `now`. A name is a word; tags can follow it as Graphite has them: `name;key=value`. A line is taken whole or rejected
 * whole, by one of enum yd_line_reason; empty ones and those that begin with # are nothing. Source: bolo's manual pages
 * (bolo-send(1), the stream mode, and the agent's collectors) as its tests have them.
 *
 * One thread. */
#ifndef ELEMENTS_BOLO_LINES_H
#define ELEMENTS_BOLO_LINES_H

#include "elements/lines.h"

struct yd_bolo_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch, uint32_t records); /* takes it */
    void (*reject)(void *arg, enum yd_line_reason reason, struct yd_str line);
};
struct yd_bolo_options {
    struct yd_bolo_sink sink;
    size_t line_max;    /* bytes without the line's end; 0: 64 KiB */
    size_t batch_bytes; /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes; /* of the name cache; 0: 16 MiB */
    uint64_t seed;      /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_bolo;
int yd_bolo_create(const struct yd_bolo_options *options, struct yd_bolo **ret_bolo);
void yd_bolo_destroy(struct yd_bolo *bolo); /* NULL is quiet */
/* All lines; the last one needs no end. What is gathered stays until yd_bolo_flush. Returns the lines seen. */
uint64_t yd_bolo_parse(struct yd_bolo *bolo, struct yd_str text, int64_t now_ns);
void yd_bolo_flush(struct yd_bolo *bolo);

#endif
