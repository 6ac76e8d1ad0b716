"""The plan of a greedy soup: its next trial, its ingredients, and the trials that soups share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.protocol.postsearch import Evaluate, WorkItem, WriteAverage
from pbtnas.protocol.soups import (
    Candidate,
    GreedySoup,
    NoSuchPart,
    advance,
    greedy_soup,
    work_items_of,
)
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected, Soup, Trial
from pbtnas.search import SearchSpace, ladder, layer, switch
from pbtnas.search.space import Variable
from pbtnas.tasks.base import HasParts
from pbtnas.tasks.drqv2.task import DrQV2Task
from tests.models.drqv2 import drqv2_architecture
from tests.tasks.test_drqv2 import FACTS, PIXELS, TINY

BEST = Champion(4, 0, 10.0, (1, 0), "c0")


def greedy(*scores: float, which: str = "best-ever-soup") -> GreedySoup:
    candidates = [Candidate(i + 1, score, f"c{i + 1}") for i, score in enumerate(scores)]
    return GreedySoup(which, None, (), BEST, tuple(candidates))


def trial(score: float | None, outcome: Any = "ok") -> Trial:
    return Trial(None, (), outcome, score, {})


def test_a_soup_keeps_members_that_do_not_lower_its_score() -> None:
    """Better and equal stay in, worse, diverged and missing do not, and each is tried with
    what is in the soup by then."""
    outcomes = {
        ("c0", "c1"): trial(9.0),
        ("c0", "c2"): trial(11.0),
        ("c0", "c2", "c3"): trial(None, "diverged"),
        ("c0", "c2", "c4"): trial(11.0),
        ("c0", "c2", "c4", "c5"): trial(None, "missing"),
    }

    progress = advance(greedy(9, 8, 7, 6, 5), outcomes.get)

    assert progress.next is None
    assert ("c0", "c2", "c4") == progress.ingredients
    assert ((0, 2, 4), 11.0) == (progress.members, progress.score)
    assert [
        (1, 9, "ok", 9.0, False),
        (2, 8, "ok", 11.0, True),
        (3, 7, "diverged", None, False),
        (4, 6, "ok", 11.0, True),
        (5, 5, "missing", None, False),
    ] == [tuple(vars(tried).values()) for tried in progress.trace]


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=12))
def test_a_soup_is_never_worse_than_its_best_member(found: list[float | None]) -> None:
    """However trials come out; every candidate is tried once, and the soup ends."""
    whole = greedy(*range(len(found)))
    outcomes: dict[tuple[str, ...], Trial] = {}
    for score in found:
        wanted = advance(whole, outcomes.get).next
        assert wanted is not None
        outcomes[wanted] = trial(score)

    progress = advance(whole, outcomes.get)

    assert progress.next is None
    assert [t.member for t in progress.trace] == list(range(1, len(found) + 1))
    kept = [BEST.score, *(t.score for t in progress.trace if t.accepted and t.score is not None)]
    assert kept == sorted(kept) and kept[-1] == progress.score
    assert len(kept) == len(progress.ingredients) == len(progress.members)


# -- candidates ----------------------------------------------------------------------------------

SPACE = SearchSpace(
    [
        layer("encoder.conv", ("a", "b")),
        switch("encoder.norm", (False, True)),
        Variable("width", (1, 2), modules=("actor.trunk",)),
        layer("critic.q", ("a", "b")),
    ]
)
PARTS = {"encoder": ("encoder",), "actor": ("actor",), "both": ("encoder", "actor")}


def generation(
    members: Mapping[int, tuple[tuple[int, ...], float | None]],
) -> tuple[Champion, Manifest, Selected]:
    """A generation of members with architecture and score, and its best."""
    jobs = tuple(Job(4, m, a, (), 0, 1, 1) for m, (a, _) in members.items())
    results = tuple(
        Result(m, "ok" if score is not None else "failed", score, {}, score and f"c{m}")
        for m, (_, score) in members.items()
    )
    ranking = tuple(sorted(members, key=lambda m: -(members[m][1] or 0)))
    best, (architecture, score) = ranking[0], members[ranking[0]]
    assert score is not None
    champion = Champion(4, best, score, architecture, f"c{best}")
    return champion, Manifest(4, "", 0, jobs), Selected(4, "", ranking, (), results)


@pytest.mark.parametrize(
    ("part", "members"),
    [(None, [5, 3]), ("encoder", [5, 1, 3]), ("actor", [5, 2, 1, 3]), ("both", [5, 1, 3])],
)
def test_candidates_have_the_options_of_what_is_averaged(
    part: str | None, members: list[int]
) -> None:
    """Of everything, or of the variables that lie in the part or own modules of it; by falling
    score, without those that have none."""
    best, manifest, selected = generation(
        {
            0: ((1, 0, 0, 0), 9.0),
            1: ((1, 0, 0, 1), 6.0),
            2: ((0, 0, 0, 0), 7.0),
            3: ((1, 0, 0, 0), 2.0),
            4: ((1, 0, 0, 0), None),
            5: ((1, 0, 0, 0), 8.0),
            6: ((1, 1, 1, 0), 5.0),
        }
    )

    found = greedy_soup("best-last", best, manifest, selected, SPACE, part, PARTS)

    assert members == [candidate.member for candidate in found.candidates]
    assert found.which == ("best-last-soup" if part is None else f"best-last-{part}-soup")
    assert found.modules == PARTS.get(part or "", ())


def test_members_of_one_network_are_candidates_on_whatever_rungs() -> None:
    """Children move on their ladders, so that members of equal rungs are rare; tensors are not
    another's by that."""
    space = SearchSpace([*SPACE, ladder("learning_rate", 0.1, 1.0, steps=3)])
    best, manifest, selected = generation(
        {
            0: ((1, 0, 0, 0, 1), 9.0),
            1: ((1, 0, 0, 0, 2), 6.0),
            2: ((1, 0, 0, 1, 1), 7.0),
        }
    )

    found = greedy_soup("best-last", best, manifest, selected, space, None, PARTS)

    assert [candidate.member for candidate in found.candidates] == [1]
    assert found.best.architecture == (1, 0, 0, 0, 1)


