/* decom/checksum.h: the checksums that packets have, by name: what a definition calls `check crc16_ccitt`, and framing
 * `checksum: "crc32c"`. One table, from which words, widths and computations follow. */
#ifndef DECOM_CHECKSUM_H
#define DECOM_CHECKSUM_H

#include "base/alloc.h"

enum yd_checksum {
    YD_CHECKSUM_NONE,
    YD_CHECKSUM_CRC8,
    YD_CHECKSUM_CRC8_MAXIM,
    YD_CHECKSUM_CRC16_CCITT,
    YD_CHECKSUM_CRC16_XMODEM,
    YD_CHECKSUM_CRC16_AUG,
    YD_CHECKSUM_CRC16_X25,
    YD_CHECKSUM_CRC16_MCRF4XX,
    YD_CHECKSUM_CRC16_KERMIT,
    YD_CHECKSUM_CRC16_MODBUS,
    YD_CHECKSUM_CRC16_ARC,
    YD_CHECKSUM_CRC24,
    YD_CHECKSUM_CRC32,
    YD_CHECKSUM_CRC32_MPEG2,
    YD_CHECKSUM_CRC32C,
    YD_CHECKSUM_SUM8,
    YD_CHECKSUM_SUM16,
    YD_CHECKSUM_SUM32,
    YD_CHECKSUM_XOR8,
    YD_CHECKSUM_FLETCHER16,
    YD_CHECKSUM_ADLER32,
    YD_CHECKSUM_COUNT
};

/* "crc16_ccitt". By word; YD_CHECKSUM_NONE: there is none of that name. */
const char *yd_checksum_word(enum yd_checksum kind);
enum yd_checksum yd_checksum_find(struct yd_str word);
uint32_t yd_checksum_bits(enum yd_checksum kind); /* 8, 16, 24, 32 */

/* Begun, fed with pieces in their order, ended: the value as its standard writes it down. Any thread. */
struct yd_checksumming {
    enum yd_checksum kind;
    uint32_t state, more;
};
struct yd_checksumming yd_checksum_begin(enum yd_checksum kind);
void yd_checksum_add(struct yd_checksumming *sum, const void *data, size_t size);
uint32_t yd_checksum_end(const struct yd_checksumming *sum);
static inline uint32_t yd_checksum(enum yd_checksum kind, const void *data, size_t size)
{
    struct yd_checksumming sum = yd_checksum_begin(kind);
    yd_checksum_add(&sum, data, size);
    return yd_checksum_end(&sum);
}

#endif
