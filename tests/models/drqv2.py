"""The architecture of the drqv2 space that is nearest to the published agent."""

from __future__ import annotations

from pbtnas.search.space import Architecture, Option, SearchSpace


def drqv2_architecture(space: SearchSpace) -> Architecture:
    """DrQ-v2's own networks, as near as the space comes to them.

    What differs: the encoder's three later convolutions are padded here, so the features are
    41 x 41 instead of 35 x 35 (Yarats et al., 2021, section 4).
    """
    return space.encode({variable.name: _original(variable.name) for variable in space})


def _original(name: str) -> Option:
    part = name.rpartition(".")[2]
    if part == "feature_dim":
        return 50
    if part.startswith("spectral_norm"):
        return False
    if part == "trunk_activation":
        return "tanh"
    if "_activation." in name:
        return "relu"
    if name.startswith("encoder."):
        return "conv_3"
    return "linear" if part == "1" else "identity"
