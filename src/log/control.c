/* log/control.c: the control page: who writes, what readers may see, and the checkpoints that recovery trusts.
 *
 * Two kinds of words live in one page (control_format.h). The live words are stored without a sync, for readers of this
 * moment. A checkpoint is stored into the slot that the last one does not use and synced before anything relies on it:
 * a crash in between leaves the last one. Opening writes a checkpoint that is not "clean" before the first append, so
 * "clean" can be believed only when the other slot is the one just before it: if the newer one had rotted away, an old
 * "clean" would cut what was appended since. */
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log/internal.h"

static bool read_small(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t got = fread(to, 1, size - 1, file);
    to[got] = '\0';
    (void)fclose(file); /* was only read */
    return got > 0;
}

/* Fields 1 and 22 of a stat file of /proc, the latter counted behind the last ')': a program's name may hold anything.
 */
static uint64_t start_time(const char *path, int64_t *ret_pid)
{
    char text[1024];
    if (!read_small(path, text, sizeof text)) return 0;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    *ret_pid = strtoll(text, NULL, 10);
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void read_boot_id(uint8_t to[16])
{
    char text[64];
    memset(to, 0, 16);
    if (!read_small("/proc/sys/kernel/random/boot_id", text, sizeof text)) return;
    int count = 0;
    for (const char *at = text; *at && count < 32; at++) {
        int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
        if (digit < 0) continue;
        to[count / 2] = (uint8_t)(to[count / 2] << 4 | digit);
        count++;
    }
}

void yd__writer_identity(int64_t *ret_pid, uint64_t *ret_start, uint8_t boot_id[16])
{
    *ret_pid = getpid();
    /* Our number as this /proc tells it, which in a container may be another than getpid's: readers look there, too. */
    *ret_start = start_time("/proc/self/stat", ret_pid);
    read_boot_id(boot_id);
}

bool yd__writer_alive(const struct yd__control *control)
{
    if (control->magic != YD__CONTROL_MAGIC || control->state == YD__STATE_CLOSED) return false;
    uint8_t boot_id[16];
    char path[64];
    int64_t pid;
    read_boot_id(boot_id);
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)control->writer_pid);
    return memcmp(boot_id, control->boot_id, 16) == 0 && control->writer_start != 0 &&
           start_time(path, &pid) == control->writer_start;
}

static uint32_t checkpoint_crc(const struct yd__checkpoint *slot)
{
    struct yd__checkpoint copy = *slot;
    copy.crc = 0;
    return yd_crc32c(0, &copy, sizeof copy);
}

static bool slot_good(const struct yd__checkpoint *slot)
{
    return slot->magic == YD__CHECKPOINT_MAGIC && slot->version == YD__CONTROL_VERSION &&
           checkpoint_crc(slot) == slot->crc && slot->epoch_count <= YD__EPOCHS_MAX;
}

int yd__control_latest(const struct yd__control *control, struct yd__checkpoint *ret, bool *ret_sure)
{
    struct yd__checkpoint slots[2];
    memcpy(slots, control->slots, sizeof slots); /* the writer may be storing into one */
    bool good[2] = {slot_good(&slots[0]), slot_good(&slots[1])};
    if (!good[0] && !good[1]) return YD_ENOENT;
    int latest = !good[0] || (good[1] && slots[1].number > slots[0].number);
    *ret = slots[latest];
    *ret_sure = good[!latest] && slots[!latest].number + 1 == slots[latest].number;
    return 0;
}

static int check_versions(const struct yd__control *control, struct yd_trail *trail)
{
    for (int i = 0; i < 2; i++) {
        const struct yd__checkpoint *slot = &control->slots[i];
        if (slot->magic == YD__CHECKPOINT_MAGIC && slot->version != YD__CONTROL_VERSION &&
            checkpoint_crc(slot) == slot->crc)
            return yd_trail_add(trail, YD_EVERSION, "the control page has version %u, this program knows %u",
                                slot->version, YD__CONTROL_VERSION);
    }
    return 0;
}

static int open_locked(struct yd_log *log, const char *path, struct yd_trail *trail)
{
    int error = yd_fs_open(log->fs, path, YD_OPEN_READ | YD_OPEN_WRITE | YD_OPEN_CREATE, &log->control_file);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    error = yd_file_lock(log->control_file);
    if (error == YD_ELOCKED) {
        struct yd__control held = {0};
        size_t have = 0;
        (void)yd_file_read(log->control_file, &held, sizeof held, 0, &have); /* only for the message */
        return yd_trail_add(trail, error, "%s is being written by process %lld", log->dir,
                            (long long)(have == sizeof held ? held.writer_pid : 0));
    }
    if (error) return yd_trail_add(trail, error, "cannot lock %s: %s", path, yd_error_text(error));
    return 0;
}

/* After a failed sync the cache may show a checkpoint that the device never got, as clean. The other slot, which the
 * device has, is the one that is overwritten next: so the page is written once more before. */
