/* Talking to a daemon: HTTP by libcurl, and the status socket, which speaks no protocol at all. */
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"

#define BODY_MAX (UINT64_C(1) << 30)

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct yd_buf *body = arg;
    yd_buf_add(body, data, size * count);
    return body->failed ? 0 : size * count;
}

int cli_http(const char *method, const char *url, const char *body, struct cli_http *ret, struct yd_trail *trail)
{
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    yd_buf_init(&ret->body, NULL);
    ret->body.size_max = BODY_MAX;
    if (!curl) return YD_ENOMEM;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 120L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &ret->body);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "yarder/" YARDER_VERSION);
    if (strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    yd_buf_char(&ret->body, 0);
    ret->body.size -= !ret->body.failed;
    if (code == CURLE_OK) return 0;
    return yd_trail_add(trail, YD_EIO, "%s: %s", url, *why ? why : curl_easy_strerror(code));
}

char *cli_url_encode(const char *text)
{
    return curl_easy_escape(NULL, text, 0);
}

int cli_status(const char *data, struct yd_buf *ret, struct yd_trail *trail)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path, sizeof address.sun_path, "%s/status.sock", data);
    if (size >= (int)sizeof address.sun_path) return yd_trail_add(trail, YD_ETOOBIG, "%s: path too long", data);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int reason = errno;
        if (fd >= 0) close(fd);
        return yd_trail_add(trail, YD_ENOENT,
                            "no daemon answers on the data folder %s (%s); start one with "
                            "`yarder run FILE`, or name its folder with --data",
                            data, strerror(reason));
    }
    ssize_t got = 0;
    do {
        char *to = yd_buf_reserve(ret, 64u << 10);
        got = to ? read(fd, to, 64u << 10) : -1;
        if (got > 0) ret->size += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR && !ret->failed));
    close(fd);
    yd_buf_char(ret, 0);
    ret->size -= !ret->failed;
    return got < 0 ? yd_trail_add(trail, YD_EIO, "the status socket of %s broke off", data) : 0;
}

int cli_find_listener(const char *data, const char *what, char **ret_url, struct yd_trail *trail)
{
    struct yd_buf text;
    json_error_t why;
    char *found = NULL;
    yd_buf_init(&text, NULL);
    int error = cli_status(data, &text, trail);
    json_t *status = error < 0 ? NULL : json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
    size_t index;
    json_t *item;
    json_array_foreach (json_object_get(status, "listens"), index, item) {
        const char *label = json_string_value(json_object_get(item, "what"));
        const char *address = json_string_value(json_object_get(item, "address"));
        if (found || !label || !address || !strcasestr(label, what)) continue;
        if (asprintf(&found, "http://%s", address) < 0) found = NULL;
    }
    json_decref(status);
    yd_buf_fini(&text);
    if (error < 0) return error;
    if (!found)
        return yd_trail_add(trail, YD_ENOENT,
                            "the daemon on %s listens for no %s; add an OpenTsdb element to its topology, "
                            "or say where with --to",
                            data, what);
    *ret_url = found;
    return 0;
}
