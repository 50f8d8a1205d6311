/* table.c: the table of processes, their names, and atoms.
 *
 * A slot is never unmapped and always at home with the same executor, so anybody may look at any pid: a stale one shows
 * another pid in its slot. A slot whose generations are used up stays unused. Names and atoms are control path: one
 * lock. */
#include <stdio.h>

#include "actor/internal.h"
#include "base/drd.h"

#define GENERATION_MAX 0xffffff

struct yd__name {
    yd_atom group, name;
    yd_pid pid; /* YD_NOBODY: free */
};

/* ---- slots ---- */
static void ignore_atomics(struct yd__process *process)
{
    (void)process;
    YD_DRD_IGNORE(&process->pid);
    YD_DRD_IGNORE_TO(&process->queued, &process->units_max);
    YD_DRD_IGNORE_TO(&process->name, &process->undeliverable);
}

static bool add_page(struct yd__executor *home)
{
    struct yd_system *system = home->worker.system;
    uint32_t capacity = home->slots_free_capacity + YD__PAGE_SLOTS;
    uint32_t *slots_free = yd_alloc_resize(
        system->alloc, home->slots_free, home->slots_free_capacity * sizeof *slots_free, capacity * sizeof *slots_free);
    if (!slots_free) return false;
    home->slots_free = slots_free; /* room for every slot: freeing one cannot fail */
    home->slots_free_capacity = capacity;
    struct yd__page *page = yd__aligned_zero(system->alloc, sizeof *page);
    if (!page) return false;
    uint32_t index = atomic_fetch_add_explicit(&system->page_count, 1, memory_order_relaxed);
    if (index >= YD__PAGES_MAX) {
        atomic_fetch_sub_explicit(&system->page_count, 1, memory_order_relaxed);
        yd__aligned_put(system->alloc, page, sizeof *page);
        return false;
    }
    for (uint32_t i = 0; i < YD__PAGE_SLOTS; i++) {
        page->slots[i].home = home;
        page->slots[i].slot = index * YD__PAGE_SLOTS + i;
        page->slots[i].generation = 1;
        ignore_atomics(&page->slots[i]);
    }
    home->page = page;
    home->page_used = 0;
    /* release: pairs with the acquire in yd__slot_of */
    YD_DRD_BEFORE(&system->pages[index]);
    atomic_store_explicit(&system->pages[index], page, memory_order_release);
    return true;
}

struct yd__process *yd__slot_new(struct yd__executor *home)
{
    struct yd__process *process = NULL;
    yd_lock_take(&home->slots_lock);
    if (home->slots_free_count)
        process = yd__slot_of(home->worker.system, home->slots_free[--home->slots_free_count]);
    else if ((home->page && home->page_used < YD__PAGE_SLOTS) || add_page(home))
        process = &home->page->slots[home->page_used++];
    yd_lock_give(&home->slots_lock);
    return process;
}

void yd__slot_free(struct yd__process *process)
{
    struct yd__executor *home = process->home;
    if (++process->generation > GENERATION_MAX) return;
    yd_lock_take(&home->slots_lock);
    home->slots_free[home->slots_free_count++] = process->slot;
    yd_lock_give(&home->slots_lock);
}

/* ---- names: open addressing, taken out by moving the followers up ---- */
static uint32_t slot_for(const struct yd_system *system, yd_atom group, yd_atom name)
{
    uint64_t hash = ((uint64_t)group << 32 | name) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (system->name_capacity - 1);
}

static struct yd__name *find_name(const struct yd_system *system, yd_atom group, yd_atom name)
{
    if (!system->name_capacity) return NULL;
    for (uint32_t at = slot_for(system, group, name);; at = (at + 1) & (system->name_capacity - 1)) {
        struct yd__name *entry = &system->names[at];
        if (entry->pid == YD_NOBODY) return NULL;
        if (entry->group == group && entry->name == name) return entry;
    }
}

static void put_name(struct yd_system *system, struct yd__name entry)
{
    uint32_t at = slot_for(system, entry.group, entry.name);
    while (system->names[at].pid != YD_NOBODY) at = (at + 1) & (system->name_capacity - 1);
    system->names[at] = entry;
    system->name_count++;
}

