"""One member of the task `supernet` whose architecture is learnt while the weights are trained."""

from __future__ import annotations

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.models.edges import Traversal
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.supernet.architecture_steps import distance_to_uniform, unrolled_gradient
from pbtnas.supernet.controller import entropies, log_probabilities, policy_loss
from pbtnas.supernet.costs import TRAINING
from pbtnas.tasks.base import CHOSEN, ENTROPY, SPENT, SUBNET, Context, Diverged, Evaluation
from pbtnas.tasks.weight_sharing.classifier import Tally, data_seed
from pbtnas.tasks.weight_sharing.classifying import unseen
from pbtnas.tasks.weight_sharing.learnt_architecture import LearntArchitecture
from pbtnas.tasks.weight_sharing.sharing_member import SupernetTrainee

_SPENT = "spent_multiply_adds"
_BASELINE = "baseline"
_CONTROLLER_CLIP = 5.0


class LearningTrainee(SupernetTrainee):
    """One member: a supernet, and the architecture that it learns."""

    _context: Context

    job_cost = 0  # multiply-adds of the job that is running, or of the last one
    baseline: float | None = None  # of REINFORCE

    @property
    def learning(self) -> LearntArchitecture:
        """What is learnt besides the weights."""
        assert self.architecture is not None, "the task has a method"
        return self.architecture

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of the task's steps; raises `Diverged` as `Classifier.train` does."""
        self._context = context
        if context.done == 0:
            self.job_cost = 0
        super().train(epochs, context)

    def learn(self, images: Tensor, labels: Tensor) -> tuple[str, float]:
        """Make a step of the weights and, where it is time, one of the architecture."""
        options = self.task.options
        learns = bool(self.learning.parameters) and not self.learning.has_controller
        learns = learns and not self._is_frozen()
        if learns and options.first == "architecture":
            self._learn_architecture(images, labels)
        loss = self._learn_weights(images, labels)
        if learns and options.first == "weights" and math.isfinite(loss):
            self._learn_architecture(images, labels)
        return "", loss

    def learnt(self, context: Context) -> None:
        """Let the controller learn, when its turn is."""
        every = self.task.options.controller_every or self.task.epoch_steps()
        if self.learning.has_controller and self.steps % every == 0 and not self._is_frozen():
            self._teach_controller(self.steps // every, context)

    def before_step(self) -> None:
        """Clip the gradient of the weights."""
        if self.task.options.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._weights, self.task.options.clip)

    @cached_property
    def _weights(self) -> list[Tensor]:
        """All parameters that SGD trains."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _is_frozen(self) -> bool:
        return self.steps < self.task.options.frozen_share * self.task.schedule.steps

    def _learn_weights(self, images: Tensor, labels: Tensor) -> float:
        with torch.no_grad():  # the architecture is a constant here
            run = self._traversal("weights")
        self._spend(run, len(images))
        return self.update(F.cross_entropy(self.networks(images, run), labels))

    def _traversal(self, purpose: str) -> Traversal:
        return self.learning.traversal(purpose, self._context.seed, self.steps, self._done())

    def _done(self) -> float:
        """The share of the schedule that is done; 1 in its last step."""
        return min(1.0, self.steps / max(1, self.task.schedule.steps - 1))

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        """A step of the architecture, down its loss on images of its own."""
        options, learning = self.task.options, self.learning
        seed = data_seed(self.task, self._context.seed, "images for the architecture")
        seen, wanted = self.task.choosing(self._context.device).at(seed, self.steps)

        def loss_on(images: Tensor, labels: Tensor) -> Tensor:
            run = self._traversal("architecture")
            self._spend(run, len(images))
            return F.cross_entropy(self.networks(images, run), labels)

        def own_loss() -> Tensor:
            loss = loss_on(seen, wanted)
            if options.pull_to_uniform:
                loss = loss + options.pull_to_uniform * distance_to_uniform(learning.mixture())
            return loss

        if options.gradient == "second-order":
            gradients = unrolled_gradient(
                learning.parameters,
                self._weights,
                [self.optimizer.state.get(w, {}).get("momentum_buffer") for w in self._weights],
                train_loss=lambda: loss_on(images, labels),
                validation_loss=own_loss,
                rate=self.optimizer.param_groups[0]["lr"],
                momentum=options.momentum,
                decay=options.weight_decay,
            )
        else:
            gradients = list(
                torch.autograd.grad(
                    own_loss(), learning.parameters, allow_unused=True, materialize_grads=True
                )
            )
        learning.step(gradients)
        self._check_architecture()

    def _check_architecture(self) -> None:
        broken = self.learning.broken()
        if broken is not None:
            variable, value = broken
            raise Diverged(
                f"the weights of the operations of {self.task.choices.variables[variable].name} "
                f"hold {value} after step {self.steps + 1} of the supernet"
            )

    def _teach_controller(self, turn: int, context: Context) -> None:
        """REINFORCE, by the accuracy of drawn subnets on a batch of held-out images each."""
        options, learning = self.task.options, self.learning
        controller, (optimizer,) = learning.controller, learning.optimizers
        batches = self.task.choosing(context.device)
        seed = data_seed(self.task, context.seed, "images for the controller")
        before = last = self.baseline
        for step in range(options.controller_steps):
            number = (turn - 1) * options.controller_steps + step
            count = options.controller_draws
            drawn = learning.drawn(count, "subnet for the controller", context.seed, number)
            columns = [learning.columns(architecture) for architecture in drawn]
            extra = options.controller_entropy * entropies(controller, columns).detach()
            advantages = []
            for draw, architecture in enumerate(drawn):
                images, labels = batches.at(seed, number * count + draw)
                reward = self._rated(architecture, images, labels) + float(extra[draw])
                self.job_cost += self._rating_cost(architecture, len(images))
                if before is None:
                    before = last = reward
                last = before - (1 - options.controller_baseline) * (before - reward)
                advantages.append(reward - last)
                context.tick()
            loss = policy_loss(
                log_probabilities(controller, columns),
                torch.tensor(advantages, device=images.device),
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(learning.parameters, _CONTROLLER_CLIP)
            optimizer.step()
            optimizer.zero_grad()
            self._check_architecture()
        self.baseline = last

    @torch.no_grad()
    def _rated(self, architecture: Architecture, images: Tensor, labels: Tensor) -> float:
        """The accuracy of a subnet on a batch; NaN where outputs are not finite."""
        run = self.learning.subnet(architecture)
        tally = Tally()
        self.networks.eval()
        with self.scoring_as(run, self.task.options.statistics):
            tally.add(self.networks(images, run), labels)
        self.networks.train()
        return tally.accuracy()

    def _rating_cost(self, architecture: Architecture, images: int) -> int:
        """Multiply-adds of scoring a subnet on so many images."""
        run = self.learning.subnet(architecture)
        return self.task.passes.of(run) * (images + self._recalibrated())

    def _chosen(self, context: Context) -> tuple[Architecture, int]:
        """The architecture as it would be discretised now, and the multiply-adds that it costs.

        Where subnets are drawn, the one of the best accuracy on validation images, each of
        `choices` on a batch of them; the first of equals.
        """
        options, learning = self.task.options, self.learning
        if options.relaxation != "path":
            return learning.discretised(), 0
        drawn = learning.drawn(options.choices, "choice", self._order_seed, self.steps)
        images, labels = (
            torch.cat(each) for each in zip(*self.task.scored("validation", context.device),
                                            strict=True)
        )  # fmt: skip
        best, found, spent = -1.0, drawn[0], 0
        for number, architecture in enumerate(drawn):
            start = number * options.choice_images % len(labels)
            place = torch.arange(start, start + options.choice_images) % len(labels)
            place = place.to(labels.device)
            reached = self._rated(architecture, images[place], labels[place])
            spent += self._rating_cost(architecture, options.choice_images)
            if reached > best:
                best, found = reached, architecture
            context.tick()
        return found, spent

    def evaluate(self, context: Context) -> Evaluation:
        """The accuracy of the discretised architecture with the shared weights, and what it is.

        On the validation images, on the test half if final.  Those of `task.scored` are metrics.
        """
        self.move(context.device)
        options = self.task.options
        part = "test" if context.final else "validation"
        # Apart from the cost of training, with which a snapshot of this moment goes on.
        chosen, spent = self._chosen(context)
        name = self.task.name(chosen)
        names = list(dict.fromkeys([name, *options.scored]))
        accuracies = self.accuracies_of(names, part, context, options.statistics)
        images = self.task.images(part)
        spent += sum(self._rating_cost(self.supernet.subnets[each], images) for each in names)
        counted = options.counts_cost() and not context.final
        metrics = {
            ENTROPY: self.learning.entropy(),
            **({SPENT: float(self.job_cost + spent)} if counted else {}),
            **{f"{CHOSEN}{i}": float(option) for i, option in enumerate(chosen)},
            **{f"{SUBNET}{each}": accuracies[each] for each in options.scored},
        }
        words = f"{name}\n" + "".join(
            f"{variable.name} {variable.options[option]}\n"
            for variable, option in zip(self.task.choices, chosen, strict=True)
        )
        artifacts = {"architecture.txt": words.encode()} if context.final else {}
        return Evaluation(accuracies[name], metrics | unseen(self.task, context), artifacts)

    def _recalibrated(self) -> int:
        """Training images that a subnet sees before it is scored."""
        options = self.task.options
        if options.statistics != "recalibrated":
            return 0
        return min(self.task.images("train"), options.recalibration_batches * options.batch_size)

    def _spend(self, run: Traversal, images: int) -> None:
        """Count a forward and a backward pass of images."""
        self.job_cost += self.task.passes.of(run) * images * TRAINING

    def state(self) -> State:
        """All that is trained, the cost of this job until now, and the controller's baseline."""
        state = super().state()
        state.info |= {_SPENT: self.job_cost, _BASELINE: self.baseline}
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        super().load(state)
        spent, baseline = state.info.get(_SPENT, 0), state.info.get(_BASELINE)
        assert isinstance(spent, int) and (baseline is None or isinstance(baseline, float))
        self.job_cost, self.baseline = spent, baseline
