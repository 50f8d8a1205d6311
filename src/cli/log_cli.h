/* cli/log_cli.h: what the commands `yarder log …` share: finding a stream's folder, telling about one. They read files,
 * need no daemon, and do not disturb one that writes the same files. */
#ifndef CLI_LOG_CLI_H
#define CLI_LOG_CLI_H

#include <yarder/log.h>

#include "cli/cli.h"
#include "log/mend.h"

#define LOG_CLI_PATH 4096

extern const struct cli_option log_cli_data_options[]; /* --data alone */
const char *log_cli_data(const struct cli_args *args); /* --data DIR; default ./data */

/* The folders of STREAM. NAME: all its partitions, in their order; NAME/PARTITION: that one; or parked/ELEMENT (what
 * crashed that element); or a path to a partition's folder, or to one with partitions in it. CLI_DONE, or it was told.
 */
struct log_cli_part {
    int partition;  /* which of several; -1: there is one, or one was named */
    char name[300]; /* as it was given; of several: with the partition */
    char dir[LOG_CLI_PATH];
};
struct log_cli_parts {
    struct log_cli_part *all;
    size_t count;
};
int log_cli_parts(struct cli_args *args, const char *stream, struct log_cli_parts *ret);
void log_cli_parts_fini(struct log_cli_parts *parts);
/* The folder of what must be one partition. `to` has LOG_CLI_PATH bytes. CLI_DONE, or it was told. */
int log_cli_dir(struct cli_args *args, const char *stream, char *to);
/* An object with the figures of a stream. */
void log_cli_json_stat(struct yd_json *json, const char *dir, const struct yd_log_stat *stat);

/* Visits every folder below `root` that holds a file `marker`, in the order of their names; name is relative to root.
 * CLI_DONE, or it was told. */
int log_cli_each(struct cli_args *args, const char *root, const char *marker,
                 void (*visit)(void *arg, const char *name, const char *dir), void *arg);
/* What the stream's tombstones cover. CLI_DONE, or it was told. */
int log_cli_forgotten(struct cli_args *args, const char *dir, struct yd_forgotten **ret_forgotten);

struct log_cli_names {
    char **all;
    size_t count;
};
int log_cli_names_add(struct log_cli_names *names, const char *name);
void log_cli_names_sort(struct log_cli_names *names);
void log_cli_names_fini(struct log_cli_names *names);

#endif
