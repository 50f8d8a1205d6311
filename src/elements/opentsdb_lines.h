/* elements/opentsdb_lines.h: the pieces of OpenTSDB's grammar that telnet put and HTTP put share. */
#ifndef ELEMENTS_OPENTSDB_LINES_H
#define ELEMENTS_OPENTSDB_LINES_H

#include "elements/lines.h"

/* A timestamp as in `put`: seconds, milliseconds, or seconds with a fraction. YD_EFORMAT, YD_ERANGE. */
int yd_opentsdb_time(struct yd_str text, int64_t *ret_ns);
/* A value as in `put`: I64 when it has digits only, else F64; 0 or yd__line_reason. */
int yd_opentsdb_value(struct yd_str text, enum yd_type *ret_type, union yd_value *ret);

#endif
