"""Checkpoint files: exact round trips, the format, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.checkpoints import digests
from pbtnas.checkpoints import files as checkpoints
from pbtnas.checkpoints.files import CorruptCheckpoint
from pbtnas.checkpoints.layers import DTYPES
from pbtnas.checkpoints.one_pass import OnePass
from pbtnas.state import LazyTensor, State, assemble, lazily, ready
from tests.checkpoints.plain import read

XXH = "xxh3-128"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


def small() -> State:
    """A state with all sections, an odd number of bytes before wider items, and an info."""
    return State(
        live={"net.weight": torch.randn(2, 3), "net.scale": torch.tensor(0.5)},
        buffers={"net.seen": torch.tensor(7), "net.mask": torch.tensor([True, False, True])},
        averaged={"net.weight": torch.randn(2, 3).to(torch.bfloat16)},
        optimizer={"net.weight/m": torch.zeros(0, 3)},
        extra={"rng": torch.arange(5, dtype=torch.uint8)},
        info={"steps": 12, "schedule": {"lr": [0.1, None]}, "name": "ünï"},
    )


def same(left: State, right: State) -> bool:
    """Whether two states are equal in names, dtypes, shapes and bytes."""
    a, b = lazily(left), lazily(right)
    return left.info == right.info and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)


def _same(left: LazyTensor, right: LazyTensor) -> bool:
    x, y = (t.make().contiguous().reshape(-1).view(torch.uint8) for t in (left, right))
    return (left.dtype, left.shape) == (right.dtype, right.shape) and torch.equal(x, y)


def file_of(header: Any, data: bytes = b"") -> bytes:
    """A file with this header, which need not make sense."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# --- round trips -----------------------------------------------------------------------------


def test_a_state_is_read_back_to_the_bit(path: Path) -> None:
    """Both ways to read give what was written, with zero-dimensional and empty tensors."""
    digest = checkpoints.write(path, small_state := small(), algorithm=XXH)

    assert same(small_state, checkpoints.read_verified([path], [digest], algorithm=XXH))
    with checkpoints.read_lazily(path, digest, algorithm=XXH) as layers:
        made = {key: lazy.make() for key, lazy in layers.items()}
        assert same(small_state, assemble(made, layers.info))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_of_the_format_survives(path: Path, dtype: torch.dtype) -> None:
    """No dtype is converted on its way, be it of 8 bits or a complex one."""
    state = State(
        live={"w": torch.arange(6).reshape(2, 3).to(dtype), "one": torch.ones(()).to(dtype)}
    )

    digest = checkpoints.write(path, state, algorithm=XXH)

    assert same(state, checkpoints.read_verified([path], [digest], algorithm=XXH))


def test_a_dtype_that_the_format_lacks_is_refused(path: Path) -> None:
    """A tensor that cannot be stored exactly is named, not converted."""
    state = State(live={"w": torch.zeros(2, dtype=torch.complex128)})

    with pytest.raises(ValueError, match=r"'live/w' has dtype torch\.complex128"):
        checkpoints.write(path, state, algorithm=XXH)


def test_tensors_with_gaps_and_shared_or_trained_memory_are_written_as_they_look(
    path: Path,
) -> None:
    """Views, transposes, channels-last, expanded tensors and parameters need no preparation."""
    weight = torch.randn(4, 6)
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    views = {"t": weight.t(), "part": weight[1:3, ::2], "wide": torch.ones(1).expand(5), "i": image}
    state = State(live={**views, "p": torch.nn.Parameter(weight)})

    checkpoints.write(path, state, algorithm=XXH)

    assert same(state, read([path]))


def test_equal_states_give_equal_files(tmp_path: Path) -> None:
    """The digest depends on names and values, not on the order in which they were added."""
    state = small()
    turned = State(
        **{section: dict(reversed(getattr(state, section).items())) for section in State.SECTIONS},
        info=dict(reversed(state.info.items())),
    )

    first = checkpoints.write(tmp_path / "a", state, algorithm=XXH)

    assert first == checkpoints.write(tmp_path / "b", turned, algorithm=XXH)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("algorithm", digests.ALGORITHMS)
def test_the_digest_returned_is_that_of_the_file(path: Path, algorithm: str) -> None:
    """Hashing on the way to the disk and hashing the file agree, beyond one chunk too."""
    state = State(live={f"{i}": torch.randn(50_001) for i in range(5)})

    digest = checkpoints.write(path, state, algorithm=algorithm)

    assert path.stat().st_size > 3 * digests.CHUNK
    assert digest == digests.file_digest(path, algorithm)
    assert same(state, checkpoints.read_verified([path], [digest], algorithm=algorithm))


