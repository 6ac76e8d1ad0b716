"""The feature networks: finding and refusing weights, and the same features as pytorch-fid."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from pbtnas.metrics import extractors
from pbtnas.metrics.extractors import (
    INCEPTION_NAMES,
    Extractor,
    ExtractorError,
    ExtractorTrouble,
    Inception,
    Lite0,
    find_inception,
)
from pbtnas.metrics.statistics import measure
from pbtnas.metrics.statistics_files import MADE_BY, parse_statistics

WEIGHTS = b"weights"


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty torch hub cache, in which a file holding `WEIGHTS` would be the right one."""
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setattr(extractors, "INCEPTION_BYTES", len(WEIGHTS))
    monkeypatch.delenv("PBTNAS_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    return cache


@pytest.mark.parametrize("name", INCEPTION_NAMES)
def test_weights_are_found_in_the_cache_under_both_names(expected: Path, name: str) -> None:
    """pytorch-fid and others keep the same file under different names."""
    (expected / name).write_bytes(WEIGHTS)

    assert find_inception() == expected / name


def test_a_path_comes_before_the_variable_before_the_cache(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a file gets that file."""
    places = [tmp_path / "path.pth", tmp_path / "variable.pth", expected / INCEPTION_NAMES[0]]
    for place in places:
        place.write_bytes(WEIGHTS)
    monkeypatch.setenv("PBTNAS_INCEPTION", str(places[1]))

    assert find_inception(places[0]) == places[0]
    assert find_inception() == places[1]
    monkeypatch.delenv("PBTNAS_INCEPTION")
    assert find_inception() == places[2]


def test_missing_weights_say_what_to_do(expected: Path) -> None:
    """Without weights one sentence has the name, the size and the three ways out."""
    with pytest.raises(
        ExtractorError,
        match="FID needs .*6726825d.pth .*put them into .*PBTNAS_INCEPTION, or allow",
    ):
        find_inception()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("inception_v3_google-0cc3c7bd.pth", b"x", "is torchvision's Inception, another network"),
        ("cut.pth", WEIGHTS[:3], "has 3 bytes, but the Inception weights have 7$"),
        ("other.pth", b"WEIGHTS", "expected the SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}$"),
    ],
)
def test_other_files_are_refused(
    expected: Path, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    """torchvision's network, a truncated file and a changed one each have their sentence."""
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ExtractorError, match=message):
        find_inception(tmp_path / name)
    with pytest.raises(ExtractorError, match=message):
        Inception(tmp_path / name, "cpu")


def test_torchvisions_network_is_known_under_any_name(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renamed torchvision file is told by its digest."""
    monkeypatch.setattr(extractors, "_sha256", lambda file: "0cc3c7bd" + "0" * 56)
    (tmp_path / "renamed.pth").write_bytes(b"x")

    with pytest.raises(ExtractorError, match="torchvision's Inception"):
        find_inception(tmp_path / "renamed.pth")


def test_a_named_file_that_is_absent_is_not_looked_for_elsewhere(expected: Path) -> None:
    """A wrong path is said, even if the cache has the weights."""
    (expected / INCEPTION_NAMES[0]).write_bytes(WEIGHTS)

    with pytest.raises(ExtractorError, match="absent.pth cannot be read"):
        find_inception(expected / "absent.pth")


def test_download_is_checked(
    expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download ends under its name only with the right digest; otherwise one sentence."""
    source = tmp_path / "source.pth"
    monkeypatch.setattr("pytorch_fid.inception.FID_WEIGHTS_URL", source.as_uri())
    source.write_bytes(b"something else")
    with pytest.raises(ExtractorTrouble, match="could not be downloaded from .*source.pth"):
        find_inception(download=True)
    assert list(expected.iterdir()) == []

    source.write_bytes(WEIGHTS)

    assert find_inception(download=True).read_bytes() == WEIGHTS


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extractors are optional: who lacks the package learns its name."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)

    with pytest.raises(ExtractorError, match="`pip install efficientnet-lite-pytorch`$"):
        Lite0("cpu")


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A weights file for pytorch-fid's network with random values, taken for the right one."""
    package = pytest.importorskip("pytorch_fid.inception")
    with (
        torch.random.fork_rng(devices=[]),
        mock.patch("torchvision.models.inception.Inception3.load_state_dict"),
        mock.patch.object(package, "load_state_dict_from_url"),
    ):
        torch.manual_seed(0)
        state = package.fid_inception_v3().state_dict()
    file = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(state, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with (
        mock.patch.object(extractors, "INCEPTION_SHA256", digest),
        mock.patch.object(package, "load_state_dict_from_url", lambda *_, **__: state),
    ):
        yield file


def test_statistics_are_pytorch_fids(random_inception: Path, tmp_path: Path) -> None:
    """`--save-stats` on a directory of PNGs, and our pass over the same images, agree."""
    from pytorch_fid.fid_score import save_fid_stats

    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    images[1] //= 3  # unlike the others, so that sigma is not mere noise
    (tmp_path / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
    paths = [str(tmp_path / "images"), str(tmp_path / "theirs.npz")]
    save_fid_stats(paths, batch_size=3, device="cpu", dims=2048, num_workers=0)
    theirs = parse_statistics(
        (tmp_path / "theirs.npz").read_bytes(), "theirs.npz", MADE_BY["pytorch-fid"]
    )

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    batches = [pixels[:2], pixels[2:]]
    ours = measure(Inception(random_inception, "cpu"), batches, 3, data_digest="").statistics

    assert float(theirs.mu.abs().max()) > 0
    scale = float(theirs.sigma.abs().max())
    torch.testing.assert_close(ours.mu, theirs.mu, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.sigma, theirs.sigma, rtol=1e-3, atol=1e-3 * scale)


def test_logits_are_unbiased(random_inception: Path) -> None:
    """The Inception score takes features times the classifier's weights, without its bias."""
    state = torch.load(random_inception, weights_only=True)
    features = torch.rand(2, 2048)

    logits = Inception(random_inception, "cpu").logits(features)

    assert bool(state["fc.bias"].any())
    torch.testing.assert_close(logits, features @ state["fc.weight"].T)


def test_making_extractors_leaves_the_global_rng_alone(random_inception: Path) -> None:
    """A network made in the middle of a job must not move the job's random stream."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)

    Inception(random_inception, "cpu")
    Lite0("cpu")

    assert torch.equal(torch.rand(1), expected)


def test_lite0_features() -> None:
    """1,280 features an image, the same for uint8 and float, and no Inception score."""
    extractor: Extractor = Lite0("cpu")
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)

    features = extractor.features(images)

    assert features.shape == (4, 1280)
    assert features.dtype == torch.float32
    torch.testing.assert_close(extractor.features(images.float()), features)
    torch.testing.assert_close(
        extractor.features(images[2:3])[0], features[2], rtol=1e-3, atol=1e-4
    )
    assert extractor.logits(features) is None


def test_lite0_refuses_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of another weights file would not be the same numbers."""
    monkeypatch.setattr(extractors, "_sha256", lambda file: "0" * 64)

    with pytest.raises(
        ExtractorError, match="57934424.pth: expected the SHA-256 5793.*0.1.0 again$"
    ):
        Lite0("cpu")
