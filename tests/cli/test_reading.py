"""Whoever waits for a long run to be read sees how far that is."""

from __future__ import annotations

import logging
import time
from itertools import count

import pytest

from pbtnas.cli.reading import TOLD_S, reading_told


def test_a_long_reading_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A line every few seconds, and none of a run that is read at once."""
    seconds = count()
    monkeypatch.setattr(time, "monotonic", lambda: 0.9 * TOLD_S * next(seconds))
    with caplog.at_level(logging.INFO, "pbtnas"):
        told = reading_told()
        told(0, 3)
        assert caplog.messages == []
        for done in (1, 2, 3):
            told(done, 3)
    assert caplog.messages == ["1 of 3 generations read"]
