/* The grammar of docs/language.md. It sees the stream that layout.c has made: statements end in END, keywords are
 * keywords only where they can be ones, brackets are balanced. Locations are spans of tokens.
 *
 * A syntax error costs its statement: `error END` picks up behind it, and the names of the lost statement are poisoned,
 * so that they do not come back as unknown ones. */
%code requires {
#include "flow/language.h"
struct yd__args_list {
    struct yd__pair *first, **end;
};
struct yd__value_list {
    struct yd__value *first, **end;
};
struct yd__name_list {
    struct yd__name *first, **end;
};
struct yd__formal_list {
    struct yd__formal *first, **end;
};
struct yd__step_list {
    struct yd__step *first, **end;
    size_t count;
};
struct yd__end_list {
    struct yd__end *first, **end;
    size_t count;
};
struct yd__chain_list {
    struct yd__group *first, *last;
};
}
%define api.pure full
%define api.prefix {yd__flow_}
%define api.token.prefix {YD_TOK_}
%define api.location.type {struct yd__span}
%locations
%define parse.error custom
%define parse.lac full
%define lr.default-reduction accepting
%param {struct yd__parse *parse}

%union {
    const struct yd__token *token;
    struct yd__name name;
    struct yd__value *value;
    struct yd__value_list values;
    struct yd__args_list args;
    struct yd__name_list names;
    struct yd__formal *formal;
    struct yd__formal_list formals;
    struct yd__make *make;
    struct yd__end *end;
    struct yd__end_list ends;
    struct yd__chain_list chain;
    struct yd__arrow *arrow;
    struct yd__compound *compound;
    struct yd__step *step;
    struct yd__step_list steps;
    int number;
}

%code provides {
int yd__flow_lex(YD__FLOW_STYPE *value, struct yd__span *span, struct yd__parse *parse);
}

