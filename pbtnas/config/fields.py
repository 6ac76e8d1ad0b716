"""Frozen dataclasses as checked configuration: every fault at once, each in one sentence.

A field's type, default, range and help are written once, in the dataclass; `parse` checks by
them and `describe_fields` prints them.  The sections of a config are made this way, and so are
the options of a task.
"""

from __future__ import annotations

import difflib
import json
import sys
import textwrap
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.tabular import aligned

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_UNIONS = (types.UnionType, Union)  # `int | None` is the one, `Literal["a"] | None` the other


class ConfigError(PbtnasError):
    """What is wrong with a configuration, all of it.

    Args:
        problems: Problems, one sentence each, beginning with the place ("configs/x.yaml:12") where
            there is one and the dotted key.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


@runtime_checkable
class Checked(Protocol):
    """A dataclass with rules between its fields; `parse` asks it once the fields are right."""

    def conflicts(self) -> Iterable[tuple[str, str]]:
        """(key, what was expected of it) for every rule that is broken."""


def setting(default: Any = MISSING, *, help: str = "", newer: bool = False) -> Any:
    """Declare a field that is not a number; required unless it has a default.

    Args:
        default: Default, of the declared type.
        help: Sentence for the user.
        newer: Whether there were runs before there was this field; at its default it is not
            written, so that a run has the fingerprint that it would have had then.
    """
    return field(default=default, metadata={"help": help, "newer": newer})


def number(
    default: Any = MISSING,
    *,
    min: float | None = None,
    max: float | None = None,
    help: str = "",
    newer: bool = False,
) -> Any:
    """Declare a field that is a number or a tuple of numbers; required unless it has a default.

    Args:
        default: Default, of the declared type.
        min: Smallest value allowed, for each item of a tuple.
        max: Largest value allowed.
        help: Sentence for the user, with the unit.
        newer: Whether there were runs before there was this field, as of `setting`.
    """
    metadata = {"min": min, "max": max, "help": help, "newer": newer}
    return field(default=default, metadata=metadata)


def parse(
    cls: type[T], values: Mapping[str, Any], where: str, places: Mapping[str, str] | None = None
) -> T:
    """Make a dataclass from plain data, as read from YAML or JSON.

    Field types may be int, float, str, bool, Literal[...], X | None and tuple[X, ...].  An
    integer is accepted for a float, 1e3 for an integer, a list for a tuple; a bool is no
    number, and numbers are finite.

    Args:
        cls: Dataclass whose fields are made by `number`, `setting` or plain defaults.
        values: Values that the user gave, by field name.
        where: Name of the section, the first part of dotted keys in messages.
        places: "file:line" by key, and by "" that of the section itself.

    Raises `ConfigError` with every problem found.
    """
    report = _Report(where, places or {})
    known = {f.name: f for f in fields(cls)}
    hints = get_type_hints(cls)
    meant = {report.unknown(key, list(known)) for key in values if key not in known}
    arguments = {}
    for name, declared in known.items():
        expected = _declared(declared, hints[name])
        if name in values:
            try:
                arguments[name] = _fit(values[name], hints[name], declared.metadata)
            except _Unfit:
                advice = _advice(values[name], hints[name])
                report.add(name, f"expected {expected}, not {show(values[name])}{advice}")
        elif _is_required(declared) and name not in meant:
            report.add(name, f"missing; expected {expected}")
    if report.problems:
        raise ConfigError(report.problems)
    made = cls(**arguments)
    if isinstance(made, Checked):
        for name, expected in made.conflicts():
            report.add(name, f"expected {expected}, not {show(getattr(made, name))}")
    if report.problems:
        raise ConfigError(report.problems)
    return made


def unknown(kind: str, name: str, allowed: Sequence[str]) -> str:
    """The sentence for a name that does not exist, with the one that was probably meant."""
    match = closest(name, allowed)
    hint = f" did you mean {match!r}?" if match else ""
    return f"unknown {kind};{hint} allowed: {', '.join(allowed)}"


def closest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like this one, or None if none is much like it."""
    matches = difflib.get_close_matches(name.lower().replace("-", "_"), allowed, n=1)
    return matches[0] if matches else None


