/* What the files of the script engine share. Functions named `…_lua` raise Lua errors: only below a protected call. */
#ifndef ELEMENTS_SCRIPT_INTERNAL_H
#define ELEMENTS_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>

#include "elements/script.h"

#define YD__SCRIPT_DEPTH_MAX 32 /* of tables in `state` */

struct yd_script {
    lua_State *lua;
    struct yd_alloc *alloc;
    struct yd_arena arena; /* of what was declared */
    struct yd_arena names; /* of the results at hand */
    struct yd_script_handler *handlers;
    struct yd_script_result *results;
    uint32_t handler_count, each_count, result_count, result_room;
    size_t memory_max, memory_used;
    int64_t steps_max, steps;
    int forgotten; /* the function, or LUA_NOREF */
    bool declared; /* the text has run */
    bool string_refused, system_refused;
    enum yd_script_fault raised; /* what an error was about, when it is not the script's own */
    const struct yd_pattern *gone_pattern;
    struct yd_str gone_name;
    bool gone;
    bool has_unsaved;
    char name[256], why[400], unsaved[200];
};
static inline struct yd_script *yd__script_of(lua_State *lua)
{
    return *(struct yd_script **)lua_getextraspace(lua);
}

/* script_library.c: everything that a script may call, in a new table of globals. */
void yd__script_library_lua(lua_State *lua);
/* Work that is no instruction. */
void yd__script_charge_lua(lua_State *lua, int64_t steps);

/* script_values.c: pushes a list of the keys of the table at `index`, in order; returns how many. */
lua_Integer yd__script_keys_lua(lua_State *lua, int index);
/* The value at the top, popped. What cannot be kept is left out, named in script->unsaved. */
void yd__script_save_lua(lua_State *lua, struct yd_buf *to);
/* Pushes what was saved; false: it is no such thing (something may have been pushed). */
bool yd__script_load_lua(lua_State *lua, struct yd_str *saved);

#endif
