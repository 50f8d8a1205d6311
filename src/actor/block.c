/* block.c: where envelopes live.
 *
 *   worker A: get --> envelope --> ... --> worker B: release --> give_back[A] --(64 at a time, one CAS)--> A.returns
 *                                                                       A: free list empty --> takes all, one exchange
 *
 * Each worker has free lists of its own by size class, cut from slabs. Whoever consumes a block of another worker
 * collects it and sends it home in batches. A worker's own blocks come and go without an atomic. Threads that are no
 * workers use the allocator. Slabs go when the system does. */
#include "actor/internal.h"
#include "base/drd.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define SLAB_SIZE       ((size_t)32 << 10)
#define GIVE_BACK_COUNT 64

_Thread_local struct yd__worker *yd__current;

struct yd__slab {
    struct yd__slab *next;
    size_t size;
};

/* A free block: its head and link stay readable, the rest is nobody's. */
static void hide(struct yd_envelope *envelope, unsigned size_class)
{
    ASAN_POISON_MEMORY_REGION(&envelope->to, YD__SIZE_OF(size_class) - offsetof(struct yd__block, envelope.to));
}
static void show(struct yd_envelope *envelope, unsigned size_class)
{
    ASAN_UNPOISON_MEMORY_REGION(&envelope->to, YD__SIZE_OF(size_class) - offsetof(struct yd__block, envelope.to));
}

static bool cut_slab(struct yd__worker *worker, unsigned size_class)
{
    size_t block_size = YD__SIZE_OF(size_class);
    struct yd__slab *slab = yd_alloc_get(worker->system->alloc, SLAB_SIZE);
    if (!slab) return false;
    *slab = (struct yd__slab){worker->slabs, SLAB_SIZE};
    worker->slabs = slab;
    char *end = (char *)slab + SLAB_SIZE;
    char *first = (char *)YD_ALIGN_UP((uintptr_t)(slab + 1), 64);
    struct yd_envelope *list = worker->free[size_class];
    size_t count = (size_t)(end - first) / block_size;
    for (char *at = first + (count - 1) * block_size;; at -= block_size) { /* lowest address on top */
        struct yd__block *block = (struct yd__block *)(void *)at;
        block->head = (struct yd__head){worker->system, worker->index, (uint8_t)size_class, YD__DEAD, 0};
        block->envelope.next = list;
        list = &block->envelope;
        hide(list, size_class);
        if (at == first) break;
    }
    worker->free[size_class] = list;
    return true;
}

/* What others have sent home, sorted into the free lists. */
static void take_returns(struct yd__worker *worker)
{
    /* acquire: pairs with the release in push_returns; the blocks are no longer in use there. The cheap look first
     * keeps the line shared while there is nothing. */
    if (!atomic_load_explicit(&worker->returns, memory_order_relaxed)) return;
    struct yd_envelope *envelope = atomic_exchange_explicit(&worker->returns, NULL, memory_order_acquire);
    YD_DRD_AFTER(&worker->returns);
    while (envelope) {
        struct yd_envelope *next = envelope->next;
        unsigned size_class = yd__head_of(envelope)->size_class;
        envelope->next = worker->free[size_class];
        worker->free[size_class] = envelope;
        envelope = next;
    }
}

static void push_returns(struct yd__worker *owner, struct yd_envelope *newest, struct yd_envelope *oldest)
{
    struct yd_envelope *old = atomic_load_explicit(&owner->returns, memory_order_relaxed);
    do {
        oldest->next = old;
        YD_DRD_BEFORE(&owner->returns);
        /* release: pairs with the acquire in take_returns */
    } while (!atomic_compare_exchange_weak_explicit(&owner->returns, &old, newest, memory_order_release,
                                                    memory_order_relaxed));
}

static struct yd_envelope *get_from_allocator(struct yd_system *system, size_t size)
{
    struct yd__block *block = yd_alloc_get(system->alloc, sizeof *block + size);
    if (!block) return NULL;
    block->head = (struct yd__head){system, YD__OUTSIDE, 0, YD__SEND, (uint32_t)size};
    return &block->envelope;
}

/* In whole words: compilers turn a memset of this size into a string instruction, five times slower. */
static inline void clear(struct yd_envelope *envelope)
{
    typedef long long word __attribute__((vector_size(16), aligned(8), may_alias));
    word *at = (word *)(void *)envelope, zero = {0, 0};
    _Static_assert(sizeof *envelope == 7 * sizeof zero, "cleared in full");
    at[0] = zero;
    at[1] = zero;
    at[2] = zero;
    at[3] = zero;
    at[4] = zero;
    at[5] = zero;
    at[6] = zero;
}

