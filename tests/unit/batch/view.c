/* Refusing: no damaged, cut or forged frame gets through, and none is read outside its bytes. Frames stand in blocks of
 * exactly their size, so that the address sanitizer sees a read beyond. */
#include "testing.h"

/* A frame in a block of its own, 64-byte aligned; its header may be changed and stamped again. */
struct frame {
    char *bytes;
    size_t size;
};

static struct yd_header *header_of(struct frame frame)
{
    return (void *)frame.bytes;
}

static char *body_of(struct frame frame)
{
    return frame.bytes + YD_BATCH_HEADER_SIZE;
}

static struct yd_view view_of(struct frame frame)
{
    struct yd_view view = {.records = (void *)body_of(frame), .count = header_of(frame)->count};
    view.name_count = header_of(frame)->names;
    view.names = (const void *)(view.records + view.count);
    view.heap = (const char *)(view.names + view.name_count);
    view.heap_size = (uint32_t)(body_of(frame) + header_of(frame)->body_size - view.heap);
    return view;
}

static struct frame frame_of(const struct yd_batch *batch)
{
    struct frame frame = {aligned_alloc(64, batch->header.size), batch->header.size};
    yd_batch_to_bytes(batch, frame.bytes);
    return frame;
}

/* Makes both checksums right, so that only the checks behind them stand. */
static void stamp(struct frame frame)
{
    struct yd_header *header = header_of(frame);
    size_t there = frame.size - YD_BATCH_HEADER_SIZE;
    header->body_crc = yd_crc32c(0, body_of(frame), YD_MIN(header->body_size, there));
    header->header_crc = yd_header_crc(header);
}

static int open_frame(struct frame frame)
{
    struct yd_batch *batch;
    int r = yd_batch_from_bytes(frame.bytes, frame.size, &batch);
    if (r == 0) yd_batch_unref(batch);
    return r;
}

