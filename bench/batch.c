/* What the two lowest floors cost: checksums, names, sealing, opening. Best of several rounds; see each line's unit.
 * The floor beside them is memcpy of the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <yarder/name.h>

#include "base/hash.h"
#include "base/text.h"

enum { ROUNDS = 7, NAME_SIZE = 40, RECORDS = 16384 };

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static volatile uint64_t sink;

static void report(const char *what, double per_s, double scale, const char *unit)
{
    printf("%-46s %9.2f %s\n", what, per_s / scale, unit);
}

static void bytes_per_second(void)
{
    const size_t sizes[] = {64, 1024, 64 << 10, 1 << 20};
    char *from = malloc(2 << 20), *to = malloc(2 << 20), text[80];
    for (size_t i = 0; i < 2 << 20; i++) from[i] = to[i] = (char)(i * 7);
    for (unsigned s = 0; s < YD_COUNT(sizes); s++) {
        size_t size = sizes[s], times = (64 << 20) / size;
        double best[4] = {0};
        for (int round = 0; round < ROUNDS; round++)
            for (int kind = 0; kind < 4; kind++) {
                if (kind == 3 && round > 1) continue;
                double start = now();
                for (size_t i = 0; i < times; i++) {
                    if (kind == 0) memcpy(to, from, size), sink += (uint64_t)to[i % size];
                    if (kind == 1) sink += yd_crc32c(0, from, size);
                    if (kind == 2) sink += yd_crc32c_copy(0, to, from, size);
                    if (kind == 3) sink += yd_crc32c_portable(0, from, size);
                }
                best[kind] = YD_MAX(best[kind], (double)(times * size) / (now() - start));
            }
        const char *names[] = {"memcpy", "crc32c", "crc32c_copy", "crc32c_portable"};
        for (int kind = 0; kind < 4; kind++) {
            (void)snprintf(text, sizeof text, "%s, %zu bytes", names[kind], size);
            report(text, best[kind], 1e9, "GB/s");
        }
    }
    free(from);
    free(to);
}

/* Names as a parser sees them: bytes in a line, in shuffled order, hash computed here. */
static void names_and_records(uint32_t variety)
{
    struct yd_builder *builder;
    struct yd_rng rng;
    yd_rng_init(&rng, 1);
    char *names = malloc((size_t)variety * NAME_SIZE), text[80];
    uint32_t *order = malloc((1 << 20) * sizeof *order);
    for (uint32_t i = 0; i < variety; i++) {
        char one[64];
        (void)snprintf(one, sizeof one, "servers.rack%03u.host%06u.cpu.load.average", i % 100, i);
        memcpy(names + (size_t)i * NAME_SIZE, one, NAME_SIZE);
    }
    for (uint32_t i = 0; i < 1 << 20; i++) order[i] = (uint32_t)yd_rng_below(&rng, variety);
    if (yd_builder_create(NULL, &builder) < 0) abort();
    double best_name = 0, best_all = 0, best_hash = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 0; kind < 3; kind++) {
            double start = now();
            uint32_t at = 0, name = 0, room, seals = 0;
            struct yd_record *records;
            struct yd_batch *batch;
            while (at < 1 << 20) {
                int r = kind == 2 ? yd_builder_reserve(builder, 256, &records, &room) : 0;
                uint32_t used = 0;
                for (; r == 0 && used < (kind == 2 ? room : 256) && at < 1 << 20; used++, at++) {
                    struct yd_str s = {names + (size_t)order[at] * NAME_SIZE, NAME_SIZE};
                    uint64_t hash = yd_hash_str(s);
                    sink += hash;
                    if (kind == 0) continue;
                    r = yd_builder_name_hashed(builder, s, hash, &name);
                    if (r < 0) break;
                    if (kind == 2)
                        records[used] = (struct yd_record){
                            .time_ns = at, .name = name, .kind = YD_SAMPLE, .type = YD_F64, .value.f64 = at};
                }
                if (kind == 2) yd_builder_commit(builder, used);
                if (r == 0 && !(kind == 1 && at % RECORDS == 0)) continue;
                if (kind == 2 && yd_builder_seal(builder, &batch) == 0)
                    seals++, yd_batch_unref(batch);
                else
                    yd_builder_abandon(builder);
            }
            yd_builder_abandon(builder);
            sink += seals;
            double rate = (1 << 20) / (now() - start);
            if (kind == 0) best_hash = YD_MAX(best_hash, rate);
            if (kind == 1) best_name = YD_MAX(best_name, rate);
            if (kind == 2) best_all = YD_MAX(best_all, rate);
        }
    }
    (void)snprintf(text, sizeof text, "hash alone, %u names of %d bytes", variety, NAME_SIZE);
    report(text, best_hash, 1e6, "M/s");
    (void)snprintf(text, sizeof text, "hash and intern, %u names", variety);
    report(text, best_name, 1e6, "M/s");
    (void)snprintf(text, sizeof text, "hash, intern, store, seal, %u names", variety);
    report(text, best_all, 1e6, "M records/s");
    yd_builder_destroy(builder);
    free(names);
    free(order);
}

