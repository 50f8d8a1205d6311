/* Is a class's table sound? Ours are tested with it, a plug-in's is refused with the reason: everything else in this
 * floor relies on what is checked here (at most 64 ports, defaults of their type, names that the language can say). */
#include <math.h>

#include "flow/expand.h"

static bool is_name(const char *text)
{
    size_t size = text ? strlen(text) : 0;
    if (size == 0 || size > YD_FLOW_NAME_SIZE_MAX || (text[0] >= '0' && text[0] <= '9')) return false;
    for (; *text; text++) {
        char c = *text;
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        if (!good) return false;
    }
    return true;
}

static int check_ports(const struct yd_element_class *class, struct yd_trail *trail)
{
    size_t count = 0;
    for (const struct yd_port_class *port = class->ports; port && port->name; port++, count++) {
        if (!is_name(port->name))
            return yd_trail_add(trail, YD_EINVAL, "'%s': '%s' is not a name", class->name, port->name);
        for (const struct yd_port_class *other = class->ports; other < port; other++)
            if (strcmp(other->name, port->name) == 0 && other->direction == port->direction &&
                other->mode == port->mode)
                return yd_trail_add(trail, YD_EINVAL, "'%s': the port '%s' is there twice", class->name, port->name);
        if (port->kinds & ~YD_KINDS_ALL || port->needs & ~YD_KINDS_ALL)
            return yd_trail_add(trail, YD_EINVAL, "'%s': the port '%s' has unknown kinds", class->name, port->name);
    }
    if (count > 64) return yd_trail_add(trail, YD_EINVAL, "'%s' has more than 64 ports", class->name);
    return 0;
}

static int check_param(struct yd__work *work, const struct yd_element_class *class, const struct yd_param_class *param,
                       struct yd_trail *trail)
{
    if (!is_name(param->name))
        return yd_trail_add(trail, YD_EINVAL, "'%s': '%s' is not a name", class->name, param->name);
    for (const struct yd_param_class *other = class->params; other < param; other++)
        if (strcmp(other->name, param->name) == 0)
            return yd_trail_add(trail, YD_EINVAL, "'%s': the parameter '%s' is there twice", class->name, param->name);
    if ((unsigned)param->type > YD_PARAM_MAP)
        return yd_trail_add(trail, YD_EINVAL, "'%s': the parameter '%s' has no type", class->name, param->name);
    if (isnan(param->min) || isnan(param->max))
        return yd_trail_add(trail, YD_EINVAL, "'%s': the parameter '%s' has no range", class->name, param->name);
    struct yd_arg arg;
    if (param->initial && !yd__typed_initial(work, param, &arg))
        return yd_trail_add(trail, YD_EINVAL, "'%s': the default of '%s', %s, is not %s", class->name, param->name,
                            param->initial, yd__type_words[param->type]);
    return 0;
}

static int check_params(struct yd__work *work, const struct yd_element_class *class, struct yd_trail *trail)
{
    for (const struct yd_param_class *param = class->params; param && param->name; param++) {
        int r = check_param(work, class, param, trail);
        if (r < 0) return r;
    }
    return 0;
}

int yd_class_check(const struct yd_element_class *class, struct yd_trail *trail)
{
    if (class->abi != YD_ELEMENT_ABI)
        return yd_trail_add(trail, YD_EVERSION, "an element class of version %u; this program takes %u", class->abi,
                            YD_ELEMENT_ABI);
    if (!is_name(class->name)) return yd_trail_add(trail, YD_EINVAL, "an element class without a name");
    int r = check_ports(class, trail);
    if (r < 0) return r;
    struct yd__work *work = yd_alloc_zero(NULL, sizeof *work);
    struct yd_topology *topology = yd_alloc_zero(NULL, sizeof *topology);
    struct yd_diagnostics diagnostics;
    const struct yd_load_options options = {0};
    yd_diagnostics_init(&diagnostics, NULL);
    r = YD_ENOMEM;
    if (work && topology) {
        yd_arena_init(&work->arena, NULL);
        yd_arena_init(&topology->arena, NULL);
        work->topology = topology;
        work->diagnostics = &diagnostics;
        work->options = &options;
        if (setjmp(work->out_of_memory) == 0) r = check_params(work, class, trail);
        yd_arena_fini(&work->arena);
    }
    yd_topology_destroy(topology);
    yd_diagnostics_fini(&diagnostics);
    yd_alloc_put(NULL, work, sizeof *work);
    return r;
}
