"""Whatever uses a file of a run uses the bytes that were checked, or says that it is damaged."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import pbtnas
from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints import one_pass
from pbtnas.checkpoints.digests import file_digest
from pbtnas.checkpoints.files import CorruptCheckpoint
from pbtnas.config import from_json, to_json
from pbtnas.engine.coordinator import CoordinatorDriver
from pbtnas.engine.evaluation import evaluate, make_soups
from pbtnas.engine.evaluator import LostCheckpoint
from pbtnas.engine.signals import StopRequest
from pbtnas.networks.export import export
from pbtnas.networks.export_directory import CONFIG, MODEL, NotAnExport
from pbtnas.protocol.children import Mix
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.records.names import Digest
from pbtnas.records.schema import Job
from pbtnas.search import Birth
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.run_directory import change_engine, open_run
from pbtnas.study.reuse import take_checkpoint
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.supervised import Split
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer
from tests.moments import Moments, watched
from tests.networks.finished import add_member, finished, last_options

TASK = f"{Path(__file__).parents[1] / 'examples' / 'own_task.py'}:OwnTask"
DAMAGED = "damaged"


@dataclass
class Made:
    """A finished run of two members, an export of it, and a peer to take results from."""

    directory: Path
    task: Any
    best: Digest
    other: Digest

    @property
    def root(self) -> Path:
        return self.directory / "run"

    def checkpoint(self, digest: Digest) -> Path:
        return self.root / paths.checkpoint(0, digest)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Made once, and never touched."""
    directory = tmp_path_factory.mktemp("original")
    root = directory / "run"
    task = load_task("OwnTask", {}, task_file=TASK)
    architecture = last_options(task.space)
    finished(root, "OwnTask", {}, task_file=TASK)
    (best,) = (path.stem for path in (root / paths.checkpoints(0)).iterdir())
    other = add_member(root, task.create(architecture, 7), architecture)
    (root / paths.attempts(1)).mkdir(parents=True)
    (root / paths.checkpoints(1)).mkdir()
    engine = to_json(from_json(open_run(root).config))["engine"]
    change_engine(root, open_run(root), {**engine, "snapshot_s": 1e-6})
    export(root, directory / "export", "best-ever", task_file=TASK, whole=True)
    with PosixStore(root, "maker") as store:
        Products(store, directory).publish("statistics", b"what the task has measured")
    data = task.data()
    few = Split(data.train_x[:128], data.train_y[:128], data.test_x[:40], data.test_y[:40])
    task.data = lambda: few
    return Made(directory, task, Digest(best), Digest(other))


Copies = Callable[[], Made]


@pytest.fixture
def copied(original: Made, tmp_path: Path) -> Copies:
    """Gives copies of it to damage."""
    numbers = itertools.count()

    def one_more() -> Made:
        directory = tmp_path / f"copy-{next(numbers)}"
        shutil.copytree(original.directory, directory)
        return replace(original, directory=directory)

    return one_more


@pytest.fixture
def made(copied: Copies) -> Made:
    """A copy of it to damage."""
    return copied()


# -- who uses files ----------------------------------------------------------------------------


def mixing(made: Made) -> Any:
    """The digest of the child of two members."""
    birth = Birth(0, 1, 0, (0, 2), last_options(made.task.space), 3, shrink=0.4, perturb=0.1)
    with PosixStore(made.root, "c1") as store:
        driver = CoordinatorDriver(store, StopRequest(()), made.task, "sha256", "c1")
        mixed = driver.execute(Mix(0, birth, made.best, made.other))
    if mixed is None:
        assert list((made.root / paths.checkpoints(0)).glob("*.corrupt-*")), "put aside"
        assert not list(made.root.rglob(".tmp-*"))
        return DAMAGED
    return mixed.digest


def cooking(made: Made) -> Any:
    """The scores of soups, and the digests of their checkpoints."""
    found = make_soups(made.root, made.task, part=None, device="cpu", scratch=made.directory)
    return [(f.which, f.score, f.soup and f.soup.checkpoint) for f in found]