/* A small frame that has everything: scalars, texts, a nested map, two kinds. */
static struct frame small_frame(void)
{
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_ok(yd_builder_create(NULL, &builder));
    assert_ok(yd_builder_name(builder, YD_STR("cpu.load host=a"), &name));
    assert_ok(yd_builder_add(builder, 5, name, YD_SAMPLE, YD_F64, 0, (union yd_value){.f64 = 1.5}));
    assert_ok(yd_builder_add(builder, 6, name, YD_SAMPLE, YD_BOOL, YD_RECORD_QUALITY, (union yd_value){.bits = 1}));
    assert_ok(yd_builder_add_bytes(builder, 7, name, YD_EVENT, YD_TEXT, 0, YD_STR("gr\xc3\xbc\xc3\x9f")));
    assert_ok(yd_builder_add_bytes(builder, 8, name, YD_PACKET, YD_BLOB, 0, YD_STR("\x00\xff\x01")));
    assert_ok(yd_builder_begin(builder, 9, name, YD_ROW, 0, YD_MAP));
    assert_ok(yd_builder_cell_bytes(builder, YD_STR("op"), YD_TEXT, YD_STR("query")));
    assert_ok(yd_builder_nest(builder, YD_STR("list"), YD_LIST));
    assert_ok(yd_builder_cell(builder, (struct yd_str){0}, YD_I64, (union yd_value){.i64 = -1}));
    assert_ok(yd_builder_cell(builder, (struct yd_str){0}, YD_NIL, (union yd_value){0}));
    assert_ok(yd_builder_end(builder));
    assert_ok(yd_builder_end(builder));
    assert_ok(yd_builder_seal(builder, &batch));
    struct frame frame = frame_of(batch);
    yd_batch_unref(batch);
    yd_builder_destroy(builder);
    return frame;
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    assert_ok(open_frame(frame));
    for (size_t bit = 0; bit < frame.size * 8; bit++) {
        frame.bytes[bit / 8] ^= (char)(1 << bit % 8);
        int r = open_frame(frame);
        if (r == 0) fail_msg("bit %zu of byte %zu may be flipped", bit % 8, bit / 8);
        frame.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_ok(open_frame(frame));
    free(frame.bytes);
}

static void every_cut_frame_asks_for_more(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    for (size_t size = 0; size < frame.size; size++) {
        char *cut = malloc(size + 1); /* unaligned ends, and never a byte too many */
        memcpy(cut, frame.bytes, size);
        cut = realloc(cut, size ? size : 1);
        struct yd_batch *batch;
        assert_error(yd_batch_from_bytes(cut, size, &batch), YD_EAGAIN);
        free(cut);
    }
    free(frame.bytes);
}

/* With right checksums, any change is either refused or harmless: whoever walks all of it stays inside. */
static void walk(const struct yd_view *view, unsigned type, union yd_value value, uint64_t *sum)
{
    if (type == YD_TEXT || type == YD_BLOB) {
        struct yd_str bytes = yd_view_bytes(view, value);
        for (size_t i = 0; i < bytes.size; i++) *sum += (unsigned char)bytes.data[i];
    } else if (type == YD_LIST || type == YD_MAP) {
        const struct yd_cells *cells = yd_view_cells(view, value);
        for (uint32_t i = 0; i < cells->count; i++) {
            if (type == YD_MAP) *sum += yd_view_name(view, cells->cell[i].name).size;
            walk(view, cells->cell[i].type, cells->cell[i].value, sum);
        }
        if (type == YD_MAP) (void)yd_view_find(view, value, YD_STR("nobody"));
    } else {
        *sum += value.bits;
    }
}

static int read_all(struct frame frame)
{
    struct yd_batch *batch, *part;
    int r = yd_batch_from_bytes(frame.bytes, frame.size, &batch);
    if (r < 0) return r;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < batch->view.count; i++) {
        const struct yd_record *record = &batch->view.records[i];
        sum += yd_view_name(&batch->view, record->name).size;
        walk(&batch->view, record->type, record->value, &sum);
    }
    r = batch->header.codec == YD_CODEC_NONE ? yd_batch_slice(batch, 0, batch->view.count, &part) : YD_ENOTSUP;
    if (r == 0) {
        struct frame again = frame_of(part);
        r = open_frame(again);
        free(again.bytes);
        assert_true(part->header.size <= batch->header.size);
        yd_batch_unref(part);
    }
    yd_batch_unref(batch);
    if (r != YD_ENOTSUP) assert_ok(r); /* what was let in can be worked with */
    return 0;
}

static void forged_frames_never_lead_outside(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    char *whole = malloc(frame.size);
    memcpy(whole, frame.bytes, frame.size);
    unsigned accepted = 0;
    for (size_t bit = 0; bit < frame.size * 8; bit++) {
        frame.bytes[bit / 8] ^= (char)(1 << bit % 8);
        stamp(frame);
        accepted += read_all(frame) == 0;
        memcpy(frame.bytes, whole, frame.size);
    }
    assert_true(accepted > 100); /* values may change, structure may not */
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    for (int i = 0; i < 100000; i++) {
        size_t changes = 1 + yd_rng_below(&rng, 6);
        for (size_t j = 0; j < changes; j++) {
            size_t at = yd_rng_below(&rng, frame.size);
            static const unsigned char likely[] = {0, 1, 2, 4, 7, 8, 9, 16, 24, 32, 127, 128, 255};
            frame.bytes[at] =
                (char)(yd_rng_chance(&rng, 3) ? yd_rng_next(&rng) : likely[yd_rng_below(&rng, YD_COUNT(likely))]);
        }
        if (!yd_rng_chance(&rng, 10)) stamp(frame);
        (void)read_all(frame);
        memcpy(frame.bytes, whole, frame.size);
    }
    free(whole);
    free(frame.bytes);
}

