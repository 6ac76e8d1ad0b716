"""A search that is started from Python is checked before, and carried out by other processes."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import pbtnas
from pbtnas.api.running import SearchCancelled, SearchEnded
from pbtnas.cli.app import cli
from pbtnas.config import ConfigError
from pbtnas.errors import ExitCode
from pbtnas.models.digits.networks import digits_space
from pbtnas.store.control_giving import give_control
from pbtnas.store.run_directory import open_run
from tests.analysis.made_runs import search, story, write
from tests.api.searches import run_directory, stand_in
from tests.docs.test_docs import FENCED, README, ROOT, parse
from tests.networks.finished import add_member, finished, last_options
from tests.store.simulated_run import SimulatedRun

PAGE = ROOT / "docs" / "python.md"
EXAMPLE = ROOT / "examples" / "from_python.py"
STORY = story(search())
SEARCH: dict[str, Any] = {"search": {"population": 4, "generations": 2, "epochs": 1}}
MINE = ROOT / "examples" / "own_task.py"


def written(words: Sequence[str]) -> None:
    """What a search leaves that is finished."""
    write(run_directory(words), STORY)


def test_a_dictionary_is_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gets it as a file with the same values, and every option as its own."""
    files: list[Any] = []

    def carried(words: Sequence[str]) -> None:
        files.append(yaml.safe_load(Path(words[words.index("run") + 1]).read_text()))
        written(words)

    noted = stand_in(monkeypatch, carried)
    config = {**SEARCH, "task": {"rate": 1e-5}}
    run = pbtnas.run(
        config,
        tmp_path / "run",
        workers=2,
        task=f"{MINE}:OwnTask",
        devices=["cpu"],
        overrides=["run.seed=3"],
        scratch=tmp_path,
        accept_code_change=True,
    )

    assert files == [config]
    (words,) = noted
    parse(cli, words[2:])
    assert words.index("run.seed=3") < words.index("task.name=OwnTask")
    assert words[words.index("--task") + 1] == f"{MINE}:OwnTask"
    assert words[words.index("--parent") + 1] == str(os.getpid())
    assert {"--device", "--scratch", "--accept-code-change"} <= set(words)
    assert run.status().finished


def test_a_mistake_in_the_configuration_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a dictionary as of a file; nothing is made."""
    noted = stand_in(monkeypatch)
    wrong = {"task": {"name": "digits"}, "search": {**SEARCH["search"], "populaton": 3}}
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(wrong))

    for config in (wrong, file, str(file)):
        with pytest.raises(ConfigError, match="population"):
            pbtnas.run(config, tmp_path / "run")
    assert noted == []


def test_a_search_that_ends_too_early_raises_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of its log is passed on, and the sentence is that of the command."""
    stand_in(monkeypatch, says="12:00:00 a line\npbtnas: no member has a score\n", code=1)

    with pytest.raises(SearchEnded, match="^no member has a score$") as raised:
        pbtnas.run({**SEARCH, "task": {"name": "digits"}}, tmp_path / "run")

    assert raised.value.code == ExitCode.FAILED
    assert capsys.readouterr().err == "12:00:00 a line\npbtnas: no member has a score\n"


def test_a_search_that_was_cancelled_raises_by_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command ends with 0, but a script does not go on as if its run were finished."""

    def carried(words: Sequence[str]) -> None:
        root = run_directory(words)
        SimulatedRun(root, limit_s=1.0).carry_on()
        give_control(root, open_run(root), {"action": "cancel"})
        SimulatedRun(root).carry_on()

    stand_in(monkeypatch, carried)
    with pytest.raises(SearchCancelled, match="run: the run was cancelled by .* at ") as raised:
        pbtnas.run({**SEARCH, "task": {"name": "digits"}}, tmp_path / "run")

    assert raised.value.code == ExitCode.OK
    assert pbtnas.open(tmp_path / "run").status().state == "cancelled"


def test_an_interrupt_asks_the_search_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C reaches the script alone, which waits until all jobs are handed back."""
    program = (
        "import signal, sys, time\n"
        "def asked(*_):\n    open('stopped', 'w').close()\n    sys.exit(75)\n"
        "signal.signal(signal.SIGUSR2, asked)\nprint('ready', file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "pbtnas.api.running.python_command", lambda *words: [sys.executable, "-S", "-c", program]
    )

    class Interrupted:
        """A standard error whose reader presses Ctrl-C at the first line."""

        def write(self, text: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stderr", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        pbtnas.run({**SEARCH, "task": {"name": "digits"}}, tmp_path / "run")

    assert (tmp_path / "stopped").exists()


def test_the_page_is_the_example_and_every_block_of_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader copies works, with and without pandas; the search itself is stood in for."""
    blocks = [b for language, b in FENCED.findall(PAGE.read_text()) if language == "python"]
    assert EXAMPLE.read_text().endswith(f"\n\n{blocks[0]}")
    assert sum(bool(line) for line in EXAMPLE.read_text().splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    (tmp_path / "my_task.py").write_text(dict(FENCED.findall(README.read_text()))["python"])
    (tmp_path / "configs").symlink_to(ROOT / "configs")

    def carried(words: Sequence[str]) -> None:
        if run_directory(words).name == "mine":
            written(words)
        else:
            root = run_directory(words)
            trainee = finished(root, "digits", {"images": 1000}, told=True)
            add_member(root, trainee, last_options(digits_space()))

    stand_in(monkeypatch, carried)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)

    monkeypatch.delitem(sys.modules, "my_task")
    assert (tmp_path / "lineage.png").exists() and (tmp_path / "digit.png").exists()


@pytest.mark.slow
def test_the_example_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty lines run a search, show it and draw a digit."""
    monkeypatch.chdir(tmp_path)
    run = runpy.run_path(str(EXAMPLE))["run"]

    assert run.status().finished
    assert len(run.steps()) == 12
    assert (tmp_path / "digit.png").exists()


SCRIPT = f"""
import pbtnas, sys
sys.path.append({str(MINE.parent)!r})
from own_task import OwnTask

class Mine(OwnTask):
    pass

if __name__ == "__main__":
    config = {{"search": {{"population": 2, "generations": 2, "epochs": 1}}}}
    run = pbtnas.run(config, "run", workers=1, task=Mine)
    print(run.best.score, type(run.load()).__name__)
"""


@pytest.mark.slow
def test_a_class_of_the_running_script_is_searched(tmp_path: Path) -> None:
    """Its workers import the script, and do not begin another search."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert open_run(tmp_path / "run").about["task"] == "Mine"
    assert re.fullmatch(r"[\d.-]+ \w+\n", done.stdout)
