"""One member of a supervised task: a network and its optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pbtnas.determinism import global_rngs, restore_global_rngs
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import Json, State
from pbtnas.tasks import returned
from pbtnas.tasks.base import Context, Diverged, Evaluation, TaskError
from pbtnas.tasks.choices import with_choices
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.findings import number_of
from pbtnas.tasks.members import Learner
from pbtnas.tasks.nested import joined, mapped, tensors
from pbtnas.tasks.optional import UNSEEN
from pbtnas.tasks.splits import Pair, count, pair_of
from pbtnas.tasks.updates import Update, replayed, settings

if TYPE_CHECKING:
    from pbtnas.tasks.supervised import Batches, SupervisedTask

_SCHEDULED = "schedule"  # steps that the schedule has made
_PACE = "schedule_epoch"  # steps of an epoch then; only where ladders may change them
_SCALING = "scaling"  # of the loss, in half precision


class SupervisedTrainee(Learner):
    """One member: a network and its optimiser."""

    def __init__(self, task: SupervisedTask, architecture: Architecture, seed: int) -> None:
        self._task = task
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built = task.build(task.space.decode(architecture))
        self.network = returned.network(task, built)
        self._choices = task.space.decode(architecture)
        made = with_choices(task.optimizer, self.network.parameters(), choices=self._choices)
        self._optimizer = returned.optimizer(task, made)
        self._settings = settings(self._optimizer)
        self._info: dict[str, Json] = {}  # only of a task with a schedule, or with scaling
        super().__init__(self.network, [self._optimizer])

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of `train_batches`.

        Raises `Diverged` at a loss that is not finite, and `TaskError` when there is no batch.
        """
        self.move(context.device)
        self.network.train()
        steps = len(self._epoch(context, 0))
        if steps == 0:
            raise TaskError("train_batches() has no batch: there are fewer examples than one holds")
        task = self._task
        update = Update(
            self._optimizer,
            device=context.device,
            precision=task.precision,
            clip_norm=task.clip_norm,
            closure=task.closure,
            scaling=self._info.get(_SCALING),
        )
        scheduled = self._scheduled(steps)
        schedule = replayed(
            self._optimizer,
            self._settings,
            lambda o: returned.schedule(task, task.schedule(o, steps)),
            scheduled,
        )
        first_epoch, skipped = divmod(context.done, steps)
        for epoch in range(first_epoch, epochs):
            batches = self._epoch(context, epoch)
            returned.check_length(task, len(batches), steps)
            step = done = epoch * steps + skipped
            rest = _behind(skipped, batches, context.device)
            for step, batch in enumerate(rest, done + 1):
                loss = self._step(update, pair_of(batch), step, context)
                if not math.isfinite(loss):
                    raise Diverged(f"the loss is {loss} at step {step} of this job")
                if schedule is not None:
                    schedule.step()
                    scheduled += 1
                    self._info |= {_SCHEDULED: scheduled} | self._pace(steps)
                scaling = update.scaling
                if scaling is not None:
                    self._info[_SCALING] = scaling
                if step % steps == 0:
                    context.log(epoch=epoch + 1, loss=loss)
                context.tick(step)
            returned.check_length(task, step - epoch * steps, steps)
            skipped = 0

    def _epoch(self, context: Context, epoch: int) -> Batches:
        task, seed = self._task, derive(context.seed, "supervised-epoch", epoch)
        given = with_choices(task.train_batches, seed, choices=self._choices)
        batches: Batches = returned.batches(task, "train_batches", given, counted=True)
        return batches

    def _scheduled(self, steps: int) -> int:
        """Steps that the schedule has made, where an epoch has so many.

        It goes by epochs: a child whose batches have another size than its base's is as far.
        """
        made, of = (self._info.get(key) for key in (_SCHEDULED, _PACE))
        if not isinstance(made, int):
            return 0
        return made * steps // of if isinstance(of, int) else made

    def _pace(self, steps: int) -> dict[str, Json]:
        ladders = any(variable.ordered for variable in self._task.space)
        return {_PACE: steps} if ladders else {}

    def _step(self, update: Update, batch: Pair, step: int, context: Context) -> float:
        """One step with a batch, changed as the task says; its loss."""
        task = self._task
        if task.augments:
            chance = torch.Generator().manual_seed(derive(context.seed, "supervised-augment", step))
            batch = returned.pair(task, task.augment(*batch, chance))
        x, y = (mapped(lambda tensor: tensor.to(context.device), half) for half in batch)
        return update(lambda: returned.loss(task, task.loss(task.forward(self.network, x), y)))

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        """Score and loss on all validation or test data; a NaN score if outputs are not finite.

        Raises `TaskError` when there is no batch.
        """
        self.move(context.device)
        self.network.eval()
        task = self._task
        outputs, targets = [], []
        method = "test_batches" if context.final else "validation_batches"
        for batch in returned.batches(task, method, getattr(task, method)()):
            x, y = pair_of(batch)
            x = mapped(lambda tensor: tensor.to(context.device), x)
            found = task.forward(self.network, x)
            outputs.append(mapped(lambda tensor: tensor.cpu(), found))
            targets.append(mapped(lambda tensor: tensor.cpu(), y))
            context.tick()
        if not outputs:
            raise TaskError(f"{method}() has no batch: there is nothing to score")
        predicted, wanted = joined(outputs), joined(targets)
        # The accuracy of NaNs would be an innocent number.
        finite = all(bool(tensor.isfinite().all()) for tensor in tensors(predicted))
        score = task.score(predicted, wanted) if finite else math.nan
        score = number_of(score, f"{returned.place(task, 'score')}: what score() returned")
        metrics = {"loss": task.loss(predicted, wanted).item()}
        if context.final:
            metrics[UNSEEN] = float(count(wanted)) if task.has_test_data else 0.0
        return Evaluation(score, metrics)

    def state(self) -> State:
        """Everything that is trained, and how far schedule and scaling are."""
        state = super().state()
        state.info = dict(self._info)
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        super().load(state)
        kept = (_SCHEDULED, _PACE, _SCALING)
        self._info = {key: state.info[key] for key in kept if key in state.info}

    def trained_network(self) -> nn.Module:
        """What `build` made."""
        return self.network

    def costs(self) -> Mapping[str, float]:
        """The multiply-adds of one example of the data that the search scores by."""
        task = self._task
        batches = returned.batches(task, "validation_batches", task.validation_batches())
        x, _ = pair_of(next(iter(batches)))
        example = mapped(lambda tensor: tensor[:1].to("meta"), x)
        return {"multiply_adds": multiply_adds(self.network, lambda n: task.forward(n, example))}


def _behind(skipped: int, batches: Batches, device: str) -> Iterator[Any]:
    """An epoch without its first batches, which a job has done before it was interrupted.

    To fetch them again must not move the global generators: those were moved when they were
    fetched first, and restored with the snapshot.
    """
    if skipped == 0:
        return iter(batches)
    generators = global_rngs(device)
    rest = iter(batches)
    for _ in islice(rest, skipped):
        pass
    restore_global_rngs(*generators, device)
    return rest
