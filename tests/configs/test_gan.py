"""The experiments of configs/gan: they load, and say what the paper did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.config import Config, load, parse
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.gan.task import GanTask

CONFIGS = Path(__file__).parents[2] / "configs" / "gan"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
EXPERIMENTS = [name for name in NAMES if not name.startswith("base_")]


def read(name: str) -> tuple[Config, GanOptions]:
    """A configuration and its task's options, both checked."""
    config = load(CONFIGS / f"{name}.yaml")
    return config, parse(GanOptions, config.task.options, "task", config.task.places)


@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_one(name: str) -> None:
    """It loads, its options fit the task, and the task can be made of them."""
    config, options = read(name)

    assert config.task.name == "gan"
    assert len(GanTask(options).space) == (21 if options.space == "gan" else 72)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_header_begins_with_the_command(name: str) -> None:
    """Who opens the file sees how to run it."""
    first = (CONFIGS / f"{name}.yaml").read_text().splitlines()[0]

    assert f"pbtnas run configs/gan/{name}.yaml runs/" in first


@pytest.mark.parametrize(
    ("name", "space", "population", "width", "batch_size"),
    [
        ("c10_gan", "gan", 24, 256, 40),
        ("c10_gan_hard", "gan-hard", 24, 256, 40),
        ("c10_gan_hard_12", "gan-hard", 12, 256, 40),
        ("c10_gan_hard_36", "gan-hard", 36, 256, 40),
        ("stl10_gan", "gan", 24, 270, 128),
        ("stl10_gan_hard", "gan-hard", 24, 270, 128),
    ],
)
def test_experiments_are_those_of_the_paper(
    name: str, space: str, population: int, width: int, batch_size: int
) -> None:
    """Thirty generations of ten epochs, the recipe of section 4, and no faster arithmetic."""
    config, options = read(name)

    search = config.search
    assert (search.population, search.generations, search.epochs) == (population, 30, 10)
    assert (options.space, options.width, options.batch_size) == (space, width, batch_size)
    assert options.generator_batch_size == 2 * batch_size
    assert (options.learning_rate, options.betas, options.adam_eps) == (2e-4, (0.0, 0.9), 1e-4)
    assert (options.discriminator_steps, options.ema_decay) == (5, 0.999)
    assert (options.images, options.final_images) == (5_000, 50_000)
    assert options.extractor == "inception"
    assert options.steps_per_epoch is None and options.reference_images is None
    assert not (options.bf16 or options.channels_last or options.fused or options.compile)
    assert not options.tf32


def test_the_small_config_is_small() -> None:
    """What its header computes: 40 jobs of 200 steps."""
    config, options = read("cpu")

    assert config.search.population * config.search.generations == 40
    assert (options.steps_per_epoch or 0) * config.search.epochs == 200
    assert options.extractor == "fd-lite0"
