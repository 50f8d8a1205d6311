/* yarder put: one point into a daemon, answered when it is durable. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <yarder/name.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "io/loop.h"

/* The body of /api/put: metric and tags apart and unescaped, the time in milliseconds. NULL: *why tells. */
static char *body_of(const char *name_text, const char *value_text, const char *time_text, const char **why)
{
    struct yd_name name;
    struct yd_str text = yd_str_of(name_text);
    char part[2 * YD_NAME_SIZE_MAX + 1];
    int64_t time_ns = yd_clock_wall();
    double value;
    if (text.size > YD_NAME_SIZE_MAX || yd_name_parse(text, &name, NULL) < 0) {
        *why = "NAME is not a qualified name; write  'metric tag=value,tag=value'";
        return NULL;
    }
    if (name.tag_count == 0) {
        *why = "the OpenTSDB API wants at least one tag; write  'metric tag=value'";
        return NULL;
    }
    if (yd_text_f64(yd_str_of(value_text), false, &value) < 0) {
        *why = "VALUE is not a number";
        return NULL;
    }
    if (time_text && yd_text_time(yd_str_of(time_text), &time_ns) < 0) {
        *why = "TIME is not a time; write seconds since 1970, or 2026-11-21T01:02:03Z";
        return NULL;
    }
    json_t *tags = json_object();
    json_t *point = json_object();
    json_object_set_new(point, "metric", json_stringn(part, yd_name_unescape(name.metric, part)));
    json_object_set_new(point, "timestamp", json_integer(time_ns / YD_NS_PER_MS));
    json_object_set_new(point, "value", json_string(value_text)); /* as text: an exact integer stays exact */
    for (uint32_t i = 0; i < name.tag_count; i++) {
        char key[2 * YD_NAME_SIZE_MAX + 1];
        size_t key_size = yd_name_unescape(name.tags[i].key, key);
        json_object_setn_new(tags, key, key_size, json_stringn(part, yd_name_unescape(name.tags[i].value, part)));
    }
    json_object_set_new(point, "tags", tags);
    char *body = json_dumps(point, 0);
    json_decref(point);
    *why = "out of memory";
    return body;
}

/* What was wrong with the point, out of the daemon's answer. */
static void explain(struct cli_args *args, const struct cli_http *http)
{
    json_t *answer = json_loadb(http->body.data, http->body.size, JSON_ALLOW_NUL, NULL);
    const char *text =
        json_string_value(json_object_get(json_array_get(json_object_get(answer, "errors"), 0), "error"));
    if (!text) text = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    (void)cli_fail(args, "refused (HTTP %ld): %s", http->status, text ? text : http->body.data);
    json_decref(answer);
}

static int run(struct cli_args *args)
{
    const char *to = cli_value(args, "to"), *data = cli_value(args, "data"), *why = "";
    char *base = NULL, *url = NULL;
    struct yd_trail trail;
    struct cli_http http;
    yd_trail_clear(&trail);
    char *body = body_of(args->rest[0], args->rest[1], args->rest_count > 2 ? args->rest[2] : NULL, &why);
    if (!body) return cli_usage(args, "%s", why);
    int error = to ? (asprintf(&base, "%s%s", strstr(to, "://") ? "" : "http://", to) < 0 ? YD_ENOMEM : 0)
                   : cli_find_listener(data ? data : "./data", "OpenTSDB", &base, &trail);
    if (error == 0 && asprintf(&url, "%s/api/put?details&sync", base) < 0) error = YD_ENOMEM;
    if (error < 0) {
        free(base);
        free(body);
        return cli_fail(args, "%s", *yd_trail_text(&trail) ? yd_trail_text(&trail) : yd_error_text(error));
    }
    error = cli_http("POST", url, body, &http, &trail);
    int code = CLI_DONE;
    if (error < 0)
        code = cli_fail(args, "%s", yd_trail_text(&trail));
    else if (args->json)
        printf("%s\n", http.body.data);
    if (error == 0 && http.status / 100 != 2) {
        if (!args->json) explain(args, &http);
        code = CLI_FAILED;
    }
    yd_buf_fini(&http.body);
    free(url);
    free(base);
    free(body);
    return code;
}

static const struct cli_option options[] = {
    {"to", "HOST:PORT", "an OpenTSDB listener; without it the daemon on the data folder"},
    {"data", "DIR", "the daemon's data folder; default ./data"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_put = {
    .name = "put",
    .usage = "NAME VALUE [TIME] [--to HOST:PORT]",
    .summary = "puts one value, and waits until it is durable",
    .doc = "NAME is a qualified name. TIME is seconds since 1970 or a date; now when it is left out. Silent when it is "
           "done.",
    .example = "  yarder put 'room.temperature room=lab' 21.5",
    .options = options,
    .rest_min = 2,
    .rest_max = 3,
    .run = run,
};
