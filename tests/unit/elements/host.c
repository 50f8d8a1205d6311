/* Host: the kernel's figures, out of a /proc on the simulated disk. */
#include "tested.h"

static void put_proc(struct tested *t)
{
    put_file(t, "/proc/stat",
             "cpu  100 0 0 0 0 0 0 0 0 0\ncpu0 10 1 2 30 4 5 6 7 8 9\ncpu1 20 0 0\n"
             "intr 12345 1 2 3\nctxt 777\nbtime 1700000000\nprocesses 42\n");
    put_file(t, "/proc/loadavg", "0.50 1.25 2.00 1/234 5678\n");
    put_file(t, "/proc/meminfo", "MemTotal:       1000 kB\nMemFree:         250 kB\nHugePages_Total:       0\n");
    put_file(t, "/proc/diskstats",
             "   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"
             "   8       0 sda 100 1 2000 30 400 2 5000 60 0 70 80\n");
    put_file(t, "/proc/net/dev",
             "Inter-|   Receive                                                |  Transmit\n"
             " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n"
             "    lo: 1000      10    0    0    0     0          0         0     1000      10    1    2    0\n"
             "eth0.5:5000 50 3 4 0 0 0 0 6000 60 5 6 0 0 0 0\n");
}

static void start(struct tested *t, const char *args)
{
    char text[256];
    t->listen_to = "h";
    (void)snprintf(text, sizeof text, "h :: Host(host: \"web 1\", every: 10s%s) -> Null()\n", args);
    tested_start(t, text);
    tested_run(t, YD_NS_PER_S);
}

static void expect_line(const char *out, const char *line)
{
    char whole[200];
    (void)snprintf(whole, sizeof whole, "h.output %s\n", line);
    if (!strstr(out, whole)) fail_msg("'%s' is not in:\n%s", whole, out);
}

static void what_proc_says_becomes_records(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "DELTA cpu.user cpu=0,host=web\\ 1 100", /* ticks of 10 ms */
        "DELTA cpu.steal cpu=0,host=web\\ 1 70",
        "DELTA cpu.user cpu=1,host=web\\ 1 200",
        "DELTA cpu.idle cpu=1,host=web\\ 1 0",
        "DELTA cpu.context_switches host=web\\ 1 777",
        "DELTA cpu.interrupts host=web\\ 1 12345",
        "DELTA cpu.forks host=web\\ 1 42",
        "SAMPLE load.1m host=web\\ 1 0.5",
        "SAMPLE load.15m host=web\\ 1 2",
        "SAMPLE memory.total host=web\\ 1 1024000",
        "SAMPLE memory.free host=web\\ 1 256000",
        "DELTA disk.reads device=sda,host=web\\ 1 100",
        "DELTA disk.read_bytes device=sda,host=web\\ 1 1024000",
        "DELTA disk.read_ms device=sda,host=web\\ 1 30",
        "DELTA disk.writes device=sda,host=web\\ 1 400",
        "DELTA disk.write_bytes device=sda,host=web\\ 1 2560000",
        "DELTA disk.write_ms device=sda,host=web\\ 1 60",
        "DELTA disk.busy_ms device=sda,host=web\\ 1 70",
        "DELTA net.rx_bytes device=lo,host=web\\ 1 1000",
        "DELTA net.tx_errors device=lo,host=web\\ 1 1",
        "DELTA net.rx_bytes device=eth0.5,host=web\\ 1 5000",
        "DELTA net.rx_dropped device=eth0.5,host=web\\ 1 4",
        "DELTA net.tx_bytes device=eth0.5,host=web\\ 1 6000",
        "DELTA net.tx_dropped device=eth0.5,host=web\\ 1 6",
    };
    struct tested t;
    tested_open(&t);
    put_proc(&t);
    start(&t, "");
    const char *out = tested_out(&t);
    for (size_t i = 0; i < YD_COUNT(lines); i++) expect_line(out, lines[i]);
    assert_non_null(strstr(out, "filesystem.total host=web\\ 1,path=/ "));
    assert_null(strstr(out, "loop0"));
    assert_null(strstr(out, "face"));
    assert_int_equal(input_of(&t, "h", "pump").rejected, 0);
    tested_close(&t);
}

