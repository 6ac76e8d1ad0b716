"""The Fréchet distance against closed forms and against a general matrix root."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbtnas.metrics.frechet import Gaussian, frechet_distance


def gaussian(mean: list[float] | Tensor, covariance: Tensor) -> Gaussian:
    """A Gaussian in float64."""
    return Gaussian(torch.as_tensor(mean, dtype=torch.float64), covariance.double(), 10)


def diagonal(*variances: float) -> Tensor:
    """A diagonal covariance."""
    return torch.diag(torch.tensor(variances, dtype=torch.float64))


def random_covariance(random: np.random.Generator, size: int) -> Tensor:
    """A well-conditioned covariance [size, size]."""
    factor = random.normal(size=(size, 3 * size))
    return torch.from_numpy(factor @ factor.T / (3 * size))


def test_gaussians_that_commute_have_a_closed_form() -> None:
    """Diagonal covariances: squared mean distance plus squared distances of the deviations."""
    a = gaussian([0.0, 1.0, 2.0], diagonal(1.0, 4.0, 9.0))
    b = gaussian([3.0, 1.0, 0.0], diagonal(4.0, 4.0, 1.0))

    assert frechet_distance(a, b) == pytest.approx((9 + 0 + 4) + (1 + 0 + 4), abs=1e-12)


def test_a_shift_alone_is_its_square() -> None:
    """Equal covariances leave the distance of the means."""
    covariance = random_covariance(np.random.default_rng(1), 5)
    shift = torch.arange(5.0)

    found = frechet_distance(gaussian(torch.zeros(5), covariance), gaussian(shift, covariance))

    assert found == pytest.approx(30.0, abs=1e-9)


def test_two_by_two_has_a_closed_form() -> None:
    """tr((AB)^(1/2)) of 2x2 matrices is sqrt(tr(AB) + 2 sqrt(det(AB))), commuting or not."""
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.8], [-0.8, 3.0]], dtype=torch.float64)
    product = a @ b
    root_trace = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    expected = float(a.trace() + b.trace() - 2 * root_trace)

    assert frechet_distance(gaussian([0, 0], a), gaussian([0, 0], b)) == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_it_agrees_with_a_general_matrix_root(seed: int, size: int) -> None:
    """SciPy's sqrtm, which pytorch-fid uses, gives the same on well-conditioned covariances."""
    random = np.random.default_rng(seed)
    a, b = random_covariance(random, size), random_covariance(random, size)
    mean = torch.from_numpy(random.normal(size=size))
    root = scipy.linalg.sqrtm(a.numpy() @ b.numpy())
    expected = float(mean @ mean + a.trace() + b.trace()) - 2 * np.trace(root).real

    found = frechet_distance(gaussian(torch.zeros(size), a), gaussian(mean, b))

    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_it_agrees_with_pytorch_fid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is the one people know from pytorch-fid."""
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    root = scipy.linalg.sqrtm
    # It asks for an error estimate, which it ignores and newer versions of SciPy do not give.
    monkeypatch.setattr(scipy.linalg, "sqrtm", lambda matrix, disp: (root(matrix), 0.0))
    random = np.random.default_rng(2)
    a, b = (
        Gaussian.fit(torch.from_numpy(random.normal(size=(200, 16)))),
        Gaussian.fit(torch.from_numpy(1.3 * random.normal(size=(150, 16)) + 0.2)),
    )

    expected = fid_score.calculate_frechet_distance(
        a.mean.numpy(), a.covariance.numpy(), b.mean.numpy(), b.covariance.numpy()
    )

    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_are_no_trouble() -> None:
    """Fewer images than features: the distance to itself is 0, and to scaled features exact."""
    features = torch.randn(10, 50, generator=torch.Generator().manual_seed(0))
    a, b = Gaussian.fit(features), Gaussian.fit(3 * features)
    expected = float(4 * a.mean.square().sum() + 4 * a.covariance.trace())

    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-4)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_what_is_not_finite_is_nan() -> None:
    """A diverged generator gets no number, and no exception of a decomposition."""
    bad = gaussian([float("nan"), 0.0], torch.eye(2))

    assert np.isnan(frechet_distance(bad, gaussian([0.0, 0.0], torch.eye(2))))