static bool grow_names(struct yd_system *system)
{
    if (system->name_count * 2 < system->name_capacity) return true;
    uint32_t old_capacity = system->name_capacity, capacity = old_capacity ? old_capacity * 2 : 64;
    struct yd__name *old = system->names, *names = yd_alloc_zero(system->alloc, capacity * sizeof *names);
    if (!names) return false;
    system->names = names;
    system->name_capacity = capacity;
    system->name_count = 0;
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i].pid != YD_NOBODY) put_name(system, old[i]);
    yd_alloc_put(system->alloc, old, old_capacity * sizeof *old);
    return true;
}

/* "" is 0, and there from the start. */
static int intern(struct yd_system *system, struct yd_str text, yd_atom *ret_atom)
{
    return text.size ? yd_intern_add(&system->atoms, text, ret_atom) : (*ret_atom = 0, 0);
}

int yd__name_add(struct yd_system *system, struct yd__process *process, const char *group, const char *name, yd_pid pid)
{
    char text[512];
    yd_atom group_atom, name_atom, full;
    int size = snprintf(text, sizeof text, "%s%s%s", group ? group : "", group && *group ? "::" : "", name ? name : "");
    if (size < 0 || (size_t)size >= sizeof text) return YD_ETOOBIG;
    if (name && (!*name || strpbrk(name, "@:#") || (group && strpbrk(group, "@:#")))) return YD_EINVAL;

    yd_lock_take(&system->names_lock);
    int error = intern(system, yd_str_of(group), &group_atom);
    if (error >= 0) error = intern(system, yd_str_of(name), &name_atom);
    if (error >= 0) error = intern(system, (struct yd_str){text, (size_t)size}, &full);
    if (error >= 0 && name) {
        if (find_name(system, group_atom, name_atom))
            error = YD_EEXIST;
        else if (!grow_names(system))
            error = YD_ENOMEM;
        else
            put_name(system, (struct yd__name){group_atom, name_atom, pid});
    }
    if (error >= 0) {
        process->group_atom = group_atom;
        process->name_atom = name_atom;
        if (name) atomic_store_explicit(&process->name, system->atoms.strings[full].data, memory_order_relaxed);
    }
    yd_lock_give(&system->names_lock);
    return error < 0 ? error : 0;
}

void yd__name_remove(struct yd_system *system, struct yd__process *process)
{
    if (!process->name_atom) return;
    yd_lock_take(&system->names_lock);
    struct yd__name *entry = find_name(system, process->group_atom, process->name_atom);
    if (entry) {
        uint32_t mask = system->name_capacity - 1, hole = (uint32_t)(entry - system->names);
        for (uint32_t at = (hole + 1) & mask; system->names[at].pid != YD_NOBODY; at = (at + 1) & mask) {
            uint32_t ideal = slot_for(system, system->names[at].group, system->names[at].name);
            if (((at - ideal) & mask) < ((at - hole) & mask)) continue; /* it would be before its place */
            system->names[hole] = system->names[at];
            hole = at;
        }
        system->names[hole] = (struct yd__name){0};
        system->name_count--;
    }
    yd_lock_give(&system->names_lock);
    process->name_atom = 0;
}

void yd__names_fini(struct yd_system *system)
{
    yd_alloc_put(system->alloc, system->names, system->name_capacity * sizeof *system->names);
}

/* ---- public: any thread ---- */
yd_atom yd_atom_of(struct yd_system *system, struct yd_str text)
{
    yd_atom atom = 0;
    yd_lock_take(&system->names_lock);
    if (intern(system, text, &atom) < 0) atom = 0;
    yd_lock_give(&system->names_lock);
    return atom;
}

struct yd_str yd_atom_text(struct yd_system *system, yd_atom atom)
{
    yd_lock_take(&system->names_lock);
    struct yd_str text = atom < system->atoms.count ? system->atoms.strings[atom] : YD_STR("");
    yd_lock_give(&system->names_lock);
    return text; /* the bytes stay where they are */
}

