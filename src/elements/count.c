/* Count: how many records there were, in all or by a name, a tag or a ROW's cell.
 *
 *   records --> key of each --> interned key --> counter      at END: TALLY records; every so often: DELTAs
 *
 * Its state (keys and counters) is saved and loaded, so that after a crash nothing is counted twice or not at all. */
#include <yarder/element.h>
#include <yarder/name.h>

#include "base/hash.h"
#include "base/text.h"
#include "batch/record_text.h"
#include "elements/own_name.h"

enum { PORT_INPUT, PORT_OUTPUT };
enum { TIMER_REPORT = 1 };
enum { REASON_KEYS, REASON_NAME };

struct count {
    struct yd_str by, metric;
    bool by_name, by_tag, resets;
    int64_t every_ns, next_ns;
    struct yd_intern keys;
    struct yd_buf totals; /* uint64_t by key */
    struct yd_buf key;
    struct yd_builder *builder;
    uint32_t reported; /* how many keys are out, of a report that takes several turns */
    bool drains;
};

static uint64_t *totals_of(struct count *count)
{
    return (uint64_t *)(void *)count->totals.data;
}

/* The key of a record: the name, a tag's value, a cell's text, or nothing. */
static struct yd_str key_of(struct count *count, const struct yd_view *view, const struct yd_record *record)
{
    struct yd_str none = YD_STR("");
    if (count->by.size == 0) return none;
    struct yd_str name = yd_view_name(view, record->name);
    if (count->by_name) return name;
    if (count->by_tag) {
        struct yd_name parts;
        if (yd_name_parse(name, &parts, NULL) < 0) return none;
        for (uint32_t i = 0; i < parts.tag_count; i++)
            if (yd_str_eq(parts.tags[i].key, (struct yd_str){count->by.data + 4, count->by.size - 4}))
                return parts.tags[i].value;
        return none;
    }
    if (record->type != YD_MAP) return none;
    const struct yd_cell *cell = yd_view_find(view, record->value, count->by);
    if (!cell) return none;
    yd_buf_clear(&count->key);
    yd_value_text(view, cell->type, cell->value, &count->key);
    return yd_buf_view(&count->key);
}

static int open_count(struct yd_element *element, void *state)
{
    struct count *count = state;
    const struct yd_args *args = yd_element_args(element);
    count->by = yd_args_text(args, "by");
    count->by_name = yd_str_eq(count->by, YD_STR("name"));
    count->by_tag = yd_str_starts(count->by, YD_STR("tag.")) && count->by.size > 4;
    count->metric = yd_args_text(args, "metric");
    count->every_ns = yd_args_int(args, "every");
    count->resets = yd_args_bool(args, "reset");
    yd_intern_init(&count->keys, NULL, (uint32_t)yd_args_int(args, "keys_max"));
    yd_buf_init(&count->totals, NULL);
    yd_buf_init(&count->key, NULL);
    return yd_builder_create(NULL, &count->builder);
}

static void close_count(void *state)
{
    struct count *count = state;
    yd_intern_fini(&count->keys);
    yd_buf_fini(&count->totals);
    yd_buf_fini(&count->key);
    yd_builder_destroy(count->builder);
}

/* `count extension=c`: the metric and, when counting by something, the key as a tag named after it. `to` has
 * YD_NAME_SIZE_MAX bytes. YD_ENOMEM; otherwise: no name can hold it. */
static int name_of(struct count *count, struct yd_str key, char *to, size_t *ret_size)
{
    struct yd_str tag = count->by;
    if (count->by_tag) tag = (struct yd_str){tag.data + 4, tag.size - 4};
    if (tag.size == 0) {
        memcpy(to, count->metric.data, count->metric.size);
        *ret_size = count->metric.size;
        return 0;
    }
    struct yd_buf text;
    if (count->metric.size + tag.size + key.size > YD_NAME_SIZE_MAX) return YD_ETOOBIG;
    yd_buf_init(&text, NULL);
    yd_buf_str(&text, count->metric);
    yd_buf_char(&text, ' ');
    char *at = yd_buf_reserve(&text, 2 * (tag.size + key.size) + 1);
    if (at) {
        size_t size = yd_name_escape(tag, at);
        at[size++] = '=';
        if (count->by_tag) { /* a tag's value comes escaped */
            memcpy(at + size, key.data, key.size);
            size += key.size;
        } else {
            size += yd_name_escape(key, at + size);
        }
        text.size += size;
    }
    int error = text.failed ? YD_ENOMEM : yd_name_canonical(yd_buf_view(&text), to, ret_size);
    yd_buf_fini(&text);
    return error;
}

