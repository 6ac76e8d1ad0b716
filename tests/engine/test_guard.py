"""What a task starts does not outlive its training process, nor that its worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from pbtnas.child_python import python_command, python_environment
from tests.system.site import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do it")

GUARD = "\n".join(
    [
        "import sys",
        "from pbtnas.engine import guard",
        "guard.python_command = lambda *_: ['sh', '-c', sys.argv[1]]",
        "guard.main(sys.stdin.buffer.readline())",
    ]
)
"""A guard whose training process is a shell script, which needs no seconds to import torch."""


@dataclass
class Guarded:
    """A worker that only lives, its guard, and a training process with what that has started."""

    worker: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]
    training: int
    said: IO[bytes]
    mark: str

    def left(self) -> list[int]:
        """What the training process has started, of all that still runs."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command, stat = path.read_bytes(), path.with_name("stat").read_text()
            except OSError:
                continue  # it has just ended
            dead = stat.rpartition(")")[2].split()[0] in "ZX"
            if command.startswith(b"sleep\0") and self.mark.encode() in command and not dead:
                found.append(int(path.parent.name))
        return found


Begin = Callable[..., Guarded]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Guarded] = []

    def begin(then: str = "wait", *, started: int = 3) -> Guarded:
        mark = f"{3600 + len(begun)}.{os.getpid()}"
        script = f"sleep {mark} & setsid sleep {mark} & setsid -f sleep {mark}; {then}"
        ours, theirs = os.pipe()
        line = json.dumps({"fd": theirs})
        worker = subprocess.Popen(
            ["sh", "-c", f"echo '{line}'; exec sleep 86400"], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        guard = subprocess.Popen(
            python_command("-c", GUARD, script),
            env=python_environment(),
            stdin=worker.stdout,
            pass_fds=[theirs],
            start_new_session=True,
        )
        worker.stdout.close()
        os.close(theirs)
        said = os.fdopen(ours, "rb")
        pid = json.loads(said.readline())["pid"]
        made = Guarded(worker, guard, pid, said, mark)
        begun.append(made)
        if started:
            wait_until(lambda: len(made.left()) == started, "the descendants to begin")
        return made

    yield begin
    for made in begun:
        made.said.close()
        for process in (made.worker, made.guard):
            process.kill()
            process.wait()
        for pid in made.left():
            os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_takes_everything_along(begin: Begin) -> None:
    """Children in the same group, in a session of their own, and those whose parent has left."""
    guarded = begin()
    guarded.worker.kill()

    guarded.guard.wait(300)
    assert guarded.left() == []
    assert not Path(f"/proc/{guarded.training}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_killed_training_process_takes_everything_along(
    begin: Begin, number: signal.Signals
) -> None:
    """When the worker learns how it ended, nothing is left that the next attempt could meet."""
    guarded = begin()
    os.kill(guarded.training, number)

    assert guarded.said.read() == b"", "a worker that waits for words is woken"
    assert guarded.left() == []
    assert guarded.guard.wait(300) == -number


def test_an_exit_code_is_passed_on(begin: Begin) -> None:
    """The worker judges the training process by it."""
    guarded = begin("exit 7", started=0)

    assert guarded.guard.wait(300) == 7
    assert guarded.left() == []


def test_signals_to_the_group_are_left_to_the_worker(begin: Begin) -> None:
    """Guard and training process go on when everybody is asked to stop."""
    guarded = begin()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        guarded.guard.send_signal(number)
        os.kill(guarded.training, number)

    with pytest.raises(subprocess.TimeoutExpired):
        guarded.guard.wait(0.5)
    assert Path(f"/proc/{guarded.training}").exists()
    guarded.worker.kill()
    guarded.guard.wait(300)
    assert guarded.left() == []


def test_a_killed_guard_takes_the_training_process_along(begin: Begin) -> None:
    """The kernel does that; what the task has started is beyond it."""
    guarded = begin()
    guarded.guard.kill()

    wait_until(lambda: not Path(f"/proc/{guarded.training}").exists(), "it to end")
