/* elements/live_access.h: who may come in at a door of shared memory: what Live and Broker have in common. */
#ifndef ELEMENTS_LIVE_ACCESS_H
#define ELEMENTS_LIVE_ACCESS_H

#include <yarder/element.h>

#include "live/door.h"

/* "user:NAME", "group:NAME", or with a number; behind a blank a pattern, given in *ret_pattern (a part of `text`; size
 * 0: none). YD_EINVAL, YD_ENOENT: the machine knows no such name. */
int yd__live_access_read(struct yd_str text, struct yd_live_access *ret, struct yd_str *ret_pattern, char *why,
                         size_t why_size);
/* A list of texts, not more than there may be bells. YD_EINVAL and why. */
int yd__live_access_check(const struct yd_arg *access, char *why, size_t why_size);
/* Where to listen: the parameter `listen`, or DATA/live/NAME.sock, whose folder is made. */
int yd__live_access_path(struct yd_element *element, char *to, size_t size);

#endif
