/* append_helper: a writer of its own, for faults.py: appends, rolls, compresses, saves a cursor, reads, closes, and
 * prints what was acknowledged the moment it is. Every call of the file system is one of this process, in this thread.
 *
 *   append_helper append DIR COUNT   prints the seqno behind each batch once it is durable; "done" when all went well
 *   append_helper check DIR          opens it again, verifies it, prints first seqno and mark of each batch
 *
 * Exit: 0; 1 when something failed, with what and why on stderr. Anything else is a bug. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yarder/log.h>

#define RECORDS 4
#define FILL    3000

static int failed(const char *what, int error, const struct yd_trail *trail)
{
    (void)fprintf(stderr, "append_helper: %s: %s %s\n", what, yd_error_text(error), trail ? yd_trail_text(trail) : "");
    return 1;
}

static struct yd_log_options options_of(const char *dir)
{
    return (struct yd_log_options){.dir = dir,
                                   .stream = "faults/0",
                                   .segment_size_min = 64 << 10,
                                   .segment_size_max = 64 << 10,
                                   .memory_bytes_max = 1,
                                   .ballast_bytes = 64 << 10,
                                   .compress_after_ns = 1};
}

static int make_batch(uint64_t mark, struct yd_batch **ret_batch)
{
    struct yd_builder *builder;
    struct yd_builder_options options = {.size_max = YD_BATCH_SIZE_MAX};
    char text[FILL];
    uint32_t name;
    memset(text, (int)('a' + mark % 26), sizeof text);
    int error = yd_builder_create(&options, &builder);
    if (error) return error;
    error = yd_builder_name(builder, YD_STR("mark"), &name);
    for (uint64_t i = 0; i + 1 < RECORDS && !error; i++)
        error = yd_builder_add(builder, 1, name, YD_SAMPLE, YD_U64, 0, (union yd_value){.u64 = mark});
    if (!error)
        error = yd_builder_add_bytes(builder, 1, name, YD_EVENT, YD_BLOB, 0, (struct yd_str){text, sizeof text});
    if (!error) error = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return error;
}

static int append_one(struct yd_log *log, uint64_t mark)
{
    struct yd_batch *batch;
    struct yd_log_appended appended;
    char line[32];
    int error = make_batch(mark, &batch);
    if (error) return error;
    error = yd_log_append(log, batch, -1, UINT64_MAX, &appended);
    yd_batch_unref(batch);
    if (!error) error = yd_log_wait(log, appended.next, YD_ACK_DURABLE);
    if (error == YD_ENOSPC) error = yd_log_wait(log, appended.next, YD_ACK_DURABLE); /* still queued: tried again */
    if (error) return error;
    int size = snprintf(line, sizeof line, "%llu\n", (unsigned long long)appended.next);
    return write(1, line, (size_t)size) == size ? 0 : YD_EIO;
}

/* Everything there is, each once and in order; `print` says it. */
static int read_all(struct yd_log *log, bool print, uint64_t *ret_next)
{
    struct yd_log_start start = {.from = YD_FROM_OLDEST};
    struct yd_log_reader *reader;
    int error = yd_log_reader_open(log, &start, &reader);
    while (!error) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EGAP) {
            if (print) (void)printf("gap %llu %llu\n", (unsigned long long)gap.from, (unsigned long long)gap.to);
            error = 0;
            continue;
        }
        if (error) break;
        *ret_next = batch->header.base_seqno + batch->header.count;
        if (print)
            (void)printf("%llu %llu\n", (unsigned long long)batch->header.base_seqno,
                         (unsigned long long)batch->view.records[0].value.u64);
        yd_batch_unref(batch);
    }
    if (error == YD_EAGAIN) error = 0;
    yd_log_reader_close(reader);
    return error;
}

static int append(const char *dir, uint64_t count)
{
    struct yd_log_options options = options_of(dir);
    struct yd_trail trail = {0};
    struct yd_log *log;
    uint64_t next = 0;
    (void)access("/append_helper/begins", F_OK); /* for who counts calls */
    int error = yd_log_open(&options, &log, NULL, &trail);
    if (error) return failed("open", error, &trail);
    const char *what = "append";
    for (uint64_t i = 0; i < count && !error; i++) {
        what = "append";
        error = append_one(log, i);
        if (error || i % 8 != 7) continue;
        what = "maintain";
        for (int round = 0; round < 6 && !error; round++) error = yd_log_maintain(log);
        if (error == YD_ENOSPC) error = 0;
    }
    int worst = error ? failed(what, error, NULL) : 0;
    error = yd_log_cursor_save(log, "reader", count);
    if (error) worst = failed("save of a cursor", error, NULL);
    error = read_all(log, false, &next);
    if (error) worst = failed("read", error, NULL);
    error = yd_log_close(log);
    if (error) worst = failed("close", error, NULL);
    if (!worst) (void)printf("done\n");
    return worst;
}

static void found(void *arg, const char *file, uint64_t offset, const char *what)
{
    (void)arg;
    (void)fprintf(stderr, "append_helper: %s: %llu: %s\n", file, (unsigned long long)offset, what);
}

static int check(const char *dir)
{
    struct yd_log_options options = options_of(dir);
    struct yd_trail trail = {0};
    struct yd_log *log;
    uint64_t next = 0;
    int error = yd_log_open(&options, &log, NULL, &trail);
    if (error) return failed("open", error, &trail);
    error = read_all(log, true, &next);
    int closed = yd_log_close(log);
    if (error || closed) return failed("read", error ? error : closed, NULL);
    error = yd_log_verify_dir(NULL, dir, NULL, found, NULL);
    return error ? failed("verify", error, NULL) : 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "append") == 0) return append(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "check") == 0) return check(argv[2]);
    (void)fprintf(stderr, "append_helper append DIR COUNT | check DIR\n");
    return 1;
}
