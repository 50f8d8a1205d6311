/* What run, check, graph and test share: the classes there are, and a topology loaded with all its mistakes shown. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "elements/registry.h"
#include "io/file.h"

#define CLASSES_MAX 512

/* An object stays open for the life of the process: its classes are code. */
static int add_plugin(const struct yd_element_class **classes, size_t *count, const char *path, struct yd_trail *trail)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) return yd_trail_add(trail, YD_EINVAL, "plug-in %s: %s", path, dlerror());
    const struct yd_element_class *const *found = dlsym(object, "yd_element_classes");
    if (!found)
        return yd_trail_add(trail, YD_EINVAL, "plug-in %s: it exports no yd_element_classes; see <yarder/element.h>",
                            path);
    for (; *found; found++) {
        if ((*found)->abi != YD_ELEMENT_ABI)
            return yd_trail_add(trail, YD_EVERSION,
                                "plug-in %s: built for interface %u, this yarder has %d: rebuild it", path,
                                (*found)->abi, YD_ELEMENT_ABI);
        for (size_t i = 0; i < *count; i++)
            if (strcmp(classes[i]->name, (*found)->name) == 0)
                return yd_trail_add(trail, YD_EEXIST, "plug-in %s: there is a class %s already", path, (*found)->name);
        if (*count == CLASSES_MAX) return yd_trail_add(trail, YD_EFULL, "more than %d classes", CLASSES_MAX);
        classes[(*count)++] = *found;
    }
    return 0;
}

struct plugin_folder {
    const char *path;
    const struct yd_element_class **classes;
    size_t *count;
    struct yd_trail *trail;
};

static int visit_plugin(void *arg, const char *name, enum yd_file_type node)
{
    struct plugin_folder *folder = arg;
    size_t size = strlen(name);
    char path[4096];
    (void)node;
    if (size < 4 || strcmp(name + size - 3, ".so") != 0) return 0;
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return add_plugin(folder->classes, folder->count, path, folder->trail);
}

int cli_classes(struct cli_args *args, struct yd_classes *ret_classes, struct yd_trail *trail)
{
    static const struct yd_element_class *classes[CLASSES_MAX]; /* of the process, as plug-ins are */
    const struct yd_classes *builtin = yd_builtin_classes();
    size_t count = builtin->count;
    int error = 0;
    memcpy(classes, builtin->items, count * sizeof *classes);
    const char *file = cli_value(args, "plugin"), *folder = getenv("YARDER_PLUGINS");
    if (file) error = add_plugin(classes, &count, file, trail);
    if (error == 0 && folder && *folder) {
        struct plugin_folder at = {folder, classes, &count, trail};
        error = yd_fs_list(yd_fs_linux(), folder, visit_plugin, &at);
        if (error == YD_ENOENT) error = yd_trail_add(trail, error, "YARDER_PLUGINS: no folder %s", folder);
    }
    *ret_classes = (struct yd_classes){classes, count};
    return error;
}

int cli_load(struct cli_args *args, const char *path, struct yd_topology **ret_topology, int *ret_exit)
{
    struct yd_classes classes;
    struct yd_trail trail;
    struct yd_diagnostics diagnostics;
    struct yd_space space = {0};
    yd_trail_clear(&trail);
    if (cli_classes(args, &classes, &trail) < 0) {
        *ret_exit = cli_fail(args, "%s", yd_trail_text(&trail));
        return YD_EINVAL;
    }
    const char *data = cli_value(args, "data");
    if (yd_fs_space(yd_fs_linux(), data ? data : ".", &space) < 0) (void)yd_fs_space(yd_fs_linux(), ".", &space);
    struct yd_load_options options = {
        .classes = &classes,
        .settings = args->settings,
        .setting_count = args->setting_count,
        .memory_available = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
        .disk_available = space.available,
    };
    yd_diagnostics_init(&diagnostics, NULL);
    int error = yd_topology_load(path, &options, ret_topology, &diagnostics);
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    if (args->json && strcmp(args->command->name, "check") == 0) {
        yd_diagnostics_json(&diagnostics, &text);
        yd_buf_char(&text, '\n');
        fwrite(text.data, 1, text.size, stdout);
    } else if (diagnostics.count) {
        yd_diagnostics_print(&diagnostics, args->colour, &text);
        fwrite(text.data, 1, text.size, stderr);
    }
    yd_buf_fini(&text);
    if (error < 0 && diagnostics.count == 0) (void)cli_fail(args, "%s: %s", path, yd_error_text(error));
    yd_diagnostics_fini(&diagnostics);
    *ret_exit = error < 0 ? CLI_FAILED : CLI_DONE;
    return error;
}
