"""Reads a run directory into data, generation by generation.

Reads write-once records only, so whatever is here is true for good.  A record that is damaged or
missing is listed as a problem and left out; everything else is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import (
    Born,
    ClaimHistory,
    Generation,
    ResultWithMeta,
    TopMember,
    read_attempts,
    read_generation,
)
from pbtnas.processor import Processor, processor_of
from pbtnas.records import paths
from pbtnas.records.controls import Steering, end_of
from pbtnas.records.envelope import Record
from pbtnas.records.names import Name
from pbtnas.records.schema import CANCELLED, Champion, FrontMember
from pbtnas.records.task_code import Codes, known_codes
from pbtnas.search.archive import Archive
from pbtnas.search.objectives import Objectives, recorded
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.store.controls import steering_of
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import check_format, stored_space, with_engine

Told = Callable[[int, int], None]
"""Takes how many generations have been read, and how many there are."""

__all__ = [
    "Told",
    "ClaimHistory",
    "TopMember",
    "Born",
    "FinalRecord",
    "Generation",
    "History",
    "ResultWithMeta",
    "metrics_lines",
]


@dataclass(frozen=True)
class FinalRecord:
    """The outcome of the run; without a front where there is one objective only.

    A cancelled one has the generations that were finished.
    """

    fingerprint: str
    generations: int
    best_ever: Champion | None
    best_last: Champion | None
    front: tuple[FrontMember, ...] | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class History:
    """The history of a run, as its directory records it.

    Args:
        root: Run directory.
        run: Id; "" if `run.json` cannot be read.
        about: Core of `run.json` (seed, task, hash, created, ...); empty likewise.
        config: The resolved configuration (task, search, run, and the engine settings that hold
            now); empty likewise.
        generations: Generations by number, the one in work last.
        terms: Claims of the coordinator's term.
        final: Final record; None until the run is finished.
        problems: Sentences on records that are damaged or missing.
        options: All options of the task that it was started with, defaults included; None where
            they are not recorded.
        space: The search space; None where it is not recorded.
        processor: The processor that it was started with; None where it is not recorded.
        codes: The code of its task.
        steering: What operators have asked of it.
        end: Name of the final record; None until the run is finished.
    """

    root: Path
    run: str
    about: Mapping[str, Any]
    config: Mapping[str, Any]
    generations: tuple[Generation, ...]
    terms: tuple[ClaimHistory, ...]
    final: FinalRecord | None
    problems: tuple[str, ...]
    options: Mapping[str, Any] | None = None
    space: SearchSpace | None = None
    processor: Processor | None = None
    codes: Codes = Codes()
    steering: Steering = Steering()
    end: Name | None = None

    @property
    def length(self) -> int | None:
        """How many generations it has, or is about to have; of a cancelled run, how many it was to
        have.  None if that cannot be read."""
        if self.final is not None and not self.final.cancelled:
            return self.final.generations
        configured = self.config.get("search", {}).get("generations")
        return None if configured is None else self.steering.length(configured)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The configuration, with those options of the task too that were left at their defaults,
        where the run records them."""
        return {**self.config, "task": {**self.config["task"], **(self.options or {})}}

    @classmethod
    def read(cls, run_dir: Path, told: Told = lambda done, count: None) -> History:
        """Read what is there now; a run that has only just begun is read too.

        `told` is called with how many generations have been read, and how many there are.
        Raises `NotYetARun` for a missing or empty directory, `NotARun` for a foreign one, and
        `ForeignRecord` for a newer format version or a record of another run.
        """
        check_format(run_dir)
        with open_files(run_dir) as reader:
            return cls._read(RecordFiles(reader), told)

    @classmethod
    def _read(cls, files: RecordFiles, told: Told) -> History:
        begun, count = cls.beginning(files)
        generations: list[Generation] = []
        for number in range(count):
            told(number, count)
            over = begun.over(number, count)
            generations.append(read_generation(files, number, over, generations))
            files.forget_names()
        told(count, count)
        return replace(begun, generations=tuple(generations), problems=tuple(files.problems))

    def over(self, number: int, count: int) -> bool:
        """Whether all records of a generation have to be there, if there are so many."""
        return self.final is not None or number < count - 1

    @classmethod
    def beginning(cls, files: RecordFiles) -> tuple[History, int]:
        """A run without its generations, and how many of them there are."""
        run_dir = files.root
        begun = files.published(paths.manifest(0))
        run = files.read(paths.RUN, "run", expected=begun)
        files.run = None if run is None else run.run
        config = files.read(paths.CONFIG, "config", expected=begun)
        # How far the run is comes before the rest: what appears meanwhile leaves no gap behind.
        steering = files.steering = _steering(files)
        leaves = (name.rpartition("/")[2] for name in files.names(Name(".")))
        end = end_of(leaves, steering, lambda name: _is_cancelled(files.read(name, "final")))
        final = None if end is None else files.read(end, "final")
        noted = {} if config is None else config.meta
        count = _count(files, final, {} if config is None else config.core, steering)
        begun_run = cls(
            root=run_dir,
            run="" if run is None else run.run,
            about={} if run is None else run.core,
            config={} if config is None else with_engine(config.core, files.bytes, config.run),
            generations=(),
            terms=read_attempts(files, paths.TERM),
            final=None if final is None else _final(final.core),
            problems=tuple(files.problems),
            options=noted.get("options"),
            space=stored_space(noted, None if run is None else run.core.get("space")),
            processor=processor_of(noted),
            codes=Codes() if config is None else known_codes(noted, files.bytes, config.run),
            steering=steering,
            end=end,
        )
        return begun_run, count

    @property
    def objectives(self) -> Objectives:
        """What its members are ranked by."""
        return recorded(self.config.get("search", {}))

    def archives(self) -> list[Archive]:
        """After each generation, what no member up to then dominates; as far as all is known."""
        archive, found = Archive(self.objectives.archive), []
        for generation in self.generations:
            if generation.selection is None:
                break
            archive = archive.after(generation.number, generation.members(self.objectives))
            found.append(archive)
        return found

    def best_so_far(self) -> list[TopMember | None]:
        """After each generation, the best up to then; the earliest of equals."""
        best: TopMember | None = None
        progress = []
        for generation in self.generations:
            found = generation.best
            if found is not None and (best is None or found.score > best.score):
                best = found
            progress.append(best)
        return progress

    def birth(self, generation: int, member: int) -> Born | None:
        """How a member came into that generation; None if it was there before."""
        return self.generations[generation - 1].births.get(member) if generation else None

    def ancestors(self, generation: int, member: int) -> list[int]:
        """The slot of a member's ancestor (through bases) in each generation, its own last."""
        slots = [member]
        for number in range(generation, 0, -1):
            born = self.birth(number, slots[-1])
            slots.append(slots[-1] if born is None else born.birth.base)
        return slots[::-1]

    def architecture(self, generation: int, member: int) -> Architecture | None:
        """What a member was; None if no record tells."""
        before = self.generations[generation - 1] if generation else None
        return self.generations[generation].architecture(member, before)


