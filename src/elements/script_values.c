/* Values of scripts: tables in the order of their keys, and as saved bytes.
 *
 * Lua's own order of keys comes from hashes with a seed of the moment, so everything that goes through a table goes by
 * its sorted keys: booleans, then numbers, then texts by their bytes. Saved is a tree: a tag, then
 *
 *   nil | false | true | integer, 8 bytes | float, 8 bytes | text, size and bytes | table, count, then key and value …
 *
 * What can fail: saved bytes that are none (refused); values that have no saved form (left out, and told). */
#include <stdio.h>
#include <stdlib.h>

#include "elements/saved.h"
#include "elements/script_internal.h"

enum tag { TAG_NIL, TAG_FALSE, TAG_TRUE, TAG_INTEGER, TAG_FLOAT, TAG_TEXT, TAG_TABLE };

struct key {
    int type; /* LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING: in this order */
    bool whole;
    lua_Integer integer; /* boolean, too */
    double number;
    struct yd_str text;
    lua_Integer index;
};

static int compare_numbers(const struct key *a, const struct key *b)
{
    if (a->whole && b->whole) return (a->integer > b->integer) - (a->integer < b->integer);
    /* A float that is a key is no whole number of 64 bits, so rounding makes equal at most 2^63 - 1 and 2^63. */
    double left = a->whole ? (double)a->integer : a->number, right = b->whole ? (double)b->integer : b->number;
    return left == right ? b->whole - a->whole : left < right ? -1 : 1;
}

static int compare(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    if (a->type != b->type) return a->type - b->type;
    if (a->type == LUA_TBOOLEAN) return (int)(a->integer - b->integer);
    if (a->type == LUA_TNUMBER) return compare_numbers(a, b);
    int order = memcmp(a->text.data, b->text.data, YD_MIN(a->text.size, b->text.size));
    return order ? order : (a->text.size > b->text.size) - (a->text.size < b->text.size);
}

static bool read_key(lua_State *lua, int index, struct key *key)
{
    *key = (struct key){.type = lua_type(lua, index)};
    switch (key->type) {
    case LUA_TBOOLEAN:
        key->integer = lua_toboolean(lua, index);
        return true;
    case LUA_TNUMBER:
        key->whole = lua_isinteger(lua, index);
        if (key->whole)
            key->integer = lua_tointeger(lua, index);
        else
            key->number = lua_tonumber(lua, index);
        return true;
    case LUA_TSTRING:
        key->text.data = lua_tolstring(lua, index, &key->text.size);
        return true;
    default:
        return false;
    }
}

/* Stack: … list of keys as they come, array of struct key. The texts live: the table has them. */
lua_Integer yd__script_keys_lua(lua_State *lua, int index)
{
    lua_Integer count = 0;
    index = lua_absindex(lua, index);
    luaL_checkstack(lua, 8, NULL);
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1)) count++;
    int64_t deep = 1;
    while ((count >> deep) > 0) deep++;
    yd__script_charge_lua(lua, count * deep / 4 + 1);
    lua_createtable(lua, (int)count, 0);
    lua_createtable(lua, (int)count, 0);
    int sorted = lua_gettop(lua) - 1, raw = sorted + 1;
    struct key *keys = lua_newuserdatauv(lua, (size_t)count * sizeof *keys + 1, 0);
    lua_Integer at = 0;
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1)) {
        if (!read_key(lua, -2, &keys[at]))
            luaL_error(lua, "a key is a %s: it has no place in an order", luaL_typename(lua, -2));
        lua_pushvalue(lua, -2);
        keys[at].index = at + 1;
        lua_rawseti(lua, raw, ++at);
    }
    qsort(keys, (size_t)count, sizeof *keys, compare);
    for (lua_Integer i = 0; i < count; i++) {
        lua_rawgeti(lua, raw, keys[i].index);
        lua_rawseti(lua, sorted, i + 1);
    }
    lua_settop(lua, sorted);
    return count;
}

/* ---- saved ---- */

struct path {
    const struct path *above;
    lua_State *lua;
    int key; /* where the key is on the stack */
};

static size_t write_path(const struct path *path, char *to, size_t size)
{
    if (!path) return (size_t)snprintf(to, size, "state");
    size_t used = write_path(path->above, to, size);
    if (used >= size) return used;
    int put = lua_type(path->lua, path->key) == LUA_TSTRING
                  ? snprintf(to + used, size - used, ".%.60s", lua_tostring(path->lua, path->key))
                  : snprintf(to + used, size - used, "[%.14g]", lua_tonumber(path->lua, path->key));
    return used + (size_t)YD_MAX(put, 0);
}

static void leave_out(struct yd_script *script, const struct path *path, const char *what)
{
    char place[120];
    if (script->has_unsaved) return;
    script->has_unsaved = true;
    (void)write_path(path, place, sizeof place);
    (void)snprintf(script->unsaved, sizeof script->unsaved, "%s: %s cannot be kept", place, what);
}

static void put_tag(struct yd_buf *to, enum tag tag, const void *data, size_t size)
{
    yd_buf_char(to, (char)tag);
    if (size) yd_buf_add(to, data, size);
}

