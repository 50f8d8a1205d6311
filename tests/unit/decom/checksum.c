/* Checksums of packets: the values that their sources print. */
#include "decom/checksum.h"
#include "testing.h"

static void check_values_are_those_of_their_sources(void **state)
{
    (void)state;
    /* "123456789" in G. Cook's catalogue of parametrised CRC algorithms, entry by entry. */
    static const struct {
        const char *word;
        uint32_t value;
    } crcs[] = {
        {"crc8", 0xf4},              /* CRC-8/SMBUS */
        {"crc8_maxim", 0xa1},        /* CRC-8/MAXIM-DOW */
        {"crc16_ccitt", 0x29b1},     /* CRC-16/IBM-3740 */
        {"crc16_xmodem", 0x31c3},    /* CRC-16/XMODEM */
        {"crc16_aug", 0xe5cc},       /* CRC-16/SPI-FUJITSU */
        {"crc16_x25", 0x906e},       /* CRC-16/IBM-SDLC */
        {"crc16_mcrf4xx", 0x6f91},   /* CRC-16/MCRF4XX */
        {"crc16_kermit", 0x2189},    /* CRC-16/KERMIT */
        {"crc16_modbus", 0x4b37},    /* CRC-16/MODBUS */
        {"crc16_arc", 0xbb3d},       /* CRC-16/ARC */
        {"crc24", 0x21cf02},         /* CRC-24/OPENPGP; RFC 9580 has its program */
        {"crc32", 0xcbf43926},       /* CRC-32/ISO-HDLC; IEEE 802.3 */
        {"crc32_mpeg2", 0x0376e6e7}, /* CRC-32/MPEG-2 */
        {"crc32c", 0xe3069283},      /* CRC-32/ISCSI; RFC 3720 B.4 has more */
        {"sum8", 0xdd},              /* 0x31 + … + 0x39 = 0x1dd */
        {"sum16", 0x1dd},
        {"sum32", 0x1dd},
        {"xor8", 0x31},
        {"adler32", 0x091e01de}, /* zlib's adler32(1, …) */
    };
    for (size_t i = 0; i < YD_COUNT(crcs); i++) {
        enum yd_checksum kind = yd_checksum_find(yd_str_of(crcs[i].word));
        assert_int_not_equal(kind, YD_CHECKSUM_NONE);
        assert_string_equal(yd_checksum_word(kind), crcs[i].word);
        assert_int_equal(yd_checksum(kind, "123456789", 9), crcs[i].value);
        for (size_t cut = 0; cut <= 9; cut++) { /* pieces of any size */
            struct yd_checksumming sum = yd_checksum_begin(kind);
            yd_checksum_add(&sum, "123456789", cut);
            yd_checksum_add(&sum, &"123456789"[cut], 9 - cut);
            assert_int_equal(yd_checksum_end(&sum), crcs[i].value);
        }
    }
    assert_int_equal(yd_checksum_find(YD_STR("none")), YD_CHECKSUM_NONE);
    assert_int_equal(yd_checksum_find(YD_STR("crc")), YD_CHECKSUM_NONE);
}

static void longer_vectors_of_standards(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    for (int i = 0; i < 32; i++) ones[i] = 0xff, up[i] = (uint8_t)i, down[i] = (uint8_t)(31 - i);
    /* RFC 3720, B.4 "CRC Examples" (there as bytes on the wire, lowest first). */
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32C, zeros, 32), 0x8a9136aa);
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32C, ones, 32), 0x62a8ab43);
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32C, up, 32), 0x46dd794e);
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32C, down, 32), 0x113fdb5c);
    /* ISO/IEC 15948 (PNG): the chunk IEND, whose checksum every PNG file ends with. */
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32, "IEND", 4), 0xae426082);
    /* IEEE 802.3: a frame with its check behind it, lowest byte first, leaves 0x2144df1c. */
    assert_int_equal(yd_checksum(YD_CHECKSUM_CRC32, "123456789\x26\x39\xf4\xcb", 13), 0x2144df1c);
    /* Fletcher, modulo 255: the examples everybody has. */
    assert_int_equal(yd_checksum(YD_CHECKSUM_FLETCHER16, "abcde", 5), 0xc8f0);
    assert_int_equal(yd_checksum(YD_CHECKSUM_FLETCHER16, "abcdef", 6), 0x2057);
    assert_int_equal(yd_checksum(YD_CHECKSUM_FLETCHER16, "abcdefgh", 8), 0x0627);
    assert_int_equal(yd_checksum(YD_CHECKSUM_ADLER32, "Wikipedia", 9), 0x11e60398);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values_are_those_of_their_sources),
        cmocka_unit_test(longer_vectors_of_standards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
