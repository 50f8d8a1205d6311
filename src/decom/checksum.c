/* Checksums of packets: see checksum.h.
 *
 * A CRC is its polynomial, what it begins with, which bit of a byte comes first, and what is laid over the end; the two
 * that go over much are by zlib and by the processor. Sources: parameters and check values of CRCs: G. Cook, "Catalogue
 * of parametrised CRC algorithms" (the names behind each row); Fletcher: J. Fletcher, "An Arithmetic Checksum for
 * Serial Transmissions", 1982, modulo 255; Adler: RFC 1950. Four bits at a time: tables of 16 are made as they are
 * needed. */
#include "decom/checksum.h"

#include <zlib.h>

#include "base/hash.h"

enum how { CRC, CRC_REFLECTED, ZLIB, CASTAGNOLI, SUM, XOR, FLETCHER, ADLER };
static const struct row {
    const char *word;
    enum how how;
    uint32_t bits, polynomial, begin, end; /* of a reflected one the polynomial is, too */
} rows[YD_CHECKSUM_COUNT] = {
    [YD_CHECKSUM_NONE] = {.word = "none"},
    [YD_CHECKSUM_CRC8] = {"crc8", CRC, 8, 0x07, 0, 0},                                     /* CRC-8/SMBUS */
    [YD_CHECKSUM_CRC8_MAXIM] = {"crc8_maxim", CRC_REFLECTED, 8, 0x8c, 0, 0},               /* CRC-8/MAXIM-DOW */
    [YD_CHECKSUM_CRC16_CCITT] = {"crc16_ccitt", CRC, 16, 0x1021, 0xffff, 0},               /* CRC-16/IBM-3740 */
    [YD_CHECKSUM_CRC16_XMODEM] = {"crc16_xmodem", CRC, 16, 0x1021, 0, 0},                  /* CRC-16/XMODEM */
    [YD_CHECKSUM_CRC16_AUG] = {"crc16_aug", CRC, 16, 0x1021, 0x1d0f, 0},                   /* CRC-16/SPI-FUJITSU */
    [YD_CHECKSUM_CRC16_X25] = {"crc16_x25", CRC_REFLECTED, 16, 0x8408, 0xffff, 0xffff},    /* CRC-16/IBM-SDLC */
    [YD_CHECKSUM_CRC16_MCRF4XX] = {"crc16_mcrf4xx", CRC_REFLECTED, 16, 0x8408, 0xffff, 0}, /* CRC-16/MCRF4XX */
    [YD_CHECKSUM_CRC16_KERMIT] = {"crc16_kermit", CRC_REFLECTED, 16, 0x8408, 0, 0},        /* CRC-16/KERMIT */
    [YD_CHECKSUM_CRC16_MODBUS] = {"crc16_modbus", CRC_REFLECTED, 16, 0xa001, 0xffff, 0},   /* CRC-16/MODBUS */
    [YD_CHECKSUM_CRC16_ARC] = {"crc16_arc", CRC_REFLECTED, 16, 0xa001, 0, 0},              /* CRC-16/ARC */
    [YD_CHECKSUM_CRC24] = {"crc24", CRC, 24, 0x864cfb, 0xb704ce, 0},                       /* CRC-24/OPENPGP */
    [YD_CHECKSUM_CRC32] = {"crc32", ZLIB, 32, 0xedb88320, 0, 0},                           /* CRC-32/ISO-HDLC */
    [YD_CHECKSUM_CRC32_MPEG2] = {"crc32_mpeg2", CRC, 32, 0x04c11db7, 0xffffffff, 0},       /* CRC-32/MPEG-2 */
    [YD_CHECKSUM_CRC32C] = {"crc32c", CASTAGNOLI, 32, 0x82f63b78, 0, 0},                   /* CRC-32/ISCSI */
    [YD_CHECKSUM_SUM8] = {"sum8", SUM, 8, 0, 0, 0},
    [YD_CHECKSUM_SUM16] = {"sum16", SUM, 16, 0, 0, 0},
    [YD_CHECKSUM_SUM32] = {"sum32", SUM, 32, 0, 0, 0},
    [YD_CHECKSUM_XOR8] = {"xor8", XOR, 8, 0, 0, 0},
    [YD_CHECKSUM_FLETCHER16] = {"fletcher16", FLETCHER, 16, 0, 0, 0},
    [YD_CHECKSUM_ADLER32] = {"adler32", ADLER, 32, 0, 1, 0},
};

