/* Graphite's pickles: every rule and edge case that elements/pickle_frames.h names. */
#include "elements/pickle_frames.h"

#include "testing.h"

#define NOW        INT64_C(1000000000000000007)
#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

/* By pickle.dumps of Python 3.11: eight points in protocols 0 to 5; a name of bytes; an object that calls os.system. */
/* clang-format off */
static const char protocol_0[] =
    "\x28\x6c\x70\x30\x0a\x28\x56\x61\x2e\x62\x0a\x70\x31\x0a\x28\x49\x31\x37\x30\x30\x30\x30\x30\x30"
    "\x30\x30\x0a\x46\x31\x2e\x35\x0a\x74\x70\x32\x0a\x74\x70\x33\x0a\x61\x28\x56\x63\x3b\x74\x3d\x76"
    "\x0a\x70\x34\x0a\x28\x6c\x70\x35\x0a\x46\x31\x37\x30\x30\x30\x30\x30\x30\x30\x31\x2e\x39\x0a\x61"
    "\x49\x2d\x32\x0a\x61\x74\x70\x36\x0a\x61\x28\x6c\x70\x37\x0a\x67\x31\x0a\x61\x28\x49\x31\x37\x30"
    "\x30\x30\x30\x30\x30\x30\x32\x0a\x56\x33\x2e\x32\x35\x0a\x70\x38\x0a\x74\x70\x39\x0a\x61\x61\x28"
    "\x56\x64\xe4\x0a\x70\x31\x30\x0a\x28\x56\x31\x37\x30\x30\x30\x30\x30\x30\x30\x33\x0a\x70\x31\x31"
    "\x0a\x4c\x34\x36\x31\x31\x36\x38\x36\x30\x31\x38\x34\x32\x37\x33\x38\x37\x39\x30\x34\x4c\x0a\x74"
    "\x70\x31\x32\x0a\x74\x70\x31\x33\x0a\x61\x28\x56\x65\x0a\x70\x31\x34\x0a\x28\x49\x31\x37\x30\x30"
    "\x30\x30\x30\x30\x30\x34\x0a\x4c\x2d\x31\x31\x38\x30\x35\x39\x31\x36\x32\x30\x37\x31\x37\x34\x31"
    "\x31\x33\x30\x33\x34\x32\x34\x4c\x0a\x74\x70\x31\x35\x0a\x74\x70\x31\x36\x0a\x61\x28\x56\x66\x0a"
    "\x70\x31\x37\x0a\x28\x49\x31\x37\x30\x30\x30\x30\x30\x30\x30\x35\x0a\x49\x30\x31\x0a\x74\x70\x31"
    "\x38\x0a\x74\x70\x31\x39\x0a\x61\x28\x56\x67\x0a\x70\x32\x30\x0a\x28\x49\x31\x37\x30\x30\x30\x30"
    "\x30\x30\x30\x36\x0a\x49\x33\x30\x30\x0a\x74\x70\x32\x31\x0a\x74\x70\x32\x32\x0a\x61\x28\x56\x68"
    "\x0a\x70\x32\x33\x0a\x28\x49\x31\x37\x30\x30\x30\x30\x30\x30\x30\x37\x0a\x49\x37\x30\x30\x30\x30"
    "\x0a\x74\x70\x32\x34\x0a\x74\x70\x32\x35\x0a\x61\x2e";
