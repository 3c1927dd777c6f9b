"""What the crash tests share: generations of files to back up, the program, and what it has promised to keep."""
import copy
import json
import os
import random
import re
import shutil
import subprocess

KILLED = -9


class Failure(Exception):
    pass


class Sources:
    """Generations of files: most stay, some change, some go."""

    def __init__(self, folder, seed=7, count=24, sizes=(20_000, 400_000), generations=4):
        self.folder = folder
        self.paths = []
        noise = random.Random(seed)
        files = {f'file{number:02}': noise.randbytes(noise.randint(*sizes)) for number in range(count)}
        for generation in range(generations):
            source = os.path.join(folder, f'source{generation}')
            os.makedirs(source)
            self.paths.append(source)
            for name in sorted(files):
                with open(os.path.join(source, name), 'wb') as file:
                    file.write(files[name])
            for name in noise.sample(sorted(files), len(files) // 2):
                files[name] = noise.randbytes(noise.randint(*sizes))
            if len(files) > 2:
                del files[noise.choice(sorted(files))]


class Bench:
    """The program and `state`, a folder which holds repositories and the cache. `media` is what names are given by there: links, claims or locks."""

    def __init__(self, program, watch, folder, sources, workers=8, media='links'):
        self.media = media
        self.program = program
        self.watch = watch
        self.folder = folder
        self.sources = sources
        # The more workers, the more packs, however little they hold.
        self.workers = workers
        self.word = None
        self.state = os.path.join(folder, 'state')
        os.makedirs(self.state)

    def elsewhere(self, folder):
        """The same with a state of its own."""
        other = copy.copy(self)
        other.folder = folder
        other.state = os.path.join(folder, 'state')
        os.makedirs(other.state)
        return other

    def repository(self, name='repo'):
        return os.path.join(self.state, name)

    def run(self, *arguments, watch=None, repository='repo'):
        environment = {
            'HOME': self.folder, 'PATH': os.environ['PATH'], 'TZ': 'UTC',
            'BAKSTORE_CACHE_DIR': os.path.join(self.state, 'cache'),
            'BAKSTORE_REPOSITORY': self.repository(repository),
        }
        if self.word is not None:
            environment['BAKSTORE_PASSWORD'] = self.word
        if self.media != 'links':
            environment.update({'LD_PRELOAD': self.watch, 'WATCH_MEDIA': self.media})
        if watch is not None:
            environment.update({'LD_PRELOAD': self.watch, 'WATCH_FOLDER': self.state}, **watch)
        return subprocess.run(
            [self.program, *arguments], env=environment, cwd=self.sources.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300, check=False)

    def backup(self, generation):
        source = os.path.basename(self.sources.paths[generation])
        return ['backup', source, '--tag', f'g{generation}', '--read-concurrency', str(self.workers)]

    def expect_media(self):
        """The repository is written as it is on this medium."""
        for name in ('claims', 'locks'):
            if os.path.isdir(os.path.join(self.repository(), name)) != (name == self.media):
                raise Failure(f'names are not given by {self.media}')

    def unlock(self, repository='repo'):
        """What helps after a kill where names are given under locks."""
        if self.media == 'locks':
            self.expect((0,), 'prune', '--alone', '--max-unused', 'unlimited', repository=repository)

    def make(self, arguments):
        """Makes the repository after a kill of that, with what it says to do where names are given under locks."""
        result = self.expect((0, 1), *arguments)
        lock = re.search(r"delete '(.*)' and run the command again", result.stderr)
        if lock:
            os.rmdir(lock.group(1))
            self.expect((0,), *arguments)

    def snapshots(self, repository='repo'):
        """The ids of complete snapshots and their generations, oldest first."""
        result = self.expect((0,), 'snapshots', '--json', repository=repository)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        return {
            row['id']: int(next(tag[1:] for tag in row['tags'] if tag[0] == 'g'))
            for row in rows if row['message_type'] == 'snapshot' and row['is_complete']}

    def save(self, name):
        shutil.copytree(self.state, os.path.join(self.folder, name), symlinks=True)

    def load(self, name):
        shutil.rmtree(self.state)
        shutil.copytree(os.path.join(self.folder, name), self.state, symlinks=True)

    def expect_restored(self, snapshot, generation, repository='repo'):
        target = os.path.join(self.folder, 'target')
        shutil.rmtree(target, ignore_errors=True)
        self.expect((0,), 'restore', snapshot, '-t', target, repository=repository)
        if files(self.sources.paths[generation]) != files(target + self.sources.paths[generation]):
            raise Failure(f'{snapshot} is not restored as it was')

    def expect(self, codes, *arguments, **options):
        result = self.run(*arguments, **options)
        if result.returncode not in codes:
            raise Failure(
                f'{" ".join(arguments)} ends with {result.returncode}, not {codes}: {result.stderr}{result.stdout}')
        return result


def files(folder):
    """A folder's files and their contents; none when it is not there."""
    found = {}
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        with open(entry.path, 'rb') as file:
            found[entry.name] = file.read()
    return found


class Promise:
    """What must be there, and what may be gone. Snapshots are told apart by repository and id."""

    def __init__(self):
        # Repositories that were reported made.
        self.made = set()
        # Snapshots that were reported stored, and their generations.
        self.kept = {}
        # Snapshots that were reported forgotten, and those of which it is not known yet.
        self.gone = set()
        self.loose = set()
        # Of these generations there must be a snapshot, whichever it is.
        self.changing = {}
        # What brings the repository back after damage, with the exit codes that are right.
        self.heal = []
        # Passwords: of each group one must open the repository.
        self.words = []

    def copy(self):
        return copy.deepcopy(self)

    def of(self, repository='repo'):
        """The ids of a repository's snapshots that are kept, oldest first."""
        return [snapshot for name, snapshot in self.kept if name == repository]

    def let_go(self, snapshots, repository='repo'):
        """These may be gone from now on."""
        for snapshot in snapshots:
            del self.kept[repository, snapshot]
            self.loose.add((repository, snapshot))

    def note(self, bench):
        """Takes note of what the command that has just ended left."""
        for repository in sorted(self.made):
            found = bench.snapshots(repository)
            for snapshot, generation in found.items():
                if (repository, snapshot) not in self.kept:
                    self.kept[repository, snapshot] = generation
        if self.loose & set(self.kept):
            raise Failure(f'what was forgotten is there: {self.loose & set(self.kept)}')
        self.gone |= self.loose
        self.loose = set()
        self.changing = {}

    def check(self, bench, draw):
        for group in self.words:
            bench.word = next((word for word in group if self.opens(bench, word)), None)
            if bench.word is None:
                raise Failure(f'none of {group} opens the repository')
        for codes, arguments in self.heal:
            bench.expect(codes, *arguments)
        for repository in sorted(self.made):
            bench.expect((0,), 'check', '--read-data', repository=repository)
            found = bench.snapshots(repository)
            kept = set(self.of(repository))
            if not kept <= set(found):
                raise Failure(f'snapshots are lost: {kept - set(found)}')
            for snapshot in found:
                if (repository, snapshot) in self.gone:
                    raise Failure(f'a forgotten snapshot is back: {snapshot}')
            for name, generation in self.changing.items():
                if name == repository and generation not in found.values():
                    raise Failure(f'generation {generation} is lost')
            if found:
                snapshot = draw.choice(sorted(found))
                bench.expect_restored(snapshot, found[snapshot], repository)

    @staticmethod
    def opens(bench, word):
        bench.word = word
        return bench.run('snapshots').returncode == 0
