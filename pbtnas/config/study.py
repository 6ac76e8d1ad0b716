"""Reads a study from its file: its runs, each with a whole and checked configuration.

config: ../digits.yaml      # the base, relative to this file
seeds: [1, 2, 3]
runs:                       # name: what differs from the base, in dotted keys
  pbt-nas: {}
  random-search: {search.algorithm: random-search}
  larger: {config: other.yaml, search.population: 36}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pbtnas.config.fields import ConfigError, show, unknown
from pbtnas.config.loading import load_with
from pbtnas.config.schema import Config
from pbtnas.config.yaml_source import Source, SourceError, read_file

_KEYS = ("config", "seeds", "runs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # becomes the name of a directory


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Args:
        name: Name of the algorithm or variant in the study.
        seed: Seed of the run, also in its configuration.
        config: Configuration of the run, checked.
    """

    name: str
    seed: int
    config: Config


def is_study_file(path: Path) -> bool:
    """Whether a file describes a study, and not one run; what cannot be read is none."""
    try:
        value = read_file(path).value
    except SourceError:
        return False
    return isinstance(value, dict) and "runs" in value


def load_study(path: Path, *, task: str | None = None) -> list[PlannedRun]:
    """Read a study: its runs, seed by seed, for each seed in the order of the file.

    Args:
        path: YAML file.
        task: Name of the task of configurations that name none.

    Raises `ConfigError` with everything that is wrong in the study, or in what it makes of the
    configurations it names.
    """
    try:
        reader = _StudyReader(path, read_file(path), task)
    except SourceError as error:
        raise ConfigError([str(error)]) from error
    seeds, variants = reader.seeds(), reader.variants()
    if not reader.problems:
        reader.check_processes(variants)
    if reader.problems:
        raise ConfigError(reader.problems)
    return [
        PlannedRun(name, seed, replace(config, run=replace(config.run, seed=seed)))
        for seed in seeds
        for name, config in variants.items()
    ]


class _StudyReader:
    """Takes a study's source apart, and collects what is wrong with it."""

    def __init__(self, path: Path, source: Source, task: str | None) -> None:
        self._task = task
        self._directory = path.parent
        self._source = source
        self.problems = list(source.problems)
        self._values: dict[str, Any] = {}
        if isinstance(source.value, dict):
            self._values = source.value
            for key in self._values.keys() - set(_KEYS):
                self._wrong((key,), unknown("key", key, _KEYS))
        else:
            self.problems.append(f"{source.origin}: expected the keys {', '.join(_KEYS)}")

    def seeds(self) -> list[int]:
        seeds = self._values.get("seeds")
        numbers = isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds)
        if not numbers or not seeds or len(set(seeds)) < len(seeds):
            expected = "expected a list of different whole numbers of at least 0"
            self._wrong(("seeds",), f"{expected}, not {show(seeds)}")
            return []
        return list(seeds)

    def variants(self) -> dict[str, Config]:
        """The configuration of every name, without its seed."""
        runs = self._values.get("runs")
        if not isinstance(runs, dict) or not runs:
            self._wrong(("runs",), f"expected a name and its overrides a run, not {show(runs)}")
            return {}
        made = {name: self._variant(name, keys) for name, keys in runs.items()}
        return {name: config for name, config in made.items() if config is not None}

    def _variant(self, name: str, keys: Any) -> Config | None:
        at = ("runs", name)
        if not _NAME.fullmatch(name):
            self._wrong(at, "expected a name of letters, digits, '.', '_' and '-'")
        if keys is None:
            keys = {}
        if not isinstance(keys, dict):
            self._wrong(at, f"expected section.key: value pairs or {{}}, not {show(keys)}")
            return None
        base = self._base(at, keys)
        known = len(self.problems)
        overrides = [
            self._override((*at, key), value) for key, value in keys.items() if key != "config"
        ]
        if base is None or len(self.problems) > known:
            return None
        try:
            return load_with(base, overrides, task=self._task)
        except ConfigError as error:
            # What is wrong with the base is wrong in all its variants: say it once.
            self.problems += [p for p in error.problems if p not in self.problems]
            return None

    def check_processes(self, variants: Mapping[str, Config]) -> None:
        """Note a setting of processes that differs by run, since one process serves all runs."""
        pins = {config.run.cpu_capability: name for name, config in variants.items()}
        if len(pins) > 1:
            found = ", ".join(f"{pin} in {name}" for pin, name in pins.items())
            self._wrong(
                ("runs",), f"expected the same run.cpu_capability in all of them, not {found}"
            )

    def _base(self, at: tuple[str, ...], keys: dict[str, Any]) -> Path | None:
        """The file that a run's configuration begins with: its own, or else the study's."""
        if "config" in keys:
            at, found = (*at, "config"), keys["config"]
        else:
            at, found = ("config",), self._values.get("config")
        if isinstance(found, str):
            return self._directory / found
        sentence = f"{'.'.join(at)}: expected the name of a configuration, not {show(found)}"
        problem = f"{self._source.place(*at)}: {sentence}"
        if problem not in self.problems:
            self.problems.append(problem)
        return None

    def _override(self, at: tuple[str, ...], value: Any) -> Source:
        section, _, key = at[-1].partition(".")
        place = self._source.place(*at)
        if not (section and key):
            self._wrong(at, "expected section.key, such as search.population, or config")
        if at[-1] == "run.seed":
            self._wrong(at, "the seeds of a study stand below seeds")
        return Source(self._source.origin, {section: {key: value}}, {(section, key): place})

    def _wrong(self, at: tuple[str, ...], sentence: str) -> None:
        self.problems.append(f"{self._source.place(*at)}: {'.'.join(at)}: {sentence}")
