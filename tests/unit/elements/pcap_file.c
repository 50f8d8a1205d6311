/* Captures: every form of file, link and address gives the same datagrams; what is not one is named; a file may end
 * anywhere. */
#include "testing.h"

#include "elements/pcap_file.h"

struct form {
    bool is_ng, swapped, nano, v6;
    uint16_t link;
    unsigned tags; /* VLAN */
};

static void put(struct yd_buf *buf, const struct form *form, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) yd_buf_char(buf, (char)(value >> 8 * (form->swapped ? size - 1 - i : i)));
}

static void put_net(struct yd_buf *buf, uint64_t value, unsigned size)
{
    while (size--) yd_buf_char(buf, (char)(value >> 8 * size));
}

static void put_header(struct yd_buf *buf, const struct form *form)
{
    if (!form->is_ng) {
        put(buf, form, form->nano ? 0xa1b23c4d : 0xa1b2c3d4, 4);
        put(buf, form, 2, 2), put(buf, form, 4, 2), put(buf, form, 0, 8), put(buf, form, 65535, 4);
        put(buf, form, form->link, 4);
        return;
    }
    put(buf, form, 0x0a0d0d0a, 4), put(buf, form, 28, 4), put(buf, form, 0x1a2b3c4d, 4), put(buf, form, 1, 4);
    put(buf, form, UINT64_MAX, 8), put(buf, form, 28, 4);
    put(buf, form, 99, 4), put(buf, form, 16, 4), put(buf, form, 7, 4), put(buf, form, 16, 4); /* of nobody */
    unsigned size = form->nano ? 32 : 20;
    put(buf, form, 1, 4), put(buf, form, size, 4), put(buf, form, form->link, 2), put(buf, form, 0, 6);
    if (form->nano) /* if_tsresol 9, end of options */
        put(buf, form, 9, 2), put(buf, form, 1, 2), yd_buf_add(buf, "\11\0\0\0", 4), put(buf, form, 0, 4);
    put(buf, form, size, 4);
}

static void put_datagram(struct yd_buf *buf, const struct form *form, struct yd_str payload, unsigned protocol,
                         unsigned fragment)
{
    size_t size = 8 + payload.size;
    if (form->link == 1) yd_buf_add(buf, "aaaaaabbbbbb", 12);
    if (form->link == 113) yd_buf_add(buf, "\0\0\0\1\0\6aaaaaa\0\0", 14);
    for (unsigned i = 0; i < form->tags; i++) put_net(buf, 0x81000007, 4);
    if (form->link != 101) put_net(buf, form->v6 ? 0x86dd : 0x0800, 2);
    if (form->link == 276) yd_buf_add(buf, "\0\0\0\0\0\1\0\1\0\6aaaaaa\0\0", 18);
    if (form->v6) {
        put_net(buf, 0x60000000, 4), put_net(buf, size + 8 + (fragment ? 8 : 0), 2);
        put_net(buf, 60, 1), put_net(buf, 64, 1), yd_buf_add(buf, "0123456789abcdef0123456789abcdef", 32);
        put_net(buf, fragment ? 44 : protocol, 1), yd_buf_add(buf, "\0\1\4\0\0\0\0", 7); /* a destination header */
        if (fragment) put_net(buf, protocol, 1), put_net(buf, 0, 1), put_net(buf, fragment << 3, 2), put_net(buf, 7, 4);
    } else {
        put_net(buf, 0x46000000 | (size + 24), 4), put_net(buf, 7, 2), put_net(buf, fragment, 2);
        put_net(buf, 64, 1), put_net(buf, protocol, 1), put_net(buf, 0, 2), put_net(buf, 0x7f0000017f000001, 8);
        put_net(buf, 0, 4); /* an option */
    }
    put_net(buf, 4711, 2), put_net(buf, 5000, 2), put_net(buf, size, 2), put_net(buf, 0, 2);
    yd_buf_str(buf, payload);
}

static void put_packet(struct yd_buf *buf, const struct form *form, int64_t time_ns, struct yd_str bytes, size_t whole)
{
    uint64_t ticks = (uint64_t)(form->nano ? time_ns : time_ns / 1000), second = form->nano ? 1000000000u : 1000000u;
    if (!form->is_ng) {
        put(buf, form, ticks / second, 4), put(buf, form, ticks % second, 4);
        put(buf, form, bytes.size, 4), put(buf, form, whole, 4), yd_buf_str(buf, bytes);
        return;
    }
    unsigned padding = (unsigned)(-bytes.size & 3), size = (unsigned)(32 + bytes.size + padding);
    put(buf, form, 6, 4), put(buf, form, size, 4), put(buf, form, 0, 4);
    put(buf, form, ticks >> 32, 4), put(buf, form, ticks, 4), put(buf, form, bytes.size, 4), put(buf, form, whole, 4);
    yd_buf_str(buf, bytes), yd_buf_add(buf, "\0\0\0", padding), put(buf, form, size, 4);
}

