/* cli/log_cli.c: what the commands `yarder log …` share. */
#include "cli/log_cli.h"

#include <stdio.h>

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

int log_cli_dir(struct cli_args *args, const char *stream, char *to)
{
    const char *data = log_cli_data(args);
    struct yd_stat stat;
    const char *forms[] = {"%s/streams/%s/0", "%s/streams/%s", "%s/%s", "%.0s%s"};
    for (size_t i = 0; i < YD_COUNT(forms); i++) {
        char control[LOG_CLI_PATH + 16];
        if (snprintf(to, LOG_CLI_PATH, forms[i], data, stream) >= LOG_CLI_PATH) break;
        snprintf(control, sizeof control, "%s/control", to);
        if (yd_fs_stat(yd_fs_linux(), control, &stat) == 0) return CLI_DONE;
    }
    return cli_fail(args, "no stream '%s' below %s; `yarder log ls` lists them", stream, data);
}

void log_cli_json_stat(struct yd_json *json, const char *dir, const struct yd_log_stat *stat)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"first", stat->first},     {"written", stat->written},
                   {"durable", stat->durable}, {"records", stat->written - stat->first},
                   {"bytes", stat->bytes},     {"segments", stat->segments},
                   {"epoch", stat->epoch}};
    yd_json_object(json);
    yd_json_key(json, "stream");
    yd_json_cstr(json, stat->stream);
    yd_json_key(json, "dir");
    yd_json_cstr(json, dir);
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        yd_json_key(json, numbers[i].key);
        yd_json_u64(json, numbers[i].value);
    }
    yd_json_key(json, "time_min");
    yd_json_i64(json, stat->time_min);
    yd_json_key(json, "time_max");
    yd_json_i64(json, stat->time_max);
    yd_json_key(json, "live");
    yd_json_bool(json, stat->live);
    yd_json_key(json, "writer_pid");
    yd_json_i64(json, stat->writer_pid);
    yd_json_object_end(json);
}
