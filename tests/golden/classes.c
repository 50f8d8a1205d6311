/* See classes.h. */
#include <stdio.h>

#include "classes.h"

#define NUMERIC YD_KINDS_NUMERIC
#define SAMPLE  YD_KIND_BIT(YD_SAMPLE)
#define PACKET  YD_KIND_BIT(YD_PACKET)
#define ROW     YD_KIND_BIT(YD_ROW)
#define EVENT   YD_KIND_BIT(YD_EVENT)
#define ALL     YD_KINDS_ALL

#define IN_PUSH(port, takes, more)                                                                                     \
    {                                                                                                                  \
        .name = port, .direction = YD_IN, .mode = YD_PUSH, .kinds = takes, .flags = more                               \
    }
#define OUT_PUSH(port, sends, more)                                                                                    \
    {                                                                                                                  \
        .name = port, .direction = YD_OUT, .mode = YD_PUSH, .kinds = sends, .flags = more                              \
    }
#define IN_QUERY(port, answers, more)                                                                                  \
    {                                                                                                                  \
        .name = port, .direction = YD_IN, .mode = YD_QUERY, .schema = answers, .flags = more                           \
    }
#define OUT_QUERY(port, asks, more)                                                                                    \
    {                                                                                                                  \
        .name = port, .direction = YD_OUT, .mode = YD_QUERY, .schema = asks, .flags = more                             \
    }
#define PORTS(...)                                                                                                     \
    (const struct yd_port_class[])                                                                                     \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            .name = NULL                                                                                               \
        }                                                                                                              \
    }
#define PARAMS(...)                                                                                                    \
    (const struct yd_param_class[])                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            .name = NULL                                                                                               \
        }                                                                                                              \
    }
#define REJECTS OUT_PUSH("rejects", EVENT, YD_PORT_OPTIONAL_REJECTS)

static int feed(void *state, struct yd_str bytes, struct yd_out *out, int64_t wall_ns)
{
    (void)state, (void)bytes, (void)out, (void)wall_ns;
    return 0;
}
static int save(const void *state, uint32_t key_group, struct yd_saver *saver)
{
    (void)state, (void)key_group, (void)saver;
    return 0;
}
static int load(void *state, uint32_t key_group, struct yd_str saved)
{
    (void)state, (void)key_group, (void)saved;
    return 0;
}
static int check_limit(const struct yd_args *args, char *why, size_t why_size)
{
    if (yd_args_int(args, "max") || yd_args_float(args, "rate") > 0) return 0;
    (void)snprintf(why, why_size, "give 'max' or 'rate': without either it limits nothing");
    return YD_EINVAL;
}

static const char *const overflow_words[] = {"reject", "truncate", NULL};
static const char *const form_words[] = {"json", "text", "csv", NULL};
static const char *const sync_words[] = {"memory", "written", "durable", NULL};

#define CLASS static const struct yd_element_class

CLASS graphite = {
    .abi = YD_ELEMENT_ABI,
    .name = "Graphite",
    .summary = "Graphite lines",
    .flags = YD_CLASS_SOURCE,
    .feed = feed,
    .ports = PORTS(OUT_PUSH("output", SAMPLE, YD_PORT_REQUIRED), REJECTS),
    .params =
        PARAMS({.name = "listen", .type = YD_PARAM_TEXT, .initial = "\"127.0.0.1:2003\"", .flags = YD_PARAM_LISTENS},
               {.name = "udp", .type = YD_PARAM_TEXT, .flags = YD_PARAM_LISTENS_DATAGRAM},
               {.name = "line_max", .type = YD_PARAM_SIZE, .initial = "4KiB", .min = 64, .max = 1 << 20},
               {.name = "idle", .type = YD_PARAM_DURATION, .initial = "0s"},
               {.name = "overflow", .type = YD_PARAM_TEXT, .initial = "reject", .oneof = overflow_words},
               {.name = "buffer", .type = YD_PARAM_SIZE, .flags = YD_PARAM_DEPRECATED, .doc = "use 'line_max'"})};
