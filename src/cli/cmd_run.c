/* yarder run: checks a topology and runs it until its sources end or a signal asks it to stop.
 *
 *   main thread: signals, the status socket       executors: everything else
 *   SIGTERM, SIGINT: drain; another one half a second later or after, or the time over: force */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/drd.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "serve/status.h"

#define DRAIN_NS      (15 * YD_NS_PER_S)
#define EXECUTORS_MAX 256
/* What is asked once comes twice within microseconds where a process and its group are told: of timeout(1), of a shell.
 */
#define SAME_ASK_NS (YD_NS_PER_S / 2)

struct daemon {
    struct cli_args *args;
    const char *data, *file;
    struct yd_loop *loop;
    struct yd_run *run;
    struct yd_status *status;
    atomic_bool finished; /* released by on_finished, acquired by the main loop */
    int exit_code;
    unsigned signals;
    int64_t asked_at; /* when the first signal came */
    size_t listen_count;
    struct {
        char element[64], what[64], address[128];
    } listens[64]; /* those said before the status socket was there */
};

/* ---- the data folder belongs to one daemon ---- */

static int hold_data(struct daemon *daemon, struct yd_file **ret_lock)
{
    struct yd_fs *fs = yd_fs_linux();
    char path[4096], text[64];
    char *holder = NULL;
    size_t size;
    int error = yd_fs_make_dirs(fs, daemon->data);
    if (error < 0)
        return cli_fail(daemon->args, "cannot make the data folder %s: %s; give another with --data", daemon->data,
                        yd_error_text(error));
    if ((size_t)snprintf(path, sizeof path, "%s/lock", daemon->data) >= sizeof path)
        return cli_fail(daemon->args, "%s: path too long", daemon->data);
    struct yd_file *lock = NULL;
    error = yd_fs_open(fs, path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE, &lock);
    if (error == 0) error = yd_file_lock(lock);
    if (error == YD_ELOCKED) {
        (void)yd_fs_read_all(fs, path, 64, &holder, &size); /* unreadable: shown as unknown */
        (void)cli_fail(daemon->args, "the data folder %s is in use by process %s; stop it, or give another with --data",
                       daemon->data, holder && *holder ? strtok(holder, "\n") : "(unknown)");
    } else if (error < 0) {
        (void)cli_fail(daemon->args, "%s: %s", path, yd_error_text(error));
    }
    free(holder);
    if (error < 0) {
        yd_file_close(lock);
        return CLI_FAILED;
    }
    int text_size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    (void)yd_file_truncate(lock, 0);                       /* for people to read: */
    (void)yd_file_write(lock, text, (size_t)text_size, 0); /* not being able to is no reason to stop */
    *ret_lock = lock;
    return CLI_DONE;
}

/* ---- what the run says ---- */

/* With --json every line to the operator is an object on standard error; standard output stays the elements'. */
static void say_json(const char *event, const char *const *fields)
{
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, false);
    yd_json_object(&json);
    yd_json_key(&json, "event");
    yd_json_cstr(&json, event);
    for (; *fields; fields += 2) {
        yd_json_key(&json, fields[0]);
        yd_json_cstr(&json, fields[1]);
    }
    yd_json_object_end(&json);
    yd_buf_char(&text, '\n');
    fwrite(text.data, 1, text.size, stderr);
    yd_buf_fini(&text);
}

static void said(void *arg, const struct yd_run_line *line)
{
    static const char *const levels[] = {"note", "warning", "error"};
    struct daemon *daemon = arg;
    const char *level = levels[YD_MIN(line->level, 2)];
    if (daemon->args->json)
        say_json("said", (const char *const[]){"level", level, "element", line->element, "text", line->text, NULL});
    else
        fprintf(stderr, "%s: %s%s%s\n", level, line->element, *line->element ? ": " : "", line->text);
}

static void listens(void *arg, const char *element, const char *what, const char *address)
{
    struct daemon *daemon = arg;
    if (daemon->listen_count == YD_COUNT(daemon->listens)) return;
    size_t at = daemon->listen_count++;
    snprintf(daemon->listens[at].element, sizeof daemon->listens[at].element, "%s", element);
    snprintf(daemon->listens[at].what, sizeof daemon->listens[at].what, "%s", what);
    snprintf(daemon->listens[at].address, sizeof daemon->listens[at].address, "%s", address);
}

