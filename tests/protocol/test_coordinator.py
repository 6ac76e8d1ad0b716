"""A coordinator and the records of others: what it adopts, restores, and refuses to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol import generations
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import BrokenChain, Coordinator
from pbtnas.protocol.operations import (
    Dead,
    EmptyTrash,
    Now,
    Put,
    PutBlob,
    Say,
    Sleep,
    Stopping,
    Sync,
)
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, digest, encode
from pbtnas.records.names import Name
from pbtnas.records.schema import Child, Manifest, Selected, birth_to_json
from pbtnas.search.algorithms import pbtnas
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore
from tests.search.lineage import run, search, trained

RUN = "run0"
SEARCH = search(pbtnas)
LAST = SEARCH.generations - 1
LIMIT_S = 10_000.0  # a coordinator that waits for so long waits without end
BEAT_S = 5.0


class Office:
    """A run directory, a coordinator, and a worker that does everything while it sleeps."""

    def __init__(self, root: Path) -> None:
        for name in ("generations", "coordinator"):
            (root / name).mkdir()
        self.store = PosixStore(root, "me")
        self.before: dict[str, Callable[[], None]] = {}  # a record is published, by name
        self.done: list[Any] = []  # what was published and synced
        self.now_s = 0.0

    def coordinate(self) -> CoordinatorEnding:
        claims = Claims(RUN, {"worker": "me"}, lease_s=60, new_nonce=new_nonce)
        coordinator = Coordinator(RUN, SEARCH, claims, beat_s=BEAT_S, poll_s=1.0)
        return drive(coordinator.coordinate(), self._execute)

    def again(self) -> CoordinatorEnding:
        """Coordinate the finished run once more, from its first record on."""
        self.path(paths.FINAL).unlink()
        return self.coordinate()

    def path(self, name: str) -> Path:
        return self.store.root / name

    def core(self, name: str) -> Any:
        return decode(self.path(name).read_bytes(), name, kind=_kind(name)).core

    def put(self, name: str, core: Any) -> None:
        """Put a record there, in place of what there is."""
        record = Record(_kind(name), RUN, core, {}, new_nonce())
        self.path(name).write_bytes(encode(record))

    def published(self) -> list[str]:
        return [op.name for op in self.done if isinstance(op, Put | PutBlob)]

    def synced_for(self, name: str) -> set[str]:
        """Directories that were synced between the publish before a record and that."""
        at = next(i for i, op in enumerate(self.done) if isinstance(op, Put) and op.name == name)
        synced: set[str] = set()
        while at and isinstance(self.done[at - 1], Sync):
            at -= 1
            synced.add(self.done[at].directory)
        return synced

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Stopping():
                return self.now_s > LIMIT_S
            case Sleep(seconds):
                self.now_s += max(seconds, BEAT_S)
                return self._work()
            case Mix(birth=birth):
                overlay = digest(["child", birth_to_json(birth)])
                self.path(".tmp-mixed").write_text(overlay)
                return Mixed(".tmp-mixed", overlay, {})
            case Say() | WriteViews() | EmptyTrash() | Dead():
                return None
            case Put(name):
                self.before.pop(name, lambda: None)()
        if isinstance(operation, Put | PutBlob | Sync):
            self.done.append(operation)
        return self.store.execute(operation)

    def _work(self) -> None:
        """Do the jobs of the newest generation, and those whose checkpoints are lost again."""
        newest = max(g for g in range(LAST + 1) if self.path(paths.manifest(g)).exists())
        for job in Manifest.from_json(self.core(paths.manifest(newest))).jobs:
            inputs = [paths.checkpoint(newest - 1, checkpoint) for checkpoint in job.inputs]
            if not all(self.path(name).exists() for name in inputs):
                continue
            result, name = trained(job), paths.result(newest, job.member)
            if result.checkpoint is not None:
                self.path(paths.checkpoint(newest, result.checkpoint)).write_bytes(b"weights")
            if not self.path(name).exists():
                self.put(name, result.to_json())


def _kind(name: str) -> str:
    folder, _, leaf = name.rpartition("/")
    kinds = {"results": "result", "births": "birth"}
    return kinds.get(folder.rpartition("/")[2], leaf.removesuffix(".json"))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


def fingerprint() -> str:
    """That of the undisturbed search, from the pure functions alone."""
    *_, (_, last) = run(SEARCH)
    return generations.fingerprint(last)


def test_a_coordinator_computes_the_pure_functions_one_after_the_other(office: Office) -> None:
    """Begun anew and continued from its records, with the same end."""
    for coordinate in (office.coordinate, office.again):
        assert coordinate() is CoordinatorEnding.FINISHED
        assert office.core(paths.FINAL)["fingerprint"] == fingerprint()


# -- whose record counts -------------------------------------------------------------------------


def test_a_coordinator_goes_on_from_the_selection_that_was_first(office: Office) -> None:
    """One of another version may rank otherwise: what it published holds."""
    name = paths.selection(0)

    def theirs() -> None:
        results = [trained(job) for job in generations.first_manifest(SEARCH).jobs]
        selected = generations.select(
            replace(SEARCH, skip_selection=frozenset({0})),
            generations.first_manifest(SEARCH),
            {result.member: result for result in results},
        )
        office.put(name, selected.to_json())

    office.before[name] = theirs
    office.coordinate()

    assert office.core(name)["births"] == []
    stored = Record("selection", RUN, office.core(name))
    assert office.core(paths.manifest(1))["previous"] == stored.digest


def test_a_coordinator_goes_on_from_the_manifest_that_was_first(office: Office) -> None:
    """Its jobs are those that workers do, and the selection after it names it."""
    name = paths.manifest(1)

    def theirs() -> None:
        manifest, selected = next(run(SEARCH))
        births = [office.core(paths.birth(0, birth.member)) for birth in selected.births]
        children = {child.member: child for child in map(Child.from_json, births)}
        upcoming = generations.next_manifest(SEARCH, manifest, selected, children)
        office.put(name, replace(upcoming, config=1).to_json())

    office.before[name] = theirs
    office.coordinate()

    assert office.core(name)["config"] == 1
    stored = Record("manifest", RUN, office.core(name))
    assert office.core(paths.selection(1))["manifest"] == stored.digest


# -- what is durable, and what is restored --------------------------------------------------------


def test_what_a_record_rests_on_is_durable_before_it(office: Office) -> None:
    """Results before the selection; this, the births and their overlays before the manifest: a
    power cut never leaves a record without what it was computed from."""
    office.coordinate()
    published = office.published()

    for generation in range(LAST):
        selection, following = paths.selection(generation), paths.manifest(generation + 1)
        assert paths.results(generation) in office.synced_for(selection)
        assert paths.births(generation) in office.synced_for(following)
        for birth in Selected.from_json(office.core(selection)).births:
            name = paths.birth(generation, birth.member)
            overlay = paths.checkpoint(generation, office.core(name)["overlay"])
            assert published.index(overlay) < published.index(name) < published.index(following)
    synced = [op.directory for op in office.done if isinstance(op, Sync)]
    assert {paths.generation(generation) for generation in range(LAST)} <= set(synced)


@pytest.mark.parametrize("name", [paths.selection(1), paths.manifest(2), paths.FINAL])
def test_what_is_damaged_when_it_is_read_back_is_published_again(office: Office, name: str) -> None:
    """Put aside first; the record is whole when the run is over."""

    def damage() -> None:
        office.path(name).write_bytes(b"torn")

    office.before[name] = damage

    assert office.coordinate() is CoordinatorEnding.FINISHED
    assert office.core(paths.FINAL)["fingerprint"] == fingerprint()
    assert [p.read_bytes() for p in office.path(name).parent.glob("*.corrupt-*")] == [b"torn"]


def test_lost_overlays_are_mixed_again(office: Office) -> None:
    """Otherwise the jobs that begin with them would be waited for without end."""
    lost = []

    def lose() -> None:
        for birth in Selected.from_json(office.core(paths.selection(0))).births:
            overlay = office.core(paths.birth(0, birth.member))["overlay"]
            lost.append(office.path(paths.checkpoint(0, overlay)))
            lost[-1].unlink()

    office.before[paths.manifest(1)] = lose

    assert office.coordinate() is CoordinatorEnding.FINISHED
    assert lost
    assert office.core(paths.FINAL)["fingerprint"] == fingerprint()


def test_a_run_ends_with_its_last_population_complete(office: Office) -> None:
    """A checkpoint that was lost meanwhile is there again before the end is published."""
    lost: list[Path] = []
    ended: list[bool] = []

    def lose() -> None:
        results = [office.core(paths.result(LAST, member)) for member in range(SEARCH.population)]
        # Not the best one's, which is waited for by itself.
        for result in sorted(results, key=lambda result: result["score"])[:-1]:
            lost.append(office.path(paths.checkpoint(LAST, result["checkpoint"])))
            lost[-1].unlink()

    office.before[paths.selection(LAST)] = lose
    office.before[paths.FINAL] = lambda: ended.append(all(path.exists() for path in lost))
    office.coordinate()

    assert lost
    assert ended == [True]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changed", "sentence"),
    [
        (paths.manifest(0), {"previous": "x"}, "made from another configuration or task"),
        (paths.manifest(0), {"products": {"judge": "0" * 64}}, "this run was started with"),
        (paths.manifest(2), {"previous": "x"}, "does not continue"),
        (paths.selection(1), {"manifest": "x"}, "was decided for another"),
        (paths.selection(LAST), {"manifest": "x"}, "was decided for another"),
    ],
)
def test_records_that_do_not_continue_each_other_are_refused(
    office: Office, name: Name, changed: dict[str, Any], sentence: str
) -> None:
    """Intact, but of another configuration, other products or another history: one sentence."""
    office.coordinate()
    office.put(name, {**office.core(name), **changed})

    with pytest.raises(BrokenChain, match=sentence):
        office.again()


def test_what_nobody_can_compute_again_is_told(office: Office) -> None:
    """Nobody works on a generation that has a successor: its lost result is not waited for."""
    office.coordinate()
    office.path(paths.selection(1)).unlink()
    office.path(paths.result(1, 0)).unlink()

    with pytest.raises(BrokenChain, match="both missing or damaged"):
        office.again()
