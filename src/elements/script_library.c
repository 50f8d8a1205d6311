/* What a script may call: chosen parts of Lua's libraries, each made to cost steps for what it does, and pairs,
 * tostring, table.sort anew, since Lua's give other results in each run.
 *
 *   base    assert error ipairs pairs select tonumber tostring type rawequal rawlen
 *   math    all but random        string  all but dump, pack, unpack        table  all but move
 *
 * There is no pcall (it could swallow the limit of steps), no setmetatable (__gc runs where nothing counts), no load,
 * no coroutine, no io, os, debug, package. A name that is not there is an error, as is a new global: it would not
 * survive a restart. Patterns cost what they can at worst: they go back over the text once more for each repetition. */
#include <lualib.h>

#include "elements/script_internal.h"

#define UNPACK_MAX 250

void yd__script_charge_lua(lua_State *lua, int64_t steps)
{
    struct yd_script *script = yd__script_of(lua);
    if (steps > script->steps) {
        script->steps = -1;
        script->raised = YD_SCRIPT_STEPS;
        luaL_error(lua, "more than %I steps in one call", (lua_Integer)script->steps_max);
    }
    script->steps -= steps;
}

/* ---- base ---- */

static int next_of_pairs(lua_State *lua) /* upvalues: the table, its keys, how many we had */
{
    lua_Integer at = lua_tointeger(lua, lua_upvalueindex(3)), count = (lua_Integer)lua_rawlen(lua, lua_upvalueindex(2));
    bool found = false;
    for (lua_settop(lua, 0); !found && at < count; found = !lua_isnil(lua, 2)) {
        lua_settop(lua, 0);
        yd__script_charge_lua(lua, 1);
        lua_rawgeti(lua, lua_upvalueindex(2), ++at);
        lua_pushvalue(lua, 1);
        lua_rawget(lua, lua_upvalueindex(1)); /* nil: it was taken out meanwhile */
    }
    lua_pushinteger(lua, at);
    lua_replace(lua, lua_upvalueindex(3));
    if (!found) lua_settop(lua, 0);
    if (!found) lua_pushnil(lua);
    return found ? 2 : 1;
}

static int ordered_pairs(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    (void)yd__script_keys_lua(lua, 1);
    lua_pushinteger(lua, 0);
    lua_pushcclosure(lua, next_of_pairs, 3);
    return 1;
}

static void check_plain(lua_State *lua, int index)
{
    int type = lua_type(lua, index);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA)
        luaL_error(lua, "a %s is no text: it has an address only, and that is never the same",
                   luaL_typename(lua, index));
}

static int plain_tostring(lua_State *lua)
{
    luaL_checkany(lua, 1);
    check_plain(lua, 1);
    (void)luaL_tolstring(lua, 1, NULL);
    return 1;
}

