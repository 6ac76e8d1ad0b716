"""Tasks that runs share: prepared once, and only where that cannot change an outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbtnas.config import TaskConfig
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products, published
from pbtnas.store.run_directory import NotARun
from pbtnas.tasks.base import Task, TaskError
from pbtnas.training.prepared_tasks import PreparedTasks
from tests.system.site import TASK

SECTION = TaskConfig("FaultyTask")
OpenStore = Callable[[str], PosixStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the directory of a run that has nothing in it yet."""
    opened = []

    def open_one(name: str) -> PosixStore:
        (tmp_path / name / "products").mkdir(parents=True, exist_ok=True)
        opened.append(PosixStore(tmp_path / name, "test"))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def test_runs_of_one_task_share_what_was_prepared(open_store: OpenStore, tmp_path: Path) -> None:
    """The second run is given the first one's products, and the same task."""
    tasks = PreparedTasks(tmp_path, TASK)
    first, second = open_store("first"), open_store("second")
    task = tasks.of(SECTION, first, threads=1).task

    assert tasks.of(SECTION, second, threads=1).task is task
    assert tasks.load(SECTION) is task
    assert published(first) == published(second) != {}


def test_a_process_has_one_code_of_a_task(open_store: OpenStore, tmp_path: Path) -> None:
    """A run of a study that is opened hours later is not searched with what the file has become;
    and a task that is not that of a run is not even prepared for it."""
    file = tmp_path / "edited.py"
    file.write_text(Path(TASK.partition(":")[0]).read_text())
    tasks = PreparedTasks(tmp_path, f"{file}:FaultyTask")

    def refuse(task: Task) -> None:
        raise NotARun("another")

    with pytest.raises(NotARun, match="another"):
        tasks.of(SECTION, open_store("first"), threads=1, fits=refuse)
    assert published(open_store("first")) == {}
    tasks.of(SECTION, open_store("first"), threads=1)
    file.write_text(f"{file.read_text()}\nEDITED = 1\n")
    with pytest.raises(TaskError, match="edited.py: .* changed since this process began"):
        tasks.of(SECTION, open_store("second"), threads=2)


def test_a_run_with_products_of_its_own_keeps_them(open_store: OpenStore, tmp_path: Path) -> None:
    """What was published first decides, so its task is another one."""
    tasks = PreparedTasks(tmp_path, TASK)
    first, other = open_store("first"), open_store("other")
    data = b"\0" * 960
    Products(other, tmp_path).publish("points", data)
    task = tasks.of(SECTION, first, threads=1).task
    second = tasks.of(SECTION, other, threads=1).task

    assert second is not task
    assert Products(other, tmp_path).lookup("points") == data
    assert tasks.of(SECTION, other, threads=1).task is second
