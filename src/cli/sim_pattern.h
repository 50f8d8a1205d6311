/* cli/sim_pattern.h: what `yarder sim` lets a measurement do over time.
 *
 *   rocket.flight.altitude=sine:0..4200:60s   mode=const:BOOST   *=random
 *   NAME or a glob, = kind [: LOW..HIGH, or a value] [: period]
 *
 * The first rule that matches a name counts. A value depends on the rule, the time since the beginning, the number of
 * the packet and the seed, on nothing else: the same seed gives the same packets. One thread. */
#ifndef CLI_SIM_PATTERN_H
#define CLI_SIM_PATTERN_H

#include "decom/encode.h"

enum sim_kind { SIM_SINE, SIM_RAMP, SIM_SQUARE, SIM_RANDOM, SIM_CONST };
struct sim_rule {
    struct yd_str name; /* a glob, or the whole name, or its last parts */
    enum sim_kind kind;
    bool ranged, used;
    double low, high;
    struct yd_str text; /* of const */
    int64_t period_ns;
};
#define SIM_RULES_MAX 256
struct sim_patterns {
    struct sim_rule rules[SIM_RULES_MAX + 1]; /* one more: the last one is for whatever no rule matches */
    uint32_t count;
    uint64_t seed;
};
struct sim_moment {
    int64_t since_ns, wall_ns;
    uint64_t number; /* of this kind of packet */
};

/* Rules, separated by spaces, commas or lines; `#` begins a comment. The text must stay. 0, or YD_EFORMAT with the
 * word that was not understood; YD_EFULL. */
int sim_patterns_read(struct sim_patterns *patterns, struct yd_str text, struct yd_str *ret_word);
/* What the field shall be. `text` is room for a text, 64 bytes. */
void sim_patterns_value(struct sim_patterns *patterns, const struct yd_def *def, const struct yd_encode_ask *ask,
                        const struct sim_moment *moment, char *text, struct yd_encode_answer *answer);
double sim_chance(uint64_t seed, struct yd_str name, uint64_t number); /* 0 <= result < 1 */

#endif
