/* client/frame.c: frames on their way out, what was asked and waits for its answer, and bodies taken apart.
 *
 * Requests are numbered one after the other, so the one of an answer is found by its place in a ring; the front of the
 * ring is the oldest that still waits. Nothing of a body is believed before its size was compared. */
#include "client/internal.h"

char *yd__frame_put(struct yd_client *client, uint16_t type, uint64_t correlation, const struct yd__part *parts,
                    unsigned part_count, size_t more)
{
    static char none[1];
    size_t size = 0;
    for (unsigned i = 0; i < part_count; i++) size += parts[i].size;
    size_t padded = YD_ALIGN_UP(size, 8);
    struct yd_frame frame = {
        .size = (uint32_t)(sizeof frame + padded + more), .type = type, .correlation = correlation};
    char *to = yd_buf_reserve(&client->out, frame.size);
    if (!to) return NULL;
    memcpy(to, &frame, sizeof frame);
    to += sizeof frame;
    for (unsigned i = 0; i < part_count; i++) {
        if (parts[i].size) memcpy(to, parts[i].data, parts[i].size);
        to += parts[i].size;
    }
    memset(to, 0, padded - size);
    client->out.size += frame.size;
    return more ? to + (padded - size) : none;
}

int yd__request_add(struct yd_client *client, const struct yd__request *request, uint64_t *ret_correlation)
{
    uint64_t count = client->request_end - client->request_first;
    uint32_t capacity = client->requests ? client->requests_mask + 1 : 0;
    if (count == capacity) {
        uint32_t larger = capacity ? capacity * 2 : 64;
        struct yd__request *ring = yd_alloc_get(client->alloc, larger * sizeof *ring);
        if (!ring) return YD_ENOMEM;
        for (uint64_t i = client->request_first; i != client->request_end; i++)
            ring[i & (larger - 1)] = client->requests[i & client->requests_mask];
        yd_alloc_put(client->alloc, client->requests, capacity * sizeof *ring);
        client->requests = ring;
        client->requests_mask = larger - 1;
    }
    client->requests[client->request_end & client->requests_mask] = *request;
    *ret_correlation = client->request_end++;
    return 0;
}

struct yd__request *yd__request_find(struct yd_client *client, uint64_t correlation)
{
    if (correlation < client->request_first || correlation >= client->request_end) return NULL;
    struct yd__request *request = &client->requests[correlation & client->requests_mask];
    return request->kind == YD__ANSWERED ? NULL : request;
}

void yd__request_done(struct yd_client *client, struct yd__request *request)
{
    request->kind = YD__ANSWERED;
    while (client->request_first != client->request_end &&
           client->requests[client->request_first & client->requests_mask].kind == YD__ANSWERED)
        client->request_first++;
}

int yd__body_take(struct yd_str body, void *to, size_t size, struct yd_str *ret_rest)
{
    if (body.size < size) return YD_EFORMAT;
    memcpy(to, body.data, size);
    *ret_rest = (struct yd_str){body.data + size, body.size - size};
    return 0;
}

int yd__body_text(struct yd_str *rest, size_t size, struct yd_str *ret_text)
{
    if (size > YD_PROTOCOL_TEXT_MAX || rest->size < size) return YD_EFORMAT;
    *ret_text = (struct yd_str){rest->data, size};
    rest->data += size;
    rest->size -= size;
    return 0;
}

void yd__body_align(struct yd_str body, struct yd_str *rest)
{
    size_t at = YD_ALIGN_UP(body.size - rest->size, 8);
    at = YD_MIN(at, body.size);
    *rest = (struct yd_str){body.data + at, body.size - at};
}
