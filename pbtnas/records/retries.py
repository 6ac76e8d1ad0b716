"""Finds the result of a job that was tried again: that of its last try."""

from __future__ import annotations

from collections.abc import Callable

from pbtnas.records.envelope import Record


def last_try(read: Callable[[int], Record | None]) -> tuple[Record | None, int]:
    """The result of a job, or of its last retry, and which retry that is; None if there is none.

    Only a job that has failed is tried again.  `protocol.reading.result_of` is the same in steps.

    Args:
        read: Gives the result of that retry, 0 for the job itself; None if it is absent.
    """
    record, retry = read(0), 0
    while record is not None and record.core["outcome"] == "failed":
        following = read(retry + 1)
        if following is None:
            break
        record, retry = following, retry + 1
    return record, retry
