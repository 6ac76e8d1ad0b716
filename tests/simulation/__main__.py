"""Replays one simulated run and prints what happened in it: `python -m tests.simulation SEED`."""

from __future__ import annotations

import sys

from tests.simulation.world import World, reference


def main() -> None:
    world = World(int(sys.argv[1]), trace=True)
    fingerprint = world.run()
    print("faults:", world.injected, dict(world.store.counts))
    print("fingerprint", fingerprint, "expected", reference())
    world.check()
    sys.exit(fingerprint != reference())


if __name__ == "__main__":
    main()
