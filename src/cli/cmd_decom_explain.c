/* yarder decom explain: one packet through a definition, with everything said. */
#include <stdio.h>

#include "cli/decom_cli.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "eb90 01:02", "0xeb90": what people copy from elsewhere. */
static int from_hex(const char *text, struct yd_buf *to)
{
    int high = -1;
    if (text[0] == '0' && (text[1] | 0x20) == 'x') text += 2;
    for (; *text; text++) {
        int value = digit(*text);
        if (*text == ' ' || *text == ':' || *text == '\n' || *text == '\t' || *text == ',' || *text == '-') continue;
        if (value < 0) return YD_EFORMAT;
        if (high >= 0) yd_buf_char(to, (char)(high << 4 | value));
        high = high >= 0 ? -1 : value;
    }
    return high >= 0 ? YD_EFORMAT : to->failed ? YD_ENOMEM : 0;
}

static int run(struct cli_args *args)
{
    const char *hex = cli_value(args, "packet"), *container = cli_value(args, "container");
    struct yd_plan *plan;
    struct yd_buf packet, shown;
    int code;
    if (!hex) return cli_usage(args, "--packet HEX is missing: which bytes?");
    yd_buf_init(&packet, NULL);
    yd_buf_init(&shown, NULL);
    if (from_hex(hex, &packet) < 0) {
        yd_buf_fini(&packet);
        return cli_usage(args, "--packet wants bytes in hex, two digits each");
    }
    if (cli_decom_load(args, args->rest[0], true, &plan, &code) == 0) {
        int r = yd_plan_explain(plan, yd_buf_view(&packet), yd_str_of(container ? container : ""), args->json, &shown);
        if (r == YD_ENOENT)
            code = cli_fail(args, "%s has no packet '%s'", args->rest[0], container);
        else if (shown.size)
            (void)fwrite(shown.data, 1, shown.size, stdout);
        if (r) code = CLI_FAILED;
        yd_plan_destroy(plan);
    }
    yd_buf_fini(&packet);
    yd_buf_fini(&shown);
    return code;
}

static const struct cli_option options[] = {
    {"packet", "HEX", "the bytes; spaces, colons and a leading 0x are fine"},
    {"container", "NAME", "as this packet, whether it matches or not"},
    {NULL, NULL, NULL},
};

const struct cli_command cmd_decom_explain = {
    .name = "decom explain",
    .usage = "FILE --packet HEX [--container NAME]",
    .summary = "decodes one packet and says everything about it",
    .doc = "Which containers match and why, each field with its place (byte+bytes, or byte, bit and bits), its raw and "
           "its "
           "engineering value, or precisely why there is none. Exit code 1 when it does not decode.",
    .example = "  yarder decom explain examples/rocket.ydm --packet \"eb90 02 0100 10270000 …\"",
    .options = options,
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
