/* A script in Lua, shut in: its life, its limits, its calls.
 *
 *   text --load: text only--> chunk --run once--> on(…) each(…) forgotten(…): functions kept in the registry
 *   call: steps = steps_max --> handler(values, time) --> table --> names checked, sorted --> results
 *           |  hook: every 1000 instructions; library: what it copies; allocator: what it takes, all pay in steps
 *           `--> below 0: the call ends with an error, and nothing in a script can catch one
 *
 * Everything that can raise an error of Lua stands below lua_pcall; the results' texts lie in Lua, kept on its stack
 * until the next call. What can fail: the script (told with file and line, the next call is made as if nothing had
 * been, but `state` stays as the failed call left it), and memory: the script's own limit, or the system's. */
#include "elements/script.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "elements/script_internal.h"

#define HOOK_STEPS 1000

/* ---- memory and steps ---- */

static void *script_memory(void *opaque, void *old, size_t old_size, size_t new_size)
{
    struct yd_script *script = opaque;
    size_t had = old ? old_size : 0; /* without a block it says what is to be made */
    if (new_size == 0) {
        yd_alloc_put(script->alloc, old, had);
        script->memory_used -= had;
        return NULL;
    }
    if (new_size > had) {
        bool too_long = !old && old_size == LUA_TSTRING && new_size > YD_SCRIPT_STRING_MAX + 64;
        if (too_long) script->string_refused = true;
        if (too_long || new_size - had > script->memory_max - YD_MIN(script->memory_used, script->memory_max))
            return NULL;
        script->steps -= (int64_t)((new_size - had) / 64); /* the next instructions find it out: they have a line */
    }
    void *data = yd_alloc_resize(script->alloc, old, had, new_size);
    if (data)
        script->memory_used += new_size - had;
    else
        script->system_refused = true;
    return data;
}

static void count_steps(lua_State *lua, lua_Debug *at)
{
    struct yd_script *script = yd__script_of(lua);
    script->steps -= HOOK_STEPS;
    if (script->steps >= 0) return;
    script->raised = YD_SCRIPT_STEPS;
    (void)lua_getinfo(lua, "Sl", at);
    luaL_error(lua, "%s:%d: more than %I steps in one call", at->short_src, at->currentline,
               (lua_Integer)script->steps_max);
}

/* ---- protected ---- */

/* Messages that say no line get that of the script's function that runs. */
static int add_place(lua_State *lua)
{
    lua_Debug at;
    if (lua_type(lua, 1) != LUA_TSTRING)
        lua_pushfstring(lua, "error with a %s", luaL_typename(lua, 1));
    else
        lua_pushvalue(lua, 1);
    const char *message = lua_tostring(lua, -1);
    for (int level = 0; lua_getstack(lua, level, &at); level++) {
        (void)lua_getinfo(lua, "Sl", &at);
        if (at.currentline <= 0) continue;
        if (strncmp(message, at.short_src, strlen(at.short_src)) == 0) break;
        lua_pushfstring(lua, "%s:%d: %s", at.short_src, at.currentline, message);
        break;
    }
    return 1;
}

static enum yd_script_fault fail_call(struct yd_script *script, int status, int line)
{
    lua_State *lua = script->lua;
    enum yd_script_fault fault = script->raised ? script->raised : YD_SCRIPT_ERROR;
    if (status == LUA_ERRMEM || status == LUA_ERRERR) {
        fault = YD_SCRIPT_MEMORY;
        int size = snprintf(script->why, sizeof script->why, "%.255s:%d: ", script->name, line);
        char *to = script->why + size;
        size_t room = sizeof script->why - (size_t)size;
        if (script->string_refused)
            (void)snprintf(to, room, "a text of more than %d bytes", YD_SCRIPT_STRING_MAX);
        else if (script->system_refused)
            (void)snprintf(to, room, "out of memory");
        else
            (void)snprintf(to, room, "more than %zu bytes of memory", script->memory_max);
    } else {
        size_t size;
        const char *message = lua_tolstring(lua, -1, &size);
        (void)snprintf(script->why, sizeof script->why, "%.*s", (int)YD_MIN(size, sizeof script->why - 1),
                       message ? message : "error");
    }
    lua_settop(lua, 0);
    return fault;
}

