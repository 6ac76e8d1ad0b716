"""The studies of configs/paper: whole, of three seeds, and what the paper did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.config import Config, load_study, parse
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.gan.options import GanOptions

PAPER = Path(__file__).parents[2] / "configs" / "paper"
NAMES = ["figure3", "figure4", "table1", "table2", "table3", "table4", "table5"]
PAIR = {"copy-exactly": (1.0, 0.0), "reinitialise": (0.0, 1.0)}
ALGORITHM = {
    "pbt-nas": "pbt-nas",
    "searl": "searl",
    "random-search": "random-search",
    "no-mixing": "no-mixing",
    "copy-exactly": "pbt-nas",
    "reinitialise": "pbt-nas",
    "off": "random-search",
    "on": "random-search-shrink-perturb",
}


def variants(study: str) -> dict[str, Config]:
    """The configuration of every name."""
    return {planned.name: planned.config for planned in load_study(PAPER / f"{study}.yaml")}


def test_every_table_and_figure_is_there() -> None:
    """Five tables, two figures, and nothing else."""
    assert sorted(path.stem for path in PAPER.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("study", NAMES)
def test_a_study_is_whole(study: str) -> None:
    """Three seeds of every name; all options fit their task."""
    planned = load_study(PAPER / f"{study}.yaml")

    for name, config in variants(study).items():
        assert [p.seed for p in planned if p.name == name] == [31173, 31174, 31175]
        options = {"gan": GanOptions, "drqv2": DrQV2Options}[config.task.name]
        parse(options, config.task.options, "task")


@pytest.mark.parametrize("study", NAMES)
def test_the_header_says_what_to_expect(study: str) -> None:
    """Command, expected numbers, cost, and the switches that are as published."""
    header = (PAPER / f"{study}.yaml").read_text()

    assert f"# pbtnas study configs/paper/{study}.yaml studies/{study}" in header
    for word in ("# Expected", "# Cost: ", "# As published: "):
        assert word in header


@pytest.mark.parametrize("study", NAMES)
def test_names_say_what_the_runs_are(study: str) -> None:
    """SETTING.ALGORITHM, with the constants of the ablations, and published switches set."""
    for name, config in variants(study).items():
        setting, _, algorithm = name.rpartition(".")
        search = config.search
        assert search.algorithm == ALGORITHM[algorithm]
        assert (search.shrink, search.perturb) == PAIR.get(algorithm, (0.4, 0.1))
        if "hard" in setting:
            assert config.task.options["branches"] == "first"
        if setting.startswith("quadruped") and algorithm in ("pbt-nas", "no-mixing"):
            assert config.task.options["replay_from"] == "donor"
        if "-n" in setting:
            assert search.population == int(setting.rpartition("-n")[2])


def test_the_populations_of_figure_4_have_the_published_counts() -> None:
    """Children of a generation, for GANs of 12, 24, 36 and agents of 6, 12, 18."""
    counts = {
        config.search.population: config.search.replaced
        or round(config.search.tau * config.search.population)
        for config in variants("figure4").values()
    }

    assert counts == {12: 3, 24: 6, 36: 9, 6: 2, 18: 4}
