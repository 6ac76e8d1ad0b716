"""Forward and backward passes of the digits networks, with the gradients written out.

At this size autograd and `nn.Module` cost as much as the arithmetic.  Here the kernels are called
that they would call, in their order, so that every number has the bits that autograd gives it:
`tests/models/test_digits_gradients.py` compares.  What the networks compute stays in `networks`.

A pass is a function of the input; it returns the output and the way back.  It is made for networks
in training mode, once they are on their device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.digits.networks import (
    ACTIVATIONS,
    Discriminator,
    DiscriminatorLayer,
    Generator,
    GeneratorLayer,
    Residual,
    SwitchedSpectralLinear,
    Zero,
)
from pbtnas.models.spectral import improve

Gradients = dict[Tensor, Tensor]
"""Gradients by parameter."""

_aten = torch.ops.aten


class Back(Protocol):
    """The way back through what was computed."""

    def __call__(
        self, gradient: Tensor, found: Gradients | None = None, further: bool = True
    ) -> Tensor:
        """The gradient of the input, from that of the output.

        Args:
            gradient: of the output.
            found: gets the gradients of the parameters; None where nobody wants them.
            further: whether somebody wants that of the input; what is returned is else nothing.
        """


Pass = Callable[[Tensor], tuple[Tensor, Back]]

_DERIVATIVES: Mapping[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    ACTIVATIONS["id"]: lambda gradient, x, y: gradient,
    ACTIVATIONS["tanh"]: lambda gradient, x, y: _aten.tanh_backward(gradient, y),
    ACTIVATIONS["relu"]: lambda gradient, x, y: _aten.threshold_backward(gradient, y, 0),
    ACTIVATIONS["swish"]: lambda gradient, x, y: _aten.silu_backward(gradient, x),
}
"""Of gradient, input and output, by activation."""


def generator_pass(generator: Generator) -> Pass:
    """Latents [B, L] to images [B, P]."""
    stem, head = _linear(generator.stem), _linear(generator.head)
    layers = [_generator_layer(searched) for searched in generator.layers]

    def forward(latents: Tensor) -> tuple[Tensor, Back]:
        x, back_stem = stem(latents)
        backs = []
        for searched in layers:
            x, back = searched(x, latents)
            backs.append(back)
        x, back_head = head(x)
        images = torch.tanh(x)

        def back_all(
            gradient: Tensor, found: Gradients | None = None, further: bool = True
        ) -> Tensor:
            gradient = back_head(_aten.tanh_backward(gradient, images), found)
            for back in reversed(backs):
                gradient = back(gradient, found)
            return back_stem(gradient, found, further)

        return images, back_all

    return forward


def discriminator_pass(discriminator: Discriminator) -> Pass:
    """Images [B, P] to realness [B, 1]."""
    parts = [part for searched in discriminator.layers for part in _discriminator_layer(searched)]
    parts.append(_linear(discriminator.head))

    def forward(images: Tensor) -> tuple[Tensor, Back]:
        x = images
        backs = []
        for part in parts:
            x, back = part(x)
            backs.append(back)

        def back_all(
            gradient: Tensor, found: Gradients | None = None, further: bool = True
        ) -> Tensor:
            for i in range(len(backs) - 1, -1, -1):
                gradient = backs[i](gradient, found, further or i > 0)
            return gradient

        return x, back_all

    return forward


def _discriminator_layer(module: nn.Module) -> list[Pass]:
    assert isinstance(module, DiscriminatorLayer)
    parts = _operation(module.op), _activation(module.activation)
    return [part for part in parts if part is not None]


def _generator_layer(module: nn.Module) -> Callable[[Tensor, Tensor], tuple[Tensor, Back]]:
    assert isinstance(module, GeneratorLayer)
    operation, activation = _operation(module.op), _activation(module.activation)
    latents_seen = module.projection.latents
    projection = None if latents_seen is None else _linear(module.projection.linear)
    normalised = module.batch_norm

    def forward(x: Tensor, latents: Tensor) -> tuple[Tensor, Back]:
        backs: list[Back] = []
        if operation is not None:
            x, back = operation(x)
            backs.append(back)
        if projection is not None:
            projected, back_projection = projection(latents[:, latents_seen])
            x = x + projected
        after: list[Back] = []
        if normalised:
            x, back = _batch_norm(x)
            after.append(back)
        if activation is not None:
            x, back = activation(x)
            after.append(back)

        def back_all(
            gradient: Tensor, found: Gradients | None = None, further: bool = True
        ) -> Tensor:
            for back in reversed(after):
                gradient = back(gradient)
            if projection is not None:
                back_projection(gradient, found, False)
            for back in backs:
                gradient = back(gradient, found, further)
            return gradient

        return x, back_all

    return forward


def _operation(module: nn.Module) -> Pass | None:
    """Of one of `OPERATIONS`; None for the identity."""
    match module:
        case nn.Identity():
            return None
        case Zero():
            return _zero
        case Residual():
            return _residual(module)
        case nn.Linear():
            return _linear(module)
    raise TypeError(f"no operation of the digits networks: {type(module).__name__}")


def _activation(function: Callable[[Tensor], Tensor]) -> Pass | None:
    """Of one of `ACTIVATIONS`; None for the identity."""
    if function is ACTIVATIONS["id"]:
        return None
    derivative = _DERIVATIVES[function]

    def forward(x: Tensor) -> tuple[Tensor, Back]:
        y = function(x)

        def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
            return derivative(gradient, x, y) if further else gradient

        return y, back

    return forward


def _zero(x: Tensor) -> tuple[Tensor, Back]:
    def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
        return gradient * 0

    return x * 0, back


def _batch_norm(x: Tensor) -> tuple[Tensor, Back]:
    """As `F.batch_norm` with the batch's own statistics."""
    y, mean, inverse, reserved, kernel = torch._batch_norm_impl_index(
        x, None, None, None, None, True, 0.1, 1e-5, torch.backends.cudnn.enabled
    )

    def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
        of_input: Tensor = _aten._batch_norm_impl_index_backward(
            kernel, x, gradient, None, None, None, mean, inverse, True, 1e-5,
            [True, False, False], reserved,
        )[0]  # fmt: skip
        return of_input

    return y, back


