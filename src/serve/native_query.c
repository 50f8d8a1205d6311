/* serve/native_query.c: QUERY: what streams and cursors there are, and a few things to be done to them.
 *
 *   one ROW {op, …} ─▶ a job, as all of it looks at folders ─▶ rows into a builder ─▶ REPLY, REPLY … in the loop
 *
 * Questions to elements go to whoever made the server, and their answers come back batch by batch.
 *
 * The operations and their rows are listed in <yarder/protocol.h>. */
#include "serve/native_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/file.h"
#include <yarder/batch.h>
#include <yarder/name.h>

#define QUERIES_MAX 16                 /* of one connection, under way */
#define UNREAD_MAX  ((size_t)64 << 20) /* answers of elements that a peer leaves unread */
#define REPLY_SIZE  ((size_t)256 << 10)

/* What an operation makes of the name of a stream with several partitions. */
enum reach { OF_ALL, OF_STREAM, OF_EACH, OF_ONE };

struct ask {
    struct yd__native_job job;
    uint64_t correlation;
    struct yd_batch *query;
    const char *op;              /* of the table */
    int (*act)(struct ask *ask); /* on a file thread */
    char stream[256], dir[4096]; /* NAME/PARTITION and its folder, when it was given */
    char name[256];              /* of the stream alone */
    bool plain;                  /* no partition was named */
    enum reach reach;
    uint32_t partitions; /* that are asked for, if several: they are taken in turn */
    struct yd_builder *builder;
    struct yd_batch **replies;
    uint32_t reply_count, reply_capacity;
    int64_t now;
    struct yd_trail trail;
    int error;
};

/* ---- what is asked ---- */

static const struct yd_cell *cell(const struct ask *ask, const char *key, enum yd_type type)
{
    const struct yd_view *view = &ask->query->view;
    const struct yd_cell *found = yd_view_find(view, view->records[0].value, yd_str_of(key));
    return found && found->type == type ? found : NULL;
}

static struct yd_str text(const struct ask *ask, const char *key)
{
    const struct yd_cell *found = cell(ask, key, YD_TEXT);
    return found ? yd_view_bytes(&ask->query->view, found->value) : (struct yd_str){0};
}

static uint64_t number(const struct ask *ask, const char *key, uint64_t otherwise)
{
    const struct yd_cell *found = cell(ask, key, YD_U64);
    if (found) return found->value.u64;
    found = cell(ask, key, YD_I64);
    return found && found->value.i64 >= 0 ? (uint64_t)found->value.i64 : otherwise;
}

/* ---- rows ---- */

static int seal(struct ask *ask)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(ask->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    if (error) return error;
    if (ask->reply_count == ask->reply_capacity) {
        uint32_t capacity = ask->reply_capacity ? ask->reply_capacity * 2 : 4;
        struct yd_batch **replies = realloc(ask->replies, capacity * sizeof *replies);
        if (!replies) {
            yd_batch_unref(batch);
            return YD_ENOMEM;
        }
        ask->replies = replies;
        ask->reply_capacity = capacity;
    }
    ask->replies[ask->reply_count++] = batch;
    return 0;
}

struct field {
    const char *key;
    enum yd_type type; /* U64, I64, F64, BOOL, TEXT; NIL: left out */
    union yd_value value;
    const char *text;
};
#define U64(k, v)                                                                                                      \
    {                                                                                                                  \
        k, YD_U64, {.u64 = (v)}, NULL                                                                                  \
    }
#define I64(k, v)                                                                                                      \
    {                                                                                                                  \
        k, YD_I64, {.i64 = (v)}, NULL                                                                                  \
    }

static int add_row_once(struct ask *ask, const char *row, const struct field *fields, size_t count)
{
    uint32_t name;
    int error = yd_builder_name(ask->builder, yd_str_of(row), &name);
    if (!error) error = yd_builder_begin(ask->builder, ask->now, name, YD_ROW, 0, YD_MAP);
    for (size_t i = 0; i < count && !error; i++) {
        struct yd_str key = yd_str_of(fields[i].key);
        if (fields[i].type == YD_TEXT)
            error = yd_builder_cell_bytes(ask->builder, key, YD_TEXT, yd_str_of(fields[i].text));
        else if (fields[i].type != YD_NIL)
            error = yd_builder_cell(ask->builder, key, fields[i].type, fields[i].value);
    }
    return error ? error : yd_builder_end(ask->builder);
}