/* Calls `function` below lua_pcall with `job` as its argument; its results stay on the stack above the handler. */
static enum yd_script_fault protect(struct yd_script *script, lua_CFunction function, void *job, int results, int line)
{
    lua_State *lua = script->lua;
    lua_settop(lua, 0);
    script->steps = script->steps_max;
    script->raised = YD_SCRIPT_FINE;
    script->string_refused = script->system_refused = false;
    lua_pushcfunction(lua, add_place);
    lua_pushcfunction(lua, function);
    lua_pushlightuserdata(lua, job);
    int status = lua_pcall(lua, 1, results, 1);
    return status == LUA_OK ? YD_SCRIPT_FINE : fail_call(script, status, line);
}

/* ---- what a script declares ---- */

static void check_open(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    if (script->declared) luaL_error(lua, "handlers are declared once, when the script is read");
}

static int out_of_memory(lua_State *lua)
{
    yd__script_of(lua)->system_refused = true;
    yd__script_of(lua)->raised = YD_SCRIPT_MEMORY;
    return luaL_error(lua, "out of memory");
}

/* The function at the top is taken. */
static struct yd_script_handler *new_handler(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    lua_Debug at;
    luaL_checktype(lua, lua_gettop(lua), LUA_TFUNCTION);
    if (script->handler_count == YD_SCRIPT_HANDLERS_MAX)
        luaL_error(lua, "more than %d handlers", YD_SCRIPT_HANDLERS_MAX);
    lua_pushvalue(lua, -1);
    (void)lua_getinfo(lua, ">S", &at);
    struct yd_script_handler *handler = &script->handlers[script->handler_count];
    *handler = (struct yd_script_handler){.function = luaL_ref(lua, LUA_REGISTRYINDEX), .line = at.linedefined};
    return handler;
}

static int declare_on(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    int count = lua_gettop(lua) - 1;
    check_open(lua);
    if (count < 1 || count > YD_SCRIPT_INPUTS_MAX)
        return luaL_error(lua, "write on(\"name\", …, function), with at most %d names", YD_SCRIPT_INPUTS_MAX);
    struct yd_script_handler *handler = new_handler(lua);
    handler->inputs = yd_arena_get(&script->arena, (size_t)count * sizeof *handler->inputs);
    if (!handler->inputs) return out_of_memory(lua);
    for (int i = 0; i < count; i++) {
        char name[YD_NAME_SIZE_MAX];
        struct yd_str text;
        text.data = luaL_checklstring(lua, i + 1, &text.size);
        size_t size;
        if (yd_name_canonical(text, name, &size) < 0)
            return luaL_error(lua, "'%s' is not a name of a measurement", text.data);
        handler->inputs[i] = yd_arena_str(&script->arena, (struct yd_str){name, size});
        if (!handler->inputs[i].data) return out_of_memory(lua);
    }
    handler->input_count = (uint32_t)count;
    script->handler_count++;
    return 0;
}

static int declare_each(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    struct yd_str text;
    check_open(lua);
    text.data = luaL_checklstring(lua, 1, &text.size);
    lua_settop(lua, 2);
    if (script->each_count == YD_SCRIPT_EACH_MAX) return luaL_error(lua, "more than %d patterns", YD_SCRIPT_EACH_MAX);
    struct yd_script_handler *handler = new_handler(lua);
    int error = yd_pattern_compile(text, &handler->pattern);
    if (error == YD_ENOMEM) return out_of_memory(lua);
    if (error < 0) return luaL_error(lua, "'%s' is not a name pattern", text.data);
    script->each_count++;
    script->handler_count++;
    return 0;
}

