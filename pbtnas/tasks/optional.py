"""Optional methods of tasks and trainees, above all for networks that are used after training.

All of it is optional.  A trainee with `trained_network` can be exported and loaded; a task
with `recall` can make its networks without data; one with `play` can show what they do; with
`look` and `epoch_steps` it can say before a run what data it has, and how long an epoch is; with
`create_modules` its children are mixed with less work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pbtnas.search.space import Architecture
from pbtnas.state import LazyTensor
from pbtnas.tasks.choices import with_choices

Lookup = Callable[[str], bytes | None]
"""The product of the run of that name (see `Preparation.lookup`), or None."""


UNSEEN = "unseen_examples"
"""A metric of a final evaluation: how many of its examples the search has not selected by.

A card says what it means; 0 is for an evaluation on the examples that the search selected by.
"""


@runtime_checkable
class LooksAtData(Protocol):
    """A task whose data can be looked at before a run."""

    def look(self) -> str:
        """The data in words.  Raises `TaskError` with one sentence when it cannot be right."""


@runtime_checkable
class CountsSteps(Protocol):
    """A task whose epochs have so many steps, which all take about as long.

    `pbtnas estimate` then needs no whole epoch.
    """

    def epoch_steps(self) -> int:
        """The number that `train` of one epoch counts to in `tick`; asked after `prepare`.

        It may take `choices`, the chosen options by name, where ladders change the number.
        """


def epoch_steps(task: Any, choices: Mapping[str, Any]) -> int | None:
    """Steps of an epoch of a member with these choices; None if the task does not count them."""
    if not isinstance(task, CountsSteps):
        return None
    steps: int = with_choices(task.epoch_steps, choices=choices)
    return steps


@runtime_checkable
class CreatesModules(Protocol):
    """A task that can initialise some tensors of a new member without the others.

    Its initial values come from a stream for each tensor, or each module.  Where one stream serves
    the whole network, the values of a layer are known only after those of all layers before it.
    """

    def create_modules(self, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
        """The tensors of `create(architecture, seed).state()`, each made when it is needed.

        Those of the sections `live`, `buffers` and `averaged`, by the keys "live/NAME" and so on.
        A mixed child needs the initial values of inherited `live` tensors, and of what its parents
        lack; of the others only name, shape and dtype are looked at.
        """


@runtime_checkable
class LimitsTraining(Protocol):
    """A task whose members are not to be trained for longer than its schedule lasts."""

    most_epochs: int
    """Epochs of a member in all generations together, at most."""


@runtime_checkable
class TrainsEvery(Protocol):
    """A task whose architectures are parts of one whole, as groups of a supernet are."""

    trains_every: bool
    """Whether a run has to train each architecture of the space once, with `search.start: every`
    where there are several."""


@runtime_checkable
class DescribesSubnets(Protocol):
    """A task with subnets that says in words what each of them is made of."""

    def subnet_choices(self, architecture: Architecture, name: str) -> Mapping[str, Any]:
        """The options by variable of a subnet of a member of that architecture, for its card."""


@runtime_checkable
class HasNetwork(Protocol):
    """A trainee with a network that is used after training."""

    def trained_network(self) -> nn.Module:
        """The network that inference needs: an export holds its `state_dict`.

        It may alias the trainee.  The names of its tensors, and the methods it has for people
        (`sample`, `act`; any network can be called), are what an export promises.
        """


def parameters_of(trainee: Any) -> int | None:
    """Number of parameters of the trained network; None for a trainee without one."""
    if not isinstance(trainee, HasNetwork):
        return None
    return sum(tensor.numel() for tensor in trainee.trained_network().parameters())


@runtime_checkable
class SaysCosts(Protocol):
    """A trainee that knows what its trained network costs where it is used."""

    def costs(self) -> Mapping[str, float]:
        """`parameters`, `multiply_adds`, or both; a function of the architecture alone.

        Asked for only where `search.objectives` names one of them.  Without it, parameters are
        counted, and multiply-adds are not known: `pbtnas.tasks.costs.multiply_adds` counts them.
        """


@runtime_checkable
class ShowsUse(Protocol):
    """A trained network with an example of its use."""

    example: str
    """A line of Python for the model card, in which the network is called `network`."""


@runtime_checkable
class Recalls(Protocol):
    """A task whose `create` needs results of `prepare`."""

    def recall(self, lookup: Lookup) -> None:
        """Prepare for `create` from products of the run alone: there is no data here.

        An export has copies of the products that are looked up.
        Raises `TaskError` when one is missing.
        """


@dataclass(frozen=True)
class Played:
    """An episode of a trained network, with pictures.

    Args:
        reward: its return, the sum of all rewards.
        frames: pictures of it, each [H, W, 3] uint8.
        fps: frames a second to show them with.
    """

    reward: float
    frames: Sequence[NDArray[np.uint8]]
    fps: int


@runtime_checkable
class Plays(Protocol):
    """A task whose networks act in episodes that can be drawn."""

    def play(self, network: Any, *, episodes: int, seed: int) -> Iterator[Played]:
        """Play episodes of a trained network of this task, one after the other.

        Raises `TaskError` when nothing here can simulate or draw them.
        """