struct yd_envelope *yd__block_get(struct yd__worker *worker, struct yd_system *system, size_t size, enum yd__op op)
{
    struct yd_envelope *envelope;
    unsigned size_class = 0;
    if (YD_UNLIKELY(size)) {
        while (size_class < YD__CLASSES && sizeof(struct yd__block) + size > YD__SIZE_OF(size_class)) size_class++;
        if (size > UINT32_MAX) return NULL;
    }
    if (!worker || size_class == YD__CLASSES) {
        envelope = get_from_allocator(system, size);
        if (!envelope) return NULL;
    } else {
        if (YD_UNLIKELY(!worker->free[size_class])) {
            take_returns(worker);
            if (!worker->free[size_class] && !cut_slab(worker, size_class)) return NULL;
        }
        envelope = worker->free[size_class];
        show(envelope, size_class);
        worker->free[size_class] = envelope->next;
        yd__head_of(envelope)->size = (uint32_t)size;
    }
    clear(envelope);
    yd__head_of(envelope)->op = (uint8_t)op;
    return envelope;
}

void yd__block_put(struct yd__worker *worker, struct yd_envelope *envelope)
{
    struct yd__head *head = yd__head_of(envelope);
    struct yd_system *system = head->system;
    if (head->owner == YD__OUTSIDE) {
        yd_alloc_put(system->alloc, head, sizeof(struct yd__block) + head->size);
        return;
    }
    hide(envelope, head->size_class);
    if (YD_LIKELY(worker && head->owner == worker->index)) {
        envelope->next = worker->free[head->size_class];
        worker->free[head->size_class] = envelope;
        return;
    }
    struct yd__worker *owner = system->worker[head->owner];
    if (!worker) {
        push_returns(owner, envelope, envelope);
        return;
    }
    struct yd__chain *chain = &worker->give_back[head->owner];
    envelope->next = chain->newest;
    if (!chain->newest) chain->oldest = envelope;
    chain->newest = envelope;
    if (++chain->count >= GIVE_BACK_COUNT) {
        push_returns(owner, chain->newest, chain->oldest);
        *chain = (struct yd__chain){0};
    }
}

void yd__give_back_all(struct yd__worker *worker)
{
    struct yd_system *system = worker->system;
    for (unsigned i = 0; i < system->executors + system->computes; i++) {
        struct yd__chain *chain = &worker->give_back[i];
        if (!chain->count) continue;
        push_returns(system->worker[i], chain->newest, chain->oldest);
        *chain = (struct yd__chain){0};
    }
}

static void release_load(struct yd_envelope *envelope)
{
    yd_batch_unref(envelope->batch);
    if (envelope->data_release && envelope->data) envelope->data_release(envelope->data);
}

void yd__release(struct yd__worker *worker, struct yd_envelope *envelope)
{
    if (YD_UNLIKELY(envelope->batch || envelope->data_release)) release_load(envelope);
    yd__block_put(worker, envelope);
}

void yd__unload(struct yd_envelope *envelope)
{
    release_load(envelope);
    envelope->batch = NULL;
    envelope->data = NULL;
    envelope->data_release = NULL;
    envelope->cost = 0;
}

void yd__pool_fini(struct yd__worker *worker)
{
    while (worker->slabs) {
        struct yd__slab *slab = worker->slabs;
        worker->slabs = slab->next;
        ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_SIZE);
        yd_alloc_put(worker->system->alloc, slab, slab->size);
    }
}

void *yd__aligned_zero(struct yd_alloc *alloc, size_t size)
{
    char *raw = yd_alloc_zero(alloc, size + YD_CACHE_LINE + sizeof(void *));
    if (!raw) return NULL;
    void **at = (void **)YD_ALIGN_UP((uintptr_t)(raw + sizeof(void *)), YD_CACHE_LINE);
    at[-1] = raw;
    return at;
}

void yd__aligned_put(struct yd_alloc *alloc, void *ptr, size_t size)
{
    if (ptr) yd_alloc_put(alloc, ((void **)ptr)[-1], size + YD_CACHE_LINE + sizeof(void *));
}

/* ---- public: any thread ---- */
static struct yd__worker *worker_of(const struct yd_system *system)
{
    return yd__current && yd__current->system == system ? yd__current : NULL;
}

struct yd_envelope *yd_envelope_new_sized(struct yd_system *system, yd_pid to, uint32_t type, enum yd_delivery delivery,
                                          size_t size)
{
    struct yd_envelope *envelope = yd__block_get(worker_of(system), system, size, YD__SEND);
    if (!envelope) return NULL;
    envelope->to = to;
    envelope->type = type;
    envelope->delivery = (uint16_t)delivery;
    if (size) envelope->data = envelope + 1;
    return envelope;
}

struct yd_envelope *yd_envelope_new(struct yd_system *system, yd_pid to, uint32_t type, enum yd_delivery delivery)
{
    return yd_envelope_new_sized(system, to, type, delivery, 0);
}

void yd_envelope_free(struct yd_envelope *envelope)
{
    if (envelope) yd__release(worker_of(yd__head_of(envelope)->system), envelope);
}
