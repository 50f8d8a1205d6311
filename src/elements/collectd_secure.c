/* Signed and encrypted packets of collectd: see collectd_packets.h.
 *
 *   signature:  HMAC-SHA256 by the password over {user, all behind the part} 32, user
 *   encryption: size of user 16, user, IV 16, AES-256-OFB by SHA256(password) of {SHA1 of the text 20, text}
 *
 * GnuTLS has no OFB: its key stream is what CBC makes of zeros, so that is asked for. A packet caught and sent again is
 * taken again: the protocol has nothing against that but the times in it. Source: collectd wiki, "Binary protocol". */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "elements/collectd_packets.h"

#define HMAC_SIZE 32
#define SHA1_SIZE 20
#define IV_SIZE   16
#define USER_MAX  255

struct user {
    struct yd_str name, password; /* into text */
    unsigned char key[32];        /* SHA256 of the password */
};

struct yd_collectd_users {
    struct yd_alloc *alloc;
    char *text;
    size_t text_size;
    struct user *users;
    size_t count, capacity;
};

static int refuse(enum yd_collectd_reason reason)
{
    return -1 - (int)reason;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct yd_str trim(struct yd_str text)
{
    while (text.size && blank(text.data[0])) text.data++, text.size--;
    while (text.size && blank(text.data[text.size - 1])) text.size--;
    return text;
}

static int parse_user(struct yd_collectd_users *users, struct yd_str line)
{
    line = trim(line);
    if (!line.size || line.data[0] == '#') return 0;
    const char *colon = memchr(line.data, ':', line.size);
    if (!colon) return YD_EFORMAT;
    struct user user = {.name = trim((struct yd_str){line.data, (size_t)(colon - line.data)}),
                        .password = trim((struct yd_str){colon + 1, (size_t)(line.data + line.size - colon - 1)})};
    if (!user.name.size || user.name.size > USER_MAX || !user.password.size) return YD_EFORMAT;
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, user.password.data, user.password.size, user.key) < 0) return YD_ENOTSUP;
    if (users->count == users->capacity) {
        size_t capacity = users->capacity ? 2 * users->capacity : 16;
        struct user *grown =
            yd_alloc_resize(users->alloc, users->users, users->capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return YD_ENOMEM;
        users->users = grown;
        users->capacity = capacity;
    }
    users->users[users->count++] = user;
    return 0;
}

int yd_collectd_users_create(struct yd_str text, struct yd_alloc *alloc, struct yd_collectd_users **ret_users,
                             unsigned *ret_line)
{
    struct yd_collectd_users *users = yd_alloc_zero(alloc, sizeof *users);
    int r = 0;
    *ret_line = 0;
    if (!users) return YD_ENOMEM;
    users->alloc = alloc;
    users->text_size = text.size;
    users->text = yd_alloc_zero(alloc, text.size + 1);
    if (!users->text) r = YD_ENOMEM;
    if (r == 0 && text.size) memcpy(users->text, text.data, text.size);
    for (size_t at = 0; r == 0 && at < text.size;) {
        const char *lf = memchr(users->text + at, '\n', text.size - at);
        size_t end = lf ? (size_t)(lf - users->text) : text.size;
        ++*ret_line;
        r = parse_user(users, (struct yd_str){users->text + at, end - at});
        at = end + 1;
    }
    if (r < 0)
        yd_collectd_users_destroy(users);
    else
        *ret_users = users;
    return r;
}

void yd_collectd_users_destroy(struct yd_collectd_users *users)
{
    if (!users) return;
    if (users->text) {
        gnutls_memset(users->text, 0, users->text_size);
        yd_alloc_put(users->alloc, users->text, users->text_size + 1);
    }
    if (users->users) {
        gnutls_memset(users->users, 0, users->count * sizeof *users->users);
        yd_alloc_put(users->alloc, users->users, users->capacity * sizeof *users->users);
    }
    yd_alloc_put(users->alloc, users, sizeof *users);
}