static int missing(lua_State *lua)
{
    return luaL_error(lua, "there is no '%s' for scripts",
                      lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?");
}

static int no_global(lua_State *lua)
{
    return luaL_error(lua, "'%s' would be a global, which is lost when yarder restarts: write 'local', or state.%s",
                      lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?",
                      lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?");
}

/* ---- what is charged, then done by Lua's own: upvalue 1 ---- */

/* In our own frame, so that its messages have the caller's line. None of them has upvalues. */
static int original(lua_State *lua)
{
    return lua_tocfunction(lua, lua_upvalueindex(1))(lua);
}

/* The most steps that a pattern can take: (size + 1) to the power of its repetitions, and one for where it begins. */
static int64_t pattern_cost(struct yd_str pattern, size_t size)
{
    double cost = (double)size + 1;
    for (size_t i = 0; i < pattern.size; i++) {
        char c = pattern.data[i];
        char next = i + 1 < pattern.size ? pattern.data[i + 1] : 0;
        if (c == '*' || c == '+' || c == '-') cost *= (double)size + 1;
        if (c == '?') cost *= 2;
        if (c == '%' && (next == 'b' || (next >= '0' && next <= '9'))) cost *= (double)size + 1;
    }
    cost *= 1 + (double)pattern.size / 16;
    return cost < 1e18 ? (int64_t)cost : INT64_MAX / 4;
}

static int charged_pattern(lua_State *lua)
{
    size_t size;
    struct yd_str pattern;
    (void)luaL_checklstring(lua, 1, &size);
    pattern.data = luaL_checklstring(lua, 2, &pattern.size);
    yd__script_charge_lua(lua, pattern_cost(pattern, size));
    return original(lua);
}

static int charged_find(lua_State *lua)
{
    size_t size, part;
    if (!lua_toboolean(lua, 4)) return charged_pattern(lua);
    (void)luaL_checklstring(lua, 1, &size);
    (void)luaL_checklstring(lua, 2, &part);
    yd__script_charge_lua(lua, (int64_t)(size * (part + 1) / 16) + 1);
    return original(lua);
}

static int charged_rep(lua_State *lua)
{
    size_t size, between;
    (void)luaL_checklstring(lua, 1, &size);
    lua_Integer count = luaL_checkinteger(lua, 2);
    (void)luaL_optlstring(lua, 3, "", &between);
    if (count > YD_SCRIPT_STRING_MAX || (count > 0 && (size + between) * (size_t)count > YD_SCRIPT_STRING_MAX))
        return luaL_error(lua, "a text of more than %d bytes", YD_SCRIPT_STRING_MAX);
    yd__script_charge_lua(lua, YD_MAX(count, 0) + 1);
    return original(lua);
}

static int charged_format(lua_State *lua)
{
    size_t size;
    const char *format = luaL_checklstring(lua, 1, &size);
    for (size_t i = 0; i + 1 < size; i++) {
        if (format[i] != '%') continue;
        size_t at = i + 1;
        while (at < size && strchr("-+ #0123456789.", format[at]) && format[at]) at++;
        if (at < size && format[at] == 'p') return luaL_error(lua, "%%p: an address is never the same");
        i = at;
    }
    for (int i = 2; i <= lua_gettop(lua); i++) check_plain(lua, i);
    yd__script_charge_lua(lua, (int64_t)size + 1);
    return original(lua);
}

static int charged_bytes(lua_State *lua)
{
    size_t size;
    (void)luaL_checklstring(lua, 1, &size);
    yd__script_charge_lua(lua, (int64_t)size / 16 + 1);
    return original(lua);
}

/* By the length of the table, however little is done. */
static int charged_list(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    yd__script_charge_lua(lua, (int64_t)lua_rawlen(lua, 1) / 4 + 1);
    return original(lua);
}

static int charged_insert(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    if (lua_gettop(lua) != 2) return charged_list(lua); /* at the end: nothing moves */
    return original(lua);
}

static int charged_concat(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_Integer first = luaL_optinteger(lua, 3, 1), last = luaL_optinteger(lua, 4, (lua_Integer)lua_rawlen(lua, 1));
    if (last >= first && ((uint64_t)last - (uint64_t)first) >= INT32_MAX)
        return luaL_error(lua, "a text of more than %d bytes", YD_SCRIPT_STRING_MAX);
    yd__script_charge_lua(lua, last >= first ? last - first + 1 : 1);
    return original(lua);
}

static int bounded_unpack(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_Integer first = luaL_optinteger(lua, 2, 1), last = luaL_optinteger(lua, 3, (lua_Integer)lua_rawlen(lua, 1));
    if (last >= first && ((uint64_t)last - (uint64_t)first) >= UNPACK_MAX)
        return luaL_error(lua, "table.unpack of more than %d values", UNPACK_MAX);
    yd__script_charge_lua(lua, last >= first ? last - first + 1 : 1);
    return original(lua);
}

/* ---- table.sort: merging, so that what is equal stays in its order ---- */

static bool less(lua_State *lua, int a, int b)
{
    if (lua_isnil(lua, 2)) return lua_compare(lua, a, b, LUA_OPLT);
    a = lua_absindex(lua, a);
    b = lua_absindex(lua, b);
    lua_pushvalue(lua, 2);
    lua_pushvalue(lua, a);
    lua_pushvalue(lua, b);
    lua_call(lua, 2, 1);
    bool is = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return is;
}

/* from[low..middle) and from[middle..high), both sorted, to to[low..high). */
static void merge(lua_State *lua, int from, int to, lua_Integer low, lua_Integer middle, lua_Integer high)
{
    lua_Integer left = low, right = middle;
    for (lua_Integer at = low; at < high; at++) {
        bool take_right = left == middle;
        if (left < middle && right < high) {
            lua_rawgeti(lua, from, right);
            lua_rawgeti(lua, from, left);
            take_right = less(lua, -2, -1);
            lua_pop(lua, 2);
        }
        lua_rawgeti(lua, from, take_right ? right++ : left++);
        lua_rawseti(lua, to, at);
    }
}

static int stable_sort(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 2);
    if (!lua_isnil(lua, 2)) luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_Integer count = (lua_Integer)lua_rawlen(lua, 1);
    if (count > INT32_MAX / 2) return luaL_error(lua, "a list of that length is not sorted");
    lua_createtable(lua, (int)count, 0);
    int from = 1, to = 3;
    for (lua_Integer width = 1; width < count; width *= 2) {
        yd__script_charge_lua(lua, count);
        for (lua_Integer low = 1; low <= count; low += 2 * width)
            merge(lua, from, to, low, YD_MIN(low + width, count + 1), YD_MIN(low + 2 * width, count + 1));
        int other = from;
        from = to;
        to = other;
    }
    for (lua_Integer i = 1; from != 1 && i <= count; i++) {
        lua_rawgeti(lua, from, i);
        lua_rawseti(lua, 1, i);
    }
    return 0;
}

/* ---- put together ---- */

struct replaced {
    const char *name;
    lua_CFunction function; /* NULL: taken out */
    bool wraps;
};
static const struct replaced in_string[] = {
    {"dump", NULL, false},
    {"pack", NULL, false},
    {"packsize", NULL, false},
    {"unpack", NULL, false},
    {"find", charged_find, true},
    {"match", charged_pattern, true},
    {"gmatch", charged_pattern, true},
    {"gsub", charged_pattern, true},
    {"rep", charged_rep, true},
    {"format", charged_format, true},
    {"byte", charged_bytes, true},
    {"upper", charged_bytes, true},
    {"lower", charged_bytes, true},
    {"reverse", charged_bytes, true},
    {NULL, NULL, false},
};
static const struct replaced in_table[] = {
    {"move", NULL, false},
    {"insert", charged_insert, true},
    {"remove", charged_list, true},
    {"concat", charged_concat, true},
    {"unpack", bounded_unpack, true},
    {"sort", stable_sort, false},
    {NULL, NULL, false},
};
static const struct replaced in_math[] = {{"random", NULL, false}, {"randomseed", NULL, false}, {NULL, NULL, false}};

/* The library becomes a global of the table below it on the stack, and is popped. */
static void take_library(lua_State *lua, lua_CFunction open, const char *name, const struct replaced *replaced)
{
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 1);
    for (; replaced->name; replaced++) {
        if (replaced->wraps) lua_getfield(lua, -1, replaced->name);
        if (replaced->function)
            lua_pushcclosure(lua, replaced->function, replaced->wraps);
        else
            lua_pushnil(lua);
        lua_setfield(lua, -2, replaced->name);
    }
    lua_setfield(lua, -2, name);
}

