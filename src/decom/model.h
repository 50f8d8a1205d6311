/* decom/model.h: a definition as data: what lies in packets, before anything is compiled.
 *
 *   .ydm ──▶ ydm.c ─┐
 *   XTCE ──▶        ├─▶ struct yd_def ──▶ plan.c (checks, compiles) ──▶ struct yd_plan
 *   others ▶        ┘        │
 *                            └──▶ ydm_write.c ──▶ .ydm
 *
 * A definition owns an arena; all that hangs in it lives there and is linked in the order in which it was added. Text
 * handed in is copied. Whoever fills it:
 *
 *     yd_def_create(NULL, &def);
 *     header = yd_def_container(def, YD_STR("header"), place);      header->abstract = true;
 *     entry = yd_def_entry(def, &header->entries, YD_STR("apid"), place);
 *     entry->type = yd_def_type(def, YD_STR(""), place);             entry->type->bits = 16;
 *     imu = yd_def_container(def, YD_STR("imu"), place);             imu->parent = header;
 *     imu->when = yd_def_compare(def, YD_STR("apid"), YD_DEF_EQ, yd_def_u64(3), place);
 *
 * The functions return NULL when memory is out (and def->failed stays true). Zero is everywhere the common case.
 *
 * What a source says and this cannot decode is represented all the same, with `unsupported` saying why in the user's
 * words: such a type, entry or container is shown, and never decoded by guessing. A field behind one of unknown size is
 * not decoded either. Nothing here is checked: yd_plan_compile does that, for every source alike, and reports at the
 * places given. A place without a line (zeroed) is a place nobody knows. One thread. */
#ifndef DECOM_MODEL_H
#define DECOM_MODEL_H

#include "base/diagnostics.h"
#include "decom/checksum.h"
#include "decom/limits.h"

/* ---- values and conditions ---- */

enum yd_def_value_type { YD_DEF_U64, YD_DEF_I64, YD_DEF_F64, YD_DEF_TEXT, YD_DEF_BLOB };
struct yd_def_value {
    enum yd_def_value_type type;
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
        struct yd_str text; /* TEXT: a label of an enumeration, or a string's content */
    };
};
static inline struct yd_def_value yd_def_u64(uint64_t value)
{
    return (struct yd_def_value){.type = YD_DEF_U64, .u64 = value};
}
static inline struct yd_def_value yd_def_i64(int64_t value)
{
    return (struct yd_def_value){.type = YD_DEF_I64, .i64 = value};
}
static inline struct yd_def_value yd_def_f64(double value)
{
    return (struct yd_def_value){.type = YD_DEF_F64, .f64 = value};
}

/* A field named elsewhere: of the same container, before it; else of its parents. In groups "gps.count". */
struct yd_def_ref {
    struct yd_str name; /* size 0: none */
    struct yd_place place;
};

enum yd_def_op { YD_DEF_EQ, YD_DEF_NE, YD_DEF_LT, YD_DEF_LE, YD_DEF_GT, YD_DEF_GE };
enum yd_def_logic { YD_DEF_COMPARE, YD_DEF_AND, YD_DEF_OR, YD_DEF_NOT };
struct yd_def_condition {
    enum yd_def_logic logic;
    struct yd_place place;
    struct yd_def_condition *a, *b; /* NOT: a */
    struct yd_def_ref field;        /* COMPARE */
    enum yd_def_op op;
    struct yd_def_value value;
    bool calibrated; /* compare the engineering value; else the raw one. A label is compared as label in any case */
    struct yd_def_ref other; /* COMPARE: with this number instead of `value` */
    bool other_calibrated;
};

/* A number that may be told by a field: field × scale + offset; or looked up: the first choice that holds, + offset. */
struct yd_def_choice {
    struct yd_def_choice *next;
    struct yd_def_condition *when; /* NULL: always */
    int64_t value;
};
struct yd_def_amount {
    struct yd_def_ref field;       /* none: `offset` is the number */
    struct yd_def_choice *choices; /* and no field. None holds: a damaged packet */
    int64_t scale, offset;         /* scale 0 with a field: 1 */
    uint64_t max;                  /* with a field: more than this is a damaged packet; 0: 65535 bytes, 1024 items */
};
static inline bool yd_def_is_told(const struct yd_def_amount *amount) /* by the packet; else it is always the same */
{
    return amount->field.name.size || amount->choices;
}

/* ---- types ---- */

