"""`pbtnas show`, and members by name in the commands that it names."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pbtnas
from pbtnas.analysis.history.run import History
from pbtnas.cli.app import cli
from pbtnas.cli.show import show_end, table_of
from pbtnas.monitoring.members import members
from pbtnas.networks.naming import naming_of
from pbtnas.records import paths
from pbtnas.store.run_directory import NotARun, open_run
from pbtnas.tasks.loading import load_task
from tests.analysis.made_runs import search, story, write
from tests.networks.finished import add_member, finished, last_options

OWN = f"{Path(__file__).parents[2] / 'examples' / 'own_task.py'}:OwnTask"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of two members of a task in a file; member 1 is the better one."""
    root = tmp_path / "run"
    finished(root, "OwnTask", {}, task_file=OWN)
    task = load_task("OwnTask", {}, task_file=OWN)
    architecture = last_options(task.space)
    add_member(root, task.create(architecture, 2), architecture)
    return root


def test_members_the_best_and_the_next_commands_are_shown(run: Path) -> None:
    """Score, options by name, parameters, the file of the best, and commands that can be typed."""
    result = call("show", run, "--task", OWN)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["g0000-m01", "0.5"],
        ["g0000-m00", "0.25"],
    ]
    assert "activation=" in lines[1] and ".safetensors" in result.stdout
    assert f"  pbtnas evaluate {run} --task {OWN}" in lines
    assert f"  pbtnas export {run} --which g0000-m01 -o run-g0000-m01 --task {OWN}" in lines


def test_one_member_is_shown_with_all_its_options(run: Path) -> None:
    """By its name with or without a generation; any other is refused with a sentence."""
    short, long = (call("show", run, name, "--task", OWN) for name in ("m00", "g0000-m00"))

    assert short.stdout == long.stdout and "  option activation" in short.stdout
    assert f"pbtnas evaluate {run} --which g0000-m00" in short.stdout
    result = call("show", run, "m07")
    assert result.exit_code == 2 and "lists no member 'm07'" in result.stderr


def test_without_the_task_options_are_indices(run: Path) -> None:
    """The rest is shown, and a sentence says how to have names."""
    result = call("show", run)

    assert result.exit_code == 0, result.output
    assert "--task FILE.py:OwnTask" in result.stdout and " 0=" in result.stdout


def test_programs_and_spreadsheets_have_all_members(run: Path) -> None:
    """The same rows as JSON and as CSV, a column for each option and metric."""
    rows = json.loads(call("show", run, "--json", "--task", OWN).stdout)
    table = list(csv.DictReader(io.StringIO(call("show", run, "--csv", "--task", OWN).stdout)))

    assert [row["name"] for row in rows] == [row["name"] for row in table]
    assert rows[0]["options"]["activation"] == table[0]["option activation"]
    assert rows[0]["parameters"] == int(table[0]["parameters"]) > 0
    assert rows[0]["metrics"] == {"loss": 1.0} and table[0]["metric loss"] == "1.0"


def test_any_member_with_a_checkpoint_can_be_taken_out(run: Path, tmp_path: Path) -> None:
    """Loaded and exported by its name, also while the run goes on; a lost one is told."""
    (run / paths.FINAL).unlink()
    network = pbtnas.load(run, "m00", task=OWN)
    result = call("export", run, "--which", "m00", "-o", tmp_path / "out", "--task", OWN)

    assert result.exit_code == 0, result.output
    again = pbtnas.load(tmp_path / "out", task=OWN)
    ours, theirs = network.state_dict(), again.state_dict()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours)
    with pytest.raises(NotARun, match="has no member 'm07' with a score"):
        pbtnas.load(run, "m07", task=OWN)
    for file in (run / paths.checkpoints(0)).iterdir():
        file.unlink()
    with pytest.raises(NotARun, match="the checkpoint of 'g0000-m00' was discarded"):
        pbtnas.load(run, "g0000-m00", task=OWN)


def test_one_member_is_evaluated(run: Path, tmp_path: Path) -> None:
    """By the task's final evaluation, recorded as that of the best ones is."""
    more = ("--task", OWN, "--scratch", tmp_path / "scratch", "--device", "cpu")
    result = call("evaluate", run, "--which", "m00", "--json", *more)

    assert result.exit_code == 0, result.output
    (final,) = json.loads(result.stdout)
    assert (final["which"], final["member"]["member"]) == ("m00", 0)
    assert (run / paths.evaluation(final["member"]["checkpoint"])).exists()
    assert call("evaluate", run, "--which", "best", *more).exit_code == 2