static void on_finished(void *arg, int exit_code)
{
    struct daemon *daemon = arg;
    daemon->exit_code = exit_code;
    YD_DRD_BEFORE(&daemon->finished);
    atomic_store_explicit(&daemon->finished, true, memory_order_release);
    yd_loop_wake(daemon->loop);
}

static void on_signal(void *arg, int signal_number)
{
    struct daemon *daemon = arg;
    int64_t now = yd_loop_mono(daemon->loop);
    if (daemon->signals++ == 0) {
        daemon->asked_at = now;
        said(daemon,
             &(struct yd_run_line){0, "",
                                   signal_number == SIGINT
                                       ? "interrupted: finishing what is in hand; once more to stop at once"
                                       : "asked to stop: finishing what is in hand; once more to stop at once"});
        yd_status_draining(daemon->status);
        yd_run_drain(daemon->run, DRAIN_NS);
    } else if (now - daemon->asked_at >= SAME_ASK_NS) {
        yd_run_drain(daemon->run, 0);
    }
}

static bool is_what(const struct daemon *daemon, size_t at, const char *word)
{
    return strcasestr(daemon->listens[at].what, word) != NULL;
}

static void print_welcome(const struct daemon *daemon)
{
    if (daemon->args->json) {
        for (size_t i = 0; i < daemon->listen_count; i++)
            say_json("listens",
                     (const char *const[]){"element", daemon->listens[i].element, "what", daemon->listens[i].what,
                                           "address", daemon->listens[i].address, NULL});
        say_json("serving", (const char *const[]){"version", YARDER_VERSION, "topology", daemon->file, "data",
                                                  daemon->data, NULL});
        return;
    }
    const struct yd_topology *topology = yd_run_topology(daemon->run);
    fprintf(stderr, "yarder " YARDER_VERSION ": %zu elements, %zu wires, data in %s\n", topology->node_count,
            topology->wire_count, daemon->data);
    for (size_t i = 0; i < daemon->listen_count; i++)
        fprintf(stderr, "  %-12s %-28s %s\n", daemon->listens[i].element, daemon->listens[i].what,
                daemon->listens[i].address);
    if (daemon->listen_count) fprintf(stderr, "Try:\n");
    for (size_t i = 0; i < daemon->listen_count; i++) {
        const char *address = daemon->listens[i].address, *colon = strrchr(address, ':');
        if (!colon) continue;
        if (is_what(daemon, i, "graphite lines") && !is_what(daemon, i, "udp"))
            fprintf(stderr, "  echo \"try.me;host=$(hostname) 1.5 $(date +%%s)\" | nc -N %.*s %s\n",
                    (int)(colon - address), address, colon + 1);
        if (is_what(daemon, i, "opentsdb"))
            fprintf(stderr, "  curl 'http://%s/api/query?start=5m-ago&m=sum:try.me%%7Bhost=*%%7D'\n", address);
    }
    if (daemon->listen_count) {
        const char *option = strcmp(daemon->data, "./data") == 0 ? "" : " --data ";
        fprintf(stderr, "  yarder top%s%s\n", option, *option ? daemon->data : "");
    }
}

/* ---- start and end ---- */

static int open_status(struct daemon *daemon, struct yd_trail *trail)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/status.sock", daemon->data);
    int error = yd_status_open(&(struct yd_status_options){daemon->loop, daemon->run, path, daemon->data, daemon->file},
                               &daemon->status, trail);
    for (size_t i = 0; error == 0 && i < daemon->listen_count; i++)
        yd_status_listens(daemon->status, daemon->listens[i].element, daemon->listens[i].what,
                          daemon->listens[i].address);
    return error;
}

