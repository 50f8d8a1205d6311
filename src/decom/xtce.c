/* XTCE into a model: systems, names and parameters.
 *
 *   text ──xml.c──▶ elements ──▶ names of all systems ──▶ types ──▶ parameters ──▶ containers ──▶ model
 *
 * A measurement is called by the path of its parameter: /Sat/Power/Volts is Sat.Power.Volts in whatever container it
 * lies. What can fail: text that is no XML, names that are missing or twice there, memory. What is not supported fails
 * nothing: it is named, and what depends on it is not decoded. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/large.h"
#include "base/text.h"
#include "decom/xtce_internal.h"

#define NAMES_MAX (4u << 20)

void *xtce_piece(struct xtce *xtce, size_t size)
{
    void *got = yd_arena_zero(&xtce->arena, size);
    xtce_check(xtce, got);
    return got;
}

void xtce_check(struct xtce *xtce, const void *made)
{
    if (!made || xtce->def->failed) longjmp(xtce->out_of_memory, 1);
}

/* ---- attributes and texts ---- */

struct yd_str xtce_attribute(const struct yd__xml *node, const char *name)
{
    const char *value = yd__xml_attribute(node, name);
    return value ? yd_str_of(value) : YD_STR("");
}

static bool is_true(struct yd_str text)
{
    return yd_str_eq(text, YD_STR("true")) || yd_str_eq(text, YD_STR("1"));
}

bool xtce_flag(struct xtce *xtce, const struct yd__xml *node, const char *name, bool otherwise)
{
    struct yd_str text = xtce_attribute(node, name);
    if (!text.size) return otherwise;
    if (is_true(text)) return true;
    if (!yd_str_eq(text, YD_STR("false")) && !yd_str_eq(text, YD_STR("0")))
        yd_def_error(xtce->diagnostics, YD_D_VALUE, node->place, "", "%s is true or false, not '%.*s'", name,
                     YD_STR_FMT(text));
    return false;
}