static int add_row(struct ask *ask, const char *row, const struct field *fields, size_t count)
{
    int error = add_row_once(ask, row, fields, count);
    if (error != YD_EFULL) return error;
    error = seal(ask);
    return error ? error : add_row_once(ask, row, fields, count);
}

/* ---- streams ---- */

/* One partition, by its name and folder; what is live is asked, the rest is looked at. */
static int add_stat(struct ask *ask, const char *stream, const char *dir)
{
    struct yd_native *native = ask->job.native;
    struct yd_log_stat stat;
    char name[256];
    int error = yd_log_stat_dir(native->options.fs, dir, &stat, &ask->trail);
    if (error) return error;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(stream, "/"), stream);
    struct yd_layout layout = {.partitions = 1};
    bool laid_out = yd_layout_load(native->options.fs, native->data, name, &layout) == 0;
    struct yd_log_position position = {.replicated = stat.durable};
    struct yd_log_end end = {.last_epoch = stat.last_epoch, .known_epoch = stat.epoch};
    bool exact = stat.exact;
    struct yd_log *log = yd_streams_find(native->options.streams, stream);
    if (log) yd_log_position(log, &position);
    if (log && !position.closed) {
        yd_log_end(log, &end);
        exact = true;
        stat.written = position.written;
        stat.durable = end.durable;
    }
    yd_log_unref(log);
    const struct field fields[] = {
        U64("first", stat.first),
        U64("written", stat.written),
        U64("durable", stat.durable),
        U64("replicated", position.replicated),
        U64("bytes", stat.bytes),
        U64("segments", stat.segments),
        U64("log_id", stat.log_id),
        U64("epoch", end.known_epoch),
        {"last_epoch", exact ? YD_U64 : YD_NIL, {.u64 = end.last_epoch}, NULL},
        {"live", YD_BOOL, {.u64 = stat.live}, NULL},
        {"follower", YD_BOOL, {.u64 = position.follower}, NULL},
        I64("time_min", stat.time_min),
        I64("time_max", stat.time_max),
        {"records_per_s", YD_F64, {.f64 = stat.records_per_s}, NULL},
        {"bytes_per_s", YD_F64, {.f64 = stat.bytes_per_s}, NULL},
        U64("twins", stat.twins),
        U64("twin_bytes", stat.twin_bytes),
        {"key_min", YD_TEXT, {0}, stat.key_min},
        {"key_max", YD_TEXT, {0}, stat.key_max},
        U64("partitions", layout.partitions),
        {"by", laid_out && layout.partitions > 1 ? YD_TEXT : YD_NIL, {0}, yd_layout_by_name(layout.by)},
    };
    return add_row(ask, stream, fields, YD_COUNT(fields));
}

struct walk {
    struct ask *ask;
    struct yd_pattern *pattern;
    const char *name; /* the stream's folder, while its partitions are visited */
};

static int visit_partition(void *arg, const char *name, enum yd_file_type node)
{
    struct walk *walk = arg;
    char text[512], stream[256], dir[4096];
    (void)snprintf(text, sizeof text, "%s/%s", walk->name, name);
    if (node != YD_NODE_DIR || !yd__native_stream_name(yd_str_of(text), stream)) return 0;
    if (snprintf(dir, sizeof dir, "%s/streams/%s", walk->ask->job.native->data, stream) >= (int)sizeof dir) return 0;
    int error = add_stat(walk->ask, stream, dir);
    return error == YD_ENOMEM ? error : 0; /* a folder that is no stream is none of theirs */
}

static int visit_stream(void *arg, const char *name, enum yd_file_type node)
{
    struct walk *walk = arg;
    char dir[4096], stream[256];
    if (node != YD_NODE_DIR || !yd__native_stream_name(yd_str_of(name), stream)) return 0;
    if (walk->pattern && !yd_pattern_match(walk->pattern, yd_str_of(name))) return 0;
    walk->name = name;
    if (snprintf(dir, sizeof dir, "%s/streams/%s", walk->ask->job.native->data, name) >= (int)sizeof dir) return 0;
    int error = yd_fs_list(walk->ask->job.native->options.fs, dir, visit_partition, walk);
    return error == YD_ENOENT ? 0 : error;
}