enum yd_def_encoding {
    YD_DEF_UNSIGNED,
    YD_DEF_TWOS,           /* two's complement */
    YD_DEF_ONES,           /* ones' complement */
    YD_DEF_SIGN_MAGNITUDE, /* first bit: negative */
    YD_DEF_OFFSET_BINARY,  /* unsigned minus half the range */
    YD_DEF_BCD,            /* four bits a digit */
    YD_DEF_GRAY,
    YD_DEF_IEEE,     /* 16, 32, 64 bits */
    YD_DEF_MIL1750A, /* 32: 24 bits mantissa, 8 exponent; 48: 24, 8, 16 more of mantissa */
    YD_DEF_STRING,
    YD_DEF_BINARY,
    YD_DEF_CUC,   /* CCSDS 301.0-B unsegmented: `coarse` bytes of seconds, `fine` bytes of their fraction */
    YD_DEF_CDS,   /* CCSDS 301.0-B day segmented: `coarse` bytes of days (2, 3), 4 of ms, `fine` bytes (0: none, 2: µs
                     of the ms, 4: ps of the ms) */
    YD_DEF_GROUP, /* an aggregate: `entries` */
    YD_DEF_ENCODING_COUNT
};
/* How bits are counted, in a type and so for the place of whatever has it. MSB0: bit 0 is the highest of the first byte
 * (CCSDS, XTCE). LSB0: bit 0 is the lowest of the first byte, and a field grows upwards: bitfields as a little-endian
 * compiler lays them out. In both, position = byte × 8 + bit. */
enum yd_def_numbering { YD_DEF_MSB0, YD_DEF_LSB0 };
/* For whole bytes. An MSB0 type reads big-endian by nature, an LSB0 type little-endian; a size that is no multiple of 8
 * has no other order than that (it is refused, not guessed). Up to 8 bits have none: any is ignored. */
enum yd_def_order { YD_DEF_NATURAL, YD_DEF_BIG, YD_DEF_LITTLE, YD_DEF_PERMUTED };
enum yd_def_extent {
    YD_DEF_FIXED,      /* `size` bytes, perhaps told by a field */
    YD_DEF_TERMINATED, /* up to and with `terminator`; at most size.max bytes without it */
    YD_DEF_PREFIXED,   /* a number of `prefix_bits` before it tells the bytes */
    YD_DEF_REST,       /* all that is left of the packet */
};
enum yd_def_charset { YD_DEF_UTF8, YD_DEF_ASCII, YD_DEF_LATIN1, YD_DEF_UTF16BE, YD_DEF_UTF16LE };

/* From raw to engineering value. */
enum yd_def_calibrator {
    YD_DEF_POLYNOMIAL, /* Σ a[i] xⁱ */
    YD_DEF_RATIONAL,   /* Σ a[i] xⁱ / Σ b[i] xⁱ */
    YD_DEF_STEPS,      /* points a[i] (raw, rising) → b[i]: that of the last point at or below (spline of order 0) */
    YD_DEF_SPLINE,     /* likewise, straight lines between (order 1) */
    YD_DEF_TABLE,      /* likewise, exactly those: any other raw value has no engineering value */
    YD_DEF_EXPRESSION, /* `text`, over x (the raw value) and other fields */
};
struct yd_def_calibration {
    struct yd_def_calibration *next;
    struct yd_place place;
    struct yd_def_condition *when; /* in context: the first whose condition holds. NULL: always */
    enum yd_def_calibrator kind;
    double *a, *b;
    uint32_t a_count, b_count; /* STEPS, SPLINE, TABLE: equal */
    bool extrapolate;          /* SPLINE, STEPS: beyond the ends, too; else the end's value, and its quality suspect */
    struct yd_str text;        /* EXPRESSION */
    const char *unsupported;
};

struct yd_def_label { /* of an enumeration: raw values first … last */
    struct yd_def_label *next;
    struct yd_place place;
    int64_t first, last;
    struct yd_str text;
};

enum yd_def_epoch {
    YD_DEF_EPOCH_NONE,
    YD_DEF_EPOCH_UNIX,  /* 1970-01-01 UTC; leap seconds not counted */
    YD_DEF_EPOCH_TAI,   /* 1958-01-01 TAI; every second counted */
    YD_DEF_EPOCH_GPS,   /* 1980-01-06 UTC; every second counted */
    YD_DEF_EPOCH_J2000, /* 2000-01-01 12:00 TT; every second counted */
    YD_DEF_EPOCH_DATE,  /* `epoch_ns`, UTC */
};

/* Limits of one measurement. Either `clause` is filled (its texts in the definition's memory), or `text` is what
 * somebody wrote, and the compiler reads it (limits.h has the language). Several: one for each named set. */
struct yd_def_limits {
    struct yd_def_limits *next;
    struct yd_place place;      /* of the text's first character, when there is one */
    struct yd_place name_place; /* of `measurement` */
    struct yd_str measurement;  /* of a top-level `limits NAME …`; "": the entry it hangs on */
    struct yd_str text;         /* "": the clause is filled */
    struct yd_limit_clause clause;
    const char *unsupported;
};

