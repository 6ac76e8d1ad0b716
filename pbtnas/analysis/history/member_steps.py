"""Lists what became of each member in each generation: one flat value for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation
from pbtnas.analysis.history.run import History
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import last_line
from pbtnas.search.space import SearchSpace
from pbtnas.store.finished import named_member
from pbtnas.store.opening import open_files


@dataclass(frozen=True)
class MemberStep:
    """One member in one generation, as far as records tell; what they do not tell is None.

    Args:
        generation: Generation, from 0.
        member: Slot of the member.
        outcome: Outcome: ok, diverged or failed.
        score: Score; None unless ok.
        metrics: Further numbers of its evaluation, by name.
        options: Option of every variable, by name; by position where no space is recorded.
        epochs: Epochs that it was trained in this generation.
        network_epochs: Epochs that the network has been trained in all, its ancestors included.
        base: Slot, one generation earlier, of the parent that it goes on from; None if it was
            there before.
        donor: Slot likewise of the parent that gave modules.
        inherited: Names of the variables that it has from the donor.
        worker: Worker that carried the job out.
        attempt: Number of the attempt that succeeded.
        host: Host name of its machine.
        device: Device of torch.
        train_s: Seconds of training.
        evaluate_s: Seconds of scoring.
        wall_s: Seconds of the whole attempt.
        finished_s: When its result was published, in seconds since the epoch; a hint.
        parameters: Number of parameters of the trained network.
        checkpoint: Digest of the checkpoint, which may be deleted by now.
        failure: Last line of the traceback of a failed one.
    """

    generation: int
    member: int
    outcome: str
    score: float | None
    metrics: Mapping[str, float]
    options: Mapping[str, Any]
    epochs: int | None = None
    network_epochs: int | None = None
    base: int | None = None
    donor: int | None = None
    inherited: tuple[str, ...] = ()
    worker: str | None = None
    attempt: int | None = None
    host: str | None = None
    device: str | None = None
    train_s: float | None = None
    evaluate_s: float | None = None
    wall_s: float | None = None
    finished_s: float | None = None
    parameters: int | None = None
    checkpoint: Digest | None = None
    failure: str | None = None

    @property
    def name(self) -> str:
        """Its name, as `pbtnas.load` and `--which` understand it: g0012-m07."""
        return named_member(self.generation, self.member)


def member_steps(history: History) -> list[MemberStep]:
    """All members of all generations that have a result, by generation and member."""
    with open_files(history.root) as reader:
        files = RecordFiles(reader, history.run or None)
        steps: list[MemberStep] = []
        before: Generation | None = None
        trained: int | None = 0
        for generation in history.generations:
            steps += steps_of(generation, before, trained, files, history.space)
            trained = epochs_after(generation, trained)
            before = generation
    return steps


def epochs_after(generation: Generation, trained: int | None) -> int | None:
    """Epochs that a network has been trained in all after a generation, which trains all alike."""
    job = next(iter(generation.jobs.values()), None)
    return None if job is None or trained is None else trained + job.epochs


def steps_of(
    generation: Generation,
    before: Generation | None,
    trained: int | None,
    files: RecordFiles,
    space: SearchSpace | None,
) -> Iterator[MemberStep]:
    """The members of a generation that have a result.

    Args:
        generation: Generation.
        before: The generation before it; None for the first.
        trained: Epochs of a network before this generation; None if records are lost.
        files: Files of the run, for their times.
        space: The search space of the run, if it is recorded.
    """
    for member, reported in sorted(generation.results.items()):
        result, meta = reported.result, reported.meta
        job = generation.jobs.get(member)
        born = None if before is None else before.births.get(member)
        told = {key: meta.get(key) for key in _TOLD}
        traceback = meta.get("traceback")
        yield MemberStep(
            generation=generation.number,
            member=member,
            outcome=result.outcome,
            score=result.score,
            metrics=result.metrics,
            options=_options(generation, before, member, space),
            epochs=None if job is None else job.epochs,
            network_epochs=None if job is None or trained is None else trained + job.epochs,
            base=None if born is None else born.birth.base,
            donor=None if born is None else born.birth.donor,
            inherited=() if born is None else _variables(born.birth.inherited, space),
            finished_s=files.time(paths.result(generation.number, member, reported.retry)),
            checkpoint=result.checkpoint,
            failure=None if traceback is None else last_line(str(traceback)),
            **told,
        )


_TOLD = (
    *("worker", "attempt", "host", "device", "train_s", "evaluate_s", "wall_s"),
    "parameters",
)


def _options(
    generation: Generation, before: Generation | None, member: int, space: SearchSpace | None
) -> Mapping[str, Any]:
    architecture = generation.architecture(member, before)
    if architecture is None:
        return {}
    if space is None:
        return {str(place): index for place, index in enumerate(architecture)}
    return dict(space.decode(architecture))


def _variables(places: tuple[int, ...], space: SearchSpace | None) -> tuple[str, ...]:
    names = [variable.name for variable in space or ()]
    return tuple(names[place] if names else str(place) for place in places)
