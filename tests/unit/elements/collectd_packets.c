/* Packets of collectd: every rule and edge case that elements/collectd_packets.h names. */
#include "elements/collectd_packets.h"

#include <math.h>

#include "testing.h"

#define NOW        INT64_C(1000000000000000007)
#define TEST(name) static void name(void **state)
#define UNUSED     (void)state

/* Made by Python's hmac and hashlib and by openssl's aes-256-ofb: user alice, password secret; inside: host h, time 5
 * s, plug-in and type g, one gauge 1.5. */
/* clang-format off */
static const char signed_packet[] =
    "\x02\x00\x00\x29\x45\x9a\x96\x4a\x64\x8d\x74\xd0\xb7\xcf\x6a\x8f\x68\x2b\x2c\x65\x91\xa1\x2a\x20"
    "\xbd\x27\x74\xfa\x47\x84\xf6\x88\x48\x9d\x69\xc4\x61\x6c\x69\x63\x65\x00\x00\x00\x06\x68\x00\x00"
    "\x08\x00\x0c\x00\x00\x00\x01\x40\x00\x00\x00\x00\x02\x00\x06\x67\x00\x00\x04\x00\x06\x67\x00\x00"
    "\x06\x00\x0f\x00\x01\x01\x00\x00\x00\x00\x00\x00\xf8\x3f";
static const char encrypted_packet[] =
    "\x02\x10\x00\x5c\x00\x05\x61\x6c\x69\x63\x65\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
    "\x0d\x0e\x0f\x5d\xa0\x87\x39\x94\xa0\x02\x33\x98\x1c\xdc\x92\xa4\x06\x93\xfd\x01\xeb\xb3\x5f\x80"
    "\x5a\xc9\x35\x03\x07\x37\x5f\xf9\x72\x87\x27\x90\x0f\xa3\xcd\xac\xce\xea\x08\xf2\xef\xec\xa7\x40"
    "\x78\xaa\xe4\xd3\xa6\x7c\x19\x1a\xcd\x5b\xc2\xce\xbf\x2a\x75\xa7\xf9\xd4\xda\x0a";
/* clang-format on */

struct said {
    struct yd_buf records, others;
    uint64_t rejected;
};

static void take(void *arg, struct yd_batch *batch)
{
    struct said *said = arg;
    struct yd_view view;
    assert_int_equal(yd_view_open(&batch->header, batch->body->data, true, &view), 0);
    for (uint32_t i = 0; i < view.count; i++) {
        const struct yd_record *record = &view.records[i];
        char number[32];
        double value;
        if (said->records.size) yd_buf_cstr(&said->records, "; ");
        yd_buf_printf(&said->records, "%lld %s ", (long long)record->time_ns, yd_kind_name(record->kind));
        yd_buf_str(&said->records, yd_view_name(&view, record->name));
        yd_buf_char(&said->records, ' ');
        if (record->type == YD_TEXT) {
            struct yd_str text = yd_view_bytes(&view, record->value);
            yd_buf_printf(&said->records, "\"%.*s\"", YD_STR_FMT(text));
            continue;
        }
        assert_true(yd_value_number(record->type, record->value, &value));
        yd_buf_add(&said->records, number,
                   record->type == YD_I64   ? yd_text_put_i64(number, record->value.i64)
                   : record->type == YD_U64 ? yd_text_put_u64(number, record->value.u64)
                                            : yd_text_put_f64(number, value));
    }
    yd_batch_unref(batch);
}

static void refuse(void *arg, enum yd_collectd_reason reason, uint64_t records, struct yd_str sample)
{
    struct said *said = arg;
    (void)sample;
    if (said->others.size) yd_buf_cstr(&said->others, "; ");
    yd_buf_printf(&said->others, "%llu %s", (unsigned long long)records, yd_collectd_reasons[reason]);
    said->rejected += records;
}

/* ---- packets ---- */

struct packet {
    char bytes[8192];
    size_t size;
};

static void put(struct packet *packet, uint64_t number, size_t size)
{
    while (size) packet->bytes[packet->size++] = (char)(number >> (8 * --size));
}