bool xtce_number(struct xtce *xtce, const struct yd__xml *node, struct yd_str text, int64_t *ret)
{
    char digits[32];
    char *end = digits;
    struct yd_str whole = text;
    bool minus = text.size && text.data[0] == '-';
    if (text.size && (text.data[0] == '-' || text.data[0] == '+')) text.data++, text.size--;
    int base = 10;
    if (text.size > 2 && text.data[0] == '0') {
        int letter = text.data[1] | 0x20;
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : letter == 'o' ? 8 : 10;
        if (base != 10) text.data += 2, text.size -= 2;
    }
    unsigned long long value = 0;
    bool good = text.size > 0 && text.size < sizeof digits && text.data[0] != '-' && text.data[0] != '+';
    if (good) {
        memcpy(digits, text.data, text.size);
        digits[text.size] = 0;
        errno = 0;
        value = strtoull(digits, &end, base);
        good = *end == 0 && errno == 0 && digits[0] != ' ' && value <= (uint64_t)INT64_MAX + minus;
    }
    if (!good)
        return yd_def_error(xtce->diagnostics, YD_D_NUMBER, node->place, "", "'%.*s' of <%s> is no whole number",
                            (int)YD_MIN(whole.size, (size_t)60), whole.data, node->name);
    *ret = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool xtce_real(struct xtce *xtce, const struct yd__xml *node, struct yd_str text, double *ret)
{
    if (text.size && text.data[0] == '+') text.data++, text.size--;
    return yd_text_f64(text, true, ret) == 0 ||
           yd_def_error(xtce->diagnostics, YD_D_NUMBER, node->place, "", "'%.*s' of <%s> is no number",
                        (int)YD_MIN(text.size, (size_t)60), text.data, node->name);
}

const struct yd__xml *xtce_child(const struct yd__xml *node, enum xtce_tag tag)
{
    for (const struct yd__xml *child = node->first; child; child = child->next)
        if (child->tag == tag && !child->foreign) return child;
    return NULL;
}

bool xtce_is_aside(struct xtce *xtce, const struct yd__xml *node)
{
    switch (node->foreign ? XT_OTHER : (enum xtce_tag)node->tag) {
    case XT_LongDescription:
    case XT_AliasSet:
    case XT_AncillaryDataSet:
    case XT_Header:
    case XT_DefaultRateInStream:
    case XT_RateInStreamSet:
    case XT_TimeAssociation:
    case XT_ToString:
    case XT_SizeRangeInCharacters:
    case XT_ErrorDetectCorrect:
    case XT_ToBinaryTransformAlgorithm:
        return true;
    default:
        yd_def_warn(xtce->diagnostics, YD_D_UNSUPPORTED, node->place, "", "<%.100s> is not read here", node->name);
        return false;
    }
}

const char *xtce_why(struct xtce *xtce, const struct yd__xml *node, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *why = yd_def_printf(xtce->def, "%s (<%.60s> of line %u)", text, node->name, node->place.line);
    xtce_check(xtce, why);
    return why;
}

/* ---- names ---- */

static uint32_t hash_of(enum xtce_kind kind, const void *in, struct yd_str name)
{
    return (uint32_t)((yd_hash_str(name) ^ yd_hash_id((uint64_t)(uintptr_t)in * 8 + kind)) >> 32);
}

static void grow(struct xtce *xtce)
{
    size_t size = xtce->table_size ? xtce->table_size * 2 : 4096, mask = size - 1;
    struct xtce_slot *table = yd_alloc_zero(xtce->arena.alloc, size * sizeof *table);
    xtce_check(xtce, table);
    for (size_t i = 0; i < xtce->table_size; i++) {
        struct xtce_slot slot = xtce->table[i];
        if (!slot.number) continue;
        size_t at = slot.hash & mask;
        while (table[at].number) at = (at + 1) & mask;
        table[at] = slot;
    }
    yd_alloc_put(xtce->arena.alloc, xtce->table, xtce->table_size * sizeof *table);
    xtce->table = table;
    xtce->table_size = size;
}

static struct xtce_named *item_of(const struct xtce *xtce, uint32_t number)
{
    return &xtce->named[(number - 1) / XTCE_BLOCK][(number - 1) % XTCE_BLOCK];
}

struct xtce_named *xtce_find(struct xtce *xtce, enum xtce_kind kind, const void *in, struct yd_str name, bool add)
{
    if (xtce->table_count * 4 >= xtce->table_size * 3) grow(xtce);
    uint32_t hash = hash_of(kind, in, name);
    size_t mask = xtce->table_size - 1, at = hash & mask;
    for (; xtce->table[at].number; at = (at + 1) & mask) {
        if (xtce->table[at].hash != hash) continue;
        struct xtce_named *item = item_of(xtce, xtce->table[at].number);
        if (item->kind == kind && item->in == in && yd_str_eq(item->name, name)) return item;
    }
    if (!add) return NULL;
    size_t number = xtce->table_count, block = number / XTCE_BLOCK;
    if (number % XTCE_BLOCK == 0) {
        if (block == YD_COUNT(xtce->named)) longjmp(xtce->out_of_memory, 1); /* said long before, by who declares */
        xtce->named[block] = xtce_piece(xtce, XTCE_BLOCK * sizeof **xtce->named);
    }
    xtce->table[at] = (struct xtce_slot){hash, (uint32_t)++xtce->table_count};
    struct xtce_named *made = item_of(xtce, xtce->table[at].number);
    *made = (struct xtce_named){kind, in, name, NULL};
    return made;
}

/* "Power/Volts" from here: through systems below `in` as far as there are slashes. */
static void *walk(struct xtce *xtce, enum xtce_kind kind, struct xtce_system *in, struct yd_str path,
                  struct yd_str *ret_rest)
{
    while (in) {
        size_t size = 0;
        while (size < path.size && path.data[size] != '/') size++;
        struct yd_str part = {path.data, size};
        if (size == path.size) break;
        path.data += size + 1;
        path.size -= size + 1;
        if (!part.size || yd_str_eq(part, YD_STR("."))) continue;
        if (yd_str_eq(part, YD_STR(".."))) {
            in = in->parent;
            continue;
        }
        struct xtce_named *found = xtce_find(xtce, XTCE_SYSTEM, in, part, false);
        if (!found && kind == XTCE_PARAMETER && ret_rest && (found = xtce_find(xtce, kind, in, part, false))) {
            *ret_rest = path; /* Volts/member, as 1.0 wrote it */
            return found->what;
        }
        in = found ? found->what : NULL;
    }
    if (!in) return NULL;
    struct xtce_named *found = xtce_find(xtce, kind, in, path, false);
    if (found || !ret_rest) return found ? found->what : NULL;
    size_t dot = 0;
    while (dot < path.size && path.data[dot] != '.' && path.data[dot] != '[') dot++;
    if (dot == path.size) return NULL;
    found = xtce_find(xtce, kind, in, (struct yd_str){path.data, dot}, false);
    if (!found) return NULL;
    size_t skip = path.data[dot] == '.';
    *ret_rest = (struct yd_str){path.data + dot + skip, path.size - dot - skip};
    return found->what;
}

void *xtce_resolve(struct xtce *xtce, enum xtce_kind kind, struct xtce_system *from, struct yd_str name,
                   struct yd_str *ret_rest)
{
    if (ret_rest) *ret_rest = YD_STR("");
    if (name.size && name.data[0] == '/') {
        struct yd_str rest = {name.data + 1, name.size - 1};
        const struct yd_str root = xtce->root->name;
        if (!yd_str_starts(rest, root) || rest.size <= root.size || rest.data[root.size] != '/') return NULL;
        return walk(xtce, kind, xtce->root, (struct yd_str){rest.data + root.size + 1, rest.size - root.size - 1},
                    ret_rest);
    }
    for (; from; from = from->parent) {
        void *found = walk(xtce, kind, from, name, ret_rest);
        if (found) return found;
    }
    return NULL;
}

/* Does it say the same here, letter for letter? */
static bool is_word(enum xtce_kind kind, struct yd_str name)
{
    bool begins = true;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool dot = kind == XTCE_OUTER_NAME && c == '.' && !begins && i + 1 < name.size;
        if (!letter && !(digit && !begins) && !dot) return false;
        begins = dot;
    }
    return name.size > 0;
}

