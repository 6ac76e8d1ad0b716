"""Replays one simulated run, or one simulated study, and prints what happened in it.

With `seeds`, many runs, of which only the faults are counted: python -m tests.simulation seeds 1000
`--world` adds to them what operators may do, say, or ladders: --world CancelledWorld
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.steering import CancelledWorld, LengthenedWorld, RetriedWorld
from tests.simulation.studies import StudyWorld
from tests.simulation.world import World, reference, run_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "study", "seeds"], default="run")
    parser.add_argument("seed", type=int, help="of the run; for `seeds`, how many from 0 on")
    known: list[type[World]] = [World, *World.__subclasses__(), LengthenedWorld, RetriedWorld]
    known.append(CancelledWorld)
    worlds = {world.__name__: world for world in known if world is not StudyWorld}
    parser.add_argument("--world", choices=worlds, default="World", help="of the runs")
    given = parser.parse_args()
    if given.what == "study":
        replay_study(given.seed)
    if given.what == "seeds":
        many(given.seed, worlds[given.world])
    world = worlds[given.world](given.seed, trace=True)
    fingerprint = world.run()
    print_counts(world.counts())
    print("fingerprint", fingerprint, "expected", world.expected)
    world.check()
    sys.exit(fingerprint != world.expected)


def many(seeds: int, world: type[World]) -> None:
    problems, counts = run_all(range(seeds), world)
    print_counts(counts)
    expected = reference() if world is World else "the fingerprint of their search undisturbed"
    print("\n".join(problems) or f"all {seeds} ended with {expected}")
    sys.exit(bool(problems))


def replay_study(seed: int) -> None:
    world = StudyWorld(seed, trace=True)
    problem = world.run()
    print_counts(world.counts())
    print("damaged:", world.damage)
    print("jobs trained:", world.trainings.total(), "reused:", world.reused)
    print(problem or "every run ended as its search does undisturbed")
    world.check()
    sys.exit(bool(problem))


def print_counts(counts: Counter[str]) -> None:
    """How many faults of each kind were injected."""
    for kind, count in counts.most_common():
        print(f"{count:6} {kind}")


if __name__ == "__main__":
    main()
