"""Why members have no score, in words that fit a log."""

from __future__ import annotations

from pbtnas.records.causes import cause, nobody_left
from pbtnas.records.schema import Result

FAILED = Result(0, "failed", None, {}, None)


def test_a_text_of_any_length_stays_a_line_of_a_log() -> None:
    """An exception may say ten thousand characters; all of them are in the record."""
    why = cause(FAILED, {"class": "error", "traceback": f"frames\nValueError: {'x' * 10_000}\n"})

    assert why.startswith("failed: error: ValueError: xxx") and why.endswith("x...")
    assert len(nobody_left(0, [why] * 4)) < 700
