#!/usr/bin/env python3
"""Explicit-state check of the store protocol: writers, forget and prune with repacking on one store.

Every operation on the store is atomic. The model explores all interleavings of all actors. Any committed snapshot but Y
may be forgotten at any time. Any actor may stop at any point: this is an interleaving in which the actor never moves
again.

There are two chunks, 'A' and 'B'. At the start, pack P0 has both. Snapshot X refers to both. Snapshot Y refers to A and
is never forgotten. Writer 0 backs up B, and writer 1 backs up A. After X is forgotten, no snapshot needs B, and its
pack is worth repacking, while writer 0 wants B. A revoked writer begins again with another session and keeps its packs.

With --closing, a writer may give up at any point. If it has not tried to commit, it removes its session record. If the
reply to its commit is lost, the commit record may arrive at any later time, so the writer first puts a tombstone. With
--undo N, N actors take X back after it is forgotten. They commit its content in a session of their own. If a chunk is
only in condemned packs, they store it again.

With --losing, a writer puts a spare after its commit record. One commit record may be lost at any time, even Y's. The
record must have a spare, or the newest decision must count its session. In the second case, the spare may be lost with
it. The lost snapshot may be forgotten, and its record may come back from the spare. Until then, collectors must keep
the snapshot's data.

With --sweeps N, putting an object takes two steps: the actor writes a temporary, and then the temporary gets its name.
A writer's temporary belongs to its session. A collector's copy belongs to no session. A sweeper goes through the
temporaries N times and may stop anywhere. It must not take a temporary of a session that may still commit. Once all
sessions have ended, it must leave none of their temporaries. A writer whose temporary is gone writes it again. If it no
longer has the content, as with a pack, it begins again. A collector whose temporary is gone begins again, too.

After each step, every chunk of every committed snapshot that is not forgotten must be in the trusted index. Every pack
that the trusted index names for such a chunk must exist, because a reader may use any of them.

Usage: protocol_model.py [--mutation NAME] [--writers N] [--collectors N] [--rounds N] [--attempts N] [--states N]
                         [--undo N] [--closing] [--losing] [--sweeps N]
A mutation is a mistake in the protocol. Mutation "none" must end with "exhausted", every other one with "VIOLATION".
--all tries all mutations but "none".
"""
import argparse
import random
import sys
import time

F = frozenset
WANTED = ('B', 'A', 'A', 'B')
MUTATIONS = {
    'none': 'the protocol as it is',
    # Mistakes of writers
    'read_before_register': 'the indexes are read before the session is put',
    'index_before_gc': 'the indexes are read before collections are listed',
    'ignore_condemned': 'a writer refers to packs that a plan condemns',
    'plain_put_commit': 'the commit record overwrites a tombstone',
    'reuse_unchecked': 'a revoked writer counts on its packs whatever was decided meanwhile',
    'close_without_tombstone': 'a writer that lost the reply to its commit removes its session and puts no tombstone',
    'undo_unchecked': 'X is taken back without a look at what is left of it',
    'undo_condemned': 'X is taken back by what is there, be it condemned or not',
    'spare_before_commit': 'the spare is put before the commit record',
    'swept_unnoticed': 'a writer counts on a pack whose temporary was gone when it was to get its name',
    # Mistakes of sweepers
    'sweep_by_age': 'temporaries go by a clock, whosever they are',
    'sweep_undecided': 'temporaries of a session that has not committed go',
    'sweep_sessions_first': 'sessions are listed before the temporaries',
    'sweep_keeps_decided': 'temporaries stay as long as the record of their session, be it decided or not',
    # Mistakes of collectors
    'missing_unnoticed': 'records that are gone and have a spare are not missed',
    'spare_gone_early': 'the spare of a forgotten session goes before a decision stands for the session',
    'missing_by_decision': 'records that are gone and that only the newest decision counts are not missed',
    'missing_revoked': 'a session whose record is gone is ended, and its tombstone is believed',
    'no_wait': 'sessions that have not ended are neither waited for nor revoked',
    'no_decision_record': 'who loses the race for the decision deletes by its own list',
    'delete_before_decision': 'packs go when the copies are stored and before a decision names their index',
    'copy_first_mark': 'what was live at the first mark is copied, whatever was committed since',
    'count_untrusted_copy': 'a chunk counts as copied elsewhere when any index has it, trusted or not',
}


