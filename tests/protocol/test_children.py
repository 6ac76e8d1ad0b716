"""Children and their overlays: whose birth counts, and what may be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol.children import Children, Mix, Mixed
from pbtnas.protocol.operations import MakeGeneration, Say, Sleep
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Child, Job, Result, Selected
from pbtnas.search.births import Birth
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore

RUN = "run0"
BIRTH = Birth(1, 0, 2, (0,), (1,), 7, 0.2, 0.1)
SELECTED = Selected(
    generation=0,
    manifest="m",
    ranking=(0, 2, 1),
    births=(BIRTH,),
    results=tuple(Result(m, "ok", -float(m), {}, f"c{m}") for m in range(3)),
)


class Nursery:
    """A run directory, and a coordinator whose mixing comes to what a test wants."""

    def __init__(self, root: Path) -> None:
        (root / "generations").mkdir()
        self.store = PosixStore(root, "me")
        self.store.execute(MakeGeneration(0))
        self.children = Children(RUN, self.record)
        self.overlay = "mine"
        self.while_mixing: Callable[[], None] = lambda: None

    def record(
        self, kind: str, core: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> Record:
        return Record(kind, RUN, core, meta or {}, new_nonce())

    def put(self, name: str, record: Record) -> None:
        self.store.put(name, encode(record))

    def do(self, steps: Any) -> Any:
        return drive(steps, self._execute)

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Mix():
                self.while_mixing()
                (self.store.root / ".tmp-mixed").write_text(self.overlay)
                return Mixed(".tmp-mixed", self.overlay, {})
            case Sleep() | Say():
                return None
        return self.store.execute(operation)


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    made = Nursery(tmp_path)
    yield made
    made.store.close()


def test_the_first_birth_counts(nursery: Nursery) -> None:
    """Two coordinators mix at the same time, on machines that round differently: both go on with
    the child whose birth was published first."""
    theirs = Child(1, overlay="theirs", base="c0")

    def meanwhile() -> None:
        nursery.put(paths.birth(0, 1), nursery.record("birth", theirs.to_json()))

    nursery.while_mixing = meanwhile

    assert nursery.do(nursery.children.child(BIRTH, SELECTED)) == theirs


def test_a_lost_overlay_is_mixed_again_only_to_the_same_bits(nursery: Nursery) -> None:
    """Its name must not hold anything else: a job that began with it would be another job."""
    nursery.put(paths.selection(0), nursery.record("selection", SELECTED.to_json()))
    job = Job(1, 1, (1,), ("theirs", "c0"), 3, 1, 1)
    restore = nursery.children.restore_overlays
    overlay = nursery.store.root / paths.checkpoint(0, "theirs")

    nursery.do(restore((job,)))
    assert not overlay.exists()

    nursery.overlay = "theirs"
    nursery.do(restore((job,)))
    assert overlay.read_text() == "theirs"
