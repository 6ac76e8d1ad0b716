"""What coordination costs: a search whose training does nothing, beside bare loads and saves.

    OMP_NUM_THREADS=1 python benchmarks/coordination.py [--repetitions 3] [--quick]

24 members, 20 generations; a member-step loads a checkpoint, changes a counter in it and saves
it.  Both sides take turns on the same disk; the medians of the repetitions are printed.

    pbtnas   `pbtnas coordinator` and so many `pbtnas worker`s as anybody starts them: claims,
             hashes (xxh3-128, when written and when read), fsync before every record, results,
             selection, mixing of the 6 worst members, deletion of old checkpoints
    serial   as many processes, members dealt out once and for all, a barrier after each
             generation; the same functions read and write the checkpoints, but nothing is
             hashed (a digest that ignores its bytes), verified or made durable (no fsync),
             nothing is mixed, and nothing is deleted

Measured from the manifest of generation 1 to that of the last one, so neither start-up nor end
is in it.  Overhead is (wall of pbtnas - wall of serial) / member-steps, first without the time
in which the coordinator mixes, which is work that `serial` does not do and nobody can overlap,
then with it; the median of the differences of neighbouring runs.  "Next manifest" is the time
from the last result of a generation to the next manifest less mixing (from the selection to the
last birth).  All of these times are change times of the records, as the kernel stamps them when
a name appears; the clock of those ticks every 1 to 4 ms, hence means over the generations.  CPU
is that of all processes of a run, from /proc.  Files and fsyncs are counted by strace, in runs
of their own: the difference of a run with 8 generations and one with 4, so that start-up drops
out.  A waiting worker is one whose generation is done and whose coordinator was killed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import mean, median
from typing import TypeAlias
from unittest import mock

from noop_task import fresh, step
from processes import PATIENCE_S, busy, cpu_of_families, started, wait_for

from pbtnas.checkpoints import files as checkpoints
from pbtnas.checkpoints import one_pass
from pbtnas.records import paths

TASK = f"{Path(__file__).with_name('noop_task.py')}:NoopTask"
SETTLE_S, WATCH_S = 30.0, 20.0  # of a waiting worker: before its CPU is measured, and while

COLUMNS = (
    "MB",
    "workers",
    "serial ms",
    "pbtnas ms",
    "overhead ms",
    "with mixing (range)",
    "CPU ms serial",
    "CPU ms pbtnas",
    "next manifest ms",
    "mixing ms",
    "start s",
)

Spent: TypeAlias = "Queue[tuple[float, float]]"


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    megabytes: float
    workers: int
    members: int = 24
    generations: int = 20

    @property
    def steps(self) -> int:
        """Member-steps between the manifest of generation 1 and that of the last."""
        return self.members * (self.generations - 2)


@dataclass(frozen=True)
class Cost:
    """What one run cost.

    Args:
        wall_ms: per member-step, everything included.
        cpu_ms: per member-step, all processes.
        mixing_ms: per generation.
        manifest_ms: per generation, from the last result to the next manifest less mixing.
        start_s: from the command to the first claim.
    """

    wall_ms: float
    cpu_ms: float
    mixing_ms: float = 0.0
    manifest_ms: float = 0.0
    start_s: float = 0.0


# -- serial ------------------------------------------------------------------------------------


class NoDigest:
    """In place of a digest: takes the bytes and ignores them."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm

    def update(self, data: bytes | memoryview, /) -> None:
        """Ignore them."""

    def hexdigest(self) -> str:
        return self._algorithm


def deal(setting: Setting, directory: Path, index: int, barrier: Barrier, spent: Spent) -> None:
    """One process of `serial`; puts wall and CPU seconds of the measured generations."""
    began_s, began_cpu_s = 0.0, 0.0
    own = range(index, setting.members, setting.workers)
    with (
        mock.patch.object(checkpoints, "hasher", NoDigest),
        mock.patch.object(one_pass, "hasher", NoDigest),
    ):
        for generation in range(setting.generations - 1):
            for member in own:
                if generation:
                    path = directory / f"{generation - 1}-{member}"
                    state = checkpoints.read_verified([path], ["none"], algorithm="none")
                else:
                    state = fresh(setting.megabytes)
                path = directory / f"{generation}-{member}"
                checkpoints.write(path, step(state, generation * 100 + member), algorithm="none")
            barrier.wait()
            if generation == 0:
                began_s, began_cpu_s = time.perf_counter(), time.process_time()
    spent.put((time.perf_counter() - began_s, time.process_time() - began_cpu_s))


