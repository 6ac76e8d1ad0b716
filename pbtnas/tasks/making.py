"""Makes a task from its class and its options, and says what the class gets wrong."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any

from pbtnas.config import ConfigError, RecordedOptions, parse
from pbtnas.search.space import SearchSpace
from pbtnas.tasks.base import HasParts, Options, Task, TaskError, UnfitOptions
from pbtnas.tasks.faults import TaskFault, blamed, is_ours, place_of


def make(cls: Any, name: str, options: Options, places: Mapping[str, str]) -> Task:
    """The task, made from the options of the config's `task:` section.

    Args:
        cls: what was found under the name.
        name: its name, for messages.
        options: checked against the class's `Options`, a dataclass, if it has one.
        places: "file:line" of each option, for messages.

    Raises `TaskError` with one sentence, or `ConfigError` for options that are wrong.
    """
    _check_class(cls, name)
    arguments = [_options(cls, options, places)] if hasattr(cls, "Options") else []
    if options and not arguments:
        key = next(iter(options))
        raise TaskError(
            f"{_at(key, places)}task.{key}: the task {name!r} has no options, remove this key"
        )
    _check_arguments(cls, arguments)
    with blamed(f"{cls.__name__}()", cls):
        try:
            task = cls(*arguments)
        except UnfitOptions as error:
            raise ConfigError([_at(key, places) + text for key, text in error.problems]) from error
        _check_space(task)
    made: Task = task
    return made


def _at(key: str, places: Mapping[str, str]) -> str:
    place = places.get(key) or places.get("")
    return f"{place}: " if place else ""


def _check_class(cls: Any, name: str) -> None:
    if not inspect.isclass(cls):
        raise TaskError(f"the task {name!r} is a {type(cls).__name__}, expected a class")
    undone = sorted(getattr(cls, "__abstractmethods__", ()))
    undone += [method for method in ("prepare", "create") if not hasattr(cls, method)]
    if undone:
        raise TaskFault(f"{place_of(cls)}: the task {name!r} does not define {', '.join(undone)}")


def _options(cls: Any, options: Options, places: Mapping[str, str]) -> Any:
    """The task's options.  Raises `ConfigError` if they, `TaskFault` if their class is wrong."""
    declared = cls.Options
    if not (inspect.isclass(declared) and dataclasses.is_dataclass(declared)):
        raise TaskFault(
            f"{place_of(declared if inspect.isclass(declared) else cls)}: the `Options` of "
            f"{cls.__name__} are no dataclass; write @dataclass(frozen=True, kw_only=True) above"
        )
    try:
        return parsed(declared, options, places)
    except ConfigError:
        raise
    except Exception as error:
        if is_ours(cls):
            raise
        raise TaskFault(f"{place_of(declared)}: the Options of {cls.__name__}: {error}") from error


def parsed(declared: Any, options: Options, places: Mapping[str, str]) -> Any:
    """The `Options` of a task, after what one of them presets of the others.

    What a run has recorded of a default is accepted as the default itself is: unchecked.  What is
    preset since it was recorded does not hold for it: it goes on as it began.
    """
    if not isinstance(options, RecordedOptions):
        options = {**preset(declared, options), **options}
    defaults = {
        f.name: _text(f.default)
        for f in dataclasses.fields(declared)
        if f.default is not dataclasses.MISSING
    }
    given = {key: v for key, v in options.items() if defaults.get(key) != _text(v)}
    return parse(declared, given, "task", places)


def preset(declared: Any, options: Options) -> dict[str, Any]:
    """Values that an option sets others to where they are not given, as a named method does.

    They are what the classmethod `preset` of the `Options` returns, if there is one.
    """
    return dict(declared.preset(options)) if hasattr(declared, "preset") else {}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _check_arguments(cls: Any, arguments: list[Any]) -> None:
    try:
        inspect.signature(cls).bind(*arguments)
    except TypeError as error:
        if arguments:
            rule = "it gets one argument, the options: def __init__(self, options)"
        else:
            rule = "it gets no argument; what can be chosen belongs to a dataclass named Options"
        place = place_of(cls.__init__ if inspect.isfunction(cls.__init__) else cls)
        raise TaskFault(f"{place}: {cls.__name__}.__init__: {error}; {rule}") from error
    except ValueError:
        return  # a class whose signature Python does not know


def _check_space(task: Any) -> None:
    name, place = type(task).__name__, place_of(type(task))
    if not hasattr(task, "space"):
        raise TaskFault(f"{place}: the task {name!r} has no `space`, a SearchSpace")
    if not isinstance(task.space, SearchSpace):
        raise TaskFault(
            f"{place}: the `space` of the task {name!r} is a {type(task.space).__name__}, "
            "expected a SearchSpace: space = SearchSpace([layer(...), ...])"
        )
    for part, modules in task.parts.items() if isinstance(task, HasParts) else ():
        if isinstance(modules, str):
            raise TaskFault(
                f"{place}: parts[{part!r}] of the task {name!r} is the text {modules!r}, "
                f"expected a tuple of dotted paths: ({modules!r},)"
            )
