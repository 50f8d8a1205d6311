/* cli/live_table.h: current values as a table that redraws on a terminal. */
#ifndef CLI_LIVE_TABLE_H
#define CLI_LIVE_TABLE_H

#include "cli/live_cli.h"

struct live_table;
int live_table_create(bool colour, struct live_table **ret_table);
void live_table_destroy(struct live_table *table); /* the terminal as it was; NULL is quiet */
/* Gets the newest of all that has changed; false: nothing had. YD_ENOMEM. */
int live_table_update(struct live_table *table, struct yd_live *live, struct yd_live_set *set, bool *ret_changed);
void live_table_draw(struct live_table *table, struct yd_live *live, const char *pattern);

#endif