%code {
static void yyerror(const struct yd__span *span, struct yd__parse *parse, const char *message);

#define YYINITDEPTH 400 /* nesting is bounded by layout.c, lists are left-recursive: never more is needed */
#define YYMAXDEPTH  400
#define YYLLOC_DEFAULT(current, rhs, count)                                                                            \
    do {                                                                                                               \
        if (count) {                                                                                                   \
            (current).first = YYRHSLOC(rhs, 1).first;                                                                  \
            (current).last = YYRHSLOC(rhs, count).last;                                                                \
        } else {                                                                                                       \
            (current).first = (current).last = YYRHSLOC(rhs, 0).last;                                                  \
        }                                                                                                              \
    } while (0)

#define NEW(type) ((type *)yd__get(parse->work, sizeof(type)))

static struct yd__name name_of(struct yd__parse *parse, const struct yd__token *token, struct yd__span span)
{
    return (struct yd__name){.text = token->text, .place = yd__span_place(parse, span)};
}

static struct yd__value *value_of(struct yd__parse *parse, enum yd__value_type type, struct yd__span span,
                                  const struct yd__token *token)
{
    struct yd__value *value = NEW(struct yd__value);
    value->type = token && token->bad ? YD__BAD : type;
    value->place = yd__span_place(parse, span);
    value->written = yd__span_text(parse, span);
    return value;
}

static struct yd__pair *pair_of(struct yd__parse *parse, struct yd__name name, struct yd__value *value)
{
    struct yd__pair *pair = NEW(struct yd__pair);
    pair->name = name;
    pair->value = value;
    return pair;
}

static struct yd__make *make_of(struct yd__parse *parse, struct yd__name class, struct yd__pair *args,
                                struct yd__span close)
{
    struct yd__make *make = NEW(struct yd__make);
    make->class = class;
    make->args = args;
    make->close = yd__span_place(parse, close);
    make->ordinal = parse->body->make_count++;
    return make;
}

static struct yd__end *end_of(struct yd__parse *parse, struct yd__name node, struct yd__name port, struct yd__make *make,
                              struct yd__span span)
{
    struct yd__end *end = NEW(struct yd__end);
    end->node = node;
    end->port = port;
    end->make = make;
    end->place = yd__span_place(parse, span);
    return end;
}

static struct yd__formal *formal_of(struct yd__parse *parse, struct yd__name name, struct yd__name type,
                                    struct yd__value *initial)
{
    struct yd__formal *formal = NEW(struct yd__formal);
    formal->name = name;
    formal->type = type;
    formal->initial = initial;
    return formal;
}

static struct yd__group *group_of(struct yd__parse *parse, struct yd__end_list ends)
{
    struct yd__group *group = NEW(struct yd__group);
    group->ends = ends.first;
    group->end_count = ends.count;
    return group;
}

static struct yd__arrow *arrow_of(struct yd__parse *parse, enum yd_port_mode mode, struct yd__pair *options,
                                  struct yd__span span)
{
    struct yd__arrow *arrow = NEW(struct yd__arrow);
    arrow->mode = mode;
    arrow->options = options;
    arrow->place = yd__span_place(parse, span);
    return arrow;
}

static struct yd__step *step_of(struct yd__parse *parse, enum yd_step_type type, struct yd__end *target,
                                struct yd__value *value, int expect, struct yd__span span)
{
    struct yd__step *step = NEW(struct yd__step);
    step->type = type;
    if (target) {
        step->node = target->node;
        step->port = target->port;
    }
    step->value = value;
    step->expect = expect;
    step->place = yd__span_place(parse, span);
    return step;
}

static void item_add(struct yd__parse *parse, struct yd__item item)
{
    struct yd__item *added = NEW(struct yd__item);
    *added = item;
    *parse->items_end = added;
    parse->items_end = &added->next;
}

static struct yd__statement *statement_of(struct yd__parse *parse, struct yd__group *groups, struct yd__span span)
{
    struct yd__statement *statement = NEW(struct yd__statement);
    statement->groups = groups;
    statement->place = yd__span_place(parse, span);
    return statement;
}

static void statement_add(struct yd__body *body, struct yd__statement *statement)
{
    if (body->last)
        body->last->next = statement;
    else
        body->statements = statement;
    body->last = statement;
}

/* An empty list's `end` cannot point into a value that bison moves: it is NULL, and means `first`. */
#define LIST_ADD(list, piece)                                                                                          \
    do {                                                                                                               \
        if ((list).end)                                                                                                \
            *(list).end = (piece);                                                                                     \
        else                                                                                                           \
            (list).first = (piece);                                                                                    \
        (list).end = &(piece)->next;                                                                                   \
    } while (0)
}

%token FILE_START VALUE_START
%token END
%token PARAM INCLUDE ELEMENT TEST KW_IN KW_OUT KW_PUSH KW_QUERY OF WITH SHARD ENV FEED EXPECT ADVANCE COUNT EMPTY
%token <token> ID INT FLOAT STRING TRUE FALSE DURATION SIZE RATE REF
%token DECLARE COLON COMMA DOT OPEN CLOSE LIST_OPEN LIST_CLOSE BRACE_OPEN BRACE_CLOSE
%token <token> PUSH_WIRE QUERY_WIRE
%token PUSH_OPEN PUSH_CLOSE QUERY_OPEN QUERY_CLOSE EQUALS IS

%type <name> id
%type <value> value list
%type <values> values some_values
%type <args> args some_args with
%type <args> braces
%type <names> kinds kinds_opt
%type <formal> formal
%type <formals> formals some_formals
%type <make> make
%type <end> end target
%type <ends> ends
%type <chain> chain
%type <arrow> arrow
%type <compound> compound_head
%type <step> step
%type <steps> steps
%type <number> direction mode

%start start
%%
start: FILE_START items
     | VALUE_START value END { parse->value = $value; }
     ;

