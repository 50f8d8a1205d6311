/* client/subscribe.c: subscriptions: what comes is checked, filtered, and given on; credit goes back as it is taken.
 *
 *   BATCHES ─▶ checked copy of each batch ─▶ what does not match is dropped ─▶ callback
 *                                                                          └▶ queue ─▶ yd_subscription_next
 *      CREDIT ◀─ half of it was taken ◀──────────────────────────────────────────┘
 *
 * `at` is the seqno to go on with: after a lost connection the subscription is asked for again from there, with the
 * epoch of its last batch, so that an end that was cut meanwhile is told as a gap. The queue never holds more than the
 * credit and one batch: a server that sends more breaks the protocol. */
#include <yarder/name.h>

#include "client/internal.h"

#define CREDIT_DEFAULT (UINT32_C(4) << 20)
#define BAD_MOST       3
#define GAPS_MOST      4096 /* that wait in a queue: they cost no credit */

static uint64_t correlation_of(const struct yd_subscription *sub)
{
    return YD__SUBSCRIPTION_BIT | (uint64_t)sub->generation << 32 | sub->slot;
}

/* ---- giving ---- */

static void count_taken(struct yd_subscription *sub, size_t cost)
{
    sub->taken += cost;
}

static int give(struct yd_subscription *sub, struct yd_received *received, size_t cost)
{
    struct yd_client *client = sub->client;
    if (sub->received) {
        count_taken(sub, cost);
        client->callbacks++;
        sub->received(sub->arg, received);
        return 0;
    }
    struct yd__item *item = yd_alloc_zero(client->alloc, sizeof *item);
    if (!item) {
        yd_batch_unref(received->batch);
        return YD_ENOMEM;
    }
    item->cost = cost;
    item->received = *received;
    if (received->gap.reason) strcpy(item->reason, received->gap.reason);
    *sub->items_end = item;
    sub->items_end = &item->next;
    sub->queued += cost;
    client->callbacks++;
    return 0;
}

void yd__subscription_end(struct yd_subscription *sub, int error)
{
    if (sub->state == YD__SUB_ENDED || sub->closed) return;
    sub->state = YD__SUB_ENDED;
    struct yd_received received = {.ended = true, .error = error, .next = sub->at};
    if (give(sub, &received, 0) < 0) sub->end_taken = true; /* without memory the end comes as YD_EEOF alone */
}

/* ---- what of a batch is wanted ---- */

static bool name_matches(const struct yd_subscription *sub, const struct yd_view *view, uint32_t name, uint8_t *known)
{
    if (known[name] == 0) known[name] = yd_pattern_match(sub->pattern, yd_view_name(view, name)) ? 2 : 1;
    return known[name] == 2;
}

/* Marks the records that match and counts them; stops when enough matched. *ret_end is behind the last one looked at.
 */
static uint32_t mark(struct yd_subscription *sub, const struct yd_batch *batch, uint8_t *keep, uint8_t *known,
                     uint32_t *ret_end)
{
    const struct yd_view *view = &batch->view;
    const uint64_t base = batch->header.base_seqno;
    const uint32_t kinds = sub->options.start.kinds ? sub->options.start.kinds : YD_KINDS_ALL;
    uint32_t kept = 0, i;
    for (i = 0; i < view->count && kept < sub->left; i++) {
        const struct yd_record *record = &view->records[i];
        if (base + i < sub->at) continue;
        if (base + i >= sub->options.until) break;
        if (!(kinds & YD_KIND_BIT(record->kind))) continue;
        if (sub->pattern && !name_matches(sub, view, record->name, known)) continue;
        keep[i] = 1;
        kept++;
    }
    *ret_end = i;
    return kept;
}

/* A batch of which all is wanted is given as it is. */
static bool all_wanted(const struct yd_subscription *sub, const struct yd_batch *batch)
{
    const struct yd_header *header = &batch->header;
    return !sub->pattern && header->base_seqno >= sub->at && header->base_seqno + header->count <= sub->options.until &&
           header->count <= sub->left &&
           (sub->options.start.kinds == 0 || (header->kinds & ~sub->options.start.kinds) == 0);
}

static bool side_by_side(const uint8_t *keep, uint32_t count, uint32_t kept, uint32_t *ret_first)
{
    uint32_t first = 0;
    while (first < count && !keep[first]) first++;
    *ret_first = first;
    for (uint32_t i = first; i < first + kept; i++)
        if (i >= count || !keep[i]) return false;
    return true;
}

