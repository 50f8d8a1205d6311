/* Both ends in processes of their own: killed, stopped, watched by a filter that ends whoever makes a system call; and
 * as threads, for the thread sanitizer. ROUNDS=10000 for a long run (./dev soak live). */
#include "../skip.h"
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "live/bell_wait.h"
#include "live/ring_read.h"
#include "live/ring_write.h"
#include "live/table_read.h"
#include "live/table_write.h"
#include "live/triple_read.h"
#include "live/triple_write.h"

#define VALUE_SIZE 64
#define LONGEST_NS (INT64_C(10) * 1000000000) /* a wake-up that was lost would take 30 s: the sleep's own bound */

/* Each process says here what it is and was doing: memory of the test, not of what is tested. */
struct said {
    uint64_t published, seen, sleeps, longest_ns;
    uint32_t wrong, stop;
};

struct world {
    struct yd_live_table *table;
    struct yd_live_bell bell;
    struct yd_live_ring ring;
    struct yd_live_triple triple;
    struct yd_live_mapping mapping, bell_mapping, ring_mapping, buffers, control;
    struct yd_live_table_view view;
    struct yd_live_cell cell;
    struct said *said;
};

static int64_t now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * YD_NS_PER_S + at.tv_nsec;
}

static void make_world(struct world *w)
{
    uint32_t index;
    memset(w, 0, sizeof *w);
    assert_int_equal(yd_live_table_create(&(struct yd_live_table_options){.capacity = 4}, NULL, &w->table), 0);
    assert_int_equal(yd_live_table_declare(w->table, YD_STR("v"), YD_BLOB, VALUE_SIZE, &index), 1);
    assert_int_equal(yd_live_bell_create(0, 0, 0, &w->bell), 0);
    assert_int_equal(yd_live_table_add_bell(w->table, &w->bell), 0);
    yd_live_table_set_state(w->table, YD__LIVE_READY);
    assert_int_equal(yd_live_ring_create(&(struct yd_live_ring_options){.size = 8192}, &w->ring), 0);
    yd_live_ring_set_state(&w->ring, YD__LIVE_READY);
    assert_int_equal(yd_live_triple_create(VALUE_SIZE, 0, 0, 0, &w->triple), 0);
    yd_live_triple_set_state(&w->triple, YD__LIVE_READY);
    assert_int_equal(yd_live_mapping_open(yd_live_table_region(w->table)->fd, YD__LIVE_TABLE, &w->mapping), 0);
    assert_int_equal(yd_live_mapping_open(w->bell.region.fd, YD__LIVE_BELL, &w->bell_mapping), 0);
    assert_int_equal(yd_live_mapping_open(w->ring.region.fd, YD__LIVE_RING, &w->ring_mapping), 0);
    assert_int_equal(yd_live_mapping_open(w->triple.region.fd, YD__LIVE_TRIPLE, &w->buffers), 0);
    assert_int_equal(yd_live_mapping_open(w->triple.control.fd, YD__LIVE_BELL, &w->control), 0);
    assert_int_equal(yd_live_table_view_open(&w->mapping, &w->view), 0);
    assert_int_equal(yd_live_table_view_cell(&w->view, 0, &w->cell), 0);
    w->said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w->said != MAP_FAILED);
}

static void end_world(struct world *w)
{
    yd_live_mapping_close(&w->mapping);
    yd_live_mapping_close(&w->bell_mapping);
    yd_live_mapping_close(&w->ring_mapping);
    yd_live_mapping_close(&w->buffers);
    yd_live_mapping_close(&w->control);
    yd_live_table_destroy(w->table);
    yd_live_bell_destroy(&w->bell);
    yd_live_ring_destroy(&w->ring);
    yd_live_triple_destroy(&w->triple);
    munmap(w->said, 4096);
}

