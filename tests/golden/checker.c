/* checker FILE: what `yarder check` prints, against the golden classes. `--fmt FILE`, `--graph FILE`, `--json FILE` and
 * `--codes` show the rest of the language. Settings stand in the file's first lines, so that a golden file is complete:
 *   #: set keep=5d
 *   #: env KEEP=5d
 *   #: memory 64MiB
 *   #: disk 1GiB */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "golden/classes.h"

struct asked {
    struct yd_setting settings[16];
    struct {
        char name[64], value[256];
    } env[16], sets[16];
    size_t env_count;
    struct yd_load_options options;
};

static const char *get_env(void *arg, const char *name)
{
    const struct asked *asked = arg;
    for (size_t i = 0; i < asked->env_count; i++)
        if (strcmp(asked->env[i].name, name) == 0) return asked->env[i].value;
    return NULL;
}

static void read_head(struct asked *asked, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512];
    while (file && fgets(line, sizeof line, file) && strncmp(line, "#:", 2) == 0) {
        char name[64], value[256] = "";
        size_t set = asked->options.setting_count;
        uint64_t size = 0;
        if (sscanf(line, "#: set %63[^=]=%255[^\n]", name, value) >= 1 && set < 16) {
            snprintf(asked->sets[set].name, sizeof name, "%s", name);
            snprintf(asked->sets[set].value, sizeof value, "%s", value);
            asked->settings[set] = (struct yd_setting){asked->sets[set].name, asked->sets[set].value};
            asked->options.setting_count++;
        } else if (sscanf(line, "#: env %63[^=]=%255[^\n]", name, value) >= 1 && asked->env_count < 16) {
            snprintf(asked->env[asked->env_count].name, sizeof name, "%s", name);
            snprintf(asked->env[asked->env_count++].value, sizeof value, "%s", value);
        } else if (sscanf(line, "#: memory %63s", value) == 1 && yd_text_size(yd_str_of(value), &size) == 0) {
            asked->options.memory_available = size;
        } else if (sscanf(line, "#: disk %63s", value) == 1 && yd_text_size(yd_str_of(value), &size) == 0) {
            asked->options.disk_available = size;
        }
    }
    if (file) fclose(file);
}

static void codes(struct yd_buf *to)
{
    size_t count;
    const struct yd_code *table = yd_diagnostics_codes(&count);
    yd_buf_cstr(to, "# What can be wrong in a topology\n\n"
                    "Every mistake has a code, a place and a caret. This page is made from the table in "
                    "`src/flow/codes.h`.\n\n| code | what | what to do |\n|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        yd_buf_printf(to, "| Y%03u | %s | ", table[i].code, table[i].title);
        for (const char *p = table[i].advice; *p; p++) {
            if (*p == '|') yd_buf_char(to, '\\');
            yd_buf_char(to, *p);
        }
        yd_buf_cstr(to, " |\n");
    }
}

static char *slurp(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    char *text = malloc(1 << 21);
    *ret_size = fread(text, 1, 1 << 21, file);
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    struct asked asked = {0};
    struct yd_diagnostics diagnostics;
    struct yd_buf to;
    struct yd_topology *topology = NULL;
    int r = 0;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&to, NULL);
    asked.options = (struct yd_load_options){
        .classes = &golden_classes, .settings = asked.settings, .getenv_ = get_env, .arg = &asked};
    const char *mode = argc == 3 || (argc == 2 && strcmp(argv[1], "--codes") == 0) ? argv[1] : "";
    const char *path = argv[argc - 1];
    if (argc < 2) return 2;
    if (strcmp(mode, "--codes") == 0) {
        codes(&to);
    } else if (strcmp(mode, "--fmt") == 0) {
        size_t size = 0;
        char *text = slurp(path, &size);
        if (!text) return 2;
        r = yd_topology_format(path, (struct yd_str){text, size}, &to, &diagnostics);
        yd_diagnostics_print(&diagnostics, false, &to);
        free(text);
    } else {
        read_head(&asked, path);
        r = yd_topology_load(path, &asked.options, &topology, &diagnostics);
        if (strcmp(mode, "--json") == 0)
            yd_diagnostics_json(&diagnostics, &to);
        else
            yd_diagnostics_print(&diagnostics, strcmp(mode, "--colour") == 0, &to);
        bool text = strcmp(mode, "--graph") == 0, dot = strcmp(mode, "--dot") == 0,
             json = strcmp(mode, "--graph-json") == 0;
        if (r == 0 && (text || dot || json))
            yd_topology_graph(topology, text ? YD_GRAPH_TEXT : dot ? YD_GRAPH_DOT : YD_GRAPH_JSON, &to);
        else if (r == 0 && diagnostics.count == 0)
            yd_buf_cstr(&to, "fine\n");
    }
    fwrite(to.data, 1, to.size, stdout);
    yd_buf_fini(&to);
    yd_topology_destroy(topology);
    yd_diagnostics_fini(&diagnostics);
    return r < 0;
}
