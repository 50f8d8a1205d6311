/* All built-in classes: their tables are sound, complete, and what they show as examples is true. */
#include "tested.h"

#include <sys/wait.h>

static void every_table_is_sound(void **state)
{
    (void)state;
    const struct yd_classes *classes = yd_builtin_classes();
    assert_true(classes->count >= 14);
    for (size_t i = 0; i < classes->count; i++) {
        struct yd_trail trail = {0};
        const struct yd_element_class *class = classes->items[i];
        if (yd_class_check(class, &trail) < 0) fail_msg("%s", yd_trail_text(&trail));
        for (size_t j = 0; j < i; j++) assert_string_not_equal(class->name, classes->items[j]->name);
        /* A state that is saved can be loaded, a pump can be stopped, and only a source may do without `receive`. */
        assert_int_equal((class->flags & YD_CLASS_STATEFUL) != 0, class->save != NULL);
        assert_int_equal(class->save != NULL, class->load != NULL);
        assert_true(class->receive || class->flags & YD_CLASS_SOURCE);
        assert_true(!class->pump || (class->pump->start && class->pump->stop));
        assert_true(!class->open || class->state_size > 0);
    }
}

static bool is_sentence(const char *text)
{
    return text && *text && text[strlen(text) - 1] == '.';
}

static void everything_a_user_meets_is_explained(void **state)
{
    (void)state;
    const struct yd_classes *classes = yd_builtin_classes();
    for (size_t i = 0; i < classes->count; i++) {
        const struct yd_element_class *class = classes->items[i];
        const char *name = class->name;
        if (!class->summary || !*class->summary || is_sentence(class->summary))
            fail_msg("%s: the summary is a phrase without a full stop", name);
        if (!class->doc || strlen(class->doc) < 40) fail_msg("%s: doc", name);
        if (!class->example || !*class->example) fail_msg("%s: example", name);
        for (const struct yd_port_class *port = class->ports; port->name; port++)
            if (!is_sentence(port->doc)) fail_msg("%s.%s: '%s'", name, port->name, port->doc ? port->doc : "");
        for (const struct yd_param_class *param = class->params; param->name; param++)
            if (!is_sentence(param->doc)) fail_msg("%s(%s): '%s'", name, param->name, param->doc ? param->doc : "");
        for (size_t r = 0; class->reasons && class->reasons[r]; r++) assert_true(*class->reasons[r]);
    }
}

static void no_duration_and_no_size_may_be_negative(void **state)
{
    (void)state;
    const struct yd_classes *classes = yd_builtin_classes();
    for (size_t i = 0; i < classes->count; i++)
        for (const struct yd_param_class *param = classes->items[i]->params; param->name; param++)
            if ((param->type == YD_PARAM_DURATION || param->type == YD_PARAM_SIZE) &&
                (param->min < 0 || param->max <= param->min))
                fail_msg("%s(%s) has no bounds", classes->items[i]->name, param->name);
}

/* Examples speak of elements that a topology has anyway: what is missing is put beside them. */
static void complete(const char *example, struct yd_buf *to)
{
    static const struct {
        const char *name, *made, *declares, *to, *source, *from, *from_options, *sink;
    } known[] = {
        {"crawl", "crawl ::", "crawl :: Crawl()\n", "", "", "crawl ->", "crawl -[", ""},
        {"graphite", "graphite ::", "graphite :: Graphite(listen: \"127.0.0.1:9\")\n", "", "", "graphite ->",
         "graphite -[", "graphite -> Null()\n"},
        {"metrics", "metrics ::", "metrics :: Log(stream: \"other\")\n", "-> metrics", "Host() -> metrics\n",
         "metrics ->", "metrics -[", "metrics -> Null()\n"},
        {"history", "history ::", "history :: History()\n", "", "", "", "", ""},
    };
    yd_buf_init(to, NULL);
    yd_buf_cstr(to, example);
    yd_buf_char(to, '\n');
    for (size_t i = 0; i < YD_COUNT(known); i++) {
        if (!strstr(example, known[i].name)) continue;
        bool made = strstr(example, known[i].made) != NULL;
        const char *chain = strstr(example, known[i].made); /* made and read in one statement */
        bool read = strstr(example, known[i].from) || strstr(example, known[i].from_options) ||
                    (chain && strstr(chain, ") ->"));
        if (!made) yd_buf_cstr(to, known[i].declares);
        if (!strstr(example, known[i].to)) yd_buf_cstr(to, known[i].source);
        if (!read) yd_buf_cstr(to, known[i].sink);
    }
    (void)text_of(to);
}

static int read_text(void *arg, const char *path, char **ret_text, size_t *ret_size)
{
    if (!strstr(path, ".yd") || strstr(path, ".ydm"))
        return YD_ENOENT; /* what a parameter names: opening it will tell */
    *ret_text = strdup(arg);
    *ret_size = strlen(arg);
    return 0;
}

