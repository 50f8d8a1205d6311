/* io/tls.c: TLS 1.3 over a stream, by GnuTLS: a stream in front of a stream.
 *
 *   caller ── write ─▶ record_send ─▶ push ─▶ inner stream          inner data ─▶ `in` ─▶ pull ─▶ record_recv ─▶ caller
 *
 * What is written is encrypted at once into the inner stream's backlog, which is the one that counts; before the
 * handshake is over it waits as it is. What comes is kept in one buffer until GnuTLS has taken it. GnuTLS never blocks:
 * pull says "again" when the buffer is empty, and the next bytes go on from there. No callback of ours comes from
 * inside a call of the caller's; a stream that is closed in its own callback is freed when that returns. */
#include "io/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/loop_inner.h"

#define IN_SIZE         ((size_t)64 << 10) /* of ciphertext: more than a record */
#define HANDSHAKE_LIMIT (10 * YD_NS_PER_S)
#define INNER_LIMIT     (SIZE_MAX / 2) /* the limit is kept here, for both */

struct yd_tls {
    atomic_uint refs;
    gnutls_certificate_credentials_t credentials;
    bool client_certificate;
};

struct tls_stream {
    struct yd_stream stream; /* first: the caller's handle */
    struct yd_stream *inner;
    struct yd_tls *tls;
    gnutls_session_t session;
    const struct yd_stream_ops *ops;
    void *arg;
    struct yd_timer *timer; /* of the handshake */
    char *in;
    size_t in_at, in_end, limit;
    struct yd_buf waiting; /* written before the handshake was over */
    int inner_ended;       /* 0: not yet */
    char trouble[200];     /* for people; "" */
    unsigned depth;        /* callbacks under way, and a post: not to be freed */
    bool ready, ended, closed, paused, shut, posted, refused;
};

static struct tls_stream *of(const struct yd_stream *stream)
{
    return YD_CONTAINER((struct yd_stream *)(uintptr_t)stream, struct tls_stream, stream);
}

/* ---- contexts ---- */

struct yd_tls *yd_tls_ref(struct yd_tls *tls)
{
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed); /* who calls holds one */
    return tls;
}

void yd_tls_unref(struct yd_tls *tls)
{
    /* acq_rel: the last one sees what the others did with it. */
    if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1) return;
    gnutls_certificate_free_credentials(tls->credentials);
    free(tls);
}

static int load(struct yd_tls *tls, const struct yd_tls_options *options, struct yd_trail *trail)
{
    if (!options->cert_file != !options->key_file)
        return yd_trail_add(trail, YD_EINVAL, "a certificate wants its key, and a key its certificate");
    if (options->client_certificate && !options->ca_file)
        return yd_trail_add(trail, YD_EINVAL, "client certificates want the authority that signs them");
    int code = 0;
    if (options->cert_file)
        code = gnutls_certificate_set_x509_key_file(tls->credentials, options->cert_file, options->key_file,
                                                    GNUTLS_X509_FMT_PEM);
    if (code < 0)
        return yd_trail_add(trail, YD_EINVAL, "%s, %s: %s", options->cert_file, options->key_file,
                            gnutls_strerror(code));
    if (!options->ca_file) {
        (void)gnutls_certificate_set_x509_system_trust(tls->credentials); /* none: then nobody is trusted */
        return 0;
    }
    code = gnutls_certificate_set_x509_trust_file(tls->credentials, options->ca_file, GNUTLS_X509_FMT_PEM);
    if (code > 0) return 0;
    return yd_trail_add(trail, YD_EINVAL, "%s: %s", options->ca_file,
                        code ? gnutls_strerror(code) : "no certificate in it");
}

int yd_tls_create(const struct yd_tls_options *options, struct yd_tls **ret_tls, struct yd_trail *trail)
{
    struct yd_tls *tls = calloc(1, sizeof *tls);
    if (!tls) return YD_ENOMEM;
    atomic_init(&tls->refs, 1);
    tls->client_certificate = options->client_certificate;
    if (gnutls_certificate_allocate_credentials(&tls->credentials) < 0) {
        free(tls);
        return YD_ENOMEM;
    }
    int error = load(tls, options, trail);
    if (error)
        yd_tls_unref(tls);
    else
        *ret_tls = tls;
    return error;
}

/* ---- between GnuTLS and the inner stream ---- */

