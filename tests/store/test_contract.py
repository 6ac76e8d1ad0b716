"""What every store promises, whatever it is made of: docs/protocol.md rests on these sentences."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbtnas.protocol.operations import (
    Discard,
    EmptyTrash,
    Get,
    Has,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sync,
    WriteHeartbeat,
)
from pbtnas.records import paths
from pbtnas.records.names import Digest, Name
from pbtnas.store.bucket.address import Address
from pbtnas.store.bucket.client import Client, client_of
from pbtnas.store.bucket.store import BucketStore
from pbtnas.store.opening import deletion_of
from pbtnas.store.posix import PosixStore
from tests.simulation.store import SimulatedStore
from tests.store.object_store import environment_of, moto

DIGEST, OTHER = Digest("ab" * 16), Digest("cd" * 16)
CHECKPOINT, SECOND = paths.checkpoint(0, DIGEST), paths.checkpoint(0, OTHER)


@dataclass
class Made:
    """A store, as two machines see it, and how a process writes a private file."""

    one: Callable[[Any], Any]
    two: Callable[[Any], Any]
    write: Callable[[str, bytes], None]


def _posix(root: Path, primitive: Any) -> Iterator[Made]:
    root.mkdir()
    with (
        PosixStore(root, "one", primitive=primitive) as one,
        PosixStore(root, "two", primitive=primitive) as two,
    ):
        for directory in paths.TOP_DIRECTORIES:
            (root / directory).mkdir()

        def write(name: str, data: bytes) -> None:
            (root / name).write_bytes(data)

        yield Made(_emptied(one), _emptied(two), write)


def _bucket(root: Path, client: Client) -> Iterator[Made]:
    address = Address(client.url)
    one, two = (BucketStore(root / n, address, n, client) for n in ("one", "two"))

    def write(name: str, data: bytes) -> None:
        one.private(name).write_bytes(data)

    yield Made(_emptied(one), _emptied(two), write)


def _emptied(store: Any) -> Callable[[Any], Any]:
    """`execute`, and what a coordinator's driver does besides."""

    def execute(operation: Any) -> Any:
        if isinstance(operation, EmptyTrash):
            deletion = deletion_of(store)
            deletion.ask(operation.generation)
            return deletion.close()
        return store.execute(operation)

    return execute


def _memory(root: Path) -> Iterator[Made]:
    from obstore.store import MemoryStore

    yield from _bucket(root, Client(MemoryStore(), f"memory://{root.name}"))


def _simulated() -> Iterator[Made]:
    store = SimulatedStore(random.Random(0))
    yield Made(
        lambda operation: store.execute(0, operation),
        lambda operation: store.execute(1, operation),
        store.private.__setitem__,
    )


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an object store."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto")
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(params=["link", "directory", "simulated", "memory", "local", "moto"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Made]:
    kind = request.param
    if kind in ("link", "directory"):
        yield from _posix(tmp_path / "run", kind)
    elif kind == "simulated":
        yield from _simulated()
    else:
        pytest.importorskip("obstore")
        if kind == "memory":
            yield from _memory(tmp_path)
        elif kind == "local":
            yield from _bucket(tmp_path, client_of(f"file://{tmp_path}/bucket", make=True))
        else:
            for name, value in environment_of(request.getfixturevalue("s3")).items():
                monkeypatch.setenv(name, value)
            yield from _bucket(tmp_path, client_of(f"s3://runs/{tmp_path.name}"))


def test_a_name_has_one_winner_and_keeps_its_content(made: Made) -> None:
    """The second publish is told that it lost, whoever makes it; what was first stays."""
    assert made.one(Put(Name("config/0000.json"), b"first")) is Published.WON
    assert made.two(Put(Name("config/0000.json"), b"second")) is Published.LOST
    assert made.one(Put(Name("config/0000.json"), b"third")) is Published.LOST
    assert made.two(Get(Name("config/0000.json"))) == b"first"


def test_writers_that_race_have_one_winner_each_name(made: Made) -> None:
    """Of two writers at once exactly one wins each name, and its bytes are what stays."""
    names = [Name(f"config/{i:04d}.json") for i in range(10)]
    wins: dict[bytes, list[Name]] = {b"one": [], b"two": []}
    barrier = threading.Barrier(2)

    def race(execute: Callable[[Any], Any], who: bytes) -> None:
        barrier.wait()
        for name in names:
            if execute(Put(name, who)) is Published.WON:
                wins[who].append(name)

    writers = [
        threading.Thread(target=race, args=(execute, who))
        for execute, who in ((made.one, b"one"), (made.two, b"two"))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert sorted([*wins[b"one"], *wins[b"two"]]) == names
    for who, won in wins.items():
        assert all(made.one(Get(name)) == who for name in won)


def test_a_name_looked_for_in_vain_is_there_once_it_was_published(made: Made) -> None:
    """Absent is no error, and is forgotten: the next look finds and lists what was published."""
    name = Name("coordinator/term.001.json")
    assert made.two(Get(name)) is None
    assert made.two(List(Name("coordinator"))) == set()

    made.one(Put(name, b"x"))

    assert made.two(Get(name)) == b"x"
    assert made.two(List(Name("coordinator"))) == {"term.001.json"}


def test_heartbeats_and_hints_are_replaced(made: Made) -> None:
    """Both may be written again, and the last content is what others read."""
    beat = Name("workers/w.beat")
    for content in (b"1", b"2"):
        made.one(WriteHeartbeat(beat, content))
        made.one(Replace(paths.HEAD, content))

    assert made.two(ReadHeartbeat(beat)) == b"2"
    assert made.two(Get(paths.HEAD)) == b"2"


def test_a_checkpoint_is_published_from_a_private_file(made: Made) -> None:
    """It is there for others as a whole; that it is published again changes nothing."""
    private = paths.private_checkpoint(0, "one", "m00")
    assert made.one(MakeGeneration(0)) is Published.WON
    made.write(private, b"weights")
    assert made.two(Has(CHECKPOINT)) is False

    assert made.one(PutBlob(private, CHECKPOINT)) is Published.WON
    made.write(private, b"weights")

    assert made.one(PutBlob(private, CHECKPOINT)) in (Published.WON, Published.LOST)
    assert made.two(Has(CHECKPOINT)) is True
    assert made.two(Get(CHECKPOINT)) == b"weights"
    assert made.one(Sync(paths.checkpoints(0))) is Published.WON


def test_what_is_put_aside_opens_its_slot(made: Made) -> None:
    """After that nothing has the name, and another record wins it; twice does no harm."""
    name = Name("config/0000.json")
    made.one(Put(name, b"damaged"))

    assert made.two(Quarantine(name)) is Published.WON
    assert made.one(Quarantine(name)) is Published.WON
    assert made.one(Get(name)) is None
    assert made.one(Put(name, b"again")) is Published.WON


def test_what_is_discarded_goes_and_what_is_kept_stays(made: Made) -> None:
    """Once the trash is emptied, only the checkpoints to keep are left of a generation."""
    made.one(MakeGeneration(0))
    for name in (CHECKPOINT, SECOND):
        private = paths.private_checkpoint(0, "one", "m00")
        made.write(private, name.encode())
        made.one(PutBlob(private, name))

    for _ in range(2):  # as by the next coordinator
        made.one(Discard(0, frozenset({DIGEST})))
    made.one(EmptyTrash(1))

    assert made.two(Has(CHECKPOINT)) is True
    assert made.two(Has(SECOND)) is False
