/* The engine under the line formats: see lines.h.
 *
 * Lines go through in groups, two of them under way: so the misses of the name cache (a slot, then an entry) are served
 * while other lines are parsed and written. Of a group, names are resolved first and records written after, because a
 * name may fill the batch: then what is complete is sealed, and the rest resolved again for the next one. */
#include "elements/lines.h"

#include "base/text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2 1
#endif

#define ROOM_SIZE (UINT32_C(256) << 10)
#define STEP      64
#define AHEAD     1024
#define GROUP_MAX (YD_LINE_GROUP + STEP)

const char *const yd_line_reasons[] = {
#define YD_LINE_TEXT(name, text) text,
    YD_LINE_REASONS(YD_LINE_TEXT)
#undef YD_LINE_TEXT
        NULL};

struct yd_lines {
    struct yd_lines_options options;
    struct yd_spellings spellings;
    int64_t now_ns;
    uint64_t count;
    bool wide;  /* AVX2 */
    char *room; /* PAD, tail and data, PAD */
    size_t room_size;
    struct yd_line groups[2][GROUP_MAX];
};

static int canonical(void *arg, struct yd_str first, struct yd_str second, char *to, size_t *ret_size)
{
    return ((struct yd_lines *)arg)->options.format->canonical(first, second, to, ret_size);
}

int yd_lines_create(const struct yd_lines_options *options, struct yd_lines **ret_lines)
{
    struct yd_lines *lines = yd_alloc_zero(options->alloc, sizeof *lines);
    if (!lines) return YD_ENOMEM;
    lines->options = *options;
    if (!lines->options.line_max) lines->options.line_max = 64 << 10;
    if (!lines->options.batch_bytes) lines->options.batch_bytes = 1 << 20;
    if (!lines->options.cache_bytes) lines->options.cache_bytes = YD_RAW_NAMES_BYTES;
#ifdef HAVE_AVX2
    lines->wide = !options->portable && options->format->parse_group && __builtin_cpu_supports("avx2") &&
                  __builtin_cpu_supports("bmi");
#endif
    lines->room_size = ROOM_SIZE + lines->options.line_max;
    int r = YD_ENOMEM;
    lines->room = yd_alloc_get(options->alloc, lines->room_size + 2 * YD_LINE_PAD);
    if (!lines->room) goto fail_room;
    r = yd_spellings_init(&lines->spellings, options->alloc, lines->options.batch_bytes, lines->options.cache_bytes,
                          options->seed);
    if (r < 0) goto fail_spellings;
    lines->spellings.canonical = canonical;
    lines->spellings.arg = lines;
    *ret_lines = lines;
    return 0;
fail_spellings:
    yd_alloc_put(options->alloc, lines->room, lines->room_size + 2 * YD_LINE_PAD);
fail_room:
    yd_alloc_put(options->alloc, lines, sizeof *lines);
    return r;
}

void yd_lines_destroy(struct yd_lines *lines)
{
    if (!lines) return;
    struct yd_alloc *alloc = lines->options.alloc;
    yd_spellings_fini(&lines->spellings);
    yd_alloc_put(alloc, lines->room, lines->room_size + 2 * YD_LINE_PAD);
    yd_alloc_put(alloc, lines, sizeof *lines);
}

void yd_lines_set_now(struct yd_lines *lines, int64_t wall_ns)
{
    lines->now_ns = wall_ns;
}
int64_t yd__lines_now(const struct yd_lines *lines)
{
    return lines->now_ns;
}
uint64_t yd_lines_count(const struct yd_lines *lines)
{
    return lines->count;
}
const struct yd_raw_names *yd__lines_names(const struct yd_lines *lines)
{
    return &lines->spellings.names;
}

void yd_lines_flush(struct yd_lines *lines)
{
    struct yd_batch *batch;
    if (yd_builder_count(lines->spellings.builder) == 0) return;
    uint32_t records = yd_builder_count(lines->spellings.builder);
    int r = yd_spellings_seal(&lines->spellings, &batch);
    if (r == 0)
        lines->options.sink.batch(lines->options.sink.arg, batch);
    else /* the records are lost, and it is said how many: one reject each, without a sample */
        for (uint32_t i = 0; i < records; i++)
            lines->options.sink.reject(lines->options.sink.arg, YD_LINE_NO_MEMORY, (struct yd_str){0});
}

/* ---- names ---- */

void yd__line_prepare(const struct yd_lines *lines, struct yd_line *line)
{
    line->hash = yd_raw_names_hash(&lines->spellings.names, line->first, line->second);
    yd_raw_names_prefetch(&lines->spellings.names, line->hash);
}

void yd__line_slowly(const struct yd_lines *lines, struct yd_line *line)
{
    if (line->state != YD_LINE_RECORD) return; /* too long */
    lines->options.format->parse(lines, line);
    if (line->state == YD_LINE_RECORD) yd__line_prepare(lines, line);
}

