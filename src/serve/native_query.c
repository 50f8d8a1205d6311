/* serve/native_query.c: QUERY. */
#include "serve/native_internal.h"

int yd__native_query(struct yd__native_peer *peer, const struct yd__native_frame *frame)
{
    yd__native_refuse(peer, frame->head.correlation, &(struct yd_msg_refused){.error = YD_ENOTSUP}, "not asked here");
    return 0;
}
