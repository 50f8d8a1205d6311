/* cli/live_cli.c: the way to a Live element, values as text and as JSON. See live_cli.h. */
#include "cli/live_cli.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/terminal.h"

#define PATH_ROOM 4096

/* A Broker's door looks like that of an empty Live, but takes subscriptions. */
static bool is_broker(struct yd_live *live)
{
    struct yd_live_about about;
    struct yd_live_subscription *made;
    if (yd_live_about(live, &about) < 0 || about.names) return false;
    if (yd_live_subscribe(live, "yarder.nothing", NULL, &made, NULL) < 0) return false;
    yd_live_unsubscribe(made);
    return true;
}

static bool is_broker_at(const char *address)
{
    struct yd_live *live;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    if (yd_live_open(address, NULL, &live, &trail) < 0) return false;
    bool is = is_broker(live);
    yd_live_close(live);
    return is;
}

/* Of several sockets those that are no Broker's, to the front. */
static size_t drop_brokers(glob_t *found)
{
    size_t kept = 0;
    for (size_t i = 0; i < found->gl_pathc; i++) {
        char *path = found->gl_pathv[i];
        if (is_broker_at(path)) continue;
        found->gl_pathv[i] = found->gl_pathv[kept]; /* exchanged: all of them are freed */
        found->gl_pathv[kept++] = path;
    }
    return kept;
}

/* DATA/live/NAME.sock; the only Live there is, when none is named. */
static int address_of(struct cli_args *args, char *to)
{
    const char *data = cli_value(args, "data"), *name = cli_value(args, "live"), *socket = cli_value(args, "socket");
    if (socket && name) return cli_usage(args, "--socket or --live, not both");
    if (!data) data = "./data";
    int size = socket ? snprintf(to, PATH_ROOM, "%s", socket)
                      : snprintf(to, PATH_ROOM, "%s/live/%s.sock", data, name ? name : "*");
    if (size >= PATH_ROOM) return cli_usage(args, "the path is too long");
    if (socket || name) return CLI_DONE;
    glob_t found;
    int failed = glob(to, 0, NULL, &found);
    if (failed)
        return cli_fail(args, "no Live is in %s/live: is the daemon running, and has its topology a Live?", data);
    int code = CLI_DONE;
    size_t lives = found.gl_pathc > 1 ? drop_brokers(&found) : 1;
    if (lives > 1) {
        code = cli_fail(args, "there are several; --live NAME says which:");
        for (size_t i = 0; i < lives; i++) {
            const char *base = strrchr(found.gl_pathv[i], '/') + 1;
            fprintf(stderr, "  --live %.*s\n", (int)(strlen(base) - strlen(".sock")), base);
        }
    }
    (void)snprintf(to, PATH_ROOM, "%s", found.gl_pathv[0]); /* fits: PATH_MAX */
    globfree(&found);
    return code;
}

int cli_live_open(struct cli_args *args, bool absent, struct yd_live **ret_live)
{
    char address[PATH_ROOM], name[96];
    struct yd_trail trail;
    yd_trail_clear(&trail);
    int code = address_of(args, address);
    if (code) return code;
    (void)snprintf(name, sizeof name, "yarder %s", args->command->name);
    const struct yd_live_options options = {.application = name, .absent = absent};
    int error = yd_live_open(address, &options, ret_live, &trail);
    if (error) return cli_fail(args, "%s", trail.size ? yd_trail_text(&trail) : yd_error_text(error));
    if (!is_broker(*ret_live)) return CLI_DONE;
    yd_live_close(*ret_live);
    *ret_live = NULL;
    return cli_fail(args,
                    "%s: a Broker, which has values for programs that subscribe (yd_live_subscribe in "
                    "<yarder/live.h>); wire a Live beside it to look at them here",
                    address);
}

int cli_live_follow(struct cli_args *args, struct yd_live *live, const char *pattern, struct yd_live_set **ret_set)
{
    int error = yd_live_follow_matching(live, pattern ? pattern : "*", ret_set);
    if (error == 0) return CLI_DONE;
    return error == YD_ENOMEM ? cli_fail(args, "out of memory")
                              : cli_usage(args, "'%s' is not a name pattern", pattern);
}

