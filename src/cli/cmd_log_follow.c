/* yarder log follow: a node that does nothing but keep a copy of a stream, and serve it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <yarder/client.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "io/file.h"
#include "log/layout.h"

#define ASK_NS (5 * YD_NS_PER_S)

/* In a topology's text: no quotes, no line ends. */
static bool plain(const char *text)
{
    return text && *text && strpbrk(text, "\"\\\n") == NULL;
}

/* Adds `, PARAM: "VALUE"` when the option is there. false: a value that no text of a topology can have. */
static bool add(const struct cli_args *args, int fd, const char *option, const char *param)
{
    const char *value = cli_value(args, option);
    if (value && plain(value)) dprintf(fd, ", %s: \"%s\"", param, value);
    return !value || plain(value);
}

/* How many partitions the stream has: as an earlier run found out, or as the leader says. When it cannot be asked now,
 * one; the Replica says so when there are more. */
static uint32_t partitions_of(const struct cli_args *args, const char *from, const char *stream, const char *data)
{
    struct yd_layout layout;
    const char *token_file = cli_value(args, "token-file");
    char *token = NULL;
    size_t size;
    if (yd_layout_load(yd_fs_linux(), data, stream, &layout) == 0) return layout.partitions;
    if (token_file && yd_fs_read_all(yd_fs_linux(), token_file, 4096, &token, &size) < 0) return 1;
    if (token) token[strcspn(token, "\r\n")] = '\0';
    const struct yd_client_options options = {.address = from,
                                              .token = token,
                                              .ca_file = cli_value(args, "ca"),
                                              .cert_file = cli_value(args, "cert"),
                                              .key_file = cli_value(args, "key"),
                                              .timeout_ns = ASK_NS};
    struct yd_client *client;
    struct yd_client_stream *opened;
    struct yd_client_info info = {.partitions = 1};
    struct yd_trail trail;
    yd_trail_clear(&trail);
    if (yd_client_open(&options, &client, &trail) == 0) {
        if (yd_client_stream(client, stream, &opened) == 0) yd_client_info(opened, &info);
        yd_client_close(client);
    }
    free(token);
    return info.partitions >= 1 && info.partitions <= 1024 ? info.partitions : 1;
}

/* The topology is a file without a name; `yarder run` takes over this process. */
static int run(struct cli_args *args)
{
    const char *from = cli_value(args, "from"), *stream = cli_value(args, "stream"), *data = cli_value(args, "data");
    const char *address = cli_value(args, "listen");
    if (!plain(from) || !plain(stream)) return cli_usage(args, "--from HOST:PORT and --stream NAME are wanted");
    if (address && !plain(address)) return cli_usage(args, "a value has a quote in it");
    char name[256], path[64];
    (void)snprintf(name, sizeof name, "%s", stream);
    char *slash = strchr(name, '/');
    if (slash) *slash++ = '\0';
    int fd = memfd_create("yarder-follow.yd", 0);
    if (fd < 0) return cli_fail(args, "no memory for a topology");
    uint32_t first = slash ? (uint32_t)atoi(slash) : 0;
    uint32_t count = slash ? 1 : partitions_of(args, from, name, data ? data : "./data");
    for (uint32_t i = first; i < first + count; i++) {
        if (count == 1)
            dprintf(fd, "copy :: ");
        else
            dprintf(fd, "copy%u :: ", i);
        dprintf(fd, "Replica(from: \"%s\", stream: \"%s\", partition: %u", from, name, i);
        if (!add(args, fd, "token-file", "token_file") || !add(args, fd, "ca", "tls_ca") ||
            !add(args, fd, "cert", "tls_cert") || !add(args, fd, "key", "tls_key") ||
            !add(args, fd, "tls-name", "tls_name")) {
            close(fd);
            return cli_usage(args, "a value has a quote in it, or is empty");
        }
        dprintf(fd, ") -> Null()\n");
    }
    if (address) dprintf(fd, "native :: Native(listen: \"%s\")\n", address);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *arguments[] = {"yarder", "run", path, "--data", data ? data : "./data", NULL};
    execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
    return cli_fail(args, "cannot run itself");
}

static const struct cli_option options[] = {
    {"from", "ADDRESS", "the leader's: HOST:PORT, tls:HOST:PORT or unix:PATH; HOST may be a name"},
    {"stream", "NAME", "the stream with all its partitions, or NAME/PARTITION"},
    {"listen", "ADDR", "serves readers there by the native protocol; default: nowhere"},
    {"data", "DIR", "where the copy is; default ./data"},
    {"token-file", "FILE", "its first line is the leader's secret"},
    {"ca", "FILE", "tls: who may have signed the leader's certificate; default: the system's authorities"},
    {"cert", "FILE", "tls: our certificate"},
    {"key", "FILE", "tls: its key"},
    {"tls-name", "NAME", "tls: what the leader's certificate must be for; default: the HOST of --from"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_follow = {
    .name = "log follow",
    .usage = "--from ADDRESS --stream NAME [--listen ADDR] [--data DIR]",
    .summary = "keeps a copy of another node's stream, byte for byte",
    .doc = "Runs until it is stopped. Every batch is checked; it catches up from any point and goes on after a crash.\n"
           "The same as an element: Replica.",
    .example = "  yarder log follow --from 10.0.0.1:4280 --stream metrics --listen 127.0.0.1:4281 --data /var/lib/copy",
    .options = options,
    .rest_min = 0,
    .rest_max = 0,
    .run = run,
};
