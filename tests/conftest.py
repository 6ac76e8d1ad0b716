"""Fixtures of real processes, for every test that starts some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.site import Site, close_site, make_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for one run; afterwards no process may be left, however the test ended them."""
    made = make_site(tmp_path / "site")
    yield made
    close_site(made)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the run that nobody disturbed, done by one worker."""
    made = make_site(tmp_path_factory.mktemp("reference"))
    coordinator, worker = made.coordinator(), made.worker()
    assert (coordinator.ends(), worker.ends()) == (0, 0), coordinator.said() + worker.said()
    close_site(made)
    outcome = made.outcome()
    return outcome