static void headers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    const struct yd_header good = *header_of(frame);
#define REFUSED(change, error)                                                                                         \
    do {                                                                                                               \
        struct yd_header h = good;                                                                                     \
        change;                                                                                                        \
        h.header_crc = yd_header_crc(&h);                                                                              \
        if (yd_header_check(&h, frame.size) != (error)) fail_msg("not refused: %s", #change);                          \
    } while (0)
    REFUSED((void)0, 0);
    REFUSED(h.magic = 0, YD_EFORMAT);
    REFUSED(h.version = 2, YD_EVERSION);
    REFUSED(h.version = 0, YD_EVERSION);
    REFUSED(h.codec = 4, YD_EFORMAT);
    REFUSED(h.flags |= 2, YD_EFORMAT);
    REFUSED(h.size += 64, YD_EFORMAT);
    REFUSED(h.size = YD_BATCH_SIZE_MAX + 64, YD_ETOOBIG);
    REFUSED(h.size = 0, YD_EFORMAT);
    REFUSED(h.body_size = UINT32_MAX, YD_EFORMAT);
    REFUSED((h.body_size += 8, h.raw_size += 64), YD_EFORMAT);
    REFUSED(h.raw_size++, YD_EFORMAT);
    REFUSED(h.raw_size = UINT32_MAX, YD_ETOOBIG);
    REFUSED(h.count = 0, YD_EFORMAT);
    REFUSED(h.count = UINT32_MAX, YD_EFORMAT);
    REFUSED(h.names = UINT32_MAX, YD_EFORMAT);
    REFUSED(h.base_seqno = UINT64_MAX - 1, YD_EFORMAT);
    REFUSED(h.base_seqno = UINT64_MAX - good.count, 0);
    REFUSED(h.kinds = 0, YD_EFORMAT);
    REFUSED(h.kinds |= 1, YD_EFORMAT);
    REFUSED(h.kinds |= 1u << YD_KIND_COUNT, YD_EFORMAT);
    REFUSED(h.time_min = h.time_max + 1, YD_EFORMAT);
    REFUSED(h.reserved[11] = 1, YD_EFORMAT);
    REFUSED(h.codec = YD_CODEC_ZSTD, 0); /* the body is another's business */
    REFUSED((h.codec = YD_CODEC_FOREIGN, h.names = 0), 0);
#undef REFUSED
    assert_error(yd_header_check(&good, 127), YD_EAGAIN);
    assert_error(yd_header_check(&good, 128), YD_EAGAIN);
    assert_error(yd_header_check(&good, frame.size - 1), YD_EAGAIN);
    struct yd_header damaged = good;
    damaged.size ^= 64; /* must not be believed: we would wait for bytes that never come */
    assert_error(yd_header_check(&damaged, 128), YD_ECORRUPT);
    struct yd_header zero = {0};
    assert_error(yd_header_check(&zero, sizeof zero), YD_EFORMAT);
    free(frame.bytes);
}

static void bodies_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    char *whole = malloc(frame.size);
    memcpy(whole, frame.bytes, frame.size);
    struct yd_header *header = header_of(frame);
    struct yd_view view = view_of(frame);
    struct yd_record *r = (struct yd_record *)(uintptr_t)view.records;
    struct yd_name_entry *n = (struct yd_name_entry *)(uintptr_t)view.names;
    char *heap = (char *)(uintptr_t)view.heap;
    struct yd_cells *map = (void *)(heap + r[4].value.heap.offset);
    struct yd_cells *list = (void *)(heap + map->cell[1].value.heap.offset);
