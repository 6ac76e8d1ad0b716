"""GPU hours in the headers of configurations: arithmetic from what an H100 did, in docs/gpu.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pbtnas.config import Config, load, load_study, parse
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.gan.options import GanOptions

ROOT = Path(__file__).parents[2]
GANS = ["c10_gan", "c10_gan_hard", "c10_gan_hard_12", "c10_gan_hard_36", "stl10_gan"]
AGENTS = ["humanoid_run", "quadruped_run", "quadruped_run_n6", "quadruped_run_n18", "walker_run"]
RUNS = [*(f"gan/{name}" for name in (*GANS, "stl10_gan_hard")), *(f"rl/{n}" for n in AGENTS)]
STUDIES = ["figure3", "figure4", "table1", "table2", "table3", "table4", "table5"]

STEPS = {"cifar10": 1_250, "stl10": 821}  # of an epoch
PER_S = {"cifar10": (36.2, 61.7), "stl10": (11.5 / 2.5, 45.3 / 2.5)}  # of `gan`, with TF32
HARD_MS = (30.8, 45.0)  # of `gan-hard`, with CIFAR-10
UPDATE_MS, ACTION_MS = 13.6, 0.7


def gan_hours(config: Config) -> tuple[float, float]:
    """Of the cheapest and the dearest networks."""
    options = parse(GanOptions, config.task.options, "task", {})
    steps = config.search.granted_epochs() * STEPS[options.data]
    usual = steps / PER_S[options.data][0] / 3600
    if options.space == "gan":
        return usual, usual
    low, high = (usual * ms / 1000 * PER_S["cifar10"][0] for ms in HARD_MS)
    return low, high


def agent_hours(config: Config) -> float:
    """Of the networks alone."""
    options = parse(DrQV2Options, config.task.options, "task", {})
    actions = config.search.granted_epochs() * options.steps_per_epoch
    updates = actions / options.update_every
    return (updates * UPDATE_MS + actions * ACTION_MS) / 1000 / 3600


def text(*hours: float) -> str:
    """Whole hours, rounded half up; a range where they differ."""
    return " to ".join(dict.fromkeys(f"{int(h + 0.5 + 1e-6):,}" for h in hours))


def header(path: Path) -> str:
    """The comment at the top, as one line."""
    lines = path.read_text().splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_the_paper_says_its_gpu_hours(name: str) -> None:
    """By the figures of docs/gpu.md, and with the command that measures the reader's own GPU."""
    path = ROOT / "configs" / f"{name}.yaml"
    config, said = load(path), header(path)
    if config.task.name == "gan":
        expected = f"GPU hours: {text(*gan_hours(config))}"
    else:
        expected = f"GPU hours: at least {text(agent_hours(config))}"

    assert f"{expected}, " in said
    assert "`make device-check`" in said and f"`pbtnas estimate configs/{name}.yaml" in said


@pytest.mark.parametrize("name", ["c10_gan", "stl10_gan"])
def test_a_run_says_what_tf32_makes_of_it(name: str) -> None:
    """Where steps with TF32 were measured."""
    path = ROOT / "configs" / "gan" / f"{name}.yaml"
    config = load(path)
    plain, fast = PER_S[config.task.options["data"]]

    assert f"{text(gan_hours(config)[0] * plain / fast)} with task.tf32" in header(path)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_paper_says_its_gpu_hours(name: str) -> None:
    """The sum over its runs, as if they had nothing in common."""
    path = ROOT / "configs" / "paper" / f"{name}.yaml"
    hours: Counter[str] = Counter()
    for run in load_study(path):
        if run.config.task.name == "gan":
            low, high = gan_hours(run.config)
            hours.update({"low": low, "high": high})
        else:
            hours["agents"] += agent_hours(run.config)
    gans = [f"{text(hours['low'], hours['high'])} for GANs"] if hours["low"] else []
    agents = [f"at least {text(hours['agents'])} for agents"] if hours["agents"] else []

    assert f"GPU hours: {', '.join([*gans, *agents])}; " in header(path)


def test_the_figures_are_those_of_the_page() -> None:
    """Another measurement changes the page, and then the headers."""
    page = (ROOT / "docs" / "gpu.md").read_text()

    rows = {
        line.split("|")[1].strip(" `"): [cell.strip() for cell in line.split("|")]
        for line in page.splitlines()
        if line.startswith(("| plain |", "| `tf32` |", "| an update of DrQ-v2", "| an action"))
    }
    assert [(rows[k][4], rows[k][9]) for k in ("plain", "tf32")] == [
        ("36.2", "11.5"),
        ("61.7", "45.3"),
    ]
    assert "30.8 to 45.0 ms for a step" in " ".join(page.split())
    assert "13.6 ms" in str(rows) and rows["an action"][2] == "0.7 ms"
