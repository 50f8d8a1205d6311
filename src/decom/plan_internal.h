/* decom/plan_internal.h: what a plan consists of.
 *
 *   nodes      the containers as a tree: conditions, and what must be loaded to judge them
 *   program    of each packet: lanes (fixed places, tight loops), then steps (everything else, one function each)
 *
 * What has a fixed place is checked against the packet's size once; steps behind it check each for themselves. */
#ifndef DECOM_PLAN_INTERNAL_H
#define DECOM_PLAN_INTERNAL_H

#include "decom/lanes.h"
#include "decom/plan.h"

#define YD__NONE       UINT32_MAX
#define YD__NAMES_MAX  (1u << 20) /* measurements of a packet */
#define YD__UNROLL_MAX 4096       /* fixed array elements that become steps and lanes of their own */
#define YD__STAGED_MAX (1u << 16) /* values of one packet that are not in lanes */
#define YD__WORK_MAX   (1u << 20) /* turns of groups in one packet */
#define YD__RAW_NAME   0x80
#define YD__BYTES_MAX  65535
#define YD__ITEMS_MAX  1024

struct yd__choice {
    const struct yd__choice *next;
    const struct yd__condition *when; /* NULL: always */
    int64_t value;
};
struct yd__amount {
    uint32_t reg; /* NONE: a choice, or `offset` alone */
    const struct yd__choice *choices;
    int64_t scale, offset;
    uint64_t max;
};

/* False: no choice holds. */
static inline bool yd__choose(const struct yd__amount *amount, const struct yd_decom_value *registers, int64_t *ret)
{
    for (const struct yd__choice *choice = amount->choices; choice; choice = choice->next)
        if (!choice->when || yd__condition_holds(choice->when, registers)) return *ret = choice->value, true;
    return false;
}