def find(rows, key):
    for row in rows:
        if row[0] == key:
            return row
    return None


def has_all(packs, wanted):
    return all(any(chunk in pack[1] for pack in packs) for chunk in wanted)


def put(rows, row):
    """Adds a row unless there is one with its key (put-if-absent)."""
    return rows if find(rows, row[0]) else rows | {row}


def newest(decisions):
    return max(decisions, key=lambda row: row[0]) if decisions else None


# The store: packs (name, chunks); sessions; snapshots (session, 'C', chunks) or (session, 'T', ()); forgotten sessions;
# plans (round, condemned pack names); decisions (round, deleted names, index, superseded sessions); indexes (name,
# packs); spares (session, chunks); temporaries (session or '', object); and two sets that no actor sees: snapshots that
# lost their records (session, chunks), and mistakes of sweepers.
PACKS, SESSIONS, SNAPSHOTS, FORGOTTEN, PLANS, DECISIONS, INDEXES, SPARES, TEMPORARIES, LOST, WRONG = range(11)


def first_store():
    first = ('P0', 'AB')
    return (
        F([first]), F('X'), F([('X', 'C', 'AB'), ('Y', 'C', 'A')]), F(), F(), F(),
        F([('iX', F([first]))]), F([('X', 'AB'), ('Y', 'A')]), F(), F(), F(),
    )


def change(store, **changes):
    parts = list(store)
    for name, value in changes.items():
        parts[globals()[name]] = value
    return tuple(parts)


def has_record(store, session):
    return (find(store[SNAPSHOTS], session) or (session, 'T'))[1] == 'C'


def missing(store):
    """Returns the snapshots that have a spare but no commit record, forgotten or not."""
    return [row for row in store[SPARES] if not has_record(store, row[0])]


def counted_and_gone(store):
    """Returns the sessions that the newest decision counts and that have neither a record nor a spare."""
    decision = newest(store[DECISIONS])
    return sorted(
        session for session in (decision[3] if decision else ())
        if not has_record(store, session) and not find(store[SPARES], session))


def committed(store):
    """Returns the sessions that have committed, as a collector sees them."""
    return {row[0] for row in store[SNAPSHOTS] if row[1] == 'C'} | {row[0] for row in missing(store)}


def trusted(store):
    """Returns the packs in the trusted index; None if the index that the newest decision names is gone."""
    packs, excluded = F(), F()
    decision = newest(store[DECISIONS])
    if decision:
        base = find(store[INDEXES], decision[2])
        if base is None:
            return None
        packs, excluded = base[1], decision[3]
    for session in committed(store):
        if session not in excluded:
            index = find(store[INDEXES], 'i' + session)
            if index:
                packs |= index[1]
    return packs


def live_chunks(store):
    live = set()
    for session, kind, chunks in store[SNAPSHOTS]:
        if kind == 'C' and session not in store[FORGOTTEN]:
            live |= set(chunks)
    return live


def fault(store):
    """Returns a description of what is lost or wrong; None if nothing is."""
    packs = trusted(store)
    if packs is None:
        return 'the index is gone'
    for session, _ in store[SPARES]:
        if not find(store[LOST], session) and not has_record(store, session):
            return f'session {session} has a spare and did not commit'
    for what in store[WRONG]:
        return what
    gone = [row for row in store[LOST] if not has_record(store, row[0])]
    lost = {chunk for row in gone if row[0] not in store[FORGOTTEN] for chunk in row[1]}
    for chunk in sorted(live_chunks(store) | lost):
        places = [pack for pack in packs if chunk in pack[1]]
        if not places:
            return f'no trusted index has chunk {chunk}'
        for pack in places:
            if pack not in store[PACKS]:
                return f'chunk {chunk} is looked for in pack {pack[0]}, which is gone'
    return None


