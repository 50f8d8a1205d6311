/* live_access.c: the list of those who may come in, and where the door is. */
#include "elements/live_access.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"
#include "live/table_write.h"

#define FOLDER_MAX 4096

int yd__live_access_read(struct yd_str text, struct yd_live_access *ret, struct yd_str *ret_pattern, char *why,
                         size_t why_size)
{
    char name[256];
    struct yd_str user = YD_STR("user:"), group = YD_STR("group:"), who = text;
    const char *blank = memchr(text.data, ' ', text.size);
    *ret_pattern = (struct yd_str){0};
    if (blank) {
        who.size = (size_t)(blank - text.data);
        *ret_pattern = (struct yd_str){blank + 1, text.size - who.size - 1};
    }
    bool is_group = yd_str_starts(who, group);
    size_t skip = is_group ? group.size : user.size;
    if ((!is_group && !yd_str_starts(who, user)) || who.size == skip || who.size - skip >= sizeof name) {
        (void)snprintf(why, why_size, "access: '%.*s' is neither user:NAME nor group:NAME",
                       (int)(text.size < 80 ? text.size : 80), text.data);
        return YD_EINVAL;
    }
    memcpy(name, who.data + skip, who.size - skip);
    name[who.size - skip] = 0;
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    *ret = (struct yd_live_access){.group = is_group, .id = (uint32_t)number};
    if (*end == 0 && number < UINT32_MAX) return 0;
    struct group *found_group = is_group ? getgrnam(name) : NULL;
    struct passwd *found_user = is_group ? NULL : getpwnam(name);
    if (found_group) ret->id = found_group->gr_gid;
    if (found_user) ret->id = found_user->pw_uid;
    if (found_group || found_user) return 0;
    (void)snprintf(why, why_size, "access: there is no %s '%s' on this machine", is_group ? "group" : "user", name);
    return YD_ENOENT;
}

int yd__live_access_check(const struct yd_arg *access, char *why, size_t why_size)
{
    for (size_t i = 0; access && i < access->list.count; i++) {
        if (access->list.items[i].type == YD_PARAM_TEXT && i + 1 < YD_LIVE_BELLS_MAX) continue;
        (void)snprintf(why, why_size, "access: a list of at most %d texts, as \"group:telemetry\"",
                       YD_LIVE_BELLS_MAX - 1);
        return YD_EINVAL;
    }
    return 0;
}

int yd__live_access_path(struct yd_element *element, char *to, size_t size)
{
    struct yd_str listen = yd_args_text(yd_element_args(element), "listen");
    char folder[FOLDER_MAX];
    int length = listen.size
                     ? snprintf(to, size, "%s", listen.data)
                     : snprintf(to, size, "%s/live/%s.sock", yd_element_data(element), yd_element_name(element));
    if (length >= (int)size) return yd_element_fail(element, YD_ETOOBIG, "listen: the path is too long");
    if (listen.size || yd_element_simulated(element)) return 0;
    (void)snprintf(folder, sizeof folder, "%s/live", yd_element_data(element));
    int error = yd_fs_make_dirs(yd_element_fs(element), folder);
    return error < 0 ? yd_element_fail(element, error, "%s: %s", folder, yd_error_text(error)) : 0;
}
