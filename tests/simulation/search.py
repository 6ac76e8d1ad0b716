"""The simulated search: small, with every outcome, and computed in no time.

Training and mixing are pure functions of what the protocol asks for, so the outcome of the
undisturbed search (`reference`) comes from pure functions alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pbtnas.protocol import generations
from pbtnas.protocol.children import Mix
from pbtnas.protocol.generations import Search
from pbtnas.records.envelope import digest
from pbtnas.records.schema import Child, Job, Result
from pbtnas.search import SearchSpace, ladder, layer, switch
from pbtnas.search.algorithms import pbtnas
from pbtnas.search.exploring import Exploration
from pbtnas.search.objectives import objectives_of
from tests.search.rules import selection_rule

SEARCH = Search(
    space=SearchSpace(
        [layer(f"layer{i}", ("a", "b", "c")) for i in range(3)] + [switch("norm", (False, True))]
    ),
    algorithm=pbtnas,
    selection=selection_rule(4, tau=0.25, replaced=2),
    seed=7,
    population=4,
    generations=4,
    epochs=1,
    first_epochs=2,
    skip_selection=frozenset(),
    threads=1,
    origin="simulated",
)
LADDERS = replace(
    SEARCH,
    space=SearchSpace([*SEARCH.space, ladder("rate", 0.001, 0.1, 9), ladder("size", 1, 3, 2)]),
    exploration=Exploration("step", 2, 0.25),
    origin="ladders",
)
BOUNDED = 5  # epochs with which some jobs report no draw; only of OBJECTIVES
OBJECTIVES = replace(
    SEARCH,
    generations=7,
    epochs=BOUNDED,
    objectives=objectives_of(["score", "draw smaller at_most 5"], archive=3),
    origin="objectives",
)
HOPELESS = 9  # epochs with which every job diverges; only studies have such a run


def trained(job: Job, digits: int = 0) -> Result:
    """Training as a pure function of the job: some diverge, one always fails.

    Args:
        job: the job.
        digits: the sort of machine; another one computes other bits.
    """
    made_of = ["train", job.architecture, job.inputs, job.seed, job.epochs]
    checkpoint = digest(made_of + [digits] * bool(digits))
    draw = int(checkpoint[:8], 16)
    if draw % 7 == 0 or job.epochs == HOPELESS:
        return Result(job.member, "diverged", None, {}, None)
    metrics = {} if job.epochs == BOUNDED and draw % 9 == 0 else {"draw": draw % 7}
    return Result(job.member, "ok", (draw % 997) / 997, metrics, checkpoint)


def always_fails(job: Job) -> bool:
    return job.generation == 1 and job.member == 2


def mixed(mix: Mix, digits: int = 0) -> str:
    """The digest of a child's overlay; machines of another sort compute other bits."""
    made_of = ["mix", mix.base_checkpoint, mix.donor_checkpoint, mix.birth.architecture]
    return digest([*made_of, mix.birth.seed] + [digits] * bool(digits))


def reference(
    search: Search | None = None,
    stopped: Collection[int] = (),
    extended: Sequence[int] = (),
    *,
    cancelled: int | None = None,
    unopened: bool = False,
    retried: Mapping[tuple[int, int], int] | None = None,
) -> str:
    """The fingerprint of the undisturbed search, from the pure functions alone.

    Args:
        search: the search.
        stopped: generations after which an operator has ended it.
        extended: generations that operators have added, one time after the other.
        cancelled: generation in whose midst an operator has ended it.
        unopened: whether that was before that generation had jobs.
        retried: by generation and member, how often a failed job was tried again; it does well.
    """
    search = search or SEARCH
    more, again = list(extended), retried or {}
    manifest = generations.first_manifest(search)
    while True:
        if manifest.generation == cancelled:
            return generations.fingerprint(generations.cancelled(manifest))
        results = {
            job.member: Result(job.member, "failed", None, {}, None)
            if always_fails(job) and (job.generation, job.member) not in again
            else trained(job)
            for job in manifest.jobs
        }
        generation = manifest.generation
        ended = "stop" if generation in stopped and not search.last(generation) else ""
        here = {member: retry for (g, member), retry in again.items() if g == generation}
        selected = generations.select(search, manifest, results, ended=ended, retried=here)
        extension = None
        if ended or search.last(generation):
            if not more:
                return generations.fingerprint(selected)
            extension = generations.extension(search, manifest, selected, more.pop(0))
            search = replace(search, generations=generation + 1 + extension.generations)
        selected, previous = generations.continued(selected, extension)
        if unopened and generation + 1 == cancelled:
            manifest = generations.nothing_more(manifest, previous)
            continue
        children = {}
        for birth in selected.births:
            base = selected.result(birth.base).checkpoint
            donor = selected.result(birth.donor).checkpoint
            assert base is not None and donor is not None
            overlay = mixed(Mix(manifest.generation, birth, base, donor))
            children[birth.member] = Child(birth.member, overlay, base)
        manifest = generations.next_manifest(search, manifest, selected, children, previous)


REFERENCE = reference()
