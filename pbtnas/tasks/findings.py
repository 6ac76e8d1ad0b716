"""Checks what `evaluate` of a trainee returned, and takes the numbers and files out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pbtnas.records.paths import safe
from pbtnas.records.pictures import unfit
from pbtnas.tasks.base import Evaluation, Trainee
from pbtnas.tasks.faults import TaskFault, place_of


def numbers_of(evaluation: Any, trainee: Trainee) -> tuple[float, dict[str, float]]:
    """The score and the metrics as Python's numbers.

    Raises `TaskFault` naming what is no number, and where it comes from.
    """
    place = place_of(trainee.evaluate)
    if not isinstance(evaluation, Evaluation):
        returned = "None" if evaluation is None else f"a value of type {_type(evaluation)}"
        raise TaskFault(
            f"{place}: evaluate() returned {returned}, expected an Evaluation: "
            "`return Evaluation(score)`"
        )
    score = number_of(evaluation.score, f"{place}: the score of evaluate()")
    if not isinstance(evaluation.metrics, Mapping):
        raise TaskFault(
            f"{place}: the metrics of evaluate() are {in_words(evaluation.metrics)}, "
            "expected numbers by name: {'loss': 0.5}"
        )
    metrics = {}
    for name, value in evaluation.metrics.items():
        if not isinstance(name, str):
            raise TaskFault(f"{place}: the name of a metric of evaluate() is {name!r}, not text")
        metrics[name] = number_of(value, f"{place}: the metric {name!r} of evaluate()")
    return score, metrics


def artifact_faults(evaluation: Evaluation, trainee: Trainee) -> Iterator[tuple[object, str]]:
    """The name of each artifact that cannot be kept, and a sentence that says why.

    The name is None where it is about all of them.
    """
    place = place_of(trainee.evaluate)
    artifacts: Any = evaluation.artifacts
    if not isinstance(artifacts, Mapping):
        yield (
            None,
            f"{place}: the artifacts of evaluate() are {in_words(artifacts)}, expected "
            "bytes by name: {'grid.png': b'...'}",
        )
        return
    for name, content in artifacts.items():
        what = f"{place}: the artifact {name!r} of evaluate()"
        if not isinstance(content, bytes):
            yield name, f"{what} is {in_words(content)}, expected bytes"
        try:
            safe(name)
        except (TypeError, ValueError):
            yield name, f"{what} has an unsafe name, expected letters, digits, '.', '_' and '-'"


def preview_fault(evaluation: Evaluation, trainee: Trainee) -> str | None:
    """Why the preview cannot be kept, with its place; None if it can, or there is none."""
    why = None if evaluation.preview is None else unfit(evaluation.preview)
    return None if why is None else f"{place_of(trainee.evaluate)}: the preview is {why}"


def number_of(value: Any, what: str) -> float:
    """The value as a number; a tensor or array of one item is one.

    Raises `TaskFault` that says what is no number.
    """
    if hasattr(value, "shape") and hasattr(value, "item"):
        if any(side != 1 for side in value.shape):
            raise TaskFault(f"{what} has the shape {list(value.shape)}, expected one number")
        value = value.item()
    try:
        if isinstance(value, str | bytes):
            raise TypeError("text is no number, though float() reads some")
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TaskFault(f"{what} is {in_words(value)}, expected a number") from None


def in_words(value: Any) -> str:
    """A value as it is written, or its type where that would be long or differ by process."""
    text = repr(value)
    return text if len(text) <= 60 and "0x" not in text else f"a value of type {_type(value)}"


def _type(value: Any) -> str:
    return repr(type(value).__name__)
