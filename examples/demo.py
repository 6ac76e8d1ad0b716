"""The demonstration behind `make demo` and `make demo-crash`.

Searches generators of handwritten digits with PBT-NAS on two local workers, then lets random
search spend the same budget, evaluates the best of both with care, and draws.  With --crash,
the search is done twice, the second time with its processes killed again and again, and the
two are compared bit by bit.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pbtnas.analysis.compare.observations import evolution
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.lineage import member_curves
from pbtnas.analysis.plots.style import save
from pbtnas.engine.devices import default_scratch
from pbtnas.engine.evaluation import FinalEvaluation, evaluate
from pbtnas.monitoring.run_screen import Status, status
from pbtnas.store.run_directory import NotARun
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
    print("\nBest member of the last generation, evaluated on many generated images")
    print("(Frechet distance to the real digits, lower is better):")
    for name, final in found.items():
        print(f"  {name:<14} {-final.score:7.3f}   (during the search {-final.champion.score:.3f})")
    champion = found["PBT-NAS"].champion
    print(f"\nIt is member {champion.member} of generation {champion.generation}:")
    task = load_task("digits", {})
    for variable, option in task.space.decode(champion.architecture).items():
        print(f"  {variable:<32} {option}")
    curves, _ = save(member_curves(evolution(History.read(ours))), ours / "artifacts" / "scores")
    print("\nPictures:")
    print(f"  digits of the best member   {found['PBT-NAS'].artifacts[0]}")
    print(f"  the score of every member   {curves}")


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
    """The status of a run four times a second, shown in one line, until it is finished."""
    shown = shown_at = ""
    while True:
        try:
            seen = status(root, now=time.time())
        except NotARun:
            seen = None
        if seen is not None:
            best = f"best {-seen.best_ever.score:.3f}" if seen.best_ever else "starting"
            at = "preparing"
            if seen.generation is not None:
                at = f"generation {seen.generation} of {seen.generations}"
            text = f"{name:<14} {at}   {best}"
            if text != shown and sys.stdout.isatty():
                print(f"\r{text:<78}", end="", flush=True)
            elif at != shown_at:
                print(text, flush=True)
            shown, shown_at = text, at
        yield seen
        if seen is not None and seen.finished:
            print(flush=True)
            return
        time.sleep(0.25)


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
