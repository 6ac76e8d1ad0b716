"""Mistakes in the user's file are sentences with file, line and rule; bugs of ours are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pbtnas.tasks.base import Evaluation
from pbtnas.tasks.digits import DigitsTask
from pbtnas.tasks.faults import TaskFault, blamed
from pbtnas.tasks.findings import artifact_faults, numbers_of
from pbtnas.tasks.loading import load_task
from tests.tasks.broken import TinyTask

HEAD = """
from dataclasses import dataclass, field
import torch
from pbtnas.search import SearchSpace, layer, switch


class Base:
    space = SearchSpace([switch("a", (0, 1))])
    def prepare(self, run): ...
    def create(self, architecture, seed): ...


"""

MISTAKES = {
    "a module that is not there": (
        "import numpie\n",
        "own.py:13: importing .*own.py raised ModuleNotFoundError: No module named 'numpie'$",
    ),
    "a syntax error": ("x = (1\n", r"own.py:13: SyntaxError: '\(' was never closed$"),
    "an exit": (
        "raise SystemExit(0)\n",
        "own.py:13: importing .*own.py raised SystemExit: 0; a task must not end ",
    ),
    "two variables of one name": (
        "SearchSpace([switch('a', (0, 1)),\n    switch('a', (0, 1))])\n",
        "own.py:13: two variables of the same name: a$",
    ),
    "two variables of one module": (
        "SearchSpace([layer('a', (0, 1)), layer('a.b', (0, 1))])\n",
        "own.py:13: variables 'a' and 'a.b' both claim module 'a.b'",
    ),
    "an option that is a function": (
        "layer('a', (torch.relu, torch.tanh))\n",
        "own.py:13: variable 'a': an option is a number, .*, not the .* 'relu'; give it a name",
    ),
    "an argument of __init__": (
        "class T(Base):\n    def __init__(self, width): ...\n",
        "own.py:14: T.__init__: missing .*'width'; it gets no argument; .* dataclass named Options",
    ),
    "an __init__ without the options": (
        "class T(Base):\n    @dataclass\n    class Options: ...\n",
        r"own.py:13: T.__init__: too many .*; it gets one argument, the options: def __init__\(",
    ),
    "an exception in __init__": (
        "class T(Base):\n    def __init__(self):\n        torch.zeros(2) @ torch.zeros(3)\n",
        r"own.py:15: T\(\) raised RuntimeError: inconsistent tensor size",
    ),
    "options that are no dataclass": (
        "class T(Base):\n    class Options:\n        width = 3\n",
        "own.py:14: the `Options` of T are no dataclass; write @dataclass",
    ),
    "an option of another type": (
        "class T(Base):\n    @dataclass\n    class Options:\n        sizes: list[int] = None\n",
        "own.py:14: the Options of T: field 'sizes': an option cannot be of type list",
    ),
    "a default of another type": (
        "class T(Base):\n    @dataclass\n    class Options:\n        width: int = 'wide'\n",
        "own.py:14: the Options of T: field 'width': default \"wide\", expected an integer$",
    ),
    "a space that is a list": (
        "class T(Base):\n    space = [('a', (0, 1))]\n",
        "own.py:13: the `space` of the task 'T' is a list, expected a SearchSpace",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file_is_a_sentence_with_its_line(mistake: str, tmp_path: Path) -> None:
    """Place and rule in one line, and only frames of the user's file below it."""
    code, sentence = MISTAKES[mistake]
    file = tmp_path / "own.py"
    file.write_text(HEAD + code)

    with pytest.raises(TaskFault, match=sentence) as raised:
        load_task("T", {}, task_file=f"{file}:T")

    assert "\n" not in str(raised.value)
    files = [line for line in raised.value.frames.splitlines() if line.startswith("  File ")]
    assert all(str(file) in line for line in files)


def test_a_bug_of_ours_and_a_full_disk_are_no_mistakes_of_the_task() -> None:
    """They keep their kind: the one is shown in full, the other is waited for."""
    with pytest.raises(ZeroDivisionError), blamed("create()", DigitsTask):
        _ = 1 / 0
    with pytest.raises(OSError, match="full"), blamed("prepare()", TinyTask):
        raise OSError(28, "full")
    with pytest.raises(TaskFault, match=r"test_faults.py:\d+: prepare\(\) raised FileNotFound"):
        with blamed("prepare()", TinyTask):
            Path("/gone/data.npz").read_bytes()


