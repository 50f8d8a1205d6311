#!/usr/bin/env python3
"""kill -9 during /api/put?sync load: what was acknowledged is there, once, and the stream is clean.

kill9.py [ROUNDS]    default 10; the long run is 200
"""
import random
import sys

from acknowledged import Ledger
from harness import Daemon, main, new_seed

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seed = int(sys.argv[2]) if len(sys.argv) > 2 else new_seed()


def acknowledged_points_survive(folder):
    """every acknowledged point is there once after each kill -9"""
    print(f'# seed {seed}, {rounds} rounds', flush=True)
    rng = random.Random(seed)
    daemon, ledger = Daemon(folder), Ledger()
    try:
        for _ in range(rounds):
            daemon.start()
            ledger.round(daemon, rng.uniform(0.02, 0.25), daemon.kill)
        daemon.start()
        ledger.check(daemon, rounds)
        daemon.stop()
    finally:
        daemon.kill()


sys.argv = sys.argv[:1]
main(acknowledged_points_survive)