static void put_text(struct packet *packet, unsigned type, const char *text)
{
    put(packet, type, 2);
    put(packet, 5 + strlen(text), 2);
    memcpy(packet->bytes + packet->size, text, strlen(text) + 1);
    packet->size += strlen(text) + 1;
}

static void put_number(struct packet *packet, unsigned type, uint64_t number)
{
    put(packet, type, 2);
    put(packet, 12, 2);
    put(packet, number, 8);
}

struct given {
    char code; /* c, g, d, a */
    double gauge;
    uint64_t number;
};

static uint64_t code_of(char code)
{
    return code == 'c' ? 0 : code == 'g' ? 1 : code == 'd' ? 2 : 3;
}

static void put_values(struct packet *packet, const struct given *given, size_t count)
{
    put(packet, 6, 2);
    put(packet, 6 + 9 * count, 2);
    put(packet, count, 2);
    for (size_t i = 0; i < count; i++) put(packet, code_of(given[i].code), 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &given[i].gauge, 8);
        put(packet, given[i].code == 'g' ? __builtin_bswap64(bits) : given[i].number, 8);
    }
}

static void put_gauge(struct packet *packet, double value)
{
    put_values(packet, &(struct given){'g', value, 0}, 1);
}

static struct packet begin(const char *plugin, const char *type)
{
    struct packet packet = {.size = 0};
    put_text(&packet, 0, "h");
    put_number(&packet, 1, 5);
    put_text(&packet, 2, plugin);
    put_text(&packet, 4, type);
    return packet;
}

/* ---- parsing ---- */

static struct yd_collectd_types *types_of(const char *text)
{
    struct yd_collectd_types *types;
    unsigned line;
    assert_int_equal(yd_collectd_types_create(NULL, &types), 0);
    assert_int_equal(yd_collectd_types_add(types, yd_str_of(text), &line), 0);
    return types;
}

static void expect_of(struct yd_str packet, struct yd_collectd_options options, const char *records, const char *others)
{
    /* Twice, so that names are known at the second time; and exactly so many bytes, for the sanitizers. */
    struct said said = {0};
    struct yd_collectd *collectd;
    struct yd_collectd_types *types = types_of("# of ours\n\ng value:GAUGE:U:U\ncpu\tvalue:DERIVE:0:U\r\n"
                                               "load short:GAUGE:0:5000, mid:GAUGE:0:5000,long:GAUGE:0:5000\n"
                                               "all c:COUNTER:U:U, g:GAUGE:U:U, d:DERIVE:U:U, a:ABSOLUTE:U:U");
    char *copy = malloc(packet.size ? packet.size : 1);
    memcpy(copy, packet.data, packet.size);
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    options.sink = (struct yd_collectd_sink){&said, take, refuse};
    options.types = types;
    options.seed = 7;
    assert_int_equal(yd_collectd_create(&options, &collectd), 0);
    for (int round = 0; round < 2; round++) {
        yd_buf_clear(&said.records);
        yd_buf_clear(&said.others);
        yd_collectd_packet(collectd, (struct yd_str){copy, packet.size}, NOW);
        yd_collectd_flush(collectd);
        yd_buf_char(&said.records, 0);
        yd_buf_char(&said.others, 0);
        assert_string_equal(said.records.data, records);
        assert_string_equal(said.others.data, others);
    }
    yd_collectd_destroy(collectd);
    yd_collectd_types_destroy(types);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    free(copy);
}

static void expect(const struct packet *packet, const char *records, const char *others)
{
    expect_of((struct yd_str){packet->bytes, packet->size}, (struct yd_collectd_options){0}, records, others);
}

TEST(each_code_makes_its_kind_and_gauges_are_little_endian)
{
    UNUSED;
    struct packet packet = begin("p", "all");
    put_values(&packet, (struct given[]){{'c', 0, UINT64_MAX}, {'g', 1.5, 0}, {'d', 0, (uint64_t)-7}, {'a', 0, 9}}, 4);
    expect(&packet,
           "5000000000 DELTA p.all.c host=h 18446744073709551615; 5000000000 SAMPLE p.all.g host=h 1.5; "
           "5000000000 DELTA p.all.d host=h -7; 5000000000 TALLY p.all.a host=h 9",
           "");
}

