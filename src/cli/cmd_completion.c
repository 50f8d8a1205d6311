/* yarder completion: shell completion, out of the commands' own tables. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/commands.h"

/* The first words, and for those with second words ("log"), these. */
static void bash_words(void)
{
    printf("_yarder() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
           "  case \"${COMP_WORDS[1]-} ${COMP_WORDS[2]-}\" in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const char *name = cli_commands[i]->name;
        const struct cli_option *options = cli_commands[i]->options;
        printf("  \"%s%s) words='", name, strchr(name, ' ') ? "\"" : " \"*");
        for (size_t j = 0; options && options[j].name; j++) printf("--%s ", options[j].name);
        printf("--json --help' ;;\n");
    }
    printf("  esac\n  if [ \"$COMP_CWORD\" = 1 ]; then words='help");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strchr(cli_commands[i]->name, ' ')) printf(" %s", cli_commands[i]->name);
    static const char *const families[] = {"log ", "live ", "decom "};
    for (size_t f = 0; f < YD_COUNT(families); f++) printf(" %.*s", (int)strlen(families[f]) - 1, families[f]);
    printf("'\n");
    for (size_t f = 0; f < YD_COUNT(families); f++) {
        size_t size = strlen(families[f]);
        printf("  elif [ \"$COMP_CWORD\" = 2 ] && [ \"${COMP_WORDS[1]}\" = %.*s ]; then words='", (int)size - 1,
               families[f]);
        for (size_t i = 0; cli_commands[i]; i++)
            if (strncmp(cli_commands[i]->name, families[f], size) == 0) printf("%s ", cli_commands[i]->name + size);
        printf("'\n");
    }
    printf("  elif [ \"$COMP_CWORD\" = 2 ] && [ \"${COMP_WORDS[1]}\" = elements ]; then\n"
           "    words=\"$words $(yarder elements | cut -d' ' -f1)\"\n  fi\n"
           "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
           "complete -o default -F _yarder yarder\n");
}

/* What the script is made of, for a shell that we do not write for. */
static void json_words(void)
{
    struct yd_buf text;
    struct yd_json json;
    yd_buf_init(&text, NULL);
    yd_json_init(&json, &text, true);
    yd_json_array(&json);
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_option *options = cli_commands[i]->options;
        yd_json_object(&json);
        yd_json_key(&json, "command");
        yd_json_cstr(&json, cli_commands[i]->name);
        yd_json_key(&json, "summary");
        yd_json_cstr(&json, cli_commands[i]->summary);
        yd_json_key(&json, "options");
        yd_json_array(&json);
        for (size_t j = 0; options && options[j].name; j++) {
            yd_json_object(&json);
            yd_json_key(&json, "name");
            yd_json_cstr(&json, options[j].name);
            yd_json_key(&json, "value");
            yd_json_cstr(&json, options[j].value ? options[j].value : "");
            yd_json_key(&json, "doc");
            yd_json_cstr(&json, options[j].doc);
            yd_json_object_end(&json);
        }
        yd_json_array_end(&json);
        yd_json_object_end(&json);
    }
    yd_json_array_end(&json);
    printf("%.*s\n", (int)text.size, text.data);
    yd_buf_fini(&text);
}

static int run(struct cli_args *args)
{
    const char *shell = args->rest[0];
    if (strcmp(shell, "zsh") != 0 && strcmp(shell, "bash") != 0) return cli_usage(args, "'%s': bash or zsh", shell);
    if (args->json) {
        json_words();
        return CLI_DONE;
    }
    if (strcmp(shell, "zsh") == 0) printf("autoload -U +X bashcompinit && bashcompinit\n");
    bash_words();
    return CLI_DONE;
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .usage = "bash | zsh",
    .summary = "prints a completion script for a shell",
    .doc = "With --json: the commands and options that the script is made of.",
    .example = "  source <(yarder completion bash)",
    .rest_min = 1,
    .rest_max = 1,
    .run = run,
};
