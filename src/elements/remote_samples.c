/* Remote write: see remote_samples.h.
 *
 * The bytes of a series' labels are its spelling: they are looked up as they stand, and taken apart only when they are
 * new. Labels that do not stand together are put together first. Exemplars and metadata are passed over, as are fields
 * of later versions. */
#include "elements/remote_samples.h"

#include <math.h>

#include "elements/lines.h"

#define BATCH_BYTES  ((size_t)4 << 20)
#define STALE_MARKER UINT64_C(0x7ff0000000000002)

const char *const yd_remote_reasons[] = {
#define YD_REMOTE_TEXT(name, text) text,
    YD_REMOTE_REASONS(YD_REMOTE_TEXT)
#undef YD_REMOTE_TEXT
        NULL};

struct yd_remote {
    struct yd_remote_options options;
    struct yd_spellings spellings;
    struct yd_buf labels; /* of a series whose labels do not stand together */
};

static int refuse(enum yd_remote_reason reason)
{
    return -1 - (int)reason;
}

static void reject(struct yd_remote *remote, int refused, uint64_t records, struct yd_str sample)
{
    remote->options.sink.reject(remote->options.sink.arg, (enum yd_remote_reason)(-1 - refused), records, sample);
}

/* ---- protocol buffers ---- */

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value;      /* VARINT, FIXED64 */
    struct yd_str bytes; /* BYTES */
};

static bool take_varint(struct yd_str *from, uint64_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < 10 && i < from->size; i++) {
        unsigned char byte = (unsigned char)from->data[i];
        if (i == 9 && byte > 1) return false;
        *ret |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        from->data += i + 1;
        from->size -= i + 1;
        return true;
    }
    return false;
}

/* The field at the front of *from, taken off; false: malformed. */
static bool take_field(struct yd_str *from, struct field *field)
{
    uint64_t key, size;
    if (!take_varint(from, &key)) return false;
    *field = (struct field){.number = key >> 3, .wire = (unsigned)(key & 7)};
    switch (field->wire) {
    case VARINT:
        return field->number != 0 && take_varint(from, &field->value);
    case BYTES:
        if (!take_varint(from, &size)) return false;
        break;
    case FIXED64:
    case FIXED32:
        size = field->wire == FIXED64 ? 8 : 4;
        break;
    default:
        return false;
    }
    if (field->number == 0 || size > from->size) return false;
    field->bytes = (struct yd_str){from->data, (size_t)size};
    for (size_t i = field->wire == BYTES ? 0 : (size_t)size; i-- > 0;)
        field->value = field->value << 8 | (unsigned char)from->data[i];
    from->data += size;
    from->size -= (size_t)size;
    return true;
}

/* All fields are whole, and those that are known have the form they should have. depth 0: WriteRequest, 1: TimeSeries,
 * 2: Label, 3: Sample. */
static bool well_formed(struct yd_str message, unsigned depth)
{
    struct field field;
    while (message.size) {
        if (!take_field(&message, &field)) return false;
        bool known = depth == 0 ? field.number == 1 : field.number <= 2;
        unsigned wire = depth < 3 ? BYTES : field.number == 1 ? FIXED64 : VARINT;
        if (!known) continue;
        if (field.wire != wire) return false;
        if (depth < 2 && !well_formed(field.bytes, depth == 0 ? 1 : (unsigned)field.number + 1)) return false;
    }
    return true;
}

/* ---- names ---- */

static void take_label(struct yd_str message, struct yd_tag *tag)
{
    struct field field;
    *tag = (struct yd_tag){YD_STR(""), YD_STR("")};
    while (message.size && take_field(&message, &field)) {
        if (field.number == 1) tag->key = field.bytes;
        if (field.number == 2) tag->value = field.bytes;
    }
}

static int canonical(void *arg, struct yd_str labels, struct yd_str none, char *to, size_t *ret_size)
{
    struct yd_tag tags[YD_LINE_TAGS_MAX], tag;
    struct yd_str metric = {0};
    struct field field;
    size_t count = 0;
    (void)arg, (void)none;
    while (labels.size && take_field(&labels, &field)) {
        take_label(field.bytes, &tag);
        if (yd_str_eq(tag.key, YD_STR("__name__"))) {
            if (metric.size && !yd_str_eq(metric, tag.value)) return refuse(YD_REMOTE_DUPLICATE_LABEL);
            metric = tag.value;
        } else {
            if (count == YD_COUNT(tags)) return refuse(YD_REMOTE_BAD_NAME);
            tags[count++] = tag;
        }
    }
    if (!metric.size) return refuse(YD_REMOTE_NO_NAME);
    int r = yd__line_name(metric, tags, count, to, ret_size);
    if (r == 0) return 0;
    return refuse(r == yd__line_reason(YD_LINE_NOT_UTF8)        ? YD_REMOTE_NOT_UTF8
                  : r == yd__line_reason(YD_LINE_DUPLICATE_TAG) ? YD_REMOTE_DUPLICATE_LABEL
                                                                : YD_REMOTE_BAD_NAME);
}