TEST(parts_stay_until_they_are_said_again)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_text(&packet, 3, "i");
    put_text(&packet, 5, "t");
    put_gauge(&packet, 1);
    put_text(&packet, 5, "u v");
    put_gauge(&packet, 2);
    put_text(&packet, 3, "");
    put_text(&packet, 5, "");
    put_text(&packet, 0, "k");
    put_number(&packet, 1, 6);
    put_gauge(&packet, 3);
    expect(&packet,
           "5000000000 SAMPLE g host=h,plugin_instance=i,type_instance=t 1; "
           "5000000000 SAMPLE g host=h,plugin_instance=i,type_instance=u\\ v 2; 6000000000 SAMPLE g host=k 3",
           "");
}

TEST(nothing_stays_from_packet_to_packet)
{
    UNUSED;
    struct packet packet = {.size = 0};
    put_gauge(&packet, 1); /* of a type that a packet before might have said */
    expect(&packet, "", "1 type not in types.db");
    put_text(&packet, 4, "g");
    put_gauge(&packet, 2);
    expect(&packet, "1000000000000000007 SAMPLE g 2", "1 type not in types.db");
}

TEST(high_resolution_times_are_exact_and_zero_is_now)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_number(&packet, 8, (UINT64_C(1700000000) << 30) | (UINT64_C(1) << 29) | 1);
    put_gauge(&packet, 1);
    put_number(&packet, 8, 0);
    put_gauge(&packet, 2);
    put_number(&packet, 8, (UINT64_C(1) << 30) - 1);
    put_gauge(&packet, 3);
    expect(&packet,
           "1700000000500000000 SAMPLE g host=h 1; 1000000000000000007 SAMPLE g host=h 2; 999999999 SAMPLE g host=h 3",
           "");
    packet = begin("g", "g");
    put_gauge(&packet, 1);
    put_number(&packet, 8, UINT64_MAX); /* the year 2514 */
    put_gauge(&packet, 2);
    expect(&packet, "5000000000 SAMPLE g host=h 1", "1 bad timestamp");
    packet = begin("g", "g");
    put_number(&packet, 1, UINT64_MAX);
    expect(&packet, "", "1 bad timestamp");
}

TEST(values_that_types_db_does_not_know_are_counted_each_and_others_kept)
{
    UNUSED;
    struct packet packet = begin("p", "strange");
    const struct given three[] = {{'g', 1, 0}, {'g', 2, 0}, {'g', 3, 0}};
    put_values(&packet, three, 3);
    put_text(&packet, 4, "load");
    put_values(&packet, three, 2);
    put_values(&packet, three, 3);
    expect(&packet,
           "5000000000 SAMPLE p.load.short host=h 1; 5000000000 SAMPLE p.load.mid host=h 2; "
           "5000000000 SAMPLE p.load.long host=h 3",
           "3 type not in types.db; 2 not as many values as in types.db");
}

TEST(gauges_that_are_not_finite_are_refused_alone)
{
    UNUSED;
    struct packet packet = begin("load", "load");
    put_values(&packet, (struct given[]){{'g', NAN, 0}, {'g', 2, 0}, {'g', -INFINITY, 0}}, 3);
    expect(&packet, "5000000000 SAMPLE load.mid host=h 2", "1 value not finite; 1 value not finite");
}

TEST(notifications_are_events)
{
    UNUSED;
    struct packet packet = begin("df", "g");
    put_number(&packet, 0x101, 2);
    put_text(&packet, 0x100, "nearly full");
    put_number(&packet, 0x101, 1);
    put_text(&packet, 0x100, "full");
    put_number(&packet, 0x101, 3);
    put_text(&packet, 0x100, "what");
    put_text(&packet, 2, "");
    put_text(&packet, 4, "");
    put_number(&packet, 0x101, 4);
    put_text(&packet, 0x100, "well");
    expect(&packet,
           "5000000000 EVENT df.g host=h,severity=warning \"nearly full\"; "
           "5000000000 EVENT df.g host=h,severity=failure \"full\"; "
           "5000000000 EVENT notification host=h,severity=okay \"well\"",
           "1 bad severity");
}

TEST(intervals_and_unknown_parts_are_passed_over)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_number(&packet, 7, 10);
    put_number(&packet, 9, 10);
    put(&packet, 0x7777, 2);
    put(&packet, 4, 2);
    put_text(&packet, 0x4242, "what");
    put_gauge(&packet, 1);
    expect(&packet, "5000000000 SAMPLE g host=h 1", "");
}

