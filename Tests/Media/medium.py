#!/usr/bin/env python3
"""Counts the calls in a log of medium.c, and computes how long each kind of slow medium would take to serve them.

Prints NAME=NUMBER lines. The medium's cache is empty at first and keeps each page that was read or written.

- disk: one head. A read that does not go on where the last one ended takes 8 ms more, and so does a flush.
- stick: one write at a time, 10 MB/s. A flush takes a second.
- share: each call takes 5 ms. `share_seconds` is how long they take one by one.

With -v it prints the calls themselves as well.
"""
import collections
import sys

PAGE = 4096
SEEK, DISK_SPEED = 0.008, 150e6
FLUSH, STICK_SPEED = 1.0, 10e6
CALL = 0.005
READS, WRITES, FLUSHES = ('read', 'pread'), ('write', 'pwrite'), ('fsync', 'fdatasync', 'syncfs')

counts = collections.Counter()
calls = collections.Counter()
most = collections.Counter()
cached = collections.defaultdict(set)
read = set()
head = None  # The file and the page before which the head stands.
left = set()  # The files that the head has left.
with open(sys.argv[-1], encoding='utf-8', errors='surrogateescape') as log:
    for line in log:
        if '-v' in sys.argv:
            print('#', line, end='')
        call, in_flight, reads, _, inode, offset, size, _ = line.split('\t', 7)
        inode, offset, size = int(inode), int(offset), int(size)
        calls[call] += 1
        most['in_flight'] = max(most['in_flight'], int(in_flight))
        most['readers'] = max(most['readers'], int(reads))
        if call not in READS + WRITES or size <= 0:
            continue
        pages = range(offset // PAGE, (offset + size - 1) // PAGE + 1)
        missing = [page for page in pages if page not in cached[inode]]
        cached[inode].update(pages)
        if call in WRITES:
            counts['written_bytes'] += size
            continue
        read.add(inode)
        counts['read_bytes'] += size
        if not missing:
            continue
        if head != (inode, missing[0]):
            counts['seeks'] += 1
        if head and head[0] != inode:
            left.add(head[0])
            counts['returns'] += inode in left
            counts['backwards'] += inode < head[0]
        head = (inode, missing[-1] + 1)

flushes = sum(calls[call] for call in FLUSHES)
moved = counts['read_bytes'] + counts['written_bytes']
for name, value in {
    'calls': calls.total(),
    'in_flight': most['in_flight'],
    'readers': most['readers'],
    'files_read': len(read),
    'read_bytes': counts['read_bytes'],
    'written_bytes': counts['written_bytes'],
    'seeks': counts['seeks'],
    'returns': counts['returns'],
    'backwards': counts['backwards'],
    'flushes': flushes,
    'disk_seconds': f'{(counts["seeks"] + flushes) * SEEK + moved / DISK_SPEED:.2f}',
    'stick_seconds': f'{flushes * FLUSH + moved / STICK_SPEED:.1f}',
    'share_seconds': f'{calls.total() * CALL:.2f}',
}.items():
    print(f'{name}={value}')
