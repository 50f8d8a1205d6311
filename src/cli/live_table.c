/* cli/live_table.c: current values as a table that redraws on a terminal.
 *
 *   update: newest of each that changed ─▶ row: value as text, rate, the last 16 for the trend ─▶ draw: one write
 *
 *   NAME                    VALUE      AGE    RATE/s  STATE        TREND
 *   engine.temperature        512     0.1s      50.0  RED HIGH     ▂▃▃▅▆▇▇█
 *
 * What does not fit the terminal's height is said. A value costs nothing between two pictures. */
#include "cli/live_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "io/loop.h"

#define TREND     16
#define VALUE_MAX 24
#define HEAD      2 /* lines above the rows */

struct row {
    const char *name;
    struct yd_live_value value;
    char text[VALUE_MAX * 4 + 1];
    double trend[TREND]; /* the newest last */
    unsigned trend_count;
    uint64_t rate_seq;
    int64_t rate_at;
    double rate;
    bool has;
};

struct live_table {
    struct row *rows;
    size_t count, capacity;
    uint64_t generation;
    char *room;
    int64_t gone_since; /* 0: the writer is there */
    bool colour, utf8, shown;
};

int live_table_create(bool colour, struct live_table **ret_table)
{
    struct live_table *table = calloc(1, sizeof *table);
    if (!table) return YD_ENOMEM;
    const char *locale = getenv("LC_ALL");
    if (!locale || !*locale) locale = getenv("LC_CTYPE");
    if (!locale || !*locale) locale = getenv("LANG");
    table->utf8 = locale && (strstr(locale, "UTF-8") || strstr(locale, "utf8"));
    table->colour = colour;
    table->room = malloc(CLI_LIVE_ROOM);
    if (!table->room) {
        free(table);
        return YD_ENOMEM;
    }
    *ret_table = table;
    return 0;
}

void live_table_destroy(struct live_table *table)
{
    if (!table) return;
    if (table->shown) {
        printf("\x1b[?25h\x1b[?1049l"); /* the cursor, and what was there before */
        fflush(stdout);
    }
    free(table->rows);
    free(table->room);
    free(table);
}

/* ---- what is known of a measurement ---- */

static void note_trend(struct row *row)
{
    union yd_value bits = {.bits = row->value.bits};
    double number;
    if (!yd_value_number((enum yd_type)row->value.type, bits, &number) || number - number != 0) return;
    if (row->trend_count == TREND)
        memmove(row->trend, row->trend + 1, (TREND - 1) * sizeof row->trend[0]);
    else
        row->trend_count++;
    row->trend[row->trend_count - 1] = number;
}

static void note_rate(struct row *row, int64_t now)
{
    uint64_t passed = row->value.seq - row->rate_seq;
    int64_t took = now - row->rate_at;
    if (row->rate_at == 0 || row->value.seq < row->rate_seq) {
        row->rate = 0;
    } else if (took < YD_NS_PER_S) {
        return;
    } else {
        row->rate = (double)passed * 1e9 / (double)took;
    }
    row->rate_seq = row->value.seq;
    row->rate_at = now;
}

static int note(struct row *row, const struct cli_live_value *value)
{
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    cli_live_text(&text, value);
    size_t size = YD_MIN(text.size, sizeof row->text - 1);
    while (size && size < text.size && (text.data[size] & 0xc0) == 0x80) size--; /* not within a character */
    if (size) memcpy(row->text, text.data, size);
    row->text[size] = '\0';
    row->value = value->value;
    row->has = true;
    bool failed = text.failed;
    yd_buf_fini(&text);
    note_trend(row);
    return failed ? YD_ENOMEM : 0;
}

int live_table_update(struct live_table *table, struct yd_live *live, struct yd_live_set *set, bool *ret_changed)
{
    struct yd_live_item *const *items;
    size_t count = yd_live_set_items(set, &items);
    int64_t now = yd_clock_mono();
    *ret_changed = count != table->count;
    if (count > table->capacity) {
        size_t capacity = YD_MAX(count, table->capacity * 2);
        struct row *rows = realloc(table->rows, capacity * sizeof *rows);
        if (!rows) return YD_ENOMEM;
        table->rows = rows;
        table->capacity = capacity;
    }
    for (; table->count < count; table->count++)
        table->rows[table->count] = (struct row){.name = yd_live_name(items[table->count])};
    if (table->generation != yd_live_generation(live)) {
        table->generation = yd_live_generation(live);
        for (size_t i = 0; i < count; i++) table->rows[i].rate_at = 0;
        *ret_changed = true;
    }
    for (size_t i = 0; i < count; i++) {
        struct cli_live_value value;
        int got = cli_live_take(live, items[i], false, table->room, &value);
        if (got == 1) {
            *ret_changed = true;
            got = note(&table->rows[i], &value);
            if (got < 0) return got;
        }
        if (table->rows[i].has) note_rate(&table->rows[i], now);
    }
    if (yd_live_attached(live) && table->count)
        table->gone_since = 0;
    else if (!yd_live_attached(live) && !table->gone_since)
        table->gone_since = now;
    return 0;
}

/* ---- the picture ---- */

/* Exactly `width` characters of it: filled up on that side, or cut. */
static void put_cell(struct yd_buf *to, const char *text, size_t width, bool right)
{
    size_t count = 0, size = 0, bytes = strlen(text);
    while (size < bytes && count < width) {
        do size++;
        while (size < bytes && (text[size] & 0xc0) == 0x80);
        count++;
    }
    if (right) yd_buf_printf(to, "%*s", (int)(width - count), "");
    yd_buf_add(to, text, size);
    if (!right) yd_buf_printf(to, "%*s", (int)(width - count), "");
}

