"""Workers that engines of others call end a search with the same bits.

Needs what `make test-engines` installs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from pbtnas.store.identity import process_stat
from tests.docs.test_docs import FENCED, ROOT
from tests.system.site import TASK, Running, Site

pytestmark = pytest.mark.slow

CLUSTERS = ROOT / "docs" / "clusters.md"


def parent_of(pid: int) -> int:
    """The process that has started another one."""
    stat = process_stat(pid)
    assert stat is not None
    return int(stat[1])


def program(site: Site, *command: str) -> Running:
    """A program of another engine, in a session of its own."""
    log = site.directory / "program.txt"
    # The engine's own warnings are none of ours, and each line of each process counts.
    ray = {"RAY_DEDUP_LOGS": "0", "RAY_raylet_start_wait_time_s": "300"}
    environment = {**site.environment, "PYTHONWARNINGS": "", **ray}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    running = Running(process, log)
    site.started.append(running)
    return running


def test_a_ray_cluster_searches_and_restarts_what_is_killed(
    site: Site, reference: dict[str, Any]
) -> None:
    """The example ends with the bits of any run, also when an actor dies while it trains."""
    pytest.importorskip("ray")
    site.plan(1, 2, "hang")
    given = ["--workers", "2", "--task", TASK]
    example = str(ROOT / "examples" / "ray_workers.py")
    running = program(site, example, str(site.config), str(site.run_dir), *given)

    worker = int(running.until_it_says(r"-(\d+)-w-[0-9a-f]{6}: training g0001 m02")[1])
    os.kill(parent_of(worker), signal.SIGKILL)

    assert running.ends() == 0, running.said()
    assert site.outcome() == reference


def test_the_lines_for_dask_search(site: Site, reference: dict[str, Any]) -> None:
    """Those of the page, but for the addresses: two slots of a local cluster end a search, also
    when the process of one is killed."""
    pytest.importorskip("distributed")
    (lines,) = (b for _, b in FENCED.findall(CLUSTERS.read_text()) if "dask.distributed" in b)
    lines = lines.replace('"scheduler:8786"', "LocalCluster(n_workers=2, threads_per_worker=1)")
    lines = lines.replace("import Client", "import Client, LocalCluster")
    lines = lines.replace("range(16)", "range(2)")
    lines = lines.replace('"/shared/runs/digits"', f"{str(site.run_dir)!r}, task={TASK!r}")
    script = site.directory / "search.py"
    script.write_text(lines)
    site.plan(1, 2, "hang")
    coordinator = site.coordinator()
    running = program(site, str(script))

    worker = int(running.until_it_says(r"-(\d+)-w-[0-9a-f]{6}: training g0001 m02")[1])
    os.kill(parent_of(worker), signal.SIGKILL)

    assert running.ends() == 0, running.said()
    assert "[True, True]" in running.said()
    site.started.remove(running)  # Dask may end its cluster with tracebacks of its own
    assert coordinator.ends() == 0
    assert site.outcome() == reference
