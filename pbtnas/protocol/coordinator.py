"""Coordinates a run: collects results, selects, has children made, opens the next generation.

Theory of operation.  A coordinator is a generator, as a worker is (`worker` says what that asks
of the driver; here there are `Mix`, which makes a child's weights, and `WriteViews` besides).
`coordinate` takes the term and then goes from generation to generation, each by write-once
records that rest on those before:

    manifest g      what every member does in generation g
      results       one a member, published by workers; `_collect` waits for all of them
    selection g     ranking and births, computed from manifest and results; holds their digests
      births        one a child, its weights published before; `_children`
    manifest g+1    holds the digest of selection g
      ...
    final           after the last generation: the fingerprint of the chain

Each step has the same form: read the record; if it is not there, compute it from what came
before, make what it rests on durable (`Sync`), publish it, and adopt what is there afterwards,
whoever published it.  So a resumed coordinator begins at generation 0, reads its way to the first
record that is missing, and has checked the chain on the way.

What is decided where.  Everything that decides an outcome is a pure function in `generations`;
this module decides only when.  Whether another coordinator is at work: `Term`.  What is garbage:
`Retention`, and `KEPT_GENERATIONS`.  Whose worker is gone: `Suspicion`.  While it waits, it keeps
house (`_keep_house`): it restores what the waiting rests on and is lost, discards old checkpoints,
and writes views for people.

Why a coordinator may die at any line, or run twice.  It holds nothing in memory that is not in
the records.  Two coordinators compute the same bytes for each slot, and the first to publish
decides only whose copy is kept; the term saves work and promises nothing.  The population changes
in one moment, the publish of a manifest (`_open`), and all that this manifest names is there and
durable by then.  A damaged record is put aside, and its slot is filled with the same again; what
cannot be computed again, or does not continue the chain, ends the run with `BrokenChain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pbtnas.errors import PbtnasError
from pbtnas.protocol import generations
from pbtnas.protocol.ancestry import lost_line
from pbtnas.protocol.children import Children, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.controls import Controls
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import (
    AskedToStop,
    Discard,
    EmptyTrash,
    Has,
    List,
    MakeGeneration,
    Now,
    Put,
    Replace,
    Say,
    Sleep,
    Steps,
    Sync,
    pause_s,
    persist,
)
from pbtnas.protocol.reading import adopt, content, read, result_of
from pbtnas.protocol.retention import Retention
from pbtnas.protocol.selecting import Collected, as_it_was, rests_on_it, selected_from
from pbtnas.protocol.suspicion import Suspicion
from pbtnas.protocol.term import CoordinatorEnding, Leave, Term
from pbtnas.records import paths
from pbtnas.records.envelope import Record, canonical, encode
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import (
    EXTENDED,
    TRAINED_BY,
    Champion,
    Child,
    Extension,
    Job,
    Manifest,
    Selected,
)

KEPT_GENERATIONS = 2  # before the current one: its inputs, and what these were computed from
STALE_S = 180.0  # no file system goes on missing a file for so long
DUTY_S = 5.0  # of waiting, between two looks at what the waiting rests on


class Coordinator:
    """Coordinates one run; `coordinate()` is its whole life.

    Args:
        run: Id of the run.
        search: Search to coordinate: space, algorithm and settings.
        claims: This coordinator's view of the claims.
        beat_s: Seconds between two heartbeats.
        poll_s: Longest wait between two looks at the directory, in seconds.
    """

    def __init__(
        self, run: str, search: Search, claims: Claims, *, beat_s: float, poll_s: float
    ) -> None:
        self._run = run
        self._started = search  # as it was before the run was extended
        self._search = search
        self._claims = claims
        self._term = Term(claims, beat_s=beat_s, poll_s=poll_s)
        self._beat_s = beat_s
        self._poll_s = poll_s
        self._retention = Retention(search.objectives, search.space.ladders)
        self._controls = Controls(run)
        self._suspicion = Suspicion(claims)
        self._children_maker = Children(run, self._record)
        self._recent: list[Manifest] = []  # the last generation and this one
        self._known: dict[int, dict[Name, Record]] = {}  # of the generations that are kept
        self._last_best: Champion | None = None  # of the generation finished last
        self._workers: dict[int, str] = {}  # by member, who trained in the generation in work
        self._trained_by: dict[str, str] = {}  # what the manifest in work says of that
        self._extensions = 0  # how often the run was extended before the generation in work
        self._ending = CoordinatorEnding.FINISHED
        self._tidied = 0  # generations before this one have been seen to
        self._told = False

    def coordinate(self) -> Steps[CoordinatorEnding]:
        """Take the term, then carry the run from wherever it is to its end.

        Raises `NoParentsError` when no member is left to go on with, and `ForeignRecord` when
        the directory holds records of another run or a newer version.
        """
        try:
            yield from self._term.take()
            manifest = yield from self._first()
            while manifest is not None:
                manifest = yield from self._carry(manifest)
            yield from self._term.end()
            return self._ending
        except AskedToStop:  # while the disk was full
            yield from self._term.end()
            return CoordinatorEnding.STOPPED
        except Leave as leave:
            if leave.ending is CoordinatorEnding.STOPPED:
                yield from self._term.end()
            return leave.ending

    # -- from generation to generation ---------------------------------------------------------

    def _first(self) -> Steps[Manifest | None]:
        record = yield from read(paths.manifest(0), "manifest", self._run)
        first = generations.first_manifest(self._search)
        if record is None:
            return (yield from self._open(first))
        self._know(0, record, paths.manifest(0))
        manifest = Manifest.from_json(record.core)
        if manifest.previous != first.previous:
            raise BrokenChain(f"{paths.manifest(0)}: made from another configuration or task")
        other = generations.other_product(manifest.products, first.products)
        if other is not None:
            raise BrokenChain(other)
        return manifest

    def _carry(self, manifest: Manifest) -> Steps[Manifest | None]:
        """One generation, from its manifest to the next; None after the last.

        Also the way to resume: begun at generation 0, everything that is published already is
        read and adopted, and the chain is checked on the way.
        """
        generation = manifest.generation
        self._recent = [*self._recent[-1:], manifest]
        self._known.pop(generation - KEPT_GENERATIONS - 1, None)
        selected = yield from self._selected(manifest)
        if selected.cancelled:
            yield from self._finish(manifest, selected)
            self._ending = CoordinatorEnding.CANCELLED
            return None
        self._last_best = generations.champion(manifest, selected)
        self._retention.add(self._last_best, manifest, selected)
        extension = None
        if selected.ended or self._search.last(generation):
            extension = yield from self._extension(manifest, selected)
            if extension is None:
                yield from self._finish(manifest, selected)
                # Perhaps somebody has asked for more meanwhile.
                extension = yield from self._extension(manifest, selected)
            if extension is None:
                return None
            self._extensions += 1
            length = generation + 1 + extension.generations
            self._search = replace(self._search, generations=length)
        selected, previous = generations.continued(selected, extension)
        children: dict[int, Child] | None = None
        orphaned_s: float | None = None
        while children is None:
            following = yield from read(paths.manifest(generation + 1), "manifest", self._run)
            if following is not None:
                self._know(generation + 1, following, paths.manifest(generation + 1))
                self._trained_by = {}
                return _continues(Manifest.from_json(following.core), previous)
            if (yield from content(paths.manifest(generation + KEPT_GENERATIONS + 1))) is not None:
                now_s = yield from Now()
                orphaned_s = now_s if orphaned_s is None else orphaned_s
                _refuse_to_wait(
                    f"{paths.manifest(generation + 1)} and a record in {paths.births(generation)}: "
                    "both missing or damaged, and the checkpoints to make them from were discarded",
                    now_s - orphaned_s,
                )
            nothing_more = generations.nothing_more(manifest, previous)
            if (yield from self._cancelled_before(nothing_more)):
                yield from persist(Sync(paths.generation(generation)))
                self._trained_by = {}
                return _continues((yield from self._open(nothing_more)), previous)
            # What was read must be at least as durable as what is about to be written.
            yield from persist(Sync(paths.generation(generation)))
            children = yield from self._children(manifest, selected, nothing_more)
        yield from persist(Sync(paths.births(generation)))
        upcoming = generations.next_manifest(self._search, manifest, selected, children, previous)
        self._trained_by = yield from self._trainers(manifest, upcoming, selected)
        return _continues((yield from self._open(upcoming)), previous)

    def _cancelled_before(self, nothing_more: Manifest) -> Steps[bool]:
        """Whether the run ends before a generation is opened: then that gets no jobs.

        Unless it had some: then its selection, which names the manifest, is there.
        """
        if not (yield from self._cancelled()):
            return False
        name = paths.selection(nothing_more.generation)
        record = yield from read(name, "selection", self._run)
        empty = Record("manifest", "", nothing_more.to_json()).digest
        return record is None or record.core["manifest"] == empty

    def _cancelled(self) -> Steps[bool]:
        """Whether an operator has cancelled the run, by a look that is as old as a heartbeat."""
        return (yield from self._controls.look(self._beat_s)).cancelled

    def _extension(self, manifest: Manifest, selected: Selected) -> Steps[Extension | None]:
        """How the run goes on after what would have been its last generation: read, or decided
        from what operators have asked; None if it ends."""
        name = paths.extension(manifest.generation)
        record = yield from read(name, "extension", self._run)
        while record is None:
            steering = yield from self._controls.look()
            asked = steering.extensions[self._extensions :]
            if not asked:
                if len(steering.of("extend")) <= self._extensions:
                    return None
                # Until it is known which comes first: whoever ended here would not learn it.
                yield from self._term.beat()
                yield from Sleep(self._poll_s)
                record = yield from read(name, "extension", self._run)
                continue
            decided = generations.extension(self._search, manifest, selected, asked[0])
            yield from persist(Sync(paths.generation(manifest.generation)))
            yield from self._publish(name, "extension", decided.to_json())
            record = yield from adopt(name, "extension", self._run)
        self._know(manifest.generation, record, name)
        extension = Extension.from_json(record.core)
        if extension.selection != Record("selection", "", selected.to_json()).digest:
            raise BrokenChain(f"{name}: does not continue {paths.selection(manifest.generation)}")
        return extension

    def _trainers(
        self, manifest: Manifest, upcoming: Manifest, selected: Selected
    ) -> Steps[dict[str, str]]:
        """Who trained what the next generation starts from, by member: so that each worker need
        not read all results.  Read here only if another coordinator made the selection."""
        for job in manifest.jobs if not self._workers else ():
            record, _ = yield from result_of(manifest.generation, job.member, self._run)
            self._workers[job.member] = "" if record is None else _worker_of(record)
        bases = {birth.member: birth.base for birth in selected.births}
        trainers = {
            str(job.member): self._workers.get(bases.get(job.member, job.member), "")
            for job in upcoming.jobs
        }
        return {member: worker for member, worker in trainers.items() if worker}

    def _selected(self, manifest: Manifest) -> Steps[Selected]:
        """The selection of a generation: read if it is there, else decided from its results."""
        generation = manifest.generation
        self._workers = {}
        name = paths.selection(generation)
        record = yield from read(name, "selection", self._run)
        while record is None:
            yield from self._controls.look(self._beat_s)
            known: Digest | None = None
            if self._controls.steered:
                known = yield from rests_on_it(self._run, generation, self._extensions)
            collected = yield from self._collect(manifest, again=known is None)
            if collected is None:
                record = yield from read(name, "selection", self._run)
                continue
            yield from persist(Sync(paths.results(generation)))
            self._workers = {n: _worker_of(record) for n, record in collected.records.items()}
            steering = yield from self._controls.look()
            if known is None and collected.is_due(steering.retries(generation)):
                continue
            selected = None
            if known is not None:
                selected = as_it_was(self._search, manifest, collected, known)
            selected = selected or selected_from(self._search, manifest, collected, steering)
            yield from self._publish(name, "selection", selected.to_json())
            record = yield from adopt(name, "selection", self._run)
            if record is not None:
                yield from Say(_summary(self._search, manifest, Selected.from_json(record.core)))
        self._know(generation, record, name)
        selected = Selected.from_json(record.core)
        if selected.manifest != Record("manifest", "", manifest.to_json()).digest:
            raise BrokenChain(f"{name}: was decided for another {paths.manifest(generation)}")
        return selected

    def _collect(self, manifest: Manifest, *, again: bool) -> Steps[Collected | None]:
        """Wait for the results of all members, one after the other; with `again`, also for those
        of failed members that operators want tried again.

        None when the selection was made by another coordinator in the meantime; those that are
        there when the run is cancelled.
        """
        collected = Collected()
        since_s = yield from Now()
        first, next_duty_s, looks = True, since_s, 0
        orphaned_s: float | None = None
        for job in manifest.jobs:
            while True:
                record, retry = yield from self._result(job, again=again)
                if record is not None:
                    break
                name = paths.result(manifest.generation, job.member, retry)
                yield from self._term.beat()
                if (yield from content(paths.selection(manifest.generation))) is not None:
                    return None
                if (yield from self._cancelled()) and (yield from self._is_newest(manifest)):
                    return collected
                now_s = yield from Now()
                if now_s > since_s:
                    done = collected.records
                    yield from self._suspicion.look(manifest.generation, done, job.member)
                if now_s >= next_duty_s:
                    if (yield from content(paths.manifest(manifest.generation + 1))) is not None:
                        sentence = (
                            f"{name} and {paths.selection(manifest.generation)}: both missing or "
                            f"damaged, so {paths.manifest(manifest.generation + 1)} cannot be "
                            "traced back"
                        )
                        if orphaned_s is None:
                            orphaned_s = now_s
                            yield from Say(f"waiting up to {STALE_S:.0f} s: {sentence}")
                        _refuse_to_wait(sentence, now_s - orphaned_s)
                    # There is time: nothing below is on the way to the next generation.
                    # One result a time, for workers leave a run alone where one is of another run.
                    other = manifest.jobs[looks % len(manifest.jobs)].member
                    yield from read(paths.result(manifest.generation, other), "result", self._run)
                    looks += 1
                    yield from self._keep_house(manifest, first=first)
                    first, next_duty_s = False, now_s + DUTY_S
                yield from Sleep(pause_s(now_s - since_s, self._poll_s))
            collected.add(job.member, record, retry)
        return collected

    def _result(self, job: Job, *, again: bool) -> Steps[tuple[Record | None, int]]:
        """The result of a job that the selection goes by, and which retry it is of."""
        asked = self._controls.steering.retries(job.generation)
        retries = asked.get(job.member, 0) if again else None
        return (yield from result_of(job.generation, job.member, self._run, retries=retries))

    def _is_newest(self, manifest: Manifest) -> Steps[bool]:
        """Whether no generation was opened after this one."""
        return (yield from content(paths.manifest(manifest.generation + 1))) is None

    def _children(
        self, manifest: Manifest, selected: Selected, nothing_more: Manifest
    ) -> Steps[dict[int, Child] | None]:
        """The children of all births, by slot; None when a parent's checkpoint is missing, or the
        run is cancelled."""
        children = {}
        for birth in selected.births:
            yield from self._term.beat()
            if (yield from self._cancelled_before(nothing_more)):
                return None
            child = yield from self._children_maker.child(birth, selected)
            if child is None:
                # An idle worker computes the parent again: see that it has what that takes.
                yield from self._await_repair(manifest)
                return None
            children[birth.member] = child
        return children

    def _open(self, manifest: Manifest) -> Steps[Manifest]:
        """Publish a manifest: the only moment at which the population changes."""
        name = paths.manifest(manifest.generation)
        while True:
            yield from persist(MakeGeneration(manifest.generation))
            meta: dict[str, Any] = {TRAINED_BY: self._trained_by} if self._trained_by else {}
            if self._extensions:
                meta[EXTENDED] = self._extensions
            yield from self._publish(name, "manifest", manifest.to_json(), meta)
            yield from Replace(paths.HEAD, b"%d\n" % manifest.generation)
            record = yield from adopt(name, "manifest", self._run)
            if record is not None:
                self._know(manifest.generation, record, name)
                return Manifest.from_json(record.core)

    def _finish(self, manifest: Manifest, selected: Selected) -> Steps[None]:
        """Say that the run is over, when the checkpoints are there that its end names.

        Of a cancelled run nobody waits for what is lost: its workers leave.
        """
        best, last, cancelled = self._retention.best(), self._last_best, selected.cancelled
        front = self._retention.front()
        count = manifest.generation + (not cancelled)
        core = generations.ending(count, selected, best, last, front, cancelled=cancelled)
        name = paths.final(self._extensions)
        final = yield from read(name, "final", self._run)
        # A final record may be older than the loss of what it names.
        for champion in dict.fromkeys([*self._retention.named(), *filter(None, (last,))]):
            if not (yield from self._await_champion(manifest, champion)):
                return
        if final is None:
            if not cancelled and not (yield from self._all_there(manifest, selected)):
                return
            yield from persist(Sync(paths.generation(manifest.generation)))
        while final is None:
            yield from self._publish(name, "final", core)
            final = yield from adopt(name, "final", self._run)
        if final.digest != Record("final", "", core).digest:
            raise BrokenChain(
                f"{name}: does not say what {paths.selection(manifest.generation)} comes "
                "to; `pbtnas fsck --repair` puts it aside, to be published again"
            )
        yield from Replace(paths.HEAD, b"%d\n" % manifest.generation)
        if best is not None:
            yield from Replace(paths.BEST, view_of(best))
        yield from WriteViews(final=True)
        yield from self._clear_up(manifest)

    def _all_there(self, manifest: Manifest, selected: Selected) -> Steps[bool]:
        """Wait until the final population is complete: idle workers restore what was lost.

        False where another coordinator has extended the run since: it may be garbage by now.
        """
        for result in selected.results:
            if result.checkpoint is None:
                continue
            name = paths.checkpoint(selected.generation, result.checkpoint)
            final = paths.final(self._extensions)
            while not (yield from Has(name)) and (yield from content(final)) is None:
                if (yield from self._goes_on(manifest)):
                    return False
                if (yield from self._cancelled()):
                    return True
                yield from self._await_repair(manifest)
        return True

    def _goes_on(self, manifest: Manifest) -> Steps[bool]:
        """Whether the run was extended after this generation."""
        return (yield from content(paths.extension(manifest.generation))) is not None

    def _await_champion(self, manifest: Manifest, best: Champion) -> Steps[bool]:
        """Wait until a best member's checkpoint is there.  What it is made from may have been
        discarded: workers compute that again, and here is mixed what a member began with.

        False where another coordinator has extended the run since.
        """
        name, told = paths.checkpoint(best.generation, best.checkpoint), False
        while not (yield from Has(name)):
            if (yield from self._goes_on(manifest)):
                return False
            if (yield from self._cancelled()):
                return True
            if not told:
                told = True
                yield from Say(f"{name}: lost, the best member's; waiting for idle workers")
            line = yield from lost_line(self._run, best.generation, best.member)
            if not line:
                yield from self._restore_records(manifest)
            yield from self._children_maker.restore_overlays([lost.job for lost in line])
            yield from self._await_repair(manifest)
        if told:  # what it was made from is garbage as before
            beyond = manifest.generation - KEPT_GENERATIONS
            kept = yield from self._kept()
            for old in range(min(best.generation + 1, beyond)):
                yield from Discard(old, kept)
            yield from EmptyTrash(beyond - 1)
        return True

    def _restore_records(self, newest: Manifest) -> Steps[None]:
        """Publish again which records are lost of the generations before, as a coordinator does
        that resumes the run."""
        again = Coordinator(
            self._run, self._started, self._claims, beat_s=self._beat_s, poll_s=self._poll_s
        )
        again._term = self._term
        manifest = yield from again._first()
        while manifest is not None and manifest.generation < newest.generation:
            manifest = yield from again._carry(manifest)

    def _await_repair(self, manifest: Manifest) -> Steps[None]:
        """Wait a little for an idle worker to compute a lost checkpoint of this generation
        again, and see to it that the worker has what it needs for that."""
        yield from self._term.beat()
        yield from self._restore(manifest)
        yield from Sleep(self._poll_s)

    # -- keeping house -------------------------------------------------------------------------

    def _keep_house(self, manifest: Manifest, *, first: bool) -> Steps[None]:
        """What is done while waiting: tell, restore what was lost, discard what is old."""
        if first:
            if not self._told:
                self._told = True
                yield from self._tell(manifest)
            if not self._search.last(manifest.generation):
                # Needed when all results are there, and then nobody has to wait for it.
                yield from MakeGeneration(manifest.generation + 1)
            yield from self._tidy(manifest.generation)
        yield from self._restore(manifest)

    def _tell(self, manifest: Manifest) -> Steps[None]:
        names = yield from List(paths.results(manifest.generation))
        done = len({paths.member_number(name) for name in names} - {None})
        yield from Say(
            f"generation {manifest.generation} of {self._search.generations}; {done} of "
            f"{len(manifest.jobs)} members done, {len(manifest.jobs) - done} to do or in work"
        )

    def _restore(self, manifest: Manifest) -> Steps[None]:
        """Restore what the waiting rests on, and what lost checkpoints are computed again from:
        the records of the generations that are kept, and the overlays that this one and the last
        began with."""
        if (yield from content(paths.manifest(manifest.generation))) is None:
            yield from self._open(manifest)
        for known in self._known.values():
            for name, record in known.items():
                if not (yield from Has(name)):
                    yield from self._publish(name, record.kind, record.core, record.meta)
        for recent in self._recent:
            yield from self._children_maker.restore_overlays(recent.jobs)

    def _tidy(self, generation: int) -> Steps[None]:
        """Discard old checkpoints.  Garbage is defined by generation: it only ever grows."""
        best = self._retention.best()
        if best is not None:
            yield from Replace(paths.BEST, view_of(best))
        beyond = generation - KEPT_GENERATIONS
        kept = yield from self._kept()
        for old in self._retention.collectable(range(self._tidied, beyond)):
            yield from Discard(old, kept)
        self._tidied = max(self._tidied, beyond)
        yield from EmptyTrash(beyond - 1)
        yield from WriteViews()

    def _kept(self) -> Steps[frozenset[Digest]]:
        """Checkpoints that are no garbage, whatever their age."""
        steering = yield from self._controls.look()
        return self._retention.retained() | steering.pinned

    def _clear_up(self, last: Manifest) -> Steps[None]:
        """When the run is over, nobody goes on from a snapshot any more."""
        for generation in range(max(0, last.generation - KEPT_GENERATIONS), last.generation + 1):
            yield from Discard(generation, None)

    # -- records -------------------------------------------------------------------------------

    def _know(self, generation: int, record: Record, name: Name) -> None:
        self._known.setdefault(generation, {})[name] = record

    def _publish(
        self,
        name: Name,
        kind: str,
        core: Mapping[str, Any],
        meta: Mapping[str, Any] | None = None,
    ) -> Steps[None]:
        yield from persist(Put(name, encode(self._record(kind, core, meta), name)))

    def _record(
        self, kind: str, core: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> Record:
        return Record(kind, self._run, core, meta or {}, self._claims.new_nonce())


def _worker_of(record: Record) -> str:
    return str(record.meta.get("worker", ""))


def view_of(best: Champion) -> bytes:
    """The content of `best.json`."""
    return canonical(best.to_json()) + b"\n"


class BrokenChain(PbtnasError):
    """What is on disk does not continue what came before it; `pbtnas fsck` says more."""


def _refuse_to_wait(sentence: str, waited_s: float) -> None:
    """Nobody works on a generation that has successors: what it lacks is lost.  But absence is
    believed only after longer than any view is stale."""
    if waited_s > STALE_S:
        raise BrokenChain(sentence)


def _continues(manifest: Manifest, previous: Digest) -> Manifest:
    if manifest.previous != previous:
        raise BrokenChain(
            f"{paths.manifest(manifest.generation)}: does not continue "
            f"{paths.selection(manifest.generation - 1)}"
        )
    return manifest


def _summary(search: Search, manifest: Manifest, selected: Selected) -> str:
    if selected.cancelled:
        return f"cancelled in the midst of generation {selected.generation}"
    best = generations.champion(manifest, selected)
    assert best is not None, "somebody has a score, or there is no selection"
    lost = sum(result.outcome != "ok" for result in selected.results)
    text = (
        f"generation {selected.generation} done, {selected.generation + 1} of "
        f"{search.generations}: best "
        f"{paths.member_name(best.member)} at {best.score:.6g}, "
        f"{len(selected.births)} of {len(manifest.jobs)} replaced"
    )
    return f"{text}, {lost} diverged or failed" if lost else text