/* Value n everywhere: its words all say n. */
static void publish(struct world *w, uint64_t n)
{
    uint64_t words[VALUE_SIZE / 8];
    for (size_t i = 0; i < YD_COUNT(words); i++) words[i] = n;
    (void)yd_live_table_publish(w->table, 0, (int64_t)n, YD_BLOB, (uint16_t)n, words, sizeof words);
    (void)yd_live_ring_put(&w->ring, (uint32_t)n & 0xffff, (int64_t)n, YD_BLOB, (uint16_t)n, words, sizeof words);
    yd_live_ring_commit(&w->ring);
    (void)yd_live_triple_put(&w->triple, (int64_t)n, YD_BLOB, (uint16_t)n, words, sizeof words);
    __atomic_store_n(&w->said->published, n, __ATOMIC_RELAXED);
}

static void write_until_stopped(struct world *w)
{
    for (uint64_t n = 1; !__atomic_load_n(&w->said->stop, __ATOMIC_RELAXED); n++) {
        publish(w, n);
        /* Sometimes there is nothing new for a while, so that readers come to sleep. */
        if (n % 512 == 0) usleep(50);
    }
}

static bool whole(const void *bytes, uint32_t size, uint64_t n, int64_t time_ns, uint16_t flags)
{
    const uint64_t *words = bytes;
    bool good = size == VALUE_SIZE && time_ns == (int64_t)n && flags == (uint16_t)n;
    for (size_t i = 0; good && i < VALUE_SIZE / 8; i++) good = words[i] == n;
    return good;
}

static void wrong(struct world *w, uint32_t what)
{
    __atomic_fetch_or(&w->said->wrong, 1u << what, __ATOMIC_RELAXED);
}

static void sleep_once(struct world *w, const struct yd_live_sleep *sleep)
{
    int64_t began = now_ns();
    (void)yd_live_bell_sleep(sleep, 1, INT64_MAX);
    uint64_t slept = (uint64_t)(now_ns() - began);
    __atomic_fetch_add(&w->said->sleeps, 1, __ATOMIC_RELAXED);
    if (slept > __atomic_load_n(&w->said->longest_ns, __ATOMIC_RELAXED))
        __atomic_store_n(&w->said->longest_ns, slept, __ATOMIC_RELAXED);
}

static void read_all_until_stopped(struct world *w, bool has_triple)
{
    struct yd_live_cursor get = {0}, next = {0};
    struct yd_live_ring_reader ring;
    struct yd_live_triple_reader triple;
    uint64_t bytes[VALUE_SIZE / 8], ordinal;
    if (yd_live_ring_reader_open(&w->ring_mapping, NULL, &ring) ||
        yd_live_triple_reader_open(&w->buffers, &w->control, &triple))
        return wrong(w, 0);
    ordinal = ring.ordinal;
    bool counted = ring.counted; /* not, where the writer stood still inside a commit */
    while (!__atomic_load_n(&w->said->stop, __ATOMIC_RELAXED)) {
        struct yd_live_value value;
        uint64_t before = get.seq;
        int got = yd_live_cell_get(&w->cell, &get, bytes, sizeof bytes, &value);
        if (got == 1 && !whole(bytes, value.size, value.seq, value.time_ns, value.flags)) wrong(w, 1);
        if (got == 1 && (value.seq <= before || (before && value.missed != value.seq - before - 1))) wrong(w, 2);
        if (got == YD_EFORMAT) wrong(w, 3);
        before = next.seq;
        int one = yd_live_cell_next(&w->cell, &next, bytes, sizeof bytes, &value);
        if (one == 1 && !whole(bytes, value.size, value.seq, value.time_ns, value.flags)) wrong(w, 4);
        if (one == 1 && before && value.seq != before + value.missed + 1) wrong(w, 5);
        struct yd_live_event event;
        int record = yd_live_ring_next(&ring, bytes, sizeof bytes, &event);
        if (record == 1 && !whole(bytes, event.size, event.ordinal + 1, event.time_ns, event.flags)) wrong(w, 6);
        if (record == 1 && counted && event.ordinal != ordinal + event.lost) wrong(w, 7);
        counted = counted || record == 1;
        if (record == 1) ordinal = event.ordinal + 1;
        if (record == YD_EFORMAT) wrong(w, 8);
        const void *latest;
        before = triple.seq;
        int taken = !has_triple ? 0 : yd_live_triple_take(&triple, &latest, &value);
        if (taken == 1 && !whole(latest, value.size, value.seq, value.time_ns, value.flags)) wrong(w, 9);
        if (taken == 1 && value.seq <= before) wrong(w, 10);
        if (taken < 0) wrong(w, 11);
        if (got == 1) __atomic_store_n(&w->said->seen, get.seq, __ATOMIC_RELAXED);
        if (got == 1 || one == 1 || record == 1 || taken == 1) continue;
        /* Arm, check, sleep: by turns at the table's bell and at the triple buffer's word. */
        struct yd_live_sleep sleep;
        if (get.seq % 2 || !has_triple) {
            sleep = yd_live_bell_arm(&w->bell_mapping, w->cell.bell);
            if (!yd_live_cell_changed(&w->cell, &get)) sleep_once(w, &sleep);
        } else if (yd_live_triple_arm(&triple, &sleep) == 0) {
            sleep_once(w, &sleep);
        }
    }
}

