/* Packets of collectd: see collectd_packets.h.
 *
 * Where the sources are silent:
 * - A text part ends in one NUL and has no other; instances may be empty, and empty ones make no tag.
 * - Parts of unknown types are skipped: later versions of the protocol may have them.
 * - A values part has exactly its values; its codes say how they are read, types.db only how they are called.
 * - What is in an encrypted part begins with nothing said; in it, neither signatures nor encryption are taken. */
#include "elements/collectd_packets.h"

#include <math.h>

#include "elements/lines.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)64 << 20)
#define TEXT_MAX    255 /* of host, plugin and the like; collectd itself takes 127 */
#define PACKET_MAX  65535

const char *const yd_collectd_reasons[] = {
#define YD_COLLECTD_TEXT(name, text) text,
    YD_COLLECTD_REASONS(YD_COLLECTD_TEXT)
#undef YD_COLLECTD_TEXT
        NULL};

enum part {
    PART_HOST = 0x0000,
    PART_TIME = 0x0001,
    PART_PLUGIN = 0x0002,
    PART_PLUGIN_INSTANCE = 0x0003,
    PART_TYPE = 0x0004,
    PART_TYPE_INSTANCE = 0x0005,
    PART_VALUES = 0x0006,
    PART_TIME_HR = 0x0008,
    PART_MESSAGE = 0x0100,
    PART_SEVERITY = 0x0101,
    PART_SIGNATURE = 0x0200,
    PART_ENCRYPTION = 0x0210,
};
enum code { CODE_COUNTER, CODE_GAUGE, CODE_DERIVE, CODE_ABSOLUTE };
enum said { HOST, PLUGIN, PLUGIN_INSTANCE, TYPE, TYPE_INSTANCE, SAID_COUNT };

/* What stays from part to part. */
struct context {
    struct yd_str said[SAID_COUNT];
    bool timed;
    int64_t time_ns, now_ns;
    uint64_t severity;
    enum yd_collectd_trust trust;
    char key[SAID_COUNT * (TEXT_MAX + 1)]; /* said, each ended by a NUL */
    size_t key_size;                       /* 0: to be made again */
};

struct yd_collectd {
    struct yd_collectd_options options;
    struct yd_spellings spellings;
    char plain[PACKET_MAX]; /* a part, decrypted */
};

static int refuse(enum yd_collectd_reason reason)
{
    return -1 - (int)reason;
}

static void reject(struct yd_collectd *collectd, int refused, uint64_t records, struct yd_str sample)
{
    collectd->options.sink.reject(collectd->options.sink.arg, (enum yd_collectd_reason)(-1 - refused), records, sample);
}

/* ---- names ---- */

/* key: the five texts, each ended by a NUL. second: a source's name, or a NUL and a severity. */
static int canonical(void *arg, struct yd_str key, struct yd_str second, char *to, size_t *ret_size)
{
    static const char *const keys[SAID_COUNT] = {"host", NULL, "plugin_instance", NULL, "type_instance"};
    char metric[3 * TEXT_MAX + 16];
    struct yd_str said[SAID_COUNT], plugin, type;
    struct yd_tag tags[SAID_COUNT];
    size_t count = 0, size = 0;
    bool message = second.size && second.data[0] == 0;
    (void)arg;
    for (unsigned i = 0; i < SAID_COUNT; i++) {
        said[i] = yd_str_of(key.data);
        key.data += said[i].size + 1;
        if (keys[i]) tags[count++] = (struct yd_tag){yd_str_of(keys[i]), said[i]};
    }
    plugin = said[PLUGIN], type = said[TYPE];
    memcpy(metric, plugin.data, size = plugin.size);
    if (type.size && !yd_str_eq(plugin, type)) {
        if (size) metric[size++] = '.';
        memcpy(metric + size, type.data, type.size);
        size += type.size;
    }
    if (message) {
        tags[count++] = (struct yd_tag){YD_STR("severity"), {second.data + 1, second.size - 1}};
        if (!size) memcpy(metric, "notification", size = 12);
    } else if (!yd_str_eq(second, YD_STR("value"))) {
        if (second.size > TEXT_MAX) return refuse(YD_COLLECTD_BAD_NAME);
        metric[size++] = '.';
        memcpy(metric + size, second.data, second.size);
        size += second.size;
    }
    int r = yd__line_name((struct yd_str){metric, size}, tags, count, to, ret_size);
    if (r == 0) return 0;
    return refuse(r == yd__line_reason(YD_LINE_NOT_UTF8) ? YD_COLLECTD_NOT_UTF8 : YD_COLLECTD_BAD_NAME);
}

