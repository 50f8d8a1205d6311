/* The TEXT records of a stream of a running yarder, as they come:  subscribe ADDRESS STREAM
 * cc subscribe.c $(pkg-config --cflags --libs yarder-client) -o subscribe */
#include <stdio.h>
#include <yarder/client.h>

int main(int argc, char **argv)
{
    struct yd_client_options options = {.address = argc > 1 ? argv[1] : NULL};
    struct yd_subscribe_options wanted = {.start = {.from = YD_FROM_OLDEST}};
    struct yd_client *client;
    struct yd_client_stream *stream;
    struct yd_subscription *sub;
    struct yd_received got;
    struct yd_trail trail = {0};
    if (yd_client_open(&options, &client, &trail)) return fprintf(stderr, "subscribe: %s\n", yd_trail_text(&trail)), 1;
    int error = yd_client_stream(client, argc > 2 ? argv[2] : "lines", &stream);
    if (!error) error = yd_client_subscribe(stream, &wanted, NULL, NULL, &sub);
    while (!error && !(error = yd_subscription_next(sub, -1, &got)) && !got.ended) {
        if (got.gap.reason)
            fprintf(stderr, "gap: %llu to %llu (%s)\n", (unsigned long long)got.gap.from,
                    (unsigned long long)got.gap.to, got.gap.reason);
        if (!got.batch) continue;
        const struct yd_view *view = &got.batch->view;
        for (uint32_t i = 0; i < view->count; i++)
            if (view->records[i].type == YD_TEXT)
                printf("%.*s\n", YD_STR_FMT(yd_view_bytes(view, view->records[i].value)));
        fflush(stdout);
        yd_batch_unref(got.batch);
    }
    if (error) fprintf(stderr, "subscribe: %s: %s\n", yd_error_text(error), yd_client_trouble(client));
    yd_client_close(client); /* its subscriptions go with it */
    return error != 0;
}