static int write_again(struct yd_log *log)
{
    char page[YD__CONTROL_SIZE];
    size_t have;
    int error = yd_file_read(log->control_file, page, sizeof page, 0, &have);
    if (!error) error = yd_file_write(log->control_file, page, have, 0);
    return error ? error : yd_file_sync(log->control_file);
}

int yd__control_open(struct yd_log *log, bool *ret_new, struct yd_trail *trail)
{
    char path[YD__PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/control", log->dir);
    int error = open_locked(log, path, trail);
    if (error) return error;
    struct yd_stat now;
    error = yd_file_stat(log->control_file, &now);
    *ret_new = !error && now.size < YD__CONTROL_SIZE;
    if (!error && *ret_new) {
        /* Written, not only sized: a store into a hole of a full disk would be a signal. */
        static const char zeros[YD__CONTROL_SIZE];
        error = yd_file_write(log->control_file, zeros, sizeof zeros, 0);
        if (!error) error = yd_file_sync(log->control_file);
    }
    if (!error && !*ret_new) error = write_again(log);
    /* Also when it was there: who made it may have been killed before this. */
    if (!error) error = yd_fs_sync_dir(log->fs, log->dir);
    void *address = NULL;
    if (!error) error = yd_file_map(log->control_file, 0, YD__CONTROL_SIZE, true, &address);
    if (error) return yd_trail_add(trail, error, "%s: %s", path, yd_error_text(error));
    log->control = address;
    return check_versions(log->control, trail);
}

void yd__control_close(struct yd_log *log)
{
    if (log->control) yd_fs_unmap(log->fs, log->control, YD__CONTROL_SIZE);
    yd_file_close(log->control_file);
    log->control = NULL;
    log->control_file = NULL;
}

int yd__control_checkpoint(struct yd_log *log, unsigned flags)
{
    struct yd__checkpoint *next = &log->checkpoint;
    next->magic = YD__CHECKPOINT_MAGIC;
    next->version = YD__CONTROL_VERSION;
    unsigned role = (log->options.follower ? YD__CHECKPOINT_FOLLOWER : 0) | (log->deposed ? YD__CHECKPOINT_DEPOSED : 0);
    next->flags = (uint16_t)(flags | role);
    next->log_id = log->log_id;
    next->epoch = YD_MAX(log->epoch, log->fence);
    next->number++;
    next->written_at = yd__log_now(log);
    next->crc = checkpoint_crc(next);
    memcpy(&log->control->slots[next->number & 1], next, sizeof *next);
    return yd_fs_sync_map(log->fs, log->control, YD__CONTROL_SIZE);
}

void yd__control_ring(struct yd_log *log)
{
    __atomic_fetch_add(&log->control->event, 1, __ATOMIC_RELEASE); /* pairs with the acquire in yd_log_reader_wait */
    /* Readers in other processes sleep on the word; they cannot say so in a page that they may only read. */
    (void)syscall(SYS_futex, &log->control->event, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

int yd__control_make(struct yd_fs *fs, const char *dir, const struct yd__checkpoint *what)
{
    struct yd__control page = {.magic = YD__CONTROL_MAGIC,
                               .version = YD__CONTROL_VERSION,
                               .state = YD__STATE_OPEN, /* whoever opens it raises the epoch */
                               .log_id = what->log_id,
                               .written_seqno = what->durable_seqno,
                               .durable_seqno = what->durable_seqno,
                               .segment = what->segment,
                               .written_offset = what->offset,
                               .generation = what->generation,
                               .epoch = what->epoch,
                               .first_seqno = what->first_seqno};
    for (uint64_t number = 1; number <= 2; number++) { /* both slots, so that the later one can be believed */
        struct yd__checkpoint *slot = &page.slots[number & 1];
        *slot = *what;
        slot->magic = YD__CHECKPOINT_MAGIC;
        slot->version = YD__CONTROL_VERSION;
        slot->flags = 0;
        slot->number = number;
        slot->crc = checkpoint_crc(slot);
    }
    char path[YD__PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/control", dir);
    return yd_fs_replace(fs, path, &page, sizeof page);
}

void yd__control_publish(struct yd_log *log)
{
    struct yd__control *control = log->control;
    /* Each word is stored with release and read with acquire by direct readers: whoever sees a position also sees, by
     * reading the file, the bytes below it. The event comes last: a reader that slept on it finds the rest new. */
    __atomic_store_n(&control->first_seqno, log->first, __ATOMIC_RELEASE);
    if (log->active) {
        __atomic_store_n(&control->segment, log->active->base, __ATOMIC_RELEASE);
        __atomic_store_n(&control->written_offset, log->active->data_end, __ATOMIC_RELEASE);
        __atomic_store_n(&control->generation, log->active->generation, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&control->durable_seqno, log->durable, __ATOMIC_RELEASE);
    __atomic_store_n(&control->written_seqno, log->written, __ATOMIC_RELEASE);
    if (log->failed) __atomic_store_n(&control->state, YD__STATE_FAILED, __ATOMIC_RELEASE);
    yd__control_ring(log);
}
