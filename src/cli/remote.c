/* cli/remote.c: the way to a daemon over the native protocol, and questions to it. */
#include "cli/remote.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/terminal.h"
#include "batch/record_text.h"
#include "io/file.h"
#include "io/loop.h"

static int read_token(struct cli_args *args, const char *path, char **ret_token)
{
    size_t size;
    int error = yd_fs_read_all(yd_fs_linux(), path, 65536, ret_token, &size);
    if (error) return cli_fail(args, "--token-file %s: %s", path, yd_error_text(error));
    (*ret_token)[strcspn(*ret_token, "\r\n")] = 0;
    return CLI_DONE;
}

int cli_client_open(struct cli_args *args, const struct yd_client_options *more, struct yd_client **ret_client)
{
    struct yd_client_options options = *more;
    const char *token_file = cli_value(args, "token-file"), *timeout = cli_value(args, "timeout");
    char *token = NULL, name[96];
    struct yd_trail trail;
    yd_trail_clear(&trail);
    snprintf(name, sizeof name, "yarder %s", args->command->name);
    options.name = name;
    options.address = cli_value(args, "at");
    options.ca_file = cli_value(args, "ca");
    options.cert_file = cli_value(args, "cert");
    options.key_file = cli_value(args, "key");
    if (timeout && yd_text_duration(yd_str_of(timeout), &options.timeout_ns) < 0)
        return cli_usage(args, "--timeout wants a time, like 10s");
    int code = token_file ? read_token(args, token_file, &token) : CLI_DONE;
    options.token = token;
    if (code == CLI_DONE && yd_client_open(&options, ret_client, &trail) < 0)
        code = cli_usage(args, "%s", yd_trail_text(&trail));
    free(token);
    return code;
}

int cli_client_failed(struct cli_args *args, struct yd_client *client, int error)
{
    const char *why = yd_client_trouble(client);
    bool nobody = error == YD_ECONNREFUSED || error == YD_ENOENT;
    nobody = nobody && strstr(why, "connecting"); /* an answer may be `not found`, too */
    return cli_fail(args, "%s%s", *why ? why : yd_error_text(error),
                    nobody ? "; is the daemon running, and has its topology a Native? --at says where else" : "");
}

int cli_wait_input(struct yd_client *client, bool *ret_input)
{
    int64_t due = yd_client_deadline(client), now = yd_clock_mono();
    int wait = due == INT64_MAX ? -1 : due <= now ? 0 : (int)YD_MIN((due - now) / YD_NS_PER_MS + 1, (int64_t)60000);
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = yd_client_fd(client), .events = yd_client_events(client)}};
    if (poll(fds, 2, wait) < 0 && errno != EINTR) return YD_EIO;
    *ret_input = fds[0].revents != 0;
    int ran = yd_client_run(client, 0);
    return ran < 0 ? ran : 0;
}

static const char *const levels[] = {"", "memory", "written", "durable", "replicated"};

const char *cli_level_name(enum yd_ack level)
{
    return (size_t)level < YD_COUNT(levels) ? levels[level] : "?";
}

int cli_level(struct cli_args *args, const char *option, const char *text, enum yd_ack *ret)
{
    if (!text) text = "durable";
    for (size_t i = 1; i < YD_COUNT(levels); i++)
        if (strcmp(levels[i], text) == 0) {
            *ret = (enum yd_ack)i;
            return CLI_DONE;
        }
    return cli_usage(args, "--%s wants memory, written, durable or replicated", option);
}

/* A record is one line whatever its name and text are, and does nothing to a terminal. Tabs stay. */
static void put_line(struct yd_buf *to, const struct yd_view *view, uint32_t index)
{
    size_t begin = to->size;
    struct yd_buf shown;
    yd_record_line(view, index, to);
    bool harms = false;
    for (size_t i = begin; i + 1 < to->size; i++) {
        unsigned char c = (unsigned char)to->data[i], next = (unsigned char)to->data[i + 1];
        harms |= (c < 0x20 && c != '\t') || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0);
    }
    if (!harms || to->failed) return;
    yd_buf_init(&shown, NULL);
    yd_buf_shown(&shown, (struct yd_str){to->data + begin, to->size - begin - 1});
    to->size = begin;
    yd_buf_str(to, yd_buf_view(&shown));
    yd_buf_char(to, '\n');
    to->failed |= shown.failed;
    yd_buf_fini(&shown);
}

