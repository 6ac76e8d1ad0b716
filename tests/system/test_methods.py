"""A study of every method with shared weights: real processes, killed on the way, that reuse."""

from __future__ import annotations

import json

import pytest

from pbtnas.records import paths
from pbtnas.supernet.methods import METHODS
from tests.system.site import Running, Site, close_site, make_site
from tests.system.test_study import computed, ended
from tests.tasks.test_methods import TINY

GENERATIONS = 3
ENGINE = {"lease_s": 3, "beat_s": 0.2, "poll_s": 0.1, "hang_s": 60, "snapshot_s": 0, "grace_s": 20}


def start(site: Site, *more: str, workers: int) -> Running:
    """The study of this site: each method twice, as runs that have all jobs in common."""
    task = {"name": "supernet", **TINY, "steps_per_epoch": 2}
    search = {"algorithm": "random-search", "population": 1, "generations": GENERATIONS}
    site.config.write_text(json.dumps({"task": task, "search": search | {"epochs": 1},
                                       "engine": ENGINE}))  # fmt: skip
    runs = {f"{m}.{n}": {"task.method": m} for m in METHODS for n in ("first", "second")}
    file = site.directory / "study.yaml"
    file.write_text(json.dumps({"config": site.config.name, "seeds": [1], "runs": runs}))
    scratch = str(site.directory / "scratch")
    command = ("study", str(file), str(site.run_dir), "--workers", str(workers))
    return site.start(*command, "--scratch", scratch, *more)


def results(site: Site) -> int:
    runs = site.run_dir / paths.STUDY_RUNS
    return len(list(runs.glob("*/generations/*/results/*.json")))


@pytest.mark.slow
def test_kills_workers_and_reuse_change_no_fingerprint_of_any_method(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One worker that reuses nothing, and two that do and are killed twice, end the same."""
    alone = make_site(tmp_path_factory.mktemp("alone"))
    undisturbed = start(alone, "--no-reuse", workers=1)
    assert undisturbed.ends() == 0, undisturbed.said()
    close_site(alone)
    for done in (5, 30):
        killed = start(site, workers=2)
        site.until(lambda done=done: results(site) >= done, f"{done} results")
        killed.kill()
    last = start(site, workers=2)

    assert last.ends() == 0, last.said()
    prints = ended(alone)
    assert ended(site) == prints
    assert computed(alone).reused == 0 < computed(site).reused
    for method in METHODS:
        assert prints[f"{method}.first-s1"] == prints[f"{method}.second-s1"]
    assert len(set(prints.values())) == len(METHODS)
