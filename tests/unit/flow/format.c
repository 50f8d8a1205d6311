/* `yarder fmt`: canonical, idempotent, and of the same meaning. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "../sparse.h"
#include "base/hash.h"
#include "yard.h"

/* Formatted, terminated; NULL when it does not parse. Free it. */
static char *formatted(const char *text, size_t size)
{
    struct yd_diagnostics diagnostics;
    struct yd_buf to;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&to, NULL);
    int r = yd_topology_format("x.yd", (struct yd_str){text, size}, &to, &diagnostics);
    yd_buf_char(&to, 0);
    char *result = r == 0 ? strdup(to.data) : NULL;
    assert_true((r == 0) == (diagnostics.errors == 0));
    yd_buf_fini(&to);
    yd_diagnostics_fini(&diagnostics);
    return result;
}

static void becomes(const char *text, const char *expected)
{
    char *once = formatted(text, strlen(text));
    assert_non_null(once);
    assert_string_equal(once, expected);
    char *twice = formatted(once, strlen(once));
    assert_string_equal(twice, expected);
    free(once);
    free(twice);
}

static void format_puts_spaces_where_they_belong(void **state)
{
    (void)state;
    becomes("a::Host( every:10s ,disks:[ \"a\",\"b\" ] )\na  ->   b\n",
            "a :: Host(every: 10s, disks: [\"a\", \"b\"])\na -> b\n");
    becomes("a-[queue:1MiB,full :block]->b . c", "a -[queue: 1MiB, full: block]-> b.c\n");
    becomes("a=>b\nx::Map(rename:{a:1,b:{}})with{restart:5 in 1m}",
            "a => b\nx :: Map(rename: { a: 1, b: {} }) with { restart: 5 in 1m }\n");
    becomes("a->shard( by:name )of Window(every:env( \"A\" , -1m ),x:$x)->b",
            "a -> shard(by: name) of Window(every: env(\"A\", -1m), x: $x) -> b\n");
}

static void format_breaks_statements_and_blocks(void **state)
{
    (void)state;
    becomes("a :: Host(); b :: Print();a -> b", "a :: Host()\nb :: Print()\na -> b\n");
    becomes("element C(a:int=5,b:text){in push input;out query ask:series;input->Print()}\n\n\n\na->b",
            "element C(a: int = 5, b: text) {\n  in push input\n  out query ask: series\n  input -> Print()\n}\n\na -> "
            "b\n");
    becomes("test \"t\"{feed a \"x\"\n\n  expect a.b == [{name:\"a\"},{name:\"b\"}];expect a empty;advance 5s}",
            "test \"t\" {\n  feed a \"x\"\n\n  expect a.b == [ { name: \"a\" }, { name: \"b\" } ]\n  expect a empty\n  "
            "advance 5s\n}\n");
    becomes("element C()\n{\n\n  in push input\n  input -> Print()\n\n}\n",
            "element C() {\n  in push input\n  input -> Print()\n}\n");
}

static void format_keeps_comments_and_line_breaks(void **state)
{
    (void)state;
    becomes("\n\n# first   \n#second\n\n\na -> b # behind\n   # own\n",
            "# first\n#second\n\na -> b  # behind\n# own\n");
    becomes("a,\nb\n-> # why\n# because\n  c ->\nd\n", "a,\n  b\n  ->  # why\n  # because\n  c ->\n  d\n");
    becomes("x :: Host(\nevery: 10s, # often\n# all of them\ndisks: [\n1,\n2\n]\n)\n",
            "x :: Host(\n  every: 10s,  # often\n  # all of them\n  disks: [\n    1,\n    2\n  ]\n)\n");
    becomes("element C() { # why\nin push input # in\n# end\n}\n",
            "element C() {  # why\n  in push input  # in\n  # end\n}\n");
    becomes("# only", "# only\n");
    becomes("", "");
    becomes("\n \n", "");
}

static void format_aligns_runs_of_declarations(void **state)
{
    (void)state;
    becomes("a :: Host()\nlonger :: Self()\nbc :: Print()\n\nd :: Null()\n",
            "a      :: Host()\nlonger :: Self()\nbc     :: Print()\n\nd :: Null()\n");
    becomes("a :: Host()\na -> b\nlonger :: Self()\n", "a :: Host()\na -> b\nlonger :: Self()\n");
    becomes("a :: Host(\n)\nlonger :: Self()\n", "a :: Host(\n)\nlonger :: Self()\n");
}

static void format_makes_line_ends_and_marks_plain(void **state)
{
    (void)state;
    becomes("\xef\xbb\xbf"
            "a -> b \r\n\r\n\tc -> d\r\n",
            "a -> b\n\nc -> d\n");
}

static void format_refuses_what_does_not_parse(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a ->", "a :: Host(", "x = 5", "}", "a -> \"b\"", "a :: Host(every: 10sec)"};
    for (size_t i = 0; i < YD_COUNT(wrong); i++) {
        char *none = formatted(wrong[i], strlen(wrong[i]));
        assert_null(none);
    }
}

