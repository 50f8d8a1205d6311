/* TSDP: see tsdp_packets.h. A message is looked through to its last frame before anything of it is taken. */
#include "elements/tsdp_packets.h"

#include <math.h>

#include "base/text.h"
#include "elements/lines.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)64 << 20)
#define FLAG_ROLLED 0x80 /* of a heartbeat: the count began again */

const char *const yd_tsdp_reasons[] = {
#define YD_TSDP_TEXT(name, text) text,
    YD_TSDP_REASONS(YD_TSDP_TEXT)
#undef YD_TSDP_TEXT
        NULL};

enum opcode { HEARTBEAT, SUBMIT, BROADCAST, FORGET, REPLAY, SUBSCRIBE, OPCODE_COUNT };
enum payload { SAMPLE = 0x01, TALLY = 0x02, DELTA = 0x04, STATE = 0x08, EVENT = 0x10, FACT = 0x20 };
enum frame_type { UINT = 0, FLOAT = 1, STRING = 2, TSTAMP = 6, NIL = 7, NONE = 8 };

struct yd_tsdp {
    struct yd_tsdp_options options;
    struct yd_spellings spellings;
    int64_t now_ns;
};

struct frame {
    unsigned type; /* NONE: there is no more */
    struct yd_str data;
};

static int refuse(enum yd_tsdp_reason reason)
{
    return -1 - (int)reason;
}

/* ---- frames ---- */

static unsigned at16(struct yd_str bytes, size_t at)
{
    return (unsigned)(unsigned char)bytes.data[at] << 8 | (unsigned char)bytes.data[at + 1];
}

/* Its size with the header, 0: not whole yet, YD_ETOOBIG. */
static int64_t message_size(struct yd_str bytes)
{
    if (bytes.size >= 4 && (unsigned char)*bytes.data == (1 << 4 | REPLAY)) return 4; /* the one without frames */
    for (size_t at = 4; at + 2 <= bytes.size;) {
        unsigned head = at16(bytes, at);
        at += 2 + (head & 0xfff);
        if (at > YD_TSDP_MESSAGE_MAX) return YD_ETOOBIG;
        if (head & 0x8000) return at <= bytes.size ? (int64_t)at : 0;
    }
    return bytes.size >= YD_TSDP_MESSAGE_MAX ? YD_ETOOBIG : 0;
}

static struct frame take_frame(struct yd_str *rest)
{
    if (rest->size < 2) return (struct frame){.type = NONE};
    unsigned head = at16(*rest, 0);
    struct frame frame = {head >> 12 & 7, {rest->data + 2, head & 0xfff}};
    rest->data += 2 + frame.data.size;
    rest->size -= 2 + frame.data.size;
    return frame;
}

static uint64_t big_endian(struct yd_str data)
{
    uint64_t value = 0;
    for (size_t i = 0; i < data.size; i++) value = value << 8 | (unsigned char)data.data[i];
    return value;
}

static bool is_uint(struct frame frame)
{
    return frame.type == UINT && (frame.data.size == 2 || frame.data.size == 4 || frame.data.size == 8);
}

static int take_number(struct frame frame, enum yd_type *ret_type, union yd_value *ret)
{
    if (is_uint(frame)) {
        *ret_type = YD_U64;
        ret->u64 = big_endian(frame.data);
        return 0;
    }
    if (frame.type != FLOAT || (frame.data.size != 4 && frame.data.size != 8)) return refuse(YD_TSDP_BAD_FRAMES);
    *ret_type = YD_F64;
    ret->bits = big_endian(frame.data);
    if (frame.data.size == 4) {
        uint32_t bits = (uint32_t)ret->bits;
        float value;
        memcpy(&value, &bits, sizeof value);
        ret->f64 = (double)value;
    }
    return isfinite(ret->f64) ? 0 : refuse(YD_TSDP_NOT_FINITE);
}

static int take_time(struct frame frame, int64_t *ret_ns)
{
    if (frame.type != TSTAMP || frame.data.size != 8) return refuse(YD_TSDP_BAD_FRAMES);
    uint64_t ms = big_endian(frame.data);
    if (ms > INT64_MAX / YD_NS_PER_MS) return refuse(YD_TSDP_BAD_TIMESTAMP);
    *ret_ns = (int64_t)ms * YD_NS_PER_MS;
    return 0;
}

