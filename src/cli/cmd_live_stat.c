/* yarder live stat: the memory and its writer. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/live_cli.h"
#include "io/loop.h"

/* readers NULL: the daemon did not say. This command is not one of them. */
static void print_json(const struct yd_live_about *about, const struct yd_live_readers *readers, bool attached,
                       const char *age)
{
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, false);
    yd_json_object(&json);
    yd_json_key(&json, "measurements");
    yd_json_u64(&json, about->names);
    yd_json_key(&json, "measurements_room");
    yd_json_u64(&json, about->names_max);
    yd_json_key(&json, "generation");
    yd_json_u64(&json, about->generation);
    yd_json_key(&json, "writer_pid");
    yd_json_i64(&json, about->writer_pid);
    yd_json_key(&json, "writer_attached");
    yd_json_bool(&json, attached);
    yd_json_key(&json, "created");
    yd_json_cstr(&json, age);
    yd_json_key(&json, "bytes_reserved");
    yd_json_u64(&json, about->bytes);
    if (readers) {
        yd_json_key(&json, "clients");
        yd_json_u64(&json, readers->attached - 1);
        yd_json_key(&json, "clients_welcomed");
        yd_json_u64(&json, readers->welcomed - 1);
        yd_json_key(&json, "clients_refused");
        yd_json_u64(&json, readers->refused);
        yd_json_key(&json, "clients_shown_out");
        yd_json_u64(&json, readers->shown_out);
    }
    yd_json_object_end(&json);
    printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
}

static int run(struct cli_args *args)
{
    struct yd_live *live;
    struct yd_live_about about;
    char created[40], age[24], bytes[24];
    int code = cli_live_open(args, false, &live);
    if (code) return code;
    if (yd_live_about(live, &about) < 0) {
        yd_live_close(live);
        return cli_fail(args, "there is no memory to look at");
    }
    created[yd_text_put_time(created, sizeof created - 1, about.created_ns)] = '\0';
    bytes[yd_text_put_size(bytes, sizeof bytes - 1, about.bytes)] = '\0';
    age[cli_live_age(age, sizeof age, yd_clock_wall() - about.created_ns)] = '\0';
    struct yd_live_readers readers;
    bool told = yd_live_readers(live, &readers) == 0 && readers.attached && readers.welcomed;
    if (args->json)
        print_json(&about, told ? &readers : NULL, yd_live_attached(live), created);
    else
        printf("measurements   %u, room for %u\ngeneration     %llu\nwriter         process %lld%s\n"
               "memory since   %s (%s)\nreserved       %s\n",
               about.names, about.names_max, (unsigned long long)about.generation, (long long)about.writer_pid,
               yd_live_attached(live) ? "" : ", gone", created, age, bytes);
    if (told && !args->json)
        printf("clients        %llu now, %llu ever; %llu were refused, %llu shown out\n",
               (unsigned long long)readers.attached - 1, (unsigned long long)readers.welcomed - 1,
               (unsigned long long)readers.refused, (unsigned long long)readers.shown_out);
    yd_live_close(live);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    CLI_LIVE_OPTIONS,
    {NULL, NULL, NULL},
};

const struct cli_command cmd_live_stat = {
    .name = "live stat",
    .usage = "[--data DIR] [--live NAME | --socket PATH]",
    .summary = "shows a Live's memory: how many measurements, which generation, whose, and how many read it",
    .doc = "Clients are the programs that are attached now; this command is not one of them. What is reserved costs "
           "nothing until it is used. What the element received and rejected: `yarder top`.",
    .example = "  yarder live stat\n  yarder live stat --json | jq .writer_pid",
    .options = options,
    .run = run,
};
