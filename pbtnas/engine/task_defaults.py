"""Compares the options of a task, defaults included, with those that a run was started with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pbtnas.config import Config, TaskConfig, difference
from pbtnas.config.fields import show

Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Writes the defaults of a task's options out, as `complete_options` does."""


def whole_difference(stored: Config, given: Config, complete: Complete) -> list[str]:
    """What differs, as `difference` says it, of two configurations of one task.

    Where the stored one is of a run that records its defaults, they are compared too.
    """
    if stored.task.name != given.task.name or not stored.task.recorded:
        return difference(stored, given)
    ours, theirs = complete(stored.task.in_force), complete(given.task.in_force)
    typed = {f"task.{key}" for key in (*stored.task.options, *given.task.options)}
    return [
        line
        if _key(line) in typed or not line.startswith("task.")
        else f"{line}, the default here; give the stored one to go on"
        for line in difference(_with(stored, ours), _with(given, theirs))
    ]


def remarks(stored: TaskConfig, complete: Complete, *, recorded: bool) -> Iterator[str]:
    """A sentence for each default that is another here than when the run was started.

    Of a run that does not record them: one about what it lacks.
    """
    if recorded:
        yield from _changed(stored, complete)
    else:
        yield from _unrecorded(stored, complete)


def _changed(task: TaskConfig, complete: Complete) -> Iterator[str]:
    goes_on = complete(task.in_force)
    for key, now in complete(task.options).items():
        if key in task.options:
            continue
        if key not in task.recorded:
            then = goes_on.get(key, now)
            what = "the default here holds" if then == now else "it goes on as it was"
            yield f"task.{key}: the run was started without it; {what}, {show(then)}"
        elif show(now) != show(task.recorded[key]):
            yield (
                f"task.{key}: the default is {show(now)} here; the run goes on with "
                f"{show(task.recorded[key])}, with which it was started"
            )


def _unrecorded(task: TaskConfig, complete: Complete) -> Iterator[str]:
    lacks = "the run does not record with which defaults of task options it was started"
    defaults = {k: v for k, v in complete(task.options).items() if k not in task.options}
    if defaults:
        shown = ", ".join(f"{key} {show(value)}" for key, value in defaults.items())
        yield f"{lacks}; those here are taken: {shown}"


def _key(line: str) -> str:
    return line.partition(":")[0]


def _with(config: Config, options: Mapping[str, Any]) -> Config:
    return replace(config, task=TaskConfig(config.task.name, dict(options)))
