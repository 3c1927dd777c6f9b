"""Stories: sequences of commands on repositories, with the promises that each command makes when it succeeds."""
import os
import random

from bench import Bench, Sources


class Step:
    """A command, or a change that another program makes.

    `arguments` makes the command's arguments from the promises so far. `begin` removes the promises that no longer hold
    once the command has begun. `end` adds the promises that hold when the command has ended.
    """

    def __init__(self, name, arguments, repository='repo', begin=None, end=None, codes=(0,)):
        self.name, self.arguments, self.repository, self.codes = name, arguments, repository, codes
        self.begin = begin or (lambda promise, arguments: None)
        self.end = end or (lambda promise: None)
        self.outside = None


def init(*options, repository='repo'):
    return Step(
        f'init {repository}', lambda promise: ['init', '--yes', '--pack-size', '1M', *options], repository,
        end=lambda promise: promise.made.add(repository))


def forget(pick, repository='repo'):
    """Forgets snapshots. `pick` gets the snapshots that must exist, oldest first, and returns some of them."""
    return Step(
        'forget', lambda promise: ['forget', '--yes', *pick(promise.of(repository))], repository,
        begin=lambda promise, arguments: promise.let_go(arguments[2:], repository))


def prune(*options, repository='repo'):
    return Step('prune', lambda promise: ['prune', '--max-unused', '0', *options], repository)


def prune_by_rule():
    """Forgets all snapshots but the newest, and prunes, in one command."""
    return Step(
        'prune by rule', lambda promise: ['prune', '--keep-last', '1', '--group-by', 'none', '--max-unused', '0'],
        begin=lambda promise, arguments: promise.let_go(promise.of()[:-1]))


def tag(word):
    def begin(promise, arguments):
        promise.changing['repo'] = promise.kept['repo', arguments[1]]
        promise.let_go([arguments[1]])
    return Step('tag', lambda promise: ['tag', promise.of()[-1], '--add', word], begin=begin)


def damage(name, change, heal, codes):
    """A step that damages the repository. `change` does the damage, and `heal` lists the commands that mend it."""
    step = Step(name, None, codes=codes)
    step.outside = change
    step.end = lambda promise: promise.heal.extend(heal)
    return step


def healed(step):
    """Makes `step` the end of a damage: from then on, the repository needs no mending."""
    step.end = lambda promise: promise.heal.clear()
    return step


def lose_index(bench):
    folder = os.path.join(bench.repository(), 'index')
    newest = max(os.scandir(folder), key=lambda entry: entry.stat().st_mtime_ns)
    os.remove(newest.path)
    return [newest.path]


def change_chunk(bench):
    """Changes a bit in the first chunk of the newest chunk pack."""
    packs = [
        os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(bench.repository(), 'packs'))
        for name in names]
    for path in sorted(packs, key=lambda path: -os.stat(path).st_mtime_ns):
        with open(path, 'r+b') as file:
            head = bytearray(file.read(160))
            if head[8] != 2 or os.path.getsize(path) < 20_000:
                continue
            head[150] ^= 4
            file.seek(0)
            file.write(head)
            return [path]
    raise AssertionError('no pack of chunks')


class Story:
    """A bench, and the steps that run on it."""

    def __init__(self, name, bench, steps):
        self.name, self.bench, self.steps = name, bench, steps


def plain(backup):
    return [init(), backup(0), backup(1), backup(2), forget(lambda ids: ids[:2]), prune(), backup(3)]


def rewriting(backup):
    return [
        init(), backup(0), backup(1), forget(lambda ids: ids[:1]), prune(), backup(2), backup(3),
        forget(lambda ids: ids[1:2]), prune(), prune_by_rule(), backup(0)]


def tags(backup):
    return [init(), backup(0), backup(1), tag('one'), backup(2), tag('two'), prune_by_rule(), tag('three'), backup(3)]


def copies(bench, backup):
    copy = Step('copy', lambda promise: ['copy', '--from-repo', bench.repository()], 'other')
    return [
        init(), backup(0), backup(1),
        Step('init other', lambda promise: ['init', '--from-repo', bench.repository(), '--copy-chunker-params'],
             'other', end=lambda promise: promise.made.add('other')),
        copy, backup(2), forget(lambda ids: ids[:1], 'other'), prune(repository='other'), copy]


