/* io/child_uv.c: child processes of the Linux loop, by libuv: spawned with three pipes, their output read as it comes.
 *
 * `exited` is said when the process is gone and both outputs have ended, so no byte comes after it. A grandchild that
 * keeps an output open after the child's end would hold that up for ever: it gets GRACE, then is not waited for. */
#include <signal.h>
#include <stdlib.h>

#include "io/loop_uv.h"

#define ROOM        ((size_t)64 << 10)
#define INPUT_LIMIT ((size_t)16 << 20)
#define GRACE       (500 * YD_NS_PER_MS)

struct yd_child {
    struct yd__uv_loop *loop;
    uv_process_t process;
    uv_pipe_t pipes[3];
    uint32_t handles; /* not let go of yet: the memory stays for them */
    bool running, closed, input_ended, open[3];
    int64_t status;
    int signal;
    struct yd_timer *grace;
    const struct yd_child_ops *ops;
    void *arg;
};

struct input {
    uv_write_t request;
    char bytes[];
};

static void handle_gone(uv_handle_t *handle)
{
    struct yd_child *child = handle->data;
    if (--child->handles == 0 && child->closed) free(child);
}

static void close_pipe(struct yd_child *child, int which)
{
    if (!child->open[which]) return;
    child->open[which] = false;
    uv_close((uv_handle_t *)&child->pipes[which], handle_gone);
}

static void say_exited(struct yd_child *child)
{
    if (child->running || child->open[1] || child->open[2] || child->closed) return;
    yd_timer_stop(child->grace);
    child->loop->loop.callbacks++;
    child->ops->exited(child->arg, child->status, child->signal);
}

static void grace_over(void *arg)
{
    struct yd_child *child = arg;
    close_pipe(child, 1);
    close_pipe(child, 2);
    say_exited(child);
}

static void process_ended(uv_process_t *process, int64_t status, int signal)
{
    struct yd_child *child = process->data;
    yd__uv_awake(child->loop);
    child->running = false;
    child->status = status, child->signal = signal;
    uv_close((uv_handle_t *)process, handle_gone);
    if (child->closed) return;
    close_pipe(child, 0);
    yd_timer_start(child->grace, yd_loop_mono(&child->loop->loop) + GRACE);
    say_exited(child);
}

static void lend_room(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    struct yd_child *child = handle->data;
    (void)size;
    yd__uv_awake(child->loop);
    *ret = uv_buf_init(child->loop->child_room, (unsigned)ROOM);
}

static void output_came(uv_stream_t *pipe, ssize_t size, const uv_buf_t *room)
{
    struct yd_child *child = pipe->data;
    int which = pipe == (uv_stream_t *)&child->pipes[1] ? 1 : 2;
    if (child->closed || size == 0) return;
    if (size > 0) {
        child->loop->loop.callbacks++;
        child->ops->output(child->arg, (struct yd_str){room->base, (size_t)size}, which == 2);
        return;
    }
    close_pipe(child, which);
    say_exited(child);
}

static int spawn(struct yd_child *child, const char *const *argv)
{
    uv_stdio_container_t stdio[3];
    static const int flags[3] = {UV_CREATE_PIPE | UV_READABLE_PIPE, UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                                 UV_CREATE_PIPE | UV_WRITABLE_PIPE};
    for (int i = 0; i < 3; i++) {
        YD_ASSERT(uv_pipe_init(&child->loop->uv, &child->pipes[i], 0) == 0);
        child->pipes[i].data = child;
        child->open[i] = true;
        child->handles++;
        stdio[i].flags = flags[i];
        stdio[i].data.stream = (uv_stream_t *)&child->pipes[i];
    }
    uv_process_options_t options = {
        .file = argv[0], .args = (char **)(uintptr_t)argv, .exit_cb = process_ended, .stdio_count = 3, .stdio = stdio};
    child->process.data = child;
    child->handles++; /* libuv wants the process handle closed even when the spawn failed */
    int error = uv_spawn(&child->loop->uv, &child->process, &options);
    child->running = error == 0;
    if (error) uv_close((uv_handle_t *)&child->process, handle_gone);
    return error;
}

int yd_child_start(struct yd_loop *loop, const char *const *argv, const struct yd_child_ops *ops, void *arg,
                   struct yd_child **ret_child, struct yd_trail *trail)
{
    if (loop->ops->is_sim) return yd_trail_add(trail, YD_ENOTSUP, "no child processes in a simulation");
    struct yd__uv_loop *uv = yd__uv(loop);
    if (!uv->child_room) uv->child_room = malloc(ROOM);
    struct yd_child *child = calloc(1, sizeof *child);
    if (!child || !uv->child_room || yd_timer_create(loop, grace_over, child, &child->grace)) {
        free(child);
        return yd_trail_add(trail, YD_ENOMEM, "cannot start %s: out of memory", argv[0]);
    }
    child->loop = uv;
    child->ops = ops, child->arg = arg;
    (void)signal(SIGPIPE, SIG_IGN); /* a child that dies must not take us along when we write to it */
    int error = spawn(child, argv);
    if (error) {
        int result = error == UV_ENOENT ? YD_ENOENT : yd__uv_error(error);
        yd_trail_add(trail, result, "cannot start %s: %s", argv[0], uv_strerror(error));
        yd_child_close(child);
        return result;
    }
    for (int i = 1; i < 3; i++) YD_ASSERT(uv_read_start((uv_stream_t *)&child->pipes[i], lend_room, output_came) == 0);
    *ret_child = child;
    return 0;
}

static void input_sent(uv_write_t *request, int status)
{
    struct yd_child *child = request->handle->data;
    free(YD_CONTAINER(request, struct input, request));
    if (child->closed) return;
    if (status || (child->input_ended && uv_stream_get_write_queue_size((uv_stream_t *)&child->pipes[0]) == 0))
        close_pipe(child, 0);
}

int yd_child_write(struct yd_child *child, struct yd_str bytes)
{
    uv_stream_t *pipe = (uv_stream_t *)&child->pipes[0];
    if (child->closed || child->input_ended || !child->open[0]) return YD_ECLOSED;
    size_t waiting = uv_stream_get_write_queue_size(pipe);
    if (waiting && waiting + bytes.size > INPUT_LIMIT) return YD_EFULL;
    struct input *input = malloc(sizeof *input + bytes.size);
    if (!input) return YD_ENOMEM;
    if (bytes.size) memcpy(input->bytes, bytes.data, bytes.size);
    uv_buf_t buf = uv_buf_init(input->bytes, (unsigned)bytes.size);
    int error = uv_write(&input->request, pipe, &buf, 1, input_sent);
    if (error) free(input);
    return error ? YD_ECLOSED : 0;
}

void yd_child_end_input(struct yd_child *child)
{
    child->input_ended = true;
    if (child->open[0] && uv_stream_get_write_queue_size((uv_stream_t *)&child->pipes[0]) == 0) close_pipe(child, 0);
}

void yd_child_kill(struct yd_child *child, int signal)
{
    if (child->running) (void)uv_process_kill(&child->process, signal); /* it may have ended just now */
}

void yd_child_close(struct yd_child *child)
{
    if (!child || child->closed) return;
    child->closed = true;
    yd_timer_close(child->grace);
    yd_child_kill(child, SIGKILL);
    for (int i = 0; i < 3; i++) close_pipe(child, i);
    /* The memory goes with the last handle: a running process keeps its own until it is reaped. */
    if (child->handles == 0) free(child);
}
