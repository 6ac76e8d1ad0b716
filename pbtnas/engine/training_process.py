"""Starts a worker's training process, speaks with it, and judges its end."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine import guard
from pbtnas.engine.forking import Forked, can_fork, fork
from pbtnas.engine.own_time import DISK, OwnTime, see
from pbtnas.engine.signals import STOP_SIGNALS
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Progress, Stopped, Trained
from pbtnas.records.heartbeat import at_disk
from pbtnas.records.schema import Result
from pbtnas.regular_files import append_regular, open_regular

log = logging.getLogger("pbtnas")

Event = Progress | Trained | AttemptFailed | Stopped

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
_TAIL = 4000  # characters of the log that go into a failure's record
_FATAL = "Fatal Python error: "  # with which faulthandler begins
_PIECE = 1 << 16  # bytes received at once
_JUDGED_S = 1.0  # at most, between two looks at the process while it speaks


class TrainingProcess:
    """Manages one training process, by way of its guard; replaces it after a failure.

    Args:
        setting: The fields of `training.Setting`, as JSON.
        log: The file for whatever the process prints.
        environment: Variables added to the environment (threads, the visible GPU).
        start_s: Time to get ready for the first job of a run.
        hang_s: Longest time without progress in the code of the task.
        grace_s: Time for a snapshot after `halt`.
    """

    def __init__(
        self,
        setting: dict[str, Any],
        log: Path,
        environment: dict[str, str],
        *,
        start_s: float,
        hang_s: float,
        grace_s: float,
    ) -> None:
        self._setting = setting
        self._log = log
        self._environment = environment
        self._start_s, self._hang_s, self.grace_s = start_s, hang_s, grace_s
        # The guard, which ends as the training process does, and what lets it live.
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._alive: int | None = None
        self.pid: int | None = None  # of the training process itself, as the guard has said
        self._socket: socket.socket | None = None
        self._received = b""
        self._judged_s = float("-inf")
        self._ready = False
        self._busy = False
        self._done = 0  # steps of the job in work
        self._silence = OwnTime()
        self._halted: OwnTime | None = None
        self._at_disk = ""  # what it reads or writes, by its own words
        self._kills = 0
        self._remarks: set[str] = set()  # that this process or an earlier one has made
        self.waiting = ""  # for a directory that cannot be written
        self.hindered = ""  # why it could not go on at the last look

    def warm_up(self) -> None:
        """Start the process if none runs, so that it imports while there is nothing to do."""
        if self._process is not None and self._process.poll() is None:
            return
        self.discard()
        ours, theirs = socket.socketpair()
        told = {"setting": self._setting, "fd": theirs.fileno(), "signals": STOP_SIGNALS}
        line = json.dumps(told).encode() + b"\n"
        stdin, self._alive = os.pipe()
        with self._open_log() as log:
            self._process = self._guard(line, theirs.fileno(), stdin, log.fileno())
        os.close(stdin)
        theirs.close()
        ours.setblocking(False)
        self._socket, self._received, self._ready = ours, b"", False
        self._kills = _oom_kills()
        self._at_disk = ""
        self._silence.restart()

    def start(self, attempt: Attempt, root: Path) -> None:
        """Hand over a job of the run in `root`; it waits until the process is ready."""
        self.warm_up()
        self._busy, self._halted, self.waiting, self._done = True, None, "", 0
        job = attempt.job.to_json()
        self._send({"root": str(root), "job": job, "attempt": attempt.number})
        if self._ready:
            self._silence.restart()

    def halt(self) -> None:
        """Ask for a snapshot and the job back."""
        self._send({"halt": True})
        self._halted = OwnTime()

    def descriptor(self) -> int | None:
        """What can be read when there is news."""
        return None if self._socket is None else self._socket.fileno()

    @property
    def unread(self) -> bool:
        """Whether there may be news already received, for which nothing has to be waited."""
        return b"\n" in self._received

    def news(self) -> Event | None:
        """The next event of the current job, if there is one; never waits."""
        return self._next_event() if self._busy else None

    @property
    def busy(self) -> bool:
        """Whether it has a job."""
        return self._busy

    @property
    def ready(self) -> bool:
        """Whether it has said that it can take a job."""
        return self._ready

    def trouble_at_start(self) -> AttemptFailed | None:
        """Why the process, which has no job yet, does not get ready; None while it may."""
        event = self._next_event()
        return event if isinstance(event, AttemptFailed) else None

    def _next_event(self) -> Event | None:
        spoke = self._receive()
        event: Event | None = None
        while self.unread and not isinstance(event, Trained | AttemptFailed | Stopped):
            line, _, self._received = self._received.partition(b"\n")
            event = self._understand(json.loads(line)) or event
        # Who has just spoken lives; to ask the kernel would cost more than the message.
        if event is None and not (spoke and time.monotonic() - self._judged_s < _JUDGED_S):
            event = self._judge()
        if isinstance(event, Trained | AttemptFailed | Stopped):
            self._busy, self.hindered = False, ""
        if isinstance(event, AttemptFailed):
            self.discard()  # after a failure, begin with a clean process
        return event

    def discard(self) -> None:
        """End the process and everything it has started."""
        if self._process is not None:
            assert self._alive is not None
            os.close(self._alive)  # and the guard kills them
            try:
                self._process.wait(2 * guard.KILL_S)
            except subprocess.TimeoutExpired:
                self._process.kill()  # and the kernel the training process; somebody stopped it
                self._process.wait()
        if self._socket is not None:
            self._socket.close()
        self._process, self._alive, self._socket, self.pid = None, None, None, None

    # -- inside --------------------------------------------------------------------------------

    def _guard(
        self, line: bytes, theirs: int, stdin: int, log: int
    ) -> subprocess.Popen[bytes] | Forked:
        """Start the guard, and tell it what to start.

        Args:
            line: What it is told.
            theirs: The descriptor of the training process's end of the socket.
            stdin: The descriptor of its standard input, which ends as this process does.
            log: The descriptor of the log.
        """
        # The directory is there for those who look at a list of processes.
        command = python_command("-m", "pbtnas.engine.guard", self._setting["root"])
        environment = python_environment(self._environment)
        if can_fork(self._environment):
            return fork(lambda: guard.main(line), command, keep=[theirs], stdin=stdin, output=log)
        process = subprocess.Popen(
            command,
            pass_fds=[theirs],
            stdin=stdin,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            preexec_fn=_ignore_stop_signals,  # we have no threads
        )
        assert self._alive is not None
        with suppress(BrokenPipeError):  # it has ended already, which is seen later
            os.write(self._alive, line)
        return process

    def _open_log(self) -> BinaryIO:
        """For what the process prints; nowhere while the directory cannot be written."""
        try:
            return os.fdopen(append_regular(self._log), "ab")
        except OSError:
            return Path(os.devnull).open("ab")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # the process has ended; its end is judged when its news are read

    def _receive(self) -> bool:
        """Take what was sent; whether there was anything."""
        assert self._socket is not None
        spoke = False
        try:
            while more := self._socket.recv(_PIECE):
                self._received += more
                spoke = True
                if len(more) < _PIECE:
                    break  # else a call that says there is no more, after every message
        except (BlockingIOError, ConnectionResetError):
            pass
        return spoke

    def _understand(self, message: dict[str, Any]) -> Event | None:
        if "pid" in message:
            self.pid = message["pid"]
            return None
        if self._ready:
            self._silence.restart()
        if "disk" not in message:
            self.waiting = message.get("waiting", "")
        match message:
            case {"ready": bool(ready)}:
                self._ready = ready
                # What the user has told once is not said of what the file becomes later.
                self._setting = {**self._setting, "accept": False}
                self._silence.restart()
                return None
            case {"disk": str(what)}:
                self._at_disk = what
                return None
            case {"progress": done}:
                self._done = done
                return Progress(done)
            case {"result": result, "meta": meta, "file": file}:
                return Trained(Result.from_json(result), file, meta)
            case {"failure": kind, "text": text, **rest}:
                return AttemptFailed(Failure(kind), text, rest.get("damaged"))
            case {"interrupted": True}:
                return Stopped(self._done)
            case {"remark": str(sentence)}:
                if sentence not in self._remarks:
                    self._remarks.add(sentence)
                    log.warning("%s", sentence)
                return None
            case {"unable": text}:
                return AttemptFailed(Failure.INFRA, text)
        raise AssertionError(f"not a message of a training process: {message}")

    def _judge(self) -> Event | None:
        """Whether the process has ended, or has been silent for too long."""
        assert self._process is not None
        self._judged_s = time.monotonic()
        code = self._process.poll()
        if code is not None:
            self._receive()  # what it said before it ended says more than its end
            return None if self.unread else self._ended(code)
        # Before it is ready, the job has not begun, and there is nothing to snapshot.
        if self._halted and not (self._ready and self._halted.look() <= self.grace_s):
            self.discard()
            return Stopped(self._done)
        seen = see(self.pid or self._process.pid)
        self.hindered = self._hindrance(seen.hindrance)
        hindered = bool(self.hindered or self.waiting)
        if self._silence.look(seen, hindered=hindered) <= self._limit_s():
            return None
        if not self._ready:
            return AttemptFailed(Failure.INFRA, f"not ready to train after {self._start_s:g} s")
        return AttemptFailed(Failure.HANG, f"{self._tail()}\nno progress for {self._hang_s:g} s")

    def _limit_s(self) -> float:
        return self._hang_s if self._ready else self._start_s

    def _hindrance(self, seen: str) -> str:
        if self._at_disk:
            return at_disk(self._at_disk)
        return at_disk(seen) if seen == DISK else seen

    def _ended(self, code: int) -> AttemptFailed:
        """What the end of the process means: whose fault it was decides whether it counts."""
        if code >= 0:
            failure = Failure.CRASH if self._ready else Failure.INFRA
            return AttemptFailed(
                failure, f"{self._tail()}\nthe training process exited with {code}"
            )
        name = signal.Signals(-code).name
        if -code in _CRASHES:
            return AttemptFailed(
                Failure.CRASH, f"{self._tail(_FATAL)}\nthe training process died of {name}"
            )
        if -code == signal.SIGKILL and _oom_kills() > self._kills:
            return AttemptFailed(Failure.OOM, "the training process was killed for lack of memory")
        return AttemptFailed(Failure.INFRA, f"the training process was ended by {name}")

    def _tail(self, begin: str = "") -> str:
        """The end of what the process printed: the traceback of a crash, by faulthandler.

        If it has the words `begin`, it is shown from the last of these on: at the end of a
        traceback is what started the process, and the list of all extension modules.

        It comes before the sentence that says what happened: where there is room for one line,
        the last is shown, as of a traceback.
        """
        try:
            with os.fdopen(open_regular(self._log), "rb") as log:
                # A character has up to four bytes.
                log.seek(max(0, os.fstat(log.fileno()).st_size - 4 * _TAIL))
                text = log.read(4 * _TAIL).decode(errors="replace")
        except OSError as error:
            return f"its log cannot be read ({error.strerror})"
        begun = text.rfind(begin) if begin else -1
        text = (text[begun:][:_TAIL] if begun >= 0 else text[-_TAIL:]).strip()
        return f"the end of its output:\n{text}" if text else "it printed nothing"


def _ignore_stop_signals() -> None:
    """Until the guard handles them, which leaves them to its worker."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _oom_kills() -> int:
    """How many processes this machine has killed for lack of memory so far."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
