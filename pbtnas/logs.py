"""Where log lines go and how they look: the same for the commands and the training processes."""

from __future__ import annotations

import logging
import sys


def log_to_stderr(*, quiet: bool = False) -> None:
    """Say what happens on stderr, with the time of day; quiet, only what is wrong."""
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
