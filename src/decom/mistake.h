/* decom/mistake.h: what is wrong in a text that a person wrote, and where: for expressions and limits, which stand in
 * other texts (a definition, a file of rules, a parameter).
 *
 *   rules.txt:3:12: no measurement is called 'altitud'
 *      3 | climb = rate(altitud)
 *        |              ^^^^^^^
 *        = help: did you mean 'altitude'? */
#ifndef DECOM_MISTAKE_H
#define DECOM_MISTAKE_H

#include "base/alloc.h"

struct yd_mistake {
    int error;             /* YD_EFORMAT, YD_ENOENT (a name), YD_EINVAL (types), YD_ETOOBIG (a limit), YD_ENOMEM */
    uint32_t offset, size; /* bytes of the text that was given; size 0: at its end */
    uint32_t line, column; /* of offset, from 1; columns count letters, not bytes */
    char message[224];
    char help[160]; /* what to write instead; may be empty */
};
/* Sets all but message and help; returns `error`. */
int yd_mistake_at(struct yd_mistake *mistake, int error, struct yd_str text, size_t offset, size_t size);
/* The same, with a message; NULL mistakes are ignored. */
int yd_mistake_say(struct yd_mistake *mistake, int error, struct yd_str text, size_t offset, size_t size,
                   const char *format, ...) YD_PRINTF(6, 7);
/* The same mistake, told in a longer text that holds the one it was made in. */
void yd_mistake_move(struct yd_mistake *mistake, struct yd_str text, size_t offset);
/* On one line: `LINE:COLUMN: message (help)`. */
void yd_mistake_line(const struct yd_mistake *mistake, char *to, size_t size);
/* As on top, with the line and a caret. `text` is what the offset counts in; `line_first` is where its first line
 * stands in `path` (0: as 1); an empty path is left out. */
void yd_mistake_show(const struct yd_mistake *mistake, struct yd_str text, const char *path, uint32_t line_first,
                     struct yd_buf *to);

#endif