static int declare_forgotten(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    check_open(lua);
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    if (script->forgotten != LUA_NOREF) return luaL_error(lua, "there is a function for what is forgotten already");
    lua_settop(lua, 1);
    script->forgotten = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

/* ---- open ---- */

struct opening {
    struct yd_str text, saved;
    bool bad_saved;
};

static void set_global(lua_State *lua, const char *name, lua_CFunction function)
{
    lua_pushglobaltable(lua);
    lua_pushstring(lua, name);
    lua_pushcfunction(lua, function);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}

static int open_protected(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    struct opening *opening = lua_touserdata(lua, 1);
    char name[258];
    script->steps = INT64_MAX / 2; /* what is saved and the libraries are not of its making */
    yd__script_library_lua(lua);
    set_global(lua, "on", declare_on);
    set_global(lua, "each", declare_each);
    set_global(lua, "forgotten", declare_forgotten);
    lua_pushglobaltable(lua);
    lua_pushstring(lua, "state");
    if (opening->saved.size == 0)
        lua_createtable(lua, 0, 0);
    else
        opening->bad_saved = !yd__script_load_lua(lua, &opening->saved) || opening->saved.size;
    if (opening->bad_saved) return 0;
    if (!lua_istable(lua, -1)) { /* it was no table when it was saved */
        lua_pop(lua, 1);
        lua_createtable(lua, 0, 0);
    }
    lua_rawset(lua, -3);
    script->steps = script->steps_max;
    (void)snprintf(name, sizeof name, "@%s", script->name);
    int status = luaL_loadbufferx(lua, opening->text.data, opening->text.size, name, "t");
    if (status != LUA_OK) return lua_error(lua);
    lua_sethook(lua, count_steps, LUA_MASKCOUNT, HOOK_STEPS);
    lua_call(lua, 0, 0);
    if (script->handler_count == 0)
        return luaL_error(lua, "%s:1: nothing is declared: write on(\"name\", function(value, time) … end)",
                          script->name);
    return 0;
}

int yd_script_open(const char *name, struct yd_str text, const struct yd_script_options *options, struct yd_str saved,
                   char *why, size_t why_size, struct yd_script **ret_script)
{
    struct opening opening = {.text = text, .saved = saved};
    struct yd_script *script = yd_alloc_zero(options->alloc, sizeof *script);
    if (!script) return YD_ENOMEM;
    script->alloc = options->alloc;
    script->memory_max = options->memory_max;
    script->steps = script->steps_max = options->steps_max;
    script->forgotten = LUA_NOREF;
    (void)snprintf(script->name, sizeof script->name, "%s", name);
    yd_arena_init(&script->arena, options->alloc);
    yd_arena_init(&script->names, options->alloc);
    script->handlers = yd_arena_get(&script->arena, YD_SCRIPT_HANDLERS_MAX * sizeof *script->handlers);
    if (script->handlers) script->lua = lua_newstate(script_memory, script);
    if (!script->lua) {
        yd_script_destroy(script);
        return YD_ENOMEM;
    }
    *(struct yd_script **)lua_getextraspace(script->lua) = script;
    enum yd_script_fault fault = protect(script, open_protected, &opening, 0, 1);
    script->declared = true;
    if (fault == YD_SCRIPT_FINE && !opening.bad_saved) {
        *ret_script = script;
        return 0;
    }
    if (why_size) (void)snprintf(why, why_size, "%s", script->why);
    int error = opening.bad_saved ? YD_EVERSION : script->system_refused ? YD_ENOMEM : YD_EFORMAT;
    yd_script_destroy(script);
    return error;
}

void yd_script_destroy(struct yd_script *script)
{
    if (!script) return;
    if (script->lua) lua_close(script->lua);
    for (uint32_t i = 0; i < script->handler_count; i++) yd_pattern_destroy(script->handlers[i].pattern);
    yd_alloc_put(script->alloc, script->results, script->result_room * sizeof *script->results);
    yd_arena_fini(&script->names);
    yd_arena_fini(&script->arena);
    yd_alloc_put(script->alloc, script, sizeof *script);
}

const struct yd_script_handler *yd_script_handlers(const struct yd_script *script, size_t *ret_count)
{
    *ret_count = script->handler_count;
    return script->handlers;
}

bool yd_script_same(const struct yd_script *script, const struct yd_script *other)
{
    if (script->handler_count != other->handler_count) return false;
    for (uint32_t i = 0; i < script->handler_count; i++) {
        const struct yd_script_handler *a = &script->handlers[i], *b = &other->handlers[i];
        if (a->input_count != b->input_count || a->line != b->line || !a->pattern != !b->pattern) return false;
        for (uint32_t n = 0; n < a->input_count; n++)
            if (!yd_str_eq(a->inputs[n], b->inputs[n])) return false;
    }
    return true;
}

/* ---- calls ---- */

struct call {
    int function;
    const struct yd_reading *values;
    uint32_t count;
    int64_t time_ns;
    struct yd_str name; /* `each` */
};

static void push_reading(lua_State *lua, const struct yd_reading *value)
{
    switch (value->type) {
    case YD_BOOL:
        lua_pushboolean(lua, (int)value->bits);
        break;
    case YD_I64:
        lua_pushinteger(lua, value->i64);
        break;
    case YD_U64: /* Lua's whole numbers end at 2^63 */
        if (value->u64 <= INT64_MAX)
            lua_pushinteger(lua, (lua_Integer)value->u64);
        else
            lua_pushnumber(lua, (double)value->u64);
        break;
    case YD_F64:
        lua_pushnumber(lua, value->f64);
        break;
    case YD_TEXT:
        lua_pushlstring(lua, value->text, value->size);
        break;
    default:
        lua_pushnil(lua);
    }
}

static int unfit(lua_State *lua, const char *what, const char *name)
{
    yd__script_of(lua)->raised = YD_SCRIPT_RESULT;
    return luaL_error(lua, what, name);
}

static struct yd_reading read_result(lua_State *lua, const char *name)
{
    struct yd_str text;
    double number;
    switch (lua_type(lua, -1)) {
    case LUA_TBOOLEAN:
        return yd_reading_bool(lua_toboolean(lua, -1), 0);
    case LUA_TNUMBER:
        if (lua_isinteger(lua, -1)) return yd_reading_i64(lua_tointeger(lua, -1), 0);
        number = lua_tonumber(lua, -1);
        return isfinite(number) ? yd_reading_f64(number, 0) : yd_reading_none(YD_READING_DOMAIN);
    case LUA_TSTRING:
        text.data = lua_tolstring(lua, -1, &text.size);
        if (text.size > YD_SCRIPT_TEXT_MAX) unfit(lua, "result '%s': a text of more than 4096 bytes", name);
        if (!yd_text_utf8(text)) unfit(lua, "result '%s': a text that is not UTF-8", name);
        return yd_reading_text(text, 0);
    default:
        unfit(lua, "result '%s' is neither number, text nor boolean", name);
        return yd_reading_none(0);
    }
}

/* Key and value are on the stack. */
static void add_result(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    char name[YD_NAME_SIZE_MAX];
    struct yd_str text;
    size_t size;
    if (lua_type(lua, -2) != LUA_TSTRING)
        unfit(lua, "the name of a result is a %s, not a text", luaL_typename(lua, -2));
    text.data = lua_tolstring(lua, -2, &text.size);
    if (yd_name_canonical(text, name, &size) < 0) unfit(lua, "result '%s': not a name of a measurement", text.data);
    struct yd_reading value = read_result(lua, text.data);
    if (script->result_count == YD_SCRIPT_RESULTS_MAX) unfit(lua, "more than 1024 results%s", "");
    if (script->result_count == script->result_room) {
        uint32_t room = script->result_room ? script->result_room * 2 : 16;
        struct yd_script_result *grown =
            yd_alloc_resize(script->alloc, script->results, script->result_room * sizeof *grown, room * sizeof *grown);
        if (!grown) {
            (void)out_of_memory(lua);
            return;
        }
        script->results = grown;
        script->result_room = room;
    }
    struct yd_str kept = yd_arena_str(&script->names, (struct yd_str){name, size});
    if (!kept.data) (void)out_of_memory(lua);
    script->results[script->result_count++] = (struct yd_script_result){kept, value};
}

static int by_name(const void *left, const void *right)
{
    const struct yd_script_result *a = left, *b = right;
    int order = memcmp(a->name.data, b->name.data, YD_MIN(a->name.size, b->name.size));
    return order ? order : (a->name.size > b->name.size) - (a->name.size < b->name.size);
}

/* Lua's order of a table is another one in each run; ours is by name. */
static void collect(lua_State *lua)
{
    struct yd_script *script = yd__script_of(lua);
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) add_result(lua);
    if (script->result_count < 2) return;
    qsort(script->results, script->result_count, sizeof *script->results, by_name);
    for (uint32_t i = 1; i < script->result_count; i++)
        if (yd_str_eq(script->results[i - 1].name, script->results[i].name))
            unfit(lua, "result '%s' twice, spelled differently", script->results[i].name.data);
}

