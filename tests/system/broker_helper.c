/* Applications of a Broker, for broker.py.
 *
 *   broker_helper read ADDRESS PATTERN RING RATE LAST: every value until one is LAST; checks order and completeness
 *   broker_helper follow ADDRESS PATTERN RING RATE LAST: the same over daemons that come and go
 *   broker_helper idle ADDRESS PATTERN RING RATE COUNT: so many applications that subscribe and read when there is a
 *       byte of input, then it says "read"
 *
 * Both say "ready" when they have subscribed, and at the end, idle ones when their input ends, a line for each
 * application: got, lost, passed, paced, overrun, unplaced, broken (values out of order or torn). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yarder/live.h>

struct application {
    struct yd_live *live;
    struct yd_live_subscription *subscription;
    uint64_t missed, broken;
    double last;
};

static int come(struct application *application, char **argv)
{
    struct yd_trail trail = {0};
    struct yd_live_subscribe_options options = {.every = true, .ring_size = strtoull(argv[4], NULL, 10)};
    options.rate = strtod(argv[5], NULL);
    int error = yd_live_open(argv[2], NULL, &application->live, &trail);
    if (!error) error = yd_live_subscribe(application->live, argv[3], &options, &application->subscription, &trail);
    if (error) fprintf(stderr, "%s\n", yd_trail_text(&trail));
    return error;
}

/* Values are 1, 2, 3 … of one name: each tells its own sequence. */
static int take_all(struct application *application)
{
    struct yd_live_update update;
    int got;
    while ((got = yd_live_subscription_next(application->subscription, NULL, 0, &update)) == 1) {
        double value;
        memcpy(&value, &update.value.bits, sizeof value);
        application->missed += update.value.missed;
        /* Of the first one it is not known what was missed, but what was overwritten before it. */
        uint64_t between = application->last > 0 ? update.value.missed : update.lost;
        if (value != application->last + 1 + (double)between) application->broken++;
        application->last = value;
    }
    return got;
}

static int report(struct application *application)
{
    struct yd_live_counts counts;
    int error = yd_live_subscription_counts(application->subscription, &counts);
    if (error) return error;
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.got,
           counts.lost, counts.passed, counts.paced, counts.overrun, counts.unplaced, application->broken);
    fflush(stdout);
    return 0;
}

static int read_until(char **argv)
{
    struct application application = {0};
    double last = strtod(argv[6], NULL);
    if (come(&application, argv)) return 1;
    puts("ready");
    fflush(stdout);
    while (application.last < last) {
        int got = yd_live_subscription_wait(application.subscription, INT64_C(60) * 1000000000);
        if (got == YD_ECLOSED) continue; /* said once; it sleeps until there is a successor */
        if (got != 1 || take_all(&application) != 0) {
            fprintf(stderr, "after %f: %s\n", application.last, yd_error_text(got));
            return 1;
        }
    }
    int error = report(&application);
    yd_live_close(application.live);
    return error != 0;
}

/* Over daemons that come and go: values rise as their sequences do; from one daemon to the next they only rise, and the
 * first one there has missed nothing. One line at the end: how many came, how often a daemon was a new one, broken. */
static int follow_until(char **argv)
{
    struct application application = {0};
    double last = strtod(argv[6], NULL);
    uint64_t got = 0, daemons = 0, seq = 0;
    if (come(&application, argv)) return 1;
    puts("ready");
    fflush(stdout);
    while (application.last < last) {
        struct yd_live_update update;
        int result = yd_live_subscription_wait(application.subscription, INT64_C(60) * 1000000000);
        if (result == YD_ECLOSED || result == YD_ECANCELED) continue;
        if (result != 1) return 1;
        while ((result = yd_live_subscription_next(application.subscription, NULL, 0, &update)) == 1) {
            double value;
            memcpy(&value, &update.value.bits, sizeof value);
            if (value >= last) application.last = value; /* not one of those in order */
            if (value >= last) break;
            bool same = update.value.seq > seq && value - application.last == (double)(update.value.seq - seq) &&
                        update.value.missed == (seq ? update.value.seq - seq - 1 : 0);
            if (got && !same) daemons++;
            if (value <= application.last || (got && !same && update.value.missed)) application.broken++;
            application.last = value;
            seq = update.value.seq;
            got++;
        }
        if (result < 0) return 1;
    }
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", got, daemons, application.broken);
    yd_live_close(application.live);
    return 0;
}

static int stay(char **argv)
{
    size_t count = strtoul(argv[6], NULL, 10);
    struct application *applications = calloc(count, sizeof *applications);
    char byte;
    int error = applications ? 0 : YD_ENOMEM;
    for (size_t i = 0; i < count && !error; i++) error = come(&applications[i], argv);
    if (error) return 1;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1) {
        for (size_t i = 0; i < count && !error; i++) error = take_all(&applications[i]);
        puts("read");
        fflush(stdout);
    }
    for (size_t i = 0; i < count && !error; i++) {
        error = take_all(&applications[i]);
        if (!error) error = report(&applications[i]);
        yd_live_close(applications[i].live);
    }
    free(applications);
    return error != 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "read") == 0) return read_until(argv);
    if (argc == 7 && strcmp(argv[1], "follow") == 0) return follow_until(argv);
    if (argc == 7 && strcmp(argv[1], "idle") == 0) return stay(argv);
    return 2;
}
