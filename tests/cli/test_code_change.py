"""Commands that let the task work refuse other code than that of the run, until they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import pbtnas
from pbtnas.cli.app import cli
from pbtnas.networks.export_directory import CARD, CONFIG
from pbtnas.records import paths
from pbtnas.store.run_directory import open_run
from pbtnas.store.task_code import OtherCode, check_code
from pbtnas.tasks.code import code_of_file
from tests.networks.finished import finished

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"
ACCEPT = "--accept-code-change"
LOOK_ON = {"show", "plot", "report", "space", "estimate", "extend"}
"""Commands that ask a task for nothing but its space, or that have no run."""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of a task in a file, which was edited since."""
    file = tmp_path / "own.py"
    file.write_text(EXAMPLE.read_text())
    root = tmp_path / "run"
    finished(root, "OwnTask", {}, task_file=f"{file}:OwnTask")
    check_code(root, open_run(root), code_of_file(file), accept=True)
    file.write_text(EXAMPLE.read_text().replace("return x + super()", "return 2 * x + super()"))
    return root


def task_of(run: Path) -> str:
    return f"{run.parent / 'own.py'}:OwnTask"


def test_every_command_that_lets_the_task_work_can_be_told_to_accept() -> None:
    """A new command with `--task` compares the code, or is entered among those that look on."""
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    options = {
        name: {word for parameter in command.params for word in parameter.opts}
        for name, command in commands.items()
        if command is not None
    }
    with_task = {name for name, words in options.items() if "--task" in words}

    assert with_task - LOOK_ON == {name for name, words in options.items() if ACCEPT in words}


@pytest.mark.parametrize("command", ["coordinator", "evaluate", "soup", "export", "play"])
def test_other_code_is_refused_with_the_lines_that_differ(run: Path, command: str) -> None:
    """Exit code 2, the file, the run, what differs and the two ways on; nothing is written."""
    more = {"export": ["-o", run.parent / "out"]}.get(command, [])
    result = call(command, run, "--task", task_of(run), *more)

    assert result.exit_code == 2, result.output
    assert f"{run}: the code of the task own.py is not that of the run" in result.stderr
    assert "    -        return x + super().forward(x)" in result.stderr
    assert f"printed by: pbtnas show {run} --code own.py\n" in result.stderr
    assert f"give {ACCEPT}; the run records it" in result.stderr
    assert not (run.parent / "out").exists()
    assert not (run / paths.code(2)).exists()


def test_the_code_of_the_run_can_be_had_again(run: Path) -> None:
    """As text, to be put back; a name that is not recorded is refused with those that are."""
    file = run.parent / "own.py"
    file.write_text(call("show", run, "--code", "own.py").stdout)

    assert file.read_text() == EXAMPLE.read_text()
    assert pbtnas.load(run, task=task_of(run)) is not None
    refused = call("show", run, "--code", "other.py")
    assert refused.exit_code == 2
    assert "records no such file, but own.py" in refused.stderr


def test_an_export_says_with_which_code_it_was_found(run: Path) -> None:
    """Accepted, the code is recorded for everybody, and stands in the card with its digest."""
    task = task_of(run)
    with pytest.raises(OtherCode):
        pbtnas.load(run, task=task)
    result = call("export", run, "-o", run.parent / "out", "--task", task, ACCEPT)
    assert result.exit_code == 0, result.output

    (_, accepted) = open_run(run).codes.known
    file = accepted.code.files["own.py"]
    assert file.text == (run.parent / "own.py").read_text()
    told = json.loads((run.parent / "out" / CONFIG).read_text())["code"]
    assert told["files"] == {"own.py": file.sha256}
    card = (run.parent / "out" / CARD).read_text()
    assert f"| code of the task | `own.py` (SHA-256 `{file.sha256}`) |" in card
    assert f"torch {told['versions']['torch']}" in card
    pbtnas.load(run, task=task)  # needs not be told again


def test_the_flag_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pbtnas run` starts is told what the user has told it."""
    started: list[Any] = []

    def keep_running(head: Any, lines: Any, _: Any) -> int:
        started.extend([head, *lines])
        return 75

    monkeypatch.setattr("pbtnas.engine.fork_server.keep_running_forked", keep_running)
    config = Path(__file__).parents[2] / "configs" / "digits.yaml"

    call("run", config, tmp_path / "run", "--workers", 2, ACCEPT)
    assert [ACCEPT in words for words in started] == [True] * 3
    started.clear()
    call("run", config, tmp_path / "run", "--workers", 2)
    assert [ACCEPT in words for words in started] == [False] * 3