static struct yd_batch *build(uint32_t count, uint32_t names, bool text)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    if (yd_builder_create(&(struct yd_builder_options){.size_max = 8 << 20}, &builder) < 0) abort();
    for (uint32_t i = 0; i < count; i++) {
        char one[64];
        uint32_t name;
        int size = snprintf(one, sizeof one, "servers.rack%03u.host%06u.cpu.load.average", i % 100, i % names);
        if (yd_builder_name(builder, (struct yd_str){one, (size_t)size}, &name) < 0) abort();
        if (text ? yd_builder_add_bytes(builder, i, name, YD_EVENT, YD_TEXT, 0,
                                        YD_STR("a line of a log, of the usual length: about one hundred bytes, as they "
                                               "say, more or less."))
                 : yd_builder_add(builder, i, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = i}))
            abort();
    }
    if (yd_builder_seal(builder, &batch) < 0) abort();
    yd_builder_destroy(builder);
    return batch;
}

static void sealing_and_opening(const char *what, uint32_t count, uint32_t names, bool is_text)
{
    struct yd_batch *batch = build(count, names, is_text);
    const struct yd_header *header = &batch->header;
    char *frame = aligned_alloc(64, header->size), text[80];
    yd_batch_to_bytes(batch, frame);
    double best[3] = {0};
    int times = (int)((64u << 20) / header->size);
    for (int round = 0; round < ROUNDS; round++)
        for (int kind = 0; kind < 3; kind++) {
            double start = now();
            for (int i = 0; i < times; i++) {
                struct yd_view view;
                struct yd_batch *copy;
                if (kind < 2 && yd_view_open(header, frame + 128, kind == 0, &view) < 0) abort();
                if (kind == 2) {
                    if (yd_batch_from_bytes(frame, header->size, &copy) < 0) abort();
                    yd_batch_unref(copy);
                }
            }
            best[kind] = YD_MAX(best[kind], (double)times / (now() - start));
        }
    const char *kinds[] = {"yd_view_open", "yd_view_open without checksum", "yd_batch_from_bytes"};
    for (int kind = 0; kind < 3; kind++) {
        (void)snprintf(text, sizeof text, "%s, %s", kinds[kind], what);
        printf("%-60s %7.2f GB/s %8.1f M records/s\n", text, best[kind] * header->size / 1e9, best[kind] * count / 1e6);
    }
    free(frame);
    yd_batch_unref(batch);
}

