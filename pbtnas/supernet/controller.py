"""A controller that draws architectures, and REINFORCE, which teaches it (ENAS, arXiv 1802.03268).

Shapes: N architectures, V variables, O options.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pbtnas.search.space import Architecture

_TEMPERATURE, _SPAN = 5.0, 2.5  # logits are within ±2.5
_BOUND = 0.1


class Controller(nn.Module):
    """Two layers of LSTM that choose the option of one variable after the other.

    Args:
        variables: V.
        options: O, of each variable.
        seed: what its weights derive from.
        hidden: units of a layer.
    """

    def __init__(self, variables: int, options: int, seed: int, hidden: int = 32) -> None:
        super().__init__()
        self.variables = variables
        self.start = nn.Parameter(torch.empty(hidden))
        self.embedding = nn.Parameter(torch.empty(options, hidden))
        with torch.random.fork_rng(devices=[]):  # layers draw weights, which are drawn anew below
            # Cells, not an `nn.LSTM`, which may put its weights elsewhere on a GPU.
            self.first = nn.LSTMCell(hidden, hidden)
            self.second = nn.LSTMCell(hidden, hidden)
            self.head = nn.Linear(hidden, options)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-_BOUND, _BOUND, generator=generator)

    def forward(self, architectures: Tensor) -> Tensor:
        """The logits of every choice given those before it.

        int64 [N, V or fewer variables] to [N, that number + 1 but at most V, O].
        """
        count, given = architectures.shape
        inputs = self.start.expand(count, -1)
        first = second = None
        logits = []
        for variable in range(min(given + 1, self.variables)):
            first = self.first(inputs, first)
            second = self.second(first[0], second)
            logits.append(_SPAN * torch.tanh(self.head(second[0]) / _TEMPERATURE))
            if variable < given:
                inputs = self.embedding[architectures[:, variable]]
        return torch.stack(logits, dim=1)

    @torch.no_grad()
    def draw(self, chances: Sequence[Sequence[float]]) -> list[Architecture]:
        """Architectures by numbers of [0, 1), one for each of the N x V choices."""
        device = self.start.device
        wanted = torch.tensor(chances, dtype=torch.float64)
        drawn = torch.empty(len(chances), 0, dtype=torch.int64)
        for variable in range(self.variables):
            logits = self(drawn.to(device))[:, variable].cpu().double()
            upto = logits.softmax(dim=1).cumsum(dim=1)[:, :-1]
            option = (wanted[:, variable, None] >= upto).sum(dim=1)
            drawn = torch.cat([drawn, option[:, None]], dim=1)
        return [tuple(row) for row in drawn.tolist()]

    @torch.no_grad()
    def greedy(self) -> tuple[Architecture, Tensor]:
        """The most probable choices one after the other, and the probabilities of each [V, O]."""
        device = self.start.device
        chosen = torch.empty(1, 0, dtype=torch.int64, device=device)
        for variable in range(self.variables):
            option = self(chosen)[:, variable].argmax(dim=1)
            chosen = torch.cat([chosen, option[:, None]], dim=1)
        return tuple(chosen[0].tolist()), self(chosen)[0].softmax(dim=1)


def log_probabilities(controller: Controller, architectures: Sequence[Architecture]) -> Tensor:
    """The logarithm of the probability of each architecture [N]."""
    given = torch.tensor(architectures, device=controller.start.device)
    rows = controller(given).log_softmax(dim=-1)
    chosen: Tensor = rows.gather(2, given[..., None]).sum(dim=(1, 2))
    return chosen


def entropies(controller: Controller, architectures: Sequence[Architecture]) -> Tensor:
    """The sum over variables of the entropies of the choices that led to each architecture [N]."""
    given = torch.tensor(architectures, device=controller.start.device)
    rows = controller(given).log_softmax(dim=-1)
    found: Tensor = -(rows.exp() * rows).sum(dim=(1, 2))
    return found


def policy_loss(log_probability: Tensor, advantages: Tensor) -> Tensor:
    """What REINFORCE descends: its gradient estimates that of the mean reward, negated.

    Args:
        log_probability: of each architecture drawn [N].
        advantages: their rewards less a baseline [N].
    """
    return -(log_probability * advantages.detach()).mean()
