/* cli/cli.h: what every command of `yarder` shares: its table, its options, how it talks to a daemon.
 *
 * One file per command: cmd_NAME.c has one `const struct cli_command`. The table drives parsing, `--help`, completion
 * and the man page. Exit codes: 0 done, 1 failed or found wrong, 2 usage. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <yarder/element.h>

#include "base/text.h"
#include "flow/graph.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_option {
    const char *name;  /* "data"; NULL ends the list */
    const char *value; /* "DIR"; NULL: a switch */
    const char *doc;
};

#define CLI_OPTIONS_MAX  24
#define CLI_SETTINGS_MAX 64
struct cli_args {
    const struct cli_command *command;
    const char *values[CLI_OPTIONS_MAX]; /* by index of its option, the last one given; "" for a switch */
    const char *firsts[CLI_OPTIONS_MAX]; /* the one before it, when an option was given twice */
    struct yd_setting settings[CLI_SETTINGS_MAX];
    size_t setting_count;
    char **rest; /* what is not an option */
    int rest_count;
    bool json, colour;
};

struct cli_command {
    const char *name;                 /* "log verify" */
    const char *usage;                /* "FILE [--data DIR] [--set ID=VALUE]…" */
    const char *summary;              /* a line */
    const char *doc;                  /* what it does, in paragraphs */
    const char *example;              /* lines to try */
    const struct cli_option *options; /* --help and --json belong to every command */
    int rest_min, rest_max;           /* arguments; rest_max < 0: any number */
    int (*run)(struct cli_args *args);
};
extern const struct cli_command *const cli_commands[]; /* ending in NULL */

const char *cli_value(const struct cli_args *args, const char *option);        /* NULL: not given */
const char *cli_value_before(const struct cli_args *args, const char *option); /* of one given twice, the first */
bool cli_given(const struct cli_args *args, const char *option);
void cli_help(const struct cli_command *command);
/* "yarder run: message" to standard error; returns CLI_FAILED. */
int cli_fail(const struct cli_args *args, const char *format, ...) YD_PRINTF(2, 3);
int cli_usage(const struct cli_args *args, const char *format, ...) YD_PRINTF(2, 3);

/* The built-in classes and those of plug-ins (--plugin FILE, and *.so in YARDER_PLUGINS). */
int cli_classes(struct cli_args *args, struct yd_classes *ret_classes, struct yd_trail *trail);
/* Loads and checks a topology, prints what is wrong to standard error (or, with --json, to standard output). */
int cli_load(struct cli_args *args, const char *path, struct yd_topology **ret_topology, int *ret_exit);

/* ---- talking to a daemon ---- */
struct cli_http {
    long status;
    struct yd_buf body; /* terminated; the caller finishes it, also after failure */
};
/* method "GET" or "POST" (JSON). 0 when there is an answer, whatever its status; else the trail tells. */
int cli_http(const char *method, const char *url, const char *body, struct cli_http *ret, struct yd_trail *trail);
char *cli_url_encode(const char *text); /* malloc'd */
/* The status document of the daemon on this data folder; *ret is initialised by the caller. */
int cli_status(const char *data, struct yd_buf *ret, struct yd_trail *trail);
/* "http://127.0.0.1:4242" of the daemon's first listener of that description ("HTTP"), malloc'd. */
int cli_find_listener(const char *data, const char *what, char **ret_url, struct yd_trail *trail);

#endif
