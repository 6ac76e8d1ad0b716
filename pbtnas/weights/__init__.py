"""Operations on weights: states in, states out."""

from pbtnas.weights.mixing import Child, Origin, child_of, mix, mix_states, report, shrink_perturb

__all__ = ["Child", "Origin", "child_of", "mix", "mix_states", "report", "shrink_perturb"]
