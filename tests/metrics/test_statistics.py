"""Statistics: streamed, kept in files, read from other people's, and compared with care."""

from __future__ import annotations

import dataclasses
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbtnas.metrics.distances import Incomparable, distance
from pbtnas.metrics.statistics import (
    TENSORFLOW_RESIZE,
    Moments,
    Statistics,
    StatisticsError,
    measure,
)
from pbtnas.metrics.statistics_files import (
    MADE_BY,
    UnsaidError,
    check_covariance,
    parse_statistics,
)


class MeanColour:
    """An extractor whose features are the mean of each channel."""

    name = "mean-colour"
    digest = "d" * 64
    resize = "none"

    def features(self, images: Tensor) -> Tensor:
        """float32 [B, 3]."""
        return images.float().mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor | None:
        """[B, 3]: the features themselves."""
        return features


class Unscored(MeanColour):
    """The same without an Inception score."""

    def logits(self, features: Tensor) -> None:
        """None."""


def some_statistics(size: int = 3, **changes: Any) -> Statistics:
    """Statistics as `measure` makes them, with changes."""
    made = Statistics(
        mu=torch.arange(size, dtype=torch.float64),
        sigma=torch.eye(size, dtype=torch.float64),
        n=100,
        extractor="inception",
        extractor_digest="e" * 64,
        resize="torch-bilinear-299",
        data_digest="f" * 64,
    )
    return dataclasses.replace(made, **changes)


def npz(**arrays: Any) -> bytes:
    """The bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


TEXTS = ("extractor", "extractor_digest", "resize", "data_digest")
SAID = {"mu": np.zeros(3), "sigma": np.eye(3), "n": 9, **dict.fromkeys(TEXTS, "x")}


def with_headers(place: int, value: int) -> bytes:
    """An .npz file, one byte of whose headers of files is another."""
    data = bytearray(npz(**SAID))
    for signature, offset in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + offset] = value
    return bytes(data)


def with_a_broken_stream() -> bytes:
    """An .npz file that is compressed, and was damaged."""
    file = io.BytesIO()
    np.savez_compressed(file, **SAID)
    data = bytearray(file.getvalue())
    begin = 30 + sum(struct.unpack_from("<HH", data, 26))  # behind the header, its name and extras
    data[begin] = 0xFF  # a block of a type that there is not
    return bytes(data)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.sampled_from([0.0, 1e6]),
)
def test_streamed_moments_are_numpys(seed: int, batches: list[int], offset: float) -> None:
    """Whatever the batches, mean and covariance are numpy's, far from the origin too."""
    samples = np.random.default_rng(seed).normal(size=(sum(batches) + 1, 4)) + offset
    moments = Moments()
    for part in np.split(samples, np.cumsum(batches)):
        moments.update(torch.from_numpy(part))

    mu, sigma = moments.result()

    assert mu.dtype == sigma.dtype == torch.float64
    np.testing.assert_allclose(mu, samples.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sigma, np.cov(samples, rowvar=False), rtol=1e-6, atol=1e-8)


def test_one_vector_has_no_covariance() -> None:
    """Statistics of a single image are refused instead of divided by zero."""
    moments = Moments()
    moments.update(torch.zeros(1, 3))

    with pytest.raises(ValueError, match="1 feature vectors have no covariance"):
        moments.result()


