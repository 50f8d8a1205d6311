/* The triple buffer (src/live/triple_format.h): one writer, one reader that sleeps, the latest value.
 *
 *   fill ─ exchange(mine, dirty) ─ wake?            dirty? ─ exchange(mine) ─ read        or arm ─ dirty? ─ sleep
 *
 * Holds: {writer's, middle, reader's} is always a permutation; `dirty` tells the truth; what is read is whole, never older
 * than what was read before; the reader comes to the last value, however it slept (otherwise it ends asleep, which spin
 * calls an invalid end state); a reader may die at any step and costs one wake.
 * Memory is sequentially consistent here: tests/sim/live goes through what C11 allows beyond that, over the code itself.
 *
 * MUTANT 1: the dirty bit is set by a step of its own, after the exchange. 2: the reader sleeps without looking whether it
 * was dirty, and without the word being compared. 3: the reader takes without asking whether anything is new.
 * 4: the writer goes on in the buffer it gave. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define VALUES 5

byte middle = 1; /* with the two bits one word: changed by atomic steps only */
bit dirty, waiter;

byte first[3], second[3]; /* a buffer, written and read in two steps */
byte writers = 0, readers = 2;
byte given, taken;
bit asleep, dead;
byte wakes_after_death;

inline look_at_all()
{
    assert(writers != middle && middle != readers && readers != writers);
    assert(dirty == (given != taken));
}

proctype Writer()
{
    byte value, old;
    bit waited;
    for (value : 1 .. VALUES) {
        first[writers] = value;
        second[writers] = value;
#if MUTANT == 1
        atomic { old = middle; waited = waiter; middle = writers; waiter = 0; writers = old; given = value; old = 0 }
        dirty = 1;
#else
        atomic {
            old = middle; waited = waiter;
            middle = writers; dirty = 1; waiter = 0;
#if MUTANT != 4
            writers = old;
#endif
            given = value; old = 0;
            look_at_all();
            if
            :: dead && waited -> wakes_after_death++; assert(wakes_after_death <= 1)
            :: else
            fi
        }
#endif
        if
        :: waited -> asleep = 0
        :: else
        fi
    }
}

proctype Reader(bit may_die)
{
    byte one, two, last, old, seen;
    do
    :: last == VALUES -> break
    :: may_die -> dead = 1; break
    :: last != VALUES ->
        if
#if MUTANT == 3
        :: true ->
#else
        :: dirty ->
#endif
            atomic {
                old = middle; middle = readers; dirty = 0; waiter = 0; readers = old; taken = given; old = 0;
#if MUTANT != 1
                look_at_all()
#endif
            }
            one = first[readers];
            two = second[readers];
            assert(one == two);
            assert(one > last);
            last = one; one = 0; two = 0
#if MUTANT != 3
        :: else ->
            /* arm: one fetch-or */
#if MUTANT == 2
            waiter = 1;
            asleep = 1;
            !asleep
#else
            atomic { old = dirty; seen = middle; waiter = 1 }
            if
            :: old -> old = 0; skip
            :: else ->
                /* the kernel compares the word under its lock */
                atomic {
                    if
                    :: middle == seen && !dirty && waiter -> asleep = 1
                    :: else
                    fi
                }
                !asleep
            fi;
            seen = 0
#endif
#endif
        fi
    od
}

init {
    atomic {
        run Writer();
        if
        :: run Reader(0)
        :: run Reader(1)
        fi
    }
}