static bool is_reserved(struct yd_str word)
{
    static const char *const reserved[] = {"_", "x", "not", "and", "or", "in", "true", "false"};
    for (size_t i = 0; word.size <= 5 && i < YD_COUNT(reserved); i++)
        if (yd_str_eq(word, yd_str_of(reserved[i]))) return true;
    return false;
}

struct yd_str xtce_word(struct xtce *xtce, enum xtce_kind kind, struct yd_str name)
{
    bool field = kind == XTCE_FIELD_NAME;
    if (is_word(kind, name) && !(field && is_reserved(name))) { /* nearly always */
        struct xtce_named *named = xtce_find(xtce, kind, NULL, name, true);
        if (!named->what) return named->what = xtce, name;
    }
    char *word = xtce_piece(xtce, name.size + 16);
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool begins = size == 0 || word[size - 1] == '.';
        if (digit && begins) word[size++] = '_';
        if (kind == XTCE_OUTER_NAME && c == '.' && !begins && i + 1 < name.size)
            word[size++] = c;
        else
            word[size++] = digit || letter ? c : '_';
    }
    if (!size) word[size++] = '_';
    if (field && is_reserved((struct yd_str){word, size})) word[size++] = '_';
    struct yd_str made = {word, size};
    for (unsigned count = 2; xtce_find(xtce, kind, NULL, made, false); count++)
        made.size = size + (size_t)snprintf(word + size, 12, "_%u", count % 1000000000);
    xtce_find(xtce, kind, NULL, made, true)->what = xtce;
    return made;
}

struct yd_str xtce_join(struct xtce *xtce, struct yd_str a, struct yd_str b)
{
    char *path = yd_arena_get(&xtce->arena, a.size + b.size + 2);
    xtce_check(xtce, path);
    if (a.size) memcpy(path, a.data, a.size);
    path[a.size] = '.';
    if (b.size) memcpy(path + a.size + 1, b.data, b.size);
    path[a.size + 1 + b.size] = 0;
    return (struct yd_str){path, a.size + 1 + b.size};
}