static void a_report_comes_at_once_and_then_every_so_often(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_proc(&t);
    start(&t, ", cpu: false, disks: false, network: false");
    assert_int_equal(t.emitted, 1);
    tested_run(&t, 8 * YD_NS_PER_S);
    assert_int_equal(t.emitted, 1);
    for (int i = 2; i < 10; i++) {
        tested_run(&t, 10 * YD_NS_PER_S);
        assert_int_equal(t.emitted, i);
    }
    tested_drain(&t);
    tested_close(&t);
}

static void groups_can_be_left_out(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_proc(&t);
    start(&t, ", cpu: false, disks: false, network: false");
    expect_out(&t,
               "h.output SAMPLE memory.total host=web\\ 1 1024000\nh.output SAMPLE memory.free host=web\\ 1 256000\n");
    tested_close(&t);
}

static void files_that_are_missing_are_said_once_and_the_others_told(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_proc(&t);
    assert_int_equal(yd_fs_unlink(t.fs, "/proc/stat"), 0);
    assert_int_equal(yd_fs_unlink(t.fs, "/proc/diskstats"), 0);
    start(&t, "");
    tested_run(&t, 30 * YD_NS_PER_S);
    const char *out = tested_out(&t);
    expect_line(out, "SAMPLE load.1m host=web\\ 1 0.5");
    expect_line(out, "SAMPLE memory.free host=web\\ 1 256000");
    expect_line(out, "DELTA net.rx_bytes device=lo,host=web\\ 1 1000");
    assert_non_null(strstr(out, "filesystem.total"));
    assert_null(strstr(out, "disk."));
    expect_said(&t, "/proc/stat: not found; its figures are left out");
    expect_said(&t, "/proc/diskstats: not found; its figures are left out");
    assert_int_equal(strstr(strstr(t.said, "/proc/stat") + 1, "/proc/stat") != NULL, 0);
    tested_close(&t);
}

static void nonsense_and_cut_lines_hurt_nobody(void **state)
{
    (void)state;
    struct tested t;
    tested_open(&t);
    put_file(&t, "/proc/stat", "cpu0\ncpu1 99999999999999999999 x\n\n \nctxt");
    put_file(&t, "/proc/loadavg", "");
    put_file(&t, "/proc/meminfo", "MemTotal:");
    put_file(&t, "/proc/diskstats", "8\n8 0\n8 0 sda");
    put_file(&t, "/proc/net/dev", ":\neth0:");
    start(&t, "");
    expect_line(tested_out(&t), "SAMPLE memory.total host=web\\ 1 0");
    tested_close(&t);
}

static void a_machine_of_many_devices_is_told_whole(void **state)
{
    (void)state;
    enum { DEVICES = 3000 };
    struct tested t;
    struct yd_buf text;
    tested_open(&t);
    put_proc(&t);
    yd_buf_init(&text, NULL);
    for (int i = 0; i < DEVICES; i++) yd_buf_printf(&text, "veth%d: %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", i, i);
    put_file(&t, "/proc/net/dev", text_of(&text));
    yd_buf_fini(&text);
    start(&t, ", cpu: false, disks: false, memory: false");
    uint32_t lines = 0;
    for (const char *at = tested_out(&t); *at; at = strchr(at, '\n') + 1) lines++;
    assert_int_equal(lines, DEVICES * 8);
    assert_int_equal(input_of(&t, "h", "pump").rejected, 0);
    tested_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_proc_says_becomes_records),
        cmocka_unit_test(a_report_comes_at_once_and_then_every_so_often),
        cmocka_unit_test(groups_can_be_left_out),
        cmocka_unit_test(files_that_are_missing_are_said_once_and_the_others_told),
        cmocka_unit_test(nonsense_and_cut_lines_hurt_nobody),
        cmocka_unit_test(a_machine_of_many_devices_is_told_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
