/* Lines of standard input into a stream of a running yarder, each once:  produce ADDRESS STREAM < lines
 * cc produce.c $(pkg-config --cflags --libs yarder-client) -o produce */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <yarder/client.h>

int main(int argc, char **argv)
{
    struct yd_client_options options = {.address = argc > 1 ? argv[1] : NULL, .create = true};
    struct yd_client *client;
    struct yd_client_stream *stream;
    struct yd_builder *builder;
    struct yd_trail trail = {0};
    char line[4096];
    uint32_t name;
    if (yd_client_open(&options, &client, &trail) || yd_builder_create(&(struct yd_builder_options){0}, &builder)) {
        return fprintf(stderr, "produce: %s\n", yd_trail_text(&trail)), 1;
    }
    int error = yd_client_stream(client, argc > 2 ? argv[2] : "lines", &stream);
    while (!error && fgets(line, sizeof line, stdin)) {
        struct yd_batch *batch;
        struct yd_str text = {line, strcspn(line, "\n")};
        error = yd_builder_name(builder, YD_STR("line"), &name);
        if (!error) error = yd_builder_add_bytes(builder, time(NULL) * 1000000000LL, name, YD_EVENT, YD_TEXT, 0, text);
        if (!error) error = yd_builder_seal(builder, &batch);
        if (error) break;
        while ((error = yd_client_append_async(stream, batch, NULL, NULL, NULL)) == YD_EFULL)
            yd_client_run(client, -1); /* until something was acknowledged */
        yd_batch_unref(batch);
    }
    if (!error) error = yd_client_flush(client); /* everything is on the server's disk now */
    if (error) fprintf(stderr, "produce: %s: %s\n", yd_error_text(error), yd_client_trouble(client));
    yd_builder_destroy(builder);
    yd_client_close(client);
    return error != 0;
}