CLASS opentsdb = {
    .abi = YD_ELEMENT_ABI,
    .name = "OpenTsdb",
    .summary = "OpenTSDB",
    .flags = YD_CLASS_SOURCE,
    .feed = feed,
    .ports = PORTS(OUT_PUSH("output", SAMPLE, 0), OUT_QUERY("ask", "series", 0), REJECTS),
    .params =
        PARAMS({.name = "listen", .type = YD_PARAM_TEXT, .initial = "\"127.0.0.1:4242\"", .flags = YD_PARAM_LISTENS},
               {.name = "cors", .type = YD_PARAM_BOOL, .initial = "false"})};
CLASS statsd = {
    .abi = YD_ELEMENT_ABI,
    .name = "Statsd",
    .summary = "StatsD",
    .flags = YD_CLASS_SOURCE,
    .feed = feed,
    .ports = PORTS(OUT_PUSH("output", NUMERIC, YD_PORT_REQUIRED), REJECTS),
    .params = PARAMS({.name = "listen", .type = YD_PARAM_TEXT, .flags = YD_PARAM_LISTENS_DATAGRAM | YD_PARAM_REQUIRED},
                     {.name = "flush", .type = YD_PARAM_DURATION, .initial = "10s", .min = 1e8, .max = 3.6e12},
                     {.name = "quantiles", .type = YD_PARAM_LIST})};
CLASS host = {.abi = YD_ELEMENT_ABI,
              .name = "Host",
              .summary = "this machine",
              .flags = YD_CLASS_SOURCE,
              .ports = PORTS(OUT_PUSH("output", SAMPLE, 0)),
              .params =
                  PARAMS({.name = "every", .type = YD_PARAM_DURATION, .initial = "10s", .min = 1e9, .max = 8.64e13},
                         {.name = "disks", .type = YD_PARAM_LIST, .flags = YD_PARAM_GLOB})};
CLASS self = {.abi = YD_ELEMENT_ABI,
              .name = "Self",
              .summary = "yarder's own counters",
              .flags = YD_CLASS_SOURCE,
              .ports = PORTS(OUT_PUSH("output", SAMPLE, 0)),
              .params =
                  PARAMS({.name = "every", .type = YD_PARAM_DURATION, .initial = "10s", .min = 1e9, .max = 8.64e13})};
CLASS log_ = {.abi = YD_ELEMENT_ABI,
              .name = "Log",
              .summary = "a durable stream",
              .flags = YD_CLASS_REPLAYS,
              .ports =
                  PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED),
                        OUT_PUSH("output", ALL, YD_PORT_CURSOR | YD_PORT_PASSES), IN_QUERY("query", "log,rows", 0)),
              .params = PARAMS({.name = "stream", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED | YD_PARAM_STREAM},
                               {.name = "keep_size",
                                .type = YD_PARAM_SIZE,
                                .initial = "1GiB",
                                .min = 1 << 20,
                                .max = 1125899906842624.0,
                                .flags = YD_PARAM_DISK},
                               {.name = "keep", .type = YD_PARAM_DURATION},
                               {.name = "ack", .type = YD_PARAM_TEXT, .initial = "durable", .oneof = sync_words})};
CLASS replica = {.abi = YD_ELEMENT_ABI,
                 .name = "Replica",
                 .summary = "a partition of another node's stream",
                 .flags = YD_CLASS_SOURCE,
                 .ports = PORTS(OUT_PUSH("output", ALL, YD_PORT_CURSOR)),
                 .params =
                     PARAMS({.name = "stream", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED | YD_PARAM_STREAM},
                            {.name = "partition", .type = YD_PARAM_INT, .initial = "0", .max = 65535})};
CLASS history = {
    .abi = YD_ELEMENT_ABI,
    .name = "History",
    .summary = "series in memory",
    .flags = YD_CLASS_REBUILDS,
    .ports = PORTS(IN_PUSH("input", NUMERIC, YD_PORT_REQUIRED), IN_QUERY("query", "series", 0)),
    .params = PARAMS({.name = "keep", .type = YD_PARAM_DURATION, .initial = "30d", .min = 6e10, .max = 3.1536e17},
                     {.name = "memory",
                      .type = YD_PARAM_SIZE,
                      .initial = "64MiB",
                      .min = 1 << 20,
                      .max = 1e13,
                      .flags = YD_PARAM_MEMORY},
                     {.name = "series_max", .type = YD_PARAM_INT, .initial = "1000000", .min = 1, .max = 1e9})};
