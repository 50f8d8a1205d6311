/* yarder log dump: what is in a stream, or in one of its files, for other programs and for looking closely. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "batch/record_text.h"
#include "cli/commands.h"
#include "cli/log_cli.h"
#include "cli/remote.h"
#include "io/file.h"
#include "log/mend.h"

enum what { RECORDS, BATCHES, HEX };

struct dumping {
    struct cli_args *args;
    struct yd_forgotten *forgotten; /* NULL: everything is shown */
    struct yd_pattern *pattern;
    enum what what;
    bool csv, ended;
    int partition; /* of several; -1: there is one */
    uint64_t from, until;
    struct yd_buf text, cell;
};

/* RFC 4180: quoted when it must be, quotes doubled. */
static void put_csv(struct yd_buf *to, struct yd_str text)
{
    bool plain = true;
    for (size_t i = 0; i < text.size; i++) plain = plain && !strchr(",\"\r\n", text.data[i]);
    if (plain) {
        yd_buf_str(to, text);
        return;
    }
    yd_buf_char(to, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') yd_buf_char(to, '"');
        yd_buf_char(to, text.data[i]);
    }
    yd_buf_char(to, '"');
}

static void put_record(struct dumping *dumping, const struct yd_batch *batch, uint32_t index)
{
    const struct yd_view *view = &batch->view;
    const struct yd_record *record = &view->records[index];
    uint64_t seqno = batch->header.base_seqno + index;
    if (!dumping->csv) {
        cli_put_record_json(&dumping->text, view, index, dumping->partition, seqno);
        return;
    }
    char time[40];
    if (dumping->partition >= 0) yd_buf_printf(&dumping->text, "%d,", dumping->partition);
    yd_buf_printf(&dumping->text, "%llu,", (unsigned long long)seqno);
    put_csv(&dumping->text, (struct yd_str){time, yd_text_put_time(time, sizeof time, record->time_ns)});
    yd_buf_char(&dumping->text, ',');
    put_csv(&dumping->text, yd_view_name(view, record->name));
    yd_buf_printf(&dumping->text, ",%s,%s,%u,", yd_kind_name(record->kind), yd_type_name(record->type), record->flags);
    yd_buf_clear(&dumping->cell);
    yd_value_text(view, record->type, record->value, &dumping->cell);
    put_csv(&dumping->text, yd_buf_view(&dumping->cell));
    yd_buf_cstr(&dumping->text, "\r\n");
}

static void put_records(struct dumping *dumping, const struct yd_batch *batch)
{
    for (uint32_t i = 0; i < batch->view.count; i++) {
        uint64_t seqno = batch->header.base_seqno + i;
        if (seqno < dumping->from || seqno >= dumping->until) continue;
        if (dumping->pattern &&
            !yd_pattern_match(dumping->pattern, yd_view_name(&batch->view, batch->view.records[i].name)))
            continue;
        if (!dumping->forgotten || !yd_forgotten_covers(dumping->forgotten, batch, i)) put_record(dumping, batch, i);
    }
}

/* Every field of a header: unsigned ones here, the signed times behind. */
/* clang-format off */
#define FIELDS(X)                                                                                                      \
    X(version) X(codec) X(flags) X(size) X(header_crc) X(base_seqno) X(count) X(body_crc) X(body_size) X(raw_size)     \
    X(log_id) X(epoch) X(prev_crc) X(durable_seqno) X(producer_id) X(producer_seq) X(producer_epoch) X(kinds) X(names)
/* clang-format on */