enum yd__origin { YD__AT, YD__AFTER, YD__BEFORE_END };
struct yd__machine;
struct yd__step {
    /* 0, or 1 + reason. Sets machine->at to the end of what it read. */
    int (*run)(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
    const struct yd_def_entry *entry;
    struct yd__field field;
    enum yd__origin origin;
    bool in_group; /* AT counts from the group's first bit */
    bool to_end;
    bool stamp;
    bool checks;    /* it is a checksum: entry->check */
    int64_t offset; /* bits */
    const struct yd__condition *only_if;
    uint32_t reg;            /* takes the raw value; NONE */
    uint32_t name, raw_name; /* NONE: not published */
    uint32_t stride;         /* names of one element */
    uint32_t columns;        /* names are for rows of so many; 0: it has no rows */
    uint32_t dimensions;
    struct yd__amount dimension[2];
    struct yd__amount size;          /* text and bytes */
    const struct yd__step *children; /* of a group */
    uint32_t child_count;
    int64_t skip_to;  /* when its condition does not hold, the next one follows here; -1: where the last one ended */
    const char *path; /* "gps.lat", for people */
};

struct yd__load { /* a field of fixed place into its register */
    struct yd__field field;
    uint64_t at; /* bit */
    uint32_t reg;
};

struct yd__sequence {
    uint32_t reg, by; /* registers; by NONE */
    uint32_t bits;
    uint32_t key;        /* tells counters of different containers apart */
    struct yd_str label; /* "packet=imu", or "apid=" when there is a by */
};

struct yd__program {
    const struct yd_def_container *container;
    uint32_t index; /* among the packets; NONE: only walked through on the way to a child */
    const char *unsupported;
    bool is_dynamic, open;
    const struct yd__load *loads; /* registers that steps will ask for, of fixed place */
    uint32_t load_count;
    struct yd__lanes lanes;
    struct yd__step *steps, *dynamic; /* of fixed place; behind it */
    uint32_t step_count, dynamic_count;
    uint64_t least_bits; /* of a packet: up to the furthest end of what has a fixed place */
    struct yd_str *names;
    uint8_t *types; /* of each name: enum yd_type it has when it is in a lane; YD__RAW_NAME set: a raw value's */
    const struct yd_def_entry **sources; /* of each name: the field it is of */
    uint32_t name_count, name_capacity;
    const struct yd__sequence *sequences;
    uint32_t sequence_count;
    bool has_stamp;
};

struct yd__node {
    const struct yd_def_container *container;
    struct yd__program *program;      /* NULL: abstract, and nobody needs to walk through it */
    bool broken;                      /* something of it is wrong, and has been said */
    bool walk;                        /* children's conditions need what has no fixed place: run the program, quietly */
    const struct yd__condition *when; /* constants and condition; NULL: always */
    const struct yd__load *loads;     /* that `when` needs, of this container and those above */
    uint32_t load_count;
    struct yd__node **children;
    uint32_t child_count;
    /* Where each child wants another value of one register: sorted by value. */
    uint32_t switch_reg;
    const struct yd__case {
        uint64_t value;
        uint32_t child;
    } * cases;
    uint32_t case_count;
    uint32_t *others; /* children without such a value, in order */
    uint32_t other_count;
};

struct yd__expressions { /* memory that is not the arena's */
    struct yd__expressions *next;
    struct yd_expression *expression;
};
/* A measurement that there is, by its whole name: of a field, or derived. */
struct yd__measured {
    struct yd_str name;
    const struct yd_def_entry *entry; /* NULL: derived */
    const struct yd_def_derived *derived;
    const struct yd__program *program; /* that has it first */
    struct yd__given *given;           /* `limits NAME` for it, the compiler's */
    enum yd_type type;                 /* of a derived one: once its expression is compiled */
    bool is_raw;                       /* the raw value of its field */
};
struct yd__measurements {
    struct yd__measured *items;
    uint32_t *slots; /* open addressing: index + 1; 0: free */
    uint32_t count, mask;
};
struct yd_plan {
    struct yd_def *def;
    struct yd__measurements measurements;
    struct yd__expressions *expressions;
    bool raw, closely;
    struct yd_arena arena;
    struct yd__node root; /* of nothing: its children are the containers without a parent */
    struct yd__program **packets;
    uint32_t packet_count;
    uint32_t register_count;
    uint32_t kept_size; /* of texts of a frame that are registers */
    uint32_t sequence_count;
    struct yd__frame *frame; /* NULL: packets are packets */
};

/* As it is written, or with the definition's name in front. NULL: there is none. */
struct yd__measured *yd__measured_find(const struct yd_plan *plan, struct yd_str name);

/* One packet being looked at. */
struct yd__staged {
    uint32_t name;
    struct yd_decom_value value;
};
struct yd__machine {
    const struct yd_plan *plan;
    const uint8_t *data;
    uint64_t size, size_bits;
    uint64_t at, group; /* bits: behind what was read last; where the group at hand begins */
    struct yd_decom_value *registers;
    char *kept; /* texts of a frame that registers point to; NULL: there are none */
    struct yd__staged *staged;
    uint32_t staged_count, staged_capacity;
    char *text; /* converted text of this packet */
    size_t text_size, text_capacity;
    int64_t time_ns;
    bool quiet;
    uint32_t work;
    uint32_t checksum; /* what a wrong one would have been */
    struct yd_alloc *alloc;
    /* Explaining: told of each value, or of what was not there. */
    void (*trace)(void *arg, const struct yd__step *step, uint32_t index, uint64_t at, uint64_t bits,
                  const struct yd_decom_value *raw, const struct yd_decom_value *value, const char *why);
    void (*trace_node)(void *arg, const struct yd__node *node, bool taken, bool loaded, const char *why);
    void *trace_arg;
    uint32_t name_shift;           /* of the value that is traced: its name is that of its step and so many further */
    uint32_t element;              /* index of the array element at hand */
    const struct yd__step *failed; /* the innermost step that could not be done */
};
int yd__machine_init(struct yd__machine *machine, const struct yd_plan *plan, struct yd_alloc *alloc);
void yd__machine_fini(struct yd__machine *machine);
/* Finds the program for what is in data and size. 0, or 1 + reason. */
int yd__match(struct yd__machine *machine, const struct yd__program **ret_program);
bool yd__load_node(struct yd__machine *machine, const struct yd__node *node); /* false: the packet is too short */
/* Steps alone; lanes are the caller's. */
int yd__run_steps(struct yd__machine *machine, const struct yd__program *program);
int yd__check_size(const struct yd__machine *machine, const struct yd__program *program);

/* steps.c */
int yd__step_number(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
int yd__step_plain(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
int yd__step_label(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
int yd__step_bytes(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
int yd__step_time(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);
/* It is not in this packet, nor is what it holds: their registers have nothing, and not what the last packet said. */
void yd__step_absent(struct yd__machine *machine, const struct yd__step *step);
/* What a checksum that lies at bit `at` ought to be. False: what it is of is not inside of the packet. */
bool yd__check_value(const struct yd_def_check *check, const uint8_t *data, uint64_t size, uint64_t at, uint32_t *ret);
int yd__step_group(struct yd__machine *machine, const struct yd__step *step, uint32_t shift);

#endif