/* YD_EFULL: no more keys; YD_EFORMAT: no name can hold this one, so it could never be said. */
static int add(struct count *count, struct yd_str key, uint64_t records)
{
    char name[YD_NAME_SIZE_MAX];
    size_t size;
    uint32_t id = yd_intern_find(&count->keys, key);
    if (id == YD_INTERN_NONE) {
        const uint64_t zero = 0;
        int error = name_of(count, key, name, &size);
        if (error < 0) return error == YD_ENOMEM ? error : YD_EFORMAT;
        error = yd_intern_add(&count->keys, key, &id);
        if (error < 0) return error;
        yd_buf_add(&count->totals, &zero, sizeof zero);
        if (count->totals.failed) return YD_ENOMEM;
    }
    totals_of(count)[id] += records;
    return 0;
}

static int emit_built(struct count *count, struct yd_out *out)
{
    struct yd_batch *batch;
    int error = yd_builder_seal(count->builder, &batch);
    if (error == YD_EAGAIN) return 0;
    return error < 0 ? error : yd_emit(out, PORT_OUTPUT, batch);
}

/* Says the counters from `reported` on; 1 when there are more to say in a further turn. */
static int report(struct count *count, int64_t now_ns, struct yd_out *out)
{
    /* A count that is told again and again, and grows, is what a Window makes a rate of; not one to be summed up. */
    const enum yd_kind kind = count->every_ns && !count->resets ? YD_DELTA : YD_TALLY;
    char name[YD_NAME_SIZE_MAX + 1];
    for (; count->reported < count->keys.count; count->reported++) {
        uint64_t *total = &totals_of(count)[count->reported];
        size_t size;
        uint32_t index;
        int error = name_of(count, count->keys.strings[count->reported], name, &size);
        if (error == 0) error = yd_builder_name(count->builder, (struct yd_str){name, size}, &index);
        if (error == 0)
            error = yd_builder_add(count->builder, now_ns, index, kind, YD_U64, 0, (union yd_value){.u64 = *total});
        if (error == YD_EFULL) {
            error = emit_built(count, out);
            return error < 0 ? error : 1;
        }
        if (error < 0) return error;
        if (count->resets) *total = 0;
    }
    count->reported = 0;
    return emit_built(count, out);
}

static enum yd_turn_result receive(void *state, struct yd_input *input, struct yd_out *out)
{
    struct count *count = state;
    if (input->type == YD_INPUT_START && count->every_ns) {
        count->next_ns = input->mono_ns + count->every_ns;
        yd_timer_at(out, TIMER_REPORT, count->next_ns);
    }
    if (input->type == YD_INPUT_TIMER) {
        if (count->drains) return YD_DONE; /* the last report has begun */
        int more = report(count, input->wall_ns, out);
        if (more) return more < 0 ? YD_FAIL : YD_MORE;
        count->next_ns += count->every_ns;
        if (count->next_ns <= input->mono_ns) count->next_ns = input->mono_ns + count->every_ns; /* late: no burst */
        yd_timer_at(out, TIMER_REPORT, count->next_ns);
        return YD_DONE;
    }
    if (input->type != YD_INPUT_BATCH) return YD_DONE;
    const struct yd_view *view = &input->batch->view;
    if (count->by.size == 0) return add(count, YD_STR(""), view->count) < 0 ? YD_FAIL : YD_DONE;
    for (uint32_t i = 0; i < view->count; i++) {
        struct yd_str key = key_of(count, view, &view->records[i]);
        int error = add(count, key, 1);
        if (error == YD_ENOMEM) return YD_FAIL;
        if (error < 0) yd_count_rejected(out, error == YD_EFULL ? REASON_KEYS : REASON_NAME, 1, key);
    }
    return YD_DONE;
}

static enum yd_turn_result drain(void *state, struct yd_out *out)
{
    struct count *count = state;
    if (!count->drains) count->reported = 0; /* a report of the timer may be half out: this one is whole */
    count->drains = true;
    int more = report(count, yd_now_wall(out), out);
    return more < 0 ? YD_FAIL : more ? YD_MORE : YD_DONE;
}

/* All keys are one group until counters are spread over shards. What it is counted by: {size u32, text}, then
 * {total u64, size u32, key} each. */
static void save_text(struct yd_saver *saver, struct yd_str text)
{
    uint32_t size = (uint32_t)text.size;
    yd_save_bytes(saver, &size, sizeof size);
    yd_save_bytes(saver, text.data, size);
}

