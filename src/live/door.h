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

/* One who is inside, for who answers what the door does not understand itself. */
struct yd_live_client {
    uint64_t id; /* never of two at a time; its low 32 bits are below clients_max */
    int fd;      /* the door's: for answers at once (io/pass.h), or to be duplicated */
    uint32_t uid;
    int32_t pid;
    const struct yd_live_access *access;
    const char *application; /* as he calls himself */
};

struct yd__door_head;
struct yd_live_door_options {
    const char *path;                    /* of the socket */
    const struct yd_live_access *access; /* the first that fits counts */
    unsigned access_count;
    unsigned clients_max;               /* 0: 4096 */
    const struct yd_live_region *table; /* READY */
    /* A word for the operator about one who was turned away or shown out; may be NULL. */
    void (*say)(void *arg, const char *text);
    /* What somebody inside asks (door_format.h), its size at least a head's; false: show him out. And that he has left,
     * of everybody who was inside. Both may be NULL; neither may call the door. */
    bool (*ask)(void *arg, const struct yd_live_client *client, const void *message, size_t size);
    void (*left)(void *arg, uint64_t client_id);
    void *arg;
};

struct yd_live_door_counts {
    unsigned clients;   /* now, with those who came and did not say HELLO yet */
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