items: %empty | items item ;
item: INCLUDE STRING END
        {
            struct yd__value *path = value_of(parse, YD__STRING, @2, $2);
            path->text = $2->text;
            item_add(parse, (struct yd__item){.type = YD__INCLUDE, .include = path});
        }
    | PARAM formal END { item_add(parse, (struct yd__item){.type = YD__PARAM, .param = $formal}); }
    | statement_item END
    | compound
    | TEST STRING BRACE_OPEN steps BRACE_CLOSE
        {
            struct yd__test *test = NEW(struct yd__test);
            test->name = value_of(parse, YD__STRING, @2, $2);
            test->name->text = $2->text;
            test->steps = $steps.first;
            test->step_count = $steps.count;
            item_add(parse, (struct yd__item){.type = YD__TEST, .test = test});
        }
    | TEST error BRACE_OPEN steps BRACE_CLOSE
    | error END
        {
            yyerrok;
            parse->body = &parse->work->body;
            yd__parse_broken(parse, @1);
        }
    ;
statement_item: chain
        { item_add(parse, (struct yd__item){.type = YD__STATEMENT, .statement = statement_of(parse, $1.first, @1)}); }
    ;

formal: id[name] COLON id[type] { $$ = formal_of(parse, $name, $type, NULL); }
      | id[name] COLON id[type] EQUALS value { $$ = formal_of(parse, $name, $type, $value); }
      ;
formals: %empty { $$ = (struct yd__formal_list){0}; }
       | OPEN CLOSE { $$ = (struct yd__formal_list){0}; }
       | OPEN some_formals CLOSE { $$ = $2; }
       | OPEN some_formals COMMA CLOSE { $$ = $2; }
       ;
some_formals: formal { $$ = (struct yd__formal_list){0}; LIST_ADD($$, $1); }
            | some_formals COMMA formal { $$ = $1; LIST_ADD($$, $3); }
            ;

compound: compound_head[head] BRACE_OPEN body BRACE_CLOSE
        {
            parse->body = &parse->work->body;
            item_add(parse, (struct yd__item){.type = YD__COMPOUND, .compound = $head});
        }
    ;
compound_head: ELEMENT id formals
        {
            $$ = NEW(struct yd__compound);
            $$->name = $id;
            $$->formals = $formals.first;
            parse->body = &$$->body;
        }
    | ELEMENT id error
        {
            $$ = NEW(struct yd__compound);
            $$->name = $id;
            $$->broken = true;
            parse->body = &$$->body;
        }
    | ELEMENT error
        {
            $$ = NEW(struct yd__compound);
            $$->broken = true;
            parse->work->names_lost = true;
            parse->body = &$$->body;
        }
    ;
body: %empty | body body_item ;
body_item: port END | body_statement END | error END
        {
            yyerrok;
            yd__parse_broken(parse, @1);
            YD_CONTAINER(parse->body, struct yd__compound, body)->broken = true;
        }
    ;
body_statement: chain { statement_add(parse->body, statement_of(parse, $1.first, @1)); } ;
port: direction mode id kinds_opt
        {
            struct yd__port *port = NEW(struct yd__port);
            port->direction = (enum yd_port_direction)$direction;
            port->mode = (enum yd_port_mode)$mode;
            port->name = $id;
            port->kinds = $kinds_opt.first;
            if (parse->body->last_port)
                parse->body->last_port->next = port;
            else
                parse->body->ports = port;
            parse->body->last_port = port;
        }
    ;
direction: KW_IN { $$ = YD_IN; } | KW_OUT { $$ = YD_OUT; } ;
mode: KW_PUSH { $$ = YD_PUSH; } | KW_QUERY { $$ = YD_QUERY; } ;
kinds_opt: %empty { $$ = (struct yd__name_list){0}; } | COLON kinds { $$ = $2; } ;
kinds: id
        {
            struct yd__name *name = NEW(struct yd__name);
            *name = $1;
            $$ = (struct yd__name_list){0};
            LIST_ADD($$, name);
        }
     | kinds COMMA id
        {
            struct yd__name *name = NEW(struct yd__name);
            *name = $3;
            $$ = $1;
            LIST_ADD($$, name);
        }
     ;

chain: ends { struct yd__group *group = group_of(parse, $1); $$ = (struct yd__chain_list){group, group}; }
     | chain arrow ends
        {
            struct yd__group *group = group_of(parse, $3);
            $1.last->arrow = $2;
            $1.last->next = group;
            $$ = (struct yd__chain_list){$1.first, group};
        }
     ;