def show(value: Any) -> str:
    """A value as JSON, for messages; long ones are cut."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def describe_fields(cls: type[DataclassInstance]) -> str:
    """A table of a dataclass's fields for people: name, default, what is expected, help."""
    hints = get_type_hints(cls)
    heads = aligned(
        (f.name, _default(f), _expected(hints[f.name], f.metadata)) for f in fields(cls)
    )
    lines = []
    for head, declared in zip(heads, fields(cls), strict=True):
        lines.append(f"  {head}")
        text = declared.metadata.get("help", "")
        if text:
            lines.append(textwrap.fill(text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join(lines)


class _Report:
    """Collects the problems of one section, each with its place and dotted key."""

    def __init__(self, where: str, places: Mapping[str, str]) -> None:
        self.where = where
        self.places = places
        self.problems: list[str] = []

    def add(self, key: str, sentence: str) -> None:
        place = self.places.get(key) or self.places.get("")
        at = f"{place}: " if place else ""
        self.problems.append(f"{at}{self.where}.{key}: {sentence}")

    def unknown(self, key: str, allowed: Sequence[str]) -> str | None:
        """Report an unknown key; returns the key that was probably meant."""
        self.add(key, unknown("key", key, allowed))
        return closest(key, allowed)


class _Unfit(ValueError):
    """The value is not of the field's type, or out of its range."""


def _fit(value: Any, hint: Any, bounds: Mapping[str, Any]) -> Any:
    """The value as the field's type.  Raises `_Unfit`."""
    origin = get_origin(hint)
    if origin in _UNIONS:
        return None if value is None else _fit(value, _not_none(hint), bounds)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_fit(item, get_args(hint)[0], bounds) for item in value)
    if origin is Literal and any(type(value) is type(a) and value == a for a in get_args(hint)):
        return value
    if hint in (int, float):
        return _fit_number(value, hint, bounds)
    if hint in (str, bool) and type(value) is hint:
        return value
    raise _Unfit


def _fit_number(value: Any, kind: type[int] | type[float], bounds: Mapping[str, Any]) -> Any:
    low, high = bounds.get("min"), bounds.get("max")
    if type(value) not in (int, float):  # bool is a subclass of int
        raise _Unfit
    # Also false for NaN, and for integers too large to become a float.
    if not abs(value) <= sys.float_info.max or (kind is int and value != int(value)):
        raise _Unfit
    if (low is not None and value < low) or (high is not None and value > high):
        raise _Unfit
    return kind(value)


def _declared(declared: Field[Any], hint: Any) -> str:
    """The field's type and range in words.

    Raises `TypeError` for a type that no configuration has, and a default of another type.
    """
    try:
        expected = _expected(hint, declared.metadata)
        if not _is_required(declared):
            _fit(_made(declared), hint, declared.metadata)
    except TypeError as error:
        raise TypeError(f"field {declared.name!r}: {error}") from None
    except _Unfit:
        found = f"default {show(_made(declared))}, expected {expected}"
        raise TypeError(f"field {declared.name!r}: {found}") from None
    return expected


def _expected(hint: Any, bounds: Mapping[str, Any]) -> str:
    """The field's type and range in words."""
    origin = get_origin(hint)
    if origin in _UNIONS:
        return f"{_expected(_not_none(hint), bounds)} or null"
    if origin is tuple:
        return f"a list, each item {_expected(get_args(hint)[0], bounds)}"
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    words = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
    if hint not in words:
        raise TypeError(
            f"an option cannot be of type {getattr(hint, '__name__', hint)}, but int, float, str, "
            "bool, Literal, X | None or tuple[X, ...]"
        )
    return words[hint] + _range(bounds.get("min"), bounds.get("max"))


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"


def _advice(value: Any, hint: Any) -> str:
    if get_origin(hint) is Literal and isinstance(value, str):
        match = closest(value, [str(a) for a in get_args(hint)])
        return f"; did you mean {match!r}?" if match else ""
    if hint is str and isinstance(value, bool | int | float):
        return "; put it in quotes"
    return ""


def _not_none(hint: Any) -> Any:
    """X of `X | None`."""
    (inner,) = (arm for arm in get_args(hint) if arm is not types.NoneType)
    return inner


def _is_required(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


def _default(declared: Field[Any]) -> str:
    return "required" if _is_required(declared) else show(_made(declared))


def _made(declared: Field[Any]) -> Any:
    """The default of a field that has one."""
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return declared.default
