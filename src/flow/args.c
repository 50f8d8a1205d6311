/* Looking up an element's parameters. They are few: a walk is faster than anything clever. */
#include <yarder/element.h>

const struct yd_arg *yd_args_find(const struct yd_args *args, const char *name)
{
    for (size_t i = 0; i < args->count; i++)
        if (args->items[i].name && strcmp(args->items[i].name, name) == 0) return &args->items[i];
    return NULL;
}

int64_t yd_args_int(const struct yd_args *args, const char *name)
{
    const struct yd_arg *arg = yd_args_find(args, name);
    return arg ? arg->i64 : 0;
}

double yd_args_float(const struct yd_args *args, const char *name)
{
    const struct yd_arg *arg = yd_args_find(args, name);
    return arg ? arg->f64 : 0;
}

bool yd_args_bool(const struct yd_args *args, const char *name)
{
    const struct yd_arg *arg = yd_args_find(args, name);
    return arg && arg->boolean;
}

struct yd_str yd_args_text(const struct yd_args *args, const char *name)
{
    const struct yd_arg *arg = yd_args_find(args, name);
    return arg ? arg->text : YD_STR("");
}