TEST(a_packet_cut_anywhere_keeps_what_was_whole_and_says_the_rest)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_gauge(&packet, 1);
    size_t whole = packet.size;
    put_gauge(&packet, 2);
    for (size_t size = whole + 1; size < packet.size; size++)
        expect_of((struct yd_str){packet.bytes, size}, (struct yd_collectd_options){0}, "5000000000 SAMPLE g host=h 1",
                  "1 bad part");
    for (size_t size = 1; size < 4; size++)
        expect_of((struct yd_str){packet.bytes, size}, (struct yd_collectd_options){0}, "", "1 bad part");
    expect_of((struct yd_str){packet.bytes, 0}, (struct yd_collectd_options){0}, "", "");
}

TEST(parts_of_a_wrong_form_end_their_packet)
{
    UNUSED;
    char large[300];
    memset(large, 'x', sizeof large);
    large[256] = 0;
    static const struct yd_str bad[] = {
        {"\0\0\0\x03", 4},                          /* smaller than its header */
        {"\0\0\0\x04", 4},                          /* a text without its NUL */
        {"\0\2\0\6ab", 6},                          /* likewise */
        {"\0\2\0\7a\0\0", 7},                       /* a NUL inside */
        {"\0\1\0\x0b\0\0\0\0\0\0\0", 11},           /* a time of seven bytes */
        {"\1\1\0\5\0", 5},                          /* a severity of one */
        {"\0\6\0\6\0\0", 6},                        /* no values */
        {"\0\6\0\5\0", 5},                          /* not even their number */
        {"\0\6\0\x0f\0\2\1\0\0\0\0\0\0\0\0", 15},   /* two, and room for one */
        {"\0\6\0\x10\0\1\1\0\0\0\0\0\0\0\0\0", 16}, /* one, and a byte more */
        {"\0\6\0\x0f\0\1\4\0\0\0\0\0\0\0\0", 15},   /* a code that is none */
        {"\2\0\0\x24"
         "01234567890123456789012345678901",
         36},                  /* a signature of nobody */
        {"\2\x10\0\6\0\0", 6}, /* an encryption likewise */
        {"\2\x10\0\x09\0\x05"
         "ali",
         9}, /* a user who is cut */
    };
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        struct packet packet = begin("g", "g");
        put_gauge(&packet, 1);
        memcpy(packet.bytes + packet.size, bad[i].data, bad[i].size);
        packet.size += bad[i].size;
        put_gauge(&packet, 2);
        expect(&packet, "5000000000 SAMPLE g host=h 1", "1 bad part");
    }
    struct packet packet = begin("g", "g");
    put_text(&packet, 3, large); /* 256 bytes */
    put_gauge(&packet, 1);
    expect(&packet, "", "1 bad part");
}

TEST(names_and_texts_must_be_utf8_without_control_bytes)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_text(&packet, 3, "\xff");
    put_gauge(&packet, 1);
    put_text(&packet, 3, "a\nb");
    put_gauge(&packet, 2);
    put_text(&packet, 3, "\xc3\xa4");
    put_gauge(&packet, 3);
    put_number(&packet, 0x101, 4);
    put_text(&packet, 0x100, "\xc3");
    expect(&packet, "5000000000 SAMPLE g host=h,plugin_instance=\xc3\xa4 3", "1 not UTF-8; 1 bad name; 1 not UTF-8");
}

/* ---- signed and encrypted ---- */

static struct yd_collectd_users *users_of(const char *text)
{
    struct yd_collectd_users *users;
    unsigned line;
    assert_int_equal(yd_collectd_users_create(yd_str_of(text), NULL, &users, &line), 0);
    return users;
}

static void expect_secure(struct yd_str packet, const char *users_text, enum yd_collectd_trust trust,
                          const char *records, const char *others)
{
    struct yd_collectd_users *users = users_text ? users_of(users_text) : NULL;
    expect_of(packet, (struct yd_collectd_options){.users = users, .trust = trust}, records, others);
    yd_collectd_users_destroy(users);
}

