"""What tests of commands have in common."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from pbtnas.engine.signals import STOP_SIGNALS


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Commands that run in this process leave their signal handlers behind."""
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
