/* decom/convert_internal.h: what the readers of other formats share. */
#ifndef DECOM_CONVERT_INTERNAL_H
#define DECOM_CONVERT_INTERNAL_H

#include "decom/convert.h"

struct yd__source {
    struct yd_def *def;
    struct yd_diagnostics *diagnostics;
    struct yd_str text;
    uint32_t file;
    size_t errors; /* before */
};
int yd__source_begin(struct yd__source *source, const char *path, struct yd_str text, struct yd_alloc *alloc,
                     struct yd_diagnostics *diagnostics);
/* The result of reading: 0 and the definition, or a reason and none. */
int yd__source_end(struct yd__source *source, struct yd_def **ret_def);

/* A word of letters, digits and _ (and dots, where `dots`). data NULL: out of memory. */
struct yd_str yd__source_word(struct yd_def *def, struct yd_str name, bool dots);
/* Whole numbers, also 0x and 0b; real ones. False: it is none (not said). */
bool yd__source_i64(struct yd_str text, int64_t *ret);
bool yd__source_f64(struct yd_str text, double *ret);
bool yd__source_same(struct yd_str a, const char *b); /* in whatever case */
/* "imu" of "/x/imu.csv". */
struct yd_str yd__source_stem(const char *path);

#endif
