/* cli/log_cli.h: what the commands `yarder log …` share: finding a stream's folder, telling about one. They read files,
 * need no daemon, and do not disturb one that writes the same files. */
#ifndef CLI_LOG_CLI_H
#define CLI_LOG_CLI_H

#include <yarder/log.h>

#include "cli/cli.h"

#define LOG_CLI_PATH 4096

extern const struct cli_option log_cli_data_options[]; /* --data alone */
const char *log_cli_data(const struct cli_args *args); /* --data DIR; default ./data */

/* The folder of STREAM: DATA/streams/NAME/PARTITION; the partition may be left out (0); or parked/ELEMENT (what crashed
 * that element), or a path to a partition's folder. `to` has LOG_CLI_PATH bytes. CLI_DONE, or it was told. */
int log_cli_dir(struct cli_args *args, const char *stream, char *to);
/* An object with the figures of a stream. */
void log_cli_json_stat(struct yd_json *json, const char *dir, const struct yd_log_stat *stat);

#endif
