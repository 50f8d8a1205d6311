/* The bell, an event count (src/live/bell_format.h): the writer rings, two wait, a third was killed after he armed.
 *
 *   value ─ exchange(word, next sequence) ─ waiter's bit? wake all      look ─ arm ─ check ─ sleep unless the word changed
 *
 * Holds: no wake-up is lost: everybody comes to the last value (otherwise he ends asleep, which spin calls an invalid end
 * state); each arming costs one wake at most, a killed one's too.
 * Memory is sequentially consistent here: tests/sim/live goes through what C11 allows beyond that, over the code itself.
 *
 * MUTANT 1: the word is looked at and changed in two steps. 2: the waiter does not check after he armed. 3: rung before the
 * value is there. */
#ifndef MUTANT
#define MUTANT 0
#endif
#define VALUES  3
#define WAITERS 2

byte value;
byte sequence; /* with the bit one word: changed by atomic steps only */
bit waiter;
bit asleep[WAITERS];
byte armed, wakes;

inline ring()
{
#if MUTANT == 1
    waited = waiter;
    atomic { sequence++; waiter = 0 }
#else
    atomic { waited = waiter; sequence++; waiter = 0 }
#endif
    if
    :: waited -> atomic { asleep[0] = 0; asleep[1] = 0; wakes++; assert(wakes <= armed) }
    :: else
    fi;
    waited = 0
}

proctype Writer()
{
    byte next;
    bit waited;
    for (next : 1 .. VALUES) {
#if MUTANT == 3
        ring();
        value = next
#else
        value = next;
        ring()
#endif
    }
}

proctype Waiter(byte me)
{
    byte seen;
    do
    :: value == VALUES -> break
    :: else ->
        atomic { seen = sequence; waiter = 1; armed++ }
        if
#if MUTANT != 2
        :: value == VALUES -> break
#endif
        :: value != VALUES || MUTANT == 2 ->
            /* the kernel compares the word under its lock */
            atomic {
                if
                :: sequence == seen && waiter -> asleep[me] = 1
                :: else
                fi
            }
            !asleep[me]
        fi;
        seen = 0
    od
}

proctype Killed()
{
    atomic { waiter = 1; armed++ }
}

init {
    atomic {
        run Writer();
        run Waiter(0);
        run Waiter(1);
        run Killed()
    }
}
