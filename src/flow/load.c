/* From a path to a checked topology. Reads files (each once), parses them, expands, checks everything, and only then
 * decides: no error, a topology; else all of them, by place. Nothing is opened but the files, nothing is made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "flow/expand.h"

struct including {    /* the way to the file at hand, for rings */
    const char *path; /* what it is known by: without "." and ".." */
    const char *real; /* what is opened: `..` behind a link is the system's business */
    struct including *by;
    uint32_t depth;
};

/* ---- reading ---- */

static int read_stream(FILE *file, char **ret_text, size_t *ret_size)
{
    size_t size = 0, capacity = 4096;
    char *text = malloc(capacity);
    while (text) {
        size += fread(text + size, 1, capacity - size, file);
        if (size < capacity) break;
        if (size > YD_FLOW_FILE_SIZE_MAX) break; /* said by who asked */
        char *larger = realloc(text, capacity *= 2);
        if (!larger) free(text);
        text = larger;
    }
    if (!text) return YD_ENOMEM;
    if (ferror(file)) {
        free(text);
        return YD_EIO;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* "-" is standard input. */
static int read_default(const char *path, char **ret_text, size_t *ret_size)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (!file) return yd_error_from_errno(errno);
    int r = read_stream(file, ret_text, ret_size);
    if (!standard) (void)fclose(file); /* only read */
    return r;
}

/* The text in the scratch arena, so that only arenas hold memory when something jumps. */
static int read_file(struct yd__work *work, const char *path, struct yd_str *ret)
{
    const struct yd_load_options *options = work->options;
    char *text = NULL;
    size_t size = 0;
    int r =
        options->read_file ? options->read_file(options->arg, path, &text, &size) : read_default(path, &text, &size);
    if (r < 0) return r;
    if (size > YD_FLOW_FILE_SIZE_MAX) {
        free(text);
        return YD_ETOOBIG;
    }
    char *copy = yd_arena_get(&work->arena, size + 1);
    if (copy && size) memcpy(copy, text, size);
    free(text);
    if (!copy) longjmp(work->out_of_memory, 1);
    copy[size] = 0;
    *ret = (struct yd_str){copy, size};
    return 0;
}

/* Opening a pipe or a device could wait, or do something. */
int yd__read_beside(struct yd__work *work, const char *path, struct yd_str *ret)
{
    struct stat stat_of;
    if (!work->options->read_file && (stat(path, &stat_of) < 0 || !S_ISREG(stat_of.st_mode))) return YD_ENOENT;
    return read_file(work, path, ret);
}

/* Relative to the folder of `by`. */
static char *joined_path(struct yd__work *work, const char *by, struct yd_str path)
{
    const char *slash = by && path.size && path.data[0] != '/' ? strrchr(by, '/') : NULL;
    return slash ? yd__printf(work, "%.*s/%.*s", (int)(slash - by), by, YD_STR_FMT(path))
                 : yd__printf(work, "%.*s", YD_STR_FMT(path));
}

/* "conf/../site/./a.yd" is "site/a.yd": as text, so that nothing is touched. */
static char *normal_path(struct yd__work *work, const char *joined)
{
    bool absolute = joined[0] == '/';
    size_t size = strlen(joined), kept = 0;
    struct yd_str *parts = yd__get(work, (size + 1) * sizeof *parts);
    for (size_t at = 0; at < size;) {
        struct yd_str part = {joined + at, strcspn(joined + at, "/")};
        at += part.size + 1;
        if (part.size == 0 || yd_str_eq(part, YD_STR("."))) continue;
        bool up = yd_str_eq(part, YD_STR(".."));
        if (up && kept && !yd_str_eq(parts[kept - 1], YD_STR("..")))
            kept--;
        else if (!up || !absolute)
            parts[kept++] = part;
    }
    const char *result = absolute ? "/" : "";
    for (size_t i = 0; i < kept; i++) result = yd__printf(work, "%s%s%.*s", result, i ? "/" : "", YD_STR_FMT(parts[i]));
    return yd__printf(work, "%s", result);
}

/* ---- gathering ---- */

static void gather(struct yd__work *work, struct yd__map *done, struct including *by, const char *real,
                   const struct yd__value *asked);

static void include(struct yd__work *work, struct yd__map *done, struct including *by, const struct yd__value *value)
{
    if (value->type == YD__BAD) return;
    if (value->text.size == 0 || memchr(value->text.data, 0, value->text.size)) {
        yd__report(work, YD_Y_FILE, value->place, "", "this is no path");
        return;
    }
    const char *real = joined_path(work, by->real, value->text), *path = normal_path(work, real);
    for (const struct including *at = by; at; at = at->by) {
        if (strcmp(at->path, path) != 0) continue;
        yd__report(work, YD_Y_INCLUDE_RING, value->place, "",
                   at == by ? "'%s' includes itself" : "'%s' includes itself, by way of this file", path);
        yd__help(work, "put what both need into a third file, and include that");
        return;
    }
    if (by->depth == YD_FLOW_INCLUDE_MAX) {
        yd__report(work, YD_Y_INCLUDE_DEPTH, value->place, "", "includes are nested more than %d deep",
                   YD_FLOW_INCLUDE_MAX);
        work->names_lost = true;
        return;
    }
    gather(work, done, by, real, value);
}

static void gather(struct yd__work *work, struct yd__map *done, struct including *by, const char *real,
                   const struct yd__value *asked)
{
    const char *path = normal_path(work, real);
    if (yd__map_add(work, done, yd_str_of(path), work)) return; /* each file once */
    struct yd_place place = asked ? asked->place : (struct yd_place){.file = (uint32_t)work->diagnostics->source_count};
    if (work->diagnostics->source_count == YD_FLOW_FILES_MAX) {
        yd__report(work, YD_Y_LIMIT, place, "", "there are more than %d files", YD_FLOW_FILES_MAX);
        work->names_lost = true;
        return;
    }
    struct yd_str text = {"", 0};
    int r = read_file(work, real, &text);
    if (r < 0) {
        work->names_lost = true;
        if (!asked) (void)yd__source_add(work, path, YD_STR(""));
        if (r == YD_ENOMEM) longjmp(work->out_of_memory, 1);
        if (r == YD_ETOOBIG)
            yd__report(work, YD_Y_FILE_SIZE, place, "", "'%s' is larger than 1MiB", path);
        else
            yd__report(work, YD_Y_FILE, place, "", "cannot read '%s': %s", path, yd_error_text(r));
        if (asked && r == YD_ENOENT) yd__help(work, "the path is relative to the file that includes it");
        return;
    }
    struct yd__parse parse;
    uint32_t file = yd__source_add(work, path, text);
    yd__parse_file(&parse, work, file, text);
    struct including here = {path, real, by, by ? by->depth + 1 : 0};
    for (const struct yd__item *item = parse.items; item; item = item->next) {
        switch (item->type) {
        case YD__INCLUDE:
            include(work, done, &here, item->include);
            break;
        case YD__PARAM:
            *work->params_end = item->param;
            work->params_end = &item->param->next;
            break;
        case YD__COMPOUND:
            *work->compounds_end = item->compound;
            work->compounds_end = &item->compound->next;
            break;
        case YD__STATEMENT:
            if (work->body.last)
                work->body.last->next = item->statement;
            else
                work->body.statements = item->statement;
            work->body.last = item->statement;
            break;
        case YD__TEST:
            *work->tests_end = item->test;
            work->tests_end = &item->test->next;
            work->test_count++;
            break;
        }
    }
}

/* ---- the topology ---- */

static void finish(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    struct yd_topology *topology = work->topology;
    /* Dry nodes are gone: numbers move down. */
    uint32_t *now = yd__get(work, (plan->node_count + 1) * sizeof *now);
    topology->nodes = yd__keep(work, (plan->node_count + 1) * sizeof *topology->nodes);
    topology->wires = yd__keep(work, (plan->link_count + 1) * sizeof *topology->wires);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i].scope->dry) continue;
        now[i] = (uint32_t)topology->node_count;
        topology->nodes[topology->node_count++] = plan->nodes[i].node;
    }
    for (uint32_t i = 0; i < plan->link_count; i++) {
        if (plan->links[i].dry) continue;
        struct yd_wire *wire = &topology->wires[topology->wire_count++];
        *wire = plan->links[i].wire;
        wire->from = now[wire->from];
        wire->to = now[wire->to];
    }
    for (size_t i = 0; i < topology->test_count; i++)
        for (size_t j = 0; j < topology->tests[i].step_count; j++) {
            struct yd_step *step = (struct yd_step *)&topology->tests[i].steps[j]; /* ours, const for its readers */
            if (step->type != YD_STEP_ADVANCE && plan->node_count) step->node = now[step->node];
        }
    topology->file_count = work->diagnostics->source_count;
    topology->files = yd__keep(work, (topology->file_count + 1) * sizeof *topology->files);
    for (size_t i = 0; i < topology->file_count; i++)
        topology->files[i] = yd__keep_str(work, yd_str_of(work->diagnostics->sources[i].path)).data;
}

