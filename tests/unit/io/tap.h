/* What the tests of this floor share: cmocka in the order it wants, seeds, own folders. */
#ifndef TESTS_IO_TAP_H
#define TESTS_IO_TAP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* assert_int_equal shows numbers; this one says which error it was. */
#define assert_error(want, call)                                                                                       \
    do {                                                                                                               \
        int got_error = (call);                                                                                        \
        if (got_error != (want))                                                                                       \
            fail_msg("%s gave %s, not %s", #call, got_error < 0 ? yd_error_name(got_error) : "success",                \
                     (want) < 0 ? yd_error_name(want) : "success");                                                    \
    } while (0)

/* Own temporary folder; remove_folder takes it and all in it away. */
static inline char *make_folder(void)
{
    char path[] = "/tmp/yd_io_XXXXXX";
    return strdup(mkdtemp(path) ? path : ".");
}
static inline void remove_folder(char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf -- '%s'", path);
    if (strncmp(path, "/tmp/yd_io_", 11) == 0 && system(command)) fprintf(stderr, "%s stays behind\n", path);
    free(path);
}

#endif
