"""The paper's three searches with nothing made smaller: real jobs, of a few hundred frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pbtnas.config import load, parse
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, copy_of, evaluate, train
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.drqv2.task import DrQV2Task
from tests.models.drqv2 import drqv2_architecture

CONFIGS = Path(__file__).parents[2] / "configs/rl"
JOB = 200  # frames
SEED = 392  # frames before the first update: 4 updates at the end of the second job

ENCODER = 30368
TRUNK = 53792 * 50 + 50 + 100  # linear layer and layer norm
HIDDEN = 51 * 1024 + 1024 * 1025  # both hidden layers of the actor
"""Numbers of parameters of DrQ-v2's own networks; see tests/models/test_drqv2.py."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "actions", "batch", "shared"),
    [
        ("walker_run", 6, 512, True),
        ("quadruped_run", 12, 256, False),
        ("humanoid_run", 21, 256, True),
    ],
)
def test_published_networks_train_a_real_job(
    config: str, actions: int, batch: int, shared: bool, tmp_path: Path
) -> None:
    """Two jobs and a score with the published frames, batches and widths: everybody learns."""
    pytest.importorskip("dm_control")
    published = parse(DrQV2Options, load(CONFIGS / f"{config}.yaml").task.options, "task")
    assert (published.size, published.hidden, published.batch_size) == (84, 1024, batch)
    options = replace(
        published, frames_per_epoch=JOB, seed_frames=SEED, random_steps=50, eval_episodes=1
    )
    task = DrQV2Task(options)
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create(drqv2_architecture(task.space), 1)
    networks = trainee.agent.networks
    sizes = {name: sum(p.numel() for p in n.parameters()) for name, n in networks.named_children()}
    assert sizes["encoder"] == ENCODER
    assert sizes["actor"] == TRUNK + HIDDEN + 1025 * actions
    assert sizes["critic"] == TRUNK + 2 * ((51 + actions) * 1024 + 1024 * 1025 + 1025)

    train(trainee, 1, Rehearsal(tmp_path, seed=1))
    acted = copy_of(trainee.state())
    train(trainee, 1, Rehearsal(tmp_path, seed=2))
    learned = trainee.state()
    evaluation = evaluate(trainee, Rehearsal(tmp_path, seed=3))

    assert learned.info["steps"] == 2 * JOB // published.action_repeat
    for name, tensor in learned.live.items():
        assert torch.isfinite(tensor).all(), name
        if name.endswith("weight"):
            assert not torch.equal(tensor, acted.live[name]), f"{name} did not learn"
    assert 0 <= evaluation.score <= 1000
    assert evaluation.metrics["episode_length"] == 500
    (root,) = (tmp_path / "drqv2").iterdir()
    assert (root / "shared").is_dir() == shared
