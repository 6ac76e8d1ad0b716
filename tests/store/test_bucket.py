"""A store in a bucket where requests are lost, repeated and refused, and copies go bad."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbtnas.protocol.operations import Get, Has, Published, Put, Quarantine, Unreadable
from pbtnas.records import paths
from pbtnas.records.names import Digest, Name
from pbtnas.store.bucket import copies
from pbtnas.store.bucket.address import Address, BadAddress, local_directory, parse
from pbtnas.store.bucket.checking import Refused, check_conditional, check_reachable
from pbtnas.store.bucket.client import Client
from pbtnas.store.bucket.store import BucketStore
from pbtnas.store.opening import OtherPlace, open_files, open_store
from tests.store.object_store import Faults, environment_of, moto, proxy

pytest.importorskip("obstore")
pytest.importorskip("moto")

NAME = Name("config/0000.json")
DIGEST = Digest("ab" * 16)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def faults(upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What goes wrong with the requests of a test; nothing, until it says so."""
    made = Faults()
    with proxy(upstream, made) as endpoint:
        for name, value in environment_of(endpoint).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def store(faults: Faults, tmp_path: Path) -> BucketStore:
    return opened(tmp_path, "one", tmp_path.name)


def opened(directory: Path, writer: str, run: str, cache_gb: float = 1.0) -> BucketStore:
    """A store of its own machine; its client is no other's, whose proxy may be gone."""
    from obstore.store import from_url

    url = f"s3://runs/{run}"
    client = Client(from_url(url, client_options={"allow_http": True}), url)
    return BucketStore(directory / writer, Address(url, cache_gb), writer, client)


# -- publishing ----------------------------------------------------------------------------------


def test_whoever_wins_without_learning_it_is_told_so_by_the_content(
    store: BucketStore, faults: Faults, tmp_path: Path
) -> None:
    """A reply that was lost, and a request that was sent twice, are answered "exists": the writer
    finds its own bytes, and has won; another one has lost."""
    other = opened(tmp_path, "two", tmp_path.name)
    faults.lost = faults.repeated = 0.5
    for number in range(20):
        name = Name(f"config/{number:04d}.json")
        reply = Published.ERROR
        while reply is Published.ERROR:
            reply = store.execute(Put(name, b"one's, with its nonce"))
        assert reply is Published.WON
        while (reply := other.execute(Put(name, b"two's"))) is Published.ERROR:
            continue
        assert reply is Published.LOST
    assert faults.counts["lost"] and faults.counts["repeated"]


def test_a_conflict_is_no_lost_race(store: BucketStore, faults: Faults) -> None:
    """409 says that another write is in work, not that it has won: the publish is tried again, and
    is an error, not a loss, where that goes on."""
    faults.conflict = 1.0
    assert store.execute(Put(NAME, b"x")) is Published.ERROR
    faults.conflict = 0.0
    assert store.execute(Get(NAME)) is None
    assert store.execute(Put(NAME, b"x")) is Published.WON


def test_a_store_that_is_busy_is_waited_for(store: BucketStore, faults: Faults) -> None:
    """503 for long is an error of a publish, trouble that passes of a read, and is told."""
    told: list[str] = []
    store.trouble = told.append
    faults.busy = 1.0
    assert store.execute(Put(NAME, b"x")) is Published.ERROR
    reply = store.execute(Get(NAME))
    assert isinstance(reply, Unreadable) and reply.passing
    assert f"s3://runs/{store.root.parent.name}/{NAME}: " in told[0]
    faults.busy = 0.0
    assert store.execute(Put(NAME, b"x")) is Published.WON
    assert isinstance(store.execute(Get(NAME)), bytes)
    assert told[-1] == ""


# -- copies ----------------------------------------------------------------------------------------