def test_an_unknown_digest_is_refused_with_the_known_ones() -> None:
    """A misspelt algorithm says what could have been meant."""
    with pytest.raises(ValueError, match="'md5'; there are xxh3-128, blake3, sha256"):
        digests.hasher("md5")


def test_the_digest_of_nothing_is_the_published_one(path: Path) -> None:
    """The names stand for the algorithms everybody else means by them."""
    path.write_bytes(b"")

    assert "99aa06d3014798d86001c324468d497f" == digests.file_digest(path, "xxh3-128")
    assert digests.file_digest(path, "sha256").startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert digests.file_digest(path, "blake3").startswith("af1349b9f5f9a1a6a0404dea36dcc949")


def test_an_info_that_is_not_json_is_refused(path: Path) -> None:
    """A tensor or an object left in `info` is reported, not turned into text."""
    with pytest.raises(ValueError, match="info is not JSON: .*Tensor"):
        checkpoints.write(path, State(info={"x": torch.ones(1)}), algorithm=XXH)  # type: ignore[dict-item]


# --- the safetensors library -----------------------------------------------------------------


def test_the_safetensors_library_reads_our_files(path: Path) -> None:
    """A checkpoint can be opened anywhere, without this package."""
    state = small()
    checkpoints.write(path, state, algorithm=XXH)

    theirs = safetensors.torch.load_file(path)

    assert theirs.keys() == lazily(state).keys()
    assert all(_same(lazy, ready(theirs[key])) for key, lazy in lazily(state).items())
    with safetensors.safe_open(path, framework="pt") as file:
        assert state.info == json.loads(file.metadata()["info"])


def test_we_read_files_of_the_safetensors_library(path: Path) -> None:
    """Weights prepared by other tools need only the names of the sections."""
    state = small()
    state.info = {}
    safetensors.torch.save_file({k: t.make() for k, t in lazily(state).items()}, path)

    assert same(state, read([path]))


# --- lazy reading, overlays ------------------------------------------------------------------