arrow: PUSH_WIRE
        {
            $$ = arrow_of(parse, YD_PUSH, NULL, @$);
            $$->reversed = parse->text.data[$1->offset] == '<';
        }
     | QUERY_WIRE { $$ = arrow_of(parse, YD_QUERY, NULL, @$); }
     | PUSH_OPEN args PUSH_CLOSE { $$ = arrow_of(parse, YD_PUSH, $2.first, @$); }
     | QUERY_OPEN args QUERY_CLOSE { $$ = arrow_of(parse, YD_QUERY, $2.first, @$); }
     ;
ends: end { $$ = (struct yd__end_list){.count = 1}; LIST_ADD($$, $1); }
    | ends COMMA end { $$ = $1; $$.count++; LIST_ADD($$, $3); }
    ;
end: make { $$ = end_of(parse, (struct yd__name){0}, (struct yd__name){0}, $1, @$); }
   | id DECLARE make { $$ = end_of(parse, $1, (struct yd__name){0}, $3, @$); }
   | target
   ;
target: id { $$ = end_of(parse, $1, (struct yd__name){0}, NULL, @$); }
      | id[node] DOT id[port] { $$ = end_of(parse, $node, $port, NULL, @$); }
      ;
make: id OPEN args CLOSE[close] with
        {
            $$ = make_of(parse, $id, $args.first, @close);
            $$->with = $with.first;
        }
    | SHARD OPEN args[shard] CLOSE OF id OPEN args[plain] CLOSE[close] with
        {
            $$ = make_of(parse, $id, $plain.first, @close);
            $$->is_shard = true;
            $$->shard_place = yd__span_place(parse, @SHARD);
            $$->shard_args = $shard.first;
            $$->with = $with.first;
        }
    ;
with: %empty { $$ = (struct yd__args_list){0}; } | WITH braces { $$ = $2; } ;
braces: BRACE_OPEN args BRACE_CLOSE { $$ = $2; } ;
args: %empty { $$ = (struct yd__args_list){0}; } | some_args | some_args COMMA ;
some_args: id COLON value
            { struct yd__pair *pair = pair_of(parse, $1, $3); $$ = (struct yd__args_list){0}; LIST_ADD($$, pair); }
         | some_args COMMA id COLON value
            { struct yd__pair *pair = pair_of(parse, $3, $5); $$ = $1; LIST_ADD($$, pair); }
         ;

value: INT { $$ = value_of(parse, YD__INT, @$, $1); $$->i64 = $1->i64; }
     | FLOAT { $$ = value_of(parse, YD__FLOAT, @$, $1); $$->f64 = $1->f64; }
     | STRING { $$ = value_of(parse, YD__STRING, @$, $1); $$->text = $1->text; }
     | TRUE { $$ = value_of(parse, YD__BOOL, @$, $1); $$->i64 = 1; }
     | FALSE { $$ = value_of(parse, YD__BOOL, @$, $1); }
     | DURATION { $$ = value_of(parse, YD__DURATION, @$, $1); $$->i64 = $1->i64; }
     | SIZE { $$ = value_of(parse, YD__SIZE, @$, $1); $$->i64 = $1->i64; }
     | RATE { $$ = value_of(parse, YD__RATE, @$, $1); $$->f64 = $1->f64; }
     | ID { $$ = value_of(parse, YD__WORD, @$, $1); $$->text = $1->text; }
     | INT KW_IN DURATION
        {
            $$ = value_of(parse, $3->bad ? YD__BAD : YD__IN, @$, $1);
            $$->in.count = $1->i64;
            $$->in.window_ns = $3->i64;
        }
     | list
     | braces { $$ = value_of(parse, YD__MAP, @$, NULL); $$->pairs = $1.first; }
     | ENV OPEN STRING CLOSE { $$ = value_of(parse, YD__ENV, @$, $3); $$->env.name = $3->text; }
     | ENV OPEN STRING COMMA value[fallback] CLOSE
        { $$ = value_of(parse, YD__ENV, @$, $3); $$->env.name = $3->text; $$->env.fallback = $fallback; }
     | REF { $$ = value_of(parse, YD__REF, @$, $1); $$->text = $1->text; }
     ;