def evaluating(made: Made) -> Any:
    """The final scores."""
    found = evaluate(made.root, made.task, device="cpu", scratch=made.directory)
    return [(f.which, f.score) for f in found]


def loading(made: Made) -> Any:
    """The weights of a network out of a run."""
    return weights(pbtnas.load(made.root, task=TASK))


def loading_an_export(made: Made) -> Any:
    """The weights of an exported network."""
    return weights(pbtnas.load(made.directory / "export", task=TASK))


def exporting(made: Made) -> Any:
    """All files of an export."""
    directory = made.directory / "another"
    export(made.root, directory, "best-ever", task_file=TASK, whole=True)
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def reusing(made: Made) -> Any:
    """The digest of a checkpoint that another run takes over, where there are no hard links."""
    own = made.directory / "own"
    (own / paths.checkpoints(0)).mkdir(parents=True)
    job = Job(0, 1, (0, 0, 0), (), 1, epochs=1, threads=1)

    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "link", no_links)
        name = take_checkpoint(made.root, own, job, made.best, algorithm="sha256", writer="w1")
    if name is None:
        assert not list(own.rglob(".tmp-*"))
        return DAMAGED
    return file_digest(own / name, "sha256")


def looking_up(made: Made) -> Any:
    """A product."""
    with PosixStore(made.root, "w1") as store:
        return Products(store, made.directory).lookup("statistics")


def training(made: Made) -> Any:
    """The digest of what a job of the next generation makes of its input."""
    told = train(made, attempt=1)
    if told.get("failure") == "input":
        assert told["damaged"] == made.best
        return DAMAGED
    return told["result"]["checkpoint"]


def going_on(made: Made) -> Any:
    """The digest of what the next attempt at the job makes of the snapshot."""
    return train(made, attempt=2)["result"]["checkpoint"]


def train(made: Made, attempt: int) -> dict[str, Any]:
    architecture = last_options(made.task.space)
    job = Job(1, 1, architecture, (made.best,), seed=5, epochs=1, threads=1)
    setting = Setting(str(made.root), "w1", TASK, "cpu", str(made.directory))
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pbtnas.training.prepared_tasks.load_task", lambda *_, **__: made.task)
        return Trainer(setting, Channel(theirs)).carry_out(made.root, job, attempt)


def weights(network: Any) -> Any:
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


# -- which files -------------------------------------------------------------------------------


def best(made: Made) -> Path:
    return made.checkpoint(made.best)


def other(made: Made) -> Path:
    return made.checkpoint(made.other)


def model(made: Made) -> Path:
    return made.directory / "export" / MODEL


def config(made: Made) -> Path:
    return made.directory / "export" / CONFIG


def product(made: Made) -> Path:
    return made.root / paths.product("statistics")


def snapshot(made: Made) -> Path:
    """The snapshot of a first attempt at the job, which is made if it is not there."""
    attempts = made.root / paths.attempts(1)
    if not list(attempts.iterdir()):
        train(made, attempt=1)
    (found,) = attempts.glob("*/snapshot-*.safetensors")
    return found


# -- how they change ---------------------------------------------------------------------------


def weights_change(path: Path) -> None:
    """Change one bit of each byte of the tensors: whichever is read is wrong."""
    content = path.read_bytes()
    begin = headers.size_of(content, len(content))
    path.write_bytes(content[:begin] + bytes(byte ^ 1 for byte in content[begin:]))


def a_name_changes(path: Path) -> None:
    """Change one bit of a tensor's name."""
    path.write_bytes(path.read_bytes().replace(b"live/second.weight", b"live/second.weighu"))


