/* Connections dealt out to the pumps of one input: see spread.h. */
#include "elements/spread.h"

#include "base/alloc.h"

struct coming {
    struct yd_spread *spread;
    unsigned index;
    struct yd_address from;
};

unsigned yd_spread_wanted(const struct yd_args *args)
{
    return (unsigned)YD_MIN(yd_args_int(args, "spread"), (int64_t)YD_SPREAD_MAX);
}

void yd_spread_join(struct yd_spread *spread, unsigned index, struct yd_loop *loop,
                    void (*take)(void *arg, struct yd_stream *stream, const struct yd_address *from), void *arg)
{
    if (index >= YD_SPREAD_MAX) return;
    pthread_mutex_lock(&spread->lock);
    struct yd_spread_member *member = &spread->members[index];
    spread->member_count = YD_MAX(spread->member_count, index + 1);
    *member = (struct yd_spread_member){.loop = loop, .take = take, .arg = arg, .count = member->count};
    pthread_mutex_unlock(&spread->lock);
}

bool yd_spread_part(struct yd_spread *spread, unsigned index, void (*parted)(void *arg))
{
    pthread_mutex_lock(&spread->lock);
    struct yd_spread_member *member = &spread->members[index];
    member->loop = NULL;
    member->parted = parted;
    bool none = member->coming == 0;
    pthread_mutex_unlock(&spread->lock);
    return none;
}

bool yd_spread_admit(struct yd_spread *spread, unsigned index, unsigned max, unsigned *ret_open)
{
    pthread_mutex_lock(&spread->lock);
    bool admitted = spread->connections < max;
    *ret_open = spread->connections;
    spread->connections += admitted;
    spread->members[index].count += admitted;
    pthread_mutex_unlock(&spread->lock);
    return admitted;
}

void yd_spread_leave(struct yd_spread *spread, unsigned index)
{
    pthread_mutex_lock(&spread->lock);
    spread->connections--;
    spread->members[index].count--;
    pthread_mutex_unlock(&spread->lock);
}

unsigned yd_spread_connections(struct yd_spread *spread)
{
    pthread_mutex_lock(&spread->lock);
    unsigned count = spread->connections;
    pthread_mutex_unlock(&spread->lock);
    return count;
}

static void arrived(void *arg, struct yd_stream *stream) /* in the member's loop */
{
    struct coming coming = *(struct coming *)arg;
    yd_alloc_put(NULL, arg, sizeof coming);
    pthread_mutex_lock(&coming.spread->lock);
    struct yd_spread_member *member = &coming.spread->members[coming.index];
    member->coming--;
    bool last = !member->loop && member->coming == 0;
    void (*parted)(void *of) = member->parted;
    void *of = member->arg;
    bool takes = stream && member->loop;
    pthread_mutex_unlock(&coming.spread->lock);
    if (takes) { /* nobody else parts or joins it: that is done in this loop */
        member->take(of, stream, &coming.from);
        return;
    }
    yd_stream_close(stream);
    yd_spread_leave(coming.spread, coming.index);
    if (last) parted(of);
}

/* Called with the lock held. */
static unsigned fewest(const struct yd_spread *spread, unsigned index)
{
    unsigned best = index, least = spread->members[index].count - 1; /* without the one at hand */
    for (unsigned i = 0; i < spread->member_count; i++) {
        const struct yd_spread_member *member = &spread->members[i];
        if (!member->loop || member->count >= least) continue;
        best = i;
        least = member->count;
    }
    return best;
}

bool yd_spread_hand(struct yd_spread *spread, unsigned index, struct yd_stream *stream, const struct yd_address *from)
{
    struct coming *coming = yd_alloc_get(NULL, sizeof *coming);
    if (!coming) return false;         /* it is welcome here, too */
    pthread_mutex_lock(&spread->lock); /* until it is on its way: the other does not part meanwhile */
    unsigned to = fewest(spread, index);
    *coming = (struct coming){spread, to, *from};
    bool moved = to != index && yd_stream_move(stream, spread->members[to].loop, arrived, coming) == 0;
    if (moved) {
        spread->members[index].count--;
        spread->members[to].count++;
        spread->members[to].coming++;
    }
    pthread_mutex_unlock(&spread->lock);
    if (!moved) yd_alloc_put(NULL, coming, sizeof *coming);
    return moved;
}