def serial(setting: Setting, directory: Path) -> Cost:
    """The same loads and saves without anything that coordinates them."""
    directory.mkdir()
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(setting.workers), context.Queue()
    for index in range(setting.workers):
        context.Process(target=deal, args=(setting, directory, index, barrier, queue)).start()
    spent = [queue.get(timeout=PATIENCE_S) for _ in range(setting.workers)]
    wall_s, cpu_s = max(wall for wall, _ in spent), sum(cpu for _, cpu in spent)
    return Cost(1e3 * wall_s / setting.steps, 1e3 * cpu_s / setting.steps)


# -- pbtnas ------------------------------------------------------------------------------------


def commands(setting: Setting, directory: Path) -> list[list[str]]:
    """The command lines of the coordinator and of each worker; writes the configuration."""
    directory.mkdir()
    config = write_config(setting, directory)
    pbtnas = [sys.executable, "-m", "pbtnas", "--quiet"]
    run = [str(directory / "run"), "--task", TASK, "--scratch", str(directory / "scratch")]
    worker = [*pbtnas, "worker", *run, "--device", "cpu"]
    return [[*pbtnas, "coordinator", str(config), *run], *[worker] * setting.workers]


def write_config(setting: Setting, directory: Path) -> Path:
    """Write the configuration of a run into a directory."""
    config = directory / "config.yaml"
    config.write_text(
        f"task: {{name: NoopTask, megabytes: {setting.megabytes}}}\n"
        "search:\n"
        f"  population: {setting.members}\n  generations: {setting.generations}\n  epochs: 1\n"
    )
    return config


def engine(setting: Setting, directory: Path) -> Cost:
    """A run as anybody starts it."""
    lines = commands(setting, directory)
    run = directory / "run"
    last = setting.generations - 1
    began_s = time.time()
    with started(lines) as processes:
        wait_for(run / paths.manifest(1), processes)
        cpu_s = cpu_of_families(processes)
        wait_for(run / paths.manifest(last), processes)
        cpu_s = cpu_of_families(processes) - cpu_s
        for process in processes:
            if process.wait() != 0:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    gaps, mixing = zip(*(border(run, generation) for generation in range(1, last)), strict=True)
    wall_s = born_s(run / paths.manifest(last)) - born_s(run / paths.manifest(1))
    first_claim_s = min(map(born_s, (run / paths.claims(0)).glob("*.json")))
    return Cost(
        wall_ms=1e3 * wall_s / setting.steps,
        cpu_ms=1e3 * cpu_s / setting.steps,
        mixing_ms=1e3 * mean(mixing),
        manifest_ms=1e3 * (mean(gaps) - mean(mixing)),
        start_s=first_claim_s - began_s,
    )


def border(run: Path, generation: int) -> tuple[float, float]:
    """Seconds from the last result of a generation to the next manifest, and of that mixing."""
    last = max(map(born_s, (run / paths.results(generation)).glob("*.json")))
    births = max(map(born_s, (run / paths.births(generation)).glob("*.json")))
    return (
        born_s(run / paths.manifest(generation + 1)) - last,
        births - born_s(run / paths.selection(generation)),
    )


def born_s(path: Path) -> float:
    """When a record got its name: its inode has not changed since."""
    return path.stat().st_ctime_ns / 1e9


# -- what else ---------------------------------------------------------------------------------


def calls(setting: Setting, directory: Path) -> dict[str, float]:
    """System calls per member-step, by name, of a whole run; "create" is a file that is new."""
    counts: list[dict[str, int]] = []
    for generations in (4, 8):
        place = directory / str(generations)
        place.parent.mkdir(exist_ok=True)
        lines = commands(replace(setting, generations=generations), place)
        traced = [
            # Only what is counted stops a process: tracing slows it down, and so changes counts.
            ["strace", "-f", "--seccomp-bpf", "-qq"]
            + ["-e", "trace=openat,fsync,unlink,unlinkat,rename,renameat"]
            + ["-e", "signal=none", "-o", str(place / f"trace-{i}"), *line]
            for i, line in enumerate(lines)
        ]
        with started(traced) as processes:
            for process in processes:
                process.wait()
        counts.append(count(place))
    steps = setting.members * 4
    return {name: (counts[1][name] - counts[0][name]) / steps for name in counts[1]}


