/* The loops over lanes: see lanes.h. */
#include "decom/lanes.h"

static inline uint64_t load_big(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return __builtin_bswap64(word);
}

static inline uint64_t load_little(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static inline double as_f32(uint64_t bits)
{
    float value;
    uint32_t low = (uint32_t)bits;
    memcpy(&value, &low, 4);
    return (double)value;
}

static inline double as_f64(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

#define BITS(load)   (load(data + byte[i]) << left[i] >> right[i])
#define SIGNED(load) ((int64_t)(load(data + byte[i]) << left[i]) >> right[i])

#define LANE(expression)                                                                                               \
    for (; i < end; i++) records[slot[i]].value = (expression);                                                        \
    break
#define PLAIN_U(x) ((union yd_value){.u64 = (x)})
#define PLAIN_S(x) ((union yd_value){.i64 = (x)})
#define PLAIN_F(x) ((union yd_value){.f64 = (x)})
#define LINE(x)    ((union yd_value){.f64 = (double)(x)*c1[i] + c0[i]})

void yd__lanes_run(const struct yd__lanes *lanes, const uint8_t *data, struct yd_record *records)
{
    const uint32_t *byte = lanes->byte, *slot = lanes->slot;
    const uint8_t *left = lanes->left, *right = lanes->right;
    const double *c0 = lanes->c0, *c1 = lanes->c1;
    uint32_t i = 0, end = 0;
    for (unsigned lane = 0; lane < YD__LANES; lane++) {
        if (!lanes->sizes[lane]) continue;
        end += lanes->sizes[lane];
        switch (lane) {
        case YD__LANE_U:
            LANE(PLAIN_U(BITS(load_big)));
        case YD__LANE_S:
            LANE(PLAIN_S(SIGNED(load_big)));
        case YD__LANE_F:
            LANE(PLAIN_F(as_f32(BITS(load_big))));
        case YD__LANE_D:
            LANE(PLAIN_F(as_f64(BITS(load_big))));
        case YD__LANE_U | YD__LANE_LITTLE:
            LANE(PLAIN_U(BITS(load_little)));
        case YD__LANE_S | YD__LANE_LITTLE:
            LANE(PLAIN_S(SIGNED(load_little)));
        case YD__LANE_F | YD__LANE_LITTLE:
            LANE(PLAIN_F(as_f32(BITS(load_little))));
        case YD__LANE_D | YD__LANE_LITTLE:
            LANE(PLAIN_F(as_f64(BITS(load_little))));
        /* Unsigned ones here have at most 63 bits: the signed conversion is one instruction. */
        case YD__LANE_U | YD__LANE_LINE:
            LANE(LINE((int64_t)BITS(load_big)));
        case YD__LANE_S | YD__LANE_LINE:
            LANE(LINE(SIGNED(load_big)));
        case YD__LANE_F | YD__LANE_LINE:
            LANE(LINE(as_f32(BITS(load_big))));
        case YD__LANE_D | YD__LANE_LINE:
            LANE(LINE(as_f64(BITS(load_big))));
        case YD__LANE_U | YD__LANE_LITTLE | YD__LANE_LINE:
            LANE(LINE((int64_t)BITS(load_little)));
        case YD__LANE_S | YD__LANE_LITTLE | YD__LANE_LINE:
            LANE(LINE(SIGNED(load_little)));
        case YD__LANE_F | YD__LANE_LITTLE | YD__LANE_LINE:
            LANE(LINE(as_f32(BITS(load_little))));
        case YD__LANE_D | YD__LANE_LITTLE | YD__LANE_LINE:
            LANE(LINE(as_f64(BITS(load_little))));
        }
    }
}
