/* What a definition makes of a packet, as text: one line a measurement, "name=value", in the order of the batch. */
#ifndef TESTS_DECOM_DECODED_H
#define TESTS_DECOM_DECODED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "batch/record_text.h"
#include "decom/plan.h"

#ifndef DEFINITION_PATH
#define DEFINITION_PATH "test.ydm" /* its ending tells the format */
#endif

struct decoded {
    struct yd_buf lines, errors;
    int64_t time_ns; /* of the last record */
    int result;      /* of yd_decoder_take for the last packet */
    struct yd_decoder_counts counts;
};

static inline void decoded_batch(void *arg, struct yd_batch *batch)
{
    struct decoded *decoded = arg;
    struct yd_batch *checked;
    struct yd_buf frame;
    /* What leaves must be what every reader accepts. */
    yd_buf_init(&frame, NULL);
    char *to = yd_buf_reserve(&frame, batch->header.size);
    assert_non_null(to);
    yd_batch_to_bytes(batch, to);
    assert_int_equal(yd_batch_from_bytes(to, batch->header.size, &checked), 0);
    yd_batch_unref(checked);
    yd_buf_fini(&frame);
    for (uint32_t i = 0; i < batch->view.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        yd_buf_str(&decoded->lines, yd_view_name(&batch->view, record->name));
        yd_buf_char(&decoded->lines, '=');
        if (record->type == YD_BLOB) {
            struct yd_str bytes = yd_view_bytes(&batch->view, record->value);
            for (size_t j = 0; j < bytes.size; j++) yd_buf_printf(&decoded->lines, "%02x", (uint8_t)bytes.data[j]);
        } else if (record->type == YD_NIL) {
            yd_buf_cstr(&decoded->lines, "nil");
        } else {
            yd_value_text(&batch->view, (enum yd_type)record->type, record->value, &decoded->lines);
        }
        if (record->flags & YD_RECORD_QUALITY) yd_buf_char(&decoded->lines, '?');
        if (record->kind != YD_SAMPLE) yd_buf_printf(&decoded->lines, " %s", yd_kind_name(record->kind));
        yd_buf_char(&decoded->lines, '\n');
        decoded->time_ns = record->time_ns;
    }
    yd_batch_unref(batch);
}

static inline struct yd_plan *decoded_plan(struct decoded *decoded, const char *ydm, bool raw)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan *plan = NULL;
    struct yd_plan_options options = {.raw = raw};
    yd_diagnostics_init(&diagnostics, NULL);
    int r = yd_plan_read(DEFINITION_PATH, yd_str_of(ydm), &options, &diagnostics, &plan);
    yd_diagnostics_print(&diagnostics, false, &decoded->errors);
    yd_buf_char(&decoded->errors, 0);
    if (r < 0) assert_true(diagnostics.errors > 0);
    yd_diagnostics_fini(&diagnostics);
    return r < 0 ? NULL : plan;
}

/* Begins with the definition; the decoder's counts and lines come into `decoded` with its end. */
static inline struct yd_plan *decoded_begin(struct decoded *decoded, const char *ydm, bool raw,
                                            struct yd_decoder **ret_decoder)
{
    *decoded = (struct decoded){0};
    yd_buf_init(&decoded->lines, NULL);
    yd_buf_init(&decoded->errors, NULL);
    struct yd_plan *plan = decoded_plan(decoded, ydm, raw);
    if (!plan) print_message("%s\n", decoded->errors.data);
    assert_non_null(plan);
    struct yd_decoder_options options = {.arg = decoded, .batch = decoded_batch};
    assert_int_equal(yd_decoder_create(plan, &options, NULL, ret_decoder), 0);
    return plan;
}

/* One piece of hex, with spaces, up to a '|' or the end; returns its bytes. Stands in a block of exactly its size, so
 * that a sanitizer sees any byte too far. */
static inline size_t decoded_take(struct decoded *decoded, struct yd_decoder *decoder, const char **hex)
{
    const char *at = *hex;
    char bytes[4096];
    size_t size = 0;
    for (; *at && *at != '|'; at++) {
        unsigned byte;
        if (*at == ' ') continue;
        assert_int_equal(sscanf(at, "%2x", &byte), 1);
        bytes[size++] = (char)byte;
        at++;
    }
    *hex = at + (*at == '|');
    char *exact = malloc(size ? size : 1);
    memcpy(exact, bytes, size);
    decoded->result = yd_decoder_take(decoder, 1000, (struct yd_str){exact, size});
    assert_true(decoded->result >= 0);
    free(exact);
    return size;
}

/* Packets in hex, spaces between; a '|' ends a packet. */
static inline void decode_raw(struct decoded *decoded, const char *ydm, const char *hex, bool raw)
{
    struct yd_decoder *decoder;
    struct yd_plan *plan = decoded_begin(decoded, ydm, raw, &decoder);
    while (*hex) {
        (void)decoded_take(decoded, decoder, &hex);
        assert_int_equal(yd_decoder_flush(decoder), 0);
    }
    yd_buf_char(&decoded->lines, 0);
    yd_decoder_counts(decoder, &decoded->counts);
    yd_decoder_destroy(decoder);
    yd_plan_destroy(plan);
}

static inline void decoded_fini(struct decoded *decoded)
{
    yd_buf_fini(&decoded->lines);
    yd_buf_fini(&decoded->errors);
}

/* The definition, packets, and the lines they give. */
static inline void expect(const char *ydm, const char *hex, const char *lines)
{
    struct decoded decoded;
    decode_raw(&decoded, ydm, hex, false);
    assert_string_equal(decoded.lines.data, lines);
    decoded_fini(&decoded);
}

/* One field of a packet p. */
static inline void expect_field(const char *type, const char *hex, const char *value)
{
    char ydm[512], lines[512];
    (void)snprintf(ydm, sizeof ydm, "packet p\n  x %s\n  ...\n", type);
    (void)snprintf(lines, sizeof lines, "p.x=%s\n", value);
    expect(ydm, hex, lines);
}

static inline void expect_rejected(const char *ydm, const char *hex, enum yd_decom_reason reason)
{
    struct decoded decoded;
    decode_raw(&decoded, ydm, hex, false);
    assert_int_equal(decoded.result, 1 + (int)reason);
    assert_string_equal(decoded.lines.data, "");
    assert_int_equal(decoded.counts.reasons[reason], decoded.counts.rejected);
    decoded_fini(&decoded);
}

/* A definition that is refused, with these words somewhere in what is said. */
static inline void expect_refused(const char *ydm, const char *code, const char *words)
{
    struct decoded decoded = {0};
    yd_buf_init(&decoded.errors, NULL);
    struct yd_plan *plan = decoded_plan(&decoded, ydm, false);
    if (plan || !strstr(decoded.errors.data, code) || !strstr(decoded.errors.data, words))
        print_message("wanted %s, %s; said:\n%s\n", code, words, decoded.errors.data);
    assert_null(plan);
    assert_non_null(strstr(decoded.errors.data, code));
    assert_non_null(strstr(decoded.errors.data, words));
    yd_buf_fini(&decoded.errors);
}

#endif