static void read_until_stopped(struct world *w)
{
    read_all_until_stopped(w, true);
}
static void read_table_until_stopped(struct world *w)
{
    read_all_until_stopped(w, false);
}

static pid_t start(struct world *w, void (*run)(struct world *))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(w);
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void wait_until_moves(const uint64_t *word, uint64_t from, const char *what)
{
    for (int64_t until = now_ns() + LONGEST_NS; __atomic_load_n(word, __ATOMIC_RELAXED) == from;) {
        if (now_ns() > until) fail_msg("nothing moved for ten seconds: %s", what);
        usleep(20);
    }
}

/* One that attaches to what was left reads a whole value, and all later ones. */
static void look_at_what_is_left(struct world *w, uint64_t published)
{
    struct yd_live_cursor cursor = {0};
    struct yd_live_value value;
    uint64_t bytes[VALUE_SIZE / 8];
    int got = yd_live_cell_get(&w->cell, &cursor, bytes, sizeof bytes, &value);
    if (published == 0 && got == YD_EAGAIN) return;
    assert_int_equal(got, 1);
    assert_true(whole(bytes, value.size, value.seq, value.time_ns, value.flags));
    assert_true(value.seq == published || value.seq == published + 1);
    cursor.seq = 0;
    for (uint64_t last = 0; (got = yd_live_cell_next(&w->cell, &cursor, bytes, sizeof bytes, &value)) == 1;) {
        assert_true(whole(bytes, value.size, value.seq, value.time_ns, value.flags) && value.seq > last);
        last = value.seq;
    }
    assert_int_equal(got, 0);
}

static void killed_and_stopped_ends_leave_no_torn_value_and_hold_nobody_up(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    const char *rounds_text = getenv("ROUNDS");
    int rounds = rounds_text ? atoi(rounds_text) : 300;
    uint64_t sleeps = 0, longest = 0;
    for (int round = 0; round < rounds; round++) {
        struct world w;
        make_world(&w);
        pid_t writer = start(&w, write_until_stopped), reader = start(&w, read_until_stopped);
        wait_until_moves(&w.said->published, 0, "the writer never began");
        wait_until_moves(&w.said->seen, 0, "the reader never began");
        usleep((useconds_t)yd_rng_below(&rng, 1500));
        uint64_t from;
        switch (yd_rng_below(&rng, 4)) {
        case 0: /* the writer dies inside any instruction */
            end(writer);
            writer = 0;
            break;
        case 1: /* the reader dies: the writer goes on, another reader reads on */
            end(reader);
            from = __atomic_load_n(&w.said->published, __ATOMIC_RELAXED);
            wait_until_moves(&w.said->published, from, "a writer whose reader was killed waits");
            /* The triple buffer's one reader is gone: the next gets another. */
            reader = start(&w, read_table_until_stopped);
            from = __atomic_load_n(&w.said->seen, __ATOMIC_RELAXED);
            wait_until_moves(&w.said->seen, from, "the next reader never began");
            break;
        case 2: /* the reader stands still: the writer does not */
            kill(reader, SIGSTOP);
            from = __atomic_load_n(&w.said->published, __ATOMIC_RELAXED);
            wait_until_moves(&w.said->published, from, "a writer waits for a reader that stands still");
            kill(reader, SIGCONT);
            from = __atomic_load_n(&w.said->seen, __ATOMIC_RELAXED);
            wait_until_moves(&w.said->seen, from, "a reader that goes on sees nothing new");
            break;
        default: /* the writer stands still: the reader sleeps, and wakes with it */
            kill(writer, SIGSTOP);
            usleep(200);
            from = __atomic_load_n(&w.said->seen, __ATOMIC_RELAXED);
            kill(writer, SIGCONT);
            wait_until_moves(&w.said->seen, from, "a reader was not woken");
        }
        if (writer) end(writer);
        end(reader);
        look_at_what_is_left(&w, w.said->published);
        if (w.said->wrong) fail_msg("round %d: wrong: bits %x", round, w.said->wrong);
        sleeps += w.said->sleeps;
        longest = YD_MAX(longest, w.said->longest_ns);
        end_world(&w);
    }
    printf("# %d rounds, %llu sleeps, the longest %.3f ms\n", rounds, (unsigned long long)sleeps,
           (double)longest / 1e6);
    assert_true(longest < (uint64_t)LONGEST_NS);
}

