/* The memory of the step-by-step proof, and its scheduler.
 *
 * The C11 model of release and acquire by views: every place keeps all that was ever stored there; a thread has, of
 * each place, the oldest store it may still read; a load may give that or any newer one. A release takes the thread's
 * view along with the store, an acquire takes over what came with what it read; fences do both for the relaxed accesses
 * around them. So the reorderings that compilers and weak processors may do are all there, not only those of this
 * machine. Places are written by one side, or by read-modify-writes alone, which read the newest.
 *
 * Plain bytes are watched: an access that is not ordered after the last conflicting one is a race.
 *
 * Which thread goes on, and which store a load gives, are choices; explore() goes through all of them, depth first,
 * running the code anew each time. Stores and fences are done as soon as a thread comes to them: a load may still read
 * what was there before, so nothing is lost by that. A futex compares with the newest, as the kernel does under its
 * lock. */
#include "memory.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define PLACES   160
#define MESSAGES 24
#define THREADS  3
#define STACK    (64 * 1024)
#define CHOICES  400
#define WEAK_MAX 300000 /* executions, without one of the orders */

/* Of places the number of the oldest store that may be read; behind them, of threads, the last event known. */
struct view {
    uint8_t of[PLACES + THREADS];
};

struct message {
    uint64_t value;
    struct view view;
};

struct place {
    const void *at;
    size_t size;
    unsigned count;
    int plain_writer; /* -1: none */
    uint8_t plain_write, plain_reads[THREADS];
    struct message messages[MESSAGES];
};

struct thread {
    ucontext_t context;
    jmp_buf at; /* where it was left: contexts alone would cost a system call each time */
    bool begun;
    void (*run)(void);
    const void *sleeps_on; /* NULL: runs */
    bool done;
    unsigned loads;
    uint8_t events;
    struct view current, acquired, released;
    char stack[STACK];
};

static struct place places[PLACES];
static unsigned place_count;
static struct thread threads[THREADS];
static unsigned thread_count, running;
static ucontext_t scheduler_context;
static jmp_buf scheduler;
static struct {
    unsigned taken, of;
} choices[CHOICES];
static unsigned choice_count, choice_at;
static const char *wrong;
static bool cut;
static unsigned loads_max;
static char wrong_text[200];

static struct {
    const void *mapping, *original;
    size_t size;
} aliases[16];
static unsigned alias_count;

static struct {
    const char *file;
    int line, order;
} sites[64];
static unsigned site_count;
static const char *weak_file;
static int weak_line, weak_order;

static void join(struct view *into, const struct view *from)
{
    for (unsigned i = 0; i < PLACES + THREADS; i++)
        if (from->of[i] > into->of[i]) into->of[i] = from->of[i];
}

static void back_to_scheduler(void)
{
    if (_setjmp(threads[running].at) == 0) _longjmp(scheduler, 1);
}

static void go_on(void)
{
    struct thread *thread = &threads[running];
    if (_setjmp(scheduler)) return;
    if (thread->begun) _longjmp(thread->at, 1);
    thread->begun = true;
    swapcontext(&scheduler_context, &thread->context);
}

void step_wrong(const char *why)
{
    if (!wrong) {
        snprintf(wrong_text, sizeof wrong_text, "%s", why);
        wrong = wrong_text;
    }
    threads[running].done = true;
    back_to_scheduler();
    abort();
}

static unsigned choose(unsigned of)
{
    if (of < 2) return 0;
    if (choice_at == CHOICES) {
        fprintf(stderr, "too many choices\n");
        abort();
    }
    if (choice_at == choice_count) {
        choices[choice_count].taken = 0;
        choices[choice_count++].of = of;
    }
    if (choices[choice_at].of != of) {
        fprintf(stderr, "the code did something else with the same choices\n");
        abort();
    }
    return choices[choice_at++].taken;
}

void step_alias(const void *mapping, const void *original, size_t size)
{
    aliases[alias_count].mapping = mapping;
    aliases[alias_count].original = original;
    aliases[alias_count++].size = size;
}

static struct {
    const void *at;
    struct place *place;
    uint64_t execution;
} found[256];
static uint64_t execution;

static struct place *search_place(const void *at, size_t size)
{
    for (unsigned i = 0; i < alias_count; i++) {
        size_t offset = (size_t)((const char *)at - (const char *)aliases[i].mapping);
        if (offset < aliases[i].size) at = (const char *)aliases[i].original + offset;
    }
    for (unsigned i = 0; i < place_count; i++)
        if (places[i].at == at) return &places[i];
    if (place_count == PLACES) {
        fprintf(stderr, "too many places\n");
        abort();
    }
    struct place *place = &places[place_count++];
    place->at = at;
    place->size = size;
    place->count = 1;
    place->plain_writer = -1;
    place->plain_write = 0;
    memset(place->plain_reads, 0, sizeof place->plain_reads);
    memset(&place->messages[0], 0, sizeof place->messages[0]);
    memcpy(&place->messages[0].value, at, size);
    return place;
}

