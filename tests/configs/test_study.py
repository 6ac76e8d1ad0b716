"""Reading a study: what it makes of its file, and what it says about everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pbtnas.config import ConfigError, PlannedRun, load, load_study
from pbtnas.search.objectives import Objective

STUDIES = Path(__file__).parents[2] / "configs" / "study"
BASE = "task: {name: digits}\nsearch: {population: 12, generations: 3, epochs: 2}\n"

Read = Callable[..., list[PlannedRun]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Writes the study and two configurations beside it, and loads the study."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)
    Path("other.yaml").write_text(BASE.replace("12", "8"))

    def write_and_load(text: str) -> list[PlannedRun]:
        Path("s.yaml").write_text(text)
        return load_study(Path("s.yaml"))

    return write_and_load


def test_every_variant_is_run_with_every_seed(read: Read) -> None:
    """Seed by seed, so that runs which share work are done together; overrides and other bases
    change what they name and nothing else."""
    runs = read(
        "config: base.yaml\nseeds: [7, 3]\nruns:\n"
        "  plain: {}\n  empty:\n  small: {config: other.yaml, search.tau: 0.5}\n"
    )
    base = load(Path("base.yaml"))

    assert [(run.name, run.seed) for run in runs] == [
        (name, seed) for seed in (7, 3) for name in ("plain", "empty", "small")
    ]
    assert all(run.config.run.seed == run.seed for run in runs)
    assert runs[0].config.search == runs[1].config.search == base.search
    assert (runs[2].config.search.population, runs[2].config.search.tau) == (8, 0.5)


def test_one_process_serves_all_runs(read: Read) -> None:
    """So they cannot be pinned to different instructions; all alike they can."""
    alike = "config: base.yaml\nseeds: [1]\nruns: {a: {run.cpu_capability: avx2}, b: %s}\n"
    runs = read(alike % "{run.cpu_capability: avx2}")

    assert {run.config.run.cpu_capability for run in runs} == {"avx2"}
    with pytest.raises(ConfigError) as raised:
        read(alike % "{}")
    assert raised.value.problems == [
        "s.yaml:3: runs: expected the same run.cpu_capability in all of them, "
        "not avx2 in a, default in b"
    ]


def test_a_base_is_found_beside_the_study(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to the study's file, not to where the command is given."""
    read("config: base.yaml\nseeds: [1]\nruns: {a: {}}\n")
    study = Path("s.yaml").resolve()
    monkeypatch.chdir("/")

    assert load_study(study)[0].config.search.population == 12


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "s.yaml: expected the keys config, seeds, runs"),
        ("config: base.yaml\nruns: {a: {}}", "s.yaml: seeds: expected a list of different whole"),
        ("config: base.yaml\nseeds: [1, 1]\nruns: {a: {}}", "s.yaml:2: seeds: expected a list"),
        ("config: base.yaml\nseeds: []\nruns: {a: {}}", "s.yaml:2: seeds: expected a list"),
        ("config: base.yaml\nseeds: [true]\nruns: {a: {}}", "s.yaml:2: seeds: expected a list"),
        ("config: base.yaml\nseeds: [1]", "s.yaml: runs: expected a name and its overrides"),
        ("seeds: [1]\nruns: {a: {}}", "s.yaml: config: expected the name of a configuration"),
        ("config: base.yaml\nseeds: [1]\nruns: {a: {}}\nseed: 3", "s.yaml:4: seed: unknown key"),
        ("config: no.yaml\nseeds: [1]\nruns: {a: {}}", "no.yaml: cannot be read"),
        ("config: base.yaml\nseeds: [1]\nruns: {../a: {}}", "s.yaml:3: runs.../a: expected a name"),
        ("config: base.yaml\nseeds: [1]\nruns: {a: 3}", "s.yaml:3: runs.a: expected section.key"),
        ("config: base.yaml\nseeds: [1]\nruns: {a: {tau: 1}}", "runs.a.tau: expected section.key"),
        (
            "config: base.yaml\nseeds: [1]\nruns: {a: {run.seed: 1}}",
            "s.yaml:3: runs.a.run.seed: the seeds of a study stand below seeds",
        ),
        (
            "config: base.yaml\nseeds: [1]\nruns: {a: {search.tua: 1}}",
            "s.yaml:3: search.tua: unknown key; did you mean 'tau'?",
        ),
        (
            "config: base.yaml\nseeds: [1]\nruns: {a: {search.tau: 2}}",
            "s.yaml:3: search.tau: expected a number from 0 to 0.5, not 2",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(read: Read, text: str, sentence: str) -> None:
    """File, line, key and expectation, before anything is started."""
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert sentence in str(caught.value)


def test_all_faults_are_told_at_once_and_each_once(read: Read) -> None:
    """A fault of the base is not repeated for every run that is made from it."""
    Path("base.yaml").write_text(BASE.replace("epochs: 2", "epochs: 0"))
    with pytest.raises(ConfigError) as caught:
        read("config: base.yaml\nseeds: [1, 2]\nruns: {a: {}, b: {}, c: {search.tau: 9}}\n")

    problems = caught.value.problems
    assert len(problems) == 2, problems
    assert sum("search.epochs" in problem for problem in problems) == 1


def test_the_study_of_hyperparameters_is_the_one_that_was_fixed() -> None:
    """Every arm has 336 network-epochs, the sweep and what it pays for together; arms differ in
    what their names say."""
    runs = [run for run in load_study(STUDIES / "ladders.yaml") if run.seed == 1]
    granted = {run.name: run.config.search.granted_epochs() for run in runs}
    sweep = sum(epochs for name, epochs in granted.items() if name.startswith("sweep-"))

    assert {epochs for name, epochs in granted.items() if not name.startswith("sw")} == {336}
    assert {sweep + e for name, e in granted.items() if name.startswith("swept-")} == {336}
    searched = {run.name for run in runs if run.config.task.options.get("search_also")}
    assert searched == {
        *("both", "ladders-only", "random-search"),
        *("both-epochs-1", "both-epochs-4", "both-epochs-10"),
    }
    alone = next(run.config.search for run in runs if run.name == "ladders-only")
    assert (alone.start, alone.shrink, alone.perturb) == ("one-network", 1.0, 0.0)


def test_the_study_of_two_objectives_is_the_one_that_was_fixed() -> None:
    """Four ways of selecting with the same budget, three of them by the same two objectives."""
    runs = load_study(STUDIES / "two_objectives.yaml")
    searches = {run.name: run.config.search for run in runs}

    assert len(runs) == 40
    assert {search.granted_epochs() for search in searches.values()} == {336}
    assert {search.ranking().each for search in searches.values() if search.ranking().several} == {
        (Objective("score", at_least=-5.0), Objective("parameters", "smaller"))
    }
    assert {name: search.algorithm for name, search in searches.items()} == {
        "fronts": "pbt-nas",
        "weighted-sum": "weighted-sum",
        "score-only": "pbt-nas",
        "random-search": "random-search",
    }
    assert not searches["score-only"].ranking().several


def test_the_study_of_the_digits_is_the_one_that_was_fixed() -> None:
    """Six variants that differ in what their names say, ten seeds, 644 steps before the first
    selection: fixed before an outcome was seen, and not to be changed afterwards."""
    runs = load_study(STUDIES / "digits.yaml")
    searches = {run.name: run.config.search for run in runs}

    assert sorted({run.seed for run in runs}) == list(range(1, 11))
    assert len(runs) == 60
    assert {name: (s.algorithm, s.shrink, s.perturb) for name, s in searches.items()} == {
        "pbt-nas": ("pbt-nas", 0.4, 0.1),
        "random-search": ("random-search", 0.4, 0.1),
        "searl": ("searl", 0.4, 0.1),
        "no-mixing": ("no-mixing", 0.4, 0.1),
        "copy-exactly": ("pbt-nas", 1.0, 0.0),
        "reinitialise": ("pbt-nas", 0.0, 1.0),
    }
    budgets = {
        (s.population, s.generations, 28 * s.epochs_of(0), 28 * s.epochs) for s in searches.values()
    }
    assert len(budgets) == 1
    population, _, first, steps = budgets.pop()
    assert (population, first, steps) == (24, 644, 56)
