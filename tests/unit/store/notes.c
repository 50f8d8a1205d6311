/* Annotations: what changes do, what is found, what comes back from the file, against a plain list. */
#include "testing.h"

#include "store/notes.h"

#define ALL (YD_NOTE_END | YD_NOTE_DESCRIPTION | YD_NOTE_NOTES | YD_NOTE_CUSTOM)

static void add_text(void *arg, const struct yd_note *note)
{
    struct yd_buf *to = arg;
    if (note->global)
        yd_buf_cstr(to, "* ");
    else
        yd_buf_printf(to, "%llu ", (unsigned long long)note->tsuid);
    yd_buf_printf(to, "%lld-%lld %.*s/%.*s/%.*s|", (long long)note->start_ns, (long long)note->end_ns,
                  YD_STR_FMT(note->description), YD_STR_FMT(note->notes), YD_STR_FMT(note->custom));
}

static const char *all_of(struct yd_history *history, struct yd_buf *buf)
{
    yd_buf_clear(buf);
    yd_history_notes(history, true, 0, INT64_MIN, INT64_MAX, add_text, buf);
    for (uint64_t tsuid = 0; tsuid < 5; tsuid++)
        yd_history_notes(history, false, tsuid, INT64_MIN, INT64_MAX, add_text, buf);
    yd_buf_char(buf, 0);
    assert_false(buf->failed);
    return buf->data;
}

static void changes_keep_what_they_do_not_say_and_replacements_do_not(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    struct yd_note note = {.tsuid = 3,
                           .start_ns = 10,
                           .end_ns = 20,
                           .description = YD_STR("d"),
                           .notes = YD_STR("n"),
                           .custom = YD_STR("{}")};
    assert_int_equal(yd_history_note(history, &note, ALL), 0);
    assert_string_equal(all_of(history, &buf), "3 10-20 d/n/{}|");
    note = (struct yd_note){.tsuid = 3, .start_ns = 10, .notes = YD_STR("m")};
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_NOTES), 0);
    assert_string_equal(all_of(history, &buf), "3 10-20 d/m/{}|");
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_NOTES | YD_NOTE_REPLACE), 0);
    assert_string_equal(all_of(history, &buf), "3 10-0 /m/|");
    note.global = true;
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_NOTES), 0);
    assert_string_equal(all_of(history, &buf), "* 10-0 /m/|3 10-0 /m/|");
    /* A deletion is a range of one series, or of the global ones. */
    for (int64_t at = 11; at <= 15; at++) {
        note = (struct yd_note){.tsuid = 3, .start_ns = at};
        assert_int_equal(yd_history_note(history, &note, 0), 0);
    }
    note = (struct yd_note){.tsuid = 3, .start_ns = 10, .end_ns = 14};
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_DELETE), 0);
    assert_string_equal(all_of(history, &buf), "* 10-0 /m/|3 15-0 //|");
    yd_buf_fini(&buf);
    yd_history_destroy(history);
}

static void too_large_a_text_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_buf buf;
    char *text = calloc(1, YD_NOTE_SIZE_MAX + 1);
    memset(text, 'x', YD_NOTE_SIZE_MAX);
    yd_buf_init(&buf, NULL);
    struct yd_note note = {.global = true, .start_ns = 1, .description = {text, YD_NOTE_SIZE_MAX}};
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_DESCRIPTION), 0);
    note.notes = YD_STR("y"); /* with what is there it is too much */
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_NOTES), YD_ETOOBIG);
    note.description.size = 1;
    assert_int_equal(yd_history_note(history, &note, YD_NOTE_DESCRIPTION | YD_NOTE_NOTES), 0);
    assert_string_equal(all_of(history, &buf), "* 1-0 x/y/|");
    free(text);
    yd_buf_fini(&buf);
    yd_history_destroy(history);
}

static void the_oldest_make_room(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    for (int64_t at = 0; at < YD_NOTES_MAX + 2; at++) {
        struct yd_note note = {.global = true, .start_ns = at + 7};
        assert_int_equal(yd_history_note(history, &note, 0), 0);
    }
    assert_int_equal(yd_history_notes_lost(history), 2);
    yd_history_notes(history, true, 0, 0, 9, add_text, &buf);
    yd_buf_char(&buf, 0);
    assert_string_equal(buf.data, "* 9-0 //|");
    yd_buf_fini(&buf);
    yd_history_destroy(history);
}