def test_reading_lazily_reads_each_byte_once_and_holds_one_tensor(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator mixes checkpoints that are larger than its memory."""
    state = State(live={"big": torch.zeros(1_000_000), "small": torch.ones(10)})
    digest = checkpoints.write(path, state, algorithm=XXH)
    pieces = []
    preadv = os.preadv

    def noted(fd: int, buffers: Any, offset: int) -> int:
        count = preadv(fd, buffers, offset)
        pieces.append((offset, count))
        return count

    monkeypatch.setattr(os, "preadv", noted)
    with checkpoints.read_lazily(path, digest, algorithm=XXH) as layers:
        assert {"live/big": (1_000_000,), "live/small": (10,)} == {
            key: lazy.shape for key, lazy in layers.items()
        }
        assert 10 == layers["live/small"].make().sum()

    ends = [offset + count for offset, count in pieces]
    assert [offset for offset, _ in pieces] == [0, *ends[:-1]]
    assert ends[-1] == path.stat().st_size
    assert max(count for _, count in pieces) <= digests.CHUNK


def test_a_tensor_asked_for_out_of_turn_is_refused(path: Path) -> None:
    """There is no second read, from which other bytes might come."""
    digest = checkpoints.write(path, small(), algorithm=XXH)

    with (
        pytest.raises(ValueError, match="out of turn"),
        checkpoints.read_lazily(path, digest, algorithm=XXH) as layers,
    ):
        layers["live/net.weight"].make()
        layers["live/net.weight"].make()


def test_damage_explains_what_has_failed_by_then(path: Path) -> None:
    """Whatever goes wrong with the tensors of a damaged file, the damage is what is said."""
    digest = checkpoints.write(path, small(), algorithm=XXH)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with (
        pytest.raises(CorruptCheckpoint, match=f"digest {digest}, found "),
        checkpoints.read_lazily(path, digest, algorithm=XXH),
    ):
        raise KeyError("nobody expected this")


def test_a_tensor_cannot_be_read_after_closing(path: Path) -> None:
    """A closed file's number may already be another file's: reading must fail, not guess."""
    digest = checkpoints.write(path, small(), algorithm=XXH)
    file = OnePass(path, XXH)
    file.close()

    with pytest.raises(ValueError, match="closed"):
        file.check(digest)


def test_tensors_read_own_their_memory(path: Path) -> None:
    """Training in place changes neither the file nor another tensor."""
    digest = checkpoints.write(path, small(), algorithm=XXH)
    state = checkpoints.read_verified([path], [digest], algorithm=XXH)
    scale = state.live["net.scale"].clone()
    state.live["net.weight"].fill_(99)

    assert torch.equal(scale, state.live["net.scale"])
    assert digest == digests.file_digest(path, XXH)


def layered(tmp_path: Path) -> list[Path]:
    """An overlay that replaces one tensor of its base, adds one and drops one."""
    overlay, base = tmp_path / "overlay", tmp_path / "base"
    live = {"kept": torch.ones(2), "replaced": torch.ones(2), "dropped": torch.ones(2)}
    checkpoints.write(base, State(live=live, info={"steps": 1}), algorithm=XXH)
    new = {"live/replaced": ready(torch.zeros(3)), "live/added": ready(torch.zeros(1))}
    checkpoints.write_overlay(overlay, new, ["live/kept", *new], algorithm=XXH)
    return [overlay, base]


def test_an_overlay_replaces_adds_and_drops(tmp_path: Path) -> None:
    """The overlay comes first, the rest is the base's, and what it does not list is gone."""
    state = read(layered(tmp_path))

    assert {"kept": [1, 1], "replaced": [0, 0, 0], "added": [0]} == {
        name: tensor.tolist() for name, tensor in state.live.items()
    }
    assert {"steps": 1} == state.info


def test_layers_in_the_wrong_order_or_alone_are_refused(tmp_path: Path) -> None:
    """Half of a checkpoint, or the halves exchanged, never pass for a whole one."""
    overlay, base = layered(tmp_path)

    with pytest.raises(CorruptCheckpoint, match="overlay: expected a full .* without its base"):
        read([overlay])
    with pytest.raises(CorruptCheckpoint, match="base: expected an overlay"):
        read([base, overlay])


def test_an_overlay_over_the_wrong_base_is_refused(tmp_path: Path) -> None:
    """A tensor that neither file has is an error, not a smaller state."""
    overlay, base = layered(tmp_path)
    checkpoints.write(base, State(live={"other": torch.ones(1)}), algorithm=XXH)

    with pytest.raises(CorruptCheckpoint, match="expected 'live/kept' in it or its base"):
        read([overlay, base])


def test_a_tensor_made_otherwise_than_announced_is_refused(tmp_path: Path) -> None:
    """The header is written first; a file that contradicts it must not come to be."""
    lying = LazyTensor((2,), torch.float32, lambda: torch.ones(3))

    with pytest.raises(ValueError, match=r"'live/w' was announced as torch.float32 \[2\]"):
        checkpoints.write_overlay(tmp_path / "o", {"live/w": lying}, ["live/w"], algorithm=XXH)


# --- damage ----------------------------------------------------------------------------------


def test_every_flipped_bit_is_detected(path: Path) -> None:
    """No single damaged byte is ever used, and without the digest none ends in a traceback."""
    digest = checkpoints.write(path, small(), algorithm=XXH)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)

        with pytest.raises(CorruptCheckpoint):
            checkpoints.read_verified([path], [digest], algorithm=XXH)
        with (
            pytest.raises(CorruptCheckpoint),
            checkpoints.read_lazily(path, digest, algorithm=XXH),
        ):
            pass
        try:
            read([path])
        except CorruptCheckpoint as error:
            assert str(path) in str(error)


def test_every_truncation_is_detected_without_the_digest(path: Path) -> None:
    """A torn file is known by its size, and the error names it in one line."""
    checkpoints.write(path, small(), algorithm=XXH)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])

        with pytest.raises(CorruptCheckpoint) as caught:
            read([path])
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CorruptCheckpoint):
        read([path])


