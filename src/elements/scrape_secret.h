/* elements/scrape_secret.h: what a Scrape says of itself: the header Authorization, from a file or the environment.
 * Read before each scrape, so that a token that was renewed counts at once. A file thread's. */
#ifndef ELEMENTS_SCRAPE_SECRET_H
#define ELEMENTS_SCRAPE_SECRET_H

#include "base/text.h"
#include "io/file.h"

struct yd_scrape_secret {
    struct yd_fs *fs;
    struct yd_str user; /* "": a token */
    struct yd_str file; /* of the token or the password: a path, or "env:NAME"; its first line */
};
/* "Authorization: Bearer …\r\n", or Basic. Errors: it cannot be read, is empty or over 4 KiB, or cannot stand in a
 * header; the trail says which. */
int yd_scrape_secret(const struct yd_scrape_secret *secret, char *to, size_t size, struct yd_trail *trail);

#endif
