"""A worker that another engine's program calls works in a process of its own, from any thread."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import pbtnas
from pbtnas.api.working import WorkerEnded
from pbtnas.cli.app import cli
from pbtnas.errors import ExitCode
from tests.api.searches import stand_in
from tests.docs.test_docs import ROOT, parse

MINE = ROOT / "examples" / "own_task.py"


def test_every_argument_is_an_option_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that is started takes them all, and waits for a run as long as it takes."""
    noted = stand_in(monkeypatch)

    finished = pbtnas.work(
        tmp_path / "run",
        "cpu",
        60.0,
        task=f"{MINE}:OwnTask",
        machine="node7",
        slots=2,
        scratch=tmp_path,
        log=["tensorboard"],
    )

    assert finished is True
    (words,) = noted
    parse(cli, words[2:])
    assert words[2:4] == ["worker", str(tmp_path / "run")]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    assert given == {
        "--device": "cpu",
        "--until": "60.0",
        "--task": f"{MINE}:OwnTask",
        "--machine": "node7",
        "--patience": "forever",
        "--scratch": str(tmp_path),
        "--slots": "2",
        "--log": "tensorboard",
        "--parent": str(os.getpid()),
    }


def test_without_a_device_the_worker_takes_the_one_that_the_engine_has_assigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what else is left to the worker is not named."""
    noted = stand_in(monkeypatch)

    pbtnas.work(tmp_path / "run", until="auto", patience=5)

    parse(cli, noted[0][2:])
    given = dict(zip(noted[0][4::2], noted[0][5::2], strict=True))
    assert given.pop("--parent")
    assert given == {"--device": "auto", "--until": "auto", "--patience": "5", "--slots": "1"}


def test_the_caller_learns_how_the_worker_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the end is False; what would happen again is raised with its sentence."""
    stand_in(monkeypatch, code=ExitCode.STOPPED)
    assert pbtnas.work(tmp_path) is False

    stand_in(monkeypatch, says="pbtnas: the GPU is gone\n", code=ExitCode.UNFIT)
    with pytest.raises(WorkerEnded, match="^the GPU is gone$") as raised:
        pbtnas.work(tmp_path)
    assert raised.value.code == ExitCode.UNFIT
    carried = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  (our own bytes)
    assert (str(carried), carried.code) == ("the GPU is gone", ExitCode.UNFIT)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [({"until": "x"}, "Invalid value for '--until': "), ({"slots": 0}, "Invalid value for '--sl")],
)
def test_an_argument_that_is_none_is_told(
    tmp_path: Path, argument: dict[str, Any], sentence: str
) -> None:
    """In the words of the command's own option."""
    with pytest.raises(WorkerEnded) as raised:
        pbtnas.work(tmp_path / "run", **argument)
    assert raised.value.code == ExitCode.USAGE
    assert str(raised.value).startswith(sentence)


def test_a_worker_is_called_from_a_thread_and_leaves_signals_alone(tmp_path: Path) -> None:
    """As an actor's or a pool's: the handlers of the process stay, and the sentence arrives."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    raised: list[BaseException] = []

    def call() -> None:
        try:
            pbtnas.work(tmp_path / "none", "cpu", patience=0)
        except WorkerEnded as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    (error,) = raised
    assert isinstance(error, WorkerEnded) and error.code == ExitCode.USAGE
    assert str(tmp_path / "none") in str(error)
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
