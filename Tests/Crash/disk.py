"""Power cuts on a real file system. disk.c provides a disk with a volatile write cache, and the kernel's ext4, XFS or
btrfs lies on it. The commands of a story (stories.py) run there. The disk records all writes and flushes, so any cut can
be replayed: its image has everything from before the last flush, and of the sectors written since, those that a seed
chooses. The kernel mounts the image, and the repository must have everything that was promised before the cut.
"""
import bisect
import os
import random
import shutil
import struct
import subprocess
import time

from bench import Failure, Promise
from powercut import go_on
from stories import DISK_STORIES, tell

SIZE = 512 << 20
# The disk writes so much whole or not at all. ext4 relies on it: a torn superblock cannot be mounted.
SECTOR = 4096
MAKE = {
    'ext4': ['mkfs.ext4', '-q', '-F'],
    'xfs': ['mkfs.xfs', '-q', '-f'],
    'btrfs': ['mkfs.btrfs', '-q', '-f'],
}
# At most so many, and in a short run half of all: two stories have copies and restores.
CUTS_OF_STORY = 40
CUTS_OF_WRITER = 6


def call(*arguments):
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode:
        raise Failure(f'{" ".join(arguments)} ends with {result.returncode}: {result.stderr}{result.stdout}')
    return result.stdout


def make(system, image):
    with open(image, 'wb') as file:
        file.truncate(SIZE)
    call(*MAKE[system], image)


class Mounted:
    """An image, mounted at a folder while the context is open. The loop device disappears with the mount."""

    def __init__(self, image, folder):
        self.image, self.folder = image, folder

    def __enter__(self):
        call('mount', '-o', 'loop', self.image, self.folder)
        return self

    def __exit__(self, *failure):
        call('umount', self.folder)


class VirtualDisk:
    """A disk with a file system, mounted at `place` while the context is open. Afterwards `writes` has its record."""

    def __init__(self, program, system, folder, place):
        self.program, self.folder, self.place = program, os.path.join(folder, 'disk'), place
        self.image, self.log = os.path.join(self.folder, 'image'), os.path.join(self.folder, 'log')
        self.top = os.path.join(self.folder, 'top')
        self.start = os.path.join(self.folder, 'start')
        os.makedirs(self.top)
        make(system, self.start)
        copy(self.start, self.image)

    def __enter__(self):
        # The process ends when its folder is unmounted.
        self.process = subprocess.Popen([self.program, self.image, self.log, self.top])
        try:
            file = os.path.join(self.top, 'disk')
            while not os.path.exists(file):
                if self.process.poll() is not None:
                    raise Failure('FUSE cannot be mounted')
                time.sleep(0.01)
            self.mounted = Mounted(file, self.place)
            self.mounted.__enter__()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *failure):
        # The file system goes first: it would wait for a disk that is gone.
        try:
            self.mounted.__exit__()
        finally:
            self.end()
        self.writes = Writes(self.start, self.log)

    def end(self):
        # The loop device closes its file a moment after the file system was unmounted.
        for _ in range(500):
            if self.process.poll() is not None:
                return
            subprocess.run(['fusermount3', '-u', '-q', self.top], stderr=subprocess.DEVNULL, check=False)
            time.sleep(0.01)
        raise Failure('the disk cannot be unmounted')

    def now(self):
        """Returns the present moment, as a position in the log."""
        return os.path.getsize(self.log)