#define SIGNED    ((struct yd_str){signed_packet, sizeof signed_packet - 1})
#define ENCRYPTED ((struct yd_str){encrypted_packet, sizeof encrypted_packet - 1})
#define RECORD    "5000000000 SAMPLE g host=h 1.5"

TEST(signed_and_encrypted_packets_of_known_users_are_taken)
{
    UNUSED;
    const char *users = "# who may\nbob:x\nalice: old\n\n  alice :  secret \r\n";
    expect_secure(SIGNED, users, YD_COLLECTD_PLAIN, RECORD, "");
    expect_secure(SIGNED, users, YD_COLLECTD_SIGNED, RECORD, "");
    expect_secure(SIGNED, users, YD_COLLECTD_ENCRYPTED, "", "1 not signed as demanded");
    for (enum yd_collectd_trust trust = YD_COLLECTD_PLAIN; trust <= YD_COLLECTD_ENCRYPTED; trust++)
        expect_secure(ENCRYPTED, users, trust, RECORD, "");
}

TEST(strangers_and_wrong_passwords_are_refused)
{
    UNUSED;
    expect_secure(SIGNED, NULL, YD_COLLECTD_PLAIN, "", "1 unknown user");
    expect_secure(ENCRYPTED, NULL, YD_COLLECTD_PLAIN, "", "1 unknown user");
    expect_secure(SIGNED, "alic: secret", YD_COLLECTD_PLAIN, "", "1 unknown user");
    expect_secure(ENCRYPTED, "alice2: secret", YD_COLLECTD_PLAIN, "", "1 unknown user");
    expect_secure(SIGNED, "alice: secre", YD_COLLECTD_PLAIN, "", "1 signature or password wrong");
    expect_secure(ENCRYPTED, "alice: secret2", YD_COLLECTD_PLAIN, "", "1 signature or password wrong");
}

TEST(any_bit_turned_in_a_signed_or_encrypted_packet_is_noticed)
{
    UNUSED;
    const struct yd_str packets[] = {SIGNED, ENCRYPTED};
    struct yd_collectd_users *users = users_of("alice: secret");
    struct yd_collectd_types *types = types_of("g value:GAUGE:U:U");
    for (size_t which = 0; which < 2; which++) {
        for (size_t bit = 0; bit < 8 * packets[which].size; bit++) {
            struct said said = {0};
            char copy[256];
            struct yd_collectd_options options = {.sink = {&said, take, refuse},
                                                  .types = types,
                                                  .users = users,
                                                  .trust = YD_COLLECTD_SIGNED,
                                                  .batch_bytes = 8192,
                                                  .cache_bytes = 65536};
            struct yd_collectd *collectd;
            yd_buf_init(&said.records, NULL);
            yd_buf_init(&said.others, NULL);
            memcpy(copy, packets[which].data, packets[which].size);
            copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
            assert_int_equal(yd_collectd_create(&options, &collectd), 0);
            yd_collectd_packet(collectd, (struct yd_str){copy, packets[which].size}, NOW);
            yd_collectd_flush(collectd);
            /* A type turned into an unknown one is passed over: then nothing vouches for what follows, if there is. */
            assert_int_equal(said.records.size, 0);
            yd_collectd_destroy(collectd);
            yd_buf_fini(&said.records);
            yd_buf_fini(&said.others);
        }
    }
    yd_collectd_types_destroy(types);
    yd_collectd_users_destroy(users);
}

TEST(what_is_in_front_of_a_signature_is_not_signed)
{
    UNUSED;
    struct packet packet = begin("g", "g");
    put_text(&packet, 3, "forged");
    put_gauge(&packet, 1);
    memcpy(packet.bytes + packet.size, signed_packet, sizeof signed_packet - 1);
    packet.size += sizeof signed_packet - 1;
    expect_secure((struct yd_str){packet.bytes, packet.size}, "alice: secret", YD_COLLECTD_SIGNED, RECORD,
                  "1 not signed as demanded");
}

TEST(plain_values_and_messages_are_refused_where_more_is_demanded)
{
    UNUSED;
    struct packet packet = begin("load", "load");
    put_values(&packet, (struct given[]){{'g', 1, 0}, {'g', 2, 0}, {'g', 3, 0}}, 3);
    put_number(&packet, 0x101, 4);
    put_text(&packet, 0x100, "well");
    expect_secure((struct yd_str){packet.bytes, packet.size}, "alice: secret", YD_COLLECTD_SIGNED, "",
                  "3 not signed as demanded; 1 not signed as demanded");
}