static const char protocol_1[] =
    "\x5d\x71\x00\x28\x28\x58\x03\x00\x00\x00\x61\x2e\x62\x71\x01\x28\x4a\x00\xf1\x53\x65\x47\x3f\xf8"
    "\x00\x00\x00\x00\x00\x00\x74\x71\x02\x74\x71\x03\x28\x58\x05\x00\x00\x00\x63\x3b\x74\x3d\x76\x71"
    "\x04\x5d\x71\x05\x28\x47\x41\xd9\x54\xfc\x40\x79\x99\x9a\x4a\xfe\xff\xff\xff\x65\x74\x71\x06\x5d"
    "\x71\x07\x28\x68\x01\x28\x4a\x02\xf1\x53\x65\x58\x04\x00\x00\x00\x33\x2e\x32\x35\x71\x08\x74\x71"
    "\x09\x65\x28\x58\x03\x00\x00\x00\x64\xc3\xa4\x71\x0a\x28\x58\x0a\x00\x00\x00\x31\x37\x30\x30\x30"
    "\x30\x30\x30\x30\x33\x71\x0b\x4c\x34\x36\x31\x31\x36\x38\x36\x30\x31\x38\x34\x32\x37\x33\x38\x37"
    "\x39\x30\x34\x4c\x0a\x74\x71\x0c\x74\x71\x0d\x28\x58\x01\x00\x00\x00\x65\x71\x0e\x28\x4a\x04\xf1"
    "\x53\x65\x4c\x2d\x31\x31\x38\x30\x35\x39\x31\x36\x32\x30\x37\x31\x37\x34\x31\x31\x33\x30\x33\x34"
    "\x32\x34\x4c\x0a\x74\x71\x0f\x74\x71\x10\x28\x58\x01\x00\x00\x00\x66\x71\x11\x28\x4a\x05\xf1\x53"
    "\x65\x49\x30\x31\x0a\x74\x71\x12\x74\x71\x13\x28\x58\x01\x00\x00\x00\x67\x71\x14\x28\x4a\x06\xf1"
    "\x53\x65\x4d\x2c\x01\x74\x71\x15\x74\x71\x16\x28\x58\x01\x00\x00\x00\x68\x71\x17\x28\x4a\x07\xf1"
    "\x53\x65\x4a\x70\x11\x01\x00\x74\x71\x18\x74\x71\x19\x65\x2e";
static const char protocol_2[] =
    "\x80\x02\x5d\x71\x00\x28\x58\x03\x00\x00\x00\x61\x2e\x62\x71\x01\x4a\x00\xf1\x53\x65\x47\x3f\xf8"
    "\x00\x00\x00\x00\x00\x00\x86\x71\x02\x86\x71\x03\x58\x05\x00\x00\x00\x63\x3b\x74\x3d\x76\x71\x04"
    "\x5d\x71\x05\x28\x47\x41\xd9\x54\xfc\x40\x79\x99\x9a\x4a\xfe\xff\xff\xff\x65\x86\x71\x06\x5d\x71"
    "\x07\x28\x68\x01\x4a\x02\xf1\x53\x65\x58\x04\x00\x00\x00\x33\x2e\x32\x35\x71\x08\x86\x71\x09\x65"
    "\x58\x03\x00\x00\x00\x64\xc3\xa4\x71\x0a\x58\x0a\x00\x00\x00\x31\x37\x30\x30\x30\x30\x30\x30\x30"
    "\x33\x71\x0b\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86\x71\x0c\x86\x71\x0d\x58\x01\x00\x00\x00"
    "\x65\x71\x0e\x4a\x04\xf1\x53\x65\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0\x86\x71\x0f\x86\x71"
    "\x10\x58\x01\x00\x00\x00\x66\x71\x11\x4a\x05\xf1\x53\x65\x88\x86\x71\x12\x86\x71\x13\x58\x01\x00"
    "\x00\x00\x67\x71\x14\x4a\x06\xf1\x53\x65\x4d\x2c\x01\x86\x71\x15\x86\x71\x16\x58\x01\x00\x00\x00"
    "\x68\x71\x17\x4a\x07\xf1\x53\x65\x4a\x70\x11\x01\x00\x86\x71\x18\x86\x71\x19\x65\x2e";
