/* flow/language.h: shared by the files of the language half of this floor; nobody else includes it.
 *
 *   text -> lexer.re -> tokens -> layout.c -> the parser's stream -> grammar.y -> AST        (parse.c drives)
 *   AST -> names.c (includes, parameters) -> expand.c (compounds, wires) -> values.c (typing) -> check*.c -> topology
 *
 * Memory: one scratch arena for the AST and the work, the topology's arena for what stays. Running out of either jumps
 * to yd_topology_load, except inside bison, where a sticky flag and a dummy piece do (see yd__get). */
#ifndef FLOW_LANGUAGE_H
#define FLOW_LANGUAGE_H

#include <setjmp.h>
#include <stdarg.h>

#include "base/base.h"
#include "base/text.h"
#include "flow/codes.h"
#include "flow/graph.h"

/* Limits: a file from outside is input, however it came. */
#define YD_FLOW_FILE_SIZE_MAX (1u << 20)
#define YD_FLOW_FILES_MAX     256
#define YD_FLOW_INCLUDE_MAX   16
#define YD_FLOW_NESTING_MAX   32
#define YD_FLOW_NODES_MAX     4096
#define YD_FLOW_WIRES_MAX     16384
#define YD_FLOW_COMPOUND_MAX  16   /* compounds in compounds */
#define YD_FLOW_INSTANCES_MAX 4096 /* of compounds */
#define YD_FLOW_ERRORS_MAX    200
#define YD_FLOW_NAME_SIZE_MAX 64

/* ---- tokens ---- */
/* Beyond bison's: what the layout takes away, and the formatter needs. */
enum { YD_RAW_NEWLINE = 1000, YD_RAW_SEMICOLON, YD_RAW_COMMENT };

struct yd__token {
    int type;                      /* YD_TOK_… or YD_RAW_… */
    uint32_t offset, size;         /* bytes in the text */
    uint32_t line, column, length; /* characters */
    bool is_block;                 /* a brace of an element's body or a test's */
    bool bad;                      /* reported by the lexer: takes part in the grammar, says nothing more */
    union {
        int64_t i64;
        double f64;
        struct yd_str text; /* a name, or a string without its quotes and escapes */
    };
};
struct yd__span { /* the parser's locations: raw tokens, both included */
    uint32_t first, last;
};