static int list_streams(struct ask *ask)
{
    struct yd_native *native = ask->job.native;
    struct walk walk = {.ask = ask};
    struct yd_str match = text(ask, "match");
    char dir[4096];
    if (snprintf(dir, sizeof dir, "%s/streams", native->data) >= (int)sizeof dir) return YD_ETOOBIG;
    if (match.size) {
        int error = yd_pattern_compile(match, &walk.pattern);
        if (error) return yd_trail_add(&ask->trail, error, "`match` is not a pattern");
    }
    int error = yd_fs_list(native->options.fs, dir, visit_stream, &walk);
    yd_pattern_destroy(walk.pattern);
    return error == YD_ENOENT ? 0 : error;
}

static int stat_stream(struct ask *ask)
{
    return add_stat(ask, ask->stream, ask->dir);
}

static int create_stream(struct ask *ask)
{
    struct yd_native *native = ask->job.native;
    struct yd_str by = text(ask, "by");
    if (!native->options.create)
        return yd_trail_add(&ask->trail, YD_EPERM, "this server does not let peers make streams (`create: true` does)");
    struct yd_layout layout = {.partitions = (uint32_t)YD_MIN(number(ask, "partitions", 1), UINT32_MAX),
                               .by = yd_str_eq(by, YD_STR("producer")) ? YD_LAYOUT_BY_PRODUCER : YD_LAYOUT_BY_NAME,
                               .keep_ns = (int64_t)YD_MIN(number(ask, "keep", 0), (uint64_t)INT64_MAX),
                               .size_bytes = number(ask, "size", 0)};
    if (layout.partitions == 0 || layout.partitions > YD_LAYOUT_PARTITIONS_MAX)
        return yd_trail_add(&ask->trail, YD_ERANGE, "partitions: 1 to %d", YD_LAYOUT_PARTITIONS_MAX);
    if (by.size && layout.by == YD_LAYOUT_BY_NAME && !yd_str_eq(by, YD_STR("name")))
        return yd_trail_add(&ask->trail, YD_EINVAL, "by: `name` or `producer`");
    struct yd_stat now;
    char first[4096];
    if (snprintf(first, sizeof first, "%s/streams/%s", native->data, ask->name) >= (int)sizeof first) return YD_ETOOBIG;
    int error = yd_fs_stat(native->options.fs, first, &now);
    if (error == 0) return yd_trail_add(&ask->trail, YD_EEXIST, "%s is there already", ask->name);
    if (error != YD_ENOENT) return error;
    error = yd_layout_save(native->options.fs, native->data, ask->name, &layout);
    for (uint32_t i = 0; i < layout.partitions && !error; i++) {
        char stream[300], dir[4096];
        (void)snprintf(stream, sizeof stream, "%s/%u", ask->name, i);
        struct yd_log *log;
        error = yd__native_open_stream(native, stream, true, &log, &ask->trail);
        yd_log_unref(error ? NULL : log);
        if (!error && snprintf(dir, sizeof dir, "%s/streams/%s", native->data, stream) >= (int)sizeof dir)
            error = YD_ETOOBIG;
        if (!error) error = add_stat(ask, stream, dir);
    }
    return error;
}

/* ---- cursors and producers ---- */

/* The log of the stream that was asked for, open; a reference. */
static int need_log(struct ask *ask, struct yd_log **ret_log)
{
    return yd__native_open_stream(ask->job.native, ask->stream, false, ret_log, &ask->trail);
}

struct cursors {
    struct ask *ask;
    uint64_t durable;
};

static int visit_cursor(void *arg, const char *name, const struct yd_cursor *cursor)
{
    struct cursors *cursors = arg;
    const char *partition = strchr(cursors->ask->stream, '/');
    const struct field fields[] = {U64("seqno", cursor->seqno),
                                   U64("epoch", cursor->epoch),
                                   I64("saved_at", cursor->saved_at),
                                   {"partition", cursors->ask->partitions ? YD_TEXT : YD_NIL, {0}, partition + 1},
                                   U64("lag", cursors->durable > cursor->seqno ? cursors->durable - cursor->seqno : 0)};
    return add_row(cursors->ask, name, fields, YD_COUNT(fields));
}

