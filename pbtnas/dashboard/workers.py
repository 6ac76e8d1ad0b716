"""Counts what each worker has done lately, beside what its heartbeat says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pbtnas.analysis.history.generation import Generation
from pbtnas.monitoring.processes import Seen
from pbtnas.records import paths
from pbtnas.records.schema import NO_FAILURE


def worker_rows(seen: Iterable[Seen], recent: Iterable[Generation]) -> list[dict[str, Any]]:
    """A row for each worker, in the order given.

    Args:
        seen: Workers, as their heartbeats show them.
        recent: The newest generations, in which attempts and failures are counted.
    """
    attempts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    devices: dict[str, str] = {}
    for generation in recent:
        for claim in generation.claims:
            name = str(claim.holder.get("worker"))
            attempts[name] += 1
            failures[name] += claim.ended not in (*NO_FAILURE, "result", "open")
        for reported in generation.results.values():
            meta: Mapping[str, Any] = reported.meta
            if "device" in meta:
                devices[str(meta.get("worker"))] = str(meta["device"])
    return [
        {
            **asdict(worker),
            "host": paths.host_of(worker.name),
            "device": devices.get(worker.name),
            "attempts": attempts[worker.name],
            "failures": failures[worker.name],
        }
        for worker in seen
    ]
