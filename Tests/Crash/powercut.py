"""What a power cut may leave. The calls of a story are repeated up to some point on an imagined disk. There, each
change that was not synced is dropped, torn or kept. The program must cope with each resulting state and keep its
promises.

Two states count as the same if the same objects of the repositories exist in the same shape. Objects are identified by
their kind and by the order in which they were made, not by their random names, contents, sizes or times. Files in `tmp`
and in the cache do not make a state distinct.
"""
import multiprocessing
import os
import random
import re
import shutil
import sys

from bench import Failure, Promise
from stories import STORIES, tell

# The number of draws after one call: for each change of names that may still be lost, and at most. And the number of
# states of one story to try.
DRAWS_OF_CHANGE = 6
DRAWS = 60
STATES_OF_STORY = 400
# With a password, each command takes longer because of Argon2.
STATES_WITH_PASSWORD = 8

# What a power cut may leave of a write that was not synced, as a function of its bytes; None if nothing of the write is
# left.
PAGE = 4096
SHAPES = {
    'none': lambda data: None,
    'zeros': lambda data: bytes(len(data)),
    'one byte': lambda data: data[:1],
    'half': lambda data: data[:len(data) // 2],
    'half, then zeros': lambda data: data[:len(data) // 2].ljust(len(data), b'\0'),
    'all but one byte': lambda data: data[:-1],
    'every other page': lambda data: b''.join(
        data[at:at + PAGE] if at // PAGE % 2 else bytes(len(data[at:at + PAGE])) for at in range(0, len(data), PAGE)),
    'whole': lambda data: data,
}


class Inode:
    """A file's writes. The first `synced` of them are durable."""

    def __init__(self, number):
        self.number = number
        self.writes = []
        self.synced = 0

    def draw(self, odds, draw):
        """Draws a shape for each write: what a power cut leaves of it."""
        shapes = ['whole'] * self.synced
        for _, data in self.writes[self.synced:]:
            if draw.random() >= odds:
                shapes.append('none')
            else:
                shapes.append(draw.choice(sorted(SHAPES)) if data and draw.random() < 0.5 else 'whole')
        while shapes and shapes[-1] == 'none':
            shapes.pop()
        return shapes

    def content(self, shapes):
        content = bytearray()
        for (offset, data), shape in zip(self.writes, shapes):
            if data is None:
                if shape != 'none':
                    content = content[:offset].ljust(offset, b'\0')
                continue
            data = SHAPES[shape](data)
            if data is not None:
                content = content.ljust(offset, b'\0')
                content[offset:offset + len(data)] = data
        return bytes(content)


class Change:
    """A change of names: some are removed and some added. It is durable once the folder of each name was synced, or of
    any one of them if changes are atomic."""

    def __init__(self, remove, add):
        self.parts = [(path, None) for path in remove] + [(path, what) for path, what in add]
        self.is_synced = [False] * len(self.parts)

    def sync(self, folder):
        for place, (path, _) in enumerate(self.parts):
            self.is_synced[place] |= os.path.dirname(path) == folder

    def put(self, names, chosen=None):
        for place, (path, what) in enumerate(self.parts):
            if chosen and not chosen[place]:
                continue
            if what is None:
                names.pop(path, None)
            else:
                names[path] = what


class Disk:
    """The files and names beneath a folder after the calls so far, and which of them are durable."""

    def __init__(self, root):
        self.root = root
        self.inodes = {}
        self.made = []
        self.names = {}
        # The durable names, and the later changes in their order, some of which may still be lost.
        self.durable = {root: 'folder'}
        self.changes = []

    def each(self, calls):
        """Applies the calls one by one. After each call, yields the number of calls so far."""
        for cut, (fields, data, _) in enumerate(calls, 1):
            self.apply(fields, data)
            yield cut

    def make(self, path):
        self.made.append(Inode(len(self.made)))
        self.change([], [(path, self.made[-1])])
        return self.made[-1]

    def apply(self, fields, data):
        kind, rest = fields[0], fields[1:-1]
        if kind == 'create':
            if rest[1] not in self.names:
                self.inodes[rest[0]] = self.make(rest[1])
        elif kind == 'write':
            self.inodes[rest[0]].writes.append((int(rest[1]), data))
        elif kind == 'truncate':
            self.inodes[rest[0]].writes.append((int(rest[1]), None))
        elif kind == 'sync':
            inode = self.inodes.get(rest[0])
            if inode is not None and self.names.get(rest[1]) != 'folder':
                inode.synced = len(inode.writes)
            for change in self.changes:
                change.sync(rest[1])
            self.settle()
        elif kind == 'mkdir':
            self.change([], [(rest[0], 'folder')])
        elif kind == 'unlink':
            self.change([rest[0]], [])
        elif kind == 'rename' and self.names[rest[0]] == 'folder':
            # Everything in the folder moves with it.
            inside = [path for path in self.names if (path + '/').startswith(rest[0] + '/')]
            self.change(inside, [(rest[1] + path[len(rest[0]):], self.names[path]) for path in inside])
        elif kind in ('rename', 'link'):
            self.change([rest[0]] if kind == 'rename' else [], [(rest[1], self.names[rest[0]])])
        elif kind == 'outside':
            self.outside(rest[0], data)

    def outside(self, path, data):
        """Applies a change that another program made to a file. The change is durable at once."""
        if data is None:
            self.change([path], [])
        else:
            inode = self.make(path)
            inode.writes, inode.synced = [(0, data)], 1
        self.changes[-1].sync(os.path.dirname(path))
        self.settle()

    def settle(self):
        """Moves synced changes to `durable`. A change must wait while an earlier unsynced change touches the same name.
        """
        pending, touched = [], set()
        for change in self.changes:
            paths = {path for path, _ in change.parts}
            if all(change.is_synced) and not paths & touched:
                change.put(self.durable)
            else:
                pending.append(change)
                touched |= paths
        self.changes = pending

    def change(self, remove, add):
        self.changes.append(Change(remove, add))
        self.changes[-1].put(self.names)

    def after_cut(self, draw):
        """Yields a random result of a power cut at this moment: path, inode and the shapes of the inode's writes. For a
        folder, inode and shapes are None."""
        odds = draw.choice([0, 0.1, 0.5, 0.9, 1])
        # `in_order`: the disk makes changes of names in their order, so only the last ones are lost. `is_atomic`: each
        # change is kept or lost as a whole, as with a journal.
        in_order, is_atomic = draw.random() < 0.5, draw.random() < 0.5
        pending = sum(not all(change.is_synced) for change in self.changes)
        last = draw.randint(0, pending)
        place = 0
        names = dict(self.durable)
        for change in self.changes:
            if all(change.is_synced) or is_atomic and any(change.is_synced):
                chosen = [True] * len(change.parts)
            elif is_atomic or in_order:
                is_done = place < last if in_order else draw.random() < odds
                chosen = [is_done or is_synced for is_synced in change.is_synced]
            else:
                chosen = [is_synced or draw.random() < odds for is_synced in change.is_synced]
            place += not all(change.is_synced)
            change.put(names, chosen)
        reached = {os.path.dirname(self.root)}
        for path, what in sorted(names.items(), key=lambda row: row[0]):
            # A name without its folder cannot be reached.
            if os.path.dirname(path) not in reached:
                continue
            if what == 'folder':
                reached.add(path)
                yield path, None, None
            else:
                yield path, what, what.draw(odds, draw)


class Names:
    """Canonical names of objects, which replace each random id by its number in the order of the calls."""

    def __init__(self, root, calls):
        self.root = root
        self.ordinals = {}
        self.known = {}
        for fields, _, _ in calls:
            for path in fields[1:-1]:
                self.canonical(path)

    def ordinal(self, kind, name):
        known = self.ordinals.setdefault(kind, {})
        return f'{kind}{known.setdefault(name, len(known))}'

    def canonical(self, path):
        """Returns the canonical name of a path; None if the path does not make a state distinct."""
        if path not in self.known:
            self.known[path] = self.without_chance(path)
        return self.known[path]

    def without_chance(self, path):
        repository, _, rest = path[len(self.root):].strip('/').partition('/')
        if repository == 'cache' or rest == 'tmp' or rest.startswith('tmp/'):
            return None
        rest = re.sub('^packs/([0-9a-f]{2})(?=/|$)', lambda found: 'packs/' + self.ordinal('folder', found[1]), rest)
        return repository, re.sub('[0-9a-f]{32}', lambda found: self.ordinal('id', found[0]), rest)


class Recording:
    """A story that was run: its calls, and for each call the promise that held while it was made."""

    def __init__(self, story, forgets_syncs):
        self.story, self.bench, self.word = story, story.bench, story.bench.word
        self.promises = []
        self.calls = []
        # The number of writes that each inode has at the end of the story.
        self.totals = {}
        promise = Promise()
        log = os.path.join(self.bench.folder, 'log')
        done = 0
        for step in story.steps:
            if step.outside:
                step.end(promise)
                self.promises.append((step.name, promise.copy()))
                for path in step.outside(self.bench):
                    data = None
                    if os.path.exists(path):
                        with open(path, 'rb') as file:
                            data = file.read()
                    self.calls.append((['outside', path, '0'], data, len(self.promises) - 1))
                continue
            arguments = step.arguments(promise)
            self.bench.expect(step.codes, *arguments, watch={'WATCH_LOG': log}, repository=step.repository)
            step.begin(promise, arguments)
            self.promises.append((step.name, promise.copy()))
            self.calls += [
                (fields, data, len(self.promises) - 1) for fields, data in read_log(log, done)
                if not (forgets_syncs and promise.made and fields[0] == 'sync')]
            done = os.path.getsize(log)
            step.end(promise)
            promise.note(self.bench)
        self.promises.append(('the end', promise))
        disk = Disk(self.bench.state)
        for _ in disk.each(self.calls):
            pass
        self.totals = {inode.number: len(inode.writes) for inode in disk.made}

    def stage(self, cut):
        """Returns the number of the promise that holds after `cut` calls."""
        return self.calls[cut][2] if cut < len(self.calls) else len(self.promises) - 1

    def key(self, rows, names):
        """Returns the key of a state. Equal keys mean that the states count as the same."""
        key = []
        for path, inode, shapes in rows:
            name = names.canonical(path)
            if name is None:
                continue
            is_whole = inode and len(shapes) == self.totals[inode.number] and set(shapes) <= {'whole'}
            key.append((*name, 'folder' if inode is None else 'whole' if is_whole else '+'.join(shapes)))
        return frozenset(key)

    def states(self, seed, seen, tried, most):
        """Returns cuts and draws that lead to distinct states, in the order of the cuts. `draw` is the seed of a state.
        """
        found = []
        disk, names = Disk(self.bench.state), Names(self.bench.state, self.calls)
        for cut in disk.each(self.calls):
            open_changes = sum(
                any(names.canonical(path) for path, _ in change.parts) for change in disk.changes)
            for number in range(min(DRAWS, DRAWS_OF_CHANGE * (1 + open_changes))):
                draw = f'{seed} {cut} {number}'
                key = self.key(disk.after_cut(random.Random(draw)), names)
                # A state is tried again if the story has made more promises since, because they must hold in it, too.
                if (key, self.story.name, self.stage(cut)) not in tried:
                    tried.add((key, self.story.name, self.stage(cut)))
                    found.append((cut, draw, key))
        found = random.Random(seed).sample(found, min(most, len(found)))
        seen.update(key for _, _, key in found)
        return sorted(found, key=lambda state: state[0])


def read_log(path, start):
    """Yields the records of a log from byte `start` on."""
    with open(path, 'rb') as file:
        file.seek(start)
        while line := file.readline():
            fields = line.decode().rstrip('\n').split('\t')
            yield fields, file.read(int(fields[-1]))


# --- One state ---


def lay_out(rows, old, new):
    """Makes the files of a state, beneath `new` instead of `old`."""
    shutil.rmtree(new)
    for path, inode, shapes in rows:
        path = new + path[len(old):]
        if inode is None:
            os.mkdir(path)
        else:
            with open(path, 'wb') as file:
                file.write(inode.content(shapes))


def is_undecided(bench, repository):
    """Returns True if a session has not ended. A prune would wait for it."""
    folder = bench.repository(repository)
    return any(
        not os.path.exists(os.path.join(folder, 'snapshots', name))
        for name in list_names(os.path.join(folder, 'sessions')))


def list_names(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def go_on(bench, promise, draw):
    """Checks a state: all promises must hold in it, and again after further commands."""
    promise.check(bench, draw)
    if 'repo' not in promise.made:
        bench.make(['init', *(['--encryption', 'auto'] if bench.word else [])])
    bench.expect((0,), *bench.backup(3))
    bench.expect_restored('latest', 3)
    if 'other' in promise.made:
        bench.expect((0,), 'copy', '--from-repo', bench.repository(), repository='other')
        bench.expect_restored('latest', 3, 'other')
    if draw.random() < 0.3:
        for repository in sorted(promise.made):
            if not is_undecided(bench, repository):
                bench.unlock(repository)
                bench.expect((0,), 'prune', '--max-unused', '0', repository=repository)
        after = promise.copy()
        after.heal = []
        after.check(bench, draw)


def try_states(recording, states, folder, results):
    """Tries some states of a recording. Puts None into `results` for each state that passed. Puts a description of the
    first failure and then stops."""
    bench = recording.bench.elsewhere(folder)
    waiting = list(reversed(states))
    disk = Disk(recording.bench.state)
    for cut in disk.each(recording.calls):
        while waiting and waiting[-1][0] == cut:
            _, seed, _ = waiting.pop()
            lay_out(disk.after_cut(random.Random(seed)), recording.bench.state, bench.state)
            name, promise = recording.promises[recording.stage(cut)]
            bench.word = recording.word
            try:
                go_on(bench, promise.copy(), random.Random(seed))
                results.put(None)
            except Exception as failure:  # The parent waits for a result, whatever the failure is.
                results.put(f'{recording.story.name}, {name}, state {seed}: {failure!r}')
                return


def states(program, watch, folder, limit, seed, forgets_syncs, jobs, media):
    """Runs stories and tries their states until `limit` distinct states were tried."""
    seen, tried = set(), set()
    calls = number = 0
    while len(seen) < limit:
        place = os.path.join(folder, f'story{number}')
        story = tell(number, seed, program, watch, place, media, STORIES)
        recording = Recording(story, forgets_syncs)
        calls += len(recording.calls)
        most = min(STATES_WITH_PASSWORD if recording.word else STATES_OF_STORY, limit - len(seen))
        found = recording.states(f'{seed} {number}', seen, tried, most)
        results = multiprocessing.Queue()
        workers = [
            multiprocessing.Process(
                target=try_states, args=(recording, found[job::jobs], os.path.join(place, f'job{job}'), results))
            for job in range(jobs)]
        for worker in workers:
            worker.start()
        for _ in found:
            failure = results.get()
            if failure:
                for worker in workers:
                    worker.terminate()
                raise Failure(f'seed {seed}, story {number}, {failure}')
        for worker in workers:
            worker.join()
        number += 1
        print(f'{story.name}: {len(found)} states of {len(recording.calls)} calls; {len(seen)} so far', file=sys.stderr)
        shutil.rmtree(place)
    print(f'power cut in {len(seen)} distinct states of {number} stories with {calls} calls: nothing is lost')