/* The words of a text without what formatting may change: spaces, line ends, `;`. Comments stay. */
static char *words_of(const char *text)
{
    char *to = calloc(1, strlen(text) + 1), *at = to;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) text += 3;
    bool quoted = false, comment = false;
    for (; *text; text++) {
        if (*text == '\n') comment = false;
        if (*text == '#' && !quoted) comment = true;
        if (*text == '"' && !comment) quoted = !quoted;
        if (quoted && *text == '\\') *at++ = *text++;
        if ((*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n' || (*text == ';' && !comment)) && !quoted)
            continue;
        *at++ = *text;
    }
    return to;
}

static void is_kept(const char *name, const char *text, size_t size)
{
    char *once = formatted(text, size);
    if (!once) return;
    char *twice = formatted(once, strlen(once));
    char *before = words_of(text), *after = words_of(once);
    bool good = twice && strcmp(once, twice) == 0 && strcmp(before, after) == 0;
    if (!good) print_error("%s:\n%s----\n%s----\n%s----\n", name, text, once, twice ? twice : "(refused)");
    assert_true(good);
    free(once), free(twice), free(before), free(after);
}

static void format_twice_is_format_once_for_every_golden_file(void **state)
{
    (void)state;
    DIR *folder = opendir(GOLDEN_FOLDER);
    assert_non_null(folder);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[1024];
        size_t name = strlen(entry->d_name);
        if (name < 3 || strcmp(entry->d_name + name - 3, ".yd") != 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", GOLDEN_FOLDER, entry->d_name);
        FILE *file = fopen(path, "re");
        char *text = calloc(1, 2 << 20);
        size_t size = fread(text, 1, (2 << 20) - 1, file);
        (void)fclose(file);
        if (!memchr(text, 0, size)) is_kept(entry->d_name, text, size);
        free(text);
        files++;
    }
    (void)closedir(folder);
    assert_true(files >= 100);
}

static void format_twice_is_format_once_for_random_layouts(void **state)
{
    (void)state;
    static const char *const words[] = {
        "host",
        "::",
        "Host",
        "(",
        ")",
        "every",
        ":",
        "10s",
        ",",
        "->",
        "a",
        ".",
        "b",
        "=>",
        "-[",
        "queue",
        "1MiB",
        "]->",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n",
        "\n\n\n",
        ";",
        " # c\n",
        "# d \n",
        "with",
        "element C() {",
        "in push input",
        "param x: int = 5",
        "test \"t\" {",
        "feed a \"x\"",
        "a :: Host()\n",
        "bcd :: Print();",
        "x -> y\n",
        "x,\n",
        "()",
        "include \"f\"",
        "\t",
        "  ",
    };
    uint64_t seed = 42;
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct yd_rng rng;
    yd_rng_init(&rng, seed);
    int parsed = 0;
    for (int round = 0; round < 60000; round += UNIT_SPARSE) {
        char text[512];
        size_t size = 0, count = yd_rng_below(&rng, 12);
        for (size_t i = 0; i < count; i++)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s",
                                     words[yd_rng_below(&rng, YD_COUNT(words))], yd_rng_chance(&rng, 4) ? "" : " ");
        text[size] = 0;
        char *once = formatted(text, size);
        parsed += once != NULL;
        free(once);
        is_kept("random", text, size);
    }
    print_message("# %d of them parsed\n", parsed);
    assert_true(parsed > 1000 / UNIT_SPARSE);
}

static void the_example_means_the_same_when_formatted(void **state)
{
    (void)state;
    static const char text[] =
        "graphite::Graphite();host::Host()\ngraphite,host->m::Log(stream:\"m\")->h::History()\n"
        "graphite.rejects-[queue:4MiB]->File(path:\"a b # c\")\n"
        "element C(n:int=3){in push input;out push output;input->Limit(max:$n)->output}m->C(n:5)->Print()\n";
    char *pretty = formatted(text, strlen(text));
    const char *texts[2] = {text, pretty};
    char *graphs[2];
    for (int i = 0; i < 2; i++) {
        struct yard yard;
        struct yd_buf graph;
        yard_init(&yard, texts[i]);
        assert_int_equal(yard_load(&yard), 0);
        yd_buf_init(&graph, NULL);
        yd_topology_graph(yard.topology, YD_GRAPH_TEXT, &graph);
        yd_buf_char(&graph, 0);
        /* Lines move, and with them the names of what has none. */
        char *to = graphs[i] = calloc(1, graph.size);
        for (const char *at = graph.data; *at; at++) {
            *to++ = *at;
            while (*at == '@' && at[1] >= '0' && at[1] <= '9') memmove((char *)at + 1, at + 2, strlen(at + 2) + 1);
            while (*at == ' ' && at[1] == ' ') at++;
        }
        yd_buf_fini(&graph);
        yard_fini(&yard);
    }
    assert_string_equal(graphs[0], graphs[1]);
    free(graphs[0]), free(graphs[1]), free(pretty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_puts_spaces_where_they_belong),
        cmocka_unit_test(format_breaks_statements_and_blocks),
        cmocka_unit_test(format_keeps_comments_and_line_breaks),
        cmocka_unit_test(format_aligns_runs_of_declarations),
        cmocka_unit_test(format_makes_line_ends_and_marks_plain),
        cmocka_unit_test(format_refuses_what_does_not_parse),
        cmocka_unit_test(format_twice_is_format_once_for_every_golden_file),
        cmocka_unit_test(format_twice_is_format_once_for_random_layouts),
        cmocka_unit_test(the_example_means_the_same_when_formatted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
