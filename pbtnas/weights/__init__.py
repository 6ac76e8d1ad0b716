"""Operations on weights: states in, states out."""

from pbtnas.weights.children import carry_out
from pbtnas.weights.mixing import (
    ChildPlan,
    Origin,
    child_of,
    mix_states,
    report,
    shrink_perturb,
)

__all__ = [
    "ChildPlan",
    "Origin",
    "carry_out",
    "child_of",
    "mix_states",
    "report",
    "shrink_perturb",
]
