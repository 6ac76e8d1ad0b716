"""Tells what operators have asked of a run, and what of it holds now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pbtnas.records import paths
from pbtnas.records.controls import Control, Steering, by, told

FEW = 4  # pinned members that a screen names


@dataclass(frozen=True)
class Asked:
    """A control, for people.

    Args:
        number: Its number.
        action: What was asked: pause, resume, stop, extend, drain, note, pin, ...
        text: The same with what it is about, in words.
        by: Who asked, and when, in words.
        holds: Whether it still acts on the run, or on what is kept of it.
    """

    number: int
    action: str
    text: str
    by: str
    holds: bool


@dataclass(frozen=True)
class Pinned:
    """A member whose checkpoint is kept."""

    generation: int
    member: int


def asked(
    steering: Steering, configured: int | None, *, over: bool, working: Collection[str]
) -> tuple[Asked, ...]:
    """All controls of a run, in their order.

    Args:
        steering: The controls.
        configured: Generations by the configuration; None if that cannot be read.
        over: Whether the run is over.
        working: Names of the workers that have not left.
    """
    found = []
    for index, control in enumerate(steering.controls):
        before = Steering(steering.controls[: index + 1])
        text = told(control)
        if control.action == "extend" and configured is not None:
            text = f"{text}, to {before.length(configured)}"
        holds = _holds(control, steering, over=over, working=working)
        found.append(Asked(control.number, control.action, text, by(control), holds))
    return tuple(found)


def _holds(control: Control, steering: Steering, *, over: bool, working: Collection[str]) -> bool:
    core = control.core
    match control.action:
        case "pause":
            return steering.paused and not over and control == steering.of("pause")[-1]
        case "stop":
            # An extension that was asked for later goes on from wherever the run ends.
            extended = max((c.number for c in steering.of("extend")), default=0)
            stops = [c for c in steering.of("stop") if c.number > extended]
            first = min(stops, key=lambda c: (c.core["after_generation"], c.number), default=None)
            return not over and control == first
        case "drain":
            return not over and core["worker"] in working
        case "extend" | "pin":
            return True
        case "resume" | "note":
            return False
    return not over


def pinned(steering: Steering) -> tuple[Pinned, ...]:
    """The members that are pinned, in the order of their generations."""
    found = {(int(c.core["generation"]), int(c.core["member"])) for c in steering.of("pin")}
    return tuple(Pinned(*where) for where in sorted(found))


def facts(controls: Collection[Asked], members: Collection[Pinned]) -> list[str]:
    """What holds, in words, without who asked; that a run is paused, or about to be cancelled, is
    told among the troubles."""
    found = [
        control.text
        for control in controls
        if control.holds and control.action not in ("pause", "cancel", "pin")
    ]
    if len(members) > FEW:
        found.append(f"{len(members)} members are pinned; `pbtnas controls` names them")
    elif members:
        names = ", ".join(f"g{p.generation:04d}-{paths.member_name(p.member)}" for p in members)
        found.append(f"pinned {names}")
    return found
