/* An answer in pieces: see http_answer.h. Lines are gathered in `head`; a line that could not be one is an error at
 * once, and so are two lengths that differ, since one of them would be a lie. */
#include "serve/http_answer.h"

#include <stdio.h>
#include <strings.h>

#include "base/text.h"

enum phase { HEAD, BODY, TO_END, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILERS, WHOLE };

void yd_http_answer_begin(struct yd_http_answer *answer, size_t body_max, struct yd_alloc *alloc)
{
    *answer = (struct yd_http_answer){.body_max = body_max};
    yd_buf_init(&answer->head, alloc);
    yd_buf_init(&answer->body, alloc);
}

void yd_http_answer_fini(struct yd_http_answer *answer)
{
    yd_buf_fini(&answer->head);
    yd_buf_fini(&answer->body);
}

static int fail(struct yd_http_answer *answer, int error, const char *why)
{
    answer->why = why;
    return error;
}

/* ---- the head ---- */

static struct yd_str trim(struct yd_str text)
{
    while (text.size && (*text.data == ' ' || *text.data == '\t')) text.data++, text.size--;
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) text.size--;
    return text;
}

static bool is_word(struct yd_str text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static int take_header(struct yd_http_answer *answer, struct yd_str line)
{
    const char *colon = memchr(line.data, ':', line.size);
    if (!colon || colon == line.data) return fail(answer, YD_EFORMAT, "a header that is none");
    struct yd_str name = {line.data, (size_t)(colon - line.data)};
    struct yd_str value = trim((struct yd_str){colon + 1, line.size - name.size - 1});
    if (is_word(name, "Content-Length")) {
        uint64_t length;
        if (yd_text_u64(value, &length) < 0 || (answer->has_length && length != answer->left))
            return fail(answer, YD_EFORMAT, "a bad Content-Length");
        answer->has_length = true;
        answer->left = length;
    } else if (is_word(name, "Transfer-Encoding")) {
        if (!is_word(value, "chunked")) return fail(answer, YD_ENOTSUP, "a Transfer-Encoding other than chunked");
        answer->chunked = true;
    } else if (is_word(name, "Content-Encoding")) {
        if (is_word(value, "gzip") || is_word(value, "x-gzip") || is_word(value, "deflate"))
            answer->gzip = true;
        else if (value.size && !is_word(value, "identity"))
            return fail(answer, YD_ENOTSUP, "a Content-Encoding other than gzip");
    } else if (is_word(name, "Content-Type")) {
        (void)snprintf(answer->type, sizeof answer->type, "%.*s", YD_STR_FMT(value));
    } else if (is_word(name, "Location") && value.size < sizeof answer->location) {
        (void)snprintf(answer->location, sizeof answer->location, "%.*s", YD_STR_FMT(value));
    }
    return 0;
}

/* "HTTP/1.1 200 OK" */
static int take_status(struct yd_http_answer *answer, struct yd_str line)
{
    if (line.size < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ' ||
        (line.size > 12 && line.data[12] != ' '))
        return fail(answer, YD_EFORMAT, "an answer that is not HTTP");
    uint64_t status;
    if (yd_text_u64((struct yd_str){line.data + 9, 3}, &status) < 0 || status < 100)
        return fail(answer, YD_EFORMAT, "an answer that is not HTTP");
    answer->status = (unsigned)status;
    return 0;
}

static int begin_body(struct yd_http_answer *answer)
{
    if (answer->status < 200) { /* the answer itself is still to come */
        answer->has_length = answer->chunked = answer->gzip = false;
        answer->left = 0;
        answer->status = 0;
        return 0;
    }
    if (answer->status == 204 || answer->status == 304)
        answer->chunked = false, answer->has_length = true, answer->left = 0;
    if (answer->chunked)
        answer->phase = CHUNK_SIZE;
    else if (answer->has_length)
        answer->phase = answer->left ? BODY : WHOLE;
    else
        answer->phase = TO_END;
    if (answer->phase == BODY && answer->left > answer->body_max)
        return fail(answer, YD_ETOOBIG, "a body over the limit");
    return 0;
}

static int take_head_line(struct yd_http_answer *answer, struct yd_str line)
{
    if (answer->status == 0) return take_status(answer, line);
    return line.size ? take_header(answer, line) : begin_body(answer);
}

/* ---- lines ---- */

/* "1a2b;extension" */
static int take_chunk_size(struct yd_http_answer *answer, struct yd_str line)
{
    uint64_t size = 0;
    size_t digits = 0;
    for (; digits < line.size; digits++) {
        char c = line.data[digits];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) break;
        if (size >> 59) return fail(answer, YD_ETOOBIG, "a body over the limit");
        size = size << 4 | (unsigned)digit;
    }
    struct yd_str rest = trim((struct yd_str){line.data + digits, line.size - digits});
    if (digits == 0 || (rest.size && *rest.data != ';')) return fail(answer, YD_EFORMAT, "a bad chunk");
    if (size > answer->body_max - answer->body.size) return fail(answer, YD_ETOOBIG, "a body over the limit");
    answer->left = size;
    answer->phase = size ? CHUNK : TRAILERS;
    return 0;
}

