/* Graphite's pickle protocol: see pickle_frames.h.
 *
 * A point is a tuple or a list of a text and a pair of two numbers, as numbers or as texts of one. Times are taken as
 * in Graphite's lines: a fraction is cut off, -1 and 0 are now; so are names, tags and all. Values are doubles, as
 * there. */
#include "elements/pickle_frames.h"

#include <math.h>

#include "elements/lines.h"
#include "elements/pickle_machine.h"

#define BATCH_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)64 << 20)

const char *const yd_pickle_reasons[] = {
#define YD_PICKLE_WORDS(name, text) text,
    YD_PICKLE_REASONS(YD_PICKLE_WORDS)
#undef YD_PICKLE_WORDS
        NULL};

struct yd_pickle {
    struct yd_pickle_options options;
    struct yd_spellings spellings;
    struct yd_pickle_machine machine;
};

static int refuse(enum yd_pickle_reason reason)
{
    return -1 - (int)reason;
}

static void reject(struct yd_pickle *pickle, int refused, uint64_t records, struct yd_str sample)
{
    pickle->options.sink.reject(pickle->options.sink.arg, (enum yd_pickle_reason)(-1 - refused), records, sample);
}

static int canonical(void *arg, struct yd_str path, struct yd_str none, char *to, size_t *ret_size)
{
    (void)arg;
    int r = yd_graphite_format.canonical(path, none, to, ret_size);
    if (r == 0) return 0;
    return refuse(r == yd__line_reason(YD_LINE_NOT_UTF8) ? YD_PICKLE_NOT_UTF8 : YD_PICKLE_BAD_NAME);
}

/* ---- points ---- */

/* The two of a pair. */
static bool take_pair(const struct yd_pickle *pickle, uint32_t node, uint32_t *ret_first, uint32_t *ret_second)
{
    const struct yd_pickle_node *pair = yd__pickle_node(&pickle->machine, node);
    if (pair->type != YD_PICKLE_SEQUENCE || pair->sequence.first == YD_PICKLE_NONE) return false;
    const struct yd_pickle_cell *first = yd__pickle_cell(&pickle->machine, pair->sequence.first);
    if (first->next == YD_PICKLE_NONE) return false;
    const struct yd_pickle_cell *second = yd__pickle_cell(&pickle->machine, first->next);
    *ret_first = first->node;
    *ret_second = second->node;
    return second->next == YD_PICKLE_NONE;
}

static bool take_number(const struct yd_pickle *pickle, uint32_t node, double *ret)
{
    const struct yd_pickle_node *number = yd__pickle_node(&pickle->machine, node);
    *ret = number->number;
    if (number->type == YD_PICKLE_NUMBER) return true;
    return number->type == YD_PICKLE_TEXT && yd_text_f64(number->text, true, ret) == 0;
}

static int add(struct yd_pickle *pickle, struct yd_str path, int64_t time_ns, double value, int *ret_refused)
{
    struct yd_spellings *spellings = &pickle->spellings;
    uint32_t index;
    uint64_t hash = yd_raw_names_hash(&spellings->names, path, (struct yd_str){0});
    int r = yd_spellings_name(spellings, path, (struct yd_str){0}, hash, &index, ret_refused);
    if (r < 0 || *ret_refused) return r;
    return yd_builder_add(spellings->builder, time_ns, index, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = value});
}

/* 0, or why not; *ret_path as soon as it is known. */
static int take_point(struct yd_pickle *pickle, uint32_t node, int64_t now_ns, struct yd_str *ret_path)
{
    uint32_t path, point, time, value;
    double seconds, number;
    int refused = 0;
    if (!take_pair(pickle, node, &path, &point) || yd__pickle_node(&pickle->machine, path)->type != YD_PICKLE_TEXT)
        return refuse(YD_PICKLE_NOT_A_POINT);
    *ret_path = yd__pickle_node(&pickle->machine, path)->text;
    if (!take_pair(pickle, point, &time, &value)) return refuse(YD_PICKLE_NOT_A_POINT);
    if (!take_number(pickle, value, &number)) return refuse(YD_PICKLE_BAD_VALUE);
    if (!isfinite(number)) return refuse(YD_PICKLE_NOT_FINITE);
    if (!take_number(pickle, time, &seconds) || !(seconds > -2 && seconds < 9223372036.0) ||
        (seconds < 0 && seconds != -1))
        return refuse(YD_PICKLE_BAD_TIMESTAMP);
    if (ret_path->size == 0) return refuse(YD_PICKLE_BAD_NAME);
    int64_t whole = (int64_t)seconds, time_ns = whole > 0 ? whole * YD_NS_PER_S : now_ns;
    int r = add(pickle, *ret_path, time_ns, number, &refused);
    if (r == YD_EFULL) {
        yd_pickle_flush(pickle);
        r = add(pickle, *ret_path, time_ns, number, &refused);
    }
    if (refused) return refused;
    return r == 0 ? 0 : refuse(r == YD_ENOMEM ? YD_PICKLE_NO_MEMORY : YD_PICKLE_BAD_NAME);
}

