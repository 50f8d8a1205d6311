/* Secured streams, both ends here: on the real loop and on a simulated one with reads of a few bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "io/loop.h"
#include "io/sim_net.h"
#include "io/tls.h"

struct end {
    struct yd_stream *stream;
    char buffer[4096];
    uint64_t received;
    unsigned char sum;
    int ended;
    bool connected, drained, close_on_data;
};
struct pair {
    char dir[64];
    struct yd_sim *sim; /* NULL: real */
    struct yd_loop *loop;
    struct yd_tls *server, *client;
    struct yd_listener *listener;
    struct end ends[2]; /* the server's, the client's */
    bool accepted, secure_server;
};

static void room(void *arg, char **ret_to, size_t *ret_size)
{
    struct end *end = arg;
    *ret_to = end->buffer;
    *ret_size = sizeof end->buffer;
}
static void data(void *arg, size_t size)
{
    struct end *end = arg;
    for (size_t i = 0; i < size; i++) end->sum = (unsigned char)(end->sum * 31 + (unsigned char)end->buffer[i]);
    end->received += size;
    if (!end->close_on_data) return;
    yd_stream_close(end->stream);
    end->stream = NULL;
}
static void ended(void *arg, int error)
{
    ((struct end *)arg)->ended = error;
}
static void drained(void *arg)
{
    ((struct end *)arg)->drained = true;
}
static void connected(void *arg)
{
    ((struct end *)arg)->connected = true;
}
static const struct yd_stream_ops ops = {room, data, ended, drained, connected};

static void accept_one(void *arg, struct yd_stream *stream, const struct yd_address *peer)
{
    struct pair *pair = arg;
    (void)peer;
    pair->accepted = true;
    if (pair->secure_server) assert_int_equal(yd_stream_secure(&stream, pair->server, NULL), 0);
    pair->ends[0].stream = stream;
    yd_stream_start(stream, &ops, &pair->ends[0]);
}

/* ---- certificates ---- */

static void write_pem(const char *dir, const char *name, gnutls_datum_t pem)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(pem.data, 1, pem.size, file), pem.size);
    assert_int_equal(fclose(file), 0);
    gnutls_free(pem.data);
}