static struct yd_str key_of(struct context *context)
{
    if (!context->key_size) {
        char *to = context->key;
        for (unsigned i = 0; i < SAID_COUNT; i++) {
            if (context->said[i].size) memcpy(to, context->said[i].data, context->said[i].size);
            to += context->said[i].size;
            *to++ = 0;
        }
        context->key_size = (size_t)(to - context->key);
    }
    return (struct yd_str){context->key, context->key_size};
}

/* ---- records ---- */

void yd_collectd_origin(struct yd_collectd *collectd, struct yd_str peer)
{
    yd_builder_origin(collectd->spellings.builder, peer);
}

void yd_collectd_flush(struct yd_collectd *collectd)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(collectd->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&collectd->spellings, &batch) == 0)
        collectd->options.sink.batch(collectd->options.sink.arg, batch);
    else
        reject(collectd, refuse(YD_COLLECTD_NO_MEMORY), records, YD_STR(""));
}

struct value {
    enum yd_kind kind;
    enum yd_type type;
    union yd_value number;
    struct yd_str text; /* TEXT */
};

static int add_once(struct yd_collectd *collectd, struct context *context, struct yd_str second,
                    const struct value *value, int *ret_refused)
{
    struct yd_spellings *spellings = &collectd->spellings;
    struct yd_str key = key_of(context);
    uint32_t index;
    uint64_t hash = yd_raw_names_hash(&spellings->names, key, second);
    int64_t time_ns = context->timed ? context->time_ns : context->now_ns;
    int r = yd_spellings_name(spellings, key, second, hash, &index, ret_refused);
    if (r < 0 || *ret_refused) return r;
    if (value->type == YD_TEXT)
        return yd_builder_add_bytes(spellings->builder, time_ns, index, value->kind, YD_TEXT, 0, value->text);
    return yd_builder_add(spellings->builder, time_ns, index, value->kind, value->type, 0, value->number);
}

static void add(struct yd_collectd *collectd, struct context *context, struct yd_str second, const struct value *value)
{
    int refused = 0;
    int r = add_once(collectd, context, second, value, &refused);
    if (r == YD_EFULL) {
        yd_collectd_flush(collectd);
        r = add_once(collectd, context, second, value, &refused);
    }
    if (!refused && r < 0)
        refused = refuse(r == YD_EFORMAT   ? YD_COLLECTD_NOT_UTF8
                         : r == YD_ETOOBIG ? YD_COLLECTD_BAD_NAME
                         : r == YD_EINVAL  ? YD_COLLECTD_BAD_TIME
                                           : YD_COLLECTD_NO_MEMORY);
    if (refused) reject(collectd, refused, 1, key_of(context));
}

/* ---- parts ---- */

static uint64_t big_endian(const char *from, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) number = number << 8 | (unsigned char)from[i];
    return number;
}

static uint64_t little_endian(const char *from)
{
    uint64_t number = 0;
    for (size_t i = 8; i-- > 0;) number = number << 8 | (unsigned char)from[i];
    return number;
}

static int take_text(struct yd_str body, size_t max, struct yd_str *ret_text)
{
    if (body.size == 0 || body.size - 1 > max || memchr(body.data, 0, body.size) != body.data + body.size - 1)
        return refuse(YD_COLLECTD_BAD_PART);
    *ret_text = (struct yd_str){body.data, body.size - 1};
    return 0;
}