static const char protocol_3[] =
    "\x80\x03\x5d\x71\x00\x28\x58\x03\x00\x00\x00\x61\x2e\x62\x71\x01\x4a\x00\xf1\x53\x65\x47\x3f\xf8"
    "\x00\x00\x00\x00\x00\x00\x86\x71\x02\x86\x71\x03\x58\x05\x00\x00\x00\x63\x3b\x74\x3d\x76\x71\x04"
    "\x5d\x71\x05\x28\x47\x41\xd9\x54\xfc\x40\x79\x99\x9a\x4a\xfe\xff\xff\xff\x65\x86\x71\x06\x5d\x71"
    "\x07\x28\x68\x01\x4a\x02\xf1\x53\x65\x58\x04\x00\x00\x00\x33\x2e\x32\x35\x71\x08\x86\x71\x09\x65"
    "\x58\x03\x00\x00\x00\x64\xc3\xa4\x71\x0a\x58\x0a\x00\x00\x00\x31\x37\x30\x30\x30\x30\x30\x30\x30"
    "\x33\x71\x0b\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86\x71\x0c\x86\x71\x0d\x58\x01\x00\x00\x00"
    "\x65\x71\x0e\x4a\x04\xf1\x53\x65\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0\x86\x71\x0f\x86\x71"
    "\x10\x58\x01\x00\x00\x00\x66\x71\x11\x4a\x05\xf1\x53\x65\x88\x86\x71\x12\x86\x71\x13\x58\x01\x00"
    "\x00\x00\x67\x71\x14\x4a\x06\xf1\x53\x65\x4d\x2c\x01\x86\x71\x15\x86\x71\x16\x58\x01\x00\x00\x00"
    "\x68\x71\x17\x4a\x07\xf1\x53\x65\x4a\x70\x11\x01\x00\x86\x71\x18\x86\x71\x19\x65\x2e";
static const char protocol_4[] =
    "\x80\x04\x95\xb6\x00\x00\x00\x00\x00\x00\x00\x5d\x94\x28\x8c\x03\x61\x2e\x62\x94\x4a\x00\xf1\x53"
    "\x65\x47\x3f\xf8\x00\x00\x00\x00\x00\x00\x86\x94\x86\x94\x8c\x05\x63\x3b\x74\x3d\x76\x94\x5d\x94"
    "\x28\x47\x41\xd9\x54\xfc\x40\x79\x99\x9a\x4a\xfe\xff\xff\xff\x65\x86\x94\x5d\x94\x28\x68\x01\x4a"
    "\x02\xf1\x53\x65\x8c\x04\x33\x2e\x32\x35\x94\x86\x94\x65\x8c\x03\x64\xc3\xa4\x94\x8c\x0a\x31\x37"
    "\x30\x30\x30\x30\x30\x30\x30\x33\x94\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86\x94\x86\x94\x8c"
    "\x01\x65\x94\x4a\x04\xf1\x53\x65\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0\x86\x94\x86\x94\x8c"
    "\x01\x66\x94\x4a\x05\xf1\x53\x65\x88\x86\x94\x86\x94\x8c\x01\x67\x94\x4a\x06\xf1\x53\x65\x4d\x2c"
    "\x01\x86\x94\x86\x94\x8c\x01\x68\x94\x4a\x07\xf1\x53\x65\x4a\x70\x11\x01\x00\x86\x94\x86\x94\x65"
    "\x2e";
static const char protocol_5[] =
    "\x80\x05\x95\xb6\x00\x00\x00\x00\x00\x00\x00\x5d\x94\x28\x8c\x03\x61\x2e\x62\x94\x4a\x00\xf1\x53"
    "\x65\x47\x3f\xf8\x00\x00\x00\x00\x00\x00\x86\x94\x86\x94\x8c\x05\x63\x3b\x74\x3d\x76\x94\x5d\x94"
    "\x28\x47\x41\xd9\x54\xfc\x40\x79\x99\x9a\x4a\xfe\xff\xff\xff\x65\x86\x94\x5d\x94\x28\x68\x01\x4a"
    "\x02\xf1\x53\x65\x8c\x04\x33\x2e\x32\x35\x94\x86\x94\x65\x8c\x03\x64\xc3\xa4\x94\x8c\x0a\x31\x37"
    "\x30\x30\x30\x30\x30\x30\x30\x33\x94\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x86\x94\x86\x94\x8c"
    "\x01\x65\x94\x4a\x04\xf1\x53\x65\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0\x86\x94\x86\x94\x8c"
    "\x01\x66\x94\x4a\x05\xf1\x53\x65\x88\x86\x94\x86\x94\x8c\x01\x67\x94\x4a\x06\xf1\x53\x65\x4d\x2c"
    "\x01\x86\x94\x86\x94\x8c\x01\x68\x94\x4a\x07\xf1\x53\x65\x4a\x70\x11\x01\x00\x86\x94\x86\x94\x65"
    "\x2e";