def a_byte_changes(path: Path) -> None:
    """Change one bit of a file that holds no tensors."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


USES = [
    (mixing, best, a_name_changes),
    (mixing, other, weights_change),
    (cooking, best, weights_change),
    (cooking, other, weights_change),
    (evaluating, best, weights_change),
    (loading, best, weights_change),
    (loading_an_export, model, weights_change),
    (loading_an_export, config, a_byte_changes),
    (exporting, best, weights_change),
    (reusing, best, weights_change),
    (looking_up, product, a_byte_changes),
    (training, best, weights_change),
    (going_on, snapshot, weights_change),
]
Use = Callable[[Made], Any]
File = Callable[[Made], Path]
Change = Callable[[Path], None]


def outcome(use: Use, made: Made) -> Any:
    """What comes of it, or that the user is told of damage."""
    try:
        return use(made)
    except (CorruptCheckpoint, CorruptRecord, LostCheckpoint, NotAnExport) as error:
        assert "\n" not in str(error)
        return DAMAGED


@pytest.mark.parametrize(("use", "file", "change"), USES)
def test_a_change_between_any_two_reads_is_noticed_or_harmless(
    copied: Copies, use: Use, file: File, change: Change
) -> None:
    """Before any opening or reading of a file its content changes: the outcome is that of the
    whole file, or damage is reported; never is it another."""

    def attempted(number: int) -> tuple[Any, int]:
        copy = copied()
        path = file(copy)
        moments = Moments(path, number, lambda: change(path))
        with watched(moments):
            return outcome(use, copy), moments.count

    expected, count = attempted(0)
    assert expected != DAMAGED and count

    found = [attempted(number)[0] for number in range(1, count + 1)]

    assert all(each in (expected, DAMAGED) for each in found), found
    # Before the file is opened for the first time, nothing can be known of it but damage.
    assert found[0] == (expected if file is snapshot else DAMAGED)


# -- what is no file with content --------------------------------------------------------------


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_hole(path: Path) -> None:
    os.truncate(path, 1 << 42)


UNUSABLE = [a_pipe, a_link, a_directory, a_hole]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is tried again without a pause."""
    monkeypatch.setattr(one_pass, "PAUSES_S", (0.0, 0.0))


@pytest.mark.parametrize("plant", UNUSABLE)
@pytest.mark.parametrize("use", [mixing, evaluating, loading, exporting, reusing, training])
@pytest.mark.usefixtures("at_once")
def test_what_lies_in_place_of_a_checkpoint_is_as_damaged(
    made: Made, use: Use, plant: Callable[[Path], None]
) -> None:
    """A pipe is not waited for, a link not followed, a hole of terabytes not read into memory."""
    plant(best(made))

    assert outcome(use, made) == DAMAGED


def test_what_lies_in_place_of_a_product_is_said(made: Made) -> None:
    """One sentence names the file and what to do."""
    a_link(product(made))

    with pytest.raises(CorruptRecord, match=r"products/statistics: cannot be read; delete it"):
        looking_up(made)


@pytest.mark.parametrize("plant", UNUSABLE)
@pytest.mark.usefixtures("at_once")
def test_what_lies_in_place_of_a_snapshot_is_passed_over(
    made: Made, plant: Callable[[Path], None]
) -> None:
    """It would only have saved work: the job begins with its input."""
    expected = training(made)
    plant(snapshot(made))

    assert going_on(made) == expected


@pytest.mark.parametrize("failures", [2, 3])
@pytest.mark.parametrize("use", [mixing, evaluating, loading, exporting, reusing, training])
@pytest.mark.usefixtures("at_once")
def test_a_sector_that_cannot_be_read_is_tried_three_times(
    copied: Copies, monkeypatch: pytest.MonkeyPatch, use: Use, failures: int
) -> None:
    """Then the file is as good as damaged; if a try succeeds, nothing has happened."""
    expected, made = use(copied()), copied()
    left, preadv, status = [failures], os.preadv, best(made).stat()

    def failing(fd: int, *more: Any) -> int:
        if left[0] and os.path.samestat(os.fstat(fd), status):
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(fd, *more)

    monkeypatch.setattr(os, "preadv", failing)

    assert outcome(use, made) == (expected if failures == 2 else DAMAGED)