CLASS lines = {.abi = YD_ELEMENT_ABI,
               .name = "Lines",
               .summary = "a file's lines",
               .flags = YD_CLASS_SOURCE | YD_CLASS_REPLAYS,
               .feed = feed,
               .ports = PORTS(OUT_PUSH("output", ROW, YD_PORT_REQUIRED)),
               .params = PARAMS({.name = "path", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED},
                                {.name = "follow", .type = YD_PARAM_BOOL, .initial = "false"})};
CLASS crawl = {.abi = YD_ELEMENT_ABI,
               .name = "Crawl",
               .summary = "a directory tree",
               .flags = YD_CLASS_SOURCE,
               .ports = PORTS(OUT_PUSH("output", ROW, YD_PORT_REQUIRED)),
               .params = PARAMS({.name = "path", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED},
                                {.name = "match", .type = YD_PARAM_TEXT, .flags = YD_PARAM_GLOB})};
CLASS filter = {
    .abi = YD_ELEMENT_ABI,
    .name = "Filter",
    .summary = "passes what matches",
    .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED), OUT_PUSH("output", ALL, YD_PORT_REQUIRED | YD_PORT_PASSES),
                   OUT_PUSH("others", ALL, YD_PORT_PASSES)),
    .params = PARAMS({.name = "match", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED | YD_PARAM_PATTERN},
                     {.name = "invert", .type = YD_PARAM_BOOL, .initial = "false"},
                     {.name = "above", .type = YD_PARAM_FLOAT})};
CLASS map = {
    .abi = YD_ELEMENT_ABI,
    .name = "Map",
    .summary = "renames and scales",
    .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED), OUT_PUSH("output", ALL, YD_PORT_REQUIRED | YD_PORT_PASSES)),
    .params =
        PARAMS({.name = "rename", .type = YD_PARAM_MAP}, {.name = "scale", .type = YD_PARAM_FLOAT, .initial = "1"})};
CLASS count = {.abi = YD_ELEMENT_ABI,
               .name = "Count",
               .summary = "counts by key",
               .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED),
                              OUT_PUSH("output", YD_KIND_BIT(YD_TALLY), YD_PORT_REQUIRED)),
               .params = PARAMS({.name = "by", .type = YD_PARAM_TEXT, .initial = "name"})};
CLASS window = {
    .abi = YD_ELEMENT_ABI,
    .name = "Window",
    .summary = "folds by time",
    .save = save,
    .load = load,
    .flags = YD_CLASS_STATEFUL,
    .ports = PORTS(IN_PUSH("input", NUMERIC, YD_PORT_REQUIRED), OUT_PUSH("output", SAMPLE, YD_PORT_REQUIRED)),
    .params =
        PARAMS({.name = "every", .type = YD_PARAM_DURATION, .flags = YD_PARAM_REQUIRED, .min = 1e9, .max = 8.64e13})};
CLASS limit = {
    .abi = YD_ELEMENT_ABI,
    .name = "Limit",
    .summary = "not more than",
    .check = check_limit,
    .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED), OUT_PUSH("output", ALL, YD_PORT_REQUIRED | YD_PORT_PASSES)),
    .params =
        PARAMS({.name = "per", .type = YD_PARAM_DURATION, .initial = "1s"},
               {.name = "max", .type = YD_PARAM_INT, .min = 1, .max = 1e9}, {.name = "rate", .type = YD_PARAM_RATE})};