class Model:
    def __init__(self, mutation, writers, collectors, rounds, attempts, undo=0, closing=False, losing=False, sweeps=0):
        self.mutation = mutation
        self.writers = writers
        self.closing = closing
        self.losing = losing
        self.sweeps = sweeps
        self.rounds = rounds
        self.attempts = attempts
        order = ['reg', 'gc', 'lst', 'idx']
        if mutation == 'read_before_register':
            order = ['gc', 'lst', 'idx', 'reg']
        elif mutation == 'index_before_gc':
            order = ['reg', 'lst', 'idx', 'gc']
        self.order = order
        self.next = dict(zip(order, order[1:] + ['store']))
        self.first = (
            first_store(),
            tuple((order[0], 0, F(), None) for _ in range(writers)) + tuple(
                ('asleep', 0, F(), None) for _ in range(undo)),
            tuple((1, 'start', None) for _ in range(collectors)),
            (0, 'start', None),
        )

    def steps(self, state):
        store, writers, collectors, sweeper = state
        for session in committed(store) | set(counted_and_gone(store)):
            if session != 'Y' and session not in store[FORGOTTEN]:
                yield change(store, FORGOTTEN=store[FORGOTTEN] | {session}), writers, collectors, sweeper
        if self.losing:
            for after in self.lose(store):
                yield after, writers, collectors, sweeper
        for number, writer in enumerate(writers):
            for after, moved in self.write(store, number, *writer):
                yield after, writers[:number] + (moved,) + writers[number + 1:], collectors, sweeper
        for number, collector in enumerate(collectors):
            for after, moved in self.collect(store, number, *collector):
                yield after, writers, collectors[:number] + (moved,) + collectors[number + 1:], sweeper
        if sweeper[0] < self.sweeps:
            for after, moved in self.sweep(store, *sweeper):
                yield after, writers, collectors, moved

    def lose(self, store):
        """Yields stores in which a commit record is lost or comes back, or the spare of a forgotten session is removed.
        """
        if not store[LOST]:
            decision = newest(store[DECISIONS])
            for row in store[SNAPSHOTS]:
                if row[1] != 'C':
                    continue
                spare, lost = find(store[SPARES], row[0]), F([(row[0], row[2])])
                if spare:
                    yield change(store, SNAPSHOTS=store[SNAPSHOTS] - {row}, LOST=lost)
                if decision and row[0] in decision[3]:
                    yield change(
                        store, SNAPSHOTS=store[SNAPSHOTS] - {row}, SPARES=store[SPARES] - {spare}, LOST=lost)
        for session, chunks in missing(store):
            if find(store[LOST], session) and not find(store[SNAPSHOTS], session):
                yield change(store, SNAPSHOTS=store[SNAPSHOTS] | {(session, 'C', chunks)})
        # The spare of a forgotten session is removed, but only after a decision counts the session. Until then, the
        # spare may be the only proof that the session's index counts.
        decision = newest(store[DECISIONS])
        for row in store[SPARES]:
            is_counted = decision and row[0] in decision[3] or self.mutation == 'spare_gone_early'
            if row[0] in store[FORGOTTEN] and is_counted:
                yield change(store, SPARES=store[SPARES] - {row})

    # A sweeper: (number of sweeps done, place, knowledge).

    def sweep(self, store, done, place, known):
        if place == 'start' and self.mutation == 'sweep_sessions_first' and known is None:
            yield store, (done, place, store[SESSIONS])
        elif place == 'start':
            # True if all sessions have ended. The sweep must then leave none of their temporaries.
            is_last = all(self.may_not_commit(store, row) for row in store[SESSIONS])
            yield store, (done, 'sessions', (store[TEMPORARIES], is_last, known))
        elif place == 'sessions':
            sessions = store[SESSIONS] if known[2] is None else known[2]
            yield store, (done, 'outcomes', (known[0], known[1], sessions))
        elif place == 'outcomes':
            listed, is_last, sessions = known
            if self.mutation == 'sweep_by_age':
                sessions = F()
            elif self.mutation == 'sweep_undecided':
                sessions &= F(committed(store))
            elif self.mutation != 'sweep_keeps_decided':
                sessions = F(row for row in sessions if not self.is_decided(store, row))
            # Temporaries without a session are removed by their age. A clock may show any age.
            strays = F(row for row in listed if not row[0])
            victims = F(row for row in listed - strays if row[0] not in sessions)
            left, wrong = sorted(listed - strays - victims), store[WRONG]
            if is_last and left:
                wrong |= {f'all sessions are decided, and a sweep leaves {left[0][1]} of session {left[0][0]}'}
            for taken in {victims, victims | strays}:
                yield change(store, WRONG=wrong), (done, 'take', tuple(sorted(taken)))
        elif not known:
            yield store, (done + 1, 'start', None)
        else:
            victim, wrong = known[0], store[WRONG]
            if victim in store[TEMPORARIES] and not self.may_not_commit(store, victim[0]):
                wrong |= {f'a sweep takes {victim[1]} of session {victim[0]}, which may still commit'}
            after = change(store, TEMPORARIES=store[TEMPORARIES] - {victim}, WRONG=wrong)
            yield after, (done, place, known[1:])

    def may_not_commit(self, store, session):
        """Returns True if a session has ended, or if its writer removed its record before trying to commit."""
        return session not in store[SESSIONS] or self.is_decided(store, session)

    # A writer: (place, attempt, packs of its own, knowledge).

    def write(self, store, number, place, attempt, own, known):
        session = f'w{number}.{attempt}'
        wanted = self.wanted(number)
        if self.closing and number < self.writers:
            yield from self.close(store, session, place, attempt, own, known, wanted)
        if place == 'asleep':
            if 'X' in store[FORGOTTEN]:
                yield store, (self.order[0], attempt, own, None)
        elif place in self.order:
            yield from self.begin(store, number, session, place, attempt, own, known)
        elif self.sweeps and place in ('store', 'index', 'commit'):
            after = change(store, TEMPORARIES=store[TEMPORARIES] | {(session, place)})
            yield after, ('name ' + place, attempt, own, known)
        elif self.sweeps and place in ('name store', 'name index', 'name commit'):
            yield from self.name(store, number, session, place[5:], attempt, own, known)
        else:
            yield from self.put(store, number, session, place, attempt, own, known)

    def name(self, store, number, session, place, attempt, own, known):
        """Gives a temporary its name. If the temporary is gone, the writer writes it again or begins again."""
        temporary = (session, place)
        if temporary in store[TEMPORARIES] or self.mutation == 'swept_unnoticed':
            named = change(store, TEMPORARIES=store[TEMPORARIES] - {temporary})
            for after, moved in self.put(named, number, session, place, attempt, own, known):
                if temporary not in store[TEMPORARIES] and place == 'store':
                    after = named
                yield after, moved
        elif place != 'store':
            # The writer still has the content, so it writes the temporary again.
            yield store, (place, attempt, own, known)
        else:
            # The writer no longer has the pack's content, so it begins again if it has an attempt left.
            after = change(store, SESSIONS=store[SESSIONS] - {session})
            again = (self.order[0], attempt + 1, own, None)
            yield after, again if attempt + 1 < self.attempts else ('end', 0, F(), None)

    def put(self, store, number, session, place, attempt, own, known):
        wanted = self.wanted(number)
        if place == 'read':
            if has_all(known & store[PACKS], wanted):
                yield store, ('store', attempt, own, None)
            else:
                again = (self.order[0], attempt + 1, own, None)
                yield store, again if attempt + 1 < self.attempts else ('end', 0, F(), None)
        elif place == 'store':
            pack = ('P' + session, wanted)
            after = change(store, PACKS=store[PACKS] | {pack})
            yield after, ('index', attempt, own | {pack}, F([pack]))
        elif place == 'index':
            after = change(store, INDEXES=put(store[INDEXES], ('i' + session, known)))
            yield after, ('commit', attempt, own, None)
        elif place == 'commit':
            record = (session, 'C', wanted)
            if self.mutation == 'spare_before_commit':
                store = change(store, SPARES=store[SPARES] | {(session, wanted)})
                if not find(store[SNAPSHOTS], session):
                    yield store, ('end', 0, F(), None)
            if self.mutation == 'plain_put_commit':
                others = F(row for row in store[SNAPSHOTS] if row[0] != session)
                yield change(store, SNAPSHOTS=others | {record}), ('end', 0, F(), None)
                return
            snapshots = put(store[SNAPSHOTS], record)
            if find(snapshots, session)[1] == 'T' and attempt + 1 < self.attempts:
                yield store, (self.order[0], attempt + 1, own, None)
            else:
                is_committed = find(snapshots, session)[1] == 'C'
                then = ('spare', attempt) if self.losing and is_committed else ('end', 0)
                yield change(store, SNAPSHOTS=snapshots), then + (F(), None)
        elif place == 'spare':
            yield change(store, SPARES=store[SPARES] | {(session, wanted)}), ('end', 0, F(), None)

    def wanted(self, number):
        return WANTED[number] if number < self.writers else 'AB'

    def close(self, store, session, place, attempt, own, known, wanted):
        """Steps of a writer that gives up. If its commit record is on its way, the record arrives at any time or never.
        """
        record = (session, 'C', wanted)
        if place.removeprefix('name ') in ('store', 'index', 'commit'):
            after = change(store, SESSIONS=store[SESSIONS] - {session})
            yield after, ('end', 0, F(), None)
        if place == ('name commit' if self.sweeps else 'commit'):
            careless = self.mutation == 'close_without_tombstone'
            yield store, ('closed' if careless else 'closing', attempt, F(), record)
        elif place == 'closing':
            # Both puts are put-if-absent. If the record arrives first, the session has committed.
            tombstone = put(store[SNAPSHOTS], (session, 'T', ''))
            yield change(store, SNAPSHOTS=tombstone), ('closed', attempt, F(), known)
            yield change(store, SNAPSHOTS=put(store[SNAPSHOTS], known)), ('closed', attempt, F(), known)
        elif place == 'closed':
            after = change(store, SESSIONS=store[SESSIONS] - {session})
            yield after, ('late', attempt, F(), known)
        elif place == 'late':
            yield change(store, SNAPSHOTS=put(store[SNAPSHOTS], known)), ('end', 0, F(), None)

    def begin(self, store, number, session, place, attempt, own, known):
        then = self.next[place]
        if place == 'reg':
            after = change(store, SESSIONS=store[SESSIONS] | {session})
            if then == 'store':
                yield after, self.known(number, attempt, own, *known)
            else:
                yield after, (then, attempt, own, known)
        elif place == 'gc':
            condemned, gone = set(), set()
            for round_, names in store[PLANS]:
                if not find(store[DECISIONS], round_):
                    condemned |= names
            if self.mutation == 'ignore_condemned':
                condemned = set()
            for decision in store[DECISIONS]:
                gone |= decision[1]
            if self.mutation == 'reuse_unchecked':
                usable = own
            else:
                usable = F(pack for pack in own if pack[0] not in condemned | gone)
            if self.mutation == 'index_before_gc':
                visible = F(pack for pack in known if pack[0] not in condemned)
                yield store, self.known(number, attempt, own, visible, usable)
            else:
                yield store, (then, attempt, own, (newest(store[DECISIONS]), F(condemned), usable))
        elif place == 'lst':
            decision, condemned, usable = known or (newest(store[DECISIONS]), F(), F())
            sessions = F(
                row[0] for row in store[SNAPSHOTS]
                if row[1] == 'C' and (decision is None or row[0] not in decision[3]))
            yield store, (then, attempt, own, (decision, condemned, usable, sessions))
        elif place == 'idx':
            decision, condemned, usable, sessions = known
            visible = set()
            for name in ([decision[2]] if decision else []) + ['i' + row for row in sessions]:
                index = find(store[INDEXES], name)
                if index:
                    visible |= index[1]
                elif name[0] == 'g' or any(name[1:] in row[3] for row in store[DECISIONS]):
                    # The index was superseded after the listing, so the writer lists again. A session that stored
                    # nothing has no index, which is not a reason to list again.
                    yield store, ('lst' if then == 'gc' else 'gc', attempt, own, None)
                    return
            seen = F(visible)
            visible = F(pack for pack in visible if pack[0] not in condemned)
            if then == 'gc':
                yield store, (then, attempt, own, visible)
            elif then == 'reg':
                yield store, (then, attempt, own, (visible, usable))
            else:
                yield store, self.known(number, attempt, own, visible, usable, seen)

    def known(self, number, attempt, own, visible, usable, seen=F()):
        """Returns a writer's next place after it has read the index. It stores only chunks that it cannot refer to."""
        wanted = self.wanted(number)
        if number >= self.writers:
            if self.mutation == 'undo_condemned':
                visible |= seen
            if has_all(visible, wanted) or self.mutation == 'undo_unchecked':
                return ('commit', attempt, own, None)
            if usable:
                return ('index', attempt, own, usable)
            # The chunks are only in condemned packs. The writer reads them while the packs exist, and stores them
            # again.
            return ('read', attempt, own, seen) if has_all(seen, wanted) else ('end', 0, F(), None)
        if any(wanted in pack[1] for pack in visible):
            return ('commit', attempt, own, None)
        return ('index', attempt, own, usable) if usable else ('store', attempt, own, None)

    # A collector: (round, place, knowledge).

    def collect(self, store, number, round_, place, known):
        plan, decision = find(store[PLANS], round_), find(store[DECISIONS], round_)
        if place == 'start':
            if round_ > self.rounds or round_ > 1 and not find(store[DECISIONS], round_ - 1):
                return
            if decision:
                yield store, (round_ + 1, 'start', None)
                yield store, (round_, 'delete', None)
            elif self.lacks(store):
                return
            elif plan:
                yield store, (round_, 'list', (plan[1], F(live_chunks(store))))
            else:
                yield store, (round_, 'plan', F(store[PACKS]))
        elif place == 'plan':
            for row in self.plans(store, round_, known):
                yield store, (round_, 'put plan', row)
        elif place == 'put plan':
            plans = put(store[PLANS], (round_, known[0]))
            yield change(store, PLANS=plans), (round_, 'list', (find(plans, round_)[1], known[1]))
        elif place == 'list':
            sessions = F() if self.mutation == 'no_wait' else store[SESSIONS]
            yield store, (round_, 'wait', (known, sessions))
        elif place == 'wait':
            open_ = sorted(row for row in known[1] if not self.is_decided(store, row))
            if open_:
                snapshots = put(store[SNAPSHOTS], (open_[0], 'T', ''))
                yield change(store, SNAPSHOTS=snapshots), (round_, place, known)
            else:
                yield store, (round_, 'mark', known[0])
        elif place == 'mark' and self.lacks(store):
            yield store, (round_, 'start', None)
        elif place == 'mark':
            condemned, live = known
            if self.mutation != 'copy_first_mark':
                live = F(live_chunks(store))
            yield store, (round_, 'choose', (condemned, live))
        elif place == 'choose':
            yield from self.choose(store, round_, number, known)
        else:
            yield from self.decide(store, round_, number, place, known)

    def is_decided(self, store, session):
        if self.mutation not in ('missing_unnoticed', 'missing_revoked') and find(store[SPARES], session):
            return True
        return find(store[SNAPSHOTS], session)

    def lacks(self, store):
        """Returns True if a record is missing that was not forgotten. A collector then deletes nothing."""
        if self.mutation == 'missing_unnoticed':
            return False
        if self.mutation != 'missing_by_decision':
            if any(session not in store[FORGOTTEN] for session in counted_and_gone(store)):
                return True
        return any(
            row[0] not in store[FORGOTTEN] for row in missing(store)
            if self.mutation != 'missing_revoked' or not find(store[SNAPSHOTS], row[0]))

    def plans(self, store, round_, listed):
        """Yields the packs that a plan may condemn: all packs to which nothing refers, and at most one of the packs in
        use."""
        packs = trusted(store)
        if packs is None:
            return
        live = live_chunks(store)
        used = F(pack for pack in packs if live & set(pack[1]))
        dead = F(pack[0] for pack in listed - used)
        for choice in [F()] + [F([pack[0]]) for pack in used & store[PACKS]]:
            if dead | choice:
                yield dead | choice, F(live)

    def choose(self, store, round_, number, known):
        """Decides which condemned packs go. Some live chunks are only in condemned packs. Either they are copied, or
        the packs that have them stay."""
        condemned, live = known
        packs = trusted(store)
        if packs is None or find(store[DECISIONS], round_):
            yield store, (round_, 'start', None)
            return
        superseded = F(committed(store))
        decision = newest(store[DECISIONS])
        if decision:
            superseded |= decision[3]
        staying = F(pack for pack in packs if pack[0] not in condemned)
        elsewhere = staying
        if self.mutation == 'count_untrusted_copy':
            for _, others in store[INDEXES]:
                elsewhere |= F(pack for pack in others if pack[0] not in condemned)
        lone = [chunk for chunk in sorted(live) if not any(chunk in pack[1] for pack in elsewhere)]
        kept = F(
            pack for pack in packs if pack[0] in condemned and set(lone) & set(pack[1]))
        yield store, (
            round_, 'put index', (condemned - F(pack[0] for pack in kept), staying | kept, superseded))
        if lone:
            if not kept <= store[PACKS]:
                yield store, (round_, 'start', None)
                return
            copy = (f'C{round_}.{number}', ''.join(lone))
            then = (condemned, staying | {copy}, superseded)
            if self.sweeps:
                after = change(store, TEMPORARIES=store[TEMPORARIES] | {('', copy[0])})
                yield after, (round_, 'name copy', (copy, then))
            else:
                after = change(store, PACKS=store[PACKS] | {copy})
                yield after, (round_, 'put index', then)

    def decide(self, store, round_, number, place, known):
        if place == 'name copy':
            copy, then = known
            temporary = ('', copy[0])
            if temporary in store[TEMPORARIES]:
                after = change(
                    store, PACKS=store[PACKS] | {copy}, TEMPORARIES=store[TEMPORARIES] - {temporary})
                yield after, (round_, 'put index', then)
            else:
                # The temporary is gone, so the collector fails and begins again.
                yield store, (round_, 'start', None)
        elif place == 'put index':
            gone, packs, superseded = known
            name = f'g{round_}.{number}'
            # An attempt that was given up may have left an index, so the new index gets another name.
            while find(store[INDEXES], name):
                name += "'"
            then = 'early' if self.mutation == 'delete_before_decision' else 'decide'
            yield change(store, INDEXES=store[INDEXES] | {(name, packs)}), (
                round_, then, (gone, name, superseded))
        elif place == 'early':
            victims = sorted(pack for pack in store[PACKS] if pack[0] in known[0])
            if victims:
                yield change(store, PACKS=store[PACKS] - {victims[0]}), (round_, place, known)
            yield store, (round_, 'decide', known)
        elif place == 'decide':
            decisions = put(store[DECISIONS], (round_,) + known)
            mine = known[0] if self.mutation == 'no_decision_record' else None
            yield change(store, DECISIONS=decisions), (round_, 'delete', mine)
        elif place == 'delete':
            decision = find(store[DECISIONS], round_)
            gone = decision[1] if known is None else known
            old = sorted(
                (row for row in store[INDEXES]
                 if row[0][0] == 'i' and row[0][1:] in decision[3]
                 or row[0][0] == 'g' and int(row[0][1]) < round_), key=lambda row: row[0])
            victims = sorted(pack for pack in store[PACKS] if pack[0] in gone)
            if old:
                yield change(store, INDEXES=store[INDEXES] - {old[0]}), (round_, place, known)
            elif victims:
                yield change(store, PACKS=store[PACKS] - {victims[0]}), (round_, place, known)
            else:
                # A session record only shows that a session has not ended. The records of sessions that have ended are
                # removed.
                open_ = F(row for row in store[SESSIONS] if not self.is_decided(store, row))
                yield change(store, SESSIONS=open_), (round_ + 1, 'start', None)

    def run(self, limit):
        """Searches depth first. The order of moves is random, so that no actor has precedence. Returns the verdict, the
        number of states, and the states on the path to a fault."""
        order = random.Random(1)

        def steps(state):
            rows = list(self.steps(state))
            order.shuffle(rows)
            return rows

        seen = {hash(self.first)}
        stack = [(self.first, steps(self.first))]
        while stack:
            if not stack[-1][1]:
                stack.pop()
                continue
            following = stack[-1][1].pop()
            key = hash(following)
            if key in seen:
                continue
            seen.add(key)
            what = fault(following[0])
            if what:
                return f'VIOLATION: {what}', len(seen), [state for state, _ in stack] + [following]
            if len(seen) >= limit:
                return 'stopped', len(seen), []
            stack.append((following, steps(following)))
        return 'exhausted', len(seen), []


