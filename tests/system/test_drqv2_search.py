"""A search of agents by the engine itself, killed and resumed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbtnas.records import paths
from tests.system.site import Site, close_site, make_site

CONFIG = """
task:
  name: drqv2
  environment: cartpole_swingup
  observations: state
  action_repeat: 10  # an episode is 100 steps
  frames_per_epoch: 1000
  batch_size: 16
  update_every: 1
  random_steps: 50
  seed_frames: 1000
  hidden: 16
  replay_capacity: 250  # so that episodes are evicted
  eval_episodes: 1
search:
  population: 3
  generations: 2
  first_epochs: 2
  epochs: 2
engine:
  snapshot_s: 1
"""
LONG_S = 1500  # on a busy machine; ten seconds a process and a job on an idle one


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Site]:
    """A directory for a run and its processes; they are gone in the end."""
    site = make_site(directory)
    site.config.write_text(CONFIG)
    try:
        yield site
    finally:
        close_site(site)


def search(site: Site, workers: int) -> None:
    """Start the search, or go on with it."""
    scratch = str(site.directory / "scratch")
    command = ("run", str(site.config), str(site.run_dir), "--scratch", scratch)
    site.start(*command, "--workers", str(workers), PYTHONWARNINGS="default")


def kill_in(site: Site, generation: int) -> None:
    """SIGKILL to every process of the search, with an agent in the middle of a job."""
    attempts = site.run_dir / paths.attempts(generation)
    site.until(lambda: list(attempts.glob("*/snapshot-*")), "a snapshot", LONG_S)
    for pid in site.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert site.started[-1].ends() != 0


@pytest.mark.slow
def test_kills_and_the_number_of_workers_change_no_bit(tmp_path: Path) -> None:
    """Networks, moments, environment, episode and private replay buffer come back as they were."""
    pytest.importorskip("dm_control")
    fingerprints = []
    for workers, kills in ((1, 0), (2, 2)):
        with opened(tmp_path / str(workers)) as site:
            for generation in range(kills):
                search(site, workers)
                kill_in(site, generation)
            search(site, workers)

            site.until(lambda: site.has(paths.FINAL), "the end of the search", LONG_S)
            assert site.started[-1].ends() == 0, site.started[-1].said()
            fingerprints.append(site.record(paths.FINAL, "final").core["fingerprint"])

    assert fingerprints[0] == fingerprints[1]
