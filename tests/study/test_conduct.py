"""Beginning with a study, and going on with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.config import EngineConfig, PlannedRun, TaskConfig, from_json, load
from pbtnas.engine.run_setup import start_run
from pbtnas.engine.task_defaults import Complete
from pbtnas.store.run_directory import open_run
from pbtnas.store.task_code import OtherCode
from pbtnas.study.codes import check_codes
from pbtnas.study.conduct import ChangedStudy, make_study
from pbtnas.training.prepared_tasks import PreparedTasks
from tests.system.site import TASK, Site


def as_given(_: TaskConfig) -> Complete:
    """Completes the options of a task that has no defaults."""
    return dict


def test_a_study_goes_on_with_its_own_engine_settings(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that was begun when a default was another; what decides outcomes is refused."""
    caplog.set_level("INFO")
    begun, root = load(site.config), site.directory / "study"
    make_study(root, [PlannedRun("a", 5, begun)], as_given)
    later = replace(begun, engine=EngineConfig())
    other = replace(begun, search=replace(begun.search, epochs=3))

    (run,) = make_study(root, [PlannedRun("a", 5, later)], as_given).runs
    with pytest.raises(ChangedStudy, match=r"a-s5: search\.epochs: stored 2, given 3"):
        make_study(root, [PlannedRun("a", 5, other)], as_given)

    assert from_json(run.config) == begun
    assert "engine.hang_s: stored 60.0, given 600.0: the study goes on with what is stored" in (
        caplog.text
    )


def test_a_study_keeps_the_defaults_of_its_tasks(site: Site) -> None:
    """A study that goes on where a default of the task has changed is refused by name: half of its
    runs would have been searched with another task."""
    planned = [PlannedRun("a", 5, load(site.config))]

    def width(value: int) -> Callable[[TaskConfig], Complete]:
        return lambda _: lambda options: {"width": value, **options}

    root = site.directory / "study"
    (run,) = make_study(root, planned, width(8)).runs

    assert run.options is not None and run.options["width"] == 8
    with pytest.raises(ChangedStudy, match=r"a-s5: task\.width: stored 8, given 16, the default"):
        make_study(root, planned, width(16))


def test_no_run_of_a_study_is_begun_with_other_code_than_the_others(
    site: Site, tmp_path: Path
) -> None:
    """They are to be compared; accepted, the code is that of all runs that were begun."""
    file = tmp_path / "edited.py"
    file.write_text(Path(TASK.partition(":")[0]).read_text())
    named, config = f"{file}:FaultyTask", load(site.config)
    planned = [PlannedRun("a", seed, config) for seed in (1, 2)]
    study = make_study(tmp_path / "study", planned, as_given)
    tasks = PreparedTasks(tmp_path, named)
    space, first = tasks.load(config.task).space, study.runs[0].root
    start_run(first, config, space, code=tasks.code(config.task))
    check_codes(study, tasks, accept=False)

    file.write_text(f"{file.read_text()}\nEDITED = 1\n")
    edited = PreparedTasks(tmp_path, named)
    with pytest.raises(OtherCode, match=f"{first}.*edited.py"):
        check_codes(study, edited, accept=False)
    check_codes(study, edited, accept=True)
    assert open_run(first).codes.in_force == edited.code(config.task)