static int take_said(struct context *context, enum said what, struct yd_str body)
{
    context->key_size = 0;
    return take_text(body, TEXT_MAX, &context->said[what]);
}

/* A time beyond 2262 would make records of another time: what follows is not trusted. 0: now. */
static int take_time(struct context *context, struct yd_str body, bool high)
{
    if (body.size != 8) return refuse(YD_COLLECTD_BAD_PART);
    uint64_t time = big_endian(body.data, 8), seconds = high ? time >> 30 : time;
    uint64_t rest = high ? ((time & ((UINT64_C(1) << 30) - 1)) * (uint64_t)YD_NS_PER_S) >> 30 : 0;
    if (seconds >= (uint64_t)(INT64_MAX / YD_NS_PER_S)) return refuse(YD_COLLECTD_BAD_TIME);
    context->timed = time != 0;
    context->time_ns = (int64_t)(seconds * (uint64_t)YD_NS_PER_S + rest);
    return 0;
}

static bool take_value(enum code code, const char *from, struct value *value)
{
    switch (code) {
    case CODE_GAUGE:
        *value = (struct value){.kind = YD_SAMPLE, .type = YD_F64, .number.bits = little_endian(from)};
        return isfinite(value->number.f64);
    case CODE_DERIVE:
        *value = (struct value){.kind = YD_DELTA, .type = YD_I64, .number.bits = big_endian(from, 8)};
        return true;
    case CODE_ABSOLUTE:
        *value = (struct value){.kind = YD_TALLY, .type = YD_U64, .number.bits = big_endian(from, 8)};
        return true;
    default:
        *value = (struct value){.kind = YD_DELTA, .type = YD_U64, .number.bits = big_endian(from, 8)};
        return true;
    }
}

static int take_values(struct yd_collectd *collectd, struct context *context, struct yd_str body)
{
    const struct yd_str *sources;
    size_t count = body.size >= 2 ? (size_t)big_endian(body.data, 2) : 0;
    if (count == 0 || body.size != 2 + 9 * count) return refuse(YD_COLLECTD_BAD_PART);
    const char *codes = body.data + 2, *numbers = codes + count;
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)codes[i] > CODE_ABSOLUTE) return refuse(YD_COLLECTD_BAD_PART);
    if (context->trust < collectd->options.trust) {
        reject(collectd, refuse(YD_COLLECTD_NOT_SIGNED), count, key_of(context));
        return 0;
    }
    size_t known = yd_collectd_types_find(collectd->options.types, context->said[TYPE], &sources);
    if (known != count) {
        reject(collectd, refuse(known ? YD_COLLECTD_OTHER_TYPE : YD_COLLECTD_UNKNOWN_TYPE), count, key_of(context));
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct value value;
        if (take_value((enum code)codes[i], numbers + 8 * i, &value))
            add(collectd, context, sources[i], &value);
        else
            reject(collectd, refuse(YD_COLLECTD_BAD_VALUE), 1, key_of(context));
    }
    return 0;
}

static int take_message(struct yd_collectd *collectd, struct context *context, struct yd_str body)
{
    struct value value = {.kind = YD_EVENT, .type = YD_TEXT};
    int r = take_text(body, PACKET_MAX, &value.text);
    if (r < 0) return r;
    struct yd_str severity = context->severity == 1   ? (struct yd_str){"\0failure", 8}
                             : context->severity == 2 ? (struct yd_str){"\0warning", 8}
                                                      : (struct yd_str){"\0okay", 5};
    if (context->trust < collectd->options.trust)
        reject(collectd, refuse(YD_COLLECTD_NOT_SIGNED), 1, value.text);
    else if (context->severity != 1 && context->severity != 2 && context->severity != 4)
        reject(collectd, refuse(YD_COLLECTD_BAD_SEVERITY), 1, value.text);
    else
        add(collectd, context, severity, &value);
    return 0;
}

static void take_parts(struct yd_collectd *collectd, struct context *context, struct yd_str packet);