static const char bytes_3[] =
    "\x80\x03\x5d\x71\x00\x43\x0a\x62\x79\x74\x65\x73\x2e\x6e\x61\x6d\x65\x71\x01\x4b\x01\x4b\x02\x86"
    "\x71\x02\x86\x71\x03\x61\x2e";
static const char bytes_4[] =
    "\x80\x04\x95\x19\x00\x00\x00\x00\x00\x00\x00\x5d\x94\x43\x0a\x62\x79\x74\x65\x73\x2e\x6e\x61\x6d"
    "\x65\x94\x4b\x01\x4b\x02\x86\x94\x86\x94\x61\x2e";
static const char code_0[] =
    "\x28\x6c\x70\x30\x0a\x28\x56\x61\x0a\x70\x31\x0a\x28\x49\x31\x0a\x49\x32\x0a\x74\x70\x32\x0a\x74"
    "\x70\x33\x0a\x61\x63\x70\x6f\x73\x69\x78\x0a\x73\x79\x73\x74\x65\x6d\x0a\x70\x34\x0a\x28\x56\x74"
    "\x6f\x75\x63\x68\x20\x2f\x74\x6d\x70\x2f\x6f\x77\x6e\x65\x64\x0a\x70\x35\x0a\x74\x70\x36\x0a\x52"
    "\x70\x37\x0a\x61\x2e";
static const char code_2[] =
    "\x80\x02\x5d\x71\x00\x28\x58\x01\x00\x00\x00\x61\x71\x01\x4b\x01\x4b\x02\x86\x71\x02\x86\x71\x03"
    "\x63\x70\x6f\x73\x69\x78\x0a\x73\x79\x73\x74\x65\x6d\x0a\x71\x04\x58\x10\x00\x00\x00\x74\x6f\x75"
    "\x63\x68\x20\x2f\x74\x6d\x70\x2f\x6f\x77\x6e\x65\x64\x71\x05\x85\x71\x06\x52\x71\x07\x65\x2e";
static const char code_4[] =
    "\x80\x04\x95\x3b\x00\x00\x00\x00\x00\x00\x00\x5d\x94\x28\x8c\x01\x61\x94\x4b\x01\x4b\x02\x86\x94"
    "\x86\x94\x8c\x05\x70\x6f\x73\x69\x78\x94\x8c\x06\x73\x79\x73\x74\x65\x6d\x94\x93\x94\x8c\x10\x74"
    "\x6f\x75\x63\x68\x20\x2f\x74\x6d\x70\x2f\x6f\x77\x6e\x65\x64\x94\x85\x94\x52\x94\x65\x2e";
/* clang-format on */

#define BYTES(array) ((struct yd_str){array, sizeof array - 1})

struct said {
    struct yd_buf records, others;
    uint64_t taken, rejected;
};

