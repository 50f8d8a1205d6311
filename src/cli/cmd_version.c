/* yarder version: which program this is, and the versions of what it speaks and writes. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"

static int run(struct cli_args *args)
{
    if (args->json)
        printf("{\"version\":\"%s\",\"batch\":%d,\"element_abi\":%d}\n", YARDER_VERSION, YD_BATCH_VERSION,
               YD_ELEMENT_ABI);
    else
        printf("yarder %s (batch format %d, element interface %d)\n", YARDER_VERSION, YD_BATCH_VERSION, YD_ELEMENT_ABI);
    return CLI_DONE;
}

const struct cli_command cmd_version = {
    .name = "version",
    .usage = "",
    .summary = "says which version this is",
    .run = run,
};
