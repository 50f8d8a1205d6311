#!/usr/bin/env python3
"""mutants.py CC SOURCE BUILD: mistakes that others made with these very things, put into our sources one at a time: the
step-by-step proof must find each. TAP."""
import os
import shutil
import subprocess
import sys

COMPILER, SOURCE, BUILD = sys.argv[1].split(), sys.argv[2], sys.argv[3]
STEPPED = ('bell', 'bell_wait', 'ring_read', 'ring_write', 'table_read', 'triple_read', 'triple_write')

# name: [(file, from, to), ...]
MUTANTS = {
    'triple: an index made by comparison instead of a shift': [
        ('triple_write.c', 'old & YD__TRIPLE_INDEX', '(old & YD__TRIPLE_INDEX) > 0')],
    'triple: the dirty bit set by a store of its own, after the exchange': [
        ('triple_write.c', 'triple->mine | YD__TRIPLE_DIRTY, ACQ_REL);',
         'triple->mine, ACQ_REL);\n    (void)yd__fetch_or(triple->word, YD__TRIPLE_DIRTY, ACQ_REL);')],
    'triple: taken without asking whether anything is new': [
        ('triple_read.c', 'if (!(yd__load(reader->word, RELAXED) & YD__TRIPLE_DIRTY)) return 0;', '')],
    'triple: filled after it was given': [
        ('triple_write.c', 'yd__plain_copy_in(yd_live_triple_buffer(triple), bytes, size);\n'
         '    return yd_live_triple_publish(triple, time_ns, type, flags, size);',
         'void *buffer = yd_live_triple_buffer(triple);\n    int result = yd_live_triple_publish(triple, time_ns, type, flags, size);\n'
         '    yd__plain_copy_in(buffer, bytes, size);\n    return result;')],
    'triple: the reader sleeps without looking whether it was dirty': [
        ('triple_read.c', 'if (old & YD__TRIPLE_DIRTY) return YD_EAGAIN;', '')],
    'slots: the slot is not marked while it is written': [
        ('table_write.c', 'yd__store(&slot[YD__SLOT_SEQ], YD__SLOT_BUSY, RELAXED);', '')],
    'slots: head before the words': [
        ('table_write.c', '    yd__store(&slot[YD__SLOT_SEQ], YD__SLOT_BUSY, RELAXED);',
         '    yd__store(cell->head, cell->seq + 1, RELEASE);\n'
         '    yd__store(&slot[YD__SLOT_SEQ], cell->seq + 1, RELEASE);')],
    'slots: not looked at again after the copy': [
        ('table_read.c', 'if (yd__load(&slot[YD__SLOT_SEQ], RELAXED) != seq) return 0;', '')],
    'slots: only the slot is looked at before the copy, nothing acquired': [
        ('table_read.c', 'yd__load(&slot[YD__SLOT_SEQ], ACQUIRE)', 'yd__load(&slot[YD__SLOT_SEQ], RELAXED)'),
        ('table_read.c', 'yd__load(cell->head, ACQUIRE)', 'yd__load(cell->head, RELAXED)')],
    'slots: neither the slot nor head released': [
        ('table_write.c', 'yd__store(&slot[YD__SLOT_SEQ], seq, RELEASE)', 'yd__store(&slot[YD__SLOT_SEQ], seq, RELAXED)'),
        ('table_write.c', 'yd__store(cell->head, seq, RELEASE)', 'yd__store(cell->head, seq, RELAXED)')],
    'slots: what was missed counted one too few': [
        ('table_read.c', 'head - cursor->seq - 1', 'head - cursor->seq - 2')],
    'slots: the oldest taken for one older': [
        ('table_read.c', 'ahead > kept ? ahead - kept : 0', 'ahead > kept ? ahead - kept - 1 : 0'),
        ('table_read.c', 'if (tries >= NEXT_TRIES) lost = ahead - 1;', ''),
        ('table_read.c', 'if (yd__load(&slot[YD__SLOT_SEQ], ACQUIRE) != seq) return 0;', 'if (!slot) return 0;'),
        ('table_read.c', 'if (yd__load(&slot[YD__SLOT_SEQ], RELAXED) != seq) return 0;', '')],
    'bell: rung before the value is there': [
        ('table_write.c', '    uint64_t *slot = begin_slot(cell, time_ns, YD__META(8, type, flags));',
         '    table->rung |= UINT64_C(1) << cell->bell;\n    yd_live_table_ring(table);\n'
         '    uint64_t *slot = begin_slot(cell, time_ns, YD__META(8, type, flags));'),
        ('table_write.c', '    end_slot(cell, slot);\n    table->rung |= UINT64_C(1) << cell->bell;\n    return 0;\n}\n\nvoid',
         '    end_slot(cell, slot);\n    return 0;\n}\n\nvoid')],
    'bell: looked at and changed in two steps': [
        ('bell.c', 'uint32_t old = yd__exchange(at, next, RELEASE);',
         'uint32_t old = yd__load(at, ACQUIRE);\n    (void)yd__exchange(at, next, RELEASE);')],
    'bell: the waiter\'s bit stays': [
        ('bell.c', 'yd__exchange(at, next, RELEASE)', 'yd__exchange(at, next | YD__BELL_WAITER, RELEASE)')],
    'bell: the sequence does not move': [
        ('bell.c', 'bell->sequences[word] += YD__BELL_STEP', 'bell->sequences[word]'),
        ('bell_wait.c', 'yd__fetch_or(word, YD__BELL_WAITER, ACQUIRE) | YD__BELL_WAITER',
         'yd__fetch_or(word, YD__BELL_WAITER, ACQUIRE) & ~YD__BELL_WAITER')],
    'ring: overwritten before it is claimed': [
        ('ring_write.c', 'yd__store(&ring->shared->claimed, ring->claimed, RELAXED);', '')],
    'ring: the claim not looked at after the copy': [
        ('ring_read.c', 'if (yd__load(&reader->ring->claimed, RELAXED) - reader->position > reader->size) return 0;', '')],
    'ring: the head before the records': [
        ('ring_write.c', '    uint64_t *words = (uint64_t *)(ring->data + offset);',
         '    yd__store(&ring->shared->head, end, RELEASE);\n    uint64_t *words = (uint64_t *)(ring->data + offset);')],
    'ring: opened at a head that is not looked at again': [
        ('ring_read.c', 'reader->counted = after == before;', 'reader->counted = before >= after;')],
    'ring, lossless: the writer is called before the credit is there': [
        ('ring_read.c', '    yd__store(&reader->credit->consumed, reader->position, RELEASE);', ''),
        ('ring_read.c', 'yd__futex_wake_all(&reader->credit->room);',
         'yd__futex_wake_all(&reader->credit->room);\n    yd__store(&reader->credit->consumed, reader->position, RELEASE);')],
}