/* Leaves the table of results on the stack: their texts lie in it. */
static int entry(lua_State *lua)
{
    struct call *call = lua_touserdata(lua, 1);
    luaL_checkstack(lua, YD_SCRIPT_INPUTS_MAX + 16, NULL);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call->function);
    for (uint32_t i = 0; i < call->count; i++) push_reading(lua, &call->values[i]);
    lua_pushinteger(lua, call->time_ns);
    int count = (int)call->count + 1;
    if (call->name.data) {
        lua_pushlstring(lua, call->name.data, call->name.size);
        count++;
    }
    lua_call(lua, count, 1);
    if (lua_isnil(lua, -1)) return 1;
    if (!lua_istable(lua, -1))
        return unfit(lua, "a handler returns a table of results or nothing, not a %s", luaL_typename(lua, -1));
    collect(lua);
    return 1;
}

enum yd_script_fault yd_script_call(struct yd_script *script, uint32_t index, const struct yd_reading *values,
                                    int64_t time_ns, struct yd_str name, const struct yd_script_result **ret_results,
                                    size_t *ret_count)
{
    const struct yd_script_handler *handler = &script->handlers[index];
    struct call call = {
        .function = handler->function, .values = values, .count = handler->input_count, .time_ns = time_ns};
    if (handler->pattern) {
        call.count = 1;
        call.name = name;
    }
    script->result_count = 0;
    yd_arena_reset(&script->names);
    enum yd_script_fault fault = protect(script, entry, &call, 1, handler->line);
    *ret_results = script->results;
    *ret_count = fault == YD_SCRIPT_FINE ? script->result_count : 0;
    return fault;
}