static yd_pid find_pid(struct yd_system *system, struct yd_str group, struct yd_str name)
{
    yd_lock_take(&system->names_lock);
    uint32_t group_atom = group.size ? yd_intern_find(&system->atoms, group) : 0;
    uint32_t name_atom = name.size ? yd_intern_find(&system->atoms, name) : YD_INTERN_NONE;
    struct yd__name *entry = NULL;
    if (group_atom != YD_INTERN_NONE && name_atom != YD_INTERN_NONE) entry = find_name(system, group_atom, name_atom);
    yd_pid pid = entry ? entry->pid : YD_NOBODY;
    yd_lock_give(&system->names_lock);
    return pid;
}

yd_pid yd_whereis(struct yd_system *system, const char *group, const char *name)
{
    return find_pid(system, yd_str_of(group), yd_str_of(name));
}

unsigned yd_pid_executor(struct yd_system *system, yd_pid pid)
{
    struct yd__process *process = pid >> 48 == system->node ? yd__slot_of(system, pid) : NULL;
    /* acquire: pairs with the release when the process was made */
    if (!process || atomic_load_explicit(&process->pid, memory_order_acquire) != pid) return 0;
    return process->home->worker.index;
}

size_t yd_pid_put(struct yd_system *system, yd_pid pid, char *to, size_t size)
{
    const char *name = NULL;
    unsigned node = (unsigned)(pid >> 48);
    int written;
    if (node == system->node) {
        struct yd__process *process = yd__slot_of(system, pid);
        if (process && atomic_load_explicit(&process->pid, memory_order_acquire) == pid)
            name = atomic_load_explicit(&process->name, memory_order_relaxed);
    }
    if (pid == YD_NOBODY)
        written = snprintf(to, size, "nobody");
    else if (name)
        written = snprintf(to, size, "%s@%s", name, system->options.node);
    else if (node == system->node)
        written = snprintf(to, size, "#%u.%u@%s", yd__pid_slot(pid), yd__pid_generation(pid), system->options.node);
    else
        written = snprintf(to, size, "#%u.%u@%u", yd__pid_slot(pid), yd__pid_generation(pid), node);
    if (written < 0) return 0;
    return (size_t)written < size ? (size_t)written : size ? size - 1 : 0;
}

static const char *find_char(struct yd_str s, char c)
{
    return s.size ? memchr(s.data, c, s.size) : NULL;
}

/* Cuts s at the first c: what is before it, the rest stays in *s. NULL data when there is none. */
static struct yd_str cut(struct yd_str *s, char c)
{
    const char *at = find_char(*s, c);
    if (!at) return (struct yd_str){NULL, 0};
    struct yd_str head = {s->data, (size_t)(at - s->data)};
    *s = (struct yd_str){at + 1, s->size - head.size - 1};
    return head;
}

static int parse_number(struct yd_system *system, struct yd_str text, bool here, struct yd_str node, yd_pid *ret_pid)
{
    uint64_t slot, generation, number = system->node;
    struct yd_str first = cut(&text, '.');
    if (!first.data || yd_text_u64(first, &slot) < 0 || yd_text_u64(text, &generation) < 0) return YD_EFORMAT;
    if (!here && (yd_text_u64(node, &number) < 0 || number > UINT16_MAX)) return YD_ENOENT;
    if (slot > 0xffffff || generation > GENERATION_MAX || !generation) return YD_EFORMAT;
    *ret_pid = YD__PID(number, generation, slot);
    return 0;
}

int yd_pid_parse(struct yd_system *system, struct yd_str text, yd_pid *ret_pid)
{
    struct yd_str node = text, group = {NULL, 0};
    bool here = true;
    struct yd_str name = cut(&node, '@');
    if (name.data)
        here = yd_str_eq(node, yd_str_of(system->options.node));
    else
        name = text;
    if (!name.size) return YD_EFORMAT;
    if (name.data[0] == '#')
        return parse_number(system, (struct yd_str){name.data + 1, name.size - 1}, here, node, ret_pid);
    struct yd_str rest = name;
    group = cut(&rest, ':');
    if (group.data) {
        if (!rest.size || rest.data[0] != ':') return YD_EFORMAT;
        name = (struct yd_str){rest.data + 1, rest.size - 1};
    }
    if (!name.size || find_char(name, ':')) return YD_EFORMAT;
    yd_pid pid = here ? find_pid(system, group, name) : YD_NOBODY;
    if (pid == YD_NOBODY) return YD_ENOENT;
    *ret_pid = pid;
    return 0;
}
