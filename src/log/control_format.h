/* log/control_format.h: the file `control`: one page, mapped by the writer and by direct readers.
 *
 *   0            1024              2048              3072            4096
 *   | live words | checkpoint even | checkpoint odd  | zero          |
 *
 * The live words are for readers while the writer lives: plain 64-bit words stored with release, never evidence for
 * recovery. The checkpoints are: two slots, each with its own checksum, written in turn by their number and synced, so
 * that a torn one leaves the other. The page's lock (advisory, of the file) is the writer's.
 *
 * live words:
 * | off | size | field          | meaning                                                              |
 * |-----|------|----------------|----------------------------------------------------------------------|
 * |   0 |    4 | magic          | "YDCT"                                                               |
 * |   4 |    2 | version        | 1                                                                    |
 * |   6 |    2 | state          | 0 closed in order, 1 open, 2 failed (a sync failed)                  |
 * |   8 |    8 | log_id         |                                                                      |
 * |  16 |    8 | written_seqno  | committed: records below are in the files                            |
 * |  24 |    8 | durable_seqno  | records below are on the device                                      |
 * |  32 |    8 | segment        | base seqno of the current segment                                    |
 * |  40 |    8 | written_offset | in it: a hint for tools                                              |
 * |  48 |    8 | generation     | of the current segment                                               |
 * |  56 |    4 | event          | rises with every change above: readers sleep on it (futex)           |
 * |  60 |    4 | epoch          |                                                                      |
 * |  64 |    8 | writer_pid     | identity of the writer: pid, start time, boot id                     |
 * |  72 |    8 | writer_start   | clock ticks after boot                                               |
 * |  80 |   16 | boot_id        |                                                                      |
 * |  96 |    8 | first_seqno    | oldest kept                                                          |
 *
 * checkpoint slot:
 * | off | size | field         | meaning                                                               |
 * |-----|------|---------------|-----------------------------------------------------------------------|
 * |   0 |    4 | magic         | "YDCK"                                                                |
 * |   4 |    2 | version       | 1                                                                     |
 * |   6 |    2 | flags         | bit 0: closed in order, nothing lies behind `offset`; 1: a follower's;|
 * |     |      |               | 2: a leader that was deposed                                          |
 * |   8 |    4 | crc           | CRC32C of these 1024 bytes with this field zero                       |
 * |  12 |    4 | epoch         | of batches appended from now on                                       |
 * |  16 |    8 | number        | one more than the checkpoint before; its lowest bit chooses the slot  |
 * |  24 |    8 | log_id        |                                                                       |
 * |  32 |    8 | durable_seqno | records below were durable                                            |
 * |  40 |    8 | segment       | base seqno of the segment that ends there; ~0: none was begun yet     |
 * |  48 |    8 | offset        | in it, behind the last durable frame: recovery scans from here        |
 * |  56 |    8 | generation    | of that segment                                                       |
 * |  64 |    4 | last_crc      | header_crc of the last durable frame                                  |
 * |  68 |    4 | headers_crc   | the segment's running digest there                                    |
 * |  72 |    8 | written_at    | the server's clock, ns                                                |
 * |  80 |    8 | first_seqno   | oldest kept                                                           |
 * |  88 |    4 | epoch_count   |                                                                       |
 * |  92 |    4 | copy          | of one that follows: how its leader knows it again; 0: it never did   |
 * |  96 |16×58 | epochs        | {first seqno of that epoch, epoch, zero}, the latest 58, oldest first |
 */
#ifndef LOG_CONTROL_FORMAT_H
#define LOG_CONTROL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define YD__CONTROL_MAGIC       UINT32_C(0x54434459) /* "YDCT" */
#define YD__CHECKPOINT_MAGIC    UINT32_C(0x4b434459) /* "YDCK" */
#define YD__CONTROL_VERSION     1
#define YD__CONTROL_SIZE        4096
#define YD__CHECKPOINT_CLEAN    1
#define YD__CHECKPOINT_FOLLOWER 2
#define YD__CHECKPOINT_DEPOSED  4
#define YD__EPOCHS_MAX          58
#define YD__NO_SEGMENT          UINT64_MAX

enum { YD__STATE_CLOSED, YD__STATE_OPEN, YD__STATE_FAILED };

struct yd__epoch_entry {
    uint64_t start_seqno;
    uint32_t epoch;
    uint32_t reserved;
};

struct yd__checkpoint {
    uint32_t magic;
    uint16_t version, flags;
    uint32_t crc;
    uint32_t epoch;
    uint64_t number;
    uint64_t log_id;
    uint64_t durable_seqno;
    uint64_t segment;
    uint64_t offset;
    uint64_t generation;
    uint32_t last_crc;
    uint32_t headers_crc;
    int64_t written_at;
    uint64_t first_seqno;
    uint32_t epoch_count;
    uint32_t copy;
    struct yd__epoch_entry epochs[YD__EPOCHS_MAX];
};

struct yd__control {
    uint32_t magic;
    uint16_t version, state;
    uint64_t log_id;
    uint64_t written_seqno, durable_seqno;
    uint64_t segment, written_offset, generation;
    uint32_t event;
    uint32_t epoch;
    int64_t writer_pid;
    uint64_t writer_start;
    uint8_t boot_id[16];
    uint64_t first_seqno;
    uint8_t reserved0[1024 - 104];
    struct yd__checkpoint slots[2];
    uint8_t reserved1[1024];
};

_Static_assert(sizeof(struct yd__epoch_entry) == 16 && sizeof(struct yd__checkpoint) == 1024 &&
                   offsetof(struct yd__checkpoint, log_id) == 24 && offsetof(struct yd__checkpoint, last_crc) == 64 &&
                   offsetof(struct yd__checkpoint, epochs) == 96,
               "the checkpoint's layout is the format");
_Static_assert(sizeof(struct yd__control) == YD__CONTROL_SIZE && offsetof(struct yd__control, written_seqno) == 16 &&
                   offsetof(struct yd__control, event) == 56 && offsetof(struct yd__control, writer_pid) == 64 &&
                   offsetof(struct yd__control, first_seqno) == 96 && offsetof(struct yd__control, slots) == 1024,
               "the control page's layout is the format");

#endif