/* Takes the batch's reference; NULL in *ret when nothing of it is wanted. *ret_end: the seqno to go on with. */
static int filter(struct yd_subscription *sub, struct yd_batch *batch, struct yd_batch **ret, uint64_t *ret_end)
{
    const struct yd_header *header = &batch->header;
    *ret = batch;
    *ret_end = header->base_seqno + header->count;
    if (all_wanted(sub, batch)) {
        if (sub->left != UINT64_MAX) sub->left -= header->count;
        return 0;
    }
    if (header->codec != YD_CODEC_NONE) return 0; /* nobody can look inside */
    struct yd_alloc *alloc = sub->client->alloc;
    size_t size = (size_t)header->count + header->names;
    uint8_t *keep = yd_alloc_zero(alloc, size);
    if (!keep) {
        yd_batch_unref(batch);
        return YD_ENOMEM;
    }
    uint32_t end, first;
    uint32_t kept = mark(sub, batch, keep, keep + header->count, &end);
    if (sub->left != UINT64_MAX && (sub->left -= kept) == 0) *ret_end = header->base_seqno + end;
    int error = 0;
    if (!sub->options.whole && kept < header->count) {
        *ret = NULL;
        if (kept && side_by_side(keep, header->count, kept, &first))
            error = yd_batch_slice(batch, first, kept, ret);
        else if (kept)
            error = yd_batch_select(batch, keep, ret);
        yd_batch_unref(batch);
    } else if (kept == 0) { /* whole, but nothing in it is meant */
        *ret = NULL;
        yd_batch_unref(batch);
    }
    yd_alloc_put(alloc, keep, size);
    return error;
}

/* ---- frames ---- */

static void cancel(struct yd_subscription *sub)
{
    if (sub->state != YD__SUB_ACTIVE) return;
    sub->state = YD__SUB_IDLE;
    (void)yd__frame_put(sub->client, YD_MSG_CANCEL, correlation_of(sub), NULL, 0, 0); /* out.failed tells */
}

static bool enough(const struct yd_subscription *sub)
{
    return sub->left == 0 || sub->at >= sub->options.until;
}

/* Damage on the way: the connection is made again, and what is damaged there too ends the subscription. */
static int damaged(struct yd_subscription *sub, int error)
{
    if (error == YD_ENOMEM) return error;
    if (++sub->bad >= BAD_MOST) yd__subscription_end(sub, YD_ECORRUPT);
    return yd__trouble(sub->client, error, "%s: a batch that cannot be: %s", sub->stream->name, yd_error_text(error));
}

static int take_batch(struct yd_subscription *sub, struct yd_batch *batch, size_t cost)
{
    uint64_t end, from = sub->at;
    sub->epoch = batch->header.epoch;
    int error = filter(sub, batch, &batch, &end);
    if (error) return error;
    sub->at = YD_MAX(sub->at, YD_MIN(end, sub->options.until));
    if (!batch) {
        count_taken(sub, cost);
        return 0;
    }
    return give(sub, &(struct yd_received){.batch = batch, .from = from, .next = sub->at}, cost);
}

static int take_batches(struct yd_subscription *sub, struct yd_str body)
{
    struct yd_msg_batches batches;
    struct yd_str rest;
    int error = yd__body_take(body, &batches, sizeof batches, &rest);
    if (error) return error;
    if (sub->options.notify) return YD_EFORMAT;
    if (sub->allowance <= 0 && rest.size)
        return yd__trouble(sub->client, YD_EFORMAT, "%s: the server sends more than it was allowed", sub->stream->name);
    sub->allowance -= (int64_t)body.size;
    count_taken(sub, sizeof batches);
    if (!sub->placed) sub->at = rest.size ? 0 : batches.next, sub->placed = true;
    while (rest.size && !sub->closed && sub->state == YD__SUB_ACTIVE) {
        struct yd_batch *batch;
        error = yd_batch_from_bytes(rest.data, rest.size, &batch);
        if (error) return damaged(sub, error == YD_EAGAIN ? YD_EFORMAT : error);
        size_t size = batch->header.size;
        uint64_t base = batch->header.base_seqno, end = base + batch->header.count;
        if (end > batches.next) {
            yd_batch_unref(batch);
            return damaged(sub, YD_EFORMAT);
        }
        if (sub->at == 0 && sub->options.start.from != YD_FROM_SEQNO) sub->at = base;
        rest = (struct yd_str){rest.data + size, rest.size - size};
        if ((error = take_batch(sub, batch, size))) return error;
        if (enough(sub)) break;
    }
    sub->bad = 0;
    if (sub->closed || sub->state != YD__SUB_ACTIVE) return 0;
    if (!enough(sub)) sub->at = YD_MAX(sub->at, YD_MIN(batches.next, sub->options.until));
    if (enough(sub)) {
        cancel(sub);
        yd__subscription_end(sub, 0);
    }
    return 0;
}

