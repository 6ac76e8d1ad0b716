"""The command line: what goes wrong is told in one sentence, with the exit code of the table.

The codes 1, 3, 69 and 75 of coordinator and worker are met in `test_processes`.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import app as cli
from pbtnas.config import load
from pbtnas.engine.run_setup import start_run
from pbtnas.errors import ExitCode
from pbtnas.records import paths
from pbtnas.records.envelope import canonical, digest
from pbtnas.tasks.digits import DigitsOptions
from pbtnas.tasks.loading import load_task
from tests.system.site import TASK, Site


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
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        result = call(name, "--help")
        assert result.exit_code == 0, name
        command = cli.cli.get_command(context, name)
        assert command is not None and command.get_short_help_str(), name


def test_a_wrong_config_is_told_whole_before_anything_starts(site: Site) -> None:
    """All errors at once with file and line, exit 2, and no run directory."""
    site.config.write_text("task: {name: FaultyTask}\nsearch:\n  populaton: 6\n  generations: 0\n")
    for result in (coordinator(site), call("run", site.config, site.run_dir, "--task", TASK)):
        assert result.exit_code == 2
        assert "config.yaml:3: search.populaton" in result.stderr
        assert "did you mean" in result.stderr
        assert "config.yaml:4: search.generations" in result.stderr
    assert not site.run_dir.exists()


def test_a_setting_without_its_option_is_told_where_it_belongs(site: Site) -> None:
    """Who writes KEY=VALUE behind the directory is told of --set."""
    for command in ("coordinator", "run"):
        result = call(command, site.config, site.run_dir, "search.population=6")
        assert result.exit_code == 2
        assert "a setting is given as --set search.population=6" in result.stderr


def test_a_missing_config_is_named(site: Site) -> None:
    """One sentence with the path."""
    result = call("run", site.directory / "missing.yaml", site.run_dir)

    assert result.exit_code == 2
    assert "missing.yaml: cannot be read" in result.stderr


def test_an_unknown_task_is_told_with_what_there_is(site: Site) -> None:
    """By name with a suggestion, and by file."""
    for command in ("coordinator", "run"):  # `run` before it starts anything
        result = call(command, site.config, site.run_dir, "--set", "task.name=digit")
        assert result.exit_code == 2
        assert result.stderr.startswith("pbtnas: task.name: unknown task 'digit'; did you mean ")
        assert "needs --task FILE.py:digit" in result.stderr

        result = call(command, site.config, site.run_dir, "--task", "missing.py:FaultyTask")
        assert result.exit_code == 2
        assert result.stderr.startswith("pbtnas: --task missing.py:FaultyTask: there is no file ")
        assert result.stderr.count("\n") == 1  # no process of the run has told it again


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("space", TASK), None),
        (("space", "--task", TASK), None),
        (("space",), TASK),
        (("space", "FaultyTask"), TASK),
        (("space", "digits"), TASK),
    ],
)
def test_a_task_is_named_in_all_the_ways_there_are(
    arguments: tuple[str, ...], environment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FILE.py:Class where a name may stand, by --task alone, and by PBTNAS_TASK."""
    if environment is not None:
        monkeypatch.setenv("PBTNAS_TASK", environment)

    result = call(*arguments)

    assert result.exit_code == 0, result.stderr
    assert "architectures" in result.stdout
    assert ("second" in result.stdout) == (arguments != ("space", "digits"))


def test_options_of_a_task_are_part_of_its_space() -> None:
    """Also where a space of the paper has the task's name."""
    plain, searched = call("space", "gan"), call("space", "gan", "--set", "task.search_also=[ttur]")
    assert searched.exit_code == 2 and "search_also" in searched.stderr

    searched = call("space", "gan", "--set", "task.search_also=[ema_decay]")

    assert searched.exit_code == 0, searched.stderr
    assert "ema_decay" in searched.stdout and "ema_decay" not in plain.stdout


@pytest.mark.parametrize("with_name", [True, False])
def test_the_file_of_a_task_implies_its_name(site: Site, with_name: bool) -> None:
    """A configuration need not repeat the class that --task names."""
    if not with_name:
        text = site.config.read_text()
        site.config.write_text("\n".join(x for x in text.splitlines() if "FaultyTask" not in x))

    result = coordinator(site, "--dry-run")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["task"]["name"] == "FaultyTask"


