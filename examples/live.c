/* Prints the newest values of the measurements that match a pattern, and sleeps in between.
 *   cc live.c $(pkg-config --cflags --libs yarder-live) -o live && ./live data/live/NAME.sock 'engine.*' */
#include <stdio.h>
#include <yarder/live.h>

int main(int argc, char **argv)
{
    struct yd_live *live;
    struct yd_live_set *set;
    struct yd_live_item *item;
    struct yd_live_value value;
    struct yd_trail trail = {0};
    char text[256];
    if (argc != 3) return fprintf(stderr, "usage: live SOCKET PATTERN\n"), 2;
    if (yd_live_open(argv[1], NULL, &live, &trail) < 0) return fprintf(stderr, "%s\n", yd_trail_text(&trail)), 1;
    int result = yd_live_follow_matching(live, argv[2], &set);
    while (result >= 0) {
        while (yd_live_set_ready(set, &item) == 1) {
            if (yd_live_get(item, NULL, 0, &value) != 1 || yd_live_get_text(item, text, sizeof text) < 0) continue;
            printf("%s = %s, %llu missed\n", yd_live_name(item), text, (unsigned long long)value.missed);
        }
        fflush(stdout);
        result = yd_live_set_wait(set, -1);
        if (result == YD_ECLOSED) result = fprintf(stderr, "the writer is gone; waiting for it\n");
    }
    fprintf(stderr, "%s\n", yd_error_text(result));
    yd_live_close(live);
    return 1;
}
