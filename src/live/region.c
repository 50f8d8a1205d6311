/* live/region.c: a shared region is made.
 *
 *   memfd ─▶ size ─▶ map for writing ─▶ header, state "being made" ─▶ seal ─▶ … ─▶ READY, with release
 *
 * Mapped before it is sealed: afterwards nobody can get write access again, not even through the writer's own
 * descriptor if he is tricked into sending it. So a writer that restarts makes a new region with a new generation. What
 * can fail: memory, descriptors, a kernel without F_SEAL_FUTURE_WRITE (before 5.1). */
#include "live/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "live/atomic.h"

#ifdef MFD_NOEXEC_SEAL
#define NOEXEC_SEAL MFD_NOEXEC_SEAL
#else
#define NOEXEC_SEAL 8u /* of <linux/memfd.h> since 6.3 */
#endif

static size_t read_small(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, to, size - 1);
    (void)close(fd); /* only read */
    to[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

/* Pid, start time and boot id together name a process for ever. What /proc does not tell stays zero. */
static void fill_identity(struct yd__live_header *header)
{
    char text[1024];
    header->writer_pid = getpid();
    if (read_small("/proc/self/stat", text, sizeof text)) {
        const char *at = strrchr(text, ')'); /* the name may hold anything, but no field after it a parenthesis */
        for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
        if (at) header->writer_start = strtoull(at + 1, NULL, 10);
    }
    if (!read_small("/proc/sys/kernel/random/boot_id", text, sizeof text)) return;
    unsigned digits = 0;
    for (const char *at = text; *at && digits < 32; at++) {
        int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
        if (digit < 0) continue;
        header->boot_id[digits / 2] = (uint8_t)(header->boot_id[digits / 2] << 4 | digit);
        digits++;
    }
}

/* Nobody runs it: said where the kernel lets us (6.3), which may insist (vm.memfd_noexec). Its mode is for who opens it
 * again by /proc: a client whose descriptor is for reading gets none for writing, with which he could have the kernel
 * fill the reserved room. */
static int make_memory(const char *label, bool writable, int *ret_fd)
{
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return errno == ENOSYS || errno == EINVAL ? YD_ENOTSUP : yd_error_from_errno(errno);
    (void)fchmod(fd, writable ? 0600 : 0400); /* ours, just made */
    *ret_fd = fd;
    return 0;
}

static int map_and_seal(int fd, uint64_t size, bool writable, struct yd__live_header **ret_header)
{
    if (ftruncate(fd, (off_t)size)) return yd_error_from_errno(errno);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return YD_ENOMEM;
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (writable ? 0 : F_SEAL_FUTURE_WRITE);
    if (fcntl(fd, F_ADD_SEALS, seals)) {
        (void)munmap(at, size);
        return YD_ENOTSUP;
    }
    *ret_header = at;
    return 0;
}

int yd_live_region_create(const struct yd_live_region_options *options, struct yd_live_region *ret_region)
{
    if (options->size < YD__LIVE_HEADER_SIZE || options->size > YD__LIVE_SIZE_MAX) return YD_EINVAL;
    uint64_t size = YD_ALIGN_UP(options->size, YD__LIVE_PAGE);
    int fd = -1;
    int error = make_memory(options->label ? options->label : "yarder-live", options->writable, &fd);
    if (error) return error;
    struct yd__live_header *header = NULL;
    error = map_and_seal(fd, size, options->writable, &header);
    if (error) {
        (void)close(fd);
        return error;
    }
    header->magic = YD__LIVE_MAGIC;
    header->abi_major = YD__LIVE_ABI_MAJOR;
    header->abi_minor = YD__LIVE_ABI_MINOR;
    header->byte_order = YD__LIVE_BYTE_ORDER;
    header->header_size = YD__LIVE_HEADER_SIZE;
    header->kind = options->kind;
    header->size = size;
    header->line_size = YD__LIVE_LINE;
    header->pair_size = YD__LIVE_PAIR;
    header->generation = options->generation;
    header->id = options->id;
    header->created_ns = options->now_ns;
    fill_identity(header);
    *ret_region = (struct yd_live_region){header, size, fd};
    return 0;
}

void yd_live_region_destroy(struct yd_live_region *region)
{
    if (!region->header) return;
    (void)munmap(region->header, region->size);
    if (region->fd >= 0) (void)close(region->fd);
    *region = (struct yd_live_region){.fd = -1};
}

void yd_live_region_forget_fd(struct yd_live_region *region)
{
    if (region->fd >= 0) (void)close(region->fd);
    region->fd = -1;
}

void yd_live_region_set_state(struct yd_live_region *region, enum yd__live_state state)
{
    /* Pairs with the acquire in yd__live_header_check and yd_live_mapping_state. */
    yd__store(&region->header->state, (uint32_t)state, RELEASE);
}

int yd_live_region_reader_fd(const struct yd_live_region *region, int *ret_fd)
{
    int fd = -1;
    if ((fcntl(region->fd, F_GET_SEALS) & F_SEAL_FUTURE_WRITE) != 0) {
        /* A descriptor open for reading: with one for writing a client could make the kernel fill the reserved room. */
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", region->fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) fd = fcntl(region->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return yd_error_from_errno(errno);
    *ret_fd = fd;
    return 0;
}