static int serve(struct daemon *daemon, struct yd_trail *trail)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct yd_signal *signals[YD_COUNT(numbers)] = {NULL};
    int error = open_status(daemon, trail);
    for (size_t i = 0; error == 0 && i < YD_COUNT(numbers); i++)
        error = yd_signal_open(daemon->loop, numbers[i], on_signal, daemon, &signals[i]);
    if (error == 0)
        print_welcome(daemon);
    else
        yd_run_drain(daemon->run, 0);
    while (!atomic_load_explicit(&daemon->finished, memory_order_acquire)) (void)yd_loop_run(daemon->loop, -1);
    YD_DRD_AFTER(&daemon->finished);
    for (size_t i = 0; i < YD_COUNT(numbers); i++)
        if (signals[i]) yd_signal_close(signals[i]);
    yd_status_close(daemon->status);
    return error;
}

/* Ten thousand idle peers want as many descriptors: take what the limit allows. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer peers, then */
    }
}

static int run_topology(struct daemon *daemon, const struct yd_topology *topology)
{
    struct yd_system *system = NULL;
    struct yd_pool *pool = NULL;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    const char *executors = cli_value(daemon->args, "executors");
    int error = yd_loop_create_uv(&daemon->loop);
    if (error == 0) error = yd_pool_create(4, "files", &pool);
    if (error == 0)
        error = yd_system_create(&(struct yd_system_options){.executors = executors ? (unsigned)atoi(executors) : 0},
                                 &system);
    if (error == 0) error = yd_system_start(system);
    if (error == 0) {
        struct yd_run_options options = {
            .system = system,
            .topology = topology,
            .data = daemon->data,
            .fs = yd_fs_linux(),
            .pool = pool,
            .said = said,
            .listens = listens,
            .finished = on_finished,
            .callback_arg = daemon,
        };
        error = yd_run_start(&options, &daemon->run, &trail);
    }
    if (error == 0) error = serve(daemon, &trail);
    if (error < 0) {
        (void)cli_fail(daemon->args, "%s", *yd_trail_text(&trail) ? yd_trail_text(&trail) : yd_error_text(error));
        daemon->exit_code = CLI_FAILED;
    }
    yd_run_destroy(daemon->run);
    if (system) yd_system_stop(system);
    yd_system_destroy(system);
    yd_pool_destroy(pool);
    yd_loop_destroy(daemon->loop);
    return daemon->exit_code ? CLI_FAILED : CLI_DONE;
}

static int run(struct cli_args *args)
{
    struct daemon daemon = {.args = args, .file = args->rest[0], .data = cli_value(args, "data")};
    YD_DRD_IGNORE(&daemon.finished);
    struct yd_topology *topology;
    struct yd_file *lock = NULL;
    const char *executors = cli_value(args, "executors");
    uint64_t count;
    int code;
    if (executors && (yd_text_u64(yd_str_of(executors), &count) < 0 || count == 0 || count > EXECUTORS_MAX))
        return cli_usage(args, "--executors wants a number from 1 to %d, not '%s'", EXECUTORS_MAX, executors);
    if (!daemon.data) daemon.data = "./data";
    if (cli_load(args, args->rest[0], &topology, &code) < 0) return code;
    signal(SIGPIPE, SIG_IGN); /* a peer that has gone is an error of its write, not of the daemon */
    signal(SIGXFSZ, SIG_IGN); /* so is a file, or shared memory, larger than ulimit -f allows */
    raise_descriptor_limit();
    code = hold_data(&daemon, &lock);
    if (code == CLI_DONE) code = run_topology(&daemon, topology);
    yd_file_close(lock);
    yd_topology_destroy(topology);
    return code;
}

static const struct cli_option options[] = {
    {"data", "DIR", "where streams, states and the status socket are; default ./data"},
    {"set", "ID=VALUE", "sets a parameter of the topology; again for more"},
    {"executors", "N", "threads that run elements; default one per core"},
    {"plugin", "FILE", "a plug-in .so with element classes; folders: YARDER_PLUGINS"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_run = {
    .name = "run",
    .usage = "FILE [--data DIR] [--set ID=VALUE]...",
    .summary = "runs a topology",
    .doc = "Checks the file first and starts nothing when there is a mistake in it. Then says what listens where. "
           "SIGTERM or\n"
           "Ctrl-C stops the sources, lets everything in hand finish, and exits 0; once more (half a second later or "
           "after)\n"
           "stops at once. A topology whose sources all come to an end exits by itself.",
    .example =
        "  yarder run examples/quickstart.yd\n  yarder run examples/quickstart.yd --data /var/lib/yarder --set keep=7d",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