static void put_header(struct dumping *dumping, uint64_t offset, const struct yd_header *header)
{
    struct yd_buf *to = &dumping->text;
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
#define FIELD(name) {#name, header->name},
        FIELDS(FIELD)
#undef FIELD
    };
    const struct {
        const char *key;
        int64_t value;
    } times[] = {{"time_min", header->time_min}, {"time_max", header->time_max}, {"append_time", header->append_time}};
    if (!dumping->csv) yd_buf_char(to, '{');
    if (dumping->partition >= 0) yd_buf_printf(to, dumping->csv ? "%d," : "\"partition\":%d,", dumping->partition);
    yd_buf_printf(to, dumping->csv ? "%llu" : "\"offset\":%llu", (unsigned long long)offset);
    for (size_t i = 0; i < YD_COUNT(numbers); i++) {
        if (dumping->csv)
            yd_buf_printf(to, ",%llu", (unsigned long long)numbers[i].value);
        else
            yd_buf_printf(to, ",\"%s\":%llu", numbers[i].key, (unsigned long long)numbers[i].value);
    }
    for (size_t i = 0; i < YD_COUNT(times); i++) {
        if (dumping->csv)
            yd_buf_printf(to, ",%lld", (long long)times[i].value);
        else
            yd_buf_printf(to, ",\"%s\":%lld", times[i].key, (long long)times[i].value);
    }
    yd_buf_cstr(to, dumping->csv ? "\r\n" : "}\n");
}

static void put_hex(struct dumping *dumping, uint64_t offset, const struct yd_batch *batch)
{
    struct yd_buf *to = &dumping->text;
    const struct yd_header *header = &batch->header;
    const struct yd_view *view = &batch->view;
    size_t records = view->count * sizeof(struct yd_record), names = view->name_count * sizeof(struct yd_name_entry);
    char *frame = malloc(header->size);
    if (!frame) {
        to->failed = true;
        return;
    }
    yd_batch_to_bytes(batch, frame);
    yd_buf_printf(to, "# batch at byte %llu: records %llu to %llu, %u bytes, header_crc %08x, body_crc %08x\n",
                  (unsigned long long)offset, (unsigned long long)header->base_seqno,
                  (unsigned long long)(header->base_seqno + header->count - 1), header->size, header->header_crc,
                  header->body_crc);
    for (size_t at = 0; at < header->size; at += 16) {
        size_t body = at - sizeof *header;
        if (at == 0) yd_buf_cstr(to, "# header\n");
        if (at == sizeof *header)
            yd_buf_printf(to, "# %s\n", view->count ? "records, 24 bytes each" : "compressed body");
        if (view->count && at > sizeof *header && body >= records && body < records + 16)
            yd_buf_cstr(to, "# about here: names, 16 bytes each\n");
        if (view->count && at > sizeof *header && body >= records + names && body < records + names + 16)
            yd_buf_cstr(to, "# about here: heap\n");
        yd_buf_printf(to, "%010llx ", (unsigned long long)(offset + at));
        for (size_t i = 0; i < 16; i++) yd_buf_printf(to, " %02x", (unsigned char)frame[at + i]);
        yd_buf_cstr(to, "  |");
        for (size_t i = 0; i < 16; i++) {
            char c = frame[at + i];
            yd_buf_char(to, c >= 32 && c < 127 ? c : '.');
        }
        yd_buf_cstr(to, "|\n");
    }
    free(frame);
}

static int put_batch(void *arg, uint64_t offset, const struct yd_batch *batch)
{
    struct dumping *dumping = arg;
    const struct yd_header *header = &batch->header;
    if (header->base_seqno + header->count <= dumping->from || header->base_seqno >= dumping->until) return 0;
    yd_buf_clear(&dumping->text);
    if (dumping->what == RECORDS)
        put_records(dumping, batch);
    else if (dumping->what == BATCHES)
        put_header(dumping, offset, header);
    else
        put_hex(dumping, offset, batch);
    if (dumping->text.failed) return YD_ENOMEM;
    dumping->ended = fwrite(dumping->text.data, 1, dumping->text.size, stdout) != dumping->text.size;
    return dumping->ended ? 1 : 0;
}

static int dump_file(struct dumping *dumping, const char *path, uint64_t log_id)
{
    struct yd_trail trail;
    struct yd_log_salvage how = {.log_id = log_id, .batch = put_batch, .arg = dumping};
    struct yd_log_salvage_report report;
    yd_trail_clear(&trail);
    int error = yd_log_salvage_file(NULL, path, &how, &report, &trail);
    if (error < 0) return cli_fail(dumping->args, "%s", yd_trail_text(&trail));
    if (report.other_bytes && dumping->what != RECORDS)
        fprintf(stderr, "%s: %llu bytes are no batch: head, index, or damage\n", path,
                (unsigned long long)report.other_bytes);
    return CLI_DONE;
}

