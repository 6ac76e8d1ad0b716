"""The command line: what goes wrong is told in one sentence, with the exit code of the table.

The codes 1, 3, 69 and 75 of coordinator and worker are met in `test_processes`.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import app as cli
from pbtnas.config import load
from pbtnas.engine.run_setup import start_run
from pbtnas.engine.signals import STOP_SIGNALS
from pbtnas.errors import ExitCode
from pbtnas.records import paths
from pbtnas.records.envelope import canonical, digest
from pbtnas.tasks.loading import load_task
from tests.system.site import TASK, Site


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Commands that run in this process leave their signal handlers behind."""
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


def coordinator(site: Site, *more: str) -> Result:
    return call("coordinator", site.config, site.run_dir, "--task", TASK, *more)


@pytest.fixture
def started(site: Site) -> Site:
    """A run that was made and never worked on."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    return site


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    """`pbtnas --help` lists exactly the codes there are."""
    told = re.findall(r"^ +(\d+) +\S", call("--help").output, flags=re.MULTILINE)

    assert list(map(int, told)) == list(ExitCode) == [0, 1, 2, 3, 69, 70, 75]


def test_every_command_has_help() -> None:
    """The first line of each says what it is for."""
    for name, command in cli.cli.commands.items():
        result = call(name, "--help")
        assert result.exit_code == 0, name
        assert command.get_short_help_str(), name


def test_a_wrong_config_is_told_whole_before_anything_starts(site: Site) -> None:
    """All errors at once with file and line, exit 2, and no run directory."""
    site.config.write_text("task: {name: FaultyTask}\nsearch:\n  populaton: 6\n  generations: 0\n")
    for result in (coordinator(site), call("run", site.config, site.run_dir, "--task", TASK)):
        assert result.exit_code == 2
        assert "config.yaml:3: search.populaton" in result.stderr
        assert "did you mean" in result.stderr
        assert "config.yaml:4: search.generations" in result.stderr
    assert not site.run_dir.exists()


def test_a_missing_config_is_named(site: Site) -> None:
    """One sentence with the path."""
    result = call("run", site.directory / "missing.yaml", site.run_dir)

    assert result.exit_code == 2
    assert "missing.yaml: cannot be read" in result.stderr


def test_an_unknown_task_is_told_with_what_there_is(site: Site) -> None:
    """By name with a suggestion, and by file."""
    result = call("coordinator", site.config, site.run_dir, "--set", "task.name=digit")
    assert result.exit_code == 2
    assert "unknown task 'digit'; did you mean 'digits'?" in result.stderr

    result = call("coordinator", site.config, site.run_dir, "--task", "missing.py:FaultyTask")
    assert result.exit_code == 2
    assert "there is no file" in result.stderr


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:999"])
def test_a_device_that_is_not_there_is_refused(site: Site, device: str) -> None:
    """Before the worker takes a job."""
    result = call("worker", site.run_dir, "--device", device)

    assert result.exit_code == 2
    assert f"--device {device}" in result.stderr


def test_dry_run_prints_the_resolved_configuration_and_does_nothing(site: Site) -> None:
    """With all defaults and overrides, as JSON."""
    result = coordinator(site, "--dry-run", "--set", "run.seed=9")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["run"]["seed"] == 9
    assert not site.run_dir.exists()


def test_a_dry_run_of_a_study_prints_settings(site: Site, tmp_path: Path) -> None:
    """As they are written in a YAML file: the common ones once, those of a run beside its name."""
    study = tmp_path / "study.yaml"
    study.write_text(
        f"config: {site.config}\nseeds: [1, 2]\n"
        "runs: {plain: {}, copies: {search.shrink: 1, search.perturb: 0}}\n"
    )
    result = call("study", study, tmp_path / "out", "--task", TASK, "--dry-run")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "4 runs; all have"
    assert '  search.algorithm: "pbt-nas"' in lines
    assert "  copies-s1  search.shrink: 1.0, search.perturb: 0.0, run.seed: 1" in lines
    assert "(" not in result.stdout and not (tmp_path / "out").exists()


def test_ctrl_c_ends_a_watch_quietly(started: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """To stop looking is no error: exit 0, and nothing is said."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    result = call("status", started.run_dir, "--watch", "5")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("run ")


