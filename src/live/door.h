/* live/door.h: hands regions out to local programs, after looking who they are. door_format.h has what is said.
 *
 *   yd_live_door_open ─▶ watch yd_live_door_fd, call yd_live_door_run when it is readable ─▶ yd_live_door_close
 *
 * Nothing here waits for a client: one that does not read is shown out. One thread at a time; the tables and bells it
 * hands out may be written by another. */
#ifndef LIVE_DOOR_H
#define LIVE_DOOR_H

#include <sys/types.h>
#include <yarder/error.h>

#include "live/bell.h"
#include "live/region.h"

/* Who may come in, and the bell he sleeps on: nobody can disturb those of another entry. */
struct yd_live_access {
    bool group;                /* id is a gid, and holds for who is in that group; otherwise a uid */
    uint32_t id;               /* uid_t or gid_t */
    struct yd_live_bell *bell; /* READY, the caller's, lives longer than the door */
};

struct yd_live_door_options {
    const char *path;                    /* of the socket */
    const struct yd_live_access *access; /* the first that fits counts */
    unsigned access_count;
    unsigned clients_max;               /* 0: 4096 */
    const struct yd_live_region *table; /* READY */
    /* A word for the operator about one who was turned away or shown out; may be NULL. */
    void (*say)(void *arg, const char *text);
    void *arg;
};

struct yd_live_door_counts {
    unsigned clients;   /* now inside */
    uint64_t welcomed;  /* ever */
    uint64_t refused;   /* not on the list, too many, not understood */
    uint64_t shown_out; /* did not read what he was told */
};

struct yd_live_door;
int yd_live_door_open(const struct yd_live_door_options *options, struct yd_live_door **ret_door,
                      struct yd_trail *trail);
int yd_live_door_fd(const struct yd_live_door *door); /* readable: there is something to do */
void yd_live_door_run(struct yd_live_door *door);
/* A table of a later generation, READY: everybody inside is told. table_fd is one of yd_live_region_reader_fd, and the
 * door's from here on. */
void yd_live_door_replace(struct yd_live_door *door, int table_fd, uint64_t generation, uint64_t id);
struct yd_live_door_counts yd_live_door_counts(const struct yd_live_door *door);
void yd_live_door_close(struct yd_live_door *door); /* hangs up on everybody; NULL is quiet */

#endif
