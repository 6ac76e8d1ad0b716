"""What starting costs: `pbtnas run` to its first claim, beside one import of torch.

    python benchmarks/start.py [--workers 8] [--rounds 5] [--before CHECKOUT] [--study]

Each round imports torch alone, in a process of its own, and then starts a run with so many
workers, or with `--study` a study of two runs; with `--before`, one of another checkout of pbtnas
too, in turn.  Wall and CPU are seconds from the command to the first claim, the CPU that of all
processes that are alive then.  As soon as every worker has trained, the memory is measured: PSS is
the share of each process in what it has in common with others, so that the sum is what the machine
gives; "a training process" is the private memory of one.  The medians of the rounds are printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from processes import busy, cpu_of_families, family, started, wait_for

from pbtnas.records import paths

HERE = Path(__file__).resolve().parent
MB = 1024.0  # kB


@dataclass(frozen=True)
class Start:
    """What one start cost, in seconds and megabytes."""

    wall_s: float
    cpu_s: float
    pss_mb: float
    training_mb: float


def imported() -> tuple[float, float]:
    """Wall and CPU seconds of one import of torch, in a process of its own."""
    look = "import time, torch; print(time.process_time())"
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    return time.monotonic() - began_s, float(done.stdout)


def start(checkout: Path, workers: int, place: Path, command: str) -> Start:
    """Start a run or a study of that checkout, measure, and end it."""
    place.mkdir()
    config = place / "config.yaml"
    config.write_text(
        "task: {name: NoopTask, megabytes: 0.1}\n"
        f"search: {{population: {4 * workers}, generations: 1000, epochs: 1}}\n"
    )
    run = directory = place / "run"
    if command == "study":
        config, base = place / "study.yaml", config
        config.write_text(f"config: {base.name}\nseeds: [1, 2]\nruns:\n  noop: {{}}\n")
        run = directory / paths.study_run("noop", 1)
    line = [sys.executable, "-P", "-m", "pbtnas", "--quiet", command, str(config), str(directory)]
    line += ["--workers", str(workers), "--device", "cpu", "--scratch", str(place / "scratch")]
    line += ["--task", f"{HERE / 'noop_task.py'}:NoopTask"]
    began_s = time.time()
    with started([line], {"PYTHONPATH": str(checkout)}) as (process,):
        claims = run / paths.claims(0)
        while not list(claims.glob("*.json")):
            time.sleep(0.005)
        cpu_s = cpu_of_families([process])
        first_s = min(path.stat().st_ctime for path in claims.glob("*.json"))
        wait_for(run / paths.manifest(5), [process])
        memory = {pid: rollup(pid) for pid in family(process.pid)}
    training = [
        kind["Private_Dirty"] + kind["Private_Clean"]
        for kind in memory.values()
        if kind.get("training")
    ]
    pss = sum(kind.get("Pss", 0) for kind in memory.values())
    return Start(first_s - began_s, cpu_s, pss / MB, median(training) / MB)


def rollup(pid: int) -> dict[str, int]:
    """The kinds of memory of a process in kB, and whether it trains."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}  # it has ended
    kinds = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {**kinds, "training": int(b"\0pbtnas.training\0" in command)}


def main() -> None:
    """Measure in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout of pbtnas")
    parser.add_argument("--study", action="store_true", help="start a study instead of a run")
    options = parser.parse_args()
    command = "study" if options.study else "run"
    sides: Mapping[str, Path] = {
        **({"before": options.before.resolve()} if options.before else {}),
        "now": HERE.parent,
    }
    imports: list[tuple[float, float]] = []
    starts: dict[str, list[Start]] = {name: [] for name in sides}
    print(f"{os.cpu_count()} cores; {busy()}; {options.workers} workers", flush=True)
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        for number in range(options.rounds):
            imports.append(imported())
            for side, checkout in sides.items():
                place = Path(name) / f"{side}-{number}"
                starts[side].append(start(checkout, options.workers, place, command))
    wall_s, cpu_s = (median(column) for column in zip(*imports, strict=True))
    print(
        f"{busy()}\n\n| | wall s | CPU s | wall, of one import | PSS MB | a training process MB |"
    )
    print(f"|---|---|---|---|---|---|\n| `import torch` | {wall_s:.1f} | {cpu_s:.1f} | 1 | | |")
    for side, found in starts.items():
        columns = [median(column) for column in zip(*map(astuple, found), strict=True)]
        ratio = median(each.wall_s / alone[0] for each, alone in zip(found, imports, strict=True))
        wall, cpu, pss, training = columns
        print(
            f"| `pbtnas {command}`, {side} | {wall:.1f} | {cpu:.1f} | {ratio:.2f} | {pss:.0f} "
            f"| {training:.0f} |"
        )


if __name__ == "__main__":
    main()
