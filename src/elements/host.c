/* Host: this machine's processors, memory, disks and network, as records.
 *
 *   every so often (file thread): read /proc --> parse --> SAMPLE and DELTA records `cpu.user host=…,cpu=0` --> emit
 *
 * Counters of the kernel stay counters (DELTA, what they count since boot): rates are for whoever asks. Field meanings:
 * proc(5), Documentation/filesystems/proc.rst and Documentation/admin-guide/iostats.rst of the Linux kernel. */
#include <yarder/element.h>
#include <yarder/name.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "io/file.h"

enum { PORT_OUTPUT };
enum { REASON_SOURCE };
#define PROC_SIZE_MAX (1u << 20)

struct host_pump {
    struct yd_pump *pump;
    int64_t every_ns, next_ns, now_ns;
    char host[256]; /* escaped for names */
    bool cpu, memory, disks, network;
    unsigned said; /* one bit a file that could not be read */
    struct yd_builder *builder;
    struct yd_buf text; /* of the file at hand */
};

/* ---- records ---- */

static void emit_built(struct host_pump *host)
{
    struct yd_batch *batch;
    if (yd_builder_seal(host->builder, &batch) == 0) (void)yd_pump_emit(host->pump, PORT_OUTPUT, batch);
}

static void add(struct host_pump *host, enum yd_kind kind, enum yd_type type, union yd_value value, const char *metric,
                const char *key, struct yd_str tag)
{
    char raw[1024], name[YD_NAME_SIZE_MAX + 1], escaped[256];
    size_t size, escaped_size = tag.size <= 128 ? yd_name_escape(tag, escaped) : 0;
    uint32_t index;
    int raw_size =
        key ? snprintf(raw, sizeof raw, "%s host=%s,%s=%.*s", metric, host->host, key, (int)escaped_size, escaped)
            : snprintf(raw, sizeof raw, "%s host=%s", metric, host->host);
    int error = yd_name_canonical((struct yd_str){raw, (size_t)raw_size}, name, &size);
    for (int try = 0; try < 2 && error == 0; try++) {
        error = yd_builder_name(host->builder, (struct yd_str){name, size}, &index);
        if (error == 0) error = yd_builder_add(host->builder, host->now_ns, index, kind, type, 0, value);
        if (error != YD_EFULL || try) break;
        emit_built(host); /* a machine of very many devices */
        error = 0;
    }
    if (error < 0)
        yd_pump_count_rejected(host->pump, REASON_SOURCE, 1, (struct yd_str){raw, (size_t)raw_size}, YD_STR(""));
}

static void sample(struct host_pump *host, double value, const char *metric)
{
    add(host, YD_SAMPLE, YD_F64, (union yd_value){.f64 = value}, metric, NULL, YD_STR(""));
}

static void counter(struct host_pump *host, uint64_t value, const char *metric, const char *key, struct yd_str tag)
{
    add(host, YD_DELTA, YD_U64, (union yd_value){.u64 = value}, metric, key, tag);
}

/* ---- /proc ---- */

enum source { SOURCE_STAT, SOURCE_LOADAVG, SOURCE_MEMINFO, SOURCE_DISKSTATS, SOURCE_NET };
static const char *const paths[] = {[SOURCE_STAT] = "/proc/stat",
                                    [SOURCE_LOADAVG] = "/proc/loadavg",
                                    [SOURCE_MEMINFO] = "/proc/meminfo",
                                    [SOURCE_DISKSTATS] = "/proc/diskstats",
                                    [SOURCE_NET] = "/proc/net/dev"};

/* The whole file into `text`; what cannot be read is said once and empty. */
static void slurp(struct host_pump *host, enum source source)
{
    const char *path = paths[source];
    struct yd_file *file = NULL;
    size_t size = 0;
    yd_buf_clear(&host->text);
    int error = yd_fs_open(yd_pump_fs(host->pump), path, YD_OPEN_READ, &file);
    while (error == 0 && host->text.size < PROC_SIZE_MAX) {
        char *to = yd_buf_reserve(&host->text, 64u << 10);
        error = to ? yd_file_read(file, to, 64u << 10, host->text.size, &size) : YD_ENOMEM;
        if (error < 0 || size == 0) break;
        host->text.size += size;
    }
    yd_file_close(file);
    if (error == 0) return;
    yd_buf_clear(&host->text);
    if (!(host->said & 1u << source))
        yd_pump_say(host->pump, 1, "%s: %s; its figures are left out", path, yd_error_text(error));
    host->said |= 1u << source;
}

static struct yd_str next_line(struct yd_str *rest)
{
    const char *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
    struct yd_str line = {rest->data, end ? (size_t)(end - rest->data) : rest->size};
    rest->data += line.size + (end != NULL);
    rest->size -= line.size + (end != NULL);
    return line;
}

