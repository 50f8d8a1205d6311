/* Checks of what elements share: addresses, streams and files (7), shards (9), memory and disk (10). */
#include "flow/expand.h"

static const struct yd_param_class *param_of(const struct yd__node *node, const char *name)
{
    const struct yd_param_class *param = node->node.class->params;
    while (strcmp(param->name, name) != 0) param++;
    return param;
}

/* A default has no place: its element has. */
static struct yd_place place_of(const struct yd__node *node, size_t arg)
{
    return node->arg_places[arg].line ? node->arg_places[arg] : node->node.place;
}

/* ---- the same thing twice ---- */

struct claim {
    const struct yd__node *node;
    size_t arg;
    struct yd_str text; /* canonical */
    int64_t partition;  /* of streams: the only one that is written, or -1: all */
    uint32_t port;      /* of addresses */
    bool everywhere;    /* on all addresses of the machine */
    bool datagram;
};

/* host:port, [host]:port, :port, port. Anything else is compared as it stands. */
static void parse_address(struct claim *claim)
{
    struct yd_str text = claim->text;
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    uint64_t port = 0;
    if (yd_text_u64((struct yd_str){text.data + colon, text.size - colon}, &port) < 0 || port > 65535) {
        claim->port = UINT32_MAX;
        return;
    }
    claim->port = (uint32_t)port;
    struct yd_str host = {text.data, colon ? colon - 1 : 0};
    static const char *const all[] = {"", "*", "0.0.0.0", "::", "[::]"};
    for (size_t i = 0; i < YD_COUNT(all); i++) claim->everywhere |= yd_str_eq(host, yd_str_of(all[i]));
    claim->text = yd_str_eq(host, YD_STR("localhost")) ? YD_STR("127.0.0.1") : host;
}

static bool same_address(const struct claim *a, const struct claim *b)
{
    if (a->datagram != b->datagram || a->port != b->port || a->port == 0) return false;
    if (a->port != UINT32_MAX && (a->everywhere || b->everywhere)) return true;
    return yd_str_eq(a->text, b->text);
}

static bool same_stream(const struct claim *a, const struct claim *b)
{
    return yd_str_eq(a->text, b->text) && (a->partition < 0 || b->partition < 0 || a->partition == b->partition);
}

/* "./a//b" and "a/b" are one file. */
static struct yd_str canonical_path(struct yd__work *work, struct yd_str path)
{
    char *to = yd__get(work, path.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < path.size; i++) {
        bool start = i == 0 || path.data[i - 1] == '/';
        if (start && path.data[i] == '.' && (i + 1 == path.size || path.data[i + 1] == '/')) {
            i++;
            continue;
        }
        if (path.data[i] == '/' && i && path.data[i - 1] == '/') continue;
        to[size++] = path.data[i];
    }
    return (struct yd_str){to, size};
}

static void clash(struct yd__plan *plan, const struct claim *first, const struct claim *second, unsigned code)
{
    struct yd__work *work = plan->work;
    struct yd_str what = second->node->node.args.items[second->arg].text;
    const char *what_of = code == YD_Y_STREAM && first->partition >= 0 && second->partition >= 0
                              ? yd__printf(work, "partition %lld of the stream", (long long)second->partition)
                              : "the stream";
    const char *format = code == YD_Y_ADDRESS  ? "'%s' listens on %.*s, as '%s' does"
                         : code == YD_Y_STREAM ? yd__printf(work, "'%%s' writes %s \"%%.*s\", as '%%s' does", what_of)
                                               : "'%s' writes the file %.*s, as '%s' does";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    yd__report(work, code, place_of(second->node, second->arg), "", format, yd__shown(second->node), YD_STR_FMT(what),
               yd__shown(first->node));
#pragma GCC diagnostic pop
    struct yd_place here = place_of(second->node, second->arg), there = place_of(first->node, first->arg);
    if (here.file != there.file || here.line != there.line || here.column != there.column) {
        yd__note(work, there, "first here");
    } else { /* one text, expanded twice */
        yd__note_instance(plan, first->node);
        yd__note_instance(plan, second->node);
    }
    if (code == YD_Y_ADDRESS)
        yd__help(work, "give one of them another port");
    else if (code == YD_Y_STREAM)
        yd__help(work, "a stream has one writer: wire both into one element, or name the streams apart%s",
                 first->partition >= 0 && second->partition >= 0 ? ", or take another partition" : "");
    else
        yd__help(work, "wire both into one element, or give another path");
}