struct yd_def_entry;
struct yd_def_entries {
    struct yd_def_entry *first, *last;
};

struct yd_def_type {
    struct yd_def_type *next;
    struct yd_str name; /* "": written in place */
    struct yd_place place;
    const char *unsupported;
    enum yd_def_encoding encoding;
    uint32_t bits; /* numbers: 1 to 64 */
    enum yd_def_numbering numbering;
    enum yd_def_order order;
    uint8_t permutation[8]; /* PERMUTED: [0] is the place (from 0) in the packet of the most significant byte, … */
    bool reversed;          /* bit order: its first bit is the least significant (after the byte order) */
    bool boolean;           /* zero: false */
    bool signed_as_bias;    /* OFFSET_BINARY with `bias` instead of half the range */
    int64_t bias;

    enum yd_def_extent extent; /* STRING, BINARY */
    struct yd_def_amount size; /* bytes */
    uint32_t prefix_bits;      /* 8, 16, 32; in the type's byte order */
    uint8_t terminator[2];
    uint8_t terminator_size; /* 0: one zero byte (two for UTF-16) */
    enum yd_def_charset charset;
    bool trim_off; /* fixed text: by default trailing zero bytes and spaces go */

    uint8_t coarse, fine; /* CUC, CDS */
    enum yd_def_epoch epoch;
    int64_t epoch_ns;  /* DATE */
    bool counts_leaps; /* DATE: every second is counted, as in TAI */
    int64_t tick_ns;   /* a number with an epoch: what one is worth; 0: a second */

    struct yd_def_entries entries; /* GROUP */

    struct yd_def_calibration *calibrations, *calibrations_last;
    struct yd_def_label *labels, *labels_last; /* some: an enumeration */
    struct yd_str label_else;                  /* for other raw values; "": they are told as number */
    struct yd_str unit, doc;
    bool has_valid; /* engineering values outside are suspect */
    bool valid_raw; /* no: raw values */
    double valid_min, valid_max;
    void *compiled; /* the compiler's */
};

/* ---- entries and containers ---- */

enum yd_def_origin {
    YD_DEF_PREVIOUS, /* offset_bits behind the end of the entry before */
    YD_DEF_START,    /* of the container's outermost parent: of the packet. In a group: of the group */
    YD_DEF_END,      /* offset_bits (negative) from the end of the packet */
};
enum yd_def_check_end { YD_DEF_CHECK_FIELD, YD_DEF_CHECK_AT, YD_DEF_CHECK_END };
struct yd_def_check { /* a checksum of the packet's bytes `from` … `to`; where it lies among them it counts as zeros */
    enum yd_checksum kind;
    uint32_t from;
    enum yd_def_check_end end; /* where the field begins; `to`; `to` bytes in front of the packet's end */
    uint32_t to;
    struct yd_place place;
};
struct yd_def_slot { /* commutated: where a piece of it is; pieces are put together first one highest */
    struct yd_def_slot *next;
    struct yd_place place;
    uint32_t word;         /* from 1, the sync pattern included */
    uint32_t frame, every; /* subcommutated: in minor frames frame, frame + every, … (from 0); every 0: one of a major
                              frame. frame UINT32_MAX: in each */
    bool joins;            /* a further piece of the value begun by the slot before; else a sample of its own */
};
struct yd_def_entry {
    struct yd_def_entry *next;
    struct yd_str name; /* "_": room only, not published */
    struct yd_place place;
    const char *unsupported;
    struct yd_def_type *type;
    enum yd_def_origin from;
    int64_t offset_bits;
    struct yd_def_condition *only_if; /* NULL: always there */
    uint32_t dimensions;              /* 0: one; 1: array; 2: rows of columns */
    struct yd_def_amount dimension[2];
    bool to_end;             /* dimension[0]: as many as the packet has room for */
    bool hidden;             /* decoded where needed, not published */
    struct yd_str published; /* another name than container.name; "": none */
    bool has_constant;       /* must be this (raw), else it is not this container */
    uint64_t constant;
    struct yd_def_check check;     /* kind NONE: it is none */
    bool stamp;                    /* a time: that of all values of the packet */
    bool sequence;                 /* counts packets; wraps at its size */
    struct yd_def_ref sequence_by; /* counted for each value of this field apart; none: for each container apart */
    struct yd_str doc;
    struct yd_def_limits *limits, *limits_last;
    struct yd_def_slot *slots, *slots_last; /* of a commutated frame */
};

