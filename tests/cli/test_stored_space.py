"""Commands that look at a run name its options from its records: the task may be gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.analysis.history.run import History
from pbtnas.analysis.report import page
from pbtnas.cli.app import cli
from pbtnas.cli.compare import _figures_of_run
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.store.run_directory import open_run
from pbtnas.tasks.loading import load_task
from tests.networks.finished import add_member, finished, last_options

OWN = f"{Path(__file__).parents[2] / 'examples' / 'own_task.py'}:OwnTask"
GONE = "gone.py:OwnTask"


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of two members; whoever loads its task fails."""
    root = tmp_path / "run"
    finished(root, "OwnTask", {}, task_file=OWN, recorded={}, told=True)
    task = load_task("OwnTask", {}, task_file=OWN)
    add_member(root, task.create(last_options(task.space), 2), last_options(task.space))
    monkeypatch.setenv("PBTNAS_TASK", GONE)
    return root


def test_show_names_options_without_the_task(run: Path) -> None:
    """In its tables and for programs; nothing says that something is lacking."""
    shown = call("show", run).stdout
    rows = json.loads(call("show", run, "--json").stdout)

    assert "activation=" in shown and "indices" not in shown
    assert "  option activation" in call("show", run, "m00").stdout
    assert rows[0]["options"].keys() == rows[1]["options"].keys() > {"activation"}


def test_status_names_the_best_options_and_the_processor(run: Path) -> None:
    """On the screen and for programs."""
    screen = call("status", run).stdout
    seen = json.loads(call("status", run, "--json").stdout)

    assert "begun on Some CPU, AVX2" in screen and "activation=" in screen
    assert seen["processor"] == "Some CPU, AVX2" and "activation" in seen["options"]


def test_plot_and_report_know_the_options_without_the_task(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figure of options is drawn, the best member is told option by option, and the report
    says where the run was begun and its results were made."""
    assert "options" in _figures_of_run(run, GONE)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(page, "run_figures", lambda *_: {})  # which takes seconds
    call("report", run, "-o", run / "report.html")

    html = (run / "report.html").read_text()
    assert "activation" in html and "Options are left out" not in html
    assert "Some CPU, AVX2" in html and "cpu_capability" in html


def test_compare_needs_no_task(run: Path) -> None:
    """It speaks of scores; a task that is gone is none of its business."""
    assert "pbt-nas" in call("compare", run).stdout


def test_the_card_names_options_as_the_run_does(run: Path, tmp_path: Path) -> None:
    """Beside the processor that the run was begun on; the weights need the task itself."""
    call("export", run, "-o", tmp_path / "out", "--task", OWN)

    card = (tmp_path / "out" / "README.md").read_text()
    assert "`activation`" in card and "| processor | Some CPU, AVX2 |" in card
    assert History.read(run).space is not None


def test_another_space_than_the_runs_is_not_believed(run: Path) -> None:
    """Where `run.json` was lost and made again for another task, the task at hand is asked."""
    record = decode((run / paths.CONFIG).read_bytes(), paths.CONFIG, kind="config")
    other = [{"name": "activation", "options": ["x", "y"], "modules": []}]
    changed = Record("config", record.run, record.core, {**record.meta, "space": other}, "nonce")
    (run / paths.CONFIG).write_bytes(encode(changed, paths.CONFIG))

    assert open_run(run).variables is None and History.read(run).space is None