/* Everything in it, as text. */
static void read_all(struct yd_str bytes, struct yd_buf *to)
{
    struct yd_pcap *pcap = calloc(1, sizeof *pcap);
    int r = 0;
    size_t used;
    while (r >= 0 || r == YD_ENOTSUP) {
        struct yd_pcap_packet packet;
        struct yd_pcap_udp udp;
        enum yd_pcap_reason reason;
        r = yd_pcap_next(pcap, bytes, &used, &packet);
        if (r == 1 && yd_pcap_udp(&packet, &udp, &reason))
            yd_buf_printf(to, "%lld %u %u '%.*s'\n", (long long)packet.time_ns, udp.from_port, udp.to_port,
                          YD_STR_FMT(udp.payload));
        else if (r == 1)
            yd_buf_printf(to, "reason %d\n", reason);
        if (r >= 0 || r == YD_ENOTSUP) bytes = (struct yd_str){bytes.data + used, bytes.size - used};
    }
    if (r != YD_EAGAIN || bytes.size) yd_buf_printf(to, "%s\n", r == YD_EAGAIN ? "cut" : yd_error_text(r));
    (void)text_of(to);
    free(pcap);
}

static const uint16_t links[] = {1, 101, 113, 276};

static struct form form_of(unsigned i)
{
    return (struct form){.is_ng = i & 1,
                         .swapped = i & 2,
                         .nano = i & 4,
                         .v6 = i & 8,
                         .link = links[i >> 4 & 3],
                         .tags = links[i >> 4 & 3] == 1 ? i >> 6 & 3 : 0};
}

static void build(struct yd_buf *file, const struct form *form, const char *payload, unsigned protocol,
                  unsigned fragment, size_t cut)
{
    struct yd_buf packet;
    yd_buf_init(&packet, NULL);
    put_datagram(&packet, form, yd_str_of(payload), protocol, fragment);
    put_packet(file, form, INT64_C(1700000000123456000), (struct yd_str){packet.data, packet.size - cut}, packet.size);
    yd_buf_fini(&packet);
}

static void every_form_gives_the_same_datagrams(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        struct form form = form_of(i);
        struct yd_buf file, out;
        yd_buf_init(&file, NULL), yd_buf_init(&out, NULL);
        put_header(&file, &form);
        build(&file, &form, "hello", 17, 0, 0);
        build(&file, &form, "", 17, 0, 0);
        build(&file, &form, "tcp", 6, 0, 0);
        build(&file, &form, "half", 17, form.v6 ? 1 : 0x2000, 0);
        build(&file, &form, "cut", 17, 0, 2);
        build(&file, &form, "last", 17, 0, 0);
        read_all(yd_buf_view(&file), &out);
        assert_same_text(out.data, "1700000000123456000 4711 5000 'hello'\n1700000000123456000 4711 5000 ''\nreason 1\n"
                                   "reason 3\nreason 4\n1700000000123456000 4711 5000 'last'\n");
        yd_buf_fini(&file), yd_buf_fini(&out);
    }
}

static void a_file_may_end_anywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i += 7) {
        struct form form = form_of(i);
        struct yd_buf file, whole;
        yd_buf_init(&file, NULL), yd_buf_init(&whole, NULL);
        put_header(&file, &form);
        for (int n = 0; n < 3; n++) build(&file, &form, "hello", 17, 0, 0);
        read_all(yd_buf_view(&file), &whole);
        for (size_t size = 0; size < file.size; size++) {
            struct yd_buf out;
            char *copy = malloc(size + 1); /* its end is the end of memory, for a sanitizer */
            memcpy(copy, file.data, size);
            yd_buf_init(&out, NULL);
            read_all((struct yd_str){copy, size}, &out);
            size_t cut = out.size >= 4 && strcmp(out.data + out.size - 4, "cut\n") == 0 ? 4 : 0;
            assert_true(out.size - cut < whole.size && memcmp(out.data, whole.data, out.size - cut) == 0);
            yd_buf_fini(&out);
            free(copy);
        }
        yd_buf_fini(&file), yd_buf_fini(&whole);
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const bad[] = {"hello, this is no capture", "\x0a\x0d\x0d\x0a\x1c\0\0\0nomagic."};
    struct form form = {.link = 147}, ng = {.is_ng = true, .link = 101};
    struct yd_buf file, out;
    (void)state;
    for (size_t i = 0; i < YD_COUNT(bad); i++) {
        yd_buf_init(&out, NULL);
        read_all((struct yd_str){bad[i], i ? 16 : 25}, &out);
        assert_same_text(out.data, "malformed\n");
        yd_buf_fini(&out);
    }
    yd_buf_init(&file, NULL), yd_buf_init(&out, NULL);
    put_header(&file, &form);
    put_packet(&file, &form, 0, YD_STR("of a link that nobody knows"), 27);
    put(&file, &form, 1, 4), put(&file, &form, 0, 4), put(&file, &form, UINT32_MAX, 8); /* a size from outside */
    read_all(yd_buf_view(&file), &out);
    assert_same_text(out.data, "reason 0\nmalformed\n");
    yd_buf_clear(&file), yd_buf_clear(&out);
    put_header(&file, &ng);
    put(&file, &ng, 3, 4), put(&file, &ng, 20, 4), put(&file, &ng, 4, 4), put(&file, &ng, 0, 4), put(&file, &ng, 20, 4);
    put(&file, &ng, 6, 4), put(&file, &ng, 32, 4), put(&file, &ng, 9, 4), put(&file, &ng, 0, 8), put(&file, &ng, 0, 8),
        put(&file, &ng, 32, 4);
    read_all(yd_buf_view(&file), &out); /* a simple block is passed over; an interface that is not there is no way on */
    assert_same_text(out.data, "malformed\n");
    yd_buf_fini(&file), yd_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_same_datagrams),
        cmocka_unit_test(a_file_may_end_anywhere),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