static int take_line(struct yd_http_answer *answer, struct yd_str line)
{
    switch (answer->phase) {
    case HEAD:
        return take_head_line(answer, line);
    case CHUNK_SIZE:
        return take_chunk_size(answer, line);
    case CHUNK_END:
        if (line.size) return fail(answer, YD_EFORMAT, "a bad chunk");
        answer->phase = CHUNK_SIZE;
        return 0;
    default: /* TRAILERS: of no interest */
        if (line.size == 0) answer->phase = WHOLE;
        return 0;
    }
}

/* Gathers up to the line's end and takes the line. Bytes used, or an error. */
static int64_t gather(struct yd_http_answer *answer, struct yd_str bytes)
{
    const char *end = memchr(bytes.data, '\n', bytes.size);
    size_t size = end ? (size_t)(end - bytes.data) + 1 : bytes.size;
    if (answer->phase == CHUNK_SIZE && answer->head.size == 0) answer->lines = 0; /* each is bounded by itself */
    answer->lines += size;
    if (answer->lines > YD_HTTP_ANSWER_HEAD_MAX) return fail(answer, YD_ETOOBIG, "headers over the limit");
    yd_buf_add(&answer->head, bytes.data, size);
    if (answer->head.failed) return fail(answer, YD_ENOMEM, "out of memory");
    if (!end) return (int64_t)size;
    struct yd_str line = {answer->head.data, answer->head.size - 1};
    if (line.size && line.data[line.size - 1] == '\r') line.size--;
    int r = take_line(answer, line);
    yd_buf_clear(&answer->head);
    return r < 0 ? r : (int64_t)size;
}

/* ---- the body ---- */

static int64_t fill(struct yd_http_answer *answer, struct yd_str bytes)
{
    bool bounded = answer->phase != TO_END;
    size_t size = bounded ? (size_t)YD_MIN((uint64_t)bytes.size, answer->left) : bytes.size;
    if (size > answer->body_max - answer->body.size) return fail(answer, YD_ETOOBIG, "a body over the limit");
    yd_buf_add(&answer->body, bytes.data, size);
    if (answer->body.failed) return fail(answer, YD_ENOMEM, "out of memory");
    if (!bounded) return (int64_t)size;
    answer->left -= size;
    if (answer->left == 0) answer->phase = answer->phase == CHUNK ? CHUNK_END : WHOLE;
    return (int64_t)size;
}

int yd_http_answer_take(struct yd_http_answer *answer, struct yd_str bytes)
{
    while (bytes.size && answer->phase != WHOLE) {
        bool body = answer->phase == BODY || answer->phase == CHUNK || answer->phase == TO_END;
        int64_t used = body ? fill(answer, bytes) : gather(answer, bytes);
        if (used < 0) return (int)used;
        bytes.data += used;
        bytes.size -= (size_t)used;
    }
    return answer->phase == WHOLE;
}

int yd_http_answer_ended(struct yd_http_answer *answer)
{
    if (answer->phase == TO_END) answer->phase = WHOLE;
    if (answer->phase == WHOLE) return 1;
    return fail(answer, YD_EFORMAT, answer->status ? "an answer that was cut short" : "no answer");
}
