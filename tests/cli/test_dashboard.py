"""`pbtnas dashboard` says in one sentence what it cannot show, and where it listens."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli.app import cli
from tests.analysis.made_runs import search, story, write


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["dashboard", *map(str, arguments)], prog_name="pbtnas")


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the command says how to get it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = call(tmp_path)

    assert result.exit_code == 2
    assert 'plotly, starlette, uvicorn (pip install "pbtnas[dashboard]")' in result.stderr


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    """A slip is told before anything is served."""
    (tmp_path / "notes.txt").write_text("mine")
    result = call(tmp_path)

    assert result.exit_code == 2 and "not a run directory" in result.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """One sentence with the port, and no frames."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = call(tmp_path / "later", "--port", port)

    assert result.exit_code == 2
    assert result.stderr == f"pbtnas: --host 127.0.0.1 --port {port}: Address already in use\n"


def test_it_serves_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    """The address stands on stdout, the page behind it, and Ctrl-C ends the command quietly."""
    write(tmp_path, story(search()))
    command = [sys.executable, "-m", "pbtnas", "dashboard", str(tmp_path), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert address is not None, process.stderr.read()
        try:
            with urllib.request.urlopen(f"{address[1]}data/run/0", timeout=300) as answer:
                assert b'"state":"finished"' in answer.read()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == 0