/* ---- values ---- */

int cli_live_take(struct yd_live *live, struct yd_live_item *item, bool next, char *room, struct cli_live_value *ret)
{
    int got = next ? yd_live_next(item, room, CLI_LIVE_ROOM, &ret->value)
                   : yd_live_get(item, room, CLI_LIVE_ROOM, &ret->value);
    if (got != 1) return got;
    ret->name = yd_live_name(item);
    ret->generation = yd_live_generation(live);
    ret->bytes = (struct yd_str){room, YD_MIN((size_t)ret->value.size, CLI_LIVE_ROOM)};
    return 1;
}

static void add_hex(struct yd_buf *to, struct yd_str bytes)
{
    for (size_t i = 0; i < bytes.size; i++) yd_buf_printf(to, "%02x", (unsigned char)bytes.data[i]);
}

static const char *const limits[] = {"", "GREEN", "YELLOW LOW", "YELLOW HIGH", "RED LOW", "RED HIGH"};
static const char *const codes[] = {"", "WARNING", "CRITICAL", "UNKNOWN"};
static const struct {
    uint16_t flag;
    const char *key;
} marks[] = {{YD_RECORD_STALE, "stale"},
             {YD_RECORD_TRANSITION, "transition"},
             {YD_RECORD_ROLLOVER, "rollover"},
             {YD_RECORD_QUALITY, "suspect"},
             {YD_RECORD_TOMBSTONE, "tombstone"}};

static unsigned limit_of(uint16_t flags)
{
    unsigned limit = (flags & YD_LIVE_LIMIT_MASK) >> YD_LIVE_LIMIT_SHIFT;
    return limit < YD_COUNT(limits) ? limit : 0;
}

static void add_flags(struct yd_json *json, uint16_t flags)
{
    if (limit_of(flags)) {
        yd_json_key(json, "limit");
        yd_json_cstr(json, limits[limit_of(flags)]);
    }
    if (flags & YD_RECORD_CODE_MASK) {
        yd_json_key(json, "code");
        yd_json_cstr(json, codes[flags & YD_RECORD_CODE_MASK]);
    }
    for (size_t i = 0; i < YD_COUNT(marks); i++) {
        if (!(flags & marks[i].flag)) continue;
        yd_json_key(json, marks[i].key);
        yd_json_bool(json, true);
    }
}

static void add_value(struct yd_json *json, const struct cli_live_value *value)
{
    union yd_value bits = {.bits = value->value.bits};
    struct yd_buf hex;
    char text[24];
    yd_json_key(json, value->value.type == YD_BLOB ? "blob" : "value");
    switch ((enum yd_type)value->value.type) {
    case YD_BOOL:
        yd_json_bool(json, bits.bits != 0);
        return;
    case YD_I64:
        yd_json_i64(json, bits.i64);
        return;
    case YD_U64:
        yd_json_u64(json, bits.u64);
        return;
    case YD_F64:
        yd_json_f64(json, bits.f64);
        if (bits.f64 - bits.f64 == 0) return;
        yd_json_key(json, "bits"); /* which NaN, which infinity */
        (void)snprintf(text, sizeof text, "0x%016llx", (unsigned long long)bits.bits);
        yd_json_cstr(json, text);
        return;
    case YD_TEXT:
        yd_json_str(json, value->bytes);
        return;
    case YD_BLOB:
        yd_buf_init(&hex, NULL);
        add_hex(&hex, value->bytes);
        yd_json_str(json, yd_buf_view(&hex));
        yd_buf_fini(&hex);
        return;
    default:
        yd_json_null(json);
    }
}

void cli_live_json(struct yd_buf *to, const struct cli_live_value *value)
{
    struct yd_json json;
    char time[40];
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, "name");
    yd_json_cstr(&json, value->name);
    yd_json_key(&json, "time");
    yd_json_str(&json, (struct yd_str){time, yd_text_put_time(time, sizeof time, value->value.time_ns)});
    yd_json_key(&json, "seq");
    yd_json_u64(&json, value->value.seq);
    yd_json_key(&json, "missed");
    yd_json_u64(&json, value->value.missed);
    yd_json_key(&json, "generation");
    yd_json_u64(&json, value->generation);
    yd_json_key(&json, "type");
    yd_json_cstr(&json, yd_type_name((enum yd_type)value->value.type));
    add_value(&json, value);
    add_flags(&json, value->value.flags);
    yd_json_object_end(&json);
    yd_buf_char(to, '\n');
}