def test_a_file_cut_while_it_is_open_is_detected(path: Path) -> None:
    """The disk may lose the end of a file after its header was read."""
    digest = checkpoints.write(path, State(live={"w": torch.ones(1000)}), algorithm=XXH)

    with (
        pytest.raises(CorruptCheckpoint, match="more bytes, found its end"),
        checkpoints.read_lazily(path, digest, algorithm=XXH) as layers,
    ):
        os.truncate(path, 1000)
        layers["live/w"].make()


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "length-beyond-file": ((1 << 63).to_bytes(8, "little"), "a header of"),
    "not-text": (file_of(b"\xff\xfe\xfd"), "not JSON"),
    "not-json": (file_of(b"{"), "not JSON"),
    "not-object": (file_of([]), "not a JSON object"),
    "nested": (file_of(b"[" * 200_000), "nested too deeply"),
    "huge-number": (file_of(b'{"a":' + b"9" * 10_000 + b"}"), "Exceeds the limit"),
    "entry-is-list": (file_of({"live/w": []}), "without exactly"),
    "entry-incomplete": (file_of({"live/w": {"dtype": "F32"}}), "without exactly"),
    "entry-extended": (file_of({"live/w": entry() | {"more": 1}}, bytes(4)), "without exactly"),
    "dtype-unknown": (file_of({"live/w": entry("F31")}, bytes(4)), "unknown dtype 'F31'"),
    "dtype-list": (file_of({"live/w": entry(["F32"])}, bytes(4)), "unknown dtype"),
    "shape-text": (file_of({"live/w": entry(shape="1")}, bytes(4)), "malformed shape"),
    "shape-negative": (file_of({"live/w": entry(shape=[-1, -1])}, bytes(4)), "malformed shape"),
    "shape-true": (file_of({"live/w": entry(shape=[True])}, bytes(4)), "malformed shape"),
    "shape-float": (file_of({"live/w": entry(shape=[1.0])}, bytes(4)), "malformed shape"),
    "shape-deep": (file_of({"live/w": entry(shape=[1] * 65)}, bytes(4)), "malformed shape"),
    "shape-vast": (file_of({"live/w": entry(shape=[2**62, 0], offsets=[0, 0])}), "impossible"),
    "offsets-three": (file_of({"live/w": entry(offsets=[0, 4, 8])}, bytes(4)), "malformed data"),
    "offsets-negative": (file_of({"live/w": entry(offsets=[-4, 0])}, bytes(4)), "malformed data"),
    "offsets-turned": (file_of({"live/w": entry(offsets=[4, 0])}, bytes(4)), "of -4 bytes"),
    "size-wrong": (file_of({"live/w": entry(shape=[2])}, bytes(4)), "4 bytes that needs 8"),
    "beyond-end": (file_of({"live/w": entry()}, bytes(3)), "3 bytes of data"),
    "overlap": (file_of({"live/v": entry(), "live/w": entry()}, bytes(4)), "at byte 0"),
    "gap": (file_of({"live/w": entry(offsets=[4, 8])}, bytes(8)), "at byte 4"),
    "left-over": (file_of({"live/w": entry()}, bytes(8)), "8 bytes of data"),
    "key-twice": (file_of(b'{"live/w":1,"live/w":1}'), "'live/w' twice"),
    "metadata-list": (file_of({"__metadata__": []}), "metadata that is not"),
    "metadata-number": (file_of({"__metadata__": {"info": 1}}), "metadata that is not"),
    "newer-format": (file_of({"__metadata__": {"pbtnas": "2"}}), "expected .* 1, found format '2'"),
    "info-not-json": (file_of({"__metadata__": {"info": "{"}}), "not JSON"),
    "info-list": (file_of({"__metadata__": {"info": "[]"}}), "an object as info"),
    "section-unknown": (file_of({"alive/w": entry()}, bytes(4)), "'alive/w', which is not"),
    "name-missing": (file_of({"live/": entry()}, bytes(4)), "'live/', which is not"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_refused(path: Path, content: bytes, message: str) -> None:
    """Whatever a header claims, it is checked before memory is taken or bytes are used."""
    path.write_bytes(content)

    with pytest.raises(CorruptCheckpoint, match=message):
        read([path])


@pytest.mark.parametrize("listed", ["{", "1", "[1]"])
def test_a_hostile_list_of_tensors_is_refused(tmp_path: Path, listed: str) -> None:
    """The overlay's list of tensors is data like all other."""
    overlay, base = layered(tmp_path)
    overlay.write_bytes(file_of({"__metadata__": {"tensors": listed}}))

    with pytest.raises(CorruptCheckpoint, match="overlay: expected"):
        read([overlay, base])


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(deadline=None)
def test_garbage_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    """Random bytes, with any length of a header before them, are no checkpoint."""
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(size.to_bytes(8, "little") + data)

    with pytest.raises(CorruptCheckpoint):
        read([path])


def test_misaligned_tensors_of_other_writers_are_read(path: Path) -> None:
    """The format allows a float behind one byte; we write none, but read them."""
    content = file_of(
        {"live/b": entry("U8", [1], [0, 1]), "live/w": entry("F32", [1], [1, 5])},
        b"\x05" + torch.tensor([1.5]).numpy().tobytes(),
    )
    path.write_bytes(content)

    state = read([path])

    assert ([5], [1.5]) == (state.live["b"].tolist(), state.live["w"].tolist())


def test_a_missing_file_is_not_a_damaged_one(path: Path) -> None:
    """Absence means that this view of the directory is stale, and is told apart."""
    with pytest.raises(FileNotFoundError):
        checkpoints.read_verified([path], ["0"], algorithm=XXH)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_error() -> None:
    """No space ends in OSError, whether the buffer or a large tensor meets it first."""
    for size in (1, 1_000_000):
        with pytest.raises(OSError, match="No space left"):
            checkpoints.write(Path("/dev/full"), State(live={"w": torch.ones(size)}), algorithm=XXH)


def test_the_error_passes_between_processes(path: Path) -> None:
    """A training child can hand the error to its supervisor whole."""
    error = CorruptCheckpoint(path, "this", "that")

    assert str(error) == str(pickle.loads(pickle.dumps(error)))  # noqa: S301
    assert f"checkpoint {path}: expected this, found that" == str(error)
