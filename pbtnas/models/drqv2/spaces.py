"""The space of DrQ-v2 networks: an encoder, an actor and a critic of two separate Q networks.

Variables are named after the modules of `pbtnas.models.drqv2` that they decide.  A network is
a stack of four layers: the first is fixed in kind, the other three are searched, and each has
an activation of its own.
"""

from __future__ import annotations

from pbtnas.search.space import SearchSpace, Variable, layer, switch

LINEAR = ("identity", "linear", "residual_05", "residual_2")
"""Layers of actor and critic; a residual's hidden width is 0.5 or 2 times the layer's."""

CONVOLUTION = (
    "identity",
    *("conv_3", "conv_5", "conv_7"),
    *("residual_3", "residual_5", "residual_7"),
    *("sep_conv_3", "sep_conv_5", "sep_conv_7"),
)
"""Layers of the encoder; the number is the kernel size."""

ACTIVATION = ("identity", "tanh", "relu", "swish")
FEATURE_DIM = (25, 50, 100, 150)
SPECTRAL_NORM = (False, True)


def drqv2_space(pixels: bool = True) -> SearchSpace:
    """The 36 variables of the paper (4.6117e21 architectures), in its authors' order.

    With `pixels=False` the agent sees state features and has no encoder: 28 variables.
    """
    return SearchSpace([*_actor(), *_critic(), *(_encoder() if pixels else [])])


def _actor() -> list[Variable]:
    return [
        *(layer(f"actor.policy.{i}", LINEAR) for i in (1, 2, 3)),
        *(switch(f"actor.policy_activation.{i}", ACTIVATION) for i in (0, 1, 2, 3)),
        Variable("actor.feature_dim", FEATURE_DIM, modules=("actor.trunk", "actor.policy.0")),
        switch("actor.trunk_activation", ACTIVATION),
        switch("actor.spectral_norm", SPECTRAL_NORM),
    ]


def _critic() -> list[Variable]:
    variables = []
    for q in ("Q1", "Q2"):
        for i in (1, 2, 3):
            variables.append(layer(f"critic.{q}.{i}", LINEAR))
            variables.append(switch(f"critic.{q}_activation.{i}", ACTIVATION))
        variables.append(switch(f"critic.{q}_activation.0", ACTIVATION))
    widened = ("critic.trunk", "critic.Q1.0", "critic.Q2.0")
    return [
        *variables,
        Variable("critic.feature_dim", FEATURE_DIM, modules=widened),
        switch("critic.trunk_activation", ACTIVATION),
        switch("critic.spectral_norm_Q1", SPECTRAL_NORM),
        switch("critic.spectral_norm_Q2", SPECTRAL_NORM),
    ]


def _encoder() -> list[Variable]:
    return [
        *(layer(f"encoder.convnet.{i}", CONVOLUTION) for i in (1, 2, 3)),
        *(switch(f"encoder.convnet_activation.{i}", ACTIVATION) for i in (0, 1, 2, 3)),
        switch("encoder.spectral_norm", SPECTRAL_NORM),
    ]
