"""The report: one file, everything in it, every text escaped."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pbtnas.analysis.compare.gathering import gather
from pbtnas.analysis.compare.verdict import Question
from pbtnas.analysis.history.run import History
from pbtnas.analysis.report.page import Report, run_report, study_report, to_html
from pbtnas.records import paths
from tests.analysis.made_runs import search, story, study, write

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    root = tmp_path_factory.mktemp("made") / "run"
    write(root, story(search()))
    return History.read(root)


def page(history: History) -> str:
    return to_html(run_report(history, tuple(search().space), []))


@pytest.fixture(scope="module")
def text(history: History) -> str:
    """The page of that run, drawn once: to draw five figures takes a second."""
    return page(history)


def test_a_run_is_told_whole(history: History, text: str) -> None:
    """Fingerprint, figures, best members by option, configuration, commands and versions."""
    assert history.final is not None and history.final.fingerprint in text
    assert text.count('src="data:image/svg+xml;base64,') == 5
    for told in ("best ever", "norm", "pbtnas run run.yaml", "Where the results were made"):
        assert told in text
    found = re.search(r"<summary>run.yaml</summary><pre>(.*?)</pre>", text, re.DOTALL)
    assert found is not None
    assert yaml.safe_load(html.unescape(found[1])) == history.config


def test_what_failed_and_was_tried_again_is_listed(text: str) -> None:
    """Every end of an attempt, members without a score, and the last line of tracebacks."""
    assert "ValueError: no such layer" in text
    for end in ("error", "oom", "released", "failed", "diverged"):
        assert f"<td>{end}</td>" in text


def test_the_file_needs_nothing_else(text: str) -> None:
    """No address outside of itself, no script, and a policy that forbids both."""
    assert set(re.findall(r'(?:src|href)="([^":#]*)', text)) <= {"data", ""}
    assert "<script" not in text and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.usefixtures("undrawn")
def test_every_text_is_escaped(history: History) -> None:
    """Whoever may write to the directory, or name an option, cannot write into the page."""
    config: dict[str, Any] = {**history.config, "task": {"name": EVIL}}
    evil = replace(history, config=config, about={"created": EVIL}, problems=(EVIL,))

    text = to_html(run_report(evil, (), [EVIL]))

    assert EVIL not in text
    assert text.count(html.escape(EVIL, quote=False).replace("'", "&#39;")) >= 4


def test_a_run_that_has_just_begun_has_a_report(tmp_path: Path) -> None:
    """Without a selected generation there are no figures, and a sentence says why."""
    write(tmp_path / "run", story(search())[:8])
    text = page(History.read(tmp_path / "run"))

    assert "No figures: the run has no finished generation yet." in text
    write(tmp_path / "empty", story(search())[:1])
    with pytest.raises(ValueError, match="no configuration yet"):
        page(History.read(tmp_path / "empty"))


@pytest.mark.usefixtures("undrawn")
def test_damage_is_said(tmp_path: Path) -> None:
    """A record that cannot be read is named in the report."""
    write(tmp_path / "run", story(search()))
    (tmp_path / "run" / paths.result(0, 1)).write_text("{")

    assert paths.result(0, 1) in page(History.read(tmp_path / "run"))


def test_a_study_is_compared_and_its_gaps_are_named(tmp_path: Path) -> None:
    """Tables of the finished runs, fingerprints of all, what differs, who is missing."""
    root = study(tmp_path / "s", unbegun=("pbt-nas-s3",))
    found = gather([root])

    text = to_html(study_report(root, found, Question()))

    for run in found.finished:
        assert run.history.final is not None and run.history.final.fingerprint in text
    assert "5 of 6 finished" in text and "pbt-nas-s3" in text
    assert "Is the first better than the second?" in text
    assert "<td>search.algorithm</td><td>pbt-nas</td><td>random-search</td>" in text


@pytest.mark.usefixtures("undrawn")
def test_a_study_can_be_had_again_from_its_report(tmp_path: Path) -> None:
    """The study's file names the files beside it; commands name a task that is not installed."""
    root = study(tmp_path / "s")

    report = study_report(root, gather([root]), Question())

    code = next(s.code for s in report.sections if s.title == "Doing it again")
    file = yaml.safe_load(code["study.yaml"])
    assert file["seeds"] == [1, 2, 3] and list(file["runs"]) == ["pbt-nas", "random-search"]
    for name, keys in file["runs"].items():
        assert yaml.safe_load(code[keys["config"]])["search"]["algorithm"] == name
    commands = code["the study again"].splitlines()
    study_command = "pbtnas study study.yaml studies/s-again --workers 2 --task FILE.py:tiny"
    assert commands[:2] == [study_command, "pbtnas compare studies/s-again"]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("task", "option"), [("tiny", " --task FILE.py:tiny"), ("digits", "")])
def test_a_task_of_ones_own_has_its_place_in_the_command(
    history: History, task: str, option: str
) -> None:
    """The page does not know the file, but that one is needed."""
    of_task = replace(history, config={**history.config, "task": {"name": task}})

    code = next(s.code for s in run_report(of_task, (), []).sections if s.code)

    command = f"pbtnas run run.yaml runs/run-again --workers 2{option}"
    assert code["the run run again"] == command


@pytest.mark.usefixtures("undrawn")
def test_a_study_of_sizes_is_compared_size_by_size(tmp_path: Path) -> None:
    """Other budgets have sections of their own instead of a refusal."""
    sizes = {"pbt-nas": 6, "larger": 8}
    root = study(tmp_path / "s", populations=sizes)

    report: Report = study_report(root, gather([root]), Question())

    titles = [section.title for section in report.sections]
    assert titles[:2] == ["Comparison: 60 network-epochs", "Comparison: 80 network-epochs"]
