"""The files and commands that repeat the runs of a report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import yaml

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.history.run import History
from pbtnas.config import to_yaml

Code = dict[str, str]
"""Contents of files by their names, and commands by what they do."""


def run_again(history: History) -> Code:
    """The whole configuration of a run, as it was resolved, and the command."""
    name = history.root.resolve().name
    file, again = shlex.quote(f"{name}.yaml"), shlex.quote(f"runs/{name}-again")
    command = f"pbtnas run {file} {again} --workers 2{_task_option([history])}"
    return {
        f"{name}.yaml": to_yaml(history.config, history.options),
        f"the run {name} again": command,
    }


def study_again(name: str, runs: Sequence[NamedRun]) -> Code:
    """A study's file, beside the configuration of each name, and the commands.

    Args:
        name: Name of the study.
        runs: Runs of one study; the first of a name stands for all of its seeds.
    """
    firsts = {run.name: run.history for run in reversed(runs)}
    code: Code = {}
    variants = {}
    for variant, history in reversed(firsts.items()):
        file = f"{history.root.resolve().name}.yaml"
        code[file] = to_yaml(history.config, history.options)
        variants[variant] = {"config": file}
    study = {"seeds": sorted({run.seed for run in runs}), "runs": variants}
    again = shlex.quote(f"studies/{name}-again")
    task = _task_option(list(firsts.values()))
    return {
        **code,
        "study.yaml": _yaml(study),
        "the study again": f"pbtnas study study.yaml {again} --workers 2{task}\n"
        f"pbtnas compare {again}\n"
        f"pbtnas report {again} -o report.html",
    }


def _task_option(histories: Sequence[History]) -> str:
    """A placeholder for the file of a task that is not installed here."""
    names = {str(history.config["task"]["name"]) for history in histories}
    own = sorted(name for name in names if not entry_points(group="pbtnas.tasks", name=name))
    return f" --task {shlex.quote(f'FILE.py:{own[0]}')}" if own else ""


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
