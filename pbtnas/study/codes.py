"""Holds a study to the code of its tasks, before any of its runs goes on."""

from __future__ import annotations

from pbtnas.config import from_json
from pbtnas.records.envelope import RecordError
from pbtnas.store.run_directory import NotARun, open_run
from pbtnas.store.study_directory import Study
from pbtnas.store.task_code import check_code
from pbtnas.training.prepared_tasks import PreparedTasks


def check_codes(study: Study, tasks: PreparedTasks, *, accept: bool) -> None:
    """Raise `OtherCode` unless every run of a study that was begun has the code of its task here.

    Else a run begun later would have other code than those that it is to be compared with.  With
    `accept`, all of them go on with this code.
    """
    for planned in study.runs:
        section = from_json(planned.config, planned.label, recorded=planned.options).task
        try:
            run = open_run(planned.root)
        except (NotARun, RecordError):
            continue  # not begun, or damaged, which its coordinator tells
        check_code(planned.root, run, tasks.code(section), accept=accept)