static inline uint64_t differ(const char *a, const char *b, size_t size)
{
    uint64_t bits = 0;
    size_t at = 0;
    if (YD_LIKELY(size >= 16)) {
        for (; at + 16 < size; at += 16)
            bits |= (yd__load64(a + at) ^ yd__load64(b + at)) | (yd__load64(a + at + 8) ^ yd__load64(b + at + 8));
        at = size - 16;
        return bits | (yd__load64(a + at) ^ yd__load64(b + at)) | (yd__load64(a + at + 8) ^ yd__load64(b + at + 8));
    }
    if (size >= 8) return (yd__load64(a) ^ yd__load64(b)) | (yd__load64(a + size - 8) ^ yd__load64(b + size - 8));
    for (; at < size; at++) bits |= (uint64_t)(a[at] ^ b[at]);
    return bits;
}

static inline bool is_entry(const struct yd_raw_name *entry, const struct yd_line *line)
{
    return entry && entry->hash == line->hash && entry->first_size == line->first.size &&
           entry->second_size == line->second.size && !differ(entry->raw, line->first.data, line->first.size) &&
           (line->second.size == 0 || !differ(entry->raw + line->first.size, line->second.data, line->second.size));
}

/* A spelling that the cache does not know. 0, YD_EFULL (seal first), or a rejected line. */
static int learn(struct yd_lines *lines, struct yd_line *line)
{
    int refused;
    int r = yd__spellings_learn(&lines->spellings, line->first, line->second, line->hash, &line->index, &refused);
    if (refused) {
        line->state = YD_LINE_REJECTED;
        line->reason = (uint8_t)(-1 - refused);
    }
    return r;
}

static inline int resolve(struct yd_lines *lines, struct yd_line *line, uint64_t resets)
{
    struct yd_raw_name *entry = line->entry;
    if (YD_UNLIKELY(resets != lines->spellings.names.resets) || YD_UNLIKELY(!is_entry(entry, line)))
        entry = yd_raw_names_find(&lines->spellings.names, line->hash, line->first, line->second);
    if (YD_UNLIKELY(!entry)) return learn(lines, line);
    return yd__spellings_known(&lines->spellings, entry, &line->index);
}

/* ---- a group ---- */

static void reject(struct yd_lines *lines, const struct yd_line *line)
{
    lines->options.sink.reject(lines->options.sink.arg, line->reason, (struct yd_str){line->start, line->size});
}

static void no_record(struct yd_lines *lines, const struct yd_line *line)
{
    lines->count += line->state != YD_LINE_EMPTY;
    if (line->state == YD_LINE_REJECTED) reject(lines, line);
    if (line->state == YD_LINE_COMMANDED)
        lines->options.sink.command(lines->options.sink.arg, (struct yd_str){line->start, line->size});
}

/* Records of group[from, to), all resolved, into the builder as far as there is room. Returns where it stopped. */
static size_t write_records(struct yd_lines *lines, struct yd_line *group, size_t from, size_t to)
{
    struct yd_record *records;
    uint32_t room, used = 0;
    size_t i = from;
    if (to == from) return from;
    if (yd_builder_reserve(lines->spellings.builder, (uint32_t)(to - from), &records, &room) < 0) room = 0;
    for (; i < to; i++) {
        struct yd_line *line = &group[i];
        if (YD_UNLIKELY(line->state != YD_LINE_RECORD)) {
            no_record(lines, line);
            continue;
        }
        if (YD_UNLIKELY(used == room)) break;
        records[used++] = (struct yd_record){
            .time_ns = line->time_ns, .name = line->index, .kind = YD_SAMPLE, .type = line->type, .value = line->value};
    }
    yd_builder_commit(lines->spellings.builder, used); /* none, too: it gives the room back */
    lines->count += used;
    return i;
}

/* Fields and hashes; the slots are on their way. */
static void read_group(struct yd_lines *lines, struct yd_line *group, size_t count)
{
    if (lines->wide)
        lines->options.format->parse_group(lines, group, count);
    else
        for (size_t i = 0; i < count; i++) yd__line_slowly(lines, &group[i]);
}

/* The slot has come; the entry is on its way. What is learned later is not seen: resolve looks again. */
static inline void look_up(const struct yd_lines *lines, struct yd_line *line)
{
    line->entry = line->state == YD_LINE_RECORD ? yd_raw_names_likely(&lines->spellings.names, line->hash) : NULL;
}

/* Names and records of a group that was looked up when `resets` was what is given; looks up the next group, line by
 * line in between: in one go the prefetches wait for each other (that way put with 100 k names is a quarter slower). */
