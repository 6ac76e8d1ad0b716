"""Waiting for a directory that cannot be written: for what, for how long, and in which words."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest

from pbtnas.store.patience import FORBIDDEN, UNWRITABLE, patiently


class Flaky:
    """Fails with these errors, one after the other, then succeeds; notes pauses and reports."""

    def __init__(self, *numbers: int, file: str | None = None) -> None:
        self.left = list(numbers)
        self.file = file
        self.pauses: list[float] = []
        self.said: list[str] = []

    def act(self) -> str:
        if self.left:
            number = self.left.pop(0)
            raise OSError(number, os.strerror(number), self.file)
        return "done"


def test_what_cannot_be_written_for_a_while_is_tried_again() -> None:
    """Every failure is reported with the file, or else with the directory; then that it works."""
    flaky = Flaky(*UNWRITABLE)
    named = Flaky(errno.ENOSPC, file="/run/x")

    for each in (flaky, named):
        done = patiently(each.act, Path("/run"), wait=each.pauses.append, report=each.said.append)
        assert done == "done"

    assert flaky.said == [*(f"/run: {os.strerror(number)}" for number in UNWRITABLE), ""]
    assert named.said == ["/run/x: No space left on device", ""]


def test_pauses_grow_and_end() -> None:
    """A short trouble costs little, a long one is not asked about all the time."""
    flaky = Flaky(*[errno.ENOSPC] * 12)
    patiently(flaky.act, Path("/run"), wait=flaky.pauses.append, report=flaky.said.append)

    assert flaky.pauses[:3] == [0.1, 0.2, 0.4]
    assert max(flaky.pauses) == flaky.pauses[-1] == 10.0
    assert all(a <= b for a, b in itertools.pairwise(flaky.pauses))


def test_nothing_is_said_where_nothing_fails() -> None:
    """Success at once reports no recovery."""
    flaky = Flaky()
    patiently(flaky.act, Path("/run"), wait=flaky.pauses.append, report=flaky.said.append)

    assert (flaky.pauses, flaky.said) == ([], [])


@pytest.mark.parametrize("number", [errno.ENOENT, *FORBIDDEN])
def test_other_errors_and_refused_ones_are_raised(number: int) -> None:
    """Waiting would not help a wrong path; a caller may refuse to wait for a permission."""
    flaky = Flaky(number)
    with pytest.raises(OSError, match=os.strerror(number)):
        patiently(
            flaky.act,
            Path("/run"),
            wait=flaky.pauses.append,
            report=flaky.said.append,
            refuse=FORBIDDEN,
        )

    assert (flaky.pauses, flaky.said) == ([], [])


def test_what_the_wait_raises_ends_it() -> None:
    """So a process that is asked to stop leaves a full disk."""

    def stop(seconds: float) -> None:
        raise InterruptedError

    flaky = Flaky(errno.ENOSPC)
    with pytest.raises(InterruptedError):
        patiently(flaky.act, Path("/run"), wait=stop, report=flaky.said.append)
