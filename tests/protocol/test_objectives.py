"""Selection by several objectives, and what a run keeps for its front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pbtnas.errors import ExitCode
from pbtnas.protocol import generations
from pbtnas.protocol.generations import UnknownObjective
from pbtnas.protocol.retention import Retention
from pbtnas.records.members import is_usable, lacking
from pbtnas.records.schema import Job, Manifest, Result, Selected
from pbtnas.search.algorithms import NoParentsError, pbtnas
from pbtnas.search.objectives import objectives_of
from tests.search.lineage import search

TWO = objectives_of(["score", "size smaller at_most 9"], 3)
SEARCH = replace(search(pbtnas), objectives=TWO)


def results_of(sizes: Mapping[int, float | None], manifest: Manifest) -> dict[int, Result]:
    """Results with these sizes, and scores that fall with the number of the member."""
    results = {}
    for job in manifest.jobs:
        size = sizes.get(job.member)
        metrics = {} if size is None else {"size": size}
        results[job.member] = Result(
            job.member, "ok", 1.0 - job.member / 10, metrics, f"g{manifest.generation}m{job.member}"
        )
    return results


def test_members_are_ranked_by_fronts_and_bounds_and_the_lacking_are_replaced() -> None:
    """First the front, its extremes first, then what it dominates, those outside of the bounds,
    and last those without an objective, which are nobody's parent."""
    manifest = generations.first_manifest(SEARCH)
    sizes = {0: 9.0, 1: 9.5, 2: 4.0, 3: 5.0, 4: 1.0, 5: None, 6: 90.0, 7: 2.0}
    selected = generations.select(SEARCH, manifest, results_of(sizes, manifest))

    assert selected.ranking == (0, 4, 2, 3, 7, 1, 6, 5)
    assert 5 in {birth.member for birth in selected.births}
    assert all(5 not in (birth.base, birth.donor) for birth in selected.births)
    champion = generations.champion(manifest, selected)
    assert champion is not None and champion.member == 0, "the best is that of the score"


def test_an_objective_that_nobody_reports_ends_the_run_with_the_names_there_are() -> None:
    """In the first generation it is a mistake in the configuration: exit code 2."""
    manifest = generations.first_manifest(SEARCH)
    results = results_of({}, manifest)
    named = {m: replace(r, metrics={"loss": 1.0}) for m, r in results.items()}

    with pytest.raises(UnknownObjective, match="finite 'size'; they report score, loss") as caught:
        generations.select(SEARCH, manifest, named)

    assert caught.value.exit_code is ExitCode.USAGE
    later = replace(manifest, generation=1)
    with pytest.raises(NoParentsError, match="lack an objective .8 reports no finite 'size'"):
        generations.select(SEARCH, later, named)


def test_what_a_result_lacks() -> None:
    """A member without a score lacks nothing more; one with a score may."""
    assert lacking(TWO, Result(0, "ok", 1.0, {}, "c")) == ["size"]
    assert not is_usable(TWO, Result(0, "ok", 1.0, {}, "c"))
    assert is_usable(TWO, Result(0, "ok", 1.0, {"size": 1.0}, "c"))
    failed = Result(0, "failed", None, {}, None)
    assert (lacking(TWO, failed), is_usable(TWO, failed)) == ([], False)


def add(retention: Retention, generation: int, points: list[tuple[float, float]]) -> None:
    """Add a generation whose members have these scores and sizes."""
    jobs = tuple(Job(generation, m, (m % 2,), (), 0, 1, 1) for m in range(len(points)))
    manifest = Manifest(generation, "", 0, jobs)
    results = tuple(
        Result(m, "ok", score, {"size": size}, f"g{generation}m{m}")
        for m, (score, size) in enumerate(points)
    )
    selected = Selected(generation, "", tuple(range(len(points))), (), results)
    retention.add(generations.champion(manifest, selected), manifest, selected)


def test_the_front_is_kept_until_it_is_dominated_and_then_collected_once() -> None:
    """Its checkpoints are no garbage, however old; one that leaves it is, once."""
    retention = Retention(TWO)
    add(retention, 0, [(0.5, 5.0), (0.1, 1.0)])
    add(retention, 1, [(0.4, 7.0), (0.4, 4.0), (0.9, 10.0)])
    assert retention.retained() == {"g0m0", "g0m1", "g1m1", "g1m2", "g1m0"}  # g1m0 is kin
    front = retention.front()
    assert front is not None
    assert [m.champion.checkpoint for m in front] == ["g0m0", "g1m1", "g0m1"]
    assert front[0].objectives == {"score": 0.5, "size": 5.0}
    assert [c.checkpoint for c in retention.named()] == ["g1m2", "g0m0", "g1m1", "g0m1"]

    assert retention.collectable(range(2)) == [0, 1]
    add(retention, 2, [(0.6, 0.5)])
    assert retention.collectable(range(2, 2)) == [0, 1]
    assert retention.collectable(range(2, 2)) == []
    assert retention.retained() == {"g1m0", "g1m2", "g2m0"}


def test_the_end_of_a_run_names_a_front_only_with_several_objectives() -> None:
    """Records of runs with one objective keep their bytes."""
    manifest = generations.first_manifest(SEARCH)
    selected = generations.select(SEARCH, manifest, results_of({0: 1.0, 1: 0.5}, manifest))
    one, two = Retention(), Retention(TWO)
    for retention in (one, two):
        retention.add(generations.champion(manifest, selected), manifest, selected)

    ends = [generations.ending(1, selected, r.best(), None, r.front()) for r in (one, two)]
    assert [sorted(end.keys() - ends[0].keys()) for end in ends] == [[], ["front"]]
    assert [member["member"] for member in ends[1]["front"]] == [0, 1]
    assert ends[1]["front"][1]["objectives"] == {"score": 0.9, "size": 0.5}
