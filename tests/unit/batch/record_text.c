/* Records as JSON and as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "batch/record_text.h"

static struct yd_builder *new_builder(uint32_t *ret_name)
{
    struct yd_builder *builder;
    assert_int_equal(yd_builder_create(NULL, &builder), 0);
    assert_int_equal(yd_builder_name(builder, YD_STR("cpu.load host=web1"), ret_name), 0);
    return builder;
}

/* Seals what is in the builder and compares its first record. */
static void expect(struct yd_builder *builder, const char *json_text, const char *line_text)
{
    struct yd_batch *batch;
    struct yd_buf text;
    struct yd_json json;
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, false);
    yd_record_json(&batch->view, 0, 7, &json);
    yd_buf_char(&text, 0);
    assert_string_equal(text.data, json_text);
    yd_buf_clear(&text);
    yd_record_line(&batch->view, 0, &text);
    yd_buf_char(&text, 0);
    assert_string_equal(text.data, line_text);
    yd_buf_fini(&text);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static void a_sample_shows_its_shortest_value(void **state)
{
    uint32_t name;
    struct yd_builder *builder = new_builder(&name);
    (void)state;
    yd_builder_add(builder, 1250000000, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = 1.5});
    expect(builder,
           "{\"seqno\":7,\"time\":\"1970-01-01T00:00:01.250Z\",\"name\":\"cpu.load host=web1\",\"kind\":\"SAMPLE\","
           "\"value\":1.5}",
           "1970-01-01T00:00:01.250Z cpu.load host=web1 1.5\n");
}

static void a_state_shows_its_code_and_flags(void **state)
{
    uint32_t name;
    struct yd_builder *builder = new_builder(&name);
    (void)state;
    yd_builder_add_bytes(builder, 0, name, YD_STATE, YD_TEXT, 2 | YD_RECORD_STALE | YD_RECORD_TRANSITION,
                         YD_STR("disk \"full\""));
    expect(builder,
           "{\"seqno\":7,\"time\":\"1970-01-01T00:00:00Z\",\"name\":\"cpu.load host=web1\",\"kind\":\"STATE\","
           "\"code\":\"CRITICAL\",\"stale\":true,\"transition\":true,\"value\":\"disk \\\"full\\\"\"}",
           "1970-01-01T00:00:00Z cpu.load host=web1 CRITICAL disk \"full\"\n");
}

static void a_row_nests(void **state)
{
    uint32_t name;
    struct yd_builder *builder = new_builder(&name);
    (void)state;
    yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP);
    yd_builder_cell(builder, YD_STR("n"), YD_I64, (union yd_value){.i64 = -3});
    yd_builder_nest(builder, YD_STR("list"), YD_LIST);
    yd_builder_cell(builder, YD_STR(""), YD_BOOL, (union yd_value){.u64 = 1});
    yd_builder_cell(builder, YD_STR(""), YD_NIL, (union yd_value){.u64 = 0});
    yd_builder_end(builder);
    yd_builder_end(builder);
    expect(builder,
           "{\"seqno\":7,\"time\":\"1970-01-01T00:00:00Z\",\"name\":\"cpu.load host=web1\",\"kind\":\"ROW\","
           "\"value\":{\"n\":-3,\"list\":[true,null]}}",
           "1970-01-01T00:00:00Z cpu.load host=web1 {\"n\":-3,\"list\":[true,null]}\n");
}

static void a_blob_is_hex(void **state)
{
    uint32_t name;
    struct yd_builder *builder = new_builder(&name);
    (void)state;
    yd_builder_add_bytes(builder, 0, name, YD_PACKET, YD_BLOB, 0, (struct yd_str){"\x00\xff\x10", 3});
    expect(builder,
           "{\"seqno\":7,\"time\":\"1970-01-01T00:00:00Z\",\"name\":\"cpu.load host=web1\",\"kind\":\"PACKET\","
           "\"blob\":\"00ff10\"}",
           "1970-01-01T00:00:00Z cpu.load host=web1 00ff10\n");
}

static void a_record_is_copied_under_another_name(void **state)
{
    uint32_t name, other;
    struct yd_builder *builder = new_builder(&name), *second;
    struct yd_batch *batch;
    (void)state;
    yd_builder_add_bytes(builder, 5, name, YD_EVENT, YD_TEXT, 0, YD_STR("hello"));
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    assert_int_equal(yd_builder_create(NULL, &second), 0);
    assert_int_equal(yd_builder_copy_as(second, &batch->view, 0, 0), YD_EINVAL); /* no such name yet */
    assert_int_equal(yd_builder_name(second, YD_STR("other"), &other), 0);
    assert_int_equal(yd_builder_copy_as(second, &batch->view, 1, other), YD_EINVAL); /* no such record */
    assert_int_equal(yd_builder_copy_as(second, &batch->view, 0, other), 0);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    expect(second,
           "{\"seqno\":7,\"time\":\"1970-01-01T00:00:00.000000005Z\",\"name\":\"other\",\"kind\":\"EVENT\","
           "\"value\":\"hello\"}",
           "1970-01-01T00:00:00.000000005Z other hello\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_shows_its_shortest_value),
        cmocka_unit_test(a_state_shows_its_code_and_flags),
        cmocka_unit_test(a_row_nests),
        cmocka_unit_test(a_blob_is_hex),
        cmocka_unit_test(a_record_is_copied_under_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