static void put_text(struct yd_buf *to, const char *data, size_t length)
{
    uint32_t size = (uint32_t)length;
    put_tag(to, TAG_TEXT, &size, sizeof size);
    yd_buf_add(to, data, size);
}

static bool keepable(lua_State *lua, int index)
{
    int type = lua_type(lua, index);
    return type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE;
}

static void save_value(lua_State *lua, int index, const struct path *path, int depth, struct yd_buf *to);

static void save_table(lua_State *lua, int index, const struct path *path, int depth, struct yd_buf *to)
{
    uint32_t saved = 0;
    lua_Integer count = yd__script_keys_lua(lua, index);
    int keys = lua_gettop(lua);
    size_t at = to->size + 1;
    put_tag(to, TAG_TABLE, &saved, sizeof saved);
    for (lua_Integer i = 1; i <= count && !to->failed; i++) { /* a table may stand in many places: `to` is bounded */
        lua_rawgeti(lua, keys, i);
        lua_pushvalue(lua, -1);
        lua_rawget(lua, index);
        const struct path here = {path, lua, keys + 1};
        if (!keepable(lua, -1)) {
            leave_out(yd__script_of(lua), &here, luaL_typename(lua, -1));
        } else if (lua_type(lua, -1) == LUA_TTABLE && depth == YD__SCRIPT_DEPTH_MAX) {
            leave_out(yd__script_of(lua), &here, "a table that deep, or in itself,");
        } else {
            save_value(lua, keys + 1, &here, depth, to);
            save_value(lua, keys + 2, &here, depth + 1, to);
            saved++;
        }
        lua_settop(lua, keys);
    }
    if (!to->failed) memcpy(to->data + at, &saved, sizeof saved);
    lua_settop(lua, keys - 1);
}

static void save_value(lua_State *lua, int index, const struct path *path, int depth, struct yd_buf *to)
{
    lua_Integer integer;
    double number;
    struct yd_str text;
    luaL_checkstack(lua, 8, NULL);
    switch (lua_type(lua, index)) {
    case LUA_TBOOLEAN:
        put_tag(to, lua_toboolean(lua, index) ? TAG_TRUE : TAG_FALSE, NULL, 0);
        break;
    case LUA_TNUMBER:
        integer = lua_tointeger(lua, index);
        number = lua_tonumber(lua, index);
        if (lua_isinteger(lua, index))
            put_tag(to, TAG_INTEGER, &integer, sizeof integer);
        else
            put_tag(to, TAG_FLOAT, &number, sizeof number);
        break;
    case LUA_TSTRING:
        text.data = lua_tolstring(lua, index, &text.size);
        put_text(to, text.data, text.size);
        break;
    default:
        save_table(lua, index, path, depth, to);
    }
}

void yd__script_save_lua(lua_State *lua, struct yd_buf *to)
{
    if (lua_type(lua, -1) == LUA_TTABLE) {
        save_value(lua, lua_gettop(lua), NULL, 1, to);
    } else {
        leave_out(yd__script_of(lua), NULL, luaL_typename(lua, -1));
        put_tag(to, TAG_NIL, NULL, 0);
    }
    lua_pop(lua, 1);
}

static bool load_value(lua_State *lua, struct yd_str *saved, int depth);

static bool load_table(lua_State *lua, struct yd_str *saved, int depth)
{
    uint32_t count;
    if (depth > YD__SCRIPT_DEPTH_MAX || !yd_saved_bytes(saved, &count, sizeof count)) return false;
    if (count > saved->size / 2) return false; /* each has two tags at least */
    lua_createtable(lua, 0, (int)count);
    int table = lua_gettop(lua);
    for (uint32_t i = 0; i < count; i++) {
        if (!load_value(lua, saved, YD__SCRIPT_DEPTH_MAX) || !load_value(lua, saved, depth + 1)) return false;
        int type = lua_type(lua, -2);
        double number = lua_tonumber(lua, -2);
        if (type == LUA_TNIL || type == LUA_TTABLE || (type == LUA_TNUMBER && number != number)) return false;
        lua_rawset(lua, table);
    }
    return true;
}

static bool load_value(lua_State *lua, struct yd_str *saved, int depth)
{
    uint8_t tag;
    lua_Integer integer;
    double number;
    struct yd_str text;
    luaL_checkstack(lua, 8, NULL);
    if (!yd_saved_bytes(saved, &tag, sizeof tag)) return false;
    switch (tag) {
    case TAG_NIL:
        lua_pushnil(lua);
        return true;
    case TAG_FALSE:
    case TAG_TRUE:
        lua_pushboolean(lua, tag == TAG_TRUE);
        return true;
    case TAG_INTEGER:
        if (!yd_saved_bytes(saved, &integer, sizeof integer)) return false;
        lua_pushinteger(lua, integer);
        return true;
    case TAG_FLOAT:
        if (!yd_saved_bytes(saved, &number, sizeof number)) return false;
        lua_pushnumber(lua, number);
        return true;
    case TAG_TEXT:
        if (!yd_saved_text(saved, &text)) return false;
        lua_pushlstring(lua, text.data, text.size);
        return true;
    case TAG_TABLE:
        return load_table(lua, saved, depth);
    default:
        return false;
    }
}

bool yd__script_load_lua(lua_State *lua, struct yd_str *saved)
{
    return load_value(lua, saved, 1);
}
