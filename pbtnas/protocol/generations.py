"""Computes one generation from the other: pure functions between the slots of the protocol.

manifest -> results -> selection -> children -> next manifest.  Same inputs, same bytes: whoever
computes them, they agree, and the first to publish decides nothing but whose copy is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pbtnas.errors import ExitCode
from pbtnas.records import paths
from pbtnas.records.causes import cause, mistake, nobody_left, without
from pbtnas.records.envelope import Record, digest
from pbtnas.records.members import lacking, members_of, unreported
from pbtnas.records.names import Digest
from pbtnas.records.schema import (
    CANCELLED,
    Champion,
    Child,
    Extension,
    FrontMember,
    Job,
    Manifest,
    Result,
    Selected,
)
from pbtnas.search.algorithms import Algorithm, NoParentsError, SelectionRule
from pbtnas.search.births import Birth
from pbtnas.search.exploring import Exploration, explore
from pbtnas.search.objectives import BY_SCORE, Objectives
from pbtnas.search.population import (
    Member,
    every_architecture,
    initial_population,
    rank,
    with_one_network,
)
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture, SearchSpace


@dataclass(frozen=True)
class Search:
    """Holds everything that decides the outcome of a run besides the training itself.

    Args:
        space: Search space of the task.
        algorithm: Function that returns the births of a generation.
        selection: Counts and probabilities.
        seed: Seed of the run.
        population: Number of members.
        generations: Number of generations.
        epochs: Number of epochs that a generation trains.
        first_epochs: Number of epochs that the first generation trains.
        skip_selection: Generations after which only failed members are replaced.
        threads: Number of torch threads of a job.
        origin: Digest of configuration and task; the root of the hash chain.
        products: SHA-256 of the task's products that results rest on, by name.
        start: How the architectures of generation 0 are chosen, as in `SearchConfig`.
        objectives: What members are ranked by.
        exploration: How ladders move in children.
        architectures: [population] architecture of each member in generation 0, with start
            "listed"; () otherwise.
        schedule: [generations] architecture that every member has in each generation; () where
            members keep their own.
    """

    space: SearchSpace
    algorithm: Algorithm
    selection: SelectionRule
    seed: int
    population: int
    generations: int
    epochs: int
    first_epochs: int
    skip_selection: frozenset[int]
    threads: int
    origin: Digest
    products: Mapping[str, str] = field(default_factory=dict)
    start: Literal["stratified", "every", "one-network", "listed"] = "stratified"
    objectives: Objectives = BY_SCORE
    exploration: Exploration = Exploration()
    schedule: tuple[Architecture, ...] = ()
    architectures: tuple[Architecture, ...] = ()

    def last(self, generation: int) -> bool:
        return generation == self.generations - 1


def first_manifest(search: Search) -> Manifest:
    """Generation 0: freshly created members of the initial population."""
    if search.schedule:
        architectures = [search.schedule[0]] * search.population
    elif search.start == "listed":
        architectures = list(search.architectures)
    elif search.start == "every":
        architectures = every_architecture(search.space)
    else:
        rng = stream(search.seed, "population")
        architectures = initial_population(search.space, search.population, rng)
        if search.start == "one-network":
            architectures = with_one_network(search.space, architectures)
    jobs = tuple(
        _job(search, 0, member, architecture, ())
        for member, architecture in enumerate(architectures)
    )
    return Manifest(0, search.origin, 0, jobs, search.products)


def other_product(started: Mapping[str, str], used: Mapping[str, str]) -> str | None:
    """One sentence about the first product that is not the one a run was started with, or None.

    Args:
        started: the products that the first manifest names; none in runs begun before products
            were recorded, which go on with those that are there.
        used: the products that somebody works with.
    """
    if not started:
        return None
    for name in sorted(started.keys() | used.keys()):
        if started.get(name) != used.get(name):
            return (
                f"{paths.product(name)}: this run was started with {_shown(started.get(name))}, "
                f"and here is {_shown(used.get(name))}; restore the file and use the code and the "
                "versions of then, or start a new run"
            )
    return None


def _shown(sha256: str | None) -> str:
    return "no such product" if sha256 is None else f"the product with SHA-256 {sha256[:12]}..."


class MistakeInTask(NoParentsError):
    """All members of the first generation failed by one and the same mistake in the task's file."""

    exit_code = ExitCode.USAGE


class UnknownObjective(NoParentsError):
    """No member of the first generation reports an objective of the configuration."""

    exit_code = ExitCode.USAGE


def select(
    search: Search,
    manifest: Manifest,
    results: Mapping[int, Result],
    causes: Mapping[int, str] | None = None,
    *,
    ended: str = "",
    retried: Mapping[int, int] | None = None,
) -> Selected:
    """Rank a finished generation and decide the births of the next.

    Args:
        search: Search that the generation belongs to.
        manifest: Manifest of the generation.
        results: Result of each member.
        causes: Why a member has no score, in words; they decide nothing.
        ended: "stop" where an operator ends the run after it, although it is not the last.
        retried: By member, which retry of its job the result is of.

    Raises `NoParentsError` when nobody can go on; `MistakeInTask` when the user's file is why,
    and `UnknownObjective` when the configuration is.
    """
    if manifest.generation == 0:
        _check_objectives(search.objectives, results)
    members = members_of(search.objectives, manifest.jobs, results)
    if all(member.score is None for member in members):
        told = {number: cause(result, {}) for number, result in results.items()} | dict(
            causes or {}
        )
        told |= {
            number: without(names)
            for number, result in results.items()
            if (names := lacking(search.objectives, result))
        }
        by_mistake = mistake(manifest.generation, told.values())
        raise (MistakeInTask if by_mistake else NoParentsError)(
            nobody_left(manifest.generation, told.values())
        )
    return Selected(
        generation=manifest.generation,
        manifest=Record("manifest", "", manifest.to_json()).digest,
        ranking=tuple(member.number for member in rank(members)),
        births=() if ended else _births(search, manifest.generation, members),
        results=tuple(results[job.member] for job in manifest.jobs),
        ended=ended,
        retried={member: retry for member, retry in sorted((retried or {}).items()) if retry},
    )


