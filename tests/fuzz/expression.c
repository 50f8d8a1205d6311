/* Expressions and limit clauses from any bytes: compiled or refused with a place, evaluated with any readings, their
 * state saved and loaded; and any bytes as a state. */
#include "decom/expression.h"
#include "decom/limits.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int find(void *opaque, struct yd_str name, uint32_t *ret_slot, enum yd_type *ret_type)
{
    static const enum yd_type types[] = {YD_F64, YD_I64, YD_U64, YD_BOOL, YD_TEXT, YD_NIL};
    (void)opaque;
    if (name.size > 2) return YD_ENOENT;
    *ret_slot = (uint32_t)(unsigned char)name.data[0];
    *ret_type = types[*ret_slot % YD_COUNT(types)];
    return 0;
}

static struct yd_str known(void *opaque, size_t index)
{
    (void)opaque;
    return index == 0 ? YD_STR("altitude") : YD_STR("");
}

static void must(bool condition)
{
    if (!condition) abort();
}

static void use(struct yd_expression *expression, struct yd_str text, const uint8_t *data, size_t size)
{
    struct yd_reading values[256];
    struct yd_expression_state *state = NULL, *other = NULL;
    struct yd_buf saved;
    yd_buf_init(&saved, NULL);
    must(yd_expression_state_create(expression, NULL, &state) == 0);
    must(yd_expression_state_create(expression, NULL, &other) == 0);
    int64_t now = 0;
    for (size_t i = 0; i < 8; i++) {
        for (size_t s = 0; s < 256; s++) {
            uint64_t bits = 0;
            memcpy(&bits, data + (s + i * 3) % size, size - (s + i * 3) % size < 8 ? size - (s + i * 3) % size : 8);
            uint8_t type = (uint8_t)((s + data[(s + i) % size]) % 6);
            values[s] = (struct yd_reading){.type = type, .flags = data[(s * 7 + i) % size], .bits = bits};
            if (type == YD_BOOL) values[s].bits &= 1;
            if (type == YD_TEXT) values[s] = yd_reading_text(text, values[s].flags);
        }
        now += (int64_t)(data[i % size] - 100) * 100000000;
        struct yd_reading one = yd_expression_eval(expression, values, now, state),
                          two = yd_expression_eval(expression, values, now, other);
        must(one.type == YD_NIL || one.type == yd_expression_type(expression));
        must(one.type != YD_F64 || isfinite(one.f64));
        must(one.type != YD_BOOL || one.bits <= 1);
        must(one.type == two.type && one.flags == two.flags && one.bits == two.bits);
        yd_buf_clear(&saved);
        yd_expression_state_save(state, &saved);
        must(yd_expression_state_load(other, yd_buf_view(&saved)) == 0);
    }
    if (saved.size > 24) { /* the rest of the input as what is saved */
        memcpy(saved.data + 16, data, size < saved.size - 16 ? size : saved.size - 16);
        if (yd_expression_state_load(other, yd_buf_view(&saved)) == 0)
            (void)yd_expression_eval(expression, values, now, other);
    }
    yd_buf_fini(&saved);
    yd_expression_state_destroy(state);
    yd_expression_state_destroy(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct yd_expression_names names = {NULL, find, known};
    struct yd_str text = {(const char *)data, size};
    struct yd_expression *expression = NULL;
    struct yd_limit_clause clause;
    struct yd_mistake mistake;
    struct yd_buf shown;
    size_t used = 0;
    if (size == 0) return 0;
    yd_buf_init(&shown, NULL);
    for (int part = 0; part < 2; part++) {
        int error = yd_expression_compile(text, &names, NULL, part ? &used : NULL, &expression, &mistake);
        if (error == 0) {
            must(!part || used <= size);
            if (yd_expression_state_size(expression) < 200000) use(expression, text, data, size);
            yd_expression_destroy(expression);
        } else {
            must(mistake.error == error && mistake.message[0] && mistake.offset <= size && mistake.line > 0);
            yd_mistake_show(&mistake, text, "", 0, &shown);
        }
        error = yd_limit_parse(text, part ? &used : NULL, &clause, &mistake);
        must(error == 0 || (mistake.error == error && mistake.message[0] && mistake.offset <= size));
        if (error < 0) continue;
        struct yd_limits *limits;
        uint32_t rule = YD_LIMIT_NEW, item;
        struct yd_limit_change change;
        char words[64];
        must(yd_limits_create(NULL, &limits) == 0 && yd_limits_define(limits, &rule, &clause) == 0 &&
             yd_limits_watch(limits, rule, &item) == 0);
        for (size_t i = 0; i < size; i++) {
            struct yd_reading reading = yd_reading_f64(data[i], 0);
            if (yd_limits_update(limits, item, &reading, (int64_t)i, (int64_t)i, &change))
                (void)yd_limit_change_text(limits, &change, words, sizeof words);
        }
        yd_limits_destroy(limits);
    }
    yd_buf_fini(&shown);
    return 0;
}
