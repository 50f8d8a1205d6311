/* io/names.c: host names to addresses, for who connects.
 *
 *   "leader.example:4280" ─▶ not an address of address.c ─▶ the loop's `find_host`: getaddrinfo, or the simulation's
 * list
 *
 * What listens never needs a resolver, so yd_address_parse knows none. Looking up blocks, for seconds when a resolver
 * is gone: file threads only. Nothing is remembered: the next attempt sees what has changed. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>

#include "io/loop_inner.h"

/* "HOST:PORT" with a host that can be a name. */
static int cut(struct yd_str text, char host[256], uint16_t *ret_port)
{
    uint64_t port;
    size_t colon = text.size;
    while (colon && text.data[colon - 1] != ':') colon--;
    if (colon < 2 || colon > 255) return YD_EFORMAT;
    if (yd_text_u64((struct yd_str){text.data + colon, text.size - colon}, &port) || port > 65535) return YD_EFORMAT;
    bool letters = false;
    for (size_t i = 0; i < colon - 1; i++) {
        char c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        letters |= letter;
        if (!letter && !(c >= '0' && c <= '9') && !memchr("-._", c, 3)) return YD_EFORMAT;
        host[i] = c;
    }
    /* 127.0.0.256 and 1.2.3 are mistakes, not names. */
    if (!letters || host[0] == '-' || host[0] == '.') return YD_EFORMAT;
    host[colon - 1] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

int yd_address_check(struct yd_str text, bool *ret_named, struct yd_trail *trail)
{
    char host[256];
    uint16_t port;
    struct yd_address address;
    struct yd_trail ours = {0};
    int error = yd_address_parse(text, &address, &ours);
    *ret_named = error && !yd_str_starts(text, YD_STR("unix:")) && cut(text, host, &port) == 0;
    if (error == 0 || *ret_named) return 0;
    return yd_trail_add(trail, error, "%s", yd_trail_text(&ours));
}

void yd__address_port(struct yd_address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

int yd_address_find(struct yd_loop *loop, struct yd_str text, unsigned attempt, struct yd_address *ret,
                    struct yd_trail *trail)
{
    char host[256];
    uint16_t port;
    bool named;
    int error = yd_address_check(text, &named, trail);
    if (error) return error;
    if (!named) return yd_address_parse(text, ret, trail);
    struct yd_address found = {0};
    (void)cut(text, host, &port);
    error = loop->ops->find_host(loop, host, attempt, &found, trail);
    if (error) return error;
    yd__address_port(&found, port);
    *ret = found;
    return 0;
}

static int error_of(int failed)
{
    if (failed == EAI_MEMORY) return YD_ENOMEM;
    if (failed == EAI_SYSTEM) return yd_error_from_errno(errno);
    return failed == EAI_AGAIN ? YD_ETIMEOUT : YD_ENOENT;
}

int yd__linux_find_host(struct yd_loop *loop, const char *host, unsigned attempt, struct yd_address *ret,
                        struct yd_trail *trail)
{
    (void)loop; /* its thread may be at work: nothing of it is touched */
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *found;
    int failed = getaddrinfo(host, NULL, &want, &found);
    if (failed) return yd_trail_add(trail, error_of(failed), "looking up %s: %s", host, gai_strerror(failed));
    unsigned count = 0, at = 0;
    for (const struct addrinfo *one = found; one; one = one->ai_next) count++;
    const struct addrinfo *one = found;
    for (; at < attempt % count; at++) one = one->ai_next;
    bool fits = one->ai_addrlen <= sizeof ret->storage;
    if (fits) memcpy(&ret->storage, one->ai_addr, one->ai_addrlen);
    ret->size = one->ai_addrlen;
    freeaddrinfo(found);
    return fits ? 0 : yd_trail_add(trail, YD_ENOTSUP, "looking up %s: an address of a kind nobody knows", host);
}
