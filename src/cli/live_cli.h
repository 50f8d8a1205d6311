/* cli/live_cli.h: what the commands `yarder live …` share: the way to a Live element, values as text and as JSON. */
#ifndef CLI_LIVE_CLI_H
#define CLI_LIVE_CLI_H

#include <yarder/live.h>

#include "cli/cli.h"

#define CLI_LIVE_OPTIONS                                                                                               \
    {"data", "DIR", "the daemon's data folder, with live/NAME.sock of each Live in it; default ./data"},               \
        {"live", "NAME", "which Live element, where there are several"},                                               \
    {                                                                                                                  \
        "socket", "PATH", "of the Live's socket, wherever it is"                                                       \
    }

/* absent: nobody there yet is no error, if it is clear where he would be. CLI_DONE, or it was said. */
int cli_live_open(struct cli_args *args, bool absent, struct yd_live **ret_live);
/* Follows all that match, pattern NULL: everything. CLI_DONE, or it was said. */
int cli_live_follow(struct cli_args *args, struct yd_live *live, const char *pattern, struct yd_live_set **ret_set);

/* A value with its bytes, as it was got. */
struct cli_live_value {
    const char *name;
    uint64_t generation;
    struct yd_live_value value;
    struct yd_str bytes; /* of TEXT and BLOB */
};
/* Room for the bytes of any value; what is not used costs nothing. */
#define CLI_LIVE_ROOM ((size_t)1 << 20)
/* As yd_live_get, or yd_live_next; room has CLI_LIVE_ROOM bytes. */
int cli_live_take(struct yd_live *live, struct yd_live_item *item, bool next, char *room, struct cli_live_value *ret);
/* {"name":…,"time":…,"seq":…,"missed":…,"generation":…,"type":…,"value":…} and a newline. NaN and infinities: null, and
 * their bits beside it; BLOB: hex as "blob". */
void cli_live_json(struct yd_buf *to, const struct cli_live_value *value);
/* The value alone; what a terminal would obey is written out. */
void cli_live_text(struct yd_buf *to, const struct cli_live_value *value);
const char *cli_live_word(uint16_t flags);   /* of its limits, code and quality: "RED HIGH", "WARNING", "stale"; "" */
const char *cli_live_colour(uint16_t flags); /* "" or what begins it */
size_t cli_live_age(char *to, size_t size, int64_t ns); /* "1.2s" */

/* What ends and disturbs a command that goes on: SIGINT, SIGTERM and SIGWINCH become readable. */
int cli_live_signals(void); /* a descriptor, or -1 */
bool cli_live_ended(int fd, bool *ret_resized);
/* Says on standard error when the writer went or came. true: something was said. */
struct cli_live_writer {
    bool attached;
    uint64_t generation;
};
bool cli_live_tell(struct cli_args *args, struct yd_live *live, struct cli_live_writer *known, bool quiet);

#endif