/* ---- the syntax tree ---- */
enum yd__value_type {
    YD__BAD, /* reported already: fits everywhere */
    YD__INT,
    YD__FLOAT,
    YD__STRING,
    YD__BOOL,
    YD__DURATION,
    YD__SIZE,
    YD__RATE,
    YD__WORD,
    YD__IN, /* 5 in 1m */
    YD__LIST,
    YD__MAP,
    YD__ENV,
    YD__REF, /* $name */
};
struct yd__value {
    enum yd__value_type type;
    struct yd_place place;
    struct yd_str written; /* as it stands in the text */
    union {
        int64_t i64;        /* INT, DURATION, SIZE, BOOL */
        double f64;         /* FLOAT, RATE */
        struct yd_str text; /* STRING, WORD, REF */
        struct {
            int64_t count, window_ns;
        } in;
        struct yd__value *first; /* LIST */
        struct yd__pair *pairs;  /* MAP */
        struct {
            struct yd_str name;
            struct yd__value *fallback; /* NULL: none */
        } env;
    };
    struct yd__value *next;
};
struct yd__name {
    struct yd_str text; /* size 0: absent */
    struct yd_place place;
    struct yd__name *next; /* in a list of kinds */
};
struct yd__pair {
    struct yd__name name;
    struct yd__value *value;
    struct yd__pair *next;
};
struct yd__make {
    struct yd__name class;
    struct yd__pair *args, *shard_args, *with;
    bool is_shard;
    struct yd_place shard_place;
    struct yd_place close; /* the bracket that ends the arguments: where a missing one would stand */
    uint32_t ordinal;      /* in its body: how an expansion finds what it made of this */
};
struct yd__end {
    struct yd__name node, port;
    struct yd__make *make; /* NULL: a name only */
    struct yd_place place;
    struct yd__end *next;
};
struct yd__arrow {
    enum yd_port_mode mode;
    bool reversed; /* it was written <-, and reported */
    struct yd__pair *options;
    struct yd_place place;
};
struct yd__group { /* ends between two wires */
    struct yd__end *ends;
    size_t end_count;
    struct yd__arrow *arrow; /* to the next group; NULL in the last */
    struct yd__group *next;
};
struct yd__statement {
    struct yd__group *groups;
    struct yd_place place;
    struct yd__statement *next;
};
struct yd__formal { /* a compound's parameter, or a file's */
    struct yd__name name, type;
    struct yd__value *initial; /* NULL: none */
    struct yd__formal *next;
};
struct yd__port {
    enum yd_port_direction direction;
    enum yd_port_mode mode;
    struct yd__name name;
    struct yd__name *kinds;
    struct yd__port *next;
};
struct yd__body {
    struct yd__port *ports, *last_port;
    struct yd__statement *statements, *last;
    uint32_t make_count;
};
struct yd__compound {
    struct yd__name name;
    struct yd__formal *formals;
    struct yd__body body;
    bool broken; /* a syntax error inside: its instances are not judged */
    bool expanding, used;
    struct yd__compound *next;
};
struct yd__step {
    enum yd_step_type type;
    struct yd__name node, port;
    struct yd__value *value; /* feed: STRING or LIST; expect ==: LIST; count: INT; advance: DURATION */
    int expect;              /* YD_EXPECT_… */
    struct yd_place place;
    struct yd__step *next;
};
struct yd__test {
    struct yd__value *name;
    struct yd__step *steps;
    size_t step_count;
    struct yd__test *next;
};
enum yd__item_type { YD__INCLUDE, YD__PARAM, YD__COMPOUND, YD__STATEMENT, YD__TEST };
struct yd__item { /* of a file, in its order */
    enum yd__item_type type;
    union {
        struct yd__value *include;
        struct yd__formal *param;
        struct yd__compound *compound;
        struct yd__statement *statement;
        struct yd__test *test;
    };
    struct yd__item *next;
};

/* ---- a hash map from names to pointers, in an arena ---- */
struct yd__map {
    struct yd__map_slot {
        struct yd_str key;
        void *value;
    } * slots;
    uint32_t count, mask;
};

/* ---- the whole work of one load ---- */
struct yd__work {
    struct yd_arena arena;        /* scratch */
    struct yd_topology *topology; /* NULL when only formatting */
    struct yd_diagnostics *diagnostics;
    const struct yd_load_options *options;
    jmp_buf out_of_memory;
    bool in_bison, failed; /* failed: out of memory inside bison */
    bool muted;            /* the last report was a duplicate: its notes go nowhere */
    bool too_many;
    bool silent;              /* nothing is reported: a value is tried */
    uint32_t tried;           /* mistakes while silent */
    bool names_lost;          /* a file could not be parsed at all: unknown names prove nothing */
    struct yd__map bad_words; /* said once each: names that are none */
    struct yd__map poisoned;  /* names that a broken statement would have declared or wired */
    max_align_t dummy[64];

    /* of the whole topology, in the order of the text */
    struct yd__formal *params, **params_end;
    struct yd__compound *compounds, **compounds_end;
    struct yd__body body; /* the statements of all files */
    struct yd__test *tests, **tests_end;
    struct yd__map compound_names;
    size_t test_count;
};

