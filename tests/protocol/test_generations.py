"""From manifest to selection to the next manifest, without files and without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pbtnas.errors import ExitCode
from pbtnas.protocol import generations
from pbtnas.records.envelope import Record
from pbtnas.records.schema import Champion, Child, Manifest, Result, Selected
from pbtnas.search.algorithms import ALGORITHMS, Algorithm, NoParentsError, pbtnas, random_search
from tests.search.lineage import run, search, trained

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
SEARCH = search(pbtnas)


def first(scores: Mapping[int, float | None]) -> tuple[Manifest, dict[int, Result]]:
    """The first generation with these scores, and 0 for all other members."""
    manifest = generations.first_manifest(SEARCH)
    results = {}
    for job in manifest.jobs:
        score = scores.get(job.member, 0.0)
        ok = score is not None
        checkpoint = f"checkpoint-{job.member}" if ok else None
        results[job.member] = Result(job.member, "ok" if ok else "failed", score, {}, checkpoint)
    return manifest, results


@every_algorithm
def test_all_algorithms_start_from_the_same_members(algorithm: Algorithm) -> None:
    """With one seed, first architectures, weights and training are shared by every algorithm."""
    manifest = generations.first_manifest(search(algorithm))

    assert generations.first_manifest(SEARCH) == manifest
    assert 8 == len({job.seed for job in manifest.jobs})
    assert {(0, (), 3)} == {(job.generation, job.inputs, job.epochs) for job in manifest.jobs}


def test_another_seed_is_another_start() -> None:
    """Runs with neighbouring seeds share neither architectures nor job seeds."""
    ours, theirs = (
        generations.first_manifest(replace(SEARCH, seed=seed)) for seed in (31173, 31174)
    )

    assert not {job.seed for job in ours.jobs} & {job.seed for job in theirs.jobs}
    assert [j.architecture for j in ours.jobs] != [j.architecture for j in theirs.jobs]


@every_algorithm
def test_every_job_has_a_seed_of_its_own(algorithm: Algorithm) -> None:
    """A member that goes on does not see the same batches in every generation."""
    seeds = [job.seed for manifest, _ in run(search(algorithm)) for job in manifest.jobs]

    assert len(set(seeds)) == len(seeds)


@every_algorithm
def test_nothing_is_born_after_the_last_generation(algorithm: Algorithm) -> None:
    """The last population is what was trained and evaluated: no child without a score."""
    selections = [selected for _, selected in run(search(algorithm))]

    assert () == selections[-1].births
    assert any(s.births for s in selections) == (algorithm is not random_search)


def test_where_selection_is_skipped_only_failed_members_are_replaced() -> None:
    """A generation without selection keeps the worst, but nobody without a score."""
    skipping = search(pbtnas, skip_selection=frozenset({0, 1}))
    births = [[b.member for b in selected.births] for _, selected in run(skipping)]

    assert [] == births[0]
    assert [2, 6] == births[1]
    assert 2 == len(births[2])


@every_algorithm
def test_scores_come_from_training_alone(algorithm: Algorithm) -> None:
    """A child is ranked, and may be best, only by the checkpoint it was trained to."""
    for manifest, selected in run(search(algorithm)):
        assert tuple(trained(job) for job in manifest.jobs) == selected.results
        champion = generations.champion(manifest, selected)
        assert champion is not None
        result = trained(manifest.job(champion.member))
        assert (result.score, result.checkpoint) == (champion.score, champion.checkpoint)


@every_algorithm
def test_members_go_on_from_their_own_checkpoints_and_children_from_theirs(
    algorithm: Algorithm,
) -> None:
    """Who is not replaced keeps architecture and weights; a child has overlay before base."""
    history = list(run(search(algorithm)))
    for (manifest, selected), (following, _) in zip(history, history[1:], strict=False):
        births = {birth.member: birth for birth in selected.births}
        for job in following.jobs:
            assert (following.generation, 1) == (job.generation, job.epochs)
            if job.member in births:
                birth = births[job.member]
                assert job.architecture == birth.architecture
                assert job.inputs[1] == selected.result(birth.base).checkpoint
            else:
                assert job.architecture == manifest.job(job.member).architecture
                assert job.inputs == (selected.result(job.member).checkpoint,)


@pytest.mark.parametrize("name", ["random-search", "random-search-shrink-perturb"])
def test_random_search_goes_on_without_those_that_failed(name: str) -> None:
    """A failure under random search is left out from there on; the others keep their slots."""
    populations = [
        [job.member for job in manifest.jobs] for manifest, _ in run(search(ALGORITHMS[name]))
    ]

    assert [list(range(8))] * 2 == populations[:2]
    assert [[0, 1, 3, 4, 5, 7]] * 3 == populations[2:]


def test_a_generation_without_scores_ends_the_search() -> None:
    """The error says which generation it was, whatever the algorithm."""
    manifest, results = first(dict.fromkeys(range(8)))

    with pytest.raises(NoParentsError, match="all 8 members of generation 0 diverged or failed"):
        generations.select(replace(SEARCH, algorithm=random_search), manifest, results)


def test_the_end_of_a_search_names_the_commonest_cause() -> None:
    """Whoever reads the coordinator's last line knows where to look."""
    manifest, results = first(dict.fromkeys(range(8)))
    causes = {**dict.fromkeys(range(7), "diverged: the score is nan"), 7: "failed: oom: no memory"}

    with pytest.raises(NoParentsError, match="7 diverged: the score is nan; 1 failed: oom"):
        generations.select(SEARCH, manifest, results, causes)


