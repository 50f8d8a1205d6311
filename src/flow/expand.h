/* flow/expand.h: the plan between syntax tree and topology; shared by the checking half of the language only.
 *
 *   statements --expand.c--> nodes + ends --wires.c--> links (compound ports gone) --check*.c--> topology
 *
 * What failed stays in the plan as `lost`, so that it can keep its neighbours from being called unwired or unreached.
 */
#ifndef FLOW_EXPAND_H
#define FLOW_EXPAND_H

#include "flow/language.h"

#define YD_NOWHERE UINT32_MAX

struct yd__binding { /* a `$name` */
    struct yd__name name;
    enum yd_param_type type;
    bool ok;   /* arg is good; otherwise its mistake has been reported */
    int state; /* 0: to be evaluated, 1: just being, 2: done */
    struct yd_arg arg;
    const struct yd__formal *formal;
};

struct yd__scope {
    struct yd__scope *outer; /* whose `$names` are seen too; NULL: the file's */
    struct yd__compound *compound;
    const char *prefix; /* of full names: "", "clean." */
    struct yd__map entities, bindings;
    struct yd__entity **made; /* by the ordinal of its make */
    struct yd__pair *with;    /* of the instance: goes to all that is inside */
    struct yd__scope *with_scope;
    struct yd_place instance; /* where the compound was asked for; line 0: the file's own scope */
    uint32_t depth;
    bool dry; /* a compound that nobody uses: checked, and dropped */
};

enum yd__entity_type { YD__ENTITY_NODE, YD__ENTITY_COMPOUND, YD__ENTITY_PORT, YD__ENTITY_LOST };
struct yd__entity { /* what a name stands for in a scope */
    enum yd__entity_type type;
    struct yd__name name;
    uint32_t node;            /* NODE */
    struct yd__scope *inside; /* COMPOUND */
    uint32_t junction;        /* PORT, seen from inside */
};

struct yd__junction { /* a port of an instance of a compound */
    const struct yd__port *port;
    struct yd__scope *scope; /* the compound's inside */
    uint32_t kinds;          /* push: as declared, or all */
    uint32_t *out;           /* wires that leave it */
    uint32_t out_count, out_capacity;
    bool fed;                         /* some wire ends here */
    bool wired_inside, wired_outside; /* or meant to be */
    bool on_path, failed;
};

struct yd__node {        /* a yd_node on its way */
    struct yd_node node; /* class NULL: unknown, all about it is silent */
    const struct yd__make *make;
    struct yd__scope *scope;
    uint64_t wired;         /* by port: wired, or meant to be (the wire failed, and said so) */
    uint64_t linked;        /* by port: really wired */
    bool lost_in, lost_out; /* some wire into it or out of it was lost */
    bool args_ok;
    struct yd_place *arg_places; /* beside node.args: of the value; line 0: a default */
    bool reached;
    uint64_t *carried; /* kinds by port, see check_wires.c */
};

struct yd__tip {             /* one end of a wire, resolved */
    uint32_t node, junction; /* YD_NOWHERE */
    unsigned port;
    struct yd_place place; /* of the name of the port, else of the node */
    struct yd_str node_name, port_name;
};
struct yd__draft { /* a wire as written */
    struct yd__tip from, to;
    const struct yd__arrow *arrow;
    struct yd__scope *scope;
};
struct yd__link { /* a wire between two real ports, on its way to a yd_wire */
    struct yd_wire wire;
    struct yd__tip from, to;
    const struct yd__draft *path[YD_FLOW_COMPOUND_MAX * 2 + 1]; /* what it came through */
    size_t path_count;
    bool dry;
    struct yd_place cursor_place;
};

struct yd__plan {
    struct yd__work *work;
    struct yd__scope *file;
    struct yd__node *nodes;
    uint32_t node_count, node_capacity;
    struct yd__junction *junctions;
    uint32_t junction_count, junction_capacity;
    struct yd__draft *drafts;
    uint32_t draft_count, draft_capacity;
    struct yd__link *links;
    uint32_t link_count, link_capacity;
    struct yd__map full_names;
    uint32_t instances, steps;
    bool stopped; /* a limit was reached */
};