static int save(const void *state, uint32_t key_group, struct yd_saver *saver)
{
    const struct count *count = state;
    if (key_group != 0) return 0;
    save_text(saver, count->by);
    for (uint32_t i = 0; i < count->keys.count; i++) {
        yd_save_bytes(saver, count->totals.data + i * sizeof(uint64_t), sizeof(uint64_t));
        save_text(saver, count->keys.strings[i]);
    }
    return 0;
}

static bool load_bytes(struct yd_str *saved, void *to, size_t size)
{
    if (saved->size < size) return false;
    memcpy(to, saved->data, size);
    saved->data += size;
    saved->size -= size;
    return true;
}

static bool load_text(struct yd_str *saved, struct yd_str *ret)
{
    uint32_t size;
    if (!load_bytes(saved, &size, sizeof size) || size > saved->size) return false;
    *ret = (struct yd_str){saved->data, size};
    saved->data += size;
    saved->size -= size;
    return true;
}

static int load(void *state, uint32_t key_group, struct yd_str saved)
{
    struct count *count = state;
    struct yd_str by, key;
    (void)key_group;
    if (!load_text(&saved, &by)) return YD_EFORMAT;
    if (!yd_str_eq(by, count->by)) return YD_EINVAL; /* these keys mean something else */
    while (saved.size > 0) {
        uint64_t total;
        if (!load_bytes(&saved, &total, sizeof total) || !load_text(&saved, &key)) return YD_EFORMAT;
        int error = add(count, key, total);
        if (error < 0) return error;
    }
    return 0;
}

static int check(const struct yd_args *args, char *why, size_t why_size)
{
    int error = yd_own_name_check(args, "metric", why, why_size);
    if (error < 0) return error;
    struct yd_name name;
    (void)yd_name_parse(yd_args_text(args, "metric"), &name, NULL); /* it is one */
    if (name.tag_count) {
        snprintf(why, why_size, "metric: a metric alone, its tag is what is counted by");
        return YD_EINVAL;
    }
    if (yd_str_eq(yd_args_text(args, "by"), YD_STR("tag."))) {
        snprintf(why, why_size, "by: tag. of which key?");
        return YD_EINVAL;
    }
    return 0;
}

static const struct yd_port_class ports[] = {
    [PORT_INPUT] = {.name = "input",
                    .direction = YD_IN,
                    .mode = YD_PUSH,
                    .kinds = YD_KINDS_ALL,
                    .flags = YD_PORT_REQUIRED,
                    .doc = "What is counted."},
    [PORT_OUTPUT] =
        {.name = "output",
         .direction = YD_OUT,
         .mode = YD_PUSH,
         .kinds = YD_KIND_BIT(YD_TALLY) | YD_KIND_BIT(YD_DELTA),
         .flags = YD_PORT_REQUIRED,
         .doc =
             "One record a key: its count so far. A TALLY; a DELTA when it is told again and again without `reset`."},
    {.name = NULL},
};

static const struct yd_param_class params[] = {
    {.name = "by",
     .type = YD_PARAM_TEXT,
     .doc = "`\"name\"`, `\"tag.KEY\"`, or a ROW's cell by its name. Without it all records are counted together."},
    {.name = "metric", .type = YD_PARAM_TEXT, .initial = "\"count\"", .doc = "The metric of the records it makes."},
    {.name = "every",
     .type = YD_PARAM_DURATION,
     .min = 1e6,
     .max = 1e17,
     .doc = "Report this often. Without it, once: when the input has ended."},
    {.name = "reset", .type = YD_PARAM_BOOL, .initial = "false", .doc = "Start again from zero after each report."},
    {.name = "keys_max",
     .type = YD_PARAM_INT,
     .initial = "1000000",
     .min = 1,
     .max = 4e9,
     .doc = "Records of further keys are rejected and counted."},
    {.name = NULL},
};

static const char *const reasons[] = {[REASON_KEYS] = "too many keys", [REASON_NAME] = "key fits no name", NULL};

const struct yd_element_class yd_class_count = {
    .abi = YD_ELEMENT_ABI,
    .flags = YD_CLASS_STATEFUL,
    .name = "Count",
    .summary = "counts records, in all or by a key",
    .doc = "Counts survive a crash together with the position they were counted up to: behind a Log nothing is counted "
           "twice and nothing is left out. Records without the key are counted under an empty one.",
    .example = "crawl -> Count(by: \"extension\", metric: \"files\") -> Print()",
    .ports = ports,
    .params = params,
    .reasons = reasons,
    .state_size = sizeof(struct count),
    .check = check,
    .open = open_count,
    .close = close_count,
    .receive = receive,
    .drain = drain,
    .save = save,
    .load = load,
};
