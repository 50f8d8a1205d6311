/* yarder log promote: this node's copy of a stream becomes its leader. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/remote.h"
#include "io/file.h"
#include <yarder/log.h>

#define PEERS_MAX 15

struct peer {
    const char *address;
    struct yd_client *client; /* NULL: not reachable */
    struct yd_log_end end;
    bool has_it, exact; /* does it say what its last batch is? */
};
struct peers {
    struct peer items[PEERS_MAX];
    size_t count;
    char text[1024];
};

static int take_stat(void *arg, const struct yd_view *view, struct yd_str name, union yd_value map)
{
    struct peer *peer = arg;
    (void)name;
    peer->end = (struct yd_log_end){.log_id = cli_row_number(view, map, "log_id"),
                                    .durable = cli_row_number(view, map, "durable"),
                                    .last_epoch = (uint32_t)cli_row_number(view, map, "last_epoch"),
                                    .known_epoch = (uint32_t)cli_row_number(view, map, "epoch")};
    peer->exact = yd_view_find(view, map, YD_STR("last_epoch")) != NULL;
    peer->has_it = true;
    return 0;
}

static int ask_stat(struct cli_args *args, struct peer *peer, const char *stream)
{
    const struct cli_cell cells[] = {{.key = "op", .text = "stat"}, {.key = "stream", .text = stream}, {.key = NULL}};
    return cli_ask(args, peer->client, cells, take_stat, peer);
}

static bool listed(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0')) return true;
    return false;
}

static int open_peers(struct cli_args *args, const char *stream, struct peers *peers)
{
    const char *list = cli_value(args, "peers"), *without = cli_value(args, "without");
    if (!list) return CLI_DONE;
    if (snprintf(peers->text, sizeof peers->text, "%s", list) >= (int)sizeof peers->text)
        return cli_usage(args, "--peers is too long");
    for (char *at = strtok(peers->text, ","); at; at = strtok(NULL, ",")) {
        if (peers->count == PEERS_MAX) return cli_usage(args, "--peers names at most %d", PEERS_MAX);
        struct peer *peer = &peers->items[peers->count++];
        peer->address = at;
        struct yd_client_options options = {.address = at, .name = "yarder log promote", .timeout_ns = 5 * YD_NS_PER_S};
        struct yd_trail trail = {0};
        if (yd_client_open(&options, &peer->client, &trail) < 0) peer->client = NULL;
        int code = peer->client ? ask_stat(args, peer, stream) : CLI_FAILED;
        if (code == CLI_DONE && peer->has_it && peer->exact) continue;
        if (!without || !listed(without, at))
            return cli_fail(args,
                            peer->has_it && !peer->exact
                                ? "%s has a copy that nobody has open and that was not closed cleanly: start its "
                                  "Replica, so that it says how far it is. If it is lost, say so: --without %s"
                                : "%s cannot be asked how far it is. If it is lost, say so: --without %s",
                            at, at);
        yd_client_close(peer->client);
        peer->client = NULL;
    }
    return CLI_DONE;
}

/* May we, as far as those know who answer? */
static int compare(struct cli_args *args, const struct peers *peers, const struct yd_log_end *own, uint64_t member)
{
    for (size_t i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->items[i];
        if (!peer->client) continue;
        if (peer->end.log_id && peer->end.log_id != own->log_id)
            return cli_fail(args, "%s has another stream of this name: log %016llx, this copy is of %016llx",
                            peer->address, (unsigned long long)peer->end.log_id, (unsigned long long)own->log_id);
        int further = yd_log_end_compare(&peer->end, own);
        if (further > 0)
            return cli_fail(args,
                            "%s is further: it ends at record %llu of epoch %u, this copy at %llu of epoch %u. "
                            "Promote that one",
                            peer->address, (unsigned long long)peer->end.durable, peer->end.last_epoch,
                            (unsigned long long)own->durable, own->last_epoch);
        if (further == 0 && i < member)
            return cli_fail(args, "%s is as far, and comes earlier in the order of --peers: promote that one",
                            peer->address);
    }
    return CLI_DONE;
}

/* The newest epoch that anybody knows: an attempt that ended half way has fenced some of them. */
static uint32_t newest(const struct peers *peers, const struct yd_log_end *own)
{
    uint32_t known = own->known_epoch;
    for (size_t i = 0; i < peers->count; i++)
        if (peers->items[i].client) known = YD_MAX(known, peers->items[i].end.known_epoch);
    return known;
}