/* Whatever system call it makes after this is its last, but exit_group. */
static bool allow_no_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {YD_COUNT(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int publish_filtered(struct world *w)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (!allow_no_system_calls()) _exit(77);
        for (uint64_t n = 1; n <= 100000; n++) publish(w, n);
        syscall(SYS_exit_group, 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void the_writer_makes_no_system_call_while_nobody_waits(void **state)
{
    (void)state;
    struct world w;
    make_world(&w);
    int status = publish_filtered(&w);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        end_world(&w);
        skip_because("no filter of system calls (seccomp) can be set");
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(w.said->published == 100000);
    /* And one that has to wake somebody does, so the filter would have found out. */
    (void)yd_live_bell_arm(&w.bell_mapping, w.cell.bell);
    status = publish_filtered(&w);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    end_world(&w);
}

/* Older sandboxes answer what they do not know by EPERM. */
static bool forbid_futex_waitv(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {YD_COUNT(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void several_words_are_slept_on_where_the_kernel_cannot_or_may_not(void **state)
{
    (void)state;
    struct world w;
    make_world(&w);
    pid_t pid = fork();
    if (pid == 0) {
        if (!forbid_futex_waitv()) _exit(77);
        struct yd_live_sleep words[2] = {yd_live_bell_arm(&w.bell_mapping, 1), yd_live_bell_arm(&w.bell_mapping, 2)};
        int64_t begun = now_ns();
        int slept, rounds = 0;
        do slept = yd_live_bell_sleep(words, 2, begun + 100 * 1000000);
        while (slept == 0 && ++rounds < 1000);
        _exit(slept == YD_ETIMEOUT && now_ns() - begun >= 100 * 1000000 && rounds <= 20 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    end_world(&w);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip_because("no filter of system calls (seccomp) can be set");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_sealed_region_cannot_be_written_shrunk_or_mapped_again_for_writing(void **state)
{
    (void)state;
    struct world w;
    make_world(&w);
    int fd = yd_live_table_region(w.table)->fd, reader;
    assert_true(ftruncate(fd, 0) != 0 && ftruncate(fd, 1 << 30) != 0);
    assert_true(pwrite(fd, "x", 1, 0) < 0);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(mprotect((void *)(uintptr_t)w.mapping.header, 4096, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(yd_live_region_reader_fd(yd_live_table_region(w.table), &reader), 0);
    assert_int_equal(fallocate(reader, 0, 0, 4096), -1); /* a client cannot make us pay for what is reserved */
    assert_int_equal(pwrite(reader, "x", 1, 0), -1);
    close(reader);
    /* Nor one who opens it anew by /proc, where its mode counts. */
    struct stat stat;
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0400);
    assert_int_equal(fstat(w.bell.region.fd, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0600);
    assert_true(ftruncate(w.bell.region.fd, 0) != 0);
    /* Nor can a client seal a bell, for others, against what they need. */
    assert_int_equal(yd_live_region_reader_fd(&w.bell.region, &reader), 0);
    assert_int_equal(fcntl(reader, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    close(reader);
    end_world(&w);
}

/* vm.memfd_noexec may insist on it. */
static void a_region_is_not_to_be_run_where_the_kernel_can_say_so(void **state)
{
    (void)state;
    enum { NOEXEC_SEAL = 8, SEAL_EXEC = 0x20 };
    int fd = memfd_create("probe", MFD_ALLOW_SEALING | NOEXEC_SEAL);
    if (fd < 0) skip_because("the kernel is older than Linux 6.3");
    close(fd);
    struct world w;
    make_world(&w);
    assert_int_equal(fcntl(yd_live_table_region(w.table)->fd, F_GET_SEALS) & SEAL_EXEC, SEAL_EXEC);
    end_world(&w);
}

/* Pid and start time: field 22 of /proc/self/stat, counted here from the other end of the line's first half. */
static void a_writer_is_named_by_its_pid_and_when_it_started(void **state)
{
    (void)state;
    char line[1024] = "", *at;
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file || !fgets(line, sizeof line, file) || atoi(line) != getpid()) {
        if (file) fclose(file);
        skip_because("/proc shows other processes than ours");
    }
    fclose(file);
    unsigned long long start = 0;
    at = strrchr(line, ')');
    assert_non_null(at);
    assert_int_equal(
        sscanf(at + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &start), 1);
    assert_true(start > 0);
    struct world w;
    make_world(&w);
    const struct yd__live_header *header = yd_live_table_region(w.table)->header;
    assert_true(header->writer_pid == getpid());
    assert_true(header->writer_start == start);
    end_world(&w);
}

static void foreign_and_damaged_regions_are_refused(void **state)
{
    (void)state;
    struct yd_live_mapping mapping;
    int plain = memfd_create("plain", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(plain, 8192), 0);
    assert_int_equal(yd_live_mapping_open(plain, YD__LIVE_TABLE, &mapping), YD_EPERM);
    close(plain);
    /* Each seal counts: without one of them somebody could take pages away, or write. */
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE};
    for (int missing = 0; missing < 3; missing++) {
        int fd = memfd_create("partly", MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, 8192), 0);
        for (int i = 0; i < 3; i++)
            if (i != missing) assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
        assert_int_equal(yd_live_mapping_open(fd, YD__LIVE_TABLE, &mapping), YD_EPERM);
        close(fd);
    }
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(yd_live_mapping_open(ends[0], YD__LIVE_TABLE, &mapping), YD_EPERM);
    close(ends[0]), close(ends[1]);
    assert_int_equal(yd_live_mapping_open(-1, YD__LIVE_TABLE, &mapping), YD_EINVAL);
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct world w;
    make_world(&w);
    assert_int_equal(yd_live_mapping_open(w.bell.region.fd, YD__LIVE_CREDIT, &mapping), YD_EFORMAT);
    struct yd_live_region *region = (struct yd_live_region *)(uintptr_t)yd_live_table_region(w.table);
    region->header->abi_major++;
    assert_int_equal(yd_live_mapping_open(region->fd, YD__LIVE_TABLE, &mapping), YD_EVERSION);
    region->header->abi_major--;
    yd_live_region_set_state(region, YD__LIVE_MAKING);
    assert_int_equal(yd_live_mapping_open(region->fd, YD__LIVE_TABLE, &mapping), YD_EAGAIN);
    yd_live_region_set_state(region, YD__LIVE_READY);
    publish(&w, 1);
    /* Random bytes anywhere in header, entry and cell: a reader refuses or reads something, and never leaves the
     * mapping. */
    size_t size = region->size;
    uint8_t *bytes = (uint8_t *)region->header, *saved = malloc(size);
    memcpy(saved, bytes, size);
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, saved, 4096);
        struct yd__table_entry *entry = (struct yd__table_entry *)(bytes + YD__LIVE_CONTENT);
        memcpy(entry, saved + YD__LIVE_CONTENT, sizeof *entry);
        for (int k = 0; k < 1 + i % 3; k++) {
            size_t at = yd_rng_chance(&rng, 2) ? yd_rng_below(&rng, YD__LIVE_CONTENT)
                                               : YD__LIVE_CONTENT + yd_rng_below(&rng, sizeof *entry);
            bytes[at] = (uint8_t)(yd_rng_chance(&rng, 3) ? 0xff : yd_rng_next(&rng));
        }
        struct yd_live_table_view view;
        struct yd_live_cell cell;
        struct yd_live_value value;
        struct yd_live_cursor cursor = {0};
        const char *name;
        uint32_t name_size, index;
        uint8_t to[VALUE_SIZE];
        if (yd_live_mapping_open(region->fd, YD__LIVE_TABLE, &mapping)) continue;
        if (yd_live_table_view_open(&mapping, &view) == 0) {
            (void)yd_live_table_view_find(&view, "v", 1, 0, &index);
            if (yd_live_table_view_name(&view, 0, &name, &name_size) == 0)
                assert_true((const uint8_t *)name + name_size <= (const uint8_t *)mapping.header + size);
            if (yd_live_table_view_cell(&view, 0, &cell) == 0) {
                (void)yd_live_cell_get(&cell, &cursor, to, sizeof to, &value);
                (void)yd_live_cell_next(&cell, &cursor, to, sizeof to, &value);
            }
        }
        yd_live_mapping_close(&mapping);
    }
    memcpy(bytes, saved, size);
    free(saved);
    end_world(&w);
}

static void a_client_that_scribbles_on_its_bell_costs_wakes_and_nothing_else(void **state)
{
    (void)state;
    struct yd_rng rng;
    yd_rng_init(&rng, test_seed());
    struct world w;
    make_world(&w);
    uint32_t *words = (uint32_t *)(uintptr_t)w.bell_mapping.header;
    for (uint64_t n = 1; n <= 20000; n++) {
        words[yd_rng_below(&rng, YD__BELL_SIZE / 4)] = (uint32_t)yd_rng_next(&rng);
        *yd_live_bell_word(&w.bell_mapping, w.cell.bell) = (uint32_t)yd_rng_next(&rng);
        publish(&w, n);
        look_at_what_is_left(&w, n);
    }
    assert_true(w.bell.wakes > 5000 && w.bell.wakes <= 20000);
    end_world(&w);
}

static void *write_thread(void *w)
{
    for (uint64_t n = 1; n <= 50000; n++) publish(w, n);
    __atomic_store_n(&((struct world *)w)->said->stop, 1, __ATOMIC_RELAXED);
    publish(w, 50001);
    return NULL;
}
static void *read_thread(void *w)
{
    read_until_stopped(w);
    return NULL;
}

static void both_ends_as_threads(void **state)
{
    (void)state;
    struct world w;
    make_world(&w);
    pthread_t writer, reader;
    assert_int_equal(pthread_create(&reader, NULL, read_thread, &w), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_thread, &w), 0);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(w.said->wrong, 0);
    look_at_what_is_left(&w, 50001);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_as_threads),
        cmocka_unit_test(killed_and_stopped_ends_leave_no_torn_value_and_hold_nobody_up),
        cmocka_unit_test(the_writer_makes_no_system_call_while_nobody_waits),
        cmocka_unit_test(several_words_are_slept_on_where_the_kernel_cannot_or_may_not),
        cmocka_unit_test(a_sealed_region_cannot_be_written_shrunk_or_mapped_again_for_writing),
        cmocka_unit_test(a_region_is_not_to_be_run_where_the_kernel_can_say_so),
        cmocka_unit_test(a_writer_is_named_by_its_pid_and_when_it_started),
        cmocka_unit_test(foreign_and_damaged_regions_are_refused),
        cmocka_unit_test(a_client_that_scribbles_on_its_bell_costs_wakes_and_nothing_else),
    };
    const char *only = getenv("ONLY");
    if (only) cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