/* A name of the file: what has it, or a mistake. */
static bool declare(struct xtce *xtce, enum xtce_kind kind, struct xtce_system *system, const struct yd__xml *node,
                    void *what)
{
    struct yd_str name = xtce_attribute(node, "name");
    if (!name.size)
        return yd_def_error(xtce->diagnostics, YD_D_SYNTAX, node->place, "", "<%.100s> has no name", node->name);
    if (xtce->table_count > NAMES_MAX)
        return yd_def_error(xtce->diagnostics, YD_D_LIMIT, node->place, "", "more than %u names", NAMES_MAX);
    struct xtce_named *named = xtce_find(xtce, kind, system, name, true);
    if (!named->what) return named->what = what, true;
    return yd_def_error(xtce->diagnostics, YD_D_DUPLICATE, node->place, "", "'%.*s' is there already in this system",
                        YD_STR_FMT(name));
}

/* ---- what the systems hold ---- */

#define ADD(first, last, item)                                                                                         \
    do {                                                                                                               \
        if (last)                                                                                                      \
            (last)->next = (item);                                                                                     \
        else                                                                                                           \
            (first) = (item);                                                                                          \
        (last) = (item);                                                                                               \
    } while (0)

static bool is_type(const struct yd__xml *node)
{
    return node->tag >= XT_StringParameterType && node->tag <= XT_AggregateParameterType && !node->foreign;
}

static void gather_sets(struct xtce *xtce, struct xtce_system *system, const struct yd__xml *node)
{
    for (const struct yd__xml *set = node->first; set; set = set->next) {
        bool types = set->tag == XT_ParameterTypeSet, parameters = set->tag == XT_ParameterSet,
             containers = set->tag == XT_ContainerSet && node->tag == XT_TelemetryMetaData;
        if (set->foreign || (!types && !parameters && !containers)) {
            if (node->tag == XT_TelemetryMetaData) (void)xtce_is_aside(xtce, set);
            continue;
        }
        for (const struct yd__xml *item = set->first; item; item = item->next) {
            if (types && is_type(item)) {
                struct xtce_type *type = xtce_piece(xtce, sizeof *type);
                *type = (struct xtce_type){.system = system, .node = item};
                if (declare(xtce, XTCE_TYPE, system, item, type)) ADD(xtce->types, xtce->types_last, type);
            } else if (parameters && item->tag == XT_Parameter && !item->foreign) {
                struct xtce_parameter *parameter = xtce_piece(xtce, sizeof *parameter);
                *parameter = (struct xtce_parameter){.system = system, .node = item};
                if (declare(xtce, XTCE_PARAMETER, system, item, parameter))
                    ADD(xtce->parameters, xtce->parameters_last, parameter);
            } else if (containers && item->tag == XT_SequenceContainer && !item->foreign) {
                struct xtce_container *container = xtce_piece(xtce, sizeof *container);
                *container = (struct xtce_container){.system = system, .node = item};
                if (declare(xtce, XTCE_CONTAINER, system, item, container))
                    ADD(xtce->containers, xtce->containers_last, container);
            } else if (!(parameters && item->tag == XT_ParameterRef)) {
                (void)xtce_is_aside(xtce, item);
            }
        }
    }
}

static void gather(struct xtce *xtce, struct xtce_system *parent, const struct yd__xml *node)
{
    struct xtce_system *system = xtce_piece(xtce, sizeof *system);
    struct yd_str name = xtce_attribute(node, "name");
    *system = (struct xtce_system){.parent = parent, .name = name, .number = xtce->system_count++};
    if (parent) {
        system->path = xtce_join(xtce, parent->path, name);
        if (!declare(xtce, XTCE_SYSTEM, parent, node, system)) return;
    } else {
        system->path = name;
        xtce->root = system;
        if (!name.size) yd_def_error(xtce->diagnostics, YD_D_SYNTAX, node->place, "", "<SpaceSystem> has no name");
    }
    for (const struct yd__xml *child = node->first; child; child = child->next) {
        if (child->tag == XT_SpaceSystem && !child->foreign)
            gather(xtce, system, child);
        else if ((child->tag == XT_TelemetryMetaData || child->tag == XT_CommandMetaData) && !child->foreign)
            gather_sets(xtce, system, child); /* commands' own parameters can lie in telemetry */
        else
            (void)xtce_is_aside(xtce, child);
    }
}