def cancelled(manifest: Manifest) -> Selected:
    """The end of a run in the midst of a generation: nobody is ranked, and nothing follows."""
    manifest_digest = Record("manifest", "", manifest.to_json()).digest
    return Selected(manifest.generation, manifest_digest, (), (), (), ended=CANCELLED)


def nothing_more(manifest: Manifest, previous: Digest) -> Manifest:
    """The generation after, of a run that was cancelled before it was opened: without jobs."""
    return Manifest(manifest.generation + 1, previous, manifest.config, ())


def extension(search: Search, manifest: Manifest, selected: Selected, count: int) -> Extension:
    """How the run goes on for so many generations after one that would have been its last.

    The births are those of a run that had as many generations from the beginning.
    """
    generation = manifest.generation
    results = {result.member: result for result in selected.results}
    members = members_of(search.objectives, manifest.jobs, results)
    return Extension(
        generation=generation,
        selection=Record("selection", "", selected.to_json()).digest,
        generations=count,
        births=_births(replace(search, generations=generation + 1 + count), generation, members),
    )


def _check_objectives(objectives: Objectives, results: Mapping[int, Result]) -> None:
    """Raise `UnknownObjective` for one that no member with a score reports."""
    if sentence := unreported(objectives, results.values()):
        raise UnknownObjective(sentence)


def continued(selected: Selected, extension: Extension | None) -> tuple[Selected, Digest]:
    """A selection with the births of the generation after, and what that one's manifest names as
    previous."""
    if extension is None:
        return selected, Record("selection", "", selected.to_json()).digest
    births = replace(selected, births=extension.births)
    return births, Record("extension", "", extension.to_json()).digest


def next_manifest(
    search: Search,
    manifest: Manifest,
    selected: Selected,
    children: Mapping[int, Child],
    previous: Digest | None = None,
) -> Manifest:
    """The generation after: children in their slots, all others from their own checkpoints.

    `previous` is what it continues; the selection, if not given.

    A member without checkpoint and without birth (a failure under random search) is left out
    from here on.
    """
    generation = manifest.generation + 1
    births = {birth.member: birth for birth in selected.births}
    jobs = []
    for job in manifest.jobs:
        checkpoint = selected.result(job.member).checkpoint
        if job.member in births:
            child = children[job.member]
            architecture = births[job.member].architecture
            inputs: tuple[Digest, ...] = (child.overlay, child.base)
        elif checkpoint is not None:
            architecture, inputs = job.architecture, (checkpoint,)
            if search.schedule:
                architecture = search.schedule[generation]
        else:
            continue
        jobs.append(_job(search, generation, job.member, architecture, inputs))
    previous = previous or Record("selection", "", selected.to_json()).digest
    return Manifest(generation, previous, manifest.config, tuple(jobs))


def fingerprint(selected: Selected) -> Digest:
    """The fingerprint of a run: the digest of its last selection, which holds the hash chain."""
    return digest(["pbtnas", Record("selection", "", selected.to_json()).digest])


def champion(manifest: Manifest, selected: Selected) -> Champion | None:
    """The member with the best score of a generation, the lowest number of equals; None if nobody
    has a score."""
    scores = {r.member: r.score for r in selected.results if r.score is not None}
    number = max(scores, key=lambda member: (scores[member], -member), default=None)
    best = None if number is None else selected.result(number)
    if best is None or best.score is None or best.checkpoint is None:
        return None
    return Champion(
        generation=selected.generation,
        member=best.member,
        score=best.score,
        architecture=manifest.job(best.member).architecture,
        checkpoint=best.checkpoint,
    )


def ending(
    count: int,
    selected: Selected,
    best: Champion | None,
    last: Champion | None,
    front: Sequence[FrontMember] | None = None,
    *,
    cancelled: bool = False,
) -> dict[str, Any]:
    """The core of the record that a run is over.

    Args:
        count: Number of generations that were finished.
        selected: Selection of the last generation.
        best: Best member of all generations.
        last: Best member of the last generation that was finished.
        front: Members that no other dominates, best in the first objective first; None where
            there is only one objective.
        cancelled: Whether an operator has ended the run in the midst of the generation after.
    """
    core = {
        "fingerprint": fingerprint(selected),
        "generations": count,
        "best_ever": best and best.to_json(),
        "best_last": last and last.to_json(),
    }
    if front is not None:
        core["front"] = [member.to_json() for member in front]
    return {**core, "ended": CANCELLED} if cancelled else core


def _births(search: Search, generation: int, members: Sequence[Member]) -> tuple[Birth, ...]:
    if search.last(generation):
        return ()
    selection = search.selection
    if generation in search.skip_selection:
        selection = replace(selection, replaced=0)
    births = search.algorithm(members, search.space, selection, search.seed, generation)
    return explore(births, search.space, search.exploration, search.seed, generation)


def _job(
    search: Search,
    generation: int,
    member: int,
    architecture: Architecture,
    inputs: tuple[Digest, ...],
) -> Job:
    return Job(
        generation=generation,
        member=member,
        architecture=architecture,
        inputs=inputs,
        seed=derive(search.seed, "job", generation, member),
        epochs=search.epochs if generation else search.first_epochs,
        threads=search.threads,
    )
