"""Claims as seen by one observer: free, held, ended, silent, and beats that are torn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.engine.driver import drive
from pbtnas.protocol import operations
from pbtnas.protocol.claims import Claims
from pbtnas.records import paths
from pbtnas.records.heartbeat import BEAT_LENGTH, Heartbeat
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore

LEASE_S = 10.0
SLOT = "claims/m07"


class Observer:
    """Claims on a real directory, with a clock that moves when told."""

    def __init__(self, root: Path, name: str) -> None:
        self.store = PosixStore(root, name)
        self.claims = Claims("run0", {"worker": name}, lease_s=LEASE_S, new_nonce=new_nonce)
        self.now_s = 0.0
        self.dead: set[str] = set()

    def do(self, steps: Any) -> Any:
        return drive(steps, self._execute)

    def _execute(self, operation: Any) -> Any:
        match operation:
            case operations.Now():
                return self.now_s
            case operations.Dead(holder):
                return holder["worker"] in self.dead
        return self.store.execute(operation)

    def take(self) -> int | None:
        taken: int | None = self.do(self.claims.take(SLOT))
        return taken

    def beat(self, attempt: int, counter: int) -> None:
        self.store.execute(
            operations.WriteHeartbeat(paths.beat(SLOT, attempt), Heartbeat(counter).encode())
        )


@pytest.fixture
def observers(tmp_path: Path) -> Iterator[tuple[Observer, Observer]]:
    (tmp_path / "claims").mkdir()
    pair = Observer(tmp_path, "one"), Observer(tmp_path, "two")
    yield pair
    for observer in pair:
        observer.store.close()


def test_a_free_slot_is_taken_once(observers: tuple[Observer, Observer]) -> None:
    """The second to come sees it held, and by whom."""
    one, two = observers

    assert one.take() == 1
    assert two.take() is None
    assert two.do(two.claims.holder(SLOT, 1)) == {"worker": "one"}
    assert two.do(two.claims.holder(SLOT, 2)) is None


def test_of_two_that_saw_a_slot_free_one_takes_it(observers: tuple[Observer, Observer]) -> None:
    """Between its look and its publish another was quicker: it has lost, and knows it."""
    one, two = observers
    steps = two.claims.take(SLOT)
    operation = next(steps)
    while not isinstance(operation, operations.Put):
        operation = steps.send(two._execute(operation))
    assert one.take() == 1

    with pytest.raises(StopIteration) as ended:
        steps.send(two._execute(operation))
    assert ended.value.value is None


def test_a_claim_that_ended_is_free_at_once(observers: tuple[Observer, Observer]) -> None:
    """A job put back is taken again under the next number."""
    one, two = observers
    one.take()
    one.do(one.claims.end(SLOT, 1, {"class": "released"}))

    assert two.take() == 2
    assert one.take() is None


def test_a_silent_claim_is_free_after_the_lease(observers: tuple[Observer, Observer]) -> None:
    """Only the observer's own clock counts, from its own first look."""
    one, two = observers
    one.take()
    two.now_s = 1000.0
    assert two.take() is None
    two.now_s += LEASE_S - 0.1
    assert two.take() is None
    two.now_s += 0.2
    assert two.take() == 2


def test_a_beating_claim_stays_held(observers: tuple[Observer, Observer]) -> None:
    """Every change of the heartbeat begins a new lease, even one that cannot be read."""
    one, two = observers
    one.take()
    for counter in range(5):
        one.beat(1, counter)
        assert two.take() is None
        two.now_s += LEASE_S - 0.1
    assert two.do(two.claims.moved(SLOT, 1))
    one.store.execute(operations.WriteHeartbeat(paths.beat(SLOT, 1), b"torn"))
    assert two.take() is None
    two.now_s += LEASE_S + 0.1
    assert two.take() == 2


def test_the_claim_of_the_dead_is_free_at_once(observers: tuple[Observer, Observer]) -> None:
    """A holder that provably ended on this machine need not be waited for."""
    one, two = observers
    one.take()
    two.dead.add("one")

    assert two.take() == 2


def test_a_damaged_claim_waits_for_its_lease(
    observers: tuple[Observer, Observer], tmp_path: Path
) -> None:
    """Nobody is known to hold it, but somebody may; its number stays used."""
    one, two = observers
    one.take()
    (tmp_path / paths.claim(SLOT, 1)).write_bytes(b"torn")

    assert two.take() is None
    two.now_s += LEASE_S
    assert two.take() == 2


@given(
    counter=st.integers(0, 10**9),
    done=st.integers(0, 10**9),
    phase=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])),
)
def test_beats_have_one_length_and_come_back(counter: int, done: int, phase: str) -> None:
    """Fixed length, so that they are overwritten in place; long words are cut."""
    data = Heartbeat(counter, done, phase).encode()
    found = Heartbeat.decode(data)

    assert len(data) == BEAT_LENGTH
    assert found is not None
    assert (found.counter, found.done) == (counter, done)
    assert phase.startswith(found.phase.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_torn_beats_are_none() -> None:
    """Half of one beat and half of the next, a cut, and garbage."""
    old, new = Heartbeat(1, 10, "training").encode(), Heartbeat(2, 20, "training").encode()

    assert Heartbeat.decode(new[:60] + old[60:]) is None
    assert Heartbeat.decode(new[:-1]) is None
    assert Heartbeat.decode(b"") is None
