/* yarder log follow: a node that does nothing but keep a copy of a stream, and serve it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"

/* In a topology's text: no quotes, no line ends. */
static bool plain(const char *text)
{
    return text && *text && strpbrk(text, "\"\\\n") == NULL;
}

/* The topology is a file without a name; `yarder run` takes over this process. */
static int run(struct cli_args *args)
{
    const char *from = cli_value(args, "from"), *stream = cli_value(args, "stream"), *data = cli_value(args, "data");
    const char *address = cli_value(args, "listen"), *token = cli_value(args, "token-file");
    if (!plain(from) || !plain(stream)) return cli_usage(args, "--from HOST:PORT and --stream NAME are wanted");
    if ((address && !plain(address)) || (token && !plain(token))) return cli_usage(args, "a value has a quote in it");
    char name[256], path[64];
    (void)snprintf(name, sizeof name, "%s", stream);
    char *slash = strchr(name, '/');
    if (slash) *slash++ = '\0';
    int fd = memfd_create("yarder-follow.yd", 0);
    if (fd < 0) return cli_fail(args, "no memory for a topology");
    dprintf(fd, "copy :: Replica(from: \"%s\", stream: \"%s\", partition: %d%s%s%s) -> nowhere :: Null()\n", from, name,
            slash ? atoi(slash) : 0, token ? ", token_file: \"" : "", token ? token : "", token ? "\"" : "");
    if (address) dprintf(fd, "native :: Native(listen: \"%s\")\n", address);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *arguments[] = {"yarder", "run", path, "--data", data ? data : "./data", NULL};
    execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    return cli_fail(args, "cannot run itself");
}

static const struct cli_option options[] = {
    {"from", "HOST:PORT", "the leader's native address"},
    {"stream", "NAME", "the stream, or NAME/PARTITION"},
    {"listen", "ADDR", "serves readers there by the native protocol; default: nowhere"},
    {"data", "DIR", "where the copy is; default ./data"},
    {"token-file", "FILE", "its first line is the leader's secret"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_follow = {
    .name = "log follow",
    .usage = "--from HOST:PORT --stream NAME [--listen ADDR] [--data DIR]",
    .summary = "keeps a copy of another node's stream, byte for byte",
    .doc = "Runs until it is stopped. Every batch is checked; it catches up from any point and goes on after a crash.\n"
           "The same as an element: Replica.",
    .example = "  yarder log follow --from 10.0.0.1:4280 --stream metrics --listen 127.0.0.1:4281 --data /var/lib/copy",
    .options = options,
    .rest_min = 0,
    .rest_max = 0,
    .run = run,
};
