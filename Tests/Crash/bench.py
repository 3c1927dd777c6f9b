"""Shared parts of the crash tests: generations of files to back up, a bench that runs the program, and the promises
that the program has made so far."""
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
    """Several generations of a folder. From one generation to the next, half of the files change and one file goes."""

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
    """The program, and the folder `state` with the repositories and the cache. `media` says which kind of medium is
    imitated: one with links, one that needs claims, or one that needs locks."""

    def __init__(self, program, watch, folder, sources, workers=8, media='links'):
        self.media = media
        # The words before the arguments.
        self.program = [program]
        self.watch = watch
        self.folder = folder
        self.sources = sources
        # More workers write more packs, even if the content is small.
        self.workers = workers
        self.word = None
        self.state = os.path.join(folder, 'state')
        os.makedirs(self.state)

    def elsewhere(self, folder):
        """Returns a copy of the bench with a state folder of its own."""
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
            [*self.program, *arguments], env=environment, cwd=self.sources.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300, check=False)

    def backup(self, generation):
        source = os.path.basename(self.sources.paths[generation])
        return ['backup', source, '--tag', f'g{generation}', '--read-concurrency', str(self.workers)]

    def expect_media(self):
        """Raises a Failure unless the repository has the folders that the store needs on this medium."""
        for name in ('claims', 'locks'):
            if os.path.isdir(os.path.join(self.repository(), name)) != (name == self.media):
                raise Failure(f'names are not given by {self.media}')

    def unlock(self, repository='repo'):
        """Ends abandoned locks. A killed program may leave one on a medium with locks."""
        if self.media == 'locks':
            self.expect((0,), 'prune', '--alone', '--max-unused', 'unlimited', repository=repository)

    def make(self, arguments):
        """Makes the repository after a killed `init`. On a medium with locks, first deletes the lock that the program
        names."""
        result = self.expect((0, 1), *arguments)
        lock = re.search(r"delete '(.*)' and run the command again", result.stderr)
        if lock:
            os.rmdir(lock.group(1))
            self.expect((0,), *arguments)

    def snapshots(self, repository='repo'):
        """Returns the ids of complete snapshots with their generations, oldest first."""
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
    """Returns the contents of a folder's files by name; an empty dictionary if there is no such folder."""
    found = {}
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        with open(entry.path, 'rb') as file:
            found[entry.name] = file.read()
    return found


class Promise:
    """What the program has promised so far: the snapshots that must exist, and those that may or must be gone. A
    snapshot is known by its repository and id."""

    def __init__(self):
        # Repositories that were reported made.
        self.made = set()
        # Snapshots that were reported stored, and their generations.
        self.kept = {}
        # Snapshots that were reported forgotten; and snapshots that a running command may have forgotten.
        self.gone = set()
        self.loose = set()
        # For each repository, the generation of the snapshot to which a running command gives a new id. A snapshot of
        # this generation must exist, under the old or the new id.
        self.changing = {}
        # The commands that mend the repository after damage, with their permitted exit codes.
        self.heal = []
        # Groups of passwords. In each group, at least one must open the repository.
        self.words = []
        # Folders of the state, and the generation that a restore put into each.
        self.restored = {}

    def copy(self):
        return copy.deepcopy(self)

    def of(self, repository='repo'):
        """Returns the ids of a repository's snapshots that must exist, oldest first."""
        return [snapshot for name, snapshot in self.kept if name == repository]

    def let_go(self, snapshots, repository='repo'):
        """Notes that these snapshots may be gone from now on."""
        for snapshot in snapshots:
            del self.kept[repository, snapshot]
            self.loose.add((repository, snapshot))

    def note(self, bench):
        """Notes the snapshots that exist after a command has ended."""
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
        for folder, generation in self.restored.items():
            source = bench.sources.paths[generation]
            left = files(os.path.join(bench.state, folder) + source)
            if any(left.get(name) != content for name, content in files(source).items()):
                raise Failure(f'{folder} lacks files of generation {generation}, which was restored there')
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
