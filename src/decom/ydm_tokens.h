/* decom/ydm_tokens.h: a `.ydm` text as tokens. Lines matter: each token knows whether it begins one, and how deep. */
#ifndef DECOM_YDM_TOKENS_H
#define DECOM_YDM_TOKENS_H

#include "decom/report.h"

enum yd__ydm_kind {
    YDM_END, /* of the text */
    YDM_WORD,
    YDM_INT,
    YDM_FLOAT,
    YDM_STRING,
    YDM_MARK, /* a character or two, in `mark` */
};
#define YDM_MARK2(a, b) ((a) << 8 | (b))
struct yd__ydm_token {
    enum yd__ydm_kind kind;
    bool begins; /* a line (one outside of brackets) */
    bool joined; /* no space before it */
    unsigned mark;
    uint32_t indent; /* of its line, in columns */
    struct yd_place place;
    struct yd_str text;   /* as written; STRING: what it means */
    uint32_t first, last; /* bytes of the source; last excluded */
    uint64_t integer;     /* INT */
    double number;        /* INT, FLOAT */
};
/* All tokens, the END too, in the arena. Mistakes are reported and left out. NULL: out of memory. */
struct yd__ydm_token *yd__ydm_tokens(struct yd_str text, uint32_t file, struct yd_arena *arena,
                                     struct yd_diagnostics *diagnostics);

#endif