/* Sealing alone: records are there, as a parser leaves them. */
static void sealing(void)
{
    struct yd_builder *builder;
    if (yd_builder_create(NULL, &builder) < 0) abort();
    double best = 0;
    for (int round = 0; round < 200; round++) {
        uint32_t name, room;
        struct yd_record *records;
        struct yd_batch *batch;
        for (int i = 0; i < 1000; i++) {
            char one[64];
            int size = snprintf(one, sizeof one, "servers.rack%03u.host%06u.cpu.load.average", i % 100, i);
            if (yd_builder_name(builder, (struct yd_str){one, (size_t)size}, &name) < 0) abort();
        }
        for (uint32_t done = 0; done < RECORDS; done += 256) {
            if (yd_builder_reserve(builder, 256, &records, &room) < 0 || room < 256) abort();
            for (uint32_t i = 0; i < 256; i++)
                records[i] = (struct yd_record){.time_ns = i, .name = i, .kind = YD_SAMPLE, .type = YD_F64};
            yd_builder_commit(builder, 256);
        }
        double start = now();
        if (yd_builder_seal(builder, &batch) < 0) abort();
        best = YD_MAX(best, RECORDS / (now() - start));
        yd_batch_unref(batch);
    }
    report("seal alone, 16384 records, 1000 names", best, 1e6, "M records/s");
    yd_builder_destroy(builder);
}

static void numbers(void)
{
    const char *kinds[] = {"%.2f", "%.6g", "%.17g"};
    for (int k = 0; k < 3; k++) {
        enum { COUNT = 4096 };
        static char text[COUNT][32];
        static double values[COUNT];
        struct yd_rng rng;
        yd_rng_init(&rng, 3);
        for (int i = 0; i < COUNT; i++) {
            (void)snprintf(text[i], sizeof text[i], kinds[k], (double)yd_rng_next(&rng) / 1e15);
            values[i] = strtod(text[i], NULL);
        }
        double best[4] = {0};
        for (int round = 0; round < ROUNDS; round++)
            for (int kind = 0; kind < 4; kind++) {
                double start = now(), value = 0, sum = 0;
                char to[64];
                for (int i = 0; i < COUNT; i++) {
                    if (kind == 0) (void)yd_text_f64(yd_str_of(text[i]), false, &value), sum += value;
                    if (kind == 1) sum += strtod(text[i], NULL);
                    if (kind == 2) sum += (double)yd_text_put_f64(to, values[i]);
                    if (kind == 3) sum += snprintf(to, sizeof to, "%.17g", values[i]);
                }
                sink += (uint64_t)sum;
                best[kind] = YD_MAX(best[kind], COUNT / (now() - start));
            }
        const char *names[] = {"read", "read by strtod", "print shortest", "print by snprintf %.17g"};
        for (int kind = 0; kind < 4; kind++) {
            char line[80];
            (void)snprintf(line, sizeof line, "%s, %s", names[kind], kinds[k]);
            report(line, best[kind], 1e6, "M/s");
        }
    }
}

static void patterns(void)
{
    const char *texts[] = {"*", "cpu.load", "cpu.*", "cpu.* host=web*,zone=north", "c*u.*o*d host=*7"};
    for (unsigned t = 0; t < YD_COUNT(texts); t++) {
        struct yd_pattern *pattern;
        if (yd_pattern_compile(yd_str_of(texts[t]), &pattern) < 0) abort();
        double start = now();
        uint64_t matched = 0;
        enum { COUNT = 1000000 };
        struct yd_str name = YD_STR("cpu.load host=web17,rack=12,zone=north");
        for (int i = 0; i < COUNT; i++) {
            matched += yd_pattern_match(pattern, name);
            __asm__ volatile("" ::: "memory");
        }
        sink += matched;
        char line[80];
        (void)snprintf(line, sizeof line, "match '%s'", texts[t]);
        report(line, COUNT / (now() - start), 1e6, "M/s");
        yd_pattern_destroy(pattern);
    }
}

int main(void)
{
    bytes_per_second();
    names_and_records(1000);
    names_and_records(100000);
    sealing();
    sealing_and_opening("16k samples, 1k names", RECORDS, 1000, false);
    sealing_and_opening("16k samples, 16k names", RECORDS, RECORDS, false);
    sealing_and_opening("4k texts of 96 bytes", 4096, 100, true);
    numbers();
    patterns();
    return 0;
}