def test_the_parts_of_an_agent_are_networks_of_its() -> None:
    """Encoder and actor lie in what the task calls so: else a soup would quietly be no soup."""
    task = DrQV2Task(PIXELS)
    task.recall(FACTS.get)
    names = task.create(drqv2_architecture(task.space), 0).state().live

    assert isinstance(task, HasParts)
    assert set(task.parts) == {"actor", "encoder", "both"}
    for modules in task.parts.values():
        assert all(any(name.startswith(f"{m}.") for name in names) for m in modules)
    assert set(DrQV2Task(TINY).parts) == {"actor"}, "there is no encoder for state features"


def test_a_part_that_the_task_does_not_have_is_told_with_those_it_has() -> None:
    """One sentence, also where there are none."""
    records = generation({0: ((0, 0, 0, 0), 1.0)})
    with pytest.raises(NoSuchPart, match="--part critic: .* have encoder, actor, both"):
        greedy_soup("best-ever", *records, SPACE, "critic", PARTS)
    with pytest.raises(NoSuchPart, match="no parts, only everything"):
        greedy_soup("best-ever", *records, SPACE, "critic", {})


# -- work items ---------------------------------------------------------------------------------


def outcome(item: WorkItem) -> dict[str, Any]:
    """What an item could come to."""
    if isinstance(item.work, WriteAverage):
        return {**item.core, "checkpoint": "soup"}
    score = float(len(item.work.mixture.digests) + 9)
    return {**item.core, "outcome": "ok", "score": score, "metrics": {}}


def test_a_soup_wants_its_trials_one_by_one_and_then_its_average() -> None:
    """The soup's record tells it all; when it is there, nothing more is wanted."""
    whole, known = greedy(9, 8), dict[str, Mapping[str, Any]]()
    wanted = []
    while items := work_items_of(whole, known, seed=3):
        (item,) = items
        known[item.record] = outcome(item)
        wanted.append(item)

    first, second, average = (item.work for item in wanted)
    assert isinstance(first, Evaluate) and isinstance(second, Evaluate)
    assert not first.final and first.seed != second.seed
    assert [("c0", "c1"), ("c0", "c1", "c2")] == [w.mixture.digests for w in (first, second)]
    assert (paths.checkpoint(4, "c0"), paths.checkpoint(4, "c1")) == first.mixture.files
    assert isinstance(average, WriteAverage) and average.mixture == second.mixture
    soup = Soup.from_json(known[paths.soup("best-ever-soup")])
    assert soup == Soup.from_json(soup.to_json())
    assert ((0, 1, 2), 12.0, "soup") == (soup.ingredients, soup.score, soup.checkpoint)


def test_two_soups_try_the_same_average_once() -> None:
    """Where best-ever and best-last are one member, their trials are the same records; another
    part or another seed of the run is another trial or another seed."""
    (one,), (other,) = (work_items_of(greedy(9, which=w), {}, seed=3) for w in ("a-soup", "b-soup"))
    part = GreedySoup("a-soup", "encoder", ("encoder",), BEST, greedy(9).candidates)

    assert (one.record, one.work) == (other.record, other.work)
    assert work_items_of(part, {}, seed=3)[0].record != one.record
    assert work_items_of(greedy(9), {}, seed=4)[0].work != one.work