static void take(void *arg, struct yd_batch *batch)
{
    struct said *said = arg;
    struct yd_view view;
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        char number[32];
        assert_int_equal(record->kind, YD_SAMPLE);
        assert_int_equal(record->type, YD_F64);
        if (said->records.size) yd_buf_cstr(&said->records, "; ");
        if (record->time_ns == NOW)
            yd_buf_cstr(&said->records, "now ");
        else
            yd_buf_printf(&said->records, "%lld ", (long long)(record->time_ns / YD_NS_PER_S));
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        yd_buf_add(&said->records, number, yd_text_put_f64(number, record->value.f64));
    }
    said->taken += view.count;
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_pickle_reason reason, uint64_t records, struct yd_str sample)
{
    struct said *said = arg;
    (void)sample;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_printf(&said->others, "%s", yd_pickle_reasons[reason]);
    said->rejected += records;
}

static struct yd_pickle *open_pickle(struct said *said, size_t batch_bytes, struct yd_alloc *alloc)
{
    struct yd_pickle *pickle = NULL;
    *said = (struct said){.taken = 0};
    yd_buf_init(&said->records, NULL);
    yd_buf_init(&said->others, NULL);
    struct yd_pickle_options options = {
        .sink = {said, take, refuse}, .batch_bytes = batch_bytes, .seed = 7, .alloc = alloc};
    int r = yd_pickle_create(&options, &pickle);
    assert_true(r == 0 || alloc);
    return pickle;
}

static void close_pickle(struct yd_pickle *pickle, struct said *said)
{
    yd_pickle_destroy(pickle);
    yd_buf_fini(&said->records);
    yd_buf_fini(&said->others);
}

static void expect(struct yd_str text, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said;
    struct yd_pickle *pickle = open_pickle(&said, 0, NULL);
    char *copy = malloc(text.size ? text.size : 1);
    memcpy(copy, text.data, text.size);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        yd_pickle_parse(pickle, (struct yd_str){copy, text.size}, NOW);
        yd_pickle_flush(pickle);
        yd_buf_char(&said.records, 0);
        yd_buf_char(&said.others, 0);
        assert_string_equal(said.records.data, records);
        assert_string_equal(said.others.data, others);
    }
    free(copy);
    close_pickle(pickle, &said);
}

TEST(all_protocols_of_python_say_the_same)
{
    UNUSED;
    static const struct yd_str all[] = {{protocol_0, sizeof protocol_0 - 1}, {protocol_1, sizeof protocol_1 - 1},
                                        {protocol_2, sizeof protocol_2 - 1}, {protocol_3, sizeof protocol_3 - 1},
                                        {protocol_4, sizeof protocol_4 - 1}, {protocol_5, sizeof protocol_5 - 1}};
    for (size_t i = 0; i < YD_COUNT(all); i++)
        expect(
            all[i],
            "1700000000 a.b 1.5; 1700000001 c t=v -2; 1700000002 a.b 3.25; 1700000003 d\xc3\xa4 4611686018427388000; "
            "1700000004 e -1.1805916207174113e21; 1700000005 f 1; 1700000006 g 300; 1700000007 h 70000",
            "");
}

TEST(names_may_be_bytes_and_python_2_strings)
{
    UNUSED;
    expect(BYTES(bytes_3), "1 bytes.name 2", "");
    expect(BYTES(bytes_4), "1 bytes.name 2", "");
    expect(YD_STR("(lp0\n(S'it\\'s\\x41\\\\'\np1\n(I5\nF2.5\ntp2\ntp3\na."), "5 it'sA\\\\ 2.5", "");
    expect(YD_STR("\x80\x02]q\x01U\x01"
                  "aq\x02K\x05G?\xf8\0\0\0\0\0\0\x86q\x03\x86q\x04"
                  "a."),
           "5 a 1.5", "");
    expect(YD_STR("(l(V\\u00e4\\U0001f600\xe4\n(I5\nI1\ntta."), "5 \xc3\xa4\xf0\x9f\x98\x80\xc3\xa4 1", "");
}

