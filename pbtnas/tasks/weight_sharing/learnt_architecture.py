"""The parameters of an architecture that is learnt in a supernet, and how the supernet is run.

They are those of `module`, which belongs to the network: `logits` or `mixture`, for weights of
edges `edge_logits` or `edge_mixture`, or a `controller`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pbtnas.models.edges import Candidates, Traversal
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture
from pbtnas.supernet.architecture_steps import exponentiated
from pbtnas.supernet.controller import Controller
from pbtnas.supernet.discretise import discretise, widened
from pbtnas.supernet.network import Mixed, Path, Sampled
from pbtnas.supernet.relaxation import (
    Partial,
    edges_by_node,
    entropy,
    gumbel_noise,
    hard_sample,
    softmax_by_node,
)
from pbtnas.tasks.weight_sharing.method_options import MethodOptions

ARCHITECTURE = "architecture"
"""The module of a supernet below which these parameters are."""

_CONTROLLER_EPSILON = 1e-3


class LearntArchitecture:
    """The parameters, and what they say.

    Args:
        options: the point of the grid.
        candidates: for each variable, the options that are not left out; equally many each.
        all_options: options of a variable in the space.
        nodes: the node that the edge of each variable enters.
        seed: what first values derive from.
    """

    def __init__(
        self,
        options: MethodOptions,
        candidates: Candidates,
        all_options: int,
        nodes: Sequence[int],
        seed: int,
    ) -> None:
        self.options = options
        self.candidates = [tuple(each) for each in candidates]
        self.all_options = all_options
        self.nodes = tuple(nodes)
        self.shape = len(self.candidates), len(self.candidates[0])
        self.module = nn.Module()
        self._make(derive(seed, "architecture"))
        self.parameters = list(self.module.parameters())
        betas = options.architecture_betas
        self.optimizers: list[torch.optim.Optimizer] = []
        if options.architecture_step in ("adam", "reinforce"):
            reinforced = options.architecture_step == "reinforce"
            self.optimizers = [
                torch.optim.Adam(
                    self.parameters,
                    options.architecture_rate,
                    betas=(betas[0], betas[1]),
                    eps=_CONTROLLER_EPSILON if reinforced else 1e-8,
                    weight_decay=options.architecture_decay,
                )
            ]

    def _make(self, seed: int) -> None:
        options, module, (variables, count) = self.options, self.module, self.shape
        generator = torch.Generator().manual_seed(seed)
        match options.architecture_step:
            case "reinforce":
                module.add_module("controller", Controller(variables, count, seed))
            case "exponentiated":
                mixture = torch.full((variables, count), 1 / count)
                module.register_parameter("mixture", nn.Parameter(mixture))
                if options.edge_weights:
                    edges = softmax_by_node(torch.zeros(variables), self.nodes)
                    module.register_parameter("edge_mixture", nn.Parameter(edges))
            case "adam":
                logits = options.logits_scale * torch.randn(self.shape, generator=generator)
                module.register_parameter("logits", nn.Parameter(logits))
                if options.edge_weights:
                    edges = options.logits_scale * torch.randn(variables, generator=generator)
                    module.register_parameter("edge_logits", nn.Parameter(edges))

    @property
    def controller(self) -> Controller:
        """The controller, with architecture_step reinforce."""
        found = self.module.get_submodule("controller")
        assert isinstance(found, Controller)
        return found

    @property
    def has_controller(self) -> bool:
        """Whether a controller draws the subnets."""
        return self.options.architecture_step == "reinforce"

    def mixture(self) -> Tensor:
        """The weights of the candidates [V, O], each row on the simplex.

        Those of a controller are the probabilities of each choice after the most probable ones.
        """
        tensors = self.module._parameters
        if self.has_controller:
            return self.controller.greedy()[1]
        mixture, logits = tensors.get("mixture"), tensors.get("logits")
        if mixture is not None:
            return mixture
        if logits is not None:
            return logits.softmax(dim=1)
        return torch.full(self.shape, 1 / self.shape[1])

    def edges(self) -> Tensor | None:
        """The weights of edges [V], which sum to 1 at each node; None without any."""
        tensors = self.module._parameters
        mixture, logits = tensors.get("edge_mixture"), tensors.get("edge_logits")
        return mixture if logits is None else softmax_by_node(logits, self.nodes)

    def entropy(self) -> float:
        """The mean entropy of a row of the mixture, in nats."""
        return entropy(self.mixture())

    def discretised(self) -> Architecture:
        """The architecture that the mixture stands for."""
        return discretise(self.mixture(), self.candidates)

    def drawn(self, count: int, purpose: str, seed: int, step: int) -> list[Architecture]:
        """Subnets, uniformly or by the controller: a function of what is given and of that."""
        variables, options = self.shape
        chance = stream(seed, purpose, step)
        chances = [[chance.random() for _ in range(variables)] for _ in range(count)]
        if self.has_controller:
            columns = self.controller.draw(chances)
        else:
            columns = [tuple(int(options * x) for x in row) for row in chances]
        return [self.of_columns(row) for row in columns]

    def of_columns(self, columns: Sequence[int]) -> Architecture:
        """The architecture of a choice among the candidates."""
        return tuple(each[c] for each, c in zip(self.candidates, columns, strict=True))

    def columns(self, architecture: Architecture) -> tuple[int, ...]:
        """The choice among the candidates of an architecture."""
        return tuple(each.index(o) for each, o in zip(self.candidates, architecture, strict=True))

    def traversal(self, purpose: str, seed: int, step: int, done: float) -> Traversal:
        """How a forward pass of a step runs the supernet.

        Args:
            purpose: "weights" or "architecture": each draws for itself.
            seed: of the job.
            step: steps of the supernet before this one.
            done: the share of the schedule that is done, for the temperature.
        """
        match self.options.relaxation:
            case "path":
                return Path(self.drawn(1, f"subnet for {purpose}", seed, step)[0])
            case "softmax":
                return Mixed(self._wide(self.mixture()))
            case "partial":
                mixed = Mixed(self._wide(self.mixture()))
                return Partial(mixed, self.options.partial_channels, self.edges())
            case "gumbel":
                return self._sampled(derive(seed, f"sample for {purpose}", step), done)

    def _sampled(self, seed: int, done: float) -> Traversal:
        options, logits = self.options, self.module._parameters.get("logits")
        high, low = options.temperature, options.lowest_temperature
        mixture = self.mixture()
        noise = gumbel_noise(self.shape, seed).to(mixture.device)
        logs = mixture.log() if logits is None else logits.log_softmax(dim=1)
        drawn = hard_sample(logs, noise, high + (low - high) * done)
        return Sampled(self._wide(drawn), options.unchosen)

    def subnet(self, architecture: Architecture) -> Traversal:
        """How a subnet of it is run: with the widths and the weights of edges that it has here."""
        if self.options.relaxation != "partial":
            return Path(architecture)
        edges = self.edges()
        edges = None if edges is None else edges.detach()
        return Partial(Path(architecture), self.options.partial_channels, edges)

    def _wide(self, mixture: Tensor) -> Tensor:
        return widened(mixture, self.candidates, self.all_options)

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters by the gradients of each."""
        options = self.options
        if self.optimizers:
            (optimizer,) = self.optimizers
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            optimizer.zero_grad()
            return
        stepped = partial(
            exponentiated,
            rate=options.architecture_rate,
            floor=options.architecture_floor,
            normalise_first=options.normalise_first,
        )
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            values = parameter.detach()
            if values.dim() == 2:
                values.copy_(stepped(values, gradient))
                continue
            for node in edges_by_node(self.nodes):
                values[node] = stepped(values[node], gradient[node])

    def broken(self) -> tuple[int, float] | None:
        """The first variable with a parameter that is not finite, and its value; None without.

        Of a controller, whose parameters belong to all variables, it is the first variable.
        """
        for parameter in self.parameters:
            values = parameter.detach()
            wrong = (~values.isfinite()).nonzero()
            if len(wrong):
                place = tuple(wrong[0].tolist())
                return 0 if self.has_controller else place[0], float(values[place])
        return None
