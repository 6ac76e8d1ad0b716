"""Schedules: what the ancestors of a run's winner were trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.analysis.compare.observations import evolution
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import ancestry, ranked
from pbtnas.analysis.schedules import NoSchedule, alone, schedule, schedule_table
from pbtnas.config import from_json, to_json
from pbtnas.records import paths
from tests.analysis import made_runs
from tests.analysis.synthetic import LADDERS, evolve


def test_a_schedule_has_the_rungs_of_the_ancestors_and_the_network_of_the_winner() -> None:
    """In each generation the ladders are those that the ancestor was trained with."""
    seen = evolve(3, members=8, generations=9, space=LADDERS)
    winner = ranked(seen)[0]
    network = seen.at(8, winner).architecture
    found = schedule(seen)

    assert found.ancestors == tuple(ancestry(seen, winner))
    assert [variable.name for _, variable in found.ladders] == [
        "learning_rate",
        "batch_size",
        "momentum",
    ]
    assert len(set(found.architectures)) > 1, "a ladder has moved"
    for generation, architecture in enumerate(found.architectures):
        ancestor = seen.at(generation, found.ancestors[generation]).architecture
        for i in range(len(LADDERS)):
            expected = ancestor if i in LADDERS.ladders else network
            assert architecture[i] == expected[i]


def test_the_table_has_a_row_a_generation_with_values_rather_than_rungs() -> None:
    """The report lists what the winner was trained with, in the units of the task."""
    seen = evolve(3, members=8, generations=9, space=LADDERS)
    found = schedule(seen)
    table = schedule_table(found)

    assert table.columns[3:] == ("learning_rate", "batch_size", "momentum")
    assert len(table.rows) == 9
    rate = LADDERS.variables[LADDERS.ladders[0]].options[found.rungs(LADDERS.ladders[0])[4]]
    assert table.rows[4][3] == f"{rate:.6g}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a ladder."""
    root = tmp_path / "run"
    made_runs.write(root, made_runs.story(made_runs.search(space=made_runs.LADDERS)))
    return root


def test_the_winner_trains_alone_with_its_schedule(run: Path) -> None:
    """The configuration of the run that `--schedule-of` begins: one member, nobody replaced, the
    budget of a member, and everything that decides an outcome in the configuration itself."""
    config = alone(run)
    history = History.read(run)
    found = schedule(evolution(history, tuple(made_runs.LADDERS)))

    search = config.search
    assert search.schedule == found.architectures
    assert (search.population, search.algorithm, search.generations) == (1, "random-search", 4)
    assert (search.epochs_of(0), search.epochs_of(1)) == (4, 2)
    assert config.run.seed == 7
    assert config.task.name == "tiny"
    assert from_json(to_json(config)) == config
    assert alone(run, ["run.seed=8"]) == replace(config, run=replace(config.run, seed=8))


def test_an_unfinished_run_has_no_winner_yet(run: Path) -> None:
    """A schedule that could still change is refused, so that a run never begins with another."""
    (run / paths.FINAL).unlink()

    with pytest.raises(NoSchedule, match="run: is not finished, so its best member is not known"):
        alone(run)


def test_a_run_that_lost_records_is_refused_with_the_command_to_look(run: Path) -> None:
    """An ancestry with a hole would be another schedule."""
    (run / paths.manifest(2)).unlink()

    with pytest.raises(NoSchedule, match="not all records can be read; `pbtnas fsck"):
        alone(run)
