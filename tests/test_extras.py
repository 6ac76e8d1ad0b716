"""A worker runs without what only other commands need, and these name the extra that they need."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.errors import ExitCode, MissingExtra
from tests.analysis.made_runs import search, story, write
from tests.docs.test_docs import ROOT
from tests.system.site import Site

NOT_FOR_WORKERS = ("matplotlib", "sklearn", "jinja2")
BLOCKED = f"""
import sys
for name in {NOT_FOR_WORKERS}:
    sys.modules[name] = None  # type: ignore[assignment]
"""


def test_a_search_imports_nothing_that_only_other_commands_need(site: Site) -> None:
    """Coordinator, worker and training process end a search where these cannot be imported."""
    blocking = site.directory / "blocking"
    blocking.mkdir()
    (blocking / "sitecustomize.py").write_text(BLOCKED)

    run = site.run(1, PYTHONPATH=str(blocking))

    assert run.ends() == ExitCode.OK, run.said()


@pytest.mark.parametrize(
    ("missing", "command", "sentence"),
    [
        ("matplotlib", "plot", 'a figure needs matplotlib: `pip install "pbtnas[plot]"` brings it'),
        ("matplotlib", "report", "a figure needs matplotlib"),
        ("jinja2", "report", 'a report needs jinja2: `pip install "pbtnas[report]"` brings it'),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, command: str, sentence: str
) -> None:
    """In one sentence, as wrong usage."""
    write(tmp_path / "run", story(search()))
    monkeypatch.setitem(sys.modules, missing, None)

    done = CliRunner().invoke(cli, [command, str(tmp_path / "run"), "-o", str(tmp_path / "out")])

    assert done.exit_code == ExitCode.USAGE
    assert f"pbtnas: {sentence}" in done.output


def test_the_built_in_task_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of the task digits needs scikit-learn, which holds the digits."""
    from pbtnas.data.digits import load_digits

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)

    with pytest.raises(MissingExtra, match=r"the task digits needs sklearn.*pbtnas\[digits\]"):
        load_digits()


def test_what_was_tested_is_what_the_extras_ask_for() -> None:
    """requirements.txt, which the README's commands install, still has all of it; and the image
    copies what is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["digits"], *extras["report"], *extras["plot"]]
    pinned = (ROOT / "requirements.txt").read_text()

    for requirement in needed:
        name = requirement.partition(">")[0]
        assert f"\n{name}==" in pinned, name
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1])
