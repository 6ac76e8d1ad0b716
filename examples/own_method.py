"""A method of your own: the mixture descends, and is projected back onto the simplex.

pbtnas run configs/weight_sharing/try_method.yaml runs/own --task examples/own_method.py:Projected \
    --set task.name=Projected --workers 1
"""

import torch

from pbtnas.tasks.weight_sharing import SupernetTask
from pbtnas.tasks.weight_sharing.learnt_architecture import LearntArchitecture


class Projection(LearntArchitecture):
    def step(self, gradients):
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            values = parameter.detach()
            values.copy_(projected(values - self.options.architecture_rate * gradient))


def projected(rows: torch.Tensor) -> torch.Tensor:
    """The nearest points of the simplex to rows [V, O] (Duchi and others, 2008)."""
    ordered = rows.sort(dim=1, descending=True).values
    over = (ordered.cumsum(dim=1) - 1) / torch.arange(1, rows.shape[1] + 1, device=rows.device)
    kept = (ordered > over).sum(dim=1, keepdim=True)
    return (rows - over.gather(1, kept - 1)).clamp(min=0)


class Projected(SupernetTask):
    Learnt = Projection