const char *yd_checksum_word(enum yd_checksum kind)
{
    return rows[kind].word;
}

enum yd_checksum yd_checksum_find(struct yd_str word)
{
    for (int i = 1; i < YD_CHECKSUM_COUNT; i++)
        if (yd_str_eq(word, yd_str_of(rows[i].word))) return (enum yd_checksum)i;
    return YD_CHECKSUM_NONE;
}

uint32_t yd_checksum_bits(enum yd_checksum kind)
{
    return rows[kind].bits;
}

struct yd_checksumming yd_checksum_begin(enum yd_checksum kind)
{
    const struct row *row = &rows[kind];
    /* The highest bit first: kept at the top of 32, whatever its width. */
    return (struct yd_checksumming){kind, row->how == CRC ? row->begin << (32 - row->bits) : row->begin, 0};
}

static uint32_t add_crc(const struct row *row, uint32_t crc, const uint8_t *data, size_t size)
{
    uint32_t table[16], polynomial = row->polynomial << (32 - row->bits);
    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i << 28;
        for (int bit = 0; bit < 4; bit++) table[i] = table[i] << 1 ^ (table[i] >> 31 ? polynomial : 0);
    }
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)data[i] << 24;
        crc = crc << 4 ^ table[crc >> 28];
        crc = crc << 4 ^ table[crc >> 28];
    }
    return crc;
}

static uint32_t add_reflected(const struct row *row, uint32_t crc, const uint8_t *data, size_t size)
{
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i;
        for (int bit = 0; bit < 4; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? row->polynomial : 0);
    }
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static void add_fletcher(struct yd_checksumming *sum, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sum->state = (sum->state + data[i]) % 255;
        sum->more = (sum->more + sum->state) % 255;
    }
}

void yd_checksum_add(struct yd_checksumming *sum, const void *data, size_t size)
{
    const struct row *row = &rows[sum->kind];
    const uint8_t *bytes = data;
    if (!size) return; /* zlib takes "no bytes" for "begin anew" */
    switch (row->how) {
    case CRC:
        sum->state = add_crc(row, sum->state, bytes, size);
        break;
    case CRC_REFLECTED:
        sum->state = add_reflected(row, sum->state, bytes, size);
        break;
    case ZLIB:
        sum->state = (uint32_t)crc32_z(sum->state, bytes, size);
        break;
    case CASTAGNOLI:
        sum->state = yd_crc32c(sum->state, bytes, size);
        break;
    case SUM:
        for (size_t i = 0; i < size; i++) sum->state += bytes[i];
        break;
    case XOR:
        for (size_t i = 0; i < size; i++) sum->state ^= bytes[i];
        break;
    case FLETCHER:
        add_fletcher(sum, bytes, size);
        break;
    case ADLER:
        sum->state = (uint32_t)adler32_z(sum->state, bytes, size);
        break;
    }
}

uint32_t yd_checksum_end(const struct yd_checksumming *sum)
{
    const struct row *row = &rows[sum->kind];
    uint32_t low = row->bits == 32 ? UINT32_MAX : (UINT32_C(1) << row->bits) - 1;
    if (row->how == CRC) return sum->state >> (32 - row->bits) ^ row->end;
    if (row->how == FLETCHER) return sum->more << 8 | sum->state;
    return (sum->state ^ row->end) & low;
}