def test_a_mistake_in_a_task_shows_its_own_frames_and_all_of_them_on_request(
    tmp_path: Path,
) -> None:
    """The sentence and the line of the user's file; -v is for those who look for a bug of ours."""
    file = tmp_path / "mine.py"
    file.write_text("from pbtnas.search import layer\nlayer(3, (0, 1))\n")

    short, whole = call("space", f"{file}:T"), call("-v", "space", f"{file}:T")

    assert (short.exit_code, whole.exit_code) == (2, 2)
    assert short.stderr == (
        f"pbtnas: {file}:2: the name of a variable is text, not 3\n"
        f'  File "{file}", line 2, in <module>\n'
        "    layer(3, (0, 1))\n"
    )
    assert "Traceback" in whole.stderr and "search/space.py" in whole.stderr


@pytest.mark.parametrize("place", ["run_dir", "scratch"])
def test_a_directory_that_cannot_be_made_is_told(site: Site, place: str) -> None:
    """The path and the reason, before anything starts."""
    run_dir = "/proc/run" if place == "run_dir" else site.run_dir
    scratch = "/proc/scratch" if place == "scratch" else site.directory / "scratch"

    result = call("coordinator", site.config, run_dir, "--task", TASK, "--scratch", scratch)

    assert result.exit_code == 2
    assert "cannot be made: No such file or directory" in result.stderr


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:999"])
def test_a_device_that_is_not_there_is_refused(site: Site, device: str) -> None:
    """Before the worker takes a job."""
    result = call("worker", site.run_dir, "--device", device)

    assert result.exit_code == 2
    assert f"--device {device}" in result.stderr


def test_dry_run_prints_the_resolved_configuration_and_does_nothing(site: Site) -> None:
    """With all defaults and overrides, those of the task's options included, as JSON."""
    result = coordinator(site, "--dry-run", "--set", "run.seed=9")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["run"]["seed"] == 9
    assert not site.run_dir.exists()

    site.config.write_text(site.config.read_text().replace("FaultyTask", "digits, images: 150"))
    result = call("coordinator", site.config, site.run_dir, "--dry-run")
    shown = json.loads(result.stdout)["task"]
    # What came later is shown and stored only where it is used.
    assert {**shown, "search_also": ()} == {"name": "digits", **vars(DigitsOptions(images=150))}
    assert "data: 1,797 digits of 8x8 pixels" in result.stderr


def test_dry_run_looks_at_the_data_or_says_that_it_did_not(site: Site, tmp_path: Path) -> None:
    """A study of a night does not end in the morning at data that could be seen to be wrong."""

    def dry_run(targets: int | str, more: str = "") -> Result:
        file = tmp_path / f"mine{targets}{len(more)}.py"
        file.write_text(
            "import torch\nfrom torch import nn\nfrom pbtnas.search import SearchSpace, switch\n"
            "from pbtnas.tasks.supervised import Split, SupervisedTask\n"
            "class Mine(SupervisedTask):\n"
            "    space = SearchSpace([switch('f', (0, 1))])\n"
            "    def build(self, choices): return nn.Linear(3, 2)\n"
            "    def data(self):\n"
            f"        x, y = torch.ones(8, 3), torch.ones({targets}).long()\n"
            f"        {more}\n"
            "        return Split((x, y), (x[:2], y[:2]), (x[:1], y[:1]))\n"
        )
        settings = tmp_path / "mine.yaml"
        lines = "search:\n  population: 2\n  generations: 1\n  epochs: 1\n"
        settings.write_text(f"task:\n  name: Mine\n{lines}")
        return call("coordinator", settings, site.run_dir, "--dry-run", "--task", f"{file}:Mine")

    good, bad, blind = dry_run(8), dry_run(7), coordinator(site, "--dry-run")
    lost = dry_run("of_nowhere")

    assert good.exit_code == 0, good.stderr
    assert json.loads(good.stdout)["task"]["name"] == "Mine"
    assert "data: 8 examples to train with, 2 to select by, 1 for the final" in good.stderr
    assert "inputs float32 [3], targets int64 []" in good.stderr
    assert bad.exit_code == 2 and "train has 8 inputs and 7 targets" in bad.stderr
    assert blind.exit_code == 0 and "data: not looked at" in blind.stderr
    assert lost.exit_code == 2 and "mineof_nowhere0.py:9: look() raised NameError" in lost.stderr
    for more, words in (("assert x is y", "AssertionError"), ("exit(0)", "SystemExit: 0")):
        result = dry_run(8, more)
        assert result.exit_code == 2 and f"py:10: look() raised {words}" in result.stderr


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
