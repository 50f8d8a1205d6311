/* log/append.c: stamping and queueing: what every sender calls, short and without a disk.
 *
 *   check the producer -> copy of the header {seqno, epoch, chain, time, checksum} -> end of the tail -> wake the
 * writer
 *
 * The body is shared, never copied. Under one mutex, so that the order of seqnos, of the chain and of the tail is one.
 */
#include "log/tombs.h"

/* 0: new. 1: known already. Or a refusal. */
static int check_producer(const struct yd__producer_entry *known, const struct yd_header *header,
                          int64_t expect_prev_seq)
{
    uint64_t prev = known ? known->seq : 0;
    if (known && header->producer_epoch < known->epoch) return YD_EEPOCH;
    if (known && header->producer_seq <= prev) return 1;
    if (expect_prev_seq >= 0 && prev != (uint64_t)expect_prev_seq) return YD_EGAP;
    return 0;
}

static int stamp(struct yd_log *log, const struct yd_batch *batch, struct yd_batch **ret)
{
    struct yd_header header = batch->header;
    header.base_seqno = log->tail.next_seqno;
    header.log_id = log->log_id;
    header.epoch = log->epoch;
    header.prev_crc = log->last_crc;
    header.durable_seqno = log->durable; /* evidence for a later recovery: damage below this was not a torn write */
    header.append_time = yd__log_now(log);
    header.header_crc = yd_header_crc(&header);
    return yd_batch_restamp(batch, &header, ret);
}

static int append_locked(struct yd_log *log, const struct yd_batch *batch, int64_t expect_prev_seq,
                         uint64_t expect_seqno, struct yd_log_appended *ret)
{
    const struct yd_header *header = &batch->header;
    if (log->closed) return YD_ECLOSED;
    if (log->deposed && !YD__SKIPS(YD__SKIP_FENCE)) return YD_EEPOCH;
    if (log->failed) return YD_EREADONLY;
    struct yd__producer_entry *known = NULL;
    if (header->producer_id != 0) {
        known = yd__producers_find(&log->producers, header->producer_id);
        if (known && known->append_time < yd__log_now(log) - log->options.producer_expiry_ns) known = NULL;
        int checked = check_producer(known, header, expect_prev_seq);
        if (checked < 0) return checked;
        if (checked > 0) {
            known->epoch = header->producer_epoch; /* the newer incarnation has spoken: older ones are fenced */
            *ret = (struct yd_log_appended){known->next_seqno - known->count, known->next_seqno, true};
            return 0;
        }
    }
    if (expect_seqno != UINT64_MAX && expect_seqno != log->tail.next_seqno) return YD_EGAP;
    /* A batch larger than the queue is taken when the queue is empty. */
    if (log->tail.queued_bytes > 0 && log->tail.queued_bytes + header->size > log->options.queue_bytes_max)
        return YD_EFULL;
    int error = yd__tail_room(&log->tail);
    if (!error && header->producer_id != 0) error = yd__producers_room(&log->producers);
    struct yd_batch *stamped;
    if (!error) error = stamp(log, batch, &stamped);
    if (error) return error;
    (void)yd__producers_note(&log->producers, &stamped->header); /* room was made */
    log->last_crc = stamped->header.header_crc;
    log->last_epoch = log->epoch;
    *ret =
        (struct yd_log_appended){stamped->header.base_seqno, stamped->header.base_seqno + stamped->header.count, false};
    yd__tail_push(&log->tail, stamped);
    return 0;
}

int yd_log_append(struct yd_log *log, const struct yd_batch *batch, int64_t expect_prev_seq, uint64_t expect_seqno,
                  struct yd_log_appended *ret)
{
    if (batch->header.count == 0 || batch->header.size > YD_BATCH_SIZE_MAX) return YD_EINVAL;
    if (log->options.readonly || log->options.follower) return YD_EPERM;
    if (batch->header.codec != YD_CODEC_NONE) return YD_ENOTSUP; /* nobody here could look for names inside */
    struct yd__tomb *tombs = NULL;
    int error = yd__tombs_in(batch) ? yd__tombs_of(batch, &tombs) : 0;
    if (error) return error;
    yd_lock_take(&log->mutex);
    error = append_locked(log, batch, expect_prev_seq, expect_seqno, ret);
    if (!error && !ret->duplicate) {
        yd__tombs_note(log, tombs, ret->first);
        tombs = NULL;
    }
    bool wake = !error && log->sleeping;
    if (wake) log->sleeping = false; /* one signal for one sleep */
    yd_lock_give(&log->mutex);
    yd__tombs_free(tombs);
    if (!error) atomic_fetch_add_explicit(&log->queued_hint, 1, memory_order_relaxed); /* only a hint */
    if (wake) pthread_cond_signal(&log->work);
    return error;
}

int yd_log_producer(struct yd_log *log, uint64_t id, uint32_t *ret_epoch, uint64_t *ret_seq)
{
    if (log->options.readonly) return YD_ENOENT;
    yd_lock_take(&log->mutex);
    const struct yd__producer_entry *known = yd__producers_find(&log->producers, id);
    if (known && known->append_time < yd__log_now(log) - log->options.producer_expiry_ns) known = NULL;
    if (known) {
        *ret_epoch = known->epoch;
        *ret_seq = known->seq;
    }
    yd_lock_give(&log->mutex);
    return known ? 0 : YD_ENOENT;
}
