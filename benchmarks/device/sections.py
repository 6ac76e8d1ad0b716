"""The sections of the device check: what each measures, and for how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmarks.device import gan, machine, methods, rl, runs, sharing, slots
from benchmarks.device.rows import Row

SECTIONS: Mapping[str, Callable[[str], Iterator[Row]]] = {
    "machine": machine.versions,
    "failures": machine.failures,
    "tests": machine.gpu_tests,
    "resize": gan.resizing,
    "step-40": gan.steps_of_40,
    "memory": gan.memory,
    "planted": runs.planted,
    "neighbours": runs.neighbours,
    "estimates": runs.estimates,
    "search": runs.search,
    "rl": rl.updates,
    "scores": gan.scores,
    "sharing": sharing.steps,
    "methods": methods.steps,
    "slots": slots.sharing,
    "step-128": gan.steps_of_128,
    "compile": gan.compiled,
}

LIMITS_S: Mapping[str, float] = {
    "machine": 60,
    "tests": 240,
    "resize": 60,
    "step-40": 90,
    "step-128": 90,
    "memory": 90,
    "scores": 60,
    "failures": 60,
    "search": 240,
    "planted": 150,
    "neighbours": 120,
    "estimates": 150,
    "sharing": 90,
    "methods": 300,
    "slots": 90,
    "rl": 60,
    "compile": 150,
}
