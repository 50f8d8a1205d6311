/* Versioned slots (src/live/table_format.h): one writer that never waits, a reader that takes the newest, one that takes all.
 *
 *   seq = busy ─ words ─ seq = v ─ head = v          head ─ seq = v? ─ copy ─ seq = v still?
 *
 * Holds: a value is whole or not given; never an older one after a newer; what was missed is counted exactly; a writer that
 * dies at any step leaves a complete newest value, which is got at the first try; the reader of all gets to the last value.
 * Memory is sequentially consistent here: tests/sim/live goes through what C11 allows beyond that, over the code itself.
 *
 * MUTANT 1: the slot is not marked while it is written. 2: it is not looked at again after the copy. 3: head before the
 * words. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define SLOTS  4
#define VALUES 6

byte head;
byte seq[SLOTS], one[SLOTS], two[SLOTS];
bit dead;

proctype Writer()
{
    byte value, slot;
    for (value : 1 .. VALUES) {
        slot = value % SLOTS;
#if MUTANT == 3
        head = value;
#endif
#if MUTANT != 1
        seq[slot] = 0;
#endif
        if
        :: true
        :: goto die
        fi;
        one[slot] = value;
        if
        :: true
        :: goto die
        fi;
        two[slot] = value;
        seq[slot] = value;
        if
        :: true
        :: goto die
        fi;
#if MUTANT != 3
        head = value
#endif
    }
die:
    dead = 1
}

/* got: what was given, or 0. */
inline copy(wanted)
{
    a = 0; b = 0; got = 0;
    if
    :: seq[(wanted) % SLOTS] != (wanted)
    :: else ->
        a = one[(wanted) % SLOTS];
        b = two[(wanted) % SLOTS];
        if
#if MUTANT == 2
        :: true -> got = (wanted)
#else
        :: seq[(wanted) % SLOTS] == (wanted) -> got = (wanted)
        :: else
#endif
        fi
    fi;
    if
    :: got -> assert(a == got && b == got)
    :: else
    fi;
    a = 0; b = 0
}

proctype Newest()
{
    byte a, b, got, at, last;
    bit over;
    do
    :: over = dead;
        at = head;
        if
        :: at == last
        :: else ->
            copy(at);
            assert(!over || got);
            if
            :: got -> assert(got > last && got == at); last = got
            :: else
            fi
        fi;
        got = 0; at = 0;
        if
        :: over -> break
        :: else
        fi
    od;
    assert(last == head)
}

proctype All()
{
    byte a, b, got, at, last, lost, counted, missed;
    bit over;
    do
    :: over = dead;
        at = head;
        if
        :: at == last ->
            if
            :: over -> break
            :: else
            fi
        :: else ->
            lost = (at - last > SLOTS -> at - last - SLOTS : 0);
            copy(last + 1 + lost);
            if
            :: got ->
                assert(got == last + 1 + lost);
                last = got; counted++; missed = missed + lost
            :: else
            fi
        fi;
        got = 0; at = 0; lost = 0
    od;
    assert(last == head && counted + missed == head)
}

init {
    atomic {
        run Writer();
        if
        :: run Newest()
        :: run All()
        fi
    }
}
