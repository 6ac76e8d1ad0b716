"""Data and networks of both tasks: what a network alone and a supernet are made of."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from pbtnas.data import cifar10, gratings
from pbtnas.data.images import DataError, ImageSet, data_directory
from pbtnas.models.edges import Candidates
from pbtnas.models.initialisation import Fill, fills, initialise
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import LazyTensor, State, lazily
from pbtnas.supernet.costs import PassCosts, pass_costs
from pbtnas.supernet.schedule import Cosine
from pbtnas.tasks.base import Context, Preparation, TaskError, UnfitOptions
from pbtnas.tasks.optional import UNSEEN
from pbtnas.tasks.weight_sharing.image_options import COUNTS, ImageOptions
from pbtnas.tasks.weight_sharing.images import (
    Appearance,
    Batches,
    Examples,
    Problem,
    examples,
    in_chunks,
)

_STATISTICS: dict[str, Fill] = {
    "running_mean": nn.init.zeros_,
    "running_var": nn.init.ones_,
    "num_batches_tracked": nn.init.zeros_,
}
"""How batch normalisation begins, by name of the buffer; no other buffers are in our networks."""


class Classifying:
    """Data and networks, for a task of networks alone or of supernets.

    For images of your own, override `load_images`; for a space of your own, `choices` and `build`.
    """

    def __init__(self, options: ImageOptions) -> None:
        self.options = options
        if type(self).load_images is Classifying.load_images:
            counts = COUNTS[options.data]
            self._check_images(counts["train"], counts["test"])
        self.most_epochs = options.schedule_epochs
        self._problem: Problem | None = None
        self._on_device: dict[str, tuple[Batches, dict[str, list[tuple[Tensor, Tensor]]]]] = {}

    @cached_property
    def choices(self) -> SearchSpace:
        """The space of the architectures of `build`."""
        return self.options.sizes().space()

    def build(self, candidates: Candidates) -> nn.Module:
        """A network that has the operations of these options, from torch's global generator.

        It is called with normalised images and a traversal (`models.edges`), which it calls with
        each `Edge` and its input; without a traversal it is a network alone.
        """
        return self.options.sizes().network(candidates)

    def name(self, architecture: Architecture) -> str:
        """What an architecture of `choices` is called."""
        return self.options.sizes().name(architecture)

    def load_images(self, split: str) -> ImageSet:
        """The images of a half, "train" or "test".  Raises `DataError`."""
        if self.options.data == "gratings":
            return gratings.load(split=split, side=self.options.side)
        return cifar10.load(data_directory(), split=split, side=self.options.side)

    def network(self, candidates: Candidates, seed: int) -> nn.Module:
        """A new network, initialised by the seed of the options or this one."""
        with torch.random.fork_rng(devices=[]):
            network = self.build(candidates)
        initialise(network, self._weights_seed(seed))
        return network

    def initial(self, candidates: Candidates, seed: int) -> dict[str, LazyTensor]:
        """The tensors of `network(candidates, seed)`, by key; each is drawn when it is made."""
        if self._has_own_network():  # it may not let itself be built without memory
            network = self.network(candidates, seed)
            return lazily(State(dict(network.named_parameters()), dict(network.named_buffers())))
        with torch.device("meta"):
            network = self.build(candidates)
        tensors = {
            f"live/{name}": _lazy(parameter, fill)
            for name, parameter, fill in fills(network, self._weights_seed(seed))
        }
        for name, buffer in network.named_buffers():
            tensors[f"buffers/{name}"] = _lazy(buffer, _STATISTICS[name.rpartition(".")[2]])
        return tensors

    def _has_own_network(self) -> bool:
        cls = type(self)
        return cls.build is not Classifying.build or cls.network is not Classifying.network

    def _weights_seed(self, seed: int) -> int:
        pinned = self.options.init_seed
        return derive(seed if pinned is None else pinned, "weights")

    def pass_costs(self, candidates: Candidates) -> PassCosts:
        """Multiply-adds of a forward pass of one image through such a network."""
        with torch.random.fork_rng(devices=[]):
            network = self.build(candidates)
        return pass_costs(network, self.options.side)

    def images(self, part: str) -> int:
        """How many images `scored` has of a part."""
        found: Examples = getattr(self.problem, part)
        return len(found)

    def prepare(self, run: Preparation) -> None:
        """Load the images.  Raises `TaskError` when they are not there, or too few."""
        options = self.options
        try:
            train, test = (examples(self.load_images(split)) for split in ("train", "test"))
        except DataError as error:
            raise TaskError(str(error)) from error
        self._check_images(len(train), len(test))
        count = options.training_images(len(train))
        held_out = test if options.as_published else train[count:]
        validation = held_out[: options.validation_images or len(held_out)]
        self._problem = Problem(train[:count], validation, held_out, test)
        self._on_device.clear()

    def look(self) -> str:
        """The data in words.  Raises `TaskError` when they are not there."""
        options = self.options
        try:
            train, test = (self.load_images(split) for split in ("train", "test"))
        except DataError as error:
            raise TaskError(str(error)) from error
        self._check_images(len(train), len(test))
        count = options.training_images(len(train))
        rest = "the test half" if options.as_published else f"{len(train) - count} held out"
        return (
            f"{train.name}: {count} images train, {rest} score, {len(test)} of {test.name} are for "
            f"the final evaluation; an epoch has {options.epoch_steps(count)} steps"
        )

    def _check_images(self, train: int, test: int) -> None:
        """Raise `UnfitOptions` for options that do not fit so many images."""
        if found := list(self.options.misfits(train, test)):
            raise UnfitOptions(self.options, found)

    @property
    def problem(self) -> Problem:
        """The images; there are none before `prepare`."""
        if self._problem is None:
            raise RuntimeError("prepare() comes before training and evaluation")
        return self._problem

    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return self.options.epoch_steps(len(self.problem.train))

    @property
    def schedule(self) -> Cosine:
        """The learning rate by step."""
        return self.options.schedule(self.epoch_steps())

    @property
    def appearance(self) -> Appearance:
        """How pixels become what networks see."""
        options = self.options
        return Appearance(
            options.mean, options.std, options.flip, options.crop_padding, options.channels_last
        )

    def batches(self, device: str) -> Batches:
        """Training batches on a device, which all its members share; the last device's are kept."""
        return self._at(device)[0]

    def scored(self, part: str, device: str) -> list[tuple[Tensor, Tensor]]:
        """The images of a part, "validation", "held_out" or "test", as networks see them."""
        kept = self._at(device)[1]
        if part not in kept:
            found: Examples = getattr(self.problem, part)
            kept[part] = in_chunks(found.to(device), self.appearance)
        return kept[part]

    def _at(self, device: str) -> tuple[Batches, dict[str, list[tuple[Tensor, Tensor]]]]:
        if device not in self._on_device:
            train = self.problem.train.to(device)
            batches = Batches(train, self.options.batch_size, self.appearance)
            self._on_device = {device: (batches, {})}
        return self._on_device[device]


def _lazy(like: Tensor, fill: Fill) -> LazyTensor:
    shape, dtype = tuple(like.shape), like.dtype
    return LazyTensor(shape, dtype, lambda: fill(torch.empty(shape, dtype=dtype)))


def unseen(task: Classifying, context: Context) -> dict[str, float]:
    """How many images of a final evaluation the search has not selected by."""
    if not context.final:
        return {}
    return {UNSEEN: 0.0 if task.options.as_published else float(len(task.problem.test))}