list: LIST_OPEN values LIST_CLOSE { $$ = value_of(parse, YD__LIST, @$, NULL); $$->first = $2.first; } ;
values: %empty { $$ = (struct yd__value_list){0}; } | some_values | some_values COMMA ;
some_values: value { $$ = (struct yd__value_list){0}; LIST_ADD($$, $1); }
           | some_values COMMA value { $$ = $1; LIST_ADD($$, $3); }
           ;

steps: %empty { $$ = (struct yd__step_list){0}; }
     | steps step END { $$ = $1; $$.count++; LIST_ADD($$, $2); }
     | steps error END
        {
            yyerrok;
            $$ = $1;
            yd__parse_broken(parse, @2);
        }
     ;
step: FEED target STRING
        {
            struct yd__value *text = value_of(parse, YD__STRING, @3, $3);
            text->text = $3->text;
            $$ = step_of(parse, YD_STEP_FEED, $2, text, 0, @$);
        }
    | FEED target list { $$ = step_of(parse, YD_STEP_FEED, $2, $3, 0, @$); }
    | EXPECT target COUNT INT
        {
            struct yd__value *count = value_of(parse, YD__INT, @4, $4);
            count->i64 = $4->i64;
            $$ = step_of(parse, YD_STEP_EXPECT, $2, count, YD_EXPECT_COUNT, @$);
        }
    | EXPECT target IS list { $$ = step_of(parse, YD_STEP_EXPECT, $2, $4, YD_EXPECT_EQUAL, @$); }
    | EXPECT target EMPTY { $$ = step_of(parse, YD_STEP_EXPECT, $2, NULL, YD_EXPECT_EMPTY, @$); }
    | ADVANCE DURATION
        {
            struct yd__value *by = value_of(parse, YD__DURATION, @2, $2);
            by->i64 = $2->i64;
            $$ = step_of(parse, YD_STEP_ADVANCE, NULL, by, 0, @$);
        }
    ;

id: ID { $$ = name_of(parse, $1, @1); } ;
%%
/* ---- what stands wrong, in words ---- */

struct words {
    int symbol;
    const char *words;
};
static const struct words symbol_words[] = {
    {YYSYMBOL_END, "the end of the statement"},
    {YYSYMBOL_YYEOF, "the end of the file"},
    {YYSYMBOL_PARAM, "'param'"},
    {YYSYMBOL_INCLUDE, "'include'"},
    {YYSYMBOL_ELEMENT, "'element'"},
    {YYSYMBOL_TEST, "'test'"},
    {YYSYMBOL_KW_IN, "'in'"},
    {YYSYMBOL_KW_OUT, "'out'"},
    {YYSYMBOL_KW_PUSH, "'push'"},
    {YYSYMBOL_KW_QUERY, "'query'"},
    {YYSYMBOL_OF, "'of'"},
    {YYSYMBOL_WITH, "'with'"},
    {YYSYMBOL_SHARD, "'shard'"},
    {YYSYMBOL_FEED, "'feed'"},
    {YYSYMBOL_EXPECT, "'expect'"},
    {YYSYMBOL_ADVANCE, "'advance'"},
    {YYSYMBOL_COUNT, "'count'"},
    {YYSYMBOL_EMPTY, "'empty'"},
    {YYSYMBOL_ID, "a name"},
    {YYSYMBOL_INT, "a whole number"},
    {YYSYMBOL_STRING, "a text in quotes"},
    {YYSYMBOL_DURATION, "a duration"},
    {YYSYMBOL_DECLARE, "'::'"},
    {YYSYMBOL_COLON, "':'"},
    {YYSYMBOL_COMMA, "','"},
    {YYSYMBOL_DOT, "'.'"},
    {YYSYMBOL_OPEN, "'('"},
    {YYSYMBOL_CLOSE, "')'"},
    {YYSYMBOL_LIST_OPEN, "'['"},
    {YYSYMBOL_LIST_CLOSE, "']'"},
    {YYSYMBOL_BRACE_OPEN, "'{'"},
    {YYSYMBOL_BRACE_CLOSE, "'}'"},
    {YYSYMBOL_PUSH_CLOSE, "']->'"},
    {YYSYMBOL_QUERY_CLOSE, "']=>'"},
    {YYSYMBOL_EQUALS, "'='"},
    {YYSYMBOL_IS, "'=='"},
};

