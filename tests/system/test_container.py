"""A worker as the only process of a container: process 1 of its namespace."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from pbtnas.errors import ExitCode
from tests.system.site import Site

APART = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_a_worker_that_is_process_1_hands_back_when_its_container_is_stopped(
    site: Site,
) -> None:
    """The kernel ignores a signal that process 1 does not handle, and kills all that is left with
    it: SIGTERM ends it with 75 and its job released, within the grace."""
    site.coordinator()
    container = site.worker(prefix=APART, PBTNAS_TEST_STEP_S="0.2")
    member = int(container.until_it_says(r"training g0000 m(\d+)")[1])
    outer = container.process.pid
    (first,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    assert Path(f"/proc/{first}/status").read_text().count("\t1\n")  # NSpid ends with 1

    os.kill(int(first), signal.SIGTERM)

    assert container.ends() == ExitCode.STOPPED, container.said()
    assert not site.training_processes()
    (end,) = site.ends(0, member)
    assert end["class"] == "released"
