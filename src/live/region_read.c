/* live/region_read.c: a reader maps a region, and believes nothing it has not checked against the mapping. libc only.
 *
 * The seals are looked at first: without F_SEAL_SHRINK any read could end in SIGBUS, without F_SEAL_FUTURE_WRITE
 * somebody else than the writer might write. */
#include "live/region_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "live/atomic.h"

int yd__live_header_check(const struct yd__live_header *header, uint64_t size, enum yd__live_kind kind)
{
    if (size < YD__LIVE_PAGE) return YD_EFORMAT;
    /* Pairs with the release in yd_live_region_set_state: with READY all fields below are there. */
    uint32_t state = yd__load(&header->state, ACQUIRE);
    if (header->magic != YD__LIVE_MAGIC || header->byte_order != YD__LIVE_BYTE_ORDER) return YD_EFORMAT;
    if (header->abi_major != YD__LIVE_ABI_MAJOR) return YD_EVERSION;
    if (state == YD__LIVE_MAKING) return YD_EAGAIN;
    if (state > YD__LIVE_CLOSED || header->header_size != YD__LIVE_HEADER_SIZE || header->kind != (uint32_t)kind ||
        header->size != size || header->line_size != YD__LIVE_LINE || header->pair_size != YD__LIVE_PAIR)
        return YD_EFORMAT;
    return 0;
}

int yd_live_mapping_open(int fd, enum yd__live_kind kind, struct yd_live_mapping *ret_mapping)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) return errno == EBADF ? YD_EINVAL : YD_EPERM;
    bool writable = kind == YD__LIVE_BELL || kind == YD__LIVE_CREDIT;
    int needed = F_SEAL_SHRINK | F_SEAL_GROW | (writable ? 0 : F_SEAL_FUTURE_WRITE);
    if ((seals & F_SEAL_WRITE) && !writable) needed &= ~F_SEAL_FUTURE_WRITE; /* stronger still */
    if ((seals & needed) != needed) return YD_EPERM;
    struct stat stat;
    if (fstat(fd, &stat)) return YD_EINVAL;
    if (stat.st_size < YD__LIVE_PAGE || (uint64_t)stat.st_size > YD__LIVE_SIZE_MAX) return YD_EFORMAT;
    size_t size = (size_t)stat.st_size;
    void *at = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return errno == EACCES || errno == EPERM ? YD_EPERM : YD_ENOMEM;
    int error = yd__live_header_check(at, size, kind);
    if (error) {
        (void)munmap(at, size);
        return error;
    }
    *ret_mapping = (struct yd_live_mapping){at, size, writable};
    return 0;
}

void yd_live_mapping_close(struct yd_live_mapping *mapping)
{
    if (mapping->header) (void)munmap((void *)(uintptr_t)mapping->header, mapping->size);
    *mapping = (struct yd_live_mapping){0};
}

enum yd__live_state yd_live_mapping_state(const struct yd_live_mapping *mapping)
{
    /* Pairs with the release in yd_live_region_set_state. */
    uint32_t state = yd__load(&mapping->header->state, ACQUIRE);
    return state > YD__LIVE_CLOSED ? YD__LIVE_CLOSED : (enum yd__live_state)state;
}
