"""pbtnas and its peers under the same faults, each doing the toy search of `toy.py`.

    python -m venv PEERS
    PEERS/bin/pip install -r benchmarks/peers/requirements.txt
    python benchmarks/peers/faults.py --peers-python PEERS/bin/python
    python benchmarks/peers/faults.py --peers pbtnas --faults "kill a worker"

Two workers, 8 members, 5 generations, 40 trainings of 0.3 s; Linux, and root for the small disk.
The faults, each as soon as generation 1 is in work:

    kill a worker    SIGKILL to one that trains; nothing is started again by hand
    kill the driver  SIGKILL to the process that conducts the others, which is started again at
                     once.  Optuna and NePS have none
    kill everything  SIGKILL to all processes, which are started again at once
    stop a worker    SIGSTOP to one that trains, SIGCONT 10 s later: twice the lease of pbtnas
    tear files       as `kill everything`, but before the start every file that was written in the
                     last 1.5 seconds loses its last 64 bytes, or its second half if that is less
    fill the disk    not a byte is free for 10 s; who gives up meanwhile is started again afterwards
    NaN              one training returns NaN

A process that ends by itself with an error is started again, at most three times, as the peer's
pages say: Optuna (`load_if_exists`), NePS (the same `root_directory`), Ray Tune
(`Tuner.restore`, `FailureConfig`), pbtnas (the same commands).

Printed for each: whether all processes ended well; whether the last generation is that of the
undisturbed search; how many trainings were begun beyond the 40; and the seconds from the fault
(from the new start or the end of the full disk where there is one) until the next training began,
or, of a worker that was killed or stopped, until the training that it had in hand began again.
"-" means never.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import toy

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from processes import busy, family  # noqa: E402

STOP_S = 10.0
TORN_BYTES = 64
DISK_MB = 24
RESTARTS = 3
CONFIG = f"""\
task: {{name: ToyTask}}
search:
  population: {toy.MEMBERS}
  generations: {toy.GENERATIONS}
  epochs: 1
  tau: {toy.REPLACED / toy.MEMBERS}
