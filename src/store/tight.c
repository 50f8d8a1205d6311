/* Tight columns: what stays on disk is worth an entropy coder.
 *
 *   byte 0x08: varint size, then so many bytes of zstd (without magic): varints of the zigzag first value and
 *              differences: small changes become one byte each, and those few bits
 *   byte 0x10: for doubles that are no short decimals: their bytes by place, highest first; each place: varint size and
 *              zstd, or size 0 and the bytes as they are: sign, exponent and the first bits repeat, the rest is noise
 *
 * The coder's state is kept by thread, since making one costs more than a chunk. */
#define ZSTD_STATIC_LINKING_ONLY
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

#include "store/codec.h"
#include "store/words.h"

#define HEAD_VARINTS 0x08
#define HEAD_PLACES  0x10
#define LEVEL        1

struct coder {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
};
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void coder_free(void *opaque)
{
    struct coder *coder = opaque;
    ZSTD_freeCCtx(coder->compress);
    ZSTD_freeDCtx(coder->decompress);
    free(coder);
}

static void make_key(void)
{
    if (pthread_key_create(&key, coder_free)) abort(); /* at the first use, once a program: the limit is 1,024 keys */
}

static struct coder *coder_of_thread(void)
{
    pthread_once(&once, make_key);
    struct coder *coder = pthread_getspecific(key);
    if (coder) return coder;
    coder = calloc(1, sizeof *coder);
    if (coder && pthread_setspecific(key, coder)) {
        free(coder);
        return NULL;
    }
    return coder;
}

static size_t compress(uint8_t *to, size_t room, const uint8_t *from, size_t size)
{
    struct coder *coder = coder_of_thread();
    if (coder && !coder->compress) {
        coder->compress = ZSTD_createCCtx();
        if (coder->compress) {
            /* Literals and their entropy: matches in noise cost more than they save. */
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_compressionLevel, LEVEL);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_strategy, ZSTD_fast);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_minMatch, 7);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_targetLength, 1024);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_contentSizeFlag, 0);
            (void)ZSTD_CCtx_setParameter(coder->compress, ZSTD_c_format, ZSTD_f_zstd1_magicless);
        }
    }
    if (!coder || !coder->compress) return 0; /* out of memory: the column stays as it is */
    size_t got = ZSTD_compress2(coder->compress, to, room, from, size);
    return ZSTD_isError(got) ? 0 : got;
}

static size_t decompress(uint8_t *to, size_t room, const uint8_t *from, size_t size)
{
    struct coder *coder = coder_of_thread();
    if (coder && !coder->decompress) {
        coder->decompress = ZSTD_createDCtx();
        if (coder->decompress) (void)ZSTD_DCtx_setParameter(coder->decompress, ZSTD_d_format, ZSTD_f_zstd1_magicless);
    }
    if (!coder || !coder->decompress) return 0;
    size_t got = ZSTD_decompressDCtx(coder->decompress, to, room, from, size);
    return ZSTD_isError(got) ? 0 : got;
}

#define VARINTS_ROOM (YD__CHUNK_MAX * 10)
#define PACKED_ROOM  (VARINTS_ROOM + 1024)

static size_t put_varints(uint8_t *to, size_t limit, const int64_t *values, uint32_t count)
{
    uint8_t bytes[VARINTS_ROOM], packed[PACKED_ROOM], *at = bytes;
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        at = yd__put_varint(at, yd__zigzag((uint64_t)values[i] - before));
        before = (uint64_t)values[i];
    }
    size_t size = compress(packed, sizeof packed, bytes, (size_t)(at - bytes));
    if (!size || size + 4 >= limit) return 0;
    uint8_t *out = to;
    *out++ = HEAD_VARINTS;
    out = yd__put_varint(out, size);
    memcpy(out, packed, size);
    return (size_t)(out - to) + size;
}

static size_t put_places(uint8_t *to, size_t limit, const int64_t *values, uint32_t count)
{
    uint8_t place[YD__CHUNK_MAX], packed[YD__CHUNK_MAX + 1024], whole[8 * (YD__CHUNK_MAX + 4) + 1], *at = whole;
    *at++ = HEAD_PLACES;
    for (int shift = 56; shift >= 0; shift -= 8) {
        for (uint32_t i = 0; i < count; i++) place[i] = (uint8_t)((uint64_t)values[i] >> shift);
        size_t size = compress(packed, sizeof packed, place, count);
        bool worth = size && size + size / 64 < count;
        at = yd__put_varint(at, worth ? size : 0);
        if (!worth) size = count;
        memcpy(at, worth ? packed : place, size);
        at += size;
    }
    size_t size = (size_t)(at - whole);
    if (size >= limit) return 0;
    memcpy(to, whole, size);
    return size;
}

size_t yd__tight_put(uint8_t *to, size_t size, const int64_t *values, uint32_t count, bool bits)
{
    if (size < 48) return size;
    size_t got = bits ? put_places(to, size, values, count) : put_varints(to, size, values, count);
    return got ? got : size;
}

/* Behind the column in every case; what cannot be decoded (no memory) comes back as zeros. */
const uint8_t *yd__tight_get(const uint8_t *from, uint32_t count, int64_t *values)
{
    unsigned head = *from++;
    uint64_t size;
    if (head == HEAD_VARINTS) {
        uint8_t bytes[VARINTS_ROOM + 16];
        from = yd__get_varint(from, &size);
        size_t got = decompress(bytes, VARINTS_ROOM, from, (size_t)size);
        memset(bytes + got, 0, 16);
        const uint8_t *at = bytes, *end = bytes + got;
        uint64_t value = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t z = 0;
            if (YD_LIKELY(at < end && !(*at & 0x80)))
                z = *at++;
            else if (at < end)
                at = yd__get_varint(at, &z);
            values[i] = (int64_t)(value += yd__unzigzag(z));
        }
        return from + size;
    }
    uint8_t place[YD__CHUNK_MAX];
    memset(values, 0, count * sizeof *values);
    for (int shift = 56; shift >= 0; shift -= 8) {
        from = yd__get_varint(from, &size);
        const uint8_t *bytes = from;
        if (size) {
            size_t got = decompress(place, sizeof place, from, (size_t)size);
            if (got < count) memset(place + got, 0, count - got);
            bytes = place;
        }
        for (uint32_t i = 0; i < count; i++) values[i] = (int64_t)((uint64_t)values[i] | (uint64_t)bytes[i] << shift);
        from += size ? size : count;
    }
    return from;
}