TEST(code_is_refused_wherever_it_stands)
{
    UNUSED;
    expect(BYTES(code_0), "", "pickle with code refused");
    expect(BYTES(code_2), "", "pickle with code refused");
    expect(BYTES(code_4), "", "pickle with code refused");
    static const char codes[] = "cRbioPQ\x81\x82\x83\x84\x92\x93";
    for (size_t i = 0; codes[i]; i++) {
        char text[] = "(l(S'a'\n(I1\nI2\ntta?.";
        text[sizeof text - 3] = codes[i];
        expect((struct yd_str){text, sizeof text - 1}, "", "pickle with code refused");
    }
}

TEST(what_is_no_pickle_is_refused_whole)
{
    UNUSED;
    static const struct yd_str bad[] = {
        {"", 0},
        {".", 1},                       /* nothing on the stack */
        {"\0", 1},                      /* no such code */
        {"}.", 2},                      /* a dictionary */
        {"]", 1},                       /* no end */
        {"]].", 3},                     /* two results */
        {"].x", 3},                     /* bytes behind the end */
        {"(.", 2},                      /* a mark as the result */
        {"t.", 2},                      /* no mark */
        {"l.", 2},                      /* likewise */
        {"e.", 2},                      /* likewise */
        {"1.", 2},                      /* likewise */
        {"(e.", 3},                     /* no list under it */
        {"Na.", 3},                     /* likewise */
        {"a.", 2},                      /* nothing there */
        {")Na.", 4},                    /* a tuple cannot grow */
        {"NNa.", 4},                    /* None neither */
        {"0.", 2},                      /* nothing to take off */
        {"2.", 2},                      /* nothing to double */
        {"(2.", 3},                     /* a mark */
        {"N\x86.", 3},                  /* a pair of one */
        {"((\x85.", 4},                 /* a tuple of a mark */
        {"g0\n.", 4},                   /* a memo that is empty */
        {"]p9999\n.", 8},               /* far beyond what can be */
        {"]r\xff\xff\xff\xff.", 7},     /* likewise */
        {"]p-1\n.", 6},                 /* no index */
        {"(q\0.", 4},                   /* a mark kept */
        {"I5", 2},                      /* a line without an end */
        {"I5x\n.", 5},                  /* no number */
        {"K", 1},                       /* a number that is cut */
        {"\x8a\x05\1.", 4},             /* likewise */
        {"\x8b\xff\xff\xff\xff\1.", 7}, /* likewise */
        {"G\0\0.", 4},                  /* likewise */
        {"X\xff\xff\xff\xff"
         "ab.",
         8}, /* a text that is cut */
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
         "ab.",
         12},                    /* likewise, of 2^64 bytes */
        {"Sab\n.", 5},           /* no quotes */
        {"S'ab\\'\n.", 8},       /* they do not close */
        {"S'\\x4'\n.", 8},       /* half an escape */
        {"V\\u12\n.", 7},        /* likewise */
        {"V\\Uffffffff\n.", 13}, /* beyond Unicode */
        {"\x80", 1},
        {"\x95\0", 2},
    };
    for (size_t i = 0; i < YD_COUNT(bad); i++) expect(bad[i], "", "bad pickle");
}

TEST(what_is_no_point_costs_itself_only)
{
    UNUSED;
    expect(YD_STR("I1\n."), "", "not a point");
    expect(YD_STR("]."), "", "");
    expect(YD_STR("(lNaI1\na)aS'a'\na(S'a'\nta(S'a'\nI1\nta(S'a'\n(I1\ntta(S'a'\n(I1\nI2\nI3\ntta(I1\n(I1\nI2\ntta"
                  "(S'b'\n(I1\nI2\ntta."),
           "1 b 2",
           "not a point; not a point; not a point; not a point; not a point; not a point; not a point; not a point; "
           "not a point");
    expect(YD_STR("(l(S'a'\n(I1\nNtta(S'a'\n(I1\nS'x'\ntta(S'a'\n(I1\nFnan\ntta(S'a'\n(I1\nF-inf\ntta"
                  "(S'a'\n(NI1\ntta(S'a'\n(I-2\nI1\ntta(S'a'\n(Fnan\nI1\ntta(S'a'\n(F1e300\nI1\ntta"
                  "(S''\n(I1\nI1\ntta(S'\\xff'\n(I1\nI1\ntta(S'a\\n'\n(I1\nI1\ntta(S'a;b'\n(I1\nI1\ntta"
                  "(S'b'\n(I1\nI2\ntta."),
           "1 b 2",
           "bad value; bad value; value not finite; value not finite; bad timestamp; bad timestamp; bad timestamp; "
           "bad timestamp; bad name; name not UTF-8; bad name; bad name");
}

