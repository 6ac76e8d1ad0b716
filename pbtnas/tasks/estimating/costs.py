"""Multiplies what members cost by what a configuration asks for: pure arithmetic."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pbtnas.config.schema import Config, EngineConfig

_NOTICED = 0.02  # of the time waited, at most, until a worker or a coordinator looks again
_GENERATIONS = 4  # whose checkpoints are there at once: three, and one in the trash


@dataclass(frozen=True)
class MemberCosts:
    """What a job of one member costs.

    Args:
        member: its number in generation 0.
        weights: its trained weights.
        steps: steps of an epoch; None if its ticks have no number.
        create_s: seconds to make it.
        epoch_s: seconds of an epoch.
        evaluate_s: seconds of an evaluation.
        save_s: seconds to write its checkpoint.
        load_s: seconds to read it.
        checkpoint_bytes: size of its checkpoint.
        gpu_bytes: most GPU memory that torch had reserved; None without a GPU.
    """

    member: int
    weights: int
    steps: int | None
    create_s: float
    epoch_s: float
    evaluate_s: float
    save_s: float
    load_s: float
    checkpoint_bytes: int
    gpu_bytes: int | None

    def job_s(self, epochs: int) -> float:
        """Seconds of a job of so many epochs."""
        around_s = self.create_s + self.load_s + self.save_s
        return around_s + epochs * self.epoch_s + self.evaluate_s


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Args:
        members: the measured members.
        child_s: seconds that a coordinator needs for a child.
        prepare_s: seconds to prepare the task, with products that nobody has made yet.
        rss_bytes: most memory that the measuring process had.
    """

    members: tuple[MemberCosts, ...]
    child_s: float
    prepare_s: float
    rss_bytes: int


@dataclass(frozen=True)
class Spread:
    """A number if all members cost as little, as much as usual, or as much as any measured one."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Spread | float) -> Spread:
        if not isinstance(other, Spread):
            other = Spread(other, other, other)
        return Spread(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Spread:
        return Spread(self.low * factor, self.likely * factor, self.high * factor)


NOTHING = Spread(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Estimate:
    """What a run or a study costs.

    Args:
        device_s: seconds of jobs, of all workers together.
        wall_s: seconds that pass.
        checkpoint_bytes: size of a checkpoint.
        disk_bytes: most disk space of checkpoints while the run goes on.
        left_bytes: disk space of the checkpoints that are there afterwards.
    """

    device_s: Spread
    wall_s: Spread
    checkpoint_bytes: Spread
    disk_bytes: Spread
    left_bytes: Spread


@dataclass(frozen=True)
class Priced:
    """A run, with what its members cost.

    Args:
        config: its configuration.
        costs: what was measured of members of its task.
        children: how many a selection asks for.
    """

    config: Config
    costs: Costs
    children: int


def of_run(run: Priced, *, workers: int, start_s: float, done: int = 0) -> Estimate:
    """What a run costs.

    A generation waits for its slowest member: the likely number is that of members which cost in
    turn what each of the measured ones does, taken by whoever is free.

    Args:
        run: the run.
        workers: how many there are.
        start_s: seconds to start a process.
        done: generations, from the first on, that another run computes.
    """
    search, engine, costs = run.config.search, run.config.engine, run.costs
    device_s = NOTHING
    # First the coordinator starts, then the workers, which all prepare the task at once.
    wall_s = NOTHING + 2 * start_s + costs.prepare_s
    for generation in range(done, search.generations):
        jobs_s = [each.job_s(search.epochs_of(generation)) for each in costs.members]
        device_s += _of_population(jobs_s, search.population, sum)
        busy_s = _of_population(jobs_s, search.population, lambda all_s: makespan(all_s, workers))
        children_s = 0.0 if generation == search.generations - 1 else run.children * costs.child_s
        wall_s += Spread(*(_noticed(s, engine) for s in vars(busy_s).values())) + children_s
    sizes = [each.checkpoint_bytes for each in costs.members]
    checkpoint = Spread(min(sizes), sum(sizes) / len(sizes), max(sizes))
    # A child has an overlay too, at most as large; the best member's checkpoint stays.
    each_generation = search.population + run.children
    held = min(_GENERATIONS, search.generations)
    left = min(_GENERATIONS - 1, search.generations)
    return Estimate(
        device_s,
        wall_s,
        checkpoint,
        checkpoint.times(held * each_generation + 1),
        checkpoint.times(left * each_generation + 1),
    )


def of_study(runs: Sequence[Priced], *, workers: int, start_s: float) -> Estimate:
    """What the runs of a study cost together.

    Runs that begin alike compute generation 0 once; what later generations have in common is not
    known before.  Workers have always something to do at best, and at worst one run goes after the
    other.
    """
    begun: list[tuple[object, ...]] = []
    estimates = []
    for run in runs:
        task, search = run.config.task, run.config.search
        whole_task = task.name, task.in_force
        beginning = (whole_task, run.config.run, search.population, search.epochs_of(0))
        done = 1 if beginning in begun else 0
        begun.append(beginning)
        estimates.append(of_run(run, workers=workers, start_s=start_s, done=done))

    def summed(name: str) -> Spread:
        return sum((getattr(each, name) for each in estimates), NOTHING)

    device_s = summed("device_s")
    at_once_s = device_s.times(1 / workers)
    checkpoints = [each.checkpoint_bytes for each in estimates]
    return Estimate(
        device_s,
        Spread(at_once_s.low, at_once_s.likely, summed("wall_s").high),
        Spread(
            min(each.low for each in checkpoints),
            sum(each.likely for each in checkpoints) / len(checkpoints),
            max(each.high for each in checkpoints),
        ),
        summed("disk_bytes"),
        summed("left_bytes"),
    )


def makespan(jobs_s: Iterable[float], workers: int) -> float:
    """When the last of some jobs is done, if each is taken by the first worker that is free."""
    free_s = [0.0] * workers
    for job_s in jobs_s:
        heapq.heapreplace(free_s, free_s[0] + job_s)
    return max(free_s)


def _of_population(
    measured_s: Sequence[float], population: int, total: Callable[[Sequence[float]], float]
) -> Spread:
    turns = [measured_s[i % len(measured_s)] for i in range(population)]
    return Spread(
        total([min(measured_s)] * population), total(turns), total([max(measured_s)] * population)
    )


def _noticed(waited_s: float, engine: EngineConfig) -> float:
    """Seconds until what was waited for is noticed: by the coordinator, and then by a worker."""
    return waited_s + 2 * min(engine.poll_s, _NOTICED * waited_s)
