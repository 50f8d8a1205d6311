/* Rejected lines as records. See rejects.h. A line that is no text is a BLOB. */
#include "elements/rejects.h"

#include <yarder/name.h>

#include "base/text.h"

#define BATCH_BYTES   (UINT32_C(256) << 10)
#define LINE_MAX_KEPT 4096

struct yd_rejects {
    struct yd_builder *builder;
    char name[YD_NAME_SIZE_MAX];
    size_t name_size;
};

int yd_rejects_create(const char *element, struct yd_rejects **ret_rejects)
{
    struct yd_rejects *rejects = yd_alloc_zero(NULL, sizeof *rejects);
    if (!rejects) return YD_ENOMEM;
    struct yd_builder_options options = {.size_max = BATCH_BYTES};
    int r = yd_builder_create(&options, &rejects->builder);
    if (r < 0) {
        yd_alloc_put(NULL, rejects, sizeof *rejects);
        return r;
    }
    char text[512] = "rejects element=";
    size_t size = strlen(text), element_size = strnlen(element, 200);
    size += yd_name_escape((struct yd_str){element, element_size}, text + size);
    if (yd_name_canonical((struct yd_str){text, size}, rejects->name, &rejects->name_size) < 0) {
        memcpy(rejects->name, "rejects", 7);
        rejects->name_size = 7;
    }
    *ret_rejects = rejects;
    return 0;
}

void yd_rejects_destroy(struct yd_rejects *rejects)
{
    if (!rejects) return;
    yd_builder_destroy(rejects->builder);
    yd_alloc_put(NULL, rejects, sizeof *rejects);
}

static int add_bytes(struct yd_builder *builder, struct yd_str name, struct yd_str bytes)
{
    return yd_builder_cell_bytes(builder, name, yd_text_utf8(bytes) ? YD_TEXT : YD_BLOB, bytes);
}

static int add(struct yd_rejects *rejects, int64_t wall_ns, const char *reason, struct yd_str peer, struct yd_str line)
{
    uint32_t name;
    struct yd_builder *builder = rejects->builder;
    int r = yd_builder_name(builder, (struct yd_str){rejects->name, rejects->name_size}, &name);
    if (r == 0) r = yd_builder_begin(builder, wall_ns, name, YD_ROW, 0, YD_MAP);
    if (r == 0) r = yd_builder_cell_bytes(builder, YD_STR("reason"), YD_TEXT, yd_str_of(reason));
    if (r == 0) r = add_bytes(builder, YD_STR("peer"), peer);
    if (r == 0) r = add_bytes(builder, YD_STR("line"), line);
    if (r == 0) r = yd_builder_end(builder);
    return r;
}

struct yd_batch *yd_rejects_add(struct yd_rejects *rejects, int64_t wall_ns, const char *reason, struct yd_str peer,
                                struct yd_str line)
{
    struct yd_batch *full = NULL;
    if (line.size > LINE_MAX_KEPT) line.size = LINE_MAX_KEPT;
    if (add(rejects, wall_ns, reason, peer, line) == YD_EFULL) {
        full = yd_rejects_take(rejects);
        (void)add(rejects, wall_ns, reason, peer, line); /* out of memory: it was counted */
    }
    return full;
}

struct yd_batch *yd_rejects_take(struct yd_rejects *rejects)
{
    struct yd_batch *batch;
    return yd_builder_seal(rejects->builder, &batch) == 0 ? batch : NULL;
}

void yd_reject(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port, unsigned reason, const char *text,
               struct yd_str sample, struct yd_str peer)
{
    yd_pump_count_rejected(pump, reason, 1, sample, peer);
    if (!rejects) return;
    struct yd_batch *full = yd_rejects_add(rejects, yd_pump_wall(pump), text, peer, sample);
    if (full) (void)yd_pump_emit(pump, port, full); /* `pause` comes in any case */
}

void yd_rejects_send(struct yd_pump *pump, struct yd_rejects *rejects, unsigned port)
{
    struct yd_batch *batch = rejects ? yd_rejects_take(rejects) : NULL;
    if (batch) (void)yd_pump_emit(pump, port, batch);
}
