"""Searches on one GPU: undisturbed and under kill -9, with members that cannot work there, and
what the papers' would take."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.device.rows import Row
from pbtnas.errors import ExitCode
from pbtnas.records import paths
from pbtnas.records.schema import last_line

ROOT = Path(__file__).parents[2]
PBTNAS = [sys.executable, "-m", "pbtnas", "--quiet"]
SMALLER = ("search.population=8", "search.generations=5", "search.first_epochs=10")


def search(device: str) -> Iterator[Row]:
    """The digits with two workers on one device, and again under kill -9."""
    with tempfile.TemporaryDirectory() as folder:
        calm, stormy = Path(folder) / "calm", Path(folder) / "stormy"
        config = str(ROOT / "configs" / "digits.yaml")
        sets = [part for override in SMALLER for part in ("--set", override)]
        scratch = ["--scratch", str(Path(folder) / "scratch")]
        work = ["--device", device, "--slots", "2", *scratch]
        began_s = time.monotonic()
        commands = [
            [*PBTNAS, "coordinator", config, "RUN", *sets, *scratch],
            [*PBTNAS, "worker", "RUN", *work],
            [*PBTNAS, "worker", "RUN", *work],
        ]
        _carry_out(commands, calm, random.Random(0), killing=False)
        yield ["undisturbed", _fingerprint(calm), f"{time.monotonic() - began_s:.0f} s"]
        kills = _carry_out(commands, stormy, random.Random(1), killing=True)
        same = _fingerprint(calm) == _fingerprint(stormy)
        yield [
            "under kill -9",
            _fingerprint(stormy),
            f"{kills} killed",
            "same" if same else "WRONG",
        ]


def _carry_out(commands: list[list[str]], run: Path, rng: random.Random, *, killing: bool) -> int:
    """Coordinator and workers until the run is finished; returns how many were killed."""
    own = [[str(run) if part == "RUN" else part for part in command] for command in commands]
    processes = [subprocess.Popen(command) for command in own]
    kills, next_kill_s = 0, time.monotonic() + 12
    while not (run / paths.FINAL).exists():
        if killing and time.monotonic() >= next_kill_s:
            next_kill_s = time.monotonic() + rng.uniform(6, 12)
            victim = processes[rng.randrange(len(processes))]
            if victim.poll() is None:
                victim.kill()
                kills += 1
        for i, process in enumerate(processes):
            if process.poll() == ExitCode.USAGE:
                raise SystemExit(f"{' '.join(own[i])} ended with 2")  # it would again
            if process.poll() not in (None, 0):
                processes[i] = subprocess.Popen(own[i])
        time.sleep(0.1)
    for process in processes:
        process.wait()
    return kills


def _fingerprint(run: Path) -> str:
    fingerprint: str = json.loads((run / paths.FINAL).read_text())["core"]["fingerprint"]
    return fingerprint


def planted(device: str) -> Iterator[Row]:
    """Members that lack memory or whose kernels assert fail alone; the others are trained."""
    yield from _run_of("Planted", device, attempts=1, workers=1)


def neighbours(device: str) -> Iterator[Row]:
    """Two workers share a device that holds either's member, not both: no attempt is counted."""
    yield from _run_of("Neighbours", device, attempts=1, workers=2)


def estimates(device: str) -> Iterator[Row]:
    """What `pbtnas estimate` says of configurations of the papers' size, on made images."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        rng = np.random.default_rng(0)
        for i in range(1000):
            made = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(made).save(images / f"{i}.png")
        own = ("data=folder", f"path={images}", "steps_per_epoch=1250", "extractor=fd-lite0")
        published = ("data=gratings", "held_out=300", "steps_per_epoch=196")
        for config, options in (
            ("gan/c10_gan.yaml", own),
            ("weight_sharing/paper/ground_truth.yaml", published),
            ("weight_sharing/paper/orders_shuffled.yaml", published),
        ):
            sets = [part for option in options for part in ("--set", f"task.{option}")]
            command = [*PBTNAS, "estimate", str(ROOT / "configs" / config), *sets]
            command += ["--device", device, "--members", "1", "--seconds", "10"]
            done = subprocess.run(command, capture_output=True, text=True)
            yield [config]
            for line in done.stdout.splitlines():
                yield [line]
            if done.returncode:
                yield [f"ended with {done.returncode}", done.stderr[-1500:], "WRONG"]


def _run_of(task: str, device: str, *, attempts: int, workers: int) -> Iterator[Row]:
    """How a run of a task of `planted.py` ended, and what became of its members and attempts."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        config = Path(folder) / "planted.yaml"
        config.write_text(
            f"task: {{name: {task}}}\n"
            "search: {population: 4, generations: 2, epochs: 1}\n"
            f"engine: {{attempts: {attempts}}}\n"
        )
        file = f"{Path(__file__).with_name('planted.py')}:{task}"
        command = [*PBTNAS, "run", str(config), str(run), "--task", file, "--device", device]
        began_s = time.monotonic()
        done = subprocess.run(
            [*command, "--workers", str(workers), "--scratch", folder],
            capture_output=True,
            text=True,
        )
        took_s = time.monotonic() - began_s
        yield [
            "ended with",
            done.returncode,
            f"{took_s:.0f} s",
            *([done.stderr[-1500:], "WRONG"] if done.returncode else []),
        ]
        results = [_read(file) for file in run.glob("generations/*/results/*.json")]
        yield ["results", *_counted(str(result["core"]["outcome"]) for result in results)]
        ends = [_read(file)["core"] for file in run.glob("generations/*/claims/*.end.json")]
        yield [
            "attempts",
            *_counted(f"{end['class']}: {last_line(end['text'])[:160]}" for end in ends),
        ]


def _read(file: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def _counted(found: Iterable[str]) -> list[str]:
    return [f"{count} x {what}" for what, count in sorted(Counter(found).items())]