class Writes:
    """The record of a disk. A cut is the number of records before it. `lay_out` takes cuts in ascending order."""

    def __init__(self, base, log):
        self.base = base
        self.log = open(log, 'rb')
        # Each record's end in the log, its place on the disk and its number of bytes. A flush has no bytes.
        self.rows = []
        self.flushes = []
        end, size = 0, os.path.getsize(log)
        while end < size:
            self.log.seek(end)
            offset, count = struct.unpack('=QQ', self.log.read(16))
            end += 16 + count
            if not count:
                self.flushes.append(len(self.rows))
            self.rows.append((end, offset, count))
        self.done = 0

    def cut(self, position):
        """Returns the cut at a position in the log."""
        return bisect.bisect_right(self.rows, position, key=lambda row: row[0])

    def flushes_between(self, first, last):
        return bisect.bisect_left(self.flushes, last) - bisect.bisect_left(self.flushes, first)

    def before_flush(self, cut):
        """Returns the cut just before the next flush, when most sectors are unflushed."""
        place = bisect.bisect_left(self.flushes, cut)
        return self.flushes[place] if place < len(self.flushes) else len(self.rows)

    def sectors(self, first, last, size):
        for end, offset, count in self.rows[first:last]:
            self.log.seek(end - count)
            data = self.log.read(count)
            for at in range(0, count, size):
                yield offset + at, data[at:at + size]

    def lay_out(self, cut, draw, image):
        """Makes an image that a power cut may leave. Returns how many sectors were unflushed, and how many it has."""
        place = bisect.bisect_left(self.flushes, cut)
        durable = self.flushes[place - 1] if place else 0
        assert durable >= self.done
        with open(self.base, 'r+b') as file:
            put(file, self.sectors(self.done, durable, SIZE))
        self.done = durable
        copy(self.base, image)
        sectors = list(self.sectors(durable, cut, SECTOR))
        odds = draw.choice([0, 0.1, 0.5, 0.9, 1])
        if draw.random() < 0.3:
            kept = sectors[:draw.randint(0, len(sectors))]
        else:
            kept = [sector for sector in sectors if draw.random() < odds]
        with open(image, 'r+b') as file:
            put(file, kept)
        return len(sectors), len(kept)


def put(file, sectors):
    for offset, data in sectors:
        file.seek(offset)
        file.write(data)


def copy(image, target):
    call('cp', '--sparse=always', image, target)


def obstacle(program, system, folder):
    """Returns why this machine cannot mount the file system on such a disk; None if it can."""
    if os.geteuid():
        return 'only root may mount it'
    place = os.path.join(folder, 'place')
    os.mkdir(place)
    try:
        with VirtualDisk(program, system, folder, place):
            return None
    except Failure as failure:
        return str(failure).splitlines()[0]


# --- Proof that a loss would be seen ---


def write_plainly(folder, name, is_synced):
    """Writes a file and gives it its name, as a program does that then reports it stored."""
    content = random.Random(name).randbytes(300_000)
    temporary = os.path.join(folder, name + '.tmp')
    with open(temporary, 'wb') as file:
        file.write(content)
        file.flush()
        if is_synced:
            os.fsync(file.fileno())
    os.rename(temporary, os.path.join(folder, name))
    if is_synced:
        top = os.open(folder, os.O_RDONLY)
        os.fsync(top)
        os.close(top)
    return content


def prove(program, system, folder, seed):
    """Proves that a cut can lose data: a writer without syncs loses its file in some cuts, one with syncs in none."""
    place = os.path.join(folder, 'state')
    os.makedirs(place)
    with VirtualDisk(program, system, folder, place) as disk:
        written = []
        for name, is_synced in (('plain', False), ('synced', True)):
            first = disk.now()
            written.append((name, is_synced, write_plainly(place, name, is_synced), first, disk.now()))
    lost = {}
    for name, is_synced, content, first, last in written:
        first, last = disk.writes.cut(first), disk.writes.cut(last)
        if is_synced and not disk.writes.flushes_between(first, last):
            raise Failure(f'{system}: a sync does not arrive at the disk')
        lost[name] = 0
        for number in range(CUTS_OF_WRITER):
            image = os.path.join(folder, 'image')
            disk.writes.lay_out(last, random.Random(f'{seed} {name} {number}'), image)
            with Mounted(image, place):
                path = os.path.join(place, name)
                if not os.path.exists(path):
                    lost[name] += 1
                    continue
                with open(path, 'rb') as file:
                    lost[name] += file.read() != content
    if not lost['plain'] or lost['synced']:
        raise Failure(f'{system}: files lost in {CUTS_OF_WRITER} cuts: {lost}')
    print(
        f'{system}: {lost["plain"]} of {CUTS_OF_WRITER} cuts lose the file of a writer that does not sync; '
        'none loses that of a writer that does')


