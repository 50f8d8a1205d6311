/* elements/collectd_packets.h: packets of collectd's network plug-in to batches. Pure: types and users are read by who
 * calls.
 *
 *   packet: part {type 16, size 16, …} …     host, time, plugin, …: stay until they are said again
 *           values: n, n codes, n × 8 bytes  a record each, named PLUGIN.TYPE[.SOURCE] host=…,plugin_instance=…,…
 *           message: an EVENT                signature, encryption: see collectd_secure.c
 *
 * Gauges are SAMPLEs, counters and derives DELTAs, absolutes TALLYs. What is wrong with one list of values costs that
 * list; what is wrong with a packet's form, or with a text that later names would be made of, costs what follows in
 * that packet. Source of the format: collectd wiki, "Binary protocol", and collectd.conf(5), types.db(5).
 *
 * One thread. */
#ifndef ELEMENTS_COLLECTD_PACKETS_H
#define ELEMENTS_COLLECTD_PACKETS_H

#include "elements/spellings.h"

#define YD_COLLECTD_REASONS(X)                                                                                         \
    X(BAD_PART, "bad part")                                                                                            \
    X(UNKNOWN_TYPE, "type not in types.db")                                                                            \
    X(OTHER_TYPE, "not as many values as in types.db")                                                                 \
    X(BAD_VALUE, "value not finite")                                                                                   \
    X(BAD_TIME, "bad timestamp")                                                                                       \
    X(BAD_SEVERITY, "bad severity")                                                                                    \
    X(BAD_NAME, "bad name")                                                                                            \
    X(NOT_UTF8, "not UTF-8")                                                                                           \
    X(NOT_SIGNED, "not signed as demanded")                                                                            \
    X(UNKNOWN_USER, "unknown user")                                                                                    \
    X(BAD_SECRET, "signature or password wrong")                                                                       \
    X(NO_MEMORY, "out of memory")

enum yd_collectd_reason {
#define YD_COLLECTD_ENUM(name, text) YD_COLLECTD_##name,
    YD_COLLECTD_REASONS(YD_COLLECTD_ENUM)
#undef YD_COLLECTD_ENUM
        YD_COLLECTD_REASON_COUNT
};
extern const char *const yd_collectd_reasons[]; /* by enum yd_collectd_reason, ending in NULL */

/* ---- types.db: `name source:KIND:min:max, …` ---- */

#define YD_COLLECTD_SOURCES_MAX 64 /* of a type */

struct yd_collectd_types;
int yd_collectd_types_create(struct yd_alloc *alloc, struct yd_collectd_types **ret_types);
void yd_collectd_types_destroy(struct yd_collectd_types *types); /* NULL is quiet */
/* The text of a types.db; a type given again counts as given last. YD_EFORMAT: *ret_line is the line that is wrong. */
int yd_collectd_types_add(struct yd_collectd_types *types, struct yd_str text, unsigned *ret_line);
/* The names of its sources, as many as are returned; 0: not known. Good until the next add. */
size_t yd_collectd_types_find(const struct yd_collectd_types *types, struct yd_str name,
                              const struct yd_str **ret_sources);

/* ---- users: `name: password` lines ---- */

enum yd_collectd_trust { YD_COLLECTD_PLAIN, YD_COLLECTD_SIGNED, YD_COLLECTD_ENCRYPTED };

struct yd_collectd_users;
/* YD_EFORMAT: *ret_line is the line that is wrong. */
int yd_collectd_users_create(struct yd_str text, struct yd_alloc *alloc, struct yd_collectd_users **ret_users,
                             unsigned *ret_line);
void yd_collectd_users_destroy(struct yd_collectd_users *users); /* NULL is quiet; overwrites the passwords */
/* The body of a signature part, and all behind that part. 0, or -1 - reason. users NULL: nobody is known. */
int yd__collectd_verify(const struct yd_collectd_users *users, struct yd_str body, struct yd_str behind);
/* The body of an encryption part, decrypted into `to` (as large as body). 0, or -1 - reason. */
int yd__collectd_decrypt(const struct yd_collectd_users *users, struct yd_str body, char *to, struct yd_str *ret_text);

/* ---- packets ---- */

struct yd_collectd_sink {
    void *arg;
    void (*batch)(void *arg, struct yd_batch *batch); /* takes it */
    void (*reject)(void *arg, enum yd_collectd_reason reason, uint64_t records, struct yd_str sample);
};
struct yd_collectd_options {
    struct yd_collectd_sink sink;
    const struct yd_collectd_types *types;
    const struct yd_collectd_users *users; /* NULL: signed and encrypted packets are refused */
    enum yd_collectd_trust trust;          /* less is refused */
    size_t batch_bytes;                    /* of a sealed frame; 0: 1 MiB */
    size_t cache_bytes;                    /* of the name cache; 0: 64 MiB */
    uint64_t seed;                         /* of its hashes: random in the product */
    struct yd_alloc *alloc;
};
struct yd_collectd;
int yd_collectd_create(const struct yd_collectd_options *options, struct yd_collectd **ret_collectd);
void yd_collectd_destroy(struct yd_collectd *collectd); /* NULL is quiet */
/* One datagram. Values and messages without a time get now_ns. What is gathered stays until yd_collectd_flush. */
void yd_collectd_packet(struct yd_collectd *collectd, struct yd_str packet, int64_t now_ns);
/* Whose bytes come next: names that these bring first are this peer's (yd_batch_origin). */
void yd_collectd_origin(struct yd_collectd *collectd, struct yd_str peer);
void yd_collectd_flush(struct yd_collectd *collectd);

#endif