#define CASE(change, error)                                                                                            \
    do {                                                                                                               \
        change;                                                                                                        \
        stamp(frame);                                                                                                  \
        if (read_all(frame) != (error)) fail_msg("not refused: %s", #change);                                          \
        memcpy(frame.bytes, whole, frame.size);                                                                        \
    } while (0)
    CASE((void)0, 0);
    CASE(r[0].name = header->names, YD_EFORMAT);
    CASE(r[0].name = UINT32_MAX, YD_EFORMAT);
    CASE(r[0].kind = 0, YD_EFORMAT);
    CASE(r[0].kind = YD_KIND_COUNT, YD_EFORMAT);
    CASE(r[0].kind = YD_TALLY, YD_EFORMAT); /* the header says SAMPLE, EVENT, PACKET, ROW */
    CASE(header->kinds |= YD_KIND_BIT(YD_FACT), YD_EFORMAT);
    CASE(r[0].type = YD_TYPE_COUNT, YD_EFORMAT);
    CASE(r[0].type = 0x84, YD_EFORMAT);
    CASE(r[0].type = YD_NIL, YD_EFORMAT); /* with a value */
    CASE(r[0].flags = 0x80, YD_EFORMAT);
    CASE(r[1].value.bits = 2, YD_EFORMAT); /* BOOL */
    CASE(r[0].value.f64 = -7, 0);
    CASE(r[3].type = YD_U64, YD_EFORMAT);  /* a PACKET is bytes */
    CASE(r[4].type = YD_LIST, YD_EFORMAT); /* a ROW is a MAP */
    CASE(r[0].time_ns = 4, YD_EFORMAT);    /* below time_min */
    CASE(r[4].time_ns = 10, YD_EFORMAT);   /* above time_max */
    CASE(header->time_min = 4, YD_EFORMAT);
    CASE(header->time_max = 10, YD_EFORMAT);
    CASE((r[1].time_ns = 7, r[2].time_ns = 6), YD_EFORMAT); /* not sorted */
    CASE((r[1].time_ns = 7, r[2].time_ns = 6, header->flags = 0), 0);
    CASE(header->flags = 0, 0); /* sorted without saying so */
    CASE(n[0].hash ^= 1, YD_EFORMAT);
    CASE(n[0].size = 0, YD_EFORMAT);
    CASE(n[0].size = YD_NAME_SIZE_MAX + 1, YD_EFORMAT);
    CASE(n[0].offset += 8, YD_EFORMAT);
    CASE(n[0].offset = UINT32_MAX - 7, YD_EFORMAT);
    CASE((heap[0] = '\xff', n[0].hash = yd_hash(heap, n[0].size)), YD_EFORMAT); /* not UTF-8 */
    CASE((heap[0] = 0, n[0].hash = yd_hash(heap, n[0].size)), YD_EFORMAT);
    CASE((heap[0] = 'C', n[0].hash = yd_hash(heap, n[0].size)), 0);
    CASE((n[1] = n[0]), YD_EFORMAT); /* shared, and the other one is hidden */
    CASE(r[2].value.heap.offset += 1, YD_EFORMAT);
    CASE(r[2].value.heap.size -= 1, YD_EFORMAT); /* half a character; and padding that is not zero */
    CASE(r[3].value.heap.size -= 1, YD_EFORMAT);
    CASE(r[3].value.heap.size += 1, 0); /* a byte of padding becomes one of the blob: nothing wrong with that */
    CASE(r[3].value.heap.size = 9, YD_EFORMAT);
    CASE(r[3].value.heap.size = UINT32_MAX, YD_EFORMAT);
    CASE(r[3].value.heap.offset = 0x80000000, YD_EFORMAT);
    CASE(r[3].value.bits = 0, YD_EFORMAT); /* its bytes would be hidden in the heap */
    CASE(heap[r[2].value.heap.offset] = '\x80', YD_EFORMAT);
    CASE(heap[r[3].value.heap.offset + 3] = 1, YD_EFORMAT); /* padding */
    CASE(map->count++, YD_EFORMAT);
    CASE(map->count = UINT32_MAX, YD_EFORMAT);
    CASE(map->reserved = 1, YD_EFORMAT);
    CASE(map->cell[0].reserved[2] = 1, YD_EFORMAT);
    CASE(map->cell[0].name = YD_NO_NAME, YD_EFORMAT);
    CASE(map->cell[0].type = YD_TYPE_COUNT, YD_EFORMAT);
    CASE(map->cell[0].value.heap.offset += 4096, YD_EFORMAT);
    CASE(list->cell[0].name = 0, YD_EFORMAT);
    CASE(list->cell[1].value.bits = 1, YD_EFORMAT); /* NIL */
    CASE(r[4].value.heap.size -= 16, YD_EFORMAT);
    CASE(map->cell[1].value = r[4].value, YD_EFORMAT); /* a map inside itself */
    CASE(map->cell[0] = map->cell[1], YD_EFORMAT);     /* one list twice */
#undef CASE
    free(whole);
    free(frame.bytes);
}

