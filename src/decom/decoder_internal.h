/* decom/decoder_internal.h: a decoder's inside, shared by its two files. */
#ifndef DECOM_DECODER_INTERNAL_H
#define DECOM_DECODER_INTERNAL_H

#include "decom/plan_internal.h"

struct yd__heads {   /* of a program, in the batch at hand */
    uint64_t *lanes; /* of each slot: name, kind, type, flags as in a record */
    uint32_t *names; /* of each name: index in the batch; NONE: not yet */
    uint64_t stamp;  /* of the batch that lanes are for */
    uint64_t names_stamp;
    uint64_t packets;
    bool wide; /* its lanes may need more than a batch: they go out one by one */
};
struct yd__counter { /* of a sequence */
    uint64_t key, by;
    uint64_t last;
    uint64_t back; /* where it stood when it last went far back */
    bool used, primed, went_back;
};

struct yd__stream { /* of a commutated frame */
    uint8_t *data;
    size_t size, capacity;
    uint64_t at; /* bit: where the next frame begins, or where it is searched */
    bool locked, has_index, ending;
    uint32_t index;                   /* of the last minor frame */
    uint32_t seen;                    /* minor frames of the major one at hand */
    uint32_t flying;                  /* frames without their pattern that are to be taken, from here on */
    uint64_t skipped, skipped_before; /* bits, while searching; when the last frame was taken */
    uint64_t order;                   /* values of this chunk */
    int64_t time_ns;                  /* of the last chunk */
    uint8_t *copy;                    /* room for a frame from a whole byte on; NULL: nothing of it is checked */
    struct yd_frame_counts told;
};

struct yd_decoder {
    const struct yd_plan *plan;
    struct yd_decoder_options options;
    struct yd_alloc *alloc;
    struct yd_builder *builder;
    struct yd__machine machine;
    struct yd__heads *heads; /* of each packet */
    uint64_t stamp;          /* counts batches, from 1 */
    struct yd_record *room;  /* reserved, not yet committed */
    uint32_t room_size, room_used;
    struct yd_record *wide; /* the lanes of a wide packet, before they are written; as many as the widest has */
    uint32_t wide_count;
    size_t value_max;             /* bytes of a text, so that each fits a batch */
    struct yd__counter *counters; /* open addressing */
    uint32_t counter_count, counter_capacity;
    struct yd_decoder_counts counts;
    struct yd__stream stream;
};

/* One value into the batch at hand, at machine.time_ns; a full batch is given away first. */
int yd__decoder_write(struct yd_decoder *decoder, const struct yd__program *program, const struct yd__staged *staged);
/* A TALLY `DEFINITION.NAME LABEL what=WHAT`. */
int yd__decoder_tally(struct yd_decoder *decoder, const char *name, struct yd_str label, const char *what,
                      uint64_t value);
int yd__decoder_lost(struct yd_decoder *decoder, const struct yd__sequence *sequence, uint64_t by, uint64_t lost);
void yd__decoder_count(struct yd_decoder *decoder, const struct yd__program *program);
/* decoder_frame.c */
int yd__decoder_take_chunk(struct yd_decoder *decoder, int64_t time_ns, struct yd_str chunk);

#endif