/* The last one of that name, as collectd takes it; NULL. */
static const struct user *find(const struct yd_collectd_users *users, struct yd_str name)
{
    for (size_t i = users ? users->count : 0; i-- > 0;)
        if (yd_str_eq(users->users[i].name, name)) return &users->users[i];
    return NULL;
}

int yd__collectd_verify(const struct yd_collectd_users *users, struct yd_str body, struct yd_str behind)
{
    unsigned char sum[HMAC_SIZE];
    gnutls_hmac_hd_t hmac;
    if (body.size <= HMAC_SIZE || body.size > HMAC_SIZE + USER_MAX) return refuse(YD_COLLECTD_BAD_PART);
    struct yd_str name = {body.data + HMAC_SIZE, body.size - HMAC_SIZE};
    const struct user *user = find(users, name);
    if (!user) return refuse(YD_COLLECTD_UNKNOWN_USER);
    if (gnutls_hmac_init(&hmac, GNUTLS_MAC_SHA256, user->password.data, user->password.size) < 0)
        return refuse(YD_COLLECTD_NO_MEMORY);
    int r = gnutls_hmac(hmac, name.data, name.size);
    if (r >= 0 && behind.size) r = gnutls_hmac(hmac, behind.data, behind.size);
    gnutls_hmac_deinit(hmac, sum);
    if (r < 0) return refuse(YD_COLLECTD_NO_MEMORY);
    return gnutls_memcmp(sum, body.data, HMAC_SIZE) == 0 ? 0 : refuse(YD_COLLECTD_BAD_SECRET);
}

/* `size` bytes of `from`, exclusive-ored with the key stream, into `to`. */
static int ofb(const struct user *user, const char *iv, const char *from, size_t size, char *to)
{
    static const unsigned char zeros[1024];
    unsigned char stream[sizeof zeros];
    unsigned char key_bytes[sizeof user->key], iv_bytes[IV_SIZE];
    gnutls_cipher_hd_t cipher;
    memcpy(key_bytes, user->key, sizeof key_bytes);
    memcpy(iv_bytes, iv, sizeof iv_bytes);
    const gnutls_datum_t key = {key_bytes, sizeof key_bytes}, vector = {iv_bytes, sizeof iv_bytes};
    int r = gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_CBC, &key, &vector);
    if (r < 0) return r;
    for (size_t at = 0; at < size && r >= 0; at += sizeof stream) {
        r = gnutls_cipher_encrypt2(cipher, zeros, sizeof zeros, stream, sizeof stream);
        for (size_t i = 0; i < sizeof stream && at + i < size; i++) to[at + i] = (char)(from[at + i] ^ (char)stream[i]);
    }
    gnutls_cipher_deinit(cipher);
    gnutls_memset(key_bytes, 0, sizeof key_bytes);
    return r;
}

int yd__collectd_decrypt(const struct yd_collectd_users *users, struct yd_str body, char *to, struct yd_str *ret_text)
{
    unsigned char sum[SHA1_SIZE];
    size_t user_size = body.size > 2 ? (size_t)((unsigned char)body.data[0] << 8 | (unsigned char)body.data[1]) : 0;
    if (!user_size || user_size > USER_MAX || body.size < 2 + user_size + IV_SIZE + SHA1_SIZE)
        return refuse(YD_COLLECTD_BAD_PART);
    const struct user *user = find(users, (struct yd_str){body.data + 2, user_size});
    if (!user) return refuse(YD_COLLECTD_UNKNOWN_USER);
    const char *iv = body.data + 2 + user_size, *secret = iv + IV_SIZE;
    size_t size = body.size - 2 - user_size - IV_SIZE;
    if (ofb(user, iv, secret, size, to) < 0) return refuse(YD_COLLECTD_NO_MEMORY);
    *ret_text = (struct yd_str){to + SHA1_SIZE, size - SHA1_SIZE};
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, ret_text->data, ret_text->size, sum) < 0)
        return refuse(YD_COLLECTD_NO_MEMORY);
    return gnutls_memcmp(sum, to, SHA1_SIZE) == 0 ? 0 : refuse(YD_COLLECTD_BAD_SECRET);
}
