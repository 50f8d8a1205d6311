/* Crawl: a directory tree, one ROW for each thing in it, then END.
 *
 *   stack of folders --> run (file thread): list one folder --> ROW each --> push its folders --> … --> empty: END
 *
 * Links are reported and not followed, so a tree with rings ends. A folder that cannot be read is counted and said. */
#include <yarder/element.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "elements/own_name.h"
#include "io/file.h"

enum { PORT_OUTPUT };
enum { REASON_UNREADABLE, REASON_NAME };

struct folder {
    struct folder *below;
    int64_t depth;
    size_t size;
    char path[];
};

struct crawl_pump {
    struct yd_pump *pump;
    struct yd_str match, name;
    const struct yd_arg *skip;
    bool folders;
    int64_t depth_max;
    struct folder *stack;
    const struct folder *at; /* being listed */
    struct yd_buf path;      /* of the thing at hand, terminated */
    struct yd_builder *builder;
};

static const char *const node_words[] = {
    [YD_NODE_FILE] = "file", [YD_NODE_DIR] = "dir", [YD_NODE_LINK] = "link", [YD_NODE_OTHER] = "other"};

static int push(struct crawl_pump *crawl, struct yd_str path, int64_t depth)
{
    struct folder *folder = malloc(sizeof *folder + path.size + 1);
    if (!folder) return YD_ENOMEM;
    folder->below = crawl->stack;
    folder->depth = depth;
    folder->size = path.size;
    memcpy(folder->path, path.data, path.size);
    folder->path[path.size] = 0;
    crawl->stack = folder;
    return 0;
}

/* The folder to begin in may be a link to one: whoever named it meant what is behind it. */
static int root_stat(struct yd_pump *pump, struct yd_str root, struct yd_stat *ret)
{
    struct yd_buf behind;
    int error = yd_fs_stat(yd_pump_fs(pump), root.data, ret);
    if (error < 0 || ret->node != YD_NODE_LINK) return error;
    yd_buf_init(&behind, NULL);
    yd_buf_str(&behind, root);
    yd_buf_cstr(&behind, "/.");
    yd_buf_char(&behind, 0);
    error = behind.failed ? YD_ENOMEM : yd_fs_stat(yd_pump_fs(pump), behind.data, ret);
    yd_buf_fini(&behind);
    return error;
}

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct crawl_pump *crawl = state;
    const struct yd_args *args = yd_pump_args(pump);
    struct yd_str root = yd_args_text(args, "path");
    struct yd_stat stat;
    (void)element_state;
    crawl->pump = pump;
    crawl->match = yd_args_text(args, "match");
    crawl->name = yd_args_text(args, "name");
    crawl->skip = yd_args_find(args, "skip");
    crawl->folders = yd_args_bool(args, "folders");
    crawl->depth_max = yd_args_int(args, "depth_max");
    yd_buf_init(&crawl->path, NULL);
    int error = root_stat(pump, root, &stat);
    if (error == 0 && stat.node != YD_NODE_DIR) error = YD_EINVAL;
    if (error < 0)
        return yd_pump_fail(pump, error, "cannot crawl %s: %s; give a folder that exists", root.data,
                            error == YD_EINVAL ? "not a folder" : yd_error_text(error));
    error = push(crawl, root, 0);
    if (error == 0) error = yd_builder_create(NULL, &crawl->builder);
    if (error < 0) free(crawl->stack);
    return error;
}

static void stop(void *state)
{
    struct crawl_pump *crawl = state;
    while (crawl->stack) {
        struct folder *folder = crawl->stack;
        crawl->stack = folder->below;
        free(folder);
    }
    yd_buf_fini(&crawl->path);
    yd_builder_destroy(crawl->builder);
    yd_pump_stopped(crawl->pump);
}

static void emit_built(struct crawl_pump *crawl)
{
    struct yd_batch *batch;
    if (yd_builder_seal(crawl->builder, &batch) == 0) (void)yd_pump_emit(crawl->pump, PORT_OUTPUT, batch);
}

/* What follows the last dot; nothing for `name`, `.name` and `name.`. */
static struct yd_str extension_of(struct yd_str base)
{
    for (size_t i = base.size; i-- > 1;)
        if (base.data[i] == '.') return (struct yd_str){base.data + i + 1, base.size - i - 1};
    return YD_STR("");
}

static int add_cells(struct crawl_pump *crawl, struct yd_str path, struct yd_str base, const struct yd_stat *stat)
{
    struct yd_builder *builder = crawl->builder;
    uint32_t name;
    int error = yd_builder_name(builder, crawl->name, &name);
    if (error == 0) error = yd_builder_begin(builder, stat->mtime_ns, name, YD_ROW, 0, YD_MAP);
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("path"), YD_TEXT, path);
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("base"), YD_TEXT, base);
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("extension"), YD_TEXT, extension_of(base));
    if (error == 0) error = yd_builder_cell_bytes(builder, YD_STR("node"), YD_TEXT, yd_str_of(node_words[stat->node]));
    if (error == 0) error = yd_builder_cell(builder, YD_STR("size"), YD_U64, (union yd_value){.u64 = stat->size});
    if (error == 0)
        error = yd_builder_cell(builder, YD_STR("mode"), YD_U64, (union yd_value){.u64 = stat->mode & 07777});
    return error < 0 ? error : yd_builder_end(builder);
}

