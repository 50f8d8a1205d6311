/* Who may send: see sources.h. Both families are 128 bits here, IPv4 in its mapped form (RFC 4291, 2.5.5.2). */
#include "elements/sources.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/text.h"

static int parse_one(struct yd_str text, struct yd_source_net *ret)
{
    char host[64];
    const char *slash = text.size ? memchr(text.data, '/', text.size) : NULL;
    size_t size = slash ? (size_t)(slash - text.data) : text.size;
    struct in_addr v4;
    uint64_t bits;
    if (size >= sizeof host) return YD_EFORMAT;
    if (size) memcpy(host, text.data, size);
    host[size] = 0;
    memset(ret, 0, sizeof *ret);
    unsigned most = 128, before = 0;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        memset(ret->bytes + 10, 0xff, 2);
        memcpy(ret->bytes + 12, &v4, 4);
        most = 32, before = 96;
    } else if (inet_pton(AF_INET6, host, ret->bytes) != 1) {
        return YD_EFORMAT;
    }
    bits = most;
    if (slash && (yd_text_u64((struct yd_str){slash + 1, text.size - size - 1}, &bits) || bits > most))
        return YD_EFORMAT;
    ret->bits = (uint8_t)(before + bits);
    return 0;
}

int yd_sources_parse(const struct yd_arg *list, struct yd_sources *ret, char *why, size_t why_size)
{
    ret->count = 0;
    for (size_t i = 0; list && i < list->list.count; i++) {
        const struct yd_arg *item = &list->list.items[i];
        const char *wrong = NULL;
        if (ret->count == YD_SOURCES_MAX)
            wrong = "there are more than 64";
        else if (item->type != YD_PARAM_TEXT)
            wrong = "addresses are texts: [\"10.0.0.0/8\"]";
        else if (parse_one(item->text, &ret->items[ret->count]) < 0)
            wrong = "not an address or a network like \"10.0.0.7\", \"10.0.0.0/8\", \"fd00::/8\"";
        if (wrong) {
            snprintf(why, why_size, "sources: %s", wrong);
            return YD_EINVAL;
        }
        ret->count++;
    }
    return 0;
}

static bool in_network(const struct yd_source_net *source, const uint8_t bytes[16])
{
    unsigned whole = source->bits / 8, rest = source->bits % 8;
    if (memcmp(source->bytes, bytes, whole) != 0) return false;
    return rest == 0 || ((source->bytes[whole] ^ bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool yd_sources_allow(const struct yd_sources *sources, const struct yd_address *from)
{
    uint8_t bytes[16] = {0};
    if (sources->count == 0) return true;
    if (from->storage.ss_family == AF_INET) {
        memset(bytes + 10, 0xff, 2);
        memcpy(bytes + 12, &((const struct sockaddr_in *)&from->storage)->sin_addr, 4);
    } else if (from->storage.ss_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)&from->storage)->sin6_addr, 16);
    } else {
        return false;
    }
    for (uint32_t i = 0; i < sources->count; i++)
        if (in_network(&sources->items[i], bytes)) return true;
    return false;
}
