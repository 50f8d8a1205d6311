/* client/tls.c: TLS 1.3 by GnuTLS, straight on the socket seam. The server's certificate must be signed by somebody we
 * trust and be for the host we asked for; there is no way to do without.
 *
 * GnuTLS wants a record that could not be sent whole to be asked for again: `pending` remembers how much of the output
 * it has taken already. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "client/internal.h"

struct yd__tls {
    gnutls_certificate_credentials_t credentials;
};

struct yd__session {
    struct yd_net *net;
    int fd, error; /* of the seam */
    size_t pending;
    gnutls_session_t session;
};

int yd__tls_create(const struct yd_client_options *options, struct yd__tls **ret_tls, struct yd_trail *trail)
{
    struct yd__tls *tls = yd_alloc_zero(NULL, sizeof *tls);
    if (!tls || gnutls_certificate_allocate_credentials(&tls->credentials) < 0) {
        yd_alloc_put(NULL, tls, sizeof *tls);
        return YD_ENOMEM;
    }
    int error = 0, code;
    if (options->ca_file)
        code = gnutls_certificate_set_x509_trust_file(tls->credentials, options->ca_file, GNUTLS_X509_FMT_PEM);
    else
        code = gnutls_certificate_set_x509_system_trust(tls->credentials);
    if (code <= 0)
        error =
            yd_trail_add(trail, YD_EINVAL, "%s: %s", options->ca_file ? options->ca_file : "the system's authorities",
                         code ? gnutls_strerror(code) : "no certificate in it");
    if (!error && !options->cert_file != !options->key_file)
        error = yd_trail_add(trail, YD_EINVAL, "a certificate of ours wants its key, and a key its certificate");
    if (!error && options->cert_file) {
        code = gnutls_certificate_set_x509_key_file(tls->credentials, options->cert_file, options->key_file,
                                                    GNUTLS_X509_FMT_PEM);
        if (code < 0) error = yd_trail_add(trail, YD_EINVAL, "%s: %s", options->cert_file, gnutls_strerror(code));
    }
    if (error)
        yd__tls_destroy(tls);
    else
        *ret_tls = tls;
    return error;
}

void yd__tls_destroy(struct yd__tls *tls)
{
    if (!tls) return;
    gnutls_certificate_free_credentials(tls->credentials);
    yd_alloc_put(NULL, tls, sizeof *tls);
}

static ssize_t moved(struct yd__session *session, int error, size_t size)
{
    if (error == 0) return (ssize_t)size;
    if (error == YD_EEOF) return 0;
    if (error != YD_EAGAIN) session->error = error;
    gnutls_transport_set_errno(session->session, error == YD_EAGAIN ? EAGAIN : ECONNRESET);
    return -1;
}

static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *parts, int count)
{
    struct yd__session *session = arg;
    size_t size = 0;
    int error = session->net->ops->send(session->net, session->fd, (const struct iovec *)parts, count, &size);
    return moved(session, error, size);
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *to, size_t room)
{
    struct yd__session *session = arg;
    size_t size = 0;
    int error = session->net->ops->recv(session->net, session->fd, to, room, &size);
    return moved(session, error, size);
}

/* Nobody waits inside GnuTLS. */
static int pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
    (void)arg;
    (void)ms;
    return 1;
}

int yd__session_create(struct yd__tls *tls, struct yd_net *net, int fd, const char *host,
                       struct yd__session **ret_session)
{
    struct yd__session *session = yd_alloc_zero(NULL, sizeof *session);
    if (!session) return YD_ENOMEM;
    session->net = net;
    session->fd = fd;
    if (gnutls_init(&session->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        yd_alloc_put(NULL, session, sizeof *session);
        return YD_ENOMEM;
    }
    bool numeric = host[strspn(host, "0123456789.")] == 0 || strchr(host, ':');
    int code = gnutls_priority_set_direct(session->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (code >= 0) code = gnutls_credentials_set(session->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (code >= 0 && !numeric) code = gnutls_server_name_set(session->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (code < 0) {
        yd__session_destroy(session);
        return YD_EFAIL;
    }
    gnutls_session_set_verify_cert(session->session, host, 0);
    gnutls_transport_set_ptr(session->session, session);
    gnutls_transport_set_vec_push_function(session->session, push);
    gnutls_transport_set_pull_function(session->session, pull);
    gnutls_transport_set_pull_timeout_function(session->session, pull_timeout);
    *ret_session = session;
    return 0;
}

static int not_verified(struct yd__session *session, struct yd_trail *trail)
{
    unsigned status = gnutls_session_get_verify_cert_status(session->session);
    gnutls_datum_t text = {0};
    (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    int error =
        yd_trail_add(trail, YD_EPERM, "the server's certificate: %s", text.data ? (char *)text.data : "refused");
    gnutls_free(text.data);
    return error;
}

int yd__session_handshake(struct yd__session *session, struct yd_trail *trail)
{
    int code;
    do code = gnutls_handshake(session->session);
    while (code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(code));
    if (code == GNUTLS_E_AGAIN) return YD_EAGAIN;
    if (code >= 0) return 0;
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) return not_verified(session, trail);
    if (session->error || code == GNUTLS_E_PREMATURE_TERMINATION)
        return yd_trail_add(trail, session->error ? session->error : YD_ECONNRESET, "TLS handshake: %s",
                            gnutls_strerror(code));
    return yd_trail_add(
        trail, code == GNUTLS_E_FATAL_ALERT_RECEIVED ? YD_EPERM : YD_EFORMAT, "TLS handshake: %s%s%s",
        gnutls_strerror(code), code == GNUTLS_E_FATAL_ALERT_RECEIVED ? ": " : "",
        code == GNUTLS_E_FATAL_ALERT_RECEIVED ? gnutls_alert_get_name(gnutls_alert_get(session->session)) : "");
}

static int failed(struct yd__session *session, ssize_t code)
{
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED) return YD_EAGAIN;
    if (session->error) return session->error;
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) return YD_EPERM; /* TLS 1.3: it looks at our certificate afterwards */
    return code == GNUTLS_E_PREMATURE_TERMINATION ? YD_ECONNRESET : YD_EFORMAT;
}

int yd__session_send(struct yd__session *session, const void *data, size_t size, size_t *ret_size)
{
    size_t most = YD_MIN(size, (size_t)16384);
    ssize_t sent = session->pending ? gnutls_record_send(session->session, NULL, 0)
                                    : gnutls_record_send(session->session, data, most);
    if (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED) {
        if (!session->pending) session->pending = most;
        return YD_EAGAIN;
    }
    if (sent < 0) return failed(session, sent);
    session->pending = 0;
    *ret_size = (size_t)sent;
    return 0;
}

int yd__session_recv(struct yd__session *session, void *to, size_t size, size_t *ret_size)
{
    ssize_t got;
    do got = gnutls_record_recv(session->session, to, size);
    while (got < 0 && got != GNUTLS_E_AGAIN && !gnutls_error_is_fatal((int)got)); /* tickets, key updates */
    if (got < 0) return failed(session, got);
    if (got == 0) return YD_EEOF;
    *ret_size = (size_t)got;
    return 0;
}

bool yd__session_writes(const struct yd__session *session)
{
    return gnutls_record_get_direction(session->session) == 1;
}

void yd__session_destroy(struct yd__session *session)
{
    if (!session) return;
    gnutls_deinit(session->session); /* without a farewell: GOODBYE was said, or nobody listens */
    yd_alloc_put(NULL, session, sizeof *session);
}