def _residual(module: Residual) -> Pass:
    inner, outer = _operation(module.inner), _operation(module.outer)
    assert inner is not None and outer is not None

    def forward(x: Tensor) -> tuple[Tensor, Back]:
        hidden, back_inner = inner(x)
        hidden = torch.relu(hidden)
        change, back_outer = outer(hidden)

        def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
            of_hidden = _aten.threshold_backward(back_outer(gradient, found), hidden, 0)
            of_input = back_inner(of_hidden, found, further)
            return gradient + of_input if further else gradient

        return x + change, back

    return forward


def _linear(module: nn.Linear) -> Pass:
    if isinstance(module, SwitchedSpectralLinear) and module.normalised:
        return _spectral_linear(module)
    weight, bias = module.weight, module.bias

    def forward(x: Tensor) -> tuple[Tensor, Back]:
        def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
            if found is not None:
                found[weight] = gradient.t() @ x
                found[bias] = gradient.sum(0)
            return gradient @ weight if further else gradient

        return F.linear(x, weight, bias), back

    return forward


def _spectral_linear(module: SwitchedSpectralLinear) -> Pass:
    weight, bias, norm = module.weight, module.bias, module.norm

    def forward(x: Tensor) -> tuple[Tensor, Back]:
        u, v = norm.u, norm.v
        improve(u, v, weight)
        sigma = torch.dot(u, torch.mv(weight, v))
        divided = weight / sigma

        def back(gradient: Tensor, found: Gradients | None = None, further: bool = True) -> Tensor:
            # `u` and `v` are still those of the forward pass: the way back is gone before the next.
            if found is not None:
                of_divided = gradient.t() @ x
                of_sigma = (-of_divided * (divided / sigma)).sum()
                found[weight] = of_divided / sigma + torch.outer(of_sigma * u, v)
                found[bias] = gradient.sum(0)
            return gradient @ divided if further else gradient

        return F.linear(x, divided, bias), back

    return forward