static ssize_t push(gnutls_transport_ptr_t arg, const void *bytes, size_t size)
{
    struct tls_stream *tls = arg;
    if (yd_stream_write(tls->inner, (struct yd_str){bytes, size}) == 0) return (ssize_t)size;
    gnutls_transport_set_errno(tls->session, ECONNRESET);
    return -1;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *to, size_t room)
{
    struct tls_stream *tls = arg;
    size_t size = YD_MIN(room, tls->in_end - tls->in_at);
    if (size == 0 && tls->inner_ended) return 0;
    if (size == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    memcpy(to, tls->in + tls->in_at, size);
    tls->in_at += size;
    if (tls->in_at == tls->in_end) tls->in_at = tls->in_end = 0;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
    (void)arg, (void)ms;
    return 1; /* nobody waits inside GnuTLS */
}

static void free_stream(struct tls_stream *tls)
{
    yd_timer_close(tls->timer);
    if (tls->session) gnutls_deinit(tls->session);
    yd_tls_unref(tls->tls);
    yd_buf_fini(&tls->waiting);
    free(tls->in);
    free(tls);
}

static void leave(struct tls_stream *tls)
{
    if (--tls->depth == 0 && tls->closed) free_stream(tls);
}

/* Why a session ended, as `ended` says it. */
static int reason(const struct tls_stream *tls, int code)
{
    switch (code) {
    case GNUTLS_E_CERTIFICATE_ERROR:
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
    case GNUTLS_E_CERTIFICATE_REQUIRED:
    case GNUTLS_E_NO_CERTIFICATE_FOUND:
    case GNUTLS_E_FATAL_ALERT_RECEIVED: /* the peer refuses ours */
        return YD_EPERM;
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return tls->inner_ended && tls->inner_ended != YD_EEOF ? tls->inner_ended : YD_ECONNRESET;
    case GNUTLS_E_MEMORY_ERROR:
        return YD_ENOMEM;
    default:
        return YD_EFORMAT;
    }
}

/* What a person needs to know of it, while GnuTLS still knows. */
static void note_trouble(struct tls_stream *tls, int code)
{
    gnutls_datum_t text = {0};
    const char *why = gnutls_strerror(code), *before = "";
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        unsigned status = gnutls_session_get_verify_cert_status(tls->session);
        (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
        if (text.data) why = (const char *)text.data;
    } else if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        const char *alert = gnutls_alert_get_name(gnutls_alert_get(tls->session));
        before = "the other side says: ";
        if (alert) why = alert;
    } else if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || code == GNUTLS_E_UNEXPECTED_PACKET ||
               code == GNUTLS_E_UNSUPPORTED_VERSION_PACKET || code == GNUTLS_E_RECORD_OVERFLOW) {
        why = "the other side does not speak TLS";
    }
    (void)snprintf(tls->trouble, sizeof tls->trouble, "%s%.*s", before, (int)strcspn(why, "\n"), why);
    for (size_t size = strlen(tls->trouble); size && tls->trouble[size - 1] == ' '; size--)
        tls->trouble[size - 1] = '\0';
    gnutls_free(text.data);
}

static void end(struct tls_stream *tls, int error)
{
    if (tls->ended || tls->closed) return;
    tls->ended = true;
    yd_timer_stop(tls->timer);
    tls->ops->ended(tls->arg, error);
}