/* One file, or one value, on its way through lexer, layout and grammar. */
struct yd__parse {
    struct yd__work *work;
    uint32_t file;
    struct yd_str text;
    struct yd__token *tokens;
    uint32_t token_count, token_capacity, raw_count; /* those from raw_count on are not in the text */
    uint32_t *stream;                                /* what bison sees: indices into tokens */
    uint32_t stream_count, stream_capacity, stream_next;
    bool only_value;
    bool hopeless;         /* nested too deeply, or not text: not parsed */
    struct yd__body *body; /* that statements are added to: the file's, or the compound's at hand */
    struct yd__item *items, **items_end;
    struct yd__value *value; /* only_value */
    uint32_t errors;         /* in this file */
};

/* Out of memory: jumps, or inside bison gives `dummy` and sets `failed`. Zeroed. */
void *yd__get(struct yd__work *work, size_t size);
void *yd__keep(struct yd__work *work, size_t size);                               /* in the topology's arena. Zeroed */
char *yd__printf(struct yd__work *work, const char *format, ...) YD_PRINTF(2, 3); /* scratch */
char *yd__keepf(struct yd__work *work, const char *format, ...) YD_PRINTF(2, 3);  /* topology */
struct yd_str yd__keep_str(struct yd__work *work, struct yd_str s);
void *yd__map_find(const struct yd__map *map, struct yd_str key);
/* Returns what was there before (and stays), or NULL. */
void *yd__map_add(struct yd__work *work, struct yd__map *map, struct yd_str key, void *value);

/* ---- reporting (report.c) ---- */
/* A new mistake: code, place, the words beside its caret (may be ""), the message. The same code at the same place
 * again is swallowed, with its notes and help: a compound's mistake is one mistake however often it is expanded. */
void yd__report(struct yd__work *work, unsigned code, struct yd_place place, const char *beside, const char *format,
                ...) YD_PRINTF(5, 6);
void yd__warn(struct yd__work *work, unsigned code, struct yd_place place, const char *beside, const char *format, ...)
    YD_PRINTF(5, 6);
void yd__note(struct yd__work *work, struct yd_place place, const char *format, ...) YD_PRINTF(3, 4);
void yd__help(struct yd__work *work, const char *format, ...) YD_PRINTF(2, 3);
/* "did you mean 'x'?", or the list of what there is: built from candidates. */
struct yd__choice {
    struct yd_str asked;
    const char *nearest;
    struct yd_str nearest_text;
    unsigned distance;
    char *list;
    size_t list_size, count;
};
void yd__choice_init(struct yd__choice *choice, struct yd_str asked);
void yd__choice_add(struct yd__work *work, struct yd__choice *choice, struct yd_str candidate);
/* Adds the help line to the last report: the nearest, else "`what`: a, b, c" (what may be NULL), else `otherwise`
 * (may be NULL, too). */
void yd__choice_help(struct yd__work *work, struct yd__choice *choice, const char *what, const char *otherwise);
uint32_t yd__source_add(struct yd__work *work, const char *path, struct yd_str text);
/* The lexer has complained on this line, before this column: what the grammar says about the rest is the same mistake.
 */
bool yd__complained_before(const struct yd__work *work, struct yd_place place);
void yd__diagnostics_sort(struct yd__work *work);

/* ---- parsing (parse.c and what it drives) ---- */
void yd__parse_file(struct yd__parse *parse, struct yd__work *work, uint32_t file, struct yd_str text);
/* A value by itself: defaults of classes, the environment, --set. NULL when it is malformed (nothing is reported). */
struct yd__value *yd__parse_value(struct yd__work *work, struct yd_str text, struct yd_place place);
void yd__lex(struct yd__parse *parse);
void yd__layout(struct yd__parse *parse);
struct yd_place yd__token_place(const struct yd__parse *parse, uint32_t token);
struct yd_place yd__span_place(const struct yd__parse *parse, struct yd__span span);
struct yd_str yd__span_text(const struct yd__parse *parse, struct yd__span span);
void yd__parse_broken(struct yd__parse *parse, struct yd__span span); /* the names in it are poisoned */
const char *yd__token_words(struct yd__parse *parse, uint32_t token); /* "'->'", "the end of the line" */

#endif
