"""Fixtures for tests of every folder: real processes, and what can render here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from pbtnas.engine.signals import STOP_SIGNALS
from pbtnas.records import paths
from pbtnas.rl.rendering import NoRenderer, choose_renderer
from tests.system.site import Site, close_site, make_site

# A shell ignores SIGINT for what it starts with "&", and nohup SIGHUP: processes here would, too.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler)


LONGEST = ("tests/simulation/", "tests/system/", "tests/study/", "tests/engine/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process of `make test` ends alone with it."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True)
def arithmetic_as_it_was() -> Iterator[None]:
    """Threads, determinism and precision are the process's: no test leaves them to the next."""
    deterministic: Any = torch.utils.deterministic
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = deterministic.fill_uninitialized_memory
    convolutions = torch.backends.cudnn.allow_tf32
    products = torch.backends.cuda.matmul.allow_tf32
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    deterministic.fill_uninitialized_memory = filled
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cuda.matmul.allow_tf32 = products


@pytest.fixture(autouse=True)
def module_paths_as_they_were() -> Iterator[None]:
    """Loading a task file lets its folder be imported from; the next test has another `mine.py`."""
    kept = list(sys.path)
    yield
    sys.path[:] = kept


@pytest.fixture(autouse=True)
def signal_handlers_as_they_were() -> Iterator[None]:
    """Commands that run in this process leave their signal handlers behind."""
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for one run; afterwards no process may be left, however the test ended them."""
    made = make_site(tmp_path / "site")
    yield made
    close_site(made)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the run that nobody disturbed, done by one worker, once for all processes
    of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # of this session, as the root of each of its processes is
    with FileLock(root / "reference.lock"):
        made = make_site(root / "reference-run")
        if not made.has(paths.FINAL):
            run = made.run(1)
            assert run.ends() == 0, run.said()
            close_site(made)
    return made.outcome()


@pytest.fixture(scope="session")
def renderer() -> str:
    """What renders here; tests that ask for it are skipped where nothing does."""
    if find_spec("dm_control") is None:
        pytest.skip("dm_control is not installed")
    if os.environ.get("MUJOCO_GL") in ("disable", "disabled", "off"):
        pytest.skip("MUJOCO_GL switches rendering off")
    try:
        return choose_renderer()
    except NoRenderer as error:
        pytest.skip(str(error))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, for what does not look at them."""
    for name in ("run_figures", "study_figures"):
        monkeypatch.setattr(f"pbtnas.analysis.report.page.{name}", lambda *_, **__: {})
