/* cli/decom_cli.h: what the commands about definitions share. */
#ifndef CLI_DECOM_CLI_H
#define CLI_DECOM_CLI_H

#include "cli/cli.h"
#include "cli/commands.h"
#include "decom/plan.h"

/* Reads, checks and compiles a definition, and prints what is wrong to standard error (or, with --json, all of it to
 * standard output). 0 and a plan, or negative; *ret_exit says how to exit in both cases. */
int cli_decom_load(struct cli_args *args, const char *path, bool closely, struct yd_plan **ret_plan, int *ret_exit);

#endif
