/* io/tls.h: TLS 1.3 over a stream (GnuTLS). A secured stream is a stream: the same calls, the same callbacks.
 *
 * Certificates, or nothing. Contexts are read-only once made, shared by all streams and threads; files are read when
 * the context is made (blocks: not from an executor). */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "io/loop.h"

struct yd_tls;
struct yd_tls_options {
    const char *cert_file, *key_file; /* PEM; a server needs both */
    const char *ca_file;              /* who may sign the peer's; NULL: the system's */
    bool client_certificate;          /* a server that wants one from each peer, signed by ca_file */
};
int yd_tls_create(const struct yd_tls_options *options, struct yd_tls **ret_tls, struct yd_trail *trail);
struct yd_tls *yd_tls_ref(struct yd_tls *tls);
void yd_tls_unref(struct yd_tls *tls); /* NULL is quiet */

/* Puts TLS on a stream that was not started: *stream is replaced by the secured one, which owns it. hostname: what the
 * server's certificate must be for (a client), NULL at a server. The handshake runs by itself; what is written
 * meanwhile waits. `connected` comes after it at both ends; a failed one comes as `ended` (YD_EPERM: the certificate
 * was refused; YD_EFORMAT: that was not TLS). A handshake that takes longer than 10 s is ended. */
int yd_stream_secure(struct yd_stream **stream, struct yd_tls *tls, const char *hostname);
/* Why its handshake failed or the peer refused us, for people, once `ended` has come: "the certificate is not trusted
 * …". false: nothing is known. */
bool yd_stream_tls_trouble(struct yd_stream *stream, char *to, size_t size);
/* The subject's common name of the peer's certificate, after the handshake: for people and for rights. false: none. */
bool yd_stream_peer_name(struct yd_stream *stream, char *to, size_t size);

#endif
