"""The resolved configuration as JSON: as stored, as digested, and as compared on resume."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import yaml

from pbtnas.config.schema import NOT_STORED, OF_LADDERS, SECTIONS, Config


def to_json(config: Config, *, ladders: bool = False) -> dict[str, Any]:
    """The configuration as JSON, in the shape of the YAML file with defaults written out.

    But for those of newer fields, whose name would change the digests of all runs.  With `ladders`,
    where the space has some, what moves them is written out all the same: a pbtnas from before
    there were ladders refuses the run by these keys.

    Of the task's options, those that were given: only the task knows its defaults, which are
    recorded beside it.
    """
    task = {"name": config.task.name} | config.task.options
    return {"task": task} | {
        name: {
            f.name: values[f.name]
            for f in fields(section)
            if not f.metadata.get("newer")
            or getattr(section, f.name) != f.default
            or (ladders and (name, f.name) in OF_LADDERS)
        }
        for name, section, values in _sections(config)
    }


def outcome(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration (as JSON) that decides the outcome of a search.

    All of it but `engine`.
    """
    return {section: values for section, values in stored.items() if section != "engine"}


def difference(stored: Config, given: Config) -> list[str]:
    """What differs, a line for each key: "search.population: stored 12, given 24".

    Empty exactly when both have the same JSON, so that 1 and 1.0 differ as task options.
    """
    ours, theirs = _shown(stored), _shown(given)
    return [
        f"{key}: stored {ours.get(key, 'nothing')}, given {theirs.get(key, 'nothing')}"
        for key in ours | theirs
        if ours.get(key) != theirs.get(key)
    ]


def to_yaml(stored: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> str:
    """A resolved configuration (as JSON) as a file to repeat its run with.

    It gives the options that the run gave, so that the fingerprint is the same; the defaults that
    the run had stand below, as comments.

    Args:
        stored: Configuration as stored in the run.
        recorded: All options of the task that the run was started with; None if not recorded.
    """
    text = yaml.safe_dump(dict(stored), sort_keys=False, allow_unicode=True)
    given = stored["task"]
    defaults = {key: v for key, v in (recorded or {}).items() if key not in given}
    if recorded is None:
        return text + "# The run does not record which defaults its task's other options had.\n"
    lines = [f"#   {key}: {json.dumps(value)}\n" for key, value in defaults.items()]
    head = ["# Other options of the task, at the defaults that they had:\n"] if lines else []
    return "".join([text, *head, *lines])


def _sections(config: Config) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """All sections that are stored but the task's: name, section, and each field's value as in
    JSON."""
    for name in SECTIONS:
        if name != "task" and name not in NOT_STORED:
            section = getattr(config, name)
            values = {f.name: getattr(section, f.name) for f in fields(section)}
            yield (
                name,
                section,
                {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()},
            )


def _shown(config: Config) -> dict[str, str]:
    """Every value as text, by dotted key."""
    sections = {"task": {"name": config.task.name} | config.task.options}
    sections |= {name: values for name, _, values in _sections(config)}
    return {
        f"{name}.{key}": json.dumps(value, sort_keys=True)
        for name, values in sections.items()
        for key, value in values.items()
    }