void yd_pickle_origin(struct yd_pickle *pickle, struct yd_str peer)
{
    yd_builder_origin(pickle->spellings.builder, peer);
}

void yd_pickle_flush(struct yd_pickle *pickle)
{
    struct yd_batch *batch;
    uint32_t records = yd_builder_count(pickle->spellings.builder);
    if (records == 0) return;
    if (yd_spellings_seal(&pickle->spellings, &batch) == 0)
        pickle->options.sink.batch(pickle->options.sink.arg, batch);
    else
        reject(pickle, refuse(YD_PICKLE_NO_MEMORY), records, YD_STR(""));
}

/* ---- frames ---- */

static int reason_of(enum yd_pickle_end end)
{
    return refuse(end == YD_PICKLE_HAS_CODE    ? YD_PICKLE_CODE
                  : end == YD_PICKLE_MALFORMED ? YD_PICKLE_BAD_PICKLE
                                               : YD_PICKLE_NO_MEMORY);
}

void yd_pickle_parse(struct yd_pickle *pickle, struct yd_str text, int64_t now_ns)
{
    uint32_t root = 0;
    enum yd_pickle_end end = yd__pickle_run(&pickle->machine, text, &root);
    const struct yd_pickle_node *list = end == YD_PICKLE_OK ? yd__pickle_node(&pickle->machine, root) : NULL;
    if (!list || list->type != YD_PICKLE_SEQUENCE) {
        reject(pickle, list ? refuse(YD_PICKLE_NOT_A_POINT) : reason_of(end), 1, text);
        return;
    }
    for (uint32_t at = list->sequence.first; at != YD_PICKLE_NONE;) {
        const struct yd_pickle_cell *cell = yd__pickle_cell(&pickle->machine, at);
        struct yd_str path = YD_STR("");
        int r = take_point(pickle, cell->node, now_ns, &path);
        if (r < 0) reject(pickle, r, 1, path);
        at = cell->next;
    }
}

int yd_pickle_take(struct yd_pickle *pickle, struct yd_str bytes, int64_t now_ns, size_t *ret_used)
{
    *ret_used = 0;
    while (bytes.size - *ret_used >= 4) {
        const unsigned char *at = (const unsigned char *)bytes.data + *ret_used;
        size_t size = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        if (size > YD_PICKLE_FRAME_MAX) {
            reject(pickle, refuse(YD_PICKLE_TOO_LARGE), 1,
                   (struct yd_str){bytes.data + *ret_used, bytes.size - *ret_used});
            return YD_ETOOBIG;
        }
        if (bytes.size - *ret_used - 4 < size) break;
        yd_pickle_parse(pickle, (struct yd_str){bytes.data + *ret_used + 4, size}, now_ns);
        *ret_used += 4 + size;
    }
    return 0;
}

/* ---- life ---- */

int yd_pickle_create(const struct yd_pickle_options *options, struct yd_pickle **ret_pickle)
{
    struct yd_pickle *pickle = yd_alloc_zero(options->alloc, sizeof *pickle);
    if (!pickle) return YD_ENOMEM;
    pickle->options = *options;
    int r =
        yd_spellings_init(&pickle->spellings, options->alloc, options->batch_bytes ? options->batch_bytes : BATCH_BYTES,
                          options->cache_bytes ? options->cache_bytes : CACHE_BYTES, options->seed);
    if (r < 0) {
        yd_alloc_put(options->alloc, pickle, sizeof *pickle);
        return r;
    }
    pickle->spellings.canonical = canonical;
    yd__pickle_init(&pickle->machine, options->alloc);
    *ret_pickle = pickle;
    return 0;
}

void yd_pickle_destroy(struct yd_pickle *pickle)
{
    if (!pickle) return;
    yd__pickle_fini(&pickle->machine);
    yd_spellings_fini(&pickle->spellings);
    yd_alloc_put(pickle->options.alloc, pickle, sizeof *pickle);
}
