"""How a step runs a supernet whose architecture is learnt: mixtures, samples, parts of channels.

Shapes: V variables, O options.  A mixture is float [V, O], a row of which sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.models.edges import Edge, Traversal

Relaxation = Literal["path", "softmax", "gumbel", "partial"]


def gumbel_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Gumbel noise, float32 on the CPU whatever the device, so that the seed alone decides it."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        noise = -torch.empty(tuple(shape)).exponential_(generator=generator).log()
        if bool(noise.isfinite().all()):
            return noise


def hard_sample(log_mixture: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """One option a row, drawn by the noise: exactly one-hot in value, [V, O].

    The gradient is that of the softmax at the temperature (GDAS, arXiv 1910.04465, section 3.2).
    """
    soft = ((log_mixture + noise) / temperature).softmax(dim=-1)
    hard = F.one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())


def softmax_by_node(logits: Tensor, nodes: Sequence[int]) -> Tensor:
    """The weights [V] of edges from their logits [V]: those that enter a node sum to 1.

    Args:
        logits: a number an edge.
        nodes: the node that each edge enters.
    """
    weights = torch.empty_like(logits)
    for edges in edges_by_node(nodes):
        weights = weights.index_copy(0, torch.tensor(edges, device=logits.device),
                                     logits[edges].softmax(dim=0))  # fmt: skip
    return weights


def edges_by_node(nodes: Sequence[int]) -> list[list[int]]:
    """The edges that enter each node, in the order of the nodes."""
    return [[e for e, node in enumerate(nodes) if node == n] for n in sorted(set(nodes))]


@dataclass(frozen=True)
class Partial:
    """One of K parts of the channels goes through an edge's operations, the rest around them.

    PC-DARTS (arXiv 1907.05737, sections 3.2 and 3.3).  The operations have the width of a part.

    Args:
        inner: how the operations of an edge are run.
        parts: K; the channels are a multiple of it.
        edges: a weight for each edge [V], or None.
    """

    inner: Traversal
    parts: int
    edges: Tensor | None = None

    def __call__(self, edge: Edge, x: Tensor) -> Tensor:
        """The output of an edge, as wide as its input."""
        if self.parts == 1:
            output = self.inner(edge, x)
        else:
            width = x.shape[1] // self.parts
            inside = self.inner(edge, x[:, :width])
            output = _shuffled(torch.cat([inside, x[:, width:]], dim=1), self.parts)
        return output if self.edges is None else self.edges[edge.variable] * output


def _shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels in an order in which the next edge gets some of each group."""
    batch, channels, height, width = x.shape
    grouped = x.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)


def entropy(mixture: Tensor) -> float:
    """The mean over variables of the entropy of a row, in nats; NaN for a row with NaN."""
    rows = mixture.detach().double()
    return float(-torch.xlogy(rows, rows).sum(dim=-1).mean())
