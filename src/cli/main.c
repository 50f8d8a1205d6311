/* main.c: finds the command, parses its options by its table, runs it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct cli_option common_options[] = {
    {"json", NULL, "for machines: JSON on standard output"},
    {"help", NULL, "this text"},
    {NULL, NULL, NULL},
};

const char *cli_value(const struct cli_args *args, const char *option)
{
    const struct cli_option *options = args->command->options;
    for (size_t i = 0; options && options[i].name; i++)
        if (strcmp(options[i].name, option) == 0) return args->values[i];
    return NULL;
}

const char *cli_value_before(const struct cli_args *args, const char *option)
{
    const struct cli_option *options = args->command->options;
    for (size_t i = 0; options && options[i].name; i++)
        if (strcmp(options[i].name, option) == 0) return args->firsts[i];
    return NULL;
}

bool cli_given(const struct cli_args *args, const char *option)
{
    return cli_value(args, option) != NULL;
}

static void print_options(const struct cli_option *options)
{
    for (size_t i = 0; options && options[i].name; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        printf("  %-24s %s\n", left, options[i].doc);
    }
}

void cli_help(const struct cli_command *command)
{
    printf("usage: yarder %s %s\n\n%s.\n", command->name, command->usage, command->summary);
    if (command->doc) printf("\n%s\n", command->doc);
    printf("\nOptions:\n");
    print_options(command->options);
    print_options(common_options);
    if (command->example) printf("\nTry:\n%s\n", command->example);
    printf("\nExit codes: 0 done, 1 failed or found wrong, 2 usage.\n");
}

static void complain(const struct cli_args *args, const char *format, va_list values)
{
    fprintf(stderr, "yarder %s: ", args->command->name);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
}

int cli_fail(const struct cli_args *args, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    complain(args, format, values);
    va_end(values);
    return CLI_FAILED;
}

int cli_usage(const struct cli_args *args, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    complain(args, format, values);
    va_end(values);
    fprintf(stderr, "usage: yarder %s %s\n       yarder %s --help says more\n", args->command->name,
            args->command->usage, args->command->name);
    return CLI_USAGE;
}

static void overview(FILE *to)
{
    fprintf(to, "yarder hauls telemetry: takes it in any form, keeps it in a durable log, answers Grafana.\n\n"
                "usage: yarder COMMAND [ARGUMENTS]\n\n");
    for (size_t i = 0; cli_commands[i]; i++)
        fprintf(to, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fprintf(to, "\n`yarder COMMAND --help` teaches each. Start with: yarder run examples/quickstart.yd\n");
}

/* One word or two ("log verify"). *ret_words tells how many were used. */
static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    char two[128];
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        *ret_words = strchr(name, ' ') ? 2 : 1;
        if (argc <= *ret_words) continue;
        snprintf(two, sizeof two, *ret_words == 2 ? "%s %s" : "%s", argv[1], argv[2]);
        if (strcmp(name, two) == 0) return cli_commands[i];
    }
    return NULL;
}

static int unknown(int argc, char **argv)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    size_t family = strlen(argv[1]);
    for (size_t i = 0; cli_commands[i]; i++) { /* `yarder log` alone: list its commands */
        if (strncmp(cli_commands[i]->name, argv[1], family) == 0 && cli_commands[i]->name[family] == ' ') {
            bool help = argc > 2 && strcmp(argv[2], "--help") == 0;
            FILE *to = help ? stdout : stderr;
            if (argc > 2 && !help) fprintf(to, "yarder: no command '%s %s'\n", argv[1], argv[2]);
            for (; cli_commands[i]; i++)
                if (strncmp(cli_commands[i]->name, argv[1], family) == 0)
                    fprintf(to, "  yarder %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
            return help ? CLI_DONE : CLI_USAGE;
        }
    }
    for (size_t i = 0; cli_commands[i]; i++) {
        unsigned distance = yd_text_distance(yd_str_of(argv[1]), yd_str_of(cli_commands[i]->name), 2);
        if (distance < best_distance) best_distance = distance, best = cli_commands[i]->name;
    }
    fprintf(stderr, "yarder: no command '%s'%s%s%s\n", argv[1], best ? "; did you mean '" : "", best ? best : "",
            best ? "'?" : "");
    fprintf(stderr, "`yarder --help` lists them\n");
    return CLI_USAGE;
}

static int add_setting(struct cli_args *args, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text) return cli_usage(args, "--set wants ID=VALUE, not '%s'", text);
    if (args->setting_count == CLI_SETTINGS_MAX) return cli_usage(args, "at most %d --set", CLI_SETTINGS_MAX);
    *equals = 0;
    args->settings[args->setting_count++] = (struct yd_setting){text, equals + 1};
    return 0;
}

static int set_option(struct cli_args *args, const char *name, size_t name_size, char *value, char *next,
                      bool *ret_used)
{
    const struct cli_option *options = args->command->options;
    for (size_t i = 0; options && options[i].name; i++) {
        if (strlen(options[i].name) != name_size || strncmp(options[i].name, name, name_size) != 0) continue;
        if (!options[i].value && value) return cli_usage(args, "--%s takes no value", options[i].name);
        if (options[i].value && !value) {
            if (!next) return cli_usage(args, "--%s wants %s", options[i].name, options[i].value);
            value = next;
            *ret_used = true;
        }
        if (strcmp(options[i].name, "set") == 0) return add_setting(args, value);
        args->firsts[i] = args->values[i];
        args->values[i] = value ? value : "";
        return 0;
    }
    return cli_usage(args, "unknown option --%.*s", (int)name_size, name);
}

/* Options may stand anywhere, "--" ends them. Not getopt: a negative number is an argument here (`put NAME -1.5`). */
static int parse(struct cli_args *args, int argc, char **argv)
{
    bool ended = false;
    args->rest = argv; /* compacted in place */
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (ended || strncmp(word, "--", 2) != 0) {
            if (!ended && strcmp(word, "-h") == 0) return cli_help(args->command), -1;
            args->rest[args->rest_count++] = word;
        } else if (word[2] == 0) {
            ended = true;
        } else if (strcmp(word, "--help") == 0) {
            return cli_help(args->command), -1;
        } else if (strcmp(word, "--json") == 0) {
            args->json = true;
        } else {
            char *equals = strchr(word, '=');
            bool used = false;
            int wrong = set_option(args, word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word + 2),
                                   equals ? equals + 1 : NULL, i + 1 < argc ? argv[i + 1] : NULL, &used);
            if (wrong) return wrong;
            i += used;
        }
    }
    if (args->rest_count < args->command->rest_min) return cli_usage(args, "something is missing");
    if (args->command->rest_max >= 0 && args->rest_count > args->command->rest_max)
        return cli_usage(args, "'%s' is one too many", args->rest[args->command->rest_max]);
    return 0;
}

int main(int argc, char **argv)
{
    int words = 0;
    if (argc < 2) return overview(stderr), CLI_USAGE;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return overview(stdout), CLI_DONE;
    if (strcmp(argv[1], "--version") == 0) argv[1] = (char *)"version";
    const struct cli_command *command = find(argc, argv, &words);
    if (!command) return unknown(argc, argv);
    struct cli_args args = {.command = command, .colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR")};
    int wrong = parse(&args, argc - 1 - words, argv + 1 + words);
    if (wrong) return wrong < 0 ? CLI_DONE : wrong;
    return command->run(&args);
}