/* ---- names ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct yd_str trim(struct yd_str text)
{
    while (text.size && is_blank(*text.data)) text.data++, text.size--;
    while (text.size && is_blank(text.data[text.size - 1]) && (text.size < 2 || text.data[text.size - 2] != '\\'))
        text.size--;
    return text;
}

/* Up to the first c that is not escaped, or all. */
static size_t until(struct yd_str text, char c)
{
    size_t at = 0;
    while (at < text.size && text.data[at] != c) at += text.data[at] == '\\' ? 2 : 1;
    return YD_MIN(at, text.size);
}

/* Behind the metric, if there is one: before the first pair, parted from it by a blank. */
static size_t metric_size(struct yd_str text)
{
    size_t end = YD_MIN(until(text, '='), until(text, ','));
    struct yd_str head = trim((struct yd_str){text.data, end});
    size_t first = until(head, ' '), last = first;
    if (end == text.size) return text.size;    /* no pairs */
    for (size_t at = first; at < head.size;) { /* the last blank parts them */
        last = at;
        struct yd_str behind = {head.data + at + 1, head.size - at - 1};
        at += 1 + until(behind, ' ');
    }
    return first < head.size ? (size_t)(head.data - text.data) + last : 0;
}

static int unescaped(struct yd_str text, char *room, size_t *used, struct yd_str *ret)
{
    char *to = room + *used;
    size_t size = 0;
    text = trim(text);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '*') return refuse(YD_TSDP_BAD_NAME); /* a pattern is no name */
        if (text.data[i] == '\\' && i + 1 < text.size) i++;
        to[size++] = text.data[i];
    }
    *used += size;
    *ret = (struct yd_str){to, size};
    return 0;
}

static int canonical(void *arg, struct yd_str text, struct yd_str none, char *to, size_t *ret_size)
{
    struct yd_tsdp *tsdp = arg;
    struct yd_tag tags[YD_LINE_TAGS_MAX];
    struct yd_str metric = tsdp->options.metric;
    char room[YD_NAME_SIZE_MAX];
    size_t count = 0, used = 0;
    (void)none;
    if (text.size > sizeof room) return refuse(YD_TSDP_NAME_TOO_LONG);
    text = trim(text);
    if (text.size == 0) return refuse(YD_TSDP_BAD_NAME);
    size_t size = metric_size(text);
    int r = size ? unescaped((struct yd_str){text.data, size}, room, &used, &metric) : 0;
    struct yd_str rest = {text.data + size, text.size - size};
    while (r == 0 && rest.size) {
        size_t end = until(rest, ',');
        struct yd_str pair = {rest.data, end};
        size_t equals = until(pair, '=');
        struct yd_tag tag = {{NULL, 0}, YD_STR("true")}; /* a key alone */
        if (count == YD_COUNT(tags)) return refuse(YD_TSDP_NAME_TOO_LONG);
        r = unescaped((struct yd_str){pair.data, equals}, room, &used, &tag.key);
        if (r == 0 && equals < pair.size)
            r = unescaped((struct yd_str){pair.data + equals + 1, pair.size - equals - 1}, room, &used, &tag.value);
        if (r == 0 && tag.key.size == 0) r = refuse(YD_TSDP_BAD_NAME);
        tags[count++] = tag;
        end += end < rest.size;
        rest.data += end;
        rest.size -= end;
    }
    if (r < 0) return r;
    r = yd__line_name(metric, tags, count, to, ret_size);
    return r == 0                                        ? 0
           : r == yd__line_reason(YD_LINE_NOT_UTF8)      ? refuse(YD_TSDP_NOT_UTF8)
           : r == yd__line_reason(YD_LINE_DUPLICATE_TAG) ? refuse(YD_TSDP_DUPLICATE_KEY)
           : r == yd__line_reason(YD_LINE_NAME_TOO_LONG) ? refuse(YD_TSDP_NAME_TOO_LONG)
                                                         : refuse(YD_TSDP_BAD_NAME);
}

/* ---- records ---- */

void yd_tsdp_origin(struct yd_tsdp *tsdp, struct yd_str peer)
{
    yd_builder_origin(tsdp->spellings.builder, peer);
}

