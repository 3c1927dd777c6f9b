#!/usr/bin/env python3
"""What bakstore leaves when it stops anywhere: killed at a system call, or by a power cut.

A scenario of commands (init, three backups, forget, prune, another backup) is run with watch.c preloaded.

kill    Each command is killed before each of its calls that change the repository or the cache, and in the middle of
        each write. Nothing that was reported stored may be lost, the next run must need no repair.
states  The calls are repeated up to some point. What was not synced until then is dropped, torn or kept as a seed says:
        writes to a file up to its fsync, names up to the fsync of one of their folders. The repository
        that is left must have every snapshot that was reported stored.

Usage: crash.py kill|states --program FILE --watch FILE [--points N] [--files N] [--seed N]
--points limits how many are tried, spread over all; a failure names its point or its seed. With --forget-syncs the
disk keeps no more than it likes whatever was synced: something must be lost then.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

KILLED = -9


class Bench:
    """A folder with sources, and `state`, which holds a repository and a cache."""

    def __init__(self, program, watch, folder, count):
        self.program = program
        self.watch = watch
        self.folder = folder
        self.state = os.path.join(folder, 'state')
        os.mkdir(self.state)
        noise = random.Random(7)
        self.sizes = (20_000, 400_000)
        # Three generations of files: most stay, some change, some go.
        files = {f'file{number:02}': noise.randbytes(noise.randint(*self.sizes)) for number in range(count)}
        self.sources = []
        for generation in range(4):
            source = os.path.join(folder, f'source{generation}')
            os.mkdir(source)
            self.sources.append(source)
            for name in sorted(files):
                with open(os.path.join(source, name), 'wb') as file:
                    file.write(files[name])
            for name in noise.sample(sorted(files), len(files) // 2):
                files[name] = noise.randbytes(noise.randint(*self.sizes))
            del files[noise.choice(sorted(files))]

    def run(self, *arguments, watch=None):
        environment = {
            'HOME': self.folder, 'PATH': os.environ['PATH'], 'TZ': 'UTC',
            'BAKSTORE_CACHE_DIR': os.path.join(self.state, 'cache'),
            'BAKSTORE_REPOSITORY': os.path.join(self.state, 'repo'),
        }
        if watch is not None:
            environment.update({'LD_PRELOAD': self.watch, 'WATCH_FOLDER': self.state}, **watch)
        return subprocess.run(
            [self.program, *arguments], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False)

    def backup(self, generation):
        # The more workers, the more packs, however little they hold.
        return ['backup', os.path.basename(self.sources[generation]), '--read-concurrency', '8']

    def snapshots(self):
        """The ids of complete snapshots, oldest first."""
        result = self.run('snapshots', '--json')
        if result.returncode:
            raise Failure(f'snapshots: {result.stderr}')
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        return [row['id'] for row in rows if row['message_type'] == 'snapshot' and row['is_complete']]

    def has(self, command):
        return self.run(command, '--help').returncode == 0

    def save(self, name):
        shutil.copytree(self.state, os.path.join(self.folder, name), symlinks=True)

    def load(self, name):
        shutil.rmtree(self.state)
        shutil.copytree(os.path.join(self.folder, name), self.state, symlinks=True)

    def expect_restored(self, snapshot, generation):
        target = os.path.join(self.folder, 'target')
        shutil.rmtree(target, ignore_errors=True)
        self.expect(0, 'restore', snapshot, '-t', target)
        found = target + self.sources[generation]
        if subprocess.run(['diff', '-r', self.sources[generation], found], check=False, capture_output=True).returncode:
            raise Failure(f'{snapshot} is not restored as it was')

    def expect(self, code, *arguments, **options):
        result = self.run(*arguments, **options)
        if result.returncode != code:
            raise Failure(
                f'{" ".join(arguments)} ends with {result.returncode}, not {code}: {result.stderr}{result.stdout}')
        return result


class Failure(Exception):
    pass


def scenario(bench):
    """The commands, as functions of the snapshots that there are."""
    steps = [('init', lambda ids: ['init', '--pack-size', '1M'])]
    for generation in range(3):
        steps.append((f'backup {generation}', lambda ids, generation=generation: bench.backup(generation)))
    if bench.has('forget') and bench.has('prune'):
        steps.append(('forget', lambda ids: ['forget', ids[0], ids[1]]))
        steps.append(('prune', lambda ids: ['prune', '--max-unused', '0']))
        steps.append(('backup 3', lambda ids: bench.backup(3)))
    return steps


class Promise:
    """What must be there: generations of snapshots that were reported stored, and what may be gone."""

    def __init__(self):
        self.kept = {}
        self.gone = set()

    def copy(self):
        other = Promise()
        other.kept, other.gone = dict(self.kept), set(self.gone)
        return other

    def begin(self, name, arguments):
        """What no more is promised once the command has begun."""
        if name == 'forget':
            for snapshot in arguments[1:]:
                self.kept.pop(snapshot, None)

    def end(self, name, arguments, bench):
        if name == 'forget':
            self.gone.update(arguments[1:])
        if name.startswith('backup'):
            (new,) = set(bench.snapshots()) - set(self.kept) - self.gone
            self.kept[new] = int(name.split()[1])

    def check(self, bench, draw):
        if not self.kept:
            return
        bench.expect(0, 'check', '--read-data')
        found = set(bench.snapshots())
        if not set(self.kept) <= found:
            raise Failure(f'snapshots are lost: {set(self.kept) - found}')
        if self.gone & found:
            raise Failure(f'forgotten snapshots are back: {self.gone & found}')
        snapshot = draw.choice(sorted(self.kept))
        bench.expect_restored(snapshot, self.kept[snapshot])


# --- Killed at a call ---


def points_of(bench, arguments):
    """How many calls a command makes."""
    count = os.path.join(bench.folder, 'count')
    bench.expect(0, *arguments, watch={'WATCH_COUNT': count})
    with open(count, encoding='ascii') as file:
        return int(file.read())


def kill(bench, limit, draw):
    commands = []
    promise = Promise()
    for name, make in scenario(bench):
        arguments = make(list(promise.kept))
        bench.save(f'before {name}')
        before = promise.copy()
        calls = points_of(bench, arguments)
        promise.begin(name, arguments)
        promise.end(name, arguments, bench)
        commands.append((name, arguments, calls, before))
    points = [
        (number, call, tear) for number, (_, _, calls, _) in enumerate(commands) for call in range(1, calls + 1)
        for tear in (False, True)]
    total = len(points)
    if limit < total:
        points = [points[place * total // limit] for place in range(limit)]
    tried = 0
    for number, call, tear in points:
        name, arguments, _, before = commands[number]
        bench.load(f'before {name}')
        watch = {'WATCH_KILL': str(call)}
        if tear:
            watch['WATCH_TEAR'] = 'yes'
        result = bench.run(*arguments, watch=watch)
        # Threads may make a call fewer; a call that is no write is not torn but done as it is.
        if result.returncode not in (KILLED, 0):
            raise Failure(f'{name}, call {call}: ended with {result.returncode}: {result.stderr}')
        tried += result.returncode == KILLED
        try:
            after_kill(bench, name, arguments, before.copy(), result.returncode == 0, draw)
        except Failure as failure:
            raise Failure(f'{name}, call {call}{", torn" if tear else ""}: {failure}') from failure
    if tried * 4 < len(points):
        raise Failure(f'only {tried} of {len(points)} runs were killed')
    print(f'killed at {tried} of {total} points: nothing is lost')


def after_kill(bench, name, arguments, promise, is_done, draw):
    promise.begin(name, arguments)
    promise.check(bench, draw)
    if name == 'init':
        result = bench.run(*arguments)
        if result.returncode not in (0, 10, 12, 1):
            raise Failure(f'init again: {result.stderr}')
        bench.expect(0, *bench.backup(0))
        bench.expect_restored('latest', 0)
        return
    if name == 'forget':
        # What is marked already is not there to be marked again.
        left = [snapshot for snapshot in bench.snapshots() if snapshot in arguments]
        arguments = ['forget', *left] if left else ['snapshots']
    if not is_done:
        bench.expect(0, *arguments)
    if name.startswith('backup'):
        bench.expect_restored('latest', int(name.split()[1]))
    promise.check(bench, draw)


# --- A power cut ---


class Change:
    """A change of names: what it takes away and what it puts where, and the folders one of which must be synced."""

    def __init__(self, remove, add, folders):
        self.remove, self.add, self.folders = remove, add, folders
        self.is_durable = False


class Disk:
    """Files and names beneath a folder, as the calls so far have made them and as far as they were synced."""

    def __init__(self, root):
        self.root = root
        self.inodes = {}
        self.names = {}
        self.changes = []

    def apply(self, fields, data):
        kind, rest = fields[0], fields[1:-1]
        if kind == 'create':
            if rest[1] not in self.names:
                self.inodes[rest[0]] = {'writes': [], 'synced': 0}
                self.change([], [(rest[1], self.inodes[rest[0]])])
        elif kind == 'write':
            self.inodes[rest[0]]['writes'].append((int(rest[1]), data))
        elif kind == 'truncate':
            self.inodes[rest[0]]['writes'].append((int(rest[1]), None))
        elif kind == 'sync':
            inode = self.inodes.get(rest[0])
            if inode is not None and not (rest[1] in self.names and self.names[rest[1]] == 'folder'):
                inode['synced'] = len(inode['writes'])
            for change in self.changes:
                change.is_durable |= rest[1] in change.folders
        elif kind == 'mkdir':
            self.change([], [(rest[0], 'folder')])
        elif kind == 'unlink':
            self.change([rest[0]], [])
        elif kind in ('rename', 'link'):
            self.change([rest[0]] if kind == 'rename' else [], [(rest[1], self.names[rest[0]])])

    def change(self, remove, add):
        folders = {os.path.dirname(path) for path in remove + [path for path, _ in add]}
        self.changes.append(Change(remove, add, folders))
        self.put(self.names, self.changes[-1])

    @staticmethod
    def put(names, change):
        for path in change.remove:
            names.pop(path, None)
        for path, what in change.add:
            names[path] = what

    def after_cut(self, draw):
        """Paths and bytes that a power cut now may leave; a folder has None."""
        odds = draw.choice([0, 0.1, 0.5, 0.9, 1])
        in_order = draw.random() < 0.5
        names = {self.root: 'folder'}
        pending = [change for change in self.changes if not change.is_durable]
        last = draw.randint(0, len(pending))
        for place, change in enumerate(pending):
            change.is_chosen = place < last if in_order else draw.random() < odds
        for change in self.changes:
            if change.is_durable or change.is_chosen:
                self.put(names, change)
        reached = {os.path.dirname(self.root)}
        for path, what in sorted(names.items(), key=lambda row: row[0]):
            # What lies in a folder that is not there cannot be reached.
            if os.path.dirname(path) not in reached:
                continue
            if what == 'folder':
                reached.add(path)
            yield path, None if what == 'folder' else self.content(what, odds, draw)

    @staticmethod
    def content(inode, odds, draw):
        content = bytearray()
        for place, (offset, data) in enumerate(inode['writes']):
            if place >= inode['synced']:
                if draw.random() >= odds:
                    continue
                if data and draw.random() < 0.5:
                    data = data[:draw.randint(0, len(data))]
            if data is None:
                content = content[:offset].ljust(offset, b'\0')
            else:
                content = content.ljust(offset, b'\0')
                content[offset:offset + len(data)] = data
        return bytes(content)


def read_log(path, start):
    """The records from byte `start` on."""
    with open(path, 'rb') as file:
        file.seek(start)
        while line := file.readline():
            fields = line.decode().rstrip('\n').split('\t')
            yield fields, file.read(int(fields[-1]))


def states(bench, limit, seed, forgets_syncs):
    log = os.path.join(bench.folder, 'log')
    promise = Promise()
    # The calls of all commands, with what is promised while each is made.
    calls = []
    done = 0
    for name, make in scenario(bench):
        arguments = make(list(promise.kept))
        bench.expect(0, *arguments, watch={'WATCH_LOG': log})
        promise.begin(name, arguments)
        calls += [
            (*record, promise.copy()) for record in read_log(log, done)
            if not (forgets_syncs and record[0][0] == 'sync')]
        done = os.path.getsize(log)
        promise.end(name, arguments, bench)
    root = bench.state
    order = random.Random(seed)
    cuts = sorted(order.randint(1, len(calls)) for _ in range(limit))
    disk = Disk(root)
    place = 0
    seen = set()
    for number, cut in enumerate(cuts):
        while place < cut:
            disk.apply(*calls[place][:2])
            place += 1
        draw = random.Random(seed * 1_000_003 + number)
        kept = calls[cut][2] if cut < len(calls) else promise
        rows = list(disk.after_cut(draw))
        key = hash(tuple(rows))
        if key in seen:
            continue
        seen.add(key)
        shutil.rmtree(root)
        for path, content in rows:
            if content is None:
                os.mkdir(path)
            else:
                with open(path, 'wb') as file:
                    file.write(content)
        try:
            kept.check(bench, draw)
            if kept.kept and draw.random() < 0.25:
                bench.expect(0, *bench.backup(3))
                bench.expect_restored('latest', 3)
                kept.check(bench, draw)
        except Failure as failure:
            raise Failure(f'seed {seed}, state {number}, cut after call {cut} of {len(calls)}: {failure}') from failure
    print(f'power cut in {len(seen)} states of {len(calls)} calls: nothing is lost')


def main():
    parser = argparse.ArgumentParser(description='Stops bakstore everywhere.')
    parser.add_argument('mode', choices=['kill', 'states'])
    parser.add_argument('--program', required=True)
    parser.add_argument('--watch', required=True)
    parser.add_argument('--points', type=int, default=1_000_000)
    parser.add_argument('--files', type=int, default=24)
    parser.add_argument('--forget-syncs', action='store_true')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            os.path.abspath(options.program), os.path.abspath(options.watch), os.path.realpath(folder), options.files)
        try:
            if options.mode == 'kill':
                kill(bench, options.points, random.Random(options.seed))
            else:
                states(bench, options.points, options.seed, options.forget_syncs)
        except Failure as failure:
            print(f'crash.py: FAILED: {failure}', file=sys.stderr)
            sys.exit(1)


main()
