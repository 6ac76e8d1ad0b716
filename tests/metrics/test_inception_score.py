"""The Inception score against closed forms and a direct computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.metrics.inception_score import InceptionScore


def score(logits: torch.Tensor, *, splits: int = 10, batch: int = 7) -> tuple[float, float]:
    """The score of logits [N, K] given in batches."""
    running = InceptionScore(len(logits), splits=splits)
    for start in range(0, len(logits), batch):
        running.update(logits[start : start + batch])
    return running.result()


def test_sure_and_even_predictions_score_the_number_of_classes() -> None:
    """Every image one class, all classes alike: as many classes as there are."""
    logits = 1000.0 * torch.eye(8).repeat(20, 1)  # each split of 16 has every class twice

    mean, deviation = score(logits)

    assert mean == pytest.approx(8.0, abs=1e-9)
    assert deviation == pytest.approx(0.0, abs=1e-9)


def test_uniform_predictions_score_one() -> None:
    """Images that look like nothing score 1, the least."""
    mean, deviation = score(torch.zeros(100, 1008))

    assert (mean, deviation) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_one_class_only_scores_one() -> None:
    """Sure but all alike, as after a mode collapse: 1 again."""
    logits = torch.zeros(50, 10)
    logits[:, 3] = 1000.0

    assert score(logits)[0] == pytest.approx(1.0, abs=1e-12)


def test_splits_are_scored_apart() -> None:
    """A split with two classes and one with a single class: mean 1.5, deviation 0.5."""
    logits = torch.full((8, 2), -1000.0)
    logits[[0, 1, 4, 5, 6, 7], 0] = 1000.0
    logits[[2, 3], 1] = 1000.0

    mean, deviation = score(logits, splits=2, batch=3)

    assert (mean, deviation) == pytest.approx((1.5, 0.5), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(10, 60), st.integers(1, 10), st.integers(1, 70))
def test_streaming_equals_keeping_everything(seed: int, n: int, splits: int, batch: int) -> None:
    """Any batch size gives the textbook formula over the splits, equal as can be."""
    logits = 3 * torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    p = logits.double().softmax(dim=1).numpy()
    scores = []
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        divergence = (part * np.log(part / part.mean(axis=0))).sum(axis=1)
        scores.append(np.exp(divergence.mean()))

    assert score(logits, splits=splits, batch=batch) == pytest.approx(
        (np.mean(scores), np.std(scores)), rel=1e-9, abs=1e-9
    )


def test_it_takes_exactly_the_images_announced() -> None:
    """A score of fewer or more images than announced is refused: its splits would be wrong."""
    running = InceptionScore(20)
    running.update(torch.zeros(15, 3))
    with pytest.raises(ValueError, match="^15 of the 20 images announced$"):
        running.result()
    with pytest.raises(ValueError, match="^more than the 20 images announced$"):
        running.update(torch.zeros(6, 3))


def test_more_splits_than_images_are_refused() -> None:
    """An empty split has no score."""
    with pytest.raises(ValueError, match="splits: 10 is not between 1 and the 9 images"):
        InceptionScore(9)