static int list_cursors(struct ask *ask)
{
    struct cursors cursors = {.ask = ask};
    struct yd_log_stat stat;
    int error = yd_log_stat_dir(ask->job.native->options.fs, ask->dir, &stat, &ask->trail);
    if (error) return error;
    cursors.durable = stat.durable;
    return yd_log_cursor_list(ask->job.native->options.fs, ask->dir, visit_cursor, &cursors);
}

static int need_cursor(struct ask *ask, char name[256])
{
    struct yd_str given = text(ask, "cursor");
    if (given.size == 0 || given.size > 200) return yd_trail_add(&ask->trail, YD_EINVAL, "`cursor` is wanted");
    (void)snprintf(name, 256, "%.*s", YD_STR_FMT(given));
    return 0;
}

static int save_cursor(struct ask *ask)
{
    char name[256];
    struct yd_log *log;
    int error = need_cursor(ask, name);
    if (!error && !cell(ask, "seqno", YD_U64)) error = yd_trail_add(&ask->trail, YD_EINVAL, "`seqno` is wanted");
    if (!error) error = need_log(ask, &log);
    if (error) return error;
    struct yd_cursor saved;
    error = yd_log_cursor_save(log, name, number(ask, "seqno", 0));
    if (!error) error = yd_log_cursor_load(log, name, &saved);
    yd_log_unref(log);
    if (error) return error;
    const struct field fields[] = {U64("seqno", saved.seqno)};
    return add_row(ask, "cursor", fields, YD_COUNT(fields));
}

static int remove_cursor(struct ask *ask)
{
    char name[256];
    struct yd_log *log;
    int error = need_cursor(ask, name);
    if (!error) error = need_log(ask, &log);
    if (error) return error;
    error = yd_log_cursor_remove(log, name);
    yd_log_unref(log);
    return error;
}

static int find_producer(struct ask *ask)
{
    struct yd_log *log;
    uint32_t epoch;
    uint64_t seq;
    int error = need_log(ask, &log);
    if (error) return error;
    error = yd_log_producer(log, number(ask, "id", 0), &epoch, &seq);
    yd_log_unref(log);
    if (error) return error;
    const struct field fields[] = {U64("epoch", epoch), U64("seq", seq)};
    return add_row(ask, "producer", fields, YD_COUNT(fields));
}

static int fence_stream(struct ask *ask)
{
    struct yd_log *log;
    uint64_t epoch = number(ask, "epoch", 0);
    if (epoch == 0 || epoch > UINT32_MAX) return yd_trail_add(&ask->trail, YD_EINVAL, "`epoch` is wanted");
    int error = need_log(ask, &log);
    if (error) return error;
    error = yd_log_fence(log, (uint32_t)epoch);
    yd_log_unref(log);
    if (!error) return 0;
    return yd_trail_add(&ask->trail, error, "the fence would not outlive a crash: %s", yd_error_text(error));
}

static const struct {
    const char *op;
    int (*act)(struct ask *ask);
    enum reach reach;
} ops[] = {{"streams", list_streams, OF_ALL},    {"stat", stat_stream, OF_EACH},
           {"create", create_stream, OF_STREAM}, {"cursors", list_cursors, OF_EACH},
           {"cursor_save", save_cursor, OF_ONE}, {"cursor_remove", remove_cursor, OF_EACH},
           {"producer", find_producer, OF_ONE},  {"fence", fence_stream, OF_ONE}};

/* ---- the job ---- */

static void free_ask(struct ask *ask)
{
    for (uint32_t i = 0; i < ask->reply_count; i++) yd_batch_unref(ask->replies[i]);
    free(ask->replies);
    yd_builder_destroy(ask->builder);
    yd_batch_unref(ask->query);
    free(ask);
}

