"""URLs as the place of a run: which commands take them, and what is said where they cannot."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import cli, places
from pbtnas.store.bucket.client import client_of

URL = "s3://runs/c10"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A current directory and a cache of this test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PBTNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PBTNAS_CACHE_GB", "")
    yield
    places._places.clear()


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.mark.parametrize(
    "line",
    [
        ["study", "study.yaml", URL],
        ["compare", "run", "-o", URL],
        ["replay", URL],
        ["report", "run", "-o", URL],
        ["dashboard", URL],
        ["launch", "list", URL],
        ["launch", "scale", "2", URL],
        ["launch", "stop", URL],
        ["new", URL],
        ["export", "run", "-o", URL],
    ],
)
def test_a_command_for_directories_refuses_a_url(line: list[str]) -> None:
    """One sentence, exit code 2, and no directory named `s3:`."""
    result = call(*line)

    assert result.exit_code == 2, result.output
    assert f"{URL}: expected a path, not a URL" in result.output
    assert not Path("s3:").exists()


@pytest.mark.parametrize("command", ["status", "fsck", "doctor", "coordinator", "worker", "plot"])
def test_a_url_without_the_library_names_the_extra(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has not installed it is told how, and nothing is waited for."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    client_of.cache_clear()
    result = call(command, URL)

    assert result.exit_code == 2, result.output
    assert result.stderr == (
        f"pbtnas: {URL}: a run in a bucket needs the extra pbtnas[bucket]: pip install "
        "'pbtnas[bucket]'\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["status", "ftp://a/b"],
            "ftp://a/b: expected a directory, or a URL that begins with s3://",
        ),
        (["status", "memory://a"], "what lies in memory: ends with its process"),
        (["worker", "file:///r", "--cache-gb", "0"], "Invalid value for '--cache-gb'"),
        (["doctor", "file:///r", "--with", "2"], "--with: expected a directory; a bucket"),
        (["launch", "ssh", URL, "--host", "a"], f"{URL}: expected a directory that all machines"),
    ],
)
def test_bad_places_are_one_sentence(words: list[str], said: str) -> None:
    """What was typed, and what was expected."""
    result = call(*words)

    assert result.exit_code == 2, result.output
    assert said in result.stderr


def test_a_run_below_a_file_url_is_named_by_that_url(tmp_path: Path) -> None:
    """What commands print names the URL, not the local directory; who looks makes nothing, and
    `doctor` leaves nothing behind."""
    pytest.importorskip("obstore")
    url = f"file://{tmp_path}/bucket/run"
    assert call("status", url).stderr == f"pbtnas: {url}: there is no such directory\n"
    assert not (tmp_path / "bucket").exists(), "who looks makes nothing"
    assert call("doctor", url).output.splitlines()[0] == f"ok   {url}: can be reached"
    assert not list((tmp_path / "bucket" / "run").iterdir())
    assert call("status", url).stderr == f"pbtnas: {url}: no run has been started here yet\n"