static void guard_globals(lua_State *lua)
{
    lua_createtable(lua, 0, 2);
    lua_pushcfunction(lua, missing);
    lua_setfield(lua, -2, "__index");
    lua_pushcfunction(lua, no_global);
    lua_setfield(lua, -2, "__newindex");
    lua_setmetatable(lua, -2);
}

void yd__script_library_lua(lua_State *lua)
{
    static const char *const base[] = {"assert", "error", "ipairs", "select", "type", "tonumber", "rawequal", "rawlen"};
    lua_pushcfunction(lua, luaopen_base);
    lua_call(lua, 0, 1); /* the old globals */
    lua_createtable(lua, 0, 32);
    for (size_t i = 0; i < YD_COUNT(base); i++) {
        lua_getfield(lua, -2, base[i]);
        lua_setfield(lua, -2, base[i]);
    }
    lua_pushcfunction(lua, ordered_pairs);
    lua_setfield(lua, -2, "pairs");
    lua_pushcfunction(lua, plain_tostring);
    lua_setfield(lua, -2, "tostring");
    take_library(lua, luaopen_math, "math", in_math);
    take_library(lua, luaopen_string, "string", in_string);
    take_library(lua, luaopen_table, "table", in_table);
    guard_globals(lua);
    lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pop(lua, 1);
}
