"""No process executes a file because it lies where the process was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.records import paths
from tests.system.site import GENERATIONS, TASK, Site

PLANTED = (
    *("blake3", "xxhash", "torch", "numpy", "safetensors", "yaml", "click", "filelock"),
    *("json", "socket", "logging", "random", "tempfile", "secrets"),
)
"""Modules that pbtnas imports, its own and others'."""


def plant(directory: Path, mark: Path) -> None:
    """Lay a file for each of the modules, which writes down that it was executed."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in PLANTED:
        text = f"open({str(mark)!r}, 'a').write({f'{directory}/{name} '!r})\nraise SystemExit(9)\n"
        (directory / f"{name}.py").write_text(text)


@pytest.fixture
def mark(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short search in a directory with planted modules; the file that they would write."""
    mark = tmp_path / "executed"
    short = site.config.read_text().replace(f"generations: {GENERATIONS}", "generations: 2")
    site.config.write_text(short)
    plant(site.directory, mark)
    monkeypatch.chdir(site.directory)
    return mark


def test_nothing_beside_the_configuration_or_in_the_run_directory_is_imported(
    site: Site, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coordinator, worker, `evaluate`, and the processes that they start, import none of what
    lies where they were started."""
    coordinator = site.coordinator()
    site.until(lambda: site.has(paths.manifest(0)), "the run to begin")
    plant(site.run_dir, mark)
    monkeypatch.chdir(site.run_dir)
    common = ("--device", "cpu", "--task", TASK)
    worker = site.start("worker", ".", *common)

    assert (coordinator.ends(), worker.ends()) == (0, 0), coordinator.said() + worker.said()
    evaluated = site.start("evaluate", ".", "--workers", "2", *common)
    assert evaluated.ends() == 0, evaluated.said()
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("command", ["run", pytest.param("study", marks=pytest.mark.slow)])
def test_nothing_beside_the_configuration_is_imported_by_local_processes(
    site: Site, mark: Path, command: str
) -> None:
    """The same holds for what `run` and `study` start."""
    study = "config: config.yaml\nseeds: [5]\nruns:\n  pbt-nas: {}\n"
    (site.directory / "study.yaml").write_text(study)
    file = "config.yaml" if command == "run" else "study.yaml"
    ran = site.start(command, file, str(site.run_dir), "--device", "cpu", "--task", TASK)

    assert ran.ends() == 0, ran.said()
    assert not mark.exists(), mark.read_text()