# --- Stories ---


class Recording:
    """A story on a disk: the stages of its promise, each from a position in the log on."""

    def __init__(self, story, program, system, forgets_syncs):
        self.story, self.bench = story, story.bench
        self.stages = []
        # The stages that begin at the end of a command.
        self.ends = []
        promise = Promise()
        with VirtualDisk(program, system, self.bench.folder, self.bench.state) as disk:
            self.disk = disk
            self.note('the beginning', promise)
            for step in story.steps:
                arguments = step.arguments(promise)
                step.begin(promise, arguments)
                self.note(step.name, promise)
                kind = forgets_syncs if promise.made else None
                if kind == 'restores':
                    kind = 'all' if arguments[0] == 'restore' else None
                watch = {'WATCH_FORGET': kind} if kind else None
                self.bench.expect(step.codes, *arguments, watch=watch, repository=step.repository)
                end = disk.now()
                step.end(promise)
                promise.note(self.bench)
                self.ends.append(len(self.stages))
                self.note(f'after {step.name}', promise, end)

    def note(self, name, promise, position=None):
        self.stages.append((self.disk.now() if position is None else position, name, promise.copy()))

    def stage(self, cut):
        """Returns the stage at a cut."""
        position = self.disk.writes.rows[cut - 1][0]
        return bisect.bisect_right(self.stages, position, key=lambda stage: stage[0]) - 1

    def cuts(self, draw, most):
        """Returns cuts with their stages: at the end of a command, before a flush, and anywhere."""
        writes = self.disk.writes
        found = []
        for number in range(most):
            if number % 3 == 0:
                stage = draw.choice(self.ends)
                found.append((writes.cut(self.stages[stage][0]), stage))
                continue
            cut = draw.randint(writes.cut(self.stages[0][0]), len(writes.rows))
            if number % 3 == 1:
                cut = writes.before_flush(cut)
            found.append((cut, self.stage(cut)))
        return sorted(found)


def try_cut(recording, cut, stage, seed, folder):
    bench = recording.bench.elsewhere(folder)
    image = os.path.join(folder, 'image')
    draw = random.Random(seed)
    _, name, promise = recording.stages[stage]
    sectors = recording.disk.writes.lay_out(cut, draw, image)
    try:
        with Mounted(image, bench.state):
            go_on(bench, promise.copy(), draw)
    except (Failure, subprocess.SubprocessError) as failure:
        raise Failure(f'{recording.story.name}, {name}, cut {cut}, {seed}: {failure}') from failure
    shutil.rmtree(folder)
    return sectors


def cuts(program, watch, disk, system, folder, limit, seed, forgets_syncs):
    """Tries `limit` cuts, in as many stories as it takes."""
    why_not = obstacle(disk, system, folder)
    if why_not:
        print(f'skipped: {system}: {why_not}')
        return
    # In memory, where the flushes of mounted images cost nothing.
    call('mount', '-t', 'tmpfs', 'none', folder)
    try:
        prove(disk, system, os.path.join(folder, 'proof'), seed)
        tried = number = unflushed = kept = 0
        while tried < limit:
            place = os.path.join(folder, f'story{number}')
            recording = Recording(
                tell(number, seed, program, watch, place, 'links', DISK_STORIES), disk, system, forgets_syncs)
            most = min(CUTS_OF_STORY, (limit + 1) // 2, limit - tried)
            found = recording.cuts(random.Random(f'{seed} {number}'), most)
            for turn, (cut, stage) in enumerate(found):
                sectors = try_cut(recording, cut, stage, f'seed {seed} {number} {turn}', os.path.join(place, 'cut'))
                unflushed, kept = unflushed + sectors[0], kept + sectors[1]
            tried += len(found)
            number += 1
            shutil.rmtree(place)
    finally:
        call('umount', '--lazy', folder)
    print(
        f'{system}: {tried} power cuts in {number} stories; {kept} of {unflushed} unflushed sectors stayed: '
        'nothing is lost')
