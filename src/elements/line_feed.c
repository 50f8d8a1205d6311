/* Text fed by a test or a replay: see line_feed.h. Time is what the caller says, so the same text gives the same batch.
 */
#include "elements/line_feed.h"

#include "elements/line_server.h"

struct yd_line_feed {
    struct yd_line_feed_options options;
    struct yd_lines *lines;
    struct yd_rejects *rejects;
    struct yd_out *out; /* while feeding */
    int64_t wall_ns;
};

static void on_batch(void *arg, struct yd_batch *batch)
{
    struct yd_line_feed *feed = arg;
    (void)yd_emit(feed->out, feed->options.output, batch); /* a port that exists: what is refused is counted there */
}

static void emit_rejects(struct yd_line_feed *feed, struct yd_batch *batch)
{
    if (batch) (void)yd_emit(feed->out, feed->options.rejects, batch); /* as above */
}

static void on_reject(void *arg, enum yd_line_reason reason, struct yd_str line)
{
    struct yd_line_feed *feed = arg;
    yd_count_rejected(feed->out, reason, 1, line);
    if (feed->rejects)
        emit_rejects(feed, yd_rejects_add(feed->rejects, feed->wall_ns, yd_line_reasons[reason], YD_STR("feed"), line));
}

static void on_command(void *arg, struct yd_str line)
{
    on_reject(arg, YD_LINE_COMMAND, line);
}

static int create(const struct yd_line_feed_options *options, struct yd_line_feed **ret_feed)
{
    struct yd_line_feed *feed = yd_alloc_zero(NULL, sizeof *feed);
    if (!feed) return YD_ENOMEM;
    feed->options = *options;
    struct yd_lines_options lines = {
        .format = options->format, .sink = {feed, on_batch, on_reject, on_command}, .line_max = options->line_max};
    int r = yd_lines_create(&lines, &feed->lines);
    if (r == 0) r = yd_rejects_create(options->element, &feed->rejects);
    if (r < 0) {
        yd_line_feed_destroy(feed);
        return r;
    }
    *ret_feed = feed;
    return 0;
}

int yd_line_feed(struct yd_line_feed **feed, const struct yd_line_feed_options *options, struct yd_str bytes,
                 struct yd_out *out, int64_t wall_ns)
{
    int r = *feed ? 0 : create(options, feed);
    if (r < 0) return r;
    struct yd_line_feed *it = *feed;
    it->out = out;
    it->wall_ns = wall_ns;
    yd_lines_set_now(it->lines, wall_ns);
    yd_lines_parse_all(it->lines, bytes.data, bytes.size);
    yd_lines_flush(it->lines);
    if (it->rejects) emit_rejects(it, yd_rejects_take(it->rejects));
    it->out = NULL;
    return 0;
}

void yd_line_feed_destroy(struct yd_line_feed *feed)
{
    if (!feed) return;
    yd_rejects_destroy(feed->rejects);
    yd_lines_destroy(feed->lines);
    yd_alloc_put(NULL, feed, sizeof *feed);
}