def print_trace(states):
    """Prints the changes that each step makes."""
    for before, after in zip(states, states[1:]):
        if before[3] != after[3]:
            print(f'  who sweeps: {before[3]} -> {after[3]}')
        for name, old, new in zip(('writer', 'collector'), before[1:], after[1:]):
            for number, (was, now) in enumerate(zip(old, new)):
                if was != now:
                    print(f'  {name} {number}: {was} -> {now}')
        for place, name in enumerate('packs sessions snapshots forgotten plans decisions indexes spares temporaries lost wrong'.split()):
            for row in after[0][place] - before[0][place]:
                print(f'    + {name} {row}')
            for row in before[0][place] - after[0][place]:
                print(f'    - {name} {row}')


def check(options, mutation, writers, collectors):
    start = time.time()
    closing = options.closing or mutation == 'close_without_tombstone'
    losing = options.losing or mutation.startswith(('spare_', 'missing_'))
    sweeps = max(options.sweeps, 1 if mutation.startswith(('sweep_', 'swept_')) else 0)
    undo = max(options.undo, 1 if mutation.startswith('undo_') else 0)
    model = Model(mutation, writers, collectors, options.rounds, options.attempts, undo, closing, losing, sweeps)
    verdict, count, trace = model.run(options.states)
    print(
        f'{mutation}, {writers} writers, {collectors} collectors{f", {undo} undo" if undo else ""}'
        f'{", closing" if closing else ""}{", losing" if losing else ""}'
        f'{f", {sweeps} sweeps" if sweeps else ""}: {verdict}; {count} states, '
        f'{time.time() - start:.0f} s', flush=True)
    if options.trace:
        print_trace(trace)
    return verdict.split(':')[0]


