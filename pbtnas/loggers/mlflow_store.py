"""Tells MLflow: a run for the search with the population, and a child of it for each member.

Into a store of files in the run directory, or where MLFLOW_TRACKING_URI says.  The metric
`generation` comes last of a member's generation: where it is there already, all of it is.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import LoggedRun, Logger, PopulationStep, TrainingLine
from pbtnas.loggers.flat import member_values, population_values
from pbtnas.records import paths

OF_RUN, OF_MEMBER = "pbtnas.run", "pbtnas.member"
"""Tags by which a run of MLflow is found again."""

LAST = "generation"
MOST = 1000  # metrics that MLflow takes at once
_UNFIT = re.compile(r"[^\w./ :-]")  # what MLflow takes in no name


class MlflowStore(Logger):
    """Logs by MLflow's client; a run that an earlier process has made is gone on with."""

    def __init__(self) -> None:
        # A newer MLflow asks for this before it writes files, which need no database.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient

        self._client_of, self._metric = MlflowClient, Metric
        self._ids: dict[str, str] = {}
        self._known: dict[str, set[int]] = {}  # network-epochs of what was there before

    def begin(self, run: LoggedRun) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI", run.directory.as_uri())
        self._client = self._client_of(uri)
        self._run = run
        found = self._client.get_experiment_by_name(run.name)
        made = self._client.create_experiment(run.name) if found is None else found.experiment_id
        self._experiment = made

    def member(self, step: MemberStep, training: Sequence[TrainingLine]) -> None:
        if step.network_epochs is None:
            return
        metrics = [
            self._made(f"training/{name}", value, line.network_epochs, step.finished_s)
            for line in training
            for name, value in line.numbers.items()
        ]
        told = member_values(step)
        name = paths.member_name(step.member)
        self._log(name, metrics, told, step.network_epochs, step.finished_s)

    def preview(self, step: MemberStep, picture: Path) -> None:
        run = self._id(paths.member_name(step.member))
        self._client.log_artifact(run, str(picture), f"previews/{step.generation:04d}")

    def population(self, step: PopulationStep) -> None:
        told = population_values(step)
        self._log("population", [], told, step.network_epochs, step.finished_s)

    def _log(
        self, name: str, metrics: list[Any], told: dict[str, float], at: int, at_s: float | None
    ) -> None:
        run = self._id(name)
        if at in self._known[name]:
            return
        told[LAST] = told.pop(LAST)
        metrics += [self._made(key, value, at, at_s) for key, value in told.items()]
        finite = [metric for metric in metrics if math.isfinite(metric.value)]
        for first in range(0, len(finite), MOST):
            self._client.log_batch(run, metrics=finite[first : first + MOST])

    def _made(self, name: str, value: float, at: float, at_s: float | None) -> Any:
        time_ms = round(1000 * (at_s or 0.0))
        return self._metric(_UNFIT.sub("_", name), value, time_ms, round(at))

    def _id(self, name: str) -> str:
        if name in self._ids:
            return self._ids[name]
        run = self._run
        tags = {OF_RUN: run.id, OF_MEMBER: name, "mlflow.runName": name}
        if name != "population":
            tags["mlflow.parentRunId"] = self._id("population")
        wanted = f"tags.`{OF_RUN}` = '{run.id}' and tags.`{OF_MEMBER}` = '{name}'"
        found = self._client.search_runs([self._experiment], wanted)
        made = found[0] if found else self._client.create_run(self._experiment, tags=tags)
        self._ids[name] = str(made.info.run_id)
        before = self._client.get_metric_history(self._ids[name], LAST) if found else []
        self._known[name] = {metric.step for metric in before}
        return self._ids[name]
