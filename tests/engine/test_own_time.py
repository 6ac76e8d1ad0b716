"""A slow disk, a stopped process and a machine that stood still are no hanging job."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pbtnas.engine import own_time, training_process
from pbtnas.engine.own_time import MOST_S, OwnTime, Seen
from pbtnas.engine.training_process import Event, TrainingProcess
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Progress, Stopped
from pbtnas.records import paths
from pbtnas.records.schema import Job
from tests.system.site import wait_until

# Says to its worker, line by line, what the test writes into a pipe; it is its own guard, and ends
# when its worker wants no more.
PUPPET = """
import json, os, socket, sys, threading
worker = socket.socket(fileno=json.loads(sys.stdin.readline())["fd"])
threading.Thread(target=lambda: os._exit(len(sys.stdin.read()))).start()
for line in open(os.environ["PBTNAS_TEST_LINES"]):
    worker.sendall(line.encode())
    while "spin" in line:
        pass
"""
START_S, HANG_S, GRACE_S = 50.0, 10.0, 5.0
LONG = 600  # looks, a second each


class Watched:
    """A training process that says what it is told to, watched on a clock of the test."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(own_time, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        monkeypatch.setattr(
            training_process,
            "python_command",
            lambda *words: [sys.executable, "-S", "-c", PUPPET],
        )
        os.mkfifo(directory / "lines")
        self.training = TrainingProcess(
            {"root": str(directory)},
            directory / "training.log",
            {"PBTNAS_TEST_LINES": str(directory / "lines")},
            start_s=START_S,
            hang_s=HANG_S,
            grace_s=GRACE_S,
        )
        job = Job(0, 0, (0,), (), seed=1, epochs=1, threads=1)
        self.training.start(Attempt(job, paths.job_slot(0, 0), 1), directory)
        self.lines = (directory / "lines").open("w")
        assert self.training._process is not None
        self.pid = self.training._process.pid

    def says(self, **message: object) -> None:
        """Let the process say that, and see that the worker has understood it."""
        self.lines.write(f"{json.dumps(message)}\n{json.dumps({'progress': 7})}\n")
        self.lines.flush()
        wait_until(lambda: self.training.news() == Progress(7), f"{message} to arrive")
        self.until_it_sleeps()

    def until_it_sleeps(self) -> None:
        """On a crowded machine it may first have to wait for a processor."""
        wait_until(lambda: own_time.see(self.pid).state == "S", "it to wait for its next line")

    def until(self, true: Callable[[], bool]) -> None:
        """Look without time passing until something is so."""
        wait_until(lambda: self.training.news() or true(), "what was done to take effect")

    def looks(self, count: int, *, every_s: float = 1.0) -> Event | None:
        """Look so often; the event that comes of it."""
        for _ in range(count):
            self.now_s += every_s
            event = self.training.news()
            if event is not None:
                return event
        return None

    def hangs(self) -> bool:
        """Whether silence is found to be a hang after as many looks as it should."""
        self.until_it_sleeps()
        early = self.looks(int(HANG_S))
        event = self.looks(1)
        return early is None and isinstance(event, AttemptFailed) and event.failure is Failure.HANG


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(tmp_path, monkeypatch)
    yield made
    made.training.discard()
    made.lines.close()


def test_what_waits_for_the_disk_does_not_hang(watched: Watched) -> None:
    """By its own words it reads or writes, as long as it takes; its own code has to go on."""
    watched.says(ready=True)
    watched.says(disk="writing the checkpoint")

    assert watched.looks(LONG) is None
    assert watched.training.hindered == "waiting for the disk: writing the checkpoint"
    watched.says(disk="")
    assert watched.hangs()


def test_what_is_stopped_does_not_hang(watched: Watched) -> None:
    """SIGSTOP, for however long; afterwards it has all the time that it had before."""
    watched.says(ready=True)
    os.kill(watched.pid, signal.SIGSTOP)
    watched.until(lambda: watched.training.hindered == "stopped by a signal")

    assert watched.looks(LONG) is None
    os.kill(watched.pid, signal.SIGCONT)
    watched.until(lambda: not watched.training.hindered)
    assert watched.hangs()


def test_who_gets_no_processor_does_not_hang(watched: Watched) -> None:
    """On a crowded machine it wants to go on and may not; what it gets of a processor counts."""
    watched.says(ready=True)
    watched.lines.write(f"{json.dumps({'progress': 8, 'waiting': 'spin'})}\n")
    watched.lines.flush()
    wait_until(lambda: watched.training.news() == Progress(8), "it to spin")
    wait_until(lambda: own_time.see(watched.pid).state == "R", "it to want a processor")
    starved = watched.looks(LONG)
    own = OwnTime()
    for used_s in range(1, 101):
        watched.now_s += 1.0
        counted_s = own.look(Seen("R", used_s / 10))

    assert starved is None
    assert counted_s == pytest.approx(10.0)


def test_time_in_which_nobody_looked_does_not_count(watched: Watched) -> None:
    """The worker itself was stopped, or its machine suspended: a look counts for a moment only,
    for the time to hand back too."""
    watched.says(ready=True)

    assert watched.looks(int(HANG_S / MOST_S), every_s=1e6) is None
    assert isinstance(watched.looks(1, every_s=1e6), AttemptFailed)


def test_a_hand_back_has_its_grace_of_watched_time(watched: Watched) -> None:
    """However slow the disk is, whoever asks to stop waits for the grace and no longer."""
    watched.says(ready=True)
    watched.says(disk="writing a snapshot")
    watched.training.halt()

    assert watched.looks(int(GRACE_S / MOST_S), every_s=1e6) is None
    assert watched.looks(1, every_s=1e6) == Stopped(7)


def test_getting_ready_on_a_slow_disk_takes_its_time(watched: Watched) -> None:
    """At first, and for another run of a study: it has `start_s` of its own time for that, which
    is never held against a job."""
    for _ in range(2):
        watched.says(disk="opening the run")
        assert watched.looks(LONG) is None
        watched.says(disk="")
        watched.says(ready=True)
        watched.says(ready=False)

    assert watched.looks(int(START_S)) is None
    event = watched.looks(1)
    assert event == AttemptFailed(Failure.INFRA, "not ready to train after 50 s")


def test_who_is_not_ready_has_nothing_to_hand_back(watched: Watched) -> None:
    """Asked to stop while torch is imported, a worker does not wait for a snapshot."""
    watched.training.halt()

    assert watched.training.news() == Stopped(0)


def test_getting_ready_on_a_full_disk_takes_its_time(watched: Watched) -> None:
    """A process that is started while the disk is full waits like any other."""
    for _ in range(2):
        watched.says(disk="opening the run")
        watched.says(disk="")
        watched.lines.write(json.dumps({"progress": 7, "waiting": "No space left on device"}))
        watched.lines.write("\n")
        watched.lines.flush()
        watched.until(lambda: watched.training.waiting != "")

        assert watched.looks(LONG) is None


def test_another_process_has_a_clock_of_its_own() -> None:
    """The CPU time of the one before is not held for it, nor against it."""
    own = OwnTime()
    own.look(Seen("S", 3000.0))
    own.restart()

    assert own.look(Seen("R", 0.5)) >= 0.0