static void put_trend(const struct live_table *table, struct yd_buf *to, const struct row *row)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {"_", ".", "-", "~", "=", "+", "*", "#"};
    double low = 0, high = 0;
    for (unsigned i = 0; i < row->trend_count; i++) {
        low = i == 0 || row->trend[i] < low ? row->trend[i] : low;
        high = i == 0 || row->trend[i] > high ? row->trend[i] : high;
    }
    double span = high - low;
    for (unsigned i = 0; i < row->trend_count; i++) {
        /* Halves: the span of the largest doubles does not fit a double. */
        double share = span > 0 ? (row->trend[i] / 2 - low / 2) / (high / 2 - low / 2) : 0.5;
        unsigned step = share >= 1 ? 7 : share > 0 ? (unsigned)(share * 8) : 0;
        yd_buf_cstr(to, table->utf8 ? blocks[step] : plain[step]);
    }
}

struct columns {
    size_t lines, name, value;
    bool state, trend;
};

static struct columns columns_of(const struct live_table *table)
{
    struct winsize size = {0};
    struct columns columns = {.lines = 24, .name = 4, .value = VALUE_MAX};
    size_t wide = 80, rest = 7 + 2 + 9 + 2 + 11 + 2 + TREND + 2;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
        columns.lines = size.ws_row;
        wide = size.ws_col;
    }
    for (size_t i = 0; i < table->count; i++) columns.name = YD_MAX(columns.name, strlen(table->rows[i].name));
    columns.state = columns.trend = true;
    columns.name = YD_MIN(columns.name, (size_t)80);
    if (columns.name + columns.value + 2 + rest > wide) columns.value = 14;
    if (YD_MIN(columns.name, (size_t)20) + columns.value + 2 + rest > wide) {
        columns.trend = false;
        rest -= TREND + 2;
    }
    if (YD_MIN(columns.name, (size_t)20) + columns.value + 2 + rest > wide) {
        columns.state = false;
        rest -= 11 + 2;
    }
    size_t left = wide > columns.value + 2 + rest ? wide - columns.value - 2 - rest : 8;
    columns.name = YD_MIN(columns.name, left);
    return columns;
}

static void put_head(const struct live_table *table, struct yd_buf *to, struct yd_live *live, const char *pattern,
                     size_t hidden)
{
    struct yd_live_about about;
    char since[24];
    bool known = yd_live_about(live, &about) == 0;
    if (table->gone_since) {
        since[cli_live_age(since, sizeof since, yd_clock_mono() - table->gone_since)] = '\0';
        yd_buf_printf(to, "%s%s %s: %s%s", table->colour ? "\x1b[1;31m" : "",
                      known ? "the writer is gone for" : "nobody is there for", since,
                      known ? "values as they were, waiting for it" : "waiting", table->colour ? "\x1b[0m" : "");
    } else if (known) {
        yd_buf_printf(to, "%zu measurements%s%s, generation %llu, writer %lld", table->count, pattern ? " of " : "",
                      pattern ? pattern : "", (unsigned long long)about.generation, (long long)about.writer_pid);
    }
    if (hidden) yd_buf_printf(to, "; %zu do not fit", hidden);
    yd_buf_cstr(to, "\x1b[K\r\n");
}

static void put_row(const struct live_table *table, struct yd_buf *to, const struct row *row,
                    const struct columns *columns, int64_t wall)
{
    char age[24] = "", rate[24] = "";
    const char *colour = table->colour && row->has ? cli_live_colour(row->value.flags) : "";
    if (row->has) {
        age[cli_live_age(age, sizeof age, wall - row->value.time_ns)] = '\0';
        (void)snprintf(rate, sizeof rate, row->rate < 1000000 ? "%.1f" : "%.2e", row->rate);
    }
    put_cell(to, row->name, columns->name, false);
    yd_buf_printf(to, "  %s", colour);
    put_cell(to, row->has ? row->text : "-", columns->value, true);
    if (*colour) yd_buf_cstr(to, "\x1b[0m");
    yd_buf_printf(to, "  %7s  %9s", age, rate);
    if (columns->state) {
        yd_buf_printf(to, "  %s", colour);
        put_cell(to, row->has ? cli_live_word(row->value.flags) : "", 11, false);
        if (*colour) yd_buf_cstr(to, "\x1b[0m");
    }
    if (columns->trend) {
        yd_buf_cstr(to, "  ");
        put_trend(table, to, row);
    }
    yd_buf_cstr(to, "\x1b[K");
}

void live_table_draw(struct live_table *table, struct yd_live *live, const char *pattern)
{
    struct columns columns = columns_of(table);
    size_t fits = columns.lines > HEAD ? columns.lines - HEAD : 1, shown = YD_MIN(fits, table->count);
    int64_t wall = yd_clock_wall();
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    if (!table->shown) yd_buf_cstr(&text, "\x1b[?1049h\x1b[?25l");
    table->shown = true;
    yd_buf_cstr(&text, "\x1b[H");
    put_head(table, &text, live, pattern, table->count - shown);
    put_cell(&text, "NAME", columns.name, false);
    yd_buf_cstr(&text, "  ");
    put_cell(&text, "VALUE", columns.value, true);
    yd_buf_printf(&text, "  %7s  %9s%s%s\x1b[K", "AGE", "RATE/s", columns.state ? "  STATE      " : "",
                  columns.trend ? "  TREND" : "");
    for (size_t i = 0; i < shown; i++) {
        yd_buf_cstr(&text, "\r\n");
        put_row(table, &text, &table->rows[i], &columns, wall);
    }
    yd_buf_cstr(&text, "\x1b[J");
    (void)fwrite(text.data, 1, text.size, stdout);
    fflush(stdout);
    yd_buf_fini(&text);
}