/* ---- a model: a plain array, by the same changes ---- */

#define SERIES 5 /* the last one stands for global */
#define TIMES  12
struct plain {
    bool there;
    int64_t end;
    char texts[3][8];
};
struct change {
    struct yd_note note;
    unsigned given;
    char texts[3][8];
};

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}

static void any_change(struct change *change, uint64_t *seed)
{
    uint64_t series = next(seed) % SERIES;
    *change = (struct change){.given = (unsigned)(next(seed) % (YD_NOTE_REPLACE * 2))};
    if (next(seed) % 8 == 0) change->given = YD_NOTE_DELETE;
    struct yd_str *texts[] = {&change->note.description, &change->note.notes, &change->note.custom};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(change->texts[i], sizeof change->texts[i], "%llu", (unsigned long long)next(seed) % 1000);
        *texts[i] = yd_str_of(change->texts[i]);
    }
    change->note.global = series == SERIES - 1;
    change->note.tsuid = change->note.global ? 0 : series;
    change->note.start_ns = (int64_t)(next(seed) % TIMES);
    change->note.end_ns = change->note.start_ns + (int64_t)(next(seed) % 3);
}

static void plain_change(struct plain plain[SERIES][TIMES], const struct change *change)
{
    struct plain *row = plain[change->note.global ? SERIES - 1 : change->note.tsuid];
    struct plain *at = &row[change->note.start_ns];
    if (change->given & YD_NOTE_DELETE) {
        for (int64_t t = change->note.start_ns; t <= change->note.end_ns && t < TIMES; t++) row[t] = (struct plain){0};
        return;
    }
    if (change->given & YD_NOTE_REPLACE) *at = (struct plain){0};
    at->there = true;
    if (change->given & YD_NOTE_END) at->end = change->note.end_ns;
    for (int i = 0; i < 3; i++)
        if (change->given & ((unsigned)YD_NOTE_DESCRIPTION << i)) memcpy(at->texts[i], change->texts[i], 8);
}

static void expect(struct yd_history *history, struct plain plain[SERIES][TIMES], struct yd_buf *got,
                   struct yd_buf *want)
{
    yd_buf_clear(want);
    for (int i = 0; i < SERIES; i++) {
        int series = (i + SERIES - 1) % SERIES;
        for (int64_t t = 0; t < TIMES; t++) {
            const struct plain *one = &plain[series][t];
            struct yd_note note = {.global = i == 0,
                                   .tsuid = (uint64_t)series,
                                   .start_ns = t,
                                   .end_ns = one->end,
                                   .description = yd_str_of(one->texts[0]),
                                   .notes = yd_str_of(one->texts[1]),
                                   .custom = yd_str_of(one->texts[2])};
            if (one->there) add_text(want, &note);
        }
    }
    yd_buf_char(want, 0);
    assert_string_equal(all_of(history, got), want->data);
}

static struct yd_history *reloaded(struct yd_history *history, int64_t from)
{
    struct yd_history *again = test_history(&(struct yd_history_options){0});
    struct yd_buf file;
    uint32_t damaged;
    yd_buf_init(&file, NULL);
    assert_int_equal(yd_history_notes_save(history, from, &file), 0);
    assert_false(yd_history_notes_changed(history));
    assert_int_equal(yd_history_notes_load(again, yd_buf_view(&file), &damaged), 0);
    assert_int_equal(damaged, 0);
    assert_false(yd_history_notes_changed(again));
    yd_buf_fini(&file);
    yd_history_destroy(history);
    return again;
}