def test_a_metric_never_stands_for_the_score_or_a_line_of_ours(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may call its metrics as it likes, also so that a terminal would obey."""
    (best, *_), _, _ = table_of(run, OWN)
    metrics = {"score": 99.0, "member": 98.0, "\x1b[2Jx\ny" * 20: 96.0}
    row = {**best, "metrics": metrics}
    monkeypatch.setattr("pbtnas.cli.show.table_of", lambda *_: ([row], "", True))

    lines = call("show", run, "m01").stdout.splitlines()

    words = [line.split() for line in lines if line.startswith(("  score", "  member"))]
    assert words == [
        ["member", "g0000-m01,", "ok,", *words[0][3:]],
        ["score", "0.5"],
        ["member", "98"],
    ]
    assert max(len(line) for line in lines if line.endswith(" 96")) < 60


def test_many_subnets_are_told_by_the_best_and_the_median(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supernet's scores are two lines, and all of them with --all; ranking them comes next, and
    exporting the best as a network."""
    (best, *_), _, _ = table_of(run, OWN)
    scores = {"subnet.a": 0.1, "subnet.b": 0.7, "subnet.c": 0.4, "subnet.d": 0.2, "subnet.e": 0.5}
    row = {**best, "metrics": {"loss": 2.0, **scores}}
    monkeypatch.setattr("pbtnas.cli.show.table_of", lambda *_: ([row], "", True))

    short, long = call("show", run).stdout, call("show", run, "m01", "--all").stdout

    assert f"  pbtnas subnets {run} --task FILE.py:OwnTask" in short.splitlines()
    assert f"  pbtnas export {run} --which {best['name']} --subnet b -o " in short
    lines = [" ".join(line.split()) for line in short.splitlines()]
    assert [line for line in lines if " subnets " in line and not line.startswith("pbtnas")] == [
        "best of 5 subnets (b) 0.7",
        "median of 5 subnets 0.4",
        "all subnets show --all",
    ]
    assert "  loss " in short and "subnet.c" not in short
    assert all(f"  {name} " in long for name in scores)


def test_options_are_those_that_the_run_was_trained_with(tmp_path: Path) -> None:
    """A default that was changed since says nothing about its networks."""
    file = tmp_path / "wide.py"
    code = """
import torch
from dataclasses import dataclass
from torch import nn
from pbtnas.search import SearchSpace, layer, switch
from pbtnas.tasks.supervised import SupervisedTask

class Wide(SupervisedTask):
    space = SearchSpace([switch("a", (0, 1))])

    @dataclass(frozen=True)
    class Options:
        width: int = 4

    def __init__(self, options): self.width = options.width
    def build(self, choices): return nn.Linear(3, self.width)
    def data(self): ...
"""
    file.write_text(code)
    root = tmp_path / "run"
    finished(root, "Wide", {}, task_file=f"{file}:Wide", recorded={"width": 4})
    file.write_text(code.replace("= 4", "= 8"))

    counts, lacking = naming_of(root, open_run(root), f"{file}:Wide").parameters([(0,)])

    assert (counts, lacking) == ({(0,): 4 * 3 + 4}, "")


def test_names_are_those_of_the_other_commands(run: Path) -> None:
    """Digits may be left out where they are noughts, as `--which` takes them."""
    for name in ("m0", "g0-m0", "g0000-m00"):
        assert "g0000-m00" in call("show", run, name, "--task", OWN).stdout
    assert call("show", run, "--json", "--csv").exit_code == 2
    assert "--which g0000-m01 -o run-g0000-m01 --task FILE.py:OwnTask" in call("show", run).stdout


def test_ages_and_parents_come_from_births(tmp_path: Path) -> None:
    """A child begins anew and names base and donor; who was never replaced is as old as the run."""
    write(tmp_path, story(search()))
    history = History.read(tmp_path)
    rows = {row.member: row for row in members(history)}

    assert {row.generation for row in rows.values()} == {3}
    born = history.generations[2].births
    assert born
    for member, birth in born.items():
        assert rows[member].age == 1
        assert set(rows[member].parents) == {birth.birth.base, birth.birth.donor}
    assert {(row.age, row.parents) for row in rows.values() if row.age == 4} == {(4, ())}


def test_a_finished_run_stays_finished_when_its_members_cannot_be_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end screen says why in one sentence, and the command ends as the search did."""
    show_end(run, "missing.py:OwnTask")

    assert "pbtnas: the members cannot be shown: " in capsys.readouterr().err