static int take_gap(struct yd_subscription *sub, struct yd_str body)
{
    struct yd_msg_gap gap;
    struct yd_str rest, reason;
    int error = yd__body_take(body, &gap, sizeof gap, &rest);
    if (!error) error = yd__body_text(&rest, gap.reason_size, &reason);
    if (error) return error;
    if (gap.from == gap.to || (sub->placed && gap.to > gap.from && gap.to <= sub->at)) return 0; /* nothing new */
    if (!sub->received && ++sub->gaps > GAPS_MOST) return YD_ETOOBIG;
    size_t size = YD_MIN(reason.size, sizeof sub->reason - 1);
    memcpy(sub->reason, reason.data, size);
    sub->reason[size] = 0;
    if (size == 0) strcpy(sub->reason, "unknown");
    sub->at = gap.to; /* "cut back" moves it back */
    sub->placed = true;
    return give(sub, &(struct yd_received){.gap = {gap.from, gap.to, sub->reason}, .next = sub->at}, 0);
}

static int take_position(struct yd_subscription *sub, struct yd_str body)
{
    struct yd_msg_position position;
    struct yd_str rest;
    int error = yd__body_take(body, &position, sizeof position, &rest);
    if (error) return error;
    struct yd_received received = {.position = true,
                                   .first = position.first,
                                   .written = position.written,
                                   .durable = position.durable,
                                   .replicated = position.replicated,
                                   .next = position.durable};
    /* Only the last one counts. */
    for (struct yd__item *item = sub->items; item; item = item->next)
        if (item->received.position) {
            item->received = received;
            return 0;
        }
    return give(sub, &received, 0);
}

static int take_end(struct yd_subscription *sub, struct yd_str body)
{
    struct yd_msg_end end;
    struct yd_str rest, text;
    int error = yd__body_take(body, &end, sizeof end, &rest);
    if (!error) error = yd__body_text(&rest, end.text_size, &text);
    if (error) return error;
    if (end.error)
        (void)yd__trouble(sub->client, end.error, "%s: %.*s%s(%s)", sub->stream->name, YD_STR_FMT(text),
                          text.size ? " " : "", yd_error_text(end.error));
    yd__subscription_end(sub, end.error);
    return 0;
}

static int take_refusal(struct yd_subscription *sub, struct yd_str body)
{
    struct yd_msg_refused why;
    struct yd_str rest, text;
    int error = yd__body_take(body, &why, sizeof why, &rest);
    if (!error) error = yd__body_text(&rest, why.text_size, &text);
    if (error || why.error >= 0) return error ? error : YD_EFORMAT;
    (void)yd__trouble(sub->client, why.error, "%s: %.*s%s(%s)", sub->stream->name, YD_STR_FMT(text),
                      text.size ? " " : "", yd_error_text(why.error));
    yd__subscription_end(sub, why.error);
    return 0;
}

int yd__subscription_frame(struct yd_client *client, const struct yd_frame *frame, struct yd_str body)
{
    uint32_t slot = (uint32_t)frame->correlation;
    if (!(frame->correlation & YD__SUBSCRIPTION_BIT)) return YD_EFORMAT;
    struct yd_subscription *sub = slot < client->slot_count ? client->slots[slot] : NULL;
    if (!sub || correlation_of(sub) != frame->correlation || sub->state != YD__SUB_ACTIVE || sub->closed)
        return 0; /* on its way while we cancelled */
    switch (frame->type) {
    case YD_MSG_BATCHES:
        return take_batches(sub, body);
    case YD_MSG_GAP:
        return take_gap(sub, body);
    case YD_MSG_POSITION:
        return take_position(sub, body);
    case YD_MSG_END:
        return take_end(sub, body);
    default:
        return take_refusal(sub, body);
    }
}

/* ---- asking for it ---- */

