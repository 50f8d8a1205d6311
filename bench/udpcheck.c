/* bench-udpcheck: which of the datagrams that bench-udpfloor sent are in a log's files: what a daemon counts about
 * itself is checked against the numbers in the datagrams.
 *
 *   bench-udpcheck FOLDER SENDERS     prints how many datagrams there are, how many different ones, and how many that
 * came behind a later one of the same sender
 *
 * A wire that drops its oldest keeps the order, and so does the kernel: out of order is wrong, and so is one twice. */
#include <stdio.h>
#include <stdlib.h>
#include <yarder/log.h>

#define SENDERS_MAX 64

int main(int argc, char **argv)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_trail trail = {0};
    struct yd_log_reader *reader;
    uint64_t next[SENDERS_MAX] = {0}, count = 0, different = 0, late = 0;
    unsigned senders = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
    if (!senders || senders > SENDERS_MAX || yd_log_reader_open_dir(NULL, argv[1], &start, &reader, &trail) < 0)
        return fprintf(stderr, "bench-udpcheck FOLDER SENDERS: %s\n", yd_trail_text(&trail)), 1;
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int r = yd_log_reader_next(reader, &batch, &gap);
        if (r == YD_EAGAIN) break;
        if (r < 0) return fprintf(stderr, "bench-udpcheck: %s\n", yd_error_text(r)), 1;
        for (uint32_t i = 0; i < batch->view.count; i++) {
            const struct yd_record *record = &batch->view.records[i];
            uint64_t words[2];
            if (record->kind != YD_PACKET) continue;
            struct yd_str bytes = yd_view_bytes(&batch->view, record->value);
            if (bytes.size < sizeof words) return fprintf(stderr, "bench-udpcheck: a datagram of its own\n"), 1;
            memcpy(words, bytes.data, sizeof words);
            if (words[1] >= senders) return fprintf(stderr, "bench-udpcheck: a sender that is none\n"), 1;
            count++;
            if (words[0] < next[words[1]]) {
                late++;
            } else {
                different++;
                next[words[1]] = words[0] + 1;
            }
        }
        yd_batch_unref(batch);
    }
    printf("%llu %llu %llu\n", (unsigned long long)count, (unsigned long long)different, (unsigned long long)late);
    yd_log_reader_close(reader);
    return 0;
}
