"""What may happen to processes and files, and how often.

Each world draws by its seed which of them happen in it.  A fault is a function of the world and
of the process that would go on next; it returns whether there was anything for it to happen to.
Faults of single operations (write errors, stale views, flips on one read) are the directory's:
`tests.simulation.store.Faults`.

Files are damaged so that the search can go on: of a generation, one record at most, for of two
one may have been the copy from which the other is restored.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pbtnas.records import paths
from tests.simulation.invariants import body_of
from tests.simulation.processes import Actor
from tests.simulation.store import Entry, Faults, flipped

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE_S = 60.0
HANG_S = 30.0
MOST_ACTORS = 8

LIES = (b"0\n", b"1\n", b"3\n", b"99\n", b"-1\n", b"", b"7" * 5000, b"\xff\x00", b"\xc2\xb2\n")
"""What HEAD may say."""


def draw_faults(rng: random.Random) -> Faults:
    """The faults of single operations in one world."""
    return Faults(
        error=rng.choice([0.0, 0.03]),
        lost_reply=rng.choice([0.0, 0.05]),
        lag=rng.choice([0.0, 10.0, 60.0]),
        read_error=rng.choice([0.0, 0.0, 0.01]),
        flip=rng.choice([0.0, 0.0, 0.003]),
        slow=rng.choice([0.0, 0.0, 0.05]),
    )


# -- processes ---------------------------------------------------------------------------------


def kill(world: World, actor: Actor) -> bool:
    """SIGKILL; what it was doing may have happened, half happened, or not."""
    operation = world.advance(actor)
    if operation is not None:
        world.die_doing(actor, operation)
        world.remove(actor)
    return True


def pause(world: World, actor: Actor) -> bool:
    """SIGSTOP far past the lease."""
    actor.wake = world.now + world.rng.uniform(LEASE_S, 6 * LEASE_S)
    return True


def suspend(world: World, actor: Actor) -> bool:
    """A machine sleeps with all its processes; their clocks may or may not count it."""
    seconds = world.rng.uniform(1, 6 * LEASE_S)
    counts = world.rng.random() < 0.5
    for other in world.actors.values():
        if other.machine == actor.machine:
            world.struck(other)
            other.wake = max(other.wake, world.now) + seconds
            if other.training is not None:
                other.training.until += seconds
            if not counts:
                other.clock.stand_still(seconds)
    return True


def join(world: World, actor: Actor) -> bool:
    """One process more."""
    if len(world.actors) >= MOST_ACTORS:
        return False
    world.spawn(world.rng.choice(["worker", "coordinator"]))
    return True


def power(world: World, actor: Actor) -> bool:
    """All machines stop at once, and come back."""
    for victim in list(world.actors.values()):
        world.struck(victim)
        world.remove(victim)
        world.spawn(victim.kind)
    world.cut_power()
    return True


def stop(world: World, actor: Actor) -> bool:
    """SIGTERM to a process."""
    actor.stopping = True
    return True


def stop_group(world: World, actor: Actor) -> bool:
    """SIGTERM to a worker and its training process, which ends with or without a snapshot."""
    if actor.training is None:
        return False
    actor.stopping = True
    actor.training.halted = world.rng.random() < 0.5
    actor.training.killed = not actor.training.halted
    return True


def kill_training(world: World, actor: Actor) -> bool:
    """The training process is killed by somebody."""
    if actor.training is None:
        return False
    actor.training.killed = True
    return True


def err(world: World, actor: Actor) -> bool:
    """A lost checkpoint is computed again with other bits: memory fails, or training depends on
    the machine."""
    if actor.training is None or not actor.training.attempt.repair:
        return False
    actor.training.digits = 1
    return True


def hang(world: World, actor: Actor) -> bool:
    """The task makes no progress any more; twice for a job at most, for a third would count as
    the job's own fault."""
    training = actor.training
    if training is None or training.hangs_until is not None:
        return False
    if not world.may_fail(training.attempt.job):
        return False
    training.hangs_until = world.now + HANG_S
    return True


# -- files -------------------------------------------------------------------------------------


def corrupt(world: World, actor: Actor) -> bool:
    """A bit flips in a record, for ever."""
    with world.somewhere():
        entry = _record(world)
        if entry is not None:
            entry.content = flipped(entry.content, world.rng)
        return entry is not None