bool yd__subscription_ready(const struct yd_subscription *sub)
{
    if (sub->closed || sub->stream->state != YD__STREAM_OPEN) return false;
    if (sub->state == YD__SUB_IDLE) return sub->queued < sub->credit;
    return sub->state == YD__SUB_ACTIVE && sub->taken >= sub->credit / 2;
}

static void subscribe(struct yd_subscription *sub)
{
    const struct yd_subscribe_options *options = &sub->options;
    const char *cursor = sub->placed || !sub->cursor ? "" : sub->cursor, *names = sub->names ? sub->names : "";
    struct yd_msg_subscribe subscribe = {.handle = sub->stream->handle,
                                         .from = sub->placed ? YD_FROM_SEQNO : (uint8_t)options->start.from,
                                         .level = (uint8_t)options->start.level,
                                         .flags = (uint16_t)((options->notify ? YD_SUBSCRIBE_NOTIFY : 0) |
                                                             (options->stop ? YD_SUBSCRIBE_STOP : 0) |
                                                             (options->forgotten ? YD_SUBSCRIBE_ALL : 0)),
                                         .seqno = sub->placed ? sub->at : options->start.seqno,
                                         .time_ns = options->start.time_ns,
                                         .epoch = sub->placed ? sub->epoch : options->start.epoch,
                                         .kinds = options->start.kinds,
                                         .until = options->until,
                                         .count = sub->left,
                                         .credit = sub->credit - sub->queued,
                                         .interval_ms = options->interval_ms,
                                         .names_size = (uint16_t)strlen(names),
                                         .cursor_size = (uint16_t)strlen(cursor)};
    const struct yd__part parts[] = {
        {&subscribe, sizeof subscribe}, {names, subscribe.names_size}, {cursor, subscribe.cursor_size}};
    sub->generation = ++sub->client->generation & INT32_MAX;
    if (!yd__frame_put(sub->client, YD_MSG_SUBSCRIBE, correlation_of(sub), parts, 3, 0)) return;
    sub->state = YD__SUB_ACTIVE;
    sub->allowance = (int64_t)subscribe.credit;
    sub->taken = 0;
}

void yd__subscription_fill(struct yd_subscription *sub)
{
    if (!yd__subscription_ready(sub)) return;
    if (sub->state == YD__SUB_IDLE) {
        subscribe(sub);
        return;
    }
    struct yd_msg_credit credit = {sub->taken};
    const struct yd__part part = {&credit, sizeof credit};
    if (!yd__frame_put(sub->client, YD_MSG_CREDIT, correlation_of(sub), &part, 1, 0)) return;
    sub->allowance += (int64_t)sub->taken;
    sub->taken = 0;
}

void yd__subscription_lost(struct yd_subscription *sub)
{
    if (sub->state == YD__SUB_ACTIVE) sub->state = YD__SUB_IDLE;
    sub->taken = 0; /* the next one begins with what is free */
}

/* ---- life ---- */

static void free_items(struct yd_subscription *sub)
{
    while (sub->items) {
        struct yd__item *item = sub->items;
        sub->items = item->next;
        yd_batch_unref(item->received.batch);
        yd_alloc_put(sub->client->alloc, item, sizeof *item);
    }
    sub->items_end = &sub->items;
    sub->queued = 0;
}

static void destroy(struct yd_subscription *sub)
{
    struct yd_alloc *alloc = sub->client->alloc;
    free_items(sub);
    yd_pattern_destroy(sub->pattern);
    if (sub->names) yd_alloc_put(alloc, sub->names, strlen(sub->names) + 1);
    if (sub->cursor) yd_alloc_put(alloc, sub->cursor, strlen(sub->cursor) + 1);
    yd_alloc_put(alloc, sub, sizeof *sub);
}

void yd__subscriptions_bury(struct yd_client *client)
{
    for (struct yd_subscription **at = &client->subscriptions; *at;) {
        struct yd_subscription *sub = *at;
        if (!sub->closed) {
            at = &sub->next;
            continue;
        }
        *at = sub->next;
        client->slots[sub->slot] = NULL;
        destroy(sub);
    }
}

