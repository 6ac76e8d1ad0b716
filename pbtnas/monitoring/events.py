"""Tells what has happened in a generation, as lines for people, from its records.

When it happened is the time of the file, which is a hint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pbtnas.analysis.history.generation import ClaimHistory, Generation, ResultWithMeta
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.records.schema import NO_FAILURE, last_line

Time = Callable[[Name], float | None]


@dataclass(frozen=True)
class Event:
    """Something that a record tells.

    Args:
        at: Time, in seconds since the epoch; None if unknown.
        generation: Generation.
        member: Member; None if it is about the generation as a whole.
        kind: What happened: opened, ok, diverged, failed, selected, born, or the class of an
            attempt's failure (error, oom, crash, ...).
        worker: Who did it; "" if nobody is named.
        text: The rest, in words.
    """

    at: float | None
    generation: int
    member: int | None
    kind: str
    worker: str
    text: str

    @property
    def bad(self) -> bool:
        """Whether it is bad news."""
        return self.kind not in ("opened", "ok", "selected", "born")

    @property
    def line(self) -> str:
        """All but the time."""
        who = "" if self.member is None else f" {paths.member_name(self.member)}"
        by = f", {self.worker}" if self.worker else ""
        return f"g{self.generation:04d}{who} {self.kind}: {self.text}{by}"


def events(generation: Generation, time: Time) -> list[Event]:
    """What has happened in a generation, in the order of the times of its files."""
    found = [*_whole(generation, time), *_attempts(generation, time), *_results(generation, time)]
    # Sorting is stable: of what has one time, results come before the selection made of them.
    found.sort(key=lambda event: (event.kind == "selected", event.at or 0.0))
    return [*found, *_births(generation, time)]


def _whole(generation: Generation, time: Time) -> Iterator[Event]:
    number = generation.number
    opened = time(paths.manifest(number))
    yield Event(opened, number, None, "opened", "", f"{len(generation.jobs)} members")
    if generation.selection is not None:
        best, count = generation.best, len(generation.births)
        name = "" if best is None else f" ({paths.member_name(best.member)})"
        told = "nobody has a score" if best is None else f"best {best.score:.6g}{name}"
        replaced = f"; {count} replaced by children" if count else ""
        yield Event(time(paths.selection(number)), number, None, "selected", "", told + replaced)


def _births(generation: Generation, time: Time) -> Iterator[Event]:
    """Births into the next generation that have a record: others are to come, or never will where
    the run was cancelled."""
    for member, born in sorted(generation.births.items()):
        parents = dict.fromkeys((born.birth.base, born.birth.donor))
        text = f"child of {' + '.join(map(paths.member_name, parents))}"
        at = time(paths.birth(generation.number, member))
        if at is None and born.child is None:
            continue
        yield Event(at, generation.number + 1, member, "born", "", text)


def _attempts(generation: Generation, time: Time) -> Iterator[Event]:
    for member, attempts in generation.attempts.items():
        for attempt in attempts:
            if attempt.end is not None and attempt.ended not in NO_FAILURE:
                yield _failed_attempt(generation.number, member, attempt, time)


def _failed_attempt(number: int, member: int, attempt: ClaimHistory, time: Time) -> Event:
    end = attempt.end or {}
    text = last_line(str(end.get("text", ""))) or "no message"
    at = time(paths.end(attempt.slot, attempt.number))
    worker = str(end.get("worker", attempt.holder.get("worker", "")))
    return Event(at, number, member, attempt.ended, worker, f"attempt {attempt.number}: {text}")


def _results(generation: Generation, time: Time) -> Iterator[Event]:
    for member, reported in generation.results.items():
        at = time(paths.result(generation.number, member, reported.retry))
        worker = str(reported.meta.get("worker", ""))
        outcome = reported.result.outcome
        yield Event(at, generation.number, member, outcome, worker, _told(reported))


def _told(reported: ResultWithMeta) -> str:
    meta: Mapping[str, object] = reported.meta
    if reported.result.outcome == "failed":
        text = last_line(str(meta.get("traceback", ""))) or "no message"
        return f"{meta.get('class', '?')}: {text}"
    if reported.result.outcome == "diverged":
        return str(meta.get("diverged", "no finite score"))
    took_s = meta.get("wall_s")
    took = f" in {took_s:.1f} s" if isinstance(took_s, int | float) else ""
    score = reported.result.score
    return ("no score" if score is None else f"score {score:.6g}") + took
