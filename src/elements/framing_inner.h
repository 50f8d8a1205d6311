/* elements/framing_inner.h: what the families of framing are to framing.c. Nobody else includes it. */
#ifndef ELEMENTS_FRAMING_INNER_H
#define ELEMENTS_FRAMING_INNER_H

#include "elements/framing.h"

/* What a scan of the bytes at hand found. A scan that decides on some bytes decides the same on more of them: that is
 * what makes pieces of any size equal. */
struct yd__found {
    enum { YD__MORE, YD__FRAME, YD__BAD, YD__SKIP, YD__PASS, YD__LOST } what; /* PASS: nothing is lost with them */
    size_t used;         /* bytes of the stream; MORE: how many need not be looked at again */
    struct yd_str frame; /* FRAME: in the stream, or in `room`. BAD: what to show */
    enum yd_framing_reason reason;
};

struct yd__scan {
    const struct yd_framing_options *options;
    char *room;    /* of size_max bytes, for what is unstuffed */
    size_t looked; /* bytes that a scan before has looked at in vain */
    bool skipping; /* inside a frame that was too large, and has been said to be bad */
};

struct yd__found yd__scan_cobs(struct yd__scan *scan, struct yd_str bytes);
struct yd__found yd__scan_slip(struct yd__scan *scan, struct yd_str bytes);
struct yd__found yd__scan_lines(struct yd__scan *scan, struct yd_str bytes);
struct yd__found yd__scan_mavlink(struct yd__scan *scan, struct yd_str bytes);

static inline struct yd__found yd__found_more(size_t looked)
{
    return (struct yd__found){YD__MORE, looked, {0}, 0};
}
static inline struct yd__found yd__found_frame(size_t used, struct yd_str frame)
{
    return (struct yd__found){YD__FRAME, used, frame, 0};
}
static inline struct yd__found yd__found_bad(size_t used, struct yd_str shown, enum yd_framing_reason reason)
{
    return (struct yd__found){YD__BAD, used, shown, reason};
}
static inline struct yd__found yd__found_pass(size_t used)
{
    return (struct yd__found){YD__PASS, used, {0}, 0};
}
static inline struct yd__found yd__found_skip(size_t used)
{
    return (struct yd__found){YD__SKIP, used, {0}, 0};
}

bool yd__is_intact(const struct yd_framing_options *options, struct yd_str frame); /* its checksum, if it has one */

#endif
