"""A coordinator and the records of others: what it adopts, and what it refuses to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pbtnas.protocol.coordinator import BrokenChain
from pbtnas.protocol.operations import Put, PutBlob, Sync
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.schema import Manifest, Selected
from tests.simulation.store import Entry
from tests.simulation.world import REFERENCE, RUN, World


class Run(World):
    """A calm run in the simulation, in which something happens before some records are published.

    Args:
        before: What happens, by name of the record; it is called with its core.
    """

    def __init__(self, before: Mapping[str, Callable[[Run, Any], None]] | None = None) -> None:
        self.before = dict(before or {})
        self.done: list[Any] = []  # what coordinators published and synced
        super().__init__(0, swarm=False)

    def carry_out(self, actor: Any, operation: Any) -> Any:
        if isinstance(operation, Put) and operation.name in self.before:
            record = decode(operation.data, operation.name, kind=self.kind(operation.name))
            self.before.pop(operation.name)(self, record.core)
        if actor.kind == "coordinator" and isinstance(operation, Put | PutBlob | Sync):
            self.done.append(operation)
        return super().carry_out(actor, operation)

    def synced_before(self, name: str) -> list[str]:
        """Directories that were synced since the publish before this one."""
        names = [op.name if isinstance(op, Put | PutBlob) else "" for op in self.done]
        at = names.index(name)
        begin = max((i + 1 for i, name in enumerate(names[:at]) if name), default=0)
        return [op.directory for op in self.done[begin:at]]

    def put(self, name: str, core: Any) -> None:
        record = Record(self.kind(name), RUN, core, {}, "neighbour")
        self.store.entries[name] = Entry(encode(record), durable=True)

    def core(self, name: str) -> Any:
        return decode(self.store.entries[name].content, name, kind=self.kind(name)).core

    def kind(self, name: str) -> str:
        folder, _, leaf = name.rpartition("/")
        return "birth" if folder.endswith("/births") else leaf.removesuffix(".json")

    def until(self, name: str) -> None:
        while name not in self.store.entries:
            self.step()
            assert self.store.now < 20_000, f"{name} is never published"

    def again(self) -> None:
        """Another coordinator reads its way through what is there, without workers."""
        del self.store.entries[paths.FINAL]
        self.spawn("coordinator")
        self.run_down(self.store.now + 20_000)


def test_a_coordinator_goes_on_from_the_selection_that_was_first() -> None:
    """One of another version may rank otherwise: what it published holds."""

    def other(run: Run, core: Any) -> None:
        run.put(name, replace(Selected.from_json(core), births=()).to_json())

    name = paths.selection(0)
    run = Run({name: other})
    run.until(paths.manifest(1))

    stored = Record("selection", RUN, run.core(name))
    assert stored.core["births"] == []
    assert run.core(paths.manifest(1))["previous"] == stored.digest


def test_a_coordinator_goes_on_from_the_manifest_that_was_first() -> None:
    """Its jobs are those that workers do, and the selection after it names it."""

    def other(run: Run, core: Any) -> None:
        run.put(name, replace(Manifest.from_json(core), config=1).to_json())

    name = paths.manifest(1)
    run = Run({name: other})
    run.until(paths.selection(1))

    stored = Record("manifest", RUN, run.core(name))
    assert stored.core["config"] == 1
    assert run.core(paths.selection(1))["manifest"] == stored.digest


@pytest.mark.parametrize(
    ("name", "changed", "sentence"),
    [
        (paths.manifest(0), {"previous": "x"}, "made from another configuration or task"),
        (paths.manifest(0), {"products": {"judge": "0" * 64}}, "this run was started with"),
        (paths.manifest(2), {"previous": "x"}, "does not continue"),
        (paths.selection(1), {"manifest": "x"}, "was decided for another"),
        (paths.selection(3), {"manifest": "x"}, "was decided for another"),
    ],
)
def test_records_that_do_not_continue_each_other_are_refused(
    name: str, changed: dict[str, Any], sentence: str
) -> None:
    """Intact, but of another configuration, other products or another history: one sentence."""
    run = Run()
    run.run()
    run.put(name, {**run.core(name), **changed})

    with pytest.raises(BrokenChain, match=sentence):
        run.again()


def test_what_nobody_can_compute_again_is_told() -> None:
    """Nobody works on a generation that has a successor: its lost result is not waited for."""
    run = Run()
    run.run()
    del run.store.entries[paths.selection(1)]
    del run.store.entries[paths.result(1, 0)]

    with pytest.raises(BrokenChain, match="both missing or damaged"):
        run.again()


def test_what_a_record_rests_on_is_durable_before_it() -> None:
    """Results before the selection; this, the births and their overlays before the manifest: a
    power cut never leaves a record without what it was computed from."""
    run = Run()
    run.run()

    for generation in range(3):
        selection, following = paths.selection(generation), paths.manifest(generation + 1)
        assert paths.results(generation) in run.synced_before(selection)
        assert {paths.generation(generation), paths.births(generation)} <= set(
            run.synced_before(following)
        )
        published = [op.name for op in run.done if isinstance(op, Put | PutBlob)]
        for birth in Selected.from_json(run.core(selection)).births:
            name = paths.birth(generation, birth.member)
            overlay = paths.checkpoint(generation, run.core(name)["overlay"])
            assert published.index(overlay) < published.index(name) < published.index(following)


def test_damaged_records_are_put_aside_and_published_again() -> None:
    """The selection that was read back, and the end of the run, are whole when it is over."""

    def damaged(run: Run, core: Any) -> None:
        names.append(name := paths.FINAL if "fingerprint" in core else paths.selection(1))
        run.store.entries[name] = Entry(b"torn", durable=True)

    names: list[str] = []
    run = Run({paths.selection(1): damaged, paths.FINAL: damaged})
    run.until(paths.FINAL)
    run.run_down(run.store.now + 20_000)

    assert names == [paths.selection(1), paths.FINAL]
    assert run.core(paths.FINAL)["fingerprint"] == REFERENCE
    run.check()


def test_lost_overlays_are_mixed_again() -> None:
    """Otherwise the jobs that begin with them would be waited for without end."""
    run = Run()
    run.until(paths.manifest(1))
    inputs = [job.inputs for job in Manifest.from_json(run.core(paths.manifest(1))).jobs]
    overlays = [paths.checkpoint(0, names[0]) for names in inputs if len(names) == 2]
    for name in overlays:
        del run.store.entries[name]

    assert overlays
    assert run.run() == REFERENCE


def test_a_run_ends_with_its_last_population_complete() -> None:
    """A checkpoint that was lost meanwhile is computed again before the end is published."""
    lost: list[str] = []

    def lose(run: Run, core: Any) -> None:
        for result in Selected.from_json(core).results:
            if result.checkpoint is not None:
                lost.append(paths.checkpoint(3, result.checkpoint))
                del run.store.entries[lost[-1]]

    run = Run({paths.selection(3): lose})
    run.until(paths.FINAL)

    assert lost
    assert set(lost) <= run.store.entries.keys()
