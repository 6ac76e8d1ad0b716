"""Coordinates a study: the coordinators of many runs, in turn, in one process.

Coordinators mostly sleep.  Since their protocol yields what it wants done, one process carries
out many of them: each goes on until it sleeps, and the process sleeps until the first of them is
due.  The runs of the earliest seeds that have not ended are in work; a run that is over makes
room for the next seed.  What ends or breaks one run ends no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pbtnas.protocol.addressed import InRun, RunOfStudy
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.operations import (
    AskedToStop,
    Get,
    Now,
    Operation,
    Put,
    Say,
    Sleep,
    Steps,
    Stopping,
    persist,
)
from pbtnas.protocol.reading import adopt, read
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, decode, encode
from pbtnas.search.algorithms import NoParentsError

T = TypeVar("T")

LEAVE_S = 0.01  # between two looks whether all coordinators have given up their terms


@dataclass(frozen=True, slots=True)
class StartCoordinator(Operation[Coordinator | CoordinatorEnding]):
    """Make or open a run and get ready to coordinate it.

    Replies its coordinator, or the ending if that is not to be; raises what is broken in it.
    """

    run: str


@dataclass(frozen=True, slots=True)
class EndCoordinator(Operation[None]):
    """A started coordinator is done; with the ending None, an error ended it.  Replies nothing."""

    run: str
    ending: CoordinatorEnding | None


@dataclass
class StudyOutcomes:
    """What became of the runs so far, by label.

    Args:
        ended: Fingerprint of each run that ended, or the sentence why its search could not go on.
        failed: Labels of those among them that could not go on.
        broken: A sentence for each run that somebody has to mend before it can go on.
        held: Labels of the runs that another process coordinates.
        over: Whether the study's directory says that all runs have ended.
    """

    ended: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    over: bool = False


@dataclass
class _Running:
    """A coordinator at work.

    Args:
        run: Run that it coordinates.
        steps: Protocol of the coordinator, begun.
        due_s: Time at which it goes on, in seconds.
        reply: Reply to its last operation.
        ending: Ending of the coordinator; None while it goes on, and where an error ended it.
    """

    run: RunOfStudy
    steps: Steps[CoordinatorEnding]
    due_s: float = float("-inf")
    reply: Any = None
    ending: CoordinatorEnding | None = None


class StudyCoordinator:
    """Coordinates the runs of a study: all runs of the earliest seeds that have not ended.

    Args:
        study: Id of the study.
        runs: The runs, in the order of the study.
        open_seeds: Number of seeds in work at once.
        new_nonce: Function that makes a string that no other process makes.
        broken: Errors that end the work on a run until somebody mends it.
    """

    def __init__(
        self,
        study: str,
        runs: Sequence[RunOfStudy],
        open_seeds: int,
        new_nonce: Callable[[], str],
        *,
        broken: tuple[type[Exception], ...],
    ) -> None:
        self._study = study
        self._runs = runs
        self._open_seeds = open_seeds
        self._new_nonce = new_nonce
        self._broken = broken
        self._seeds = list(dict.fromkeys(run.seed for run in runs))
        self._waiting = list(runs)
        self._running: list[_Running] = []
        self._outcomes = StudyOutcomes()
        self._known_ends: Mapping[str, str] = {}
        self._leaving = False

    def coordinate(self) -> Steps[StudyOutcomes]:
        """Coordinate until nothing is left to do, another process holds a run, or asked to stop."""
        try:
            yield from self._coordinate()
        except AskedToStop:  # while the disk was full; the same command goes on from here
            pass
        return self._outcomes

    def _coordinate(self) -> Steps[None]:
        # Of a study that is over, nobody works on what could not go on.
        known = yield from read(paths.STUDY_ENDED, "ended", self._study)
        self._known_ends = {} if known is None else known.core["runs"]
        while True:
            yield from self._open()
            now_s = yield from Now()
            for running in [running for running in self._running if running.due_s <= now_s]:
                yield from self._advance(running)
            if not self._waiting and not self._running:
                break
            if self._outcomes.held or (yield from Stopping()):
                break
            now_s = yield from Now()
            due_s = min((running.due_s for running in self._running), default=now_s)
            yield from Sleep(max(0.0, due_s - now_s))
        yield from self._leave()
        if len(self._outcomes.ended) == len(self._runs):
            yield from self._end_study()

    def _end_study(self) -> Steps[None]:
        record = Record("ended", self._study, {"runs": self._outcomes.ended}, {}, self._new_nonce())
        publish = Put(paths.STUDY_ENDED, encode(record, paths.STUDY_ENDED))
        while not self._outcomes.over:
            yield from persist(publish)
            known = yield from adopt(paths.STUDY_ENDED, "ended", self._study)
            self._outcomes.over = known is not None

    def _leave(self) -> Steps[None]:
        """Have every coordinator give up its term."""
        self._leaving = True
        while self._running:
            for running in list(self._running):
                yield from self._advance(running)
            yield from Sleep(LEAVE_S)

    # -- one run -------------------------------------------------------------------------------

    def _open(self) -> Steps[None]:
        """Begin with the runs whose turn it is."""
        unfinished = {running.run.seed for running in self._running}
        unfinished |= {run.seed for run in self._waiting}
        seeds = [seed for seed in self._seeds if seed in unfinished][: self._open_seeds]
        for run in [run for run in self._waiting if run.seed in seeds]:
            if (yield from Stopping()):
                return
            self._waiting.remove(run)
            yield from self._guarded(run, self._start(run))

    def _start(self, run: RunOfStudy) -> Steps[None]:
        if (yield from self._note_end(run)):
            return
        known = self._known_ends.get(run.label, "")
        if " " in known:  # a sentence, not a fingerprint
            raise NoParentsError(known)
        coordinator = yield from StartCoordinator(run.label)
        if isinstance(coordinator, CoordinatorEnding):
            yield from self._note(run, coordinator)
        else:
            self._running.append(_Running(run, coordinator.coordinate()))

    def _advance(self, running: _Running) -> Steps[None]:
        """Let a coordinator go on until it sleeps or ends."""
        if (yield from self._guarded(running.run, self._until_it_sleeps(running))):
            return
        self._running.remove(running)
        running.steps.close()
        yield from self._guarded(running.run, self._end(running))

    def _until_it_sleeps(self, running: _Running) -> Steps[bool]:
        """Returns False if it ended."""
        while True:
            try:
                operation = running.steps.send(running.reply)
            except StopIteration as stop:
                running.ending = stop.value
                return False
            running.reply = None
            if isinstance(operation, Sleep):
                running.due_s = (yield from Now()) + operation.seconds
                return True
            if isinstance(operation, Stopping) and self._leaving:
                running.reply = True
            else:
                running.reply = yield from InRun(running.run.label, operation)

    def _end(self, running: _Running) -> Steps[None]:
        yield from EndCoordinator(running.run.label, running.ending)
        if running.ending is not None:
            yield from self._note(running.run, running.ending)

    def _note(self, run: RunOfStudy, ending: CoordinatorEnding) -> Steps[None]:
        yield from Say(f"{run.label}: {ending.value}")
        if ending is CoordinatorEnding.FINISHED:
            if not (yield from self._note_end(run)):
                self._waiting.append(run)  # its last record was damaged since
        elif ending is not CoordinatorEnding.STOPPED:
            self._outcomes.held.append(run.label)

    def _note_end(self, run: RunOfStudy) -> Steps[bool]:
        """Whether a run is over, and if so, noted down."""
        data = yield from InRun(run.label, Get(paths.FINAL))
        if not isinstance(data, bytes):
            return False
        try:
            core = decode(data, paths.FINAL, kind="final").core
        except CorruptRecord:
            return False  # its coordinator publishes the same again
        self._outcomes.ended[run.label] = core["fingerprint"]
        return True

    def _guarded(self, run: RunOfStudy, steps: Steps[T]) -> Steps[T | None]:
        """Do something for one run; what ends that run does not end the others."""
        try:
            return (yield from steps)
        except NoParentsError as error:
            self._outcomes.ended[run.label] = str(error)
            self._outcomes.failed.append(run.label)
            yield from Say(f"{run.label}: {error}")
        except self._broken as error:
            self._outcomes.broken[run.label] = str(error)
            yield from Say(f"{run.label}: {error}")
        return None