/* ---- files ---- */

TEST(types_db_lines_are_found_and_the_last_one_of_a_name_counts)
{
    UNUSED;
    const struct yd_str *sources;
    struct yd_collectd_types *types = types_of("b x:GAUGE:0:1\na y:GAUGE:0:1\nc z:GAUGE:0:1 , w:DERIVE:-5:1e9\n"
                                               "b  v:COUNTER:U:U,\tu:ABSOLUTE:U:U\n");
    assert_int_equal(yd_collectd_types_find(types, YD_STR("b"), &sources), 2);
    assert_true(yd_str_eq(sources[0], YD_STR("v")) && yd_str_eq(sources[1], YD_STR("u")));
    assert_int_equal(yd_collectd_types_find(types, YD_STR("a"), &sources), 1);
    assert_int_equal(yd_collectd_types_find(types, YD_STR("c"), &sources), 2);
    assert_int_equal(yd_collectd_types_find(types, YD_STR("d"), &sources), 0);
    assert_int_equal(yd_collectd_types_find(types, YD_STR(""), &sources), 0);
    yd_collectd_types_destroy(types);
}

TEST(lines_that_are_none_are_told_by_their_number)
{
    UNUSED;
    static const char *const bad_types[] = {
        "a", "a x:GAUGE:0", "a x:GAUGE:0:1:2", "a :GAUGE:0:1", "a x:OTHER:0:1", "a x:GAUGE::1", "a x:GAUGE:0:", "a x"};
    static const char *const bad_users[] = {"alice", "alice:", ": secret", ":"};
    struct yd_collectd_users *users;
    char text[256];
    unsigned line;
    for (size_t i = 0; i < YD_COUNT(bad_types); i++) {
        struct yd_collectd_types *types;
        assert_int_equal(yd_collectd_types_create(NULL, &types), 0);
        (void)snprintf(text, sizeof text, "# one\nok x:GAUGE:0:1\n%s\n", bad_types[i]);
        assert_int_equal(yd_collectd_types_add(types, yd_str_of(text), &line), YD_EFORMAT);
        assert_int_equal(line, 3);
        yd_collectd_types_destroy(types);
    }
    for (size_t i = 0; i < YD_COUNT(bad_users); i++) {
        (void)snprintf(text, sizeof text, "bob: x\n%s\n", bad_users[i]);
        assert_int_equal(yd_collectd_users_create(yd_str_of(text), NULL, &users, &line), YD_EFORMAT);
        assert_int_equal(line, 2);
    }
}

TEST(random_packets_account_for_all_they_hold_whatever_the_batch_size)
{
    UNUSED;
    uint64_t seed = test_seed();
    struct yd_collectd_types *types = types_of("g value:GAUGE:U:U");
    uint64_t taken[2] = {0}, sent = 0;
    struct said said[2] = {{{0}}};
    struct yd_collectd *collectd[2];
    for (int i = 0; i < 2; i++) {
        yd_buf_init(&said[i].records, NULL);
        yd_buf_init(&said[i].others, NULL);
        struct yd_collectd_options options = {
            .sink = {&said[i], take, refuse}, .types = types, .batch_bytes = i ? 8192 : 0, .seed = seed};
        assert_int_equal(yd_collectd_create(&options, &collectd[i]), 0);
    }
    for (int round = 0; round < 500; round++) {
        struct packet packet = begin("g", "g");
        for (unsigned n = 0; n < 20; n++) {
            char text[16];
            seed = seed * UINT64_C(6364136223846793005) + 1;
            (void)snprintf(text, sizeof text, "%u", (unsigned)(seed >> 33) % 1000);
            put_text(&packet, (seed >> 60 & 1) ? 3 : 5, text);
            put_gauge(&packet, seed >> 62 ? (double)(seed >> 40) : NAN);
            sent++;
        }
        for (int i = 0; i < 2; i++) yd_collectd_packet(collectd[i], (struct yd_str){packet.bytes, packet.size}, NOW);
    }
    for (int i = 0; i < 2; i++) {
        yd_collectd_flush(collectd[i]);
        taken[i] = said[i].records.size ? 1 : 0;
        for (size_t at = 0; at < said[i].records.size; at++) taken[i] += said[i].records.data[at] == ';';
        assert_int_equal(taken[i] + said[i].rejected, sent);
        yd_collectd_destroy(collectd[i]);
    }
    assert_int_equal(said[0].records.size, said[1].records.size);
    assert_memory_equal(said[0].records.data, said[1].records.data, said[0].records.size);
    for (int i = 0; i < 2; i++) {
        yd_buf_fini(&said[i].records);
        yd_buf_fini(&said[i].others);
    }
    yd_collectd_types_destroy(types);
}

