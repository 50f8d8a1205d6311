/* decom/plan.h: a definition, checked and compiled: what the decoder executes.
 *
 *   struct yd_def ──yd_plan_compile──▶ struct yd_plan ──yd_decoder_take(packet)──▶ batches of measurements
 *                         │
 *                         └▶ diagnostics: everything that cannot be, whatever source it came from
 *
 * A plan is immutable: any number of decoders in any threads share it. It points into its definition and owns it. */
#ifndef DECOM_PLAN_H
#define DECOM_PLAN_H

#include <yarder/batch.h>

#include "decom/field.h"
#include "decom/model.h"
#include "decom/report.h"

struct yd_plan;

/* Checks and compiles. The definition is the plan's from then on, in every case (it is destroyed on failure).
 * YD_EFORMAT: see the diagnostics. There may be warnings: what is known and not decoded. YD_ENOMEM. */
struct yd_plan_options {
    struct yd_alloc *alloc; /* NULL: the C library's */
    bool raw;               /* publish raw values too, as NAME.raw, where the engineering value is another */
    bool partial; /* the definition is what could be read of a wrong one: only look for more mistakes, and do not
                     say what may come of those found already. The result is YD_EFORMAT */
    bool closely; /* for yd_plan_explain: every field is a step that can be watched */
};
int yd_plan_compile(struct yd_def *def, const struct yd_plan_options *options, struct yd_diagnostics *diagnostics,
                    struct yd_plan **ret_plan);
/* A file's text, by its ending: `.xml` and `.xtce` are XTCE, all else `.ydm`. */
#define YD_PLAN_FILE_MAX (64u << 20)
int yd_plan_read(const char *path, struct yd_str text, const struct yd_plan_options *options,
                 struct yd_diagnostics *diagnostics, struct yd_plan **ret_plan);
void yd_plan_destroy(struct yd_plan *plan); /* NULL is quiet */
const struct yd_def *yd_plan_def(const struct yd_plan *plan);

/* The packets that there are: containers that can be matched; and the measurements of each. */
uint32_t yd_plan_packet_count(const struct yd_plan *plan);
struct yd_str yd_plan_packet_name(const struct yd_plan *plan, uint32_t packet);
uint32_t yd_plan_measurement_count(const struct yd_plan *plan, uint32_t packet);
struct yd_str yd_plan_measurement_name(const struct yd_plan *plan, uint32_t packet, uint32_t index);

/* What was different before, of the fields that are published: names that there are no more, and those whose values are
 * texts or bytes now and were numbers. What visit returns, if it is not 0, ends it. */
typedef int yd_plan_changed_visit(void *arg, struct yd_str name, bool is_gone);
int yd_plan_each_changed(const struct yd_plan *before, const struct yd_plan *now, yd_plan_changed_visit *visit,
                         void *arg);
uint32_t yd_plan_measurements(const struct yd_plan *plan); /* different names, of fields alone */

/* Of commutated frames: the bits of a minor one, and how many of them a second; 0: packets, not known. */
uint32_t yd_plan_frame_bits(const struct yd_plan *plan);
double yd_plan_frame_rate(const struct yd_plan *plan);

/* Why a packet was not decoded. The names are what `Decom` counts by. */
#define YD_DECOM_REASONS(X)                                                                                            \
    X(UNKNOWN, "no packet of the definition matches")                                                                  \
    X(TRUNCATED, "shorter than its fields")                                                                            \
    X(TOO_LONG, "longer than its fields")                                                                              \
    X(COUNT, "a size or count in it is over its limit")                                                                \
    X(TERMINATOR, "a text in it does not end")                                                                         \
    X(UNSUPPORTED, "its container is not supported")                                                                   \
    X(CHECKSUM, "its checksum is wrong")                                                                               \
    X(TOO_MUCH, "more values than a packet may have")                                                                  \
    X(NO_SYNC, "bytes without frame sync")                                                                             \
    X(NOT_BYTES, "no bytes at all")
enum yd_decom_reason {
#define YD_DECOM_REASON_ENUM(name, text) YD_DECOM_##name,
    YD_DECOM_REASONS(YD_DECOM_REASON_ENUM)
#undef YD_DECOM_REASON_ENUM
        YD_DECOM_REASON_COUNT,
};
const char *yd_decom_reason_text(enum yd_decom_reason reason);

/* ---- the decoder: one thread ---- */

struct yd_decoder;
struct yd_decoder_options {
    uint32_t size_max; /* of a batch; 0: 1 MiB */
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch); /* a full one, or at a flush; takes it */
};
int yd_decoder_create(const struct yd_plan *plan, const struct yd_decoder_options *options, struct yd_alloc *alloc,
                      struct yd_decoder **ret_decoder);
void yd_decoder_destroy(struct yd_decoder *decoder);
/* One packet. 0: its values are in the batch; 1 + a yd_decom_reason: it was not decoded, nothing of it is;
 * YD_ENOMEM: likewise. Whatever the bytes are. */
int yd_decoder_take(struct yd_decoder *decoder, int64_t time_ns, struct yd_str packet);
/* A decoder whose plan is another one now: counts go on, also of packets and of sequence counters that are there as
 * they were, and a frame that has not come whole. YD_ENOMEM: nothing was taken over. */
int yd_decoder_take_over(struct yd_decoder *decoder, const struct yd_decoder *before);
/* The stream of commutated frames ends: what waits is decided, the rest of it counted. It may begin anew. */
int yd_decoder_end(struct yd_decoder *decoder);
/* Gives what there is to `batch`. */
int yd_decoder_flush(struct yd_decoder *decoder);

/* Why a minor frame was not taken. */
enum yd_frame_refusal {
    YD_FRAME_TAKEN,
    YD_FRAME_CHECKSUM, /* one of its checksums is wrong */
    YD_FRAME_CONSTANT, /* a word is not what it always is */
    YD_FRAME_OUTSIDE,  /* its counter says a frame that there is not */
    YD_FRAME_UNSURE,   /* its counter neither follows the one before, nor does the next one follow it */
    YD_FRAME_REFUSAL_COUNT,
};
/* Bits that came = bits of a frame × (packets + all refused) + skipped_bits + waiting_bits. */
struct yd_frame_counts {
    uint64_t refused[YD_FRAME_REFUSAL_COUNT];
    uint64_t sync_lost;    /* how often */
    uint64_t flown;        /* frames without their pattern, between others */
    uint64_t skipped_bits; /* while the pattern was searched, and what was left at the end */
    uint64_t waiting_bits;
    uint64_t jumps; /* of the counter, with no bit missing here */
    uint64_t major_whole, major_partial;
};
struct yd_decoder_counts {
    uint64_t packets, rejected;
    uint64_t values, lost, repeated; /* lost: as sequence counters tell */
    struct yd_frame_counts frames;   /* of commutated frames */
    uint64_t reasons[YD_DECOM_REASON_COUNT];
};
void yd_decoder_counts(const struct yd_decoder *decoder, struct yd_decoder_counts *ret);
uint64_t yd_decoder_packet_count(const struct yd_decoder *decoder, uint32_t packet); /* decoded ones of that kind */

/* ---- looking closely ---- */

/* Decodes one packet with everything said: which containers matched and why, each field's place, raw and engineering
 * value, or why not. `container` size 0: as a decoder would choose. JSON or lines. Returns what yd_decoder_take would.
 */
int yd_plan_explain(const struct yd_plan *plan, struct yd_str packet, struct yd_str container, bool json,
                    struct yd_buf *to);

#endif
