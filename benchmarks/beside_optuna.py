"""What a member-step costs beside one with Optuna, whose training does as little.

    OMP_NUM_THREADS=1 python benchmarks/beside_optuna.py --peers-python PEERS/bin/python

Both sides search with 24 members, take turns on the same disk, and are measured from the first job
of generation 1 to the first of the last generation, so that neither start-up nor end counts:

    pbtnas   `pbtnas run` as anybody starts it: checkpoints are hashed when written and when read,
             durable before a record names them, and mixed for the worst quarter of the members
    Optuna   `peers/optuna_steps.py`: a journal file, `torch.save` and `torch.load`

A round runs every setting once.  Printed are medians over the rounds, in milliseconds a member-step
of wall time and of processor time of all processes; and the median of the ratios of neighbouring
runs, which share more of what else the machine does.  Each run is told on stderr with the load.
PEERS is a virtual environment with Optuna and torch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from coordination import TASK, Setting, born_s, clear, write_config
from processes import busy, cpu_of_families, started, wait_for

from pbtnas.records import paths

STEPS = Path(__file__).with_name("peers") / "optuna_steps.py"


@dataclass(frozen=True)
class Cost:
    """Milliseconds a member-step."""

    wall_ms: float
    cpu_ms: float


def ours(setting: Setting, place: Path) -> tuple[list[str], Callable[[int], Path]]:
    """The command of a run, and the record that opens each generation."""
    config = write_config(setting, place)
    line = [sys.executable, "-P", "-m", "pbtnas", "--quiet", "run", str(config), str(place / "run")]
    line += ["--workers", str(setting.workers), "--device", "cpu"]
    line += ["--task", TASK, "--scratch", str(place / "scratch")]
    return line, lambda generation: place / "run" / paths.manifest(generation)


def optuna(setting: Setting, place: Path, python: str) -> tuple[list[str], Callable[[int], Path]]:
    """The command of Optuna's search, and the file that opens each generation."""
    size = (setting.megabytes, setting.workers, setting.members, setting.generations)
    line = [python, str(STEPS), str(place), *map(str, size)]
    return line, lambda generation: place / f"began-{generation}"


def cost(setting: Setting, line: Sequence[str], opened: Callable[[int], Path]) -> Cost:
    """Run a command to its end; what it cost from generation 1 to the last."""
    last = setting.generations - 1
    with started([line], stdout=subprocess.DEVNULL) as processes:
        wait_for(opened(1), processes)
        before_s = cpu_of_families(processes)
        wait_for(opened(last), processes)
        cpu_s = cpu_of_families(processes) - before_s
        for process in processes:
            if process.wait() != 0:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    wall_s = born_s(opened(last)) - born_s(opened(1))
    return Cost(1e3 * wall_s / setting.steps, 1e3 * cpu_s / setting.steps)


def measure(setting: Setting, place: Path, python: str) -> tuple[Cost, Cost]:
    """One run of each side, pbtnas first; each is told on stderr."""
    costs = []
    for side in ("pbtnas", "Optuna"):
        own = place / f"{side}-{setting.megabytes:g}-{setting.workers}"
        own.mkdir(parents=True)
        here = ours(setting, own) if side == "pbtnas" else optuna(setting, own, python)
        found = cost(setting, *here)
        clear(own)
        told = f"wall {found.wall_ms:.1f} ms, CPU {found.cpu_ms:.1f} ms"
        print(f"{own.name}: {told}; {busy()}", file=sys.stderr, flush=True)
        costs.append(found)
    return costs[0], costs[1]


def row(setting: Setting, rounds: Sequence[tuple[Cost, Cost]]) -> str:
    """The line of a setting, from its runs of both sides."""
    columns = [f"{setting.megabytes:g}", str(setting.workers)]
    for unit in ("wall_ms", "cpu_ms"):
        pairs = [(getattr(us, unit), getattr(them, unit)) for us, them in rounds]
        ratios = [us / them for us, them in pairs]
        columns += [
            f"{median(them for _, them in pairs):.1f}",
            f"{median(us for us, _ in pairs):.1f}",
        ]
        columns += [f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
    return f"| {' | '.join(columns)} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.1, 10.0])
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--directory", type=Path, help="on the disk to measure (a temporary one)")
    options = parser.parse_args()
    settings = [
        Setting(megabytes, workers, generations=options.generations)
        for megabytes in options.megabytes
        for workers in options.workers
    ]
    print(f"{os.cpu_count()} cores; {busy()}\n", flush=True)
    found: dict[Setting, list[tuple[Cost, Cost]]] = {setting: [] for setting in settings}
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="beside-optuna-") as name:
        for number in range(options.rounds):
            for setting in settings:
                place = Path(name) / str(number)
                found[setting].append(measure(setting, place, options.peers_python))
    print("| MB | workers | wall: Optuna | pbtnas | ratio | CPU: Optuna | pbtnas | ratio |")
    print("|---" * 8 + "|")
    for setting, rounds in found.items():
        print(row(setting, rounds))
    print(f"\n{busy()}")


if __name__ == "__main__":
    main()
