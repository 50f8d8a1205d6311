/* cli/log_cli.c: what the commands `yarder log …` share. */
#include "cli/log_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/file.h"

const struct cli_option log_cli_data_options[] = {
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};

const char *log_cli_data(const struct cli_args *args)
{
    const char *data = cli_value(args, "data");
    return data ? data : "./data";
}

static int segment_there(void *arg, const char *name, enum yd_file_type node)
{
    size_t size = strlen(name);
    (void)arg;
    return node == YD_NODE_FILE && size == 25 && (strcmp(name + 20, ".ylog") == 0 || strcmp(name + 20, ".yzst") == 0);
}

/* A partition's folder whose control page was lost is one all the same. */
static bool has_segments(const char *dir)
{
    return yd_fs_list(yd_fs_linux(), dir, segment_there, NULL) == 1;
}

static bool is_partition(const char *dir)
{
    char control[LOG_CLI_PATH + 16];
    struct yd_stat stat;
    snprintf(control, sizeof control, "%s/control", dir);
    return yd_fs_stat(yd_fs_linux(), control, &stat) == 0 || has_segments(dir);
}

static int add_part(struct log_cli_parts *parts, int partition, const char *stream, const char *dir)
{
    struct log_cli_part *all = realloc(parts->all, (parts->count + 1) * sizeof *all);
    if (!all) return YD_ENOMEM;
    parts->all = all;
    struct log_cli_part *part = &all[parts->count++];
    part->partition = partition;
    if (partition < 0)
        (void)snprintf(part->name, sizeof part->name, "%s", stream);
    else
        (void)snprintf(part->name, sizeof part->name, "%.280s/%d", stream, partition);
    (void)snprintf(part->dir, sizeof part->dir, "%s", dir);
    return 0;
}

struct numbers {
    uint64_t all[1024]; /* more than a stream can have are not looked for */
    size_t count;
};

static int visit_number(void *arg, const char *name, enum yd_file_type node)
{
    struct numbers *numbers = arg;
    uint64_t number;
    if (node != YD_NODE_DIR || (name[0] == '0' && name[1]) || yd_text_u64(yd_str_of(name), &number) < 0) return 0;
    if (number <= 65535 && numbers->count < YD_COUNT(numbers->all)) numbers->all[numbers->count++] = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The partitions in a stream's folder. None where there are none. */
static int add_partitions(struct log_cli_parts *parts, const char *stream, const char *root)
{
    struct numbers numbers = {.count = 0};
    if (yd_fs_list(yd_fs_linux(), root, visit_number, &numbers) < 0) return 0;
    qsort(numbers.all, numbers.count, sizeof numbers.all[0], compare_numbers);
    int error = 0;
    for (size_t i = 0; i < numbers.count && !error; i++) {
        char dir[LOG_CLI_PATH];
        if (snprintf(dir, sizeof dir, "%s/%llu", root, (unsigned long long)numbers.all[i]) >= (int)sizeof dir) break;
        if (is_partition(dir)) error = add_part(parts, (int)numbers.all[i], stream, dir);
    }
    if (parts->count == 1) {
        parts->all[0].partition = -1;
        (void)snprintf(parts->all[0].name, sizeof parts->all[0].name, "%s", stream);
    }
    return error;
}

int log_cli_parts(struct cli_args *args, const char *stream, struct log_cli_parts *ret)
{
    const char *data = log_cli_data(args);
    const char *forms[] = {"%s/streams/%s", "%s/%s", "%.0s%s"};
    *ret = (struct log_cli_parts){.count = 0};
    int error = 0;
    for (size_t i = 0; i < YD_COUNT(forms) && !ret->count && !error; i++) {
        char dir[LOG_CLI_PATH];
        if (snprintf(dir, sizeof dir, forms[i], data, stream) >= (int)sizeof dir) break;
        error = is_partition(dir) ? add_part(ret, -1, stream, dir) : add_partitions(ret, stream, dir);
    }
    if (!error && ret->count) return CLI_DONE;
    log_cli_parts_fini(ret);
    if (error) return cli_fail(args, "%s", yd_error_text(error));
    return cli_fail(args, "no stream '%s' below %s; `yarder log ls` lists them", stream, data);
}

void log_cli_parts_fini(struct log_cli_parts *parts)
{
    free(parts->all);
    *parts = (struct log_cli_parts){.count = 0};
}

int log_cli_dir(struct cli_args *args, const char *stream, char *to)
{
    struct log_cli_parts parts;
    int code = log_cli_parts(args, stream, &parts);
    if (code) return code;
    if (parts.count > 1)
        code = cli_fail(args, "%s has %zu partitions: name one, like %s", stream, parts.count, parts.all[0].name);
    else
        memcpy(to, parts.all[0].dir, LOG_CLI_PATH);
    log_cli_parts_fini(&parts);
    return code;
}

void log_cli_json_stat(struct yd_json *json, const char *dir, const struct yd_log_stat *stat)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"first", stat->first},     {"written", stat->written},
                   {"durable", stat->durable}, {"records", stat->written - stat->first},
                   {"bytes", stat->bytes},     {"segments", stat->segments},
                   {"epoch", stat->epoch},     {"last_epoch", stat->last_epoch}};
    static const char *const roles[] = {"leader", "follower", "deposed"};
    yd_json_object(json);
    yd_json_key(json, "stream");
    yd_json_cstr(json, stat->stream);
    yd_json_key(json, "dir");
    yd_json_cstr(json, dir);
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        yd_json_key(json, numbers[i].key);
        yd_json_u64(json, numbers[i].value);
    }
    yd_json_key(json, "role");
    yd_json_cstr(json, roles[stat->role]);
    yd_json_key(json, "time_min");
    yd_json_i64(json, stat->time_min);
    yd_json_key(json, "time_max");
    yd_json_i64(json, stat->time_max);
    yd_json_key(json, "key_min"); /* empty: not known */
    yd_json_cstr(json, stat->key_min);
    yd_json_key(json, "key_max");
    yd_json_cstr(json, stat->key_max);
    yd_json_key(json, "records_per_s");
    yd_json_f64(json, stat->records_per_s);
    yd_json_key(json, "bytes_per_s");
    yd_json_f64(json, stat->bytes_per_s);
    yd_json_key(json, "live");
    yd_json_bool(json, stat->live);
    yd_json_key(json, "writer_pid");
    yd_json_i64(json, stat->writer_pid);
    yd_json_object_end(json);
}

