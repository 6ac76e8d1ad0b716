"""Says on stderr how far the reading of a long run is."""

from __future__ import annotations

import logging
import time

from pbtnas.analysis.history.run import Told

log = logging.getLogger("pbtnas")

TOLD_S = 5.0  # between two lines, and before the first: a short run is read by then


def reading_told() -> Told:
    """Takes the progress of `History.read`, and tells of it now and then."""
    next_s = time.monotonic() + TOLD_S

    def told(done: int, count: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s and done < count:
            next_s = time.monotonic() + TOLD_S
            log.info("%d of %d generations read", done, count)

    return told
