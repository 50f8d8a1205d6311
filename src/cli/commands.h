#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

extern const struct cli_command cmd_run, cmd_check, cmd_fmt, cmd_graph, cmd_route, cmd_elements, cmd_test, cmd_put,
    cmd_send, cmd_query, cmd_top, cmd_state, cmd_ask, cmd_log_ls, cmd_log_stat, cmd_log_cat, cmd_log_tail,
    cmd_log_verify, cmd_log_get, cmd_log_dump, cmd_log_repair, cmd_log_salvage, cmd_log_backup, cmd_log_restore,
    cmd_log_tombstone, cmd_log_append, cmd_log_subscribe, cmd_log_create, cmd_log_cursors, cmd_log_promote,
    cmd_log_follow, cmd_decom_check, cmd_decom_convert, cmd_decom_explain, cmd_completion, cmd_version;
extern const struct cli_command cmd_live_ls, cmd_live_get, cmd_live_watch, cmd_live_stat, cmd_live_record, cmd_replay;
extern const struct cli_command cmd_sim;

#endif
