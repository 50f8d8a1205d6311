/* Frames from anywhere: whatever is let in must be harmless to walk, to cut and to copy, and come out as it went in.
 *
 * The first byte says how the rest is meant: as a frame, or as edits of a good one, which gets deep without a corpus.
 * Both checksums are made right afterwards (but for one case in eight), or nothing would ever get past them. */
#include <stdlib.h>

#include <yarder/batch.h>

#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *good;
static size_t good_size;

static void must(bool condition)
{
    if (!condition) abort();
}

static void make_good(void)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name, other;
    must(yd_builder_create(NULL, &builder) == 0);
    must(yd_builder_name(builder, YD_STR("cpu.load host=a"), &name) == 0);
    must(yd_builder_name(builder, YD_STR("x"), &other) == 0);
    must(yd_builder_add(builder, 5, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = 1.5}) == 0);
    must(yd_builder_add(builder, 6, other, YD_STATE, YD_BOOL, 1, (union yd_value){.bits = 1}) == 0);
    must(yd_builder_add_bytes(builder, 7, name, YD_EVENT, YD_TEXT, 0, YD_STR("gr\xc3\xbc\xc3\x9f")) == 0);
    must(yd_builder_add_bytes(builder, 8, name, YD_PACKET, YD_BLOB, 0, YD_STR("\x01\xff\x02")) == 0);
    must(yd_builder_begin(builder, 9, name, YD_ROW, 0, YD_MAP) == 0);
    must(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR("query")) == 0);
    must(yd_builder_nest(builder, YD_STR("list"), YD_LIST) == 0);
    must(yd_builder_cell(builder, YD_STR(""), YD_I64, (union yd_value){.i64 = -1}) == 0);
    must(yd_builder_nest(builder, YD_STR(""), YD_MAP) == 0);
    must(yd_builder_end(builder) == 0 && yd_builder_end(builder) == 0 && yd_builder_end(builder) == 0);
    must(yd_builder_seal(builder, &batch) == 0);
    good_size = batch->header.size;
    good = malloc(good_size);
    must(good);
    yd_batch_to_bytes(batch, good);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
}

static uint64_t walk(const struct yd_view *view, unsigned type, union yd_value value)
{
    uint64_t sum = 0;
    if (type == YD_TEXT || type == YD_BLOB) {
        struct yd_str bytes = yd_view_bytes(view, value);
        for (size_t i = 0; i < bytes.size; i++) sum += (unsigned char)bytes.data[i];
    } else if (type == YD_LIST || type == YD_MAP) {
        const struct yd_cells *cells = yd_view_cells(view, value);
        for (uint32_t i = 0; i < cells->count; i++) {
            if (type == YD_MAP) sum += yd_hash_str(yd_view_name(view, cells->cell[i].name));
            sum += walk(view, cells->cell[i].type, cells->cell[i].value);
        }
    }
    return sum;
}

static void use(const struct yd_batch *batch)
{
    const struct yd_view *view = &batch->view;
    struct yd_batch *part, *again;
    if (batch->header.codec != YD_CODEC_NONE) return;
    uint64_t sum = 0, copied = 0;
    for (uint32_t i = 0; i < view->count; i++) sum += walk(view, view->records[i].type, view->records[i].value);

    must(yd_batch_slice(batch, 0, view->count, &part) == 0);
    must(part->header.size <= batch->header.size && part->header.time_min == batch->header.time_min);
    char *frame = malloc(part->header.size);
    must(frame);
    yd_batch_to_bytes(part, frame);
    must(yd_batch_from_bytes(frame, part->header.size, &again) == 0);
    free(frame);
    yd_batch_unref(again);
    yd_batch_unref(part);

    struct yd_builder *builder;
    must(yd_builder_create(NULL, &builder) == 0);
    for (uint32_t i = 0; i < view->count; i++) must(yd_builder_copy(builder, view, i) == 0);
    must(yd_builder_seal(builder, &part) == 0);
    must(yd_view_open(&part->header, part->body->data, true, &part->view) == 0);
    for (uint32_t i = 0; i < view->count; i++)
        copied += walk(&part->view, part->view.records[i].type, part->view.records[i].value);
    must(copied == sum);
    yd_batch_unref(part);
    yd_builder_destroy(builder);
}

/* Edits: place (2 bytes), value (1 byte). */
static size_t edited(const uint8_t *data, size_t size, char *frame)
{
    memcpy(frame, good, good_size);
    for (; size >= 3; data += 3, size -= 3) frame[(data[0] | data[1] << 8) % good_size] = (char)data[2];
    return good_size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!good) make_good();
    if (size == 0) return 0;
    uint8_t mode = *data++;
    size--;
    size_t room = size > good_size ? size : good_size;
    char *frame = malloc(room);
    must(frame);
    if (mode & 1)
        size = edited(data, size, frame);
    else
        memcpy(frame, data, size);
    if (size >= YD_BATCH_HEADER_SIZE && mode >> 5) {
        struct yd_header header;
        memcpy(&header, frame, sizeof header);
        header.magic = YD_BATCH_MAGIC;
        header.version = YD_BATCH_VERSION;
        size_t there = size - sizeof header, body = header.body_size < there ? header.body_size : there;
        header.body_crc = yd_crc32c(0, frame + sizeof header, body);
        header.header_crc = yd_header_crc(&header);
        memcpy(frame, &header, sizeof header);
    }
    char *exact = malloc(size ? size : 1); /* a read beyond it is seen */
    must(exact);
    memcpy(exact, frame, size);
    free(frame);
    struct yd_batch *batch;
    if (yd_batch_from_bytes(exact, size, &batch) == 0) {
        use(batch);
        yd_batch_unref(batch);
    }
    free(exact);
    return 0;
}