def main():
    work = os.path.join(BUILD, 'live-mutants')
    bad = 0
    print(f'1..{len(MUTANTS)}')
    for number, (name, changes) in enumerate(MUTANTS.items(), 1):
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(os.path.join(work, 'live'))
        for file in os.listdir(os.path.join(SOURCE, 'src/live')):
            if not file.endswith(('.c', '.h')):
                continue
            shutil.copy(os.path.join(SOURCE, 'src/live', file), os.path.join(work, 'live', file))
        problem = None
        for file, old, new in changes:
            path = os.path.join(work, 'live', file)
            with open(path) as source:
                text = source.read()
            if old not in text:
                problem = f'{file} has no "{old}" any more'
            with open(path, 'w') as target:
                target.write(text.replace(old, new))
        program = os.path.join(work, 'steps')
        tests = os.path.join(SOURCE, 'tests/sim/live')
        built = subprocess.run(
            COMPILER + ['-O2', '-w', '-std=gnu11', '-D_GNU_SOURCE', '-DYD_LIVE_STEPS="steps.h"', '-fno-strict-aliasing', '-o', program,
                        '-I' + work, '-I' + tests, '-I' + os.path.join(SOURCE, 'include'), '-I' + os.path.join(SOURCE, 'src'),
                        os.path.join(tests, 'steps.c'), os.path.join(tests, 'memory.c')]
            + [os.path.join(work, 'live', part + '.c') for part in STEPPED]
            + [os.path.join(BUILD, f'libyd_{floor}.a') for floor in ('live', 'batch', 'base')] + ['-lm'],
            capture_output=True, text=True)
        if built.returncode:
            problem = built.stderr.splitlines()[0] if built.stderr else 'does not compile'
        found = ''
        if not problem:
            run = subprocess.run([program, '--plain', '--first', name.split(':')[0].split(',')[0]], capture_output=True, text=True, timeout=250)
            found = next((line for line in run.stdout.splitlines() if line.startswith('not ok')), '')
            if not found and run.returncode < 0:
                found = f'ended by signal {-run.returncode}'
        good = not problem and found
        bad += not good
        print(f'{"ok" if good else "not ok"} {number} - {name}: {problem or found.removeprefix("not ok - ") or "not found"}', flush=True)
    shutil.rmtree(work, ignore_errors=True)
    return 1 if bad else 0


sys.exit(main())