/* Where the labels of a series stand, one behind the other. */
static int labels_of(struct yd_remote *remote, struct yd_str series, struct yd_str *ret_labels)
{
    struct yd_str rest = series;
    struct field field;
    bool together = true;
    *ret_labels = (struct yd_str){series.data, 0};
    yd_buf_clear(&remote->labels);
    while (rest.size) {
        const char *start = rest.data;
        (void)take_field(&rest, &field);
        size_t size = (size_t)(rest.data - start);
        if (field.number != 1) continue;
        if (together && ret_labels->size == 0) {
            *ret_labels = (struct yd_str){start, size};
        } else if (together && ret_labels->data + ret_labels->size == start) {
            ret_labels->size += size;
        } else {
            if (together) yd_buf_str(&remote->labels, *ret_labels);
            together = false;
            yd_buf_add(&remote->labels, start, size);
        }
    }
    if (remote->labels.failed) return refuse(YD_REMOTE_NO_MEMORY);
    if (!together) *ret_labels = yd_buf_view(&remote->labels);
    return 0;
}

/* ---- records ---- */

void yd_remote_origin(struct yd_remote *remote, struct yd_str peer)
{
    yd_builder_origin(remote->spellings.builder, peer);
}

void yd_remote_flush(struct yd_remote *remote)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(remote->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&remote->spellings, &batch) == 0)
        remote->options.sink.batch(remote->options.sink.arg, batch, records);
    else
        reject(remote, refuse(YD_REMOTE_NO_MEMORY), records, YD_STR(""));
}

static int add(struct yd_remote *remote, struct yd_str labels, uint64_t hash, int64_t time_ns, uint64_t bits)
{
    uint32_t index;
    int refused = 0;
    int r = yd_spellings_name(&remote->spellings, labels, (struct yd_str){0}, hash, &index, &refused);
    if (refused) return refused;
    if (r == 0)
        r = yd_builder_add(remote->spellings.builder, time_ns, index, YD_SAMPLE, YD_F64, 0,
                           (union yd_value){.bits = bits});
    return r == 0 ? 0 : r == YD_EFULL ? 1 : refuse(r == YD_ENOMEM ? YD_REMOTE_NO_MEMORY : YD_REMOTE_BAD_NAME);
}

static int take_sample(struct yd_remote *remote, struct yd_str labels, uint64_t hash, struct yd_str message)
{
    struct field field;
    union yd_value value = {.bits = 0}; /* what is not there is zero */
    int64_t time_ms = 0, time_ns;
    while (message.size && take_field(&message, &field)) {
        if (field.number == 1) value.bits = field.value;
        if (field.number == 2) time_ms = (int64_t)field.value;
    }
    if (value.bits == STALE_MARKER) return refuse(YD_REMOTE_STALE);
    if (!isfinite(value.f64)) return refuse(YD_REMOTE_NOT_FINITE);
    if (__builtin_mul_overflow(time_ms, YD_NS_PER_MS, &time_ns)) return refuse(YD_REMOTE_BAD_TIMESTAMP);
    int r = add(remote, labels, hash, time_ns, value.bits);
    if (r <= 0) return r;
    yd_remote_flush(remote);
    r = add(remote, labels, hash, time_ns, value.bits);
    return r > 0 ? refuse(YD_REMOTE_BAD_NAME) : r;
}

static void take_series(struct yd_remote *remote, struct yd_str series)
{
    struct yd_str labels = {0};
    struct field field;
    int unnamed = labels_of(remote, series, &labels);
    uint64_t hash = yd_raw_names_hash(&remote->spellings.names, labels, (struct yd_str){0});
    while (series.size && take_field(&series, &field)) {
        int r = field.number == 4   ? refuse(YD_REMOTE_HISTOGRAM)
                : field.number != 2 ? 0
                : unnamed           ? unnamed
                                    : take_sample(remote, labels, hash, field.bytes);
        if (r < 0) reject(remote, r, 1, labels);
    }
}

int yd_remote_parse(struct yd_remote *remote, struct yd_str message)
{
    struct field field;
    if (!well_formed(message, 0)) {
        reject(remote, refuse(YD_REMOTE_BAD_MESSAGE), 1, message);
        return YD_EFORMAT;
    }
    while (message.size && take_field(&message, &field))
        if (field.number == 1) take_series(remote, field.bytes);
    return 0;
}

/* ---- life ---- */

int yd_remote_create(const struct yd_remote_options *options, struct yd_remote **ret_remote)
{
    struct yd_remote *remote = yd_alloc_zero(options->alloc, sizeof *remote);
    if (!remote) return YD_ENOMEM;
    remote->options = *options;
    int r =
        yd_spellings_init(&remote->spellings, options->alloc, options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                          options->cache_bytes ? options->cache_bytes : YD_RAW_NAMES_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, remote, sizeof *remote);
        return r;
    }
    remote->spellings.canonical = canonical;
    yd_buf_init(&remote->labels, options->alloc);
    *ret_remote = remote;
    return 0;
}

void yd_remote_destroy(struct yd_remote *remote)
{
    if (!remote) return;
    yd_spellings_fini(&remote->spellings);
    yd_buf_fini(&remote->labels);
    yd_alloc_put(remote->options.alloc, remote, sizeof *remote);
}