/* Lists of lists, each twice the one below: without the rule against sharing this walk has 2^31 steps. */
/* Batches of BLOBs alone have a loop of their own: it refuses what the other one does. */
static void blobs_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct yd_builder *builder;
    struct yd_batch *batch;
    uint32_t name;
    assert_ok(yd_builder_create(NULL, &builder));
    assert_ok(yd_builder_name(builder, YD_STR("p"), &name));
    for (int i = 0; i < 20; i++)
        assert_ok(yd_builder_add_bytes(builder, i, name, YD_PACKET, YD_BLOB, 0,
                                       (struct yd_str){"0123456789abcdefghij", (size_t)(i ? i : 20)}));
    assert_ok(yd_builder_add_bytes(builder, 20, name, YD_PACKET, YD_BLOB, 0, YD_STR("")));
    assert_ok(yd_builder_seal(builder, &batch));
    yd_builder_destroy(builder);
    struct frame frame = frame_of(batch);
    struct yd_record *records = (void *)body_of(frame);
    char *heap = body_of(frame) + header_of(frame)->count * sizeof *records + sizeof(struct yd_name_entry);
    assert_ok(open_frame(frame));
#define REFUSED(place, value)                                                                                          \
    do {                                                                                                               \
        __typeof__(place) before = (place);                                                                            \
        (place) = (value);                                                                                             \
        stamp(frame);                                                                                                  \
        if (open_frame(frame) != YD_EFORMAT) fail_msg("not refused: %s = %s", #place, #value);                         \
        (place) = before;                                                                                              \
    } while (0)
    REFUSED(records[8].value.heap.offset, records[8].value.heap.offset + 4);
    REFUSED(records[3].value.heap.offset, 1 << 20);
    REFUSED(records[3].value.heap.size, UINT32_MAX);
    REFUSED(records[3].value.heap.size, 40);
    REFUSED(records[20].value.heap.offset, 8);            /* nothing stands at 0 */
    REFUSED(heap[records[5].value.heap.offset + 5], 'x'); /* behind it are zeros */
    REFUSED(heap[records[5].value.heap.offset + 7], 1);
#undef REFUSED
    stamp(frame);
    assert_ok(open_frame(frame));
    yd_batch_unref(batch);
    free(frame.bytes);
}