static struct place *find_place(const void *at, size_t size)
{
    unsigned slot = (unsigned)(((uintptr_t)at >> 3 ^ (uintptr_t)at >> 11) & 255);
    if (found[slot].at != at || found[slot].execution != execution) {
        found[slot].place = search_place(at, size);
        found[slot].at = at;
        found[slot].execution = execution;
    }
    return found[slot].place;
}

static int order_here(int order, const char *file, int line)
{
    if (order == RELAXED) return order;
    bool known = false;
    for (unsigned i = 0; i < site_count && !known; i++) known = sites[i].line == line && sites[i].file == file;
    if (!known && site_count < 64) {
        sites[site_count].file = file;
        sites[site_count].line = line;
        sites[site_count++].order = order;
    }
    if (weak_line == line && weak_file == file) order &= ~weak_order;
    return order;
}

/* A thread that comes to a choice waits for the scheduler, unless there is nobody else. */
static void hold(void)
{
    bool alone = true;
    for (unsigned i = 0; i < thread_count; i++)
        if (i != running && !threads[i].done && !threads[i].sleeps_on) alone = false;
    if (!alone) back_to_scheduler();
}

static struct message *append(struct place *place)
{
    if (place->count == MESSAGES) {
        fprintf(stderr, "too many stores\n");
        abort();
    }
    return &place->messages[place->count++];
}

uint64_t step_load(const void *at, size_t size, int order, const char *file, int line)
{
    if (thread_count == 0) return step_newest(at, size); /* before the first execution */
    order = order_here(order, file, line);
    struct thread *self = &threads[running];
    if (++self->loads > loads_max) { /* an execution that only goes round: not looked at further */
        cut = true;
        self->done = true;
        back_to_scheduler();
    }
    hold();
    struct place *place = find_place(at, size);
    unsigned number = (unsigned)(place - places), from = self->current.of[number];
    /* The newest first: whoever looks for a mistake finds the deepest executions early. */
    unsigned index = place->count - 1 - choose(place->count - from);
    self->current.of[number] = (uint8_t)index;
    join(&self->acquired, &place->messages[index].view);
    if (order & ACQUIRE) join(&self->current, &place->messages[index].view);
    return place->messages[index].value;
}

void step_store(void *at, size_t size, uint64_t value, int order, const char *file, int line)
{
    order = order_here(order, file, line);
    struct thread *self = &threads[running];
    struct place *place = find_place(at, size);
    struct message *message = append(place);
    self->current.of[place - places] = (uint8_t)(place->count - 1);
    message->value = value;
    message->view = order & RELEASE ? self->current : self->released;
    message->view.of[place - places] = (uint8_t)(place->count - 1);
}

uint64_t step_change(void *at, size_t size, uint64_t value, enum step_change how, int order, const char *file, int line)
{
    order = order_here(order, file, line);
    hold();
    struct thread *self = &threads[running];
    struct place *place = find_place(at, size);
    struct message *old = &place->messages[place->count - 1], *message = append(place);
    join(&self->acquired, &old->view);
    if (order & ACQUIRE) join(&self->current, &old->view);
    self->current.of[place - places] = (uint8_t)(place->count - 1);
    message->value = how == STEP_OR ? old->value | value : value;
    message->view = order & RELEASE ? self->current : self->released;
    join(&message->view, &old->view); /* a release sequence goes on through read-modify-writes */
    message->view.of[place - places] = (uint8_t)(place->count - 1);
    return old->value;
}

void step_fence(int order, const char *file, int line)
{
    order = order_here(order, file, line);
    struct thread *self = &threads[running];
    if (order & ACQUIRE) join(&self->current, &self->acquired);
    if (order & RELEASE) self->released = self->current;
}

static bool knows(const struct thread *self, unsigned thread, uint8_t event)
{
    return thread == running || self->current.of[PLACES + thread] >= event;
}

void step_plain_in(void *to, const void *from, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    struct thread *self = &threads[running];
    self->current.of[PLACES + running] = ++self->events;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        struct place *place = find_place((char *)to + i, 8);
        if (place->plain_writer >= 0 && !knows(self, (unsigned)place->plain_writer, place->plain_write))
            step_wrong("race: written over what the other side is writing");
        for (unsigned t = 0; t < thread_count; t++)
            if (!knows(self, t, place->plain_reads[t])) step_wrong("race: written over what the other side is reading");
        place->plain_writer = (int)running;
        place->plain_write = self->events;
        memcpy(&place->messages[0].value, (const char *)from + i, 8);
    }
}