void cli_put_record(struct yd_buf *to, bool json, const struct yd_view *view, uint32_t index, int partition,
                    uint64_t seqno)
{
    if (!json) {
        if (partition >= 0) yd_buf_printf(to, "%d/", partition);
        yd_buf_printf(to, "%llu ", (unsigned long long)seqno);
        put_line(to, view, index);
        return;
    }
    cli_put_record_json(to, view, index, partition, seqno);
}

void cli_put_record_json(struct yd_buf *to, const struct yd_view *view, uint32_t index, int partition, uint64_t seqno)
{
    struct yd_json writer;
    size_t at = to->size;
    yd_json_init(&writer, to, false);
    yd_record_json(view, index, seqno, &writer);
    yd_buf_char(to, '\n');
    if (partition < 0 || to->failed) return;
    /* The first of its keys. */
    char key[32];
    int size = snprintf(key, sizeof key, "\"partition\":%d,", partition);
    if (!yd_buf_reserve(to, (size_t)size)) return;
    memmove(to->data + at + 1 + size, to->data + at + 1, to->size - at - 1);
    memcpy(to->data + at + 1, key, (size_t)size);
    to->size += (size_t)size;
}

/* ---- questions ---- */

static int make_query(const struct cli_cell *cells, struct yd_batch **ret_batch)
{
    struct yd_builder *builder;
    uint32_t name;
    int error = yd_builder_create(&(struct yd_builder_options){.size_max = 65536}, &builder);
    if (error) return error;
    error = yd_builder_name(builder, YD_STR("query"), &name);
    if (!error) error = yd_builder_begin(builder, 0, name, YD_ROW, 0, YD_MAP);
    for (; !error && cells->key; cells++) {
        struct yd_str key = yd_str_of(cells->key);
        if (cells->absent) continue;
        if (cells->text)
            error = yd_builder_cell_bytes(builder, key, YD_TEXT, yd_str_of(cells->text));
        else if (cells->type)
            error = yd_builder_cell(builder, key, cells->type, cells->value);
        else
            error = yd_builder_cell(builder, key, YD_U64, (union yd_value){.u64 = cells->number});
    }
    if (!error) error = yd_builder_end(builder);
    if (!error) error = yd_builder_seal(builder, ret_batch);
    yd_builder_destroy(builder);
    return error;
}

struct rows {
    cli_row *visit;
    void *arg;
};

static int visit_rows(void *arg, const struct yd_batch *reply)
{
    struct rows *rows = arg;
    const struct yd_view *view = &reply->view;
    for (uint32_t i = 0; i < view->count; i++) {
        const struct yd_record *record = &view->records[i];
        if (record->kind != YD_ROW || record->type != YD_MAP) continue;
        int stop = rows->visit ? rows->visit(rows->arg, view, yd_view_name(view, record->name), record->value) : 0;
        if (stop) return stop;
    }
    return 0;
}

int cli_ask(struct cli_args *args, struct yd_client *client, const struct cli_cell *cells, cli_row *visit, void *arg)
{
    struct yd_batch *query;
    struct rows rows = {visit, arg};
    int error = make_query(cells, &query);
    if (error) return cli_usage(args, "the question cannot be asked: %s", yd_error_text(error));
    error = yd_client_query(client, query, visit_rows, &rows);
    yd_batch_unref(query);
    return error ? cli_client_failed(args, client, error) : CLI_DONE;
}

uint64_t cli_row_number(const struct yd_view *view, union yd_value map, const char *key)
{
    const struct yd_cell *cell = yd_view_find(view, map, yd_str_of(key));
    double number;
    if (!cell) return 0;
    if (cell->type == YD_U64 || cell->type == YD_I64 || cell->type == YD_BOOL) return cell->value.u64;
    return yd_value_number((enum yd_type)cell->type, cell->value, &number) && number > 0 ? (uint64_t)number : 0;
}

bool cli_row_json(struct yd_buf *to, const struct yd_view *view, struct yd_str name, const char *name_key,
                  union yd_value map)
{
    const struct yd_cells *cells = yd_view_cells(view, map);
    struct yd_json json;
    yd_json_init(&json, to, false);
    yd_json_object(&json);
    yd_json_key(&json, name_key);
    yd_json_str(&json, name);
    for (uint32_t i = 0; i < cells->count; i++) {
        yd_json_key_str(&json, yd_view_name(view, cells->cell[i].name));
        yd_value_json(view, (enum yd_type)cells->cell[i].type, cells->cell[i].value, &json);
    }
    yd_json_object_end(&json);
    return !to->failed;
}
