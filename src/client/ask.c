/* client/ask.c: questions: a ROW there, ROWs back, while the caller waits. One at a time. */
#include "client/internal.h"

void yd__call_end(struct yd_client *client, int error)
{
    struct yd__call *call = client->call;
    if (!call) return;
    call->done = true;
    call->error = error;
    client->call = NULL;
}

void yd__call_fill(struct yd_client *client)
{
    struct yd__call *call = client->call;
    uint64_t correlation;
    if (!call || call->sent) return;
    size_t size = call->query->header.size;
    if (size > client->frame_max - sizeof(struct yd_frame)) {
        yd__call_end(client, YD_ETOOBIG);
        return;
    }
    char *to = NULL;
    if (yd__request_add(client, &(struct yd__request){.kind = YD__QUERY}, &correlation) == 0)
        to = yd__frame_put(client, YD_MSG_QUERY, correlation, NULL, 0, size);
    if (!to) {
        client->out.failed = true;
        return;
    }
    yd_batch_to_bytes(call->query, to);
    call->sent = true;
}

int yd__call_reply(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    while (body.size) {
        struct yd_batch *batch;
        int error = yd_batch_from_bytes(body.data, body.size, &batch);
        if (error) return error == YD_EAGAIN ? YD_EFORMAT : error;
        body = (struct yd_str){body.data + batch->header.size, body.size - batch->header.size};
        struct yd__call *call = client->call; /* NULL: nobody waits any more */
        int stop = call && call->visit ? call->visit(call->arg, batch) : 0;
        yd_batch_unref(batch);
        if (stop) yd__call_end(client, stop);
    }
    if (!(frame->flags & YD_FRAME_MORE)) yd__call_end(client, 0);
    return 0;
}

int yd_client_query(struct yd_client *client, const struct yd_batch *query,
                    int (*visit)(void *arg, const struct yd_batch *reply), void *arg)
{
    struct yd__call call = {.query = query, .visit = visit, .arg = arg};
    if (client->running) return YD_EBUSY;
    if (client->fatal) return client->fatal;
    client->call = &call; // cppcheck-suppress autoVariables ; taken back below
    int error = yd__client_wait(client, &call.done, yd__client_by(client), "the answer took too long");
    if (client->call == &call) {
        client->call = NULL;
        /* Its answer may still come, and must not be taken for that of the next one. */
        if (call.sent) yd__connection_drop(client, YD_ECANCELED);
    }
    return error ? error : call.error;
}

static int one_row(const char *stream, const char *cursor, uint64_t seqno, struct yd_batch **ret_batch)
{
    struct yd_builder *builder;
    uint32_t name;
    int error = yd_builder_create(&(struct yd_builder_options){.size_max = 8192}, &builder);
    if (error) return error;
    error = yd_builder_name(builder, YD_STR("query"), &name);
    if (!error) error = yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP);
    if (!error) error = yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR("cursor_save"));
    if (!error) error = yd_builder_cell_bytes(builder, YD_STR("stream"), YD_TEXT, yd_str_of(stream));
    if (!error) error = yd_builder_cell_bytes(builder, YD_STR("cursor"), YD_TEXT, yd_str_of(cursor));
    if (!error) error = yd_builder_cell(builder, YD_STR("seqno"), YD_U64, (union yd_value){.u64 = seqno});
    if (!error) error = yd_builder_end(builder);
    if (!error) error = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return error;
}

int yd_subscription_save(struct yd_subscription *sub, const char *cursor, uint64_t seqno)
{
    struct yd_batch *query;
    if (!cursor || !*cursor) return yd__trouble(sub->client, YD_EINVAL, "a cursor has a name");
    int error = one_row(sub->stream->name, cursor, seqno, &query);
    if (error) return error;
    error = yd_client_query(sub->client, query, NULL, NULL);
    yd_batch_unref(query);
    return error;
}
