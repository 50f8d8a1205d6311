/* elements/sources.h: who may send: addresses and networks, as "10.0.0.7", "10.0.0.0/8", "fd00::/8". Pure.
 *
 * An empty list lets everybody in. IPv4 that came through a socket for both is IPv4. Peers of Unix sockets have no
 * address: an empty list only lets them in. */
#ifndef ELEMENTS_SOURCES_H
#define ELEMENTS_SOURCES_H

#include <yarder/element.h>

#include "io/loop.h"

#define YD_SOURCES_MAX 64

struct yd_sources {
    struct yd_source_net {
        uint8_t bytes[16]; /* IPv4 as ::ffff:… */
        uint8_t bits;
    } items[YD_SOURCES_MAX];
    uint32_t count;
};
/* From a list of texts. Why not, in words, for a class's check. */
int yd_sources_parse(const struct yd_arg *list, struct yd_sources *ret, char *why, size_t why_size);
bool yd_sources_allow(const struct yd_sources *sources, const struct yd_address *from);

#endif
