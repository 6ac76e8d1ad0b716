"""Says that other versions compute here than the run was started with.  Needs no torch."""

from __future__ import annotations

import logging

from pbtnas.records.code_changes import other_versions
from pbtnas.records.task_code import TaskCode
from pbtnas.store.run_directory import Run
from pbtnas.versions import versions

log = logging.getLogger("pbtnas")


def warn_of_other_versions(run: Run) -> None:
    """Say in one line that the same job may have other bits here, if that is so."""
    then = run.codes.in_force or TaskCode(versions={"pbtnas": run.pbtnas})
    told = other_versions(then, TaskCode(versions=versions()))
    if told:
        log.warning("the run was started with %s: results may depend on who trains what", told)
