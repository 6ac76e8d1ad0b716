"""Estimates how long a run takes, from the times at which its generations were opened.

These are times of files, in seconds since the epoch: hints, which clocks and disks may have
bent, so that nothing but an estimate may rest on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pbtnas.analysis.history.spans import Span

RECENT = 5  # generations that say how long one takes


def pauses(spans: Iterable[Span], until: float, gap_s: float) -> list[Span]:
    """When nothing happened for longer than a gap that is none.

    Args:
        spans: Times in which somebody worked.
        until: Time up to which to look.
        gap_s: Longest time without a sign of life that counts as work.
    """
    found: list[Span] = []
    last: float | None = None
    for begin, end in sorted([*spans, (until, until)]):
        if begin > until:
            break
        if last is not None and begin - last > gap_s:
            found.append((last, begin))
        last = end if last is None else max(last, end)
    return found


def active_at(paused: Sequence[Span]) -> Callable[[float], float]:
    """A clock that stands still during pauses: from a time to a time on that clock."""

    def clock(at: float) -> float:
        return at - sum(min(at, end) - begin for begin, end in paused if begin < at)

    return clock


def elapsed_s(opened: Sequence[float | None], until: float | None) -> float | None:
    """Seconds since the first generation was opened; None while unknown."""
    if not opened or opened[0] is None or until is None:
        return None
    return max(0.0, until - opened[0])


def left_s(
    opened: Sequence[float | None], now: float, generations: int | None, later_over_first: float
) -> float | None:
    """Seconds left, if the remaining generations take as long as the last ones did.

    Args:
        opened: Time at which each generation was opened, None where unknown; the last is in work.
        now: Time now.
        generations: Generations of the whole run; None if unknown.
        later_over_first: Epochs of a later generation for each epoch of the first.

    Returns None before the first generation is complete.
    """
    usual_s = _usual_s(opened, later_over_first)
    if usual_s is None or generations is None:
        return None
    began = opened[-1] if opened[-1] is not None else now
    rest_s = max(0.0, usual_s - max(0.0, now - began))
    return rest_s + usual_s * max(0, generations - len(opened))


def _usual_s(opened: Sequence[float | None], later_over_first: float) -> float | None:
    """Median of the last generations, because one may have waited a weekend for workers."""
    took_s = [
        None if begun is None or ended is None else max(0.0, ended - begun)
        for begun, ended in zip(opened, opened[1:], strict=False)
    ]
    recent_s = sorted(s for s in took_s[1:][-RECENT:] if s is not None)
    if recent_s:
        return recent_s[len(recent_s) // 2]
    if not took_s or took_s[0] is None:
        return None
    return took_s[0] * later_over_first
