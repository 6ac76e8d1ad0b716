"""Studies under every misfortune the simulation knows; see `tests.simulation.studies`."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from pbtnas.protocol import reuse, study, study_coordinator, worker
from pbtnas.protocol.operations import Steps
from tests.simulation.studies import DAMAGED, DAMAGES, StudyWorld, run_study_seed
from tests.simulation.world import always_fails

SEEDS = 25
NIGHTLY_SEEDS = 5000


def failures(seeds: range) -> list[str]:
    """What went wrong, each with the command that replays it; on all cores."""
    with ProcessPoolExecutor() as pool:
        found = pool.map(run_study_seed, seeds, chunksize=5)
        return [
            f"{problem}   replay: python -m tests.simulation study {seed}"
            for seed, problem in zip(seeds, found, strict=True)
            if problem
        ]


@pytest.mark.timeout(3600)
def test_every_run_of_a_study_ends_as_its_search_does_undisturbed() -> None:
    """Whatever happens to its processes and to one of its runs, the others end with their
    fingerprints, and what is wrong is named."""
    assert failures(range(SEEDS)) == []


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_five_thousand_further_studies() -> None:
    """The same, for a night: seeds that no default run has seen."""
    assert failures(range(SEEDS, SEEDS + NIGHTLY_SEEDS)) == []


def test_a_calm_study_computes_no_job_twice() -> None:
    """With one worker, an equal job of another run is taken over, always, and nothing is lost."""
    thrifty, alone = StudyWorld(0, swarm=False), StudyWorld(0, swarm=False, reuse=False)
    problems = [thrifty.run(), alone.run()]
    trained = {job: count for job, count in thrifty.trainings.items() if not always_fails(job)}

    assert problems == ["", ""]
    assert alone.reused == 0
    # The first generation is the same for three runs of the one seed, and for two of the other.
    assert thrifty.reused >= 3 * 4
    assert set(trained.values()) == {1}
    assert alone.trainings.keys() == thrifty.trainings.keys()


def test_the_simulated_studies_have_every_damage() -> None:
    """A run that cannot be opened, foreign records in slots of both sorts, and none of these."""
    worlds = [StudyWorld(seed) for seed in range(30)]

    assert {world.damage for world in worlds} == set(DAMAGES)
    assert {world.open_seeds for world in worlds} == {1, 2}
    assert {DAMAGED in world.stores for world in worlds} == {True, False}


# Mutants: each breaks one rule of the worker or the coordinator of a study.


def killed(seeds: range = range(12)) -> bool:
    return any(run_study_seed(seed) for seed in seeds)


def never_ends() -> bool:
    """Whether nobody comes to the end of a study to which nothing happens."""
    for seed in range(4):
        try:
            StudyWorld(seed, swarm=False).run(limit_s=2000)
        except AssertionError as error:
            assert str(error) == "the study does not end"
            return True
    return False


def test_mutant_that_publishes_only_with_the_next_start_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last result of a generation stays with the worker, and the study never ends."""
    start, publish = study.StudyWorker.start, study.StudyWorker.publish_last
    started = []

    def starting(self: study.StudyWorker, attempt: Any) -> Steps[None]:
        started.append(attempt)
        yield from start(self, attempt)

    def late(self: study.StudyWorker) -> Steps[None]:
        while started:
            started.clear()
            yield from publish(self)

    monkeypatch.setattr(study.StudyWorker, "start", starting)
    monkeypatch.setattr(study.StudyWorker, "publish_last", late)
    assert never_ends()


def test_mutant_whose_broken_run_ends_the_worker_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A foreign record in one run leaves the loop of all."""
    original = study.StudyWorker.__init__

    def strict(self, *given, **options):  # type: ignore[no-untyped-def]
        original(self, *given, **{**options, "broken": ()})

    monkeypatch.setattr(study.StudyWorker, "__init__", strict)
    assert killed()


def test_mutant_whose_broken_run_ends_the_coordinators_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One run that somebody has to mend ends the process that coordinates all."""
    original = study_coordinator.StudyCoordinator.__init__

    def strict(self, *given, **options):  # type: ignore[no-untyped-def]
        original(self, *given, **{**options, "broken": ()})

    monkeypatch.setattr(study_coordinator.StudyCoordinator, "__init__", strict)
    assert killed()


def test_mutant_that_closes_a_run_while_others_read_it_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run is over, its seed is not: the others still look for their jobs in it."""

    def hasty(self: study.StudyWorker) -> Steps[None]:
        for served in self._served:
            if served.over and not served.broken:
                served.broken = True
                yield from study.CloseRun(served.label)

    monkeypatch.setattr(study.StudyWorker, "_close_seeds", hasty)
    assert killed()


def test_mutant_that_never_looks_for_runs_opened_late_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who looks once serves the first seed, and waits for ever for the second."""
    original = study.StudyWorker._open

    def once(self: study.StudyWorker, run: study.RunOfStudy) -> Steps[None]:
        yield from original(self, run)
        if run in self._unopened:
            self._unopened.remove(run)

    monkeypatch.setattr(study.StudyWorker, "_open", once)
    assert never_ends()


def test_mutant_that_reuses_by_number_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same member of the same generation of another run is another job."""

    def same_number(self: reuse.Peer, job: reuse.Job) -> Steps[bool]:
        if job.generation not in self._manifests:
            record = yield from self._read(reuse.paths.manifest(job.generation), "manifest")
            if record is None:
                return False
            self._manifests[job.generation] = reuse.Manifest.from_json(record.core)
        return any(other.member == job.member for other in self._manifests[job.generation].jobs)

    monkeypatch.setattr(reuse.Peer, "has", same_number)
    assert killed()


def test_mutant_whose_hopeless_run_ends_the_coordinators_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run whose members all diverged is over; it must not end the coordinators of the others."""
    monkeypatch.setattr(study_coordinator, "NoParentsError", KeyError)
    assert killed(range(3))


def test_terms_that_nobody_is_refused_only_waste_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms save work: with nobody ever refused one, the outcome is the same."""

    def taken(self: worker.Claims, slot: str, attempt: int) -> Steps[bool]:
        yield from ()
        return False

    monkeypatch.setattr(worker.Claims, "moved", taken)
    assert [run_study_seed(seed) for seed in range(5)] == [None] * 5