class Unspeakable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise KeyError("text")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SystemExit(0), "raised SystemExit: 0; a task must not end its process, raise TaskError"),
        (Unspeakable(), r"raised Unspeakable: \(its text cannot be had: KeyError\)$"),
        (TypeError("\x1b[31m\ud800größer\n\n"), r"raised TypeError: \[31m größer$"),
        (TypeError("x" * 10_000), r"raised TypeError: x{297}\.\.\.$"),
    ],
)
def test_whatever_a_task_raises_ends_in_one_sentence(error: BaseException, sentence: str) -> None:
    """Also where it would end the command as if it had succeeded, or cannot be printed."""
    with pytest.raises(TaskFault, match=sentence) as raised, blamed("prepare()", TinyTask):
        raise error

    str(raised.value).encode()


class Finds:
    """A trainee whose `evaluate` returns what it is given."""

    @torch.no_grad()
    def evaluate(self, context: object) -> Any: ...


@pytest.mark.parametrize(
    ("evaluation", "sentence"),
    [
        (0.5, r"evaluate\(\) returned a value of type 'float', expected an Evaluation: `return Ev"),
        (None, r"evaluate\(\) returned None, expected an Evaluation"),
        ({"score": 0.5}, r"evaluate\(\) returned a value of type 'dict'"),
        (Evaluation("0.5"), r"the score of evaluate\(\) is '0.5', expected a number"),  # type: ignore[arg-type]
        (Evaluation(None), r"the score of evaluate\(\) is None, expected a number"),  # type: ignore[arg-type]
        (Evaluation(0.5, None), r"the metrics of evaluate\(\) are None, expected numbers by name"),  # type: ignore[arg-type]
        (Evaluation(0.5, {"note": "hi"}), r"the metric 'note' of evaluate\(\) is 'hi'"),  # type: ignore[dict-item]
        (Evaluation(0.5, {"note": None}), r"the metric 'note' of evaluate\(\) is None"),  # type: ignore[dict-item]
        (Evaluation(0.5, {"a": np.ones(3)}), r"'a' of evaluate\(\) has the shape \[3\], expected"),  # type: ignore[dict-item]
        (Evaluation(0.5, {3: 1.0}), r"the name of a metric of evaluate\(\) is 3, not text"),  # type: ignore[dict-item]
    ],
)
def test_what_is_no_number_is_named(evaluation: Any, sentence: str) -> None:
    """The metric, and the place of the method it came from."""
    with pytest.raises(TaskFault, match=rf"test_faults.py:\d+: .*{sentence}"):
        numbers_of(evaluation, Finds())  # type: ignore[arg-type]


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    """What `float` took before is taken still."""
    metrics: Mapping[str, Any] = {"a": np.float32(0.5), "b": torch.tensor([2.0]), "c": True}

    found = numbers_of(Evaluation(torch.tensor(1.5), metrics), Finds())  # type: ignore[arg-type]

    assert found == (1.5, {"a": 0.5, "b": 2.0, "c": 1.0})


@pytest.mark.parametrize(
    ("artifacts", "sentence"),
    [
        (None, "the artifacts of evaluate() are None, expected bytes by name"),
        ({"a.txt": "text"}, "the artifact 'a.txt' of evaluate() is 'text', expected bytes"),
        ({"a/b": b""}, "the artifact 'a/b' of evaluate() has an unsafe name"),
        ({"a b": b""}, "the artifact 'a b' of evaluate() has an unsafe name"),
    ],
)
def test_artifacts_that_cannot_be_kept_are_named(artifacts: Any, sentence: str) -> None:
    """Before the final evaluation, in which they would be written."""
    ((_, said),) = artifact_faults(Evaluation(0.5, {}, artifacts), Finds())  # type: ignore[arg-type]

    assert sentence in said
    assert not list(artifact_faults(Evaluation(0.5, {}, {"a.png": b""}), Finds()))  # type: ignore[arg-type]
