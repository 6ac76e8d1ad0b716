"""Folds the scores of subnets among the metrics of a member, for people: there may be hundreds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pbtnas.records.schema import SUBNET

FEW = 4
"""So many subnets are listed one by one."""


def folded(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics with the best and the median score in place of those of many subnets."""
    scores = {n.removeprefix(SUBNET): v for n, v in metrics.items() if n.startswith(SUBNET)}
    if len(scores) <= FEW:
        return dict(metrics)
    best = max(scores, key=lambda name: scores[name])
    return {name: value for name, value in metrics.items() if not name.startswith(SUBNET)} | {
        f"best of {len(scores)} subnets ({best})": scores[best],
        f"median of {len(scores)} subnets": _median(scores.values()),
    }


def _median(values: Iterable[float]) -> float:
    ascending = sorted(values)
    half = len(ascending) // 2
    return (ascending[half] + ascending[-half - 1]) / 2
