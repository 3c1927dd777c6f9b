"""What a power cut may leave: the calls of a story are repeated up to some point on an imagined disk, and what was not
synced until then is dropped, torn or kept. The program must cope with each state, and keep what it promised.

Two states are one when the same of a repository's objects are there, in the same shape: objects are told apart by what
they are and by the order in which they were made, never by their random names, contents, sizes or times. What lies in
`tmp` and in the cache differs from state to state too, but makes none distinct.
"""
import multiprocessing
import os
import random
import re
import shutil
import sys

from bench import Failure, Promise
from stories import tell

# How often a cut is imagined after one call, for each change of names that may be lost and in all, and how many states
# of one story are tried.
DRAWS_OF_CHANGE = 6
DRAWS = 60
STATES_OF_STORY = 400
# Argon2 takes a while for each command.
STATES_WITH_PASSWORD = 8

# What becomes of a write that was not synced, as a function of its bytes; None when it never came to be.
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
    """A file's writes, of which the first `synced` are durable."""

    def __init__(self, number):
        self.number = number
        self.writes = []
        self.synced = 0

    def draw(self, odds, draw):
        """What becomes of each write."""
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
    """Names that come and go together. Durable once a folder of each, or of any where `is_atomic`, was synced."""

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
    """Files and names beneath a folder, as the calls so far have made them and as far as they were synced."""

    def __init__(self, root):
        self.root = root
        self.inodes = {}
        self.made = []
        self.names = {}
        # What is there for good, and the changes that may be lost yet.
        self.durable = {root: 'folder'}
        self.changes = []

    def each(self, calls):
        """Makes the calls one by one and yields how many have been made."""
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
            # With what is in it.
            inside = [path for path in self.names if (path + '/').startswith(rest[0] + '/')]
            self.change(inside, [(rest[1] + path[len(rest[0]):], self.names[path]) for path in inside])
        elif kind in ('rename', 'link'):
            self.change([rest[0]] if kind == 'rename' else [], [(rest[1], self.names[rest[0]])])
        elif kind == 'outside':
            self.outside(rest[0], data)

    def outside(self, path, data):
        """Something happens to a file, for good."""
        if data is None:
            self.change([path], [])
        else:
            inode = self.make(path)
            inode.writes, inode.synced = [(0, data)], 1
        self.changes[-1].sync(os.path.dirname(path))
        self.settle()

    def settle(self):
        """Puts aside what can be lost no more, unless a change before it to the same name can."""
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
        """What a power cut now may leave: path, inode and the shapes of its writes; a folder has neither."""
        odds = draw.choice([0, 0.1, 0.5, 0.9, 1])
        # Changes of names are done in their order, or in any; each as a whole, as a journal does, or name by name.
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
            # What lies in a folder that is not there cannot be reached.
            if os.path.dirname(path) not in reached:
                continue
            if what == 'folder':
                reached.add(path)
                yield path, None, None
            else:
                yield path, what, what.draw(odds, draw)


class Names:
    """Names without what is random in them: what an object is, and the how-manieth in the order of the calls."""

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
        """None for what makes no state distinct."""
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
    """A story that has been told: its calls, and what was promised while each was made."""

    def __init__(self, story, forgets_syncs):
        self.story, self.bench, self.word = story, story.bench, story.bench.word
        self.promises = []
        self.calls = []
        # Inodes and how many writes each has got in the end.
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
        """The promise that holds when so many calls have been made."""
        return self.calls[cut][2] if cut < len(self.calls) else len(self.promises) - 1

    def key(self, rows, names):
        """What makes a state distinct."""
        key = []
        for path, inode, shapes in rows:
            name = names.canonical(path)
            if name is None:
                continue
            is_whole = inode and len(shapes) == self.totals[inode.number] and set(shapes) <= {'whole'}
            key.append((*name, 'folder' if inode is None else 'whole' if is_whole else '+'.join(shapes)))
        return frozenset(key)

    def states(self, seed, seen, tried, most):
        """Cuts and draws that lead to states of which none is like another."""
        found = []
        disk, names = Disk(self.bench.state), Names(self.bench.state, self.calls)
        for cut in disk.each(self.calls):
            open_changes = sum(
                any(names.canonical(path) for path, _ in change.parts) for change in disk.changes)
            for number in range(min(DRAWS, DRAWS_OF_CHANGE * (1 + open_changes))):
                draw = f'{seed} {cut} {number}'
                key = self.key(disk.after_cut(random.Random(draw)), names)
                # What was promised since must be found in a state that was there before, too.
                if (key, self.story.name, self.stage(cut)) not in tried:
                    tried.add((key, self.story.name, self.stage(cut)))
                    found.append((cut, draw, key))
        found = random.Random(seed).sample(found, min(most, len(found)))
        seen.update(key for _, _, key in found)
        return sorted(found, key=lambda state: state[0])


def read_log(path, start):
    """The records from byte `start` on."""
    with open(path, 'rb') as file:
        file.seek(start)
        while line := file.readline():
            fields = line.decode().rstrip('\n').split('\t')
            yield fields, file.read(int(fields[-1]))


# --- One state ---


def lay_out(rows, old, new):
    """Makes the files of a state, below `new` instead of `old`."""
    shutil.rmtree(new)
    for path, inode, shapes in rows:
        path = new + path[len(old):]
        if inode is None:
            os.mkdir(path)
        else:
            with open(path, 'wb') as file:
                file.write(inode.content(shapes))


def is_undecided(bench, repository):
    """Whether a session is open, for which a prune would wait."""
    folder = bench.repository(repository)
    return any(
        not os.path.exists(os.path.join(folder, 'snapshots', name))
        for name in list_names(os.path.join(folder, 'sessions')))


def list_names(folder):
    return os.listdir(folder) if os.path.isdir(folder) else []


def go_on(bench, promise, draw):
    """What must hold in a state: all that was promised, before and after what is done next."""
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
    """Tries some of a recording's states; puts what failed, or None for each state, into `results`."""
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
            except Exception as failure:  # Whatever it is, somebody waits for the result.
                results.put(f'{recording.story.name}, {name}, state {seed}: {failure!r}')
                return


def states(program, watch, folder, limit, seed, forgets_syncs, jobs, media):
    """Goes through stories until `limit` states were tried."""
    seen, tried = set(), set()
    calls = number = 0
    while len(seen) < limit:
        place = os.path.join(folder, f'story{number}')
        story = tell(number, seed, program, watch, place, media)
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