engine: {{lease_s: {STOP_S / 2}, beat_s: 0.5}}
"""


@dataclass(frozen=True)
class Line:
    """A line of the log that all trainings write."""

    time_s: float
    event: str
    job: tuple[int, int]
    pid: int


@dataclass
class Search:
    """One peer at work in a place of its own.

    Args:
        name: of the peer.
        place: a directory for its log and what it says; its disk is `place/disk`.
        python: the interpreter that has the peer.
        limit_s: for the whole search.
        nan: whether one training returns NaN.
    """

    name: str
    place: Path
    python: str
    limit_s: float
    nan: bool = False
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: int = 0
    began_s: float = field(default_factory=time.monotonic)

    @property
    def disk(self) -> Path:
        return self.place / "disk"

    # -- processes -----------------------------------------------------------------------------

    def roles(self) -> tuple[str, ...]:
        """What has to run; the driver, if there is one, comes first."""
        match self.name:
            case "pbtnas":
                return "driver", "worker 0", "worker 1"
            case "ray":
                return ("driver",)
            case _:
                return "worker 0", "worker 1"

    def command(self, role: str) -> list[str]:
        if self.name == "pbtnas":
            task = ["--task", f"{HERE / 'toy_task.py'}:ToyTask", "--scratch", str(self.place)]
            pbtnas = [sys.executable, "-m", "pbtnas"]
            run = str(self.disk / "run")
            if role == "driver":
                return [*pbtnas, "coordinator", str(self.place / "config.yaml"), run, *task]
            return [*pbtnas, "worker", run, "--device", "cpu", *task]
        script = HERE / ("ray_driver.py" if self.name == "ray" else f"{self.name}_worker.py")
        return [self.python, str(script), str(self.disk), str(self.place / "t")]

    def start(self, role: str) -> None:
        (self.place / "states").mkdir(exist_ok=True)
        (self.place / "config.yaml").write_text(CONFIG)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TOY_LOG": str(self.place / "log"),
            "TOY_STATES": str(self.place / "states"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        if self.nan:
            environment["TOY_NAN"] = str(self.place)
        with (self.place / f"{role}.txt").open("ab") as said:
            self.processes[role] = subprocess.Popen(
                self.command(role),
                stdout=said,
                stderr=said,
                env=environment,
                start_new_session=True,
            )

    def restart_fallen(self) -> None:
        """Start again what ended with an error."""
        for role, process in list(self.processes.items()):
            if process.poll() not in (None, 0) and self.restarts < RESTARTS:
                self.restarts += 1
                self.start(role)

    def everybody(self) -> set[int]:
        """Every process of the search that lives."""
        return {pid for p in self.processes.values() if p.poll() is None for pid in family(p.pid)}

    def over(self) -> bool:
        return self.left_s() <= 0 or all(p.poll() is not None for p in self.processes.values())

    def left_s(self) -> float:
        return self.limit_s - (time.monotonic() - self.began_s)

    # -- what happened -------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        log = self.place / "log"
        lines = []
        for text in log.read_text().splitlines() if log.exists() else ():
            time_s, event, generation, member, pid = text.split()
            lines.append(Line(float(time_s), event, (int(generation), int(member)), int(pid)))
        return lines

    def catch_in_training(self) -> tuple[Line, list[int]] | None:
        """Stop a worker in the middle of a training of generation 1 or later.

        Returns the training, and the processes of the worker; None if there never is one.
        """
        seen = 0
        while not self.over():
            lines = self.lines()
            begun = [line for line in lines[seen:] if line.event == "begin" and line.job[0] >= 1]
            seen = len(lines)
            if begun:
                pids = family(holder(self, begun[-1]))
                kill(pids, signal.SIGSTOP)
                time.sleep(0.05)
                last = [line for line in self.lines() if line.pid == begun[-1].pid][-1]
                if last.event == "begin":
                    return last, pids
                kill(pids, signal.SIGCONT)
            time.sleep(0.01)
        return None

    def begun_after(self, time_s: float, job: tuple[int, int] | None = None) -> float | None:
        """Seconds until a training, or that of a job, began after that time."""
        times = [
            line.time_s - time_s
            for line in self.lines()
            if line.event == "begin" and line.time_s > time_s and job in (line.job, None)
        ]
        return min(times, default=None)

    def outcome(self) -> str:
        """What the last generation is like; "" if the search did not end well."""
        if any(process.poll() != 0 for process in self.processes.values()):
            return ""
        if self.name == "pbtnas":
            text = (self.disk / "run" / "final.json").read_text()
            return text.partition('"fingerprint":"')[2][:12]
        said = "".join((self.place / f"{role}.txt").read_text() for role in self.roles())
        found = {line.split()[1] for line in said.splitlines() if line.startswith("outcome ")}
        return " and ".join(sorted(found))


# -- faults: each returns when what is asked of "s to go on" began, and for which training ---------

Moment = tuple[float, tuple[int, int] | None]


def holder(search: Search, line: Line) -> int:
    """The worker in which a training runs: its process, or of pbtnas the parent of that."""
    for role, process in search.processes.items():
        if role != "driver" and line.pid in family(process.pid):
            return process.pid
    return line.pid


def kill(pids: Sequence[int] | set[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def kill_a_worker(search: Search, line: Line, worker: list[int]) -> Moment:
    """Nobody starts it again but, where it does that, the peer itself."""
    kill(worker[:1])
    for role, process in list(search.processes.items()):
        if process.pid == worker[0]:
            search.processes.pop(role)
            process.wait()
    kill(worker[1:], signal.SIGCONT)
    return time.time(), line.job


def kill_the_driver(search: Search, line: Line, worker: list[int]) -> Moment:
    """It is started again at once."""
    search.processes["driver"].kill()
    search.processes["driver"].wait()
    kill(worker, signal.SIGCONT)
    search.start("driver")
    return time.time(), None


def kill_everything(search: Search, line: Line, worker: list[int]) -> Moment:
    """All processes are started again at once."""
    end(search)
    return start_everybody(search)


def end(search: Search) -> None:
    """Kill every process."""
    kill(search.everybody())
    for process in search.processes.values():
        process.wait()


def start_everybody(search: Search) -> Moment:
    """All roles, also that of a worker that was killed."""
    for role in search.roles():
        search.start(role)
    return time.time(), None


def stop_a_worker(search: Search, line: Line, worker: list[int]) -> Moment:
    """For twice the lease of pbtnas."""
    stopped_s = time.time()
    time.sleep(STOP_S)
    kill(worker, signal.SIGCONT)
    return stopped_s, line.job


def tear_files(search: Search, line: Line, worker: list[int]) -> Moment:
    """What was written in the last 1.5 seconds loses its end, and everybody starts again."""
    end(search)
    now_s = time.time()
    torn = [p for p in search.disk.rglob("*") if p.is_file() and p.stat().st_mtime > now_s - 1.5]
    for path in torn:
        size = path.stat().st_size
        os.truncate(path, max(size - TORN_BYTES, size // 2))
    names = "\n".join(str(path.relative_to(search.disk)) for path in torn)
    (search.place / "torn.txt").write_text(names)
    return start_everybody(search)


def fill_the_disk(search: Search, line: Line, worker: list[int]) -> Moment:
    """Completely: what is deleted meanwhile is taken too."""
    filler = search.disk / ".filler"
    with filler.open("ab", buffering=0) as file:
        take(file)
        kill(worker, signal.SIGCONT)
        until_s = time.monotonic() + STOP_S
        while time.monotonic() < until_s:
            take(file)
            time.sleep(0.05)
    filler.unlink()
    return time.time(), None


def take(file: IO[bytes]) -> None:
    """Write until there is no space."""
    for size in (1 << 20, 1 << 12):
        try:
            while file.write(b"x" * size) == size:
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def nothing(search: Search, line: Line, worker: list[int]) -> Moment:
    """The worker goes on."""
    kill(worker, signal.SIGCONT)
    return time.time(), None


FAULTS: dict[str, Callable[[Search, Line, list[int]], Moment]] = {
    "none": nothing,
    "none again": nothing,
    "kill a worker": kill_a_worker,
    "kill the driver": kill_the_driver,
    "kill everything": kill_everything,
    "stop a worker": stop_a_worker,
    "tear files": tear_files,
    "fill the disk": fill_the_disk,
    "NaN": nothing,
}
PEERS = ("pbtnas", "optuna", "neps", "ray")
COLUMNS = ("peer", "fault", "finished", "same outcome", "repeated", "s to go on", "restarts", "s")


# -- the table -------------------------------------------------------------------------------------


@contextmanager
def small_disk(at: Path) -> Iterator[None]:
    """A file system of its own, in memory."""
    at.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "toy", str(at)]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@dataclass(frozen=True)
class Told:
    """One row of the table."""

    finished: str
    outcome: str
    trainings: int
    on_s: float | None
    restarts: int
    wall_s: float


def carry_out(name: str, fault: str, place: Path, python: str, limit_s: float) -> Told:
    """One search with one fault."""
    search = Search(name, place, python, limit_s, nan=fault == "NaN")
    with small_disk(search.disk):
        try:
            for role in search.roles():
                search.start(role)
            caught = search.catch_in_training()
            moment, job = FAULTS[fault](search, *caught) if caught else (time.time(), None)
            search.restart_fallen()
            while not search.over():
                time.sleep(0.05)
                search.restart_fallen()
            on_s = search.begun_after(moment, job)
            outcome = search.outcome()
            begun = sum(line.event == "begin" for line in search.lines())
            wall_s = time.monotonic() - search.began_s
            if search.left_s() <= 0:
                finished = f"no: hangs ({limit_s:g} s)"
            else:
                finished = "yes" if outcome else "no: " + last_words(search)
        finally:
            end(search)
    return Told(finished, outcome, begun, on_s, search.restarts, wall_s)


def last_words(search: Search) -> str:
    """The last line of who ended with an error."""
    for role, process in search.processes.items():
        if process.returncode:
            lines = (search.place / f"{role}.txt").read_text(errors="replace").split("\n")
            errors = [line for line in lines if line.strip()]
            return errors[-1][:160] if errors else f"exit code {process.returncode}"
    return "no outcome"


def main() -> None:
    """Carry out and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--peers", nargs="+", default=PEERS, choices=PEERS)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--limit-s", type=float, default=180.0, help="for one search")
    parser.add_argument("--directory", type=Path, help="where to keep what was said")
    options = parser.parse_args()
    root = options.directory or Path(tempfile.mkdtemp(prefix="peers-"))
    print(f"{os.cpu_count()} cores; {busy()}; {root}\n")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|", flush=True)
    for name in options.peers:
        undisturbed = ""
        for fault in options.faults:
            if fault == "kill the driver" and name in ("optuna", "neps"):
                print(f"| {name} | {fault} | has none | | | | | |", flush=True)
                continue
            place = root / f"{name}-{fault.replace(' ', '-')}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            told = carry_out(name, fault, place, options.peers_python, options.limit_s)
            undisturbed = undisturbed or told.outcome
            print(row(name, fault, told, undisturbed), flush=True)


def row(name: str, fault: str, told: Told, undisturbed: str) -> str:
    """A line of the table."""
    same = "yes" if told.outcome == undisturbed else f"no: {told.outcome}"
    on = "-" if told.on_s is None else f"{told.on_s:.1f}"
    cells = [
        name,
        fault,
        told.finished,
        same if told.outcome else "-",
        str(told.trainings - toy.MEMBERS * toy.GENERATIONS),
        on,
        str(told.restarts),
        f"{told.wall_s:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
