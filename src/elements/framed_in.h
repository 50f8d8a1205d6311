/* elements/framed_in.h: streams of bytes become PACKET records: what Tcp and Serial share.
 *
 *   bytes of a stream --its framing--> frames --packets.h--> batches --> output
 *                                         \--> bad ones and skipped bytes, counted by reason with their peer
 *
 * The reasons of a class begin with YD_FRAMED_REASONS, so that indices agree. One thread. */
#ifndef ELEMENTS_FRAMED_IN_H
#define ELEMENTS_FRAMED_IN_H

#include "elements/framing.h"
#include "elements/packets.h"

#define YD_FRAMED_REASON(name, text) [YD_UNFRAMED_##name] = text,
#define YD_FRAMED_REASONS            YD_FRAMING_REASONS(YD_FRAMED_REASON)

struct yd_framed_in {
    struct yd_pump *pump; /* or else: */
    struct yd_out *out;   /* of a test's feed */
    unsigned port;
    struct yd_framing_options framing;
    struct yd_packets packets;
    const char *from; /* whose bytes are at hand */
    int64_t time_ns;  /* of them */
};
/* From the class's parameters, which its check has seen: YD_FRAMING_PARAMS and `name`. */
int yd_framed_in_open(struct yd_framed_in *in, const struct yd_args *args, bool slides);
void yd_framed_in_close(struct yd_framed_in *in);                         /* not open: quiet */
int yd_framed_in_begin(struct yd_framed_in *in, struct yd_framing **ret); /* a stream; ended by the two of framing.h */
/* For a class's `feed`: the bytes are a whole stream. */
int yd_framed_in_feed(const struct yd_args *args, unsigned port, struct yd_str bytes, struct yd_out *out,
                      int64_t wall_ns);
int yd_framed_in_check(const struct yd_args *args, char *why, size_t why_size); /* framing and name */

#endif