/* What was asked of a stream, not of one of its partitions. Who has none is no error where others have it. */
static int act_on_each(struct ask *ask, const struct yd_layout *layout)
{
    if (ask->reach == OF_ONE)
        return yd_trail_add(&ask->trail, YD_EINVAL, "%s has %u partitions: name one, %s/0 to %s/%u", ask->name,
                            layout->partitions, ask->name, ask->name, layout->partitions - 1);
    ask->partitions = layout->partitions;
    uint32_t done = 0;
    for (uint32_t i = 0; i < layout->partitions; i++) {
        (void)snprintf(ask->stream, sizeof ask->stream, "%.200s/%u", ask->name, i);
        if (snprintf(ask->dir, sizeof ask->dir, "%s/streams/%s", ask->job.native->data, ask->stream) >=
            (int)sizeof ask->dir)
            return YD_ETOOBIG;
        int error = ask->act(ask);
        if (error && error != YD_ENOENT) return error;
        done += !error;
    }
    if (!done) return YD_ENOENT;
    yd_trail_clear(&ask->trail);
    return 0;
}

static int act(struct ask *ask)
{
    struct yd_layout layout;
    if (ask->plain && (ask->reach == OF_EACH || ask->reach == OF_ONE) &&
        yd_layout_load(ask->job.native->options.fs, ask->job.native->data, ask->name, &layout) == 0 &&
        layout.partitions > 1)
        return act_on_each(ask, &layout);
    return ask->act(ask);
}

static void work(struct yd__native_job *job)
{
    struct ask *ask = YD_CONTAINER(job, struct ask, job);
    ask->now = yd__native_wall(job->native);
    ask->error = yd_builder_create(&(struct yd_builder_options){.size_max = REPLY_SIZE}, &ask->builder);
    if (!ask->error) ask->error = act(ask);
    if (!ask->error) ask->error = seal(ask);
}

static void done(struct yd__native_job *job)
{
    struct ask *ask = YD_CONTAINER(job, struct ask, job);
    struct yd__native_peer *peer = job->peer;
    peer->query_count--;
    if (peer->dead) {
        free_ask(ask);
        return;
    }
    if (ask->error) {
        yd__native_refuse(peer, ask->correlation, &(struct yd_msg_refused){.error = ask->error}, "%s: %s", ask->op,
                          ask->trail.size ? yd_trail_text(&ask->trail) : yd_error_text(ask->error));
    } else if (ask->reply_count == 0) {
        yd__native_send(peer, YD_MSG_REPLY, 0, ask->correlation, NULL, 0, (struct yd_str){0});
    }
    for (uint32_t i = 0; i < ask->reply_count && !ask->error && !peer->dead; i++) {
        unsigned flags = i + 1 < ask->reply_count ? YD_FRAME_MORE : 0;
        struct yd_batch *batch = ask->replies[i];
        if (yd__native_begin(peer, YD_MSG_REPLY, flags, ask->correlation, NULL, 0, batch->header.size) == 0)
            (void)yd__native_write_batch(peer, batch); /* on failure the peer ends */
    }
    free_ask(ask);
}

/* Which operation, on which stream? Or why not: a text. */
static const char *understand(struct ask *ask)
{
    const struct yd_view *view = &ask->query->view;
    if (view->count != 1 || view->records[0].type != YD_MAP) return "a query is one ROW with a map";
    struct yd_str op = text(ask, "op"), stream = text(ask, "stream");
    for (size_t i = 0; i < YD_COUNT(ops); i++) {
        if (!yd_str_eq(op, yd_str_of(ops[i].op))) continue;
        ask->op = ops[i].op;
        ask->act = ops[i].act;
        ask->reach = ops[i].reach;
        if (ask->reach == OF_ALL) return NULL;
        ask->plain = stream.size && !memchr(stream.data, '/', stream.size);
        if (!stream.size || !yd__native_stream_name(stream, ask->stream))
            return "`stream` is wanted: NAME or NAME/PARTITION";
        (void)snprintf(ask->name, sizeof ask->name, "%.*s", (int)strcspn(ask->stream, "/"), ask->stream);
        if (snprintf(ask->dir, sizeof ask->dir, "%s/streams/%s", ask->job.native->data, ask->stream) >=
            (int)sizeof ask->dir)
            return "the path is too long";
        return NULL;
    }
    return "no such op: streams, stat, create, cursors, cursor_save, cursor_remove, producer, fence; of an `element`: "
           "see the op `elements`";
}