static void take_parameter(struct xtce *xtce, struct xtce_parameter *parameter)
{
    const struct yd__xml *node = parameter->node;
    struct yd_str name = xtce_attribute(node, "name"), type = xtce_attribute(node, "parameterTypeRef");
    parameter->field = xtce_word(xtce, XTCE_FIELD_NAME, name);
    parameter->published = xtce_word(xtce, XTCE_OUTER_NAME, xtce_join(xtce, parameter->system->path, name));
    for (const struct yd__xml *child = node->first; child; child = child->next)
        if (child->tag != XT_ParameterProperties) (void)xtce_is_aside(xtce, child);
    struct xtce_type *found = type.size ? xtce_resolve(xtce, XTCE_TYPE, parameter->system, type, NULL) : NULL;
    if (found) {
        parameter->type = xtce_type(xtce, found);
        return;
    }
    yd_def_error(xtce->diagnostics, YD_D_TYPE, node->place, "", "'%.*s' has the type '%.*s', which is not there",
                 YD_STR_FMT(name), YD_STR_FMT(type));
    struct yd_nearest nearest;
    if (xtce->diagnostics->errors > 20) return;
    yd_nearest_init(&nearest, type);
    for (const struct xtce_type *other = xtce->types; other; other = other->next)
        yd_nearest_add(&nearest, xtce_attribute(other->node, "name"));
    yd_nearest_help(&nearest, xtce->diagnostics, "a type of another system is named with its path: /Sat/Power/Volts");
}

/* ---- the whole ---- */

static void check_root(struct xtce *xtce, const struct yd__xml *root)
{
    static const char *const known[] = {"http://www.omg.org/spec/XTCE/20180204", "http://www.omg.org/space/xtce",
                                        "http://www.omg.org/space"};
    if (root->tag != XT_SpaceSystem) {
        yd_def_error(xtce->diagnostics, YD_D_SYNTAX, root->place, "",
                     "<%.100s> is not XTCE: that begins with <SpaceSystem>", root->name);
        return;
    }
    for (const char **at = root->attributes; *at; at += 2)
        for (size_t i = 0; i < YD_COUNT(known); i++)
            if (strncmp(at[0], "xmlns", 5) == 0 && strcmp(at[1], known[i]) == 0) {
                xtce->is_older = i > 0;
                return;
            }
    yd_def_warn(xtce->diagnostics, YD_D_UNSUPPORTED, root->place, "",
                "no namespace of XTCE that is known: this is read as 1.2");
    yd_def_help(xtce->diagnostics, "write xmlns=\"%s\"", known[0]);
}

static void read_root(struct xtce *xtce, const struct yd__xml *root)
{
    check_root(xtce, root);
    if (root->tag != XT_SpaceSystem) return;
    gather(xtce, NULL, root);
    for (struct xtce_type *type = xtce->types; type; type = type->next) (void)xtce_type(xtce, type);
    for (struct xtce_parameter *item = xtce->parameters; item; item = item->next) take_parameter(xtce, item);
    xtce_containers(xtce);
}

int yd_xtce_read(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                 struct yd_def **ret_def)
{
    static const char *const tags[] = {
#define XTCE_TAG_NAME(name) #name,
        XTCE_TAGS(XTCE_TAG_NAME)
#undef XTCE_TAG_NAME
    };
    struct yd__xml *root;
    struct xtce xtce = {.diagnostics = diagnostics};
    size_t errors = diagnostics->errors;
    *ret_def = NULL;
    uint32_t file = yd_def_source(diagnostics, path, yd_text_utf8(text) ? text : YD_STR(""));
    if (file == UINT32_MAX) return YD_ENOMEM;
    int r = yd_def_create(alloc, &xtce.def);
    if (r < 0) return r;
    yd_arena_init(&xtce.arena, alloc ? alloc : yd_alloc_large());
    r = yd__xml_read(text, file, tags, YD_COUNT(tags), &xtce.arena, diagnostics, &root);
    if (r == 0) {
        if (setjmp(xtce.out_of_memory))
            r = YD_ENOMEM;
        else
            read_root(&xtce, root);
    }
    yd_def_sort(diagnostics);
    if (r == 0 && xtce.def->failed) r = YD_ENOMEM;
    if (r == 0 && diagnostics->errors > errors) r = YD_EFORMAT;
    yd_alloc_put(xtce.arena.alloc, xtce.table, xtce.table_size * sizeof *xtce.table);
    yd_arena_fini(&xtce.arena);
    if (r < 0)
        yd_def_destroy(xtce.def);
    else
        *ret_def = xtce.def;
    return r;
}