static void every_example_is_a_topology_that_checks(void **state)
{
    (void)state;
    const struct yd_classes *classes = yd_builtin_classes();
    for (size_t i = 0; i < classes->count; i++) {
        struct yd_buf text, printed;
        struct yd_diagnostics diagnostics;
        struct yd_topology *topology = NULL;
        const struct yd_element_class *class = classes->items[i];
        complete(class->example, &text);
        struct yd_load_options options = {.classes = classes, .read_file = read_text, .arg = text.data};
        yd_diagnostics_init(&diagnostics, NULL);
        yd_buf_init(&printed, NULL);
        int error = yd_topology_load("example.yd", &options, &topology, &diagnostics);
        yd_diagnostics_print(&diagnostics, false, &printed);
        if (error < 0) fail_msg("%s: %s", class->name, text_of(&printed));
        bool shown = false;
        for (size_t n = 0; n < topology->node_count; n++) shown |= topology->nodes[n].class == class;
        if (!shown) fail_msg("%s is not in its own example", class->name);
        yd_topology_destroy(topology);
        yd_diagnostics_fini(&diagnostics);
        yd_buf_fini(&printed);
        yd_buf_fini(&text);
    }
}

static void what_is_kept_may_be_kept_for_a_century(void **state)
{
    (void)state;
    char text[] =
        "Graphite(idle: 36500d) -> log :: Log(stream: \"m\", keep: 36500d, compress: 36500d, replica_lag: 36500d,"
        " cursor_expiry: 36500d) -> History(keep: 36500d, keep_1m: 36500d, keep_1h: 36500d)\n"
        "Replica(from: \"127.0.0.1:9\", stream: \"n\", keep: 36500d, cursor_expiry: 36500d) -> Null()\n"
        "Statsd(forget: 36500d, idle_peers: 36500d) -> Null()\n"
        "Exec(command: [\"/bin/true\"], timeout: 36500d) -> Null()\n";
    struct yd_load_options options = {.classes = yd_builtin_classes(), .read_file = read_text, .arg = text};
    struct yd_diagnostics diagnostics;
    struct yd_topology *topology = NULL;
    struct yd_buf printed;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&printed, NULL);
    int error = yd_topology_load("keep.yd", &options, &topology, &diagnostics);
    yd_diagnostics_print(&diagnostics, false, &printed);
    if (error < 0) fail_msg("%s", text_of(&printed));
    yd_topology_destroy(topology);
    yd_diagnostics_fini(&diagnostics);
    yd_buf_fini(&printed);
}

/* ---- the command ---- */

static char *output_of(const char *arguments, int *ret_status)
{
    char command[512];
    size_t size = 0, capacity = 1 << 20;
    char *text = malloc(capacity);
    (void)snprintf(command, sizeof command, "%s %s 2>&1", YARDER, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size = fread(text, 1, capacity - 1, pipe);
    text[size] = 0;
    int status = pclose(pipe);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return text;
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

static void the_command_has_a_page_of_every_class(void **state)
{
    (void)state;
    const struct yd_classes *classes = yd_builtin_classes();
    int status;
    char *list = output_of("elements", &status), part[512];
    assert_int_equal(status, 0);
    for (size_t i = 0; i < classes->count; i++) {
        const struct yd_element_class *class = classes->items[i];
        expect_in(list, class->summary);
        (void)snprintf(part, sizeof part, "elements %s", class->name);
        char *page = output_of(part, &status);
        assert_int_equal(status, 0);
        (void)snprintf(part, sizeof part, "# %s\n\n%s.\n", class->name, class->summary);
        expect_in(page, part);
        expect_in(page, class->doc);
        expect_in(page, class->example);
        for (const struct yd_port_class *port = class->ports; port->name; port++) {
            (void)snprintf(part, sizeof part, "- `%s`: ", port->name);
            expect_in(page, part);
            expect_in(page, port->doc);
        }
        for (const struct yd_param_class *param = class->params; param->name; param++) {
            (void)snprintf(part, sizeof part, "- `%s: ", param->name);
            expect_in(page, part);
            expect_in(page, param->doc);
        }
        for (size_t r = 0; class->reasons && class->reasons[r]; r++) expect_in(page, class->reasons[r]);
        free(page);
    }
    free(list);
    free(output_of("elements NoSuchClass", &status));
    assert_int_not_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_sound),
        cmocka_unit_test(everything_a_user_meets_is_explained),
        cmocka_unit_test(no_duration_and_no_size_may_be_negative),
        cmocka_unit_test(what_is_kept_may_be_kept_for_a_century),
        cmocka_unit_test(every_example_is_a_topology_that_checks),
        cmocka_unit_test(the_command_has_a_page_of_every_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
