"""Operations on weights: states in, states out."""

from pbtnas.weights.children import carry_out
from pbtnas.weights.mixing import Child, Origin, child_of, mix, mix_states, report, shrink_perturb

__all__ = [
    "Child",
    "Origin",
    "carry_out",
    "child_of",
    "mix",
    "mix_states",
    "report",
    "shrink_perturb",
]
