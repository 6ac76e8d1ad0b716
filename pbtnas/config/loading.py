"""Loads a configuration from its file, the command line, or the run directory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pbtnas.config.fields import ConfigError, closest, parse, show, unknown
from pbtnas.config.schema import SECTIONS, Config, TaskConfig, TaskName
from pbtnas.config.yaml_source import Source, SourceError, read_override, read_with_base


def load(path: Path, overrides: Sequence[str] = (), *, task: str | None = None) -> Config:
    """Read a configuration from a YAML file.

    `extends: other.yaml`, relative to the file, names one whose keys hold wherever this one
    says nothing; that one extends no other.

    Args:
        path: YAML file.
        overrides: Overrides "section.key=value", the value as in YAML; the last one wins.
        task: Name of the task where the file names none.

    Raises `ConfigError` with everything that is wrong.
    """
    further, problems = _read_overrides(overrides)
    return load_with(path, further, problems, task=task)


def load_with(
    path: Path,
    further: Sequence[Source],
    problems: Sequence[str] = (),
    *,
    task: str | None = None,
) -> Config:
    """Read a configuration from a YAML file, and override it by further sources.

    Args:
        path: YAML file; it may extend another.
        further: Sources of sections and keys; the last source to name one wins.
        problems: Problems already known, of the sources in `further`.
        task: Name of the task where no source names one.

    Raises `ConfigError` with everything that is wrong.
    """
    try:
        sources = read_with_base(path)
    except SourceError as error:
        raise ConfigError([str(error)]) from error
    implied = [] if task is None else [Source("--task", {"task": {"name": task}}, {})]
    return _build([*implied, *sources, *further], str(path), list(problems))


def from_json(
    data: Any,
    origin: str = "stored configuration",
    overrides: Sequence[str] = (),
    recorded: Mapping[str, Any] | None = None,
) -> Config:
    """Read back a configuration that `to_json` wrote.

    Args:
        data: Configuration as read from JSON.
        origin: Place that problems name.
        overrides: Overrides as in `load`.
        recorded: All options of the task, defaults included, that its run was started with; None
            where the run does not record them.

    Raises `ConfigError` with everything that is wrong.
    """
    further, problems = _read_overrides(overrides)
    config = _build([Source(origin, data, {}), *further], origin, problems)
    return replace(config, task=replace(config.task, recorded=recorded or {}))


def _read_overrides(overrides: Sequence[str]) -> tuple[list[Source], list[str]]:
    """Overrides as sources, and the problems of those that cannot be read."""
    further, problems = [], []
    for override in overrides:
        try:
            further.append(read_override(override))
        except SourceError as error:
            problems.append(str(error))
    return further, problems


@dataclass
class _Section:
    """One section while the sources are merged.

    Args:
        values: Values by key; the last source to name one wins.
        places: Places by key, and by "" of the section itself.
        broken: Whether its structure is wrong, so that its keys are not checked.
    """

    values: dict[str, Any]
    places: dict[str, str]
    broken: bool = False


def _build(sources: Sequence[Source], origin: str, problems: list[str]) -> Config:
    """Build a configuration from sources; the last source to name a key decides it.

    `problems` are those already known; raises `ConfigError` with them and all others.
    """
    merged = {name: _Section({}, {"": origin}) for name in SECTIONS}
    for source in sources:
        problems += source.problems
        problems += _merge(merged, source)
    made: dict[str, Any] = {}
    for name, section in merged.items():
        if not section.broken:
            try:
                made[name] = _parse_section(name, section)
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    places = {
        f"{name}.{key}" if key else name: place
        for name, section in merged.items()
        for key, place in section.places.items()
    }
    return Config(**made, places=places)


def _merge(merged: Mapping[str, _Section], source: Source) -> Iterator[str]:
    """Add a source's keys to the sections; yields what is wrong with its structure."""
    if not isinstance(source.value, dict):
        for section in merged.values():
            section.broken = True
        found = "but it is empty" if source.value is None else f"not {show(source.value)}"
        yield f"{source.origin}: expected the sections {', '.join(merged)}, {found}"
        return
    for name, keys in source.value.items():
        if name not in merged:
            meant = closest(name, merged)
            if meant and meant not in source.value and not merged[meant].values:
                merged[meant].broken = True
            yield f"{source.place(name)}: {name}: {_unknown_section(name)}"
        elif isinstance(keys, dict):
            merged[name].values.update(keys)
            merged[name].places.update({key: source.place(name, key) for key in keys})
            if (name,) in source.places:
                merged[name].places[""] = source.place(name)
        else:
            merged[name].broken = True
            found = "found none; indent them, or leave it out"
            if keys is not None:
                found = f"not {show(keys)}"
            yield f"{source.place(name)}: {name}: expected keys below this section, {found}"


def _unknown_section(name: str) -> str:
    for section, cls in SECTIONS.items():
        if name in {f.name for f in fields(cls)}:
            return f"a key of the section {section}; indent it below {section}:"
    return unknown("section", name, [*SECTIONS, "extends"])


def _parse_section(name: str, section: _Section) -> Any:
    if name == "task":
        return _parse_task(section.values, section.places)
    return parse(SECTIONS[name], section.values, name, section.places)


def _parse_task(values: Mapping[str, Any], places: Mapping[str, str]) -> TaskConfig:
    """The task's name; its options only have to be JSON here.  Raises `ConfigError`."""
    options = {key: value for key, value in values.items() if key != "name"}
    problems = [
        f"{places[key]}: task.{key}: expected finite numbers, text, lists and mappings, "
        f"not {show(value)}"
        for key, value in options.items()
        if not _is_json(value)
    ]
    given = {key: value for key, value in values.items() if key == "name"}
    try:
        name = parse(TaskName, given, "task", places).name
    except ConfigError as error:
        meant = closest("name", options)
        hint = f"; is {meant!r} meant to be it?" if meant and not given else ""
        problems += [problem + hint for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return TaskConfig(name, options, dict(places))


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