void yd_tsdp_flush(struct yd_tsdp *tsdp)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(tsdp->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&tsdp->spellings, &batch) == 0) {
        tsdp->options.sink.batch(tsdp->options.sink.arg, batch, records);
        return;
    }
    for (uint32_t i = 0; i < records; i++)
        tsdp->options.sink.reject(tsdp->options.sink.arg, YD_TSDP_NO_MEMORY, YD_STR(""));
}

struct record {
    enum yd_kind kind;
    enum yd_type type; /* TEXT: text */
    uint16_t flags;
    int64_t time_ns;
    struct yd_str name, text;
    union yd_value value;
};

static int add(struct yd_tsdp *tsdp, const struct record *record)
{
    struct yd_spellings *spellings = &tsdp->spellings;
    uint64_t hash = yd_raw_names_hash(&spellings->names, record->name, (struct yd_str){0});
    uint32_t index;
    int refused = 0;
    for (int try = 0;; try++) {
        int r = yd_spellings_name(spellings, record->name, (struct yd_str){0}, hash, &index, &refused);
        if (refused) return refused;
        if (r == 0 && record->type == YD_TEXT)
            r = yd_builder_add_bytes(spellings->builder, record->time_ns, index, record->kind, YD_TEXT, record->flags,
                                     record->text);
        else if (r == 0)
            r = yd_builder_add(spellings->builder, record->time_ns, index, record->kind, record->type, record->flags,
                               record->value);
        if (r == 0) return 0;
        if (r != YD_EFULL || try) return refuse(r == YD_ENOMEM ? YD_TSDP_NO_MEMORY : YD_TSDP_NAME_TOO_LONG);
        yd_tsdp_flush(tsdp);
    }
}

static int take_text(struct frame frame, struct record *record)
{
    record->type = YD_TEXT;
    record->text = frame.data;
    if (frame.type == NONE || (frame.type == NIL && frame.data.size == 0))
        record->text = YD_STR("");
    else if (frame.type != STRING)
        return refuse(YD_TSDP_BAD_FRAMES);
    return yd_text_utf8(record->text) ? 0 : refuse(YD_TSDP_NOT_UTF8);
}

/* Of one number, or for SAMPLE of each. Looked through first. */
static int take_numbers(struct yd_tsdp *tsdp, struct record *record, struct yd_str rest)
{
    struct yd_str again = rest;
    int r = 0;
    for (unsigned count = 0;; count++) {
        struct frame frame = take_frame(&rest);
        if (frame.type == NONE && count) break;
        if (count && record->kind != YD_SAMPLE) return refuse(YD_TSDP_BAD_FRAMES);
        r = take_number(frame, &record->type, &record->value);
        if (r < 0) return r;
    }
    while (r == 0 && again.size) {
        (void)take_number(take_frame(&again), &record->type, &record->value);
        r = add(tsdp, record);
    }
    return r;
}

static int take_tally(struct yd_tsdp *tsdp, struct record *record, struct yd_str rest)
{
    struct frame frame = take_frame(&rest);
    record->type = YD_U64;
    record->value.u64 = is_uint(frame) ? big_endian(frame.data) : 1;
    bool one = frame.type == NONE || (frame.type == NIL && frame.data.size == 0);
    if (rest.size || (!one && !is_uint(frame))) return refuse(YD_TSDP_BAD_FRAMES);
    return add(tsdp, record);
}

static int take_fact(struct yd_tsdp *tsdp, struct record *record, struct yd_str rest)
{
    struct frame frame = take_frame(&rest);
    if (rest.size || frame.type == NONE || frame.type == NIL) return refuse(YD_TSDP_BAD_FRAMES);
    int r = frame.type == STRING ? take_text(frame, record) : take_number(frame, &record->type, &record->value);
    return r < 0 ? r : add(tsdp, record);
}