static struct yd_str next_word(struct yd_str *line)
{
    while (line->size && (*line->data == ' ' || *line->data == '\t')) line->data++, line->size--;
    struct yd_str word = {line->data, 0};
    while (word.size < line->size && line->data[word.size] != ' ' && line->data[word.size] != '\t') word.size++;
    line->data += word.size;
    line->size -= word.size;
    return word;
}

static uint64_t next_number(struct yd_str *line)
{
    uint64_t value = 0;
    (void)yd_text_u64(next_word(line), &value); /* a field that is missing or no number counts as 0 */
    return value;
}

static void read_cpu(struct host_pump *host)
{
    /* in ticks of USER_HZ since boot, by processor; said in milliseconds */
    static const char *const fields[] = {"cpu.user",   "cpu.nice", "cpu.system",  "cpu.idle",
                                         "cpu.iowait", "cpu.irq",  "cpu.softirq", "cpu.steal"};
    static const struct {
        const char *word, *metric;
    } others[] = {{"ctxt", "cpu.context_switches"}, {"intr", "cpu.interrupts"}, {"processes", "cpu.forks"}};
    long ticks = sysconf(_SC_CLK_TCK);
    slurp(host, SOURCE_STAT);
    struct yd_str rest = yd_buf_view(&host->text);
    while (rest.size) {
        struct yd_str line = next_line(&rest), word = next_word(&line);
        if (yd_str_starts(word, YD_STR("cpu")) && word.size > 3) {
            for (size_t i = 0; i < YD_COUNT(fields); i++)
                counter(host, next_number(&line) * 1000 / (uint64_t)(ticks > 0 ? ticks : 100), fields[i], "cpu",
                        (struct yd_str){word.data + 3, word.size - 3});
        }
        for (size_t i = 0; i < YD_COUNT(others); i++)
            if (yd_str_eq(word, yd_str_of(others[i].word)))
                counter(host, next_number(&line), others[i].metric, NULL, YD_STR(""));
    }
    slurp(host, SOURCE_LOADAVG);
    struct yd_str line = yd_buf_view(&host->text);
    static const char *const loads[] = {"load.1m", "load.5m", "load.15m"};
    for (size_t i = 0; i < YD_COUNT(loads); i++) {
        double value;
        if (yd_text_f64(next_word(&line), false, &value) == 0) sample(host, value, loads[i]);
    }
}

static void read_memory(struct host_pump *host)
{
    static const struct {
        const char *word, *metric;
    } fields[] = {{"MemTotal:", "memory.total"},  {"MemFree:", "memory.free"},  {"MemAvailable:", "memory.available"},
                  {"Buffers:", "memory.buffers"}, {"Cached:", "memory.cached"}, {"SwapTotal:", "swap.total"},
                  {"SwapFree:", "swap.free"},     {"Dirty:", "memory.dirty"},   {"Slab:", "memory.slab"}};
    slurp(host, SOURCE_MEMINFO);
    struct yd_str rest = yd_buf_view(&host->text);
    while (rest.size) {
        struct yd_str line = next_line(&rest), word = next_word(&line);
        for (size_t i = 0; i < YD_COUNT(fields); i++)
            if (yd_str_eq(word, yd_str_of(fields[i].word)))
                sample(host, (double)(next_number(&line) * 1024), fields[i].metric); /* the file is in KiB */
    }
}

static void read_disks(struct host_pump *host)
{
    slurp(host, SOURCE_DISKSTATS);
    struct yd_str rest = yd_buf_view(&host->text);
    while (rest.size) {
        struct yd_str line = next_line(&rest);
        (void)next_word(&line); /* major */
        (void)next_word(&line); /* minor */
        struct yd_str device = next_word(&line);
        if (device.size == 0 || yd_str_starts(device, YD_STR("ram")) || yd_str_starts(device, YD_STR("loop"))) continue;
        uint64_t reads = next_number(&line);
        (void)next_number(&line); /* merged */
        uint64_t read_sectors = next_number(&line), read_ms = next_number(&line), writes = next_number(&line);
        (void)next_number(&line); /* merged */
        uint64_t write_sectors = next_number(&line), write_ms = next_number(&line);
        (void)next_number(&line); /* in flight */
        uint64_t busy_ms = next_number(&line);
        counter(host, reads, "disk.reads", "device", device);
        counter(host, read_sectors * 512, "disk.read_bytes", "device", device); /* sectors are 512 bytes here, always */
        counter(host, read_ms, "disk.read_ms", "device", device);
        counter(host, writes, "disk.writes", "device", device);
        counter(host, write_sectors * 512, "disk.write_bytes", "device", device);
        counter(host, write_ms, "disk.write_ms", "device", device);
        counter(host, busy_ms, "disk.busy_ms", "device", device);
    }
    struct yd_space space;
    if (yd_fs_space(yd_pump_fs(host->pump), "/", &space) == 0) {
        add(host, YD_SAMPLE, YD_U64, (union yd_value){.u64 = space.total}, "filesystem.total", "path", YD_STR("/"));
        add(host, YD_SAMPLE, YD_U64, (union yd_value){.u64 = space.available}, "filesystem.available", "path",
            YD_STR("/"));
    }
}