/* ---- forgetting ---- */

static int matches(lua_State *lua)
{
    const struct yd_script *script = yd__script_of(lua);
    char name[YD_NAME_SIZE_MAX];
    struct yd_str text;
    size_t size;
    text.data = luaL_checklstring(lua, 1, &text.size);
    if (!script->gone) return luaL_error(lua, "it is over: ask while the function for what is forgotten runs");
    bool is = yd_name_canonical(text, name, &size) == 0;
    struct yd_str canonical = {name, is ? size : 0};
    lua_pushboolean(lua, is && (script->gone_pattern ? yd_pattern_match(script->gone_pattern, canonical)
                                                     : yd_str_eq(script->gone_name, canonical)));
    return 1;
}

static int forget_protected(lua_State *lua)
{
    lua_rawgeti(lua, LUA_REGISTRYINDEX, yd__script_of(lua)->forgotten);
    lua_pushcfunction(lua, matches);
    lua_call(lua, 1, 0);
    return 0;
}

enum yd_script_fault yd_script_forget(struct yd_script *script, const struct yd_pattern *pattern, struct yd_str name)
{
    if (script->forgotten == LUA_NOREF) return YD_SCRIPT_FINE;
    script->gone = true;
    script->gone_pattern = pattern;
    script->gone_name = name;
    enum yd_script_fault fault = protect(script, forget_protected, NULL, 0, 1);
    script->gone = false;
    return fault;
}

bool yd_script_starved(const struct yd_script *script)
{
    return script->system_refused;
}

const char *yd_script_why(const struct yd_script *script)
{
    return script->why;
}

/* ---- saving ---- */

static int save_protected(lua_State *lua)
{
    struct yd_buf *to = lua_touserdata(lua, 1);
    lua_pushglobaltable(lua);
    lua_pushstring(lua, "state");
    lua_rawget(lua, -2);
    yd__script_save_lua(lua, to);
    return 0;
}

/* With steps and memory of its own: a state that a script could make can be saved. */
void yd_script_save(struct yd_script *script, struct yd_buf *to)
{
    int64_t steps_max = script->steps_max;
    size_t memory_max = script->memory_max;
    script->steps_max = INT64_MAX / 2;
    script->memory_max = memory_max * 4;
    enum yd_script_fault fault = protect(script, save_protected, to, 0, 1);
    script->steps_max = steps_max;
    script->memory_max = memory_max;
    lua_settop(script->lua, 0);
    if (fault != YD_SCRIPT_FINE) to->failed = true;
}

const char *yd_script_unsaved(struct yd_script *script)
{
    if (!script->has_unsaved) return NULL;
    script->has_unsaved = false;
    return script->unsaved;
}