/* Room for one more in an array of the plan. */
#define YD__ROOM(plan, array, count, capacity)                                                                         \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            uint32_t room = (capacity) ? (capacity)*2 : 32;                                                            \
            void *larger = yd__get((plan)->work, room * sizeof *(array));                                              \
            if (count) memcpy(larger, (array), (count) * sizeof *(array));                                             \
            (array) = larger;                                                                                          \
            (capacity) = room;                                                                                         \
        }                                                                                                              \
    } while (0)

/* ---- values.c ---- */
extern const char *const yd__type_words[]; /* "a duration" … by yd_param_type */
bool yd__type_of(struct yd_str word, enum yd_param_type *ret_type);
/* The value as `param` wants it, with unit, range, words and patterns checked. false: reported. */
bool yd__typed(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value,
               const struct yd_param_class *param, struct yd_arg *ret_arg);
/* A value of whatever type it has: in lists and maps. */
bool yd__untyped(struct yd__work *work, struct yd__scope *scope, const struct yd__value *value, struct yd_arg *ret_arg);
/* A class's default. false: the class is wrong. */
bool yd__typed_initial(struct yd__work *work, const struct yd_param_class *param, struct yd_arg *ret_arg);
/* Text from outside (environment, --set) as a value of this type: 0, YD_EFORMAT or YD_ERANGE. */
int yd__typed_text(struct yd__work *work, enum yd_param_type type, struct yd_str text, struct yd_arg *ret_arg);
struct yd__binding *yd__binding_find(struct yd__scope *scope, struct yd_str name);
void yd__file_params(struct yd__plan *plan); /* params and --set */
/* The arguments of a made node, typed, and the class asked about them. */
void yd__node_args(struct yd__plan *plan, struct yd__node *node);
void yd__compound_args(struct yd__plan *plan, struct yd__scope *scope, struct yd__scope *inside,
                       const struct yd__make *make, struct yd_place place);
void yd__node_options(struct yd__plan *plan, struct yd__node *node);

/* ---- expand.c ---- */
void yd__expand(struct yd__plan *plan);
const struct yd_element_class *yd__class_find(struct yd__work *work, struct yd_str name);

/* ---- wires.c ---- */
void yd__wire_statement(struct yd__plan *plan, struct yd__scope *scope, const struct yd__statement *statement);
void yd__wire_through(struct yd__plan *plan); /* compounds' ports away: drafts become links */
const char *yd__port_list(struct yd__work *work, const struct yd_element_class *class);
const char *yd__port_is(const struct yd_port_class *port); /* "a query output" */
/* In a list of `name: value`: the pair of that name; a second one is reported. */
const struct yd__pair *yd__pair_find(struct yd__work *work, const struct yd__pair *pairs, const char *name);
/* Reports those whose name is not in `known` (ending in NULL): "WHAT 'name'". */
/* load.c: a file that a parameter names, as a run would find it: relative to the working directory. Into the scratch
 * arena. Errors: it is not there, or is no plain file, or a large one. */
int yd__read_beside(struct yd__work *work, const char *path, struct yd_str *ret);
void yd__pairs_unknown(struct yd__work *work, const struct yd__pair *pairs, const char *const *known, unsigned code,
                       const char *what, const char *list_words, const char *none);
bool yd__poisoned(struct yd__work *work, struct yd_str name);
struct yd__entity *yd__entity_find(struct yd__plan *plan, struct yd__scope *scope, const struct yd__name *name);

/* ---- check_*.c ---- */
void yd__check_wires(struct yd__plan *plan);  /* options, kinds, schemas, cardinality, cursors */
void yd__check_graph(struct yd__plan *plan);  /* rings, reach, acknowledgement */
void yd__check_shared(struct yd__plan *plan); /* addresses, streams, files, shards, memory and disk */
void yd__check_tests(struct yd__plan *plan);
/* For a person: its name, or its class when it has none. */
const char *yd__shown(const struct yd__node *node);
/* Beside a mistake inside a compound: which instance of it. */
void yd__note_instance(struct yd__plan *plan, const struct yd__node *node);
const char *yd__kinds_words(struct yd__work *work, uint32_t kinds);
uint32_t yd__kind_bit(struct yd_str word); /* 0: none */
extern const char *const yd__kind_names[];

#endif
