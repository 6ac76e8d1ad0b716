"""Lets options of a task be searched: `task.search_also` makes ladders of them.

A task says in a table which of its options may differ from member to member, and how far the
ladder of each reaches from the value that the configuration gives.  A member then has options of
its own: those of the task, but for the rungs that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pbtnas.config import setting
from pbtnas.config.fields import closest
from pbtnas.search.ladders import ladder
from pbtnas.search.space import SearchSpace, Variable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Searchable(DataclassInstance, Protocol):
        """The options of a task some of which can be searched."""

        @property
        def search_also(self) -> tuple[str, ...]: ...

    Found = TypeVar("Found", bound=Searchable)


@dataclass(frozen=True)
class Reach:
    """How far the ladder of an option reaches from its value.

    Args:
        words: the same in words, for people.
        make: makes the ladder of that name from the value and the bounds of the option (None
            for none).  Raises `ValueError` for a value around which there is no ladder.
        instead: the option whose value holds where this one is null.
    """

    words: str
    make: Callable[[str, float, float | None, float | None], Variable]
    instead: str | None = None


def times(factor: int, rungs: int, *, integer: bool = False, instead: str | None = None) -> Reach:
    """From the value divided by a factor to the value times it, rungs of one ratio."""

    def make(name: str, value: float, least: float | None, most: float | None) -> Variable:
        if value <= 0:
            raise ValueError(f"{value} has no multiples")
        low: float = round(value / factor) if integer else _rounded(value / factor)
        high = value * factor if integer else _rounded(value * factor)
        low = max(low, least or 0, 1 if integer else 0)
        high = high if most is None else min(high, most)
        return ladder(name, low, high, rungs, integer=integer)

    return Reach(f"from 1/{factor} to {factor} times the value, {rungs} rungs", make, instead)


def towards_one(factor: int, rungs: int) -> Reach:
    """Of a number below 1: its distance to 1 as `times` of it, at most 1."""

    def make(name: str, value: float, least: float | None, most: float | None) -> Variable:
        distances = times(factor, rungs).make(name, _rounded(1 - value), 0, 1).options
        from_low = [_rounded(1 - d) for d in reversed(distances) if isinstance(d, float)]
        return Variable(name, tuple(from_low), ordered=True)

    words = f"its distance to 1 from 1/{factor} to {factor} times that of the value, {rungs} rungs"
    return Reach(words, make)


def up_to(factor: int) -> Reach:
    """Every whole number from 1 to the value times a factor."""

    def make(name: str, value: float, least: float | None, most: float | None) -> Variable:
        high = round(value * factor)
        return ladder(name, 1, high, high, scale="linear", integer=True)

    return Reach(f"every whole number from 1 to {factor} times the value", make)


def search_also(reaches: Mapping[str, Reach]) -> Any:
    """The field `search_also` of a task's options."""
    words = "; ".join(f"{name} ({reach.words})" for name, reach in reaches.items())
    return setting((), newer=True, help=f"Options that are searched with the networks: {words}.")


def conflicts(
    options: Searchable, reaches: Mapping[str, Reach], *, shapes: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """What is wrong with `search_also`, for `parse`.

    Args:
        options: the options of the task.
        reaches: the options that can be searched.
        shapes: the options that decide shapes of tensors.
    """
    wanted = options.search_also
    may = f"some of {', '.join(reaches)}"
    if len(set(wanted)) < len(wanted):
        yield "search_also", f"{may}, each once"
    known = [f.name for f in fields(options)]
    for name in dict.fromkeys(wanted):
        if name in reaches:
            fault = _fault(options, name, reaches[name])
            if fault is not None:
                yield name, fault
        elif name in shapes:
            yield "search_also", f"{may}, since {name} decides shapes of tensors, which cannot move"
        elif name in known:
            yield "search_also", f"{may}, since {name} is the same for all members"
        else:
            match = closest(name, known)
            hint = f"; did you mean {match!r}?" if match else ""
            yield "search_also", f"{may}, since the task has no option {name!r}{hint}"


def with_ladders(
    space: SearchSpace, options: Searchable, reaches: Mapping[str, Reach]
) -> SearchSpace:
    """The space with a ladder behind its variables for each option that is searched."""
    if not options.search_also:
        return space
    found = [
        _ladder(options, name, reaches[name]) for name in reaches if name in options.search_also
    ]
    return SearchSpace([*space, *found])


def of_member(options: Found, choices: Mapping[str, Any]) -> Found:
    """The options of a member that has these choices; of none, those of the task."""
    rungs = {name: choices[name] for name in options.search_also if name in choices}
    return replace(options, **rungs) if rungs else options


def most(options: Searchable, name: str, reaches: Mapping[str, Reach]) -> Any:
    """The largest value that a member can have of an option."""
    if name not in options.search_also:
        return getattr(options, name)
    return _ladder(options, name, reaches[name]).options[-1]


def _ladder(options: Searchable, name: str, reach: Reach) -> Variable:
    value = getattr(options, name)
    if value is None and reach.instead is not None:
        value = getattr(options, reach.instead)
    (bounds,) = (f.metadata for f in fields(options) if f.name == name)
    return reach.make(name, value, bounds.get("min"), bounds.get("max"))


def _fault(options: Searchable, name: str, reach: Reach) -> str | None:
    """What was expected of an option around which there is no ladder."""
    try:
        _ladder(options, name, reach)
    except ValueError as error:
        return f"a value around which task.search_also can lay a ladder, {reach.words} ({error})"
    return None


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
