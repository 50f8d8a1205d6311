/* live/triple_read.c: taking the latest value. libc only.
 *
 *   word dirty? ─ no: keep what we have ─▶ yes: old = exchange(word, mine), mine = old's index: read it in place
 *
 * The look before is relaxed: it decides only whether to exchange. */
#include "live/triple_read.h"

#include "live/atomic.h"

int yd_live_triple_reader_open(const struct yd_live_mapping *buffers, const struct yd_live_mapping *control,
                               struct yd_live_triple_reader *ret_reader)
{
    const struct yd__triple *triple = (const struct yd__triple *)buffers->header;
    uint64_t buffer_size = __atomic_load_n(&triple->buffer_size, __ATOMIC_RELAXED); /* once, as yd__copy_once */
    uint32_t value_size = __atomic_load_n(&triple->value_size, __ATOMIC_RELAXED);
    if (value_size < 8 || value_size > YD__TABLE_VALUE_MAX || buffer_size % YD__LIVE_PAIR ||
        buffer_size > 2 * YD__TABLE_VALUE_MAX || buffer_size < YD__SLOT_HEADER + (uint64_t)value_size ||
        !yd__live_inside(buffers->size, YD__LIVE_CONTENT, 3 * buffer_size, YD__LIVE_LINE))
        return YD_EFORMAT;
    if (control->size < YD__BELL_SIZE || !control->writable) return YD_EFORMAT;
    *ret_reader = (struct yd_live_triple_reader){.triple = triple,
                                                 .buffers = (const uint8_t *)triple + YD__LIVE_CONTENT,
                                                 .word = yd_live_bell_word(control, 0),
                                                 .buffer_size = buffer_size,
                                                 .value_size = value_size,
                                                 .mine = 2};
    return 0;
}

int yd_live_triple_take(struct yd_live_triple_reader *reader, const void **ret_bytes, struct yd_live_value *ret_value)
{
    if (!(yd__load(reader->word, RELAXED) & YD__TRIPLE_DIRTY)) return 0;
    /* Acquire pairs with the release half of the exchange in yd_live_triple_publish: the buffer is whole. Release pairs
     * with that one's acquire: we are done with what we give. */
    uint32_t old = yd__exchange(reader->word, reader->mine, ACQ_REL);
    uint32_t got = old & YD__TRIPLE_INDEX;
    if (got > 2) return YD_EFORMAT;
    reader->mine = got;
    const uint64_t *buffer = (const uint64_t *)(const void *)(reader->buffers + got * reader->buffer_size);
    uint64_t words[4];
    yd__plain_copy_out(words, buffer, sizeof words);
    uint64_t meta = words[YD__SLOT_META];
    if (YD__META_SIZE(meta) > reader->value_size) return YD_EFORMAT;
    *ret_value = (struct yd_live_value){.seq = words[YD__SLOT_SEQ],
                                        .missed = words[YD__SLOT_SEQ] - reader->seq - 1,
                                        .bits = YD__META_SIZE(meta) ? words[YD__SLOT_VALUE] : 0,
                                        .time_ns = (int64_t)words[YD__SLOT_TIME],
                                        .size = YD__META_SIZE(meta),
                                        .flags = YD__META_FLAGS(meta),
                                        .type = YD__META_TYPE(meta)};
    reader->seq = words[YD__SLOT_SEQ];
    *ret_bytes = buffer + YD__SLOT_VALUE;
    return 1;
}

int yd_live_triple_arm(struct yd_live_triple_reader *reader, struct yd_live_sleep *ret_sleep)
{
    /* Both sides change the same word: either publishing finds the bit, or we find it dirty. Nothing else is read
     * before take, which acquires: so this orders nothing. */
    uint32_t old = yd__fetch_or(reader->word, YD__TRIPLE_WAITER, RELAXED);
    if (old & YD__TRIPLE_DIRTY) return YD_EAGAIN;
    *ret_sleep = (struct yd_live_sleep){reader->word, old | YD__TRIPLE_WAITER};
    return 0;
}