TEST(times_are_cut_and_minus_one_and_zero_are_now)
{
    UNUSED;
    expect(YD_STR("(l(S'a'\n(F5.9\nI1\ntta(S'a'\n(I-1\nI2\ntta(S'a'\n(I0\nI3\ntta(S'a'\n(S'7'\nI4\ntta."),
           "5 a 1; now a 2; now a 3; 7 a 4", "");
}

TEST(longs_of_any_size_are_numbers)
{
    UNUSED;
    expect(YD_STR("(l(S'a'\n(I1\n\x8a\0tta(S'b'\n(I1\n\x8a\1\xfftta(S'c'\n(I1\n\x8a\2\xff\0tta"
                  "(S'd'\n(I1\nL-12345678901234567890123L\ntta(S'e'\n(I1\nJ\xfe\xff\xff\xfftta."),
           "1 a 0; 1 b -1; 1 c 255; 1 d -1.2345678901234568e22; 1 e -2", "");
}

TEST(a_list_that_holds_itself_ends)
{
    UNUSED;
    expect(YD_STR("]q\0(h\0h\0e."), "", "not a point; not a point");
    expect(YD_STR("]q\0h\0a."), "", "not a point");
    expect(YD_STR("]q\0((S'a'\n(h\0I1\ntth\0h\0\x86"
                  "e."),
           "", "bad timestamp; not a point");
}

static void put_frame(struct yd_buf *to, struct yd_str text)
{
    const unsigned char size[] = {(unsigned char)(text.size >> 24), (unsigned char)(text.size >> 16),
                                  (unsigned char)(text.size >> 8), (unsigned char)text.size};
    yd_buf_add(to, size, 4);
    yd_buf_str(to, text);
}

TEST(frames_are_taken_whole_and_a_bad_one_costs_itself)
{
    UNUSED;
    struct said said;
    struct yd_buf frames;
    struct yd_pickle *pickle = open_pickle(&said, 0, NULL);
    size_t used, at = 0;
    yd_buf_init(&frames, NULL);
    put_frame(&frames, YD_STR("(l(S'a'\n(I1\nI2\ntta."));
    put_frame(&frames, YD_STR("junk"));
    put_frame(&frames, YD_STR(""));
    put_frame(&frames, YD_STR("(l(S'b'\n(I1\nI3\ntta."));
    for (size_t have = 1; have <= frames.size; have++) { /* a byte at a time */
        assert_int_equal(yd_pickle_take(pickle, (struct yd_str){frames.data + at, have - at}, NOW, &used), 0);
        at += used;
    }
    assert_int_equal(at, frames.size);
    yd_pickle_flush(pickle);
    yd_buf_char(&said.records, 0);
    yd_buf_char(&said.others, 0);
    assert_string_equal(said.records.data, "1 a 2; 1 b 3");
    assert_string_equal(said.others.data, "bad pickle; bad pickle");
    yd_buf_fini(&frames);
    close_pickle(pickle, &said);
}

TEST(a_frame_that_says_it_is_too_large_ends_all)
{
    UNUSED;
    struct said said;
    struct yd_pickle *pickle = open_pickle(&said, 0, NULL);
    size_t used;
    assert_int_equal(yd_pickle_take(pickle, YD_STR("\0\x10\0\0"), NOW, &used), 0); /* a MiB: may come */
    assert_int_equal(used, 0);
    assert_int_equal(yd_pickle_take(pickle, YD_STR("\0\0\0\2].\0\x10\0\1"), NOW, &used), YD_ETOOBIG);
    assert_int_equal(used, 6);
    assert_int_equal(said.rejected, 1);
    close_pickle(pickle, &said);
}