struct yd_def_container {
    struct yd_def_container *next;
    struct yd_str name;
    struct yd_place place;
    const char *unsupported;
    struct yd_def_container *parent;
    struct yd_def_condition *when; /* over fields of its parents (and own ones of fixed place) */
    bool abstract;                 /* never a packet by itself */
    bool open;                     /* more bytes may follow; else a packet must end where its fields do */
    struct yd_def_entries entries;
    struct yd_str doc;
    /* A commutated frame: PACKETs are pieces of a stream of minor frames. word_bits 0: it is none. */
    uint32_t word_bits, words; /* of a minor frame, sync pattern included */
    uint32_t major;            /* minor frames of a major frame; 0: 1 */
    uint64_t sync, sync_mask;  /* mask 0: all ones */
    uint32_t sync_bits;
    uint32_t sync_errors;        /* wrong bits that are tolerated */
    uint32_t sync_errors_locked; /* and once it is locked; 0: as many */
    uint32_t sync_checks;        /* patterns that must follow the first until it is believed; 0: 1 */
    uint32_t flywheel;           /* patterns in a row that may be missing */
    struct yd_str counter;       /* the entry that counts minor frames (SFID), from counter_first */
    uint32_t counter_first;
    uint64_t bit_rate; /* bits a second, for the times of its words; 0: not known */
    void *compiled;    /* the compiler's */
};

struct yd_def_derived {
    struct yd_def_derived *next;
    struct yd_place place, text_place; /* the latter: where the expression begins */
    struct yd_str name, text, unit, doc;
    struct yd_def_limits *limits, *limits_last;
    const char *unsupported;
};

struct yd_def_index { /* who has a name, by its hash; of several the first */
    struct yd_def_named {
        struct yd_str name;
        void *what; /* NULL: free */
    } * slots;
    uint32_t size, count;
};

struct yd_def {
    struct yd_arena arena;
    struct yd_def_index type_index, container_index;
    struct yd_str name; /* in front of every measurement's: "rocket" gives rocket.imu.accel_x; "": nothing */
    struct yd_str doc;
    bool failed;                            /* memory was out once */
    struct yd_def_type *types, *types_last; /* those with a name */
    struct yd_def_container *containers, *containers_last;
    struct yd_def_derived *derived, *derived_last;
    struct yd_def_limits *limits, *limits_last; /* top-level ones */
};

int yd_def_create(struct yd_alloc *alloc, struct yd_def **ret_def);
void yd_def_destroy(struct yd_def *def); /* NULL is quiet */

/* Each is added at the end of its list. "" as a type's name: it is only pointed to. */
struct yd_def_type *yd_def_type(struct yd_def *def, struct yd_str name, struct yd_place place);
/* Gives it its name later on: from then on it is found by it. */
void yd_def_type_name(struct yd_def *def, struct yd_def_type *type, struct yd_str name);
struct yd_def_type *yd_def_type_copy(struct yd_def *def, const struct yd_def_type *type, struct yd_place place);
struct yd_def_container *yd_def_container(struct yd_def *def, struct yd_str name, struct yd_place place);
struct yd_def_entry *yd_def_entry(struct yd_def *def, struct yd_def_entries *to, struct yd_str name,
                                  struct yd_place place);
struct yd_def_label *yd_def_label(struct yd_def *def, struct yd_def_type *type, int64_t first, int64_t last,
                                  struct yd_str text, struct yd_place place);
/* Room for the coefficients or points, zeroed. */
struct yd_def_calibration *yd_def_calibration(struct yd_def *def, struct yd_def_type *type, enum yd_def_calibrator kind,
                                              uint32_t a_count, uint32_t b_count, struct yd_place place);
struct yd_def_condition *yd_def_compare(struct yd_def *def, struct yd_str field, enum yd_def_op op,
                                        struct yd_def_value value, struct yd_place place);
/* AND, OR, NOT (b NULL); where a or b is NULL for AND and OR, the other one alone. */
struct yd_def_condition *yd_def_logic(struct yd_def *def, enum yd_def_logic logic, struct yd_def_condition *a,
                                      struct yd_def_condition *b, struct yd_place place);
struct yd_def_slot *yd_def_slot(struct yd_def *def, struct yd_def_entry *entry, uint32_t word, struct yd_place place);
struct yd_def_limits *yd_def_limits(struct yd_def *def, struct yd_def_entry *entry, struct yd_place place);
struct yd_def_derived *yd_def_derived(struct yd_def *def, struct yd_str name, struct yd_str text,
                                      struct yd_place place);
struct yd_str yd_def_text(struct yd_def *def, struct yd_str text);                      /* a copy, terminated */
const char *yd_def_printf(struct yd_def *def, const char *format, ...) YD_PRINTF(2, 3); /* for `unsupported` */

/* By the name it was added with, or NULL. */
struct yd_def_type *yd_def_find_type(const struct yd_def *def, struct yd_str name);
struct yd_def_container *yd_def_find_container(const struct yd_def *def, struct yd_str name);
const char *yd_def_encoding_name(enum yd_def_encoding encoding);

#endif
