"""The order of syncs in a first backup, as strace sees it. The content of an object is synced before the object gets its
name. All names that the commit record relies on are synced before the record gets its own, and that one before the end.
"""
import os
import re

from bench import Bench, Failure, Sources

CALLS = 'openat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,syncfs,rename,renameat,renameat2,linkat,mkdirat'
# One line of strace: a thread's call, or its first or second part.
LINE = re.compile(r'(\d+) +(?:<\.\.\. \w+ resumed>)?(.*?)(<unfinished \.\.\.>)?$')
CALL = re.compile(r'(\w+)\((.*)\) += (-?\d+)')
FOLDER = re.compile(r'\d+<([^>]*)>')
NAME = re.compile(r'\d+<([^>]*)>, "([^"]*)"')
# The spares of commit records. They need not be durable.
SPARES = 'records'


class Call:
    def __init__(self, start, end, name, text):
        self.start, self.end, self.name = start, end, name
        self.paths = [os.path.join(*found) for found in NAME.findall(text)] or FOLDER.findall(text)[:1]


def read_calls(path):
    """Yields the calls that succeeded, in the order of their ends."""
    begun = {}
    with open(path, encoding='ascii', errors='replace') as file:
        for number, line in enumerate(file):
            thread, text, is_unfinished = LINE.match(line.rstrip('\n')).groups()
            start, head = begun.pop(thread, (number, ''))
            if is_unfinished:
                begun[thread] = start, head + text
                continue
            call = CALL.match(head + text)
            if call and int(call[3]) >= 0:
                yield Call(start, number, call[1], call[2])


class Order:
    """The calls of one backup in a repository."""

    def __init__(self, repository, calls):
        self.repository = repository
        self.calls = [call for call in calls if call.paths and call.paths[0].startswith(repository)]
        self.syncs = [call for call in self.calls if call.name in ('fsync', 'fdatasync', 'syncfs')]

    def of(self, *names):
        return [call for call in self.calls if call.name in names]

    def expect_synced(self, path, since, until, why):
        if not any(
                since < sync.start and sync.end < until and (sync.name == 'syncfs' or sync.paths[0] == path)
                for sync in self.syncs):
            raise Failure(f'{path} is not synced in time, {why}')

    def check(self):
        """Returns the kinds of the objects that were made durable, in the order of their names."""
        named = [call for call in self.of('rename', 'renameat', 'renameat2', 'linkat') if self.kind(call) != SPARES]
        records = [call for call in named if self.kind(call) == 'snapshots']
        if len(records) != 1:
            raise Failure(f'{len(records)} records get a name')
        record, end = records[0], self.calls[-1].end + 1
        for call in named:
            if call.start > record.start:
                raise Failure(f'named after the record: {call.paths[1]}')
            writes = [write.end for write in self.of('openat', 'write', 'pwrite64', 'ftruncate', 'fallocate')
                      if write.paths[-1] == call.paths[0]]
            self.expect_synced(call.paths[0], max(writes), call.start, f'before it becomes {call.paths[1]}')
            until = end if call is record else record.start
            self.expect_synced(os.path.dirname(call.paths[1]), call.end, until, f'after {call.paths[1]} got its name')
        for call in self.of('mkdirat'):
            top = os.path.relpath(call.paths[0], self.repository).split('/')[0]
            if top not in (SPARES, 'tmp', 'reserve'):
                until = end if top == 'snapshots' else record.start
                self.expect_synced(os.path.dirname(call.paths[0]), call.end, until, f'after {call.paths[0]} was made')
        return [self.kind(call) for call in named]

    def kind(self, call):
        return os.path.relpath(call.paths[1], self.repository).split('/')[0]


def order(program, watch, folder, seed, forgets_syncs):
    sources = Sources(os.path.join(folder, 'sources'), seed, sizes=(20_000, 900_000), generations=1)
    bench = Bench(program, watch, folder, sources)
    bench.expect((0,), 'init', '--yes', '--pack-size', '1M')
    trace = os.path.join(folder, 'trace')
    bench.program = ['strace', '-f', '-y', '-qq', '-s', '0', '-o', trace, '-e', f'trace={CALLS}', program]
    bench.expect((0,), *bench.backup(0), watch={'WATCH_FORGET': forgets_syncs} if forgets_syncs else None)
    kinds = Order(bench.repository(), read_calls(trace)).check()
    if kinds.count('packs') < 3 or not {'index', 'sessions'} <= set(kinds):
        raise Failure(f'too little was stored: {kinds}')
    print(f'a first backup syncs {len(kinds)} objects in the right order, {kinds.count("packs")} packs among them')
