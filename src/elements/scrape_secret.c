/* The header Authorization: see scrape_secret.h. Sources: RFC 6750 (Bearer), RFC 7617 (Basic), RFC 4648 (base 64). */
#include "elements/scrape_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX ((size_t)4096)

static size_t base64(const unsigned char *from, size_t size, char *to)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = to;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)from[i] << 16;
        if (i + 1 < size) bits |= (uint32_t)from[i + 1] << 8;
        if (i + 2 < size) bits |= from[i + 2];
        *p++ = letters[bits >> 18];
        *p++ = letters[bits >> 12 & 63];
        *p++ = i + 1 < size ? letters[bits >> 6 & 63] : '=';
        *p++ = i + 2 < size ? letters[bits & 63] : '=';
    }
    *p = '\0';
    return (size_t)(p - to);
}

/* Its first line, in memory of its own. */
static int read_line(const struct yd_scrape_secret *secret, char **ret_line, struct yd_trail *trail)
{
    size_t size;
    char *line;
    if (yd_str_starts(secret->file, YD_STR("env:"))) {
        const char *value = getenv(secret->file.data + 4);
        if (!value) return yd_trail_add(trail, YD_ENOENT, "%s: not in the environment", secret->file.data + 4);
        line = strdup(value);
        if (!line) return YD_ENOMEM;
    } else {
        int r = yd_fs_read_all(secret->fs, secret->file.data, SECRET_MAX, &line, &size);
        if (r < 0) return yd_trail_add(trail, r, "%s: %s", secret->file.data, yd_error_text(r));
    }
    line[strcspn(line, "\r\n")] = '\0';
    *ret_line = line;
    return 0;
}

static const char *wrong_with(const char *line, bool basic)
{
    if (!*line) return "its first line is empty";
    if (strlen(line) > SECRET_MAX) return "its first line is too long";
    for (const unsigned char *p = (const unsigned char *)line; *p; p++)
        if (*p < ' ' || *p == 0x7f || (!basic && (*p == ' ' || *p > '~')))
            return "it has bytes that no header can have";
    return NULL;
}

int yd_scrape_secret(const struct yd_scrape_secret *secret, char *to, size_t size, struct yd_trail *trail)
{
    bool basic = secret->user.size;
    char *line = NULL, both[SECRET_MAX + 300];
    int r = read_line(secret, &line, trail);
    if (r < 0) return r;
    const char *wrong = wrong_with(line, basic);
    int used = 0;
    if (wrong) {
        r = yd_trail_add(trail, YD_EFORMAT, "%s: %s", secret->file.data, wrong);
    } else if (!basic) {
        used = snprintf(to, size, "Authorization: Bearer %s\r\n", line);
    } else {
        int count = snprintf(both, sizeof both, "%.*s:%s", YD_STR_FMT(secret->user), line);
        used = snprintf(to, size, "Authorization: Basic ");
        if ((size_t)count >= sizeof both || (size_t)used + (size_t)count / 3 * 4 + 7 > size) {
            r = yd_trail_add(trail, YD_ETOOBIG, "%s: user and password are too long", secret->file.data);
        } else {
            used += (int)base64((const unsigned char *)both, (size_t)count, to + used);
            memcpy(to + used, "\r\n", 3);
        }
        explicit_bzero(both, sizeof both);
    }
    if (r == 0 && (size_t)used + 3 > size) r = yd_trail_add(trail, YD_ETOOBIG, "%s: too long", secret->file.data);
    explicit_bzero(line, strlen(line));
    free(line);
    return r;
}
