#!/usr/bin/env python3
"""Tests the repository that bakstore leaves if it stops at any moment, by a kill or a power cut. watch.c is preloaded.

kill    A scenario of commands (init, three backups, forget, prune, another backup). Each command is killed before each
        of its calls that change the repository or the cache, and in the middle of each write. Nothing that was
        reported stored may be lost, the next run must need no repair.
states  The calls of stories (stories.py) are repeated up to some point, and what was not synced is lost as a seed says
        (powercut.py). In the repository that is left must be every snapshot that was reported stored, and it must
        work.
disk    Stories run on a real file system, on a disk with a volatile write cache (disk.py). Of what was not flushed before
        a cut, an image keeps what a seed chooses. Only root may do this; elsewhere the mode says that it was skipped.
order   strace verifies that a first backup syncs each object before others refer to it (order.py).

Usage: crash.py kill|states|disk|order --program FILE --watch FILE [--disk FILE] [--points N] [--files N] [--seed N]
                [--jobs N] [--media links|claims|locks] [--file-system ext4|xfs|btrfs] [--forget-syncs [KIND]]
--points limits how many are tried: of the scenario's points, spread over all; of distinct states, from as many stories
as it takes; of cuts. A failure names its point or its seed. With --forget-syncs the disk keeps no more than it likes,
whatever was synced after init: something must be lost then. In the modes disk and order, KIND limits this to the syncs
of `files` or of `folders`, in the mode disk also to those of `restores`. --media says what names are given by: claims
and locks are for media without a rename that refuses a taken name.
"""
import argparse
import os
import random
import signal
import sys
import tempfile

from bench import KILLED, Bench, Failure, Promise, Sources
from disk import MAKE, cuts
from order import order
from powercut import states
from stories import Step, plain


def points_of(bench, arguments):
    """Runs a command and returns the number of its calls."""
    count = os.path.join(bench.folder, 'count')
    bench.expect((0,), *arguments, watch={'WATCH_COUNT': count})
    with open(count, encoding='ascii') as file:
        return int(file.read())


def kill(bench, limit, draw):
    commands = []
    promise = Promise()
    steps = plain(lambda generation: Step(f'backup {generation}', lambda promise: bench.backup(generation)))
    for number, step in enumerate(steps):
        arguments = step.arguments(promise)
        bench.save(f'before {number}')
        before = promise.copy()
        calls = points_of(bench, arguments)
        step.begin(promise, arguments)
        step.end(promise)
        promise.note(bench)
        bench.expect_media()
        commands.append((step, arguments, calls, before))
    points = [
        (number, call, tear) for number, (_, _, calls, _) in enumerate(commands) for call in range(1, calls + 1)
        for tear in (False, True)]
    total = len(points)
    if limit < total:
        points = [points[place * total // limit] for place in range(limit)]
    tried = 0
    for number, call, tear in points:
        step, arguments, _, before = commands[number]
        bench.load(f'before {number}')
        watch = {'WATCH_KILL': str(call)}
        if tear:
            watch['WATCH_TEAR'] = 'yes'
        result = bench.run(*arguments, watch=watch)
        # The run may end without a kill, because threads may make fewer calls this time.
        if result.returncode not in (KILLED, 0):
            raise Failure(f'{step.name}, call {call}: ended with {result.returncode}: {result.stderr}')
        tried += result.returncode == KILLED
        try:
            after_kill(bench, step, arguments, before.copy(), result.returncode == 0, draw)
        except Failure as failure:
            raise Failure(f'{step.name}, call {call}{", torn" if tear else ""}: {failure}') from failure
    if tried * 4 < len(points):
        raise Failure(f'only {tried} of {len(points)} runs were killed')
    print(f'killed at {tried} of {total} points: nothing is lost')


def after_kill(bench, step, arguments, promise, is_done, draw):
    step.begin(promise, arguments)
    promise.check(bench, draw)
    command = arguments[0]
    if command == 'init':
        bench.make(arguments)
        bench.expect((0,), *bench.backup(0))
        bench.expect_restored('latest', 0)
        return
    if command in ('forget', 'prune'):
        bench.unlock()
    if command == 'forget':
        # Some of the snapshots may be forgotten already.
        left = [snapshot for snapshot in bench.snapshots() if snapshot in arguments]
        arguments = ['forget', '--yes', *left] if left else ['snapshots']
    if not is_done:
        bench.expect((0,), *arguments)
    if command == 'backup':
        bench.expect_restored('latest', int(step.name.split()[1]))
    promise.check(bench, draw)


def main():
    parser = argparse.ArgumentParser(description='Stops bakstore everywhere.')
    parser.add_argument('mode', choices=['kill', 'states', 'disk', 'order'])
    parser.add_argument('--program', required=True)
    parser.add_argument('--watch', required=True)
    parser.add_argument('--disk')
    parser.add_argument('--file-system', choices=sorted(MAKE), default='ext4')
    parser.add_argument('--points', type=int)
    parser.add_argument('--files', type=int, default=24)
    parser.add_argument('--media', choices=['links', 'claims', 'locks'], default='links')
    parser.add_argument('--forget-syncs', nargs='?', const='all', choices=['all', 'files', 'folders', 'restores'])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--jobs', type=int, default=1)
    options = parser.parse_args()
    program, watch = os.path.abspath(options.program), os.path.abspath(options.watch)
    # The first process of a namespace gets only the signals that it handles.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        try:
            if options.mode == 'kill':
                sources = Sources(os.path.join(folder, 'sources'), count=options.files)
                bench = Bench(program, watch, folder, sources, media=options.media)
                kill(bench, options.points or 1_000_000, random.Random(options.seed))
            elif options.mode == 'disk':
                cuts(
                    program, watch, os.path.abspath(options.disk), options.file_system, folder, options.points or 500,
                    options.seed, options.forget_syncs)
            elif options.mode == 'order':
                order(program, watch, folder, options.seed, options.forget_syncs)
            else:
                states(
                    program, watch, folder, options.points or 10_000, options.seed, options.forget_syncs, options.jobs,
                    options.media)
        except Failure as failure:
            print(f'crash.py: FAILED: {failure}', file=sys.stderr)
            sys.exit(1)


main()