/* Its file must not say "wrong". */
static int check_ruled(const struct yd_args *args, const char *param, struct yd_str text, char *why, size_t why_size)
{
    (void)args, (void)param;
    const char *wrong = memmem(text.data, text.size, "wrong", 5);
    if (!wrong) return 0;
    (void)snprintf(why, why_size, "1:%d: this is wrong", (int)(wrong - text.data) + 1);
    return YD_EFORMAT;
}
CLASS ruled = {.abi = YD_ELEMENT_ABI,
               .name = "Ruled",
               .summary = "by the rules of a file",
               .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED)),
               .params = PARAMS({.name = "rules", .type = YD_PARAM_TEXT, .flags = YD_PARAM_READS}),
               .check_file = check_ruled};
CLASS print = {.abi = YD_ELEMENT_ABI,
               .name = "Print",
               .summary = "to the terminal",
               .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED)),
               .params = PARAMS({.name = "form", .type = YD_PARAM_TEXT, .initial = "text", .oneof = form_words})};
CLASS file = {.abi = YD_ELEMENT_ABI,
              .name = "File",
              .summary = "to a file",
              .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED)),
              .params = PARAMS({.name = "path", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED | YD_PARAM_WRITES},
                               {.name = "form", .type = YD_PARAM_TEXT, .initial = "json", .oneof = form_words},
                               {.name = "rotate", .type = YD_PARAM_SIZE})};
CLASS null = {.abi = YD_ELEMENT_ABI,
              .name = "Null",
              .summary = "discards",
              .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED))};
CLASS forward = {.abi = YD_ELEMENT_ABI,
                 .name = "Forward",
                 .summary = "to another daemon, acknowledged",
                 .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED | YD_PORT_WANTS_ACK | YD_PORT_SINGLE)),
                 .params = PARAMS({.name = "to", .type = YD_PARAM_TEXT, .flags = YD_PARAM_REQUIRED})};
CLASS udp = {.abi = YD_ELEMENT_ABI,
             .name = "Udp",
             .summary = "raw packets",
             .flags = YD_CLASS_SOURCE,
             .ports = PORTS(OUT_PUSH("output", PACKET, YD_PORT_REQUIRED)),
             .params = PARAMS(
                 {.name = "listen", .type = YD_PARAM_TEXT, .flags = YD_PARAM_LISTENS_DATAGRAM | YD_PARAM_REQUIRED})};
CLASS decom = {.abi = YD_ELEMENT_ABI,
               .name = "Decom",
               .summary = "packets into samples",
               .ports = PORTS({.name = "input",
                               .direction = YD_IN,
                               .mode = YD_PUSH,
                               .kinds = PACKET | EVENT,
                               .needs = PACKET,
                               .flags = YD_PORT_REQUIRED},
                              OUT_PUSH("output", SAMPLE, YD_PORT_REQUIRED))};
CLASS relay = {.abi = YD_ELEMENT_ABI,
               .name = "Relay",
               .summary = "asks and answers",
               .ports = PORTS(IN_QUERY("query", "series", 0), OUT_QUERY("ask", "series", 0), IN_PUSH("input", ALL, 0),
                              OUT_PUSH("output", ALL, YD_PORT_PASSES))};
CLASS facts = {.abi = YD_ELEMENT_ABI,
               .name = "Facts",
               .summary = "answers facts",
               .ports = PORTS(IN_PUSH("input", YD_KIND_BIT(YD_FACT), 0), IN_QUERY("query", "facts", 0))};
CLASS later_ = {.abi = YD_ELEMENT_ABI,
                .name = "Publish",
                .summary = "subscribers",
                .flags = YD_CLASS_PLANNED,
                .ports = PORTS(IN_PUSH("input", ALL, YD_PORT_REQUIRED)),
                .params = PARAMS({.name = "listen", .type = YD_PARAM_TEXT, .flags = YD_PARAM_LISTENS})};

static const struct yd_element_class *const items[] = {
    &graphite, &opentsdb, &statsd, &host,  &self, &log_, &replica, &history, &lines, &crawl, &filter, &map,    &count,
    &window,   &limit,    &print,  &ruled, &file, &null, &forward, &udp,     &decom, &relay, &facts,  &later_,
};
const struct yd_classes golden_classes = {items, sizeof items / sizeof items[0]};
