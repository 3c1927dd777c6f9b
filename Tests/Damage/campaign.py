#!/usr/bin/env python3
"""Damages repositories and caches in every way that a medium or a stranger can, and runs every command on them.

A case is one command on one damaged repository. An object or a folder is missing, has another type, is a link, is cut,
longer, changed or swapped, or comes from another repository or an earlier day. The cache is damaged in the same ways.
For every command:

- It must not crash or hang.
- If a restore ends with exit code 0, it must be complete. No restored file may be wrong.
- If a check finds nothing, nothing may be wrong.

After commands that write, the damaged objects are put back. Every snapshot that was not forgotten must then be restored
completely. So no command may delete data that could have been saved.

Usage: campaign.py --program FILE [--cases N] [--seed N] [--only DAMAGE] [--keep FOLDER]
"""
import argparse
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

TIMEOUT = 30
CODES = {0, 1, 2, 3, 4, 10, 11, 12}
FOLDERS = ['packs', 'index', 'snapshots', 'records', 'sessions', 'forget', 'vouched', 'gc', 'keys']
# Items that belong to the store itself. `claims` and `locks` exist only on media that need them.
OWN = ['tmp', 'claims', 'locks', 'reserve']


def can_make_devices():
    """Returns True if this user may make a device here, and the device works."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(os.path.join(folder, 'zero'), 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            with open(os.path.join(folder, 'zero'), 'rb') as file:
                return file.read(1) == b'\0'
        except OSError:
            return False


# Types of items that damage may put in the place of a file or folder, besides links, files and folders.
SPECIAL = ['fifo', 'socket'] + (['device'] if can_make_devices() else [])


def make_special(how, path):
    """Makes a FIFO, a socket, or a device that returns zeros."""
    kind = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'device': stat.S_IFCHR}[how]
    os.mknod(path, 0o600 | kind, os.makedev(1, 5) if how == 'device' else 0)
WRONG_WORDS = (b'Fatal error', b'Backtrace', b'Stack dump', b'Sanitizer')


def contents(folder):
    """Returns the hash of each file and the target of each link in a folder, by path."""
    rows = {}
    for path, folders, names in os.walk(folder):
        for name in names + [name for name in folders if os.path.islink(os.path.join(path, name))]:
            file = os.path.join(path, name)
            if os.path.islink(file):
                rows[os.path.relpath(file, folder)] = os.readlink(file)
            elif os.path.isfile(file):
                with open(file, 'rb') as stream:
                    rows[os.path.relpath(file, folder)] = hashlib.md5(stream.read()).hexdigest()
    return rows


def listing(folder):
    """Returns the name, type and size of each item in a folder. Leaves out the folders and the file that belong to the
    store itself."""
    rows = set()
    for path, folders, names in os.walk(folder):
        if path == folder:
            folders[:] = [name for name in folders if name not in ('tmp', 'cache', 'reserve', 'claims', 'locks')]
        for name in names + folders:
            status = os.lstat(os.path.join(path, name))
            size = 0 if os.path.isdir(os.path.join(path, name)) else status.st_size
            rows.add((os.path.relpath(os.path.join(path, name), folder), status.st_mode, size))
    return rows


def times(folder):
    """Returns the ctime of a folder and of each item in it."""
    return {os.path.join(path, name): os.lstat(os.path.join(path, name)).st_ctime_ns
            for path, folders, names in os.walk(folder) for name in [*names, *folders, '']}


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def copy(source, target):
    """Copies a file, link or folder, and replaces whatever is at the target. Only removes the target if there is no
    source."""
    remove(target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True)
    elif os.path.lexists(source):
        shutil.copy2(source, target, follow_symlinks=False)


class Base:
    """An undamaged repository with a history, earlier states of it, and the files that each snapshot has."""

    def __init__(self, work, program, name, seed, sealed=False, many=0):
        self.work, self.program, self.name = work, program, name
        self.folder = os.path.join(work, 'base-' + name)
        self.repo = os.path.join(work, 'repo')
        self.source = os.path.join(work, 'source-' + name)
        self.cache = os.path.join(work, 'cache')
        self.sealed = sealed
        self.expected, self.states, self.order = {}, [], []
        self.environment = dict(PATH=os.environ['PATH'], HOME=work, LC_ALL='C', TZ='UTC', BAKSTORE_CACHE_DIR=self.cache)
        if sealed:
            with open(os.path.join(work, 'word'), 'w') as file:
                file.write('word\n')
            for variable in ('BAKSTORE_PASSWORD_FILE', 'BAKSTORE_FROM_PASSWORD_FILE'):
                self.environment[variable] = os.path.join(work, 'word')
        remove(self.repo)
        remove(self.cache)
        rng = random.Random(f'{seed} {name}')
        self.must('init', '--repo', self.repo, '--pack-size', '1M', *(['--encryption', 'auto'] if sealed else []))
        if many:
            os.makedirs(os.path.join(work, 'many'))
            for number in range(many):
                with open(os.path.join(work, 'many', str(number)), 'wb') as file:
                    file.write(rng.randbytes(600))
            self.must('backup', os.path.join(work, 'many'), '--repo', self.repo)
        os.makedirs(os.path.join(self.source, 'sub', 'deep'))
        self.fill('inline', b'short\n')
        self.fill('empty', b'')
        self.fill('noise', rng.randbytes(300000))
        self.fill('sub/words', b''.join(b'%d words\n' % rng.randrange(1 << 20) for _ in range(12000)))
        self.fill('sub/deep/large', rng.randbytes(1400000))
        os.symlink('noise', os.path.join(self.source, 'link'))
        os.link(os.path.join(self.source, 'noise'), os.path.join(self.source, 'sub', 'name'))
        first = self.backup()
        self.fill('second', rng.randbytes(200000))
        self.backup()
        self.state()
        self.must('tag', 'latest', '--add', 'x', '--repo', self.repo)
        self.known()
        self.must('forget', first, '--repo', self.repo)
        self.must('prune', '--max-unused', '0', '--repo', self.repo)
        self.state()
        self.fill('third', rng.randbytes(150000))
        fourth = self.backup()
        self.run('safe-to-delete', self.source, '--keep-last', '9', '--repo', self.repo)
        self.fill('sub/fourth', rng.randbytes(90000))
        self.backup()
        self.must('forget', fourth, '--repo', self.repo)
        self.known()
        self.state()
        self.names = sorted(name for name, mode, _ in listing(self.repo) if mode >> 12 == 8)
        self.cached = sorted(name for name, mode, _ in listing(os.path.join(self.states[-1], 'cache')) if mode >> 12 == 8)

    def fill(self, name, content):
        file = os.path.join(self.source, name)
        with open(file, 'wb') as stream:
            stream.write(content)
        os.utime(file, (1700000000, 1700000000))

    def run(self, *words):
        return subprocess.run([self.program, *words], env=self.environment, cwd=self.work, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=TIMEOUT)

    def must(self, *words):
        result = self.run(*words)
        if result.returncode:
            sys.exit(f'{words}: {result.returncode}: {result.stderr.decode()}')

    def known(self):
        """Notes the source's present files as the content of each new snapshot. Returns the newest snapshot's id."""
        lines = self.run('snapshots', '--json', '--repo', self.repo).stdout.splitlines()
        rows = [row for row in map(json.loads, lines) if row.get('message_type') == 'snapshot']
        self.order = [row['id'] for row in rows if self.source in row['paths']]
        for number in self.order:
            self.expected.setdefault(number, contents(self.source))
        return self.order[-1]

    def backup(self):
        self.must('backup', self.source, '--repo', self.repo)
        return self.known()

    def state(self):
        folder = f'{self.folder}-{len(self.states)}'
        copy(self.repo, os.path.join(folder, 'repo'))
        copy(self.cache, os.path.join(folder, 'cache'))
        self.states.append(folder)


class Campaign:
    def __init__(self, options, work):
        self.options, self.work, self.program = options, work, options.program
        self.found, self.counts, self.cases = [], collections.Counter(), 0
        seed = options.seed
        self.bases = [Base(work, self.program, 'plain', seed), Base(work, self.program, 'table', seed, many=4400),
                      Base(work, self.program, 'sealed', seed, sealed=True)]
        self.other = os.path.join(work, 'other')

    # --- Damage ---

    def lengths(self, size, rng):
        known = [0, 1, 8, 15, 16, 40, 48, 63, 64, 65, 79, 80, 81, 95, 96, 97, 111, 112, 113, 128, 752, 4096, size // 2,
                 size - 1, size - 8, size - 16, size - 17, size - 32, size - 80, rng.randrange(size + 1)]
        return rng.choice([length for length in known if 0 <= length != size])

    def alike(self, names, name, rng):
        """Returns another name in the same folder, or sometimes any other name."""
        folder = name.split('/')[0]
        others = [other for other in names if other != name and (other.split('/')[0] == folder or rng.random() < 0.1)]
        return rng.choice(others) if others else None

    def damage_file(self, base, root, name, names, rng):
        """Damages one file beneath `root`. Returns a description."""
        file = os.path.join(root, name)
        if not os.path.isfile(file) or os.path.islink(file):
            return f'{name} has been damaged before'
        size = os.path.getsize(file)
        whole = os.path.join(base.states[-1], os.path.basename(root), name)
        how = rng.choice(['gone', 'folder', 'full folder', *SPECIAL, 'link', 'link away', 'link to itself', 'link to zeros',
                          'cut', 'cut', 'cut', 'grown', 'hollow', 'changed', 'changed', 'changed', 'zeros', 'swapped', 'swapped',
                          'copied', 'foreign', 'old', 'blocks', 'unreadable'])
        if how in ('gone', 'folder', 'full folder', *SPECIAL, 'link', 'link away', 'link to itself', 'link to zeros'):
            os.unlink(file)
        if how in ('folder', 'full folder'):
            os.makedirs(file + ('/more/file' if how == 'full folder' else ''))
        elif how in SPECIAL:
            make_special(how, file)
        elif how.startswith('link'):
            other = self.alike(names, name, rng) or 'nothing'
            os.symlink({'link': os.path.join(root, other), 'link away': whole, 'link to itself': os.path.basename(name),
                        'link to zeros': '/dev/zero'}[how], file)
        elif how == 'cut':
            length = self.lengths(size, rng)
            os.truncate(file, length)
            how = f'of {size} bytes cut to {length}'
        elif how in ('grown', 'hollow'):
            os.truncate(file, size + 1 + rng.randrange(64) if how == 'grown' else rng.choice([5 << 20, 300 << 20, 5 << 30]))
        elif how in ('changed', 'zeros', 'blocks') and size:
            with open(file, 'r+b') as stream:
                at = rng.choice([rng.randrange(size), rng.randrange(min(size, 80)), size - 1 - rng.randrange(min(size, 80))])
                stream.seek(at)
                if how == 'changed':
                    byte = stream.read(1)[0]
                    stream.seek(at)
                    stream.write(bytes([byte ^ 1 << rng.randrange(8)]))
                    how = f'changed at {at}'
                elif how == 'zeros':
                    stream.write(bytes(min(size - at, 1 + rng.randrange(4096))))
                else:
                    blocks = size // 4096
                    if blocks > 1:
                        one, two = rng.sample(range(blocks), 2)
                        stream.seek(one * 4096)
                        first = stream.read(4096)
                        stream.seek(two * 4096)
                        second = stream.read(4096)
                        stream.seek(two * 4096)
                        stream.write(first)
                        if rng.random() < 0.5:
                            stream.seek(one * 4096)
                            stream.write(second)
        elif how in ('swapped', 'copied'):
            other = self.alike(names, name, rng)
            if other and os.path.isfile(os.path.join(root, other)):
                with open(file, 'rb') as one, open(os.path.join(root, other), 'rb') as two:
                    first, second = one.read(), two.read()
                with open(file, 'wb') as stream:
                    stream.write(second)
                if how == 'swapped':
                    with open(os.path.join(root, other), 'wb') as stream:
                        stream.write(first)
                how += f' with {other}'
        elif how in ('foreign', 'old'):
            stranger = rng.choice([b for b in self.bases if b is not base]) if how == 'foreign' else base
            state = stranger.states[-1 if how == 'foreign' else rng.randrange(2)]
            there = os.path.join(state, os.path.basename(root))
            rows = [row for row, mode, _ in listing(there) if mode >> 12 == 8 and row.split('/')[0] == name.split('/')[0]]
            if name in rows and how == 'old':
                copy(os.path.join(there, name), file)
            elif rows:
                copy(os.path.join(there, rng.choice(sorted(rows))), file)
        elif how == 'unreadable':
            os.chmod(file, 0)
        return f'{name} {how}'

    def damage_folder(self, base, rng):
        """Damages a folder of the repository. Returns a description."""
        name = rng.choice([folder for folder in FOLDERS if os.path.isdir(os.path.join(base.repo, folder))] + OWN)
        if name == 'packs' and rng.random() < 0.5:
            name = 'packs/' + rng.choice(sorted(os.listdir(os.path.join(base.repo, 'packs'))))
        path = os.path.join(base.repo, name)
        how = rng.choice(['gone', 'a file', *SPECIAL, 'link away', 'link to itself', 'link to zeros', 'link to nothing', 'empty',
                          'old', 'old', 'foreign'])
        if how in ('old', 'foreign'):
            stranger = rng.choice([b for b in self.bases if b is not base]) if how == 'foreign' else base
            copy(os.path.join(stranger.states[-1 if how == 'foreign' else rng.randrange(2)], 'repo', name), path)
            return f'folder {name} {how}'
        remove(path)
        if how == 'a file':
            open(path, 'w').close()
        elif how in SPECIAL:
            make_special(how, path)
        elif how.startswith('link'):
            os.symlink({'link away': os.path.join(base.states[-1], 'repo', name), 'link to itself': os.path.basename(path),
                        'link to zeros': '/dev/zero', 'link to nothing': 'nothing'}[how], path)
        elif how == 'empty':
            os.mkdir(path)
        return f'folder {name} {how}'

    def wall(self, base, rng):
        """Puts an item that is not a file at a path where an object may be put later. Returns a description."""
        rounds = [int(name.split('/')[1].split('.')[0]) for name in base.names if name.startswith('gc/')]
        stranger = '%032x' % rng.getrandbits(128)
        name = rng.choice([f'forget/{rng.choice(base.order)}', f'forget/{rng.choice(base.order)}',
                           *(f'gc/{max(rounds, default=0) + 1}.{what}' for what in ('plan', 'decision')),
                           *(f'{folder}/{stranger}' for folder in ('snapshots', 'records', 'sessions', 'index', 'vouched'))])
        path = os.path.join(base.repo, name)
        if os.path.lexists(path) or not os.path.isdir(base.repo):
            return f'nothing in the place of {name}'
        how = rng.choice(['folder', 'full folder', 'fifo', 'socket', 'link'])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if how.endswith('folder'):
            os.makedirs(path + ('/more' if how == 'full folder' else ''))
        elif how == 'link':
            os.symlink('/nowhere', path)
        else:
            os.mknod(path, 0o600 | (stat.S_IFIFO if how == 'fifo' else stat.S_IFSOCK))
        self.walls.append(path)
        return f'{how} in the place of {name}'

    def damage(self, base, rng):
        """Damages the fresh copies of the repository and the cache. Returns descriptions."""
        done = []
        for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
            kind = rng.random()
            if kind < 0.12:
                done.append(self.damage_folder(base, rng))
            elif kind < (0.5 if base.name == 'table' else 0.25) and base.cached and os.path.isdir(base.cache):
                done.append('cache: ' + self.damage_file(base, base.cache, rng.choice(base.cached), base.cached, rng))
            elif 0.92 < kind <= 0.97 and all(os.path.isdir(path) and not os.path.islink(path) for path in (
                    os.path.join(base.repo, folder) for folder in FOLDERS) if os.path.lexists(path)):
                done.append(self.wall(base, rng))
            elif kind > 0.97:
                state = rng.randrange(2)
                copy(os.path.join(base.states[state], 'repo'), base.repo)
                done.append(f'all as in state {state}')
            else:
                folder = rng.choice(sorted({name.split('/')[0] for name in base.names}))
                name = rng.choice([name for name in base.names if name.split('/')[0] == folder])
                done.append(self.damage_file(base, base.repo, name, base.names, rng))
        return done

    # --- Commands ---

    def tell(self, kind, text):
        self.found.append((kind, text))
        print(f'{kind.upper()}: damage {self.number} of base {self.base.name}: {"; ".join(self.done)}: {text}', flush=True)
        if self.options.keep:
            subprocess.run(['cp', '-a', self.base.repo, os.path.join(self.options.keep, f'{self.number}-{len(self.found)}')])

    def call(self, *words):
        """Runs one command and counts it as a case."""
        self.cases += 1
        words = [*words, '--repo', self.base.repo] if '--repo' not in words else words
        name = words[0] + (' ' + words[1] if words[0] == 'repair' else '')
        text = ' '.join(words).replace(self.work + '/', '')
        try:
            result = self.base.run(*words)
        except subprocess.TimeoutExpired:
            self.counts[name, 'hang'] += 1
            self.tell('hang', text)
            return None, b'', b''
        self.counts[name, result.returncode] += 1
        if result.returncode not in CODES or any(word in result.stderr for word in WRONG_WORDS):
            self.tell('crash', f'{text}: exit code {result.returncode}: {result.stderr[-300:]!r}')
        return result.returncode, result.stdout, result.stderr

    def restored(self, code, errors, target, expected, what):
        """Returns True if a restore is complete. Reports files that are wrong, or missing despite exit code 0."""
        got = contents(os.path.join(target, self.base.source.lstrip('/')))
        wrong = [name for name in got if got[name] != expected.get(name)]
        if wrong:
            self.tell('wrong', f'{what}: {wrong[:3]} are not as they were (exit code {code})')
        if code == 0 and got != expected:
            self.tell('wrong', f'{what}: exit code 0, and {sorted(set(expected) - set(got))[:3]} are missing: {errors!r}')
        return code == 0 and got == expected

    def restore(self, number):
        target = os.path.join(self.work, 'target')
        remove(target)
        code, _, errors = self.call('restore', number, '-t', target)
        return self.restored(code, errors, target, self.base.expected[number], f'restore {number[:8]}')

    def restore_latest(self):
        target = os.path.join(self.work, 'target')
        remove(target)
        code, _, errors = self.call('restore', 'latest', '-t', target)
        if code == 0:
            got = contents(os.path.join(target, self.base.source.lstrip('/')))
            newest = self.base.expected[self.base.order[-1]]
            # If an unencrypted repository is replaced by an older state, the program reports that only once.
            told = errors or any(text.startswith('all as') for text in self.done)
            if got != newest and (got not in self.base.expected.values() or not told):
                self.tell('wrong', f'restore latest: exit code 0, and it is not the latest: {errors!r}')

    def cat(self, rng):
        number, name = rng.choice(self.base.order), rng.choice(['noise', 'sub/words', 'inline'])
        code, output, _ = self.call('cat', f'{number}:{self.base.source.lstrip("/")}/{name}')
        if code == 0 and hashlib.md5(output).hexdigest() != self.base.expected[number][name]:
            self.tell('wrong', f'cat {number[:8]}:{name}: exit code 0, and wrong bytes')

    def check(self):
        """Runs a check. If it finds nothing, every snapshot must be restored completely."""
        code, _, _ = self.call('check', '--read-data')
        if code == 0 and not self.is_old:
            for number in self.base.order:
                if not self.restore(number):
                    self.tell('wrong', f'check --read-data finds nothing, and {number[:8]} cannot be restored')

    def copy_away(self, number):
        remove(self.other)
        self.base.must('init', '--repo', self.other, *(['--encryption', 'auto'] if self.base.sealed else []))
        code, _, _ = self.call('copy', '--from-repo', self.base.repo, '--repo', self.other, number)
        target = os.path.join(self.work, 'target')
        remove(target)
        result = self.base.run('restore', 'latest', '-t', target, '--repo', self.other)
        if code == 0:
            self.restored(result.returncode, result.stderr, target, self.base.expected[number], f'the copy of {number[:8]}')

    def look(self, rng):
        """Runs commands that only read. They must not change the repository."""
        base = self.base
        before = listing(base.repo)
        number = rng.choice(base.order)
        actions = [
            self.check, self.restore_latest, lambda: self.restore(number), lambda: self.cat(rng),
            lambda: self.copy_away(number), lambda: self.call('check'), lambda: self.call('snapshots'),
            lambda: self.call('ls', 'latest'), lambda: self.call('ls', number), lambda: self.call('stats'),
            lambda: self.call('repair', 'index', '-n'), lambda: self.call('repair', 'packs', '-n'),
            lambda: self.call('repair', 'snapshots', '-n'), lambda: self.call('prune', '-n'),
            lambda: self.call('forget', '--keep-last', '1', '-n'), lambda: self.call('restore', 'latest', '-n', '-t', 'none'),
            lambda: self.call('key', 'list'), lambda: self.call('backup', base.source, '-n'),
            lambda: self.call('cat', 'snapshot', number), lambda: self.call('snapshots', '--json'),
            lambda: self.call('benchmark', base.source, '--since', 'latest')]
        for action in rng.sample(actions, 2 if base.sealed else len(actions)):
            action()
        changed = {row for row in before ^ listing(base.repo) if not row[0].startswith('vouched') and row[1] >> 12 != 4}
        if changed:
            self.tell('wrong', f'what only reads changed {sorted(changed)[:3]}')

    def follow(self):
        """Follows the advice of a check, again and again, until the check has no more advice. This must happen within
        eight rounds. If the check then finds nothing, a prune must succeed."""
        for _ in range(8):
            code, output, _ = self.call('check')
            text = output.decode(errors='replace')
            commands = re.findall(r'(?:give it up with: |unreadable records with: |To remove it, run `)bakstore ([^`\n]*)`?$', text, re.M)
            for line in re.findall(r'^what to do, in this order: (.*)$', text, re.M):
                commands += [step.removeprefix('bakstore ') for step in line.split('; ')]
            if code not in (0, 4) or not commands:
                break
            for command in commands:
                if command.startswith('move away'):
                    for name in re.findall(r'^(\S+): an? [a-z ]+ is in its place\. Move it away$', text, re.M):
                        remove(os.path.join(self.base.repo, name))
                elif command.startswith('put back the newer copy'):
                    self.call('check', '--accept-older')
                elif command == 'back up again':
                    self.call('backup', self.base.source)
                else:
                    words = command.split()
                    if '--repo' in words:
                        del words[words.index('--repo'):words.index('--repo') + 2]
                    self.call(*words, *(['--yes'] if words[0] == 'forget' else []))
        else:
            self.tell('wrong', f'check goes on to say: {"; ".join(commands)}')
        if code == 0:
            code, _, errors = self.call('prune', '--max-unused', '0')
            if code not in (0, 4):
                self.tell('wrong', f'check finds nothing, and prune ends with {code}: {errors!r}')

    def write(self, rng):
        """Runs commands that write. Then puts the damaged objects back, and restores every snapshot."""
        base = self.base
        number = rng.choice(base.order)
        choices = [
            ('prune', '--max-unused', '0'), ('prune', '--max-unused', '0'), ('prune',), ('prune', '--keep-last', '2'),
            ('backup', base.source), ('backup', base.source, '--force'), ('backup', base.source, '--archive'),
            ('repair', 'index'), ('repair', 'packs'), ('repair', 'snapshots'), ('forget', number), ('forget', '--keep-last', '1'),
            ('forget', '--undo', rng.choice(sorted(base.expected))), ('tag', number, '--add', 'y'),
            ('safe-to-delete', base.source, '--keep-last', '9'), ('check',), ('check', '--accept-older'),
            ('archive', 'remove', f'{number}:{base.source.lstrip("/")}/noise')]
        words = rng.choices(choices, k=1 + rng.randrange(1 if base.sealed else 4))
        if rng.random() < 0.3:
            words = ['what check says']
            self.follow()
        else:
            for one in words:
                self.call(*one)
        for path in self.walls:
            remove(path)
        if self.is_old:
            return
        for name in base.names:
            here, whole = os.path.join(base.repo, name), os.path.join(base.states[-1], 'repo', name)
            if name in self.touched or name.split('/')[0] in self.touched:
                for depth in range(1, name.count('/') + 2):
                    above = '/'.join(name.split('/')[:depth])
                    path = os.path.join(base.repo, above)
                    if os.path.islink(path) or os.path.lexists(path) and (depth <= name.count('/')) != os.path.isdir(path):
                        remove(path)
                copy(whole, here)
        for name in OWN:
            if not os.path.isdir(os.path.join(base.repo, name)) or os.path.islink(os.path.join(base.repo, name)):
                remove(os.path.join(base.repo, name))
        self.call('repair', 'index')
        self.call('repair', 'snapshots')
        for one in base.order:
            if not os.path.lexists(os.path.join(base.repo, 'forget', one)) and not self.restore(one):
                self.tell('lost', f'after {words} and all put back {one[:8]} cannot be restored')

    def one(self, number):
        """Makes damage number `number` and runs commands on it."""
        rng = random.Random(f'{self.options.seed} {number}')
        self.number = number
        self.base = base = self.bases[2 if rng.random() < 0.03 else 1 if rng.random() < 0.15 else 0]
        for part in ('repo', 'cache'):
            copy(os.path.join(base.states[-1], part), os.path.join(self.work, part))
        if rng.random() < 0.2:
            remove(base.cache)
        self.done, self.walls = [], []
        self.done = self.damage(base, rng)
        before, after = listing(os.path.join(base.states[-1], 'repo')), listing(base.repo)
        changed = {row[0] for row in before ^ after}
        self.is_old = any(text.startswith('all as') or text.startswith('folder') and text.endswith(('old', 'foreign'))
                          for text in self.done)
        # A file that was changed in place keeps its size, so its name comes from the descriptions.
        self.touched = changed | {word for text in self.done for word in text.split()}
        # Some links lead into this saved state of the repository. No command may change anything there.
        others = times(base.states[-1])
        self.look(rng)
        self.write(rng)
        changed = [name for name, time in times(base.states[-1]).items() if others.pop(name, None) != time]
        if changed or others:
            self.tell('wrong', f'another repository was changed: {changed[:3]}, and {sorted(others)[:3]} are gone')

    def run(self):
        start, number = time.monotonic(), 0
        while self.cases < self.options.cases:
            self.one(self.options.only if self.options.only is not None else number)
            number += 1
            if self.options.only is not None:
                break
            if time.monotonic() - start > self.options.seconds:
                break
        kinds = collections.Counter(kind for kind, _ in self.found)
        print(f'{self.cases} cases on {number} damaged repositories, {time.monotonic() - start:.0f} s: '
              + ', '.join(f'{kinds[kind]} {kind}' for kind in ('crash', 'hang', 'wrong', 'lost')))
        if self.options.verbose:
            for name in sorted({name for name, _ in self.counts}):
                print(f'  {name}: ' + ', '.join(f'{count} with {code}' for (one, code), count in sorted(self.counts.items())
                                                if one == name))
        return 1 if self.found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--program', required=True, type=os.path.abspath)
    parser.add_argument('--cases', type=int, default=20000)
    parser.add_argument('--seconds', type=float, default=float('inf'))
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', type=int)
    parser.add_argument('--keep', type=os.path.abspath)
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix='damage-') as work:
        sys.exit(Campaign(options, os.path.realpath(work)).run())


if __name__ == '__main__':
    main()
