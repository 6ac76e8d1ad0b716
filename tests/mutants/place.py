"""A private copy of the repository, in which one mutant at a time is tried."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant, Outdated

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (".*", "__pycache__")
LEFT_OUT_AT_THE_TOP = ("runs", "data", "build", "dist", "*.egg-info")
TIMEOUT_S = 600.0  # of the tests of one mutant; one that hangs is caught
_FAILED = 1  # what pytest exits with when a test failed, and nothing else
_NOT_IMPORTED = 90
_IMPORT_AND_TEST = f"""
import importlib, sys, traceback
try:
    importlib.import_module(sys.argv[1])
except Exception:
    traceback.print_exc()
    sys.exit({_NOT_IMPORTED})
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Args:
        mutant: The mutant.
        caught: Whether a test noticed it.
        seconds: Time that its tests took.
        by: Test that noticed it, or another reason.
    """

    mutant: Mutant
    caught: bool
    seconds: float
    by: str


class Place:
    """A copy of the repository.

    Args:
        directory: An empty directory for it.
    """

    def __init__(self, directory: Path) -> None:
        self._running: subprocess.Popen[str] | None = None
        self._root = directory / "repository"
        shutil.copytree(ROOT, self._root, ignore=_left_out)
        # Compiled files are compared by content: mutants of one size in one second look alike.
        compiled = ("-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "pbtnas")
        self._python(*compiled, writing=True)
        imported = self._python("-c", "import pbtnas; print(pbtnas.__file__)").stdout.strip()
        assert Path(imported).is_relative_to(self._root), f"{imported} would be tested"

    def tests_pass(self, tests: Collection[str], processes: int) -> str:
        """Nothing if these tests pass as the code is, else the end of what pytest said."""
        parallel = ("-n", str(processes), "--dist", "loadfile")
        done = self._pytest("pbtnas", *sorted(tests), *parallel)
        return "" if done.returncode == 0 else done.stdout[-3000:]

    def try_out(self, mutant: Mutant) -> Verdict:
        """Apply a mutant, run its tests, and take it back.

        Raises `Outdated` when it does not apply, cannot be imported, or leaves pytest without
        tests to run: none of that is noticing.
        """
        path = self._root / mutant.file
        original = path.read_text()
        path.write_text(mutant.apply(original))
        began_s = time.monotonic()
        try:
            done = self._pytest(mutant.module, *mutant.tests, "-x")
        except subprocess.TimeoutExpired:
            return Verdict(mutant, True, time.monotonic() - began_s, "its tests hang")
        finally:
            path.write_text(original)
        if done.returncode == _NOT_IMPORTED:
            raise Outdated(f"{mutant.name}: cannot be imported:\n{done.stdout[-3000:]}")
        if done.returncode not in (0, _FAILED):
            raise Outdated(f"{mutant.name}: its tests could not be run:\n{done.stdout[-3000:]}")
        caught = done.returncode == _FAILED
        return Verdict(mutant, caught, time.monotonic() - began_s, _failed(done.stdout))

    def _pytest(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Import a module and run tests.  Raises `subprocess.TimeoutExpired`."""
        options = ("-q", "-rfE", "-m", "not gpu", "-p", "no:cacheprovider", "--hypothesis-seed=0")
        return self._python("-c", _IMPORT_AND_TEST, module, *options, *arguments)

    def _python(self, *arguments: str, writing: bool = False) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy.  Raises `subprocess.TimeoutExpired`, having ended it."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._root),
            "PYTHONDONTWRITEBYTECODE": "" if writing else "1",
            "OMP_NUM_THREADS": "1",
        }
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as process:
            self._running = process
            try:
                said, _ = process.communicate(timeout=TIMEOUT_S)
            finally:
                self.end()
                self._running = None
        return subprocess.CompletedProcess(arguments, process.returncode, said)

    def end(self) -> None:
        """End what runs here, and its children."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)


def _left_out(directory: str, names: list[str]) -> set[str]:
    patterns = (*LEFT_OUT, *LEFT_OUT_AT_THE_TOP) if Path(directory) == ROOT else LEFT_OUT
    return shutil.ignore_patterns(*patterns)(directory, names)


def _failed(said: str) -> str:
    """The first test that failed, from pytest's summary."""
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("FAILED", "ERROR"):
            return rest.partition(" - ")[0]
    return ""
