"""The resolved configuration as JSON: as stored, as digested, and as compared on resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pbtnas.config.schema import SECTIONS, Config


def to_json(config: Config) -> dict[str, Any]:
    """The configuration as JSON, in the shape of the YAML file with every default written out."""
    task = {"name": config.task.name} | config.task.options
    return {"task": task} | {
        name: _section_json(getattr(config, name)) for name in SECTIONS if name != "task"
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


def _section_json(section: Any) -> dict[str, Any]:
    values = {f.name: getattr(section, f.name) for f in fields(section)}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def _shown(config: Config) -> dict[str, str]:
    """Every value as text, by dotted key."""
    return {
        f"{name}.{key}": json.dumps(value, sort_keys=True)
        for name, section in to_json(config).items()
        for key, value in section.items()
    }