static int take_submission(struct yd_tsdp *tsdp, unsigned flags, unsigned payload, struct yd_str rest)
{
    struct record record = {.time_ns = tsdp->now_ns};
    struct frame name = take_frame(&rest);
    int r = name.type == STRING ? 0 : refuse(YD_TSDP_BAD_FRAMES);
    record.name = name.data;
    record.kind = payload == SAMPLE  ? YD_SAMPLE
                  : payload == TALLY ? YD_TALLY
                  : payload == DELTA ? YD_DELTA
                  : payload == STATE ? YD_STATE
                  : payload == EVENT ? YD_EVENT
                  : payload == FACT  ? YD_FACT
                                     : YD_KIND_COUNT;
    if (record.kind == YD_KIND_COUNT) return refuse(YD_TSDP_BAD_PAYLOAD);
    if (r == 0 && payload != FACT) r = take_time(take_frame(&rest), &record.time_ns);
    if (r < 0) return r;
    if (payload == FACT) return take_fact(tsdp, &record, rest);
    if (payload == TALLY) return take_tally(tsdp, &record, rest);
    if (payload == SAMPLE || payload == DELTA) return take_numbers(tsdp, &record, rest);
    if (payload == STATE) {
        if (!is_uint(take_frame(&rest))) return refuse(YD_TSDP_BAD_FRAMES); /* how often: freshness is State's own */
        record.flags = flags & YD_RECORD_CODE_MASK;
    } else if (rest.size == 0) {
        return refuse(YD_TSDP_BAD_FRAMES);
    }
    r = take_text(take_frame(&rest), &record);
    if (r == 0 && rest.size) r = refuse(YD_TSDP_BAD_FRAMES);
    return r < 0 ? r : add(tsdp, &record);
}

static int take_heartbeat(struct yd_tsdp *tsdp, unsigned flags, struct yd_str rest)
{
    int64_t time_ns;
    int r = take_time(take_frame(&rest), &time_ns);
    struct frame sent = take_frame(&rest);
    if (r < 0) return r;
    if (!is_uint(sent) || rest.size) return refuse(YD_TSDP_BAD_FRAMES);
    tsdp->options.sink.heartbeat(tsdp->options.sink.arg, big_endian(sent.data), (flags & FLAG_ROLLED) != 0);
    return 0;
}

static int take_message(struct yd_tsdp *tsdp, struct yd_str message)
{
    unsigned first = (unsigned char)message.data[0], flags = (unsigned char)message.data[1];
    unsigned opcode = first & 15, payload = at16(message, 2);
    struct yd_str frames = {message.data + 4, message.size - 4};
    if (first >> 4 != 1) return refuse(YD_TSDP_BAD_VERSION);
    if (opcode >= OPCODE_COUNT) return refuse(YD_TSDP_BAD_OPCODE);
    if (opcode == HEARTBEAT) return payload ? refuse(YD_TSDP_BAD_PAYLOAD) : take_heartbeat(tsdp, flags, frames);
    return opcode == SUBMIT ? take_submission(tsdp, flags, payload, frames) : refuse(YD_TSDP_NOT_SERVED);
}

int yd_tsdp_take(struct yd_tsdp *tsdp, struct yd_str bytes, int64_t now_ns, size_t *ret_used)
{
    const struct yd_tsdp_sink *sink = &tsdp->options.sink;
    int64_t size = 0;
    tsdp->now_ns = now_ns;
    *ret_used = 0;
    while (bytes.size && (size = message_size(bytes)) > 0) {
        struct yd_str message = {bytes.data, (size_t)size};
        sink->message(sink->arg);
        int r = take_message(tsdp, message);
        if (r < 0) sink->reject(sink->arg, (enum yd_tsdp_reason)(-1 - r), message);
        *ret_used += message.size;
        bytes.data += message.size;
        bytes.size -= message.size;
    }
    if (bytes.size == 0 || size == 0) return 0;
    sink->reject(sink->arg, YD_TSDP_TOO_LARGE, bytes);
    return YD_ETOOBIG;
}

/* ---- life ---- */

int yd_tsdp_create(const struct yd_tsdp_options *options, struct yd_tsdp **ret_tsdp)
{
    struct yd_tsdp *tsdp = yd_alloc_zero(options->alloc, sizeof *tsdp);
    if (!tsdp) return YD_ENOMEM;
    tsdp->options = *options;
    int r =
        yd_spellings_init(&tsdp->spellings, options->alloc, options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                          options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, tsdp, sizeof *tsdp);
        return r;
    }
    tsdp->spellings.canonical = canonical;
    tsdp->spellings.arg = tsdp;
    *ret_tsdp = tsdp;
    return 0;
}

void yd_tsdp_destroy(struct yd_tsdp *tsdp)
{
    if (!tsdp) return;
    yd_spellings_fini(&tsdp->spellings);
    yd_alloc_put(tsdp->options.alloc, tsdp, sizeof *tsdp);
}