static void read_network(struct host_pump *host)
{
    static const char *const fields[] = {
        "net.rx_bytes", "net.rx_packets", "net.rx_errors", "net.rx_dropped", NULL, NULL, NULL, NULL,
        "net.tx_bytes", "net.tx_packets", "net.tx_errors", "net.tx_dropped"};
    slurp(host, SOURCE_NET);
    struct yd_str rest = yd_buf_view(&host->text);
    while (rest.size) {
        struct yd_str line = next_line(&rest);
        const char *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
        if (!colon) continue; /* the two heading lines */
        struct yd_str device = {line.data, (size_t)(colon - line.data)};
        while (device.size && *device.data == ' ') device.data++, device.size--;
        line.size -= (size_t)(colon + 1 - line.data);
        line.data = colon + 1;
        for (size_t i = 0; i < YD_COUNT(fields); i++) {
            uint64_t value = next_number(&line);
            if (fields[i]) counter(host, value, fields[i], "device", device);
        }
    }
}

/* ---- the pump ---- */

static int start(struct yd_pump *pump, void *state, void *element_state)
{
    struct host_pump *host = state;
    const struct yd_args *args = yd_pump_args(pump);
    char name[128] = "localhost";
    (void)element_state;
    host->pump = pump;
    host->every_ns = yd_args_int(args, "every");
    host->cpu = yd_args_bool(args, "cpu");
    host->memory = yd_args_bool(args, "memory");
    host->disks = yd_args_bool(args, "disks");
    host->network = yd_args_bool(args, "network");
    struct yd_str given = yd_args_text(args, "host");
    if (given.size == 0 && gethostname(name, sizeof name - 1) == 0) given = yd_str_of(name);
    if (given.size > 120) return yd_pump_fail(pump, YD_ETOOBIG, "host: at most 120 bytes");
    host->host[yd_name_escape(given, host->host)] = 0;
    yd_buf_init(&host->text, NULL);
    return yd_builder_create(NULL, &host->builder);
}

static void stop(void *state)
{
    struct host_pump *host = state;
    yd_buf_fini(&host->text);
    yd_builder_destroy(host->builder);
    yd_pump_stopped(host->pump);
}

static void run(void *state)
{
    struct host_pump *host = state;
    int64_t now = yd_pump_mono(host->pump);
    if (now < host->next_ns) {
        yd_pump_sleep(host->pump, host->next_ns - now);
        return;
    }
    if (host->next_ns == 0) host->next_ns = now;
    host->next_ns = YD_MAX(host->next_ns + host->every_ns, now + host->every_ns / 2); /* late: no burst to catch up */
    host->now_ns = yd_pump_wall(host->pump);
    if (host->cpu) read_cpu(host);
    if (host->memory) read_memory(host);
    if (host->disks) read_disks(host);
    if (host->network) read_network(host);
    emit_built(host);
    yd_pump_sleep(host->pump, host->next_ns - now);
}

static const struct yd_pump_class pump_class = {
    .state_size = sizeof(struct host_pump),
    .files = true,
    .start = start,
    .stop = stop,
    .run = run,
};

static const struct yd_port_class ports[] = {
    [PORT_OUTPUT] = {.name = "output",
                     .direction = YD_OUT,
                     .mode = YD_PUSH,
                     .kinds = YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_DELTA),
                     .flags = YD_PORT_REQUIRED,
                     .doc = "SAMPLEs (gauges) and DELTAs (the kernel's counters since boot), tagged with the host."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "every", .type = YD_PARAM_DURATION, .initial = "10s", .min = 1e8, .max = 8.64e13, .doc = "How often."},
    {.name = "host", .type = YD_PARAM_TEXT, .doc = "The value of the `host` tag; without it the machine's name."},
    {.name = "cpu",
     .type = YD_PARAM_BOOL,
     .initial = "true",
     .doc =
         "`cpu.user cpu=N` and the like in milliseconds since boot, `load.1m`, context switches, interrupts, forks."},
    {.name = "memory", .type = YD_PARAM_BOOL, .initial = "true", .doc = "`memory.*` and `swap.*` in bytes."},
    {.name = "disks", .type = YD_PARAM_BOOL, .initial = "true", .doc = "`disk.* device=…` and `filesystem.*`."},
    {.name = "network", .type = YD_PARAM_BOOL, .initial = "true", .doc = "`net.* device=…`."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_SOURCE] = "cannot be named", NULL};

const struct yd_element_class yd_class_host = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_SOURCE,
    .name = "Host",
    .summary = "this machine's processors, memory, disks and network",
    .doc = "Reads /proc. Counters of the kernel stay counters: ask for a rate to see one.",
    .example = "host :: Host(every: 10s) -> metrics",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = 1,
    .pump = &pump_class,
};
