"""Looking again for what was absent, as a client of NFS must."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.signals import StopRequest
from pbtnas.engine.worker import wait_for
from pbtnas.protocol.operations import Get, MakeGeneration, Published, Put
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.store import posix
from pbtnas.store.posix import PosixStore, Primitive
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import Run, create
from pbtnas.store.study_directory import Study, create_study, is_study

ABOUT = {"hash": "xxh3-128", "space": "s"}
DEEP = Name("generations/0003/results/m01.json")


class ForgetfulClient:
    """Stands before the system calls as NFS does: what was absent once stays absent, until the
    directory that holds it is opened by its name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._absent: set[Path] = set()
        self._of_system = {name: getattr(os, name) for name in ("open", "stat")}
        for name in self._of_system:
            monkeypatch.setattr(os, name, self._standing_before(name))

    def _standing_before(self, call: str) -> Callable[..., Any]:
        act = self._of_system[call]

        def acting(path: Any, *args: Any, dir_fd: int | None = None, **options: Any) -> Any:
            if isinstance(path, int):
                return act(path, *args, **options)
            held = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
            full = held / path
            creates = call == "open" and args and args[0] & os.O_CREAT
            self.calls.append(call)
            if not creates and any(at in self._absent for at in (full, *full.parents)):
                raise FileNotFoundError(2, "absent, as remembered", str(path))
            try:
                reply = act(path, *args, dir_fd=dir_fd, **options)
            except FileNotFoundError:
                # The first name on the way that is not there is what is remembered.
                way = [*reversed(full.parents), full]
                self._absent.add(next(at for at in way if not os.path.lexists(at)))
                raise
            if call == "open" and args and args[0] & os.O_DIRECTORY and os.fspath(path) != ".":
                self._absent = {at for at in self._absent if at.parent != full}
            return reply

        return acting


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ForgetfulClient:
    """From now on this process sees the disk as a client of NFS does."""
    assert tmp_path.exists()
    return ForgetfulClient(monkeypatch)


def publish(path: Path) -> None:
    """What another machine does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


LOOKS: dict[str, Callable[[RunReader], Any]] = {
    "get": lambda reader: reader.get(DEEP),
    "exists": lambda reader: reader.exists(DEEP),
    "published": lambda reader: reader.published(DEEP),
    "changed_s": lambda reader: reader.changed_s(DEEP),
    "names": lambda reader: reader.names(paths.directory_of(DEEP)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_name_that_was_absent_is_found_when_it_is_published(
    tmp_path: Path, client: ForgetfulClient, look: str
) -> None:
    """Its directories, made meanwhile, are found too."""
    with RunReader(tmp_path) as reader:
        assert not LOOKS[look](reader)
        publish(tmp_path / DEEP)
        with pytest.raises(FileNotFoundError, match="as remembered"):
            (tmp_path / DEEP).stat()

        assert LOOKS[look](reader)


def test_a_record_in_the_root_is_found_when_it_is_published(
    tmp_path: Path, client: ForgetfulClient
) -> None:
    """The root is held open, and yet opened by its name."""
    with RunReader(tmp_path) as reader:
        assert reader.get(paths.FINAL) is None
        publish(tmp_path / paths.FINAL)

        assert reader.get(paths.FINAL) == b"x"


def test_an_absent_name_costs_two_looks_and_its_directories(
    tmp_path: Path, client: ForgetfulClient
) -> None:
    """An idle worker looks for two names at a time; the first directory that is absent ends it."""
    with PosixStore(tmp_path, "writer") as store:
        client.calls.clear()
        assert store.get(paths.FINAL) is None
        assert client.calls == ["open"] * 3

        client.calls.clear()
        assert store.get(paths.manifest(3)) is None
        assert client.calls == ["open"] * 4


def test_what_is_there_costs_one_look(tmp_path: Path, client: ForgetfulClient) -> None:
    """Nothing is opened beside it."""
    publish(tmp_path / DEEP)
    with RunReader(tmp_path) as reader:
        client.calls.clear()
        assert reader.get(DEEP) == b"x"
        assert reader.exists(DEEP)
        assert client.calls == ["open", "stat"]


def test_a_directory_that_may_only_be_passed_through_hinders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directories below it are opened all the same."""
    opened = []
    system = os.open

    def refusing(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if path == tmp_path.parent:
            raise PermissionError(13, "may not be listed")
        opened.append(path)
        return system(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refusing)

    with pytest.raises(FileNotFoundError):
        RunReader(tmp_path / "run")
    assert tmp_path in opened


@pytest.mark.parametrize("kind", [Run, Study])
def test_a_worker_that_waits_finds_what_is_made_elsewhere(
    tmp_path: Path, client: ForgetfulClient, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    """Run or study, whose directory did not exist when the worker looked first."""
    root = tmp_path / "runs" / "first"

    class MadeMeanwhile(StopRequest):
        def wait(self, *args: Any, **options: Any) -> None:
            with monkeypatch.context() as elsewhere:
                for name, call in client._of_system.items():
                    elsewhere.setattr(os, name, call)
                if kind is Run:
                    create(root, {}, about=ABOUT)
                else:
                    create_study(root, [], pbtnas="1")

    assert isinstance(wait_for(root, MadeMeanwhile(()), patience_s=60.0), kind)
    assert is_study(root) == (kind is Study)


@pytest.mark.parametrize("primitive", ["link", "directory"])
def test_a_directory_changes_once_more_after_a_publish(
    tmp_path: Path, primitive: Primitive
) -> None:
    """A clock that had not ticked since an earlier look ticks before that: here, it stands still
    by the directory getting its old time back."""
    root = tmp_path / "generations"
    root.mkdir()
    with PosixStore(tmp_path, "writer", primitive=primitive) as store:
        before = root.stat().st_mtime_ns
        assert store.put(Name("generations/a.json"), b"a") is Published.WON
        os.utime(root, ns=(before, before))

    assert root.stat().st_mtime_ns > before


def test_an_operation_touches_what_was_published_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, for the clock has to tick; and nothing is touched twice."""
    (tmp_path / "generations").mkdir()
    monkeypatch.setattr(posix, "TICK_S", 3600.0)
    touched: list[str] = []
    monkeypatch.setattr(os, "utime", lambda directory, **at: touched.append(directory))
    with PosixStore(tmp_path, "writer") as store:
        store.execute(Put(Name("a.json"), b"a"))
        store.execute(MakeGeneration(0))
        store.touch()
        assert not touched

        now_s = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now_s + 3600.0)
        store.execute(Get(Name("a.json")))
        store.execute(Get(Name("a.json")))
        assert sorted(touched) == [".", "generations"]