static void add_row(struct crawl_pump *crawl, struct yd_str path, struct yd_str base, const struct yd_stat *stat)
{
    if (crawl->match.size && !yd_text_glob(crawl->match, base)) return;
    if (stat->node == YD_NODE_DIR && !crawl->folders) return;
    int error = yd_text_utf8(path) ? add_cells(crawl, path, base, stat) : YD_EFORMAT;
    if (error == YD_EFULL) {
        emit_built(crawl);
        error = add_cells(crawl, path, base, stat);
    }
    if (error < 0) yd_pump_count_rejected(crawl->pump, REASON_NAME, 1, path, YD_STR(""));
}

static bool skipped(const struct crawl_pump *crawl, struct yd_str base)
{
    for (size_t i = 0; crawl->skip && i < crawl->skip->list.count; i++)
        if (yd_text_glob(crawl->skip->list.items[i].text, base)) return true;
    return false;
}

static int visit(void *arg, const char *name, enum yd_file_type node)
{
    struct crawl_pump *crawl = arg;
    struct yd_stat stat;
    struct yd_str base = yd_str_of(name);
    (void)node; /* not every file system tells: stat does */
    if (skipped(crawl, base)) return 0;
    yd_buf_clear(&crawl->path);
    yd_buf_add(&crawl->path, crawl->at->path, crawl->at->size);
    if (crawl->at->size == 0 || crawl->at->path[crawl->at->size - 1] != '/') yd_buf_char(&crawl->path, '/');
    yd_buf_str(&crawl->path, base);
    yd_buf_char(&crawl->path, 0);
    if (crawl->path.failed) return YD_ENOMEM;
    struct yd_str path = {crawl->path.data, crawl->path.size - 1};
    int error = yd_fs_stat(yd_pump_fs(crawl->pump), path.data, &stat);
    if (error < 0) {
        if (error == YD_ENOENT) return 0; /* gone meanwhile */
        yd_pump_count_rejected(crawl->pump, REASON_UNREADABLE, 1, path, YD_STR(""));
        return 0;
    }
    add_row(crawl, path, base, &stat);
    if (stat.node == YD_NODE_DIR && crawl->at->depth < crawl->depth_max) return push(crawl, path, crawl->at->depth + 1);
    return 0;
}

static void run(void *state)
{
    struct crawl_pump *crawl = state;
    struct folder *folder = crawl->stack;
    if (!folder) {
        emit_built(crawl);
        yd_pump_end(crawl->pump);
        return;
    }
    crawl->stack = folder->below;
    crawl->at = folder;
    int error = yd_fs_list(yd_pump_fs(crawl->pump), folder->path, visit, crawl);
    if (error < 0 && error != YD_ENOENT) {
        yd_pump_say(crawl->pump, 1, "%s: %s; left out", folder->path, yd_error_text(error));
        yd_pump_count_rejected(crawl->pump, REASON_UNREADABLE, 1, yd_str_of(folder->path), YD_STR(""));
    }
    if (yd_builder_count(crawl->builder) >= 512) emit_built(crawl);
    free(folder);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct crawl_pump),
    .files = true,
    .start = start,
    .stop = stop,
    .run = run,
};

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    const struct yd_arg *skip = yd_args_find(args, "skip");
    for (size_t i = 0; skip && i < skip->list.count; i++)
        if (skip->list.items[i].type != YD_PARAM_TEXT) {
            snprintf(why, why_size, "skip: a list of globs in quotes");
            return YD_EINVAL;
        }
    return yd_own_name_check(args, "name", why, why_size);
}

static const struct yd_port_class ports[] = {
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_ROW),
                     .flags = YD_PORT_REQUIRED,
                     .doc = "ROWs {path, base, extension, node, size, mode}, stamped with the time of modification."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "path", .type = YD_PARAM_TEXT, .initial = "\".\"", .doc = "The folder to begin in."},
    {.name = "match", .type = YD_PARAM_TEXT, .flags = YD_PARAM_GLOB, .doc = "Only names that match this glob."},
    {.name = "skip",
     .type = YD_PARAM_LIST,
     .doc = "Globs of names to pass over, folders with all that is in them: `[\".git\"]`."},
    {.name = "folders", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Also a row for each folder."},
    {.name = "depth_max", .type = YD_PARAM_INT, .initial = "1000", .min = 0, .max = 100000, .doc = "How deep to go."},
    {.name = "name", .type = YD_PARAM_TEXT, .initial = "\"file\"", .doc = "The name of the records."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_UNREADABLE] = "cannot be read", [REASON_NAME] = "path is not text", NULL};

const struct yd_element_class yd_class_crawl = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Crawl",
    .summary = "walks a directory tree, a ROW for each file",
    .doc = "`extension` is what follows the last dot of the name, empty when there is none. Links are reported, not "
           "followed, but for the folder to begin in. The order is the file system's.",
    .example = "Crawl(path: \"src\", skip: [\".git\"]) -> Count(by: \"extension\") -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = 1,
    .check = check,
    .pump = &pump_class,
};
