"""Objectives as text, and how a result stands to them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.search.objectives import (
    BY_SCORE,
    NoObjective,
    Objective,
    objective_of,
    objectives_of,
    recorded,
)


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("score", Objective("score")),
        ("score larger at_least 0.5", Objective("score", at_least=0.5)),
        ("parameters smaller", Objective("parameters", "smaller")),
        ("fid smaller at_most 40", Objective("fid", "smaller", at_most=40.0)),
        ("a b larger at_most 2e3 at_least -1", Objective("a b", "larger", -1.0, 2000.0)),
    ],
)
def test_an_objective_is_read_from_text_and_shown_as_text(text: str, objective: Objective) -> None:
    """What is shown to people can be written into a configuration again."""
    assert objective_of(text) == objective
    assert objective_of(str(objective)) == objective


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["score", "fid"], "larger or smaller at the end of 'fid'"),
        (["score", "score larger"], "every objective once, but 'score' is there twice"),
        (["fid smaller", "fid larger"], "'fid' is there twice"),
        (["score smaller"], "the score larger"),
        (["fid smaller at_most many"], "a number as the bound in .*, not 'many'"),
        (["fid smaller at_most nan"], "a number as the bound"),
        (["fid smaller at_most 1 at_most 2"], "at_most once"),
        (["fid smaller at_least 3 at_most 2"], "at_least to be at most at_most"),
        (["smaller"], "objectives such as"),
        (["at_most 3"], "objectives such as"),
        ([""], "objectives such as"),
        ([], "at least one objective"),
    ],
)
def test_what_is_no_objective_is_refused_in_a_sentence(texts: list[str], sentence: str) -> None:
    """Each says what was expected instead."""
    with pytest.raises(NoObjective, match=sentence):
        objectives_of(texts, 24)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_larger_gains_are_better_and_give_back_what_was_reported(value: float) -> None:
    """A front shows the very numbers of its members' results."""
    objectives = objectives_of(["score", "size smaller"], 24)
    standing = objectives.standing({"score": value, "size": value})

    assert standing.gains == (value, -value)
    assert repr(objectives.values(standing.gains)) == repr({"score": value, "size": value})


def test_how_far_outside_is_a_share_of_the_bound_and_adds_up() -> None:
    """So that bounds in different units can be compared; of a bound of 0 it is the distance."""
    fid, size = (objective_of(text) for text in ("fid smaller at_most 40", "n larger at_least 8"))
    zero = objective_of("loss smaller at_most 0")

    assert [fid.outside(v) for v in (39.0, 40.0, 44.0)] == [0.0, 0.0, 0.1]
    assert [size.outside(v) for v in (9.0, 8.0, 6.0)] == [0.0, 0.0, 0.25]
    assert zero.outside(3.0) == 3.0
    both = objectives_of([str(fid), str(size)], 24)
    assert both.standing({"fid": 44.0, "n": 6.0}).outside == pytest.approx(0.35)


def test_a_missing_objective_is_named() -> None:
    """Whether it was not reported, or was no finite number."""
    objectives = objectives_of(["score", "fid smaller", "n smaller"], 24)

    assert objectives.missing({"score": 1.0, "fid": math.inf}) == ["fid", "n"]
    assert objectives.missing({"score": 1.0, "fid": 1.0, "n": 0.0}) == []


def test_a_run_that_stores_no_objectives_is_ranked_by_its_score() -> None:
    """As every run before there were objectives."""
    assert recorded({"population": 4}) == BY_SCORE
    assert BY_SCORE.only_score and not BY_SCORE.several
    bounded = recorded({"objectives": ["score larger at_least 1"]})
    assert not bounded.only_score and not bounded.several
