"""A run with training logs, and what its records say, read without the code of the loggers."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from tests.analysis.made_runs import LADDERS, Story, search, story, write

STORY: Story = story(search(space=LADDERS))
NAMES = [name for name, _ in STORY]
FIRST, LATER = 4, 2  # epochs of generation 0 and of all others
MEMBERS, GENERATIONS = 6, 4

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""By member name or "population", and by name of the curve: network-epochs and values."""


def run_until(root: Path, writes: int) -> None:
    """The run after so many of its writes, with the training log of each job that has a result.

    Results have times of their own, whenever they are written.
    """
    write(root, STORY[:writes])
    for name in NAMES[:writes]:
        if "/results/" in name:
            record = json.loads((root / name).read_bytes())
            generation, member = int(name.split("/")[1]), int(name[-7:-5])
            attempt = record["meta"].get("attempt")
            if attempt is not None:
                _log(root / paths.attempt_log(generation, member, attempt), generation, member)
            at = 1_000_000 + 100 * generation + member
            os.utime(root / name, (at, at))


def _log(path: Path, generation: int, member: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    epochs = LATER if generation else FIRST
    lines = [
        {"step": 10 * e, "epoch": e, "loss": loss(generation, member, e), "phase": "warm"}
        for e in range(1, epochs + 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def loss(generation: int, member: int, epoch: int) -> float:
    """What a member of these runs logs after an epoch."""
    return 1 / (1 + generation + member / 7 + epoch / 3)


def expected(root: Path) -> Curves:
    """All curves of the finished run, from the files of its records."""
    found: Curves = {}
    best_ever, work = float("-inf"), 0
    for generation in range(GENERATIONS):
        before = FIRST + LATER * (generation - 1) if generation else 0
        reached = FIRST + LATER * generation
        work += MEMBERS * (reached - before)
        results = []
        for member in range(MEMBERS):
            data = (root / paths.result(generation, member)).read_bytes()
            record = json.loads(data)
            core: dict[str, Any] = record["core"]
            results.append(core)
            curves = found.setdefault(paths.member_name(member), {})
            if "attempt" in record["meta"]:
                for epoch in range(1, reached - before + 1):
                    point = (before + epoch, loss(generation, member, epoch))
                    curves.setdefault("training/loss", []).append(point)
            told = {"score": core["score"], "generation": generation}
            told |= {f"metrics/{name}": value for name, value in core["metrics"].items()}
            _add(curves, reached, told)
        scores = [core["score"] for core in results if core["score"] is not None]
        losses = [core["metrics"]["loss"] for core in results if "loss" in core["metrics"]]
        best_ever = max(best_ever, *scores)
        told = {
            "score/best": max(scores),
            "score/best_ever": best_ever,
            "score/mean": statistics.fmean(scores),
            "score/spread": statistics.pstdev(scores),
            "members/scored": len(scores),
            "members/failed": MEMBERS - len(scores),
            "metrics/loss/mean": statistics.fmean(losses),
            "metrics/loss/spread": statistics.pstdev(losses),
            "generation": generation,
            "work": work,
        }
        _add(found.setdefault("population", {}), reached, told)
    return found


def _add(curves: dict[str, list[tuple[int, float]]], at: int, told: dict[str, Any]) -> None:
    for name, value in told.items():
        if value is not None:
            curves.setdefault(name, []).append((at, value))