def count(place: Path) -> dict[str, int]:
    """Successful system calls in the traces of a run."""
    found = {"create": 0, "fsync": 0, "unlink": 0, "rename": 0}
    for trace in place.glob("trace-*"):
        for line in trace.read_text(errors="replace").splitlines():
            # "PID openat(4, "name", O_WRONLY|O_CREAT|O_EXCL, 0644) = 5", in pieces or whole
            if " = -1 " in line:
                continue
            call = line.split(maxsplit=1)[1].removeprefix("<... ")
            if call.startswith("openat") and "O_CREAT|O_EXCL" in line or "O_CREAT|O_TRUNC" in line:
                found["create"] += 1
            elif "unfinished ...>" not in line:
                for name in ("fsync", "unlink", "rename"):
                    found[name] += call.startswith(name)
    return found


def idle(directory: Path) -> tuple[float, float]:
    """Share of a core that a waiting worker takes (with its training process), in percent, and
    a waiting coordinator."""
    setting = Setting(0.1, 1)
    head, hand = commands(setting, directory)
    with started([head]) as (coordinator,):
        wait_for(directory / "run" / paths.manifest(0), [coordinator])
        time.sleep(SETTLE_S)
        waiting = share(coordinator)
        coordinator.kill()
    with started([hand]) as (worker,):
        results = directory / "run" / paths.results(0)
        while len(list(results.glob("*.json"))) < setting.members:
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        return share(worker), waiting


def share(process: subprocess.Popen[bytes]) -> float:
    """Percent of a core that a process and its descendants take while they wait."""
    before_s = cpu_of_families([process])
    time.sleep(WATCH_S)
    return 100 * (cpu_of_families([process]) - before_s) / WATCH_S


# -- the table ---------------------------------------------------------------------------------


def measure(setting: Setting, place: Path, repetitions: int) -> None:
    """Run both sides in turn and print their line."""
    bare: list[Cost] = []
    ours: list[Cost] = []
    for repetition in range(repetitions):
        for side, costs in ((serial, bare), (engine, ours)):
            name = f"{side.__name__}-{setting.megabytes:g}-{setting.workers}-{repetition}"
            costs.append(side(setting, place / name))
            clear(place / name)
    overheads = [us.wall_ms - least.wall_ms for us, least in zip(ours, bare, strict=True)]
    mixing = median(cost.mixing_ms for cost in ours)
    columns = [
        f"{setting.megabytes:g}",
        f"{setting.workers}",
        f"{median(cost.wall_ms for cost in bare):.2f}",
        f"{median(cost.wall_ms for cost in ours):.2f}",
        f"{median(overheads) - mixing / setting.members:.2f}",
        f"{median(overheads):.2f} ({min(overheads):.2f} to {max(overheads):.2f})",
        f"{median(cost.cpu_ms for cost in bare):.2f}",
        f"{median(cost.cpu_ms for cost in ours):.2f}",
        f"{median(cost.manifest_ms for cost in ours):.1f}",
        f"{mixing:.1f}",
        f"{median(cost.start_s for cost in ours):.1f}",
    ]
    print(f"| {' | '.join(columns)} |", flush=True)


def clear(directory: Path) -> None:
    """Free the disk, and let nothing that this run left to write slow the next.

    The files stay, empty, until the end: ext4 does not reuse an inode for some minutes, but
    looks at it again for every file that is created, so that thousands of deletions would
    slow down what is measured next, the more the more files it creates.
    """
    for path in directory.rglob("*.safetensors"):
        os.truncate(path, 0)
    for path in directory.glob("[0-9]*-*"):
        os.truncate(path, 0)
    os.sync()
    time.sleep(1)


def main() -> None:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.1, 10.0])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--directory", type=Path, help="on the disk to measure (a temporary one)")
    parser.add_argument("--quick", action="store_true", help="only the table, no strace, no idle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="coordination-") as name:
        place = Path(name)
        print(f"{os.cpu_count()} cores; {busy()}\n\n| {' | '.join(COLUMNS)} |")
        print("|---" * len(COLUMNS) + "|", flush=True)
        for megabytes in options.megabytes:
            for workers in options.workers:
                measure(Setting(megabytes, workers), place, options.repetitions)
        print(f"\n{busy()}")
        if options.quick:
            return
        if shutil.which("strace"):
            print("per member-step:", calls(Setting(0.1, 2), place / "calls"))
        else:
            print("per member-step: not counted, there is no strace here")
        worker, coordinator = idle(place / "idle")
        print(f"waiting: worker {worker:.3f} % of a core, coordinator {coordinator:.3f} %")


if __name__ == "__main__":
    main()