def sector(world: World, actor: Actor) -> bool:
    """A record cannot be read any more."""
    with world.somewhere():
        entry = _record(world)
        if entry is not None:
            entry.unreadable = True
        return entry is not None


def misplace(world: World, actor: Actor) -> bool:
    """A record is restored from a backup under the name of another of its kind."""
    with world.somewhere():
        entry = _record(world)
        if entry is None:
            return False
        kind = f'"kind":"{body_of(entry.written)["kind"]}"'.encode()
        others = {e.written for e in world.store.entries.values() if kind in e.written}
        entry.content = world.rng.choice(sorted(others))
        return not entry.intact


def lose(world: World, actor: Actor) -> bool:
    """A checkpoint of the newest two generations disappears; not in the moment between the
    coordinator's last look and the end of the run, after which only fsck looks."""
    with world.somewhere():
        if paths.selection(world.length - 1) in world.store.entries:
            return False
        name = _checkpoint(world, world.newest())
        if name is not None:
            world.store.remove(name, "lost")
        return name is not None


def rot(world: World, actor: Actor) -> bool:
    """A bit flips in a checkpoint that somebody may read; of the last generation nobody does."""
    with world.somewhere():
        name = _checkpoint(world, min(world.newest(), world.length - 2))
        if name is not None:
            entry = world.store.entries[name]
            entry.content = flipped(entry.content, world.rng)
        return name is not None


def lie(world: World, actor: Actor) -> bool:
    """HEAD names another generation, or none."""
    with world.somewhere():
        world.store.entries[paths.HEAD] = Entry(world.rng.choice(LIES), durable=True)
    return True


def _record(world: World) -> Entry | None:
    """A record of the newest generation, for damage; None if there was enough of that."""
    newest = world.newest()
    prefix = paths.generation(newest) + "/"
    names = [
        name
        for name in world.store.entries
        if name.startswith(prefix) and name.endswith(".json") and "/claims/" not in name
    ]
    if newest in world.damaged or not names:
        return None
    world.damaged.add(newest)
    return world.store.entries[world.rng.choice(sorted(names))]


def _checkpoint(world: World, last: int) -> str | None:
    """A checkpoint for damage, of a generation up to that one.

    None while one of another generation is lost: what it was computed from is kept for two
    generations only, so that losses in several may be more than anybody can repair.
    """
    newest, entries, wounds = world.newest(), world.store.entries, world.watched.wounds
    prefixes = tuple(paths.checkpoints(g) + "/" for g in range(newest - 1, last + 1))
    names = sorted(name for name in entries if name.startswith(prefixes))
    if not names:
        return None
    name = world.rng.choice(names)
    prefixes = tuple(paths.checkpoints(g) + "/" for g in range(newest - 2, newest + 1))
    for wound in wounds - {name}:
        lost = wound not in entries or not entries[wound].intact
        if lost and wound.startswith(prefixes) and wound.split("/")[1] != name.split("/")[1]:
            return None
    wounds.add(name)
    return name


@dataclass(frozen=True)
class Fault:
    """Something that may happen.

    Args:
        rate: probability of it before one operation of a process.
        happen: makes it happen.
        strikes: whether it may cost the work that the process has in hand.
        instead: whether the process does not go on for now.
    """

    rate: float
    happen: Callable[[World, Actor], bool]
    strikes: bool = False
    instead: bool = False


FAULTS = {
    "kill": Fault(0.010, kill, strikes=True, instead=True),
    "pause": Fault(0.006, pause, strikes=True, instead=True),
    "suspended machine": Fault(0.001, suspend, instead=True),
    "join": Fault(0.002, join, instead=True),
    "power cut": Fault(0.0008, power, instead=True),
    "stop": Fault(0.003, stop, strikes=True),
    "stop to both": Fault(0.003, stop_group, strikes=True),
    "killed training": Fault(0.010, kill_training, strikes=True),
    "hang": Fault(0.004, hang),
    "other bits": Fault(0.030, err),
    "corrupt record": Fault(0.002, corrupt),
    "unreadable record": Fault(0.002, sector),
    "misplaced record": Fault(0.002, misplace),
    "lost checkpoint": Fault(0.001, lose),
    "rotten checkpoint": Fault(0.001, rot),
    "lying HEAD": Fault(0.002, lie),
}