def main():
    parser = argparse.ArgumentParser(description='Checks the store protocol.')
    parser.add_argument('--mutation', default='none', choices=list(MUTATIONS))
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--trace', action='store_true')
    parser.add_argument('--writers', type=int, default=2)
    parser.add_argument('--collectors', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--attempts', type=int, default=2, help='how often a writer begins')
    parser.add_argument('--undo', type=int, default=0, help='how many take X back')
    parser.add_argument('--closing', action='store_true', help='writers may give up')
    parser.add_argument('--losing', action='store_true', help='a commit record is lost')
    parser.add_argument('--sweeps', type=int, default=0, help='how often temporaries are swept')
    parser.add_argument('--states', type=int, default=100_000_000)
    options = parser.parse_args()
    if options.all:
        # Most mistakes lose data with few actors. Cases with more actors run only if the smaller ones find nothing.
        is_right = all(
            any(
                check(options, mutation, writers, collectors) == 'VIOLATION'
                for writers, collectors in ((1, 1), (1, 2), (2, 1), (2, 2)))
            for mutation in MUTATIONS if mutation != 'none')
    else:
        verdict = check(options, options.mutation, options.writers, options.collectors)
        is_right = (verdict == 'VIOLATION') == (options.mutation != 'none')
    sys.exit(0 if is_right else 1)


main()
