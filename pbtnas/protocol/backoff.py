"""How often and how long to wait between tries at something that may come back."""

from __future__ import annotations

from collections.abc import Iterator

TRIES = 7  # at a file that cannot be read, within seven seconds, before it is given up


def backoff(first_s: float = 0.1, longest_s: float = 10.0) -> Iterator[float]:
    """Pauses between tries: each is twice the one before, up to the longest."""
    while True:
        yield first_s
        first_s = min(2 * first_s, longest_s)