static void shared_lists_cannot_explode(void **state)
{
    (void)state;
    enum { LEVELS = YD_BATCH_DEPTH_MAX, NODE = 8 + 2 * 16 };
    uint32_t heap_size = LEVELS * NODE + 8, body_size = 24 + 16 + heap_size;
    struct frame frame = {.size = YD_ALIGN_UP(128 + body_size, 64)};
    frame.bytes = aligned_alloc(64, frame.size);
    memset(frame.bytes, 0, frame.size);
    struct yd_header *header = header_of(frame);
    *header = (struct yd_header){.magic = YD_BATCH_MAGIC, .version = 1, .size = (uint32_t)frame.size, .count = 1};
    header->names = 1;
    header->kinds = YD_KIND_BIT(YD_FACT);
    header->body_size = header->raw_size = body_size;
    struct yd_record *record = (void *)body_of(frame);
    *record = (struct yd_record){.kind = YD_FACT, .type = YD_LIST, .value.heap = {8, NODE}};
    struct yd_name_entry *name = (void *)(record + 1);
    char *heap = (char *)(name + 1);
    heap[0] = 'x';
    *name = (struct yd_name_entry){0, 1, yd_hash("x", 1)};
    for (uint32_t level = 0; level < LEVELS; level++) {
        struct yd_cells *cells = (void *)(heap + 8 + level * NODE);
        cells->count = 2;
        for (int i = 0; i < 2; i++) {
            cells->cell[i] = (struct yd_cell){.name = YD_NO_NAME, .type = YD_NIL};
            if (level + 1 < LEVELS) {
                cells->cell[i].type = YD_LIST;
                cells->cell[i].value.heap.offset = 8 + (level + 1) * NODE;
                cells->cell[i].value.heap.size = NODE;
            }
        }
    }
    stamp(frame);
    assert_error(open_frame(frame), YD_EFORMAT);
    free(frame.bytes);
}

static void a_body_is_shared_until_its_last_batch_goes(void **state)
{
    (void)state;
    struct frame frame = small_frame();
    struct yd_batch *batch, *other;
    assert_ok(yd_batch_from_bytes(frame.bytes, frame.size, &batch));
    assert_ok(yd_batch_from_body(&batch->header, batch->body, true, &other));
    struct yd_body *body = batch->body;
    assert_int_equal(body->refs, 2);
    yd_batch_unref(batch);
    assert_int_equal(body->refs, 1);
    struct yd_header header = other->header;
    header.body_crc ^= 1;
    header.header_crc = yd_header_crc(&header);
    assert_error(yd_batch_from_body(&header, body, true, &batch), YD_ECORRUPT);
    assert_ok(yd_batch_from_body(&header, body, false, &batch)); /* not asked for */
    yd_batch_unref(batch);
    /* A compressed body is opaque, but its checksum is not. */
    header = other->header;
    header.codec = YD_CODEC_ZSTD;
    header.header_crc = yd_header_crc(&header);
    assert_ok(yd_batch_from_body(&header, body, true, &batch));
    assert_null(batch->view.records);
    struct yd_batch *part;
    assert_error(yd_batch_slice(batch, 0, 1, &part), YD_ENOTSUP);
    struct yd_view view;
    assert_error(yd_view_open(&header, body->data, true, &view), YD_ENOTSUP);
    yd_batch_unref(batch);
    header.body_crc ^= 1;
    header.header_crc = yd_header_crc(&header);
    assert_error(yd_batch_from_body(&header, body, true, &batch), YD_ECORRUPT);
    assert_error(yd_view_open(&other->header, (const char *)body->data + 4, true, &view), YD_EINVAL);
    struct yd_body small = *body;
    small.size--;
    assert_error(yd_batch_from_body(&other->header, &small, true, &batch), YD_EFORMAT);
    yd_batch_unref(other);
    free(frame.bytes);
}

static void kinds_and_types_have_names(void **state)
{
    (void)state;
    assert_string_equal(yd_kind_name(YD_SAMPLE), "SAMPLE");
    assert_string_equal(yd_kind_name(YD_ROW), "ROW");
    assert_string_equal(yd_kind_name(YD_KIND_COUNT), "?");
    assert_string_equal(yd_type_name(YD_MAP), "MAP");
    assert_string_equal(yd_type_name(YD_TYPE_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_cut_frame_asks_for_more),
        cmocka_unit_test(forged_frames_never_lead_outside),
        cmocka_unit_test(headers_that_cannot_be_are_refused),
        cmocka_unit_test(bodies_that_cannot_be_are_refused),
        cmocka_unit_test(blobs_that_cannot_be_are_refused),
        cmocka_unit_test(shared_lists_cannot_explode),
        cmocka_unit_test(a_body_is_shared_until_its_last_batch_goes),
        cmocka_unit_test(kinds_and_types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