@pytest.mark.parametrize("command", ["coordinator", "worker"])
def test_missing_and_empty_directories_are_no_runs(site: Site, command: str) -> None:
    """A coordinator without a config has nothing to make; a worker's patience ends."""
    more = ("--patience", "0.1", "--device", "cpu") if command == "worker" else ()
    result = call(command, site.run_dir, *more)
    assert result.exit_code == 2
    assert f"pbtnas: {site.run_dir}: there is no such directory" in result.stderr

    site.run_dir.mkdir()
    result = call(command, site.run_dir, *more)
    assert result.exit_code == 2
    assert f"pbtnas: {site.run_dir}: no run has been started here yet" in result.stderr


@pytest.mark.parametrize("command", ["coordinator", "worker"])
def test_foreign_directories_and_newer_formats_are_refused(site: Site, command: str) -> None:
    """At once, whatever the patience, and nothing is written into them."""
    arguments = [command, *([site.config] if command == "coordinator" else []), site.run_dir]
    arguments += ["--task", TASK, *(["--device", "cpu"] if command == "worker" else [])]
    site.run_dir.mkdir()
    (site.run_dir / "thesis.tex").write_text("...")
    result = call(*arguments)
    assert result.exit_code == 2
    assert "not a run directory" in result.stderr and "thesis.tex" in result.stderr
    assert [path.name for path in site.run_dir.iterdir()] == ["thesis.tex"]

    (site.run_dir / paths.FORMAT).write_text("pbtnas/2\n")
    result = call(*arguments)
    assert result.exit_code == 1
    assert "says 'pbtnas/2'; this pbtnas reads 'pbtnas/1'" in result.stderr


def test_a_changed_config_is_refused_field_by_field(started: Site) -> None:
    """What differs, what is stored and what was given; the way out is told."""
    result = coordinator(started, "--set", "search.population=8", "--set", "engine.poll_s=9")

    assert result.exit_code == 2
    assert "search.population: stored 6, given 8" in result.stderr
    assert "engine.poll_s: stored 0.1, given 9" in result.stderr
    assert "search.generations" not in result.stderr


def test_an_override_of_a_run_is_refused_too(started: Site) -> None:
    """Also without a file: the stored configuration is fixed, but for the engine section."""
    result = call("coordinator", started.run_dir, "--set", "run.seed=1", "--task", TASK)
    shown = ["--set", "engine.hang_s=7", "--dry-run", "--task", TASK]
    allowed = call("coordinator", started.run_dir, *shown)

    assert result.exit_code == 2
    assert "run.seed: stored 5, given 1" in result.stderr
    assert allowed.exit_code == 0 and '"hang_s": 7' in allowed.stdout


def test_too_many_arguments_are_refused(site: Site) -> None:
    """A usage error, not a directory of that name."""
    result = call("coordinator", site.config, site.run_dir, "more")

    assert result.exit_code == 2
    assert "expected [CONFIG] RUN_DIR" in result.stderr


def _reseal(path: Path, **changes: object) -> None:
    body = json.loads(path.read_bytes())
    del body["sha256"]
    body.update(changes)
    path.write_bytes(canonical({**body, "sha256": digest(body)}) + b"\n")


@pytest.mark.parametrize("command", ["coordinator", "worker"])
def test_damaged_and_newer_records_are_named(started: Site, command: str) -> None:
    """The records that say which run it is cannot be made again: exit 1 with their name."""
    more = ("--device", "cpu") if command == "worker" else ()
    run = started.run_dir / paths.RUN
    _reseal(run, v=2)
    result = call(command, started.run_dir, "--task", TASK, *more)
    assert result.exit_code == 1
    assert "run.json: written in format version 2; this pbtnas reads version 1" in result.stderr

    run.write_bytes(run.read_bytes()[:-20])
    result = call(command, started.run_dir, "--task", TASK, *more)
    assert result.exit_code == 1
    assert "run.json: not an intact record" in result.stderr


def test_tasks_and_config_keys_can_be_listed() -> None:
    """What there is to choose from."""
    assert "digits" in call("task", "list").stdout.split()
    assert "poll_s" in call("config").stdout
