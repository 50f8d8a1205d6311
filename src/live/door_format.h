/* live/door_format.h: what is said at the door: one message a packet, over a Unix socket of type SEQPACKET.
 *
 *   client ── HELLO {application} ──▶ door
 *          ◀── WELCOME {generation, id} + descriptors: table, bell ──     or REFUSED {error, text}
 *          ◀── REPLACED {generation, id} + descriptor: table ──           whenever a larger table takes over
 *
 * Afterwards nothing needs to be said: values are in the table. The hang-up of the socket says that the writer is gone.
 * Byte order is the machine's, as in the regions. Sizes are exact for the version; an unknown type is ignored. */
#ifndef LIVE_DOOR_FORMAT_H
#define LIVE_DOOR_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__DOOR_MAGIC       UINT32_C(0x524f4459) /* "YDOR" */
#define YD__DOOR_VERSION     1
#define YD__DOOR_MESSAGE_MAX 4096
#define YD__DOOR_APPLICATION 64
#define YD__DOOR_TEXT        192

enum yd__door_type { YD__DOOR_HELLO = 1, YD__DOOR_WELCOME, YD__DOOR_REFUSED, YD__DOOR_REPLACED };

struct yd__door_head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint64_t correlation; /* of a question and its answer; 0: none */
};
struct yd__door_hello {
    struct yd__door_head head;
    char application[YD__DOOR_APPLICATION]; /* terminated: for people */
};
struct yd__door_regions { /* WELCOME, REPLACED */
    struct yd__door_head head;
    uint64_t generation;
    uint64_t id;
};
struct yd__door_refused {
    struct yd__door_head head;
    int32_t error; /* YD_E… */
    uint32_t reserved;
    char text[YD__DOOR_TEXT]; /* terminated */
};

_Static_assert(sizeof(struct yd__door_head) == 16 && sizeof(struct yd__door_hello) == 80 &&
                   sizeof(struct yd__door_regions) == 32 && sizeof(struct yd__door_refused) == 216,
               "the messages' layouts are the format");

#endif