static void check_claims(struct yd__plan *plan, unsigned flags, unsigned code)
{
    struct yd__work *work = plan->work;
    struct claim *claims = NULL;
    uint32_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const struct yd__node *node = &plan->nodes[i];
        for (size_t arg = 0; arg < node->node.args.count && !node->scope->dry; arg++) {
            const struct yd_arg *value = &node->node.args.items[arg];
            const struct yd_param_class *param = param_of(node, value->name);
            if (!(param->flags & flags) || value->type != YD_PARAM_TEXT || value->text.size == 0) continue;
            struct claim claim = {
                .node = node, .arg = arg, .text = value->text, .datagram = param->flags & YD_PARAM_LISTENS_DATAGRAM};
            const struct yd_arg *partition = yd_args_find(&node->node.args, "partition");
            claim.partition = partition && partition->type == YD_PARAM_INT ? partition->i64 : -1;
            if (code == YD_Y_ADDRESS) parse_address(&claim);
            if (code == YD_Y_FILE_TWICE) claim.text = canonical_path(work, value->text);
            if (code == YD_Y_FILE_TWICE && yd_str_eq(claim.text, YD_STR("-")))
                continue; /* standard output is anyone's */
            for (uint32_t other = 0; other < count; other++) {
                bool same = code == YD_Y_ADDRESS  ? same_address(&claims[other], &claim)
                            : code == YD_Y_STREAM ? same_stream(&claims[other], &claim)
                                                  : yd_str_eq(claims[other].text, claim.text);
                if (!same) continue;
                clash(plan, &claims[other], &claim, code);
                break;
            }
            YD__ROOM(plan, claims, count, capacity);
            claims[count++] = claim;
        }
    }
}

/* ---- shards ---- */

static void check_shard(struct yd__plan *plan, const struct yd__node *node)
{
    struct yd__work *work = plan->work;
    const struct yd__pair *args = node->make->shard_args;
    static const char *const known[] = {"by", "min", "max", NULL};
    static const struct yd_param_class bounds[] = {{.name = "min", .type = YD_PARAM_INT, .min = 1, .max = 4096},
                                                   {.name = "max", .type = YD_PARAM_INT, .min = 1, .max = 4096}};
    yd__pairs_unknown(work, args, known, YD_Y_PARAMETER, "'shard' has no parameter", "parameters of 'shard'", NULL);
    const struct yd__pair *by = yd__pair_find(work, args, "by");
    if (!by) {
        yd__report(work, YD_Y_MISSING, node->make->shard_place, "", "'shard' needs the parameter 'by'");
        yd__help(work, "write shard(by: name, …)");
    } else if (by->value->type == YD__WORD && !yd_str_eq(by->value->text, YD_STR("name"))) {
        yd__report(work, YD_Y_SHARD_KEY, by->value->place, "", "there is no key '%.*s'", YD_STR_FMT(by->value->text));
        yd__help(work, "write by: name, or a tag in quotes: by: \"%.*s\"", YD_STR_FMT(by->value->text));
    } else if (by->value->type != YD__WORD && by->value->type != YD__BAD) {
        static const struct yd_param_class text = {.name = "by", .type = YD_PARAM_TEXT};
        struct yd_arg key;
        if (yd__typed(work, node->scope, by->value, &text, &key) && key.text.size == 0)
            yd__report(work, YD_Y_SHARD_KEY, by->value->place, "", "a tag's key is not empty");
    }
    int64_t counts[2] = {1, 1};
    const struct yd__pair *pairs[2];
    for (int i = 0; i < 2; i++) {
        struct yd_arg count;
        pairs[i] = yd__pair_find(work, args, bounds[i].name);
        if (!pairs[i]) continue;
        if (!yd__typed(work, node->scope, pairs[i]->value, &bounds[i], &count)) return;
        counts[i] = count.i64;
    }
    if (!pairs[1]) counts[1] = counts[0];
    if (counts[0] > counts[1]) {
        yd__report(work, YD_Y_SHARD_COUNT, pairs[0]->value->place, "", "'min' is above 'max': %lld and %lld",
                   (long long)counts[0], (long long)counts[1]);
        if (pairs[1]) yd__note(work, pairs[1]->value->place, "'max'");
        return;
    }
    const struct yd_element_class *class = node->node.class;
    if (counts[1] > counts[0] && !(class->save && class->load)) {
        yd__report(work, YD_Y_SHARD_STATE, node->make->class.place, "",
                   "'%s' cannot move its state to another instance", class->name);
        yd__note(work, pairs[1]->name.place, "so it cannot grow");
        yd__help(work, "give as many instances from the start: min: %lld, max: %lld", (long long)counts[1],
                 (long long)counts[1]);
    }
}

