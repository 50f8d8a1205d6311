/* Tails a stream straight from its files, with no daemon asked: sleeps until there is more, follows whatever happens.
 *
 *   cc tail.c $(pkg-config --cflags --libs yarder-log) -o tail && ./tail data/streams/metrics/0 */
#include <stdio.h>
#include <yarder/log.h>

int main(int argc, char **argv)
{
    struct yd_log_start start = {.from = argc > 2 ? YD_FROM_OLDEST : YD_FROM_TAIL};
    struct yd_trail trail = {0};
    struct yd_log_reader *reader;
    if (argc < 2 || yd_log_reader_open_dir(NULL, argv[1], &start, &reader, &trail) < 0)
        return fprintf(stderr, "tail FOLDER [all]: %s\n", yd_trail_text(&trail)), 1;
    for (;;) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        int error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EAGAIN) {
            fflush(stdout);
            error = yd_log_reader_wait(reader, -1);
        } else if (error == YD_EGAP) {
            fprintf(stderr, "not there: %llu to %llu (%s)\n", (unsigned long long)gap.from, (unsigned long long)gap.to,
                    gap.reason);
        } else if (error == 0) {
            const struct yd_view *view = &batch->view;
            for (uint32_t i = 0; i < view->count; i++) {
                char line[4096]; /* longer ones are cut */
                yd_record_to_json(view, i, batch->header.base_seqno + i, line, sizeof line);
                puts(line);
            }
            yd_batch_unref(batch);
        }
        if (error < 0 && error != YD_EGAP) return fprintf(stderr, "%s\n", yd_error_text(error)), 1;
    }
}