/* ---- names ---- */

int log_cli_names_add(struct log_cli_names *names, const char *name)
{
    char **all = realloc(names->all, (names->count + 1) * sizeof *all);
    if (!all) return YD_ENOMEM;
    names->all = all;
    all[names->count] = strdup(name);
    return all[names->count++] ? 0 : YD_ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void log_cli_names_sort(struct log_cli_names *names)
{
    if (names->count) qsort(names->all, names->count, sizeof *names->all, compare_names);
}

void log_cli_names_fini(struct log_cli_names *names)
{
    for (size_t i = 0; i < names->count; i++) free(names->all[i]);
    free(names->all);
}

/* ---- every stream ---- */

struct each {
    struct cli_args *args;
    const char *root, *marker;
    char path[LOG_CLI_PATH];
    void (*visit)(void *arg, const char *name, const char *dir);
    void *arg;
    unsigned depth;
};

static int dir_visit(void *arg, const char *name, enum yd_file_type node)
{
    if (node != YD_NODE_DIR || strcmp(name, "cursors") == 0 || strcmp(name, "quarantine") == 0 ||
        strstr(name, ".restoring"))
        return 0;
    return log_cli_names_add(arg, name);
}

static int descend(struct each *each)
{
    struct yd_stat stat;
    char marker[LOG_CLI_PATH + 64];
    (void)snprintf(marker, sizeof marker, "%s/%s", each->path, each->marker);
    if (yd_fs_stat(yd_fs_linux(), marker, &stat) == 0 ||
        (strcmp(each->marker, "control") == 0 && has_segments(each->path))) {
        const char *name = each->path + strlen(each->root);
        each->visit(each->arg, *name == '/' ? name + 1 : each->path, each->path);
        return 0;
    }
    if (each->depth == 8) return 0;
    struct log_cli_names names = {.count = 0};
    int error = yd_fs_list(yd_fs_linux(), each->path, dir_visit, &names);
    if (error == YD_ENOENT && each->depth > 0) error = 0; /* gone meanwhile */
    log_cli_names_sort(&names);
    size_t size = strlen(each->path);
    each->depth++;
    for (size_t i = 0; i < names.count && !error; i++) {
        (void)snprintf(each->path + size, sizeof each->path - size, "/%s", names.all[i]);
        error = descend(each);
        each->path[size] = 0;
    }
    each->depth--;
    log_cli_names_fini(&names);
    return error;
}

int log_cli_each(struct cli_args *args, const char *root, const char *marker,
                 void (*visit)(void *arg, const char *name, const char *dir), void *arg)
{
    struct each each = {.args = args, .root = root, .marker = marker, .visit = visit, .arg = arg};
    if (snprintf(each.path, sizeof each.path, "%s", root) >= (int)sizeof each.path)
        return cli_fail(args, "%s: path too long", root);
    int error = descend(&each);
    return error ? cli_fail(args, "%s: %s", each.path, yd_error_text(error)) : CLI_DONE;
}

int log_cli_forgotten(struct cli_args *args, const char *dir, struct yd_forgotten **ret_forgotten)
{
    struct yd_trail trail;
    struct yd_forgotten *forgotten;
    yd_trail_clear(&trail);
    int error = yd_forgotten_create(&forgotten);
    if (error) return cli_fail(args, "%s", yd_error_text(error));
    error = yd_forgotten_load(forgotten, NULL, dir, &trail);
    if (error) {
        yd_forgotten_destroy(forgotten);
        return cli_fail(args, "%s", yd_trail_text(&trail));
    }
    *ret_forgotten = forgotten;
    return CLI_DONE;
}