/* ---- questions to elements ---- */

static bool is_of_element(const struct ask *ask)
{
    const struct yd_view *view = &ask->query->view;
    if (!ask->job.native->options.ask || view->count != 1 || view->records[0].type != YD_MAP) return false;
    return text(ask, "element").size || yd_str_eq(text(ask, "op"), YD_STR("elements"));
}

static int pass_on(struct yd__native_peer *peer, struct ask *ask)
{
    struct yd_native *native = peer->native;
    struct yd__native_question *question = calloc(1, sizeof *question);
    if (!question) return YD_ENOMEM;
    *question = (struct yd__native_question){native->questions, peer, ++native->question_last, ask->correlation};
    native->questions = question;
    peer->query_count++;
    int error = native->options.ask(native->options.arg, question->number, yd_batch_ref(ask->query));
    if (!error) return 0;
    native->questions = question->next;
    peer->query_count--;
    free(question);
    return error;
}

void yd__native_questions_drop(struct yd__native_peer *peer)
{
    struct yd__native_question **at = &peer->native->questions;
    while (*at) {
        struct yd__native_question *question = *at;
        if (question->peer != peer) {
            at = &question->next;
            continue;
        }
        *at = question->next;
        free(question);
    }
}

void yd_native_answer(struct yd_native *native, uint64_t number, struct yd_batch *batch, bool more, int error,
                      const char *text)
{
    struct yd__native_question **at = &native->questions;
    while (*at && (*at)->number != number) at = &(*at)->next;
    struct yd__native_question *question = *at;
    if (!question) return;
    struct yd__native_peer *peer = question->peer;
    uint64_t correlation = question->correlation;
    if (batch && yd_stream_backlog(peer->stream) > UNREAD_MAX) {
        more = false; /* what still comes is for nobody */
        error = YD_EBUSY;
        text = "the answer is not read: it was given up";
    }
    if (!more) {
        *at = question->next;
        free(question);
        peer->query_count--;
    }
    yd__native_peer_pin(peer);
    unsigned flags = more ? YD_FRAME_MORE : 0;
    if (error)
        yd__native_refuse(peer, correlation, &(struct yd_msg_refused){.error = error}, "%s",
                          text && *text ? text : yd_error_text(error));
    else if (!batch)
        yd__native_send(peer, YD_MSG_REPLY, flags, correlation, NULL, 0, (struct yd_str){0});
    else if (yd__native_begin(peer, YD_MSG_REPLY, flags, correlation, NULL, 0, batch->header.size) == 0)
        (void)yd__native_write_batch(peer, batch); /* on failure the peer ends */
    yd__native_peer_unpin(peer);
}

int yd__native_query(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    struct yd_native *native = peer->native;
    const char *why = "out of memory";
    int error = YD_ENOMEM;
    struct ask *ask = calloc(1, sizeof *ask);
    bool of_element = false;
    if (ask) {
        ask->job = (struct yd__native_job){.native = native, .work = work, .done = done};
        ask->correlation = frame->head.correlation;
        error = yd_batch_from_bytes(frame->body, frame->size, &ask->query);
        of_element = !error && is_of_element(ask);
        why = error ? "a query is one batch, and this is none" : of_element ? NULL : understand(ask);
        if (why && !error) error = YD_EINVAL;
    }
    if (!error && peer->query_count >= QUERIES_MAX) {
        error = YD_EBUSY;
        why = "too many queries under way on one connection";
    }
    if (!error && of_element) {
        error = pass_on(peer, ask);
        if (!error) {
            free_ask(ask);
            return 0;
        }
    }
    if (!error) error = yd__native_submit(native, native->lane, peer, &ask->job);
    if (!error) {
        peer->query_count++;
        return 0;
    }
    yd__native_refuse(peer, frame->head.correlation,
                      &(struct yd_msg_refused){.error = error, .retry_after_ms = error == YD_EBUSY ? 100 : 0}, "%s",
                      why ? why : yd_error_text(error));
    if (ask) free_ask(ask);
    return 0;
}