static int dump_records(struct dumping *dumping, const char *dir)
{
    struct yd_log_start start = {.from = dumping->from ? YD_FROM_SEQNO : YD_FROM_OLDEST,
                                 .seqno = dumping->from,
                                 .level = YD_ACK_DURABLE,
                                 .names = cli_value(dumping->args, "match")};
    struct yd_log_reader *reader;
    struct yd_trail trail;
    yd_trail_clear(&trail);
    if (yd_log_reader_open_dir(NULL, dir, &start, &reader, &trail) < 0)
        return cli_fail(dumping->args, "%s", yd_trail_text(&trail));
    int error = 0;
    while (!error && yd_log_reader_seqno(reader) < dumping->until) {
        struct yd_batch *batch;
        struct yd_log_gap gap;
        error = yd_log_reader_next(reader, &batch, &gap);
        if (error == YD_EGAP) {
            fprintf(stderr, "gap: records %llu to %llu are not there (%s)\n", (unsigned long long)gap.from,
                    (unsigned long long)gap.to, gap.reason);
            error = 0;
        } else if (!error) {
            error = put_batch(dumping, 0, batch);
            yd_batch_unref(batch);
        }
    }
    yd_log_reader_close(reader);
    return error < 0 && error != YD_EAGAIN ? cli_fail(dumping->args, "%s: %s", dir, yd_error_text(error)) : CLI_DONE;
}

struct segments {
    const char *dir;
    struct log_cli_names names;
};

/* A segment, or its twin when that is all there is. */
static int segment_visit(void *arg, const char *name, enum yd_file_type node)
{
    struct segments *segments = arg;
    size_t size = strlen(name);
    char raw[LOG_CLI_PATH + 256];
    struct yd_stat stat;
    if (node != YD_NODE_FILE || size < 6) return 0;
    if (strcmp(name + size - 5, ".ylog") == 0) return log_cli_names_add(&segments->names, name);
    if (strcmp(name + size - 5, ".yzst") != 0) return 0;
    (void)snprintf(raw, sizeof raw, "%s/%.*s.ylog", segments->dir, (int)(size - 5), name);
    return yd_fs_stat(yd_fs_linux(), raw, &stat) == 0 ? 0 : log_cli_names_add(&segments->names, name);
}

static int dump_segments(struct dumping *dumping, const char *dir)
{
    struct segments segments = {.dir = dir};
    struct log_cli_names *names = &segments.names;
    struct yd_log_stat stat = {.log_id = 0};
    (void)yd_log_stat_dir(NULL, dir, &stat, NULL); /* without a control page: batches of any log */
    int error = yd_fs_list(yd_fs_linux(), dir, segment_visit, &segments), code = CLI_DONE;
    log_cli_names_sort(names);
    for (size_t i = 0; i < names->count && !error && !code && !dumping->ended; i++) {
        char path[LOG_CLI_PATH + 256];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names->all[i]);
        if (dumping->what == HEX || !dumping->csv) fprintf(stderr, "%s:\n", path);
        code = dump_file(dumping, path, stat.log_id);
    }
    log_cli_names_fini(names);
    return error ? cli_fail(dumping->args, "%s: %s", dir, yd_error_text(error)) : code;
}

