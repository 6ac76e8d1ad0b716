"""Describes what operators ask of a run as data: controls, and what they come to together.

A control is a numbered record, written once.  Who obeys looks at all of them and folds them in the
order of their numbers, so that everybody who has read the same ones does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record
from pbtnas.records.names import Digest, Name


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


ACTIONS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "pause": {},
    "resume": {},
    "cancel": {},
    "stop": {"after_generation": _number},
    "extend": {"generations": _positive},
    "retry": {"generation": _number, "member": _number, "retry": _positive},
    "drain": {"worker": _text},
    "note": {"text": _text},
    "pin": {"generation": _number, "member": _number, "checkpoint": _text},
}
"""What can be asked, and with which keys besides `action`."""


@dataclass(frozen=True)
class Control:
    """Something that an operator asked of the run.

    Args:
        number: Its number.
        core: `action`, and the keys of that action.
        by: Who asked, as the `worker` of a holder; "" if unknown.
        at: When, for people only; "" if unknown.
    """

    number: int
    core: Mapping[str, Any]
    by: str = ""
    at: str = ""

    @property
    def action(self) -> str:
        return str(self.core["action"])


@dataclass(frozen=True)
class Steering:
    """What all controls of a run come to.

    Args:
        controls: The controls, by number.
        settled: Number up to which none may still be missing.
    """

    controls: tuple[Control, ...] = ()
    settled: float = inf

    def of(self, *actions: str) -> tuple[Control, ...]:
        """The controls with one of these actions."""
        return tuple(control for control in self.controls if control.action in actions)

    @property
    def paused(self) -> bool:
        """Whether no job is to be trained now: the last word counts."""
        return [control.action for control in self.of("pause", "resume")][-1:] == ["pause"]

    @property
    def cancelled(self) -> bool:
        """Whether the run is to end without finishing its generation; nothing takes that back."""
        return bool(self.of("cancel"))

    @property
    def drained(self) -> frozenset[str]:
        """Names of workers that are to leave when they have done what they have in hand."""
        return frozenset(str(control.core["worker"]) for control in self.of("drain"))

    @property
    def extensions(self) -> tuple[int, ...]:
        """For each extension, the generations that it adds; as far as their order is known."""
        known = (control for control in self.of("extend") if control.number <= self.settled)
        return tuple(int(control.core["generations"]) for control in known)

    def retries(self, generation: int) -> dict[int, int]:
        """By member, how often its failed job is to be tried again; those who are not, left out."""
        asked: dict[int, int] = {}
        for control in self.of("retry"):
            member, retry = int(control.core["member"]), int(control.core["retry"])
            if control.core["generation"] == generation:
                asked[member] = max(retry, asked.get(member, 0))
        return asked

    def stops(self, generation: int) -> bool:
        """Whether the run is to end after that generation, before any extension."""
        return any(c.core["after_generation"] == generation for c in self.of("stop"))

    def length(self, configured: int) -> int:
        """How many generations the run is about to have."""
        length = configured
        for control in self.of("stop", "extend"):
            if control.action == "extend":
                length += int(control.core["generations"])
            else:
                length = min(length, int(control.core["after_generation"]) + 1)
        return length

    @property
    def pinned(self) -> frozenset[Digest]:
        """Digests of the checkpoints that are kept."""
        return frozenset(Digest(control.core["checkpoint"]) for control in self.of("pin"))


def control_of(number: int, record: Record, name: Name) -> Control:
    """The control that a record holds.

    Raises `CorruptRecord` with one sentence for one that asks nothing that there is.
    """
    core = record.core
    action = core.get("action")
    keys = ACTIONS.get(action) if isinstance(action, str) else None
    if keys is None:
        raise CorruptRecord(
            f"{name}: asks for {action!r}; expected one of {', '.join(sorted(ACTIONS))}"
        )
    for key, fits in keys.items():
        if not fits(core.get(key)):
            raise CorruptRecord(f"{name}: {action} with {key} {core.get(key)!r}")
    if unknown := sorted(core.keys() - keys.keys() - {"action"}):
        raise CorruptRecord(f"{name}: {action} has no key {unknown[0]!r}")
    meta = record.meta
    return Control(number, core, str(meta.get("by", "")), str(meta.get("at", "")))


OUTCOME = frozenset({"stop", "extend", "cancel", "retry"})
"""Actions that change the outcome of a run."""


def end_of(
    leaves: Iterable[str], steering: Steering, says_cancelled: Callable[[Name], bool]
) -> Name | None:
    """The record that says that a run is over, by the names in its directory; None while it goes
    on, or is to go on.

    Args:
        leaves: Names in the directory of the run.
        steering: What operators have asked of it.
        says_cancelled: Whether a record of an end says that the run was cancelled: then it ends
            there, whatever extensions were asked for.
    """
    found = max((n for n in map(paths.final_number, leaves) if n is not None), default=-1)
    if found < 0:
        return None
    end = paths.final(found)
    return end if found >= len(steering.of("extend")) or says_cancelled(end) else None


def by(control: Control) -> str:
    """Who asked, and when, in words."""
    who = f"by {control.by}" if control.by else "by somebody"
    return f"{who} at {control.at}" if control.at else who


def told(control: Control) -> str:
    """What a control asks for, in words."""
    core = control.core
    match control.action:
        case "stop":
            return f"stop after generation {core['after_generation']}"
        case "extend":
            many = core["generations"]
            return f"extend by {many} generation{'' if many == 1 else 's'}"
        case "retry":
            where = f"generation {core['generation']} {paths.member_name(core['member'])}"
            return f"retry {where}" + (f", time {core['retry']}" if core["retry"] > 1 else "")
        case "drain":
            return f"drain {core['worker']}"
        case "pin":
            return f"pin generation {core['generation']} {paths.member_name(core['member'])}"
        case "note":
            return f"note: {core['text']}"
    return control.action