CRASHED = "failed: error: /home/me/own.py:12: evaluate() raised KeyError: 'loss'"
SHAPES = "failed: error: own.py:9: train() raised RuntimeError: 3 and 4 do not fit"


@pytest.mark.parametrize(
    ("first_cause", "other_causes", "generation", "code"),
    [
        (CRASHED, CRASHED, 0, ExitCode.USAGE),
        (CRASHED, CRASHED.replace("/home/me/", "src/"), 0, ExitCode.USAGE),
        (SHAPES, SHAPES.replace("3 and 4", "17 and 40"), 0, ExitCode.USAGE),
        (CRASHED, SHAPES, 0, ExitCode.FAILED),
        (CRASHED, CRASHED.replace(":12:", ":13:"), 0, ExitCode.FAILED),
        (CRASHED, "diverged: the loss is nan", 0, ExitCode.FAILED),
        (CRASHED, CRASHED, 1, ExitCode.FAILED),
        ("diverged: the loss is nan", "diverged: the loss is nan", 0, ExitCode.FAILED),
        ("failed: error: ValueError: 4", "failed: error: ValueError: 4", 0, ExitCode.FAILED),
        ("failed: oom: no memory", "failed: oom: no memory", 0, ExitCode.FAILED),
    ],
)
def test_one_mistake_in_the_users_file_is_told_from_bad_luck(
    first_cause: str, other_causes: str, generation: int, code: ExitCode
) -> None:
    """By it all members of the first generation fail: the sentence with its place, exit code 2."""
    manifest, results = first(dict.fromkeys(range(8)))
    causes = {**dict.fromkeys(range(8), other_causes), 0: first_cause}

    with pytest.raises(NoParentsError) as caught:
        generations.select(SEARCH, replace(manifest, generation=generation), results, causes)

    assert caught.value.exit_code is code, str(caught.value)
    told = first_cause.removeprefix("failed: error: ") + " (by this all 8 members of generation 0"
    assert str(caught.value).startswith(told) is (code is ExitCode.USAGE)


def test_each_record_names_the_one_before() -> None:
    """Manifests hold the digest of the selection before them, selections that of the manifest."""
    previous = "lineage"
    for manifest, selected in run(SEARCH):
        assert previous == manifest.previous
        assert Record("manifest", "", manifest.to_json()).digest == selected.manifest
        previous = Record("selection", "", selected.to_json()).digest


def test_the_fingerprint_notices_any_result_and_no_order() -> None:
    """One metric more changes what the run came to; the order of results does not."""
    manifest, results = first({3: 1.0})
    turned = dict(reversed(results.items()))
    altered = results | {3: replace(results[3], metrics={"fid": 1.0})}

    usual, same, other = (
        generations.fingerprint(generations.select(SEARCH, manifest, found))
        for found in (results, turned, altered)
    )

    assert usual == same != other


@every_algorithm
def test_a_selection_survives_its_record(algorithm: Algorithm) -> None:
    """Births of every operator are read back as they were written."""
    for _, selected in run(search(algorithm)):
        assert selected == Selected.from_json(selected.to_json())


def test_records_from_before_there_were_operators_are_mixes() -> None:
    """A birth of PBT-NAS has the very record it had when it was the only one."""
    _, selected = next(run(SEARCH))
    stored = selected.to_json()

    usual = {"member", "base", "donor", "inherited", "architecture", "seed", "shrink", "perturb"}
    assert {"mix"} == {birth.operator for birth in Selected.from_json(stored).births}
    assert all(set(birth) == usual for birth in stored["births"])


def test_the_champion_is_the_best_of_a_generation() -> None:
    """The best score, of equals the lowest slot; nobody where nobody has a score."""
    manifest, results = first({3: 2.0, 5: 2.0, 6: None})
    best = generations.champion(manifest, generations.select(SEARCH, manifest, results))
    nobody = replace(
        generations.select(SEARCH, manifest, results),
        results=tuple(Result(i, "failed", None, {}, None) for i in range(8)),
    )

    assert best == Champion(0, 3, 2.0, manifest.job(3).architecture, "checkpoint-3")
    assert generations.champion(manifest, nobody) is None


def test_a_child_must_be_there_for_every_birth() -> None:
    """A manifest with a birth left out would lose a member in silence: it is an error."""
    manifest, results = first({6: None})
    selected = generations.select(SEARCH, manifest, results)
    some = {b.member: Child(b.member, "overlay", "base") for b in selected.births[1:]}

    with pytest.raises(KeyError):
        generations.next_manifest(SEARCH, manifest, selected, some)


def test_products_are_in_the_first_manifest_and_only_if_there_are_some() -> None:
    """Runs of tasks without products have the bytes they always had."""
    without, products = generations.first_manifest(SEARCH), {"judge": "a" * 64}
    made = generations.first_manifest(replace(SEARCH, products=products))

    assert "products" not in without.to_json()
    assert Manifest.from_json(without.to_json()) == without
    assert made.to_json() == {**without.to_json(), "products": products}
    assert Manifest.from_json(made.to_json()) == made


def test_other_products_are_named() -> None:
    """One that differs, is missing or is new; a run that recorded none goes on with any."""
    other = generations.other_product
    assert other({}, {"a": "1"}) is None
    assert other({"a": "1"}, {"a": "1"}) is None
    for used in ({"a": "2"}, {}, {"a": "1", "b": "3"}):
        assert "this run was started with" in (other({"a": "1"}, used) or "")
