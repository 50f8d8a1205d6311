/* cli/remote.h: what the commands that talk to a daemon over the native protocol share. */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include <yarder/client.h>

#include "cli/cli.h"

/* The options of each such command: how to get there. */
#define CLI_REMOTE_OPTIONS                                                                                             \
    {"at", "ADDRESS", "of the daemon: HOST:PORT, unix:PATH or tls:HOST:PORT; default 127.0.0.1:4280"},                 \
        {"token-file", "FILE", "its first line is the secret that the daemon asks for"},                               \
        {"ca", "FILE", "tls: who may have signed the daemon's certificate; default: the system's authorities"},        \
        {"cert", "FILE", "tls: our certificate"}, {"key", "FILE", "tls: its key"},                                     \
    {                                                                                                                  \
        "timeout", "TIME", "give up after so long without an answer; default 30s"                                      \
    }

/* Fills in what the options say and opens; more: what the command wants besides. CLI_DONE, or it was said. */
int cli_client_open(struct cli_args *args, const struct yd_client_options *more, struct yd_client **ret_client);
int cli_client_failed(struct cli_args *args, struct yd_client *client, int error); /* says why; CLI_FAILED */
/* Waits for standard input or for the daemon, whichever comes first, and runs the client. */
int cli_wait_input(struct yd_client *client, bool *ret_input);
/* "memory", "written", "durable" or "replicated"; text NULL: durable. */
int cli_level(struct cli_args *args, const char *option, const char *text, enum yd_ack *ret);
const char *cli_level_name(enum yd_ack level);

/* One record as `log cat` prints it, or as JSON. partition: of several; -1: there is one. */
void cli_put_record(struct yd_buf *to, bool json, const struct yd_view *view, uint32_t index, int partition,
                    uint64_t seqno);
void cli_put_record_json(struct yd_buf *to, const struct yd_view *view, uint32_t index, int partition, uint64_t seqno);

/* A question: TEXT and U64 cells, or of another type, ended by a NULL key. */
struct cli_cell {
    const char *key, *text; /* text NULL: number, or value when there is a type */
    uint64_t number;
    bool absent; /* not sent */
    enum yd_type type;
    union yd_value value;
};
/* visit gets each ROW: its name and a MAP. */
typedef int cli_row(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map);
int cli_ask(struct cli_args *args, struct yd_client *client, const struct cli_cell *cells, cli_row *visit, void *arg);
uint64_t cli_row_number(const struct yd_view *view, union yd_value map, const char *key); /* 0: not there */
bool cli_row_json(struct yd_buf *to, const struct yd_view *view, struct yd_str name, const char *name_key,
                  union yd_value map);

int cli_remote_ls(struct cli_args *args); /* `log ls --at` */

#endif