static int take_slot(struct yd_subscription *sub)
{
    struct yd_client *client = sub->client;
    uint32_t slot = 0, count = client->slot_count;
    while (slot < count && client->slots[slot]) slot++;
    if (slot == count) {
        uint32_t larger = count ? count * 2 : 8;
        void *slots = yd_alloc_resize(client->alloc, client->slots, count * sizeof *client->slots,
                                      larger * sizeof *client->slots);
        if (!slots) return YD_ENOMEM;
        client->slots = slots;
        memset(client->slots + count, 0, (larger - count) * sizeof *client->slots);
        client->slot_count = larger;
    }
    client->slots[slot] = sub;
    sub->slot = slot;
    return 0;
}

static int copy_text(struct yd_client *client, const char *text, char **ret)
{
    if (!text || !*text) return 0;
    size_t size = strlen(text);
    if (size > YD_PROTOCOL_TEXT_MAX) return yd__trouble(client, YD_ETOOBIG, "a text of %zu bytes", size);
    if (!(*ret = yd_alloc_get(client->alloc, size + 1))) return YD_ENOMEM;
    memcpy(*ret, text, size + 1);
    return 0;
}

int yd_client_subscribe(struct yd_client_stream *stream, const struct yd_subscribe_options *options,
                        void (*received)(void *arg, struct yd_received *what), void *arg,
                        struct yd_subscription **ret_subscription)
{
    static const struct yd_subscribe_options defaults;
    struct yd_client *client = stream->client;
    if (client->fatal) return client->fatal;
    struct yd_subscription *sub = yd_alloc_zero(client->alloc, sizeof *sub);
    if (!sub) return YD_ENOMEM;
    sub->client = client;
    sub->stream = stream;
    sub->options = options ? *options : defaults;
    sub->received = received;
    sub->arg = arg;
    sub->items_end = &sub->items;
    if (sub->options.until == 0) sub->options.until = UINT64_MAX;
    sub->left = sub->options.count ? sub->options.count : UINT64_MAX;
    sub->credit = sub->options.credit_bytes ? sub->options.credit_bytes : CREDIT_DEFAULT;
    if (sub->options.start.level == 0) sub->options.start.level = YD_ACK_DURABLE;
    if (sub->options.start.from == YD_FROM_SEQNO && !sub->options.cursor) {
        sub->placed = true;
        sub->at = sub->options.start.seqno;
        sub->epoch = sub->options.start.epoch;
    }
    int error = copy_text(client, sub->options.start.names, &sub->names);
    if (!error) error = copy_text(client, sub->options.cursor, &sub->cursor);
    if (!error && sub->names) {
        error = yd_pattern_compile(yd_str_of(sub->names), &sub->pattern);
        if (error) (void)yd__trouble(client, error, "'%s' is not a name pattern", sub->names);
    }
    if (!error) error = take_slot(sub);
    if (error) {
        destroy(sub);
        return error;
    }
    sub->next = client->subscriptions;
    client->subscriptions = sub;
    *ret_subscription = sub;
    return 0;
}

int yd_subscription_next(struct yd_subscription *sub, int64_t timeout_ns, struct yd_received *ret)
{
    struct yd_client *client = sub->client;
    if (sub->received) return YD_EINVAL;
    if (client->running) return YD_EBUSY;
    client->now = client->net->ops->mono(client->net);
    int64_t deadline = timeout_ns < 0 ? INT64_MAX : client->now + timeout_ns;
    struct yd__item *item;
    while (!(item = sub->items)) {
        if (sub->end_taken || sub->state == YD__SUB_ENDED) return YD_EEOF;
        int ran = yd_client_run(client, deadline == INT64_MAX ? -1 : YD_MAX(deadline - client->now, INT64_C(0)));
        if (sub->items) continue;
        if (ran < 0) return ran;
        if (client->now >= deadline) return timeout_ns == 0 ? YD_EAGAIN : YD_ETIMEOUT;
    }
    sub->items = item->next;
    if (!sub->items) sub->items_end = &sub->items;
    sub->queued -= item->cost;
    count_taken(sub, item->cost);
    *ret = item->received;
    if (ret->gap.reason) {
        sub->gaps--;
        memcpy(sub->reason, item->reason, sizeof sub->reason);
        ret->gap.reason = sub->reason;
    }
    if (ret->ended) sub->end_taken = true;
    yd_alloc_put(client->alloc, item, sizeof *item);
    return 0;
}

void yd_subscription_close(struct yd_subscription *sub)
{
    if (!sub) return;
    struct yd_client *client = sub->client;
    cancel(sub);
    sub->closed = true;
    if (!client->running) yd__subscriptions_bury(client);
}