void cli_live_text(struct yd_buf *to, const struct cli_live_value *value)
{
    union yd_value bits = {.bits = value->value.bits};
    char number[32];
    switch ((enum yd_type)value->value.type) {
    case YD_BOOL:
        yd_buf_cstr(to, bits.bits ? "true" : "false");
        return;
    case YD_I64:
        yd_buf_add(to, number, yd_text_put_i64(number, bits.i64));
        return;
    case YD_U64:
        yd_buf_add(to, number, yd_text_put_u64(number, bits.u64));
        return;
    case YD_F64:
        yd_buf_add(to, number, yd_text_put_f64(number, bits.f64));
        return;
    case YD_TEXT:
        yd_buf_shown(to, value->bytes);
        return;
    case YD_BLOB:
        add_hex(to, value->bytes);
        return;
    default:
        yd_buf_char(to, '-');
    }
}

const char *cli_live_word(uint16_t flags)
{
    if (limit_of(flags) > YD_LIVE_GREEN) return limits[limit_of(flags)];
    if (flags & YD_RECORD_CODE_MASK) return codes[flags & YD_RECORD_CODE_MASK];
    if (flags & YD_RECORD_STALE) return "stale";
    if (flags & YD_RECORD_QUALITY) return "suspect";
    return limits[limit_of(flags)];
}

const char *cli_live_colour(uint16_t flags)
{
    static const char *const by_limit[] = {"", "\x1b[32m", "\x1b[33m", "\x1b[33m", "\x1b[1;31m", "\x1b[1;31m"};
    static const char *const by_code[] = {"", "\x1b[33m", "\x1b[1;31m", "\x1b[35m"};
    if (limit_of(flags)) return by_limit[limit_of(flags)];
    if (flags & YD_RECORD_CODE_MASK) return by_code[flags & YD_RECORD_CODE_MASK];
    return flags & (YD_RECORD_STALE | YD_RECORD_QUALITY) ? "\x1b[2m" : "";
}

size_t cli_live_age(char *to, size_t size, int64_t ns)
{
    static const struct {
        int64_t below, unit;
        const char *name;
    } steps[] = {{60 * YD_NS_PER_S, YD_NS_PER_S, "s"},
                 {3600 * YD_NS_PER_S, 60 * YD_NS_PER_S, "m"},
                 {86400 * YD_NS_PER_S, 3600 * YD_NS_PER_S, "h"},
                 {INT64_MAX, 86400 * YD_NS_PER_S, "d"}};
    int64_t size_of = ns < 0 ? -(ns + 1) : ns; /* times of tomorrow happen */
    size_t i = 0;
    while (i + 1 < YD_COUNT(steps) && size_of >= steps[i].below) i++;
    int made = snprintf(to, size, "%.1f%s", (double)ns / (double)steps[i].unit, steps[i].name);
    return made < (int)size ? (size_t)made : size - 1;
}

/* ---- going on ---- */

int cli_live_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &set, NULL)) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool cli_live_ended(int fd, bool *ret_resized)
{
    struct signalfd_siginfo info;
    bool ended = false;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGWINCH)
            ended = true;
        else if (ret_resized)
            *ret_resized = true;
    }
    return ended;
}

bool cli_live_tell(struct cli_args *args, struct yd_live *live, struct cli_live_writer *known, bool quiet)
{
    struct cli_live_writer now = {yd_live_attached(live), yd_live_generation(live)};
    struct cli_live_writer before = *known;
    *known = now;
    if (now.attached == before.attached && now.generation == before.generation) return false;
    if (quiet) return true;
    if (!now.attached)
        (void)cli_fail(args, "the writer is gone; its last values stay, and its successor is waited for");
    else if (!before.attached)
        (void)cli_fail(args, "a writer is there, generation %llu", (unsigned long long)now.generation);
    else
        (void)cli_fail(args, "other memory, generation %llu", (unsigned long long)now.generation);
    return true;
}
