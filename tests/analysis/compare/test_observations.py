"""From the history of a run to what is compared and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.analysis.compare.comparison import ComparisonError, compare
from pbtnas.analysis.compare.observations import (
    budget,
    curve,
    evolution,
    final_evaluation,
    outcome,
    variant,
)
from pbtnas.analysis.history.generation import Born, Generation, ResultWithMeta
from pbtnas.analysis.history.run import FinalRecord, History
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Job, Result
from pbtnas.search.births import Birth
from pbtnas.search.space import layer
from tests.analysis.made_runs import record, search, story, write

BIRTH = Birth(1, 0, 0, (0,), (1,), seed=0, shrink=0.4, perturb=0.1)


def generation(number: int, scores: tuple[float | None, float | None]) -> Generation:
    """Two members; after generation 0, member 1 is a child of member 0."""
    epochs = 5 if number else 20
    return Generation(
        number=number,
        jobs={m: Job(number, m, (m if number else 0,), (), 0, epochs, 1) for m in (0, 1)},
        results={
            m: ResultWithMeta(
                Result(m, "diverged" if score is None else "ok", score, {"fid": 10.0 - m}, "c")
            )
            for m, score in enumerate(scores)
        },
        attempts={},
        repairs={},
        ranking=(0, 1),
        births={} if number else {1: Born(BIRTH)},
        selection="digest",
    )


HISTORY = History(
    root=Path("runs/first"),
    run="id",
    about={},
    config={
        "task": {"name": "digits", "images": 500},
        "search": {
            "algorithm": "pbt-nas",
            "population": 2,
            "generations": 2,
            "epochs": 5,
            "first_epochs": 20,
            "shrink": 0.4,
            "perturb": 0.1,
        },
        "run": {"seed": 7},
    },
    generations=(generation(0, (0.9, None)), generation(1, (0.6, 0.8))),
    terms=(),
    final=FinalRecord(
        "fingerprint",
        2,
        best_ever=Champion(0, 0, 0.9, (0,), "c"),
        best_last=Champion(1, 1, 0.8, (1,), "c"),
    ),
    problems=(),
)


def test_an_evolution_holds_members_scores_and_births():
    """Births of a selection are found at the members of the generation after."""
    found = evolution(HISTORY, [layer("op", ("a", "b"))])

    assert found.epochs == (20, 25)
    assert [s.score for s in found.generations[0]] == [0.9, None]
    assert found.at(1, 1).birth == BIRTH
    assert found.at(1, 0).birth is None


def test_a_generation_in_work_is_left_out():
    """Figures of a running search end at its last selected generation."""
    working = replace(generation(1, (0.6, 0.8)), ranking=(), selection=None)
    running = replace(HISTORY, generations=(HISTORY.generations[0], working), final=None)

    assert len(evolution(running).generations) == 1
    assert curve(running).scores == (0.9,)
    with pytest.raises(ValueError, match="no finished generation"):
        evolution(replace(running, generations=(working,)))


def test_a_curve_counts_the_epochs_of_all_members():
    """Work is summed over members; generation 0 trains longer here."""
    found = curve(HISTORY)

    assert (found.run, found.algorithm, found.seed) == ("first", "pbt-nas", 7)
    assert found.epochs == (40, 50)
    assert found.scores == (0.9, 0.8)


def test_an_outcome_is_of_the_last_generation_unless_asked_for_ever():
    """The paper reports the last for RL and the best ever for GANs; the metric says which."""
    last, ever = outcome(HISTORY), outcome(HISTORY, ever=True)

    assert (last.value, ever.value) == (0.8, 0.9)
    assert last.metric == "score of the best at the end"
    assert ever.metric == "score of the best ever"
    assert last.budget == 50
    assert last.task == '{"images": 500, "name": "digits"}'
    assert outcome(HISTORY, metric="fid").value == 9.0


def test_runs_without_an_outcome_are_refused_by_name():
    """Unfinished runs, runs without a best member and unknown metrics say what is wrong."""
    with pytest.raises(ComparisonError, match="run first is not finished"):
        outcome(replace(HISTORY, final=None))
    with pytest.raises(ComparisonError, match="without a member that has a score"):
        outcome(replace(HISTORY, final=FinalRecord("f", 2, None, None)))
    with pytest.raises(ComparisonError, match="does not report 'is'; it reports score, fid"):
        outcome(HISTORY, metric="is")


def test_variants_of_shrink_perturb_have_names_of_their_own():
    """The ablations share an algorithm; their constants tell them apart."""
    search = {"algorithm": "pbt-nas", "shrink": 1.0, "perturb": 0.0}

    assert variant(HISTORY) == "pbt-nas"
    assert variant(replace(HISTORY, config={**HISTORY.config, "search": search})) == (
        "pbt-nas [1, 0]"
    )


def test_a_final_evaluation_is_reported_where_it_was_made(tmp_path: Path) -> None:
    """Its own score and metrics, under a metric's name of its own; a diverged score is refused."""
    write(tmp_path, story(search()))
    history = History.read(tmp_path)
    assert history.final is not None and history.final.best_last is not None
    name = paths.evaluation(history.final.best_last.checkpoint)
    with pytest.raises(ComparisonError, match="has no final evaluation: `pbtnas evaluate"):
        outcome(history, final=True)

    core = {"score": -1.5, "metrics": {"fid": 1.5}}
    write(tmp_path, [record(name, "evaluation", core)])

    assert outcome(history, final=True).value == -1.5
    assert outcome(history, final=True, metric="fid").value == 1.5
    assert outcome(history, final=True).metric == "final score of the best at the end"
    write(tmp_path, [record(name, "evaluation", {**core, "score": None})])
    with pytest.raises(ComparisonError, match="not a finite number"):
        compare([outcome(history, final=True)])


def test_a_metric_named_score_never_replaces_the_score(tmp_path: Path) -> None:
    """What is compared is what the search selected by, whatever the task calls its metrics."""
    write(tmp_path, story(search()))
    history = History.read(tmp_path)
    assert history.final is not None and history.final.best_last is not None
    best = history.final.best_last
    generation = history.generations[best.generation]
    reported = generation.results[best.member]
    misnamed = replace(reported, result=replace(reported.result, metrics={"score": 7.0}))
    generation.results[best.member] = misnamed
    core = {"score": -1.5, "metrics": {"score": 7.0, "fid": 1.5}}
    write(tmp_path, [record(paths.evaluation(best.checkpoint), "evaluation", core)])

    assert outcome(history).value == best.score
    assert outcome(history, final=True).value == -1.5
    assert final_evaluation(history, best.checkpoint) == {"score": -1.5, "fid": 1.5}


def test_members_that_were_lost_do_not_change_the_budget(tmp_path: Path) -> None:
    """Random search goes on without who failed, and stays comparable with the others."""
    write(tmp_path, story(search(algorithm="random-search")))
    history = History.read(tmp_path)

    assert curve(history).epochs[-1] < budget(history) == outcome(history).budget == 60
