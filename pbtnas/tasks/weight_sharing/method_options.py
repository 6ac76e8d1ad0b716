"""The options of the task `supernet` that say how an architecture is learnt.

All but `method` belong to a method, which sets them where a config does not
(`pbtnas.supernet.methods`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from pbtnas.config import number, setting
from pbtnas.supernet.architecture_steps import ArchitectureStep, First, Gradient, Objective
from pbtnas.supernet.methods import settings_of
from pbtnas.supernet.relaxation import Relaxation

Method = Literal[
    "rs-ws", "enas", "darts-1", "darts-2", "gdas", "pc-darts",
    "gaea-erm", "gaea-bilevel", "gaea-gdas", "gaea-pc-darts",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """How the architecture is learnt while the weights are trained."""

    method: Method | None = setting(
        None,
        help="Published method that learns an architecture while it trains the shared weights; it "
        "sets the keys below, and those of SGD, where the config does not. null means none: the "
        "supernet is trained subnet by subnet, as task.order says.",
        newer=True,
    )
    relaxation: Relaxation = setting(
        "path",
        help="How a step runs the supernet: one subnet, drawn; all operations, mixed; one drawn by "
        "the mixture with Gumbel noise; or all operations on a part of the channels, mixed.",
        newer=True,
    )
    architecture_step: ArchitectureStep = setting(
        "none",
        help="What learns the architecture: nothing; Adam on logits; the exponentiated gradient on "
        "the mixture itself; or REINFORCE on a controller that draws subnets.",
        newer=True,
    )
    objective: Objective = setting(
        "bilevel",
        help="Images that the architecture learns from: the held-out ones, or those that train.",
        newer=True,
    )
    first: First = setting("architecture", help="Which is updated first in a step.", newer=True)
    gradient: Gradient = setting(
        "first-order",
        help="Whether the gradient of the architecture looks one step of the weights ahead.",
        newer=True,
    )
    exclude: tuple[str, ...] = setting(
        (), help="Operations left out of the space, such as [none].", newer=True
    )
    unchosen: Literal["summed", "left out"] = setting(
        "summed",
        help="Whether options that a sample has not drawn get a gradient (as published with "
        "NAS-Bench-201) or not, with relaxation gumbel.",
        newer=True,
    )

    architecture_rate: float = number(
        3e-4,
        min=0,
        help="Learning rate of Adam, or step of the exponentiated gradient.",
        newer=True,
    )
    architecture_betas: tuple[float, ...] = number(
        (0.5, 0.999), min=0, max=1, help="Of Adam, on logits or the controller.", newer=True
    )
    architecture_decay: float = number(0.0, min=0, help="Weight decay of Adam.", newer=True)
    architecture_floor: float = number(
        1e-5,
        min=0,
        max=0.01,
        help="Smallest weight of an operation before a row is divided by its sum, with "
        "architecture_step exponentiated.",
        newer=True,
    )
    normalise_first: bool = setting(
        False,
        help="Divide a row by its sum before its smallest weight is limited as well as after, with "
        "architecture_step exponentiated: as published for samples with Gumbel noise, which need "
        "the logarithm of a weight.",
        newer=True,
    )
    logits_scale: float = number(
        1e-3, min=0, help="Standard deviation of the first logits; 0 is uniform.", newer=True
    )
    frozen_share: float = number(
        0.0,
        min=0,
        max=1,
        help="Share of the schedule in which the weights are trained alone, at its beginning.",
        newer=True,
    )
    pull_to_uniform: float = number(
        0.0,
        min=0,
        help="Weight of the divergence from the uniform mixture in the loss of the architecture.",
        newer=True,
    )
    temperature: float = number(
        10.0, min=1e-3, help="Of samples at the first step, with relaxation gumbel.", newer=True
    )
    lowest_temperature: float = number(
        0.1, min=1e-3, help="What it falls to, linearly over the schedule.", newer=True
    )
    partial_channels: int = number(
        1,
        min=1,
        help="K: operations see one of K parts of the channels, with relaxation partial.",
        newer=True,
    )
    edge_weights: bool = setting(
        False,
        help="Learn a weight for each edge too, those into a node on the simplex, with relaxation "
        "partial.",
        newer=True,
    )

    clip: float | None = number(
        None, min=1e-9, help="Largest norm of the gradient of the weights; null means any.",
        newer=True,
    )  # fmt: skip
    controller_every: int | None = number(
        None, min=1, help="Steps of weights before each turn of the controller; null: an epoch.",
        newer=True,
    )  # fmt: skip
    controller_steps: int = number(50, min=1, help="Steps of a turn of the controller.", newer=True)
    controller_draws: int = number(20, min=1, help="Subnets drawn for such a step.", newer=True)
    controller_entropy: float = number(
        1e-4, min=0, help="Weight of the entropy of the choices in the reward.", newer=True
    )
    controller_baseline: float = number(
        0.99, min=0, max=1, help="How much of its value the baseline of REINFORCE keeps.",
        newer=True,
    )  # fmt: skip
    choices: int = number(
        100, min=1,
        help="Subnets drawn when an architecture is chosen by accuracy with the shared weights.",
        newer=True,
    )  # fmt: skip
    choice_images: int = number(
        512, min=1, help="Validation images for the accuracy of each of them.", newer=True
    )

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the method of these options sets, where they do not."""
        return settings_of(given.get("method"), given.get("space", "cell64"))

    def method_conflicts(self, width: int) -> Iterator[tuple[str, str]]:
        """Broken rules between these fields, for `parse`, with so many channels of a network."""
        if self.method is None:
            yield from self._set_without_a_method()
            return
        step, relaxation = self.architecture_step, self.relaxation
        if (relaxation == "path") and step not in ("none", "reinforce"):
            yield "architecture_step", "none or reinforce with task.relaxation path"
        if (relaxation != "path") and step == "reinforce":
            yield "relaxation", "path with task.architecture_step reinforce"
        if self.gradient == "second-order":
            if self.objective == "single-level":
                yield "gradient", "first-order with task.objective single-level"
            elif relaxation in ("path", "gumbel"):
                yield "gradient", f"first-order with task.relaxation {relaxation}"
            elif step == "none":
                yield "gradient", "first-order with task.architecture_step none"
        yield from self._of_the_step()
        yield from self._of_the_relaxation(width)

    def _of_the_step(self) -> Iterator[tuple[str, str]]:
        step = self.architecture_step
        if self.architecture_decay and step == "exponentiated":
            yield (
                "architecture_decay",
                "0 with task.architecture_step exponentiated, whose mixture has no decay",
            )
        if self.normalise_first and step != "exponentiated":
            yield "normalise_first", f"false with task.architecture_step {step}"
        if self.pull_to_uniform and step not in ("adam", "exponentiated"):
            yield "pull_to_uniform", f"0 with task.architecture_step {step}"
        if len(self.architecture_betas) != 2 or max(self.architecture_betas) >= 1:
            yield "architecture_betas", "two numbers below 1"

    def _of_the_relaxation(self, width: int) -> Iterator[tuple[str, str]]:
        relaxation = self.relaxation
        if self.lowest_temperature > self.temperature:
            yield "lowest_temperature", f"at most task.temperature, which is {self.temperature:g}"
        if relaxation != "partial":
            if self.partial_channels != 1:
                yield "partial_channels", f"1 with task.relaxation {relaxation}"
            if self.edge_weights:
                yield "edge_weights", f"false with task.relaxation {relaxation}"
        elif width % self.partial_channels:
            yield "partial_channels", f"a divisor of task.width, which is {width}"

    def _set_without_a_method(self) -> Iterator[tuple[str, str]]:
        for f in fields(MethodOptions):
            if f.name != "method" and getattr(self, f.name) != f.default:
                usual = str(f.default).lower() if isinstance(f.default, bool) else f.default
                usual = "null" if usual is None else "[]" if usual == () else usual
                yield f.name, f"{usual} without task.method"