static bool has(const yysymbol_kind_t *expected, int count, yysymbol_kind_t symbol)
{
    for (int i = 0; i < count; i++)
        if (expected[i] == symbol) return true;
    return false;
}

/* "':'", "',' or ')'", "a value", "a name, ':' or the end of the statement". */
static const char *expected_words(struct yd__parse *parse, const yypcontext_t *context)
{
    yysymbol_kind_t expected[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, expected, YYNTOKENS);
    if (count <= 0) return NULL;
    const char *list[YYNTOKENS + 4];
    int listed = 0;
    bool value = has(expected, count, YYSYMBOL_FLOAT), wire = has(expected, count, YYSYMBOL_PUSH_WIRE);
    bool start = has(expected, count, YYSYMBOL_PARAM);
    if (start) return "a statement";
    if (has(expected, count, YYSYMBOL_KW_IN) && has(expected, count, YYSYMBOL_SHARD))
        return "a port ('in' or 'out') or a statement";
    if (value) list[listed++] = "a value";
    if (has(expected, count, YYSYMBOL_SHARD)) list[listed++] = "an element";
    for (size_t i = 0; i < YD_COUNT(symbol_words); i++) {
        yysymbol_kind_t symbol = (yysymbol_kind_t)symbol_words[i].symbol;
        if (!has(expected, count, symbol)) continue;
        bool of_value = symbol == YYSYMBOL_ID || symbol == YYSYMBOL_INT || symbol == YYSYMBOL_STRING ||
                        symbol == YYSYMBOL_DURATION || symbol == YYSYMBOL_LIST_OPEN || symbol == YYSYMBOL_BRACE_OPEN;
        if (value && of_value) continue;
        if (has(expected, count, YYSYMBOL_SHARD) && (symbol == YYSYMBOL_ID || symbol == YYSYMBOL_SHARD)) continue;
        if (symbol == YYSYMBOL_END && wire) continue; /* said last */
        list[listed++] = symbol_words[i].words;
    }
    if (wire) list[listed++] = "a wire";
    if (wire && has(expected, count, YYSYMBOL_END)) list[listed++] = "the end of the statement";
    if (listed == 0) return NULL;
    const char *text = list[0];
    for (int i = 1; i < listed; i++) text = yd__printf(parse->work, "%s%s%s", text, i + 1 < listed ? ", " : " or ", list[i]);
    return text;
}

static const struct yd__token *before(struct yd__parse *parse, uint32_t token, int back)
{
    /* In the stream, where the lookahead is the one that was read last. */
    uint32_t at = parse->stream_next;
    (void)token;
    if (at < (uint32_t)back + 1) return NULL;
    return &parse->tokens[parse->stream[at - 1 - (uint32_t)back]];
}