/* ---- memory and disk ---- */

#define QUEUE_DEFAULT (UINT64_C(8) << 20)

static const char *bytes(struct yd__work *work, double size)
{
    /* Rounded to three digits: "1.5GiB", not every byte. */
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < YD_COUNT(units)) size /= 1024, unit++;
    return yd__printf(work, "%.3g%s", size, units[unit]);
}

static void check_memory(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    double total = 0, largest = 0;
    struct yd_place place = {0};
    bool is_queue = false;
    if (!work->options->memory_available) return;
    for (uint32_t i = 0; i < plan->link_count; i++) {
        const struct yd_wire *wire = &plan->links[i].wire;
        if (wire->mode != YD_PUSH || plan->links[i].dry) continue;
        double size = (double)(wire->queue_bytes ? wire->queue_bytes : QUEUE_DEFAULT);
        total += size;
        if (size > largest) largest = size, place = wire->place, is_queue = true;
    }
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const struct yd__node *node = &plan->nodes[i];
        for (size_t arg = 0; arg < node->node.args.count && !node->scope->dry; arg++) {
            const struct yd_arg *value = &node->node.args.items[arg];
            if (!(param_of(node, value->name)->flags & YD_PARAM_MEMORY) || value->type != YD_PARAM_SIZE) continue;
            total += (double)value->i64;
            if ((double)value->i64 > largest)
                largest = (double)value->i64, place = place_of(node, arg), is_queue = false;
        }
    }
    if (total <= (double)work->options->memory_available) return;
    yd__report(work, YD_Y_MEMORY, place, yd__printf(work, "%s of it", bytes(work, largest)),
               "queues and caches may take %s of memory; there are %s", bytes(work, total),
               bytes(work, (double)work->options->memory_available));
    yd__help(work, is_queue ? "give the wires smaller queues: -[queue: 1MiB]->" : "give this one less");
}

static void check_disk(struct yd__plan *plan)
{
    struct yd__work *work = plan->work;
    double total = 0, largest = 0;
    struct yd_place place = {0};
    if (!work->options->disk_available) return;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const struct yd__node *node = &plan->nodes[i];
        for (size_t arg = 0; arg < node->node.args.count && !node->scope->dry; arg++) {
            const struct yd_arg *value = &node->node.args.items[arg];
            if (!(param_of(node, value->name)->flags & YD_PARAM_DISK) || value->type != YD_PARAM_SIZE) continue;
            total += (double)value->i64;
            if ((double)value->i64 > largest) largest = (double)value->i64, place = place_of(node, arg);
        }
    }
    if (total <= (double)work->options->disk_available) return;
    yd__report(work, YD_Y_DISK, place, yd__printf(work, "%s of it", bytes(work, largest)),
               "retention may take %s of disk; there are %s", bytes(work, total),
               bytes(work, (double)work->options->disk_available));
    yd__help(work, "keep less");
}

void yd__check_shared(struct yd__plan *plan)
{
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].make->is_shard) check_shard(plan, &plan->nodes[i]);
    check_claims(plan, YD_PARAM_LISTENS | YD_PARAM_LISTENS_DATAGRAM, YD_Y_ADDRESS);
    check_claims(plan, YD_PARAM_STREAM, YD_Y_STREAM);
    check_claims(plan, YD_PARAM_WRITES, YD_Y_FILE_TWICE);
    check_memory(plan);
    check_disk(plan);
}
