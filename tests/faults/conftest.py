"""Fixtures of the fault cases, and the table that they print."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lab import FaultySite, Lab
from tests.system.site import close_site, make_site

# One libfuse for the mounts and their `fusermount3`.
os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")


def why_not() -> str:
    """Why nothing can be mounted here; "" if it can."""
    if find_spec("mfusepy") is None:
        return "mfusepy is not installed (requirements-dev.txt)"
    if shutil.which("fusermount3") is None or find_library("fuse3") is None:
        return "there is no FUSE 3 here (Debian: apt-get install fuse3)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened here"
    return ""


@pytest.fixture
def lab(tmp_path: Path, record_property: Any) -> Iterator[Lab]:
    """A faulty disk without faults, not yet mounted; afterwards nothing may be left."""
    if why_not():
        pytest.skip(why_not())
    made = make_site(tmp_path / "site")
    site = FaultySite(made.directory, made.directory / "back" / "run", made.environment)
    lab = Lab(site)
    began_s = time.monotonic()
    try:
        yield lab
    finally:
        record_property("seconds", round(time.monotonic() - began_s, 1))
        record_property("faults", dict(lab.struck()))
        try:
            lab.plant()
            close_site(site)
        finally:
            lab.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was done to whom, and how it ended."""
    told_of: dict[str, dict[str, Any]] = {}
    ended: dict[str, str] = {}
    for outcome in ("failed", "error", "passed", ""):  # "" has what passed after a test's end
        for report in terminalreporter.stats.get(outcome, ()):
            told = dict(getattr(report, "user_properties", ()))
            if "seconds" in told:
                told_of.setdefault(report.nodeid, told)
            if outcome:
                ended.setdefault(getattr(report, "nodeid", ""), outcome)
    if not told_of:
        return
    terminalreporter.section("faults")
    terminalreporter.line("| case | outcome | seconds | faults |\n|---|---|---|---|")
    for name, told in sorted(told_of.items()):
        counts = {**told.get("done", {}), **told["faults"]}
        faults = ", ".join(f"{kind} {n}" for kind, n in sorted(counts.items()))
        case = name.partition("::")[2].removeprefix("test_").replace("_", " ")
        outcome = told.get("outcome", "the reference") if ended[name] == "passed" else ended[name]
        terminalreporter.line(f"| {case} | {outcome} | {told['seconds']} | {faults} |")
