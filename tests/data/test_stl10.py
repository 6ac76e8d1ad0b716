"""STL-10 from its archive, with a tiny set in the place of the real one."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pbtnas.data import stl10
from pbtnas.data.images import DataError, DataMissing, Pixels, pixel_digest, resize

COUNTS = {"train_X.bin": 3, "unlabeled_X.bin": 5}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Pixels:
    """Eight images [8, 3, 96, 96] the module now expects, read two at a time."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 96, 96), dtype=np.uint8)
    first = 0
    for name, count in COUNTS.items():
        data = column_major(pixels[first : first + count])
        part = stl10.Part(first, count, hashlib.md5(data).hexdigest())
        monkeypatch.setitem(stl10.PARTS, name, part)
        first += count
    monkeypatch.setattr(stl10, "_CHUNK", 2)
    return pixels


def column_major(pixels: Pixels) -> bytes:
    """Bytes as STL-10 stores them: channels, columns, rows."""
    return np.ascontiguousarray(pixels.transpose(0, 1, 3, 2)).tobytes()


def archive_of(file: Path, pixels: Pixels, *, cut: int = 0) -> Path:
    """An archive like the official one, whose unlabeled file lacks the last `cut` bytes."""
    unlabeled = column_major(pixels[3:])
    members = {
        "stl10_binary/test_X.bin": b"not looked at",
        "stl10_binary/unlabeled_X.bin": unlabeled[: len(unlabeled) - cut],
        "stl10_binary/train_X.bin": column_major(pixels[:3]),  # the order inside does not matter
    }
    with tarfile.open(file, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def test_train_comes_before_unlabeled_upright_and_resized(tmp_path: Path, tiny: Pixels) -> None:
    """The set is train then unlabeled, rows as rows, 48x48, with its own digest."""
    told: list[int] = []
    stl10.from_archive(
        tmp_path, archive_of(tmp_path / "a.tar.gz", tiny), lambda what, done, of: told.append(done)
    )

    got = stl10.load(tmp_path)

    assert np.array_equal(got.images, resize(tiny, 48))
    assert got.labels is None
    assert got.digest == pixel_digest(resize(tiny, 48))
    assert max(told) == 8


def test_a_set_that_is_there_is_not_made_again(tmp_path: Path, tiny: Pixels) -> None:
    """A second `get` needs neither archive nor network."""
    archive = archive_of(tmp_path / "a.tar.gz", tiny)
    stl10.from_archive(tmp_path, archive)
    archive.unlink()

    stl10.from_archive(tmp_path, archive)
    stl10.download(tmp_path)

    assert len(stl10.load(tmp_path)) == 8


def test_download_checks_and_removes_the_archive(
    tmp_path: Path, tiny: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official archive is fetched, believed by its MD5, and not kept."""
    archive = archive_of(tmp_path / "a.tar.gz", tiny)
    monkeypatch.setattr(stl10, "URL", archive.as_uri())
    monkeypatch.setattr(stl10, "ARCHIVE_BYTES", archive.stat().st_size)
    monkeypatch.setattr(stl10, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())

    stl10.download(tmp_path / "data")

    assert len(stl10.load(tmp_path / "data")) == 8
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["stl10-train-unlabeled-48"]


def test_getting_again_mends_a_truncated_set(tmp_path: Path, tiny: Pixels) -> None:
    """A set that cannot be opened is made again."""
    archive = archive_of(tmp_path / "a.tar.gz", tiny)
    stl10.from_archive(tmp_path, archive)
    (tmp_path / "stl10-train-unlabeled-48" / "images.npy").write_bytes(b"\x93NUMPY")

    stl10.from_archive(tmp_path, archive)

    assert np.array_equal(stl10.load(tmp_path).images, resize(tiny, 48))


def test_missing_says_how_to_get_it(tmp_path: Path) -> None:
    """Who has no STL-10 is told the command."""
    with pytest.raises(DataMissing, match="`pbtnas data get stl10`$"):
        stl10.load(tmp_path)


@pytest.mark.parametrize("cut", [1, 3 * 96 * 96])
def test_a_short_file_is_refused_with_both_digests(tmp_path: Path, tiny: Pixels, cut: int) -> None:
    """Data of the wrong size, by a byte or a whole image, is one sentence; nothing is stored."""
    expected = stl10.PARTS["unlabeled_X.bin"].md5
    archive = archive_of(tmp_path / "a.tar.gz", tiny, cut=cut)

    with pytest.raises(DataError, match=f"expected the MD5 {expected} for unlabeled_X.bin, found"):
        stl10.from_archive(tmp_path / "data", archive)

    assert list((tmp_path / "data").iterdir()) == []


def test_other_files_are_refused_in_one_sentence(tmp_path: Path, tiny: Pixels) -> None:
    """Absent, foreign and truncated archives all end in a DataError that names the file."""
    whole = archive_of(tmp_path / "whole.tar.gz", tiny).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar.gz").write_text("no archive")
    with tarfile.open(tmp_path / "foreign.tar.gz", "w:gz"):
        pass

    for name in ("absent", "cut", "text", "foreign"):
        with pytest.raises(DataError, match=f"{name}.tar.gz (cannot be read|has no)"):
            stl10.from_archive(tmp_path / "data", tmp_path / f"{name}.tar.gz")
