/* io/address.c: "127.0.0.1:2003", "[::1]:2003", "localhost:2003", ":2003" and "unix:/path" to socket addresses and
 * back.
 *
 * No names are looked up: a resolver blocks, and what listens should not depend on one. ":2003" is the IPv6 wildcard,
 * which takes IPv4 too; on a machine without IPv6 the loops open the IPv4 one instead. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "io/loop.h"

static struct sockaddr_in *v4(struct yd_address *address)
{
    return (struct sockaddr_in *)&address->storage;
}
static struct sockaddr_in6 *v6(struct yd_address *address)
{
    return (struct sockaddr_in6 *)&address->storage;
}

static int parse_unix(struct yd_str path, struct yd_address *ret, struct yd_trail *trail)
{
    struct sockaddr_un *to = (struct sockaddr_un *)&ret->storage;
    if (path.size == 0) return yd_trail_add(trail, YD_EFORMAT, "an address \"unix:\" needs a path");
    if (path.size >= sizeof to->sun_path)
        return yd_trail_add(trail, YD_ETOOBIG, "the path of a Unix socket may have %zu bytes, this one has %zu",
                            sizeof to->sun_path - 1, path.size);
    if (memchr(path.data, 0, path.size)) return yd_trail_add(trail, YD_EFORMAT, "a path with a NUL byte");
    memset(ret, 0, sizeof *ret);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path.data, path.size);
    ret->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + 1);
    return 0;
}

static int parse_host(struct yd_str host, uint16_t port, struct yd_address *ret)
{
    char text[64];
    memset(ret, 0, sizeof *ret);
    bool bracketed = host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (bracketed) host = (struct yd_str){host.data + 1, host.size - 2};
    if (host.size >= sizeof text) return YD_EFORMAT;
    if (host.size) memcpy(text, host.data, host.size);
    text[host.size] = '\0';
    if (!bracketed && strcmp(text, "localhost") == 0) strcpy(text, "127.0.0.1");
    if (!bracketed && host.size && inet_pton(AF_INET, text, &v4(ret)->sin_addr) == 1) {
        v4(ret)->sin_family = AF_INET;
        v4(ret)->sin_port = htons(port);
        ret->size = sizeof(struct sockaddr_in);
        return 0;
    }
    if (host.size || bracketed)
        if (!bracketed || inet_pton(AF_INET6, text, &v6(ret)->sin6_addr) != 1) return YD_EFORMAT;
    v6(ret)->sin6_family = AF_INET6;
    v6(ret)->sin6_port = htons(port);
    ret->size = sizeof(struct sockaddr_in6);
    return 0;
}

int yd_address_parse(struct yd_str text, struct yd_address *ret, struct yd_trail *trail)
{
    struct yd_address address;
    uint64_t port;
    if (yd_str_starts(text, YD_STR("unix:")))
        return parse_unix((struct yd_str){text.data + 5, text.size - 5}, ret, trail);
    size_t colon = text.size;
    while (colon && text.data[colon - 1] != ':') colon--;
    if (colon == 0)
        return yd_trail_add(trail, YD_EFORMAT, "the address \"%.*s\" has no port: write HOST:PORT, :PORT or unix:PATH",
                            YD_STR_FMT(text));
    struct yd_str digits = {text.data + colon, text.size - colon};
    if (yd_text_u64(digits, &port) || port > 65535)
        return yd_trail_add(trail, YD_EFORMAT, "the address \"%.*s\" has no port between 0 and 65535",
                            YD_STR_FMT(text));
    if (parse_host((struct yd_str){text.data, colon - 1}, (uint16_t)port, &address))
        return yd_trail_add(trail, YD_EFORMAT,
                            "the address \"%.*s\" needs a numeric host (127.0.0.1, [::1]), localhost or none",
                            YD_STR_FMT(text));
    *ret = address;
    return 0;
}

size_t yd_address_put(const struct yd_address *address, char *to, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    int put;
    switch (address->size ? address->storage.ss_family : AF_UNSPEC) {
    case AF_INET:
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        put = snprintf(to, size, "%s:%u", host, ntohs(in->sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        put = IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ? snprintf(to, size, ":%u", ntohs(in6->sin6_port))
                                                       : snprintf(to, size, "[%s]:%u", host, ntohs(in6->sin6_port));
        break;
    case AF_UNIX: /* a peer that is not bound has no path */
        put = snprintf(to, size, "unix:%.*s", (int)sizeof un->sun_path,
                       address->size > offsetof(struct sockaddr_un, sun_path) ? un->sun_path : "");
        break;
    default:
        put = snprintf(to, size, "?");
        break;
    }
    return put < 0 || size == 0 ? 0 : YD_MIN((size_t)put, size - 1);
}

bool yd_address_multicast(const struct yd_address *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    switch (address->storage.ss_family) {
    case AF_INET:
        return IN_MULTICAST(ntohl(in->sin_addr.s_addr));
    case AF_INET6:
        return IN6_IS_ADDR_MULTICAST(&in6->sin6_addr);
    default:
        return false;
    }
}

bool yd_address_loopback(const struct yd_address *address)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    switch (address->storage.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    default:
        return false;
    }
}

/* Without its port: "10.0.0.7:4711" and "[::1]:4711" are new with each connection. */
struct yd_str yd_address_host(struct yd_str peer)
{
    size_t digits = 0;
    while (digits < peer.size && peer.data[peer.size - 1 - digits] >= '0' && peer.data[peer.size - 1 - digits] <= '9')
        digits++;
    size_t colon = peer.size - digits;
    bool port = digits > 0 && colon > 0 && peer.data[colon - 1] == ':' &&
                ((colon > 1 && peer.data[colon - 2] == ']') || !memchr(peer.data, ':', colon - 1));
    if (port) peer.size = colon - 1;
    return peer;
}
