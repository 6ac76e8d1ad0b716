"""The term of a coordinator: who takes it, who leaves, and how it is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Dead, Now, Say, Sleep, Stopping
from pbtnas.protocol.term import CoordinatorEnding, Leave, Term
from pbtnas.records import paths
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore

LEASE_S, BEAT_S = 10.0, 1.0


class Candidate:
    """A coordinator on a real directory; time passes only while it sleeps."""

    def __init__(self, root: Path, name: str) -> None:
        self.store = PosixStore(root, name)
        claims = Claims("run0", {"worker": name}, lease_s=LEASE_S, new_nonce=new_nonce)
        self.term = Term(claims, beat_s=BEAT_S, poll_s=BEAT_S)
        self.now_s = 0.0
        self.while_asleep: Callable[[], None] = lambda: None

    def do(self, steps: Any) -> Any:
        return drive(steps, self._execute)

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                self.now_s += seconds
                return self.while_asleep()
            case Stopping():
                return self.now_s > 20 * LEASE_S
            case Dead() | Say():
                return None
        return self.store.execute(operation)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Candidate, Candidate]]:
    (tmp_path / "coordinator").mkdir()
    pair = Candidate(tmp_path, "one"), Candidate(tmp_path, "two")
    yield pair
    for candidate in pair:
        candidate.store.close()


def beats(candidate: Candidate) -> Callable[[], None]:
    def beat() -> None:
        candidate.now_s += BEAT_S
        candidate.do(candidate.term.beat())

    return beat


def test_the_second_leaves_when_it_sees_the_first_live(both: tuple[Candidate, Candidate]) -> None:
    """As soon as a heartbeat changes, not after a lease."""
    one, two = both
    one.do(one.term.take())
    two.while_asleep = beats(one)

    with pytest.raises(Leave) as left:
        two.do(two.term.take())
    assert left.value.ending is CoordinatorEnding.HELD
    assert two.now_s < LEASE_S


def test_the_first_leaves_when_it_was_taken_for_dead(both: tuple[Candidate, Candidate]) -> None:
    """The second takes the term after the lease; the first, awake again, notices at its next
    heartbeat."""
    one, two = both
    one.do(one.term.take())
    two.do(two.term.take())
    assert two.now_s >= LEASE_S

    with pytest.raises(Leave) as left:
        one.do(one.term.beat())
    assert left.value.ending is CoordinatorEnding.SUPERSEDED
    two.do(two.term.beat())


def test_a_term_that_was_given_up_is_taken_at_once(both: tuple[Candidate, Candidate]) -> None:
    """A restarted coordinator need not wait for the silence of the one before."""
    one, two = both
    one.do(one.term.take())
    one.do(one.term.end())
    two.do(two.term.take())

    assert two.now_s == 0.0
    assert two.store.published(paths.claim(paths.TERM, 2))