static void explain(struct yd__parse *parse, uint32_t token)
{
    const struct yd__token *it = &parse->tokens[token], *one = before(parse, token, 1), *two = before(parse, token, 2);
    struct yd__work *work = parse->work;
    if (one && two && one->type == YD_TOK_ID && two->type == YD_TOK_DECLARE && it->type != YD_TOK_OPEN) {
        yd__help(work, "an element is made with brackets, even without parameters: %.*s()", YD_STR_FMT(one->text));
        return;
    }
    if (it->type == YD_TOK_EQUALS && one && one->type == YD_TOK_ID) {
        yd__help(work, "a parameter is given with a colon: %.*s: …", YD_STR_FMT(one->text));
        return;
    }
    if (it->type == YD_TOK_BRACE_OPEN && one && one->type == YD_TOK_ID && yd_str_eq(one->text, YD_STR("with"))) {
        yd__help(work, "'with' stands on the line where its element ends: %s", "x :: Class(…) with { … }");
        return;
    }
    if (it->type == YD_TOK_ID && one && one->type == YD_TOK_ID) {
        static const char *const elsewhere[][2] = {
            {"in", "'in' declares a port: it stands in the body of an element"},
            {"out", "'out' declares a port: it stands in the body of an element"},
            {"feed", "'feed' is a step of a test: it stands in test \"…\" { … }"},
            {"expect", "'expect' is a step of a test: it stands in test \"…\" { … }"},
            {"push", "a port is declared as: in push name, out push name"},
            {"query", "a port is declared as: in query name, out query name"},
        };
        for (size_t i = 0; i < YD_COUNT(elsewhere); i++) {
            if (!yd_str_eq(one->text, yd_str_of(elsewhere[i][0]))) continue;
            yd__help(work, "%s", elsewhere[i][1]);
            return;
        }
    }
    bool make = it->type == YD_TOK_ID && one && one->type == YD_TOK_ID && token + 1 < parse->raw_count &&
                parse->tokens[token + 1].type == YD_TOK_OPEN;
    if (make) {
        yd__help(work, "an element is declared with '::': %.*s :: %.*s(…)", YD_STR_FMT(one->text), YD_STR_FMT(it->text));
        return;
    }
    if (it->type == YD_TOK_LIST_CLOSE) {
        yd__help(work, "a wire with options is written -[…]-> or =[…]=>, without a space before the arrow");
        return;
    }
}

/* A word that is nearly a keyword which could stand here. */
static const char *nearly(struct yd__parse *parse, const yypcontext_t *context, uint32_t token)
{
    yysymbol_kind_t expected[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, expected, YYNTOKENS);
    const struct yd__token *it = &parse->tokens[token];
    for (size_t i = 0; it->type == YD_TOK_ID && i < YD_COUNT(symbol_words); i++) {
        struct yd_str words = yd_str_of(symbol_words[i].words);
        if (words.data[0] != '\'' || words.data[1] < 'a' || words.data[1] > 'z') continue;
        struct yd_str word = {words.data + 1, words.size - 2};
        if (has(expected, count, (yysymbol_kind_t)symbol_words[i].symbol) && word.size > 2 &&
            yd_text_distance(it->text, word, 2) <= 2)
            return symbol_words[i].words;
    }
    return NULL;
}

static int yyreport_syntax_error(const yypcontext_t *context, struct yd__parse *parse)
{
    const struct yd__span *span = yypcontext_location(context);
    struct yd_place place = yd__token_place(parse, span->first);
    parse->errors++;
    if (parse->work->too_many || yd__complained_before(parse->work, place)) return 0;
    const char *expected = expected_words(parse, context), *word = nearly(parse, context, span->first);
    const char *unexpected = yd__token_words(parse, span->first);
    if (expected)
        yd__report(parse->work, YD_Y_SYNTAX, place, "", "%s is unexpected here: expected %s", unexpected, expected);
    else
        yd__report(parse->work, YD_Y_SYNTAX, place, "", "%s is unexpected here", unexpected);
    if (word)
        yd__help(parse->work, "did you mean %s?", word);
    else
        explain(parse, span->first);
    return 0;
}

static void yyerror(const struct yd__span *span, struct yd__parse *parse, const char *message)
{
    (void)message; /* bison's own: its stack is full or memory is */
    parse->errors++;
    yd__report(parse->work, YD_Y_NESTING, yd__token_place(parse, span->first), "", "this is nested too deeply");
}

int yd__flow_lex(YD__FLOW_STYPE *value, struct yd__span *span, struct yd__parse *parse)
{
    /* Out of memory: nothing more is built, the whole load fails. */
    uint32_t index = parse->stream[parse->work->failed ? parse->stream_count - 1 : parse->stream_next];
    if (parse->stream_next + 1 < parse->stream_count) parse->stream_next++;
    const struct yd__token *token = &parse->tokens[index];
    *span = (struct yd__span){index, index};
    value->token = token;
    return token->type;
}
