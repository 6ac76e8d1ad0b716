"""Tells Weights & Biases: a group for the run, a run in it for each member and the population.

Offline unless WANDB_MODE says otherwise: files come to rest in the run directory, and
`wandb sync` sends them later.  An offline run cannot be opened again: who goes on after a restart
begins a second one of the same id, which is sent with `wandb sync --append`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import LoggedRun, Logger, PopulationStep, TrainingLine
from pbtnas.loggers.flat import member_values, population_values
from pbtnas.records import paths

X = "network_epochs"


class WeightsAndBiases(Logger):
    """Keeps a run of wandb open for each member."""

    def __init__(self) -> None:
        import wandb

        self._wandb = wandb
        self._open: dict[str, Any] = {}

    def begin(self, run: LoggedRun) -> None:
        self._run = run

    def member(self, step: MemberStep, training: Sequence[TrainingLine]) -> None:
        name = paths.member_name(step.member)
        for line in training:
            values = {f"training/{key}": value for key, value in line.values.items()}
            self._log(name, line.network_epochs, values)
        self._log(name, step.network_epochs, member_values(step))

    def preview(self, step: MemberStep, picture: Path) -> None:
        image = self._wandb.Image(str(picture))
        self._log(paths.member_name(step.member), step.network_epochs, {"preview": image})

    def population(self, step: PopulationStep) -> None:
        self._log("population", step.network_epochs, population_values(step))

    def close(self) -> None:
        for run in self._open.values():
            run.finish()

    def _log(self, name: str, epochs: float | None, values: Mapping[str, Any]) -> None:
        at = {} if epochs is None else {X: epochs}
        self._of(name).log({**at, **values})

    def _of(self, name: str) -> Any:
        if name not in self._open:
            mode: Any = os.environ.get("WANDB_MODE", "offline")  # wandb says what it may be
            run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", "pbtnas"),
                group=f"{self._run.name}-{self._run.id[:8]}",
                name=name,
                id=f"{self._run.id[:16]}-{name}",
                dir=str(self._run.directory),
                config=dict(self._run.settings),
                mode=mode,
                reinit="create_new",
                settings=self._wandb.Settings(
                    console="off", silent=True, x_disable_stats=True, disable_git=True
                ),
            )
            run.define_metric("*", step_metric=X)
            self._open[name] = run
        return self._open[name]