static void write_group(struct yd_lines *lines, struct yd_line *group, size_t count, uint64_t resets,
                        struct yd_line *next_group, size_t next_count)
{
    size_t done = 0, until = count, ahead = 0;
    while (done < count) {
        size_t i = done;
        int r = 0;
        for (; i < until && r == 0; i++) {
            if (ahead < next_count) look_up(lines, &next_group[ahead++]);
            if (YD_LIKELY(group[i].state == YD_LINE_RECORD)) r = resolve(lines, &group[i], resets);
        }
        if (r < 0) i--;
        size_t next = write_records(lines, group, done, i);
        if (next < until && yd_builder_count(lines->spellings.builder) == 0) {
            /* Names alone filled an empty batch: with fewer of them, or this line fits in none. */
            yd_spellings_abandon(&lines->spellings);
            until = next + (i - next) / 2;
            if (until == next) {
                group[next].state = YD_LINE_REJECTED;
                group[next].reason = r == YD_ENOMEM ? YD_LINE_NO_MEMORY : YD_LINE_NAME_TOO_LONG;
                until = count;
            }
        } else {
            if (next < until) yd_lines_flush(lines);
            until = count;
        }
        done = next;
    }
    while (ahead < next_count) look_up(lines, &next_group[ahead++]);
}

/* ---- lines ---- */

#ifdef HAVE_AVX2
/* Line ends from *at on, 64 bytes a step while there are that many; stops after at least GROUP. */
__attribute__((target("avx2,bmi,popcnt"))) static size_t ends_avx2(const char *data, size_t size, size_t *at,
                                                                   uint32_t *ends)
{
    const __m256i lf = _mm256_set1_epi8('\n');
    size_t count = 0, p = *at;
    for (; p + STEP <= size && count < YD_LINE_GROUP; p += STEP) {
        __builtin_prefetch(data + p + AHEAD); /* beyond the end too: it is a hint; 7 to 12 % where the text is cold */
        __m256i low = _mm256_loadu_si256((const void *)(data + p));
        __m256i high = _mm256_loadu_si256((const void *)(data + p + 32));
        uint64_t bits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, lf)) |
                        (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, lf)) << 32;
        /* Most steps hold one to three ends: those are written without asking. */
        size_t more = (size_t)__builtin_popcountll(bits);
        for (size_t k = 0; k < 3; k++) {
            ends[count + k] = (uint32_t)(p + _tzcnt_u64(bits));
            bits &= bits - 1;
        }
        for (size_t k = 3; YD_UNLIKELY(k < more); k++) {
            ends[count + k] = (uint32_t)(p + _tzcnt_u64(bits));
            bits &= bits - 1;
        }
        count += more;
    }
    *at = p;
    return count;
}
#endif

static size_t ends_portable(const char *data, size_t size, size_t *at, uint32_t *ends)
{
    size_t count = 0, p = *at;
    while (p < size && count < YD_LINE_GROUP) {
        const char *lf = memchr(data + p, '\n', size - p);
        if (!lf) {
            p = size;
            break;
        }
        p = (size_t)(lf - data) + 1;
        ends[count++] = (uint32_t)(p - 1);
    }
    *at = p;
    return count;
}

static inline void start_line(const struct yd_lines *lines, struct yd_line *line, const char *start, size_t size,
                              bool careful)
{
    if (size && start[size - 1] == '\r') size--;
    line->start = start;
    line->size = (uint32_t)size;
    line->careful = careful;
    line->state = YD_LINE_RECORD;
    line->second = YD_STR("");
    if (YD_UNLIKELY(size > lines->options.line_max)) {
        line->state = YD_LINE_REJECTED;
        line->reason = YD_LINE_TOO_LONG;
    }
}

/* Two groups are under way, so that each miss has the work on a group to come in:
 *
 *   read 1 | look up 1 | read 2 | write 1, look up 2 | read 3 | write 2, look up 3 | …
 *     slots of 1     entries of 1      */
static size_t parse_some(struct yd_lines *lines, const char *data, size_t size)
{
    uint32_t ends[GROUP_MAX + 3];
    size_t at = 0, used = 0, turn = 0, waiting = 0; /* lines of the other group, looked up */
    uint64_t resets = 0;
    while (at < size) {
        size_t count = 0;
#ifdef HAVE_AVX2
        if (lines->wide) count = ends_avx2(data, size, &at, ends);
#endif
        if (count == 0) count = ends_portable(data, size, &at, ends);
        for (size_t i = 0; i < count; i++) {
            size_t end = ends[i];
            bool careful = used < YD_LINE_PAD || size - end < YD_LINE_PAD;
            struct yd_line *line = &lines->groups[turn][i];
            start_line(lines, line, data + used, end - used, careful);
            used = end + 1;
        }
        if (count == 0) break;
        read_group(lines, lines->groups[turn], count);
        uint64_t before = lines->spellings.names.resets;
        write_group(lines, lines->groups[turn ^ 1], waiting, resets, lines->groups[turn], count);
        resets = before;
        waiting = count;
        turn ^= 1;
    }
    write_group(lines, lines->groups[turn ^ 1], waiting, resets, NULL, 0);
    return used;
}