static bool once_with(struct yd_alloc *alloc)
{
    struct said said = {0};
    struct yd_collectd_types *types = NULL;
    struct yd_collectd_users *users = NULL;
    struct yd_collectd *collectd = NULL;
    unsigned line;
    yd_buf_init(&said.records, NULL);
    yd_buf_init(&said.others, NULL);
    bool made = yd_collectd_types_create(alloc, &types) == 0 &&
                yd_collectd_types_add(types, YD_STR("g value:GAUGE:U:U\nl a:GAUGE:U:U b:GAUGE:U:U\n"), &line) == 0 &&
                yd_collectd_users_create(YD_STR("bob: x\nalice: secret\n"), alloc, &users, &line) == 0;
    struct yd_collectd_options options = {
        .sink = {&said, take, refuse}, .types = types, .users = users, .seed = 7, .alloc = alloc};
    if (made && (made = yd_collectd_create(&options, &collectd) == 0)) {
        yd_collectd_packet(collectd, ENCRYPTED, NOW);
        yd_collectd_flush(collectd);
        assert_true((said.records.size != 0) != (said.rejected != 0));
    }
    yd_collectd_destroy(collectd);
    yd_collectd_users_destroy(users);
    yd_collectd_types_destroy(types);
    yd_buf_fini(&said.records);
    yd_buf_fini(&said.others);
    return made;
}

TEST(an_allocation_that_fails_costs_a_record_but_never_more)
{
    UNUSED;
    for (uint64_t nth = 1;; nth++) {
        struct yd_alloc_failing failing;
        yd_alloc_failing_init(&failing, nth);
        bool made = once_with(&failing.alloc);
        assert_int_equal(failing.bytes_out, 0);
        if (failing.calls < nth) {
            assert_true(made);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_makes_its_kind_and_gauges_are_little_endian),
        cmocka_unit_test(parts_stay_until_they_are_said_again),
        cmocka_unit_test(nothing_stays_from_packet_to_packet),
        cmocka_unit_test(high_resolution_times_are_exact_and_zero_is_now),
        cmocka_unit_test(values_that_types_db_does_not_know_are_counted_each_and_others_kept),
        cmocka_unit_test(gauges_that_are_not_finite_are_refused_alone),
        cmocka_unit_test(notifications_are_events),
        cmocka_unit_test(intervals_and_unknown_parts_are_passed_over),
        cmocka_unit_test(a_packet_cut_anywhere_keeps_what_was_whole_and_says_the_rest),
        cmocka_unit_test(parts_of_a_wrong_form_end_their_packet),
        cmocka_unit_test(names_and_texts_must_be_utf8_without_control_bytes),
        cmocka_unit_test(signed_and_encrypted_packets_of_known_users_are_taken),
        cmocka_unit_test(strangers_and_wrong_passwords_are_refused),
        cmocka_unit_test(any_bit_turned_in_a_signed_or_encrypted_packet_is_noticed),
        cmocka_unit_test(what_is_in_front_of_a_signature_is_not_signed),
        cmocka_unit_test(plain_values_and_messages_are_refused_where_more_is_demanded),
        cmocka_unit_test(types_db_lines_are_found_and_the_last_one_of_a_name_counts),
        cmocka_unit_test(lines_that_are_none_are_told_by_their_number),
        cmocka_unit_test(random_packets_account_for_all_they_hold_whatever_the_batch_size),
        cmocka_unit_test(an_allocation_that_fails_costs_a_record_but_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
