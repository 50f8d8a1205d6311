/* Lines of several grammars: see text_in.h. The reasons of each parser are found by their texts, once. */
#include "elements/text_in.h"

#include "elements/bolo_lines.h"
#include "elements/exposition.h"
#include "elements/influx_lines.h"

const char *const yd_text_formats[] = {"bolo", "graphite", "influx", "opentsdb", "prometheus", NULL};
const char *const yd_text_reasons[] = {YD_TEXT_REASON_TEXTS NULL};

#define REASONS_MAX 32

struct yd_text_in {
    struct yd_text_in_options options;
    struct yd_lines *lines;
    struct yd_bolo *bolo;
    struct yd_influx *influx;
    struct yd_exposition *exposition;
    unsigned reasons[REASONS_MAX]; /* of the parser, to ours */
};

static void on_batch(void *arg, struct yd_batch *batch, uint32_t records)
{
    struct yd_text_in *in = arg;
    in->options.sink.batch(in->options.sink.arg, batch, records);
}

static void on_lines_batch(void *arg, struct yd_batch *batch)
{
    on_batch(arg, batch, batch->header.count);
}

static void on_line_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct yd_text_in *in = arg;
    in->options.sink.reject(in->options.sink.arg, reason, line);
}

static void on_command(void *arg, struct yd_str line)
{
    on_line_reject(arg, YD_LINE_COMMAND, line);
}

static void on_influx_reject(void *arg, enum yd_influx_reason reason, struct yd_str line)
{
    struct yd_text_in *in = arg;
    in->options.sink.reject(in->options.sink.arg, in->reasons[reason], line);
}

static void on_exposition_reject(void *arg, enum yd_exposition_reason reason, struct yd_str line)
{
    struct yd_text_in *in = arg;
    in->options.sink.reject(in->options.sink.arg, in->reasons[reason], line);
}

/* What has no word of its own here has one that says as much. */
static void map_reasons(struct yd_text_in *in, const char *const *theirs)
{
    static const char *const same[][2] = {{"bad label", "bad tag"},
                                          {"label given twice", "tag given twice"},
                                          {"not UTF-8", "name not UTF-8"},
                                          {"string too large for a batch", "line too long"}};
    for (unsigned i = 0; theirs[i]; i++) {
        const char *text = theirs[i];
        YD_ASSERT(i < REASONS_MAX);
        for (size_t k = 0; k < YD_COUNT(same); k++)
            if (strcmp(text, same[k][0]) == 0) text = same[k][1];
        unsigned at = 0;
        while (yd_text_reasons[at] && strcmp(yd_text_reasons[at], text) != 0) at++;
        YD_ASSERT(yd_text_reasons[at]);
        in->reasons[i] = at;
    }
}

static int create_parser(struct yd_text_in *in)
{
    const struct yd_text_in_options *options = &in->options;
    const char *format = options->format;
    if (strcmp(format, "bolo") == 0)
        return yd_bolo_create(&(struct yd_bolo_options){.sink = {in, on_batch, on_line_reject},
                                                        .line_max = options->line_max,
                                                        .seed = options->seed},
                              &in->bolo);
    if (strcmp(format, "influx") == 0) {
        map_reasons(in, yd_influx_reasons);
        return yd_influx_create(&(struct yd_influx_options){.sink = {in, on_batch, on_influx_reject},
                                                            .separator = YD_STR("_"),
                                                            .seed = options->seed},
                                &in->influx);
    }
    if (strcmp(format, "prometheus") == 0) {
        map_reasons(in, yd_exposition_reasons);
        return yd_exposition_create(
            &(struct yd_exposition_options){.sink = {in, on_batch, on_exposition_reject}, .seed = options->seed},
            &in->exposition);
    }
    bool put = strcmp(format, "opentsdb") == 0;
    if (!put && strcmp(format, "graphite") != 0) return YD_EINVAL;
    return yd_lines_create(&(struct yd_lines_options){.format = put ? &yd_opentsdb_format : &yd_graphite_format,
                                                      .sink = {in, on_lines_batch, on_line_reject, on_command},
                                                      .line_max = options->line_max,
                                                      .seed = options->seed},
                           &in->lines);
}

int yd_text_in_create(const struct yd_text_in_options *options, struct yd_text_in **ret_in)
{
    struct yd_text_in *in = yd_alloc_zero(NULL, sizeof *in);
    if (!in) return YD_ENOMEM;
    in->options = *options;
    int r = create_parser(in);
    if (r < 0) {
        yd_alloc_put(NULL, in, sizeof *in);
        return r;
    }
    *ret_in = in;
    return 0;
}

void yd_text_in_destroy(struct yd_text_in *in)
{
    if (!in) return;
    yd_lines_destroy(in->lines);
    yd_bolo_destroy(in->bolo);
    yd_influx_destroy(in->influx);
    yd_exposition_destroy(in->exposition);
    yd_alloc_put(NULL, in, sizeof *in);
}

void yd_text_in_parse(struct yd_text_in *in, struct yd_str text, int64_t now_ns)
{
    if (in->lines) {
        yd_lines_set_now(in->lines, now_ns);
        yd_lines_parse_all(in->lines, text.data, text.size);
        yd_lines_flush(in->lines);
    } else if (in->bolo) {
        (void)yd_bolo_parse(in->bolo, text, now_ns);
        yd_bolo_flush(in->bolo);
    } else if (in->influx) {
        (void)yd_influx_parse(in->influx, text, 1, now_ns);
        yd_influx_flush(in->influx);
    } else {
        (void)yd_exposition_parse(in->exposition, text, yd_exposition_whole(text), now_ns);
        yd_exposition_flush(in->exposition);
    }
}
