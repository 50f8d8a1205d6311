/* A Derive's saved state: what slots say, and what rules or the script remember.
 *
 *   head | values: {name, value, text} … | memories: {name of the rule's result, memory} … | {"", the script's `state`}
 *
 * Each stands under its name, so a Derive whose rules are others now takes what still means something. What can fail:
 * bytes that nobody wrote, refused; memory. */
#include "base/text.h"
#include "elements/derive.h"
#include "elements/saved.h"

#define SAVED_FORM 1

struct saved_value {
    uint64_t bits;
    uint16_t flags;
    uint8_t type, reserved[5];
};

int yd__derive_save(const void *opaque, uint32_t key_group, struct yd_saver *saver)
{
    const struct yd__derive *derive = opaque;
    const struct yd_derive_rules *rules = &derive->rules;
    uint32_t head[3] = {SAVED_FORM, 0, 0};
    struct yd_buf memory;
    int error = 0;
    if (key_group != 0) return 0;
    for (uint32_t i = 0; i < rules->slot_count; i++) head[1] += derive->values[i].type != YD_NIL;
    for (uint32_t i = 0; i < rules->rule_count; i++) head[2] += derive->memories[i] != NULL;
    head[2] += derive->script.script != NULL;
    yd_save_bytes(saver, head, sizeof head);
    for (uint32_t i = 0; i < rules->slot_count; i++) {
        const struct yd_reading *value = &derive->values[i];
        bool text = value->type == YD_TEXT;
        const struct saved_value saved = {.bits = text ? 0 : value->bits, .flags = value->flags, .type = value->type};
        if (value->type == YD_NIL) continue;
        yd_save_text(saver, rules->names.strings[i]);
        yd_save_bytes(saver, &saved, sizeof saved);
        yd_save_text(saver, text ? (struct yd_str){value->text, value->size} : YD_STR(""));
    }
    yd_buf_init(&memory, NULL);
    for (uint32_t i = 0; i < rules->rule_count && error == 0; i++) {
        if (!derive->memories[i]) continue;
        yd_buf_clear(&memory);
        yd_expression_state_save(derive->memories[i], &memory);
        if (memory.failed) error = YD_ENOMEM;
        yd_save_text(saver, rules->names.strings[rules->rules[i].slot]);
        yd_save_text(saver, yd_buf_view(&memory));
    }
    if (derive->script.script) { /* under a name that no rule has */
        yd_script_save(derive->script.script, &memory);
        if (memory.failed) error = YD_ENOMEM;
        yd_save_text(saver, YD_STR(""));
        yd_save_text(saver, yd_buf_view(&memory));
    }
    yd_buf_fini(&memory);
    return error;
}

static int load_value(struct yd__derive *derive, struct yd_str *from)
{
    struct yd_str name, text;
    struct saved_value saved;
    if (!yd_saved_text(from, &name) || !yd_saved_bytes(from, &saved, sizeof saved) || !yd_saved_text(from, &text))
        return YD_EFORMAT;
    if (saved.type < YD_BOOL || saved.type > YD_TEXT || saved.flags & ~0xfeu ||
        (saved.type == YD_BOOL && saved.bits > 1) || !yd_text_utf8(text))
        return YD_EFORMAT;
    uint32_t slot = yd_intern_find(&derive->rules.names, name);
    if (slot == YD_INTERN_NONE) return 0; /* the rules are others now */
    struct yd_reading value = {.type = saved.type, .flags = saved.flags, .bits = saved.bits};
    if (saved.type == YD_TEXT) value = yd_reading_text(text, saved.flags);
    return yd__derive_put(derive, slot, value);
}

/* A rule that reads otherwise now begins anew; the others go on. */
static int load_memory(struct yd__derive *derive, struct yd_str *from)
{
    struct yd_str name, memory;
    if (!yd_saved_text(from, &name) || !yd_saved_text(from, &memory)) return YD_EFORMAT;
    if (name.size == 0) return derive->script.script ? yd_derive_script_load(&derive->script, memory) : 0;
    uint32_t slot = yd_intern_find(&derive->rules.names, name);
    uint32_t rule = slot == YD_INTERN_NONE ? YD_DERIVE_OUTSIDE : derive->rules.slots[slot].rule;
    if (rule == YD_DERIVE_OUTSIDE || !derive->memories[rule]) return 0;
    int error = yd_expression_state_load(derive->memories[rule], memory);
    return error == YD_EINVAL ? 0 : error;
}

int yd__derive_load(void *opaque, uint32_t key_group, struct yd_str saved)
{
    struct yd__derive *derive = opaque;
    uint32_t head[3];
    int error = 0;
    (void)key_group;
    if (!yd_saved_bytes(&saved, head, sizeof head)) return YD_EFORMAT;
    if (head[0] != SAVED_FORM) return YD_EVERSION;
    for (uint32_t i = 0; i < head[1] && error == 0; i++) error = load_value(derive, &saved);
    for (uint32_t i = 0; i < head[2] && error == 0; i++) error = load_memory(derive, &saved);
    return error < 0 ? error : saved.size ? YD_EFORMAT : 0;
}
