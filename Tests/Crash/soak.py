#!/usr/bin/env python3
"""Runs backups, prunes, removals, restores, copies, checks and repairs of one repository at the same time, and kills
one of them each second.

Three machines back up folders that change between the backups. A fourth backs up an archive, and another process
removes files from the archive. Two processes prune. One process forgets, tags and takes back random snapshots. One
restores, one copies to a second repository, one checks and one repairs. No process may find damage, because there is
none.

A process that was killed starts again. At the end, a check of all data must find nothing. Every snapshot that was
reported stored and is not forgotten must exist. Every snapshot but an archive must be restored as its folder was. A
last prune must find nothing to delete.

Usage: soak.py --program FILE [--seconds N] [--seed N] [--no-kills]
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

KILLED = -9
MACHINES = 3
# The approximate number of snapshots to keep.
KEPT = 12


def catalogue(folder):
    """Returns the hash of each file in a folder, by its path."""
    rows = {}
    for path, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(path, name)
            with open(file, 'rb') as stream:
                rows[os.path.relpath(file, folder)] = hashlib.sha256(stream.read()).hexdigest()
    return rows


class Soak:
    def __init__(self, program, folder, seed):
        self.program = program
        self.folder = folder
        self.seed = seed
        self.lock = threading.Lock()
        self.running = {}
        self.is_over = False
        self.failures = []
        # `trees` has the files of each snapshot, by its tag. `reported` and `forgotten` have the ids of snapshots that
        # were reported stored, and of those that may have been forgotten.
        self.trees = {}
        self.reported = set()
        self.forgotten = set()
        self.counts = dict.fromkeys(
            ['backup', 'archive', 'prune', 'forget', 'tag', 'undo', 'restore', 'copy', 'check', 'repair', 'killed'], 0)

    def run(self, name, *arguments, is_killed=True):
        """Runs the program. Returns its exit code and its output."""
        environment = {
            'HOME': self.folder, 'PATH': os.environ['PATH'], 'TZ': 'UTC',
            'BAKSTORE_CACHE_DIR': os.path.join(self.folder, 'cache-' + name),
            'BAKSTORE_REPOSITORY': os.path.join(self.folder, 'repo'),
        }
        with subprocess.Popen(
                [self.program, *arguments], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            if is_killed:
                with self.lock:
                    self.running[name] = process
            output, errors = process.communicate()
            with self.lock:
                self.running.pop(name, None)
        if process.returncode == KILLED:
            self.counts['killed'] += 1
        elif process.returncode == 0:
            self.counts[arguments[0]] = self.counts.get(arguments[0], 0) + 1
        return process.returncode, output, errors

    def fail(self, what):
        with self.lock:
            self.failures.append(what)

    def expect(self, codes, name, *arguments, **options):
        code, output, errors = self.run(name, *arguments, **options)
        if code not in codes:
            self.fail(f'{" ".join(arguments)} ends with {code}: {errors}{output}')
        return code, output

    def snapshots(self, name, repository='repo', **options):
        code, output = self.expect((0, KILLED), name, 'snapshots', '--json', '--repo', repository, **options)
        rows = [json.loads(line) for line in output.splitlines()] if code == 0 else []
        return [row for row in rows if row['message_type'] == 'snapshot' and row['is_complete']]

    # --- What each does until it is over ---

    def back_up(self, number, *options):
        draw = random.Random(self.seed * 100 + number)
        name = 'archive' if options else f'machine{number}'
        source = os.path.join(self.folder, name)
        os.mkdir(source)
        run = 0
        while not self.is_over:
            for _ in range(draw.randint(1, 8)):
                path = os.path.join(source, f'file{draw.randint(0, 20):02}')
                if os.path.exists(path) and draw.random() < 0.3:
                    os.remove(path)
                else:
                    # Content comes from few seeds, so that several machines have the same content and it comes back
                    # later.
                    content = random.Random(draw.randint(0, 60)).randbytes(draw.choice([300, 20_000, 600_000]))
                    with open(path, 'wb') as file:
                        file.write(content)
            run += 1
            time.sleep(draw.random() / 5)
            tag = f'{name}-{run}'
            with self.lock:
                self.trees[tag] = catalogue(source)
            # The backup must not refuse because many files are gone. They were removed on purpose.
            code, output = self.expect(
                (0, KILLED), name, 'backup', name, '--tag', tag, '--json', '--force', '--allow-empty', *options)
            if code == 0:
                rows = [json.loads(line) for line in output.splitlines()]
                (snapshot,) = [row['snapshot_id'] for row in rows if row.get('snapshot_id')]
                with self.lock:
                    self.reported.add(snapshot)

    def take_out(self):
        """Removes single files from the archive. The archive need not have a file of the chosen name."""
        draw = random.Random(self.seed * 100 + 90)
        while not self.is_over:
            time.sleep(draw.random() / 2)
            rows = [row for row in self.snapshots('take out') if row['tags'][0].startswith('archive-')]
            if rows:
                path = os.path.join(self.folder, 'archive', f'file{draw.randint(0, 20):02}')
                code, output = self.expect(
                    (0, 1, KILLED), 'take out', 'archive', 'remove', f'{rows[-1]["id"]}:{path}', '--force', '--yes')

    def prune(self, number):
        while not self.is_over:
            self.expect((0, KILLED), f'prune{number}', 'prune', '--max-unused', '0', '--quiet')

    def forget(self):
        draw = random.Random(self.seed * 100 + 50)
        while not self.is_over:
            time.sleep(0.3)
            rows = self.snapshots('forget')
            if rows:
                self.tag(draw.choice(rows)['id'])
            rows = self.snapshots('forget')
            if len(rows) <= KEPT:
                continue
            chosen = [row['id'] for row in draw.sample(rows, len(rows) - KEPT)]
            with self.lock:
                self.forgotten.update(chosen)
            self.expect((0, KILLED), 'forget', 'forget', *chosen, '--yes')
            if draw.random() < 0.5:
                # A prune may delete the content before the undo.
                code, output, errors = self.run('forget', 'forget', '--undo', chosen[0])
                if code == 0:
                    self.counts['undo'] += 1
                elif code != KILLED and 'a prune has deleted' not in errors and 'it is there as' not in errors \
                        and 'no removed snapshot' not in errors:
                    self.fail(f'undo of {chosen[0]} ends with {code}: {errors}{output}')

    def tag(self, snapshot):
        """Tags a snapshot, which gives it another id. No other process forgets it meanwhile."""
        with self.lock:
            self.forgotten.add(snapshot)
        code, output = self.expect((0, KILLED), 'forget', 'tag', snapshot, '--add', f'seen-{time.monotonic_ns()}', '--json')
        made = {row['id']: row for row in self.snapshots('forget')}
        with self.lock:
            if snapshot in made:
                self.forgotten.discard(snapshot)

    def restore(self):
        draw = random.Random(self.seed * 100 + 60)
        while not self.is_over:
            time.sleep(0.2)
            rows = self.snapshots('restore')
            if rows:
                self.restore_one('restore', draw.choice(rows))

    def restore_one(self, name, row, repository='repo', is_killed=True):
        target = os.path.join(self.folder, 'target-' + name)
        shutil.rmtree(target, ignore_errors=True)
        code, output, errors = self.run(name, 'restore', row['id'], '-t', target, '--repo', repository, is_killed=is_killed)
        if code == KILLED:
            return
        with self.lock:
            # If the snapshot was forgotten, its chunks may be gone.
            if row['id'] in self.forgotten:
                return
            tree = self.trees[row['tags'][0]]
        found = target + os.path.join(self.folder, row['tags'][0].split('-')[0])
        if code != 0:
            self.fail(f'restore {row["id"]} ends with {code}: {errors}{output}')
            return
        if row['tags'][0].startswith('archive-'):
            # An archive also has files that the source no longer has, and lacks files that were removed from it.
            return
        got = catalogue(found)
        if got != tree:
            names = sorted(name for name in got.keys() | tree.keys() if got.get(name) != tree.get(name))
            self.fail(f'{row["id"]} of {repository} is not restored as it was: {names} differ; {errors}{output}')

    def copy(self):
        draw = random.Random(self.seed * 100 + 80)
        while not self.is_over:
            time.sleep(0.2)
            rows = self.snapshots('copy')
            if not rows:
                continue
            number = draw.choice(rows)['id']
            code, output, errors = self.run('copy', 'copy', '--from-repo', 'repo', '--repo', 'other', number)
            with self.lock:
                is_forgotten = number in self.forgotten
            if code not in (0, KILLED) and not is_forgotten:
                self.fail(f'copy of {number} ends with {code}: {errors}{output}')

    def check(self):
        while not self.is_over:
            self.expect((0, KILLED), 'check', 'check')
            self.expect((0, KILLED), 'check', 'check', '--read-data')

    def repair(self):
        while not self.is_over:
            for part in ('index', 'packs', 'snapshots'):
                code, output = self.expect((0, KILLED), 'repair', 'repair', part)
                if code == 0 and 'no snapshot lacks data' not in output:
                    self.fail(f'repair {part} of a whole repository: {output}')

    def kill(self):
        draw = random.Random(self.seed * 100 + 70)
        while not self.is_over:
            time.sleep(1)
            with self.lock:
                if self.running:
                    self.running[draw.choice(sorted(self.running))].kill()

    # --- All of it ---

    def soak(self, seconds, is_killing):
        for repository in ('repo', 'other'):
            self.expect((0,), 'init', 'init', '--pack-size', '1M', '--repo', repository, is_killed=False)
        jobs = [(self.back_up, number) for number in range(MACHINES)] + [(self.prune, 0), (self.prune, 1)]
        jobs += [(self.back_up, MACHINES, '--archive'), (self.take_out,)]
        jobs += [(self.forget,), (self.restore,), (self.copy,), (self.check,), (self.repair,)]
        jobs += [(self.kill,)] if is_killing else []
        threads = [threading.Thread(target=self.guard, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.failures:
            time.sleep(0.1)
        self.is_over = True
        for thread in threads:
            thread.join()

    def guard(self, job, *arguments):
        try:
            job(*arguments)
        except Exception as error:  # Otherwise a failed thread would look like a successful one.
            self.fail(f'{job.__name__}: {error!r}')

    def look(self):
        """Checks what must hold at the end. Returns the number of snapshots."""
        self.expect((0,), 'look', 'check', '--read-data', is_killed=False)
        rows = self.snapshots('look', is_killed=False)
        lost = self.reported - self.forgotten - {row['id'] for row in rows}
        if lost:
            self.fail(f'snapshots are lost: {lost}')
        for row in rows:
            self.forgotten.discard(row['id'])
            self.restore_one('look', row, is_killed=False)
        for row in self.snapshots('look', repository='other', is_killed=False):
            # If a prune deleted a forgotten snapshot's content during the copy, the copy reports that it lacks files.
            if row['summary']['items_failed'] == 0:
                self.restore_one('look', row, repository='other', is_killed=False)
        self.expect((0,), 'look', 'check', '--read-data', '--repo', 'other', is_killed=False)
        for _ in range(2):
            self.expect((0,), 'look', 'prune', '--max-unused', '0', is_killed=False)
        self.expect((0,), 'look', 'check', '--read-data', is_killed=False)
        _, output = self.expect((0,), 'look', 'prune', '--max-unused', '0', '--dry-run', '--json', is_killed=False)
        summary = json.loads(output.splitlines()[-1])
        if summary.get('deleted_packs', summary.get('packs_deleted', 0)):
            self.fail(f'there still is something to prune: {summary}')
        return len(rows)


def main():
    parser = argparse.ArgumentParser(description='Backs up, prunes, forgets, restores, copies, checks, repairs and kills.')
    parser.add_argument('--program', required=True)
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 30))
    parser.add_argument('--no-kills', action='store_true')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(os.path.abspath(options.program), os.path.realpath(folder), options.seed)
        soak.soak(options.seconds, not options.no_kills)
        kept = soak.look() if not soak.failures else 0
        print(f'seed {options.seed}: ' + ', '.join(f'{count} {what}' for what, count in soak.counts.items()))
        if soak.failures:
            for failure in soak.failures[:5]:
                print(f'soak.py: FAILED: {failure[:2000]}', file=sys.stderr)
            keep = os.environ.get('BAKSTORE_SOAK_KEEP')
            if keep:
                shutil.copytree(folder, keep, symlinks=True)
            sys.exit(1)
        kills = 0 if options.no_kills else options.seconds // 4
        if soak.counts['killed'] < kills or not all(soak.counts[what] for what in ('prune', 'copy', 'check', 'repair', 'tag', 'archive')):
            sys.exit('soak.py: FAILED: too little happened')
        print(f'{kept} snapshots are as they were')


main()