void step_plain_out(void *to, const void *from, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    struct thread *self = &threads[running];
    self->current.of[PLACES + running] = ++self->events;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        struct place *place = find_place((const char *)from + i, 8);
        if (place->plain_writer >= 0 && !knows(self, (unsigned)place->plain_writer, place->plain_write))
            step_wrong("race: read what the other side is writing");
        place->plain_reads[running] = self->events;
        memcpy((char *)to + i, &place->messages[0].value, 8);
    }
}

uint64_t step_newest(const void *at, size_t size)
{
    struct place *place = find_place(at, size);
    return place->messages[place->count - 1].value;
}

void step_settle(void)
{
    for (unsigned i = 0; i < place_count; i++)
        memcpy((void *)(uintptr_t)places[i].at, &places[i].messages[places[i].count - 1].value, places[i].size);
    place_count = 0;
    execution++;
}

void step_futex_wait(const uint32_t *word, uint32_t seen)
{
    hold();
    if (step_newest(word, 4) != seen) return;
    threads[running].sleeps_on = find_place(word, 4);
    back_to_scheduler();
}

void yd__futex_wake_all(uint32_t *word)
{
    hold();
    for (unsigned i = 0; i < thread_count; i++)
        if (threads[i].sleeps_on == find_place(word, 4)) threads[i].sleeps_on = NULL;
}

static void begin(void)
{
    threads[running].run();
    threads[running].done = true;
    back_to_scheduler();
}

/* One execution, with the choices as they stand. */
static void run_once(const struct scenario *scenario)
{
    place_count = 0;
    execution++;
    choice_at = 0;
    cut = false;
    scenario->reset();
    thread_count = 0;
    for (; thread_count < THREADS && scenario->threads[thread_count]; thread_count++) {
        struct thread *thread = &threads[thread_count];
        getcontext(&thread->context);
        thread->context.uc_stack.ss_sp = thread->stack;
        thread->context.uc_stack.ss_size = STACK;
        thread->context.uc_link = NULL;
        makecontext(&thread->context, begin, 0);
        thread->run = scenario->threads[thread_count];
        thread->sleeps_on = NULL;
        thread->done = thread->begun = false;
        thread->loads = 0;
        thread->events = 0;
        memset(&thread->current, 0, sizeof thread->current);
        memset(&thread->acquired, 0, sizeof thread->acquired);
        memset(&thread->released, 0, sizeof thread->released);
    }
    for (running = 0; running < thread_count && !wrong; running++) go_on();
    while (!wrong && !cut) {
        unsigned ready[THREADS], count = 0;
        for (unsigned i = 0; i < thread_count; i++)
            if (!threads[i].done && !threads[i].sleeps_on) ready[count++] = i;
        if (count == 0) break;
        running = ready[choose(count)];
        go_on();
    }
    if (wrong || cut) return;
    for (unsigned i = 0; i < thread_count; i++) {
        running = i;
        if (threads[i].sleeps_on && scenario->may_sleep && !scenario->may_sleep(i)) wrong = "a wake-up was lost";
    }
    if (!wrong && scenario->at_end && !scenario->at_end()) wrong = "not what should be there at the end";
}

static bool next_choices(void)
{
    while (choice_count > 0) {
        if (++choices[choice_count - 1].taken < choices[choice_count - 1].of) return true;
        choice_count--;
    }
    return false;
}

const char *explore(const struct scenario *scenario, uint64_t *ret_executions, uint64_t *ret_cut)
{
    *ret_executions = *ret_cut = 0;
    choice_count = 0;
    wrong = NULL;
    loads_max = scenario->loads_max;
    do {
        run_once(scenario);
        if (cut) (*ret_cut)++;
        if (++*ret_executions < (weak_file ? WEAK_MAX : scenario->executions_max) || wrong) continue;
        if (weak_file) break; /* what is missing shows early, or not at all */
        wrong = "too many executions to see them all";
    } while (!wrong && next_choices());
    return wrong;
}

bool weaken(unsigned number, const char **ret_file, int *ret_line, int *ret_order)
{
    weak_file = NULL;
    unsigned at = 0;
    for (unsigned i = 0; i < site_count; i++) {
        for (int order = ACQUIRE; order <= RELEASE; order++) {
            if (!(sites[i].order & order) || at++ != number) continue;
            *ret_file = weak_file = sites[i].file;
            *ret_line = weak_line = sites[i].line;
            *ret_order = weak_order = order;
            return true;
        }
    }
    return false;
}

void forget_sites(void)
{
    site_count = 0;
    weak_file = NULL;
}