/* A certificate that signs itself, for `host`. */
static void make_certificate(const char *dir, const char *name, const char *host)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    char file[64];
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(crt, "\x01", 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)),
                     0);
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host), 0), 0);
    assert_int_equal(gnutls_x509_crt_set_ca_status(crt, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    (void)snprintf(file, sizeof file, "%s.pem", name);
    write_pem(dir, file, pem);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
    (void)snprintf(file, sizeof file, "%s.key", name);
    write_pem(dir, file, pem);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static struct yd_tls *context(struct pair *pair, const char *own, const char *trusted, bool ask)
{
    char cert[128], key[128], ca[128];
    (void)snprintf(cert, sizeof cert, "%s/%s.pem", pair->dir, own ? own : "");
    (void)snprintf(key, sizeof key, "%s/%s.key", pair->dir, own ? own : "");
    (void)snprintf(ca, sizeof ca, "%s/%s.pem", pair->dir, trusted);
    struct yd_tls_options options = {own ? cert : NULL, own ? key : NULL, ca, ask};
    struct yd_tls *tls;
    struct yd_trail trail = {0};
    int error = yd_tls_create(&options, &tls, &trail);
    if (error) print_message("# %s\n", yd_trail_text(&trail));
    assert_int_equal(error, 0);
    return tls;
}

/* ---- running ---- */

static void set_up(struct pair *pair, bool simulated)
{
    *pair = (struct pair){.secure_server = true};
    (void)snprintf(pair->dir, sizeof pair->dir, "/tmp/yd_tls_XXXXXX");
    assert_non_null(mkdtemp(pair->dir));
    make_certificate(pair->dir, "server", "here");
    make_certificate(pair->dir, "client", "there");
    if (simulated) {
        assert_int_equal(yd_sim_create(7, &pair->sim), 0);
        assert_int_equal(yd_sim_loop_create(pair->sim, "node", &pair->loop), 0);
        yd_sim_net_faults(pair->sim)->small_read = 2;
    } else {
        assert_int_equal(yd_loop_create_uv(&pair->loop), 0);
    }
    struct yd_address at;
    static const struct yd_listener_ops listener_ops = {.accept = accept_one};
    assert_int_equal(yd_address_parse(YD_STR("127.0.0.1:0"), &at, NULL), 0);
    assert_int_equal(yd_listen(pair->loop, &at, &listener_ops, pair, &pair->listener, NULL), 0);
}

/* Turns of the loop until `done`, or for ten seconds at most. */
static bool run_until(struct pair *pair, bool (*done)(struct pair *pair))
{
    int64_t until = pair->sim ? yd_sim_now(pair->sim) + 60 * YD_NS_PER_S : yd_clock_mono() + 10 * YD_NS_PER_S;
    while (!done(pair)) {
        if (pair->sim ? !yd_sim_step(pair->sim) || yd_sim_now(pair->sim) > until : yd_clock_mono() > until)
            return false;
        if (!pair->sim) yd_loop_run(pair->loop, 20 * YD_NS_PER_MS);
    }
    return true;
}

static void connect_client(struct pair *pair, const char *hostname)
{
    struct yd_address at;
    yd_listener_address(pair->listener, &at);
    struct end *end = &pair->ends[1];
    assert_int_equal(yd_connect(pair->loop, &at, &ops, end, &end->stream, NULL), 0);
    if (!hostname) return;
    assert_int_equal(yd_stream_secure(&end->stream, pair->client, hostname), 0);
    yd_stream_start(end->stream, &ops, end);
}

static void tear_down(struct pair *pair)
{
    char command[128];
    for (int i = 0; i < 2; i++) yd_stream_close(pair->ends[i].stream);
    yd_listener_close(pair->listener);
    yd_tls_unref(pair->server);
    yd_tls_unref(pair->client);
    for (int i = 0; i < 10 && !pair->sim; i++) yd_loop_run(pair->loop, 0);
    if (pair->sim) yd_sim_run_until(pair->sim, yd_sim_now(pair->sim) + YD_NS_PER_S);
    yd_loop_destroy(pair->loop);
    if (pair->sim) yd_sim_destroy(pair->sim);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", pair->dir);
    assert_int_equal(system(command), 0);
}

static bool both_connected(struct pair *pair)
{
    return (pair->ends[0].connected && pair->ends[1].connected) || pair->ends[0].ended || pair->ends[1].ended;
}
static bool any_ended(struct pair *pair)
{
    return pair->ends[0].ended || pair->ends[1].ended;
}
static bool all_there(struct pair *pair)
{
    return (pair->ends[0].received >= 4 << 20 && pair->ends[1].received >= 4 << 20) || any_ended(pair);
}

static void bytes_go_both_ways(struct pair *pair)
{
    pair->server = context(pair, "server", "client", true);
    pair->client = context(pair, "client", "server", false);
    connect_client(pair, "here");
    assert_true(run_until(pair, both_connected));
    assert_int_equal(pair->ends[0].ended, 0);
    assert_int_equal(pair->ends[1].ended, 0);
    char name[32];
    assert_true(yd_stream_peer_name(pair->ends[0].stream, name, sizeof name));
    assert_string_equal(name, "client");
    static char block[64 << 10];
    unsigned char sums[2] = {0, 0};
    for (int i = 0; i < 64; i++)
        for (int side = 0; side < 2; side++) {
            for (size_t at = 0; at < sizeof block; at++) block[at] = (char)(at * 7 + (size_t)i * 3 + (size_t)side);
            for (size_t at = 0; at < sizeof block; at++)
                sums[!side] = (unsigned char)(sums[!side] * 31 + (unsigned char)block[at]);
            assert_int_equal(yd_stream_write(pair->ends[side].stream, (struct yd_str){block, sizeof block}), 0);
        }
    assert_true(run_until(pair, all_there));
    for (int side = 0; side < 2; side++) {
        assert_int_equal(pair->ends[side].received, 4 << 20);
        assert_int_equal(pair->ends[side].sum, sums[side]);
    }
    yd_stream_shutdown(pair->ends[1].stream);
    assert_true(run_until(pair, any_ended));
    assert_int_equal(pair->ends[0].ended, YD_EEOF);
}

static void bytes_go_both_ways_on_a_real_loop(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, false);
    bytes_go_both_ways(&pair);
    tear_down(&pair);
}

static void bytes_go_both_ways_a_few_at_a_time(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, true);
    yd_sim_net_faults(pair.sim)->small_read = 40;
    bytes_go_both_ways(&pair);
    tear_down(&pair);
}

