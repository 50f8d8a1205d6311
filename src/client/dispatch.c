/* client/dispatch.c: what comes from the server, to whom it belongs. Answers nobody waits for end the connection. */
#include "client/internal.h"

#define PING_MOST 65536

static int take_refused(struct yd_str body, struct yd_msg_refused *ret, struct yd_str *ret_text)
{
    struct yd_str rest;
    int error = yd__body_take(body, ret, sizeof *ret, &rest);
    if (!error) error = yd__body_text(&rest, ret->text_size, ret_text);
    if (!error && (ret->error >= 0 || ret->error < -1000)) error = YD_EFORMAT;
    return error;
}

static int refused(struct yd_client *client, struct yd__request *request, struct yd_str body)
{
    struct yd_msg_refused why;
    struct yd_str text;
    int error = take_refused(body, &why, &text);
    if (error) return error;
    struct yd__request copy = *request;
    yd__request_done(client, request);
    (void)yd__trouble(client, why.error, "%s: %.*s%s(%s)", client->address, YD_STR_FMT(text), text.size ? " " : "",
                      yd_error_text(why.error));
    switch (copy.kind) {
    case YD__OPEN:
        yd__stream_refused(copy.stream, why.error, why.retry_after_ms);
        return 0;
    case YD__APPEND:
        yd__append_refused(copy.stream, &copy, &why);
        return 0;
    case YD__QUERY:
        yd__call_end(client, why.error);
        return 0;
    case YD__ANSWERED:
    case YD__PING:
        break;
    }
    return 0;
}

/* Before WELCOME nothing else may come but why there is none. */
static int greeting(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    struct yd_msg_refused why;
    struct yd_str text;
    if (frame->type == YD_MSG_WELCOME) return yd__connection_welcomed(client, body);
    if (frame->type != YD_MSG_REFUSED && frame->type != YD_MSG_GOODBYE) return YD_EFORMAT;
    int error = take_refused(body, &why, &text);
    if (error) return error;
    return yd__trouble(client, why.error, "%s: the server refused us: %.*s%s(%s)", client->address, YD_STR_FMT(text),
                       text.size ? " " : "", yd_error_text(why.error));
}

static int goodbye(struct yd_client *client, struct yd_str body)
{
    struct yd_msg_refused why = {0};
    struct yd_str text = {0};
    int error = take_refused(body, &why, &text);
    if (error) why.error = YD_ECLOSED, text = YD_STR("");
    return yd__trouble(client, why.error, "%s: the server says goodbye: %.*s%s(%s)", client->address, YD_STR_FMT(text),
                       text.size ? " " : "", yd_error_text(why.error));
}

static int ping(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    if (body.size > PING_MOST || client->out.size - client->out_at > 16 * YD__OUT_TARGET) return YD_ETOOBIG;
    const struct yd__part part = {body.data, body.size};
    return yd__frame_put(client, YD_MSG_PONG, frame->correlation, &part, 1, 0) ? 0 : YD_ENOMEM;
}

static int answer(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    struct yd__request *request = yd__request_find(client, frame->correlation);
    if (!request) return yd__trouble(client, YD_EFORMAT, "%s: an answer to what was not asked", client->address);
    if (frame->type == YD_MSG_REFUSED) return refused(client, request, body);
    struct yd__request copy = *request;
    if (frame->type == YD_MSG_OPENED && copy.kind == YD__OPEN) {
        yd__request_done(client, request);
        return yd__stream_opened(copy.stream, body);
    }
    if (frame->type == YD_MSG_APPENDED && copy.kind == YD__APPEND) {
        struct yd_msg_appended appended;
        struct yd_str rest;
        yd__request_done(client, request);
        int error = yd__body_take(body, &appended, sizeof appended, &rest);
        return error ? error : yd__append_done(copy.stream, &copy, &appended);
    }
    if (frame->type == YD_MSG_REPLY && copy.kind == YD__QUERY) {
        if (!(frame->flags & YD_FRAME_MORE)) yd__request_done(client, request);
        return yd__call_reply(client, frame, body);
    }
    if (frame->type == YD_MSG_PONG && copy.kind == YD__PING) {
        yd__request_done(client, request);
        return 0;
    }
    return yd__trouble(client, YD_EFORMAT, "%s: an answer of the wrong kind (%u)", client->address, frame->type);
}

int yd__client_frame(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    if (client->state != YD__READY) return greeting(client, frame, body);
    switch (frame->type) {
    case YD_MSG_GOODBYE:
        return goodbye(client, body);
    case YD_MSG_PING:
        return ping(client, frame, body);
    case YD_MSG_BATCHES:
    case YD_MSG_GAP:
    case YD_MSG_POSITION:
    case YD_MSG_END:
        return yd__subscription_frame(client, frame, body);
    case YD_MSG_REFUSED:
        if (frame->correlation & YD__SUBSCRIPTION_BIT) return yd__subscription_frame(client, frame, body);
        return answer(client, frame, body);
    case YD_MSG_OPENED:
    case YD_MSG_APPENDED:
    case YD_MSG_REPLY:
    case YD_MSG_PONG:
        return answer(client, frame, body);
    default:
        return yd__trouble(client, YD_EFORMAT, "%s: a frame of unknown type %u", client->address, frame->type);
    }
}
