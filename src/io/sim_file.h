/* io/sim_file.h: a disk that can be crashed: yd_fs in memory, seeded, for tests and for simulated runs.
 *
 * Every file and every folder exists twice:
 *
 *      what processes see  ──sync, or write-back at any moment──▶  what a crash leaves
 *        (write, map, rename …)                                        (durable)
 *
 * The contract is the weakest one a sound program may rely on, not that of one file system:
 * - yd_file_sync makes the data and the size of that file durable, not its name. yd_fs_sync_map: the pages of the
 *   range, and the size.
 * - A name (create, rename, unlink, mkdir, rmdir) is durable after yd_fs_sync_dir of its folder; of a rename from one
 *   folder to another, of both. Before that each such change may or may not survive, in any order but for changes of
 *   the same name; a rename is never half.
 * - Of what was written and not synced, each 512-byte sector is the old or the new one after a crash, independently,
 * and sometimes torn inside (at 8 bytes: an aligned 8-byte store is never torn). The size is the old one, the new one
 * or, when it grew, one between. Bytes nobody wrote never appear: what has no data reads as zeros.
 * - A sync that fails marks everything clean, as ext4, XFS and Btrfs do: what it did not write is lost by the next
 *   crash, or even forgotten earlier, however often later syncs "succeed".
 * Weaker than real ones on purpose: a file cut and grown again without a sync may show, after a crash, sectors from
 * before the cut.
 *
 * One thread. Calls never block. The same seed and the same calls give the same disk: yd_sim_fs_trace proves it.
 * Not simulated: links, permissions, a bad sector under a mapping (no SIGBUS), files beyond 1 GiB (YD_ENOSPC).
 * Out of memory aborts. */
#ifndef IO_SIM_FILE_H
#define IO_SIM_FILE_H

#include "io/file.h"

/* Chances: once in so many; 0 never. All 0 at first but tear (8) and write_back (16). */
struct yd_sim_faults {
    uint32_t sync_fails;     /* yd_file_sync, yd_fs_sync_map: YD_EIO, and everything is marked clean */
    uint32_t sync_dir_fails; /* YD_EIO; the changes stay undecided */
    uint32_t write_fails;    /* YD_EIO, after a random part of the bytes */
    uint32_t read_fails;     /* YD_EIO */
    uint32_t allocate_fails; /* YD_ENOSPC, nothing taken */
    uint32_t meta_fails;     /* creating, renaming, unlinking, making and removing folders: YD_EIO, nothing done */
    uint32_t write_back;     /* at each call: something unsynced becomes durable, out of order */
    uint32_t evict;          /* at each call: what a failed sync lost is forgotten by the cache: reads see the old */
    uint32_t tear;           /* at a crash: an unsynced sector is torn inside */
    uint32_t cold;           /* yd_file_resident says no */
};

struct yd_sim_fs_counts {
    uint64_t calls, crashes, kills;
    uint64_t bytes_written, syncs, dir_syncs, map_syncs, ignored_syncs;
    uint64_t syncs_failed, dir_syncs_failed, writes_failed, reads_failed, allocates_failed, metas_failed, no_space;
    uint64_t bad_reads;                                /* refused for a bad range */
    uint64_t write_backs, evictions, cold_answers;     /* times something of the kind happened */
    uint64_t sectors_kept, sectors_lost, sectors_torn; /* at crashes, of the unsynced */
    uint64_t sectors_abandoned;                        /* marked clean by a failed sync without being written */
    uint64_t changes_kept, changes_lost;               /* of names, at crashes, of the unsynced */
    uint64_t bits_rotten;
};

enum yd_sim_sync { YD_SIM_SYNC_FILE = 1, YD_SIM_SYNC_DIR = 2, YD_SIM_SYNC_MAP = 4 };

int yd_sim_fs_create(uint64_t seed, struct yd_fs **ret_fs);
void yd_sim_fs_destroy(struct yd_fs *fs); /* handles and mappings must be gone; NULL is quiet */
/* The whole state of the disk, both images, for a future of its own; no handles, no mappings, no locks. */
int yd_sim_fs_clone(struct yd_fs *fs, uint64_t seed, struct yd_fs **ret_fs);

/* The power goes. What was not durable is decided; then both images are the same. All handles and mappings are dead:
 * every call fails with YD_ECLOSED but close and unmap, and what is stored into a dead mapping reaches nobody. */
void yd_sim_fs_crash(struct yd_fs *fs);
/* The processes go (kill -9), the machine stays: handles and locks are dead, nothing is lost. */
void yd_sim_fs_kill(struct yd_fs *fs);
/* After `calls` more calls every call fails with YD_ECLOSED and does nothing, until yd_sim_fs_crash or _kill: a crash
 * in the middle of whatever runs then. UINT64_MAX: never. */
void yd_sim_fs_cut_after(struct yd_fs *fs, uint64_t calls);

struct yd_sim_faults *yd_sim_fs_faults(struct yd_fs *fs); /* to be set at any time */
const struct yd_sim_fs_counts *yd_sim_fs_counts(struct yd_fs *fs);
size_t yd_sim_fs_put_counts(struct yd_fs *fs, char *to, size_t size); /* as text, terminated */
uint64_t yd_sim_fs_trace(struct yd_fs *fs);                           /* a hash of all calls, bytes and results */
void yd_sim_fs_capacity(struct yd_fs *fs, uint64_t bytes);            /* default 1 TiB; may be below what is used */
void yd_sim_fs_set_time(struct yd_fs *fs, int64_t wall_ns);           /* for mtime_ns */
/* Reads of the range give YD_EIO from now on, in this file, also under another name; size 0: no range is bad. */
int yd_sim_fs_bad(struct yd_fs *fs, const char *path, uint64_t offset, uint64_t size);
/* Flips `bits` random bits of the range, on the disk and, where nothing newer is in it, in the cache. */
int yd_sim_fs_rot(struct yd_fs *fs, const char *path, uint64_t offset, uint64_t size, unsigned bits);
/* Syncs of these kinds (bits of enum yd_sim_sync) say yes and do nothing, where the path they were opened by or name
 * holds `path_part` (NULL: all). For tests that prove a sync is needed. kinds 0 ends it. */
void yd_sim_fs_ignore(struct yd_fs *fs, unsigned kinds, const char *path_part);
/* Sectors and changes of names that a crash could still lose, in all files. */
uint64_t yd_sim_fs_unsynced(struct yd_fs *fs);

#endif