size_t yd_lines_parse(struct yd_lines *lines, const char *data, size_t size)
{
    /* Offsets are 32 bits wide. */
    size_t used = 0;
    while (used < size) {
        size_t step = parse_some(lines, data + used, YD_MIN(size - used, (size_t)1 << 30));
        used += step;
        if (step == 0) break;
    }
    return used;
}

/* One line without a line feed; carriage returns inside end lines as well. */
static void parse_last(struct yd_lines *lines, const char *data, size_t size)
{
    while (size) {
        const char *cr = memchr(data, '\r', size);
        size_t line_size = cr ? (size_t)(cr - data) : size;
        start_line(lines, lines->groups[0], data, line_size, true);
        read_group(lines, lines->groups[0], 1);
        look_up(lines, lines->groups[0]);
        write_group(lines, lines->groups[0], 1, lines->spellings.names.resets, NULL, 0);
        line_size += cr != NULL;
        data += line_size, size -= line_size;
    }
}

void yd_lines_parse_all(struct yd_lines *lines, const char *data, size_t size)
{
    size_t used = yd_lines_parse(lines, data, size);
    parse_last(lines, data + used, size - used);
}

/* ---- a byte stream that comes in pieces ---- */

void yd_lines_room(struct yd_lines *lines, struct yd_lines_tail *tail, char **ret_to, size_t *ret_size)
{
    char *start = lines->room + YD_LINE_PAD;
    if (tail->size) memcpy(start, tail->data, tail->size);
    *ret_to = start + tail->size;
    *ret_size = lines->room_size - tail->size;
}

static void drop_tail(struct yd_lines *lines, struct yd_lines_tail *tail)
{
    yd_alloc_put(lines->options.alloc, tail->data, tail->capacity);
    tail->data = NULL;
    tail->size = tail->capacity = 0;
}

static void reject_bytes(struct yd_lines *lines, enum yd_line_reason reason, const char *data, size_t size)
{
    lines->count++;
    lines->options.sink.reject(lines->options.sink.arg, reason, (struct yd_str){data, size});
}

static void keep_tail(struct yd_lines *lines, struct yd_lines_tail *tail, const char *data, size_t size)
{
    if (size == 0) {
        /* An idle connection keeps nothing but a small piece at most. */
        tail->size = 0;
        if (tail->capacity > 1024) drop_tail(lines, tail);
        return;
    }
    if (size > lines->options.line_max) {
        reject_bytes(lines, YD_LINE_TOO_LONG, data, size);
        drop_tail(lines, tail);
        tail->skipping = true;
        return;
    }
    if (size > tail->capacity) {
        size_t capacity = YD_ALIGN_UP(size, 256);
        char *grown = yd_alloc_resize(lines->options.alloc, tail->data, tail->capacity, capacity);
        if (!grown) {
            reject_bytes(lines, YD_LINE_NO_MEMORY, data, size);
            tail->skipping = true;
            tail->size = 0;
            return;
        }
        tail->data = grown;
        tail->capacity = capacity;
    }
    memcpy(tail->data, data, size);
    tail->size = size;
}

void yd_lines_origin(struct yd_lines *lines, struct yd_str peer)
{
    yd_builder_origin(lines->spellings.builder, peer);
}

void yd_lines_data(struct yd_lines *lines, struct yd_lines_tail *tail, size_t size)
{
    const char *data = lines->room + YD_LINE_PAD;
    const char *fresh = data + tail->size;
    size += tail->size;
    if (tail->skipping) {
        const char *lf = memchr(data, '\n', size);
        if (!lf) return;
        tail->skipping = false;
        size -= (size_t)(lf + 1 - data);
        data = lf + 1;
        fresh = data;
    }
    size_t used = yd_lines_parse(lines, data, size);
    if (used == 0 && size) {
        /* No line feed in a whole burst: a peer that ends its lines with CR alone? */
        const char *cr = memrchr(fresh, '\r', (size_t)(data + size - fresh));
        if (cr) parse_last(lines, data, used = (size_t)(cr + 1 - data));
    }
    keep_tail(lines, tail, data + used, size - used);
}

void yd_lines_ended(struct yd_lines *lines, struct yd_lines_tail *tail, bool in_order)
{
    if (tail->size && in_order) parse_last(lines, tail->data, tail->size);
    if (tail->size && !in_order) reject_bytes(lines, YD_LINE_CUT_SHORT, tail->data, tail->size);
    drop_tail(lines, tail);
}