static int parse(struct cli_args *args, struct dumping *dumping)
{
    const char *what = cli_value(args, "what"), *format = cli_value(args, "format"), *from = cli_value(args, "from"),
               *until = cli_value(args, "until"), *match = cli_value(args, "match");
    *dumping = (struct dumping){.args = args, .partition = -1, .until = UINT64_MAX};
    if (what && strcmp(what, "batches") == 0)
        dumping->what = BATCHES;
    else if (what && strcmp(what, "hex") == 0)
        dumping->what = HEX;
    else if (what && strcmp(what, "records") != 0)
        return cli_usage(args, "--what wants records, batches or hex");
    dumping->csv = format && strcmp(format, "csv") == 0;
    if (format && !dumping->csv && strcmp(format, "json") != 0) return cli_usage(args, "--format wants json or csv");
    if (from && yd_text_u64(yd_str_of(from), &dumping->from) < 0) return cli_usage(args, "--from wants a seqno");
    if (until && yd_text_u64(yd_str_of(until), &dumping->until) < 0) return cli_usage(args, "--until wants a seqno");
    if (match && yd_pattern_compile(yd_str_of(match), &dumping->pattern) < 0)
        return cli_usage(args, "--match: '%s' is not a name pattern", match);
    if (args->rest_count == !!cli_given(args, "segment")) return cli_usage(args, "a STREAM, or --segment FILE");
    return CLI_DONE;
}

static int dump_part(struct dumping *dumping, const struct log_cli_part *part)
{
    int code = CLI_DONE;
    dumping->partition = part->partition;
    if (dumping->what != RECORDS) return dump_segments(dumping, part->dir);
    if (!cli_given(dumping->args, "forgotten")) code = log_cli_forgotten(dumping->args, part->dir, &dumping->forgotten);
    if (!code) code = dump_records(dumping, part->dir);
    yd_forgotten_destroy(dumping->forgotten);
    dumping->forgotten = NULL;
    return code;
}

static int run_dump(struct cli_args *args)
{
    struct dumping dumping;
    struct log_cli_parts parts = {.count = 0};
    const char *segment = cli_value(args, "segment");
    int code = parse(args, &dumping);
    if (!code && !segment) code = log_cli_parts(args, args->rest[0], &parts);
    if (!code && parts.count > 1 && (dumping.from || dumping.until != UINT64_MAX))
        code = cli_usage(args, "--from and --until: a seqno is of one partition: name it, like %s", parts.all[0].name);
    yd_buf_init(&dumping.text, NULL);
    yd_buf_init(&dumping.cell, NULL);
    if (!code && dumping.csv && dumping.what != HEX && parts.count > 1) printf("partition,");
    if (!code && dumping.csv && dumping.what == RECORDS) printf("seqno,time,name,kind,type,flags,value\r\n");
    if (!code && dumping.csv && dumping.what == BATCHES) {
        printf("offset");
#define FIELD(name) printf("," #name);
        FIELDS(FIELD)
#undef FIELD
        printf(",time_min,time_max,append_time\r\n");
    }
    if (!code && segment) code = dump_file(&dumping, segment, 0);
    for (size_t i = 0; i < parts.count && !code && !dumping.ended; i++) code = dump_part(&dumping, &parts.all[i]);
    log_cli_parts_fini(&parts);
    yd_buf_fini(&dumping.text);
    yd_buf_fini(&dumping.cell);
    yd_pattern_destroy(dumping.pattern);
    return code;
}

static const struct cli_option options[] = {
    {"what", "WHAT", "records (default), batches: every field of their headers, or hex: their bytes, with notes"},
    {"format", "FORMAT", "json: an object a line (default), or csv with a header line"},
    {"from", "SEQNO", "begin with this one"},
    {"until", "SEQNO", "stop before this one"},
    {"match", "PATTERN", "only names that match, like 'cpu.* host=web*'"},
    {"segment", "FILE", "not a stream: the good batches of one file, damaged or not"},
    {"forgotten", NULL, "also what tombstones cover"},
    {"data", "DIR", "the data folder; default ./data"},
    {NULL, NULL, NULL},
};
const struct cli_command cmd_log_dump = {
    .name = "log dump",
    .usage = "STREAM|--segment FILE [--what records|batches|hex] [--format json|csv]",
    .summary = "prints records, batch headers or bytes for other programs",
    .doc = "Up to what is durable. Gaps, and bytes that are no batch, are told on standard error. Of a stream with "
           "several\n"
           "partitions one after the other, with `partition` before the rest.",
    .example = "  yarder log dump metrics --format csv > metrics.csv\n"
               "  yarder log dump metrics --what batches --from 1000 --until 2000",
    .options = options,
    .rest_min = 0,
    .rest_max = 1,
    .run = run_dump,
};