static int send_all(struct tls_stream *tls, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = gnutls_record_send(tls->session, bytes, size);
        if (sent == GNUTLS_E_INTERRUPTED || sent == GNUTLS_E_AGAIN) continue; /* push takes all or fails */
        if (sent < 0) return YD_ECLOSED;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static void say_goodbye(struct tls_stream *tls)
{
    if (tls->ready) (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR); /* the connection may be gone */
}

/* One step of the handshake; true: over. */
static bool shake(struct tls_stream *tls)
{
    int code;
    do code = gnutls_handshake(tls->session);
    while (code < 0 && code != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(code));
    if (code == GNUTLS_E_AGAIN) return false;
    if (code < 0) {
        note_trouble(tls, code);
        (void)gnutls_alert_send_appropriate(tls->session, code); /* the peer should know; it may be gone */
        end(tls, reason(tls, code));
        return false;
    }
    tls->ready = true;
    yd_timer_stop(tls->timer);
    int error = send_all(tls, tls->waiting.data, tls->waiting.size);
    yd_buf_fini(&tls->waiting);
    yd_buf_init(&tls->waiting, NULL);
    if (error) {
        end(tls, error);
        return false;
    }
    if (tls->shut) {
        say_goodbye(tls);
        yd_stream_shutdown(tls->inner);
    }
    if (tls->ops->connected) tls->ops->connected(tls->arg);
    return !tls->closed;
}

/* Gives the caller what has come. */
static void deliver(struct tls_stream *tls)
{
    tls->depth++;
    if (!tls->ready && !tls->ended && !tls->closed && !shake(tls)) {
        leave(tls);
        return;
    }
    while (!tls->closed && !tls->ended && !tls->paused) {
        bool more = tls->in_end > tls->in_at || gnutls_record_check_pending(tls->session) > 0 || tls->inner_ended;
        if (!more) break;
        char *to = NULL;
        size_t room = 0;
        tls->ops->room(tls->arg, &to, &room);
        if (!to || tls->closed) {
            if (!tls->closed) yd_stream_pause(&tls->stream, true); /* as loop.h says of a stream without room */
            break;
        }
        ssize_t got = gnutls_record_recv(tls->session, to, room);
        if (got > 0)
            tls->ops->data(tls->arg, (size_t)got);
        else if (got == GNUTLS_E_AGAIN)
            break;
        else if (got == 0)
            end(tls, YD_EEOF);
        else if (gnutls_error_is_fatal((int)got)) {
            note_trouble(tls, (int)got);
            end(tls, reason(tls, (int)got));
        }
    }
    leave(tls);
}

/* ---- what the inner stream says ---- */

static void inner_room(void *arg, char **ret_to, size_t *ret_size)
{
    struct tls_stream *tls = arg;
    if (tls->in_at > 0) {
        memmove(tls->in, tls->in + tls->in_at, tls->in_end - tls->in_at);
        tls->in_end -= tls->in_at;
        tls->in_at = 0;
    }
    *ret_size = IN_SIZE - tls->in_end;
    *ret_to = *ret_size ? tls->in + tls->in_end : NULL; /* NULL: the caller is paused; it pauses itself */
}

static void inner_data(void *arg, size_t size)
{
    struct tls_stream *tls = arg;
    tls->in_end += size;
    if (!tls->paused || !tls->ready) deliver(tls);
}

static void inner_ended(void *arg, int error)
{
    struct tls_stream *tls = arg;
    tls->inner_ended = error;
    if (!tls->paused || !tls->ready) deliver(tls);
}

static void inner_drained(void *arg)
{
    struct tls_stream *tls = arg;
    if (!tls->ready || tls->closed || tls->ended || !tls->ops->drained) return;
    tls->depth++;
    tls->ops->drained(tls->arg);
    leave(tls);
}

static void inner_connected(void *arg)
{
    deliver(arg); /* a client's: the first step is ours */
}

static const struct yd_stream_ops inner_ops = {
    .room = inner_room,
    .data = inner_data,
    .ended = inner_ended,
    .drained = inner_drained,
    .connected = inner_connected,
};

static void too_slow(void *arg)
{
    struct tls_stream *tls = arg;
    tls->depth++;
    end(tls, YD_ETIMEOUT);
    leave(tls);
}

/* ---- what the caller asks ---- */

static void tls_start(struct yd_stream *stream, const struct yd_stream_ops *ops, void *arg)
{
    struct tls_stream *tls = of(stream);
    tls->ops = ops;
    tls->arg = arg;
    yd_timer_start(tls->timer, yd_loop_mono(stream->loop) + HANDSHAKE_LIMIT);
    yd_stream_start(tls->inner, &inner_ops, tls);
}

static void resume(void *arg)
{
    struct tls_stream *tls = arg;
    tls->posted = false;
    if (!tls->closed && !tls->paused) deliver(tls);
    leave(tls);
}

static void tls_pause(struct yd_stream *stream, bool paused)
{
    struct tls_stream *tls = of(stream);
    if (tls->paused == paused) return;
    tls->paused = paused;
    yd_stream_pause(tls->inner, paused);
    if (paused || tls->posted) return;
    /* What is in the buffers already comes in a turn of the loop, not from in here. */
    tls->posted = yd_loop_post(stream->loop, resume, tls) == 0;
    if (tls->posted) tls->depth++;
}

static size_t tls_backlog(const struct yd_stream *stream)
{
    const struct tls_stream *tls = of(stream);
    return yd_stream_backlog(tls->inner) + tls->waiting.size;
}

static int tls_write(struct yd_stream *stream, struct yd_str bytes)
{
    struct tls_stream *tls = of(stream);
    if (tls->ended || tls->shut) return YD_ECLOSED;
    size_t backlog = tls_backlog(stream);
    if (backlog > 0 && (bytes.size > tls->limit || backlog > tls->limit - bytes.size)) return YD_EFULL;
    if (tls->ready) return send_all(tls, bytes.data, bytes.size);
    yd_buf_str(&tls->waiting, bytes);
    return tls->waiting.failed ? YD_ENOMEM : 0;
}

static void tls_limit(struct yd_stream *stream, size_t bytes)
{
    of(stream)->limit = bytes;
}

static void tls_shutdown(struct yd_stream *stream)
{
    struct tls_stream *tls = of(stream);
    if (tls->shut) return;
    tls->shut = true;
    if (!tls->ready) return; /* after the handshake */
    say_goodbye(tls);
    yd_stream_shutdown(tls->inner);
}

static void tls_close(struct yd_stream *stream)
{
    struct tls_stream *tls = of(stream);
    if (!tls->ended && !tls->shut) say_goodbye(tls);
    tls->closed = true;
    yd_timer_stop(tls->timer);
    yd_stream_close(tls->inner);
    tls->inner = NULL;
    if (tls->depth == 0) free_stream(tls);
}

static int tls_peek(struct yd_stream *stream, void (*peeked)(void *arg, struct yd_str bytes, int error), void *arg)
{
    (void)stream, (void)peeked, (void)arg;
    return YD_ENOTSUP;
}
static int tls_detach(struct yd_stream *stream, int *ret_fd)
{
    (void)stream, (void)ret_fd;
    return YD_ENOTSUP;
}
static bool tls_peer_user(struct yd_stream *stream, uint32_t *ret_uid)
{
    (void)stream, (void)ret_uid;
    return false;
}

/* Only what a stream is asked; shared writes and files are copied by loop.c, and encrypted here. */
static const struct yd__loop_ops tls_ops = {
    .stream_start = tls_start,
    .stream_pause = tls_pause,
    .stream_write = tls_write,
    .stream_backlog = tls_backlog,
    .stream_limit = tls_limit,
    .stream_shutdown = tls_shutdown,
    .stream_close = tls_close,
    .stream_peek = tls_peek,
    .stream_detach = tls_detach,
    .stream_peer_user = tls_peer_user,
};

static int begin_session(struct tls_stream *tls, const char *hostname)
{
    unsigned side = hostname ? GNUTLS_CLIENT : GNUTLS_SERVER;
    if (gnutls_init(&tls->session, side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) return YD_ENOMEM;
    int code = gnutls_priority_set_direct(tls->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (code >= 0) code = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->tls->credentials);
    if (code < 0) return YD_EFAIL;
    if (hostname) {
        bool numeric = hostname[strspn(hostname, "0123456789.")] == '\0' || strchr(hostname, ':');
        if (!numeric) (void)gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, hostname, strlen(hostname));
        gnutls_session_set_verify_cert(tls->session, hostname, 0);
    } else if (tls->tls->client_certificate) {
        gnutls_certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(tls->session, NULL, 0);
    }
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_push_function(tls->session, push);
    gnutls_transport_set_pull_function(tls->session, pull);
    gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
    return 0;
}

int yd_stream_secure(struct yd_stream **stream, struct yd_tls *context, const char *hostname)
{
    struct tls_stream *tls = calloc(1, sizeof *tls);
    if (!tls) return YD_ENOMEM;
    yd_buf_init(&tls->waiting, NULL);
    tls->stream = (struct yd_stream){.loop = (*stream)->loop, .ops = &tls_ops};
    tls->tls = yd_tls_ref(context);
    tls->limit = YD__STREAM_LIMIT;
    tls->in = malloc(IN_SIZE);
    int error = tls->in ? begin_session(tls, hostname) : YD_ENOMEM;
    if (!error) error = yd_timer_create((*stream)->loop, too_slow, tls, &tls->timer);
    if (error) {
        free_stream(tls);
        return error;
    }
    tls->inner = *stream;
    yd_stream_limit(tls->inner, INNER_LIMIT);
    *stream = &tls->stream;
    return 0;
}

bool yd_stream_tls_trouble(struct yd_stream *stream, char *to, size_t size)
{
    if (!stream || stream->ops != &tls_ops || !of(stream)->trouble[0]) return false;
    (void)snprintf(to, size, "%s", of(stream)->trouble);
    return true;
}

bool yd_stream_peer_name(struct yd_stream *stream, char *to, size_t size)
{
    if (stream->ops != &tls_ops || !of(stream)->ready) return false;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(of(stream)->session, &count);
    gnutls_x509_crt_t certificate;
    if (!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) return false;
    bool found = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
                 gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, to, &size) >= 0;
    gnutls_x509_crt_deinit(certificate);
    return found;
}
