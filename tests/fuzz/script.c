/* Scripts from any bytes: read or refused with a line, called with any values; what they keep is saved, loaded and
 * saved alike; and any bytes as what was saved. */
#include <math.h>
#include <stdlib.h>

#include "elements/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void use(struct yd_script *script, const uint8_t *data, size_t size)
{
    struct yd_reading values[YD_SCRIPT_INPUTS_MAX];
    size_t handlers;
    (void)yd_script_handlers(script, &handlers);
    for (uint32_t i = 0; i < handlers && i < 8; i++) {
        const struct yd_script_result *results;
        size_t count;
        for (size_t v = 0; v < YD_SCRIPT_INPUTS_MAX; v++)
            values[v] = v % 2 ? yd_reading_i64(data[v % size], 0) : yd_reading_f64(data[v % size] / 3.0, 0);
        enum yd_script_fault fault = yd_script_call(script, i, values, data[0], YD_STR("a.b"), &results, &count);
        must(fault == YD_SCRIPT_FINE || (count == 0 && yd_script_why(script)[0]));
        for (size_t r = 0; r < count; r++) {
            must(results[r].name.size > 0);
            must(results[r].value.type != YD_F64 || isfinite(results[r].value.f64));
        }
    }
    (void)yd_script_forget(script, NULL, YD_STR("a.b"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char keeps[] = "on('a', function(a) state.n = (state.n or 0) + a return { n = state.n } end)";
    const struct yd_script_options options = {.memory_max = 256 << 10, .steps_max = 20000};
    struct yd_str text = {(const char *)data, size};
    struct yd_script *script = NULL, *other = NULL;
    struct yd_buf saved, again;
    char why[300];
    if (size == 0) return 0;
    yd_buf_init(&saved, NULL);
    yd_buf_init(&again, NULL);
    if (yd_script_open("f.lua", text, &options, YD_STR(""), why, sizeof why, &script) == 0) {
        use(script, data, size);
        yd_script_save(script, &saved);
        if (!saved.failed &&
            yd_script_open("f.lua", YD_STR(keeps), &options, yd_buf_view(&saved), why, sizeof why, &other) == 0) {
            yd_script_save(other, &again);
            must(again.failed || saved.size <= 1 || yd_str_eq(yd_buf_view(&saved), yd_buf_view(&again)));
            yd_script_destroy(other);
        }
        yd_script_destroy(script);
    } else {
        must(why[0] != 0);
    }
    if (yd_script_open("f.lua", YD_STR(keeps), &options, text, why, sizeof why, &script) == 0) {
        use(script, data, size);
        yd_script_destroy(script);
    }
    yd_buf_fini(&saved);
    yd_buf_fini(&again);
    return 0;
}
