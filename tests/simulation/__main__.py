"""Replays one simulated run, or one simulated study, and prints what happened in it."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.studies import StudyWorld
from tests.simulation.world import World, reference


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "study"], default="run")
    parser.add_argument("seed", type=int)
    given = parser.parse_args()
    if given.what == "study":
        replay_study(given.seed)
    world = World(given.seed, trace=True)
    fingerprint = world.run()
    print_faults(world)
    print("fingerprint", fingerprint, "expected", reference())
    world.check()
    sys.exit(fingerprint != reference())


def replay_study(seed: int) -> None:
    world = StudyWorld(seed, trace=True)
    problem = world.run()
    print_faults(world)
    print("damaged:", world.damage)
    print("jobs trained:", world.trainings.total(), "reused:", world.reused)
    print(problem or "every run ended as its search does undisturbed")
    world.check()
    sys.exit(bool(problem))


def print_faults(world: World) -> None:
    """How many faults of each kind were injected."""
    for kind, count in world.counts().most_common():
        print(f"{count:6} {kind}")


if __name__ == "__main__":
    main()