TEST(a_pickle_cut_or_turned_anywhere_never_hurts_what_comes_next)
{
    UNUSED;
    static const struct yd_str all[] = {
        {protocol_0, sizeof protocol_0 - 1}, {protocol_2, sizeof protocol_2 - 1}, {protocol_4, sizeof protocol_4 - 1}};
    struct said said;
    struct yd_pickle *pickle = open_pickle(&said, 0, NULL);
    for (size_t which = 0; which < YD_COUNT(all); which++) {
        for (size_t at = 0; at < all[which].size; at++) {
            uint64_t before = said.rejected;
            char *copy = malloc(all[which].size);
            memcpy(copy, all[which].data, all[which].size);
            yd_pickle_parse(pickle, (struct yd_str){copy, at}, NOW);
            assert_int_equal(said.rejected, before + 1); /* cut: refused once, whole */
            for (int bit = 0; bit < 8; bit++) {
                copy[at] = (char)(copy[at] ^ (1 << bit));
                yd_pickle_parse(pickle, (struct yd_str){copy, all[which].size}, NOW);
                copy[at] = (char)(copy[at] ^ (1 << bit));
            }
            before = said.rejected;
            yd_pickle_parse(pickle, (struct yd_str){copy, all[which].size}, NOW);
            assert_int_equal(said.rejected, before);
            free(copy);
        }
    }
    close_pickle(pickle, &said);
}

TEST(many_points_fill_batches_and_none_is_lost)
{
    UNUSED;
    struct said said;
    struct yd_pickle *pickle = open_pickle(&said, 8192, NULL);
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    yd_buf_cstr(&text, "(l");
    for (unsigned i = 0; i < 20000; i++) yd_buf_printf(&text, "(S'm%u'\n(I1\nI%u\ntta", i % 3000, i);
    yd_buf_cstr(&text, ".");
    yd_pickle_parse(pickle, yd_buf_view(&text), NOW);
    yd_pickle_flush(pickle);
    assert_int_equal(said.taken, 20000);
    assert_int_equal(said.rejected, 0);
    yd_buf_fini(&text);
    close_pickle(pickle, &said);
}

TEST(an_allocation_that_fails_costs_points_but_never_more)
{
    UNUSED;
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        struct said said;
        yd_alloc_failing_init(&failing, nth);
        struct yd_pickle *pickle = open_pickle(&said, 0, &failing.alloc);
        if (pickle) {
            yd_pickle_parse(pickle, BYTES(protocol_0), NOW);
            yd_pickle_flush(pickle);
            /* All of it, or counted: a frame once, or what was lost with a batch. */
            assert_true(said.taken + said.rejected == 8 || (said.taken == 0 && said.rejected == 1));
        }
        close_pickle(pickle, &said);
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_protocols_of_python_say_the_same),
        cmocka_unit_test(names_may_be_bytes_and_python_2_strings),
        cmocka_unit_test(code_is_refused_wherever_it_stands),
        cmocka_unit_test(what_is_no_pickle_is_refused_whole),
        cmocka_unit_test(what_is_no_point_costs_itself_only),
        cmocka_unit_test(times_are_cut_and_minus_one_and_zero_are_now),
        cmocka_unit_test(longs_of_any_size_are_numbers),
        cmocka_unit_test(a_list_that_holds_itself_ends),
        cmocka_unit_test(frames_are_taken_whole_and_a_bad_one_costs_itself),
        cmocka_unit_test(a_frame_that_says_it_is_too_large_ends_all),
        cmocka_unit_test(a_pickle_cut_or_turned_anywhere_never_hurts_what_comes_next),
        cmocka_unit_test(many_points_fill_batches_and_none_is_lost),
        cmocka_unit_test(an_allocation_that_fails_costs_points_but_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