static int fence(struct cli_args *args, struct peers *peers, const char *stream, uint32_t epoch)
{
    const struct cli_cell cells[] = {{.key = "op", .text = "fence"},
                                     {.key = "stream", .text = stream},
                                     {.key = "epoch", .number = epoch},
                                     {.key = NULL}};
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->items[i];
        if (!peer->client) continue;
        int code = cli_ask(args, peer->client, cells, NULL, NULL);
        if (code) return code;
    }
    return CLI_DONE;
}

static int again(struct cli_args *args, struct peers *peers, const char *stream)
{
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->items[i];
        if (!peer->client) continue;
        peer->exact = false;
        int code = ask_stat(args, peer, stream);
        if (code) return code;
        if (!peer->exact)
            return cli_fail(args, "%s no longer says how far its copy is: start its Replica, then promote again",
                            peer->address);
    }
    return CLI_DONE;
}

static int promote(struct cli_args *args, struct peers *peers, const char *stream, const char *dir, uint64_t member)
{
    struct yd_trail trail = {0};
    struct yd_log_stat stat;
    struct yd_log_end own;
    if (yd_log_stat_dir(NULL, dir, &stat, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    if (stat.live)
        return cli_fail(args, "%s is in use by process %lld: stop it first, then promote, then start it with a Log",
                        dir, (long long)stat.writer_pid);
    if (yd_log_end_dir(NULL, dir, &own, &trail) < 0) return cli_fail(args, "%s", yd_trail_text(&trail));
    int code = open_peers(args, stream, peers);
    if (code == CLI_DONE) code = compare(args, peers, &own, member);
    /* Fenced before they are asked again: what they say then does not change any more. */
    uint32_t known = newest(peers, &own), got;
    if (code == CLI_DONE) code = fence(args, peers, stream, yd_log_next_epoch(known, (unsigned)member));
    if (code == CLI_DONE) code = again(args, peers, stream);
    if (code == CLI_DONE) code = compare(args, peers, &own, member);
    if (code) return code;
    if (newest(peers, &own) > yd_log_next_epoch(known, (unsigned)member))
        return cli_fail(args, "somebody else promotes another copy of %s now: see which of the two leads", stream);
    if (yd_log_promote_dir(NULL, dir, known, (unsigned)member, &got, &trail) < 0)
        return cli_fail(args, "%s", yd_trail_text(&trail));
    if (args->json)
        printf("{\"stream\":\"%s\",\"epoch\":%u,\"next\":%llu}\n", stream, got, (unsigned long long)own.durable);
    else
        printf("%s: leads from record %llu on, epoch %u. Start it with Log(stream: …), the others with Replica\n",
               stream, (unsigned long long)own.durable, got);
    return CLI_DONE;
}

static int run(struct cli_args *args)
{
    const char *data = cli_value(args, "data"), *member_text = cli_value(args, "member");
    uint64_t member = 0;
    char stream[256], dir[4096];
    if (member_text && (yd_text_u64(yd_str_of(member_text), &member) < 0 || member > 15))
        return cli_usage(args, "--member wants 0 to 15");
    (void)snprintf(stream, sizeof stream, "%s%s", args->rest[0], strchr(args->rest[0], '/') ? "" : "/0");
    if (snprintf(dir, sizeof dir, "%s/streams/%s", data ? data : "./data", stream) >= (int)sizeof dir)
        return cli_usage(args, "the folder's name is too long");
    struct peers peers = {0};
    int code = promote(args, &peers, stream, dir, member);
    for (size_t i = 0; i < peers.count; i++) yd_client_close(peers.items[i].client);
    return code;
}

static const struct cli_option options[] = {
    {"data", "DIR", "the data folder of this node; default ./data"},
    {"peers", "A,B,C", "addresses of the other nodes, in the declared order"},
    {"without", "A,B", "those of --peers that are lost: they are not asked"},
    {"member", "N", "this node's place in the declared order, 0 to 15; default 0"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_log_promote = {
    .name = "log promote",
    .usage = "STREAM [--data DIR] [--peers A,B] [--without A] [--member N]",
    .summary = "makes this node's copy of a stream its leader",
    .doc =
        "The daemon of this node must be stopped. The peers are asked how far they are, by the epoch of their last\n"
        "batch and where that ends: when one is further, or as far and earlier in the order, it is refused. Then they\n"
        "are fenced, so that a leader of the past takes no more appends and no follower takes anything from it, and\n"
        "asked once more. See docs/replication.md.",
    .example = "  yarder log promote metrics --data /var/lib/yarder --peers 10.0.0.1:4280,10.0.0.3:4280 "
               "--without 10.0.0.1:4280 --member 1",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
