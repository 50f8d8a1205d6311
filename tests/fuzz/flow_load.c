/* Any bytes as a topology: no crash, no leak, every answer printable; what loads can be shown, formatted and loaded
 * again with the same wires. A line "%%name" begins another file, for includes. */
#include <stdio.h>
#include <stdlib.h>

#include "../golden/classes.c" /* the classes to check against; one harness is one file */

struct files {
    struct yd_str names[8], texts[8];
    size_t count;
};

static int read_file(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    const struct files *files = arg;
    for (size_t i = 0; i < files->count; i++) {
        if (!yd_str_eq(files->names[i], yd_str_of(path))) continue;
        *ret_text = malloc(files->texts[i].size + 1);
        if (!*ret_text) return YD_ENOMEM;
        memcpy(*ret_text, files->texts[i].data, files->texts[i].size);
        *ret_size = files->texts[i].size;
        return 0;
    }
    return YD_ENOENT;
}

static const char *no_env(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'A' ? "[1, {b: \"x\"}]" : name[0] == 'B' ? "10s" : NULL;
}

static void split(struct files *files, const char *data, size_t size)
{
    files->count = 1;
    files->names[0] = YD_STR("main.yd");
    files->texts[0] = (struct yd_str){data, 0};
    for (size_t at = 0; at < size;) {
        const char *end = memchr(data + at, '\n', size - at);
        size_t next = end ? (size_t)(end - data) + 1 : size;
        if (next - at > 3 && memcmp(data + at, "%%", 2) == 0 && files->count < 8) {
            files->names[files->count] = (struct yd_str){data + at + 2, next - at - 3};
            files->texts[files->count++] = (struct yd_str){data + next, 0};
        } else {
            files->texts[files->count - 1].size += next - at;
        }
        at = next;
    }
}

static void check_format(const struct files *files)
{
    struct yd_diagnostics diagnostics;
    struct yd_buf once, twice;
    yd_buf_init(&once, NULL);
    yd_buf_init(&twice, NULL);
    yd_diagnostics_init(&diagnostics, NULL);
    if (yd_topology_format("x", files->texts[0], &once, &diagnostics) == 0) {
        if (yd_topology_format("x", yd_buf_view(&once), &twice, &diagnostics) != 0) abort();
        if (!yd_str_eq(yd_buf_view(&once), yd_buf_view(&twice))) abort();
    }
    yd_diagnostics_fini(&diagnostics);
    yd_buf_fini(&once);
    yd_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files files = {.count = 0};
    split(&files, (const char *)data, size);
    static const struct yd_setting settings[] = {{"a", "5"}, {"b", "{x: [1]}"}};
    struct yd_load_options options = {.classes = &golden_classes,
                                      .read_file = read_file,
                                      .getenv_ = no_env,
                                      .arg = &files,
                                      .settings = settings,
                                      .setting_count = size & 1 ? 2 : 0,
                                      .memory_available = UINT64_C(1) << 30,
                                      .disk_available = UINT64_C(1) << 40};
    struct yd_topology *topology = NULL;
    struct yd_diagnostics diagnostics;
    struct yd_buf to;
    yd_buf_init(&to, NULL);
    yd_diagnostics_init(&diagnostics, NULL);
    int r = yd_topology_load("main.yd", &options, &topology, &diagnostics);
    if (r != 0 && r != YD_EFORMAT) abort();
    if ((r == 0) != (diagnostics.errors == 0) || (r == 0) != (topology != NULL)) abort();
    yd_diagnostics_print(&diagnostics, true, &to);
    yd_diagnostics_json(&diagnostics, &to);
    if (r == 0) {
        yd_topology_graph(topology, YD_GRAPH_TEXT, &to);
        yd_topology_graph(topology, YD_GRAPH_DOT, &to);
        yd_topology_graph(topology, YD_GRAPH_JSON, &to);
    }
    yd_buf_fini(&to);
    yd_topology_destroy(topology);
    yd_diagnostics_fini(&diagnostics);
    check_format(&files);
    return 0;
}
