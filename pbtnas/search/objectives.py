"""Objectives: numbers of a result that selection looks at, and what makes one of them better.

An objective is written "parameters smaller" or "fid smaller at_most 40"; "score" alone is larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pbtnas.errors import ExitCode, PbtnasError

SCORE = "score"
ARCHIVE = 24
COUNTED = frozenset({"parameters", "multiply_adds"})
"""Numbers of the trained network that are counted where an objective asks for them."""
EXAMPLE = '"fid smaller", "accuracy larger at_least 0.9" or "parameters smaller at_most 1e6"'


class NoObjective(PbtnasError, ValueError):
    """Text that is no objective; says what was expected."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Objective:
    """One number to select by.

    Args:
        name: `score`, or the name of a metric.
        direction: Which values are better.
        at_least: Smallest value that is within bounds.
        at_most: Largest value that is within bounds.
    """

    name: str
    direction: Literal["larger", "smaller"] = "larger"
    at_least: float | None = None
    at_most: float | None = None

    def gain(self, value: float) -> float:
        """The value turned so that larger is better."""
        return value if self.direction == "larger" else -value

    def outside(self, value: float) -> float:
        """How far outside of its bounds a value is, as a share of the bound; 0 within them.

        Of a bound of 0, the distance itself.
        """
        for bound, beyond in ((self.at_least, -1), (self.at_most, 1)):
            if bound is not None and (value - bound) * beyond > 0:
                return abs(value - bound) / (abs(bound) or 1.0)
        return 0.0

    def __str__(self) -> str:
        bounds = (("at_least", self.at_least), ("at_most", self.at_most))
        told = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
        return " ".join([self.name, self.direction, *told])


@dataclass(frozen=True)
class Standing:
    """A result as the objectives see it.

    Args:
        gains: Value of each objective, larger is better.
        outside: How far outside of all bounds together; 0 within them.
    """

    gains: tuple[float, ...]
    outside: float


@dataclass(frozen=True)
class Objectives:
    """What members are ranked by, and how many of the best are kept.

    Args:
        each: Objectives, the most important one first.
        archive: Most members that no other dominates that are kept.
    """

    each: tuple[Objective, ...] = (Objective(SCORE),)
    archive: int = ARCHIVE

    @property
    def several(self) -> bool:
        """Whether there is a front: with a single objective there is one best."""
        return len(self.each) > 1

    @property
    def only_score(self) -> bool:
        """Whether members are ranked by nothing but their score."""
        return self.each == (Objective(SCORE),)

    @property
    def counted(self) -> frozenset[str]:
        """The numbers that are counted for these objectives."""
        return COUNTED.intersection(objective.name for objective in self.each)

    def missing(self, numbers: Mapping[str, float]) -> list[str]:
        """Names of the objectives without a finite value."""
        return [o.name for o in self.each if not math.isfinite(numbers.get(o.name, math.nan))]

    def standing(self, numbers: Mapping[str, float]) -> Standing:
        """How a member with these numbers stands, none of which is `missing`."""
        values = [(objective, numbers[objective.name]) for objective in self.each]
        return Standing(
            tuple(objective.gain(value) for objective, value in values),
            sum(objective.outside(value) for objective, value in values),
        )

    def values(self, gains: Sequence[float]) -> dict[str, float]:
        """The values by name, as they were reported, of what was turned by `standing`."""
        # Turned twice, a value is what it was.
        return {o.name: o.gain(gain) for o, gain in zip(self.each, gains, strict=True)}


BY_SCORE = Objectives()
"""The score alone, as every run has it that does not say otherwise."""


def objective_of(text: str) -> Objective:
    """The objective that a text such as "fid smaller at_most 40" describes.

    Raises `NoObjective`.
    """
    words = text.split()
    bounds: dict[str, float] = {}
    while len(words) > 2 and words[-2] in ("at_least", "at_most"):
        bound, word = words.pop(), words.pop()
        if word in bounds:
            raise NoObjective(f"{word} once in {text!r}")
        bounds[word] = _number(bound, text)
    direction = words.pop() if len(words) > 1 and words[-1] in ("larger", "smaller") else None
    name = " ".join(words)
    reserved = {"larger", "smaller", "at_least", "at_most"}.intersection(words)
    if not name or reserved:
        raise NoObjective(f"objectives such as {EXAMPLE}, not {text!r}")
    if name == SCORE and direction == "smaller":
        raise NoObjective("the score larger: a task's score is what is to be maximised")
    if name != SCORE and direction is None:
        raise NoObjective(f"larger or smaller at the end of {name!r}, as in 'parameters smaller'")
    if bounds.get("at_least", -math.inf) > bounds.get("at_most", math.inf):
        raise NoObjective(f"at_least to be at most at_most in {text!r}")
    return Objective(
        name,
        "smaller" if direction == "smaller" else "larger",
        bounds.get("at_least"),
        bounds.get("at_most"),
    )


def objectives_of(texts: Sequence[str], archive: int) -> Objectives:
    """The objectives that texts describe.  Raises `NoObjective`, also for one named twice."""
    each = tuple(map(objective_of, texts))
    if not each:
        raise NoObjective(f"at least one objective, such as {EXAMPLE}")
    twice = next(_repeated([objective.name for objective in each]), None)
    if twice is not None:
        raise NoObjective(f"every objective once, but {twice!r} is there twice")
    return Objectives(each, archive)


def recorded(search: Mapping[str, Any]) -> Objectives:
    """The objectives in the section `search` of a stored configuration.

    Raises `NoObjective` for what no run has stored.
    """
    return objectives_of(search.get("objectives", (SCORE,)), search.get("archive", ARCHIVE))


def _repeated(names: Sequence[str]) -> Iterator[str]:
    return (name for i, name in enumerate(names) if name in names[:i])


def _number(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise NoObjective(f"a number as the bound in {text!r}, not {word!r}")
    return value