static void any_changes_through_records_files_and_replays_equal_a_plain_list(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct plain plain[SERIES][TIMES] = {0};
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_buf got, want;
    struct change changes[40];
    yd_buf_init(&got, NULL);
    yd_buf_init(&want, NULL);
    for (int round = 0; round < 60; round++) {
        struct yd_builder *builder = test_builder();
        struct yd_batch *batch;
        for (unsigned i = 0; i < YD_COUNT(changes); i++) {
            any_change(&changes[i], &seed);
            plain_change(plain, &changes[i]);
            assert_true(yd_note_put(builder, YD_STR(""), &changes[i].note, changes[i].given) >= 0);
        }
        assert_true(yd_builder_seal(builder, &batch) >= 0);
        /* Once, or as after a crash: its end again, over a state that has it. */
        for (uint32_t from = 0; from < YD_COUNT(changes); from += 1 + (uint32_t)(next(&seed) % YD_COUNT(changes))) {
            for (uint32_t i = from; i < batch->view.count; i++) {
                struct yd_note note;
                unsigned given;
                assert_true(yd_note_named(yd_view_name(&batch->view, batch->view.records[i].name)));
                assert_true(yd_note_read(&batch->view, i, &note, &given));
                assert_int_equal(yd_history_note(history, &note, given), 0);
            }
        }
        expect(history, plain, &got, &want);
        if (round % 4 == 0) history = reloaded(history, INT64_MIN);
        expect(history, plain, &got, &want);
        yd_batch_unref(batch);
        yd_builder_destroy(builder);
    }
    /* What is too old goes with the next file. */
    for (int series = 0; series < SERIES; series++)
        for (int64_t t = 0; t < 6; t++) plain[series][t] = (struct plain){0};
    history = reloaded(history, 6);
    expect(history, plain, &got, &want);
    struct yd_pattern *pattern;
    assert_int_equal(yd_pattern_compile(YD_STR(YD_NOTE_NAME " tsuid=0000000000000002"), &pattern), 0);
    yd_history_notes_forget(history, pattern);
    memset(plain[2], 0, sizeof plain[2]);
    expect(history, plain, &got, &want);
    yd_pattern_destroy(pattern);
    yd_buf_fini(&got);
    yd_buf_fini(&want);
    yd_history_destroy(history);
}

static void a_damaged_byte_of_the_file_costs_one_annotation_at_most(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_buf file;
    yd_buf_init(&file, NULL);
    for (int64_t at = 1; at <= 4; at++) {
        struct yd_note note = {.global = true, .start_ns = at, .description = YD_STR("some text")};
        assert_int_equal(yd_history_note(history, &note, ALL), 0);
    }
    assert_int_equal(yd_history_notes_save(history, INT64_MIN, &file), 0);
    size_t head = 16, each = (file.size - head) / 4;
    for (size_t at = 0; at < file.size; at++) {
        struct yd_history *again = test_history(&(struct yd_history_options){0});
        uint32_t damaged = 0;
        file.data[at] ^= 0x10;
        int r = yd_history_notes_load(again, yd_buf_view(&file), &damaged);
        bool of_size = at >= head && (at - head) % each < 4; /* then the next ones are not found */
        assert_true(at < head ? r == YD_EFORMAT : r == 0 && (of_size ? damaged >= 1 : damaged == 1));
        assert_true(at < head || yd_history_notes_changed(again));
        file.data[at] ^= 0x10;
        yd_history_destroy(again);
    }
    for (size_t size = 0; size < file.size; size++) { /* cut */
        struct yd_history *again = test_history(&(struct yd_history_options){0});
        uint32_t damaged = 0;
        int r = yd_history_notes_load(again, (struct yd_str){file.data, size}, &damaged);
        assert_true(size < head ? r == YD_EFORMAT : r == 0 && damaged == 4 - (size - head) / each);
        yd_history_destroy(again);
    }
    yd_buf_fini(&file);
    yd_history_destroy(history);
}

static void every_failed_allocation_leaves_what_was_there(void **state)
{
    (void)state;
    struct yd_alloc_failing failing;
    yd_alloc_failing_init(&failing, 0);
    struct yd_history *history = test_history(&(struct yd_history_options){.alloc = &failing.alloc});
    struct yd_buf buf;
    yd_buf_init(&buf, NULL);
    struct yd_note note = {.global = true, .start_ns = 1, .description = YD_STR("a")};
    assert_int_equal(yd_history_note(history, &note, ALL), 0);
    for (int64_t at = 2; at < 200; at++) {
        int r = YD_ENOMEM;
        note.start_ns = at;
        for (uint64_t fail_at = 1; r < 0; fail_at++) {
            failing.calls = 0;
            failing.fail_at = fail_at;
            r = yd_history_note(history, &note, ALL);
            failing.fail_at = 0;
            if (r < 0) assert_int_equal(r, YD_ENOMEM);
        }
    }
    yd_history_notes(history, true, 0, 199, 500, add_text, &buf);
    yd_buf_char(&buf, 0);
    assert_string_equal(buf.data, "* 199-0 a//|");
    yd_buf_fini(&buf);
    yd_history_destroy(history);
    assert_true(failing.bytes_out == 0);
}

