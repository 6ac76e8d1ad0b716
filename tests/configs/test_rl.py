"""The configurations of configs/rl: they load, and the paper's are the paper's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.config import Config, load, parse
from pbtnas.tasks.drqv2.options import DrQV2Options

CONFIGS = Path(__file__).parents[2] / "configs" / "rl"
PAPER = {
    "quadruped_run": (12, 3.6e7, 22),
    "quadruped_run_n6": (6, 1.8e7, 22),
    "quadruped_run_n18": (18, 5.4e7, 22),
    "walker_run": (12, 3.6e7, 22),
    "humanoid_run": (12, 1.8e8, 14),
}
"""Members, frames in all, and selections."""


def loaded(name: str) -> tuple[Config, DrQV2Options]:
    """A configuration, and the options of its task."""
    config = load(CONFIGS / f"{name}.yaml")
    assert config.task.name == "drqv2"
    return config, parse(DrQV2Options, config.task.options, "task", config.task.places)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_loads_and_its_header_has_the_command(path: Path) -> None:
    """Also its task's options; `base` is not there to be run."""
    loaded(path.stem)

    command = f"pbtnas run configs/rl/{path.name} "
    assert path.stem == "base" or command in path.read_text().splitlines()[0]


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_runs_have_its_members_frames_and_selections(name: str) -> None:
    """Selections are the generations but the last, without those that are skipped."""
    config, options = loaded(name)
    search = config.search
    members, frames, selections = PAPER[name]

    epochs = sum(search.epochs_of(g) for g in range(search.generations))
    assert search.population == members
    assert members * epochs * options.frames_per_epoch == frames
    assert search.generations - 1 - len(search.skip_selection) == selections


def test_the_first_half_of_quadruped_selects_every_twenty_epochs() -> None:
    """After 20, 40, ..., 140 epochs, then after 150, 160, ..., 290."""
    search = loaded("quadruped_run")[0].search

    after = [
        10 * (generation + 1)
        for generation in range(search.generations - 1)
        if generation not in search.skip_selection
    ]

    assert after == [*range(20, 150, 20), *range(150, 300, 10)]


def test_the_tasks_differ_as_published() -> None:
    """Batch, n-step, learning rate, schedule and buffer of the three tasks."""
    table = {
        name: (o.batch_size, o.nstep, o.learning_rate, o.stddev_steps, o.replay, o.replay_capacity)
        for name in ("quadruped_run", "walker_run", "humanoid_run")
        for o in [loaded(name)[1]]
    }

    assert table == {
        "quadruped_run": (256, 3, 1e-4, 500_000, "private", 100_000),
        "walker_run": (512, 1, 1e-4, 500_000, "shared", 1_000_000),
        "humanoid_run": (256, 3, 8e-5, 2_000_000, "shared", 1_000_000),
    }


@pytest.mark.parametrize(("name", "replaced"), [("n6", 2), ("n18", 4)])
def test_other_populations_replace_as_many_as_published(name: str, replaced: int) -> None:
    """Two of six, four of eighteen; as many may be parents."""
    search = loaded(f"quadruped_run_{name}")[0].search

    assert (search.parents, search.replaced) == (replaced, replaced)
