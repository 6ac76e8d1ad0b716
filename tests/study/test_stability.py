"""The study of configs/study/stability.yaml in small: made images, 4 channels, one cell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NETWORKS = """\
task:
  name: {name}
  width: 4
  cells: 1
  stem_factor: 1
  data: gratings
  side: 8
  held_out: 200
  validation_images: 100
  batch_size: 16
  steps_per_epoch: 8
  schedule_epochs: 2
  learning_rate: 0.03
"""

SHARED = """\
  dense_rows: 4
search: {algorithm: random-search, population: 1, generations: 2, epochs: 1}
"""

ALONE = """\
search: {algorithm: random-search, start: every, population: 64, generations: 1, epochs: 2}
"""

STUDY = """\
config: shared.yaml
seeds: [1, 2]
runs:
  ground-truth: {config: alone.yaml}
  shuffled: {task.order: reshuffled, task.init_seed: 0, task.data_seed: 0}
  similar-4:
    task.sharing: groups
    task.groups: 4
    task.grouping: similar
    search.population: 4
  random-search:
    config: alone.yaml
    search.start: stratified
    search.population: 4
"""


def pbtnas(*arguments: object) -> str:
    command = [sys.executable, "-m", "pbtnas", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_study_of_shared_weights_is_compared_and_drawn(tmp_path: Path) -> None:
    """Every arm stands beside ground truth and baselines, and has its figures."""
    (tmp_path / "shared.yaml").write_text(NETWORKS.format(name="supernet") + SHARED)
    (tmp_path / "alone.yaml").write_text(NETWORKS.format(name="cell64") + ALONE)
    (tmp_path / "study.yaml").write_text(STUDY)
    root, figures = tmp_path / "study", tmp_path / "figures"

    pbtnas("study", tmp_path / "study.yaml", root, "--workers", 2)
    told = pbtnas("compare", root, "--ranks", "ground-truth")
    steps = ("--finetune", 2, "--at", "0,2")
    rated = pbtnas(
        "subnets", root / "runs" / "shuffled-s1", *steps, "--truth", root / "runs/ground-truth-s1"
    )
    pbtnas("plot", root, "-o", figures)

    for words in ("shuffled", "similar-4", "Mean-4", "fewest weightless", "random-search"):
        assert words in told
    assert "true rank" in rated and "after 2" in rated
    drawn = {file.stem for file in figures.glob("*.png")}
    last = {"last-steps-shuffled", "last-steps-similar-4"}
    assert {"stability", "rank-boxes", "finetune", "sharing", *last} <= drawn