static void load(struct yd__work *work, const char *path)
{
    struct yd__map done = {0};
    gather(work, &done, NULL, path, NULL);
    struct yd__plan *plan = yd__get(work, sizeof *plan);
    plan->work = work;
    yd__expand(plan);
    if (!plan->stopped) yd__wire_through(plan);
    if (!plan->stopped) {
        yd__check_wires(plan);
        yd__check_graph(plan);
        yd__check_shared(plan);
        yd__check_tests(plan);
    }
    if (work->diagnostics->errors == 0) finish(plan);
}

void yd_topology_destroy(struct yd_topology *topology)
{
    if (!topology) return;
    struct yd_alloc *alloc = topology->arena.alloc;
    yd_arena_fini(&topology->arena);
    yd_alloc_put(alloc, topology, sizeof *topology);
}

int yd_topology_load(const char *path, const struct yd_load_options *options, struct yd_topology **ret_topology,
                     struct yd_diagnostics *diagnostics)
{
    struct yd__work *work = yd_alloc_zero(options->alloc, sizeof *work);
    if (!work) return YD_ENOMEM;
    yd_arena_init(&work->arena, options->alloc);
    work->topology = yd_alloc_zero(options->alloc, sizeof *work->topology);
    int r = YD_ENOMEM;
    if (work->topology) {
        yd_arena_init(&work->topology->arena, options->alloc);
        work->diagnostics = diagnostics;
        work->options = options;
        work->params_end = &work->params;
        work->compounds_end = &work->compounds;
        work->tests_end = &work->tests;
        if (setjmp(work->out_of_memory) == 0) {
            load(work, path);
            yd__diagnostics_sort(work);
            r = diagnostics->errors || work->too_many ? YD_EFORMAT : 0;
        }
    }
    if (r == 0)
        *ret_topology = work->topology;
    else
        yd_topology_destroy(work->topology);
    yd_arena_fini(&work->arena);
    yd_alloc_put(options->alloc, work, sizeof *work);
    return r;
}
