"""Algorithms of other packages: found by their entry point, checked, and watched."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from pbtnas.cli import app as cli
from pbtnas.config import ConfigError, load
from pbtnas.config.algorithms import BrokenAlgorithm, load_algorithm
from pbtnas.config.schema import algorithm_names
from pbtnas.search import Member, SearchSpace, switch
from pbtnas.search.algorithms import ALGORITHMS
from pbtnas.search.contract import faults
from tests.search.rules import selection_rule

ROOT = Path(__file__).parents[2]
EXAMPLE = re.findall(
    r"^```python\n(.*?)^```$",
    (ROOT / "docs/own-algorithm.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
MODULE = f"""{EXAMPLE[0]}

def broken(members, space, selection, run_seed, generation):
    return [1]

not_a_function = 3
"""
ENTRY_POINTS = """[pbtnas.algorithms]
around-the-best = my_algorithms:around_the_best
broken = my_algorithms:broken
number = my_algorithms:not_a_function
searl = my_algorithms:broken
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package is installed, which has the algorithm of the document and worse ones."""
    info = tmp_path / "my_algorithms-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-algorithms\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "my_algorithms.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_algorithms", None)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.cli, arguments, prog_name="pbtnas")
    return result.exit_code, result.output


def test_the_example_of_the_document_keeps_the_contract() -> None:
    """What a stranger copies works, and the test they copy with it passes."""
    scope = {"around_the_best": import_module("my_algorithms").around_the_best}
    exec(EXAMPLE[1], scope)

    scope["test_the_contract"]()
    assert call("algorithm", "check", "around-the-best") == (
        0,
        "around-the-best keeps the contract\n",
    )


def test_a_configuration_may_name_it() -> None:
    """Installed algorithms are allowed, listed, and found; ours keep their names."""
    config = load(ROOT / "configs/digits.yaml", ["search.algorithm=around-the-best"])

    found = load_algorithm(config.search.algorithm)

    assert faults(found) == []
    assert algorithm_names() == [*ALGORITHMS, "around-the-best", "broken", "number"]
    assert call("algorithm", "list")[1].split() == algorithm_names()
    assert load_algorithm("searl") is ALGORITHMS["searl"]


def test_what_is_not_installed_is_refused() -> None:
    """A sentence says what there is; exit code 2."""
    with pytest.raises(ConfigError, match="expected one of .*is 'around-the-best' meant"):
        load(ROOT / "configs/digits.yaml", ["search.algorithm=around-best"])
    code, output = call("algorithm", "check", "other")

    assert code == 2 and "'other' is not installed here; there are pbt-nas" in output
    with pytest.raises(ConfigError, match="'number' is a int, expected a function"):
        load_algorithm("number")


def test_a_broken_answer_is_never_published() -> None:
    """During a search it ends with a sentence; the check says the same, with exit code 1."""
    members = [Member(i, (0,), float(i)) for i in range(4)]
    space = SearchSpace([switch("v", (0, 1))])

    with pytest.raises(BrokenAlgorithm, match="'broken', generation 2: returned list"):
        load_algorithm("broken")(members, space, selection_rule(4), 1, 2)
    code, output = call("algorithm", "check", "broken")
    assert code == 1 and "returned list, expected a tuple of Birth" in output
