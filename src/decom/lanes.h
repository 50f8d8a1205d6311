/* decom/lanes.h: fields of fixed place in tight loops.
 *
 * Fields of one shape are one lane: their operands lie in arrays, and a loop without branches runs over them. An eight
 * byte load, a byte swap for the big-endian half, two shifts: that is any integer that touches at most eight bytes. A
 * line as calibration is computed in the same pass.
 *
 *   lane   load          value
 *   UB UL  big, little   unsigned           UB' UL'  c0 + c1·x
 *   SB SL                two's complement   SB' SL'
 *   FB FL                binary32           FB' FL'
 *   DB DL                binary64           DB' DL'
 *
 * A load is placed so that its eight bytes are inside of the packet's least size; of a packet smaller than that a copy
 * with zeros behind it is read. */
#ifndef DECOM_LANES_H
#define DECOM_LANES_H

#include <yarder/batch.h>

enum yd__lane_shape {
    YD__LANE_U,
    YD__LANE_S,
    YD__LANE_F,
    YD__LANE_D,
    YD__LANE_SHAPES,
};
#define YD__LANE_LITTLE 4
#define YD__LANE_LINE   8
#define YD__LANES       16 /* shape | LITTLE | LINE */

struct yd__lanes {
    uint32_t count;  /* of all values: slots 0 to count - 1 */
    uint32_t *names; /* of each slot: index into the program's names */
    uint64_t least;  /* bytes that are read; at least 8 */
    uint32_t sizes[YD__LANES];
    /* Operands of all lanes one behind the other, each kind in an array of its own. */
    uint32_t *byte;
    uint8_t *left, *right;
    uint32_t *slot;
    double *c0, *c1;
};

/* Writes the values of `data` (of lanes->least bytes) into records[slot].value. */
void yd__lanes_run(const struct yd__lanes *lanes, const uint8_t *data, struct yd_record *records);

#endif