def test_a_copy_is_made_once_and_again_when_it_was_deleted(
    store: BucketStore, faults: Faults, tmp_path: Path
) -> None:
    """A checkpoint is asked for once on each machine; all local files may go at any time."""
    name = paths.checkpoint(0, DIGEST)
    store.client.put(name, b"weights")
    before = faults.requests["GET"]
    for _ in range(3):
        assert store.fetch(name).read_bytes() == b"weights"
    assert faults.requests["GET"] == before + 1
    for path in sorted(store.root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    store.root.rmdir()

    assert store.fetch(name).read_bytes() == b"weights"
    assert isinstance(open_files(store.root), type(store).__mro__[1])


def test_copies_that_were_used_longest_ago_make_room(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than --cache-gb is never kept, but for what is in use now."""
    store = opened(tmp_path, "one", tmp_path.name, cache_gb=2e-6)  # 2000 bytes
    names = [paths.checkpoint(0, Digest(f"{i:032x}")) for i in range(3)]
    for name in names:
        store.client.put(name, b"x" * 900)
    for age_s, name in ((3000, names[0]), (2000, names[1])):
        path = store.fetch(name)
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    store.fetch(names[2])

    assert [(store.root / name).exists() for name in names] == [False, True, True]
    monkeypatch.setattr(copies, "IN_USE_S", 0.0)
    assert store.fetch(names[0]).exists()


def test_a_damaged_copy_does_not_put_the_object_aside(store: BucketStore) -> None:
    """The disk of one machine is no reason to compute a checkpoint again; a damaged object is."""
    name = paths.checkpoint(0, DIGEST)
    store.client.put(name, b"weights")
    store.fetch(name).write_bytes(b"we1ghts")

    assert store.execute(Quarantine(name)) is Published.WON
    assert store.fetch(name).read_bytes() == b"weights"
    assert store.execute(Quarantine(name)) is Published.WON
    assert store.execute(Has(name)) is False


def test_snapshots_are_shared_and_older_ones_deleted(store: BucketStore, tmp_path: Path) -> None:
    """Another machine goes on from the newest, though the first one's disk is gone."""
    attempt = paths.attempt(0, 3, 1)
    for steps in (10, 20):
        leaf = f"snapshot-{steps:09d}-ab.safetensors"
        path = store.private(paths.within(attempt, leaf))
        path.write_bytes(b"%d" % steps)
        store.share(
            paths.within(attempt, leaf), instead_of=lambda old: "10" in old, among=[attempt]
        )
    other = opened(tmp_path, "two", tmp_path.name)
    other.bring(attempt, lambda leaf: int(leaf.split("-")[1]))

    assert store.names(attempt) == ["snapshot-000000020-ab.safetensors"]
    assert (other.root / attempt / "snapshot-000000020-ab.safetensors").read_bytes() == b"20"


# -- refusals --------------------------------------------------------------------------------------


class Replacing(Client):
    """A store that knows no If-None-Match, and ignores it."""

    def put_new(self, name: str, data: bytes) -> bool:
        self.put(name, data)
        return True


def test_a_store_that_replaces_is_refused() -> None:
    """Where two writers win the same name nothing is begun."""
    from obstore.store import MemoryStore

    client = Replacing(MemoryStore(), "s3://old/run")
    with pytest.raises(Refused, match=r"^s3://old/run: this store has no conditional PUT"):
        check_conditional(client)
    assert not list(client.everything())


def test_a_store_that_says_it_has_no_conditional_put_is_refused(
    store: BucketStore, faults: Faults
) -> None:
    """Not waited for, as a store is that is busy: it will not learn it."""
    from pbtnas.store.bucket import checking

    checking._SURE.clear()
    faults.unsupported = 1.0
    with pytest.raises(Refused, match=r"has no conditional PUT .*: NotImplemented$"):
        check_conditional(store.client)


def test_an_unknown_bucket_is_one_sentence(faults: Faults) -> None:
    """It is told at the start; nobody waits for it to be made."""
    from obstore.store import from_url

    url = "s3://nobodys/run"
    client = Client(from_url(url, client_options={"allow_http": True}), url)
    with pytest.raises(Refused, match=r"^s3://nobodys/run: there is no such bucket$"):
        check_reachable(client)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://a/b", "expected a directory, or a URL that begins with s3://"),
        ("memory://a", "what lies in memory: ends with its process"),
        ("s3://bucket/../x", "expected s3://BUCKET/PATH"),
        ("s3://", "expected s3://BUCKET/PATH"),
    ],
)
def test_a_url_that_names_no_place_is_one_sentence(url: str, said: str) -> None:
    """The sentence says what was expected."""
    with pytest.raises(BadAddress) as raised:
        parse(url)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_directory_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache below a file: the option that names another one is told."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PBTNAS_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadAddress, match="--cache names another directory"):
        local_directory("s3://runs/c10")


def test_a_run_keeps_the_way_in_which_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that is mounted as a directory, or a directory named by a file URL, is no place to
    publish into: the two ways do not keep each other's records."""
    monkeypatch.setenv("PBTNAS_CACHE", str(tmp_path / "cache"))
    local = local_directory(f"file://{tmp_path}/run")
    with pytest.raises(OtherPlace, match="was made in a directory; name it by its path"):
        open_store(local, "w", primitive="link")
    with pytest.raises(OtherPlace, match="was made in a bucket; name it by the URL"):
        open_store(tmp_path, "w", primitive="bucket")


def test_access_denied_is_not_waited_for_at_the_start(store: BucketStore, faults: Faults) -> None:
    """Credentials do not become right by waiting: one sentence, and where they come from."""
    faults.denied = 1.0
    with pytest.raises(Refused) as raised:
        check_reachable(store.client)
    assert "InvalidAccessKeyId; credentials, endpoint and region come from" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert faults.counts["denied"] == 1, "asked once"
