"""The demonstration behind `make demo` and `make demo-crash`.

Searches generators of handwritten digits with PBT-NAS on two local workers, then lets random
search spend the same budget, evaluates the best of both with care, and draws.  With --crash,
the search is done twice, the second time with its processes killed again and again, and the
two are compared bit by bit.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

from pbtnas.analysis.compare.observations import curve, evolution
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.curves import score_curves
from pbtnas.analysis.plots.lineage import phylogeny
from pbtnas.analysis.plots.style import new_figure, style
from pbtnas.data.grids import grid_png
from pbtnas.engine.devices import default_scratch
from pbtnas.engine.evaluation import FinalEvaluation, evaluate
from pbtnas.monitoring.run_screen import Status
from pbtnas.monitoring.text import span
from pbtnas.monitoring.watching import WatchedRun, screen
from pbtnas.tasks.loading import load_task

PBTNAS = [sys.executable, "-m", "pbtnas", "--quiet"]
SHORTER = "search.generations=16"  # of 21: on a busy machine, too, it ends within four minutes


def main() -> None:
    """Run the demonstration and tell what came out, whatever that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="for the run directories; emptied first")
    parser.add_argument("--config", type=Path, default=Path("configs/digits.yaml"))
    parser.add_argument("--crash", action="store_true", help="compare with a run under kill -9")
    parser.add_argument("--seed", type=int, default=None, help="of the killing; random if left out")
    told = parser.parse_args()
    shutil.rmtree(told.directory, ignore_errors=True)
    began_s = time.monotonic()
    if told.crash:
        crash(told.directory, told.config, told.seed)
    else:
        compare(told.directory, told.config)
    print(f"\nThis took {time.monotonic() - began_s:.0f} s.")


def compare(directory: Path, config: Path) -> None:
    """PBT-NAS against random search, same budget, same start."""
    ours, theirs = directory / "pbt-nas", directory / "random-search"
    search(config, ours, "PBT-NAS")
    search(config, theirs, "random search", "search.algorithm=random-search")
    found = {name: best(root) for name, root in (("PBT-NAS", ours), ("random search", theirs))}
    print("\nBest member of the last generation, scored again on many more generated digits")
    print("(minus the Frechet distance to the real digits: higher is better):")
    for name, final in found.items():
        print(f"  {name:<14} {final.score:8.3f}   (in the search {final.champion.score:.3f})")
    champion = found["PBT-NAS"].champion
    print(f"\nIt is member {champion.member} of generation {champion.generation}:")
    task = load_task("digits", {})
    for variable, option in task.space.decode(champion.architecture).items():
        print(f"  {variable:<32} {option}")
    picture = directory / "demo.png"
    poster(ours, theirs, found["PBT-NAS"].artifacts[0]).save(picture)
    print(f"\nDigits, curves and family tree in one picture: {picture}")
    print("\nWhat to do next:")
    for what, command in (
        ("use the network", f"pbtnas export {ours} -o {directory / 'network'}"),
        ("every figure of the search", f"pbtnas plot {ours} -o {directory / 'figures'}"),
        ("the whole story on one page", f"pbtnas report {ours} -o {directory / 'report.html'}"),
        ("the same bits under kill -9", "make demo-crash"),
        ("a network of your own", "docs/own-task.md"),
    ):
        print(f"  {what:<28} {command}")