static void refused(const char *trusted, const char *hostname, bool ask, const char *own)
{
    struct pair pair;
    set_up(&pair, false);
    pair.server = context(&pair, "server", "client", ask);
    pair.client = context(&pair, own, trusted, false);
    connect_client(&pair, hostname);
    assert_true(run_until(&pair, any_ended));
    assert_true(pair.ends[0].ended == YD_EPERM || pair.ends[1].ended == YD_EPERM);
    assert_false(pair.ends[0].connected && pair.ends[0].received);
    tear_down(&pair);
}

static void a_strangers_certificate_is_refused(void **state)
{
    (void)state;
    refused("client", "here", false, NULL);
}
static void a_certificate_for_another_host_is_refused(void **state)
{
    (void)state;
    refused("server", "elsewhere", false, NULL);
}
static void a_peer_without_a_certificate_is_refused_where_one_is_asked_for(void **state)
{
    (void)state;
    refused("server", "here", true, NULL);
}
static void a_peer_with_an_unknown_certificate_is_refused(void **state)
{
    (void)state;
    refused("server", "here", true, "server");
}

static void what_is_not_tls_ends_with_a_reason(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, true);
    pair.server = context(&pair, "server", "client", false);
    connect_client(&pair, NULL);
    assert_int_equal(yd_stream_write(pair.ends[1].stream, YD_STR("GET / HTTP/1.1\r\nHost: here\r\n\r\n")), 0);
    assert_true(run_until(&pair, any_ended));
    assert_int_equal(pair.ends[0].ended, YD_EFORMAT);
    tear_down(&pair);
}

static void a_handshake_that_never_ends_is_ended(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, true);
    pair.server = context(&pair, "server", "client", false);
    connect_client(&pair, NULL);
    assert_int_equal(yd_stream_write(pair.ends[1].stream, YD_STR("\x16\x03\x01")), 0);
    assert_true(run_until(&pair, any_ended));
    assert_int_equal(pair.ends[0].ended, YD_ETIMEOUT);
    tear_down(&pair);
}

static bool server_has_data(struct pair *pair)
{
    return pair->ends[0].received > 0 || any_ended(pair);
}

static void a_stream_may_be_closed_in_its_own_callback(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, false);
    pair.server = context(&pair, "server", "client", false);
    pair.client = context(&pair, NULL, "server", false);
    pair.ends[0].close_on_data = true;
    connect_client(&pair, "here");
    assert_true(run_until(&pair, both_connected));
    assert_int_equal(yd_stream_write(pair.ends[1].stream, YD_STR("close it")), 0);
    assert_true(run_until(&pair, server_has_data));
    assert_true(run_until(&pair, any_ended));
    assert_null(pair.ends[0].stream);
    tear_down(&pair);
}

static void a_peer_that_does_not_read_fills_the_limit_and_drains(void **state)
{
    struct pair pair;
    (void)state;
    set_up(&pair, false);
    pair.server = context(&pair, "server", "client", false);
    pair.client = context(&pair, NULL, "server", false);
    connect_client(&pair, "here");
    assert_true(run_until(&pair, both_connected));
    yd_stream_limit(pair.ends[0].stream, 1 << 20);
    yd_stream_pause(pair.ends[1].stream, true);
    static char block[64 << 10];
    uint64_t written = 0;
    int error = 0;
    while (written < 64 << 20 && !error) {
        error = yd_stream_write(pair.ends[0].stream, (struct yd_str){block, sizeof block});
        if (!error) written += sizeof block;
        yd_loop_run(pair.loop, 0);
    }
    assert_int_equal(error, YD_EFULL);
    assert_true(yd_stream_backlog(pair.ends[0].stream) <= 1 << 20);
    pair.ends[0].drained = false;
    yd_stream_pause(pair.ends[1].stream, false);
    while (pair.ends[1].received < written) assert_true(yd_loop_run(pair.loop, YD_NS_PER_S) >= 0);
    assert_true(pair.ends[0].drained);
    assert_int_equal(yd_stream_write(pair.ends[0].stream, YD_STR("more")), 0);
    tear_down(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_on_a_real_loop),
        cmocka_unit_test(bytes_go_both_ways_a_few_at_a_time),
        cmocka_unit_test(a_strangers_certificate_is_refused),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(a_peer_without_a_certificate_is_refused_where_one_is_asked_for),
        cmocka_unit_test(a_peer_with_an_unknown_certificate_is_refused),
        cmocka_unit_test(what_is_not_tls_ends_with_a_reason),
        cmocka_unit_test(a_handshake_that_never_ends_is_ended),
        cmocka_unit_test(a_stream_may_be_closed_in_its_own_callback),
        cmocka_unit_test(a_peer_that_does_not_read_fills_the_limit_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