def passwords(bench, backup):
    def write(name):
        path = os.path.join(bench.folder, name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(name)
        return path
    second, third = write('second'), write('third')
    bench.word = 'first'

    def made(promise):
        promise.made.add('repo')
        promise.words = [['first']]

    def may_change(promise, arguments):
        promise.words = [['second'], ['third', 'first']]

    def changed(promise):
        promise.words = [['second'], ['third']]
        bench.word = 'third'
    return [
        Step('init', lambda promise: ['init', '--pack-size', '1M', '--encryption', 'auto'], end=made), backup(0),
        Step('key add', lambda promise: ['key', 'add', '--new-password-file', second],
             end=lambda promise: promise.words.append(['second'])),
        backup(1), forget(lambda ids: ids[:1]), prune(),
        Step('key passwd', lambda promise: ['key', 'passwd', '--new-password-file', third],
             begin=may_change, end=changed),
        backup(2)]


def lost_index(backup):
    return [
        init(), backup(0), backup(1), damage('an index segment is lost', lose_index, [((0,), ['repair', 'index'])], (0,)),
        healed(Step('repair index', lambda promise: ['repair', 'index'])), backup(2), forget(lambda ids: ids[:1]), prune()]


def damaged_pack(bench, backup):
    again = backup(1)
    heal = [((0, 4), ['repair', 'packs']), ((0,), bench.backup(1))]
    return [
        init(), backup(0), backup(1), damage('a chunk is changed', change_chunk, heal, (0,)),
        Step('repair packs', lambda promise: ['repair', 'packs'], codes=(0, 4)), healed(again), prune(), backup(2)]


def restores(bench, backup):
    """Restores into a folder beside the repository. What was restored is promised as well."""
    def restore(generation):
        return Step(
            f'restore {generation}', lambda promise: ['restore', 'latest', '-t', target, '--overwrite', 'always'],
            begin=lambda promise, arguments: promise.restored.clear(),
            end=lambda promise: promise.restored.update({'out': generation}))
    target = os.path.join(bench.state, 'out')
    return [init(), backup(0), restore(0), backup(1), restore(1), backup(2), restore(2)]


STORIES = {
    'plain': lambda bench, backup: plain(backup), 'rewriting': lambda bench, backup: rewriting(backup),
    'tags': lambda bench, backup: tags(backup), 'copies': copies, 'lost index': lambda bench, backup: lost_index(backup),
    'damaged pack': damaged_pack, 'large files': lambda bench, backup: rewriting(backup), 'passwords': passwords}
# Stories for a real file system: without damage, and with restores, whose calls watch.c does not record.
DISK_STORIES = {
    'copies': copies, 'restores': restores, 'large files': lambda bench, backup: rewriting(backup),
    'plain': lambda bench, backup: plain(backup), 'tags': lambda bench, backup: tags(backup),
    'many packs': lambda bench, backup: [init(), backup(0), backup(1)]}


def tell(number, seed, program, watch, folder, media, stories):
    """Story `number` of those that begin with `seed`."""
    draw = random.Random(f'{seed} {number}')
    name, make = list(stories.items())[number % len(stories)]
    count, sizes = draw.randint(6, 40), (500, draw.choice([20_000, 60_000, 150_000]))
    if name == 'large files':
        count, sizes = draw.randint(4, 8), (100_000, 2_500_000)
    if name == 'many packs':
        # More than a session keeps open, so it syncs some before the others are written.
        count, sizes = 90, (700_000, 900_000)
    os.mkdir(folder)
    sources = Sources(os.path.join(folder, 'sources'), draw.randrange(1 << 30), count, sizes)
    bench = Bench(program, watch, folder, sources, workers=draw.choice([4, 8, 12, 16]), media=media)

    def backup(generation):
        return Step(f'backup {generation}', lambda promise: bench.backup(generation))
    return Story(name, bench, make(bench, backup))