/* A series' annotations go the way of its points: all with it, or those before the time that is forgotten. */
static void what_is_forgotten_of_a_series_takes_its_annotations_along(void **state)
{
    (void)state;
    struct yd_history *history = test_history(&(struct yd_history_options){0});
    struct yd_builder *builder = test_builder();
    const char *names[] = {"m host=a", "m host=b", "m host=c"};
    const int64_t starts[] = {INT64_MIN, 1, 299, 300, INT64_MAX};
    const int left[] = {2, 0, 0}; /* of a those from 300 on */
    struct yd_pattern *pattern;
    struct yd_buf buf;
    uint32_t index;
    uint64_t gone;
    yd_buf_init(&buf, NULL);
    for (unsigned i = 0; i < YD_COUNT(names); i++) {
        test_i64(builder, names[i], 100, 1);
        test_i64(builder, names[i], 500, 2);
        for (unsigned k = 0; k < YD_COUNT(starts); k++) {
            struct yd_note note = {.tsuid = yd_history_tsuid(yd_str_of(names[i])), .start_ns = starts[k]};
            assert_int_equal(yd_history_note(history, &note, 0), 0);
        }
    }
    struct yd_note everywhere = {.global = true, .start_ns = 7}, other = {.tsuid = 3, .start_ns = 8};
    assert_int_equal(yd_history_note(history, &everywhere, 0), 0);
    assert_int_equal(yd_history_note(history, &other, 0), 0);
    test_fold(history, builder);
    assert_int_equal(yd_history_notes_save(history, INT64_MIN, &buf), 0);
    assert_int_equal(yd_pattern_compile(YD_STR("m host=a"), &pattern), 0);
    assert_int_equal(yd_history_forget(history, pattern, INT64_MIN, &gone), 0); /* nothing is before that */
    assert_false(yd_history_notes_changed(history));
    assert_int_equal(yd_history_forget(history, pattern, 300, &gone), 0);
    assert_true(yd_history_notes_changed(history));
    yd_pattern_destroy(pattern);
    assert_int_equal(yd_pattern_compile(YD_STR("m host=b"), &pattern), 0);
    assert_int_equal(yd_history_forget(history, pattern, INT64_MAX, &gone), 0);
    yd_pattern_destroy(pattern);
    assert_true(yd_builder_name(builder, yd_str_of(names[2]), &index) >= 0); /* by a record of its name */
    assert_true(
        yd_builder_add(builder, 600, index, YD_SAMPLE, YD_I64, YD_RECORD_TOMBSTONE, (union yd_value){.i64 = 0}) >= 0);
    test_fold(history, builder);
    for (unsigned i = 0; i < YD_COUNT(names); i++) {
        int count = 0;
        yd_buf_clear(&buf);
        yd_history_notes(history, false, yd_history_tsuid(yd_str_of(names[i])), INT64_MIN, INT64_MAX, add_text, &buf);
        for (size_t k = 0; k < buf.size; k++) count += buf.data[k] == '|';
        assert_int_equal(count, left[i]);
    }
    assert_string_equal(all_of(history, &buf), "* 7-0 //|3 8-0 //|");
    yd_buf_fini(&buf);
    yd_builder_destroy(builder);
    yd_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_keep_what_they_do_not_say_and_replacements_do_not),
        cmocka_unit_test(too_large_a_text_is_refused_and_changes_nothing),
        cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(any_changes_through_records_files_and_replays_equal_a_plain_list),
        cmocka_unit_test(a_damaged_byte_of_the_file_costs_one_annotation_at_most),
        cmocka_unit_test(every_failed_allocation_leaves_what_was_there),
        cmocka_unit_test(what_is_forgotten_of_a_series_takes_its_annotations_along),
    };
    return cmocka_run_group_tests_name("store/notes", tests, NULL, NULL);
}
