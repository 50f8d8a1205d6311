/* TLS against a small GnuTLS server on a thread: a certificate that is trusted and for this host, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <yarder/client.h>
#include <yarder/protocol.h>

static char ca_file[64], other_ca_file[64];
static gnutls_certificate_credentials_t credentials;

static void write_pem(const char *path, gnutls_x509_crt_t certificate)
{
    char pem[8192];
    size_t size = sizeof pem;
    assert_int_equal(gnutls_x509_crt_export(certificate, GNUTLS_X509_FMT_PEM, pem, &size), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(pem, 1, size, file), size);
    fclose(file);
}

/* Signs itself: it is its own authority. */
static gnutls_x509_crt_t certificate_of(const char *host, gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t certificate;
    gnutls_x509_crt_init(&certificate);
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, "\1", 1);
    gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 3600);
    gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 3600);
    gnutls_x509_crt_set_dn(certificate, "CN=test", NULL);
    gnutls_x509_crt_set_ca_status(certificate, 1);
    gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE | GNUTLS_KEY_KEY_CERT_SIGN);
    gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host), 0);
    gnutls_x509_crt_set_key(certificate, key);
    assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
    return certificate;
}

static int set_up(void **state)
{
    (void)state;
    gnutls_x509_privkey_t keys[2];
    gnutls_x509_crt_t certificates[2];
    for (int i = 0; i < 2; i++) {
        gnutls_x509_privkey_init(&keys[i]);
        assert_int_equal(
            gnutls_x509_privkey_generate(keys[i], GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
            0);
        certificates[i] = certificate_of("localhost", keys[i]);
    }
    snprintf(ca_file, sizeof ca_file, "/tmp/yarder-tls-%d.pem", (int)getpid());
    snprintf(other_ca_file, sizeof other_ca_file, "/tmp/yarder-tls-%d-other.pem", (int)getpid());
    write_pem(ca_file, certificates[0]);
    write_pem(other_ca_file, certificates[1]);
    gnutls_certificate_allocate_credentials(&credentials);
    assert_int_equal(gnutls_certificate_set_x509_key(credentials, &certificates[0], 1, keys[0]), 0);
    for (int i = 0; i < 2; i++) {
        gnutls_x509_crt_deinit(certificates[i]);
        gnutls_x509_privkey_deinit(keys[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(ca_file);
    unlink(other_ca_file);
    gnutls_certificate_free_credentials(credentials);
    return 0;
}

/* ---- a server for one connection: HELLO, OPEN, then every append is durable ---- */

static bool read_all(gnutls_session_t session, void *to, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = gnutls_record_recv(session, (char *)to + at, size - at);
        if (got <= 0 && got != GNUTLS_E_AGAIN && got != GNUTLS_E_INTERRUPTED) return false;
        if (got > 0) at += (size_t)got;
    }
    return true;
}

static void answer(gnutls_session_t session, uint16_t type, uint64_t correlation, const void *body, size_t size)
{
    char bytes[256];
    struct yd_frame frame = {(uint32_t)(sizeof frame + size), type, 0, correlation};
    memcpy(bytes, &frame, sizeof frame);
    memcpy(bytes + sizeof frame, body, size);
    size += sizeof frame;
    for (size_t at = 0; at < size; at++) /* a byte a record: the client puts them together */
        if (gnutls_record_send(session, bytes + at, 1) < 0) return;
}

static void *serve(void *arg)
{
    int listener = *(int *)arg, fd = accept(listener, NULL, NULL);
    static char body[1 << 20];
    uint64_t seqno = 0;
    struct yd_frame frame;
    gnutls_session_t session;
    gnutls_init(&session, GNUTLS_SERVER);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    int code;
    do code = gnutls_handshake(session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    while (code >= 0 && read_all(session, &frame, sizeof frame) && frame.size <= sizeof body &&
           read_all(session, body, frame.size - sizeof frame)) {
        struct yd_msg_welcome welcome = {.version = 1, .frame_max = 1 << 20};
        struct yd_msg_opened opened = {.handle = 1, .partitions = 1};
        struct yd_msg_append append;
        if (frame.type == YD_MSG_HELLO) answer(session, YD_MSG_WELCOME, frame.correlation, &welcome, sizeof welcome);
        if (frame.type == YD_MSG_OPEN) answer(session, YD_MSG_OPENED, frame.correlation, &opened, sizeof opened);
        if (frame.type != YD_MSG_APPEND) continue;
        memcpy(&append, body, sizeof append);
        struct yd_msg_appended appended = {.first = seqno, .next = seqno + append.count, .level = YD_ACK_DURABLE};
        seqno += append.count;
        answer(session, YD_MSG_APPENDED, frame.correlation, &appended, sizeof appended);
    }
    gnutls_deinit(session);
    close(fd);
    return NULL;
}

static int try_it(const char *host, const char *ca, unsigned appends, char *why, size_t why_size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, &listener), 0);
    char address[64];
    snprintf(address, sizeof address, "tls:%s:%d", host, ntohs(at.sin_port));
    const struct yd_client_options options = {.address = address, .ca_file = ca};
    struct yd_client *client;
    struct yd_client_stream *stream;
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_int_equal(yd_client_open(&options, &client, NULL), 0);
    int error = yd_client_stream(client, "s", &stream);
    assert_int_equal(yd_builder_create(&(struct yd_builder_options){0}, &builder), 0);
    static char text[20000];
    memset(text, 'x', sizeof text);
    assert_int_equal(yd_builder_name(builder, YD_STR("n"), &name), 0);
    assert_int_equal(yd_builder_add_bytes(builder, 1, name, YD_EVENT, YD_TEXT, 0, (struct yd_str){text, sizeof text}),
                     0);
    assert_int_equal(yd_builder_seal(builder, &batch), 0);
    for (unsigned i = 0; !error && i < appends; i++) /* more than a socket takes at once */
        while ((error = yd_client_append_async(stream, batch, NULL, NULL, NULL)) == YD_EFULL)
            if (yd_client_run(client, -1) < 0) break;
    if (!error) error = yd_client_flush(client);
    snprintf(why, why_size, "%s", yd_client_trouble(client));
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    yd_client_close(client);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    return error;
}

static void a_trusted_server_is_talked_to_in_secret(void **state)
{
    (void)state;
    char why[600];
    int error = try_it("localhost", ca_file, 2000, why, sizeof why);
    if (error) print_message("# %s\n", why);
    assert_int_equal(error, 0);
}

static void a_certificate_of_a_stranger_is_refused(void **state)
{
    (void)state;
    char why[600];
    assert_int_equal(try_it("localhost", other_ca_file, 1, why, sizeof why), YD_EPERM);
    assert_non_null(strstr(why, "certificate"));
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    (void)state;
    char why[600];
    assert_int_equal(try_it("127.0.0.1", ca_file, 1, why, sizeof why), YD_EPERM);
    assert_non_null(strstr(why, "certificate"));
}

static void files_that_are_not_there_are_told(void **state)
{
    (void)state;
    struct yd_client *client;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    const struct yd_client_options missing = {.address = "tls:localhost:1", .ca_file = "/nowhere.pem"};
    assert_int_equal(yd_client_open(&missing, &client, &trail), YD_EINVAL);
    assert_non_null(strstr(yd_trail_text(&trail), "/nowhere.pem"));
    const struct yd_client_options half = {.address = "tls:localhost:1", .ca_file = ca_file, .cert_file = ca_file};
    assert_int_equal(yd_client_open(&half, &client, &trail), YD_EINVAL);
    const struct yd_client_options odd = {.address = "tls:unix:/x"};
    assert_int_equal(yd_client_open(&odd, &client, &trail), YD_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_server_is_talked_to_in_secret),
        cmocka_unit_test(a_certificate_of_a_stranger_is_refused),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(files_that_are_not_there_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