def metrics_lines(history: History, member: int) -> list[str]:
    """JSON lines about one member, one for each generation that it has a result of.

    Keys: generation, member, outcome, score, metrics, epochs, architecture, worker, attempt,
    train_s, evaluate_s, wall_s; for a member born into that generation also base, donor and
    inherited (indices of variables), and explored if ladders moved.  What is not known is null.
    """
    befores = (None, *history.generations)
    pairs = zip(history.generations, befores, strict=False)
    lines = (metrics_line(generation, before, member) for generation, before in pairs)
    return [line for line in lines if line is not None]


def metrics_line(generation: Generation, before: Generation | None, member: int) -> str | None:
    """The line of `metrics_lines` about one generation; None without a result.

    Args:
        generation: Generation.
        before: Generation before it; None of the first.
        member: Member.
    """
    reported = generation.results.get(member)
    if reported is None:
        return None
    result, meta, job = reported.result, reported.meta, generation.jobs.get(member)
    born = None if before is None else before.births.get(member)
    line: dict[str, Any] = {
        "generation": generation.number,
        "member": member,
        "outcome": result.outcome,
        "score": result.score,
        "metrics": result.metrics,
        "epochs": None if job is None else job.epochs,
        "architecture": generation.architecture(member, before),
    }
    line |= {key: meta.get(key) for key in _TOLD}
    if born is not None:
        birth = born.birth
        line |= {"base": birth.base, "donor": birth.donor, "inherited": birth.inherited}
        line |= {"explored": birth.explored} if birth.explored else {}
    return json.dumps(line)


_TOLD = ("worker", "attempt", "train_s", "evaluate_s", "wall_s")


def _steering(files: RecordFiles) -> Steering:
    try:
        steering, problems = steering_of(files.reader, files.run)
    except NotADirectoryError:
        return Steering()
    except OSError as error:
        files.problems.append(f"{paths.SETTINGS}: cannot be read ({error.strerror})")
        return Steering()
    files.problems += problems
    return steering


def _count(
    files: RecordFiles, final: Record | None, config: Mapping[str, Any], steering: Steering
) -> int:
    """How many generations there are: as the end says, or up to the newest manifest."""
    if final is not None:
        return int(final.core["generations"])
    extended = sum(steering.extensions)
    planned = config.get("search", {}).get("generations")
    hinted = None if planned is None else _hinted(files, planned + extended)
    if hinted is not None:
        return hinted + 1
    directory = paths.directory_of(paths.generation(0))
    numbers = [int(name.rpartition("/")[2]) for name in files.names(directory) if _numbered(name)]
    # A name is made quickly that stands for a million generations.
    most = (len(numbers) if planned is None else planned) + extended
    newest_first = sorted((n for n in numbers if n < most), reverse=True)
    return next((n + 1 for n in newest_first if files.published(paths.manifest(n))), 0)


def _hinted(files: RecordFiles, most: int) -> int | None:
    """The generation that HEAD names, where it is the newest: so that nobody has to list them all.

    None where it is not, or where what comes after it has to be looked at.
    """
    head = files.view(paths.HEAD)
    hinted = None if head is None else paths.hinted(head)
    if hinted is None or hinted >= most or not files.published(paths.manifest(hinted)):
        return None
    # The directory of the next generation is made ahead; that of the one after it is not.
    later = (paths.manifest(hinted + 1), paths.manifest(hinted + 2), paths.generation(hinted + 2))
    return None if any(files.published(name) for name in later) else hinted


def _numbered(name: str) -> bool:
    return name.rpartition("/")[2].isdecimal()


def _final(core: Mapping[str, Any]) -> FinalRecord:
    ever, last, front = core["best_ever"], core["best_last"], core.get("front")
    return FinalRecord(
        fingerprint=core["fingerprint"],
        generations=core["generations"],
        best_ever=Champion.from_json(ever) if ever is not None else None,
        best_last=Champion.from_json(last) if last is not None else None,
        front=None if front is None else tuple(map(FrontMember.from_json, front)),
        cancelled=core.get("ended") == CANCELLED,
    )


def _is_cancelled(final: Record | None) -> bool:
    return final is not None and final.core.get("ended") == CANCELLED
