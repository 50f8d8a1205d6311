/* yarder query: asks a daemon's history, in OpenTSDB's words, and prints the points. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"

/* `--to` is an address or the end of the time, by its form: "host:port" and "http://…" are addresses, times have
 * neither a colon without a date nor a scheme. Given twice, it may be both. */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (strstr(text, "://")) return true;
    if (!colon || strchr(text, '/') || strchr(text, 'T')) return false;
    return colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

/* OpenTSDB's forms go as they are; dates become milliseconds. malloc'd, for a URL. */
static char *time_word(const char *text)
{
    int64_t ns;
    char *word = NULL;
    bool digits = strspn(text, "0123456789.") == strlen(text);
    if (!digits && yd_text_time(yd_str_of(text), &ns) == 0)
        return asprintf(&word, "%lld", (long long)(ns / YD_NS_PER_MS)) < 0 ? NULL : word;
    return cli_url_encode(text);
}

static char *url_of(const char *base, const char *expression, const char *from, const char *to)
{
    char *url = NULL, *with = NULL;
    if (!strchr(expression, ':') && asprintf(&with, "none:%s", expression) < 0) return NULL;
    char *m = cli_url_encode(with ? with : expression), *start = time_word(from), *end = to ? time_word(to) : NULL;
    if (!m || !start ||
        asprintf(&url, "%s/api/query?ms=true&start=%s%s%s&m=%s", base, start, end ? "&end=" : "", end ? end : "", m) <
            0)
        url = NULL;
    free(with);
    free(m);
    free(start);
    free(end);
    return url;
}

static void print_series(json_t *series)
{
    const char *key, *metric = json_string_value(json_object_get(series, "metric"));
    json_t *value;
    char separator = ' ';
    printf("%s", metric ? metric : "?");
    json_object_foreach (json_object_get(series, "tags"), key, value) {
        printf("%c%s=%s", separator, key, json_string_value(value));
        separator = ',';
    }
    printf("\n");
    json_object_foreach (json_object_get(series, "dps"), key, value) {
        char time[40], number[32];
        double ms = strtod(key, NULL);
        time[yd_text_put_time(time, sizeof time - 1, (int64_t)ms * YD_NS_PER_MS)] = 0;
        if (json_is_integer(value)) /* exactly: a double has 53 bits */
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        else if (json_is_number(value))
            number[yd_text_put_f64(number, json_number_value(value))] = 0;
        else
            snprintf(number, sizeof number, "%s", json_is_null(value) ? "null" : json_string_value(value));
        printf("  %-26s %s\n", time, number);
    }
}

/* What to write instead, where the API's own words do not say. */
static void print_hint(const struct cli_args *args, const char *message)
{
    const char *expression = args->rest[0], *space = strchr(expression, ' ');
    if (strncmp(message, "Unable to parse the ", 20) == 0)
        fprintf(stderr,
                "times are written 2h-ago, now, 2026-11-21T01:02:03Z, 2026/11/21-01:02 or in seconds since 1970\n");
    else if (space && strchr(space, '=') && !strchr(expression, '{'))
        fprintf(stderr, "tags stand in braces here: METRIC{TAG=VALUE,...}\n");
}

static int print_answer(struct cli_args *args, const struct cli_http *http)
{
    json_error_t why;
    json_t *answer = json_loadb(http->body.data, http->body.size, JSON_ALLOW_NUL, &why);
    if (!answer) /* a counter beyond 2^63-1 is no json_int_t: then all numbers are doubles */
        answer = json_loadb(http->body.data, http->body.size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    int code = CLI_DONE;
    if (http->status != 200) {
        const char *text = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
        code = cli_fail(args, "HTTP %ld: %s", http->status, text ? text : http->body.data);
        if (text && !args->json) print_hint(args, text);
    } else if (args->json) {
        printf("%s\n", http->body.data);
    } else if (!json_is_array(answer)) {
        code = cli_fail(args, "the answer is not what an OpenTSDB API gives");
    } else {
        for (size_t i = 0; i < json_array_size(answer); i++) print_series(json_array_get(answer, i));
        if (json_array_size(answer) == 0) fprintf(stderr, "nothing matches in this time; see --from\n");
    }
    json_decref(answer);
    return code;
}

static int run(struct cli_args *args)
{
    const char *tos[] = {cli_value_before(args, "to"), cli_value(args, "to")}, *address = NULL, *end = NULL;
    const char *from = cli_value(args, "from"), *data = cli_value(args, "data");
    char *base = NULL, *url = NULL;
    struct yd_trail trail;
    struct cli_http http;
    for (size_t i = 0; i < YD_COUNT(tos); i++)
        if (tos[i]) *(is_address(tos[i]) ? &address : &end) = tos[i];
    yd_trail_clear(&trail);
    int error = address
                    ? (asprintf(&base, "%s%s", strstr(address, "://") ? "" : "http://", address) < 0 ? YD_ENOMEM : 0)
                    : cli_find_listener(data ? data : "./data", "OpenTSDB", &base, &trail);
    if (error == 0 && !(url = url_of(base, args->rest[0], from ? from : "1h-ago", end))) error = YD_ENOMEM;
    free(base);
    if (error < 0) return cli_fail(args, "%s", *yd_trail_text(&trail) ? yd_trail_text(&trail) : yd_error_text(error));
    error = cli_http("GET", url, NULL, &http, &trail);
    int code = error < 0 ? cli_fail(args, "%s", yd_trail_text(&trail)) : print_answer(args, &http);
    yd_buf_fini(&http.body);
    free(url);
    return code;
}

static const struct cli_option options[] = {
    {"from", "TIME", "default 1h-ago; also 2026-11-21T01:02:03Z, 2026/11/21-01:02, seconds"},
    {"to", "TIME | URL", "until when, default now; or an address (HOST:PORT or URL). May be given twice"},
    {"data", "DIR", "the daemon's data folder; default ./data"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_query = {
    .name = "query",
    .usage = "EXPR [--from TIME] [--to TIME] [--to URL]",
    .summary = "asks the history of a daemon",
    .doc = "EXPR is OpenTSDB's: AGGREGATOR:[INTERVAL-AGGREGATOR[-FILL]:][rate:]METRIC{TAG=FILTER,...}. A metric alone "
           "shows\n"
           "each of its series. With --json: the answer as it came.",
    .example = "  yarder query try.me\n  yarder query 'sum:1m-avg:rate:net.rx_bytes{device=*}' --from 15m-ago",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