def test_measure_takes_exactly_n_images_in_one_pass() -> None:
    """The last batch is cut, later ones are not asked for, and everything is written down."""
    images = torch.randint(0, 256, (30, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    batches = iter([images[start : start + 8].to(torch.uint8) for start in range(0, 30, 8)])

    got = measure(MeanColour(), batches, 20, data_digest="abc", splits=2)

    features = images[:20].float().mean(dim=(2, 3)).double()
    torch.testing.assert_close(got.statistics.mu, features.mean(dim=0))
    torch.testing.assert_close(got.statistics.sigma, torch.cov(features.T))
    assert (got.statistics.n, got.statistics.data_digest) == (20, "abc")
    assert (got.statistics.extractor, got.statistics.resize) == ("mean-colour", "none")
    assert got.statistics.extractor_digest == "d" * 64
    assert got.inception_score is not None and got.inception_score[0] > 1.0
    assert len(list(batches)) == 1


def test_measure_scores_only_where_asked_and_possible() -> None:
    """No splits, or an extractor without logits: no Inception score."""
    images = [torch.zeros(5, 3, 2, 2)]

    assert measure(MeanColour(), images, 5, data_digest="").inception_score is None
    assert measure(Unscored(), images, 5, data_digest="", splits=2).inception_score is None


def test_measure_refuses_too_few_images() -> None:
    """A number is never made of fewer images than it says."""
    with pytest.raises(ValueError, match="^only 5 of 6 images$"):
        measure(MeanColour(), [torch.zeros(5, 3, 2, 2)], 6, data_digest="")


def test_our_files_keep_everything(tmp_path: Path) -> None:
    """Statistics survive a file, bit for bit, and pytorch-fid's way of reading it works."""
    made = some_statistics()
    (tmp_path / "reference.npz").write_bytes(made.to_bytes())

    got = parse_statistics((tmp_path / "reference.npz").read_bytes(), "reference.npz")

    assert torch.equal(got.mu, made.mu) and torch.equal(got.sigma, made.sigma)
    assert dataclasses.replace(got, mu=made.mu, sigma=made.sigma).__dict__ == made.__dict__
    with np.load(tmp_path / "reference.npz") as file:
        assert np.array_equal(file["mu"], made.mu) and np.array_equal(file["sigma"], made.sigma)


@pytest.mark.parametrize(
    ("by", "resize"), [("tensorflow", TENSORFLOW_RESIZE), ("pytorch-fid", "torch-bilinear-299")]
)
def test_a_file_with_mu_and_sigma_only_is_what_the_user_says(by: str, resize: str) -> None:
    """How it was made is told, and its name, which anyone may change, says nothing."""
    data = npz(mu=np.zeros(2048), sigma=np.eye(2048, dtype=np.float32))

    got = parse_statistics(data, "fid_stats_cifar10_train.npz", MADE_BY[by])

    assert (got.n, got.extractor, got.resize) == (None, "inception", resize)
    assert got.extractor_digest is None
    assert got.sigma.dtype == torch.float64
    with pytest.raises(ValueError, match="not written again"):
        got.to_bytes()
    with pytest.raises(UnsaidError, match="does not say with which extractor and resize"):
        parse_statistics(data, "fid_stats_cifar10_train.npz")


def test_a_file_that_says_otherwise_than_the_user_is_refused() -> None:
    """Either may be wrong, and a number under a wrong name is worse than none."""
    with pytest.raises(StatisticsError, match="says that it was made with inception and torch"):
        parse_statistics(some_statistics().to_bytes(), "x.npz", MADE_BY["tensorflow"])


def test_a_sigma_that_is_no_covariance_is_refused() -> None:
    """Transposed, scaled, subtracted, empty: what the arrays hold decides, not their names."""
    features = torch.randn(20, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sigma = torch.cov(features.T)  # singular, as with fewer images than features
    crooked, negative = sigma.clone(), sigma.clone()
    crooked[0, 1] += 0.1
    negative -= 0.1 * torch.eye(30)

    check_covariance(sigma, "x.npz")
    check_covariance(sigma.float().double(), "x.npz")
    for wrong, message in (
        (crooked, "sigma is not symmetric, and so no covariance: entries differ by 0.1"),
        (negative, "sigma has negative eigenvalues"),
        (-sigma, "sigma has no variance"),
        (torch.zeros(30, 30, dtype=torch.float64), "sigma has no variance"),
    ):
        with pytest.raises(StatisticsError, match=f"^x.npz: {message}"):
            check_covariance(wrong, "x.npz")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.npz is not an .npz file with mu and sigma"),
        (b"no archive", "x.npz is not an .npz file with mu and sigma"),
        (npz(mu=np.zeros(2048)), "x.npz is not an .npz file with mu and sigma"),
        (
            npz(mu=np.zeros(4), sigma=np.eye(5)),
            r"expected mu \[D\] and sigma \[D, D\], found \[4\]",
        ),
        (npz(mu=np.zeros(192), sigma=np.eye(192)), "x.npz has 192 features, but statistics of inc"),
        (npz(mu=np.full(3, np.nan), sigma=np.eye(3)), "x.npz: mu or sigma is not finite"),
        (npz(mu=np.array([{}]), sigma=np.eye(1)), "x.npz is not an .npz file with mu and sigma"),
        (npz(mu=np.zeros(3, complex), sigma=np.eye(3)), "expected numbers, found complex128"),
        (npz(mu=np.zeros(0), sigma=np.zeros((0, 0))), r"expected mu \[D\] and sigma"),
        (npz(**SAID | {"n": "many"}), r"x.npz: n: expected an integer, found <U4 \[\]"),
        (npz(**SAID | {"n": [1, 2]}), r"x.npz: n: expected an integer, found int64 \[2\]"),
        (npz(**SAID | {"n": -3}), "x.npz: n: expected at least 2 images, found -3"),
        (npz(**SAID | {"resize": 3}), "x.npz: resize: expected text, found int64"),
        (npz(**SAID | {"measured_on": ["a", "b"]}), "x.npz: measured_on: expected text, found"),
        (with_headers(6, 1), "x.npz is not an .npz file .* is encrypted"),
        (with_headers(8, 99), "x.npz is not an .npz file .* not supported"),
        (with_a_broken_stream(), "x.npz is not an .npz file .* while decompressing data"),
    ],
)
def test_other_files_are_refused_in_one_sentence(data: bytes, message: str) -> None:
    """Empty, foreign, partial, misshapen, pickled: each says what is wrong with the file."""
    with pytest.raises(StatisticsError, match=message):
        parse_statistics(data, "x.npz", MADE_BY["pytorch-fid"])


def test_a_lone_array_is_not_a_statistics_file(tmp_path: Path) -> None:
    """An .npy file under the name of an .npz is one sentence."""
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))

    with pytest.raises(StatisticsError, match="x.npz is not an .npz file with mu and sigma"):
        parse_statistics((tmp_path / "x.npz").read_bytes(), "x.npz")


