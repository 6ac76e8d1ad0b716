"""A coordinator and the records of others: what it adopts, and what it refuses to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pbtnas.protocol.coordinator import BrokenChain
from pbtnas.protocol.operations import Put
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.schema import Manifest, Selected
from tests.simulation.store import Entry
from tests.simulation.world import RUN, World


class Run(World):
    """A calm run in the simulation, in which a neighbour publishes some records first.

    Args:
        theirs: What the neighbour makes of a record's core, by name.
    """

    def __init__(self, theirs: Mapping[str, Any] | None = None) -> None:
        self.theirs = dict(theirs or {})
        super().__init__(0, swarm=False)

    def carry_out(self, actor: Any, operation: Any) -> Any:
        if isinstance(operation, Put) and operation.name in self.theirs:
            record = decode(operation.data, operation.name, kind=self.kind(operation.name))
            self.put(operation.name, self.theirs.pop(operation.name)(record.core))
        return super().carry_out(actor, operation)

    def put(self, name: str, core: Any) -> None:
        record = Record(self.kind(name), RUN, core, {}, "neighbour")
        self.store.entries[name] = Entry(encode(record), durable=True)

    def core(self, name: str) -> Any:
        return decode(self.store.entries[name].content, name, kind=self.kind(name)).core

    def kind(self, name: str) -> str:
        return name.rpartition("/")[2].removesuffix(".json")

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

    def other(core: Mapping[str, Any]) -> Any:
        return replace(Selected.from_json(core), births=()).to_json()

    run = Run({paths.selection(0): other})
    run.until(paths.manifest(1))

    stored = Record("selection", RUN, run.core(paths.selection(0)))
    assert stored.core["births"] == []
    assert run.core(paths.manifest(1))["previous"] == stored.digest


def test_a_coordinator_goes_on_from_the_manifest_that_was_first() -> None:
    """Its jobs are those that workers do, and the selection after it names it."""

    def other(core: Mapping[str, Any]) -> Any:
        return replace(Manifest.from_json(core), config=1).to_json()

    run = Run({paths.manifest(1): other})
    run.until(paths.selection(1))

    stored = Record("manifest", RUN, run.core(paths.manifest(1)))
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
