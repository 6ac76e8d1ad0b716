"""A run directory belongs to one configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.config import Config, load
from pbtnas.search.space import SearchSpace, switch
from pbtnas.starting import ChangedConfig, start_run
from pbtnas.store import paths

SPACE = SearchSpace([switch("activation", ["relu", "tanh"])])


def configs(directory: Path) -> tuple[Config, Config]:
    """One with 4 members and one with 5."""
    path = directory / "config.yaml"
    path.write_text("task: {name: digits}\nsearch: {population: 4, generations: 2, epochs: 1}\n")
    config = load(path, ())
    return config, replace(config, search=replace(config.search, population=5))


def test_a_directory_without_a_job_may_be_deleted(tmp_path: Path) -> None:
    """Who mends a configuration after a failed start is told that nothing is lost by deleting."""
    first, second = configs(tmp_path)
    start_run(tmp_path / "run", first, SPACE)

    with pytest.raises(ChangedConfig, match="population.*4.*5[^/]*no job yet: delete it"):
        start_run(tmp_path / "run", second, SPACE)


def test_a_run_that_has_begun_keeps_its_configuration(tmp_path: Path) -> None:
    """Nobody is told to delete a run that has jobs; the stored configuration goes on."""
    first, second = configs(tmp_path)
    start_run(tmp_path / "run", first, SPACE)
    manifest = tmp_path / "run" / paths.manifest(0)
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")

    with pytest.raises(ChangedConfig, match="go on with the stored one"):
        start_run(tmp_path / "run", second, SPACE)
    assert start_run(tmp_path / "run", first, SPACE).config["search"]["population"] == 4