def test_a_distance_says_how_it_was_made() -> None:
    """Value, number of images, extractor, resize and reference travel together."""
    generated = some_statistics(mu=torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64), n=5000)

    got = distance(generated, some_statistics(data_digest="a" * 64))

    assert got.value == pytest.approx(1.0)
    assert str(got) == (
        "fid 1.00 (5,000 images, inception eeeeeeee, torch-bilinear-299, reference aaaaaaaa)"
    )
    assert got.protocol().splitlines() == [
        f"fid {got.value!r}",
        "images 5000",
        f"extractor inception, SHA-256 {'e' * 64}",
        "resize torch-bilinear-299",
        f"reference {'a' * 64}",
    ]


def test_only_inceptions_distance_is_called_fid() -> None:
    """The stand-in's number goes by the stand-in's name."""
    other = some_statistics(extractor="fd-lite0", resize="torch-bilinear-64")

    assert distance(other, other).name == "fd-lite0"


def test_tensorflows_reference_is_let_through_and_named() -> None:
    """The well-known files differ in the resize: allowed, but part of the protocol."""
    known = some_statistics(extractor_digest=None, resize=TENSORFLOW_RESIZE, n=50_000)

    got = distance(some_statistics(), known)

    assert got.resize == "torch-bilinear-299, reference tensorflow-bilinear-299"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extractor": "fd-lite0"}, "the reference was made with fd-lite0 .*, not with inception"),
        (
            {"extractor_digest": "0" * 64},
            "the reference was made with inception 0000.*, not with inception eeee",
        ),
        (
            {"resize": "torch-bilinear-64"},
            "made with the resize torch-bilinear-64, not with torch-bilinear-299",
        ),
    ],
)
def test_a_reference_of_another_kind_is_refused(change: dict[str, Any], message: str) -> None:
    """Features of another network or resize have no distance to these."""
    with pytest.raises(Incomparable, match=message):
        distance(some_statistics(), some_statistics(**change))
