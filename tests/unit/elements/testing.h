/* What the tests of this floor share: cmocka, a printed seed, and parsed lines written down as text. */
#ifndef TESTS_ELEMENTS_TESTING_H
#define TESTS_ELEMENTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "elements/lines.h"

static inline uint64_t test_seed(void)
{
    const char *given = getenv("YARDER_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("# YARDER_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* What came out, in order: "time name value" a record, "! reason" a reject, "> line" a command; separated by "; ".
 * Rejects and records keep their own order, so they are written to two places. */
struct heard {
    struct yd_buf records, others;
    uint64_t record_count, reject_count, batch_count;
};

static inline void hear_batch(void *arg, struct yd_batch *batch)
{
    struct heard *heard = arg;
    for (uint32_t i = 0; i < batch->header.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        char number[32];
        double value;
        assert_true(yd_value_number(record->type, record->value, &value));
        yd_buf_printf(&heard->records, "%s%lld.%09lld ", heard->records.size ? "; " : "",
                      (long long)(record->time_ns / YD_NS_PER_S), (long long)(record->time_ns % YD_NS_PER_S));
        yd_buf_str(&heard->records, yd_view_name(&batch->view, record->name));
        yd_buf_char(&heard->records, ' ');
        yd_buf_add(&heard->records, number,
                   record->type == YD_I64   ? yd_text_put_i64(number, record->value.i64)
                   : record->type == YD_U64 ? yd_text_put_u64(number, record->value.u64)
                                            : yd_text_put_f64(number, value));
        if (record->type == YD_I64) yd_buf_char(&heard->records, 'i');
    }
    heard->record_count += batch->header.count;
    heard->batch_count++;
    /* What a reader would check. */
    struct yd_view view;
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    yd_batch_unref(batch);
}

static inline void hear_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct heard *heard = arg;
    (void)line;
    yd_buf_printf(&heard->others, "%s! %s", heard->others.size ? "; " : "", yd_line_reasons[reason]);
    heard->reject_count++;
}

static inline void hear_command(void *arg, struct yd_str line)
{
    struct heard *heard = arg;
    yd_buf_printf(&heard->others, "%s> %.*s", heard->others.size ? "; " : "", YD_STR_FMT(line));
}

static inline struct yd_lines_sink hear(struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    yd_buf_init(&heard->records, NULL);
    yd_buf_init(&heard->others, NULL);
    return (struct yd_lines_sink){heard, hear_batch, hear_reject, hear_command};
}

static inline void forget(struct heard *heard)
{
    yd_buf_fini(&heard->records);
    yd_buf_fini(&heard->others);
}

static inline const char *text_of(struct yd_buf *buf)
{
    yd_buf_char(buf, 0);
    buf->size--;
    return buf->data;
}

/* Long texts: says where they part. */
static inline void assert_same_text(const char *a, const char *b)
{
    size_t at = 0;
    while (a[at] && a[at] == b[at]) at++;
    if (a[at] == b[at]) return;
    size_t from = at > 100 ? at - 100 : 0;
    fail_msg("at %zu: '%.200s' is not '%.200s'", at, a + from, b + from);
}

#endif