def poster(ours: Path, theirs: Path, generated: Path) -> Image.Image:
    """Real digits and generated ones, the curves of both algorithms, the family tree of ours."""
    ours_read, theirs_read = History.read(ours), History.read(theirs)
    curves = [
        curve(ours_read, algorithm="pbt-nas"),
        curve(theirs_read, algorithm="random-search"),
    ]
    digits = torch.from_numpy(load_digits().images[:100]).float() / 8 - 1
    real = grid_png(digits, columns=10, scale=4)
    with style():
        beside = new_figure(4.3)
        shown = {"real digits": real, "digits of the best network": generated.read_bytes()}
        for axes, (title, png) in zip(beside.subplots(1, 2), shown.items(), strict=True):
            axes.imshow(np.asarray(Image.open(io.BytesIO(png))), cmap="gray", vmin=0, vmax=255)
            axes.set_title(title)
            axes.set_axis_off()
    parts = []
    for figure in (beside, score_curves(curves), phylogeny(evolution(ours_read))):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        parts.append(Image.open(drawn).convert("RGB"))
    whole = Image.new("RGB", (max(p.width for p in parts), sum(p.height for p in parts)), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole


def crash(directory: Path, config: Path, seed: int | None) -> None:
    """The same search twice, once in peace and once under SIGKILL, compared bit by bit."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    calm, stormy = directory / "undisturbed", directory / "killed"
    search(config, calm, "undisturbed")
    kills = storm(config, stormy, random.Random(seed))
    ours, theirs = (History.read(root) for root in (calm, stormy))
    print(f"\n{kills} processes were killed with SIGKILL (--seed {seed}).")
    print("Digests of the final population, undisturbed and killed:")
    equal = True
    pairs = zip(digests(ours), digests(theirs), strict=True)
    for (member, mine), (_, other) in pairs:
        equal &= mine == other
        print(f"  m{member:02d}  {mine:<32}  {other:<32}  {'=' if mine == other else 'DIFFERENT'}")
    assert ours.final is not None and theirs.final is not None
    equal &= ours.final.fingerprint == theirs.final.fingerprint
    print(f"Fingerprints of the whole search:\n  {ours.final.fingerprint}")
    print(f"  {theirs.final.fingerprint}\n{'Equal.' if equal else 'They differ!'}")
    sys.exit(not equal)


def search(config: Path, root: Path, name: str, *overrides: str) -> None:
    """One search with two workers; leaves the program if it fails."""
    sets = [part for override in (SHORTER, *overrides) for part in ("--set", override)]
    command = [*PBTNAS, "run", str(config), str(root), "--workers", "2", *sets]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        for _ in watching(root, name):
            if process.poll() is not None:
                break
    if process.returncode:
        sys.exit(f"the search in {root} ended with {process.returncode}")


def storm(config: Path, root: Path, rng: random.Random) -> int:
    """The search under kill -9: coordinator and workers die at random and are started again."""
    commands = [
        [*PBTNAS, "coordinator", str(config), str(root), "--set", SHORTER],
        [*PBTNAS, "worker", str(root)],
        [*PBTNAS, "worker", str(root)],
    ]
    processes = [subprocess.Popen(command) for command in commands]
    kills, next_kill_s = 0, time.monotonic() + 8
    for _ in watching(root, "under kill -9"):
        now_s = time.monotonic()
        if now_s >= next_kill_s:
            next_kill_s = now_s + rng.uniform(4.0, 14.0)
            victim = rng.randrange(3)
            if processes[victim].poll() is None:
                processes[victim].kill()
                kills += 1
        for i, process in enumerate(processes):
            if process.poll() not in (None, 0):
                processes[i] = subprocess.Popen(commands[i])
    for process in processes:
        process.wait()
    return kills


def watching(root: Path, name: str) -> Iterator[Status | None]:
    """The status of a run twice a second until it is finished: shown live on a terminal, elsewhere
    in a line for each generation."""
    console, run, shown_at = Console(), WatchedRun(root), ""
    with screen(console, lines=24) if console.is_terminal else nullcontext() as show:
        while True:
            run.look()
            text, at = progress_line(name, run.status)
            if show is not None:
                show(run, "")
            elif at != shown_at:
                print(text, flush=True)
            shown_at = at
            yield run.status
            if run.status is not None and run.status.finished:
                break
            time.sleep(0.5)
    print(text if console.is_terminal else "", flush=True)


def progress_line(name: str, seen: Status | None) -> tuple[str, str]:
    """What a search is at, in a line, and the part of it that is worth a line of its own."""
    if seen is None or seen.generation is None:
        return f"{name:<14} preparing", "preparing"
    at = f"generation {seen.generation + 1} of {seen.generations}"
    done = f"{seen.members.done} of {seen.members.all} members"
    best = f"best {seen.best_ever.score:.3f}" if seen.best_ever else "no score yet"
    left = "" if seen.left_s is None else f", {span(seen.left_s)} left"
    return f"{name:<14} {at}, {done}, {best}{left}", at


def best(root: Path) -> FinalEvaluation:
    """The best member of the last generation, evaluated for the number to report."""
    finals = evaluate(root, load_task("digits", {}), device="cpu", scratch=default_scratch())
    return next(final for final in finals if final.which == "best-last")


def digests(history: History) -> list[tuple[int, str]]:
    """The checkpoints of the final population, by member."""
    last = history.generations[-1]
    return [
        (member, reported.result.checkpoint or reported.result.outcome)
        for member, reported in sorted(last.results.items())
    ]


if __name__ == "__main__":
    main()
