/* Questions to a History, in slices. See history_queries.h.
 *
 * What can fail: too many at a time; a question that is none, or that reads too much; blocks that are damaged, said. */
#include "elements/history_queries.h"

#include <stdlib.h>

#include "elements/ask.h"
#include "elements/history_answer.h"

#define FORGOTTEN_NS (60 * YD_NS_PER_S) /* a run that nobody called for so long: its asker has gone */

static void forget_run(struct yd_history_queries *queries, unsigned i)
{
    yd_query_destroy(queries->running[i].run);
    yd_names_done(queries->running[i].names);
    yd_arena_fini(&queries->running[i].arena);
    queries->running[i] = queries->running[--queries->count];
}

static enum yd_turn_result refuse(struct yd_out *out, int error, const struct yd_trail *trail)
{
    const char *text = yd_trail_text(trail);
    (void)yd_reply_error(out, 0, error, "%s", *text ? text : yd_error_text(error)); /* the asker may have gone */
    return YD_DONE;
}

static struct yd_history_running *find_run(struct yd_history_queries *queries, uint64_t handle)
{
    for (unsigned i = 0; i < queries->count; i++)
        if (queries->running[i].handle == handle) return &queries->running[i];
    return NULL;
}

/* Askers that have gone do not say so: what nobody called for a while is theirs. */
static void sweep(struct yd_history_queries *queries, int64_t now_ns)
{
    for (unsigned i = queries->count; i-- > 0;)
        if (now_ns - queries->running[i].last_ns > FORGOTTEN_NS) forget_run(queries, i);
}

/* The disk is the pump's to wait for: the query is put aside until what it needs is in memory. Behind the inputs' end
 * nobody would call for it again: then it waits for the disk itself. */
static bool put_aside(const struct yd_history_queries *queries, struct yd_history_running *running, struct yd_out *out)
{
    struct yd_warming *warming;
    if (queries->alone || !yd_query_is_cold(running->run, &warming)) return false;
    struct yd_history_warm *warm = malloc(sizeof *warm);
    if (!warm) {
        yd_warming_free(warming);
        return false;
    }
    *warm = (struct yd_history_warm){running->handle, warming};
    return yd_out_command(out, YD_HISTORY_WARM, 0, NULL, warm, yd_history_warm_free) == 0 && yd_keep_query(out) != 0;
}

static enum yd_turn_result run_step(struct yd_history_queries *queries, struct yd_history_running *running,
                                    struct yd_input *input, struct yd_out *out)
{
    struct yd_trail trail = {0};
    if (put_aside(queries, running, out)) {
        running->last_ns = input->mono_ns;
        return YD_DONE;
    }
    struct yd_batch *batch = NULL;
    running->last_ns = input->mono_ns;
    int r = yd_query_step(running->run, &batch, &trail);
    if (r > 0) {
        if (!batch) return YD_MORE;
        if (yd_reply(out, 0, batch, true) != YD_ENOENT) return YD_MORE;
    }
    forget_run(queries, (unsigned)(running - queries->running));
    const char *damaged = yd_history_damage(queries->history, &queries->damage);
    if (damaged) yd_say(out, 2, "%s is damaged: what is in the damaged places is missing in answers", damaged);
    if (r < 0) return refuse(out, r, &trail);
    if (r == 0) (void)yd_reply(out, 0, batch, false); /* the asker may have gone */
    return YD_DONE;
}

static enum yd_turn_result names_step(struct yd_history_queries *queries, struct yd_history_running *running,
                                      struct yd_input *input, struct yd_out *out)
{
    struct yd_trail trail = {0};
    running->last_ns = input->mono_ns;
    int r = yd_names_answer(queries->history, running->names, out, &trail);
    if (r > 0) return YD_MORE;
    forget_run(queries, (unsigned)(running - queries->running));
    return r < 0 ? refuse(out, r, &trail) : YD_DONE;
}

static enum yd_turn_result go_on(struct yd_history_queries *queries, struct yd_history_running *running,
                                 struct yd_input *input, struct yd_out *out)
{
    return running->names ? names_step(queries, running, input, out) : run_step(queries, running, input, out);
}

static enum yd_turn_result start(struct yd_history_queries *queries, struct yd_ask *ask, struct yd_arena *arena,
                                 struct yd_input *input, struct yd_out *out)
{
    struct yd_trail trail = {0};
    sweep(queries, input->mono_ns);
    if (queries->count == YD_HISTORY_QUERIES_MAX) {
        (void)yd_reply_error(out, 0, YD_EBUSY, "%u queries are running: try again later", YD_HISTORY_QUERIES_MAX);
        yd_arena_fini(arena);
        return YD_DONE;
    }
    struct yd_history_running *running = &queries->running[queries->count];
    *running = (struct yd_history_running){.handle = input->cookie, .arena = *arena, .last_ns = input->mono_ns};
    int r = ask->op == YD_ASK_SERIES ? yd_query_start(queries->history, &ask->series, &running->run, &trail)
                                     : yd_names_ask(queries->history, ask, &running->names, &trail);
    if (r < 0) {
        yd_arena_fini(&running->arena);
        return refuse(out, r, &trail);
    }
    queries->count++;
    yd_timer_at(out, queries->timer, input->mono_ns + FORGOTTEN_NS + YD_NS_PER_S);
    return go_on(queries, running, input, out);
}

enum yd_turn_result yd_history_queries_answer(struct yd_history_queries *queries, uint64_t refused_tombstones,
                                              struct yd_input *input, struct yd_out *out)
{
    if (input->again) {
        struct yd_history_running *running = find_run(queries, input->cookie);
        if (running) return go_on(queries, running, input, out);
        (void)yd_reply_error(out, 0, YD_ETIMEOUT, "the query lay too long unread"); /* the asker may have gone */
        return YD_DONE;
    }
    struct yd_arena arena;
    struct yd_trail trail = {0};
    struct yd_ask ask;
    yd_arena_init(&arena, NULL);
    int r = yd_ask_decode(input->batch, &arena, &ask, &trail);
    if (r == 0 && (ask.op == YD_ASK_SERIES || ask.op == YD_ASK_LOOKUP || ask.op == YD_ASK_LAST))
        return start(queries, &ask, &arena, input, out);
    enum yd_turn_result result = YD_DONE;
    if (r == 0) r = yd_history_answer(queries->history, refused_tombstones, &ask, out, &trail);
    if (r < 0) result = refuse(out, r, &trail);
    yd_arena_fini(&arena);
    return result;
}

void yd_history_queries_warmed(const struct yd_history_warm *warm, struct yd_out *out)
{
    (void)yd_reply(out, warm->handle, NULL, true); /* it goes on, if the asker is still there */
}

void yd_history_queries_sweep(struct yd_history_queries *queries, struct yd_input *input, struct yd_out *out)
{
    sweep(queries, input->mono_ns);
    if (queries->count) yd_timer_at(out, queries->timer, input->mono_ns + FORGOTTEN_NS + YD_NS_PER_S);
}

void yd_history_queries_close(struct yd_history_queries *queries)
{
    while (queries->count) forget_run(queries, 0);
}
