"""Says in lines of text what was measured, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pbtnas.config.schema import Config
from pbtnas.tabular import aligned
from pbtnas.tasks.estimating.costs import Costs, Estimate, MemberCosts, Spread

_NOT_IN_IT = (
    "not in it: failures, workers that slow each other down, the final evaluation and soups,",
    "and what the task keeps elsewhere, such as replay buffers",
)


def lines(
    configs: Sequence[Config],
    measured: Sequence[Costs],
    estimate: Estimate,
    *,
    workers: int,
    device: str,
) -> Iterator[str]:
    """The whole text.

    Args:
        configs: the configurations of all runs.
        measured: what was measured of each task.
        estimate: what all runs come to.
        workers: how many there are.
        device: what was measured on.
    """
    jobs = sum(each.search.population * each.search.generations for each in configs)
    epochs = sum(each.search.granted_epochs() for each in configs)
    yield f"{_count(len(configs), 'run')}, {_count(jobs, 'job')}, {_count(epochs, 'epoch')}"
    for costs in measured:
        yield ""
        yield f"measured on {device}, one member of generation 0 after the other:"
        yield from _members(costs)
        yield f"{_memory(costs)}; the task was prepared in {time_text(costs.prepare_s)}"
    yield ""
    yield from _totals(estimate, _count(workers, "worker"))
    yield from _NOT_IN_IT


def _members(costs: Costs) -> Iterator[str]:
    with_gpu = all(each.gpu_bytes is not None for each in costs.members)
    header = ["member", "weights", "a step", "an epoch", "a score", "saving", "checkpoint"]
    rows = [[*header, "GPU memory"] if with_gpu else header]
    for each in costs.members:
        gpu = [size_text(each.gpu_bytes)] if each.gpu_bytes is not None else []
        rows.append([*_cells(each), *gpu])
    yield from aligned(rows, [False] + [True] * (len(rows[0]) - 1))


def _cells(member: MemberCosts) -> list[str]:
    return [
        f"m{member.member:02d}",
        f"{member.weights:,}",
        time_text(member.epoch_s / member.steps) if member.steps else "?",
        time_text(member.epoch_s),
        time_text(member.evaluate_s),
        time_text(member.save_s),
        size_text(member.checkpoint_bytes),
    ]


def _memory(costs: Costs) -> str:
    return f"the process had at most {size_text(costs.rss_bytes)} of memory"


def _totals(estimate: Estimate, workers: str) -> Iterator[str]:
    rows = [[f"with {workers}", "if all were cheapest", "as measured", "if all were dearest"]]
    shown: list[tuple[str, Spread, Callable[[float], str]]] = [
        ("wall time", estimate.wall_s, time_text),
        ("device time", estimate.device_s, time_text),
        ("disk for checkpoints, at most", estimate.disk_bytes, size_text),
        ("the same, afterwards", estimate.left_bytes, size_text),
    ]
    for name, spread, text in shown:
        rows.append([name, text(spread.low), text(spread.likely), text(spread.high)])
    yield from aligned(rows, [False, True, True, True])


def time_text(seconds: float) -> str:
    """A time with two digits, in the unit that suits it; hours are the largest."""
    for unit, least_s in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= least_s:
            return f"{_two_digits(seconds / least_s)} {unit}"
    return f"{_two_digits(seconds * 1000)} ms"


def size_text(size: float) -> str:
    """Bytes with two digits, in the unit that suits them."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= least:
            return f"{_two_digits(size / least)} {unit}"
    return f"{_two_digits(size / 1000)} kB"


def _two_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
