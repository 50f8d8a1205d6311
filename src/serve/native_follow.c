/* serve/native_follow.c: followers of a stream: FOLLOW, FOLLOWED, FENCE. */
#include "serve/native_internal.h"

static int not_here(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_ENOTSUP},
                      "this server has no followers");
    return 0;
}

int yd__native_follow(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    return not_here(peer, frame);
}

int yd__native_followed(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    return not_here(peer, frame);
}

int yd__native_fence(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    return not_here(peer, frame);
}

void yd__native_follow_moved(struct yd__native_handle *handle, const struct yd_log_position *position)
{
    (void)handle;
    (void)position;
}

void yd__native_follow_close(struct yd__native_handle *handle)
{
    (void)handle;
}

void yd__native_fence_log(struct yd_log *log, uint32_t epoch)
{
    yd_log_fence(log, epoch);
}