static int take_encrypted(struct yd_collectd *collectd, struct context *context, struct yd_str body)
{
    struct context inner = {.now_ns = context->now_ns, .trust = YD_COLLECTD_ENCRYPTED};
    struct yd_str text;
    if (context->trust == YD_COLLECTD_ENCRYPTED) return refuse(YD_COLLECTD_BAD_PART); /* one in another */
    int r = yd__collectd_decrypt(collectd->options.users, body, collectd->plain, &text);
    if (r == 0) take_parts(collectd, &inner, text);
    return r;
}

static int take_signed(struct yd_collectd *collectd, struct context *context, struct yd_str body, struct yd_str behind)
{
    if (context->trust != YD_COLLECTD_PLAIN) return refuse(YD_COLLECTD_BAD_PART); /* a second one */
    int r = yd__collectd_verify(collectd->options.users, body, behind);
    if (r < 0) return r;
    /* What was said in front of it is not signed. */
    *context = (struct context){.now_ns = context->now_ns, .trust = YD_COLLECTD_SIGNED};
    return 0;
}

static int take_part(struct yd_collectd *collectd, struct context *context, unsigned type, struct yd_str body,
                     struct yd_str behind)
{
    switch (type) {
    case PART_HOST:
        return take_said(context, HOST, body);
    case PART_PLUGIN:
        return take_said(context, PLUGIN, body);
    case PART_PLUGIN_INSTANCE:
        return take_said(context, PLUGIN_INSTANCE, body);
    case PART_TYPE:
        return take_said(context, TYPE, body);
    case PART_TYPE_INSTANCE:
        return take_said(context, TYPE_INSTANCE, body);
    case PART_TIME:
        return take_time(context, body, false);
    case PART_TIME_HR:
        return take_time(context, body, true);
    case PART_VALUES:
        return take_values(collectd, context, body);
    case PART_MESSAGE:
        return take_message(collectd, context, body);
    case PART_SEVERITY:
        if (body.size != 8) return refuse(YD_COLLECTD_BAD_PART);
        context->severity = big_endian(body.data, 8);
        return 0;
    case PART_SIGNATURE:
        return take_signed(collectd, context, body, behind);
    case PART_ENCRYPTION:
        return take_encrypted(collectd, context, body);
    default:
        return 0; /* intervals, and what is not known here */
    }
}

static void take_parts(struct yd_collectd *collectd, struct context *context, struct yd_str packet)
{
    while (packet.size) {
        size_t size = packet.size >= 4 ? (size_t)big_endian(packet.data + 2, 2) : 0;
        int r = refuse(YD_COLLECTD_BAD_PART);
        if (size >= 4 && size <= packet.size)
            r = take_part(collectd, context, (unsigned)big_endian(packet.data, 2),
                          (struct yd_str){packet.data + 4, size - 4},
                          (struct yd_str){packet.data + size, packet.size - size});
        if (r < 0) {
            reject(collectd, r, 1, packet);
            return;
        }
        packet.data += size;
        packet.size -= size;
    }
}

void yd_collectd_packet(struct yd_collectd *collectd, struct yd_str packet, int64_t now_ns)
{
    struct context context = {.now_ns = now_ns};
    if (packet.size > PACKET_MAX)
        reject(collectd, refuse(YD_COLLECTD_BAD_PART), 1, packet);
    else
        take_parts(collectd, &context, packet);
}

/* ---- life ---- */

int yd_collectd_create(const struct yd_collectd_options *options, struct yd_collectd **ret_collectd)
{
    struct yd_collectd *collectd = yd_alloc_zero(options->alloc, sizeof *collectd);
    if (!collectd) return YD_ENOMEM;
    collectd->options = *options;
    int r = yd_spellings_init(&collectd->spellings, options->alloc,
                              options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                              options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, collectd, sizeof *collectd);
        return r;
    }
    collectd->spellings.canonical = canonical;
    *ret_collectd = collectd;
    return 0;
}

void yd_collectd_destroy(struct yd_collectd *collectd)
{
    if (!collectd) return;
    yd_spellings_fini(&collectd->spellings);
    yd_alloc_put(collectd->options.alloc, collectd, sizeof *collectd);
}
