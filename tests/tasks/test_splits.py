"""The data of supervised tasks: what selects, what is reported, and what cannot be right."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from pbtnas.search import Architecture
from pbtnas.tasks.base import Task, TaskError
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate
from pbtnas.tasks.nested import joined, mapped
from pbtnas.tasks.supervised import Split
from tests.tasks.broken import TinyTask
from tests.tasks.contract import TaskContract

X, Y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
USUAL: Architecture = (0, 0)


class ThreeWay(TinyTask):
    """The tiny task with examples of which the search knows nothing."""

    def data(self) -> Split:
        y = (X.sum(dim=1) > 0).long()
        return Split((X[:30], y[:30]), (X[30:40], y[30:40]), (X[40:], 1 - y[40:]))


class TestThreeWay(TaskContract):
    """A split in three keeps the contract."""

    epochs = 2

    def make_task(self) -> Task:
        return ThreeWay()


def prepared(task: TinyTask, scratch: Path) -> TinyTask:
    task.prepare(RehearsalProducts(scratch))
    return task


def scored(task: TinyTask, scratch: Path, *, final: bool) -> list[Any]:
    """The targets that an evaluation scores, and the metric that says how many were unseen."""
    seen = []

    def score(outputs: Tensor, targets: Tensor) -> float:
        seen.append(targets)
        return 0.5

    task.score = score  # type: ignore[method-assign]
    found = evaluate(task.create(USUAL, 0), Rehearsal(scratch, final=final))
    return [seen[0], found.metrics.get("unseen_examples")]


def test_the_search_sees_validation_and_the_final_evaluation_test(tmp_path: Path) -> None:
    """The number to report is not computed on the data that selected."""
    task = prepared(ThreeWay(), tmp_path)
    y = (X.sum(dim=1) > 0).long()

    (selected, none), (reported, unseen) = (
        scored(task, tmp_path, final=final) for final in (False, True)
    )

    assert torch.equal(selected, y[30:40]) and none is None
    assert torch.equal(reported, 1 - y[40:]) and unseen == 20


def test_a_split_in_two_reports_what_selected_and_says_so(tmp_path: Path) -> None:
    """As it always was; the metric lets the card tell."""
    task = prepared(TinyTask(), tmp_path)

    (selected, _), (reported, unseen) = (
        scored(task, tmp_path, final=final) for final in (False, True)
    )

    assert torch.equal(selected, reported) and unseen == 0


def test_own_test_batches_select_too_unless_there_are_others(tmp_path: Path) -> None:
    """A task that overrides `test_batches` alone has one set of examples, as before."""

    class Own(TinyTask):
        def test_batches(self) -> Any:
            return [(X[:5], Y[:5])]

    class Both(Own):
        def validation_batches(self) -> Any:
            return [(X[:7], Y[:7])]

    own, both = (prepared(task(), tmp_path) for task in (Own, Both))

    assert [len(scored(own, tmp_path, final=f)[0]) for f in (False, True)] == [5, 5]
    assert [len(scored(both, tmp_path, final=f)[0]) for f in (False, True)] == [7, 5]
    assert scored(both, tmp_path, final=True)[1] == 5


def test_both_forms_of_a_split_have_their_names() -> None:
    """The four tensors of old, by position and name, and three parts."""
    two = Split(X[:40], train_y=Y[:40], test_x=X[40:], test_y=Y[40:])
    three = Split((X[:30], Y[:30]), (X[30:40], Y[30:40]), test={"a": X[40:], "labels": Y[40:]})

    assert two.test is None and two.test_x is two.validation[0] and len(two.train_x) == 40
    assert three.test is not None and three.test_x["a"].shape == (20, 4)
    assert len(three.train_y) == 30 and len(three.test_y) == 20


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Split(X, Y), "expected (train, validation, test)"),  # type: ignore[call-overload]
        (lambda: Split(X, Y, X), "Split: train is a Tensor; expected a pair"),
        (lambda: Split((X, Y, Y), (X, Y), (X, Y)), "train is a tuple of 3"),
        (lambda: Split(X, Y[:59], X, Y), "train has 60 inputs and 59 targets"),
        (lambda: Split(X, Y, X[:0], Y[:0]), "validation inputs are empty"),
        (lambda: Split((X, Y), (X, Y), (X[:0], Y[:0])), "test inputs are empty"),
        (lambda: Split(np.ones((3, 4)), Y, X, Y), "train inputs hold a ndarray; expected torch"),
        (lambda: Split(X, Y, X.double(), Y), "validation inputs are 2-dimensional float64, but"),
        (lambda: Split(X, Y, X, Y[:, None]), "validation targets are 2-dimensional int64, but"),
        (lambda: Split({"a": X, "b": X[:9]}, Y, X, Y), "have lengths 9, 60; expected equal ones"),
        (lambda: (X, Y), "data() gives a tuple; expected a Split"),
    ],
)
def test_data_that_cannot_be_right_is_refused_before_a_job(
    tmp_path: Path, make: Any, words: str
) -> None:
    """One sentence that names the part, when the task is prepared."""

    class Wrong(TinyTask):
        def data(self) -> Split:
            split: Split = make()
            return split

    with pytest.raises(TaskError) as caught:
        Wrong().prepare(RehearsalProducts(tmp_path))

    assert words in str(caught.value)


class Pair(NamedTuple):
    one: Tensor
    other: Tensor


@dataclass
class Outputs:
    logits: Tensor
    loss: Tensor
    layers: tuple[Tensor, ...] = ()
    note: str = ""


def test_what_is_made_of_a_value_keeps_its_form() -> None:
    """Outputs of a library go on to have their attributes and keys."""
    first = Outputs(torch.ones(2, 3), torch.tensor(1.0), (torch.ones(2),), "kept")
    second = Outputs(torch.zeros(1, 3), torch.tensor(2.0), (torch.ones(1),), "kept")

    whole = joined([first, second])

    assert whole.logits.shape == (3, 3) and whole.loss.tolist() == [1.0, 2.0]
    assert whole.layers[0].shape == (3,) and whole.note == "kept"
    doubled = mapped(lambda t: 2 * t, OrderedDict(a=Pair(X, Y), b=[None, X]))
    assert isinstance(doubled, OrderedDict) and isinstance(doubled["a"], Pair)
    assert torch.equal(doubled["a"].one, 2 * X) and doubled["b"][0] is None
