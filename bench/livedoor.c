/* bench live: the door: how long a reader is without a writer when one that was killed has a successor. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <yarder/live.h>

#include "base/base.h"
#include "live.h"
#include "live/door.h"
#include "live/table_write.h"

#define SAMPLES 20
static char path[100];

/* A daemon's part of it: memory with a value, a door, and whoever knocks is served. */
static void write_and_serve(uint64_t generation)
{
    struct yd_live_table *table;
    struct yd_live_bell bell;
    struct yd_live_door *door;
    uint32_t index;
    must(
        yd_live_table_create(&(struct yd_live_table_options){.generation = generation, .id = generation}, NULL, &table),
        "table");
    must(yd_live_table_declare(table, YD_STR("v"), YD_U64, 8, &index), "declare");
    must(yd_live_bell_create(generation, generation, 0, &bell), "bell");
    must(yd_live_table_add_bell(table, &bell), "bell");
    must(yd_live_table_set_bits(table, index, 0, YD_U64, 0, generation), "value");
    yd_live_table_set_state(table, YD__LIVE_READY);
    struct yd_live_access access = {.id = (uint32_t)geteuid(), .bell = &bell};
    struct yd_live_door_options options = {
        .path = path, .access = &access, .access_count = 1, .table = yd_live_table_region(table)};
    must(yd_live_door_open(&options, &door, NULL), "door");
    __atomic_store_n(&shared->a, (uint64_t)now_ns(), __ATOMIC_RELEASE);
    struct pollfd poll_door = {yd_live_door_fd(door), POLLIN, 0};
    for (;;) {
        (void)poll(&poll_door, 1, -1);
        yd_live_door_run(door);
    }
}

static pid_t start_writer(uint64_t generation)
{
    pid_t pid = fork();
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    write_and_serve(generation);
    _exit(0);
}

static void kill_writer(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* Asleep, but for the first look of each. */
static void wait_for(struct yd_live_item *item, uint64_t generation)
{
    struct yd_live_value value = {0};
    while (yd_live_get(item, NULL, 0, &value) != 1 || value.bits != generation) (void)yd_live_wait(item, -1);
}

/* On whichever core has room, as programs are. us: from the moment the successor listens to its value in the reader;
 * and from the kill to the reader's being told.
 */
void door_us(struct series *to, struct series *told)
{
    struct yd_live *live;
    struct yd_live_item *item;
    static uint64_t generation;
    unpin();
    (void)snprintf(path, sizeof path, "/tmp/yarder-bench-door-%d", (int)getpid());
    (void)unlink(path);
    shared->a = 0;
    pid_t pid = start_writer(++generation);
    while (!__atomic_load_n(&shared->a, __ATOMIC_ACQUIRE)) usleep(100);
    must(yd_live_open(path, NULL, &live, NULL), "open");
    must(yd_live_follow(live, "v", &item), "follow");
    wait_for(item, generation);
    for (int sample = 0; sample < SAMPLES; sample++) {
        double killed = now_ns();
        kill_writer(pid);
        while (yd_live_wait(item, -1) != YD_ECLOSED) continue;
        bench_add(told, (now_ns() - killed) / 1e3);
        pid = start_writer(++generation);
        wait_for(item, generation);
        bench_add(to, (now_ns() - (double)__atomic_load_n(&shared->a, __ATOMIC_ACQUIRE)) / 1e3);
    }
    yd_live_close(live);
    kill_writer(pid);
    (void)unlink(path);
    pin(0);
}
